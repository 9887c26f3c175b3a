#include "relay/limit.h"

/* Credit is kept in millionths of a token: rate * elapsed microseconds, and no division rounds. */
bool bw_limit_take(struct bw_limit *limit, uint64_t now_us, uint32_t rate, uint32_t burst, uint32_t cost)
{
    const uint64_t token = 1000000;
    if (rate == 0)
        return true;
    uint64_t full = (uint64_t)burst * token;
    if (!limit->started) {
        limit->started = true;
        limit->credit = full;
        limit->last_us = now_us;
    } else if (now_us > limit->last_us) {
        uint64_t elapsed = now_us - limit->last_us;
        /* Longer than it takes to fill the bucket is as good as full; this also keeps the product in range.
         */
        if (elapsed > full / rate)
            limit->credit = full;
        else
            limit->credit += elapsed * rate;
        if (limit->credit > full)
            limit->credit = full;
        limit->last_us = now_us;
    }
    if (limit->credit < cost * token)
        return false;
    limit->credit -= cost * token;
    return true;
}
