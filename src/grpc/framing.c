#include "grpc/framing.h"

#include <string.h>

enum { FIRST_BODY_BYTES = 16384 };

void bw_framer_init(struct bw_framer *framer, size_t max_bytes)
{
    *framer = (struct bw_framer){.max_bytes = max_bytes};
}

void bw_framer_finish(struct bw_framer *framer)
{
    bw_buf_finish(&framer->body);
}

static size_t take_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uint32_t prefix_length(const uint8_t *prefix)
{
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4];
}

static void advance(struct bw_view *input, size_t n)
{
    input->data += n;
    input->len -= n;
}

static enum bw_code check_prefix(const struct bw_framer *framer, const uint8_t *prefix, struct bw_error *err)
{
    if (prefix[0] > 1)
        return bw_fail(err, BW_INTERNAL, NULL, "a message starts with flag byte %u; gRPC knows 0 and 1",
                       prefix[0]);
    if (prefix_length(prefix) > framer->max_bytes)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "message of %u bytes exceeds the limit of %zu",
                       prefix_length(prefix), framer->max_bytes);
    return BW_OK;
}

enum bw_code bw_framer_feed(struct bw_framer *framer, struct bw_view *input, bool *complete,
                            struct bw_frame *frame, struct bw_error *err)
{
    *complete = false;
    if (framer->delivered) {
        framer->delivered = false;
        /* A stream of small messages keeps its buffer; one large message does not hold memory for ever. */
        if (framer->body.cap > FIRST_BODY_BYTES)
            bw_buf_finish(&framer->body);
        else
            bw_buf_clear(&framer->body);
    }
    if (framer->prefix_len == 0 && input->len >= BW_FRAME_PREFIX_BYTES) {
        /* Usually a whole message lies in one piece: no copy. */
        enum bw_code code = check_prefix(framer, input->data, err);
        if (code != BW_OK)
            return code;
        size_t length = prefix_length(input->data);
        if (input->len - BW_FRAME_PREFIX_BYTES >= length) {
            *frame = (struct bw_frame){.compressed = input->data[0] == 1,
                                       .message = bw_view_of(input->data + BW_FRAME_PREFIX_BYTES, length)};
            advance(input, BW_FRAME_PREFIX_BYTES + length);
            *complete = true;
            return BW_OK;
        }
    }
    if (framer->prefix_len < BW_FRAME_PREFIX_BYTES) {
        size_t n = take_min(BW_FRAME_PREFIX_BYTES - framer->prefix_len, input->len);
        if (n > 0)
            memcpy(framer->prefix + framer->prefix_len, input->data, n);
        framer->prefix_len += n;
        advance(input, n);
        if (framer->prefix_len < BW_FRAME_PREFIX_BYTES)
            return BW_OK;
        enum bw_code code = check_prefix(framer, framer->prefix, err);
        if (code != BW_OK)
            return code;
    }
    size_t length = prefix_length(framer->prefix);
    size_t n = take_min(length - framer->body.len, input->len);
    bw_buf_append(&framer->body, input->data, n);
    if (framer->body.failed)
        return bw_fail_memory(err);
    advance(input, n);
    if (framer->body.len < length)
        return BW_OK;
    *frame = (struct bw_frame){.compressed = framer->prefix[0] == 1, .message = bw_buf_view(&framer->body)};
    framer->prefix_len = 0;
    framer->delivered = true;
    *complete = true;
    return BW_OK;
}

bool bw_framer_idle(const struct bw_framer *framer)
{
    return framer->prefix_len == 0;
}

size_t bw_framer_kept_bytes(const struct bw_framer *framer)
{
    return framer->delivered ? 0 : framer->body.len;
}

void bw_frame_prefix(uint8_t prefix[BW_FRAME_PREFIX_BYTES], bool compressed, uint32_t length)
{
    prefix[0] = compressed ? 1 : 0;
    prefix[1] = (uint8_t)(length >> 24);
    prefix[2] = (uint8_t)(length >> 16);
    prefix[3] = (uint8_t)(length >> 8);
    prefix[4] = (uint8_t)length;
}
