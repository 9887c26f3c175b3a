/* Preloaded into a program (LD_PRELOAD), it moves that program's wall clock by BW_SHIFT_CLOCK_MS, and no other clock:
 * what a machine with a wrong clock would do. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int clock_function(clockid_t clock, struct timespec *time);

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time)
{
    static clock_function *real;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *shift = getenv("BW_SHIFT_CLOCK_MS");
    if (result == 0 && clock == CLOCK_REALTIME && shift != NULL)
        time->tv_sec += strtol(shift, NULL, 10) / 1000;
    return result;
}
