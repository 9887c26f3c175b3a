/* The planner against judges that share no code with it: a verifier of permissions, and a brute-force
 * optimum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"
#include "world.h"

static const char *const strict_policy =
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
    "entry: { allow: [EU, CH, GB, US], deny: [BE], unknown: refuse }\n"
    "transit: { allow: [EU, CH, GB], deny: [BE], requireCertifications: [HDS],\n"
    "           operators: { allowJurisdictions: [EU, CH, GB], denyJurisdictions: [US] } }\n"
    "e2ee: { mode: optional }\nconnectors: { allow: [recording] }\n";

static const char *const open_policy =
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
    "entry: { allow: [\"*\"], unknown: allow }\n"
    "transit: { allow: [\"*\"], operators: { allowJurisdictions: [\"*\"] } }\n"
    "e2ee: { mode: optional }\nconnectors: { allow: [\"*\"] }\n";

struct meeting {
    struct bw_participant people[WORLD_PEOPLE];
    uint32_t count;
    struct bw_open_relay open[2];
    size_t open_count;
    uint32_t cap;
    struct bw_id id;
};

static const char *const homes[] = {"FR", "DE", "CH", "GB", "US", "BE", "RU", NULL};

static void make_meeting(const struct world *world, struct kit_random *random, uint32_t most, bool troubled,
                         struct meeting *meeting)
{
    memset(meeting, 0, sizeof *meeting);
    meeting->count = 1 + kit_random_below(random, most);
    for (uint32_t i = 0; i < meeting->count; i++) {
        struct bw_participant *p = &meeting->people[i];
        p->place = troubled ? homes[kit_random_below(random, 8)] : "FR";
        p->region = troubled && kit_random_chance(random, 5) ? BW_NO_REGION
                                                             : kit_random_below(random, world->region_count);
        p->current = troubled && kit_random_chance(random, 20) ? kit_random_below(random, world->relay_count)
                                                               : BW_NO_RELAY;
        p->is_connector = troubled && kit_random_chance(random, 5);
        p->connector = kit_random_chance(random, 80) ? BW_CONNECTOR_RECORDING : BW_CONNECTOR_PSTN;
    }
    for (size_t i = 0; i < sizeof meeting->id.bytes; i++)
        meeting->id.bytes[i] = (uint8_t)kit_random_u64(random);
    meeting->cap = troubled && kit_random_chance(random, 30) ? 1 + kit_random_below(random, 6) : 0;
    if (!troubled || !kit_random_chance(random, 25))
        return;
    meeting->open_count = 1;
    meeting->open[0] = (struct bw_open_relay){.relay = kit_random_below(random, world->relay_count),
                                              .participants = 1 + kit_random_below(random, 5)};
    meeting->open[0].hop_sum_us = meeting->open[0].participants * UINT64_C(3000);
}

/* Verifier: what strict_policy says, in its own words. */

static bool among(const char *word, const char *list)
{
    return word != NULL && strstr(list, word) != NULL;
}

static bool relay_permitted(const struct world_relay *relay)
{
    return among(relay->country, "FR DE CH GB") && among(relay->law, "FR DE BE CH GB") &&
           relay->second_law == NULL && relay->certified && !relay->theirs;
}

static bool relay_takes_people(const struct world_relay *relay)
{
    return relay_permitted(relay) && relay->live.state == BW_RELAY_SERVING && relay->live.lease_ok;
}

