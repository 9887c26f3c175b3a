/* Rows of quality in a real database, under the role that serves. */
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
#include "store/quality.h"

struct rig {
    struct bw_fixture fixture;
    struct bw_store_db *serve; /* as bailiwick_serve: what the daemon may do and no more */
    struct bw_id meeting;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    bw_fixture_init(&rig->fixture, 77);
    rig->meeting = bw_random_meeting(&rig->fixture.random);
    char conninfo[640];
    snprintf(conninfo, sizeof conninfo, "%s options='-c role=bailiwick_serve'", rig->fixture.conninfo);
    MUST(bw_store_db_open(conninfo, &rig->serve, err));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static struct bw_store_chunk chunk(struct rig *rig, uint32_t slot, uint64_t seq, uint64_t to_ms,
                                   const char *record)
{
    return (struct bw_store_chunk){.id = bw_random_id(&rig->fixture.random),
                                   .tenant = rig->fixture.tenant,
                                   .meeting = rig->meeting,
                                   .stream = {{'q', 1}},
                                   .slot = slot,
                                   .source = 0,
                                   .seq = seq,
                                   .from_ms = 1000,
                                   .to_ms = to_ms,
                                   .record = bw_view_str(record)};
}

static const char *record_of(struct rig *rig, uint32_t slot)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT string_agg(encode(record, 'escape'), ',' ORDER BY seq) FROM bailiwick.quality_chunk"
             " WHERE slot = %u",
             slot);
    return bw_pg_cluster_sql(rig->fixture.conninfo, sql);
}

static void a_newer_version_replaces_a_chunk_and_an_older_one_does_not(void **state)
{
    struct rig *rig = *state;
    struct bw_store_chunk rows[2] = {chunk(rig, 1, 5, 11000, "one window"),
                                     chunk(rig, 2, 5, 11000, "another")};
    MUST(bw_store_chunks_write(rig->serve, rows, 2, err));
    struct bw_store_chunk newer = chunk(rig, 1, 5, 21000, "two windows"),
                          next = chunk(rig, 1, 6, 31000, "the next");
    MUST(bw_store_chunks_write(rig->serve, &newer, 1, err));
    MUST(bw_store_chunks_write(rig->serve, &next, 1, err));
    assert_string_equal(record_of(rig, 1), "two windows,the next");
    MUST(bw_store_chunks_write(rig->serve, rows, 2, err)); /* an answer that was lost: sent again */
    assert_string_equal(record_of(rig, 1), "two windows,the next");
    assert_string_equal(record_of(rig, 2), "another");
    /* A late window between others: the end is the same, and there is more inside. */
    newer = chunk(rig, 1, 5, 21000, "two windows, and a late one");
    MUST(bw_store_chunks_write(rig->serve, &newer, 1, err));
    assert_string_equal(record_of(rig, 1), "two windows, and a late one,the next");
    /* The row's id is that of the version: the record is bound to it. */
    char id[BW_ID_TEXT_SIZE];
    bw_id_format(&newer.id, id);
    assert_string_equal(
        bw_pg_cluster_sql(rig->fixture.conninfo,
                          "SELECT id FROM bailiwick.quality_chunk WHERE slot = 1 AND seq = 5"),
        id);
}

static void the_role_that_serves_reads_no_sealed_row(void **state)
{
    struct rig *rig = *state;
    struct bw_store_chunk row = chunk(rig, 1, 1, 11000, "sealed");
    MUST(bw_store_chunks_write(rig->serve, &row, 1, err));
    struct bw_store_meeting_key key = {.id = bw_random_id(&rig->fixture.random),
                                       .tenant = rig->fixture.tenant,
                                       .meeting = rig->meeting,
                                       .scope_key = bw_random_id(&rig->fixture.random)};
    MUST(bw_store_keys_write(rig->serve, &key, 1, err));
    MUST(bw_store_keys_write(rig->serve, &key, 1, err)); /* once is enough */
    assert_int_equal(bw_fixture_number(&rig->fixture, "SELECT count(*) FROM keystore.meeting_key"), 1);
    static const char *const forbidden[] = {
        "SET ROLE bailiwick_serve; SELECT count(*) FROM bailiwick.quality_chunk",
        "SET ROLE bailiwick_serve; UPDATE bailiwick.quality_chunk SET record = ''",
        "SET ROLE bailiwick_serve; DELETE FROM bailiwick.quality_sketch",
        "SET ROLE bailiwick_serve; SELECT count(*) FROM keystore.meeting_key",
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(forbidden); i++) {
        char sql[400];
        snprintf(
            sql, sizeof sql,
            "DO $x$ BEGIN EXECUTE $q$%s$q$; RAISE 'allowed'; EXCEPTION WHEN insufficient_privilege THEN NULL;"
            " END $x$; SELECT 'refused'",
            strchr(forbidden[i], ';') + 2);
        char whole[500];
        snprintf(whole, sizeof whole, "SET ROLE bailiwick_serve; %s", sql);
        assert_string_equal(bw_pg_cluster_sql(rig->fixture.conninfo, whole), "refused");
    }
}

