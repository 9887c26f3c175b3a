/* From decided to durable: rows go to the writer, and when all of a batch are done, its operations are
 * answered or decided again. */
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "control/owner_state.h"

enum { BATCH_ARENA_BYTES = 64 << 20, ATTEMPTS_MAX = 6 };

struct batch *batch_create(struct bw_owner *owner, struct live *live)
{
    struct bw_arena *arena = owner->spare_arena_count > 0 ? owner->spare_arenas[--owner->spare_arena_count]
                                                          : bw_arena_create(BATCH_ARENA_BYTES);
    struct batch *batch = arena != NULL ? bw_arena_alloc(arena, sizeof *batch) : NULL;
    if (batch == NULL) {
        bw_arena_destroy(arena);
        return NULL;
    }
    memset(batch, 0, offsetof(struct batch, why)); /* which is a kilobyte, and written before it is read */
    batch->owner = owner;
    batch->live = live;
    batch->arena = arena;
    batch->end = &batch->first;
    batch->references = 1;
    op_queue_init(&batch->ops);
    return batch;
}

void batch_release(struct batch *batch)
{
    if (--batch->references > 0)
        return;
    struct bw_owner *owner = batch->owner;
    struct bw_arena *arena = batch->arena; /* holds the batch, too */
    if (owner->spare_arena_count == SPARE_ARENAS) {
        bw_arena_destroy(arena);
        return;
    }
    bw_arena_reset(arena);
    owner->spare_arenas[owner->spare_arena_count++] = arena;
}

void op_finish(struct bw_owner *owner, struct bw_op *op)
{
    struct live *live = live_find(owner, &op->meeting);
    const struct bw_meeting *meeting = live != NULL ? live->meeting : NULL;
    if (meeting != NULL && !bw_id_equal(&meeting->tenant, &op->tenant))
        meeting = NULL;
    if (meeting != NULL) {
        op->mode = meeting->mode;
        op->label = bw_meeting_label(meeting);
        op->participants = (uint32_t)meeting->slot_count;
        op->consents_missing =
            meeting->mode.pending == BW_MODE_PENDING_LOWER ? bw_meeting_consents_missing(meeting) : 0;
        if (op->seq == 0)
            op->seq = meeting->seq;
    }
    if (op->kind == BW_OP_READ && op->error.code == BW_OK)
        op->read(op, meeting);
    if (live != NULL && op->error.code != BW_OK && (op->kind == BW_OP_JOIN || op->kind == BW_OP_INVITE) &&
        !bw_id_is_zero(&op->admission.entry))
        live_unclaimed(owner, live, &op->admission.entry);
    struct batch *batch = op->batch;
    op->batch = NULL;
    op->done(op); /* the op is gone now */
    if (batch != NULL)
        batch_release(batch);
}

static void tell_watchers(struct live *live, const struct batch *batch)
{
    for (struct change *change = batch->first; change != NULL; change = change->next) {
        if (change->failed || change->group == 0)
            continue;
        change->change.meeting = live->meeting;
        live->told_seq = change->change.decision.seq;
        struct bw_watch *watch = live->watches;
        while (watch != NULL) {
            struct bw_watch *next = watch->next;
            watch->changed(watch, &change->change);
            watch = next;
        }
    }
}

static bool own_row_committed(const struct batch *batch, const struct bw_op *op, uint64_t *group)
{
    bool found = false;
    for (const struct change *change = batch->first; change != NULL; change = change->next) {
        if (change->op != op)
            continue;
        if (change->failed)
            return false;
        *group = change->group;
        found = true;
    }
    return found;
}

/* After success: who was placed, or asked for a new grant, gets one first. */
static void answer(struct bw_owner *owner, struct batch *batch, struct bw_op *op)
{
    bool wants_grant = op->error.code == BW_OK &&
                       (op->kind == BW_OP_JOIN || op->kind == BW_OP_INVITE || op->kind == BW_OP_RENEW);
    op->batch = batch;
    batch->references++;
    if (!wants_grant) {
        op_finish(owner, op);
        return;
    }
    const struct live *live = batch->live;
    const struct bw_member *member = NULL;
    if (op->decision != NULL) {
        member = bw_meeting_slot(live->meeting, op->decision->slot);
        if (member == NULL) {
            bw_fail(&op->error, BW_FAILED_PRECONDITION, "LEFT_SINCE",
                    "the participant was removed in the same moment: the meeting's mode or policy changed");
            op_finish(owner, op);
            return;
        }
        admission_fill(owner, op, live->meeting, member);
        op->seq = op->decision->seq;
    } else {
        /* An earlier join's, or a renewal: looked up when it was decided, and a later leave of the same batch
         * may have come since. */
        member = bw_meeting_member(live->meeting, &op->admission.entry);
        if (member == NULL)
            bw_fail(&op->error, BW_FAILED_PRECONDITION, "LEFT_SINCE", "the participant has left since");
        else /* and a later change of the mode, of which a label must not claim what is past */
            admission_fill(owner, op, live->meeting, member);
    }
    if (op->error.code != BW_OK)
        op_finish(owner, op);
    else
        grants_collect(owner, live, member, op);
}

