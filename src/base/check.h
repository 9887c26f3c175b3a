/* Checks of our own invariants. Never for a peer's input: that gets an error (base/status.h). */
#ifndef BW_BASE_CHECK_H
#define BW_BASE_CHECK_H

/* Prints the failed expression with its place to stderr and aborts. */
_Noreturn void bw_check_failed(const char *expression, const char *file, int line);

#define BW_CHECK(expression)                                                                                 \
    do {                                                                                                     \
        if (!(expression))                                                                                   \
            bw_check_failed(#expression, __FILE__, __LINE__);                                                \
    } while (0)

#define BW_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
