/* Completion scripts: every word they offer stands in the tables, so a script is printed anew after an
 * update and never drifts. */
#include <string.h>

#include "cli/help.h"

static bool built(const struct bw_verb *verb)
{
    return verb->run != NULL;
}

static void nouns(const struct bw_command_line *line, struct bw_buf *out)
{
    const char *last = "";
    for (size_t i = 0; i < line->verb_count; i++) {
        if (!built(line->verbs[i]) || strcmp(last, line->verbs[i]->noun) == 0)
            continue;
        last = line->verbs[i]->noun;
        bw_buf_printf(out, " %s", last);
    }
}

static void names(const struct bw_command_line *line, const char *noun, struct bw_buf *out)
{
    for (size_t i = 0; i < line->verb_count; i++) {
        const struct bw_verb *verb = line->verbs[i];
        if (!built(verb) || strcmp(verb->noun, noun) != 0)
            continue;
        if (verb->name != NULL)
            bw_buf_printf(out, " %s", verb->name);
        else if (verb->operand_count > 0 && verb->operands[0].choices != NULL)
            for (size_t c = 0; verb->operands[0].choices[c] != NULL; c++)
                bw_buf_printf(out, " %s", verb->operands[0].choices[c]);
    }
}

static void option_words(const struct bw_option *options, size_t count, struct bw_buf *out)
{
    for (size_t i = 0; i < count; i++)
        if (!(options[i].flags & BW_OPTION_HIDDEN))
            bw_buf_printf(out, " --%s", options[i].name);
}

static bool noun_starts(const struct bw_command_line *line, size_t i, const char **last)
{
    if (!built(line->verbs[i]) || strcmp(*last, line->verbs[i]->noun) == 0)
        return false;
    *last = line->verbs[i]->noun;
    return true;
}

/* ---- bash, and zsh through its bash emulation ---- */

static void bash_choices(const struct bw_option *options, size_t count, struct bw_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (options[i].choices == NULL)
            continue;
        bw_buf_printf(out, "    --%s", options[i].name);
        if (options[i].letter != 0)
            bw_buf_printf(out, "|-%c", options[i].letter);
        bw_buf_append_str(out, ") words=\"");
        for (size_t c = 0; options[i].choices[c] != NULL; c++)
            bw_buf_printf(out, "%s%s", c == 0 ? "" : " ", options[i].choices[c]);
        bw_buf_append_str(out, "\" ;;\n");
    }
}

static void bash_values(const struct bw_option *options, size_t count, struct bw_buf *out)
{
    for (size_t i = 0; i < count; i++)
        if (options[i].type != BW_OPTION_FLAG && options[i].choices == NULL)
            bw_buf_printf(out, "|--%s", options[i].name);
}

static void bash(const struct bw_command_line *line, struct bw_buf *out)
{
    const char *p = line->program;
    bw_buf_printf(out,
                  "# bash completion for %s: source this file, or put it into\n"
                  "# ~/.local/share/bash-completion/completions/%s\n"
                  "_%s()\n{\n"
                  "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
                  "  local noun= name= words= skip= i\n"
                  "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                  "    if [[ -n $skip ]]; then skip=; continue; fi\n"
                  "    case \"${COMP_WORDS[i]}\" in\n"
                  "    -f|-o",
                  p, p, p);
    bash_values(line->globals, line->global_count, out);
    bw_buf_append_str(out,
                      ") skip=1 ;;\n"
                      "    -*) ;;\n"
                      "    *) if [[ -z $noun ]]; then noun=\"${COMP_WORDS[i]}\"; elif [[ -z $name ]]; then "
                      "name=\"${COMP_WORDS[i]}\"; fi ;;\n"
                      "    esac\n"
                      "  done\n"
                      "  case \"$noun $name $previous\" in\n");
    for (size_t i = 0; i < line->verb_count; i++) {
        const struct bw_verb *verb = line->verbs[i];
        for (size_t o = 0; built(verb) && o < verb->option_count; o++) {
            if (verb->options[o].choices == NULL)
                continue;
            bw_buf_printf(out, "  \"%s %s --%s\") words=\"", verb->noun, verb->name != NULL ? verb->name : "",
                          verb->options[o].name);
            for (size_t c = 0; verb->options[o].choices[c] != NULL; c++)
                bw_buf_printf(out, "%s%s", c == 0 ? "" : " ", verb->options[o].choices[c]);
            bw_buf_append_str(out, "\" ;;\n");
        }
    }
    bw_buf_append_str(out, "  esac\n  if [[ -z $words ]]; then\n    case \"$previous\" in\n");
    bash_choices(line->globals, line->global_count, out);
    bw_buf_append_str(
        out, "    esac\n  fi\n  if [[ -z $words ]]; then\n    case \"$noun\" in\n    \"\") words=\"");
    nouns(line, out);
    option_words(line->globals, line->global_count, out);
    bw_buf_append_str(out, "\" ;;\n");
    const char *last = "";
    for (size_t i = 0; i < line->verb_count; i++) {
        if (!noun_starts(line, i, &last))
            continue;
        bw_buf_printf(out, "    %s) [[ -z $name ]] && words=\"", last);
        names(line, last, out);
        bw_buf_append_str(out, "\" ;;\n");
    }
    bw_buf_append_str(out, "    esac\n  fi\n"
                           "  if [[ $current == -* ]]; then\n    case \"$noun $name\" in\n");
    for (size_t i = 0; i < line->verb_count; i++) {
        const struct bw_verb *verb = line->verbs[i];
        if (!built(verb))
            continue;
        bw_buf_printf(out, "    \"%s %s\") words=\"", verb->noun, verb->name != NULL ? verb->name : "");
        option_words(verb->options, verb->option_count, out);
        option_words(line->globals, line->global_count, out);
        bw_buf_append_str(out, "\" ;;\n");
    }
    bw_buf_printf(
        out,
        "    esac\n  fi\n"
        "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
        "  [[ ${#COMPREPLY[@]} -eq 0 && $current != -* ]] && COMPREPLY=($(compgen -f -- \"$current\"))\n"
        "  return 0\n}\n"
        "complete -o filenames -F _%s %s\n",
        p, p);
}

