#include "server/signer_protocol.h"

#include <string.h>

#include "base/check.h"

/* The length is written once the content is known. */
static size_t begin(struct bw_buf *out, enum bw_signer_type type, uint32_t id)
{
    size_t at = out->len;
    bw_buf_append_u32(out, 0);
    bw_buf_append_u8(out, (uint8_t)type);
    bw_buf_append_u32(out, id);
    return at;
}

static void end(struct bw_buf *out, size_t at)
{
    if (out->failed)
        return;
    BW_CHECK(out->len - at - 4 <= BW_SIGNER_FRAME_MAX);
    struct bw_writer w = bw_writer_of(out->data + at, 4);
    bw_write_u32(&w, (uint32_t)(out->len - at - 4));
}

static void append_block(struct bw_buf *out, struct bw_view block)
{
    bw_buf_append_u32(out, (uint32_t)block.len);
    bw_buf_append(out, block.data, block.len);
}

static struct bw_view read_block(struct bw_reader *r)
{
    return bw_read_bytes(r, bw_read_u32(r));
}

void bw_signer_encode_request(const struct bw_signer_request *request, struct bw_buf *out)
{
    size_t at = begin(out, request->type, request->id);
    if (request->type == BW_SIGNER_SIGN_ROOT) {
        bw_buf_append(out, request->root.bytes, sizeof request->root.bytes);
        bw_buf_append_u32(out, request->leaves);
    } else if (request->type == BW_SIGNER_ISSUE_CERT) {
        BW_CHECK(request->csr.len <= BW_SIGNER_CSR_MAX && request->spiffe_id.len <= BW_SIGNER_SPIFFE_MAX);
        append_block(out, request->csr);
        append_block(out, request->spiffe_id);
        bw_buf_append_u32(out, request->lifetime_s);
    }
    end(out, at);
}

void bw_signer_encode_reply(const struct bw_signer_reply *reply, struct bw_buf *out)
{
    size_t at = begin(out, reply->type, reply->id);
    switch (reply->type) {
    case BW_SIGNER_SIGNED:
        bw_buf_append(out, reply->key_id, sizeof reply->key_id);
        bw_buf_append(out, reply->signature, sizeof reply->signature);
        break;
    case BW_SIGNER_KEYS:
        BW_CHECK(reply->key_count <= BW_SIGNER_KEYS_MAX);
        bw_buf_append_u8(out, reply->issues_certificates);
        bw_buf_append_u8(out, (uint8_t)reply->key_count);
        bw_buf_append(out, reply->keys, reply->key_count * sizeof reply->keys[0]);
        break;
    case BW_SIGNER_CERT:
        append_block(out, reply->certificate);
        append_block(out, reply->ca);
        break;
    default:
        bw_buf_append_u8(out, (uint8_t)reply->code);
        append_block(out, reply->text);
        break;
    }
    end(out, at);
}

enum bw_signer_split bw_signer_split(struct bw_view received, struct bw_view *frame, size_t *taken)
{
    struct bw_reader r = bw_reader_of(received);
    uint32_t len = bw_read_u32(&r);
    if (r.failed)
        return BW_SIGNER_MORE;
    if (len > BW_SIGNER_FRAME_MAX)
        return BW_SIGNER_BAD;
    struct bw_view content = bw_read_bytes(&r, len);
    if (r.failed)
        return BW_SIGNER_MORE;
    *frame = content;
    *taken = 4 + (size_t)len;
    return BW_SIGNER_WHOLE;
}

bool bw_signer_decode_request(struct bw_view frame, struct bw_signer_request *request)
{
    struct bw_reader r = bw_reader_of(frame);
    struct bw_signer_request got = {.type = (enum bw_signer_type)bw_read_u8(&r)};
    got.id = bw_read_u32(&r);
    switch (got.type) {
    case BW_SIGNER_SIGN_ROOT:
        bw_read_copy(&r, got.root.bytes, sizeof got.root.bytes);
        got.leaves = bw_read_u32(&r);
        break;
    case BW_SIGNER_PUBLIC_KEYS:
        break;
    case BW_SIGNER_ISSUE_CERT:
        got.csr = read_block(&r);
        got.spiffe_id = read_block(&r);
        got.lifetime_s = bw_read_u32(&r);
        if (got.csr.len > BW_SIGNER_CSR_MAX || got.spiffe_id.len > BW_SIGNER_SPIFFE_MAX)
            return false;
        break;
    default:
        return false;
    }
    if (!bw_reader_done(&r))
        return false;
    *request = got;
    return true;
}

static bool read_keys(struct bw_reader *r, struct bw_signer_reply *reply)
{
    uint8_t issues = bw_read_u8(r);
    reply->issues_certificates = issues == 1;
    reply->key_count = bw_read_u8(r);
    if (issues > 1 || reply->key_count > BW_SIGNER_KEYS_MAX)
        return false;
    bw_read_copy(r, reply->keys, reply->key_count * sizeof reply->keys[0]);
    return true;
}

bool bw_signer_decode_reply(struct bw_view frame, struct bw_signer_reply *reply)
{
    struct bw_reader r = bw_reader_of(frame);
    struct bw_signer_reply got = {.type = (enum bw_signer_type)bw_read_u8(&r)};
    got.id = bw_read_u32(&r);
    switch (got.type) {
    case BW_SIGNER_SIGNED:
        bw_read_copy(&r, got.key_id, sizeof got.key_id);
        bw_read_copy(&r, got.signature, sizeof got.signature);
        break;
    case BW_SIGNER_KEYS:
        if (!read_keys(&r, &got))
            return false;
        break;
    case BW_SIGNER_CERT:
        got.certificate = read_block(&r);
        got.ca = read_block(&r);
        break;
    case BW_SIGNER_FAILED:
        got.code = (enum bw_code)bw_read_u8(&r);
        got.text = read_block(&r);
        if (got.code == BW_OK || got.code > BW_UNAUTHENTICATED)
            return false;
        break;
    default:
        return false;
    }
    if (!bw_reader_done(&r))
        return false;
    *reply = got;
    return true;
}
