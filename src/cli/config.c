#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "runtime/file.h"
#include "yaml/text.h"

/* ---- the file's shape ---- */

static bool is_spiffe(struct bw_view text)
{
    return text.len > 9 && memcmp(text.data, "spiffe://", 9) == 0;
}
static const struct bw_grammar spiffe_grammar = {
    .what = "a SPIFFE ID: spiffe://trust-domain/kind/name", .accepts = is_spiffe, .code = true};

#define TEXT(key_, member, flags_, doc_)                                                                     \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_TEXT, BW_AT(struct bw_context, member),                                \
        .flags = (flags_) | BW_FIELD_ONE_LINE, .min = 1, .max = 4096, .doc = doc_                            \
    }

static const struct bw_field context_fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_context, name),
     .flags = BW_FIELD_REQUIRED,
     .grammar = &bw_grammar_name,
     .doc = "What --context calls it."},
    TEXT("endpoint", endpoint, BW_FIELD_REQUIRED, "host:port of the cell."),
    TEXT("ca", ca, 0, "Who may issue the server's certificate (PEM)."),
    TEXT("cert", cert, 0, "Your certificate (PEM)."),
    TEXT("key", key, 0, "Its private key (PEM), readable by you alone."),
    TEXT("serverName", server_name, 0,
         "The name the server's certificate must carry. Absent: the host of the endpoint."),
    {.key = "serverSpiffeId",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_context, server_spiffe_id),
     .grammar = &spiffe_grammar,
     .doc = "The SPIFFE ID the server must have, instead of a name."},
    {.key = "tenant",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_context, tenant),
     .grammar = &bw_grammar_name,
     .doc = "The tenant to act for when --tenant is not given."},
    {.key = "insecure",
     .type = BW_FIELD_BOOL,
     BW_AT(struct bw_context, insecure),
     .fallback = "false",
     .doc = "Clear text, for tests on loopback; any other address is refused."},
};
static const struct bw_field_table context_table = {
    .name = "a context",
    .doc = "Where a cell is, and who one is there.",
    .fields = context_fields,
    .count = BW_ARRAY_LEN(context_fields),
    .size = sizeof(struct bw_context),
};
static const struct bw_field context_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_context), .table = &context_table};

static const char *const versions[] = {"bailiwick/v1", NULL};
static const char *const kinds[] = {"CliConfig", NULL};
static const struct bw_field config_fields[] = {
    {.key = "apiVersion",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_cli_config, api_version),
     .flags = BW_FIELD_REQUIRED,
     .names = versions,
     .doc = "The version of this language."},
    {.key = "kind",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_cli_config, kind),
     .flags = BW_FIELD_REQUIRED,
     .names = kinds,
     .doc = "What this document is."},
    {.key = "current",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_cli_config, current),
     .grammar = &bw_grammar_name,
     .doc = "The context that is used when none is named."},
    {.key = "contexts",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_cli_config, contexts),
     .item = &context_item,
     .max = 256,
     .doc = "The cells one talks to."},
};
const struct bw_field_table bw_cli_config_table = {
    .name = "CliConfig",
    .doc = "The command line's own configuration.",
    .fields = config_fields,
    .count = BW_ARRAY_LEN(config_fields),
    .size = sizeof(struct bw_cli_config),
};

/* ---- reading ---- */

const char *bw_context_text(const struct bw_yaml_text *text)
{
    return text->at.line != 0 ? (const char *)text->text.data : NULL;
}

