/* The group writer against a real PostgreSQL: what commits, what is refused, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture.h"
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "store/decisions.h"
#include "store/tenants.h"

/* A fixture and a writer on it. */
struct scene {
    struct bw_fixture fixture;
    struct bw_bench bench;
    uint64_t facts;
};

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    bw_fixture_init(&scene->fixture, 1);
    scene->facts = bw_fixture_facts(&scene->fixture);
    struct bw_store_writer_config config = bw_fixture_config(&scene->fixture);
    bw_bench_init(&scene->bench, &config);
    *state = scene;
    return 0;
}

static int scene_teardown(void **state)
{
    struct scene *scene = *state;
    bw_bench_finish(&scene->bench, 1000);
    bw_fixture_finish(&scene->fixture);
    free(scene);
    return 0;
}

static void submit(struct scene *scene, const struct bw_id *meeting, uint32_t seq, struct bw_waited *waited)
{
    struct bw_store_row row = bw_fixture_row(&scene->fixture, meeting, seq, scene->facts);
    bw_bench_submit(&scene->bench, &row, waited);
}

static enum bw_store_outcome outcome_of(struct scene *scene, struct bw_waited *waited)
{
    bw_bench_wait(&scene->bench, waited);
    return waited->result.outcome;
}

static bool keep_decision(void *context, const struct bw_store_decision *decision)
{
    struct bw_store_decision *kept = context;
    assert_int_equal(decision->record.len, 6);
    assert_memory_equal(decision->record.data, "record", 6);
    assert_int_equal(decision->relay_count, 2);
    assert_int_equal(decision->relays[0], 1);
    assert_int_equal(decision->relays[1], 2);
    *kept = *decision;
    return true;
}

static void a_row_comes_back_as_it_was_written(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_store_row row = bw_fixture_row(&scene->fixture, &meeting, 7, scene->facts);
    row.kind = 321;
    struct bw_waited waited;
    bw_bench_submit(&scene->bench, &row, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);

    struct bw_store_decision read = {0};
    struct bw_store_key key = {.meeting = meeting, .seq = 7};
    MUST(bw_store_decisions_by_key(scene->fixture.db, &key, 1, keep_decision, &read, err));
    assert_true(bw_id_equal(&read.meeting, &meeting));
    assert_true(bw_id_equal(&read.tenant, &row.tenant));
    assert_true(bw_id_equal(&read.request, &row.request));
    assert_int_equal(read.seq, 7);
    assert_int_equal(read.kind, 321);
    assert_int_equal(read.policy_revision, 0);
    assert_int_equal(read.facts_revision, scene->facts);
}

