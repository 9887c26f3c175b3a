/* The hash of what a chain means: levels as sets, so that neither the order of entries and groups nor
 * repeating one changes it. */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "policy/compile_internal.h"

struct digest {
    uint8_t bytes[BW_SHA256_SIZE];
};

static void put_u64(struct bw_sha256 *hash, uint64_t value)
{
    uint8_t bytes[8];
    struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
    bw_write_u64(&w, value);
    bw_sha256_update(hash, bytes, sizeof bytes);
}

static void put_number(struct bw_sha256 *hash, const struct bw_yaml_number *number)
{
    put_u64(hash, number->at.line != 0);
    put_u64(hash, number->at.line != 0 ? number->value : 0);
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct digest));
}

/* Digests as a set: sorted, each once. */
static void put_digests(struct bw_sha256 *hash, struct digest *items, size_t count)
{
    if (count > 1)
        qsort(items, count, sizeof *items, compare_digests);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || compare_digests(&items[i - 1], &items[i]) != 0)
            items[distinct++] = items[i];
    put_u64(hash, distinct);
    bw_sha256_update(hash, items, distinct * sizeof *items);
}

static void put_set(struct bw_sha256 *hash, const struct bw_territory_set *set)
{
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        if (set->words[i] != 0) {
            put_u64(hash, i);
            put_u64(hash, set->words[i]);
        }
    put_u64(hash, UINT64_MAX);
}

static void put_sites(struct bw_compile *compile, struct bw_sha256 *hash,
                      const struct bw_policy_places *places)
{
    struct digest *sites = bw_arena_zalloc(compile->scratch, places->count, sizeof *sites);
    if (sites == NULL) {
        compile->full = true;
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].kind == BW_PLACE_SITE)
            bw_sha256(places->items[i].text, sites[count++].bytes);
    put_digests(hash, sites, count);
}

static void put_places(struct bw_compile *compile, struct bw_sha256 *hash,
                       const struct bw_policy_places *places, enum bw_territory_sense sense)
{
    put_u64(hash, places->at.line != 0);
    put_u64(hash, bw_places_have_all(places));
    struct bw_territory_set set;
    bw_policy_places_expand(places, sense, &set);
    put_set(hash, &set);
    put_sites(compile, hash, places);
}

static void put_denied(struct bw_compile *compile, struct bw_sha256 *hash, const struct bw_chain_level *level,
                       bool entry)
{
    const struct bw_policy_places *deny =
        entry ? &level->sections->entry.deny : &level->sections->transit.deny;
    struct bw_territory_set all;
    bw_territory_set_clear(&all);
    struct digest *sites = bw_arena_zalloc(compile->scratch, deny->count, sizeof *sites);
    if (sites == NULL) {
        compile->full = true;
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < deny->count; i++) {
        struct bw_territory_set set;
        if (!bw_compile_denied(level, entry, &deny->items[i], &set))
            continue;
        bw_territory_set_or(&all, &set);
        if (deny->items[i].kind == BW_PLACE_SITE)
            bw_sha256(deny->items[i].text, sites[count++].bytes);
    }
    put_set(hash, &all);
    put_digests(hash, sites, count);
}

static void put_certifications(struct bw_compile *compile, struct bw_sha256 *hash,
                               const struct bw_policy_certifications *clauses)
{
    struct digest *digests = bw_arena_zalloc(compile->scratch, clauses->count, sizeof *digests);
    if (digests == NULL) {
        compile->full = true;
        return;
    }
    for (size_t i = 0; i < clauses->count; i++) {
        const struct bw_policy_certification *clause = &clauses->items[i];
        struct digest *names = bw_arena_zalloc(compile->scratch, clause->any_of.count, sizeof *names);
        if (names == NULL) {
            compile->full = true;
            return;
        }
        for (size_t n = 0; n < clause->any_of.count; n++)
            bw_sha256(clause->any_of.items[n].text, names[n].bytes);
        struct bw_sha256 one;
        bw_sha256_init(&one);
        put_digests(&one, names, clause->any_of.count);
        bw_sha256_final(&one, digests[i].bytes);
    }
    put_digests(hash, digests, clauses->count);
}

