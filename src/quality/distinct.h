/* How many different people: the 64 smallest of their 64-bit hashes. Exact below 64, which is what the rule
 * "no group under five people" needs; an estimate (12 % standard error) above. Merging is exact: the same
 * person in both counts once. The hashes are the caller's: keyed, so that they say nothing to who has no key.
 *
 * Threads: one at a time. Plain values; all-zero is empty. */
#ifndef BW_QUALITY_DISTINCT_H
#define BW_QUALITY_DISTINCT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { BW_DISTINCT_KEPT = 64 };

struct bw_distinct {
    uint32_t count; /* of hashes kept, ascending */
    uint64_t hashes[BW_DISTINCT_KEPT];
};

void bw_distinct_add(struct bw_distinct *set, uint64_t hash);
void bw_distinct_merge(struct bw_distinct *into, const struct bw_distinct *from);
uint64_t bw_distinct_count(const struct bw_distinct *set);
void bw_distinct_encode(const struct bw_distinct *set, struct bw_buf *out);
/* DATA_LOSS when it is none. */
BW_MUST_USE enum bw_code bw_distinct_decode(struct bw_reader *reader, struct bw_distinct *out,
                                            struct bw_error *err);

#endif
