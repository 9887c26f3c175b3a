#include "placement/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "crypto/hash.h"
#include "placement/distance.h"
#include "policy/territory.h"

enum { SNAPSHOT_BYTES_MAX = 1 << 30 };

static int compare_regions(const void *a, const void *b)
{
    return strcmp(((const struct bw_region *)a)->name, ((const struct bw_region *)b)->name);
}

static enum bw_code copy_regions(struct bw_snapshot *s, const struct bw_snapshot_input *input,
                                 struct bw_error *err)
{
    if (input->region_count > BW_REGIONS_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "at most %d regions", BW_REGIONS_MAX);
    struct bw_region *regions = bw_arena_zalloc(s->arena, input->region_count, sizeof *regions);
    if (regions == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < input->region_count; i++) {
        regions[i] = input->regions[i];
        regions[i].name = bw_arena_strdup(s->arena, input->regions[i].name);
        const char **countries = bw_arena_zalloc(s->arena, regions[i].country_count, sizeof *countries);
        if (regions[i].name == NULL || countries == NULL)
            return bw_fail_memory(err);
        for (size_t c = 0; c < regions[i].country_count; c++) {
            countries[c] = bw_arena_strdup(s->arena, input->regions[i].countries[c]);
            if (countries[c] == NULL)
                return bw_fail_memory(err);
        }
        regions[i].countries = countries;
    }
    if (input->region_count > 1)
        qsort(regions, input->region_count, sizeof *regions, compare_regions);
    for (size_t i = 1; i < input->region_count; i++)
        if (compare_regions(&regions[i - 1], &regions[i]) == 0)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "two regions are named %s", regions[i].name);
    s->regions = regions;
    s->region_count = input->region_count;
    return BW_OK;
}

static enum bw_code place_relays(struct bw_snapshot *s, struct bw_error *err)
{
    uint32_t *regions = bw_arena_zalloc(s->arena, s->relay_count, sizeof *regions);
    uint64_t *keys = bw_arena_zalloc(s->arena, s->relay_count, sizeof *keys);
    if (regions == NULL || keys == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < s->relay_count; i++) {
        const struct bw_relay_facts *relay = &s->facts->relays[i];
        regions[i] = relay->region == NULL ? BW_NO_REGION : bw_snapshot_region(s, relay->region);
        if (relay->region != NULL && regions[i] == BW_NO_REGION && s->region_count > 0)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "relay %s: there is no region %s", relay->name,
                           relay->region);
        uint64_t key = UINT64_C(0xcbf29ce484222325); /* FNV-1a over the name */
        for (const char *c = relay->name; *c != '\0'; c++)
            key = (key ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
        keys[i] = key;
    }
    s->relay_region = regions;
    s->relay_key = keys;
    return BW_OK;
}

static bool judge_state(struct bw_snapshot *s, const struct bw_snapshot_input *input)
{
    struct bw_relay_live *live = bw_arena_memdup(s->arena, input->live, s->relay_count * sizeof *input->live);
    uint32_t *reasons = bw_arena_zalloc(s->arena, s->relay_count, sizeof *reasons);
    if (live == NULL || reasons == NULL || !bw_bitset_init(&s->placeable, s->arena, s->facts->node_count) ||
        !bw_bitset_init(&s->cascading, s->arena, s->facts->node_count))
        return false;
    for (size_t i = 0; i < s->relay_count; i++) {
        uint32_t version = s->facts->relays[i].version;
        if (live[i].state == BW_RELAY_CORDONED || live[i].state == BW_RELAY_DEAD)
            reasons[i] |= BW_REASON_BIT(BW_REASON_RELAY_STATE);
        if (live[i].state == BW_RELAY_DRAINING)
            reasons[i] |= BW_REASON_BIT(BW_REASON_DRAINING);
        if (!live[i].lease_ok)
            reasons[i] |= BW_REASON_BIT(BW_REASON_LEASE_EXPIRED);
        if (version < input->version_min || (input->version_max != 0 && version > input->version_max))
            reasons[i] |= BW_REASON_BIT(BW_REASON_VERSION);
        if (reasons[i] == 0)
            bw_bitset_set(&s->placeable, i);
        if (s->facts->relays[i].cascade)
            bw_bitset_set(&s->cascading, i);
    }
    s->live = live;
    s->state_reasons = reasons;
    return true;
}

/* A set of its own before the first denial; until then all share one. */
static bool deny_in(struct bw_snapshot *s, struct bw_bitset *sets, const struct bw_bitset *shared, size_t at,
                    size_t relay)
{
    if (sets[at].words == shared->words) {
        if (!bw_bitset_init(&sets[at], s->arena, shared->bits))
            return false;
        bw_bitset_copy(&sets[at], shared);
    }
    bw_bitset_clear(&sets[at], relay);
    return true;
}

