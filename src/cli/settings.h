/* What holds for this run: a flag goes before the environment, the environment before the context. Each value
 * knows where it is from, so that a complaint about it can say where to change it. Threads: pure. */
#ifndef BW_CLI_SETTINGS_H
#define BW_CLI_SETTINGS_H

#include "cli/args.h"
#include "cli/config.h"

struct bw_setting {
    const char *value;  /* NULL: not set */
    const char *origin; /* "--ca", "BAILIWICK_CA", "context prod" */
};

struct bw_settings {
    const char *config_path; /* NULL: no home to look in */
    bool config_exists;
    const char *context; /* NULL: none is chosen */
    struct bw_setting endpoint, ca, cert, key, server_name, server_spiffe_id, tenant;
    bool insecure;
    uint64_t timeout_ms;
};

enum { BW_TIMEOUT_DEFAULT_MS = 15000 };

/* config NULL: there is no file. NOT_FOUND when a context is named that does not exist, INVALID_ARGUMENT for
 * a variable that cannot be read. */
BW_MUST_USE enum bw_code bw_settings_resolve(const struct bw_args *args, const char *(*env)(const char *name),
                                             const char *config_path, const struct bw_cli_config *config,
                                             struct bw_arena *arena, struct bw_settings *settings,
                                             struct bw_error *err);

#endif
