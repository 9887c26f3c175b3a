#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "store/params.h"

static void assert_param(const struct bw_pg_params *params, int i, unsigned int type, const void *bytes,
                         size_t len)
{
    assert_int_equal(params->types[i], type);
    assert_int_equal(params->lengths[i], len);
    assert_memory_equal(params->bytes.data + params->starts[i], bytes, len);
}

/* The expected bytes are what `SELECT array_send('{…}')` and friends answer. */
static void values_are_encoded_as_postgresql_sends_them(void **state)
{
    (void)state;
    struct bw_pg_params params = {0};
    struct bw_id id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    bw_pg_bool(&params, true);
    bw_pg_int4(&params, -2);
    bw_pg_int8(&params, INT64_C(0x0102030405060708));
    bw_pg_uuid(&params, &id);
    bw_pg_text(&params, "");
    bw_pg_bytea(&params, bw_view_of("\0x", 2));
    bw_pg_null(&params, BW_PG_UUID);
    const char *values[BW_PG_PARAMS_MAX];
    assert_true(bw_pg_params_values(&params, values));
    assert_int_equal(params.count, 7);
    assert_param(&params, 0, 16, "\1", 1);
    assert_param(&params, 1, 23, "\xff\xff\xff\xfe", 4);
    assert_param(&params, 2, 20, "\1\2\3\4\5\6\7\10", 8);
    assert_param(&params, 3, 2950, id.bytes, 16);
    assert_param(&params, 4, 25, "", 0);
    assert_non_null(values[4]); /* empty is not null */
    assert_param(&params, 5, 17, "\0x", 2);
    assert_null(values[6]);
    assert_int_equal(params.types[6], 2950);
    assert_int_equal(params.formats[6], 1);
    bw_pg_params_finish(&params);
}

static void arrays_are_encoded_as_postgresql_sends_them(void **state)
{
    (void)state;
    struct bw_pg_params params = {0};
    uint32_t small[] = {1, 0xfffffffeu};
    uint64_t large[] = {UINT64_C(1) << 40};
    bw_pg_int4_array(&params, small, 2);
    bw_pg_int8_array(&params, large, 1);
    bw_pg_uuid_array(&params, NULL, 0);
    bw_pg_array_begin(&params, BW_PG_INT2, 1);
    bw_pg_array_int2(&params, -1);
    bw_pg_array_end(&params);
    bw_pg_array_begin(&params, BW_PG_BYTEA, 2);
    bw_pg_array_bytes(&params, bw_view_str("ab"));
    bw_pg_array_bytes(&params, bw_view_of(NULL, 0));
    bw_pg_array_end(&params);
    assert_param(&params, 0, 1007,
                 "\0\0\0\1\0\0\0\0\0\0\0\27\0\0\0\2\0\0\0\1"
                 "\0\0\0\4\0\0\0\1\0\0\0\4\xff\xff\xff\xfe",
                 36);
    assert_param(&params, 1, 1016,
                 "\0\0\0\1\0\0\0\0\0\0\0\24\0\0\0\1\0\0\0\1"
                 "\0\0\0\10\0\0\1\0\0\0\0\0",
                 32);
    assert_param(&params, 2, 2951, "\0\0\0\0\0\0\0\0\0\0\13\x86", 12);
    assert_param(&params, 3, 1005, "\0\0\0\1\0\0\0\0\0\0\0\25\0\0\0\1\0\0\0\1\0\0\0\2\xff\xff", 26);
    assert_param(&params, 4, 1001, "\0\0\0\1\0\0\0\0\0\0\0\21\0\0\0\2\0\0\0\1\0\0\0\2ab\0\0\0\0", 30);
    bw_pg_params_clear(&params);
    assert_int_equal(params.count, 0);
    bw_pg_params_finish(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_encoded_as_postgresql_sends_them),
        cmocka_unit_test(arrays_are_encoded_as_postgresql_sends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