static void rows_without_relays_and_records_are_rows_too(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_store_row row = bw_fixture_row(&scene->fixture, &meeting, 0, scene->facts);
    row.relay_count = 0;
    row.record.len = 0;
    struct bw_waited waited;
    bw_bench_submit(&scene->bench, &row, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
    assert_int_equal(bw_fixture_number(&scene->fixture, "SELECT count(*) FROM decision WHERE relays = '{}'"),
                     1);
}

static void what_became_ready_in_one_turn_is_one_group(void **state)
{
    struct scene *scene = *state;
    struct bw_id warm = bw_random_meeting(&scene->fixture.random);
    struct bw_waited first, many[100];
    submit(scene, &warm, 0, &first);
    assert_int_equal(outcome_of(scene, &first), BW_STORE_COMMITTED);
    for (size_t i = 0; i < BW_ARRAY_LEN(many); i++) {
        struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
        submit(scene, &meeting, 0, &many[i]);
    }
    for (size_t i = 0; i < BW_ARRAY_LEN(many); i++) {
        assert_int_equal(outcome_of(scene, &many[i]), BW_STORE_COMMITTED);
        assert_int_equal(many[i].result.group, first.result.group + 1);
    }
}

static void rows_of_one_meeting_commit_in_order(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_waited waited[1700]; /* more than three groups */
    for (uint32_t i = 0; i < BW_ARRAY_LEN(waited); i++)
        submit(scene, &meeting, i, &waited[i]);
    uint64_t last = 0;
    for (size_t i = 0; i < BW_ARRAY_LEN(waited); i++) {
        assert_int_equal(outcome_of(scene, &waited[i]), BW_STORE_COMMITTED);
        assert_true(waited[i].result.group >= last);
        last = waited[i].result.group;
    }
    struct bw_error error;
    struct bw_store_row again = bw_fixture_row(&scene->fixture, &meeting, 5, scene->facts);
    struct bw_waited ignored;
    submit(scene, &meeting, 1700, &ignored);
    assert_int_equal(bw_store_writer_submit(scene->bench.writer, &again, bw_waited_done, &ignored, &error),
                     BW_INVALID_ARGUMENT);
    assert_int_equal(outcome_of(scene, &ignored), BW_STORE_COMMITTED);
}

/* Another owner wrote seq 1 first. The row and what was built on it fails, the neighbours are sent again. */
static void a_stale_view_fails_its_meeting_and_nobody_else(void **state)
{
    struct scene *scene = *state;
    struct bw_id stale = bw_random_meeting(&scene->fixture.random);
    struct bw_waited before, conflicted[3], neighbours[20];
    submit(scene, &stale, 1, &before);
    assert_int_equal(outcome_of(scene, &before), BW_STORE_COMMITTED);

    submit(scene, &stale, 1, &conflicted[0]);
    submit(scene, &stale, 2, &conflicted[1]);
    submit(scene, &stale, 3, &conflicted[2]);
    for (size_t i = 0; i < BW_ARRAY_LEN(neighbours); i++) {
        struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
        submit(scene, &meeting, 0, &neighbours[i]);
    }
    for (size_t i = 0; i < BW_ARRAY_LEN(conflicted); i++)
        assert_int_equal(outcome_of(scene, &conflicted[i]), BW_STORE_STALE_KEY);
    for (size_t i = 0; i < BW_ARRAY_LEN(neighbours); i++)
        assert_int_equal(outcome_of(scene, &neighbours[i]), BW_STORE_COMMITTED);
    assert_int_equal(bw_fixture_number(&scene->fixture, "SELECT count(*) FROM decision"), 21);
    /* The group that failed has left no number behind. */
    assert_int_equal(
        bw_fixture_number(&scene->fixture,
                          "SELECT (SELECT group_no FROM head) - (SELECT count(*) FROM group_index)"),
        0);
    /* The owner has read the heads again and goes on. */
    struct bw_waited after;
    submit(scene, &stale, 2, &after);
    assert_int_equal(outcome_of(scene, &after), BW_STORE_COMMITTED);
}

/* The function itself: one key that exists, and nothing of the group is there. */
static void nothing_of_a_conflicted_group_commits(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_waited waited;
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
    char sql[1600];
    snprintf(
        sql, sizeof sql,
        "DO $$ DECLARE m uuid := (SELECT meeting FROM decision LIMIT 1); r replica; BEGIN"
        " SELECT * INTO r FROM replica; BEGIN PERFORM bw_group(r.id, r.epoch, 0, 99, NULL, %llu,"
        " ARRAY[(SELECT id FROM tenant)], '{0}', ARRAY[gen_random_uuid(), m, gen_random_uuid()], '{0,0,0}',"
        " '{1,1,1}', '{1,1,1}', ARRAY[m, m, m], '{1,2,3}', '{1,2,3}', '{a,b,c}', '{1,2,3}', '{}', '{}');"
        " RAISE 'it committed'; EXCEPTION WHEN unique_violation THEN NULL; END; END $$",
        (unsigned long long)scene->facts);
    (void)bw_pg_cluster_sql(scene->fixture.conninfo, sql);
    assert_int_equal(bw_fixture_number(&scene->fixture, "SELECT count(*) FROM decision"), 1);
    assert_int_equal(
        bw_fixture_number(&scene->fixture, "SELECT count(*) FROM group_index WHERE token = 99 AND event = 0"),
        0);
}

static void a_stale_policy_fails_that_tenant_alone(void **state)
{
    struct scene *scene = *state;
    struct bw_id other = bw_fixture_tenant(&scene->fixture, "other");
    struct bw_id meetings[4];
    struct bw_waited waited[4];
    assert_int_equal(bw_fixture_publish(&scene->fixture, &scene->fixture.tenant), 1);
    for (size_t i = 0; i < 4; i++) {
        meetings[i] = bw_random_meeting(&scene->fixture.random);
        struct bw_store_row row = bw_fixture_row(&scene->fixture, &meetings[i], 0, scene->facts);
        row.policy_revision = i == 1; /* 0: the old revision, 1: the new one, both of the first tenant */
        if (i >= 2) {
            row.tenant = other;
            row.policy_revision = 0;
        }
        bw_bench_submit(&scene->bench, &row, &waited[i]);
    }
    assert_int_equal(outcome_of(scene, &waited[0]), BW_STORE_STALE_POLICY);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(outcome_of(scene, &waited[i]), BW_STORE_COMMITTED);
}

static void a_candidate_in_audit_does_not_make_rows_stale(void **state)
{
    struct scene *scene = *state;
    struct bw_store_publish what = {.tenant = scene->fixture.tenant,
                                    .request = bw_random_id(&scene->fixture.random),
                                    .yaml = bw_view_str("x"),
                                    .author = "a",
                                    .note = "",
                                    .audit = true};
    struct bw_store_published published;
    MUST(bw_store_policy_publish(scene->fixture.db, &what, &published, err));
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_waited waited;
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
    uint64_t group;
    MUST(bw_store_policy_promote(scene->fixture.db, &scene->fixture.tenant, published.revision, 0, &group,
                                 err));
    submit(scene, &meeting, 1, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_STALE_POLICY);
}

static void stale_facts_are_refused_with_the_current_revision(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_waited waited;
    (void)bw_fixture_relay(&scene->fixture, "par1", 10);
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_STALE_FACTS);
    assert_int_equal(waited.result.facts_revision, scene->facts + 1);
    scene->facts++;
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);

    /* Rows decided under an older revision than a neighbour's are stale before they are sent. */
    struct bw_waited older;
    (void)bw_fixture_relay(&scene->fixture, "par2", 10);
    struct bw_id second = bw_random_meeting(&scene->fixture.random);
    submit(scene, &second, 0, &older);
    scene->facts++;
    submit(scene, &meeting, 1, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
    assert_int_equal(outcome_of(scene, &older), BW_STORE_STALE_FACTS);

    /* A revision from the future is refused, and does not spoil what others decided properly. */
    struct bw_store_row future = bw_fixture_row(&scene->fixture, &second, 0, scene->facts + 1000);
    bw_bench_submit(&scene->bench, &future, &older);
    assert_int_equal(outcome_of(scene, &older), BW_STORE_STALE_FACTS);
    submit(scene, &meeting, 2, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
}

static void cordon_drain_and_removal_make_rows_stale(void **state)
{
    struct scene *scene = *state;
    (void)bw_fixture_relay(&scene->fixture, "par1", 10);
    static const enum bw_store_relay_state states[] = {BW_STORE_RELAY_CORDONED, BW_STORE_RELAY_ENROLLED,
                                                       BW_STORE_RELAY_DRAINING, BW_STORE_RELAY_REMOVED};
    for (size_t i = 0; i < BW_ARRAY_LEN(states); i++) {
        scene->facts = bw_fixture_facts(&scene->fixture);
        uint64_t revision;
        uint64_t deadline = states[i] == BW_STORE_RELAY_DRAINING ? bw_clock_wall_ms() + 60000 : 0;
        MUST(bw_store_relay_set_state(scene->fixture.db, "par1", states[i], deadline, "", &revision, err));
        assert_int_equal(revision, scene->facts + 1);
        struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
        struct bw_waited waited;
        submit(scene, &meeting, 0, &waited);
        assert_int_equal(outcome_of(scene, &waited), BW_STORE_STALE_FACTS);
    }
}

static void a_fenced_replica_writes_nothing(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_waited waited;
    uint64_t group;
    struct bw_error error;
    assert_int_equal(
        bw_store_replica_fence(scene->fixture.db, &scene->fixture.replica, false, &group, &error),
        BW_FAILED_PRECONDITION); /* its lease has not ended */
    MUST(bw_store_replica_fence(scene->fixture.db, &scene->fixture.replica, true, &group, err));
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_FENCED);
    assert_int_equal(bw_fixture_number(&scene->fixture, "SELECT count(*) FROM decision"), 0);
    assert_int_equal(bw_store_replica_renew(scene->fixture.db, &scene->fixture.replica, 1000, &error),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "FENCED");

    /* Registered anew it may write again, under the new epoch only. */
    MUST(bw_store_replica_register(scene->fixture.db, &scene->fixture.replica.id, "localhost:1", 3600000,
                                   &scene->fixture.replica.epoch, err));
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_FENCED);
    bw_store_writer_set_epoch(scene->bench.writer, scene->fixture.replica.epoch);
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
}

