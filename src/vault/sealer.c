#include "vault/sealer.h"

#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/secret.h"
#include "crypto/hmac.h"
#include "crypto/hpke.h"
#include "runtime/clock.h"
#include "vault/capsules.h"
#include "vault/meeting_key.h"
#include "vault/roster.h"
#include "vault/supply.h"

enum { DAYS_KEPT = 4, MEETINGS_MAX = 65536, EVICT_SCAN_MAX = 1024 };

/* What a meeting is called here: ids repeat across tenants only if somebody wants them to. */
struct meeting_name {
    struct bw_id tenant, meeting;
};

struct bw_sealing_key {
    struct meeting_name name;
    struct bw_meeting_key_row row;
    uint8_t scope[BW_SCOPE_SIZE];
    uint8_t key[BW_RECORD_KEY_SIZE];    /* secret */
    uint8_t entry_key[BW_GCM_KEY_SIZE]; /* secret; derived from it */
    uint64_t made_ms;
    bool stored;
    struct bw_sealing_key *prev, *next; /* by when they were last asked for */
    UT_hash_handle hh;
};

/* The public keys of one tenant, in no order. */
struct tenant_scopes {
    struct bw_id tenant;
    struct bw_scope_public keys[DAYS_KEPT];
    size_t count;
    UT_hash_handle hh;
};

struct bw_sealer {
    struct bw_gcm *gcm, *entry_gcm; /* the second one keeps its last key */
    struct bw_ed25519_verifier *service;
    uint8_t region[8];
    uint8_t hedge[BW_RECORD_HEDGE_SIZE]; /* secret */
    struct bw_hmac256 entry_hedge;       /* secret: keyed with it */
    struct bw_supply supply;
    size_t meetings_max;
    struct bw_capsules *capsules; /* may be NULL */
    struct tenant_scopes *tenants;
    struct bw_sealing_key *keys;   /* by name */
    struct bw_sealing_key *by_use; /* the same, the longest unused first */
};

enum bw_code bw_sealer_create(const struct bw_sealer_config *config, struct bw_sealer **out,
                              struct bw_error *err)
{
    struct bw_sealer *sealer = bw_calloc(1, sizeof *sealer);
    if (sealer == NULL)
        return bw_fail_memory(err);
    uint8_t drawn[2 * BW_SUPPLY_BLOCK];
    bw_record_region(config->cell, sealer->region);
    bw_supply_init(&sealer->supply, config->random, config->random_context);
    sealer->meetings_max = config->meetings_max != 0 ? config->meetings_max : MEETINGS_MAX;
    sealer->capsules = config->capsules;
    enum bw_code code = bw_gcm_create(&sealer->gcm, err);
    if (code == BW_OK)
        code = bw_gcm_create(&sealer->entry_gcm, err);
    if (code == BW_OK)
        code = bw_ed25519_verifier_create(config->service_public, &sealer->service, err);
    if (code == BW_OK)
        code = bw_supply_draw(&sealer->supply, drawn, sizeof drawn, err);
    if (code != BW_OK) {
        bw_sealer_destroy(sealer);
        return code;
    }
    memcpy(sealer->hedge, drawn, sizeof sealer->hedge);
    bw_wipe(drawn, sizeof drawn);
    bw_hmac256_init(&sealer->entry_hedge, bw_view_of(sealer->hedge, sizeof sealer->hedge));
    *out = sealer;
    return BW_OK;
}

static void drop_key(struct bw_sealer *sealer, struct bw_sealing_key *key)
{
    HASH_DEL(sealer->keys, key);
    DL_DELETE(sealer->by_use, key);
    bw_gcm_forget(sealer->entry_gcm); /* it may be this one's */
    bw_wipe(key, sizeof *key);
    bw_free(key);
}

void bw_sealer_destroy(struct bw_sealer *sealer)
{
    if (sealer == NULL)
        return;
    struct bw_sealing_key *key, *next_key;
    HASH_ITER(hh, sealer->keys, key, next_key)
    drop_key(sealer, key);
    struct tenant_scopes *tenant, *next_tenant;
    HASH_ITER(hh, sealer->tenants, tenant, next_tenant)
    {
        HASH_DEL(sealer->tenants, tenant);
        bw_free(tenant);
    }
    bw_supply_finish(&sealer->supply);
    bw_ed25519_verifier_destroy(sealer->service);
    bw_gcm_destroy(sealer->gcm);
    bw_gcm_destroy(sealer->entry_gcm);
    bw_wipe(sealer, sizeof *sealer);
    bw_free(sealer);
}

static struct tenant_scopes *find_tenant(const struct bw_sealer *sealer, const struct bw_id *tenant)
{
    struct tenant_scopes *found;
    HASH_FIND(hh, sealer->tenants, tenant, sizeof *tenant, found);
    return found;
}

