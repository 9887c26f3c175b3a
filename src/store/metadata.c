#include "store/metadata.h"

#include <string.h>

#include "store/pg.h"

/* Rows are read in pieces: a meeting's chunks may be many. */
enum { PIECE_ROWS = 500 };

static void copy_bytes(struct bw_pg_row *row, int column, void *out, size_t size)
{
    struct bw_view bytes = bw_pg_get_bytes(row, column);
    if (bytes.len == size)
        memcpy(out, bytes.data, size);
    else
        row->failed = true;
}

/* One row or NOT_FOUND; takes params over. */
static enum bw_code find_row(struct bw_store_db *db, const char *sql, struct bw_pg_params *params,
                             const char *missing, PGresult **result, struct bw_error *err)
{
    PGresult *got = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS, sql, params, &got, err);
    bw_pg_params_finish(params);
    if (code != BW_OK)
        return code;
    if (PQntuples(got) == 0) {
        PQclear(got);
        return bw_fail(err, BW_NOT_FOUND, NULL, "%s", missing);
    }
    *result = got;
    return BW_OK;
}

/* ---- keys ---- */

#define SCOPE_COLUMNS "id, tenant, scope, day, public, signature, root, wrapped"

static enum bw_code read_scope(PGresult *result, struct bw_arena *arena, struct bw_store_scope_key *out,
                               struct bw_error *err)
{
    struct bw_pg_row row = {.result = result};
    struct bw_store_scope_key key = {.id = bw_pg_get_uuid(&row, 0),
                                     .tenant = bw_pg_get_uuid(&row, 1),
                                     .day = (uint32_t)bw_pg_get_int4(&row, 3)};
    copy_bytes(&row, 2, key.scope, sizeof key.scope);
    copy_bytes(&row, 4, key.public_key, sizeof key.public_key);
    copy_bytes(&row, 5, key.signature, sizeof key.signature);
    bw_pg_copy_text(&row, 6, key.root, sizeof key.root);
    struct bw_view wrapped = bw_pg_get_bytes(&row, 7);
    uint8_t *copy = bw_arena_memdup(arena, wrapped.data, wrapped.len);
    key.wrapped = bw_view_of(copy, wrapped.len);
    PQclear(result);
    if (copy == NULL)
        return bw_fail_memory(err);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = key;
    return BW_OK;
}

enum bw_code bw_store_scope_key_find(struct bw_store_db *db, const struct bw_id *tenant,
                                     const uint8_t scope[BW_STORE_SCOPE_SIZE], uint32_t day,
                                     struct bw_arena *arena, struct bw_store_scope_key *out,
                                     struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_bytea(&params, bw_view_of(scope, BW_STORE_SCOPE_SIZE));
    bw_pg_int4(&params, (int32_t)day);
    PGresult *result = NULL;
    enum bw_code code = find_row(db,
                                 "SELECT " SCOPE_COLUMNS " FROM keystore.scope_key"
                                 " WHERE tenant = $1 AND scope = $2 AND day = $3",
                                 &params, "there is no scope key of that day", &result, err);
    return code == BW_OK ? read_scope(result, arena, out, err) : code;
}

enum bw_code bw_store_scope_key_settle(struct bw_store_db *db, const struct bw_store_scope_key *proposed,
                                       struct bw_arena *arena, struct bw_store_scope_key *out,
                                       struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, &proposed->id);
    bw_pg_uuid(&params, &proposed->tenant);
    bw_pg_bytea(&params, bw_view_of(proposed->scope, sizeof proposed->scope));
    bw_pg_int4(&params, (int32_t)proposed->day);
    bw_pg_bytea(&params, bw_view_of(proposed->public_key, sizeof proposed->public_key));
    bw_pg_bytea(&params, bw_view_of(proposed->signature, sizeof proposed->signature));
    bw_pg_text(&params, proposed->root);
    bw_pg_bytea(&params, proposed->wrapped);
    enum bw_code code = bw_pg_run(db,
                                  "INSERT INTO keystore.scope_key (" SCOPE_COLUMNS ")"
                                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                                  &params, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    return bw_store_scope_key_find(db, &proposed->tenant, proposed->scope, proposed->day, arena, out, err);
}

