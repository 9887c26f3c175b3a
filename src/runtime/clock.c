#include "runtime/clock.h"

#include <time.h>

#include "base/check.h"

static struct timespec read_clock(clockid_t clock)
{
    struct timespec now;
    BW_CHECK(clock_gettime(clock, &now) == 0);
    return now;
}

uint64_t bw_clock_wall_ms(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t bw_clock_mono_ns(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t bw_clock_mono_ms(void)
{
    uint64_t ms = bw_clock_mono_ns() / 1000000;
    return ms ? ms : 1;
}
