#include "store/decisions.h"

#include <string.h>

#include "base/reference.h"
#include "store/pg.h"

enum { CHUNK_ROWS = 2000, ROW_ARENA_BYTES = 1 << 20 };

#define DECISION_COLUMNS                                                                                     \
    "SELECT d.meeting, d.seq, d.kind, d.tenant, d.request, d.policy_revision, d.facts_revision, d.relays,"   \
    " d.record FROM decision d "

static struct bw_store_decision read_decision(struct bw_pg_row *row)
{
    struct bw_store_decision decision = {.meeting = bw_pg_get_uuid(row, 0),
                                         .seq = (uint32_t)bw_pg_get_int4(row, 1),
                                         .kind = (uint16_t)bw_pg_get_int2(row, 2),
                                         .tenant = bw_pg_get_uuid(row, 3),
                                         .request = bw_pg_get_uuid(row, 4),
                                         .policy_revision = (uint32_t)bw_pg_get_int4(row, 5),
                                         .facts_revision = (uint64_t)bw_pg_get_int8(row, 6),
                                         .record = bw_pg_get_bytes(row, 8)};
    decision.relays = bw_pg_get_int4_array(row, 7, &decision.relay_count);
    return decision;
}

struct reading {
    bw_store_on_decision *each;
    void *context;
    struct bw_arena *arena;
    struct bw_store_key last; /* the last row seen */
    int rows;                 /* in the last answer */
    bool stopped;
    const struct bw_reference *only; /* pass over what this reference does not mean */
    struct bw_error *err;
};

static enum bw_code reading_begin(struct reading *reading)
{
    reading->arena = bw_arena_create(ROW_ARENA_BYTES);
    return reading->arena == NULL ? bw_fail_memory(reading->err) : BW_OK;
}

/* Delivers one answer; takes params over. */
static enum bw_code deliver(struct reading *reading, struct bw_store_db *db, const char *sql,
                            struct bw_pg_params *params)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS, sql, params, &result, reading->err);
    bw_pg_params_finish(params);
    if (code != BW_OK)
        return code;
    reading->rows = PQntuples(result);
    for (int i = 0; i < reading->rows && !reading->stopped; i++) {
        struct bw_pg_row row = {.result = result, .row = i, .arena = reading->arena};
        struct bw_store_decision decision = read_decision(&row);
        if (row.failed) {
            code = bw_pg_fail_shape(reading->err);
            break;
        }
        reading->last = (struct bw_store_key){.meeting = decision.meeting, .seq = decision.seq};
        if (reading->only == NULL || bw_reference_matches(reading->only, &decision.meeting, decision.seq))
            reading->stopped = !reading->each(reading->context, &decision);
        bw_arena_reset(reading->arena);
    }
    PQclear(result);
    return code;
}

enum bw_code bw_store_decisions_since(struct bw_store_db *db, uint64_t from_ms, uint32_t chunk,
                                      bw_store_on_decision *each, void *context, struct bw_error *err)
{
    struct reading reading = {.each = each, .context = context, .err = err};
    enum bw_code code = reading_begin(&reading);
    if (code != BW_OK)
        return code;
    if (chunk == 0)
        chunk = CHUNK_ROWS;
    /* The smallest id of that millisecond, and no row before it: seq is never negative. */
    for (int i = 0; i < 6; i++)
        reading.last.meeting.bytes[i] = (uint8_t)(from_ms >> (40 - 8 * i));
    int64_t after = -1;
    do {
        struct bw_pg_params params = {0};
        bw_pg_uuid(&params, &reading.last.meeting);
        bw_pg_int4(&params, (int32_t)after);
        bw_pg_int8(&params, chunk);
        code =
            deliver(&reading, db,
                    DECISION_COLUMNS "WHERE (d.meeting, d.seq) > ($1, $2) ORDER BY d.meeting, d.seq LIMIT $3",
                    &params);
        after = reading.last.seq;
    } while (code == BW_OK && !reading.stopped && reading.rows == (int)chunk);
    bw_arena_destroy(reading.arena);
    return code;
}

