#include "store/db.h"

#include <stdio.h>
#include <string.h>

#include "store/pg.h"

enum bw_code bw_store_db_ping(struct bw_store_db *db, struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS, "SELECT 1", NULL, &result, err);
    if (code == BW_OK)
        PQclear(result);
    return code;
}

enum bw_code bw_store_schema_check(struct bw_store_db *db, struct bw_error *err)
{
    struct bw_error local;
    PGresult *result = NULL;
    int version = 0;
    enum bw_code code =
        bw_pg_query_row(db, BW_PG_READS, "SELECT coalesce(max(version), 0) FROM bailiwick.schema_migration",
                        NULL, &result, &local);
    if (code == BW_OK) {
        struct bw_pg_row row = {.result = result};
        version = bw_pg_get_int4(&row, 0);
        PQclear(result);
        if (row.failed)
            return bw_pg_fail_shape(err);
    } else if (local.reason == NULL || strcmp(local.reason, "SCHEMA_OLD") != 0) {
        if (err != NULL)
            *err = local;
        return code;
    } /* else there is no such table: version 0 */
    if (version < BW_STORE_SCHEMA_VERSION)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, "SCHEMA_OLD",
            "the database has schema version %d and version %d is needed; run `bailiwickd migrate`", version,
            (int)BW_STORE_SCHEMA_VERSION);
    if (version > BW_STORE_SCHEMA_VERSION)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, "SCHEMA_NEW",
            "the database has schema version %d, newer than the %d this bailiwickd knows; run the newer "
            "bailiwickd",
            version, (int)BW_STORE_SCHEMA_VERSION);
    return BW_OK;
}

/* Without the rights of pg_monitor, pg_stat_replication shows that walsenders exist but not what they are;
 * any of them then counts as a standby. Backups and logical subscribers are not standbys. */
static const char durability_query[] =
    "SELECT current_setting('fsync')::bool, current_setting('full_page_writes')::bool,"
    " current_setting('synchronous_standby_names') <> '',"
    " (SELECT count(*) FROM pg_stat_replication s LEFT JOIN pg_replication_slots p ON p.active_pid = s.pid"
    "  WHERE coalesce(s.state, 'streaming') <> 'backup' AND coalesce(p.slot_type, 'physical') = 'physical'),"
    " (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))";

enum bw_code bw_store_durability_check(struct bw_store_db *db, bool allow_unsafe,
                                       struct bw_store_durability *out, struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_READS, durability_query, NULL, &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    bool fsync = bw_pg_get_bool(&row, 0), pages = bw_pg_get_bool(&row, 1), named = bw_pg_get_bool(&row, 2);
    struct bw_store_durability found = {.standbys = (unsigned int)bw_pg_get_int8(&row, 3)};
    unsigned int synchronous = (unsigned int)bw_pg_get_int8(&row, 4);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);

    if (!fsync || !pages)
        snprintf(found.text, sizeof found.text,
                 "%s is off: a crash of the database's machine loses decisions",
                 fsync ? "full_page_writes" : "fsync");
    else if (found.standbys > 0 && !named)
        snprintf(found.text, sizeof found.text,
                 "%u standby(s) without synchronous_standby_names: a promotion loses decisions",
                 found.standbys);
    else {
        found.safe = true;
        snprintf(found.text, sizeof found.text, "%s, %u standby(s) connected, %u of them synchronous",
                 named ? "commits wait for a synchronous standby" : "commits are flushed here",
                 found.standbys, synchronous);
    }
    if (!found.safe && !allow_unsafe)
        return bw_fail(err, BW_FAILED_PRECONDITION, "NOT_DURABLE",
                       "%s; set it on the database, or say in the configuration that this is accepted",
                       found.text);
    *out = found;
    return BW_OK;
}

enum bw_code bw_store_cell_init(struct bw_store_db *db, const char *name, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, name);
    enum bw_code code = bw_pg_run(db, "SELECT bw_cell_init($1)", &params, err);
    bw_pg_params_finish(&params);
    return code;
}

/* The WAL file's name holds the timeline as of now; pg_control_checkpoint() only that of the last checkpoint,
 * which for a while after a promotion is still the old one. */
static const char cell_query[] =
    "SELECT name, substr(sha256('bw-stream/v1'::bytea || int8send((pg_control_system()).system_identifier)"
    " || decode(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), 'hex') || uuid_send(incarnation)), 1, "
    "16)"
    " FROM cell";

enum bw_code bw_store_cell_read(struct bw_store_db *db, struct bw_store_cell *out, struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS, cell_query, NULL, &result, err);
    if (code != BW_OK)
        return code;
    if (PQntuples(result) == 0) {
        PQclear(result);
        return bw_fail(err, BW_NOT_FOUND, NULL, "the database belongs to no cell yet");
    }
    struct bw_pg_row row = {.result = result};
    struct bw_store_cell cell;
    bw_pg_copy_text(&row, 0, cell.name, sizeof cell.name);
    struct bw_view stream = bw_pg_get_bytes(&row, 1);
    if (stream.len == sizeof cell.stream.bytes)
        memcpy(cell.stream.bytes, stream.data, stream.len);
    else
        row.failed = true;
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = cell;
    return BW_OK;
}

enum bw_code bw_store_heads_read(struct bw_store_db *db, struct bw_store_heads *out, struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query_row(db, BW_PG_READS,
                                        "SELECT h.group_no, h.compacted, f.revision,"
                                        " (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
                                        " FROM head h, facts_head f",
                                        NULL, &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_store_heads heads = {.group = (uint64_t)bw_pg_get_int8(&row, 0),
                                   .compacted = (uint64_t)bw_pg_get_int8(&row, 1),
                                   .facts_revision = (uint64_t)bw_pg_get_int8(&row, 2),
                                   .database_ms = (uint64_t)bw_pg_get_int8(&row, 3)};
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = heads;
    return BW_OK;
}
