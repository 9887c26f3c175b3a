/* What the generator knows of the .proto files: every message and enum we serve, with the rules of each
 * field. Built from a FileDescriptorSet; a program of the build, so a mistake ends it with a message. */
#ifndef BW_WIRE_GEN_SCHEMA_H
#define BW_WIRE_GEN_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "bailiwick/v1/annotations.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"

enum { SCHEMA_MAX_TYPES = 500, SCHEMA_MAX_FILES = 100 };

struct schema_message {
    const Google__Protobuf__DescriptorProto *proto;
    const Google__Protobuf__FileDescriptorProto *file;
    char *full_name; /* "bailiwick.v1.Explanation.Leg" */
};

struct schema_enum {
    const Google__Protobuf__EnumDescriptorProto *proto;
    char *full_name;
};

struct schema {
    const Google__Protobuf__FileDescriptorSet *set;
    struct schema_message messages[SCHEMA_MAX_TYPES];
    size_t message_count;
    struct schema_enum enums[SCHEMA_MAX_TYPES];
    size_t enum_count;
};

/* The rules of one field, complete. */
struct schema_rule {
    unsigned min_len, max_len, max_items;
    bool range, required;
    long long min, max;
    Bailiwick__V1__Rule__Grammar grammar;
};

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

void schema_collect(struct schema *schema, const Google__Protobuf__FileDescriptorSet *set);
void schema_finish(struct schema *schema);
/* Indexes of a type by its name with a leading dot, as descriptors refer to it. */
size_t schema_find_message(const struct schema *schema, const char *dotted);
size_t schema_find_enum(const struct schema *schema, const char *dotted);
bool schema_is_map_entry(const struct schema_message *message);
bool schema_is_repeated(const Google__Protobuf__FieldDescriptorProto *field);
/* Reads a field's rule and dies when what must be stated is not. For key and value of a map the rule is that
 * of the map field. */
struct schema_rule schema_rule_of(const struct schema *schema, const struct schema_message *message,
                                  const Google__Protobuf__FieldDescriptorProto *field);

/* Writes the C file. */
void emit(const struct schema *schema, const unsigned char *set, size_t set_len, const char *path);

#endif