static bool same_scope(const struct bw_scope_public *a, const struct bw_scope_public *b)
{
    return bw_id_equal(&a->id, &b->id) && bw_id_equal(&a->tenant, &b->tenant) && a->day == b->day &&
           memcmp(a->scope, b->scope, sizeof a->scope) == 0 &&
           memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0 &&
           memcmp(a->signature, b->signature, sizeof a->signature) == 0;
}

/* Where a key goes: the place of the same day, a free one, or that of the oldest day. NULL: older than all.
 */
static struct bw_scope_public *place_for(struct tenant_scopes *tenant, uint32_t day)
{
    struct bw_scope_public *oldest = &tenant->keys[0];
    for (size_t i = 0; i < tenant->count; i++) {
        if (tenant->keys[i].day == day)
            return &tenant->keys[i];
        if (tenant->keys[i].day < oldest->day)
            oldest = &tenant->keys[i];
    }
    if (tenant->count < DAYS_KEPT)
        return &tenant->keys[tenant->count++];
    return oldest->day < day ? oldest : NULL;
}

enum bw_code bw_sealer_scope(struct bw_sealer *sealer, const struct bw_scope_public *scope,
                             struct bw_error *err)
{
    static const uint8_t everyone[BW_SCOPE_SIZE];
    struct tenant_scopes *tenant = find_tenant(sealer, &scope->tenant);
    for (size_t i = 0; tenant != NULL && i < tenant->count; i++)
        if (same_scope(&tenant->keys[i], scope))
            return BW_OK;
    enum bw_code code = bw_scope_verify(scope, sealer->service, err);
    if (code != BW_OK)
        return code;
    if (memcmp(scope->scope, everyone, sizeof everyone) != 0)
        return bw_fail(err, BW_UNIMPLEMENTED, NULL, "scopes of groups are not supported yet");
    if (tenant == NULL) {
        tenant = bw_calloc(1, sizeof *tenant);
        if (tenant == NULL)
            return bw_fail_memory(err);
        tenant->tenant = scope->tenant;
        HASH_ADD(hh, sealer->tenants, tenant, sizeof tenant->tenant, tenant);
        if (tenant->hh.tbl == NULL) {
            bw_free(tenant);
            return bw_fail_memory(err);
        }
    }
    struct bw_scope_public *place = place_for(tenant, scope->day);
    if (place != NULL)
        *place = *scope;
    return BW_OK;
}

/* Today's key; else the latest earlier one that may still be sealed to; else tomorrow's, which the vault
 * hands out ahead. */
static const struct bw_scope_public *usable(const struct bw_sealer *sealer, const struct bw_id *id,
                                            uint64_t now_ms)
{
    const struct tenant_scopes *tenant = find_tenant(sealer, id);
    uint32_t today = bw_scope_day(now_ms);
    const struct bw_scope_public *earlier = NULL, *ahead = NULL;
    for (size_t i = 0; tenant != NULL && i < tenant->count; i++) {
        const struct bw_scope_public *key = &tenant->keys[i];
        uint64_t until_ms = ((uint64_t)key->day + 1) * BW_SCOPE_DAY_MS + BW_SEALER_FORWARD_MS;
        if (key->day == today)
            return key;
        if (key->day < today && now_ms < until_ms && (earlier == NULL || key->day > earlier->day))
            earlier = key;
        if (key->day == today + 1)
            ahead = key;
    }
    return earlier != NULL ? earlier : ahead;
}

enum bw_sealer_readiness bw_sealer_ready(const struct bw_sealer *sealer, const struct bw_id *tenant,
                                         uint64_t now_ms)
{
    const struct bw_scope_public *key = usable(sealer, tenant, now_ms);
    if (key == NULL)
        return BW_SEALER_NO_KEY;
    return key->day == bw_scope_day(now_ms) ? BW_SEALER_READY : BW_SEALER_FORWARD;
}

static struct bw_sealing_key *find_key(const struct bw_sealer *sealer, const struct bw_id *tenant,
                                       const struct bw_id *meeting)
{
    const struct meeting_name name = {*tenant, *meeting};
    struct bw_sealing_key *found;
    HASH_FIND(hh, sealer->keys, &name, sizeof name, found);
    return found;
}

