/* What a failed connection most likely means: from the words that the system and OpenSSL use to what is wrong
 * and what to do. Threads: pure. */
#ifndef BW_CLI_DIAGNOSE_H
#define BW_CLI_DIAGNOSE_H

#include <stdbool.h>

struct bw_diagnosis {
    const char *check; /* in two words what is wrong */
    const char *todo;  /* NULL: nothing more is known */
    bool identity;     /* one side did not prove who it is: exit status 4, not 7 */
};

struct bw_diagnosis bw_diagnose(const char *message);

#endif
