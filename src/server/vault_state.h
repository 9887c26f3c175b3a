/* What the vault core's files share; nobody else includes this. */
#ifndef BW_SERVER_VAULT_STATE_H
#define BW_SERVER_VAULT_STATE_H

#include <stdio.h>

#include "server/vault_core.h"

struct bw_vault_core {
    struct {
        struct bw_vault_ports ports;
        const char *cell;
    } config;
    struct bw_provider *provider; /* NULL: could not be opened yet */
    struct bw_opener *opener;     /* with the provider */
    struct bw_ed25519_signer *service;
    struct bw_ed25519_verifier *verifier;
    enum bw_provider_state state;
    struct bw_error why; /* of a state that is not OK */
    uint64_t since_ms, probed_ms, opened, refused;
    struct bw_arena *arena; /* for one scope key at a time */
    struct bw_buf out;      /* frames to send */
    struct bw_buf record;   /* a sealed row */
    struct bw_buf plain;    /* an opened one; wiped after use */
};

static inline uint64_t bw_vault_now(const struct bw_vault_core *core)
{
    return core->config.ports.wall_ms(core->config.ports.context);
}

/* Wipes what is there and keeps the memory. */
void bw_vault_plain_clear(struct bw_buf *plain);

/* vault_core.c */
bool bw_vault_send(struct bw_vault_core *core);
bool bw_vault_fail(struct bw_vault_core *core, uint32_t id, const struct bw_error *err);
void bw_vault_note_state(struct bw_vault_core *core, enum bw_provider_state state,
                         const struct bw_error *err);
/* Fills *err from the state, which is not OK, and returns its code. */
enum bw_code bw_vault_key_unavailable(const struct bw_vault_core *core, struct bw_error *err);
struct bw_scope_wrapped bw_vault_wrapped(const struct bw_store_scope_key *key);
/* UNAVAILABLE (AUDIT_UNAVAILABLE): then nothing may be shown. */
enum bw_code bw_vault_audit(struct bw_vault_core *core, const struct bw_vault_request *request,
                            const char *fields, uint64_t rows, const char *outcome, struct bw_error *err);
/* vault_open.c */
bool bw_vault_open(struct bw_vault_core *core, const struct bw_vault_request *request);

#endif
