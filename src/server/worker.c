#include "server/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/thread.h"
#include "server/hub.h"
#include "server/orders.h"
#include "server/worker_state.h"
#include "store/decisions.h"
#include "wire/wire.h"

enum { TICK_MS = 1000, LOAD_ARENA_BYTES = 256 << 20 };

/* ---- ports of the owner ---- */

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

static void random_bytes(void *context, void *out, size_t n)
{
    (void)context;
    bw_random_bytes(out, n);
}

static void owner_turn(void *context)
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
    struct bw_row_result answer = {.group = result->group, .meeting = result->meeting};
    switch (result->outcome) {
    case BW_STORE_COMMITTED:
        answer.outcome = BW_ROW_COMMITTED;
        break;
    case BW_STORE_STALE_KEY:
    case BW_STORE_STALE_POLICY:
    case BW_STORE_STALE_FACTS:
    case BW_STORE_CONTENDED:
        answer.outcome = BW_ROW_STALE;
        break;
    case BW_STORE_DUPLICATE_REQUEST:
        answer.outcome = BW_ROW_DUPLICATE;
        break;
    default:
        answer.outcome = BW_ROW_FAILED;
        break;
    }
    (void)bw_store_outcome_error(result->outcome, &answer.error);
    if (result->outcome == BW_STORE_FENCED)
        bw_daemon_fenced(worker->daemon);
    bw_owner_row_done(worker->owner, token, &answer);
}

