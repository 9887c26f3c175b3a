#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/base64.h"
#include "cli/diagnose.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "cli/server.h"

struct shown {
    struct bw_cli cli;
    char *out, *err;
    size_t out_len, err_len;
};

static void begin(struct shown *shown, enum bw_output output)
{
    memset(shown, 0, sizeof *shown);
    shown->cli.out = open_memstream(&shown->out, &shown->out_len);
    shown->cli.err = open_memstream(&shown->err, &shown->err_len);
    shown->cli.output = output;
    shown->cli.arena = bw_arena_create(1 << 20);
}

static void end(struct shown *shown)
{
    fclose(shown->cli.out);
    fclose(shown->cli.err);
    bw_arena_destroy(shown->cli.arena);
    free(shown->out);
    free(shown->err);
}

static const struct bw_column columns[] = {
    {"NAME", "facts.name", BW_CELL_TEXT, NULL, false},
    {"STATE", "state", BW_CELL_ENUM, "RELAY_STATE_", false},
    {"SEEN", "seenUnixMs", BW_CELL_TIME, NULL, true},
    {"UNDER", "under", BW_CELL_LIST, NULL, false},
};
static const struct bw_view_table view = {
    .list = "relays", .name = "facts.name", .columns = columns, .count = 4};

static json_t *relays(void)
{
    json_t *tree = json_pack("{s:[{s:{s:s}, s:s, s:s, s:[s, s]}, {s:{s:s}, s:s, s:s, s:[]}]}", "relays",
                             "facts", "name", "par1", "state", "RELAY_STATE_NEVER_SEEN", "seenUnixMs",
                             "1795255200000", "under", "FR", "US", "facts", "name", "x\033[31m", "state",
                             "RELAY_STATE_UNSPECIFIED", "seenUnixMs", "0", "under");
    assert_non_null(tree);
    return tree;
}

static void show_in(struct shown *shown, enum bw_output output)
{
    json_t *tree = relays();
    begin(shown, output);
    assert_int_equal(bw_show(&shown->cli, tree, &view), 0);
    fflush(shown->cli.out);
    json_decref(tree);
}

static void table_picks_columns_and_wide_has_them_all(void **state)
{
    (void)state;
    struct shown s;
    show_in(&s, BW_OUTPUT_TABLE);
    assert_non_null(strstr(s.out, "par1"));
    assert_non_null(strstr(s.out, "never-seen"));
    assert_non_null(strstr(s.out, "FR,US"));
    assert_null(strstr(s.out, "SEEN"));
    end(&s);
    show_in(&s, BW_OUTPUT_WIDE);
    assert_non_null(strstr(s.out, "2026-11-21 10:00:00Z"));
    end(&s);
}

static void terminal_is_never_told_what_to_do_by_an_answer(void **state)
{
    (void)state;
    struct shown s;
    show_in(&s, BW_OUTPUT_TABLE);
    assert_null(strchr(s.out, '\033'));
    assert_non_null(strstr(s.out, "x?[31m"));
    end(&s);
    struct bw_buf text = {0};
    bw_text_harmless(&text, "a\xe2\x80\xae"
                            "b\xc2\x9b"
                            "c\xff"
                            "d\xc3\xa9\n");
    assert_string_equal(bw_buf_cstr(&text), "a?b?c?d\xc3\xa9\n");
    bw_buf_finish(&text);
}

static void names_come_one_a_line(void **state)
{
    (void)state;
    struct shown s;
    show_in(&s, BW_OUTPUT_NAME);
    assert_string_equal(s.out, "par1\nx?[31m\n");
    end(&s);
}

static void json_is_the_tree_itself(void **state)
{
    (void)state;
    struct shown s;
    show_in(&s, BW_OUTPUT_JSON);
    json_t *read = json_loads(s.out, 0, NULL), *tree = relays();
    assert_true(json_equal(read, tree));
    json_decref(read);
    json_decref(tree);
    end(&s);
}

