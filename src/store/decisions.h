/* Reading the decision log: rows by key range or by key, and the group index. Threads and common errors: as
 * store/db.h. What a callback gets lives as long as the callback; it returns false to stop, which is then OK.
 */
#ifndef BW_STORE_DECISIONS_H
#define BW_STORE_DECISIONS_H

#include <stddef.h>

#include "base/buf.h"
#include "store/db.h"

struct bw_store_key {
    struct bw_id meeting;
    uint32_t seq;
};

struct bw_store_decision {
    struct bw_id meeting, tenant, request;
    uint32_t seq;
    uint16_t kind;
    uint32_t policy_revision;
    uint64_t facts_revision;
    const uint32_t *relays; /* whom it concerns */
    size_t relay_count;
    struct bw_view record;
};
typedef bool bw_store_on_decision(void *context, const struct bw_store_decision *decision);

/* All rows of meetings created at or after from_ms (unix; meeting ids are UUIDv7), in the order of (meeting,
 * seq), fetched `chunk` (0: 2,000) at a time, so rows that commit meanwhile may or may not be among them:
 * follow up with bw_store_groups_read from a head read before. */
BW_MUST_USE enum bw_code bw_store_decisions_since(struct bw_store_db *db, uint64_t from_ms, uint32_t chunk,
                                                  bw_store_on_decision *each, void *context,
                                                  struct bw_error *err);
/* The rows of one meeting from a seq on. */
BW_MUST_USE enum bw_code bw_store_decisions_of(struct bw_store_db *db, const struct bw_id *meeting,
                                               uint32_t from_seq, bw_store_on_decision *each, void *context,
                                               struct bw_error *err);
/* The rows with these keys, in the order of the keys; keys without a row are passed over. */
BW_MUST_USE enum bw_code bw_store_decisions_by_key(struct bw_store_db *db, const struct bw_store_key *keys,
                                                   size_t n, bw_store_on_decision *each, void *context,
                                                   struct bw_error *err);
/* The rows that a quoted reference (base/reference.h) can mean: with next to certainty one or none. */
BW_MUST_USE enum bw_code bw_store_decisions_by_reference(struct bw_store_db *db, struct bw_view reference,
                                                         bw_store_on_decision *each, void *context,
                                                         struct bw_error *err);

enum bw_store_event {
    BW_STORE_EVENT_DECISIONS,
    BW_STORE_EVENT_POLICY,    /* subject: the tenant */
    BW_STORE_EVENT_FACTS,     /* a relay was enrolled, changed, or changed state */
    BW_STORE_EVENT_REPLICA,   /* subject: a replica that registered or was fenced */
    BW_STORE_EVENT_TENANT,    /* subject: a new tenant */
    BW_STORE_EVENT_CREDENTIAL /* issued or revoked */
};

/* One group of the index. Key i is (meetings[i], seqs[i]) and concerns the relays
 * key_relays[relay_ends[i - 1] .. relay_ends[i] - 1], with relay_ends[-1] read as 0. */
struct bw_store_group {
    uint64_t number;
    enum bw_store_event event;
    struct bw_id subject;
    struct bw_id replica; /* writer of a decisions group */
    uint64_t replica_epoch;
    uint64_t at_ms;
    const uint32_t *relays; /* touched by any row, ascending */
    size_t relay_count;
    const struct bw_id *meetings;
    const uint32_t *seqs, *relay_ends;
    size_t key_count; /* 0 when the keys were skipped */
    const uint32_t *key_relays;
};
typedef bool bw_store_on_group(void *context, const struct bw_store_group *group);

/* Groups after `after`, in order, at most `limit`. Keys of groups written by *skip (may be NULL) are left
 * out: a replica knows its own. The heads are of the same snapshot: when heads->compacted > after, groups are
 * gone that the caller has not seen, none is delivered, and it must reload. Numbers have no gaps: a reader
 * that has seen n has seen everything up to n. Meant to be polled every 25 ms. */
BW_MUST_USE enum bw_code bw_store_groups_read(struct bw_store_db *db, uint64_t after, uint32_t limit,
                                              const struct bw_id *skip, bw_store_on_group *each,
                                              void *context, struct bw_store_heads *heads,
                                              struct bw_error *err);
/* Forgets index rows up to a number; resumes from before it need a snapshot. */
BW_MUST_USE enum bw_code bw_store_groups_compact(struct bw_store_db *db, uint64_t upto, struct bw_error *err);

/* The meeting that an earlier call with this request id created. NOT_FOUND. */
BW_MUST_USE enum bw_code bw_store_request_find(struct bw_store_db *db, const struct bw_id *tenant,
                                               const char *method, const struct bw_id *key,
                                               struct bw_id *meeting, struct bw_error *err);
/* Forgets request ids older than this. */
BW_MUST_USE enum bw_code bw_store_requests_purge(struct bw_store_db *db, uint64_t older_than_ms,
                                                 uint64_t *purged, struct bw_error *err);

#endif
