#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "yaml/scalar.h"
#include "yaml/suggest.h"

struct parser {
    const struct bw_command_line *line;
    struct bw_args *args;
    struct bw_arg *items;
    const char **operands;
    struct bw_error *err;
    bool only_operands; /* behind -- */
};

static enum bw_code usage(struct parser *p, const char *what, const char *hint)
{
    const struct bw_verb *verb = p->args->verb;
    const char *noun = verb != NULL ? verb->noun : p->args->noun;
    const char *name = verb != NULL && verb->name != NULL ? verb->name : NULL;
    return bw_fail(p->err, BW_INVALID_ARGUMENT, NULL, "%s%s; see `%s%s%s%s%s --help`", what, hint,
                   p->line->program, noun != NULL ? " " : "", noun != NULL ? noun : "",
                   name != NULL ? " " : "", name != NULL ? name : "");
}

static void meant(const struct bw_suggest *suggest, const char *dashes, char *hint, size_t size)
{
    hint[0] = '\0';
    if (suggest->best != NULL)
        snprintf(hint, size, "; did you mean %s%s?", dashes, suggest->best);
}

/* ---- commands ---- */

bool bw_command_line_noun_seen(const struct bw_command_line *line, size_t verb)
{
    for (size_t i = 0; i < verb; i++)
        if (strcmp(line->verbs[i]->noun, line->verbs[verb]->noun) == 0)
            return true;
    return false;
}

static enum bw_code take_noun(struct parser *p, const char *word)
{
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, bw_view_str(word));
    bool known = false;
    for (size_t i = 0; i < p->line->verb_count; i++) {
        const struct bw_verb *verb = p->line->verbs[i];
        if (verb->run != NULL)
            bw_suggest_offer(&suggest, verb->noun);
        if (strcmp(verb->noun, word) != 0)
            continue;
        known = true;
        if (verb->name == NULL)
            p->args->verb = verb;
    }
    if (!known) {
        char what[96], hint[96];
        snprintf(what, sizeof what, "there is no command '%.40s'", word);
        meant(&suggest, "", hint, sizeof hint);
        return usage(p, what, hint);
    }
    p->args->noun = word;
    return BW_OK;
}

static enum bw_code take_name(struct parser *p, const char *word)
{
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, bw_view_str(word));
    for (size_t i = 0; i < p->line->verb_count; i++) {
        const struct bw_verb *verb = p->line->verbs[i];
        if (strcmp(verb->noun, p->args->noun) != 0)
            continue;
        if (strcmp(verb->name, word) == 0) {
            p->args->verb = verb;
            return BW_OK;
        }
        if (verb->run != NULL)
            bw_suggest_offer(&suggest, verb->name);
    }
    char what[128], hint[96];
    snprintf(what, sizeof what, "there is no command '%.40s %.40s'", p->args->noun, word);
    meant(&suggest, "", hint, sizeof hint);
    return usage(p, what, hint);
}

static enum bw_code take_operand(struct parser *p, const char *word)
{
    const struct bw_verb *verb = p->args->verb;
    if (p->args->operand_count >= verb->operand_count) {
        char what[128];
        snprintf(what, sizeof what, "'%.60s' is one word too many", word);
        return usage(p, what, "");
    }
    const struct bw_operand *operand = &verb->operands[p->args->operand_count];
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, bw_view_str(word));
    bool fits = operand->choices == NULL;
    for (size_t i = 0; operand->choices != NULL && operand->choices[i] != NULL; i++) {
        bw_suggest_offer(&suggest, operand->choices[i]);
        fits = fits || strcmp(operand->choices[i], word) == 0;
    }
    if (!fits) {
        char what[128], hint[96];
        snprintf(what, sizeof what, "'%.60s' is no %s", word, operand->name);
        meant(&suggest, "", hint, sizeof hint);
        return usage(p, what, hint);
    }
    p->operands[p->args->operand_count++] = word;
    return BW_OK;
}

