/* The engine against an evaluator that shares nothing with it: string lists and nested loops, its own idea of
 * what a group holds and what a part belongs to. Millions of seeded (policy, relay) pairs must agree, reason
 * by reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

enum { RELAYS = 64, LIST = 6, LEVELS = 4, NAME = 16 };

/* The reference's whole geography: code, its country, the country that owns it (for denying). */
static const struct place {
    const char *code, *spelling, *country, *owner;
    bool eu;
} places[] = {
    {"FR", "FR", "FR", "", true},        {"FR-75", "FR-75", "FR", "", true},
    {"DE", "DE", "DE", "", true},        {"DE-HE", "DE-HE", "DE", "", true},
    {"BE", "BE", "BE", "", true},        {"CH", "CH", "CH", "", false},
    {"CH-ZH", "CH-ZH", "CH", "", false}, {"GB", "GB", "GB", "", false},
    {"US", "US", "US", "", false},       {"US-VA", "US-VA", "US", "", false},
    {"RE", "FR-974", "RE", "FR", false}, {"PR", "US-PR", "PR", "US", false},
    {"SG", "SG", "SG", "", false},
};
enum { PLACES = sizeof places / sizeof places[0] };
static const char *const sites[] = {"paris", "geneva", "ashburn"};
static const char *const certifications[] = {"HDS", "C5", "SecNumCloud"};

struct list {
    bool stated;
    size_t count;
    char items[LIST][NAME];
};

struct clause {
    size_t count;
    const char *names[2];
};

struct level {
    struct list allow, deny, laws, no_laws;
    struct clause required[2];
    size_t required_count;
    /* Only in the narrowing property. */
    bool terms;
    const char *mode;
    uint32_t connectors;
    struct list entry, no_entry;
    unsigned wait_s;
};

struct relay {
    char name[NAME];
    int place; /* -1 unknown */
    const char *site;
    size_t law_count;
    int laws[2];
    size_t certification_count;
    const char *held[3];
    uint64_t until[3];
    bool ours_only, theirs_only;
};

/* Reference */

static const struct place *find_place(const char *code)
{
    for (size_t i = 0; i < PLACES; i++)
        if (strcmp(places[i].code, code) == 0 || strcmp(places[i].spelling, code) == 0)
            return &places[i];
    return NULL;
}

/* Does the word cover the place, when allowing or when denying? */
static bool covers(const char *word, const struct place *place, bool denying)
{
    if (strcmp(word, "*") == 0)
        return true;
    if (strcmp(word, "EU") == 0) {
        if (place->eu)
            return true;
        return denying && place->owner[0] != '\0' && find_place(place->owner)->eu;
    }
    const struct place *named = find_place(word);
    if (named == NULL)
        return false;
    if (strcmp(named->code, place->code) == 0)
        return true;
    bool whole_country = strcmp(named->code, named->country) == 0;
    if (whole_country && strcmp(named->code, place->country) == 0)
        return true;
    return denying && whole_country && strcmp(named->code, place->owner) == 0;
}

/* The place is a country of which the word names a part. */
static bool too_coarse(const char *word, const struct place *place)
{
    const struct place *named = find_place(word);
    return named != NULL && strcmp(named->code, named->country) != 0 &&
           strcmp(place->code, named->country) == 0;
}

static bool is_site(const char *word)
{
    return strncmp(word, "site:", 5) == 0;
}

static uint32_t judge_deny(const struct list *deny, const struct relay *relay)
{
    uint32_t reasons = 0;
    for (size_t i = 0; i < deny->count; i++) {
        const char *word = deny->items[i];
        if (is_site(word)) {
            if (relay->site == NULL)
                reasons |= BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
            else if (strcmp(word + 5, relay->site) == 0)
                reasons |= BW_REASON_BIT(BW_REASON_TRANSIT_SITE);
        } else if (relay->place < 0) {
            reasons |= BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
        } else if (covers(word, &places[relay->place], true)) {
            reasons |= BW_REASON_BIT(BW_REASON_TRANSIT_COUNTRY);
        } else if (too_coarse(word, &places[relay->place])) {
            reasons |= BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
        }
    }
    return reasons;
}

