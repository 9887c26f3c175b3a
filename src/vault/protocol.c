#include "vault/protocol.h"

#include <string.h>

#include "base/check.h"
#include "vault/protocol_parts.h"

/* The length is written once the content is known. */
static size_t begin(struct bw_buf *out, enum bw_vault_type type, uint32_t id)
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
    size_t len = out->len - at - 4;
    BW_CHECK(len <= BW_VAULT_FRAME_MAX);
    struct bw_writer w = bw_writer_of(out->data + at, 4);
    bw_write_u32(&w, (uint32_t)len);
}

static void append_id(struct bw_buf *out, const struct bw_id *id)
{
    bw_buf_append(out, id->bytes, sizeof id->bytes);
}

static void append_text(struct bw_buf *out, struct bw_view text, size_t max)
{
    BW_CHECK(text.len <= max);
    bw_buf_append_u16(out, (uint16_t)text.len);
    bw_buf_append(out, text.data, text.len);
}

static void append_caller(struct bw_buf *out, const struct bw_vault_caller *caller)
{
    append_text(out, caller->actor, BW_VAULT_ACTOR_MAX);
    append_text(out, caller->method, BW_VAULT_METHOD_MAX);
    append_text(out, caller->user, BW_VAULT_USER_MAX);
    append_id(out, &caller->request);
    append_id(out, &caller->grant);
    bw_buf_append_u8(out, caller->role);
}

void bw_vault_encode_request(const struct bw_vault_request *request, struct bw_buf *out)
{
    size_t at = begin(out, request->type, request->id);
    switch (request->type) {
    case BW_VAULT_ENSURE_SCOPES:
        BW_CHECK(request->scope_count <= BW_VAULT_SCOPES_MAX &&
                 request->scopes.len == request->scope_count * BW_VAULT_NAME_SIZE);
        bw_buf_append_u32(out, request->scope_count);
        bw_buf_append(out, request->scopes.data, request->scopes.len);
        break;
    case BW_VAULT_OPEN:
        append_caller(out, &request->caller);
        append_id(out, &request->tenant);
        append_id(out, &request->meeting);
        bw_buf_append_u8(out, request->what);
        bw_buf_append_u32(out, request->slot);
        bw_buf_append_u32(out, request->slot_to);
        append_id(out, &request->stream);
        bw_buf_append_u64(out, request->from_ms);
        bw_buf_append_u64(out, request->to_ms);
        bw_buf_append_u32(out, request->max_rows);
        break;
    case BW_VAULT_ERASE:
        append_caller(out, &request->caller);
        append_id(out, &request->tenant);
        append_id(out, &request->meeting);
        bw_buf_append_u8(out, request->erasure);
        append_text(out, request->reason, BW_VAULT_REASON_MAX);
        break;
    case BW_VAULT_SWEEP:
        append_caller(out, &request->caller);
        append_id(out, &request->tenant);
        bw_buf_append_u64(out, request->before_ms);
        bw_buf_append_u64(out, request->quality_before_ms);
        break;
    default:
        BW_CHECK(request->type == BW_VAULT_STATUS);
        break;
    }
    end(out, at);
}

static void append_receipt(struct bw_buf *out, const struct bw_vault_receipt *receipt)
{
    append_id(out, &receipt->id);
    append_id(out, &receipt->tenant);
    append_id(out, &receipt->meeting);
    bw_buf_append_u8(out, receipt->erasure);
    bw_buf_append_u64(out, receipt->at_ms);
    bw_buf_append_u32(out, receipt->meeting_keys);
    bw_buf_append_u32(out, receipt->scope_keys);
    bw_buf_append(out, receipt->signature, sizeof receipt->signature);
}

void bw_vault_encode_reply(const struct bw_vault_reply *reply, struct bw_buf *out)
{
    size_t at = begin(out, reply->type, reply->id);
    switch (reply->type) {
    case BW_VAULT_SCOPES:
        BW_CHECK(reply->scope_count <= BW_VAULT_KEYS_MAX &&
                 reply->scopes.len == reply->scope_count * BW_VAULT_SCOPE_SIZE);
        bw_buf_append_u32(out, reply->scope_count);
        bw_buf_append(out, reply->scopes.data, reply->scopes.len);
        break;
    case BW_VAULT_RECEIPT:
        append_receipt(out, &reply->receipt);
        break;
    case BW_VAULT_SWEPT:
        bw_buf_append_u64(out, reply->records);
        bw_buf_append_u64(out, reply->meeting_keys);
        bw_buf_append_u64(out, reply->scope_keys);
        break;
    case BW_VAULT_STATE:
        bw_buf_append_u8(out, (uint8_t)reply->state);
        append_text(out, reply->kind, BW_PROVIDER_NAME_SIZE - 1);
        append_text(out, reply->active, BW_PROVIDER_NAME_SIZE - 1);
        bw_buf_append_u64(out, reply->since_ms);
        bw_buf_append_u64(out, reply->probed_ms);
        bw_buf_append_u64(out, reply->opened);
        bw_buf_append_u64(out, reply->refused);
        append_text(out, reply->text, BW_VAULT_TEXT_MAX);
        break;
    default:
        BW_CHECK(reply->type == BW_VAULT_ERROR);
        bw_buf_append_u8(out, (uint8_t)reply->code);
        append_text(out, reply->reason, BW_VAULT_REASON_MAX);
        append_text(out, reply->text, BW_VAULT_TEXT_MAX);
        break;
    }
    end(out, at);
}

