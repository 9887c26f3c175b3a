/* The group index half of store/decisions.h. */
#include "store/decisions.h"
#include "store/pg.h"

enum { GROUP_ARENA_BYTES = 16 << 20 };

/* One statement, one snapshot: heads and groups fit together. Without groups there is still one row. */
static const char groups_query[] =
    "SELECT h.group_no, h.compacted, f.revision, (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    " g.group_no, g.event, g.subject, g.replica, g.replica_epoch, (extract(epoch FROM g.at) * 1000)::bigint,"
    " g.relays, g.meetings, g.seqs, g.relay_ends, g.key_relays"
    " FROM head h CROSS JOIN facts_head f LEFT JOIN LATERAL"
    " (SELECT i.group_no, i.event, i.subject, i.replica, i.replica_epoch, i.at, i.relays,"
    "   CASE WHEN s.skipped THEN NULL ELSE i.meetings END AS meetings,"
    "   CASE WHEN s.skipped THEN NULL ELSE i.seqs END AS seqs,"
    "   CASE WHEN s.skipped THEN NULL ELSE i.relay_ends END AS relay_ends,"
    "   CASE WHEN s.skipped THEN NULL ELSE i.key_relays END AS key_relays"
    "  FROM group_index i CROSS JOIN LATERAL (SELECT i.replica IS NOT DISTINCT FROM $3 AND $3 IS NOT NULL) AS"
    "   s (skipped)"
    "  WHERE i.group_no > $1 AND h.compacted <= $1 ORDER BY i.group_no LIMIT $2) g ON true"
    " ORDER BY g.group_no";

static struct bw_store_group read_group(struct bw_pg_row *row)
{
    struct bw_store_group group = {.number = (uint64_t)bw_pg_get_int8(row, 4),
                                   .event = (enum bw_store_event)bw_pg_get_int2(row, 5),
                                   .subject = bw_pg_get_uuid(row, 6),
                                   .replica = bw_pg_get_uuid(row, 7),
                                   .replica_epoch = (uint64_t)bw_pg_get_int8(row, 8),
                                   .at_ms = (uint64_t)bw_pg_get_int8(row, 9)};
    size_t seqs, ends, key_relays;
    group.relays = bw_pg_get_int4_array(row, 10, &group.relay_count);
    group.meetings = bw_pg_get_uuid_array(row, 11, &group.key_count);
    group.seqs = bw_pg_get_int4_array(row, 12, &seqs);
    group.relay_ends = bw_pg_get_int4_array(row, 13, &ends);
    group.key_relays = bw_pg_get_int4_array(row, 14, &key_relays);
    if (seqs != group.key_count || ends != group.key_count)
        row->failed = true;
    uint32_t last = 0;
    for (size_t i = 0; i < ends && !row->failed; i++) {
        row->failed = group.relay_ends[i] < last;
        last = group.relay_ends[i];
    }
    if (last > key_relays)
        row->failed = true;
    return group;
}

enum bw_code bw_store_groups_read(struct bw_store_db *db, uint64_t after, uint32_t limit,
                                  const struct bw_id *skip, bw_store_on_group *each, void *context,
                                  struct bw_store_heads *heads, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(GROUP_ARENA_BYTES);
    if (arena == NULL)
        return bw_fail_memory(err);
    struct bw_pg_params params = {0};
    bw_pg_int8(&params, (int64_t)after);
    bw_pg_int8(&params, limit);
    if (skip != NULL)
        bw_pg_uuid(&params, skip);
    else
        bw_pg_null(&params, BW_PG_UUID);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_READS, groups_query, &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        return code;
    }
    struct bw_pg_row row = {.result = result, .arena = arena};
    struct bw_store_heads found = {.group = (uint64_t)bw_pg_get_int8(&row, 0),
                                   .compacted = (uint64_t)bw_pg_get_int8(&row, 1),
                                   .facts_revision = (uint64_t)bw_pg_get_int8(&row, 2),
                                   .database_ms = (uint64_t)bw_pg_get_int8(&row, 3)};
    for (int i = 0; i < PQntuples(result) && !row.failed; i++) {
        row.row = i;
        if (bw_pg_is_null(&row, 4))
            break;
        struct bw_store_group group = read_group(&row);
        if (row.failed || !each(context, &group))
            break;
        bw_arena_reset(arena);
    }
    PQclear(result);
    bw_arena_destroy(arena);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *heads = found;
    return BW_OK;
}

enum bw_code bw_store_groups_compact(struct bw_store_db *db, uint64_t upto, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_int8(&params, (int64_t)upto);
    enum bw_code code = bw_pg_run(db, "SELECT bw_groups_compact($1)", &params, err);
    bw_pg_params_finish(&params);
    return code;
}