static uint32_t judge_allow(const struct list *allow, const struct relay *relay)
{
    bool any_site = false, any_place = false, unknown = false;
    if (!allow->stated)
        return 0;
    for (size_t i = 0; i < allow->count; i++) {
        const char *word = allow->items[i];
        if (strcmp(word, "*") == 0)
            return 0;
        if (is_site(word)) {
            any_site = true;
            if (relay->site != NULL && strcmp(word + 5, relay->site) == 0)
                return 0;
            continue;
        }
        any_place = true;
        if (relay->place >= 0 && covers(word, &places[relay->place], false))
            return 0;
        if (relay->place >= 0 && too_coarse(word, &places[relay->place]))
            unknown = true;
    }
    if (any_site && relay->site == NULL)
        unknown = true;
    if ((any_place || !any_site) && relay->place < 0)
        unknown = true;
    if (unknown)
        return BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
    return BW_REASON_BIT(any_site && !any_place ? BW_REASON_TRANSIT_SITE : BW_REASON_TRANSIT_COUNTRY);
}

static uint32_t judge_laws(const struct level *level, const struct relay *relay)
{
    uint32_t reasons = 0;
    for (size_t i = 0; i < level->no_laws.count; i++) {
        bool hit = false, coarse = false;
        for (size_t l = 0; l < relay->law_count; l++) {
            hit = hit || covers(level->no_laws.items[i], &places[relay->laws[l]], true);
            coarse = coarse || too_coarse(level->no_laws.items[i], &places[relay->laws[l]]);
        }
        if (hit)
            reasons |= BW_REASON_BIT(BW_REASON_OPERATOR_JURISDICTION);
        else if (coarse || relay->law_count == 0)
            reasons |= BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
    }
    if (!level->laws.stated)
        return reasons;
    for (size_t i = 0; i < level->laws.count; i++)
        if (strcmp(level->laws.items[i], "*") == 0)
            return reasons;
    if (relay->law_count == 0)
        return reasons | BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
    for (size_t l = 0; l < relay->law_count; l++) {
        bool covered = false;
        for (size_t i = 0; i < level->laws.count; i++)
            covered = covered || covers(level->laws.items[i], &places[relay->laws[l]], false);
        if (!covered)
            reasons |= BW_REASON_BIT(BW_REASON_OPERATOR_JURISDICTION);
    }
    return reasons;
}

static uint32_t judge_certifications(const struct level *level, const struct relay *relay)
{
    uint32_t reasons = 0;
    for (size_t c = 0; c < level->required_count; c++) {
        bool good = false, expired = false;
        for (size_t n = 0; n < level->required[c].count; n++) {
            for (size_t h = 0; h < relay->certification_count; h++) {
                if (strcmp(relay->held[h], level->required[c].names[n]) != 0)
                    continue;
                good = good || relay->until[h] > KIT_NOW_MS;
                expired = expired || relay->until[h] <= KIT_NOW_MS;
            }
        }
        if (!good)
            reasons |=
                BW_REASON_BIT(expired ? BW_REASON_CERTIFICATION_EXPIRED : BW_REASON_CERTIFICATION_MISSING);
    }
    return reasons;
}

static uint32_t reference(const struct level *levels, size_t count, const struct relay *relay)
{
    uint32_t reasons = relay->theirs_only ? BW_REASON_BIT(BW_REASON_NOT_FOR_TENANT) : 0;
    for (size_t i = 0; i < count; i++) {
        reasons |= judge_deny(&levels[i].deny, relay);
        reasons |= judge_allow(&levels[i].allow, relay);
        reasons |= judge_laws(&levels[i], relay);
        reasons |= judge_certifications(&levels[i], relay);
    }
    return reasons;
}

/* Generation */

static const char *spelling(struct kit_random *random)
{
    const struct place *place = &places[kit_random_below(random, PLACES)];
    return kit_random_chance(random, 50) ? place->code : place->spelling;
}

static bool holds(const struct list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], word) == 0)
            return true;
    return false;
}

static void add(struct list *list, const char *word)
{
    if (list->count < LIST && !holds(list, word))
        snprintf(list->items[list->count++], NAME, "%s", word);
}

