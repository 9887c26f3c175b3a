/* What a document may not say although it decodes: each check, with the place it points at. */
#include "reading_policy.h"

/* HEAD with `more` behind it: line 9 on. */
#define MORE(more, code, line, col) assert_only(HEAD more, code, line, col)

static void instead(unsigned line, const char *text, enum bw_diag_code code, uint32_t col)
{
    char all[8192];
    assert_only(head_with(all, line, text, ""), code, line, col);
}

static void transit(const char *inner, enum bw_diag_code code, uint32_t col)
{
    char line[1024];
    snprintf(line, sizeof(line), "transit: { operators: { allowJurisdictions: [\"*\"] }, %s }", inner);
    instead(6, line, code, col + 53);
}

static void the_organisation_states_what_the_merge_needs(void **state)
{
    (void)state;
    static const struct {
        unsigned line;
        const char *instead, *path, *fix;
    } rows[] = {
        {4, "", "residency.atRest", "residency: { atRest: [\"*\"] }"},
        {5, "", "entry.allow", "entry: { allow: [\"*\"] }"},
        {5, "entry: { deny: [KP] }", "entry.allow", "allow: [\"*\"]"},
        {6, "transit: { operators: { allowJurisdictions: [EU] } }", "transit.allow", "allow: [\"*\"]"},
        {6, "transit: { allow: [EU] }", "transit.operators.allowJurisdictions",
         "operators: { allowJurisdictions: [\"*\"] }"},
        {6, "transit: { allow: [EU], operators: { denyJurisdictions: [US] } }",
         "transit.operators.allowJurisdictions", "allowJurisdictions: [\"*\"]"},
        {7, "e2ee: { downgrade: never }", "e2ee.mode", "mode: optional"},
        {8, "", "connectors.allow", "connectors: { allow: [\"*\"] }"},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        char text[8192];
        struct checked k;
        head_with(text, rows[i].line, rows[i].instead, "");
        check_text(&k, "p", bw_view_str(text), BW_POLICY_TENANT, false);
        assert_int_equal(k.diags.errors, 1);
        assert_int_equal(k.diags.items[0].code, BW_P_MUST_BE_STATED);
        assert_non_null(strstr(k.diags.items[0].where.message, rows[i].path));
        assert_int_equal(k.diags.items[0].fix, BW_FIX_INSERT);
        assert_string_equal(k.diags.items[0].fix_text, rows[i].fix);
        check_finish(&k);
    }
    assert_clean(HEAD);
}

static void codes_are_checked_one_by_one(void **state)
{
    (void)state;
    transit("allow: [FR, ZZ]", BW_P_UNKNOWN_TERRITORY, 13);
    transit("allow: [fr]", BW_P_UNKNOWN_TERRITORY, 9);
    transit("allow: [FR-999]", BW_P_UNKNOWN_TERRITORY, 9);
    transit("allow: [UK]", BW_P_WITHDRAWN_CODE, 9);
    transit("allow: [\"EU@1999-01-01\"]", BW_P_UNKNOWN_PIN, 9);
    transit("allow: [\"site:Geneva\"]", BW_P_BAD_TEXT, 9);
    transit("allow: [\"site:\"]", BW_P_BAD_TEXT, 9);
    transit("allow: [F\xd0\xa0]", BW_P_NOT_ASCII, 9); /* a Cyrillic letter that looks like P */
    transit("allow: [\"*\", FR]", BW_P_STAR_NOT_ALONE, 9);
    instead(5, "entry: { allow: [\"site:geneva\"] }", BW_P_PLACE_NOT_HERE, 18);
}

static void norway_is_not_false(void **state)
{
    (void)state;
    transit("allow: [SE, NO]", BW_P_LOOKS_BOOLEAN, 13);
    assert_clean("apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
                 "entry: { allow: [\"*\"] }\ntransit: { allow: [SE, \"NO\"], operators: { "
                 "allowJurisdictions: [\"*\"] } }\n"
                 "e2ee: { mode: optional }\nconnectors: { allow: [\"*\"] }\n");
}

static void the_same_place_twice_is_noticed_whatever_its_spelling(void **state)
{
    (void)state;
    transit("allow: [RE, FR-974]", BW_P_REPEATED_VALUE, 13);
    transit("allow: [\"site:a\", \"site:a\"]", BW_P_REPEATED_VALUE, 19);
    instead(8, "connectors: { allow: [sip, pstn, sip] }", BW_P_REPEATED_VALUE, 34);
}

static void what_is_denied_anyway_is_noticed(void **state)
{
    (void)state;
    transit("allow: [FR, DE], deny: [DE]", BW_P_ALLOWED_AND_DENIED, 13);
    transit("allow: [FR, DE-BY], deny: [DE]", BW_P_ALLOWED_AND_DENIED, 13);
    transit("allow: [CH, RE], deny: [FR]", BW_P_ALLOWED_AND_DENIED, 13);
    transit("allow: [FR, \"site:a\"], deny: [\"site:a\"]", BW_P_ALLOWED_AND_DENIED, 13);
    transit("allow: [FR], deny: [EU]", BW_P_ALLOWS_NOTHING, 8);
    transit("allow: [EU], deny: [\"*\"]", BW_P_DENIES_ALL, 20);
    transit("allow: []", BW_P_EMPTY_LIST_IS_NOTHING, 8);
    transit("allow: [FR], prefer: [[FR], [DE]]", BW_P_PREFER_OUTSIDE, 30);
}

