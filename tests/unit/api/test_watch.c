/* WatchMeeting: the state first, then every change in the order of commit, until the meeting or the watcher
 * is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "rig.h"

typedef Bailiwick__V1__WatchMeetingResponse event;

static struct rig rig;

struct watcher {
    struct bw_grpc_client_call *call;
    const event *events[1024];
    size_t count;
    bool over;
    enum bw_code code;
    char reason[64];
};

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

/* ---- the stream ---- */

static void on_message(struct bw_grpc_client_call *call, struct bw_view message, void *context)
{
    (void)call;
    struct watcher *watcher = context;
    const ProtobufCMessage *decoded;
    struct bw_error err;
    void *copy = bw_arena_memdup(rig.arena, message.data, message.len);
    if (bw_wire_decode(&bailiwick__v1__watch_meeting_response__descriptor, bw_view_of(copy, message.len),
                       rig.arena, &decoded, &err) != BW_OK)
        fail_msg("an event is not well-formed: %s", err.show);
    assert_true(watcher->count < sizeof watcher->events / sizeof watcher->events[0]);
    watcher->events[watcher->count++] = (const event *)decoded;
}

static void on_finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome,
                        void *context)
{
    (void)call;
    struct watcher *watcher = context;
    watcher->over = true;
    watcher->call = NULL;
    watcher->code = outcome->code;
    if (outcome->details != NULL && outcome->details->reason != NULL)
        snprintf(watcher->reason, sizeof watcher->reason, "%s", outcome->details->reason);
}

static const struct bw_grpc_client_events client_events = {.message = on_message, .finished = on_finished};

static void watch(struct watcher *watcher, const char *meeting)
{
    Bailiwick__V1__WatchMeetingRequest request = BAILIWICK__V1__WATCH_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    struct bw_buf bytes = {0};
    struct bw_error err;
    *watcher = (struct watcher){.code = BW_OK};
    assert_int_equal(bw_wire_encode(&request.base, &bytes), BW_OK);
    watcher->call = bw_grpc_client_call(rig.as[RIG_APP].client, "/bailiwick.v1.MeetingService/WatchMeeting",
                                        0, NULL, 0, &client_events, watcher, &err);
    assert_non_null(watcher->call);
    assert_int_equal(bw_grpc_client_send(watcher->call, bw_buf_view(&bytes)), BW_OK);
    bw_grpc_client_half_close(watcher->call);
    bw_buf_finish(&bytes);
    rig_run_ms(&rig, 30);
}

static const event *at(const struct watcher *watcher, size_t n, int which)
{
    if (n >= watcher->count)
        fail_msg("only %zu events", watcher->count);
    if ((int)watcher->events[n]->event_case != which)
        fail_msg("event %zu is of case %d, not %d", n, (int)watcher->events[n]->event_case, which);
    return watcher->events[n];
}

#define AT(watcher, n, NAME) at(watcher, n, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_##NAME)

/* ---- the meeting ---- */

static const char *create(void)
{
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "dr.x@chu-lyon.example";
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *reply =
        rig_call(&rig, RIG_APP, "MeetingService/CreateMeeting", &request,
                 &bailiwick__v1__create_meeting_response__descriptor);
    assert_non_null(reply);
    return reply->meeting->meeting_id;
}

static const Bailiwick__V1__Admission *join(const char *meeting, const char *country)
{
    static Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME};
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = country;
    request.capable = schemes;
    request.n_capable = 1;
    const Bailiwick__V1__JoinMeetingResponse *reply =
        rig_call(&rig, RIG_APP, "MeetingService/JoinMeeting", &request,
                 &bailiwick__v1__join_meeting_response__descriptor);
    if (reply == NULL) {
        fail_msg("%s", rig.message);
        return NULL;
    }
    return reply->admission;
}

static void observe(const char *meeting, const Bailiwick__V1__Admission *who,
                    Bailiwick__V1__ObservedE2ee__State state, uint32_t epoch)
{
    Bailiwick__V1__ReportClientStateRequest request = BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.roster_entry = who->roster_entry;
    request.observed = state;
    request.scheme = BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME;
    request.mode_epoch = epoch;
    assert_non_null(rig_call(&rig, RIG_APP, "MeetingService/ReportClientState", &request,
                             &bailiwick__v1__report_client_state_response__descriptor));
}

