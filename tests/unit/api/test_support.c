/* SupportService: searches, timelines, curves and figures, over a real owner's log and rows that the test
 * seals away in the rig. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "bailiwick/v1/support.pb-c.h"
#include "base/check.h"
#include "quality/chunk.h"
#include "quality/hour.h"
#include "rig.h"

static struct rig rig;

#define CALL(role, Service, Method, snake, request)                                                          \
    ((const Bailiwick__V1__##Method##Response *)rig_call(&rig, role, #Service "/" #Method, request,          \
                                                         &bailiwick__v1__##snake##_response__descriptor))

static void must(const void *reply)
{
    if (reply == NULL)
        fail_msg("%s: %s (%s)", bw_code_name(rig.code), rig.message, rig.reason);
}

static void apply(void)
{
    Bailiwick__V1__ApplyPolicyRequest request = BAILIWICK__V1__APPLY_POLICY_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.yaml = bw_headless_policy;
    must(CALL(RIG_ADMIN, PolicyService, ApplyPolicy, apply_policy, &request));
}

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    apply();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_finish(&rig);
    return 0;
}

static const char *create(void)
{
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "dr.x@chu-lyon.example";
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, CreateMeeting, create_meeting, &request);
    must(reply);
    rig.world.wall_ms += 1000;
    return reply->meeting->meeting_id;
}

static const Bailiwick__V1__Admission *join(const char *meeting, const char *country)
{
    static Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS};
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = country;
    request.capable = schemes;
    request.n_capable = 1;
    const Bailiwick__V1__JoinMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    must(reply);
    return reply->admission;
}

static void end(const char *meeting)
{
    Bailiwick__V1__EndMeetingRequest request = BAILIWICK__V1__END_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    must(CALL(RIG_APP, MeetingService, EndMeeting, end_meeting, &request));
}

static struct bw_id id_of(const char *text)
{
    struct bw_id id;
    assert_true(bw_id_parse(bw_view_str(text), &id));
    return id;
}

/* ---- what is kept ---- */

/* Ten windows of ten seconds; of the ones from `bad` on, `bad_count` lose a tenth. */
static void seal_chunk(uint32_t slot, struct bw_id stream, enum bw_quality_source source, int64_t start_ms,
                       size_t bad, size_t bad_count, uint32_t state)
{
    struct bw_quality_chunk chunk = {.source = source, .media = BW_QUALITY_MEDIA_UNKNOWN, .count = 10};
    for (size_t i = 0; i < chunk.count; i++) {
        struct bw_quality_window *window = &chunk.windows[i];
        bool worse = i >= bad && i < bad + bad_count;
        *window = bw_quality_window_of(start_ms + (int64_t)i * 10000, 10000);
        bw_quality_put(window, BW_QUALITY_PACKETS_RECEIVED, worse ? 900 : 1000);
        bw_quality_put(window, BW_QUALITY_PACKETS_LOST, worse ? 100 : 0);
        bw_quality_put(window, BW_QUALITY_JITTER, 2000);
        if (worse)
            window->state = state;
    }
    struct bw_buf bytes = {0};
    struct bw_error err;
    assert_int_equal(bw_quality_chunk_encode(&chunk, &bytes, &err), BW_OK);
    size_t n = rig.sealed.chunk_count++;
    rig.sealed.chunks[n].slot = slot;
    rig.sealed.chunks[n].stream = stream;
    rig.sealed.chunks[n].plain = bw_view_of(bw_arena_memdup(rig.arena, bytes.data, bytes.len), bytes.len);
    bw_buf_finish(&bytes);
}

static void seal_person(uint32_t slot, const char *user, const char *prefix, const char *version)
{
    size_t n = rig.sealed.person_count++;
    rig.sealed.people[n].slot = slot;
    rig.sealed.people[n].user = user;
    rig.sealed.people[n].prefix = prefix;
    rig.sealed.people[n].version = version;
}