static void denying_a_part_leaves_the_rest(void **state)
{
    (void)state;
    char text[8192];
    assert_clean(
        head_with(text, 6,
                  "transit: { allow: [FR], deny: [FR-974, FR-75], operators: { allowJurisdictions: [EU], "
                  "denyJurisdictions: [HU] } }",
                  ""));
}

static void groups_have_names_and_somebody_to_match(void **state)
{
    (void)state;
    MORE("groups:\n  - { name: a, match: { others: true } }\n  - { name: a, match: { members: [\"user:*\"] } "
         "}\n",
         BW_P_DUPLICATE_NAME, 11, 13);
    MORE("groups:\n  - { name: a, match: { others: true } }\n  - { name: b, match: { others: true } }\n",
         BW_P_OTHERS_TWICE, 11, 33);
    MORE("groups:\n  - { name: a, match: { others: true, members: [\"user:*\"] } }\n", BW_P_MATCH_FORM, 10,
         16);
    MORE("groups:\n  - { name: a, match: {} }\n", BW_P_MATCH_FORM, 10, 16);
    MORE("groups:\n  - { name: a, match: { others: false } }\n", BW_P_MATCH_FORM, 10, 33);
    MORE("groups:\n  - { name: a, match: { members: [] } }\n", BW_P_GROUP_NEVER_MATCHES, 10, 34);
    MORE("groups:\n  - { name: a, match: { members: [\"*@x.example\"] } }\n", BW_P_BAD_PATTERN, 10, 35);
    MORE("groups:\n  - { name: A, match: { others: true } }\n", BW_P_BAD_TEXT, 10, 13);
    MORE("groups:\n  - { match: { others: true } }\n", BW_P_MISSING_KEY, 10, 5);
    MORE("groups:\n  - { name: a }\n", BW_P_MISSING_KEY, 10, 5);
    MORE("groups: [board]\n", BW_P_WRONG_TYPE, 9, 10);
    MORE("users:\n  - { name: a, match: { others: true } }\n", BW_P_MATCH_FORM, 10, 33);
    MORE("users:\n  - { name: a, match: { members: [\"user:a@x.example\"] } }\n"
         "  - { name: a, match: { members: [\"user:b@x.example\"] } }\n",
         BW_P_DUPLICATE_NAME, 11, 13);
}

static void a_locked_section_is_not_stated_below(void **state)
{
    (void)state;
    MORE("lock: [connectors]\ngroups:\n  - name: a\n    match: { others: true }\n    connectors: { allow: [] "
         "}\n",
         BW_P_LOCKED_BELOW, 13, 5);
    MORE("lock: [transit]\nusers:\n  - name: a\n    match: { members: [\"user:*\"] }\n    transit: { allow: "
         "[FR] }\n",
         BW_P_LOCKED_BELOW, 13, 5);
    MORE("lock: [connector]\n", BW_P_BAD_ENUM, 9, 8);
    struct checked k;
    check_text(&k, "p",
               bw_view_str(HEAD
                           "lock: [e2ee, connectors]\ngroups:\n  - name: a\n    match: { others: true }\n"
                           "    connectors: { allow: [] }\n"),
               BW_POLICY_TENANT, false);
    assert_int_equal(k.diags.items[0].related.at.line, 9); /* both places are shown */
    assert_int_equal(k.diags.items[0].related.at.col, 14);
    check_finish(&k);
}

static void some_things_are_said_at_one_level_only(void **state)
{
    (void)state;
    MORE("groups:\n  - { name: a, match: { others: true }, residency: { atRest: eu } }\n",
         BW_P_NOT_AT_THIS_LEVEL, 10, 62);
    MORE("groups:\n  - { name: a, match: { others: true }, residency: { retention: { decisions: 1d } } }\n",
         BW_P_NOT_AT_THIS_LEVEL, 10, 78);
    MORE("groups:\n  - { name: a, match: { others: true }, guests: { unverified: refuse } }\n",
         BW_P_NOT_AT_THIS_LEVEL, 10, 41);
    assert_clean(HEAD "groups:\n  - { name: a, applies: attended, match: { others: true }, residency: { "
                      "atRest: [eu, ch] } }\n");
    struct checked k;
    check_text(
        &k, "m",
        bw_view_str(
            "apiVersion: bailiwick/v1\nkind: MeetingPolicy\nlock: [e2ee]\nresidency: { atRest: eu }\n"),
        BW_POLICY_MEETING, true);
    assert_int_equal(k.diags.errors, 3); /* the lock, residency and what it says */
    check_finish(&k);
}

