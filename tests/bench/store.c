/* Durable decisions a second through the group writer, on a PostgreSQL of its own with fsync on, against what
 * PostgreSQL does with the same rows otherwise: pgbench inserting one row a transaction, and the plainest
 * batch (500 rows by unnest, two connections, no checks, no group number, no index row). Figure and anchors
 * are measured in turns; the median of the rounds counts. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "pg_cluster.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/random.h"
#include "runtime/thread.h"
#include "store/migrate.h"
#include "store/params.h"
#include "store/replicas.h"
#include "store/tenants.h"
#include "store/writer.h"

enum { ROUNDS = 3, ROUND_S = 3, RECORD_BYTES = 200, RELAYS = 200, BATCH = 500, WINDOW_MAX = 1000 };

struct bench {
    struct bw_pg_cluster cluster;
    char conninfo[512];
    struct bw_store_db *db;
    struct bw_id tenant;
    struct bw_store_replica_key replica;
    uint64_t facts;
    uint8_t record[RECORD_BYTES];
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

/* ---- the anchors ------------------------------------------------------------------------------------- */

static double pgbench(struct bench *bench, int clients)
{
    char command[2048], line[256], script[] = "/tmp/bw-bench-XXXXXX";
    int fd = mkstemp(script);
    BW_CHECK(fd >= 0);
    /* Ids that rise, as ours do; the same columns and sizes. */
    dprintf(
        fd,
        "INSERT INTO bailiwick.single (facts_revision, meeting, tenant, request, seq, policy_revision, kind,"
        " relays, record) SELECT 1, u, u, u, 0, 0, 1, '{3,4}', repeat('x', %d)::bytea FROM (SELECT"
        " ('01900000-0000-7000-8000-' || lpad(to_hex(nextval('bailiwick.ids')), 12, '0'))::uuid AS u) x;\n",
        RECORD_BYTES);
    close(fd);
    snprintf(command, sizeof command, "pgbench -n -c %d -j 2 -M prepared -T %d -f %s \"%s\" 2>&1", clients,
             ROUND_S, script, bench->conninfo);
    FILE *output = popen(command, "r");
    BW_CHECK(output != NULL);
    double tps = 0;
    while (fgets(line, sizeof line, output) != NULL)
        (void)sscanf(line, "tps = %lf", &tps);
    pclose(output);
    unlink(script);
    if (tps <= 0) {
        fprintf(stderr, "pgbench did not run: %s\n", command);
        exit(1);
    }
    return tps;
}

struct batcher {
    const struct bench *bench;
    uint64_t rows;
};

static void encode_batch(const struct bench *bench, struct bw_pg_params *params)
{
    struct bw_id meetings[BATCH];
    for (int i = 0; i < BATCH; i++)
        meetings[i] = new_meeting();
    bw_pg_params_clear(params);
    bw_pg_uuid_array(params, meetings, BATCH);
    bw_pg_array_begin(params, BW_PG_BYTEA, BATCH);
    for (int i = 0; i < BATCH; i++)
        bw_pg_array_bytes(params, bw_view_of(bench->record, sizeof bench->record));
    bw_pg_array_end(params);
}

static void batcher_run(void *context)
{
    struct batcher *batcher = context;
    PGconn *connection = PQconnectdb(batcher->bench->conninfo);
    BW_CHECK(PQstatus(connection) == CONNECTION_OK);
    const unsigned int types[] = {BW_PG_UUID_ARRAY, BW_PG_BYTEA_ARRAY};
    PQclear(PQprepare(
        connection, "batch",
        "INSERT INTO bailiwick.batched (facts_revision, meeting, tenant, request, seq, policy_revision,"
        " kind, relays, record) SELECT 1, m, m, m, 0, 0, 1, '{3,4}', r FROM unnest($1, $2) AS b (m, r)",
        2, types));
    struct bw_pg_params params = {0};
    uint64_t end = bw_clock_mono_ms() + ROUND_S * 1000;
    while (bw_clock_mono_ms() < end) {
        const char *values[BW_PG_PARAMS_MAX];
        encode_batch(batcher->bench, &params);
        BW_CHECK(bw_pg_params_values(&params, values));
        PGresult *result = PQexecPrepared(connection, "batch", 2, values, params.lengths, params.formats, 1);
        BW_CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
        PQclear(result);
        batcher->rows += BATCH;
    }
    bw_pg_params_finish(&params);
    PQfinish(connection);
}

static double plain_batches(struct bench *bench)
{
    struct batcher batchers[2] = {{.bench = bench}, {.bench = bench}};
    struct bw_thread *threads[2];
    uint64_t start = bw_clock_mono_ns();
    for (int i = 0; i < 2; i++) {
        threads[i] = bw_thread_start(batcher_run, &batchers[i], "batch", NULL);
        BW_CHECK(threads[i] != NULL);
    }
    for (int i = 0; i < 2; i++)
        bw_thread_join(threads[i]);
    return (double)(batchers[0].rows + batchers[1].rows) / ((double)(bw_clock_mono_ns() - start) * 1e-9);
}

/* ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static void print(const char *name, double value, const char *unit, const char *better, const char *anchor,
                  double anchor_value)
{
    printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"better\": \"%s\", \"anchor\": \"%s\","
           " \"anchor_value\": %.3f, \"ratio\": %.2f}\n",
           name, value, unit, better, anchor, anchor_value, value / anchor_value);
    fflush(stdout);
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
    (void)bw_pg_cluster_sql(bench->conninfo, "CREATE TABLE single (LIKE decision INCLUDING ALL);"
                                             "CREATE TABLE batched (LIKE decision INCLUDING ALL);"
                                             "CREATE SEQUENCE ids");
    for (size_t i = 0; i < RECORD_BYTES; i += 8) {
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
        single[i] = pgbench(&bench, 64);
        batched[i] = plain_batches(&bench);
        writer[i] = through_the_writer(&bench, WINDOW_MAX, &mean[i]);
        single_few[i] = pgbench(&bench, 8);
        writer_few[i] = through_the_writer(&bench, 8, &mean_few[i]);
    }
    double few = median(single_few);
    print("store_rows", median(writer), "rows/s", "higher", "pgbench, one row a transaction, 64 clients",
          median(single));
    print("store_rows_batched", median(writer), "rows/s", "higher",
          "plain unnest insert, 500 rows, 2 connections", median(batched));
    print("store_rows_8_waiting", median(writer_few), "rows/s", "higher",
          "pgbench, one row a transaction, 8 clients", few);
    print("store_latency_8_waiting", median(mean_few), "ms", "lower",
          "pgbench, one row a transaction, 8 clients", 8000.0 / few);
    bw_store_db_close(bench.db);
    bw_pg_cluster_remove(&bench.cluster);
    return 0;
}
