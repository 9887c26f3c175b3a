/* The fleet as owners see it: the placement snapshot, what a participant needs to reach each relay, and what
 * operators say of it.
 * Immutable, counted, swapped whole; session secrets are wiped with the last reference. Threads: any. */
#ifndef BW_CONTROL_FLEET_VIEW_H
#define BW_CONTROL_FLEET_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "placement/snapshot.h"

enum { BW_MEDIA_ADDRESS_SIZE = 262, BW_RELAY_REASON_SIZE = 201 };

struct bw_relay_reach {
    bool connected; /* a session is or was there: address and secret are set */
    char media_address[BW_MEDIA_ADDRESS_SIZE];
    struct bw_secret session_secret;
    char reason[BW_RELAY_REASON_SIZE]; /* why it is cordoned or draining, as the operator said; "" */
    uint64_t heartbeat_ms;             /* unix, by our clock: when the last one came; 0: none yet */
};

struct bw_fleet_view {
    _Atomic unsigned references;
    struct bw_snapshot *snapshot;
    struct bw_relay_reach *reach; /* snapshot->relay_count, same indices */
};

/* Takes over the caller's reference of the snapshot and copies `reach`. NULL when memory is out (the
 * snapshot's reference is then still the caller's). */
struct bw_fleet_view *bw_fleet_view_create(struct bw_snapshot *snapshot, const struct bw_relay_reach *reach);
struct bw_fleet_view *bw_fleet_view_retain(struct bw_fleet_view *view);
/* NULL is allowed. */
void bw_fleet_view_release(struct bw_fleet_view *view);

#endif