/* A new meeting key, sealed to the scope's public key. *key is changed only on success. */
static enum bw_code make_key(struct bw_sealer *sealer, const struct bw_scope_public *scope, uint64_t now_ms,
                             struct bw_sealing_key *key, struct bw_error *err)
{
    struct {
        uint8_t key[BW_RECORD_KEY_SIZE], ephemeral[BW_X25519_SIZE], id[32];
    } drawn;
    enum bw_code code = bw_supply_draw(&sealer->supply, (uint8_t *)&drawn, sizeof drawn, err);
    if (code != BW_OK)
        return code;
    uint8_t info[BW_MEETING_KEY_INFO_SIZE];
    struct bw_meeting_key_row row = {.key_id = bw_id_v4(drawn.id),
                                     .tenant = key->name.tenant,
                                     .meeting = key->name.meeting,
                                     .scope_key = scope->id};
    bw_meeting_key_info(&row, info);
    struct bw_hpke_capsule capsule;
    if (sealer->capsules == NULL || !bw_capsules_take(sealer->capsules, scope, bw_clock_mono_ms(), &capsule))
        code = bw_hpke_encapsulate(scope->public_key, drawn.ephemeral, &capsule, err);
    if (code == BW_OK)
        code = bw_hpke_seal_with(sealer->gcm, &capsule, bw_view_of(info, sizeof info), bw_view_of(NULL, 0),
                                 bw_view_of(drawn.key, sizeof drawn.key), row.enc, row.sealed, err);
    if (code == BW_OK) {
        bw_gcm_forget(sealer->entry_gcm); /* it may have the key that this one replaces */
        key->row = row;
        memcpy(key->scope, scope->scope, sizeof key->scope);
        memcpy(key->key, drawn.key, sizeof key->key);
        bw_meeting_entry_key(key->key, &row.meeting, key->entry_key);
        key->made_ms = now_ms;
        key->stored = false;
    }
    bw_wipe(&drawn, sizeof drawn);
    return code;
}

/* Makes room: of the half that was not asked for lately, the longest unused key whose row is safe goes. Its
 * meeting, if it lives, gets another. */
static bool make_room(struct bw_sealer *sealer)
{
    if (HASH_COUNT(sealer->keys) < sealer->meetings_max)
        return true;
    struct bw_sealing_key *key = sealer->by_use;
    for (size_t i = 0; key != NULL && i < (sealer->meetings_max + 1) / 2 && i < EVICT_SCAN_MAX; i++) {
        if (key->stored) {
            drop_key(sealer, key);
            return true;
        }
        key = key->next;
    }
    return false;
}

static enum bw_code add_key(struct bw_sealer *sealer, const struct bw_id *tenant, const struct bw_id *meeting,
                            const struct bw_scope_public *scope, uint64_t now_ms, struct bw_sealing_key **out,
                            struct bw_error *err)
{
    if (!make_room(sealer))
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                       "%zu meeting keys are not stored yet; the database is behind", sealer->meetings_max);
    struct bw_sealing_key *key = bw_calloc(1, sizeof *key);
    if (key == NULL)
        return bw_fail_memory(err);
    key->name = (struct meeting_name){*tenant, *meeting};
    enum bw_code code = make_key(sealer, scope, now_ms, key, err);
    if (code == BW_OK) {
        HASH_ADD(hh, sealer->keys, name, sizeof key->name, key);
        if (key->hh.tbl == NULL)
            code = bw_fail_memory(err);
    }
    if (code != BW_OK) {
        bw_wipe(key, sizeof *key);
        bw_free(key);
        return code;
    }
    DL_APPEND(sealer->by_use, key);
    *out = key;
    return BW_OK;
}

enum bw_code bw_sealer_meeting(struct bw_sealer *sealer, const struct bw_id *tenant,
                               const struct bw_id *meeting, uint64_t now_ms,
                               const struct bw_sealing_key **key, struct bw_meeting_key_row *row,
                               bool *is_new, struct bw_error *err)
{
    struct bw_sealing_key *found = find_key(sealer, tenant, meeting);
    bool old = found != NULL && now_ms >= found->made_ms && now_ms - found->made_ms >= BW_SEALER_KEY_LIFE_MS;
    if (found == NULL || old) {
        const struct bw_scope_public *scope = usable(sealer, tenant, now_ms);
        if (scope == NULL)
            return bw_fail(err, BW_NOT_FOUND, "SCOPE_KEY_MISSING",
                           "there is no scope key of this day to seal metadata to; the vault gives them out");
        enum bw_code code = old ? make_key(sealer, scope, now_ms, found, err)
                                : add_key(sealer, tenant, meeting, scope, now_ms, &found, err);
        if (code != BW_OK)
            return code;
    }
    DL_DELETE(sealer->by_use, found);
    DL_APPEND(sealer->by_use, found);
    *key = found;
    *is_new = !found->stored;
    if (!found->stored)
        *row = found->row;
    return BW_OK;
}

const struct bw_id *bw_sealing_key_id(const struct bw_sealing_key *key)
{
    return &key->row.key_id;
}

