/* X25519 (RFC 7748) with raw 32-byte keys. A private key is any 32 random bytes; the caller wipes its own.
 * Each operation costs 30 to 60 us: none belongs once per join. Threads: pure. */
#ifndef BW_CRYPTO_X25519_H
#define BW_CRYPTO_X25519_H

#include <stdint.h>

#include "base/status.h"

enum { BW_X25519_SIZE = 32 };

/* INTERNAL when OpenSSL fails. */
BW_MUST_USE enum bw_code bw_x25519_public(const uint8_t private_key[BW_X25519_SIZE],
                                          uint8_t public_key[BW_X25519_SIZE], struct bw_error *err);
/* The shared secret. INVALID_ARGUMENT when the peer's key is of small order, so that the result would be the
 * same for everybody (RFC 7748, 6.1). */
BW_MUST_USE enum bw_code bw_x25519(const uint8_t private_key[BW_X25519_SIZE],
                                   const uint8_t peer_public_key[BW_X25519_SIZE],
                                   uint8_t shared[BW_X25519_SIZE], struct bw_error *err);
/* Both at once, which costs less than one after the other. */
BW_MUST_USE enum bw_code bw_x25519_pair(const uint8_t private_key[BW_X25519_SIZE],
                                        const uint8_t peer_public_key[BW_X25519_SIZE],
                                        uint8_t public_key[BW_X25519_SIZE], uint8_t shared[BW_X25519_SIZE],
                                        struct bw_error *err);

#endif
