#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "grpc/due.h"
#include "grpc/identity.h"
#include "grpc/limits.h"

static void bucket_gives_a_burst_then_its_rate(void **state)
{
    (void)state;
    struct bw_bucket bucket;
    bw_bucket_init(&bucket, 3, bw_bucket_interval(10), 1000);
    for (int i = 0; i < 3; i++)
        assert_true(bw_bucket_take(&bucket, 1000));
    assert_false(bw_bucket_take(&bucket, 1000));
    assert_int_equal(bw_bucket_wait_us(&bucket, 1000), 100000);
    assert_false(bw_bucket_take(&bucket, 100999));
    assert_int_equal(bw_bucket_wait_us(&bucket, 100999), 1);
    assert_true(bw_bucket_take(&bucket, 101000));
    assert_false(bw_bucket_take(&bucket, 101000));
    /* Never more than the burst, and parts of an interval are not lost. */
    assert_true(bw_bucket_take(&bucket, 251000));
    assert_true(bw_bucket_take(&bucket, 301000));
    for (int i = 0; i < 3; i++)
        assert_true(bw_bucket_take(&bucket, 100000000));
    assert_false(bw_bucket_take(&bucket, 100000000));
    bw_bucket_fill(&bucket, 100000000);
    assert_true(bw_bucket_take(&bucket, 100000000));
}

static void bucket_corner_cases(void **state)
{
    (void)state;
    struct bw_bucket bucket;
    bw_bucket_init(&bucket, 0, 0, 0); /* no limit */
    for (int i = 0; i < 1000; i++)
        assert_true(bw_bucket_take(&bucket, 0));
    bw_bucket_init(&bucket, 1, bw_bucket_interval(0), 0); /* one, ever */
    assert_true(bw_bucket_take(&bucket, 0));
    assert_false(bw_bucket_take(&bucket, UINT64_MAX));
    assert_true(bw_bucket_wait_us(&bucket, 5) == UINT64_MAX);
    bw_bucket_init(&bucket, 1, 10, 100);
    assert_true(bw_bucket_take(&bucket, 50)); /* a clock behind does no harm */
    assert_false(bw_bucket_take(&bucket, 50));
}

struct entry {
    struct bw_due due;
    uint64_t at_ms;
    bool set, fired;
};

static void ignore(struct bw_due *due)
{
    (void)due;
}

static void entries_fire_in_time_order_through_any_changes(void **state)
{
    (void)state;
    enum { ENTRIES = 300, STEPS = 20000 };
    static struct entry entries[ENTRIES];
    struct bw_due_heap heap = {0};
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i] = (struct entry){.due.fire = ignore};
        assert_int_equal(bw_due_reserve(&heap, NULL), BW_OK);
    }
    srandom(7);
    uint64_t now = 0;
    for (int step = 0; step < STEPS; step++) {
        struct entry *entry = &entries[(size_t)random() % ENTRIES];
        switch (random() % 4) {
        case 0:
            bw_due_clear(&heap, &entry->due);
            entry->set = false;
            break;
        case 1: {
            now += (uint64_t)random() % 5;
            struct bw_due *due = bw_due_take(&heap, now);
            uint64_t earliest = UINT64_MAX;
            for (size_t i = 0; i < ENTRIES; i++) {
                if (entries[i].set && entries[i].at_ms < earliest)
                    earliest = entries[i].at_ms;
            }
            if (due == NULL) {
                assert_true(earliest > now);
            } else {
                struct entry *taken = (struct entry *)(void *)due;
                assert_true(taken->set && taken->at_ms == earliest && earliest <= now);
                taken->set = false;
            }
            break;
        }
        default:
            entry->at_ms = now + (uint64_t)random() % 200;
            entry->set = true;
            bw_due_set(&heap, &entry->due, entry->at_ms);
        }
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        bw_due_clear(&heap, &entries[i].due);
        bw_due_unreserve(&heap);
    }
    assert_true(bw_due_next_ms(&heap) == UINT64_MAX);
    bw_due_heap_finish(&heap);
}

static void spiffe_ids_are_checked_strictly(void **state)
{
    (void)state;
    static const char *const good[] = {"spiffe://t.example/relay/par1", "spiffe://t/a",
                                       "spiffe://1.2/A-b_c.d/e"};
    static const char *const bad[] = {"",
                                      "spiffe://",
                                      "spiffe://t",
                                      "spiffe://t/",
                                      "spiffe:///a",
                                      "spiffe://T/a",
                                      "spiffe://t:1/a",
                                      "spiffe://u@t/a",
                                      "spiffe://t/a/",
                                      "spiffe://t//a",
                                      "spiffe://t/./a",
                                      "spiffe://t/a/..",
                                      "spiffe://t/a?b",
                                      "spiffe://t/a#b",
                                      "spiffe://t/a%20b",
                                      "SPIFFE://t/a",
                                      "https://t/a"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(bw_spiffe_id_valid(bw_view_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(bw_spiffe_id_valid(bw_view_str(bad[i])));
    assert_false(bw_spiffe_id_valid(bw_view_of("spiffe://t/a\0b", 14)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_gives_a_burst_then_its_rate),
        cmocka_unit_test(bucket_corner_cases),
        cmocka_unit_test(entries_fire_in_time_order_through_any_changes),
        cmocka_unit_test(spiffe_ids_are_checked_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