void bw_sealer_stored(struct bw_sealer *sealer, const struct bw_id *tenant, const struct bw_id *meeting,
                      const struct bw_id *key_id)
{
    struct bw_sealing_key *key = find_key(sealer, tenant, meeting);
    if (key != NULL && bw_id_equal(&key->row.key_id, key_id))
        key->stored = true;
}

void bw_sealer_forget(struct bw_sealer *sealer, const struct bw_id *tenant, const struct bw_id *meeting)
{
    struct bw_sealing_key *key = find_key(sealer, tenant, meeting);
    if (key != NULL)
        drop_key(sealer, key);
}

size_t bw_sealer_meetings(const struct bw_sealer *sealer)
{
    return HASH_COUNT(sealer->keys);
}

enum bw_code bw_sealer_record(struct bw_sealer *sealer, const struct bw_sealing_key *key,
                              const struct bw_record_info *info, const struct bw_seal_place *place,
                              struct bw_view plaintext, struct bw_buf *out, struct bw_error *err)
{
    struct bw_record_info named = *info;
    struct bw_record_context context = {
        .tenant = key->row.tenant, .meeting = key->row.meeting, .row = place->row};
    memcpy(context.region, sealer->region, sizeof context.region);
    memcpy(context.scope, key->scope, sizeof context.scope);
    memcpy(context.table, place->table, sizeof context.table);
    memcpy(context.column, place->column, sizeof context.column);
    named.meeting_key = key->row.key_id;
    if (!bw_id_is_zero(&info->participant_key))
        return bw_fail(err, BW_UNIMPLEMENTED, NULL, "participant keys are not supported yet");

    uint8_t random[BW_RECORD_RANDOM_SIZE];
    enum bw_code code = bw_supply_block(&sealer->supply, random, err);
    if (code != BW_OK)
        return code;
    code =
        bw_record_seal(sealer->gcm, key->key, &named, &context, plaintext, sealer->hedge, random, out, err);
    bw_wipe(random, sizeof random);
    return code;
}

/* As the salt of a record: random, and apart for different entries even if randomness fails. */
static void make_nonce(const struct bw_sealer *sealer, const uint8_t aad[BW_ROSTER_AAD_SIZE],
                       struct bw_view plaintext, const uint8_t random[BW_SUPPLY_BLOCK],
                       uint8_t nonce[BW_GCM_NONCE_SIZE])
{
    uint8_t mac[BW_SHA256_SIZE];
    struct bw_sha256 running;
    bw_hmac256_begin(&sealer->entry_hedge, &running);
    bw_sha256_update(&running, random, BW_SUPPLY_BLOCK);
    bw_sha256_update(&running, "roster entry", strlen("roster entry"));
    bw_sha256_update(&running, aad, BW_ROSTER_AAD_SIZE);
    bw_sha256_update(&running, plaintext.data, plaintext.len);
    bw_hmac256_end(&sealer->entry_hedge, &running, mac);
    memcpy(nonce, mac, BW_GCM_NONCE_SIZE);
}

enum bw_code bw_sealer_roster_entry(struct bw_sealer *sealer, const struct bw_sealing_key *key,
                                    const struct bw_id *roster_entry, struct bw_view plaintext,
                                    struct bw_buf *out, struct bw_error *err)
{
    if (plaintext.len > BW_ROSTER_ENTRY_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a roster entry has at most %d bytes",
                       BW_ROSTER_ENTRY_MAX);
    if (!bw_buf_reserve(out, plaintext.len + BW_ROSTER_SEALED_OVERHEAD))
        return bw_fail_memory(err);
    uint8_t random[BW_SUPPLY_BLOCK], aad[BW_ROSTER_AAD_SIZE], nonce[BW_GCM_NONCE_SIZE];
    enum bw_code code = bw_supply_block(&sealer->supply, random, err);
    if (code != BW_OK)
        return code;
    bw_roster_aad(&key->row.tenant, &key->row.meeting, roster_entry, aad);
    make_nonce(sealer, aad, plaintext, random, nonce);
    bw_wipe(random, sizeof random);
    const size_t head = sizeof key->row.key_id.bytes + sizeof nonce;
    uint8_t *sealed = out->data + out->len;
    code = bw_gcm_seal_keeping(sealer->entry_gcm, key->entry_key, nonce, bw_view_of(aad, sizeof aad),
                               plaintext, sealed + head, sealed + head + plaintext.len, err);
    if (code != BW_OK)
        return code;
    memcpy(sealed, key->row.key_id.bytes, sizeof key->row.key_id.bytes);
    memcpy(sealed + sizeof key->row.key_id.bytes, nonce, sizeof nonce);
    out->len += plaintext.len + BW_ROSTER_SEALED_OVERHEAD;
    return BW_OK;
}
