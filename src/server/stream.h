/* A relay's session stream as its worker and the hub share it. The worker owns the call; the hub owns what is
 * said on it. Each side lets go once; the last one frees.
 *
 * Threads: each function says whose. */
#ifndef BW_SERVER_STREAM_H
#define BW_SERVER_STREAM_H

#include <stdatomic.h>

#include "base/buf.h"
#include "grpc/server.h"
#include "runtime/mailbox.h"

struct bw_stream {
    _Atomic int holders;
    _Atomic size_t mailed_bytes; /* on their way to the worker */
    _Atomic size_t queued_bytes; /* of the call, not yet sent, when the worker last looked */
    _Atomic bool hub_waits;      /* for room: to be told WRITABLE */
    struct bw_grpc_call *call;   /* the worker's; NULL once ended */
    bool deaf;                   /* the worker's: a message was lost, nothing after it goes on */
    struct bw_mailbox *worker, *hub_mailbox;
    struct bw_hub *hub;
    char relay[64];  /* name, from the certificate */
    void *hub_relay; /* the hub's: whose session this is, NULL before Hello and after the end */
};

/* Hub's thread: queue a message, or the end of the call (code BW_OK: an orderly end). */
enum bw_code bw_stream_send(struct bw_stream *stream, struct bw_view message);
/* Hub's thread: false when much waits to be sent; WRITABLE comes when it has drained. */
bool bw_stream_room(struct bw_stream *stream);
void bw_stream_finish(struct bw_stream *stream, const struct bw_error *why);
/* Either thread, once each. */
void bw_stream_let_go(struct bw_stream *stream);

/* What the worker tells the hub; holds the stream. Delivered on the hub's thread, which frees it and lets the
 * stream go. */
enum bw_stream_news_kind { BW_STREAM_OPENED, BW_STREAM_MESSAGE, BW_STREAM_CLOSED, BW_STREAM_WRITABLE };
struct bw_stream_news {
    struct bw_mail mail;
    enum bw_stream_news_kind kind;
    struct bw_stream *stream;
    struct bw_buf bytes; /* MESSAGE; wiped by the hub, since a Hello carries a secret */
};
/* The hub's. */
void bw_hub_stream_news(struct bw_mail *mail);

#endif
