#include "e2ee/grant.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "crypto/hkdf.h"
#include "e2ee/grant_layout.h"

struct bw_grant_batch {
    uint8_t (*bodies)[BW_GRANT_BODY_SIZE];
    size_t capacity;
    struct bw_merkle tree;
};

/* A NUL ends the label so that no other label of ours can begin with it. */
static const char root_label[] = "bw-grant-root/v1";
static_assert(sizeof root_label + 32 + 4 == BW_GRANT_SIGNED_SIZE, "label, root and count");

static const struct {
    const char *name, *text;
} refusals[] = {[BW_GRANT_OK] = {"OK", "the grant is good"},
#define X(name, text) [BW_GRANT_##name] = {#name, text},
                BW_GRANT_REFUSAL_MAP(X)
#undef X
};

const char *bw_grant_refusal_name(enum bw_grant_refusal refusal)
{
    return (unsigned)refusal < BW_ARRAY_LEN(refusals) ? refusals[refusal].name : "UNKNOWN";
}

const char *bw_grant_refusal_text(enum bw_grant_refusal refusal)
{
    return (unsigned)refusal < BW_ARRAY_LEN(refusals) ? refusals[refusal].text : "refused";
}

static void hash_labelled(const char *label, struct bw_view data, uint8_t out[BW_SHA256_SIZE])
{
    struct bw_sha256 state;
    bw_sha256_init(&state);
    bw_sha256_update(&state, label, strlen(label));
    bw_sha256_update(&state, data.data, data.len);
    bw_sha256_final(&state, out);
}

struct bw_id bw_grant_cell_id(struct bw_view cell_name)
{
    uint8_t hash[BW_SHA256_SIZE];
    struct bw_id id;
    hash_labelled("bw-cell/v1", cell_name, hash);
    memcpy(id.bytes, hash, sizeof id.bytes);
    return id;
}

void bw_grant_key_id(const uint8_t public_key[BW_ED25519_PUBLIC_SIZE], uint8_t id[BW_GRANT_KEY_ID_SIZE])
{
    uint8_t hash[BW_SHA256_SIZE];
    hash_labelled("bw-grant-key/v1", bw_view_of(public_key, BW_ED25519_PUBLIC_SIZE), hash);
    memcpy(id, hash, BW_GRANT_KEY_ID_SIZE);
}

enum bw_grant_refusal bw_grant_check(const struct bw_grant *grant)
{
    if (grant->role != BW_ROLE_SPEAKER && grant->role != BW_ROLE_LISTENER && grant->role != BW_ROLE_CONNECTOR)
        return BW_GRANT_BAD_ROLE;
    if (grant->mode != BW_MODE_E2EE && grant->mode != BW_MODE_E2EE_CONNECTORS && grant->mode != BW_MODE_HOP &&
        grant->mode != BW_MODE_PARTIAL)
        return BW_GRANT_BAD_MODE;
    /* A connector reads plaintext: no grant may put one into a meeting that is labelled without any. */
    if (grant->role == BW_ROLE_CONNECTOR && grant->mode == BW_MODE_E2EE)
        return BW_GRANT_BAD_ROLE;
    if (bw_id_is_zero(&grant->cell) || bw_id_is_zero(&grant->tenant) || bw_id_is_zero(&grant->meeting) ||
        bw_id_is_zero(&grant->roster_entry) || bw_id_is_zero(&grant->stream))
        return BW_GRANT_BAD_FIELD;
    if (grant->meeting_epoch == 0 || grant->mode_epoch == 0 || grant->relay == 0)
        return BW_GRANT_BAD_FIELD;
    if (grant->expires_ms <= grant->not_before_ms ||
        grant->expires_ms - grant->not_before_ms > BW_GRANT_LIFE_MAX_MS)
        return BW_GRANT_BAD_LIFE;
    return BW_GRANT_OK;
}

