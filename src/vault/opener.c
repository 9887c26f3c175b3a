#include "vault/opener.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/secret.h"
#include "crypto/hpke.h"
#include "crypto/secure.h"
#include "vault/meeting_key.h"
#include "vault/roster.h"

enum { CACHE_MS = 300000, KEYS_MAX = 4096, SECRET_SIZE = 32 };

/* A key that was opened: a scope's private half, or a meeting's key. `since_ms` is when the provider
 * unwrapped the scope key, for both: what is refused from then on is out of the cache in bounded time. */
struct opened {
    struct bw_id id;
    struct bw_id tenant, meeting; /* meeting: zero for scope keys and for a tenant's own */
    uint8_t scope[BW_SCOPE_SIZE];
    uint64_t since_ms;
    uint8_t *secret; /* SECRET_SIZE bytes of secure memory */
    UT_hash_handle hh;
};

struct bw_opener {
    struct bw_gcm *gcm;
    struct bw_provider *provider;
    uint8_t region[8];
    uint64_t cache_ms;
    size_t keys_max;
    struct opened *scopes, *meetings; /* in the order they came in */
};

enum bw_code bw_opener_create(const struct bw_opener_config *config, struct bw_opener **out,
                              struct bw_error *err)
{
    struct bw_opener *opener = bw_calloc(1, sizeof *opener);
    if (opener == NULL)
        return bw_fail_memory(err);
    opener->provider = config->provider;
    opener->cache_ms = config->cache_ms == 0 || config->cache_ms > CACHE_MS ? CACHE_MS : config->cache_ms;
    opener->keys_max = config->keys_max != 0 ? config->keys_max : KEYS_MAX;
    bw_record_region(config->cell, opener->region);
    enum bw_code code = bw_gcm_create(&opener->gcm, err);
    if (code != BW_OK) {
        bw_opener_destroy(opener);
        return code;
    }
    *out = opener;
    return BW_OK;
}

static void drop(struct opened **table, struct opened *key)
{
    HASH_DEL(*table, key);
    bw_secure_free(key->secret, SECRET_SIZE);
    bw_free(key);
}

/* What a key is dropped for; tenant NULL: all of them. */
static void drop_those(struct opened **table, const struct bw_id *tenant, const struct bw_id *meeting)
{
    struct opened *key, *next;
    HASH_ITER(hh, *table, key, next)
    {
        if ((tenant == NULL || bw_id_equal(&key->tenant, tenant)) &&
            (meeting == NULL || bw_id_equal(&key->meeting, meeting)))
            drop(table, key);
    }
}

void bw_opener_purge(struct bw_opener *opener)
{
    drop_those(&opener->scopes, NULL, NULL);
    drop_those(&opener->meetings, NULL, NULL);
}

void bw_opener_forget_tenant(struct bw_opener *opener, const struct bw_id *tenant)
{
    drop_those(&opener->scopes, tenant, NULL);
    drop_those(&opener->meetings, tenant, NULL);
}

void bw_opener_forget_meeting(struct bw_opener *opener, const struct bw_id *tenant,
                              const struct bw_id *meeting)
{
    drop_those(&opener->meetings, tenant, meeting);
}

void bw_opener_destroy(struct bw_opener *opener)
{
    if (opener == NULL)
        return;
    bw_opener_purge(opener);
    bw_gcm_destroy(opener->gcm);
    bw_free(opener);
}

size_t bw_opener_keys(const struct bw_opener *opener)
{
    return HASH_COUNT(opener->scopes) + HASH_COUNT(opener->meetings);
}

/* A clock that was set back makes a key old: nobody knows how long it has been here. */
static bool too_old(const struct bw_opener *opener, const struct opened *key, uint64_t now_ms)
{
    return now_ms < key->since_ms || now_ms - key->since_ms >= opener->cache_ms;
}

static void expire(struct bw_opener *opener, struct opened **table, uint64_t now_ms)
{
    struct opened *key, *next;
    HASH_ITER(hh, *table, key, next)
    {
        if (too_old(opener, key, now_ms))
            drop(table, key);
    }
}

void bw_opener_expire(struct bw_opener *opener, uint64_t now_ms)
{
    expire(opener, &opener->scopes, now_ms);
    expire(opener, &opener->meetings, now_ms);
}