enum bw_code bw_store_scope_key_read(struct bw_store_db *db, const struct bw_id *id, struct bw_arena *arena,
                                     struct bw_store_scope_key *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, id);
    PGresult *result = NULL;
    enum bw_code code = find_row(db, "SELECT " SCOPE_COLUMNS " FROM keystore.scope_key WHERE id = $1",
                                 &params, "the scope key is not there any more", &result, err);
    return code == BW_OK ? read_scope(result, arena, out, err) : code;
}

enum bw_code bw_store_scope_key_newest(struct bw_store_db *db, struct bw_arena *arena,
                                       struct bw_store_scope_key *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    PGresult *result = NULL;
    enum bw_code code =
        find_row(db, "SELECT " SCOPE_COLUMNS " FROM keystore.scope_key ORDER BY made DESC LIMIT 1", &params,
                 "there is no scope key yet", &result, err);
    return code == BW_OK ? read_scope(result, arena, out, err) : code;
}

enum bw_code bw_store_meeting_key_read(struct bw_store_db *db, const struct bw_id *id,
                                       struct bw_store_meeting_key *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, id);
    PGresult *result = NULL;
    enum bw_code code = find_row(db,
                                 "SELECT key_id, tenant, meeting, scope_key, enc, sealed"
                                 " FROM keystore.meeting_key WHERE key_id = $1",
                                 &params, "the key was destroyed", &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_store_meeting_key key = {.id = bw_pg_get_uuid(&row, 0),
                                       .tenant = bw_pg_get_uuid(&row, 1),
                                       .meeting = bw_pg_get_uuid(&row, 2),
                                       .scope_key = bw_pg_get_uuid(&row, 3)};
    copy_bytes(&row, 4, key.enc, sizeof key.enc);
    copy_bytes(&row, 5, key.sealed, sizeof key.sealed);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = key;
    return BW_OK;
}

/* ---- sealed rows ---- */

