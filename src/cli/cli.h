/* One run of the command line: what was asked, where to answer, and how. A verb gets this and returns an exit
 * code (cli/exit.h); data goes to `out`, words to `err`. Threads: one. */
#ifndef BW_CLI_CLI_H
#define BW_CLI_CLI_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cli/args.h"
#include "cli/exit.h"

enum bw_output { BW_OUTPUT_TABLE, BW_OUTPUT_WIDE, BW_OUTPUT_JSON, BW_OUTPUT_YAML, BW_OUTPUT_NAME };
extern const char *const bw_output_names[]; /* in the order of the enum; ends with NULL */

struct bw_settings;
struct bw_server;

struct bw_cli {
    const struct bw_args *args;
    struct bw_arena *arena; /* of the whole run */
    FILE *out, *err;
    enum bw_output output;
    bool colour_out, colour_err;
    const char *(*env)(const char *name);
    const struct bw_settings *settings; /* NULL until bw_cli_settings */
    struct bw_server *server;           /* NULL until the first call */
};

/* The whole program. env is getenv, or a test's. */
int bw_cli_main(int argc, const char *const *argv, FILE *out, FILE *err,
                const char *(*env)(const char *name));

extern const struct bw_command_line bw_cli_line;

/* "bailiwick: …" on err; text is made harmless for a terminal. Returns `code`, so that a verb ends with it.
 */
int bw_cli_say(struct bw_cli *cli, int code, const char *format, ...) BW_PRINTF(3, 4);
/* A local error (no server had a say): its words, and the exit code of its code. */
int bw_cli_fail(struct bw_cli *cli, const struct bw_error *error);
int bw_cli_memory(struct bw_cli *cli);
/* A further line of words below what was said. */
void bw_cli_note(struct bw_cli *cli, const char *format, ...) BW_PRINTF(2, 3);

/* A whole file, or standard input for "-", in the arena with a NUL behind it. An exit code; 2 with words when
 * it cannot be read. */
int bw_cli_read(struct bw_cli *cli, const char *path, size_t max_bytes, struct bw_view *text);
/* The name to show for a path: "<stdin>" for "-". */
const char *bw_cli_file_name(const char *path);

/* The request id of a mutation: --request-id, or a new one. NULL (and said) when it is no UUID. */
const char *bw_cli_request_id(struct bw_cli *cli);

#endif
