/* policy apply, get, history, rollback: revisions at the cell. */
#include <string.h>

#include "bailiwick/v1/policy.pb-c.h"
#include "base/check.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/policy.h"
#include "cli/server.h"
#include "cli/verbs.h"
#include "policy/validate.h"
#include "yaml/reader.h"

/* ---- what the server's check found ---- */

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

bool bw_policy_answer_print(const json_t *diagnostics, struct bw_buf *out)
{
    bool errors = false;
    size_t i;
    const json_t *item;
    json_array_foreach(diagnostics, i, item)
    {
        const json_t *at = json_object_get(item, "position");
        const char *severity = text_at(item, "severity");
        errors = errors || strcmp(severity, "SEVERITY_ERROR") == 0;
        bw_text_harmless(out, text_at(at, "file"));
        bw_buf_printf(out, ":%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT ": %s ",
                      json_integer_value(json_object_get(at, "line")),
                      json_integer_value(json_object_get(at, "column")),
                      strcmp(severity, "SEVERITY_ERROR") == 0     ? "error"
                      : strcmp(severity, "SEVERITY_WARNING") == 0 ? "warning"
                                                                  : "note");
        bw_text_harmless(out, text_at(item, "code"));
        bw_buf_append_str(out, ": ");
        bw_text_harmless(out, text_at(item, "message"));
        bw_buf_append_str(out, "\n");
        if (text_at(item, "fixIt")[0] != '\0') {
            bw_buf_append_str(out, "      = write: ");
            bw_text_harmless(out, text_at(item, "fixIt"));
            bw_buf_append_str(out, "\n");
        }
    }
    return errors;
}

static void difference_print(const json_t *difference, struct bw_buf *out)
{
    static const struct bw_column relation = {"", "relation", BW_CELL_ENUM, "POLICY_RELATION_", false};
    if (difference == NULL)
        return;
    bw_buf_append_str(out, "seen from the revision before: ");
    bw_cell_text(difference, &relation, out);
    bw_buf_append_str(out, "\n");
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(difference, "witnesses"), i, item)
    {
        const char *relay = text_at(item, "relay"), *group = text_at(item, "group");
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, relay[0] != '\0' ? relay : text_at(item, "statement"));
        if (group[0] != '\0') {
            bw_buf_append_str(out, ", group ");
            bw_text_harmless(out, group);
        }
        if (relay[0] != '\0')
            bw_buf_printf(out, ": %s before, %s after",
                          json_is_true(json_object_get(item, "allowedBefore")) ? "allowed" : "not allowed",
                          json_is_true(json_object_get(item, "allowedAfter")) ? "allowed" : "not allowed");
        bw_buf_append_str(out, "\n");
    }
}

