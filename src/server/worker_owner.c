/* What the meeting owner needs of its worker: the database's writer, the signer, the hub, the clock. */
#include <string.h>

#include "api/api.h"
#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/worker_state.h"
#include "store/decisions.h"

enum { LOAD_ARENA_BYTES = 256 << 20 };

static uint64_t wall_ms(void *context)
{
    (void)context;
    return bw_clock_wall_ms();
}

static uint64_t mono_ms(void *context)
{
    (void)context;
    return bw_clock_mono_ms();
}

/* The owner makes ids of these and no keys. */
static void random_bytes(void *context, void *out, size_t n)
{
    struct bw_worker *worker = context;
    if (n > sizeof worker->random) {
        bw_random_bytes(out, n);
        return;
    }
    if (n > sizeof worker->random - worker->random_at) {
        bw_random_bytes(worker->random, sizeof worker->random);
        worker->random_at = 0;
    }
    memcpy(out, worker->random + worker->random_at, n);
    worker->random_at += n;
}

void bw_worker_owner_turn(void *context)
{
    struct bw_worker *worker = context;
    bw_owner_turn(worker->owner);
}

static void wake(void *context)
{
    struct bw_worker *worker = context;
    bw_loop_defer(worker->loop, &worker->turn);
}

static void wake_at(void *context, uint64_t at_ms)
{
    struct bw_worker *worker = context;
    uint64_t now = bw_clock_mono_ms();
    bw_timer_start(worker->wake_timer, at_ms > now ? at_ms - now : 0, 0);
}

static enum bw_code encode(void *context, const struct bw_decision *decision, struct bw_buf *out,
                           struct bw_error *err)
{
    (void)context;
    return bw_api_record_encode(decision, out, err);
}

struct row_trip {
    struct bw_worker *worker;
    void *token;
};

static void row_done(void *context, const struct bw_store_result *result)
{
    struct row_trip *trip = context;
    struct bw_worker *worker = trip->worker;
    void *token = trip->token;
    bw_free(trip);
    struct bw_row_result answer; /* its error is a kilobyte that a committed row does not need */
    answer.group = result->group;
    answer.meeting = result->meeting;
    switch (result->outcome) {
    case BW_STORE_COMMITTED:
        answer.outcome = BW_ROW_COMMITTED;
        break;
    case BW_STORE_STALE_KEY:
    case BW_STORE_STALE_POLICY:
    case BW_STORE_STALE_FACTS:
    case BW_STORE_CONTENDED:
    case BW_STORE_LAPSED: /* the hub renews it, unless somebody has taken over */
        answer.outcome = BW_ROW_STALE;
        break;
    case BW_STORE_DUPLICATE_REQUEST:
        answer.outcome = BW_ROW_DUPLICATE;
        break;
    default:
        answer.outcome = BW_ROW_FAILED;
        break;
    }
    if (answer.outcome == BW_ROW_COMMITTED)
        answer.error.code = BW_OK;
    else
        (void)bw_store_outcome_error(result->outcome, &answer.error);
    if (result->outcome == BW_STORE_FENCED)
        bw_daemon_fenced(worker->daemon);
    bw_owner_row_done(worker->owner, token, &answer);
}

static enum bw_code submit_row(void *context, const struct bw_row *row, void *token, struct bw_error *err)
{
    struct bw_worker *worker = context;
    if (worker->writer == NULL)
        return bw_fail(err, BW_UNAVAILABLE, "SHUTTING_DOWN", "this replica is stopping; ask another one");
    struct row_trip *trip = bw_malloc(sizeof *trip);
    if (trip == NULL)
        return bw_fail_memory(err);
    *trip = (struct row_trip){.worker = worker, .token = token};
    const struct bw_decision *decision = row->decision;
    struct bw_store_row stored = {
        .meeting = decision->meeting,
        .tenant = decision->tenant,
        .request = decision->request,
        .seq = decision->seq,
        .kind = (uint16_t)decision->kind,
        .policy_revision = decision->policy_revision,
        .facts_revision = decision->facts_revision,
        .relays = row->relays,
        .relay_count = row->relay_count,
        .record = row->record,
        .method = row->creates ? "CreateMeeting" : NULL,
    };
    if (worker->roster != NULL && row->join != NULL)
        bw_roster_sealer_note(worker->roster, decision, row->join, &stored);
    enum bw_code code = bw_store_writer_submit(worker->writer, &stored, row_done, trip, err);
    if (code != BW_OK)
        bw_free(trip);
    return code;
}

static void signed_back(enum bw_code code, const struct bw_signer_reply *reply, const struct bw_error *err,
                        void *context)
{
    struct bw_worker *worker = context;
    bw_owner_signed(worker->owner, code, err, code == BW_OK ? reply->signature : NULL);
}

static enum bw_code sign(void *context, const struct bw_merkle_hash *root, uint32_t leaves,
                         struct bw_error *err)
{
    struct bw_worker *worker = context;
    return bw_signer_client_sign_root(worker->signer, root, leaves, signed_back, worker, err);
}

static void escrow_low(void *context, uint32_t relay)
{
    struct bw_worker *worker = context;
    bw_hub_escrow_low(worker->daemon->hub, relay);
}

/* ---- what committed, group by group, to the hub ---- */

