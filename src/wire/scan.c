#include "wire/scan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "wire/grammar.h"
#include "wire/table.h"
#include "wire/wire.h"

/* encoding.proto: the wire types of fields that our kinds use */
enum { WIRE_VARINT = 0, WIRE_LENGTH = 2 };

/* One message being read; the chain of frames is the path for errors. */
struct frame {
    const struct bw_wire_message *table;
    const struct frame *parent;
    const struct bw_wire_field *field; /* being read; NULL before the first */
    uint32_t index;                    /* of the element, when `indexed` */
    bool indexed;
    uint64_t present; /* bit per field index: on the wire */
    uint64_t filled;  /* the same: with something other than its default */
    uint32_t oneofs;  /* bit per oneof: one of its members is present */
    uint32_t counts[BW_WIRE_MAX_REPEATED];
};

struct scan {
    size_t fields_left, max_fields;
    struct bw_error *err;
};

static void append_path(char *path, size_t size, const struct frame *frame)
{
    const struct frame *chain[BW_WIRE_MAX_DEPTH + 1];
    size_t depth = 0, len = 0;
    for (; frame != NULL && depth < BW_WIRE_MAX_DEPTH + 1; frame = frame->parent)
        if (frame->field != NULL)
            chain[depth++] = frame;
    while (depth-- > 0 && len + 1 < size) {
        const struct frame *at = chain[depth];
        int n = snprintf(path + len, size - len, "%s%s", len > 0 ? "." : "", at->field->name);
        if (n > 0 && at->indexed && len + (size_t)n < size)
            n += snprintf(path + len + n, size - len - (size_t)n, "[%" PRIu32 "]", at->index);
        len += n > 0 ? (size_t)n : 0;
    }
}

static enum bw_code fail(const struct scan *scan, const struct frame *frame, const char *format, ...)
    BW_PRINTF(3, 4);

static enum bw_code fail(const struct scan *scan, const struct frame *frame, const char *format, ...)
{
    char path[320] = "", what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    append_path(path, sizeof path, frame);
    return bw_fail(scan->err, BW_INVALID_ARGUMENT, "MALFORMED_MESSAGE", "%s%s%s", path,
                   path[0] != '\0' ? ": " : "", what);
}

/* Minimal and at most 64 bits; false otherwise or when the input ends within it. */
static bool take_varint(struct bw_reader *r, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->p == r->end)
            return false;
        uint8_t byte = *r->p++;
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = v;
            return byte != 0 || shift == 0;
        }
    }
    return false;
}

static enum bw_code take_number(const struct scan *scan, const struct frame *frame, struct bw_reader *r,
                                uint64_t *value)
{
    if (take_varint(r, value))
        return BW_OK;
    return fail(scan, frame, "a number is cut short, too long or not in its shortest form");
}

static bool in_range(const struct bw_wire_field *field, uint64_t raw)
{
    if ((field->kind == BW_WIRE_UINT64 || field->kind == BW_WIRE_UINT32) && raw > INT64_MAX)
        return false;
    return (int64_t)raw >= field->min && (int64_t)raw <= field->max;
}

/* One value of a scalar number, alone or within a packed list. */
static enum bw_code check_number(const struct scan *scan, struct frame *frame, uint64_t raw)
{
    const struct bw_wire_field *field = frame->field;
    int64_t value = (int64_t)raw;
    switch (field->kind) {
    case BW_WIRE_BOOL:
        if (raw > 1)
            return fail(scan, frame, "a boolean must be 0 or 1");
        break;
    case BW_WIRE_UINT32:
        if (raw > UINT32_MAX)
            return fail(scan, frame, "does not fit 32 bits");
        break;
    case BW_WIRE_INT32:
        if (value < INT32_MIN || value > INT32_MAX)
            return fail(scan, frame, "does not fit 32 bits");
        break;
    case BW_WIRE_ENUM:
        if (bw_wire_enum_name(&bw_wire_enums[field->target], value) == NULL)
            return fail(scan, frame, "%" PRId64 " is not a known value of %s", value,
                        bw_wire_enums[field->target].full_name);
        break;
    default:
        break;
    }
    /* An explicit 0 of a singular field is the same as none. */
    bool stands_for_absent = raw == 0 && (field->flags & (BW_WIRE_REPEATED | BW_WIRE_ONEOF)) == 0;
    if ((field->flags & BW_WIRE_RANGE) != 0 && !stands_for_absent && !in_range(field, raw))
        return fail(scan, frame, "must be %" PRId64 " to %" PRId64, field->min, field->max);
    if (!stands_for_absent)
        frame->filled |= UINT64_C(1) << (field - frame->table->fields);
    return BW_OK;
}

