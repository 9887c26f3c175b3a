/* A client's calls: what goes out, what comes in, and how each ends. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "grpc/client_internal.h"
#include "grpc/compression.h"
#include "grpc/timeout.h"

enum {
    ARENA_BYTES = 1 << 20,
    MAX_HEADER_BYTES = 65536,
    HEADER_OVERHEAD_BYTES = 32,
    MAX_FIELDS = 64,
    LOW_BYTES = 64 << 10
};

/* ---- life ---- */

static void release(struct bw_grpc_client_call *call)
{
    bw_framer_finish(&call->framer);
    bw_buf_finish(&call->out);
    bw_arena_destroy(call->arena);
    bw_free(call);
}

void bw_client_call_free(struct bw_grpc_client_call *call)
{
    struct bw_grpc_client *client = call->client;
    bw_due_timer_clear(&client->due, &call->due);
    bw_due_unreserve(&client->due.heap);
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        client->calls = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    client->output_bytes -= call->out.len - call->out_at;
    call->unlinked = true;
    if (!call->telling)
        release(call);
}

static void queue_done(struct bw_grpc_client_call *call)
{
    struct bw_grpc_client *client = call->client;
    if (call->queued)
        return;
    call->queued = true;
    bw_due_timer_clear(&client->due, &call->due);
    if (client->done_last != NULL)
        client->done_last->next_done = call;
    else
        client->done_first = call;
    client->done_last = call;
    bw_client_settle_later(client);
}

static void decide(struct bw_grpc_client_call *call, enum bw_code code, const char *why)
{
    if (call->decided)
        return;
    call->decided = true;
    call->code = code;
    call->why = why;
}

void bw_client_call_fail(struct bw_grpc_client_call *call, enum bw_code code, const char *format, ...)
{
    if (call->decided)
        return;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *kept = bw_arena_strdup(call->arena, text);
    decide(call, code, kept ? kept : "");
    if (!call->closed && call->client->session != NULL) {
        (void)nghttp2_submit_rst_stream(call->client->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                        NGHTTP2_CANCEL);
        bw_client_wake(call->client);
    }
    queue_done(call);
}

/* What the response says, or what its absence means. */
static void conclude(struct bw_grpc_client_call *call, uint32_t error_code)
{
    if (call->grpc_status >= 0) {
        enum bw_code code =
            call->grpc_status <= BW_UNAUTHENTICATED ? (enum bw_code)call->grpc_status : BW_UNKNOWN;
        if (code == BW_OK && !bw_framer_idle(&call->framer))
            bw_client_call_fail(call, BW_INTERNAL, "the response ends inside a message");
        else
            decide(call, code, call->message ? call->message : "");
    } else if (call->http_status != 0 &&
               (call->http_status != 200 || call->content != BW_GRPC_CONTENT_GRPC)) {
        enum bw_code code = call->http_status == 200 ? BW_UNKNOWN : bw_grpc_code_of_http(call->http_status);
        bw_client_call_fail(call, code, "the server answers with HTTP status %u and no gRPC",
                            call->http_status);
    } else if (error_code != 0) {
        bw_client_call_fail(call, bw_grpc_code_of_reset(error_code),
                            "the server has reset the call (HTTP/2 error %u)", error_code);
    } else {
        bw_client_call_fail(call, BW_INTERNAL, "the server has ended the call without a status");
    }
}

void bw_client_call_closed(struct bw_grpc_client_call *call, uint32_t error_code)
{
    call->closed = true;
    conclude(call, error_code);
    if (call->told)
        bw_client_call_free(call);
    else
        queue_done(call);
}

void bw_client_call_tell(struct bw_grpc_client_call *call)
{
    struct bw_grpc_details details;
    struct bw_grpc_outcome outcome = {.code = call->code, .message = call->why, .status = call->details};
    bool own = call->grpc_status >= 0 && call->code == (enum bw_code)call->grpc_status;
    if (!own)
        outcome.status = (struct bw_view){0};
    else if (call->details.len > 0 &&
             bw_grpc_details_decode(call->details, call->arena, &details, NULL) == BW_OK)
        outcome.details = &details;
    call->told = call->telling = true;
    call->events->finished(call, &outcome, call->context);
    call->telling = false;
    if (call->unlinked)
        release(call);
    else if (call->closed)
        bw_client_call_free(call);
}

