/* A generator of unary calls over several connections on one loop, closed (so many always under way) or open
 * (so many a second, whatever becomes of the earlier ones). The caller says what each request is. */
#ifndef BW_BENCH_JOIN_LOAD_H
#define BW_BENCH_JOIN_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cell.h"

enum { BENCH_CONNECTIONS_MAX = 64 };

struct bench_load {
    /* What is called: appends the request's bytes. `request` may set another path first, for this call and
     * those after it. */
    const char *path;
    void (*request)(void *context, struct bw_buf *out);
    /* Of each good reply, with the path that was called; may be NULL. */
    void (*reply)(void *context, const char *path, struct bw_view message);
    void *context;
    unsigned connections;
    unsigned streams; /* per connection; closed loop */
    double rate;      /* calls a second; 0: closed loop */
    double seconds;

    /* Results. */
    uint64_t done, failed;
    double elapsed_s;
    double *latencies_ms; /* of the good ones, from when each was due; bw_free */
};

/* Runs it on new connections. A call that fails is counted and the first one's reason is printed. */
void bench_load_run(struct bench_load *load, const struct bench_cell *cell, struct bw_grpc_tls *tls);

/* ---- joins ---- */

struct bench_joins {
    struct bw_id *meetings;
    size_t meeting_count;
    uint64_t next;   /* joins asked for so far */
    uint64_t seed;   /* request ids follow from it and `next`: a generator has no time for the kernel's */
    bool identities; /* joins say who takes part, from which address and with which client */
};

void bench_joins_create_meetings(struct bench_joins *joins, const struct bench_cell *cell, size_t count);
void bench_joins_finish(struct bench_joins *joins);
/* For struct bench_load, with a struct bench_joins: joins of new participants, meeting after meeting. */
void bench_join_request(void *context, struct bw_buf *out);
extern const char bench_join_path[];

/* Small meetings: while a load runs, one is created for every so many joins, and they join it. */
struct bench_small {
    struct bench_load *load;   /* the one that runs this */
    struct bench_joins *joins; /* its meetings are not used */
    unsigned size;             /* participants of a meeting */
    uint64_t asked, created, joined;
    struct bw_id *waiting; /* meetings that are not full, in a ring */
    size_t first, count, cap;
    unsigned in_first; /* joins asked for into the first of them */
    struct bw_arena *arena;
};

void bench_small_init(struct bench_small *small, struct bench_joins *joins, unsigned size);
void bench_small_finish(struct bench_small *small);
/* For struct bench_load, with a struct bench_small. */
void bench_small_request(void *context, struct bw_buf *out);
void bench_small_reply(void *context, const char *path, struct bw_view message);

#endif
