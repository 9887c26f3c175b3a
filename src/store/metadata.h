/* Sealed metadata as the vault sees it, under the role bailiwick_vault: wrapped keys, sealed rows, the audit,
 * and what ends them. The network-facing process has no right to any of this; it writes sealed rows through
 * store/writer.h. Records, wrapped and sealed keys are opaque bytes here.
 * Threads and errors: as store/db.h; FAILED_PRECONDITION, reason DATABASE_RIGHTS: the database user is no
 * member of bailiwick_vault. */
#ifndef BW_STORE_METADATA_H
#define BW_STORE_METADATA_H

#include "store/db.h"
#include "store/sealed.h"

enum { BW_STORE_SCOPE_SIZE = 8, BW_STORE_ROOT_SIZE = 64 };

struct bw_store_scope_key {
    struct bw_id id, tenant;
    uint8_t scope[BW_STORE_SCOPE_SIZE];
    uint32_t day; /* UTC, since 1970-01-01 */
    uint8_t public_key[32], signature[64];
    char root[BW_STORE_ROOT_SIZE]; /* name of the root key it is wrapped under */
    struct bw_view wrapped;        /* read: in the arena given */
};

/* The tenant's key of that day, or *proposed once it is stored: of several at a time one wins, and everybody
 * gets that one. */
BW_MUST_USE enum bw_code bw_store_scope_key_settle(struct bw_store_db *db,
                                                   const struct bw_store_scope_key *proposed,
                                                   struct bw_arena *arena, struct bw_store_scope_key *out,
                                                   struct bw_error *err);
/* NOT_FOUND. */
BW_MUST_USE enum bw_code bw_store_scope_key_find(struct bw_store_db *db, const struct bw_id *tenant,
                                                 const uint8_t scope[BW_STORE_SCOPE_SIZE], uint32_t day,
                                                 struct bw_arena *arena, struct bw_store_scope_key *out,
                                                 struct bw_error *err);
BW_MUST_USE enum bw_code bw_store_scope_key_read(struct bw_store_db *db, const struct bw_id *id,
                                                 struct bw_arena *arena, struct bw_store_scope_key *out,
                                                 struct bw_error *err);
/* The one made last. NOT_FOUND: there is none yet. */
BW_MUST_USE enum bw_code bw_store_scope_key_newest(struct bw_store_db *db, struct bw_arena *arena,
                                                   struct bw_store_scope_key *out, struct bw_error *err);
/* NOT_FOUND: destroyed, or never written. */
BW_MUST_USE enum bw_code bw_store_meeting_key_read(struct bw_store_db *db, const struct bw_id *key,
                                                   struct bw_store_meeting_key *out, struct bw_error *err);

/* Appended to *out. NOT_FOUND. */
BW_MUST_USE enum bw_code bw_store_roster_read(struct bw_store_db *db, const struct bw_id *tenant,
                                              const struct bw_id *record, struct bw_buf *out,
                                              struct bw_error *err);

struct bw_store_chunk {
    struct bw_id id, tenant, meeting, stream;
    uint32_t slot;
    uint8_t source; /* 0 a relay, 1 the client */
    uint64_t seq, from_ms, to_ms;
    struct bw_view record;
};
/* False stops. The record is borrowed for the call. */
typedef bool bw_store_on_chunk(void *context, const struct bw_store_chunk *chunk);
/* A meeting's chunks of the slots from `slot` to `slot_to` that touch [from_ms, to_ms), by slot, stream and
 * seq. */
BW_MUST_USE enum bw_code bw_store_chunks_read(struct bw_store_db *db, const struct bw_id *tenant,
                                              const struct bw_id *meeting, uint32_t slot, uint32_t slot_to,
                                              uint64_t from_ms, uint64_t to_ms, bw_store_on_chunk *each,
                                              void *context, struct bw_error *err);
BW_MUST_USE enum bw_code bw_store_chunks_count(struct bw_store_db *db, const struct bw_id *tenant,
                                               const struct bw_id *meeting, uint64_t *count,
                                               struct bw_error *err);

struct bw_store_sketch {
    struct bw_id id, tenant;
    uint64_t hour_ms;
    struct bw_view record;
};
typedef bool bw_store_on_sketch(void *context, const struct bw_store_sketch *sketch);
/* Hours that begin in [from_ms, to_ms), in order. */
BW_MUST_USE enum bw_code bw_store_sketches_read(struct bw_store_db *db, const struct bw_id *tenant,
                                                uint64_t from_ms, uint64_t to_ms, bw_store_on_sketch *each,
                                                void *context, struct bw_error *err);

struct bw_store_audit {
    const char *actor, *role, *method, *fields, *outcome;
    struct bw_id tenant, meeting, request; /* meeting zero: a range of time */
    uint32_t rows;
};
/* Durable when it returns BW_OK. */
BW_MUST_USE enum bw_code bw_store_audit_write(struct bw_store_db *db, const struct bw_store_audit *entry,
                                              struct bw_error *err);

/* The kind of the meeting's last decision. NOT_FOUND: the tenant has no such meeting. */
BW_MUST_USE enum bw_code bw_store_meeting_last_kind(struct bw_store_db *db, const struct bw_id *tenant,
                                                    const struct bw_id *meeting, uint16_t *kind,
                                                    struct bw_error *err);
/* The ids of a meeting's keys, ascending, 16 bytes each, appended to *out. */
BW_MUST_USE enum bw_code bw_store_meeting_keys_list(struct bw_store_db *db, const struct bw_id *tenant,
                                                    const struct bw_id *meeting, struct bw_buf *out,
                                                    struct bw_error *err);
/* The receipt of an erasure that this request made before. NOT_FOUND. */
BW_MUST_USE enum bw_code bw_store_erasure_find(struct bw_store_db *db, const struct bw_id *tenant,
                                               const struct bw_id *request, struct bw_id *meeting,
                                               struct bw_buf *receipt, struct bw_error *err);
struct bw_store_erase {
    struct bw_id tenant, meeting, request;
    const char *actor;
    uint64_t at_ms;
    uint32_t keys; /* that the receipt counts */
    struct bw_view receipt;
};
/* Destroys the keys and keeps the receipt, together. *receipt gets the one that counts: an earlier call's
 * when the request was made before. ABORTED, reason REVISION_CONFLICT: the number of keys is another. */
BW_MUST_USE enum bw_code bw_store_meeting_erase(struct bw_store_db *db, const struct bw_store_erase *erase,
                                                struct bw_buf *receipt, struct bw_error *err);

enum { BW_STORE_SWEEP_ROWS = 20000 }; /* of one table at a time, as the function in schema/ has it */
struct bw_store_swept {
    uint64_t chunks, sketches, rosters, keys, scopes;
    bool more; /* a table had more than that: sweep again */
};
/* Deletes what is older than these moments (unix milliseconds). */
BW_MUST_USE enum bw_code bw_store_metadata_sweep(struct bw_store_db *db, const struct bw_id *tenant,
                                                 uint64_t quality_ms, uint64_t participants_ms,
                                                 struct bw_store_swept *out, struct bw_error *err);

/* Whether this user could read wrapped keys, itself or through a role: true for bailiwick_vault's members,
 * and must be false for the network-facing process. */
BW_MUST_USE enum bw_code bw_store_keys_readable(struct bw_store_db *db, bool *readable, struct bw_error *err);

#endif
