/* Decoding whole documents: the complete language, the examples, hostile inputs, memory. */
#include "reading_policy.h"

#include <stdlib.h>

#include "check_alloc.h"

static const char *const examples[] = {
    "policies/fr-hospital.yaml", "policies/de-public-body.yaml",   "policies/ch-bank.yaml",
    "policies/university.yaml",  "policies/multinational-eu.yaml", "tests/fixtures/policy/minimal.yaml"};

static void every_example_is_accepted_without_a_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(examples); i++) {
        struct bw_buf text = read_file(examples[i]);
        struct checked k;
        check_text(&k, examples[i], bw_buf_view(&text), BW_POLICY_TENANT, false);
        if (k.diags.count)
            print_diags(&k);
        assert_int_equal(k.code, BW_OK);
        assert_int_equal(k.diags.count, 0);
        check_finish(&k);
        bw_buf_finish(&text);
    }
}

static void the_complete_language_is_decoded(void **state)
{
    (void)state;
    struct bw_buf text = read_file("tests/fixtures/policy/complete.yaml");
    struct checked k;
    check_text(&k, "complete.yaml", bw_buf_view(&text), BW_POLICY_TENANT, true);
    bw_buf_finish(&text); /* a document keeps what it needs */
    if (k.diags.count)
        print_diags(&k);
    assert_int_equal(k.code, BW_OK);
    assert_int_equal(k.diags.count, 0);
    const struct bw_policy_doc *doc = k.doc;
    const struct bw_policy_sections *s = &doc->sections;
    assert_string_equal(doc->source.file, "complete.yaml");
    assert_true(bw_view_equal_str(doc->tenant.text, "chu-lyon"));
    assert_int_equal(s->residency.at_rest.count, 1);
    assert_true(bw_view_equal_str(s->residency.at_rest.items[0].text, "eu"));
    assert_true(s->residency.retention.decisions.value == UINT64_C(400) * 86400000);
    assert_int_equal(s->entry.allow.items[0].kind, BW_PLACE_ALL);
    assert_int_equal(s->entry.unknown.value, BW_UNKNOWN_REFUSE);
    assert_int_equal(s->entry.unknown.at.line, 8);
    const struct bw_policy_places *allow = &s->transit.allow;
    assert_int_equal(allow->count, 3);
    assert_int_equal(allow->at.line, 10);
    assert_int_equal(allow->at.col, 10);
    assert_int_equal(allow->items[0].kind, BW_PLACE_GROUP);
    assert_int_equal(allow->items[1].kind, BW_PLACE_TERRITORY);
    assert_int_equal(allow->items[2].kind, BW_PLACE_SITE);
    assert_string_equal((const char *)allow->items[2].text.data, "geneva");
    assert_int_equal(allow->items[2].at.col, 19);
    assert_string_equal(bw_territory_code(s->transit.deny.items[1].index), "RE");
    assert_string_equal((const char *)s->transit.deny.items[1].text.data, "FR-974"); /* as written */
    assert_int_equal(s->transit.prefer.count, 2);
    assert_int_equal(s->transit.prefer.items[1].count, 2);
    assert_int_equal(s->transit.require_certifications.count, 2);
    assert_string_equal((const char *)s->transit.require_certifications.items[0].any_of.items[0].text.data,
                        "HDS");
    assert_int_equal(s->transit.require_certifications.items[1].any_of.count, 2);
    assert_int_equal(s->transit.on_no_relay.action, BW_DOC_WAIT);
    assert_int_equal(s->transit.on_no_relay.wait_ms, 30000);
    assert_int_equal(s->transit.on_policy_change.action, BW_DOC_DRAIN);
    assert_int_equal(s->transit.on_policy_change.drain_ms, 60000);
    assert_int_equal(s->e2ee.mode.value, BW_E2EE_REQUIRED);
    assert_int_equal(s->e2ee.suites.items[0].value, BW_SFRAME_AES_256_GCM_SHA512_128);
    assert_int_equal(s->connectors.allow.count, 0);
    assert_int_equal(s->connectors.allow.at.line, 24);
    assert_string_equal((const char *)s->keys.metadata.key.text.data, "key:chu-lyon/primary");
    assert_int_equal(s->lock.items[0].value, BW_SECTION_CONNECTORS);
    assert_int_equal(doc->groups.count, 2);
    assert_int_equal(doc->groups.items[0].applies.value, BW_APPLIES_ATTENDED);
    assert_true(
        bw_policy_matches_user(&doc->groups.items[0].match, bw_view_str("dr.x@board.chu-lyon.example")));
    assert_false(bw_policy_matches_user(&doc->groups.items[0].match, bw_view_str("dr.x@chu-lyon.example")));
    assert_int_equal(doc->groups.items[0].sections.entry.at.line, 0);
    assert_int_equal(doc->groups.items[1].match.others.value, 1);
    assert_int_equal(doc->exceptions.count, 1);
    assert_true(doc->exceptions.items[0].expires.value == 1801353600000);
    assert_int_equal(doc->exceptions.items[0].lifts.transit.deny.count, 1);
    assert_int_equal(doc->tests.count, 1);
    assert_int_equal(doc->tests.items[0].given.participants.count, 3);
    assert_string_equal((const char *)doc->tests.items[0].expect.deny.items[0].reason.text.data,
                        "TRANSIT_COUNTRY");
    check_finish(&k);
}

