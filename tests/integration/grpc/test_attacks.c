#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "raw.h"

enum { END_HEADERS = NGHTTP2_FLAG_END_HEADERS, END_STREAM = NGHTTP2_FLAG_END_STREAM };

static struct rig rig;
static struct raw raw;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    raw_close(&raw);
    rig_finish(&rig);
    return 0;
}

static void start(void)
{
    rig_serve(&rig);
    raw_open(&raw, &rig);
}

static void assert_punished(const char *why)
{
    raw_until(&raw, &raw.goaway);
    assert_int_equal(raw.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(raw.goaway_text, why);
    raw_until(&raw, &raw.closed);
    assert_int_equal(bw_grpc_server_counts(rig.server).connections_punished, 1);
}

/* The server is as good as before for everybody else. */
static void assert_serving(void)
{
    rig_connect(&rig);
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("still here"), 5000);
    assert_int_equal(call.code, BW_OK);
    rig_call_finish(&call);
}

static bool says(const char *text)
{
    return strstr(raw.text, text) != NULL;
}

static void rapid_reset_is_stopped_and_the_work_with_it(void **state)
{
    (void)state;
    start();
    for (uint32_t id = 1; id < 4000; id += 2) {
        raw_headers(&raw, id, "/t.T/Never", END_HEADERS, NULL);
        raw_message(&raw, id, "x", END_STREAM);
        raw_reset(&raw, id);
    }
    assert_punished("too_many_resets");
    assert_true(rig.opened < 1000);
    assert_int_equal(rig.ended, rig.opened);
    assert_int_equal(bw_grpc_server_counts(rig.server).calls, 0);
    assert_serving();
}

static void resets_provoked_from_the_server_are_stopped(void **state)
{
    (void)state;
    start();
    const char *const extra[] = {"content-length", "1", NULL};
    for (uint32_t id = 1; id < 4000; id += 2) {
        raw_headers(&raw, id, "/t.T/Never", END_HEADERS, extra);
        raw_message(&raw, id, "more than one byte", 0); /* makes nghttp2 reset the stream */
    }
    assert_punished("too_many_resets");
    assert_int_equal(rig.ended, rig.opened);
    assert_serving();
}

static void ping_flood_is_stopped(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 100; i++)
        raw_frame(&raw, NGHTTP2_PING, 0, 0, "12345678", 8);
    assert_punished("too_many_pings");
    assert_serving();
}

static void floods_of_frames_without_calls_are_stopped(void **state)
{
    (void)state;
    rig_serve(&rig);
    static const struct {
        uint8_t type;
        const char *payload;
        size_t len;
    } floods[] = {{NGHTTP2_SETTINGS, "", 0},
                  {NGHTTP2_PRIORITY, "\0\0\0\0\x10", 5},
                  {0xfa, "unknown", 7},
                  {NGHTTP2_WINDOW_UPDATE, "\0\0\0\x01", 4}};
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++) {
        raw_open(&raw, &rig);
        uint32_t stream = floods[i].type == NGHTTP2_PRIORITY ? 1 : 0;
        for (int j = 0; j < 20000; j++)
            raw_frame(&raw, floods[i].type, 0, stream, floods[i].payload, floods[i].len);
        raw_until(&raw, &raw.goaway);
        assert_int_equal(raw.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
        raw_until(&raw, &raw.closed);
        if (i + 1 < sizeof floods / sizeof floods[0])
            raw_close(&raw);
    }
    assert_serving();
}

static void empty_data_flood_is_stopped(void **state)
{
    (void)state;
    start();
    raw_headers(&raw, 1, "/t.T/Chat", END_HEADERS, NULL);
    for (int i = 0; i < 20000; i++)
        raw_frame(&raw, NGHTTP2_DATA, 0, 1, NULL, 0);
    assert_punished("too_many_control_frames");
    assert_int_equal(rig.ended, 1);
}

static void continuation_flood_is_stopped(void **state)
{
    (void)state;
    start();
    raw_headers(&raw, 1, "/t.T/Echo", 0, NULL);
    for (int i = 0; i < 1000; i++)
        raw_frame(&raw, NGHTTP2_CONTINUATION, 0, 1, "\x00\x01x\x01y", 5);
    raw_until(&raw, &raw.closed);
    assert_int_equal(rig.opened, 0);
    assert_serving();
}

static void headers_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    start();
    static char big[9000];
    memset(big, 'x', sizeof big - 1);
    const char *const extra[] = {"x-big", big, NULL};
    raw_headers(&raw, 1, "/t.T/Echo", END_HEADERS, extra);
    raw_message(&raw, 1, "x", END_STREAM);
    raw_until_count(&raw, &raw.headers, 1);
    assert_true(says("grpc-status: 8\n"));
    assert_int_equal(rig.opened, 0);
    assert_serving();
}

