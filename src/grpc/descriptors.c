#include "grpc/descriptors.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "grpc/pb.h"

#define HASH_NONFATAL_OOM     1
#define uthash_malloc(bytes)  bw_malloc(bytes)
#define uthash_free(p, bytes) bw_free(p)
#include <uthash.h>

enum {
    MAX_NESTING = 32,
    ARENA_BYTES = 64 << 20,
    /* google/protobuf/descriptor.proto */
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,
    ANY_NAME = 1,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    FIELD_EXTENDEE = 2,
    FIELD_NUMBER = 3,
};

struct bw_descriptor_file {
    UT_hash_handle hh;
    struct bw_view encoded, name;
    unsigned mark;
};

struct symbol {
    UT_hash_handle hh;
    struct bw_descriptor_file *file;
};

struct extension {
    struct extension *next;
    struct bw_view extendee;
    uint32_t number;
    struct bw_descriptor_file *file;
};

struct bw_descriptors {
    struct bw_arena *arena;
    struct bw_descriptor_file *files;
    struct symbol *symbols;
    struct extension *extensions; /* few: a list will do */
    unsigned mark;
    bool bad, full;
};

static struct bw_view field_bytes(struct bw_descriptors *d, struct bw_view message, uint32_t number)
{
    struct bw_pb_field field;
    struct bw_view found = {0};
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.number == number && field.wire == BW_PB_BYTES)
            found = field.bytes;
    }
    return found;
}

/* scope.name, in the arena. */
static struct bw_view qualify(struct bw_descriptors *d, struct bw_view scope, struct bw_view name)
{
    if (scope.len == 0)
        return name;
    uint8_t *text = bw_arena_alloc(d->arena, scope.len + 1 + name.len);
    if (text == NULL) {
        d->full = true;
        return name;
    }
    memcpy(text, scope.data, scope.len);
    text[scope.len] = '.';
    if (name.len > 0)
        memcpy(text + scope.len + 1, name.data, name.len);
    return bw_view_of(text, scope.len + 1 + name.len);
}

static struct bw_view add_symbol(struct bw_descriptors *d, struct bw_descriptor_file *file,
                                 struct bw_view scope, struct bw_view message)
{
    struct bw_view name = qualify(d, scope, field_bytes(d, message, ANY_NAME));
    if (name.len == 0 || bw_descriptors_symbol(d, name) != NULL)
        return name;
    struct symbol *symbol;
    symbol = bw_arena_zalloc(d->arena, 1, sizeof *symbol);
    if (symbol == NULL) {
        d->full = true;
        return name;
    }
    symbol->file = file;
    HASH_ADD_KEYPTR(hh, d->symbols, name.data, name.len, symbol);
    if (symbol->hh.tbl == NULL)
        d->full = true;
    return name;
}

static void add_extension(struct bw_descriptors *d, struct bw_descriptor_file *file, struct bw_view scope,
                          struct bw_view message)
{
    add_symbol(d, file, scope, message);
    struct extension *extension = bw_arena_zalloc(d->arena, 1, sizeof *extension);
    if (extension == NULL) {
        d->full = true;
        return;
    }
    struct bw_view extendee = field_bytes(d, message, FIELD_EXTENDEE);
    if (extendee.len > 0 && extendee.data[0] == '.')
        extendee = bw_view_of(extendee.data + 1, extendee.len - 1);
    struct bw_pb_field field;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.number == FIELD_NUMBER && field.wire == BW_PB_VARINT)
            extension->number = (uint32_t)field.value;
    }
    extension->extendee = extendee;
    extension->file = file;
    extension->next = d->extensions;
    d->extensions = extension;
}

/* Values live beside their enum, not in it (C++ scoping). */
static void add_enum(struct bw_descriptors *d, struct bw_descriptor_file *file, struct bw_view scope,
                     struct bw_view message)
{
    add_symbol(d, file, scope, message);
    struct bw_pb_field field;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.number == ENUM_VALUE && field.wire == BW_PB_BYTES)
            add_symbol(d, file, scope, field.bytes);
    }
}

static void add_service(struct bw_descriptors *d, struct bw_descriptor_file *file, struct bw_view scope,
                        struct bw_view message)
{
    struct bw_view name = add_symbol(d, file, scope, message);
    struct bw_pb_field field;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.number == SERVICE_METHOD && field.wire == BW_PB_BYTES)
            add_symbol(d, file, name, field.bytes);
    }
}

static void add_message(struct bw_descriptors *d, struct bw_descriptor_file *file, struct bw_view scope,
                        struct bw_view message, int depth)
{
    if (depth > MAX_NESTING) {
        d->bad = true;
        return;
    }
    struct bw_view name = add_symbol(d, file, scope, message);
    struct bw_pb_field field;
    while (bw_pb_next(&message, &field, &d->bad)) {
        if (field.wire != BW_PB_BYTES)
            continue;
        if (field.number == MESSAGE_FIELD || field.number == MESSAGE_ONEOF)
            add_symbol(d, file, name, field.bytes);
        else if (field.number == MESSAGE_NESTED)
            add_message(d, file, name, field.bytes, depth + 1);
        else if (field.number == MESSAGE_ENUM)
            add_enum(d, file, name, field.bytes);
        else if (field.number == MESSAGE_EXTENSION)
            add_extension(d, file, name, field.bytes);
    }
}

