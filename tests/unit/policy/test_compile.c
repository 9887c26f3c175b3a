/* What single clauses do, clause by clause, and which line is named for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "kit.h"

/* par1 FR-75, re1 Réunion, fra1 DE, ber1 DE-BE, zrh1 CH, ash1 US-VA, nowhere (no facts), own1 (acme's), rent1
 * (another tenant's). */
static const char *const fleet_text =
    "apiVersion: bailiwick/v1\n"
    "kind: Fleet\n"
    "cells:\n"
    "  - { name: eu, country: FR, operator: { jurisdictions: [FR] }, certifications: [{ name: HDS }] }\n"
    "  - { name: us, country: US, operator: { jurisdictions: [US] } }\n"
    "relays:\n"
    "  - { id: par1, site: paris, country: FR-75, operator: { jurisdictions: [FR] },\n"
    "      certifications: [{ name: HDS, expires: 2027-05-01 }, { name: C5 }],\n"
    "      connectors: [pstn, recording], farLeg: encrypted, stores: [FR] }\n"
    "  - { id: re1, site: saint-denis, country: FR-974, operator: { jurisdictions: [FR] },\n"
    "      certifications: [{ name: HDS, expires: 2026-11-21 }], connectors: [recording], stores: [US] }\n"
    "  - { id: fra1, site: frankfurt, country: DE, operator: { jurisdictions: [DE, US] },\n"
    "      certifications: [{ name: C5 }], connectors: [pstn] }\n"
    "  - { id: ber1, site: berlin, country: DE-BE, operator: { jurisdictions: [DE] } }\n"
    "  - { id: zrh1, site: zurich, country: CH, operator: { jurisdictions: [CH] } }\n"
    "  - { id: ash1, site: ashburn, country: US-VA, operator: { jurisdictions: [US] } }\n"
    "  - { id: nowhere }\n"
    "  - { id: own1, site: lyon, country: FR, operator: { jurisdictions: [FR] }, tenants: [acme] }\n"
    "  - { id: rent1, site: lyon, country: FR, operator: { jurisdictions: [FR] }, tenants: [other] }\n";

struct compiled {
    struct bw_arena *arena;
    struct bw_snapshot *snapshot;
    struct bw_constraints *set;
};

static const char head[] = "apiVersion: bailiwick/v1\n"
                           "kind: TenantPolicy\n"
                           "tenant: acme\n";

static void compile_text(struct compiled *c, const char *text, const char *user, const char *cell)
{
    c->arena = bw_arena_create(8 << 20);
    c->snapshot = kit_fleet(fleet_text);
    const struct bw_compile_input input = {.tenant = kit_policy(c->arena, text),
                                           .subject = {.user = user},
                                           .facts = c->snapshot->facts,
                                           .cell = cell,
                                           .now_ms = KIT_NOW_MS};
    c->set = kit_compile_input(&input);
}

/* transit is the flow map behind "transit:", on line 6 of the document. */
static void compile(struct compiled *c, const char *transit)
{
    char text[2048];
    snprintf(text, sizeof text,
             "%sresidency: { atRest: eu }\nentry: { allow: [\"*\"] }\ntransit: %s\ne2ee: { mode: optional }\n"
             "connectors: { allow: [\"*\"] }\n",
             head, transit);
    compile_text(c, text, NULL, "eu");
}

static void done(struct compiled *c)
{
    bw_constraints_release(c->set);
    bw_snapshot_release(c->snapshot);
    bw_arena_destroy(c->arena);
}

static const char *reasons_of(const struct compiled *c, const char *relay)
{
    return kit_reasons(c->set->reasons[bw_facts_find_relay(c->snapshot->facts, relay)]);
}

struct row {
    const char *transit, *eligible;
    const char *relay, *reasons;
};

#define OPEN "operators: { allowJurisdictions: [\"*\"] } }"

