/* One client's connection: what its session tells us, what it may do how often, and when it is over. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "grpc/server_internal.h"
#include "grpc/tls_internal.h"
#include "runtime/log.h"
#include "runtime/random.h"

enum {
    LINGER_MS = 1000, /* for the peer to read our last words */
    NOTICE_MS = 1000, /* between the shutdown notice and the final GOAWAY, unless the peer answers sooner */
    WINDOW_BYTES = 1 << 20,
    STREAM_WINDOW_BYTES = 256 << 10,
    TOKENS_PER_FRAME_SENT = 2
};

static const uint8_t keepalive_mark[8] = {'k', 'e', 'e', 'p'};
static const uint8_t leave_mark[8] = {'l', 'e', 'a', 'v', 'e'};

static struct bw_connection *connection_of(struct bw_link *link)
{
    return (struct bw_connection *)(void *)((char *)link - offsetof(struct bw_connection, link));
}

void bw_peer_release(struct bw_peer_ref *peer)
{
    if (--peer->references == 0)
        bw_free(peer);
}

/* ---- times ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The earliest time at which something could have to happen. Activity only moves it later, so it need not be
 * kept up to date: whoever wakes early looks and sleeps again. */
static uint64_t next_due_ms(struct bw_connection *connection, uint64_t now)
{
    const struct bw_grpc_limits *limits = &connection->server->config.limits;
    const struct bw_link *link = &connection->link;
    uint64_t at = UINT64_MAX;
    if (link->state == BW_LINK_ENDING || link->state == BW_LINK_LINGERING)
        return connection->end_ms + LINGER_MS;
    if (!connection->settled)
        return connection->accepted_ms + limits->handshake_timeout_ms;
    if (bw_link_blocked(link))
        at = earlier(at, link->moved_ms + limits->write_stall_ms);
    if (connection->call_count > 0)
        at = earlier(at, now + limits->write_stall_ms);
    else if (limits->idle_timeout_ms > 0)
        at = earlier(at, connection->last_call_ms + limits->idle_timeout_ms);
    if (connection->pinged)
        at = earlier(at, connection->ping_sent_ms + limits->keepalive_timeout_ms);
    else if (limits->keepalive_ms > 0)
        at = earlier(at, link->heard_ms + limits->keepalive_ms);
    if (connection->age_ms > 0)
        at = earlier(at, connection->age_ms + (connection->leaving ? limits->max_age_grace_ms : 0));
    if (connection->leaving && !connection->left)
        at = earlier(at, connection->leave_ms + NOTICE_MS);
    return at;
}

static void schedule(struct bw_connection *connection)
{
    uint64_t now = bw_loop_now_ms(connection->server->loop);
    uint64_t at = next_due_ms(connection, now);
    if (at == UINT64_MAX)
        bw_due_timer_clear(&connection->server->due, &connection->due);
    else
        bw_due_timer_set(&connection->server->due, &connection->due, at);
}

