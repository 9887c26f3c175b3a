/* The commented policies that `policy init` starts from; generated from policies/. */
#ifndef BW_CLI_STARTS_H
#define BW_CLI_STARTS_H

#include <stddef.h>

struct bw_cli_start {
    const char *name;    /* "fr-hospital" */
    const char *summary; /* one sentence */
    const char *text;
};

extern const struct bw_cli_start bw_cli_starts[];
extern const size_t bw_cli_start_count;

#endif
