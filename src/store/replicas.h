/* Replicas, their leases and fencing, and escrow: the slots per relay that a replica may spend in memory.
 * Threads and common errors: as store/db.h. Leases are measured by the database's clock.
 *
 * How a dead replica's slots come back: bw_store_replica_fence once its lease has ended; count the slots that
 * its meetings use, from their decisions (none can follow the group that fencing returned);
 * bw_store_escrow_adopt hands those to the taker and frees the rest. */
#ifndef BW_STORE_REPLICAS_H
#define BW_STORE_REPLICAS_H

#include "store/fleet.h"

/* A new epoch for this replica: what it does under an earlier one fails from here on. */
BW_MUST_USE enum bw_code bw_store_replica_register(struct bw_store_db *db, const struct bw_id *id,
                                                   const char *endpoint, uint64_t lease_ms, uint64_t *epoch,
                                                   struct bw_error *err);
/* FAILED_PRECONDITION, reason FENCED: stop acting, register anew. */
BW_MUST_USE enum bw_code bw_store_replica_renew(struct bw_store_db *db,
                                                const struct bw_store_replica_key *self, uint64_t lease_ms,
                                                struct bw_error *err);
/* Waits for groups in flight; after it the replica commits nothing under that epoch. *last_group: all its
 * decisions are at or before it. FAILED_PRECONDITION: its lease has not ended, and not forced. */
BW_MUST_USE enum bw_code bw_store_replica_fence(struct bw_store_db *db,
                                                const struct bw_store_replica_key *dead, bool force,
                                                uint64_t *last_group, struct bw_error *err);

struct bw_store_replica {
    struct bw_store_replica_key key;
    const char *endpoint;
    bool fenced;
    uint64_t lease_left_ms; /* 0: ended */
};
typedef bool bw_store_on_replica(void *context, const struct bw_store_replica *replica);
/* All that ever registered, in the order of ids. */
BW_MUST_USE enum bw_code bw_store_replicas_read(struct bw_store_db *db, bw_store_on_replica *each,
                                                void *context, struct bw_error *err);

/* Asks for want[i] slots of relays[i] (no relay twice); granted[i] is what was free, 0 for a relay that is
 * not plainly enrolled. Over all replicas, granted slots never exceed a relay's capacity. */
BW_MUST_USE enum bw_code bw_store_escrow_take(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                              const uint32_t *relays, const uint32_t *want, size_t n,
                                              uint32_t *granted, struct bw_error *err);
/* Returns unspent slots. FAILED_PRECONDITION, and nothing changes, when one is not held. */
BW_MUST_USE enum bw_code bw_store_escrow_give(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                              const uint32_t *relays, const uint32_t *slots, size_t n,
                                              struct bw_error *err);
/* One transaction: used[i] slots of relays[i] go from the dead replica to `self`; with release_rest what
 * remains is free again. moved[i] is less than used[i] only when the dead one held less. FAILED_PRECONDITION:
 * not fenced. A replica that registered anew may adopt from its own earlier epoch. */
BW_MUST_USE enum bw_code bw_store_escrow_adopt(struct bw_store_db *db,
                                               const struct bw_store_replica_key *dead,
                                               const struct bw_store_replica_key *self,
                                               const uint32_t *relays, const uint32_t *used, size_t n,
                                               bool release_rest, uint32_t *moved, struct bw_error *err);

struct bw_store_escrow {
    struct bw_store_replica_key holder;
    uint32_t relay, slots;
};
typedef bool bw_store_on_escrow(void *context, const struct bw_store_escrow *escrow);
/* All of it, by relay. */
BW_MUST_USE enum bw_code bw_store_escrow_read(struct bw_store_db *db, bw_store_on_escrow *each, void *context,
                                              struct bw_error *err);

#endif
