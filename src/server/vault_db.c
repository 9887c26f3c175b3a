#include "server/vault_db.h"

#include "api/api.h"
#include "store/decisions.h"

/* The database may be away when the vault starts: that is a state it answers with, not a reason to end. */
static enum bw_code connect(struct bw_vault_db *vault, struct bw_error *err)
{
    return vault->db != NULL ? BW_OK : bw_store_db_open(vault->conninfo, &vault->db, err);
}

#define WITH_DB(context, call)                                                                               \
    struct bw_vault_db *vault = context;                                                                     \
    enum bw_code code = connect(vault, err);                                                                 \
    return code == BW_OK ? call : code

static enum bw_code scope_find(void *context, const struct bw_id *tenant,
                               const uint8_t scope[BW_STORE_SCOPE_SIZE], uint32_t day, struct bw_arena *arena,
                               struct bw_store_scope_key *out, struct bw_error *err)
{
    WITH_DB(context, bw_store_scope_key_find(vault->db, tenant, scope, day, arena, out, err));
}

static enum bw_code scope_settle(void *context, const struct bw_store_scope_key *proposed,
                                 struct bw_arena *arena, struct bw_store_scope_key *out, struct bw_error *err)
{
    WITH_DB(context, bw_store_scope_key_settle(vault->db, proposed, arena, out, err));
}

static enum bw_code scope_read(void *context, const struct bw_id *id, struct bw_arena *arena,
                               struct bw_store_scope_key *out, struct bw_error *err)
{
    WITH_DB(context, bw_store_scope_key_read(vault->db, id, arena, out, err));
}

static enum bw_code scope_newest(void *context, struct bw_arena *arena, struct bw_store_scope_key *out,
                                 struct bw_error *err)
{
    WITH_DB(context, bw_store_scope_key_newest(vault->db, arena, out, err));
}

static enum bw_code meeting_key(void *context, const struct bw_id *key, struct bw_store_meeting_key *out,
                                struct bw_error *err)
{
    WITH_DB(context, bw_store_meeting_key_read(vault->db, key, out, err));
}

static enum bw_code roster(void *context, const struct bw_id *tenant, const struct bw_id *record,
                           struct bw_buf *out, struct bw_error *err)
{
    WITH_DB(context, bw_store_roster_read(vault->db, tenant, record, out, err));
}

static enum bw_code chunks(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                           uint32_t slot, uint32_t slot_to, uint64_t from_ms, uint64_t to_ms,
                           bw_store_on_chunk *each, void *each_context, struct bw_error *err)
{
    WITH_DB(context, bw_store_chunks_read(vault->db, tenant, meeting, slot, slot_to, from_ms, to_ms, each,
                                          each_context, err));
}

static enum bw_code chunks_count(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                                 uint64_t *count, struct bw_error *err)
{
    WITH_DB(context, bw_store_chunks_count(vault->db, tenant, meeting, count, err));
}

static enum bw_code sketches(void *context, const struct bw_id *tenant, uint64_t from_ms, uint64_t to_ms,
                             bw_store_on_sketch *each, void *each_context, struct bw_error *err)
{
    WITH_DB(context, bw_store_sketches_read(vault->db, tenant, from_ms, to_ms, each, each_context, err));
}

static enum bw_code audit(void *context, const struct bw_store_audit *entry, struct bw_error *err)
{
    WITH_DB(context, bw_store_audit_write(vault->db, entry, err));
}

static enum bw_code last_kind(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                              uint16_t *kind, struct bw_error *err)
{
    WITH_DB(context, bw_store_meeting_last_kind(vault->db, tenant, meeting, kind, err));
}

static enum bw_code keys_list(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                              struct bw_buf *out, struct bw_error *err)
{
    WITH_DB(context, bw_store_meeting_keys_list(vault->db, tenant, meeting, out, err));
}

static enum bw_code erasure_find(void *context, const struct bw_id *tenant, const struct bw_id *request,
                                 struct bw_id *meeting, struct bw_buf *receipt, struct bw_error *err)
{
    WITH_DB(context, bw_store_erasure_find(vault->db, tenant, request, meeting, receipt, err));
}

static enum bw_code erase(void *context, const struct bw_store_erase *what, struct bw_buf *receipt,
                          struct bw_error *err)
{
    WITH_DB(context, bw_store_meeting_erase(vault->db, what, receipt, err));
}

static enum bw_code sweep(void *context, const struct bw_id *tenant, uint64_t quality_ms,
                          uint64_t participants_ms, struct bw_store_swept *out, struct bw_error *err)
{
    WITH_DB(context, bw_store_metadata_sweep(vault->db, tenant, quality_ms, participants_ms, out, err));
}

/* ---- where the roster lies: the decisions say ---- */

struct places {
    struct bw_vault_db *vault;
    const struct bw_id *tenant;
    bw_vault_on_place *each;
    void *context;
    bool any;
    uint32_t number;
    enum bw_code code;
    struct bw_error *err;
};

static bool on_decision(void *context, const struct bw_store_decision *row)
{
    struct places *places = context;
    struct bw_decision *decision;
    if (!bw_id_equal(&row->tenant, places->tenant))
        return false;
    places->any = true;
    if (row->kind != BW_DECISION_JOINED)
        return true;
    places->number++;
    bw_arena_reset(places->vault->arena);
    places->code = bw_api_record_decode(row->record, places->vault->arena, &decision, places->err);
    if (places->code != BW_OK)
        return false;
    if (bw_id_is_zero(&decision->roster_record))
        return true;
    const struct bw_vault_place place = {.entry = decision->entry,
                                         .record = decision->roster_record,
                                         .index = decision->roster_index,
                                         .slot = decision->slot,
                                         .number = places->number};
    return places->each(places->context, &place);
}

static enum bw_code places(void *context, const struct bw_id *tenant, const struct bw_id *meeting,
                           bw_vault_on_place *each, void *each_context, struct bw_error *err)
{
    struct bw_vault_db *vault = context;
    struct places reading = {
        .vault = vault, .tenant = tenant, .each = each, .context = each_context, .code = BW_OK, .err = err};
    enum bw_code code = connect(vault, err);
    if (code == BW_OK)
        code = bw_store_decisions_of(vault->db, meeting, 0, on_decision, &reading, err);
    if (code == BW_OK)
        code = reading.code;
    if (code == BW_OK && !reading.any)
        return bw_fail(err, BW_NOT_FOUND, "NO_MEETING", "the tenant has no meeting of that id");
    return code;
}

void bw_vault_db_ports(struct bw_vault_ports *ports)
{
    ports->scope_find = scope_find;
    ports->scope_settle = scope_settle;
    ports->scope_read = scope_read;
    ports->scope_newest = scope_newest;
    ports->meeting_key = meeting_key;
    ports->places = places;
    ports->roster = roster;
    ports->chunks = chunks;
    ports->chunks_count = chunks_count;
    ports->sketches = sketches;
    ports->audit = audit;
    ports->last_kind = last_kind;
    ports->keys_list = keys_list;
    ports->erasure_find = erasure_find;
    ports->erase = erase;
    ports->sweep = sweep;
}

void bw_vault_db_finish(struct bw_vault_db *vault)
{
    bw_store_db_close(vault->db);
    vault->db = NULL;
    bw_arena_destroy(vault->arena);
    vault->arena = NULL;
}
