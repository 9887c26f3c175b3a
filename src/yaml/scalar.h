/* The strict grammars of scalars. None of them guesses: 012, 1_000, +5, 0x10, 1e3, 22:22 are not numbers.
 * Each returns false and leaves *out untouched for anything else than its grammar. Threads: pure. */
#ifndef BW_YAML_SCALAR_H
#define BW_YAML_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* true | false */
bool bw_scalar_bool(struct bw_view text, bool *out);
/* 0 | [1-9][0-9]*, up to UINT64_MAX */
bool bw_scalar_uint(struct bw_view text, uint64_t *out);
/* -? then as above, then an optional fraction of one to six digits; the value in millionths (48.9 is
 * 48900000). */
bool bw_scalar_decimal(struct bw_view text, int64_t *millionths);
/* A whole number and its unit: ms, s, m, h, d ("30s"); in milliseconds. */
bool bw_scalar_duration(struct bw_view text, uint64_t *ms);
/* YYYY-MM-DD, a date that exists, 1970 to 9999: its first millisecond UTC. */
bool bw_scalar_date(struct bw_view text, uint64_t *unix_ms);
/* RFC 3339: YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm). */
bool bw_scalar_instant(struct bw_view text, uint64_t *unix_ms);
enum { BW_SCALAR_INSTANT_SIZE = 32 };
/* The other way: "2027-01-31T00:00:00Z" into text, which is returned; whole seconds, up to the year 9999 (""
 * past it). */
const char *bw_scalar_instant_text(uint64_t unix_ms, char text[BW_SCALAR_INSTANT_SIZE]);
/* y, Y, yes, no, on, off, true, false … in any of the cases that YAML 1.1 readers take for a boolean. */
bool bw_scalar_looks_boolean(struct bw_view text);
bool bw_scalar_is_ascii(struct bw_view text);
/* [a-z0-9][a-z0-9-]{0,62}: tenants, cells, relays, sites, regions, groups. */
bool bw_scalar_is_name(struct bw_view text);

#endif
