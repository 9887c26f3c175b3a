#include "headless.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/alloc.h"

struct bw_headless_row {
    struct bw_id meeting, tenant, request;
    uint32_t seq, policy_revision;
    uint64_t facts_revision;
    bool creates;
    uint8_t *record;
    size_t len;
    void *token;
};

const char bw_headless_policy[] = "apiVersion: bailiwick/v1\n"
                                  "kind: TenantPolicy\n"
                                  "tenant: chu-lyon\n"
                                  "residency: { atRest: eu }\n"
                                  "entry: { allow: [\"*\"], deny: [KP], unknown: allow }\n"
                                  "transit:\n"
                                  "  allow: [EU, CH]\n"
                                  "  operators: { allowJurisdictions: [EU, CH] }\n"
                                  "  onNoRelay: reject\n"
                                  "  onPolicyChange: evict\n"
                                  "e2ee: { mode: preferred, downgrade: with-consent }\n"
                                  "connectors: { allow: [pstn, recording] }\n";

static void tell_due(struct bw_headless *headless)
{
    if (headless->due == NULL || headless->due_told)
        return;
    headless->due_told = true;
    headless->due(headless->due_context);
}

/* ---- ports ---- */

static uint64_t wall_ms(void *context)
{
    return ((struct bw_headless *)context)->wall_ms;
}

static uint64_t mono_ms(void *context)
{
    return ((struct bw_headless *)context)->mono_ms;
}

/* splitmix64: the same run every time. */
static void random_bytes(void *context, void *out, size_t n)
{
    struct bw_headless *headless = context;
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = headless->random += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        p[i] = (uint8_t)(z ^ z >> 31);
    }
}

static void wake(void *context)
{
    struct bw_headless *headless = context;
    headless->woken = true;
    tell_due(headless);
}

static void wake_at(void *context, uint64_t at_ms)
{
    ((struct bw_headless *)context)->wake_at_ms = at_ms;
}

static enum bw_code encode(void *context, const struct bw_decision *decision, struct bw_buf *out,
                           struct bw_error *err)
{
    (void)context;
    return bw_api_record_encode(decision, out, err);
}

