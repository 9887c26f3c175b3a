#include "store/pg.h"

#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/log.h"
#include "store/db.h"
#include "store/sqlstate.h"

struct bw_store_db {
    char *conninfo;
    PGconn *connection; /* NULL or broken: the next call connects again */
};

/* synchronous_commit: a role's or database's setting must not make our acknowledgements a lie; what is
 * stricter than "on" stays. jit only costs on our short statements. */
static const char session_settings[] =
    "SELECT set_config('search_path', 'bailiwick, pg_temp', false),"
    " set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')"
    "   THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    " set_config('statement_timeout', '30000', false),"
    " set_config('idle_in_transaction_session_timeout', '60000', false),"
    " set_config('client_min_messages', 'warning', false),"
    " set_config('timezone', 'UTC', false),"
    " set_config('jit', 'off', false)";

static void on_notice(void *context, const PGresult *result)
{
    (void)context;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bw_log(BW_LOG_WARN, "database_notice", "sqlstate=%s text=\"%s\"", state ? state : "", text ? text : "");
}

/* libpq ends its messages with a newline, and has several lines in some. */
static void log_text(struct bw_error *err, const char *sqlstate, const char *text)
{
    char line[400];
    size_t n = 0;
    for (; text != NULL && text[n] != '\0' && n < sizeof line - 1; n++)
        line[n] = text[n] == '\n' || text[n] == '\t' ? ' ' : text[n];
    while (n > 0 && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    bw_error_log(err, "%s%s%s", sqlstate == NULL ? "" : sqlstate, sqlstate == NULL ? "" : ": ", line);
}

enum bw_code bw_pg_fail(PGconn *connection, const PGresult *result, struct bw_error *err)
{
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const struct bw_sqlstate *meaning = bw_sqlstate_of(sqlstate);
    const char *primary = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    enum bw_code code = bw_fail(err, meaning->code, meaning->reason, "%s",
                                meaning->ours && primary != NULL ? primary : meaning->show);
    if (!meaning->ours)
        log_text(err, sqlstate, result == NULL ? PQerrorMessage(connection) : PQresultErrorMessage(result));
    return code;
}

enum bw_code bw_pg_connect(const char *conninfo, PGconn **connection, struct bw_error *err)
{
    /* Later entries win: what conninfo says goes before our defaults. */
    static const char *const keywords[] = {"application_name",     "connect_timeout",
                                           "target_session_attrs", "keepalives_idle",
                                           "keepalives_interval",  "keepalives_count",
                                           "tcp_user_timeout",     "dbname",
                                           "client_encoding",      NULL};
    const char *const values[] = {"bailiwick", "5",     "read-write", "5",    "2",
                                  "3",         "15000", conninfo,     "UTF8", NULL};
    PGconn *opened = PQconnectdbParams(keywords, values, 1);
    if (opened == NULL)
        return bw_fail_memory(err);
    if (PQstatus(opened) != CONNECTION_OK) {
        enum bw_code code = bw_fail(
            err, BW_UNAVAILABLE, "DATABASE_UNAVAILABLE",
            "cannot connect to the database; check that it runs and what the connection settings say");
        log_text(err, NULL, PQerrorMessage(opened));
        PQfinish(opened);
        return code;
    }
    PQsetNoticeReceiver(opened, on_notice, NULL);
    int version = PQserverVersion(opened);
    if (version < 150000) {
        PQfinish(opened);
        return bw_fail(err, BW_FAILED_PRECONDITION, "DATABASE_OLD",
                       "the database is PostgreSQL %d; 15 or later is needed", version / 10000);
    }
    PGresult *result = NULL;
    enum bw_code code = bw_pg_exec(opened, session_settings, NULL, &result, err);
    if (code != BW_OK) {
        PQfinish(opened);
        return code;
    }
    PQclear(result);
    *connection = opened;
    return BW_OK;
}

enum bw_code bw_pg_exec(PGconn *connection, const char *sql, struct bw_pg_params *params, PGresult **result,
                        struct bw_error *err)
{
    const char *values[BW_PG_PARAMS_MAX];
    if (params != NULL && !bw_pg_params_values(params, values))
        return bw_fail_memory(err);
    PGresult *got = params == NULL ? PQexecParams(connection, sql, 0, NULL, NULL, NULL, NULL, 1)
                                   : PQexecParams(connection, sql, params->count, params->types, values,
                                                  params->lengths, params->formats, 1);
    ExecStatusType status = PQresultStatus(got);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *result = got;
        return BW_OK;
    }
    enum bw_code code = bw_pg_fail(connection, got, err);
    PQclear(got);
    return code;
}

