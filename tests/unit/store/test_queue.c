/* The order of rows on their way into groups, without a database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "store/flight.h"
#include "store/queue.h"

struct seen {
    unsigned int calls;
    struct bw_store_result last;
};

static void on_done(void *context, const struct bw_store_result *result)
{
    struct seen *seen = context;
    seen->calls++;
    seen->last = *result;
}

static struct bw_store_row row_of(uint8_t meeting, uint32_t seq, uint64_t facts)
{
    static const uint32_t relays[] = {4, 2};
    return (struct bw_store_row){.meeting = {{meeting}},
                                 .tenant = {{0xaa}},
                                 .request = {{meeting, (uint8_t)seq}},
                                 .seq = seq,
                                 .facts_revision = facts,
                                 .relays = relays,
                                 .relay_count = 2,
                                 .record = bw_view_str("some record")};
}

static void submit(struct bw_store_queue *queue, uint8_t meeting, uint32_t seq, uint64_t facts,
                   struct seen *seen)
{
    struct bw_store_row row = row_of(meeting, seq, facts);
    *seen = (struct seen){0};
    assert_int_equal(bw_store_queue_submit(queue, &row, on_done, seen, NULL), BW_OK);
}

static void end(struct bw_store_queue *queue, struct bw_store_pending **rows, uint32_t count,
                enum bw_store_outcome outcome)
{
    for (uint32_t i = 0; i < count; i++)
        rows[i]->result.outcome = outcome;
    bw_store_queue_end(queue, rows, count);
    bw_store_queue_deliver(queue);
}

static void a_group_is_in_key_order(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *rows[10];
    struct seen seen[5];
    submit(&queue, 3, 0, 1, &seen[0]);
    submit(&queue, 1, 7, 1, &seen[1]);
    submit(&queue, 2, 0, 1, &seen[2]);
    submit(&queue, 1, 8, 1, &seen[3]);
    submit(&queue, 3, 1, 1, &seen[4]);
    assert_int_equal(bw_store_queue_take(&queue, rows, 10, 1 << 20), 5);
    static const struct {
        uint8_t meeting;
        uint32_t seq;
    } want[] = {{1, 7}, {1, 8}, {2, 0}, {3, 0}, {3, 1}};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rows[i]->row.meeting.bytes[0], want[i].meeting);
        assert_int_equal(rows[i]->row.seq, want[i].seq);
    }
    end(&queue, rows, 5, BW_STORE_COMMITTED);
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen[i].calls, 1);
    bw_store_queue_finish(&queue);
}

static void a_meeting_in_flight_waits_and_then_goes_on(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *first[2], *second[10], *third[10];
    struct seen seen[5];
    for (uint32_t seq = 0; seq < 4; seq++)
        submit(&queue, 1, seq, 1, &seen[seq]);
    submit(&queue, 2, 0, 1, &seen[4]);
    assert_int_equal(bw_store_queue_take(&queue, first, 2, 1 << 20), 2); /* cut in the middle of meeting 1 */
    assert_int_equal(bw_store_queue_take(&queue, second, 10, 1 << 20), 1);
    assert_int_equal(second[0]->row.meeting.bytes[0], 2);
    assert_int_equal(bw_store_queue_take(&queue, third, 10, 1 << 20), 0);
    end(&queue, first, 2, BW_STORE_COMMITTED);
    assert_int_equal(bw_store_queue_take(&queue, third, 10, 1 << 20), 2);
    assert_int_equal(third[0]->row.seq, 2);
    end(&queue, third, 2, BW_STORE_COMMITTED);
    end(&queue, second, 1, BW_STORE_COMMITTED);
    bw_store_queue_finish(&queue);
}

