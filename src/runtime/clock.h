/* The two clocks. Pure rooms never call these: their callers pass the time in. Threads: any. */
#ifndef BW_RUNTIME_CLOCK_H
#define BW_RUNTIME_CLOCK_H

#include <stdint.h>

/* Unix time; may step. */
uint64_t bw_clock_wall_ms(void);
/* Monotonic; for deadlines and durations. Never 0, so that 0 can mean "none". */
uint64_t bw_clock_mono_ms(void);
uint64_t bw_clock_mono_ns(void);

#endif
