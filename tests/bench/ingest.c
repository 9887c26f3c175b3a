/* Samples of quality a second, from windows as relays report them to rows in a PostgreSQL of its own:
 * accumulated, judged, and each stream's open chunk sealed and written anew every ten seconds. Against COPY
 * of the very same sealed blobs into a table of the same shape, on one connection, in the same run. And how
 * much a sample takes where it lies, against plain rows of the same values. A sample is one value of one
 * field in one window. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/check.h"
#include "ingest_rig.h"
#include "pg_cluster.h"
#include "report.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "server/ingest_job.h"
#include "store/migrate.h"
#include "traces.h"

enum { ROUNDS = 3, MEETINGS = 100, SLOTS = 50, WINDOWS = 30, FIELDS = 5, BATCH = 256 };

/* A blob that was written, for COPY to write again. */
struct blob {
    struct bw_store_chunk row;
    uint8_t *record;
};

struct bench {
    struct bw_pg_cluster cluster;
    char conninfo[512];
    struct bw_store_db *db;
    struct bw_quality_window *windows; /* [meeting][slot][window] */
    struct ingest_rig *rig;
    struct blob *blobs;
    size_t blob_count, blob_room;

    pthread_mutex_t lock;
    pthread_cond_t more;
    struct bw_ingest_write *queue[RIG_WRITES], *done[RIG_WRITES];
    size_t queued, finished, under_way;
    bool ending;
};

static void must(enum bw_code code, const struct bw_error *error)
{
    if (code == BW_OK)
        return;
    fprintf(stderr, "%s: %s (%s)\n", bw_code_name(code), error->show, error->log);
    exit(1);
}