static void on_due(struct bw_due *due)
{
    struct bw_grpc_client_call *call =
        (struct bw_grpc_client_call *)(void *)((char *)due - offsetof(struct bw_grpc_client_call, due));
    bw_client_call_fail(call, BW_DEADLINE_EXCEEDED, "the deadline of the call has passed");
}

/* ---- starting ---- */

struct fields {
    nghttp2_nv nv[MAX_FIELDS];
    size_t count;
    bool full;
};

static void add(struct fields *fields, const char *name, struct bw_view value)
{
    union {
        const void *in;
        void *out;
    } n = {.in = name}, v = {.in = value.data};
    if (fields->count == MAX_FIELDS)
        fields->full = true;
    else
        fields->nv[fields->count++] =
            (nghttp2_nv){n.out, v.out, strlen(name), value.len, NGHTTP2_NV_FLAG_NONE};
}

static enum bw_code submit(struct bw_grpc_client_call *call, const char *path, uint64_t deadline_ms,
                           const struct bw_grpc_metadata *metadata, size_t metadata_count,
                           struct bw_error *err)
{
    struct bw_grpc_client *client = call->client;
    struct fields fields = {.count = 0};
    char timeout[BW_GRPC_TIMEOUT_TEXT_SIZE];
    add(&fields, ":method", bw_view_str("POST"));
    add(&fields, ":scheme", bw_view_str(client->config.tls ? "https" : "http"));
    add(&fields, ":path", bw_view_str(path));
    add(&fields, ":authority", bw_view_str(client->authority));
    add(&fields, "te", bw_view_str("trailers"));
    add(&fields, "content-type", bw_view_str("application/grpc"));
    add(&fields, "user-agent", bw_view_str(client->user_agent));
    add(&fields, "grpc-accept-encoding", bw_view_str(BW_GRPC_ACCEPT_ENCODING));
    if (call->compress)
        add(&fields, "grpc-encoding", bw_view_str("gzip"));
    if (deadline_ms > 0) {
        bw_grpc_timeout_format(deadline_ms, timeout);
        add(&fields, "grpc-timeout", bw_view_str(timeout));
    }
    struct bw_metadata outgoing = {0};
    for (size_t i = 0; i < metadata_count; i++) {
        enum bw_code code = bw_metadata_add_outgoing(&outgoing, call->arena, bw_view_str(metadata[i].name),
                                                     metadata[i].value);
        if (code == BW_INVALID_ARGUMENT)
            return bw_fail(err, code, NULL, "metadata %s: not a name or value that gRPC can carry",
                           metadata[i].name);
        if (code != BW_OK)
            return bw_fail_memory(err);
    }
    for (const struct bw_metadata_entry *entry = outgoing.first; entry != NULL; entry = entry->next)
        add(&fields, (const char *)entry->name.data, entry->value);
    if (fields.full)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "too much metadata: at most %d entries",
                       MAX_FIELDS - 10);
    nghttp2_data_provider provider = {.read_callback = bw_client_call_read};
    int32_t id = nghttp2_submit_request(client->session, NULL, fields.nv, fields.count, &provider, call);
    if (id < 0)
        return bw_fail(err, id == NGHTTP2_ERR_NOMEM ? BW_RESOURCE_EXHAUSTED : BW_UNAVAILABLE, NULL,
                       "cannot start a call: %s", nghttp2_strerror(id));
    call->stream_id = id;
    return BW_OK;
}

struct bw_grpc_client_call *bw_grpc_client_call(struct bw_grpc_client *client, const char *path,
                                                uint64_t deadline_ms, const struct bw_grpc_metadata *metadata,
                                                size_t metadata_count,
                                                const struct bw_grpc_client_events *events, void *context,
                                                struct bw_error *err)
{
    if (client->over || client->leaving) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "%s",
                      client->over ? "the connection is closed" : "the server is going away");
        return NULL;
    }
    struct bw_grpc_client_call *call = bw_calloc(1, sizeof *call);
    if (call == NULL || bw_due_reserve(&client->due.heap, err) != BW_OK) {
        bw_free(call);
        (void)bw_fail_memory(err);
        return NULL;
    }
    call->client = client;
    call->events = events;
    call->context = context;
    call->grpc_status = -1;
    call->due.fire = on_due;
    call->compress = client->config.compress;
    bw_framer_init(&call->framer, client->config.max_reply_bytes);
    call->next = client->calls;
    if (call->next != NULL)
        call->next->previous = call;
    client->calls = call;
    call->arena = bw_arena_create(ARENA_BYTES);
    enum bw_code code =
        call->arena ? submit(call, path, deadline_ms, metadata, metadata_count, err) : bw_fail_memory(err);
    if (code != BW_OK) {
        bw_client_call_free(call);
        return NULL;
    }
    if (deadline_ms > 0)
        bw_due_timer_set(&client->due, &call->due, bw_loop_now_ms(client->loop) + deadline_ms);
    bw_client_wake(client);
    return call;
}