static void hpack_bomb_is_refused(void **state)
{
    (void)state;
    start();
    static char big[2900];
    memset(big, 'x', sizeof big - 1);
    const char *extra[2 * 50 + 1];
    for (size_t i = 0; i < 50; i++) { /* one entry of 3 KB, then 49 references to it */
        extra[2 * i] = "x-big";
        extra[2 * i + 1] = big;
    }
    extra[100] = NULL;
    raw_headers(&raw, 1, "/t.T/Echo", END_HEADERS | END_STREAM, extra);
    assert_true(raw.out.len < 8000);
    raw_until_count(&raw, &raw.headers, 1);
    assert_true(says("grpc-status: 8\n"));
    assert_int_equal(rig.opened, 0);
}

static void handlers_count_until_they_are_done(void **state)
{
    (void)state;
    rig.server_config.limits.max_streams = 4;
    start();
    for (uint32_t id = 1; id < 9; id += 2) {
        raw_headers(&raw, id, "/t.T/Keep", END_HEADERS, NULL);
        raw_message(&raw, id, "x", END_STREAM);
        raw_reset(&raw, id);
    }
    raw_flush(&raw);
    rig_run_until_count(&rig, &rig.ended, 4);
    assert_int_equal(bw_grpc_server_counts(rig.server).calls, 4);
    raw_headers(&raw, 9, "/t.T/Echo", END_HEADERS, NULL);
    raw_message(&raw, 9, "x", END_STREAM);
    raw_until_count(&raw, &raw.resets, 1);
    assert_int_equal(raw.last_reset, NGHTTP2_REFUSED_STREAM);
    for (size_t i = 0; i < rig.kept_count; i++)
        bw_grpc_call_release(rig.kept[i]);
    assert_int_equal(bw_grpc_server_counts(rig.server).calls, 0);
    raw_headers(&raw, 11, "/t.T/Echo", END_HEADERS, NULL);
    raw_message(&raw, 11, "x", END_STREAM);
    raw_until_count(&raw, &raw.headers, 2);
    assert_true(says("grpc-status: 0\n"));
}

static void client_that_opens_no_window_loses_the_answer(void **state)
{
    (void)state;
    rig.server_config.limits.write_stall_ms = 100;
    rig_serve(&rig);
    raw_connect(&raw, &rig);
    bw_buf_append_str(&raw.out, NGHTTP2_CLIENT_MAGIC);
    raw_frame(&raw, NGHTTP2_SETTINGS, 0, 0, "\0\x04\0\0\0\0", 6); /* initial window 0 */
    raw_headers(&raw, 1, "/t.T/Echo", END_HEADERS, NULL);
    raw_message(&raw, 1, "x", END_STREAM);
    raw_until_count(&raw, &raw.resets, 1);
    assert_int_equal(raw.last_reset, NGHTTP2_CANCEL);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.ended_why, BW_CANCELLED);
}

