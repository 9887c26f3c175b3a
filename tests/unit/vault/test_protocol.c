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
#include "vault/protocol.h"

static struct bw_vault_caller a_caller(void)
{
    return (struct bw_vault_caller){
        .actor = bw_view_str("spiffe://eu-1.bailiwick.internal/support/anna"),
        .method = bw_view_str("/bailiwick.v1.SupportService/GetMeetingTimeline"),
        .user = bw_view_str("somebody@uni.example"),
        .request = id_of(3),
        .grant = id_of(4),
        .role = BW_VAULT_ROLE_TIER2,
    };
}

/* The frame at the start of what was written; it is all of it. */
static struct bw_view frame_of(const struct bw_buf *bytes)
{
    struct bw_view frame = {0};
    size_t taken = 0;
    assert_int_equal(bw_vault_split(bw_buf_view(bytes), &frame, &taken), BW_VAULT_WHOLE);
    assert_int_equal(taken, bytes->len);
    return frame;
}

static void check_caller(const struct bw_vault_caller *a, const struct bw_vault_caller *b)
{
    assert_true(bw_view_equal(a->actor, b->actor) && bw_view_equal(a->method, b->method) &&
                bw_view_equal(a->user, b->user));
    assert_true(bw_id_equal(&a->request, &b->request) && bw_id_equal(&a->grant, &b->grant));
    assert_int_equal(a->role, b->role);
}

/* Whatever decodes is encoded the same again; no shorter frame and no longer one decodes. */
static void check_request_form(const struct bw_buf *bytes)
{
    struct bw_vault_request request;
    struct bw_buf again = {0};
    struct bw_view frame = frame_of(bytes);
    assert_true(bw_vault_decode_request(frame, &request));
    bw_vault_encode_request(&request, &again);
    assert_true(bw_view_equal(bw_buf_view(bytes), bw_buf_view(&again)));
    for (size_t len = 0; len < frame.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, frame.data, len);
        assert_false(bw_vault_decode_request(bw_view_of(exact, len), &request));
        free(exact);
    }
    bw_buf_append_u8(&again, 0);
    assert_false(bw_vault_decode_request(bw_view_of(again.data + 4, again.len - 4), &request));
    bw_buf_finish(&again);
}

static void requests_come_back(void **state)
{
    (void)state;
    struct bw_buf bytes = {0}, names = {0};
    struct bw_vault_request got;
    const struct bw_vault_scope_name name = {.tenant = id_of(7), .scope = {1, 2}};
    bw_vault_append_scope_name(&name, &names);
    bw_vault_append_scope_name(&name, &names);
    bw_vault_encode_request(
        &(struct bw_vault_request){
            .type = BW_VAULT_ENSURE_SCOPES, .id = 77, .scope_count = 2, .scopes = bw_buf_view(&names)},
        &bytes);
    assert_true(bw_vault_decode_request(frame_of(&bytes), &got));
    assert_int_equal(got.id, 77);
    struct bw_vault_scope_name back;
    bw_vault_scope_name_at(&got, 1, &back);
    assert_memory_equal(&back, &name, sizeof name);
    check_request_form(&bytes);

    const struct bw_vault_request open = {.type = BW_VAULT_OPEN,
                                          .id = 1,
                                          .caller = a_caller(),
                                          .tenant = id_of(1),
                                          .meeting = id_of(2),
                                          .what = BW_VAULT_STREAM,
                                          .slot = 9,
                                          .slot_to = 12,
                                          .stream = id_of(5),
                                          .from_ms = 10,
                                          .to_ms = 20,
                                          .max_rows = 30};
    bw_buf_clear(&bytes);
    bw_vault_encode_request(&open, &bytes);
    assert_true(bw_vault_decode_request(frame_of(&bytes), &got));
    check_caller(&got.caller, &open.caller);
    assert_true(bw_id_equal(&got.tenant, &open.tenant) && bw_id_equal(&got.meeting, &open.meeting) &&
                bw_id_equal(&got.stream, &open.stream));
    assert_int_equal(got.what, BW_VAULT_STREAM);
    assert_int_equal(got.slot, 9);
    assert_int_equal(got.slot_to, 12);
    assert_int_equal(got.from_ms, 10);
    assert_int_equal(got.to_ms, 20);
    assert_int_equal(got.max_rows, 30);
    check_request_form(&bytes);

    const struct bw_vault_request others[] = {
        {.type = BW_VAULT_ERASE,
         .caller = a_caller(),
         .tenant = id_of(1),
         .meeting = id_of(2),
         .erasure = BW_VAULT_ERASE_MEETING,
         .reason = bw_view_str("asked for")},
        {.type = BW_VAULT_ERASE, .caller = a_caller(), .tenant = id_of(1), .erasure = BW_VAULT_ERASE_TENANT},
        {.type = BW_VAULT_SWEEP, .caller = a_caller(), .tenant = id_of(1), .before_ms = 1234},
        {.type = BW_VAULT_STATUS, .id = UINT32_MAX},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(others); i++) {
        bw_buf_clear(&bytes);
        bw_vault_encode_request(&others[i], &bytes);
        check_request_form(&bytes);
    }
    bw_buf_finish(&bytes);
    bw_buf_finish(&names);
}

