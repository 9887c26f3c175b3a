/* Places: countries (ISO 3166-1), their parts (ISO 3166-2) and dated groups of countries. The tables are
 * generated at build time from Debian's iso-codes and unicode-cldr-core and the overlays in policies/groups.
 *
 * One place has one index, whatever its spelling: FR-974, FR-RE and RE are the same place. A code of ISO
 * 3166-2 that is also a country of its own (RE, GP, PR, HK …) is that country: it is not part of the country
 * that owns it when something is *allowed* (FR and EU do not let a meeting reach La Réunion; say RE, or
 * EU-OUTERMOST), and it is part of it when something is *denied* (denying US denies PR). So each list means
 * the cautious thing. Where a claim to a place is not an administration of it (CN-TW), the overlay `apart`
 * says so and the deny does not extend to it.
 *
 * Threads: pure, the tables are constant. */
#ifndef BW_POLICY_TERRITORY_H
#define BW_POLICY_TERRITORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    BW_TERRITORY_WORDS = 86,
    BW_TERRITORY_MAX = BW_TERRITORY_WORDS * 64, /* the generator refuses to exceed it */
    BW_TERRITORY_NONE = 0xffff,
    BW_TERRITORY_CODE_SIZE = 8 /* "FR-974" and its NUL */
};

/* A set of places: a fixed bitset over all of them. */
struct bw_territory_set {
    uint64_t words[BW_TERRITORY_WORDS];
};

/* Whether a code is read to let something through or to keep something out (see above). */
enum bw_territory_sense { BW_TERRITORY_ALLOWING, BW_TERRITORY_DENYING };

/* Indices below bw_territory_country_count() are countries, the rest are parts. */
size_t bw_territory_count(void);
size_t bw_territory_country_count(void);

/* Exact, upper case; aliases resolve. False (and *index untouched) when there is no such code. */
bool bw_territory_find(struct bw_view code, uint16_t *index);
/* The one spelling used in output ("RE"), the English or local name (UTF-8). index < bw_territory_count(). */
const char *bw_territory_code(uint16_t index);
const char *bw_territory_name(uint16_t index);
/* The country a part belongs to; a country itself. */
uint16_t bw_territory_country(uint16_t index);
/* One step up: FR-75 -> FR-IDF -> FR -> NONE. */
uint16_t bw_territory_parent(uint16_t index);
/* The country that has this country's code among its parts (FR for RE), where a deny extends; NONE otherwise.
 */
uint16_t bw_territory_owner(uint16_t country);
/* The nearest code or group name into text; false when nothing is near. */
bool bw_territory_suggest(struct bw_view code, char text[32]);
/* What replaced a withdrawn code ("SU" has several: the first), or NULL. */
const char *bw_territory_successor(struct bw_view code);
/* Every alias with the code it resolves to, in order; false past the last. */
bool bw_territory_alias(size_t n, const char **alias, uint16_t *index);

/* Groups: CLDR's (EU, EZ, UN, and M49 numbers such as 155) and the overlays' (EEA, EFTA, SCHENGEN …). */
enum bw_territory_group_result {
    BW_TERRITORY_GROUP_OK,
    BW_TERRITORY_GROUP_UNKNOWN,
    BW_TERRITORY_GROUP_BAD_PIN
};
/* "EU" (the newest version in the tables) or "EU@2026-01-01" (the version in force that day). */
enum bw_territory_group_result bw_territory_group_find(struct bw_view name, uint16_t *group);
size_t bw_territory_group_count(void); /* versions counted one by one */
const char *bw_territory_group_name(uint16_t group);
/* "2023-01-01": since when this version is in force. */
const char *bw_territory_group_since(uint16_t group);

void bw_territory_set_clear(struct bw_territory_set *set);
/* A place and all of its parts; with DENYING also the places it owns. */
void bw_territory_set_add(struct bw_territory_set *set, uint16_t index, enum bw_territory_sense sense);
void bw_territory_set_add_group(struct bw_territory_set *set, uint16_t group, enum bw_territory_sense sense);
void bw_territory_set_add_all(struct bw_territory_set *set);
/* Exactly one bit, nothing below it: what a relay or a participant is. */
void bw_territory_set_add_exact(struct bw_territory_set *set, uint16_t index);
bool bw_territory_set_test(const struct bw_territory_set *set, uint16_t index);
void bw_territory_set_and(struct bw_territory_set *into, const struct bw_territory_set *with);
void bw_territory_set_or(struct bw_territory_set *into, const struct bw_territory_set *with);
void bw_territory_set_andnot(struct bw_territory_set *into, const struct bw_territory_set *with);
bool bw_territory_set_empty(const struct bw_territory_set *set);
bool bw_territory_set_subset(const struct bw_territory_set *inner, const struct bw_territory_set *outer);
bool bw_territory_set_intersects(const struct bw_territory_set *a, const struct bw_territory_set *b);
bool bw_territory_set_equal(const struct bw_territory_set *a, const struct bw_territory_set *b);
size_t bw_territory_set_count(const struct bw_territory_set *set);
/* First index at or after `from`; BW_TERRITORY_NONE when there is none. */
uint16_t bw_territory_set_next(const struct bw_territory_set *set, uint16_t from);

/* "sha256:…" over the whole content of the tables; a decision records it. */
const char *bw_territory_tables_hash(void);

#endif
