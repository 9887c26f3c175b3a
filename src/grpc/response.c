/* What leaves for a call: headers, messages, trailers. */
#include <string.h>

#include "base/check.h"
#include "grpc/compression.h"
#include "grpc/server_internal.h"

enum { MAX_FIELDS = 64 };

/* Texts that live for ever need not be copied by nghttp2. */
#define STATIC_FIELD(field_name, field_value)                                                                \
    {                                                                                                        \
        (uint8_t *)(field_name), (uint8_t *)(field_value), sizeof(field_name) - 1, sizeof(field_value) - 1,  \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                                     \
    }

static const nghttp2_nv status_200 = STATIC_FIELD(":status", "200");
static const nghttp2_nv content_grpc = STATIC_FIELD("content-type", "application/grpc");
static const nghttp2_nv encoding_gzip = STATIC_FIELD("grpc-encoding", "gzip");

static const nghttp2_nv grpc_statuses[] = {
#define X(name, number, category) STATIC_FIELD("grpc-status", #number),
    BW_CODE_MAP(X)
#undef X
};

struct fields {
    nghttp2_nv nv[MAX_FIELDS];
    size_t count;
};

static void add(struct fields *fields, nghttp2_nv field)
{
    if (fields->count < MAX_FIELDS)
        fields->nv[fields->count++] = field;
}

static void add_copied(struct fields *fields, const char *name, struct bw_view value)
{
    union {
        const void *in;
        void *out;
    } n = {.in = name}, v = {.in = value.data};
    add(fields, (nghttp2_nv){n.out, v.out, strlen(name), value.len, NGHTTP2_NV_FLAG_NONE});
}

static void add_metadata(struct fields *fields, const struct bw_metadata *metadata)
{
    for (const struct bw_metadata_entry *entry = metadata->first; entry != NULL; entry = entry->next)
        add_copied(fields, (const char *)entry->name.data, entry->value);
}

static void add_status(struct fields *fields, const struct bw_grpc_call *call)
{
    size_t code = (size_t)call->status < BW_ARRAY_LEN(grpc_statuses) ? (size_t)call->status : BW_UNKNOWN;
    add(fields, grpc_statuses[code]);
    if (call->status_message != NULL)
        add_copied(fields, "grpc-message", bw_view_str(call->status_message));
    if (call->details.len > 0)
        add_copied(fields, "grpc-status-details-bin", call->details);
    add_metadata(fields, &call->trailers);
}

size_t bw_response_waiting(const struct bw_grpc_call *call)
{
    return call->out.len - call->out_at;
}

static int submit_trailers(struct bw_grpc_call *call, nghttp2_session *session)
{
    struct fields fields = {.count = 0};
    add_status(&fields, call);
    return nghttp2_submit_trailer(session, call->stream_id, fields.nv, fields.count);
}

static void tell_writable(struct bw_grpc_call *call)
{
    if (!call->above_low || bw_response_waiting(call) >= call->server->config.limits.call_low_bytes)
        return;
    call->above_low = false;
    if (call->stage != BW_CALL_RUNNING || call->method->writable == NULL)
        return;
    call->in_handler = true;
    call->method->writable(call, call->method->context);
    call->in_handler = false;
}

static ssize_t read_response(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
                             uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)source;
    (void)user_data;
    struct bw_grpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t waiting = bw_response_waiting(call);
    size_t n = waiting < length ? waiting : length;
    if (n > 0)
        memcpy(buf, call->out.data + call->out_at, n);
    call->out_at += n;
    call->connection->output_bytes -= n;
    if (n == waiting) {
        bw_buf_clear(&call->out);
        call->out_at = 0;
    } else if (call->out_at > call->out.len / 2) {
        bw_buf_consume(&call->out, call->out_at);
        call->out_at = 0;
    }
    tell_writable(call); /* may send more, or finish */
    if (bw_response_waiting(call) > 0)
        return (ssize_t)n;
    if (call->stage == BW_CALL_ANSWERED) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(call, session) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    } else if (n == 0) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

/* Tells nghttp2 and the loop that the call has something to say. */
static void push(struct bw_grpc_call *call)
{
    if (call->deferred) {
        call->deferred = false;
        (void)nghttp2_session_resume_data(call->connection->link.session, call->stream_id);
    }
    bw_link_wake(&call->connection->link);
}

static void submit(struct bw_grpc_call *call, const struct fields *fields, bool body)
{
    call->headers_sent = true;
    nghttp2_data_provider provider = {.read_callback = read_response};
    int rc = nghttp2_submit_response(call->connection->link.session, call->stream_id, fields->nv,
                                     fields->count, body ? &provider : NULL);
    /* Out of memory, or the stream is on its way out already; then this does nothing. */
    if (rc != 0)
        bw_connection_reset_stream(call->connection, call->stream_id, NGHTTP2_INTERNAL_ERROR);
    bw_link_wake(&call->connection->link);
}

