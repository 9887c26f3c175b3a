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

#include "base/id.h"

/* Numbers are durable: new kinds go at the end. */
enum bw_decision_kind {
    BW_DECISION_CREATE = 1,
    BW_DECISION_JOIN = 2,    /* connectors join too: kind and role say so */
    BW_DECISION_LEAVE = 3,   /* one or several slots, for one reason */
    BW_DECISION_MOVE = 4,    /* one or several slots change relay */
    BW_DECISION_MODE = 5,    /* the mode changes, is announced, or a consent is given */
    BW_DECISION_REFUSAL = 6, /* a joiner or connector was refused by policy or for want of a relay */
    BW_DECISION_END = 7,
};

enum { BW_DECISION_KINDS = 8 };

/* Relay numbers, low < high. */
struct bw_decision_link {
    uint32_t low, high;
};

struct bw_decision_move {
    uint32_t slot;
    uint32_t from, to; /* relay numbers */
};

/* Why one relay was not chosen. */
struct bw_decision_rejection {
    uint32_t relay;      /* number */
    uint32_t reasons;    /* mask of policy/reason.h */
    uint32_t line, col;  /* of the clause that decided the first reason; 0: none of the tenant's */
};

struct bw_decision {
    enum bw_decision_kind kind;
    struct bw_id meeting, tenant, request;
    uint32_t seq; /* of this meeting, 1 is its CREATE; also the slot of the participant a JOIN admits */
    uint64_t at_ms;
    uint32_t policy_revision;
    uint8_t policy_hash[32]; /* of the compiled chain */
    uint64_t facts_revision;
    uint8_t fingerprint[8]; /* of the request's content: the same id with other content is refused */

    /* State after this decision. */
    uint8_t label; /* enum bw_mode of e2ee/mode.h: what the label claims */
    uint32_t mode_epoch, meeting_epoch;

    /* CREATE */
    uint32_t cap_per_relay;         /* 0: none */
    uint8_t choice;                 /* ModeChoice of the organiser: 0 policy's preference, 1 e2ee, 2 hop */
    const char *const *levels;      /* names of the groups and users of the policy that the host matched */
    size_t level_count;
    const char *override_yaml;      /* the meeting's own narrowing; NULL: none */

    /* JOIN; REFUSAL (all but the entry, relay and flags) */
    struct bw_id entry; /* roster entry */
    uint32_t relay;     /* number */
    uint8_t participant_kind, role;
    const char *country, *region; /* NULL: unknown */
    uint8_t scheme, suite;        /* allocated; 0: none */
    uint32_t capable;             /* bit per scheme number */
    const char *home_tenant;      /* a guest's; NULL: a member */

    /* LEAVE */
    const uint32_t *slots;
    size_t slot_count;
    uint8_t leave_reason; /* LeaveReason of the API */

    /* MOVE */
    const struct bw_decision_move *moves;
    size_t move_count;

    /* MODE */
    uint8_t mode_event;     /* enum bw_mode_event of e2ee/mode.h */
    uint32_t mode_slot;     /* who asked, consented or was observed; 0: the organiser or the system */
    uint32_t pending_epoch; /* 0: nothing announced */
    uint8_t observed;       /* of mode_slot: 0 unchanged, 1 plain, 2 e2ee */

    /* Links between relays that this decision makes or ends (JOIN, LEAVE, MOVE, END). */
    const struct bw_decision_link *links_added, *links_removed;
    size_t links_added_count, links_removed_count;

    /* REFUSAL */
    uint32_t reasons; /* the participant's own */
    const struct bw_decision_rejection *rejections;
    size_t rejection_count;
    uint32_t nearest; /* relay number; 0: none */

    /* END */
    uint8_t end_reason; /* EndReason of the API */
};

/* "JOIN"; "UNKNOWN" outside the list. */
const char *bw_decision_kind_name(enum bw_decision_kind kind);

enum { BW_REFERENCE_SIZE = 32 };

/* The short reference people quote: "K7M2-9QXT-…", Crockford base32 of the meeting's time, random bits and
 * the seq. It leads back to (meeting prefix, seq): the first 8 bytes of the meeting id and the whole seq. */
void bw_decision_reference(const struct bw_id *meeting, uint32_t seq, char text[BW_REFERENCE_SIZE]);
/* Either case, with or without dashes; O, I and L read as digits. False when it is no reference. */
bool bw_decision_reference_parse(const char *text, uint8_t meeting_prefix[8], uint32_t *seq);

#endif
