/* The checks of `doctor` and how they are told. Threads: one. */
#ifndef BW_CLI_DOCTOR_H
#define BW_CLI_DOCTOR_H

#include <jansson.h>

#include "cli/server.h"
#include "crypto/certificate.h"

enum bw_finding { BW_FINDING_OK, BW_FINDING_NOTE, BW_FINDING_PROBLEM };

struct bw_doctor {
    struct bw_cli *cli;
    json_t *checks;
    unsigned problems;
    /* What later checks need of earlier ones. */
    bool files_good;
    const char *spiffe_id; /* NULL: no certificate that could be read */
};

/* One line: what was looked at, what was found, what to do (NULL: nothing). */
void bw_doctor_tell(struct bw_doctor *doctor, enum bw_finding finding, const char *check, const char *todo,
                    const char *format, ...) BW_PRINTF(5, 6);

/* cli/doctor_files.c: certificate, key, CA. */
void bw_doctor_files(struct bw_doctor *doctor);
/* cli/doctor_server.c: connection, health, identity, clock. */
void bw_doctor_server(struct bw_doctor *doctor);

#endif
