/* The command line as data: verbs, their options and operands. Parsing, help and completion all come from
 * the same tables, so that none of them can promise what another does not keep. Threads: pure. Memory: the
 * arena given; texts point into argv. */
#ifndef BW_CLI_ARGS_H
#define BW_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum bw_option_type {
    BW_OPTION_FLAG,
    BW_OPTION_TEXT,
    BW_OPTION_FILE, /* as TEXT; completed from the file system */
    BW_OPTION_UINT,
    BW_OPTION_DURATION, /* "30s"; ms */
    BW_OPTION_CHOICE,   /* one of .choices */
    BW_OPTION_LIST,     /* may be repeated; commas separate */
};

enum { BW_OPTION_REQUIRED = 1, BW_OPTION_HIDDEN = 2, BW_OPTION_WHOLE = 4 /* LIST: commas do not separate */ };

struct bw_option {
    const char *name; /* "if-revision" */
    char letter;      /* 'f', or 0 */
    enum bw_option_type type;
    unsigned flags;
    const char *value;          /* what help calls the value: "FILE" */
    const char *const *choices; /* CHOICE, or LIST whose items are limited; ends with NULL */
    uint64_t max;               /* UINT and DURATION: largest value; 0: UINT32_MAX */
    const char *help;           /* one sentence without its full stop */
};

struct bw_operand {
    const char *name; /* "MEETING" */
    bool required;
    const char *const *choices; /* NULL: any */
    const char *help;
};

struct bw_cli;

struct bw_verb {
    const char *noun; /* "policy" */
    const char *name; /* "check"; NULL: the noun alone is the command */
    const char *summary;
    const char *about; /* paragraphs for its help; may be NULL */
    const char *example;
    const struct bw_option *options;
    size_t option_count;
    const struct bw_operand *operands;
    size_t operand_count;
    int (*run)(struct bw_cli *cli); /* an exit code; NULL: not built yet */
};

struct bw_command_line {
    const char *program;
    const struct bw_verb *const *verbs;
    size_t verb_count;
    const struct bw_option *globals;
    size_t global_count;
};

struct bw_arg {
    const struct bw_option *option;
    const char *text; /* FLAG: NULL */
    uint64_t number;  /* UINT, DURATION */
};

struct bw_args {
    const char *noun;           /* as given; NULL: none */
    const struct bw_verb *verb; /* NULL with help */
    bool help;
    const struct bw_arg *items; /* in the order given */
    size_t count;
    const char *const *operands;
    size_t operand_count;
    const struct bw_command_line *line;
};

/* INVALID_ARGUMENT with what is wrong, what was probably meant and where to read more; UNIMPLEMENTED for a
 * command that is known and not built. With help asked for, nothing else has to be right. */
BW_MUST_USE enum bw_code bw_args_parse(const struct bw_command_line *line, int argc, const char *const *argv,
                                       struct bw_arena *arena, struct bw_args *args, struct bw_error *err);

/* Values by name; the option must be in the verb's table or the globals (an invariant of ours). When an
 * option that is no list was given twice the parser has refused it. */
bool bw_args_given(const struct bw_args *args, const char *name);
/* NULL when absent. */
const char *bw_args_text(const struct bw_args *args, const char *name);
uint64_t bw_args_number(const struct bw_args *args, const char *name, uint64_t absent);
/* Index into the option's choices; `absent` when not given. */
unsigned bw_args_choice(const struct bw_args *args, const char *name, unsigned absent);
/* All items; *items lives in the arena. False when memory is out. */
bool bw_args_list(const struct bw_args *args, const char *name, struct bw_arena *arena, size_t *count,
                  const char ***items);
/* NULL when absent. */
const char *bw_args_operand(const struct bw_args *args, size_t index);

/* The option's row, searched in the verb (may be NULL) and the globals; NULL when there is none. */
const struct bw_option *bw_command_line_option(const struct bw_command_line *line, const struct bw_verb *verb,
                                               const char *name);
/* Is the noun the same as an earlier verb's? For those who list nouns once. */
bool bw_command_line_noun_seen(const struct bw_command_line *line, size_t verb);

#endif