static enum bw_code check_length(const struct scan *scan, const struct frame *frame, size_t len)
{
    const struct bw_wire_field *field = frame->field;
    if (field->min_len == field->max_len && len != field->max_len)
        return fail(scan, frame, "%zu bytes, must be %" PRIu32, len, field->max_len);
    if (len > field->max_len)
        return fail(scan, frame, "%zu bytes, at most %" PRIu32, len, field->max_len);
    return BW_OK;
}

static enum bw_code check_text(const struct scan *scan, struct frame *frame, struct bw_view text)
{
    const struct bw_wire_field *field = frame->field;
    if (text.len == 0 && (field->flags & (BW_WIRE_REPEATED | BW_WIRE_ONEOF)) == 0)
        return BW_OK; /* the same as absent */
    enum bw_code code = check_length(scan, frame, text.len);
    if (code != BW_OK)
        return code;
    if (field->kind == BW_WIRE_STRING) {
        if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
            return fail(scan, frame, "contains a NUL character");
        if (!bw_wire_is_utf8(text))
            return fail(scan, frame, "is not UTF-8");
        Bailiwick__V1__Rule__Grammar grammar = (Bailiwick__V1__Rule__Grammar)field->grammar;
        if (!bw_wire_matches(grammar, text))
            return fail(scan, frame, "must be %s", bw_wire_grammar_text(grammar));
    }
    frame->filled |= UINT64_C(1) << (field - frame->table->fields);
    return BW_OK;
}

/* Counts one more element of a repeated field. */
static enum bw_code count_element(const struct scan *scan, struct frame *frame)
{
    const struct bw_wire_field *field = frame->field;
    uint32_t *count = &frame->counts[field->repeat];
    frame->index = *count;
    frame->indexed = true;
    if (++*count <= field->max_items)
        return BW_OK;
    frame->indexed = false;
    return fail(scan, frame, "more than %" PRIu32 " elements", field->max_items);
}

static enum bw_code check_packed(const struct scan *scan, struct frame *frame, struct bw_view packed)
{
    struct bw_reader r = bw_reader_of(packed);
    while (bw_reader_left(&r) > 0) {
        uint64_t raw = 0;
        enum bw_code code = count_element(scan, frame);
        if (code == BW_OK)
            code = take_number(scan, frame, &r, &raw);
        if (code == BW_OK)
            code = check_number(scan, frame, raw);
        if (code != BW_OK)
            return code;
    }
    return BW_OK;
}

/* A singular field, or a oneof, may be there once. */
static enum bw_code note_presence(const struct scan *scan, struct frame *frame)
{
    const struct bw_wire_field *field = frame->field;
    uint64_t bit = UINT64_C(1) << (field - frame->table->fields);
    bool before = (frame->present & bit) != 0;
    frame->present |= bit;
    if ((field->flags & BW_WIRE_REPEATED) != 0)
        return BW_OK;
    if (before)
        return fail(scan, frame, "is there twice");
    if ((field->flags & BW_WIRE_ONEOF) == 0)
        return BW_OK;
    uint32_t oneof = UINT32_C(1) << field->oneof;
    if ((frame->oneofs & oneof) != 0)
        return fail(scan, frame, "another member of the same oneof is there already");
    frame->oneofs |= oneof;
    return BW_OK;
}

static enum bw_code scan_message(struct scan *scan, struct frame *frame, struct bw_view bytes,
                                 unsigned depth);

