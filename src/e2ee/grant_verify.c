#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "e2ee/grant_layout.h"

enum { ROOTS_DEFAULT = 1024, WAYS = 4 };

struct verifier_key {
    uint8_t id[BW_GRANT_KEY_ID_SIZE];
    struct bw_ed25519_verifier *verifier;
};

/* A root that a key of ours is known to have signed. The signature is part of the entry, so that a token
 * whose signature was altered does not pass on the strength of a sibling's. */
struct verified_root {
    bool used;
    uint8_t key_id[BW_GRANT_KEY_ID_SIZE];
    struct bw_merkle_hash root;
    uint32_t leaves;
    uint8_t signature[BW_ED25519_SIGNATURE_SIZE];
    uint64_t last_use;
};

struct bw_grant_verifier {
    struct verifier_key keys[BW_GRANT_KEYS_MAX];
    size_t key_count;
    /* Sets of WAYS entries. Only roots a key really signed get in, so no stranger can flush it. */
    struct verified_root *roots;
    size_t sets;
    uint64_t uses;
    struct bw_grant_stats stats;
};

/* A token taken apart. */
struct token {
    struct bw_grant grant;
    struct bw_view body, path;
    uint32_t index, leaves;
    uint8_t signature[BW_ED25519_SIGNATURE_SIZE];
};

enum bw_code bw_grant_verifier_create(size_t roots, struct bw_grant_verifier **out, struct bw_error *err)
{
    struct bw_grant_verifier *verifier = bw_calloc(1, sizeof *verifier);
    if (verifier == NULL)
        return bw_fail_memory(err);
    verifier->sets = ((roots ? roots : ROOTS_DEFAULT) + WAYS - 1) / WAYS;
    verifier->roots = bw_calloc(verifier->sets * WAYS, sizeof *verifier->roots);
    if (verifier->roots == NULL) {
        bw_grant_verifier_destroy(verifier);
        return bw_fail_memory(err);
    }
    *out = verifier;
    return BW_OK;
}

void bw_grant_verifier_destroy(struct bw_grant_verifier *verifier)
{
    if (verifier == NULL)
        return;
    for (size_t i = 0; i < verifier->key_count; i++)
        bw_ed25519_verifier_destroy(verifier->keys[i].verifier);
    bw_free(verifier->roots);
    bw_free(verifier);
}

static struct verifier_key *find_key(struct bw_grant_verifier *verifier,
                                     const uint8_t id[BW_GRANT_KEY_ID_SIZE])
{
    for (size_t i = 0; i < verifier->key_count; i++) {
        if (memcmp(verifier->keys[i].id, id, BW_GRANT_KEY_ID_SIZE) == 0)
            return &verifier->keys[i];
    }
    return NULL;
}

enum bw_code bw_grant_verifier_add_key(struct bw_grant_verifier *verifier,
                                       const uint8_t public_key[BW_ED25519_PUBLIC_SIZE], struct bw_error *err)
{
    struct verifier_key key;
    bw_grant_key_id(public_key, key.id);
    if (find_key(verifier, key.id) != NULL)
        return BW_OK;
    if (verifier->key_count == BW_GRANT_KEYS_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                       "at most %d grant keys are held; remove those that are retired", BW_GRANT_KEYS_MAX);
    enum bw_code code = bw_ed25519_verifier_create(public_key, &key.verifier, err);
    if (code != BW_OK)
        return code;
    verifier->keys[verifier->key_count++] = key;
    return BW_OK;
}

bool bw_grant_verifier_remove_key(struct bw_grant_verifier *verifier,
                                  const uint8_t key_id[BW_GRANT_KEY_ID_SIZE])
{
    struct verifier_key *key = find_key(verifier, key_id);
    if (key == NULL)
        return false;
    for (size_t i = 0; i < verifier->sets * WAYS; i++) {
        if (memcmp(verifier->roots[i].key_id, key->id, BW_GRANT_KEY_ID_SIZE) == 0)
            verifier->roots[i].used = false;
    }
    bw_ed25519_verifier_destroy(key->verifier);
    *key = verifier->keys[--verifier->key_count];
    return true;
}

size_t bw_grant_verifier_keys(const struct bw_grant_verifier *verifier)
{
    return verifier->key_count;
}

struct bw_grant_stats bw_grant_verifier_stats(const struct bw_grant_verifier *verifier)
{
    return verifier->stats;
}