static void succeed(struct bw_owner *owner, struct batch *batch)
{
    struct live *live = batch->live;
    live->failures = 0;
    live->retry_at_ms = 0;
    tell_watchers(live, batch);
    struct bw_op *op;
    while ((op = op_queue_pop(&batch->ops)) != NULL) {
        (void)own_row_committed(batch, op, &op->group);
        answer(owner, batch, op);
    }
    if (live->meeting == NULL && live->queue.first == NULL && !live->ready)
        live_forget(owner, live); /* a creation that was refused */
    else if (live->queue.first != NULL || live->recheck)
        live_make_ready(owner, live);
}

/* What others are told of a meeting until it has been read back: `head`, or what it is now when nothing was
 * decided. Without memory it is not shown meanwhile. */
static void live_keep_known(struct live *live, const struct bw_meeting_head *head)
{
    struct bw_meeting_head now;
    if (live->known != NULL || (head == NULL && live->meeting == NULL))
        return;
    if (head == NULL) {
        now = bw_meeting_head_of(live->meeting);
        head = &now;
    }
    struct {
        struct bw_meeting_head head;
        struct bw_meeting_relay relays[];
    } *known = bw_malloc(sizeof *known + head->relay_count * sizeof known->relays[0]);
    if (known == NULL)
        return;
    known->head = *head;
    known->head.relays = known->relays;
    if (head->relay_count > 0)
        memcpy(known->relays, head->relays, head->relay_count * sizeof known->relays[0]);
    live->known = &known->head;
}

/* Operations whose rows did not commit are decided again on what is really there, or given up. */
static void fail_or_retry(struct bw_owner *owner, struct batch *batch)
{
    struct live *live = batch->live;
    bool creating = live->meeting == NULL ||
                    (batch->first != NULL && batch->first->change.decision.kind == BW_DECISION_CREATED);
    struct op_queue retry;
    op_queue_init(&retry);
    struct bw_op *op;
    while ((op = op_queue_pop(&batch->ops)) != NULL) {
        uint64_t group = 0;
        op->batch = batch;
        batch->references++;
        if (batch->why.outcome == BW_ROW_DUPLICATE && op->kind == BW_OP_CREATE) {
            op->meeting = batch->why.meeting; /* the caller looks at that one */
            op->error.code = BW_OK;
            op->decision = NULL;
            op_finish(owner, op);
        } else if (own_row_committed(batch, op, &group) && op->error.code != BW_OK) {
            op->group = group; /* a refusal that is on record */
            op_finish(owner, op);
        } else if (batch->why.outcome == BW_ROW_FAILED || ++op->attempts >= ATTEMPTS_MAX) {
            if (op->decision != NULL)
                op->admission.entry = op->decision->entry; /* its row may have committed all the same */
            op->decision = NULL;
            op->error = batch->why.error;
            owner->counts.failed++;
            op_finish(owner, op);
        } else {
            op->batch = NULL;
            batch->references--;
            op->decision = NULL;
            owner->counts.retried++;
            op_queue_push(&retry, op);
        }
    }
    /* They came before whatever waits. */
    if (retry.first != NULL) {
        *retry.end = live->queue.first;
        live->queue.end = live->queue.first != NULL ? live->queue.end : retry.end;
        live->queue.first = retry.first;
        live->queue.count += retry.count;
    }
    if (!creating)
        live_keep_known(live, batch->before);
    bw_meeting_destroy(live->meeting);
    live->meeting = NULL;
    live->hops_distances = 0;
    if (creating) {
        bw_constraints_release(live->constraints);
        live->constraints = NULL;
        bw_arena_destroy(live->override_arena);
        live->override_arena = NULL;
        live->override_doc = NULL;
        if (live->queue.first == NULL && !live->ready) {
            live_forget(owner, live);
            return;
        }
    } else {
        live->unread = true;
    }
    live_retry_later(owner, live);
}

static void settle_accounts(struct bw_owner *owner, const struct batch *batch)
{
    for (const struct change *change = batch->first; change != NULL; change = change->next) {
        const uint32_t *back = change->failed ? change->takes : change->gives;
        size_t count = change->failed ? change->take_count : change->give_count;
        for (size_t i = 0; i < count; i++)
            bw_book_give(owner->config.book, back[i]);
    }
}

