#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "e2ee/flags.h"

static const struct bw_mode_state in_e2ee = {.mode = BW_MODE_E2EE, .epoch = 3},
                                  in_connectors = {.mode = BW_MODE_E2EE_CONNECTORS, .epoch = 3},
                                  in_hop = {.mode = BW_MODE_HOP, .epoch = 3},
                                  in_partial = {.mode = BW_MODE_PARTIAL, .epoch = 3};

static void names_are_spelled_as_policies_and_the_wire_spell_them(void **state)
{
    (void)state;
    for (int i = 1; i < BW_SCHEME_COUNT; i++)
        assert_int_equal(bw_scheme_parse(bw_view_str(bw_scheme_name((enum bw_scheme)i))), i);
    for (int i = 1; i < BW_SUITE_COUNT; i++)
        assert_int_equal(bw_suite_parse(bw_view_str(bw_suite_name((enum bw_suite)i))), i);
    for (int i = 1; i < BW_ENDPOINT_COUNT; i++)
        assert_int_equal(bw_endpoint_parse(bw_view_str(bw_endpoint_name((enum bw_endpoint)i))), i);
    assert_int_equal(bw_suite_parse(bw_view_str("AES_256_GCM_SHA512_128")), 5);
    assert_int_equal(bw_suite_parse(bw_view_str("NONE")), BW_SUITE_NONE);
    assert_int_equal(bw_scheme_parse(bw_view_str("sframe-ml")), BW_SCHEME_NONE);
    assert_int_equal(bw_endpoint_parse(bw_view_str("")), BW_ENDPOINT_NONE);
    assert_string_equal(bw_scheme_name((enum bw_scheme)99), "none");
}

static void an_endpoint_can_do_what_its_kind_can_and_it_declares(void **state)
{
    (void)state;
    uint32_t all = BW_SCHEMES_ALL, none = 0, sframe = BW_SCHEME_BIT(SFRAME);
    assert_int_equal(bw_endpoint_schemes(BW_ENDPOINT_WEB, &all), BW_SCHEMES_ALL);
    assert_int_equal(bw_endpoint_schemes(BW_ENDPOINT_NATIVE, &all),
                     BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME));
    assert_int_equal(bw_endpoint_schemes(BW_ENDPOINT_NATIVE, NULL),
                     BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME));
    assert_int_equal(bw_endpoint_schemes(BW_ENDPOINT_MOBILE, &sframe), BW_SCHEME_BIT(SFRAME));
    assert_int_equal(bw_endpoint_schemes(BW_ENDPOINT_WEB, &none), 0); /* an old client */
    for (int kind = BW_ENDPOINT_PSTN; kind < BW_ENDPOINT_COUNT; kind++) {
        assert_int_equal(bw_endpoint_schemes((enum bw_endpoint)kind, &all), 0);
        assert_true(bw_endpoint_is_connector((enum bw_endpoint)kind));
    }
    assert_false(bw_endpoint_is_connector(BW_ENDPOINT_ROOM));
    assert_int_equal(bw_scheme_best(BW_SCHEME_BIT(SFRAME) | BW_SCHEME_BIT(INSERTABLE_STREAMS)),
                     BW_SCHEME_SFRAME);
    assert_int_equal(bw_scheme_best(0), BW_SCHEME_NONE);
}

static void the_first_allocation_settles_the_scheme_for_all(void **state)
{
    (void)state;
    struct bw_flags_meeting meeting = {0};
    struct bw_flags first, second;
    struct bw_error err;
    enum bw_suite suites[] = {BW_SUITE_AES_128_GCM_SHA256_128, BW_SUITE_AES_256_GCM_SHA512_128};
    assert_int_equal(bw_flags_allocate(&in_e2ee, BW_ENDPOINT_NATIVE, false, BW_SCHEME_BIT(SFRAME),
                                       bw_suite_choose(suites, 2), &meeting, &first, NULL),
                     BW_OK);
    assert_int_equal(first.allocated.scheme, BW_SCHEME_SFRAME);
    assert_int_equal(first.allocated.suite, BW_SUITE_AES_128_GCM_SHA256_128);
    assert_int_equal(first.allocated.epoch, 3);
    assert_int_equal(bw_flags_allocate(&in_e2ee, BW_ENDPOINT_WEB, false, BW_SCHEMES_ALL,
                                       bw_suite_choose(NULL, 0), &meeting, &second, NULL),
                     BW_OK);
    assert_int_equal(second.allocated.scheme, BW_SCHEME_SFRAME);
    assert_int_equal(second.allocated.suite, BW_SUITE_AES_128_GCM_SHA256_128);
    assert_int_equal(bw_flags_allocate(&in_e2ee, BW_ENDPOINT_WEB, false, BW_SCHEME_BIT(INSERTABLE_STREAMS),
                                       BW_SUITE_NONE, &meeting, &second, &err),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "MODE_FORBIDS_PARTICIPANT");
    assert_non_null(strstr(err.show, "sframe"));
}

static void those_who_cannot_are_refused_where_all_must(void **state)
{
    (void)state;
    struct bw_flags_meeting meeting = {0};
    struct bw_flags flags;
    struct bw_error err;
    assert_int_equal(bw_flags_allocate(&in_e2ee, BW_ENDPOINT_WEB, false, 0, BW_SUITE_AES_128_GCM_SHA256_128,
                                       &meeting, &flags, &err),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "MODE_FORBIDS_PARTICIPANT");
    assert_int_equal(meeting.scheme, BW_SCHEME_NONE);
    assert_int_equal(bw_flags_allocate(&in_e2ee, BW_ENDPOINT_RECORDING, true, 0,
                                       BW_SUITE_AES_128_GCM_SHA256_128, &meeting, &flags, &err),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "MODE_FORBIDS_CONNECTOR");
    assert_int_equal(bw_flags_allocate(&in_partial, BW_ENDPOINT_WEB, false, 0,
                                       BW_SUITE_AES_128_GCM_SHA256_128, &meeting, &flags, NULL),
                     BW_OK);
    assert_int_equal(flags.allocated.scheme, BW_SCHEME_NONE);
    assert_int_equal(bw_flags_mismatch(&in_partial, &flags), BW_MISMATCH_INCAPABLE);
    assert_int_equal(
        bw_flags_allocate(&in_hop, BW_ENDPOINT_PSTN, true, 0, BW_SUITE_NONE, &meeting, &flags, NULL), BW_OK);
    assert_int_equal(flags.allocated.scheme, BW_SCHEME_NONE);
}

