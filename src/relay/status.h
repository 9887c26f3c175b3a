/* A Unix socket that answers every connection with one JSON document and closes: how `bailiwick-relay status`
 * looks at a running relay. The document is described in docs/reference/relay-status.md. It holds random ids
 * and counts, no addresses and no keys. Threads: the loop's. */
#ifndef BW_RELAY_STATUS_H
#define BW_RELAY_STATUS_H

#include "base/buf.h"
#include "base/status.h"
#include "runtime/loop.h"

struct bw_status_server;

/* Only this user can connect. A socket that nobody listens on any more is replaced. `render` writes the
 * document. NULL and *err on failure. */
struct bw_status_server *bw_status_server_create(struct bw_loop *loop, const char *path,
                                                 void (*render)(void *context, struct bw_buf *out),
                                                 void *context, struct bw_error *err);
/* Removes the socket. The loop must turn once more (bw_loop_destroy does). NULL is allowed. */
void bw_status_server_destroy(struct bw_status_server *server);

/* Asks a running relay; blocks for at most five seconds. Appends the document. UNAVAILABLE when nobody
 * answers there. */
BW_MUST_USE enum bw_code bw_status_ask(const char *path, struct bw_buf *out, struct bw_error *err);

#endif
