/* HPKE (RFC 9180), base mode, one message a context: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
 * What is sealed to a public key is opened only by who holds the private one. `info` binds it to its place:
 * both sides give the same. Threads: one at a time a struct bw_gcm. */
#ifndef BW_CRYPTO_HPKE_H
#define BW_CRYPTO_HPKE_H

#include <stdbool.h>

#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"

enum { BW_HPKE_OVERHEAD = BW_GCM_TAG_SIZE };

/* An encapsulation (Encap of RFC 9180, 4): a secret shared with the recipient, which nothing else is tied to
 * yet, so it can be made ahead of what it will seal. A secret: bw_wipe when it is not used after all. */
struct bw_hpke_capsule {
    uint8_t enc[BW_X25519_SIZE];
    uint8_t shared[BW_SHA256_SIZE];
    bool fresh; /* whether it is one, and was not used */
};

/* ephemeral: 32 fresh random bytes, never used for anything else; the caller wipes them. Costs some 60 us.
 * INVALID_ARGUMENT when the recipient's key is no good, INTERNAL. */
BW_MUST_USE enum bw_code bw_hpke_encapsulate(const uint8_t recipient_public[BW_X25519_SIZE],
                                             const uint8_t ephemeral[BW_X25519_SIZE],
                                             struct bw_hpke_capsule *capsule, struct bw_error *err);
/* Writes the encapsulated key and plaintext.len + BW_HPKE_OVERHEAD bytes to `sealed`, in a few us. One
 * message a capsule: whatever comes of it, the capsule is wiped, and one that was is refused with
 * INVALID_ARGUMENT. INTERNAL. */
BW_MUST_USE enum bw_code bw_hpke_seal_with(struct bw_gcm *gcm, struct bw_hpke_capsule *capsule,
                                           struct bw_view info, struct bw_view aad, struct bw_view plaintext,
                                           uint8_t enc[BW_X25519_SIZE], uint8_t *sealed,
                                           struct bw_error *err);
/* Both in one. */
BW_MUST_USE enum bw_code bw_hpke_seal(struct bw_gcm *gcm, const uint8_t recipient_public[BW_X25519_SIZE],
                                      const uint8_t ephemeral[BW_X25519_SIZE], struct bw_view info,
                                      struct bw_view aad, struct bw_view plaintext,
                                      uint8_t enc[BW_X25519_SIZE], uint8_t *sealed, struct bw_error *err);
/* Writes sealed.len - BW_HPKE_OVERHEAD bytes to `plaintext`. DATA_LOSS when it does not fit this key, info
 * and aad (nothing is then left in `plaintext`), INVALID_ARGUMENT for a bad `enc` or length, INTERNAL. */
BW_MUST_USE enum bw_code bw_hpke_open(struct bw_gcm *gcm, const uint8_t recipient_private[BW_X25519_SIZE],
                                      const uint8_t enc[BW_X25519_SIZE], struct bw_view info,
                                      struct bw_view aad, struct bw_view sealed, uint8_t *plaintext,
                                      struct bw_error *err);

#endif
