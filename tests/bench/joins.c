/* The path that everything is built for: JoinMeeting, through mutual TLS, decided, committed and answered
 * with a signed grant, while fifty relays hold sessions and are told. Beside it what PostgreSQL does alone
 * with as many rows of the same shape. Figure and anchors are measured in turns; the median of the rounds
 * counts.
 *
 * Three loads: joins that say nothing of who joins; the same with an identity, which is sealed before the
 * commit; and small meetings, each created and then joined by five with an identity, which adds to those
 * joins a meeting and the sealing of its key. At the end the database must hold as much as was answered.
 *
 * The daemon has a worker for every second CPU: PostgreSQL, the relays and the generator need the others.
 *
 *   joins [--workers N] [--seconds N]        all figures
 *   joins --profile [KIND] [--rate N] ...    one load alone, without figures: something to look at with perf;
 *                                            KIND: --sealed, --small; --without-vault: nothing is sealed  */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "base/alloc.h"
#include "base/check.h"
#include "cell.h"
#include "join_load.h"
#include "pg_anchors.h"
#include "relay_swarm.h"
#include "report.h"
#include "runtime/thread.h"
#include "wire/wire.h"

enum { ROUNDS = 3, MEETINGS = 10000, SMALL = 5, CONNECTIONS = 20, STREAMS = 100, ANCHOR_S = 3, KEYS_S = 20 };

enum kind { ANONYMOUS, SEALED, SMALL_MEETINGS, KINDS };

struct bench {
    struct bench_cell cell;
    struct bench_swarm *swarm;
    struct bench_joins joins;
    struct bench_small small;
    double seconds;
    uint64_t answered; /* joins */
    double unsealed;   /* of those, from before the vault had made its first keys */
    struct bw_arena *arena;
};

/* One in 64 is read as a caller would. */
static void look_at(struct bench *bench, struct bw_view message)
{
    if (bench->answered++ % 64 != 0)
        return;
    const ProtobufCMessage *reply;
    struct bw_error err;
    bw_arena_reset(bench->arena);
    bench_must(bw_wire_decode(&bailiwick__v1__join_meeting_response__descriptor, message, bench->arena,
                              &reply, &err),
               &err);
    const Bailiwick__V1__JoinMeetingResponse *join = (const Bailiwick__V1__JoinMeetingResponse *)reply;
    BW_CHECK(join->admission != NULL && join->admission->grant.len > 0 && join->admission->slot > 0);
}

static void on_join(void *context, const char *path, struct bw_view message)
{
    (void)path;
    look_at(context, message);
}

static void next_join(void *context, struct bw_buf *out)
{
    bench_join_request(&((struct bench *)context)->joins, out);
}

static void on_small(void *context, const char *path, struct bw_view message)
{
    struct bench *bench = context;
    bench_small_reply(&bench->small, path, message);
    if (path == bench_join_path)
        look_at(bench, message);
}

static void next_small(void *context, struct bw_buf *out)
{
    bench_small_request(&((struct bench *)context)->small, out);
}

struct run {
    struct bench_load load;
    double joins_s;
};

/* rate 0: as many as there can be. */
static struct run run(struct bench *bench, enum kind kind, double rate)
{
    struct run run = {.load = {.path = bench_join_path,
                               .request = kind == SMALL_MEETINGS ? next_small : next_join,
                               .reply = kind == SMALL_MEETINGS ? on_small : on_join,
                               .context = bench,
                               .connections = CONNECTIONS,
                               .streams = STREAMS,
                               .rate = rate,
                               .seconds = bench->seconds}};
    struct bench_load *load = &run.load;
    const uint64_t joined = bench->answered;
    bench->joins.identities = kind != ANONYMOUS;
    bench->small.load = load;
    double cpu = bench_cell_cpu_s(&bench->cell);
    bench_load_run(load, &bench->cell, bench->cell.app);
    cpu = bench_cell_cpu_s(&bench->cell) - cpu;
    if (load->failed > 0)
        fprintf(stderr, "%lu of %lu calls failed\n", (unsigned long)load->failed,
                (unsigned long)(load->done + load->failed));
    const double joins = (double)(bench->answered - joined);
    run.joins_s = joins / load->elapsed_s;
    fprintf(stderr, "%.0f %sjoins/s, %.1f us of the daemon's CPU each\n", run.joins_s,
            kind == ANONYMOUS ? "" : (kind == SEALED ? "sealed " : "sealed, small meetings' "),
            cpu * 1e6 / joins);
    bench_sort(load->latencies_ms, load->done);
    return run;
}

/* For figures that are rates. */
static double join_rate(struct bench *bench, enum kind kind)
{
    struct run done = run(bench, kind, 0);
    bw_free(done.load.latencies_ms);
    return done.joins_s;
}

/* ---- what was sealed ---- */

static double sealed_entries(const struct bench *bench)
{
    return bench_cell_metric(&bench->cell, "bailiwick_metadata_sealed_total");
}