static enum bw_code take_word(struct parser *p, const char *word)
{
    if (p->args->noun == NULL && strcmp(word, "help") == 0 && !p->args->help) {
        p->args->help = true;
        return BW_OK;
    }
    if (p->args->noun == NULL)
        return take_noun(p, word);
    if (p->args->verb == NULL)
        return take_name(p, word);
    return p->args->help ? BW_OK : take_operand(p, word);
}

/* ---- options ---- */

static const struct bw_option *find_in(const struct bw_option *options, size_t count, const char *name,
                                       char letter)
{
    for (size_t i = 0; i < count; i++)
        if (name != NULL ? strcmp(options[i].name, name) == 0 : options[i].letter == letter)
            return &options[i];
    return NULL;
}

const struct bw_option *bw_command_line_option(const struct bw_command_line *line, const struct bw_verb *verb,
                                               const char *name)
{
    const struct bw_option *found = verb != NULL ? find_in(verb->options, verb->option_count, name, 0) : NULL;
    return found != NULL ? found : find_in(line->globals, line->global_count, name, 0);
}

static const struct bw_option *find_option(struct parser *p, const char *name, char letter)
{
    const struct bw_verb *verb = p->args->verb;
    const struct bw_option *found =
        verb != NULL ? find_in(verb->options, verb->option_count, name, letter) : NULL;
    return found != NULL ? found : find_in(p->line->globals, p->line->global_count, name, letter);
}

static enum bw_code unknown_option(struct parser *p, const char *word, const char *name)
{
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, bw_view_str(name));
    const struct bw_verb *verb = p->args->verb;
    for (size_t i = 0; verb != NULL && i < verb->option_count; i++)
        if (!(verb->options[i].flags & BW_OPTION_HIDDEN))
            bw_suggest_offer(&suggest, verb->options[i].name);
    for (size_t i = 0; i < p->line->global_count; i++)
        bw_suggest_offer(&suggest, p->line->globals[i].name);
    char what[128], hint[96];
    snprintf(what, sizeof what, "unknown option %.60s%s", word,
             verb == NULL ? " (options of a command stand behind it)" : "");
    meant(&suggest, "--", hint, sizeof hint);
    return usage(p, what, hint);
}

static enum bw_code bad_value(struct parser *p, const struct bw_option *option, const char *text,
                              const char *wanted)
{
    char what[256];
    snprintf(what, sizeof what, "--%s: '%.60s' is not %s", option->name, text, wanted);
    return usage(p, what, "");
}

static bool is_choice(const struct bw_option *option, struct bw_view item)
{
    for (size_t i = 0; option->choices[i] != NULL; i++)
        if (bw_view_equal_str(item, option->choices[i]))
            return true;
    return false;
}

static enum bw_code check_choice(struct parser *p, const struct bw_option *option, struct bw_view item)
{
    if (option->choices == NULL || is_choice(option, item))
        return BW_OK;
    char wanted[256] = "one of";
    size_t used = strlen(wanted);
    for (size_t i = 0; option->choices[i] != NULL && used < sizeof wanted; i++)
        used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%s", i == 0 ? " " : ", ",
                                 option->choices[i]);
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)item.len, (const char *)item.data);
    return bad_value(p, option, text, wanted);
}

static enum bw_code check_list(struct parser *p, const struct bw_option *option, const char *text)
{
    if (text[0] != '\0' && (option->flags & BW_OPTION_WHOLE))
        return BW_OK;
    for (;;) {
        size_t n = strcspn(text, ",");
        if (n == 0)
            return bad_value(p, option, text, "a list such as a,b");
        enum bw_code code = check_choice(p, option, bw_view_of(text, n));
        if (code != BW_OK)
            return code;
        if (text[n] == '\0')
            return BW_OK;
        text += n + 1;
    }
}

