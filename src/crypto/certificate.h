/* What a certificate says, for programs that look at their own before they use it (`doctor`, `whoami`).
 * Nothing here decides whom to trust: handshakes do (grpc/tls.h). Threads: pure. */
#ifndef BW_CRYPTO_CERTIFICATE_H
#define BW_CRYPTO_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { BW_CERTIFICATE_NAME_SIZE = 256 };

struct bw_certificate_facts {
    uint64_t not_before_ms, not_after_ms; /* unix */
    bool is_ca;
    unsigned uri_count;
    char uri[BW_CERTIFICATE_NAME_SIZE]; /* the first URI name; "" without one */
    char subject[BW_CERTIFICATE_NAME_SIZE], issuer[BW_CERTIFICATE_NAME_SIZE];
};

/* Of the first certificate of the text. INVALID_ARGUMENT naming `where`. */
BW_MUST_USE enum bw_code bw_certificate_read(struct bw_view pem, const char *where,
                                             struct bw_certificate_facts *facts, struct bw_error *err);
/* Does the private key belong to the first certificate? INVALID_ARGUMENT when one of them cannot be read. */
BW_MUST_USE enum bw_code bw_certificate_fits_key(struct bw_view pem, const char *where,
                                                 struct bw_view key_pem, const char *key_where, bool *fits,
                                                 struct bw_error *err);
/* Has one of the certificates of ca_pem signed it? Only the signature is looked at. INVALID_ARGUMENT when
 * nothing can be read. */
BW_MUST_USE enum bw_code bw_certificate_issued_by(struct bw_view pem, const char *where,
                                                  struct bw_view ca_pem, const char *ca_where, bool *yes,
                                                  struct bw_error *err);

#endif
