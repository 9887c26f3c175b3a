/* TenantService: tenants and the credentials of those who act for them. */
#include <string.h>

#include "api/api_state.h"
#include "api/encode.h"
#include "bailiwick/v1/tenant.pb-c.h"
#include "crypto/csr.h"
#include "runtime/clock.h"

enum { CERTIFICATE_DAYS = 90, DAY_S = 86400 };

static bool order_failed(struct bw_api_call *call)
{
    if (call->order.error.code == BW_OK)
        return false;
    bw_api_fail(call, &call->order.error, NULL);
    return true;
}

static const struct bw_callers *callers_of(struct bw_api_call *call)
{
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    return ports->callers(ports->context);
}

static Bailiwick__V1__Tenant *tenant_message(const struct bw_desk_tenant *from, struct bw_arena *arena)
{
    Bailiwick__V1__Tenant *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__tenant__init(out);
    out->name = from->name;
    out->tenant_id = bw_api_id_text(&from->id, arena);
    out->cell = from->cell;
    out->created_unix_ms = (int64_t)from->created_ms;
    out->policy_revision = from->policy_revision;
    return out->tenant_id != NULL ? out : NULL;
}

/* ---- CreateTenant, ListTenants ---- */

static void created(struct bw_api_call *call)
{
    if (order_failed(call))
        return;
    Bailiwick__V1__CreateTenantResponse response = BAILIWICK__V1__CREATE_TENANT_RESPONSE__INIT;
    response.tenant = tenant_message(&call->order.tenant_create.result, call->arena);
    if (response.tenant == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

void bw_api_create_tenant(struct bw_api_call *call)
{
    const Bailiwick__V1__CreateTenantRequest *request =
        (const Bailiwick__V1__CreateTenantRequest *)call->request;
    if (request->display_name[0] != '\0') {
        bw_api_fail_later(call, "display names are not supported yet; leave `display_name` empty");
        return;
    }
    call->order.tenant_create.name = request->name;
    call->order.tenant_create.cell = bw_api_config_of(call)->cell;
    bw_api_order(call, BW_DESK_TENANT_CREATE, created);
}

static void listed(struct bw_api_call *call)
{
    const Bailiwick__V1__ListTenantsRequest *request =
        (const Bailiwick__V1__ListTenantsRequest *)call->request;
    if (order_failed(call))
        return;
    size_t count = call->order.tenants_list.count, size = bw_api_page_size(request->page_size);
    size_t n = count < size ? count : size;
    Bailiwick__V1__ListTenantsResponse response = BAILIWICK__V1__LIST_TENANTS_RESPONSE__INIT;
    response.tenants = bw_arena_zalloc(call->arena, n + 1, sizeof(void *));
    bool ok = response.tenants != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        response.tenants[i] = tenant_message(&call->order.tenants_list.results[i], call->arena);
        ok = response.tenants[i] != NULL;
    }
    response.n_tenants = n;
    if (ok && count > n) {
        response.next_page_token = bw_api_page_token(call, call->order.tenants_list.results[n - 1].name);
        ok = response.next_page_token != NULL;
    }
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
}

void bw_api_list_tenants(struct bw_api_call *call)
{
    const Bailiwick__V1__ListTenantsRequest *request =
        (const Bailiwick__V1__ListTenantsRequest *)call->request;
    const char *position;
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    call->order.tenants_list.after = position;
    call->order.tenants_list.limit = bw_api_page_size(request->page_size) + 1;
    bw_api_order(call, BW_DESK_TENANTS_LIST, listed);
}

/* ---- GetTenant ---- */

static const struct {
    uint32_t role;
    Bailiwick__V1__Role number;
    const char *name; /* as the store spells it */
    const char *kind; /* of the SPIFFE id */
} roles[] = {
    {BW_CALLER_APP, BAILIWICK__V1__ROLE__ROLE_APP, "app", "app"},
    {BW_CALLER_TENANT_ADMIN, BAILIWICK__V1__ROLE__ROLE_TENANT_ADMIN, "tenant-admin", "admin"},
    {BW_CALLER_SUPPORT_TIER1, BAILIWICK__V1__ROLE__ROLE_SUPPORT_TIER1, "support-tier1", "support"},
    {BW_CALLER_SUPPORT_TIER2, BAILIWICK__V1__ROLE__ROLE_SUPPORT_TIER2, "support-tier2", "support"},
    {BW_CALLER_AUDITOR, BAILIWICK__V1__ROLE__ROLE_AUDITOR, "auditor", "admin"},
    {BW_CALLER_KEY_ADMIN, BAILIWICK__V1__ROLE__ROLE_KEY_ADMIN, "key-admin", "admin"},
};
enum { ROLE_COUNT = sizeof roles / sizeof roles[0] };

static bool named_for(const struct bw_caller *caller, const struct bw_id *tenant)
{
    for (size_t i = 0; i < caller->tenant_count; i++) {
        if (bw_id_equal(&caller->tenants[i], tenant))
            return true;
    }
    return false;
}

static Bailiwick__V1__RoleBinding *binding_message(const struct bw_caller *caller, struct bw_arena *arena)
{
    Bailiwick__V1__RoleBinding *out = bw_arena_alloc(arena, sizeof *out);
    Bailiwick__V1__Role *list = bw_arena_zalloc(arena, ROLE_COUNT, sizeof *list);
    if (out == NULL || list == NULL)
        return NULL;
    bailiwick__v1__role_binding__init(out);
    out->subject = caller->spiffe_id;
    out->roles = list;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (caller->roles & roles[i].role)
            list[out->n_roles++] = roles[i].number;
    }
    return out;
}

