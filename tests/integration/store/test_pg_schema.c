/* Migrations, the schema check, the cell and its stream, durability, and the lock that orders everything. */
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/check.h"
#include "fixture.h"
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "store/migrate.h"
#include "store/tenants.h"

static struct bw_store_db *open_empty(char *conninfo)
{
    struct bw_store_db *db;
    bw_pg_cluster_database(&bw_cluster, conninfo);
    MUST(bw_store_db_open(conninfo, &db, err));
    return db;
}

/* A directory of migrations of the test's own. */
static void write_file(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_directory(const char *directory)
{
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    assert_int_equal(system(command), 0);
}

static void migrations_are_applied_once(void **state)
{
    (void)state;
    char conninfo[512];
    struct bw_store_db *db = open_empty(conninfo);
    struct bw_error error;
    assert_int_equal(bw_store_schema_check(db, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "SCHEMA_OLD");
    assert_non_null(strstr(error.show, "bailiwickd migrate"));
    unsigned int count;
    MUST(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, &count, err));
    assert_int_equal(count, BW_STORE_SCHEMA_VERSION);
    MUST(bw_store_schema_check(db, err));
    MUST(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, &count, err));
    assert_int_equal(count, 0);
    /* Neither an older database nor a newer one is served. */
    (void)bw_pg_cluster_sql(conninfo, "DELETE FROM schema_migration WHERE version ="
                                      " (SELECT max(version) FROM schema_migration)");
    assert_int_equal(bw_store_schema_check(db, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "SCHEMA_OLD");
    (void)bw_pg_cluster_sql(conninfo,
                            "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, 'x', 'x')");
    assert_int_equal(bw_store_schema_check(db, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "SCHEMA_NEW");
    assert_int_equal(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, &count, &error),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "SCHEMA_NEW");
    bw_store_db_close(db);
}

static void a_migration_that_changed_or_fails_is_refused_whole(void **state)
{
    (void)state;
    char directory[] = "/tmp/bw-schema-XXXXXX", conninfo[512];
    assert_non_null(mkdtemp(directory));
    struct bw_store_db *db = open_empty(conninfo);
    struct bw_error error;
    unsigned int count;
    assert_int_equal(bw_store_migrate(db, "/nonexistent", NULL, NULL, NULL, &error), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_store_migrate(db, directory, NULL, NULL, NULL, &error), BW_INVALID_ARGUMENT);
    write_file(directory, "0001_one.sql", "CREATE TABLE one (a int);\nINSERT INTO one VALUES (1);\n");
    write_file(directory, "0003_three.sql", "CREATE TABLE three (a int);\n");
    assert_int_equal(bw_store_migrate(db, directory, NULL, NULL, NULL, &error), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(error.show, "0002"));
    write_file(directory, "0002_two.sql", "CREATE TABLE two (a int);\nSELECT 1 / 0;\n");
    assert_int_equal(bw_store_migrate(db, directory, NULL, NULL, &count, &error), BW_INTERNAL);
    assert_non_null(strstr(error.show, "0002_two.sql"));
    assert_non_null(strstr(error.show, "division by zero"));
    assert_string_equal(
        bw_pg_cluster_sql(conninfo, "SELECT to_regclass('two') IS NULL AND (SELECT a FROM one) = 1"), "t");
    write_file(directory, "0002_two.sql", "CREATE TABLE two (a int);\n");
    MUST(bw_store_migrate(db, directory, NULL, NULL, &count, err));
    assert_int_equal(count, 2);
    write_file(directory, "0001_one.sql", "CREATE TABLE one (a bigint);\n");
    assert_int_equal(bw_store_migrate(db, directory, NULL, NULL, &count, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "SCHEMA_CHANGED");
    write_file(directory, "4_four.sql", "");
    assert_int_equal(bw_store_migrate(db, directory, NULL, NULL, &count, &error), BW_INVALID_ARGUMENT);
    bw_store_db_close(db);
    remove_directory(directory);
}

struct migrator {
    const char *conninfo;
    unsigned int count;
    enum bw_code code;
};

static void migrator_run(void *context)
{
    struct migrator *migrator = context;
    struct bw_store_db *db;
    migrator->code = bw_store_db_open(migrator->conninfo, &db, NULL);
    if (migrator->code != BW_OK)
        return;
    migrator->code = bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, &migrator->count, NULL);
    bw_store_db_close(db);
}

static void migrations_at_the_same_time_wait_for_each_other(void **state)
{
    (void)state;
    char conninfo[512];
    bw_pg_cluster_database(&bw_cluster, conninfo);
    struct migrator migrators[4];
    struct bw_thread *threads[4];
    unsigned int applied = 0;
    for (size_t i = 0; i < 4; i++) {
        migrators[i] = (struct migrator){.conninfo = conninfo};
        threads[i] = bw_thread_start(migrator_run, &migrators[i], "migrate", NULL);
        assert_non_null(threads[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        bw_thread_join(threads[i]);
        assert_int_equal(migrators[i].code, BW_OK);
        applied += migrators[i].count;
    }
    assert_int_equal(applied, BW_STORE_SCHEMA_VERSION);
}

static void a_database_belongs_to_one_cell_and_has_a_stream(void **state)
{
    (void)state;
    char conninfo[512];
    struct bw_store_db *db = open_empty(conninfo);
    struct bw_store_cell cell, again, other;
    struct bw_error error;
    MUST(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, err));
    assert_int_equal(bw_store_cell_read(db, &cell, &error), BW_NOT_FOUND);
    assert_int_equal(bw_store_cell_init(db, "Not a name", &error), BW_INVALID_ARGUMENT);
    MUST(bw_store_cell_init(db, "eu", err));
    MUST(bw_store_cell_init(db, "eu", err));
    assert_int_equal(bw_store_cell_init(db, "us", &error), BW_ALREADY_EXISTS);
    MUST(bw_store_cell_read(db, &cell, err));
    MUST(bw_store_cell_read(db, &again, err));
    assert_string_equal(cell.name, "eu");
    assert_false(bw_id_is_zero(&cell.stream));
    assert_true(bw_id_equal(&cell.stream, &again.stream));
    bw_store_db_close(db);
    db = open_empty(conninfo);
    MUST(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, err));
    MUST(bw_store_cell_init(db, "eu", err));
    MUST(bw_store_cell_read(db, &other, err));
    assert_false(bw_id_equal(&cell.stream, &other.stream));
    bw_store_db_close(db);
}

static void a_promotion_is_another_stream(void **state)
{
    (void)state;
    if (!bw_cluster.own)
        skip();
    char conninfo[512], signal[600];
    struct bw_store_db *db = open_empty(conninfo);
    struct bw_store_cell before, restarted, promoted;
    MUST(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, err));
    MUST(bw_store_cell_init(db, "eu", err));
    MUST(bw_store_cell_read(db, &before, err));
    snprintf(signal, sizeof signal, "%s/standby.signal", bw_pg_cluster_sql(conninfo, "SHOW data_directory"));
    bw_pg_cluster_stop(&bw_cluster);
    bw_pg_cluster_restart(&bw_cluster);
    MUST(bw_store_cell_read(db, &restarted, err));
    assert_true(bw_id_equal(&before.stream, &restarted.stream));

    bw_pg_cluster_stop(&bw_cluster);
    FILE *file = fopen(signal, "w");
    assert_non_null(file);
    fclose(file);
    bw_pg_cluster_restart(&bw_cluster);
    struct bw_error error;
    assert_int_equal(bw_store_cell_read(db, &promoted, &error), BW_UNAVAILABLE); /* a standby is not asked */
    assert_string_equal(bw_pg_cluster_sql(conninfo, "SELECT pg_promote()"), "t");
    MUST(bw_store_cell_read(db, &promoted, err));
    assert_false(bw_id_equal(&before.stream, &promoted.stream));
    bw_store_db_close(db);
}