static void random_places(struct kit_random *random, struct list *list, size_t most, bool with_sites)
{
    list->stated = true;
    size_t count = 1 + kit_random_below(random, (uint32_t)most);
    for (size_t i = 0; i < count; i++) {
        char word[NAME];
        uint32_t draw = kit_random_below(random, 100);
        if (with_sites && draw < 20)
            snprintf(word, sizeof word, "site:%s", sites[kit_random_below(random, 3)]);
        else
            snprintf(word, sizeof word, "%s", draw < 45 ? "EU" : spelling(random));
        add(list, word);
    }
}

static void random_level(struct kit_random *random, struct level *level, bool organisation)
{
    memset(level, 0, sizeof *level);
    if (organisation && kit_random_chance(random, 40)) {
        level->allow.stated = true;
        add(&level->allow, "*");
    } else if (organisation || kit_random_chance(random, 35)) {
        random_places(random, &level->allow, LIST, true);
        add(&level->allow, "EU");
    }
    if (kit_random_chance(random, 40))
        random_places(random, &level->deny, 2, true);
    for (size_t i = 0; i < level->deny.count; i++)
        if (strcmp(level->deny.items[i], "EU") == 0)
            snprintf(level->deny.items[i], NAME, "%s", "GB");
    if (organisation && kit_random_chance(random, 60)) {
        level->laws.stated = true;
        add(&level->laws, "*");
    } else if (organisation || kit_random_chance(random, 20)) {
        random_places(random, &level->laws, LIST, false);
        add(&level->laws, "EU");
    }
    if (kit_random_chance(random, 15))
        random_places(random, &level->no_laws, 1, false);
    level->required_count = kit_random_chance(random, 20) ? 1 + kit_random_below(random, 2) : 0;
    for (size_t i = 0; i < level->required_count; i++) {
        struct clause *clause = &level->required[i];
        clause->count = 1 + kit_random_below(random, 2);
        size_t first = kit_random_below(random, 3);
        clause->names[0] = certifications[first];
        clause->names[1] = certifications[(first + 1) % 3];
    }
}

static void random_relay(struct kit_random *random, struct relay *relay, size_t index)
{
    memset(relay, 0, sizeof *relay);
    snprintf(relay->name, sizeof relay->name, "r%03u", (unsigned)index);
    relay->place = kit_random_chance(random, 4) ? -1 : (int)kit_random_below(random, PLACES);
    if (kit_random_chance(random, 40))
        relay->place = (int)kit_random_below(random, 5);
    relay->site = kit_random_chance(random, 15) ? NULL : sites[kit_random_below(random, 3)];
    relay->law_count = kit_random_chance(random, 4) ? 0 : 1 + kit_random_below(random, 2);
    for (size_t i = 0; i < relay->law_count; i++)
        relay->laws[i] = (int)kit_random_below(random, kit_random_chance(random, 60) ? 5 : PLACES);
    for (size_t i = 0; i < 3; i++) {
        if (kit_random_chance(random, 30))
            continue;
        relay->held[relay->certification_count] = certifications[i];
        uint64_t until = BW_NEVER_MS;
        if (kit_random_chance(random, 50))
            until = KIT_NOW_MS - 1 + kit_random_below(random, 3); /* just before, at, just after */
        relay->until[relay->certification_count++] = until;
    }
    relay->theirs_only = kit_random_chance(random, 5);
    relay->ours_only = !relay->theirs_only && kit_random_chance(random, 5);
}

static void write_list(struct bw_buf *out, const char *key, const struct list *list)
{
    if (!list->stated)
        return;
    bw_buf_printf(out, "%s: [", key);
    for (size_t i = 0; i < list->count; i++)
        bw_buf_printf(out, "%s\"%s\"", i == 0 ? "" : ", ", list->items[i]);
    bw_buf_append_str(out, "], ");
}

static void write_transit(struct bw_buf *out, const struct level *level)
{
    bw_buf_append_str(out, "transit: { ");
    write_list(out, "allow", &level->allow);
    write_list(out, "deny", &level->deny);
    if (level->required_count > 0) {
        bw_buf_append_str(out, "requireCertifications: [");
        for (size_t i = 0; i < level->required_count; i++) {
            const struct clause *clause = &level->required[i];
            bw_buf_append_str(out, i == 0 ? "" : ", ");
            if (clause->count == 1)
                bw_buf_append_str(out, clause->names[0]);
            else
                bw_buf_printf(out, "{ anyOf: [%s, %s] }", clause->names[0], clause->names[1]);
        }
        bw_buf_append_str(out, "], ");
    }
    bw_buf_append_str(out, "operators: { ");
    write_list(out, "allowJurisdictions", &level->laws);
    write_list(out, "denyJurisdictions", &level->no_laws);
    bw_buf_append_str(out, "} }\n");
}

