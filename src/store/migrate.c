#include "store/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "runtime/file.h"
#include "store/pg.h"

enum { NAME_MAX_LENGTH = 100, FILES_MAX = 9999, FILE_MAX_BYTES = 1 << 20 };

struct migration {
    unsigned int version;
    char name[NAME_MAX_LENGTH + 1]; /* the file's name */
};

struct run {
    const char *directory;
    PGconn *connection;
    struct migration *files;
    size_t count, capacity;
    struct bw_error *err;
};

/* "0001_cell.sql": four digits, underscore, a name, ".sql". */
static bool parse_name(const char *name, unsigned int *version)
{
    size_t n = strlen(name);
    if (n < 10 || n > NAME_MAX_LENGTH || name[4] != '_' || strcmp(name + n - 4, ".sql") != 0)
        return false;
    unsigned int v = 0;
    for (int i = 0; i < 4; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        v = v * 10 + (unsigned int)(name[i] - '0');
    }
    *version = v;
    return v > 0;
}

static int by_version(const void *a, const void *b)
{
    unsigned int x = ((const struct migration *)a)->version, y = ((const struct migration *)b)->version;
    return (x > y) - (x < y);
}

static enum bw_code add_file(struct run *run, const char *name, unsigned int version)
{
    if (run->count == run->capacity) {
        size_t capacity = run->capacity == 0 ? 16 : run->capacity * 2;
        struct migration *files = bw_realloc(run->files, capacity * sizeof *files);
        if (files == NULL)
            return bw_fail_memory(run->err);
        run->files = files;
        run->capacity = capacity;
    }
    struct migration *file = &run->files[run->count++];
    file->version = version;
    memcpy(file->name, name, strlen(name) + 1);
    return BW_OK;
}

static enum bw_code list_files(struct run *run)
{
    DIR *dir = opendir(run->directory);
    if (dir == NULL)
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "cannot read the migrations in %s: %s",
                       run->directory, strerror(errno));
    enum bw_code code = BW_OK;
    for (struct dirent *entry; code == BW_OK && (entry = readdir(dir)) != NULL;) {
        unsigned int version;
        size_t n = strlen(entry->d_name);
        if (parse_name(entry->d_name, &version))
            code = add_file(run, entry->d_name, version);
        else if (n > 4 && strcmp(entry->d_name + n - 4, ".sql") == 0)
            code = bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "%s/%s is not named NNNN_name.sql",
                           run->directory, entry->d_name);
    }
    closedir(dir);
    if (code != BW_OK)
        return code;
    if (run->count == 0)
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "%s holds no migrations", run->directory);
    qsort(run->files, run->count, sizeof *run->files, by_version);
    for (size_t i = 0; i < run->count; i++)
        if (run->files[i].version != i + 1)
            return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "%s: version %04zu is missing or there twice",
                           run->directory, i + 1);
    return BW_OK;
}

static enum bw_code read_file(struct run *run, const char *name, struct bw_buf *sql)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", run->directory, name) >= (int)sizeof path)
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "the path of %s is too long", name);
    enum bw_code code = bw_file_read(path, FILE_MAX_BYTES, sql, run->err);
    if (code != BW_OK)
        return code;
    if (memchr(bw_buf_cstr(sql) ? (const char *)sql->data : "", 0, sql->len) != NULL)
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "%s holds a NUL byte", path);
    return sql->failed ? bw_fail_memory(run->err) : BW_OK;
}

