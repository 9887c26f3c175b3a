/* Certificates of a cell: its CA, and what the CA signs. An identity is a SPIFFE ID in the one URI name of a
 * certificate; nothing a request asks for is taken over but its public key. Threads: pure; time and
 * serial numbers are arguments. */
#ifndef BW_SERVER_PKI_CERT_H
#define BW_SERVER_PKI_CERT_H

#include "crypto/csr.h"

enum {
    BW_PKI_SERIAL_SIZE = 16,
    BW_PKI_DAY_S = 24 * 3600,
    BW_PKI_LIFETIME_MAX_S = 90 * BW_PKI_DAY_S, /* of what the signer issues */
    BW_PKI_CA_LIFETIME_S = 3652 * BW_PKI_DAY_S,
};

/* Who a SPIFFE ID may name. X(NAME, path segment) */
#define BW_PKI_KIND_MAP(X)                                                                                   \
    X(RELAY, "relay")                                                                                        \
    X(APP, "app")                                                                                            \
    X(OPERATOR, "operator")                                                                                  \
    X(ADMIN, "admin")                                                                                        \
    X(SUPPORT, "support")                                                                                    \
    X(REPLICA, "replica")

enum bw_pki_kind {
#define X(name, segment) BW_PKI_##name,
    BW_PKI_KIND_MAP(X)
#undef X
        BW_PKI_KIND_COUNT
};

const char *bw_pki_kind_segment(enum bw_pki_kind kind);

/* Takes spiffe://<trust domain>/<kind>/<name> apart, exactly: name [a-z0-9][a-z0-9-]{0,62}, and the trust
 * domain must be the given one. INVALID_ARGUMENT saying which part is wrong. *name points into the id. */
BW_MUST_USE enum bw_code bw_pki_parse_spiffe_id(struct bw_view id, const char *trust_domain,
                                                enum bw_pki_kind *kind, struct bw_view *name,
                                                struct bw_error *err);
/* [a-z0-9._-], 1 to 255 bytes. */
bool bw_pki_is_trust_domain(struct bw_view text);
/* [a-z0-9][a-z0-9-]{0,62} */
bool bw_pki_is_name(struct bw_view text);

/* A CA certificate signed by its own key: CA:TRUE, path length 0, may only sign certificates and lists.
 * INTERNAL, RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_pki_create_ca(struct evp_pkey_st *key, const char *common_name, uint64_t now_ms,
                                          const uint8_t serial[BW_PKI_SERIAL_SIZE], struct x509_st **out,
                                          struct bw_error *err);
/* Is this pair fit to issue: a CA certificate in force, the key its own? INVALID_ARGUMENT or
 * FAILED_PRECONDITION, naming the file. */
BW_MUST_USE enum bw_code bw_pki_check_ca(struct x509_st *certificate, struct evp_pkey_st *key,
                                         uint64_t now_ms, const char *certificate_path, const char *key_path,
                                         struct bw_error *err);

struct bw_pki_profile {
    const char *common_name; /* for people only */
    const char *spiffe_id;
    const char *const *dns; /* only for servers; may be empty */
    size_t dns_count;
    const char *const *ips;
    size_t ip_count;
    bool server; /* serverAuth besides clientAuth */
    uint64_t now_ms;
    uint32_t lifetime_s; /* cut to that of the CA */
    uint8_t serial[BW_PKI_SERIAL_SIZE];
};

/* A leaf certificate: CA:FALSE, digitalSignature, exactly one URI name. Valid from five minutes ago, for
 * clocks that lag. INVALID_ARGUMENT for a malformed address, FAILED_PRECONDITION when the CA has expired. */
BW_MUST_USE enum bw_code bw_pki_issue(struct x509_st *ca, struct evp_pkey_st *ca_key,
                                      struct evp_pkey_st *public_key, const struct bw_pki_profile *profile,
                                      struct x509_st **out, struct bw_error *err);
void bw_pki_certificate_destroy(struct x509_st *certificate);

#endif
