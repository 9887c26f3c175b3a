#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "check_alloc.h"
#include "e2ee/mode.h"

static const struct bw_mode_policy required = {.may_e2ee = true, .connectors_as_endpoints = true};
static const struct bw_mode_policy forbidden = {.may_hop = true};
static const struct bw_mode_policy preferred = {.may_e2ee = true,
                                                .may_hop = true,
                                                .prefers_e2ee = true,
                                                .connectors_as_endpoints = true,
                                                .lowering_with_consent = true,
                                                .mismatch = BW_MODE_MISMATCH_LABEL};
static const struct bw_mode_policy optional = {
    .may_e2ee = true, .may_hop = true, .lowering_with_consent = true, .mismatch = BW_MODE_MISMATCH_LABEL};

static void every_pair_has_exactly_one_answer(void **state)
{
    (void)state;
    const struct bw_machine *machine = &bw_mode_machine;
    for (int event = 0; event < BW_MODE_EVENT_COUNT; event++)
        assert_null(bw_machine_find(machine, BW_MODE_NONE, event));
    for (int mode = BW_MODE_E2EE; mode < BW_MODE_COUNT; mode++) {
        for (int event = 0; event < BW_MODE_EVENT_COUNT; event++) {
            const struct bw_machine_row *end = machine->rows + machine->row_count;
            const struct bw_machine_row *row = bw_machine_find(machine, mode, event);
            assert_non_null(row);
            /* Conditional rows, then one without condition; nothing behind it, nothing elsewhere. */
            while (bw_mode_row_guard(row)[0] != '\0') {
                row++;
                assert_true(row < end && row->state == mode && row->event == event);
            }
            for (row++; row < end; row++)
                assert_false(row->state == mode && row->event == event);
        }
    }
}

static void rows_say_what_they_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_mode_machine.row_count; i++) {
        const struct bw_machine_row *row = &bw_mode_machine.rows[i];
        uint32_t effects = bw_mode_row_effects(row);
        bool refuses = effects & BW_MODE_REFUSE;
        assert_int_equal(refuses, bw_mode_row_refusal(row)[0] != '\0');
        if (refuses) {
            assert_int_equal(effects, BW_MODE_REFUSE);
            assert_int_equal(row->next, row->state);
        }
        if (row->state == BW_MODE_ENDED)
            assert_int_equal(row->next, BW_MODE_ENDED);
        if (row->next == BW_MODE_ENDED && row->state != BW_MODE_ENDED)
            assert_true(effects & BW_MODE_STOP);
    }
}

static struct bw_mode_step must(const struct bw_mode_state *from, enum bw_mode_event event,
                                const struct bw_mode_policy *policy, struct bw_mode_counts counts,
                                uint32_t missing)
{
    struct bw_mode_input input = {.policy = policy, .counts = counts, .consents_missing = missing};
    struct bw_mode_step step;
    struct bw_error err;
    if (bw_mode_step(from, event, &input, &step, &err) != BW_OK)
        fail_msg("%s refused: %s", bw_mode_event_name(event), err.show);
    return step;
}

static void must_refuse(const struct bw_mode_state *from, enum bw_mode_event event,
                        const struct bw_mode_policy *policy, struct bw_mode_counts counts, const char *reason)
{
    struct bw_mode_input input = {.policy = policy, .counts = counts};
    struct bw_mode_step step = {.effects = 12345};
    struct bw_error err;
    assert_int_equal(bw_mode_step(from, event, &input, &step, &err), BW_FAILED_PRECONDITION);
    assert_string_equal(err.reason, reason);
    assert_int_equal(step.effects, 12345);
}

static struct bw_mode_state in_mode(enum bw_mode mode)
{
    return (struct bw_mode_state){.mode = mode, .epoch = 4};
}

static const struct bw_mode_counts nobody = {0}, connector = {.connectors = 1}, plain = {.plain = 1},
                                   incapable = {.incapable = 1, .plain = 1}, waiting = {.unobserved = 1};

