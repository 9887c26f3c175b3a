#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kit.h"
#include "placement/explain.h"

struct asked {
    struct bw_arena *arena;
    struct bw_snapshot *snapshot;
    struct bw_request_file request;
    const struct bw_policy_doc *policy;
    struct bw_explanation explanation;
};

static void ask(struct asked *asked, const char *policy, const char *fleet, const char *request)
{
    *asked = (struct asked){.arena = bw_arena_create(64 << 20)};
    asked->policy = kit_policy(asked->arena,
                               policy != NULL ? policy : kit_file(asked->arena, "policies/fr-hospital.yaml"));
    asked->snapshot =
        kit_fleet(fleet != NULL ? fleet : kit_file(asked->arena, "policies/examples/fleet.yaml"));
    asked->request = kit_request(asked->arena, asked->snapshot, request);
    struct bw_error err = {0};
    enum bw_code code = bw_explain_request(asked->policy, NULL, asked->snapshot, &asked->request, NULL,
                                           KIT_NOW_MS, asked->arena, &asked->explanation, &err);
    if (code != BW_OK)
        print_error("%s\n", err.show);
    assert_int_equal(code, BW_OK);
}

static void done(struct asked *asked)
{
    bw_explanation_finish(&asked->explanation);
    bw_snapshot_release(asked->snapshot);
    bw_arena_destroy(asked->arena);
}

static json_t *as_json(struct asked *asked)
{
    struct bw_buf out = {0};
    struct bw_error err;
    assert_int_equal(bw_explain_json(&asked->explanation, &out, &err), BW_OK);
    json_error_t problem;
    json_t *root = json_loads(bw_buf_cstr(&out), 0, &problem);
    if (root == NULL)
        print_error("%s\n", problem.text);
    assert_non_null(root);
    bw_buf_finish(&out);
    return root;
}

static const char *const request_two_in_france = "apiVersion: bailiwick/v1\n"
                                                 "kind: PlacementRequest\n"
                                                 "tenant: chu-lyon\n"
                                                 "host: { user: dr.x@chu-lyon.example }\n"
                                                 "meeting: { capPerRelay: 80 }\n"
                                                 "participants:\n"
                                                 "  - { id: p1, country: FR, kind: native }\n"
                                                 "  - { id: p2, country: FR, kind: web }\n"
                                                 "at: 2026-11-21T10:00:00Z\n";

/* The shape that scripts and the console read, key by key, on the files of the demo. */
static void demo_is_placed_in_paris_with_the_documented_shape(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, NULL, NULL, request_two_in_france);
    const char *const schemes[] = {"sframe-mls", "sframe-mls"};
    asked.explanation.allocated = schemes;
    json_t *root = as_json(&asked);
    json_t *score = json_pack("{s:i, s:i, s:i, s:i}", "pair_us", 10000, "access_us", 5000, "load_us", 3000,
                              "total_us", 15500);
    json_t *assignments = json_pack("{s:s, s:s}", "p1", "par1", "p2", "par1");
    json_t *flags =
        json_pack("{s:{s:s}, s:{s:s}}", "p1", "allocated", "sframe-mls", "p2", "allocated", "sframe-mls");
    assert_string_equal(json_string_value(json_object_get(root, "decision")), "placed");
    assert_true(json_equal(json_object_get(root, "assignments"), assignments));
    assert_int_equal(json_array_size(json_object_get(root, "legs")), 0);
    assert_int_equal(json_array_size(json_object_get(root, "refused")), 0);
    assert_true(json_equal(json_object_get(root, "score"), score));
    assert_true(json_equal(json_object_get(root, "flags"), flags));
    assert_string_equal(json_string_value(json_object_get(root, "mode")), "e2ee");
    assert_null(json_object_get(root, "nearest"));
    json_t *policy = json_object_get(root, "policy");
    assert_int_equal(json_integer_value(json_object_get(policy, "revision")), 0);
    assert_int_equal(strlen(json_string_value(json_object_get(policy, "hash"))), 7 + 64);
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "retention"), "quality")),
                        "30d");
    assert_int_equal(json_array_size(json_object_get(root, "exceptions")), 0);
    assert_int_equal(json_array_size(json_object_get(root, "missingConnectors")), 0);
    assert_int_equal(json_object_size(root), 12);
    json_decref(score);
    json_decref(assignments);
    json_decref(flags);
    json_decref(root);
    done(&asked);
}

static json_t *rejected(json_t *root, const char *relay)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(root, "rejected"), i,
                       item) if (strcmp(json_string_value(json_object_get(item, "relay")), relay) ==
                                 0) return item;
    return NULL;
}

