#include "base/check.h"
#include "vault/protocol_parts.h"

enum bw_vault_split bw_vault_split(struct bw_view received, struct bw_view *frame, size_t *taken)
{
    struct bw_reader r = bw_reader_of(received);
    uint32_t len = bw_read_u32(&r);
    if (r.failed)
        return BW_VAULT_MORE;
    if (len > BW_VAULT_FRAME_MAX)
        return BW_VAULT_BAD;
    struct bw_view content = bw_read_bytes(&r, len);
    if (r.failed)
        return BW_VAULT_MORE;
    *frame = content;
    *taken = 4 + (size_t)len;
    return BW_VAULT_WHOLE;
}

static void read_id(struct bw_reader *r, struct bw_id *id)
{
    bw_read_copy(r, id->bytes, sizeof id->bytes);
}

/* Empty after a failure; one longer than it may be is a failure. */
static struct bw_view read_text(struct bw_reader *r, size_t max)
{
    size_t len = bw_read_u16(r);
    if (len > max)
        r->failed = true;
    return bw_read_bytes(r, len);
}

static bool in_range(uint32_t value, uint32_t least, uint32_t most)
{
    return value >= least && value <= most;
}

static bool read_caller(struct bw_reader *r, struct bw_vault_caller *caller)
{
    caller->actor = read_text(r, BW_VAULT_ACTOR_MAX);
    caller->method = read_text(r, BW_VAULT_METHOD_MAX);
    caller->user = read_text(r, BW_VAULT_USER_MAX);
    read_id(r, &caller->request);
    read_id(r, &caller->grant);
    caller->role = bw_read_u8(r);
    return !r->failed && caller->actor.len > 0 && caller->method.len > 0 &&
           in_range(caller->role, BW_VAULT_ROLE_TIER1, BW_VAULT_ROLE_SYSTEM);
}

static bool read_open(struct bw_reader *r, struct bw_vault_request *request)
{
    if (!read_caller(r, &request->caller))
        return false;
    read_id(r, &request->tenant);
    read_id(r, &request->meeting);
    request->what = bw_read_u8(r);
    request->slot = bw_read_u32(r);
    request->slot_to = bw_read_u32(r);
    read_id(r, &request->stream);
    request->from_ms = bw_read_u64(r);
    request->to_ms = bw_read_u64(r);
    request->max_rows = bw_read_u32(r);
    return in_range(request->what, BW_VAULT_ROSTER, BW_VAULT_STREAM) &&
           in_range(request->max_rows, 1, BW_VAULT_ROWS_MAX) && request->from_ms <= request->to_ms &&
           (request->slot_to == 0 || request->slot <= request->slot_to);
}

static bool read_erase(struct bw_reader *r, struct bw_vault_request *request)
{
    if (!read_caller(r, &request->caller))
        return false;
    read_id(r, &request->tenant);
    read_id(r, &request->meeting);
    request->erasure = bw_read_u8(r);
    request->reason = read_text(r, BW_VAULT_REASON_MAX);
    /* A meeting is named exactly when a meeting is meant. */
    return in_range(request->erasure, BW_VAULT_ERASE_MEETING, BW_VAULT_ERASE_TENANT) &&
           bw_id_is_zero(&request->meeting) == (request->erasure == BW_VAULT_ERASE_TENANT);
}

static bool read_items(struct bw_reader *r, uint32_t most, size_t size, uint32_t *count,
                       struct bw_view *items)
{
    *count = bw_read_u32(r);
    if (r->failed || *count > most)
        return false;
    *items = bw_read_bytes(r, *count * size);
    return true;
}

bool bw_vault_decode_request(struct bw_view frame, struct bw_vault_request *request)
{
    struct bw_reader r = bw_reader_of(frame);
    struct bw_vault_request got = {.type = (enum bw_vault_type)bw_read_u8(&r)};
    got.id = bw_read_u32(&r);
    bool ok = true;
    switch (got.type) {
    case BW_VAULT_ENSURE_SCOPES:
        ok = read_items(&r, BW_VAULT_SCOPES_MAX, BW_VAULT_NAME_SIZE, &got.scope_count, &got.scopes);
        break;
    case BW_VAULT_OPEN:
        ok = read_open(&r, &got);
        break;
    case BW_VAULT_ERASE:
        ok = read_erase(&r, &got);
        break;
    case BW_VAULT_SWEEP:
        ok = read_caller(&r, &got.caller);
        read_id(&r, &got.tenant);
        got.before_ms = bw_read_u64(&r);
        got.quality_before_ms = bw_read_u64(&r);
        break;
    case BW_VAULT_STATUS:
        break;
    default:
        ok = false;
        break;
    }
    if (!ok || !bw_reader_done(&r))
        return false;
    *request = got;
    return true;
}

static bool read_row(struct bw_reader *r, struct bw_vault_row *row)
{
    read_id(r, &row->row);
    read_id(r, &row->meeting);
    read_id(r, &row->stream);
    row->slot = bw_read_u32(r);
    row->source = bw_read_u8(r);
    row->seq = bw_read_u64(r);
    row->from_ms = bw_read_u64(r);
    row->to_ms = bw_read_u64(r);
    row->masked = bw_read_u32(r);
    uint32_t len = bw_read_u32(r);
    if (r->failed || len > BW_VAULT_PAYLOAD_MAX)
        return false;
    row->payload = bw_read_bytes(r, len);
    return !r->failed;
}

