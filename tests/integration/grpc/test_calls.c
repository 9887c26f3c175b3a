#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "rig.h"

static int setup(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    *state = &rig;
    return 0;
}

static void start(struct rig *rig)
{
    rig_serve(rig);
    rig_connect(rig);
}

static int teardown(void **state)
{
    rig_finish(*state);
    return 0;
}

static void assert_received(const struct rig_call *call, const void *bytes, size_t len)
{
    assert_int_equal(call->received.len, len);
    if (len > 0)
        assert_memory_equal(call->received.data, bytes, len);
}

static void unary_call_returns_the_reply(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Echo", bw_view_str("hello"), 0);
    assert_int_equal(call.code, BW_OK);
    assert_int_equal(call.messages, 1);
    assert_received(&call, "hello", 5);
    assert_true(call.headers);
    rig_run_until_count(rig, &rig->ended, 1);
    assert_int_equal(rig->ended_why, BW_OK);
    rig_call_finish(&call);
    rig_unary(rig, &call, "/t.T/Echo", bw_view_of(NULL, 0), 0);
    assert_int_equal(call.code, BW_OK);
    assert_int_equal(call.messages, 1);
    assert_received(&call, "", 0);
    rig_call_finish(&call);
}

static void many_calls_share_one_connection(void **state)
{
    struct rig *rig = *state;
    start(rig);
    static struct rig_call calls[200];
    for (size_t i = 0; i < 200; i++) {
        rig_call(rig, &calls[i], "/t.T/Echo", 5000);
        uint32_t n = (uint32_t)i;
        assert_int_equal(bw_grpc_client_send(calls[i].call, bw_view_of(&n, sizeof n)), BW_OK);
        bw_grpc_client_half_close(calls[i].call);
    }
    for (size_t i = 0; i < 200; i++) {
        rig_run_until(rig, &calls[i].finished);
        uint32_t n = (uint32_t)i;
        assert_int_equal(calls[i].code, BW_OK);
        assert_received(&calls[i], &n, sizeof n);
        rig_call_finish(&calls[i]);
    }
    assert_int_equal(bw_grpc_server_counts(rig->server).accepted, 1);
}

static void error_arrives_with_code_text_and_details(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Fail", bw_view_str("x"), 0);
    assert_int_equal(call.code, BW_FAILED_PRECONDITION);
    assert_string_equal(call.message, "tenant „chu“ is 100% elsewhere");
    assert_string_equal(call.reason, "WRONG_CELL");
    assert_string_equal(call.domain, "t.example");
    assert_string_equal(call.metadata, "cell=eu");
    assert_string_equal(call.violation, "tenant: must be given");
    assert_int_equal(call.retry_after_ms, 1500);
    assert_string_equal(call.any_type, "type.googleapis.com/t.Extra extra");
    assert_int_equal(call.messages, 0);
    rig_run_until_count(rig, &rig->ended, 1);
    assert_int_equal(rig->ended_why, BW_OK);
    rig_call_finish(&call);
}

static void unknown_method_is_unimplemented(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Nothing", bw_view_str("x"), 0);
    assert_int_equal(call.code, BW_UNIMPLEMENTED);
    assert_string_equal(call.message, "unknown method /t.T/Nothing");
    assert_int_equal(rig->opened, 0);
    rig_call_finish(&call);
}

static void wrong_number_of_messages_is_unimplemented(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_call(rig, &call, "/t.T/Echo", 0);
    bw_grpc_client_half_close(call.call);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_UNIMPLEMENTED);
    rig_call_finish(&call);
    rig_call(rig, &call, "/t.T/Echo", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("a")), BW_OK);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("b")), BW_OK);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_UNIMPLEMENTED);
    assert_int_equal(rig->messages, 0);
    assert_int_equal(rig->ended, 2);
    rig_call_finish(&call);
}