static void client_that_never_reads_is_dropped(void **state)
{
    (void)state;
    rig.server_config.limits.write_stall_ms = 200;
    rig.server_config.limits.connection_output_bytes = 64 << 20; /* more than the kernel buffers */
    rig_serve(&rig);
    raw_connect(&raw, &rig);
    int small = 4096;
    setsockopt(raw.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    bw_buf_append_str(&raw.out, NGHTTP2_CLIENT_MAGIC);
    raw_frame(&raw, NGHTTP2_SETTINGS, 0, 0, "\0\x04\x7f\xff\xff\xff", 6);
    raw_frame(&raw, NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\0\0\0", 4);
    for (uint32_t id = 1; id < 401; id += 2) {
        raw_headers(&raw, id, "/t.T/Large", END_HEADERS, NULL);
        raw_frame(&raw, NGHTTP2_DATA, END_STREAM, id, "\0\0\0\0\x04\0\x10\0\0", 9); /* 1 MiB each */
    }
    raw_flush_deaf(&raw);
    while (bw_grpc_server_counts(rig.server).connections > 0)
        rig_turn(&rig);
    assert_int_equal(rig.ended, rig.opened);
    assert_int_equal(bw_grpc_server_counts(rig.server).calls, 0);
    assert_serving();
}

static void server_keeps_deadlines_by_its_own_clock(void **state)
{
    (void)state;
    start();
    const char *const extra[] = {"grpc-timeout", "30m", NULL};
    raw_headers(&raw, 1, "/t.T/Never", END_HEADERS, extra);
    raw_message(&raw, 1, "x", END_STREAM);
    raw_until_count(&raw, &raw.headers, 1);
    assert_true(says("grpc-status: 4\n"));
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.ended_why, BW_DEADLINE_EXCEEDED);
}

static void expect(const char *const *extra, const char *body, size_t body_len, const char *answer)
{
    raw_open(&raw, &rig);
    raw_headers(&raw, 1, "/t.T/Echo", END_HEADERS, extra);
    raw_frame(&raw, NGHTTP2_DATA, END_STREAM, 1, body, body_len);
    raw_until_count(&raw, &raw.headers, 1);
    if (!says(answer))
        fail_msg("wanted \"%s\", got \"%s\"", answer, raw.text);
}

static void malformed_requests_get_the_answer_grpc_prescribes(void **state)
{
    (void)state;
    static const struct {
        const char *extra[3];
        const char *body;
        size_t body_len;
        const char *answer;
    } cases[] = {
        {{"content-type", "application/json"}, "{}", 2, ":status: 415\n"},
        {{"content-type", "application/grpc-web"}, "", 0, ":status: 415\n"},
        {{"content-type", "application/grpcx"}, "", 0, ":status: 415\n"},
        {{"grpc-encoding", "snappy"}, "\0\0\0\0\1x", 6, "grpc-accept-encoding: identity,gzip\n"},
        {{"grpc-encoding", "snappy"}, "\0\0\0\0\1x", 6, "grpc-status: 12\n"},
        {{"grpc-timeout", "123456789S"}, "\0\0\0\0\1x", 6, "grpc-status: 13\n"},
        {{"x-a-bin", "***"}, "\0\0\0\0\1x", 6, "grpc-status: 13\n"},
        {{NULL}, "\1\0\0\0\1x", 6, "grpc-status: 13\n"},
        {{NULL}, "\7\0\0\0\1x", 6, "grpc-status: 13\n"},
        {{NULL}, "\0\0\0\0\2x", 6, "grpc-status: 13\n"},
        {{NULL}, "\0\xff\xff\xff\xff", 5, "grpc-status: 8\n"},
        {{NULL}, "", 0, "grpc-status: 12\n"},
        {{"grpc-encoding", "gzip"}, "\1\0\0\0\1x", 6, "grpc-status: 13\n"},
    };
    rig_serve(&rig);
    size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        expect(cases[i].extra, cases[i].body, cases[i].body_len, cases[i].answer);
        if (i + 1 < count)
            raw_close(&raw);
    }
    assert_int_equal(rig.messages, 0);
}

static void variants_that_are_allowed_are_served(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"content-type", "application/grpc+proto"},
        {"content-type", "application/grpc;charset=utf-8"},
        {"grpc-timeout", "99999999H"},
        {"grpc-encoding", "identity"},
        {"x-a-bin", "AAE,AAE="},
        {"te", "trailers"},
    };
    rig_serve(&rig);
    size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        raw_open(&raw, &rig);
        raw_headers(&raw, 1, "/t.T/Echo", END_HEADERS, cases[i]);
        raw_message(&raw, 1, "x", END_STREAM);
        raw_until_count(&raw, &raw.headers, 2);
        assert_true(says("grpc-status: 0\n"));
        if (i + 1 < count)
            raw_close(&raw);
    }
    assert_int_equal(rig.messages, count);
}

static void early_answer_resets_the_rest_of_the_request_without_error(void **state)
{
    (void)state;
    start();
    raw_headers(&raw, 1, "/t.T/Quit", END_HEADERS, NULL);
    raw_until_count(&raw, &raw.resets, 1);
    assert_int_equal(raw.last_reset, NGHTTP2_NO_ERROR);
    assert_true(says("grpc-status: 10\n"));
}

static void what_is_no_http2_is_closed(void **state)
{
    (void)state;
    rig_serve(&rig);
    raw_connect(&raw, &rig);
    bw_buf_append_str(&raw.out, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    raw_until(&raw, &raw.closed);
    raw_close(&raw);
    rig.server_config.limits.handshake_timeout_ms = 50;
    bw_grpc_server_destroy(rig.server);
    rig_serve(&rig);
    raw_connect(&raw, &rig);
    bw_buf_append(&raw.out, NGHTTP2_CLIENT_MAGIC, 10); /* and no more */
    raw_until(&raw, &raw.closed);
    assert_int_equal(rig.opened, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(rapid_reset_is_stopped_and_the_work_with_it),
        CASE(resets_provoked_from_the_server_are_stopped),
        CASE(ping_flood_is_stopped),
        CASE(floods_of_frames_without_calls_are_stopped),
        CASE(empty_data_flood_is_stopped),
        CASE(continuation_flood_is_stopped),
        CASE(headers_beyond_the_limit_are_refused),
        CASE(hpack_bomb_is_refused),
        CASE(handlers_count_until_they_are_done),
        CASE(client_that_opens_no_window_loses_the_answer),
        CASE(client_that_never_reads_is_dropped),
        CASE(server_keeps_deadlines_by_its_own_clock),
        CASE(malformed_requests_get_the_answer_grpc_prescribes),
        CASE(variants_that_are_allowed_are_served),
        CASE(early_answer_resets_the_rest_of_the_request_without_error),
        CASE(what_is_no_http2_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
