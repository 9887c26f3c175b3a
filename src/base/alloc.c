#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned long fail_countdown;
static _Thread_local int failed;

static int must_fail(void)
{
    if (fail_countdown == 0 || --fail_countdown > 0)
        return 0;
    failed = 1;
    return 1;
}

void *bw_malloc(size_t bytes)
{
    if (must_fail())
        return NULL;
    return malloc(bytes ? bytes : 1);
}

void *bw_calloc(size_t count, size_t bytes)
{
    if (must_fail())
        return NULL;
    return calloc(count ? count : 1, bytes ? bytes : 1);
}

void *bw_realloc(void *p, size_t bytes)
{
    if (must_fail())
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

void *bw_memdup(const void *p, size_t bytes)
{
    void *copy = bw_malloc(bytes);
    if (copy != NULL && bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

char *bw_strdup(const char *s)
{
    return bw_memdup(s, strlen(s) + 1);
}

void bw_free(void *p)
{
    free(p);
}

void bw_alloc_fail_at(unsigned long nth)
{
    fail_countdown = nth;
    failed = 0;
}

int bw_alloc_failed(void)
{
    return failed;
}
