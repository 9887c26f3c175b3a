/* How connections end, and what a server says about itself: drain, ages, keepalive, health. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include "raw.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_finish(&rig);
    return 0;
}

static void start(void)
{
    rig_serve(&rig);
    rig_connect(&rig);
    rig_run_until(&rig, &rig.connected);
}

static void set_flag(void *context)
{
    bool *flag = context;
    *flag = true;
}

static void drain_lets_running_calls_finish(void **state)
{
    (void)state;
    start();
    struct rig_call call;
    rig_call(&rig, &call, "/t.T/Chat", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("one")), BW_OK);
    rig_run_until_count(&rig, &call.messages, 1);
    bool drained = false;
    bw_grpc_server_drain(rig.server, 5000, set_flag, &drained);
    rig_run_until(&rig, &rig.going_away);
    assert_false(bw_grpc_client_usable(rig.client));
    struct bw_error err;
    static const struct bw_grpc_client_events none;
    assert_null(bw_grpc_client_call(rig.client, "/t.T/Echo", 0, NULL, 0, &none, NULL, &err));
    assert_int_equal(err.code, BW_UNAVAILABLE);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("two")), BW_OK);
    rig_run_until_count(&rig, &call.messages, 2);
    assert_false(drained);
    bw_grpc_client_half_close(call.call);
    rig_run_until(&rig, &call.finished);
    assert_int_equal(call.code, BW_OK);
    rig_run_until(&rig, &drained);
    rig_run_until(&rig, &rig.closed);
    assert_int_equal(rig.closed_why.code, BW_OK);
    assert_int_equal(bw_grpc_server_counts(rig.server).connections, 0);
    rig_call_finish(&call);
}

static void drain_ends_what_is_left_at_its_deadline(void **state)
{
    (void)state;
    start();
    struct rig_call call;
    rig_call(&rig, &call, "/t.T/Chat", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("one")), BW_OK);
    rig_run_until_count(&rig, &call.messages, 1);
    bool drained = false;
    bw_grpc_server_drain(rig.server, 100, set_flag, &drained);
    rig_run_until(&rig, &drained);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.ended_why, BW_UNAVAILABLE);
    rig_run_until(&rig, &call.finished);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    assert_string_equal(call.message, "the server is shut down");
    rig_call_finish(&call);
}

static void drain_of_an_idle_server_is_done_at_once(void **state)
{
    (void)state;
    rig_serve(&rig);
    bool drained = false;
    bw_grpc_server_drain(rig.server, 60000, set_flag, &drained);
    rig_run_until(&rig, &drained);
}

static void idle_connection_is_asked_to_leave(void **state)
{
    (void)state;
    rig.server_config.limits.idle_timeout_ms = 50;
    start();
    rig_run_until(&rig, &rig.going_away);
    rig_run_until(&rig, &rig.closed);
    assert_int_equal(bw_grpc_server_counts(rig.server).connections_punished, 0);
}

static void old_connection_is_asked_to_leave_and_made_to(void **state)
{
    (void)state;
    rig.server_config.limits.max_age_ms = 100;
    rig.server_config.limits.max_age_grace_ms = 100;
    start();
    struct rig_call call;
    rig_call(&rig, &call, "/t.T/Chat", 0);
    rig_run_until(&rig, &rig.going_away);
    assert_false(call.finished);
    rig_run_until(&rig, &call.finished);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    rig_call_finish(&call);
}

static void keepalive_tells_the_living_from_the_dead(void **state)
{
    (void)state;
    rig.server_config.limits.keepalive_ms = 30;
    rig.server_config.limits.keepalive_timeout_ms = 60;
    start();
    struct raw raw;
    raw_open(&raw, &rig); /* never answers a ping */
    raw_flush(&raw);
    rig_run_ms(&rig, 400);
    assert_int_equal(bw_grpc_server_counts(rig.server).connections, 1);
    assert_false(rig.closed);
    raw_close(&raw);
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("alive"), 0);
    assert_int_equal(call.code, BW_OK);
    rig_call_finish(&call);
}

static void client_keepalive_finds_out_that_the_server_is_gone(void **state)
{
    (void)state;
    rig.client_config.keepalive_ms = 30;
    rig.client_config.keepalive_timeout_ms = 2000;
    start();
    rig_run_ms(&rig, 200);
    assert_false(rig.closed);
    bw_grpc_server_destroy(rig.server);
    rig.server = NULL;
    rig_run_until(&rig, &rig.closed);
}

static void connections_beyond_the_limit_wait_their_turn(void **state)
{
    (void)state;
    rig.server_config.limits.max_connections = 1;
    start();
    struct bw_grpc_client *first = rig.client;
    rig_connect(&rig);
    rig_run_ms(&rig, 50);
    assert_false(rig.connected);
    bw_grpc_client_destroy(first);
    rig_run_until(&rig, &rig.connected);
}

static void client_close_lets_calls_finish(void **state)
{
    (void)state;
    start();
    struct rig_call call;
    rig_call(&rig, &call, "/t.T/Chat", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("one")), BW_OK);
    rig_run_until_count(&rig, &call.messages, 1);
    bw_grpc_client_close(rig.client);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("two")), BW_OK);
    rig_run_until_count(&rig, &call.messages, 2);
    bw_grpc_client_half_close(call.call);
    rig_run_until(&rig, &call.finished);
    assert_int_equal(call.code, BW_OK);
    rig_run_until(&rig, &rig.closed);
    assert_int_equal(rig.closed_why.code, BW_OK);
    rig_call_finish(&call);
}

