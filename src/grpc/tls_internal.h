/* What the transport needs of a struct bw_grpc_tls; not for other rooms. */
#ifndef BW_GRPC_TLS_INTERNAL_H
#define BW_GRPC_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "base/status.h"
#include "grpc/identity.h"
#include "grpc/tls.h"

/* A connection over fd (not owned), ready for SSL_do_handshake; it holds tls. NULL when memory is out. */
SSL *bw_tls_open(struct bw_grpc_tls *tls, int fd);
/* Frees it and lets go of tls; NULL is allowed. */
void bw_tls_close(SSL *ssl);
/* After the handshake: ALPN must have chosen h2, and the peer must be who it has to be. spiffe_id is "" for a
 * client without a certificate. UNAUTHENTICATED or FAILED_PRECONDITION with the reason otherwise. */
BW_MUST_USE enum bw_code bw_tls_check_peer(SSL *ssl, char spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1],
                                           struct bw_error *err);
/* Why the last TLS operation of this thread failed, in words; clears OpenSSL's error queue. */
void bw_tls_explain(SSL *ssl, char *text, size_t size);

#endif
