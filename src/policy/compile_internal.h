/* Between the files that make up the compiler; nobody else's. */
#ifndef BW_POLICY_COMPILE_INTERNAL_H
#define BW_POLICY_COMPILE_INTERNAL_H

#include "base/arena.h"
#include "base/bitset.h"
#include "policy/compile.h"

/* A level with the texts that outlive its document. */
struct bw_compile_level {
    const struct bw_chain_level *chain;
    const char *file;
    const char *name;
};

struct bw_cut_node {
    struct bw_cut_node *next;
    struct bw_cut cut;
};

struct bw_cut_list {
    struct bw_cut_node *first, **end;
    size_t count;
};

struct bw_compile {
    struct bw_arena *arena; /* the set's own */
    struct bw_arena *scratch;
    struct bw_facts *facts;
    uint64_t now_ms;
    struct bw_constraints *out;
    const struct bw_compile_level *levels;
    size_t level_count;
    struct bw_cut_list cuts, connector_cuts;
    struct bw_bitset hit, unknown, work; /* scratch, node_count bits */
    bool full;                           /* memory ran out; checked once at the end */
};

/* What a level says about entry, ready to be asked. */
struct bw_entry_rules {
    struct bw_territory_set allowed; /* by all levels, denied by none, and precise enough for every rule */
    bool unknown_allowed;
    bool everyone; /* "*" at every level and nothing denied: even an unknown place is in it */
    struct bw_clause unknown_clause;
    struct bw_entry_list *lists;
    size_t list_count;
};

/* One allow list, or one deny entry. */
struct bw_entry_list {
    bool denies;
    struct bw_territory_set places;
    struct bw_territory_set coarse; /* ancestors of the parts it names */
    struct bw_clause clause;
};

/* First clause that keeps a mode or a connector out; line 0: none. */
struct bw_stated {
    struct bw_clause no_e2ee, no_hop, no_connector[BW_CONNECTOR_COUNT], no_cell, no_endpoints;
    struct bw_clause required[BW_CONNECTOR_COUNT]; /* first clause that requires the kind */
};

/* Copies what the clause shows. `text` may be NULL. */
struct bw_clause bw_compile_clause(struct bw_compile *compile, const struct bw_compile_level *level,
                                   struct bw_pos at, const char *path, const char *text);
/* "EU, CH, site:geneva", cut at a sensible length, in the scratch arena. */
const char *bw_compile_list_text(struct bw_compile *compile, const struct bw_policy_places *places);
/* Does nothing for an empty set of nodes. */
void bw_compile_cut(struct bw_compile *compile, struct bw_cut_list *list,
                    const struct bw_compile_level *level, enum bw_reason reason, struct bw_pos at,
                    const char *path, const char *text, const struct bw_bitset *nodes);
/* One deny entry as a set, less what exceptions of its own level lift; false when nothing of it is left. */
bool bw_compile_denied(const struct bw_chain_level *level, bool entry, const struct bw_policy_place *place,
                       struct bw_territory_set *set);
/* Proper ancestors of the parts that a list names: someone known only that coarsely may be inside or not. */
void bw_compile_coarse(const struct bw_policy_places *places, struct bw_territory_set *set);
bool bw_places_have_all(const struct bw_policy_places *places);
bool bw_places_only_sites(const struct bw_policy_places *places);

void bw_compile_transit(struct bw_compile *compile); /* compile_transit.c */
void bw_compile_stores(struct bw_compile *compile);  /* compile_transit.c */
void bw_compile_prefer(struct bw_compile *compile);  /* compile_transit.c */
void bw_compile_entry(struct bw_compile *compile);   /* compile_entry.c */
BW_MUST_USE enum bw_code bw_compile_terms(struct bw_compile *compile,
                                          struct bw_error *err); /* compile_terms.c */
void bw_compile_hash(struct bw_compile *compile);                /* compile_hash.c */

#endif
