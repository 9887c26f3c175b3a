/* The end-to-end-encryption mode of a meeting as one table of (state, event, guard, next, effects). The
 * caller keeps the state, counts its roster, and carries out the effects; nothing here does I/O.
 *
 * A mode is what the meeting is allocated. What may be shown to people is the label (e2ee/flags.h), which
 * also looks at what was observed and so never claims more than is true. Threads: pure. */
#ifndef BW_E2EE_MODE_H
#define BW_E2EE_MODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/machine.h"
#include "base/status.h"

/* Numbers go into grants and onto the wire. NONE is no state: a zeroed struct claims nothing. */
enum bw_mode {
    BW_MODE_NONE = 0,
    BW_MODE_E2EE = 1,            /* only participants' endpoints can read */
    BW_MODE_E2EE_CONNECTORS = 2, /* relays cannot read; the connectors on the roster can */
    BW_MODE_HOP = 3,             /* encrypted to each relay, which could read */
    BW_MODE_PARTIAL = 4,         /* allocated end-to-end encryption, somebody is observed without it */
    BW_MODE_ENDED = 5,
    BW_MODE_COUNT
};

enum bw_mode_event {
    BW_MODE_JOIN_CAPABLE,
    BW_MODE_JOIN_INCAPABLE,
    BW_MODE_INVITE_CONNECTOR,
    BW_MODE_REMOVE_CONNECTOR, /* one has left, for whatever reason */
    BW_MODE_OBSERVE_PLAIN,    /* a participant, or its relay, reports media without end-to-end encryption */
    BW_MODE_OBSERVE_E2EE,     /* a participant and its relay report end-to-end encryption */
    BW_MODE_REQUEST_LOWER,
    BW_MODE_CONSENT, /* somebody consents */
    BW_MODE_REQUEST_RAISE,
    BW_MODE_POLICY_TIGHTENED, /* the input's policy is the new one; when to say so is onPolicyChange's */
    BW_MODE_POLICY_LOOSENED,
    BW_MODE_END,
    BW_MODE_EVENT_COUNT
};

/* What an allowed step asks of the caller, to be done in the order of the bits: everyone hears of a change
 * before it is in force. */
enum bw_mode_effect {
    BW_MODE_ANNOUNCE = 1 << 0,          /* tell everyone present what is about to hold, and why */
    BW_MODE_EVICT_SUBJECT = 1 << 1,     /* remove the participant the event is about */
    BW_MODE_EVICT_PLAIN = 1 << 2,       /* remove every participant that is counted as plain */
    BW_MODE_REMOVE_CONNECTORS = 1 << 3, /* remove every connector; each is a REMOVE_CONNECTOR later */
    BW_MODE_ASK_CONSENT = 1 << 4,       /* ask everyone present to consent to the announced lowering */
    BW_MODE_NEW_EPOCH = 1 << 5,         /* the new mode holds from mode epoch + 1; allocate flags anew */
    BW_MODE_ADMIT = 1 << 6,             /* the participant or connector may be placed */
    BW_MODE_REFUSE = 1 << 7,            /* nothing changes, the caller of the API is told why */
    BW_MODE_CANCEL = 1 << 8,            /* what was pending is off */
    BW_MODE_BEGIN_RAISE = 1 << 9,       /* the raise goes on when those to be removed are gone */
    BW_MODE_STOP = 1 << 10,             /* the meeting ends */
};

/* A change that is announced and waits: for consents, or for connectors to be gone. */
enum bw_mode_pending { BW_MODE_PENDING_NONE, BW_MODE_PENDING_LOWER, BW_MODE_PENDING_RAISE };

/* What to do with a participant that is seen without what it was allocated. */
enum bw_mode_mismatch { BW_MODE_MISMATCH_REFUSE, BW_MODE_MISMATCH_LABEL };

/* The compiled policy as far as modes go. required: only may_e2ee; forbidden: only may_hop; preferred and
 * optional: both, and differ in prefers_e2ee. At least one of the two is true (an invariant of ours). */