static void streams_in_every_direction(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    uint8_t five = 5;
    rig_unary(rig, &call, "/t.T/Count", bw_view_of(&five, 1), 0);
    assert_int_equal(call.code, BW_OK);
    assert_int_equal(call.messages, 5);
    assert_received(&call, "\0\1\2\3\4", 5);
    rig_call_finish(&call);

    rig_call(rig, &call, "/t.T/Sum", 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("12345")), BW_OK);
    bw_grpc_client_half_close(call.call);
    rig_run_until(rig, &call.finished);
    uint32_t total = 500;
    assert_int_equal(call.code, BW_OK);
    assert_received(&call, &total, sizeof total);
    rig_call_finish(&call);

    rig_call(rig, &call, "/t.T/Chat", 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("ping")), BW_OK);
        rig_run_until_count(rig, &call.messages, i);
        assert_false(call.finished);
    }
    bw_grpc_client_half_close(call.call);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_OK);
    assert_received(&call, "pingpingping", 12);
    rig_call_finish(&call);
}

static void deadline_ends_both_sides(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Never", bw_view_str("x"), 50);
    assert_int_equal(call.code, BW_DEADLINE_EXCEEDED);
    rig_run_until_count(rig, &rig->ended, 1);
    assert_true(rig->ended_why == BW_DEADLINE_EXCEEDED || rig->ended_why == BW_CANCELLED);
    rig_call_finish(&call);
}

static void cancel_reaches_the_handler(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_call(rig, &call, "/t.T/Never", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("x")), BW_OK);
    bw_grpc_client_half_close(call.call);
    rig_run_until_count(rig, &rig->messages, 1);
    bw_grpc_client_cancel(call.call);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_CANCELLED);
    rig_run_until_count(rig, &rig->ended, 1);
    assert_int_equal(rig->ended_why, BW_CANCELLED);
    assert_int_equal(bw_grpc_server_counts(rig->server).calls, 0);
    rig_call_finish(&call);
}

static void oversized_request_is_refused(void **state)
{
    struct rig *rig = *state;
    rig->server_config.limits.max_request_bytes = 1000;
    start(rig);
    static uint8_t bytes[1001];
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Echo", bw_view_of(bytes, 1000), 0);
    assert_int_equal(call.code, BW_OK);
    rig_call_finish(&call);
    rig_unary(rig, &call, "/t.T/Echo", bw_view_of(bytes, 1001), 0);
    assert_int_equal(call.code, BW_RESOURCE_EXHAUSTED);
    rig_run_until_count(rig, &rig->ended, 2);
    assert_int_equal(rig->ended_why, BW_RESOURCE_EXHAUSTED);
    rig_call_finish(&call);
}

static void oversized_reply_is_refused_by_the_client(void **state)
{
    struct rig *rig = *state;
    rig->client_config.max_reply_bytes = 1000;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Large", bw_view_of("\0\0\x03\xe9", 4), 0);
    assert_int_equal(call.code, BW_RESOURCE_EXHAUSTED);
    rig_call_finish(&call);
}

static void large_messages_cross_flow_control_windows(void **state)
{
    struct rig *rig = *state;
    rig->server_config.limits.max_request_bytes = 4 << 20;
    start(rig);
    static uint8_t bytes[3 << 20];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Echo", bw_view_of(bytes, sizeof bytes), 0);
    assert_int_equal(call.code, BW_OK);
    assert_received(&call, bytes, sizeof bytes);
    rig_call_finish(&call);
}

static void sending_past_the_output_cap_is_refused_and_resumes(void **state)
{
    struct rig *rig = *state;
    rig->server_config.limits.connection_output_bytes = 256 << 10;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Flood", bw_view_str("x"), 0);
    assert_int_equal(call.code, BW_OK);
    assert_int_equal(call.messages, 256);
    assert_int_equal(call.received.len, 256 * 32768);
    rig_call_finish(&call);
}

