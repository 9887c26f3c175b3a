/* What a relay holds of the desired state: the client's side of replication. Deltas and snapshots are applied
 * here; what changes is handed to the owner's callbacks, in the order PeerLink, MeetingSlot, GrantKey for
 * upserts and the reverse for removals, upserts first. Bodies are not kept: the owner keeps what it decodes.
 * Nothing is ever removed because it is absent from a delta or came with a lower version; only a removal with
 * a higher version or a complete, verified snapshot removes.
 * Owner: one per cell and relay. Threads: one at a time. Pure. */
#ifndef BW_FLEET_REPLICA_H
#define BW_FLEET_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fleet/message.h"
#include "fleet/resource.h"

struct bw_replica_events {
    void *context;
    /* Takes the new state of a resource, or refuses it (with err->show saying why): then what was there
     * before stays, and the refusal goes back to the control plane. */
    enum bw_code (*upsert)(void *context, const struct bw_resource_name *name, const struct bw_upsert *upsert,
                           struct bw_error *err);
    void (*remove)(void *context, const struct bw_resource_name *name);
};

struct bw_replica;

enum { BW_REPLICA_MAX = 1 << 20 }; /* resources; more is refused */

/* `events` is copied. NULL when memory is out. */
struct bw_replica *bw_replica_create(const struct bw_replica_events *events);
/* No callbacks. NULL is allowed. */
void bw_replica_destroy(struct bw_replica *replica);

/* What could not be taken; at most BW_NACK_MAX are named. The details' text lies here. */
struct bw_replica_failures {
    struct {
        struct bw_resource_id id;
        uint64_t version;
        enum bw_code code;
        char detail[BW_FLEET_TEXT];
    } items[BW_NACK_MAX];
    size_t count;
    bool more;
};

/* Applies a delta: what is newer than what is held; the rest is a no-op. BW_OK also when single resources
 * failed. DATA_LOSS when it starts after what is applied: the stream has a hole, nothing was changed.
 * INVALID_ARGUMENT when it is no delta (groups out of order, an id that is none): nothing was changed. */
BW_MUST_USE enum bw_code bw_replica_apply_delta(struct bw_replica *replica, const struct bw_delta *delta,
                                                struct bw_replica_failures *failures, struct bw_error *err);

/* A snapshot arrives beside what is held and changes nothing until its end, which checks that all of it came
 * and that its digest fits, and then applies the difference in one step. An error (DATA_LOSS,
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED) drops it. */
BW_MUST_USE enum bw_code bw_replica_snapshot_begin(struct bw_replica *replica,
                                                   const struct bw_snapshot_begin *begin,
                                                   struct bw_error *err);
BW_MUST_USE enum bw_code bw_replica_snapshot_chunk(struct bw_replica *replica,
                                                   const struct bw_snapshot_chunk *chunk,
                                                   struct bw_error *err);
/* `stream_id` is the session's: the replica is of that stream from now on. */
BW_MUST_USE enum bw_code bw_replica_snapshot_end(struct bw_replica *replica,
                                                 const struct bw_snapshot_end *end,
                                                 const struct bw_id *stream_id,
                                                 struct bw_replica_failures *failures, struct bw_error *err);
/* Drops a snapshot that has not ended. */
void bw_replica_snapshot_abort(struct bw_replica *replica);
bool bw_replica_snapshot_running(const struct bw_replica *replica);

/* Nothing up to `group` concerns this relay. Lower than what is applied: no-op. */
void bw_replica_bookmark(struct bw_replica *replica, uint64_t group);

/* False while nothing was ever applied. */
bool bw_replica_point(const struct bw_replica *replica, struct bw_resume_point *point);
uint64_t bw_replica_applied(const struct bw_replica *replica);
struct bw_digest bw_replica_digest(const struct bw_replica *replica);
size_t bw_replica_count(const struct bw_replica *replica);
/* 0 when the resource is not held. */
uint64_t bw_replica_version(const struct bw_replica *replica, const struct bw_resource_id *id);

#endif
