/* Places: one index whatever the spelling, what covers what, dated groups. */
#include "reading_policy.h"

#include "policy/territory_tables.h"

static uint16_t place(const char *code)
{
    uint16_t index = BW_TERRITORY_NONE;
    if (!bw_territory_find(bw_view_str(code), &index))
        fail_msg("%s is not known", code);
    return index;
}

static bool covers(const char *code, const char *inner, enum bw_territory_sense sense)
{
    struct bw_territory_set set;
    uint16_t group;
    bw_territory_set_clear(&set);
    if (bw_territory_group_find(bw_view_str(code), &group) == BW_TERRITORY_GROUP_OK)
        bw_territory_set_add_group(&set, group, sense);
    else
        bw_territory_set_add(&set, place(code), sense);
    return bw_territory_set_test(&set, place(inner));
}

#define ALLOWS(code, inner) covers(code, inner, BW_TERRITORY_ALLOWING)
#define DENIES(code, inner) covers(code, inner, BW_TERRITORY_DENYING)

static void all_countries_of_iso_3166_1_are_known(void **state)
{
    (void)state;
    assert_int_equal(bw_territory_country_count(), 249 + 1); /* and Kosovo, from the overlay */
    assert_true(bw_territory_count() > 5000);
    assert_true(bw_territory_count() <= BW_TERRITORY_MAX);
    assert_string_equal(bw_territory_name(place("DE")), "Germany");
    assert_string_equal(bw_territory_code(place("XK")), "XK");
    assert_string_equal(bw_territory_code(place("FR-75")), "FR-75");
}

static void tables_are_sorted_and_find_themselves(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_territory_count(); i++) {
        assert_int_equal(place(bw_territory_code((uint16_t)i)), i);
        if (i != 0 && i != bw_territory_country_count())
            assert_true(strcmp(bw_territory_code((uint16_t)(i - 1)), bw_territory_code((uint16_t)i)) < 0);
        uint16_t country = bw_territory_country((uint16_t)i);
        assert_true(country < bw_territory_country_count());
        assert_int_equal(bw_territory_parent(country), BW_TERRITORY_NONE);
    }
}

static void every_alias_is_the_same_place_in_every_way(void **state)
{
    (void)state;
    const char *alias;
    uint16_t index;
    size_t n = 0;
    for (; bw_territory_alias(n, &alias, &index); n++) {
        struct bw_territory_set a, b;
        const char *code = bw_territory_code(index);
        assert_int_equal(place(alias), index);
        assert_int_equal(place(code), index);
        assert_string_not_equal(alias, code);
        for (int sense = BW_TERRITORY_ALLOWING; sense <= BW_TERRITORY_DENYING; sense++) {
            bw_territory_set_clear(&a);
            bw_territory_set_clear(&b);
            bw_territory_set_add(&a, place(alias), (enum bw_territory_sense)sense);
            bw_territory_set_add(&b, place(code), (enum bw_territory_sense)sense);
            assert_true(bw_territory_set_equal(&a, &b));
        }
        /* the country in whose list the alias stands does not allow it, and denies it unless it is set apart
         */
        char owner[3] = {alias[0], alias[1], 0};
        assert_false(ALLOWS(owner, alias));
        assert_int_equal(DENIES(owner, alias), strcmp(code, "TW") != 0);
    }
    assert_int_equal(n, 33);
    assert_int_equal(place("FR-974"), place("RE"));
    assert_int_equal(place("FR-RE"), place("RE"));
    assert_int_equal(place("FR-971"), place("GP"));
    assert_int_equal(place("US-PR"), place("PR"));
    assert_int_equal(place("FI-01"), place("AX"));
    assert_int_equal(place("NL-BQ1"), place("BQ-BO"));
}

static void a_place_covers_its_parts_and_nothing_else(void **state)
{
    (void)state;
    assert_true(ALLOWS("FR", "FR"));
    assert_true(ALLOWS("FR", "FR-75"));
    assert_true(ALLOWS("FR", "FR-IDF"));
    assert_true(ALLOWS("FR-IDF", "FR-75"));
    assert_true(ALLOWS("ES-AN", "ES-GR"));
    assert_false(ALLOWS("FR-IDF", "FR-69"));
    assert_false(ALLOWS("FR-IDF", "FR"));
    assert_false(ALLOWS("FR-75", "FR-IDF"));
    assert_false(ALLOWS("FR", "DE"));
    assert_true(ALLOWS("SJ", "NO-21"));
    assert_false(ALLOWS("NO", "NO-21"));
    assert_true(DENIES("NO", "NO-21"));
}

