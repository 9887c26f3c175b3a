/* The group writer while PostgreSQL, or the way to it, fails: nothing acknowledged is lost, nothing is
 * written twice, and everybody gets an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "fixture.h"
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "store/decisions.h"

/* ---- a load that remembers what was acknowledged ----------------------------------------------------- */

enum { LOAD_MAX = 200000 };

struct load {
    struct bw_fixture *fixture;
    struct bw_bench bench;
    uint64_t facts;
    struct bw_store_key *acknowledged;
    unsigned int submitted, committed, outcomes[BW_STORE_REFUSED + 1], window;
    bool stop;
};

struct load_row {
    struct load *load;
    struct bw_store_key key;
};

static void load_submit(struct load *load);

static void load_done(void *context, const struct bw_store_result *result)
{
    struct load_row *row = context;
    struct load *load = row->load;
    load->outcomes[result->outcome]++;
    if (result->outcome == BW_STORE_COMMITTED)
        load->acknowledged[load->committed++] = row->key;
    free(row);
    load->window--;
    if (!load->stop)
        load_submit(load);
}

static void load_submit(struct load *load)
{
    assert_true(load->submitted < LOAD_MAX);
    struct load_row *row = malloc(sizeof *row);
    *row = (struct load_row){.load = load, .key = {.meeting = bw_random_meeting(&load->fixture->random)}};
    struct bw_store_row submitted = bw_fixture_row(load->fixture, &row->key.meeting, 0, load->facts);
    MUST(bw_store_writer_submit(load->bench.writer, &submitted, load_done, row, err));
    load->submitted++;
    load->window++;
}

static void load_start(struct load *load, struct bw_fixture *fixture)
{
    *load = (struct load){.fixture = fixture, .facts = bw_fixture_facts(fixture)};
    load->acknowledged = calloc(LOAD_MAX, sizeof *load->acknowledged);
    struct bw_store_writer_config config = bw_fixture_config(fixture);
    config.give_up_ms = 60000;
    config.group_rows = 20;
    bw_bench_init(&load->bench, &config);
    for (int i = 0; i < 100; i++)
        load_submit(load);
}

/* Until so many more are acknowledged. */
static void load_run(struct load *load, unsigned int more)
{
    unsigned int goal = load->committed + more;
    uint64_t until = bw_clock_mono_ms() + 30000;
    while (load->committed < goal) {
        bw_loop_turn(load->bench.loop, true);
        assert_true(bw_clock_mono_ms() < until);
    }
}

static bool count_row(void *context, const struct bw_store_decision *decision)
{
    (void)decision;
    (*(unsigned int *)context)++;
    return true;
}

/* Ends the load; every row was answered "committed", is there, and once. */
static void load_finish_and_check(struct load *load)
{
    load->stop = true;
    uint64_t until = bw_clock_mono_ms() + 30000;
    while (load->window > 0) {
        bw_loop_turn(load->bench.loop, true);
        assert_true(bw_clock_mono_ms() < until);
    }
    assert_int_equal(load->committed, load->submitted);
    unsigned int found = 0;
    MUST(bw_store_decisions_by_key(load->fixture->db, load->acknowledged, load->committed, count_row, &found,
                                   err));
    assert_int_equal(found, load->committed);
    assert_int_equal(bw_fixture_number(load->fixture, "SELECT count(*) FROM decision"), load->committed);
    assert_int_equal(bw_fixture_number(load->fixture,
                                       "SELECT sum(cardinality(meetings)) FROM group_index WHERE event = 0"),
                     load->committed);
    bw_bench_finish(&load->bench, 0);
    free(load->acknowledged);
}

/* Terminates writers in the middle of their statements, from a thread of its own. */
struct cutter {
    const char *conninfo;
    _Atomic bool stop;
    unsigned int cut;
};

