/* Every pitfall of YAML that the policy language rules out, one test each. */
#include "reading.h"

#include <stdlib.h>

static void a_tree_knows_its_places(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb:\n  - x\n  - \"y z\"\nc: {d: [e]}\n";
    struct reading r;
    reading_of(&r, text, sizeof(text) - 1);
    assert_int_equal(r.diags.count, 0);
    const struct bw_yaml_node *b = bw_yaml_get(r.root, "b");
    assert_int_equal(b->kind, BW_YAML_LIST);
    assert_int_equal(b->count, 2);
    assert_true(bw_view_equal_str(b->items[1]->text, "y z"));
    assert_true(b->items[1]->quoted);
    assert_int_equal(b->items[1]->at.line, 4);
    assert_int_equal(b->items[1]->at.col, 5);
    assert_int_equal(b->items[1]->at.len, 5);
    const struct bw_yaml_node *e = bw_yaml_get(bw_yaml_get(r.root, "c"), "d")->items[0];
    assert_int_equal(e->at.line, 5);
    assert_int_equal(e->at.col, 9);
    assert_null(bw_yaml_get(r.root, "nowhere"));
    reading_finish(&r);
}

static void anchors_are_refused(void **state)
{
    (void)state;
    REFUSED("a: &x 1\n", BW_P_ANCHOR, 1, 4);
    REFUSED("a: &x [1]\n", BW_P_ANCHOR, 1, 4);
    REFUSED("a: &x {b: 1}\n", BW_P_ANCHOR, 1, 4);
}

static void aliases_are_refused(void **state)
{
    (void)state;
    REFUSED("a: *x\n", BW_P_ALIAS, 1, 4);
    REFUSED("a: [1, *x]\n", BW_P_ALIAS, 1, 8);
}

static void a_lone_star_is_told_to_be_quoted(void **state)
{
    (void)state;
    struct reading r;
    static const char text[] = "allow: [*]\n";
    reading_of(&r, text, sizeof(text) - 1);
    assert_null(r.root);
    assert_int_equal(r.diags.items[0].code, BW_P_SYNTAX);
    assert_non_null(strstr(r.diags.items[0].fix_text, "\"*\""));
    reading_finish(&r);
}

static void merge_keys_are_refused(void **state)
{
    (void)state;
    REFUSED("<<: {a: 1}\nb: 2\n", BW_P_MERGE_KEY, 1, 1);
    REFUSED("b: {\"<<\": 1}\n", BW_P_MERGE_KEY, 1, 5);
}

static void tags_are_refused(void **state)
{
    (void)state;
    REFUSED("a: !!str 1\n", BW_P_TAG, 1, 4);
    REFUSED("a: !x [1]\n", BW_P_TAG, 1, 4);
    REFUSED("! {a: 1}\n", BW_P_TAG, 1, 1);
}

static void directives_are_refused(void **state)
{
    (void)state;
    REFUSED("%YAML 1.1\n---\na: 1\n", BW_P_DIRECTIVE, 1, 1);
    REFUSED("%TAG ! tag:x,2000:\n---\na: 1\n", BW_P_DIRECTIVE, 1, 1);
    REFUSED("# many of them cost libyaml seconds\n%TAG !a! x\n%TAG !b! x\n", BW_P_DIRECTIVE, 2, 1);
}

static void several_documents_are_refused(void **state)
{
    (void)state;
    REFUSED("a: 1\n---\nb: 1\n", BW_P_SEVERAL_DOCUMENTS, 2, 1);
    ACCEPTED("---\na: 1\n...\n");
}

static void an_empty_document_is_refused(void **state)
{
    (void)state;
    REFUSED("", BW_P_EMPTY_DOCUMENT, 1, 1);
    REFUSED("# nothing\n", BW_P_EMPTY_DOCUMENT, 1, 1);
    REFUSED("---\n", BW_P_EMPTY_DOCUMENT, 1, 1);
    REFUSED("~\n", BW_P_EMPTY_DOCUMENT, 1, 1);
}

static void duplicate_keys_show_both_places(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n";
    struct reading r;
    reading_of(&r, text, sizeof(text) - 1);
    assert_int_equal(r.diags.errors, 2);
    assert_diag(&r.diags, 0, BW_P_DUPLICATE_KEY, 4, 3);
    assert_int_equal(r.diags.items[0].related.at.line, 3);
    assert_diag(&r.diags, 1, BW_P_DUPLICATE_KEY, 5, 1);
    assert_int_equal(r.diags.items[1].related.at.line, 1);
    assert_non_null(r.diags.items[1].related.excerpt.line);
    reading_finish(&r);
    /* the spelling does not matter, the key does */
    REFUSED("a: 1\n\"a\": 2\n", BW_P_DUPLICATE_KEY, 2, 1);
}