static void keep_quality(const char *meeting, enum bw_quality_class class, enum bw_quality_metric reason,
                         uint32_t poor_minutes)
{
    rig.sealed.quality[rig.sealed.quality_count++] =
        (struct bw_desk_meeting){.id = id_of(meeting),
                                 .windows = 20,
                                 .worst_class = (uint8_t) class,
                                 .reason = (uint8_t)reason,
                                 .poor_minutes = poor_minutes,
                                 .quality_to_ms = rig.world.wall_ms + 100000};
}

/* ---- asking ---- */

static Bailiwick__V1__SearchMeetingsRequest searching(Bailiwick__V1__TimeRange *when)
{
    Bailiwick__V1__SearchMeetingsRequest request = BAILIWICK__V1__SEARCH_MEETINGS_REQUEST__INIT;
    bailiwick__v1__time_range__init(when);
    when->from_unix_ms = (int64_t)rig.world.wall_ms - 3600000;
    when->to_unix_ms = (int64_t)rig.world.wall_ms + 3600000;
    request.tenant = "chu-lyon";
    request.when = when;
    return request;
}

static const Bailiwick__V1__SearchMeetingsResponse *search(enum rig_role role, const void *request)
{
    return CALL(role, SupportService, SearchMeetings, search_meetings, request);
}

static Bailiwick__V1__GetMeetingTimelineRequest timeline_of(const char *meeting)
{
    Bailiwick__V1__GetMeetingTimelineRequest request = BAILIWICK__V1__GET_MEETING_TIMELINE_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    return request;
}

static const Bailiwick__V1__GetMeetingTimelineResponse *timeline(enum rig_role role, const char *meeting)
{
    const Bailiwick__V1__GetMeetingTimelineRequest request = timeline_of(meeting);
    return CALL(role, SupportService, GetMeetingTimeline, get_meeting_timeline, &request);
}

static const Bailiwick__V1__TimelineEvent *event_of(const Bailiwick__V1__TimelineLane *lane,
                                                    Bailiwick__V1__TimelineEvent__What what, size_t nth)
{
    for (size_t i = 0; i < lane->n_events; i++) {
        if (lane->events[i]->what == what && nth-- == 0)
            return lane->events[i];
    }
    return NULL;
}

#define WHAT(name) BAILIWICK__V1__TIMELINE_EVENT__WHAT__WHAT_##name

/* ---- searching ---- */

static void meetings_are_found_newest_first_page_by_page(void **state)
{
    (void)state;
    const char *ids[5];
    for (size_t i = 0; i < BW_ARRAY_LEN(ids); i++)
        ids[i] = create();
    Bailiwick__V1__TimeRange when;
    Bailiwick__V1__SearchMeetingsRequest request = searching(&when);
    request.page_size = 2;
    size_t seen = 0;
    do {
        const Bailiwick__V1__SearchMeetingsResponse *page = search(RIG_TIER1, &request);
        must(page);
        assert_true(page->n_meetings <= 2);
        for (size_t i = 0; i < page->n_meetings; i++, seen++) {
            assert_string_equal(page->meetings[i]->meeting_id, ids[BW_ARRAY_LEN(ids) - 1 - seen]);
            assert_int_equal(page->meetings[i]->worst_class,
                             BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREY);
            assert_true(page->meetings[i]->live);
        }
        request.page_token = page->next_page_token;
    } while (request.page_token[0] != '\0');
    assert_int_equal(seen, BW_ARRAY_LEN(ids));
    request.page_token = "0123456789abcdef.other";
    assert_null(search(RIG_TIER1, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_int_equal(rig.sealed.asked_count, 0); /* nothing was opened */
}

static void a_search_keeps_to_what_it_was_asked(void **state)
{
    (void)state;
    const char *quiet = create(), *bad = create();
    const Bailiwick__V1__Admission *someone = join(bad, "FR");
    keep_quality(bad, BW_QUALITY_RED, BW_QUALITY_METRIC_LOSS, 3);
    end(quiet);
    Bailiwick__V1__TimeRange when;
    struct {
        Bailiwick__V1__SearchMeetingsRequest request;
        const char *found; /* NULL: none */
    } rows[8];
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        rows[i].request = searching(&when);
        rows[i].found = NULL;
    }
    rows[0].request.worst_class = BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_AMBER;
    rows[0].found = bad;
    rows[1].request.reason = BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_JITTER;
    rows[2].request.min_poor_minutes = 3;
    rows[2].found = bad;
    rows[3].request.min_poor_minutes = 4;
    rows[4].request.relay = someone->relay;
    rows[4].found = bad;
    rows[5].request.relay = "nowhere1";
    rows[6].request.end_reason = BAILIWICK__V1__END_REASON__END_REASON_REQUESTED;
    rows[6].found = quiet;
    rows[7].request.end_reason = BAILIWICK__V1__END_REASON__END_REASON_ABANDONED;
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        const Bailiwick__V1__SearchMeetingsResponse *reply = search(RIG_TIER2, &rows[i].request);
        must(reply);
        if (reply->n_meetings != (rows[i].found != NULL))
            fail_msg("row %zu: %zu meetings", i, reply->n_meetings);
        if (rows[i].found != NULL)
            assert_string_equal(reply->meetings[0]->meeting_id, rows[i].found);
    }
    Bailiwick__V1__SearchMeetingsRequest request = searching(&when);
    const Bailiwick__V1__MeetingQuality *found = search(RIG_ADMIN, &request)->meetings[0];
    assert_int_equal(found->worst_class, BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_RED);
    assert_int_equal(found->reason, BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_LOSS);
    assert_int_equal(found->participants, 1);
    assert_string_equal(found->relays[0], someone->relay);
}