static enum bw_code build_links(struct bw_snapshot *s, const struct bw_snapshot_input *input,
                                struct bw_error *err)
{
    struct bw_bitset all;
    struct bw_bitset *links = bw_arena_zalloc(s->arena, s->relay_count, sizeof *links);
    struct bw_bitset *access = bw_arena_zalloc(s->arena, s->region_count + 1, sizeof *access);
    if (links == NULL || access == NULL || !bw_bitset_init(&all, s->arena, s->facts->node_count))
        return bw_fail_memory(err);
    bw_bitset_copy(&all, &s->facts->relay_nodes);
    for (size_t i = 0; i < s->relay_count; i++)
        links[i] = all;
    for (size_t i = 0; i <= s->region_count; i++)
        access[i] = all;
    for (size_t d = 0; d < input->denied_count; d++) {
        const char *names[2] = {input->denied[d].a, input->denied[d].b};
        size_t relay[2];
        uint32_t region[2];
        for (int side = 0; side < 2; side++) {
            relay[side] = bw_facts_find_relay(s->facts, names[side]);
            region[side] = relay[side] == SIZE_MAX ? bw_snapshot_region(s, names[side]) : BW_NO_REGION;
        }
        bool ok = true;
        if (relay[0] != SIZE_MAX && relay[1] != SIZE_MAX)
            ok = deny_in(s, links, &all, relay[0], relay[1]) && deny_in(s, links, &all, relay[1], relay[0]);
        else if (relay[0] != SIZE_MAX && region[1] != BW_NO_REGION)
            ok = deny_in(s, access, &all, region[1], relay[0]);
        else if (relay[1] != SIZE_MAX && region[0] != BW_NO_REGION)
            ok = deny_in(s, access, &all, region[0], relay[1]);
        else if (!input->denied_may_dangle)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                           "legs.deny [%s, %s]: name two relays, or a region and a relay", names[0],
                           names[1]);
        if (!ok)
            return bw_fail_memory(err);
    }
    s->links = links;
    s->access = access;
    return BW_OK;
}

static int compare_probes(const void *a, const void *b)
{
    const struct bw_probe *x = a, *y = b;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

/* Both directions, as sorted rows; a pair measured from both ends gets the mean. */
static enum bw_code build_probes(struct bw_snapshot *s, const struct bw_snapshot_input *input,
                                 struct bw_error *err)
{
    size_t count = 2 * input->probe_count;
    struct bw_probe *both = bw_arena_zalloc(s->arena, count, sizeof *both);
    struct bw_neighbour *row = bw_arena_zalloc(s->arena, count, sizeof *row);
    uint32_t *start = bw_arena_zalloc(s->arena, s->relay_count + 1, sizeof *start);
    if (both == NULL || row == NULL || start == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < input->probe_count; i++) {
        struct bw_probe probe = input->probes[i];
        if (probe.a >= s->relay_count || probe.b >= s->relay_count)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a probe names relay %u of %zu",
                           probe.a > probe.b ? probe.a : probe.b, s->relay_count);
        both[2 * i] = probe;
        both[2 * i + 1] = (struct bw_probe){.a = probe.b, .b = probe.a, .rtt_us = probe.rtt_us};
    }
    if (count > 1)
        qsort(both, count, sizeof *both, compare_probes);
    uint32_t kept = 0;
    for (size_t i = 0; i < count;) {
        uint64_t sum = 0, n = 0;
        size_t first = i;
        for (; i < count && compare_probes(&both[first], &both[i]) == 0; i++) {
            sum += both[i].rtt_us;
            n++;
        }
        row[kept++] = (struct bw_neighbour){.relay = both[first].b, .us = bw_one_way_us(sum / n)};
        start[both[first].a + 1] = kept;
    }
    for (size_t r = 1; r <= s->relay_count; r++)
        if (start[r] < start[r - 1])
            start[r] = start[r - 1];
    s->probe_start = start;
    s->probes = row;
    return BW_OK;
}

