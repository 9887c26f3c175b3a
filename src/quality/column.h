/* A column of a chunk: up to 64 values of one field, in whichever of five forms is shortest. A form byte,
 * then
 *
 *   0 CONSTANT  the value                                              all are the same
 *   1 PLAIN     each value
 *   2 DELTA     the first value, then each difference to the one before, zigzag
 *   3 PACKED    the least value, width u8, then each value less the least in `width` bits
 *   4 DRIFT     the first value, the least difference (zigzag), width u8, then each difference less the least
 *
 * where numbers are varints and packed bits fill bytes from the low end; the last byte's rest is zero. Among
 * forms of equal length the lowest number is taken.
 *
 * Threads: pure. */
#ifndef BW_QUALITY_COLUMN_H
#define BW_QUALITY_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { BW_COLUMN_VALUES = 64 };
/* Values are 0 to this, which is more than any field can be. */
#define BW_COLUMN_VALUE_MAX INT64_C(0xffffffffff)

/* count is 1 to BW_COLUMN_VALUES. */
void bw_column_write(struct bw_writer *w, const int64_t *values, size_t count);
/* Any form, shortest or not: that the bytes are those that bw_column_write makes is the caller's to compare.
 * Fails the reader on what is no column, or a value out of bounds. */
void bw_column_read(struct bw_reader *r, int64_t *values, size_t count);

#endif
