/* Exit codes: what scripts branch on. Threads: pure. */
#ifndef BW_CLI_EXIT_H
#define BW_CLI_EXIT_H

#include "base/status.h"

enum bw_exit {
    BW_EXIT_OK = 0,
    BW_EXIT_NO = 1, /* the answer is no: invalid, differs, refused by an explanation, not verified */
    BW_EXIT_USAGE = 2,
    BW_EXIT_INTERNAL = 3,
    BW_EXIT_AUTH = 4,
    BW_EXIT_NOT_FOUND = 5,
    BW_EXIT_CONFLICT = 6,
    BW_EXIT_UNAVAILABLE = 7,
    BW_EXIT_REFUSED = 8, /* a join or an invitation, by policy */
    BW_EXIT_INTERRUPTED = 130,
};

/* reason is ErrorInfo's, or NULL; it goes before the code. */
enum bw_exit bw_exit_of(enum bw_code code, const char *reason);
/* Is this a reason with which policy refuses a join or an invitation? */
bool bw_exit_is_refusal(const char *reason);

#endif
