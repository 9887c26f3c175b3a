#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "grpc/headers.h"
#include "grpc/metadata.h"
#include "grpc/timeout.h"

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

static void content_types_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum bw_grpc_content content;
    } cases[] = {
        {"application/grpc", BW_GRPC_CONTENT_GRPC},
        {"application/grpc+proto", BW_GRPC_CONTENT_GRPC},
        {"application/grpc;x=y", BW_GRPC_CONTENT_GRPC},
        {"Application/GRPC", BW_GRPC_CONTENT_GRPC},
        {"application/grpc-web", BW_GRPC_CONTENT_WEB},
        {"application/grpc-web+proto", BW_GRPC_CONTENT_WEB},
        {"application/grpc-web-text", BW_GRPC_CONTENT_WEB_TEXT},
        {"application/grpcfoo", BW_GRPC_CONTENT_OTHER},
        {"application/grp", BW_GRPC_CONTENT_OTHER},
        {"application/json", BW_GRPC_CONTENT_OTHER},
        {"", BW_GRPC_CONTENT_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(bw_grpc_content_type(bw_view_str(cases[i].value)), cases[i].content);
}

static void timeouts_parse_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: malformed */
    } cases[] = {
        {"1H", 3600000},
        {"2M", 120000},
        {"3S", 3000},
        {"4m", 4},
        {"5u", 1},
        {"1000u", 1},
        {"1001u", 2},
        {"1n", 1},
        {"0n", 0},
        {"1000000n", 1},
        {"99999999H", 359999996400000},
        {"00000001S", 1000},
        {"100000000S", -1},
        {"S", -1},
        {"1", -1},
        {"", -1},
        {"-1S", -1},
        {"+1S", -1},
        {"1.5S", -1},
        {"1s", -1},
        {" 1S", -1},
        {"1S ", -1},
        {"1SS", -1},
        {"0x1S", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 12345;
        bool good = bw_grpc_timeout_parse(bw_view_str(cases[i].text), &ms);
        assert_int_equal(good, cases[i].ms >= 0);
        assert_int_equal(ms, good ? (uint64_t)cases[i].ms : 12345);
    }
}

static void formatted_timeouts_parse_back_and_never_shorten(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,         1,         999,        99999999,    100000000,
                                      100000001, 123456789, 9999999900, 99999999001, 1ULL << 48};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[BW_GRPC_TIMEOUT_TEXT_SIZE];
        bw_grpc_timeout_format(values[i], text);
        uint64_t back;
        assert_true(bw_grpc_timeout_parse(bw_view_str(text), &back));
        assert_true(back >= values[i]);
        assert_true(back - values[i] <= values[i] / 1000);
    }
    char text[BW_GRPC_TIMEOUT_TEXT_SIZE];
    bw_grpc_timeout_format(UINT64_MAX, text);
    assert_string_equal(text, "99999999H");
}

static void messages_survive_percent_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *escaped;
    } cases[] = {
        {"plain text", "plain text"},
        {"100%", "100%25"},
        {"a\nb\t", "a%0Ab%09"},
        {"\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n",
         "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A"},
        {"~\x7f", "~%7F"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_buf out = {0};
        bw_grpc_message_escape(bw_view_str(cases[i].plain), &out);
        assert_string_equal(bw_buf_cstr(&out), cases[i].escaped);
        assert_string_equal(bw_grpc_message_unescape(bw_buf_view(&out), arena), cases[i].plain);
        bw_buf_finish(&out);
    }
}

static void invalid_text_is_replaced_not_passed_on(void **state)
{
    (void)state;
    static const char *const invalid[] = {"\x80",
                                          "\xc0\xaf",
                                          "\xe0\x80\x80",
                                          "\xed\xa0\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xf0\x80\x80\x80",
                                          "\xf4\x90\x80\x80",
                                          "\xe2\x98"};
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct bw_buf out = {0};
        bw_grpc_message_escape(bw_view_str(invalid[i]), &out);
        assert_memory_equal(bw_buf_cstr(&out), "%EF%BF%BD", 9);
        bw_buf_finish(&out);
    }
    assert_string_equal(bw_grpc_message_unescape(bw_view_str("a%0g%4%"), arena), "a%0g%4%");
    assert_string_equal(bw_grpc_message_unescape(bw_view_str("a%00b"), arena), "a?b");
}

