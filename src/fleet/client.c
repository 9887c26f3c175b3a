#include "fleet/client.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "fleet/codec.h"
#include "grpc/client.h"
#include "runtime/clock.h"
#include "runtime/random.h"

enum {
    KEEPALIVE_MS = 10000,
    LEAVE_MS = 1000,
    QUALITY_WAITING = 65536, /* samples, while there is no session: 4 MiB */
};

/* One attempt's connection. It is dropped from inside its own callbacks, so it is destroyed at the end of the
 * loop's turn. */
struct connection {
    struct bw_fleet_client *client; /* NULL: dropped */
    struct bw_loop *loop;
    struct bw_grpc_client *grpc;
    struct bw_grpc_client_call *session;
    struct bw_task bury;
};

struct bw_fleet_client {
    struct bw_loop *loop;
    struct bw_fleet_client_config config;
    struct bw_client_state *state;
    struct connection *connection;
    struct bw_timer *timer, *leaving;
    struct bw_quality_reporter *quality;
    struct bw_arena *arena;
    struct bw_buf out;
    void (*stopped)(void *context);
    void *stopped_context;
};

static void schedule(struct bw_fleet_client *client)
{
    uint64_t next = bw_client_state_next_ms(client->state), now = bw_clock_mono_ms();
    if (next == UINT64_MAX)
        bw_timer_stop(client->timer);
    else
        bw_timer_start(client->timer, next > now ? next - now : 0, 0);
}

static void tick(void *context)
{
    struct bw_fleet_client *client = context;
    bw_client_state_tick(client->state, bw_clock_mono_ms());
    schedule(client);
}

/* ---- the connection ---- */

static void bury(void *context)
{
    struct connection *connection = context;
    bw_grpc_client_destroy(connection->grpc);
    bw_free(connection);
}

static void drop(struct bw_fleet_client *client)
{
    struct connection *connection = client->connection;
    if (connection == NULL)
        return;
    bw_quality_reporter_disconnected(client->quality);
    client->connection = NULL;
    connection->client = NULL;
    bw_loop_defer(connection->loop, &connection->bury);
}

static void lost(struct connection *connection, enum bw_code code, const char *text)
{
    struct bw_fleet_client *client = connection->client;
    if (client == NULL)
        return;
    struct bw_error why = {0};
    (void)bw_fail(&why, code == BW_OK ? BW_UNAVAILABLE : code, NULL, "%s",
                  code == BW_OK ? "the control plane ended the session" : text);
    drop(client);
    bw_client_state_disconnected(client->state, &why, bw_clock_mono_ms());
    schedule(client);
}

static void session_message(struct bw_grpc_client_call *call, struct bw_view bytes, void *context)
{
    struct connection *connection = context;
    struct bw_fleet_client *client = connection->client;
    (void)call;
    if (client == NULL)
        return;
    struct bw_control_message message;
    struct bw_error why = {0};
    bw_arena_reset(client->arena);
    enum bw_code code = bw_control_message_decode(bytes, client->arena, &message, &why);
    if (code != BW_OK) {
        lost(connection, code, why.show);
        return;
    }
    bw_client_state_receive(client->state, &message, bw_clock_mono_ms());
    bw_control_message_wipe(&message);
    schedule(client);
}

static void session_finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome,
                             void *context)
{
    struct connection *connection = context;
    (void)call;
    connection->session = NULL;
    struct bw_fleet_client *client = connection->client;
    if (client != NULL && client->stopped != NULL)
        bw_timer_start(client->leaving, 0, 0);
    lost(connection, outcome->code, outcome->message);
}

static const struct bw_grpc_client_events session_events = {.message = session_message,
                                                            .finished = session_finished};

static void grpc_connected(struct bw_grpc_client *grpc, void *context)
{
    struct connection *connection = context;
    struct bw_fleet_client *client = connection->client;
    struct bw_error why = {0};
    if (client == NULL)
        return;
    connection->session = bw_grpc_client_call(grpc, "/bailiwick.v1.RelayService/Session", 0, NULL, 0,
                                              &session_events, connection, &why);
    if (connection->session == NULL) {
        lost(connection, why.code, why.show);
        return;
    }
    bw_client_state_connected(client->state, bw_clock_mono_ms());
    schedule(client);
}

static void grpc_closed(struct bw_grpc_client *grpc, const struct bw_error *why, void *context)
{
    (void)grpc;
    lost(context, why->code, why->show);
}

/* ---- ports of the state ---- */

