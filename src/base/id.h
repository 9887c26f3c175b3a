/* 16-byte random ids. Meeting ids are UUIDv7 (RFC 9562): they sort by creation time, which is what makes the
 * decision log cheap to append to. Text form is the usual 36 characters, lower case. Threads: pure. */
#ifndef BW_BASE_ID_H
#define BW_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct bw_id {
    uint8_t bytes[16];
};

enum { BW_ID_TEXT_SIZE = 37 }; /* with its NUL */

/* unix_ms and 10 random bytes are given, so the result is the caller's to reproduce. */
struct bw_id bw_id_v7(uint64_t unix_ms, const uint8_t random[10]);
/* Milliseconds since the epoch in a version 7 id. */
uint64_t bw_id_time_ms(const struct bw_id *id);
/* UUIDv4 from 16 random bytes. */
struct bw_id bw_id_v4(const uint8_t random[16]);
void bw_id_format(const struct bw_id *id, char text[BW_ID_TEXT_SIZE]);
/* Exactly 36 characters of the usual form, either case; false (and *id untouched) otherwise. */
bool bw_id_parse(struct bw_view text, struct bw_id *id);
bool bw_id_equal(const struct bw_id *a, const struct bw_id *b);
bool bw_id_is_zero(const struct bw_id *id);
int bw_id_compare(const struct bw_id *a, const struct bw_id *b);

#endif