static void check_reply_form(const struct bw_buf *bytes)
{
    struct bw_vault_reply reply;
    struct bw_view frame = frame_of(bytes);
    assert_true(bw_vault_decode_reply(frame, &reply));
    if (reply.type != BW_VAULT_OPENED) {
        struct bw_buf again = {0};
        bw_vault_encode_reply(&reply, &again);
        assert_true(bw_view_equal(bw_buf_view(bytes), bw_buf_view(&again)));
        bw_buf_finish(&again);
    }
    for (size_t len = 0; len < frame.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, frame.data, len);
        assert_false(bw_vault_decode_reply(bw_view_of(exact, len), &reply));
        free(exact);
    }
}

static void replies_come_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_buf bytes = {0}, scopes = {0};
    struct bw_vault_reply got;
    bw_vault_append_scope(&f.scope, &scopes);
    bw_vault_append_scope(&f.scope, &scopes);
    bw_vault_encode_reply(
        &(struct bw_vault_reply){
            .type = BW_VAULT_SCOPES, .id = 5, .scope_count = 2, .scopes = bw_buf_view(&scopes)},
        &bytes);
    assert_true(bw_vault_decode_reply(frame_of(&bytes), &got));
    struct bw_scope_public scope;
    bw_vault_scope_at(&got, 1, &scope);
    assert_int_equal(bw_scope_verify(&scope, f.verifier, NULL), BW_OK);
    check_reply_form(&bytes);

    struct bw_vault_receipt receipt = {.id = id_of(1),
                                       .tenant = id_of(2),
                                       .meeting = id_of(3),
                                       .erasure = BW_VAULT_ERASE_MEETING,
                                       .at_ms = FIXTURE_NOW,
                                       .meeting_keys = 2,
                                       .scope_keys = 1};
    assert_int_equal(bw_vault_receipt_sign(&receipt, f.service, NULL), BW_OK);
    const struct bw_vault_reply others[] = {
        {.type = BW_VAULT_RECEIPT, .receipt = receipt},
        {.type = BW_VAULT_SWEPT, .records = 1, .meeting_keys = 2, .scope_keys = 3},
        {.type = BW_VAULT_STATE,
         .state = BW_PROVIDER_DENIED,
         .kind = bw_view_str("keyring"),
         .active = bw_view_str("autumn-2026"),
         .since_ms = 4,
         .probed_ms = 5,
         .opened = 6,
         .refused = 7,
         .text = bw_view_str("mode 0644")},
        {.type = BW_VAULT_ERROR,
         .code = BW_UNAVAILABLE,
         .reason = bw_view_str("KEY_UNAVAILABLE"),
         .text = bw_view_str("the vault has no key")},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(others); i++) {
        bw_buf_clear(&bytes);
        bw_vault_encode_reply(&others[i], &bytes);
        assert_true(bw_vault_decode_reply(frame_of(&bytes), &got));
        assert_int_equal(got.state, others[i].state);
        assert_int_equal(got.code, others[i].code);
        assert_int_equal(got.records, others[i].records);
        assert_true(bw_view_equal(got.text, others[i].text));
        check_reply_form(&bytes);
        if (i == 0)
            assert_true(bw_vault_receipt_verify(&got.receipt, f.verifier));
    }
    bw_buf_finish(&bytes);
    bw_buf_finish(&scopes);
    fixture_finish(&f);
}

