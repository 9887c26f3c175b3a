/* Bytes over a socket, in clear or through TLS, without blocking. Owns both. Threads: one at a time. */
#ifndef BW_GRPC_TRANSPORT_H
#define BW_GRPC_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/status.h"

struct bw_transport {
    int fd;
    SSL *ssl; /* NULL: clear text */
};

enum bw_transport_result {
    BW_TRANSPORT_DONE,
    BW_TRANSPORT_WANT_READ,
    BW_TRANSPORT_WANT_WRITE,
    BW_TRANSPORT_END,   /* the peer has closed in order */
    BW_TRANSPORT_FAILED /* *err says why */
};

void bw_transport_finish(struct bw_transport *transport);
enum bw_transport_result bw_transport_handshake(struct bw_transport *transport, struct bw_error *err);
/* DONE: *got bytes (> 0) are there. */
enum bw_transport_result bw_transport_read(struct bw_transport *transport, uint8_t *data, size_t size,
                                           size_t *got, struct bw_error *err);
/* DONE: *put bytes (> 0) are gone, perhaps not all. After WANT_* the same bytes come first again. */
enum bw_transport_result bw_transport_write(struct bw_transport *transport, const uint8_t *data, size_t size,
                                            size_t *put, struct bw_error *err);
/* Bytes already read from the socket wait inside TLS; polling does not tell of them. */
bool bw_transport_pending(const struct bw_transport *transport);
/* Says goodbye (close_notify, FIN) and leaves the reading side open. */
void bw_transport_shut(struct bw_transport *transport);
/* Throws away what the peer still sends; true once it has closed too. Only after bw_transport_shut. */
bool bw_transport_discard(struct bw_transport *transport);

#endif
