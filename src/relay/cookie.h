/* Address cookies: who can send one back receives at the address it was sent to. Stateless: a cookie is an
 * HMAC, under a secret that rotates, over the address and what is asked for. A cookie holds for one to two
 * rotations. Threads: one at a time. */
#ifndef BW_RELAY_COOKIE_H
#define BW_RELAY_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/hmac.h"
#include "relay/address.h"
#include "relay/handshake.h"

enum { BW_COOKIE_SECRET = 32, BW_COOKIE_ROTATE_MS = 60000 };

struct bw_cookie_jar {
    struct bw_hmac256 keys[2];
    uint32_t generation; /* of keys[generation % 2]; the other is the one before */
    uint64_t rotated_ms;
};

/* Secrets come from the caller's random source. */
void bw_cookie_jar_init(struct bw_cookie_jar *jar, const uint8_t secret[BW_COOKIE_SECRET], uint64_t now_ms);
/* Wipes. */
void bw_cookie_jar_finish(struct bw_cookie_jar *jar);
bool bw_cookie_jar_due(const struct bw_cookie_jar *jar, uint64_t now_ms);
void bw_cookie_jar_rotate(struct bw_cookie_jar *jar, const uint8_t secret[BW_COOKIE_SECRET], uint64_t now_ms);

/* `subject` is what the cookie is for: the grant's hash, or the channel. */
void bw_cookie_make(const struct bw_cookie_jar *jar, const struct bw_address *from, struct bw_view subject,
                    uint8_t cookie[BW_COOKIE_SIZE]);
bool bw_cookie_check(const struct bw_cookie_jar *jar, const struct bw_address *from, struct bw_view subject,
                     const uint8_t cookie[BW_COOKIE_SIZE]);

#endif
