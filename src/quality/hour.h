/* The quality of one tenant's meetings in one hour, by site, relay, ASN …: what percentiles and percent-poor
 * are answered from, without opening a single chunk. A blob holds any number of groups (dimension, value),
 * each with a sketch per metric; blobs of the same hour, or of many hours, merge.
 *
 * Only judged windows count: a grey one is in no figure.
 *
 * Threads: one at a time. Owner: create/destroy. */
#ifndef BW_QUALITY_HOUR_H
#define BW_QUALITY_HOUR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "quality/classify.h"
#include "quality/distinct.h"
#include "quality/sketch.h"

/* Numbers are durable and, from 1, those of the API's QualityDimension. */
enum bw_quality_dimension {
    BW_QUALITY_BY_ALL = 0, /* one group, its value "" */
    BW_QUALITY_BY_SITE = 1,
    BW_QUALITY_BY_RELAY = 2,
    BW_QUALITY_BY_ASN = 3,
    BW_QUALITY_BY_CLIENT_VERSION = 4,
    BW_QUALITY_BY_POLICY_REVISION = 5,
    BW_QUALITY_DIMENSIONS,
};

enum {
    BW_QUALITY_VALUE_MAX = 128,   /* bytes of a group's value */
    BW_QUALITY_GROUPS_MAX = 4096, /* of one blob */
    BW_QUALITY_HOUR_VERSION = 1,
};

struct bw_quality_group {
    enum bw_quality_dimension dimension;
    char value[BW_QUALITY_VALUE_MAX + 1];
    uint64_t judged, poor; /* windows; poor: red */
    struct bw_distinct participants;
    struct bw_sketch sketches[BW_QUALITY_METRICS]; /* by metric; [0] is empty */
    uint64_t red[BW_QUALITY_METRICS];              /* windows that were red by this metric */
};

struct bw_quality_hour;

BW_MUST_USE enum bw_code bw_quality_hour_create(struct bw_quality_hour **out, struct bw_error *err);
/* NULL is allowed. */
void bw_quality_hour_destroy(struct bw_quality_hour *hour);

/* Where a window belongs. */
struct bw_quality_place {
    enum bw_quality_dimension dimension;
    const char *value;
};

/* Adds one window to each of its places. A grey one is left out. `participant` is a keyed hash of who it is.
 * INVALID_ARGUMENT: a value that is too long or holds control characters; RESOURCE_EXHAUSTED: out of
 * memory, or too many groups. On failure nothing has been added. */
BW_MUST_USE enum bw_code bw_quality_hour_add(struct bw_quality_hour *hour,
                                             const struct bw_quality_place *places, size_t place_count,
                                             const struct bw_quality_judgement *judgement,
                                             uint64_t participant, struct bw_error *err);
/* On failure `into` may hold a part of `from`: it must be destroyed. */
BW_MUST_USE enum bw_code bw_quality_hour_merge(struct bw_quality_hour *into,
                                               const struct bw_quality_hour *from, struct bw_error *err);

size_t bw_quality_hour_count(const struct bw_quality_hour *hour);
/* Groups sorted by dimension, then by value; borrowed, valid until the hour changes. */
const struct bw_quality_group *bw_quality_hour_at(const struct bw_quality_hour *hour, size_t index);
/* NULL when there is none. */
const struct bw_quality_group *bw_quality_hour_find(const struct bw_quality_hour *hour,
                                                    enum bw_quality_dimension dimension, const char *value);

/* Appends to out. RESOURCE_EXHAUSTED: out of memory. */
BW_MUST_USE enum bw_code bw_quality_hour_encode(const struct bw_quality_hour *hour, struct bw_buf *out,
                                                struct bw_error *err);
/* DATA_LOSS when these bytes are not exactly one blob. */
BW_MUST_USE enum bw_code bw_quality_hour_decode(struct bw_view bytes, struct bw_quality_hour **out,
                                                struct bw_error *err);

#endif