static enum bw_code submit(void *context, const struct bw_row *row, void *token, struct bw_error *err)
{
    struct bw_headless *headless = context;
    struct bw_headless_row *grown =
        bw_realloc(headless->pending, (headless->pending_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bw_fail_memory(err);
    headless->pending = grown;
    struct bw_headless_row *kept = &grown[headless->pending_count];
    *kept = (struct bw_headless_row){
        .meeting = row->decision->meeting,
        .tenant = row->decision->tenant,
        .request = row->decision->request,
        .seq = row->decision->seq,
        .policy_revision = row->decision->policy_revision,
        .facts_revision = row->decision->facts_revision,
        .creates = row->creates,
        .record = bw_memdup(row->record.data, row->record.len),
        .len = row->record.len,
        .token = token,
    };
    if (kept->record == NULL)
        return bw_fail_memory(err);
    headless->pending_count++;
    tell_due(headless);
    return BW_OK;
}

static void load(void *context, const struct bw_id *meeting)
{
    struct bw_headless *headless = context;
    headless->loads++;
    if (headless->loading_count < sizeof headless->loading / sizeof headless->loading[0])
        headless->loading[headless->loading_count++] = *meeting;
    tell_due(headless);
}

static enum bw_code sign(void *context, const struct bw_merkle_hash *root, uint32_t leaves,
                         struct bw_error *err)
{
    struct bw_headless *headless = context;
    if (headless->signer_away)
        return bw_fail(err, BW_UNAVAILABLE, "SIGNER_AWAY", "the signer is away");
    headless->signing = true;
    headless->root = *root;
    headless->leaves = leaves;
    tell_due(headless);
    return BW_OK;
}

static void escrow_low(void *context, uint32_t relay)
{
    struct bw_headless *headless = context;
    if (relay >= 1 && relay <= BW_HEADLESS_RELAYS)
        headless->escrow_asked[relay - 1]++;
}

static void committed(void *context, uint64_t group, const struct bw_change *change)
{
    struct bw_headless *headless = context;
    size_t lingering = 0;
    for (size_t i = 0; i < change->effect_count; i++)
        lingering += change->effects[i].removed && change->effects[i].lingers;
    if (headless->change_count < BW_HEADLESS_CHANGES)
        headless->changes[headless->change_count++] = (struct bw_headless_change){
            change->decision.kind, change->decision.seq, group, change->effect_count, lingering};
}

/* ---- the log ---- */

uint32_t bw_headless_rows(const struct bw_headless *headless, const struct bw_id *meeting)
{
    uint32_t rows = 0;
    for (size_t i = 0; i < headless->log_count; i++)
        rows += bw_id_equal(&headless->log[i].meeting, meeting);
    return rows;
}

struct bw_view bw_headless_record(const struct bw_headless *headless, const struct bw_id *meeting,
                                  uint32_t seq)
{
    for (size_t i = 0; i < headless->log_count; i++) {
        if (headless->log[i].seq == seq && bw_id_equal(&headless->log[i].meeting, meeting))
            return bw_view_of(headless->log[i].record, headless->log[i].len);
    }
    return bw_view_of(NULL, 0);
}

struct bw_view bw_headless_record_at(const struct bw_headless *headless, size_t n)
{
    return n < headless->log_count ? bw_view_of(headless->log[n].record, headless->log[n].len)
                                   : bw_view_of(NULL, 0);
}

static const struct bw_headless_row *same_creation(const struct bw_headless *headless,
                                                   const struct bw_headless_row *row)
{
    for (size_t i = 0; row->creates && i < headless->log_count; i++) {
        const struct bw_headless_row *each = &headless->log[i];
        if (each->creates && bw_id_equal(&each->request, &row->request) &&
            bw_id_equal(&each->tenant, &row->tenant))
            return each;
    }
    return NULL;
}

static bool make_room(struct bw_headless *headless, size_t more)
{
    struct bw_headless_row *grown =
        bw_realloc(headless->log, (headless->log_count + more) * sizeof *headless->log);
    if (grown != NULL)
        headless->log = grown;
    return grown != NULL;
}

static void keep(struct bw_headless *headless, const struct bw_headless_row *row)
{
    headless->log[headless->log_count++] = *row;
}

/* What is pending goes out as one group: it commits whole or not at all. */
static void commit(struct bw_headless *headless)
{
    struct bw_headless_row *rows = headless->pending;
    size_t count = headless->pending_count;
    headless->pending = NULL;
    headless->pending_count = 0;
    struct bw_row_result result = {.outcome = BW_ROW_COMMITTED};
    if (headless->stale_rows > 0) {
        headless->stale_rows--;
        result.outcome = BW_ROW_STALE;
        bw_fail(&result.error, BW_ABORTED, "STALE_VIEW", "decided on what is no longer so; try again");
    } else if (headless->failed_rows > 0) {
        headless->failed_rows--;
        result.outcome = BW_ROW_FAILED;
        bw_fail(&result.error, BW_RESOURCE_EXHAUSTED, "DISK_FULL", "the database cannot write just now");
    }
    for (size_t i = 0; result.outcome == BW_ROW_COMMITTED && i < count; i++) {
        const struct bw_headless_row *twin = same_creation(headless, &rows[i]);
        if (rows[i].policy_revision != headless->policy_revision) {
            result.outcome = BW_ROW_STALE;
            bw_fail(&result.error, BW_ABORTED, "STALE_POLICY", "decided under a policy that is not current");
        } else if (rows[i].facts_revision != headless->facts_revision) {
            result.outcome = BW_ROW_STALE;
            bw_fail(&result.error, BW_ABORTED, "STALE_FACTS", "decided on relay facts that are not current");
        }
        uint32_t before = bw_headless_rows(headless, &rows[i].meeting);
        for (size_t j = 0; j < i; j++)
            before += bw_id_equal(&rows[j].meeting, &rows[i].meeting);
        if (twin != NULL) {
            result.outcome = BW_ROW_DUPLICATE;
            result.meeting = twin->meeting;
        } else if (rows[i].seq != before + 1) {
            result.outcome = BW_ROW_STALE;
            bw_fail(&result.error, BW_ABORTED, "STALE_VIEW", "the key exists already; try again");
        }
    }
    if (result.outcome == BW_ROW_COMMITTED && !make_room(headless, count)) {
        result.outcome = BW_ROW_FAILED;
        bw_fail_memory(&result.error);
    }
    if (result.outcome == BW_ROW_COMMITTED)
        result.group = ++headless->group;
    for (size_t i = 0; i < count; i++) {
        if (result.outcome == BW_ROW_COMMITTED)
            keep(headless, &rows[i]);
        else
            bw_free(rows[i].record);
    }
    for (size_t i = 0; i < count; i++)
        bw_owner_row_done(headless->owner, rows[i].token, &result);
    bw_free(rows);
}

bool bw_headless_intrude(struct bw_headless *headless, const struct bw_id *meeting)
{
    uint32_t newest = bw_headless_rows(headless, meeting);
    struct bw_arena *arena = bw_arena_create(1 << 20);
    struct bw_decision *last = NULL;
    struct bw_buf record = {0};
    struct bw_error err;
    bool ok = arena != NULL && bw_api_record_decode(bw_headless_record(headless, meeting, newest), arena,
                                                    &last, &err) == BW_OK;
    if (ok) {
        const struct bw_decision row = {
            .kind = BW_DECISION_REBOUND,
            .meeting = last->meeting,
            .tenant = last->tenant,
            .seq = newest + 1,
            .at_ms = headless->wall_ms,
            .policy_revision = last->policy_revision,
            .mode = last->mode,
            .mode_epoch = last->mode_epoch,
            .meeting_epoch = last->meeting_epoch,
            .relays = last->relays,
            .relay_count = last->relay_count,
            .links = last->links,
            .link_count = last->link_count,
        };
        ok = bw_api_record_encode(&row, &record, &err) == BW_OK;
        const struct bw_headless_row kept = {.meeting = row.meeting,
                                             .tenant = row.tenant,
                                             .seq = row.seq,
                                             .record = bw_memdup(record.data, record.len),
                                             .len = record.len};
        ok = ok && kept.record != NULL && make_room(headless, 1);
        if (ok)
            keep(headless, &kept);
    }
    bw_buf_finish(&record);
    bw_arena_destroy(arena);
    return ok;
}

static void read_back(struct bw_headless *headless, const struct bw_id *meeting)
{
    struct bw_arena *arena = bw_arena_create(64 << 20);
    const struct bw_decision **decisions = bw_calloc(headless->log_count + 1, sizeof(void *));
    enum bw_code code = arena == NULL || decisions == NULL ? BW_RESOURCE_EXHAUSTED : BW_OK;
    if (headless->log_unreadable)
        code = BW_UNAVAILABLE;
    size_t count = 0;
    for (size_t i = 0; code == BW_OK && i < headless->log_count; i++) {
        struct bw_decision *decision;
        struct bw_error err;
        if (!bw_id_equal(&headless->log[i].meeting, meeting))
            continue;
        code = bw_api_record_decode(bw_view_of(headless->log[i].record, headless->log[i].len), arena,
                                    &decision, &err);
        if (code == BW_OK)
            decisions[count++] = decision;
    }
    bw_owner_loaded(headless->owner, meeting, code, decisions, count);
    bw_free(decisions);
    bw_arena_destroy(arena);
}

static void answer_signer(struct bw_headless *headless)
{
    headless->signing = false;
    uint8_t bytes[BW_GRANT_SIGNED_SIZE], signature[BW_ED25519_SIGNATURE_SIZE];
    bw_grant_signed_bytes(&headless->root, headless->leaves, bytes);
    struct bw_error err;
    enum bw_code code = bw_ed25519_sign(headless->signer, bw_view_of(bytes, sizeof bytes), signature, &err);
    bw_owner_signed(headless->owner, code, &err, signature);
}

void bw_headless_settle(struct bw_headless *headless)
{
    headless->due_told = true; /* what becomes due now is done here */
    for (;;) {
        if (headless->woken || (headless->wake_at_ms != 0 && headless->mono_ms >= headless->wake_at_ms)) {
            if (headless->mono_ms >= headless->wake_at_ms)
                headless->wake_at_ms = 0;
            headless->woken = false;
            bw_owner_turn(headless->owner);
        } else if (headless->pending_count > 0 && !headless->hold_rows) {
            commit(headless);
        } else if (headless->loading_count > 0) {
            struct bw_id meeting = headless->loading[--headless->loading_count];
            read_back(headless, &meeting);
        } else if (headless->signing && !headless->hold_signer) {
            answer_signer(headless);
        } else {
            break;
        }
    }
    headless->due_told = false;
}

void bw_headless_pass(struct bw_headless *headless, uint64_t ms)
{
    headless->wall_ms += ms;
    headless->mono_ms += ms;
    bw_owner_tick(headless->owner);
    bw_headless_settle(headless);
}

/* ---- the world ---- */

bool bw_headless_publish_fleet(struct bw_headless *headless)
{
    struct bw_relay_facts facts[BW_HEADLESS_RELAYS];
    size_t count = 0;
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        const struct bw_headless_relay *relay = &headless->relays[i];
        if (relay->absent)
            continue;
        facts[count++] = (struct bw_relay_facts){
            .name = relay->name,
            .number = (uint32_t)i + 1,
            .site = relay->name,
            .region = relay->region,
            .place = relay->country,
            .operated_by = {.name = "Exemple Cloud",
                            .jurisdictions = &relay->jurisdiction,
                            .jurisdiction_count = 1},
            .media = BW_MEDIA_OPAQUE,
            .cascade = true,
            .connectors = relay->connectors,
            .stores_known = true,
            .version = 1,
        };
    }
    static const char *const cell_jurisdictions[] = {"FR"};
    const struct bw_cell_facts cell = {
        .name = "eu",
        .place = "FR",
        .operated_by = {.name = "Exemple Cloud",
                        .jurisdictions = cell_jurisdictions,
                        .jurisdiction_count = 1},
    };
    static const char *const west[] = {"FR", "BE"}, *const central[] = {"DE"}, *const alps[] = {"CH"},
                             *const isles[] = {"GB"}, *const east[] = {"US"};
    static const struct bw_region regions[] = {
        {.name = "eu-west", .countries = west, .country_count = 2},
        {.name = "eu-central", .countries = central, .country_count = 1},
        {.name = "alps", .countries = alps, .country_count = 1},
        {.name = "isles", .countries = isles, .country_count = 1},
        {.name = "us-east", .countries = east, .country_count = 1},
    };
    struct bw_error err;
    struct bw_facts *made = NULL;
    if (bw_facts_create(facts, count, &cell, 1, headless->facts_revision, &made, &err) != BW_OK)
        return false;
    struct bw_relay_live live[BW_HEADLESS_RELAYS] = {{0}};
    struct bw_relay_reach reach[BW_HEADLESS_RELAYS];
    memset(reach, 0, sizeof reach);
    for (size_t i = 0; i < made->relay_count; i++) {
        const struct bw_headless_relay *relay = &headless->relays[made->relays[i].number - 1];
        live[i] = (struct bw_relay_live){
            .state = relay->state, .lease_ok = relay->lease_ok, .capacity = relay->capacity};
        reach[i].connected = relay->connected;
        snprintf(reach[i].reason, sizeof reach[i].reason, "%s", relay->reason);
        snprintf(reach[i].media_address, sizeof reach[i].media_address, "192.0.2.%u:3478",
                 (unsigned)made->relays[i].number);
        uint8_t secret[32];
        memset(secret, (int)made->relays[i].number, sizeof secret);
        bw_secret_set(&reach[i].session_secret, secret, sizeof secret);
    }
    const struct bw_snapshot_input input = {
        .facts = made,
        .live = live,
        .regions = regions,
        .region_count = sizeof regions / sizeof regions[0],
        .has_same = true,
        .same_us = 4000,
        .has_default = true,
        .default_us = 20000,
    };
    struct bw_snapshot *snapshot = NULL;
    enum bw_code code = bw_snapshot_create(&input, &snapshot, &err);
    bw_facts_release(made);
    if (code != BW_OK)
        return false;
    struct bw_fleet_view *view = bw_fleet_view_create(snapshot, reach);
    if (view == NULL) {
        bw_snapshot_release(snapshot);
        return false;
    }
    bw_owner_set_view(headless->owner, view);
    bw_fleet_view_release(view);
    return true;
}

bool bw_headless_publish(struct bw_headless *headless, const char *tenant, uint32_t revision,
                         const char *yaml)
{
    const struct bw_id *id = strcmp(tenant, "acme") == 0 ? &headless->guest_tenant : &headless->tenant;
    struct bw_policy_set *set = NULL;
    struct bw_error err;
    if (id == &headless->tenant)
        headless->policy_revision = revision;
    if (bw_policy_set_create(id, tenant, revision, bw_view_str(yaml != NULL ? yaml : bw_headless_policy),
                             &set, &err) != BW_OK) {
        if (err.code != BW_RESOURCE_EXHAUSTED)
            fprintf(stderr, "headless policy: %s\n", err.show);
        return false;
    }
    enum bw_code code = bw_owner_set_policy(headless->owner, set, &err);
    bw_policy_set_release(set);
    return code == BW_OK;
}

struct bw_id bw_headless_new_id(struct bw_headless *headless)
{
    uint8_t random[10];
    random_bytes(headless, random, sizeof random);
    return bw_id_v7(headless->wall_ms, random);
}

static bool owner_create(struct bw_headless *headless)
{
    struct bw_owner_config config = {
        .ports = {.context = headless,
                  .wall_ms = wall_ms,
                  .mono_ms = mono_ms,
                  .random = random_bytes,
                  .wake = wake,
                  .wake_at = wake_at,
                  .encode = encode,
                  .submit = submit,
                  .load = load,
                  .sign = sign,
                  .escrow_low = escrow_low,
                  .committed = committed},
        .book = headless->book,
        .cell = "eu",
        .stream = {{7}},
        .weights = bw_weights_default,
        .escrow_low_water = 2,
        .grant_life_ms = 60000,
        .empty_meeting_ms = 30000,
        .meeting_max_age_ms = 86400000,
        .ended_kept_ms = 60000,
        .burst_window_ms = 5000,
    };
    struct bw_error err;
    if (bw_owner_create(&config, &headless->owner, &err) != BW_OK)
        return false;
    uint8_t key_id[BW_GRANT_KEY_ID_SIZE];
    bw_grant_key_id(headless->public_key, key_id);
    bw_owner_set_signing_key(headless->owner, key_id);
    return bw_headless_publish_fleet(headless);
}

bool bw_headless_init(struct bw_headless *headless)
{
    *headless = (struct bw_headless){
        .wall_ms = UINT64_C(1795255200000), /* 2026-11-21 10:00 */
        .mono_ms = 1000000,
        .random = 42,
        .relays =
            {
                [BW_PAR1] = {"par1", "FR", "eu-west", "FR"},
                [BW_LYS1] = {"lys1", "FR", "eu-west", "FR"},
                [BW_FRA1] = {"fra1", "DE", "eu-central", "DE"},
                [BW_ZRH1] = {"zrh1", "CH", "alps", "CH"},
                [BW_LON1] = {"lon1", "GB", "isles", "GB"},
                [BW_ASH1] = {"ash1", "US", "us-east", "US"},
            },
        .facts_revision = 1,
        .tenant = {{1}},
        .guest_tenant = {{2}},
    };
    static const uint8_t seed[BW_ED25519_SEED_SIZE] = {9};
    struct bw_error err;
    headless->book = bw_book_create();
    if (headless->book == NULL || bw_ed25519_signer_create(seed, &headless->signer, &err) != BW_OK)
        return false;
    bw_ed25519_signer_public(headless->signer, headless->public_key);
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        struct bw_headless_relay *relay = &headless->relays[i];
        relay->capacity = 10;
        relay->lease_ok = relay->connected = true;
        relay->connectors = i < BW_FRA1 ? BW_CONNECTOR_BIT(BW_CONNECTOR_PSTN) : 0;
        bw_book_add(headless->book, (uint32_t)i + 1, relay->capacity);
    }
    return owner_create(headless);
}

