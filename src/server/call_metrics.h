/* How one worker's calls end, counted by method and code, and how long joins take.
 * Threads: the worker's counts, any other reads; every value is an atomic with that one writer. */
#ifndef BW_SERVER_CALL_METRICS_H
#define BW_SERVER_CALL_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "grpc/server.h"

/* Upper bounds of the histogram of joins in microseconds: from well below a commit to the longest that a join
 * may wait for a relay. The last bucket has no bound. */
#define BW_JOIN_BUCKETS_US                                                                                   \
    {                                                                                                        \
        500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,       \
            10000000, 30000000                                                                               \
    }
enum { BW_JOIN_BUCKETS = 15, BW_CALL_CODES = 17 };

struct bw_call_metrics {
    const struct bw_grpc_method *methods;
    size_t method_count, join; /* join: its index; method_count when there is none */
    /* method_count + 1 rows: the last one for health, reflection and what no method is called */
    _Atomic uint64_t (*ended)[BW_CALL_CODES];
    _Atomic uint64_t joins[BW_JOIN_BUCKETS + 1]; /* not cumulative */
    _Atomic uint64_t join_us;                    /* the sum */
};

/* methods outlive it. False when memory is out; finish is allowed then, too. */
bool bw_call_metrics_init(struct bw_call_metrics *metrics, const struct bw_grpc_method *methods,
                          size_t method_count);
void bw_call_metrics_finish(struct bw_call_metrics *metrics);

/* As the grpc server's `ended`; context is a struct bw_call_metrics. */
void bw_call_metrics_ended(const struct bw_grpc_method *method, enum bw_code code, uint64_t took_ns,
                           void *context);

/* "MeetingService" and "JoinMeeting" of row i; "other" twice for the last row. */
void bw_call_metrics_names(const struct bw_call_metrics *metrics, size_t row, struct bw_view *service,
                           struct bw_view *method);

#endif
