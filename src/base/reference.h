/* The reference of a decision: what a refused caller is given to quote, such as "7K2M-04QX-9ZTB-0001".
 * Sixteen characters of Crockford's base32 in four groups: 42 bits of the meeting's time and 12 of its random
 * part, which make a narrow range of meeting ids and so a cheap look-up by primary key, 16 low bits of the
 * decision's seq, and 10 bits of a checksum over the whole key, which tell typing errors and neighbours
 * apart. It says nothing of anybody. Threads: pure. */
#ifndef BW_BASE_REFERENCE_H
#define BW_BASE_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

enum { BW_REFERENCE_SIZE = 20 }; /* with its NUL */

/* meeting is a UUIDv7. */
void bw_reference_format(const struct bw_id *meeting, uint32_t seq, char text[BW_REFERENCE_SIZE]);

/* What a reference can mean: meetings from..to (both included), and a seq. */
struct bw_reference {
    struct bw_id from, to;
    uint16_t seq_low;
    uint16_t check;
};

/* Either case, hyphens and blanks anywhere, O for 0, I and L for 1. False (and *out untouched) when it is not
 * a reference at all. */
bool bw_reference_parse(struct bw_view text, struct bw_reference *out);
/* Whether this very decision is meant. */
bool bw_reference_matches(const struct bw_reference *reference, const struct bw_id *meeting, uint32_t seq);

#endif