static void what_waits_behind_a_failed_row_fails_with_it(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *rows[4];
    struct seen seen[4], other;
    submit(&queue, 1, 0, 1, &seen[0]);
    submit(&queue, 2, 0, 1, &other);
    uint32_t count = bw_store_queue_take(&queue, rows, 4, 1 << 20);
    assert_int_equal(count, 2);
    submit(&queue, 1, 1, 1, &seen[1]);
    submit(&queue, 1, 2, 1, &seen[2]);
    rows[0]->result.outcome = BW_STORE_STALE_KEY;
    bw_store_queue_end(&queue, rows, 1);
    bw_store_queue_deliver(&queue);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen[i].calls, 1);
        assert_int_equal(seen[i].last.outcome, BW_STORE_STALE_KEY);
    }
    assert_int_equal(other.calls, 0);
    /* The owner has looked again and submits from where the meeting is. */
    submit(&queue, 1, 1, 1, &seen[3]);
    end(&queue, rows + 1, 1, BW_STORE_COMMITTED);
    assert_int_equal(bw_store_queue_take(&queue, rows, 4, 1 << 20), 1);
    end(&queue, rows, 1, BW_STORE_COMMITTED);
    assert_int_equal(seen[3].calls, 1);
    bw_store_queue_finish(&queue);
}

static void groups_are_bounded_in_rows_and_bytes(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *rows[100];
    struct seen seen[60];
    for (uint8_t i = 0; i < 60; i++)
        submit(&queue, i, 0, 1, &seen[i]);
    assert_int_equal(queue.waiting, 60);
    uint32_t count = bw_store_queue_take(&queue, rows, 7, 1 << 20);
    assert_int_equal(count, 7);
    end(&queue, rows, count, BW_STORE_COMMITTED);
    size_t one = queue.bytes / queue.rows;
    count = bw_store_queue_take(&queue, rows, 100, one * 5);
    assert_int_equal(count, 5);
    assert_int_equal(rows[0]->row.meeting.bytes[0], 7); /* nobody is overtaken */
    end(&queue, rows, count, BW_STORE_COMMITTED);
    count = bw_store_queue_take(&queue, rows, 100, 1); /* a row bigger than the bound goes alone */
    assert_int_equal(count, 1);
    end(&queue, rows, count, BW_STORE_COMMITTED);
    bw_store_queue_fail_waiting(&queue, BW_STORE_UNAVAILABLE);
    bw_store_queue_deliver(&queue);
    assert_int_equal(seen[59].last.outcome, BW_STORE_UNAVAILABLE);
    bw_store_queue_finish(&queue);
}

static void rows_older_than_the_newest_facts_are_stale_before_they_are_sent(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *rows[10];
    struct seen old[2], fresh;
    submit(&queue, 1, 0, 5, &old[0]);
    submit(&queue, 1, 1, 5, &old[1]);
    submit(&queue, 2, 0, 6, &fresh);
    assert_int_equal(bw_store_queue_take(&queue, rows, 10, 1 << 20), 1);
    bw_store_queue_deliver(&queue);
    assert_int_equal(old[0].last.outcome, BW_STORE_STALE_FACTS);
    assert_int_equal(old[1].calls, 1);
    end(&queue, rows, 1, BW_STORE_COMMITTED);
    bw_store_queue_finish(&queue);
}

static void two_calls_with_one_request_id_never_share_a_group(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *rows[10];
    struct seen seen[3];
    for (uint8_t i = 0; i < 3; i++) {
        struct bw_store_row row = row_of(i, 0, 1);
        row.request = (struct bw_id){{1}};
        row.method = i < 2 ? "CreateMeeting" : "EndMeeting";
        seen[i] = (struct seen){0};
        assert_int_equal(bw_store_queue_submit(&queue, &row, on_done, &seen[i], NULL), BW_OK);
    }
    assert_int_equal(bw_store_queue_take(&queue, rows, 10, 1 << 20), 2);
    end(&queue, rows, 2, BW_STORE_COMMITTED);
    assert_int_equal(bw_store_queue_take(&queue, rows, 10, 1 << 20), 1);
    end(&queue, rows, 1, BW_STORE_COMMITTED);
    bw_store_queue_finish(&queue);
}

struct resubmit {
    struct bw_store_queue *queue;
    unsigned int calls;
};

static void on_done_again(void *context, const struct bw_store_result *result)
{
    struct resubmit *again = context;
    (void)result;
    if (++again->calls < 3) {
        struct bw_store_row row = row_of(1, again->calls, 1);
        assert_int_equal(bw_store_queue_submit(again->queue, &row, on_done_again, again, NULL), BW_OK);
    }
}

