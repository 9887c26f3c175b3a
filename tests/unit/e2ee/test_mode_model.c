/* Explores every meeting of up to three participants that the mode table can reach, under every policy and
 * every change of policy, and checks on each step what the design promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "e2ee/flags.h"

enum { ROSTER = 3, EPOCH = 7, STATES_MAX = 1 << 19 };

enum kind { ABSENT, CAPABLE, INCAPABLE, CONNECTOR, KINDS };

struct person {
    uint8_t kind, observed, consents;
};

struct world {
    struct person roster[ROSTER];
    uint8_t mode, pending, policy;
    uint8_t announced; /* the pending lowering was announced, with consent asked for */
};

static struct bw_mode_policy policies[32];
static size_t policy_count;

static void make_policies(void)
{
    policy_count = 0;
    for (unsigned bits = 0; bits < 64; bits++) {
        struct bw_mode_policy p = {
            .may_e2ee = true,
            .may_hop = true,
            .prefers_e2ee = bits & 1,
            .connectors_as_endpoints = bits & 2,
            .lowering_with_consent = bits & 4,
            .mismatch = bits & 8 ? BW_MODE_MISMATCH_LABEL : BW_MODE_MISMATCH_REFUSE,
        };
        if (bits & 16) { /* required: with everything else permissive, and with nothing */
            if ((bits & 47) != 0 && (bits & 47) != 15)
                continue;
            p.may_hop = false;
        } else if (bits & 32) {
            if ((bits & 15) != 0 && (bits & 15) != 14)
                continue;
            p.may_e2ee = false;
        }
        BW_CHECK(policy_count < BW_ARRAY_LEN(policies));
        policies[policy_count++] = p;
    }
}

struct explorer {
    const struct bw_machine *machine;
    struct world *queue;
    size_t head, tail, edges;
    uint8_t *seen;
    size_t people; /* size of a roster */
    const char *violation;
    struct world violated;
    enum bw_mode_event violating;
};

static unsigned person_code(struct person p)
{
    return p.kind == ABSENT ? 0u : 1u + ((p.kind - 1u) * 3u + p.observed) * 2u + p.consents;
}

static size_t world_code(const struct world *w)
{
    size_t code = 0;
    for (size_t i = 0; i < ROSTER; i++)
        code = code * 19 + person_code(w->roster[i]);
    code = code * 5 + (w->mode - 1u);
    code = code * 3 + w->pending;
    code = code * 2 + w->announced;
    return code * policy_count + w->policy;
}

static int by_code(const void *a, const void *b)
{
    return (int)person_code(*(const struct person *)b) - (int)person_code(*(const struct person *)a);
}

/* Persons are interchangeable, and consents mean something only while a lowering is pending. */
static void visit(struct explorer *x, struct world w)
{
    for (size_t i = 0; i < ROSTER; i++) {
        if (w.pending != BW_MODE_PENDING_LOWER)
            w.roster[i].consents = 0;
    }
    qsort(w.roster, ROSTER, sizeof w.roster[0], by_code);
    size_t code = world_code(&w);
    if (x->seen[code])
        return;
    x->seen[code] = 1;
    BW_CHECK(x->tail < STATES_MAX);
    x->queue[x->tail++] = w;
}

static struct bw_flags flags_of(struct person p, enum bw_mode mode)
{
    struct bw_flags flags = {.connector = p.kind == CONNECTOR};
    bool allocated = mode != BW_MODE_HOP && p.kind != INCAPABLE;
    flags.capable = p.kind == CAPABLE ? BW_SCHEME_BIT(SFRAME_MLS) : 0;
    flags.allocated.scheme = allocated ? BW_SCHEME_SFRAME_MLS : BW_SCHEME_NONE;
    flags.observed.state = (enum bw_observed)p.observed;
    flags.observed.scheme = BW_SCHEME_SFRAME_MLS;
    flags.observed.epoch = EPOCH;
    flags.observed.confirmed = true;
    return flags;
}

static struct bw_mode_input input_of(const struct world *w)
{
    struct bw_mode_state state = {.mode = (enum bw_mode)w->mode, .epoch = EPOCH};
    struct bw_mode_input input = {.policy = &policies[w->policy]};
    for (size_t i = 0; i < ROSTER; i++) {
        if (w->roster[i].kind == ABSENT)
            continue;
        struct bw_flags flags = flags_of(w->roster[i], state.mode);
        bw_flags_count_in(&state, &flags, &input.counts);
        input.consents_missing += w->roster[i].kind != CONNECTOR && !w->roster[i].consents;
    }
    return input;
}

