/* Real relays and participants as processes, over loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "cell.h"
#include "relay/address.h"
#include "runtime/clock.h"

static json_int_t number(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value))
        fail_msg("no number '%s'", key);
    return json_integer_value(value);
}

static json_int_t dropped(const json_t *status, const char *why)
{
    return number(json_object_get(json_object_get(status, "counters"), "dropped"), why);
}

static void a_meeting_over_two_relays_loses_nothing(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slots[3] = {cell_slot(1, 1), cell_slot(1, 2), cell_slot(1, 3)};
    const size_t relay_of[3] = {0, 0, 1};
    const char *const arguments[] = {"--count",  "200", "--rate",        "200", "--size", "600",
                                     "--linger", "800", "--start-after", "400", NULL};
    cell_put_link(cell, 1);
    for (size_t i = 0; i < 3; i++)
        cell_put_slot(cell, relay_of[i], &slots[i]);
    cell_settle(cell, 0);
    cell_settle(cell, 1);
    for (size_t i = 0; i < 3; i++)
        cell_start_endpoint(cell, i, relay_of[i], &slots[i], arguments);
    for (size_t i = 0; i < 3; i++) {
        int code = -1;
        json_t *summary = cell_finish_endpoint(cell, i, &code);
        assert_int_equal(code, 0);
        assert_string_equal(json_string_value(json_object_get(summary, "outcome")), "left");
        assert_int_equal(number(summary, "sent"), 200);
        assert_int_equal(number(summary, "received"), 400);
        assert_int_equal(number(summary, "lost"), 0);
        assert_int_equal(number(summary, "corrupt"), 0);
        assert_int_equal(json_array_size(json_object_get(summary, "senders")), 2);
        assert_true(number(summary, "rttUs") > 0);
        json_decref(summary);
    }
    json_t *status = cell_status(cell, 0);
    const json_t *counters = json_object_get(status, "counters");
    assert_int_equal(number(counters, "received"), 600);
    assert_int_equal(number(counters, "toPeers"), 400);
    assert_int_equal(number(counters, "forwarded"),
                     800 + 400); /* two speakers to each other and the peer; the peer to two */
    assert_int_equal(number(counters, "leaves"), 2);
    json_decref(status);
    cell_wait(cell, 300);
    assert_int_equal(cell->relays[0].joined, 2);
    assert_int_equal(cell->relays[0].left, 2);
    assert_int_equal(cell->relays[1].joined, 1);
}

static void a_grant_that_does_not_fit_is_refused_with_its_reason(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slot = cell_slot(1, 1), other = cell_slot(1, 2);
    const char *const arguments[] = {NULL};
    cell_put_slot(cell, 0, &slot);
    cell_settle(cell, 0);
    struct {
        struct bw_meeting_slot slot;
        const char *reason;
    } cases[] = {{slot, "WRONG_MODE"}, {other, "NO_SLOT"}, {slot, "WRONG_ROSTER_ENTRY"}};
    cases[0].slot.mode = BW_MODE_HOP;
    cases[2].slot.roster_entry.bytes[9] = 9;
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        int code = -1;
        cell_start_endpoint(cell, 0, 0, &cases[i].slot, arguments);
        json_t *summary = cell_finish_endpoint(cell, 0, &code);
        assert_int_equal(code, 1);
        assert_string_equal(json_string_value(json_object_get(summary, "outcome")), "refused");
        assert_string_equal(json_string_value(json_object_get(summary, "reason")), cases[i].reason);
        json_decref(summary);
    }
    cell_wait(cell, 1500);
    assert_true(cell->relays[0].refused >= 1); /* and the control plane was told */
}

static void a_removed_slot_ends_its_participant_at_once(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slot = cell_slot(1, 1);
    const char *const arguments[] = {"--count", "100000", "--rate", "100", NULL};
    cell_put_slot(cell, 0, &slot);
    cell_settle(cell, 0);
    cell_start_endpoint(cell, 0, 0, &slot, arguments);
    cell_wait(cell, 700);
    assert_int_equal(cell->relays[0].joined, 1);
    uint64_t removed = bw_clock_mono_ms();
    cell_remove_slot(cell, 0, &slot);
    int code = -1;
    json_t *summary = cell_finish_endpoint(cell, 0, &code);
    assert_true(bw_clock_mono_ms() - removed < 2000);
    assert_int_equal(code, 1);
    assert_string_equal(json_string_value(json_object_get(summary, "reason")), "SLOT_REMOVED");
    json_decref(summary);
}

