/* What a well-behaved peer sends is accepted, means the same, and comes back as the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/relay.pb-c.h"
#include "base/arena.h"
#include "check_alloc.h"
#include "sample.h"
#include "wire/wire.h"

enum { ARENA_BYTES = 4 << 20, SAMPLES_EACH = 40 };

static void every_message_type_comes_back_as_it_was_sent(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        for (int n = 0; n < SAMPLES_EACH; n++) {
            const struct bw_wire_message *table = &bw_wire_messages[i];
            struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
            struct bw_buf sent = {0}, back = {0};
            struct bw_error err = {0};
            const ProtobufCMessage *message = NULL;
            sample_message(table, &seed, &sent);
            if (bw_wire_decode(table->descriptor, bw_buf_view(&sent), arena, &message, &err) != BW_OK)
                fail_msg("%s: %s", table->full_name, err.show);
            assert_int_equal(bw_wire_encode(message, &back), BW_OK);
            if (!bw_view_equal(bw_buf_view(&sent), bw_buf_view(&back)))
                fail_msg("%s: comes back different", table->full_name);
            bw_buf_finish(&sent);
            bw_buf_finish(&back);
            bw_arena_destroy(arena);
        }
    }
}

static void every_message_type_prints_as_json_that_parses(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        const struct bw_wire_message *table = &bw_wire_messages[i];
        struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
        struct bw_buf sent = {0}, json = {0};
        const ProtobufCMessage *message = NULL;
        json_error_t error;
        sample_message(table, &seed, &sent);
        assert_int_equal(bw_wire_decode(table->descriptor, bw_buf_view(&sent), arena, &message, NULL), BW_OK);
        bw_wire_to_json(message, &json);
        json_t *parsed = json_loads(bw_buf_cstr(&json), 0, &error);
        if (parsed == NULL)
            fail_msg("%s: %s: %s", table->full_name, error.text, bw_buf_cstr(&json));
        json_decref(parsed);
        bw_buf_finish(&sent);
        bw_buf_finish(&json);
        bw_arena_destroy(arena);
    }
}

static void values_arrive_in_their_fields(void **state)
{
    (void)state;
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    Bailiwick__V1__E2eeScheme capable[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS,
                                           BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME};
    request.tenant = "chu-lyon";
    request.meeting_id = "0192f3a0-1111-7222-8333-444455556666";
    request.request_id = "0192f3a0-1111-4222-8333-444455556666";
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_WEB;
    request.country = "FR-75";
    request.n_capable = 2;
    request.capable = capable;
    struct bw_buf bytes = {0};
    struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
    const ProtobufCMessage *out = NULL;
    assert_int_equal(bw_wire_encode(&request.base, &bytes), BW_OK);
    assert_int_equal(bw_wire_decode(&bailiwick__v1__join_meeting_request__descriptor, bw_buf_view(&bytes),
                                    arena, &out, NULL),
                     BW_OK);
    const Bailiwick__V1__JoinMeetingRequest *got = (const Bailiwick__V1__JoinMeetingRequest *)out;
    assert_string_equal(got->tenant, "chu-lyon");
    assert_string_equal(got->country, "FR-75");
    assert_string_equal(got->home_tenant, "");
    assert_int_equal(got->kind, BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_WEB);
    assert_int_equal(got->n_capable, 2);
    assert_int_equal(got->capable[1], BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME);
    bw_buf_finish(&bytes);
    bw_arena_destroy(arena);
}

static void an_empty_message_needs_no_bytes(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
    struct bw_buf back = {0};
    const ProtobufCMessage *out = NULL;
    assert_int_equal(
        bw_wire_decode(&bailiwick__v1__bookmark__descriptor, bw_view_of(NULL, 0), arena, &out, NULL), BW_OK);
    assert_int_equal(((const Bailiwick__V1__Bookmark *)out)->group, 0);
    assert_int_equal(bw_wire_encode(out, &back), BW_OK);
    assert_int_equal(back.len, 0);
    bw_buf_finish(&back);
    bw_arena_destroy(arena);
}

/* A delta with many upserts: several arena blocks and protobuf-c's own bookkeeping. */
static void large_delta(struct bw_buf *out)
{
    uint64_t seed = 3;
    put_number(out, 1, 1);
    for (int i = 0; i < 200; i++) {
        struct bw_buf upsert = {0};
        sample_message(bw_wire_table(&bailiwick__v1__upsert__descriptor), &seed, &upsert);
        put_bytes(out, 4, upsert.data, upsert.len);
        bw_buf_finish(&upsert);
    }
}

static void a_full_arena_is_resource_exhausted_and_leaves_the_output_alone(void **state)
{
    (void)state;
    struct bw_buf bytes = {0};
    large_delta(&bytes);
    size_t refused = 0;
    for (size_t cap = 0; cap < 400000; cap += 1500) {
        struct bw_arena *arena = bw_arena_create(cap);
        const ProtobufCMessage untouched, *out = &untouched;
        struct bw_error err = {0};
        enum bw_code code =
            bw_wire_decode(&bailiwick__v1__delta__descriptor, bw_buf_view(&bytes), arena, &out, &err);
        if (code != BW_OK) {
            assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
            assert_ptr_equal(out, &untouched);
            refused++;
        }
        assert_true(bw_arena_used(arena) <= cap);
        bw_arena_destroy(arena);
    }
    assert_true(refused > 10 && refused < 250);
    bw_buf_finish(&bytes);
}

static bool decode_and_encode(void *context)
{
    const struct bw_buf *bytes = context;
    bool done = false;
    struct bw_buf back = {0};
    struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
    const ProtobufCMessage *out = NULL;
    struct bw_error err = {0};
    if (arena == NULL)
        return false;
    if (bw_wire_decode(&bailiwick__v1__delta__descriptor, bw_buf_view(bytes), arena, &out, &err) == BW_OK)
        done = bw_wire_encode(out, &back) == BW_OK;
    else
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
    if (done) {
        assert_true(bw_view_equal(bw_buf_view(&back), bw_buf_view(bytes)));
        bw_buf_clear(&back);
        bw_wire_to_json(out, &back);
        done = !back.failed;
    }
    bw_buf_finish(&back);
    bw_arena_destroy(arena);
    return done;
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct bw_buf bytes = {0};
    large_delta(&bytes);
    assert_true(bw_fail_each_allocation(decode_and_encode, &bytes, true) > 5);
    bw_buf_finish(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_type_comes_back_as_it_was_sent),
        cmocka_unit_test(every_message_type_prints_as_json_that_parses),
        cmocka_unit_test(values_arrive_in_their_fields),
        cmocka_unit_test(an_empty_message_needs_no_bytes),
        cmocka_unit_test(a_full_arena_is_resource_exhausted_and_leaves_the_output_alone),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