static enum bw_code check_value(struct parser *p, struct bw_arg *arg)
{
    const struct bw_option *option = arg->option;
    uint64_t max = option->max != 0 ? option->max : UINT32_MAX;
    struct bw_view text = bw_view_str(arg->text != NULL ? arg->text : "");
    char wanted[96];
    switch (option->type) {
    case BW_OPTION_FLAG:
        return BW_OK;
    case BW_OPTION_TEXT:
    case BW_OPTION_FILE:
        if (text.len == 0)
            return bad_value(p, option, "", "a value");
        return BW_OK;
    case BW_OPTION_UINT:
        if (bw_scalar_uint(text, &arg->number) && arg->number <= max)
            return BW_OK;
        snprintf(wanted, sizeof wanted, "a whole number up to %llu", (unsigned long long)max);
        return bad_value(p, option, arg->text, wanted);
    case BW_OPTION_DURATION:
        if (bw_scalar_duration(text, &arg->number) && arg->number <= max)
            return BW_OK;
        return bad_value(p, option, arg->text, "a duration such as 500ms, 30s, 5m");
    case BW_OPTION_CHOICE:
        return check_choice(p, option, text);
    case BW_OPTION_LIST:
        return check_list(p, option, arg->text);
    }
    return BW_OK;
}

static enum bw_code add_option(struct parser *p, const struct bw_option *option, const char *text)
{
    for (size_t i = 0; i < p->args->count; i++) {
        if (p->items[i].option == option && option->type != BW_OPTION_LIST) {
            char what[96];
            snprintf(what, sizeof what, "--%s is given twice", option->name);
            return usage(p, what, "");
        }
    }
    struct bw_arg *arg = &p->items[p->args->count];
    *arg = (struct bw_arg){.option = option, .text = text};
    if (strcmp(option->name, "help") == 0)
        p->args->help = true;
    enum bw_code code = check_value(p, arg);
    if (code == BW_OK)
        p->args->count++;
    return code;
}

/* `inlined` is the value in the same word, or NULL; takes the next word when one is needed. */
static enum bw_code take_option(struct parser *p, const struct bw_option *option, const char *inlined,
                                const char *const *next, int *used)
{
    char what[128];
    if (option->type == BW_OPTION_FLAG) {
        if (inlined == NULL)
            return add_option(p, option, NULL);
        snprintf(what, sizeof what, "--%s takes no value", option->name);
        return usage(p, what, "");
    }
    if (inlined != NULL)
        return add_option(p, option, inlined);
    if (*next == NULL) {
        snprintf(what, sizeof what, "--%s wants a value: %s", option->name, option->value);
        return usage(p, what, "");
    }
    (*used)++;
    return add_option(p, option, *next);
}

static enum bw_code take_long(struct parser *p, const char *word, const char *const *next, int *used)
{
    char name[64];
    const char *equals = strchr(word, '=');
    size_t n = equals != NULL ? (size_t)(equals - word) : strlen(word);
    snprintf(name, sizeof name, "%.*s", (int)(n - 2), word + 2);
    const struct bw_option *option = find_option(p, name, 0);
    if (option == NULL)
        return unknown_option(p, word, name);
    return take_option(p, option, equals != NULL ? equals + 1 : NULL, next, used);
}

static enum bw_code take_short(struct parser *p, const char *word, const char *const *next, int *used)
{
    const struct bw_option *option = find_option(p, NULL, word[1]);
    if (option == NULL)
        return unknown_option(p, word, word + 1);
    return take_option(p, option, word[2] != '\0' ? word + 2 : NULL, next, used);
}

/* ---- the whole line ---- */

static enum bw_code check_complete(struct parser *p)
{
    struct bw_args *args = p->args;
    if (args->noun == NULL)
        return usage(p, "no command given", "");
    char what[160];
    if (args->verb == NULL) {
        snprintf(what, sizeof what, "'%s' wants one more word", args->noun);
        return usage(p, what, "");
    }
    const struct bw_verb *verb = args->verb;
    for (size_t i = 0; i < verb->option_count; i++) {
        if (!(verb->options[i].flags & BW_OPTION_REQUIRED) || bw_args_given(args, verb->options[i].name))
            continue;
        snprintf(what, sizeof what, "--%s %s is missing", verb->options[i].name, verb->options[i].value);
        return usage(p, what, "");
    }
    if (args->operand_count < verb->operand_count && verb->operands[args->operand_count].required) {
        snprintf(what, sizeof what, "%s is missing", verb->operands[args->operand_count].name);
        return usage(p, what, "");
    }
    return BW_OK;
}

