/* What relays and endpoints measured, up to the port that takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/relay.pb-c.h"
#include "base/check.h"
#include "rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    assert_true(bw_headless_publish(&rig.world, "chu-lyon", 1, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_finish(&rig);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- relays ---- */

static uint8_t meeting_bytes[16] = {1, 2, 3};

static void begin(Bailiwick__V1__RelayQualitySample *sample, uint32_t slot)
{
    bailiwick__v1__relay_quality_sample__init(sample);
    sample->meeting = (ProtobufCBinaryData){.len = sizeof meeting_bytes, .data = meeting_bytes};
    sample->slot = slot;
    sample->window_start_unix_ms = 1700000000000;
    sample->window_ms = 10000;
    sample->packets_received = 480;
    sample->packets_lost = 20;
    sample->bytes_received = 50000;
    sample->jitter_us = 1234;
}

struct outcome {
    enum bw_code code;
    uint64_t taken, refused, retry_ms;
    bool over;
};

static void message(struct bw_grpc_client_call *call, struct bw_view bytes, void *context)
{
    struct outcome *outcome = context;
    const ProtobufCMessage *decoded = NULL;
    (void)call;
    assert_int_equal(
        bw_wire_decode(&bailiwick__v1__report_quality_response__descriptor, bytes, rig.arena, &decoded, NULL),
        BW_OK);
    const Bailiwick__V1__ReportQualityResponse *response =
        (const Bailiwick__V1__ReportQualityResponse *)decoded;
    outcome->taken = response->samples_taken;
    outcome->refused = response->samples_refused;
}

static void finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *result, void *context)
{
    struct outcome *outcome = context;
    (void)call;
    outcome->code = result->code;
    outcome->retry_ms = result->details != NULL ? result->details->retry_after_ms : 0;
    outcome->over = true;
    if (result->code != BW_OK)
        snprintf(rig.message, sizeof rig.message, "%s", result->message);
    bw_loop_stop(rig.loop);
}

/* `times` messages with these samples. */
static struct outcome report(enum rig_role role, Bailiwick__V1__RelayQualitySample *samples, size_t count,
                             unsigned times)
{
    static const struct bw_grpc_client_events events = {.message = message, .finished = finished};
    struct outcome outcome = {.code = BW_UNKNOWN};
    struct bw_error err;
    Bailiwick__V1__RelayQualitySample *list[300];
    for (size_t i = 0; i < count; i++)
        list[i] = &samples[i];
    Bailiwick__V1__ReportQualityRequest request = BAILIWICK__V1__REPORT_QUALITY_REQUEST__INIT;
    request.n_samples = count;
    request.samples = list;
    struct bw_buf bytes = {0};
    assert_int_equal(bw_wire_encode(&request.base, &bytes), BW_OK);
    struct bw_grpc_client_call *call =
        bw_grpc_client_call(rig.as[role].client, "/bailiwick.v1.RelayService/ReportQuality", 10000, NULL, 0,
                            &events, &outcome, &err);
    assert_non_null(call);
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(bw_grpc_client_send(call, bw_buf_view(&bytes)), BW_OK);
    bw_grpc_client_half_close(call);
    bw_buf_finish(&bytes);
    while (!outcome.over)
        bw_loop_run(rig.loop);
    return outcome;
}

static void a_relays_samples_go_on_with_its_number(void **state)
{
    (void)state;
    Bailiwick__V1__RelayQualitySample samples[2];
    begin(&samples[0], 4);
    begin(&samples[1], 5);
    samples[1].round_trip_time_us = 30000;
    samples[1].peer_number = 2;
    struct outcome outcome = report(RIG_RELAY, samples, 2, 3);
    assert_int_equal(outcome.code, BW_OK);
    assert_int_equal(outcome.taken, 6);
    assert_int_equal(outcome.refused, 0);
    assert_int_equal(rig.batches, 3);
    assert_int_equal(rig.source, BW_QUALITY_FROM_RELAY);
    assert_int_equal(rig.relay, 1); /* of its certificate, and of nothing it says */
    assert_int_equal(rig.window_count, 2);
    const struct bw_api_window *window = &rig.windows[0];
    assert_memory_equal(window->meeting.bytes, meeting_bytes, sizeof meeting_bytes);
    assert_int_equal(window->slot, 4);
    assert_int_equal(window->stream, 0);
    assert_int_equal(window->window.values[BW_QUALITY_PACKETS_LOST], 20);
    assert_int_equal(window->window.values[BW_QUALITY_JITTER], 1234);
    assert_false(bw_quality_has(&window->window, BW_QUALITY_ROUND_TRIP_TIME)); /* 0 is not measured */
    assert_int_equal(rig.windows[1].stream, 2);
    assert_int_equal(rig.windows[1].window.values[BW_QUALITY_ROUND_TRIP_TIME], 30000);
    assert_int_equal(report(RIG_RELAY, NULL, 0, 0).code, BW_OK); /* nothing to say */
}