static int print(struct bw_cli *cli, FILE *stream, struct bw_buf *text)
{
    const char *shown = bw_buf_cstr(text);
    fputs(shown != NULL ? shown : "", stream);
    bw_buf_finish(text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

static void revision_print(const char *tenant, const json_t *revision, struct bw_buf *out)
{
    static const struct bw_column state = {"", "state", BW_CELL_ENUM, "REVISION_STATE_", false};
    bw_buf_printf(out, "%s: revision %" JSON_INTEGER_FORMAT " ", tenant,
                  json_integer_value(json_object_get(revision, "revision")));
    bw_cell_text(revision, &state, out);
    bw_buf_append_str(out, " (");
    bw_text_harmless(out, text_at(revision, "hash"));
    bw_buf_append_str(out, ")\n");
}

/* ---- apply ---- */

/* Errors are shown with their lines before anything is sent; the tenant is the document's unless given. */
static int check_first(struct bw_cli *cli, const struct bw_source *source, const char **tenant)
{
    struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
    struct bw_diags diags;
    struct bw_error err = {0};
    const struct bw_policy_doc *doc;
    bw_diags_init(&diags);
    enum bw_code code = bw_policy_validate(source, &options, NULL, cli->arena, &diags, &doc, &err);
    int result = BW_EXIT_OK;
    if (code != BW_OK && diags.errors > 0) {
        result =
            bw_output_is_tree(cli) ? bw_diags_show_tree(cli, &diags) : bw_diags_show(cli, &diags, cli->err);
        result = result == BW_EXIT_OK
                     ? bw_cli_say(cli, BW_EXIT_NO, "nothing was sent: the policy is not valid")
                     : result;
    } else if (code != BW_OK) {
        result = bw_cli_fail(cli, &err);
    } else {
        *tenant = bw_args_text(cli->args, "tenant");
        if (*tenant == NULL)
            *tenant = (const char *)doc->tenant.text.data;
    }
    bw_diags_finish(&diags);
    return result;
}

static int show_applied(struct bw_cli *cli, const char *tenant, const json_t *tree)
{
    struct bw_buf words = {0}, found = {0};
    bool errors = bw_policy_answer_print(json_object_get(tree, "diagnostics"), &found);
    bool applied = json_is_true(json_object_get(tree, "applied"));
    int result = BW_EXIT_OK;
    if (bw_output_is_tree(cli)) {
        bw_buf_finish(&found);
        result = bw_show_tree(cli, tree);
    } else {
        result = print(cli, cli->err, &found);
        if (applied && cli->output == BW_OUTPUT_NAME)
            bw_buf_printf(&words, "%" JSON_INTEGER_FORMAT "\n",
                          json_integer_value(json_object_get(json_object_get(tree, "revision"), "revision")));
        else if (applied)
            revision_print(tenant, json_object_get(tree, "revision"), &words);
        if (cli->output != BW_OUTPUT_NAME)
            difference_print(json_object_get(tree, "difference"), &words);
        if (!applied && !errors && cli->output != BW_OUTPUT_NAME)
            bw_buf_printf(&words, "%s: would be applied; nothing was changed\n", tenant);
        if (result == BW_EXIT_OK)
            result = print(cli, cli->out, &words);
    }
    if (result == BW_EXIT_OK && errors)
        return bw_cli_say(cli, BW_EXIT_NO, "the cell does not take this policy; nothing was changed");
    return result;
}

static int policy_apply(struct bw_cli *cli)
{
    const char *path = bw_args_text(cli->args, "file"), *tenant = NULL;
    const char *request_id = bw_cli_request_id(cli);
    struct bw_source source = {.file = bw_cli_file_name(path)};
    if (request_id == NULL)
        return BW_EXIT_USAGE;
    int result = bw_cli_read(cli, path, BW_YAML_MAX_BYTES + 1, &source.text);
    if (result == BW_EXIT_OK)
        result = check_first(cli, &source, &tenant);
    if (result != BW_EXIT_OK)
        return result;
    Bailiwick__V1__ApplyPolicyRequest request = BAILIWICK__V1__APPLY_POLICY_REQUEST__INIT;
    request.tenant = tenant;
    request.request_id = request_id;
    request.yaml = (const char *)source.text.data;
    request.file_name = source.file;
    request.dry_run = bw_args_given(cli->args, "dry-run");
    if (bw_args_given(cli->args, "if-revision")) {
        request.condition_case = BAILIWICK__V1__APPLY_POLICY_REQUEST__CONDITION_IF_REVISION;
        request.if_revision = (uint32_t)bw_args_number(cli->args, "if-revision", 0);
    }
    json_t *tree = NULL;
    result = bw_server_ask(cli, BW_METHOD(PolicyService, ApplyPolicy), &request.base,
                           &bailiwick__v1__apply_policy_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = show_applied(cli, tenant, tree);
    json_decref(tree);
    return result;
}

static const struct bw_option apply_rows[] = {
    {.name = "file",
     .letter = 'f',
     .type = BW_OPTION_FILE,
     .flags = BW_OPTION_REQUIRED,
     .value = "FILE|-",
     .help = "the policy"},
    {.name = "tenant",
     .type = BW_OPTION_TEXT,
     .value = "NAME",
     .help = "the tenant (default: the one the policy names)"},
    {.name = "dry-run", .type = BW_OPTION_FLAG, .help = "only say what would happen"},
    {.name = "if-revision",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "only if this revision is in force (0: none); otherwise exit status 6"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_policy_apply = {
    .noun = "policy",
    .name = "apply",
    .summary = "make a policy the one in force",
    .about = "The document is checked here first, then by the cell against its real fleet; the answer says "
             "how it\n"
             "differs from the revision before. Exit status 1 when it is not valid: nothing changes then.",
    .example = "bailiwick policy apply -f policy.yaml --if-revision 4",
    BW_OPTIONS(apply_rows),
    .run = policy_apply,
};

/* ---- get ---- */

static int policy_get(struct bw_cli *cli)
{
    Bailiwick__V1__GetPolicyRequest request = BAILIWICK__V1__GET_POLICY_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    if (bw_args_given(cli->args, "revision")) {
        request.which_case = BAILIWICK__V1__GET_POLICY_REQUEST__WHICH_REVISION;
        request.revision = (uint32_t)bw_args_number(cli->args, "revision", 0);
    }
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(PolicyService, GetPolicy), &request.base,
                               &bailiwick__v1__get_policy_response__descriptor, &tree);
    if (result != BW_EXIT_OK)
        return result;
    const json_t *revision = json_object_get(tree, "revision");
    if (cli->output == BW_OUTPUT_JSON) {
        result = bw_show_tree(cli, tree);
    } else if (cli->output == BW_OUTPUT_NAME) {
        fprintf(cli->out, "%" JSON_INTEGER_FORMAT "\n",
                json_integer_value(json_object_get(revision, "revision")));
    } else {
        struct bw_buf words = {0};
        revision_print(request.tenant, revision, &words);
        result = print(cli, cli->err, &words);
        fputs(text_at(tree, "yaml"), cli->out);
    }
    json_decref(tree);
    return result;
}

static const struct bw_option get_rows[] = {
    BW_TENANT_OPTION,
    {.name = "revision", .type = BW_OPTION_UINT, .value = "N", .help = "an older one (default: in force)"},
};

const struct bw_verb bw_verb_policy_get = {
    .noun = "policy",
    .name = "get",
    .summary = "the policy in force, or an older revision, exactly as it was applied",
    .example = "bailiwick policy get --tenant chu-lyon > policy.yaml",
    BW_OPTIONS(get_rows),
    .run = policy_get,
};

/* ---- history ---- */

static const struct bw_column history_columns[] = {
    {"REVISION", "revision", BW_CELL_TEXT, NULL, false},
    {"STATE", "state", BW_CELL_ENUM, "REVISION_STATE_", false},
    {"APPLIED", "createdUnixMs", BW_CELL_TIME, NULL, false},
    {"BY", "author", BW_CELL_TEXT, NULL, false},
    {"COPY OF", "rollbackOf", BW_CELL_TEXT, NULL, true},
    {"HASH", "hash", BW_CELL_TEXT, NULL, true},
};
static const struct bw_view_table history_view = {.list = "revisions",
                                                  .name = "revision",
                                                  .columns = history_columns,
                                                  .count = BW_ARRAY_LEN(history_columns)};

static int policy_history(struct bw_cli *cli)
{
    Bailiwick__V1__ListPolicyRevisionsRequest request = BAILIWICK__V1__LIST_POLICY_REVISIONS_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    json_t *tree = NULL;
    int result = bw_server_list(
        cli, BW_METHOD(PolicyService, ListPolicyRevisions), &request.base, &request.page_size,
        &request.page_token, &bailiwick__v1__list_policy_revisions_response__descriptor, "revisions", &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &history_view);
    json_decref(tree);
    return result;
}

static const struct bw_option history_rows[] = {
    BW_TENANT_OPTION,
    BW_LIMIT_OPTION,
};

const struct bw_verb bw_verb_policy_history = {
    .noun = "policy",
    .name = "history",
    .summary = "the revisions of a tenant's policy, newest first",
    .example = "bailiwick policy history --tenant chu-lyon -o wide",
    BW_OPTIONS(history_rows),
    .run = policy_history,
};

/* ---- rollback ---- */

static int policy_rollback(struct bw_cli *cli)
{
    Bailiwick__V1__RollbackPolicyRequest request = BAILIWICK__V1__ROLLBACK_POLICY_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    request.tenant = request.request_id != NULL ? bw_cli_tenant(cli) : NULL;
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.to_revision = (uint32_t)bw_args_number(cli->args, "to", 0);
    if (bw_args_given(cli->args, "if-revision")) {
        request.condition_case = BAILIWICK__V1__ROLLBACK_POLICY_REQUEST__CONDITION_IF_REVISION;
        request.if_revision = (uint32_t)bw_args_number(cli->args, "if-revision", 0);
    }
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(PolicyService, RollbackPolicy), &request.base,
                               &bailiwick__v1__rollback_policy_response__descriptor, &tree);
    if (result != BW_EXIT_OK)
        return result;
    if (bw_output_is_tree(cli)) {
        result = bw_show_tree(cli, tree);
    } else {
        struct bw_buf words = {0};
        revision_print(request.tenant, json_object_get(tree, "revision"), &words);
        difference_print(json_object_get(tree, "difference"), &words);
        result = print(cli, cli->out, &words);
    }
    json_decref(tree);
    return result;
}

static const struct bw_option rollback_rows[] = {
    {.name = "to",
     .type = BW_OPTION_UINT,
     .flags = BW_OPTION_REQUIRED,
     .value = "N",
     .help = "the revision whose text is wanted again"},
    BW_TENANT_OPTION,
    {.name = "if-revision",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "only if this revision is in force; otherwise exit status 6"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_policy_rollback = {
    .noun = "policy",
    .name = "rollback",
    .summary = "a new revision with the text of an older one",
    .example = "bailiwick policy rollback --tenant chu-lyon --to 3 --if-revision 4",
    BW_OPTIONS(rollback_rows),
    .run = policy_rollback,
};
