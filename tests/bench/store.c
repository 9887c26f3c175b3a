/* Durable decisions a second through the group writer, on a PostgreSQL of its own with fsync on, against what
 * PostgreSQL does with the same rows otherwise: pgbench inserting one row a transaction, and the plainest
 * batch (500 rows by unnest, two connections, no checks, no group number, no index row). Figure and anchors
 * are measured in turns; the median of the rounds counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "pg_anchors.h"
#include "pg_cluster.h"
#include "report.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/random.h"
#include "store/migrate.h"
#include "store/replicas.h"
#include "store/tenants.h"
#include "store/writer.h"

enum { ROUNDS = 3, ROUND_S = 3, RELAYS = 200, WINDOW_MAX = 1000 };

struct bench {
    struct bw_pg_cluster cluster;
    char conninfo[512];
    struct bw_store_db *db;
    struct bw_id tenant;
    struct bw_store_replica_key replica;
    uint64_t facts;
    uint8_t record[BENCH_RECORD_BYTES];
    uint32_t next_writer;
};

static struct bw_id new_meeting(void)
{
    uint8_t random[10];
    uint64_t words[2] = {bw_random_u64(), bw_random_u64()};
    memcpy(random, words, sizeof random);
    return bw_id_v7(bw_clock_wall_ms(), random);
}

static void must(enum bw_code code, const struct bw_error *error)
{
    if (code == BW_OK)
        return;
    fprintf(stderr, "%s: %s (%s)\n", bw_code_name(code), error->show, error->log);
    exit(1);
}

/* ---- the figure: a worker's loop with its writer ----------------------------------------------------- */

struct load {
    const struct bench *bench;
    struct bw_loop *loop;
    struct bw_store_writer *writer;
    uint64_t end_ms, committed, waited_ns;
    unsigned int outstanding;
    bool closed;
};

struct slot {
    struct load *load;
    uint64_t started_ns;
    uint32_t number;
};

static void submit(struct slot *slot);

static void on_done(void *context, const struct bw_store_result *result)
{
    struct slot *slot = context;
    struct load *load = slot->load;
    BW_CHECK(result->outcome == BW_STORE_COMMITTED);
    load->committed++;
    load->waited_ns += bw_clock_mono_ns() - slot->started_ns;
    load->outstanding--;
    if (bw_loop_now_ms(load->loop) < load->end_ms)
        submit(slot);
}

static void submit(struct slot *slot)
{
    struct load *load = slot->load;
    const struct bench *bench = load->bench;
    uint32_t relays[2] = {slot->number % RELAYS + 1, (slot->number * 7 + 3) % RELAYS + 1};
    struct bw_store_row row = {.meeting = new_meeting(),
                               .tenant = bench->tenant,
                               .kind = 1,
                               .facts_revision = bench->facts,
                               .relays = relays,
                               .relay_count = 2,
                               .record = bw_view_of(bench->record, sizeof bench->record)};
    row.request = row.meeting;
    slot->number += 13;
    slot->started_ns = bw_clock_mono_ns();
    struct bw_error error;
    must(bw_store_writer_submit(load->writer, &row, on_done, slot, &error), &error);
    load->outstanding++;
}

static void on_closed(void *context)
{
    ((struct load *)context)->closed = true;
}

