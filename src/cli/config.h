/* The file that keeps contexts: where a cell is and who one is there. Kind CliConfig, read as strictly as a
 * policy. Names of files in it are relative to the folder it lies in. Threads: pure but for the file. */
#ifndef BW_CLI_CONFIG_H
#define BW_CLI_CONFIG_H

#include "yaml/field.h"

struct bw_context {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_yaml_text endpoint; /* host:port */
    struct bw_yaml_text ca, cert, key;
    struct bw_yaml_text server_name, server_spiffe_id;
    struct bw_yaml_text tenant;
    struct bw_yaml_number insecure; /* clear text, loopback only */
};
BW_YAML_LIST(bw_contexts, struct bw_context);

struct bw_cli_config {
    struct bw_pos at;
    struct bw_yaml_number api_version, kind;
    struct bw_yaml_text current; /* name of a context */
    struct bw_contexts contexts;
};

extern const struct bw_field_table bw_cli_config_table;

/* $BAILIWICK_CONFIG, else $XDG_CONFIG_HOME/bailiwick/config.yaml, else $HOME/.config/…; NULL when none of
 * these is set, or memory is out. */
const char *bw_cli_config_path(const char *flag, const char *(*env)(const char *name),
                               struct bw_arena *arena);

/* NOT_FOUND when there is no such file; INVALID_ARGUMENT with everything in diags. */
BW_MUST_USE enum bw_code bw_cli_config_load(const char *path, struct bw_arena *arena, struct bw_diags *diags,
                                            struct bw_cli_config *config, struct bw_error *err);
/* Checks text as bw_cli_config_load does. */
BW_MUST_USE enum bw_code bw_cli_config_parse(const struct bw_source *source, struct bw_arena *arena,
                                             struct bw_diags *diags, struct bw_cli_config *config,
                                             struct bw_error *err);
/* NULL when there is none of that name. */
const struct bw_context *bw_cli_config_find(const struct bw_cli_config *config, const char *name);
/* The file as text. */
void bw_cli_config_print(const struct bw_cli_config *config, struct bw_buf *out);
/* Replaces the file in one step (mode 0600, folder 0700 when it is new). */
BW_MUST_USE enum bw_code bw_cli_config_save(const char *path, const struct bw_cli_config *config,
                                            struct bw_arena *arena, struct bw_error *err);

/* The text of an optional value; NULL when absent. */
const char *bw_context_text(const struct bw_yaml_text *text);

#endif