static const struct row rows[] = {
    {"{ allow: [\"*\"], " OPEN, "ash1 ber1 fra1 nowhere own1 par1 re1 zrh1", "rent1", "NOT_FOR_TENANT"},
    {"{ allow: [FR], " OPEN, "own1 par1", "ber1", "TRANSIT_COUNTRY"},
    {"{ allow: [FR], " OPEN, "own1 par1", "nowhere", "FACT_UNKNOWN"},
    {"{ allow: [FR], " OPEN, "own1 par1", "rent1", "NOT_FOR_TENANT"},
    /* An outermost region is not meant by its country; it is said. */
    {"{ allow: [EU], " OPEN, "ber1 fra1 own1 par1", "re1", "TRANSIT_COUNTRY"},
    {"{ allow: [FR, RE], " OPEN, "own1 par1 re1", "zrh1", "TRANSIT_COUNTRY"},
    {"{ allow: [\"*\"], deny: [DE], " OPEN, "ash1 own1 par1 re1 zrh1", "ber1", "TRANSIT_COUNTRY"},
    {"{ allow: [\"*\"], deny: [FR-RE], " OPEN, "ash1 ber1 fra1 own1 par1 zrh1", "re1", "TRANSIT_COUNTRY"},
    /* Known too coarsely for the rule. */
    {"{ allow: [FR, DE-BE], " OPEN, "ber1 own1 par1", "fra1", "FACT_UNKNOWN"},
    {"{ allow: [\"*\"], deny: [DE-HE], " OPEN, "ash1 ber1 own1 par1 re1 zrh1", "fra1", "FACT_UNKNOWN"},
    {"{ allow: [\"site:paris\", FR, DE], " OPEN, "ber1 fra1 own1 par1", "ash1", "TRANSIT_COUNTRY"},
    {"{ allow: [\"site:zurich\", FR], " OPEN, "own1 par1 zrh1", "nowhere", "FACT_UNKNOWN"},
    {"{ allow: [\"site:zurich\"], " OPEN, "zrh1", "par1", "TRANSIT_SITE"},
    {"{ allow: [\"*\"], deny: [\"site:lyon\"], " OPEN, "ash1 ber1 fra1 par1 re1 zrh1", "own1",
     "TRANSIT_SITE"},
    {"{ allow: [\"*\"], operators: { allowJurisdictions: [EU] } }", "ber1 own1 par1 re1", "fra1",
     "OPERATOR_JURISDICTION"},
    {"{ allow: [\"*\"], operators: { allowJurisdictions: [EU] } }", "ber1 own1 par1 re1", "nowhere",
     "FACT_UNKNOWN"},
    {"{ allow: [\"*\"], operators: { allowJurisdictions: [\"*\"], denyJurisdictions: [US] } }",
     "ber1 own1 par1 re1 zrh1", "fra1", "OPERATOR_JURISDICTION"},
    {"{ allow: [\"*\"], requireCertifications: [HDS], " OPEN, "par1", "fra1", "CERTIFICATION_MISSING"},
    {"{ allow: [\"*\"], requireCertifications: [HDS], " OPEN, "par1", "re1", "CERTIFICATION_EXPIRED"},
    {"{ allow: [FR], deny: [\"site:lyon\"], requireCertifications: [HDS], " OPEN, "par1", "rent1",
     "TRANSIT_SITE CERTIFICATION_MISSING NOT_FOR_TENANT"},
};

static void each_clause_removes_exactly_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        struct compiled c;
        compile(&c, rows[i].transit);
        assert_string_equal(kit_relays(c.snapshot->facts, &c.set->eligible), rows[i].eligible);
        assert_string_equal(reasons_of(&c, rows[i].relay), rows[i].reasons);
        done(&c);
    }
}

static void a_choice_of_certifications_needs_one_of_them(void **state)
{
    (void)state;
    struct compiled c;
    /* The cell holds HDS only, so the choice must be one that it meets too. */
    compile(&c, "{ allow: [\"*\"], requireCertifications: [{ anyOf: [C5, HDS] }], " OPEN);
    assert_string_equal(kit_relays(c.snapshot->facts, &c.set->eligible), "fra1 par1");
    assert_string_equal(reasons_of(&c, "re1"), "CERTIFICATION_EXPIRED");
    /* Good until par1's HDS ends, though its C5 would carry it: callers recompile a little early. */
    assert_int_equal(c.set->valid_until_ms, UINT64_C(1809129600000)); /* 2027-05-01 */
    done(&c);
}

