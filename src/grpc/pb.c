#include "grpc/pb.h"

#include <string.h>

enum { MAX_VARINT_BYTES = 10 };

static bool take_varint(struct bw_view *message, uint64_t *value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < message->len && i < MAX_VARINT_BYTES; i++) {
        uint8_t byte = message->data[i];
        if (i == MAX_VARINT_BYTES - 1 && byte > 1)
            return false; /* more than 64 bits */
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            message->data += i + 1;
            message->len -= i + 1;
            *value = v;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct bw_view *message, size_t bytes, uint64_t *value)
{
    if (message->len < bytes)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)message->data[i] << (8 * i);
    message->data += bytes;
    message->len -= bytes;
    *value = v;
    return true;
}

static bool take_bytes(struct bw_view *message, struct bw_view *bytes)
{
    uint64_t len;
    if (!take_varint(message, &len) || len > message->len)
        return false;
    *bytes = bw_view_of(message->data, (size_t)len);
    message->data += len;
    message->len -= (size_t)len;
    return true;
}

bool bw_pb_next(struct bw_view *message, struct bw_pb_field *field, bool *bad)
{
    if (message->len == 0)
        return false;
    uint64_t tag;
    bool good = take_varint(message, &tag) && tag >> 3 > 0 && tag >> 3 <= 0x1fffffff;
    if (good) {
        *field = (struct bw_pb_field){.number = (uint32_t)(tag >> 3), .wire = (enum bw_pb_wire)(tag & 7)};
        switch (field->wire) {
        case BW_PB_VARINT:
            good = take_varint(message, &field->value);
            break;
        case BW_PB_FIXED64:
            good = take_fixed(message, 8, &field->value);
            break;
        case BW_PB_BYTES:
            good = take_bytes(message, &field->bytes);
            break;
        case BW_PB_FIXED32:
            good = take_fixed(message, 4, &field->value);
            break;
        default:
            good = false;
        }
    }
    if (!good)
        *bad = true;
    return good;
}

static void append_varint(struct bw_buf *out, uint64_t value)
{
    uint8_t bytes[MAX_VARINT_BYTES];
    size_t n = 0;
    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    bw_buf_append(out, bytes, n);
}

void bw_pb_put_varint(struct bw_buf *out, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    append_varint(out, (uint64_t)number << 3 | BW_PB_VARINT);
    append_varint(out, value);
}

void bw_pb_put_message(struct bw_buf *out, uint32_t number, struct bw_view encoded)
{
    append_varint(out, (uint64_t)number << 3 | BW_PB_BYTES);
    append_varint(out, encoded.len);
    bw_buf_append(out, encoded.data, encoded.len);
}

void bw_pb_put_bytes(struct bw_buf *out, uint32_t number, struct bw_view bytes)
{
    if (bytes.len > 0)
        bw_pb_put_message(out, number, bytes);
}

void bw_pb_put_string(struct bw_buf *out, uint32_t number, const char *text)
{
    bw_pb_put_bytes(out, number, bw_view_str(text));
}
