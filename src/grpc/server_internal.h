/* The parts of a server: listener (server.c), connections (connection.c), calls (call.c what a handler does,
 * request.c what arrives, response.c what leaves), built-in services (health.c, reflection.c). Not for other
 * rooms. Threads: the loop's. */
#ifndef BW_GRPC_SERVER_INTERNAL_H
#define BW_GRPC_SERVER_INTERNAL_H

#include <stdatomic.h>

#include <sys/socket.h>

#include "base/alloc.h"

/* An element that could not be added has hh.tbl == NULL. */
#define HASH_NONFATAL_OOM     1
#define uthash_malloc(bytes)  bw_malloc(bytes)
#define uthash_free(p, bytes) bw_free(p)
#include <uthash.h>

#include "grpc/due_timer.h"
#include "grpc/framing.h"
#include "grpc/headers.h"
#include "grpc/limits.h"
#include "grpc/link.h"
#include "grpc/metadata.h"
#include "grpc/server.h"

struct bw_connection;

/* ---- calls ---- */

enum bw_call_stage {
    BW_CALL_HEADERS,  /* request headers are coming in */
    BW_CALL_RUNNING,  /* the handler has it */
    BW_CALL_ANSWERED, /* the status is decided; what is queued still leaves */
    BW_CALL_GONE      /* its stream is closed */
};

struct bw_peer_ref {
    struct bw_grpc_peer peer;
    unsigned references;
    char spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1];
};

struct bw_grpc_call {
    struct bw_grpc_server *server;
    struct bw_connection *connection;     /* NULL once that is gone */
    struct bw_grpc_call *previous, *next; /* of the connection, or the next free one of the server */
    int32_t stream_id;
    enum bw_call_stage stage;
    const struct bw_grpc_method *method; /* NULL until known */
    struct bw_arena *arena;
    struct bw_peer_ref *peer;
    void *data;
    unsigned holds;
    struct bw_due due; /* the deadline; once answered: how long the answer may wait for the peer */
    uint64_t deadline_ms, answered_ms;
    uint64_t began_ns;

    /* request */
    struct bw_metadata metadata;
    struct bw_view path;
    size_t header_bytes;
    struct bw_framer framer;
    size_t kept_bytes;      /* counted in the connection's input_bytes */
    struct bw_view request; /* unary: waits for the end of the stream */
    unsigned messages;
    enum bw_grpc_encoding request_encoding;
    size_t unread_bytes; /* while paused: not yet given back to the peer's window */

    /* response */
    struct bw_buf out; /* framed messages, from out_at on */
    size_t out_at;
    struct bw_metadata headers, trailers;
    enum bw_code status;
    char *status_message;   /* in the arena; NULL: none */
    struct bw_view details; /* encoded in base64, in the arena */

    bool method_post, method_open, timeout_bad, headers_too_large, headers_bad;
    enum bw_grpc_content content;
    bool client_gzip, client_done, compress, compress_declared;
    bool message_compressed;
    bool started;      /* `ended` is due */
    bool ended;        /* `ended` has come */
    bool headers_sent; /* response headers are submitted */
    bool trailers_sent;
    bool deferred; /* nghttp2 waits for bw_call_push */
    bool paused, above_low;
    bool in_handler; /* a handler's function runs for it */
    atomic_bool over;
};

/* request.c */
struct bw_grpc_call *bw_call_create(struct bw_connection *connection, int32_t stream_id);
void bw_call_header(struct bw_grpc_call *call, struct bw_view name, struct bw_view value);
void bw_call_headers_done(struct bw_grpc_call *call);
void bw_call_data(struct bw_grpc_call *call, struct bw_view data);
/* The client will send no more. */
void bw_call_client_done(struct bw_grpc_call *call);
/* Nothing of it travels any more. */
void bw_call_stream_closed(struct bw_grpc_call *call);
/* Ends a call from our side: status to the client, `why` to the handler. */
void bw_call_answer(struct bw_grpc_call *call, enum bw_code code, const char *format, ...) BW_PRINTF(3, 4);
/* The handler hears the end, once. */
void bw_call_tell_end(struct bw_grpc_call *call, enum bw_code why);
void bw_call_expired(struct bw_due *due);
/* Frees it if nobody needs it any more. */
void bw_call_settle(struct bw_grpc_call *call);
void bw_call_free_all(struct bw_grpc_server *server);

