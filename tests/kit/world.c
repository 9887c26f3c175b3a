#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const countries[] = {"FR", "DE", "BE", "CH", "GB", "US", "SG"};
enum { COUNTRIES = sizeof countries / sizeof countries[0] };

static void make_relay(struct world *world, struct kit_random *random, const struct world_shape *shape,
                       uint32_t i)
{
    struct world_relay *relay = &world->relays[i];
    memset(relay, 0, sizeof *relay);
    snprintf(relay->name, sizeof relay->name, "r%02u", i);
    bool odd = shape->troubled;
    relay->country = countries[kit_random_below(random, odd ? COUNTRIES : 4)];
    relay->law = odd && kit_random_chance(random, 10) ? "US" : relay->country;
    relay->second_law = odd && kit_random_chance(random, 10) ? "US" : NULL;
    relay->region = kit_random_below(random, world->region_count);
    relay->certified = !odd || kit_random_chance(random, 85);
    relay->cascade = !odd || kit_random_chance(random, 90);
    relay->theirs = odd && kit_random_chance(random, 5);
    relay->records = odd && kit_random_chance(random, 30);
    relay->live = (struct bw_relay_live){.state = BW_RELAY_SERVING,
                                         .lease_ok = !odd || kit_random_chance(random, 95),
                                         .capacity = 1000,
                                         .load_ppm = kit_random_below(random, odd ? 900000 : 700000)};
    if (!odd)
        return;
    if (kit_random_chance(random, 10))
        relay->live.state = (enum bw_relay_state)kit_random_below(random, 4);
    relay->live.capacity = kit_random_chance(random, 30) ? kit_random_below(random, 8) : 50;
    relay->live.placed = relay->live.capacity / 3;
}

static void make_network(struct world *world, struct kit_random *random, const struct world_shape *shape)
{
    uint32_t x[WORLD_REGIONS], y[WORLD_REGIONS];
    for (uint32_t i = 0; i < world->region_count; i++) {
        snprintf(world->regions[i], WORLD_NAME, "g%02u", i);
        x[i] = kit_random_below(random, 100);
        y[i] = kit_random_below(random, 100);
    }
    for (uint32_t a = 0; a < world->region_count; a++)
        for (uint32_t b = 0; b <= a; b++) {
            uint32_t dx = x[a] > x[b] ? x[a] - x[b] : x[b] - x[a],
                     dy = y[a] > y[b] ? y[a] - y[b] : y[b] - y[a];
            uint32_t rtt = a == b ? 4000 : 8000 + (dx + dy) * 700 + kit_random_below(random, 8000);
            world->rtt_us[a][b] = world->rtt_us[b][a] = rtt & ~1u;
        }
    memset(world->leg_denied, 0, sizeof world->leg_denied);
    memset(world->access_denied, 0, sizeof world->access_denied);
    for (uint32_t a = 0; a < world->relay_count; a++)
        for (uint32_t b = 0; b < a; b++)
            world->leg_denied[a][b] = world->leg_denied[b][a] =
                kit_random_chance(random, shape->legs_denied_percent);
    for (uint32_t g = 0; g < world->region_count; g++)
        for (uint32_t r = 0; r < world->relay_count; r++)
            world->access_denied[g][r] = kit_random_chance(random, shape->access_denied_percent);
}

static struct bw_snapshot *build(const struct world *world, const uint32_t *order)
{
    static const char *const others[] = {"someone-else"};
    static const struct bw_certification hds[] = {{"HDS", BW_NEVER_MS}};
    struct bw_relay_facts facts[WORLD_RELAYS];
    const char *laws[WORLD_RELAYS][2], *stores[WORLD_RELAYS][1];
    for (uint32_t i = 0; i < world->relay_count; i++) {
        const struct world_relay *relay = &world->relays[order[i]];
        laws[i][0] = relay->law;
        laws[i][1] = relay->second_law;
        stores[i][0] = relay->country;
        facts[i] = (struct bw_relay_facts){
            .name = relay->name,
            .number = order[i] + 1,
            .region = world->regions[relay->region],
            .place = relay->country,
            .operated_by = {.jurisdictions = laws[i],
                            .jurisdiction_count = relay->second_law != NULL ? 2 : 1},
            .certifications = hds,
            .certification_count = relay->certified ? 1 : 0,
            .cascade = relay->cascade,
            .tenants = others,
            .tenant_count = relay->theirs ? 1 : 0,
            .connectors = relay->records ? BW_CONNECTOR_BIT(BW_CONNECTOR_RECORDING) : 0,
            .stores = stores[i],
            .store_count = 1,
            .stores_known = true,
            .version = 1,
        };
    }
    struct bw_error err = {0};
    struct bw_snapshot_input input = {.has_same = false};
    if (bw_facts_create(facts, world->relay_count, NULL, 0, 1, &input.facts, &err) != BW_OK)
        fail_msg("%s", err.show);
    static struct bw_rtt rtts[WORLD_REGIONS * WORLD_REGIONS];
    static struct bw_pair denied[(WORLD_RELAYS + WORLD_REGIONS) * WORLD_RELAYS];
    struct bw_region regions[WORLD_REGIONS] = {{0}};
    struct bw_relay_live live[WORLD_RELAYS];
    for (uint32_t g = 0; g < world->region_count; g++) {
        regions[g].name = world->regions[g];
        for (uint32_t h = 0; h <= g; h++)
            rtts[input.rtt_count++] =
                (struct bw_rtt){world->regions[g], world->regions[h], world->rtt_us[g][h]};
        for (uint32_t r = 0; r < world->relay_count; r++)
            if (world->access_denied[g][r])
                denied[input.denied_count++] = (struct bw_pair){world->regions[g], world->relays[r].name};
    }
    for (uint32_t a = 0; a < world->relay_count; a++) {
        live[a] = world->relays[a].live;
        for (uint32_t b = 0; b < a; b++)
            if (world->leg_denied[a][b])
                denied[input.denied_count++] = (struct bw_pair){world->relays[a].name, world->relays[b].name};
    }
    input.live = live;
    input.regions = regions;
    input.region_count = world->region_count;
    input.rtts = rtts;
    input.denied = denied;
    struct bw_snapshot *snapshot = NULL;
    if (bw_snapshot_create(&input, &snapshot, &err) != BW_OK)
        fail_msg("%s", err.show);
    bw_facts_release(input.facts);
    return snapshot;
}

void world_open(struct world *world, struct kit_random *random, const struct world_shape *shape)
{
    world->relay_count = shape->relays;
    world->region_count = shape->regions;
    for (uint32_t i = 0; i < world->relay_count; i++)
        make_relay(world, random, shape, i);
    make_network(world, random, shape);
    uint32_t order[WORLD_RELAYS];
    for (uint32_t i = 0; i < world->relay_count; i++)
        order[i] = i;
    world->snapshot = build(world, order);
}

void world_close(struct world *world)
{
    bw_snapshot_release(world->snapshot);
}

struct bw_snapshot *world_shuffled(const struct world *world, struct kit_random *random)
{
    uint32_t order[WORLD_RELAYS];
    for (uint32_t i = 0; i < world->relay_count; i++)
        order[i] = i;
    for (uint32_t i = world->relay_count; i > 1; i--) {
        uint32_t j = kit_random_below(random, i), held = order[i - 1];
        order[i - 1] = order[j];
        order[j] = held;
    }
    return build(world, order);
}
