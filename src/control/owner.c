/* The owner's life: operations come in, wait for their meeting, and are decided together. */
#include "control/owner.h"

#include <string.h>

#include "base/alloc.h"
#include "control/owner_state.h"

enum { BATCH_OPS_MAX = 256, QUEUE_OPS_MAX = 10000, RETRY_FIRST_MS = 10, RETRY_MOST_MS = 500 };

void op_queue_init(struct op_queue *queue)
{
    *queue = (struct op_queue){.end = &queue->first};
}

void op_queue_push(struct op_queue *queue, struct bw_op *op)
{
    op->next = NULL;
    *queue->end = op;
    queue->end = &op->next;
    queue->count++;
}

struct bw_op *op_queue_pop(struct op_queue *queue)
{
    struct bw_op *op = queue->first;
    if (op == NULL)
        return NULL;
    queue->first = op->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    op->next = NULL;
    return op;
}

uint64_t owner_mono(const struct bw_owner *owner)
{
    return owner->config.ports.mono_ms(owner->config.ports.context);
}

enum bw_code bw_owner_create(const struct bw_owner_config *config, struct bw_owner **out,
                             struct bw_error *err)
{
    struct bw_owner *owner = bw_calloc(1, sizeof *owner);
    char *cell = bw_strdup(config->cell);
    if (owner == NULL || cell == NULL || bw_grant_batch_create(&owner->grants, err) != BW_OK ||
        bw_grant_batch_create(&owner->signing, err) != BW_OK) {
        if (owner != NULL)
            bw_grant_batch_destroy(owner->grants);
        bw_free(owner);
        bw_free(cell);
        return bw_fail_memory(err);
    }
    owner->config = *config;
    owner->cell_name = cell;
    owner->cell_id = bw_grant_cell_id(bw_view_str(cell));
    op_queue_init(&owner->granted);
    op_queue_init(&owner->at_signer);
    op_queue_init(&owner->waiting);
    owner->ready_end = &owner->ready_first;
    *out = owner;
    return BW_OK;
}

void live_end_watches(struct live *live)
{
    struct bw_watch *watch;
    while ((watch = live->watches) != NULL) {
        live->watches = watch->next;
        if (watch->next != NULL)
            watch->next->previous = NULL;
        watch->linked = false;
        watch->ended(watch);
    }
}

static void live_destroy(struct live *live)
{
    live_end_watches(live);
    bw_meeting_destroy(live->meeting);
    bw_constraints_release(live->constraints);
    bw_arena_destroy(live->override_arena);
    bw_free(live->known);
    bw_free(live->unclaimed);
    bw_free(live);
}

static void refuse_stopping(struct bw_owner *owner, struct bw_op *op)
{
    bw_fail(&op->error, BW_UNAVAILABLE, "SHUTTING_DOWN", "this replica is stopping; ask another one");
    op_finish(owner, op);
}

static void give_up(struct bw_owner *owner, struct op_queue *queue)
{
    struct bw_op *op;
    while ((op = op_queue_pop(queue)) != NULL)
        refuse_stopping(owner, op);
}

void bw_owner_close(struct bw_owner *owner)
{
    owner->closed = true;
    give_up(owner, &owner->waiting);
    give_up(owner, &owner->granted);
    give_up(owner, &owner->at_signer);
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        give_up(owner, &live->queue);
        if (live->batch != NULL)
            give_up(owner, &live->batch->ops);
        live_end_watches(live);
    }
}

void bw_owner_destroy(struct bw_owner *owner)
{
    if (owner == NULL)
        return;
    bw_owner_close(owner);
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        if (live->batch != NULL)
            bw_arena_destroy(live->batch->arena);
        HASH_DEL(owner->lives, live);
        live_destroy(live);
    }
    struct tenant_policy *policy, *after;
    HASH_ITER(hh, owner->policies, policy, after)
    {
        HASH_DEL(owner->policies, policy);
        kept_forget(policy);
        bw_policy_set_release(policy->set);
        bw_free(policy);
    }
    bw_buf_finish(&owner->scratch);
    while (owner->spare_arena_count > 0)
        bw_arena_destroy(owner->spare_arenas[--owner->spare_arena_count]);
    bw_fleet_view_release(owner->view);
    bw_grant_batch_destroy(owner->grants);
    bw_grant_batch_destroy(owner->signing);
    bw_free((char *)owner->cell_name);
    bw_free(owner);
}

