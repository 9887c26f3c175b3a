/* The generated tables behind policy/territory.h; nobody else includes this. Sorted by code where a code
 * leads. */
#ifndef BW_POLICY_TERRITORY_TABLES_H
#define BW_POLICY_TERRITORY_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "policy/territory.h"

struct bw_territory_row { /* countries first, each part sorted by code */
    const char *code, *name;
    uint16_t parent, country, owner; /* 0xffff: none */
    uint16_t parts_first, parts_end; /* of a country: all of its parts lie in between, perhaps among others */
};
struct bw_territory_alias_row {
    const char *code;
    uint16_t index;
};
struct bw_territory_successor_row {
    const char *code, *successor;
};
struct bw_territory_group_row { /* sorted by name, then by since */
    const char *name, *since;
    uint16_t first, count; /* in the member table */
};

extern const size_t bw_territory_table_countries, bw_territory_table_places, bw_territory_table_aliases,
    bw_territory_table_successors, bw_territory_table_groups;
extern const struct bw_territory_row bw_territory_table[];
extern const struct bw_territory_alias_row bw_territory_alias_table[];
extern const struct bw_territory_successor_row bw_territory_successor_table[];
extern const struct bw_territory_group_row bw_territory_group_table[];
extern const uint16_t bw_territory_member_table[];
/* What each version of a group covers, by enum bw_territory_sense: its members one by one, added up. */
extern const struct bw_territory_set bw_territory_group_sets[][2];
extern const char bw_territory_table_hash[];

#endif
