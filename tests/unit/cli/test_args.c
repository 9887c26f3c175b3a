#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check_alloc.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/help.h"

static int ran(struct bw_cli *cli)
{
    (void)cli;
    return 0;
}

static const char *const colours[] = {"red", "green", NULL};
static const struct bw_option fish_options[] = {
    {.name = "file",
     .letter = 'f',
     .type = BW_OPTION_FILE,
     .flags = BW_OPTION_REQUIRED,
     .value = "FILE",
     .help = "a"},
    {.name = "count", .type = BW_OPTION_UINT, .value = "N", .max = 10, .help = "b"},
    {.name = "wait", .type = BW_OPTION_DURATION, .value = "D", .help = "c"},
    {.name = "colour", .type = BW_OPTION_CHOICE, .value = "C", .choices = colours, .help = "d"},
    {.name = "tag", .type = BW_OPTION_LIST, .value = "T", .help = "e"},
    {.name = "path", .type = BW_OPTION_LIST, .flags = BW_OPTION_WHOLE, .value = "P", .help = "f"},
    {.name = "dry", .type = BW_OPTION_FLAG, .help = "g"},
};
static const struct bw_operand fish_operands[] = {{.name = "POND", .help = "where"}};
static const struct bw_verb fish_catch = {
    .noun = "fish",
    .name = "catch",
    .summary = "catch one",
    .example = "bw fish catch -f x",
    .options = fish_options,
    .option_count = sizeof fish_options / sizeof fish_options[0],
    .operands = fish_operands,
    .operand_count = 1,
    .run = ran,
};
static const struct bw_verb fish_fry = {.noun = "fish", .name = "fry"}; /* not built */
static const struct bw_operand shell_operands[] = {
    {.name = "SHELL", .required = true, .choices = colours, .help = "which"}};
static const struct bw_verb paint = {.noun = "paint",
                                     .summary = "paint it",
                                     .example = "bw paint red",
                                     .operands = shell_operands,
                                     .operand_count = 1,
                                     .run = ran};
static const struct bw_verb *const verbs[] = {&fish_catch, &fish_fry, &paint};
static const struct bw_option globals[] = {
    {.name = "output", .letter = 'o', .type = BW_OPTION_TEXT, .value = "F", .help = "h"},
    {.name = "help", .letter = 'h', .type = BW_OPTION_FLAG, .help = "i"},
};
static const struct bw_command_line line = {"bw", verbs, 3, globals, 2};

enum { WORDS_MAX = 16 };

struct parsed {
    struct bw_arena *arena;
    struct bw_args args;
    struct bw_error err;
    enum bw_code code;
};

/* Words are separated by blanks. */
static struct parsed parse(const char *text)
{
    struct parsed parsed = {.arena = bw_arena_create(1 << 20)};
    char *copy = bw_arena_strdup(parsed.arena, text), *save = NULL;
    const char **argv = bw_arena_zalloc(parsed.arena, WORDS_MAX + 2, sizeof *argv);
    int argc = 1;
    argv[0] = bw_arena_strdup(parsed.arena, "bw");
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(word, "''") == 0 ? bw_arena_strdup(parsed.arena, "") : word;
    parsed.code = bw_args_parse(&line, argc, argv, parsed.arena, &parsed.args, &parsed.err);
    return parsed;
}

static void refuses(const char *text, const char *words)
{
    struct parsed parsed = parse(text);
    assert_int_equal(parsed.code, BW_INVALID_ARGUMENT);
    if (strstr(parsed.err.show, words) == NULL)
        print_error("%s: %s\n", text, parsed.err.show);
    assert_non_null(strstr(parsed.err.show, words));
    bw_arena_destroy(parsed.arena);
}

