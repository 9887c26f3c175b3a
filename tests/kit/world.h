/* Random fleets and meetings for the planner, kept as plain arrays beside what the planner sees, so that a
 * verifier can judge its answers without any of its code. */
#ifndef BW_TESTS_WORLD_H
#define BW_TESTS_WORLD_H

#include "kit.h"

enum { WORLD_RELAYS = 40, WORLD_REGIONS = 24, WORLD_PEOPLE = 64, WORLD_NAME = 16 };

struct world_relay {
    char name[WORLD_NAME];
    const char *country;
    const char *law, *second_law; /* second_law may be NULL */
    uint32_t region;
    bool certified, cascade, theirs;
    bool records; /* offers recording, stores in `country` */
    struct bw_relay_live live;
};

struct world {
    uint32_t relay_count, region_count;
    struct world_relay relays[WORLD_RELAYS]; /* in the order of their names */
    char regions[WORLD_REGIONS][WORLD_NAME];
    uint32_t rtt_us[WORLD_REGIONS][WORLD_REGIONS];
    bool leg_denied[WORLD_RELAYS][WORLD_RELAYS];
    bool access_denied[WORLD_REGIONS][WORLD_RELAYS];
    struct bw_snapshot *snapshot;
};

struct world_shape {
    uint32_t relays, regions;
    uint32_t legs_denied_percent, access_denied_percent;
    bool troubled; /* some relays are draining, dead, full, foreign, uncertified … */
};

/* Fills everything; world_close gives the snapshot back. */
void world_open(struct world *world, struct kit_random *random, const struct world_shape *shape);
void world_close(struct world *world);
/* The same fleet handed to the builders in another order. */
struct bw_snapshot *world_shuffled(const struct world *world, struct kit_random *random);

#endif
