/* A gRPC server on one loop: HTTP/2 over TLS 1.3, or in clear text (h2c) on loopback only. Several servers,
 * one a worker, bind the same port (SO_REUSEPORT). It knows methods by path and messages as bytes.
 *
 * Threads: everything on the thread of the loop, except what says otherwise. Health and reflection are built
 * in. */
#ifndef BW_GRPC_SERVER_H
#define BW_GRPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "grpc/details.h"
#include "grpc/tls.h"
#include "runtime/loop.h"

struct bw_grpc_server;
struct bw_grpc_call; /* one RPC */

/* ---- methods ---- */

/* An entry of the caller's static table. Functions may be NULL unless said otherwise.
 *
 * Order for one call: opened, message*, half_closed, ended. `ended` comes exactly once and last, for every
 * call whose `opened` was due, and never from inside a bw_grpc_ function called by the handler: with BW_OK
 * when the handler's answer (whatever its status) has left, BW_CANCELLED when the client reset the call or
 * its connection ended before that, BW_DEADLINE_EXCEEDED when the deadline passed, otherwise the code this
 * server answered itself with (an oversized message, a wrong number of messages, a drain that ran out of
 * time).
 *
 * When client_streams is false, `message` comes exactly once, after the client's end is known, and its bytes
 * lie in the call's arena: they stay valid as long as the call. When it is true, the bytes are valid during
 * `message` only. */
struct bw_grpc_method {
    const char *path; /* "/package.Service/Method" */
    bool client_streams, server_streams;
    size_t max_request_bytes; /* of one message, after decompression; 0: limits.max_request_bytes */
    void (*opened)(struct bw_grpc_call *call, void *context);
    void (*message)(struct bw_grpc_call *call, struct bw_view message, void *context); /* required */
    void (*half_closed)(struct bw_grpc_call *call, void *context);
    /* What waits to be sent has fallen below limits.call_low_bytes after a send left more than that. */
    void (*writable)(struct bw_grpc_call *call, void *context);
    void (*ended)(struct bw_grpc_call *call, enum bw_code why, void *context);
    void *context;
};

/* ---- the server ---- */

/* bw_grpc_limits_default gives values that suit a public port; 0 turns a limit off only where it says so. */
struct bw_grpc_limits {
    size_t max_connections;
    uint32_t max_streams;           /* per connection, until the handler is done with the call */
    size_t max_calls;               /* per server; beyond it calls get UNAVAILABLE */
    size_t max_request_bytes;       /* of one message */
    size_t max_header_bytes;        /* of a request's headers, counted as RFC 9113 6.5.2 */
    size_t arena_bytes;             /* cap of a call's arena, beyond max_request_bytes */
    size_t connection_input_bytes;  /* messages not yet complete, all calls of a connection */
    size_t connection_output_bytes; /* not yet sent, all calls of a connection */
    size_t call_low_bytes;          /* see `writable` */
    uint32_t resets, resets_per_s;  /* bucket: streams reset, by either side */
    uint32_t control_frames, control_frames_per_s; /* bucket: frames that carry no call */
    uint32_t pings;                                /* bucket: refilled whenever we send anything for a call */
    uint32_t ping_interval_ms;                     /* … and by one each interval */
    uint32_t handshakes, handshakes_per_s;         /* bucket: new connections wait in the backlog beyond it */
    uint32_t handshake_timeout_ms;                 /* from accept to the client's first settings */
    uint32_t idle_timeout_ms;                      /* no call; 0: never */
    uint32_t write_stall_ms;                       /* output waits and the peer takes none */
    uint32_t keepalive_ms;                         /* quiet this long: ping; 0: never */
    uint32_t keepalive_timeout_ms;                 /* … and this long without an answer: dead */
    uint32_t max_age_ms;                           /* of a connection, give or take a tenth; 0: none */
    uint32_t max_age_grace_ms;                     /* for its calls to finish */
    size_t compress_min_bytes; /* replies from this size on are compressed for clients that accept gzip; 0:
                                  never unless the handler asks */
};

struct bw_grpc_limits bw_grpc_limits_default(void);

struct bw_grpc_server_config {
    const char *address; /* numeric, "127.0.0.1" or "::" */
    uint16_t port;       /* 0: any free one */
    struct bw_grpc_tls
        *tls; /* from bw_grpc_tls_create_server; NULL: h2c, refused unless address is loopback */
    struct bw_grpc_limits limits;
    /* Asked once a method is known and before anything of it runs; anything but BW_OK, with *err, is the
     * answer. May look at the call's peer and metadata. NULL admits every call. Health is not asked about. */
    enum bw_code (*admit)(struct bw_grpc_call *call, const struct bw_grpc_method *method, void *context,
                          struct bw_error *err);
    void *admit_context;
    /* Told of each call's end, those that were refused, and health and reflection, included: what it was
     * answered with (BW_CANCELLED: the caller was gone before that) and the time since it began. `method` is
     * NULL when there is none of that name. May be NULL. */
    void (*ended)(const struct bw_grpc_method *method, enum bw_code code, uint64_t took_ns, void *context);
    void *ended_context;
    const char *error_domain; /* of ErrorInfo; a literal */
    struct bw_view
        descriptor_set; /* google.protobuf.FileDescriptorSet, outlives the server; empty: no reflection */
};

/* Listens at once. `methods` outlives the server. NULL and *err on failure: INVALID_ARGUMENT, or UNAVAILABLE
 * when the address cannot be bound. */
struct bw_grpc_server *bw_grpc_server_create(struct bw_loop *loop, const struct bw_grpc_server_config *config,
                                             const struct bw_grpc_method *methods, size_t method_count,
                                             struct bw_error *err);
