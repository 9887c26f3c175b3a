#include "policy/territory.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "policy/territory_tables.h"
#include "yaml/scalar.h"
#include "yaml/suggest.h"

size_t bw_territory_count(void)
{
    return bw_territory_table_places;
}

size_t bw_territory_country_count(void)
{
    return bw_territory_table_countries;
}

/* Rows of every table begin with their code, so one search serves all. */
static int compare_code(const void *key, const void *row)
{
    return strcmp(key, *(const char *const *)row);
}

static const void *find_row(const char *code, const void *rows, size_t count, size_t size)
{
    return bsearch(code, rows, count, size, compare_code);
}

/* A code as a C string; false when it is too long to be one or has a NUL in it. */
static bool code_text(struct bw_view code, char *text, size_t size)
{
    if (code.len == 0 || code.len >= size || memchr(code.data, 0, code.len))
        return false;
    memcpy(text, code.data, code.len);
    text[code.len] = 0;
    return true;
}

bool bw_territory_find(struct bw_view code, uint16_t *index)
{
    char text[BW_TERRITORY_CODE_SIZE];
    if (!code_text(code, text, sizeof(text)))
        return false;
    size_t countries = bw_territory_table_countries;
    const struct bw_territory_row *row =
        find_row(text, bw_territory_table, countries, sizeof(bw_territory_table[0]));
    if (!row)
        row = find_row(text, bw_territory_table + countries, bw_territory_table_places - countries,
                       sizeof(bw_territory_table[0]));
    if (row) {
        *index = (uint16_t)(row - bw_territory_table);
        return true;
    }
    const struct bw_territory_alias_row *alias = find_row(
        text, bw_territory_alias_table, bw_territory_table_aliases, sizeof(bw_territory_alias_table[0]));
    if (!alias)
        return false;
    *index = alias->index;
    return true;
}

static const struct bw_territory_row *row_of(uint16_t index)
{
    BW_CHECK(index < bw_territory_table_places);
    return &bw_territory_table[index];
}

const char *bw_territory_code(uint16_t index)
{
    return row_of(index)->code;
}

const char *bw_territory_name(uint16_t index)
{
    return row_of(index)->name;
}

uint16_t bw_territory_country(uint16_t index)
{
    return row_of(index)->country;
}

uint16_t bw_territory_parent(uint16_t index)
{
    return row_of(index)->parent;
}

uint16_t bw_territory_owner(uint16_t country)
{
    return row_of(country)->owner;
}

const char *bw_territory_successor(struct bw_view code)
{
    char text[BW_TERRITORY_CODE_SIZE];
    if (!code_text(code, text, sizeof(text)))
        return NULL;
    const struct bw_territory_successor_row *row =
        find_row(text, bw_territory_successor_table, bw_territory_table_successors,
                 sizeof(bw_territory_successor_table[0]));
    return row ? row->successor : NULL;
}

bool bw_territory_alias(size_t n, const char **alias, uint16_t *index)
{
    if (n >= bw_territory_table_aliases)
        return false;
    *alias = bw_territory_alias_table[n].code;
    *index = bw_territory_alias_table[n].index;
    return true;
}

static bool equal_ignoring_case(struct bw_view text, const char *word)
{
    if (strlen(word) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned a = text.data[i], b = (unsigned char)word[i];
        a = a >= 'A' && a <= 'Z' ? a + 32 : a;
        b = b >= 'A' && b <= 'Z' ? b + 32 : b;
        if (a != b)
            return false;
    }
    return true;
}

/* People write names ("Germany") and lower case ("de"); short codes are otherwise too close to each other for
 * edit distance to say anything, so only parts and groups are compared that way. */
static const char *nearest(struct bw_view code)
{
    for (size_t i = 0; i < bw_territory_table_places; i++)
        if (equal_ignoring_case(code, bw_territory_table[i].code) ||
            (i < bw_territory_table_countries && equal_ignoring_case(code, bw_territory_table[i].name)))
            return bw_territory_table[i].code;
    for (size_t i = 0; i < bw_territory_table_aliases; i++)
        if (equal_ignoring_case(code, bw_territory_alias_table[i].code))
            return bw_territory_alias_table[i].code;
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, code);
    for (size_t i = 0; i < bw_territory_table_groups; i++)
        bw_suggest_offer(&suggest, bw_territory_group_table[i].name);
    if (code.len >= 4)
        for (size_t i = bw_territory_table_countries; i < bw_territory_table_places; i++)
            if (code.data[0] == (uint8_t)bw_territory_table[i].code[0] &&
                code.data[1] == (uint8_t)bw_territory_table[i].code[1])
                bw_suggest_offer(&suggest, bw_territory_table[i].code);
    return suggest.best;
}

bool bw_territory_suggest(struct bw_view code, char text[32])
{
    const char *best = nearest(code);
    size_t len = best ? strlen(best) : 0;
    if (len == 0 || len >= 32)
        return false;
    memcpy(text, best, len + 1);
    return true;
}

enum bw_territory_group_result bw_territory_group_find(struct bw_view name, uint16_t *group)
{
    const uint8_t *at = name.len ? memchr(name.data, '@', name.len) : NULL;
    struct bw_view base = {name.data, at ? (size_t)(at - name.data) : name.len};
    char since[11] = "9999-12-31";
    bool known = false;
    size_t found = bw_territory_table_groups;
    if (at) {
        struct bw_view pin = {at + 1, name.len - base.len - 1};
        uint64_t day;
        if (bw_scalar_date(pin, &day))
            memcpy(since, pin.data, pin.len);
        else
            since[0] = 0; /* earlier than any version */
    }
    for (size_t i = 0; i < bw_territory_table_groups; i++) {
        if (!bw_view_equal_str(base, bw_territory_group_table[i].name))
            continue;
        known = true;
        if (strcmp(bw_territory_group_table[i].since, since) <= 0)
            found = i;
    }
    if (!known)
        return BW_TERRITORY_GROUP_UNKNOWN;
    if (found == bw_territory_table_groups)
        return BW_TERRITORY_GROUP_BAD_PIN;
    *group = (uint16_t)found;
    return BW_TERRITORY_GROUP_OK;
}

size_t bw_territory_group_count(void)
{
    return bw_territory_table_groups;
}

const char *bw_territory_group_name(uint16_t group)
{
    BW_CHECK(group < bw_territory_table_groups);
    return bw_territory_group_table[group].name;
}

const char *bw_territory_group_since(uint16_t group)
{
    BW_CHECK(group < bw_territory_table_groups);
    return bw_territory_group_table[group].since;
}

const char *bw_territory_tables_hash(void)
{
    return bw_territory_table_hash;
}
