/* Field tables: every type, bounds, fallbacks, unions, dictionaries, and what is refused with which help. */
#include "reading.h"

#include <stdio.h>
#include <stdlib.h>

#include "check_alloc.h"

struct inner {
    struct bw_pos at;
    struct bw_yaml_number wait, word;
};

/* A map in a map, with a fallback inside. */
struct deep {
    struct bw_pos at;
    struct bw_yaml_number limit;
    struct inner inner;
};
struct outer {
    struct bw_pos at;
    struct deep deep;
};

struct pair {
    struct bw_yaml_text key;
    struct bw_yaml_number value;
};
BW_YAML_LIST(pairs, struct pair);

struct sample {
    struct bw_pos at;
    struct bw_yaml_text name, title;
    struct bw_yaml_number port, tls, timeout, when, mode, hidden;
    struct bw_yaml_decimal load;
    struct bw_yaml_texts list;
    struct inner inner, choice;
    struct outer outer;
    struct pairs dict;
};

static const char *const modes[] = {"required", "optional", NULL};
static const char *const words[] = {"reject", NULL};
static const struct bw_field name_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &bw_grammar_name};
static const struct bw_field pair_value = {
    .type = BW_FIELD_UINT, BW_AT(struct pair, value), .min = 0, .max = 9};
static const struct bw_field inner_fields[] = {
    {.key = "wait",
     .type = BW_FIELD_DURATION,
     BW_AT(struct inner, wait),
     .flags = BW_FIELD_REQUIRED,
     .min = 1000,
     .max = 60000,
     .doc = "How long."},
};
static const struct bw_field_table inner_table = {"inner", "Inner.", inner_fields, BW_ARRAY_LEN(inner_fields),
                                                  sizeof(struct inner)};
static const struct bw_field deep_fields[] = {
    {.key = "limit", .type = BW_FIELD_UINT, BW_AT(struct deep, limit), .fallback = "7", .doc = "How many."},
    {.key = "inner", .type = BW_FIELD_MAP, BW_AT(struct deep, inner), .table = &inner_table, .doc = "Inner."},
};
static const struct bw_field_table deep_table = {"deep", "Deep.", deep_fields, BW_ARRAY_LEN(deep_fields),
                                                 sizeof(struct deep)};
static const struct bw_field outer_fields[] = {
    {.key = "deep", .type = BW_FIELD_MAP, BW_AT(struct outer, deep), .table = &deep_table, .doc = "Deep."},
};
static const struct bw_field_table outer_table = {"outer", "Outer.", outer_fields, BW_ARRAY_LEN(outer_fields),
                                                  sizeof(struct outer)};
static const struct bw_field choice_word = {.type = BW_FIELD_ENUM, BW_AT(struct inner, word), .names = words};
static const struct bw_field fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct sample, name),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The name."},
    {.key = "title",
     .type = BW_FIELD_TEXT,
     BW_AT(struct sample, title),
     .min = 2,
     .max = 10,
     .doc = "Free text."},
    {.key = "port",
     .type = BW_FIELD_UINT,
     BW_AT(struct sample, port),
     .min = 1,
     .max = 65535,
     .fallback = "7443",
     .doc = "The port."},
    {.key = "tls", .type = BW_FIELD_BOOL, BW_AT(struct sample, tls), .fallback = "true", .doc = "Whether."},
    {.key = "timeout",
     .type = BW_FIELD_DURATION,
     BW_AT(struct sample, timeout),
     .fallback = "30s",
     .doc = "When."},
    {.key = "when", .type = BW_FIELD_WHEN, BW_AT(struct sample, when), .doc = "A day."},
    {.key = "mode", .type = BW_FIELD_ENUM, BW_AT(struct sample, mode), .names = modes, .doc = "Mode."},
    {.key = "load",
     .type = BW_FIELD_DECIMAL,
     BW_AT(struct sample, load),
     .min = 0,
     .max = 1000000,
     .doc = "Load."},
    {.key = "list",
     .type = BW_FIELD_LIST,
     BW_AT(struct sample, list),
     .item = &name_item,
     .flags = BW_FIELD_SCALAR_OK,
     .max = 3,
     .doc = "Names."},
    {.key = "inner",
     .type = BW_FIELD_MAP,
     BW_AT(struct sample, inner),
     .table = &inner_table,
     .doc = "Inner."},
    {.key = "outer",
     .type = BW_FIELD_MAP,
     BW_AT(struct sample, outer),
     .table = &outer_table,
     .doc = "Maps in a map."},
    {.key = "choice",
     .type = BW_FIELD_UNION,
     BW_AT(struct sample, choice),
     .item = &choice_word,
     .table = &inner_table,
     .doc = "Either."},
    {.key = "dict",
     .type = BW_FIELD_DICT,
     BW_AT(struct sample, dict),
     .item = &pair_value,
     .stride = sizeof(struct pair),
     .grammar = &bw_grammar_name,
     .max = 4,
     .doc = "Free keys."},
    {.key = "hidden",
     .type = BW_FIELD_UINT,
     BW_AT(struct sample, hidden),
     .flags = BW_FIELD_LATER,
     .doc = "Not built."},
};
static const struct bw_field_table table = {"Sample", "A sample.", fields, BW_ARRAY_LEN(fields),
                                            sizeof(struct sample)};

