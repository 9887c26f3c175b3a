/* What must happen at a time: a binary heap of entries that lie in their owners' memory. Time is given, so it
 * needs no clock and one real timer serves a whole server. Threads: one at a time. */
#ifndef BW_GRPC_DUE_H
#define BW_GRPC_DUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct bw_due {
    uint64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fire)(struct bw_due *due);
};

struct bw_due_heap {
    struct bw_due **entries;
    size_t count, capacity, reserved;
};

void bw_due_heap_finish(struct bw_due_heap *heap);
/* Room for one more owner, taken when the owner is made, so that setting a time cannot fail later. */
BW_MUST_USE enum bw_code bw_due_reserve(struct bw_due_heap *heap, struct bw_error *err);
/* The owner is gone; its entry is not set any more. */
void bw_due_unreserve(struct bw_due_heap *heap);
/* Sets or moves. */
void bw_due_set(struct bw_due_heap *heap, struct bw_due *due, uint64_t at_ms);
void bw_due_clear(struct bw_due_heap *heap, struct bw_due *due);
/* The earliest time; UINT64_MAX when nothing is set. */
uint64_t bw_due_next_ms(const struct bw_due_heap *heap);
/* Takes one entry that is due out of the heap; NULL when none is. */
struct bw_due *bw_due_take(struct bw_due_heap *heap, uint64_t now_ms);

#endif
