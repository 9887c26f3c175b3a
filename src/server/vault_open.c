/* Opening: may the caller ask this, is the audit written, are the keys there, and then row by row. */
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "server/vault_mask.h"
#include "server/vault_state.h"

void bw_vault_plain_clear(struct bw_buf *plain)
{
    if (plain->data != NULL)
        bw_wipe(plain->data, plain->cap);
    bw_buf_clear(plain);
}

/* ---- keys ---- */

static enum bw_code bring_scope(struct bw_vault_core *core, const struct bw_id *id, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    if (bw_opener_has_scope(core->opener, id, bw_vault_now(core)))
        return BW_OK;
    struct bw_store_scope_key key;
    bw_arena_reset(core->arena);
    enum bw_code code = ports->scope_read(ports->context, id, core->arena, &key, err);
    if (code == BW_NOT_FOUND)
        return bw_fail(err, BW_NOT_FOUND, "ERASED", "the keys of this metadata were destroyed");
    if (code != BW_OK)
        return code;
    struct bw_scope_wrapped wrapped = bw_vault_wrapped(&key);
    enum bw_provider_state state = bw_opener_scope(core->opener, &wrapped, bw_vault_now(core), err);
    if (state == BW_PROVIDER_OK)
        return BW_OK;
    /* One key that cannot be unwrapped says nothing of the others; a provider that refuses says it of all. */
    if (state == BW_PROVIDER_TRANSIENT && err->code == BW_RESOURCE_EXHAUSTED)
        return BW_RESOURCE_EXHAUSTED; /* of ours, not of the provider's */
    if (state == BW_PROVIDER_CORRUPT)
        return bw_fail(err, BW_DATA_LOSS, "KEY_UNAVAILABLE", "a stored key does not fit the keyring");
    bw_vault_note_state(core, state, err);
    return bw_vault_key_unavailable(core, err);
}

static enum bw_code bring_key(struct bw_vault_core *core, const struct bw_id *id, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    if (bw_opener_has_meeting_key(core->opener, id, bw_vault_now(core)))
        return BW_OK;
    struct bw_store_meeting_key stored;
    enum bw_code code = ports->meeting_key(ports->context, id, &stored, err);
    if (code == BW_NOT_FOUND)
        return bw_fail(err, BW_NOT_FOUND, "ERASED", "the keys of this metadata were destroyed");
    if (code == BW_OK)
        code = bring_scope(core, &stored.scope_key, err);
    if (code != BW_OK)
        return code;
    struct bw_meeting_key_row row = {.key_id = stored.id,
                                     .tenant = stored.tenant,
                                     .meeting = stored.meeting,
                                     .scope_key = stored.scope_key};
    memcpy(row.enc, stored.enc, sizeof row.enc);
    memcpy(row.sealed, stored.sealed, sizeof row.sealed);
    return bw_opener_meeting_key(core->opener, &row, bw_vault_now(core), err);
}

/* core->plain gets the record's content. */
static enum bw_code open_record(struct bw_vault_core *core, struct bw_record_context *context,
                                const char *table, struct bw_view record, struct bw_error *err)
{
    struct bw_record_info info;
    memcpy(context->table, table, sizeof context->table);
    memcpy(context->column, "body", sizeof context->column);
    bw_vault_plain_clear(&core->plain);
    enum bw_code code = bw_record_peek(record, &info, err);
    if (code == BW_OK)
        code = bring_key(core, &info.meeting_key, err);
    if (code == BW_OK)
        code = bw_opener_record(core->opener, context, record, bw_vault_now(core), &info, &core->plain, err);
    return code;
}

/* ---- parts ---- */

/* Rows on their way to the caller. */
struct answer {
    struct bw_vault_core *core;
    const struct bw_vault_request *request;
    struct bw_vault_part part;
    uint32_t rows;
    bool cut, unheard;
    enum bw_code code;
    struct bw_error err;
};

static bool stop(struct answer *answer, enum bw_code code)
{
    answer->code = code;
    return false;
}

static void begin_part(struct answer *answer)
{
    bw_vault_part_begin(&answer->part, answer->request->id, (enum bw_vault_what)answer->request->what,
                        &answer->core->out);
}