static void cutter_run(void *context)
{
    struct cutter *cutter = context;
    PGconn *connection = PQconnectdb(cutter->conninfo);
    while (!cutter->stop) {
        PGresult *result =
            PQexec(connection, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                               " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                               " AND state = 'active' AND query LIKE '%bw_group%'");
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            cutter->cut += (unsigned int)atoi(PQgetvalue(result, 0, 0));
        PQclear(result);
        struct timespec pause = {.tv_nsec = 20000000};
        nanosleep(&pause, NULL);
    }
    PQfinish(connection);
}

static void connections_cut_in_mid_load_lose_and_double_nothing(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 2);
    struct cutter cutter = {.conninfo = fixture.conninfo};
    static struct load load;
    load_start(&load, &fixture);
    struct bw_thread *thread = bw_thread_start(cutter_run, &cutter, "cutter", NULL);
    assert_non_null(thread);
    struct bw_store_writer_stats stats;
    uint64_t until = bw_clock_mono_ms() + 30000;
    do {
        load_run(&load, 1);
        bw_store_writer_stats_read(load.bench.writer, &stats);
        assert_true(bw_clock_mono_ms() < until);
    } while (stats.groups_resent < 30);
    cutter.stop = true;
    bw_thread_join(thread);
    assert_true(cutter.cut >= 30);
    load_run(&load, 100);
    load_finish_and_check(&load);
    bw_fixture_finish(&fixture);
}

static void a_killed_database_loses_no_acknowledged_row(void **state)
{
    (void)state;
    if (!bw_cluster.own)
        skip();
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 3);
    static struct load load;
    load_start(&load, &fixture);
    for (int i = 0; i < 4; i++) {
        load_run(&load, 300 + (unsigned int)(bw_random_next(&fixture.random) % 500));
        bw_pg_cluster_kill(&bw_cluster);
        for (int turn = 0; turn < 20; turn++)
            bw_loop_turn(load.bench.loop, false);
        bw_pg_cluster_restart(&bw_cluster);
    }
    load_run(&load, 300);
    load_finish_and_check(&load);
    bw_fixture_finish(&fixture);
}

/* ---- single groups ----------------------------------------------------------------------------------- */

struct scene {
    struct bw_fixture fixture;
    struct bw_bench bench;
    uint64_t facts;
};

static void scene_begin(struct scene *scene, uint64_t group_wait_ms)
{
    bw_fixture_init(&scene->fixture, 4);
    scene->facts = bw_fixture_facts(&scene->fixture);
    struct bw_store_writer_config config = bw_fixture_config(&scene->fixture);
    config.group_wait_ms = group_wait_ms;
    config.lanes = 1;
    bw_bench_init(&scene->bench, &config);
}

static void scene_end(struct scene *scene)
{
    bw_bench_finish(&scene->bench, 1000);
    bw_fixture_finish(&scene->fixture);
}

static void scene_submit(struct scene *scene, struct bw_waited *waited)
{
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_store_row row = bw_fixture_row(&scene->fixture, &meeting, 0, scene->facts);
    bw_bench_submit(&scene->bench, &row, waited);
}

/* On each decision inserted, `body` runs in the database. */
static void on_insert(struct scene *scene, const char *body)
{
    char sql[1024];
    snprintf(
        sql, sizeof sql,
        "CREATE SEQUENCE IF NOT EXISTS attempt;"
        "CREATE OR REPLACE FUNCTION test_hook() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s RETURN NULL;"
        " END $$;"
        "DROP TRIGGER IF EXISTS test_hook ON decision;"
        "CREATE TRIGGER test_hook AFTER INSERT ON decision FOR EACH STATEMENT EXECUTE FUNCTION test_hook()",
        body);
    (void)bw_pg_cluster_sql(scene->fixture.conninfo, sql);
}

/* The first attempt commits after its client has gone. The second one meets its keys, and must take them for
 * its own. */