static struct opened *find(struct bw_opener *opener, struct opened **table, const struct bw_id *id,
                           uint64_t now_ms)
{
    struct opened *found;
    HASH_FIND(hh, *table, id, sizeof *id, found);
    if (found == NULL || !too_old(opener, found, now_ms))
        return found;
    drop(table, found);
    return NULL;
}

bool bw_opener_has_scope(struct bw_opener *opener, const struct bw_id *scope_key, uint64_t now_ms)
{
    return find(opener, &opener->scopes, scope_key, now_ms) != NULL;
}

bool bw_opener_has_meeting_key(struct bw_opener *opener, const struct bw_id *meeting_key, uint64_t now_ms)
{
    return find(opener, &opener->meetings, meeting_key, now_ms) != NULL;
}

static struct opened *new_key(const struct bw_id *id)
{
    struct opened *key = bw_calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->id = *id;
    key->secret = bw_secure_alloc(SECRET_SIZE);
    if (key->secret != NULL)
        return key;
    bw_free(key);
    return NULL;
}

static void discard(struct opened *key)
{
    bw_secure_free(key->secret, SECRET_SIZE);
    bw_free(key);
}

/* The table's oldest key makes room. False, and the key is the caller's still, when memory is out. */
static bool keep(struct bw_opener *opener, struct opened **table, struct opened *key)
{
    if (HASH_COUNT(*table) >= opener->keys_max)
        drop(table, *table);
    HASH_ADD(hh, *table, id, sizeof key->id, key);
    return key->hh.tbl != NULL;
}

enum bw_provider_state bw_opener_scope(struct bw_opener *opener, const struct bw_scope_wrapped *scope,
                                       uint64_t now_ms, struct bw_error *err)
{
    const struct bw_scope_public *half = &scope->public_half;
    if (find(opener, &opener->scopes, &half->id, now_ms) != NULL)
        return BW_PROVIDER_OK;
    struct opened *key = new_key(&half->id);
    if (key == NULL) {
        (void)bw_fail_memory(err);
        return BW_PROVIDER_TRANSIENT;
    }
    const struct bw_provider_context context = bw_scope_context(half);
    key->tenant = half->tenant;
    key->since_ms = now_ms;
    memcpy(key->scope, half->scope, sizeof key->scope);
    enum bw_provider_state state =
        bw_provider_unwrap(opener->provider, &context, scope->wrapped, key->secret, err);
    if (state == BW_PROVIDER_OK && !keep(opener, &opener->scopes, key)) {
        (void)bw_fail_memory(err);
        state = BW_PROVIDER_TRANSIENT;
    }
    if (state == BW_PROVIDER_OK)
        return state;
    discard(key);
    if (state == BW_PROVIDER_DENIED || state == BW_PROVIDER_DISABLED || state == BW_PROVIDER_GONE)
        bw_opener_purge(opener);
    return state;
}

enum bw_code bw_opener_meeting_key(struct bw_opener *opener, const struct bw_meeting_key_row *row,
                                   uint64_t now_ms, struct bw_error *err)
{
    if (find(opener, &opener->meetings, &row->key_id, now_ms) != NULL)
        return BW_OK;
    const struct opened *scope = find(opener, &opener->scopes, &row->scope_key, now_ms);
    if (scope == NULL)
        return bw_fail(err, BW_NOT_FOUND, "SCOPE_KEY_MISSING", "the scope key of a meeting key is not there");
    struct opened *key = new_key(&row->key_id);
    if (key == NULL)
        return bw_fail_memory(err);
    uint8_t info[BW_MEETING_KEY_INFO_SIZE];
    bw_meeting_key_info(row, info);
    enum bw_code code = BW_DATA_LOSS;
    if (bw_id_equal(&scope->tenant, &row->tenant))
        code =
            bw_hpke_open(opener->gcm, scope->secret, row->enc, bw_view_of(info, sizeof info),
                         bw_view_of(NULL, 0), bw_view_of(row->sealed, sizeof row->sealed), key->secret, err);
    if (code == BW_OK) {
        key->tenant = row->tenant;
        key->meeting = row->meeting;
        key->since_ms = scope->since_ms;
        memcpy(key->scope, scope->scope, sizeof key->scope);
        if (keep(opener, &opener->meetings, key))
            return BW_OK;
        code = bw_fail_memory(err);
    }
    discard(key);
    if (code == BW_DATA_LOSS || code == BW_INVALID_ARGUMENT)
        return bw_fail(err, BW_DATA_LOSS, "MEETING_KEY_CORRUPT",
                       "a meeting key was changed, or belongs to another tenant or meeting");
    return code;
}