static void what_cannot_be_searched_by_is_refused_by_name(void **state)
{
    (void)state;
    Bailiwick__V1__TimeRange when;
    static const char *const names[] = {"asn", "client_version", "transport", "participant",
                                        "address_prefix"};
    for (size_t i = 0; i < BW_ARRAY_LEN(names); i++) {
        Bailiwick__V1__SearchMeetingsRequest request = searching(&when);
        request.asn = i == 0 ? 64496 : 0;
        if (i == 1)
            request.client_version = "web/4.2";
        if (i == 2)
            request.transport = "udp";
        if (i == 3)
            request.participant = "klara@chu-lyon.example";
        if (i == 4)
            request.address_prefix = "198.51.100.0/24";
        assert_null(search(RIG_TIER2, &request));
        assert_int_equal(rig.code, BW_UNIMPLEMENTED);
        assert_non_null(strstr(rig.message, names[i]));
    }
    Bailiwick__V1__SearchMeetingsRequest request = searching(&when);
    when.to_unix_ms = when.from_unix_ms;
    assert_null(search(RIG_TIER2, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    request = searching(&when);
    assert_null(search(RIG_APP, &request));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
}

/* ---- timelines ---- */

static void a_timeline_says_who_was_where_and_how_it_was(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *a = join(meeting, "FR"), *b = join(meeting, "FR");
    uint32_t slot = a->slot;
    int64_t start = (int64_t)rig.world.wall_ms + 1000;
    seal_chunk(slot, bw_api_stream_id(BW_QUALITY_FROM_RELAY, a->relay_number, 0), BW_QUALITY_FROM_RELAY,
               start, 4, 4, 0);
    seal_person(slot, "k***@chu-lyon.example", "198.51.100.0/24", "web/4.2");
    seal_person(b->slot, "o***@chu-lyon.example", "", "");
    keep_quality(meeting, BW_QUALITY_RED, BW_QUALITY_METRIC_LOSS, 1);
    const Bailiwick__V1__GetMeetingTimelineResponse *reply = timeline(RIG_TIER2, meeting);
    must(reply);
    assert_int_equal(reply->n_lanes, 2);
    assert_int_equal(reply->n_missing, 0);
    assert_string_equal(reply->meeting->meeting_id, meeting);
    assert_int_equal(reply->meeting->poor_minutes, 1);
    const Bailiwick__V1__TimelineLane *lane = reply->lanes[0];
    assert_int_equal(lane->slot, slot);
    assert_string_equal(lane->who, "k***@chu-lyon.example");
    assert_string_equal(lane->address_prefix, "198.51.100.0/24");
    assert_string_equal(lane->client_version, "web/4.2");
    assert_int_equal(lane->worst_class, BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_RED);
    assert_int_equal(lane->poor_minutes, 1);

    const Bailiwick__V1__TimelineEvent *joined = event_of(lane, WHAT(JOINED), 0);
    assert_non_null(joined);
    assert_string_equal(joined->relay, a->relay);
    assert_int_equal(joined->decision->policy_revision, 1);
    assert_string_equal(joined->rejected_basis, "recomputed");
    assert_int_equal(joined->rejected_total, joined->n_rejected);
    bool rejected = false; /* everything but the EU and Switzerland is forbidden */
    for (size_t i = 0; i < joined->n_rejected; i++)
        rejected = rejected || strcmp(joined->rejected[i]->relay, "ash1") == 0;
    assert_true(rejected);

    /* Green after three windows, red when three of five were, back to green when three were again. */
    static const struct {
        Bailiwick__V1__QualityClass class;
        int64_t windows;
    } classes[] = {{BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREEN, 3},
                   {BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_RED, 7}};
    for (size_t i = 0; i < BW_ARRAY_LEN(classes); i++) {
        const Bailiwick__V1__TimelineEvent *event = event_of(lane, WHAT(CLASS_CHANGED), i);
        assert_non_null(event);
        assert_int_equal(event->quality_class, classes[i].class);
        assert_int_equal(event->at_unix_ms, start + classes[i].windows * 10000);
        assert_string_equal(event->relay, a->relay);
        assert_string_equal(event->through, "");
    }
    assert_int_equal(event_of(lane, WHAT(CLASS_CHANGED), 1)->reason,
                     BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_LOSS);
    assert_int_equal(lane->n_streams, 1);
    assert_string_equal(lane->measured[0]->relay, a->relay);
    assert_int_equal(reply->lanes[1]->worst_class, BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREY);
}

static void what_a_timeline_lacks_is_said(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *a = join(meeting, "FR");
    const Bailiwick__V1__GetMeetingTimelineResponse *reply = timeline(RIG_TIER2, meeting);
    must(reply);
    assert_int_equal(reply->n_missing, 2);
    assert_string_equal(reply->missing[0]->part, "people");
    assert_string_equal(reply->missing[0]->reason, "NOT_KEPT");
    assert_string_equal(reply->missing[1]->part, "quality");
    assert_string_equal(reply->lanes[0]->who, "participant 1");

    (void)bw_fail(&rig.sealed.error[BW_OPENING_ROSTER], BW_NOT_FOUND, "ERASED", "destroyed");
    reply = timeline(RIG_TIER2, meeting);
    must(reply);
    assert_int_equal(reply->n_missing, 2);
    assert_string_equal(reply->missing[0]->reason, "ERASED");
    assert_string_equal(reply->missing[1]->reason, "ERASED");
    assert_string_equal(event_of(reply->lanes[0], WHAT(JOINED), 0)->relay, a->relay);

    /* Anything else is no answer at all. */
    static const struct {
        enum bw_code code;
        const char *reason;
    } refusals[] = {{BW_UNAVAILABLE, "VAULT_AWAY"},
                    {BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE"},
                    {BW_UNAVAILABLE, "AUDIT_UNAVAILABLE"}};
    for (size_t i = 0; i < 2 * BW_ARRAY_LEN(refusals); i++) {
        enum bw_opening_what what = i % 2 == 0 ? BW_OPENING_ROSTER : BW_OPENING_CHUNKS;
        memset(rig.sealed.error, 0, sizeof rig.sealed.error);
        (void)bw_fail(&rig.sealed.error[what], refusals[i / 2].code, refusals[i / 2].reason, "no");
        assert_null(timeline(RIG_TIER2, meeting));
        assert_int_equal(rig.code, refusals[i / 2].code);
        assert_string_equal(rig.reason, refusals[i / 2].reason);
    }
}

static void the_vault_is_told_who_asks_and_for_which_slots(void **state)
{
    (void)state;
    const char *meeting = create();
    uint32_t slots[5];
    for (size_t i = 0; i < BW_ARRAY_LEN(slots); i++)
        slots[i] = join(meeting, "FR")->slot;
    Bailiwick__V1__GetMeetingTimelineRequest request = timeline_of(meeting);
    request.page_size = 2;
    request.own_user = "klara@chu-lyon.example";
    size_t lanes = 0;
    do {
        const Bailiwick__V1__GetMeetingTimelineResponse *page =
            CALL(RIG_TIER1, SupportService, GetMeetingTimeline, get_meeting_timeline, &request);
        must(page);
        size_t first = lanes;
        for (size_t i = 0; i < page->n_lanes; i++, lanes++) {
            char who[32];
            snprintf(who, sizeof who, "participant %zu", lanes + 1);
            assert_int_equal(page->lanes[i]->slot, slots[lanes]);
            assert_string_equal(page->lanes[i]->who, who);
        }
        const struct bw_api_opening *asked = &rig.sealed.asked[rig.sealed.asked_count - 2];
        assert_int_equal(asked[0].what, BW_OPENING_ROSTER);
        assert_int_equal(asked[1].what, BW_OPENING_CHUNKS);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(asked[i].role, BW_OPENING_TIER1);
            assert_int_equal(asked[i].slot_from, slots[first]);
            assert_int_equal(asked[i].slot_to, slots[lanes - 1]);
            assert_true(bw_id_equal(&asked[i].tenant, &rig.world.tenant));
        }
        assert_true(bw_id_equal(&asked[0].request, &asked[1].request));
        request.page_token = page->next_page_token;
    } while (request.page_token[0] != '\0');
    assert_int_equal(lanes, BW_ARRAY_LEN(slots));
    (void)timeline(RIG_ADMIN, meeting);
    assert_int_equal(rig.sealed.asked[rig.sealed.asked_count - 1].role, BW_OPENING_TENANT_ADMIN);
}

static void a_timeline_is_the_tenants_own(void **state)
{
    (void)state;
    const char *meeting = create();
    Bailiwick__V1__GetMeetingTimelineRequest request = timeline_of(rig_uuid(&rig));
    assert_null(CALL(RIG_TIER2, SupportService, GetMeetingTimeline, get_meeting_timeline, &request));
    assert_int_equal(rig.code, BW_NOT_FOUND);
    request = timeline_of(meeting);
    request.tenant = "acme";
    assert_null(CALL(RIG_TIER2, SupportService, GetMeetingTimeline, get_meeting_timeline, &request));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
    request = timeline_of(meeting);
    request.grant_id = rig_uuid(&rig);
    assert_null(CALL(RIG_TIER2, SupportService, GetMeetingTimeline, get_meeting_timeline, &request));
    assert_int_equal(rig.code, BW_UNIMPLEMENTED);
    request = timeline_of(meeting);
    request.own_user = "klara@chu-lyon.example";
    assert_null(CALL(RIG_TIER2, SupportService, GetMeetingTimeline, get_meeting_timeline, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
}

static void leaving_ending_and_muting_have_their_events(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *a = join(meeting, "FR"), *b = join(meeting, "DE");
    const char *entry = bw_arena_strdup(rig.arena, b->roster_entry);
    int64_t start = (int64_t)rig.world.wall_ms;
    seal_chunk(a->slot, bw_api_stream_id(BW_QUALITY_FROM_CLIENT, 0, 0), BW_QUALITY_FROM_CLIENT, start, 5, 2,
               BW_QUALITY_MUTED);
    seal_chunk(a->slot, bw_api_stream_id(BW_QUALITY_FROM_CLIENT, 0, BW_API_PATH_STREAM),
               BW_QUALITY_FROM_CLIENT, start, 2, 2, BW_QUALITY_ICE_FAILED);
    Bailiwick__V1__LeaveMeetingRequest leave = BAILIWICK__V1__LEAVE_MEETING_REQUEST__INIT;
    leave.tenant = "chu-lyon";
    leave.meeting_id = meeting;
    leave.request_id = rig_uuid(&rig);
    leave.roster_entry = entry;
    must(CALL(RIG_APP, MeetingService, LeaveMeeting, leave_meeting, &leave));
    end(meeting);
    const Bailiwick__V1__GetMeetingTimelineResponse *reply = timeline(RIG_TIER2, meeting);
    must(reply);
    assert_false(reply->meeting->live);
    assert_int_equal(reply->meeting->end_reason, BAILIWICK__V1__END_REASON__END_REASON_REQUESTED);
    const Bailiwick__V1__TimelineLane *lane = reply->lanes[0];
    assert_int_equal(event_of(lane, WHAT(LEFT), 0)->leave_reason,
                     BAILIWICK__V1__LEAVE_REASON__LEAVE_REASON_MEETING_ENDED);
    assert_int_equal(event_of(reply->lanes[1], WHAT(LEFT), 0)->leave_reason,
                     BAILIWICK__V1__LEAVE_REASON__LEAVE_REASON_LEFT);
    assert_null(event_of(reply->lanes[1], WHAT(LEFT), 1));
    assert_int_equal(event_of(lane, WHAT(MUTED), 0)->at_unix_ms, start + 50000);
    assert_int_equal(event_of(lane, WHAT(UNMUTED), 0)->at_unix_ms, start + 70000);
    assert_int_equal(event_of(lane, WHAT(RECONNECTED), 0)->at_unix_ms, start + 40000);
    assert_int_equal(lane->n_streams, 1); /* the path is no curve */
    assert_true(lane->measured[0]->from_client);
    for (size_t i = 1; i < lane->n_events; i++)
        assert_true(lane->events[i - 1]->at_unix_ms <= lane->events[i]->at_unix_ms);
}

/* ---- curves ---- */

static void curves_have_gaps_a_path_and_their_cell(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *a = join(meeting, "FR");
    uint32_t relay = a->relay_number, other = relay == BW_FRA1 + 1 ? BW_PAR1 + 1 : BW_FRA1 + 1;
    int64_t start = (int64_t)rig.world.wall_ms;
    seal_chunk(a->slot, bw_api_stream_id(BW_QUALITY_FROM_RELAY, relay, 0), BW_QUALITY_FROM_RELAY, start, 4, 1,
               0);
    seal_chunk(a->slot, bw_api_stream_id(BW_QUALITY_FROM_RELAY, relay, 0), BW_QUALITY_FROM_RELAY,
               start + 120000, 0, 0, 0);
    seal_chunk(a->slot, bw_api_stream_id(BW_QUALITY_FROM_RELAY, other, relay), BW_QUALITY_FROM_RELAY, start,
               0, 10, 0);
    Bailiwick__V1__GetStreamSeriesRequest request = BAILIWICK__V1__GET_STREAM_SERIES_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.slot = a->slot;
    const Bailiwick__V1__GetStreamSeriesResponse *reply =
        CALL(RIG_TIER2, SupportService, GetStreamSeries, get_stream_series, &request);
    must(reply);
    assert_int_equal(reply->n_path, 1);
    assert_string_equal(reply->path[0]->stored_in_cell, "eu");
    assert_true(reply->n_series >= 2);
    const Bailiwick__V1__GetStreamSeriesResponse__Series *loss = reply->series[0];
    assert_int_equal(loss->metric, BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_LOSS);
    assert_int_equal(loss->start_unix_ms, start);
    assert_int_equal(loss->step_ms, 10000);
    assert_int_equal(loss->n_values, 22);
    assert_int_equal(loss->values[3], 0);
    assert_int_equal(loss->values[4], 100000);
    assert_int_equal(loss->values[10], -1); /* nothing was measured */
    assert_int_equal(loss->values[12], 0);

    request.stream = UINT32_C(1) << 31 | other << 16 | relay;
    Bailiwick__V1__QualityMetric only[] = {BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_JITTER};
    request.metrics = only;
    request.n_metrics = 1;
    reply = CALL(RIG_TIER2, SupportService, GetStreamSeries, get_stream_series, &request);
    must(reply);
    assert_int_equal(reply->n_series, 1);
    assert_int_equal(reply->series[0]->values[0], 2000);
    assert_int_equal(reply->n_path, 2); /* through the participant's relay to the one that measured */

    request.stream = 77;
    reply = CALL(RIG_TIER2, SupportService, GetStreamSeries, get_stream_series, &request);
    must(reply);
    assert_int_equal(reply->n_series, 0);
    assert_string_equal(reply->missing[0]->reason, "NOT_KEPT");
    request.slot = 4711;
    assert_null(CALL(RIG_TIER2, SupportService, GetStreamSeries, get_stream_series, &request));
    assert_int_equal(rig.code, BW_NOT_FOUND);
}

/* ---- figures ---- */

/* Windows of `people` different people on a relay, one in ten red. */
static void add_windows(struct bw_quality_hour *hour, const char *relay, unsigned people)
{
    const struct bw_quality_place places[] = {{BW_QUALITY_BY_ALL, ""}, {BW_QUALITY_BY_RELAY, relay}};
    for (unsigned person = 0; person < people; person++) {
        for (unsigned i = 0; i < 10; i++) {
            struct bw_quality_window window = bw_quality_window_of((int64_t)rig.world.wall_ms, 10000);
            bw_quality_put(&window, BW_QUALITY_PACKETS_RECEIVED, 900);
            bw_quality_put(&window, BW_QUALITY_PACKETS_LOST, i == 0 ? 100 : 0);
            struct bw_quality_judgement judgement = bw_quality_judge(&window, BW_QUALITY_MEDIA_UNKNOWN);
            struct bw_error err;
            uint64_t who = (person + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)relay[0] << 32;
            assert_int_equal(bw_quality_hour_add(hour, places, 2, &judgement, who, &err), BW_OK);
        }
    }
}

static void seal_hour(const char *relay, unsigned people)
{
    struct bw_quality_hour *hour = NULL;
    struct bw_buf bytes = {0};
    struct bw_error err;
    assert_int_equal(bw_quality_hour_create(&hour, &err), BW_OK);
    add_windows(hour, relay, people);
    assert_int_equal(bw_quality_hour_encode(hour, &bytes, &err), BW_OK);
    rig.sealed.hours[rig.sealed.hour_count++] =
        bw_view_of(bw_arena_memdup(rig.arena, bytes.data, bytes.len), bytes.len);
    bw_buf_finish(&bytes);
    bw_quality_hour_destroy(hour);
}

static Bailiwick__V1__GetQualityStatsRequest stats_of(Bailiwick__V1__TimeRange *when)
{
    Bailiwick__V1__GetQualityStatsRequest request = BAILIWICK__V1__GET_QUALITY_STATS_REQUEST__INIT;
    bailiwick__v1__time_range__init(when);
    when->from_unix_ms = 1795300000000;
    when->to_unix_ms = 1795300000001;
    request.tenant = "chu-lyon";
    request.when = when;
    request.metric = BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_LOSS;
    request.by = BAILIWICK__V1__QUALITY_DIMENSION__QUALITY_DIMENSION_RELAY;
    return request;
}

static void small_groups_are_hidden_from_tier_1_and_so_is_what_gives_them_away(void **state)
{
    (void)state;
    seal_hour("par1", 8);
    seal_hour("fra1", 4);
    seal_hour("par1", 2); /* two of the eight, an hour later */
    Bailiwick__V1__TimeRange when;
    Bailiwick__V1__GetQualityStatsRequest request = stats_of(&when);
    const Bailiwick__V1__GetQualityStatsResponse *reply =
        CALL(RIG_TIER2, SupportService, GetQualityStats, get_quality_stats, &request);
    must(reply);
    assert_int_equal(reply->n_stats, 2);
    assert_string_equal(reply->stats[0]->value, "fra1");
    assert_int_equal(reply->stats[0]->participants, 4);
    assert_int_equal(reply->stats[1]->participants, 8);
    assert_int_equal(reply->stats[1]->samples, 100);
    assert_int_equal(reply->stats[1]->poor_ppm, 100000);
    assert_int_equal(reply->stats[1]->p50, 0);
    assert_in_range(reply->stats[1]->p99, 99000, 101000);
    assert_int_equal(reply->all->samples, 140);
    assert_int_equal(reply->covered->to_unix_ms - reply->covered->from_unix_ms, 3600000);
    assert_int_equal(reply->covered->from_unix_ms % 3600000, 0);

    reply = CALL(RIG_TIER1, SupportService, GetQualityStats, get_quality_stats, &request);
    must(reply);
    assert_true(reply->stats[0]->suppressed);
    assert_int_equal(reply->stats[0]->samples, 0);
    assert_int_equal(reply->stats[0]->participants, 0);
    assert_int_equal(reply->stats[0]->p99, 0);
    assert_false(reply->stats[1]->suppressed);
    assert_true(reply->all->suppressed);

    request.page_size = 1;
    reply = CALL(RIG_TIER2, SupportService, GetQualityStats, get_quality_stats, &request);
    must(reply);
    assert_string_equal(reply->stats[0]->value, "fra1");
    request.page_token = reply->next_page_token;
    reply = CALL(RIG_TIER2, SupportService, GetQualityStats, get_quality_stats, &request);
    must(reply);
    assert_string_equal(reply->stats[0]->value, "par1");
    assert_string_equal(reply->next_page_token, "");
}

static void figures_that_are_not_kept_are_not_invented(void **state)
{
    (void)state;
    Bailiwick__V1__TimeRange when;
    Bailiwick__V1__GetQualityStatsRequest request = stats_of(&when);
    const Bailiwick__V1__GetQualityStatsResponse *reply =
        CALL(RIG_TIER1, SupportService, GetQualityStats, get_quality_stats, &request);
    must(reply);
    assert_int_equal(reply->n_stats, 0);
    assert_null(reply->all);
    assert_string_equal(reply->missing[0]->reason, "NOT_KEPT");
    static const Bailiwick__V1__QualityDimension unknown[] = {
        BAILIWICK__V1__QUALITY_DIMENSION__QUALITY_DIMENSION_ASN,
        BAILIWICK__V1__QUALITY_DIMENSION__QUALITY_DIMENSION_CLIENT_VERSION};
    for (size_t i = 0; i < BW_ARRAY_LEN(unknown); i++) {
        request.by = unknown[i];
        assert_null(CALL(RIG_TIER1, SupportService, GetQualityStats, get_quality_stats, &request));
        assert_int_equal(rig.code, BW_UNIMPLEMENTED);
    }
    request = stats_of(&when);
    when.from_unix_ms -= INT64_C(100) * 86400000;
    assert_null(CALL(RIG_TIER1, SupportService, GetQualityStats, get_quality_stats, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(meetings_are_found_newest_first_page_by_page),
        TEST(a_search_keeps_to_what_it_was_asked),
        TEST(what_cannot_be_searched_by_is_refused_by_name),
        TEST(a_timeline_says_who_was_where_and_how_it_was),
        TEST(what_a_timeline_lacks_is_said),
        TEST(the_vault_is_told_who_asks_and_for_which_slots),
        TEST(a_timeline_is_the_tenants_own),
        TEST(leaving_ending_and_muting_have_their_events),
        TEST(curves_have_gaps_a_path_and_their_cell),
        TEST(small_groups_are_hidden_from_tier_1_and_so_is_what_gives_them_away),
        TEST(figures_that_are_not_kept_are_not_invented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