struct loaded {
    struct bw_arena *arena;
    struct bw_diags diags;
    struct sample sample;
    enum bw_code code;
    struct bw_error err;
    struct bw_buf out;
};

static void load_as(struct loaded *l, const char *text, bool later)
{
    const struct bw_source source = {"sample.yaml", bw_view_str(text)};
    *l = (struct loaded){.arena = bw_arena_create(BW_YAML_ARENA_BYTES)};
    bw_diags_init(&l->diags);
    l->code = bw_yaml_load(&source, &table, &l->sample, later, l->arena, &l->diags, &l->err);
}

static void load(struct loaded *l, const char *text)
{
    load_as(l, text, false);
}

static void unload(struct loaded *l)
{
    bw_buf_finish(&l->out);
    bw_diags_finish(&l->diags);
    bw_arena_destroy(l->arena);
}

static void every_type_is_decoded_with_its_place(void **state)
{
    (void)state;
    struct loaded l;
    load(&l,
         "name: a-1\ntitle: two words\nport: 80\ntls: false\ntimeout: 2m\nwhen: 2027-01-31\nmode: optional\n"
         "load: 0.30\nlist: [x, z]\ninner: { wait: 5s }\nchoice: reject\ndict: { k1: 1, k2: 2 }\n");
    assert_int_equal(l.code, BW_OK);
    assert_int_equal(l.diags.count, 0);
    assert_true(bw_view_equal_str(l.sample.name.text, "a-1"));
    assert_int_equal(l.sample.port.value, 80);
    assert_int_equal(l.sample.port.at.line, 3);
    assert_int_equal(l.sample.port.at.col, 7);
    assert_int_equal(l.sample.port.at.len, 2);
    assert_int_equal(l.sample.tls.value, 0);
    assert_int_equal(l.sample.timeout.value, 120000);
    assert_true(l.sample.when.value == 1801353600000);
    assert_int_equal(l.sample.mode.value, 1);
    assert_int_equal(l.sample.load.millionths, 300000);
    assert_int_equal(l.sample.list.count, 2);
    assert_true(bw_view_equal_str(l.sample.list.items[1].text, "z"));
    assert_int_equal(l.sample.inner.at.line, 10); /* a map's place is its key */
    assert_int_equal(l.sample.inner.at.col, 1);
    assert_int_equal(l.sample.inner.wait.value, 5000);
    assert_int_equal(l.sample.choice.at.col, 9);
    assert_int_equal(l.sample.choice.word.at.col, 9);
    assert_int_equal(l.sample.choice.wait.at.line, 0);
    assert_int_equal(l.sample.dict.count, 2);
    assert_true(bw_view_equal_str(l.sample.dict.items[1].key.text, "k2"));
    assert_int_equal(l.sample.dict.items[1].value.value, 2);
    unload(&l);
}

