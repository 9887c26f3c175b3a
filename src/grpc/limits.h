/* Token buckets: how often something may happen. Time is given. Threads: one at a time. */
#ifndef BW_GRPC_LIMITS_H
#define BW_GRPC_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct bw_bucket {
    uint64_t burst;       /* holds so many tokens when full */
    uint64_t interval_us; /* one more token each; 0: never */
    uint64_t tokens;
    uint64_t filled_us; /* when the last token was added */
};

/* Starts full. */
void bw_bucket_init(struct bw_bucket *bucket, uint64_t burst, uint64_t interval_us, uint64_t now_us);
/* Interval of a rate per second; 0 for a rate of 0. */
uint64_t bw_bucket_interval(uint64_t per_second);
/* Takes one token; false when there is none. A bucket with burst 0 never refuses. */
bool bw_bucket_take(struct bw_bucket *bucket, uint64_t now_us);
void bw_bucket_fill(struct bw_bucket *bucket, uint64_t now_us);
/* Microseconds until a token is there; 0: now. UINT64_MAX: never. */
uint64_t bw_bucket_wait_us(const struct bw_bucket *bucket, uint64_t now_us);

#endif
