/* Ed25519 (RFC 8032) with raw keys: 32-byte seeds, 32-byte public keys, 64-byte signatures.
 * Signing costs about 50 us, verifying about 120: neither belongs once per join (sign a batch's root).
 * Threads: one at a time a signer or verifier. */
#ifndef BW_CRYPTO_ED25519_H
#define BW_CRYPTO_ED25519_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"

enum { BW_ED25519_SEED_SIZE = 32, BW_ED25519_PUBLIC_SIZE = 32, BW_ED25519_SIGNATURE_SIZE = 64 };

/* A private key; OpenSSL wipes it when destroyed. */
struct bw_ed25519_signer;
/* A public key. */
struct bw_ed25519_verifier;

/* The seed is the private key; the caller makes it from its own randomness and wipes its copy.
 * RESOURCE_EXHAUSTED or INTERNAL. */
BW_MUST_USE enum bw_code bw_ed25519_signer_create(const uint8_t seed[BW_ED25519_SEED_SIZE],
                                                  struct bw_ed25519_signer **out, struct bw_error *err);
/* NULL is allowed. */
void bw_ed25519_signer_destroy(struct bw_ed25519_signer *signer);
void bw_ed25519_signer_public(const struct bw_ed25519_signer *signer, uint8_t out[BW_ED25519_PUBLIC_SIZE]);
/* INTERNAL when OpenSSL fails. */
BW_MUST_USE enum bw_code bw_ed25519_sign(struct bw_ed25519_signer *signer, struct bw_view message,
                                         uint8_t signature[BW_ED25519_SIGNATURE_SIZE], struct bw_error *err);

/* INVALID_ARGUMENT when OpenSSL refuses the key. A key that is no point of the curve is found only by
 * verifying: every signature then fails. */
BW_MUST_USE enum bw_code bw_ed25519_verifier_create(const uint8_t public_key[BW_ED25519_PUBLIC_SIZE],
                                                    struct bw_ed25519_verifier **out, struct bw_error *err);
/* NULL is allowed. */
void bw_ed25519_verifier_destroy(struct bw_ed25519_verifier *verifier);
/* False for anything but a good signature, failures of OpenSSL included. */
bool bw_ed25519_verify(struct bw_ed25519_verifier *verifier, struct bw_view message,
                       const uint8_t signature[BW_ED25519_SIGNATURE_SIZE]);

#endif