static bool add_bindings(struct bw_api_call *call, const char *position, size_t size,
                         Bailiwick__V1__GetTenantResponse *response)
{
    const struct bw_callers *callers = callers_of(call);
    response->bindings = bw_arena_zalloc(call->arena, size + 1, sizeof(void *));
    if (response->bindings == NULL)
        return false;
    const struct bw_caller *caller;
    for (size_t i = 0; (caller = bw_callers_at(callers, i)) != NULL; i++) {
        if (strcmp(caller->spiffe_id, position) <= 0 || !named_for(caller, &call->tenant))
            continue;
        if (response->n_bindings == size) {
            response->next_page_token = bw_api_page_token(call, response->bindings[size - 1]->subject);
            return response->next_page_token != NULL;
        }
        Bailiwick__V1__RoleBinding *binding = binding_message(caller, call->arena);
        if (binding == NULL)
            return false;
        response->bindings[response->n_bindings++] = binding;
    }
    return true;
}

/* The page that holds it ends behind it: `after` was the name before. */
static void got(struct bw_api_call *call)
{
    const Bailiwick__V1__GetTenantRequest *request = (const Bailiwick__V1__GetTenantRequest *)call->request;
    const char *position;
    if (order_failed(call) || !bw_api_page_position(call, request->page_token, &position))
        return;
    const struct bw_desk_tenant *found = NULL;
    for (size_t i = 0; i < call->order.tenants_list.count; i++) {
        if (strcmp(call->order.tenants_list.results[i].name, call->tenant_name) == 0)
            found = &call->order.tenants_list.results[i];
    }
    if (found == NULL) {
        struct bw_error err;
        (void)bw_fail(&err, BW_ABORTED, NULL, "the list of tenants changed in this moment; try again");
        bw_api_fail(call, &err, NULL);
        return;
    }
    Bailiwick__V1__GetTenantResponse response = BAILIWICK__V1__GET_TENANT_RESPONSE__INIT;
    response.tenant = tenant_message(found, call->arena);
    if (response.tenant == NULL ||
        !add_bindings(call, position, bw_api_page_size(request->page_size), &response))
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

void bw_api_get_tenant(struct bw_api_call *call)
{
    const struct bw_callers *callers = callers_of(call);
    const char *before = "";
    const struct bw_known_tenant *tenant;
    for (size_t i = 0; (tenant = bw_callers_tenant_at(callers, i)) != NULL; i++) {
        if (strcmp(tenant->name, call->tenant_name) >= 0)
            break;
        before = tenant->name;
    }
    call->order.tenants_list.after = bw_arena_strdup(call->arena, before);
    call->order.tenants_list.limit = BW_API_PAGE_MAX;
    if (call->order.tenants_list.after == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_order(call, BW_DESK_TENANTS_LIST, got);
}

/* ---- IssueAppCredential ---- */

struct issuing {
    const char *spiffe_id;
    uint32_t lifetime_s;
};

static void certified(void *context, const struct bw_error *error, struct bw_view pem)
{
    struct bw_api_call *call = context;
    const struct issuing *issuing = call->state;
    if (error != NULL && error->code != BW_OK) {
        bw_api_fail(call, error, NULL);
        return;
    }
    Bailiwick__V1__IssueAppCredentialResponse response = BAILIWICK__V1__ISSUE_APP_CREDENTIAL_RESPONSE__INIT;
    response.spiffe_id = issuing->spiffe_id;
    response.certificate_pem = bw_arena_strndup(call->arena, (const char *)pem.data, pem.len);
    response.expires_unix_ms = (int64_t)(bw_clock_wall_ms() + (uint64_t)issuing->lifetime_s * 1000);
    if (response.certificate_pem == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

static void issued(struct bw_api_call *call)
{
    const Bailiwick__V1__IssueAppCredentialRequest *request =
        (const Bailiwick__V1__IssueAppCredentialRequest *)call->request;
    const struct issuing *issuing = call->state;
    if (order_failed(call))
        return;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->certify(ports->context, bw_view_of(request->csr_der.data, request->csr_der.len),
                   issuing->spiffe_id, issuing->lifetime_s, certified, call);
}

/* Every tenant must be the caller's and of this cell. NULL: the call has failed. */
static struct bw_id *tenants_of(struct bw_api_call *call,
                                const Bailiwick__V1__IssueAppCredentialRequest *request)
{
    const struct bw_callers *callers = callers_of(call);
    const struct bw_caller *caller = bw_callers_find(callers, call->caller);
    struct bw_id *ids = bw_arena_zalloc(call->arena, request->n_tenants, sizeof *ids);
    if (ids == NULL || caller == NULL) {
        bw_api_fail_memory(call);
        return NULL;
    }
    for (size_t i = 0; i < request->n_tenants; i++) {
        const struct bw_known_tenant *tenant;
        struct bw_grpc_details details = {0};
        struct bw_error err;
        if (bw_api_bind(callers, caller, request->tenants[i], &tenant, &err) != BW_OK ||
            bw_api_check_cell(call, tenant, &details, &err) != BW_OK) {
            bw_api_fail(call, &err, &details);
            return NULL;
        }
        ids[i] = tenant->id;
    }
    return ids;
}

/* A name that is taken keeps its role and its other tenants' trust: a certificate for it would act for them.
 */
static bool name_is_free(struct bw_api_call *call, const char *spiffe_id, uint32_t role)
{
    const struct bw_callers *callers = callers_of(call);
    const struct bw_caller *holder = bw_callers_find(callers, spiffe_id);
    call->order.credential_issue.seen = NULL;
    const struct bw_caller *caller = bw_callers_find(callers, call->caller);
    if (holder == NULL)
        return true;
    bool ours = caller != NULL && holder->roles == role;
    for (size_t i = 0; ours && i < holder->tenant_count; i++)
        ours = (caller->roles & BW_CALLER_OPERATOR) || named_for(caller, &holder->tenants[i]);
    if (ours) {
        /* One element more: an empty list is not the same as none. */
        struct bw_id *seen = bw_arena_zalloc(call->arena, holder->tenant_count + 1, sizeof *seen);
        if (seen == NULL) {
            bw_api_fail_memory(call);
            return false;
        }
        for (size_t i = 0; i < holder->tenant_count; i++)
            seen[i] = holder->tenants[i];
        call->order.credential_issue.seen = seen;
        call->order.credential_issue.seen_count = holder->tenant_count;
        return true;
    }
    struct bw_error err;
    (void)bw_fail(&err, BW_ALREADY_EXISTS, "NAME_TAKEN",
                  "%s is another credential already; choose another name", spiffe_id);
    bw_api_fail(call, &err, NULL);
    return false;
}

void bw_api_issue_app_credential(struct bw_api_call *call)
{
    const Bailiwick__V1__IssueAppCredentialRequest *request =
        (const Bailiwick__V1__IssueAppCredentialRequest *)call->request;
    size_t role = 0;
    while (role < ROLE_COUNT && roles[role].number != request->role)
        role++;
    if (role == ROLE_COUNT) {
        bw_api_fail_field(call, "role", "not a role that a credential can have");
        return;
    }
    struct evp_pkey_st *key = NULL;
    struct bw_error err;
    if (bw_csr_public_key(bw_view_of(request->csr_der.data, request->csr_der.len), "csr_der", &key, &err) !=
        BW_OK) {
        bw_api_fail(call, &err, NULL);
        return;
    }
    bw_key_destroy(key);
    struct bw_id *ids = tenants_of(call, request);
    if (ids == NULL)
        return;
    struct issuing *issuing = bw_arena_zalloc(call->arena, 1, sizeof *issuing);
    char *spiffe_id = bw_arena_printf(call->arena, "spiffe://%s/%s/%s", bw_api_config_of(call)->trust_domain,
                                      roles[role].kind, request->name);
    if (issuing == NULL || spiffe_id == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    if (!name_is_free(call, spiffe_id, roles[role].role))
        return;
    uint32_t days = request->certificate_days != 0 ? request->certificate_days : CERTIFICATE_DAYS;
    *issuing = (struct issuing){.spiffe_id = spiffe_id, .lifetime_s = days * DAY_S};
    call->state = issuing;
    call->order.credential_issue.spiffe_id = spiffe_id;
    call->order.credential_issue.role = roles[role].name;
    call->order.credential_issue.tenants = ids;
    call->order.credential_issue.tenant_count = request->n_tenants;
    bw_api_order(call, BW_DESK_CREDENTIAL_ISSUE, issued);
}