static void a_replica_past_its_lease_writes_nothing_until_it_renews(void **state)
{
    struct scene *scene = *state;
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_waited waited;
    MUST(bw_store_replica_renew(scene->fixture.db, &scene->fixture.replica, 0, err));
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_LAPSED);
    MUST(bw_store_replica_renew(scene->fixture.db, &scene->fixture.replica, 60000, err));
    submit(scene, &meeting, 0, &waited);
    assert_int_equal(outcome_of(scene, &waited), BW_STORE_COMMITTED);
}

static void a_request_id_creates_one_meeting(void **state)
{
    struct scene *scene = *state;
    struct bw_id first = bw_random_meeting(&scene->fixture.random),
                 second = bw_random_meeting(&scene->fixture.random);
    struct bw_id third = bw_random_meeting(&scene->fixture.random), found;
    struct bw_store_row row = bw_fixture_row(&scene->fixture, &first, 0, scene->facts);
    row.method = "CreateMeeting";
    static struct bw_waited waited[3];
    /* Two calls with one id at the same time: one of them wins, and the other learns which. */
    bw_bench_submit(&scene->bench, &row, &waited[0]);
    row.meeting = second;
    bw_bench_submit(&scene->bench, &row, &waited[1]);
    int winner = outcome_of(scene, &waited[0]) == BW_STORE_COMMITTED ? 0 : 1;
    const struct bw_id *won = winner == 0 ? &first : &second;
    assert_int_equal(outcome_of(scene, &waited[winner]), BW_STORE_COMMITTED);
    assert_int_equal(outcome_of(scene, &waited[1 - winner]), BW_STORE_DUPLICATE_REQUEST);
    assert_true(bw_id_equal(&waited[1 - winner].result.meeting, won));
    /* And one more afterwards. */
    row.meeting = third;
    bw_bench_submit(&scene->bench, &row, &waited[2]);
    assert_int_equal(outcome_of(scene, &waited[2]), BW_STORE_DUPLICATE_REQUEST);
    assert_true(bw_id_equal(&waited[2].result.meeting, won));
    MUST(bw_store_request_find(scene->fixture.db, &row.tenant, "CreateMeeting", &row.request, &found, err));
    assert_true(bw_id_equal(&found, won));

    /* Another method or another tenant is another call. */
    row.method = "EndMeeting";
    bw_bench_submit(&scene->bench, &row, &waited[2]);
    assert_int_equal(outcome_of(scene, &waited[2]), BW_STORE_COMMITTED);
    uint64_t purged;
    struct bw_error error;
    MUST(bw_store_requests_purge(scene->fixture.db, 86400000, &purged, err));
    assert_int_equal(purged, 0);
    MUST(bw_store_requests_purge(scene->fixture.db, 0, &purged, err));
    assert_int_equal(purged, 2);
    assert_int_equal(
        bw_store_request_find(scene->fixture.db, &row.tenant, "CreateMeeting", &row.request, &found, &error),
        BW_NOT_FOUND);
}

