/* DDSketch (Masson, Rim, Lee 2019) of non-negative values: any quantile is within 1 % of the exact one, and
 * sketches merge without loss. Bin i counts values in (g^(i-1), g^i] with g = 1.01 / 0.99; zeroes are counted
 * apart. Bins are a sorted list, so that few values take little room, and there are at most 1,024, which is
 * values from 1 to 7e8 without loss: beyond, the lowest bins fall together and only quantiles that land there
 * lose their bound.
 *
 * Threads: one at a time. Owner: init/finish; all-zero is a valid empty sketch. */
#ifndef BW_QUALITY_SKETCH_H
#define BW_QUALITY_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { BW_SKETCH_BINS = 1024 };
#define BW_SKETCH_ALPHA     0.01
#define BW_SKETCH_VALUE_MAX INT64_C(1000000000000)

struct bw_sketch_bin {
    uint64_t count;
    uint32_t index;
};

struct bw_sketch {
    struct bw_sketch_bin *bins; /* ascending by index */
    uint32_t used, room;
    uint64_t count; /* of all values, zeroes too */
    uint64_t zeroes;
    int64_t least, most; /* exact; meaningless while count is 0 */
};

void bw_sketch_finish(struct bw_sketch *sketch);
/* Makes room, so that the next add cannot fail. */
BW_MUST_USE enum bw_code bw_sketch_reserve(struct bw_sketch *sketch, struct bw_error *err);
/* value is 0 to BW_SKETCH_VALUE_MAX (ours to keep to). Fails only for want of memory, and then nothing has
 * changed. */
BW_MUST_USE enum bw_code bw_sketch_add(struct bw_sketch *sketch, int64_t value, struct bw_error *err);
/* As if all values of both had been added to one. On failure `into` is unchanged: RESOURCE_EXHAUSTED for want
 * of memory, OUT_OF_RANGE when the counts do not fit. */
BW_MUST_USE enum bw_code bw_sketch_merge(struct bw_sketch *into, const struct bw_sketch *from,
                                         struct bw_error *err);
/* The value at rank floor(q * (count - 1)), q from 0 to 1, within 1 %; 0 when empty. */
double bw_sketch_quantile(const struct bw_sketch *sketch, double q);

/* Appends; a failure shows in out->failed. */
void bw_sketch_encode(const struct bw_sketch *sketch, struct bw_buf *out);
/* Takes one sketch from the reader, which may hold more behind it; *out is finished by the caller after
 * success. DATA_LOSS when it is none. */
BW_MUST_USE enum bw_code bw_sketch_decode(struct bw_reader *reader, struct bw_sketch *out,
                                          struct bw_error *err);

#endif