static void what_is_not_built_yet_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        unsigned line;
        const char *instead, *more;
        uint32_t at_line, at_col;
    } rows[] = {
        {4, "residency: { atRest: eu }", "keys: { metadata: { key: \"key:acme/one\" } }\n", 9, 1},
        {4, "residency: { atRest: eu }", "parent: { tenant: x, hash: y }\n", 9, 1},
        {4, "residency: { atRest: eu }", "guests: { unverified: admit }\n", 9, 23},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        char text[8192];
        struct checked k;
        head_with(text, rows[i].line, rows[i].instead, rows[i].more);
        check_text(&k, "policy.yaml", bw_view_str(text), BW_POLICY_TENANT, false);
        assert_int_equal(k.code, BW_INVALID_ARGUMENT);
        assert_int_equal(k.diags.errors, 1);
        assert_int_equal(k.diags.items[0].code, BW_P_NOT_SUPPORTED_YET);
        assert_int_equal(k.diags.items[0].where.at.line, rows[i].at_line);
        assert_int_equal(k.diags.items[0].where.at.col, rows[i].at_col);
        check_finish(&k);
    }
}

static void a_meetings_own_policy_is_read_with_the_same_sections(void **state)
{
    (void)state;
    struct bw_buf text = read_file("tests/fixtures/policy/meeting.yaml");
    struct checked k;
    check_text(&k, "meeting.yaml", bw_buf_view(&text), BW_POLICY_MEETING, false);
    assert_int_equal(k.code, BW_OK);
    assert_int_equal(k.doc->kind, BW_POLICY_MEETING);
    assert_int_equal(k.doc->sections.transit.on_no_relay.action, BW_DOC_REJECT);
    assert_int_equal(k.doc->sections.transit.on_no_relay.at.line, 3);
    check_finish(&k);
    /* and is not taken for the other kind */
    check_text(&k, "meeting.yaml", bw_buf_view(&text), BW_POLICY_TENANT, false);
    assert_non_null(find_diag(&k.diags, BW_P_BAD_ENUM));
    check_finish(&k);
    bw_buf_finish(&text);
}

static void choices_of_two_forms_are_brought_into_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum bw_doc_change action;
        uint64_t drain_ms;
    } rows[] = {
        {"keep", BW_DOC_KEEP, 0}, {"evict", BW_DOC_EVICT, 0}, {"{ drain: 2m }", BW_DOC_DRAIN, 120000}};
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        char text[8192], line[256];
        struct checked k;
        snprintf(
            line, sizeof(line),
            "transit: { allow: [\"*\"], operators: { allowJurisdictions: [\"*\"] }, onPolicyChange: %s }",
            rows[i].text);
        check_text(&k, "p", bw_view_str(head_with(text, 6, line, "")), BW_POLICY_TENANT, false);
        assert_int_equal(k.code, BW_OK);
        assert_int_equal(k.doc->sections.transit.on_policy_change.action, rows[i].action);
        assert_int_equal(k.doc->sections.transit.on_policy_change.drain_ms, rows[i].drain_ms);
        assert_int_equal(k.doc->sections.transit.on_no_relay.at.line, 0);
        check_finish(&k);
    }
}

