#include "schema.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(name)  GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define LABEL(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_##name

/* Field number of `rule` in annotations.proto. */
enum { RULE_EXTENSION = 50400 };

/* The standard protocols keep their published text, so their bounds stand here. A reflection answer holds
 * whole files. */
enum { STANDARD_STRING_LEN = 1024, STANDARD_BYTES_LEN = 1 << 20, STANDARD_ITEMS = 1000 };

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("bw_wire_gen: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static char *join(const char *scope, const char *name)
{
    size_t len = strlen(scope) + strlen(name) + 2;
    char *full = malloc(len);
    if (full == NULL)
        die("out of memory");
    snprintf(full, len, "%s.%s", scope, name);
    return full;
}

static void add_enum(struct schema *schema, const Google__Protobuf__EnumDescriptorProto *proto,
                     const char *scope)
{
    if (schema->enum_count == SCHEMA_MAX_TYPES)
        die("more than %d enums", SCHEMA_MAX_TYPES);
    schema->enums[schema->enum_count++] =
        (struct schema_enum){.proto = proto, .full_name = join(scope, proto->name)};
}

static void add_message(struct schema *schema, const Google__Protobuf__FileDescriptorProto *file,
                        const Google__Protobuf__DescriptorProto *proto, const char *scope)
{
    if (schema->message_count == SCHEMA_MAX_TYPES)
        die("more than %d messages", SCHEMA_MAX_TYPES);
    char *full_name = join(scope, proto->name);
    schema->messages[schema->message_count++] =
        (struct schema_message){.proto = proto, .file = file, .full_name = full_name};
    for (size_t i = 0; i < proto->n_nested_type; i++)
        add_message(schema, file, proto->nested_type[i], full_name);
    for (size_t i = 0; i < proto->n_enum_type; i++)
        add_enum(schema, proto->enum_type[i], full_name);
}

void schema_collect(struct schema *schema, const Google__Protobuf__FileDescriptorSet *set)
{
    *schema = (struct schema){.set = set};
    for (size_t i = 0; i < set->n_file; i++) {
        const Google__Protobuf__FileDescriptorProto *file = set->file[i];
        if (strncmp(file->name, "google/", 7) == 0 ||
            strcmp(file->name, "bailiwick/v1/annotations.proto") == 0)
            continue;
        for (size_t k = 0; k < file->n_message_type; k++)
            add_message(schema, file, file->message_type[k], file->package);
        for (size_t k = 0; k < file->n_enum_type; k++)
            add_enum(schema, file->enum_type[k], file->package);
    }
}

void schema_finish(struct schema *schema)
{
    for (size_t i = 0; i < schema->message_count; i++)
        free(schema->messages[i].full_name);
    for (size_t i = 0; i < schema->enum_count; i++)
        free(schema->enums[i].full_name);
}

size_t schema_find_message(const struct schema *schema, const char *dotted)
{
    for (size_t i = 0; i < schema->message_count; i++)
        if (strcmp(schema->messages[i].full_name, dotted + 1) == 0)
            return i;
    die("message %s is not among the files we serve", dotted);
}

size_t schema_find_enum(const struct schema *schema, const char *dotted)
{
    for (size_t i = 0; i < schema->enum_count; i++)
        if (strcmp(schema->enums[i].full_name, dotted + 1) == 0)
            return i;
    die("enum %s is not among the files we serve", dotted);
}

bool schema_is_map_entry(const struct schema_message *message)
{
    return message->proto->options != NULL && message->proto->options->map_entry;
}

bool schema_is_repeated(const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->label == LABEL(REPEATED);
}

/* The payload of a length-delimited unknown field, whose data begins with its length. */
static Bailiwick__V1__Rule *unpack_rule(const ProtobufCMessageUnknownField *unknown)
{
    size_t skip = 0;
    while (skip < unknown->len && (unknown->data[skip] & 0x80) != 0)
        skip++;
    if (++skip > unknown->len)
        return NULL;
    return bailiwick__v1__rule__unpack(NULL, unknown->len - skip, unknown->data + skip);
}

static Bailiwick__V1__Rule *stated_rule(const Google__Protobuf__FieldDescriptorProto *field)
{
    if (field->options == NULL)
        return NULL;
    for (size_t i = 0; i < field->options->base.n_unknown_fields; i++)
        if (field->options->base.unknown_fields[i].tag == RULE_EXTENSION)
            return unpack_rule(&field->options->base.unknown_fields[i]);
    return NULL;
}

static bool is_number(const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->type == TYPE(INT32) || field->type == TYPE(INT64) || field->type == TYPE(UINT32) ||
           field->type == TYPE(UINT64);
}

/* Everything a rule must and must not say; `where` names the field. */
static void check(const struct schema_rule *rule, const Bailiwick__V1__Rule *stated,
                  const Google__Protobuf__FieldDescriptorProto *field, bool map, const char *where)
{
    bool text = field->type == TYPE(STRING), bytes = field->type == TYPE(BYTES);
    if (field->has_proto3_optional && field->proto3_optional)
        die("%s: protoc-c cannot do proto3 optional; use a message or a oneof", where);
    if ((text || bytes || map) && rule->max_len == 0)
        die("%s: states no max_len (or exact_len)", where);
    if (!text && !bytes && !map && rule->max_len != 0)
        die("%s: has a length but is neither string nor bytes", where);
    if (text && stated != NULL && !stated->has_grammar)
        die("%s: states no grammar", where);
    if (!text && !map && stated != NULL && stated->has_grammar)
        die("%s: has a grammar but is no string", where);
    if (schema_is_repeated(field) && rule->max_items == 0)
        die("%s: is repeated and states no max_items", where);
    if (!schema_is_repeated(field) && rule->max_items != 0)
        die("%s: has max_items but is not repeated", where);
    if (rule->range && !is_number(field))
        die("%s: has min or max but is no number", where);
    if (rule->range && rule->min > rule->max)
        die("%s: min is above max", where);
}

static struct schema_rule standard_rule(const Google__Protobuf__FieldDescriptorProto *field)
{
    struct schema_rule rule = {.grammar = BAILIWICK__V1__RULE__GRAMMAR__ANY};
    if (field->type == TYPE(STRING))
        rule.max_len = STANDARD_STRING_LEN;
    if (field->type == TYPE(BYTES))
        rule.max_len = STANDARD_BYTES_LEN;
    if (schema_is_repeated(field))
        rule.max_items = STANDARD_ITEMS;
    return rule;
}

/* The field of the enclosing message that a map entry belongs to. */
static const Google__Protobuf__FieldDescriptorProto *map_field_of(const struct schema *schema,
                                                                  const struct schema_message *entry)
{
    for (size_t i = 0; i < schema->message_count; i++) {
        const Google__Protobuf__DescriptorProto *proto = schema->messages[i].proto;
        for (size_t k = 0; k < proto->n_field; k++)
            if (proto->field[k]->type == TYPE(MESSAGE) &&
                strcmp(proto->field[k]->type_name + 1, entry->full_name) == 0)
                return proto->field[k];
    }
    die("%s: a map entry that no field uses", entry->full_name);
}

static struct schema_rule from_stated(const Bailiwick__V1__Rule *stated)
{
    if (stated == NULL)
        return (struct schema_rule){0};
    return (struct schema_rule){
        .min_len = stated->exact_len,
        .max_len = stated->exact_len != 0 ? stated->exact_len : stated->max_len,
        .max_items = stated->max_items,
        .range = stated->has_min || stated->has_max,
        .required = stated->required,
        .min = stated->min,
        .max = stated->has_max ? stated->max : LLONG_MAX,
        .grammar = stated->grammar,
    };
}

struct schema_rule schema_rule_of(const struct schema *schema, const struct schema_message *message,
                                  const Google__Protobuf__FieldDescriptorProto *field)
{
    if (strncmp(message->full_name, "grpc.", 5) == 0)
        return standard_rule(field);
    if (schema_is_map_entry(message)) {
        Bailiwick__V1__Rule *stated = stated_rule(map_field_of(schema, message));
        struct schema_rule rule = {0};
        if (field->type == TYPE(STRING))
            rule = (struct schema_rule){.max_len = stated->max_len, .grammar = stated->grammar};
        /* A key is always there; protobuf would read its absence as the empty key. */
        rule.required = field->number == 1;
        bailiwick__v1__rule__free_unpacked(stated, NULL);
        return rule;
    }
    char where[300];
    snprintf(where, sizeof where, "%s: %s.%s", message->file->name, message->full_name, field->name);
    bool map = field->type == TYPE(MESSAGE) &&
               schema_is_map_entry(&schema->messages[schema_find_message(schema, field->type_name)]);
    Bailiwick__V1__Rule *stated = stated_rule(field);
    struct schema_rule rule = from_stated(stated);
    check(&rule, stated, field, map, where);
    if (map)
        rule.min_len = rule.max_len = 0; /* they are the entry's */
    if (stated != NULL)
        bailiwick__v1__rule__free_unpacked(stated, NULL);
    return rule;
}
