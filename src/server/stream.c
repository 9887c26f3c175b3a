/* The worker's half of RelayService.Session: bytes in both directions, nothing decided here. */
#include "server/stream.h"

#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "server/hub.h"

/* What may wait to be sent on one stream: a snapshot stops at BUSY and goes on below CALM; past MAX a session
 * ends. Well below what a connection may have waiting (grpc/server.h), which sessions share. */
enum { PENDING_MAX = 4 << 20, PENDING_BUSY = 1 << 20, PENDING_CALM = 256 << 10 };

void bw_stream_let_go(struct bw_stream *stream)
{
    if (atomic_fetch_sub(&stream->holders, 1) == 1)
        bw_free(stream);
}

/* False when memory is out: what the relay said is lost. */
static bool tell_hub(struct bw_stream *stream, enum bw_stream_news_kind kind, struct bw_view bytes)
{
    struct bw_stream_news *news = bw_calloc(1, sizeof *news);
    if (news == NULL)
        return false;
    news->mail.deliver = bw_hub_stream_news;
    news->kind = kind;
    news->stream = stream;
    bw_buf_append(&news->bytes, bytes.data, bytes.len);
    if (news->bytes.failed) {
        bw_buf_finish(&news->bytes);
        bw_free(news);
        return false;
    }
    atomic_fetch_add(&stream->holders, 1); /* either side may let go before it is read */
    bw_mailbox_post(stream->hub_mailbox, &news->mail);
    return true;
}

/* A session has no holes: what follows a lost message is not heard either, and the relay begins anew with
 * whatever was not acknowledged. */
static void give_up(struct bw_grpc_call *call)
{
    struct bw_error err;
    bw_fail_memory(&err);
    bw_grpc_finish(call, &err, NULL);
}

static size_t pending(struct bw_stream *stream)
{
    return atomic_load(&stream->mailed_bytes) + atomic_load(&stream->queued_bytes);
}

/* Worker's thread: the call's backlog is known, and a hub that waits for room may have it. */
static void look(struct bw_stream *stream)
{
    size_t queued = stream->call != NULL ? bw_grpc_send_pending_bytes(stream->call) : 0;
    atomic_store(&stream->queued_bytes, queued);
    if (pending(stream) < PENDING_CALM && atomic_exchange(&stream->hub_waits, false))
        (void)tell_hub(stream, BW_STREAM_WRITABLE,
                       (struct bw_view){0}); /* unheard: the session looks by itself */
}

/* ---- the worker's callbacks ---- */

static void session_opened(struct bw_grpc_call *call, void *context)
{
    struct bw_hub_link *link = context;
    const struct bw_grpc_peer *peer = bw_grpc_call_peer(call);
    const char *name = peer->spiffe_id != NULL ? strrchr(peer->spiffe_id, '/') : NULL;
    struct bw_stream *stream = name != NULL ? bw_calloc(1, sizeof *stream) : NULL;
    if (stream == NULL) {
        struct bw_error err;
        if (name == NULL)
            bw_fail(&err, BW_UNAUTHENTICATED, NULL, "a relay session needs the relay's certificate");
        else
            bw_fail_memory(&err);
        bw_grpc_finish(call, &err, NULL);
        return;
    }
    atomic_init(&stream->holders, 2);
    stream->call = call;
    stream->worker = link->mailbox;
    stream->hub = link->hub;
    stream->hub_mailbox = link->hub_mailbox;
    strncpy(stream->relay, name + 1, sizeof stream->relay - 1);
    bw_grpc_call_set_data(call, stream);
    if (!tell_hub(stream, BW_STREAM_OPENED, (struct bw_view){0})) {
        bw_grpc_call_set_data(call, NULL);
        bw_free(stream); /* the hub has never heard of it */
        give_up(call);
    }
}

static void session_message(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    struct bw_stream *stream = bw_grpc_call_data(call);
    if (stream != NULL && !stream->deaf && !tell_hub(stream, BW_STREAM_MESSAGE, message)) {
        stream->deaf = true;
        give_up(call);
    }
}

