/* HKDF (RFC 5869) over SHA-256 and SHA-512: extract a pseudo-random key, expand it into output bound to an
 * info string. Nothing is allocated. Threads: pure. */
#ifndef BW_CRYPTO_HKDF_H
#define BW_CRYPTO_HKDF_H

#include "crypto/hash.h"

/* An empty salt is RFC 5869's "not provided". */
void bw_hkdf256_extract(struct bw_view salt, struct bw_view ikm, uint8_t prk[BW_SHA256_SIZE]);
/* len is at most 255 * 32 (an invariant of ours: lengths are constants of a protocol). */
void bw_hkdf256_expand(const uint8_t prk[BW_SHA256_SIZE], struct bw_view info, uint8_t *out, size_t len);
/* Extract and expand in one step. */
void bw_hkdf256(struct bw_view salt, struct bw_view ikm, struct bw_view info, uint8_t *out, size_t len);

void bw_hkdf512_extract(struct bw_view salt, struct bw_view ikm, uint8_t prk[BW_SHA512_SIZE]);
/* len is at most 255 * 64. */
void bw_hkdf512_expand(const uint8_t prk[BW_SHA512_SIZE], struct bw_view info, uint8_t *out, size_t len);
void bw_hkdf512(struct bw_view salt, struct bw_view ikm, struct bw_view info, uint8_t *out, size_t len);

#endif