static void a_receipt_says_what_was_signed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_vault_receipt receipt = {.id = id_of(1), .tenant = id_of(2), .erasure = BW_VAULT_ERASE_TENANT};
    assert_int_equal(bw_vault_receipt_sign(&receipt, f.service, NULL), BW_OK);
    assert_true(bw_vault_receipt_verify(&receipt, f.verifier));
    struct bw_vault_receipt changed[8];
    for (size_t i = 0; i < BW_ARRAY_LEN(changed); i++)
        changed[i] = receipt;
    changed[0].id.bytes[15] ^= 1;
    changed[1].tenant.bytes[15] ^= 1;
    changed[2].meeting.bytes[15] ^= 1;
    changed[3].erasure = BW_VAULT_ERASE_MEETING;
    changed[4].at_ms++;
    changed[5].meeting_keys++;
    changed[6].scope_keys++;
    changed[7].signature[63] ^= 1;
    for (size_t i = 0; i < BW_ARRAY_LEN(changed); i++)
        assert_false(bw_vault_receipt_verify(&changed[i], f.verifier));
    fixture_finish(&f);
}

static void opened_rows_come_in_parts(void **state)
{
    (void)state;
    struct bw_buf bytes = {0};
    struct bw_vault_part part;
    struct bw_vault_reply got;
    struct bw_vault_row back;
    const struct bw_vault_row row = {.row = id_of(1),
                                     .meeting = id_of(2),
                                     .stream = id_of(3),
                                     .slot = 4,
                                     .source = 1,
                                     .seq = 5,
                                     .from_ms = 6,
                                     .to_ms = 7,
                                     .masked = 8,
                                     .payload = bw_view_str("samples")};
    bw_vault_part_begin(&part, 12, BW_VAULT_CHUNKS, &bytes);
    assert_true(bw_vault_part_add(&part, &row));
    assert_true(bw_vault_part_add(&part, &row));
    bw_vault_part_end(&part, true, true);
    assert_true(bw_vault_decode_reply(frame_of(&bytes), &got));
    assert_int_equal(got.id, 12);
    assert_true(got.last && got.cut);
    assert_int_equal(got.what, BW_VAULT_CHUNKS);
    assert_int_equal(got.row_count, 2);
    struct bw_reader rows = bw_vault_rows(&got);
    for (int i = 0; i < 2; i++) {
        assert_true(bw_vault_next_row(&rows, &back));
        assert_true(bw_id_equal(&back.row, &row.row) && bw_id_equal(&back.meeting, &row.meeting) &&
                    bw_id_equal(&back.stream, &row.stream));
        assert_int_equal(back.slot, 4);
        assert_int_equal(back.source, 1);
        assert_int_equal(back.seq, 5);
        assert_int_equal(back.from_ms, 6);
        assert_int_equal(back.to_ms, 7);
        assert_int_equal(back.masked, 8);
        assert_true(bw_view_equal(back.payload, row.payload));
    }
    assert_false(bw_vault_next_row(&rows, &back));
    check_reply_form(&bytes);

    /* Behind other frames, and until it is full. */
    struct bw_vault_row large = row;
    uint8_t *payload = calloc(1, BW_VAULT_PAYLOAD_MAX);
    assert_non_null(payload);
    large.payload = bw_view_of(payload, BW_VAULT_PAYLOAD_MAX);
    size_t before = bytes.len;
    bw_vault_part_begin(&part, 13, BW_VAULT_CHUNKS, &bytes);
    assert_true(bw_vault_part_add(&part, &large));
    assert_false(bw_vault_part_add(&part, &large));
    bw_vault_part_end(&part, false, false);
    struct bw_view frame;
    size_t taken;
    assert_int_equal(bw_vault_split(bw_view_of(bytes.data + before, bytes.len - before), &frame, &taken),
                     BW_VAULT_WHOLE);
    assert_true(bw_vault_decode_reply(frame, &got));
    assert_false(got.last || got.cut);
    assert_int_equal(got.row_count, 1);
    free(payload);
    bw_buf_finish(&bytes);
}

static void frames_are_split_and_never_too_long(void **state)
{
    (void)state;
    struct bw_buf bytes = {0};
    struct bw_view frame;
    size_t taken;
    bw_vault_encode_request(&(struct bw_vault_request){.type = BW_VAULT_STATUS}, &bytes);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(bw_vault_split(bw_view_of(bytes.data, len), &frame, &taken), BW_VAULT_MORE);
    bw_buf_append_u8(&bytes, 0); /* of the next one */
    assert_int_equal(bw_vault_split(bw_buf_view(&bytes), &frame, &taken), BW_VAULT_WHOLE);
    assert_int_equal(taken, bytes.len - 1);
    bw_buf_clear(&bytes);
    bw_buf_append_u32(&bytes, BW_VAULT_FRAME_MAX + 1);
    assert_int_equal(bw_vault_split(bw_buf_view(&bytes), &frame, &taken), BW_VAULT_BAD);
    bw_buf_finish(&bytes);
}