static void absent_values_are_absent_or_their_fallback(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: a\n");
    assert_int_equal(l.code, BW_OK);
    assert_int_equal(l.sample.port.value, 7443);
    assert_int_equal(l.sample.port.at.line, 0);
    assert_int_equal(l.sample.tls.value, 1);
    assert_int_equal(l.sample.timeout.value, 30000);
    assert_int_equal(l.sample.mode.at.line, 0);
    assert_int_equal(l.sample.list.at.line, 0);
    assert_int_equal(l.sample.inner.at.line, 0);
    unload(&l);
}

static void a_map_that_is_absent_has_the_values_of_an_empty_one(void **state)
{
    (void)state;
    static const char *const texts[] = {"name: a\n", "name: a\nouter: {}\n",
                                        "name: a\nouter: { deep: {} }\n"};
    for (size_t i = 0; i < BW_ARRAY_LEN(texts); i++) {
        struct loaded l;
        load(&l, texts[i]);
        assert_int_equal(l.code, BW_OK); /* what an absent map would require is not missed */
        assert_int_equal(l.sample.outer.deep.limit.value, 7);
        assert_int_equal(l.sample.outer.deep.limit.at.line, 0);
        assert_int_equal(l.sample.outer.at.line, i > 0 ? 2 : 0);
        assert_int_equal(l.sample.outer.deep.at.line, i > 1 ? 2 : 0);
        unload(&l);
    }
}

static void an_empty_list_is_present(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: a\nlist: []\n");
    assert_int_equal(l.code, BW_OK);
    assert_int_equal(l.sample.list.at.line, 2);
    assert_int_equal(l.sample.list.count, 0);
    unload(&l);
}

static void a_scalar_may_stand_for_a_list_where_it_is_said(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: a\nlist: x\n");
    assert_int_equal(l.code, BW_OK);
    assert_int_equal(l.sample.list.count, 1);
    assert_int_equal(l.sample.list.at.col, 7);
    unload(&l);
}

/* One bad line after the required name. */
static void refuses_at(const char *line, enum bw_diag_code code, uint32_t col)
{
    struct loaded l;
    char text[512];
    assert_true((size_t)snprintf(text, sizeof(text), "name: a\n%s\n", line) < sizeof(text));
    load(&l, text);
    assert_int_equal(l.code, BW_INVALID_ARGUMENT);
    assert_int_equal(l.diags.errors, 1);
    assert_int_equal(l.diags.items[0].code, code);
    assert_int_equal(l.diags.items[0].where.at.line, 2);
    assert_int_equal(l.diags.items[0].where.at.col, col);
    assert_string_equal(l.err.reason, "INVALID_DOCUMENT");
    assert_non_null(strstr(l.err.show, "sample.yaml:2:"));
    unload(&l);
}