struct bw_mode_policy {
    bool may_e2ee, may_hop;
    bool prefers_e2ee;
    bool connectors_as_endpoints;
    bool lowering_with_consent;     /* e2ee.downgrade: with-consent */
    enum bw_mode_mismatch mismatch; /* has no say where end-to-end encryption is required: that refuses */
};

/* The roster as it will be if the event is accepted (a joiner is counted in, a leaver is not). */
struct bw_mode_counts {
    uint32_t connectors;
    uint32_t incapable;  /* participants that cannot do end-to-end encryption; not connectors */
    uint32_t plain;      /* incapable, observed plain, or observed with another scheme; connectors too. In
                          * mode hop, where nothing is allocated, only the incapable */
    uint32_t unobserved; /* nothing confirmed in this mode epoch; connectors too. 0 in mode hop */
};

struct bw_mode_state {
    enum bw_mode mode;
    uint32_t epoch; /* mode epoch, from 1 */
    enum bw_mode_pending pending;
};

struct bw_mode_input {
    const struct bw_mode_policy *policy;
    struct bw_mode_counts counts;
    uint32_t consents_missing; /* of those present; looked at only while a lowering is pending */
};

struct bw_mode_step {
    struct bw_mode_state state; /* to hold once the effects are done */
    uint32_t effects;           /* enum bw_mode_effect */
};

/* The organiser's wish at creation. */
enum bw_mode_choice { BW_MODE_CHOICE_NONE, BW_MODE_CHOICE_E2EE, BW_MODE_CHOICE_HOP };

/* "e2ee", "e2ee+connectors", "hop", "partial", "ended"; "none" otherwise. */
const char *bw_mode_name(enum bw_mode mode);
/* "join capable" and so on. */
const char *bw_mode_event_name(enum bw_mode_event event);

/* The mode a new meeting starts in. `needs_connector`: policy makes a recorder (or another connector) take
 * part. No wish: e2ee where it is required or preferred, hop where it is optional.
 * FAILED_PRECONDITION MODE_NOT_ALLOWED with what would have to change. */
BW_MUST_USE enum bw_code bw_mode_create(const struct bw_mode_policy *policy, enum bw_mode_choice choice,
                                        bool needs_connector, struct bw_mode_state *state,
                                        struct bw_error *err);

/* One event. BW_OK: *step says what holds next and what to do. FAILED_PRECONDITION: refused, nothing changes
 * and there is nothing to do; the reason is one of
 *   MODE_FORBIDS_CONNECTOR, MODE_FORBIDS_PARTICIPANT, MODE_NOT_LOWERED, MODE_NOT_RAISED, MEETING_ENDED. */
BW_MUST_USE enum bw_code bw_mode_step(const struct bw_mode_state *state, enum bw_mode_event event,
                                      const struct bw_mode_input *input, struct bw_mode_step *step,
                                      struct bw_error *err);

/* Somebody has left (input without them): takes the leaver's consent out of a pending lowering, and takes up
 * whatever their presence held back. Codes as bw_mode_step. */
BW_MUST_USE enum bw_code bw_mode_leave(const struct bw_mode_state *state, bool connector,
                                       const struct bw_mode_input *input, struct bw_mode_step *step,
                                       struct bw_error *err);

/* How much a mode promises; a smaller number is a lowering. */
int bw_mode_strength(enum bw_mode mode);

/* The table itself. A pair may have several rows: the first whose guard holds is taken, and the last row of a
 * pair has no guard. `effect` packs effects, guard and refusal; take it apart with the functions below. */
extern const struct bw_machine bw_mode_machine;
uint32_t bw_mode_row_effects(const struct bw_machine_row *row);
const char *bw_mode_row_guard(const struct bw_machine_row *row);   /* "" for none */
const char *bw_mode_row_refusal(const struct bw_machine_row *row); /* reason, "" for none */
/* As bw_mode_step, over another table: for tests that break a row and watch the checker find it. */
BW_MUST_USE enum bw_code bw_mode_step_in(const struct bw_machine *machine, const struct bw_mode_state *state,
                                         enum bw_mode_event event, const struct bw_mode_input *input,
                                         struct bw_mode_step *step, struct bw_error *err);
/* The table as the Markdown page of the reference documentation. */
void bw_mode_describe(struct bw_buf *out);

#endif
