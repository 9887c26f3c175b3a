#include "crypto/hkdf.h"

#include <string.h>

#include "base/check.h"
#include "base/secret.h"
#include "crypto/hmac.h"

void bw_hkdf256_extract(struct bw_view salt, struct bw_view ikm, uint8_t prk[BW_SHA256_SIZE])
{
    struct bw_hmac256 hmac;
    struct bw_sha256 running; /* buffers the end of ikm, which is a key */
    bw_hmac256_init(&hmac, salt);
    bw_hmac256_begin(&hmac, &running);
    bw_sha256_update(&running, ikm.data, ikm.len);
    bw_hmac256_end(&hmac, &running, prk);
    bw_wipe(&running, sizeof running);
    bw_hmac256_finish(&hmac);
}

void bw_hkdf256_expand(const uint8_t prk[BW_SHA256_SIZE], struct bw_view info, uint8_t *out, size_t len)
{
    BW_CHECK(len <= 255 * BW_SHA256_SIZE);
    struct bw_hmac256 hmac;
    struct bw_sha256 running;
    uint8_t block[BW_SHA256_SIZE];
    bw_hmac256_init(&hmac, bw_view_of(prk, BW_SHA256_SIZE));
    size_t done = 0;
    for (uint8_t counter = 1; done < len; counter++) {
        bw_hmac256_begin(&hmac, &running);
        if (counter > 1)
            bw_sha256_update(&running, block, sizeof block);
        bw_sha256_update(&running, info.data, info.len);
        bw_sha256_update(&running, &counter, 1);
        bw_hmac256_end(&hmac, &running, block);
        size_t n = len - done < sizeof block ? len - done : sizeof block;
        memcpy(out + done, block, n);
        done += n;
    }
    bw_wipe(block, sizeof block);
    bw_wipe(&running, sizeof running);
    bw_hmac256_finish(&hmac);
}

void bw_hkdf256(struct bw_view salt, struct bw_view ikm, struct bw_view info, uint8_t *out, size_t len)
{
    uint8_t prk[BW_SHA256_SIZE];
    bw_hkdf256_extract(salt, ikm, prk);
    bw_hkdf256_expand(prk, info, out, len);
    bw_wipe(prk, sizeof prk);
}

void bw_hkdf512_extract(struct bw_view salt, struct bw_view ikm, uint8_t prk[BW_SHA512_SIZE])
{
    struct bw_hmac512 hmac;
    struct bw_sha512 running; /* buffers the end of ikm, which is a key */
    bw_hmac512_init(&hmac, salt);
    bw_hmac512_begin(&hmac, &running);
    bw_sha512_update(&running, ikm.data, ikm.len);
    bw_hmac512_end(&hmac, &running, prk);
    bw_wipe(&running, sizeof running);
    bw_hmac512_finish(&hmac);
}

void bw_hkdf512_expand(const uint8_t prk[BW_SHA512_SIZE], struct bw_view info, uint8_t *out, size_t len)
{
    BW_CHECK(len <= 255 * BW_SHA512_SIZE);
    struct bw_hmac512 hmac;
    struct bw_sha512 running;
    uint8_t block[BW_SHA512_SIZE];
    bw_hmac512_init(&hmac, bw_view_of(prk, BW_SHA512_SIZE));
    size_t done = 0;
    for (uint8_t counter = 1; done < len; counter++) {
        bw_hmac512_begin(&hmac, &running);
        if (counter > 1)
            bw_sha512_update(&running, block, sizeof block);
        bw_sha512_update(&running, info.data, info.len);
        bw_sha512_update(&running, &counter, 1);
        bw_hmac512_end(&hmac, &running, block);
        size_t n = len - done < sizeof block ? len - done : sizeof block;
        memcpy(out + done, block, n);
        done += n;
    }
    bw_wipe(block, sizeof block);
    bw_wipe(&running, sizeof running);
    bw_hmac512_finish(&hmac);
}

void bw_hkdf512(struct bw_view salt, struct bw_view ikm, struct bw_view info, uint8_t *out, size_t len)
{
    uint8_t prk[BW_SHA512_SIZE];
    bw_hkdf512_extract(salt, ikm, prk);
    bw_hkdf512_expand(prk, info, out, len);
    bw_wipe(prk, sizeof prk);
}
