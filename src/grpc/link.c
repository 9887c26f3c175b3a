#include "grpc/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "grpc/tls_internal.h"

/* One connection's share of a turn; the rest of the loop gets its turn in between. */
enum { READS_PER_EVENT = 4 };

static void on_poll(uv_poll_t *poll, int status, int events);

static void set_events(struct bw_link *link, int events)
{
    if (link->events == events || !link->polling)
        return;
    link->events = events;
    if (events == 0)
        uv_poll_stop(&link->poll);
    else
        uv_poll_start(&link->poll, events, on_poll);
}

/* What to poll for in this state. */
static void update_events(struct bw_link *link)
{
    int events = 0;
    switch (link->state) {
    case BW_LINK_CONNECTING:
        events = UV_WRITABLE;
        break;
    case BW_LINK_HANDSHAKE:
    case BW_LINK_OPEN:
        events = UV_READABLE | (link->wants_write ? UV_WRITABLE : 0);
        break;
    case BW_LINK_ENDING:
        events = UV_WRITABLE;
        break;
    case BW_LINK_LINGERING:
        events = UV_READABLE;
        break;
    case BW_LINK_CLOSED:
        break;
    }
    set_events(link, events);
}

static void close_now(struct bw_link *link)
{
    if (link->state == BW_LINK_CLOSED)
        return;
    link->state = BW_LINK_CLOSED;
    bw_loop_undefer(link->loop, &link->flush);
    bw_loop_undefer(link->loop, &link->resume);
    update_events(link);
    /* Deleting the session runs no callbacks, so the owner settles its streams in `closed` first. */
    link->owner->closed(link, &link->why);
}

static void fail(struct bw_link *link, const struct bw_error *why)
{
    if (link->why.code == BW_OK && why->code != BW_OK)
        link->why = *why;
    close_now(link);
}

static void fail_text(struct bw_link *link, enum bw_code code, const char *text)
{
    struct bw_error err;
    (void)bw_fail(&err, code, NULL, "%s", text);
    fail(link, &err);
}

/* ---- writing ---- */

bool bw_link_blocked(const struct bw_link *link)
{
    return link->unsent.len > link->unsent_at;
}

static void linger(struct bw_link *link)
{
    bw_transport_shut(&link->transport);
    if (bw_transport_discard(&link->transport)) {
        close_now(link);
        return;
    }
    link->state = BW_LINK_LINGERING;
    update_events(link);
    link->owner->waiting(link);
}

/* Sends what it can; what is left is kept in `unsent`. False when the link has failed. */
static bool write_out(struct bw_link *link, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t put = 0;
        struct bw_error err;
        enum bw_transport_result result = bw_transport_write(&link->transport, data, len, &put, &err);
        if (result == BW_TRANSPORT_DONE) {
            data += put;
            len -= put;
            link->moved_ms = bw_loop_now_ms(link->loop);
            continue;
        }
        if (result == BW_TRANSPORT_END || result == BW_TRANSPORT_FAILED) {
            if (result == BW_TRANSPORT_END)
                (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "the peer has closed the connection");
            fail(link, &err);
            return false;
        }
        link->wants_write = result == BW_TRANSPORT_WANT_WRITE;
        bw_buf_append(&link->unsent, data, len);
        if (link->unsent.failed) {
            (void)bw_fail_memory(&err);
            fail(link, &err);
            return false;
        }
        return true;
    }
    return true;
}

static bool write_unsent(struct bw_link *link)
{
    while (bw_link_blocked(link)) {
        size_t put = 0;
        struct bw_error err;
        enum bw_transport_result result =
            bw_transport_write(&link->transport, link->unsent.data + link->unsent_at,
                               link->unsent.len - link->unsent_at, &put, &err);
        if (result == BW_TRANSPORT_END || result == BW_TRANSPORT_FAILED) {
            if (result == BW_TRANSPORT_END)
                (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "the peer has closed the connection");
            fail(link, &err);
            return false;
        }
        if (result != BW_TRANSPORT_DONE) {
            link->wants_write = result == BW_TRANSPORT_WANT_WRITE;
            return true;
        }
        link->unsent_at += put;
        link->moved_ms = bw_loop_now_ms(link->loop);
    }
    bw_buf_finish(&link->unsent); /* an idle connection keeps no buffer */
    link->unsent_at = 0;
    link->wants_write = false;
    return true;
}

/* Collects the session's frames in the scratch buffer and sends them, until the session is silent or the
 * socket is full. */
