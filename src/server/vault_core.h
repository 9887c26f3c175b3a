/* What the vault does with a request, apart from sockets and the database: those are ports, tables of
 * functions. Whatever becomes readable here was asked for by somebody the audit names, and is masked for
 * their role before it leaves. Threads: one at a time. */
#ifndef BW_SERVER_VAULT_CORE_H
#define BW_SERVER_VAULT_CORE_H

#include "base/arena.h"
#include "store/metadata.h"
#include "vault/opener.h"
#include "vault/protocol.h"

/* Where a participant's roster entry lies, as the decision that admitted them says. */
struct bw_vault_place {
    struct bw_id entry, record; /* roster entry, roster record */
    uint32_t index;             /* in that record */
    uint32_t slot;
    uint32_t number; /* of everybody who joined, from 1 */
};
typedef bool bw_vault_on_place(void *context, const struct bw_vault_place *place);
typedef bool bw_vault_on_scope(void *context, const struct bw_store_scope_key *key);

/* Those of the database are functions of store/metadata.h with the context in the place of the connection. */
struct bw_vault_ports {
    void *context;
    uint64_t (*wall_ms)(void *context);
    void (*random)(void *context, void *out, size_t n);
    /* Sends frames and forgets them, waiting for as long as it takes. False: nobody listens any more. */
    bool (*send)(void *context, struct bw_buf *frames);
    /* Opens where root keys live, anew. */
    enum bw_provider_state (*open_provider)(void *context, struct bw_provider **out, struct bw_error *err);

    enum bw_code (*scope_find)(void *context, const struct bw_id *tenant,
                               const uint8_t scope[BW_STORE_SCOPE_SIZE], uint32_t day, struct bw_arena *arena,
                               struct bw_store_scope_key *out, struct bw_error *err);
    enum bw_code (*scope_settle)(void *context, const struct bw_store_scope_key *proposed,
                                 struct bw_arena *arena, struct bw_store_scope_key *out,
                                 struct bw_error *err);
    enum bw_code (*scope_read)(void *context, const struct bw_id *id, struct bw_arena *arena,
                               struct bw_store_scope_key *out, struct bw_error *err);
    enum bw_code (*scope_newest)(void *context, struct bw_arena *arena, struct bw_store_scope_key *out,
                                 struct bw_error *err);
    enum bw_code (*meeting_key)(void *context, const struct bw_id *key, struct bw_store_meeting_key *out,
                                struct bw_error *err);
    /* The entries of a meeting in the order in which they joined. NOT_FOUND: no such meeting. */
    enum bw_code (*places)(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                           bw_vault_on_place *each, void *each_context, struct bw_error *err);
    enum bw_code (*roster)(void *context, const struct bw_id *tenant, const struct bw_id *record,
                           struct bw_buf *out, struct bw_error *err);
    enum bw_code (*chunks)(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                           uint32_t slot, uint32_t slot_to, uint64_t from_ms, uint64_t to_ms,
                           bw_store_on_chunk *each, void *each_context, struct bw_error *err);
    enum bw_code (*chunks_count)(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                                 uint64_t *count, struct bw_error *err);
    enum bw_code (*sketches)(void *context, const struct bw_id *tenant, uint64_t from_ms, uint64_t to_ms,
                             bw_store_on_sketch *each, void *each_context, struct bw_error *err);
    enum bw_code (*audit)(void *context, const struct bw_store_audit *entry, struct bw_error *err);
    enum bw_code (*last_kind)(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                              uint16_t *kind, struct bw_error *err);
    enum bw_code (*keys_list)(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                              struct bw_buf *out, struct bw_error *err);
    enum bw_code (*erasure_find)(void *context, const struct bw_id *tenant, const struct bw_id *request,
                                 struct bw_id *meeting, struct bw_buf *receipt, struct bw_error *err);
    enum bw_code (*erase)(void *context, const struct bw_store_erase *erase, struct bw_buf *receipt,
                          struct bw_error *err);
    enum bw_code (*sweep)(void *context, const struct bw_id *tenant, uint64_t quality_ms,
                          uint64_t participants_ms, struct bw_store_swept *out, struct bw_error *err);
};

struct bw_vault_core;

struct bw_vault_core_config {
    struct bw_vault_ports ports;
    const char *cell;                           /* name */
    uint8_t service_seed[BW_ED25519_SEED_SIZE]; /* the caller wipes its copy */
};

/* Root keys that cannot be opened are a state, not a failure. INTERNAL, RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_vault_core_create(const struct bw_vault_core_config *config,
                                              struct bw_vault_core **out, struct bw_error *err);
/* Wipes. NULL is allowed. */
void bw_vault_core_destroy(struct bw_vault_core *core);

/* Answers a request with one or more frames. False: nobody listens any more. */
bool bw_vault_core_answer(struct bw_vault_core *core, const struct bw_vault_request *request);

/* Looks whether the root keys are there and fit what is in the database, and wipes keys kept for too long;
 * about once a minute. */
void bw_vault_core_probe(struct bw_vault_core *core);
enum bw_provider_state bw_vault_core_state(const struct bw_vault_core *core);
/* The words of a state that is not OK; else "". */
const char *bw_vault_core_why(const struct bw_vault_core *core);
/* The same for the log alone. */
const char *bw_vault_core_detail(const struct bw_vault_core *core);

/* What an administrator is shown for a provider's state: "ACTIVE", "UNREACHABLE", "DENIED", "DISABLED",
 * "DESTROYED", "MISCONFIGURED". */
const char *bw_vault_state_name(enum bw_provider_state state);

/* keystore.erasure.receipt. */
enum { BW_VAULT_RECEIPT_SIZE = 129 };
void bw_vault_receipt_store(const struct bw_vault_receipt *receipt, uint8_t out[BW_VAULT_RECEIPT_SIZE]);
bool bw_vault_receipt_load(struct bw_view stored, struct bw_vault_receipt *receipt);

#endif
