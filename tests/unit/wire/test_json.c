/* The JSON that people and scripts read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "bailiwick/v1/relay.pb-c.h"
#include "base/check.h"
#include "wire/wire.h"

static void prints(const ProtobufCMessage *message, const char *expected)
{
    struct bw_buf json = {0};
    bw_wire_to_json(message, &json);
    assert_string_equal(bw_buf_cstr(&json), expected);
    bw_buf_finish(&json);
}

static void an_explanation_reads_as_the_command_line_prints_it(void **state)
{
    (void)state;
    Bailiwick__V1__Explanation__AssignmentsEntry entry = BAILIWICK__V1__EXPLANATION__ASSIGNMENTS_ENTRY__INIT;
    Bailiwick__V1__Explanation__AssignmentsEntry *assignments[] = {&entry};
    Bailiwick__V1__Explanation__ParticipantFlags allocated =
        BAILIWICK__V1__EXPLANATION__PARTICIPANT_FLAGS__INIT;
    Bailiwick__V1__Explanation__FlagsEntry flag = BAILIWICK__V1__EXPLANATION__FLAGS_ENTRY__INIT;
    Bailiwick__V1__Explanation__FlagsEntry *flags[] = {&flag};
    Bailiwick__V1__RelayReasons reasons = BAILIWICK__V1__RELAY_REASONS__INIT;
    Bailiwick__V1__RelayReasons *rejected[] = {&reasons};
    Bailiwick__V1__Reason codes[] = {BAILIWICK__V1__REASON__OPERATOR_JURISDICTION};
    const char *clauses[] = {"policy.yaml:17:26"};
    Bailiwick__V1__PlacementScore score = BAILIWICK__V1__PLACEMENT_SCORE__INIT;
    Bailiwick__V1__Explanation__Policy policy = BAILIWICK__V1__EXPLANATION__POLICY__INIT;
    Bailiwick__V1__Explanation explanation = BAILIWICK__V1__EXPLANATION__INIT;
    entry.key = "p1";
    entry.value = "par1";
    allocated.allocated = "sframe-mls";
    flag.key = "p1";
    flag.value = &allocated;
    reasons.relay = "ash1";
    reasons.n_reasons = 1;
    reasons.reasons = codes;
    reasons.n_clauses = 1;
    reasons.clauses = clauses;
    score.pair_us = 10000;
    score.total_us = 15500;
    policy.hash = "sha256:ab";
    explanation.decision = "placed";
    explanation.n_assignments = 1;
    explanation.assignments = assignments;
    explanation.n_flags = 1;
    explanation.flags = flags;
    explanation.n_rejected = 1;
    explanation.rejected = rejected;
    explanation.mode = "e2ee";
    explanation.score = &score;
    explanation.policy = &policy;
    Bailiwick__V1__Explanation__Retention retention = BAILIWICK__V1__EXPLANATION__RETENTION__INIT;
    retention.quality = "30d";
    retention.participants = "30d";
    explanation.retention = &retention;
    prints(&explanation.base,
           "{\"decision\":\"placed\",\"assignments\":{\"p1\":\"par1\"},\"legs\":[],\"refused\":[],"
           "\"rejected\":[{\"relay\":\"ash1\",\"reasons\":[\"OPERATOR_JURISDICTION\"],"
           "\"clauses\":[\"policy.yaml:17:26\"]}],\"mode\":\"e2ee\","
           "\"flags\":{\"p1\":{\"allocated\":\"sframe-mls\"}},"
           "\"score\":{\"pair_us\":10000,\"access_us\":0,\"load_us\":0,\"spread_us\":0,\"move_us\":0,"
           "\"total_us\":15500},\"policy\":{\"revision\":0,\"hash\":\"sha256:ab\"},"
           "\"retention\":{\"quality\":\"30d\",\"participants\":\"30d\",\"decisions\":\"\"},"
           "\"exceptions\":[],\"missingConnectors\":[]}");
}

static void numbers_bytes_and_enums_follow_proto3(void **state)
{
    (void)state;
    Bailiwick__V1__GrantKey key = BAILIWICK__V1__GRANT_KEY__INIT;
    uint8_t bytes[] = {0xfb, 0xff, 0xfe, 0x00};
    static const char *const padded[] = {"", "+w==", "+/8=", "+//+", "+//+AA=="};
    for (size_t n = 0; n < BW_ARRAY_LEN(padded); n++) {
        char expected[200];
        key.key_id = (ProtobufCBinaryData){.len = n, .data = bytes};
        key.not_before_unix_ms = INT64_C(9007199254740993);
        snprintf(expected, sizeof expected,
                 "{\"keyId\":\"%s\",\"publicKey\":\"\",\"notBeforeUnixMs\":\"9007199254740993\","
                 "\"notAfterUnixMs\":\"0\"}",
                 padded[n]);
        prints(&key.base, expected);
    }
    Bailiwick__V1__ObservedE2ee observed = BAILIWICK__V1__OBSERVED_E2EE__INIT;
    observed.state = BAILIWICK__V1__OBSERVED_E2EE__STATE__STATE_PLAIN;
    observed.scheme = (Bailiwick__V1__E2eeScheme)77; /* a newer server's */
    observed.confirmed = true;
    prints(&observed.base, "{\"state\":\"STATE_PLAIN\",\"scheme\":77,\"confirmed\":true}");
}

