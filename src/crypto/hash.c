/* The block functions are OpenSSL's low-level ones, which 3.x marks as deprecated in favour of EVP: EVP
 * allocates its contexts and costs several times a 64-byte hash in look-ups, which a relay pays per datagram
 * and a signer per Merkle node. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hash.h"

#include <assert.h>
#include <openssl/sha.h>

static_assert(sizeof(SHA256_CTX) <= sizeof(struct bw_sha256), "struct bw_sha256 holds OpenSSL's state");
static_assert(sizeof(SHA512_CTX) <= sizeof(struct bw_sha512), "struct bw_sha512 holds OpenSSL's state");
static_assert(_Alignof(SHA512_CTX) <= _Alignof(struct bw_sha512), "and is aligned for it");

void bw_sha256_init(struct bw_sha256 *state)
{
    SHA256_Init((SHA256_CTX *)state->opaque);
}

void bw_sha256_update(struct bw_sha256 *state, const void *data, size_t len)
{
    if (len > 0)
        SHA256_Update((SHA256_CTX *)state->opaque, data, len);
}

void bw_sha256_final(struct bw_sha256 *state, uint8_t out[BW_SHA256_SIZE])
{
    SHA256_Final(out, (SHA256_CTX *)state->opaque);
}

void bw_sha256(struct bw_view data, uint8_t out[BW_SHA256_SIZE])
{
    struct bw_sha256 state;
    bw_sha256_init(&state);
    bw_sha256_update(&state, data.data, data.len);
    bw_sha256_final(&state, out);
}

void bw_sha512_init(struct bw_sha512 *state)
{
    SHA512_Init((SHA512_CTX *)state->opaque);
}

void bw_sha512_update(struct bw_sha512 *state, const void *data, size_t len)
{
    if (len > 0)
        SHA512_Update((SHA512_CTX *)state->opaque, data, len);
}

void bw_sha512_final(struct bw_sha512 *state, uint8_t out[BW_SHA512_SIZE])
{
    SHA512_Final(out, (SHA512_CTX *)state->opaque);
}

void bw_sha512(struct bw_view data, uint8_t out[BW_SHA512_SIZE])
{
    struct bw_sha512 state;
    bw_sha512_init(&state);
    bw_sha512_update(&state, data.data, data.len);
    bw_sha512_final(&state, out);
}
