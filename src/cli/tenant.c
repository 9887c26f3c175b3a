/* tenant create, list, show, app-credential. */
#include "bailiwick/v1/tenant.pb-c.h"
#include "cli/credential.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/server.h"
#include "cli/verbs.h"

static const struct bw_column tenant_columns[] = {
    {"NAME", "name", BW_CELL_TEXT, NULL, false},
    {"CELL", "cell", BW_CELL_TEXT, NULL, false},
    {"POLICY", "policyRevision", BW_CELL_TEXT, NULL, false},
    {"CREATED", "createdUnixMs", BW_CELL_TIME, NULL, false},
    {"DISPLAY NAME", "displayName", BW_CELL_TEXT, NULL, true},
    {"ID", "tenantId", BW_CELL_TEXT, NULL, true},
};
enum { TENANT_COLUMNS = sizeof tenant_columns / sizeof tenant_columns[0] };

static const struct bw_view_table one_tenant = {
    .object = "tenant", .name = "name", .columns = tenant_columns, .count = TENANT_COLUMNS};

/* ---- create ---- */

static int tenant_create(struct bw_cli *cli)
{
    Bailiwick__V1__CreateTenantRequest request = BAILIWICK__V1__CREATE_TENANT_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    if (request.request_id == NULL)
        return BW_EXIT_USAGE;
    request.name = bw_args_operand(cli->args, 0);
    if (bw_args_given(cli->args, "display-name"))
        request.display_name = bw_args_text(cli->args, "display-name");
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(TenantService, CreateTenant), &request.base,
                               &bailiwick__v1__create_tenant_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &one_tenant);
    json_decref(tree);
    return result;
}

static const struct bw_operand tenant_operands[] = {
    {.name = "NAME", .required = true, .help = "the tenant's name: a-z, 0-9 and -, at most 63"}};
