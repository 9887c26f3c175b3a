/* Randomness from the kernel. Threads: any. */
#ifndef BW_RUNTIME_RANDOM_H
#define BW_RUNTIME_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fit for keys. Aborts if the kernel cannot deliver: nothing of ours is safe without it. */
void bw_random_bytes(void *out, size_t n);
uint64_t bw_random_u64(void);
/* Uniform in [0, bound); bound > 0. */
uint64_t bw_random_below(uint64_t bound);

#endif
