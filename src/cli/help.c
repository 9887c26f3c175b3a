#include "cli/help.h"

#include <string.h>

enum { OPTION_COLUMN = 30, VERB_COLUMN = 16 };

static void pad(struct bw_buf *out, size_t from, size_t column)
{
    do
        bw_buf_append_u8(out, ' ');
    while (++from < column);
}

static void option_line(const struct bw_option *option, struct bw_buf *out)
{
    if (option->flags & BW_OPTION_HIDDEN)
        return;
    size_t start = out->len;
    if (option->letter != 0)
        bw_buf_printf(out, "  -%c, --%s", option->letter, option->name);
    else
        bw_buf_printf(out, "      --%s", option->name);
    if (option->type != BW_OPTION_FLAG)
        bw_buf_printf(out, " %s", option->value);
    pad(out, out->len - start, OPTION_COLUMN);
    bw_buf_append_str(out, option->help);
    if (option->flags & BW_OPTION_REQUIRED)
        bw_buf_append_str(out, " (required)");
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++)
        bw_buf_printf(out, "%s%s", i == 0 ? ": " : ", ", option->choices[i]);
    bw_buf_append_str(out, "\n");
}

static void options_lines(const char *title, const struct bw_option *options, size_t count,
                          struct bw_buf *out)
{
    if (count == 0)
        return;
    bw_buf_printf(out, "\n%s\n", title);
    for (size_t i = 0; i < count; i++)
        option_line(&options[i], out);
}

static void verb_help(const struct bw_command_line *line, const struct bw_verb *verb, struct bw_buf *out)
{
    bw_buf_printf(out, "%s %s%s%s: %s\n\nusage: %s %s%s%s", line->program, verb->noun,
                  verb->name != NULL ? " " : "", verb->name != NULL ? verb->name : "", verb->summary,
                  line->program, verb->noun, verb->name != NULL ? " " : "",
                  verb->name != NULL ? verb->name : "");
    for (size_t i = 0; i < verb->operand_count; i++)
        bw_buf_printf(out, verb->operands[i].required ? " %s" : " [%s]", verb->operands[i].name);
    for (size_t i = 0; i < verb->option_count; i++) {
        const struct bw_option *option = &verb->options[i];
        if (option->flags & BW_OPTION_REQUIRED)
            bw_buf_printf(out, " --%s %s", option->name, option->value);
    }
    bw_buf_append_str(out, " [options]\n");
    if (verb->about != NULL)
        bw_buf_printf(out, "\n%s\n", verb->about);
    if (verb->operand_count > 0)
        bw_buf_append_str(out, "\n");
    for (size_t i = 0; i < verb->operand_count; i++) {
        const struct bw_operand *operand = &verb->operands[i];
        bw_buf_printf(out, "  %s", operand->name);
        pad(out, strlen(operand->name) + 2, VERB_COLUMN);
        bw_buf_append_str(out, operand->help);
        for (size_t c = 0; operand->choices != NULL && operand->choices[c] != NULL; c++)
            bw_buf_printf(out, "%s%s", c == 0 ? ": " : ", ", operand->choices[c]);
        bw_buf_append_str(out, "\n");
    }
    options_lines("options", verb->options, verb->option_count, out);
    options_lines("options of every command", line->globals, line->global_count, out);
    bw_buf_printf(out, "\nexample\n  %s\n", verb->example);
}

static void noun_help(const struct bw_command_line *line, const char *noun, struct bw_buf *out)
{
    bw_buf_printf(out, "usage: %s %s COMMAND [options]\n\n", line->program, noun);
    for (size_t i = 0; i < line->verb_count; i++) {
        const struct bw_verb *verb = line->verbs[i];
        if (strcmp(verb->noun, noun) != 0 || verb->run == NULL)
            continue;
        bw_buf_printf(out, "  %s", verb->name);
        pad(out, strlen(verb->name) + 2, VERB_COLUMN + 2);
        bw_buf_printf(out, "%s\n", verb->summary);
    }
    bw_buf_printf(out, "\n`%s %s COMMAND --help` says more of each.\n", line->program, noun);
}

static bool noun_is_built(const struct bw_command_line *line, const char *noun)
{
    for (size_t i = 0; i < line->verb_count; i++)
        if (strcmp(line->verbs[i]->noun, noun) == 0 && line->verbs[i]->run != NULL)
            return true;
    return false;
}

static void program_help(const struct bw_command_line *line, const char *later, struct bw_buf *out)
{
    bw_buf_printf(out, "usage: %s [options] COMMAND ...\n\n", line->program);
    for (size_t i = 0; i < line->verb_count; i++) {
        const struct bw_verb *verb = line->verbs[i];
        if (bw_command_line_noun_seen(line, i) || !noun_is_built(line, verb->noun))
            continue;
        bw_buf_printf(out, "  %s", verb->noun);
        pad(out, strlen(verb->noun) + 2, 14);
        if (verb->name == NULL) {
            bw_buf_printf(out, "%s\n", verb->summary);
            continue;
        }
        bool first = true;
        for (size_t v = i; v < line->verb_count; v++) {
            if (strcmp(line->verbs[v]->noun, verb->noun) != 0 || line->verbs[v]->run == NULL)
                continue;
            bw_buf_printf(out, "%s%s", first ? "" : " | ", line->verbs[v]->name);
            first = false;
        }
        bw_buf_append_str(out, "\n");
    }
    bw_buf_printf(out, "\n%s\n", later);
    options_lines("options of every command", line->globals, line->global_count, out);
    bw_buf_printf(out,
                  "\nexit status\n"
                  "  0 ok; 1 the answer is no; 2 usage; 3 internal; 4 authentication or permission;\n"
                  "  5 not found; 6 conflict; 7 unavailable; 8 refused by policy; 130 interrupted\n"
                  "\n`%s COMMAND --help` says more of each command.\n",
                  line->program);
}

void bw_help(const struct bw_args *args, const char *later, struct bw_buf *out)
{
    if (args->verb != NULL)
        verb_help(args->line, args->verb, out);
    else if (args->noun != NULL)
        noun_help(args->line, args->noun, out);
    else
        program_help(args->line, later, out);
}