static void verify(const struct world *world, const struct meeting *meeting, const struct bw_plan *plan)
{
    uint32_t on[WORLD_RELAYS] = {0};
    bool refused[WORLD_PEOPLE] = {false};
    for (size_t i = 0; i < plan->refused_count; i++) {
        assert_int_not_equal(plan->refused[i].reasons, 0);
        assert_false(refused[plan->refused[i].participant]);
        refused[plan->refused[i].participant] = true;
    }
    for (uint32_t i = 0; i < meeting->count; i++) {
        const struct bw_participant *p = &meeting->people[i];
        uint32_t r = plan->assignments[i];
        assert_int_equal(r == BW_NO_RELAY, refused[i]);
        if (r == BW_NO_RELAY)
            continue;
        const struct world_relay *relay = &world->relays[r];
        on[r]++;
        assert_true(relay_takes_people(relay));
        if (p->region != BW_NO_REGION)
            assert_false(world->access_denied[p->region][r]);
        if (p->is_connector) {
            assert_int_equal(p->connector, BW_CONNECTOR_RECORDING);
            assert_true(relay->records);
        } else {
            assert_true(among(p->place, "FR DE CH GB US"));
        }
    }
    bool used[WORLD_RELAYS] = {false};
    for (uint32_t r = 0; r < world->relay_count; r++) {
        uint32_t held = 0;
        for (size_t o = 0; o < meeting->open_count; o++)
            if (meeting->open[o].relay == r)
                held = meeting->open[o].participants;
        used[r] = on[r] + held > 0;
        if (on[r] == 0)
            continue;
        assert_true(on[r] <= world->relays[r].live.capacity - world->relays[r].live.placed);
        if (meeting->cap != 0)
            assert_true(on[r] + held <= meeting->cap);
    }
    if (!plan->placed)
        return;
    size_t count = 0, legs = 0;
    for (uint32_t a = 0; a < world->relay_count; a++) {
        if (!used[a])
            continue;
        count++;
        assert_true(relay_permitted(&world->relays[a]));
        for (uint32_t b = 0; b < a; b++) {
            if (!used[b])
                continue;
            legs++;
            assert_false(world->leg_denied[a][b]);
            assert_true(world->relays[a].cascade && world->relays[b].cascade);
        }
    }
    assert_int_equal(plan->relay_count, count);
    assert_int_equal(plan->leg_count, legs);
}

static struct bw_constraints *compile(struct bw_arena *arena, const char *policy, struct bw_facts *facts)
{
    return kit_compile(kit_policy(arena, policy), facts, NULL);
}

static void no_placement_ever_uses_a_forbidden_relay_or_leg(void **state)
{
    (void)state;
    struct kit_random random = {.state = 1};
    struct bw_arena *docs = bw_arena_create(8 << 20), *arena = bw_arena_create(64 << 20);
    size_t plans = 0, placed = 0, several = 0, some_refused = 0;
    for (int round = 0; round < 500; round++) {
        struct world world;
        const struct world_shape shape = {.relays = 2 + kit_random_below(&random, WORLD_RELAYS - 1),
                                          .regions = 1 + kit_random_below(&random, WORLD_REGIONS),
                                          .legs_denied_percent = 20,
                                          .access_denied_percent = 8,
                                          .troubled = true};
        world_open(&world, &random, &shape);
        bw_arena_reset(docs);
        struct bw_constraints *set = compile(docs, strict_policy, world.snapshot->facts);
        for (int m = 0; m < 50; m++) {
            struct meeting meeting;
            make_meeting(&world, &random, m % 5 == 0 ? WORLD_PEOPLE : 6, true, &meeting);
            const struct bw_place_request request = {.snapshot = world.snapshot,
                                                     .constraints = set,
                                                     .meeting = meeting.id,
                                                     .cap_per_relay = meeting.cap,
                                                     .open = meeting.open,
                                                     .open_count = meeting.open_count};
            struct bw_plan plan;
            struct bw_error err = {0};
            bw_arena_reset(arena);
            assert_int_equal(bw_place_plan(&request, meeting.people, meeting.count, arena, &plan, NULL, &err),
                             BW_OK);
            verify(&world, &meeting, &plan);
            plans++;
            placed += plan.placed;
            several += plan.placed && plan.relay_count > 1;
            some_refused += plan.placed && plan.refused_count > 0;
        }
        bw_constraints_release(set);
        world_close(&world);
    }
    print_message("%zu plans, %zu placed, %zu on several relays, %zu in part\n", plans, placed, several,
                  some_refused);
    assert_true(plans >= 20000 && placed > plans / 3 && several > plans / 20 && some_refused > plans / 20);
    bw_arena_destroy(arena);
    bw_arena_destroy(docs);
}