static bool drain_session(struct bw_link *link)
{
    uint8_t *out = link->scratch->out;
    size_t len = 0;
    for (;;) {
        const uint8_t *frame;
        ssize_t frame_len = nghttp2_session_mem_send(link->session, &frame);
        if (frame_len < 0) {
            fail_text(link, frame_len == NGHTTP2_ERR_NOMEM ? BW_RESOURCE_EXHAUSTED : BW_INTERNAL,
                      nghttp2_strerror((int)frame_len));
            return false;
        }
        if (frame_len == 0)
            break;
        if (len + (size_t)frame_len > BW_LINK_SCRATCH_BYTES) {
            if (!write_out(link, out, len))
                return false;
            len = 0;
            if (bw_link_blocked(link)) {
                /* This frame is out of the session already; the next ones stay there. */
                bw_buf_append(&link->unsent, frame, (size_t)frame_len);
                if (link->unsent.failed) {
                    fail_text(link, BW_RESOURCE_EXHAUSTED, "out of memory");
                    return false;
                }
                return true;
            }
        }
        if ((size_t)frame_len > BW_LINK_SCRATCH_BYTES) { /* cannot be with 16 KiB frames */
            if (!write_out(link, frame, (size_t)frame_len))
                return false;
            continue;
        }
        memcpy(out + len, frame, (size_t)frame_len);
        len += (size_t)frame_len;
    }
    return write_out(link, out, len);
}

static void flush(void *context)
{
    struct bw_link *link = context;
    if (link->state != BW_LINK_OPEN && link->state != BW_LINK_ENDING)
        return;
    bool was_blocked = bw_link_blocked(link);
    if (was_blocked && !write_unsent(link))
        return;
    if (!bw_link_blocked(link)) {
        link->moved_ms = bw_loop_now_ms(link->loop);
        if (link->session != NULL && !drain_session(link))
            return;
    }
    if (!bw_link_blocked(link)) {
        bool over = link->session == NULL || (nghttp2_session_want_read(link->session) == 0 &&
                                              nghttp2_session_want_write(link->session) == 0);
        if (link->state == BW_LINK_ENDING || over) {
            linger(link);
            return;
        }
    }
    update_events(link);
    if ((!was_blocked && bw_link_blocked(link)) || link->state == BW_LINK_ENDING)
        link->owner->waiting(link);
}

void bw_link_wake(struct bw_link *link)
{
    if (link->state == BW_LINK_OPEN || link->state == BW_LINK_ENDING)
        bw_loop_defer(link->loop, &link->flush);
}

/* ---- reading ---- */

/* What the peer hears when its bytes end the session. */
static uint32_t goaway_code(int error)
{
    switch (error) {
    case NGHTTP2_ERR_FLOODED:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        return NGHTTP2_PROTOCOL_ERROR;
    default:
        return NGHTTP2_INTERNAL_ERROR;
    }
}

static void read_in(struct bw_link *link, int reads)
{
    while (link->state == BW_LINK_OPEN && reads-- > 0) {
        size_t got;
        struct bw_error err;
        enum bw_transport_result result =
            bw_transport_read(&link->transport, link->scratch->in, BW_LINK_SCRATCH_BYTES, &got, &err);
        if (result == BW_TRANSPORT_WANT_READ)
            return;
        if (result == BW_TRANSPORT_WANT_WRITE) {
            link->wants_write = true;
            update_events(link);
            return;
        }
        if (result == BW_TRANSPORT_END) {
            fail_text(link, BW_UNAVAILABLE, "the peer has closed the connection");
            return;
        }
        if (result == BW_TRANSPORT_FAILED) {
            fail(link, &err);
            return;
        }
        link->heard_ms = bw_loop_now_ms(link->loop);
        ssize_t taken = nghttp2_session_mem_recv(link->session, link->scratch->in, got);
        bw_link_wake(link);
        if (taken < 0) {
            (void)nghttp2_session_terminate_session(link->session, goaway_code((int)taken));
            (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "HTTP/2: %s", nghttp2_strerror((int)taken));
            bw_link_end(link, &err);
            return;
        }
        /* A short read has emptied the socket; asking again would only return EAGAIN. */
        if (link->transport.ssl == NULL && got < BW_LINK_SCRATCH_BYTES)
            return;
    }
    if (link->state == BW_LINK_OPEN && bw_transport_pending(&link->transport))
        bw_loop_defer(link->loop, &link->resume);
}

static void resume(void *context)
{
    read_in(context, 1);
}

/* ---- opening ---- */

static void open_session(struct bw_link *link)
{
    struct bw_error err;
    if (link->transport.ssl != NULL &&
        bw_tls_check_peer(link->transport.ssl, link->peer_spiffe_id, &err) != BW_OK) {
        fail(link, &err);
        return;
    }
    nghttp2_session *session = NULL;
    if (link->owner->open(link, &session, &err) != BW_OK) {
        fail(link, &err);
        return;
    }
    link->session = session;
    link->state = BW_LINK_OPEN;
    link->wants_write = false;
    update_events(link);
    bw_link_wake(link);
    read_in(link, READS_PER_EVENT); /* TLS may have read the first frames with the handshake */
}

