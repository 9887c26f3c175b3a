#include "api/gate.h"

#include <stdio.h>
#include <string.h>

#include "api/api_state.h"
#include "base/alloc.h"
#include "crypto/hash.h"
#include "wire/wire.h"

static const struct {
    uint32_t role;
    const char *name;
} role_names[] = {
    {BW_CALLER_APP, "app"},
    {BW_CALLER_TENANT_ADMIN, "tenant-admin"},
    {BW_CALLER_OPERATOR, "operator"},
    {BW_CALLER_RELAY, "relay"},
    {BW_CALLER_SUPPORT_TIER1, "support-tier1"},
    {BW_CALLER_SUPPORT_TIER2, "support-tier2"},
    {BW_CALLER_AUDITOR, "auditor"},
    {BW_CALLER_KEY_ADMIN, "key-admin"},
};

/* "app or tenant-admin" */
static void roles_text(uint32_t roles, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
        if (!(roles & role_names[i].role))
            continue;
        int n = snprintf(text + used, size - used, "%s%s", used > 0 ? " or " : "", role_names[i].name);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

enum bw_code bw_api_authorise(const struct bw_callers *callers, const char *spiffe_id, uint32_t roles,
                              const struct bw_caller **caller, struct bw_error *err)
{
    if (spiffe_id == NULL)
        return bw_fail(err, BW_UNAUTHENTICATED, "NO_CREDENTIAL",
                       "present a client certificate of this cell (an X.509-SVID)");
    const struct bw_caller *found = bw_callers_find(callers, spiffe_id);
    if (found == NULL || found->roles == 0)
        return bw_fail(err, BW_PERMISSION_DENIED, "UNKNOWN_CALLER",
                       "%s has no role in this cell; an operator enrols relays and issues credentials",
                       spiffe_id);
    if (!(found->roles & roles)) {
        char needed[128], has[128];
        roles_text(roles, needed, sizeof needed);
        roles_text(found->roles, has, sizeof has);
        return bw_fail(err, BW_PERMISSION_DENIED, "WRONG_ROLE",
                       "this method needs the role %s; %s has the role %s", needed, spiffe_id, has);
    }
    *caller = found;
    return BW_OK;
}

static bool acts_for(const struct bw_caller *caller, const struct bw_id *tenant)
{
    for (size_t i = 0; i < caller->tenant_count; i++) {
        if (bw_id_equal(&caller->tenants[i], tenant))
            return true;
    }
    return (caller->roles & BW_CALLER_OPERATOR) != 0;
}

enum bw_code bw_api_bind(const struct bw_callers *callers, const struct bw_caller *caller, const char *name,
                         const struct bw_known_tenant **tenant, struct bw_error *err)
{
    const struct bw_known_tenant *found = bw_callers_tenant(callers, name);
    if (found == NULL && (caller->roles & BW_CALLER_OPERATOR))
        return bw_fail(err, BW_NOT_FOUND, "NO_TENANT", "no tenant \"%s\" is known in this cell", name);
    if (found == NULL || !acts_for(caller, &found->id))
        return bw_fail(err, BW_PERMISSION_DENIED, "NOT_YOUR_TENANT",
                       "the credential %s may not act for a tenant \"%s\"", caller->spiffe_id, name);
    *tenant = found;
    return BW_OK;
}

const char *bw_api_identity(const struct bw_api *api, const struct bw_grpc_call *call)
{
    const struct bw_grpc_peer *peer = bw_grpc_call_peer(call);
    return peer->tls ? peer->spiffe_id : api->insecure_caller;
}

static const struct bw_callers *callers_of(const struct bw_api *api)
{
    return api->config.ports.callers(api->config.ports.context);
}

enum bw_code bw_api_admit(struct bw_grpc_call *call, const struct bw_grpc_method *method, void *context,
                          struct bw_error *err)
{
    const struct bw_api *api = context;
    static const char reflection[] = "/grpc.reflection.";
    const struct bw_api_method *row = bw_api_table_find(method->path);
    uint32_t roles = row != NULL ? row->roles : 0;
    if (strncmp(method->path, reflection, sizeof reflection - 1) == 0)
        roles = BW_CALLER_ANY;
    if (roles == 0)
        return bw_fail(err, BW_PERMISSION_DENIED, NULL, "nobody may call this method");
    const struct bw_caller *caller;
    return bw_api_authorise(callers_of(api), bw_api_identity(api, call), roles, &caller, err);
}

/* ---- from bytes to a handler ---- */

static const char *string_at(const ProtobufCMessage *message, size_t offset)
{
    return *(const char *const *)((const char *)message + offset);
}

/* Decodes, binds, and fills the call; anything but BW_OK is the answer. */
static enum bw_code prepare(struct bw_api_call *call, const struct bw_api_shape *shape, struct bw_view bytes,
                            struct bw_grpc_details *details, struct bw_error *err)
{
    struct bw_api *api = call->api;
    const struct bw_callers *callers = callers_of(api);
    const struct bw_caller *caller;
    enum bw_code code =
        bw_api_authorise(callers, bw_api_identity(api, call->grpc), call->method->roles, &caller, err);
    if (code != BW_OK)
        return code;
    call->caller = bw_arena_strdup(call->arena, caller->spiffe_id);
    call->roles = caller->roles;
    if (call->caller == NULL)
        return bw_fail_memory(err);
    code = bw_wire_decode(shape->request, bytes, call->arena, &call->request, err);
    if (code != BW_OK)
        return code;
    if (call->method->changes) {
        call->request_id = bw_api_id(string_at(call->request, shape->request_id_offset));
        struct bw_sha256 state;
        uint8_t digest[BW_SHA256_SIZE];
        bw_sha256_init(&state);
        bw_sha256_update(&state, call->method->path, strlen(call->method->path));
        bw_sha256_update(&state, bytes.data, bytes.len);
        bw_sha256_final(&state, digest);
        memcpy(call->fingerprint, digest, sizeof call->fingerprint);
    }
    if (call->method->tenant != BW_API_TENANT_FIELD && call->method->tenant != BW_API_TENANT_NAME)
        return BW_OK;
    const struct bw_known_tenant *tenant;
    code = bw_api_bind(callers, caller, string_at(call->request, shape->tenant_offset), &tenant, err);
    if (code != BW_OK)
        return code;
    call->tenant = tenant->id;
    call->tenant_name = bw_arena_strdup(call->arena, tenant->name);
    if (call->tenant_name == NULL)
        return bw_fail_memory(err);
    if (call->method->tenant == BW_API_TENANT_FIELD)
        return bw_api_check_cell(call, tenant, details, err);
    return BW_OK;
}

enum bw_code bw_api_check_cell(struct bw_api_call *call, const struct bw_known_tenant *tenant,
                               struct bw_grpc_details *details, struct bw_error *err)
{
    if (strcmp(tenant->cell, call->api->config.cell) == 0)
        return BW_OK;
    struct bw_grpc_pair *pairs = bw_arena_zalloc(call->arena, 1, sizeof *pairs);
    char *cell = bw_arena_strdup(call->arena, tenant->cell);
    if (pairs != NULL && cell != NULL) {
        pairs[0] = (struct bw_grpc_pair){"cell", cell};
        *details = (struct bw_grpc_details){.metadata = pairs, .metadata_count = 1};
    }
    return bw_fail(err, BW_FAILED_PRECONDITION, "WRONG_CELL",
                   "the data of tenant \"%s\" rest in cell \"%s\", this is cell \"%s\"; call that cell's "
                   "endpoint",
                   tenant->name, tenant->cell, call->api->config.cell);
}

/* Anything else about a field of the request than its grammar goes the same way: the decoder's "path: what"
 * is a violation, too. */
static void fail_prepared(struct bw_api_call *call, const struct bw_error *err,
                          struct bw_grpc_details *details)
{
    const char *colon = err->code == BW_INVALID_ARGUMENT ? strstr(err->show, ": ") : NULL;
    struct bw_grpc_violation violation;
    if (colon != NULL) {
        violation.field = bw_arena_strndup(call->arena, err->show, (size_t)(colon - err->show));
        violation.description = colon + 2;
        if (violation.field != NULL) {
            details->violations = &violation;
            details->violation_count = 1;
        }
    }
    bw_api_fail(call, err, details);
}

void bw_api_message(struct bw_grpc_call *grpc, struct bw_view bytes, void *context)
{
    const struct bw_api_entry *entry = context;
    struct bw_api_call *call = bw_api_call_create(entry->api);
    if (call == NULL) {
        struct bw_error err;
        (void)bw_fail_memory(&err);
        bw_grpc_finish(grpc, &err, NULL);
        return;
    }
    call->method = &bw_api_table[entry->row];
    call->grpc = grpc;
    call->arena = bw_grpc_call_arena(grpc);
    bw_grpc_call_hold(grpc);
    struct bw_error err = {.code = BW_OK};
    struct bw_grpc_details details = {0};
    if (prepare(call, &entry->api->shapes[entry->row], bytes, &details, &err) != BW_OK)
        fail_prepared(call, &err, &details);
    else
        call->method->handler(call);
}
