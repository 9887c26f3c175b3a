#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "server/signer_protocol.h"

static struct bw_signer_request request_of(int which)
{
    struct bw_signer_request request = {.id = 0xfffffffe};
    if (which == 0) {
        request.type = BW_SIGNER_SIGN_ROOT;
        memset(request.root.bytes, 7, sizeof request.root.bytes);
        request.leaves = 4096;
    } else if (which == 1) {
        request.type = BW_SIGNER_PUBLIC_KEYS;
    } else {
        request.type = BW_SIGNER_ISSUE_CERT;
        request.csr = bw_view_str("csr");
        request.spiffe_id = bw_view_str("spiffe://x/relay/par1");
        request.lifetime_s = 60;
    }
    return request;
}

static struct bw_signer_reply reply_of(int which)
{
    struct bw_signer_reply reply = {.id = 3};
    if (which == 0) {
        reply.type = BW_SIGNER_SIGNED;
        memset(reply.key_id, 1, sizeof reply.key_id);
        memset(reply.signature, 2, sizeof reply.signature);
    } else if (which == 1) {
        reply.type = BW_SIGNER_KEYS;
        reply.key_count = 2;
        memset(reply.keys, 3, 64);
        reply.issues_certificates = true;
    } else if (which == 2) {
        reply.type = BW_SIGNER_CERT;
        reply.certificate = bw_view_str("leaf");
        reply.ca = bw_view_str("ca");
    } else {
        reply.type = BW_SIGNER_FAILED;
        reply.code = BW_INVALID_ARGUMENT;
        reply.text = bw_view_str("no");
    }
    return reply;
}

/* The content of the one frame in a buffer. */
static struct bw_view content_of(const struct bw_buf *buf)
{
    struct bw_view frame;
    size_t taken;
    assert_int_equal(bw_signer_split(bw_buf_view(buf), &frame, &taken), BW_SIGNER_WHOLE);
    assert_int_equal(taken, buf->len);
    return frame;
}

static void every_message_comes_back_as_it_went_out(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bw_signer_request sent = request_of(i), got;
        struct bw_buf buf = {0}, again = {0};
        bw_signer_encode_request(&sent, &buf);
        assert_true(bw_signer_decode_request(content_of(&buf), &got));
        bw_signer_encode_request(&got, &again);
        assert_int_equal(again.len, buf.len);
        assert_memory_equal(again.data, buf.data, buf.len);
        bw_buf_finish(&buf);
        bw_buf_finish(&again);
    }
    for (int i = 0; i < 4; i++) {
        struct bw_signer_reply sent = reply_of(i), got;
        struct bw_buf buf = {0}, again = {0};
        bw_signer_encode_reply(&sent, &buf);
        assert_true(bw_signer_decode_reply(content_of(&buf), &got));
        assert_int_equal(got.type, sent.type);
        assert_int_equal(got.id, 3);
        bw_signer_encode_reply(&got, &again);
        assert_int_equal(again.len, buf.len);
        assert_memory_equal(again.data, buf.data, buf.len);
        bw_buf_finish(&buf);
        bw_buf_finish(&again);
    }
}

static void a_message_cut_short_or_longer_is_none(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        struct bw_buf buf = {0};
        struct bw_signer_request request = request_of(i % 3);
        struct bw_signer_reply reply = reply_of(i - 3);
        if (i < 3)
            bw_signer_encode_request(&request, &buf);
        else
            bw_signer_encode_reply(&reply, &buf);
        for (size_t len = 0; len < buf.len; len++) {
            struct bw_view frame;
            size_t taken;
            assert_int_equal(bw_signer_split(bw_view_of(buf.data, len), &frame, &taken), BW_SIGNER_MORE);
        }
        bw_buf_append_u8(&buf, 0);
        for (size_t len = 0; len <= buf.len - 4; len++) {
            struct bw_view content = bw_view_of(buf.data + 4, len);
            bool whole = len == buf.len - 5;
            bool taken =
                i < 3 ? bw_signer_decode_request(content, &request) : bw_signer_decode_reply(content, &reply);
            assert_int_equal(taken, whole);
        }
        bw_buf_finish(&buf);
    }
}

static void frames_and_fields_have_bounds(void **state)
{
    (void)state;
    struct bw_view frame;
    size_t taken;
    struct bw_signer_request request;
    struct bw_signer_reply reply;
    static const uint8_t huge[] = {0, 1, 0, 1};
    assert_int_equal(bw_signer_split(bw_view_of(huge, 4), &frame, &taken), BW_SIGNER_BAD);
    static uint8_t large_csr[5 + 4 + BW_SIGNER_CSR_MAX + 1 + 4 + 4] = {BW_SIGNER_ISSUE_CERT};
    large_csr[7] = (BW_SIGNER_CSR_MAX + 1) >> 8;
    large_csr[8] = (BW_SIGNER_CSR_MAX + 1) & 0xff;
    assert_false(bw_signer_decode_request(bw_view_of(large_csr, sizeof large_csr), &request));
    static uint8_t many_keys[5 + 2 + 17 * 32] = {BW_SIGNER_KEYS, 0, 0, 0, 0, 0, 17};
    assert_false(bw_signer_decode_reply(bw_view_of(many_keys, sizeof many_keys), &reply));
    static const uint8_t no_code[] = {BW_SIGNER_FAILED, 0, 0, 0, 0, BW_OK, 0, 0, 0, 0};
    assert_false(bw_signer_decode_reply(bw_view_of(no_code, sizeof no_code), &reply));
    static const uint8_t reply_as_request[] = {BW_SIGNER_SIGNED, 0, 0, 0, 0};
    assert_false(bw_signer_decode_request(bw_view_of(reply_as_request, sizeof reply_as_request), &request));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_went_out),
        cmocka_unit_test(a_message_cut_short_or_longer_is_none),
        cmocka_unit_test(frames_and_fields_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
