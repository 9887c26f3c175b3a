/* Private keys and certificate requests: what the command line makes for a new credential, and what a CA
 * checks before it signs. Keys and ECDSA nonces come from OpenSSL's own generator. Threads: pure. */
#ifndef BW_CRYPTO_CSR_H
#define BW_CRYPTO_CSR_H

#include "crypto/pem.h"

enum bw_key_kind { BW_KEY_P256, BW_KEY_P384, BW_KEY_ED25519 };

/* The caller frees with bw_key_destroy. INTERNAL when OpenSSL fails. */
BW_MUST_USE enum bw_code bw_key_generate(enum bw_key_kind kind, struct evp_pkey_st **out,
                                         struct bw_error *err);
/* NULL is allowed. */
void bw_key_destroy(struct evp_pkey_st *key);
/* Is it a kind a credential may have (P-256, P-384, Ed25519)? INVALID_ARGUMENT otherwise, saying what it is.
 */
BW_MUST_USE enum bw_code bw_key_check_kind(struct evp_pkey_st *key, const char *where, struct bw_error *err);

/* A request for `key`. The subject is only a hint for people: what a certificate of ours says is decided by
 * who issues it. common_name: 1 to 64 bytes. INVALID_ARGUMENT, INTERNAL. */
BW_MUST_USE enum bw_code bw_csr_create(struct evp_pkey_st *key, const char *common_name,
                                       struct bw_buf *csr_pem, struct bw_error *err);
/* A new key and a request for it, in one step. Finish key_pem with bw_pem_finish_secret. On failure both are
 * as they were. */
BW_MUST_USE enum bw_code bw_csr_create_with_key(enum bw_key_kind kind, const char *common_name,
                                                struct bw_buf *key_pem, struct bw_buf *csr_pem,
                                                struct bw_error *err);

/* Reads a request (PEM or DER), checks that its own key signed it and is of a kind we take, and gives that
 * public key (bw_key_destroy). INVALID_ARGUMENT. */
BW_MUST_USE enum bw_code bw_csr_public_key(struct bw_view csr, const char *where, struct evp_pkey_st **out,
                                           struct bw_error *err);

#endif