static void violated(struct explorer *x, const char *what, const struct world *w, enum bw_mode_event event)
{
    if (x->violation != NULL)
        return;
    x->violation = what;
    x->violated = *w;
    x->violating = event;
}

/* Written from the roster alone, not from the counts that the code under test uses. */
static void check_label(struct explorer *x, const struct world *w, enum bw_mode_event event)
{
    struct bw_mode_state state = {.mode = (enum bw_mode)w->mode, .epoch = EPOCH};
    struct bw_mode_input input = input_of(w);
    enum bw_mode label = bw_flags_label(&state, &input.counts);
    for (size_t i = 0; i < ROSTER; i++) {
        struct person p = w->roster[i];
        if (p.kind == ABSENT)
            continue;
        bool confirmed = p.kind != INCAPABLE && p.observed == BW_OBSERVED_E2EE;
        if (label == BW_MODE_E2EE && (p.kind == CONNECTOR || !confirmed))
            violated(x, "the label e2ee covers a connector or somebody unconfirmed", w, event);
        if (label == BW_MODE_E2EE_CONNECTORS && !confirmed)
            violated(x, "the label e2ee+connectors covers somebody unconfirmed", w, event);
    }
    if (bw_mode_strength(label) > bw_mode_strength(state.mode))
        violated(x, "the label claims more than the mode", w, event);
}

static void check_step(struct explorer *x, const struct world *before, enum bw_mode_event event,
                       const struct world *after, const struct bw_mode_step *step)
{
    const struct bw_mode_policy *policy = &policies[after->policy];
    enum bw_mode next = step->state.mode, mode = (enum bw_mode)before->mode;
    bool lowered = bw_mode_strength(next) < bw_mode_strength(mode) && next != BW_MODE_ENDED;
    bool renewed = (step->effects & BW_MODE_ANNOUNCE) && (step->effects & BW_MODE_NEW_EPOCH) &&
                   step->state.epoch == EPOCH + 1;
    if (mode == BW_MODE_E2EE && !policy->may_hop && next != BW_MODE_E2EE && next != BW_MODE_ENDED)
        violated(x, "required left e2ee", before, event);
    if (!policy->may_hop && lowered)
        violated(x, "required was lowered", before, event);
    if (lowered && !renewed)
        violated(x, "a lowering without announcement and new epoch", before, event);
    if (next != mode && next != BW_MODE_ENDED && step->state.epoch != EPOCH + 1)
        violated(x, "a mode began in an old epoch", before, event);
    if (next == BW_MODE_HOP && mode != BW_MODE_HOP) {
        if (!before->announced)
            violated(x, "lowered to hop without having been announced", before, event);
        for (size_t i = 0; i < ROSTER; i++) {
            struct person p = after->roster[i];
            if ((p.kind == CAPABLE || p.kind == INCAPABLE) && !p.consents)
                violated(x, "lowered to hop without somebody's consent", before, event);
        }
        if (!policy->lowering_with_consent)
            violated(x, "lowered although the policy says never", before, event);
    }
    if (event == BW_MODE_INVITE_CONNECTOR && (step->effects & BW_MODE_ADMIT)) {
        if (next == BW_MODE_E2EE || !policy->may_hop)
            violated(x, "a connector was admitted to mode e2ee, or where e2ee is required", before, event);
        if (next != BW_MODE_HOP && !policy->connectors_as_endpoints)
            violated(x, "a connector was admitted that policy does not admit as endpoint", before, event);
    }
    if (next == BW_MODE_ENDED && !(step->effects & BW_MODE_STOP) && mode != BW_MODE_ENDED)
        violated(x, "the meeting ended without being ended", before, event);
}

