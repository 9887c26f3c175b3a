/* Which meetings a tenant had, in a real database, under the role that serves. */
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
#include "store/search.h"

enum { MEETINGS = 12 };
static const uint64_t START_MS = UINT64_C(1795255200000);

struct rig {
    struct bw_fixture fixture;
    struct bw_store_db *serve;
    struct bw_id tenant, other, meetings[MEETINGS]; /* by time, a minute apart */
    struct bw_id found[64];
    struct bw_store_found_meeting last;
    uint32_t last_relays[8];
    size_t count;
};

static struct bw_id id_at(struct rig *rig, uint64_t ms)
{
    struct bw_id random = bw_random_id(&rig->fixture.random);
    return bw_id_v7(ms, random.bytes);
}

static void add_decision(struct rig *rig, const struct bw_id *meeting, const struct bw_id *tenant,
                         unsigned seq, unsigned kind, const char *relays)
{
    char sql[600], meeting_text[BW_ID_TEXT_SIZE], tenant_text[BW_ID_TEXT_SIZE];
    bw_id_format(meeting, meeting_text);
    bw_id_format(tenant, tenant_text);
    snprintf(sql, sizeof sql,
             "INSERT INTO bailiwick.decision (facts_revision, meeting, tenant, request, seq, "
             "policy_revision, kind,"
             " relays, record) VALUES (1, '%s', '%s', gen_random_uuid(), %u, 7, %u, '{%s}', 'record %u')",
             meeting_text, tenant_text, seq, kind, relays, seq);
    (void)bw_pg_cluster_sql(rig->fixture.conninfo, sql);
}

/* Meeting n: created, n % 3 joins on relay n % 4 + 1; every fourth has ended. */
static void add_meeting(struct rig *rig, size_t n)
{
    char relay[8];
    unsigned seq = 1;
    rig->meetings[n] = id_at(rig, START_MS + n * 60000);
    snprintf(relay, sizeof relay, "%zu", n % 4 + 1);
    add_decision(rig, &rig->meetings[n], &rig->tenant, seq++, 1, "");
    for (size_t i = 0; i < n % 3; i++)
        add_decision(rig, &rig->meetings[n], &rig->tenant, seq++, 2, relay);
    if (n % 4 == 3)
        add_decision(rig, &rig->meetings[n], &rig->tenant, seq++, 12, "");
}

static void add_quality(struct rig *rig, size_t n, uint8_t class, uint8_t reason, uint32_t poor_minutes)
{
    const struct bw_store_meeting_quality row = {.meeting = rig->meetings[n],
                                                 .tenant = rig->tenant,
                                                 .from_ms = START_MS,
                                                 .to_ms = START_MS + 60000,
                                                 .participants = 2,
                                                 .poor_minutes = poor_minutes,
                                                 .windows = 30,
                                                 .worst_class = class,
                                                 .reason = reason};
    MUST(bw_store_meeting_quality_write(rig->serve, &row, 1, err));
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    bw_fixture_init(&rig->fixture, 78);
    rig->tenant = rig->fixture.tenant;
    rig->other = bw_random_id(&rig->fixture.random);
    char conninfo[640];
    snprintf(conninfo, sizeof conninfo, "%s options='-c role=bailiwick_serve'", rig->fixture.conninfo);
    MUST(bw_store_db_open(conninfo, &rig->serve, err));
    for (size_t n = 0; n < MEETINGS; n++)
        add_meeting(rig, n);
    for (size_t n = 0; n < 3; n++) { /* somebody else's, at the same time */
        struct bw_id meeting = id_at(rig, START_MS + n * 60000);
        add_decision(rig, &meeting, &rig->other, 1, 1, "");
    }
    add_quality(rig, 2, 3, 1, 5); /* red for loss */
    add_quality(rig, 5, 2, 2, 0); /* amber for jitter */
    add_quality(rig, 7, 1, 0, 0); /* green */
    add_quality(rig, 8, 4, 0, 0); /* grey */
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    bw_store_db_close(rig->serve);
    bw_fixture_finish(&rig->fixture);
    free(rig);
    return 0;
}

static bool collect(void *context, const struct bw_store_found_meeting *found)
{
    struct rig *rig = context;
    rig->found[rig->count++] = found->meeting;
    rig->last = *found;
    assert_true(found->relay_count <= BW_ARRAY_LEN(rig->last_relays));
    if (found->relay_count > 0)
        memcpy(rig->last_relays, found->relays, found->relay_count * sizeof rig->last_relays[0]);
    return true;
}

static struct bw_store_search everything(const struct rig *rig)
{
    return (struct bw_store_search){
        .tenant = rig->tenant, .since_ms = START_MS, .until_ms = START_MS + 3600000, .limit = 50};
}

static void search(struct rig *rig, const struct bw_store_search *what)
{
    rig->count = 0;
    MUST(bw_store_meetings_search(rig->serve, what, collect, rig, err));
}