static void complex_keys_are_refused(void **state)
{
    (void)state;
    REFUSED("? [a, b]\n: 1\n", BW_P_COMPLEX_KEY, 1, 3);
    REFUSED("{{a: 1}: 2}\n", BW_P_COMPLEX_KEY, 1, 2);
}

static void nesting_beyond_the_cap_is_refused_early(void **state)
{
    (void)state;
    enum { N = 100 * 1024 };
    char *text = malloc(N);
    struct reading r;
    memset(text, '[', N);
    reading_of(&r, text, N);
    assert_null(r.root);
    assert_diag(&r.diags, 0, BW_P_TOO_DEEP, 1, BW_YAML_MAX_DEPTH + 1);
    /* what bounds the time: libyaml is asked for no more than this, whatever the length of the text */
    assert_true(r.stats.events <= BW_YAML_MAX_DEPTH + 3);
    reading_finish(&r);
    for (size_t i = 0; i < N; i += 2)
        memcpy(text + i, "- ", 2);
    reading_of(&r, text, N);
    assert_null(r.root);
    assert_int_equal(r.diags.items[0].code, BW_P_TOO_DEEP);
    assert_true(r.stats.events <= BW_YAML_MAX_DEPTH + 3);
    reading_finish(&r);
    for (size_t i = 0; i + 4 < N; i += 4)
        memcpy(text + i, "{a: ", 4);
    reading_of(&r, text, N / 4 * 4);
    assert_int_equal(r.diags.items[0].code, BW_P_TOO_DEEP);
    reading_finish(&r);
    free(text);
}

static void depth_up_to_the_cap_is_read(void **state)
{
    (void)state;
    char text[2 * BW_YAML_MAX_DEPTH];
    memset(text, '[', BW_YAML_MAX_DEPTH);
    memset(text + BW_YAML_MAX_DEPTH, ']', BW_YAML_MAX_DEPTH);
    struct reading r;
    reading_of(&r, text, sizeof(text));
    assert_non_null(r.root);
    assert_int_equal(r.stats.max_depth, BW_YAML_MAX_DEPTH);
    reading_finish(&r);
}

static void a_file_beyond_the_cap_is_refused_unread(void **state)
{
    (void)state;
    size_t len = BW_YAML_MAX_BYTES + 1;
    char *text = malloc(len);
    memset(text, '#', len);
    struct reading r;
    reading_of(&r, text, len);
    assert_null(r.root);
    assert_diag(&r.diags, 0, BW_P_TOO_LARGE, 0, 0);
    assert_int_equal(r.stats.events, 0);
    reading_finish(&r);
    free(text);
}

static void too_many_values_are_refused_early(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    bw_buf_append_str(&text, "a: [x");
    for (int i = 0; i < 50000; i++)
        bw_buf_append_str(&text, ", x");
    bw_buf_append_str(&text, "]\n");
    assert_true(text.len < BW_YAML_MAX_BYTES);
    struct reading r;
    reading_of(&r, text.data, text.len);
    assert_null(r.root);
    assert_int_equal(r.diags.count, 1);
    assert_int_equal(r.diags.items[0].code, BW_P_TOO_MANY);
    assert_int_equal(r.stats.events, BW_YAML_MAX_EVENTS + 1);
    reading_finish(&r);
    bw_buf_finish(&text);
}

static void too_many_keys_are_refused_early(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    for (int i = 0; i < 10000; i++)
        bw_buf_printf(&text, "k%d: 1\n", i);
    struct reading r;
    reading_of(&r, text.data, text.len);
    assert_null(r.root);
    assert_diag(&r.diags, 0, BW_P_TOO_MANY, BW_YAML_MAX_KEYS + 1, 1);
    reading_finish(&r);
    bw_buf_finish(&text);
}

static void a_long_scalar_is_refused(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    bw_buf_append_str(&text, "a: ");
    for (int i = 0; i <= BW_YAML_MAX_SCALAR_BYTES; i++)
        bw_buf_append_str(&text, "x");
    bw_buf_append_str(&text, "\nb: &x 1\n");
    struct reading r;
    reading_of(&r, text.data, text.len);
    assert_int_equal(r.diags.errors, 2); /* and reading goes on */
    assert_diag(&r.diags, 0, BW_P_SCALAR_TOO_LONG, 1, 4);
    assert_diag(&r.diags, 1, BW_P_ANCHOR, 2, 4);
    reading_finish(&r);
    bw_buf_finish(&text);
}

static void encoding_errors_have_their_place(void **state)
{
    (void)state;
    REFUSED("a: 1\nb: x\xffy\n", BW_P_ENCODING, 2, 5);
    REFUSED("caf\xc3\xa9: \xc3\n", BW_P_ENCODING, 1, 7); /* cut short */
    REFUSED("a: \xc0\xaf\n", BW_P_ENCODING, 1, 4 + 0);   /* overlong: the first byte already */
    REFUSED("a: \xed\xa0\x80", BW_P_ENCODING, 1, 4);     /* a surrogate: three bad bytes */
}