static void encryption_and_connectors_must_agree(void **state)
{
    (void)state;
    char text[8192];
    assert_only(head_with(text, 7, "e2ee: { mode: required }", ""), BW_P_MODE_MAY_FORBID_CONNECTOR, 8, 22);
    assert_clean(head_with(text, 7, "e2ee: { mode: required, connectorsAsEndpoints: true }", ""));
    assert_clean(head_with(text, 7, "e2ee: { mode: preferred }", ""));
    assert_only(
        "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
        "entry: { allow: [\"*\"] }\ntransit: { allow: [\"*\"], operators: { allowJurisdictions: [\"*\"] } }\n"
        "e2ee: { mode: required }\nconnectors: { allow: [], require: [recording] }\n",
        BW_P_MODE_FORBIDS_CONNECTOR, 8, 36);
    assert_only(head_with(text, 7, "e2ee: { mode: forbidden, suites: [AES_128_GCM_SHA256_128] }", ""),
                BW_P_SUITES_WITHOUT_E2EE, 7, 34);
    /* a group takes over what the organisation says about endpoints */
    assert_clean(head_with(text, 7, "e2ee: { mode: preferred, connectorsAsEndpoints: true }",
                           "groups:\n  - name: a\n    match: { others: true }\n    e2ee: { mode: required }\n"
                           "    connectors: { allow: [pstn] }\n"));
}

static void exceptions_lift_only_denies_of_their_level(void **state)
{
    (void)state;
    char text[8192];
    static const char org[] =
        "transit: { allow: [EU], deny: [HU], operators: { allowJurisdictions: [\"*\"] } }";
    assert_clean(head_with(
        text, 6, org,
        "exceptions:\n  - { id: x, lifts: { transit: { deny: [HU] } }, reason: r, expires: 2027-01-31 }\n"));
    assert_only(head_with(text, 6, org,
                          "exceptions:\n  - { id: x, lifts: { transit: { deny: [RO] } }, reason: r, expires: "
                          "2027-01-31 }\n"),
                BW_P_EXCEPTION_LIFTS_NOTHING, 10, 41);
    assert_only(
        head_with(text, 6, org, "exceptions:\n  - { id: x, lifts: {}, reason: r, expires: 2027-01-31 }\n"),
        BW_P_EXCEPTION_LIFTS_NOTHING, 10, 14);
    assert_only(head_with(text, 6, org,
                          "exceptions:\n  - { id: x, lifts: { transit: { deny: [HU] } }, for: { group: "
                          "nobody }, reason: r, "
                          "expires: 2027-01-31 }\n"),
                BW_P_REFERENCE_UNKNOWN, 10, 64);
    assert_only(
        head_with(
            text, 6, org,
            "exceptions:\n  - { id: x, lifts: { transit: { deny: [HU] } }, reason: r, expires: soon }\n"),
        BW_P_BAD_DATE, 10, 70);
}

static void tests_refer_to_what_exists(void **state)
{
    (void)state;
    MORE("tests:\n  - { name: t, given: { hostGroup: x, fleet: f }, expect: {} }\n", BW_P_REFERENCE_UNKNOWN,
         10, 36);
    MORE("tests:\n  - { name: t, given: { fleet: f }, expect: { allow: [a], deny: { a: CAPACITY } } }\n",
         BW_P_TEST_CONTRADICTS, 10, 67);
    MORE("tests:\n  - { name: t, given: { fleet: f }, expect: { deny: { a: NOT_A_REASON } } }\n",
         BW_P_REFERENCE_UNKNOWN, 10, 58);
    MORE("tests:\n  - { name: t, given: { fleet: f, participants: [EU] }, expect: {} }\n",
         BW_P_PLACE_NOT_HERE, 10, 50);
    MORE("tests:\n  - { name: t, given: { fleet: f }, expect: {} }\n  - { name: t, given: { fleet: f }, "
         "expect: {} }\n",
         BW_P_DUPLICATE_NAME, 11, 13);
    MORE("tests:\n  - { name: t, given: { fleet: f, hostUser: nobody }, expect: {} }\n", BW_P_BAD_TEXT, 10,
         45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_organisation_states_what_the_merge_needs),
        cmocka_unit_test(codes_are_checked_one_by_one),
        cmocka_unit_test(norway_is_not_false),
        cmocka_unit_test(the_same_place_twice_is_noticed_whatever_its_spelling),
        cmocka_unit_test(what_is_denied_anyway_is_noticed),
        cmocka_unit_test(denying_a_part_leaves_the_rest),
        cmocka_unit_test(groups_have_names_and_somebody_to_match),
        cmocka_unit_test(a_locked_section_is_not_stated_below),
        cmocka_unit_test(some_things_are_said_at_one_level_only),
        cmocka_unit_test(encryption_and_connectors_must_agree),
        cmocka_unit_test(exceptions_lift_only_denies_of_their_level),
        cmocka_unit_test(tests_refer_to_what_exists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
