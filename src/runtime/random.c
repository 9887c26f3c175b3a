#include "runtime/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

void bw_random_bytes(void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        BW_CHECK(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

uint64_t bw_random_u64(void)
{
    uint64_t v;
    bw_random_bytes(&v, sizeof v);
    return v;
}

uint64_t bw_random_below(uint64_t bound)
{
    BW_CHECK(bound > 0);
    /* Values from the incomplete last stretch would make small results likelier. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t v;
    do
        v = bw_random_u64();
    while (v >= limit);
    return v % bound;
}