static void clause_is(const struct compiled *c, const char *relay, enum bw_reason reason, const char *path,
                      uint32_t line, uint32_t col, const char *text)
{
    const struct bw_cut *cut =
        bw_constraints_decisive(c->set, bw_facts_find_relay(c->snapshot->facts, relay), reason);
    assert_non_null(cut);
    assert_string_equal(cut->clause.path, path);
    assert_string_equal(cut->clause.file, "policy.yaml");
    assert_int_equal(cut->clause.line, line);
    assert_int_equal(cut->clause.col, col);
    assert_string_equal(cut->clause.text, text);
}

static void the_deciding_clause_is_the_entry_that_denies_or_the_list_that_does_not_allow(void **state)
{
    (void)state;
    struct compiled c;
    compile(&c, "{ allow: [FR, US], deny: [DE, US], operators: { allowJurisdictions: [FR] } }");
    clause_is(&c, "ash1", BW_REASON_TRANSIT_COUNTRY, "transit.deny", 6, 40, "US");
    clause_is(&c, "zrh1", BW_REASON_TRANSIT_COUNTRY, "transit.allow", 6, 19, "FR, US");
    clause_is(&c, "zrh1", BW_REASON_OPERATOR_JURISDICTION, "transit.operators.allowJurisdictions", 6, 78,
              "FR");
    assert_null(bw_constraints_decisive(c.set, bw_facts_find_relay(c.snapshot->facts, "par1"),
                                        BW_REASON_TRANSIT_COUNTRY));
    done(&c);
}

static void the_signalling_cell_obeys_the_same_lists(void **state)
{
    (void)state;
    struct compiled c;
    compile(&c, "{ allow: [DE, CH], " OPEN);
    assert_false(c.set->signalling_ok);
    assert_string_equal(kit_relays(c.snapshot->facts, &c.set->eligible), "");
    assert_string_equal(reasons_of(&c, "zrh1"), "SIGNALLING");
    clause_is(&c, "zrh1", BW_REASON_SIGNALLING, "transit.allow", 6, 19, "DE, CH");
    done(&c);
    compile(&c, "{ allow: [\"*\"], requireCertifications: [C5], " OPEN);
    assert_string_equal(reasons_of(&c, "fra1"), "SIGNALLING");
    done(&c);
    /* Sites are where relays stand. */
    compile(&c, "{ allow: [\"site:zurich\"], " OPEN);
    assert_true(c.set->signalling_ok);
    done(&c);
}

static void a_cell_that_is_unknown_or_not_where_data_rests_carries_nothing(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof text,
             "%sresidency: { atRest: eu }\nentry: { allow: [\"*\"] }\n"
             "transit: { allow: [\"*\"], operators: { allowJurisdictions: [\"*\"] } }\n"
             "e2ee: { mode: optional }\nconnectors: { allow: [] }\n",
             head);
    static const char *const bad[] = {"us", "moon"};
    for (size_t i = 0; i < 2; i++) {
        struct compiled c;
        compile_text(&c, text, NULL, bad[i]);
        assert_string_equal(reasons_of(&c, "par1"), "SIGNALLING");
        done(&c);
    }
    struct compiled c;
    compile_text(&c, text, NULL, NULL); /* the one the policy names */
    assert_string_equal(c.set->cell, "eu");
    assert_string_equal(reasons_of(&c, "par1"), "");
    done(&c);
}

