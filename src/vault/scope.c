#include "vault/scope.h"

#include <string.h>

#include "base/secret.h"

enum { SIGNED_SIZE = 15 + 16 + 16 + BW_SCOPE_SIZE + 4 + BW_X25519_SIZE };

uint32_t bw_scope_day(uint64_t unix_ms)
{
    return (uint32_t)(unix_ms / BW_SCOPE_DAY_MS);
}

static void signed_bytes(const struct bw_scope_public *scope, uint8_t out[SIGNED_SIZE])
{
    static const char label[15] = "bw-scope-key/v1"; /* without NUL: lengths are fixed */
    struct bw_writer w = bw_writer_of(out, SIGNED_SIZE);
    bw_write_bytes(&w, label, sizeof label);
    bw_write_bytes(&w, scope->id.bytes, sizeof scope->id.bytes);
    bw_write_bytes(&w, scope->tenant.bytes, sizeof scope->tenant.bytes);
    bw_write_bytes(&w, scope->scope, sizeof scope->scope);
    bw_write_u32(&w, scope->day);
    bw_write_bytes(&w, scope->public_key, sizeof scope->public_key);
}

enum bw_code bw_scope_verify(const struct bw_scope_public *scope, struct bw_ed25519_verifier *service,
                             struct bw_error *err)
{
    uint8_t bytes[SIGNED_SIZE];
    signed_bytes(scope, bytes);
    if (bw_ed25519_verify(service, bw_view_of(bytes, sizeof bytes), scope->signature))
        return BW_OK;
    return bw_fail(err, BW_PERMISSION_DENIED, "SCOPE_KEY_UNSIGNED",
                   "a scope key is not signed by the vault's service key; is the pinned key the right one?");
}

enum bw_code bw_scope_sign(struct bw_scope_public *scope, struct bw_ed25519_signer *service,
                           struct bw_error *err)
{
    uint8_t bytes[SIGNED_SIZE];
    signed_bytes(scope, bytes);
    return bw_ed25519_sign(service, bw_view_of(bytes, sizeof bytes), scope->signature, err);
}

struct bw_provider_context bw_scope_context(const struct bw_scope_public *scope)
{
    struct bw_provider_context context = {.tenant = scope->tenant, .day = scope->day, .key = scope->id};
    memcpy(context.scope, scope->scope, sizeof context.scope);
    return context;
}

enum bw_provider_state bw_scope_make(struct bw_provider *provider, struct bw_ed25519_signer *service,
                                     const struct bw_id *tenant, const uint8_t scope[BW_SCOPE_SIZE],
                                     uint32_t day, const uint8_t id_random[16],
                                     const uint8_t private_random[BW_X25519_SIZE],
                                     struct bw_scope_public *out, struct bw_buf *wrapped,
                                     struct bw_error *err)
{
    struct bw_scope_public made = {.id = bw_id_v4(id_random), .tenant = *tenant, .day = day};
    memcpy(made.scope, scope, sizeof made.scope);
    if (bw_x25519_public(private_random, made.public_key, err) != BW_OK ||
        bw_scope_sign(&made, service, err) != BW_OK)
        return BW_PROVIDER_TRANSIENT;
    const struct bw_provider_context context = bw_scope_context(&made);
    enum bw_provider_state state = bw_provider_wrap(provider, &context, private_random, wrapped, err);
    if (state == BW_PROVIDER_OK)
        *out = made;
    return state;
}
