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

enum { TICK_MS = 1000 };

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
    atomic_store(&metrics->connections_accepted, server.accepted);
    atomic_store(&metrics->handshake_failures, server.handshake_failures);
    atomic_store(&metrics->connections_punished, server.connections_punished);
    atomic_store(&metrics->signer_lines, bw_signer_client_connected(worker->signer));
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

const struct bw_call_metrics *bw_worker_call_metrics(const struct bw_worker *worker)
{
    return &worker->call_metrics;
}

static void second(void *context)
{
    struct bw_worker *worker = context;
    bw_owner_tick(worker->owner);
    measure(worker);
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
    if (!bw_call_metrics_init(&worker->call_metrics, worker->methods, worker->method_count))
        return bw_fail_memory(err);
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
    worker->random_at = sizeof worker->random;
    worker->geo = daemon->geo != NULL ? bw_geo_ref(daemon->geo) : NULL;
    bw_task_init(&worker->turn, bw_worker_owner_turn, worker);
    bw_task_init(&worker->flush, bw_worker_flush_group, worker);
    worker->loop = bw_loop_create(err);
    worker->mailbox = worker->loop != NULL ? bw_mailbox_create(worker->loop, err) : NULL;
    worker->timer = worker->mailbox != NULL ? bw_timer_create(worker->loop, second, worker, err) : NULL;
    worker->wake_timer =
        worker->timer != NULL ? bw_timer_create(worker->loop, bw_worker_owner_turn, worker, err) : NULL;
    enum bw_code code = worker->wake_timer != NULL ? BW_OK : err->code;
    if (code == BW_OK)
        code = bw_signer_client_create(worker->loop, 0, &worker->signer, err);
    if (code == BW_OK)
        code = bw_worker_create_roster(worker, err);
    if (code == BW_OK)
        code = bw_worker_create_owner(worker, err);
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
    struct bw_store_writer_config writer = {
        .conninfo = config->conninfo,
        .replica = daemon->replica.id,
        .replica_epoch = daemon->replica.epoch,
        .first_writer = worker->index * 2,
    };
    if (worker->roster != NULL)
        writer.sealing = bw_roster_sealer_sealing(worker->roster);
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
        .ended = bw_call_metrics_ended,
        .ended_context = &worker->call_metrics,
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

void bw_worker_close(struct bw_worker *worker)
{
    bw_owner_close(worker->owner);
}

void bw_worker_hang_up(struct bw_worker *worker)
{
    bw_signer_client_destroy(worker->signer);
    worker->signer = NULL;
    bw_grpc_server_destroy(worker->server);
    worker->server = NULL;
}

bool bw_worker_deliver(struct bw_worker *worker)
{
    return bw_mailbox_deliver(worker->mailbox);
}

void bw_worker_destroy(struct bw_worker *worker)
{
    if (worker == NULL)
        return;
    bw_worker_hang_up(worker);
    bw_owner_destroy(worker->owner);
    bw_mailbox_destroy(worker->mailbox);
    bw_api_destroy(worker->api);
    bw_timer_destroy(worker->timer);
    bw_timer_destroy(worker->wake_timer);
    bw_callers_release(worker->callers);
    bw_geo_unref(worker->geo);
    bw_roster_sealer_destroy(worker->roster);
    if (worker->loop != NULL) {
        bw_loop_undefer(worker->loop, &worker->turn);
        bw_loop_undefer(worker->loop, &worker->flush);
    }
    bw_loop_destroy(worker->loop);
    bw_call_metrics_finish(&worker->call_metrics);
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

void bw_worker_begin_with(struct bw_worker *worker, struct bw_callers *callers)
{
    bw_callers_release(worker->callers);
    worker->callers = bw_callers_retain(callers);
}