static enum bw_code submit_row(void *context, const struct bw_row *row, void *token, struct bw_error *err)
{
    struct bw_worker *worker = context;
    struct row_trip *trip = bw_malloc(sizeof *trip);
    if (trip == NULL)
        return bw_fail_memory(err);
    *trip = (struct row_trip){.worker = worker, .token = token};
    const struct bw_decision *decision = row->decision;
    const struct bw_store_row stored = {
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

static void flush_group(void *context)
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
        flush_group(worker);
        worker->group = group;
        bw_loop_defer(worker->loop, &worker->flush);
    }
    size_t need = worker->change_count + change->effect_count;
    if (need > worker->change_cap) {
        size_t cap = worker->change_cap ? worker->change_cap : 64;
        while (cap < need)
            cap *= 2;
        struct bw_hub_change *grown = bw_realloc(worker->changes, cap * sizeof *grown);
        if (grown == NULL) {
            bw_log(BW_LOG_ERROR, "changes_lost", "group=%lu reason=\"out of memory\"", (unsigned long)group);
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

/* ---- life ---- */

static void measure(struct bw_worker *worker)
{
    struct bw_owner_counts owner = bw_owner_counts(worker->owner);
    struct bw_worker_metrics *metrics = &worker->metrics;
    atomic_store(&metrics->meetings, owner.meetings);
    atomic_store(&metrics->participants, owner.participants);
    atomic_store(&metrics->waiting, owner.waiting);
    atomic_store(&metrics->decided, owner.decided);
    atomic_store(&metrics->refused, owner.refused);
    atomic_store(&metrics->retried, owner.retried);
    atomic_store(&metrics->failed, owner.failed);
    struct bw_grpc_server_counts server = bw_grpc_server_counts(worker->server);
    atomic_store(&metrics->connections, server.connections);
    atomic_store(&metrics->calls, server.calls);
    atomic_store(&metrics->calls_started, server.calls_started);
    if (worker->writer == NULL)
        return;
    struct bw_store_writer_stats writer;
    bw_store_writer_stats_read(worker->writer, &writer);
    atomic_store(&metrics->rows_waiting, writer.rows_waiting);
    atomic_store(&metrics->rows_committed, writer.rows_committed);
    atomic_store(&metrics->groups_committed, writer.groups_committed);
    atomic_store(&metrics->groups_resent, writer.groups_resent);
    atomic_store(&metrics->database_lanes, writer.lanes_connected);
}

const struct bw_worker_metrics *bw_worker_metrics(const struct bw_worker *worker)
{
    return &worker->metrics;
}

static void second(void *context)
{
    struct bw_worker *worker = context;
    bw_owner_tick(worker->owner);
    measure(worker);
}

static enum bw_code create_owner(struct bw_worker *worker, struct bw_error *err)
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
        .ended_kept_ms = 3600000,
        .burst_window_ms = 2000,
    };
    return bw_owner_create(&owner, &worker->owner, err);
}

static enum bw_code create_api(struct bw_worker *worker, struct bw_error *err)
{
    const struct bw_daemon_config *config = worker->daemon->config;
    const struct bw_api_config api = {
        .ports = bw_worker_api_ports(worker),
        .owner = worker->owner,
        .cell = config->cell,
        .trust_domain = config->trust_domain,
        .version = BW_VERSION,
        .insecure_caller = config->insecure ? config->insecure_caller : NULL,
    };
    enum bw_code code = bw_api_create(&api, &worker->api, err);
    if (code != BW_OK)
        return code;
    size_t count = 0;
    const struct bw_grpc_method *methods = bw_api_methods(worker->api, &count);
    worker->methods = bw_calloc(count + 1, sizeof *worker->methods);
    if (worker->methods == NULL)
        return bw_fail_memory(err);
    memcpy(worker->methods, methods, count * sizeof *methods);
    worker->link = (struct bw_hub_link){.hub = worker->daemon->hub,
                                        .mailbox = worker->mailbox,
                                        .hub_mailbox = bw_hub_mailbox(worker->daemon->hub)};
    worker->methods[count] = bw_hub_session_method;
    worker->methods[count].context = &worker->link;
    worker->method_count = count + 1;
    return BW_OK;
}

enum bw_code bw_worker_create(struct bw_daemon *daemon, unsigned index, struct bw_worker **out,
                              struct bw_error *err)
{
    struct bw_worker *worker = bw_calloc(1, sizeof *worker);
    if (worker == NULL)
        return bw_fail_memory(err);
    worker->daemon = daemon;
    worker->index = index;
    bw_task_init(&worker->turn, owner_turn, worker);
    bw_task_init(&worker->flush, flush_group, worker);
    worker->loop = bw_loop_create(err);
    worker->mailbox = worker->loop != NULL ? bw_mailbox_create(worker->loop, err) : NULL;
    worker->timer = worker->mailbox != NULL ? bw_timer_create(worker->loop, second, worker, err) : NULL;
    worker->wake_timer =
        worker->timer != NULL ? bw_timer_create(worker->loop, owner_turn, worker, err) : NULL;
    enum bw_code code = worker->wake_timer != NULL ? BW_OK : err->code;
    if (code == BW_OK)
        code = bw_signer_client_create(worker->loop, 0, &worker->signer, err);
    if (code == BW_OK)
        code = create_owner(worker, err);
    if (code == BW_OK)
        code = create_api(worker, err);
    if (code != BW_OK) {
        bw_worker_destroy(worker);
        return code;
    }
    *out = worker;
    return BW_OK;
}

static void run(void *context)
{
    struct bw_worker *worker = context;
    bw_loop_run(worker->loop);
}

enum bw_code bw_worker_start(struct bw_worker *worker, struct bw_error *err)
{
    struct bw_daemon *daemon = worker->daemon;
    const struct bw_daemon_config *config = daemon->config;
    const struct bw_store_writer_config writer = {
        .conninfo = config->conninfo,
        .replica = daemon->replica.id,
        .replica_epoch = daemon->replica.epoch,
        .first_writer = worker->index * 2,
    };
    enum bw_code code = bw_store_writer_create(worker->loop, &writer, &worker->writer, err);
    if (code != BW_OK)
        return code;
    struct bw_grpc_server_config server = {
        .address = config->listen_address,
        /* The first worker may have been given any free port: the others join it there. */
        .port = worker->index == 0 ? config->listen_port : bw_worker_port(daemon->workers[0]),
        .tls = daemon->tls,
        .limits = bw_grpc_limits_default(),
        .admit = bw_api_admit,
        .admit_context = worker->api,
        .error_domain = "bailiwick",
        .descriptor_set = bw_wire_descriptor_set(),
    };
    worker->server = bw_grpc_server_create(worker->loop, &server, worker->methods, worker->method_count, err);
    if (worker->server == NULL)
        return err->code;
    bw_timer_start(worker->timer, TICK_MS, TICK_MS);
    char name[16];
    snprintf(name, sizeof name, "bw-worker-%u", worker->index % 1000);
    worker->thread = bw_thread_start(run, worker, name, err);
    return worker->thread != NULL ? BW_OK : err->code;
}

/* ---- the end ---- */

static void writer_closed(void *context)
{
    struct bw_worker *worker = context;
    worker->writer = NULL;
    bw_loop_stop(worker->loop);
}

static void drained(void *context)
{
    struct bw_worker *worker = context;
    if (worker->writer != NULL)
        bw_store_writer_close(worker->writer, 5000, writer_closed, worker);
    else
        bw_loop_stop(worker->loop);
}

struct drain_mail {
    struct bw_mail mail;
    struct bw_worker *worker;
    uint64_t deadline_ms;
};

static void drain(struct bw_mail *mail)
{
    struct drain_mail *order = (struct drain_mail *)mail;
    if (order->worker->server != NULL)
        bw_grpc_server_drain(order->worker->server, order->deadline_ms, drained, order->worker);
    else
        drained(order->worker);
    bw_free(order);
}

void bw_worker_drain(struct bw_worker *worker, uint64_t deadline_ms)
{
    struct drain_mail *order = bw_calloc(1, sizeof *order);
    if (order == NULL) {
        bw_loop_stop(worker->loop);
        return;
    }
    order->mail.deliver = drain;
    order->worker = worker;
    order->deadline_ms = deadline_ms;
    bw_mailbox_post(worker->mailbox, &order->mail);
}

void bw_worker_join(struct bw_worker *worker)
{
    bw_thread_join(worker->thread);
    worker->thread = NULL;
}

void bw_worker_destroy(struct bw_worker *worker)
{
    if (worker == NULL)
        return;
    bw_grpc_server_destroy(worker->server);
    bw_api_destroy(worker->api);
    bw_signer_client_destroy(worker->signer);
    bw_mailbox_destroy(worker->mailbox);
    bw_owner_destroy(worker->owner);
    bw_timer_destroy(worker->timer);
    bw_timer_destroy(worker->wake_timer);
    bw_callers_release(worker->callers);
    if (worker->loop != NULL) {
        bw_loop_undefer(worker->loop, &worker->turn);
        bw_loop_undefer(worker->loop, &worker->flush);
    }
    bw_loop_destroy(worker->loop);
    bw_free(worker->methods);
    bw_free(worker->changes);
    bw_free(worker);
}

struct bw_owner *bw_worker_owner(struct bw_worker *worker)
{
    return worker->owner;
}

struct bw_daemon *bw_worker_daemon(struct bw_worker *worker)
{
    return worker->daemon;
}

struct bw_signer_client *bw_worker_signer(struct bw_worker *worker)
{
    return worker->signer;
}

struct bw_mailbox *bw_worker_mailbox(struct bw_worker *worker)
{
    return worker->mailbox;
}

uint16_t bw_worker_port(const struct bw_worker *worker)
{
    return bw_grpc_server_port(worker->server);
}

/* ---- the world changes ---- */

enum news_kind { NEWS_VIEW, NEWS_POLICY, NEWS_CALLERS, NEWS_ESCROW, NEWS_TLS };

struct news {
    struct bw_mail mail;
    struct bw_worker *worker;
    enum news_kind kind;
    union {
        struct bw_fleet_view *view;
        struct bw_policy_set *policy;
        struct bw_callers *callers;
        struct bw_grpc_tls *tls;
    };
};

static void news_delivered(struct bw_mail *mail)
{
    struct news *news = (struct news *)mail;
    struct bw_worker *worker = news->worker;
    struct bw_error err;
    switch (news->kind) {
    case NEWS_VIEW:
        bw_owner_set_view(worker->owner, news->view);
        bw_fleet_view_release(news->view);
        break;
    case NEWS_POLICY:
        if (bw_owner_set_policy(worker->owner, news->policy, &err) != BW_OK)
            bw_log(BW_LOG_ERROR, "policy_not_taken", "tenant=%s revision=%u reason=\"%s\"",
                   news->policy->name, news->policy->revision, err.show);
        bw_policy_set_release(news->policy);
        break;
    case NEWS_CALLERS:
        bw_callers_release(worker->callers);
        worker->callers = news->callers;
        break;
    case NEWS_ESCROW:
        bw_owner_escrow_changed(worker->owner);
        break;
    case NEWS_TLS:
        bw_grpc_server_set_tls(worker->server, news->tls);
        bw_grpc_tls_release(news->tls);
        break;
    }
    bw_free(news);
}

static struct news *news_create(struct bw_worker *worker, enum news_kind kind)
{
    struct news *news = bw_calloc(1, sizeof *news);
    if (news == NULL)
        return NULL;
    news->mail.deliver = news_delivered;
    news->worker = worker;
    news->kind = kind;
    return news;
}

bool bw_worker_set_view(struct bw_worker *worker, struct bw_fleet_view *view)
{
    struct news *news = news_create(worker, NEWS_VIEW);
    if (news == NULL)
        return false;
    news->view = bw_fleet_view_retain(view);
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

bool bw_worker_set_policy(struct bw_worker *worker, struct bw_policy_set *set)
{
    struct news *news = news_create(worker, NEWS_POLICY);
    if (news == NULL)
        return false;
    news->policy = bw_policy_set_retain(set);
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

bool bw_worker_set_callers(struct bw_worker *worker, struct bw_callers *callers)
{
    struct news *news = news_create(worker, NEWS_CALLERS);
    if (news == NULL)
        return false;
    news->callers = bw_callers_retain(callers);
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

bool bw_worker_escrow_changed(struct bw_worker *worker)
{
    struct news *news = news_create(worker, NEWS_ESCROW);
    if (news == NULL)
        return false;
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

void bw_worker_set_tls(struct bw_worker *worker, struct bw_grpc_tls *tls)
{
    struct news *news = news_create(worker, NEWS_TLS);
    if (news == NULL)
        return;
    news->tls = bw_grpc_tls_hold(tls);
    bw_mailbox_post(worker->mailbox, &news->mail);
}

void bw_worker_begin_with(struct bw_worker *worker, struct bw_callers *callers)
{
    bw_callers_release(worker->callers);
    worker->callers = bw_callers_retain(callers);
}
