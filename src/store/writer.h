/* The group writer: decision rows in, group numbers out, on a worker's loop and without blocking it.
 *
 * Rows are grouped by the clock of the database itself: what became ready while the last group was in flight
 * goes out as the next one. Each writer has `lanes` connections, each with at most one group in flight. A
 * meeting has rows in at most one group in flight; rows of one meeting commit in the order they were
 * submitted, and when one fails, all later ones of that meeting that were submitted by then fail with it.
 *
 * A group whose connection died is sent again, identically, until its outcome is known. A row is never
 * cancelled once it was sent; a caller that lost interest releases the row when it commits.
 *
 * Owner: one loop. Threads: the loop's, for every function and every callback. A connection is opened by a
 * pool thread and handed over once, before its first use. */
#ifndef BW_STORE_WRITER_H
#define BW_STORE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"
#include "store/sealed.h"

struct bw_loop;
struct bw_store_writer;

/* X(NAME, code, reason, text). What a row came to; the code is what a caller of the API may be answered when
 * deciding again has not helped. */
#define BW_STORE_OUTCOME_MAP(X)                                                                              \
    X(COMMITTED, OK, NULL, "committed")                                                                      \
    X(STALE_KEY, ABORTED, "STALE_VIEW", "the meeting has decisions that its owner had not seen")             \
    X(STALE_POLICY, ABORTED, "STALE_POLICY", "the tenant's policy changed meanwhile")                        \
    X(STALE_FACTS, ABORTED, "STALE_FACTS", "a relay's facts or state changed meanwhile")                     \
    X(DUPLICATE_REQUEST, ALREADY_EXISTS, "DUPLICATE_REQUEST", "this request id was used before")             \
    X(FENCED, UNAVAILABLE, "FENCED", "another process has taken this replica's place; ask it")               \
    X(LAPSED, UNAVAILABLE, "LEASE_ENDED", "this replica's lease has ended and is not renewed yet")           \
    X(CONTENDED, ABORTED, "CONTENDED", "the database aborted the group repeatedly")                          \
    X(DISK_FULL, RESOURCE_EXHAUSTED, "DISK_FULL", "the database's disk is full")                             \
    X(NO_MEMORY, RESOURCE_EXHAUSTED, NULL, "out of memory")                                                  \
    X(UNAVAILABLE, UNAVAILABLE, "DATABASE_UNAVAILABLE", "the database cannot be reached")                    \
    X(UNKNOWN, UNAVAILABLE, "OUTCOME_UNKNOWN", "the writer was closed before the outcome was known")         \
    X(REFUSED, INTERNAL, NULL, "the database refused the row")

enum bw_store_outcome {
#define X(name, code, reason, text) BW_STORE_##name,
    BW_STORE_OUTCOME_MAP(X)
#undef X
};

const char *bw_store_outcome_name(enum bw_store_outcome outcome);
/* Fills *err for the outcome and returns its code; OK for COMMITTED. */
enum bw_code bw_store_outcome_error(enum bw_store_outcome outcome, struct bw_error *err);

struct bw_store_result {
    enum bw_store_outcome outcome;
    uint64_t group;          /* COMMITTED */
    uint64_t facts_revision; /* STALE_FACTS: the current one, or 0 when it is only known to be newer */
    struct bw_id meeting;    /* DUPLICATE_REQUEST: the meeting of the earlier call */
};

/* May submit further rows, of the same meeting too. */
typedef void bw_store_row_done(void *context, const struct bw_store_result *result);

struct bw_store_row {
    struct bw_id meeting, tenant, request;
    uint32_t seq; /* of the meeting: the last one committed or submitted, plus one */
    uint16_t kind;
    uint32_t policy_revision;
    uint64_t facts_revision;
    const uint32_t *relays; /* whom it concerns; no relay twice */
    size_t relay_count;
    struct bw_view record;
    const char *method; /* NULL, or the method of a call that has no meeting yet, such as "CreateMeeting": the
                         * request id is then unique per tenant and method. A literal. */
    struct bw_view
        note; /* for config.sealing: goes into the tenant's roster record of the group; empty: none */
    const struct bw_store_meeting_key
        *key; /* that the note needs and that may not be stored yet; NULL: none */
};

struct bw_store_writer_config {
    const char *conninfo; /* as bw_store_db_open */
    struct bw_id replica;
    uint64_t replica_epoch;
    uint32_t first_writer;  /* lanes are numbered from here; numbers are unique within a replica's epoch */
    uint32_t lanes;         /* 0: 2 */
    uint32_t group_rows;    /* 0: 500 */
    size_t group_bytes;     /* of records; 0: 1 MiB */
    uint32_t queue_rows;    /* submitted and not yet done; 0: 20,000 */
    size_t queue_bytes;     /* 0: 64 MiB */
    uint64_t group_wait_ms; /* a group without an answer for so long has lost its connection; 0: 10,000 */
    uint64_t give_up_ms;    /* with no lane connected for so long, rows not yet sent fail; 0: 2,000 */
    struct bw_store_sealing sealing; /* seal NULL: rows have no notes */
};

/* Returns at once; lanes connect in the background and again, with backoff, whenever they are lost. */
BW_MUST_USE enum bw_code bw_store_writer_create(struct bw_loop *loop,
                                                const struct bw_store_writer_config *config,
                                                struct bw_store_writer **writer, struct bw_error *err);

/* Copies the row. On success `done` is called exactly once, later, never from within this call. Otherwise
 * never: RESOURCE_EXHAUSTED: the queue is full, or memory is out; UNAVAILABLE: no lane has been connected for
 * give_up_ms, or the writer is closing. INVALID_ARGUMENT: a row bigger than a group. */
BW_MUST_USE enum bw_code bw_store_writer_submit(struct bw_store_writer *writer,
                                                const struct bw_store_row *row, bw_store_row_done *done,
                                                void *context, struct bw_error *err);

/* After bw_store_replica_register: groups formed from here on are written under the new epoch. Call it once
 * rows decided under the old one are done (they fail as FENCED). */
void bw_store_writer_set_epoch(struct bw_store_writer *writer, uint64_t replica_epoch);

struct bw_store_writer_stats {
    uint32_t lanes_connected;
    uint32_t rows_waiting, rows_in_flight;
    uint64_t rows_committed, groups_committed, groups_failed, groups_resent, reconnects;
    uint64_t last_group; /* the highest number this writer was given */
};
void bw_store_writer_stats_read(const struct bw_store_writer *writer, struct bw_store_writer_stats *out);

/* Takes no more rows, waits up to wait_ms for those submitted, fails the rest (UNAVAILABLE when never sent,
 * UNKNOWN otherwise), closes the connections, frees the writer and then calls `closed`. The loop must keep
 * running. */
void bw_store_writer_close(struct bw_store_writer *writer, uint64_t wait_ms, void (*closed)(void *context),
                           void *context);

#endif