void bw_vault_append_scope_name(const struct bw_vault_scope_name *name, struct bw_buf *scopes)
{
    append_id(scopes, &name->tenant);
    bw_buf_append(scopes, name->scope, sizeof name->scope);
}

void bw_vault_append_scope(const struct bw_scope_public *scope, struct bw_buf *scopes)
{
    append_id(scopes, &scope->id);
    append_id(scopes, &scope->tenant);
    bw_buf_append(scopes, scope->scope, sizeof scope->scope);
    bw_buf_append_u32(scopes, scope->day);
    bw_buf_append(scopes, scope->public_key, sizeof scope->public_key);
    bw_buf_append(scopes, scope->signature, sizeof scope->signature);
}

void bw_vault_part_begin(struct bw_vault_part *part, uint32_t id, enum bw_vault_what what, struct bw_buf *out)
{
    *part = (struct bw_vault_part){.out = out, .at = begin(out, BW_VAULT_OPENED, id)};
    bw_buf_append_u8(out, (uint8_t)what);
    bw_buf_append_u8(out, 0); /* flags and count: written at the end */
    bw_buf_append_u32(out, 0);
}

bool bw_vault_part_add(struct bw_vault_part *part, const struct bw_vault_row *row)
{
    struct bw_buf *out = part->out;
    BW_CHECK(row->payload.len <= BW_VAULT_PAYLOAD_MAX);
    size_t size = BW_VAULT_ROW_SIZE + row->payload.len;
    if (out->failed || out->len - part->at - 4 + size > BW_VAULT_FRAME_MAX || !bw_buf_reserve(out, size))
        return false;
    append_id(out, &row->row);
    append_id(out, &row->meeting);
    append_id(out, &row->stream);
    bw_buf_append_u32(out, row->slot);
    bw_buf_append_u8(out, row->source);
    bw_buf_append_u64(out, row->seq);
    bw_buf_append_u64(out, row->from_ms);
    bw_buf_append_u64(out, row->to_ms);
    bw_buf_append_u32(out, row->masked);
    bw_buf_append_u32(out, (uint32_t)row->payload.len);
    bw_buf_append(out, row->payload.data, row->payload.len);
    part->rows++;
    return true;
}

void bw_vault_part_end(struct bw_vault_part *part, bool last, bool cut)
{
    if (part->out->failed)
        return;
    BW_CHECK(last || !cut);
    struct bw_writer w = bw_writer_of(part->out->data + part->at + BW_VAULT_HEAD_SIZE + 1, 5);
    bw_write_u8(&w, (uint8_t)((last ? BW_VAULT_PART_LAST : 0) | (cut ? BW_VAULT_PART_CUT : 0)));
    bw_write_u32(&w, part->rows);
    end(part->out, part->at);
}

/* What a receipt's signature is over. */
static void receipt_bytes(const struct bw_vault_receipt *receipt, uint8_t out[BW_VAULT_RECEIPT_SIGNED])
{
    static const char label[] = "bw-erasure-receipt/v1";
    struct bw_writer w = bw_writer_of(out, BW_VAULT_RECEIPT_SIGNED);
    bw_write_bytes(&w, label, sizeof label - 1);
    bw_write_bytes(&w, receipt->id.bytes, sizeof receipt->id.bytes);
    bw_write_bytes(&w, receipt->tenant.bytes, sizeof receipt->tenant.bytes);
    bw_write_bytes(&w, receipt->meeting.bytes, sizeof receipt->meeting.bytes);
    bw_write_u8(&w, receipt->erasure);
    bw_write_u64(&w, receipt->at_ms);
    bw_write_u32(&w, receipt->meeting_keys);
    bw_write_u32(&w, receipt->scope_keys);
    BW_CHECK(bw_writer_len(&w) == BW_VAULT_RECEIPT_SIGNED && !w.failed);
}

enum bw_code bw_vault_receipt_sign(struct bw_vault_receipt *receipt, struct bw_ed25519_signer *service,
                                   struct bw_error *err)
{
    uint8_t bytes[BW_VAULT_RECEIPT_SIGNED];
    receipt_bytes(receipt, bytes);
    return bw_ed25519_sign(service, bw_view_of(bytes, sizeof bytes), receipt->signature, err);
}

bool bw_vault_receipt_verify(const struct bw_vault_receipt *receipt, struct bw_ed25519_verifier *service)
{
    uint8_t bytes[BW_VAULT_RECEIPT_SIGNED];
    receipt_bytes(receipt, bytes);
    return bw_ed25519_verify(service, bw_view_of(bytes, sizeof bytes), receipt->signature);
}
