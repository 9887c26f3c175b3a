#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "wire/grammar.h"
#include "wire/table.h"
#include "wire/wire.h"

static void print_message(const ProtobufCMessage *message, struct bw_buf *buf);

static void print_string(const char *s, struct bw_buf *buf)
{
    bw_buf_append_u8(buf, '"');
    while (s != NULL && *s != '\0') {
        uint8_t c = (uint8_t)*s;
        if (c >= 0x80) {
            size_t n = bw_wire_utf8_sequence((const uint8_t *)s, strnlen(s, 4));
            if (n == 0)
                bw_buf_append_str(buf, "\\ufffd");
            else
                bw_buf_append(buf, s, n);
            s += n == 0 ? 1 : n;
            continue;
        }
        if (c == '"' || c == '\\')
            bw_buf_printf(buf, "\\%c", c);
        else if (c == '\n')
            bw_buf_append_str(buf, "\\n");
        else if (c == '\t')
            bw_buf_append_str(buf, "\\t");
        else if (c < 0x20 || c == 0x7f)
            bw_buf_printf(buf, "\\u%04x", c);
        else
            bw_buf_append_u8(buf, c);
        s++;
    }
    bw_buf_append_u8(buf, '"');
}

/* RFC 4648 section 4, padded. */
static void print_base64(const ProtobufCBinaryData *data, struct bw_buf *buf)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bw_buf_append_u8(buf, '"');
    for (size_t i = 0; i < data->len; i += 3) {
        size_t n = data->len - i < 3 ? data->len - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < n ? data->data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            bw_buf_append_u8(buf, k <= n ? (uint8_t)alphabet[group >> (18 - 6 * k) & 63] : '=');
    }
    bw_buf_append_u8(buf, '"');
}

static size_t element_size(const struct bw_wire_field *field)
{
    switch (field->kind) {
    case BW_WIRE_BOOL:
        return sizeof(protobuf_c_boolean);
    case BW_WIRE_INT64:
    case BW_WIRE_UINT64:
        return sizeof(uint64_t);
    case BW_WIRE_STRING:
        return sizeof(char *);
    case BW_WIRE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case BW_WIRE_MESSAGE:
        return sizeof(ProtobufCMessage *);
    default:
        return sizeof(uint32_t);
    }
}

static void print_enum(const struct bw_wire_field *field, int32_t value, struct bw_buf *buf)
{
    const char *name = bw_wire_enum_name(&bw_wire_enums[field->target], value);
    if (name != NULL)
        bw_buf_printf(buf, "\"%s\"", name);
    else
        bw_buf_printf(buf, "%" PRId32, value);
}