/* A server that was stopped has said so on the socket: notice before sending, while it is harmless. The
 * farewell comes before the end of the stream, so reading once is not enough. */
static bool alive(PGconn *connection)
{
    for (int i = 0; i < 4; i++) {
        struct pollfd ready = {.fd = PQsocket(connection), .events = POLLIN};
        if (poll(&ready, 1, 0) <= 0)
            break;
        if (PQconsumeInput(connection) == 0)
            return false;
    }
    return PQstatus(connection) == CONNECTION_OK;
}

enum bw_code bw_pg_connection(struct bw_store_db *db, PGconn **connection, struct bw_error *err)
{
    if (db->connection != NULL && !alive(db->connection)) {
        PQfinish(db->connection);
        db->connection = NULL;
    }
    if (db->connection == NULL) {
        enum bw_code code = bw_pg_connect(db->conninfo, &db->connection, err);
        if (code != BW_OK)
            return code;
    }
    *connection = db->connection;
    return BW_OK;
}

enum bw_code bw_pg_query(struct bw_store_db *db, enum bw_pg_effect effect, const char *sql,
                         struct bw_pg_params *params, PGresult **result, struct bw_error *err)
{
    struct bw_error local;
    if (err == NULL)
        err = &local;
    for (int attempt = 1;; attempt++) {
        PGconn *connection;
        enum bw_code code = bw_pg_connection(db, &connection, err);
        if (code != BW_OK)
            return code;
        code = bw_pg_exec(connection, sql, params, result, err);
        if (code == BW_OK)
            return BW_OK;
        bool died = PQstatus(connection) != CONNECTION_OK;
        if (attempt < BW_PG_ATTEMPTS && ((died && effect == BW_PG_READS) ||
                                         (err->reason != NULL && strcmp(err->reason, "CONTENDED") == 0)))
            continue;
        if (died && effect == BW_PG_CHANGES) {
            char log[sizeof err->log];
            memcpy(log, err->log, sizeof log);
            code = bw_fail(
                err, BW_UNAVAILABLE, "OUTCOME_UNKNOWN",
                "the connection to the database was lost and the change may or may not have been made; "
                "repeat it with the same request id");
            bw_error_log(err, "%s", log);
        }
        return code;
    }
}

enum bw_code bw_pg_fail_shape(struct bw_error *err)
{
    return bw_fail(err, BW_INTERNAL, NULL, "the database answered in a form we do not expect");
}

enum bw_code bw_pg_query_row(struct bw_store_db *db, enum bw_pg_effect effect, const char *sql,
                             struct bw_pg_params *params, PGresult **result, struct bw_error *err)
{
    PGresult *got = NULL;
    enum bw_code code = bw_pg_query(db, effect, sql, params, &got, err);
    if (code != BW_OK)
        return code;
    if (PQntuples(got) < 1) {
        PQclear(got);
        return bw_pg_fail_shape(err);
    }
    *result = got;
    return BW_OK;
}

enum bw_code bw_pg_run(struct bw_store_db *db, const char *sql, struct bw_pg_params *params,
                       struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_CHANGES, sql, params, &result, err);
    if (code == BW_OK)
        PQclear(result);
    return code;
}

enum bw_code bw_store_db_open(const char *conninfo, struct bw_store_db **db, struct bw_error *err)
{
    struct bw_store_db *opened = bw_calloc(1, sizeof *opened);
    if (opened != NULL)
        opened->conninfo = bw_strdup(conninfo);
    if (opened == NULL || opened->conninfo == NULL) {
        bw_free(opened);
        return bw_fail_memory(err);
    }
    enum bw_code code = bw_pg_connect(conninfo, &opened->connection, err);
    if (code != BW_OK) {
        bw_store_db_close(opened);
        return code;
    }
    *db = opened;
    return BW_OK;
}

void bw_store_db_close(struct bw_store_db *db)
{
    if (db == NULL)
        return;
    PQfinish(db->connection);
    bw_free(db->conninfo);
    bw_free(db);
}
