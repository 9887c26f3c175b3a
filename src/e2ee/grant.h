/* Grants: short signed statements by which a relay admits one roster entry, verified offline.
 *
 * Layout, big-endian, fixed: body (136 bytes)
 *     0 magic "BWG1"   4 version 1   5 flags 0   6 role   7 mode   8 cell id 16   24 tenant 16
 *    40 meeting 16    56 meeting epoch u32   60 mode epoch u32   64 roster entry 16   80 slot u32
 *    84 relay u32     88 not before u64 ms   96 expires u64 ms  104 stream id 16     120 group u64
 *   128 key id 8
 * then the proof: leaf index u32, leaf count u32, path length u8, path n*32, Ed25519 signature 64.
 * A batch is one Merkle tree (RFC 6962 hashing) over the bodies; the signature is over
 * "bw-grant-root/v1\0" || root || u32 leaf count, so one signature serves up to 4096 grants.
 * Threads: batches and verifiers one at a time; everything else is pure. */
#ifndef BW_E2EE_GRANT_H
#define BW_E2EE_GRANT_H

#include "base/buf.h"
#include "base/id.h"
#include "base/secret.h"
#include "base/status.h"
#include "crypto/ed25519.h"
#include "crypto/merkle.h"
#include "e2ee/mode.h"

enum {
    BW_GRANT_BODY_SIZE = 136,
    BW_GRANT_LEAVES_MAX = 4096,
    BW_GRANT_PATH_MAX = 12, /* log2 of the above */
    BW_GRANT_TOKEN_MAX = BW_GRANT_BODY_SIZE + 9 + BW_GRANT_PATH_MAX * 32 + 64,
    BW_GRANT_SIGNED_SIZE = 17 + 32 + 4,
    BW_GRANT_KEY_ID_SIZE = 8,
    BW_GRANT_LIFE_MAX_MS = 120000,
    BW_GRANT_HOP_KEY_SIZE = 32,
    BW_GRANT_SECRET_SIZE = 32, /* a relay's session secret */
};

/* Numbers are those of the wire. */
enum bw_role { BW_ROLE_NONE = 0, BW_ROLE_SPEAKER = 1, BW_ROLE_LISTENER = 2, BW_ROLE_CONNECTOR = 3 };

struct bw_grant {
    enum bw_role role;
    enum bw_mode mode; /* e2ee, e2ee+connectors, hop or partial */
    struct bw_id cell; /* bw_grant_cell_id */
    struct bw_id tenant, meeting;
    uint32_t meeting_epoch, mode_epoch;
    struct bw_id roster_entry; /* never zero: nobody is placed who is not on the roster */
    uint32_t slot, relay;
    uint64_t not_before_ms, expires_ms; /* unix; at most BW_GRANT_LIFE_MAX_MS apart */
    struct bw_id stream;                /* of the decision log */
    uint64_t group;                     /* of the decision */
    uint8_t key_id[BW_GRANT_KEY_ID_SIZE];
};

/* First 16 bytes of SHA-256("bw-cell/v1" || name). */
struct bw_id bw_grant_cell_id(struct bw_view cell_name);
/* First 8 bytes of SHA-256("bw-grant-key/v1" || public key). */
void bw_grant_key_id(const uint8_t public_key[BW_ED25519_PUBLIC_SIZE], uint8_t id[BW_GRANT_KEY_ID_SIZE]);

/* INVALID_ARGUMENT for a grant that no relay would take (role, mode, life, zero ids or epochs). */
BW_MUST_USE enum bw_code bw_grant_encode(const struct bw_grant *grant, uint8_t body[BW_GRANT_BODY_SIZE],
                                         struct bw_error *err);

/* ---- signing side: the grants of one tick -------------------------------------------------------------- */

struct bw_grant_batch;

/* RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_grant_batch_create(struct bw_grant_batch **out, struct bw_error *err);
/* NULL is allowed. */
void bw_grant_batch_destroy(struct bw_grant_batch *batch);
/* Forgets the grants, keeps the memory. */
void bw_grant_batch_clear(struct bw_grant_batch *batch);
/* *index is the grant's place in the batch. INVALID_ARGUMENT as bw_grant_encode; RESOURCE_EXHAUSTED when the
 * batch is full or memory is out; FAILED_PRECONDITION once sealed. The batch is then as it was. */