static void strings_are_escaped(void **state)
{
    (void)state;
    Bailiwick__V1__Bye bye = BAILIWICK__V1__BYE__INIT;
    bye.reason = "a\"b\\c\n\t\x01\x7f é \xff\xed\xa0\x80z\xc3";
    prints(&bye.base,
           "{\"reason\":\"a\\\"b\\\\c\\n\\t\\u0001\\u007f é \\ufffd\\ufffd\\ufffd\\ufffdz\\ufffd\","
           "\"backInMs\":0}");
    bye.reason = NULL;
    prints(&bye.base, "{\"reason\":\"\",\"backInMs\":0}");
}

static void a_map_key_that_comes_twice_has_its_last_value(void **state)
{
    (void)state;
    Bailiwick__V1__Explanation__AssignmentsEntry e[3] = {BAILIWICK__V1__EXPLANATION__ASSIGNMENTS_ENTRY__INIT,
                                                         BAILIWICK__V1__EXPLANATION__ASSIGNMENTS_ENTRY__INIT,
                                                         BAILIWICK__V1__EXPLANATION__ASSIGNMENTS_ENTRY__INIT};
    Bailiwick__V1__Explanation__AssignmentsEntry *assignments[] = {&e[0], &e[1], &e[2]};
    Bailiwick__V1__Explanation explanation = BAILIWICK__V1__EXPLANATION__INIT;
    e[0].key = e[2].key = "p1";
    e[1].key = "p2";
    e[0].value = "par1";
    e[1].value = "fra1";
    e[2].value = "lys1";
    explanation.n_assignments = 3;
    explanation.assignments = assignments;
    prints(&explanation.base,
           "{\"decision\":\"\",\"assignments\":{\"p2\":\"fra1\",\"p1\":\"lys1\"},\"legs\":[],\"refused\":[],"
           "\"rejected\":[],\"mode\":\"\",\"flags\":{},"
           "\"exceptions\":[],\"missingConnectors\":[]}");
}

static void only_the_set_member_of_a_oneof_is_printed(void **state)
{
    (void)state;
    Bailiwick__V1__Bookmark bookmark = BAILIWICK__V1__BOOKMARK__INIT;
    Bailiwick__V1__ControlMessage message = BAILIWICK__V1__CONTROL_MESSAGE__INIT;
    prints(&message.base, "{\"sessionEpoch\":\"0\"}");
    bookmark.group = 7;
    message.body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_BOOKMARK;
    message.bookmark = &bookmark;
    prints(&message.base, "{\"sessionEpoch\":\"0\",\"bookmark\":{\"group\":\"7\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_explanation_reads_as_the_command_line_prints_it),
        cmocka_unit_test(numbers_bytes_and_enums_follow_proto3),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(a_map_key_that_comes_twice_has_its_last_value),
        cmocka_unit_test(only_the_set_member_of_a_oneof_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
