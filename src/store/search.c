#include "store/search.h"

#include <limits.h>

#include "base/arena.h"
#include "store/pg.h"

enum { ROW_ARENA_BYTES = 1 << 20 };

/* The ids of a page come first, from an index; what else is to be said of them costs a few look-ups each. */
#define FOUND                                                                                                \
    "SELECT p.meeting, l.kind, l.record, l.policy_revision, j.joined, j.relays,"                             \
    " q.from_ms, q.to_ms, q.participants, q.worst_class, q.reason, q.poor_minutes, q.windows"                \
    " FROM page p"                                                                                           \
    " CROSS JOIN LATERAL (SELECT kind, record, policy_revision FROM decision d WHERE d.meeting = p.meeting"  \
    "   ORDER BY d.seq DESC LIMIT 1) l"                                                                      \
    " CROSS JOIN LATERAL (SELECT count(DISTINCT d.seq) FILTER (WHERE d.kind IN (2, 8)) AS joined,"           \
    "   array_agg(DISTINCT r) FILTER (WHERE r IS NOT NULL) AS relays"                                        \
    "   FROM decision d LEFT JOIN LATERAL unnest(d.relays) r ON true WHERE d.meeting = p.meeting) j"         \
    " LEFT JOIN meeting_quality q ON q.meeting = p.meeting AND q.tenant = $1"                                \
    " ORDER BY p.meeting DESC"

/* $6 NULL: any relay. */
#define OF_RELAYS(meeting)                                                                                   \
    " AND ($6::int[] IS NULL OR EXISTS (SELECT FROM decision d WHERE d.meeting = " meeting                   \
    " AND d.relays && $6))"

static const char all_query[] =
    "WITH page AS MATERIALIZED (SELECT c.meeting FROM decision c WHERE c.tenant = $1 AND c.seq = 1"
    " AND c.meeting >= bw_uuid_at($2) AND c.meeting < bw_uuid_at($3) AND ($4::uuid IS NULL OR c.meeting < "
    "$4)" OF_RELAYS("c.meeting") " ORDER BY c.meeting DESC LIMIT $5) " FOUND;

static const char judged_query[] =
    "WITH page AS MATERIALIZED (SELECT c.meeting FROM meeting_quality c WHERE c.tenant = $1"
    " AND c.meeting >= bw_uuid_at($2) AND c.meeting < bw_uuid_at($3) AND ($4::uuid IS NULL OR c.meeting < "
    "$4)" OF_RELAYS(
        "c.meeting") " AND CASE c.worst_class WHEN 3 THEN 4 WHEN 2 THEN 3 WHEN 1 THEN 2 ELSE 1 END >= $7"
                     " AND ($8 = 0 OR c.reason = $8) AND c.poor_minutes >= $9 ORDER BY c.meeting DESC LIMIT "
                     "$5) " FOUND;

static int64_t int8_of(uint64_t v)
{
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static struct bw_store_found_meeting read_row(struct bw_pg_row *row, const struct bw_id *tenant)
{
    struct bw_store_found_meeting found = {.meeting = bw_pg_get_uuid(row, 0),
                                           .last_kind = (uint16_t)bw_pg_get_int2(row, 1),
                                           .last_record = bw_pg_get_bytes(row, 2),
                                           .policy_revision = (uint32_t)bw_pg_get_int4(row, 3)};
    int64_t joined = bw_pg_get_int8(row, 4);
    found.joined = joined > 0 && joined < UINT32_MAX ? (uint32_t)joined : 0;
    if (!bw_pg_is_null(row, 5))
        found.relays = bw_pg_get_int4_array(row, 5, &found.relay_count);
    found.has_quality = !bw_pg_is_null(row, 6);
    if (found.has_quality)
        found.quality = (struct bw_store_meeting_quality){.meeting = found.meeting,
                                                          .tenant = *tenant,
                                                          .from_ms = (uint64_t)bw_pg_get_int8(row, 6),
                                                          .to_ms = (uint64_t)bw_pg_get_int8(row, 7),
                                                          .participants = (uint32_t)bw_pg_get_int4(row, 8),
                                                          .worst_class = (uint8_t)bw_pg_get_int2(row, 9),
                                                          .reason = (uint8_t)bw_pg_get_int2(row, 10),
                                                          .poor_minutes = (uint32_t)bw_pg_get_int4(row, 11),
                                                          .windows = (uint32_t)bw_pg_get_int4(row, 12)};
    return found;
}

enum bw_code bw_store_meetings_search(struct bw_store_db *db, const struct bw_store_search *search,
                                      bw_store_on_meeting *each, void *context, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(ROW_ARENA_BYTES);
    if (arena == NULL)
        return bw_fail_memory(err);
    bool judged = search->rank > 1 || search->reason != 0 || search->poor_minutes != 0;
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, &search->tenant);
    bw_pg_int8(&params, int8_of(search->since_ms));
    bw_pg_int8(&params, int8_of(search->until_ms));
    if (search->below != NULL)
        bw_pg_uuid(&params, search->below);
    else
        bw_pg_null(&params, BW_PG_UUID);
    bw_pg_int8(&params, search->limit);
    if (search->relays != NULL)
        bw_pg_int4_array(&params, search->relays, search->relay_count);
    else
        bw_pg_null(&params, BW_PG_INT4_ARRAY);
    if (judged) {
        bw_pg_int4(&params, search->rank);
        bw_pg_int4(&params, search->reason);
        bw_pg_int8(&params, search->poor_minutes);
    }
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query(db, BW_PG_READS, judged ? judged_query : all_query, &params, &result, err);
    bw_pg_params_finish(&params);
    bool go_on = true;
    for (int i = 0; code == BW_OK && go_on && i < PQntuples(result); i++) {
        struct bw_pg_row row = {.result = result, .row = i, .arena = arena};
        bw_arena_reset(arena);
        struct bw_store_found_meeting found = read_row(&row, &search->tenant);
        if (row.failed)
            code = bw_pg_fail_shape(err);
        else
            go_on = each(context, &found);
    }
    if (result != NULL)
        PQclear(result);
    bw_arena_destroy(arena);
    return code;
}