static void impossible_samples_of_a_relay_are_counted_and_skipped(void **state)
{
    (void)state;
    Bailiwick__V1__RelayQualitySample samples[5];
    for (uint32_t i = 0; i < 5; i++)
        begin(&samples[i], i + 1);
    samples[0].window_ms = 1;                 /* no window */
    samples[1].packets_received = UINT64_MAX; /* no number of ours */
    samples[2].packets_lost = 90000000;       /* more than fit */
    samples[3].packets_received = 0;          /* bytes without packets */
    struct outcome outcome = report(RIG_RELAY, samples, 5, 1);
    if (outcome.code != BW_OK)
        fail_msg("%s", rig.message);
    assert_int_equal(outcome.taken, 1);
    assert_int_equal(outcome.refused, 4);
    assert_int_equal(rig.window_count, 1);
    assert_int_equal(rig.windows[0].slot, 5);
}

static void who_is_no_relay_reports_nothing(void **state)
{
    (void)state;
    Bailiwick__V1__RelayQualitySample sample;
    begin(&sample, 1);
    assert_int_equal(report(RIG_APP, &sample, 1, 1).code, BW_PERMISSION_DENIED);
    assert_int_equal(report(RIG_NOBODY, &sample, 1, 1).code, BW_UNAUTHENTICATED);
    assert_int_equal(rig.batches, 0);
    rig.world.relays[0].absent = true; /* removed, and its certificate still good */
    assert_true(bw_headless_publish_fleet(&rig.world));
    rig_run_ms(&rig, 20);
    assert_int_equal(report(RIG_RELAY, &sample, 1, 1).code, BW_UNAVAILABLE);
    assert_int_equal(rig.batches, 0);
}

static void too_much_at_a_time_is_asked_for_again(void **state)
{
    (void)state;
    Bailiwick__V1__RelayQualitySample sample;
    begin(&sample, 1);
    rig.overloaded = true;
    struct outcome outcome = report(RIG_RELAY, &sample, 1, 1);
    assert_int_equal(outcome.code, BW_RESOURCE_EXHAUSTED);
    assert_int_equal(outcome.retry_ms, 1000);
}

static void a_message_that_breaks_the_rules_ends_the_call(void **state)
{
    (void)state;
    Bailiwick__V1__RelayQualitySample sample;
    begin(&sample, 1);
    sample.meeting.len = 15;
    assert_int_equal(report(RIG_RELAY, &sample, 1, 1).code, BW_INVALID_ARGUMENT);
    begin(&sample, 0);
    assert_int_equal(report(RIG_RELAY, &sample, 1, 1).code, BW_INVALID_ARGUMENT);
    assert_int_equal(rig.batches, 0);
}

/* ---- endpoints ---- */

#define CALL(role, service, method, lower, request)                                                          \
    rig_call(&rig, role, #service "/" #method, request, &bailiwick__v1__##lower##_response__descriptor)

static const char *create(void)
{
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "dr.x@chu-lyon.example";
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *response =
        CALL(RIG_APP, MeetingService, CreateMeeting, create_meeting, &request);
    if (response == NULL)
        fail_msg("%s", rig.message);
    return response->meeting->meeting_id;
}

static const Bailiwick__V1__Admission *join(const char *meeting)
{
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = "FR";
    static Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS};
    request.capable = schemes;
    request.n_capable = 1;
    const Bailiwick__V1__JoinMeetingResponse *response =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    if (response == NULL)
        fail_msg("%s", rig.message);
    return response->admission;
}

static Bailiwick__V1__ClientQualitySample *good(void)
{
    Bailiwick__V1__ClientQualitySample *sample = bw_arena_zalloc(rig.arena, 1, sizeof *sample);
    bailiwick__v1__client_quality_sample__init(sample);
    sample->window_start_unix_ms = 1700000000000;
    sample->window_ms = 10000;
    sample->stream = 3;
    sample->media = BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__MEDIA__MEDIA_CAMERA;
    sample->packets_received_given_case =
        BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__PACKETS_RECEIVED_GIVEN_PACKETS_RECEIVED;
    sample->packets_received = 900;
    sample->freeze_count_given_case = BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__FREEZE_COUNT_GIVEN_FREEZE_COUNT;
    sample->freeze_count = 0; /* none, which is not the same as not said */
    sample->candidate_type = BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__CANDIDATE_TYPE__CANDIDATE_TYPE_HOST;
    return sample;
}

static const Bailiwick__V1__ReportClientStateResponse *say(const char *meeting, const char *entry,
                                                           Bailiwick__V1__ClientQualitySample **samples,
                                                           size_t count,
                                                           Bailiwick__V1__ReportClientStateRequest__Path path)
{
    Bailiwick__V1__ReportClientStateRequest request = BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.roster_entry = entry;
    request.quality = samples;
    request.n_quality = count;
    request.path = path;
    return CALL(RIG_APP, MeetingService, ReportClientState, report_client_state, &request);
}