static void hash_snapshot(struct bw_snapshot *s)
{
    struct bw_sha256 hash;
    bw_sha256_init(&hash);
    static const char domain[] = "bw-snapshot/v1";
    bw_sha256_update(&hash, domain, sizeof domain);
    bw_sha256_update(&hash, s->facts->hash, sizeof s->facts->hash);
    for (size_t i = 0; i < s->relay_count; i++) {
        const uint32_t row[] = {(uint32_t)s->live[i].state, s->live[i].lease_ok,  s->live[i].capacity,
                                s->live[i].placed,          s->live[i].load_ppm,  s->relay_region[i],
                                s->state_reasons[i],        s->probe_start[i + 1]};
        uint8_t bytes[sizeof row];
        struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
        for (size_t f = 0; f < BW_ARRAY_LEN(row); f++)
            bw_write_u32(&w, row[f]);
        bw_sha256_update(&hash, bytes, sizeof bytes);
        bw_sha256_update(&hash, s->links[i].words, bw_bitset_words(&s->links[i]) * sizeof(uint64_t));
    }
    for (size_t i = 0; i < s->region_count; i++) {
        bw_sha256_update(&hash, s->regions[i].name, strlen(s->regions[i].name) + 1);
        bw_sha256_update(&hash, s->access[i].words, bw_bitset_words(&s->access[i]) * sizeof(uint64_t));
    }
    bw_sha256_update(&hash, s->region_us, s->region_count * s->region_count * sizeof *s->region_us);
    bw_sha256_update(&hash, s->probes, s->probe_start[s->relay_count] * sizeof *s->probes);
    bw_sha256_final(&hash, s->hash);
}

enum bw_code bw_snapshot_create(const struct bw_snapshot_input *input, struct bw_snapshot **snapshot,
                                struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(SNAPSHOT_BYTES_MAX);
    struct bw_snapshot *s = arena == NULL ? NULL : bw_arena_zalloc(arena, 1, sizeof *s);
    if (s == NULL) {
        bw_arena_destroy(arena);
        return bw_fail_memory(err);
    }
    s->references = 1;
    s->arena = arena;
    s->facts = input->facts;
    s->relay_count = input->facts->relay_count;
    enum bw_code code = copy_regions(s, input, err);
    if (code == BW_OK)
        code = place_relays(s, err);
    if (code == BW_OK)
        code = bw_distance_build(s, input, err);
    if (code == BW_OK && !judge_state(s, input))
        code = bw_fail_memory(err);
    if (code == BW_OK)
        code = build_links(s, input, err);
    if (code == BW_OK)
        code = build_probes(s, input, err);
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        return code;
    }
    hash_snapshot(s);
    bw_facts_retain(s->facts);
    *snapshot = s;
    return BW_OK;
}

struct bw_snapshot *bw_snapshot_retain(struct bw_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void bw_snapshot_release(struct bw_snapshot *snapshot)
{
    if (snapshot == NULL || atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) != 1)
        return;
    bw_facts_release(snapshot->facts);
    bw_arena_destroy(snapshot->arena);
}

uint32_t bw_snapshot_region(const struct bw_snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->region_count; i++)
        if (strcmp(snapshot->regions[i].name, name) == 0)
            return (uint32_t)i;
    return BW_NO_REGION;
}

static uint32_t region_holding(const struct bw_snapshot *snapshot, uint16_t place)
{
    for (size_t i = 0; i < snapshot->region_count; i++) {
        const struct bw_region *region = &snapshot->regions[i];
        for (size_t c = 0; c < region->country_count; c++) {
            uint16_t held;
            if (bw_territory_find(bw_view_str(region->countries[c]), &held) && held == place)
                return (uint32_t)i;
        }
    }
    return BW_NO_REGION;
}

uint32_t bw_snapshot_region_of_place(const struct bw_snapshot *snapshot, const char *place)
{
    uint16_t index;
    if (place == NULL || !bw_territory_find(bw_view_str(place), &index))
        return BW_NO_REGION;
    for (uint16_t at = index; at != BW_TERRITORY_NONE; at = bw_territory_parent(at)) {
        uint32_t region = region_holding(snapshot, at);
        if (region != BW_NO_REGION)
            return region;
    }
    return BW_NO_REGION;
}

uint32_t bw_snapshot_hop_us(const struct bw_snapshot *snapshot, uint32_t region, uint32_t relay)
{
    uint32_t there = snapshot->relay_region[relay];
    if (region == BW_NO_REGION || there == BW_NO_REGION)
        return snapshot->unknown_us;
    return snapshot->region_us[region * snapshot->region_count + there];
}

uint32_t bw_snapshot_link_us(const struct bw_snapshot *snapshot, uint32_t a, uint32_t b)
{
    if (a == b)
        return 0;
    uint32_t low = snapshot->probe_start[a], high = snapshot->probe_start[a + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (snapshot->probes[middle].relay == b)
            return snapshot->probes[middle].us;
        if (snapshot->probes[middle].relay < b)
            low = middle + 1;
        else
            high = middle;
    }
    return bw_snapshot_hop_us(snapshot, snapshot->relay_region[a], b);
}
