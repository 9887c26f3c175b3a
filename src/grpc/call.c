/* What a handler may do with its call. */
#include <string.h>

#include "base/check.h"
#include "grpc/server_internal.h"

static bool running(const struct bw_grpc_call *call)
{
    return call->stage == BW_CALL_RUNNING && !call->ended;
}

enum bw_code bw_grpc_send(struct bw_grpc_call *call, struct bw_view message)
{
    return running(call) ? bw_response_send(call, message) : BW_CANCELLED;
}

void bw_grpc_finish(struct bw_grpc_call *call, const struct bw_error *err,
                    const struct bw_grpc_details *details)
{
    if (!running(call))
        return;
    struct bw_grpc_details full = details ? *details : (struct bw_grpc_details){0};
    bool any = details != NULL;
    if (err != NULL && full.reason == NULL && err->reason != NULL) {
        full.reason = err->reason;
        any = true;
    }
    bw_response_set_status(call, err ? err->code : BW_OK, err ? err->show : NULL, any ? &full : NULL);
    bw_response_finish(call);
}

void bw_grpc_reply(struct bw_grpc_call *call, struct bw_view message)
{
    if (!running(call))
        return;
    enum bw_code code = bw_response_send(call, message);
    if (code == BW_OK) {
        bw_grpc_finish(call, NULL, NULL);
        return;
    }
    struct bw_error err;
    (void)bw_fail(&err, code, NULL, "the reply of %zu bytes does not fit beside what already waits",
                  message.len);
    bw_grpc_finish(call, &err, NULL);
}

enum bw_code bw_grpc_add_header(struct bw_grpc_call *call, const char *name, struct bw_view value)
{
    if (!running(call) || call->headers_sent)
        return BW_FAILED_PRECONDITION;
    return bw_metadata_add_outgoing(&call->headers, call->arena, bw_view_str(name), value);
}

enum bw_code bw_grpc_add_trailer(struct bw_grpc_call *call, const char *name, struct bw_view value)
{
    if (!running(call))
        return BW_FAILED_PRECONDITION;
    return bw_metadata_add_outgoing(&call->trailers, call->arena, bw_view_str(name), value);
}

void bw_grpc_send_headers(struct bw_grpc_call *call)
{
    if (running(call))
        bw_response_start(call);
}

void bw_grpc_compress(struct bw_grpc_call *call, bool on)
{
    call->compress = on;
}

size_t bw_grpc_send_pending_bytes(const struct bw_grpc_call *call)
{
    return bw_response_waiting(call);
}

void bw_grpc_pause_reading(struct bw_grpc_call *call, bool paused)
{
    call->paused = paused;
    if (paused || call->unread_bytes == 0 || call->stage == BW_CALL_GONE)
        return;
    nghttp2_session *session = call->connection->link.session;
    (void)nghttp2_session_consume_stream(session, call->stream_id, call->unread_bytes);
    call->unread_bytes = 0;
    bw_link_wake(&call->connection->link);
}

void bw_grpc_call_set_data(struct bw_grpc_call *call, void *data)
{
    call->data = data;
}

void bw_grpc_call_hold(struct bw_grpc_call *call)
{
    call->holds++;
}

void bw_grpc_call_release(struct bw_grpc_call *call)
{
    BW_CHECK(call->holds > 0);
    call->holds--;
    bw_call_settle(call);
}

void *bw_grpc_call_data(const struct bw_grpc_call *call)
{
    return call->data;
}

struct bw_arena *bw_grpc_call_arena(struct bw_grpc_call *call)
{
    return call->arena;
}

uint64_t bw_grpc_call_deadline_mono_ms(const struct bw_grpc_call *call)
{
    return call->deadline_ms;
}

const struct bw_grpc_peer *bw_grpc_call_peer(const struct bw_grpc_call *call)
{
    return &call->peer->peer;
}

const struct bw_grpc_method *bw_grpc_call_method(const struct bw_grpc_call *call)
{
    return call->method;
}

struct bw_grpc_server *bw_grpc_call_server(const struct bw_grpc_call *call)
{
    return call->server;
}

bool bw_grpc_call_metadata(const struct bw_grpc_call *call, const char *name, size_t nth,
                           struct bw_view *value)
{
    const struct bw_metadata_entry *entry = bw_metadata_find(&call->metadata, bw_view_str(name), nth);
    if (entry != NULL)
        *value = entry->value;
    return entry != NULL;
}

bool bw_grpc_call_metadata_at(const struct bw_grpc_call *call, size_t nth, struct bw_view *name,
                              struct bw_view *value)
{
    const struct bw_metadata_entry *entry = bw_metadata_at(&call->metadata, nth);
    if (entry != NULL) {
        *name = entry->name;
        *value = entry->value;
    }
    return entry != NULL;
}

bool bw_grpc_message_compressed(const struct bw_grpc_call *call)
{
    return call->message_compressed;
}

bool bw_grpc_call_cancelled(const struct bw_grpc_call *call)
{
    return atomic_load_explicit(&call->over, memory_order_acquire);
}
