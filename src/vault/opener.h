/* The opening side, in the vault process alone: scope keys are unwrapped by the provider, meeting keys opened
 * with them, records opened with those. Keys are cached for a bounded time and wiped. The opener reads no
 * database: its caller brings the rows. Threads: one at a time. */
#ifndef BW_VAULT_OPENER_H
#define BW_VAULT_OPENER_H

#include "vault/provider.h"
#include "vault/record.h"
#include "vault/scope.h"
#include "vault/sealer.h"

struct bw_opener;

struct bw_opener_config {
    const char *cell;             /* as the sealer's */
    struct bw_provider *provider; /* borrowed; outlives the opener */
    uint64_t cache_ms;            /* how long keys are kept; 0: 300,000, which is also the most */
    size_t keys_max;              /* scope keys and meeting keys held, each; 0: 4096. The oldest go first */
};

BW_MUST_USE enum bw_code bw_opener_create(const struct bw_opener_config *config, struct bw_opener **out,
                                          struct bw_error *err);
/* Wipes. NULL is allowed. */
void bw_opener_destroy(struct bw_opener *opener);

/* Is the scope or meeting key there, and not too old? If not, bring its row. */
bool bw_opener_has_scope(struct bw_opener *opener, const struct bw_id *scope_key, uint64_t now_ms);
bool bw_opener_has_meeting_key(struct bw_opener *opener, const struct bw_id *meeting_key, uint64_t now_ms);

/* Unwraps a scope key (no-op when it is there). The provider's state; GONE, DENIED and DISABLED also forget
 * everything the provider ever unwrapped. *err as the provider fills it. */
BW_MUST_USE enum bw_provider_state bw_opener_scope(struct bw_opener *opener,
                                                   const struct bw_scope_wrapped *scope, uint64_t now_ms,
                                                   struct bw_error *err);
/* Opens a meeting key with its scope key. NOT_FOUND (SCOPE_KEY_MISSING) when that is not there: bring it
 * first. DATA_LOSS (MEETING_KEY_CORRUPT) when the row was changed, or is of another tenant or meeting. */
BW_MUST_USE enum bw_code bw_opener_meeting_key(struct bw_opener *opener, const struct bw_meeting_key_row *row,
                                               uint64_t now_ms, struct bw_error *err);

/* Appends a record's plaintext. Of the context the caller fills tenant, meeting, row, table and column from
 * the row it read; region and scope are set here. NOT_FOUND (MEETING_KEY_MISSING): bring the meeting key that
 * bw_record_peek names; when the database has none, it was destroyed. DATA_LOSS, UNIMPLEMENTED (as
 * bw_record_open; also a record that needs a participant key), RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_opener_record(struct bw_opener *opener, const struct bw_record_context *context,
                                          struct bw_view record, uint64_t now_ms, struct bw_record_info *info,
                                          struct bw_buf *plaintext, struct bw_error *err);
/* The id of the meeting key a sealed roster entry names; DATA_LOSS when it is too short. */
BW_MUST_USE enum bw_code bw_opener_entry_key(struct bw_view sealed, struct bw_id *meeting_key,
                                             struct bw_error *err);
/* Appends a roster entry's plaintext (for bw_roster_entry_decode). Errors as bw_opener_record. */
BW_MUST_USE enum bw_code bw_opener_roster_entry(struct bw_opener *opener, const struct bw_id *tenant,
                                                const struct bw_id *meeting, const struct bw_id *roster_entry,
                                                struct bw_view sealed, uint64_t now_ms,
                                                struct bw_buf *plaintext, struct bw_error *err);

/* Wipes keys older than cache_ms; call it from time to time (a key that is too old is never used anyway). */
void bw_opener_expire(struct bw_opener *opener, uint64_t now_ms);
/* A destroyed meeting, tenant, or everything (denied): wipes at once. */
void bw_opener_forget_meeting(struct bw_opener *opener, const struct bw_id *tenant,
                              const struct bw_id *meeting);
void bw_opener_forget_tenant(struct bw_opener *opener, const struct bw_id *tenant);
void bw_opener_purge(struct bw_opener *opener);
size_t bw_opener_keys(const struct bw_opener *opener);

#endif