static struct bw_flags allocated_in(const struct bw_mode_state *mode, bool connector)
{
    struct bw_flags_meeting meeting = {.scheme = BW_SCHEME_SFRAME_MLS,
                                       .suite = BW_SUITE_AES_256_GCM_SHA512_128};
    struct bw_flags flags;
    assert_int_equal(bw_flags_allocate(mode, connector ? BW_ENDPOINT_RECORDING : BW_ENDPOINT_NATIVE,
                                       connector, BW_SCHEMES_ALL, BW_SUITE_AES_256_GCM_SHA512_128, &meeting,
                                       &flags, NULL),
                     BW_OK);
    return flags;
}

static void a_mismatch_says_how_a_participant_falls_short(void **state)
{
    (void)state;
    struct bw_flags flags = allocated_in(&in_e2ee, false);
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &flags), BW_MISMATCH_UNOBSERVED);
    flags.observed = (struct bw_flags_observed){BW_OBSERVED_E2EE, BW_SCHEME_SFRAME_MLS, 3, false};
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &flags),
                     BW_MISMATCH_UNOBSERVED); /* its relay has not agreed */
    flags.observed.confirmed = true;
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &flags), BW_MISMATCH_NONE);
    flags.observed.epoch = 2;
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &flags), BW_MISMATCH_UNOBSERVED);
    flags.observed.epoch = 3;
    flags.observed.scheme = BW_SCHEME_SFRAME;
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &flags), BW_MISMATCH_SCHEME);
    flags.observed.state = BW_OBSERVED_PLAIN;
    flags.observed.epoch = 1; /* plain stays plain until somebody confirms better */
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &flags), BW_MISMATCH_PLAIN);
    assert_int_equal(bw_flags_mismatch(&in_hop, &flags), BW_MISMATCH_NONE);
    struct bw_flags recorder = allocated_in(&in_connectors, true);
    assert_int_equal(bw_flags_mismatch(&in_e2ee, &recorder), BW_MISMATCH_CONNECTOR);
    for (int i = 0; i < BW_MISMATCH_COUNT; i++)
        assert_true(strlen(bw_mismatch_text((enum bw_mismatch)i)) > 0);
}

static enum bw_mode label_of(const struct bw_mode_state *mode, const struct bw_flags *roster, size_t count)
{
    struct bw_mode_counts counts = {0}, zero = {0};
    for (size_t i = 0; i < count; i++)
        bw_flags_count_in(mode, &roster[i], &counts);
    enum bw_mode label = bw_flags_label(mode, &counts);
    for (size_t i = 0; i < count; i++)
        bw_flags_count_out(mode, &roster[i], &counts);
    assert_memory_equal(&counts, &zero, sizeof zero);
    return label;
}

static void the_label_never_claims_more_than_is_confirmed(void **state)
{
    (void)state;
    struct bw_flags confirmed = allocated_in(&in_e2ee, false), waiting = confirmed, plain = confirmed;
    confirmed.observed = (struct bw_flags_observed){BW_OBSERVED_E2EE, BW_SCHEME_SFRAME_MLS, 3, true};
    plain.observed.state = BW_OBSERVED_PLAIN;
    struct bw_flags recorder = allocated_in(&in_connectors, true), silent_recorder = recorder;
    recorder.observed = confirmed.observed;
    assert_int_equal(label_of(&in_e2ee, &confirmed, 1), BW_MODE_E2EE);
    assert_int_equal(label_of(&in_e2ee, (struct bw_flags[]){confirmed, waiting}, 2), BW_MODE_PARTIAL);
    assert_int_equal(label_of(&in_e2ee, (struct bw_flags[]){confirmed, plain}, 2), BW_MODE_PARTIAL);
    assert_int_equal(label_of(&in_e2ee, (struct bw_flags[]){confirmed, recorder}, 2), BW_MODE_PARTIAL);
    assert_int_equal(label_of(&in_connectors, (struct bw_flags[]){confirmed, recorder}, 2),
                     BW_MODE_E2EE_CONNECTORS);
    assert_int_equal(label_of(&in_connectors, (struct bw_flags[]){confirmed, silent_recorder}, 2),
                     BW_MODE_PARTIAL);
    assert_int_equal(label_of(&in_hop, &confirmed, 1), BW_MODE_HOP);
    assert_int_equal(label_of(&in_partial, &confirmed, 1), BW_MODE_PARTIAL);
    assert_int_equal(label_of(&(struct bw_mode_state){.mode = BW_MODE_ENDED}, &confirmed, 1), BW_MODE_ENDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_spelled_as_policies_and_the_wire_spell_them),
        cmocka_unit_test(an_endpoint_can_do_what_its_kind_can_and_it_declares),
        cmocka_unit_test(the_first_allocation_settles_the_scheme_for_all),
        cmocka_unit_test(those_who_cannot_are_refused_where_all_must),
        cmocka_unit_test(a_mismatch_says_how_a_participant_falls_short),
        cmocka_unit_test(the_label_never_claims_more_than_is_confirmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