static void rows_free(struct bw_headless_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bw_free(rows[i].record);
    bw_free(rows);
}

void bw_headless_finish(struct bw_headless *headless)
{
    bw_owner_destroy(headless->owner);
    bw_book_destroy(headless->book);
    bw_ed25519_signer_destroy(headless->signer);
    rows_free(headless->log, headless->log_count);
    rows_free(headless->pending, headless->pending_count);
}

bool bw_headless_restart(struct bw_headless *headless)
{
    bw_owner_destroy(headless->owner);
    bw_book_destroy(headless->book);
    headless->owner = NULL;
    headless->book = bw_book_create();
    rows_free(headless->pending, headless->pending_count);
    headless->pending = NULL;
    headless->pending_count = headless->loading_count = 0;
    headless->signing = false;
    if (headless->book == NULL || !owner_create(headless))
        return false;
    for (size_t i = 0; i < headless->log_count; i++) {
        struct bw_arena *arena = bw_arena_create(64 << 20);
        struct bw_decision *decision;
        struct bw_error err;
        bool ok = arena != NULL &&
                  bw_api_record_decode(bw_view_of(headless->log[i].record, headless->log[i].len), arena,
                                       &decision, &err) == BW_OK &&
                  bw_owner_restore(headless->owner, decision, &err) == BW_OK;
        bw_arena_destroy(arena);
        if (!ok)
            return false;
    }
    bw_owner_restored(headless->owner);
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        uint32_t taken = bw_book_taken(headless->book, (uint32_t)i + 1);
        if (taken < headless->relays[i].capacity)
            bw_book_add(headless->book, (uint32_t)i + 1, headless->relays[i].capacity - taken);
    }
    return true;
}
