/* libpq for the rest of the room: connecting, running one statement, and errors in our words.
 * Threads: a connection belongs to one thread at a time; calls block. */
#ifndef BW_STORE_PG_H
#define BW_STORE_PG_H

#include <libpq-fe.h>

#include "base/status.h"
#include "store/params.h"
#include "store/result.h"

enum { BW_PG_ATTEMPTS = 3 }; /* of what the database aborted for contention */

/* Connects and sets what every session of ours relies on. Blocks up to connect_timeout (5 s unless conninfo
 * says otherwise). */
BW_MUST_USE enum bw_code bw_pg_connect(const char *conninfo, PGconn **connection, struct bw_error *err);

/* Fills *err for a failed result (NULL: the connection failed) and returns its code. */
enum bw_code bw_pg_fail(PGconn *connection, const PGresult *result, struct bw_error *err);

/* One statement, binary both ways; the result is the caller's to PQclear. OK for commands and for rows.
 * params may be NULL. No retry here. */
BW_MUST_USE enum bw_code bw_pg_exec(PGconn *connection, const char *sql, struct bw_pg_params *params,
                                    PGresult **result, struct bw_error *err);

/* The same through a struct bw_store_db: connects again when the connection was lost, retries contention. */
struct bw_store_db;
enum bw_pg_effect { BW_PG_READS, BW_PG_CHANGES };
BW_MUST_USE enum bw_code bw_pg_query(struct bw_store_db *db, enum bw_pg_effect effect, const char *sql,
                                     struct bw_pg_params *params, PGresult **result, struct bw_error *err);
/* A query whose answer has at least one row; INTERNAL otherwise. */
BW_MUST_USE enum bw_code bw_pg_query_row(struct bw_store_db *db, enum bw_pg_effect effect, const char *sql,
                                         struct bw_pg_params *params, PGresult **result,
                                         struct bw_error *err);
/* A statement whose answer does not matter. */
BW_MUST_USE enum bw_code bw_pg_run(struct bw_store_db *db, const char *sql, struct bw_pg_params *params,
                                   struct bw_error *err);
/* INTERNAL: the answer does not look as it must. */
enum bw_code bw_pg_fail_shape(struct bw_error *err);
/* For what is several statements on one session (migrations). */
BW_MUST_USE enum bw_code bw_pg_connection(struct bw_store_db *db, PGconn **connection, struct bw_error *err);

#endif