/* Rows a second with so many outstanding; *mean_ms is the time from submission to the callback. */
static double through_the_writer(struct bench *bench, unsigned int window, double *mean_ms)
{
    static struct slot slots[WINDOW_MAX];
    struct load load = {.bench = bench};
    struct bw_error error;
    load.loop = bw_loop_create(&error);
    BW_CHECK(load.loop != NULL);
    struct bw_store_writer_config config = {.conninfo = bench->conninfo,
                                            .replica = bench->replica.id,
                                            .replica_epoch = bench->replica.epoch,
                                            .first_writer = bench->next_writer};
    bench->next_writer += 2;
    must(bw_store_writer_create(load.loop, &config, &load.writer, &error), &error);
    struct bw_store_writer_stats stats;
    do {
        bw_loop_turn(load.loop, true);
        bw_store_writer_stats_read(load.writer, &stats);
    } while (stats.lanes_connected < 2);
    uint64_t start_ns = bw_clock_mono_ns();
    load.end_ms = bw_clock_mono_ms() + ROUND_S * 1000;
    for (unsigned int i = 0; i < window; i++) {
        slots[i] = (struct slot){.load = &load, .number = i};
        submit(&slots[i]);
    }
    while (load.outstanding > 0)
        bw_loop_turn(load.loop, true);
    double seconds = (double)(bw_clock_mono_ns() - start_ns) * 1e-9;
    bw_store_writer_close(load.writer, 1000, on_closed, &load);
    while (!load.closed)
        bw_loop_turn(load.loop, true);
    bw_loop_destroy(load.loop);
    *mean_ms = (double)load.waited_ns * 1e-6 / (double)load.committed;
    return (double)load.committed / seconds;
}

static void set_up(struct bench *bench)
{
    struct bw_error error;
    bw_log_configure(BW_LOG_ERROR, false);
    bw_pg_cluster_start(&bench->cluster);
    bw_pg_cluster_database(&bench->cluster, bench->conninfo);
    must(bw_store_db_open(bench->conninfo, &bench->db, &error), &error);
    must(bw_store_migrate(bench->db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, &error), &error);
    must(bw_store_cell_init(bench->db, "eu", &error), &error);
    bench->tenant = bench->replica.id = new_meeting();
    struct bw_id request = new_meeting();
    must(bw_store_tenant_create(bench->db, &bench->tenant, "acme", "eu", &request, &error), &error);
    must(bw_store_replica_register(bench->db, &bench->replica.id, "localhost:1", 3600000,
                                   &bench->replica.epoch, &error),
         &error);
    struct bw_store_heads heads;
    must(bw_store_heads_read(bench->db, &heads, &error), &error);
    bench->facts = heads.facts_revision;
    bench_anchors_prepare(bench->conninfo);
    for (size_t i = 0; i < BENCH_RECORD_BYTES; i += 8) {
        uint64_t word = bw_random_u64();
        memcpy(bench->record + i, &word, 8);
    }
}

int main(void)
{
    static struct bench bench;
    double single[ROUNDS], batched[ROUNDS], writer[ROUNDS], mean[ROUNDS];
    double single_few[ROUNDS], writer_few[ROUNDS], mean_few[ROUNDS];
    set_up(&bench);
    for (int i = 0; i < ROUNDS; i++) {
        single[i] = bench_pgbench_rows(bench.conninfo, 64, ROUND_S);
        batched[i] = bench_unnest_rows(bench.conninfo, ROUND_S);
        writer[i] = through_the_writer(&bench, WINDOW_MAX, &mean[i]);
        single_few[i] = bench_pgbench_rows(bench.conninfo, 8, ROUND_S);
        writer_few[i] = through_the_writer(&bench, 8, &mean_few[i]);
    }
    double few = bench_median(single_few, ROUNDS);
    bench_print("store_rows", bench_median(writer, ROUNDS), "rows/s", "higher",
                "pgbench, one row a transaction, 64 clients", bench_median(single, ROUNDS));
    bench_print("store_rows_batched", bench_median(writer, ROUNDS), "rows/s", "higher",
                "plain unnest insert, 500 rows, 2 connections", bench_median(batched, ROUNDS));
    bench_print("store_rows_8_waiting", bench_median(writer_few, ROUNDS), "rows/s", "higher",
                "pgbench, one row a transaction, 8 clients", few);
    bench_print("store_latency_8_waiting", bench_median(mean_few, ROUNDS), "ms", "lower",
                "pgbench, one row a transaction, 8 clients", 8000.0 / few);
    bw_store_db_close(bench.db);
    bw_pg_cluster_remove(&bench.cluster);
    return 0;
}
