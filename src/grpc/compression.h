/* gzip, the one message encoding besides identity. Threads: pure. */
#ifndef BW_GRPC_COMPRESSION_H
#define BW_GRPC_COMPRESSION_H

#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"

/* Appends to *out. RESOURCE_EXHAUSTED as soon as more than max_bytes come out (never more is allocated) or
 * without memory; INTERNAL when the input is not one whole gzip member. */
BW_MUST_USE enum bw_code bw_gzip_inflate(struct bw_view input, size_t max_bytes, struct bw_buf *out,
                                         struct bw_error *err);
/* Appends to *out; RESOURCE_EXHAUSTED without memory. */
BW_MUST_USE enum bw_code bw_gzip_deflate(struct bw_view input, struct bw_buf *out, struct bw_error *err);

#endif