static void what_has_its_own_code_is_allowed_by_it_alone(void **state)
{
    (void)state;
    assert_false(ALLOWS("FR", "RE"));
    assert_false(ALLOWS("EU", "RE"));
    assert_false(ALLOWS("EU", "FR-974"));
    assert_true(ALLOWS("EU-OUTERMOST", "FR-974"));
    assert_true(ALLOWS("FR-974", "RE"));
    assert_false(ALLOWS("US", "PR"));
    assert_false(ALLOWS("CN", "HK"));
}

static void a_deny_reaches_what_the_country_owns(void **state)
{
    (void)state;
    assert_true(DENIES("FR", "RE"));
    assert_true(DENIES("EU", "RE"));
    assert_true(DENIES("US", "PR"));
    assert_true(DENIES("CN", "HK"));
    assert_true(DENIES("NL", "BQ-BO"));
    assert_false(DENIES("CN", "TW"));
    assert_false(DENIES("FR-974", "FR"));
    assert_false(DENIES("FR-974", "GP"));
    assert_false(DENIES("RE", "FR-75"));
    assert_int_equal(bw_territory_owner(place("RE")), place("FR"));
    assert_int_equal(bw_territory_owner(place("FR")), BW_TERRITORY_NONE);
    assert_int_equal(bw_territory_owner(place("TW")), BW_TERRITORY_NONE);
}

/* Whatever a list means, denying covers at least what allowing does. */
static void denying_covers_at_least_what_allowing_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_territory_count(); i++) {
        struct bw_territory_set allow, deny;
        bw_territory_set_clear(&allow);
        bw_territory_set_clear(&deny);
        bw_territory_set_add(&allow, (uint16_t)i, BW_TERRITORY_ALLOWING);
        bw_territory_set_add(&deny, (uint16_t)i, BW_TERRITORY_DENYING);
        assert_true(bw_territory_set_subset(&allow, &deny));
        assert_true(bw_territory_set_test(&allow, (uint16_t)i));
    }
}

static void groups_hold_their_members(void **state)
{
    (void)state;
    static const struct {
        const char *group, *in, *out;
    } rows[] = {{"EU", "HR", "GB"},           {"EU", "FR-75", "CH"}, {"EZ", "BG", "DK"},
                {"EFTA", "NO", "SE"},         {"EEA", "IS", "CH"},   {"SCHENGEN", "RO", "IE"},
                {"FIVE-EYES", "NZ", "DE"},    {"155", "LI", "IT"},   {"150", "RU", "TR"},
                {"021", "BM", "MX"},          {"UN", "CH", "TW"},    {"EU-OUTERMOST", "PT-20", "PT"},
                {"EU-OUTERMOST", "YT", "NC"}, {"001", "AQ", NULL}};
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        if (!ALLOWS(rows[i].group, rows[i].in))
            fail_msg("%s should hold %s", rows[i].group, rows[i].in);
        if (rows[i].out && ALLOWS(rows[i].group, rows[i].out))
            fail_msg("%s should not hold %s", rows[i].group, rows[i].out);
    }
}

/* The generator adds up what groups cover; here it is added up from their members. */
static void a_group_covers_what_its_members_cover(void **state)
{
    (void)state;
    for (uint16_t group = 0; group < bw_territory_group_count(); group++) {
        const struct bw_territory_group_row *row = &bw_territory_group_table[group];
        for (int sense = BW_TERRITORY_ALLOWING; sense <= BW_TERRITORY_DENYING; sense++) {
            struct bw_territory_set one_by_one, whole;
            bw_territory_set_clear(&one_by_one);
            bw_territory_set_clear(&whole);
            for (uint16_t i = 0; i < row->count; i++)
                bw_territory_set_add(&one_by_one, bw_territory_member_table[row->first + i],
                                     (enum bw_territory_sense)sense);
            bw_territory_set_add_group(&whole, group, (enum bw_territory_sense)sense);
            if (!bw_territory_set_equal(&one_by_one, &whole))
                fail_msg("%s since %s covers something else, sense %d", row->name, row->since, sense);
        }
    }
}

