/* The blocking client, against a server on a thread of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "grpc/client.h"
#include "grpc/server.h"
#include "runtime/mailbox.h"
#include "runtime/thread.h"

struct remote {
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_grpc_server *server;
    struct bw_thread *thread;
    char target[64];
};

static void echo(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    bw_grpc_reply(call, message);
}

static void three(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    for (int i = 0; i < 3; i++)
        BW_CHECK(bw_grpc_send(call, message) == BW_OK);
    bw_grpc_finish(call, NULL, NULL);
}

static void refuse(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)message;
    (void)context;
    struct bw_error err;
    (void)bw_fail(&err, BW_NOT_FOUND, "NO_SUCH_THING", "there is no such thing");
    bw_grpc_finish(call, &err, NULL);
}

static const struct bw_grpc_method methods[] = {
    {.path = "/t.T/Echo", .message = echo},
    {.path = "/t.T/Three", .server_streams = true, .message = three},
    {.path = "/t.T/Refuse", .message = refuse},
};

static void serve(void *context)
{
    struct remote *remote = context;
    bw_loop_run(remote->loop);
}

static int start(void **state)
{
    static struct remote remote;
    remote.loop = bw_loop_create(NULL);
    struct bw_grpc_server_config config = {
        .address = "127.0.0.1", .limits = bw_grpc_limits_default(), .error_domain = "t.example"};
    remote.server = bw_grpc_server_create(remote.loop, &config, methods, BW_ARRAY_LEN(methods), NULL);
    if (remote.server == NULL)
        return -1;
    snprintf(remote.target, sizeof remote.target, "127.0.0.1:%u", bw_grpc_server_port(remote.server));
    remote.thread = bw_thread_start(serve, &remote, "server", NULL);
    *state = &remote;
    return 0;
}

static int stop(void **state)
{
    struct remote *remote = *state;
    bw_loop_stop(remote->loop);
    bw_thread_join(remote->thread);
    bw_grpc_server_destroy(remote->server);
    bw_loop_destroy(remote->loop);
    return 0;
}

static void one_call_in_one_line(void **state)
{
    struct remote *remote = *state;
    struct bw_grpc_client_config config = {.target = remote->target, .h2c = true};
    struct bw_arena *arena = bw_arena_create(1 << 20);
    struct bw_view reply;
    struct bw_grpc_outcome outcome;
    assert_int_equal(bw_grpc_client_unary_sync(&config, "/t.T/Echo", 5000, NULL, 0, bw_view_str("hello"),
                                               arena, &reply, &outcome),
                     BW_OK);
    assert_true(bw_view_equal_str(reply, "hello"));
    assert_int_equal(bw_grpc_client_unary_sync(&config, "/t.T/Refuse", 5000, NULL, 0, bw_view_str("x"), arena,
                                               &reply, &outcome),
                     BW_NOT_FOUND);
    assert_string_equal(outcome.message, "there is no such thing");
    assert_string_equal(outcome.details->reason, "NO_SUCH_THING");
    assert_string_equal(outcome.details->domain, "t.example");
    bw_arena_destroy(arena);
}

struct seen {
    unsigned messages, stop_after;
};

static bool on_message(struct bw_view message, void *context)
{
    struct seen *seen = context;
    BW_CHECK(bw_view_equal_str(message, "x"));
    return ++seen->messages != seen->stop_after;
}

static void kept_connection_serves_several_calls_and_streams(void **state)
{
    struct remote *remote = *state;
    struct bw_grpc_client_config config = {.target = remote->target, .h2c = true};
    struct bw_grpc_sync *sync = bw_grpc_sync_open(&config, NULL);
    assert_non_null(sync);
    struct bw_arena *arena = bw_arena_create(1 << 20);
    for (int i = 0; i < 3; i++) {
        struct seen seen = {.stop_after = 0};
        struct bw_grpc_outcome outcome;
        assert_int_equal(bw_grpc_sync_call(sync, "/t.T/Three", 5000, NULL, 0, bw_view_str("x"), arena,
                                           on_message, &seen, &outcome),
                         BW_OK);
        assert_int_equal(seen.messages, 3);
    }
    struct seen seen = {.stop_after = 1};
    struct bw_grpc_outcome outcome;
    assert_int_equal(bw_grpc_sync_call(sync, "/t.T/Three", 5000, NULL, 0, bw_view_str("x"), arena, on_message,
                                       &seen, &outcome),
                     BW_CANCELLED);
    assert_int_equal(seen.messages, 1);
    bw_arena_destroy(arena);
    bw_grpc_sync_close(sync);
}

static void server_that_is_not_there_is_an_outcome(void **state)
{
    (void)state;
    struct bw_grpc_client_config config = {.target = "127.0.0.1:1", .h2c = true};
    struct bw_arena *arena = bw_arena_create(1 << 16);
    struct bw_view reply;
    struct bw_grpc_outcome outcome;
    assert_int_equal(bw_grpc_client_unary_sync(&config, "/t.T/Echo", 5000, NULL, 0, bw_view_str("x"), arena,
                                               &reply, &outcome),
                     BW_UNAVAILABLE);
    assert_non_null(strstr(outcome.message, "refused"));
    static const char *const bad[] = {
        "localhost", ":1", "localhost:", "localhost:http", "::1:50", "a:123456"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        config.target = bad[i];
        assert_int_equal(bw_grpc_client_unary_sync(&config, "/t.T/Echo", 5000, NULL, 0, bw_view_str("x"),
                                                   arena, &reply, &outcome),
                         BW_INVALID_ARGUMENT);
    }
    bw_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_call_in_one_line, start, stop),
        cmocka_unit_test_setup_teardown(kept_connection_serves_several_calls_and_streams, start, stop),
        cmocka_unit_test(server_that_is_not_there_is_an_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
