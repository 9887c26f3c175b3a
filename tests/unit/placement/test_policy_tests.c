/* The tests that policies carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "kit.h"
#include "placement/policy_tests.h"

struct folder {
    struct bw_arena *arena;
};

static enum bw_code open_fleet(void *context, const char *path, struct bw_snapshot **snapshot,
                               struct bw_error *err)
{
    struct folder *folder = context;
    (void)err;
    char full[256];
    snprintf(full, sizeof full, "policies/%s", path);
    *snapshot = kit_fleet(kit_file(folder->arena, full));
    return BW_OK;
}

static struct bw_policy_test_report run(struct folder *folder, const char *policy)
{
    struct bw_policy_test_report report;
    struct bw_error err = {0};
    const struct bw_policy_doc *doc = kit_policy(folder->arena, policy);
    assert_int_equal(bw_policy_tests_run(doc, open_fleet, folder, KIT_NOW_MS, folder->arena, &report, &err),
                     BW_OK);
    return report;
}

static void print_failures(const struct bw_policy_test_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        for (size_t f = 0; f < report->results[i].failure_count; f++) {
            struct bw_buf text = {0};
            bw_policy_test_failure_text(&report->results[i].failures[f], &text);
            print_error("%s: %s\n", (const char *)report->results[i].test->name.text.data,
                        bw_buf_cstr(&text));
            bw_buf_finish(&text);
        }
}

static void every_example_policy_passes_its_own_tests(void **state)
{
    (void)state;
    static const char *const policies[] = {"ch-bank", "de-public-body", "fr-hospital", "multinational-eu",
                                           "university"};
    for (size_t i = 0; i < BW_ARRAY_LEN(policies); i++) {
        struct folder folder = {.arena = bw_arena_create(32 << 20)};
        char path[64];
        snprintf(path, sizeof path, "policies/%s.yaml", policies[i]);
        struct bw_policy_test_report report = run(&folder, kit_file(folder.arena, path));
        if (report.failed > 0)
            print_error("%s\n", path);
        print_failures(&report);
        assert_true(report.count > 0);
        assert_int_equal(report.failed, 0);
        bw_arena_destroy(folder.arena);
    }
}

static const char *const policy_text =
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
    "entry: { allow: [\"*\"], deny: [RU] }\n"
    "transit: { allow: [FR, DE, LU], deny: [GB, BE], operators: { allowJurisdictions: [\"*\"] } }\n"
    "e2ee: { mode: optional }\nconnectors: { allow: [] }\n"
    "groups:\n"
    "  - { name: board, match: { members: [\"user:*@b.example\"] }, transit: { allow: [FR] } }\n"
    "tests:\n"
    "  - name: everything is wrong\n"
    "    given: { participants: [FR, RU], fleet: examples/fleet.yaml }\n"
    "    expect: { allow: [par1, zrh1, mars1], deny: { lon1: CERTIFICATION_MISSING, fra1: TRANSIT_COUNTRY } "
    "}\n"
    "  - name: fra1 is forgotten\n"
    "    given: { fleet: examples/fleet.yaml }\n"
    "    expect: { allow: [par1] }\n"
    "  - name: all is well\n"
    "    given: { fleet: examples/fleet.yaml }\n"
    "    expect: { allow: [par1, fra1], deny: { lon1: TRANSIT_COUNTRY } }\n";

static void each_way_to_fail_is_told_apart(void **state)
{
    (void)state;
    struct folder folder = {.arena = bw_arena_create(32 << 20)};
    struct bw_policy_test_report report = run(&folder, policy_text);
    assert_int_equal(report.count, 3);
    assert_int_equal(report.failed, 2);
    static const struct {
        enum bw_policy_test_problem problem;
        const char *relay;
    } expected[] = {{BW_TEST_NOT_ADMITTED, "RU"},
                    {BW_TEST_NOT_ALLOWED, "zrh1"},
                    {BW_TEST_NO_SUCH_RELAY, "mars1"},
                    {BW_TEST_OTHER_REASON, "lon1"},
                    {BW_TEST_NOT_DENIED, "fra1"}};
    const struct bw_policy_test_result *first = &report.results[0];
    assert_int_equal(first->failure_count, BW_ARRAY_LEN(expected));
    for (size_t i = 0; i < BW_ARRAY_LEN(expected); i++) {
        assert_int_equal(first->failures[i].problem, expected[i].problem);
        assert_string_equal(first->failures[i].relay, expected[i].relay);
        assert_true(first->failures[i].at.line >= 12);
    }
    assert_int_equal(report.results[1].failure_count, 1);
    assert_int_equal(report.results[1].failures[0].problem, BW_TEST_NOT_LISTED);
    assert_string_equal(report.results[1].failures[0].relay, "fra1");
    assert_int_equal(report.results[2].failure_count, 0);
    bw_arena_destroy(folder.arena);
}

static void coverage_names_the_entries_no_test_depends_on(void **state)
{
    (void)state;
    struct folder folder = {.arena = bw_arena_create(32 << 20)};
    struct bw_policy_test_report report = run(&folder, policy_text);
    char uncovered[128] = "";
    for (size_t i = 0; i < report.entry_count; i++)
        if (!report.entries[i].covered) {
            strcat(uncovered, report.entries[i].path);
            strcat(uncovered, " ");
            strncat(uncovered, (const char *)report.entries[i].text.data, report.entries[i].text.len);
            strcat(uncovered, ";");
        }
    /* Nothing stands in Luxembourg or Belgium, and no test is about the board. */
    assert_string_equal(uncovered, "transit.allow LU;transit.deny BE;transit.allow FR;");
    assert_int_equal(report.covered, report.entry_count - 3);
    bw_arena_destroy(folder.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_policy_passes_its_own_tests),
        cmocka_unit_test(each_way_to_fail_is_told_apart),
        cmocka_unit_test(coverage_names_the_entries_no_test_depends_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
