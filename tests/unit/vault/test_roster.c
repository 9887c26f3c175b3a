#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "fixture.h"
#include "vault/roster.h"

static const uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};

static struct bw_roster_entry full_entry(void)
{
    return (struct bw_roster_entry){
        .user = bw_view_str("somebody@uni.example"),
        .address = bw_view_of(address, sizeof address),
        .country = bw_view_str("US-CA"),
        .region = bw_view_str("us-west"),
        .client_version = bw_view_str("web 12.4.1"),
        .transport = bw_view_str("udp"),
        .home_tenant = bw_view_str("acme"),
        .platform = bw_view_str("Linux; desktop"),
        .slot = 7,
        .asn = 64500,
        .joined_ms = 1792000000000,
        .kind = 2,
    };
}

static void check_same(const struct bw_roster_entry *a, const struct bw_roster_entry *b)
{
    assert_true(bw_view_equal(a->user, b->user));
    assert_true(bw_view_equal(a->address, b->address));
    assert_true(bw_view_equal(a->country, b->country));
    assert_true(bw_view_equal(a->region, b->region));
    assert_true(bw_view_equal(a->client_version, b->client_version));
    assert_true(bw_view_equal(a->transport, b->transport));
    assert_true(bw_view_equal(a->home_tenant, b->home_tenant));
    assert_true(bw_view_equal(a->platform, b->platform));
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->asn, b->asn);
    assert_int_equal(a->joined_ms, b->joined_ms);
    assert_int_equal(a->kind, b->kind);
}

static void an_entry_comes_back_with_every_field(void **state)
{
    (void)state;
    const struct bw_roster_entry full = full_entry(), none = {0},
                                 some = {.address = bw_view_of(address, 4), .slot = UINT32_MAX};
    const struct bw_roster_entry *const entries[] = {&full, &none, &some};
    for (size_t i = 0; i < BW_ARRAY_LEN(entries); i++) {
        struct bw_buf plain = {0};
        struct bw_roster_entry back;
        assert_int_equal(bw_roster_entry_encode(entries[i], &plain, NULL), BW_OK);
        assert_int_equal(bw_roster_entry_decode(bw_buf_view(&plain), &back, NULL), BW_OK);
        check_same(&back, entries[i]);
        assert_true(plain.len <= BW_ROSTER_ENTRY_MAX);
        bw_buf_finish(&plain);
    }
}

static void an_entry_that_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    static uint8_t longest[255];
    memset(longest, 'x', sizeof longest);
    struct bw_view too_long = bw_view_of(longest, sizeof longest);
    struct bw_buf plain = {0};
    struct bw_error err;
    struct bw_roster_entry entry = full_entry();
    entry.user = too_long;
    assert_int_equal(bw_roster_entry_encode(&entry, &plain, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "user"));
    entry = full_entry();
    entry.client_version = bw_view_of(longest, BW_ROSTER_TEXT_MAX + 1);
    assert_int_equal(bw_roster_entry_encode(&entry, &plain, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "client_version"));
    entry = full_entry();
    entry.platform = bw_view_of("a\nb", 3);
    assert_int_equal(bw_roster_entry_encode(&entry, &plain, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "platform"));
    entry = full_entry();
    entry.address.len = 5;
    assert_int_equal(bw_roster_entry_encode(&entry, &plain, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "address"));
    assert_int_equal(plain.len, 0);
    bw_buf_finish(&plain);
}

static enum bw_code decode(const void *bytes, size_t len)
{
    struct bw_roster_entry entry;
    return bw_roster_entry_decode(bw_view_of(bytes, len), &entry, NULL);
}

static void a_malformed_entry_is_refused(void **state)
{
    (void)state;
    struct bw_buf plain = {0};
    const struct bw_roster_entry full = full_entry();
    assert_int_equal(bw_roster_entry_encode(&full, &plain, NULL), BW_OK);
    /* Cut inside a field; at a field's end it is an entry with fewer fields. */
    size_t whole = 0;
    for (size_t len = 0; len < plain.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, plain.data, len);
        enum bw_code code = decode(exact, len);
        if (len == whole) {
            assert_int_equal(code, BW_OK);
            whole += 2u + plain.data[len + 1];
        } else {
            assert_int_equal(code, BW_DATA_LOSS);
        }
        free(exact);
    }
    bw_buf_finish(&plain);
    assert_int_equal(decode("\1\0", 2), BW_DATA_LOSS);          /* empty values are left out */
    assert_int_equal(decode("\3\2DE\1\1x", 7), BW_DATA_LOSS);   /* out of order */
    assert_int_equal(decode("\1\1x\1\1x", 6), BW_DATA_LOSS);    /* twice */
    assert_int_equal(decode("\2\5abcde", 7), BW_DATA_LOSS);     /* no address */
    assert_int_equal(decode("\11\2\0\1", 4), BW_DATA_LOSS);     /* a slot of two bytes */
    assert_int_equal(decode("\11\4\0\0\0\0", 6), BW_DATA_LOSS); /* zero is left out */
    assert_int_equal(decode("\0\1x", 3), BW_DATA_LOSS);         /* no such field */
    assert_int_equal(decode("\15\1x", 3), BW_DATA_LOSS);        /* one that must be understood */
    assert_int_equal(decode("\1\1x\200\1x\377\1x", 9), BW_OK);  /* some that need not be */
    assert_int_equal(decode("\1\1\n", 3), BW_DATA_LOSS);
    uint8_t long_entry[BW_ROSTER_ENTRY_MAX + 1] = {0};
    assert_int_equal(decode(long_entry, sizeof long_entry), BW_DATA_LOSS);
}