enum bw_code bw_store_decisions_of(struct bw_store_db *db, const struct bw_id *meeting, uint32_t from_seq,
                                   bw_store_on_decision *each, void *context, struct bw_error *err)
{
    struct reading reading = {.each = each, .context = context, .err = err};
    enum bw_code code = reading_begin(&reading);
    if (code != BW_OK)
        return code;
    int64_t from = from_seq;
    do {
        struct bw_pg_params params = {0};
        bw_pg_uuid(&params, meeting);
        bw_pg_int8(&params, from);
        bw_pg_int8(&params, CHUNK_ROWS);
        code =
            deliver(&reading, db,
                    DECISION_COLUMNS "WHERE d.meeting = $1 AND d.seq >= $2 ORDER BY d.seq LIMIT $3", &params);
        from = (int64_t)reading.last.seq + 1;
    } while (code == BW_OK && !reading.stopped && reading.rows == CHUNK_ROWS);
    bw_arena_destroy(reading.arena);
    return code;
}

enum bw_code bw_store_decisions_by_key(struct bw_store_db *db, const struct bw_store_key *keys, size_t n,
                                       bw_store_on_decision *each, void *context, struct bw_error *err)
{
    struct reading reading = {.each = each, .context = context, .err = err};
    enum bw_code code = reading_begin(&reading);
    for (size_t at = 0; code == BW_OK && at < n && !reading.stopped; at += CHUNK_ROWS) {
        size_t some = n - at < CHUNK_ROWS ? n - at : CHUNK_ROWS;
        struct bw_pg_params params = {0};
        bw_pg_array_begin(&params, BW_PG_UUID, some);
        for (size_t i = at; i < at + some; i++)
            bw_pg_array_bytes(&params, bw_view_of(keys[i].meeting.bytes, sizeof keys[i].meeting.bytes));
        bw_pg_array_end(&params);
        bw_pg_array_begin(&params, BW_PG_INT4, some);
        for (size_t i = at; i < at + some; i++)
            bw_pg_array_int4(&params, (int32_t)keys[i].seq);
        bw_pg_array_end(&params);
        code = deliver(&reading, db,
                       DECISION_COLUMNS "JOIN unnest($1, $2) WITH ORDINALITY AS k (meeting, seq, place)"
                                        " ON d.meeting = k.meeting AND d.seq = k.seq ORDER BY k.place",
                       &params);
    }
    bw_arena_destroy(reading.arena);
    return code;
}

enum bw_code bw_store_decisions_by_reference(struct bw_store_db *db, struct bw_view reference,
                                             bw_store_on_decision *each, void *context, struct bw_error *err)
{
    struct bw_reference meant;
    if (!bw_reference_parse(reference, &meant))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "that is not a reference; one looks like 7K2M-04QX-9ZTB-0001");
    struct reading reading = {.each = each, .context = context, .err = err, .only = &meant};
    enum bw_code code = reading_begin(&reading);
    if (code != BW_OK)
        return code;
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, &meant.from);
    bw_pg_uuid(&params, &meant.to);
    bw_pg_int4(&params, meant.seq_low);
    code = deliver(&reading, db,
                   DECISION_COLUMNS "WHERE d.meeting BETWEEN $1 AND $2 AND d.seq & 65535 = $3"
                                    " ORDER BY d.meeting, d.seq LIMIT 1000",
                   &params);
    bw_arena_destroy(reading.arena);
    return code;
}

enum bw_code bw_store_request_find(struct bw_store_db *db, const struct bw_id *tenant, const char *method,
                                   const struct bw_id *request, struct bw_id *meeting, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_text(&params, method);
    bw_pg_uuid(&params, request);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(
        db, BW_PG_READS, "SELECT meeting FROM request WHERE tenant = $1 AND method = $2 AND key = $3",
        &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    if (PQntuples(result) == 0) {
        PQclear(result);
        return bw_fail(err, BW_NOT_FOUND, NULL, "no call with this request id is known");
    }
    struct bw_pg_row row = {.result = result};
    struct bw_id found = bw_pg_get_uuid(&row, 0);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *meeting = found;
    return BW_OK;
}

enum bw_code bw_store_requests_purge(struct bw_store_db *db, uint64_t older_than_ms, uint64_t *purged,
                                     struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_int8(&params, (int64_t)older_than_ms);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(
        db, BW_PG_CHANGES, "SELECT bw_requests_purge($1 * interval '1 millisecond')", &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    uint64_t count = (uint64_t)bw_pg_get_int8(&row, 0);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *purged = count;
    return BW_OK;
}