static void a_callback_may_submit_for_the_same_meeting(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_pending *rows[10];
    struct resubmit again = {.queue = &queue};
    struct bw_store_row row = row_of(1, 0, 1);
    assert_int_equal(bw_store_queue_submit(&queue, &row, on_done_again, &again, NULL), BW_OK);
    for (uint32_t seq = 0; seq < 3; seq++) {
        assert_int_equal(bw_store_queue_take(&queue, rows, 10, 1 << 20), 1);
        assert_int_equal(rows[0]->row.seq, seq);
        end(&queue, rows, 1, seq == 1 ? BW_STORE_STALE_KEY : BW_STORE_COMMITTED);
    }
    assert_int_equal(again.calls, 3);
    bw_store_queue_finish(&queue);
}

/* Rows that the database named leave with what they pull along; the rest stays a group. */
static void a_split_takes_whole_meetings(void **state)
{
    (void)state;
    struct bw_store_queue queue = {0};
    struct bw_store_flight flight;
    struct bw_store_pending *moved[10];
    struct seen seen[6];
    assert_int_equal(bw_store_flight_init(&flight, 10, NULL), BW_OK);
    for (uint8_t i = 0; i < 6; i++)
        submit(&queue, i / 2, i % 2, 1, &seen[i]);
    flight.count = bw_store_queue_take(&queue, flight.rows, 10, 1 << 20);
    assert_int_equal(flight.count, 6);
    flight.rows[3]->result.outcome = BW_STORE_STALE_POLICY; /* meeting 1, its second row */
    assert_int_equal(bw_store_flight_split(&flight, moved), 2);
    assert_int_equal(flight.count, 4);
    assert_int_equal(moved[0]->result.outcome, BW_STORE_STALE_POLICY);
    bw_store_queue_end(&queue, moved, 2);
    end(&queue, flight.rows, flight.count, BW_STORE_COMMITTED);
    for (int i = 0; i < 6; i++)
        assert_int_equal(seen[i].last.outcome, i / 2 == 1 ? BW_STORE_STALE_POLICY : BW_STORE_COMMITTED);
    bw_store_flight_finish(&flight);
    bw_store_queue_finish(&queue);
}

static bool submit_and_encode(void *context)
{
    (void)context;
    struct bw_store_queue queue = {0};
    struct bw_store_flight flight;
    struct bw_pg_params params = {0};
    struct seen seen[8] = {0};
    if (bw_store_flight_init(&flight, 8, NULL) != BW_OK)
        return false;
    bool fine = true;
    for (uint8_t i = 0; i < 8; i++) {
        struct bw_store_row row = row_of(i % 4, i / 4, 1);
        row.method = "CreateMeeting";
        row.request.bytes[5] = i;
        enum bw_code code = bw_store_queue_submit(&queue, &row, on_done, &seen[i], NULL);
        assert_true(code == BW_OK || code == BW_RESOURCE_EXHAUSTED);
        fine = fine && code == BW_OK;
    }
    unsigned int accepted = queue.rows;
    flight.count = bw_store_queue_take(&queue, flight.rows, 8, 1 << 20);
    static const struct bw_store_sealing none = {.context = NULL}; /* nothing is sealed here */
    fine = bw_store_flight_encode(&flight, &none, &params) && fine;
    fine = bw_store_flight_encode_conflicts(&flight, &params) && fine;
    end(&queue, flight.rows, flight.count, BW_STORE_COMMITTED);
    bw_store_queue_fail_waiting(&queue, BW_STORE_UNAVAILABLE);
    bw_store_queue_deliver(&queue);
    unsigned int calls = 0;
    for (int i = 0; i < 8; i++)
        calls += seen[i].calls;
    assert_int_equal(calls, accepted); /* exactly one answer for each row that was taken */
    bw_pg_params_finish(&params);
    bw_store_flight_finish(&flight);
    bw_store_queue_finish(&queue);
    return fine;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(submit_and_encode, NULL, true) > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_in_key_order),
        cmocka_unit_test(a_meeting_in_flight_waits_and_then_goes_on),
        cmocka_unit_test(what_waits_behind_a_failed_row_fails_with_it),
        cmocka_unit_test(groups_are_bounded_in_rows_and_bytes),
        cmocka_unit_test(rows_older_than_the_newest_facts_are_stale_before_they_are_sent),
        cmocka_unit_test(two_calls_with_one_request_id_never_share_a_group),
        cmocka_unit_test(a_callback_may_submit_for_the_same_meeting),
        cmocka_unit_test(a_split_takes_whole_meetings),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
