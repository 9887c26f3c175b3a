/* Address to country, from a MaxMind-format database (MMDB) that the operator provides. What is not in the
 * database, or is no address at all, is unknown: a value, about which policy decides; never a guess.
 *
 * A struct bw_geo is immutable. Its bytes are a private, sealed copy of the file, so whoever replaces or
 * truncates the file cannot disturb a lookup. To follow a changed file, open a new handle and swap it whole.
 * Threads: any, without locks; references are counted atomically. */
#ifndef BW_GEO_GEO_H
#define BW_GEO_GEO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct bw_geo;

/* ISO 3166-1 alpha-2 in upper case, or "" when unknown. */
struct bw_geo_country {
    char code[3];
};

/* Opens the database at `path` (it reads the whole file: not on a loop). The caller owns
 * one reference to *geo.
 * NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE: the file cannot be read (as the system says); INVALID_ARGUMENT:
 * it is no MMDB, is damaged, is larger than 1 GiB, or holds no countries (an ASN database, say);
 * RESOURCE_EXHAUSTED: memory. */
BW_MUST_USE enum bw_code bw_geo_open(const char *path, struct bw_geo **geo, struct bw_error *err);

/* One more reference; returns geo. */
struct bw_geo *bw_geo_ref(struct bw_geo *geo);
/* Gives one reference back, frees with the last; NULL is allowed. */
void bw_geo_unref(struct bw_geo *geo);

/* Opens geo's file anew if it is not the file that was read (another inode, size or modification time).
 * *fresh is the new handle, or geo itself with one more reference; either way the caller owns it and swaps it
 * in. On an error (those of bw_geo_open) geo stays good. */
BW_MUST_USE enum bw_code bw_geo_reload(struct bw_geo *geo, struct bw_geo **fresh, struct bw_error *err);

/* The country of an IPv4 or IPv6 address in text form, without port, brackets or zone. IPv4-mapped IPv6
 * addresses count as IPv4. Anything else is unknown. Never blocks, never allocates. */
struct bw_geo_country bw_geo_country(const struct bw_geo *geo, const char *address);
bool bw_geo_known(struct bw_geo_country country);

/* For health and logs: the path as given, the database's own name of its type, and when it was built. */
const char *bw_geo_path(const struct bw_geo *geo);
const char *bw_geo_type(const struct bw_geo *geo);
uint64_t bw_geo_built_unix_s(const struct bw_geo *geo);

#endif