static void client_that_breaks_off_right_behind_its_last_bytes_is_noticed(void **state)
{
    (void)state;
    rig_serve(&rig);
    struct raw raw;
    raw_open(&raw, &rig);
    raw_headers(&raw, 1, "/t.T/Never", NGHTTP2_FLAG_END_HEADERS, NULL);
    raw_message(&raw, 1, "x", NGHTTP2_FLAG_END_STREAM);
    raw_flush(&raw);
    rig_run_until_count(&rig, &rig.messages, 1);
    /* Bytes and a TCP reset reach the server before it looks again. */
    raw_frame(&raw, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
    assert_int_equal(send(raw.fd, raw.out.data, raw.out.len, 0), raw.out.len);
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(raw.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    raw_close(&raw);
    rig_run_until_count(&rig, &rig.ended, 1);
    assert_int_equal(rig.ended_why, BW_CANCELLED);
    assert_int_equal(bw_grpc_server_counts(rig.server).connections, 0);
}

static void health_check_answers_for_known_services(void **state)
{
    (void)state;
    start();
    struct rig_call call;
    rig_unary(&rig, &call, "/grpc.health.v1.Health/Check", bw_view_of(NULL, 0), 0);
    assert_int_equal(call.code, BW_OK);
    assert_memory_equal(call.received.data, "\x08\x01", 2);
    rig_call_finish(&call);
    rig_unary(&rig, &call, "/grpc.health.v1.Health/Check", bw_view_of("\n\3t.X", 5), 0);
    assert_int_equal(call.code, BW_NOT_FOUND);
    rig_call_finish(&call);
    assert_int_equal(bw_grpc_health_set(rig.server, "t.X", BW_GRPC_NOT_SERVING, NULL), BW_OK);
    rig_unary(&rig, &call, "/grpc.health.v1.Health/Check", bw_view_of("\n\3t.X", 5), 0);
    assert_int_equal(call.code, BW_OK);
    assert_memory_equal(call.received.data, "\x08\x02", 2);
    rig_call_finish(&call);
}

static void health_watch_tells_every_change_and_the_end(void **state)
{
    (void)state;
    start();
    struct rig_call call;
    rig_call(&rig, &call, "/grpc.health.v1.Health/Watch", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_of("\n\3t.X", 5)), BW_OK);
    bw_grpc_client_half_close(call.call);
    rig_run_until_count(&rig, &call.messages, 1);
    assert_int_equal(bw_grpc_health_set(rig.server, "t.X", BW_GRPC_SERVING, NULL), BW_OK);
    rig_run_until_count(&rig, &call.messages, 2);
    assert_int_equal(bw_grpc_health_set(rig.server, "t.X", BW_GRPC_SERVING, NULL), BW_OK);
    assert_int_equal(bw_grpc_health_set(rig.server, "t.Y", BW_GRPC_SERVING, NULL), BW_OK);
    bool drained = false;
    bw_grpc_server_drain(rig.server, 5000, set_flag, &drained);
    rig_run_until(&rig, &call.finished);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    assert_int_equal(call.messages, 3);
    assert_memory_equal(call.received.data, "\x08\x03\x08\x01\x08\x02", 6);
    rig_run_until(&rig, &drained);
    rig_call_finish(&call);
}

static void destroying_a_server_in_mid_call_ends_the_call(void **state)
{
    (void)state;
    start();
    struct rig_call call;
    rig_call(&rig, &call, "/t.T/Keep", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("x")), BW_OK);
    bw_grpc_client_half_close(call.call);
    while (rig.kept_count == 0)
        bw_loop_turn(rig.loop, true);
    bw_grpc_server_destroy(rig.server);
    rig.server = NULL;
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.ended_why, BW_CANCELLED);
    assert_true(bw_grpc_call_cancelled(rig.kept[0]));
    assert_int_equal(bw_grpc_send(rig.kept[0], bw_view_str("late")), BW_CANCELLED);
    assert_non_null(bw_arena_strdup(bw_grpc_call_arena(rig.kept[0]), "still valid"));
    assert_string_equal(bw_grpc_call_peer(rig.kept[0])->address, "127.0.0.1");
    bw_grpc_call_release(rig.kept[0]);
    rig_run_until(&rig, &call.finished);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    rig_call_finish(&call);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(drain_lets_running_calls_finish),
        CASE(drain_ends_what_is_left_at_its_deadline),
        CASE(drain_of_an_idle_server_is_done_at_once),
        CASE(idle_connection_is_asked_to_leave),
        CASE(old_connection_is_asked_to_leave_and_made_to),
        CASE(keepalive_tells_the_living_from_the_dead),
        CASE(client_keepalive_finds_out_that_the_server_is_gone),
        CASE(connections_beyond_the_limit_wait_their_turn),
        CASE(client_close_lets_calls_finish),
        CASE(client_that_breaks_off_right_behind_its_last_bytes_is_noticed),
        CASE(health_check_answers_for_known_services),
        CASE(health_watch_tells_every_change_and_the_end),
        CASE(destroying_a_server_in_mid_call_ends_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