static void metadata_travels_both_ways(void **state)
{
    struct rig *rig = *state;
    start(rig);
    const struct bw_grpc_metadata metadata[] = {{"x-echo", bw_view_str("plain text")},
                                                {"x-echo-bin", bw_view_of("b\xff,", 3)}};
    struct rig_call call;
    rig_call_with(rig, &call, "/t.T/Meta", 0, metadata, 2);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("x")), BW_OK);
    bw_grpc_client_half_close(call.call);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_OK);
    assert_string_equal(call.echo_header, "plain text");
    assert_string_equal(call.echo_trailer, "b\xff,");
    rig_call_finish(&call);
    const struct bw_grpc_metadata bad[] = {{"grpc-internal", bw_view_str("x")}};
    struct bw_error err;
    static const struct bw_grpc_client_events none;
    assert_null(bw_grpc_client_call(rig->client, "/t.T/Meta", 0, bad, 1, &none, NULL, &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
}

static void compression_works_both_ways(void **state)
{
    struct rig *rig = *state;
    rig->client_config.compress = true;
    start(rig);
    static uint8_t bytes[100000];
    memset(bytes, 'a', sizeof bytes);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Gzip", bw_view_of(bytes, sizeof bytes), 0);
    assert_int_equal(call.code, BW_OK);
    assert_received(&call, bytes, sizeof bytes);
    rig_call_finish(&call);
}

static void gzip_bomb_is_stopped_at_the_limit(void **state)
{
    struct rig *rig = *state;
    rig->client_config.compress = true;
    rig->server_config.limits.max_request_bytes = 100000;
    start(rig);
    static uint8_t bytes[10 << 20];
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Echo", bw_view_of(bytes, sizeof bytes), 0);
    assert_int_equal(call.code, BW_RESOURCE_EXHAUSTED);
    assert_int_equal(rig->messages, 0);
    rig_call_finish(&call);
}

static void held_call_is_answered_from_another_thread(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Held", bw_view_str("far away"), 5000);
    assert_int_equal(call.code, BW_OK);
    assert_received(&call, "far away", 8);
    rig_call_finish(&call);
    assert_int_equal(bw_grpc_server_counts(rig->server).calls, 0);
}

static void held_call_survives_cancel_until_it_comes_back(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_call(rig, &call, "/t.T/Held", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("wait for the cancel")), BW_OK);
    bw_grpc_client_half_close(call.call);
    rig_run_until_count(rig, &rig->messages, 1);
    assert_int_equal(bw_grpc_server_counts(rig->server).calls, 1);
    bw_grpc_client_destroy(rig->client);
    rig->client = NULL;
    assert_true(call.finished);
    assert_int_equal(call.code, BW_CANCELLED);
    while (bw_grpc_server_counts(rig->server).calls > 0)
        bw_loop_turn(rig->loop, true);
    assert_int_equal(rig->ended_why, BW_CANCELLED);
    rig_call_finish(&call);
}

static void refused_by_the_admit_hook_nothing_of_the_method_runs(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Secret", bw_view_str("x"), 0);
    assert_int_equal(call.code, BW_UNAUTHENTICATED);
    assert_string_equal(call.reason, "NO_IDENTITY");
    assert_int_equal(rig->opened, 0);
    assert_int_equal(rig->ended, 0);
    rig_call_finish(&call);
}

static void answer_before_the_request_ends_is_delivered(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_call(rig, &call, "/t.T/Quit", 0);
    assert_int_equal(bw_grpc_client_send(call.call, bw_view_str("never read")), BW_OK);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_ABORTED);
    assert_string_equal(call.message, "not today");
    rig_call_finish(&call);
    rig_unary(rig, &call, "/t.T/Echo", bw_view_str("still here"), 0);
    assert_int_equal(call.code, BW_OK);
    rig_call_finish(&call);
}

