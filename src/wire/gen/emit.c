#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"
#include "wire/table.h"
#include "wire/wire.h"

#define TYPE(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name

static const char *kind_of(const Google__Protobuf__FieldDescriptorProto *field, const char *message)
{
    switch (field->type) {
    case TYPE(BOOL):
        return "BW_WIRE_BOOL";
    case TYPE(INT32):
        return "BW_WIRE_INT32";
    case TYPE(INT64):
        return "BW_WIRE_INT64";
    case TYPE(UINT32):
        return "BW_WIRE_UINT32";
    case TYPE(UINT64):
        return "BW_WIRE_UINT64";
    case TYPE(ENUM):
        return "BW_WIRE_ENUM";
    case TYPE(STRING):
        return "BW_WIRE_STRING";
    case TYPE(BYTES):
        return "BW_WIRE_BYTES";
    case TYPE(MESSAGE):
        return "BW_WIRE_MESSAGE";
    default:
        die("%s.%s: the scan knows no such type; use int32, int64, uint32, uint64, bool, an enum, string, "
            "bytes or a message",
            message, field->name);
    }
}

static int by_value(const void *a, const void *b)
{
    const Google__Protobuf__EnumValueDescriptorProto *const *left = a, *const *right = b;
    return ((*left)->number > (*right)->number) - ((*left)->number < (*right)->number);
}

static int by_field_number(const void *a, const void *b)
{
    const Google__Protobuf__FieldDescriptorProto *const *left = a, *const *right = b;
    return ((*left)->number > (*right)->number) - ((*left)->number < (*right)->number);
}

static void emit_enum(FILE *out, const struct schema_enum *e, size_t index)
{
    size_t n = e->proto->n_value;
    qsort(e->proto->value, n, sizeof(void *), by_value);
    fprintf(out, "static const int32_t enum%zu_values[] = {", index);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%d, ", e->proto->value[i]->number);
    fprintf(out, "};\nstatic const char *const enum%zu_names[] = {", index);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "\"%s\", ", e->proto->value[i]->name);
    fprintf(out, "};\n");
}

static void emit_field(FILE *out, const struct schema *schema, const struct schema_message *message,
                       const Google__Protobuf__FieldDescriptorProto *field, unsigned *repeated)
{
    struct schema_rule rule = schema_rule_of(schema, message, field);
    size_t target = 0;
    bool map = false;
    if (field->type == TYPE(MESSAGE)) {
        target = schema_find_message(schema, field->type_name);
        map = schema_is_map_entry(&schema->messages[target]);
    }
    if (field->type == TYPE(ENUM))
        target = schema_find_enum(schema, field->type_name);
    fprintf(out, "    {.name = \"%s\", .json_name = \"%s\", .number = %d, .kind = %s, .flags = 0",
            field->name, field->json_name, field->number, kind_of(field, message->full_name));
    if (schema_is_repeated(field))
        fprintf(out, " | BW_WIRE_REPEATED");
    if (map)
        fprintf(out, " | BW_WIRE_MAP");
    if (rule.required)
        fprintf(out, " | BW_WIRE_REQUIRED");
    if (rule.range)
        fprintf(out, " | BW_WIRE_RANGE");
    if (field->has_oneof_index)
        fprintf(out, " | BW_WIRE_ONEOF");
    fprintf(out,
            ", .min_len = %u, .max_len = %u, .max_items = %u, .min = INT64_C(%lld), .max = INT64_C(%lld)",
            rule.min_len, rule.max_len, rule.max_items, rule.min, rule.max);
    fprintf(out, ", .target = %zu, .grammar = %d, .oneof = %d, .repeat = %u},\n", target, (int)rule.grammar,
            field->has_oneof_index ? field->oneof_index : 0, schema_is_repeated(field) ? (*repeated)++ : 0);
}

static void emit_fields(FILE *out, const struct schema *schema, size_t index)
{
    const struct schema_message *message = &schema->messages[index];
    const Google__Protobuf__DescriptorProto *proto = message->proto;
    unsigned repeated = 0;
    size_t n = proto->n_field;
    qsort(proto->field, n, sizeof(void *), by_field_number);
    if (n > BW_WIRE_MAX_FIELDS || (n > 0 && proto->field[n - 1]->number > BW_WIRE_MAX_NUMBER))
        die("%s: at most %d fields, numbered up to %d", message->full_name, BW_WIRE_MAX_FIELDS,
            BW_WIRE_MAX_NUMBER);
    if (proto->n_oneof_decl > BW_WIRE_MAX_ONEOFS)
        die("%s: at most %d oneofs", message->full_name, BW_WIRE_MAX_ONEOFS);
    if (n == 0) {
        fprintf(out, "static const uint8_t message%zu_numbers[] = {0};\n", index);
        return;
    }
    fprintf(out, "static const struct bw_wire_field message%zu_fields[] = {\n", index);
    for (size_t i = 0; i < n; i++)
        emit_field(out, schema, message, proto->field[i], &repeated);
    if (repeated > BW_WIRE_MAX_REPEATED)
        die("%s: at most %d repeated fields", message->full_name, BW_WIRE_MAX_REPEATED);
    fprintf(out, "};\nstatic const uint8_t message%zu_numbers[] = {", index);
    for (int number = 0, k = 0; number <= proto->field[n - 1]->number; number++) {
        bool here = proto->field[k]->number == number;
        fprintf(out, "%d, ", here ? ++k : 0);
    }
    fprintf(out, "};\n");
}

