/* Who a certificate says its holder is (X.509-SVID, https://github.com/spiffe/spiffe: X509-SVID.md).
 * Threads: pure. */
#ifndef BW_GRPC_IDENTITY_H
#define BW_GRPC_IDENTITY_H

#include <openssl/x509.h>

#include "base/buf.h"
#include "base/status.h"

enum { BW_SPIFFE_ID_MAX_BYTES = 255 };

/* Copies the SPIFFE id. UNAUTHENTICATED, with the reason, unless the certificate is a leaf (CA:FALSE, no key
 * usage for signing certificates) with exactly one URI SAN, which is a well-formed spiffe:// id, and lies in
 * trust_domain (NULL: any). */
BW_MUST_USE enum bw_code bw_identity_of(X509 *certificate, const char *trust_domain,
                                        char spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1], struct bw_error *err);
/* spiffe://<trust domain>/<path> with the characters SPIFFE allows and no empty segment, "." or "..". */
bool bw_spiffe_id_valid(struct bw_view id);

#endif
