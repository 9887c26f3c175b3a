/* What PostgreSQL's error codes mean to us. Threads: pure. */
#ifndef BW_STORE_SQLSTATE_H
#define BW_STORE_SQLSTATE_H

#include <stdbool.h>

#include "base/status.h"

struct bw_sqlstate {
    const char *prefix; /* of the SQLSTATE: five characters, or a class */
    enum bw_code code;
    const char *reason;
    bool ours; /* raised by our own functions: the message may be shown */
    bool retry;
    bool connection; /* the connection is of no use any more */
    const char *show;
};

/* The meaning of a SQLSTATE; of NULL (libpq made the error itself: the connection is lost); and of anything
 * that the table does not know, which is a fault of ours: INTERNAL. Never NULL. */
const struct bw_sqlstate *bw_sqlstate_of(const char *sqlstate);

#endif
