/* The table as the build makes it, and its comparison with the proto files. */
#include <stddef.h>
#include <string.h>

#include "api/gate.h"
#include "bailiwick/v1/fleet.pb-c.h"
#include "bailiwick/v1/key.pb-c.h"
#include "bailiwick/v1/ledger.pb-c.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "bailiwick/v1/relay.pb-c.h"
#include "bailiwick/v1/subject.pb-c.h"
#include "bailiwick/v1/support.pb-c.h"
#include "bailiwick/v1/tenant.pb-c.h"
#include "base/check.h"

enum { NO, YES };

const struct bw_api_method bw_api_table[] = {
#define X(svc, method, stream, role_mask, binding, mutates, audited, function)                               \
    {                                                                                                        \
        .service = #svc,                                                                                     \
        .name = #method,                                                                                     \
        .path = "/bailiwick.v1." #svc "/" #method,                                                           \
        .streams = BW_API_STREAMS_##stream,                                                                  \
        .roles = (role_mask),                                                                                \
        .tenant = BW_API_TENANT_##binding,                                                                   \
        .changes = (mutates),                                                                                \
        .audit = (audited),                                                                                  \
        .handler = (function),                                                                               \
    },
    BW_API_METHODS(X)
#undef X
};
const size_t bw_api_table_count = BW_ARRAY_LEN(bw_api_table);

static const ProtobufCServiceDescriptor *const services[] = {
    &bailiwick__v1__meeting_service__descriptor, &bailiwick__v1__policy_service__descriptor,
    &bailiwick__v1__relay_service__descriptor,   &bailiwick__v1__fleet_service__descriptor,
    &bailiwick__v1__tenant_service__descriptor,  &bailiwick__v1__support_service__descriptor,
    &bailiwick__v1__subject_service__descriptor, &bailiwick__v1__key_service__descriptor,
    &bailiwick__v1__ledger_service__descriptor,
};

const struct bw_api_method *bw_api_table_find(const char *path)
{
    for (size_t i = 0; i < bw_api_table_count; i++) {
        if (strcmp(bw_api_table[i].path, path) == 0)
            return &bw_api_table[i];
    }
    return NULL;
}

static size_t rows_of(const char *service, const char *method, size_t *row)
{
    size_t found = 0;
    for (size_t i = 0; i < bw_api_table_count; i++) {
        if (strcmp(bw_api_table[i].service, service) != 0 || strcmp(bw_api_table[i].name, method) != 0)
            continue;
        *row = i;
        found++;
    }
    return found;
}

static const ProtobufCFieldDescriptor *string_field(const ProtobufCMessageDescriptor *message,
                                                    const char *name)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(message, name);
    return field != NULL && field->type == PROTOBUF_C_TYPE_STRING ? field : NULL;
}

/* What the request says must be what the row says. */
static const char *shape_of(const struct bw_api_method *row, const ProtobufCMethodDescriptor *method,
                            struct bw_api_shape *shape)
{
    *shape = (struct bw_api_shape){.request = method->input, .response = method->output};
    const ProtobufCFieldDescriptor *tenant = string_field(method->input, "tenant");
    const ProtobufCFieldDescriptor *request_id = string_field(method->input, "request_id");
    if ((tenant != NULL) != (row->tenant == BW_API_TENANT_FIELD))
        return "says otherwise than its request where the tenant is";
    if ((request_id != NULL) != row->changes)
        return "says otherwise than its request whether there is a request id";
    if (row->tenant == BW_API_TENANT_NAME)
        tenant = string_field(method->input, "name");
    if (row->tenant == BW_API_TENANT_LIST)
        tenant = string_field(method->input, "tenants");
    if (row->tenant != BW_API_TENANT_NO) {
        if (tenant == NULL)
            return "names a tenant field that its request does not have";
        shape->tenant_offset = tenant->offset;
    }
    if (request_id != NULL)
        shape->request_id_offset = request_id->offset;
    return NULL;
}

static enum bw_code mismatch(const char *service, const char *method, const char *what, struct bw_error *err)
{
    return bw_fail(err, BW_INTERNAL, "METHOD_TABLE", "%s/%s %s", service, method, what);
}

enum bw_code bw_api_table_check(struct bw_api_shape *shapes, struct bw_error *err)
{
    size_t seen = 0;
    for (size_t s = 0; s < BW_ARRAY_LEN(services); s++) {
        for (unsigned m = 0; m < services[s]->n_methods; m++) {
            const ProtobufCMethodDescriptor *method = &services[s]->methods[m];
            const char *service = services[s]->short_name;
            size_t row = 0;
            size_t found = rows_of(service, method->name, &row);
            if (found != 1)
                return mismatch(service, method->name,
                                found == 0 ? "has no row in the table of methods" : "has several rows", err);
            struct bw_api_shape shape;
            const char *wrong = shape_of(&bw_api_table[row], method, &shape);
            if (wrong != NULL)
                return mismatch(service, method->name, wrong, err);
            if (bw_api_table[row].roles == 0)
                return mismatch(service, method->name, "is open to nobody", err);
            if (shapes != NULL)
                shapes[row] = shape;
            seen++;
        }
    }
    if (seen != bw_api_table_count)
        return bw_fail(err, BW_INTERNAL, "METHOD_TABLE", "the table has rows that are no methods");
    return BW_OK;
}