/* Joins each meeting until the vault's keys are there and each has its own, so that what is measured after it
 * is a cell that runs. */
static void warm_up(struct bench *bench)
{
    const double seconds = bench->seconds;
    bench->seconds = 0.5;
    for (unsigned rounds = 0; bench->cell.vault; rounds++) {
        const double before = sealed_entries(bench);
        const uint64_t answered = bench->answered;
        (void)join_rate(bench, SEALED);
        if (sealed_entries(bench) - before >= (double)(bench->answered - answered))
            break;
        BW_CHECK(rounds * bench->seconds < KEYS_S);
    }
    while (bench->joins.next < 2 * (uint64_t)MEETINGS)
        (void)join_rate(bench, SEALED);
    bench->seconds = seconds;
    bench->unsealed = (double)bench->answered - (bench->cell.vault ? sealed_entries(bench) : 0);
}

/* Other meetings for the next load, each with its key: otherwise the last load would be asked about meetings
 * of a hundred people, and the first about empty ones. */
static void fresh_meetings(struct bench *bench)
{
    const double seconds = bench->seconds;
    bench_joins_finish(&bench->joins);
    bench_joins_create_meetings(&bench->joins, &bench->cell, MEETINGS);
    bench->seconds = 0.3;
    while (bench->joins.next < (uint64_t)MEETINGS)
        (void)join_rate(bench, SEALED);
    bench->seconds = seconds;
}

/* ---- from commit to applied ---- */

static int by_slot(const void *a, const void *b)
{
    const struct bench_applied *x = a, *y = b;
    int order = bw_id_compare(&x->meeting, &y->meeting);
    return order != 0 ? order : (x->slot > y->slot) - (x->slot < y->slot);
}

/* PostgreSQL's commit time of each join beside the time its slot was first applied at a relay. */
static size_t delays(struct bench *bench, size_t from, size_t count, double *out)
{
    struct bench_applied *applied = bw_malloc(count * sizeof *applied);
    BW_CHECK(applied != NULL);
    memcpy(applied, bench_swarm_applied(bench->swarm) + from, count * sizeof *applied);
    qsort(applied, count, sizeof *applied, by_slot);
    PGconn *connection = PQconnectdb(bench->cell.conninfo);
    PGresult *rows = PQexecParams(
        connection,
        "SELECT meeting, seq, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint"
        " FROM bailiwick.decision WHERE kind = 2",
        0, NULL, NULL, NULL, NULL, 0);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s", PQerrorMessage(connection));
        exit(1);
    }
    size_t found = 0;
    for (int i = 0; i < PQntuples(rows) && found < count; i++) {
        struct bench_applied key = {.slot = (uint32_t)strtoul(PQgetvalue(rows, i, 1), NULL, 10)};
        BW_CHECK(bw_id_parse(bw_view_str(PQgetvalue(rows, i, 0)), &key.meeting));
        const struct bench_applied *at = bsearch(&key, applied, count, sizeof *applied, by_slot);
        if (at != NULL)
            out[found++] = (double)(at->at_us - strtoll(PQgetvalue(rows, i, 2), NULL, 10)) * 1e-3;
    }
    PQclear(rows);
    PQfinish(connection);
    bw_free(applied);
    bench_sort(out, found);
    return found;
}

/* ---- a round trip that does nothing ---- */

static void health_request(void *context, struct bw_buf *out)
{
    (void)context;
    (void)out; /* the empty message: the server as a whole */
}

static double round_trip_ms(struct bench *bench)
{
    struct bench_load load = {.path = "/grpc.health.v1.Health/Check",
                              .request = health_request,
                              .connections = 1,
                              .streams = 1,
                              .seconds = 1};
    bench_load_run(&load, &bench->cell, bench->cell.app);
    bench_sort(load.latencies_ms, load.done);
    double median = bench_percentile(load.latencies_ms, load.done, 50);
    bw_free(load.latencies_ms);
    return median;
}

/* ---- */

static double rates(struct bench *bench)
{
    static const char row_by_row[] = "pgbench, one row a transaction, 64 clients",
                      plain[] = "plain unnest insert, 500 rows, 2 connections";
    double joins[KINDS][ROUNDS], single[ROUNDS], batched[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        single[i] = bench_pgbench_rows(bench->cell.conninfo, 64, ANCHOR_S);
        /* Each kind has each place in a round once: what the database does later hits whoever comes then. */
        for (int j = 0; j < KINDS; j++) {
            enum kind kind = (enum kind)((i + j) % KINDS);
            fresh_meetings(bench);
            joins[kind][i] = join_rate(bench, kind);
        }
        batched[i] = bench_unnest_rows(bench->cell.conninfo, ANCHOR_S);
    }
    double rate = bench_median(joins[ANONYMOUS], ROUNDS), anchor = bench_median(single, ROUNDS);
    bench_print("join_rate", rate, "joins/s", "higher", row_by_row, anchor);
    bench_print("join_rate_batched", rate, "joins/s", "higher", plain, bench_median(batched, ROUNDS));
    bench_print("join_rate_sealed", bench_median(joins[SEALED], ROUNDS), "joins/s", "higher", row_by_row,
                anchor);
    bench_print("create_join_rate_sealed", bench_median(joins[SMALL_MEETINGS], ROUNDS), "joins/s", "higher",
                row_by_row, anchor);
    return rate;
}

