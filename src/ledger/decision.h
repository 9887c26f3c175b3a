/* One row of the decision log: what was decided about one meeting, with everything needed to rebuild that
 * meeting's state from its rows in order and to check the decision afterwards. It holds random ids, codes and
 * flags, never an identity.
 *
 * The struct is the meaning; its bytes (message bailiwick.v1.Decision) are made once by whoever commits it
 * and stored as they are. Field values that are enums of other rooms are carried as numbers and named in the
 * comments, so that this room stands on its own.
 *
 * Threads: pure. Owner: a decision and all it points to live in one arena of the caller's. */
#ifndef BW_LEDGER_DECISION_H
#define BW_LEDGER_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"

/* Numbers are durable, and are DecisionKind of the API: new kinds go at the end. */
enum bw_decision_kind {
    BW_DECISION_CREATED = 1,
    BW_DECISION_JOINED = 2,
    BW_DECISION_LEFT = 3,
    BW_DECISION_MODE_CHANGED = 4,
    BW_DECISION_MODE_ANNOUNCED = 5,
    BW_DECISION_CONSENTED = 6,
    BW_DECISION_MOVED = 7,
    BW_DECISION_CONNECTOR_INVITED = 8,
    BW_DECISION_CONNECTOR_REMOVED = 9,
    BW_DECISION_REFUSED = 10, /* a joiner or connector was refused; changes nothing */
    BW_DECISION_FLAGS_CHANGED = 11,
    BW_DECISION_ENDED = 12,
    BW_DECISION_REBOUND = 13, /* re-checked under a newer policy or facts revision, unchanged */
};

enum { BW_DECISION_KINDS = 14 };

/* Numbers are those of the API's LeaveReason and EndReason. */
enum bw_leave_reason {
    BW_LEAVE_LEFT = 1,
    BW_LEAVE_REMOVED = 2,
    BW_LEAVE_CONNECTION_LOST = 3,
    BW_LEAVE_POLICY = 4,
    BW_LEAVE_MODE = 5,
    BW_LEAVE_MEETING_ENDED = 6,
    BW_LEAVE_UNCLAIMED = 7,
};

enum bw_end_reason {
    BW_END_REQUESTED = 1,
    BW_END_EVERYBODY_LEFT = 2,
    BW_END_POLICY_CHANGED = 3,
    BW_END_NO_COMPLIANT_RELAY = 4,
    BW_END_MODE_UNAVAILABLE = 5,
    BW_END_TENANT_REMOVED = 6,
    BW_END_ABANDONED = 7,
};

/* Relay numbers, low < high. */
struct bw_decision_link {
    uint32_t low, high;
};

struct bw_decision_move {
    uint32_t slot;
    uint32_t from, to; /* relay numbers */
};

/* Flags of one slot, as e2ee/flags.h has them. */
struct bw_decision_flags {
    uint32_t slot;
    uint8_t scheme, suite; /* allocated; 0: none */
    uint32_t epoch;        /* of the allocation */
    uint32_t capable;      /* bit per scheme number */
    uint8_t observed, observed_scheme;
    bool confirmed;
};

/* Why one relay was not chosen. */
struct bw_decision_rejection {
    uint32_t relay;     /* number */
    uint32_t reasons;   /* mask of policy/reason.h */
    const char *clause; /* "policy.yaml:17:26"; NULL: no rule of the tenant's */
};

/* How good a placement is, in microseconds (placement/place.h). */
struct bw_decision_score {
    uint64_t pair_us, access_us, load_us, relays_us, moved_us, total_us;
};

struct bw_decision {
    enum bw_decision_kind kind;
    struct bw_id meeting, tenant;
    struct bw_id request; /* zero: the control plane decided by itself */
    uint32_t seq; /* of this meeting, 1 is its CREATED; also the slot of the participant a JOINED admits */
    uint64_t at_ms;
    uint32_t policy_revision;
    uint8_t policy_hash[32]; /* of the compiled chain */
    uint64_t facts_revision;
    uint8_t fingerprint[8]; /* of the request's content: the same id with other content is refused */

    /* State after this decision. */
    uint8_t mode; /* enum bw_mode of e2ee/mode.h */
    uint32_t mode_epoch, meeting_epoch;
    const uint32_t *relays; /* numbers in use, ascending */
    size_t relay_count;
    const struct bw_decision_link *links; /* ascending */
    size_t link_count;

    /* CREATED */
    uint8_t choice;            /* ModeChoice of the organiser */
    uint32_t cap_per_relay;    /* 0: none */
    const char *const *levels; /* names of the policy's groups and users that the host matched */
    size_t level_count;
    const char *override_yaml; /* the meeting's own narrowing; NULL: none */
    const char *tenant_name;

    /* JOINED, CONNECTOR_INVITED; of a REFUSED all but entry, relay and flags */
    struct bw_id entry; /* roster entry; also LEFT, CONNECTOR_REMOVED */
    uint32_t slot;  /* of `entry`; MODE_ANNOUNCED and CONSENTED: who asked or consented, 0 the organiser */
    uint32_t relay; /* number */
    uint8_t participant_kind, role;
    const char *country, *region; /* NULL: unknown; a member's own `levels` are with those of CREATED */
    const char *home_tenant;      /* a guest's; NULL: a member */

    /* JOINED, CONNECTOR_INVITED (one), MODE_CHANGED and FLAGS_CHANGED (those that changed) */
    const struct bw_decision_flags *flags;
    size_t flag_count;

    /* LEFT, CONNECTOR_REMOVED */
    uint8_t leave_reason; /* enum bw_leave_reason */

    /* MOVED */
    const struct bw_decision_move *moves;
    size_t move_count;

    /* MODE_ANNOUNCED, CONSENTED */
    uint8_t pending; /* enum bw_mode_pending of e2ee/mode.h, after this decision */

    /* REFUSED */
    uint32_t reasons;   /* the participant's own */
    const char *clause; /* that decided them */
    const struct bw_decision_rejection *rejections;
    size_t rejection_count; /* those kept */
    size_t rejections_total;
    uint32_t nearest; /* relay number; 0: none */
    uint32_t nearest_reasons;

    /* ENDED */
    uint8_t end_reason; /* enum bw_end_reason */

    /* JOINED: where who it is lies sealed; zero: nowhere. Known when the row is written, not before. */
    struct bw_id roster_record;
    uint32_t roster_index;

    /* JOINED, CONNECTOR_INVITED: why this relay. */
    uint32_t relays_considered, relays_allowed;
    struct bw_decision_score score;
    uint32_t runner_up; /* relay number; 0: there was none */
};

/* A copy with everything it points to; NULL when the arena is full. */
struct bw_decision *bw_decision_copy(const struct bw_decision *decision, struct bw_arena *arena);

/* "JOINED"; "UNKNOWN" outside the list. */
const char *bw_decision_kind_name(enum bw_decision_kind kind);

#endif
