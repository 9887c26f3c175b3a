#include "store/quality.h"

#include <limits.h>

#include "base/arena.h"
#include "store/pg.h"

static struct bw_view id_view(const struct bw_id *id)
{
    return bw_view_of(id->bytes, sizeof id->bytes);
}

/* One column of the rows, taken by an expression of `row`. */
#define COLUMN(params, type, kind, value)                                                                    \
    do {                                                                                                     \
        bw_pg_array_begin(params, type, count);                                                              \
        for (size_t i = 0; i < count; i++)                                                                   \
            bw_pg_array_##kind(params, value);                                                               \
        bw_pg_array_end(params);                                                                             \
    } while (0)

static int32_t int4_of(uint32_t v)
{
    return v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

static enum bw_code run(struct bw_store_db *db, const char *sql, struct bw_pg_params *params,
                        struct bw_error *err)
{
    enum bw_code code = bw_pg_run(db, sql, params, err);
    bw_pg_params_finish(params);
    return code;
}

enum bw_code bw_store_keys_write(struct bw_store_db *db, const struct bw_store_meeting_key *rows,
                                 size_t count, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    if (count == 0)
        return BW_OK;
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].id));
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].tenant));
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].meeting));
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].scope_key));
    COLUMN(&params, BW_PG_BYTEA, bytes, bw_view_of(rows[i].enc, sizeof rows[i].enc));
    COLUMN(&params, BW_PG_BYTEA, bytes, bw_view_of(rows[i].sealed, sizeof rows[i].sealed));
    return run(db,
               "INSERT INTO keystore.meeting_key (key_id, tenant, meeting, scope_key, enc, sealed)"
               " SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS n(key) ORDER BY key ON CONFLICT DO NOTHING",
               &params, err);
}

enum bw_code bw_store_chunks_write(struct bw_store_db *db, const struct bw_store_chunk *rows, size_t count,
                                   struct bw_error *err)
{
    struct bw_pg_params params = {0};
    if (count == 0)
        return BW_OK;
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].id));
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].tenant));
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].meeting));
    COLUMN(&params, BW_PG_INT4, int4, (int32_t)rows[i].slot);
    COLUMN(&params, BW_PG_INT2, int2, rows[i].source);
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].stream));
    COLUMN(&params, BW_PG_INT8, int8, (int64_t)rows[i].seq);
    COLUMN(&params, BW_PG_INT8, int8, (int64_t)rows[i].from_ms);
    COLUMN(&params, BW_PG_INT8, int8, (int64_t)rows[i].to_ms);
    COLUMN(&params, BW_PG_BYTEA, bytes, rows[i].record);
    return run(db, "SELECT bw_quality_chunks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", &params, err);
}

enum bw_code bw_store_sketches_write(struct bw_store_db *db, const struct bw_store_sketch *rows, size_t count,
                                     struct bw_error *err)
{
    struct bw_pg_params params = {0};
    if (count == 0)
        return BW_OK;
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].tenant));
    COLUMN(&params, BW_PG_INT8, int8, (int64_t)rows[i].hour_ms);
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].id));
    COLUMN(&params, BW_PG_BYTEA, bytes, rows[i].record);
    return run(db, "SELECT bw_quality_sketches($1, $2, $3, $4)", &params, err);
}

/* Where each meeting's relays end, then all of them. */
static void put_relays(struct bw_pg_params *params, const struct bw_store_meeting_quality *rows, size_t count)
{
    size_t total = 0;
    bw_pg_array_begin(params, BW_PG_INT4, count);
    for (size_t i = 0; i < count; i++) {
        total += rows[i].relay_count;
        bw_pg_array_int4(params, (int32_t)total);
    }
    bw_pg_array_end(params);
    bw_pg_array_begin(params, BW_PG_INT4, total);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < rows[i].relay_count; k++)
            bw_pg_array_int4(params, (int32_t)rows[i].relays[k]);
    }
    bw_pg_array_end(params);
}

enum bw_code bw_store_meeting_quality_write(struct bw_store_db *db,
                                            const struct bw_store_meeting_quality *rows, size_t count,
                                            struct bw_error *err)
{
    struct bw_pg_params params = {0};
    if (count == 0)
        return BW_OK;
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].meeting));
    COLUMN(&params, BW_PG_UUID, bytes, id_view(&rows[i].tenant));
    COLUMN(&params, BW_PG_INT8, int8, (int64_t)rows[i].from_ms);
    COLUMN(&params, BW_PG_INT8, int8, (int64_t)rows[i].to_ms);
    COLUMN(&params, BW_PG_INT4, int4, int4_of(rows[i].participants));
    COLUMN(&params, BW_PG_INT2, int2, rows[i].worst_class);
    COLUMN(&params, BW_PG_INT2, int2, rows[i].reason);
    COLUMN(&params, BW_PG_INT4, int4, int4_of(rows[i].poor_minutes));
    COLUMN(&params, BW_PG_INT4, int4, int4_of(rows[i].windows));
    COLUMN(&params, BW_PG_INT4, int4, int4_of(rows[i].policy_revision));
    put_relays(&params, rows, count);
    return run(db, "SELECT bw_quality_meetings($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", &params,
               err);
}

static void read_relays(struct bw_pg_row *row, int column, struct bw_store_meeting_quality *out)
{
    size_t count = 0;
    const uint32_t *relays = bw_pg_get_int4_array(row, column, &count);
    for (size_t i = 0; i < count && i < BW_STORE_QUALITY_RELAYS; i++)
        out->relays[out->relay_count++] = relays[i];
}

enum bw_code bw_store_meeting_quality_read(struct bw_store_db *db, const struct bw_id *meetings, size_t count,
                                           struct bw_store_meeting_quality *out, size_t *found,
                                           struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(1 << 20);
    if (arena == NULL)
        return bw_fail_memory(err);
    struct bw_pg_params params = {0};
    bw_pg_uuid_array(&params, meetings, count);
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query(db, BW_PG_READS,
                    "SELECT meeting, tenant, from_ms, to_ms, participants, worst_class, reason, poor_minutes,"
                    " windows, policy_revision, relays FROM meeting_quality WHERE meeting = ANY($1)",
                    &params, &result, err);
    bw_pg_params_finish(&params);
    size_t n = 0;
    for (int i = 0; code == BW_OK && i < PQntuples(result) && n < count; i++) {
        struct bw_pg_row row = {.result = result, .row = i, .arena = arena};
        bw_arena_reset(arena);
        out[n] = (struct bw_store_meeting_quality){.meeting = bw_pg_get_uuid(&row, 0),
                                                   .tenant = bw_pg_get_uuid(&row, 1),
                                                   .from_ms = (uint64_t)bw_pg_get_int8(&row, 2),
                                                   .to_ms = (uint64_t)bw_pg_get_int8(&row, 3),
                                                   .participants = (uint32_t)bw_pg_get_int4(&row, 4),
                                                   .worst_class = (uint8_t)bw_pg_get_int2(&row, 5),
                                                   .reason = (uint8_t)bw_pg_get_int2(&row, 6),
                                                   .poor_minutes = (uint32_t)bw_pg_get_int4(&row, 7),
                                                   .windows = (uint32_t)bw_pg_get_int4(&row, 8),
                                                   .policy_revision = (uint32_t)bw_pg_get_int4(&row, 9)};
        read_relays(&row, 10, &out[n]);
        if (row.failed)
            code = bw_pg_fail_shape(err);
        n++;
    }
    if (result != NULL)
        PQclear(result);
    bw_arena_destroy(arena);
    if (code == BW_OK)
        *found = n;
    return code;
}
