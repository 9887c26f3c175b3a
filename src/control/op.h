/* What an owner is asked to do to a meeting, and how it answers. The caller fills the request part and
 * `done`; the owner fills the answer and calls `done` exactly once, on the owner's thread, after whatever was
 * decided is durable.
 *
 * Owner: the op and everything it points to belong to the caller, live in op->arena or as long, and are not
 * touched by the caller until `done`. Threads: the owner's while it is with the owner. */
#ifndef BW_CONTROL_OP_H
#define BW_CONTROL_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/secret.h"
#include "base/status.h"
#include "control/meeting.h"
#include "e2ee/grant.h"
#include "ledger/decision.h"
#include "policy/facts.h"

enum bw_op_kind {
    BW_OP_CREATE,
    BW_OP_JOIN,
    BW_OP_INVITE, /* a connector */
    BW_OP_LEAVE,
    BW_OP_REMOVE, /* a connector */
    BW_OP_END,
    BW_OP_MODE,    /* lower, consent, raise */
    BW_OP_OBSERVE, /* what an endpoint says of its encryption */
    BW_OP_RENEW,   /* a fresh grant; decides nothing */
    BW_OP_READ,    /* op->read sees the committed state */
    BW_OP_RECHECK, /* the owner's own: policy or fleet changed */
};

/* How the caller is told where a participant's media goes. */
struct bw_admission {
    struct bw_id entry;
    uint32_t slot, relay_number;
    const char *relay, *media_address;
    struct bw_view grant;
    struct bw_secret hop_key;
    uint64_t grant_expires_ms;
    enum bw_mode mode;
    uint32_t mode_epoch, meeting_epoch;
    struct bw_flags flags;
    enum bw_far_leg far_leg;   /* connectors */
    const char *const *stores; /* of the relay's connectors */
    size_t store_count;
};

struct bw_op;

/* op->error.reason of a request that was refused before: the decision with seq op->seq says why. */
#define BW_OP_REFUSED_BEFORE "REFUSED_BEFORE"

struct bw_op_create {
    const char *tenant_name;
    const char *user;
    const char *const *groups;
    size_t group_count;
    uint8_t choice;            /* enum bw_mode_choice */
    const char *override_yaml; /* NULL: none */
    uint32_t cap_per_relay;
};

struct bw_op_join {
    const char *user; /* NULL for a connector */
    const char *const *groups;
    size_t group_count;
    enum bw_endpoint kind;
    uint8_t role;
    const char *country, *region; /* NULL: unknown */
    const uint32_t *declared;     /* BW_SCHEME_BIT mask the endpoint declares; NULL: did not say */
    const char *home_tenant;      /* a guest's; NULL: a member */
    const char *relay;            /* INVITE: the one wanted; NULL: any */
    const char *client_address, *client_version; /* NULL: unknown; decide nothing, and are only ever sealed */
};

struct bw_op_leave {
    struct bw_id entry;
    uint8_t reason; /* LeaveReason of the API */
};

struct bw_op_mode {
    enum bw_mode_event event; /* REQUEST_LOWER, CONSENT, REQUEST_RAISE */
    struct bw_id entry;       /* zero: the organiser */
    uint32_t epoch;           /* CONSENT: the announced one */
};

struct bw_op_observe {
    struct bw_id entry;
    enum bw_observed state;
    enum bw_scheme scheme;
    uint32_t mode_epoch;
};

struct bw_op {
    /* ---- request ---- */
    enum bw_op_kind kind;
    struct bw_id tenant, meeting; /* CREATE: the meeting's id is given by the caller */
    struct bw_id request;
    uint8_t fingerprint[8];    /* of the request's content */
    uint64_t deadline_mono_ms; /* 0: none; past it the op is answered DEADLINE_EXCEEDED if nothing was sent */
    union {
        struct bw_op_create create;
        struct bw_op_join join;   /* JOIN, INVITE */
        struct bw_op_leave leave; /* LEAVE, REMOVE; entry alone for RENEW */
        struct bw_op_mode mode_change;
        struct bw_op_observe observe;
        /* READ: meeting is NULL when there is none of that id for this tenant. */
        void (*read)(struct bw_op *op, const struct bw_meeting *meeting);
    };
    struct bw_arena *arena;
    void (*done)(struct bw_op *op);
    void *context;

    /* ---- answer ---- */
    struct bw_error error;         /* code BW_OK: as asked */
    struct bw_admission admission; /* JOIN, INVITE, RENEW */
    /* The op's own row (JOINED, REFUSED, …), valid inside `done`; NULL when none was made. */
    const struct bw_decision *decision;
    struct bw_mode_state mode; /* of the meeting, after this op */
    enum bw_mode label;
    uint32_t participants, consents_missing;
    uint32_t seq;   /* of the newest decision this answer rests on */
    uint64_t group; /* in which it was committed; 0: nothing new was */

    /* ---- the owner's ---- */
    struct bw_op *next;
    void *batch;
    unsigned attempts;
    uint64_t wait_until_ms; /* mono; onNoRelay: wait */
    uint32_t grant_index;
};

#endif