static void mistakes_all_over_a_file_come_in_one_run(void **state)
{
    (void)state;
    static const char text[] =
        "apiVersion: bailiwick/v2\nkind: TenantPolicy\ntenant: ACME\n"
        "residency: { atRest: eu }\nentry: { alow: [\"*\"], unknown: maybe }\n"
        "transit: { allow: [EUU, FR, UK], onNoRelay: { wait: 30 } }\n"
        "e2ee: { mode: on, suites: [AES] }\nconnectors: { allow: [fax] }\n"
        "groups:\n  - name: a\n    match: { members: [nobody] }\n  - { name: a, match: {} }\n";
    struct checked k;
    check_text(&k, "policy.yaml", bw_view_str(text), BW_POLICY_TENANT, false);
    static const struct {
        enum bw_diag_code code;
        uint32_t line, col;
    } expected[] = {
        {BW_P_BAD_ENUM, 1, 13},       {BW_P_BAD_TEXT, 3, 9},       {BW_P_UNKNOWN_KEY, 5, 10},
        {BW_P_BAD_ENUM, 5, 32},       {BW_P_MUST_BE_STATED, 5, 1}, {BW_P_UNKNOWN_TERRITORY, 6, 20},
        {BW_P_WITHDRAWN_CODE, 6, 29}, {BW_P_BAD_DURATION, 6, 53},  {BW_P_MUST_BE_STATED, 6, 1},
        {BW_P_LOOKS_BOOLEAN, 7, 15},  {BW_P_BAD_ENUM, 7, 15},      {BW_P_BAD_ENUM, 7, 28},
        {BW_P_BAD_ENUM, 8, 23},       {BW_P_BAD_PATTERN, 11, 24},  {BW_P_DUPLICATE_NAME, 12, 13},
        {BW_P_MATCH_FORM, 12, 16}};
    for (size_t i = 0; i < BW_ARRAY_LEN(expected); i++) {
        bool found = false;
        for (size_t n = 0; n < k.diags.count; n++)
            found = found || (k.diags.items[n].code == expected[i].code &&
                              k.diags.items[n].where.at.line == expected[i].line &&
                              k.diags.items[n].where.at.col == expected[i].col);
        if (!found)
            print_diags(&k);
        assert_true(found);
    }
    check_finish(&k);
}

/* The expected reports are reviewed by people: a change of words shows up as a change of these files. */
static void reports_of_invalid_documents_are_as_reviewed(void **state)
{
    (void)state;
    static const char *const names[] = {"typos", "contradictions", "pitfalls", "not-built"};
    for (size_t i = 0; i < BW_ARRAY_LEN(names); i++) {
        char path[256], file[64];
        struct checked k;
        snprintf(path, sizeof(path), "tests/fixtures/policy/invalid/%s.yaml", names[i]);
        struct bw_buf text = read_file(path);
        snprintf(path, sizeof(path), "tests/fixtures/policy/invalid/%s.expected", names[i]);
        struct bw_buf expected = read_file(path);
        snprintf(file, sizeof(file), "%s.yaml", names[i]);
        check_text(&k, file, bw_buf_view(&text), BW_POLICY_TENANT, false);
        bw_diags_human(&k.diags, false, &k.out);
        assert_int_equal(k.code, BW_INVALID_ARGUMENT);
        assert_string_equal(bw_buf_cstr(&k.out), bw_buf_cstr(&expected));
        check_finish(&k);
        bw_buf_finish(&expected);
        bw_buf_finish(&text);
    }
}

static void a_flipped_byte_never_breaks_the_reader(void **state)
{
    (void)state;
    struct bw_buf text = read_file("policies/fr-hospital.yaml");
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    static const uint8_t flips[] = {0x01, 0x20, 0x80, 0xff};
    size_t refused = 0, runs = 0;
    for (size_t i = 0; i < text.len; i++) {
        for (size_t f = 0; f < BW_ARRAY_LEN(flips); f++) {
            struct bw_source source = {"flipped.yaml", bw_buf_view(&text)};
            struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
            struct bw_diags diags;
            const struct bw_policy_doc *doc = NULL;
            bw_diags_init(&diags);
            text.data[i] ^= flips[f];
            enum bw_code code = bw_policy_check(&source, &options, arena, &diags, &doc, NULL);
            text.data[i] ^= flips[f];
            assert_true(code == BW_OK ? doc != NULL && diags.errors == 0
                                      : code == BW_INVALID_ARGUMENT && !doc);
            assert_true(bw_arena_used(arena) < 1024 * 1024); /* bounded work: nothing blows up */
            refused += code != BW_OK;
            runs++;
            bw_diags_finish(&diags);
            bw_arena_reset(arena);
        }
    }
    assert_true(refused > runs / 4);
    assert_true(refused < runs);
    bw_arena_destroy(arena);
    bw_buf_finish(&text);
}

static void a_cut_file_never_breaks_the_reader(void **state)
{
    (void)state;
    struct bw_buf text = read_file("policies/fr-hospital.yaml");
    for (size_t len = 0; len < text.len; len += 3) {
        struct checked k;
        check_text(&k, "cut.yaml", bw_view_of(text.data, len), BW_POLICY_TENANT, false);
        assert_true(k.code == BW_OK || k.code == BW_INVALID_ARGUMENT);
        check_finish(&k);
    }
    bw_buf_finish(&text);
}