static void connectors_need_to_be_offered_and_to_store_where_media_may_be(void **state)
{
    (void)state;
    struct compiled c;
    compile(&c, "{ allow: [FR, RE, DE], " OPEN);
    const struct bw_facts *facts = c.snapshot->facts;
    size_t par1 = bw_facts_find_relay(facts, "par1"), re1 = bw_facts_find_relay(facts, "re1");
    size_t fra1 = bw_facts_find_relay(facts, "fra1");
    assert_string_equal(kit_reasons(bw_constraints_connector(c.set, BW_CONNECTOR_PSTN, par1)), "");
    assert_string_equal(kit_reasons(bw_constraints_connector(c.set, BW_CONNECTOR_PSTN, re1)),
                        "CONNECTOR_STORE ACCESS");
    assert_string_equal(kit_reasons(bw_constraints_connector(c.set, BW_CONNECTOR_RECORDING, re1)),
                        "CONNECTOR_STORE");
    /* It does not say where it stores. */
    assert_string_equal(kit_reasons(bw_constraints_connector(c.set, BW_CONNECTOR_PSTN, fra1)),
                        "FACT_UNKNOWN");
    /* As a relay for media it is as good as before. */
    assert_true(bw_bitset_test(&c.set->eligible, re1));
    done(&c);
}

/* Levels */

static const char *const levels_text =
    "apiVersion: bailiwick/v1\n"
    "kind: TenantPolicy\n"
    "tenant: acme\n"
    "residency: { atRest: eu, retention: { quality: 30d, participants: 20d, decisions: 400d } }\n"
    "entry: { allow: [\"*\"], unknown: allow }\n"
    "transit:\n"
    "  allow: [EU, CH]\n"
    "  deny: [DE]\n"
    "  prefer: [[CH], [FR]]\n"
    "  operators: { allowJurisdictions: [\"*\"] }\n"
    "  onNoRelay: { wait: 30s }\n"
    "  onPolicyChange: keep\n"
    "e2ee: { mode: optional, connectorsAsEndpoints: true, downgrade: with-consent,\n"
    "        suites: [AES_128_GCM_SHA256_128, AES_256_GCM_SHA512_128] }\n"
    "connectors: { allow: [pstn, sip, recording] }\n"
    "guests: { unverified: admit }\n"
    "groups:\n"
    "  - name: board\n"
    "    match: { members: [\"user:*@board.example\"] }\n"
    "    residency: { retention: { quality: 10d } }\n"
    "    transit: { allow: [FR], onNoRelay: { wait: 10s }, onPolicyChange: { drain: 60s } }\n"
    "    e2ee: { mode: required, suites: [AES_256_GCM_SHA512_128], connectorsAsEndpoints: false }\n"
    "    connectors: { allow: [sip] }\n"
    "  - name: travellers\n"
    "    applies: attended\n"
    "    match: { members: [\"user:ceo@board.example\"] }\n"
    "    transit: { onNoRelay: reject, onPolicyChange: evict }\n"
    "    entry: { deny: [US], unknown: refuse }\n"
    "  - name: everyone-else\n"
    "    match: { others: true }\n"
    "    transit: { deny: [CH] }\n"
    "    e2ee: { mode: preferred, downgrade: never }\n"
    "users:\n"
    "  - name: intern\n"
    "    match: { members: [\"user:intern@acme.example\"] }\n"
    "    connectors: { allow: [] }\n"
    "exceptions:\n"
    "  - id: x1\n"
    "    lifts: { transit: { deny: [DE] } }\n"
    "    for: { group: everyone-else }\n"
    "    reason: a congress\n"
    "    expires: 2027-01-31\n";

static void a_group_narrows_every_term(void **state)
{
    (void)state;
    struct compiled c;
    compile_text(&c, levels_text, "nobody@board.example", "eu"); /* board only */
    assert_string_equal(kit_relays(c.snapshot->facts, &c.set->eligible), "own1 par1");
    assert_int_equal(c.set->modes, BW_MODE_SET_E2EE);
    assert_true(c.set->prefers_e2ee);
    assert_int_equal(c.set->suites, 1u << BW_SFRAME_AES_256_GCM_SHA512_128);
    assert_false(c.set->connectors_as_endpoints);
    assert_int_equal(c.set->downgrade, BW_DOWNGRADE_WITH_CONSENT);
    assert_int_equal(c.set->connectors, BW_CONNECTOR_BIT(BW_CONNECTOR_SIP));
    assert_int_equal(c.set->on_no_relay, BW_NO_RELAY_WAIT);
    assert_int_equal(c.set->wait_ms, 10000);
    assert_int_equal(c.set->on_policy_change, BW_CHANGE_DRAIN);
    assert_int_equal(c.set->drain_ms, 60000);
    assert_int_equal(c.set->retention_quality_ms, UINT64_C(10) * 86400000);
    assert_int_equal(c.set->retention_participants_ms, UINT64_C(20) * 86400000);
    assert_int_equal(c.set->retention_decisions_ms, UINT64_C(400) * 86400000);
    assert_false(c.set->refuses_unverified_guests);
    assert_int_equal(c.set->valid_until_ms, BW_NEVER_MS);
    done(&c);
}