static void a_file_that_is_no_text_is_not_reported_to_its_end(void **state)
{
    (void)state;
    enum { LINES = 50000 };
    char *text = malloc(2 * LINES);
    for (size_t i = 0; i < LINES; i++)
        memcpy(text + 2 * i, "\xff\n", 2);
    struct reading r;
    reading_of(&r, text, 2 * LINES);
    assert_null(r.root);
    assert_int_equal(r.diags.errors, BW_DIAGS_MAX);
    reading_finish(&r);
    free(text);
}

static void utf16_is_refused_by_name(void **state)
{
    (void)state;
    struct reading r;
    reading_of(&r,
               "\xff\xfe"
               "a\0:\0",
               6);
    assert_diag(&r.diags, 0, BW_P_ENCODING, 1, 1);
    assert_non_null(strstr(r.diags.items[0].where.message, "UTF-16"));
    reading_finish(&r);
}

static void a_byte_order_mark_shifts_no_column(void **state)
{
    (void)state;
    REFUSED("\xef\xbb\xbf"
            "a: &x 1\n",
            BW_P_ANCHOR, 1, 4);
    REFUSED("a: 1\nb: \xef\xbb\xbf 1\n", BW_P_HIDDEN_CHARACTER, 2, 4);
}

static void crlf_counts_as_one_line_end(void **state)
{
    (void)state;
    ACCEPTED("a: 1\r\nb: 2\r\n");
    REFUSED("a: 1\r\n\r\nb: &x 2\r\n", BW_P_ANCHOR, 3, 4);
}

static void line_ends_that_editors_do_not_show_are_refused(void **state)
{
    (void)state;
    /* each would end the comment for libyaml and begin a line that a reviewer does not see */
    REFUSED("a: 1 # x\rb: 2\n", BW_P_CONTROL_CHARACTER, 1, 9);
    REFUSED("a: 1 # x\xc2\x85"
            "b: 2\n",
            BW_P_CONTROL_CHARACTER, 1, 9);
    REFUSED("a: 1 # x\xe2\x80\xa8"
            "b: 2\n",
            BW_P_CONTROL_CHARACTER, 1, 9);
    REFUSED("a: 1 # x\xe2\x80\xa9"
            "b: 2\n",
            BW_P_CONTROL_CHARACTER, 1, 9);
}

static void control_characters_are_refused(void **state)
{
    (void)state;
    REFUSED("a: \x1b[31m\n", BW_P_CONTROL_CHARACTER, 1, 4);
    assert_refused("a: \0\n", 5, BW_P_CONTROL_CHARACTER, 1, 4);
    REFUSED("a: \x7f\n", BW_P_CONTROL_CHARACTER, 1, 4);
}

static void text_that_changes_direction_is_refused(void **state)
{
    (void)state;
    REFUSED("a: 1 # \xe2\x80\xae hidden\n", BW_P_HIDDEN_CHARACTER, 1, 8);
    REFUSED("a: \"\xe2\x81\xa6x\"\n", BW_P_HIDDEN_CHARACTER, 1, 5);
}

static void what_is_not_ascii_is_escaped_in_output(void **state)
{
    (void)state;
    /* a zero-width space and a Cyrillic letter in an anchor's line */
    static const char text[] = "n\xd0\xbe\xe2\x80\x8b: &x 1\n";
    struct reading r;
    reading_of(&r, text, sizeof(text) - 1);
    bw_diags_human(&r.diags, true, &r.out);
    bw_diags_json(&r.diags, &r.out);
    const char *out = bw_buf_cstr(&r.out);
    for (const char *c = out; *c; c++)
        assert_true((unsigned char)*c < 0x80);
    assert_non_null(strstr(out, "n\\u{43e}\\u{200b}: &x 1"));
    reading_finish(&r);
}

static void columns_count_code_points_and_carets_follow(void **state)
{
    (void)state;
    /* two letters of two bytes and an emoji of four come before the anchor */
    static const char text[] = "\xc3\xa9\xc3\xa8\xf0\x9f\x98\x80: &xy 1\n";
    struct reading r;
    reading_of(&r, text, sizeof(text) - 1);
    assert_diag(&r.diags, 0, BW_P_ANCHOR, 1, 6);
    bw_diags_human(&r.diags, false, &r.out);
    char *out = (char *)(uintptr_t)bw_buf_cstr(&r.out);
    char *line = strchr(out, '\n') + 1, *carets = strchr(line, '\n') + 1;
    assert_non_null(strstr(line, "\\u{e9}\\u{e8}\\u{1f600}: &xy 1"));
    size_t column = (size_t)(strchr(carets, '^') - carets);
    assert_int_equal(line[column], '&');
    reading_finish(&r);
}

