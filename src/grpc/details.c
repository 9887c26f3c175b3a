#include "grpc/details.h"

#include <string.h>

#include "grpc/pb.h"

/* google/rpc/status.proto, google/rpc/error_details.proto, google/protobuf/any.proto */
#define TYPE_PREFIX "type.googleapis.com/google.rpc."

enum {
    STATUS_CODE = 1,
    STATUS_MESSAGE = 2,
    STATUS_DETAILS = 3,
    ANY_TYPE_URL = 1,
    ANY_VALUE = 2,
    INFO_REASON = 1,
    INFO_DOMAIN = 2,
    INFO_METADATA = 3,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    BAD_VIOLATIONS = 1,
    VIOLATION_FIELD = 1,
    VIOLATION_DESCRIPTION = 2,
    RETRY_DELAY = 1,
    DURATION_SECONDS = 1,
    DURATION_NANOS = 2,
};

static void put_any(struct bw_buf *out, const char *type_url, struct bw_view value)
{
    struct bw_buf any = {0};
    bw_pb_put_string(&any, ANY_TYPE_URL, type_url);
    bw_pb_put_bytes(&any, ANY_VALUE, value);
    bw_pb_put_message(out, STATUS_DETAILS, bw_buf_view(&any));
    out->failed |= any.failed;
    bw_buf_finish(&any);
}

/* A submessage of two strings: a map entry or a violation. */
static void put_two(struct bw_buf *out, uint32_t number, const char *first, const char *second)
{
    struct bw_buf two = {0};
    bw_pb_put_string(&two, 1, first ? first : "");
    bw_pb_put_string(&two, 2, second ? second : "");
    bw_pb_put_message(out, number, bw_buf_view(&two));
    out->failed |= two.failed;
    bw_buf_finish(&two);
}

static void put_info(struct bw_buf *out, const struct bw_grpc_details *details, size_t metadata_count)
{
    struct bw_buf info = {0};
    bw_pb_put_string(&info, INFO_REASON, details->reason);
    bw_pb_put_string(&info, INFO_DOMAIN, details->domain ? details->domain : "");
    for (size_t i = 0; i < metadata_count; i++)
        put_two(&info, INFO_METADATA, details->metadata[i].name, details->metadata[i].value);
    put_any(out, TYPE_PREFIX "ErrorInfo", bw_buf_view(&info));
    out->failed |= info.failed;
    bw_buf_finish(&info);
}

static void put_violations(struct bw_buf *out, const struct bw_grpc_details *details, size_t count)
{
    struct bw_buf bad = {0};
    for (size_t i = 0; i < count; i++)
        put_two(&bad, BAD_VIOLATIONS, details->violations[i].field, details->violations[i].description);
    put_any(out, TYPE_PREFIX "BadRequest", bw_buf_view(&bad));
    out->failed |= bad.failed;
    bw_buf_finish(&bad);
}

static void put_retry(struct bw_buf *out, uint64_t after_ms)
{
    struct bw_buf duration = {0}, retry = {0};
    bw_pb_put_varint(&duration, DURATION_SECONDS, after_ms / 1000);
    bw_pb_put_varint(&duration, DURATION_NANOS, after_ms % 1000 * 1000000);
    bw_pb_put_message(&retry, RETRY_DELAY, bw_buf_view(&duration));
    put_any(out, TYPE_PREFIX "RetryInfo", bw_buf_view(&retry));
    out->failed |= duration.failed | retry.failed;
    bw_buf_finish(&duration);
    bw_buf_finish(&retry);
}

/* How much of the details goes in. */
struct portion {
    bool any;
    size_t violations, metadata;
};

static void encode(enum bw_code code, const char *message, const struct bw_grpc_details *details,
                   struct portion portion, struct bw_buf *out)
{
    bw_pb_put_varint(out, STATUS_CODE, (uint64_t)code);
    bw_pb_put_string(out, STATUS_MESSAGE, message ? message : "");
    if (details->reason != NULL)
        put_info(out, details, portion.metadata);
    if (portion.violations > 0)
        put_violations(out, details, portion.violations);
    if (details->retry_after_ms > 0)
        put_retry(out, details->retry_after_ms);
    if (portion.any)
        put_any(out, details->any_type_url, details->any_value);
}

static bool smaller(struct portion *portion)
{
    if (portion->any)
        portion->any = false;
    else if (portion->violations > 1)
        portion->violations /= 2;
    else if (portion->metadata > 0)
        portion->metadata /= 2;
    else if (portion->violations > 0)
        portion->violations = 0;
    else
        return false;
    return true;
}

void bw_grpc_details_encode(enum bw_code code, const char *message, const struct bw_grpc_details *details,
                            struct bw_buf *out)
{
    struct portion portion = {.any = details->any_type_url != NULL,
                              .violations = details->violation_count,
                              .metadata = details->metadata_count};
    size_t start = out->len;
    encode(code, message, details, portion, out);
    while (out->len - start > BW_GRPC_DETAILS_MAX_BYTES && !out->failed && smaller(&portion)) {
        out->len = start;
        encode(code, message, details, portion, out);
    }
}

/* ---- reading ---- */

struct decoding {
    struct bw_arena *arena;
    struct bw_grpc_details *out;
    bool bad, full;
};

