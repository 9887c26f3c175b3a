/* What arrives for a call: headers, messages, the end, and what becomes of the call then. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "grpc/compression.h"
#include "grpc/server_internal.h"
#include "grpc/timeout.h"
#include "runtime/clock.h"

enum {
    HEADER_OVERHEAD_BYTES = 32, /* RFC 9113 6.5.2 */
    FREE_CALLS = 1024,
    KEPT_OUT_BYTES = 4096
};

/* ---- life ---- */

static struct bw_grpc_call *allocate(struct bw_grpc_server *server)
{
    struct bw_grpc_call *call = server->free_calls;
    if (call != NULL) {
        server->free_calls = call->next;
        server->free_call_count--;
        struct bw_arena *arena = call->arena;
        struct bw_buf out = call->out;
        *call = (struct bw_grpc_call){.arena = arena, .out = out};
        return call;
    }
    call = bw_calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->arena = bw_arena_create(server->arena_cap_bytes);
    if (call->arena == NULL || bw_due_reserve(&server->due.heap, NULL) != BW_OK) {
        bw_arena_destroy(call->arena);
        bw_free(call);
        return NULL;
    }
    return call;
}

static void deallocate(struct bw_grpc_server *server, struct bw_grpc_call *call)
{
    if (server->free_call_count < FREE_CALLS && !server->destroyed) {
        bw_arena_reset(call->arena);
        if (call->out.cap > KEPT_OUT_BYTES)
            bw_buf_finish(&call->out);
        bw_buf_clear(&call->out);
        call->next = server->free_calls;
        server->free_calls = call;
        server->free_call_count++;
        return;
    }
    bw_due_unreserve(&server->due.heap);
    bw_arena_destroy(call->arena);
    bw_buf_finish(&call->out);
    bw_free(call);
}

void bw_call_free_all(struct bw_grpc_server *server)
{
    while (server->free_calls != NULL) {
        struct bw_grpc_call *call = server->free_calls;
        server->free_calls = call->next;
        bw_due_unreserve(&server->due.heap);
        bw_arena_destroy(call->arena);
        bw_buf_finish(&call->out);
        bw_free(call);
    }
}

struct bw_grpc_call *bw_call_create(struct bw_connection *connection, int32_t stream_id)
{
    struct bw_grpc_server *server = connection->server;
    struct bw_grpc_call *call = allocate(server);
    if (call == NULL)
        return NULL;
    call->server = server;
    call->connection = connection;
    call->stream_id = stream_id;
    call->due.fire = bw_call_expired;
    call->began_ns = server->config.ended != NULL ? bw_clock_mono_ns() : 0;
    call->peer = connection->peer;
    call->peer->references++;
    call->next = connection->calls;
    if (call->next != NULL)
        call->next->previous = call;
    connection->calls = call;
    connection->call_count++;
    server->counts.calls++;
    server->counts.calls_started++;
    server->lives++;
    return call;
}

void bw_call_settle(struct bw_grpc_call *call)
{
    if (call->stage != BW_CALL_GONE || (call->started && !call->ended) || call->holds > 0 || call->in_handler)
        return;
    struct bw_grpc_server *server = call->server;
    struct bw_connection *connection = call->connection;
    if (connection != NULL) {
        if (call->previous != NULL)
            call->previous->next = call->next;
        else
            connection->calls = call->next;
        if (call->next != NULL)
            call->next->previous = call->previous;
        bw_connection_call_done(connection);
    }
    bw_framer_finish(&call->framer);
    bw_peer_release(call->peer);
    deallocate(server, call);
    server->counts.calls--;
    bw_server_less(server);
    bw_server_let_go(server);
}

void bw_call_tell_end(struct bw_grpc_call *call, enum bw_code why)
{
    atomic_store_explicit(&call->over, true, memory_order_release);
    if (!call->started || call->ended)
        return;
    call->ended = true;
    if (call->method->ended != NULL) {
        call->in_handler = true;
        call->method->ended(call, why, call->method->context);
        call->in_handler = false;
    }
}

/* What the connection counts of an unfinished request. */
static void count_kept(struct bw_grpc_call *call, size_t bytes)
{
    if (call->connection != NULL)
        call->connection->input_bytes += bytes - call->kept_bytes;
    call->kept_bytes = bytes;
}

void bw_call_stream_closed(struct bw_grpc_call *call)
{
    if (call->stage == BW_CALL_GONE)
        return;
    call->stage = BW_CALL_GONE;
    bw_due_timer_clear(&call->server->due, &call->due);
    count_kept(call, 0);
    call->connection->output_bytes -= bw_response_waiting(call);
    bw_buf_clear(&call->out);
    call->out_at = 0;
    const struct bw_grpc_server_config *config = &call->server->config;
    if (config->ended != NULL)
        config->ended(call->method, call->trailers_sent ? call->status : BW_CANCELLED,
                      bw_clock_mono_ns() - call->began_ns, config->ended_context);
    bw_call_tell_end(call, call->trailers_sent ? BW_OK : BW_CANCELLED);
    bw_call_settle(call);
}

