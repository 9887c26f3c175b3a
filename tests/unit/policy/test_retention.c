/* How long things are kept: of all that speak for a host the shortest, of decisions what the organisation
 * says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "kit.h"
#include "policy/retention.h"

#define DAYS(n) (UINT64_C(n) * 86400 * 1000)

#define HEAD                                                                                                 \
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nentry: { allow: [\"*\"] }\n"                \
    "transit: { allow: [\"*\"], operators: { allowJurisdictions: [\"*\"] } }\n"                              \
    "e2ee: { mode: optional }\nconnectors: { allow: [] }\n"

static const char *const plain = HEAD "residency: { atRest: eu }\n";
static const char *const levels =
    HEAD "residency: { atRest: eu, retention: { quality: 30d, participants: 20d, decisions: 400d } }\n"
         "groups:\n"
         "  - name: board\n"
         "    match: { members: [\"user:*@board.example\"] }\n"
         "    residency: { retention: { quality: 10d } }\n"
         "  - name: doctors\n"
         "    match: { members: [\"user:dr.*@board.example\"] }\n"
         "    residency: { retention: { quality: 12d, participants: 0s } }\n"
         "users:\n"
         "  - name: vip\n"
         "    match: { members: [\"user:dr.x@board.example\"] }\n"
         "    residency: { retention: { quality: 2d } }\n";

static const char *const fleet =
    "apiVersion: bailiwick/v1\nkind: Fleet\nrelays: [{ id: par1, country: FR }]\n";

static void check(struct bw_retention is, uint64_t quality, uint64_t participants, uint64_t decisions)
{
    assert_true(is.quality_ms == quality);
    assert_true(is.participants_ms == participants);
    assert_true(is.decisions_ms == decisions);
}

static void the_shortest_of_all_levels_of_a_host_counts(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(8 << 20);
    const struct bw_policy_doc *doc = kit_policy(arena, levels);
    static const char *const groups[] = {"doctors", "board", "gone"}, *const users[] = {"vip"};
    check(bw_policy_retention_of(doc, NULL, 0, NULL, 0), DAYS(30), DAYS(20), DAYS(400));
    check(bw_policy_retention_of(doc, groups + 1, 1, NULL, 0), DAYS(10), DAYS(20), DAYS(400));
    check(bw_policy_retention_of(doc, groups, 3, NULL, 0), DAYS(10), 0, DAYS(400));
    check(bw_policy_retention_of(doc, groups, 1, users, 1), DAYS(2), 0, DAYS(400));
    /* Names of one kind are not taken for the other. */
    check(bw_policy_retention_of(doc, users, 1, groups, 2), DAYS(30), DAYS(20), DAYS(400));
    check(bw_policy_retention_shortest(doc), DAYS(2), 0, DAYS(400));
    bw_arena_destroy(arena);
}

static void what_nobody_states_has_a_default(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(8 << 20);
    const struct bw_policy_doc *doc = kit_policy(arena, plain);
    check(bw_policy_retention_of(doc, NULL, 0, NULL, 0), DAYS(30), DAYS(30), BW_RETENTION_WITHOUT_END_MS);
    check(bw_policy_retention_shortest(doc), DAYS(30), DAYS(30), BW_RETENTION_WITHOUT_END_MS);
    bw_arena_destroy(arena);
}

static void a_compiled_set_says_the_same(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(8 << 20);
    struct bw_snapshot *snapshot = kit_fleet(fleet);
    static const struct {
        const char *text, *user, *groups[2], *level;
        size_t group_count;
    } rows[] = {{plain, "a@acme.example", {NULL}, NULL, 0},
                {levels, "a@acme.example", {NULL}, NULL, 0},
                {levels, "a@board.example", {"board"}, NULL, 1},
                {levels, "dr.y@board.example", {"board", "doctors"}, NULL, 2},
                {levels, "dr.x@board.example", {"board", "doctors"}, "vip", 2}};
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        const struct bw_policy_doc *doc = kit_policy(arena, rows[i].text);
        struct bw_constraints *set = kit_compile(doc, snapshot->facts, rows[i].user);
        struct bw_retention is = bw_policy_retention_of(doc, rows[i].groups, rows[i].group_count,
                                                        &rows[i].level, rows[i].level != NULL);
        struct bw_retention merged = bw_constraints_retention(set);
        check(merged, is.quality_ms, is.participants_ms, is.decisions_ms);
        bw_constraints_release(set);
    }
    bw_snapshot_release(snapshot);
    bw_arena_destroy(arena);
}

/* Random levels in random company: more levels never keep anything longer, and order has no meaning. */
static void more_levels_never_keep_longer(void **state)
{
    (void)state;
    enum { GROUPS = 6, ROUNDS = 200 };
    struct kit_random random = {7};
    static const char *const names[GROUPS] = {"g0", "g1", "g2", "g3", "g4", "g5"};
    for (int round = 0; round < ROUNDS; round++) {
        struct bw_arena *arena = bw_arena_create(8 << 20);
        char text[4096];
        int n = snprintf(text, sizeof text,
                         HEAD "residency: { atRest: eu, retention: { quality: %ud } }\ngroups:\n",
                         kit_random_below(&random, 100));
        for (int g = 0; g < GROUPS; g++)
            n += snprintf(text + n, sizeof text - (size_t)n,
                          "  - { name: g%d, match: { members: [\"user:g%d@acme.example\"] }, residency: { "
                          "retention: { %s: %ud } } }\n",
                          g, g, kit_random_chance(&random, 50) ? "quality" : "participants",
                          kit_random_below(&random, 100));
        const struct bw_policy_doc *doc = kit_policy(arena, text);
        const char *some[GROUPS];
        size_t count = 0;
        struct bw_retention before = bw_policy_retention_of(doc, some, 0, NULL, 0);
        for (int g = 0; g < GROUPS; g++) {
            some[count++] = names[kit_random_below(&random, GROUPS)];
            struct bw_retention now = bw_policy_retention_of(doc, some, count, NULL, 0);
            assert_true(now.quality_ms <= before.quality_ms);
            assert_true(now.participants_ms <= before.participants_ms);
            before = now;
        }
        const char *turned[GROUPS];
        for (size_t i = 0; i < count; i++)
            turned[i] = some[count - 1 - i];
        check(bw_policy_retention_of(doc, turned, count, NULL, 0), before.quality_ms, before.participants_ms,
              before.decisions_ms);
        check(bw_policy_retention_of(doc, names, GROUPS, NULL, 0),
              bw_policy_retention_shortest(doc).quality_ms, bw_policy_retention_shortest(doc).participants_ms,
              BW_RETENTION_WITHOUT_END_MS);
        bw_arena_destroy(arena);
    }
}

static void durations_read_as_policies_write_them(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{DAYS(30), "30d"},
                {DAYS(1) / 2, "12h"},
                {90000, "90s"},
                {0, "0s"},
                {1500, "1500ms"},
                {UINT64_MAX - 1, NULL},
                {BW_RETENTION_WITHOUT_END_MS, ""}};
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        char text[BW_RETENTION_TEXT_SIZE];
        const char *said = bw_retention_text(rows[i].ms, text);
        if (rows[i].text != NULL)
            assert_string_equal(said, rows[i].text);
        else
            assert_true(strlen(said) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_of_all_levels_of_a_host_counts),
        cmocka_unit_test(what_nobody_states_has_a_default),
        cmocka_unit_test(a_compiled_set_says_the_same),
        cmocka_unit_test(more_levels_never_keep_longer),
        cmocka_unit_test(durations_read_as_policies_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