static bool first_is_back(struct cell *cell)
{
    const struct cell_relay *relay = &cell->relays[0];
    return relay->hellos >= 2 && relay->session != NULL &&
           bw_session_status(relay->session, bw_clock_mono_ms()).placeable;
}

static void forwarding_goes_on_without_the_control_plane_and_the_session_resumes(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slots[2] = {cell_slot(1, 1), cell_slot(1, 2)};
    const char *const arguments[] = {"--count", "600",           "--rate", "200", "--linger",
                                     "800",     "--start-after", "300",    NULL};
    for (size_t i = 0; i < 2; i++)
        cell_put_slot(cell, 0, &slots[i]);
    cell_settle(cell, 0);
    for (size_t i = 0; i < 2; i++)
        cell_start_endpoint(cell, i, 0, &slots[i], arguments);
    cell_wait(cell, 800);
    cell_cut(cell, 0);
    cell_until(cell, first_is_back, "the relay's next session");
    assert_false(bw_session_status(cell->relays[0].session, bw_clock_mono_ms()).by_snapshot);
    for (size_t i = 0; i < 2; i++) {
        int code = -1;
        json_t *summary = cell_finish_endpoint(cell, i, &code);
        assert_int_equal(code, 0);
        assert_int_equal(number(summary, "received"), 600);
        assert_int_equal(number(summary, "lost"), 0);
        json_decref(summary);
    }
}

static void who_is_early_is_heard_before_the_relay_has_caught_up(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slot = cell_slot(1, 1);
    const char *const arguments[] = {"--count", "100", "--rate", "100", "--linger", "500", NULL};
    cell->group++; /* the decision exists … */
    cell_start_endpoint(cell, 0, 0, &slot, arguments);
    cell_wait(cell, 600);
    cell->group--;
    cell_put_slot(cell, 0, &slot); /* … and reaches the relay now */
    int code = -1;
    json_t *summary = cell_finish_endpoint(cell, 0, &code);
    assert_int_equal(code, 0);
    assert_true(json_is_true(json_object_get(summary, "provisional")));
    json_decref(summary);
    cell_wait(cell, 300);
    assert_int_equal(cell->relays[0].provisional, 1);
    assert_int_equal(cell->relays[0].joined, 1);
}

static bool probed(struct cell *cell)
{
    return cell->relays[0].probes >= 2 && cell->relays[1].probes >= 2;
}

static void relays_measure_their_way_to_each_other(void **state)
{
    struct cell *cell = *state;
    uint8_t key[32] = {5};
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        const struct cell_relay *peer = &cell->relays[1 - i];
        struct bw_probe_target target = {.peer_number = peer->enrolment.number,
                                         .peer = bw_view_str(peer->name),
                                         .address = bw_view_str(peer->media),
                                         .key = bw_view_of(key, sizeof key)};
        bw_session_probe_plan(cell->relays[i].session, &target, 1, 300, 10);
    }
    cell_until(cell, probed, "probe reports");
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        const struct bw_probe_report *report = &cell->relays[i].last_probe;
        assert_int_equal(report->peer_number, cell->relays[1 - i].enrolment.number);
        assert_in_range(report->samples, 8, 10);
        assert_true(report->rtt_p50_us > 0 && report->rtt_p50_us <= report->rtt_p95_us);
    }
}

static void a_relay_that_claims_what_it_is_not_gets_no_session(void **state)
{
    struct cell *cell = *state;
    static const char *const lies[] = {"DE"};
    struct cell_relay *relay = &cell->relays[0];
    relay->enrolment.jurisdictions = lies; /* it was enrolled otherwise all along */
    unsigned hellos = relay->hellos;
    cell_cut(cell, 0);
    cell_wait(cell, 1500);
    assert_int_equal(relay->hellos, hellos);
    json_t *status = cell_status(cell, 0);
    const json_t *session = json_array_get(json_object_get(status, "cells"), 0);
    assert_string_not_equal(json_string_value(json_object_get(session, "session")), "live");
    json_decref(status);
}

static bool said_bye(struct cell *cell)
{
    return cell->relays[0].bye == 1;
}

