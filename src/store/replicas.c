#include "store/replicas.h"

#include "store/pg.h"

/* Runs a statement whose answer is one bigint; takes params over. */
static enum bw_code ask_int8(struct bw_store_db *db, const char *sql, struct bw_pg_params *params,
                             uint64_t *out, struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_CHANGES, sql, params, &result, err);
    bw_pg_params_finish(params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    uint64_t v = (uint64_t)bw_pg_get_int8(&row, 0);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = v;
    return BW_OK;
}

static void key(struct bw_pg_params *params, const struct bw_store_replica_key *replica)
{
    bw_pg_uuid(params, &replica->id);
    bw_pg_int8(params, (int64_t)replica->epoch);
}

enum bw_code bw_store_replica_register(struct bw_store_db *db, const struct bw_id *id, const char *endpoint,
                                       uint64_t lease_ms, uint64_t *epoch, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, id);
    bw_pg_text(&params, endpoint);
    bw_pg_int8(&params, (int64_t)lease_ms);
    return ask_int8(db, "SELECT bw_replica_register($1, $2, $3)", &params, epoch, err);
}

enum bw_code bw_store_replica_renew(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                    uint64_t lease_ms, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    key(&params, self);
    bw_pg_int8(&params, (int64_t)lease_ms);
    enum bw_code code = bw_pg_run(db, "SELECT bw_replica_renew($1, $2, $3)", &params, err);
    bw_pg_params_finish(&params);
    return code;
}

enum bw_code bw_store_replica_fence(struct bw_store_db *db, const struct bw_store_replica_key *dead,
                                    bool force, uint64_t *last_group, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    key(&params, dead);
    bw_pg_bool(&params, force);
    return ask_int8(db, "SELECT bw_replica_fence($1, $2, $3)", &params, last_group, err);
}

enum bw_code bw_store_replicas_read(struct bw_store_db *db, bw_store_on_replica *each, void *context,
                                    struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query(db, BW_PG_READS,
                    "SELECT id, epoch, endpoint, fenced,"
                    " greatest(0, extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint"
                    " FROM replica ORDER BY id",
                    NULL, &result, err);
    if (code != BW_OK)
        return code;
    for (int i = 0; i < PQntuples(result); i++) {
        struct bw_pg_row row = {.result = result, .row = i};
        struct bw_store_replica replica = {
            .key = {.id = bw_pg_get_uuid(&row, 0), .epoch = (uint64_t)bw_pg_get_int8(&row, 1)},
            .endpoint = bw_pg_get_text(&row, 2),
            .fenced = bw_pg_get_bool(&row, 3),
            .lease_left_ms = (uint64_t)bw_pg_get_int8(&row, 4)};
        if (row.failed) {
            code = bw_pg_fail_shape(err);
            break;
        }
        if (!each(context, &replica))
            break;
    }
    PQclear(result);
    return code;
}

/* Runs a statement whose answer is one int[] of n elements; takes params over. */
static enum bw_code ask_slots(struct bw_store_db *db, const char *sql, struct bw_pg_params *params, size_t n,
                              uint32_t *out, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(n * sizeof *out + 4096);
    PGresult *result = NULL;
    enum bw_code code =
        arena == NULL ? bw_fail_memory(err) : bw_pg_query_row(db, BW_PG_CHANGES, sql, params, &result, err);
    bw_pg_params_finish(params);
    if (code == BW_OK) {
        struct bw_pg_row row = {.result = result, .arena = arena};
        size_t count;
        const uint32_t *slots = bw_pg_get_int4_array(&row, 0, &count);
        if (row.failed || count != n)
            code = bw_pg_fail_shape(err);
        for (size_t i = 0; code == BW_OK && i < n; i++)
            out[i] = slots[i];
        PQclear(result);
    }
    bw_arena_destroy(arena);
    return code;
}

enum bw_code bw_store_escrow_take(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                  const uint32_t *relays, const uint32_t *want, size_t n, uint32_t *granted,
                                  struct bw_error *err)
{
    struct bw_pg_params params = {0};
    key(&params, self);
    bw_pg_int4_array(&params, relays, n);
    bw_pg_int4_array(&params, want, n);
    return ask_slots(db, "SELECT bw_escrow_take($1, $2, $3, $4)", &params, n, granted, err);
}

enum bw_code bw_store_escrow_give(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                  const uint32_t *relays, const uint32_t *slots, size_t n,
                                  struct bw_error *err)
{
    struct bw_pg_params params = {0};
    key(&params, self);
    bw_pg_int4_array(&params, relays, n);
    bw_pg_int4_array(&params, slots, n);
    enum bw_code code = bw_pg_run(db, "SELECT bw_escrow_give($1, $2, $3, $4)", &params, err);
    bw_pg_params_finish(&params);
    return code;
}

enum bw_code bw_store_escrow_adopt(struct bw_store_db *db, const struct bw_store_replica_key *dead,
                                   const struct bw_store_replica_key *self, const uint32_t *relays,
                                   const uint32_t *used, size_t n, bool release_rest, uint32_t *moved,
                                   struct bw_error *err)
{
    struct bw_pg_params params = {0};
    key(&params, dead);
    key(&params, self);
    bw_pg_int4_array(&params, relays, n);
    bw_pg_int4_array(&params, used, n);
    bw_pg_bool(&params, release_rest);
    return ask_slots(db, "SELECT bw_escrow_adopt($1, $2, $3, $4, $5, $6, $7)", &params, n, moved, err);
}

enum bw_code bw_store_escrow_read(struct bw_store_db *db, bw_store_on_escrow *each, void *context,
                                  struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(
        db, BW_PG_READS, "SELECT replica, epoch, relay, slots FROM escrow ORDER BY relay, replica, epoch",
        NULL, &result, err);
    if (code != BW_OK)
        return code;
    for (int i = 0; i < PQntuples(result); i++) {
        struct bw_pg_row row = {.result = result, .row = i};
        struct bw_store_escrow escrow = {
            .holder = {.id = bw_pg_get_uuid(&row, 0), .epoch = (uint64_t)bw_pg_get_int8(&row, 1)},
            .relay = (uint32_t)bw_pg_get_int4(&row, 2),
            .slots = (uint32_t)bw_pg_get_int4(&row, 3)};
        if (row.failed) {
            code = bw_pg_fail_shape(err);
            break;
        }
        if (!each(context, &escrow))
            break;
    }
    PQclear(result);
    return code;
}