static void a_connector_is_refused_in_e2ee_with_what_would_have_to_change(void **state)
{
    (void)state;
    struct bw_mode_state e2ee = in_mode(BW_MODE_E2EE);
    must_refuse(&e2ee, BW_MODE_INVITE_CONNECTOR, &optional, connector, "MODE_FORBIDS_CONNECTOR");
    must_refuse(&e2ee, BW_MODE_INVITE_CONNECTOR, &required, connector, "MODE_FORBIDS_CONNECTOR");
    struct bw_mode_input input = {.policy = &required, .counts = connector};
    struct bw_mode_step step;
    struct bw_error err;
    assert_int_equal(bw_mode_step(&e2ee, BW_MODE_INVITE_CONNECTOR, &input, &step, &err),
                     BW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.show, "connectorsAsEndpoints: true"));
}

static void a_connector_admitted_as_endpoint_is_announced_and_named_in_the_mode(void **state)
{
    (void)state;
    struct bw_mode_state e2ee = in_mode(BW_MODE_E2EE);
    struct bw_mode_step step = must(&e2ee, BW_MODE_INVITE_CONNECTOR, &preferred, connector, 0);
    assert_int_equal(step.state.mode, BW_MODE_E2EE_CONNECTORS);
    assert_int_equal(step.state.epoch, 5);
    assert_int_equal(step.effects, BW_MODE_ANNOUNCE | BW_MODE_NEW_EPOCH | BW_MODE_ADMIT);
    step = must(&step.state, BW_MODE_REMOVE_CONNECTOR, &preferred, nobody, 0);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    assert_int_equal(step.state.epoch, 6);
}

static void a_lowering_waits_for_every_consent(void **state)
{
    (void)state;
    struct bw_mode_state e2ee = in_mode(BW_MODE_E2EE);
    struct bw_mode_step step = must(&e2ee, BW_MODE_REQUEST_LOWER, &preferred, nobody, 2);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    assert_int_equal(step.state.epoch, 4);
    assert_int_equal(step.state.pending, BW_MODE_PENDING_LOWER);
    assert_int_equal(step.effects, BW_MODE_ANNOUNCE | BW_MODE_ASK_CONSENT);
    step = must(&step.state, BW_MODE_CONSENT, &preferred, nobody, 1);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    struct bw_mode_state pending = step.state;
    step = must(&pending, BW_MODE_CONSENT, &preferred, nobody, 0);
    assert_int_equal(step.state.mode, BW_MODE_HOP);
    assert_int_equal(step.state.epoch, 5);
    assert_int_equal(step.state.pending, BW_MODE_PENDING_NONE);
    /* A policy that has become strict meanwhile takes the pending lowering away. */
    step = must(&pending, BW_MODE_CONSENT, &required, nobody, 0);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    step = must(&pending, BW_MODE_POLICY_TIGHTENED, &required, nobody, 0);
    assert_int_equal(step.state.pending, BW_MODE_PENDING_NONE);
    must_refuse(&e2ee, BW_MODE_REQUEST_LOWER, &required, nobody, "MODE_NOT_LOWERED");
}

static void the_last_missing_consent_may_be_that_of_somebody_who_leaves(void **state)
{
    (void)state;
    struct bw_mode_state pending = in_mode(BW_MODE_E2EE);
    pending.pending = BW_MODE_PENDING_LOWER;
    struct bw_mode_input input = {.policy = &preferred, .consents_missing = 1};
    struct bw_mode_step step;
    assert_int_equal(bw_mode_leave(&pending, false, &input, &step, NULL), BW_OK);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    input.consents_missing = 0;
    assert_int_equal(bw_mode_leave(&pending, false, &input, &step, NULL), BW_OK);
    assert_int_equal(step.state.mode, BW_MODE_HOP);
    assert_int_equal(step.effects & BW_MODE_NEW_EPOCH, BW_MODE_NEW_EPOCH);
}

static void plain_media_is_labelled_or_removed_as_policy_says(void **state)
{
    (void)state;
    struct bw_mode_state e2ee = in_mode(BW_MODE_E2EE);
    struct bw_mode_step step = must(&e2ee, BW_MODE_OBSERVE_PLAIN, &preferred, plain, 0);
    assert_int_equal(step.state.mode, BW_MODE_PARTIAL);
    assert_int_equal(step.effects, BW_MODE_ANNOUNCE | BW_MODE_NEW_EPOCH);
    step = must(&e2ee, BW_MODE_OBSERVE_PLAIN, &required, plain, 0);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    assert_int_equal(step.effects, BW_MODE_EVICT_SUBJECT);
}