static void values_of_the_wrong_form_are_refused_in_place(void **state)
{
    (void)state;
    refuses_at("port: 012", BW_P_BAD_NUMBER, 7);
    refuses_at("port: 1_000", BW_P_BAD_NUMBER, 7);
    refuses_at("port: 22:22", BW_P_BAD_NUMBER, 7);
    refuses_at("port: \"80\"", BW_P_BAD_NUMBER, 7);
    refuses_at("port: 0", BW_P_OUT_OF_RANGE, 7);
    refuses_at("port: 65536", BW_P_OUT_OF_RANGE, 7);
    refuses_at("port: [1]", BW_P_WRONG_TYPE, 7);
    refuses_at("tls: yes", BW_P_BAD_BOOLEAN, 6);
    refuses_at("tls: \"true\"", BW_P_BAD_BOOLEAN, 6);
    refuses_at("timeout: 30", BW_P_BAD_DURATION, 10);
    refuses_at("inner: { wait: 61s }", BW_P_OUT_OF_RANGE, 16);
    refuses_at("when: 31.1.2027", BW_P_BAD_DATE, 7);
    refuses_at("mode: Required", BW_P_BAD_ENUM, 7);
    refuses_at("load: 1.5", BW_P_OUT_OF_RANGE, 7);
    refuses_at("load: 1e-1", BW_P_BAD_NUMBER, 7);
    refuses_at("list: {a: b}", BW_P_WRONG_TYPE, 7);
    refuses_at("list: [a, b, c, d]", BW_P_OUT_OF_RANGE, 7);
    refuses_at("list: [a, B]", BW_P_BAD_TEXT, 11);
    refuses_at("list: [a, [b]]", BW_P_WRONG_TYPE, 11);
    refuses_at("list: [a, \"\"]", BW_P_BAD_TEXT, 11);
    refuses_at("list: [a, ~]", BW_P_EMPTY_VALUE, 11);
    refuses_at("title: x", BW_P_OUT_OF_RANGE, 8);
    refuses_at("inner: 5s", BW_P_WRONG_TYPE, 8);
    refuses_at("inner: {}", BW_P_MISSING_KEY, 1);
    refuses_at("choice: [reject]", BW_P_WRONG_TYPE, 9);
    refuses_at("choice: wait", BW_P_WRONG_TYPE, 9);
    refuses_at("choice: rejct", BW_P_BAD_ENUM, 9);
    refuses_at("dict: { K: 1 }", BW_P_BAD_TEXT, 9);
    refuses_at("dict: { k: 10 }", BW_P_OUT_OF_RANGE, 12);
    refuses_at("dict: [k]", BW_P_WRONG_TYPE, 7);
}

static void empty_is_not_absent(void **state)
{
    (void)state;
    refuses_at("port:", BW_P_EMPTY_VALUE, 1);
    refuses_at("mode: ~", BW_P_EMPTY_VALUE, 1);
    refuses_at("inner: null", BW_P_EMPTY_VALUE, 1);
    refuses_at("list:", BW_P_EMPTY_VALUE, 1);
}

static void an_unknown_key_gets_a_suggestion(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: a\ntimeuot: 5s\nbanana: 1\n");
    assert_int_equal(l.diags.errors, 2);
    assert_int_equal(l.diags.items[0].code, BW_P_UNKNOWN_KEY);
    assert_string_equal(l.diags.items[0].fix_text, "timeout");
    assert_int_equal(l.diags.items[0].fix, BW_FIX_REPLACE);
    assert_non_null(strstr(l.diags.items[0].where.message, "did you mean \"timeout\"?"));
    assert_int_equal(l.diags.items[1].fix, BW_FIX_NONE);
    unload(&l);
}

static void what_is_not_built_is_refused_unless_asked_for(void **state)
{
    (void)state;
    struct loaded l;
    refuses_at("hidden: 1", BW_P_NOT_SUPPORTED_YET, 1);
    load_as(&l, "name: a\nhidden: 1\n", true);
    assert_int_equal(l.code, BW_OK);
    assert_int_equal(l.sample.hidden.value, 1);
    unload(&l);
}

static void unquoted_booleans_of_other_readers_warn_where_a_code_is_expected(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: no\nlist: [\"on\", \"y\"]\n");
    assert_int_equal(l.code, BW_OK);
    assert_int_equal(l.diags.warnings, 1);
    assert_int_equal(l.diags.items[0].code, BW_P_LOOKS_BOOLEAN);
    assert_string_equal(l.diags.items[0].fix_text, "\"no\"");
    assert_true(bw_view_equal_str(l.sample.name.text, "no"));
    unload(&l);
}

static void codes_are_ascii_and_shown_escaped(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: \xd0\xb0"
             "bc\n"); /* a Cyrillic letter that looks like a */
    assert_int_equal(l.diags.items[0].code, BW_P_NOT_ASCII);
    assert_non_null(strstr(l.diags.items[0].where.message, "\\u{430}bc"));
    unload(&l);
}