void bw_response_start(struct bw_grpc_call *call)
{
    if (call->headers_sent)
        return;
    struct fields fields = {.count = 0};
    add(&fields, status_200);
    add(&fields, content_grpc);
    const struct bw_grpc_limits *limits = &call->server->config.limits;
    if (call->client_gzip && (call->compress || limits->compress_min_bytes > 0)) {
        add(&fields, encoding_gzip);
        call->compress_declared = true;
    }
    add_metadata(&fields, &call->headers);
    submit(call, &fields, true);
}

static bool should_compress(const struct bw_grpc_call *call, struct bw_view message)
{
    size_t min_bytes = call->server->config.limits.compress_min_bytes;
    return call->compress_declared && (call->compress || (min_bytes > 0 && message.len >= min_bytes));
}

enum bw_code bw_response_send(struct bw_grpc_call *call, struct bw_view message)
{
    if (message.len > UINT32_MAX)
        return BW_RESOURCE_EXHAUSTED;
    struct bw_connection *connection = call->connection;
    /* Headers say whether messages may be compressed, so they come first. */
    bw_response_start(call);
    struct bw_buf deflated = {0};
    bool compressed = should_compress(call, message);
    if (compressed) {
        if (bw_gzip_deflate(message, &deflated, NULL) != BW_OK) {
            bw_buf_finish(&deflated);
            return BW_RESOURCE_EXHAUSTED;
        }
        message = bw_buf_view(&deflated);
    }
    size_t framed = BW_FRAME_PREFIX_BYTES + message.len;
    enum bw_code code = BW_OK;
    if (connection->output_bytes + framed > call->server->config.limits.connection_output_bytes ||
        !bw_buf_reserve(&call->out, framed)) {
        call->out.failed = false;
        code = BW_RESOURCE_EXHAUSTED;
    } else {
        uint8_t prefix[BW_FRAME_PREFIX_BYTES];
        bw_frame_prefix(prefix, compressed, (uint32_t)message.len);
        bw_buf_append(&call->out, prefix, sizeof prefix);
        bw_buf_append(&call->out, message.data, message.len);
        connection->output_bytes += framed;
        if (bw_response_waiting(call) > call->server->config.limits.call_low_bytes)
            call->above_low = true;
        push(call);
    }
    bw_buf_finish(&deflated);
    return code;
}

void bw_response_finish(struct bw_grpc_call *call)
{
    call->stage = BW_CALL_ANSWERED;
    call->answered_ms = bw_loop_now_ms(call->server->loop);
    bw_due_timer_clear(&call->server->due, &call->due);
    if (call->headers_sent) {
        push(call);
        return;
    }
    struct fields fields = {.count = 0};
    add(&fields, status_200);
    add(&fields, content_grpc);
    add_metadata(&fields, &call->headers);
    add_status(&fields, call);
    submit(call, &fields, false);
}

void bw_response_http(struct bw_grpc_call *call, const char *status)
{
    struct fields fields = {.count = 0};
    add_copied(&fields, ":status", bw_view_str(status));
    call->stage = BW_CALL_ANSWERED;
    call->status = BW_UNKNOWN; /* what a client makes of it (gRPC over HTTP2, HTTP2 status codes) */
    call->answered_ms = bw_loop_now_ms(call->server->loop);
    submit(call, &fields, false);
}

/* NULL when memory or the arena is out. */
static char *escaped(struct bw_arena *arena, const char *message)
{
    struct bw_buf text = {0};
    bw_grpc_message_escape(bw_view_str(message), &text);
    char *kept = text.failed ? NULL : bw_arena_strndup(arena, (const char *)text.data, text.len);
    bw_buf_finish(&text);
    return kept;
}

static struct bw_view encoded(struct bw_arena *arena, enum bw_code code, const char *message,
                              const struct bw_grpc_details *details)
{
    struct bw_buf status = {0}, text = {0};
    bw_grpc_details_encode(code, message, details, &status);
    bw_grpc_base64_encode(bw_buf_view(&status), &text);
    struct bw_view kept = {0};
    if (!status.failed && !text.failed) {
        kept.data = bw_arena_memdup(arena, text.data, text.len);
        kept.len = kept.data ? text.len : 0;
    }
    bw_buf_finish(&status);
    bw_buf_finish(&text);
    return kept;
}

void bw_response_set_status(struct bw_grpc_call *call, enum bw_code code, const char *message,
                            const struct bw_grpc_details *details)
{
    call->status = code;
    if (code == BW_OK)
        return;
    if (message != NULL && message[0] != '\0')
        call->status_message = escaped(call->arena, message);
    if (details == NULL)
        return;
    struct bw_grpc_details full = *details;
    if (full.domain == NULL)
        full.domain = call->server->config.error_domain;
    call->details = encoded(call->arena, code, message, &full);
}
