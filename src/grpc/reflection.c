/* grpc.reflection v1 and v1alpha (the same messages under two names): lets tools such as buf curl find out
 * what this server speaks. */
#include <string.h>

#include "base/alloc.h"
#include "grpc/descriptors.h"
#include "grpc/pb.h"
#include "grpc/server_internal.h"

enum {
    REQUEST_HOST = 1,
    REQUEST_FILE = 3,
    REQUEST_SYMBOL = 4,
    REQUEST_EXTENSION = 5,
    REQUEST_EXTENSIONS_OF = 6,
    REQUEST_SERVICES = 7,
    EXTENSION_TYPE = 1,
    EXTENSION_NUMBER = 2,
    RESPONSE_HOST = 1,
    RESPONSE_REQUEST = 2,
    RESPONSE_FILES = 4,
    RESPONSE_EXTENSIONS = 5,
    RESPONSE_SERVICES = 6,
    RESPONSE_ERROR = 7,
    FILES_FILE = 1,
    EXTENSIONS_TYPE = 1,
    EXTENSIONS_NUMBER = 2,
    SERVICES_SERVICE = 1,
    SERVICE_NAME = 1,
    ERROR_CODE = 1,
    ERROR_MESSAGE = 2,
};

struct bw_reflection {
    struct bw_grpc_server *server;
    struct bw_descriptors *descriptors;
    struct bw_grpc_method methods[2];
};

static void put_file(struct bw_view encoded, void *context)
{
    bw_pb_put_bytes(context, FILES_FILE, encoded);
}

static void put_number(uint32_t number, void *context)
{
    /* Unpacked, which readers accept as well. */
    bw_pb_put_varint(context, EXTENSIONS_NUMBER, number);
}

static void put_error(struct bw_buf *out, enum bw_code code, const char *what)
{
    struct bw_buf error = {0};
    bw_pb_put_varint(&error, ERROR_CODE, (uint64_t)code);
    bw_pb_put_string(&error, ERROR_MESSAGE, what);
    bw_pb_put_message(out, RESPONSE_ERROR, bw_buf_view(&error));
    out->failed |= error.failed;
    bw_buf_finish(&error);
}

static void put_files(struct bw_reflection *reflection, struct bw_buf *out, struct bw_descriptor_file *file)
{
    if (file == NULL) {
        put_error(out, BW_NOT_FOUND, "not found");
        return;
    }
    struct bw_buf files = {0};
    bw_descriptors_closure(reflection->descriptors, file, put_file, &files);
    bw_pb_put_message(out, RESPONSE_FILES, bw_buf_view(&files));
    out->failed |= files.failed;
    bw_buf_finish(&files);
}

static void put_extension_numbers(struct bw_reflection *reflection, struct bw_buf *out, struct bw_view type)
{
    struct bw_buf numbers = {0};
    bw_pb_put_bytes(&numbers, EXTENSIONS_TYPE, type);
    size_t count = bw_descriptors_extensions(reflection->descriptors, type, put_number, &numbers);
    if (count == 0 && bw_descriptors_symbol(reflection->descriptors, type) == NULL)
        put_error(out, BW_NOT_FOUND, "unknown type");
    else
        bw_pb_put_message(out, RESPONSE_EXTENSIONS, bw_buf_view(&numbers));
    out->failed |= numbers.failed;
    bw_buf_finish(&numbers);
}

/* The service part of "/service/method". */
static struct bw_view service_of(const struct bw_method_entry *entry)
{
    const char *start = entry->method->path + 1;
    return bw_view_of(start, (size_t)(strchr(start, '/') - start));
}

static bool listed_before(const struct bw_grpc_server *server, const struct bw_method_entry *entry)
{
    for (const struct bw_method_entry *other = server->methods; other != entry; other = other->hh.next) {
        if (bw_view_equal(service_of(other), service_of(entry)))
            return true;
    }
    return false;
}

static void put_services(struct bw_reflection *reflection, struct bw_buf *out)
{
    struct bw_buf services = {0};
    for (const struct bw_method_entry *entry = reflection->server->methods; entry != NULL;
         entry = entry->hh.next) {
        if (listed_before(reflection->server, entry))
            continue;
        struct bw_buf service = {0};
        bw_pb_put_bytes(&service, SERVICE_NAME, service_of(entry));
        bw_pb_put_message(&services, SERVICES_SERVICE, bw_buf_view(&service));
        services.failed |= service.failed;
        bw_buf_finish(&service);
    }
    bw_pb_put_message(out, RESPONSE_SERVICES, bw_buf_view(&services));
    out->failed |= services.failed;
    bw_buf_finish(&services);
}