static void write_terms(struct bw_buf *out, const char *indent, const struct level *level, bool organisation)
{
    if (!level->terms)
        return;
    if (level->mode != NULL)
        bw_buf_printf(out, "%se2ee: { mode: %s }\n", indent, level->mode);
    if (level->connectors != UINT32_MAX) {
        bw_buf_printf(out, "%sconnectors: { allow: [", indent);
        const char *comma = "";
        for (unsigned i = 0; i < BW_CONNECTOR_COUNT; i++) {
            if (!(level->connectors & BW_CONNECTOR_BIT(i)))
                continue;
            bw_buf_printf(out, "%s%s", comma, bw_connector_name((enum bw_connector)i));
            comma = ", ";
        }
        bw_buf_append_str(out, "] }\n");
    }
    bw_buf_printf(out, "%sentry: { ", indent);
    write_list(out, "allow", &level->entry);
    write_list(out, "deny", &level->no_entry);
    bw_buf_printf(out, "unknown: %s }\n", organisation || level->wait_s % 2 == 0 ? "allow" : "refuse");
}

static void random_terms(struct kit_random *random, struct level *level, bool organisation)
{
    static const char *const modes[] = {"optional", "preferred", "required", "forbidden"};
    level->terms = true;
    if (organisation || kit_random_chance(random, 30))
        level->mode = modes[kit_random_below(random, kit_random_chance(random, 80) ? 2 : 4)];
    level->connectors = UINT32_MAX;
    if (organisation || kit_random_chance(random, 30))
        level->connectors = (uint32_t)kit_random_u64(random) & BW_CONNECTORS_ALL;
    if (organisation || kit_random_chance(random, 40)) {
        random_places(random, &level->entry, LIST, false);
        if (organisation && kit_random_chance(random, 50)) {
            level->entry.count = 0;
            add(&level->entry, "*");
        }
    }
    if (kit_random_chance(random, 40))
        random_places(random, &level->no_entry, 1, false);
    level->wait_s = kit_random_below(random, 3) * 10;
}

static void write_policy(struct bw_buf *out, const struct level *levels, size_t count)
{
    bw_buf_append_str(out, "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\n"
                           "residency: { atRest: eu }\n");
    if (!levels[0].terms)
        bw_buf_append_str(out,
                          "entry: { allow: [\"*\"] }\ne2ee: { mode: optional }\nconnectors: { allow: [] }\n");
    write_terms(out, "", &levels[0], true);
    write_transit(out, &levels[0]);
    if (count > 1)
        bw_buf_append_str(out, "groups:\n");
    for (size_t i = 1; i < count; i++) {
        bw_buf_printf(out, "  - name: g%zu\n    match: { members: [\"user:*@acme.example\"] }\n", i);
        write_terms(out, "    ", &levels[i], false);
        bw_buf_append_str(out, "    ");
        write_transit(out, &levels[i]);
    }
}

static struct bw_facts *build_facts(const struct relay *relays)
{
    static const char *const ours[] = {"acme"}, *const theirs[] = {"other", "third"};
    struct bw_relay_facts facts[RELAYS];
    const char *laws[RELAYS][2];
    struct bw_certification held[RELAYS][3];
    for (size_t i = 0; i < RELAYS; i++) {
        const struct relay *r = &relays[i];
        for (size_t l = 0; l < r->law_count; l++)
            laws[i][l] = places[r->laws[l]].spelling;
        for (size_t c = 0; c < r->certification_count; c++)
            held[i][c] = (struct bw_certification){.name = r->held[c], .expires_ms = r->until[c]};
        facts[i] = (struct bw_relay_facts){
            .name = r->name,
            .number = (uint32_t)i + 1,
            .site = r->site,
            .place = r->place < 0 ? NULL : places[r->place].spelling,
            .operated_by = {.jurisdictions = laws[i], .jurisdiction_count = r->law_count},
            .certifications = held[i],
            .certification_count = r->certification_count,
            .tenants = r->ours_only ? ours : theirs,
            .tenant_count = r->ours_only ? 1 : (r->theirs_only ? 2 : 0),
        };
    }
    struct bw_facts *built = NULL;
    struct bw_error err = {0};
    if (bw_facts_create(facts, RELAYS, NULL, 0, 1, &built, &err) != BW_OK) {
        print_error("%s\n", err.show);
        fail();
    }
    return built;
}