void bw_call_answer(struct bw_grpc_call *call, enum bw_code code, const char *format, ...)
{
    if (call->stage >= BW_CALL_ANSWERED)
        return;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    count_kept(call, 0);
    bw_response_set_status(call, code, text, NULL);
    bw_response_finish(call);
    bw_call_tell_end(call, code);
}

void bw_call_expired(struct bw_due *due)
{
    struct bw_grpc_call *call =
        (struct bw_grpc_call *)(void *)((char *)due - offsetof(struct bw_grpc_call, due));
    bw_call_answer(call, BW_DEADLINE_EXCEEDED, "the deadline of the call has passed");
}

/* ---- headers ---- */

static bool is(struct bw_view name, const char *text)
{
    return bw_view_equal_str(name, text);
}

static void set_timeout(struct bw_grpc_call *call, struct bw_view value)
{
    uint64_t ms;
    if (!bw_grpc_timeout_parse(value, &ms))
        call->timeout_bad = true;
    else
        call->deadline_ms = bw_loop_now_ms(call->server->loop) + ms;
}

static void take_path(struct bw_grpc_call *call, struct bw_view value)
{
    const struct bw_method_entry *entry = bw_server_find(call->server, value);
    if (entry != NULL) {
        call->method = entry->method;
        call->method_open = entry->open;
        return;
    }
    /* For the error text, of which no more is needed. */
    size_t len = value.len < 128 ? value.len : 128;
    call->path = bw_view_of(bw_arena_memdup(call->arena, value.data, len), len);
}

/* True when gRPC or HTTP/2 use the header themselves. */
static bool take_known(struct bw_grpc_call *call, struct bw_view name, struct bw_view value)
{
    switch (name.data[0]) {
    case ':':
        if (is(name, ":path"))
            take_path(call, value);
        else if (is(name, ":method"))
            call->method_post = is(value, "POST");
        return true;
    case 'c':
        if (is(name, "content-type")) {
            call->content = bw_grpc_content_type(value);
            return true;
        }
        return is(name, "content-length");
    case 'g':
        if (name.len < 5 || memcmp(name.data, "grpc-", 5) != 0)
            return false;
        if (is(name, "grpc-timeout"))
            set_timeout(call, value);
        else if (is(name, "grpc-encoding"))
            call->request_encoding = bw_grpc_encoding_of(value);
        else if (is(name, "grpc-accept-encoding"))
            call->client_gzip |= bw_grpc_accepts_gzip(value);
        return true;
    case 'h':
        return is(name, "host");
    case 't':
        return is(name, "te");
    default:
        return false;
    }
}

void bw_call_header(struct bw_grpc_call *call, struct bw_view name, struct bw_view value)
{
    if (call->stage != BW_CALL_HEADERS || call->headers_too_large || name.len == 0)
        return;
    call->header_bytes += name.len + value.len + HEADER_OVERHEAD_BYTES;
    if (call->header_bytes > call->server->config.limits.max_header_bytes) {
        call->headers_too_large = true;
        return;
    }
    if (!take_known(call, name, value) && bw_metadata_add(&call->metadata, call->arena, name, value) != BW_OK)
        call->headers_bad = true;
}

/* What is wrong with the request as far as its headers tell; true when nothing is. */
static bool check_headers(struct bw_grpc_call *call)
{
    if (call->headers_too_large) { /* first: what came after the limit has not been looked at */
        bw_call_answer(call, BW_RESOURCE_EXHAUSTED, "request headers exceed %zu bytes",
                       call->server->config.limits.max_header_bytes);
    } else if (call->content != BW_GRPC_CONTENT_GRPC) {
        bw_response_http(call, "415");
    } else if (!call->method_post) {
        bw_response_http(call, "405");
    } else if (call->method == NULL) {
        bw_call_answer(call, BW_UNIMPLEMENTED, "unknown method %.*s", (int)call->path.len,
                       call->path.data ? (const char *)call->path.data : "");
    } else if (call->request_encoding == BW_GRPC_ENCODING_OTHER) {
        call->headers_bad |= bw_metadata_add(&call->headers, call->arena, bw_view_str("grpc-accept-encoding"),
                                             bw_view_str(BW_GRPC_ACCEPT_ENCODING)) != BW_OK;
        bw_call_answer(call, BW_UNIMPLEMENTED, "message encoding not supported; this server accepts %s",
                       BW_GRPC_ACCEPT_ENCODING);
    } else if (call->timeout_bad) {
        bw_call_answer(call, BW_INTERNAL, "malformed grpc-timeout");
    } else if (call->headers_bad) {
        bw_call_answer(call, BW_INTERNAL, "malformed binary metadata: a -bin value is not base64");
    } else if (call->server->counts.calls > call->server->config.limits.max_calls) {
        bw_call_answer(call, BW_UNAVAILABLE, "too many calls at once; try again");
    } else {
        return true;
    }
    return false;
}

