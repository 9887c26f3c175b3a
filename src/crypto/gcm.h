/* AES-256-GCM, one call a record. The caller gives key and nonce and sees to it that a pair is used once.
 * A struct bw_gcm keeps OpenSSL's context and the fetched cipher between calls; it holds no key after a call
 * other than bw_gcm_seal_keeping. Threads: one at a time a context. */
#ifndef BW_CRYPTO_GCM_H
#define BW_CRYPTO_GCM_H

#include "base/buf.h"
#include "base/status.h"

enum { BW_GCM_KEY_SIZE = 32, BW_GCM_NONCE_SIZE = 12, BW_GCM_TAG_SIZE = 16 };

struct bw_gcm;

/* RESOURCE_EXHAUSTED when memory is out, INTERNAL when this OpenSSL has no AES-256-GCM. */
BW_MUST_USE enum bw_code bw_gcm_create(struct bw_gcm **out, struct bw_error *err);
/* NULL is allowed. */
void bw_gcm_destroy(struct bw_gcm *gcm);

/* Writes plaintext.len bytes to `ciphertext` (which may be the plaintext itself, not overlap it otherwise)
 * and the tag. INVALID_ARGUMENT for more than INT_MAX bytes, INTERNAL when OpenSSL fails. */
BW_MUST_USE enum bw_code bw_gcm_seal(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                                     const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad,
                                     struct bw_view plaintext, uint8_t *ciphertext,
                                     uint8_t tag[BW_GCM_TAG_SIZE], struct bw_error *err);
/* The same for short texts one after the other: what OpenSSL has set up stays, and with it the key, until the
 * next call of this or another kind, or bw_gcm_forget. */
BW_MUST_USE enum bw_code bw_gcm_seal_keeping(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                                             const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad,
                                             struct bw_view plaintext, uint8_t *ciphertext,
                                             uint8_t tag[BW_GCM_TAG_SIZE], struct bw_error *err);
/* Wipes the key of the last bw_gcm_seal_keeping. */
void bw_gcm_forget(struct bw_gcm *gcm);
/* Writes ciphertext.len bytes to `plaintext`; DATA_LOSS when the tag does not fit, and `plaintext` is then
 * wiped, so that nothing unauthenticated is left to read. */
BW_MUST_USE enum bw_code bw_gcm_open(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                                     const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad,
                                     struct bw_view ciphertext, const uint8_t tag[BW_GCM_TAG_SIZE],
                                     uint8_t *plaintext, struct bw_error *err);

#endif