static void at_half_load(struct bench *bench, double rate)
{
    static const char anchor[] = "unary round trip that does nothing, same daemon and credential";
    size_t before = bench_swarm_wait(bench->swarm, bench->answered, 10000);
    double nothing = round_trip_ms(bench);
    struct bench_load load = run(bench, ANONYMOUS, rate / 2).load;
    bench_print("join_p50_half_load", bench_percentile(load.latencies_ms, load.done, 50), "ms", "lower",
                anchor, nothing);
    bench_print("join_p99_half_load", bench_percentile(load.latencies_ms, load.done, 99), "ms", "lower",
                anchor, nothing);
    size_t after = bench_swarm_wait(bench->swarm, before + load.done, 10000);
    if (after < before + load.done)
        fprintf(stderr, "only %zu of %lu slots were applied\n", after - before, (unsigned long)load.done);
    double *delay = load.latencies_ms;
    if (after - before > load.done)
        after = before + load.done;
    size_t count = delays(bench, before, after - before, delay);
    bench_print("fanout_p50", bench_percentile(delay, count, 50), "ms", "lower", anchor, nothing);
    bench_print("fanout_p99", bench_percentile(delay, count, 99), "ms", "lower", anchor, nothing);
    bw_free(load.latencies_ms);
}

static uint64_t count(const struct bench *bench, const char *sql)
{
    return strtoull(bw_pg_cluster_sql(bench->cell.conninfo, sql), NULL, 10);
}

/* Every join that was answered is in the log, every one with an identity was sealed, and every meeting that
 * was joined has a key. */
static void check(const struct bench *bench)
{
    uint64_t rows = count(bench, "SELECT count(*) FROM decision WHERE kind = 2");
    if (rows < bench->answered) {
        fprintf(stderr, "%lu joins were answered, but the log has %lu\n", (unsigned long)bench->answered,
                (unsigned long)rows);
        exit(1);
    }
    if (!bench->cell.vault)
        return;
    double sealed = sealed_entries(bench);
    if (sealed < (double)bench->answered - bench->unsealed) {
        fprintf(stderr, "%lu joins were answered, but only %.0f were sealed\n",
                (unsigned long)bench->answered, sealed);
        exit(1);
    }
    rows = count(bench, "SELECT count(DISTINCT meeting) FROM decision d WHERE kind = 2 AND NOT EXISTS"
                        " (SELECT FROM keystore.meeting_key k WHERE k.meeting = d.meeting)");
    if (rows > 0 || count(bench, "SELECT count(*) FROM roster_record") == 0) {
        fprintf(stderr, "%lu meetings were joined and have no key\n", (unsigned long)rows);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    unsigned workers = bw_thread_cpus() > 1 ? bw_thread_cpus() / 2 : 1;
    bool profile = false;
    enum kind kind = ANONYMOUS;
    enum bench_metadata metadata = BENCH_METADATA_SEALED;
    double rate = 0;
    bench.seconds = 4;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--profile") == 0)
            profile = true;
        else if (strcmp(argv[i], "--sealed") == 0)
            kind = SEALED;
        else if (strcmp(argv[i], "--small") == 0)
            kind = SMALL_MEETINGS;
        else if (strcmp(argv[i], "--without-vault") == 0)
            metadata = BENCH_METADATA_NOT_KEPT;
        else if (strcmp(argv[i], "--workers") == 0 && i + 1 < argc)
            workers = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc)
            rate = atof(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            bench.seconds = atof(argv[++i]);
    }
    bench_cell_start(&bench.cell, workers, metadata);
    bench_anchors_prepare(bench.cell.conninfo);
    bench.arena = bw_arena_create(1 << 20);
    BW_CHECK(bench.arena != NULL);
    bench.swarm = bench_swarm_start(&bench.cell);
    bench_joins_create_meetings(&bench.joins, &bench.cell, MEETINGS);
    bench_small_init(&bench.small, &bench.joins, SMALL);
    warm_up(&bench);
    if (profile) {
        struct bench_load load = run(&bench, kind, rate).load;
        fprintf(stderr, "p50 %.1f ms, p99 %.1f ms\n", bench_percentile(load.latencies_ms, load.done, 50),
                bench_percentile(load.latencies_ms, load.done, 99));
        bw_free(load.latencies_ms);
    } else {
        rate = rates(&bench);
        at_half_load(&bench, rate);
    }
    check(&bench);
    bench_swarm_stop(bench.swarm);
    bench_cell_stop(&bench.cell);
    bench_small_finish(&bench.small);
    bench_joins_finish(&bench.joins);
    bw_arena_destroy(bench.arena);
    return 0;
}
