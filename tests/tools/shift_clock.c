/* Preloaded into a program (LD_PRELOAD), it moves that program's wall clock by BW_SHIFT_CLOCK_MS, and no
 * other clock: what a machine with a wrong clock would do. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int clock_function(clockid_t id, struct timespec *tp);

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *tp)
{
    static clock_function *real;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, tp);
    const char *shift = getenv("BW_SHIFT_CLOCK_MS");
    if (result == 0 && id == CLOCK_REALTIME && shift != NULL)
        tp->tv_sec += strtol(shift, NULL, 10) / 1000;
    return result;
}
