#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "kit.h"

static const char *const french[] = {"FR"}, *const american[] = {"US", "FR"};
static const struct bw_certification hds[] = {{"HDS", 2000}, {"HDS", 5000}, {"C5", BW_NEVER_MS}};
static const char *const acme[] = {"acme"};
static const char *const stores[] = {"FR-974"};

static const struct bw_relay_facts relays[] = {
    {.name = "zrh1", .number = 9, .place = "CH"},
    {.name = "par1",
     .number = 3,
     .site = "paris",
     .place = "FR-75",
     .operated_by = {.jurisdictions = french, .jurisdiction_count = 1},
     .certifications = hds,
     .certification_count = 3},
    {.name = "ash1",
     .number = 5,
     .site = "ashburn",
     .place = "FR-974",
     .operated_by = {.jurisdictions = american, .jurisdiction_count = 2},
     .tenants = acme,
     .tenant_count = 1,
     .connectors = BW_CONNECTOR_BIT(BW_CONNECTOR_PSTN),
     .stores = stores,
     .store_count = 1,
     .stores_known = true},
};
static const struct bw_cell_facts cells[] = {
    {.name = "eu", .place = "FR", .operated_by = {.jurisdictions = french, .jurisdiction_count = 1}}};

static struct bw_facts *build(void)
{
    struct bw_facts *facts = NULL;
    struct bw_error err = {0};
    assert_int_equal(bw_facts_create(relays, BW_ARRAY_LEN(relays), cells, 1, 42, &facts, &err), BW_OK);
    return facts;
}

static void relays_are_sorted_and_found_by_name_and_number(void **state)
{
    (void)state;
    struct bw_facts *facts = build();
    assert_string_equal(facts->relays[0].name, "ash1");
    assert_string_equal(facts->relays[2].name, "zrh1");
    assert_int_equal(bw_facts_find_relay(facts, "par1"), 1);
    assert_int_equal(bw_facts_find_number(facts, 9), 2);
    assert_int_equal(bw_facts_find_number(facts, 4), SIZE_MAX);
    assert_int_equal(bw_facts_find_relay(facts, "par"), SIZE_MAX);
    assert_int_equal(bw_facts_find_cell(facts, "eu"), 0);
    assert_string_equal(bw_facts_node_name(facts, 3), "eu");
    assert_int_equal(facts->revision, 42);
    bw_facts_release(facts);
}

static const char *column(const struct bw_facts *facts, const struct bw_fact_columns *columns,
                          const char *value)
{
    const struct bw_bitset *nodes = bw_facts_column(columns, value);
    return nodes == NULL ? "no column" : kit_relays(facts, nodes);
}

static void each_attribute_value_has_its_nodes(void **state)
{
    (void)state;
    struct bw_facts *facts = build();
    /* FR-974 is La Réunion, whatever it is called. */
    assert_string_equal(column(facts, &facts->places, "RE"), "ash1");
    assert_string_equal(column(facts, &facts->places, "FR-75"), "par1");
    assert_true(bw_bitset_test(bw_facts_column(&facts->places, "FR"), 3)); /* the cell alone */
    assert_string_equal(column(facts, &facts->jurisdictions, "FR"), "ash1 par1");
    assert_string_equal(column(facts, &facts->jurisdictions, "US"), "ash1");
    assert_string_equal(column(facts, &facts->jurisdictions, "DE"), "no column");
    assert_string_equal(column(facts, &facts->stores, "RE"), "ash1");
    assert_string_equal(kit_relays(facts, &facts->site_unknown), "zrh1");
    assert_string_equal(kit_relays(facts, &facts->jurisdiction_unknown), "zrh1");
    assert_string_equal(kit_relays(facts, &facts->all_tenants), "par1 zrh1");
    assert_string_equal(kit_relays(facts, &facts->offers[BW_CONNECTOR_PSTN]), "ash1");
    assert_string_equal(kit_relays(facts, &facts->stores_unknown), "par1 zrh1");
    assert_int_equal(bw_facts_certified_until(facts, 1, "HDS"), 5000);
    assert_int_equal(bw_facts_certified_until(facts, 1, "SecNumCloud"), 0);
    bw_facts_release(facts);
}

