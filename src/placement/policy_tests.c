#include "placement/policy_tests.h"

#include <string.h>

#include "policy/compile.h"

struct run {
    const struct bw_policy_doc *doc;
    struct bw_arena *arena;
    const struct bw_policy_test *test;
    const struct bw_snapshot *snapshot;
    const struct bw_constraints *constraints;
    struct bw_policy_test_failure *failures;
    size_t failure_count, failure_room;
    struct bw_policy_test_entry *entries;
    const struct bw_policy_place **places; /* of the entries */
    size_t entry_count;
};

static void add_failure(struct run *run, enum bw_policy_test_problem problem, struct bw_pos at,
                        const char *relay, uint32_t reasons, const char *text)
{
    if (run->failure_count < run->failure_room)
        run->failures[run->failure_count++] = (struct bw_policy_test_failure){
            .problem = problem, .at = at, .relay = relay, .reasons = reasons, .text = text};
}

static uint32_t reasons_of(const struct run *run, size_t relay)
{
    return run->constraints->reasons[relay] | run->snapshot->state_reasons[relay];
}

static void check_allowed(struct run *run)
{
    const struct bw_yaml_texts *allow = &run->test->expect.allow;
    for (size_t i = 0; i < allow->count; i++) {
        const char *name = (const char *)allow->items[i].text.data;
        size_t relay = bw_facts_find_relay(run->snapshot->facts, name);
        if (relay == SIZE_MAX)
            add_failure(run, BW_TEST_NO_SUCH_RELAY, allow->items[i].at, name, 0, NULL);
        else if (reasons_of(run, relay) != 0)
            add_failure(run, BW_TEST_NOT_ALLOWED, allow->items[i].at, name, reasons_of(run, relay), NULL);
    }
}

static void check_denied(struct run *run)
{
    const struct bw_policy_test_denials *deny = &run->test->expect.deny;
    for (size_t i = 0; i < deny->count; i++) {
        const char *name = (const char *)deny->items[i].relay.text.data;
        const char *text = (const char *)deny->items[i].reason.text.data;
        size_t relay = bw_facts_find_relay(run->snapshot->facts, name);
        struct bw_pos at = deny->items[i].relay.at;
        if (relay == SIZE_MAX) {
            add_failure(run, BW_TEST_NO_SUCH_RELAY, at, name, 0, NULL);
            continue;
        }
        uint32_t reasons = reasons_of(run, relay);
        enum bw_reason wanted = bw_reason_parse(text);
        if (reasons == 0)
            add_failure(run, BW_TEST_NOT_DENIED, at, name, 0, text);
        else if (wanted == BW_REASON_COUNT || !(reasons & BW_REASON_BIT(wanted)))
            add_failure(run, BW_TEST_OTHER_REASON, at, name, reasons, text);
    }
}

static bool is_listed(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->test->expect.allow.count; i++)
        if (bw_view_equal_str(run->test->expect.allow.items[i].text, name))
            return true;
    for (size_t i = 0; i < run->test->expect.deny.count; i++)
        if (bw_view_equal_str(run->test->expect.deny.items[i].relay.text, name))
            return true;
    return false;
}

static void check_rest(struct run *run)
{
    for (size_t r = 0; r < run->snapshot->relay_count; r++) {
        const char *name = run->snapshot->facts->relays[r].name;
        if (reasons_of(run, r) == 0 && !is_listed(run, name))
            add_failure(run, BW_TEST_NOT_LISTED, run->test->name.at, name, 0, NULL);
    }
}

static void check_door(struct run *run)
{
    const struct bw_policy_places *people = &run->test->given.participants;
    for (size_t i = 0; i < people->count; i++) {
        const char *place = (const char *)people->items[i].text.data;
        if (bw_constraints_entry(run->constraints, place, NULL) != BW_ALLOWED)
            add_failure(run, BW_TEST_NOT_ADMITTED, people->items[i].at, place, 0, NULL);
    }
}

/* Coverage */

static bool same_place(struct bw_pos a, uint32_t line, uint32_t col)
{
    return a.line == line && a.col == col;
}