static char *keep_string(struct decoding *d, struct bw_view text)
{
    if (memchr(text.len ? text.data : (const uint8_t *)"", 0, text.len) != NULL) {
        d->bad = true;
        return NULL;
    }
    char *copy = bw_arena_strndup(d->arena, (const char *)text.data, text.len);
    if (copy == NULL)
        d->full = true;
    return copy;
}

static bool is_type(struct bw_view type_url, const char *name)
{
    size_t len = strlen(name);
    if (type_url.len < len + 1)
        return false;
    struct bw_view tail = bw_view_of(type_url.data + type_url.len - len, len);
    return type_url.data[type_url.len - len - 1] == '/' && bw_view_equal_str(tail, name);
}

static void read_two(struct decoding *d, struct bw_view message, const char **first, const char **second)
{
    struct bw_pb_field field;
    *first = *second = "";
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.wire != BW_PB_BYTES)
            continue;
        if (field.number == 1)
            *first = keep_string(d, field.bytes);
        else if (field.number == 2)
            *second = keep_string(d, field.bytes);
    }
}

static size_t count_fields(struct decoding *d, struct bw_view message, uint32_t number)
{
    struct bw_pb_field field;
    size_t count = 0;
    while (bw_pb_next(&message, &field, &d->bad))
        count += field.number == number && field.wire == BW_PB_BYTES;
    return count;
}

static void read_info(struct decoding *d, struct bw_view message)
{
    size_t count = count_fields(d, message, INFO_METADATA);
    struct bw_grpc_pair *pairs = bw_arena_zalloc(d->arena, count, sizeof *pairs);
    if (pairs == NULL) {
        d->full = true;
        return;
    }
    d->out->reason = d->out->domain = "";
    d->out->metadata = pairs;
    struct bw_pb_field field;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.wire != BW_PB_BYTES)
            continue;
        if (field.number == INFO_REASON) {
            d->out->reason = keep_string(d, field.bytes);
        } else if (field.number == INFO_DOMAIN) {
            d->out->domain = keep_string(d, field.bytes);
        } else if (field.number == INFO_METADATA) {
            struct bw_grpc_pair *pair = &pairs[d->out->metadata_count++];
            read_two(d, field.bytes, &pair->name, &pair->value);
        }
    }
}

static void read_violations(struct decoding *d, struct bw_view message)
{
    size_t count = count_fields(d, message, BAD_VIOLATIONS);
    struct bw_grpc_violation *violations = bw_arena_zalloc(d->arena, count, sizeof *violations);
    if (violations == NULL) {
        d->full = true;
        return;
    }
    d->out->violations = violations;
    struct bw_pb_field field;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.wire == BW_PB_BYTES && field.number == BAD_VIOLATIONS) {
            struct bw_grpc_violation *violation = &violations[d->out->violation_count++];
            read_two(d, field.bytes, &violation->field, &violation->description);
        }
    }
}

static void read_retry(struct decoding *d, struct bw_view message)
{
    struct bw_pb_field field;
    uint64_t seconds = 0, nanos = 0;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.number != RETRY_DELAY || field.wire != BW_PB_BYTES)
            continue;
        struct bw_view duration = field.bytes;
        struct bw_pb_field part;
        while (bw_pb_next(&duration, &part, &d->bad)) {
            if (part.wire == BW_PB_VARINT && part.number == DURATION_SECONDS)
                seconds = part.value;
            else if (part.wire == BW_PB_VARINT && part.number == DURATION_NANOS)
                nanos = part.value;
        }
    }
    if (seconds > INT64_MAX / 1000 || nanos >= 1000000000)
        d->bad = true; /* negative or out of Duration's range */
    else
        d->out->retry_after_ms = seconds * 1000 + nanos / 1000000;
}

static void read_any(struct decoding *d, struct bw_view message)
{
    struct bw_pb_field field;
    struct bw_view type_url = {0}, value = {0};
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.wire == BW_PB_BYTES && field.number == ANY_TYPE_URL)
            type_url = field.bytes;
        else if (field.wire == BW_PB_BYTES && field.number == ANY_VALUE)
            value = field.bytes;
    }
    struct bw_grpc_details *out = d->out;
    if (is_type(type_url, "google.rpc.ErrorInfo") && out->reason == NULL) {
        read_info(d, value);
    } else if (is_type(type_url, "google.rpc.BadRequest") && out->violations == NULL) {
        read_violations(d, value);
    } else if (is_type(type_url, "google.rpc.RetryInfo")) {
        read_retry(d, value);
    } else if (out->any_type_url == NULL) {
        out->any_type_url = keep_string(d, type_url);
        const uint8_t *copy = bw_arena_memdup(d->arena, value.data, value.len);
        if (copy == NULL)
            d->full = true;
        out->any_value = bw_view_of(copy, value.len);
    }
}

enum bw_code bw_grpc_details_decode(struct bw_view status, struct bw_arena *arena,
                                    struct bw_grpc_details *out, struct bw_error *err)
{
    struct bw_grpc_details details = {0};
    struct decoding d = {.arena = arena, .out = &details};
    struct bw_pb_field field;
    while (bw_pb_next(&status, &field, &d.bad)) {
        if (field.number == STATUS_DETAILS && field.wire == BW_PB_BYTES)
            read_any(&d, field.bytes);
    }
    if (d.full)
        return bw_fail_memory(err);
    if (d.bad)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "grpc-status-details-bin is not a google.rpc.Status");
    *out = details;
    return BW_OK;
}