#define NO_PATH BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__PATH__PATH_UNSPECIFIED

static void what_an_endpoint_says_goes_on_under_its_slot(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *admission = join(meeting);
    Bailiwick__V1__ClientQualitySample *samples[] = {good(), good()};
    samples[1]->window_start_unix_ms += 10000;
    samples[1]->muted = 1;
    const Bailiwick__V1__ReportClientStateResponse *response =
        say(meeting, admission->roster_entry, samples, 2,
            BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__PATH__PATH_FAILED);
    assert_non_null(response);
    assert_int_equal(response->quality_taken, 2); /* the path is none of them */
    assert_int_equal(response->quality_dropped, 0);
    assert_int_equal(response->mode_epoch, 1);
    assert_non_null(response->flags);
    assert_int_equal(rig.source, BW_QUALITY_FROM_CLIENT);
    assert_int_equal(rig.relay, admission->relay_number);
    assert_int_equal(rig.window_tenant.bytes[0], 1);
    assert_int_equal(rig.window_count, 3);
    const struct bw_api_window *window = rig.windows;
    char text[BW_ID_TEXT_SIZE];
    bw_id_format(&window->meeting, text);
    assert_string_equal(text, meeting);
    assert_int_equal(window[0].slot, admission->slot);
    assert_int_equal(window[0].stream, 3);
    assert_int_equal(window[0].media, BW_QUALITY_MEDIA_CAMERA);
    assert_int_equal(window[0].window.present, 1u << BW_QUALITY_PACKETS_RECEIVED |
                                                   1u << BW_QUALITY_FREEZE_COUNT |
                                                   1u << BW_QUALITY_CANDIDATE_TYPE);
    assert_int_equal(window[0].window.values[BW_QUALITY_PACKETS_RECEIVED], 900);
    assert_int_equal(window[0].window.values[BW_QUALITY_CANDIDATE_TYPE], BW_QUALITY_CANDIDATE_HOST);
    assert_int_equal(window[1].window.state, BW_QUALITY_MUTED);
    assert_int_equal(window[2].stream, BW_API_PATH_STREAM);
    assert_int_equal(window[2].window.state, BW_QUALITY_ICE_FAILED);
    /* Overloaded: said, and no failure of the call. */
    rig.overloaded = true;
    response = say(meeting, admission->roster_entry, samples, 1, NO_PATH);
    assert_non_null(response);
    assert_int_equal(response->quality_taken, 0);
    assert_int_equal(response->quality_dropped, 1);
}

static void an_impossible_value_is_refused_by_the_name_of_its_field(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *admission = join(meeting);
    Bailiwick__V1__ClientQualitySample *samples[] = {good(), good()};
    samples[1]->total_freezes_duration_ms_given_case =
        BAILIWICK__V1__CLIENT_QUALITY_SAMPLE__TOTAL_FREEZES_DURATION_MS_GIVEN_TOTAL_FREEZES_DURATION_MS;
    samples[1]->total_freezes_duration_ms = 12000; /* of ten seconds */
    assert_null(say(meeting, admission->roster_entry, samples, 2, NO_PATH));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_int_equal(rig.details.violation_count, 1);
    assert_string_equal(rig.details.violations[0].field, "quality[1].total_freezes_duration_ms");
    /* A bound of the message itself. */
    samples[1] = good();
    samples[1]->window_ms = 999;
    assert_null(say(meeting, admission->roster_entry, samples, 2, NO_PATH));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_non_null(strstr(rig.message, "window_ms"));
    assert_int_equal(rig.batches, 0); /* not even the first one */
}

static void nobody_elses_meeting_or_entry_is_spoken_for(void **state)
{
    (void)state;
    const char *meeting = create();
    (void)join(meeting);
    Bailiwick__V1__ClientQualitySample *samples[] = {good()};
    assert_null(say(meeting, rig_uuid(&rig), samples, 1, NO_PATH));
    assert_int_equal(rig.code, BW_NOT_FOUND);
    assert_null(say(rig_uuid(&rig), rig_uuid(&rig), samples, 1, NO_PATH));
    assert_int_equal(rig.code, BW_NOT_FOUND);
    assert_int_equal(rig.batches, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_relays_samples_go_on_with_its_number),
        TEST(impossible_samples_of_a_relay_are_counted_and_skipped),
        TEST(who_is_no_relay_reports_nothing),
        TEST(too_much_at_a_time_is_asked_for_again),
        TEST(a_message_that_breaks_the_rules_ends_the_call),
        TEST(what_an_endpoint_says_goes_on_under_its_slot),
        TEST(an_impossible_value_is_refused_by_the_name_of_its_field),
        TEST(nobody_elses_meeting_or_entry_is_spoken_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