static void rejected_relays_name_the_deciding_line(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, NULL, NULL, request_two_in_france);
    json_t *root = as_json(&asked);
    assert_null(rejected(root, "par1"));
    json_t *ash1 = rejected(root, "ash1");
    json_t *expected =
        json_pack("{s:s, s:[s, s], s:[s, s]}", "relay", "ash1", "reasons", "TRANSIT_COUNTRY",
                  "OPERATOR_JURISDICTION", "clauses", "policy.yaml:14:10", "policy.yaml:19:25");
    assert_true(json_equal(ash1, expected));
    json_decref(expected);
    json_decref(root);
    done(&asked);
}

static void refusal_names_participants_and_the_nearest_miss(void **state)
{
    (void)state;
    struct asked asked;
    struct bw_arena *arena = bw_arena_create(1 << 20);
    ask(&asked, NULL, NULL, kit_file(arena, "policies/examples/request-refused.yaml"));
    json_t *root = as_json(&asked);
    assert_string_equal(json_string_value(json_object_get(root, "decision")), "refused");
    json_t *refused = json_object_get(root, "refused");
    assert_int_equal(json_array_size(refused), 2);
    json_t *russian = json_array_get(refused, 1);
    json_t *expected = json_pack("{s:s, s:[s], s:[s]}", "participant", "p2", "reasons", "ENTRY_COUNTRY",
                                 "clauses", "policy.yaml:11:14");
    assert_true(json_equal(russian, expected));
    json_t *nearest = json_object_get(root, "nearest");
    assert_string_equal(json_string_value(json_object_get(nearest, "relay")), "par1");
    json_decref(expected);
    json_decref(root);
    done(&asked);
    bw_arena_destroy(arena);
}

/* The Fleet and PlacementRequest of docs/reference, with what they leave out left out. */
static const char *const documented_fleet =
    "apiVersion: bailiwick/v1\n"
    "kind: Fleet\n"
    "cells:\n"
    "  - {\n"
    "      name: eu,\n"
    "      country: FR,\n"
    "      operator: { name: Exemple Cloud, jurisdictions: [FR] },\n"
    "      certifications: [{ name: HDS }],\n"
    "    }\n"
    "regions:\n"
    "  - { name: eu-west, lat: 48.9, lon: 2.4, countries: [FR, BE, LU] }\n"
    "  - { name: eu-central, lat: 50.1, lon: 8.7, countries: [DE] }\n"
    "rttMs: { same: 5, default: 100, pairs: [[eu-west, eu-central, 12]] }\n"
    "legs: { deny: [[par1, fra9]] }\n"
    "relays:\n"
    "  - id: par1\n"
    "    site: paris\n"
    "    region: eu-west\n"
    "    country: FR # or FR-75\n"
    "    operator: { name: Exemple Cloud, jurisdictions: [FR] }\n"
    "    certifications: [{ name: SecNumCloud, expires: 2027-05-01 }]\n"
    "    capacity: 500\n"
    "    load: 0.30\n"
    "    state: serving\n"
    "    version: 1\n"
    "    media: opaque\n"
    "    cascade: true\n"
    "    tenants: []\n"
    "    connectors: []\n";

static const char *const open_policy =
    "apiVersion: bailiwick/v1\n"
    "kind: TenantPolicy\n"
    "tenant: chu-lyon\n"
    "residency: { atRest: eu }\n"
    "entry: { allow: [\"*\"], unknown: refuse }\n"
    "transit: { allow: [EU], operators: { allowJurisdictions: [EU] } }\n"
    "e2ee: { mode: required }\n"
    "connectors: { allow: [] }\n"
    "groups:\n"
    "  - { name: board, match: { members: [\"user:*@board.chu-lyon.example\"] } }\n";

static void documented_files_load_and_a_region_alone_is_enough(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, open_policy, documented_fleet,
        "apiVersion: bailiwick/v1\n"
        "kind: PlacementRequest\n"
        "tenant: chu-lyon\n"
        "host: { user: dr.x@board.chu-lyon.example, groups: [board] }\n"
        "meeting: { capPerRelay: 80, open: [{ relay: par1, participants: 12 }] }\n"
        "participants: [{ id: p1, country: FR, kind: native }, { id: p2, region: eu-central, kind: web }]\n"
        "at: 2026-11-21T10:00:00Z\n");
    assert_true(asked.explanation.plan.placed);
    assert_int_equal(asked.explanation.plan.refused_count, 0);
    /* 12 staying and p1 at 2.5 ms, p2 at 6 ms; everyone on one relay, so a pair is two first hops. */
    assert_int_equal(asked.explanation.plan.score.access_us, (13 * 2500 + 6000) / 14);
    assert_int_equal(asked.explanation.plan.score.pair_us, 2 * (13 * 2500 + 6000) / 14);
    assert_int_equal(asked.explanation.plan.score.load_us, 3000);
    done(&asked);
}

