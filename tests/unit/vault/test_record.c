#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "vault/record.h"

static const uint8_t key[BW_RECORD_KEY_SIZE] = {1, 2, 3}, hedge[BW_RECORD_HEDGE_SIZE] = {4, 5, 6},
                     random_bytes[BW_RECORD_RANDOM_SIZE] = {7, 8, 9};

static const struct bw_record_info info = {
    .type = BW_RECORD_CHUNK,
    .meeting_key = {{0xa1, 0xa2}},
    .stream = {{0xb1, 0xb2}},
    .chunk_seq = 0x0102030405060708,
    .time_bucket = -2,
    .epoch = 0x11121314,
    .schema = 0x2122,
    .pad_class = 6,
};

static const struct bw_record_context context = {
    .tenant = {{0x10}},
    .meeting = {{0x20}},
    .row = {{0x30}},
    .region = {0x40},
    .scope = {0x50},
    .table = "qchk",
    .column = "body",
};

static struct bw_gcm *make_gcm(void)
{
    struct bw_gcm *gcm = NULL;
    assert_int_equal(bw_gcm_create(&gcm, NULL), BW_OK);
    return gcm;
}

static struct bw_buf seal_as(const struct bw_record_info *as, struct bw_view plaintext)
{
    struct bw_gcm *gcm = make_gcm();
    struct bw_buf record = {0};
    assert_int_equal(bw_record_seal(gcm, key, as, &context, plaintext, hedge, random_bytes, &record, NULL),
                     BW_OK);
    bw_gcm_destroy(gcm);
    return record;
}

/* Opens into a buffer that already holds something; on refusal nothing may change there. */
static enum bw_code open_at(const struct bw_record_context *where, const uint8_t *with, struct bw_view record,
                            struct bw_error *err)
{
    struct bw_gcm *gcm = make_gcm();
    struct bw_buf plain = {0};
    struct bw_record_info got, untouched;
    memset(&got, 0x77, sizeof got);
    untouched = got;
    bw_buf_append_str(&plain, "before");
    enum bw_code code = bw_record_open(gcm, with, where, record, &got, &plain, err);
    if (code != BW_OK) {
        assert_int_equal(plain.len, 6);
        assert_memory_equal(&got, &untouched, sizeof got);
    }
    bw_buf_finish(&plain);
    bw_gcm_destroy(gcm);
    return code;
}

static void check_same(const struct bw_record_info *a, const struct bw_record_info *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->flags, b->flags);
    assert_true(bw_id_equal(&a->meeting_key, &b->meeting_key) &&
                bw_id_equal(&a->participant_key, &b->participant_key) && bw_id_equal(&a->stream, &b->stream));
    assert_int_equal(a->chunk_seq, b->chunk_seq);
    assert_int_equal(a->time_bucket, b->time_bucket);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->schema, b->schema);
    assert_int_equal(a->pad_class, b->pad_class);
}

static void what_is_sealed_opens_and_is_172_bytes_longer(void **state)
{
    (void)state;
    static const uint16_t classes[] = {0, 5, 6, 12, 16};
    static const size_t sizes[] = {0, 1, 31, 32, 33, 63, 64, 4095, 4096, 4097, 70000};
    struct bw_gcm *gcm = make_gcm();
    uint8_t *text = malloc(70000);
    assert_non_null(text);
    for (size_t i = 0; i < 70000; i++)
        text[i] = (uint8_t)(i % 5 == 0 ? 0x80 : i % 7); /* also what padding looks like */
    for (size_t i = 0; i < BW_ARRAY_LEN(classes); i++)
        for (size_t j = 0; j < BW_ARRAY_LEN(sizes); j++) {
            struct bw_record_info as = info, got;
            as.pad_class = classes[i];
            struct bw_view plaintext = bw_view_of(text, sizes[j]);
            struct bw_buf record = seal_as(&as, plaintext), plain = {0};
            assert_int_equal(record.len, bw_record_size(sizes[j], classes[i]));
            if (classes[i] == 0) {
                assert_int_equal(record.len, sizes[j] + BW_RECORD_OVERHEAD);
            } else {
                size_t block = (size_t)1 << classes[i];
                assert_int_equal((record.len - BW_RECORD_OVERHEAD) % block, 0);
                assert_true(record.len - BW_RECORD_OVERHEAD - sizes[j] <= block);
            }
            assert_int_equal(bw_record_open(gcm, key, &context, bw_buf_view(&record), &got, &plain, NULL),
                             BW_OK);
            assert_true(bw_view_equal(bw_buf_view(&plain), plaintext));
            check_same(&got, &as);
            bw_buf_finish(&record);
            bw_buf_finish(&plain);
        }
    free(text);
    bw_gcm_destroy(gcm);
}

