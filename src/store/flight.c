#include "store/flight.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

const char bw_store_group_query[] =
    "SELECT "
    "bw_group_sealed($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,"
    "$24,$25,$26,$27,$28)";
const unsigned int bw_store_group_types[] = {
    BW_PG_UUID,
    BW_PG_INT8,
    BW_PG_INT4,
    BW_PG_INT8,
    BW_PG_INT8,
    BW_PG_INT8,
    BW_PG_UUID_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_UUID_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_INT2_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_UUID_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_BYTEA_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_INT4_ARRAY,
    BW_PG_TEXT_ARRAY,
    /* keys */
    BW_PG_UUID_ARRAY,
    BW_PG_UUID_ARRAY,
    BW_PG_UUID_ARRAY,
    BW_PG_UUID_ARRAY,
    BW_PG_BYTEA_ARRAY,
    BW_PG_BYTEA_ARRAY,
    /* roster records */
    BW_PG_UUID_ARRAY,
    BW_PG_UUID_ARRAY,
    BW_PG_BYTEA_ARRAY,
};
const int bw_store_group_type_count = sizeof bw_store_group_types / sizeof bw_store_group_types[0];

const char bw_store_conflict_query[] =
    "SELECT k.place::int, NULL::uuid FROM unnest($1, $2) WITH ORDINALITY AS k (meeting, seq, place)"
    " JOIN decision d ON d.meeting = k.meeting AND d.seq = k.seq"
    " UNION ALL SELECT c.place, r.meeting FROM unnest($3, $4, $5, $6) AS c (place, tenant, method, key)"
    " JOIN request r ON r.tenant = c.tenant AND r.method = c.method AND r.key = c.key";
const unsigned int bw_store_conflict_types[] = {BW_PG_UUID_ARRAY, BW_PG_INT4_ARRAY, BW_PG_INT4_ARRAY,
                                                BW_PG_UUID_ARRAY, BW_PG_TEXT_ARRAY, BW_PG_UUID_ARRAY};
const int bw_store_conflict_type_count = sizeof bw_store_conflict_types / sizeof bw_store_conflict_types[0];

enum bw_code bw_store_flight_init(struct bw_store_flight *flight, uint32_t capacity, struct bw_error *err)
{
    uint32_t slots = 16;
    while (slots < 2 * capacity)
        slots *= 2;
    struct bw_store_flight made = {.capacity = capacity, .slot_mask = slots - 1};
    made.rows = bw_calloc(capacity, sizeof(struct bw_store_pending *));
    made.pair_of = bw_calloc(capacity, sizeof *made.pair_of);
    made.pair_rows = bw_calloc(capacity, sizeof *made.pair_rows);
    made.slots = bw_calloc(slots, sizeof *made.slots);
    made.notes = bw_calloc(capacity, sizeof *made.notes);
    made.note_views = bw_calloc(capacity, sizeof *made.note_views);
    if (made.rows == NULL || made.pair_of == NULL || made.pair_rows == NULL || made.slots == NULL ||
        made.notes == NULL || made.note_views == NULL) {
        bw_store_flight_finish(&made);
        return bw_fail_memory(err);
    }
    *flight = made;
    return BW_OK;
}

void bw_store_flight_finish(struct bw_store_flight *flight)
{
    bw_free(flight->rows);
    bw_free(flight->pair_of);
    bw_free(flight->pair_rows);
    bw_free(flight->slots);
    bw_free(flight->touched);
    bw_store_flight_unseal(flight);
    bw_free(flight->rosters);
    bw_free(flight->notes);
    bw_free(flight->note_views);
    bw_free(flight->keys);
    bw_buf_finish(&flight->named);
    *flight = (struct bw_store_flight){0};
}