static void a_group_that_commits_behind_our_back_is_recognised(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 150);
    on_insert(&scene, "IF nextval('attempt') = 1 THEN PERFORM pg_sleep(0.6); END IF;");
    struct bw_waited waited[3];
    for (int i = 0; i < 3; i++)
        scene_submit(&scene, &waited[i]);
    for (int i = 0; i < 3; i++) {
        bw_bench_wait(&scene.bench, &waited[i]);
        assert_int_equal(waited[i].result.outcome, BW_STORE_COMMITTED);
    }
    struct bw_store_writer_stats stats;
    bw_store_writer_stats_read(scene.bench.writer, &stats);
    assert_true(stats.groups_resent > 0);
    assert_int_equal(bw_fixture_number(&scene.fixture, "SELECT count(*) FROM decision"), 3);
    assert_int_equal(
        bw_fixture_number(&scene.fixture, "SELECT max(group_no) FROM group_index WHERE event = 0"),
        waited[0].result.group);
    assert_int_equal(bw_fixture_number(&scene.fixture, "SELECT count(*) FROM group_index WHERE event = 0"),
                     1);
    scene_end(&scene);
}

/* It had committed, and then the policy changed and the replica was fenced: it is still what was
 * acknowledged. */
static void a_committed_group_is_recognised_after_policy_and_replica_have_moved_on(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 150);
    /* Committed at once, but the answer comes late: the index row is in, the client has left. */
    (void)bw_pg_cluster_sql(
        scene.fixture.conninfo,
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM group_index WHERE event = 0) = 1 THEN PERFORM pg_sleep(0.4);"
        " END IF; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON group_index DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.event = 0) EXECUTE FUNCTION late()");
    struct bw_waited waited;
    scene_submit(&scene, &waited);
    struct bw_store_writer_stats stats;
    do {
        bw_loop_turn(scene.bench.loop, true);
        bw_store_writer_stats_read(scene.bench.writer, &stats);
    } while (stats.reconnects == 0);
    /* Both wait for the group, which ends by itself. */
    uint64_t group;
    assert_int_equal(bw_fixture_publish(&scene.fixture, &scene.fixture.tenant), 1);
    MUST(bw_store_replica_fence(scene.fixture.db, &scene.fixture.replica, true, &group, err));
    bw_bench_wait(&scene.bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_COMMITTED);
    assert_true(waited.result.group < group);
    scene_end(&scene);
}

static void contention_is_retried_and_then_given_up(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 5000);
    on_insert(&scene, "IF nextval('attempt') < 3 THEN RAISE 'x' USING ERRCODE = '40P01'; END IF;");
    struct bw_waited waited;
    scene_submit(&scene, &waited);
    bw_bench_wait(&scene.bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_COMMITTED);

    on_insert(&scene, "PERFORM nextval('attempt'); RAISE 'x' USING ERRCODE = '40001';");
    long long before = bw_fixture_number(&scene.fixture, "SELECT last_value FROM attempt");
    scene_submit(&scene, &waited);
    bw_bench_wait(&scene.bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_CONTENDED);
    assert_int_equal(bw_fixture_number(&scene.fixture, "SELECT last_value FROM attempt") - before, 3);
    scene_end(&scene);
}

static void a_full_disk_refuses_and_is_forgotten_when_there_is_room_again(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 5000);
    on_insert(&scene, "RAISE 'no space left' USING ERRCODE = '53100';");
    struct bw_waited waited;
    scene_submit(&scene, &waited);
    bw_bench_wait(&scene.bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_DISK_FULL);
    (void)bw_pg_cluster_sql(scene.fixture.conninfo, "DROP TRIGGER test_hook ON decision");
    scene_submit(&scene, &waited);
    bw_bench_wait(&scene.bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_COMMITTED);
    scene_end(&scene);
}

/* The deferred error comes after the rows of the answer: only the end of the transaction counts. */
static void an_error_at_commit_is_not_taken_for_success(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 5000);
    (void)bw_pg_cluster_sql(
        scene.fixture.conninfo,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE 'not after all' USING ERRCODE = '53100'; END $$;"
        "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON decision DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION no()");
    struct bw_waited waited;
    scene_submit(&scene, &waited);
    bw_bench_wait(&scene.bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_DISK_FULL);
    assert_int_equal(bw_fixture_number(&scene.fixture, "SELECT count(*) FROM decision"), 0);
    scene_end(&scene);
}