static void sketches_of_an_hour_are_replaced_as_it_fills(void **state)
{
    struct rig *rig = *state;
    struct bw_store_sketch row = {.id = bw_random_id(&rig->fixture.random),
                                  .tenant = rig->fixture.tenant,
                                  .hour_ms = 1700000000000 / 3600000 * 3600000,
                                  .record = bw_view_str("half an hour")};
    MUST(bw_store_sketches_write(rig->serve, &row, 1, err));
    row.record = bw_view_str("an hour");
    MUST(bw_store_sketches_write(rig->serve, &row, 1, err));
    row.id = bw_random_id(&rig->fixture.random); /* another process's */
    MUST(bw_store_sketches_write(rig->serve, &row, 1, err));
    assert_int_equal(bw_fixture_number(&rig->fixture, "SELECT count(*) FROM bailiwick.quality_sketch"), 2);
    assert_string_equal(
        bw_pg_cluster_sql(rig->fixture.conninfo,
                          "SELECT string_agg(encode(record, 'escape'), ',') || extract(epoch FROM"
                          " min(hour))::bigint % 3600 FROM bailiwick.quality_sketch"),
        "an hour,an hour0");
}

static struct bw_store_meeting_quality summary(const struct rig *rig, uint32_t windows, size_t relays)
{
    struct bw_store_meeting_quality row = {.meeting = rig->meeting,
                                           .tenant = rig->fixture.tenant,
                                           .from_ms = 1000,
                                           .to_ms = 2000,
                                           .participants = 4,
                                           .poor_minutes = 2,
                                           .windows = windows,
                                           .policy_revision = 7,
                                           .worst_class = 3,
                                           .reason = 1,
                                           .relay_count = relays};
    for (size_t i = 0; i < relays; i++)
        row.relays[i] = (uint32_t)i + 1;
    return row;
}

static void summaries_come_back_as_they_were_written(void **state)
{
    struct rig *rig = *state;
    struct bw_store_meeting_quality rows[3] = {summary(rig, 10, 2), summary(rig, 20, 0), summary(rig, 30, 3)};
    struct bw_id ids[4];
    for (size_t i = 0; i < 3; i++)
        rows[i].meeting = ids[i] = bw_random_meeting(&rig->fixture.random);
    ids[3] = bw_random_meeting(&rig->fixture.random); /* has none */
    MUST(bw_store_meeting_quality_write(rig->serve, rows, 3, err));
    rows[2].windows = 31;
    MUST(bw_store_meeting_quality_write(rig->serve, rows + 2, 1, err));
    struct bw_store_meeting_quality found[4];
    size_t count = 0;
    MUST(bw_store_meeting_quality_read(rig->serve, ids, 4, found, &count, err));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (!bw_id_equal(&found[i].meeting, &ids[k]))
            k++;
        assert_int_equal(found[i].windows, rows[k].windows);
        assert_int_equal(found[i].relay_count, rows[k].relay_count);
        assert_memory_equal(found[i].relays, rows[k].relays, rows[k].relay_count * sizeof rows[k].relays[0]);
        assert_int_equal(found[i].worst_class, 3);
        assert_int_equal(found[i].policy_revision, 7);
        assert_int_equal(found[i].from_ms, 1000);
    }
}

static void nothing_of_an_erased_meeting_comes_back(void **state)
{
    struct rig *rig = *state;
    struct bw_store_chunk row = chunk(rig, 1, 1, 11000, "sealed");
    struct bw_store_meeting_quality seen = summary(rig, 5, 1);
    MUST(bw_store_chunks_write(rig->serve, &row, 1, err));
    MUST(bw_store_meeting_quality_write(rig->serve, &seen, 1, err));
    struct bw_buf receipt = {0};
    const struct bw_store_erase erase = {.tenant = rig->fixture.tenant,
                                         .meeting = rig->meeting,
                                         .request = bw_random_id(&rig->fixture.random),
                                         .actor = "spiffe://eu.example/admin/anna",
                                         .at_ms = 5000,
                                         .receipt = bw_view_str("receipt")};
    MUST(bw_store_meeting_erase(rig->fixture.db, &erase, &receipt, err));
    bw_buf_finish(&receipt);
    row.to_ms = 21000; /* the ingest does not know yet */
    MUST(bw_store_chunks_write(rig->serve, &row, 1, err));
    MUST(bw_store_meeting_quality_write(rig->serve, &seen, 1, err));
    assert_int_equal(bw_fixture_number(&rig->fixture, "SELECT count(*) FROM bailiwick.quality_chunk"), 0);
    assert_int_equal(bw_fixture_number(&rig->fixture, "SELECT count(*) FROM bailiwick.meeting_quality"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_newer_version_replaces_a_chunk_and_an_older_one_does_not),
        TEST(the_role_that_serves_reads_no_sealed_row),
        TEST(sketches_of_an_hour_are_replaced_as_it_fills),
        TEST(summaries_come_back_as_they_were_written),
        TEST(nothing_of_an_erased_meeting_comes_back),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