static void zsh(const struct bw_command_line *line, struct bw_buf *out)
{
    bw_buf_append_str(out, "# zsh completion: source this file\n"
                           "autoload -U +X compinit && compinit\n"
                           "autoload -U +X bashcompinit && bashcompinit\n");
    bash(line, out);
}

/* ---- fish ---- */

static void fish_text(const char *text, struct bw_buf *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            bw_buf_append_u8(out, '\\');
        bw_buf_append_u8(out, (uint8_t)*text);
    }
}

static void fish_option(const char *program, const char *condition, const struct bw_option *option,
                        struct bw_buf *out)
{
    if (option->flags & BW_OPTION_HIDDEN)
        return;
    bw_buf_printf(out, "complete -c %s", program);
    if (condition[0] != '\0')
        bw_buf_printf(out, " -n '%s'", condition);
    bw_buf_printf(out, " -l %s", option->name);
    if (option->letter != 0)
        bw_buf_printf(out, " -s %c", option->letter);
    if (option->type != BW_OPTION_FLAG)
        bw_buf_append_str(out, option->type == BW_OPTION_FILE ? " -r -F" : " -x");
    if (option->choices != NULL) {
        bw_buf_append_str(out, " -a '");
        for (size_t c = 0; option->choices[c] != NULL; c++)
            bw_buf_printf(out, "%s%s", c == 0 ? "" : " ", option->choices[c]);
        bw_buf_append_str(out, "'");
    }
    bw_buf_append_str(out, " -d '");
    fish_text(option->help, out);
    bw_buf_append_str(out, "'\n");
}

static void fish_verb(const char *program, const struct bw_verb *verb, struct bw_buf *out)
{
    struct bw_buf condition = {0};
    bw_buf_printf(&condition, "__fish_seen_subcommand_from %s", verb->noun);
    if (verb->name != NULL)
        bw_buf_printf(&condition, "; and __fish_seen_subcommand_from %s", verb->name);
    const char *words = bw_buf_cstr(&condition);
    for (size_t o = 0; words != NULL && o < verb->option_count; o++)
        fish_option(program, words, &verb->options[o], out);
    bw_buf_finish(&condition);
}

static void fish(const struct bw_command_line *line, struct bw_buf *out)
{
    const char *p = line->program;
    bw_buf_printf(out, "# fish completion: put this file into ~/.config/fish/completions/%s.fish\n", p);
    for (size_t i = 0; i < line->global_count; i++)
        fish_option(p, "", &line->globals[i], out);
    const char *last = "";
    for (size_t i = 0; i < line->verb_count; i++) {
        const struct bw_verb *verb = line->verbs[i];
        if (!built(verb))
            continue;
        bool first = noun_starts(line, i, &last);
        if (first) {
            bw_buf_printf(out, "complete -c %s -n __fish_use_subcommand -f -a %s -d '", p, verb->noun);
            fish_text(verb->name == NULL ? verb->summary : "", out);
            bw_buf_append_str(out, "'\n");
        }
        if (verb->name != NULL) {
            bw_buf_printf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -f -a %s -d '", p,
                          verb->noun, verb->name);
            fish_text(verb->summary, out);
            bw_buf_append_str(out, "'\n");
        } else if (first && verb->operand_count > 0 && verb->operands[0].choices != NULL) {
            bw_buf_printf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -f -a '", p, verb->noun);
            names(line, verb->noun, out);
            bw_buf_append_str(out, "'\n");
        }
        fish_verb(p, verb, out);
    }
}

void bw_completion(const struct bw_command_line *line, enum bw_shell shell, struct bw_buf *out)
{
    switch (shell) {
    case BW_SHELL_BASH:
        bash(line, out);
        return;
    case BW_SHELL_ZSH:
        zsh(line, out);
        return;
    case BW_SHELL_FISH:
        fish(line, out);
        return;
    }
}
