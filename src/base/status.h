/* The one result type. A function that can fail returns an enum bw_code (must be used) and takes a
 * struct bw_error for the words: `show` may reach the caller of an API, `log` never leaves our own logs.
 * Codes are the canonical gRPC status codes, so no room translates between vocabularies.
 * Threads: everything here is pure; a struct bw_error belongs to one thread at a time. */
#ifndef BW_BASE_STATUS_H
#define BW_BASE_STATUS_H

#include <stdbool.h>

/* X(NAME, number, category); NAME is gRPC's spelling */
#define BW_CODE_MAP(X)                                                                                       \
    X(OK, 0, NONE)                                                                                           \
    X(CANCELLED, 1, CALLER)                                                                                  \
    X(UNKNOWN, 2, OURS)                                                                                      \
    X(INVALID_ARGUMENT, 3, CALLER)                                                                           \
    X(DEADLINE_EXCEEDED, 4, PASSING)                                                                         \
    X(NOT_FOUND, 5, CALLER)                                                                                  \
    X(ALREADY_EXISTS, 6, CALLER)                                                                             \
    X(PERMISSION_DENIED, 7, CALLER)                                                                          \
    X(RESOURCE_EXHAUSTED, 8, PASSING)                                                                        \
    X(FAILED_PRECONDITION, 9, CALLER)                                                                        \
    X(ABORTED, 10, PASSING)                                                                                  \
    X(OUT_OF_RANGE, 11, CALLER)                                                                              \
    X(UNIMPLEMENTED, 12, CALLER)                                                                             \
    X(INTERNAL, 13, OURS)                                                                                    \
    X(UNAVAILABLE, 14, PASSING)                                                                              \
    X(DATA_LOSS, 15, OURS)                                                                                   \
    X(UNAUTHENTICATED, 16, CALLER)

enum bw_code {
#define X(name, number, category) BW_##name = number,
    BW_CODE_MAP(X)
#undef X
};

/* Whose fault a code is: the caller's input, a passing condition worth a retry, or ours. */
enum bw_code_category { BW_CATEGORY_NONE, BW_CATEGORY_CALLER, BW_CATEGORY_PASSING, BW_CATEGORY_OURS };

struct bw_error {
    enum bw_code code;
    const char *reason; /* stable machine reason such as "WRONG_CELL"; a literal, or NULL */
    char show[512];     /* what, where, what to do; safe to show to the caller */
    char log[512];      /* detail for our own log only; may be empty */
};

#define BW_MUST_USE            __attribute__((warn_unused_result))
#define BW_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Name as gRPC spells it ("NOT_FOUND"); "UNKNOWN" for a number outside the table. */
const char *bw_code_name(enum bw_code code);
enum bw_code_category bw_code_category(enum bw_code code);

/* Fills *err (which may be NULL) and returns `code`, so that `return bw_fail(err, …)` reads straight.
 * `reason` is a literal or NULL. Text that does not fit is cut. */
enum bw_code bw_fail(struct bw_error *err, enum bw_code code, const char *reason, const char *format, ...)
    BW_PRINTF(4, 5);

/* Adds the private part to an error already set; err may be NULL. */
void bw_error_log(struct bw_error *err, const char *format, ...) BW_PRINTF(2, 3);

/* Out of memory, said the same way everywhere: RESOURCE_EXHAUSTED "out of memory". */
enum bw_code bw_fail_memory(struct bw_error *err);

#endif