/* bw_policy_check refuses some random documents (everything denied, say): those say nothing about the engine.
 */
static const struct bw_policy_doc *try_policy(struct bw_arena *arena, struct bw_buf *text)
{
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = "p.yaml", .text = bw_view_str(bw_buf_cstr(text))};
    const struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
    const struct bw_policy_doc *doc = NULL;
    struct bw_error err;
    if (bw_policy_check(&source, &options, arena, &diags, &doc, &err) != BW_OK)
        doc = NULL;
    bw_diags_finish(&diags);
    return doc;
}

static void complain(const struct level *levels, size_t count, const struct relay *relay, uint32_t engine,
                     uint32_t expected)
{
    struct bw_buf text = {0};
    write_policy(&text, levels, count);
    print_error("%s\nrelay %s place %s site %s laws %zu", bw_buf_cstr(&text), relay->name,
                relay->place < 0 ? "?" : places[relay->place].spelling,
                relay->site == NULL ? "?" : relay->site, relay->law_count);
    for (size_t i = 0; i < relay->law_count; i++)
        print_error(" %s", places[relay->laws[i]].spelling);
    print_error("\nengine %s\n", kit_reasons(engine));
    print_error("reference %s\n", kit_reasons(expected));
    bw_buf_finish(&text);
}

static void engine_agrees_with_an_independent_evaluator(void **state)
{
    (void)state;
    const char *wanted = getenv("BW_REFERENCE_PAIRS");
    size_t pairs = wanted != NULL ? strtoull(wanted, NULL, 10) : 1000000;
    struct kit_random random = {.state = 20261121};
    struct bw_arena *arena = bw_arena_create(64 << 20);
    size_t judged = 0, allowed = 0, refused_documents = 0;
    uint32_t seen = 0;
    while (judged < pairs) {
        struct relay relays[RELAYS];
        for (size_t i = 0; i < RELAYS; i++)
            random_relay(&random, &relays[i], i);
        struct bw_facts *facts = build_facts(relays);
        for (int round = 0; round < 8; round++) {
            struct level levels[LEVELS];
            size_t count = 1 + kit_random_below(&random, LEVELS);
            for (size_t i = 0; i < count; i++)
                random_level(&random, &levels[i], i == 0);
            struct bw_buf text = {0};
            write_policy(&text, levels, count);
            bw_arena_reset(arena);
            const struct bw_policy_doc *doc = try_policy(arena, &text);
            bw_buf_finish(&text);
            if (doc == NULL) {
                refused_documents++;
                continue;
            }
            struct bw_constraints *constraints = kit_compile(doc, facts, "someone@acme.example");
            for (size_t i = 0; i < RELAYS; i++) {
                uint32_t expected = reference(levels, count, &relays[i]);
                bool eligible = bw_bitset_test(&constraints->eligible, i);
                if (constraints->reasons[i] != expected || eligible != (expected == 0)) {
                    complain(levels, count, &relays[i], constraints->reasons[i], expected);
                    fail();
                }
                /* Every reason has the clause that decided it. */
                for (unsigned reason = 0; reason < BW_REASON_COUNT; reason++)
                    assert_int_equal(bw_constraints_decisive(constraints, i, (enum bw_reason)reason) != NULL,
                                     (expected & BW_REASON_BIT(reason)) != 0);
                judged++;
                allowed += expected == 0;
                seen |= expected;
            }
            bw_constraints_release(constraints);
        }
        bw_facts_release(facts);
    }
    bw_arena_destroy(arena);
    print_message("%zu pairs, %zu %% allowed, %zu documents refused\n", judged, allowed * 100 / judged,
                  refused_documents);
    assert_in_range(allowed * 100 / judged, 20, 80);
    assert_string_equal(kit_reasons(seen), "TRANSIT_COUNTRY TRANSIT_SITE OPERATOR_JURISDICTION "
                                           "CERTIFICATION_MISSING CERTIFICATION_EXPIRED FACT_UNKNOWN "
                                           "NOT_FOR_TENANT");
}

