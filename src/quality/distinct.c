#include "quality/distinct.h"

#include <string.h>

#include "quality/varint.h"

void bw_distinct_add(struct bw_distinct *set, uint64_t hash)
{
    uint32_t at = 0;
    while (at < set->count && set->hashes[at] < hash)
        at++;
    if (at == BW_DISTINCT_KEPT || (at < set->count && set->hashes[at] == hash))
        return;
    uint32_t kept = set->count < BW_DISTINCT_KEPT ? set->count : BW_DISTINCT_KEPT - 1;
    memmove(&set->hashes[at + 1], &set->hashes[at], (kept - at) * sizeof *set->hashes);
    set->hashes[at] = hash;
    set->count = kept + 1;
}

void bw_distinct_merge(struct bw_distinct *into, const struct bw_distinct *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        bw_distinct_add(into, from->hashes[i]);
}

uint64_t bw_distinct_count(const struct bw_distinct *set)
{
    if (set->count < BW_DISTINCT_KEPT)
        return set->count;
    /* n hashes fall evenly over 2^64: the k-th smallest stands at about k / n of it. */
    double share = (double)set->hashes[BW_DISTINCT_KEPT - 1] / 18446744073709551616.0;
    double estimate = share > 0 ? (BW_DISTINCT_KEPT - 1) / share : 0;
    if (estimate < BW_DISTINCT_KEPT)
        return BW_DISTINCT_KEPT;
    return estimate < 1e15 ? (uint64_t)(estimate + 0.5) : UINT64_C(1000000000000000);
}

void bw_distinct_encode(const struct bw_distinct *set, struct bw_buf *out)
{
    bw_varint_append(out, set->count);
    for (uint32_t i = 0; i < set->count; i++)
        bw_buf_append_u64(out, set->hashes[i]);
}

enum bw_code bw_distinct_decode(struct bw_reader *r, struct bw_distinct *out, struct bw_error *err)
{
    struct bw_distinct set = {.count = (uint32_t)bw_varint_read(r, BW_DISTINCT_KEPT)};
    for (uint32_t i = 0; i < set.count; i++) {
        set.hashes[i] = bw_read_u64(r);
        if (i > 0 && set.hashes[i] <= set.hashes[i - 1])
            r->failed = true;
    }
    if (r->failed)
        return bw_fail(err, BW_DATA_LOSS, NULL, "not a set of hashes");
    *out = set;
    return BW_OK;
}