/* A request's frame with one byte set; offsets are into the frame's content. */
static bool accepts_request(const struct bw_vault_request *request, size_t at, uint8_t value)
{
    struct bw_buf bytes = {0};
    struct bw_vault_request got;
    bw_vault_encode_request(request, &bytes);
    assert_true(4 + at < bytes.len);
    bytes.data[4 + at] = value;
    bool accepted = bw_vault_decode_request(bw_view_of(bytes.data + 4, bytes.len - 4), &got);
    bw_buf_finish(&bytes);
    return accepted;
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct bw_vault_request open = {
        .type = BW_VAULT_OPEN,
        .caller = {.actor = bw_view_str("a"), .method = bw_view_str("m"), .role = 1},
        .what = 1,
        .max_rows = 1};
    enum {
        ACTOR_LEN = 5,
        METHOD_LEN = 8,
        ROLE = 5 + 3 + 3 + 2 + 32,
        WHAT = ROLE + 1 + 32,
        SLOT = WHAT + 1,
        FROM = SLOT + 24
    };
    assert_true(accepts_request(&open, WHAT, 1));
    for (unsigned value = 0; value < 256; value++) {
        assert_true(accepts_request(&open, WHAT, (uint8_t)value) == (value >= 1 && value <= 4));
        assert_true(accepts_request(&open, ROLE, (uint8_t)value) == (value >= 1 && value <= 4));
        bool known = value == BW_VAULT_OPEN;
        assert_true(accepts_request(&open, 0, (uint8_t)value) == known);
    }
    assert_true(accepts_request(&open, SLOT, 1));
    assert_true(accepts_request(&open, SLOT + 4, 1));
    assert_false(accepts_request(&open, FROM, 1));         /* from after to */
    assert_false(accepts_request(&open, FROM + 19, 0));    /* no rows */
    assert_false(accepts_request(&open, FROM + 16, 1));    /* too many */
    assert_false(accepts_request(&open, ACTOR_LEN, 0xff)); /* a text longer than it may be */
    assert_false(accepts_request(&open, METHOD_LEN, 0xff));
    open.slot_to = 1;
    assert_true(accepts_request(&open, SLOT + 3, 1));
    assert_false(accepts_request(&open, SLOT + 3, 2)); /* the first slot after the last */
    open.slot_to = 0;
    open.caller.actor = bw_view_str("");
    assert_false(accepts_request(&open, 0, BW_VAULT_OPEN)); /* nobody */
    const struct bw_vault_request erase = {
        .type = BW_VAULT_ERASE,
        .caller = {.actor = bw_view_str("a"), .method = bw_view_str("m"), .role = 1},
        .meeting = id_of(1),
        .erasure = BW_VAULT_ERASE_MEETING};
    assert_false(accepts_request(&erase, ROLE + 1 + 32, BW_VAULT_ERASE_TENANT)); /* but names a meeting */
    assert_false(accepts_request(&erase, ROLE + 1 + 32, 0));
    const struct bw_vault_request names = {.type = BW_VAULT_ENSURE_SCOPES};
    assert_false(accepts_request(&names, 7, 2)); /* more than there may be, and than there are */
}

static bool write_frames(void *unused)
{
    (void)unused;
    struct bw_buf bytes = {0};
    struct bw_vault_part part;
    const struct bw_vault_row row = {.payload = bw_view_str("payload")};
    const struct bw_vault_request open = {
        .type = BW_VAULT_OPEN, .caller = a_caller(), .what = 1, .max_rows = 1};
    bw_vault_encode_request(&open, &bytes);
    bw_vault_part_begin(&part, 1, BW_VAULT_CHUNKS, &bytes);
    bool ok = bw_vault_part_add(&part, &row);
    bw_vault_part_end(&part, true, false);
    ok = ok && !bytes.failed;
    bw_buf_finish(&bytes);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(write_frames, NULL, true) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_back),
        cmocka_unit_test(replies_come_back),
        cmocka_unit_test(a_receipt_says_what_was_signed),
        cmocka_unit_test(opened_rows_come_in_parts),
        cmocka_unit_test(frames_are_split_and_never_too_long),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
