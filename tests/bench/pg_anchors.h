/* What PostgreSQL does with rows like ours when nothing of ours is in the way: the anchors of every benchmark
 * that commits decisions. Both insert into tables shaped like `decision`, with ids that rise as ours do. */
#ifndef BW_BENCH_PG_ANCHORS_H
#define BW_BENCH_PG_ANCHORS_H

enum { BENCH_RECORD_BYTES = 200, BENCH_BATCH_ROWS = 500 };

/* Once, in a database with our schema. */
void bench_anchors_prepare(const char *conninfo);
/* Transactions a second of pgbench, one row each. */
double bench_pgbench_rows(const char *conninfo, int clients, int seconds);
/* Rows a second of the plainest batch: `unnest` of 500 rows, two connections; no checks, no group number. */
double bench_unnest_rows(const char *conninfo, int seconds);

#endif