static void a_full_queue_refuses_and_a_closing_writer_too(void **state)
{
    struct scene *scene = *state;
    struct bw_store_writer_config config = bw_fixture_config(&scene->fixture);
    config.queue_rows = 10;
    config.first_writer = 10;
    struct bw_bench bench;
    bw_bench_init(&bench, &config);
    struct bw_waited waited[10], refused = {0};
    struct bw_error error;
    for (size_t i = 0; i < BW_ARRAY_LEN(waited); i++) {
        struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
        struct bw_store_row row = bw_fixture_row(&scene->fixture, &meeting, 0, scene->facts);
        bw_bench_submit(&bench, &row, &waited[i]);
    }
    struct bw_id meeting = bw_random_meeting(&scene->fixture.random);
    struct bw_store_row row = bw_fixture_row(&scene->fixture, &meeting, 0, scene->facts);
    assert_int_equal(bw_store_writer_submit(bench.writer, &row, bw_waited_done, &refused, &error),
                     BW_RESOURCE_EXHAUSTED);
    assert_string_equal(error.reason, "QUEUE_FULL");
    /* Closing waits for what was submitted. */
    bw_bench_finish(&bench, 10000);
    for (size_t i = 0; i < BW_ARRAY_LEN(waited); i++) {
        assert_int_equal(waited[i].calls, 1);
        assert_int_equal(waited[i].result.outcome, BW_STORE_COMMITTED);
    }
    assert_int_equal(refused.calls, 0);
}