static void a_long_line_is_cut_around_the_caret(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    bw_buf_append_str(&text, "a: [");
    for (int i = 0; i < 200; i++)
        bw_buf_printf(&text, "v%d, ", i);
    bw_buf_append_str(&text, "&here x");
    for (int i = 0; i < 200; i++)
        bw_buf_printf(&text, ", w%d", i);
    bw_buf_append_str(&text, "]\n");
    struct reading r;
    reading_of(&r, text.data, text.len);
    const struct bw_diag_excerpt *excerpt = &r.diags.items[0].where.excerpt;
    assert_true(strlen(excerpt->line) < 140);
    assert_memory_equal(excerpt->line + excerpt->caret, "&here", 5);
    assert_memory_equal(excerpt->line, "...", 3);
    reading_finish(&r);
    bw_buf_finish(&text);
}

static void syntax_errors_have_their_place(void **state)
{
    (void)state;
    REFUSED("a: [1, 2\nb: 3\n", BW_P_SYNTAX, 2, 2);
    REFUSED("a: 1\n\tb: 2\n", BW_P_SYNTAX, 2, 1);
    REFUSED("a: @x\n", BW_P_SYNTAX, 1, 4);
    REFUSED("a: b: c\n", BW_P_SYNTAX, 1, 5);
}

static void one_run_reports_everything(void **state)
{
    (void)state;
    static const char text[] = "a: &x 1\nb: *x\nc: !t 1\na: 2\n<<: 1\n";
    struct reading r;
    reading_of(&r, text, sizeof(text) - 1);
    assert_int_equal(r.diags.errors, 5);
    bw_diags_sort(&r.diags);
    static const enum bw_diag_code codes[] = {BW_P_ANCHOR, BW_P_ALIAS, BW_P_TAG, BW_P_DUPLICATE_KEY,
                                              BW_P_MERGE_KEY};
    for (size_t i = 0; i < 5; i++)
        assert_diag(&r.diags, i, codes[i], (uint32_t)i + 1, i == 3 || i == 4 ? 1 : 4);
    reading_finish(&r);
}

static void empty_and_null_are_empty_and_quotes_are_not(void **state)
{
    (void)state;
    static const char text[] = "a:\nb: ~\nc: null\nd: \"\"\ne: \"null\"\n";
    struct reading r;
    reading_of(&r, text, sizeof(text) - 1);
    assert_true(bw_yaml_is_empty(bw_yaml_get(r.root, "a")));
    assert_true(bw_yaml_is_empty(bw_yaml_get(r.root, "b")));
    assert_true(bw_yaml_is_empty(bw_yaml_get(r.root, "c")));
    assert_false(bw_yaml_is_empty(bw_yaml_get(r.root, "d")));
    assert_false(bw_yaml_is_empty(bw_yaml_get(r.root, "e")));
    reading_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_knows_its_places),
        cmocka_unit_test(anchors_are_refused),
        cmocka_unit_test(aliases_are_refused),
        cmocka_unit_test(a_lone_star_is_told_to_be_quoted),
        cmocka_unit_test(merge_keys_are_refused),
        cmocka_unit_test(tags_are_refused),
        cmocka_unit_test(directives_are_refused),
        cmocka_unit_test(several_documents_are_refused),
        cmocka_unit_test(an_empty_document_is_refused),
        cmocka_unit_test(duplicate_keys_show_both_places),
        cmocka_unit_test(complex_keys_are_refused),
        cmocka_unit_test(nesting_beyond_the_cap_is_refused_early),
        cmocka_unit_test(depth_up_to_the_cap_is_read),
        cmocka_unit_test(a_file_beyond_the_cap_is_refused_unread),
        cmocka_unit_test(too_many_values_are_refused_early),
        cmocka_unit_test(too_many_keys_are_refused_early),
        cmocka_unit_test(a_long_scalar_is_refused),
        cmocka_unit_test(encoding_errors_have_their_place),
        cmocka_unit_test(a_file_that_is_no_text_is_not_reported_to_its_end),
        cmocka_unit_test(utf16_is_refused_by_name),
        cmocka_unit_test(a_byte_order_mark_shifts_no_column),
        cmocka_unit_test(crlf_counts_as_one_line_end),
        cmocka_unit_test(line_ends_that_editors_do_not_show_are_refused),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(text_that_changes_direction_is_refused),
        cmocka_unit_test(what_is_not_ascii_is_escaped_in_output),
        cmocka_unit_test(columns_count_code_points_and_carets_follow),
        cmocka_unit_test(a_long_line_is_cut_around_the_caret),
        cmocka_unit_test(syntax_errors_have_their_place),
        cmocka_unit_test(one_run_reports_everything),
        cmocka_unit_test(empty_and_null_are_empty_and_quotes_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
