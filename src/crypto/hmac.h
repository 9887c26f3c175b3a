/* HMAC-SHA256 and HMAC-SHA512 (RFC 2104) with a kept context: the key is absorbed once, then each message
 * costs its own blocks and two more. Nothing is allocated, nothing can fail. A context is a secret: finish
 * it. Threads: a context that has been set up is only read, so any number may share it. */
#ifndef BW_CRYPTO_HMAC_H
#define BW_CRYPTO_HMAC_H

#include "crypto/hash.h"

struct bw_hmac256 {
    struct bw_sha256 inner, outer;
};

struct bw_hmac512 {
    struct bw_sha512 inner, outer;
};

/* Any key length; RFC 2104 hashes a key that is longer than a block. */
void bw_hmac256_init(struct bw_hmac256 *hmac, struct bw_view key);
/* Wipes. */
void bw_hmac256_finish(struct bw_hmac256 *hmac);
void bw_hmac256(const struct bw_hmac256 *hmac, struct bw_view message, uint8_t out[BW_SHA256_SIZE]);
/* A message in pieces: begin, any number of bw_sha256_update on the running state, end. */
void bw_hmac256_begin(const struct bw_hmac256 *hmac, struct bw_sha256 *running);
void bw_hmac256_end(const struct bw_hmac256 *hmac, struct bw_sha256 *running, uint8_t out[BW_SHA256_SIZE]);

void bw_hmac512_init(struct bw_hmac512 *hmac, struct bw_view key);
void bw_hmac512_finish(struct bw_hmac512 *hmac);
void bw_hmac512(const struct bw_hmac512 *hmac, struct bw_view message, uint8_t out[BW_SHA512_SIZE]);
void bw_hmac512_begin(const struct bw_hmac512 *hmac, struct bw_sha512 *running);
void bw_hmac512_end(const struct bw_hmac512 *hmac, struct bw_sha512 *running, uint8_t out[BW_SHA512_SIZE]);

#endif