/* `after` is the world as it will be if the event is accepted. */
static void try_event(struct explorer *x, const struct world *before, enum bw_mode_event event,
                      struct world after, bool leaves)
{
    struct bw_mode_state state = {
        .mode = (enum bw_mode)before->mode, .epoch = EPOCH, .pending = (enum bw_mode_pending)before->pending};
    struct bw_mode_input input = input_of(&after);
    struct bw_mode_step step;
    struct bw_error err;
    x->edges++;
    enum bw_code code = bw_mode_step_in(x->machine, &state, event, &input, &step, &err);
    if (code == BW_FAILED_PRECONDITION) {
        if (err.reason == NULL || err.reason[0] == '\0' || err.show[0] == '\0')
            violated(x, "a refusal without reason or words", before, event);
        if (event >= BW_MODE_POLICY_TIGHTENED || event == BW_MODE_OBSERVE_PLAIN ||
            event == BW_MODE_REMOVE_CONNECTOR)
            violated(x, "a fact was refused", before, event);
        return;
    }
    if (code != BW_OK) {
        violated(x, "no rule", before, event);
        return;
    }
    check_step(x, before, event, &after, &step);
    after.mode = (uint8_t)step.state.mode;
    after.pending = (uint8_t)step.state.pending;
    if (step.effects & BW_MODE_ASK_CONSENT) {
        after.announced = (step.effects & BW_MODE_ANNOUNCE) != 0;
        for (size_t i = 0; i < ROSTER; i++)
            after.roster[i].consents = 0;
    }
    if (after.pending != BW_MODE_PENDING_LOWER)
        after.announced = 0;
    /* Observations of the old epoch confirm nothing any more; plain stays plain. */
    if (step.effects & BW_MODE_NEW_EPOCH) {
        for (size_t i = 0; i < ROSTER; i++) {
            if (after.roster[i].observed == BW_OBSERVED_E2EE)
                after.roster[i].observed = BW_OBSERVED_NOTHING;
        }
    }
    check_label(x, &after, event);
    visit(x, after);
    if (leaves && after.pending == BW_MODE_PENDING_LOWER)
        try_event(x, &after, BW_MODE_CONSENT, after, false);
}

static void try_joins(struct explorer *x, const struct world *w)
{
    static const enum bw_mode_event events[KINDS] = {
        [CAPABLE] = BW_MODE_JOIN_CAPABLE,
        [INCAPABLE] = BW_MODE_JOIN_INCAPABLE,
        [CONNECTOR] = BW_MODE_INVITE_CONNECTOR,
    };
    for (size_t i = 0; i < x->people; i++) {
        if (w->roster[i].kind != ABSENT)
            continue;
        for (int kind = CAPABLE; kind < KINDS; kind++) {
            struct world after = *w;
            after.roster[i] = (struct person){.kind = (uint8_t)kind};
            try_event(x, w, events[kind], after, false);
        }
        return;
    }
}

static void try_people(struct explorer *x, const struct world *w)
{
    for (size_t i = 0; i < ROSTER; i++) {
        struct world after = *w;
        struct person p = w->roster[i];
        if (p.kind == ABSENT)
            continue;
        after.roster[i] = (struct person){0};
        try_event(x, w, p.kind == CONNECTOR ? BW_MODE_REMOVE_CONNECTOR : BW_MODE_OBSERVE_E2EE, after, true);
        after.roster[i] = p;
        after.roster[i].observed = BW_OBSERVED_PLAIN;
        try_event(x, w, BW_MODE_OBSERVE_PLAIN, after, false);
        if (p.kind != INCAPABLE) {
            after.roster[i].observed = BW_OBSERVED_E2EE;
            try_event(x, w, BW_MODE_OBSERVE_E2EE, after, false);
        }
        after.roster[i] = p;
        if (p.kind != CONNECTOR && w->mode != BW_MODE_ENDED) {
            after.roster[i].consents = 1;
            try_event(x, w, BW_MODE_CONSENT, after, false);
        }
    }
}

static bool is_wider(const struct bw_mode_policy *a, const struct bw_mode_policy *b)
{
    return a->may_e2ee >= b->may_e2ee && a->may_hop >= b->may_hop &&
           a->connectors_as_endpoints >= b->connectors_as_endpoints &&
           a->lowering_with_consent >= b->lowering_with_consent && a->mismatch >= b->mismatch;
}

static void try_policies(struct explorer *x, const struct world *w)
{
    for (size_t i = 0; i < policy_count; i++) {
        struct world after = *w;
        after.policy = (uint8_t)i;
        if (is_wider(&policies[i], &policies[w->policy]))
            try_event(x, w, BW_MODE_POLICY_LOOSENED, after, false);
        try_event(x, w, BW_MODE_POLICY_TIGHTENED, after, false);
    }
}

