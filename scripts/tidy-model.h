/* For clang-tidy alone (scripts/tidy-one): its analyzer reads one file at a time and would think that bw_fail might
 * return BW_OK, so it would follow paths on which an error was said and yet nothing failed. This tells it what
 * base/status.c does. */
#if __has_include("base/status.h")
#include "base/status.h"

void bw_tidy_said(struct bw_error *err, const char *reason, const char *format, ...) BW_PRINTF(3, 4);

#define bw_fail(err, code, reason, ...) (bw_tidy_said(err, reason, __VA_ARGS__), (code))

static inline enum bw_code bw_tidy_fail_memory(struct bw_error *err)
{
    bw_tidy_said(err, (const char *)0, "out of memory");
    return BW_RESOURCE_EXHAUSTED;
}

#define bw_fail_memory bw_tidy_fail_memory

#endif