static void fields_lie_where_the_format_says(void **state)
{
    (void)state;
    struct bw_buf record = seal_as(&info, bw_view_str("hello"));
    const uint8_t *at = record.data;
    assert_int_equal(record.len, 172 + 64);
    static const uint8_t head[] = {'M', 'R', 'E', 'C', 1, 1, BW_RECORD_CHUNK, 0};
    static const uint8_t fixed[] = {1,    2,    3,    4,    5,    6,    7,    8,    0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xfe, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22,
                                    0,    6,    0,    0,    0,    0,    0,    0,    0,    0};
    static const uint8_t length[] = {0, 0, 0, 64};
    assert_memory_equal(at, head, sizeof head);
    assert_memory_equal(at + 8, info.meeting_key.bytes, 16);
    assert_memory_equal(at + 24, info.participant_key.bytes, 16);
    assert_memory_equal(at + 40, info.stream.bytes, 16);
    assert_memory_equal(at + 56, fixed, sizeof fixed);
    assert_memory_equal(at + 152, length, sizeof length);
    bw_buf_finish(&record);
}

static void every_changed_bit_is_refused(void **state)
{
    (void)state;
    struct bw_buf record = seal_as(&info, bw_view_str("who joined, from where, with which client"));
    for (size_t bit = 0; bit < record.len * 8; bit++) {
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum bw_code code = open_at(&context, key, bw_buf_view(&record), NULL);
        assert_true(code == BW_DATA_LOSS || code == BW_UNIMPLEMENTED);
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(open_at(&context, key, bw_buf_view(&record), NULL), BW_OK);
    bw_buf_finish(&record);
}

static void every_truncation_and_extension_is_refused(void **state)
{
    (void)state;
    struct bw_buf record = seal_as(&info, bw_view_str("who joined, from where, with which client"));
    for (size_t len = 0; len < record.len; len++) {
        uint8_t *exact = malloc(len + 1); /* so that a sanitizer sees one byte too many */
        assert_non_null(exact);
        memcpy(exact, record.data, len);
        assert_int_equal(open_at(&context, key, bw_view_of(exact, len), NULL), BW_DATA_LOSS);
        free(exact);
    }
    bw_buf_append_u8(&record, 0);
    assert_int_equal(open_at(&context, key, bw_buf_view(&record), NULL), BW_DATA_LOSS);
    bw_buf_finish(&record);
}

/* A record moved to another row, column, table, meeting, tenant, scope or region. */
static void a_record_opens_only_where_it_was_put(void **state)
{
    (void)state;
    struct bw_buf record = seal_as(&info, bw_view_str("hello"));
    struct bw_error err;
    for (size_t bit = 0; bit < sizeof context * 8; bit++) {
        struct bw_record_context moved = context;
        ((uint8_t *)&moved)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(open_at(&moved, key, bw_buf_view(&record), &err), BW_DATA_LOSS);
        assert_string_equal(err.reason, "RECORD_COMMITMENT");
    }
    assert_int_equal(sizeof context, BW_RECORD_CONTEXT_SIZE);
    for (size_t bit = 0; bit < sizeof key * 8; bit++) {
        uint8_t other[sizeof key];
        memcpy(other, key, sizeof key);
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(open_at(&context, other, bw_buf_view(&record), &err), BW_DATA_LOSS);
        assert_string_equal(err.reason, "RECORD_COMMITMENT");
    }
    bw_buf_finish(&record);
}

static void other_versions_suites_and_flags_are_not_guessed_at(void **state)
{
    (void)state;
    enum { VERSION = 4, SUITE = 5, FLAGS = 7, PAD_CLASS = 79 };
    struct bw_buf record = seal_as(&info, bw_view_str("hello"));
    struct bw_error err;
    static const size_t at[] = {VERSION, SUITE, FLAGS, PAD_CLASS};
    for (size_t i = 0; i < BW_ARRAY_LEN(at); i++) {
        uint8_t was = record.data[at[i]];
        for (unsigned value = 0; value < 256; value++) {
            if (value == was || (at[i] == PAD_CLASS && (value == 0 || (value >= 5 && value <= 16))))
                continue;
            record.data[at[i]] = (uint8_t)value;
            assert_int_equal(open_at(&context, key, bw_buf_view(&record), &err), BW_UNIMPLEMENTED);
            assert_string_equal(err.reason, "RECORD_VERSION");
        }
        record.data[at[i]] = was;
    }
    struct bw_gcm *gcm = make_gcm();
    for (unsigned pad_class = 1; pad_class < 70; pad_class++) {
        struct bw_record_info as = info;
        as.pad_class = (uint16_t)pad_class;
        if (pad_class < BW_RECORD_PAD_CLASS_MIN || pad_class > BW_RECORD_PAD_CLASS_MAX)
            assert_int_equal(
                bw_record_seal(gcm, key, &as, &context, bw_view_str("x"), hedge, random_bytes, &record, NULL),
                BW_INVALID_ARGUMENT);
    }
    struct bw_record_info as = info;
    as.flags = 1;
    assert_int_equal(
        bw_record_seal(gcm, key, &as, &context, bw_view_str("x"), hedge, random_bytes, &record, NULL),
        BW_INVALID_ARGUMENT);
    bw_gcm_destroy(gcm);
    bw_buf_finish(&record);
}

static void a_stuck_random_source_does_not_repeat_a_salt(void **state)
{
    (void)state;
    struct bw_buf a = seal_as(&info, bw_view_str("one")), b = seal_as(&info, bw_view_str("two")),
                  same = seal_as(&info, bw_view_str("one"));
    struct bw_record_info next = info;
    next.chunk_seq++;
    struct bw_buf c = seal_as(&next, bw_view_str("one"));
    enum { SALT = 88, SIZE = 32 };
    assert_memory_not_equal(a.data + SALT, b.data + SALT, SIZE);
    assert_memory_not_equal(a.data + SALT, c.data + SALT, SIZE);
    /* The very same record says nothing new. */
    assert_true(bw_view_equal(bw_buf_view(&a), bw_buf_view(&same)));

    struct bw_gcm *gcm = make_gcm();
    struct bw_record_context moved = context;
    moved.row.bytes[0] ^= 1;
    struct bw_buf elsewhere = {0}, other_hedge = {0}, other_random = {0};
    assert_int_equal(
        bw_record_seal(gcm, key, &info, &moved, bw_view_str("one"), hedge, random_bytes, &elsewhere, NULL),
        BW_OK);
    assert_int_equal(
        bw_record_seal(gcm, key, &info, &context, bw_view_str("one"), key, random_bytes, &other_hedge, NULL),
        BW_OK);
    assert_int_equal(
        bw_record_seal(gcm, key, &info, &context, bw_view_str("one"), hedge, key, &other_random, NULL),
        BW_OK);
    assert_memory_not_equal(a.data + SALT, elsewhere.data + SALT, SIZE);
    assert_memory_not_equal(a.data + SALT, other_hedge.data + SALT, SIZE);
    assert_memory_not_equal(a.data + SALT, other_random.data + SALT, SIZE);
    struct bw_buf *all[] = {&a, &b, &c, &same, &elsewhere, &other_hedge, &other_random};
    for (size_t i = 0; i < BW_ARRAY_LEN(all); i++)
        bw_buf_finish(all[i]);
    bw_gcm_destroy(gcm);
}

static void too_much_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    struct bw_gcm *gcm = make_gcm();
    struct bw_buf record = {0};
    uint8_t byte = 0;
    assert_int_equal(bw_record_seal(gcm, key, &info, &context, bw_view_of(&byte, BW_RECORD_PLAIN_MAX + 1u),
                                    hedge, random_bytes, &record, NULL),
                     BW_INVALID_ARGUMENT);
    assert_int_equal(record.cap, 0);
    bw_gcm_destroy(gcm);
}