static void a_body_gives_its_entries_back_in_order(void **state)
{
    (void)state;
    struct bw_roster_body body = {0};
    uint8_t sealed[BW_ROSTER_SEALED_OVERHEAD + 3] = {9};
    struct bw_id meeting = id_of(1), entry = id_of(2);
    uint32_t index = 99;
    for (int round = 0; round < 2; round++) { /* the second time in the same memory */
        bw_roster_begin(&body);
        for (uint32_t i = 0; i < 3; i++) {
            entry.bytes[0] = (uint8_t)i;
            assert_int_equal(bw_roster_add(&body, &meeting, &entry,
                                           bw_view_of(sealed, BW_ROSTER_SEALED_OVERHEAD + i), &index, NULL),
                             BW_OK);
            assert_int_equal(index, i);
        }
        struct bw_roster_reader reader;
        struct bw_roster_item item;
        struct bw_view bytes = bw_roster_body(&body);
        assert_int_equal(bytes.len, 4 + 3 * (34 + BW_ROSTER_SEALED_OVERHEAD) + 3);
        assert_int_equal(bw_roster_read(bytes, &reader, NULL), BW_OK);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(bw_roster_next(&reader, &item, NULL), BW_OK);
            assert_int_equal(item.index, i);
            assert_int_equal(item.roster_entry.bytes[0], i);
            assert_int_equal(item.sealed.len, BW_ROSTER_SEALED_OVERHEAD + i);
        }
        assert_int_equal(bw_roster_next(&reader, &item, NULL), BW_NOT_FOUND);
    }
    bw_roster_finish(&body);
}

/* Reads all of it: OK or why not. */
static enum bw_code walk(struct bw_view body)
{
    struct bw_roster_reader reader;
    struct bw_roster_item item;
    enum bw_code code = bw_roster_read(body, &reader, NULL);
    while (code == BW_OK)
        code = bw_roster_next(&reader, &item, NULL);
    return code == BW_NOT_FOUND ? BW_OK : code;
}

static void a_body_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    struct bw_roster_body body = {0};
    uint8_t sealed[BW_ROSTER_SEALED_OVERHEAD] = {0};
    const struct bw_id id = id_of(1);
    uint32_t index;
    bw_roster_begin(&body);
    for (int i = 0; i < 2; i++)
        assert_int_equal(bw_roster_add(&body, &id, &id, bw_view_of(sealed, sizeof sealed), &index, NULL),
                         BW_OK);
    struct bw_view whole = bw_roster_body(&body);
    assert_int_equal(walk(whole), BW_OK);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(walk(bw_view_of(whole.data, len)), BW_DATA_LOSS);
    body.count = 1; /* bytes behind the last entry */
    assert_int_equal(walk(bw_roster_body(&body)), BW_DATA_LOSS);
    body.count = 3;
    assert_int_equal(walk(bw_roster_body(&body)), BW_DATA_LOSS);
    body.count = BW_ROSTER_ENTRIES_MAX + 1;
    assert_int_equal(walk(bw_roster_body(&body)), BW_DATA_LOSS);
    assert_int_equal(bw_roster_add(&body, &id, &id, bw_view_of(sealed, sizeof sealed), &index, NULL),
                     BW_RESOURCE_EXHAUSTED);
    bw_roster_finish(&body);
}

static bool write_a_body(void *unused)
{
    (void)unused;
    struct bw_roster_body body = {0};
    struct bw_buf plain = {0};
    struct bw_error err = {0};
    uint8_t sealed[BW_ROSTER_SEALED_OVERHEAD] = {0};
    const struct bw_id id = id_of(1);
    const struct bw_roster_entry entry = full_entry();
    uint32_t index;
    bw_roster_begin(&body);
    bool ok = bw_roster_entry_encode(&entry, &plain, &err) == BW_OK &&
              bw_roster_add(&body, &id, &id, bw_view_of(sealed, sizeof sealed), &index, &err) == BW_OK;
    if (!ok)
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
    bw_buf_finish(&plain);
    bw_roster_finish(&body);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(write_a_body, NULL, true) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_comes_back_with_every_field),
        cmocka_unit_test(an_entry_that_cannot_be_is_refused_by_name),
        cmocka_unit_test(a_malformed_entry_is_refused),
        cmocka_unit_test(a_body_gives_its_entries_back_in_order),
        cmocka_unit_test(a_body_that_is_not_whole_is_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