static void a_relay_that_is_asked_to_stop_says_goodbye_to_everybody(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slot = cell_slot(1, 1);
    const char *const arguments[] = {"--count", "100000", "--rate", "100", NULL};
    cell_put_slot(cell, 0, &slot);
    cell_settle(cell, 0);
    cell_start_endpoint(cell, 0, 0, &slot, arguments);
    cell_wait(cell, 500);
    kill(cell->relays[0].pid, SIGTERM);
    cell_until(cell, said_bye, "the relay's goodbye");
    int code = -1, status = -1;
    json_t *summary = cell_finish_endpoint(cell, 0, &code);
    assert_int_equal(code, 1);
    assert_string_equal(json_string_value(json_object_get(summary, "reason")), "SHUTDOWN");
    json_decref(summary);
    assert_int_equal(waitpid(cell->relays[0].pid, &status, 0), cell->relays[0].pid);
    cell->relays[0].pid = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void strangers_are_counted_and_get_nothing(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slot = cell_slot(1, 1);
    const char *const arguments[] = {"--count", "1", NULL};
    cell_put_slot(cell, 0, &slot);
    cell_settle(cell, 0);
    /* A grant for the other relay, sent here: this relay's hop key is another, and the grant says whose it
     * is. */
    char other[64];
    memcpy(other, cell->relays[1].media, sizeof other);
    memcpy(cell->relays[1].media, cell->relays[0].media, sizeof other);
    cell_start_endpoint(cell, 0, 1, &slot, arguments);
    memcpy(cell->relays[1].media, other, sizeof other);
    int code = -1;
    json_t *summary = cell_finish_endpoint(cell, 0, &code);
    assert_int_equal(code, 1);
    assert_string_equal(json_string_value(json_object_get(summary, "reason")), "WRONG_RELAY");
    json_decref(summary);
    json_t *status = cell_status(cell, 0);
    assert_int_equal(dropped(status, "refused"), 1);
    json_decref(status);
}

static int udp_socket(char text[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(text, 32, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

/* A media program on one side, one on the other: what goes in comes out, byte for byte. */
static void rtp_is_carried_as_it_is(void **state)
{
    struct cell *cell = *state;
    struct bw_meeting_slot slots[2] = {cell_slot(1, 1), cell_slot(1, 2)};
    char in[32], out[32];
    int reserved = udp_socket(in), sink = udp_socket(out);
    close(reserved); /* the endpoint binds it */
    const char *const sender[] = {"--rtp-in", in, "--linger", "700", NULL};
    const char *const receiver[] = {"--rtp-out", out,        "--count", "0", "--linger",
                                    "2500",      "--expect", "50",      NULL};
    for (size_t i = 0; i < 2; i++)
        cell_put_slot(cell, i, &slots[i]);
    cell_put_link(cell, 1);
    cell_settle(cell, 0);
    cell_settle(cell, 1);
    cell_start_endpoint(cell, 0, 0, &slots[0], sender);
    cell_start_endpoint(cell, 1, 1, &slots[1], receiver);
    cell_wait(cell, 500);
    struct bw_address to;
    struct sockaddr_storage sa;
    assert_int_equal(bw_address_parse(in, &to, NULL), BW_OK);
    socklen_t len = bw_address_to_sockaddr(&to, AF_INET, &sa);
    for (int i = 0; i < 50; i++) {
        uint8_t packet[300] = {0x80, 96, 0, (uint8_t)i};
        packet[299] = (uint8_t)(3 * i);
        assert_int_equal(sendto(sink, packet, sizeof packet, 0, (const struct sockaddr *)&sa, len),
                         sizeof packet);
        cell_wait(cell, 5);
    }
    for (size_t i = 0; i < 2; i++) {
        int code = -1;
        json_decref(cell_finish_endpoint(cell, i, &code));
        assert_int_equal(code, 0);
    }
    for (int i = 0; i < 50; i++) {
        uint8_t packet[400];
        assert_int_equal(recv(sink, packet, sizeof packet, 0), 300);
        assert_int_equal(packet[0], 0x80);
        assert_int_equal(packet[3], i);
        assert_int_equal(packet[299], (uint8_t)(3 * i));
    }
    close(sink);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, cell_setup, cell_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_meeting_over_two_relays_loses_nothing),
        TEST(a_grant_that_does_not_fit_is_refused_with_its_reason),
        TEST(a_removed_slot_ends_its_participant_at_once),
        TEST(forwarding_goes_on_without_the_control_plane_and_the_session_resumes),
        TEST(who_is_early_is_heard_before_the_relay_has_caught_up),
        TEST(relays_measure_their_way_to_each_other),
        TEST(a_relay_that_claims_what_it_is_not_gets_no_session),
        TEST(a_relay_that_is_asked_to_stop_says_goodbye_to_everybody),
        TEST(rtp_is_carried_as_it_is),
        TEST(strangers_are_counted_and_get_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
