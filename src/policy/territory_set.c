#include <string.h>

#include "base/check.h"
#include "policy/territory.h"
#include "policy/territory_tables.h"

void bw_territory_set_clear(struct bw_territory_set *set)
{
    memset(set, 0, sizeof(*set));
}

void bw_territory_set_add_exact(struct bw_territory_set *set, uint16_t index)
{
    BW_CHECK(index < bw_territory_table_places);
    set->words[index / 64] |= UINT64_C(1) << (index % 64);
}

static bool lies_in(uint16_t part, uint16_t place)
{
    for (uint16_t up = part; up != BW_TERRITORY_NONE; up = bw_territory_table[up].parent)
        if (up == place)
            return true;
    return false;
}

static void add_parts(struct bw_territory_set *set, uint16_t place)
{
    uint16_t country = bw_territory_table[place].country;
    const struct bw_territory_row *row = &bw_territory_table[country];
    for (uint16_t i = row->parts_first; i < row->parts_end; i++)
        if (bw_territory_table[i].country == country && (place == country || lies_in(i, place)))
            bw_territory_set_add_exact(set, i);
}

void bw_territory_set_add(struct bw_territory_set *set, uint16_t index, enum bw_territory_sense sense)
{
    bw_territory_set_add_exact(set, index);
    add_parts(set, index);
    if (sense != BW_TERRITORY_DENYING || index >= bw_territory_table_countries)
        return;
    for (uint16_t i = 0; i < bw_territory_table_countries; i++)
        if (bw_territory_table[i].owner == index) {
            bw_territory_set_add_exact(set, i);
            add_parts(set, i);
        }
}

void bw_territory_set_add_group(struct bw_territory_set *set, uint16_t group, enum bw_territory_sense sense)
{
    BW_CHECK(group < bw_territory_table_groups);
    bw_territory_set_or(set, &bw_territory_group_sets[group][sense]);
}

void bw_territory_set_add_all(struct bw_territory_set *set)
{
    size_t whole = bw_territory_table_places / 64, rest = bw_territory_table_places % 64;
    memset(set->words, 0xff, whole * sizeof set->words[0]);
    if (rest != 0)
        set->words[whole] |= (UINT64_C(1) << rest) - 1;
}

bool bw_territory_set_test(const struct bw_territory_set *set, uint16_t index)
{
    return index < BW_TERRITORY_MAX && (set->words[index / 64] >> (index % 64) & 1) != 0;
}

void bw_territory_set_and(struct bw_territory_set *into, const struct bw_territory_set *with)
{
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        into->words[i] &= with->words[i];
}

void bw_territory_set_or(struct bw_territory_set *into, const struct bw_territory_set *with)
{
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        into->words[i] |= with->words[i];
}

void bw_territory_set_andnot(struct bw_territory_set *into, const struct bw_territory_set *with)
{
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        into->words[i] &= ~with->words[i];
}

bool bw_territory_set_empty(const struct bw_territory_set *set)
{
    uint64_t any = 0;
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        any |= set->words[i];
    return any == 0;
}

bool bw_territory_set_subset(const struct bw_territory_set *inner, const struct bw_territory_set *outer)
{
    uint64_t outside = 0;
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        outside |= inner->words[i] & ~outer->words[i];
    return outside == 0;
}

bool bw_territory_set_intersects(const struct bw_territory_set *a, const struct bw_territory_set *b)
{
    uint64_t common = 0;
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        common |= a->words[i] & b->words[i];
    return common != 0;
}

bool bw_territory_set_equal(const struct bw_territory_set *a, const struct bw_territory_set *b)
{
    return memcmp(a->words, b->words, sizeof(a->words)) == 0;
}

size_t bw_territory_set_count(const struct bw_territory_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < BW_TERRITORY_WORDS; i++)
        count += (size_t)__builtin_popcountll(set->words[i]);
    return count;
}

uint16_t bw_territory_set_next(const struct bw_territory_set *set, uint16_t from)
{
    for (size_t i = from; i < bw_territory_table_places; i++)
        if (bw_territory_set_test(set, (uint16_t)i))
            return (uint16_t)i;
    return BW_TERRITORY_NONE;
}
