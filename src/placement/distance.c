#include "placement/distance.h"

#include <math.h>

#include "base/arena.h"

/* Light in fibre takes 5 µs/km, and routes are about 1.4 times the great circle. */
#define US_PER_KM       7.0
#define EARTH_RADIUS_KM 6371.0
enum { GREAT_CIRCLE_FLOOR_US = 500, DEFAULT_UNKNOWN_US = 50000, UNSET = -1 };

uint32_t bw_one_way_us(uint64_t rtt_us)
{
    uint64_t half = rtt_us / 2;
    return half < BW_HOP_US_MAX ? (uint32_t)half : (uint32_t)BW_HOP_US_MAX;
}

static double radians(int32_t udeg)
{
    return (double)udeg / 1e6 * (3.14159265358979323846 / 180.0);
}

/* Haversine. */
static uint32_t great_circle_us(const struct bw_region *a, const struct bw_region *b)
{
    double lat_a = radians(a->lat_udeg), lat_b = radians(b->lat_udeg);
    double sin_lat = sin((lat_b - lat_a) / 2),
           sin_lon = sin((radians(b->lon_udeg) - radians(a->lon_udeg)) / 2);
    double h = sin_lat * sin_lat + cos(lat_a) * cos(lat_b) * sin_lon * sin_lon;
    double km = 2 * EARTH_RADIUS_KM * asin(sqrt(h < 1 ? h : 1));
    return GREAT_CIRCLE_FLOOR_US + (uint32_t)(km * US_PER_KM);
}

enum bw_code bw_distance_build(struct bw_snapshot *snapshot, const struct bw_snapshot_input *input,
                               struct bw_error *err)
{
    size_t n = snapshot->region_count;
    int64_t *given = bw_arena_zalloc(snapshot->arena, n * n, sizeof *given);
    uint32_t *us = bw_arena_zalloc(snapshot->arena, n * n, sizeof *us);
    if (given == NULL || us == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < n * n; i++)
        given[i] = UNSET;
    for (size_t i = 0; i < input->rtt_count; i++) {
        uint32_t a = bw_snapshot_region(snapshot, input->rtts[i].a);
        uint32_t b = bw_snapshot_region(snapshot, input->rtts[i].b);
        if (a == BW_NO_REGION || b == BW_NO_REGION)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "rttMs: there is no region %s",
                           a == BW_NO_REGION ? input->rtts[i].a : input->rtts[i].b);
        given[a * n + b] = given[b * n + a] = input->rtts[i].rtt_us;
    }
    snapshot->unknown_us = input->has_default ? bw_one_way_us(input->default_us) : DEFAULT_UNKNOWN_US;
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < n; b++) {
            const struct bw_region *from = &snapshot->regions[a], *to = &snapshot->regions[b];
            if (given[a * n + b] != UNSET)
                us[a * n + b] = bw_one_way_us((uint64_t)given[a * n + b]);
            else if (a == b && input->has_same)
                us[a * n + b] = bw_one_way_us(input->same_us);
            else if (a != b && input->has_default)
                us[a * n + b] = bw_one_way_us(input->default_us);
            else if (a == b)
                us[a * n + b] = GREAT_CIRCLE_FLOOR_US;
            else if (from->has_position && to->has_position)
                us[a * n + b] = great_circle_us(a < b ? from : to, a < b ? to : from);
            else
                us[a * n + b] = snapshot->unknown_us;
        }
    }
    snapshot->region_us = us;
    return BW_OK;
}