struct live *live_find(const struct bw_owner *owner, const struct bw_id *id)
{
    struct live *live;
    HASH_FIND(hh, owner->lives, id, sizeof *id, live);
    return live;
}

struct live *live_create(struct bw_owner *owner, const struct bw_id *id)
{
    struct live *live = bw_calloc(1, sizeof *live);
    if (live == NULL)
        return NULL;
    live->id = *id;
    op_queue_init(&live->queue);
    struct live *added = live;
    HASH_ADD(hh, owner->lives, id, sizeof live->id, added);
    if (live->hh.tbl == NULL) {
        bw_free(live);
        return NULL;
    }
    return live;
}

void live_forget(struct bw_owner *owner, struct live *live)
{
    for (struct live **at = &owner->delayed; live->delayed; at = &(*at)->next_delayed) {
        if (*at != live)
            continue;
        *at = live->next_delayed;
        break;
    }
    HASH_DEL(owner->lives, live);
    live_destroy(live);
}

void owner_wake(struct bw_owner *owner)
{
    if (owner->woken)
        return;
    owner->woken = true;
    owner->config.ports.wake(owner->config.ports.context);
}

void live_make_ready(struct bw_owner *owner, struct live *live)
{
    if (!live->ready) {
        live->ready = true;
        live->next_ready = NULL;
        *owner->ready_end = live;
        owner->ready_end = &live->next_ready;
    }
    owner_wake(owner);
}

struct tenant_policy *owner_tenant(const struct bw_owner *owner, const struct bw_id *tenant)
{
    struct tenant_policy *policy;
    HASH_FIND(hh, owner->policies, tenant, sizeof *tenant, policy);
    return policy;
}

struct bw_policy_set *owner_policy(const struct bw_owner *owner, const struct bw_id *tenant)
{
    const struct tenant_policy *policy = owner_tenant(owner, tenant);
    return policy != NULL && policy->set->doc != NULL ? policy->set : NULL;
}

struct bw_policy_set *bw_owner_policy(const struct bw_owner *owner, const struct bw_id *tenant)
{
    return owner_policy(owner, tenant);
}

const struct bw_fleet_view *bw_owner_view(const struct bw_owner *owner)
{
    return owner->view;
}

void bw_owner_submit(struct bw_owner *owner, struct bw_op *op)
{
    if (owner->closed) {
        refuse_stopping(owner, op);
        return;
    }
    struct live *live = live_find(owner, &op->meeting);
    if (live == NULL && op->kind == BW_OP_CREATE)
        live = live_create(owner, &op->meeting);
    if (live == NULL) {
        if (op->kind == BW_OP_CREATE)
            bw_fail_memory(&op->error);
        else if (op->kind != BW_OP_READ)
            bw_fail(&op->error, BW_NOT_FOUND, "NO_MEETING",
                    "no meeting of that id; it may have ended long ago or belong to another cell");
        op_finish(owner, op);
        return;
    }
    if (live->queue.count >= QUEUE_OPS_MAX) {
        bw_fail(&op->error, BW_RESOURCE_EXHAUSTED, "MEETING_BUSY",
                "too many requests for this meeting are waiting; try again in a moment");
        op_finish(owner, op);
        return;
    }
    op_queue_push(&live->queue, op);
    if (live->batch == NULL && !live->loading)
        live_make_ready(owner, live);
}

/* The same request id again: the earlier answer, or a refusal when it was about something else. True when the
 * op is settled by that. */