/* Those meetings and no others, newest first. */
static void check_found(struct rig *rig, const struct bw_store_search *what, const size_t *wanted,
                        size_t count)
{
    search(rig, what);
    assert_int_equal(rig->count, count);
    for (size_t i = 0; i < count; i++) {
        if (!bw_id_equal(&rig->found[i], &rig->meetings[wanted[i]]))
            fail_msg("the meeting in place %zu is not number %zu", i, wanted[i]);
    }
}
#define CHECK_FOUND(rig, what, ...)                                                                          \
    check_found(rig, what, (const size_t[]){__VA_ARGS__},                                                    \
                sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

static void a_tenants_meetings_come_newest_first_and_page_by_page(void **state)
{
    struct rig *rig = *state;
    struct bw_store_search what = everything(rig);
    CHECK_FOUND(rig, &what, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    what.limit = 5;
    CHECK_FOUND(rig, &what, 11, 10, 9, 8, 7);
    what.below = &rig->meetings[7];
    CHECK_FOUND(rig, &what, 6, 5, 4, 3, 2);
    what.below = &rig->meetings[0];
    search(rig, &what);
    assert_int_equal(rig->count, 0);
    what = everything(rig);
    what.since_ms = START_MS + 2 * 60000;
    what.until_ms = START_MS + 4 * 60000;
    CHECK_FOUND(rig, &what, 3, 2);
    what.tenant = rig->other;
    what.since_ms = START_MS;
    search(rig, &what);
    assert_int_equal(rig->count, 3);
}

static void filters_narrow_a_search(void **state)
{
    struct rig *rig = *state;
    struct bw_store_search what = everything(rig);
    what.rank = 2;
    CHECK_FOUND(rig, &what, 7, 5, 2);
    what.rank = 3;
    CHECK_FOUND(rig, &what, 5, 2);
    what.rank = 4;
    CHECK_FOUND(rig, &what, 2);
    what.rank = 1; /* also what was never measured */
    search(rig, &what);
    assert_int_equal(rig->count, MEETINGS);
    what.rank = 0;
    what.reason = 2;
    CHECK_FOUND(rig, &what, 5);
    what.reason = 0;
    what.poor_minutes = 5;
    CHECK_FOUND(rig, &what, 2);
    what.poor_minutes = 6;
    search(rig, &what);
    assert_int_equal(rig->count, 0);
    what.poor_minutes = 0;
    const uint32_t relays[] = {3, 99};
    what.relays = relays;
    what.relay_count = 2;
    CHECK_FOUND(rig, &what, 10, 2); /* number 6 had nobody */
    what.rank = 4;
    CHECK_FOUND(rig, &what, 2);
    what.relay_count = 0; /* of no relay */
    search(rig, &what);
    assert_int_equal(rig->count, 0);
}

static void what_is_found_is_told(void **state)
{
    struct rig *rig = *state;
    struct bw_store_search what = everything(rig);
    what.rank = 4;
    search(rig, &what);
    assert_int_equal(rig->last.joined, 2);
    assert_int_equal(rig->last.last_kind, 2);
    assert_int_equal(rig->last.policy_revision, 7);
    assert_int_equal(rig->last.relay_count, 1);
    assert_int_equal(rig->last_relays[0], 3);
    assert_true(rig->last.has_quality);
    assert_int_equal(rig->last.quality.worst_class, 3);
    assert_int_equal(rig->last.quality.poor_minutes, 5);
    assert_int_equal(rig->last.quality.windows, 30);
    what = everything(rig);
    what.limit = 1; /* number 11: two people, and it has ended */
    search(rig, &what);
    assert_int_equal(rig->last.joined, 2);
    assert_int_equal(rig->last.last_kind, 12);
    assert_false(rig->last.has_quality);
}

static void a_search_reads_an_index_and_not_the_log(void **state)
{
    struct rig *rig = *state;
    (void)bw_pg_cluster_sql(
        rig->fixture.conninfo,
        "INSERT INTO bailiwick.decision (facts_revision, meeting, tenant, request, seq,"
        " policy_revision, kind, relays, record) SELECT 1, gen_random_uuid(),"
        " gen_random_uuid(), gen_random_uuid(), 2, 1, 2, '{}', '' FROM generate_series(1, 3000);"
        " ANALYZE bailiwick.decision");
    const char *plan = bw_pg_cluster_sql(
        rig->fixture.conninfo,
        "SET enable_bitmapscan = off; EXPLAIN (COSTS OFF) SELECT c.meeting FROM bailiwick.decision c "
        "WHERE c.tenant = '0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e' AND c.seq = 1"
        " ORDER BY c.meeting DESC");
    if (strstr(plan, "decision_created") == NULL)
        fail_msg("%s", plan);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tenants_meetings_come_newest_first_and_page_by_page),
        TEST(filters_narrow_a_search),
        TEST(what_is_found_is_told),
        TEST(a_search_reads_an_index_and_not_the_log),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