static void put_texts(struct bw_compile *compile, struct bw_sha256 *hash, const struct bw_yaml_texts *texts)
{
    struct digest *digests = bw_arena_zalloc(compile->scratch, texts->count, sizeof *digests);
    if (digests == NULL) {
        compile->full = true;
        return;
    }
    for (size_t i = 0; i < texts->count; i++)
        bw_sha256(texts->items[i].text, digests[i].bytes);
    put_u64(hash, texts->at.line != 0);
    put_digests(hash, digests, texts->count);
}

static void digest_level(struct bw_compile *compile, const struct bw_chain_level *level, struct digest *out)
{
    const struct bw_policy_sections *s = level->sections;
    struct bw_sha256 hash;
    bw_sha256_init(&hash);
    put_u64(&hash, level->level);
    put_texts(compile, &hash, &s->residency.at_rest);
    put_number(&hash, &s->residency.retention.quality);
    put_number(&hash, &s->residency.retention.participants);
    put_number(&hash, &s->residency.retention.decisions);
    put_places(compile, &hash, &s->entry.allow, BW_TERRITORY_ALLOWING);
    put_denied(compile, &hash, level, true);
    put_number(&hash, &s->entry.unknown);
    put_places(compile, &hash, &s->transit.allow, BW_TERRITORY_ALLOWING);
    put_denied(compile, &hash, level, false);
    put_u64(&hash, s->transit.prefer.count);
    for (size_t i = 0; i < s->transit.prefer.count; i++)
        put_places(compile, &hash, &s->transit.prefer.items[i], BW_TERRITORY_ALLOWING);
    put_places(compile, &hash, &s->transit.operators.allow_jurisdictions, BW_TERRITORY_ALLOWING);
    put_places(compile, &hash, &s->transit.operators.deny_jurisdictions, BW_TERRITORY_DENYING);
    put_certifications(compile, &hash, &s->transit.require_certifications);
    put_u64(&hash, s->transit.on_no_relay.at.line != 0);
    put_u64(&hash, s->transit.on_no_relay.action);
    put_u64(&hash, s->transit.on_no_relay.wait_ms);
    put_u64(&hash, s->transit.on_policy_change.at.line != 0);
    put_u64(&hash, s->transit.on_policy_change.action);
    put_u64(&hash, s->transit.on_policy_change.drain_ms);
    put_number(&hash, &s->e2ee.mode);
    uint64_t suites = 0;
    for (size_t i = 0; i < s->e2ee.suites.count; i++)
        suites |= UINT64_C(1) << s->e2ee.suites.items[i].value;
    put_u64(&hash, s->e2ee.suites.at.line != 0);
    put_u64(&hash, suites);
    put_number(&hash, &s->e2ee.connectors_as_endpoints);
    put_number(&hash, &s->e2ee.downgrade);
    put_u64(&hash, s->connectors.allow.at.line != 0);
    put_u64(&hash, bw_policy_connector_mask(&s->connectors.allow));
    put_u64(&hash, bw_policy_connector_mask(&s->connectors.require));
    struct bw_view key = s->keys.metadata.key.text;
    put_u64(&hash, key.len);
    bw_sha256_update(&hash, key.data, key.len);
    put_number(&hash, &s->keys.metadata.on_unavailable);
    put_number(&hash, &s->keys.metadata.on_denied);
    put_number(&hash, &s->guests.unverified);
    bw_sha256_final(&hash, out->bytes);
}

void bw_compile_hash(struct bw_compile *compile)
{
    struct digest *levels = bw_arena_zalloc(compile->scratch, compile->level_count, sizeof *levels);
    if (levels == NULL) {
        compile->full = true;
        return;
    }
    for (size_t i = 0; i < compile->level_count; i++)
        digest_level(compile, compile->levels[i].chain, &levels[i]);
    struct bw_sha256 hash;
    bw_sha256_init(&hash);
    static const char domain[] = "bw-constraints/v1";
    bw_sha256_update(&hash, domain, sizeof domain);
    const char *tables = bw_territory_tables_hash();
    bw_sha256_update(&hash, tables, strlen(tables));
    put_digests(&hash, levels, compile->level_count);
    bw_sha256_final(&hash, compile->out->hash);
}