static void yaml_quotes_what_could_be_something_else(void **state)
{
    (void)state;
    json_t *tree =
        json_pack("{s:s, s:s, s:s, s:i, s:b, s:[], s:{}, s:[{s:i, s:[s]}, s], s:n}", "a", "plain", "b", "no",
                  "c", "12", "d", 12, "e", 1, "f", "g", "h", "i", 1, "j", "k: l", "m", "n");
    struct bw_buf out = {0};
    bw_yaml_print(tree, &out);
    assert_string_equal(bw_buf_cstr(&out), "a: plain\n"
                                           "b: \"no\"\n"
                                           "c: \"12\"\n"
                                           "d: 12\n"
                                           "e: true\n"
                                           "f: []\n"
                                           "g: {}\n"
                                           "h:\n"
                                           "  - i: 1\n"
                                           "    j:\n"
                                           "      - \"k: l\"\n"
                                           "  - m\n"
                                           "\"n\": null\n");
    bw_buf_finish(&out);
    json_decref(tree);
}

static void empty_list_is_said_on_stderr(void **state)
{
    (void)state;
    struct shown s;
    begin(&s, BW_OUTPUT_TABLE);
    json_t *tree = json_pack("{s:[]}", "relays");
    assert_int_equal(bw_show(&s.cli, tree, &view), 0);
    fflush(s.cli.out);
    fflush(s.cli.err);
    assert_int_equal(s.out_len, 0);
    assert_string_equal(s.err, "none\n");
    json_decref(tree);
    end(&s);
}

/* ---- failures ---- */

static void failure_says_code_reason_violations_and_what_to_do(void **state)
{
    (void)state;
    static const struct bw_grpc_violation violation = {"name", "too long"};
    static const struct bw_grpc_pair pair = {"cell", "de"};
    struct bw_grpc_details details = {.reason = "WRONG_CELL",
                                      .metadata = &pair,
                                      .metadata_count = 1,
                                      .violations = &violation,
                                      .violation_count = 1};
    struct bw_grpc_outcome outcome = {
        .code = BW_FAILED_PRECONDITION, .message = "tenant x is of another cell", .details = &details};
    struct shown s;
    begin(&s, BW_OUTPUT_JSON);
    assert_int_equal(bw_failure(&s.cli, &outcome), BW_EXIT_CONFLICT);
    fflush(s.cli.out);
    fflush(s.cli.err);
    assert_non_null(strstr(s.err, "tenant x is of another cell (FAILED_PRECONDITION, WRONG_CELL)"));
    assert_non_null(strstr(s.err, "name: too long"));
    assert_non_null(strstr(s.err, "cell de"));
    assert_non_null(strstr(s.err, "what to do: ask that cell instead"));
    json_t *tree = json_loads(s.out, 0, NULL), *error = json_object_get(tree, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "FAILED_PRECONDITION");
    assert_string_equal(json_string_value(json_object_get(error, "reason")), "WRONG_CELL");
    assert_string_equal(json_string_value(json_object_get(json_object_get(error, "metadata"), "cell")), "de");
    json_decref(tree);
    end(&s);
}

static void table_output_keeps_stdout_clean_of_failures(void **state)
{
    (void)state;
    struct bw_grpc_outcome outcome = {.code = BW_UNAVAILABLE,
                                      .message = "cannot connect: Connection refused"};
    struct shown s;
    begin(&s, BW_OUTPUT_TABLE);
    assert_int_equal(bw_failure(&s.cli, &outcome), BW_EXIT_UNAVAILABLE);
    fflush(s.cli.out);
    fflush(s.cli.err);
    assert_int_equal(s.out_len, 0);
    assert_non_null(strstr(s.err, "nothing listens there"));
    end(&s);
}

static void refusal_names_relays_reasons_clauses_and_the_nearest_miss(void **state)
{
    (void)state;
    json_t *refusal = json_pack(
        "{s:s, s:i, s:[s], s:[s], s:[{s:s, s:[s], s:[s]}], s:{s:s, s:[s], s:[], s:s}}", "reference",
        "7K2M-04QX-9ZTB-0001", "relaysTotal", 3, "reasons", "CAPACITY", "clauses", "policy.yaml:1:2",
        "relays", "relay", "fra1", "reasons", "TRANSIT_COUNTRY", "clauses", "policy.yaml:17:26", "nearest",
        "relay", "fra1", "reasons", "TRANSIT_COUNTRY", "clauses", "change", "another country");
    assert_non_null(refusal);
    struct bw_buf out = {0};
    bw_refusal_print(refusal, &out);
    const char *text = bw_buf_cstr(&out);
    assert_non_null(strstr(text, "7K2M-04QX-9ZTB-0001"));
    assert_non_null(strstr(text, "TRANSIT_COUNTRY: media may not pass through that country"));
    assert_non_null(strstr(text, "see policy.yaml:17:26"));
    assert_non_null(strstr(text, "and 2 more"));
    assert_non_null(strstr(text, "nearest miss: fra1; what stands in the way: another country"));
    bw_buf_finish(&out);
    json_decref(refusal);
}