/* False ends the reading. */
static bool add_row(struct answer *answer, const struct bw_vault_row *row)
{
    if (!bw_vault_part_add(&answer->part, row)) {
        bw_vault_part_end(&answer->part, false, false);
        answer->unheard = !bw_vault_send(answer->core);
        begin_part(answer);
        if (answer->unheard || !bw_vault_part_add(&answer->part, row))
            return stop(answer, bw_fail_memory(&answer->err));
    }
    answer->rows++;
    answer->core->opened++;
    return true;
}

static bool full(struct answer *answer)
{
    answer->cut = answer->rows >= answer->request->max_rows;
    return answer->cut;
}

/* ---- the roster ---- */

struct places {
    const struct bw_vault_request *request;
    struct bw_vault_place *items;
    size_t count, cap, max;
    bool cut, no_memory;
};

/* The last slot that a request wants. */
static uint32_t last_slot(const struct bw_vault_request *request)
{
    if (request->slot_to != 0)
        return request->slot_to;
    return request->slot != 0 ? request->slot : UINT32_MAX;
}

static bool take_place(void *context, const struct bw_vault_place *place)
{
    struct places *places = context;
    if (place->slot < places->request->slot || place->slot > last_slot(places->request))
        return true;
    if (places->count == places->max) {
        places->cut = true;
        return false;
    }
    if (places->count == places->cap) {
        size_t cap = places->cap > 0 ? 2 * places->cap : 64;
        struct bw_vault_place *more = bw_realloc(places->items, cap * sizeof *more);
        if (more == NULL) {
            places->no_memory = true;
            return false;
        }
        places->items = more;
        places->cap = cap;
    }
    places->items[places->count++] = *place;
    return true;
}

/* The sealed entry that the place names, inside core->record's plaintext. */
static enum bw_code find_item(struct bw_vault_core *core, const struct bw_vault_request *request,
                              const struct bw_vault_place *place, struct bw_view body,
                              struct bw_roster_item *item, struct bw_error *err)
{
    struct bw_roster_reader reader;
    (void)core;
    enum bw_code code = bw_roster_read(body, &reader, err);
    while (code == BW_OK) {
        code = bw_roster_next(&reader, item, err);
        if (code == BW_OK && item->index == place->index)
            break;
    }
    if (code == BW_NOT_FOUND || (code == BW_OK && (!bw_id_equal(&item->meeting, &request->meeting) ||
                                                   !bw_id_equal(&item->roster_entry, &place->entry))))
        return bw_fail(err, BW_DATA_LOSS, "ROSTER_ENTRY_MISSING",
                       "a roster record does not hold the entry that its decision names");
    return code;
}

static enum bw_code open_entry(struct answer *answer, const struct bw_vault_place *place, struct bw_view body)
{
    struct bw_vault_core *core = answer->core;
    const struct bw_vault_request *request = answer->request;
    struct bw_roster_item item;
    struct bw_id key;
    struct bw_buf plain = {0}, masked = {0};
    enum bw_code code = find_item(core, request, place, body, &item, &answer->err);
    if (code == BW_OK)
        code = bw_opener_entry_key(item.sealed, &key, &answer->err);
    if (code == BW_OK)
        code = bring_key(core, &key, &answer->err);
    if (code == BW_OK)
        code = bw_opener_roster_entry(core->opener, &request->tenant, &request->meeting, &place->entry,
                                      item.sealed, bw_vault_now(core), &plain, &answer->err);
    struct bw_roster_entry entry;
    if (code == BW_OK)
        code = bw_roster_entry_decode(bw_buf_view(&plain), &entry, &answer->err);
    if (code == BW_OK) {
        struct bw_vault_masked storage;
        struct bw_vault_row row = {.row = place->entry, .meeting = request->meeting, .slot = place->slot};
        row.from_ms = entry.joined_ms;
        row.masked = bw_vault_mask(&entry, (enum bw_vault_role)request->caller.role, request->caller.user,
                                   place->number, &storage);
        code = bw_roster_entry_encode(&entry, &masked, &answer->err);
        row.payload = bw_buf_view(&masked);
        if (code == BW_OK && !add_row(answer, &row))
            code = answer->code;
    }
    bw_vault_plain_clear(&plain);
    bw_buf_finish(&plain);
    bw_buf_finish(&masked);
    return code;
}