static void paused_call_holds_the_client_back(void **state)
{
    struct rig *rig = *state;
    start(rig);
    static uint8_t block[32768];
    struct rig_call call;
    rig_call(rig, &call, "/t.T/Slow", 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(bw_grpc_client_send(call.call, bw_view_of(block, sizeof block)), BW_OK);
    bw_grpc_client_half_close(call.call);
    rig_run_ms(rig, 100);
    assert_in_range(rig->messages, 1, 20);
    assert_true(bw_grpc_client_send_pending_bytes(call.call) > 2000000);
    struct rig_call other; /* others on the connection are not held back */
    rig_unary(rig, &other, "/t.T/Echo", bw_view_str("x"), 0);
    assert_int_equal(other.code, BW_OK);
    rig_call_finish(&other);
    bw_grpc_pause_reading(rig->kept[0], false);
    rig_run_until(rig, &call.finished);
    assert_int_equal(call.code, BW_OK);
    uint32_t total = 100 * sizeof block;
    assert_received(&call, &total, sizeof total);
    assert_true(call.writable > 0);
    bw_grpc_call_release(rig->kept[0]);
    rig_call_finish(&call);
}

static void nobody_listening_is_unavailable(void **state)
{
    struct rig *rig = *state;
    rig_serve(rig);
    rig_connect(rig);
    bw_grpc_server_destroy(rig->server);
    rig->server = NULL;
    struct rig_call call;
    rig_unary(rig, &call, "/t.T/Echo", bw_view_str("x"), 0);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    rig_run_until(rig, &rig->closed);
    assert_int_equal(rig->closed_why.code, BW_UNAVAILABLE);
    rig_call_finish(&call);
}

static void clear_text_is_refused_beyond_loopback(void **state)
{
    struct rig *rig = *state;
    rig->server_config.address = "0.0.0.0";
    struct bw_error err;
    assert_null(bw_grpc_server_create(rig->loop, &rig->server_config, NULL, 0, &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
    rig->server_config.address = "::";
    assert_null(bw_grpc_server_create(rig->loop, &rig->server_config, NULL, 0, &err));
    rig->server_config.address = "localhost";
    assert_null(bw_grpc_server_create(rig->loop, &rig->server_config, NULL, 0, &err));
    rig->client_config.target = "192.0.2.1:1";
    rig->client = bw_grpc_client_create(rig->loop, &rig->client_config, &err);
    assert_non_null(rig->client);
    rig_run_until(rig, &rig->closed);
    assert_int_equal(rig->closed_why.code, BW_FAILED_PRECONDITION);
}

static void several_servers_share_one_port(void **state)
{
    struct rig *rig = *state;
    rig_serve(rig);
    rig->server_config.port = bw_grpc_server_port(rig->server);
    struct bw_grpc_server *second = bw_grpc_server_create(rig->loop, &rig->server_config, NULL, 0, NULL);
    assert_non_null(second);
    assert_int_equal(bw_grpc_server_port(second), rig->server_config.port);
    bw_grpc_server_destroy(second);
}

static void client_finishes_its_calls_when_destroyed(void **state)
{
    struct rig *rig = *state;
    start(rig);
    struct rig_call call;
    rig_call(rig, &call, "/t.T/Chat", 0);
    rig_run_ms(rig, 20);
    bw_grpc_client_destroy(rig->client);
    rig->client = NULL;
    assert_true(call.finished);
    assert_int_equal(call.code, BW_CANCELLED);
    rig_call_finish(&call);
    rig_run_until_count(rig, &rig->ended, 1);
    assert_int_equal(rig->ended_why, BW_CANCELLED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(unary_call_returns_the_reply),
        CASE(many_calls_share_one_connection),
        CASE(error_arrives_with_code_text_and_details),
        CASE(unknown_method_is_unimplemented),
        CASE(wrong_number_of_messages_is_unimplemented),
        CASE(streams_in_every_direction),
        CASE(deadline_ends_both_sides),
        CASE(cancel_reaches_the_handler),
        CASE(oversized_request_is_refused),
        CASE(oversized_reply_is_refused_by_the_client),
        CASE(large_messages_cross_flow_control_windows),
        CASE(sending_past_the_output_cap_is_refused_and_resumes),
        CASE(metadata_travels_both_ways),
        CASE(compression_works_both_ways),
        CASE(gzip_bomb_is_stopped_at_the_limit),
        CASE(held_call_is_answered_from_another_thread),
        CASE(held_call_survives_cancel_until_it_comes_back),
        CASE(refused_by_the_admit_hook_nothing_of_the_method_runs),
        CASE(answer_before_the_request_ends_is_delivered),
        CASE(paused_call_holds_the_client_back),
        CASE(nobody_listening_is_unavailable),
        CASE(clear_text_is_refused_beyond_loopback),
        CASE(several_servers_share_one_port),
        CASE(client_finishes_its_calls_when_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