/* Does the place hold a relay that the test found eligible? */
static bool lets_through(const struct run *run, const struct bw_policy_place *place)
{
    struct bw_policy_places one = {.count = 1, .items = (struct bw_policy_place *)(uintptr_t)place};
    struct bw_territory_set set;
    bw_policy_places_expand(&one, BW_TERRITORY_ALLOWING, &set);
    const struct bw_facts *facts = run->snapshot->facts;
    for (size_t r = bw_bitset_next(&run->constraints->eligible, 0); r < facts->relay_count;
         r = bw_bitset_next(&run->constraints->eligible, r + 1)) {
        const struct bw_relay_facts *relay = &facts->relays[r];
        uint16_t index;
        if (place->kind == BW_PLACE_ALL)
            return true;
        if (place->kind == BW_PLACE_SITE && relay->site != NULL &&
            bw_view_equal_str(place->text, relay->site))
            return true;
        if (place->kind != BW_PLACE_SITE && relay->place != NULL &&
            bw_territory_find(bw_view_str(relay->place), &index) && bw_territory_set_test(&set, index))
            return true;
    }
    return false;
}

static bool keeps_out(const struct run *run, const struct bw_policy_place *place)
{
    for (size_t i = 0; i < run->constraints->cut_count; i++) {
        const struct bw_clause *clause = &run->constraints->cuts[i].clause;
        if (same_place(place->at, clause->line, clause->col))
            return true;
    }
    return false;
}

/* The levels that spoke in this test; an entry of another group is not covered by it. */
static void cover(struct run *run, const struct bw_policy_chain *chain)
{
    for (size_t l = 0; l < chain->count; l++) {
        const struct bw_policy_transit *transit = &chain->levels[l].sections->transit;
        for (size_t e = 0; e < run->entry_count; e++) {
            const struct bw_policy_place *place = run->places[e];
            if (place >= transit->allow.items && place < transit->allow.items + transit->allow.count)
                run->entries[e].covered = run->entries[e].covered || lets_through(run, place);
            if (place >= transit->deny.items && place < transit->deny.items + transit->deny.count)
                run->entries[e].covered = run->entries[e].covered || keeps_out(run, place);
        }
    }
}

static size_t count_entries(const struct bw_policy_sections *sections)
{
    return sections->transit.allow.count + sections->transit.deny.count;
}

static void list_entries(struct run *run, const struct bw_policy_sections *sections)
{
    const struct bw_policy_places *lists[] = {&sections->transit.allow, &sections->transit.deny};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            run->places[run->entry_count] = &lists[l]->items[i];
            run->entries[run->entry_count++] =
                (struct bw_policy_test_entry){.at = lists[l]->items[i].at,
                                              .path = l == 0 ? "transit.allow" : "transit.deny",
                                              .text = lists[l]->items[i].text};
        }
}

static bool gather_entries(struct run *run)
{
    const struct bw_policy_doc *doc = run->doc;
    const struct bw_policy_groups *below[] = {&doc->groups, &doc->users};
    size_t room = count_entries(&doc->sections);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < below[k]->count; i++)
            room += count_entries(&below[k]->items[i].sections);
    run->entries = bw_arena_zalloc(run->arena, room, sizeof *run->entries);
    run->places = bw_arena_zalloc(run->arena, room, sizeof(const struct bw_policy_place *));
    if (run->entries == NULL || run->places == NULL)
        return false;
    list_entries(run, &doc->sections);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < below[k]->count; i++)
            list_entries(run, &below[k]->items[i].sections);
    return true;
}

