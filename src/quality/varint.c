#include "quality/varint.h"

unsigned bw_varint_size(uint64_t v)
{
    unsigned size = 1;
    while (v >= 0x80) {
        v >>= 7;
        size++;
    }
    return size;
}

static size_t fill(uint8_t bytes[BW_VARINT_MAX], uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    return n;
}

void bw_varint_write(struct bw_writer *w, uint64_t v)
{
    uint8_t bytes[BW_VARINT_MAX];
    bw_write_bytes(w, bytes, fill(bytes, v));
}

void bw_varint_append(struct bw_buf *buf, uint64_t v)
{
    uint8_t bytes[BW_VARINT_MAX];
    bw_buf_append(buf, bytes, fill(bytes, v));
}

uint64_t bw_varint_read(struct bw_reader *r, uint64_t most)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = bw_read_u8(r);
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if ((byte == 0 && shift > 0) || v > most)
            break;
        return r->failed ? 0 : v;
    }
    r->failed = true;
    return 0;
}

uint64_t bw_zigzag(int64_t v)
{
    return v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1;
}

int64_t bw_unzigzag(uint64_t v)
{
    return (int64_t)(v & 1 ? ~(v >> 1) : v >> 1);
}