static void session_writable(struct bw_grpc_call *call, void *context)
{
    (void)context;
    struct bw_stream *stream = bw_grpc_call_data(call);
    if (stream != NULL)
        look(stream);
}

static void session_ended(struct bw_grpc_call *call, enum bw_code why, void *context)
{
    (void)why, (void)context;
    struct bw_stream *stream = bw_grpc_call_data(call);
    if (stream == NULL)
        return;
    stream->call = NULL;
    /* Unheard, the session ends by its silence, or when the relay opens another one. */
    (void)tell_hub(stream, BW_STREAM_CLOSED, (struct bw_view){0});
    bw_stream_let_go(stream);
}

const struct bw_grpc_method bw_hub_session_method = {
    .path = "/bailiwick.v1.RelayService/Session",
    .client_streams = true,
    .server_streams = true,
    .opened = session_opened,
    .message = session_message,
    .writable = session_writable,
    .ended = session_ended,
};

/* ---- from the hub, delivered on the worker ---- */

struct outgoing {
    struct bw_mail mail;
    struct bw_stream *stream;
    bool finish;
    struct bw_error why;
    struct bw_buf bytes;
};

static void deliver(struct bw_mail *mail)
{
    struct outgoing *out = (struct outgoing *)mail;
    struct bw_stream *stream = out->stream;
    if (stream->call != NULL && out->finish)
        bw_grpc_finish(stream->call, out->why.code == BW_OK ? NULL : &out->why, NULL);
    else if (stream->call != NULL && bw_grpc_send(stream->call, bw_buf_view(&out->bytes)) != BW_OK) {
        struct bw_error err;
        bw_fail(&err, BW_RESOURCE_EXHAUSTED, NULL, "the relay reads too slowly: open a new session");
        bw_grpc_finish(stream->call, &err, NULL);
    }
    atomic_fetch_sub(&stream->mailed_bytes, out->bytes.len);
    look(stream);
    if (out->bytes.data != NULL)
        bw_wipe(out->bytes.data, out->bytes.cap);
    bw_buf_finish(&out->bytes);
    bw_stream_let_go(stream);
    bw_free(out);
}

static struct outgoing *outgoing_create(struct bw_stream *stream)
{
    struct outgoing *out = bw_calloc(1, sizeof *out);
    if (out == NULL)
        return NULL;
    out->mail.deliver = deliver;
    out->stream = stream;
    atomic_fetch_add(&stream->holders, 1);
    return out;
}

enum bw_code bw_stream_send(struct bw_stream *stream, struct bw_view message)
{
    if (pending(stream) + message.len > PENDING_MAX)
        return BW_RESOURCE_EXHAUSTED;
    struct outgoing *out = outgoing_create(stream);
    if (out == NULL)
        return BW_RESOURCE_EXHAUSTED;
    bw_buf_append(&out->bytes, message.data, message.len);
    if (out->bytes.failed) {
        bw_stream_let_go(stream);
        bw_free(out);
        return BW_RESOURCE_EXHAUSTED;
    }
    atomic_fetch_add(&stream->mailed_bytes, message.len);
    bw_mailbox_post(stream->worker, &out->mail);
    return BW_OK;
}

bool bw_stream_room(struct bw_stream *stream)
{
    if (pending(stream) < PENDING_BUSY)
        return true;
    /* The worker may have drained it between looking and asking to be told: look once more. */
    atomic_store(&stream->hub_waits, true);
    return pending(stream) < PENDING_CALM && atomic_exchange(&stream->hub_waits, false);
}

void bw_stream_finish(struct bw_stream *stream, const struct bw_error *why)
{
    struct outgoing *out = outgoing_create(stream);
    if (out == NULL)
        return;
    out->finish = true;
    if (why != NULL)
        out->why = *why;
    bw_mailbox_post(stream->worker, &out->mail);
}
