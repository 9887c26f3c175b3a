#include "base/bitset.h"

#include <string.h>

#include "base/check.h"

bool bw_bitset_init(struct bw_bitset *set, struct bw_arena *arena, size_t bits)
{
    uint64_t *words = bw_arena_zalloc(arena, (bits + 63) / 64, sizeof *words);
    if (words == NULL)
        return false;
    *set = (struct bw_bitset){.words = words, .bits = bits};
    return true;
}

size_t bw_bitset_words(const struct bw_bitset *set)
{
    return (set->bits + 63) / 64;
}

void bw_bitset_set(struct bw_bitset *set, size_t bit)
{
    BW_CHECK(bit < set->bits);
    set->words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

void bw_bitset_clear(struct bw_bitset *set, size_t bit)
{
    BW_CHECK(bit < set->bits);
    set->words[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

bool bw_bitset_test(const struct bw_bitset *set, size_t bit)
{
    BW_CHECK(bit < set->bits);
    return (set->words[bit / 64] >> (bit % 64)) & 1;
}

void bw_bitset_fill(struct bw_bitset *set)
{
    size_t words = bw_bitset_words(set);
    memset(set->words, 0xff, words * sizeof *set->words);
    if (set->bits % 64 != 0)
        set->words[words - 1] = (UINT64_C(1) << (set->bits % 64)) - 1;
}

void bw_bitset_zero(struct bw_bitset *set)
{
    memset(set->words, 0, bw_bitset_words(set) * sizeof *set->words);
}

void bw_bitset_copy(struct bw_bitset *into, const struct bw_bitset *from)
{
    BW_CHECK(into->bits == from->bits);
    memcpy(into->words, from->words, bw_bitset_words(into) * sizeof *into->words);
}

void bw_bitset_and(struct bw_bitset *into, const struct bw_bitset *with)
{
    BW_CHECK(into->bits == with->bits);
    for (size_t i = 0; i < bw_bitset_words(into); i++)
        into->words[i] &= with->words[i];
}

void bw_bitset_or(struct bw_bitset *into, const struct bw_bitset *with)
{
    BW_CHECK(into->bits == with->bits);
    for (size_t i = 0; i < bw_bitset_words(into); i++)
        into->words[i] |= with->words[i];
}

void bw_bitset_andnot(struct bw_bitset *into, const struct bw_bitset *with)
{
    BW_CHECK(into->bits == with->bits);
    for (size_t i = 0; i < bw_bitset_words(into); i++)
        into->words[i] &= ~with->words[i];
}

size_t bw_bitset_count(const struct bw_bitset *set)
{
    size_t count = 0;
    for (size_t i = 0; i < bw_bitset_words(set); i++)
        count += (size_t)__builtin_popcountll(set->words[i]);
    return count;
}

bool bw_bitset_empty(const struct bw_bitset *set)
{
    for (size_t i = 0; i < bw_bitset_words(set); i++) {
        if (set->words[i] != 0)
            return false;
    }
    return true;
}

bool bw_bitset_subset(const struct bw_bitset *inner, const struct bw_bitset *outer)
{
    BW_CHECK(inner->bits == outer->bits);
    for (size_t i = 0; i < bw_bitset_words(inner); i++) {
        if (inner->words[i] & ~outer->words[i])
            return false;
    }
    return true;
}

bool bw_bitset_equal(const struct bw_bitset *a, const struct bw_bitset *b)
{
    return bw_bitset_subset(a, b) && bw_bitset_subset(b, a);
}

size_t bw_bitset_next(const struct bw_bitset *set, size_t from)
{
    if (from >= set->bits)
        return set->bits;
    size_t word = from / 64;
    uint64_t bits = set->words[word] & (~UINT64_C(0) << (from % 64));
    while (bits == 0) {
        if (++word == bw_bitset_words(set))
            return set->bits;
        bits = set->words[word];
    }
    return word * 64 + (size_t)__builtin_ctzll(bits);
}