/* Joins one by one, as a live meeting grows. */
static void no_join_ever_uses_a_forbidden_relay_or_leg(void **state)
{
    (void)state;
    struct kit_random random = {.state = 2};
    struct bw_arena *docs = bw_arena_create(8 << 20), *arena = bw_arena_create(16 << 20);
    size_t joins = 0, placed = 0, opened = 0;
    for (int round = 0; round < 800; round++) {
        struct world world;
        const struct world_shape shape = {.relays = 2 + kit_random_below(&random, WORLD_RELAYS - 1),
                                          .regions = 8,
                                          .legs_denied_percent = 20,
                                          .access_denied_percent = 8,
                                          .troubled = true};
        world_open(&world, &random, &shape);
        bw_arena_reset(docs);
        struct bw_constraints *set = compile(docs, strict_policy, world.snapshot->facts);
        struct meeting meeting;
        make_meeting(&world, &random, WORLD_PEOPLE, true, &meeting);
        struct bw_open_relay open[BW_MEETING_RELAYS_MAX];
        uint32_t room[WORLD_RELAYS], assignments[WORLD_PEOPLE];
        size_t open_count = 0;
        for (uint32_t r = 0; r < world.relay_count; r++)
            room[r] = world.relays[r].live.capacity - world.relays[r].live.placed;
        struct bw_refused_participant refused[WORLD_PEOPLE];
        struct bw_plan plan = {.assignments = assignments, .refused = refused};
        for (uint32_t i = 0; i < meeting.count; i++) {
            const struct bw_place_request request = {.snapshot = world.snapshot,
                                                     .constraints = set,
                                                     .meeting = meeting.id,
                                                     .cap_per_relay = meeting.cap,
                                                     .open = open,
                                                     .open_count = open_count,
                                                     .room = room};
            struct bw_join join;
            struct bw_error err = {0};
            bw_arena_reset(arena);
            assert_int_equal(bw_place_join(&request, &meeting.people[i], arena, &join, NULL, &err), BW_OK);
            assignments[i] = join.relay;
            joins++;
            if (!join.placed) {
                assert_int_equal(join.relay, BW_NO_RELAY);
                refused[plan.refused_count++] =
                    (struct bw_refused_participant){.participant = i, .reasons = join.refused};
                continue;
            }
            placed++;
            opened += join.opens && open_count > 0;
            plan.placed = true;
            size_t at = 0;
            while (at < open_count && open[at].relay != join.relay)
                at++;
            assert_int_equal(join.opens, at == open_count);
            if (join.opens) {
                open[open_count++] = (struct bw_open_relay){.relay = join.relay};
                plan.leg_count += open_count - 1;
                plan.relay_count++;
            }
            open[at].participants++;
            open[at].hop_sum_us += join.hop_us;
            room[join.relay]--;
        }
        meeting.open_count = 0;
        verify(&world, &meeting, &plan);
        bw_constraints_release(set);
        world_close(&world);
    }
    print_message("%zu joins, %zu placed, %zu opened a further relay\n", joins, placed, opened);
    assert_true(joins > 15000 && placed > joins / 4 && opened > 200);
    bw_arena_destroy(arena);
    bw_arena_destroy(docs);
}

/* Brute force: every assignment, costed in its own words. */

static double hop_ms(const struct world *world, uint32_t region, uint32_t relay)
{
    return world->rtt_us[region][world->relays[relay].region] / 2000.0;
}

static double link_ms(const struct world *world, uint32_t a, uint32_t b)
{
    return a == b ? 0 : world->rtt_us[world->relays[a].region][world->relays[b].region] / 2000.0;
}

/* < 0: not allowed. */
static double cost_ms(const struct world *world, const struct meeting *meeting, const uint32_t *where)
{
    uint32_t n = meeting->count;
    double pairs = 0, access = 0, load = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = where[i];
        if (world->access_denied[meeting->people[i].region][r])
            return -1;
        bool first = true;
        for (uint32_t j = 0; j < i; j++) {
            if (world->leg_denied[r][where[j]])
                return -1;
            first = first && where[j] != r;
            pairs += hop_ms(world, meeting->people[i].region, r) +
                     hop_ms(world, meeting->people[j].region, where[j]) + link_ms(world, r, where[j]);
        }
        used += first;
        access += hop_ms(world, meeting->people[i].region, r);
        load += 10.0 * world->relays[r].live.load_ppm / 1e6;
    }
    double pair = n == 1 ? 2 * access : pairs / (n * (n - 1) / 2.0);
    return pair + access / n / 2 + load / n + 6.0 * (used - 1);
}

static double best_ms(const struct world *world, const struct meeting *meeting)
{
    uint32_t where[WORLD_PEOPLE] = {0};
    double best = -1;
    for (;;) {
        double cost = cost_ms(world, meeting, where);
        if (cost >= 0 && (best < 0 || cost < best))
            best = cost;
        uint32_t i = 0;
        while (i < meeting->count && ++where[i] == world->relay_count)
            where[i++] = 0;
        if (i == meeting->count)
            return best;
    }
}

/* The same optimum by depth-first search with a bound, for instances too large to count through. Starts from
 * a cost known to be reachable. */