void bw_worker_flush_group(void *context)
{
    struct bw_worker *worker = context;
    if (worker->group == 0)
        return;
    bw_hub_group(worker->daemon->hub, worker->group, worker->changes, worker->change_count);
    worker->group = 0;
    worker->change_count = 0;
}

static void committed(void *context, uint64_t group, const struct bw_change *change)
{
    struct bw_worker *worker = context;
    if (worker->group != group) {
        bw_worker_flush_group(worker);
        worker->group = group;
        bw_loop_defer(worker->loop, &worker->flush);
    }
    if (change->decision.kind == BW_DECISION_ENDED && worker->roster != NULL)
        bw_roster_sealer_ended(worker->roster, &change->decision.tenant, &change->decision.meeting);
    size_t need = worker->change_count + change->effect_count;
    if (need > worker->change_cap) {
        size_t cap = worker->change_cap ? worker->change_cap : 64;
        while (cap < need)
            cap *= 2;
        struct bw_hub_change *grown = bw_realloc(worker->changes, cap * sizeof *grown);
        if (grown == NULL) {
            bw_daemon_broken(worker->daemon, "no memory for the changes of a group that is committed");
            return;
        }
        worker->changes = grown;
        worker->change_cap = cap;
    }
    for (size_t i = 0; i < change->effect_count; i++) {
        worker->changes[worker->change_count++] = (struct bw_hub_change){
            .meeting = change->decision.meeting,
            .meeting_epoch = change->meeting_epoch,
            .mode_epoch = change->mode.epoch,
            .mode = change->mode.mode,
            .effect = change->effects[i],
        };
    }
}

/* ---- reading a meeting back ---- */

struct load_job {
    struct bw_desk_job job;
    struct bw_worker *worker;
    struct bw_id meeting;
    struct bw_arena *arena;
    const struct bw_decision **decisions;
    size_t count, cap;
    struct bw_error error;
};

static bool load_row(void *context, const struct bw_store_decision *row)
{
    struct load_job *load = context;
    if (load->count == load->cap) {
        size_t cap = load->cap ? load->cap * 2 : 64;
        const struct bw_decision **grown = bw_realloc(load->decisions, cap * sizeof *grown);
        if (grown == NULL) {
            bw_fail_memory(&load->error);
            return false;
        }
        load->decisions = grown;
        load->cap = cap;
    }
    struct bw_decision *decision;
    struct bw_error err;
    if (bw_api_record_decode(row->record, load->arena, &decision, &err) != BW_OK) {
        load->error = err;
        return false;
    }
    load->decisions[load->count++] = decision;
    return true;
}

static void load_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct load_job *load = (struct load_job *)job;
    struct bw_error err;
    if (bw_store_decisions_of(db, &load->meeting, 0, load_row, load, &err) != BW_OK)
        load->error = err;
}

static void load_done(struct bw_mail *mail)
{
    struct load_job *load = (struct load_job *)mail;
    if (load->error.code != BW_OK)
        bw_log(BW_LOG_WARN, "meeting_not_read", "reason=\"%s\" detail=\"%s\"", load->error.show,
               load->error.log);
    bw_owner_loaded(load->worker->owner, &load->meeting, load->error.code, load->decisions, load->count);
    bw_arena_destroy(load->arena);
    bw_free(load->decisions);
    bw_free(load);
}

static void load(void *context, const struct bw_id *meeting)
{
    struct bw_worker *worker = context;
    if (worker->daemon->desk == NULL) { /* the end: nobody reads it any more */
        bw_owner_loaded(worker->owner, meeting, BW_UNAVAILABLE, NULL, 0);
        return;
    }
    struct load_job *job = bw_calloc(1, sizeof *job);
    struct bw_arena *arena = bw_arena_create(LOAD_ARENA_BYTES);
    if (job == NULL || arena == NULL) {
        bw_free(job);
        bw_arena_destroy(arena);
        bw_owner_loaded(worker->owner, meeting, BW_RESOURCE_EXHAUSTED, NULL, 0);
        return;
    }
    job->job.run = load_run;
    job->job.mail.deliver = load_done;
    job->job.back = worker->mailbox;
    job->worker = worker;
    job->meeting = *meeting;
    job->arena = arena;
    bw_desk_post(worker->daemon->desk, &job->job);
}

enum bw_code bw_worker_create_owner(struct bw_worker *worker, struct bw_error *err)
{
    const struct bw_daemon_config *config = worker->daemon->config;
    const struct bw_owner_config owner = {
        .ports = {.context = worker,
                  .wall_ms = wall_ms,
                  .mono_ms = mono_ms,
                  .random = random_bytes,
                  .wake = wake,
                  .wake_at = wake_at,
                  .encode = encode,
                  .submit = submit_row,
                  .load = load,
                  .sign = sign,
                  .escrow_low = escrow_low,
                  .committed = committed},
        .book = worker->daemon->book,
        .cell = config->cell,
        .stream = worker->daemon->stream,
        .weights = bw_weights_default,
        .escrow_low_water = config->escrow_block / 2 + 1,
        .grant_life_ms = config->grant_life_ms,
        .empty_meeting_ms = config->empty_meeting_ms,
        .meeting_max_age_ms = config->meeting_max_age_ms,
        .ended_kept_ms = 3600000,
        .burst_window_ms = 2000,
    };
    return bw_owner_create(&owner, &worker->owner, err);
}
