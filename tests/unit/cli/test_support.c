/* The reply to somebody who was refused: what they can do, and nothing that is not theirs to know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/support.h"

/* As GetRefusal answers, with two relays refused for `first` and `second`. */
static json_t *refusal(const char *reasons, const char *country, const char *clause, const char *first,
                       const char *second)
{
    json_t *tree =
        json_pack("{s:s, s:s, s:s, s:[], s:[], s:[{s:s, s:[s], s:[s]}, {s:s, s:[s, s], s:[]}]}", "reference",
                  "7K2M-04QX-9ZTB-0001", "atUnixMs", "1795255200000", "country", country, "reasons",
                  "clauses", "relays", "relay", "par1", "reasons", first, "clauses", "policy.yaml:17:26",
                  "relay", "ash1", "reasons", "OPERATOR_JURISDICTION", second, "clauses");
    assert_non_null(tree);
    if (reasons != NULL)
        json_array_append_new(json_object_get(tree, "reasons"), json_string(reasons));
    if (clause != NULL)
        json_array_append_new(json_object_get(tree, "clauses"), json_string(clause));
    return tree;
}

static void everybody_gets_a_reason_and_something_to_do(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *country, *clause, *first, *second, *says, *todo;
    } rows[] = {
        {"ENTRY_COUNTRY", "KP", "policy.yaml:5:31", "DRAINING", "CAPACITY", "from the country you were in",
         "VPN"},
        {"ENTRY_COUNTRY", "", NULL, "DRAINING", "CAPACITY", "could not be told which country", "VPN"},
        {"CONNECTOR_REQUIRED", "FR", "policy.yaml:13:51", "DRAINING", "CAPACITY", "was not there yet",
         "in a few minutes"},
        {"CONNECTOR_FORBIDDEN", "FR", NULL, "DRAINING", "CAPACITY", "kind of connection",
         "a browser instead"},
        {"PARTICIPANT_POLICY", "FR", NULL, "DRAINING", "CAPACITY", "end-to-end encrypted", "current version"},
        {"PARTICIPANT_POLICY", "FR", "policy.yaml:7:1", "DRAINING", "CAPACITY",
         "your own organisation's rules", "Your own administrator"},
        {NULL, "FR", NULL, "DRAINING", "CAPACITY", "had room or was available", "try again now"},
        {NULL, "FR", NULL, "DRAINING", "FACT_UNKNOWN", "no server that satisfies", "their administrator"},
        {"UNKNOWN_REASON", "FR", NULL, "TRANSIT_COUNTRY", "FACT_UNKNOWN", "no server that satisfies",
         "their administrator"},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        json_t *tree =
            refusal(rows[i].reason, rows[i].country, rows[i].clause, rows[i].first, rows[i].second);
        struct bw_buf out = {0};
        bw_support_reply(tree, &out);
        const char *text = bw_buf_cstr(&out);
        assert_non_null(text);
        if (strstr(text, rows[i].says) == NULL || strstr(text, rows[i].todo) == NULL)
            fail_msg("row %zu: %s", i, text);
        assert_non_null(strstr(text, "7K2M-04QX-9ZTB-0001"));
        assert_non_null(strstr(text, "2026-11-21 10:00:00Z"));
        /* Relays, clauses and codes are the tenant's. */
        static const char *const secret[] = {"par1", "ash1", "policy.yaml", "JURISDICTION", "CAPACITY", "_"};
        for (size_t s = 0; s < BW_ARRAY_LEN(secret); s++)
            assert_null(strstr(text, secret[s]));
        bw_buf_finish(&out);
        json_decref(tree);
    }
}

static void what_an_answer_lacks_breaks_nothing(void **state)
{
    (void)state;
    json_t *tree = json_object();
    struct bw_buf out = {0};
    bw_support_reply(tree, &out);
    assert_non_null(strstr(bw_buf_cstr(&out), "were not let in"));
    bw_buf_finish(&out);
    json_object_set_new(tree, "reference", json_string("\033[31mred"));
    out = (struct bw_buf){0};
    bw_support_reply(tree, &out);
    assert_null(strchr(bw_buf_cstr(&out), '\033'));
    bw_buf_finish(&out);
    json_decref(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_a_reason_and_something_to_do),
        cmocka_unit_test(what_an_answer_lacks_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