static void base64_takes_padding_or_none(void **state)
{
    (void)state;
    for (size_t len = 0; len < 40; len++) {
        uint8_t bytes[40];
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 37 + len * 101);
        struct bw_buf text = {0};
        bw_grpc_base64_encode(bw_view_of(bytes, len), &text);
        for (int padded = 0; padded < 2; padded++) {
            struct bw_view back;
            assert_int_equal(bw_grpc_base64_decode(bw_buf_view(&text), arena, &back), BW_OK);
            assert_true(bw_view_equal(back, bw_view_of(bytes, len)));
            while (text.len % 4 != 0)
                bw_buf_append_u8(&text, '=');
        }
        bw_buf_finish(&text);
    }
    static const char *const bad[] = {"A",        "AAAAA", "A===", "====", "AA=A",
                                      "AA==AA==", "A-_A",  "AA A", "=AAA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bw_view out;
        assert_int_equal(bw_grpc_base64_decode(bw_view_str(bad[i]), arena, &out), BW_INVALID_ARGUMENT);
    }
}

static void encodings_and_what_a_peer_accepts(void **state)
{
    (void)state;
    assert_int_equal(bw_grpc_encoding_of(bw_view_str("gzip")), BW_GRPC_GZIP);
    assert_int_equal(bw_grpc_encoding_of(bw_view_str("identity")), BW_GRPC_IDENTITY);
    assert_int_equal(bw_grpc_encoding_of(bw_view_str("br")), BW_GRPC_ENCODING_OTHER);
    assert_true(bw_grpc_accepts_gzip(bw_view_str("identity, deflate, gzip")));
    assert_true(bw_grpc_accepts_gzip(bw_view_str("gzip")));
    assert_false(bw_grpc_accepts_gzip(bw_view_str("identity,gzipx,xgzip")));
    assert_false(bw_grpc_accepts_gzip(bw_view_str("")));
}

static void names_and_values_that_break_the_protocol_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"x-a", "authorization", "a_b.c-1", "x-bin"};
    static const char *const bad[] = {"",   "X-A",          "x a",  ":path", "grpc-status",
                                      "te", "content-type", "host", "é"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(bw_grpc_name_allowed(bw_view_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(bw_grpc_name_allowed(bw_view_str(bad[i])));
    assert_true(bw_grpc_value_allowed(bw_view_str("any text!")));
    assert_false(bw_grpc_value_allowed(bw_view_str("a\nb")));
    assert_false(bw_grpc_value_allowed(bw_view_str(" a")));
    assert_false(bw_grpc_value_allowed(bw_view_str("\xc3\xa9")));
}

static void binary_metadata_is_split_and_decoded(void **state)
{
    (void)state;
    struct bw_metadata metadata = {0};
    assert_int_equal(bw_metadata_add(&metadata, arena, bw_view_str("x-bin"), bw_view_str("YQ, Yg==,Y2Nj")),
                     BW_OK);
    assert_int_equal(bw_metadata_add(&metadata, arena, bw_view_str("x"), bw_view_str("a,b")), BW_OK);
    assert_int_equal(bw_metadata_count(&metadata), 4);
    struct bw_view name = bw_view_str("x-bin");
    assert_true(bw_view_equal_str(bw_metadata_find(&metadata, name, 0)->value, "a"));
    assert_true(bw_view_equal_str(bw_metadata_find(&metadata, name, 1)->value, "b"));
    assert_true(bw_view_equal_str(bw_metadata_find(&metadata, name, 2)->value, "ccc"));
    assert_null(bw_metadata_find(&metadata, name, 3));
    assert_true(bw_view_equal_str(bw_metadata_find(&metadata, bw_view_str("x"), 0)->value, "a,b"));
    assert_true(bw_view_equal_str(bw_metadata_at(&metadata, 3)->value, "a,b"));
    assert_null(bw_metadata_at(&metadata, 4));
    assert_int_equal(bw_metadata_add(&metadata, arena, name, bw_view_str("!")), BW_INVALID_ARGUMENT);
}

static void full_arena_is_reported(void **state)
{
    (void)state;
    struct bw_arena *small = bw_arena_create(64);
    struct bw_metadata metadata = {0};
    enum bw_code code = BW_OK;
    for (int i = 0; i < 4 && code == BW_OK; i++)
        code = bw_metadata_add(&metadata, small, bw_view_str("name"), bw_view_str("value"));
    assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
    struct bw_view out;
    assert_int_equal(
        bw_grpc_base64_decode(bw_view_str("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                              small, &out),
        BW_RESOURCE_EXHAUSTED);
    bw_arena_destroy(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_types_are_told_apart),
        cmocka_unit_test(timeouts_parse_exactly),
        cmocka_unit_test(formatted_timeouts_parse_back_and_never_shorten),
        cmocka_unit_test(messages_survive_percent_encoding),
        cmocka_unit_test(invalid_text_is_replaced_not_passed_on),
        cmocka_unit_test(base64_takes_padding_or_none),
        cmocka_unit_test(encodings_and_what_a_peer_accepts),
        cmocka_unit_test(names_and_values_that_break_the_protocol_are_refused),
        cmocka_unit_test(binary_metadata_is_split_and_decoded),
        cmocka_unit_test(full_arena_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