static double cpu_s(void)
{
    struct rusage usage;
    BW_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* ---- the writer: what the desk does in the daemon ---- */

static void keep_blobs(struct bench *bench, const struct bw_ingest_write *write)
{
    for (size_t i = 0; i < write->chunk_count; i++) {
        if (bench->blob_count == bench->blob_room) {
            bench->blob_room = bench->blob_room > 0 ? bench->blob_room * 2 : 1024;
            bench->blobs = bw_realloc(bench->blobs, bench->blob_room * sizeof *bench->blobs);
            BW_CHECK(bench->blobs != NULL);
        }
        struct blob *blob = &bench->blobs[bench->blob_count++];
        blob->row = write->chunks[i];
        blob->record = bw_malloc(blob->row.record.len);
        BW_CHECK(blob->record != NULL);
        memcpy(blob->record, blob->row.record.data, blob->row.record.len);
        blob->row.record.data = blob->record;
    }
}

static void *writer(void *context)
{
    struct bench *bench = context;
    struct bw_store_db *db = NULL;
    struct bw_error error;
    must(bw_store_db_open(bench->conninfo, &db, &error), &error);
    pthread_mutex_lock(&bench->lock);
    while (!bench->ending) {
        if (bench->queued == 0) {
            pthread_cond_wait(&bench->more, &bench->lock);
            continue;
        }
        struct bw_ingest_write *write = bench->queue[0];
        memmove(bench->queue, bench->queue + 1, --bench->queued * sizeof(void *));
        pthread_mutex_unlock(&bench->lock);
        must(bw_ingest_write_rows(db, write, &error), &error);
        pthread_mutex_lock(&bench->lock);
        bench->done[bench->finished++] = write;
        pthread_cond_broadcast(&bench->more);
    }
    pthread_mutex_unlock(&bench->lock);
    bw_store_db_close(db);
    return NULL;
}

static void take_write(void *context, struct bw_ingest_write *write)
{
    struct bench *bench = context;
    pthread_mutex_lock(&bench->lock);
    bench->queue[bench->queued++] = write;
    bench->under_way++;
    pthread_cond_broadcast(&bench->more);
    pthread_mutex_unlock(&bench->lock);
}

/* Answers what has been written; waits for something when `wait`. */
static void collect(struct bench *bench, bool wait)
{
    struct bw_ingest_write *done[RIG_WRITES];
    pthread_mutex_lock(&bench->lock);
    while (wait && bench->finished == 0)
        pthread_cond_wait(&bench->more, &bench->lock);
    size_t count = bench->finished;
    memcpy(done, bench->done, count * sizeof done[0]);
    bench->finished = 0;
    bench->under_way -= count;
    pthread_mutex_unlock(&bench->lock);
    for (size_t i = 0; i < count; i++) {
        keep_blobs(bench, done[i]);
        bw_ingest_core_written(bench->rig->core, done[i], true, bench->rig->now_ms);
    }
}

static void settle(struct bench *bench)
{
    while (bench->under_way > 0)
        collect(bench, true);
}

/* ---- the load ---- */

static void make_windows(struct bench *bench)
{
    bench->windows = bw_calloc((size_t)MEETINGS * SLOTS * WINDOWS, sizeof *bench->windows);
    BW_CHECK(bench->windows != NULL);
    for (uint32_t stream = 0; stream < MEETINGS * SLOTS; stream++) {
        struct trace trace =
            trace_of(stream + 1, BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, (int64_t)RIG_START_MS);
        for (size_t i = 0; i < WINDOWS; i++)
            bench->windows[(size_t)stream * WINDOWS + i] = trace_next(&trace);
    }
}

static void give(struct bench *bench, size_t window)
{
    struct bw_api_quality *batch = NULL;
    BW_CHECK(bench->windows != NULL);
    for (uint32_t stream = 0; stream < MEETINGS * SLOTS; stream++) {
        if (batch == NULL) {
            batch = bw_api_quality_create(BATCH);
            BW_CHECK(batch != NULL);
            batch->source = BW_QUALITY_FROM_RELAY;
            batch->relay = 1;
        }
        batch->windows[batch->count++] =
            (struct bw_api_window){.meeting = ingest_rig_meeting(stream / SLOTS),
                                   .slot = stream % SLOTS + 1,
                                   .window = bench->windows[(size_t)stream * WINDOWS + window]};
        if (batch->count == BATCH || stream + 1 == MEETINGS * SLOTS) {
            bw_ingest_core_take(bench->rig->core, batch, bench->rig->now_ms);
            batch = NULL;
        }
    }
    if (bench->rig->ask_count > 0)
        ingest_rig_answer(bench->rig, SLOTS, false);
}

struct rates {
    double wall, core; /* samples a second, and a second of this process's processors */
};

static struct rates through_the_ingest(struct bench *bench)
{
    struct bw_ingest_config config = bw_ingest_config_default();
    config.seals = true;
    (void)bw_pg_cluster_sql(bench->conninfo, "TRUNCATE bailiwick.quality_chunk, bailiwick.quality_sketch,"
                                             " bailiwick.meeting_quality, keystore.meeting_key");
    for (size_t i = 0; i < bench->blob_count; i++)
        bw_free(bench->blobs[i].record);
    bench->blob_count = 0;
    bench->rig = ingest_rig_create(&config);
    bench->rig->write = take_write;
    bench->rig->write_context = bench;
    ingest_rig_give_key(bench->rig);
    double start_cpu = cpu_s();
    uint64_t start_ns = bw_clock_mono_ns();
    for (size_t window = 0; window < WINDOWS; window++) {
        give(bench, window);
        /* Ten seconds of the meetings' time; nothing of one window may fall behind the next. */
        for (unsigned tick = 0; tick < RIG_WINDOW_MS / BW_INGEST_TICK_MS; tick++) {
            bench->rig->now_ms += BW_INGEST_TICK_MS;
            bw_ingest_core_tick(bench->rig->core, bench->rig->now_ms);
            collect(bench, false);
        }
        settle(bench);
    }
    double seconds = (double)(bw_clock_mono_ns() - start_ns) * 1e-9, cpu = cpu_s() - start_cpu;
    BW_CHECK(bench->rig->taken == (uint64_t)MEETINGS * SLOTS * WINDOWS);
    BW_CHECK(bw_ingest_core_counts(bench->rig->core).rows_dropped == 0);
    double samples = (double)MEETINGS * SLOTS * WINDOWS * FIELDS;
    ingest_rig_destroy(bench->rig);
    return (struct rates){.wall = samples / seconds, .core = samples / cpu};
}

/* ---- the anchors ---- */

static void put(PGconn *connection, const struct bw_buf *bytes)
{
    BW_CHECK(PQputCopyData(connection, (const char *)bytes->data, (int)bytes->len) == 1);
}

static void put_field(struct bw_buf *out, const void *bytes, size_t len)
{
    bw_buf_append_u32(out, (uint32_t)len);
    bw_buf_append(out, bytes, len);
}

/* The same blobs, each with a key of its own, since versions of a chunk share theirs. Samples a second. */
static double by_copy(struct bench *bench)
{
    (void)bw_pg_cluster_sql(bench->conninfo,
                            "DROP TABLE IF EXISTS bailiwick.copied;"
                            "CREATE TABLE bailiwick.copied (LIKE bailiwick.quality_chunk INCLUDING ALL)");
    PGconn *connection = PQconnectdb(bench->conninfo);
    BW_CHECK(PQstatus(connection) == CONNECTION_OK);
    uint64_t start_ns = bw_clock_mono_ns();
    struct bw_buf out = {0};
    static const uint8_t head[19] = "PGCOPY\n\377\r\n";
    for (size_t i = 0; i < bench->blob_count;) {
        PQclear(PQexec(connection, "COPY bailiwick.copied FROM STDIN (FORMAT binary)"));
        bw_buf_clear(&out);
        bw_buf_append(&out, head, sizeof head);
        for (size_t end = i + 1000; i < end && i < bench->blob_count; i++) {
            const struct bw_store_chunk *row = &bench->blobs[i].row;
            bw_buf_append_u16(&out, 10);
            put_field(&out, row->id.bytes, 16);
            put_field(&out, row->tenant.bytes, 16);
            put_field(&out, row->meeting.bytes, 16);
            bw_buf_append_u32(&out, 4);
            bw_buf_append_u32(&out, row->slot);
            bw_buf_append_u32(&out, 2);
            bw_buf_append_u16(&out, row->source);
            put_field(&out, row->stream.bytes, 16);
            bw_buf_append_u32(&out, 8);
            bw_buf_append_u64(&out, i);
            bw_buf_append_u32(&out, 8);
            bw_buf_append_u64(&out, row->from_ms);
            bw_buf_append_u32(&out, 8);
            bw_buf_append_u64(&out, row->to_ms);
            put_field(&out, row->record.data, row->record.len);
        }
        bw_buf_append_u16(&out, 0xffff);
        put(connection, &out);
        BW_CHECK(PQputCopyEnd(connection, NULL) == 1);
        PGresult *result;
        while ((result = PQgetResult(connection)) != NULL) {
            BW_CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
            PQclear(result);
        }
    }
    double seconds = (double)(bw_clock_mono_ns() - start_ns) * 1e-9;
    bw_buf_finish(&out);
    PQfinish(connection);
    return (double)MEETINGS * SLOTS * WINDOWS * FIELDS / seconds;
}

/* Bytes a sample takes with its index, as chunks that are complete and as plain rows: a row a window, a
 * column a field. */
static void measure_sizes(struct bench *bench, double *sealed, double *plain)
{
    (void)bw_pg_cluster_sql(
        bench->conninfo, "CREATE TABLE bailiwick.complete (LIKE bailiwick.quality_chunk INCLUDING ALL);"
                         "INSERT INTO bailiwick.complete SELECT * FROM bailiwick.quality_chunk;"
                         "CREATE TABLE bailiwick.plain (meeting uuid, slot int, source smallint, stream uuid,"
                         " at timestamptz, packets_received bigint, packets_lost bigint, jitter_us bigint,"
                         " round_trip_time_us bigint, bytes_received bigint,"
                         " PRIMARY KEY (meeting, slot, stream, at));"
                         "INSERT INTO bailiwick.plain SELECT c.meeting, c.slot, c.source, c.stream,"
                         " timestamptz 'epoch' + (c.from_ms + w * 10000) * interval '1 ms',"
                         " (random() * 500)::int, (random() * 5)::int, (random() * 10000)::int,"
                         " (random() * 100000)::int, (random() * 60000)::int"
                         " FROM bailiwick.quality_chunk c, generate_series(0, 29) AS w");
    double samples = (double)MEETINGS * SLOTS * WINDOWS * FIELDS;
    *sealed =
        atof(bw_pg_cluster_sql(bench->conninfo, "SELECT pg_total_relation_size('bailiwick.complete')")) /
        samples;
    *plain = atof(bw_pg_cluster_sql(bench->conninfo, "SELECT pg_total_relation_size('bailiwick.plain')")) /
             samples;
}

int main(void)
{
    static struct bench bench = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    double wall[ROUNDS], core[ROUNDS], copied[ROUNDS], sealed, plain;
    struct bw_error error;
    pthread_t thread;
    bw_log_configure(BW_LOG_ERROR, false);
    bw_pg_cluster_start(&bench.cluster);
    bw_pg_cluster_database(&bench.cluster, bench.conninfo);
    must(bw_store_db_open(bench.conninfo, &bench.db, &error), &error);
    must(bw_store_migrate(bench.db, BW_SOURCE_DIR "/schema", NULL, NULL, NULL, &error), &error);
    make_windows(&bench);
    BW_CHECK(pthread_create(&thread, NULL, writer, &bench) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct rates rates = through_the_ingest(&bench);
        wall[i] = rates.wall;
        core[i] = rates.core;
        copied[i] = by_copy(&bench);
    }
    measure_sizes(&bench, &sealed, &plain);
    double copy = bench_median(copied, ROUNDS);
    bench_print("ingest_samples", bench_median(wall, ROUNDS), "samples/s", "higher",
                "COPY of the same sealed blobs", copy);
    bench_print("ingest_samples_core", bench_median(core, ROUNDS), "samples/s of CPU", "higher",
                "COPY of the same sealed blobs", copy);
    bench_print("quality_bytes_sample", sealed, "bytes", "lower", "plain rows, a column a field", plain);
    pthread_mutex_lock(&bench.lock);
    bench.ending = true;
    pthread_cond_broadcast(&bench.more);
    pthread_mutex_unlock(&bench.lock);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < bench.blob_count; i++)
        bw_free(bench.blobs[i].record);
    bw_free(bench.blobs);
    bw_free(bench.windows);
    bw_store_db_close(bench.db);
    bw_pg_cluster_remove(&bench.cluster);
    return 0;
}
