/* Datagrams on their way out, in a fixed batch that its owner sends with one system call. Payloads of
 * forwarded datagrams stay where they were received; only headers and the relay's own short payloads lie
 * here. Threads: one at a time. */
#ifndef BW_RELAY_OUTBOX_H
#define BW_RELAY_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "relay/address.h"
#include "relay/datagram.h"
#include "relay/handshake.h"

enum { BW_OUTBOX_SIZE = 256 };

struct bw_outgoing {
    struct bw_address to;
    uint8_t header[BW_DATAGRAM_HEADER];
    uint8_t own_payload[BW_CONTROL_PAYLOAD_MAX];
    struct bw_view payload; /* own_payload, or what was received */
};

struct bw_outbox {
    struct bw_outgoing items[BW_OUTBOX_SIZE];
    size_t count;
    /* Sends all items and sets count to 0. Called when the batch is full; the owner calls it too before what
     * was received goes away. */
    void (*flush)(void *context, struct bw_outbox *outbox);
    void *context;
};

/* The next free item, its count taken; flushes first when the batch is full. */
struct bw_outgoing *bw_outbox_next(struct bw_outbox *outbox);
void bw_outbox_flush(struct bw_outbox *outbox);

#endif