static const struct bw_option create_rows[] = {
    {.name = "display-name", .type = BW_OPTION_TEXT, .value = "TEXT", .help = "what people call it"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_tenant_create = {
    .noun = "tenant",
    .name = "create",
    .summary = "make a tenant of this cell",
    .about = "Until a policy is applied for it, every meeting of it is refused. Operators only.",
    .example = "bailiwick tenant create chu-lyon --display-name 'CHU de Lyon'",
    BW_OPTIONS(create_rows),
    BW_OPERANDS(tenant_operands),
    .run = tenant_create,
};

/* ---- list ---- */

static int tenant_list(struct bw_cli *cli)
{
    static const struct bw_view_table view = {
        .list = "tenants", .name = "name", .columns = tenant_columns, .count = TENANT_COLUMNS};
    Bailiwick__V1__ListTenantsRequest request = BAILIWICK__V1__LIST_TENANTS_REQUEST__INIT;
    json_t *tree = NULL;
    int result = bw_server_list(cli, BW_METHOD(TenantService, ListTenants), &request.base, &request.page_size,
                                &request.page_token, &bailiwick__v1__list_tenants_response__descriptor,
                                "tenants", &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_option list_rows[] = {BW_LIMIT_OPTION};

const struct bw_verb bw_verb_tenant_list = {
    .noun = "tenant",
    .name = "list",
    .summary = "the tenants of this cell, by name",
    .example = "bailiwick tenant list -o name",
    BW_OPTIONS(list_rows),
    .run = tenant_list,
};

/* ---- show ---- */

static const struct bw_column binding_columns[] = {
    {"SUBJECT", "subject", BW_CELL_TEXT, NULL, false},
    {"ROLES", "roles", BW_CELL_LIST, "ROLE_", false},
};

static int tenant_show(struct bw_cli *cli)
{
    Bailiwick__V1__GetTenantRequest request = BAILIWICK__V1__GET_TENANT_REQUEST__INIT;
    request.name = bw_args_operand(cli->args, 0);
    json_t *tree = NULL;
    int result = bw_server_list(cli, BW_METHOD(TenantService, GetTenant), &request.base, &request.page_size,
                                &request.page_token, &bailiwick__v1__get_tenant_response__descriptor,
                                "bindings", &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &one_tenant);
    const json_t *bindings = json_object_get(tree, "bindings");
    if (result == BW_EXIT_OK && json_array_size(bindings) > 0 &&
        (cli->output == BW_OUTPUT_TABLE || cli->output == BW_OUTPUT_WIDE)) {
        fputs("\n", cli->out);
        result =
            bw_show_table(cli, bindings, binding_columns, sizeof binding_columns / sizeof binding_columns[0]);
    }
    json_decref(tree);
    return result;
}

const struct bw_verb bw_verb_tenant_show = {
    .noun = "tenant",
    .name = "show",
    .summary = "one tenant, and who may act for it",
    .example = "bailiwick tenant show chu-lyon",
    BW_OPTIONS(list_rows),
    BW_OPERANDS(tenant_operands),
    .run = tenant_show,
};

/* ---- app-credential ---- */

/* In the order of the enum's numbers, which begin at 1. */
static const char *const role_names[] = {
    "app", "tenant-admin", "support-tier1", "support-tier2", "auditor", "key-admin", NULL};

static int issue(struct bw_cli *cli, const Bailiwick__V1__IssueAppCredentialRequest *request,
                 const struct bw_credential *credential)
{
    const ProtobufCMessage *message = NULL;
    int result = bw_server_call(cli, BW_METHOD(TenantService, IssueAppCredential), &request->base,
                                &bailiwick__v1__issue_app_credential_response__descriptor, &message);
    if (result != BW_EXIT_OK)
        return result;
    const Bailiwick__V1__IssueAppCredentialResponse *answer = (const void *)message;
    /* A tree on stdout holds the certificate already. */
    if (!bw_output_is_tree(cli) || credential->certificate_path != NULL)
        result = bw_credential_store(cli, credential, answer->certificate_pem);
    if (result != BW_EXIT_OK)
        return result;
    bw_cli_note(cli, "%s acts for %zu tenant%s", answer->spiffe_id, request->n_tenants,
                request->n_tenants == 1 ? "" : "s");
    json_t *tree = bw_output_is_tree(cli) ? bw_message_tree(message) : NULL;
    if (tree != NULL)
        result = bw_show_tree(cli, tree);
    json_decref(tree);
    return result;
}

static int tenant_app_credential(struct bw_cli *cli)
{
    Bailiwick__V1__IssueAppCredentialRequest request = BAILIWICK__V1__ISSUE_APP_CREDENTIAL_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    if (request.request_id == NULL)
        return BW_EXIT_USAGE;
    const char **tenants;
    if (!bw_args_list(cli->args, "tenant", cli->arena, &request.n_tenants, &tenants))
        return bw_cli_memory(cli);
    if (request.n_tenants == 0) {
        const char *only = bw_cli_settings(cli) == BW_EXIT_OK ? cli->settings->tenant.value : NULL;
        if (only == NULL)
            return bw_cli_say(cli, BW_EXIT_USAGE, "--tenant NAME[,NAME] is missing: whom may it act for?");
        tenants[request.n_tenants++] = only;
    }
    request.tenants = tenants;
    request.name = bw_args_text(cli->args, "name");
    request.role = (Bailiwick__V1__Role)(bw_args_choice(cli->args, "role", 0) + 1);
    request.certificate_days = (uint32_t)bw_args_number(cli->args, "days", 0);
    struct bw_credential credential;
    int result = bw_credential_prepare(cli, request.name, &credential);
    if (result == BW_EXIT_OK && credential.csr_der.len == 0)
        result = bw_cli_say(cli, BW_EXIT_USAGE, "give --new-key OUT.key, or --csr FILE for a key you have");
    if (result == BW_EXIT_OK && credential.key_path != NULL && credential.certificate_path == NULL)
        result = bw_cli_say(cli, BW_EXIT_USAGE, "--new-key wants --out OUT.crt beside it");
    request.csr_der = (ProtobufCBinaryData){credential.csr_der.len, (uint8_t *)credential.csr_der.data};
    if (result == BW_EXIT_OK)
        result = issue(cli, &request, &credential);
    bw_credential_finish(&credential);
    return result;
}

static const struct bw_option credential_rows[] = {
    {.name = "name",
     .type = BW_OPTION_TEXT,
     .flags = BW_OPTION_REQUIRED,
     .value = "NAME",
     .help = "the credential's name; becomes the end of its SPIFFE ID"},
    {.name = "tenant", .type = BW_OPTION_LIST, .value = "NAME[,NAME]", .help = "the tenants it may act for"},
    {.name = "role",
     .type = BW_OPTION_CHOICE,
     .flags = BW_OPTION_REQUIRED,
     .value = "ROLE",
     .choices = role_names,
     .help = "what it may do"},
    BW_CREDENTIAL_OPTIONS,
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_tenant_app_credential = {
    .noun = "tenant",
    .name = "app-credential",
    .summary = "a client certificate for an application, an admin or support staff",
    .about = "The private key is made here and stays here; the cell signs a certificate for it. Files that\n"
             "exist are never overwritten.",
    .example = "bailiwick tenant app-credential --name portal --tenant chu-lyon --role app \\\n"
               "      --new-key portal.key --out portal.crt",
    BW_OPTIONS(credential_rows),
    .run = tenant_app_credential,
};