static enum bw_code open_places(struct answer *answer, const struct places *places)
{
    struct bw_vault_core *core = answer->core;
    const struct bw_vault_ports *ports = &core->config.ports;
    const struct bw_id *open = NULL; /* whose body is in core->plain */
    enum bw_code code = BW_OK;
    for (size_t i = 0; code == BW_OK && i < places->count; i++) {
        const struct bw_vault_place *place = &places->items[i];
        if (open == NULL || !bw_id_equal(open, &place->record)) {
            struct bw_record_context context = {.tenant = answer->request->tenant, .row = place->record};
            open = NULL;
            bw_buf_clear(&core->record);
            code = ports->roster(ports->context, &answer->request->tenant, &place->record, &core->record,
                                 &answer->err);
            if (code == BW_NOT_FOUND) { /* its retention has ended */
                code = BW_OK;
                continue;
            }
            if (code == BW_OK)
                code = open_record(core, &context, "rost", bw_buf_view(&core->record), &answer->err);
            if (code != BW_OK)
                return code;
            open = &place->record;
        }
        code = open_entry(answer, place, bw_buf_view(&core->plain));
    }
    return code;
}

/* What an audit says of a look at a roster. */
static const char *roster_fields(const struct bw_vault_caller *caller)
{
    if (caller->role != BW_VAULT_ROLE_TIER1)
        return "roster, e-mail and address masked";
    return caller->user.len > 0 ? "roster, people by number, and one who was named, e-mail and address masked"
                                : "roster, people by number";
}

static enum bw_code open_roster(struct answer *answer)
{
    struct bw_vault_core *core = answer->core;
    const struct bw_vault_ports *ports = &core->config.ports;
    const struct bw_vault_request *request = answer->request;
    struct places places = {.request = request, .max = request->max_rows};
    enum bw_code code =
        ports->places(ports->context, &request->tenant, &request->meeting, take_place, &places, &answer->err);
    if (code == BW_OK && places.no_memory)
        code = bw_fail_memory(&answer->err);
    if (code == BW_OK)
        code = bw_vault_audit(core, request, roster_fields(&request->caller), places.count, "allowed",
                              &answer->err);
    if (code == BW_OK)
        code = open_places(answer, &places);
    answer->cut = places.cut;
    bw_free(places.items);
    return code;
}

/* ---- quality ---- */

static bool open_chunk(void *context, const struct bw_store_chunk *chunk)
{
    struct answer *answer = context;
    const struct bw_vault_request *request = answer->request;
    if (!bw_id_is_zero(&request->stream) && !bw_id_equal(&request->stream, &chunk->stream))
        return true;
    if (full(answer))
        return false;
    struct bw_record_context place = {.tenant = chunk->tenant, .meeting = chunk->meeting, .row = chunk->id};
    enum bw_code code = open_record(answer->core, &place, "qchk", chunk->record, &answer->err);
    if (code != BW_OK)
        return stop(answer, code);
    const struct bw_vault_row row = {.row = chunk->id,
                                     .meeting = chunk->meeting,
                                     .stream = chunk->stream,
                                     .slot = chunk->slot,
                                     .source = chunk->source,
                                     .seq = chunk->seq,
                                     .from_ms = chunk->from_ms,
                                     .to_ms = chunk->to_ms,
                                     .payload = bw_buf_view(&answer->core->plain)};
    return add_row(answer, &row);
}

static enum bw_code open_chunks(struct answer *answer)
{
    struct bw_vault_core *core = answer->core;
    const struct bw_vault_ports *ports = &core->config.ports;
    const struct bw_vault_request *request = answer->request;
    uint64_t count = 0;
    enum bw_code code =
        ports->chunks_count(ports->context, &request->tenant, &request->meeting, &count, &answer->err);
    if (code == BW_OK)
        code = bw_vault_audit(core, request, "quality of the meeting", count, "allowed", &answer->err);
    if (code == BW_OK)
        code = ports->chunks(ports->context, &request->tenant, &request->meeting, request->slot,
                             last_slot(request), request->from_ms,
                             request->to_ms != 0 ? request->to_ms : UINT64_MAX, open_chunk, answer,
                             &answer->err);
    return code == BW_OK ? answer->code : code;
}

