/* Relays and their sessions. Threads and common errors: as store/db.h. */
#ifndef BW_STORE_FLEET_H
#define BW_STORE_FLEET_H

#include <stddef.h>

#include "base/buf.h"
#include "store/db.h"

enum bw_store_relay_state {
    BW_STORE_RELAY_ENROLLED,
    BW_STORE_RELAY_CORDONED,
    BW_STORE_RELAY_DRAINING,
    BW_STORE_RELAY_REMOVED
};

const char *bw_store_relay_state_name(enum bw_store_relay_state state);

enum { BW_STORE_REASON_SIZE = 201 };

struct bw_store_relay {
    uint32_t number;
    char name[BW_STORE_NAME_SIZE];
    char reason[BW_STORE_REASON_SIZE]; /* why it is cordoned or draining; "" */
    const char *spiffe_id;
    struct bw_view facts; /* the encoded RelayFacts message */
    uint32_t capacity;
    enum bw_store_relay_state state;
    uint64_t drain_deadline_ms; /* 0 unless draining */
    uint64_t facts_revision;    /* of the last change to this relay */
    uint64_t enrolled_ms;
    /* Its session; all zero before the first. The lease is by the database's clock. */
    uint64_t session_epoch;
    struct bw_id session_replica;
    struct bw_id session_boot;
    uint64_t session_lease_ms; /* left at the time of reading; 0: ended */
};

struct bw_store_enroll {
    const char *name, *spiffe_id;
    struct bw_view facts;
    uint32_t capacity;
    bool replace; /* give a relay that is enrolled new facts; otherwise that is ALREADY_EXISTS */
    struct bw_id request;
};

/* FAILED_PRECONDITION: the new capacity is below the slots that replicas hold in escrow. */
BW_MUST_USE enum bw_code bw_store_relay_enroll(struct bw_store_db *db, const struct bw_store_enroll *what,
                                               uint32_t *number, uint64_t *facts_revision,
                                               struct bw_error *err);
/* Uncordon or undrain (ENROLLED), cordon, drain (with a deadline, unix ms; 0 otherwise), remove. `reason` is
 * kept with a cordon or a drain, and "" for the others. The facts revision rises unless nothing changed.
 * NOT_FOUND: no such relay is enrolled. */
BW_MUST_USE enum bw_code bw_store_relay_set_state(struct bw_store_db *db, const char *name,
                                                  enum bw_store_relay_state state, uint64_t deadline_ms,
                                                  const char *reason, uint64_t *facts_revision,
                                                  struct bw_error *err);
typedef bool bw_store_on_relay(void *context, const struct bw_store_relay *relay);
/* All relays in the order of their numbers, removed ones only on request, and the facts revision of that very
 * snapshot. The callback returns false to stop. */
BW_MUST_USE enum bw_code bw_store_relays_read(struct bw_store_db *db, bool removed_too,
                                              bw_store_on_relay *each, void *context,
                                              uint64_t *facts_revision, struct bw_error *err);

/* A replica acts under (id, epoch); a stale epoch is FAILED_PRECONDITION with reason FENCED. */
struct bw_store_replica_key {
    struct bw_id id;
    uint64_t epoch;
};

/* For a relay's Hello: the new session epoch. NOT_FOUND: the relay is not enrolled. */
BW_MUST_USE enum bw_code bw_store_session_open(struct bw_store_db *db,
                                               const struct bw_store_replica_key *self, uint32_t relay,
                                               const struct bw_id *boot, uint64_t lease_ms, uint64_t *epoch,
                                               struct bw_error *err);
/* Extends the leases of n sessions in one call (0 ms: ends them). lost[i] tells whether session i is no
 * longer ours: superseded by a newer Hello, or its relay is removed. */
BW_MUST_USE enum bw_code bw_store_sessions_renew(struct bw_store_db *db,
                                                 const struct bw_store_replica_key *self,
                                                 const uint32_t *relays, const uint64_t *epochs, size_t n,
                                                 uint64_t lease_ms, bool *lost, struct bw_error *err);

#endif
