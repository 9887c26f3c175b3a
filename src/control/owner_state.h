/* What the files of the owner share among themselves; nobody else includes this. */
#ifndef BW_CONTROL_OWNER_STATE_H
#define BW_CONTROL_OWNER_STATE_H

#include "control/owner.h"

enum { SPARE_ARENAS = 1024 };

/* Operations in order of arrival. */
struct op_queue {
    struct bw_op *first, **end;
    size_t count;
};

void op_queue_init(struct op_queue *queue);
void op_queue_push(struct op_queue *queue, struct bw_op *op);
struct bw_op *op_queue_pop(struct op_queue *queue);

/* A live meeting with what the owner keeps beside its state. */
struct live {
    struct bw_meeting *meeting;
    struct bw_id id; /* outlives `meeting` while it is read back */
    struct op_queue queue;
    struct batch *batch; /* in flight, or NULL */
    bool loading;
    bool ready; /* is in the owner's ready list */
    struct live *next_ready;
    uint64_t retry_at_ms; /* mono; decide again not before */
    unsigned failures;    /* batches in a row */
    bool delayed;         /* is in the owner's delayed list */
    struct live *next_delayed;
    bool unread;               /* what is in memory is not to be trusted: read it back first */
    uint64_t last_group;       /* of its newest decision; 0 after a restart */
    bool recheck;              /* policy or fleet changed since it was last checked */
    bool recheck_at_tick;      /* it was checked, and that is to be done again in a while */
    uint64_t drain_until_ms;   /* mono; when who may not stay is removed; 0: not pending */
    uint64_t starved_until_ms; /* mono; some wait for slots that were asked for until then; 0: nobody */
    uint64_t look_again_ms;    /* mono; some would move if there were a place; 0: nobody */
    uint64_t empty_since_ms;   /* mono; 0: somebody is in */

    struct bw_constraints *constraints;
    uint32_t constraints_revision;
    struct bw_arena *override_arena;
    const struct bw_policy_doc *override_doc;

    /* Joins per relay within the burst window. */
    uint64_t burst_start_ms;
    struct {
        uint32_t relay, joins;
    } burst[BW_MEETING_RELAYS_MAX];
    size_t burst_count;

    /* First hops of those on each relay, summed up so that a join need not look at the whole roster. They
     * hold for one state of the owner's `distances` (0: none are known) and for the meeting as of one seq. */
    uint64_t hops_distances;
    uint32_t hops_seq;
    struct {
        uint32_t relay;
        uint64_t sum_us;
    } hops[BW_MEETING_RELAYS_MAX];
    size_t hops_count;

    /* As it was known to be committed, while it is read back; NULL: not known. */
    struct bw_meeting_head *known;

    /* Admissions that nobody has heard of (unclaimed.c), by the time they were made. */
    struct unclaimed *unclaimed;
    size_t unclaimed_count, unclaimed_cap;

    struct bw_watch *watches;
    uint32_t told_seq; /* of the newest decision that they know */
    UT_hash_handle hh; /* by id */
};

/* A row of a batch. */
struct change {
    struct bw_change change;
    struct bw_op *op; /* whose own row it is; NULL: a consequence */
    struct batch *batch;
    const uint32_t *takes, *gives; /* slots of the book: back if it fails, free once it commits */
    size_t take_count, give_count;
    bool done, failed;
    uint64_t group;
    struct change *next;
};

/* What was decided for one meeting in one go. */
struct batch {
    struct bw_owner *owner;
    struct live *live;
    struct bw_arena *arena;
    struct change *first, **end;
    const struct bw_meeting_head *before; /* as it is committed; NULL: the meeting is created here */
    size_t rows_open;
    struct op_queue ops; /* decided here, to be answered when all rows are done */
    size_t references;   /* 1 until answered, and one per op that waits for its grant */
    bool failed;         /* some row did not commit, or the draft was broken */
    struct bw_row_result why;
};

struct tenant_policy {
    struct bw_id tenant;
    struct bw_policy_set *set;
    struct kept *kept; /* constraint sets of its meetings, newest first */
    size_t kept_count;
    UT_hash_handle hh;
};

struct bw_owner {
    struct bw_owner_config config;
    const char *cell_name;
    struct bw_id cell_id;
    struct bw_fleet_view *view;
    uint64_t distances; /* rises with each view in which first hops differ */
    struct tenant_policy *policies;
    struct live *lives;
    struct live *ready_first, **ready_end;
    struct live *delayed;
    bool woken;
    bool closed;
    bool starved; /* some meeting waits for escrow to move people */
    uint64_t look_again_every_ms;

    bool has_key;
    uint8_t key_id[BW_GRANT_KEY_ID_SIZE];
    struct bw_grant_batch *grants, *signing; /* collecting; at the signer */
    struct op_queue granted, at_signer;

    struct bw_buf scratch;                       /* what is encoded and copied at once */
    struct bw_arena *spare_arenas[SPARE_ARENAS]; /* of batches that are over */
    size_t spare_arena_count;

    struct op_queue waiting; /* onNoRelay: wait, or for escrow */
    struct bw_owner_counts counts;
};

/* Deciding one operation: fills op->error, or adds rows to the draft; *wait says to try again when the fleet
 * or the escrow changes. */
