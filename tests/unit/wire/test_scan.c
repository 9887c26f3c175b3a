/* What is not exactly the message is refused, with the place and without quoting the value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/fleet.pb-c.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "bailiwick/v1/relay.pb-c.h"
#include "base/arena.h"
#include "sample.h"
#include "wire/wire.h"

static const char ID[] = "0192f3a0-1111-7222-8333-444455556666";

/* JoinMeetingRequest up to kind, all that is required. */
static void put_join(struct bw_buf *out)
{
    put_string(out, 1, "chu-lyon");
    put_string(out, 2, ID);
    put_string(out, 3, ID);
    put_number(out, 6, 2);
}

static void refused(const ProtobufCMessageDescriptor *descriptor, struct bw_buf *bytes, const char *why)
{
    struct bw_error err = {0};
    /* a copy of exactly this size, so that a sanitizer sees a read past the end */
    uint8_t *exact = malloc(bytes->len > 0 ? bytes->len : 1);
    assert_non_null(exact);
    if (bytes->len > 0)
        memcpy(exact, bytes->data, bytes->len);
    enum bw_code code = bw_wire_scan(descriptor, bw_view_of(exact, bytes->len), &err);
    free(exact);
    assert_int_equal(code, BW_INVALID_ARGUMENT);
    assert_string_equal(err.show, why);
    bw_buf_finish(bytes);
}

static void accepted(const ProtobufCMessageDescriptor *descriptor, struct bw_buf *bytes)
{
    struct bw_error err = {0};
    if (bw_wire_scan(descriptor, bw_buf_view(bytes), &err) != BW_OK)
        fail_msg("%s", err.show);
    bw_buf_finish(bytes);
}

#define JOIN  (&bailiwick__v1__join_meeting_request__descriptor)
#define RELAY (&bailiwick__v1__relay_message__descriptor)

static void unknown_fields_are_refused_at_any_depth(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_join(&b);
    put_string(&b, 99, "a media key, perhaps");
    refused(JOIN, &b, "unknown field 99 in bailiwick.v1.JoinMeetingRequest");

    b = (struct bw_buf){0};
    put_number(&b, 0, 1);
    refused(JOIN, &b, "unknown field 0 in bailiwick.v1.JoinMeetingRequest");

    b = (struct bw_buf){0};
    put_number(&b, 536870911, 1);
    refused(JOIN, &b, "unknown field 536870911 in bailiwick.v1.JoinMeetingRequest");

    struct bw_buf owner = {0}, facts = {0};
    b = (struct bw_buf){0};
    put_string(&owner, 9, "x");
    put_bytes(&facts, 5, owner.data, owner.len);
    put_bytes(&b, 2, facts.data, facts.len);
    bw_buf_finish(&owner);
    bw_buf_finish(&facts);
    refused(&bailiwick__v1__enroll_relay_request__descriptor, &b,
            "facts.operator: unknown field 9 in bailiwick.v1.Operator");
}

static void a_wrong_wire_type_is_refused(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 8; type++) {
        struct bw_buf b = {0};
        put_tag(&b, 1, type);
        put_varint(&b, 0);
        if (type == 2) {
            bw_buf_finish(&b);
            continue;
        }
        char why[80];
        snprintf(why, sizeof why, "tenant: wire type %u is not this field's", type);
        refused(JOIN, &b, why);
    }
    struct bw_buf b = {0};
    put_string(&b, 6, "x");
    refused(JOIN, &b, "kind: wire type 2 is not this field's");
}

static void a_singular_field_twice_is_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_string(&b, 1, "chu-lyon");
    put_string(&b, 1, "chu-lyon");
    refused(JOIN, &b, "tenant: is there twice");

    b = (struct bw_buf){0};
    put_bytes(&b, 8, "", 0);
    put_bytes(&b, 8, "", 0);
    refused(&bailiwick__v1__control_message__descriptor, &b, "bookmark: is there twice");
}

static void a_oneof_set_twice_is_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_bytes(&b, 8, "", 0);
    put_bytes(&b, 10, "", 0);
    refused(&bailiwick__v1__control_message__descriptor, &b,
            "drain: another member of the same oneof is there already");
}

static void a_missing_required_field_is_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_string(&b, 1, "chu-lyon");
    refused(JOIN, &b, "meeting_id: is required");

    /* there, but empty or zero */
    b = (struct bw_buf){0};
    put_string(&b, 1, "");
    put_string(&b, 2, ID);
    put_string(&b, 3, ID);
    put_number(&b, 6, 2);
    refused(JOIN, &b, "tenant: is required");

    b = (struct bw_buf){0};
    put_string(&b, 1, "chu-lyon");
    put_string(&b, 2, ID);
    put_string(&b, 3, ID);
    put_number(&b, 6, 0);
    refused(JOIN, &b, "kind: is required");

    b = (struct bw_buf){0};
    struct bw_buf ack = {0};
    put_number(&ack, 2, 7);
    put_bytes(&b, 4, ack.data, ack.len);
    bw_buf_finish(&ack);
    refused(RELAY, &b, "ack.nonce: is required");
}

