/* A meeting's state, derived from its decisions and from nothing else: bw_meeting_apply is the only function
 * that changes it, and it is the same for a decision just made and for one read back after a restart.
 *
 * Threads: one, the owner's. Owner: whoever created it. */
#ifndef BW_CONTROL_MEETING_H
#define BW_CONTROL_MEETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/status.h"
#include "e2ee/flags.h"
#include "e2ee/mode.h"
#include "ledger/decision.h"

enum { BW_COUNTRY_SIZE = 7 }; /* "FR-974" and its NUL */

/* One roster entry: a participant or a connector. */
struct bw_member {
    struct bw_id entry;
    uint32_t slot, relay; /* relay number */
    uint32_t placed_seq;  /* of the decision that put it on that relay */
    enum bw_endpoint kind;
    uint8_t role; /* enum bw_role of e2ee/grant.h */
    struct bw_flags flags;
    bool consented; /* to the announced mode */
    uint64_t joined_ms;
    char country[BW_COUNTRY_SIZE]; /* "": unknown */
    char *region, *home_tenant;    /* NULL: unknown; a member */
    char **levels;                 /* of the policy, that apply when they attend; NULL: none */
    size_t level_count;
    UT_hash_handle hh;
};

/* A relay the meeting uses. */
struct bw_meeting_relay {
    uint32_t number;
    uint32_t members;
};

/* What a request id has led to. */
struct bw_meeting_request {
    struct bw_id id;
    enum bw_decision_kind kind;
    uint32_t seq;
    uint8_t fingerprint[8];
    UT_hash_handle hh;
};

struct bw_meeting {
    struct bw_id id, tenant;
    uint32_t seq; /* of the newest decision applied */
    uint64_t created_ms, ended_ms;
    bool ended;
    uint8_t end_reason;

    uint32_t policy_revision; /* of the newest decision */
    uint8_t policy_hash[32];
    struct bw_mode_state mode;
    struct bw_mode_counts counts; /* of the roster, in the current mode epoch */
    struct bw_flags_meeting e2ee; /* what its end-to-end encryption uses */
    uint32_t meeting_epoch;
    uint8_t choice;
    uint32_t cap_per_relay;
    char **levels;
    size_t level_count;
    char *override_yaml;

    struct bw_member *members; /* hash by entry */
    struct bw_member **slots;  /* ascending by slot */
    size_t slot_count, slot_cap;
    struct bw_meeting_relay *relays; /* ascending by number */
    size_t relay_count, relay_cap;
    size_t connector_count;
    struct bw_meeting_request *requests;

    UT_hash_handle hh; /* by id, for the owner */
};

/* A meeting without its roster. */
struct bw_meeting_head {
    struct bw_id id, tenant;
    bool ended;
    uint8_t end_reason;
    uint64_t created_ms, ended_ms;
    enum bw_mode label; /* what may be shown to people */
    uint32_t mode_epoch, meeting_epoch, participants, policy_revision, cap_per_relay, seq;
    uint8_t policy_hash[32];
    const struct bw_meeting_relay *relays; /* ascending by number */
    size_t relay_count;
};

/* As it is now; the relays are the meeting's own, and change with it. */
struct bw_meeting_head bw_meeting_head_of(const struct bw_meeting *meeting);

/* From its CREATED decision (seq 1). NULL when memory is out. */
struct bw_meeting *bw_meeting_create(const struct bw_decision *create);
/* NULL is allowed. */
void bw_meeting_destroy(struct bw_meeting *meeting);

/* Applies the next decision. DATA_LOSS when the seq is not the next one or the decision does not fit the
 * state (an unknown slot, a second creation); RESOURCE_EXHAUSTED without memory. After a failure the state
 * may be half-way: drop the meeting and build it again from its decisions. */
BW_MUST_USE enum bw_code bw_meeting_apply(struct bw_meeting *meeting, const struct bw_decision *decision,
                                          struct bw_error *err);

struct bw_member *bw_meeting_member(const struct bw_meeting *meeting, const struct bw_id *entry);
struct bw_member *bw_meeting_slot(const struct bw_meeting *meeting, uint32_t slot);
const struct bw_meeting_request *bw_meeting_find_request(const struct bw_meeting *meeting,
                                                         const struct bw_id *id);
const struct bw_meeting_relay *bw_meeting_find_relay(const struct bw_meeting *meeting, uint32_t number);
/* Consents still missing for the announced mode: connectors are not asked. */
uint32_t bw_meeting_consents_missing(const struct bw_meeting *meeting);
/* What may be shown to people. */
enum bw_mode bw_meeting_label(const struct bw_meeting *meeting);
/* How flags travel in decisions, and back. */
void bw_flags_to_decision(const struct bw_flags *flags, uint32_t slot, struct bw_decision_flags *out);

#endif