static void change_mode(const char *meeting, Bailiwick__V1__ChangeModeRequest__Action action,
                        const char *entry, uint32_t epoch)
{
    Bailiwick__V1__ChangeModeRequest request = BAILIWICK__V1__CHANGE_MODE_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.action = action;
    request.roster_entry = entry;
    request.mode_epoch = epoch;
    if (rig_call(&rig, RIG_APP, "MeetingService/ChangeMode", &request,
                 &bailiwick__v1__change_mode_response__descriptor) == NULL)
        fail_msg("%s", rig.message);
}

static void end(const char *meeting)
{
    Bailiwick__V1__EndMeetingRequest request = BAILIWICK__V1__END_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    assert_non_null(rig_call(&rig, RIG_APP, "MeetingService/EndMeeting", &request,
                             &bailiwick__v1__end_meeting_response__descriptor));
}

/* ---- tests ---- */

static void a_watcher_sees_the_state_and_then_each_change(void **state)
{
    (void)state;
    struct watcher watcher;
    const char *meeting = create();
    const Bailiwick__V1__Admission *first = join(meeting, "FR");
    watch(&watcher, meeting);
    const event *start = AT(&watcher, 0, STATE);
    assert_int_equal(watcher.count, 1);
    assert_string_equal(start->state->meeting->meeting_id, meeting);
    assert_int_equal(start->state->n_roster, 1);
    assert_false(start->state->more);
    assert_int_equal(start->decision_seq, 2);
    assert_int_equal(start->state->meeting->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_PARTIAL);

    observe(meeting, first, BAILIWICK__V1__OBSERVED_E2EE__STATE__STATE_E2EE, 1);
    rig_run_ms(&rig, 20);
    const event *flags = AT(&watcher, 1, FLAGS), *mode = AT(&watcher, 2, MODE);
    assert_string_equal(flags->flags->roster_entry, first->roster_entry);
    assert_true(flags->flags->flags->observed->confirmed);
    assert_int_equal(mode->mode->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_E2EE);

    const Bailiwick__V1__Admission *second = join(meeting, "DE");
    rig_run_ms(&rig, 20);
    const event *joined = AT(&watcher, 3, JOINED);
    mode = AT(&watcher, 4, MODE);
    assert_string_equal(joined->joined->entry->roster_entry, second->roster_entry);
    assert_string_equal(joined->joined->entry->relay, second->relay);
    assert_string_equal(joined->joined->entry->country, "DE");
    assert_int_equal(mode->mode->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_PARTIAL);
    assert_true(joined->decision_seq > flags->decision_seq);

    /* A relay is drained: whoever is on it learns where to go. */
    size_t seen = watcher.count;
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        if (strcmp(rig.world.relays[i].name, second->relay) == 0)
            rig.world.relays[i].state = BW_RELAY_DRAINING;
    }
    assert_true(bw_headless_publish_fleet(&rig.world));
    rig_run_ms(&rig, 20);
    const event *moved = AT(&watcher, seen, MOVED);
    assert_string_not_equal(moved->moved->relay, second->relay);
    assert_int_equal(strncmp(moved->moved->media_address, "192.0.2.", 8), 0);

    seen = watcher.count;
    end(meeting);
    rig_run_ms(&rig, 20);
    const event *ended = AT(&watcher, seen, ENDED);
    assert_int_equal(ended->ended->reason, BAILIWICK__V1__END_REASON__END_REASON_REQUESTED);
    assert_true(watcher.over);
    assert_int_equal(watcher.code, BW_OK);
    uint32_t last = 0;
    for (size_t i = 0; i < watcher.count; i++) {
        assert_true(watcher.events[i]->decision_seq >= last);
        last = watcher.events[i]->decision_seq;
    }
}