static void several_groups_meet_and_a_host_also_attends(void **state)
{
    (void)state;
    struct compiled c;
    compile_text(&c, levels_text, "ceo@board.example", "eu");
    assert_int_equal(c.set->on_no_relay, BW_NO_RELAY_REJECT);
    assert_int_equal(c.set->on_policy_change, BW_CHANGE_EVICT);
    assert_int_equal(bw_constraints_entry(c.set, "US", NULL), BW_DENIED);
    assert_int_equal(bw_constraints_entry(c.set, NULL, NULL), BW_UNKNOWN_PLACE);
    assert_int_equal(bw_constraints_entry(c.set, "FR", NULL), BW_ALLOWED);
    done(&c);
}

static void an_exception_lifts_its_own_levels_deny_for_its_group_until_it_ends(void **state)
{
    (void)state;
    struct compiled c;
    compile_text(&c, levels_text, "someone@acme.example", "eu");
    assert_string_equal(kit_relays(c.snapshot->facts, &c.set->eligible), "ber1 fra1 own1 par1");
    assert_int_equal(c.set->modes, BW_MODE_SET_E2EE | BW_MODE_SET_HOP);
    assert_true(c.set->prefers_e2ee);
    assert_int_equal(c.set->downgrade, BW_DOWNGRADE_NEVER);
    assert_int_equal(c.set->valid_until_ms, UINT64_C(1801353600000)); /* 2027-01-31 */
    const struct bw_compile_input later = {.tenant = kit_policy(c.arena, levels_text),
                                           .subject = {.user = "someone@acme.example"},
                                           .facts = c.snapshot->facts,
                                           .cell = "eu",
                                           .now_ms = c.set->valid_until_ms};
    struct bw_constraints *then = kit_compile_input(&later);
    assert_string_equal(kit_relays(c.snapshot->facts, &then->eligible), "own1 par1");
    assert_memory_not_equal(then->hash, c.set->hash, sizeof then->hash);
    bw_constraints_release(then);
    done(&c);
}

static void user_levels_and_meetings_narrow_further(void **state)
{
    (void)state;
    struct compiled c;
    compile_text(&c, levels_text, "intern@acme.example", "eu");
    assert_int_equal(c.set->connectors, 0);
    struct bw_clause clause;
    assert_true(bw_constraints_connector_clause(c.set, BW_CONNECTOR_SIP, &clause));
    assert_int_equal(clause.level, BW_LEVEL_USER);
    assert_string_equal(clause.level_name, "intern");
    const struct bw_compile_input input = {
        .tenant = kit_policy(c.arena, levels_text),
        .meeting = kit_meeting_policy(c.arena, "apiVersion: bailiwick/v1\nkind: MeetingPolicy\n"
                                               "transit: { allow: [DE-BE] }\ne2ee: { mode: required }\n"),
        .subject = {.user = "someone@acme.example"},
        .facts = c.snapshot->facts,
        .cell = "eu",
        .now_ms = KIT_NOW_MS};
    struct bw_constraints *set = kit_compile_input(&input);
    /* The cell stands in France: signalling is a leg as well. */
    assert_false(set->signalling_ok);
    assert_int_equal(set->modes, BW_MODE_SET_E2EE);
    assert_true(bw_constraints_mode_clause(set, BW_MODE_SET_HOP, &clause));
    assert_string_equal(clause.file, "meeting.yaml");
    assert_int_equal(clause.line, 4);
    bw_constraints_release(set);
    done(&c);
}