struct exact {
    const struct world *world;
    const struct meeting *meeting;
    double best, linear[WORLD_PEOPLE][WORLD_RELAYS], rest[WORLD_PEOPLE + 1];
    uint32_t where[WORLD_PEOPLE];
};

static void exact_from(struct exact *exact, uint32_t i, double cost, uint32_t used)
{
    const struct world *world = exact->world;
    uint32_t n = exact->meeting->count;
    if (i == n) {
        exact->best = cost;
        return;
    }
    for (uint32_t r = 0; r < world->relay_count; r++) {
        if (world->access_denied[exact->meeting->people[i].region][r])
            continue;
        double more = exact->linear[i][r];
        bool first = true, linked = true;
        for (uint32_t j = 0; j < i; j++) {
            linked = linked && !world->leg_denied[r][exact->where[j]];
            first = first && exact->where[j] != r;
            more += link_ms(world, r, exact->where[j]) / (n * (n - 1) / 2.0);
        }
        more += first && used > 0 ? 6.0 : 0;
        if (!linked || cost + more + exact->rest[i + 1] >= exact->best - 1e-9)
            continue;
        exact->where[i] = r;
        exact_from(exact, i + 1, cost + more, used + first);
    }
}

static double exact_ms(const struct world *world, const struct meeting *meeting, double reachable)
{
    static struct exact exact;
    uint32_t n = meeting->count;
    exact = (struct exact){.world = world, .meeting = meeting, .best = reachable};
    for (uint32_t i = n; i-- > 0;) {
        double least = 1e9;
        for (uint32_t r = 0; r < world->relay_count; r++) {
            double hop = hop_ms(world, meeting->people[i].region, r);
            exact.linear[i][r] =
                hop * (n == 1 ? 2 : 2.0 / n) + hop / n / 2 + 10.0 * world->relays[r].live.load_ppm / 1e6 / n;
            if (!world->access_denied[meeting->people[i].region][r] && exact.linear[i][r] < least)
                least = exact.linear[i][r];
        }
        exact.rest[i] = exact.rest[i + 1] + least;
    }
    exact_from(&exact, 0, 0, 0);
    return exact.best;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bars {
    uint32_t relays_least, relays_most, regions_least, regions_most, people;
    bool brute; /* count through as well */
    size_t cases;
    double mean, p95, max; /* per cent */
};

static void measure_gap(const struct bars *bars, uint64_t seed)
{
    static double gaps[1000];
    struct kit_random random = {.state = seed};
    struct bw_arena *docs = bw_arena_create(8 << 20), *arena = bw_arena_create(16 << 20);
    size_t compared = 0, infeasible = 0, several = 0;
    double sum = 0;
    while (compared < bars->cases) {
        struct world world;
        const struct world_shape shape = {
            .relays =
                bars->relays_least + kit_random_below(&random, bars->relays_most - bars->relays_least + 1),
            .regions =
                bars->regions_least + kit_random_below(&random, bars->regions_most - bars->regions_least + 1),
            .legs_denied_percent = 20,
            .access_denied_percent = 8};
        world_open(&world, &random, &shape);
        bw_arena_reset(docs);
        struct bw_constraints *set = compile(docs, open_policy, world.snapshot->facts);
        struct meeting meeting;
        make_meeting(&world, &random, bars->people, false, &meeting);
        const struct bw_place_request request = {
            .snapshot = world.snapshot, .constraints = set, .meeting = meeting.id};
        struct bw_plan plan;
        struct bw_error err = {0};
        bw_arena_reset(arena);
        assert_int_equal(bw_place_plan(&request, meeting.people, meeting.count, arena, &plan, NULL, &err),
                         BW_OK);
        double mine = plan.refused_count == 0 ? cost_ms(&world, &meeting, plan.assignments) : 1e6;
        double best = exact_ms(&world, &meeting, mine + 1e-6);
        if (bars->brute) {
            double counted = best_ms(&world, &meeting);
            assert_true(counted < 0 ? best > 1e5 : counted - best < 1e-3 && best - counted < 1e-3);
        }
        if (best > 1e5) {
            infeasible++;
        } else {
            assert_int_equal(plan.refused_count, 0);
            assert_true(mine >= best - 1e-3);
            /* The score that is shown is the cost that was judged. */
            assert_true(mine * 1000 - (double)plan.score.total_us < 5 &&
                        (double)plan.score.total_us - mine * 1000 < 5);
            double gap = (mine - best) / best * 100;
            gaps[compared++] = gap > 1e-3 ? gap : 0;
            sum += gaps[compared - 1];
            several += plan.relay_count > 1;
        }
        bw_constraints_release(set);
        world_close(&world);
    }
    qsort(gaps, compared, sizeof gaps[0], ascending);
    print_message(
        "gap to the optimum over %zu: mean %.3f %%, p95 %.3f %%, max %.3f %%; %zu on several relays, %zu "
        "without a solution\n",
        compared, sum / (double)compared, gaps[compared * 95 / 100], gaps[compared - 1], several, infeasible);
    assert_true(sum / (double)compared <= bars->mean);
    assert_true(gaps[compared * 95 / 100] <= bars->p95);
    assert_true(gaps[compared - 1] <= bars->max);
    bw_arena_destroy(arena);
    bw_arena_destroy(docs);
}

static void plans_are_close_to_the_optimum_up_to_12_candidates(void **state)
{
    (void)state;
    const struct bars counted = {3, 7, 3, 8, 5, true, 500, 0.5, 2, 6};
    const struct bars larger = {8, 12, 4, 10, 9, false, 1000, 0.5, 2, 6};
    measure_gap(&counted, 3);
    measure_gap(&larger, 30);
}

static void plans_are_close_to_the_optimum_over_24_regions(void **state)
{
    (void)state;
    const struct bars wide = {24, WORLD_RELAYS, 24, 24, 8, false, 300, 1, 8, 8};
    measure_gap(&wide, 31);
}

static void the_order_of_relays_in_memory_never_matters(void **state)
{
    (void)state;
    struct kit_random random = {.state = 5};
    struct bw_arena *docs = bw_arena_create(64 << 20), *arena = bw_arena_create(64 << 20);
    struct world world;
    const struct world_shape shape = {.relays = WORLD_RELAYS,
                                      .regions = 8,
                                      .legs_denied_percent = 20,
                                      .access_denied_percent = 8,
                                      .troubled = true};
    world_open(&world, &random, &shape);
    /* Twins everywhere, so that ties are real. */
    for (uint32_t i = 1; i < world.relay_count; i += 2) {
        struct world_relay twin = world.relays[i - 1];
        memcpy(twin.name, world.relays[i].name, sizeof twin.name);
        world.relays[i] = twin;
    }
    struct meeting meeting;
    make_meeting(&world, &random, WORLD_PEOPLE, true, &meeting);
    meeting.open_count = 0;
    uint8_t hash[32] = {0};
    uint32_t assignments[WORLD_PEOPLE], join_relay = 0;
    const struct bw_policy_doc *doc = kit_policy(docs, strict_policy);
    for (int shuffle = 0; shuffle < 1000; shuffle++) {
        struct bw_snapshot *snapshot = world_shuffled(&world, &random);
        struct bw_constraints *set = kit_compile(doc, snapshot->facts, NULL);
        const struct bw_place_request request = {
            .snapshot = snapshot, .constraints = set, .meeting = meeting.id, .cap_per_relay = meeting.cap};
        struct bw_plan plan;
        struct bw_decision_trace trace;
        struct bw_join join;
        struct bw_error err = {0};
        bw_arena_reset(arena);
        assert_int_equal(bw_place_plan(&request, meeting.people, meeting.count, arena, &plan, &trace, &err),
                         BW_OK);
        assert_int_equal(bw_place_join(&request, &meeting.people[0], arena, &join, NULL, &err), BW_OK);
        if (shuffle == 0) {
            assert_true(plan.placed);
            memcpy(hash, trace.snapshot_hash, sizeof hash);
            memcpy(assignments, plan.assignments, meeting.count * sizeof *assignments);
            join_relay = join.relay;
        }
        assert_memory_equal(hash, trace.snapshot_hash, sizeof hash);
        assert_memory_equal(assignments, plan.assignments, meeting.count * sizeof *assignments);
        assert_int_equal(join_relay, join.relay);
        bw_constraints_release(set);
        bw_snapshot_release(snapshot);
    }
    world_close(&world);
    bw_arena_destroy(arena);
    bw_arena_destroy(docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_placement_ever_uses_a_forbidden_relay_or_leg),
        cmocka_unit_test(no_join_ever_uses_a_forbidden_relay_or_leg),
        cmocka_unit_test(plans_are_close_to_the_optimum_up_to_12_candidates),
        cmocka_unit_test(plans_are_close_to_the_optimum_over_24_regions),
        cmocka_unit_test(the_order_of_relays_in_memory_never_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