/* Everything a chain lets through, so that two chains can be compared. NULL: the levels contradict one
 * another, which lets nothing through. */
static struct bw_constraints *compile_groups(const struct bw_policy_doc *doc, struct bw_facts *facts,
                                             unsigned groups)
{
    static const char *const names[] = {"g1", "g2", "g3"};
    const char *chosen[3];
    size_t count = 0;
    for (unsigned g = 0; g < 3; g++)
        if (groups >> g & 1)
            chosen[count++] = names[g];
    const struct bw_compile_input input = {.tenant = doc,
                                           .subject = {.groups = chosen, .group_count = count},
                                           .facts = facts,
                                           .now_ms = KIT_NOW_MS};
    struct bw_constraints *constraints = NULL;
    struct bw_error err;
    enum bw_code code = bw_policy_compile(&input, &constraints, &err);
    assert_true(code == BW_OK || code == BW_FAILED_PRECONDITION);
    return code == BW_OK ? constraints : NULL;
}

static void assert_within(const struct bw_constraints *child, const struct bw_constraints *parent)
{
    if (child == NULL)
        return;
    assert_non_null(parent);
    assert_true(bw_bitset_subset(&child->eligible, &parent->eligible));
    assert_true(bw_bitset_subset(&child->connector_stores, &parent->connector_stores));
    for (size_t r = 0; r < RELAYS; r++)
        assert_int_equal(parent->reasons[r] & ~child->reasons[r], 0);
    assert_int_equal(child->modes & ~parent->modes, 0);
    assert_int_not_equal(child->modes, 0);
    assert_int_equal(child->connectors & ~parent->connectors, 0);
    assert_int_equal(child->suites & ~parent->suites, 0);
    assert_true(child->valid_until_ms <= parent->valid_until_ms);
    for (size_t p = 0; p <= PLACES; p++) {
        const char *place = p == PLACES ? NULL : places[p].spelling;
        if (bw_constraints_entry(child, place, NULL) == BW_ALLOWED)
            assert_int_equal(bw_constraints_entry(parent, place, NULL), BW_ALLOWED);
    }
}

/* Eff(child) is inside Eff(parent), whatever either states: for every chain and every group added to it. */
static void a_further_level_never_widens(void **state)
{
    (void)state;
    struct kit_random random = {.state = 7};
    struct bw_arena *arena = bw_arena_create(64 << 20);
    size_t cases = 0, narrowed = 0;
    while (cases < 100000) {
        struct relay relays[RELAYS];
        for (size_t i = 0; i < RELAYS; i++)
            random_relay(&random, &relays[i], i);
        struct bw_facts *facts = build_facts(relays);
        for (int round = 0; round < 16; round++) {
            struct level levels[4];
            for (size_t i = 0; i < 4; i++) {
                random_level(&random, &levels[i], i == 0);
                random_terms(&random, &levels[i], i == 0);
            }
            struct bw_buf text = {0};
            write_policy(&text, levels, 4);
            bw_arena_reset(arena);
            const struct bw_policy_doc *doc = try_policy(arena, &text);
            bw_buf_finish(&text);
            if (doc == NULL)
                continue;
            struct bw_constraints *sets[8];
            for (unsigned groups = 0; groups < 8; groups++)
                sets[groups] = compile_groups(doc, facts, groups);
            for (unsigned groups = 0; groups < 8; groups++) {
                for (unsigned g = 0; g < 3; g++) {
                    if (groups >> g & 1)
                        continue;
                    const struct bw_constraints *child = sets[groups | 1u << g];
                    assert_within(child, sets[groups]);
                    cases++;
                    narrowed += child == NULL || !bw_bitset_equal(&child->eligible, &sets[groups]->eligible);
                }
            }
            for (unsigned groups = 0; groups < 8; groups++)
                bw_constraints_release(sets[groups]);
        }
        bw_facts_release(facts);
    }
    bw_arena_destroy(arena);
    print_message("%zu cases, %zu really narrowed\n", cases, narrowed);
    assert_in_range(narrowed, cases / 4, cases);
}

