/* What exceptions can do and what they cannot, over random denies: they open what their own level denies and
 * nothing else, for whom they are meant, as long as they last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "kit.h"

static const char *const countries[] = {"FR", "DE", "BE", "CH", "IT", "ES", "PL", "HU"};
enum { COUNTRIES = BW_ARRAY_LEN(countries), ROUNDS = 300 };

static struct bw_snapshot *fleet(void)
{
    static char text[8192];
    int n = snprintf(text, sizeof text, "apiVersion: bailiwick/v1\nkind: Fleet\nrelays:\n");
    for (int c = 0; c < COUNTRIES; c++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "  - { id: %c%c1, site: s%d, country: %s, operator: { jurisdictions: [FR] } }\n",
                      countries[c][0] + 32, countries[c][1] + 32, c, countries[c]);
    return kit_fleet(text);
}

/* "[FR, HU]" of a mask; sites instead where the other mask says so. */
static const char *list(uint32_t mask, uint32_t as_site, char text[256])
{
    size_t used = 0;
    text[used++] = '[';
    for (int c = 0; c < COUNTRIES; c++) {
        if (!(mask & (1u << c)))
            continue;
        if (used > 1)
            used += (size_t)snprintf(text + used, 256 - used, ", ");
        if (as_site & (1u << c))
            used += (size_t)snprintf(text + used, 256 - used, "\"site:s%d\"", c);
        else
            used += (size_t)snprintf(text + used, 256 - used, "%s", countries[c]);
    }
    text[used++] = ']';
    text[used] = '\0';
    return text;
}

struct drawn {
    uint32_t denied, lifted, group_denied, as_site;
};

/* The relays somebody may use, as a mask of countries. */
static uint32_t eligible(struct bw_snapshot *snapshot, const struct drawn *drawn, const char *user,
                         const char *scope, uint64_t now_ms)
{
    char text[4096], deny[256], group_deny[256], lift[256];
    int n = snprintf(text, sizeof text,
                     "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
                     "entry: { allow: [\"*\"] }\n"
                     "transit: { allow: [EU, CH], deny: %s, operators: { allowJurisdictions: [\"*\"] } }\n"
                     "e2ee: { mode: optional }\nconnectors: { allow: [] }\n"
                     "groups:\n  - { name: board, match: { members: [\"user:*@board.example\"] }, transit: { "
                     "deny: %s } }\n",
                     list(drawn->denied, drawn->as_site, deny),
                     list(drawn->group_denied, drawn->as_site, group_deny));
    if (drawn->lifted != 0)
        snprintf(text + n, sizeof text - (size_t)n,
                 "exceptions:\n  - { id: x1, lifts: { transit: { deny: %s } }, %s reason: r, expires: "
                 "2027-01-31 }\n",
                 list(drawn->lifted, drawn->as_site, lift), scope);
    struct bw_arena *arena = bw_arena_create(8 << 20);
    const struct bw_compile_input input = {.tenant = kit_policy(arena, text),
                                           .subject = {.user = user},
                                           .facts = snapshot->facts,
                                           .now_ms = now_ms};
    struct bw_constraints *set = kit_compile_input(&input);
    uint32_t mask = 0;
    for (size_t r = 0; r < snapshot->facts->relay_count; r++)
        for (int c = 0; c < COUNTRIES; c++)
            if (bw_bitset_test(&set->eligible, r) &&
                strcmp(snapshot->facts->relays[r].place, countries[c]) == 0)
                mask |= 1u << c;
    bw_constraints_release(set);
    bw_arena_destroy(arena);
    return mask;
}

static struct drawn draw(struct kit_random *random)
{
    struct drawn drawn = {.denied = kit_random_below(random, 1u << COUNTRIES),
                          .group_denied = kit_random_below(random, 1u << COUNTRIES),
                          .as_site = kit_random_below(random, 1u << COUNTRIES)};
    /* One place stays for everybody, so that no level is empty. */
    uint32_t keep = 1u << kit_random_below(random, COUNTRIES);
    drawn.denied &= ~keep;
    drawn.group_denied &= ~keep;
    drawn.lifted = drawn.denied & kit_random_below(random, 1u << COUNTRIES);
    return drawn;
}

static void an_exception_opens_what_its_level_denies_and_nothing_else(void **state)
{
    (void)state;
    enum { ALL = (1u << COUNTRIES) - 1 };
    struct bw_snapshot *snapshot = fleet();
    struct kit_random random = {11};
    unsigned opened = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct drawn drawn = draw(&random);
        uint32_t closed = ALL & ~drawn.denied, open = closed | drawn.lifted;
        opened += open != closed;
        assert_int_equal(eligible(snapshot, &drawn, "a@acme.example", "", KIT_NOW_MS), open);
        /* A group's own deny is not the organisation's to lift. */
        assert_int_equal(eligible(snapshot, &drawn, "a@board.example", "", KIT_NOW_MS),
                         open & ~drawn.group_denied);
        /* For some, and for nobody else. */
        const char *board = "for: { group: board },", *one = "for: { user: \"user:b@acme.example\" },";
        assert_int_equal(eligible(snapshot, &drawn, "a@acme.example", board, KIT_NOW_MS), closed);
        assert_int_equal(eligible(snapshot, &drawn, "a@board.example", board, KIT_NOW_MS),
                         open & ~drawn.group_denied);
        assert_int_equal(eligible(snapshot, &drawn, "b@acme.example", one, KIT_NOW_MS), open);
        assert_int_equal(eligible(snapshot, &drawn, "a@acme.example", one, KIT_NOW_MS), closed);
        assert_int_equal(eligible(snapshot, &drawn, NULL, one, KIT_NOW_MS), closed);
        /* To the millisecond. */
        const uint64_t end_ms = 1801353600000; /* 2027-01-31 */
        assert_int_equal(eligible(snapshot, &drawn, "a@acme.example", "", end_ms - 1), open);
        assert_int_equal(eligible(snapshot, &drawn, "a@acme.example", "", end_ms), closed);
    }
    assert_true(opened > ROUNDS / 2);
    bw_snapshot_release(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exception_opens_what_its_level_denies_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