enum bw_code bw_grant_encode(const struct bw_grant *grant, uint8_t body[BW_GRANT_BODY_SIZE],
                             struct bw_error *err)
{
    enum bw_grant_refusal refusal = bw_grant_check(grant);
    if (refusal != BW_GRANT_OK)
        return bw_fail(err, BW_INVALID_ARGUMENT, bw_grant_refusal_name(refusal), "cannot make a grant: %s",
                       bw_grant_refusal_text(refusal));
    struct bw_writer w = bw_writer_of(body, BW_GRANT_BODY_SIZE);
    bw_write_bytes(&w, BW_GRANT_MAGIC, 4);
    bw_write_u8(&w, BW_GRANT_VERSION);
    bw_write_u8(&w, 0);
    bw_write_u8(&w, (uint8_t)grant->role);
    bw_write_u8(&w, (uint8_t)grant->mode);
    bw_write_bytes(&w, grant->cell.bytes, 16);
    bw_write_bytes(&w, grant->tenant.bytes, 16);
    bw_write_bytes(&w, grant->meeting.bytes, 16);
    bw_write_u32(&w, grant->meeting_epoch);
    bw_write_u32(&w, grant->mode_epoch);
    bw_write_bytes(&w, grant->roster_entry.bytes, 16);
    bw_write_u32(&w, grant->slot);
    bw_write_u32(&w, grant->relay);
    bw_write_u64(&w, grant->not_before_ms);
    bw_write_u64(&w, grant->expires_ms);
    bw_write_bytes(&w, grant->stream.bytes, 16);
    bw_write_u64(&w, grant->group);
    bw_write_bytes(&w, grant->key_id, BW_GRANT_KEY_ID_SIZE);
    BW_CHECK(!w.failed && bw_writer_len(&w) == BW_GRANT_BODY_SIZE);
    return BW_OK;
}

enum bw_code bw_grant_batch_create(struct bw_grant_batch **out, struct bw_error *err)
{
    struct bw_grant_batch *batch = bw_calloc(1, sizeof *batch);
    if (batch == NULL)
        return bw_fail_memory(err);
    *out = batch;
    return BW_OK;
}

void bw_grant_batch_destroy(struct bw_grant_batch *batch)
{
    if (batch == NULL)
        return;
    bw_merkle_finish(&batch->tree);
    bw_free(batch->bodies);
    bw_free(batch);
}

void bw_grant_batch_clear(struct bw_grant_batch *batch)
{
    bw_merkle_clear(&batch->tree);
}

uint32_t bw_grant_batch_count(const struct bw_grant_batch *batch)
{
    return batch->tree.leaves;
}

static enum bw_code reserve_body(struct bw_grant_batch *batch, struct bw_error *err)
{
    if (batch->tree.leaves < batch->capacity)
        return BW_OK;
    size_t capacity = batch->capacity ? batch->capacity * 2 : 32;
    void *grown = bw_realloc(batch->bodies, capacity * sizeof *batch->bodies);
    if (grown == NULL)
        return bw_fail_memory(err);
    batch->bodies = grown;
    batch->capacity = capacity;
    return BW_OK;
}

enum bw_code bw_grant_batch_add(struct bw_grant_batch *batch, const struct bw_grant *grant, uint32_t *index,
                                struct bw_error *err)
{
    uint32_t at = batch->tree.leaves;
    if (batch->tree.sealed)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "the batch of grants is sealed");
    if (at == BW_GRANT_LEAVES_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "a batch holds at most %d grants",
                       BW_GRANT_LEAVES_MAX);
    enum bw_code code = reserve_body(batch, err);
    if (code != BW_OK)
        return code;
    code = bw_grant_encode(grant, batch->bodies[at], err);
    if (code != BW_OK)
        return code;
    struct bw_merkle_hash leaf;
    bw_merkle_leaf(bw_view_of(batch->bodies[at], BW_GRANT_BODY_SIZE), &leaf);
    code = bw_merkle_add(&batch->tree, &leaf, err);
    if (code != BW_OK)
        return code;
    *index = at;
    return BW_OK;
}

enum bw_code bw_grant_batch_seal(struct bw_grant_batch *batch, struct bw_merkle_hash *root,
                                 struct bw_error *err)
{
    if (batch->tree.sealed)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "the batch of grants is sealed already");
    if (batch->tree.leaves == 0)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "the batch of grants is empty");
    return bw_merkle_seal(&batch->tree, root, err);
}