static void port_connect(void *context, size_t endpoint)
{
    struct bw_fleet_client *client = context;
    struct connection *connection = bw_calloc(1, sizeof *connection);
    struct bw_error why = {0};
    if (connection == NULL) {
        (void)bw_fail_memory(&why);
        bw_client_state_disconnected(client->state, &why, bw_clock_mono_ms());
        return;
    }
    connection->client = client;
    connection->loop = client->loop;
    bw_task_init(&connection->bury, bury, connection);
    struct bw_grpc_client_config config = {.target = client->config.endpoints[endpoint],
                                           .tls = client->config.tls,
                                           .h2c = client->config.tls == NULL,
                                           .keepalive_ms = KEEPALIVE_MS,
                                           .user_agent = "bailiwick-relay",
                                           .connected = grpc_connected,
                                           .closed = grpc_closed,
                                           .context = connection};
    connection->grpc = bw_grpc_client_create(client->loop, &config, &why);
    if (connection->grpc == NULL) {
        bw_free(connection);
        bw_client_state_disconnected(client->state, &why, bw_clock_mono_ms());
        return;
    }
    client->connection = connection;
}

static void port_disconnect(void *context)
{
    drop(context);
}

static enum bw_code port_send(void *context, const struct bw_relay_message *message)
{
    struct bw_fleet_client *client = context;
    struct bw_error err = {0};
    if (client->connection == NULL || client->connection->session == NULL)
        return BW_UNAVAILABLE;
    /* An arena of its own: what is being handled may lie in client->arena. */
    struct bw_arena *arena = bw_arena_create(BW_FLEET_ARENA);
    if (arena == NULL)
        return BW_RESOURCE_EXHAUSTED;
    bw_buf_clear(&client->out);
    enum bw_code code = bw_relay_message_encode(message, arena, &client->out, &err);
    if (code == BW_OK)
        code = bw_grpc_client_send(client->connection->session, bw_buf_view(&client->out));
    if (message->kind == BW_RELAY_HELLO && client->out.data != NULL)
        bw_wipe(client->out.data, client->out.len);
    bw_arena_destroy(arena);
    return code;
}

static uint64_t port_random(void *context)
{
    (void)context;
    return bw_random_u64();
}

static void port_load(void *context, struct bw_relay_load *load)
{
    const struct bw_fleet_client *client = context;
    client->config.handlers.load(client->config.handlers.context, load);
}

static void port_welcomed(void *context, const struct bw_welcome *welcome)
{
    struct bw_fleet_client *client = context;
    const struct bw_fleet_handlers *h = &client->config.handlers;
    if (h->welcomed != NULL)
        h->welcomed(h->context, welcome);
    if (client->connection != NULL)
        bw_quality_reporter_connected(client->quality, client->connection->grpc);
}

static void port_leased(void *context)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    if (h->leased != NULL)
        h->leased(h->context);
}

static void port_applied(void *context, uint64_t group)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    if (h->applied != NULL)
        h->applied(h->context, group);
}

static void port_drain(void *context, bool draining, uint32_t deadline_ms, struct bw_view reason)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    if (h->drain != NULL)
        h->drain(h->context, draining, deadline_ms, reason);
}

static void port_revoke(void *context, const struct bw_revoke *revoke)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    if (h->revoke != NULL)
        h->revoke(h->context, revoke);
}

static void port_probe_plan(void *context, const struct bw_probe_target *targets, size_t count,
                            uint32_t interval_ms, uint32_t packets)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    if (h->probe_plan != NULL)
        h->probe_plan(h->context, targets, count, interval_ms, packets);
}

static void port_lost(void *context, size_t endpoint, const struct bw_error *why, uint64_t retry_in_ms)
{
    struct bw_fleet_client *client = context;
    const struct bw_fleet_handlers *h = &client->config.handlers;
    if (h->lost != NULL)
        h->lost(h->context, client->config.endpoints[endpoint], why, retry_in_ms);
}

/* ---- resources ---- */

static enum bw_code resource_upsert(void *context, const struct bw_resource_name *name,
                                    const struct bw_upsert *upsert, struct bw_error *err)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    const void *body = upsert->body.data;
    switch (name->type) {
    case BW_RESOURCE_PEER_LINK:
        return h->peer_link(h->context, body, upsert->max_staleness_ms, err);
    case BW_RESOURCE_MEETING_SLOT:
        return h->slot(h->context, body, upsert->max_staleness_ms, err);
    case BW_RESOURCE_GRANT_KEY:
        return h->grant_key(h->context, body, err);
    }
    return bw_fail(err, BW_UNIMPLEMENTED, NULL, "a resource type this relay does not know");
}

static void resource_remove(void *context, const struct bw_resource_name *name)
{
    const struct bw_fleet_handlers *h = &((struct bw_fleet_client *)context)->config.handlers;
    switch (name->type) {
    case BW_RESOURCE_PEER_LINK:
        h->peer_link_removed(h->context, &name->meeting, name->number);
        break;
    case BW_RESOURCE_MEETING_SLOT:
        h->slot_removed(h->context, &name->meeting, name->number);
        break;
    case BW_RESOURCE_GRANT_KEY:
        h->grant_key_removed(h->context, name->key_id);
        break;
    }
}

/* ---- life ---- */

static void left(void *context)
{
    struct bw_fleet_client *client = context;
    void (*done)(void *) = client->stopped;
    client->stopped = NULL;
    if (done != NULL)
        done(client->stopped_context);
}

