#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "grpc/descriptors.h"
#include "grpc/details.h"
#include "grpc/pb.h"

static struct bw_arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = bw_arena_create(1 << 20);
    return arena == NULL;
}

static int teardown(void **state)
{
    (void)state;
    bw_arena_destroy(arena);
    return 0;
}

static void error_info_has_the_bytes_protobuf_prescribes(void **state)
{
    (void)state;
    struct bw_grpc_details details = {.reason = "R", .domain = "d"};
    struct bw_buf out = {0};
    bw_grpc_details_encode(BW_NOT_FOUND, "m", &details, &out);
    /* code 5, message "m", one Any of type …/google.rpc.ErrorInfo holding reason "R" and domain "d" */
    static const char expected[] = "\x08\x05\x12\x01m\x1a\x32\x0a\x28type.googleapis.com/google.rpc.ErrorInfo"
                                   "\x12\x06\x0a\x01R\x12\x01"
                                   "d";
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    bw_buf_finish(&out);
}

static void everything_comes_back(void **state)
{
    (void)state;
    static const struct bw_grpc_pair metadata[] = {{"cell", "eu"}, {"endpoint", ""}};
    static const struct bw_grpc_violation violations[] = {{"a", "is bad"}, {"b", "is worse"}};
    struct bw_grpc_details details = {.reason = "WRONG_CELL",
                                      .domain = "bailiwick",
                                      .metadata = metadata,
                                      .metadata_count = 2,
                                      .violations = violations,
                                      .violation_count = 2,
                                      .retry_after_ms = 61234,
                                      .any_type_url = "type.googleapis.com/x.Y",
                                      .any_value = bw_view_of("\0\1", 2)};
    struct bw_buf out = {0};
    bw_grpc_details_encode(BW_FAILED_PRECONDITION, "elsewhere", &details, &out);
    struct bw_grpc_details back;
    assert_int_equal(bw_grpc_details_decode(bw_buf_view(&out), arena, &back, NULL), BW_OK);
    assert_string_equal(back.reason, "WRONG_CELL");
    assert_string_equal(back.domain, "bailiwick");
    assert_int_equal(back.metadata_count, 2);
    assert_string_equal(back.metadata[0].name, "cell");
    assert_string_equal(back.metadata[0].value, "eu");
    assert_string_equal(back.metadata[1].value, "");
    assert_int_equal(back.violation_count, 2);
    assert_string_equal(back.violations[1].description, "is worse");
    assert_int_equal(back.retry_after_ms, 61234);
    assert_string_equal(back.any_type_url, "type.googleapis.com/x.Y");
    assert_true(bw_view_equal(back.any_value, bw_view_of("\0\1", 2)));
    bw_buf_finish(&out);
}

static void what_is_too_large_is_cut_in_order(void **state)
{
    (void)state;
    static struct bw_grpc_violation violations[200];
    for (size_t i = 0; i < 200; i++)
        violations[i] =
            (struct bw_grpc_violation){"some.field", "a description of fifty characters, more or less"};
    static uint8_t big[3000];
    struct bw_grpc_details details = {.reason = "R",
                                      .violations = violations,
                                      .violation_count = 200,
                                      .any_type_url = "type.googleapis.com/x.Y",
                                      .any_value = bw_view_of(big, sizeof big)};
    struct bw_buf out = {0};
    bw_grpc_details_encode(BW_INVALID_ARGUMENT, "many", &details, &out);
    assert_true(out.len <= BW_GRPC_DETAILS_MAX_BYTES);
    struct bw_grpc_details back;
    assert_int_equal(bw_grpc_details_decode(bw_buf_view(&out), arena, &back, NULL), BW_OK);
    assert_string_equal(back.reason, "R");
    assert_null(back.any_type_url);
    assert_in_range(back.violation_count, 20, 100);
    bw_buf_finish(&out);
}

