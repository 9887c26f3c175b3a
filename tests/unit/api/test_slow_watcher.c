/* A watcher that does not read: it is cut off with a status that says so, what waits for it is bounded, and
 * nobody else notices, not even another call on the same connection. The client is nghttp2 itself, so that it
 * can leave its stream's window closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "rig.h"

enum { WAITING_MAX = 1 << 20 }; /* of changes, for one watcher; plus what is on its way */

static struct rig rig;
static char meeting[64];

struct stream {
    int32_t id;
    size_t bytes; /* of its messages, with their prefixes */
    char status[8], text[256];
    struct bw_buf request;
    bool over;
};

/* A connection of its own. Of `watch` only what its window takes at the beginning is read until `reads`. */
struct slow {
    int fd;
    nghttp2_session *session;
    struct stream watch, other;
    bool reads;
    size_t unread;
};

static struct slow slow;

static struct stream *stream_of(int32_t id)
{
    return id == slow.watch.id ? &slow.watch : &slow.other;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *context)
{
    (void)flags, (void)data, (void)context;
    stream_of(id)->bytes += len;
    if (id == slow.watch.id && !slow.reads)
        slow.unread += len;
    else
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    (void)session, (void)flags, (void)context;
    struct stream *stream = stream_of(frame->hd.stream_id);
    if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
        snprintf(stream->status, sizeof stream->status, "%.*s", (int)value_len, (const char *)value);
    if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0)
        snprintf(stream->text, sizeof stream->text, "%.*s", (int)value_len, (const char *)value);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)session, (void)error, (void)context;
    stream_of(id)->over = true;
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
                            nghttp2_data_source *source, void *context)
{
    (void)session, (void)id, (void)context;
    struct stream *stream = source->ptr;
    assert_true(stream->request.len <= len);
    memcpy(buf, stream->request.data, stream->request.len);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)stream->request.len;
}