static bool count_sketch(void *context, const struct bw_store_sketch *sketch)
{
    (void)sketch;
    ++*(uint64_t *)context;
    return true;
}

static bool open_sketch(void *context, const struct bw_store_sketch *sketch)
{
    struct answer *answer = context;
    if (full(answer))
        return false;
    struct bw_record_context place = {.tenant = sketch->tenant, .row = sketch->id};
    enum bw_code code = open_record(answer->core, &place, "qskt", sketch->record, &answer->err);
    if (code != BW_OK)
        return stop(answer, code);
    const struct bw_vault_row row = {.row = sketch->id,
                                     .from_ms = sketch->hour_ms,
                                     .to_ms = sketch->hour_ms + 3600000,
                                     .payload = bw_buf_view(&answer->core->plain)};
    return add_row(answer, &row);
}

static enum bw_code open_sketches(struct answer *answer)
{
    struct bw_vault_core *core = answer->core;
    const struct bw_vault_ports *ports = &core->config.ports;
    const struct bw_vault_request *request = answer->request;
    uint64_t count = 0;
    enum bw_code code = ports->sketches(ports->context, &request->tenant, request->from_ms, request->to_ms,
                                        count_sketch, &count, &answer->err);
    if (code == BW_OK)
        code = bw_vault_audit(core, request, "quality of a range of time", count, "allowed", &answer->err);
    if (code == BW_OK)
        code = ports->sketches(ports->context, &request->tenant, request->from_ms, request->to_ms,
                               open_sketch, answer, &answer->err);
    return code == BW_OK ? answer->code : code;
}

/* ---- the request ---- */

static enum bw_code check(const struct bw_vault_core *core, const struct bw_vault_request *request,
                          struct bw_error *err)
{
    uint8_t role = request->caller.role;
    if (role != BW_VAULT_ROLE_TIER1 && role != BW_VAULT_ROLE_TIER2 && role != BW_VAULT_ROLE_TENANT_ADMIN)
        return bw_fail(err, BW_PERMISSION_DENIED, NULL, "this role may not open metadata");
    if (!bw_id_is_zero(&request->caller.grant))
        return bw_fail(err, BW_UNIMPLEMENTED, NULL,
                       "seeing more than a role may is not supported yet; ask without a grant");
    if (request->what == BW_VAULT_SKETCHES ? request->from_ms >= request->to_ms
                                           : bw_id_is_zero(&request->meeting))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a meeting, or a range of time, is missing");
    return core->state == BW_PROVIDER_OK ? BW_OK : bw_vault_key_unavailable(core, err);
}

bool bw_vault_open(struct bw_vault_core *core, const struct bw_vault_request *request)
{
    struct answer answer = {.core = core, .request = request, .code = BW_OK};
    enum bw_code code = check(core, request, &answer.err);
    if (code != BW_OK) {
        /* Refusals are worth knowing, too; nothing leaves, so that a failure here changes nothing. */
        struct bw_error ignored;
        (void)bw_vault_audit(core, request, "", 0, bw_code_name(code), &ignored);
        return bw_vault_fail(core, request->id, &answer.err);
    }
    begin_part(&answer);
    if (request->what == BW_VAULT_ROSTER)
        code = open_roster(&answer);
    else if (request->what == BW_VAULT_SKETCHES)
        code = open_sketches(&answer);
    else
        code = open_chunks(&answer);
    bw_vault_plain_clear(&core->plain);
    if (answer.unheard)
        return false;
    if (code != BW_OK) {
        bw_buf_clear(&core->out); /* rows of a part that was not sent */
        return bw_vault_fail(core, request->id, &answer.err);
    }
    bw_vault_part_end(&answer.part, true, answer.cut);
    return bw_vault_send(core);
}