static void say_final_goaway(struct bw_connection *connection)
{
    if (connection->left)
        return;
    connection->left = true;
    nghttp2_session *session = connection->link.session;
    (void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    bw_link_wake(&connection->link);
}

/* Answers that were given long ago and that the client does not take. */
static void cut_stalled_answers(struct bw_connection *connection, uint64_t now)
{
    uint32_t stall_ms = connection->server->config.limits.write_stall_ms;
    for (struct bw_grpc_call *call = connection->calls; call != NULL; call = call->next) {
        if (call->stage == BW_CALL_ANSWERED && now >= call->answered_ms + stall_ms)
            bw_connection_reset_stream(connection, call->stream_id, NGHTTP2_CANCEL);
    }
}

static void keep_alive(struct bw_connection *connection, uint64_t now)
{
    const struct bw_grpc_limits *limits = &connection->server->config.limits;
    if (limits->keepalive_ms == 0 || connection->pinged ||
        now < connection->link.heard_ms + limits->keepalive_ms)
        return;
    connection->pinged = true;
    connection->ping_sent_ms = now;
    (void)nghttp2_submit_ping(connection->link.session, NGHTTP2_FLAG_NONE, keepalive_mark);
    bw_link_wake(&connection->link);
}

/* Why the connection must close now; NULL when it need not. */
static const char *overdue(struct bw_connection *connection, uint64_t now)
{
    const struct bw_grpc_limits *limits = &connection->server->config.limits;
    const struct bw_link *link = &connection->link;
    if (link->state == BW_LINK_ENDING || link->state == BW_LINK_LINGERING)
        return now >= connection->end_ms + LINGER_MS ? "the connection was ended" : NULL;
    if (!connection->settled && now >= connection->accepted_ms + limits->handshake_timeout_ms)
        return "the handshake took too long";
    if (bw_link_blocked(link) && now >= link->moved_ms + limits->write_stall_ms)
        return "the client takes no output";
    if (connection->pinged && now >= connection->ping_sent_ms + limits->keepalive_timeout_ms)
        return "the client does not answer pings";
    if (connection->leaving && connection->age_ms > 0 && now >= connection->age_ms + limits->max_age_grace_ms)
        return "the connection is too old";
    return NULL;
}

static void on_due(struct bw_due *due)
{
    struct bw_connection *connection =
        (struct bw_connection *)(void *)((char *)due - offsetof(struct bw_connection, due));
    uint64_t now = bw_loop_now_ms(connection->server->loop);
    const struct bw_grpc_limits *limits = &connection->server->config.limits;
    if (connection->pinged && connection->link.heard_ms > connection->ping_sent_ms)
        connection->pinged = false;
    const char *why = overdue(connection, now);
    if (why != NULL) {
        bw_connection_drop(connection, BW_UNAVAILABLE, why);
        return;
    }
    if (connection->link.state == BW_LINK_OPEN && connection->settled) {
        cut_stalled_answers(connection, now);
        keep_alive(connection, now);
        bool idle = connection->call_count == 0 && limits->idle_timeout_ms > 0 &&
                    now >= connection->last_call_ms + limits->idle_timeout_ms;
        bool old = connection->age_ms > 0 && now >= connection->age_ms;
        if (connection->leaving && now >= connection->leave_ms + NOTICE_MS)
            say_final_goaway(connection);
        else if ((idle || old) && !connection->leaving)
            bw_connection_leave(connection);
        if (idle && connection->leaving) /* it has been told and still does not go */
            connection->last_call_ms = now;
    }
    schedule(connection);
}

/* ---- ends ---- */

void bw_connection_leave(struct bw_connection *connection)
{
    if (connection->leaving)
        return;
    if (connection->link.state != BW_LINK_OPEN) {
        bw_connection_drop(connection, BW_UNAVAILABLE, "the server is shut down");
        return;
    }
    connection->leaving = true;
    connection->leave_ms = bw_loop_now_ms(connection->server->loop);
    /* What the client sent before it saw the notice has arrived once it answers this ping; then the last
     * stream is known (RFC 9113 6.8). */
    (void)nghttp2_submit_shutdown_notice(connection->link.session);
    (void)nghttp2_submit_ping(connection->link.session, NGHTTP2_FLAG_NONE, leave_mark);
    bw_link_wake(&connection->link);
    schedule(connection);
}

void bw_connection_shut(struct bw_connection *connection)
{
    if (connection->link.state != BW_LINK_OPEN) {
        bw_connection_drop(connection, BW_UNAVAILABLE, "the server is shut down");
        return;
    }
    for (struct bw_grpc_call *call = connection->calls; call != NULL; call = call->next)
        bw_call_answer(call, BW_UNAVAILABLE, "the server is shut down");
    say_final_goaway(connection);
    struct bw_error err;
    (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "the server is shut down");
    bw_link_end(&connection->link, &err);
}

void bw_connection_drop(struct bw_connection *connection, enum bw_code code, const char *why)
{
    struct bw_error err;
    (void)bw_fail(&err, code, NULL, "%s", why);
    bw_link_abort(&connection->link, &err);
}

void bw_connection_punish(struct bw_connection *connection, const char *why)
{
    if (connection->punished)
        return;
    connection->punished = true;
    connection->server->counts.connections_punished++;
    bw_log(BW_LOG_WARN, "grpc_connection_punished", "why=\"%s\" peer=%s calls=%zu", why,
           connection->peer->peer.spiffe_id ? connection->peer->peer.spiffe_id : "-", connection->call_count);
    nghttp2_session *session = connection->link.session;
    (void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                                NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why, strlen(why));
    struct bw_error err;
    (void)bw_fail(&err, BW_RESOURCE_EXHAUSTED, NULL, "%s", why);
    bw_link_end(&connection->link, &err);
    /* Their work stops now; their memory goes with the connection, since the session still knows them. */
    for (struct bw_grpc_call *call = connection->calls; call != NULL; call = call->next)
        bw_call_tell_end(call, BW_CANCELLED);
}

void bw_connection_call_done(struct bw_connection *connection)
{
    connection->call_count--;
    connection->last_call_ms = bw_loop_now_ms(connection->server->loop);
}

void bw_connection_reset_stream(struct bw_connection *connection, int32_t stream_id, uint32_t error_code)
{
    (void)nghttp2_submit_rst_stream(connection->link.session, NGHTTP2_FLAG_NONE, stream_id, error_code);
    bw_link_wake(&connection->link);
}

/* ---- what the session tells ---- */

static void count_reset(struct bw_connection *connection)
{
    if (!bw_bucket_take(&connection->resets, bw_server_now_us(connection->server)))
        bw_connection_punish(connection, "too_many_resets");
}

static void count_control(struct bw_connection *connection)
{
    if (!bw_bucket_take(&connection->control, bw_server_now_us(connection->server)))
        bw_connection_punish(connection, "too_many_control_frames");
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data)
{
    (void)session;
    struct bw_connection *connection = user_data;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_RST_STREAM: /* has a bucket of its own */
        break;
    case NGHTTP2_DATA:
        if (hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM))
            count_control(connection);
        break;
    default:
        count_control(connection);
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct bw_connection *connection = user_data;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST || connection->punished)
        return 0;
    if (connection->call_count >= connection->server->config.limits.max_streams) {
        /* More than we said we take: streams that were reset still have handlers at work. */
        connection->server->counts.calls_refused++;
        bw_connection_reset_stream(connection, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    struct bw_grpc_call *call = bw_call_create(connection, frame->hd.stream_id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    if (connection->call_count == 1)
        schedule(connection);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
    (void)flags;
    (void)user_data;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers of a client mean nothing in gRPC */
    struct bw_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL)
        bw_call_header(call, bw_view_of(name, name_len), bw_view_of(value, value_len));
    return 0;
}

static void on_ping(struct bw_connection *connection, const nghttp2_frame *frame)
{
    if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        if (!bw_bucket_take(&connection->pings, bw_server_now_us(connection->server)))
            bw_connection_punish(connection, "too_many_pings");
    } else if (memcmp(frame->ping.opaque_data, leave_mark, sizeof leave_mark) == 0 && connection->leaving) {
        say_final_goaway(connection);
    } else {
        connection->pinged = false;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct bw_connection *connection = user_data;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        struct bw_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call == NULL || connection->punished)
            break;
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            bw_call_headers_done(call);
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            bw_call_client_done(call);
        break;
    }
    case NGHTTP2_RST_STREAM:
        count_reset(connection);
        break;
    case NGHTTP2_SETTINGS:
        if (!connection->settled && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
            connection->settled = true;
            schedule(connection);
        }
        break;
    case NGHTTP2_PING:
        on_ping(connection, frame);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user_data)
{
    (void)flags;
    struct bw_connection *connection = user_data;
    struct bw_grpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL && !connection->punished)
        bw_call_data(call, bw_view_of(data, len));
    (void)nghttp2_session_consume_connection(session, len);
    if (call != NULL && call->paused)
        call->unread_bytes += len;
    else
        (void)nghttp2_session_consume_stream(session, stream_id, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data)
{
    (void)error_code;
    (void)user_data;
    struct bw_grpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL)
        bw_call_stream_closed(call);
    return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct bw_connection *connection = user_data;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            count_reset(connection);
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    /* A client that gets something may well probe its round-trip time and open its windows. */
    connection->pings.tokens = connection->pings.burst;
    if (connection->control.tokens + TOKENS_PER_FRAME_SENT <= connection->control.burst)
        connection->control.tokens += TOKENS_PER_FRAME_SENT;
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        struct bw_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call == NULL)
            return 0;
        call->trailers_sent = true;
        if (!call->client_done) /* the rest of the request is of no use (RFC 9113 8.1) */
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                            NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* A frame of a type nobody knows: counted when it began (on_begin_frame), and that is all. */
static int ignore_extension(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
                            void *user_data)
{
    (void)session;
    (void)payload;
    (void)hd;
    (void)user_data;
    return NGHTTP2_ERR_CANCEL;
}