BW_MUST_USE enum bw_code bw_grant_batch_add(struct bw_grant_batch *batch, const struct bw_grant *grant,
                                            uint32_t *index, struct bw_error *err);
uint32_t bw_grant_batch_count(const struct bw_grant_batch *batch);
/* Ends adding and gives what the signer is asked to sign (with bw_grant_batch_count). FAILED_PRECONDITION
 * when empty or sealed before; RESOURCE_EXHAUSTED, and sealing may be tried again. */
BW_MUST_USE enum bw_code bw_grant_batch_seal(struct bw_grant_batch *batch, struct bw_merkle_hash *root,
                                             struct bw_error *err);
/* Appends the token of one grant of a sealed batch; its length is known only here. RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_grant_batch_token(const struct bw_grant_batch *batch, uint32_t index,
                                              const uint8_t signature[BW_ED25519_SIGNATURE_SIZE],
                                              struct bw_buf *out, struct bw_error *err);
/* SHA-256 of a grant's body: what its hop key is bound to. */
void bw_grant_batch_body_hash(const struct bw_grant_batch *batch, uint32_t index,
                              uint8_t hash[BW_SHA256_SIZE]);

/* The bytes the signature is over. */
void bw_grant_signed_bytes(const struct bw_merkle_hash *root, uint32_t leaves,
                           uint8_t out[BW_GRANT_SIGNED_SIZE]);

/* ---- verifying side: relays and clients ---------------------------------------------------------------- */

/* X(NAME, text): every way a token is refused, each told apart. */
#define BW_GRANT_REFUSAL_MAP(X)                                                                              \
    X(TRUNCATED, "the token is shorter or longer than its layout")                                           \
    X(BAD_MAGIC, "not a grant")                                                                              \
    X(BAD_VERSION, "a grant of a version this program does not know")                                        \
    X(BAD_FLAGS, "reserved flags are set")                                                                   \
    X(BAD_ROLE, "the role is not one a grant can give")                                                      \
    X(BAD_MODE, "the mode is not one a grant can give")                                                      \
    X(BAD_FIELD, "an id or epoch that must be set is zero")                                                  \
    X(BAD_LIFE, "the life is not positive, or is longer than 120 s")                                         \
    X(BAD_BATCH, "the leaf index, leaf count and path length do not fit together")                           \
    X(WRONG_CELL, "the grant is of another cell")                                                            \
    X(WRONG_RELAY, "the grant is for another relay")                                                         \
    X(NOT_YET_VALID, "the grant is not valid yet; check the clocks")                                         \
    X(EXPIRED, "the grant has expired; ask for a new one")                                                   \
    X(UNKNOWN_KEY, "signed with a key this verifier does not hold")                                          \
    X(BAD_SIGNATURE, "the signature does not prove this grant")                                              \
    X(WRONG_MEETING, "the slot belongs to another meeting")                                                  \
    X(STALE_MEETING_EPOCH, "the grant is of an older meeting epoch")                                         \
    X(FUTURE_MEETING_EPOCH, "the grant is of a meeting epoch not known here yet")                            \
    X(WRONG_MODE, "the grant's mode is not the slot's")                                                      \
    X(STALE_MODE_EPOCH, "the grant is of an older mode epoch")                                               \
    X(FUTURE_MODE_EPOCH, "the grant is of a mode epoch not known here yet")                                  \
    X(WRONG_SLOT, "the grant is for another slot")                                                           \
    X(WRONG_ROSTER_ENTRY, "the slot belongs to another roster entry")                                        \
    X(WRONG_ROLE, "the grant's role is not the slot's")

enum bw_grant_refusal {
    BW_GRANT_OK = 0,
#define X(name, text) BW_GRANT_##name,
    BW_GRANT_REFUSAL_MAP(X)
#undef X
        BW_GRANT_REFUSAL_COUNT
};