static void a_failed_load_leaves_its_output_alone(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    struct bw_diags diags;
    bw_diags_init(&diags);
    struct sample sample, before;
    memset(&sample, 0x5a, sizeof(sample));
    before = sample;
    const struct bw_source source = {"f", bw_view_str("name: a\nport: x\n")};
    assert_int_equal(bw_yaml_load(&source, &table, &sample, false, arena, &diags, NULL), BW_INVALID_ARGUMENT);
    assert_memory_equal(&sample, &before, sizeof(sample));
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
}

static void all_errors_come_in_one_run_in_order(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "tls: maybe\nport: x\nlist: [A, b, C]\ninner: { wiat: 5s }\n");
    assert_int_equal(l.code, BW_INVALID_ARGUMENT);
    static const struct {
        enum bw_diag_code code;
        uint32_t line, col;
    } expected[] = {{BW_P_MISSING_KEY, 1, 1}, {BW_P_BAD_BOOLEAN, 1, 6}, {BW_P_BAD_NUMBER, 2, 7},
                    {BW_P_BAD_TEXT, 3, 8},    {BW_P_BAD_TEXT, 3, 14},   {BW_P_MISSING_KEY, 4, 1},
                    {BW_P_UNKNOWN_KEY, 4, 10}};
    assert_int_equal(l.diags.count, BW_ARRAY_LEN(expected));
    for (size_t i = 0; i < BW_ARRAY_LEN(expected); i++)
        assert_diag(&l.diags, i, expected[i].code, expected[i].line, expected[i].col);
    unload(&l);
}

static void the_report_for_people_is_stable(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: a\nmode: requird\n");
    bw_diags_human(&l.diags, false, &l.out);
    assert_string_equal(bw_buf_cstr(&l.out),
                        "sample.yaml:2:7: error BW-P049: \"requird\" is not required or optional\n"
                        "    2 | mode: requird\n"
                        "      |       ^^^^^^^\n"
                        "      = write: required\n"
                        "1 error, 0 warnings\n");
    bw_buf_clear(&l.out);
    bw_diags_human(&l.diags, true, &l.out);
    assert_non_null(strstr(bw_buf_cstr(&l.out), "\033[1;31merror BW-P049:\033[0m"));
    unload(&l);
}

static void the_report_for_programs_is_stable(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "name: a\nname: b\nmode: requird\n");
    bw_diags_json(&l.diags, &l.out);
    assert_string_equal(bw_buf_cstr(&l.out), "{\"diagnostics\": [\n"
                                             "  {\"code\": \"BW-P015\", \"severity\": \"error\", \"file\": "
                                             "\"sample.yaml\", \"line\": 2, \"column\": 1, "
                                             "\"length\": 4, \"message\": \"\\\"name\\\" is stated twice; "
                                             "which one counts would be a guess\", \"related\": "
                                             "{\"file\": \"sample.yaml\", \"line\": 1, \"column\": 1, "
                                             "\"length\": 4, \"message\": \"first stated here\"}},\n"
                                             "  {\"code\": \"BW-P049\", \"severity\": \"error\", \"file\": "
                                             "\"sample.yaml\", \"line\": 3, \"column\": 7, "
                                             "\"length\": 7, \"message\": \"\\\"requird\\\" is not required "
                                             "or optional\", \"fix\": {\"kind\": \"replace\", "
                                             "\"text\": \"required\"}}\n"
                                             "], \"errors\": 2, \"warnings\": 0, \"omitted\": 0}\n");
    unload(&l);
}

static void reports_stop_at_a_hundred_and_say_so(void **state)
{
    (void)state;
    struct loaded l;
    struct bw_buf text = {0};
    bw_buf_append_str(&text, "name: a\n");
    for (int i = 0; i < 250; i++)
        bw_buf_printf(&text, "wrong%d: 1\n", i);
    load(&l, bw_buf_cstr(&text));
    assert_int_equal(l.diags.count, BW_DIAGS_MAX);
    assert_int_equal(l.diags.errors, 250);
    assert_int_equal(l.diags.dropped, 150);
    bw_diags_human(&l.diags, false, &l.out);
    assert_non_null(strstr(bw_buf_cstr(&l.out), "\nand 150 more\n250 errors, 0 warnings\n"));
    unload(&l);
    bw_buf_finish(&text);
}

