/* What is sealed for a group and commits with it, and what each user of the database may do with it. Sealing
 * itself is another room's: here a record is the notes one after the other. */
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
#include "store/metadata.h"

enum { ROWS = 6 };

struct sealer {
    struct bw_fixture *fixture;
    struct bw_id refuses; /* a tenant whose notes cannot be sealed */
    struct bw_id key;     /* of every record */
    bool key_stored;
    size_t calls, names;
};

static bool seal(void *context, const struct bw_id *tenant, const struct bw_view *notes, size_t count,
                 struct bw_store_roster *out)
{
    struct sealer *sealer = context;
    sealer->calls++;
    if (bw_id_equal(tenant, &sealer->refuses))
        return false;
    for (size_t i = 0; i < count; i++)
        bw_buf_append(&out->record, notes[i].data, notes[i].len);
    out->id = bw_random_meeting(&sealer->fixture->random);
    if (!sealer->key_stored)
        out->key = (struct bw_store_meeting_key){.id = sealer->key, .tenant = *tenant, .scope_key = {{3}}};
    return true;
}

static void name(void *context, const struct bw_id *roster, uint32_t index, struct bw_buf *record)
{
    (void)roster;
    ((struct sealer *)context)->names++;
    bw_buf_printf(record, "#%u", index);
}

static void stored(void *context, const struct bw_store_meeting_key *key)
{
    struct sealer *sealer = context;
    sealer->key_stored = sealer->key_stored || bw_id_equal(&key->id, &sealer->key);
}

static void init(struct bw_fixture *fixture, struct sealer *sealer, struct bw_bench *bench)
{
    bw_fixture_init(fixture, 11);
    *sealer = (struct sealer){.fixture = fixture, .key = bw_random_id(&fixture->random)};
    struct bw_store_writer_config config = bw_fixture_config(fixture);
    config.lanes = 1;
    config.sealing =
        (struct bw_store_sealing){.context = sealer, .seal = seal, .name = name, .stored = stored};
    bw_bench_init(bench, &config);
}

static void finish(struct bw_fixture *fixture, struct bw_bench *bench)
{
    bw_bench_finish(bench, 5000);
    bw_fixture_finish(fixture);
}

/* A row with a note of its own, and a key of its own meeting. */
static struct bw_store_row row_of(struct bw_fixture *fixture, const struct bw_id *tenant, const char *note,
                                  struct bw_store_meeting_key *key)
{
    struct bw_id meeting = bw_random_meeting(&fixture->random);
    struct bw_store_row row = bw_fixture_row(fixture, &meeting, 1, bw_fixture_facts(fixture));
    row.tenant = *tenant;
    row.note = bw_view_str(note);
    *key = (struct bw_store_meeting_key){
        .id = bw_random_id(&fixture->random), .tenant = *tenant, .meeting = meeting, .scope_key = {{3}}};
    row.key = key;
    return row;
}

static void notes_of_a_tenant_are_one_record_and_each_row_names_its_own(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    struct sealer sealer;
    struct bw_bench bench;
    struct bw_waited waited[ROWS];
    struct bw_store_meeting_key keys[ROWS];
    init(&fixture, &sealer, &bench);
    struct bw_id other = bw_fixture_tenant(&fixture, "acme");
    for (size_t i = 0; i < ROWS; i++) {
        char note[8];
        snprintf(note, sizeof note, "n%zu", i);
        struct bw_store_row row = row_of(&fixture, i % 2 == 0 ? &fixture.tenant : &other, note, &keys[i]);
        if (i == 4)
            row.note = (struct bw_view){NULL, 0};
        bw_bench_submit(&bench, &row, &waited[i]);
    }
    for (size_t i = 0; i < ROWS; i++) {
        bw_bench_wait(&bench, &waited[i]);
        assert_int_equal(waited[i].result.outcome, BW_STORE_COMMITTED);
    }
    assert_int_equal(sealer.calls, 2); /* the rows are one group */
    const char *conninfo = fixture.conninfo;
    assert_string_equal(bw_pg_cluster_sql(conninfo,
                                          "SELECT string_agg(r.sum, ' ' ORDER BY t.name) FROM tenant t"
                                          " JOIN (SELECT tenant, length(record) || '' AS sum"
                                          "  FROM roster_record) r ON r.tenant = t.id"),
                        "6 4");
    assert_string_equal(bw_pg_cluster_sql(conninfo,
                                          "SELECT string_agg(r, ' ' ORDER BY r) FROM"
                                          " (SELECT encode(record, 'escape') AS r FROM decision) d"),
                        "record record#0 record#0 record#1 record#1 record#2");
    assert_int_equal(bw_fixture_number(&fixture, "SELECT count(*) FROM keystore.meeting_key"), ROWS + 1);
    assert_true(sealer.key_stored);
    finish(&fixture, &bench);
}

static void a_note_that_cannot_be_sealed_does_not_hold_its_row(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    struct sealer sealer;
    struct bw_bench bench;
    struct bw_waited waited[2];
    struct bw_store_meeting_key keys[2];
    init(&fixture, &sealer, &bench);
    sealer.refuses = bw_fixture_tenant(&fixture, "acme");
    struct bw_store_row kept = row_of(&fixture, &fixture.tenant, "kept", &keys[0]);
    struct bw_store_row lost = row_of(&fixture, &sealer.refuses, "lost", &keys[1]);
    bw_bench_submit(&bench, &kept, &waited[0]);
    bw_bench_submit(&bench, &lost, &waited[1]);
    for (size_t i = 0; i < 2; i++) {
        bw_bench_wait(&bench, &waited[i]);
        assert_int_equal(waited[i].result.outcome, BW_STORE_COMMITTED);
    }
    assert_string_equal(
        bw_pg_cluster_sql(fixture.conninfo,
                          "SELECT string_agg(encode(record, 'escape'), ' ') FROM roster_record"),
        "kept");
    assert_int_equal(bw_fixture_number(&fixture, "SELECT count(*) FROM decision WHERE record = 'record'"), 1);
    finish(&fixture, &bench);
}