/* Ends every call (`ended` with BW_CANCELLED) and connection now. Calls that are held stay valid until
 * released. The loop must turn once more (bw_loop_destroy does). NULL is allowed. */
void bw_grpc_server_destroy(struct bw_grpc_server *server);
uint16_t bw_grpc_server_port(const struct bw_grpc_server *server);
/* For connections accepted from now on (reload). */
void bw_grpc_server_set_tls(struct bw_grpc_server *server, struct bw_grpc_tls *tls);
/* Stops listening, lets clients know, and waits for calls to finish; at deadline_ms from now what is left is
 * ended. `done` then runs once on the loop (the server is still to be destroyed). Health says NOT_SERVING. */
void bw_grpc_server_drain(struct bw_grpc_server *server, uint64_t deadline_ms, void (*done)(void *context),
                          void *context);

struct bw_grpc_server_counts {
    size_t connections, calls; /* now */
    uint64_t accepted, handshake_failures, calls_started, calls_refused,
        connections_punished; /* since start */
};

struct bw_grpc_server_counts bw_grpc_server_counts(const struct bw_grpc_server *server);

/* ---- health ---- */

enum bw_grpc_health { BW_GRPC_HEALTH_UNKNOWN, BW_GRPC_SERVING, BW_GRPC_NOT_SERVING, BW_GRPC_SERVICE_UNKNOWN };

/* `service` "" is the server as a whole (SERVING from the start). Tells everybody who watches. */
BW_MUST_USE enum bw_code bw_grpc_health_set(struct bw_grpc_server *server, const char *service,
                                            enum bw_grpc_health status, struct bw_error *err);

/* ---- a call: actions (no-ops once the call has ended) ---- */

/* Sends one message (copied). RESOURCE_EXHAUSTED past the connection's output cap (nothing is sent then) or
 * without memory; CANCELLED when the call has ended. */
enum bw_code bw_grpc_send(struct bw_grpc_call *call, struct bw_view message);
/* Ends the call: OK when err is NULL, otherwise err's code and `show` text. details may be NULL; err->reason
 * is sent as ErrorInfo either way. Later sends are no-ops. */
void bw_grpc_finish(struct bw_grpc_call *call, const struct bw_error *err,
                    const struct bw_grpc_details *details);
/* Sends and finishes with OK; when the message cannot be sent, finishes with that error. */
void bw_grpc_reply(struct bw_grpc_call *call, struct bw_view message);
/* Metadata of ours; names in lower case, a name ending in -bin takes any bytes. Headers before the first
 * send. INVALID_ARGUMENT for a name or value HTTP/2 or gRPC forbids. */
BW_MUST_USE enum bw_code bw_grpc_add_header(struct bw_grpc_call *call, const char *name,
                                            struct bw_view value);
BW_MUST_USE enum bw_code bw_grpc_add_trailer(struct bw_grpc_call *call, const char *name,
                                             struct bw_view value);
/* Sends the headers now rather than with the first message. */
void bw_grpc_send_headers(struct bw_grpc_call *call);
/* Whether following messages are compressed, if the client accepts it; the first use before the first send.
 */
void bw_grpc_compress(struct bw_grpc_call *call, bool on);
/* Bytes accepted by bw_grpc_send and not yet handed to the connection. */
size_t bw_grpc_send_pending_bytes(const struct bw_grpc_call *call);
/* While paused, the client's flow control window is not refilled: at most one window of messages still comes.
 */
void bw_grpc_pause_reading(struct bw_grpc_call *call, bool paused);
void bw_grpc_call_set_data(struct bw_grpc_call *call, void *data);
/* A held call keeps its struct, arena, peer and metadata past `ended` until released as often as held. */
void bw_grpc_call_hold(struct bw_grpc_call *call);
void bw_grpc_call_release(struct bw_grpc_call *call);

/* ---- a call: what it is. Threads: the loop's, or the one a held call has been handed to ---- */

struct bw_grpc_peer {
    const char *spiffe_id; /* NULL without a client certificate */
    char address[64];      /* numeric, without port; personal data: not for logs */
    bool tls;
};

void *bw_grpc_call_data(const struct bw_grpc_call *call);
/* Lives as long as the call; for one thread at a time. */
struct bw_arena *bw_grpc_call_arena(struct bw_grpc_call *call);
/* Scale of bw_clock_mono_ms; 0: none. */
uint64_t bw_grpc_call_deadline_mono_ms(const struct bw_grpc_call *call);
const struct bw_grpc_peer *bw_grpc_call_peer(const struct bw_grpc_call *call);
const struct bw_grpc_method *bw_grpc_call_method(const struct bw_grpc_call *call);
struct bw_grpc_server *bw_grpc_call_server(const struct bw_grpc_call *call);
/* The nth value of a header the client sent (name in lower case; -bin values decoded); false when there is no
 * such value. Also "authorization" and "user-agent"; not what HTTP/2 and gRPC use themselves. */
bool bw_grpc_call_metadata(const struct bw_grpc_call *call, const char *name, size_t nth,
                           struct bw_view *value);
/* The nth header of all. */
bool bw_grpc_call_metadata_at(const struct bw_grpc_call *call, size_t nth, struct bw_view *name,
                              struct bw_view *value);
/* Whether the message being delivered came compressed. */
bool bw_grpc_message_compressed(const struct bw_grpc_call *call);
/* True as soon as the call has ended: whoever works for it may stop. Threads: any. */
bool bw_grpc_call_cancelled(const struct bw_grpc_call *call);

#endif
