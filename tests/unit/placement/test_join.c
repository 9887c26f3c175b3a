/* One joiner at a time: each reason on its own, and what decides among the allowed. */
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

static const char *const policy_text =
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
    "entry: { allow: [EU, CH], deny: [BE], unknown: refuse }\n"
    "transit: { allow: [EU], prefer: [[FR, DE], [BE]], operators: { allowJurisdictions: [\"*\"] } }\n"
    "e2ee: { mode: optional }\nconnectors: { allow: [recording] }\n";

/* Two alike in Paris, one in Frankfurt, one in Brussels that is preferred less, one outside. */
static const char *const fleet_text =
    "apiVersion: bailiwick/v1\n"
    "kind: Fleet\n"
    "regions:\n"
    "  - { name: west, countries: [FR, BE] }\n"
    "  - { name: central, countries: [DE, CH] }\n"
    "rttMs: { same: 4, default: 100, pairs: [[west, central, 40]] }\n"
    "relays:\n"
    "  - { id: par1, region: west, country: FR, load: 0.1, capacity: 100 }\n"
    "  - { id: par2, region: west, country: FR, load: 0.1, capacity: 100 }\n"
    "  - { id: fra1, region: central, country: DE, load: 0.1, capacity: 100, connectors: [recording], "
    "stores: [DE] }\n"
    "  - { id: bru1, region: west, country: BE, load: 0.0, capacity: 100 }\n"
    "  - { id: zrh1, region: central, country: CH, load: 0.0, capacity: 100 }\n";

struct scene {
    struct bw_arena *arena;
    struct bw_snapshot *snapshot;
    struct bw_constraints *set;
    struct bw_place_request request;
    struct bw_participant joiner;
    struct bw_open_relay open[4];
    uint32_t room[8], load[8];
};

static uint32_t relay(const struct scene *scene, const char *name)
{
    return (uint32_t)bw_facts_find_relay(scene->snapshot->facts, name);
}

static void open_scene(struct scene *scene, const char *fleet)
{
    memset(scene, 0, sizeof *scene);
    scene->arena = bw_arena_create(8 << 20);
    scene->snapshot = kit_fleet(fleet);
    scene->set = kit_compile(kit_policy(scene->arena, policy_text), scene->snapshot->facts, NULL);
    scene->request = (struct bw_place_request){
        .snapshot = scene->snapshot, .constraints = scene->set, .open = scene->open, .meeting = {{1, 2, 3}}};
    scene->joiner = (struct bw_participant){
        .place = "FR", .region = bw_snapshot_region(scene->snapshot, "west"), .current = BW_NO_RELAY};
    for (size_t i = 0; i < 8; i++)
        scene->room[i] = 10;
}

static void add_open(struct scene *scene, const char *name, uint32_t participants, uint64_t hop_us)
{
    scene->open[scene->request.open_count++] = (struct bw_open_relay){
        .relay = relay(scene, name), .participants = participants, .hop_sum_us = participants * hop_us};
}

static void close_scene(struct scene *scene)
{
    bw_constraints_release(scene->set);
    bw_snapshot_release(scene->snapshot);
    bw_arena_destroy(scene->arena);
}

static struct bw_join join(struct scene *scene)
{
    struct bw_join answer;
    struct bw_error err = {0};
    enum bw_code code = bw_place_join(&scene->request, &scene->joiner, scene->arena, &answer, NULL, &err);
    if (code != BW_OK)
        print_error("%s\n", err.show);
    assert_int_equal(code, BW_OK);
    assert_int_equal(answer.placed, answer.refused == 0);
    return answer;
}

static const char *where(struct scene *scene)
{
    struct bw_join answer = join(scene);
    return answer.placed ? scene->snapshot->facts->relays[answer.relay].name : "refused";
}

static const char *reasons_for(struct scene *scene, const char *name)
{
    uint32_t reasons[16];
    bw_place_reasons(&scene->request, &scene->joiner, reasons);
    return kit_reasons(reasons[relay(scene, name)]);
}

