/* A document as a whole: levels against each other, names, references. Nothing here needs a fleet or a clock.
 */
#include "policy/document_internal.h"
#include "policy/reason.h"

static void duplicate(const struct bw_policy_checking *c, const struct bw_yaml_text *again,
                      const struct bw_yaml_text *first, const char *what)
{
    struct bw_diag *diag = bw_diag_add(c->diags, c->source, BW_P_DUPLICATE_NAME, again->at,
                                       "two %s are named %s", what, (const char *)again->text.data);
    bw_diag_relate(c->diags, diag, c->source, first->at, "the first is here");
}

static bool same_name(const struct bw_yaml_text *a, const struct bw_yaml_text *b)
{
    return a->at.line && b->at.line && bw_view_equal(a->text, b->text);
}

static void check_match(const struct bw_policy_checking *c, const struct bw_policy_group *group, bool user)
{
    const struct bw_policy_match *match = &group->match;
    bool others = match->others.at.line != 0, members = match->members.at.line != 0;
    if (match->at.line == 0)
        return; /* required: already reported */
    if (user && others)
        bw_diag_add(c->diags, c->source, BW_P_MATCH_FORM, match->others.at,
                    "a user level names its members; others is for groups");
    else if (others == members)
        bw_diag_add(c->diags, c->source, BW_P_MATCH_FORM, match->at,
                    user ? "a match needs members" : "a match needs either members or others: true");
    else if (others && !match->others.value)
        bw_diag_add(c->diags, c->source, BW_P_MATCH_FORM, match->others.at,
                    "others can only be true; name members instead");
    else if (members && match->members.count == 0)
        bw_diag_add(c->diags, c->source, BW_P_GROUP_NEVER_MATCHES, match->members.at,
                    "nobody matches an empty list; only calls that name this level reach it");
}

/* The organisation's lock against a level below it. */
static void check_lock(const struct bw_policy_checking *c, const struct bw_policy_sections *above,
                       const struct bw_policy_checked_level *level)
{
    for (size_t i = 0; i < above->lock.count; i++) {
        const struct bw_yaml_number *lock = &above->lock.items[i];
        if (lock->at.line == 0)
            continue;
        struct bw_pos at = bw_policy_section_at(level->sections, (enum bw_policy_section)lock->value);
        if (at.line == 0)
            continue;
        struct bw_diag *diag = bw_diag_add(c->diags, c->source, BW_P_LOCKED_BELOW, at,
                                           "%s%.*s states %s, which the organisation has locked", level->what,
                                           (int)level->name.len, (const char *)level->name.data,
                                           bw_policy_section_name((enum bw_policy_section)lock->value));
        bw_diag_relate(c->diags, diag, c->source, lock->at, "locked here");
    }
}

static void check_group(const struct bw_policy_checking *c, const struct bw_policy_groups *all, size_t n,
                        bool user)
{
    const struct bw_policy_group *group = &all->items[n];
    if (group->at.line == 0)
        return; /* not a map: already reported */
    for (size_t i = 0; i < n; i++)
        if (same_name(&all->items[i].name, &group->name)) {
            duplicate(c, &group->name, &all->items[i].name, user ? "user levels" : "groups");
            break;
        }
    check_match(c, group, user);
    struct bw_policy_checked_level level = {
        .sections = &group->sections,
        .what = user ? "user level " : "group ",
        .name = group->name.text.data ? group->name.text : bw_view_str("(unnamed)"),
        .attended = group->applies.value == BW_APPLIES_ATTENDED,
    };
    bw_document_check_level(c, &level);
    check_lock(c, &c->doc->sections, &level);
}

static void check_others_once(const struct bw_policy_checking *c)
{
    const struct bw_policy_groups *groups = &c->doc->groups;
    const struct bw_yaml_number *first = NULL;
    for (size_t i = 0; i < groups->count; i++) {
        const struct bw_yaml_number *others = &groups->items[i].match.others;
        if (others->at.line == 0 || !others->value)
            continue;
        if (!first) {
            first = others;
            continue;
        }
        struct bw_diag *diag = bw_diag_add(c->diags, c->source, BW_P_OTHERS_TWICE, others->at,
                                           "only one group can be for everyone else");
        bw_diag_relate(c->diags, diag, c->source, first->at, "the first is here");
    }
}

static void check_group_known(const struct bw_policy_checking *c, const struct bw_yaml_text *name)
{
    if (name->at.line == 0)
        return;
    for (size_t i = 0; i < c->doc->groups.count; i++)
        if (same_name(&c->doc->groups.items[i].name, name))
            return;
    bw_diag_add(c->diags, c->source, BW_P_REFERENCE_UNKNOWN, name->at, "no group here is named %s",
                (const char *)name->text.data);
}

