#include "server/hub_bind.h"

#include "runtime/clock.h"
#include "server/orders.h"
#include "server/worker.h"

static uint64_t mono_ms(void *context)
{
    (void)context;
    return bw_clock_mono_ms();
}

static uint64_t wall_ms(void *context)
{
    (void)context;
    return bw_clock_wall_ms();
}

static void ask(void *context, struct bw_desk_job *job)
{
    struct bw_daemon *daemon = context;
    bw_desk_post(daemon->lease_desk, job);
}

static void ask_slow(void *context, struct bw_desk_job *job)
{
    struct bw_daemon *daemon = context;
    bw_desk_post(daemon->desk, job);
}

static enum bw_code read_policy(void *context, struct bw_store_db *db, const struct bw_id *tenant,
                                struct bw_error *err)
{
    return bw_orders_read_policy(context, db, tenant, err);
}

static enum bw_code send(void *context, struct bw_stream *stream, struct bw_view message)
{
    (void)context;
    return bw_stream_send(stream, message);
}

static bool room(void *context, struct bw_stream *stream)
{
    (void)context;
    return bw_stream_room(stream);
}

static void finish(void *context, struct bw_stream *stream, const struct bw_error *why)
{
    (void)context;
    bw_stream_finish(stream, why);
}

static void let_go(void *context, struct bw_stream *stream)
{
    (void)context;
    bw_stream_let_go(stream);
}

static bool set_view(void *context, struct bw_fleet_view *view)
{
    struct bw_daemon *daemon = context;
    bool all = true;
    for (unsigned i = 0; i < daemon->worker_count; i++)
        all = bw_worker_set_view(daemon->workers[i], view) && all;
    return all;
}

static void escrow_changed(void *context)
{
    struct bw_daemon *daemon = context;
    for (unsigned i = 0; i < daemon->worker_count; i++)
        (void)bw_worker_escrow_changed(daemon->workers[i]); /* a worker without memory asks again */
}

static void fenced(void *context)
{
    bw_daemon_fenced(context);
}

static void broken(void *context, const char *what)
{
    bw_daemon_broken(context, what);
}

static const struct bw_hub_queries queries = {
    .replica_renew = bw_store_replica_renew,
    .session_open = bw_store_session_open,
    .sessions_renew = bw_store_sessions_renew,
    .groups_read = bw_store_groups_read,
    .relays_read = bw_store_relays_read,
    .escrow_read = bw_store_escrow_read,
    .escrow_take = bw_store_escrow_take,
    .escrow_give = bw_store_escrow_give,
};

enum bw_code bw_hub_create_bound(struct bw_daemon *daemon, struct bw_hub **out, struct bw_error *err)
{
    const struct bw_hub_config config = {
        .cell = daemon->config->cell,
        .replica_name = daemon->replica_name,
        .replica = daemon->replica,
        .stream = daemon->stream,
        .topology = daemon->topology,
        .book = daemon->book,
        .lease_ms = daemon->config->lease_ms,
        .escrow_block = daemon->config->escrow_block,
    };
    const struct bw_hub_ports ports = {
        .context = daemon,
        .queries = &queries,
        .mono_ms = mono_ms,
        .wall_ms = wall_ms,
        .ask = ask,
        .ask_slow = ask_slow,
        .read_policy = read_policy,
        .send = send,
        .room = room,
        .finish = finish,
        .let_go = let_go,
        .set_view = set_view,
        .escrow_changed = escrow_changed,
        .fenced = fenced,
        .broken = broken,
    };
    return bw_hub_create(&config, &ports, out, err);
}