static void partial_ends_only_when_everybody_is_confirmed(void **state)
{
    (void)state;
    struct bw_mode_state partial = in_mode(BW_MODE_PARTIAL);
    assert_int_equal(must(&partial, BW_MODE_OBSERVE_E2EE, &preferred, plain, 0).state.mode, BW_MODE_PARTIAL);
    assert_int_equal(must(&partial, BW_MODE_OBSERVE_E2EE, &preferred, waiting, 0).state.mode,
                     BW_MODE_PARTIAL);
    assert_int_equal(must(&partial, BW_MODE_OBSERVE_E2EE, &preferred, nobody, 0).state.mode, BW_MODE_E2EE);
    assert_int_equal(must(&partial, BW_MODE_OBSERVE_E2EE, &preferred, connector, 0).state.mode,
                     BW_MODE_E2EE_CONNECTORS);
}

static void an_incapable_endpoint_enters_only_where_policy_has_no_preference(void **state)
{
    (void)state;
    struct bw_mode_state e2ee = in_mode(BW_MODE_E2EE);
    must_refuse(&e2ee, BW_MODE_JOIN_INCAPABLE, &required, incapable, "MODE_FORBIDS_PARTICIPANT");
    must_refuse(&e2ee, BW_MODE_JOIN_INCAPABLE, &preferred, incapable, "MODE_FORBIDS_PARTICIPANT");
    struct bw_mode_step step = must(&e2ee, BW_MODE_JOIN_INCAPABLE, &optional, incapable, 0);
    assert_int_equal(step.state.mode, BW_MODE_PARTIAL);
    assert_int_equal(step.effects, BW_MODE_ANNOUNCE | BW_MODE_NEW_EPOCH | BW_MODE_ADMIT);
}

static void raising_removes_connectors_first(void **state)
{
    (void)state;
    struct bw_mode_state hop = in_mode(BW_MODE_HOP);
    struct bw_mode_step step = must(&hop, BW_MODE_REQUEST_RAISE, &preferred, connector, 0);
    assert_int_equal(step.state.mode, BW_MODE_HOP);
    assert_int_equal(step.state.pending, BW_MODE_PENDING_RAISE);
    assert_int_equal(step.effects, BW_MODE_ANNOUNCE | BW_MODE_REMOVE_CONNECTORS | BW_MODE_BEGIN_RAISE);
    must_refuse(&step.state, BW_MODE_INVITE_CONNECTOR, &preferred, connector, "MODE_FORBIDS_CONNECTOR");
    must_refuse(&step.state, BW_MODE_JOIN_INCAPABLE, &preferred, incapable, "MODE_FORBIDS_PARTICIPANT");
    step = must(&step.state, BW_MODE_REMOVE_CONNECTOR, &preferred, nobody, 0);
    assert_int_equal(step.state.mode, BW_MODE_E2EE);
    assert_int_equal(step.state.epoch, 5);
    assert_int_equal(step.state.pending, BW_MODE_PENDING_NONE);
    must_refuse(&hop, BW_MODE_REQUEST_RAISE, &preferred, incapable, "MODE_NOT_RAISED");
    must_refuse(&hop, BW_MODE_REQUEST_RAISE, &forbidden, nobody, "MODE_NOT_RAISED");
}

static void a_policy_that_turns_strict_is_obeyed_by_live_meetings(void **state)
{
    (void)state;
    struct bw_mode_state hop = in_mode(BW_MODE_HOP), e2ee = in_mode(BW_MODE_E2EE);
    struct bw_mode_state connectors = in_mode(BW_MODE_E2EE_CONNECTORS);
    assert_int_equal(must(&hop, BW_MODE_POLICY_TIGHTENED, &required, nobody, 0).state.mode, BW_MODE_E2EE);
    struct bw_mode_step step = must(&hop, BW_MODE_POLICY_TIGHTENED, &required, incapable, 0);
    assert_int_equal(step.state.pending, BW_MODE_PENDING_RAISE);
    assert_true(step.effects & BW_MODE_EVICT_PLAIN);
    assert_int_equal(must(&step.state, BW_MODE_OBSERVE_E2EE, &required, nobody, 0).state.mode, BW_MODE_E2EE);
    assert_int_equal(must(&e2ee, BW_MODE_POLICY_TIGHTENED, &forbidden, nobody, 0).state.mode, BW_MODE_ENDED);
    step = must(&connectors, BW_MODE_POLICY_TIGHTENED, &required, connector, 0);
    assert_true(step.effects & BW_MODE_REMOVE_CONNECTORS);
    assert_int_equal(must(&step.state, BW_MODE_REMOVE_CONNECTOR, &required, nobody, 0).state.mode,
                     BW_MODE_E2EE);
}