static void explore(struct explorer *x)
{
    make_policies();
    x->queue = calloc(STATES_MAX, sizeof *x->queue);
    x->seen = calloc((size_t)19 * 19 * 19 * 5 * 3 * 2 * policy_count, 1);
    assert_non_null(x->queue);
    assert_non_null(x->seen);
    for (size_t i = 0; i < policy_count; i++) {
        for (int choice = BW_MODE_CHOICE_NONE; choice <= BW_MODE_CHOICE_HOP; choice++) {
            struct bw_mode_state state;
            if (bw_mode_create(&policies[i], (enum bw_mode_choice)choice, false, &state, NULL) == BW_OK)
                visit(x, (struct world){.mode = (uint8_t)state.mode, .policy = (uint8_t)i});
        }
    }
    while (x->head < x->tail && x->violation == NULL) {
        struct world w = x->queue[x->head++];
        try_joins(x, &w);
        try_people(x, &w);
        try_event(x, &w, BW_MODE_REQUEST_LOWER, w, false);
        try_event(x, &w, BW_MODE_REQUEST_RAISE, w, false);
        try_event(x, &w, BW_MODE_END, w, false);
        try_policies(x, &w);
    }
    free(x->queue);
    free(x->seen);
}

static void no_reachable_meeting_breaks_a_promise(void **state)
{
    (void)state;
    struct explorer x = {.machine = &bw_mode_machine, .people = ROSTER};
    explore(&x);
    print_message("%zu meetings, %zu steps\n", x.tail, x.edges);
    if (x.violation != NULL)
        fail_msg("%s: mode %s, event \"%s\", policy %u", x.violation,
                 bw_mode_name((enum bw_mode)x.violated.mode), bw_mode_event_name(x.violating),
                 x.violated.policy);
    assert_true(x.tail > 10000);
}

/* The table with one row changed; the explorer must find out. */
static const char *violation_with(size_t row, struct bw_machine_row changed)
{
    struct bw_machine_row *rows = malloc(bw_mode_machine.row_count * sizeof *rows);
    assert_non_null(rows);
    memcpy(rows, bw_mode_machine.rows, bw_mode_machine.row_count * sizeof *rows);
    rows[row] = changed;
    struct bw_machine machine = bw_mode_machine;
    machine.rows = rows;
    struct explorer x = {.machine = &machine, .people = 2};
    explore(&x);
    free(rows);
    return x.violation;
}

static void a_lowering_that_forgets_to_announce_or_renew_is_found(void **state)
{
    (void)state;
    size_t tried = 0;
    for (size_t i = 0; i < bw_mode_machine.row_count; i++) {
        struct bw_machine_row row = bw_mode_machine.rows[i];
        if (row.next == BW_MODE_ENDED ||
            bw_mode_strength((enum bw_mode)row.next) >= bw_mode_strength((enum bw_mode)row.state))
            continue;
        struct bw_machine_row silent = row, stale = row;
        silent.effect &= ~BW_MODE_ANNOUNCE;
        stale.effect &= ~BW_MODE_NEW_EPOCH;
        assert_non_null(violation_with(i, silent));
        assert_non_null(violation_with(i, stale));
        tried++;
    }
    assert_int_equal(tried, 8);
}

static void a_lowering_whose_condition_is_dropped_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_mode_machine.row_count; i++) {
        struct bw_machine_row row = bw_mode_machine.rows[i];
        bool lowers = row.next != BW_MODE_ENDED && row.state != row.next &&
                      bw_mode_strength((enum bw_mode)row.next) < bw_mode_strength((enum bw_mode)row.state);
        if (!lowers || bw_mode_row_guard(&row)[0] == '\0')
            continue;
        row.effect = (int)bw_mode_row_effects(&row); /* guard 0: always */
        const char *found = violation_with(i, row);
        if (found == NULL)
            fail_msg("row %zu (%s, %s) without its condition breaks nothing", i,
                     bw_mode_name((enum bw_mode)row.state),
                     bw_mode_event_name((enum bw_mode_event)row.event));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_reachable_meeting_breaks_a_promise),
        cmocka_unit_test(a_lowering_that_forgets_to_announce_or_renew_is_found),
        cmocka_unit_test(a_lowering_whose_condition_is_dropped_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