static void malformed_details_are_refused(void **state)
{
    (void)state;
    struct bw_grpc_details details = {.reason = "REASON", .domain = "d", .retry_after_ms = 5};
    struct bw_buf good = {0};
    bw_grpc_details_encode(BW_ABORTED, "m", &details, &good);
    struct bw_grpc_details back;
    size_t refused = 0;
    for (size_t len = 0; len < good.len; len++)
        refused += bw_grpc_details_decode(bw_view_of(good.data, len), arena, &back, NULL) != BW_OK;
    assert_true(refused > good.len - 6); /* only cuts between fields leave something whole */
    static const char *const bad[] = {"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0b", "\x03",
                                      "\x08"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(bw_grpc_details_decode(bw_view_str(bad[i]), arena, &back, NULL),
                         BW_INVALID_ARGUMENT);
    bw_buf_finish(&good);
}

static void every_failed_allocation_shows(void **state)
{
    (void)state;
    struct bw_grpc_details details = {.reason = "REASON", .retry_after_ms = 5, .any_type_url = "t/x"};
    for (unsigned long nth = 1;; nth++) {
        struct bw_buf out = {0};
        bw_alloc_fail_at(nth);
        bw_grpc_details_encode(BW_ABORTED, "m", &details, &out);
        bool struck = bw_alloc_failed();
        bw_alloc_fail_at(0);
        assert_int_equal(out.failed, struck);
        bw_buf_finish(&out);
        if (!struck)
            break;
    }
}

/* ---- descriptors ---- */

static void put_named(struct bw_buf *out, uint32_t number, const char *name)
{
    struct bw_buf inner = {0};
    bw_pb_put_string(&inner, 1, name);
    bw_pb_put_message(out, number, bw_buf_view(&inner));
    bw_buf_finish(&inner);
}

static void put_buf(struct bw_buf *out, uint32_t number, struct bw_buf *inner)
{
    bw_pb_put_message(out, number, bw_buf_view(inner));
    bw_buf_finish(inner);
}

/* base.proto (package b: enum Colour {RED}, message M {field f; message Inner}), and api.proto, which imports
 * it (package a: service S {method Do}, an extension 100 of .b.M). */
static void make_set(struct bw_buf *set)
{
    struct bw_buf base = {0}, message = {0}, colour = {0}, api = {0}, service = {0}, extension = {0};
    bw_pb_put_string(&message, 1, "M");
    put_named(&message, 2, "f");
    put_named(&message, 3, "Inner");
    bw_pb_put_string(&colour, 1, "Colour");
    put_named(&colour, 2, "RED");
    bw_pb_put_string(&base, 1, "base.proto");
    bw_pb_put_string(&base, 2, "b");
    put_buf(&base, 4, &message);
    put_buf(&base, 5, &colour);
    bw_pb_put_string(&service, 1, "S");
    put_named(&service, 2, "Do");
    bw_pb_put_string(&extension, 1, "extra");
    bw_pb_put_string(&extension, 2, ".b.M");
    bw_pb_put_varint(&extension, 3, 100);
    bw_pb_put_string(&api, 1, "api.proto");
    bw_pb_put_string(&api, 2, "a");
    bw_pb_put_string(&api, 3, "base.proto");
    put_buf(&api, 6, &service);
    put_buf(&api, 7, &extension);
    put_buf(set, 1, &base);
    put_buf(set, 1, &api);
}

static void count_files(struct bw_view encoded, void *context)
{
    assert_true(encoded.len > 0);
    ++*(unsigned *)context;
}

static void take_number(uint32_t number, void *context)
{
    *(uint32_t *)context = number;
}

static void descriptors_are_found_by_every_name(void **state)
{
    (void)state;
    struct bw_buf set = {0};
    make_set(&set);
    struct bw_descriptors *d = bw_descriptors_create(bw_buf_view(&set), NULL);
    assert_non_null(d);
    struct bw_descriptor_file *base = bw_descriptors_file(d, bw_view_str("base.proto"));
    struct bw_descriptor_file *api = bw_descriptors_file(d, bw_view_str("api.proto"));
    assert_non_null(base);
    assert_non_null(api);
    static const char *const in_base[] = {"b.M", "b.M.f", "b.M.Inner", "b.Colour", "b.RED"};
    static const char *const in_api[] = {"a.S", "a.S.Do", "a.extra"};
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(bw_descriptors_symbol(d, bw_view_str(in_base[i])), base);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(bw_descriptors_symbol(d, bw_view_str(in_api[i])), api);
    assert_null(bw_descriptors_symbol(d, bw_view_str("b.Colour.RED")));
    assert_null(bw_descriptors_file(d, bw_view_str("b")));
    assert_ptr_equal(bw_descriptors_extension(d, bw_view_str("b.M"), 100), api);
    assert_null(bw_descriptors_extension(d, bw_view_str("b.M"), 101));
    uint32_t number = 0;
    assert_int_equal(bw_descriptors_extensions(d, bw_view_str("b.M"), take_number, &number), 1);
    assert_int_equal(number, 100);
    unsigned files = 0;
    bw_descriptors_closure(d, api, count_files, &files);
    assert_int_equal(files, 2);
    files = 0;
    bw_descriptors_closure(d, base, count_files, &files);
    assert_int_equal(files, 1);
    bw_descriptors_destroy(d);
    bw_buf_finish(&set);
}

static void broken_descriptor_sets_are_refused(void **state)
{
    (void)state;
    struct bw_buf set = {0};
    make_set(&set);
    struct bw_error err;
    assert_null(bw_descriptors_create(bw_view_of(set.data, set.len - 1), &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
    struct bw_buf twice = {0};
    make_set(&twice);
    make_set(&twice);
    assert_null(bw_descriptors_create(bw_buf_view(&twice), &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
    bw_buf_finish(&set);
    bw_buf_finish(&twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_info_has_the_bytes_protobuf_prescribes),
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(what_is_too_large_is_cut_in_order),
        cmocka_unit_test(malformed_details_are_refused),
        cmocka_unit_test(every_failed_allocation_shows),
        cmocka_unit_test(descriptors_are_found_by_every_name),
        cmocka_unit_test(broken_descriptor_sets_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
