/* Every single allocation of ours fails once, in server and client at the same time: nothing leaks, nothing
 * hangs, and the call never claims success it did not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "check_alloc.h"
#include "grpc/client.h"
#include "grpc/server.h"
#include "runtime/log.h"

enum { LARGE = 200000 };

struct scene {
    bool compress;
    size_t bytes;
    bool done, good;
};

static void echo(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    const struct scene *scene = context;
    bw_grpc_compress(call, scene->compress);
    bw_grpc_reply(call, message);
}

static uint8_t payload[LARGE];

static void on_done(const struct bw_grpc_outcome *outcome, struct bw_view reply, void *context)
{
    struct scene *scene = context;
    scene->done = true;
    scene->good = outcome->code == BW_OK && bw_view_equal(reply, bw_view_of(payload, scene->bytes));
}

static bool call_once(struct scene *scene, struct bw_loop *loop)
{
    const struct bw_grpc_method methods[] = {{.path = "/t.T/Echo", .message = echo, .context = scene}};
    struct bw_grpc_server_config server_config = {.address = "127.0.0.1", .limits = bw_grpc_limits_default()};
    struct bw_error err;
    struct bw_grpc_server *server = bw_grpc_server_create(loop, &server_config, methods, 1, &err);
    if (server == NULL)
        return false;
    char target[64];
    snprintf(target, sizeof target, "127.0.0.1:%u", bw_grpc_server_port(server));
    struct bw_grpc_client_config client_config = {.target = target, .h2c = true, .compress = scene->compress};
    struct bw_grpc_client *client = bw_grpc_client_create(loop, &client_config, &err);
    scene->done = scene->good = false;
    if (client != NULL &&
        bw_grpc_client_unary(client, "/t.T/Echo", 10000, NULL, 0, bw_view_of(payload, scene->bytes), on_done,
                             scene, &err) == BW_OK) {
        while (!scene->done)
            bw_loop_turn(loop, true);
    }
    bw_grpc_client_destroy(client);
    bw_grpc_server_destroy(server);
    return scene->good;
}

static bool whole_life(void *context)
{
    struct bw_loop *loop = bw_loop_create(NULL);
    if (loop == NULL)
        return false;
    bool good = call_once(context, loop);
    bw_loop_destroy(loop);
    return good;
}

static void small_call_survives_any_failed_allocation(void **state)
{
    (void)state;
    struct scene scene = {.bytes = 5};
    assert_true(bw_fail_each_allocation(whole_life, &scene, true) > 30);
}

static void large_call_survives_any_failed_allocation(void **state)
{
    (void)state;
    struct scene scene = {.bytes = LARGE};
    assert_true(bw_fail_each_allocation(whole_life, &scene, true) > 30);
}

static void compressed_call_survives_any_failed_allocation(void **state)
{
    (void)state;
    struct scene scene = {.bytes = LARGE, .compress = true};
    assert_true(bw_fail_each_allocation(whole_life, &scene, true) > 30);
}

int main(void)
{
    bw_log_configure(BW_LOG_ERROR, false);
    for (size_t i = 0; i < LARGE; i++)
        payload[i] = (uint8_t)(i * 11 + i / 256);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_call_survives_any_failed_allocation),
        cmocka_unit_test(large_call_survives_any_failed_allocation),
        cmocka_unit_test(compressed_call_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
