/* The hub's sessions over the daemon's own streams: gRPC with TLS on loopback, and the relay's real client.
 * Its database is in memory (hub_rig). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../grpc/certificates.h"
#include "fleet/client.h"
#include "hub_rig.h"
#include "runtime/clock.h"

enum { RESOURCES = 70000, PART = 250 };

static struct hub_rig *rig;
static char folder[] = "/tmp/bw-hub-stream-XXXXXX";
static struct bw_loop *loop;
static struct bw_timer *beat;
static struct bw_mailbox *worker;
static struct bw_hub_link link_to_hub;
static struct bw_grpc_method methods[1];
static struct bw_grpc_server *server;
static struct bw_grpc_tls *server_tls, *client_tls;
static struct bw_fleet_client *client;
static struct {
    size_t slots, keys;
    unsigned lost;
} relay;

static const char *path_of(const char *name)
{
    static char paths[8][96];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void nothing(void *context)
{
    (void)context;
}

static enum bw_code on_link(void *context, const struct bw_peer_link *link, uint32_t max_staleness_ms,
                            struct bw_error *err)
{
    (void)context, (void)link, (void)max_staleness_ms, (void)err;
    return BW_OK;
}

static void on_link_removed(void *context, const struct bw_id *meeting, uint32_t peer)
{
    (void)context, (void)meeting, (void)peer;
}

static enum bw_code on_slot(void *context, const struct bw_meeting_slot *slot, uint32_t max_staleness_ms,
                            struct bw_error *err)
{
    (void)context, (void)slot, (void)max_staleness_ms, (void)err;
    relay.slots++;
    return BW_OK;
}

static void on_slot_removed(void *context, const struct bw_id *meeting, uint32_t slot)
{
    (void)context, (void)meeting, (void)slot;
    relay.slots--;
}

static enum bw_code on_key(void *context, const struct bw_grant_key *key, struct bw_error *err)
{
    (void)context, (void)key, (void)err;
    relay.keys++;
    return BW_OK;
}

static void on_key_removed(void *context, const uint8_t key[8])
{
    (void)context, (void)key;
}

static void on_load(void *context, struct bw_relay_load *load)
{
    (void)context;
    *load = (struct bw_relay_load){.participants = 1};
}

static void on_lost(void *context, const char *endpoint, const struct bw_error *why, uint64_t retry_in_ms)
{
    (void)context, (void)endpoint, (void)retry_in_ms;
    printf("lost: %s\n", why->show);
    relay.lost++;
}

static void make_tls(void)
{
    struct test_ca *ca = test_ca_create(folder, "ca");
    test_ca_issue(
        ca, &(struct test_leaf){.name = "server", .san = "URI:spiffe://eu.example/replica/a,DNS:localhost"});
    test_ca_issue(ca, &(struct test_leaf){.name = "relay", .san = "URI:spiffe://eu.example/relay/relay1"});
    test_ca_destroy(ca);
    struct bw_error err;
    const struct bw_grpc_tls_config ours = {.certificate_file = path_of("server.crt"),
                                            .key_file = path_of("server.key"),
                                            .ca_file = path_of("ca.crt"),
                                            .trust_domain = "eu.example"};
    server_tls = bw_grpc_tls_create_server(&ours, &err);
    const struct bw_grpc_tls_config theirs = {.certificate_file = path_of("relay.crt"),
                                              .key_file = path_of("relay.key"),
                                              .ca_file = path_of("ca.crt"),
                                              .server_name = "localhost"};
    client_tls = bw_grpc_tls_create_client(&theirs, &err);
    assert_non_null(server_tls);
    assert_non_null(client_tls);
}

static void serve(void)
{
    struct bw_error err;
    loop = bw_loop_create(&err);
    worker = bw_mailbox_create(loop, &err);
    beat = bw_timer_create(loop, nothing, NULL, &err);
    assert_non_null(beat);
    bw_timer_start(beat, 1, 1);
    link_to_hub =
        (struct bw_hub_link){.hub = rig->hub, .mailbox = worker, .hub_mailbox = bw_hub_mailbox(rig->hub)};
    methods[0] = bw_hub_session_method;
    methods[0].context = &link_to_hub;
    const struct bw_grpc_server_config config = {.address = "127.0.0.1",
                                                 .tls = server_tls,
                                                 .limits = bw_grpc_limits_default(),
                                                 .error_domain = "bailiwick"};
    server = bw_grpc_server_create(loop, &config, methods, 1, &err);
    assert_non_null(server);
}

static void connect_relay(void)
{
    static const uint8_t secret[BW_SESSION_SECRET] = {3};
    static char endpoint[32];
    static const char *endpoints[] = {endpoint};
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", bw_grpc_server_port(server));
    const struct bw_fleet_client_config config = {
        .endpoints = endpoints,
        .endpoint_count = 1,
        .tls = client_tls,
        .hello = {.protocol_min = BW_FLEET_PROTOCOL_MIN,
                  .protocol_max = BW_FLEET_PROTOCOL_MAX,
                  .boot_id = {.bytes = {1}},
                  .media_addresses = {bw_view_str("192.0.2.1:3478")},
                  .media_address_count = 1,
                  .capacity = 100,
                  .session_secret = bw_view_of(secret, sizeof secret)},
        .handlers = {.peer_link = on_link,
                     .peer_link_removed = on_link_removed,
                     .slot = on_slot,
                     .slot_removed = on_slot_removed,
                     .grant_key = on_key,
                     .grant_key_removed = on_key_removed,
                     .load = on_load,
                     .lost = on_lost}};
    struct bw_error err;
    client = bw_fleet_client_create(loop, &config, &err);
    assert_non_null(client);
}

/* The loop and the hub take turns, in real time. */
static bool turns_until(bool (*done)(void), uint64_t limit_ms)
{
    uint64_t until = bw_clock_mono_ms() + limit_ms;
    while (!done() && bw_clock_mono_ms() < until) {
        rig->mono_ms = bw_clock_mono_ms();
        bw_loop_turn(loop, true);
        hub_rig_settle(rig);
        bw_hub_turn(rig->hub);
        hub_rig_settle(rig);
    }
    return done();
}