/* Several statements without parameters: the simple protocol. */
static enum bw_code script(struct run *run, const char *sql)
{
    PGresult *result = PQexec(run->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    enum bw_code code = BW_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
        code = bw_pg_fail(run->connection, result, run->err);
    PQclear(result);
    return code;
}

static enum bw_code fail_file(struct run *run, const struct migration *file, enum bw_code code)
{
    struct bw_error *err = run->err;
    if (err == NULL || code == BW_UNAVAILABLE || code == BW_RESOURCE_EXHAUSTED)
        return code;
    char log[sizeof err->log];
    memcpy(log, err->log[0] != '\0' ? err->log : err->show, sizeof log);
    code = bw_fail(err, BW_INTERNAL, "MIGRATION_FAILED",
                   "migration %s failed and nothing of it stays: %.300s", file->name, log);
    bw_error_log(err, "%s", log);
    return code;
}

static enum bw_code record(struct run *run, const struct migration *file, const struct bw_buf *sql)
{
    struct bw_pg_params params = {0};
    bw_pg_int4(&params, (int32_t)file->version);
    bw_pg_text(&params, file->name);
    bw_pg_bytea(&params, bw_buf_view(sql));
    PGresult *result = NULL;
    enum bw_code code = bw_pg_exec(
        run->connection, "INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, sha256($3))",
        &params, &result, run->err);
    bw_pg_params_finish(&params);
    if (code == BW_OK)
        PQclear(result);
    return code;
}

static enum bw_code apply(struct run *run, const struct migration *file, struct bw_buf *sql)
{
    enum bw_code code = script(run, "BEGIN");
    if (code != BW_OK)
        return code;
    code = script(run, bw_buf_cstr(sql));
    if (code == BW_OK)
        code = record(run, file, sql);
    if (code == BW_OK)
        return script(run, "COMMIT");
    code = fail_file(run, file, code);
    PQclear(PQexec(run->connection, "ROLLBACK"));
    return code;
}

/* Whether the database has this version, and then that it was this very file. */
static enum bw_code look_up(struct run *run, const struct migration *file, const struct bw_buf *sql,
                            bool *present)
{
    struct bw_pg_params params = {0};
    bw_pg_int4(&params, (int32_t)file->version);
    bw_pg_bytea(&params, bw_buf_view(sql));
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_exec(run->connection, "SELECT sha256 = sha256($2) FROM schema_migration WHERE version = $1",
                   &params, &result, run->err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    *present = PQntuples(result) > 0;
    bool same = !*present || bw_pg_get_bool(&row, 0);
    PQclear(result);
    if (!same)
        return bw_fail(
            run->err, BW_FAILED_PRECONDITION, "SCHEMA_CHANGED",
            "%s differs from what was applied to the database; migrations never change: restore the "
            "file and put the change into a new one",
            file->name);
    return BW_OK;
}

static enum bw_code prepare(struct run *run)
{
    /* The lock before anything: two first runs would race for the schema itself. */
    enum bw_code code = script(run, "SET statement_timeout = 0; SELECT pg_advisory_lock(4771, 2);"
                                    "SET client_min_messages = error;"
                                    "CREATE SCHEMA IF NOT EXISTS bailiwick;"
                                    "CREATE TABLE IF NOT EXISTS bailiwick.schema_migration ("
                                    " version int PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL,"
                                    " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())");
    if (code != BW_OK)
        return code;
    PGresult *result = NULL;
    code = bw_pg_exec(run->connection, "SELECT coalesce(max(version), 0) FROM schema_migration", NULL,
                      &result, run->err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    int newest = bw_pg_get_int4(&row, 0);
    PQclear(result);
    if (newest > (int)run->count)
        return bw_fail(
            run->err, BW_FAILED_PRECONDITION, "SCHEMA_NEW",
            "the database has schema version %d, %s ends at %zu; use the newer version's migrations", newest,
            run->directory, run->count);
    return BW_OK;
}

static enum bw_code migrate_all(struct run *run, bw_store_migrated *applied, void *context,
                                unsigned int *count)
{
    enum bw_code code = prepare(run);
    for (size_t i = 0; code == BW_OK && i < run->count; i++) {
        const struct migration *file = &run->files[i];
        struct bw_buf sql = {0};
        bool present = false;
        code = read_file(run, file->name, &sql);
        if (code == BW_OK)
            code = look_up(run, file, &sql, &present);
        if (code == BW_OK && !present) {
            code = apply(run, file, &sql);
            if (code == BW_OK) {
                (*count)++;
                if (applied != NULL)
                    applied(context, file->version, file->name);
            }
        }
        bw_buf_finish(&sql);
    }
    return code;
}

enum bw_code bw_store_migrate(struct bw_store_db *db, const char *directory, bw_store_migrated *applied,
                              void *context, unsigned int *count, struct bw_error *err)
{
    struct run run = {.directory = directory, .err = err};
    unsigned int done = 0;
    enum bw_code code = list_files(&run);
    if (code == BW_OK)
        code = bw_pg_connection(db, &run.connection, err);
    if (code == BW_OK) {
        code = migrate_all(&run, applied, context, &done);
        /* Ends the lock and what we set; a connection that died has ended both itself. */
        PQclear(PQexec(run.connection, "SELECT pg_advisory_unlock(4771, 2);"
                                       "SET statement_timeout = 30000; SET client_min_messages = warning"));
    }
    bw_free(run.files);
    if (code == BW_OK && count != NULL)
        *count = done;
    return code;
}
