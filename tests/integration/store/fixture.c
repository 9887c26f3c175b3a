#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/migrate.h"
#include "store/tenants.h"

struct bw_pg_cluster bw_cluster;

int bw_store_group_setup(void **state)
{
    (void)state;
    bw_log_configure(BW_LOG_ERROR, false);
    bw_pg_cluster_start(&bw_cluster);
    return 0;
}

int bw_store_group_teardown(void **state)
{
    (void)state;
    bw_pg_cluster_remove(&bw_cluster);
    return 0;
}

/* splitmix64 */
uint64_t bw_random_next(struct bw_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct bw_id bw_random_id(struct bw_random *random)
{
    uint64_t words[2] = {bw_random_next(random), bw_random_next(random)};
    uint8_t bytes[16];
    memcpy(bytes, words, sizeof bytes);
    return bw_id_v4(bytes);
}

struct bw_id bw_random_meeting(struct bw_random *random)
{
    uint64_t words[2] = {bw_random_next(random), bw_random_next(random)};
    uint8_t bytes[10];
    memcpy(bytes, words, sizeof bytes);
    return bw_id_v7(bw_clock_wall_ms(), bytes);
}

void bw_must(enum bw_code code, const struct bw_error *err, const char *what)
{
    if (code == BW_OK)
        return;
    fail_msg("%s: %s: %s (%s)", what, bw_code_name(code), err->show, err->log);
}

void bw_fixture_init(struct bw_fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->random.state = seed;
    bw_pg_cluster_database(&bw_cluster, fixture->conninfo);
    MUST(bw_store_db_open(fixture->conninfo, &fixture->db, err));
    MUST(bw_store_migrate(fixture->db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, err));
    MUST(bw_store_cell_init(fixture->db, "eu", err));
    fixture->tenant = bw_fixture_tenant(fixture, "chu-lyon");
    fixture->replica.id = bw_random_id(&fixture->random);
    MUST(bw_store_replica_register(fixture->db, &fixture->replica.id, "localhost:1", 3600000,
                                   &fixture->replica.epoch, err));
}

void bw_fixture_finish(struct bw_fixture *fixture)
{
    bw_store_db_close(fixture->db);
}

struct bw_id bw_fixture_tenant(struct bw_fixture *fixture, const char *name)
{
    struct bw_id id = bw_random_id(&fixture->random), request = bw_random_id(&fixture->random);
    MUST(bw_store_tenant_create(fixture->db, &id, name, "eu", &request, err));
    return id;
}

uint32_t bw_fixture_publish(struct bw_fixture *fixture, const struct bw_id *tenant)
{
    struct bw_store_publish what = {.tenant = *tenant,
                                    .request = bw_random_id(&fixture->random),
                                    .yaml = bw_view_str("apiVersion: bailiwick/v1\n"),
                                    .author = "spiffe://eu.bailiwick.internal/admin/a",
                                    .note = ""};
    struct bw_store_published published;
    MUST(bw_store_policy_publish(fixture->db, &what, &published, err));
    return published.revision;
}

uint32_t bw_fixture_relay(struct bw_fixture *fixture, const char *name, uint32_t capacity)
{
    char spiffe_id[128];
    snprintf(spiffe_id, sizeof spiffe_id, "spiffe://eu.bailiwick.internal/relay/%s", name);
    struct bw_store_enroll what = {.name = name,
                                   .spiffe_id = spiffe_id,
                                   .facts = bw_view_str("facts"),
                                   .capacity = capacity,
                                   .request = bw_random_id(&fixture->random)};
    uint32_t number;
    uint64_t revision;
    MUST(bw_store_relay_enroll(fixture->db, &what, &number, &revision, err));
    return number;
}

uint64_t bw_fixture_facts(struct bw_fixture *fixture)
{
    struct bw_store_heads heads;
    MUST(bw_store_heads_read(fixture->db, &heads, err));
    return heads.facts_revision;
}

long long bw_fixture_number(const struct bw_fixture *fixture, const char *sql)
{
    return atoll(bw_pg_cluster_sql(fixture->conninfo, sql));
}

void bw_bench_init(struct bw_bench *bench, const struct bw_store_writer_config *config)
{
    memset(bench, 0, sizeof *bench);
    struct bw_error error = {0};
    bench->loop = bw_loop_create(&error);
    assert_non_null(bench->loop);
    MUST(bw_store_writer_create(bench->loop, config, &bench->writer, err));
}

static void on_closed(void *context)
{
    ((struct bw_bench *)context)->closed = true;
}

void bw_bench_finish(struct bw_bench *bench, uint64_t wait_ms)
{
    bw_store_writer_close(bench->writer, wait_ms, on_closed, bench);
    while (!bench->closed)
        bw_loop_turn(bench->loop, true);
    bw_loop_destroy(bench->loop);
}

void bw_waited_done(void *context, const struct bw_store_result *result)
{
    struct bw_waited *waited = context;
    waited->result = *result;
    waited->calls++;
}

void bw_bench_submit(struct bw_bench *bench, const struct bw_store_row *row, struct bw_waited *waited)
{
    *waited = (struct bw_waited){0};
    MUST(bw_store_writer_submit(bench->writer, row, bw_waited_done, waited, err));
}

void bw_bench_wait(struct bw_bench *bench, const struct bw_waited *waited)
{
    uint64_t until = bw_clock_mono_ms() + 20000;
    while (waited->calls == 0 && bw_clock_mono_ms() < until)
        bw_loop_turn(bench->loop, true);
    assert_int_equal(waited->calls, 1);
}

struct bw_store_writer_config bw_fixture_config(const struct bw_fixture *fixture)
{
    return (struct bw_store_writer_config){.conninfo = fixture->conninfo,
                                           .replica = fixture->replica.id,
                                           .replica_epoch = fixture->replica.epoch};
}

struct bw_store_row bw_fixture_row(struct bw_fixture *fixture, const struct bw_id *meeting, uint32_t seq,
                                   uint64_t facts_revision)
{
    static const uint32_t relays[] = {1, 2};
    return (struct bw_store_row){.meeting = *meeting,
                                 .tenant = fixture->tenant,
                                 .request = bw_random_id(&fixture->random),
                                 .seq = seq,
                                 .kind = 1,
                                 .policy_revision = 0,
                                 .facts_revision = facts_revision,
                                 .relays = relays,
                                 .relay_count = 2,
                                 .record = bw_view_str("record")};
}