static bool answered_before(struct bw_owner *owner, struct live *live, struct bw_op *op)
{
    if (op->kind == BW_OP_RECHECK || op->kind == BW_OP_READ || op->kind == BW_OP_RENEW)
        return false;
    const struct bw_meeting_request *earlier = bw_meeting_find_request(live->meeting, &op->request);
    if (earlier == NULL)
        return false;
    if (memcmp(earlier->fingerprint, op->fingerprint, sizeof op->fingerprint) != 0) {
        bw_fail(&op->error, BW_ALREADY_EXISTS, "REQUEST_ID_REUSED",
                "this request id was used before with other content; give each request its own");
        return true;
    }
    op->seq = earlier->seq;
    if (earlier->kind == BW_DECISION_REFUSED) {
        bw_fail(&op->error, BW_FAILED_PRECONDITION, BW_OP_REFUSED_BEFORE,
                "this request was refused before; a new try needs a new request id");
        return true;
    }
    if (op->kind == BW_OP_JOIN || op->kind == BW_OP_INVITE) {
        const struct bw_member *member = bw_meeting_slot(live->meeting, earlier->seq);
        if (member == NULL) {
            bw_fail(&op->error, BW_FAILED_PRECONDITION, "LEFT_SINCE",
                    "the participant that this request admitted has left since; join with a new request id");
            return true;
        }
        live_claimed(live, &member->entry);
        admission_fill(owner, op, live->meeting, member);
    }
    return true;
}

static void renew(struct bw_owner *owner, struct live *live, struct bw_op *op)
{
    const struct bw_member *member = bw_meeting_member(live->meeting, &op->leave.entry);
    if (member == NULL) {
        bw_fail(&op->error, BW_NOT_FOUND, "NO_ROSTER_ENTRY",
                "that roster entry is not in this meeting; it may have left or been removed");
        return;
    }
    live_claimed(live, &member->entry);
    admission_fill(owner, op, live->meeting, member);
}

/* One operation on the state as decided so far. False: it waits. */
static bool decide(struct draft *draft, struct bw_op *op)
{
    struct bw_owner *owner = draft->owner;
    struct live *live = draft->live;
    op->error.code = BW_OK;
    op->decision = NULL;
    if (op->kind == BW_OP_CREATE) {
        if (live->meeting == NULL)
            return decide_create(draft, op);
        return answered_before(owner, live, op) ||
               (bw_fail(&op->error, BW_ALREADY_EXISTS, NULL, "a meeting of that id exists"), true);
    }
    if (live->meeting == NULL || !bw_id_equal(&live->meeting->tenant, &op->tenant)) {
        if (op->kind != BW_OP_READ)
            bw_fail(&op->error, BW_NOT_FOUND, "NO_MEETING", "the tenant has no meeting of that id");
        return true;
    }
    if (op->kind == BW_OP_READ)
        return true; /* sees the state once all of this batch is durable */
    if (answered_before(owner, live, op))
        return true;
    if (live->meeting->ended) {
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "MEETING_ENDED", "the meeting has ended");
        return true;
    }
    if (op->kind == BW_OP_RENEW) {
        renew(owner, live, op);
        return true;
    }
    struct bw_error err;
    draft->unruled = live_constraints(owner, live, draft->now_ms, &err) != BW_OK;
    /* Leaving and ending must be possible whatever becomes of the policy. */
    if (draft->unruled && op->kind != BW_OP_LEAVE && op->kind != BW_OP_REMOVE && op->kind != BW_OP_END) {
        op->error = err;
        return true;
    }
    owner->counts.decided++;
    switch (op->kind) {
    case BW_OP_JOIN:
    case BW_OP_INVITE:
        return decide_join(draft, op);
    case BW_OP_LEAVE:
    case BW_OP_REMOVE:
        return decide_leave(draft, op);
    case BW_OP_END:
        return decide_end(draft, op, BW_END_REQUESTED);
    case BW_OP_MODE:
        live_claimed(live, &op->mode_change.entry);
        return decide_mode(draft, op);
    case BW_OP_OBSERVE:
        live_claimed(live, &op->observe.entry);
        return decide_observe(draft, op);
    default:
        return true;
    }
}

static bool out_of_time(const struct bw_owner *owner, const struct bw_op *op)
{
    return op->deadline_mono_ms != 0 && owner_mono(owner) >= op->deadline_mono_ms;
}

static void wake_at_first(struct bw_owner *owner)
{
    uint64_t first = UINT64_MAX;
    for (const struct live *each = owner->delayed; each != NULL; each = each->next_delayed)
        first = each->retry_at_ms < first ? each->retry_at_ms : first;
    if (first != UINT64_MAX)
        owner->config.ports.wake_at(owner->config.ports.context, first);
}