void bw_connection_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, ignore_extension);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
}

/* ---- what the link tells ---- */

static enum bw_code open_connection(struct bw_link *link, nghttp2_session **out, struct bw_error *err)
{
    struct bw_connection *connection = connection_of(link);
    struct bw_grpc_server *server = connection->server;
    const struct bw_grpc_limits *limits = &server->config.limits;
    if (link->peer_spiffe_id[0] != '\0') {
        memcpy(connection->peer->spiffe_id, link->peer_spiffe_id, sizeof link->peer_spiffe_id);
        connection->peer->peer.spiffe_id = connection->peer->spiffe_id;
    }
    nghttp2_session *session;
    if (nghttp2_session_server_new2(&session, server->callbacks, connection, server->options) != 0)
        return bw_fail_memory(err);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->max_header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int rc =
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]);
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
    if (rc != 0) {
        nghttp2_session_del(session);
        return bw_fail_memory(err);
    }
    *out = session;
    return BW_OK;
}

static void on_waiting(struct bw_link *link)
{
    struct bw_connection *connection = connection_of(link);
    bool ending = link->state == BW_LINK_ENDING || link->state == BW_LINK_LINGERING;
    if (ending && connection->end_ms == 0)
        connection->end_ms = bw_loop_now_ms(connection->server->loop);
    schedule(connection);
}

