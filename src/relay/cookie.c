#include "relay/cookie.h"

#include <string.h>

#include "base/secret.h"

void bw_cookie_jar_init(struct bw_cookie_jar *jar, const uint8_t secret[BW_COOKIE_SECRET], uint64_t now_ms)
{
    memset(jar, 0, sizeof *jar);
    /* Both keys are set, so that a cookie of "the one before" can be checked before the first rotation. */
    bw_hmac256_init(&jar->keys[0], bw_view_of(secret, BW_COOKIE_SECRET));
    bw_hmac256_init(&jar->keys[1], bw_view_of(secret, BW_COOKIE_SECRET));
    jar->generation = 1;
    jar->rotated_ms = now_ms;
}

void bw_cookie_jar_finish(struct bw_cookie_jar *jar)
{
    bw_hmac256_finish(&jar->keys[0]);
    bw_hmac256_finish(&jar->keys[1]);
}

bool bw_cookie_jar_due(const struct bw_cookie_jar *jar, uint64_t now_ms)
{
    return now_ms - jar->rotated_ms >= BW_COOKIE_ROTATE_MS;
}

void bw_cookie_jar_rotate(struct bw_cookie_jar *jar, const uint8_t secret[BW_COOKIE_SECRET], uint64_t now_ms)
{
    jar->generation++;
    struct bw_hmac256 *key = &jar->keys[jar->generation % 2];
    bw_hmac256_finish(key);
    bw_hmac256_init(key, bw_view_of(secret, BW_COOKIE_SECRET));
    jar->rotated_ms = now_ms;
}

static void make(const struct bw_cookie_jar *jar, uint32_t generation, const struct bw_address *from,
                 struct bw_view subject, uint8_t cookie[BW_COOKIE_SIZE])
{
    uint8_t head[4 + BW_ADDRESS_BYTES];
    struct bw_writer w = bw_writer_of(head, sizeof head);
    bw_write_u32(&w, generation);
    uint8_t address[BW_ADDRESS_BYTES];
    bw_address_bytes(from, address);
    bw_write_bytes(&w, address, sizeof address);
    struct bw_sha256 running;
    uint8_t mac[BW_SHA256_SIZE];
    const struct bw_hmac256 *key = &jar->keys[generation % 2];
    bw_hmac256_begin(key, &running);
    bw_sha256_update(&running, head, sizeof head);
    bw_sha256_update(&running, subject.data, subject.len);
    bw_hmac256_end(key, &running, mac);
    memcpy(cookie, head, 4);
    memcpy(cookie + 4, mac, BW_COOKIE_SIZE - 4);
}

void bw_cookie_make(const struct bw_cookie_jar *jar, const struct bw_address *from, struct bw_view subject,
                    uint8_t cookie[BW_COOKIE_SIZE])
{
    make(jar, jar->generation, from, subject, cookie);
}

bool bw_cookie_check(const struct bw_cookie_jar *jar, const struct bw_address *from, struct bw_view subject,
                     const uint8_t cookie[BW_COOKIE_SIZE])
{
    struct bw_reader r = bw_reader_of(bw_view_of(cookie, BW_COOKIE_SIZE));
    uint32_t generation = bw_read_u32(&r);
    if (generation != jar->generation && generation + 1 != jar->generation)
        return false;
    uint8_t expected[BW_COOKIE_SIZE];
    make(jar, generation, from, subject, expected);
    return bw_bytes_equal_ct(expected, cookie, BW_COOKIE_SIZE);
}
