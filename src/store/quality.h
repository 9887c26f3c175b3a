/* Rows of quality: sealed chunks and sketches, the keys they are sealed under, and what is kept in clear of a
 * meeting so that a search can filter. Every write may be repeated: the same rows again change nothing, and
 * an older version of a row never replaces a newer one.
 *
 * Threads and errors: see store/db.h. Views need to live for the call alone. Rows come in any order. */
#ifndef BW_STORE_QUALITY_H
#define BW_STORE_QUALITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/metadata.h"

enum { BW_STORE_QUALITY_RELAYS = 64 };

struct bw_store_meeting_quality {
    struct bw_id meeting, tenant;
    uint64_t from_ms, to_ms;
    uint32_t participants, poor_minutes, windows, policy_revision;
    uint8_t worst_class, reason;
    uint32_t relays[BW_STORE_QUALITY_RELAYS];
    size_t relay_count;
};

/* What is there already stays. Before the first record sealed under a key. */
BW_MUST_USE enum bw_code bw_store_keys_write(struct bw_store_db *db, const struct bw_store_meeting_key *rows,
                                             size_t count, struct bw_error *err);
BW_MUST_USE enum bw_code bw_store_chunks_write(struct bw_store_db *db, const struct bw_store_chunk *rows,
                                               size_t count, struct bw_error *err);
BW_MUST_USE enum bw_code bw_store_sketches_write(struct bw_store_db *db, const struct bw_store_sketch *rows,
                                                 size_t count, struct bw_error *err);
/* Replaces what is there. */
BW_MUST_USE enum bw_code bw_store_meeting_quality_write(struct bw_store_db *db,
                                                        const struct bw_store_meeting_quality *rows,
                                                        size_t count, struct bw_error *err);
/* Those of the meetings that have a row, in no order, into `out` with room for `count`. */
BW_MUST_USE enum bw_code bw_store_meeting_quality_read(struct bw_store_db *db, const struct bw_id *meetings,
                                                       size_t count, struct bw_store_meeting_quality *out,
                                                       size_t *found, struct bw_error *err);

#endif