static void bad_strings_are_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_bytes(&b, 8, "a\0b", 3);
    refused(JOIN, &b, "region: contains a NUL character");

    static const char *const not_utf8[] = {"\x80",         "\xc0\xaf",         "\xe0\x80\xaf",
                                           "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                           "a\xc3"};
    for (size_t i = 0; i < sizeof not_utf8 / sizeof *not_utf8; i++) {
        b = (struct bw_buf){0};
        put_string(&b, 8, not_utf8[i]);
        refused(JOIN, &b, "region: is not UTF-8");
    }
    b = (struct bw_buf){0};
    put_string(&b, 7, "FR-75-Paris-");
    refused(JOIN, &b, "country: 12 bytes, at most 6");

    b = (struct bw_buf){0};
    put_string(&b, 7, "fr");
    refused(JOIN, &b, "country: must be an ISO 3166 code such as FR or FR-75");
}

static void bytes_of_another_length_are_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0}, hello = {0};
    put_bytes(&hello, 12, "short", 5);
    put_bytes(&b, 2, hello.data, hello.len);
    bw_buf_finish(&hello);
    refused(RELAY, &b, "hello.session_secret: 5 bytes, must be 32");
}

static void varints_must_be_short_and_minimal(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x80\x00", 2},                                      /* 0 in two bytes */
        {"\x81\x80\x00", 3},                                  /* 1 in three */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},     /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11}, /* eleven bytes */
        {"\x80", 1},                                          /* cut short */
        {"", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bw_buf b = {0};
        put_tag(&b, 1, 0);
        bw_buf_append(&b, bad[i].bytes, bad[i].len);
        refused(&bailiwick__v1__bookmark__descriptor, &b,
                "group: a number is cut short, too long or not in its shortest form");
    }
    struct bw_buf b = {0};
    bw_buf_append(&b, "\x88\x00\x01", 3); /* the tag itself */
    refused(&bailiwick__v1__bookmark__descriptor, &b,
            "a number is cut short, too long or not in its shortest form");
    b = (struct bw_buf){0};
    put_number(&b, 1, UINT64_MAX);
    accepted(&bailiwick__v1__bookmark__descriptor, &b);
}

static void lengths_beyond_the_end_are_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_tag(&b, 1, 2);
    put_varint(&b, 9);
    bw_buf_append_str(&b, "chu-lyon");
    refused(JOIN, &b, "tenant: is cut short");
    b = (struct bw_buf){0};
    put_tag(&b, 1, 2);
    put_varint(&b, UINT64_MAX);
    refused(JOIN, &b, "tenant: is cut short");
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_number(&b, 3, 201);
    refused(&bailiwick__v1__get_meeting_request__descriptor, &b, "page_size: must be 0 to 200");
    b = (struct bw_buf){0};
    put_number(&b, 3, UINT64_C(1) << 32);
    refused(&bailiwick__v1__get_meeting_request__descriptor, &b, "page_size: does not fit 32 bits");
    b = (struct bw_buf){0};
    put_number(&b, 1, 2);
    refused(&bailiwick__v1__drain__descriptor, &b, "draining: a boolean must be 0 or 1");
    b = (struct bw_buf){0};
    put_number(&b, 2, (uint64_t)-1);
    refused(&bailiwick__v1__certification__descriptor, &b, "expires_unix_ms: must be 0 to 253402300799999");
}

static void unknown_enum_values_are_refused(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_number(&b, 6, 12);
    refused(JOIN, &b, "kind: 12 is not a known value of bailiwick.v1.ParticipantKind");
    b = (struct bw_buf){0};
    put_number(&b, 6, (uint64_t)-1);
    refused(JOIN, &b, "kind: -1 is not a known value of bailiwick.v1.ParticipantKind");
    b = (struct bw_buf){0};
    put_join(&b);
    put_bytes(&b, 10, "\x01\x02\x09", 3);
    refused(JOIN, &b, "capable[2]: 9 is not a known value of bailiwick.v1.E2eeScheme");
}

static void lists_count_packed_and_single_elements_together(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    put_join(&b);
    put_bytes(&b, 10, "\x01\x02\x03\x01\x02\x03", 6);
    put_number(&b, 10, 1);
    put_number(&b, 10, 2);
    accepted(JOIN, &b);

    b = (struct bw_buf){0};
    put_join(&b);
    put_bytes(&b, 10, "\x01\x02\x03\x01\x02\x03", 6);
    put_number(&b, 10, 1);
    put_bytes(&b, 10, "\x01\x02", 2);
    refused(JOIN, &b, "capable: more than 8 elements");

    b = (struct bw_buf){0};
    put_join(&b);
    put_bytes(&b, 10, "\x01\x82", 2);
    refused(JOIN, &b, "capable[1]: a number is cut short, too long or not in its shortest form");

    b = (struct bw_buf){0};
    put_join(&b);
    for (int i = 0; i < 65; i++)
        put_string(&b, 5, "board");
    refused(JOIN, &b, "groups: more than 64 elements");
}

