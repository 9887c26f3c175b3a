/* What pins a decision to the facts it was made on. */
#include <string.h>

#include "crypto/hash.h"
#include "policy/facts_internal.h"

static void hash_number(struct bw_sha256 *hash, uint64_t number)
{
    uint8_t bytes[8];
    struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
    bw_write_u64(&w, number);
    bw_sha256_update(hash, bytes, sizeof bytes);
}

/* Length first, so that no two sequences of texts read alike; an absent text differs from an empty one. */
static void hash_text(struct bw_sha256 *hash, const char *text)
{
    hash_number(hash, text == NULL ? UINT64_MAX : strlen(text));
    if (text != NULL)
        bw_sha256_update(hash, text, strlen(text));
}

static void hash_texts(struct bw_sha256 *hash, const char *const *texts, size_t count)
{
    hash_number(hash, count);
    for (size_t i = 0; i < count; i++)
        hash_text(hash, texts[i]);
}

static void hash_attested(struct bw_sha256 *hash, const struct bw_operator_facts *by,
                          const struct bw_certification *certifications, size_t count)
{
    hash_text(hash, by->name);
    hash_texts(hash, by->jurisdictions, by->jurisdiction_count);
    hash_number(hash, count);
    for (size_t i = 0; i < count; i++) {
        hash_text(hash, certifications[i].name);
        hash_number(hash, certifications[i].expires_ms);
    }
}

void bw_facts_digest(struct bw_facts *facts)
{
    struct bw_sha256 hash;
    bw_sha256_init(&hash);
    hash_number(&hash, facts->relay_count);
    for (size_t i = 0; i < facts->relay_count; i++) {
        const struct bw_relay_facts *relay = &facts->relays[i];
        hash_text(&hash, relay->name);
        hash_number(&hash, relay->number);
        hash_text(&hash, relay->site);
        hash_text(&hash, relay->region);
        hash_text(&hash, relay->place);
        hash_attested(&hash, &relay->operated_by, relay->certifications, relay->certification_count);
        hash_number(&hash, (uint64_t)relay->media << 32 | relay->cascade);
        hash_texts(&hash, relay->tenants, relay->tenant_count);
        hash_number(&hash, (uint64_t)relay->connectors << 32 | relay->far_leg);
        hash_number(&hash, relay->stores_known);
        hash_texts(&hash, relay->stores, relay->store_count);
        hash_number(&hash, relay->version);
    }
    hash_number(&hash, facts->cell_count);
    for (size_t i = 0; i < facts->cell_count; i++) {
        const struct bw_cell_facts *cell = &facts->cells[i];
        hash_text(&hash, cell->name);
        hash_text(&hash, cell->place);
        hash_attested(&hash, &cell->operated_by, cell->certifications, cell->certification_count);
    }
    bw_sha256_final(&hash, facts->hash);
}