static void options_are_taken_in_every_spelling_and_place(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "-o json fish catch -f x --count 3 pond",
        "fish -ojson catch pond -fx --count=3",
        "fish catch --output json --file x --count 3 -- pond",
        "fish catch pond --file=x --output=json --count 3",
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct parsed p = parse(spellings[i]);
        assert_int_equal(p.code, BW_OK);
        assert_ptr_equal(p.args.verb, &fish_catch);
        assert_string_equal(bw_args_text(&p.args, "output"), "json");
        assert_string_equal(bw_args_text(&p.args, "file"), "x");
        assert_int_equal(bw_args_number(&p.args, "count", 0), 3);
        assert_string_equal(bw_args_operand(&p.args, 0), "pond");
        assert_null(bw_args_operand(&p.args, 1));
        assert_false(bw_args_given(&p.args, "dry"));
        bw_arena_destroy(p.arena);
    }
}

static void values_are_typed(void **state)
{
    (void)state;
    struct parsed p = parse("fish catch -f - --wait 2m --colour green --tag a,b --tag c --path x,y --dry");
    assert_int_equal(p.code, BW_OK);
    assert_int_equal(bw_args_number(&p.args, "wait", 0), 120000);
    assert_int_equal(bw_args_choice(&p.args, "colour", 9), 1);
    assert_true(bw_args_given(&p.args, "dry"));
    size_t count;
    const char **items;
    assert_true(bw_args_list(&p.args, "tag", p.arena, &count, &items));
    assert_int_equal(count, 3);
    assert_string_equal(items[0], "a");
    assert_string_equal(items[1], "b");
    assert_string_equal(items[2], "c");
    assert_true(bw_args_list(&p.args, "path", p.arena, &count, &items));
    assert_int_equal(count, 1);
    assert_string_equal(items[0], "x,y");
    assert_int_equal(bw_args_number(&p.args, "count", 7), 7);
    bw_arena_destroy(p.arena);
}

static void what_is_wrong_is_named_with_a_suggestion(void **state)
{
    (void)state;
    refuses("fish catch --flie x", "did you mean --file?");
    refuses("fihs catch", "did you mean fish?");
    refuses("fish cathc", "did you mean catch?");
    refuses("fish catch", "--file FILE is missing; see `bw fish catch --help`");
    refuses("fish", "'fish' wants one more word");
    refuses("", "no command given");
    refuses("fish catch -f x --count 11", "--count: '11' is not a whole number up to 10");
    refuses("fish catch -f x --count 1e3", "'1e3' is not a whole number");
    refuses("fish catch -f x --wait 5", "'5' is not a duration");
    refuses("fish catch -f x --colour blue", "'blue' is not one of red, green");
    refuses("fish catch -f x --tag a,,b", "is not a list");
    refuses("fish catch -f x -f y", "--file is given twice");
    refuses("fish catch -f", "--file wants a value: FILE");
    refuses("fish catch -f ''", "--file: '' is not a value");
    refuses("fish catch --dry=yes -f x", "--dry takes no value");
    refuses("fish catch -f x pond lake", "'lake' is one word too many");
    refuses("--dry fish catch -f x", "options of a command stand behind it");
    refuses("paint", "SHELL is missing");
    refuses("paint gren", "did you mean green?");
    refuses("fish catch -x", "unknown option -x");
}

static void a_command_that_is_not_built_says_so_whatever_follows(void **state)
{
    (void)state;
    struct parsed p = parse("fish fry --pan big");
    assert_int_equal(p.code, BW_UNIMPLEMENTED);
    assert_string_equal(p.err.show, "`bw fish fry` is not built yet");
    bw_arena_destroy(p.arena);
}

static void help_needs_nothing_else_to_be_right(void **state)
{
    (void)state;
    static const char *const asking[] = {"fish catch --help", "help fish catch", "fish catch -h",
                                         "--help fish catch"};
    for (size_t i = 0; i < sizeof asking / sizeof asking[0]; i++) {
        struct parsed p = parse(asking[i]);
        assert_int_equal(p.code, BW_OK);
        assert_true(p.args.help);
        assert_ptr_equal(p.args.verb, &fish_catch);
        bw_arena_destroy(p.arena);
    }
    struct parsed p = parse("--help");
    assert_int_equal(p.code, BW_OK);
    assert_true(p.args.help);
    assert_null(p.args.verb);
    bw_arena_destroy(p.arena);
}