/* The group breaks on a decision that is there already: what is left is sealed again, without the lost row's
 * note. */
static void a_group_that_loses_a_row_does_not_keep_its_note(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    struct sealer sealer;
    struct bw_bench bench;
    struct bw_waited waited[3];
    struct bw_store_meeting_key keys[3];
    struct bw_store_row rows[3];
    init(&fixture, &sealer, &bench);
    static const char *const notes[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        rows[i] = row_of(&fixture, &fixture.tenant, notes[i], &keys[i]);
    char sql[512], meeting[BW_ID_TEXT_SIZE], tenant[BW_ID_TEXT_SIZE];
    bw_id_format(&rows[1].meeting, meeting);
    bw_id_format(&fixture.tenant, tenant);
    snprintf(sql, sizeof sql,
             "INSERT INTO decision VALUES (1, '%s', '%s', gen_random_uuid(), 1, 0, 1, '{}', 'before')",
             meeting, tenant);
    (void)bw_pg_cluster_sql(fixture.conninfo, sql);
    for (size_t i = 0; i < 3; i++)
        bw_bench_submit(&bench, &rows[i], &waited[i]);
    for (size_t i = 0; i < 3; i++)
        bw_bench_wait(&bench, &waited[i]);
    assert_int_equal(waited[0].result.outcome, BW_STORE_COMMITTED);
    assert_int_equal(waited[1].result.outcome, BW_STORE_STALE_KEY);
    assert_int_equal(waited[2].result.outcome, BW_STORE_COMMITTED);
    assert_int_equal(sealer.calls, 2);
    assert_string_equal(
        bw_pg_cluster_sql(fixture.conninfo,
                          "SELECT string_agg(encode(record, 'escape'), ' ') FROM roster_record"),
        "ac");
    assert_int_equal(bw_fixture_number(&fixture, "SELECT count(*) FROM keystore.meeting_key"), 3);
    finish(&fixture, &bench);
}

static void the_serving_role_is_enough_to_serve_and_reads_nothing_sealed(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    struct bw_store_db *db;
    char conninfo[600];
    bw_fixture_init(&fixture, 12);
    (void)bw_pg_cluster_sql(fixture.conninfo, "CREATE ROLE serve_only LOGIN IN ROLE bailiwick_serve");
    snprintf(conninfo, sizeof conninfo, "%s user=serve_only", fixture.conninfo);
    MUST(bw_store_db_open(conninfo, &db, err));
    MUST(bw_store_schema_check(db, err));
    MUST(bw_store_cell_init(db, "eu", err));
    struct bw_store_cell cell;
    MUST(bw_store_cell_read(db, &cell, err));
    struct bw_id replica = bw_random_id(&fixture.random);
    uint64_t epoch;
    MUST(bw_store_replica_register(db, &replica, "localhost:1", 1000, &epoch, err));
    bool readable = true;
    MUST(bw_store_keys_readable(db, &readable, err));
    assert_false(readable);
    MUST(bw_store_keys_readable(fixture.db, &readable, err));
    assert_true(readable);
    struct bw_error error;
    struct bw_store_swept swept;
    assert_int_equal(bw_store_metadata_sweep(db, &fixture.tenant, 1, 1, &swept, &error),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "DATABASE_RIGHTS");
    const struct bw_store_audit entry = {.actor = "a",
                                         .role = "r",
                                         .method = "m",
                                         .fields = "",
                                         .outcome = "allowed",
                                         .tenant = fixture.tenant};
    assert_int_equal(bw_store_audit_write(db, &entry, &error), BW_FAILED_PRECONDITION);
    bw_store_db_close(db);
    bw_fixture_finish(&fixture);
}

/* What of a long backlog is swept at a time is bounded, and the rest is swept next. */
static void a_sweep_takes_so_much_at_a_time(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 13);
    char sql[512], tenant[BW_ID_TEXT_SIZE];
    bw_id_format(&fixture.tenant, tenant);
    snprintf(sql, sizeof sql,
             "INSERT INTO roster_record (tenant, id, record) SELECT '%s', bw_uuid_at(1000 + g), 'r'"
             " FROM generate_series(1, 25000) g",
             tenant);
    (void)bw_pg_cluster_sql(fixture.conninfo, sql);
    struct bw_store_swept swept;
    uint64_t all = 0;
    for (int i = 0; i < 2; i++) {
        MUST(bw_store_metadata_sweep(fixture.db, &fixture.tenant, 1000000, 1000000, &swept, err));
        assert_true(swept.rosters > 0 && swept.rosters <= BW_STORE_SWEEP_ROWS);
        assert_int_equal(swept.more, i == 0);
        all += swept.rosters;
    }
    assert_int_equal(all, 25000);
    bw_fixture_finish(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_of_a_tenant_are_one_record_and_each_row_names_its_own),
        cmocka_unit_test(a_note_that_cannot_be_sealed_does_not_hold_its_row),
        cmocka_unit_test(a_group_that_loses_a_row_does_not_keep_its_note),
        cmocka_unit_test(the_serving_role_is_enough_to_serve_and_reads_nothing_sealed),
        cmocka_unit_test(a_sweep_takes_so_much_at_a_time),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