/* ---- many writers ------------------------------------------------------------------------------------ */

enum { WRITERS = 8, ROWS_EACH = 1500, WINDOW = 60 };

struct load {
    struct bw_fixture *fixture;
    unsigned int number;
    uint64_t facts, seed;
    uint64_t groups[ROWS_EACH]; /* of each row, in the order of their answers */
    unsigned int committed, other;
    struct bw_bench bench;
    unsigned int submitted;
    struct bw_random random;
};

static void load_submit(struct load *load);

static void load_done(void *context, const struct bw_store_result *result)
{
    struct load *load = context;
    if (result->outcome == BW_STORE_COMMITTED)
        load->groups[load->committed++] = result->group;
    else
        load->other++;
    load_submit(load);
}

static void load_submit(struct load *load)
{
    if (load->submitted == ROWS_EACH)
        return;
    load->submitted++;
    struct bw_id meeting = bw_random_meeting(&load->random);
    struct bw_store_row row = {.meeting = meeting,
                               .tenant = load->fixture->tenant,
                               .request = meeting,
                               .facts_revision = load->facts,
                               .record = bw_view_str("r")};
    if (bw_store_writer_submit(load->bench.writer, &row, load_done, load, NULL) != BW_OK)
        load->other++;
}

static void load_run(void *context)
{
    struct load *load = context;
    load->random.state = load->seed;
    struct bw_store_writer_config config = bw_fixture_config(load->fixture);
    config.first_writer = load->number * 10;
    config.lanes = 1;
    bw_bench_init(&load->bench, &config);
    for (int i = 0; i < WINDOW; i++)
        load_submit(load);
    while (load->committed + load->other < ROWS_EACH)
        bw_loop_turn(load->bench.loop, true);
    bw_bench_finish(&load->bench, 1000);
}

struct watch {
    uint64_t last;
    unsigned int groups;
};

static bool watch_group(void *context, const struct bw_store_group *group)
{
    struct watch *watch = context;
    /* Without gaps, although others are committing: a reader that has seen n has seen everything up to n. */
    assert_int_equal(group->number, watch->last + 1);
    watch->last = group->number;
    watch->groups++;
    return true;
}

