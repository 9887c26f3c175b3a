/* SHA-256 and SHA-512, one-shot and incremental. States are plain memory that the caller owns and may copy:
 * nothing is allocated and nothing can fail, so a datagram's path can hash. Threads: one at a time a state.
 */
#ifndef BW_CRYPTO_HASH_H
#define BW_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { BW_SHA256_SIZE = 32, BW_SHA256_BLOCK = 64, BW_SHA512_SIZE = 64, BW_SHA512_BLOCK = 128 };

struct bw_sha256 {
    uint64_t opaque[14];
};

struct bw_sha512 {
    uint64_t opaque[27];
};

void bw_sha256_init(struct bw_sha256 *state);
void bw_sha256_update(struct bw_sha256 *state, const void *data, size_t len);
/* The state must be initialised again before further use. */
void bw_sha256_final(struct bw_sha256 *state, uint8_t out[BW_SHA256_SIZE]);
void bw_sha256(struct bw_view data, uint8_t out[BW_SHA256_SIZE]);

void bw_sha512_init(struct bw_sha512 *state);
void bw_sha512_update(struct bw_sha512 *state, const void *data, size_t len);
void bw_sha512_final(struct bw_sha512 *state, uint8_t out[BW_SHA512_SIZE]);
void bw_sha512(struct bw_view data, uint8_t out[BW_SHA512_SIZE]);

#endif