static bool admit(struct bw_grpc_call *call)
{
    const struct bw_grpc_server_config *config = &call->server->config;
    if (config->admit == NULL || call->method_open)
        return true;
    struct bw_error err = {.code = BW_OK};
    enum bw_code code = config->admit(call, call->method, config->admit_context, &err);
    if (code == BW_OK)
        return true;
    struct bw_grpc_details details = {.reason = err.reason};
    bw_response_set_status(call, code, err.code == code ? err.show : "not allowed",
                           err.reason ? &details : NULL);
    bw_response_finish(call);
    return false;
}

static void run(struct bw_grpc_call *call, void (*function)(struct bw_grpc_call *call, void *context))
{
    if (function == NULL || call->stage != BW_CALL_RUNNING)
        return;
    call->in_handler = true;
    function(call, call->method->context);
    call->in_handler = false;
}

void bw_call_headers_done(struct bw_grpc_call *call)
{
    if (call->stage != BW_CALL_HEADERS)
        return;
    if (!check_headers(call) || !admit(call)) {
        call->server->counts.calls_refused++;
        return;
    }
    const struct bw_grpc_limits *limits = &call->server->config.limits;
    size_t max_bytes =
        call->method->max_request_bytes ? call->method->max_request_bytes : limits->max_request_bytes;
    bw_framer_init(&call->framer, max_bytes);
    call->stage = BW_CALL_RUNNING;
    call->started = true;
    if (call->deadline_ms != 0)
        bw_due_timer_set(&call->server->due, &call->due, call->deadline_ms);
    run(call, call->method->opened);
}

/* ---- messages ---- */

static void hand_over(struct bw_grpc_call *call, struct bw_view message)
{
    call->in_handler = true;
    call->method->message(call, message, call->method->context);
    call->in_handler = false;
}

static void take_message(struct bw_grpc_call *call, struct bw_view message)
{
    call->messages++;
    if (call->method->client_streams) {
        hand_over(call, message);
    } else if (call->messages > 1) {
        bw_call_answer(call, BW_UNIMPLEMENTED, "%s takes one message", call->method->path);
    } else {
        const uint8_t *copy = bw_arena_memdup(call->arena, message.data, message.len);
        if (copy == NULL)
            bw_call_answer(call, BW_RESOURCE_EXHAUSTED, "out of memory");
        call->request = bw_view_of(copy, copy ? message.len : 0);
    }
}

static void take_frame(struct bw_grpc_call *call, const struct bw_frame *frame)
{
    call->message_compressed = frame->compressed;
    if (!frame->compressed) {
        take_message(call, frame->message);
        return;
    }
    if (call->request_encoding != BW_GRPC_GZIP) {
        bw_call_answer(call, BW_INTERNAL,
                       "a message is marked compressed but grpc-encoding names no compression");
        return;
    }
    struct bw_buf inflated = {0};
    struct bw_error err;
    enum bw_code code = bw_gzip_inflate(frame->message, call->framer.max_bytes, &inflated, &err);
    if (code != BW_OK)
        bw_call_answer(call, code, "%s", err.show);
    else
        take_message(call, bw_buf_view(&inflated));
    bw_buf_finish(&inflated);
}

void bw_call_data(struct bw_grpc_call *call, struct bw_view data)
{
    while (data.len > 0 && call->stage == BW_CALL_RUNNING) {
        bool complete;
        struct bw_frame frame;
        struct bw_error err;
        enum bw_code code = bw_framer_feed(&call->framer, &data, &complete, &frame, &err);
        if (code != BW_OK)
            bw_call_answer(call, code, "%s", err.show);
        else if (complete)
            take_frame(call, &frame);
    }
    if (call->stage != BW_CALL_RUNNING)
        return;
    count_kept(call, bw_framer_kept_bytes(&call->framer) + call->request.len);
    if (call->connection->input_bytes > call->server->config.limits.connection_input_bytes)
        bw_call_answer(call, BW_RESOURCE_EXHAUSTED, "too many unfinished messages on this connection");
}

void bw_call_client_done(struct bw_grpc_call *call)
{
    call->client_done = true;
    if (call->stage != BW_CALL_RUNNING)
        return;
    if (!bw_framer_idle(&call->framer)) {
        bw_call_answer(call, BW_INTERNAL, "the request ends inside a message");
        return;
    }
    if (!call->method->client_streams) {
        if (call->messages == 0) {
            bw_call_answer(call, BW_UNIMPLEMENTED, "%s takes one message; none came", call->method->path);
            return;
        }
        count_kept(call, 0);
        hand_over(call, call->request);
    }
    run(call, call->method->half_closed);
}
