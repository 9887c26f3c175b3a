/* Headers as callers see them: names and values in an arena, binary ones decoded. Threads: one at a time. */
#ifndef BW_GRPC_METADATA_H
#define BW_GRPC_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

struct bw_metadata_entry {
    struct bw_metadata_entry *next;
    struct bw_view name, value;
};

/* All-zero is empty. Everything lies in the arena given to bw_metadata_add. */
struct bw_metadata {
    struct bw_metadata_entry *first, *last;
};

/* Copies. A -bin value may hold several, separated by commas, in base64. INVALID_ARGUMENT when it is no
 * base64, RESOURCE_EXHAUSTED when the arena is full. */
BW_MUST_USE enum bw_code bw_metadata_add(struct bw_metadata *metadata, struct bw_arena *arena,
                                         struct bw_view name, struct bw_view value);
/* As the other side will see it, still to be sent: checks name and value, keeps a -bin value in base64. */
BW_MUST_USE enum bw_code bw_metadata_add_outgoing(struct bw_metadata *metadata, struct bw_arena *arena,
                                                  struct bw_view name, struct bw_view value);
size_t bw_metadata_count(const struct bw_metadata *metadata);
/* The nth of that name, or the nth of all; NULL when there is none. */
const struct bw_metadata_entry *bw_metadata_find(const struct bw_metadata *metadata, struct bw_view name,
                                                 size_t nth);
const struct bw_metadata_entry *bw_metadata_at(const struct bw_metadata *metadata, size_t nth);

#endif