static void without_a_database_rows_fail_soon_and_new_ones_at_once(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 5);
    struct bw_store_writer_config config = bw_fixture_config(&fixture);
    config.conninfo = "host=/nonexistent";
    config.give_up_ms = 300;
    struct bw_bench bench;
    bw_bench_init(&bench, &config);
    struct bw_id meeting = bw_random_meeting(&fixture.random);
    struct bw_store_row row = bw_fixture_row(&fixture, &meeting, 0, 1);
    struct bw_waited waited, none = {0};
    uint64_t started = bw_clock_mono_ms();
    bw_bench_submit(&bench, &row, &waited);
    bw_bench_wait(&bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_UNAVAILABLE);
    assert_true(bw_clock_mono_ms() - started < 2000);
    struct bw_error error;
    assert_int_equal(bw_store_writer_submit(bench.writer, &row, bw_waited_done, &none, &error),
                     BW_UNAVAILABLE);
    assert_int_equal(none.calls, 0);
    bw_bench_finish(&bench, 0);
    bw_fixture_finish(&fixture);
}

static void a_writer_closed_with_a_group_on_its_way_says_unknown(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 5000);
    on_insert(&scene, "PERFORM pg_sleep(0.5);");
    struct bw_waited sent, behind;
    struct bw_id meeting = bw_random_meeting(&scene.fixture.random);
    struct bw_store_row row = bw_fixture_row(&scene.fixture, &meeting, 0, scene.facts);
    bw_bench_submit(&scene.bench, &row, &sent);
    struct bw_store_writer_stats stats;
    do {
        bw_loop_turn(scene.bench.loop, true);
        bw_store_writer_stats_read(scene.bench.writer, &stats);
    } while (stats.rows_in_flight == 0);
    row.seq = 1;
    bw_bench_submit(&scene.bench, &row, &behind);
    bw_bench_finish(&scene.bench, 50);
    assert_int_equal(sent.calls, 1);
    assert_int_equal(sent.result.outcome, BW_STORE_UNKNOWN);
    assert_int_equal(behind.calls, 1);
    assert_int_equal(behind.result.outcome, BW_STORE_UNAVAILABLE);
    bw_fixture_finish(&scene.fixture);
}

static void the_blocking_side_connects_again_and_says_what_it_does_not_know(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 6);
    static const char idle[] = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname ="
                               " current_database() AND pid <> pg_backend_pid()";
    assert_int_equal(bw_fixture_number(&fixture, idle), 1);
    MUST(bw_store_db_ping(fixture.db, err));
    /* Cut while idle, even a change is safe to send: the loss is noticed before. */
    assert_int_equal(bw_fixture_number(&fixture, idle), 1);
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    MUST(bw_store_replica_renew(fixture.db, &fixture.replica, 60000, err));
    /* Cut by its own hand in mid statement. */
    (void)bw_pg_cluster_sql(fixture.conninfo,
                            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                            " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
                            "CREATE TRIGGER die AFTER UPDATE ON replica FOR EACH ROW EXECUTE FUNCTION die()");
    struct bw_error error;
    assert_int_equal(bw_store_replica_renew(fixture.db, &fixture.replica, 60000, &error), BW_UNAVAILABLE);
    assert_string_equal(error.reason, "OUTCOME_UNKNOWN");
    MUST(bw_store_db_ping(fixture.db, err));
    bw_fixture_finish(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_cut_in_mid_load_lose_and_double_nothing),
        cmocka_unit_test(a_killed_database_loses_no_acknowledged_row),
        cmocka_unit_test(a_group_that_commits_behind_our_back_is_recognised),
        cmocka_unit_test(a_committed_group_is_recognised_after_policy_and_replica_have_moved_on),
        cmocka_unit_test(contention_is_retried_and_then_given_up),
        cmocka_unit_test(a_full_disk_refuses_and_is_forgotten_when_there_is_room_again),
        cmocka_unit_test(an_error_at_commit_is_not_taken_for_success),
        cmocka_unit_test(without_a_database_rows_fail_soon_and_new_ones_at_once),
        cmocka_unit_test(a_writer_closed_with_a_group_on_its_way_says_unknown),
        cmocka_unit_test(the_blocking_side_connects_again_and_says_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