static void add_file(struct bw_descriptors *d, struct bw_view encoded)
{
    struct bw_view name = field_bytes(d, encoded, FILE_NAME);
    struct bw_descriptor_file *file;
    if (name.len == 0 || bw_descriptors_file(d, name) != NULL) {
        d->bad = true;
        return;
    }
    file = bw_arena_zalloc(d->arena, 1, sizeof *file);
    if (file == NULL) {
        d->full = true;
        return;
    }
    file->encoded = encoded;
    file->name = name;
    HASH_ADD_KEYPTR(hh, d->files, file->name.data, file->name.len, file);
    if (file->hh.tbl == NULL)
        d->full = true;
    struct bw_view package = field_bytes(d, encoded, FILE_PACKAGE);
    struct bw_pb_field field;
    while (bw_pb_next(&encoded, &field, &d->bad)) {
        if (field.wire != BW_PB_BYTES)
            continue;
        if (field.number == FILE_MESSAGE)
            add_message(d, file, package, field.bytes, 0);
        else if (field.number == FILE_ENUM)
            add_enum(d, file, package, field.bytes);
        else if (field.number == FILE_SERVICE)
            add_service(d, file, package, field.bytes);
        else if (field.number == FILE_EXTENSION)
            add_extension(d, file, package, field.bytes);
    }
}

struct bw_descriptors *bw_descriptors_create(struct bw_view set, struct bw_error *err)
{
    struct bw_descriptors *d = bw_calloc(1, sizeof *d);
    if (d == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    d->arena = bw_arena_create(ARENA_BYTES);
    d->full = d->arena == NULL;
    struct bw_pb_field field;
    while (!d->full && !d->bad && bw_pb_next(&set, &field, &d->bad)) {
        if (field.number == SET_FILE && field.wire == BW_PB_BYTES)
            add_file(d, field.bytes);
    }
    if (!d->full && !d->bad)
        return d;
    if (d->full)
        (void)bw_fail_memory(err);
    else
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the descriptor set is not a FileDescriptorSet");
    bw_descriptors_destroy(d);
    return NULL;
}

void bw_descriptors_destroy(struct bw_descriptors *d)
{
    if (d == NULL)
        return;
    HASH_CLEAR(hh, d->files);
    HASH_CLEAR(hh, d->symbols);
    bw_arena_destroy(d->arena);
    bw_free(d);
}

struct bw_descriptor_file *bw_descriptors_file(struct bw_descriptors *d, struct bw_view name)
{
    struct bw_descriptor_file *file;
    if (name.len == 0)
        return NULL;
    HASH_FIND(hh, d->files, name.data, name.len, file);
    return file;
}

struct bw_descriptor_file *bw_descriptors_symbol(struct bw_descriptors *d, struct bw_view name)
{
    struct symbol *symbol;
    if (name.len == 0)
        return NULL;
    HASH_FIND(hh, d->symbols, name.data, name.len, symbol);
    return symbol ? symbol->file : NULL;
}

struct bw_descriptor_file *bw_descriptors_extension(struct bw_descriptors *d, struct bw_view extendee,
                                                    uint32_t number)
{
    for (struct extension *e = d->extensions; e != NULL; e = e->next) {
        if (e->number == number && bw_view_equal(e->extendee, extendee))
            return e->file;
    }
    return NULL;
}

size_t bw_descriptors_extensions(struct bw_descriptors *d, struct bw_view extendee,
                                 void (*number)(uint32_t number, void *context), void *context)
{
    size_t count = 0;
    for (struct extension *e = d->extensions; e != NULL; e = e->next) {
        if (bw_view_equal(e->extendee, extendee)) {
            number(e->number, context);
            count++;
        }
    }
    return count;
}

static void visit(struct bw_descriptors *d, struct bw_descriptor_file *file,
                  void (*each)(struct bw_view encoded, void *context), void *context)
{
    if (file == NULL || file->mark == d->mark)
        return;
    file->mark = d->mark;
    each(file->encoded, context);
    struct bw_view rest = file->encoded;
    struct bw_pb_field field;
    bool bad = false;
    while (bw_pb_next(&rest, &field, &bad)) {
        if (field.number == FILE_DEPENDENCY && field.wire == BW_PB_BYTES)
            visit(d, bw_descriptors_file(d, field.bytes), each, context);
    }
}

void bw_descriptors_closure(struct bw_descriptors *d, struct bw_descriptor_file *file,
                            void (*each)(struct bw_view encoded, void *context), void *context)
{
    d->mark++;
    visit(d, file, each, context);
}