static void a_pinned_group_is_what_it_was_that_day(void **state)
{
    (void)state;
    assert_true(ALLOWS("EU@2019-06-01", "GB"));
    assert_false(ALLOWS("EU@2020-02-01", "GB"));
    assert_false(ALLOWS("EU@2026-01-01", "GB"));
    assert_false(ALLOWS("EZ@2022-12-31", "HR"));
    assert_true(ALLOWS("EZ@2023-01-01", "HR"));
    assert_false(ALLOWS("EZ@2025-12-31", "BG"));
    uint16_t group = 7;
    static const char *const bad[] = {"EU@",     "EU@1999-01-01",  "EU@2026-13-01",
                                      "EU@2026", "EU@2026-01-01x", "EU@@2026-01-01"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_int_equal(bw_territory_group_find(bw_view_str(bad[i]), &group), BW_TERRITORY_GROUP_BAD_PIN);
    assert_int_equal(bw_territory_group_find(bw_view_str("XX"), &group), BW_TERRITORY_GROUP_UNKNOWN);
    assert_int_equal(bw_territory_group_find(bw_view_str(""), &group), BW_TERRITORY_GROUP_UNKNOWN);
    assert_int_equal(group, 7);
}

static void unknown_codes_are_not_found_and_helped(void **state)
{
    (void)state;
    static const struct {
        const char *code, *help;
    } rows[] = {{"de", "DE"},       {"Germany", "DE"},       {"FRANCE", "FR"},
                {"fr-75", "FR-75"}, {"SCHENGN", "SCHENGEN"}, {"FIVEEYES", "FIVE-EYES"},
                {"eu", "EU"},       {"FR-IDFF", "FR-IDF"}};
    uint16_t index = 7;
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        char text[32];
        assert_false(bw_territory_find(bw_view_str(rows[i].code), &index));
        assert_true(bw_territory_suggest(bw_view_str(rows[i].code), text));
        assert_string_equal(text, rows[i].help);
    }
    static const char *const bad[] = {"",       "F",    "ZZ",  "FRR", "FR-",
                                      "FR-999", "FR75", " FR", "FR ", "FR-7500000000"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_territory_find(bw_view_str(bad[i]), &index));
    assert_false(bw_territory_find(bw_view_of("FR\0", 3), &index));
    assert_int_equal(index, 7);
    assert_string_equal(bw_territory_successor(bw_view_str("UK")), "GB");
    assert_string_equal(bw_territory_successor(bw_view_str("EL")), "GR");
    assert_string_equal(bw_territory_successor(bw_view_str("DEU")), "DE");
    assert_string_equal(bw_territory_successor(bw_view_str("CN-11")), "CN-BJ");
    assert_null(bw_territory_successor(bw_view_str("FR")));
}

static void set_operations_are_those_of_sets(void **state)
{
    (void)state;
    struct bw_territory_set all, fr, none, left;
    bw_territory_set_clear(&all);
    bw_territory_set_clear(&fr);
    bw_territory_set_clear(&none);
    bw_territory_set_add_all(&all);
    bw_territory_set_add(&fr, place("FR"), BW_TERRITORY_ALLOWING);
    assert_int_equal(bw_territory_set_count(&all), bw_territory_count());
    assert_true(bw_territory_set_empty(&none));
    assert_true(bw_territory_set_subset(&fr, &all));
    assert_false(bw_territory_set_subset(&all, &fr));
    left = all;
    bw_territory_set_andnot(&left, &fr);
    assert_false(bw_territory_set_intersects(&left, &fr));
    assert_int_equal(bw_territory_set_count(&left) + bw_territory_set_count(&fr), bw_territory_count());
    bw_territory_set_or(&left, &fr);
    assert_true(bw_territory_set_equal(&left, &all));
    bw_territory_set_and(&left, &fr);
    assert_true(bw_territory_set_equal(&left, &fr));
    size_t seen = 0;
    for (uint16_t i = bw_territory_set_next(&fr, 0); i != BW_TERRITORY_NONE;
         i = bw_territory_set_next(&fr, (uint16_t)(i + 1)))
        seen++;
    assert_int_equal(seen, bw_territory_set_count(&fr));
    assert_false(bw_territory_set_test(&all, BW_TERRITORY_NONE));
}

static void tables_have_a_hash(void **state)
{
    (void)state;
    assert_memory_equal(bw_territory_tables_hash(), "sha256:", 7);
    assert_int_equal(strlen(bw_territory_tables_hash()), 7 + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_countries_of_iso_3166_1_are_known),
        cmocka_unit_test(tables_are_sorted_and_find_themselves),
        cmocka_unit_test(every_alias_is_the_same_place_in_every_way),
        cmocka_unit_test(a_place_covers_its_parts_and_nothing_else),
        cmocka_unit_test(what_has_its_own_code_is_allowed_by_it_alone),
        cmocka_unit_test(a_deny_reaches_what_the_country_owns),
        cmocka_unit_test(denying_covers_at_least_what_allowing_does),
        cmocka_unit_test(groups_hold_their_members),
        cmocka_unit_test(a_group_covers_what_its_members_cover),
        cmocka_unit_test(a_pinned_group_is_what_it_was_that_day),
        cmocka_unit_test(unknown_codes_are_not_found_and_helped),
        cmocka_unit_test(set_operations_are_those_of_sets),
        cmocka_unit_test(tables_have_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