static void group_numbers_rise_in_commit_order_without_gaps_under_eight_writers(void **state)
{
    struct scene *scene = *state;
    static struct load loads[WRITERS];
    struct bw_thread *threads[WRITERS];
    struct bw_store_heads heads;
    MUST(bw_store_heads_read(scene->fixture.db, &heads, err));
    uint64_t started = heads.group;
    for (unsigned int i = 0; i < WRITERS; i++) {
        loads[i] =
            (struct load){.fixture = &scene->fixture, .number = i + 1, .facts = scene->facts, .seed = 77 + i};
        threads[i] = bw_thread_start(load_run, &loads[i], "writer", NULL);
        assert_non_null(threads[i]);
    }
    /* Poll while they write. */
    struct watch watch = {.last = started};
    long long rows = 0;
    while (rows < WRITERS * ROWS_EACH) {
        MUST(
            bw_store_groups_read(scene->fixture.db, watch.last, 100, NULL, watch_group, &watch, &heads, err));
        rows = bw_fixture_number(&scene->fixture, "SELECT count(*) FROM decision");
    }
    for (unsigned int i = 0; i < WRITERS; i++)
        bw_thread_join(threads[i]);
    MUST(
        bw_store_groups_read(scene->fixture.db, watch.last, 1000000, NULL, watch_group, &watch, &heads, err));
    assert_int_equal(watch.last, heads.group);
    for (unsigned int i = 0; i < WRITERS; i++) {
        assert_int_equal(loads[i].committed, ROWS_EACH);
        assert_int_equal(loads[i].other, 0);
        /* One lane: its groups are answered in the order of their numbers. */
        for (unsigned int j = 1; j < ROWS_EACH; j++)
            assert_true(loads[i].groups[j] >= loads[i].groups[j - 1]);
    }
    assert_int_equal(bw_fixture_number(&scene->fixture,
                                       "SELECT sum(cardinality(meetings)) FROM group_index WHERE event = 0"),
                     WRITERS * ROWS_EACH);
}

/* A publish under load: it waits for groups in flight; what commits after it has the new revision. */
static void a_publish_orders_itself_between_groups(void **state)
{
    struct scene *scene = *state;
    static struct load loads[4];
    struct bw_thread *threads[4];
    for (unsigned int i = 0; i < 4; i++) {
        loads[i] = (struct load){
            .fixture = &scene->fixture, .number = i + 1, .facts = scene->facts, .seed = 177 + i};
        threads[i] = bw_thread_start(load_run, &loads[i], "writer", NULL);
        assert_non_null(threads[i]);
    }
    while (bw_fixture_number(&scene->fixture, "SELECT count(*) FROM decision") < 300)
        ;
    assert_int_equal(bw_fixture_publish(&scene->fixture, &scene->fixture.tenant), 1);
    long long at = bw_fixture_number(&scene->fixture, "SELECT group_no FROM group_index WHERE event = 1");
    for (unsigned int i = 0; i < 4; i++) {
        bw_thread_join(threads[i]);
        assert_int_equal(loads[i].committed + loads[i].other, ROWS_EACH);
        assert_true(loads[i].other > 0);
        for (unsigned int j = 0; j < loads[i].committed; j++)
            assert_true(loads[i].groups[j] < (uint64_t)at);
    }
    assert_int_equal(bw_fixture_number(&scene->fixture,
                                       "SELECT count(*) FROM group_index WHERE event = 0 AND group_no >"
                                       " (SELECT group_no FROM group_index WHERE event = 1)"),
                     0);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_row_comes_back_as_it_was_written),
        SCENE_TEST(rows_without_relays_and_records_are_rows_too),
        SCENE_TEST(what_became_ready_in_one_turn_is_one_group),
        SCENE_TEST(rows_of_one_meeting_commit_in_order),
        SCENE_TEST(a_stale_view_fails_its_meeting_and_nobody_else),
        SCENE_TEST(nothing_of_a_conflicted_group_commits),
        SCENE_TEST(a_stale_policy_fails_that_tenant_alone),
        SCENE_TEST(a_candidate_in_audit_does_not_make_rows_stale),
        SCENE_TEST(stale_facts_are_refused_with_the_current_revision),
        SCENE_TEST(cordon_drain_and_removal_make_rows_stale),
        SCENE_TEST(a_fenced_replica_writes_nothing),
        SCENE_TEST(a_replica_past_its_lease_writes_nothing_until_it_renews),
        SCENE_TEST(a_request_id_creates_one_meeting),
        SCENE_TEST(a_full_queue_refuses_and_a_closing_writer_too),
        SCENE_TEST(group_numbers_rise_in_commit_order_without_gaps_under_eight_writers),
        SCENE_TEST(a_publish_orders_itself_between_groups),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
