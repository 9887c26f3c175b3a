/* A vault core with a database in memory, and somebody who seals for it. One thread. */
#ifndef BW_TESTS_VAULT_WORLD_H
#define BW_TESTS_VAULT_WORLD_H

#include "server/vault_core.h"
#include "vault/keyring.h"
#include "vault/roster.h"
#include "vault/sealer.h"

enum { WORLD_ROWS = 64, WORLD_NOW = 1700000000 };

struct world_reply {
    struct bw_buf frame;
    struct bw_vault_reply reply; /* points into frame */
};

struct world {
    struct bw_vault_core *core;
    struct bw_sealer *sealer;
    uint64_t now_ms;
    uint64_t random;
    char keyring[256]; /* "": there is none */
    bool denied;       /* it may not be read */
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE];
    struct bw_id tenant, meeting;

    struct bw_store_scope_key scopes[WORLD_ROWS];
    struct bw_buf wrapped[WORLD_ROWS];
    size_t scope_count;
    struct bw_store_meeting_key keys[WORLD_ROWS];
    size_t key_count;
    struct bw_vault_place places[WORLD_ROWS];
    size_t place_count;
    struct bw_id roster_id, roster_tenant;
    struct bw_buf roster;
    struct bw_store_chunk chunks[WORLD_ROWS];
    struct bw_buf chunk_records[WORLD_ROWS];
    size_t chunk_count;
    uint16_t last_kind; /* 0: no such meeting */
    struct bw_id erased_request, erased_meeting;
    struct bw_buf receipt;
    uint64_t swept_quality_ms, swept_participants_ms;

    bool audit_fails, deaf;
    size_t audits;
    size_t audits_at_first_part; /* how many there were when the first part left */
    char last_fields[128], last_outcome[64];

    struct world_reply replies[WORLD_ROWS];
    size_t reply_count;
};

void world_init(struct world *world);
void world_finish(struct world *world);
/* A core with the keyring as it is now, in the place of the one before. */
void world_restart(struct world *world);
/* Asks; what was answered before is gone. The last reply. */
const struct bw_vault_reply *world_ask(struct world *world, const struct bw_vault_request *request);
/* The same where memory may be out: whether it was answered, and well. */
bool world_try(struct world *world, const struct bw_vault_request *request);
/* The sealer learns today's and tomorrow's keys. */
void world_learn_scopes(struct world *world);
/* Seals these people into one roster record, each with a place. */
void world_seal_roster(struct world *world, const char *const *users, const char *addresses, size_t count);
void world_seal_chunk(struct world *world, uint32_t slot, size_t bytes);
struct bw_vault_request world_open(const struct world *world, enum bw_vault_what what,
                                   enum bw_vault_role role, const char *user);
struct bw_id world_id(struct world *world);

#endif