static void warnings_never_crowd_out_an_error(void **state)
{
    (void)state;
    struct bw_diags diags;
    const struct bw_source source = {"f", bw_view_str("x\n")};
    bw_diags_init(&diags);
    for (int i = 0; i < 150; i++)
        bw_diag_add(&diags, &source, BW_P_LOOKS_BOOLEAN, (struct bw_pos){1, 1, 1}, "warning %d", i);
    assert_non_null(bw_diag_add(&diags, &source, BW_P_SYNTAX, (struct bw_pos){1, 1, 1}, "error"));
    assert_int_equal(diags.count, BW_DIAGS_MAX);
    assert_int_equal(diags.dropped, 51);
    assert_int_equal(diags.items[BW_DIAGS_MAX - 1].code, BW_P_SYNTAX);
    assert_false(bw_diags_ok(&diags));
    bw_diags_finish(&diags);
}

static void every_code_has_a_number_of_its_own_and_words(void **state)
{
    (void)state;
    static const int numbers[] = {
#define X(name, number, severity, text) number,
        BW_DIAG_MAP(X)
#undef X
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(numbers); i++) {
        char text[BW_DIAG_CODE_TEXT_SIZE];
        if (i > 0)
            assert_true(numbers[i] > numbers[i - 1]);
        assert_true(strlen(bw_diag_code_meaning((enum bw_diag_code)numbers[i])) > 0);
        assert_int_equal(strlen(bw_diag_code_text((enum bw_diag_code)numbers[i], text)), 7);
        assert_int_equal(atoi(text + 4), numbers[i]);
    }
}

static bool load_once(void *context)
{
    struct loaded l;
    (void)context;
    *(&l) = (struct loaded){.arena = bw_arena_create(BW_YAML_ARENA_BYTES)};
    if (!l.arena)
        return false;
    const struct bw_source source = {"sample.yaml",
                                     bw_view_str("name: a\nlist: [x, y]\ndict: { k: 1 }\nport: x\n")};
    bw_diags_init(&l.diags);
    enum bw_code code = bw_yaml_load(&source, &table, &l.sample, false, l.arena, &l.diags, &l.err);
    bw_diags_human(&l.diags, false, &l.out);
    bool printed = !l.out.failed;
    bool untouched = code == BW_INVALID_ARGUMENT && printed;
    assert_true(code == BW_INVALID_ARGUMENT || code == BW_RESOURCE_EXHAUSTED);
    unload(&l);
    return untouched;
}

static void every_failed_allocation_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(load_once, NULL, true) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_decoded_with_its_place),
        cmocka_unit_test(absent_values_are_absent_or_their_fallback),
        cmocka_unit_test(a_map_that_is_absent_has_the_values_of_an_empty_one),
        cmocka_unit_test(an_empty_list_is_present),
        cmocka_unit_test(a_scalar_may_stand_for_a_list_where_it_is_said),
        cmocka_unit_test(values_of_the_wrong_form_are_refused_in_place),
        cmocka_unit_test(empty_is_not_absent),
        cmocka_unit_test(an_unknown_key_gets_a_suggestion),
        cmocka_unit_test(what_is_not_built_is_refused_unless_asked_for),
        cmocka_unit_test(unquoted_booleans_of_other_readers_warn_where_a_code_is_expected),
        cmocka_unit_test(codes_are_ascii_and_shown_escaped),
        cmocka_unit_test(a_failed_load_leaves_its_output_alone),
        cmocka_unit_test(all_errors_come_in_one_run_in_order),
        cmocka_unit_test(the_report_for_people_is_stable),
        cmocka_unit_test(the_report_for_programs_is_stable),
        cmocka_unit_test(reports_stop_at_a_hundred_and_say_so),
        cmocka_unit_test(warnings_never_crowd_out_an_error),
        cmocka_unit_test(every_code_has_a_number_of_its_own_and_words),
        cmocka_unit_test(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
