#include "crypto/hmac.h"

#include <string.h>

#include "base/secret.h"

enum { INNER_PAD = 0x36, OUTER_PAD = 0x5c };

void bw_hmac256_init(struct bw_hmac256 *hmac, struct bw_view key)
{
    uint8_t block[BW_SHA256_BLOCK] = {0};
    if (key.len > sizeof block)
        bw_sha256(key, block);
    else if (key.len > 0)
        memcpy(block, key.data, key.len);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= INNER_PAD;
    bw_sha256_init(&hmac->inner);
    bw_sha256_update(&hmac->inner, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= INNER_PAD ^ OUTER_PAD;
    bw_sha256_init(&hmac->outer);
    bw_sha256_update(&hmac->outer, block, sizeof block);
    bw_wipe(block, sizeof block);
}

void bw_hmac256_finish(struct bw_hmac256 *hmac)
{
    bw_wipe(hmac, sizeof *hmac);
}

void bw_hmac256_begin(const struct bw_hmac256 *hmac, struct bw_sha256 *running)
{
    *running = hmac->inner;
}

void bw_hmac256_end(const struct bw_hmac256 *hmac, struct bw_sha256 *running, uint8_t out[BW_SHA256_SIZE])
{
    uint8_t digest[BW_SHA256_SIZE];
    bw_sha256_final(running, digest);
    *running = hmac->outer;
    bw_sha256_update(running, digest, sizeof digest);
    bw_sha256_final(running, out);
}

void bw_hmac256(const struct bw_hmac256 *hmac, struct bw_view message, uint8_t out[BW_SHA256_SIZE])
{
    struct bw_sha256 running;
    bw_hmac256_begin(hmac, &running);
    bw_sha256_update(&running, message.data, message.len);
    bw_hmac256_end(hmac, &running, out);
}

void bw_hmac512_init(struct bw_hmac512 *hmac, struct bw_view key)
{
    uint8_t block[BW_SHA512_BLOCK] = {0};
    if (key.len > sizeof block)
        bw_sha512(key, block);
    else if (key.len > 0)
        memcpy(block, key.data, key.len);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= INNER_PAD;
    bw_sha512_init(&hmac->inner);
    bw_sha512_update(&hmac->inner, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= INNER_PAD ^ OUTER_PAD;
    bw_sha512_init(&hmac->outer);
    bw_sha512_update(&hmac->outer, block, sizeof block);
    bw_wipe(block, sizeof block);
}

void bw_hmac512_finish(struct bw_hmac512 *hmac)
{
    bw_wipe(hmac, sizeof *hmac);
}

void bw_hmac512_begin(const struct bw_hmac512 *hmac, struct bw_sha512 *running)
{
    *running = hmac->inner;
}

void bw_hmac512_end(const struct bw_hmac512 *hmac, struct bw_sha512 *running, uint8_t out[BW_SHA512_SIZE])
{
    uint8_t digest[BW_SHA512_SIZE];
    bw_sha512_final(running, digest);
    *running = hmac->outer;
    bw_sha512_update(running, digest, sizeof digest);
    bw_sha512_final(running, out);
}

void bw_hmac512(const struct bw_hmac512 *hmac, struct bw_view message, uint8_t out[BW_SHA512_SIZE])
{
    struct bw_sha512 running;
    bw_hmac512_begin(hmac, &running);
    bw_sha512_update(&running, message.data, message.len);
    bw_hmac512_end(hmac, &running, out);
}
