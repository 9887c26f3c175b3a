#include "vault_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OK(call)                                                                                             \
    do {                                                                                                     \
        struct bw_error err_ = {0}, *err = &err_;                                                            \
        if ((call) != BW_OK)                                                                                 \
            fail_msg("%s: %s", #call, err_.show);                                                            \
    } while (0)

static void fill(void *context, void *out, size_t n)
{
    struct world *world = context;
    uint8_t *bytes = out;
    for (size_t i = 0; i < n; i++) {
        world->random = world->random * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(world->random >> 56);
    }
}

struct bw_id world_id(struct world *world)
{
    uint8_t bytes[16];
    fill(world, bytes, sizeof bytes);
    return bw_id_v4(bytes);
}

static uint64_t now(void *context)
{
    return ((struct world *)context)->now_ms;
}

static bool take_frames(void *context, struct bw_buf *frames)
{
    struct world *world = context;
    struct bw_view frame;
    size_t taken;
    if (world->deaf || frames->failed) /* as the process does: it hangs up, and is started again */
        return false;
    while (bw_vault_split(bw_buf_view(frames), &frame, &taken) == BW_VAULT_WHOLE) {
        assert_true(world->reply_count < WORLD_ROWS);
        struct world_reply *reply = &world->replies[world->reply_count++];
        bw_buf_append(&reply->frame, frame.data, frame.len);
        if (reply->frame.failed) {
            world->reply_count--;
            return false;
        }
        assert_true(bw_vault_decode_reply(bw_buf_view(&reply->frame), &reply->reply));
        if (reply->reply.type == BW_VAULT_OPENED && world->audits_at_first_part == SIZE_MAX)
            world->audits_at_first_part = world->audits;
        bw_buf_consume(frames, taken);
    }
    assert_int_equal(frames->len, 0);
    return true;
}

static enum bw_provider_state open_provider(void *context, struct bw_provider **out, struct bw_error *err)
{
    struct world *world = context;
    if (world->denied) {
        (void)bw_fail(err, BW_PERMISSION_DENIED, NULL, "vault.keyring: others may read it");
        return BW_PROVIDER_DENIED;
    }
    if (world->keyring[0] == '\0') {
        (void)bw_fail(err, BW_NOT_FOUND, NULL, "vault.keyring: there is no such file");
        return BW_PROVIDER_GONE;
    }
    return bw_keyring_parse(bw_view_str(world->keyring), "vault.keyring", out, err);
}

static enum bw_code scope_find(void *context, const struct bw_id *tenant,
                               const uint8_t scope[BW_STORE_SCOPE_SIZE], uint32_t day, struct bw_arena *arena,
                               struct bw_store_scope_key *out, struct bw_error *err)
{
    struct world *world = context;
    (void)arena;
    for (size_t i = 0; i < world->scope_count; i++) {
        const struct bw_store_scope_key *key = &world->scopes[i];
        if (bw_id_equal(&key->tenant, tenant) && memcmp(key->scope, scope, sizeof key->scope) == 0 &&
            key->day == day) {
            *out = *key;
            return BW_OK;
        }
    }
    return bw_fail(err, BW_NOT_FOUND, NULL, "none");
}

static enum bw_code scope_settle(void *context, const struct bw_store_scope_key *proposed,
                                 struct bw_arena *arena, struct bw_store_scope_key *out, struct bw_error *err)
{
    struct world *world = context;
    struct bw_buf *wrapped = &world->wrapped[world->scope_count];
    bw_buf_append(wrapped, proposed->wrapped.data, proposed->wrapped.len);
    world->scopes[world->scope_count] = *proposed;
    world->scopes[world->scope_count++].wrapped = bw_buf_view(wrapped);
    return scope_find(context, &proposed->tenant, proposed->scope, proposed->day, arena, out, err);
}

static enum bw_code scope_read(void *context, const struct bw_id *id, struct bw_arena *arena,
                               struct bw_store_scope_key *out, struct bw_error *err)
{
    struct world *world = context;
    (void)arena;
    for (size_t i = 0; i < world->scope_count; i++) {
        if (bw_id_equal(&world->scopes[i].id, id)) {
            *out = world->scopes[i];
            return BW_OK;
        }
    }
    return bw_fail(err, BW_NOT_FOUND, NULL, "none");
}

static enum bw_code scope_newest(void *context, struct bw_arena *arena, struct bw_store_scope_key *out,
                                 struct bw_error *err)
{
    struct world *world = context;
    (void)arena;
    if (world->scope_count == 0)
        return bw_fail(err, BW_NOT_FOUND, NULL, "none");
    *out = world->scopes[world->scope_count - 1];
    return BW_OK;
}

static enum bw_code meeting_key(void *context, const struct bw_id *id, struct bw_store_meeting_key *out,
                                struct bw_error *err)
{
    struct world *world = context;
    for (size_t i = 0; i < world->key_count; i++) {
        if (bw_id_equal(&world->keys[i].id, id)) {
            *out = world->keys[i];
            return BW_OK;
        }
    }
    return bw_fail(err, BW_NOT_FOUND, NULL, "destroyed");
}

static enum bw_code places(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                           bw_vault_on_place *each, void *each_context, struct bw_error *err)
{
    struct world *world = context;
    if (!bw_id_equal(tenant, &world->tenant) || !bw_id_equal(meeting, &world->meeting))
        return bw_fail(err, BW_NOT_FOUND, "NO_MEETING", "the tenant has no meeting of that id");
    for (size_t i = 0; i < world->place_count && each(each_context, &world->places[i]); i++)
        ;
    return BW_OK;
}

static enum bw_code roster(void *context, const struct bw_id *tenant, const struct bw_id *record,
                           struct bw_buf *out, struct bw_error *err)
{
    struct world *world = context;
    if (!bw_id_equal(tenant, &world->roster_tenant) || !bw_id_equal(record, &world->roster_id))
        return bw_fail(err, BW_NOT_FOUND, NULL, "none");
    bw_buf_append(out, world->roster.data, world->roster.len);
    return out->failed ? bw_fail_memory(err) : BW_OK;
}

static enum bw_code chunks(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                           uint32_t slot, uint32_t slot_to, uint64_t from_ms, uint64_t to_ms,
                           bw_store_on_chunk *each, void *each_context, struct bw_error *err)
{
    struct world *world = context;
    (void)tenant, (void)meeting, (void)from_ms, (void)to_ms, (void)err;
    for (size_t i = 0; i < world->chunk_count; i++) {
        world->chunks[i].record = bw_buf_view(&world->chunk_records[i]);
        if (world->chunks[i].slot >= slot && world->chunks[i].slot <= slot_to &&
            !each(each_context, &world->chunks[i]))
            break;
    }
    return BW_OK;
}

static enum bw_code chunks_count(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                                 uint64_t *count, struct bw_error *err)
{
    (void)tenant, (void)meeting, (void)err;
    *count = ((struct world *)context)->chunk_count;
    return BW_OK;
}

static enum bw_code sketches(void *context, const struct bw_id *tenant, uint64_t from_ms, uint64_t to_ms,
                             bw_store_on_sketch *each, void *each_context, struct bw_error *err)
{
    (void)context, (void)tenant, (void)from_ms, (void)to_ms, (void)each, (void)each_context, (void)err;
    return BW_OK;
}

static enum bw_code audit(void *context, const struct bw_store_audit *entry, struct bw_error *err)
{
    struct world *world = context;
    if (world->audit_fails)
        return bw_fail(err, BW_UNAVAILABLE, NULL, "the database is away");
    world->audits++;
    snprintf(world->last_fields, sizeof world->last_fields, "%s", entry->fields);
    snprintf(world->last_outcome, sizeof world->last_outcome, "%s", entry->outcome);
    return BW_OK;
}

static enum bw_code last_kind(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                              uint16_t *kind, struct bw_error *err)
{
    struct world *world = context;
    (void)tenant, (void)meeting;
    if (world->last_kind == 0)
        return bw_fail(err, BW_NOT_FOUND, NULL, "the tenant has no meeting of that id");
    *kind = world->last_kind;
    return BW_OK;
}

static enum bw_code keys_list(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                              struct bw_buf *out, struct bw_error *err)
{
    struct world *world = context;
    (void)err;
    for (size_t i = 0; i < world->key_count; i++)
        if (bw_id_equal(&world->keys[i].tenant, tenant) && bw_id_equal(&world->keys[i].meeting, meeting))
            bw_buf_append(out, world->keys[i].id.bytes, sizeof world->keys[i].id.bytes);
    return BW_OK;
}

static enum bw_code erasure_find(void *context, const struct bw_id *tenant, const struct bw_id *request,
                                 struct bw_id *meeting, struct bw_buf *receipt, struct bw_error *err)
{
    struct world *world = context;
    (void)tenant;
    if (world->receipt.len == 0 || !bw_id_equal(request, &world->erased_request))
        return bw_fail(err, BW_NOT_FOUND, NULL, "none");
    *meeting = world->erased_meeting;
    bw_buf_append(receipt, world->receipt.data, world->receipt.len);
    return BW_OK;
}

static enum bw_code erase(void *context, const struct bw_store_erase *what, struct bw_buf *receipt,
                          struct bw_error *err)
{
    struct world *world = context;
    size_t kept = 0;
    (void)err;
    for (size_t i = 0; i < world->key_count; i++)
        if (!bw_id_equal(&world->keys[i].meeting, &what->meeting))
            world->keys[kept++] = world->keys[i];
    assert_int_equal(world->key_count - kept, what->keys);
    world->key_count = kept;
    world->erased_request = what->request;
    world->erased_meeting = what->meeting;
    bw_buf_append(&world->receipt, what->receipt.data, what->receipt.len);
    bw_buf_append(receipt, what->receipt.data, what->receipt.len);
    return BW_OK;
}

static enum bw_code sweep(void *context, const struct bw_id *tenant, uint64_t quality_ms,
                          uint64_t participants_ms, struct bw_store_swept *out, struct bw_error *err)
{
    struct world *world = context;
    (void)tenant, (void)err;
    world->swept_quality_ms = quality_ms;
    world->swept_participants_ms = participants_ms;
    *out = (struct bw_store_swept){.chunks = 1, .sketches = 2, .rosters = 3, .keys = 4, .scopes = 5};
    return BW_OK;
}

void world_restart(struct world *world)
{
    struct bw_vault_core_config config = {.cell = "eu",
                                          .service_seed = {7},
                                          .ports = {.context = world,
                                                    .wall_ms = now,
                                                    .random = fill,
                                                    .send = take_frames,
                                                    .open_provider = open_provider,
                                                    .scope_find = scope_find,
                                                    .scope_settle = scope_settle,
                                                    .scope_read = scope_read,
                                                    .scope_newest = scope_newest,
                                                    .meeting_key = meeting_key,
                                                    .places = places,
                                                    .roster = roster,
                                                    .chunks = chunks,
                                                    .chunks_count = chunks_count,
                                                    .sketches = sketches,
                                                    .audit = audit,
                                                    .last_kind = last_kind,
                                                    .keys_list = keys_list,
                                                    .erasure_find = erasure_find,
                                                    .erase = erase,
                                                    .sweep = sweep}};
    bw_vault_core_destroy(world->core);
    world->core = NULL;
    OK(bw_vault_core_create(&config, &world->core, err));
    struct bw_ed25519_signer *service;
    OK(bw_ed25519_signer_create(config.service_seed, &service, err));
    bw_ed25519_signer_public(service, world->service_public);
    bw_ed25519_signer_destroy(service);
}

void world_init(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->random = 42;
    world->now_ms = WORLD_NOW * UINT64_C(1000);
    world->tenant = world_id(world);
    world->meeting = world_id(world);
    struct bw_buf text = {0};
    uint8_t root[BW_PROVIDER_KEY_SIZE];
    fill(world, root, sizeof root);
    OK(bw_keyring_new("root-1", root, &text, err));
    snprintf(world->keyring, sizeof world->keyring, "%s", bw_buf_cstr(&text));
    bw_buf_finish(&text);
    world_restart(world);
    struct bw_sealer_config sealer = {.cell = "eu", .random = fill, .random_context = world};
    memcpy(sealer.service_public, world->service_public, sizeof sealer.service_public);
    OK(bw_sealer_create(&sealer, &world->sealer, err));
}

static void forget_replies(struct world *world)
{
    for (size_t i = 0; i < world->reply_count; i++) {
        bw_buf_finish(&world->replies[i].frame);
        world->replies[i] = (struct world_reply){.frame = {0}};
    }
    world->reply_count = 0;
}

void world_finish(struct world *world)
{
    forget_replies(world);
    bw_vault_core_destroy(world->core);
    bw_sealer_destroy(world->sealer);
    for (size_t i = 0; i < WORLD_ROWS; i++) {
        bw_buf_finish(&world->wrapped[i]);
        bw_buf_finish(&world->chunk_records[i]);
    }
    bw_buf_finish(&world->roster);
    bw_buf_finish(&world->receipt);
}

bool world_try(struct world *world, const struct bw_vault_request *request)
{
    forget_replies(world);
    return bw_vault_core_answer(world->core, request) && world->reply_count > 0 &&
           world->replies[world->reply_count - 1].reply.type != BW_VAULT_ERROR;
}

const struct bw_vault_reply *world_ask(struct world *world, const struct bw_vault_request *request)
{
    forget_replies(world);
    world->audits_at_first_part = SIZE_MAX;
    assert_int_equal(bw_vault_core_answer(world->core, request), !world->deaf);
    return world->reply_count > 0 ? &world->replies[world->reply_count - 1].reply : NULL;
}

void world_learn_scopes(struct world *world)
{
    struct bw_buf names = {0};
    const struct bw_vault_scope_name name = {.tenant = world->tenant};
    bw_vault_append_scope_name(&name, &names);
    const struct bw_vault_request request = {
        .type = BW_VAULT_ENSURE_SCOPES, .scope_count = 1, .scopes = bw_buf_view(&names)};
    const struct bw_vault_reply *reply = world_ask(world, &request);
    assert_int_equal(reply->type, BW_VAULT_SCOPES);
    for (uint32_t i = 0; i < reply->scope_count; i++) {
        struct bw_scope_public scope;
        bw_vault_scope_at(reply, i, &scope);
        OK(bw_sealer_scope(world->sealer, &scope, err));
    }
    bw_buf_finish(&names);
}

static const struct bw_sealing_key *key_for(struct world *world, const struct bw_id *meeting)
{
    const struct bw_sealing_key *key;
    struct bw_meeting_key_row row;
    bool is_new;
    OK(bw_sealer_meeting(world->sealer, &world->tenant, meeting, world->now_ms, &key, &row, &is_new, err));
    if (is_new) {
        struct bw_store_meeting_key *stored = &world->keys[world->key_count++];
        *stored = (struct bw_store_meeting_key){
            .id = row.key_id, .tenant = row.tenant, .meeting = row.meeting, .scope_key = row.scope_key};
        memcpy(stored->enc, row.enc, sizeof stored->enc);
        memcpy(stored->sealed, row.sealed, sizeof stored->sealed);
        bw_sealer_stored(world->sealer, &row.tenant, &row.meeting, &row.key_id);
    }
    return key;
}

void world_seal_roster(struct world *world, const char *const *users, const char *addresses, size_t count)
{
    const struct bw_id none = {{0}};
    struct bw_roster_body body = {.count = 0};
    bw_roster_begin(&body);
    world->roster_id = world_id(world);
    world->roster_tenant = world->tenant;
    for (size_t i = 0; i < count; i++) {
        struct bw_buf plain = {0}, sealed = {0};
        struct bw_vault_place *place = &world->places[world->place_count++];
        *place = (struct bw_vault_place){.entry = world_id(world),
                                         .record = world->roster_id,
                                         .slot = (uint32_t)i + 2,
                                         .number = (uint32_t)i + 1};
        const struct bw_roster_entry entry = {.user = bw_view_str(users[i]),
                                              .address = bw_view_of(addresses + 4 * i, 4),
                                              .country = bw_view_str("FR"),
                                              .slot = place->slot,
                                              .kind = 1,
                                              .joined_ms = world->now_ms};
        OK(bw_roster_entry_encode(&entry, &plain, err));
        OK(bw_sealer_roster_entry(world->sealer, key_for(world, &world->meeting), &place->entry,
                                  bw_buf_view(&plain), &sealed, err));
        OK(bw_roster_add(&body, &world->meeting, &place->entry, bw_buf_view(&sealed), &place->index, err));
        bw_buf_finish(&plain);
        bw_buf_finish(&sealed);
    }
    struct bw_seal_place where = {.row = world->roster_id};
    memcpy(where.table, "rost", 4);
    memcpy(where.column, "body", 4);
    const struct bw_record_info info = {.type = BW_RECORD_ROSTER, .schema = BW_ROSTER_SCHEMA, .pad_class = 8};
    OK(bw_sealer_record(world->sealer, key_for(world, &none), &info, &where, bw_roster_body(&body),
                        &world->roster, err));
    bw_roster_finish(&body);
}

void world_seal_chunk(struct world *world, uint32_t slot, size_t bytes)
{
    struct bw_store_chunk *chunk = &world->chunks[world->chunk_count];
    uint8_t *plain = test_calloc(bytes, 1);
    memset(plain, (int)slot, bytes);
    *chunk = (struct bw_store_chunk){.id = world_id(world),
                                     .tenant = world->tenant,
                                     .meeting = world->meeting,
                                     .stream = world_id(world),
                                     .slot = slot,
                                     .seq = world->chunk_count,
                                     .from_ms = world->now_ms,
                                     .to_ms = world->now_ms + 60000};
    struct bw_seal_place where = {.row = chunk->id};
    memcpy(where.table, "qchk", 4);
    memcpy(where.column, "body", 4);
    const struct bw_record_info info = {.type = BW_RECORD_CHUNK, .schema = 1};
    OK(bw_sealer_record(world->sealer, key_for(world, &world->meeting), &info, &where,
                        bw_view_of(plain, bytes), &world->chunk_records[world->chunk_count], err));
    world->chunk_count++;
    test_free(plain);
}

struct bw_vault_request world_open(const struct world *world, enum bw_vault_what what,
                                   enum bw_vault_role role, const char *user)
{
    return (struct bw_vault_request){
        .type = BW_VAULT_OPEN,
        .id = 5,
        .tenant = world->tenant,
        .meeting = world->meeting,
        .what = (uint8_t)what,
        .max_rows = 1000,
        .caller = {.actor = bw_view_str("spiffe://eu.bailiwick.internal/support/anna"),
                   .method = bw_view_str("GetMeetingTimeline"),
                   .user = user != NULL ? bw_view_str(user) : (struct bw_view){NULL, 0},
                   .request = {{1, 2, 3}},
                   .role = (uint8_t)role}};
}