static void delay(struct bw_owner *owner, struct live *live)
{
    if (!live->delayed) {
        live->delayed = true;
        live->next_delayed = owner->delayed;
        owner->delayed = live;
    }
    wake_at_first(owner);
}

/* Those whose moment has come are ready, in this turn; the others go on waiting. */
static void undelay(struct bw_owner *owner)
{
    uint64_t now = owner_mono(owner);
    struct live **at = &owner->delayed;
    bool any = false;
    while (*at != NULL) {
        struct live *live = *at;
        if (live->retry_at_ms > now) {
            at = &live->next_delayed;
            continue;
        }
        *at = live->next_delayed;
        live->delayed = false;
        live_make_ready(owner, live);
        any = true;
    }
    if (any)
        wake_at_first(owner);
}

/* Decides what waits for a meeting, as one batch. */
static void pump(struct bw_owner *owner, struct live *live)
{
    if (live->batch != NULL || live->loading || owner->view == NULL)
        return; /* its end makes the meeting ready again */
    if (live->retry_at_ms > owner_mono(owner)) {
        delay(owner, live);
        return;
    }
    if (live->unread) {
        live->loading = true;
        owner->config.ports.load(owner->config.ports.context, &live->id);
        return;
    }
    struct batch *batch = batch_create(owner, live);
    if (batch == NULL)
        return; /* the tick comes back */
    struct draft draft = {
        .owner = owner,
        .live = live,
        .batch = batch,
        .now_ms = owner->config.ports.wall_ms(owner->config.ports.context),
    };
    bool recheck = live->recheck && live->meeting != NULL && !live->meeting->ended;
    live->recheck = false;
    if (recheck) {
        struct bw_error err;
        if (live_constraints(owner, live, draft.now_ms, &err) == BW_OK)
            decide_recheck(&draft);
        else
            live->recheck_at_tick = true; /* nobody is let in meanwhile; those inside keep what they have */
    }
    if (live->meeting != NULL && !live->meeting->ended && live_release_due(owner, live)) {
        struct bw_error err;
        draft.unruled = live_constraints(owner, live, draft.now_ms, &err) != BW_OK;
        decide_release(&draft);
    }
    struct bw_op *op;
    size_t taken = 0;
    while (!draft.broken && taken < BATCH_OPS_MAX && (op = op_queue_pop(&live->queue)) != NULL) {
        taken++;
        if (out_of_time(owner, op)) {
            bw_fail(&op->error, BW_DEADLINE_EXCEEDED, NULL,
                    "the deadline passed before anything was decided");
            op_queue_push(&batch->ops, op);
            continue;
        }
        if (decide(&draft, op) || draft.broken)
            op_queue_push(&batch->ops, op);
        else
            op_queue_push(&owner->waiting, op);
    }
    batch_close(&draft);
}

void bw_owner_turn(struct bw_owner *owner)
{
    owner->woken = true; /* no need to be woken for what is about to be done */
    undelay(owner);
    owner->woken = false;
    struct live *ready = owner->ready_first;
    owner->ready_first = NULL;
    owner->ready_end = &owner->ready_first;
    while (ready != NULL) {
        struct live *next = ready->next_ready;
        ready->ready = false;
        pump(owner, ready);
        ready = next;
    }
    grants_flush(owner);
}

/* Decides again after a failed batch: soon, then less soon. */
void live_retry_later(struct bw_owner *owner, struct live *live)
{
    live->failures++;
    uint64_t wait = RETRY_FIRST_MS;
    for (unsigned i = 1; i < live->failures && wait < RETRY_MOST_MS; i++)
        wait *= 3;
    live->retry_at_ms = owner_mono(owner) + (wait < RETRY_MOST_MS ? wait : RETRY_MOST_MS);
    live_make_ready(owner, live);
}

void live_fail_queue(struct bw_owner *owner, struct live *live, const struct bw_error *error)
{
    struct op_queue failing = live->queue;
    op_queue_init(&live->queue);
    struct bw_op *op = failing.first;
    while (op != NULL) {
        struct bw_op *next = op->next;
        op->next = NULL;
        op->error = *error;
        op_finish(owner, op);
        op = next;
    }
}