/* ---- sending ---- */

ssize_t bw_client_call_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)source;
    (void)user_data;
    struct bw_grpc_client_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t waiting = call->out.len - call->out_at;
    size_t n = waiting < length ? waiting : length;
    if (n > 0)
        memcpy(buf, call->out.data + call->out_at, n);
    call->out_at += n;
    call->client->output_bytes -= n;
    if (n == waiting) {
        bw_buf_clear(&call->out);
        call->out_at = 0;
    } else if (call->out_at > call->out.len / 2) {
        bw_buf_consume(&call->out, call->out_at);
        call->out_at = 0;
    }
    if (call->above_low && waiting - n < LOW_BYTES && !call->decided) {
        call->above_low = false;
        if (call->events->writable != NULL) {
            call->client->in_callback = true;
            call->events->writable(call, call->context);
            call->client->in_callback = false;
        }
    }
    if (call->out.len > call->out_at)
        return (ssize_t)n;
    if (call->half_closed) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (n == 0) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

static void push(struct bw_grpc_client_call *call)
{
    if (call->deferred) {
        call->deferred = false;
        (void)nghttp2_session_resume_data(call->client->session, call->stream_id);
    }
    bw_client_wake(call->client);
}

enum bw_code bw_grpc_client_send(struct bw_grpc_client_call *call, struct bw_view message)
{
    if (call->decided || call->half_closed || call->closed)
        return BW_CANCELLED;
    if (message.len > UINT32_MAX)
        return BW_RESOURCE_EXHAUSTED;
    struct bw_buf deflated = {0};
    if (call->compress) {
        if (bw_gzip_deflate(message, &deflated, NULL) != BW_OK) {
            bw_buf_finish(&deflated);
            return BW_RESOURCE_EXHAUSTED;
        }
        message = bw_buf_view(&deflated);
    }
    size_t framed = BW_FRAME_PREFIX_BYTES + message.len;
    enum bw_code code = BW_OK;
    if (call->client->output_bytes + framed > call->client->config.max_output_bytes ||
        !bw_buf_reserve(&call->out, framed)) {
        call->out.failed = false;
        code = BW_RESOURCE_EXHAUSTED;
    } else {
        uint8_t prefix[BW_FRAME_PREFIX_BYTES];
        bw_frame_prefix(prefix, call->compress, (uint32_t)message.len);
        bw_buf_append(&call->out, prefix, sizeof prefix);
        bw_buf_append(&call->out, message.data, message.len);
        call->client->output_bytes += framed;
        if (call->out.len - call->out_at > LOW_BYTES)
            call->above_low = true;
        push(call);
    }
    bw_buf_finish(&deflated);
    return code;
}

void bw_grpc_client_half_close(struct bw_grpc_client_call *call)
{
    if (call->half_closed || call->decided || call->closed)
        return;
    call->half_closed = true;
    push(call);
}

void bw_grpc_client_cancel(struct bw_grpc_client_call *call)
{
    bw_client_call_fail(call, BW_CANCELLED, "the call was cancelled");
}

size_t bw_grpc_client_send_pending_bytes(const struct bw_grpc_client_call *call)
{
    return call->out.len - call->out_at;
}

/* ---- receiving ---- */

static bool is(struct bw_view name, const char *text)
{
    return bw_view_equal_str(name, text);
}

/* Digits alone, up to four; -1 otherwise. */
static int number(struct bw_view value)
{
    if (value.len == 0 || value.len > 4)
        return -1;
    int n = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return -1;
        n = n * 10 + (value.data[i] - '0');
    }
    return n;
}