static void the_hash_ignores_order_and_notices_every_fact(void **state)
{
    (void)state;
    struct bw_facts *facts = build(), *other = NULL;
    struct bw_relay_facts turned[] = {relays[2], relays[1], relays[0]};
    struct bw_error err;
    assert_int_equal(bw_facts_create(turned, 3, cells, 1, 1, &other, &err), BW_OK);
    assert_memory_equal(facts->hash, other->hash, sizeof facts->hash);
    bw_facts_release(other);
    for (int change = 0; change < 6; change++) {
        struct bw_relay_facts changed = relays[1];
        if (change == 0)
            changed.place = "FR-69";
        if (change == 1)
            changed.certification_count = 2;
        if (change == 2)
            changed.site = NULL;
        if (change == 3)
            changed.stores_known = true;
        if (change == 4)
            changed.cascade = true;
        if (change == 5)
            changed.operated_by.jurisdiction_count = 0;
        turned[1] = changed;
        assert_int_equal(bw_facts_create(turned, 3, cells, 1, 1, &other, &err), BW_OK);
        assert_memory_not_equal(facts->hash, other->hash, sizeof facts->hash);
        bw_facts_release(other);
    }
    bw_facts_release(facts);
}

static void refuses(struct bw_relay_facts changed, const char *words)
{
    struct bw_relay_facts input[] = {relays[0], changed};
    struct bw_facts *facts = NULL;
    struct bw_error err = {0};
    assert_int_equal(bw_facts_create(input, 2, cells, 1, 1, &facts, &err), BW_INVALID_ARGUMENT);
    assert_null(facts);
    if (strstr(err.show, words) == NULL)
        print_error("%s\n", err.show);
    assert_non_null(strstr(err.show, words));
}

static void malformed_facts_are_refused_and_named(void **state)
{
    (void)state;
    static const char *const nowhere[] = {"Atlantis"};
    refuses((struct bw_relay_facts){.name = "zrh1", .number = 1}, "two relays are named zrh1");
    refuses((struct bw_relay_facts){.name = "a", .number = 9}, "same number 9");
    refuses((struct bw_relay_facts){.name = "", .number = 1}, "needs a name");
    refuses((struct bw_relay_facts){.name = "a", .number = 1, .place = "XX"}, "relay a: place \"XX\"");
    refuses((struct bw_relay_facts){.name = "a",
                                    .number = 1,
                                    .operated_by = {.jurisdictions = nowhere, .jurisdiction_count = 1}},
            "jurisdiction \"Atlantis\"");
    refuses((struct bw_relay_facts){.name = "a", .number = 1, .stores = nowhere, .store_count = 1},
            "store \"Atlantis\"");
}

static bool build_once(void *context)
{
    (void)context;
    struct bw_facts *facts = NULL;
    struct bw_error err;
    enum bw_code code = bw_facts_create(relays, BW_ARRAY_LEN(relays), cells, 1, 1, &facts, &err);
    if (code == BW_OK)
        bw_facts_release(facts);
    else
        assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
    return code == BW_OK;
}

static void running_out_of_memory_is_a_clean_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(build_once, NULL, true) > 2);
}

static void every_reason_has_a_name_that_parses_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BW_REASON_COUNT; i++) {
        assert_int_equal(bw_reason_parse(bw_reason_name((enum bw_reason)i)), i);
        assert_int_not_equal(bw_reason_text((enum bw_reason)i)[0], '\0');
    }
    assert_int_equal(bw_reason_parse("NO_SUCH"), BW_REASON_COUNT);
    /* Bits are written into durable records. */
    assert_int_equal(BW_REASON_RELAY_STATE, 0);
    assert_int_equal(BW_REASON_TRANSIT_COUNTRY, 5);
    assert_int_equal(BW_REASON_SIGNALLING, 13);
    assert_int_equal(BW_REASON_BURST_LIMIT, 19);
    assert_int_equal(BW_REASON_COUNT, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relays_are_sorted_and_found_by_name_and_number),
        cmocka_unit_test(each_attribute_value_has_its_nodes),
        cmocka_unit_test(the_hash_ignores_order_and_notices_every_fact),
        cmocka_unit_test(malformed_facts_are_refused_and_named),
        cmocka_unit_test(running_out_of_memory_is_a_clean_error),
        cmocka_unit_test(every_reason_has_a_name_that_parses_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