static enum bw_grant_refusal parse_body(struct bw_view body, struct bw_grant *grant)
{
    struct bw_reader r = bw_reader_of(body);
    if (!bw_view_equal_str(bw_read_bytes(&r, 4), BW_GRANT_MAGIC))
        return BW_GRANT_BAD_MAGIC;
    if (bw_read_u8(&r) != BW_GRANT_VERSION)
        return BW_GRANT_BAD_VERSION;
    if (bw_read_u8(&r) != 0)
        return BW_GRANT_BAD_FLAGS;
    memset(grant, 0, sizeof *grant);
    grant->role = (enum bw_role)bw_read_u8(&r);
    grant->mode = (enum bw_mode)bw_read_u8(&r);
    bw_read_copy(&r, grant->cell.bytes, 16);
    bw_read_copy(&r, grant->tenant.bytes, 16);
    bw_read_copy(&r, grant->meeting.bytes, 16);
    grant->meeting_epoch = bw_read_u32(&r);
    grant->mode_epoch = bw_read_u32(&r);
    bw_read_copy(&r, grant->roster_entry.bytes, 16);
    grant->slot = bw_read_u32(&r);
    grant->relay = bw_read_u32(&r);
    grant->not_before_ms = bw_read_u64(&r);
    grant->expires_ms = bw_read_u64(&r);
    bw_read_copy(&r, grant->stream.bytes, 16);
    grant->group = bw_read_u64(&r);
    bw_read_copy(&r, grant->key_id, BW_GRANT_KEY_ID_SIZE);
    BW_CHECK(bw_reader_done(&r));
    return bw_grant_check(grant);
}

static enum bw_grant_refusal parse(struct bw_view bytes, struct token *token)
{
    if (bytes.len < BW_GRANT_BODY_SIZE + BW_GRANT_PROOF_FIXED + BW_ED25519_SIGNATURE_SIZE ||
        bytes.len > BW_GRANT_TOKEN_MAX)
        return BW_GRANT_TRUNCATED;
    struct bw_reader r = bw_reader_of(bytes);
    token->body = bw_read_bytes(&r, BW_GRANT_BODY_SIZE);
    enum bw_grant_refusal refusal = parse_body(token->body, &token->grant);
    if (refusal != BW_GRANT_OK)
        return refusal;
    token->index = bw_read_u32(&r);
    token->leaves = bw_read_u32(&r);
    size_t hashes = bw_read_u8(&r);
    if (token->leaves == 0 || token->leaves > BW_GRANT_LEAVES_MAX || token->index >= token->leaves ||
        hashes != bw_merkle_path_len(token->index, token->leaves))
        return BW_GRANT_BAD_BATCH;
    token->path = bw_read_bytes(&r, hashes * BW_SHA256_SIZE);
    bw_read_copy(&r, token->signature, sizeof token->signature);
    return bw_reader_done(&r) ? BW_GRANT_OK : BW_GRANT_TRUNCATED;
}

enum bw_grant_refusal bw_grant_parse(struct bw_view token, struct bw_grant *grant)
{
    struct token parsed;
    enum bw_grant_refusal refusal = parse(token, &parsed);
    if (refusal == BW_GRANT_OK)
        *grant = parsed.grant;
    return refusal;
}

static enum bw_grant_refusal check_expected(const struct bw_grant *grant,
                                            const struct bw_grant_expect *expect)
{
    if (!bw_id_equal(&grant->cell, &expect->cell))
        return BW_GRANT_WRONG_CELL;
    if (expect->relay != 0 && grant->relay != expect->relay)
        return BW_GRANT_WRONG_RELAY;
    if (grant->not_before_ms > expect->now_ms && grant->not_before_ms - expect->now_ms > expect->skew_ms)
        return BW_GRANT_NOT_YET_VALID;
    if (expect->now_ms >= grant->expires_ms && expect->now_ms - grant->expires_ms >= expect->skew_ms)
        return BW_GRANT_EXPIRED;
    return BW_GRANT_OK;
}

static struct verified_root *set_of(struct bw_grant_verifier *verifier, const struct bw_merkle_hash *root)
{
    uint64_t spread;
    memcpy(&spread, root->bytes, sizeof spread);
    return &verifier->roots[spread % verifier->sets * WAYS];
}

