/* A scope key: an X25519 pair of one tenant, one scope and one UTC day. The vault makes it, keeps the private
 * half wrapped, and signs the public half with its service key; who seals accepts no other. `scope` is 8 zero
 * bytes ("everyone"). Threads: one at a time a signer or verifier. */
#ifndef BW_VAULT_SCOPE_H
#define BW_VAULT_SCOPE_H

#include "base/buf.h"
#include "base/id.h"
#include "crypto/ed25519.h"
#include "crypto/x25519.h"
#include "vault/provider.h"

enum { BW_SCOPE_SIZE = 8, BW_SCOPE_DAY_MS = 86400000 };

struct bw_scope_public {
    struct bw_id id, tenant;
    uint8_t scope[BW_SCOPE_SIZE];
    uint32_t day; /* since 1970-01-01, UTC */
    uint8_t public_key[BW_X25519_SIZE];
    uint8_t signature[BW_ED25519_SIGNATURE_SIZE];
};

/* What the database keeps of it; wrapped belongs to the caller. */
struct bw_scope_wrapped {
    struct bw_scope_public public_half;
    struct bw_view wrapped;
};

uint32_t bw_scope_day(uint64_t unix_ms);

/* PERMISSION_DENIED (reason SCOPE_KEY_UNSIGNED) unless the service key signed exactly this. */
BW_MUST_USE enum bw_code bw_scope_verify(const struct bw_scope_public *scope,
                                         struct bw_ed25519_verifier *service, struct bw_error *err);
/* Signs, for who makes one. INTERNAL. */
BW_MUST_USE enum bw_code bw_scope_sign(struct bw_scope_public *scope, struct bw_ed25519_signer *service,
                                       struct bw_error *err);

/* Makes a pair in the vault: id from id_random (UUIDv4), private half private_random; the caller wipes both.
 * Appends the wrapped private half. The provider's state, its words in *err; TRANSIENT also when memory is
 * out or OpenSSL fails. */
BW_MUST_USE enum bw_provider_state
bw_scope_make(struct bw_provider *provider, struct bw_ed25519_signer *service, const struct bw_id *tenant,
              const uint8_t scope[BW_SCOPE_SIZE], uint32_t day, const uint8_t id_random[16],
              const uint8_t private_random[BW_X25519_SIZE], struct bw_scope_public *out,
              struct bw_buf *wrapped, struct bw_error *err);
/* The context its private half is wrapped with. */
struct bw_provider_context bw_scope_context(const struct bw_scope_public *scope);

#endif