static void on_closed(struct bw_link *link, const struct bw_error *why)
{
    struct bw_connection *connection = connection_of(link);
    struct bw_grpc_server *server = connection->server;
    if (link->session == NULL) {
        server->counts.handshake_failures++;
        bw_log(BW_LOG_INFO, "grpc_handshake_failed", "why=\"%s\"", why->code != BW_OK ? why->show : "closed");
    }
    while (connection->calls != NULL) {
        struct bw_grpc_call *call = connection->calls;
        call->holds++; /* until it has been taken off the list */
        bw_call_stream_closed(call);
        connection->calls = call->next;
        if (call->next != NULL)
            call->next->previous = NULL;
        call->connection = NULL;
        call->previous = call->next = NULL;
        bw_grpc_call_release(call);
    }
    connection->call_count = 0;
    bw_due_timer_clear(&server->due, &connection->due);
    bw_due_unreserve(&server->due.heap);
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    server->counts.connections--;
    bw_link_finish(link);
    bw_server_less(server);
}

static void on_released(struct bw_link *link)
{
    struct bw_connection *connection = connection_of(link);
    struct bw_grpc_server *server = connection->server;
    bw_peer_release(connection->peer);
    bw_free(connection);
    bw_server_let_go(server);
}

static const struct bw_link_owner link_owner = {
    .open = open_connection, .waiting = on_waiting, .closed = on_closed, .released = on_released};

/* ---- accepting ---- */

static void describe_address(const struct sockaddr *address, char *text, size_t size)
{
    const void *bytes = address->sa_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
                            : (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (inet_ntop(address->sa_family, bytes, text, (socklen_t)size) == NULL)
        text[0] = '\0';
}

static void init_limits(struct bw_connection *connection, const struct bw_grpc_limits *limits)
{
    struct bw_grpc_server *server = connection->server;
    uint64_t now_us = bw_server_now_us(server), now = bw_loop_now_ms(server->loop);
    bw_bucket_init(&connection->resets, limits->resets, bw_bucket_interval(limits->resets_per_s), now_us);
    bw_bucket_init(&connection->control, limits->control_frames,
                   bw_bucket_interval(limits->control_frames_per_s), now_us);
    bw_bucket_init(&connection->pings, limits->pings, (uint64_t)limits->ping_interval_ms * 1000, now_us);
    connection->accepted_ms = connection->last_call_ms = now;
    if (limits->max_age_ms > 0) {
        /* A tenth either way, or all clients that came together would leave together. */
        uint64_t tenth = limits->max_age_ms / 10;
        connection->age_ms = now + limits->max_age_ms - tenth + bw_random_below(2 * tenth + 1);
    }
}

enum bw_code bw_connection_accept(struct bw_grpc_server *server, int fd, const struct sockaddr *address,
                                  struct bw_error *err)
{
    struct bw_transport transport = {.fd = fd};
    struct bw_connection *connection = bw_calloc(1, sizeof *connection);
    struct bw_peer_ref *peer = bw_calloc(1, sizeof *peer);
    bool ready = connection != NULL && peer != NULL;
    if (ready && server->config.tls != NULL) {
        transport.ssl = bw_tls_open(server->config.tls, fd);
        ready = transport.ssl != NULL;
    }
    if (!ready || bw_due_reserve(&server->due.heap, NULL) != BW_OK) {
        bw_transport_finish(&transport);
        bw_free(connection);
        bw_free(peer);
        return bw_fail_memory(err);
    }
    peer->references = 1;
    peer->peer.tls = transport.ssl != NULL;
    describe_address(address, peer->peer.address, sizeof peer->peer.address);
    connection->peer = peer;
    connection->server = server;
    connection->due.fire = on_due;
    init_limits(connection, &server->config.limits);
    enum bw_code code =
        bw_link_init(&connection->link, server->loop, &link_owner, server->scratch, transport, false, err);
    if (code != BW_OK) {
        bw_due_unreserve(&server->due.heap);
        bw_free(connection);
        bw_free(peer);
        return code;
    }
    connection->next = server->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    server->connections = connection;
    server->counts.connections++;
    server->lives++;
    schedule(connection);
    return BW_OK;
}