/* "bailiwick.v1.E2eeFlags" to "bailiwick__v1__e2ee_flags", as protoc-c names its symbols. */
static void emit_symbol(FILE *out, const char *full_name)
{
    bool was_upper = true;
    for (const char *c = full_name; *c != '\0'; c++) {
        if (*c == '.') {
            fputs("__", out);
            was_upper = true;
            continue;
        }
        bool upper = isupper((unsigned char)*c) != 0;
        if (upper && !was_upper)
            fputc('_', out);
        fputc(tolower((unsigned char)*c), out);
        was_upper = upper;
    }
}

static uint64_t required_mask(const struct schema *schema, const struct schema_message *message)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < message->proto->n_field; i++)
        if (schema_rule_of(schema, message, message->proto->field[i]).required)
            mask |= UINT64_C(1) << i;
    return mask;
}

static void emit_message(FILE *out, const struct schema *schema, size_t index)
{
    const struct schema_message *message = &schema->messages[index];
    size_t n = message->proto->n_field;
    fprintf(out, "    {.full_name = \"%s\", .descriptor = &", message->full_name);
    emit_symbol(out, message->full_name);
    fprintf(out, "__descriptor, .by_number = message%zu_numbers, .field_count = %zu, .max_number = %d", index,
            n, n > 0 ? message->proto->field[n - 1]->number : 0);
    fprintf(out, ", .required = UINT64_C(0x%llx)", (unsigned long long)required_mask(schema, message));
    if (n > 0)
        fprintf(out, ", .fields = message%zu_fields", index);
    fprintf(out, "},\n");
}

/* The scan recurses once a level, so how deep a message can go must be known: no type may hold itself. */
static void check_depth(const struct schema *schema, size_t index, int depth)
{
    const struct schema_message *message = &schema->messages[index];
    if (depth > BW_WIRE_MAX_DEPTH)
        die("%s: nests deeper than %d, or holds itself", message->full_name, BW_WIRE_MAX_DEPTH);
    for (size_t i = 0; i < message->proto->n_field; i++)
        if (message->proto->field[i]->type == TYPE(MESSAGE))
            check_depth(schema, schema_find_message(schema, message->proto->field[i]->type_name), depth + 1);
}

static void emit_includes(FILE *out, const struct schema *schema)
{
    for (size_t i = 0; i < schema->set->n_file; i++) {
        const char *name = schema->set->file[i]->name;
        if (strncmp(name, "google/", 7) != 0)
            fprintf(out, "#include \"%.*s.pb-c.h\"\n", (int)(strlen(name) - strlen(".proto")), name);
    }
}

void emit(const struct schema *schema, const unsigned char *set, size_t set_len, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        die("cannot write %s", path);
    fprintf(out,
            "/* Written by bw_wire_gen from proto/; not to be edited. */\n#include \"wire/table.h\"\n\n");
    emit_includes(out, schema);
    for (size_t i = 0; i < schema->enum_count; i++)
        emit_enum(out, &schema->enums[i], i);
    for (size_t i = 0; i < schema->message_count; i++) {
        check_depth(schema, i, 1);
        emit_fields(out, schema, i);
    }
    fprintf(out, "const struct bw_wire_enum bw_wire_enums[] = {\n");
    for (size_t i = 0; i < schema->enum_count; i++)
        fprintf(out, "    {\"%s\", enum%zu_values, enum%zu_names, %zu},\n", schema->enums[i].full_name, i, i,
                schema->enums[i].proto->n_value);
    fprintf(out, "};\nconst size_t bw_wire_enum_count = %zu;\n", schema->enum_count);
    fprintf(out, "const struct bw_wire_message bw_wire_messages[] = {\n");
    for (size_t i = 0; i < schema->message_count; i++)
        emit_message(out, schema, i);
    fprintf(out, "};\nconst size_t bw_wire_message_count = %zu;\n", schema->message_count);
    fprintf(out, "const uint8_t bw_wire_descriptor_bytes[] = {");
    for (size_t i = 0; i < set_len; i++)
        fprintf(out, "%s%u,", i % 24 == 0 ? "\n" : "", set[i]);
    fprintf(out, "\n};\nconst size_t bw_wire_descriptor_len = %zu;\n", set_len);
    if (ferror(out) != 0 || fclose(out) != 0)
        die("cannot write %s", path);
}
