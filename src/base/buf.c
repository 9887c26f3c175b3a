#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct bw_view bw_view_of(const void *data, size_t len)
{
    return (struct bw_view){.data = data, .len = len};
}

struct bw_view bw_view_str(const char *s)
{
    return bw_view_of(s, strlen(s));
}

bool bw_view_equal(struct bw_view a, struct bw_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool bw_view_equal_str(struct bw_view a, const char *s)
{
    return bw_view_equal(a, bw_view_str(s));
}

void bw_buf_finish(struct bw_buf *buf)
{
    bw_free(buf->data);
    *buf = (struct bw_buf){0};
}

void bw_buf_clear(struct bw_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

bool bw_buf_reserve(struct bw_buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    /* One spare byte, so that bw_buf_cstr never has to grow. */
    size_t need;
    if (__builtin_add_overflow(buf->len, more, &need) || __builtin_add_overflow(need, 1, &need)) {
        buf->failed = true;
        return false;
    }
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap *= 2;
    uint8_t *data = bw_realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void bw_buf_append(struct bw_buf *buf, const void *data, size_t len)
{
    if (len == 0 || !bw_buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void bw_buf_append_str(struct bw_buf *buf, const char *s)
{
    bw_buf_append(buf, s, strlen(s));
}

void bw_buf_append_u8(struct bw_buf *buf, uint8_t v)
{
    bw_buf_append(buf, &v, 1);
}

void bw_buf_append_u16(struct bw_buf *buf, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    bw_buf_append(buf, b, sizeof b);
}

void bw_buf_append_u32(struct bw_buf *buf, uint32_t v)
{
    bw_buf_append_u16(buf, (uint16_t)(v >> 16));
    bw_buf_append_u16(buf, (uint16_t)v);
}

void bw_buf_append_u64(struct bw_buf *buf, uint64_t v)
{
    bw_buf_append_u32(buf, (uint32_t)(v >> 32));
    bw_buf_append_u32(buf, (uint32_t)v);
}

void bw_buf_vprintf(struct bw_buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0)
        buf->failed = true;
    else if (bw_buf_reserve(buf, (size_t)length)) {
        vsnprintf((char *)buf->data + buf->len, (size_t)length + 1, format, again);
        buf->len += (size_t)length;
    }
    va_end(again);
}

void bw_buf_printf(struct bw_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bw_buf_vprintf(buf, format, args);
    va_end(args);
}

void bw_buf_consume(struct bw_buf *buf, size_t n)
{
    if (n >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
}

const char *bw_buf_cstr(struct bw_buf *buf)
{
    if (!bw_buf_reserve(buf, 0))
        return NULL;
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

struct bw_view bw_buf_view(const struct bw_buf *buf)
{
    return bw_view_of(buf->data, buf->len);
}

struct bw_reader bw_reader_of(struct bw_view view)
{
    return (struct bw_reader){.p = view.data, .end = view.len ? view.data + view.len : view.data};
}

struct bw_view bw_read_bytes(struct bw_reader *r, size_t n)
{
    if (r->failed || n > (size_t)(r->end - r->p)) {
        r->failed = true;
        return (struct bw_view){0};
    }
    struct bw_view view = bw_view_of(r->p, n);
    if (n > 0)
        r->p += n;
    return view;
}

void bw_read_copy(struct bw_reader *r, void *out, size_t n)
{
    struct bw_view view = bw_read_bytes(r, n);
    if (r->failed)
        memset(out, 0, n);
    else if (n > 0)
        memcpy(out, view.data, n);
}

static uint64_t read_be(struct bw_reader *r, size_t n)
{
    struct bw_view view = bw_read_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; i < view.len; i++)
        v = v << 8 | view.data[i];
    return v;
}

uint8_t bw_read_u8(struct bw_reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t bw_read_u16(struct bw_reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t bw_read_u32(struct bw_reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t bw_read_u64(struct bw_reader *r)
{
    return read_be(r, 8);
}

size_t bw_reader_left(const struct bw_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->p);
}

bool bw_reader_done(const struct bw_reader *r)
{
    return !r->failed && r->p == r->end;
}

struct bw_writer bw_writer_of(void *memory, size_t bytes)
{
    uint8_t *p = memory;
    return (struct bw_writer){.start = p, .p = p, .end = p + bytes};
}

void bw_write_bytes(struct bw_writer *w, const void *data, size_t n)
{
    if (w->failed || n > (size_t)(w->end - w->p)) {
        w->failed = true;
        return;
    }
    if (n > 0)
        memcpy(w->p, data, n);
    w->p += n;
}

static void write_be(struct bw_writer *w, uint64_t v, size_t n)
{
    uint8_t b[8];
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    bw_write_bytes(w, b, n);
}

void bw_write_u8(struct bw_writer *w, uint8_t v)
{
    write_be(w, v, 1);
}

void bw_write_u16(struct bw_writer *w, uint16_t v)
{
    write_be(w, v, 2);
}

void bw_write_u32(struct bw_writer *w, uint32_t v)
{
    write_be(w, v, 4);
}

void bw_write_u64(struct bw_writer *w, uint64_t v)
{
    write_be(w, v, 8);
}

size_t bw_writer_len(const struct bw_writer *w)
{
    return (size_t)(w->p - w->start);
}