static void lists_are_capped(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    struct checked k;
    bw_buf_append_str(&text,
                      HEAD "groups:\n  - name: a\n    match: { others: true }\n    transit: { allow: [FR");
    for (int i = 0; i < 20000; i++)
        bw_buf_append_str(&text, ", DE");
    bw_buf_append_str(&text, "] }\n");
    check_text(&k, "long.yaml", bw_buf_view(&text), BW_POLICY_TENANT, false);
    assert_int_equal(k.diags.errors, 1);
    assert_int_equal(k.diags.items[0].code, BW_P_OUT_OF_RANGE);
    assert_int_equal(k.diags.items[0].where.at.line, 12);
    check_finish(&k);
    bw_buf_finish(&text);
}

static void the_longest_lists_are_checked(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    struct checked k;
    bw_buf_append_str(&text,
                      HEAD "groups:\n  - name: a\n    match: { others: true }\n    transit:\n      allow: [");
    for (uint16_t i = 0; i < 500; i++)
        bw_buf_printf(&text, "%s\"%s\"", i ? ", " : "",
                      bw_territory_code((uint16_t)(bw_territory_country_count() + i)));
    bw_buf_append_str(&text, "]\n      deny: [");
    for (uint16_t i = 0; i < 499; i++)
        bw_buf_printf(&text, "%s\"%s\"", i ? ", " : "",
                      bw_territory_code((uint16_t)(bw_territory_country_count() + i)));
    bw_buf_append_str(&text, "]\n");
    check_text(&k, "long.yaml", bw_buf_view(&text), BW_POLICY_TENANT, false);
    assert_int_equal(k.code, BW_OK); /* one place is left */
    assert_int_equal(k.diags.warnings, 499);
    assert_int_equal(k.diags.count, BW_DIAGS_MAX);
    check_finish(&k);
    bw_buf_finish(&text);
}

struct memory_case {
    struct bw_buf text;
};

static bool check_once(void *context)
{
    struct memory_case *m = context;
    struct bw_source source = {"complete.yaml", bw_buf_view(&m->text)};
    struct bw_policy_options options = {.kind = BW_POLICY_TENANT, .accept_later = true};
    struct bw_diags diags;
    const struct bw_policy_doc *doc = NULL;
    struct bw_error err = {0};
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    if (!arena)
        return false;
    bw_diags_init(&diags);
    enum bw_code code = bw_policy_check(&source, &options, arena, &diags, &doc, &err);
    assert_true(code == BW_OK || code == BW_RESOURCE_EXHAUSTED);
    assert_true((code == BW_OK) == (doc != NULL));
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
    return code == BW_OK;
}

static void every_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct memory_case m = {.text = read_file("tests/fixtures/policy/complete.yaml")};
    assert_true(bw_fail_each_allocation(check_once, &m, true) > 3);
    bw_buf_finish(&m.text);
}

static void a_full_arena_is_an_error(void **state)
{
    (void)state;
    struct bw_buf text = read_file("tests/fixtures/policy/complete.yaml");
    struct bw_source source = {"complete.yaml", bw_buf_view(&text)};
    struct bw_policy_options options = {.kind = BW_POLICY_TENANT, .accept_later = true};
    for (size_t cap = 64; cap < 24 * 1024; cap += 512) {
        struct bw_diags diags;
        const struct bw_policy_doc *doc = NULL;
        struct bw_arena *arena = bw_arena_create(cap);
        bw_diags_init(&diags);
        assert_int_equal(bw_policy_check(&source, &options, arena, &diags, &doc, NULL),
                         BW_RESOURCE_EXHAUSTED);
        assert_null(doc);
        bw_diags_finish(&diags);
        bw_arena_destroy(arena);
    }
    bw_buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_is_accepted_without_a_word),
        cmocka_unit_test(the_complete_language_is_decoded),
        cmocka_unit_test(what_is_not_built_yet_is_refused_by_name),
        cmocka_unit_test(a_meetings_own_policy_is_read_with_the_same_sections),
        cmocka_unit_test(choices_of_two_forms_are_brought_into_one),
        cmocka_unit_test(mistakes_all_over_a_file_come_in_one_run),
        cmocka_unit_test(reports_of_invalid_documents_are_as_reviewed),
        cmocka_unit_test(a_flipped_byte_never_breaks_the_reader),
        cmocka_unit_test(a_cut_file_never_breaks_the_reader),
        cmocka_unit_test(lists_are_capped),
        cmocka_unit_test(the_longest_lists_are_checked),
        cmocka_unit_test(every_failed_allocation_is_an_error),
        cmocka_unit_test(a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