static void turn_round(struct list *list)
{
    for (size_t i = 0; i + 1 < list->count - i; i++) {
        char held[NAME];
        memcpy(held, list->items[i], NAME);
        memcpy(list->items[i], list->items[list->count - 1 - i], NAME);
        memcpy(list->items[list->count - 1 - i], held, NAME);
    }
    if (list->count > 0 && list->count < LIST && strcmp(list->items[0], "*") != 0) {
        memcpy(list->items[list->count], list->items[0], NAME); /* and one entry once more */
        list->count++;
    }
}

static void order_and_repetition_mean_nothing(void **state)
{
    (void)state;
    struct kit_random random = {.state = 99};
    struct bw_arena *arena = bw_arena_create(64 << 20);
    struct relay relays[RELAYS];
    for (size_t i = 0; i < RELAYS; i++)
        random_relay(&random, &relays[i], i);
    struct bw_facts *facts = build_facts(relays);
    int compared = 0;
    for (int round = 0; round < 2000; round++) {
        struct level levels[4], turned[4];
        for (size_t i = 0; i < 4; i++)
            random_level(&random, &levels[i], i == 0);
        turned[0] = levels[0];
        for (size_t i = 1; i < 4; i++)
            turned[i] = levels[4 - i];
        for (size_t i = 0; i < 4; i++) {
            turn_round(&turned[i].allow);
            turn_round(&turned[i].deny);
            turn_round(&turned[i].laws);
            turn_round(&turned[i].no_laws);
        }
        struct bw_buf text = {0}, other = {0};
        write_policy(&text, levels, 4);
        write_policy(&other, turned, 4);
        bw_arena_reset(arena);
        const struct bw_policy_doc *doc = try_policy(arena, &text), *again = try_policy(arena, &other);
        bw_buf_finish(&text);
        bw_buf_finish(&other);
        assert_true((doc == NULL) == (again == NULL));
        if (doc == NULL)
            continue;
        struct bw_constraints *a = kit_compile(doc, facts, "x@acme.example");
        struct bw_constraints *b = kit_compile(again, facts, "x@acme.example");
        assert_memory_equal(a->reasons, b->reasons, RELAYS * sizeof *a->reasons);
        assert_true(bw_bitset_equal(&a->eligible, &b->eligible));
        assert_memory_equal(a->hash, b->hash, sizeof a->hash);
        compared++;
        bw_constraints_release(a);
        bw_constraints_release(b);
    }
    assert_in_range(compared, 1500, 2000);
    bw_facts_release(facts);
    bw_arena_destroy(arena);
}

/* The hash stands for the meaning: policies that judge some relay differently never share one. */
static void different_meanings_have_different_hashes(void **state)
{
    (void)state;
    struct kit_random random = {.state = 4};
    struct bw_arena *arena = bw_arena_create(64 << 20);
    struct relay relays[RELAYS];
    for (size_t i = 0; i < RELAYS; i++)
        random_relay(&random, &relays[i], i);
    struct bw_facts *facts = build_facts(relays);
    struct bw_constraints *sets[200];
    size_t count = 0;
    while (count < 200) {
        struct level level;
        random_level(&random, &level, true);
        struct bw_buf text = {0};
        write_policy(&text, &level, 1);
        bw_arena_reset(arena);
        const struct bw_policy_doc *doc = try_policy(arena, &text);
        bw_buf_finish(&text);
        if (doc != NULL)
            sets[count++] = kit_compile(doc, facts, NULL);
    }
    size_t differ = 0;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < a; b++) {
            bool same = memcmp(sets[a]->reasons, sets[b]->reasons, RELAYS * sizeof *sets[a]->reasons) == 0;
            bool same_hash = memcmp(sets[a]->hash, sets[b]->hash, sizeof sets[a]->hash) == 0;
            assert_true(same || !same_hash);
            differ += !same;
        }
    }
    assert_true(differ > 1000);
    for (size_t a = 0; a < count; a++)
        bw_constraints_release(sets[a]);
    bw_facts_release(facts);
    bw_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_agrees_with_an_independent_evaluator),
        cmocka_unit_test(a_further_level_never_widens),
        cmocka_unit_test(order_and_repetition_mean_nothing),
        cmocka_unit_test(different_meanings_have_different_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
