/* A child that would widen is refused before anything is published, with both places shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "kit.h"
#include "policy/validate.h"

/* %s: the group's sections, from line 13 on. */
static void write_policy(char *text, size_t size, const char *mode, const char *require, const char *sections)
{
    snprintf(text, size,
             "apiVersion: bailiwick/v1\n"
             "kind: TenantPolicy\n"
             "tenant: acme\n"
             "residency: { atRest: [eu, ch], retention: { quality: 30d } }\n"
             "entry: { allow: [EU, CH], unknown: refuse }\n"
             "transit: { allow: [FR, DE, CH, \"site:geneva\"], operators: { allowJurisdictions: [EU, CH] },\n"
             "           onNoRelay: { wait: 30s }, onPolicyChange: { drain: 60s } }\n"
             "e2ee: { mode: %s, suites: [AES_256_GCM_SHA512_128] }\n"
             "connectors: { allow: [pstn]%s }\n"
             "groups:\n"
             "  - name: board\n"
             "    match: { members: [\"user:*@board.example\"] }\n"
             "    %s\n",
             mode, require, sections);
}

static struct bw_diags validate(const char *mode, const char *require, const char *sections,
                                const struct bw_policy_today *today, enum bw_code *code)
{
    char text[2048];
    write_policy(text, sizeof text, mode, require, sections);
    struct bw_arena *arena = bw_arena_create(8 << 20);
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = "policy.yaml", .text = bw_view_str(text)};
    const struct bw_policy_options options = {.kind = BW_POLICY_TENANT, .accept_later = true};
    const struct bw_policy_doc *doc = NULL;
    struct bw_error err;
    *code = bw_policy_validate(&source, &options, today, arena, &diags, &doc, &err);
    assert_int_equal(doc != NULL, *code == BW_OK);
    bw_arena_destroy(arena);
    return diags;
}

static const struct bw_diag *find(const struct bw_diags *diags, enum bw_diag_code code)
{
    for (size_t i = 0; i < diags->count; i++)
        if (diags->items[i].code == code)
            return &diags->items[i];
    return NULL;
}

struct row {
    const char *mode, *require, *sections;
    enum bw_diag_code code; /* 0: accepted */
    uint32_t related_line;
    const char *words;
};

static const struct row rows[] = {
    {"optional", "", "transit: { allow: [FR] }", 0, 0, NULL},
    {"optional", "", "transit: { allow: [FR-75, \"site:geneva\"] }", 0, 0, NULL},
    {"optional", "", "transit: { allow: [\"site:paris\"] }", 0, 0, NULL}, /* the fleet knows where that is */
    {"optional", "", "transit: { deny: [US, FR] }", 0, 0, NULL},
    {"optional", "", "transit: { allow: [BE] }", BW_P_WIDENS_PARENT, 6, "allows BE in transit.allow"},
    {"optional", "", "transit: { allow: [EU] }", BW_P_WIDENS_PARENT, 6, "allows EU (so "},
    {"optional", "", "transit: { allow: [\"*\"] }", BW_P_WIDENS_PARENT, 6, "allows * (so "},
    {"optional", "", "transit: { operators: { allowJurisdictions: [US] } }", BW_P_WIDENS_PARENT, 6,
     "allows US"},
    {"optional", "", "entry: { allow: [FR, GB] }", BW_P_WIDENS_PARENT, 5, "allows GB in entry.allow"},
    {"optional", "", "entry: { unknown: allow }", BW_P_WIDENS_PARENT, 5, "unknown places"},
    {"optional", "", "connectors: { allow: [pstn, sip] }", BW_P_WIDENS_PARENT, 9, "sip"},
    {"optional", "", "e2ee: { mode: required }", 0, 0, NULL},
    {"required", "", "e2ee: { mode: optional }", BW_P_WIDENS_PARENT, 8, "without end-to-end"},
    {"required", "", "e2ee: { mode: forbidden }", BW_P_MODES_CONTRADICT, 8, "no encryption mode"},
    {"required", "", "e2ee: { suites: [AES_128_GCM_SHA256_128] }", BW_P_SUITES_CONTRADICT, 8,
     "no cipher suite"},
    {"optional", "", "e2ee: { suites: [AES_128_GCM_SHA256_128] }", BW_P_WIDENS_PARENT, 8, "AES_128_GCM"},
    {"optional", "", "e2ee: { connectorsAsEndpoints: true }", BW_P_WIDENS_PARENT, 0,
     "connectors as endpoints"},
    {"optional", "", "e2ee: { downgrade: with-consent }", BW_P_WIDENS_PARENT, 0, "lowered"},
    {"optional", "", "transit: { onNoRelay: { wait: 10s } }", 0, 0, NULL},
    {"optional", "", "transit: { onNoRelay: reject }", 0, 0, NULL},
    {"optional", "", "transit: { onNoRelay: { wait: 31s } }", BW_P_WIDENS_PARENT, 7, "waits longer"},
    {"optional", "", "transit: { onPolicyChange: evict }", 0, 0, NULL},
    {"optional", "", "transit: { onPolicyChange: keep }", BW_P_WIDENS_PARENT, 7, "live meetings"},
    {"optional", "", "transit: { onPolicyChange: { drain: 61s } }", BW_P_WIDENS_PARENT, 7, "live meetings"},
    {"optional", "", "residency: { retention: { quality: 31d } }", BW_P_WIDENS_PARENT, 4,
     "quality samples longer"},
    {"optional", "", "residency: { retention: { participants: 30d } }", 0, 0, NULL},
    {"optional", "", "residency: { retention: { participants: 31d } }", BW_P_WIDENS_PARENT, 0,
     "participants longer"},
    {"optional", ", require: [pstn]", "connectors: { allow: [] }", BW_P_CONNECTOR_CONTRADICTS, 9, "pstn"},
};

