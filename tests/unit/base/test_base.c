#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/bitset.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/id.h"
#include "base/machine.h"
#include "base/secret.h"
#include "base/status.h"
#include "check_alloc.h"

static void error_keeps_what_callers_see_apart_from_the_log(void **state)
{
    (void)state;
    struct bw_error err;
    assert_int_equal(bw_fail(&err, BW_NOT_FOUND, "NO_MEETING", "no meeting %d", 7), BW_NOT_FOUND);
    bw_error_log(&err, "row %d missing", 9);
    assert_string_equal(err.show, "no meeting 7");
    assert_string_equal(err.log, "row 9 missing");
    assert_string_equal(err.reason, "NO_MEETING");
    assert_string_equal(bw_code_name(BW_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(bw_code_name((enum bw_code)99), "UNKNOWN");
    assert_int_equal(bw_code_category(BW_UNAVAILABLE), BW_CATEGORY_PASSING);
    assert_int_equal(bw_fail(NULL, BW_INTERNAL, NULL, "nobody listens"), BW_INTERNAL);
}

static void arena_refuses_past_its_cap_and_survives(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(64 * 1024);
    assert_null(bw_arena_alloc(arena, 64 * 1024 + 1));
    assert_null(bw_arena_zalloc(arena, SIZE_MAX, 2));
    size_t given = 0;
    while (bw_arena_alloc(arena, 1000) != NULL)
        given++;
    assert_int_equal(given, 64 * 1024 / 1008);
    bw_arena_reset(arena);
    assert_int_equal(bw_arena_used(arena), 0);
    assert_string_equal(bw_arena_printf(arena, "%s-%d", "par", 1), "par-1");
    char *aligned = bw_arena_alloc(arena, 1);
    assert_int_equal((uintptr_t)aligned % 16, 0);
    bw_arena_destroy(arena);
}

static bool fill_buffer(void *context)
{
    (void)context;
    struct bw_buf buf = {0};
    for (int i = 0; i < 100; i++)
        bw_buf_printf(&buf, "%d,", i);
    bool ok = !buf.failed;
    bw_buf_finish(&buf);
    return ok;
}

static void buffer_failure_is_sticky(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(fill_buffer, NULL, true) > 1);
}

static void reader_accepts_only_what_is_consumed_whole(void **state)
{
    (void)state;
    uint8_t bytes[15];
    struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
    bw_write_u8(&w, 1);
    bw_write_u16(&w, 0x0203);
    bw_write_u32(&w, 0x04050607);
    bw_write_u64(&w, 0x08090a0b0c0d0e0fULL);
    assert_false(w.failed);
    bw_write_u8(&w, 1);
    assert_true(w.failed);

    struct bw_reader r = bw_reader_of(bw_view_of(bytes, sizeof bytes));
    assert_int_equal(bw_read_u8(&r), 1);
    assert_int_equal(bw_read_u16(&r), 0x0203);
    assert_false(bw_reader_done(&r));
    assert_int_equal(bw_read_u32(&r), 0x04050607);
    assert_true(bw_read_u64(&r) == 0x08090a0b0c0d0e0fULL);
    assert_true(bw_reader_done(&r));
    assert_int_equal(bw_read_u8(&r), 0);
    assert_false(bw_reader_done(&r));
}

static void buffer_consumes_from_the_front(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    bw_buf_append_u16(&buf, 0x4142);
    bw_buf_append_u64(&buf, 0x4344454647484950ULL);
    bw_buf_consume(&buf, 1);
    assert_string_equal(bw_buf_cstr(&buf), "BCDEFGHIP");
    bw_buf_consume(&buf, 99);
    assert_int_equal(buf.len, 0);
    bw_buf_finish(&buf);
}

static void bitset_operations_agree_with_a_plain_loop(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(1 << 20);
    for (size_t bits = 1; bits < 200; bits += 13) {
        struct bw_bitset a, b, c;
        assert_true(bw_bitset_init(&a, arena, bits) && bw_bitset_init(&b, arena, bits) &&
                    bw_bitset_init(&c, arena, bits));
        for (size_t i = 0; i < bits; i++) {
            if (i % 3 == 0)
                bw_bitset_set(&a, i);
            if (i % 5 == 0)
                bw_bitset_set(&b, i);
        }
        bw_bitset_copy(&c, &a);
        bw_bitset_andnot(&c, &b);
        size_t expected = 0, seen = 0;
        for (size_t i = 0; i < bits; i++)
            expected += i % 3 == 0 && i % 5 != 0;
        for (size_t i = bw_bitset_next(&c, 0); i < bits; i = bw_bitset_next(&c, i + 1)) {
            assert_true(i % 3 == 0 && i % 5 != 0);
            seen++;
        }
        assert_int_equal(seen, expected);
        assert_int_equal(bw_bitset_count(&c), expected);
        assert_true(bw_bitset_subset(&c, &a));
        bw_bitset_fill(&c);
        assert_int_equal(bw_bitset_count(&c), bits);
        bw_bitset_and(&c, &b);
        assert_true(bw_bitset_equal(&c, &b));
        bw_bitset_zero(&c);
        assert_true(bw_bitset_empty(&c));
    }
    bw_arena_destroy(arena);
}

static void ids_round_trip_and_sort_by_time(void **state)
{
    (void)state;
    uint8_t random[16] = {0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    struct bw_id early = bw_id_v7(1000, random), late = bw_id_v7(1001, random), parsed;
    assert_true(bw_id_compare(&early, &late) < 0);
    assert_int_equal(bw_id_time_ms(&late), 1001);
    char text[BW_ID_TEXT_SIZE];
    bw_id_format(&early, text);
    assert_true(bw_id_parse(bw_view_str(text), &parsed));
    assert_true(bw_id_equal(&early, &parsed));
    assert_int_equal(text[14], '7');
    text[3] = 'g';
    assert_false(bw_id_parse(bw_view_str(text), &parsed));
    assert_false(bw_id_parse(bw_view_str("too short"), &parsed));
    struct bw_id zero = {{0}}, four = bw_id_v4(random);
    assert_true(bw_id_is_zero(&zero));
    assert_false(bw_id_is_zero(&four));
}

static void secrets_are_wiped(void **state)
{
    (void)state;
    struct bw_secret a = {.len = 0}, b = {.len = 0};
    bw_secret_set(&a, "0123456789abcdef", 16);
    bw_secret_set(&b, "0123456789abcdef", 16);
    assert_true(bw_secret_equal(&a, &b));
    bw_secret_finish(&a);
    static const uint8_t zero[BW_SECRET_MAX];
    assert_memory_equal(a.bytes, zero, sizeof zero);
    assert_false(bw_secret_equal(&a, &b));
}

static void machine_knows_only_its_rows(void **state)
{
    (void)state;
    static const char *const states[] = {"shut", "open"}, *const events[] = {"push", "pull"};
    static const struct bw_machine_row rows[] = {{0, 0, 1, 5}, {1, 1, 0, 0}};
    const struct bw_machine door = {"door", states, 2, events, 2, rows, BW_ARRAY_LEN(rows)};
    assert_int_equal(bw_machine_find(&door, 0, 0)->next, 1);
    assert_null(bw_machine_find(&door, 0, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_keeps_what_callers_see_apart_from_the_log),
        cmocka_unit_test(arena_refuses_past_its_cap_and_survives),
        cmocka_unit_test(buffer_failure_is_sticky),
        cmocka_unit_test(reader_accepts_only_what_is_consumed_whole),
        cmocka_unit_test(buffer_consumes_from_the_front),
        cmocka_unit_test(bitset_operations_agree_with_a_plain_loop),
        cmocka_unit_test(ids_round_trip_and_sort_by_time),
        cmocka_unit_test(secrets_are_wiped),
        cmocka_unit_test(machine_knows_only_its_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