static const char *set(const char *(*env)(const char *name), const char *name)
{
    const char *value = env(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *bw_cli_config_path(const char *flag, const char *(*env)(const char *name), struct bw_arena *arena)
{
    const char *file = flag != NULL ? flag : set(env, "BAILIWICK_CONFIG");
    if (file != NULL)
        return file;
    const char *base = set(env, "XDG_CONFIG_HOME");
    /* The XDG specification: a relative path is to be ignored. */
    if (base != NULL && base[0] == '/')
        return bw_arena_printf(arena, "%s/bailiwick/config.yaml", base);
    base = set(env, "HOME");
    return base != NULL ? bw_arena_printf(arena, "%s/.config/bailiwick/config.yaml", base) : NULL;
}

const struct bw_context *bw_cli_config_find(const struct bw_cli_config *config, const char *name)
{
    for (size_t i = 0; i < config->contexts.count; i++)
        if (bw_view_equal_str(config->contexts.items[i].name.text, name))
            return &config->contexts.items[i];
    return NULL;
}

static void check_names(const struct bw_cli_config *config, const struct bw_source *source,
                        struct bw_diags *diags)
{
    for (size_t i = 0; i < config->contexts.count; i++) {
        const struct bw_yaml_text *name = &config->contexts.items[i].name;
        const struct bw_context *first =
            name->at.line != 0 ? bw_cli_config_find(config, (const char *)name->text.data) : NULL;
        if (first == NULL || &first->name == name)
            continue;
        struct bw_diag *diag = bw_diag_add(diags, source, BW_P_DUPLICATE_NAME, name->at,
                                           "two contexts are named %s", (const char *)name->text.data);
        bw_diag_relate(diags, diag, source, first->name.at, "the first is here");
    }
    const char *current = bw_context_text(&config->current);
    if (current != NULL && bw_cli_config_find(config, current) == NULL)
        bw_diag_add(diags, source, BW_P_REFERENCE_UNKNOWN, config->current.at, "there is no context named %s",
                    current);
}

enum bw_code bw_cli_config_parse(const struct bw_source *source, struct bw_arena *arena,
                                 struct bw_diags *diags, struct bw_cli_config *config, struct bw_error *err)
{
    struct bw_cli_config read;
    enum bw_code code = bw_yaml_load(source, &bw_cli_config_table, &read, false, arena, diags, err);
    if (code != BW_OK)
        return code;
    check_names(&read, source, diags);
    code = bw_diags_status(diags, err);
    if (code == BW_OK)
        *config = read;
    return code;
}

enum bw_code bw_cli_config_load(const char *path, struct bw_arena *arena, struct bw_diags *diags,
                                struct bw_cli_config *config, struct bw_error *err)
{
    struct bw_buf text = {0};
    enum bw_code code = bw_file_read(path, BW_YAML_MAX_BYTES, &text, err);
    if (code == BW_OK) {
        struct bw_source source = {path, bw_buf_view(&text)};
        code = bw_cli_config_parse(&source, arena, diags, config, err);
    }
    bw_buf_finish(&text);
    return code;
}

/* ---- writing ---- */

static void print_text(const char *key, const struct bw_yaml_text *text, struct bw_buf *out)
{
    if (text->at.line == 0)
        return;
    bw_buf_printf(out, "    %s: ", key);
    bw_text_json(out, text->text);
    bw_buf_append_str(out, "\n");
}

void bw_cli_config_print(const struct bw_cli_config *config, struct bw_buf *out)
{
    bw_buf_append_str(out, "# Written by `bailiwick context`; it does not keep comments.\n"
                           "apiVersion: bailiwick/v1\nkind: CliConfig\n");
    if (config->current.at.line != 0)
        bw_buf_printf(out, "current: \"%s\"\n", (const char *)config->current.text.data);
    bw_buf_append_str(out, config->contexts.count > 0 ? "contexts:\n" : "contexts: []\n");
    for (size_t i = 0; i < config->contexts.count; i++) {
        const struct bw_context *context = &config->contexts.items[i];
        bw_buf_printf(out, "  - name: \"%s\"\n", (const char *)context->name.text.data);
        print_text("endpoint", &context->endpoint, out);
        print_text("ca", &context->ca, out);
        print_text("cert", &context->cert, out);
        print_text("key", &context->key, out);
        print_text("serverName", &context->server_name, out);
        print_text("serverSpiffeId", &context->server_spiffe_id, out);
        print_text("tenant", &context->tenant, out);
        if (context->insecure.at.line != 0)
            bw_buf_printf(out, "    insecure: %s\n", context->insecure.value ? "true" : "false");
    }
}

static enum bw_code make_folders(char *path, struct bw_error *err)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        int why = errno;
        if (failed)
            (void)bw_fail(err, BW_PERMISSION_DENIED, NULL, "cannot make the folder %s: %s", path,
                          strerror(why));
        *slash = '/';
        if (failed)
            return BW_PERMISSION_DENIED;
    }
    return BW_OK;
}

enum bw_code bw_cli_config_save(const char *path, const struct bw_cli_config *config, struct bw_arena *arena,
                                struct bw_error *err)
{
    char *folders = bw_arena_strdup(arena, path);
    char *fresh = bw_arena_printf(arena, "%s.new", path);
    struct bw_buf text = {0};
    bw_cli_config_print(config, &text);
    if (folders == NULL || fresh == NULL || text.failed) {
        bw_buf_finish(&text);
        return bw_fail_memory(err);
    }
    enum bw_code code = make_folders(folders, err);
    if (code == BW_OK) {
        unlink(fresh); /* of a run that was interrupted */
        code = bw_file_create(fresh, 0600, bw_buf_view(&text), err);
    }
    bw_buf_finish(&text);
    if (code == BW_OK && rename(fresh, path) != 0) {
        code = bw_fail(err, BW_PERMISSION_DENIED, NULL, "cannot write %s: %s", path, strerror(errno));
        unlink(fresh);
    }
    return code;
}