static void a_level_may_narrow_and_never_widen(void **state)
{
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        enum bw_code code;
        struct bw_diags diags = validate(rows[i].mode, rows[i].require, rows[i].sections, NULL, &code);
        if ((code == BW_OK) != (rows[i].code == 0)) {
            struct bw_buf text = {0};
            bw_diags_human(&diags, false, &text);
            print_error("%s\n%s", rows[i].sections, bw_buf_cstr(&text));
            bw_buf_finish(&text);
        }
        assert_int_equal(code, rows[i].code == 0 ? BW_OK : BW_INVALID_ARGUMENT);
        if (rows[i].code != 0) {
            const struct bw_diag *diag = find(&diags, rows[i].code);
            assert_non_null(diag);
            if (strstr(diag->where.message, rows[i].words) == NULL)
                print_error("%s\n", diag->where.message);
            assert_non_null(strstr(diag->where.message, rows[i].words));
            assert_int_equal(diag->where.at.line, 13);
            assert_int_equal(diag->related.at.line, rows[i].related_line);
        }
        bw_diags_finish(&diags);
    }
}

static const char *const fleet_text =
    "apiVersion: bailiwick/v1\n"
    "kind: Fleet\n"
    "cells: [{ name: eu, country: FR, operator: { jurisdictions: [FR] } }]\n"
    "relays:\n"
    "  - { id: par1, site: paris, country: FR, operator: { jurisdictions: [FR] } }\n"
    "  - { id: bru1, site: brussels, country: BE, operator: { jurisdictions: [BE] } }\n";

static void a_level_without_any_relay_today_is_refused(void **state)
{
    (void)state;
    struct bw_snapshot *snapshot = kit_fleet(fleet_text);
    const struct bw_policy_today today = {.facts = snapshot->facts, .cell = "eu", .now_ms = KIT_NOW_MS};
    enum bw_code code;
    struct bw_diags diags = validate("optional", "", "transit: { allow: [FR] }", &today, &code);
    assert_int_equal(code, BW_OK);
    bw_diags_finish(&diags);
    diags = validate("optional", "", "transit: { deny: [\"site:paris\"] }", &today, &code);
    assert_int_equal(code, BW_INVALID_ARGUMENT);
    const struct bw_diag *diag = find(&diags, BW_P_NO_RELAY_LEFT);
    assert_non_null(diag);
    assert_non_null(strstr(diag->where.message, "group board has no relay left"));
    bw_diags_finish(&diags);
    diags = validate("optional", "", "transit: { allow: [\"site:brussels\", FR] }", &today, &code);
    assert_int_equal(code, BW_INVALID_ARGUMENT);
    diag = find(&diags, BW_P_WIDENS_PARENT);
    assert_non_null(diag);
    assert_non_null(strstr(diag->where.message, "site:brussels, which is in BE"));
    bw_diags_finish(&diags);
    bw_snapshot_release(snapshot);
}

static void groups_that_cannot_host_together_warn(void **state)
{
    (void)state;
    enum bw_code code;
    struct bw_diags diags = validate("optional", "",
                                     "transit: { allow: [FR] }\n"
                                     "  - name: berlin\n"
                                     "    match: { members: [\"user:*@berlin.example\"] }\n"
                                     "    transit: { allow: [DE] }",
                                     NULL, &code);
    assert_int_equal(code, BW_OK);
    assert_non_null(find(&diags, BW_P_GROUPS_MAY_CONTRADICT));
    bw_diags_finish(&diags);
}