static void connection_that_fails_on_identity_is_authentication(void **state)
{
    (void)state;
    static const struct {
        const char *message, *check;
        int status;
    } cases[] = {
        {"cannot connect: Connection refused", "port", BW_EXIT_UNAVAILABLE},
        {"cannot find nowhere.invalid:1: unknown node or service", "name", BW_EXIT_UNAVAILABLE},
        {"TLS: wrong version number", "tls", BW_EXIT_UNAVAILABLE},
        {"the peer's certificate is refused: hostname mismatch", "server name", BW_EXIT_AUTH},
        {"the peer's certificate is refused: self-signed certificate in certificate chain", "wrong ca",
         BW_EXIT_AUTH},
        {"the peer's certificate is refused: certificate has expired", "validity", BW_EXIT_AUTH},
        {"something else", "connection", BW_EXIT_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_grpc_outcome outcome = {.code = BW_UNAVAILABLE, .message = cases[i].message};
        assert_string_equal(bw_diagnose(cases[i].message).check, cases[i].check);
        assert_int_equal(bw_failure_exit(&outcome), cases[i].status);
    }
}

/* ---- small parsers ---- */

static void base64_takes_both_alphabets_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg", "foob"},
        {"-_-_", "\xfb\xff\xbf"},
        {"+/+/", "\xfb\xff\xbf"},
        {"Zm\n9v", "foo"},
        {"Z", NULL},
        {"Zm9=v", NULL},
        {"Zh==", NULL},
        {"Zm9v====", NULL},
        {"Zm9v=", NULL},
        {"Z$9v", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_buf out = {0};
        bool good = bw_base64_decode(bw_view_str(cases[i].text), &out);
        if (good != (cases[i].bytes != NULL) ||
            (good && !bw_view_equal_str(bw_buf_view(&out), cases[i].bytes)))
            fail_msg("%s", cases[i].text);
        if (!good)
            assert_int_equal(out.len, 0);
        bw_buf_finish(&out);
    }
}

static void identity_is_taken_apart_exactly(void **state)
{
    (void)state;
    struct bw_identity identity = bw_identity_parse("spiffe://eu.bailiwick.internal/admin/chu-lyon");
    assert_int_equal(identity.kind, BW_IDENTITY_ADMIN);
    assert_true(bw_view_equal_str(identity.trust_domain, "eu.bailiwick.internal"));
    assert_true(bw_view_equal_str(identity.name, "chu-lyon"));
    assert_true(bw_identity_may_call(identity.kind));
    static const char *const others[] = {
        "",
        "https://eu/app/x",
        "spiffe://eu/app",
        "spiffe://eu/app/",
        "spiffe://eu/app/x/y",
        "spiffe://eu/king/x",
        "spiffe:///app/x",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(bw_identity_parse(others[i]).kind, BW_IDENTITY_OTHER);
    assert_false(bw_identity_may_call(bw_identity_parse("spiffe://eu/relay/par1").kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_picks_columns_and_wide_has_them_all),
        cmocka_unit_test(terminal_is_never_told_what_to_do_by_an_answer),
        cmocka_unit_test(names_come_one_a_line),
        cmocka_unit_test(json_is_the_tree_itself),
        cmocka_unit_test(yaml_quotes_what_could_be_something_else),
        cmocka_unit_test(empty_list_is_said_on_stderr),
        cmocka_unit_test(failure_says_code_reason_violations_and_what_to_do),
        cmocka_unit_test(table_output_keeps_stdout_clean_of_failures),
        cmocka_unit_test(refusal_names_relays_reasons_clauses_and_the_nearest_miss),
        cmocka_unit_test(connection_that_fails_on_identity_is_authentication),
        cmocka_unit_test(base64_takes_both_alphabets_and_nothing_else),
        cmocka_unit_test(identity_is_taken_apart_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
