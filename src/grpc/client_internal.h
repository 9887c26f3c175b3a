/* The parts of a client: connecting and the connection's life (client.c), what the session tells
 * (client_session.c), calls (client_call.c). Not for other rooms. Threads: the loop's. */
#ifndef BW_GRPC_CLIENT_INTERNAL_H
#define BW_GRPC_CLIENT_INTERNAL_H

#include <netdb.h>

#include "grpc/client.h"
#include "grpc/due_timer.h"
#include "grpc/framing.h"
#include "grpc/headers.h"
#include "grpc/link.h"
#include "grpc/metadata.h"

struct bw_grpc_client_call {
    struct bw_grpc_client *client;
    struct bw_grpc_client_call *previous, *next; /* of the client */
    struct bw_grpc_client_call *next_done;
    int32_t stream_id;
    const struct bw_grpc_client_events *events;
    void *context;
    struct bw_arena *arena;
    struct bw_due due;

    /* request */
    struct bw_buf out;
    size_t out_at;
    bool half_closed, deferred, compress, sent_any, above_low;

    /* response */
    struct bw_framer framer;
    struct bw_metadata headers, trailers;
    size_t header_bytes;
    unsigned http_status;
    enum bw_grpc_content content;
    enum bw_grpc_encoding encoding;
    bool in_trailers, headers_told, header_failed;
    int grpc_status; /* -1: not seen */
    const char *message;
    struct bw_view details;

    /* how it ended */
    bool decided; /* `code` and `why` hold, whatever else arrives */
    enum bw_code code;
    const char *why;
    bool closed;  /* the session knows it no more */
    bool queued;  /* in the client's done list */
    bool told;    /* `finished` has come */
    bool telling; /* … and is running */
    bool unlinked;
};

struct bw_client_attempt;

struct bw_grpc_client {
    struct bw_loop *loop;
    struct bw_grpc_client_config config; /* strings below */
    char *host, *service, *authority, *user_agent;
    struct bw_resolution *resolution;     /* under way */
    struct addrinfo *addresses, *address; /* all; the one being tried */
    struct bw_client_attempt *attempt;    /* the connection, once one is tried */
    nghttp2_session *session;             /* lives from the start, so that calls need not wait to be made */
    bool session_given;                   /* to the attempt's link, which deletes it */
    struct bw_link_scratch *scratch;
    struct bw_due_timer due;
    struct bw_due life; /* connect timeout, keepalive */
    struct bw_task settle;
    struct bw_grpc_client_call *calls, *done_first, *done_last;
    size_t output_bytes;
    uint64_t started_ms, ping_sent_ms, end_ms;
    bool open, settled, pinged, leaving, over, destroyed, in_callback;
    bool tell_connected, tell_going_away;
    struct bw_error why; /* of the last failed attempt */
    char peer_spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1];
    size_t lives;
};

/* client.c */
/* The session has something to say. */
void bw_client_wake(struct bw_grpc_client *client);
void bw_client_settle_later(struct bw_grpc_client *client);

/* client_session.c */
BW_MUST_USE enum bw_code bw_client_session_create(struct bw_grpc_client *client, struct bw_error *err);

/* client_call.c */
void bw_client_call_header(struct bw_grpc_client_call *call, struct bw_view name, struct bw_view value,
                           bool trailers);
/* A block of headers is complete; `last`: the stream ends with it. */
void bw_client_call_headers_done(struct bw_grpc_client_call *call, bool last);
void bw_client_call_data(struct bw_grpc_client_call *call, struct bw_view data);
/* The session has closed the stream. */
void bw_client_call_closed(struct bw_grpc_client_call *call, uint32_t error_code);
/* Decides how the call ends, if that is open, and cuts the stream short. */
void bw_client_call_fail(struct bw_grpc_client_call *call, enum bw_code code, const char *format, ...)
    BW_PRINTF(3, 4);
/* `finished`, then freed as soon as the session has let go too. */
void bw_client_call_tell(struct bw_grpc_client_call *call);
/* Off the client's list; the memory goes now, or when `finished` returns. */
void bw_client_call_free(struct bw_grpc_client_call *call);
/* nghttp2's data provider. */
ssize_t bw_client_call_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user_data);

#endif
