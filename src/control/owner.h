/* The owner of meetings: takes operations, decides them, has them made durable, and answers. It does no I/O:
 * what it needs from outside are ports, tables of functions that the server (or a test) fills in.
 *
 * Life of an operation: submit → the meeting's queue → decided on top of what was decided before it → its
 * rows go to the writer → answered after the commit; joins and renewals get a grant first, one signature for
 * all of a tick. A meeting has at most one batch of rows in flight; operations that come meanwhile wait and
 * are decided together. When a batch fails (a stale view, policy or facts), the meeting is read back from its
 * rows and the operations are decided again, a few times.
 *
 * Threads: one loop's, for every function and every port. */
#ifndef BW_CONTROL_OWNER_H
#define BW_CONTROL_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "control/book.h"
#include "control/fleet_view.h"
#include "control/op.h"
#include "control/policies.h"
#include "crypto/merkle.h"
#include "placement/place.h"

struct bw_owner;

/* What a committed decision changes at relays. */
enum bw_effect_kind { BW_EFFECT_SLOT, BW_EFFECT_LINK };

struct bw_effect {
    enum bw_effect_kind kind;
    bool removed;
    bool lingers;    /* a removal that may wait until the participant has changed over */
    uint32_t relay;  /* number: whom it concerns */
    uint32_t number; /* the slot, or the peer's relay number */
    struct bw_id entry;
    uint8_t role;
};

/* A decision that has committed, with what follows from it. Borrowed for the time of the call. */
struct bw_change {
    struct bw_decision decision;
    const struct bw_effect *effects;
    size_t effect_count;
    const struct bw_meeting *meeting; /* as it is after the whole batch */
    struct bw_mode_state mode;        /* as it was right after this decision */
    uint32_t meeting_epoch;
};

enum bw_row_outcome {
    BW_ROW_COMMITTED,
    BW_ROW_STALE,     /* view, policy or facts: read again and decide again */
    BW_ROW_DUPLICATE, /* CREATED: the request made another meeting before */
    BW_ROW_FAILED,    /* `error` says why; not decided again */
};

struct bw_row_result {
    enum bw_row_outcome outcome;
    uint64_t group;        /* COMMITTED */
    struct bw_id meeting;  /* DUPLICATE */
    struct bw_error error; /* STALE, FAILED */
};

struct bw_row {
    const struct bw_decision *decision;
    struct bw_view record;
    const uint32_t *relays; /* concerned, ascending */
    size_t relay_count;
    bool creates;
    const struct bw_op_join *join; /* JOINED: who it is, for whoever may seal it; else NULL */
};

struct bw_owner_ports {
    void *context;
    uint64_t (*wall_ms)(void *context);
    uint64_t (*mono_ms)(void *context);
    void (*random)(void *context, void *out, size_t n);
    /* Calls bw_owner_turn once, at the end of this turn of the loop. */
    void (*wake)(void *context);
    /* The same at a later moment (mono); a second call replaces the first. */
    void (*wake_at)(void *context, uint64_t mono_ms);
    enum bw_code (*encode)(void *context, const struct bw_decision *decision, struct bw_buf *out,
                           struct bw_error *err);
    /* Takes a copy; answers later by bw_owner_row_done(owner, token, …), unless an error is returned. */
    enum bw_code (*submit)(void *context, const struct bw_row *row, void *token, struct bw_error *err);
    /* Reads a meeting's decisions back; answers later by bw_owner_loaded. */
    void (*load)(void *context, const struct bw_id *meeting);
    /* Signs a tick; answers later by bw_owner_signed. */
    enum bw_code (*sign)(void *context, const struct bw_merkle_hash *root, uint32_t leaves,
                         struct bw_error *err);
    /* A relay's escrow runs low: ask for more; bw_owner_escrow_changed tells that an answer has come. */
    void (*escrow_low)(void *context, uint32_t relay);
    /* For every row that commits, in the order of each meeting. */
    void (*committed)(void *context, uint64_t group, const struct bw_change *change);
};

struct bw_owner_config {
    struct bw_owner_ports ports;
    struct bw_book *book; /* outlives the owner */
    const char *cell;     /* name */
    struct bw_id stream;
    struct bw_weights weights;
    uint32_t escrow_low_water;   /* ask for more below */
    uint64_t grant_life_ms;      /* <= BW_GRANT_LIFE_MAX_MS */
    uint64_t empty_meeting_ms;   /* a meeting without participants ends after this */
    uint64_t meeting_max_age_ms; /* and any meeting after this */
    uint64_t ended_kept_ms;      /* an ended one can be read for so long */
    uint64_t burst_window_ms;    /* of weights.burst_limit: about one load report */
};

BW_MUST_USE enum bw_code bw_owner_create(const struct bw_owner_config *config, struct bw_owner **out,
                                         struct bw_error *err);
