/* Who may join: by country, and by the rules that joiners bring along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "kit.h"

static const char *const fleet_text =
    "apiVersion: bailiwick/v1\n"
    "kind: Fleet\n"
    "cells: [{ name: eu, country: FR, operator: { jurisdictions: [FR] } }]\n"
    "relays:\n"
    "  - { id: par1, country: FR, operator: { jurisdictions: [FR] } }\n"
    "  - { id: fra1, country: DE, operator: { jurisdictions: [DE] } }\n"
    "  - { id: own1, country: FR, operator: { jurisdictions: [FR] }, tenants: [acme] }\n";

static const char *entry_policy(char text[1024], const char *entry)
{
    snprintf(text, 1024,
             "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
             "entry: %s\n"
             "transit: { allow: [EU], operators: { allowJurisdictions: [EU] } }\n"
             "e2ee: { mode: optional }\nconnectors: { allow: [] }\n",
             entry);
    return text;
}

struct verdict_row {
    const char *entry, *place;
    enum bw_verdict verdict;
    uint32_t col; /* of the deciding clause, on line 5; 0: none */
};

static const struct verdict_row verdicts[] = {
    {"{ allow: [\"*\"] }", "FR", BW_ALLOWED, 0},
    {"{ allow: [\"*\"] }", NULL, BW_UNKNOWN_PLACE, 0}, /* nobody said that the unknown may */
    {"{ allow: [\"*\"], unknown: refuse }", NULL, BW_UNKNOWN_PLACE, 33},
    {"{ allow: [\"*\"], unknown: allow }", NULL, BW_ALLOWED, 0},
    {"{ allow: [EU], unknown: allow }", "FR-75", BW_ALLOWED, 0},
    {"{ allow: [EU], unknown: allow }", "US", BW_DENIED, 17},
    {"{ allow: [EU], unknown: allow }", "RE", BW_DENIED, 17},
    {"{ allow: [\"*\"], deny: [RU, US], unknown: allow }", "US-VA", BW_DENIED, 35},
    {"{ allow: [\"*\"], deny: [RU, US], unknown: allow }", "PR", BW_DENIED, 35},
    {"{ allow: [\"*\"], deny: [RU, US], unknown: allow }", "RU", BW_DENIED, 31},
    /* From somewhere in Germany: inside or outside what is denied? */
    {"{ allow: [\"*\"], deny: [DE-BE], unknown: refuse }", "DE", BW_UNKNOWN_PLACE, 48},
    {"{ allow: [\"*\"], deny: [DE-BE], unknown: allow }", "DE", BW_ALLOWED, 0},
    {"{ allow: [\"*\"], deny: [DE-BE], unknown: refuse }", "DE-HE", BW_ALLOWED, 0},
    {"{ allow: [DE-BE, FR], unknown: refuse }", "DE", BW_UNKNOWN_PLACE, 39},
    {"{ allow: [DE-BE, FR], unknown: refuse }", "DE-BE", BW_ALLOWED, 0},
    {"{ allow: [DE-BE, FR], unknown: refuse }", "DE-HE", BW_DENIED, 17},
};

static void entry_is_judged_by_country_and_names_its_clause(void **state)
{
    (void)state;
    struct bw_snapshot *snapshot = kit_fleet(fleet_text);
    for (size_t i = 0; i < BW_ARRAY_LEN(verdicts); i++) {
        struct bw_arena *arena = bw_arena_create(4 << 20);
        char text[1024];
        struct bw_constraints *set =
            kit_compile(kit_policy(arena, entry_policy(text, verdicts[i].entry)), snapshot->facts, NULL);
        struct bw_clause clause = {.line = 0};
        enum bw_verdict verdict = bw_constraints_entry(set, verdicts[i].place, &clause);
        if (verdict != verdicts[i].verdict || clause.col != verdicts[i].col)
            print_error("%s from %s: column %u\n", verdicts[i].entry,
                        verdicts[i].place != NULL ? verdicts[i].place : "nowhere", clause.col);
        assert_int_equal(verdict, verdicts[i].verdict);
        assert_int_equal(clause.col, verdicts[i].col);
        assert_int_equal(bw_constraints_entry(set, verdicts[i].place, NULL), verdict);
        bw_constraints_release(set);
        bw_arena_destroy(arena);
    }
    bw_snapshot_release(snapshot);
}

/* Joiners */

static const char *const host_text =
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
    "entry: { allow: [\"*\"] }\n"
    "transit: { allow: [EU], operators: { allowJurisdictions: [EU] } }\n"
    "e2ee: { mode: optional, connectorsAsEndpoints: true }\nconnectors: { allow: [pstn] }\n"
    "groups:\n"
    "  - name: board\n"
    "    applies: attended\n"
    "    match: { members: [\"user:*@board.example\"] }\n"
    "    transit: { allow: [FR] }\n"
    "  - name: press\n"
    "    match: { members: [\"user:*@press.example\"] }\n"
    "    transit: { allow: [DE] }\n"
    "  - name: lawyers\n"
    "    applies: attended\n"
    "    match: { members: [\"user:*@law.example\"] }\n"
    "    e2ee: { mode: required, connectorsAsEndpoints: false }\n";

/* `differs` replaces the guest tenant's lines for residency and transit. */
static const char *guest_text(char text[1024], const char *cell, const char *allow)
{
    snprintf(text, 1024,
             "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: guests-inc\nresidency: { atRest: %s }\n"
             "entry: { allow: [FR] }\n"
             "transit: { allow: %s, operators: { allowJurisdictions: [\"*\"] } }\n"
             "e2ee: { mode: optional }\nconnectors: { allow: [] }\n",
             cell, allow);
    return text;
}