static bool read_opened(struct bw_reader *r, struct bw_vault_reply *reply)
{
    reply->what = bw_read_u8(r);
    uint8_t flags = bw_read_u8(r);
    reply->last = (flags & BW_VAULT_PART_LAST) != 0;
    reply->cut = (flags & BW_VAULT_PART_CUT) != 0;
    reply->row_count = bw_read_u32(r);
    if (r->failed || !in_range(reply->what, BW_VAULT_ROSTER, BW_VAULT_STREAM) ||
        flags > (BW_VAULT_PART_LAST | BW_VAULT_PART_CUT) || (reply->cut && !reply->last))
        return false;
    reply->rows = bw_read_bytes(r, bw_reader_left(r));
    struct bw_reader rows = bw_reader_of(reply->rows);
    struct bw_vault_row row;
    for (uint32_t i = 0; i < reply->row_count; i++)
        if (!read_row(&rows, &row))
            return false;
    return bw_reader_done(&rows);
}

static void read_receipt(struct bw_reader *r, struct bw_vault_receipt *receipt)
{
    read_id(r, &receipt->id);
    read_id(r, &receipt->tenant);
    read_id(r, &receipt->meeting);
    receipt->erasure = bw_read_u8(r);
    receipt->at_ms = bw_read_u64(r);
    receipt->meeting_keys = bw_read_u32(r);
    receipt->scope_keys = bw_read_u32(r);
    bw_read_copy(r, receipt->signature, sizeof receipt->signature);
}

static bool read_state(struct bw_reader *r, struct bw_vault_reply *reply)
{
    uint8_t state = bw_read_u8(r);
    reply->state = (enum bw_provider_state)state;
    reply->kind = read_text(r, BW_PROVIDER_NAME_SIZE - 1);
    reply->active = read_text(r, BW_PROVIDER_NAME_SIZE - 1);
    reply->since_ms = bw_read_u64(r);
    reply->probed_ms = bw_read_u64(r);
    reply->opened = bw_read_u64(r);
    reply->refused = bw_read_u64(r);
    reply->text = read_text(r, BW_VAULT_TEXT_MAX);
    return state <= BW_PROVIDER_CONFIG;
}

static bool read_error(struct bw_reader *r, struct bw_vault_reply *reply)
{
    uint8_t code = bw_read_u8(r);
    reply->code = (enum bw_code)code;
    reply->reason = read_text(r, BW_VAULT_REASON_MAX);
    reply->text = read_text(r, BW_VAULT_TEXT_MAX);
    return in_range(code, BW_CANCELLED, BW_UNAUTHENTICATED);
}

bool bw_vault_decode_reply(struct bw_view frame, struct bw_vault_reply *reply)
{
    struct bw_reader r = bw_reader_of(frame);
    struct bw_vault_reply got = {.type = (enum bw_vault_type)bw_read_u8(&r)};
    got.id = bw_read_u32(&r);
    bool ok = true;
    switch (got.type) {
    case BW_VAULT_SCOPES:
        ok = read_items(&r, BW_VAULT_KEYS_MAX, BW_VAULT_SCOPE_SIZE, &got.scope_count, &got.scopes);
        break;
    case BW_VAULT_OPENED:
        ok = read_opened(&r, &got);
        break;
    case BW_VAULT_RECEIPT:
        read_receipt(&r, &got.receipt);
        ok = in_range(got.receipt.erasure, BW_VAULT_ERASE_MEETING, BW_VAULT_ERASE_TENANT);
        break;
    case BW_VAULT_SWEPT:
        got.records = bw_read_u64(&r);
        got.meeting_keys = bw_read_u64(&r);
        got.scope_keys = bw_read_u64(&r);
        break;
    case BW_VAULT_STATE:
        ok = read_state(&r, &got);
        break;
    case BW_VAULT_ERROR:
        ok = read_error(&r, &got);
        break;
    default:
        ok = false;
        break;
    }
    if (!ok || !bw_reader_done(&r))
        return false;
    *reply = got;
    return true;
}

void bw_vault_scope_name_at(const struct bw_vault_request *request, uint32_t index,
                            struct bw_vault_scope_name *name)
{
    BW_CHECK(index < request->scope_count);
    struct bw_reader r =
        bw_reader_of(bw_view_of(request->scopes.data + index * BW_VAULT_NAME_SIZE, BW_VAULT_NAME_SIZE));
    read_id(&r, &name->tenant);
    bw_read_copy(&r, name->scope, sizeof name->scope);
}

void bw_vault_scope_at(const struct bw_vault_reply *reply, uint32_t index, struct bw_scope_public *scope)
{
    BW_CHECK(index < reply->scope_count);
    struct bw_reader r =
        bw_reader_of(bw_view_of(reply->scopes.data + index * BW_VAULT_SCOPE_SIZE, BW_VAULT_SCOPE_SIZE));
    read_id(&r, &scope->id);
    read_id(&r, &scope->tenant);
    bw_read_copy(&r, scope->scope, sizeof scope->scope);
    scope->day = bw_read_u32(&r);
    bw_read_copy(&r, scope->public_key, sizeof scope->public_key);
    bw_read_copy(&r, scope->signature, sizeof scope->signature);
}

struct bw_reader bw_vault_rows(const struct bw_vault_reply *reply)
{
    return bw_reader_of(reply->rows);
}

bool bw_vault_next_row(struct bw_reader *rows, struct bw_vault_row *row)
{
    if (bw_reader_left(rows) == 0)
        return false;
    struct bw_vault_row got;
    if (!read_row(rows, &got))
        return false;
    *row = got;
    return true;
}