static void help_names_every_option_and_hides_what_is_not_built(void **state)
{
    (void)state;
    struct parsed p = parse("fish catch --help");
    struct bw_buf out = {0};
    bw_help(&p.args, "later", &out);
    const char *text = bw_buf_cstr(&out);
    assert_non_null(strstr(text, "usage: bw fish catch [POND] --file FILE [options]"));
    for (size_t i = 0; i < sizeof fish_options / sizeof fish_options[0]; i++) {
        char option[32];
        snprintf(option, sizeof option, "--%s", fish_options[i].name);
        assert_non_null(strstr(text, option));
    }
    assert_non_null(strstr(text, "bw fish catch -f x"));
    bw_buf_finish(&out);
    bw_arena_destroy(p.arena);
    p = parse("fish --help");
    bw_help(&p.args, "later", &out);
    assert_non_null(strstr(bw_buf_cstr(&out), "catch"));
    assert_null(strstr(bw_buf_cstr(&out), "fry"));
    bw_buf_finish(&out);
    bw_arena_destroy(p.arena);
}

/* An example as a shell would take it apart: single quotes, a line that goes on, a redirection at its end. */
static int split_example(char *text, const char **argv)
{
    int argc = 0;
    for (char *at = text; *at != '\0' && *at != '>';) {
        if (*at == ' ' || *at == '\n' || *at == '\\') {
            at++;
            continue;
        }
        char end = *at == '\'' ? '\'' : ' ';
        at += end == '\'';
        argv[argc++] = at;
        at += strcspn(at, end == '\'' ? "'" : " \n)");
        if (*at != '\0')
            *at++ = '\0';
    }
    return argc;
}

static void check_example(const struct bw_verb *verb)
{
    struct bw_arena *arena = bw_arena_create(1 << 20);
    char *text = bw_arena_strdup(arena, verb->example);
    const char *argv[WORDS_MAX + 2] = {0};
    char *program = strstr(text, "bailiwick ");
    assert_non_null(program);
    struct bw_args args;
    struct bw_error err = {0};
    enum bw_code code = bw_args_parse(&bw_cli_line, split_example(program, argv), argv, arena, &args, &err);
    if (code != BW_OK)
        fail_msg("%s: %s", verb->example, err.show);
    assert_ptr_equal(args.verb, verb);
    bw_arena_destroy(arena);
}

/* What the program really has: each command can be understood without reading its code. */
static void every_command_has_words_and_an_example_that_parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_cli_line.verb_count; i++) {
        const struct bw_verb *verb = bw_cli_line.verbs[i];
        if (verb->run == NULL)
            continue;
        assert_non_null(verb->summary);
        assert_non_null(verb->example);
        check_example(verb);
        for (size_t o = 0; o < verb->option_count; o++) {
            const struct bw_option *option = &verb->options[o];
            assert_non_null(option->help);
            if (option->type != BW_OPTION_FLAG && option->value == NULL)
                fail_msg("%s: --%s has no word for its value", verb->noun, option->name);
            for (size_t other = 0; other < o; other++)
                if (strcmp(verb->options[other].name, option->name) == 0)
                    fail_msg("%s: --%s twice", verb->noun, option->name);
        }
    }
}

static bool parsing_succeeds(void *context)
{
    (void)context;
    struct parsed p = {.arena = bw_arena_create(1 << 20)};
    if (p.arena == NULL)
        return false;
    const char *const argv[] = {"bw", "fish", "catch", "-f", "x", NULL};
    enum bw_code code = bw_args_parse(&line, 5, argv, p.arena, &p.args, &p.err);
    bw_arena_destroy(p.arena);
    return code == BW_OK;
}

static void parsing_survives_failing_allocations(void **state)
{
    (void)state;
    bw_fail_each_allocation(parsing_succeeds, NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_taken_in_every_spelling_and_place),
        cmocka_unit_test(values_are_typed),
        cmocka_unit_test(what_is_wrong_is_named_with_a_suggestion),
        cmocka_unit_test(a_command_that_is_not_built_says_so_whatever_follows),
        cmocka_unit_test(help_needs_nothing_else_to_be_right),
        cmocka_unit_test(help_names_every_option_and_hides_what_is_not_built),
        cmocka_unit_test(every_command_has_words_and_an_example_that_parses),
        cmocka_unit_test(parsing_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
