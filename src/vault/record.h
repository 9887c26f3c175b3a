/* The sealed record, version 1: how metadata lies at rest. docs/reference/sealed-records.md has it to the
 * byte. A record is bound to the row it lies in: the context is rebuilt from the row, never stored, and a
 * record copied anywhere else does not open. It commits to its key: no bytes open under two keys. Each record
 * has keys of its own, derived from the meeting key and a salt, so there is no nonce to manage.
 * Threads: one at a time a struct bw_gcm. */
#ifndef BW_VAULT_RECORD_H
#define BW_VAULT_RECORD_H

#include "base/buf.h"
#include "base/id.h"
#include "crypto/gcm.h"

enum {
    BW_RECORD_OVERHEAD = 172,      /* bytes beyond the (padded) plaintext */
    BW_RECORD_KEY_SIZE = 32,       /* a meeting key */
    BW_RECORD_RANDOM_SIZE = 32,    /* fresh for each record */
    BW_RECORD_HEDGE_SIZE = 32,     /* of the process that seals: keeps salts apart should randomness fail */
    BW_RECORD_CONTEXT_SIZE = 72,   /* in bytes, as it is hashed */
    BW_RECORD_PLAIN_MAX = 8 << 20, /* larger plaintexts are refused */
    BW_RECORD_PAD_CLASS_MIN = 5,   /* 32 bytes */
    BW_RECORD_PAD_CLASS_MAX = 16,  /* 64 KiB */
};

/* What a record holds. Numbers are durable. */
enum bw_record_type {
    BW_RECORD_ROSTER = 1, /* the entries of one group (vault/roster.h) */
    BW_RECORD_CHUNK = 2,  /* a run of quality samples */
    BW_RECORD_SKETCH = 3, /* a tenant-hour of sketches */
};

/* Where a record lies. For what is of no one meeting, `meeting` is zero. */
struct bw_record_context {
    struct bw_id tenant, meeting, row;
    uint8_t region[8]; /* bw_record_region() */
    uint8_t scope[8];  /* zero: everyone */
    uint8_t table[4], column[4];
};

/* The part of the header that its writer chooses; all of it is authenticated, none of it is secret. */
struct bw_record_info {
    uint8_t type;                              /* enum bw_record_type */
    uint8_t flags;                             /* version 1 has none: others than 0 are refused */
    struct bw_id meeting_key, participant_key; /* participant_key zero: the meeting key alone opens it */
    struct bw_id stream;
    uint64_t chunk_seq;
    int64_t time_bucket; /* the writer's; by convention unix milliseconds of the first thing inside */
    uint32_t epoch;
    uint16_t schema;    /* version of the body's format */
    uint16_t pad_class; /* 0: none; c in 5..16: the plaintext is padded to a multiple of 2^c bytes */
};

/* First 8 bytes of SHA-256("bw-cell/v1" || name of the cell). */
void bw_record_region(const char *cell, uint8_t region[8]);

/* Bytes of the record that seals `plain` bytes under this padding class. */
size_t bw_record_size(size_t plain, uint16_t pad_class);

/* Appends the record. `hedge` and `random`: see the sizes above. INVALID_ARGUMENT (too large, a pad class or
 * flag that does not exist), RESOURCE_EXHAUSTED, INTERNAL; `out` is then as it was. */
BW_MUST_USE enum bw_code bw_record_seal(struct bw_gcm *gcm, const uint8_t key[BW_RECORD_KEY_SIZE],
                                        const struct bw_record_info *info,
                                        const struct bw_record_context *context, struct bw_view plaintext,
                                        const uint8_t hedge[BW_RECORD_HEDGE_SIZE],
                                        const uint8_t random[BW_RECORD_RANDOM_SIZE], struct bw_buf *out,
                                        struct bw_error *err);
/* Reads the header alone, to learn which key opens the record; nothing of it is trusted before
 * bw_record_open. DATA_LOSS when it is no whole record, UNIMPLEMENTED for a version, suite or flag this
 * program does not know. */
BW_MUST_USE enum bw_code bw_record_peek(struct bw_view record, struct bw_record_info *info,
                                        struct bw_error *err);
/* Appends the plaintext without its padding. DATA_LOSS when a single bit of record, key or context differs
 * (reason RECORD_COMMITMENT: another key or place; RECORD_TAG: changed bytes), UNIMPLEMENTED as above,
 * RESOURCE_EXHAUSTED; `plaintext` is then as it was, and nothing is left behind it. */
BW_MUST_USE enum bw_code bw_record_open(struct bw_gcm *gcm, const uint8_t key[BW_RECORD_KEY_SIZE],
                                        const struct bw_record_context *context, struct bw_view record,
                                        struct bw_record_info *info, struct bw_buf *plaintext,
                                        struct bw_error *err);

#endif