static enum bw_code judge(struct run *run, uint64_t now_ms, struct bw_error *err)
{
    const struct bw_policy_test_given *given = &run->test->given;
    const char *group = given->host_group.at.line != 0 ? (const char *)given->host_group.text.data : NULL;
    const struct bw_compile_input input = {
        .tenant = run->doc,
        .subject = {.user = given->host_user.at.line != 0 ? (const char *)given->host_user.text.data : NULL,
                    .groups = &group,
                    .group_count = group != NULL ? 1 : 0},
        .role = BW_ROLE_HOST,
        .facts = run->snapshot->facts,
        .now_ms = now_ms};
    const struct bw_policy_test_expect *expect = &run->test->expect;
    run->failure_count = 0;
    run->failure_room =
        1 + given->participants.count + expect->allow.count + expect->deny.count + run->snapshot->relay_count;
    run->failures = bw_arena_zalloc(run->arena, run->failure_room, sizeof *run->failures);
    struct bw_policy_chain chain;
    struct bw_error own = {.code = BW_OK};
    if (run->failures == NULL)
        return bw_fail_memory(err);
    enum bw_code code =
        bw_policy_chain(input.tenant, NULL, &input.subject, input.role, now_ms, run->arena, &chain, err);
    if (code != BW_OK)
        return code;
    struct bw_constraints *constraints = NULL;
    code = bw_policy_compile(&input, &constraints, &own);
    if (code == BW_FAILED_PRECONDITION) {
        const char *text = bw_arena_strdup(run->arena, own.show);
        add_failure(run, BW_TEST_CONTRADICTION, run->test->name.at, NULL, 0, text);
        return text != NULL ? BW_OK : bw_fail_memory(err);
    }
    if (code != BW_OK) {
        if (err != NULL)
            *err = own;
        return code;
    }
    run->constraints = constraints;
    check_door(run);
    check_allowed(run);
    check_denied(run);
    check_rest(run);
    cover(run, &chain);
    /* Relays' names outlive the fleet in the arena. */
    for (size_t i = 0; i < run->failure_count && code == BW_OK; i++) {
        run->failures[i].relay = bw_arena_strdup(run->arena, run->failures[i].relay);
        if (run->failures[i].relay == NULL)
            code = bw_fail_memory(err);
    }
    bw_constraints_release(constraints);
    return code;
}

enum bw_code bw_policy_tests_run(const struct bw_policy_doc *doc, bw_policy_test_fleet *fleet, void *context,
                                 uint64_t now_ms, struct bw_arena *arena,
                                 struct bw_policy_test_report *report, struct bw_error *err)
{
    struct run run = {.doc = doc, .arena = arena};
    struct bw_policy_test_result *results = bw_arena_zalloc(arena, doc->tests.count, sizeof *results);
    if (results == NULL || !gather_entries(&run))
        return bw_fail_memory(err);
    struct bw_policy_test_report made = {.results = results, .count = doc->tests.count};
    for (size_t i = 0; i < doc->tests.count; i++) {
        struct bw_snapshot *snapshot = NULL;
        run.test = &doc->tests.items[i];
        enum bw_code code = fleet(context, (const char *)run.test->given.fleet.text.data, &snapshot, err);
        if (code != BW_OK)
            return code;
        run.snapshot = snapshot;
        code = judge(&run, now_ms, err);
        bw_snapshot_release(snapshot);
        if (code != BW_OK)
            return code;
        results[i] = (struct bw_policy_test_result){
            .test = run.test, .failures = run.failures, .failure_count = run.failure_count};
        made.failed += run.failure_count > 0;
    }
    made.entries = run.entries;
    made.entry_count = run.entry_count;
    for (size_t e = 0; e < run.entry_count; e++)
        made.covered += run.entries[e].covered;
    *report = made;
    return BW_OK;
}

static void put_reasons(uint32_t reasons, struct bw_buf *out)
{
    const char *comma = "";
    for (unsigned i = 0; i < BW_REASON_COUNT; i++) {
        if (!(reasons & BW_REASON_BIT(i)))
            continue;
        bw_buf_printf(out, "%s%s", comma, bw_reason_name((enum bw_reason)i));
        comma = ", ";
    }
}

void bw_policy_test_failure_text(const struct bw_policy_test_failure *failure, struct bw_buf *out)
{
    switch (failure->problem) {
    case BW_TEST_NOT_ALLOWED:
        bw_buf_printf(out, "%s should be allowed, but is denied: ", failure->relay);
        put_reasons(failure->reasons, out);
        return;
    case BW_TEST_NOT_DENIED:
        bw_buf_printf(out, "%s should be denied, but is allowed", failure->relay);
        return;
    case BW_TEST_OTHER_REASON:
        bw_buf_printf(out, "%s is denied, but for ", failure->relay);
        put_reasons(failure->reasons, out);
        return;
    case BW_TEST_NOT_LISTED:
        bw_buf_printf(out, "%s is allowed, but not listed; what is not listed is expected to be denied",
                      failure->relay);
        return;
    case BW_TEST_NO_SUCH_RELAY:
        bw_buf_printf(out, "there is no relay %s in the fleet", failure->relay);
        return;
    case BW_TEST_NOT_ADMITTED:
        bw_buf_printf(out, "a participant from %s may not join", failure->relay);
        return;
    case BW_TEST_CONTRADICTION:
        bw_buf_append_str(out, failure->text);
        return;
    }
}