struct hall {
    struct bw_arena *arena;
    struct bw_snapshot *snapshot;
    struct bw_constraints *meeting;
};

static void open_hall(struct hall *hall, const char *host)
{
    hall->arena = bw_arena_create(8 << 20);
    hall->snapshot = kit_fleet(fleet_text);
    hall->meeting = kit_compile(kit_policy(hall->arena, host_text), hall->snapshot->facts, host);
}

static void close_hall(struct hall *hall)
{
    bw_constraints_release(hall->meeting);
    bw_snapshot_release(hall->snapshot);
    bw_arena_destroy(hall->arena);
}

static bool knock(struct hall *hall, const char *policy, enum bw_policy_role role, const char *user,
                  struct bw_door door, struct bw_clause *clause)
{
    const struct bw_compile_input input = {.tenant = kit_policy(hall->arena, policy),
                                           .subject = {.user = user},
                                           .role = role,
                                           .facts = hall->snapshot->facts,
                                           .cell = "eu",
                                           .now_ms = KIT_NOW_MS};
    struct bw_constraints *joiner = kit_compile_input(&input);
    door.meeting = hall->meeting;
    static char path[64];
    bool enters = bw_policy_check_joiner(&door, joiner, clause);
    if (!enters && clause->path != NULL) {
        snprintf(path, sizeof path, "%s", clause->path);
        clause->path = path;
    }
    bw_constraints_release(joiner);
    return enters;
}

static void only_what_applies_when_attended_binds_a_member(void **state)
{
    (void)state;
    struct hall hall;
    struct bw_clause clause;
    const struct bw_door hop = {.mode = BW_MODE_SET_HOP};
    open_hall(&hall, "anyone@acme.example");
    assert_true(knock(&hall, host_text, BW_ROLE_MEMBER, "x@acme.example", hop, &clause));
    assert_true(knock(&hall, host_text, BW_ROLE_MEMBER, "x@press.example", hop, &clause));
    assert_false(knock(&hall, host_text, BW_ROLE_MEMBER, "x@board.example", hop, &clause));
    assert_string_equal(clause.path, "transit.allow");
    assert_int_equal(clause.line, 13);
    close_hall(&hall);
    /* A meeting that stays in France anyway is one they may join. */
    open_hall(&hall, "host@board.example");
    assert_true(knock(&hall, host_text, BW_ROLE_MEMBER, "x@board.example", hop, &clause));
    close_hall(&hall);
}

static void the_mode_must_be_one_the_joiner_accepts(void **state)
{
    (void)state;
    struct hall hall;
    struct bw_clause clause;
    open_hall(&hall, "anyone@acme.example");
    assert_false(knock(&hall, host_text, BW_ROLE_MEMBER, "x@law.example",
                       (struct bw_door){.mode = BW_MODE_SET_HOP}, &clause));
    assert_string_equal(clause.path, "e2ee.mode");
    assert_true(knock(&hall, host_text, BW_ROLE_MEMBER, "x@law.example",
                      (struct bw_door){.mode = BW_MODE_SET_E2EE}, &clause));
    assert_false(knock(&hall, host_text, BW_ROLE_MEMBER, "x@law.example",
                       (struct bw_door){.mode = BW_MODE_SET_E2EE, .with_connectors = true}, &clause));
    assert_string_equal(clause.path, "e2ee.connectorsAsEndpoints");
    close_hall(&hall);
}

static void a_guest_brings_the_whole_organisation_along(void **state)
{
    (void)state;
    struct hall hall;
    struct bw_clause clause;
    char text[1024];
    const struct bw_door hop = {.mode = BW_MODE_SET_HOP};
    open_hall(&hall, "anyone@acme.example");
    /* acme's own relay is not the guest's business, and a guest's entry rules are for meetings they host. */
    assert_true(
        knock(&hall, guest_text(text, "eu", "[EU]"), BW_ROLE_GUEST, "g@guests.example", hop, &clause));
    assert_false(
        knock(&hall, guest_text(text, "eu", "[FR]"), BW_ROLE_GUEST, "g@guests.example", hop, &clause));
    assert_string_equal(clause.path, "transit.allow");
    assert_false(
        knock(&hall, guest_text(text, "us", "[EU]"), BW_ROLE_GUEST, "g@guests.example", hop, &clause));
    assert_string_equal(clause.path, "residency.atRest");
    assert_true(
        knock(&hall, guest_text(text, "[us, eu]", "[EU]"), BW_ROLE_GUEST, "g@guests.example", hop, &clause));
    close_hall(&hall);
}

static void sets_over_different_facts_never_pass(void **state)
{
    (void)state;
    struct hall hall;
    open_hall(&hall, "anyone@acme.example");
    struct bw_snapshot *other = kit_fleet(fleet_text);
    struct bw_constraints *joiner = kit_compile(kit_policy(hall.arena, host_text), other->facts, NULL);
    const struct bw_door door = {.meeting = hall.meeting, .mode = BW_MODE_SET_HOP};
    struct bw_clause clause;
    assert_false(bw_policy_check_joiner(&door, joiner, &clause));
    bw_constraints_release(joiner);
    bw_snapshot_release(other);
    close_hall(&hall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_is_judged_by_country_and_names_its_clause),
        cmocka_unit_test(only_what_applies_when_attended_binds_a_member),
        cmocka_unit_test(the_mode_must_be_one_the_joiner_accepts),
        cmocka_unit_test(a_guest_brings_the_whole_organisation_along),
        cmocka_unit_test(sets_over_different_facts_never_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