static enum bw_code not_built(struct parser *p)
{
    const struct bw_verb *verb = p->args->verb;
    return bw_fail(p->err, BW_UNIMPLEMENTED, NULL, "`%s %s%s%s` is not built yet", p->line->program,
                   verb->noun, verb->name != NULL ? " " : "", verb->name != NULL ? verb->name : "");
}

enum bw_code bw_args_parse(const struct bw_command_line *line, int argc, const char *const *argv,
                           struct bw_arena *arena, struct bw_args *args, struct bw_error *err)
{
    *args = (struct bw_args){.line = line};
    struct parser p = {.line = line, .args = args, .err = err};
    p.items = bw_arena_zalloc(arena, (size_t)argc + 1, sizeof *p.items);
    p.operands = bw_arena_zalloc(arena, (size_t)argc + 1, sizeof *p.operands);
    if (p.items == NULL || p.operands == NULL)
        return bw_fail_memory(err);
    args->items = p.items;
    args->operands = p.operands;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        enum bw_code code;
        if (p.only_operands || word[0] != '-' || word[1] == '\0')
            code = take_word(&p, word);
        else if (strcmp(word, "--") == 0)
            code = (p.only_operands = true, BW_OK);
        else if (word[1] == '-')
            code = take_long(&p, word, &argv[i + 1], &i);
        else
            code = take_short(&p, word, &argv[i + 1], &i);
        if (code != BW_OK)
            return code;
        /* Nothing of what follows can be known to a command that is not there. */
        if (args->verb != NULL && args->verb->run == NULL)
            return not_built(&p);
    }
    return args->help ? BW_OK : check_complete(&p);
}

/* ---- values ---- */

static const struct bw_arg *find_arg(const struct bw_args *args, const char *name)
{
    BW_CHECK(bw_command_line_option(args->line, args->verb, name) != NULL);
    for (size_t i = 0; i < args->count; i++)
        if (strcmp(args->items[i].option->name, name) == 0)
            return &args->items[i];
    return NULL;
}

bool bw_args_given(const struct bw_args *args, const char *name)
{
    return find_arg(args, name) != NULL;
}

const char *bw_args_text(const struct bw_args *args, const char *name)
{
    const struct bw_arg *arg = find_arg(args, name);
    return arg != NULL ? arg->text : NULL;
}

uint64_t bw_args_number(const struct bw_args *args, const char *name, uint64_t absent)
{
    const struct bw_arg *arg = find_arg(args, name);
    return arg != NULL ? arg->number : absent;
}

unsigned bw_args_choice(const struct bw_args *args, const char *name, unsigned absent)
{
    const struct bw_arg *arg = find_arg(args, name);
    for (unsigned i = 0; arg != NULL && arg->option->choices[i] != NULL; i++)
        if (strcmp(arg->option->choices[i], arg->text) == 0)
            return i;
    return absent;
}

bool bw_args_list(const struct bw_args *args, const char *name, struct bw_arena *arena, size_t *count,
                  const char ***items)
{
    BW_CHECK(bw_command_line_option(args->line, args->verb, name) != NULL);
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < args->count; i++)
        if (strcmp(args->items[i].option->name, name) == 0)
            bytes += strlen(args->items[i].text) + 1;
    const char **out = bw_arena_zalloc(arena, bytes + 1, sizeof *out);
    for (size_t i = 0; out != NULL && i < args->count; i++) {
        if (strcmp(args->items[i].option->name, name) != 0)
            continue;
        for (const char *text = args->items[i].text;;) {
            size_t len = args->items[i].option->flags & BW_OPTION_WHOLE ? strlen(text) : strcspn(text, ",");
            out[n] = bw_arena_strndup(arena, text, len);
            if (out[n++] == NULL)
                return false;
            if (text[len] == '\0')
                break;
            text += len + 1;
        }
    }
    if (out == NULL)
        return false;
    *items = out;
    *count = n;
    return true;
}

const char *bw_args_operand(const struct bw_args *args, size_t index)
{
    return index < args->operand_count ? args->operands[index] : NULL;
}