/* "WRONG_RELAY"; "OK" for BW_GRANT_OK. */
const char *bw_grant_refusal_name(enum bw_grant_refusal refusal);
const char *bw_grant_refusal_text(enum bw_grant_refusal refusal);

struct bw_grant_verifier;

enum { BW_GRANT_KEYS_MAX = 16 };

/* `roots` is how many verified roots are remembered (rounded up to a multiple of 4; 0: 1024). A root is
 * signed once for a whole tick of the cell, so a relay's grants mostly cost hashes. RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_grant_verifier_create(size_t roots, struct bw_grant_verifier **out,
                                                  struct bw_error *err);
/* NULL is allowed. */
void bw_grant_verifier_destroy(struct bw_grant_verifier *verifier);
/* A key that is there already is BW_OK. RESOURCE_EXHAUSTED past BW_GRANT_KEYS_MAX; INVALID_ARGUMENT; both
 * leave the set as it was. */
BW_MUST_USE enum bw_code bw_grant_verifier_add_key(struct bw_grant_verifier *verifier,
                                                   const uint8_t public_key[BW_ED25519_PUBLIC_SIZE],
                                                   struct bw_error *err);
/* Forgets the key and every root it signed; false when it was not there. */
bool bw_grant_verifier_remove_key(struct bw_grant_verifier *verifier,
                                  const uint8_t key_id[BW_GRANT_KEY_ID_SIZE]);
size_t bw_grant_verifier_keys(const struct bw_grant_verifier *verifier);

/* What must fit before anything is believed. relay 0: any (a client checks its own grant). */
struct bw_grant_expect {
    struct bw_id cell;
    uint32_t relay;
    uint64_t now_ms;  /* unix */
    uint64_t skew_ms; /* how far clocks may differ, either way */
};

/* Cheap checks come first, so that only a token that could be good costs a signature. *grant and body_hash
 * (SHA-256 of the body; may be NULL) are written only for BW_GRANT_OK. */
BW_MUST_USE enum bw_grant_refusal bw_grant_verify(struct bw_grant_verifier *verifier, struct bw_view token,
                                                  const struct bw_grant_expect *expect,
                                                  struct bw_grant *grant, uint8_t body_hash[BW_SHA256_SIZE]);

struct bw_grant_stats {
    uint64_t signatures; /* Ed25519 verifications */
    uint64_t cache_hits;
};
struct bw_grant_stats bw_grant_verifier_stats(const struct bw_grant_verifier *verifier);

/* The slot a relay holds (MeetingSlot). */
struct bw_grant_slot {
    struct bw_id meeting, roster_entry;
    uint32_t slot, meeting_epoch, mode_epoch;
    enum bw_mode mode;
    enum bw_role role;
};

/* Does a verified grant fit the slot held for it? */
BW_MUST_USE enum bw_grant_refusal bw_grant_fits_slot(const struct bw_grant *grant,
                                                     const struct bw_grant_slot *slot);

/* Parses without verifying: for display (`meeting verify-grant` shows what it refuses). */
BW_MUST_USE enum bw_grant_refusal bw_grant_parse(struct bw_view token, struct bw_grant *grant);

/* ---- keys derived from grants -------------------------------------------------------------------------- */

/* HKDF-SHA256(ikm session secret, salt "", info "bw-hop/v1" || body hash): authenticates datagrams between
 * the grant's holder and its relay, protects no media. */
void bw_grant_hop_key(const uint8_t session_secret[BW_GRANT_SECRET_SIZE],
                      const uint8_t body_hash[BW_SHA256_SIZE], struct bw_secret *key);
/* HKDF-SHA256(ikm secret of the lower-numbered relay || of the higher, salt "", info "bw-link/v1" || meeting
 * || u32 low || u32 high). The order of the two relays in the call does not matter; a != b. */
void bw_grant_link_key(const struct bw_id *meeting, uint32_t relay_a,
                       const uint8_t secret_a[BW_GRANT_SECRET_SIZE], uint32_t relay_b,
                       const uint8_t secret_b[BW_GRANT_SECRET_SIZE], struct bw_secret *key);

#endif