/* response.c */
/* Appends a message to what is queued; starts the response if need be. */
BW_MUST_USE enum bw_code bw_response_send(struct bw_grpc_call *call, struct bw_view message);
void bw_response_start(struct bw_grpc_call *call);
/* The status is set; sends trailers, or a response of headers alone. */
void bw_response_finish(struct bw_grpc_call *call);
/* An HTTP status alone, for what is no gRPC. */
void bw_response_http(struct bw_grpc_call *call, const char *status);
size_t bw_response_waiting(const struct bw_grpc_call *call);
/* Text and details are left out when the arena is full: the code alone is better than no answer. */
void bw_response_set_status(struct bw_grpc_call *call, enum bw_code code, const char *message,
                            const struct bw_grpc_details *details);

/* ---- connections ---- */

struct bw_connection {
    struct bw_link link;
    struct bw_grpc_server *server;
    struct bw_connection *previous, *next;
    struct bw_peer_ref *peer;
    struct bw_grpc_call *calls;
    size_t call_count; /* handlers not yet done, whatever became of their streams */
    size_t input_bytes, output_bytes;
    struct bw_due due;
    struct bw_bucket resets, control, pings;
    uint64_t accepted_ms, last_call_ms, age_ms /* when it is old; 0: never */, ping_sent_ms, leave_ms, end_ms;
    bool settled; /* the client's first settings have come */
    bool pinged;  /* a keepalive ping is out */
    bool leaving; /* shutdown notice sent */
    bool left;    /* final GOAWAY sent */
    bool punished;
};

BW_MUST_USE enum bw_code bw_connection_accept(struct bw_grpc_server *server, int fd,
                                              const struct sockaddr *address, struct bw_error *err);
/* Notice, then GOAWAY; closes when its calls are done. */
void bw_connection_leave(struct bw_connection *connection);
/* Ends its calls with UNAVAILABLE and closes once that has been said. */
void bw_connection_shut(struct bw_connection *connection);
/* Closes now. */
void bw_connection_drop(struct bw_connection *connection, enum bw_code code, const char *why);
/* GOAWAY ENHANCE_YOUR_CALM; its calls end at once. */
void bw_connection_punish(struct bw_connection *connection, const char *why);
/* A call's handler is done. */
void bw_connection_call_done(struct bw_connection *connection);
/* Cuts a stream short. */
void bw_connection_reset_stream(struct bw_connection *connection, int32_t stream_id, uint32_t error_code);
void bw_peer_release(struct bw_peer_ref *peer);

/* ---- the server ---- */

struct bw_method_entry {
    UT_hash_handle hh;
    const struct bw_grpc_method *method;
    bool open; /* not subject to `admit` */
};

struct bw_health;
struct bw_reflection;

struct bw_grpc_server {
    struct bw_loop *loop;
    struct bw_grpc_server_config config;
    char *address;
    uint16_t port;
    struct bw_method_entry *methods; /* by path */
    struct bw_health *health;
    struct bw_reflection *reflection;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    struct bw_link_scratch *scratch;
    struct bw_due_timer due;
    struct bw_bucket handshakes;
    struct bw_listener *listener;
    struct bw_timer *accept_again;
    struct bw_connection *connections;
    struct bw_grpc_call *free_calls;
    size_t free_call_count, arena_cap_bytes;
    struct bw_grpc_server_counts counts;
    size_t lives; /* itself, connections and calls: the struct goes with the last of them */
    bool draining, drain_over, destroyed; /* drain_over: its deadline has passed */
    void (*drained)(void *context);
    void *drained_context;
    struct bw_timer *drain_timer;
};

const struct bw_method_entry *bw_server_find(struct bw_grpc_server *server, struct bw_view path);
/* One of `lives` is over. */
void bw_server_let_go(struct bw_grpc_server *server);
/* A connection or call is gone: a drain may be done, a listener may accept again. */
void bw_server_less(struct bw_grpc_server *server);
uint64_t bw_server_now_us(const struct bw_grpc_server *server);
/* Fills the callbacks of a server's sessions (connection.c). */
void bw_connection_set_callbacks(nghttp2_session_callbacks *callbacks);

/* Built-in services register their methods; `open`: without asking `admit`. */
BW_MUST_USE enum bw_code bw_server_add_method(struct bw_grpc_server *server,
                                              const struct bw_grpc_method *method, bool open,
                                              struct bw_error *err);

/* health.c */
struct bw_health *bw_health_create(struct bw_grpc_server *server, struct bw_error *err);
void bw_health_destroy(struct bw_health *health);
/* Everything NOT_SERVING from now on. */
void bw_health_stop(struct bw_health *health);

/* reflection.c */
struct bw_reflection *bw_reflection_create(struct bw_grpc_server *server, struct bw_view descriptor_set,
                                           struct bw_error *err);
void bw_reflection_destroy(struct bw_reflection *reflection);

#endif
