/* UTF-8 text as people see it: code points, lines, and an ASCII rendering in which nothing can hide.
 * Threads: pure. */
#ifndef BW_YAML_TEXT_H
#define BW_YAML_TEXT_H

#include "yaml/diag.h"

#define BW_TEXT_INVALID UINT32_C(0xffffffff)

/* The code point at `at` (which is below text.len) and its length in bytes; BW_TEXT_INVALID and 1 for a byte
 * that begins none (overlong forms, surrogates and numbers past U+10FFFF included). */
uint32_t bw_text_code_point(struct bw_view text, size_t at, size_t *bytes);

/* Appends text with everything outside printable ASCII as \u{e9}, invalid bytes as \x{ff}, and tabs and line
 * breaks as \t, \n, \r. */
void bw_text_escape(struct bw_buf *out, struct bw_view text);

/* A JSON string, quotes included; ASCII only. The text must be ASCII or UTF-8. */
void bw_text_json(struct bw_buf *out, struct bw_view text);

/* Refuses, with its place, what no document may hold: invalid UTF-8, control characters, line breaks that
 * editors do not show (U+0085, U+2028, U+2029, a lone carriage return) and characters that reorder text
 * (Trojan Source). */
bool bw_text_check(const struct bw_source *source, struct bw_diags *diags);

/* Bytes of a byte order mark at the start: 3 or 0. */
size_t bw_text_bom(struct bw_view text);

/* The escaped line at a place and where the carets go, at most about a hundred characters of it. */
void bw_text_excerpt(struct bw_view text, struct bw_pos at, struct bw_buf *line, uint32_t *caret,
                     uint32_t *caret_len);

#endif
