#include "cli/settings.h"

#include <string.h>

#include "yaml/scalar.h"

struct resolver {
    const struct bw_args *args;
    const char *(*env)(const char *name);
    const char *folder; /* of the configuration file, with its slash */
    const struct bw_context *context;
    const char *context_origin;
    struct bw_arena *arena;
    bool out_of_memory;
};

static const char *variable(struct resolver *r, const char *name)
{
    const char *value = r->env(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* A file named in the configuration lies relative to it. */
static const char *resolve_path(struct resolver *r, const char *path)
{
    if (path[0] == '/')
        return path;
    const char *whole = bw_arena_printf(r->arena, "%s%s", r->folder, path);
    r->out_of_memory = r->out_of_memory || whole == NULL;
    return whole;
}

static struct bw_setting pick(struct resolver *r, const char *option, const char *flag, const char *name,
                              const struct bw_yaml_text *text, bool is_path)
{
    const char *value = bw_args_text(r->args, option);
    if (value != NULL)
        return (struct bw_setting){value, flag};
    value = variable(r, name);
    if (value != NULL)
        return (struct bw_setting){value, name};
    value = text != NULL ? bw_context_text(text) : NULL;
    if (value == NULL)
        return (struct bw_setting){NULL, NULL};
    return (struct bw_setting){is_path ? resolve_path(r, value) : value, r->context_origin};
}

static const char *folder_of(const char *path, struct bw_arena *arena)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    return slash != NULL ? bw_arena_strndup(arena, path, (size_t)(slash - path) + 1) : "";
}

static enum bw_code choose_context(struct resolver *r, const struct bw_cli_config *config,
                                   struct bw_settings *settings, struct bw_error *err)
{
    const char *name = bw_args_text(r->args, "context");
    const char *origin = "--context";
    if (name == NULL) {
        name = variable(r, "BAILIWICK_CONTEXT");
        origin = "BAILIWICK_CONTEXT";
    }
    if (name == NULL && config != NULL) {
        name = bw_context_text(&config->current);
        origin = "current";
    }
    if (name == NULL)
        return BW_OK;
    r->context = config != NULL ? bw_cli_config_find(config, name) : NULL;
    if (r->context == NULL)
        return bw_fail(err, BW_NOT_FOUND, NULL,
                       "%s names the context '%.60s', which %s does not have; `bailiwick context list` shows "
                       "those there are",
                       origin, name,
                       settings->config_path != NULL ? settings->config_path : "the configuration");
    settings->context = name;
    r->context_origin = bw_arena_printf(r->arena, "context %s", name);
    r->out_of_memory = r->out_of_memory || r->context_origin == NULL;
    return BW_OK;
}

enum bw_code bw_settings_resolve(const struct bw_args *args, const char *(*env)(const char *name),
                                 const char *config_path, const struct bw_cli_config *config,
                                 struct bw_arena *arena, struct bw_settings *settings, struct bw_error *err)
{
    struct resolver r = {.args = args, .env = env, .arena = arena, .folder = folder_of(config_path, arena)};
    struct bw_settings made = {
        .config_path = config_path, .config_exists = config != NULL, .timeout_ms = BW_TIMEOUT_DEFAULT_MS};
    if (r.folder == NULL)
        return bw_fail_memory(err);
    enum bw_code code = choose_context(&r, config, &made, err);
    if (code != BW_OK)
        return code;
    const struct bw_context *c = r.context;
    made.endpoint = pick(&r, "endpoint", "--endpoint", "BAILIWICK_ENDPOINT", c ? &c->endpoint : NULL, false);
    made.ca = pick(&r, "ca", "--ca", "BAILIWICK_CA", c ? &c->ca : NULL, true);
    made.cert = pick(&r, "cert", "--cert", "BAILIWICK_CERT", c ? &c->cert : NULL, true);
    made.key = pick(&r, "key", "--key", "BAILIWICK_KEY", c ? &c->key : NULL, true);
    made.server_name =
        pick(&r, "server-name", "--server-name", "BAILIWICK_SERVER_NAME", c ? &c->server_name : NULL, false);
    made.server_spiffe_id = pick(&r, "server-spiffe-id", "--server-spiffe-id", "BAILIWICK_SERVER_SPIFFE_ID",
                                 c ? &c->server_spiffe_id : NULL, false);
    made.tenant.value = variable(&r, "BAILIWICK_TENANT");
    made.tenant.origin = "BAILIWICK_TENANT";
    if (made.tenant.value == NULL && c != NULL && bw_context_text(&c->tenant) != NULL)
        made.tenant = (struct bw_setting){bw_context_text(&c->tenant), r.context_origin};
    made.insecure = bw_args_given(args, "insecure") || (c != NULL && c->insecure.value != 0);
    const char *timeout = variable(&r, "BAILIWICK_TIMEOUT");
    if (timeout != NULL && !bw_scalar_duration(bw_view_str(timeout), &made.timeout_ms))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "BAILIWICK_TIMEOUT: '%.40s' is not a duration such as 500ms, 30s, 5m", timeout);
    made.timeout_ms = bw_args_number(args, "timeout", made.timeout_ms);
    if (made.timeout_ms == 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a timeout of 0 leaves no time to answer");
    if (r.out_of_memory)
        return bw_fail_memory(err);
    *settings = made;
    return BW_OK;
}
