/* Samples that wait for a session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "fleet/quality_queue.h"

static void push(struct bw_quality_queue *queue, uint32_t first, uint32_t last)
{
    for (uint32_t slot = first; slot <= last; slot++)
        bw_quality_queue_push(queue, &(struct bw_relay_quality){.slot = slot});
}

static void take(struct bw_quality_queue *queue, uint32_t first, uint32_t last)
{
    struct bw_relay_quality out[16];
    size_t n = bw_quality_queue_take(queue, out, last - first + 1);
    assert_int_equal(n, last - first + 1);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(out[i].slot, first + i);
}

static void what_arrived_is_not_sent_again(void **state)
{
    (void)state;
    struct bw_quality_queue *queue = bw_quality_queue_create(8);
    struct bw_relay_quality out[16];
    push(queue, 1, 5);
    take(queue, 1, 3);
    push(queue, 6, 7); /* while those are on their way */
    bw_quality_queue_settle(queue, BW_REPORT_ARRIVED);
    take(queue, 4, 7);
    bw_quality_queue_settle(queue, BW_REPORT_UNWANTED);
    assert_int_equal(bw_quality_queue_take(queue, out, 16), 0);
    struct bw_quality_queue_counts counts = bw_quality_queue_counts(queue);
    assert_int_equal(counts.settled, 3);
    assert_int_equal(counts.given_up, 4);
    assert_int_equal(counts.waiting, 0);
    assert_int_equal(counts.dropped, 0);
    bw_quality_queue_destroy(queue);
}

static void what_may_not_have_arrived_is_sent_again_in_order(void **state)
{
    (void)state;
    struct bw_quality_queue *queue = bw_quality_queue_create(8);
    push(queue, 1, 4);
    take(queue, 1, 2);
    take(queue, 3, 4); /* in a second message of the same call */
    push(queue, 5, 5);
    bw_quality_queue_settle(queue, BW_REPORT_LOST);
    take(queue, 1, 5);
    bw_quality_queue_settle(queue, BW_REPORT_ARRIVED);
    assert_int_equal(bw_quality_queue_counts(queue).settled, 5);
    bw_quality_queue_destroy(queue);
}

static void without_room_the_oldest_go_and_are_counted(void **state)
{
    (void)state;
    struct bw_quality_queue *queue = bw_quality_queue_create(4);
    push(queue, 1, 4);
    take(queue, 1, 2);
    push(queue, 5, 7); /* pushes out 1 and 2, which are on their way, and 3 */
    assert_int_equal(bw_quality_queue_counts(queue).dropped, 3);
    bw_quality_queue_settle(queue, BW_REPORT_ARRIVED); /* nothing of the queue was: they have gone */
    assert_int_equal(bw_quality_queue_counts(queue).settled, 0);
    take(queue, 4, 7);
    bw_quality_queue_destroy(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_arrived_is_not_sent_again),
        cmocka_unit_test(what_may_not_have_arrived_is_sent_again_in_order),
        cmocka_unit_test(without_room_the_oldest_go_and_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