static void the_path_names_every_step(void **state)
{
    (void)state;
    struct bw_buf b = {0}, request = {0}, good = {0}, bad = {0};
    put_string(&good, 1, "p1");
    put_number(&good, 4, 1);
    put_string(&bad, 1, "p2");
    put_string(&bad, 2, "Germany, West");
    put_bytes(&request, 4, good.data, good.len);
    put_bytes(&request, 4, bad.data, bad.len);
    put_bytes(&b, 3, request.data, request.len);
    bw_buf_finish(&request);
    bw_buf_finish(&good);
    bw_buf_finish(&bad);
    refused(&bailiwick__v1__explain_placement_request__descriptor, &b,
            "request.participants[1].country: 13 bytes, at most 6");
}

static void ten_thousand_nested_messages_are_refused_without_recursion(void **state)
{
    (void)state;
    /* each layer is field 2, which is a message in most of our types */
    struct bw_buf b = {0};
    for (int i = 0; i < 10000; i++) {
        struct bw_buf outer = {0};
        put_bytes(&outer, 2, b.data, b.len);
        bw_buf_finish(&b);
        b = outer;
    }
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        struct bw_error err = {0};
        const struct bw_wire_message *table = &bw_wire_messages[i];
        if (table->max_number >= 2 && table->by_number[2] != 0 &&
            table->fields[table->by_number[2] - 1].kind == BW_WIRE_BYTES)
            continue; /* opaque to us: no nesting to follow */
        assert_int_equal(bw_wire_scan(table->descriptor, bw_buf_view(&b), &err), BW_INVALID_ARGUMENT);
    }
    bw_buf_finish(&b);
}

static void a_flood_of_empty_submessages_costs_no_memory(void **state)
{
    (void)state;
    struct bw_buf b = {0};
    for (int i = 0; i < 100000; i++) /* 200 KB */
        put_bytes(&b, 1, "", 0);
    struct bw_arena *arena = bw_arena_create(1 << 20);
    const ProtobufCMessage *out = NULL;
    struct bw_error err = {0};
    assert_int_equal(bw_wire_decode(&bailiwick__v1__explain_placement_response__descriptor, bw_buf_view(&b),
                                    arena, &out, &err),
                     BW_INVALID_ARGUMENT);
    assert_int_equal(bw_arena_used(arena), 0);
    bw_arena_destroy(arena);
    bw_buf_finish(&b);
}

/* Where each list is within its own bound, the tree as a whole still has one. */
static void a_tree_of_too_many_fields_is_refused(void **state)
{
    (void)state;
    struct bw_buf rejected = {0}, explanation = {0}, response = {0};
    for (int i = 0; i < 20; i++)
        put_string(&rejected, 3, "p:1:1");
    for (int i = 0; i < 500; i++)
        put_bytes(&explanation, 5, rejected.data, rejected.len);
    put_bytes(&response, 1, explanation.data, explanation.len);
    struct bw_error err = {0};
    const ProtobufCMessageDescriptor *d = &bailiwick__v1__explain_placement_response__descriptor;
    assert_int_equal(bw_wire_scan(d, bw_buf_view(&response), &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "more than 10000 fields"));
    struct bw_arena *arena = bw_arena_create(4 << 20);
    const ProtobufCMessage *out = NULL;
    assert_int_equal(bw_wire_decode_limited(d, bw_buf_view(&response), 10501, arena, &out, &err), BW_OK);
    bw_arena_destroy(arena);
    bw_buf_finish(&rejected);
    bw_buf_finish(&explanation);
    bw_buf_finish(&response);
}

static void every_truncation_is_refused_or_a_shorter_message(void **state)
{
    (void)state;
    struct bw_buf whole = {0};
    put_join(&whole);
    size_t refusals = 0;
    for (size_t len = 0; len < whole.len; len++)
        refusals += bw_wire_scan(JOIN, bw_view_of(whole.data, len), NULL) != BW_OK;
    assert_int_equal(refusals, whole.len); /* kind is last and required */
    accepted(JOIN, &whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_fields_are_refused_at_any_depth),
        cmocka_unit_test(a_wrong_wire_type_is_refused),
        cmocka_unit_test(a_singular_field_twice_is_refused),
        cmocka_unit_test(a_oneof_set_twice_is_refused),
        cmocka_unit_test(a_missing_required_field_is_refused),
        cmocka_unit_test(bad_strings_are_refused),
        cmocka_unit_test(bytes_of_another_length_are_refused),
        cmocka_unit_test(varints_must_be_short_and_minimal),
        cmocka_unit_test(lengths_beyond_the_end_are_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(unknown_enum_values_are_refused),
        cmocka_unit_test(lists_count_packed_and_single_elements_together),
        cmocka_unit_test(the_path_names_every_step),
        cmocka_unit_test(ten_thousand_nested_messages_are_refused_without_recursion),
        cmocka_unit_test(a_flood_of_empty_submessages_costs_no_memory),
        cmocka_unit_test(a_tree_of_too_many_fields_is_refused),
        cmocka_unit_test(every_truncation_is_refused_or_a_shorter_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
