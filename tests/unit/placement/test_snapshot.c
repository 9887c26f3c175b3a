#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "kit.h"
#include "placement/fleet_file.h"

static const struct bw_relay_facts relays[] = {
    {.name = "a", .number = 1, .region = "west", .place = "FR", .cascade = true, .version = 3},
    {.name = "b", .number = 2, .region = "east", .place = "DE", .cascade = true, .version = 4},
    {.name = "c", .number = 3, .place = "CH", .cascade = true, .version = 5},
};
static const char *const western[] = {"FR"}, *const eastern[] = {"DE", "FR-974"};
static const struct bw_region regions[] = {
    {.name = "west",
     .has_position = true,
     .lat_udeg = 48900000,
     .lon_udeg = 2400000,
     .countries = western,
     .country_count = 1},
    {.name = "east",
     .has_position = true,
     .lat_udeg = 50100000,
     .lon_udeg = 8700000,
     .countries = eastern,
     .country_count = 2},
    {.name = "mars"},
};
static const struct bw_relay_live live[] = {{.lease_ok = true, .capacity = 10},
                                            {.lease_ok = false, .capacity = 10},
                                            {.lease_ok = true, .capacity = 10}};

static struct bw_snapshot_input input_with(struct bw_facts **facts)
{
    struct bw_error err;
    assert_int_equal(bw_facts_create(relays, 3, NULL, 0, 1, facts, &err), BW_OK);
    return (struct bw_snapshot_input){.facts = *facts, .live = live, .regions = regions, .region_count = 3};
}

static struct bw_snapshot *build(const struct bw_snapshot_input *input)
{
    struct bw_snapshot *snapshot = NULL;
    struct bw_error err = {0};
    if (bw_snapshot_create(input, &snapshot, &err) != BW_OK)
        fail_msg("%s", err.show);
    return snapshot;
}

static void distances_come_from_pairs_then_same_then_default_then_the_globe(void **state)
{
    (void)state;
    struct bw_facts *facts;
    struct bw_snapshot_input input = input_with(&facts);
    struct bw_snapshot *s = build(&input);
    uint32_t west = bw_snapshot_region(s, "west"), east = bw_snapshot_region(s, "east");
    /* Paris to Frankfurt is about 475 km. */
    assert_in_range(bw_snapshot_hop_us(s, west, 1), 3500, 4200);
    assert_int_equal(bw_snapshot_hop_us(s, west, 1), bw_snapshot_hop_us(s, east, 0));
    assert_int_equal(bw_snapshot_hop_us(s, west, 2), 50000); /* c's region is unknown: equal to all */
    assert_int_equal(bw_snapshot_hop_us(s, BW_NO_REGION, 0), 50000);
    assert_int_equal(bw_snapshot_link_us(s, 1, 1), 0);
    bw_snapshot_release(s);
    const struct bw_rtt pair = {"east", "west", 12000};
    input.rtts = &pair;
    input.rtt_count = 1;
    input.has_same = input.has_default = true;
    input.same_us = 5000;
    input.default_us = 100000;
    s = build(&input);
    assert_int_equal(bw_snapshot_hop_us(s, west, 1), 6000);
    assert_int_equal(bw_snapshot_hop_us(s, west, 0), 2500);
    assert_int_equal(bw_snapshot_hop_us(s, bw_snapshot_region(s, "mars"), 0), 50000);
    bw_snapshot_release(s);
    bw_facts_release(facts);
}

static void probes_replace_their_pair_both_ways(void **state)
{
    (void)state;
    struct bw_facts *facts;
    struct bw_snapshot_input input = input_with(&facts);
    const struct bw_probe probes[] = {{0, 1, 9000}, {1, 0, 11000}, {2, 0, 30000}};
    input.probes = probes;
    input.probe_count = 3;
    struct bw_snapshot *s = build(&input);
    assert_int_equal(bw_snapshot_link_us(s, 0, 1), 5000);
    assert_int_equal(bw_snapshot_link_us(s, 1, 0), 5000);
    assert_int_equal(bw_snapshot_link_us(s, 0, 2), 15000);
    assert_int_equal(bw_snapshot_link_us(s, 1, 2), 50000);
    bw_snapshot_release(s);
    bw_facts_release(facts);
}

static void people_are_found_by_country_and_part(void **state)
{
    (void)state;
    struct bw_facts *facts;
    struct bw_snapshot_input input = input_with(&facts);
    struct bw_snapshot *s = build(&input);
    uint32_t west = bw_snapshot_region(s, "west"), east = bw_snapshot_region(s, "east");
    assert_int_equal(bw_snapshot_region_of_place(s, "FR"), west);
    assert_int_equal(bw_snapshot_region_of_place(s, "FR-75"), west);
    assert_int_equal(bw_snapshot_region_of_place(s, "RE"), east);
    assert_int_equal(bw_snapshot_region_of_place(s, "US"), BW_NO_REGION);
    assert_int_equal(bw_snapshot_region_of_place(s, NULL), BW_NO_REGION);
    bw_snapshot_release(s);
    bw_facts_release(facts);
}

static void lease_and_version_keep_relays_out(void **state)
{
    (void)state;
    struct bw_facts *facts;
    struct bw_snapshot_input input = input_with(&facts);
    input.version_min = 4;
    input.version_max = 4;
    struct bw_snapshot *s = build(&input);
    assert_string_equal(kit_reasons(s->state_reasons[0]), "VERSION");
    assert_string_equal(kit_reasons(s->state_reasons[1]), "LEASE_EXPIRED");
    assert_string_equal(kit_reasons(s->state_reasons[2]), "VERSION");
    assert_true(bw_bitset_empty(&s->placeable));
    bw_snapshot_release(s);
    bw_facts_release(facts);
}

