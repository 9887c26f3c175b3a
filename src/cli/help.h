/* Help and shell completion, printed from the tables of cli/args.h. Threads: pure. */
#ifndef BW_CLI_HELP_H
#define BW_CLI_HELP_H

#include "base/buf.h"
#include "cli/args.h"

/* Of the whole program, of a noun, or of a verb, whichever args got to. `later` is the closing line about
 * what is not built yet. */
void bw_help(const struct bw_args *args, const char *later, struct bw_buf *out);

enum bw_shell { BW_SHELL_BASH, BW_SHELL_ZSH, BW_SHELL_FISH };
void bw_completion(const struct bw_command_line *line, enum bw_shell shell, struct bw_buf *out);

#endif
