/* A token bucket: at most `rate` a second over time, at most `burst` at once. Integers only, no drift.
 * Threads: one at a time. */
#ifndef BW_RELAY_LIMIT_H
#define BW_RELAY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct bw_limit {
    uint64_t credit; /* millionths of a token */
    uint64_t last_us;
    bool started;
};

/* Takes `cost` tokens if they are there. rate 0: no limit. now_us is monotonic. */
bool bw_limit_take(struct bw_limit *limit, uint64_t now_us, uint32_t rate, uint32_t burst, uint32_t cost);

#endif
