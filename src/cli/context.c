/* context list, use, set: the configuration file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/policy.h"
#include "cli/verbs.h"

/* *exists is false when there is no file yet; then config is empty. */
static int load(struct bw_cli *cli, const char **path, struct bw_cli_config *config, bool *exists)
{
    *path = bw_cli_config_path(bw_args_text(cli->args, "config"), cli->env, cli->arena);
    if (*path == NULL)
        return bw_cli_say(
            cli, BW_EXIT_USAGE,
            "neither XDG_CONFIG_HOME nor HOME is set: say --config FILE where to keep contexts");
    struct bw_diags diags;
    struct bw_error err = {0};
    bw_diags_init(&diags);
    *config = (struct bw_cli_config){.at = {0}};
    enum bw_code code = bw_cli_config_load(*path, cli->arena, &diags, config, &err);
    *exists = code == BW_OK;
    int result = BW_EXIT_OK;
    if (diags.errors > 0)
        result = bw_diags_show(cli, &diags, cli->err) == BW_EXIT_OK ? BW_EXIT_USAGE : BW_EXIT_INTERNAL;
    else if (code != BW_OK && code != BW_NOT_FOUND)
        result = bw_cli_say(cli, BW_EXIT_USAGE, "%s", err.show);
    bw_diags_finish(&diags);
    return result;
}

static int save(struct bw_cli *cli, const char *path, const struct bw_cli_config *config)
{
    struct bw_error err = {0};
    if (bw_cli_config_save(path, config, cli->arena, &err) != BW_OK)
        return bw_cli_fail(cli, &err);
    return BW_EXIT_OK;
}

/* ---- list ---- */

static void put(json_t *object, const char *key, const struct bw_yaml_text *text)
{
    if (text->at.line != 0)
        json_object_set_new(object, key, json_string((const char *)text->text.data));
}

static json_t *as_tree(const struct bw_cli_config *config)
{
    json_t *contexts = json_array();
    const char *current = bw_context_text(&config->current);
    for (size_t i = 0; i < config->contexts.count; i++) {
        const struct bw_context *c = &config->contexts.items[i];
        json_t *item = json_object();
        put(item, "name", &c->name);
        json_object_set_new(item, "current",
                            json_boolean(current != NULL && bw_view_equal_str(c->name.text, current)));
        put(item, "endpoint", &c->endpoint);
        put(item, "tenant", &c->tenant);
        put(item, "cert", &c->cert);
        put(item, "key", &c->key);
        put(item, "ca", &c->ca);
        put(item, "serverName", &c->server_name);
        put(item, "serverSpiffeId", &c->server_spiffe_id);
        json_object_set_new(item, "insecure", json_boolean(c->insecure.value != 0));
        json_array_append_new(contexts, item);
    }
    return json_pack("{s:o}", "contexts", contexts);
}

static int context_list(struct bw_cli *cli)
{
    static const struct bw_column columns[] = {
        {"NAME", "name", BW_CELL_TEXT, NULL, false},
        {"CURRENT", "current", BW_CELL_TEXT, NULL, false},
        {"ENDPOINT", "endpoint", BW_CELL_TEXT, NULL, false},
        {"TENANT", "tenant", BW_CELL_TEXT, NULL, false},
        {"CERT", "cert", BW_CELL_TEXT, NULL, false},
        {"KEY", "key", BW_CELL_TEXT, NULL, true},
        {"CA", "ca", BW_CELL_TEXT, NULL, true},
        {"SERVER NAME", "serverName", BW_CELL_TEXT, NULL, true},
        {"SERVER SPIFFE ID", "serverSpiffeId", BW_CELL_TEXT, NULL, true},
    };
    static const struct bw_view_table view = {
        .list = "contexts", .name = "name", .columns = columns, .count = sizeof columns / sizeof columns[0]};
    const char *path;
    struct bw_cli_config config = {.at = {0}};
    bool exists = false;
    int result = load(cli, &path, &config, &exists);
    if (result != BW_EXIT_OK)
        return result;
    if (!exists)
        bw_cli_note(cli, "there is no %s yet; `bailiwick context set NAME --endpoint HOST:PORT …` makes it",
                    path);
    json_t *tree = as_tree(&config);
    result = tree != NULL ? bw_show(cli, tree, &view) : bw_cli_memory(cli);
    json_decref(tree);
    return result;
}

const struct bw_verb bw_verb_context_list = {
    .noun = "context",
    .name = "list",
    .summary = "the cells one talks to, and which is current",
    .example = "bailiwick context list -o wide",
    .run = context_list,
};

/* ---- use ---- */

static struct bw_yaml_text text_value(const char *text)
{
    return (struct bw_yaml_text){.at = {.line = 1, .col = 1}, .text = bw_view_str(text)};
}

static int context_use(struct bw_cli *cli)
{
    const char *path, *name = bw_args_operand(cli->args, 0);
    struct bw_cli_config config = {.at = {0}};
    bool exists = false;
    int result = load(cli, &path, &config, &exists);
    if (result != BW_EXIT_OK)
        return result;
    if (bw_cli_config_find(&config, name) == NULL)
        return bw_cli_say(cli, BW_EXIT_NOT_FOUND,
                          "there is no context named '%.70s'; `bailiwick context list` shows those there are",
                          name);
    config.current = text_value(name);
    result = save(cli, path, &config);
    if (result == BW_EXIT_OK)
        bw_cli_note(cli, "%s is now the context of every command", name);
    return result;
}