static void slow_open(void)
{
    memset(&slow, 0, sizeof slow);
    slow.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(bw_grpc_server_port(rig.as[RIG_APP].server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(slow.fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(slow.fd, F_SETFL, O_NONBLOCK), 0);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    assert_int_equal(nghttp2_option_new(&options), 0);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_auto_window_update(options, 1);
    assert_int_equal(nghttp2_session_client_new2(&slow.session, callbacks, NULL, options), 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(slow.session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
    /* The connection has room, so that only the stream stands still. */
    assert_int_equal(nghttp2_session_set_local_window_size(slow.session, NGHTTP2_FLAG_NONE, 0, 32 << 20), 0);
}

static void slow_close(void)
{
    nghttp2_session_del(slow.session);
    close(slow.fd);
    bw_buf_finish(&slow.watch.request);
    bw_buf_finish(&slow.other.request);
}

static void call(struct stream *stream, const char *path, const ProtobufCMessage *request)
{
    static const uint8_t prefix[5] = {0};
    bw_buf_append(&stream->request, prefix, sizeof prefix);
    assert_int_equal(bw_wire_encode(request, &stream->request), BW_OK);
    stream->request.data[4] = (uint8_t)(stream->request.len - 5);
    const char *const fields[][2] = {{":method", "POST"},
                                     {":scheme", "http"},
                                     {":path", path},
                                     {":authority", "localhost"},
                                     {"content-type", "application/grpc"},
                                     {"te", "trailers"}};
    nghttp2_nv nv[6];
    for (size_t i = 0; i < 6; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[i][0], (uint8_t *)(uintptr_t)fields[i][1],
                             strlen(fields[i][0]), strlen(fields[i][1]), NGHTTP2_NV_FLAG_NONE};
    const nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_request};
    stream->id = nghttp2_submit_request(slow.session, NULL, nv, 6, &body, NULL);
    assert_true(stream->id > 0);
}

/* Everything goes both ways that can. */
static void pump(void)
{
    const uint8_t *out;
    for (ssize_t n; (n = nghttp2_session_mem_send(slow.session, &out)) > 0;)
        assert_int_equal(write(slow.fd, out, (size_t)n), n);
    rig_run_ms(&rig, 2);
    uint8_t in[65536];
    for (ssize_t n; (n = read(slow.fd, in, sizeof in)) > 0;)
        assert_int_equal(nghttp2_session_mem_recv(slow.session, in, (size_t)n), n);
}

static void pump_until(const bool *flag)
{
    for (int i = 0; i < 3000 && !*flag; i++)
        pump();
    assert_true(*flag);
}

/* ---- the meeting ---- */

static void make_meeting(void)
{
    Bailiwick__V1__CreateMeetingRequest create = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "dr.x@chu-lyon.example";
    create.tenant = "chu-lyon";
    create.request_id = rig_uuid(&rig);
    create.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *made =
        rig_call(&rig, RIG_APP, "MeetingService/CreateMeeting", &create,
                 &bailiwick__v1__create_meeting_response__descriptor);
    assert_non_null(made);
    snprintf(meeting, sizeof meeting, "%s", made->meeting->meeting_id);
}

/* Somebody comes and goes; every watcher is told. */
static void come_and_go(void)
{
    static Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME};
    Bailiwick__V1__JoinMeetingRequest join = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    bw_arena_reset(rig.arena);
    rig.world.mono_ms += 1000; /* no burst */
    rig.world.wall_ms += 1000;
    join.tenant = "chu-lyon";
    join.meeting_id = meeting;
    join.request_id = rig_uuid(&rig);
    join.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    join.country = "FR";
    join.capable = schemes;
    join.n_capable = 1;
    const Bailiwick__V1__JoinMeetingResponse *joined =
        rig_call(&rig, RIG_APP, "MeetingService/JoinMeeting", &join,
                 &bailiwick__v1__join_meeting_response__descriptor);
    if (joined == NULL) {
        fail_msg("%s", rig.message);
        return;
    }
    Bailiwick__V1__LeaveMeetingRequest leave = BAILIWICK__V1__LEAVE_MEETING_REQUEST__INIT;
    leave.tenant = "chu-lyon";
    leave.meeting_id = meeting;
    leave.request_id = rig_uuid(&rig);
    leave.roster_entry = joined->admission->roster_entry;
    leave.reason = BAILIWICK__V1__LEAVE_REASON__LEAVE_REASON_LEFT;
    if (rig_call(&rig, RIG_APP, "MeetingService/LeaveMeeting", &leave,
                 &bailiwick__v1__leave_meeting_response__descriptor) == NULL)
        fail_msg("%s", rig.message);
}

/* ---- a watcher that reads ---- */

struct reader {
    size_t bytes, messages;
    bool over;
};

static void on_message(struct bw_grpc_client_call *from, struct bw_view message, void *context)
{
    (void)from;
    struct reader *reader = context;
    reader->bytes += message.len + 5;
    reader->messages++;
}

static void on_finished(struct bw_grpc_client_call *from, const struct bw_grpc_outcome *outcome,
                        void *context)
{
    (void)from, (void)outcome;
    ((struct reader *)context)->over = true;
}

static const struct bw_grpc_client_events reading = {.message = on_message, .finished = on_finished};

static struct bw_grpc_client_call *read_along(struct reader *reader,
                                              const Bailiwick__V1__WatchMeetingRequest *request)
{
    struct bw_buf bytes = {0};
    struct bw_error err;
    assert_int_equal(bw_wire_encode(&request->base, &bytes), BW_OK);
    struct bw_grpc_client_call *watch =
        bw_grpc_client_call(rig.as[RIG_APP].client, "/bailiwick.v1.MeetingService/WatchMeeting", 0, NULL, 0,
                            &reading, reader, &err);
    assert_non_null(watch);
    assert_int_equal(bw_grpc_client_send(watch, bw_buf_view(&bytes)), BW_OK);
    bw_grpc_client_half_close(watch);
    bw_buf_finish(&bytes);
    return watch;
}

/* ---- */

static void who_does_not_read_is_cut_off_and_nobody_else(void **state)
{
    (void)state;
    make_meeting();
    Bailiwick__V1__WatchMeetingRequest request = BAILIWICK__V1__WATCH_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    struct reader reader = {.bytes = 0};
    struct bw_grpc_client_call *watch = read_along(&reader, &request);
    slow_open();
    call(&slow.watch, "/bailiwick.v1.MeetingService/WatchMeeting", &request.base);
    for (int i = 0; i < 10; i++)
        pump();
    assert_true(slow.watch.bytes > 0); /* the state; it fits the stream's window */

    /* Twice as much happens as may wait. */
    for (unsigned i = 0; reader.bytes < 2 * WAITING_MAX; i++) {
        assert_true(i < 100000);
        come_and_go();
        if (i % 256 == 0)
            pump();
    }
    assert_false(reader.over);

    /* Another call on the very same connection is answered meanwhile. */
    Bailiwick__V1__GetMeetingRequest get = BAILIWICK__V1__GET_MEETING_REQUEST__INIT;
    get.tenant = "chu-lyon";
    get.meeting_id = meeting;
    call(&slow.other, "/bailiwick.v1.MeetingService/GetMeeting", &get.base);
    pump_until(&slow.other.over);
    assert_string_equal(slow.other.status, "0");
    assert_true(slow.other.bytes > 50);
    assert_false(slow.watch.over);

    /* It begins to read: what had waited, and then why that is all. */
    slow.reads = true;
    nghttp2_session_consume(slow.session, slow.watch.id, slow.unread);
    pump_until(&slow.watch.over);
    assert_string_equal(slow.watch.status, "8"); /* RESOURCE_EXHAUSTED */
    assert_non_null(strstr(slow.watch.text, "watch again"));
    assert_true(slow.watch.bytes > 65535); /* it was the waiting, not the window */
    if (slow.watch.bytes > WAITING_MAX + 2 * 65536)
        fail_msg("%zu bytes had waited for it", slow.watch.bytes);

    /* The one that reads has missed nothing. */
    size_t before = reader.messages;
    come_and_go();
    rig_run_ms(&rig, 30);
    assert_true(reader.messages > before);
    assert_false(reader.over);
    bw_grpc_client_cancel(watch);
    rig_run_ms(&rig, 10);
    slow_close();
    rig_run_ms(&rig, 10);
}

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    assert_true(bw_headless_publish(&rig.world, "chu-lyon", 1, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_finish(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_does_not_read_is_cut_off_and_nobody_else, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
