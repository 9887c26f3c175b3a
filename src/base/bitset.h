/* Fixed-length bitsets over a fleet: one bit per relay index. Bits past the length are always zero.
 * Threads: immutable ones any; mutable ones one at a time. Operands of one call have equal lengths. */
#ifndef BW_BASE_BITSET_H
#define BW_BASE_BITSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct bw_bitset {
    uint64_t *words;
    size_t bits;
};

/* All zero, in the arena; false when it is full. */
bool bw_bitset_init(struct bw_bitset *set, struct bw_arena *arena, size_t bits);
size_t bw_bitset_words(const struct bw_bitset *set);
void bw_bitset_set(struct bw_bitset *set, size_t bit);
void bw_bitset_clear(struct bw_bitset *set, size_t bit);
bool bw_bitset_test(const struct bw_bitset *set, size_t bit);
void bw_bitset_fill(struct bw_bitset *set);
void bw_bitset_zero(struct bw_bitset *set);
void bw_bitset_copy(struct bw_bitset *into, const struct bw_bitset *from);
void bw_bitset_and(struct bw_bitset *into, const struct bw_bitset *with);
void bw_bitset_or(struct bw_bitset *into, const struct bw_bitset *with);
void bw_bitset_andnot(struct bw_bitset *into, const struct bw_bitset *with);
size_t bw_bitset_count(const struct bw_bitset *set);
bool bw_bitset_empty(const struct bw_bitset *set);
bool bw_bitset_subset(const struct bw_bitset *inner, const struct bw_bitset *outer);
bool bw_bitset_equal(const struct bw_bitset *a, const struct bw_bitset *b);
/* First set bit at or after `from`; set->bits when there is none. */
size_t bw_bitset_next(const struct bw_bitset *set, size_t from);

#endif
