#include "pg_anchors.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "pg_cluster.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/thread.h"
#include "store/params.h"

void bench_anchors_prepare(const char *conninfo)
{
    (void)bw_pg_cluster_sql(conninfo, "CREATE TABLE single (LIKE decision INCLUDING ALL);"
                                      "CREATE TABLE batched (LIKE decision INCLUDING ALL);"
                                      "CREATE SEQUENCE ids");
}

double bench_pgbench_rows(const char *conninfo, int clients, int seconds)
{
    char command[2048], line[256], script[] = "/tmp/bw-bench-XXXXXX";
    int fd = mkstemp(script);
    BW_CHECK(fd >= 0);
    dprintf(
        fd,
        "INSERT INTO bailiwick.single (facts_revision, meeting, tenant, request, seq, policy_revision, kind,"
        " relays, record) SELECT 1, u, u, u, 0, 0, 1, '{3,4}', repeat('x', %d)::bytea FROM (SELECT"
        " ('01900000-0000-7000-8000-' || lpad(to_hex(nextval('bailiwick.ids')), 12, '0'))::uuid AS u) x;\n",
        BENCH_RECORD_BYTES);
    close(fd);
    snprintf(command, sizeof command, "pgbench -n -c %d -j 2 -M prepared -T %d -f %s \"%s\" 2>&1", clients,
             seconds, script, conninfo);
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
    const char *conninfo;
    uint8_t record[BENCH_RECORD_BYTES];
    uint64_t end_ms, rows;
};

static void encode_batch(const struct batcher *batcher, struct bw_pg_params *params)
{
    struct bw_id meetings[BENCH_BATCH_ROWS];
    for (int i = 0; i < BENCH_BATCH_ROWS; i++) {
        uint64_t words[2] = {bw_random_u64(), bw_random_u64()};
        uint8_t random[10];
        memcpy(random, words, sizeof random);
        meetings[i] = bw_id_v7(bw_clock_wall_ms(), random);
    }
    bw_pg_params_clear(params);
    bw_pg_uuid_array(params, meetings, BENCH_BATCH_ROWS);
    bw_pg_array_begin(params, BW_PG_BYTEA, BENCH_BATCH_ROWS);
    for (int i = 0; i < BENCH_BATCH_ROWS; i++)
        bw_pg_array_bytes(params, bw_view_of(batcher->record, sizeof batcher->record));
    bw_pg_array_end(params);
}

static void batcher_run(void *context)
{
    struct batcher *batcher = context;
    PGconn *connection = PQconnectdb(batcher->conninfo);
    BW_CHECK(PQstatus(connection) == CONNECTION_OK);
    const unsigned int types[] = {BW_PG_UUID_ARRAY, BW_PG_BYTEA_ARRAY};
    PQclear(PQprepare(
        connection, "batch",
        "INSERT INTO bailiwick.batched (facts_revision, meeting, tenant, request, seq, policy_revision,"
        " kind, relays, record) SELECT 1, m, m, m, 0, 0, 1, '{3,4}', r FROM unnest($1, $2) AS b (m, r)",
        2, types));
    struct bw_pg_params params = {0};
    while (bw_clock_mono_ms() < batcher->end_ms) {
        const char *values[BW_PG_PARAMS_MAX];
        encode_batch(batcher, &params);
        BW_CHECK(bw_pg_params_values(&params, values));
        PGresult *result = PQexecPrepared(connection, "batch", 2, values, params.lengths, params.formats, 1);
        BW_CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
        PQclear(result);
        batcher->rows += BENCH_BATCH_ROWS;
    }
    bw_pg_params_finish(&params);
    PQfinish(connection);
}

double bench_unnest_rows(const char *conninfo, int seconds)
{
    struct batcher batchers[2];
    struct bw_thread *threads[2];
    uint64_t start = bw_clock_mono_ns();
    for (int i = 0; i < 2; i++) {
        batchers[i] =
            (struct batcher){.conninfo = conninfo, .end_ms = bw_clock_mono_ms() + (uint64_t)seconds * 1000};
        bw_random_bytes(batchers[i].record, sizeof batchers[i].record);
        threads[i] = bw_thread_start(batcher_run, &batchers[i], "batch", NULL);
        BW_CHECK(threads[i] != NULL);
    }
    for (int i = 0; i < 2; i++)
        bw_thread_join(threads[i]);
    return (double)(batchers[0].rows + batchers[1].rows) / ((double)(bw_clock_mono_ns() - start) * 1e-9);
}