static enum bw_mode created(const struct bw_mode_policy *policy, enum bw_mode_choice choice, bool recorder)
{
    struct bw_mode_state made = {0};
    struct bw_error err;
    if (bw_mode_create(policy, choice, recorder, &made, &err) != BW_OK) {
        assert_string_equal(err.reason, "MODE_NOT_ALLOWED");
        assert_int_equal(made.epoch, 0);
        return BW_MODE_NONE;
    }
    assert_int_equal(made.epoch, 1);
    return made.mode;
}

static void the_organiser_chooses_within_the_policy(void **state)
{
    (void)state;
    static const struct {
        const struct bw_mode_policy *policy;
        enum bw_mode by_default, wants_e2ee, wants_hop, with_recorder;
    } cases[] = {
        {&required, BW_MODE_E2EE, BW_MODE_E2EE, BW_MODE_NONE, BW_MODE_NONE},
        {&preferred, BW_MODE_E2EE, BW_MODE_E2EE, BW_MODE_HOP, BW_MODE_E2EE_CONNECTORS},
        {&optional, BW_MODE_HOP, BW_MODE_E2EE, BW_MODE_HOP, BW_MODE_HOP},
        {&forbidden, BW_MODE_HOP, BW_MODE_NONE, BW_MODE_HOP, BW_MODE_HOP},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        assert_int_equal(created(cases[i].policy, BW_MODE_CHOICE_NONE, false), cases[i].by_default);
        assert_int_equal(created(cases[i].policy, BW_MODE_CHOICE_E2EE, false), cases[i].wants_e2ee);
        assert_int_equal(created(cases[i].policy, BW_MODE_CHOICE_HOP, false), cases[i].wants_hop);
        assert_int_equal(created(cases[i].policy, BW_MODE_CHOICE_NONE, true), cases[i].with_recorder);
    }
    struct bw_mode_policy strict = preferred;
    strict.connectors_as_endpoints = false;
    assert_int_equal(created(&strict, BW_MODE_CHOICE_NONE, true), BW_MODE_HOP);
    assert_int_equal(created(&strict, BW_MODE_CHOICE_E2EE, true), BW_MODE_NONE);
}

static bool describe(void *context)
{
    (void)context;
    struct bw_buf page = {0};
    bw_mode_describe(&page);
    bool ok = !page.failed;
    bw_buf_finish(&page);
    return ok;
}

static void the_reference_page_is_the_table(void **state)
{
    (void)state;
    const char *path = BW_SOURCE_DIR "/docs/reference/e2ee-modes.md";
    struct bw_buf page = {0};
    bw_mode_describe(&page);
    if (getenv("BW_WRITE_REFERENCE") != NULL) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(page.data, 1, page.len, out), page.len);
        fclose(out);
    }
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    char *text = calloc(1, page.len + 2);
    size_t len = fread(text, 1, page.len + 1, in);
    fclose(in);
    if (len != page.len || memcmp(text, page.data, len) != 0)
        fail_msg("%s differs from the table; run this test with BW_WRITE_REFERENCE=1", path);
    free(text);
    bw_buf_finish(&page);
    assert_true(bw_fail_each_allocation(describe, NULL, true) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_has_exactly_one_answer),
        cmocka_unit_test(rows_say_what_they_do),
        cmocka_unit_test(a_connector_is_refused_in_e2ee_with_what_would_have_to_change),
        cmocka_unit_test(a_connector_admitted_as_endpoint_is_announced_and_named_in_the_mode),
        cmocka_unit_test(a_lowering_waits_for_every_consent),
        cmocka_unit_test(the_last_missing_consent_may_be_that_of_somebody_who_leaves),
        cmocka_unit_test(plain_media_is_labelled_or_removed_as_policy_says),
        cmocka_unit_test(partial_ends_only_when_everybody_is_confirmed),
        cmocka_unit_test(an_incapable_endpoint_enters_only_where_policy_has_no_preference),
        cmocka_unit_test(raising_removes_connectors_first),
        cmocka_unit_test(a_policy_that_turns_strict_is_obeyed_by_live_meetings),
        cmocka_unit_test(the_organiser_chooses_within_the_policy),
        cmocka_unit_test(the_reference_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
