#include "grpc/compression.h"

#include <limits.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/alloc.h"

enum { GZIP_WINDOW = 15 + 16, STEP_BYTES = 4096, LEVEL = 6 };

static void *allocate(void *opaque, uInt items, uInt size)
{
    (void)opaque;
    return bw_calloc(items, size);
}

static void release(void *opaque, void *memory)
{
    (void)opaque;
    bw_free(memory);
}

static enum bw_code inflate_all(z_stream *z, size_t max_bytes, struct bw_buf *out, struct bw_error *err)
{
    size_t start = out->len, step = STEP_BYTES;
    for (;;) {
        size_t left = max_bytes - (out->len - start);
        /* One byte more than allowed tells "exactly at the limit" from "beyond". */
        size_t room = left + 1 < step ? left + 1 : step;
        if (!bw_buf_reserve(out, room))
            return bw_fail_memory(err);
        z->next_out = out->data + out->len;
        z->avail_out = (uInt)room;
        int rc = inflate(z, Z_NO_FLUSH);
        out->len += room - z->avail_out;
        if (out->len - start > max_bytes)
            return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                           "message exceeds the limit of %zu bytes when inflated", max_bytes);
        if (rc == Z_STREAM_END && z->avail_in == 0)
            return BW_OK;
        if (rc == Z_MEM_ERROR)
            return bw_fail_memory(err);
        if (rc != Z_OK || (z->avail_in == 0 && z->avail_out > 0))
            return bw_fail(err, BW_INTERNAL, NULL, "compressed message is not valid gzip");
        if (step < 1 << 20)
            step *= 2;
    }
}

enum bw_code bw_gzip_inflate(struct bw_view input, size_t max_bytes, struct bw_buf *out, struct bw_error *err)
{
    z_stream z = {.zalloc = allocate, .zfree = release};
    if (input.len > UINT_MAX || max_bytes >= SIZE_MAX / 2)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "message is too large");
    z.next_in = input.data;
    z.avail_in = (uInt)input.len;
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return bw_fail_memory(err);
    enum bw_code code = inflate_all(&z, max_bytes, out, err);
    inflateEnd(&z);
    return code;
}

enum bw_code bw_gzip_deflate(struct bw_view input, struct bw_buf *out, struct bw_error *err)
{
    z_stream z = {.zalloc = allocate, .zfree = release};
    if (input.len > UINT_MAX / 2)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "message is too large");
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return bw_fail_memory(err);
    uLong bound = deflateBound(&z, (uLong)input.len);
    enum bw_code code = BW_OK;
    if (!bw_buf_reserve(out, bound)) {
        code = bw_fail_memory(err);
    } else {
        z.next_in = input.data;
        z.avail_in = (uInt)input.len;
        z.next_out = out->data + out->len;
        z.avail_out = (uInt)bound;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END)
            out->len += bound - z.avail_out;
        else
            code = bw_fail(err, BW_INTERNAL, NULL, "cannot compress a message");
    }
    deflateEnd(&z);
    return code;
}