static bool is_remembered(struct bw_grant_verifier *verifier, const struct token *token,
                          const struct bw_merkle_hash *root)
{
    struct verified_root *set = set_of(verifier, root);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].used && set[i].leaves == token->leaves &&
            memcmp(set[i].root.bytes, root->bytes, sizeof root->bytes) == 0 &&
            memcmp(set[i].key_id, token->grant.key_id, BW_GRANT_KEY_ID_SIZE) == 0 &&
            memcmp(set[i].signature, token->signature, sizeof token->signature) == 0) {
            set[i].last_use = ++verifier->uses;
            return true;
        }
    }
    return false;
}

static void remember(struct bw_grant_verifier *verifier, const struct token *token,
                     const struct bw_merkle_hash *root)
{
    struct verified_root *set = set_of(verifier, root), *oldest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (!set[i].used) {
            oldest = &set[i];
            break;
        }
        if (set[i].last_use < oldest->last_use)
            oldest = &set[i];
    }
    oldest->used = true;
    memcpy(oldest->key_id, token->grant.key_id, BW_GRANT_KEY_ID_SIZE);
    oldest->root = *root;
    oldest->leaves = token->leaves;
    memcpy(oldest->signature, token->signature, sizeof token->signature);
    oldest->last_use = ++verifier->uses;
}

static enum bw_grant_refusal check_proof(struct bw_grant_verifier *verifier, const struct token *token)
{
    struct verifier_key *key = find_key(verifier, token->grant.key_id);
    if (key == NULL)
        return BW_GRANT_UNKNOWN_KEY;
    struct bw_merkle_hash leaf, root;
    bw_merkle_leaf(token->body, &leaf);
    if (!bw_merkle_root_of(&leaf, token->index, token->leaves, token->path, &root))
        return BW_GRANT_BAD_BATCH;
    if (is_remembered(verifier, token, &root)) {
        verifier->stats.cache_hits++;
        return BW_GRANT_OK;
    }
    uint8_t signed_bytes[BW_GRANT_SIGNED_SIZE];
    bw_grant_signed_bytes(&root, token->leaves, signed_bytes);
    verifier->stats.signatures++;
    if (!bw_ed25519_verify(key->verifier, bw_view_of(signed_bytes, sizeof signed_bytes), token->signature))
        return BW_GRANT_BAD_SIGNATURE;
    remember(verifier, token, &root);
    return BW_GRANT_OK;
}

enum bw_grant_refusal bw_grant_verify(struct bw_grant_verifier *verifier, struct bw_view token,
                                      const struct bw_grant_expect *expect, struct bw_grant *grant,
                                      uint8_t body_hash[BW_SHA256_SIZE])
{
    struct token parsed;
    enum bw_grant_refusal refusal = parse(token, &parsed);
    if (refusal == BW_GRANT_OK)
        refusal = check_expected(&parsed.grant, expect);
    if (refusal == BW_GRANT_OK)
        refusal = check_proof(verifier, &parsed);
    if (refusal != BW_GRANT_OK)
        return refusal;
    *grant = parsed.grant;
    if (body_hash != NULL)
        bw_sha256(parsed.body, body_hash);
    return BW_GRANT_OK;
}

enum bw_grant_refusal bw_grant_fits_slot(const struct bw_grant *grant, const struct bw_grant_slot *slot)
{
    if (!bw_id_equal(&grant->meeting, &slot->meeting))
        return BW_GRANT_WRONG_MEETING;
    if (grant->meeting_epoch != slot->meeting_epoch)
        return grant->meeting_epoch < slot->meeting_epoch ? BW_GRANT_STALE_MEETING_EPOCH
                                                          : BW_GRANT_FUTURE_MEETING_EPOCH;
    if (grant->slot != slot->slot)
        return BW_GRANT_WRONG_SLOT;
    if (!bw_id_equal(&grant->roster_entry, &slot->roster_entry))
        return BW_GRANT_WRONG_ROSTER_ENTRY;
    if (grant->mode_epoch != slot->mode_epoch)
        return grant->mode_epoch < slot->mode_epoch ? BW_GRANT_STALE_MODE_EPOCH : BW_GRANT_FUTURE_MODE_EPOCH;
    if (grant->mode != slot->mode)
        return BW_GRANT_WRONG_MODE;
    if (grant->role != slot->role)
        return BW_GRANT_WRONG_ROLE;
    return BW_GRANT_OK;
}
