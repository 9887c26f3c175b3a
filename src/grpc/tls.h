/* TLS for gRPC: one object holds certificate, key, trusted CAs and ticket keys. It is immutable and counted,
 * so all workers share one and a reload swaps it whole. Identities are X.509-SVIDs: exactly one URI SAN
 * spiffe://… on a leaf that is no CA; a certificate with any other shape fails the handshake. Threads: any.
 */
#ifndef BW_GRPC_TLS_H
#define BW_GRPC_TLS_H

#include <stdbool.h>

#include "base/status.h"

struct bw_grpc_tls;

enum bw_grpc_tls_version { BW_GRPC_TLS_1_3, BW_GRPC_TLS_1_2 };

struct bw_grpc_tls_config {
    const char *certificate_file; /* PEM chain, leaf first; a client may go without (NULL) */
    const char *key_file;         /* PEM; must belong to the certificate */
    const char *ca_file;          /* PEM; who may issue the peer's certificate. Server: NULL asks for none */
    const char *crl_file;         /* PEM, optional: revoked peer certificates are refused */
    enum bw_grpc_tls_version minimum; /* zero is 1.3 */
    bool require_client_certificate; /* server: refuse clients without one; otherwise they have no identity */
    const char *trust_domain;        /* optional: a peer's SPIFFE id must lie in it */
    const char *server_name;         /* client: the DNS name (or IP address) the certificate must carry … */
    const char *server_spiffe_id;    /* … or the exact SPIFFE id; one of the two is required */
};

/* Read the files and check them. Errors name the file: INVALID_ARGUMENT for what the files say,
 * FAILED_PRECONDITION when one cannot be read. The result has one reference. */
struct bw_grpc_tls *bw_grpc_tls_create_server(const struct bw_grpc_tls_config *config, struct bw_error *err);
struct bw_grpc_tls *bw_grpc_tls_create_client(const struct bw_grpc_tls_config *config, struct bw_error *err);
struct bw_grpc_tls *bw_grpc_tls_hold(struct bw_grpc_tls *tls);
/* NULL is allowed. */
void bw_grpc_tls_release(struct bw_grpc_tls *tls);

#endif
