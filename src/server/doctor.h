/* `bailiwickd doctor`: looks for the usual mistakes of a cell before it serves, and says what to do about
 * each. It changes nothing. Blocking; for the command line. */
#ifndef BW_SERVER_DOCTOR_H
#define BW_SERVER_DOCTOR_H

#include <stdio.h>

#include "server/config.h"

/* One line a check: "ok", "note" or "problem", what was found, and what to do. Exit code: 0 no problem, 1
 * some. */
int bw_doctor(const struct bw_daemon_config *config, FILE *out);

#endif
