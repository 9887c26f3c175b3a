/* For tests of policy and placement: documents from text, and randomness that replays from its seed. Anything
 * that goes wrong here fails the running cmocka test. */
#ifndef BW_TESTS_KIT_H
#define BW_TESTS_KIT_H

#include "placement/place.h"
#include "placement/request_file.h"
#include "placement/snapshot.h"
#include "policy/compile.h"
#include "policy/document.h"

/* 2026-11-21T10:00:00Z */
#define KIT_NOW_MS UINT64_C(1795255200000)

/* Documents live in the arena. */
const struct bw_policy_doc *kit_policy(struct bw_arena *arena, const char *text);
const struct bw_policy_doc *kit_meeting_policy(struct bw_arena *arena, const char *text);
struct bw_snapshot *kit_fleet(const char *text);
struct bw_request_file kit_request(struct bw_arena *arena, const struct bw_snapshot *snapshot,
                                   const char *text);
/* The chain of `user` (may be NULL) as host over the snapshot's facts at KIT_NOW_MS. */
struct bw_constraints *kit_compile(const struct bw_policy_doc *doc, struct bw_facts *facts, const char *user);
struct bw_constraints *kit_compile_input(const struct bw_compile_input *input);

/* A file of the source tree ("policies/fr-hospital.yaml"), ended by NUL, in the arena. */
char *kit_file(struct bw_arena *arena, const char *path);

/* Names of the relays in the set: "fra1 par1". In a static buffer. */
const char *kit_relays(const struct bw_facts *facts, const struct bw_bitset *set);
/* "TRANSIT_COUNTRY FACT_UNKNOWN". In a static buffer. */
const char *kit_reasons(uint32_t mask);

struct kit_random {
    uint64_t state;
};
uint64_t kit_random_u64(struct kit_random *random);
uint32_t kit_random_below(struct kit_random *random, uint32_t bound);
/* True in `percent` of 100 draws. */
bool kit_random_chance(struct kit_random *random, uint32_t percent);

#endif
