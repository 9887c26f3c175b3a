/* LEB128 integers of this room's encodings: seven bits a byte, low ones first, never longer than needed.
 * Threads: pure. */
#ifndef BW_QUALITY_VARINT_H
#define BW_QUALITY_VARINT_H

#include <stdint.h>

#include "base/buf.h"

enum { BW_VARINT_MAX = 10 };

/* 1 to 10. */
unsigned bw_varint_size(uint64_t v);
void bw_varint_write(struct bw_writer *w, uint64_t v);
void bw_varint_append(struct bw_buf *buf, uint64_t v);
/* A value that is longer than needed, or over `most`, fails the reader. */
uint64_t bw_varint_read(struct bw_reader *r, uint64_t most);

/* Small whatever the sign: 0, -1, 1, -2 … to 0, 1, 2, 3 … */
uint64_t bw_zigzag(int64_t v);
int64_t bw_unzigzag(uint64_t v);

#endif