struct draft {
    struct bw_owner *owner;
    struct live *live;
    struct batch *batch;
    uint64_t now_ms; /* wall */
    bool broken;     /* a row could not be built: the whole batch is dropped */
    bool unruled;    /* the policy of now cannot be compiled: who leaves and what ends does so without it */
    bool evicting;   /* who moves leaves the old relay at once: the policy says so */
};

/* draft.c */
struct bw_decision *draft_begin(struct draft *draft, struct bw_op *op, enum bw_decision_kind kind);
/* Applies it to the meeting and queues it. The op becomes its owner when `own`. False: draft is broken. */
bool draft_add(struct draft *draft, struct bw_decision *decision, struct bw_op *op);
/* Carries out a step of the mode machine. `subject` is the slot the event is about; 0: none. */
bool draft_mode_step(struct draft *draft, struct bw_op *op, const struct bw_mode_step *step,
                     uint32_t subject);
bool draft_leave(struct draft *draft, struct bw_op *op, const struct bw_member *member, uint8_t reason);
/* The policy's part of the mode machine's input. */
struct bw_mode_policy mode_policy_of(const struct bw_constraints *constraints);
enum bw_suite suite_of(const struct bw_constraints *constraints);

/* unclaimed.c */
/* Nobody has heard of this admission; somebody speaks for it after all. */
void live_unclaimed(struct bw_owner *owner, struct live *live, const struct bw_id *entry);
void live_claimed(struct live *live, const struct bw_id *entry);
/* Whether some are to be released now, and doing so. */
bool live_release_due(const struct bw_owner *owner, const struct live *live);
void decide_release(struct draft *draft);

/* constraints.c */
/* policy in force for the meeting; compiles when anything it rests on has changed */
enum bw_code live_constraints(struct bw_owner *owner, struct live *live, uint64_t now_ms,
                              struct bw_error *err);
/* The same for one that is being created: it has no state yet, but levels and perhaps a document of its own,
 * which must not widen the tenant's. */
enum bw_code live_constraints_first(struct bw_owner *owner, struct live *live, struct tenant_policy *policy,
                                    const char *const *levels, size_t level_count, const char *override_yaml,
                                    uint64_t now_ms, struct bw_error *err);
/* FAILED_PRECONDITION: the revision in force has no document here. */
enum bw_code policy_unread(const struct bw_policy_set *set, struct bw_error *err);
/* Lets go of what is kept for meetings to come: the tenant's policy is about to change, or to go. */
void kept_forget(struct tenant_policy *policy);

/* owner.c */
/* NULL when the tenant has none here. */
struct tenant_policy *owner_tenant(const struct bw_owner *owner, const struct bw_id *tenant);
/* NULL also when it could not be read. */
struct bw_policy_set *owner_policy(const struct bw_owner *owner, const struct bw_id *tenant);

/* decide_*.c: true when the op is settled (op->error says how, rows may have been added); false: it waits. */
bool decide_create(struct draft *draft, struct bw_op *op);
bool decide_join(struct draft *draft, struct bw_op *op);
bool decide_leave(struct draft *draft, struct bw_op *op);
/* Somebody leaves, and the mode with them. False: draft is broken. */
bool decide_leave_of(struct draft *draft, struct bw_op *op, const struct bw_member *member, uint8_t reason);
bool decide_end(struct draft *draft, struct bw_op *op, uint8_t reason);
bool decide_mode(struct draft *draft, struct bw_op *op);
bool decide_observe(struct draft *draft, struct bw_op *op);
void decide_recheck(struct draft *draft);
/* onPolicyChange: keep leaves people where the policy of now lets nobody be. Somebody new would have to be
 * linked to them, which is as forbidden: so they move first, all of them. False: nobody moved, since nobody
 * is in the way or there is no place for all. */
bool decide_move_kept(struct draft *draft);
/* Region index of somebody there; BW_NO_REGION. */
uint32_t member_region(const struct bw_snapshot *snapshot, const char *country, const char *region);
/* What placement is asked with now. leaving[i] (may be NULL): slot i of the meeting is about to move. */
enum bw_code place_request(struct draft *draft, struct bw_place_request *request, const uint32_t *leaving,
                           struct bw_error *err);

/* grants.c */
/* The op's admission is filled in, and is that of this member. */
void grants_collect(struct bw_owner *owner, const struct live *live, const struct bw_member *member,
                    struct bw_op *op);
void grants_flush(struct bw_owner *owner);
/* The member's admission, all but its grant. */
void admission_fill(struct bw_owner *owner, struct bw_op *op, const struct bw_meeting *meeting,
                    const struct bw_member *member);

/* commit.c */
struct batch *batch_create(struct bw_owner *owner, struct live *live);
/* The draft is whole, or broken: its batch goes out, or is dropped. */
void batch_close(struct draft *draft);
void batch_release(struct batch *batch);
void op_finish(struct bw_owner *owner, struct bw_op *op);

/* owner.c */
void live_make_ready(struct bw_owner *owner, struct live *live);
void owner_wake(struct bw_owner *owner);
void live_forget(struct bw_owner *owner, struct live *live);
void live_end_watches(struct live *live);
/* Decides again, after a while that grows with each failure in a row. */
void live_retry_later(struct bw_owner *owner, struct live *live);
void live_fail_queue(struct bw_owner *owner, struct live *live, const struct bw_error *error);
uint64_t owner_mono(const struct bw_owner *owner);
/* NULL when memory is out. */
struct live *live_create(struct bw_owner *owner, const struct bw_id *id);
struct live *live_find(const struct bw_owner *owner, const struct bw_id *id);

#endif
