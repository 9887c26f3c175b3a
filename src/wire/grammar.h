/* What strings may look like: UTF-8, and the grammars that proto/bailiwick/v1/annotations.proto lists.
 * Threads: pure. */
#ifndef BW_WIRE_GRAMMAR_H
#define BW_WIRE_GRAMMAR_H

#include <stdbool.h>

#include "bailiwick/v1/annotations.pb-c.h"
#include "base/buf.h"

/* Bytes of the character at p, of `left` (at least 1) bytes; 0 when they are not UTF-8. */
size_t bw_wire_utf8_sequence(const uint8_t *p, size_t left);
/* RFC 3629: no surrogates, no overlong forms, nothing past U+10FFFF. */
bool bw_wire_is_utf8(struct bw_view text);
/* The text is UTF-8 already. The empty text matches no grammar but ANY, TEXT and LINES. */
bool bw_wire_matches(Bailiwick__V1__Rule__Grammar grammar, struct bw_view text);
/* "a name: a-z, 0-9 and -, at most 63": ends the sentence "must be …". */
const char *bw_wire_grammar_text(Bailiwick__V1__Rule__Grammar grammar);

#endif
