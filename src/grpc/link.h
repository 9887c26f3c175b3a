/* One HTTP/2 connection on a loop, server's or client's: moves bytes between a transport and an nghttp2
 * session. Reads as they come, writes once a loop turn: whatever the session has to say by the end of the
 * turn leaves in one piece (a write per answer costs three to five times the CPU). Threads: the loop's. */
#ifndef BW_GRPC_LINK_H
#define BW_GRPC_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include "base/buf.h"
#include "base/status.h"
#include "grpc/identity.h"
#include "grpc/transport.h"
#include "runtime/loop.h"

enum { BW_LINK_SCRATCH_BYTES = 65536 };

/* Shared by all links of an owner: bytes in and out within one call, never kept. */
struct bw_link_scratch {
    uint8_t in[BW_LINK_SCRATCH_BYTES];
    uint8_t out[BW_LINK_SCRATCH_BYTES];
};

enum bw_link_state {
    BW_LINK_CONNECTING, /* TCP, client only */
    BW_LINK_HANDSHAKE,  /* TLS */
    BW_LINK_OPEN,
    BW_LINK_ENDING,    /* no more reading; what the session has to say still goes out */
    BW_LINK_LINGERING, /* goodbye said; waiting for the peer's, so that it gets to read ours */
    BW_LINK_CLOSED
};

struct bw_link;

/* None of these is called from inside a bw_link_ function except `closed` from bw_link_abort. */
struct bw_link_owner {
    /* TLS is done and the peer is who it has to be (peer_spiffe_id is set): make the session. */
    enum bw_code (*open)(struct bw_link *link, nghttp2_session **session, struct bw_error *err);
    /* Bytes have begun to wait for the peer to take them, or the state is now ENDING or LINGERING: times that
     * somebody must bound. */
    void (*waiting)(struct bw_link *link);
    /* Over; the session is gone. Once. bw_link_finish may be called from here. */
    void (*closed)(struct bw_link *link, const struct bw_error *why);
    /* libuv has let go: the memory of the link may be freed. After bw_link_finish. */
    void (*released)(struct bw_link *link);
};

struct bw_link {
    struct bw_loop *loop;
    const struct bw_link_owner *owner;
    struct bw_link_scratch *scratch;
    struct bw_transport transport;
    uv_poll_t poll;
    int events; /* polled for */
    bool polling, finished, poll_closed, wants_write;
    enum bw_link_state state;
    nghttp2_session *session;
    struct bw_task flush, resume;
    struct bw_buf unsent; /* what the socket did not take, from unsent_at on */
    size_t unsent_at;
    uint64_t heard_ms; /* last bytes from the peer */
    uint64_t moved_ms; /* last time the peer took bytes, or there were none to take */
    struct bw_error why;
    char peer_spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1]; /* "": none */
};

/* Takes the transport over (also on failure). `connecting`: connect() is under way. */
BW_MUST_USE enum bw_code bw_link_init(struct bw_link *link, struct bw_loop *loop,
                                      const struct bw_link_owner *owner, struct bw_link_scratch *scratch,
                                      struct bw_transport transport, bool connecting, struct bw_error *err);
/* The session has something to say: it goes out at the end of the turn. */
void bw_link_wake(struct bw_link *link);
/* Reads no more, sends what can be sent, then closes with `why`. The first reason stays. */
void bw_link_end(struct bw_link *link, const struct bw_error *why);
/* Closes now; `closed` comes from inside. Nothing happens when it is closed already. */
void bw_link_abort(struct bw_link *link, const struct bw_error *why);
/* Gives the handle back to libuv; `released` follows. Only once closed. */
void bw_link_finish(struct bw_link *link);
/* Bytes wait for the peer. */
bool bw_link_blocked(const struct bw_link *link);

#endif