static struct bw_descriptor_file *find_extension(struct bw_reflection *reflection, struct bw_view request,
                                                 bool *bad)
{
    struct bw_pb_field field;
    struct bw_view type = {0};
    uint32_t number = 0;
    while (bw_pb_next(&request, &field, bad)) {
        if (field.number == EXTENSION_TYPE && field.wire == BW_PB_BYTES)
            type = field.bytes;
        else if (field.number == EXTENSION_NUMBER && field.wire == BW_PB_VARINT)
            number = (uint32_t)field.value;
    }
    return bw_descriptors_extension(reflection->descriptors, type, number);
}

/* The last member of the oneof wins, as in any protobuf reader. */
static bool answer(struct bw_reflection *reflection, struct bw_view request, struct bw_buf *out)
{
    struct bw_pb_field field, asked = {.number = 0};
    struct bw_view rest = request, host = {0};
    bool bad = false;
    while (bw_pb_next(&rest, &field, &bad)) {
        if (field.wire == BW_PB_BYTES && field.number == REQUEST_HOST)
            host = field.bytes;
        else if (field.wire == BW_PB_BYTES && field.number >= REQUEST_FILE &&
                 field.number <= REQUEST_SERVICES)
            asked = field;
    }
    bw_pb_put_bytes(out, RESPONSE_HOST, host);
    bw_pb_put_message(out, RESPONSE_REQUEST, request);
    switch (asked.number) {
    case REQUEST_FILE:
        put_files(reflection, out, bw_descriptors_file(reflection->descriptors, asked.bytes));
        break;
    case REQUEST_SYMBOL:
        put_files(reflection, out, bw_descriptors_symbol(reflection->descriptors, asked.bytes));
        break;
    case REQUEST_EXTENSION:
        put_files(reflection, out, find_extension(reflection, asked.bytes, &bad));
        break;
    case REQUEST_EXTENSIONS_OF:
        put_extension_numbers(reflection, out, asked.bytes);
        break;
    case REQUEST_SERVICES:
        put_services(reflection, out);
        break;
    default:
        put_error(out, BW_INVALID_ARGUMENT, "the request asks for nothing this server knows");
    }
    return !bad;
}

static void on_message(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    struct bw_buf out = {0};
    struct bw_error err;
    enum bw_code code = BW_OK;
    if (!answer(context, message, &out))
        code = bw_fail(&err, BW_INVALID_ARGUMENT, NULL, "the request is not a ServerReflectionRequest");
    else if (out.failed)
        code = bw_fail_memory(&err);
    else if ((code = bw_grpc_send(call, bw_buf_view(&out))) != BW_OK)
        (void)bw_fail(&err, code, NULL, "the reply does not fit beside what already waits");
    bw_buf_finish(&out);
    if (code != BW_OK)
        bw_grpc_finish(call, &err, NULL);
}

static void on_half_closed(struct bw_grpc_call *call, void *context)
{
    (void)context;
    bw_grpc_finish(call, NULL, NULL);
}

struct bw_reflection *bw_reflection_create(struct bw_grpc_server *server, struct bw_view descriptor_set,
                                           struct bw_error *err)
{
    static const char *const paths[] = {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    struct bw_reflection *reflection = bw_calloc(1, sizeof *reflection);
    if (reflection == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    reflection->server = server;
    reflection->descriptors = bw_descriptors_create(descriptor_set, err);
    enum bw_code code = reflection->descriptors ? BW_OK : BW_INVALID_ARGUMENT;
    for (size_t i = 0; code == BW_OK && i < 2; i++) {
        reflection->methods[i] = (struct bw_grpc_method){.path = paths[i],
                                                         .client_streams = true,
                                                         .server_streams = true,
                                                         .max_request_bytes = 4096,
                                                         .message = on_message,
                                                         .half_closed = on_half_closed,
                                                         .context = reflection};
        code = bw_server_add_method(server, &reflection->methods[i], false, err);
    }
    if (code == BW_OK)
        return reflection;
    bw_reflection_destroy(reflection);
    return NULL;
}

void bw_reflection_destroy(struct bw_reflection *reflection)
{
    if (reflection == NULL)
        return;
    bw_descriptors_destroy(reflection->descriptors);
    bw_free(reflection);
}
