/* The serving side of the vault: keeps its process running, has scope keys made ahead for every tenant and
 * hands the public halves to whoever seals, ends retentions, and knows how the keys are. Threads: the main
 * loop's, but for what says any. */
#ifndef BW_SERVER_VAULT_KEEPER_H
#define BW_SERVER_VAULT_KEEPER_H

#include "server/daemon.h"
#include "server/vault_client.h"

struct bw_vault_keeper;

/* Who is told of scope keys, in mail of a loop's own. */
struct bw_vault_listener {
    struct bw_mailbox *mailbox; /* outlives the keeper's stop */
    void *context;
    void (*scopes)(void *context, const struct bw_scope_public *scopes, size_t count);
};

/* How the metadata is, in one word. X(NAME, whether new metadata is sealed and stored ones can be opened) */
#define BW_VAULT_HEALTH_MAP(X)                                                                               \
    X(NOT_KEPT)                                                                                              \
    X(ACTIVE)                                                                                                \
    X(UNREACHABLE)                                                                                           \
    X(DENIED)                                                                                                \
    X(DISABLED)                                                                                              \
    X(DESTROYED)                                                                                             \
    X(MISCONFIGURED)
enum bw_vault_health {
#define X(name) BW_VAULT_##name,
    BW_VAULT_HEALTH_MAP(X)
#undef X
};
const char *bw_vault_health_name(enum bw_vault_health health);

/* Reads the service's public key and starts the process. FAILED_PRECONDITION when the configuration is at
 * fault. */
BW_MUST_USE enum bw_code bw_vault_keeper_create(struct bw_daemon *daemon, struct bw_vault_keeper **out,
                                                struct bw_error *err);
/* Before start: who seals. */
BW_MUST_USE enum bw_code bw_vault_keeper_listen(struct bw_vault_keeper *keeper,
                                                const struct bw_vault_listener *listener,
                                                struct bw_error *err);
/* Has the first keys made, for as long as it may take; without them, metadata of the first meetings is not
 * kept. */
void bw_vault_keeper_start(struct bw_vault_keeper *keeper);
/* Ends the process; calls under way are answered, as mail. */
void bw_vault_keeper_stop(struct bw_vault_keeper *keeper);
/* After the last mail was delivered. NULL is allowed. */
void bw_vault_keeper_destroy(struct bw_vault_keeper *keeper);

/* Of the configuration: pins the scope keys. */
const uint8_t *bw_vault_keeper_service_public(const struct bw_vault_keeper *keeper);
/* For whoever seals: encapsulations made ahead, until the keeper is destroyed. */
struct bw_capsules *bw_vault_keeper_capsules(const struct bw_vault_keeper *keeper);
/* Any thread. NULL: stopped. */
struct bw_vault_client *bw_vault_keeper_client(struct bw_vault_keeper *keeper);
/* Somebody seals for this tenant and has no key of today. Any thread. */
void bw_vault_keeper_want(struct bw_vault_keeper *keeper, const struct bw_id *tenant);
/* NULL: NOT_KEPT. Any thread. */
enum bw_vault_health bw_vault_keeper_health(const struct bw_vault_keeper *keeper);

#endif