static void print_value(const struct bw_wire_field *field, const void *value, struct bw_buf *buf)
{
    switch (field->kind) {
    case BW_WIRE_BOOL:
        bw_buf_append_str(buf, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case BW_WIRE_INT32:
        bw_buf_printf(buf, "%" PRId32, *(const int32_t *)value);
        break;
    case BW_WIRE_UINT32:
        bw_buf_printf(buf, "%" PRIu32, *(const uint32_t *)value);
        break;
    case BW_WIRE_INT64:
        bw_buf_printf(buf, "\"%" PRId64 "\"", *(const int64_t *)value);
        break;
    case BW_WIRE_UINT64:
        bw_buf_printf(buf, "\"%" PRIu64 "\"", *(const uint64_t *)value);
        break;
    case BW_WIRE_ENUM:
        print_enum(field, *(const int32_t *)value, buf);
        break;
    case BW_WIRE_STRING:
        print_string(*(char *const *)value, buf);
        break;
    case BW_WIRE_BYTES:
        print_base64(value, buf);
        break;
    case BW_WIRE_MESSAGE:
        print_message(*(ProtobufCMessage *const *)value, buf);
        break;
    default:
        BW_CHECK(!"a kind without a printer");
    }
}

/* Keys of our maps are strings. */
static void print_map_entry(const ProtobufCMessage *entry, struct bw_buf *buf)
{
    const struct bw_wire_message *table = bw_wire_table(entry->descriptor);
    const uint8_t *base = (const uint8_t *)entry;
    print_value(&table->fields[0], base + entry->descriptor->fields[0].offset, buf);
    bw_buf_append_u8(buf, ':');
    print_value(&table->fields[1], base + entry->descriptor->fields[1].offset, buf);
}

/* A key that comes twice is printed once, with its last value: that is what protobuf says it means. */
static bool comes_again(ProtobufCMessage *const *entries, size_t i, size_t count)
{
    size_t offset = entries[i]->descriptor->fields[0].offset;
    const char *key = *(const char *const *)(const void *)((const uint8_t *)entries[i] + offset);
    for (size_t k = i + 1; k < count; k++)
        if (strcmp(key, *(const char *const *)(const void *)((const uint8_t *)entries[k] + offset)) == 0)
            return true;
    return false;
}

static void print_map(ProtobufCMessage *const *entries, size_t count, struct bw_buf *buf)
{
    bool first = true;
    bw_buf_append_u8(buf, '{');
    for (size_t i = 0; i < count; i++) {
        if (comes_again(entries, i, count))
            continue;
        if (!first)
            bw_buf_append_u8(buf, ',');
        first = false;
        print_map_entry(entries[i], buf);
    }
    bw_buf_append_u8(buf, '}');
}

static void print_list(const struct bw_wire_field *field, const uint8_t *elements, size_t count,
                       struct bw_buf *buf)
{
    bw_buf_append_u8(buf, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            bw_buf_append_u8(buf, ',');
        print_value(field, elements + i * element_size(field), buf);
    }
    bw_buf_append_u8(buf, ']');
}

/* Absent: a message that is not there, or a member of a oneof that is set otherwise. */
static bool is_absent(const struct bw_wire_field *field, const ProtobufCFieldDescriptor *d,
                      const uint8_t *base)
{
    if ((field->flags & BW_WIRE_REPEATED) != 0)
        return false;
    if ((field->flags & BW_WIRE_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)(base + d->quantifier_offset) != d->id)
        return true;
    return field->kind == BW_WIRE_MESSAGE &&
           *(ProtobufCMessage *const *)(const void *)(base + d->offset) == NULL;
}

static size_t repeated_count(const ProtobufCFieldDescriptor *d, const uint8_t *base)
{
    return *(const size_t *)(const void *)(base + d->quantifier_offset);
}

static void print_message(const ProtobufCMessage *message, struct bw_buf *buf)
{
    if (message == NULL) { /* a hole in a list of ours */
        bw_buf_append_str(buf, "null");
        return;
    }
    const struct bw_wire_message *table = bw_wire_table(message->descriptor);
    BW_CHECK(table != NULL);
    const uint8_t *base = (const uint8_t *)message;
    bool first = true;
    bw_buf_append_u8(buf, '{');
    for (size_t i = 0; i < table->field_count; i++) {
        const struct bw_wire_field *field = &table->fields[i];
        const ProtobufCFieldDescriptor *d = &message->descriptor->fields[i];
        if (is_absent(field, d, base))
            continue;
        bw_buf_printf(buf, "%s\"%s\":", first ? "" : ",", field->json_name);
        first = false;
        const void *elements = base + d->offset;
        if ((field->flags & BW_WIRE_MAP) != 0)
            print_map(*(ProtobufCMessage *const *const *)elements, repeated_count(d, base), buf);
        else if ((field->flags & BW_WIRE_REPEATED) != 0)
            print_list(field, *(const uint8_t *const *)elements, repeated_count(d, base), buf);
        else
            print_value(field, base + d->offset, buf);
    }
    bw_buf_append_u8(buf, '}');
}

void bw_wire_to_json(const ProtobufCMessage *message, struct bw_buf *buf)
{
    print_message(message, buf);
}