static void the_first_of_a_meeting_gets_a_near_preferred_relay(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    struct bw_join answer = join(&scene);
    assert_true(answer.opens);
    assert_int_equal(answer.hop_us, 2000);
    assert_int_equal(answer.score.access_us, 2000);
    assert_int_equal(answer.score.load_us, 1000);
    assert_int_equal(answer.score.rank, 0);
    assert_true(answer.relay == relay(&scene, "par1") || answer.relay == relay(&scene, "par2"));
    /* Equal relays share meetings between them. */
    int first = 0;
    for (int i = 0; i < 200; i++) {
        scene.request.meeting.bytes[7] = (uint8_t)i;
        first += strcmp(where(&scene), "par1") == 0;
    }
    assert_in_range(first, 60, 140);
    close_scene(&scene);
}

static void a_joiner_stays_unless_a_further_relay_pays_for_itself(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    add_open(&scene, "par1", 5, 2000);
    struct bw_join answer = join(&scene);
    assert_false(answer.opens);
    assert_int_equal(answer.relay, relay(&scene, "par1"));
    assert_int_equal(answer.score.pair_us, 4000);
    assert_int_equal(answer.score.total_us, 4000 + 1000 + 1000);
    /* From Germany the first hop is 20 ms either way round: no gain for 6 ms. */
    scene.joiner = (struct bw_participant){.place = "DE", .region = 0, .current = BW_NO_RELAY};
    assert_string_equal(where(&scene), "par1");
    /* Ten of them at home would like one of their own: then it does pay. */
    scene.open[0].participants = 2;
    scene.open[0].hop_sum_us = 4000;
    add_open(&scene, "fra1", 9, 2000);
    answer = join(&scene);
    assert_int_equal(answer.relay, relay(&scene, "fra1"));
    assert_false(answer.opens);
    close_scene(&scene);
}

static void preference_comes_before_latency_and_load_before_preference(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    scene.joiner.place = "CH"; /* people may be where media may not */
    for (size_t i = 0; i < 8; i++)
        scene.load[i] = 900000;
    scene.request.load_ppm = scene.load;
    scene.load[relay(&scene, "bru1")] = 850000;
    assert_string_not_equal(where(&scene), "bru1");
    scene.load[relay(&scene, "bru1")] = 700000;
    assert_string_equal(where(&scene), "bru1"); /* the only one that is not hot */
    close_scene(&scene);
}

static void each_obstacle_has_its_reason(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    assert_string_equal(reasons_for(&scene, "par1"), "");
    assert_string_equal(reasons_for(&scene, "zrh1"), "TRANSIT_COUNTRY");
    scene.request.room = scene.room;
    scene.room[relay(&scene, "par1")] = 0;
    assert_string_equal(reasons_for(&scene, "par1"), "CAPACITY");
    assert_string_equal(where(&scene), "par2");
    scene.room[relay(&scene, "par1")] = 1;
    add_open(&scene, "par1", 3, 2000);
    scene.request.cap_per_relay = 3;
    assert_string_equal(reasons_for(&scene, "par1"), "CAPACITY");
    scene.request.cap_per_relay = 0;
    scene.open[0].recent_joins = 20;
    assert_string_equal(reasons_for(&scene, "par1"), "BURST_LIMIT");
    assert_string_equal(where(&scene), "par2");
    scene.joiner.is_connector = true;
    scene.joiner.connector = BW_CONNECTOR_RECORDING;
    assert_string_equal(reasons_for(&scene, "par2"), "ACCESS");
    assert_string_equal(where(&scene), "fra1");
    scene.joiner.connector = BW_CONNECTOR_PSTN;
    assert_string_equal(reasons_for(&scene, "fra1"), "CONNECTOR_FORBIDDEN ACCESS");
    close_scene(&scene);
}

static const char *const ailing_fleet = "apiVersion: bailiwick/v1\n"
                                        "kind: Fleet\n"
                                        "regions: [{ name: west, countries: [FR] }]\n"
                                        "legs: { deny: [[par1, par6], [west, par7]] }\n"
                                        "relays:\n"
                                        "  - { id: par1, region: west, country: FR }\n"
                                        "  - { id: par2, region: west, country: FR, state: dead }\n"
                                        "  - { id: par3, region: west, country: FR, state: cordoned }\n"
                                        "  - { id: par4, region: west, country: FR, state: draining }\n"
                                        "  - { id: par5, region: west, country: FR, cascade: false }\n"
                                        "  - { id: par6, region: west, country: FR }\n"
                                        "  - { id: par7, region: west, country: FR }\n";

