/* A chunk: the windows of one stream over one to five minutes, as columns, coded so that a sample (one value
 * of one field in one window) takes one to two bytes. There is one encoding of a given run of windows and the
 * decoder takes no other. docs/reference/quality.md has the layout.
 *
 * Threads: pure. */
#ifndef BW_QUALITY_CHUNK_H
#define BW_QUALITY_CHUNK_H

#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "quality/sample.h"

enum {
    BW_QUALITY_CHUNK_VERSION = 1,
    BW_QUALITY_CHUNK_WINDOWS = 64,     /* at most, at least 1 */
    BW_QUALITY_CHUNK_SPAN_MS = 300000, /* from the first start to the last */
    BW_QUALITY_CHUNK_MAX_BYTES = 8192, /* no chunk is longer */
};

struct bw_quality_chunk {
    enum bw_quality_source source;
    enum bw_quality_media media;
    size_t count;
    struct bw_quality_window windows[BW_QUALITY_CHUNK_WINDOWS]; /* starts ascend strictly */
};

/* Appends to out. INVALID_ARGUMENT: a window is impossible, out of order, or too far from the first.
 * RESOURCE_EXHAUSTED: out of memory; out is as it was. */
BW_MUST_USE enum bw_code bw_quality_chunk_encode(const struct bw_quality_chunk *chunk, struct bw_buf *out,
                                                 struct bw_error *err);
/* DATA_LOSS when these bytes are not exactly one chunk; *out is then unspecified. Allocates nothing. */
BW_MUST_USE enum bw_code bw_quality_chunk_decode(struct bw_view bytes, struct bw_quality_chunk *out,
                                                 struct bw_error *err);
/* How many samples it holds. */
size_t bw_quality_chunk_samples(const struct bw_quality_chunk *chunk);

#endif
