/* The sealing side: what the serving process can do with public keys alone. It makes meeting keys, seals them
 * to the tenant's scope key of the day, and seals records under them; it holds the keys of live meetings and
 * cannot open what it sealed yesterday. Threads: one sealer a thread. */
#ifndef BW_VAULT_SEALER_H
#define BW_VAULT_SEALER_H

#include "base/buf.h"
#include "base/id.h"
#include "vault/record.h"
#include "vault/scope.h"

enum {
    BW_MEETING_KEY_SEALED_SIZE = 48,
    BW_SEALER_KEY_LIFE_MS = 24 * 3600 * 1000, /* then a meeting gets a new key */
    BW_SEALER_FORWARD_MS = 24 * 3600 * 1000,  /* how long past its day a scope key may still be sealed to */
};

/* The row of keystore.meeting_key: a meeting key, sealed to a scope key. `meeting` is zero for a key of the
 * tenant's own (group records, sketches). */
struct bw_meeting_key_row {
    struct bw_id key_id, tenant, meeting, scope_key;
    uint8_t enc[BW_X25519_SIZE];
    uint8_t sealed[BW_MEETING_KEY_SEALED_SIZE];
};

/* Fills n bytes fit for keys; bw_random_bytes (runtime/random.h) has this shape but for the context. */
typedef void bw_sealer_random(void *context, void *out, size_t n);

struct bw_capsules;

struct bw_sealer_config {
    const char *cell;                               /* its name: the region records are bound to */
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE]; /* pinned: signs scope keys */
    bw_sealer_random *random;                       /* NULL: the kernel's */
    void *random_context;
    size_t meetings_max;          /* keys held at a time; 0: 65536 */
    struct bw_capsules *capsules; /* made ahead; NULL: none. Outlives the sealer */
};

struct bw_sealer;
/* A meeting key in a sealer; valid until bw_sealer_forget of its meeting or destroy, and while fewer than
 * half of meetings_max others are asked for: use it at once. */
struct bw_sealing_key;

/* INVALID_ARGUMENT (service key), RESOURCE_EXHAUSTED, INTERNAL (reason RANDOM_STUCK: the random source
 * repeats itself). */
BW_MUST_USE enum bw_code bw_sealer_create(const struct bw_sealer_config *config, struct bw_sealer **out,
                                          struct bw_error *err);
/* Wipes. NULL is allowed. */
void bw_sealer_destroy(struct bw_sealer *sealer);

/* Learns a public key from the vault; known ones are no error. PERMISSION_DENIED (SCOPE_KEY_UNSIGNED),
 * RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_sealer_scope(struct bw_sealer *sealer, const struct bw_scope_public *scope,
                                         struct bw_error *err);

enum bw_sealer_readiness {
    BW_SEALER_NO_KEY,  /* bw_sealer_meeting would answer NOT_FOUND: ask the vault */
    BW_SEALER_FORWARD, /* seals to an older day's key: the vault should be asked again */
    BW_SEALER_READY,
};
enum bw_sealer_readiness bw_sealer_ready(const struct bw_sealer *sealer, const struct bw_id *tenant,
                                         uint64_t now_ms);

/* The key to seal with for a meeting (zero: the tenant's own). Until bw_sealer_stored(), *is_new is true and
 * *row is filled: the caller writes that row in the same transaction as the first record (or an earlier one),
 * `ON CONFLICT DO NOTHING`. A new key costs some 65 us, or 4 with a capsule made ahead, an old one a look-up.
 * NOT_FOUND (reason SCOPE_KEY_MISSING) when no usable scope key of the tenant is known, RESOURCE_EXHAUSTED
 * (memory, or too many meetings whose keys are not stored yet), INTERNAL (RANDOM_STUCK). */
BW_MUST_USE enum bw_code bw_sealer_meeting(struct bw_sealer *sealer, const struct bw_id *tenant,
                                           const struct bw_id *meeting, uint64_t now_ms,
                                           const struct bw_sealing_key **key, struct bw_meeting_key_row *row,
                                           bool *is_new, struct bw_error *err);
const struct bw_id *bw_sealing_key_id(const struct bw_sealing_key *key);
/* The row with this key id is committed: it is not asked for again. Unknown ids are ignored. */
void bw_sealer_stored(struct bw_sealer *sealer, const struct bw_id *tenant, const struct bw_id *meeting,
                      const struct bw_id *key_id);
/* The meeting is over (or its row's transaction was refused for good): wipes its key. */
void bw_sealer_forget(struct bw_sealer *sealer, const struct bw_id *tenant, const struct bw_id *meeting);
size_t bw_sealer_meetings(const struct bw_sealer *sealer);

/* Appends a record. Of info the sealer sets meeting_key; of the context it sets tenant, meeting, region and
 * scope (those of the key), so the caller fills row, table and column. INVALID_ARGUMENT, RESOURCE_EXHAUSTED,
 * INTERNAL (RANDOM_STUCK). */
struct bw_seal_place {
    struct bw_id row;
    uint8_t table[4], column[4];
};
BW_MUST_USE enum bw_code bw_sealer_record(struct bw_sealer *sealer, const struct bw_sealing_key *key,
                                          const struct bw_record_info *info,
                                          const struct bw_seal_place *place, struct bw_view plaintext,
                                          struct bw_buf *out, struct bw_error *err);
/* Appends one sealed roster entry (plaintext from bw_roster_entry_encode), for bw_roster_add. The key is the
 * meeting's, not the tenant's. Errors as bw_sealer_record. */
BW_MUST_USE enum bw_code bw_sealer_roster_entry(struct bw_sealer *sealer, const struct bw_sealing_key *key,
                                                const struct bw_id *roster_entry, struct bw_view plaintext,
                                                struct bw_buf *out, struct bw_error *err);

#endif
