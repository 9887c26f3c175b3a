#include "store/fleet.h"

#include <string.h>

#include "base/check.h"
#include "store/pg.h"

static const char *const state_names[] = {
    [BW_STORE_RELAY_ENROLLED] = "enrolled",
    [BW_STORE_RELAY_CORDONED] = "cordoned",
    [BW_STORE_RELAY_DRAINING] = "draining",
    [BW_STORE_RELAY_REMOVED] = "removed",
};

const char *bw_store_relay_state_name(enum bw_store_relay_state state)
{
    BW_CHECK((size_t)state < BW_ARRAY_LEN(state_names));
    return state_names[state];
}

static bool parse_state(const char *name, enum bw_store_relay_state *state)
{
    for (size_t i = 0; i < BW_ARRAY_LEN(state_names); i++)
        if (strcmp(name, state_names[i]) == 0) {
            *state = (enum bw_store_relay_state)i;
            return true;
        }
    return false;
}

enum bw_code bw_store_relay_enroll(struct bw_store_db *db, const struct bw_store_enroll *what,
                                   uint32_t *number, uint64_t *facts_revision, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, what->name);
    bw_pg_text(&params, what->spiffe_id);
    bw_pg_bytea(&params, what->facts);
    bw_pg_int4(&params, (int32_t)what->capacity);
    bw_pg_bool(&params, what->replace);
    bw_pg_uuid(&params, &what->request);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(
        db, BW_PG_CHANGES, "SELECT o_number, o_facts_revision FROM bw_relay_enroll($1, $2, $3, $4, $5, $6)",
        &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    uint32_t given = (uint32_t)bw_pg_get_int4(&row, 0);
    uint64_t revision = (uint64_t)bw_pg_get_int8(&row, 1);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *number = given;
    *facts_revision = revision;
    return BW_OK;
}

enum bw_code bw_store_relay_set_state(struct bw_store_db *db, const char *name,
                                      enum bw_store_relay_state state, uint64_t deadline_ms,
                                      const char *reason, uint64_t *facts_revision, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, name);
    bw_pg_text(&params, bw_store_relay_state_name(state));
    bw_pg_int8(&params, (int64_t)deadline_ms);
    bw_pg_text(&params, reason);
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query_row(db, BW_PG_CHANGES,
                        "SELECT bw_relay_set_state($1, $2,"
                        " CASE WHEN $3 > 0 THEN timestamptz 'epoch' + $3 * interval '1 millisecond' END, $4)",
                        &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    uint64_t revision = (uint64_t)bw_pg_get_int8(&row, 0);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *facts_revision = revision;
    return BW_OK;
}

/* The revision comes with the rows: two statements could see two states. A cell without relays still has one
 * row, with a null number. */
static const char relays_query[] =
    "SELECT f.revision, r.number, r.name, r.spiffe_id, r.facts, r.capacity, r.state,"
    " (extract(epoch FROM r.drain_deadline) * 1000)::bigint, r.facts_revision,"
    " (extract(epoch FROM r.enrolled) * 1000)::bigint, s.epoch, s.replica, s.boot,"
    " greatest(0, extract(epoch FROM s.lease_until - clock_timestamp()) * 1000)::bigint, r.reason"
    " FROM facts_head f LEFT JOIN (relay r LEFT JOIN relay_session s ON s.relay = r.number)"
    " ON $1 OR r.state <> 'removed' ORDER BY r.number";

enum bw_code bw_store_relays_read(struct bw_store_db *db, bool removed_too, bw_store_on_relay *each,
                                  void *context, uint64_t *facts_revision, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_bool(&params, removed_too);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_READS, relays_query, &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    uint64_t revision = (uint64_t)bw_pg_get_int8(&row, 0);
    for (int i = 0; i < PQntuples(result) && !row.failed; i++) {
        row.row = i;
        if (bw_pg_is_null(&row, 1))
            break;
        struct bw_store_relay relay = {.number = (uint32_t)bw_pg_get_int4(&row, 1),
                                       .spiffe_id = bw_pg_get_text(&row, 3),
                                       .facts = bw_pg_get_bytes(&row, 4),
                                       .capacity = (uint32_t)bw_pg_get_int4(&row, 5),
                                       .drain_deadline_ms = (uint64_t)bw_pg_get_int8(&row, 7),
                                       .facts_revision = (uint64_t)bw_pg_get_int8(&row, 8),
                                       .enrolled_ms = (uint64_t)bw_pg_get_int8(&row, 9),
                                       .session_epoch = (uint64_t)bw_pg_get_int8(&row, 10),
                                       .session_replica = bw_pg_get_uuid(&row, 11),
                                       .session_boot = bw_pg_get_uuid(&row, 12),
                                       .session_lease_ms = (uint64_t)bw_pg_get_int8(&row, 13)};
        bw_pg_copy_text(&row, 2, relay.name, sizeof relay.name);
        bw_pg_copy_text(&row, 14, relay.reason, sizeof relay.reason);
        row.failed = row.failed || !parse_state(bw_pg_get_text(&row, 6), &relay.state);
        if (row.failed || !each(context, &relay))
            break;
    }
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *facts_revision = revision;
    return BW_OK;
}

enum bw_code bw_store_session_open(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                   uint32_t relay, const struct bw_id *boot, uint64_t lease_ms,
                                   uint64_t *epoch, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_int4(&params, (int32_t)relay);
    bw_pg_uuid(&params, &self->id);
    bw_pg_int8(&params, (int64_t)self->epoch);
    bw_pg_uuid(&params, boot);
    bw_pg_int8(&params, (int64_t)lease_ms);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_CHANGES, "SELECT bw_session_open($1, $2, $3, $4, $5)",
                                        &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    uint64_t given = (uint64_t)bw_pg_get_int8(&row, 0);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *epoch = given;
    return BW_OK;
}

/* Row i says whether session i is still ours. WITH ORDINALITY keeps the order of the question. */
static const char renew_query[] =
    "SELECT n.relay IS NULL FROM unnest($3::int[]) WITH ORDINALITY AS q (relay, place)"
    " LEFT JOIN bw_session_renew($1, $2, $3, $4, $5) AS n (relay) ON n.relay = q.relay ORDER BY q.place";

enum bw_code bw_store_sessions_renew(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                     const uint32_t *relays, const uint64_t *epochs, size_t n,
                                     uint64_t lease_ms, bool *lost, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, &self->id);
    bw_pg_int8(&params, (int64_t)self->epoch);
    bw_pg_int4_array(&params, relays, n);
    bw_pg_int8_array(&params, epochs, n);
    bw_pg_int8(&params, (int64_t)lease_ms);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_CHANGES, renew_query, &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result, .failed = (size_t)PQntuples(result) != n};
    for (size_t i = 0; i < n && !row.failed; i++) {
        row.row = (int)i;
        (void)bw_pg_get_bool(&row, 0);
    }
    for (size_t i = 0; i < n && !row.failed; i++) {
        row.row = (int)i;
        lost[i] = bw_pg_get_bool(&row, 0);
    }
    PQclear(result);
    return row.failed ? bw_pg_fail_shape(err) : BW_OK;
}