static bool seal_and_open(void *unused)
{
    (void)unused;
    struct bw_gcm *gcm = NULL;
    struct bw_buf record = {0}, plain = {0};
    struct bw_record_info got;
    struct bw_error err = {0};
    bool ok = bw_gcm_create(&gcm, &err) == BW_OK &&
              bw_record_seal(gcm, key, &info, &context, bw_view_str("hello"), hedge, random_bytes, &record,
                             &err) == BW_OK &&
              bw_record_open(gcm, key, &context, bw_buf_view(&record), &got, &plain, &err) == BW_OK &&
              bw_view_equal_str(bw_buf_view(&plain), "hello");
    if (!ok)
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
    bw_buf_finish(&record);
    bw_buf_finish(&plain);
    bw_gcm_destroy(gcm);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(seal_and_open, NULL, true) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_and_is_172_bytes_longer),
        cmocka_unit_test(fields_lie_where_the_format_says),
        cmocka_unit_test(every_changed_bit_is_refused),
        cmocka_unit_test(every_truncation_and_extension_is_refused),
        cmocka_unit_test(a_record_opens_only_where_it_was_put),
        cmocka_unit_test(other_versions_suites_and_flags_are_not_guessed_at),
        cmocka_unit_test(a_stuck_random_source_does_not_repeat_a_salt),
        cmocka_unit_test(too_much_is_refused_before_memory_is_taken),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