static const struct bw_operand name_operands[] = {
    {.name = "NAME", .required = true, .help = "the context's name"}};

const struct bw_verb bw_verb_context_use = {
    .noun = "context",
    .name = "use",
    .summary = "make a context the current one",
    .example = "bailiwick context use prod",
    BW_OPERANDS(name_operands),
    .run = context_use,
};

/* ---- set ---- */

static int take_text(struct bw_cli *cli, const char *option, struct bw_yaml_text *value)
{
    const char *given = bw_args_text(cli->args, option);
    if (given != NULL)
        *value = text_value(given);
    return BW_EXIT_OK;
}

/* A context is used from anywhere, so its files are named from the root. */
static int take_file(struct bw_cli *cli, const char *option, struct bw_yaml_text *value)
{
    const char *given = bw_args_text(cli->args, option);
    if (given == NULL)
        return BW_EXIT_OK;
    char *whole = realpath(given, NULL);
    if (whole == NULL)
        return bw_cli_say(cli, BW_EXIT_USAGE, "--%s: %s: %s", option, given, strerror(errno));
    const char *kept = bw_arena_strdup(cli->arena, whole);
    free(whole);
    if (kept == NULL)
        return bw_cli_memory(cli);
    *value = text_value(kept);
    return BW_EXIT_OK;
}

static int fill(struct bw_cli *cli, struct bw_context *context)
{
    take_text(cli, "endpoint", &context->endpoint);
    take_text(cli, "server-name", &context->server_name);
    take_text(cli, "server-spiffe-id", &context->server_spiffe_id);
    take_text(cli, "tenant", &context->tenant);
    if (bw_args_given(cli->args, "insecure"))
        context->insecure = (struct bw_yaml_number){.at = {.line = 1}, .value = 1};
    int result = take_file(cli, "ca", &context->ca);
    if (result == BW_EXIT_OK)
        result = take_file(cli, "cert", &context->cert);
    if (result == BW_EXIT_OK)
        result = take_file(cli, "key", &context->key);
    if (result == BW_EXIT_OK && context->endpoint.at.line == 0)
        result = bw_cli_say(cli, BW_EXIT_USAGE, "a new context wants --endpoint HOST:PORT");
    return result;
}

/* The context to change: the one of that name, or a new one at the end. */
static struct bw_context *edit(struct bw_cli *cli, struct bw_cli_config *config, const char *name)
{
    size_t n = config->contexts.count;
    struct bw_context *items = bw_arena_zalloc(cli->arena, n + 1, sizeof *items);
    if (items == NULL)
        return NULL;
    if (n > 0)
        memcpy(items, config->contexts.items, n * sizeof *items);
    config->contexts.items = items;
    for (size_t i = 0; i < n; i++)
        if (bw_view_equal_str(items[i].name.text, name))
            return &items[i];
    items[n].name = text_value(name);
    config->contexts.count = n + 1;
    return &items[n];
}

/* What is about to be written must read back. */
static int check_written(struct bw_cli *cli, const char *path, const struct bw_cli_config *config)
{
    struct bw_buf text = {0};
    struct bw_diags diags;
    struct bw_error err = {0};
    struct bw_cli_config again;
    bw_diags_init(&diags);
    bw_cli_config_print(config, &text);
    struct bw_source source = {path, bw_buf_view(&text)};
    enum bw_code code = bw_cli_config_parse(&source, cli->arena, &diags, &again, &err);
    if (code != BW_OK && diags.count > 0)
        bw_cli_say(cli, BW_EXIT_USAGE, "%s", diags.items[0].where.message);
    else if (code != BW_OK)
        bw_cli_fail(cli, &err);
    bw_diags_finish(&diags);
    bw_buf_finish(&text);
    return code == BW_OK ? BW_EXIT_OK : BW_EXIT_USAGE;
}

static int context_set(struct bw_cli *cli)
{
    const char *path, *name = bw_args_operand(cli->args, 0);
    struct bw_cli_config config = {.at = {0}};
    bool exists = false;
    int result = load(cli, &path, &config, &exists);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_context *context = edit(cli, &config, name);
    if (context == NULL)
        return bw_cli_memory(cli);
    result = fill(cli, context);
    if (result == BW_EXIT_OK && (config.current.at.line == 0 || bw_args_given(cli->args, "use")))
        config.current = text_value(name);
    if (result == BW_EXIT_OK)
        result = check_written(cli, path, &config);
    if (result == BW_EXIT_OK)
        result = save(cli, path, &config);
    if (result == BW_EXIT_OK)
        bw_cli_note(cli, "wrote %s; `bailiwick doctor --context %s` tries it", path, name);
    return result;
}

static const struct bw_option set_rows[] = {
    {.name = "tenant", .type = BW_OPTION_TEXT, .value = "NAME", .help = "the tenant to act for by default"},
    {.name = "use", .type = BW_OPTION_FLAG, .help = "and make it the current one"},
};

const struct bw_verb bw_verb_context_set = {
    .noun = "context",
    .name = "set",
    .summary = "make a context, or change what is given",
    .about = "Takes --endpoint, --ca, --cert, --key, --server-name, --server-spiffe-id and --insecure. The\n"
             "first context becomes the current one.",
    .example =
        "bailiwick context set prod --endpoint cell.example:7443 --ca ca.crt --cert me.crt --key me.key",
    BW_OPTIONS(set_rows),
    BW_OPERANDS(name_operands),
    .run = context_set,
};
