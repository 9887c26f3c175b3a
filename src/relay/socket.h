/* The relay's UDP socket on a loop: receives in batches (recvmmsg), sends an outbox in batches (sendmmsg).
 * Nothing is allocated after creation. What the kernel does not take at once is dropped and counted, as a
 * full queue anywhere on the way would do.
 * Threads: the loop's. */
#ifndef BW_RELAY_SOCKET_H
#define BW_RELAY_SOCKET_H

#include "base/status.h"
#include "relay/address.h"
#include "relay/outbox.h"
#include "runtime/loop.h"

struct bw_socket;

struct bw_socket_handlers {
    void *context;
    /* One datagram, and when the kernel had it (monotonic; a batch may wait for the ones before it). `bytes`
     * are valid until the outbox has been flushed, which happens right after. */
    void (*received)(void *context, const struct bw_address *from, struct bw_view bytes, uint64_t arrived_us);
    /* A batch has been received. May be NULL. */
    void (*batch_ended)(void *context);
    /* So many datagrams could not be sent. */
    void (*send_failed)(void *context, uint64_t count);
};

/* Binds. The outbox becomes the socket's: its flush sends. UNAVAILABLE when the address cannot be had. */
struct bw_socket *bw_socket_create(struct bw_loop *loop, const struct bw_address *listen,
                                   struct bw_outbox *outbox, const struct bw_socket_handlers *handlers,
                                   struct bw_error *err);
/* The loop must turn once more (bw_loop_destroy does). NULL is allowed. */
void bw_socket_destroy(struct bw_socket *socket);
/* As bound: the port when 0 was asked for. */
struct bw_address bw_socket_address(const struct bw_socket *socket);

#endif
