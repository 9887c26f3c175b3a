/* The blocking side of the store: one connection to the cell's PostgreSQL, for the hub thread and the command
 * line. Everything but the join path goes through it; joins go through store/writer.h.
 *
 * Owner: whoever opened it. Threads: one at a time. A call blocks for a round trip (bounded by the
 * server's statement_timeout of 30 s and by TCP keepalives).
 *
 * Errors common to all calls of the store, besides those each names:
 *   UNAVAILABLE         the database cannot be reached, restarts, or is read-only. The next call connects
 * again. reason "OUTCOME_UNKNOWN": the connection died after the call was sent. Every mutation may be
 * repeated with the same request id (or is the same when done twice). ABORTED             serialization
 * failure or deadlock that outlived three attempts RESOURCE_EXHAUSTED  the database's disk is full, its
 * connections are used up, or memory is out here INTERNAL            the database refused what we sent: a
 * fault of ours; the log part says what
 */
#ifndef BW_STORE_DB_H
#define BW_STORE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/status.h"

struct bw_store_db;

/* conninfo as libpq takes it (keywords or URI); a primary is asked for (target_session_attrs=read-write).
 * PostgreSQL 15 or later, or FAILED_PRECONDITION. Nothing of ours has to exist in the database yet. */
BW_MUST_USE enum bw_code bw_store_db_open(const char *conninfo, struct bw_store_db **db,
                                          struct bw_error *err);
/* NULL is allowed. */
void bw_store_db_close(struct bw_store_db *db);

/* A cheap query; OK when the database answers. For health. */
BW_MUST_USE enum bw_code bw_store_db_ping(struct bw_store_db *db, struct bw_error *err);

/* The version that this build works with: the number of the last file in schema/. */
enum { BW_STORE_SCHEMA_VERSION = 9 };

/* FAILED_PRECONDITION with reason SCHEMA_OLD (says: run `bailiwickd migrate`) or SCHEMA_NEW (a newer
 * bailiwickd has migrated it: run that one). */
BW_MUST_USE enum bw_code bw_store_schema_check(struct bw_store_db *db, struct bw_error *err);

/* How safe an acknowledged commit is. `text` says it for health output in one line. */
struct bw_store_durability {
    bool safe;             /* survives a crash here and, when there are standbys, the promotion of one */
    unsigned int standbys; /* connected now */
    char text[256];
};

/* FAILED_PRECONDITION with reason NOT_DURABLE when fsync or full_page_writes is off, or a standby is
 * connected and commits do not wait for one; with allow_unsafe it succeeds and *out says what is unsafe. */
BW_MUST_USE enum bw_code bw_store_durability_check(struct bw_store_db *db, bool allow_unsafe,
                                                   struct bw_store_durability *out, struct bw_error *err);

/* Names the cell on first use. ALREADY_EXISTS when the database belongs to another cell. */
BW_MUST_USE enum bw_code bw_store_cell_init(struct bw_store_db *db, const char *name, struct bw_error *err);

enum { BW_STORE_NAME_SIZE = 64 }; /* of cells, tenants, relays; with its NUL */

struct bw_store_cell {
    char name[BW_STORE_NAME_SIZE];
    /* The stream id of relay sessions: from the system identifier, the timeline and the cell's incarnation,
     * so that a restored, promoted or newly made database is another stream. */
    struct bw_id stream;
};

/* NOT_FOUND before bw_store_cell_init. */
BW_MUST_USE enum bw_code bw_store_cell_read(struct bw_store_db *db, struct bw_store_cell *out,
                                            struct bw_error *err);

struct bw_store_heads {
    uint64_t group, compacted, facts_revision;
    uint64_t database_ms; /* the database's clock, unix milliseconds */
};

/* One snapshot of all three. */
BW_MUST_USE enum bw_code bw_store_heads_read(struct bw_store_db *db, struct bw_store_heads *out,
                                             struct bw_error *err);

#endif