static enum bw_code missing(struct bw_error *err)
{
    return bw_fail(err, BW_NOT_FOUND, "MEETING_KEY_MISSING", "the meeting key of a record is not there");
}

static enum bw_code misplaced(struct bw_error *err)
{
    return bw_fail(err, BW_DATA_LOSS, "RECORD_COMMITMENT",
                   "the record names a key of another tenant or meeting than it lies with");
}

enum bw_code bw_opener_record(struct bw_opener *opener, const struct bw_record_context *context,
                              struct bw_view record, uint64_t now_ms, struct bw_record_info *info,
                              struct bw_buf *plaintext, struct bw_error *err)
{
    struct bw_record_info named;
    enum bw_code code = bw_record_peek(record, &named, err);
    if (code != BW_OK)
        return code;
    if (!bw_id_is_zero(&named.participant_key))
        return bw_fail(err, BW_UNIMPLEMENTED, NULL, "records under a participant key are not supported yet");
    const struct opened *key = find(opener, &opener->meetings, &named.meeting_key, now_ms);
    if (key == NULL)
        return missing(err);
    if (!bw_id_equal(&key->tenant, &context->tenant) || !bw_id_equal(&key->meeting, &context->meeting))
        return misplaced(err);
    struct bw_record_context placed = *context;
    memcpy(placed.region, opener->region, sizeof placed.region);
    memcpy(placed.scope, key->scope, sizeof placed.scope);
    return bw_record_open(opener->gcm, key->secret, &placed, record, info, plaintext, err);
}

enum bw_code bw_opener_entry_key(struct bw_view sealed, struct bw_id *meeting_key, struct bw_error *err)
{
    if (sealed.len < BW_ROSTER_SEALED_OVERHEAD)
        return bw_fail(err, BW_DATA_LOSS, "ROSTER_SHAPE", "a sealed roster entry is cut short");
    memcpy(meeting_key->bytes, sealed.data, sizeof meeting_key->bytes);
    return BW_OK;
}

enum bw_code bw_opener_roster_entry(struct bw_opener *opener, const struct bw_id *tenant,
                                    const struct bw_id *meeting, const struct bw_id *roster_entry,
                                    struct bw_view sealed, uint64_t now_ms, struct bw_buf *plaintext,
                                    struct bw_error *err)
{
    struct bw_id id;
    enum bw_code code = bw_opener_entry_key(sealed, &id, err);
    if (code != BW_OK)
        return code;
    const struct opened *key = find(opener, &opener->meetings, &id, now_ms);
    if (key == NULL)
        return missing(err);
    if (!bw_id_equal(&key->tenant, tenant) || !bw_id_equal(&key->meeting, meeting))
        return misplaced(err);
    const size_t len = sealed.len - BW_ROSTER_SEALED_OVERHEAD;
    if (!bw_buf_reserve(plaintext, len))
        return bw_fail_memory(err);
    uint8_t entry_key[BW_GCM_KEY_SIZE], aad[BW_ROSTER_AAD_SIZE];
    bw_meeting_entry_key(key->secret, meeting, entry_key);
    bw_roster_aad(tenant, meeting, roster_entry, aad);
    const uint8_t *nonce = sealed.data + sizeof id.bytes, *body = nonce + BW_GCM_NONCE_SIZE;
    code = bw_gcm_open(opener->gcm, entry_key, nonce, bw_view_of(aad, sizeof aad), bw_view_of(body, len),
                       body + len, plaintext->data + plaintext->len, err);
    bw_wipe(entry_key, sizeof entry_key);
    if (code == BW_OK)
        plaintext->len += len;
    else if (code == BW_DATA_LOSS)
        return bw_fail(err, BW_DATA_LOSS, "RECORD_TAG", "a roster entry was changed, or lies elsewhere");
    return code;
}