static void live_state_links_and_access_are_obeyed(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, ailing_fleet);
    assert_string_equal(reasons_for(&scene, "par2"), "RELAY_STATE");
    assert_string_equal(reasons_for(&scene, "par3"), "RELAY_STATE");
    assert_string_equal(reasons_for(&scene, "par4"), "DRAINING");
    assert_string_equal(reasons_for(&scene, "par5"), "");
    assert_string_equal(reasons_for(&scene, "par7"), "ACCESS");
    /* A meeting on par1 can only grow where par1 may link. */
    add_open(&scene, "par1", 3, 2000);
    scene.request.room = scene.room;
    scene.room[relay(&scene, "par1")] = 0;
    assert_string_equal(reasons_for(&scene, "par5"), "LEG_FORBIDDEN");
    assert_string_equal(reasons_for(&scene, "par6"), "LEG_FORBIDDEN");
    assert_string_equal(where(&scene), "refused");
    struct bw_join answer = join(&scene);
    assert_true(answer.refused & BW_REASON_BIT(BW_REASON_CAPACITY));
    assert_true(answer.refused & BW_REASON_BIT(BW_REASON_LEG_FORBIDDEN));
    /* A draining relay takes nobody, not even for a meeting it carries. */
    scene.open[0].relay = relay(&scene, "par4");
    assert_string_not_equal(where(&scene), "par4");
    close_scene(&scene);
}

static void nobody_joins_a_meeting_that_sits_where_policy_forbids(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    add_open(&scene, "zrh1", 3, 2000);
    struct bw_join answer = join(&scene);
    assert_false(answer.placed);
    assert_true(answer.refused & BW_REASON_BIT(BW_REASON_LEG_FORBIDDEN));
    const uint32_t sits[] = {relay(&scene, "zrh1"), relay(&scene, "par1")};
    assert_string_equal(kit_reasons(bw_place_check(scene.snapshot, scene.set, sits, 2)),
                        "TRANSIT_COUNTRY LEG_FORBIDDEN");
    assert_int_equal(bw_place_check(scene.snapshot, scene.set, &sits[1], 1), 0);
    close_scene(&scene);
}

static void the_door_is_country_region_and_connector(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    scene.joiner.place = "US";
    struct bw_join answer = join(&scene);
    assert_string_equal(kit_reasons(answer.refused), "ENTRY_COUNTRY");
    assert_string_equal(answer.clause.path, "entry.allow");
    scene.joiner.place = "BE";
    answer = join(&scene);
    assert_string_equal(answer.clause.path, "entry.deny");
    /* Only the region is known, and some of its countries are denied. */
    scene.joiner.place = NULL;
    answer = join(&scene);
    assert_string_equal(kit_reasons(answer.refused), "ENTRY_COUNTRY FACT_UNKNOWN");
    scene.joiner.region = bw_snapshot_region(scene.snapshot, "central");
    assert_true(join(&scene).placed);
    scene.joiner.region = BW_NO_REGION;
    assert_string_equal(kit_reasons(join(&scene).refused), "ENTRY_COUNTRY FACT_UNKNOWN");
    scene.joiner = (struct bw_participant){
        .region = BW_NO_REGION, .current = BW_NO_RELAY, .is_connector = true, .connector = BW_CONNECTOR_SIP};
    answer = join(&scene);
    assert_string_equal(kit_reasons(answer.refused), "CONNECTOR_FORBIDDEN");
    assert_string_equal(answer.clause.path, "connectors.allow");
    scene.joiner.connector = BW_CONNECTOR_RECORDING;
    assert_true(join(&scene).placed);
    scene.request.mode = BW_MODE_SET_E2EE;
    assert_string_equal(kit_reasons(join(&scene).refused), "CONNECTOR_FORBIDDEN");
    close_scene(&scene);
}

