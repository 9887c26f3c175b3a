/* What one relay should hold, and how that came about: the server's side of replication to a relay. A feed is
 * derived state: it is filled from the decision log's groups in commit order and can be thrown away and built
 * again. For each id it keeps only the latest state, so changes coalesce by themselves; removed ids stay as
 * tombstones until compaction.
 * Owner: the fleet hub, one feed per relay. Threads: one at a time. Pure: no I/O, no clock. */
#ifndef BW_FLEET_FEED_H
#define BW_FLEET_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fleet/hash.h"
#include "fleet/resource.h"

/* One id's latest state. Read-only for everybody but the feed; `turn` is the feed's own count of changes and
 * orders the entries (group order, with key changes between the groups where they arrived). */
struct bw_feed_entry {
    struct bw_resource_id id;
    enum bw_resource_type type;
    bool removed; /* a tombstone: version says which decision removed it, the body is empty */
    uint32_t max_staleness_ms;
    uint64_t version;
    uint64_t group; /* of the change; for a key the head at the time */
    uint64_t turn;
    struct bw_digest digest;
    uint8_t *body;
    size_t body_len;
    struct bw_feed_entry *older, *newer;
    UT_hash_handle hh;
};

struct bw_feed;

/* What the feed is filled with so far came up to `group`, and it holds no tombstones of before: a
 * checkpoint's group, or 0. NULL when memory is out. */
struct bw_feed *bw_feed_create(uint64_t group);
/* NULL is allowed. */
void bw_feed_destroy(struct bw_feed *feed);

/* Takes what one group changes for this relay. Groups come in rising order; a group at or below the head was
 * applied before and is skipped as a whole. A change whose version is not above what the feed holds is
 * skipped too. All of it or (out of memory: RESOURCE_EXHAUSTED; an id or body that does not fit:
 * INVALID_ARGUMENT) nothing, and the head then stays. */
BW_MUST_USE enum bw_code bw_feed_apply(struct bw_feed *feed, uint64_t group, const struct bw_upsert *upserts,
                                       size_t upsert_count, const struct bw_removal *removals,
                                       size_t removal_count, struct bw_error *err);
/* As bw_feed_apply for what does not come from the log (grant keys): the head stays. */
BW_MUST_USE enum bw_code bw_feed_apply_keys(struct bw_feed *feed, const struct bw_upsert *upserts,
                                            size_t upsert_count, const struct bw_removal *removals,
                                            size_t removal_count, struct bw_error *err);
/* The log has come to `group` and nothing since the head concerned this relay. Lower than the head: no-op. */
void bw_feed_advance(struct bw_feed *feed, uint64_t group);
/* Forgets tombstones of `group` and before: who has applied less needs a snapshot. At most the head. */
void bw_feed_compact(struct bw_feed *feed, uint64_t group);

uint64_t bw_feed_head(const struct bw_feed *feed);
uint64_t bw_feed_compaction(const struct bw_feed *feed);
/* False when a removal after `turn` has been forgotten: deltas can no longer bring its holder up to date. */
bool bw_feed_covers(const struct bw_feed *feed, uint64_t turn);
/* Of the last change; an unchanged turn means nothing new for this relay. */
uint64_t bw_feed_turn(const struct bw_feed *feed);
size_t bw_feed_live(const struct bw_feed *feed);
size_t bw_feed_tombstones(const struct bw_feed *feed);
struct bw_digest bw_feed_digest(const struct bw_feed *feed);
const struct bw_feed_entry *bw_feed_find(const struct bw_feed *feed, const struct bw_resource_id *id);

/* Oldest entry changed after `turn`; NULL when there is none. Follow `newer`. */
const struct bw_feed_entry *bw_feed_after(const struct bw_feed *feed, uint64_t turn);
/* The turn that somebody has reached who has applied every group up to `group`. */
uint64_t bw_feed_turn_of(const struct bw_feed *feed, uint64_t group);
/* How many entries changed after `turn`, counting at most `limit`. */
size_t bw_feed_pending(const struct bw_feed *feed, uint64_t turn, size_t limit);

/* Views of an entry as it is sent. */
struct bw_upsert bw_feed_entry_upsert(const struct bw_feed_entry *entry);
struct bw_removal bw_feed_entry_removal(const struct bw_feed_entry *entry);

#endif
