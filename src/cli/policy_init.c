/* policy init and policy schema. */
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/starts.h"
#include "cli/verbs.h"
#include "placement/fleet_file.h"
#include "placement/request_file.h"
#include "policy/document.h"
#include "runtime/file.h"
#include "yaml/scalar.h"
#include "yaml/suggest.h"

/* ---- init ---- */

static int list_starts(struct bw_cli *cli)
{
    for (size_t i = 0; i < bw_cli_start_count; i++) {
        if (cli->output == BW_OUTPUT_NAME)
            fprintf(cli->out, "%s\n", bw_cli_starts[i].name);
        else
            fprintf(cli->out, "%-20s %s\n", bw_cli_starts[i].name, bw_cli_starts[i].summary);
    }
    return BW_EXIT_OK;
}

static const struct bw_cli_start *find_start(struct bw_cli *cli, const char *name)
{
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, bw_view_str(name));
    for (size_t i = 0; i < bw_cli_start_count; i++) {
        if (strcmp(bw_cli_starts[i].name, name) == 0)
            return &bw_cli_starts[i];
        bw_suggest_offer(&suggest, bw_cli_starts[i].name);
    }
    bw_cli_say(cli, BW_EXIT_USAGE, "there is no start named '%.60s'%s%s; `bailiwick policy init` lists them",
               name, suggest.best != NULL ? "; did you mean " : "", suggest.best != NULL ? suggest.best : "");
    return NULL;
}

/* The text with its top-level tenant replaced. */
static void with_tenant(const char *text, const char *tenant, struct bw_buf *out)
{
    static const char key[] = "tenant:";
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        n += text[n] == '\n';
        if (tenant != NULL && strncmp(text, key, sizeof key - 1) == 0)
            bw_buf_printf(out, "tenant: %s\n", tenant);
        else
            bw_buf_append(out, text, n);
        text += n;
    }
}

static int policy_init(struct bw_cli *cli)
{
    const char *from = bw_args_text(cli->args, "from"), *file = bw_args_text(cli->args, "file");
    const char *tenant = bw_args_text(cli->args, "tenant");
    if (from == NULL && (file != NULL || tenant != NULL))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--from NAME is missing; `bailiwick policy init` lists them");
    if (from == NULL)
        return list_starts(cli);
    const struct bw_cli_start *start = find_start(cli, from);
    if (start == NULL)
        return BW_EXIT_USAGE;
    if (tenant != NULL && !bw_scalar_is_name(bw_view_str(tenant)))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--tenant: '%.70s' is not a name: a-z, 0-9 and -, at most 63",
                          tenant);
    struct bw_buf text = {0};
    with_tenant(start->text, tenant, &text);
    const char *shown = bw_buf_cstr(&text);
    struct bw_error err = {0};
    int result = BW_EXIT_OK;
    if (shown == NULL)
        result = bw_cli_memory(cli);
    else if (file == NULL || strcmp(file, "-") == 0)
        fputs(shown, cli->out);
    else if (bw_file_create(file, 0644, bw_buf_view(&text), &err) != BW_OK)
        result = bw_cli_fail(cli, &err);
    else
        bw_cli_note(cli, "wrote %s; `bailiwick policy check -f %s` checks it while you edit", file, file);
    bw_buf_finish(&text);
    return result;
}

static const struct bw_option init_rows[] = {
    {.name = "from", .type = BW_OPTION_TEXT, .value = "NAME", .help = "what to start from"},
    {.name = "tenant", .type = BW_OPTION_TEXT, .value = "NAME", .help = "the tenant it is for"},
    {.name = "file",
     .letter = 'f',
     .type = BW_OPTION_FILE,
     .value = "FILE",
     .help = "write this new file (default: print); one that exists is left alone"},
};

const struct bw_verb bw_verb_policy_init = {
    .noun = "policy",
    .name = "init",
    .summary = "a commented policy to start from",
    .about = "Without --from it lists what there is.",
    .example = "bailiwick policy init --from fr-hospital --tenant my-hospital -f policy.yaml",
    BW_OPTIONS(init_rows),
    .run = policy_init,
};

/* ---- schema ---- */

static const char *const kind_names[] = {"TenantPolicy",     "MeetingPolicy", "Fleet",
                                         "PlacementRequest", "CliConfig",     NULL};
static const struct bw_field_table *const kind_tables[] = {
    &bw_policy_tenant_table, &bw_policy_meeting_table, &bw_fleet_table,
    &bw_request_table,       &bw_cli_config_table,
};
static const char *const kind_ids[] = {"tenant-policy", "meeting-policy", "fleet", "placement-request",
                                       "cli-config"};
static const char *const format_names[] = {"json-schema", "markdown", NULL};

static int policy_schema(struct bw_cli *cli)
{
    unsigned kind = bw_args_choice(cli->args, "kind", 0);
    struct bw_buf text = {0};
    if (bw_args_choice(cli->args, "format", 0) == 1) {
        bw_field_reference(kind_tables[kind], &text);
    } else {
        char id[128];
        snprintf(id, sizeof id, "https://bailiwick.example/schema/%s.json", kind_ids[kind]);
        bw_field_schema(kind_tables[kind], id, &text);
    }
    const char *shown = bw_buf_cstr(&text);
    fputs(shown != NULL ? shown : "", cli->out);
    bw_buf_finish(&text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

static const struct bw_option schema_rows[] = {
    {.name = "kind",
     .type = BW_OPTION_CHOICE,
     .value = "KIND",
     .choices = kind_names,
     .help = "which document (default TenantPolicy)"},
    {.name = "format",
     .type = BW_OPTION_CHOICE,
     .value = "FORMAT",
     .choices = format_names,
     .help = "for editors, or a page to read"},
};

const struct bw_verb bw_verb_policy_schema = {
    .noun = "policy",
    .name = "schema",
    .summary = "the JSON Schema of documents, for editors",
    .about = "Printed from the table that the reader itself uses, so the two cannot differ.",
    .example = "bailiwick policy schema > tenant-policy.json",
    BW_OPTIONS(schema_rows),
    .run = policy_schema,
};