static void handshake(struct bw_link *link)
{
    struct bw_error err;
    switch (bw_transport_handshake(&link->transport, &err)) {
    case BW_TRANSPORT_DONE:
        open_session(link);
        break;
    case BW_TRANSPORT_WANT_READ:
        link->wants_write = false;
        update_events(link);
        break;
    case BW_TRANSPORT_WANT_WRITE:
        link->wants_write = true;
        update_events(link);
        break;
    case BW_TRANSPORT_END:
        fail_text(link, BW_UNAVAILABLE, "the peer has closed the connection during the TLS handshake");
        break;
    case BW_TRANSPORT_FAILED:
        if (link->why.code == BW_OK)
            link->why = err;
        linger(link); /* let the peer read the alert */
        break;
    }
}

static void connected(struct bw_link *link)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(link->transport.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        struct bw_error err;
        (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "cannot connect: %s", strerror(error));
        fail(link, &err);
        return;
    }
    link->state = BW_LINK_HANDSHAKE;
    handshake(link);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct bw_link *link = poll->data;
    if (status < 0) {
        /* An error waits on the socket, perhaps behind bytes still to be read; reading or writing tells what
         * it is. libuv has stopped polling, so it must be told to go on. */
        events = UV_READABLE | UV_WRITABLE;
        link->events = 0;
        update_events(link);
    }
    switch (link->state) {
    case BW_LINK_CONNECTING:
        connected(link);
        break;
    case BW_LINK_HANDSHAKE:
        handshake(link);
        break;
    case BW_LINK_OPEN:
        if (events & UV_WRITABLE)
            bw_link_wake(link);
        if (events & UV_READABLE)
            read_in(link, READS_PER_EVENT);
        /* TLS may have waited for the peer before it could write. */
        if (bw_link_blocked(link))
            bw_link_wake(link);
        break;
    case BW_LINK_ENDING:
        bw_link_wake(link);
        break;
    case BW_LINK_LINGERING:
        if (bw_transport_discard(&link->transport))
            close_now(link);
        break;
    case BW_LINK_CLOSED:
        break;
    }
}

/* ---- life ---- */

static void start(void *context)
{
    struct bw_link *link = context;
    bw_task_init(&link->resume, resume, link);
    if (link->state == BW_LINK_HANDSHAKE)
        handshake(link);
}

enum bw_code bw_link_init(struct bw_link *link, struct bw_loop *loop, const struct bw_link_owner *owner,
                          struct bw_link_scratch *scratch, struct bw_transport transport, bool connecting,
                          struct bw_error *err)
{
    *link = (struct bw_link){.loop = loop, .owner = owner, .scratch = scratch, .transport = transport};
    link->state = connecting ? BW_LINK_CONNECTING : BW_LINK_HANDSHAKE;
    link->heard_ms = link->moved_ms = bw_loop_now_ms(loop);
    bw_task_init(&link->flush, flush, link);
    /* The first step waits for the end of the turn too: `open` must not come from inside this function. */
    bw_task_init(&link->resume, start, link);
    int rc = uv_poll_init(bw_loop_uv(loop), &link->poll, transport.fd);
    if (rc != 0) {
        bw_transport_finish(&link->transport);
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot watch a connection: %s", uv_strerror(rc));
    }
    link->poll.data = link;
    link->polling = true;
    if (connecting) {
        bw_task_init(&link->resume, resume, link);
        update_events(link);
    } else {
        bw_loop_defer(loop, &link->resume);
    }
    return BW_OK;
}

void bw_link_end(struct bw_link *link, const struct bw_error *why)
{
    if (link->why.code == BW_OK)
        link->why = *why;
    if (link->state == BW_LINK_OPEN) {
        link->state = BW_LINK_ENDING;
        bw_loop_defer(link->loop, &link->flush);
    } else if (link->state == BW_LINK_CONNECTING || link->state == BW_LINK_HANDSHAKE) {
        /* Nothing to say yet. */
        bw_loop_undefer(link->loop, &link->resume);
        link->state = BW_LINK_ENDING;
        bw_loop_defer(link->loop, &link->flush);
    }
}

void bw_link_abort(struct bw_link *link, const struct bw_error *why)
{
    if (link->state != BW_LINK_CLOSED)
        fail(link, why);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct bw_link *link = handle->data;
    link->owner->released(link);
}

void bw_link_finish(struct bw_link *link)
{
    BW_CHECK(link->state == BW_LINK_CLOSED && !link->finished);
    link->finished = true;
    nghttp2_session_del(link->session);
    link->session = NULL;
    bw_buf_finish(&link->unsent);
    /* libuv lets go of the descriptor before it is closed. */
    link->polling = false;
    uv_close((uv_handle_t *)&link->poll, on_poll_closed);
    bw_transport_finish(&link->transport);
}
