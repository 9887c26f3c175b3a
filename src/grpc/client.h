/* A gRPC client: one connection, on one loop. It does not reconnect: `closed` says why it ended, and the
 * owner makes another. Threads: the loop's. */
#ifndef BW_GRPC_CLIENT_H
#define BW_GRPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "grpc/details.h"
#include "grpc/tls.h"
#include "runtime/loop.h"

struct bw_grpc_client;
struct bw_grpc_client_call;

struct bw_grpc_client_config {
    const char *target;            /* "host:port", "[::1]:port" */
    struct bw_grpc_tls *tls;       /* from bw_grpc_tls_create_client; NULL: h2c, only if h2c is set too */
    bool compress;                 /* requests go out gzip-compressed */
    bool h2c;                      /* clear text: loopback targets only */
    uint32_t connect_timeout_ms;   /* name, TCP and TLS together; 0: 10,000 */
    uint32_t keepalive_ms;         /* quiet this long: ping; 0: never */
    uint32_t keepalive_timeout_ms; /* 0: 10,000 */
    size_t max_reply_bytes;        /* of one message; 0: 4 MiB */
    size_t max_output_bytes;       /* not yet sent, all calls; 0: 16 MiB */
    const char *user_agent;        /* NULL: "bailiwick" */
    /* The connection is up (TLS done, server's settings seen). May be NULL. */
    void (*connected)(struct bw_grpc_client *client, void *context);
    /* The server asked to leave (GOAWAY): running calls may finish, new ones fail with UNAVAILABLE. */
    void (*going_away)(struct bw_grpc_client *client, void *context);
    /* The connection has ended or never came about; every call has finished before. Once. The client may be
     * destroyed from here. May be NULL. */
    void (*closed)(struct bw_grpc_client *client, const struct bw_error *why, void *context);
    void *context;
};

/* How a call ended. */
struct bw_grpc_outcome {
    enum bw_code code;
    const char *message;                   /* never NULL */
    const struct bw_grpc_details *details; /* NULL: none sent */
    struct bw_view status;                 /* the raw google.rpc.Status; empty: none sent */
};

struct bw_grpc_metadata {
    const char *name; /* lower case; a name ending in -bin takes any bytes */
    struct bw_view value;
};

struct bw_grpc_client_events {
    void (*headers)(struct bw_grpc_client_call *call, void *context); /* may be NULL */
    void (*message)(struct bw_grpc_client_call *call, struct bw_view message,
                    void *context); /* valid inside only */
    /* Room to send again: what waits has fallen below 64 KiB after having been above. May be NULL. */
    void (*writable)(struct bw_grpc_client_call *call, void *context);
    /* Exactly once and last, never from inside a bw_grpc_client_ function other than destroy; the call is
     * gone when it returns. */
    void (*finished)(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome, void *context);
};

/* Starts to connect; calls may be made at once and wait for the connection. NULL and *err on failure. */
struct bw_grpc_client *bw_grpc_client_create(struct bw_loop *loop, const struct bw_grpc_client_config *config,
                                             struct bw_error *err);
/* Calls still running finish with CANCELLED from inside; `closed` does not come. Not from inside `headers`,
 * `message` or `writable`. NULL is allowed. */
void bw_grpc_client_destroy(struct bw_grpc_client *client);
/* Sends GOAWAY, lets running calls finish, then closes (`closed` with code OK). */
void bw_grpc_client_close(struct bw_grpc_client *client);
/* Up, and neither side is leaving. */
bool bw_grpc_client_usable(const struct bw_grpc_client *client);
/* The server's SPIFFE id; NULL without one. */
const char *bw_grpc_client_peer_spiffe_id(const struct bw_grpc_client *client);

/* Starts a call. deadline_ms is from now, 0: none. `events` outlives the call; metadata is copied. NULL and
 * *err on failure (UNAVAILABLE when the connection is gone); `finished` does not come then. */
struct bw_grpc_client_call *bw_grpc_client_call(struct bw_grpc_client *client, const char *path,
                                                uint64_t deadline_ms, const struct bw_grpc_metadata *metadata,
                                                size_t metadata_count,
                                                const struct bw_grpc_client_events *events, void *context,
                                                struct bw_error *err);
/* One message, copied. RESOURCE_EXHAUSTED past the output cap; CANCELLED after half_close or the end. */
enum bw_code bw_grpc_client_send(struct bw_grpc_client_call *call, struct bw_view message);
void bw_grpc_client_half_close(struct bw_grpc_client_call *call);
/* `finished` comes with CANCELLED, on a later turn of the loop. */
void bw_grpc_client_cancel(struct bw_grpc_client_call *call);
size_t bw_grpc_client_send_pending_bytes(const struct bw_grpc_client_call *call);
/* The nth value of a header (trailer) the server sent; false when there is none. -bin values decoded. */
bool bw_grpc_client_header(const struct bw_grpc_client_call *call, const char *name, size_t nth,
                           struct bw_view *value);
bool bw_grpc_client_trailer(const struct bw_grpc_client_call *call, const char *name, size_t nth,
                            struct bw_view *value);

/* One request, one reply. `done` comes exactly once unless an error is returned; `reply` is valid inside only
 * and empty unless the code is OK. */
BW_MUST_USE enum bw_code
bw_grpc_client_unary(struct bw_grpc_client *client, const char *path, uint64_t deadline_ms,
                     const struct bw_grpc_metadata *metadata, size_t metadata_count, struct bw_view request,
                     void (*done)(const struct bw_grpc_outcome *outcome, struct bw_view reply, void *context),
                     void *context, struct bw_error *err);

/* ---- for programs without a loop of their own: blocks until the call is over ---- */

struct bw_grpc_sync;

/* A connection kept for several calls. `closed` and the other functions of config are not used. */
struct bw_grpc_sync *bw_grpc_sync_open(const struct bw_grpc_client_config *config, struct bw_error *err);
void bw_grpc_sync_close(struct bw_grpc_sync *sync);
/* One request; `message` for every reply (return false to cancel). The outcome is filled in either way and
 * lies in the arena; connection failures are outcomes too. The result is outcome->code. */
enum bw_code bw_grpc_sync_call(struct bw_grpc_sync *sync, const char *path, uint64_t deadline_ms,
                               const struct bw_grpc_metadata *metadata, size_t metadata_count,
                               struct bw_view request, struct bw_arena *arena,
                               bool (*message)(struct bw_view message, void *context), void *context,
                               struct bw_grpc_outcome *outcome);
/* Opens, calls once, closes. *reply lies in the arena. */
enum bw_code bw_grpc_client_unary_sync(const struct bw_grpc_client_config *config, const char *path,
                                       uint64_t deadline_ms, const struct bw_grpc_metadata *metadata,
                                       size_t metadata_count, struct bw_view request, struct bw_arena *arena,
                                       struct bw_view *reply, struct bw_grpc_outcome *outcome);

#endif