static void preference_ranks_the_eligible_densely(void **state)
{
    (void)state;
    struct compiled c;
    compile(&c, "{ allow: [\"*\"], prefer: [[CH], [FR, \"site:berlin\"]], " OPEN);
    static const char *const names[] = {"zrh1", "par1", "ber1", "ash1", "nowhere"};
    static const uint32_t ranks[] = {0, 1, 1, 2, 2};
    for (size_t i = 0; i < BW_ARRAY_LEN(names); i++)
        assert_int_equal(c.set->prefer_rank[bw_facts_find_relay(c.snapshot->facts, names[i])], ranks[i]);
    done(&c);
    /* Nothing in Switzerland is left, so France is the best there is. */
    compile(&c, "{ allow: [EU], prefer: [[CH], [FR]], " OPEN);
    assert_int_equal(c.set->prefer_rank[bw_facts_find_relay(c.snapshot->facts, "par1")], 0);
    assert_int_equal(c.set->prefer_rank[bw_facts_find_relay(c.snapshot->facts, "ber1")], 1);
    done(&c);
}

static void levels_without_a_common_mode_are_a_contradiction(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(8 << 20);
    struct bw_snapshot *snapshot = kit_fleet(fleet_text);
    const struct bw_compile_input input = {
        .tenant = kit_policy(arena, levels_text),
        .meeting = kit_meeting_policy(arena, "apiVersion: bailiwick/v1\nkind: MeetingPolicy\n"
                                             "e2ee: { mode: forbidden }\n"),
        .subject = {.user = "x@board.example"},
        .facts = snapshot->facts,
        .cell = "eu",
        .now_ms = KIT_NOW_MS};
    struct bw_constraints *set = NULL;
    struct bw_error err = {0};
    assert_int_equal(bw_policy_compile(&input, &set, &err), BW_FAILED_PRECONDITION);
    assert_null(set);
    assert_string_equal(err.reason, "POLICY_CONTRADICTION");
    assert_non_null(strstr(err.show, "policy.yaml:22:"));
    assert_non_null(strstr(err.show, "meeting.yaml:3:"));
    bw_snapshot_release(snapshot);
    bw_arena_destroy(arena);
}

struct memory {
    struct bw_compile_input input;
};

static bool compile_once(void *context)
{
    struct memory *memory = context;
    struct bw_constraints *set = NULL;
    struct bw_error err;
    enum bw_code code = bw_policy_compile(&memory->input, &set, &err);
    bw_constraints_release(set);
    if (code != BW_OK)
        assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
    return code == BW_OK;
}

static void running_out_of_memory_is_a_clean_error(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(8 << 20);
    struct bw_snapshot *snapshot = kit_fleet(fleet_text);
    struct memory memory = {.input = {.tenant = kit_policy(arena, levels_text),
                                      .subject = {.user = "someone@acme.example"},
                                      .facts = snapshot->facts,
                                      .now_ms = KIT_NOW_MS}};
    assert_true(bw_fail_each_allocation(compile_once, &memory, true) >= 3);
    bw_snapshot_release(snapshot);
    bw_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_clause_removes_exactly_what_it_says),
        cmocka_unit_test(a_choice_of_certifications_needs_one_of_them),
        cmocka_unit_test(the_deciding_clause_is_the_entry_that_denies_or_the_list_that_does_not_allow),
        cmocka_unit_test(the_signalling_cell_obeys_the_same_lists),
        cmocka_unit_test(a_cell_that_is_unknown_or_not_where_data_rests_carries_nothing),
        cmocka_unit_test(connectors_need_to_be_offered_and_to_store_where_media_may_be),
        cmocka_unit_test(a_group_narrows_every_term),
        cmocka_unit_test(several_groups_meet_and_a_host_also_attends),
        cmocka_unit_test(an_exception_lifts_its_own_levels_deny_for_its_group_until_it_ends),
        cmocka_unit_test(user_levels_and_meetings_narrow_further),
        cmocka_unit_test(preference_ranks_the_eligible_densely),
        cmocka_unit_test(levels_without_a_common_mode_are_a_contradiction),
        cmocka_unit_test(running_out_of_memory_is_a_clean_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