/* Numbers the distinct (tenant, policy revision) pairs: an open-addressed table of pair numbers plus one. */
static void find_pairs(struct bw_store_flight *flight)
{
    memset(flight->slots, 0, ((size_t)flight->slot_mask + 1) * sizeof *flight->slots);
    flight->pair_count = 0;
    for (uint32_t i = 0; i < flight->count; i++) {
        const struct bw_store_row *row = &flight->rows[i]->row;
        uint32_t hash;
        memcpy(&hash, row->tenant.bytes + 10, sizeof hash);
        hash = (hash ^ row->policy_revision) * 0x9e3779b1u;
        uint32_t slot = (hash >> 12) & flight->slot_mask;
        for (;; slot = (slot + 1) & flight->slot_mask) {
            if (flight->slots[slot] == 0) {
                flight->pair_rows[flight->pair_count++] = i;
                flight->slots[slot] = flight->pair_count;
                break;
            }
            const struct bw_store_row *other = &flight->rows[flight->pair_rows[flight->slots[slot] - 1]]->row;
            if (other->policy_revision == row->policy_revision && bw_id_equal(&other->tenant, &row->tenant))
                break;
        }
        flight->pair_of[i] = flight->slots[slot];
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool add_touched(struct bw_store_flight *flight, struct bw_pg_params *params)
{
    size_t all = 0, distinct = 0;
    for (uint32_t i = 0; i < flight->count; i++)
        all += flight->rows[i]->row.relay_count;
    if (all > flight->touched_capacity) {
        uint32_t *more = bw_realloc(flight->touched, all * sizeof *more);
        if (more == NULL)
            return false;
        flight->touched = more;
        flight->touched_capacity = all;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < flight->count; i++)
        for (size_t j = 0; j < flight->rows[i]->row.relay_count; j++)
            flight->touched[at++] = flight->rows[i]->row.relays[j];
    if (all > 0)
        qsort(flight->touched, all, sizeof *flight->touched, by_number);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || flight->touched[i] != flight->touched[i - 1])
            flight->touched[distinct++] = flight->touched[i];
    bw_pg_int4_array(params, flight->touched, distinct);
    return true;
}

static struct bw_view id_view(const struct bw_id *id)
{
    return bw_view_of(id->bytes, sizeof id->bytes);
}

static void add_identity(const struct bw_store_flight *flight, struct bw_pg_params *params)
{
    bw_pg_uuid(params, &flight->replica);
    bw_pg_int8(params, (int64_t)flight->epoch);
    bw_pg_int4(params, (int32_t)flight->writer);
    bw_pg_int8(params, (int64_t)flight->token);
    if (flight->unknown)
        bw_pg_int8(params, (int64_t)flight->floor);
    else
        bw_pg_null(params, BW_PG_INT8);
    bw_pg_int8(params, (int64_t)flight->rows[0]->row.facts_revision);
}

static void add_pairs(const struct bw_store_flight *flight, struct bw_pg_params *params)
{
    bw_pg_array_begin(params, BW_PG_UUID, flight->pair_count);
    for (uint32_t i = 0; i < flight->pair_count; i++)
        bw_pg_array_bytes(params, id_view(&flight->rows[flight->pair_rows[i]]->row.tenant));
    bw_pg_array_end(params);
    bw_pg_array_begin(params, BW_PG_INT4, flight->pair_count);
    for (uint32_t i = 0; i < flight->pair_count; i++)
        bw_pg_array_int4(params, (int32_t)flight->rows[flight->pair_rows[i]]->row.policy_revision);
    bw_pg_array_end(params);
}

static void add_keys(const struct bw_store_flight *flight, struct bw_pg_params *params)
{
    bw_pg_array_begin(params, BW_PG_UUID, flight->count);
    for (uint32_t i = 0; i < flight->count; i++)
        bw_pg_array_bytes(params, id_view(&flight->rows[i]->row.meeting));
    bw_pg_array_end(params);
    bw_pg_array_begin(params, BW_PG_INT4, flight->count);
    for (uint32_t i = 0; i < flight->count; i++)
        bw_pg_array_int4(params, (int32_t)flight->rows[i]->row.seq);
    bw_pg_array_end(params);
}

static void add_rows(const struct bw_store_flight *flight, struct bw_pg_params *params)
{
    bw_pg_array_begin(params, BW_PG_INT2, flight->count);
    for (uint32_t i = 0; i < flight->count; i++)
        bw_pg_array_int2(params, (int16_t)flight->rows[i]->row.kind);
    bw_pg_array_end(params);
    bw_pg_int4_array(params, flight->pair_of, flight->count);
    bw_pg_array_begin(params, BW_PG_UUID, flight->count);
    for (uint32_t i = 0; i < flight->count; i++)
        bw_pg_array_bytes(params, id_view(&flight->rows[i]->row.request));
    bw_pg_array_end(params);

    size_t relays = 0;
    bw_pg_array_begin(params, BW_PG_INT4, flight->count);
    for (uint32_t i = 0; i < flight->count; i++) {
        relays += flight->rows[i]->row.relay_count;
        bw_pg_array_int4(params, (int32_t)relays);
    }
    bw_pg_array_end(params);
    bw_pg_array_begin(params, BW_PG_INT4, relays);
    for (uint32_t i = 0; i < flight->count; i++)
        for (size_t j = 0; j < flight->rows[i]->row.relay_count; j++)
            bw_pg_array_int4(params, (int32_t)flight->rows[i]->row.relays[j]);
    bw_pg_array_end(params);
}

static void add_records(struct bw_store_flight *flight, const struct bw_store_sealing *sealing,
                        struct bw_pg_params *params)
{
    bw_pg_array_begin(params, BW_PG_BYTEA, flight->count);
    for (uint32_t i = 0; i < flight->count; i++) {
        struct bw_view record = flight->rows[i]->row.record;
        const struct bw_store_note *note = &flight->notes[i];
        if (flight->roster_count > 0 && note->roster != BW_STORE_NOTE_NONE) {
            bw_buf_clear(&flight->named);
            bw_buf_append(&flight->named, record.data, record.len);
            sealing->name(sealing->context, &flight->rosters[note->roster].id, note->index, &flight->named);
            record = bw_buf_view(&flight->named);
            params->bytes.failed = params->bytes.failed || flight->named.failed;
        }
        bw_pg_array_bytes(params, record);
    }
    bw_pg_array_end(params);
}

#define ADD_IDS(items, count, member)                                                                        \
    bw_pg_array_begin(params, BW_PG_UUID, count);                                                            \
    for (uint32_t i = 0; i < (count); i++)                                                                   \
        bw_pg_array_bytes(params, id_view(&(items)[i] member));                                              \
    bw_pg_array_end(params)
#define ADD_BYTES(items, count, view)                                                                        \
    bw_pg_array_begin(params, BW_PG_BYTEA, count);                                                           \
    for (uint32_t i = 0; i < (count); i++)                                                                   \
        bw_pg_array_bytes(params, view);                                                                     \
    bw_pg_array_end(params)

static void add_sealed(const struct bw_store_flight *flight, struct bw_pg_params *params)
{
    const struct bw_store_meeting_key *const *keys = flight->keys;
    ADD_IDS(keys, flight->key_count, ->id);
    ADD_IDS(keys, flight->key_count, ->tenant);
    ADD_IDS(keys, flight->key_count, ->meeting);
    ADD_IDS(keys, flight->key_count, ->scope_key);
    ADD_BYTES(keys, flight->key_count, bw_view_of(keys[i]->enc, sizeof keys[i]->enc));
    ADD_BYTES(keys, flight->key_count, bw_view_of(keys[i]->sealed, sizeof keys[i]->sealed));
    const struct bw_store_roster *rosters = flight->rosters;
    ADD_IDS(rosters, flight->roster_count, .id);
    ADD_IDS(rosters, flight->roster_count, .tenant);
    ADD_BYTES(rosters, flight->roster_count, bw_buf_view(&rosters[i].record));
}

/* Rows that enter their request id: their places, and per place what `value` adds. */
static size_t count_created(const struct bw_store_flight *flight)
{
    size_t created = 0;
    for (uint32_t i = 0; i < flight->count; i++)
        created += flight->rows[i]->row.method != NULL;
    return created;
}

static void add_created_places(const struct bw_store_flight *flight, struct bw_pg_params *params,
                               size_t created)
{
    bw_pg_array_begin(params, BW_PG_INT4, created);
    for (uint32_t i = 0; i < flight->count; i++)
        if (flight->rows[i]->row.method != NULL)
            bw_pg_array_int4(params, (int32_t)i + 1);
    bw_pg_array_end(params);
}

static void add_created_methods(const struct bw_store_flight *flight, struct bw_pg_params *params,
                                size_t created)
{
    bw_pg_array_begin(params, BW_PG_TEXT, created);
    for (uint32_t i = 0; i < flight->count; i++)
        if (flight->rows[i]->row.method != NULL)
            bw_pg_array_bytes(params, bw_view_str(flight->rows[i]->row.method));
    bw_pg_array_end(params);
}

bool bw_store_flight_encode(struct bw_store_flight *flight, const struct bw_store_sealing *sealing,
                            struct bw_pg_params *params)
{
    bw_pg_params_clear(params);
    find_pairs(flight);
    add_identity(flight, params);
    add_pairs(flight, params);
    add_keys(flight, params);
    add_rows(flight, params);
    add_records(flight, sealing, params);
    if (!add_touched(flight, params))
        return false;
    size_t created = count_created(flight);
    add_created_places(flight, params, created);
    add_created_methods(flight, params, created);
    add_sealed(flight, params);
    return !params->bytes.failed && !flight->keys_lost;
}

bool bw_store_flight_encode_conflicts(struct bw_store_flight *flight, struct bw_pg_params *params)
{
    bw_pg_params_clear(params);
    add_keys(flight, params);
    size_t created = count_created(flight);
    add_created_places(flight, params, created);
    bw_pg_array_begin(params, BW_PG_UUID, created);
    for (uint32_t i = 0; i < flight->count; i++)
        if (flight->rows[i]->row.method != NULL)
            bw_pg_array_bytes(params, id_view(&flight->rows[i]->row.tenant));
    bw_pg_array_end(params);
    add_created_methods(flight, params, created);
    bw_pg_array_begin(params, BW_PG_UUID, created);
    for (uint32_t i = 0; i < flight->count; i++)
        if (flight->rows[i]->row.method != NULL)
            bw_pg_array_bytes(params, id_view(&flight->rows[i]->row.request));
    bw_pg_array_end(params);
    return !params->bytes.failed;
}

uint32_t bw_store_flight_split(struct bw_store_flight *flight, struct bw_store_pending **out)
{
    uint32_t kept = 0, moved = 0;
    for (uint32_t i = 0; i < flight->count;) {
        uint32_t end = i;
        const struct bw_store_result *failed = NULL;
        for (; end < flight->count && flight->rows[end]->meeting == flight->rows[i]->meeting; end++)
            if (failed == NULL && flight->rows[end]->result.outcome != BW_STORE_COMMITTED)
                failed = &flight->rows[end]->result;
        for (; i < end; i++) {
            if (failed == NULL) {
                flight->rows[kept++] = flight->rows[i];
            } else {
                if (&flight->rows[i]->result != failed)
                    flight->rows[i]->result = *failed;
                out[moved++] = flight->rows[i];
            }
        }
    }
    flight->count = kept;
    return moved;
}
