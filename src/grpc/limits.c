#include "grpc/limits.h"

void bw_bucket_init(struct bw_bucket *bucket, uint64_t burst, uint64_t interval_us, uint64_t now_us)
{
    *bucket =
        (struct bw_bucket){.burst = burst, .interval_us = interval_us, .tokens = burst, .filled_us = now_us};
}

uint64_t bw_bucket_interval(uint64_t per_second)
{
    if (per_second == 0)
        return 0;
    uint64_t interval = 1000000 / per_second;
    return interval ? interval : 1;
}

static void add_earned(struct bw_bucket *bucket, uint64_t now_us)
{
    if (bucket->interval_us == 0 || now_us <= bucket->filled_us)
        return;
    uint64_t earned = (now_us - bucket->filled_us) / bucket->interval_us;
    if (earned >= bucket->burst - bucket->tokens) {
        bucket->tokens = bucket->burst;
        bucket->filled_us = now_us;
    } else {
        bucket->tokens += earned;
        bucket->filled_us += earned * bucket->interval_us;
    }
}

bool bw_bucket_take(struct bw_bucket *bucket, uint64_t now_us)
{
    if (bucket->burst == 0)
        return true;
    add_earned(bucket, now_us);
    if (bucket->tokens == 0)
        return false;
    bucket->tokens--;
    return true;
}

void bw_bucket_fill(struct bw_bucket *bucket, uint64_t now_us)
{
    bucket->tokens = bucket->burst;
    bucket->filled_us = now_us;
}

uint64_t bw_bucket_wait_us(const struct bw_bucket *bucket, uint64_t now_us)
{
    struct bw_bucket copy = *bucket;
    add_earned(&copy, now_us);
    if (copy.burst == 0 || copy.tokens > 0)
        return 0;
    if (copy.interval_us == 0)
        return UINT64_MAX;
    return copy.filled_us + copy.interval_us - now_us;
}