enum bw_code bw_grant_batch_token(const struct bw_grant_batch *batch, uint32_t index,
                                  const uint8_t signature[BW_ED25519_SIGNATURE_SIZE], struct bw_buf *out,
                                  struct bw_error *err)
{
    struct bw_merkle_hash path[BW_MERKLE_PATH_MAX];
    size_t hashes = bw_merkle_path(&batch->tree, index, path);
    BW_CHECK(hashes <= BW_GRANT_PATH_MAX);
    if (!bw_buf_reserve(out, BW_GRANT_TOKEN_MAX))
        return bw_fail_memory(err);
    bw_buf_append(out, batch->bodies[index], BW_GRANT_BODY_SIZE);
    bw_buf_append_u32(out, index);
    bw_buf_append_u32(out, batch->tree.leaves);
    bw_buf_append_u8(out, (uint8_t)hashes);
    bw_buf_append(out, path, hashes * sizeof path[0]);
    bw_buf_append(out, signature, BW_ED25519_SIGNATURE_SIZE);
    return BW_OK;
}

void bw_grant_batch_body_hash(const struct bw_grant_batch *batch, uint32_t index,
                              uint8_t hash[BW_SHA256_SIZE])
{
    BW_CHECK(index < batch->tree.leaves);
    bw_sha256(bw_view_of(batch->bodies[index], BW_GRANT_BODY_SIZE), hash);
}

void bw_grant_signed_bytes(const struct bw_merkle_hash *root, uint32_t leaves,
                           uint8_t out[BW_GRANT_SIGNED_SIZE])
{
    struct bw_writer w = bw_writer_of(out, BW_GRANT_SIGNED_SIZE);
    bw_write_bytes(&w, root_label, sizeof root_label);
    bw_write_bytes(&w, root->bytes, sizeof root->bytes);
    bw_write_u32(&w, leaves);
    BW_CHECK(!w.failed);
}

void bw_grant_hop_key(const uint8_t session_secret[BW_GRANT_SECRET_SIZE],
                      const uint8_t body_hash[BW_SHA256_SIZE], struct bw_secret *key)
{
    uint8_t info[9 + BW_SHA256_SIZE], made[BW_GRANT_HOP_KEY_SIZE];
    struct bw_writer w = bw_writer_of(info, sizeof info);
    bw_write_bytes(&w, "bw-hop/v1", 9);
    bw_write_bytes(&w, body_hash, BW_SHA256_SIZE);
    bw_hkdf256(bw_view_of(NULL, 0), bw_view_of(session_secret, BW_GRANT_SECRET_SIZE),
               bw_view_of(info, bw_writer_len(&w)), made, sizeof made);
    bw_secret_set(key, made, sizeof made);
    bw_wipe(made, sizeof made);
}

void bw_grant_link_key(const struct bw_id *meeting, uint32_t relay_a,
                       const uint8_t secret_a[BW_GRANT_SECRET_SIZE], uint32_t relay_b,
                       const uint8_t secret_b[BW_GRANT_SECRET_SIZE], struct bw_secret *key)
{
    BW_CHECK(relay_a != relay_b);
    bool a_is_low = relay_a < relay_b;
    uint8_t ikm[2 * BW_GRANT_SECRET_SIZE], info[10 + 16 + 8], made[BW_GRANT_HOP_KEY_SIZE];
    memcpy(ikm, a_is_low ? secret_a : secret_b, BW_GRANT_SECRET_SIZE);
    memcpy(ikm + BW_GRANT_SECRET_SIZE, a_is_low ? secret_b : secret_a, BW_GRANT_SECRET_SIZE);
    struct bw_writer w = bw_writer_of(info, sizeof info);
    bw_write_bytes(&w, "bw-link/v1", 10);
    bw_write_bytes(&w, meeting->bytes, sizeof meeting->bytes);
    bw_write_u32(&w, a_is_low ? relay_a : relay_b);
    bw_write_u32(&w, a_is_low ? relay_b : relay_a);
    bw_hkdf256(bw_view_of(NULL, 0), bw_view_of(ikm, sizeof ikm), bw_view_of(info, bw_writer_len(&w)), made,
               sizeof made);
    bw_secret_set(key, made, sizeof made);
    bw_wipe(made, sizeof made);
    bw_wipe(ikm, sizeof ikm);
}