static void a_lowering_is_announced_before_it_takes_effect(void **state)
{
    (void)state;
    struct watcher watcher;
    const char *meeting = create();
    const Bailiwick__V1__Admission *first = join(meeting, "FR"), *second = join(meeting, "FR");
    watch(&watcher, meeting);
    change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_REQUEST_LOWER, "", 0);
    change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT, first->roster_entry, 2);
    change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT, second->roster_entry, 2);
    rig_run_ms(&rig, 20);
    const event *asked = AT(&watcher, 1, ANNOUNCEMENT), *once = AT(&watcher, 2, ANNOUNCEMENT);
    assert_int_equal(asked->announcement->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_HOP);
    assert_int_equal(asked->announcement->pending_mode_epoch, 2);
    assert_int_equal(asked->announcement->consents_missing, 2);
    assert_int_equal(once->announcement->consents_missing, 1);
    const event *mode = AT(&watcher, 4, MODE);
    assert_int_equal(mode->mode->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_HOP);
    assert_int_equal(mode->mode->mode_epoch, 2);
    for (size_t i = 5; i < watcher.count; i++)
        assert_null(AT(&watcher, i, FLAGS)->flags->flags->allocated);
    assert_int_equal(watcher.count, 7);
    bw_grpc_client_cancel(watcher.call);
    rig_run_ms(&rig, 20);
    assert_true(watcher.over);
    /* Nobody listens any more; nothing is said, and nothing leaks. */
    end(meeting);
    assert_int_equal(watcher.count, 7);
}

static void a_long_roster_comes_in_parts(void **state)
{
    (void)state;
    enum { PEOPLE = 450 };
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        rig.world.relays[i].capacity = 1000;
        bw_book_add(rig.world.book, (uint32_t)i + 1, 990);
    }
    assert_true(bw_headless_publish_fleet(&rig.world));
    const char *meeting = create();
    for (int i = 0; i < PEOPLE; i++) {
        if (i % 15 == 0) { /* past the burst window */
            rig.world.mono_ms += 6000;
            bw_owner_tick(rig.world.owner);
        }
        join(meeting, "FR");
    }
    struct watcher watcher;
    watch(&watcher, meeting);
    size_t people = 0;
    uint32_t slot = 0;
    assert_int_equal(watcher.count, 3);
    for (size_t i = 0; i < watcher.count; i++) {
        const event *part = AT(&watcher, i, STATE);
        assert_int_equal(part->state->meeting != NULL, i == 0);
        assert_int_equal(part->state->more, i + 1 < watcher.count);
        for (size_t j = 0; j < part->state->n_roster; j++) {
            assert_true(part->state->roster[j]->slot > slot);
            slot = part->state->roster[j]->slot;
        }
        people += part->state->n_roster;
    }
    assert_int_equal(people, PEOPLE);
    bw_grpc_client_cancel(watcher.call);
    rig_run_ms(&rig, 20);
}

static void watching_what_is_not_there_is_refused(void **state)
{
    (void)state;
    struct watcher watcher;
    watch(&watcher, rig_uuid(&rig));
    assert_true(watcher.over);
    assert_int_equal(watcher.code, BW_NOT_FOUND);
    assert_int_equal(watcher.count, 0);

    /* One that has ended tells its state and is over. */
    const char *meeting = create();
    end(meeting);
    watch(&watcher, meeting);
    assert_true(watcher.over);
    assert_int_equal(watcher.code, BW_OK);
    assert_int_equal(watcher.count, 1);
    assert_int_equal(AT(&watcher, 0, STATE)->state->meeting->state,
                     BAILIWICK__V1__MEETING_STATE__MEETING_STATE_ENDED);
}

static void only_a_jump_in_the_state_ends_the_watch(void **state)
{
    (void)state;
    struct watcher watcher;
    const char *meeting = create();
    join(meeting, "FR");
    watch(&watcher, meeting);
    /* Decided twice, and what is there is read back in between: it is what the watcher knows. */
    rig.world.stale_rows = 1;
    join(meeting, "FR");
    rig_run_ms(&rig, 20);
    assert_int_equal(rig.world.loads, 1);
    assert_false(watcher.over);
    AT(&watcher, 1, JOINED);
    assert_int_equal(watcher.count, 2);

    struct bw_id id;
    assert_true(bw_id_parse(bw_view_str(meeting), &id));
    assert_true(bw_headless_intrude(&rig.world, &id));
    join(meeting, "FR");
    rig_run_ms(&rig, 20);
    assert_int_equal(rig.world.loads, 2);
    assert_true(watcher.over);
    assert_int_equal(watcher.code, BW_ABORTED);
    assert_string_equal(watcher.reason, "WATCH_AGAIN");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_watcher_sees_the_state_and_then_each_change),
        TEST(a_lowering_is_announced_before_it_takes_effect),
        TEST(a_long_roster_comes_in_parts),
        TEST(watching_what_is_not_there_is_refused),
        TEST(only_a_jump_in_the_state_ends_the_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