/* The owner stops: operations still here, and those that still come, are answered UNAVAILABLE, and watches
 * end. To be called while everybody who is told of that is still there. */
void bw_owner_close(struct bw_owner *owner);
/* Closes it, too. NULL is allowed. */
void bw_owner_destroy(struct bw_owner *owner);

void bw_owner_submit(struct bw_owner *owner, struct bw_op *op);
/* The answer to a JOIN or INVITE that ended well did not reach its caller. Unless the request comes again, or
 * somebody speaks for the entry (renews its grant, reports for it, consents), it is made to leave (UNCLAIMED)
 * 60 s after its grant would have ended. Answers that are errors need not be reported. */
void bw_owner_unclaimed(struct bw_owner *owner, const struct bw_id *meeting, const struct bw_id *entry);

/* ---- answers of ports ---- */
void bw_owner_turn(struct bw_owner *owner);
void bw_owner_row_done(struct bw_owner *owner, void *token, const struct bw_row_result *result);
/* code BW_OK with the decisions in order (none: there is no such meeting). */
void bw_owner_loaded(struct bw_owner *owner, const struct bw_id *id, enum bw_code code,
                     const struct bw_decision *const *decisions, size_t count);
void bw_owner_signed(struct bw_owner *owner, enum bw_code code, const struct bw_error *error,
                     const uint8_t signature[BW_ED25519_SIGNATURE_SIZE]);
void bw_owner_escrow_changed(struct bw_owner *owner);

/* ---- the world changes ---- */
/* Each takes a reference of its own. Live meetings that the change concerns are checked again. */
void bw_owner_set_view(struct bw_owner *owner, struct bw_fleet_view *view);
BW_MUST_USE enum bw_code bw_owner_set_policy(struct bw_owner *owner, struct bw_policy_set *set,
                                             struct bw_error *err);
void bw_owner_set_signing_key(struct bw_owner *owner, const uint8_t key_id[BW_GRANT_KEY_ID_SIZE]);
/* About once a second: waits that end, meetings nobody is in, certifications that expire. */
void bw_owner_tick(struct bw_owner *owner);

/* ---- recovery: before anything is submitted ---- */
BW_MUST_USE enum bw_code bw_owner_restore(struct bw_owner *owner, const struct bw_decision *decision,
                                          struct bw_error *err);
/* Counts what was restored into the book: call once, after the last decision. */
void bw_owner_restored(struct bw_owner *owner);

/* ---- reading ---- */
typedef bool bw_owner_each(void *context, const struct bw_meeting *meeting);
/* Every meeting with all that has been decided, whether or not that is durable yet, ended ones too, in no
 * order; false stops. For recovery, before anything is submitted. */
void bw_owner_each_meeting(struct bw_owner *owner, bw_owner_each *each, void *context);
typedef bool bw_owner_each_head(void *context, const struct bw_meeting_head *head);
/* The same as far as it has been committed: what answers to others rest on. Meetings whose creation has not
 * been are left out. */
void bw_owner_each_committed(struct bw_owner *owner, bw_owner_each_head *each, void *context);
/* A meeting as decided so far; borrowed until the next turn. NULL when there is none of that id, or when it
 * is being read back from its rows: *loading says which. */
const struct bw_meeting *bw_owner_meeting(const struct bw_owner *owner, const struct bw_id *id,
                                          bool *loading);
/* Everything a live meeting needs at its relays, as upserts. */
void bw_owner_meeting_effects(const struct bw_meeting *meeting,
                              void (*each)(void *context, const struct bw_effect *effect), void *context);

/* ---- watching ---- */
struct bw_watch {
    /* A change of this meeting that has committed. */
    void (*changed)(struct bw_watch *watch, const struct bw_change *change);
    /* The state was read back and has jumped, or the meeting or the owner goes: the watch is over. */
    void (*ended)(struct bw_watch *watch);
    struct bw_watch *next, *previous;
    struct bw_id meeting;
    bool linked;
};

/* From inside a READ operation, so that nothing is missed in between. NOT_FOUND. */
BW_MUST_USE enum bw_code bw_owner_watch(struct bw_owner *owner, const struct bw_id *meeting,
                                        struct bw_watch *watch, struct bw_error *err);
void bw_owner_unwatch(struct bw_owner *owner, struct bw_watch *watch);

struct bw_owner_counts {
    size_t meetings, participants, waiting, in_flight;
    uint64_t decided, refused, retried, failed;
};
struct bw_owner_counts bw_owner_counts(const struct bw_owner *owner);
/* Fleet view in force, borrowed until the next turn; NULL before the first. */
const struct bw_fleet_view *bw_owner_view(const struct bw_owner *owner);
/* A tenant's policy in force; NULL when it has none, or one that could not be read. Borrowed likewise. */
struct bw_policy_set *bw_owner_policy(const struct bw_owner *owner, const struct bw_id *tenant);

#endif
