/* Bytes: a view (borrowed), a growable buffer (owned), and bounded cursors that must be consumed whole.
 * No parser of ours touches a raw pointer; it takes from a bw_reader, whose errors are sticky.
 * Threads: one at a time. */
#ifndef BW_BASE_BUF_H
#define BW_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Borrowed bytes; valid as long as whatever owns them. */
struct bw_view {
    const uint8_t *data;
    size_t len;
};

struct bw_view bw_view_of(const void *data, size_t len);
struct bw_view bw_view_str(const char *s);
bool bw_view_equal(struct bw_view a, struct bw_view b);
bool bw_view_equal_str(struct bw_view a, const char *s);

/* Growable bytes. All-zero is a valid empty buffer. A failed append makes `failed` true, later appends are
 * no-ops, and the happy path checks once at the end. */
struct bw_buf {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

void bw_buf_finish(struct bw_buf *buf);
/* Keeps the memory, forgets the bytes and the failure. */
void bw_buf_clear(struct bw_buf *buf);
/* Makes room for `more` bytes beyond len; false when memory is out (and failed is set). */
bool bw_buf_reserve(struct bw_buf *buf, size_t more);
void bw_buf_append(struct bw_buf *buf, const void *data, size_t len);
void bw_buf_append_str(struct bw_buf *buf, const char *s);
void bw_buf_append_u8(struct bw_buf *buf, uint8_t v);
void bw_buf_append_u16(struct bw_buf *buf, uint16_t v); /* big-endian, as all of ours */
void bw_buf_append_u32(struct bw_buf *buf, uint32_t v);
void bw_buf_append_u64(struct bw_buf *buf, uint64_t v);
void bw_buf_printf(struct bw_buf *buf, const char *format, ...) BW_PRINTF(2, 3);
void bw_buf_vprintf(struct bw_buf *buf, const char *format, va_list args) BW_PRINTF(2, 0);
/* Drops n bytes from the front. */
void bw_buf_consume(struct bw_buf *buf, size_t n);
/* The content as a C string (a NUL is kept behind len); NULL after a failure. */
const char *bw_buf_cstr(struct bw_buf *buf);
struct bw_view bw_buf_view(const struct bw_buf *buf);

/* Bounded big-endian reader. A short read sets `failed`, returns zeroes, and later reads fail too. */
struct bw_reader {
    const uint8_t *p, *end;
    bool failed;
};

struct bw_reader bw_reader_of(struct bw_view view);
uint8_t bw_read_u8(struct bw_reader *r);
uint16_t bw_read_u16(struct bw_reader *r);
uint32_t bw_read_u32(struct bw_reader *r);
uint64_t bw_read_u64(struct bw_reader *r);
/* A view of n bytes of the underlying data; empty after a failure. */
struct bw_view bw_read_bytes(struct bw_reader *r, size_t n);
void bw_read_copy(struct bw_reader *r, void *out, size_t n);
size_t bw_reader_left(const struct bw_reader *r);
/* True when nothing failed and nothing is left: the only way to accept an input. */
bool bw_reader_done(const struct bw_reader *r);

/* Bounded big-endian writer over memory the caller owns; too little room sets `failed`. */
struct bw_writer {
    uint8_t *start, *p, *end;
    bool failed;
};

struct bw_writer bw_writer_of(void *memory, size_t bytes);
void bw_write_u8(struct bw_writer *w, uint8_t v);
void bw_write_u16(struct bw_writer *w, uint16_t v);
void bw_write_u32(struct bw_writer *w, uint32_t v);
void bw_write_u64(struct bw_writer *w, uint64_t v);
void bw_write_bytes(struct bw_writer *w, const void *data, size_t n);
size_t bw_writer_len(const struct bw_writer *w);

#endif