struct bw_fleet_client *bw_fleet_client_create(struct bw_loop *loop,
                                               const struct bw_fleet_client_config *config,
                                               struct bw_error *err)
{
    struct bw_fleet_client *client = bw_calloc(1, sizeof *client);
    if (client == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    client->loop = loop;
    client->config = *config;
    if (config->tls != NULL)
        client->config.tls = bw_grpc_tls_hold(config->tls);
    struct bw_client_config state_config = {.hello = config->hello,
                                            .endpoint_count = config->endpoint_count,
                                            .max_grace_ms = config->max_grace_ms};
    struct bw_client_ports ports = {.context = client,
                                    .connect = port_connect,
                                    .disconnect = port_disconnect,
                                    .send = port_send,
                                    .random = port_random,
                                    .load = port_load,
                                    .welcomed = port_welcomed,
                                    .leased = port_leased,
                                    .applied = port_applied,
                                    .drain = port_drain,
                                    .revoke = port_revoke,
                                    .probe_plan = port_probe_plan,
                                    .lost = port_lost};
    struct bw_replica_events events = {
        .context = client, .upsert = resource_upsert, .remove = resource_remove};
    client->state = bw_client_state_create(&state_config, &ports, &events, bw_clock_mono_ms());
    client->arena = bw_arena_create(BW_FLEET_ARENA);
    client->timer = bw_timer_create(loop, tick, client, err);
    client->leaving = bw_timer_create(loop, left, client, err);
    client->quality = bw_quality_reporter_create(loop, QUALITY_WAITING, err);
    if (client->state == NULL || client->arena == NULL || client->timer == NULL || client->leaving == NULL ||
        client->quality == NULL) {
        (void)bw_fail_memory(err);
        bw_fleet_client_destroy(client);
        return NULL;
    }
    bw_timer_start(client->timer, 0, 0);
    return client;
}

void bw_fleet_client_destroy(struct bw_fleet_client *client)
{
    if (client == NULL)
        return;
    if (client->connection != NULL) {
        bw_quality_reporter_disconnected(client->quality);
        client->connection->client = NULL;
        bury(client->connection);
    }
    bw_quality_reporter_destroy(client->quality);
    bw_timer_destroy(client->timer);
    bw_timer_destroy(client->leaving);
    bw_client_state_destroy(client->state);
    bw_arena_destroy(client->arena);
    bw_buf_finish(&client->out);
    bw_grpc_tls_release(client->config.tls);
    bw_free(client);
}

void bw_fleet_client_stop(struct bw_fleet_client *client, const char *reason, uint32_t back_in_ms,
                          void (*done)(void *context), void *context)
{
    client->stopped = done;
    client->stopped_context = context;
    bw_client_state_stop(client->state, reason, back_in_ms);
    bw_timer_stop(client->timer);
    struct connection *connection = client->connection;
    bool leaving = connection != NULL && connection->session != NULL;
    if (leaving)
        bw_grpc_client_half_close(connection->session);
    bw_timer_start(client->leaving, leaving ? LEAVE_MS : 0, 0);
}

void bw_fleet_client_set_tls(struct bw_fleet_client *client, struct bw_grpc_tls *tls)
{
    BW_CHECK(client->config.tls != NULL && tls != NULL);
    struct bw_grpc_tls *old = client->config.tls;
    client->config.tls = bw_grpc_tls_hold(tls);
    bw_grpc_tls_release(old);
}

enum bw_authority bw_fleet_client_authority(const struct bw_fleet_client *client)
{
    return bw_client_state_authority(client->state, bw_clock_mono_ms());
}

uint64_t bw_fleet_client_stale_ms(const struct bw_fleet_client *client)
{
    return bw_client_state_stale_ms(client->state, bw_clock_mono_ms());
}

struct bw_client_status bw_fleet_client_status(const struct bw_fleet_client *client)
{
    return bw_client_state_status(client->state, bw_clock_mono_ms());
}

const char *bw_fleet_client_endpoint(const struct bw_fleet_client *client)
{
    return client->config.endpoints[bw_fleet_client_status(client).endpoint];
}

void bw_fleet_client_event(struct bw_fleet_client *client, const struct bw_relay_event *event)
{
    bw_client_state_event(client->state, event);
    bw_timer_start(client->timer, 0, 0); /* goes out with whatever else happens in this turn */
}

void bw_fleet_client_probe(struct bw_fleet_client *client, const struct bw_probe_report *report)
{
    bw_client_state_probe(client->state, report);
    schedule(client);
}

void bw_fleet_client_drain_request(struct bw_fleet_client *client, const char *reason, uint32_t deadline_ms)
{
    bw_client_state_drain_request(client->state, reason, deadline_ms);
    schedule(client);
}

/* ---- quality ---- */

void bw_fleet_client_report_quality(struct bw_fleet_client *client, const struct bw_relay_quality *samples,
                                    size_t count)
{
    bw_quality_reporter_add(client->quality, samples, count);
}

struct bw_quality_report_counts bw_fleet_client_quality(const struct bw_fleet_client *client)
{
    return bw_quality_reporter_counts(client->quality);
}