enum bw_code bw_store_roster_read(struct bw_store_db *db, const struct bw_id *tenant,
                                  const struct bw_id *record, struct bw_buf *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_uuid(&params, record);
    PGresult *result = NULL;
    enum bw_code code = find_row(db, "SELECT record FROM roster_record WHERE tenant = $1 AND id = $2",
                                 &params, "the roster record is not there any more", &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_view bytes = bw_pg_get_bytes(&row, 0);
    bw_buf_append(out, bytes.data, bytes.len);
    PQclear(result);
    return out->failed ? bw_fail_memory(err) : BW_OK;
}

/* Keyset paging: from behind the last (slot, stream, seq) seen. */
static const char chunks_query[] =
    "SELECT id, tenant, meeting, slot, source, stream, seq, from_ms, to_ms, record FROM quality_chunk"
    " WHERE meeting = $2 AND tenant = $1 AND slot <= $3 AND from_ms < $5 AND to_ms > $4"
    " AND (slot, stream, seq) > ($6, $7, $8) ORDER BY slot, stream, seq LIMIT $9";

enum bw_code bw_store_chunks_read(struct bw_store_db *db, const struct bw_id *tenant,
                                  const struct bw_id *meeting, uint32_t slot, uint32_t slot_to,
                                  uint64_t from_ms, uint64_t to_ms, bw_store_on_chunk *each, void *context,
                                  struct bw_error *err)
{
    struct bw_store_chunk chunk = {0};
    int64_t last_seq = INT64_MIN;
    int32_t last_slot = slot > INT32_MAX ? INT32_MAX : (int32_t)slot;
    for (;;) {
        struct bw_pg_params params = {0};
        bw_pg_uuid(&params, tenant);
        bw_pg_uuid(&params, meeting);
        bw_pg_int4(&params, slot_to > INT32_MAX ? INT32_MAX : (int32_t)slot_to);
        bw_pg_int8(&params, (int64_t)from_ms);
        bw_pg_int8(&params, to_ms > INT64_MAX ? INT64_MAX : (int64_t)to_ms);
        bw_pg_int4(&params, last_slot);
        bw_pg_uuid(&params, &chunk.stream);
        bw_pg_int8(&params, last_seq);
        bw_pg_int8(&params, PIECE_ROWS);
        PGresult *result = NULL;
        enum bw_code code = bw_pg_query(db, BW_PG_READS, chunks_query, &params, &result, err);
        bw_pg_params_finish(&params);
        if (code != BW_OK)
            return code;
        struct bw_pg_row row = {.result = result};
        int rows = PQntuples(result);
        bool more = rows == PIECE_ROWS;
        for (int i = 0; i < rows && !row.failed; i++) {
            row.row = i;
            chunk = (struct bw_store_chunk){.id = bw_pg_get_uuid(&row, 0),
                                            .tenant = bw_pg_get_uuid(&row, 1),
                                            .meeting = bw_pg_get_uuid(&row, 2),
                                            .slot = (uint32_t)bw_pg_get_int4(&row, 3),
                                            .source = (uint8_t)bw_pg_get_int2(&row, 4),
                                            .stream = bw_pg_get_uuid(&row, 5),
                                            .seq = (uint64_t)bw_pg_get_int8(&row, 6),
                                            .from_ms = (uint64_t)bw_pg_get_int8(&row, 7),
                                            .to_ms = (uint64_t)bw_pg_get_int8(&row, 8),
                                            .record = bw_pg_get_bytes(&row, 9)};
            last_slot = (int32_t)chunk.slot;
            last_seq = (int64_t)chunk.seq;
            if (!row.failed && !each(context, &chunk)) {
                more = false;
                break;
            }
        }
        PQclear(result);
        if (row.failed)
            return bw_pg_fail_shape(err);
        if (!more)
            return BW_OK;
    }
}

enum bw_code bw_store_chunks_count(struct bw_store_db *db, const struct bw_id *tenant,
                                   const struct bw_id *meeting, uint64_t *count, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_uuid(&params, meeting);
    PGresult *result = NULL;
    enum bw_code code = find_row(db, "SELECT count(*) FROM quality_chunk WHERE tenant = $1 AND meeting = $2",
                                 &params, "no count", &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    *count = (uint64_t)bw_pg_get_int8(&row, 0);
    PQclear(result);
    return BW_OK;
}

static const char sketches_query[] =
    "SELECT id, tenant, (extract(epoch FROM hour) * 1000)::bigint, record FROM quality_sketch"
    " WHERE tenant = $1 AND hour >= timestamptz 'epoch' + $2 * interval '1 millisecond'"
    " AND hour < timestamptz 'epoch' + $3 * interval '1 millisecond' ORDER BY hour, id";

enum bw_code bw_store_sketches_read(struct bw_store_db *db, const struct bw_id *tenant, uint64_t from_ms,
                                    uint64_t to_ms, bw_store_on_sketch *each, void *context,
                                    struct bw_error *err)
{
    /* Later than any clock, and within timestamptz. */
    static const uint64_t year_9999_ms = 253402300799999;
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_int8(&params, (int64_t)(from_ms < year_9999_ms ? from_ms : year_9999_ms));
    bw_pg_int8(&params, (int64_t)(to_ms < year_9999_ms ? to_ms : year_9999_ms));
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS, sketches_query, &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    for (int i = 0; i < PQntuples(result) && !row.failed; i++) {
        row.row = i;
        struct bw_store_sketch sketch = {.id = bw_pg_get_uuid(&row, 0),
                                         .tenant = bw_pg_get_uuid(&row, 1),
                                         .hour_ms = (uint64_t)bw_pg_get_int8(&row, 2),
                                         .record = bw_pg_get_bytes(&row, 3)};
        if (row.failed || !each(context, &sketch))
            break;
    }
    PQclear(result);
    return row.failed ? bw_pg_fail_shape(err) : BW_OK;
}

/* ---- audit ---- */

enum bw_code bw_store_audit_write(struct bw_store_db *db, const struct bw_store_audit *entry,
                                  struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, entry->actor);
    bw_pg_text(&params, entry->role);
    bw_pg_uuid(&params, &entry->tenant);
    if (bw_id_is_zero(&entry->meeting))
        bw_pg_null(&params, BW_PG_UUID);
    else
        bw_pg_uuid(&params, &entry->meeting);
    bw_pg_text(&params, entry->method);
    bw_pg_text(&params, entry->fields);
    bw_pg_int4(&params, (int32_t)entry->rows);
    bw_pg_uuid(&params, &entry->request);
    bw_pg_text(&params, entry->outcome);
    enum bw_code code =
        bw_pg_run(db,
                  "INSERT INTO audit (actor, role, tenant, meeting, method, fields, rows, request, outcome)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                  &params, err);
    bw_pg_params_finish(&params);
    return code;
}

/* ---- erasing ---- */

enum bw_code bw_store_meeting_last_kind(struct bw_store_db *db, const struct bw_id *tenant,
                                        const struct bw_id *meeting, uint16_t *kind, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_uuid(&params, meeting);
    PGresult *result = NULL;
    enum bw_code code = find_row(db,
                                 "SELECT kind FROM decision WHERE meeting = $2 AND tenant = $1"
                                 " ORDER BY seq DESC LIMIT 1",
                                 &params, "the tenant has no meeting of that id", &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    *kind = (uint16_t)bw_pg_get_int2(&row, 0);
    PQclear(result);
    return BW_OK;
}

enum bw_code bw_store_meeting_keys_list(struct bw_store_db *db, const struct bw_id *tenant,
                                        const struct bw_id *meeting, struct bw_buf *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_uuid(&params, meeting);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS,
                                    "SELECT key_id FROM keystore.meeting_key"
                                    " WHERE tenant = $1 AND meeting = $2 ORDER BY key_id",
                                    &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    for (int i = 0; i < PQntuples(result); i++) {
        row.row = i;
        struct bw_id key = bw_pg_get_uuid(&row, 0);
        bw_buf_append(out, key.bytes, sizeof key.bytes);
    }
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    return out->failed ? bw_fail_memory(err) : BW_OK;
}

enum bw_code bw_store_erasure_find(struct bw_store_db *db, const struct bw_id *tenant,
                                   const struct bw_id *request, struct bw_id *meeting, struct bw_buf *receipt,
                                   struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_uuid(&params, request);
    PGresult *result = NULL;
    enum bw_code code =
        find_row(db, "SELECT meeting, receipt FROM keystore.erasure WHERE tenant = $1 AND request = $2",
                 &params, "nothing was erased by that request", &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    *meeting = bw_pg_get_uuid(&row, 0);
    struct bw_view bytes = bw_pg_get_bytes(&row, 1);
    bw_buf_append(receipt, bytes.data, bytes.len);
    PQclear(result);
    return receipt->failed ? bw_fail_memory(err) : BW_OK;
}

enum bw_code bw_store_meeting_erase(struct bw_store_db *db, const struct bw_store_erase *erase,
                                    struct bw_buf *receipt, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, &erase->tenant);
    bw_pg_uuid(&params, &erase->meeting);
    bw_pg_uuid(&params, &erase->request);
    bw_pg_text(&params, erase->actor);
    bw_pg_int8(&params, (int64_t)erase->at_ms);
    bw_pg_int4(&params, (int32_t)erase->keys);
    bw_pg_bytea(&params, erase->receipt);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(
        db, BW_PG_CHANGES, "SELECT bw_meeting_erase($1, $2, $3, $4, $5, $6, $7)", &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_view bytes = bw_pg_get_bytes(&row, 0);
    bw_buf_append(receipt, bytes.data, bytes.len);
    PQclear(result);
    return receipt->failed ? bw_fail_memory(err) : BW_OK;
}

enum bw_code bw_store_metadata_sweep(struct bw_store_db *db, const struct bw_id *tenant, uint64_t quality_ms,
                                     uint64_t participants_ms, struct bw_store_swept *out,
                                     struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_int8(&params, (int64_t)quality_ms);
    bw_pg_int8(&params, (int64_t)participants_ms);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_CHANGES,
                                        "SELECT o_chunks, o_sketches, o_rosters, o_keys, o_scopes"
                                        " FROM bw_metadata_sweep($1, $2, $3)",
                                        &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_store_swept swept = {.chunks = (uint64_t)bw_pg_get_int8(&row, 0),
                                   .sketches = (uint64_t)bw_pg_get_int8(&row, 1),
                                   .rosters = (uint64_t)bw_pg_get_int8(&row, 2),
                                   .keys = (uint64_t)bw_pg_get_int8(&row, 3),
                                   .scopes = (uint64_t)bw_pg_get_int8(&row, 4)};
    PQclear(result);
    swept.more = swept.chunks >= BW_STORE_SWEEP_ROWS || swept.sketches >= BW_STORE_SWEEP_ROWS ||
                 swept.rosters >= BW_STORE_SWEEP_ROWS || swept.keys >= BW_STORE_SWEEP_ROWS;
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = swept;
    return BW_OK;
}

enum bw_code bw_store_keys_readable(struct bw_store_db *db, bool *readable, struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_READS,
                                        "SELECT has_table_privilege('keystore.meeting_key', 'SELECT')"
                                        " OR has_table_privilege('keystore.scope_key', 'SELECT')",
                                        NULL, &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    *readable = bw_pg_get_bool(&row, 0);
    PQclear(result);
    return row.failed ? bw_pg_fail_shape(err) : BW_OK;
}