static bool take_known(struct bw_grpc_client_call *call, struct bw_view name, struct bw_view value)
{
    if (is(name, ":status")) {
        int status = number(value);
        call->http_status = status > 0 ? (unsigned)status : 0;
    } else if (is(name, "content-type")) {
        call->content = bw_grpc_content_type(value);
    } else if (is(name, "grpc-encoding")) {
        call->encoding = bw_grpc_encoding_of(value);
    } else if (is(name, "grpc-status")) {
        int status = number(value);
        call->grpc_status = status >= 0 ? status : BW_UNKNOWN;
    } else if (is(name, "grpc-message")) {
        call->message = bw_grpc_message_unescape(value, call->arena);
    } else if (is(name, "grpc-status-details-bin")) {
        if (bw_grpc_base64_decode(value, call->arena, &call->details) != BW_OK)
            call->details = (struct bw_view){0};
    } else {
        return is(name, "grpc-accept-encoding");
    }
    return true;
}

void bw_client_call_header(struct bw_grpc_client_call *call, struct bw_view name, struct bw_view value,
                           bool trailers)
{
    if (call->decided)
        return;
    call->header_bytes += name.len + value.len + HEADER_OVERHEAD_BYTES;
    if (call->header_bytes > MAX_HEADER_BYTES) {
        bw_client_call_fail(call, BW_RESOURCE_EXHAUSTED, "response headers exceed %d bytes",
                            MAX_HEADER_BYTES);
        return;
    }
    if (take_known(call, name, value))
        return;
    struct bw_metadata *into = trailers ? &call->trailers : &call->headers;
    if (bw_metadata_add(into, call->arena, name, value) == BW_RESOURCE_EXHAUSTED)
        bw_client_call_fail(call, BW_RESOURCE_EXHAUSTED, "out of memory");
}

void bw_client_call_headers_done(struct bw_grpc_client_call *call, bool last)
{
    if (call->decided || call->headers_told)
        return;
    if (call->http_status < 200) {
        call->http_status = 0; /* informational; the response is still to come */
        return;
    }
    call->headers_told = true;
    if (last && call->trailers.first == NULL) {
        /* A response of headers alone: they are its trailers. */
        call->trailers = call->headers;
        call->headers = (struct bw_metadata){0};
        return;
    }
    if (call->http_status != 200 || call->content != BW_GRPC_CONTENT_GRPC)
        return; /* its body is not for us; the end says what it means */
    if (call->events->headers != NULL)
        call->events->headers(call, call->context);
}

static void take_frame(struct bw_grpc_client_call *call, const struct bw_frame *frame)
{
    if (!frame->compressed) {
        call->events->message(call, frame->message, call->context);
        return;
    }
    if (call->encoding != BW_GRPC_GZIP) {
        bw_client_call_fail(call, BW_INTERNAL, "a message is compressed in a way the response does not name");
        return;
    }
    struct bw_buf inflated = {0};
    struct bw_error err;
    enum bw_code code = bw_gzip_inflate(frame->message, call->framer.max_bytes, &inflated, &err);
    if (code != BW_OK)
        bw_client_call_fail(call, code, "%s", err.show);
    else
        call->events->message(call, bw_buf_view(&inflated), call->context);
    bw_buf_finish(&inflated);
}

void bw_client_call_data(struct bw_grpc_client_call *call, struct bw_view data)
{
    if (call->http_status != 200 || call->content != BW_GRPC_CONTENT_GRPC)
        return;
    while (data.len > 0 && !call->decided) {
        bool complete;
        struct bw_frame frame;
        struct bw_error err;
        enum bw_code code = bw_framer_feed(&call->framer, &data, &complete, &frame, &err);
        if (code != BW_OK)
            bw_client_call_fail(call, code, "%s", err.show);
        else if (complete)
            take_frame(call, &frame);
    }
}

static bool find(const struct bw_metadata *metadata, const char *name, size_t nth, struct bw_view *value)
{
    const struct bw_metadata_entry *entry = bw_metadata_find(metadata, bw_view_str(name), nth);
    if (entry != NULL)
        *value = entry->value;
    return entry != NULL;
}

bool bw_grpc_client_header(const struct bw_grpc_client_call *call, const char *name, size_t nth,
                           struct bw_view *value)
{
    return find(&call->headers, name, nth, value);
}

bool bw_grpc_client_trailer(const struct bw_grpc_client_call *call, const char *name, size_t nth,
                            struct bw_view *value)
{
    return find(&call->trailers, name, nth, value);
}
