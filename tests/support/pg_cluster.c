#include "pg_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

static unsigned int databases;

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "pg_cluster: %s: %s\n", what, why);
    exit(1);
}

/* Runs the script and returns the first line of its output. */
static const char *script(const char *verb, const char *directory)
{
    static char line[512];
    char command[1024];
    snprintf(command, sizeof command, "'%s/tests/support/private-postgres' %s '%s'", BW_SOURCE_DIR, verb,
             directory);
    FILE *output = popen(command, "r");
    if (output == NULL)
        die(command, "cannot run it");
    line[0] = '\0';
    if (fgets(line, sizeof line, output) != NULL)
        line[strcspn(line, "\n")] = '\0';
    if (pclose(output) != 0)
        die(command, "it failed");
    return line;
}

void bw_pg_cluster_start(struct bw_pg_cluster *cluster)
{
    *cluster = (struct bw_pg_cluster){0};
    const char *given = getenv("BW_TEST_CONNINFO");
    if (given != NULL) {
        snprintf(cluster->conninfo, sizeof cluster->conninfo, "%s", given);
        return;
    }
    const char *parent = getenv("TMPDIR");
    snprintf(cluster->directory, sizeof cluster->directory, "%s/bw-pg-XXXXXX",
             parent != NULL ? parent : "/tmp");
    if (mkdtemp(cluster->directory) == NULL)
        die(cluster->directory, "cannot make a directory");
    cluster->own = true;
    snprintf(cluster->conninfo, sizeof cluster->conninfo, "%s", script("start", cluster->directory));
}

void bw_pg_cluster_remove(struct bw_pg_cluster *cluster)
{
    if (cluster->own)
        (void)script("remove", cluster->directory);
}

void bw_pg_cluster_stop(struct bw_pg_cluster *cluster)
{
    (void)script("stop", cluster->directory);
}

void bw_pg_cluster_kill(struct bw_pg_cluster *cluster)
{
    (void)script("kill", cluster->directory);
}

void bw_pg_cluster_restart(struct bw_pg_cluster *cluster)
{
    (void)script("start", cluster->directory);
}

void bw_pg_cluster_database(struct bw_pg_cluster *cluster, char *conninfo)
{
    char sql[128];
    snprintf(sql, sizeof sql, "CREATE DATABASE bw_test_%ld_%u", (long)getpid(), ++databases);
    (void)bw_pg_cluster_sql(cluster->conninfo, sql);
    /* Of two settings of one keyword the last counts. */
    if (snprintf(conninfo, 512, "%s dbname=bw_test_%ld_%u", cluster->conninfo, (long)getpid(), databases) >=
        512)
        die(cluster->conninfo, "too long");
}

const char *bw_pg_cluster_sql(const char *conninfo, const char *sql)
{
    static char value[512];
    PGconn *connection = PQconnectdb(conninfo);
    if (PQstatus(connection) != CONNECTION_OK)
        die("connect", PQerrorMessage(connection));
    PQclear(PQexec(connection, "SET search_path = bailiwick; SET client_min_messages = error"));
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        die(sql, PQerrorMessage(connection));
    snprintf(value, sizeof value, "%s",
             status == PGRES_TUPLES_OK && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    return value;
}
