/* The fleet at one moment, for deciding: attested facts, each relay's live state, distances and links.
 * Built once, immutable, shared by counting references and swapped whole. Indices are those of its facts.
 *
 * Distances are one-way, in microseconds: half of a round trip. Regions come first; a probe between two
 * relays replaces their regions' figure for that pair.
 *
 * Threads: any may read and count references; building is one thread's. Owner: whoever holds a reference. */
#ifndef BW_PLACEMENT_SNAPSHOT_H
#define BW_PLACEMENT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bitset.h"
#include "base/status.h"
#include "policy/facts.h"
#include "policy/reason.h"

struct bw_arena;

enum { BW_REGIONS_MAX = 256 };
#define BW_NO_REGION UINT32_MAX
#define BW_NO_RELAY  UINT32_MAX

enum bw_relay_state {
    BW_RELAY_SERVING,
    BW_RELAY_DRAINING,
    BW_RELAY_CORDONED,
    BW_RELAY_DEAD,
};

/* Live state of relay i of the facts. */
struct bw_relay_live {
    enum bw_relay_state state;
    bool lease_ok;
    uint32_t capacity; /* participants */
    uint32_t placed;   /* participants it has now, decisions not yet reported included */
    uint32_t load_ppm; /* of nominal */
};

struct bw_region {
    const char *name;
    bool has_position;
    int32_t lat_udeg, lon_udeg;   /* millionths of a degree */
    const char *const *countries; /* ISO codes of the participants thought to be here */
    size_t country_count;
};

/* Names of regions, or of regions and relays where said. */
struct bw_rtt {
    const char *a, *b;
    uint32_t rtt_us;
};

struct bw_probe {
    uint32_t a, b;   /* relay indices */
    uint32_t rtt_us; /* moving average, already judged fresh by the caller */
};

struct bw_pair {
    const char *a, *b;
};

struct bw_snapshot_input {
    struct bw_facts *facts;           /* the snapshot takes a reference of its own */
    const struct bw_relay_live *live; /* facts->relay_count of them, same indices */
    const struct bw_region *regions;
    size_t region_count;
    const struct bw_rtt *rtts; /* pairs of region names */
    size_t rtt_count;
    bool has_same, has_default; /* figures for the same region and for pairs not listed */
    uint32_t same_us, default_us;
    const struct bw_probe *probes;
    size_t probe_count;
    /* Links that must not be: relay and relay, or region and relay (that region's participants cannot be
     * served there). */
    const struct bw_pair *denied;
    size_t denied_count;
    bool denied_may_dangle; /* ignore pairs with a name that is nothing here, instead of refusing them */
    uint32_t version_min, version_max; /* relays outside get VERSION; max 0: no upper bound */
};

/* A neighbour in a relay's sorted row of probes. */
struct bw_neighbour {
    uint32_t relay, us;
};

struct bw_snapshot {
    _Atomic unsigned references;
    struct bw_arena *arena;
    struct bw_facts *facts;
    size_t relay_count;
    const struct bw_relay_live *live;

    const struct bw_region *regions; /* sorted by name */
    size_t region_count;
    const uint32_t *region_us;    /* region_count² one-way */
    uint32_t unknown_us;          /* to or from a place nobody knows: equal to all */
    const uint32_t *relay_region; /* index or BW_NO_REGION */
    const uint32_t *probe_start;  /* relay_count + 1 offsets into probes */
    const struct bw_neighbour *probes;

    struct bw_bitset placeable;     /* serving, lease good, version in range */
    struct bw_bitset cascading;     /* may link to other relays */
    const uint32_t *state_reasons;  /* per relay: RELAY_STATE, LEASE_EXPIRED, DRAINING, VERSION */
    const struct bw_bitset *links;  /* per relay: relays it may link to, itself included */
    const struct bw_bitset *access; /* per region, then one for the unknown: relays that may serve it */
    const uint64_t *relay_key;      /* per relay: hash of its name, for rendezvous */
    uint8_t hash[32];               /* of everything above */
};

/* INVALID_ARGUMENT names the region or relay that does not fit. */
BW_MUST_USE enum bw_code bw_snapshot_create(const struct bw_snapshot_input *input,
                                            struct bw_snapshot **snapshot, struct bw_error *err);
struct bw_snapshot *bw_snapshot_retain(struct bw_snapshot *snapshot);
/* NULL is allowed. */
void bw_snapshot_release(struct bw_snapshot *snapshot);

/* Region by name, or the one whose countries hold this place; BW_NO_REGION when there is none. A subdivision
 * falls back on its country. */
uint32_t bw_snapshot_region(const struct bw_snapshot *snapshot, const char *name);
uint32_t bw_snapshot_region_of_place(const struct bw_snapshot *snapshot, const char *place);
/* One way, microseconds. */
uint32_t bw_snapshot_hop_us(const struct bw_snapshot *snapshot, uint32_t region, uint32_t relay);
uint32_t bw_snapshot_link_us(const struct bw_snapshot *snapshot, uint32_t a, uint32_t b);

#endif