static void batch_done(struct batch *batch)
{
    struct bw_owner *owner = batch->owner;
    batch->live->batch = NULL;
    settle_accounts(owner, batch);
    if (batch->failed)
        fail_or_retry(owner, batch);
    else
        succeed(owner, batch);
    batch_release(batch);
}

static enum bw_code submit_change(struct batch *batch, struct change *change, struct bw_error *err)
{
    struct bw_owner *owner = batch->owner;
    const struct bw_owner_ports *ports = &owner->config.ports;
    struct bw_buf *record = &owner->scratch;
    bw_buf_clear(record);
    enum bw_code code = ports->encode(ports->context, &change->change.decision, record, err);
    uint32_t *relays = bw_arena_zalloc(batch->arena, change->change.effect_count + 1, sizeof *relays);
    if (code == BW_OK && relays == NULL)
        code = bw_fail_memory(err);
    if (code == BW_OK && relays != NULL) {
        struct bw_row row = {
            .decision = &change->change.decision,
            .record = bw_buf_view(record),
            .relays = relays,
            .creates = change->change.decision.kind == BW_DECISION_CREATED,
            .join = change->op != NULL && change->change.decision.kind == BW_DECISION_JOINED
                        ? &change->op->join
                        : NULL,
        };
        for (size_t i = 0; i < change->change.effect_count; i++) {
            uint32_t relay = change->change.effects[i].relay;
            size_t at = 0;
            while (at < row.relay_count && relays[at] < relay)
                at++;
            if (at < row.relay_count && relays[at] == relay)
                continue;
            memmove(&relays[at + 1], &relays[at], (row.relay_count - at) * sizeof *relays);
            relays[at] = relay;
            row.relay_count++;
        }
        code = ports->submit(ports->context, &row, change, err);
    }
    return code;
}

static void batch_send(struct batch *batch)
{
    batch->rows_open = 1; /* until all are sent */
    for (struct change *change = batch->first; change != NULL; change = change->next) {
        struct bw_error err;
        if (!batch->failed && submit_change(batch, change, &err) == BW_OK) {
            batch->rows_open++;
            continue;
        }
        change->done = change->failed = true;
        if (!batch->failed)
            batch->why = (struct bw_row_result){.outcome = BW_ROW_FAILED, .error = err};
        batch->failed = true;
    }
    if (--batch->rows_open == 0)
        batch_done(batch);
}

void batch_close(struct draft *draft)
{
    struct batch *batch = draft->batch;
    if (draft->broken) {
        batch->failed = true;
        batch->why.outcome = BW_ROW_FAILED;
        bw_fail_memory(&batch->why.error);
    }
    draft->live->batch = batch;
    batch_send(batch);
}

void bw_owner_row_done(struct bw_owner *owner, void *token, const struct bw_row_result *result)
{
    struct change *change = token;
    struct batch *batch = change->batch;
    change->done = true;
    if (result->outcome == BW_ROW_COMMITTED) {
        change->group = result->group;
        batch->live->last_group = result->group;
        change->change.meeting = batch->live->meeting;
        owner->config.ports.committed(owner->config.ports.context, result->group, &change->change);
    } else {
        change->failed = true;
        if (!batch->failed)
            batch->why = *result;
        batch->failed = true;
    }
    if (--batch->rows_open == 0)
        batch_done(batch);
}

void bw_owner_loaded(struct bw_owner *owner, const struct bw_id *id, enum bw_code code,
                     const struct bw_decision *const *decisions, size_t count)
{
    struct live *live = live_find(owner, id);
    if (live == NULL || !live->loading)
        return;
    live->loading = false;
    struct bw_error err = {.code = BW_OK};
    struct bw_meeting *meeting = NULL;
    for (size_t i = 0; code == BW_OK && i < count; i++) {
        if (meeting == NULL) {
            meeting = decisions[i]->kind == BW_DECISION_CREATED ? bw_meeting_create(decisions[i]) : NULL;
            code = meeting != NULL ? BW_OK : bw_fail_memory(&err);
        } else {
            code = bw_meeting_apply(meeting, decisions[i], &err);
        }
    }
    if (code != BW_OK) {
        bw_meeting_destroy(meeting);
        bw_fail(&err, BW_UNAVAILABLE, "DATABASE_UNAVAILABLE",
                "the meeting's state cannot be read from the database just now; try again");
        live_fail_queue(owner, live, &err);
        live->retry_at_ms = 0;
        return; /* still unread: the next request, or the tick, reads again */
    }
    live->unread = false;
    bw_free(live->known);
    live->known = NULL;
    bw_meeting_destroy(live->meeting);
    live->meeting = meeting;
    /* What was read back may be what they know already: only a jump ends a watch. */
    if (meeting == NULL || meeting->seq != live->told_seq)
        live_end_watches(live);
    live->recheck = meeting != NULL && !meeting->ended;
    live_make_ready(owner, live);
}
