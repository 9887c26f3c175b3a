/* A private PostgreSQL for one test program (tests/support/private-postgres), or a database of one's own in
 * the cluster that BW_TEST_CONNINFO names. Every function fails the program when PostgreSQL does not obey.
 * Needs libpq; add support/pg_cluster.c to the program's sources. Threads: one. */
#ifndef BW_TESTS_PG_CLUSTER_H
#define BW_TESTS_PG_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>

struct bw_pg_cluster {
    bool own; /* started here: may be stopped and killed */
    char directory[256];
    char conninfo[512]; /* to its database postgres */
};

void bw_pg_cluster_start(struct bw_pg_cluster *cluster);
/* Removes what it started. */
void bw_pg_cluster_remove(struct bw_pg_cluster *cluster);

/* A new, empty database; conninfo has room for 512 bytes. */
void bw_pg_cluster_database(struct bw_pg_cluster *cluster, char *conninfo);

/* A clean stop; SIGKILL to every process of the cluster; start it again, which recovers. Only when own. */
void bw_pg_cluster_stop(struct bw_pg_cluster *cluster);
void bw_pg_cluster_kill(struct bw_pg_cluster *cluster);
void bw_pg_cluster_restart(struct bw_pg_cluster *cluster);

/* Runs SQL and returns the first value of the first row ("" for none), until the next call; of many
 * statements the last one's. */
const char *bw_pg_cluster_sql(const char *conninfo, const char *sql);

#endif
