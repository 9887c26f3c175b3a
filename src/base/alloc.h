/* All heap memory of ours passes here, so that a test can make any single allocation fail.
 * Threads: any; the failure counter is per thread. */
#ifndef BW_BASE_ALLOC_H
#define BW_BASE_ALLOC_H

#include <stddef.h>

/* As malloc, calloc, realloc, strdup, free: NULL when memory is out, and the caller reports it. */
void *bw_malloc(size_t bytes);
void *bw_calloc(size_t count, size_t bytes);
void *bw_realloc(void *p, size_t bytes);
char *bw_strdup(const char *s);
void *bw_memdup(const void *p, size_t bytes);
void bw_free(void *p);

/* Test hook: the nth (1, 2, …) allocation of this thread from now fails, once; 0 turns the hook off.
 * bw_alloc_failed() says whether it has struck since it was set. */
void bw_alloc_fail_at(unsigned long nth);
int bw_alloc_failed(void);

#endif