static void names_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    struct bw_facts *facts;
    struct bw_snapshot_input input = input_with(&facts);
    struct bw_snapshot *s = NULL;
    struct bw_error err = {0};
    const struct bw_pair nobody = {"a", "z"};
    input.denied = &nobody;
    input.denied_count = 1;
    assert_int_equal(bw_snapshot_create(&input, &s, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "[a, z]"));
    input.denied_may_dangle = true;
    assert_int_equal(bw_snapshot_create(&input, &s, &err), BW_OK);
    bw_snapshot_release(s);
    const struct bw_rtt nowhere = {"west", "south", 1};
    input.rtts = &nowhere;
    input.rtt_count = 1;
    assert_int_equal(bw_snapshot_create(&input, &s, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "south"));
    bw_facts_release(facts);
}

static bool build_once(void *context)
{
    struct bw_snapshot *s = NULL;
    struct bw_error err;
    enum bw_code code = bw_snapshot_create(context, &s, &err);
    bw_snapshot_release(s);
    if (code != BW_OK)
        assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
    return code == BW_OK;
}

static void running_out_of_memory_leaves_the_facts_alone(void **state)
{
    (void)state;
    struct bw_facts *facts;
    struct bw_snapshot_input input = input_with(&facts);
    assert_true(bw_fail_each_allocation(build_once, &input, true) >= 2);
    assert_int_equal(facts->references, 1);
    bw_facts_release(facts);
}

/* Files */

static void a_fleet_file_is_checked_whole_and_each_error_has_its_place(void **state)
{
    (void)state;
    const struct bw_source source = {.file = "f.yaml",
                                     .text =
                                         bw_view_str("apiVersion: bailiwick/v1\n"
                                                     "kind: Fleet\n"
                                                     "regions: [{ name: west }, { name: west }]\n"
                                                     "rttMs: { pairs: [[west, north, 3], [west, west]] }\n"
                                                     "legs: { deny: [[a, zz], [a]] }\n"
                                                     "relays:\n"
                                                     "  - { id: a, region: south }\n"
                                                     "  - { id: a, country: FR }\n")};
    struct bw_diags diags;
    bw_diags_init(&diags);
    struct bw_snapshot *s = NULL;
    struct bw_error err;
    assert_int_equal(bw_fleet_load(&source, &diags, &s, &err), BW_INVALID_ARGUMENT);
    assert_null(s);
    bw_diags_sort(&diags);
    static const struct {
        uint32_t line;
        enum bw_diag_code code;
    } expected[] = {
        {3, BW_P_FLEET_DUPLICATE}, {4, BW_P_FLEET_REFERENCE}, {4, BW_P_FLEET_FORM},
        {5, BW_P_LINK_TO_NOTHING}, {5, BW_P_FLEET_FORM},      {7, BW_P_FLEET_REFERENCE},
        {8, BW_P_FLEET_DUPLICATE},
    };
    assert_int_equal(diags.count, BW_ARRAY_LEN(expected));
    for (size_t i = 0; i < diags.count; i++) {
        assert_int_equal(diags.items[i].where.at.line, expected[i].line);
        assert_int_equal(diags.items[i].code, expected[i].code);
    }
    bw_diags_finish(&diags);
}

static void what_a_fleet_file_does_not_state_has_a_default_or_is_unknown(void **state)
{
    (void)state;
    struct bw_snapshot *s = kit_fleet("apiVersion: bailiwick/v1\nkind: Fleet\nrelays: [{ id: a }]\n");
    const struct bw_relay_facts *relay = &s->facts->relays[0];
    assert_int_equal(s->live[0].capacity, 500);
    assert_int_equal(s->live[0].load_ppm, 0);
    assert_int_equal(s->state_reasons[0], 0);
    assert_true(relay->cascade);
    assert_int_equal(relay->media, BW_MEDIA_OPAQUE);
    assert_int_equal(relay->version, 1);
    assert_null(relay->place);
    assert_false(relay->stores_known);
    assert_int_equal(s->relay_region[0], BW_NO_REGION);
    bw_snapshot_release(s);
}

static void the_example_files_load(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(16 << 20);
    struct bw_snapshot *s = kit_fleet(kit_file(arena, "policies/examples/fleet.yaml"));
    assert_int_equal(s->relay_count, 6);
    static const char *const requests[] = {"request.yaml", "request-refused.yaml", "request-board.yaml"};
    for (size_t i = 0; i < BW_ARRAY_LEN(requests); i++) {
        char path[64] = "policies/examples/";
        strcat(path, requests[i]);
        struct bw_request_file request = kit_request(arena, s, kit_file(arena, path));
        assert_int_equal(request.participant_count, 2);
        assert_true(request.has_at);
    }
    bw_snapshot_release(s);
    bw_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_come_from_pairs_then_same_then_default_then_the_globe),
        cmocka_unit_test(probes_replace_their_pair_both_ways),
        cmocka_unit_test(people_are_found_by_country_and_part),
        cmocka_unit_test(lease_and_version_keep_relays_out),
        cmocka_unit_test(names_that_do_not_exist_are_refused),
        cmocka_unit_test(running_out_of_memory_leaves_the_facts_alone),
        cmocka_unit_test(a_fleet_file_is_checked_whole_and_each_error_has_its_place),
        cmocka_unit_test(what_a_fleet_file_does_not_state_has_a_default_or_is_unknown),
        cmocka_unit_test(the_example_files_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