static void a_meeting_is_held_to_its_tenant_and_clamped_when_it_was_first(void **state)
{
    (void)state;
    char text[2048];
    write_policy(text, sizeof text, "required", "", "lock: []");
    struct bw_arena *arena = bw_arena_create(8 << 20);
    const struct bw_policy_doc *tenant = kit_policy(arena, text);
    const struct bw_policy_doc *meeting = kit_meeting_policy(
        arena, "apiVersion: bailiwick/v1\nkind: MeetingPolicy\ntransit: { allow: [FR, US] }\n");
    struct bw_diags diags;
    bw_diags_init(&diags);
    bw_policy_check_meeting(tenant, meeting, false, &diags);
    assert_int_equal(diags.errors, 1);
    assert_string_equal(diags.items[0].where.file, "meeting.yaml");
    assert_string_equal(diags.items[0].related.file, "policy.yaml");
    bw_diags_finish(&diags);
    bw_diags_init(&diags);
    bw_policy_check_meeting(tenant, meeting, true, &diags);
    assert_int_equal(diags.errors, 0);
    assert_non_null(find(&diags, BW_P_CLAMPED));
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
}

/* Warned of, never an error: the policy stands. */
static void exceptions_that_end_are_told_of(void **state)
{
    (void)state;
    static const struct {
        const char *expires;
        enum bw_diag_code code; /* 0: nothing to say */
        const char *words;
    } ends[] = {{"2026-11-20", BW_P_EXCEPTION_ENDED, "x1 has ended"},
                {"2026-11-21T10:00:00Z", BW_P_EXCEPTION_ENDED, "x1 has ended"},
                {"2026-11-25", BW_P_EXCEPTION_ENDS_SOON, "in 3 days"},
                {"2026-12-21", BW_P_EXCEPTION_ENDS_SOON, "in 29 days"},
                {"2026-12-22", 0, NULL}};
    struct bw_snapshot *snapshot =
        kit_fleet("apiVersion: bailiwick/v1\nkind: Fleet\nrelays: [{ id: par1, site: paris, country: FR, "
                  "operator: { jurisdictions: [FR] } }]\n");
    const struct bw_policy_today today = {.facts = snapshot->facts, .now_ms = KIT_NOW_MS};
    for (size_t i = 0; i < BW_ARRAY_LEN(ends); i++) {
        char sections[256];
        snprintf(sections, sizeof sections,
                 "transit: { deny: [BE] }\nexceptions:\n  - { id: x1, lifts: { entry: { deny: [HU] } },\n"
                 "      reason: a congress, expires: %s }",
                 ends[i].expires);
        enum bw_code code;
        char text[2048];
        write_policy(text, sizeof text, "optional", "", sections);
        char *entry = strstr(text, "unknown: refuse }");
        memmove(entry + 12, entry, strlen(entry) + 1);
        memcpy(entry, "deny: [HU], ", 12);
        struct bw_arena *arena = bw_arena_create(8 << 20);
        struct bw_diags diags;
        bw_diags_init(&diags);
        const struct bw_source source = {.file = "policy.yaml", .text = bw_view_str(text)};
        const struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
        const struct bw_policy_doc *doc = NULL;
        struct bw_error err = {0};
        code = bw_policy_validate(&source, &options, &today, arena, &diags, &doc, &err);
        if (code != BW_OK)
            fail_msg("%s", err.show);
        assert_int_equal(find(&diags, BW_P_EXCEPTION_ENDED) != NULL, ends[i].code == BW_P_EXCEPTION_ENDED);
        assert_int_equal(find(&diags, BW_P_EXCEPTION_ENDS_SOON) != NULL,
                         ends[i].code == BW_P_EXCEPTION_ENDS_SOON);
        if (ends[i].words != NULL && strstr(find(&diags, ends[i].code)->where.message, ends[i].words) == NULL)
            fail_msg("%s", find(&diags, ends[i].code)->where.message);
        bw_diags_finish(&diags);
        bw_arena_destroy(arena);
    }
    bw_snapshot_release(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_may_narrow_and_never_widen),
        cmocka_unit_test(a_level_without_any_relay_today_is_refused),
        cmocka_unit_test(groups_that_cannot_host_together_warn),
        cmocka_unit_test(a_meeting_is_held_to_its_tenant_and_clamped_when_it_was_first),
        cmocka_unit_test(exceptions_that_end_are_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