static enum bw_code scan_submessage(struct scan *scan, struct frame *parent, struct bw_view bytes,
                                    unsigned depth)
{
    BW_CHECK(depth < BW_WIRE_MAX_DEPTH); /* the generator refuses message types that could go deeper */
    struct frame frame = {.table = &bw_wire_messages[parent->field->target], .parent = parent};
    parent->filled |= UINT64_C(1) << (parent->field - parent->table->fields);
    return scan_message(scan, &frame, bytes, depth + 1);
}

static enum bw_code scan_length_delimited(struct scan *scan, struct frame *frame, struct bw_reader *r,
                                          unsigned depth)
{
    const struct bw_wire_field *field = frame->field;
    uint64_t len = 0;
    enum bw_code code = take_number(scan, frame, r, &len);
    if (code != BW_OK)
        return code;
    if (len > bw_reader_left(r))
        return fail(scan, frame, "is cut short");
    struct bw_view content = bw_read_bytes(r, (size_t)len);
    if (field->kind < BW_WIRE_STRING)
        return check_packed(scan, frame, content);
    if ((field->flags & BW_WIRE_REPEATED) != 0)
        code = count_element(scan, frame);
    if (code != BW_OK)
        return code;
    if (field->kind == BW_WIRE_MESSAGE)
        return scan_submessage(scan, frame, content, depth);
    return check_text(scan, frame, content);
}

static enum bw_code scan_varint(struct scan *scan, struct frame *frame, struct bw_reader *r)
{
    uint64_t raw = 0;
    enum bw_code code = BW_OK;
    if ((frame->field->flags & BW_WIRE_REPEATED) != 0)
        code = count_element(scan, frame);
    if (code == BW_OK)
        code = take_number(scan, frame, r, &raw);
    if (code == BW_OK)
        code = check_number(scan, frame, raw);
    return code;
}

static enum bw_code scan_field(struct scan *scan, struct frame *frame, struct bw_reader *r, unsigned depth)
{
    const struct bw_wire_message *table = frame->table;
    uint64_t tag = 0;
    frame->field = NULL;
    frame->indexed = false;
    enum bw_code code = take_number(scan, frame, r, &tag);
    if (code != BW_OK)
        return code;
    uint64_t number = tag >> 3;
    if (number > table->max_number || table->by_number[number] == 0)
        return fail(scan, frame, "unknown field %" PRIu64 " in %s", number, table->full_name);
    frame->field = &table->fields[table->by_number[number] - 1];
    if (scan->fields_left-- == 0)
        return fail(scan, frame, "the message has more than %zu fields", scan->max_fields);
    code = note_presence(scan, frame);
    if (code != BW_OK)
        return code;
    bool is_number = frame->field->kind < BW_WIRE_STRING;
    bool may_pack = is_number && (frame->field->flags & BW_WIRE_REPEATED) != 0;
    if ((tag & 7) == WIRE_LENGTH && (!is_number || may_pack))
        return scan_length_delimited(scan, frame, r, depth);
    if ((tag & 7) == WIRE_VARINT && is_number)
        return scan_varint(scan, frame, r);
    return fail(scan, frame, "wire type %u is not this field's", (unsigned)(tag & 7));
}

static enum bw_code scan_message(struct scan *scan, struct frame *frame, struct bw_view bytes, unsigned depth)
{
    struct bw_reader r = bw_reader_of(bytes);
    while (bw_reader_left(&r) > 0) {
        enum bw_code code = scan_field(scan, frame, &r, depth);
        if (code != BW_OK)
            return code;
    }
    uint64_t missing = frame->table->required & ~frame->filled;
    if (missing == 0)
        return BW_OK;
    frame->field = &frame->table->fields[__builtin_ctzll(missing)];
    frame->indexed = false;
    return fail(scan, frame, "is required");
}

enum bw_code bw_wire_scan_limited(const ProtobufCMessageDescriptor *descriptor, struct bw_view bytes,
                                  size_t max_fields, struct bw_error *err)
{
    struct scan scan = {.fields_left = max_fields, .max_fields = max_fields, .err = err};
    struct frame root = {.table = bw_wire_table(descriptor)};
    if (root.table == NULL)
        return bw_fail(err, BW_INTERNAL, NULL, "no rules are known for this message");
    return scan_message(&scan, &root, bytes, 1);
}