static void the_trace_pins_what_was_decided_on(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    struct bw_join answer;
    struct bw_decision_trace trace;
    struct bw_error err;
    assert_int_equal(bw_place_join(&scene.request, &scene.joiner, scene.arena, &answer, &trace, &err), BW_OK);
    assert_memory_equal(trace.snapshot_hash, scene.snapshot->hash, sizeof trace.snapshot_hash);
    assert_memory_equal(trace.policy_hash, scene.set->hash, sizeof trace.policy_hash);
    assert_int_equal(trace.relay_count, 5);
    assert_true(trace.has_runner_up);
    assert_int_not_equal(trace.runner_up, answer.relay);
    assert_true(trace.runner_up_score.total_us >= trace.score.total_us);
    assert_int_equal(trace.nearest.relay, relay(&scene, "zrh1"));
    assert_string_equal(kit_reasons(trace.nearest.reasons), "TRANSIT_COUNTRY");
    close_scene(&scene);
}

static void requests_that_do_not_hang_together_are_errors(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    struct bw_join answer;
    struct bw_error err;
    add_open(&scene, "par1", 1, 0);
    add_open(&scene, "par1", 1, 0);
    assert_int_equal(bw_place_join(&scene.request, &scene.joiner, scene.arena, &answer, NULL, &err),
                     BW_INVALID_ARGUMENT);
    scene.request.open_count = 1;
    scene.open[0].participants = BW_MEETING_PARTICIPANTS_MAX;
    assert_int_equal(bw_place_join(&scene.request, &scene.joiner, scene.arena, &answer, NULL, &err),
                     BW_INVALID_ARGUMENT);
    scene.request.open_count = 0;
    scene.joiner.region = 77;
    assert_int_equal(bw_place_join(&scene.request, &scene.joiner, scene.arena, &answer, NULL, &err),
                     BW_INVALID_ARGUMENT);
    scene.joiner.region = 0;
    struct bw_snapshot *newer = kit_fleet(fleet_text);
    scene.request.snapshot = newer; /* the constraints were compiled over other facts */
    assert_int_equal(bw_place_join(&scene.request, &scene.joiner, scene.arena, &answer, NULL, &err),
                     BW_FAILED_PRECONDITION);
    bw_snapshot_release(newer);
    close_scene(&scene);
}

static bool plan_once(void *context)
{
    struct scene *scene = context;
    struct bw_participant people[3] = {scene->joiner, scene->joiner, scene->joiner};
    people[1].region = 0;
    struct bw_plan plan;
    struct bw_decision_trace trace;
    struct bw_error err;
    struct bw_arena *arena = bw_arena_create(1 << 20);
    if (arena == NULL)
        return false;
    enum bw_code code = bw_place_plan(&scene->request, people, 3, arena, &plan, &trace, &err);
    bw_arena_destroy(arena);
    if (code != BW_OK)
        assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
    return code == BW_OK;
}

static void a_full_arena_is_a_clean_error(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, fleet_text);
    assert_true(bw_fail_each_allocation(plan_once, &scene, true) >= 2);
    /* And with every cap on its bytes. */
    for (size_t cap = 16; cap < 8192; cap += 16) {
        struct bw_arena *arena = bw_arena_create(cap);
        struct bw_participant people[2] = {scene.joiner, scene.joiner};
        struct bw_plan plan;
        struct bw_error err;
        enum bw_code code = bw_place_plan(&scene.request, people, 2, arena, &plan, NULL, &err);
        assert_true(code == BW_OK || code == BW_RESOURCE_EXHAUSTED);
        bw_arena_destroy(arena);
    }
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_a_meeting_gets_a_near_preferred_relay),
        cmocka_unit_test(a_joiner_stays_unless_a_further_relay_pays_for_itself),
        cmocka_unit_test(preference_comes_before_latency_and_load_before_preference),
        cmocka_unit_test(each_obstacle_has_its_reason),
        cmocka_unit_test(live_state_links_and_access_are_obeyed),
        cmocka_unit_test(nobody_joins_a_meeting_that_sits_where_policy_forbids),
        cmocka_unit_test(the_door_is_country_region_and_connector),
        cmocka_unit_test(the_trace_pins_what_was_decided_on),
        cmocka_unit_test(requests_that_do_not_hang_together_are_errors),
        cmocka_unit_test(a_full_arena_is_a_clean_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