static void text_shows_the_source_line_of_each_refusal(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, NULL, NULL, request_two_in_france);
    struct bw_buf out = {0};
    bw_explain_text(&asked.explanation, &asked.policy->source, 1, &out);
    const char *text = bw_buf_cstr(&out);
    assert_non_null(strstr(text, "Placed: 2 of 2 participants on par1, mode e2ee"));
    assert_non_null(strstr(text,
                           "policy.yaml:19:25: transit.operators.denyJurisdictions US (the organisation)\n"
                           "          | denyJurisdictions: [US] # because of the CLOUD Act\n"));
    bw_buf_finish(&out);
    done(&asked);
}

static void a_request_for_another_tenant_or_an_unknown_group_is_an_error(void **state)
{
    (void)state;
    struct asked asked;
    ask(&asked, NULL, NULL, request_two_in_france);
    struct bw_error err = {0};
    struct bw_explanation unused;
    struct bw_request_file other = asked.request;
    other.tenant = "someone-else";
    assert_int_equal(
        bw_explain_request(asked.policy, NULL, asked.snapshot, &other, NULL, 0, asked.arena, &unused, &err),
        BW_INVALID_ARGUMENT);
    const char *groups[] = {"bored"};
    other = asked.request;
    other.host.groups = groups;
    other.host.group_count = 1;
    assert_int_equal(
        bw_explain_request(asked.policy, NULL, asked.snapshot, &other, NULL, 0, asked.arena, &unused, &err),
        BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "bored"));
    done(&asked);
}

static void what_is_lifted_and_what_is_missing_is_said(void **state)
{
    (void)state;
    static const char policy[] =
        "apiVersion: bailiwick/v1\n"
        "kind: TenantPolicy\n"
        "tenant: chu-lyon\n"
        "residency: { atRest: eu, retention: { quality: 12h } }\n"
        "entry: { allow: [\"*\"], unknown: allow }\n"
        "transit: { allow: [EU], deny: [FR], operators: { allowJurisdictions: [\"*\"] } }\n"
        "e2ee: { mode: optional }\n"
        "connectors: { allow: [pstn, recording], require: [recording] }\n"
        "exceptions:\n"
        "  - { id: x1, lifts: { transit: { deny: [FR] } }, reason: a congress, expires: 2027-01-31 }\n";
    struct asked asked;
    ask(&asked, policy, NULL, request_two_in_france);
    assert_true(asked.explanation.plan.placed); /* in France, for the time being */
    json_t *root = as_json(&asked);
    const json_t *exception = json_array_get(json_object_get(root, "exceptions"), 0);
    assert_string_equal(json_string_value(json_object_get(exception, "id")), "x1");
    assert_string_equal(json_string_value(json_object_get(exception, "reason")), "a congress");
    assert_string_equal(json_string_value(json_object_get(exception, "expiresUnixMs")), "1801353600000");
    assert_string_equal(json_string_value(json_object_get(exception, "clause")), "policy.yaml:10:11");
    const json_t *missing = json_object_get(root, "missingConnectors");
    assert_int_equal(json_array_size(missing), 1);
    assert_string_equal(json_string_value(json_array_get(missing, 0)), "recording");
    const json_t *retention = json_object_get(root, "retention");
    assert_string_equal(json_string_value(json_object_get(retention, "quality")), "12h");
    assert_string_equal(json_string_value(json_object_get(retention, "decisions")), "");
    json_decref(root);
    struct bw_buf out = {0};
    bw_explain_text(&asked.explanation, &asked.policy->source, 1, &out);
    static const char *const said[] = {"Exception x1 lifts a deny until 2027-01-31T00:00:00Z: a congress",
                                       "before a recording connector is in the meeting",
                                       "connectors.require recording (the organisation)",
                                       "Kept: quality 12h, participants 30d, decisions without end"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        if (strstr(bw_buf_cstr(&out), said[i]) == NULL)
            fail_msg("no \"%s\" in:\n%s", said[i], bw_buf_cstr(&out));
    bw_buf_finish(&out);
    done(&asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(demo_is_placed_in_paris_with_the_documented_shape),
        cmocka_unit_test(rejected_relays_name_the_deciding_line),
        cmocka_unit_test(refusal_names_participants_and_the_nearest_miss),
        cmocka_unit_test(documented_files_load_and_a_region_alone_is_enough),
        cmocka_unit_test(text_shows_the_source_line_of_each_refusal),
        cmocka_unit_test(a_request_for_another_tenant_or_an_unknown_group_is_an_error),
        cmocka_unit_test(what_is_lifted_and_what_is_missing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