static bool is_among(const struct bw_policy_place *place, const struct bw_policy_places *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_policy_place *other = &list->items[i];
        if (other->at.line == 0 || other->kind != place->kind)
            continue;
        if (place->kind == BW_PLACE_SITE ? bw_view_equal(place->text, other->text)
                                         : place->index == other->index)
            return true;
    }
    return false;
}

static void check_lifted(const struct bw_policy_checking *c, const struct bw_policy_places *lifted,
                         const struct bw_policy_places *denied, const char *path)
{
    for (size_t i = 0; i < lifted->count; i++)
        if (lifted->items[i].at.line && !is_among(&lifted->items[i], denied))
            bw_diag_add(c->diags, c->source, BW_P_EXCEPTION_LIFTS_NOTHING, lifted->items[i].at,
                        "%s is not an entry of the organisation's %s; an exception lifts only entries of its "
                        "own level",
                        (const char *)lifted->items[i].text.data, path);
}

static void check_exceptions(const struct bw_policy_checking *c)
{
    const struct bw_policy_exceptions *all = &c->doc->exceptions;
    for (size_t i = 0; i < all->count; i++) {
        const struct bw_policy_exception *exception = &all->items[i];
        for (size_t k = 0; k < i; k++)
            if (same_name(&all->items[k].id, &exception->id)) {
                duplicate(c, &exception->id, &all->items[k].id, "exceptions");
                break;
            }
        check_group_known(c, &exception->scope.group);
        const struct bw_yaml_text *user = &exception->scope.user;
        struct bw_user_pattern pattern;
        const char *why = user->at.line ? bw_user_pattern_parse(user->text, &pattern) : NULL;
        if (why)
            bw_diag_add(c->diags, c->source, BW_P_BAD_PATTERN, user->at, "%s", why);
        const struct bw_policy_lifts *lifts = &exception->lifts;
        if (lifts->at.line && lifts->transit.deny.count + lifts->entry.deny.count == 0)
            bw_diag_add(c->diags, c->source, BW_P_EXCEPTION_LIFTS_NOTHING, lifts->at,
                        "this exception lifts nothing");
        check_lifted(c, &lifts->transit.deny, &c->doc->sections.transit.deny, "transit.deny");
        check_lifted(c, &lifts->entry.deny, &c->doc->sections.entry.deny, "entry.deny");
    }
}

static void check_expectations(const struct bw_policy_checking *c, const struct bw_policy_test_expect *expect)
{
    for (size_t i = 0; i < expect->deny.count; i++) {
        const struct bw_policy_test_denied *denied = &expect->deny.items[i];
        if (denied->reason.at.line &&
            bw_reason_parse((const char *)denied->reason.text.data) == BW_REASON_COUNT)
            bw_diag_add(c->diags, c->source, BW_P_REFERENCE_UNKNOWN, denied->reason.at,
                        "%s is not a reason code", (const char *)denied->reason.text.data);
        for (size_t k = 0; k < expect->allow.count; k++) {
            if (!same_name(&expect->allow.items[k], &denied->relay))
                continue;
            struct bw_diag *diag =
                bw_diag_add(c->diags, c->source, BW_P_TEST_CONTRADICTS, denied->relay.at,
                            "%s is expected to be allowed and denied", (const char *)denied->relay.text.data);
            bw_diag_relate(c->diags, diag, c->source, expect->allow.items[k].at, "allowed here");
        }
    }
}

static void check_tests(const struct bw_policy_checking *c)
{
    const struct bw_policy_tests *all = &c->doc->tests;
    for (size_t i = 0; i < all->count; i++) {
        const struct bw_policy_test *test = &all->items[i];
        for (size_t k = 0; k < i; k++)
            if (same_name(&all->items[k].name, &test->name)) {
                duplicate(c, &test->name, &all->items[k].name, "tests");
                break;
            }
        check_group_known(c, &test->given.host_group);
        const struct bw_yaml_text *user = &test->given.host_user;
        if (user->at.line && !bw_user_valid(user->text))
            bw_diag_add(c->diags, c->source, BW_P_BAD_TEXT, user->at, "\"%s\" is not localpart@domain",
                        (const char *)user->text.data);
        check_expectations(c, &test->expect);
    }
}

void bw_document_check_whole(const struct bw_policy_checking *c)
{
    const struct bw_policy_doc *doc = c->doc;
    bool meeting = doc->kind == BW_POLICY_MEETING;
    const struct bw_policy_checked_level top = {
        .sections = &doc->sections,
        .what = meeting ? "the meeting" : "the organisation",
        .organisation = !meeting,
        .meeting = meeting,
    };
    bw_document_check_level(c, &top);
    if (meeting)
        return;
    for (size_t i = 0; i < doc->groups.count; i++)
        check_group(c, &doc->groups, i, false);
    for (size_t i = 0; i < doc->users.count; i++)
        check_group(c, &doc->users, i, true);
    check_others_once(c);
    check_exceptions(c);
    check_tests(c);
}