static int setup(void **state)
{
    (void)state;
    rig = calloc(1, sizeof *rig);
    if (rig == NULL || mkdtemp(folder) == NULL || !hub_rig_init(rig, 1))
        return -1;
    rig->real_streams = true;
    rig->mono_ms = bw_clock_mono_ms();
    bw_hub_begin(rig->hub);
    make_tls();
    serve();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bw_fleet_client_destroy(client);
    bw_grpc_server_destroy(server);
    for (int i = 0; i < 5; i++) {
        bw_loop_turn(loop, true);
        hub_rig_settle(rig);
    }
    hub_rig_finish(rig);
    bw_timer_destroy(beat);
    bw_mailbox_destroy(worker);
    bw_loop_destroy(loop);
    bw_grpc_tls_release(server_tls);
    bw_grpc_tls_release(client_tls);
    free(rig);
    static const char *const files[] = {"ca.crt",     "ca.crl",    "server.crt",
                                        "server.key", "relay.crt", "relay.key"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlink(path_of(files[i]));
    rmdir(folder);
    return 0;
}

static bool in_step(void)
{
    return relay.slots == RESOURCES && relay.keys > 0;
}

static bool has_one_more(void)
{
    return relay.slots == RESOURCES + 1;
}

static void a_relay_with_more_than_a_connection_may_have_waiting_gets_its_snapshot(void **state)
{
    (void)state;
    static struct bw_hub_change changes[PART];
    for (uint32_t slot = 1; slot <= RESOURCES; slot += PART) {
        for (uint32_t i = 0; i < PART; i++)
            changes[i] = hub_rig_join(rig, 0, slot + i);
        (void)hub_rig_commit(rig, changes, PART);
    }
    connect_relay();
    assert_true(turns_until(in_step, 60000));
    assert_int_equal(relay.lost, 0);
    struct bw_client_status status = bw_fleet_client_status(client);
    assert_int_equal(status.snapshots, 1);
    assert_int_equal(status.sessions, 1);
    printf("at most %zu bytes waited on the stream\n", rig->most_waiting);
    assert_true(rig->most_waiting > 256 << 10); /* it was paced … */
    assert_true(rig->most_waiting < 2 << 20);   /* … well below what a connection may have waiting */
    changes[0] = hub_rig_join(rig, 0, RESOURCES + 1);
    (void)hub_rig_commit(rig, changes, 1);
    assert_true(turns_until(has_one_more, 5000)); /* and the session goes on */
    assert_int_equal(bw_fleet_client_status(client).sessions, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_relay_with_more_than_a_connection_may_have_waiting_gets_its_snapshot, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