static void unsafe_databases_are_refused_unless_accepted(void **state)
{
    (void)state;
    if (!bw_cluster.own)
        skip();
    char conninfo[512];
    struct bw_store_db *db = open_empty(conninfo);
    struct bw_store_durability durability;
    struct bw_error error;
    MUST(bw_store_durability_check(db, false, &durability, err));
    assert_true(durability.safe);
    assert_int_equal(durability.standbys, 0);
    (void)bw_pg_cluster_sql(conninfo, "ALTER SYSTEM SET full_page_writes = off");
    (void)bw_pg_cluster_sql(conninfo, "SELECT pg_reload_conf(), pg_sleep(0.3)");
    assert_int_equal(bw_store_durability_check(db, false, &durability, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "NOT_DURABLE");
    MUST(bw_store_durability_check(db, true, &durability, err));
    assert_false(durability.safe);
    assert_non_null(strstr(durability.text, "full_page_writes"));
    (void)bw_pg_cluster_sql(conninfo, "ALTER SYSTEM RESET full_page_writes");
    (void)bw_pg_cluster_sql(conninfo, "SELECT pg_reload_conf(), pg_sleep(0.3)");
    /* A role that does not want to wait for the disk waits all the same. */
    (void)bw_pg_cluster_sql(conninfo, "ALTER ROLE CURRENT_USER SET synchronous_commit = off");
    struct bw_store_db *second;
    MUST(bw_store_db_open(conninfo, &second, err));
    MUST(bw_store_db_ping(second, err));
    bw_store_db_close(second);
    (void)bw_pg_cluster_sql(conninfo, "ALTER ROLE CURRENT_USER RESET synchronous_commit");
    bw_store_db_close(db);
}

/* pg_receivewal streams as a standby does. */
static void a_standby_that_nobody_waits_for_is_refused(void **state)
{
    (void)state;
    if (!bw_cluster.own)
        skip();
    char conninfo[512], command[1200], directory[] = "/tmp/bw-wal-XXXXXX";
    struct bw_store_db *db = open_empty(conninfo);
    struct bw_store_durability durability;
    struct bw_error error;
    assert_non_null(mkdtemp(directory));
    snprintf(command, sizeof command,
             "exec pg_receivewal --no-loop --synchronous -D %s -d \"%s\" >%s/log 2>&1", directory,
             bw_cluster.conninfo, directory);
    pid_t standby;
    char shell[] = "sh", option[] = "-c";
    char *const argv[] = {shell, option, command, NULL};
    assert_int_equal(posix_spawn(&standby, "/bin/sh", NULL, NULL, argv, environ), 0);
    uint64_t until = bw_clock_mono_ms() + 20000;
    do {
        assert_true(bw_clock_mono_ms() < until);
        MUST(bw_store_durability_check(db, true, &durability, err));
    } while (durability.standbys == 0);
    assert_int_equal(durability.standbys, 1);
    assert_false(durability.safe);
    assert_int_equal(bw_store_durability_check(db, false, &durability, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "NOT_DURABLE");
    (void)bw_pg_cluster_sql(conninfo, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    (void)bw_pg_cluster_sql(conninfo, "SELECT pg_reload_conf(), pg_sleep(0.3)");
    MUST(bw_store_durability_check(db, false, &durability, err));
    assert_true(durability.safe);
    (void)bw_pg_cluster_sql(conninfo, "ALTER SYSTEM RESET synchronous_standby_names");
    (void)bw_pg_cluster_sql(conninfo, "SELECT pg_reload_conf(), pg_sleep(0.3)");
    kill(standby, SIGTERM);
    assert_int_equal(waitpid(standby, NULL, 0), standby);
    bw_store_db_close(db);
    remove_directory(directory);
}

/* In production the role owns the database and is nobody otherwise. */
static void an_ordinary_role_that_owns_the_database_is_enough(void **state)
{
    (void)state;
    if (!bw_cluster.own)
        skip();
    char conninfo[512], mine[700], sql[200];
    bw_store_db_close(open_empty(conninfo));
    (void)bw_pg_cluster_sql(conninfo, "CREATE ROLE ordinary LOGIN");
    snprintf(sql, sizeof sql, "ALTER DATABASE %s OWNER TO ordinary", strstr(conninfo, "bw_test_"));
    (void)bw_pg_cluster_sql(conninfo, sql);
    snprintf(mine, sizeof mine, "%s user=ordinary", conninfo);
    struct bw_store_db *db;
    struct bw_store_cell cell;
    struct bw_store_durability durability;
    MUST(bw_store_db_open(mine, &db, err));
    MUST(bw_store_migrate(db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, err));
    MUST(bw_store_schema_check(db, err));
    MUST(bw_store_durability_check(db, false, &durability, err));
    MUST(bw_store_cell_init(db, "eu", err));
    MUST(bw_store_cell_read(db, &cell, err));
    assert_false(bw_id_is_zero(&cell.stream));
    bw_store_db_close(db);
}

/* ---- order ------------------------------------------------------------------------------------------- */

static void run_sql(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
}

struct publisher {
    struct bw_fixture *fixture;
    struct bw_store_published published;
    enum bw_code code;
    _Atomic bool done;
};

static void publisher_run(void *context)
{
    struct publisher *publisher = context;
    struct bw_store_publish what = {.tenant = publisher->fixture->tenant,
                                    .request = bw_random_id(&publisher->fixture->random),
                                    .yaml = bw_view_str("x"),
                                    .author = "a",
                                    .note = ""};
    publisher->code = bw_store_policy_publish(publisher->fixture->db, &what, &publisher->published, NULL);
    publisher->done = true;
}

static void a_publish_waits_for_the_group_in_flight_and_stops_the_next(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 40);
    PGconn *group = PQconnectdb(fixture.conninfo);
    run_sql(group, "SET search_path = bailiwick");
    static const char call[] =
        "SELECT bw_group(r.id, r.epoch, 0, %d, NULL, 1, ARRAY[t.id], '{0}', ARRAY[gen_random_uuid()], '{0}', "
        "'{1}',"
        " '{1}', ARRAY[t.id], '{0}', '{}', '{a}', '{}', '{}', '{}') FROM replica r, tenant t";
    char sql[512];
    run_sql(group, "BEGIN");
    snprintf(sql, sizeof sql, call, 1);
    run_sql(group, sql);

    struct publisher publisher = {.fixture = &fixture};
    struct bw_thread *thread = bw_thread_start(publisher_run, &publisher, "publisher", NULL);
    assert_non_null(thread);
    static const char waiting[] = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    uint64_t until = bw_clock_mono_ms() + 20000;
    while (bw_fixture_number(&fixture, waiting) == 0)
        assert_true(bw_clock_mono_ms() < until && !publisher.done);
    assert_false(publisher.done);
    run_sql(group, "COMMIT");
    bw_thread_join(thread);
    assert_int_equal(publisher.code, BW_OK);
    assert_int_equal(bw_fixture_number(&fixture, "SELECT group_no FROM group_index WHERE event = 0") + 1,
                     publisher.published.group);
    snprintf(sql, sizeof sql, call, 2);
    PGresult *refused = PQexec(group, sql);
    assert_string_equal(PQresultErrorField(refused, PG_DIAG_SQLSTATE), "BW002");
    PQclear(refused);
    PQfinish(group);
    bw_fixture_finish(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_are_applied_once),
        cmocka_unit_test(a_migration_that_changed_or_fails_is_refused_whole),
        cmocka_unit_test(migrations_at_the_same_time_wait_for_each_other),
        cmocka_unit_test(a_database_belongs_to_one_cell_and_has_a_stream),
        cmocka_unit_test(a_promotion_is_another_stream),
        cmocka_unit_test(unsafe_databases_are_refused_unless_accepted),
        cmocka_unit_test(a_standby_that_nobody_waits_for_is_refused),
        cmocka_unit_test(an_ordinary_role_that_owns_the_database_is_enough),
        cmocka_unit_test(a_publish_waits_for_the_group_in_flight_and_stops_the_next),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
