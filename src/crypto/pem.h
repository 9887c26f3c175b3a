/* Keys, certificates and certificate requests as PEM text. Reading files is the caller's; `where` is the
 * file's name, for the words of an error, which say what is wrong and what to do. Threads: pure. */
#ifndef BW_CRYPTO_PEM_H
#define BW_CRYPTO_PEM_H

#include "base/buf.h"
#include "base/status.h"
#include "crypto/ed25519.h"

/* OpenSSL's, by their own names, so that this header needs none of OpenSSL's. */
struct evp_pkey_st;
struct x509_st;
struct X509_req_st;

enum { BW_PEM_MAX = 64 * 1024 }; /* larger inputs are refused unread */

/* An unencrypted private key of any kind OpenSSL knows. INVALID_ARGUMENT. */
BW_MUST_USE enum bw_code bw_pem_read_private_key(struct bw_view pem, const char *where,
                                                 struct evp_pkey_st **out, struct bw_error *err);
/* The first certificate of the text. INVALID_ARGUMENT. */
BW_MUST_USE enum bw_code bw_pem_read_certificate(struct bw_view pem, const char *where, struct x509_st **out,
                                                 struct bw_error *err);
/* A certificate request, PEM or DER. INVALID_ARGUMENT. */
BW_MUST_USE enum bw_code bw_pem_read_request(struct bw_view bytes, const char *where,
                                             struct X509_req_st **out, struct bw_error *err);
/* An Ed25519 private key (PKCS#8); the caller wipes the seed. INVALID_ARGUMENT. */
BW_MUST_USE enum bw_code bw_pem_read_ed25519_seed(struct bw_view pem, const char *where,
                                                  uint8_t seed[BW_ED25519_SEED_SIZE], struct bw_error *err);
/* An Ed25519 public key (SubjectPublicKeyInfo). INVALID_ARGUMENT. */
BW_MUST_USE enum bw_code bw_pem_read_ed25519_public(struct bw_view pem, const char *where,
                                                    uint8_t public_key[BW_ED25519_PUBLIC_SIZE],
                                                    struct bw_error *err);

/* Append to *out. A buffer with a private key in it is the caller's to wipe before it is finished; it does
 * not grow while the key is written, so no copy stays behind. RESOURCE_EXHAUSTED or INTERNAL. */
BW_MUST_USE enum bw_code bw_pem_write_private_key(struct evp_pkey_st *key, struct bw_buf *out,
                                                  struct bw_error *err);
BW_MUST_USE enum bw_code bw_pem_write_certificate(struct x509_st *certificate, struct bw_buf *out,
                                                  struct bw_error *err);
BW_MUST_USE enum bw_code bw_pem_write_request(struct X509_req_st *request, struct bw_buf *out,
                                              struct bw_error *err);
BW_MUST_USE enum bw_code bw_pem_write_ed25519_seed(const uint8_t seed[BW_ED25519_SEED_SIZE],
                                                   struct bw_buf *out, struct bw_error *err);
BW_MUST_USE enum bw_code bw_pem_write_ed25519_public(const uint8_t public_key[BW_ED25519_PUBLIC_SIZE],
                                                     struct bw_buf *out, struct bw_error *err);

/* Wipes a buffer that held a key, then finishes it. */
void bw_pem_finish_secret(struct bw_buf *buf);

#endif
