#include "cli/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "grpc/tls.h"
#include "runtime/file.h"

enum { LIMIT_DEFAULT = 1000, PAGE = 200, ANSWER_FIELDS_MAX = 200000, CONNECT_MAX_MS = 10000 };

struct bw_server {
    struct bw_grpc_sync *sync;
    struct bw_grpc_tls *tls;
};

/* ---- settings ---- */

int bw_cli_settings(struct bw_cli *cli)
{
    if (cli->settings != NULL)
        return BW_EXIT_OK;
    struct bw_settings *settings = bw_arena_zalloc(cli->arena, 1, sizeof *settings);
    struct bw_cli_config *config = bw_arena_zalloc(cli->arena, 1, sizeof *config);
    if (settings == NULL || config == NULL)
        return bw_cli_memory(cli);
    const char *path = bw_cli_config_path(bw_args_text(cli->args, "config"), cli->env, cli->arena);
    struct bw_error err = {0};
    struct bw_diags diags;
    bw_diags_init(&diags);
    enum bw_code code =
        path != NULL ? bw_cli_config_load(path, cli->arena, &diags, config, &err) : BW_NOT_FOUND;
    int result = BW_EXIT_OK;
    if (diags.errors > 0) {
        struct bw_buf text = {0};
        bw_diags_human(&diags, cli->colour_err, &text);
        const char *shown = bw_buf_cstr(&text);
        fputs(shown != NULL ? shown : "", cli->err);
        bw_buf_finish(&text);
        result = BW_EXIT_USAGE;
    } else if (code != BW_OK && (code != BW_NOT_FOUND || bw_args_given(cli->args, "config"))) {
        bw_cli_fail(cli, &err);
        result = BW_EXIT_USAGE;
    }
    bw_diags_finish(&diags);
    if (result != BW_EXIT_OK)
        return result;
    code = bw_settings_resolve(cli->args, cli->env, path, code == BW_OK ? config : NULL, cli->arena, settings,
                               &err);
    if (code != BW_OK)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s", err.show);
    cli->settings = settings;
    return BW_EXIT_OK;
}

const char *bw_cli_tenant(struct bw_cli *cli)
{
    const char *tenant = bw_args_text(cli->args, "tenant");
    if (tenant == NULL && bw_cli_settings(cli) == BW_EXIT_OK) {
        tenant = cli->settings->tenant.value;
        if (tenant == NULL)
            bw_cli_say(cli, BW_EXIT_USAGE,
                       "no tenant: give --tenant NAME, set BAILIWICK_TENANT, or put it into the context with "
                       "`bailiwick context set NAME --tenant TENANT`");
    }
    return tenant;
}

/* ---- connecting ---- */

static const char *host_of(const char *endpoint, struct bw_arena *arena)
{
    const char *colon = strrchr(endpoint, ':');
    size_t n = colon != NULL ? (size_t)(colon - endpoint) : strlen(endpoint);
    if (n >= 2 && endpoint[0] == '[' && endpoint[n - 1] == ']')
        return bw_arena_strndup(arena, endpoint + 1, n - 2);
    return bw_arena_strndup(arena, endpoint, n);
}

static int no_endpoint(struct bw_cli *cli)
{
    const struct bw_settings *s = cli->settings;
    return bw_cli_say(cli, BW_EXIT_USAGE,
                      "no endpoint: %s; give --endpoint HOST:PORT, or `bailiwick context set NAME --endpoint "
                      "HOST:PORT --ca FILE --cert FILE --key FILE`",
                      s->config_exists ? "no context is current" : "there is no configuration yet");
}

static int make_tls(struct bw_cli *cli, struct bw_grpc_tls **tls)
{
    const struct bw_settings *s = cli->settings;
    if (s->ca.value == NULL)
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "no CA: give --ca FILE (who may issue the server's certificate) or put it into the "
                          "context");
    if ((s->cert.value == NULL) != (s->key.value == NULL))
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s is given without %s; a certificate needs its key",
                          s->cert.value != NULL ? "--cert" : "--key",
                          s->cert.value != NULL ? "--key" : "--cert");
    struct bw_error err = {0};
    struct bw_buf key = {0};
    /* Refuses a key that others can read. */
    if (s->key.value != NULL && bw_file_read_secret(s->key.value, 65536, &key, &err) != BW_OK)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s (from %s)", err.show, s->key.origin);
    if (key.data != NULL)
        explicit_bzero(key.data, key.cap);
    bw_buf_finish(&key);
    struct bw_grpc_tls_config config = {
        .certificate_file = s->cert.value,
        .key_file = s->key.value,
        .ca_file = s->ca.value,
        .server_spiffe_id = s->server_spiffe_id.value,
        .server_name = s->server_name.value,
    };
    if (config.server_name == NULL && config.server_spiffe_id == NULL)
        config.server_name = host_of(s->endpoint.value, cli->arena);
    *tls = bw_grpc_tls_create_client(&config, &err);
    if (*tls != NULL)
        return BW_EXIT_OK;
    return bw_cli_say(cli, BW_EXIT_USAGE, "%s; `bailiwick doctor` looks closer", err.show);
}

int bw_server_config(struct bw_cli *cli, struct bw_grpc_client_config *config)
{
    int result = bw_cli_settings(cli);
    if (result != BW_EXIT_OK)
        return result;
    const struct bw_settings *s = cli->settings;
    if (s->endpoint.value == NULL)
        return no_endpoint(cli);
    struct bw_grpc_tls *tls = NULL;
    if (!s->insecure)
        result = make_tls(cli, &tls);
    if (result == BW_EXIT_OK)
        *config = (struct bw_grpc_client_config){
            .target = s->endpoint.value,
            .tls = tls,
            .h2c = s->insecure,
            .connect_timeout_ms = (uint32_t)(s->timeout_ms < CONNECT_MAX_MS ? s->timeout_ms : CONNECT_MAX_MS),
            .max_reply_bytes = 32u << 20,
            .user_agent = "bailiwick/" BW_VERSION,
        };
    return result;
}

static int open_server(struct bw_cli *cli)
{
    if (cli->server != NULL)
        return BW_EXIT_OK;
    struct bw_grpc_client_config config = {0};
    int result = bw_server_config(cli, &config);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_server *server = bw_arena_zalloc(cli->arena, 1, sizeof *server);
    struct bw_error err = {0};
    if (server != NULL)
        server->sync = bw_grpc_sync_open(&config, &err);
    if (server == NULL || server->sync == NULL) {
        bw_grpc_tls_release(config.tls);
        return server == NULL ? bw_cli_memory(cli) : bw_cli_fail(cli, &err);
    }
    server->tls = config.tls;
    cli->server = server;
    return BW_EXIT_OK;
}

void bw_server_close(struct bw_server *server)
{
    if (server == NULL)
        return;
    bw_grpc_sync_close(server->sync);
    bw_grpc_tls_release(server->tls);
}

/* ---- calls ---- */

struct taker {
    const ProtobufCMessageDescriptor *type;
    struct bw_arena *arena;
    const ProtobufCMessage *message;
    bool (*each)(const ProtobufCMessage *message, void *context);
    void *context;
    bool stopped; /* by `each` */
    struct bw_error err;
};

static bool take_message(struct bw_view bytes, void *context)
{
    struct taker *taker = context;
    struct bw_arena *arena = taker->arena;
    /* A stream may go on for hours: each message has memory of its own. */
    if (taker->each != NULL)
        arena = bw_arena_create(64u << 20);
    bool go_on = false;
    if (arena == NULL)
        (void)bw_fail_memory(&taker->err);
    else if (bw_wire_decode_limited(taker->type, bytes, ANSWER_FIELDS_MAX, arena, &taker->message,
                                    &taker->err) == BW_OK)
        go_on = taker->each == NULL || taker->each(taker->message, taker->context);
    if (taker->each != NULL) {
        taker->stopped = !go_on;
        bw_arena_destroy(arena);
    }
    return go_on;
}

static enum bw_code run_call(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                             uint64_t deadline_ms, struct taker *taker, struct bw_grpc_outcome *outcome)
{
    struct bw_buf bytes = {0};
    if (bw_wire_encode(request, &bytes) != BW_OK) {
        bw_buf_finish(&bytes);
        *outcome = (struct bw_grpc_outcome){.code = BW_RESOURCE_EXHAUSTED, .message = "out of memory"};
        return outcome->code;
    }
    struct bw_error early = {0};
    enum bw_code code = bw_wire_scan(request->descriptor, bw_buf_view(&bytes), &early);
    if (code == BW_OK)
        bw_grpc_sync_call(cli->server->sync, path, deadline_ms, NULL, 0, bw_buf_view(&bytes), cli->arena,
                          take_message, taker, outcome);
    else
        /* What the server would say, without asking it. */
        *outcome = (struct bw_grpc_outcome){.code = code, .message = bw_arena_strdup(cli->arena, early.show)};
    bw_buf_finish(&bytes);
    if (taker->err.code != BW_OK)
        *outcome = (struct bw_grpc_outcome){
            .code = BW_INTERNAL,
            .message = bw_arena_printf(cli->arena,
                                       "the server's answer cannot be read (%s); is it of another version?",
                                       taker->err.show)};
    else if (outcome->code == BW_OK && taker->each == NULL && taker->message == NULL)
        *outcome = (struct bw_grpc_outcome){.code = BW_INTERNAL, .message = "the server sent no answer"};
    if (outcome->message == NULL)
        outcome->message = "";
    return outcome->code;
}

enum bw_code bw_server_try(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *answer, const ProtobufCMessage **out,
                           struct bw_grpc_outcome *outcome)
{
    if (open_server(cli) != BW_EXIT_OK) {
        *outcome = (struct bw_grpc_outcome){.code = BW_UNAVAILABLE, .message = "there is no connection"};
        return outcome->code;
    }
    struct taker taker = {.type = answer, .arena = cli->arena};
    enum bw_code code = run_call(cli, path, request, cli->settings->timeout_ms, &taker, outcome);
    if (code == BW_OK)
        *out = taker.message;
    return code;
}

int bw_server_call(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                   const ProtobufCMessageDescriptor *answer, const ProtobufCMessage **out)
{
    int result = open_server(cli);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_grpc_outcome outcome = {0};
    struct taker taker = {.type = answer, .arena = cli->arena};
    if (run_call(cli, path, request, cli->settings->timeout_ms, &taker, &outcome) != BW_OK)
        return bw_failure(cli, &outcome);
    *out = taker.message;
    return BW_EXIT_OK;
}

int bw_server_stream(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *answer,
                     bool (*each)(const ProtobufCMessage *message, void *context), void *context)
{
    int result = open_server(cli);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_grpc_outcome outcome = {0};
    struct taker taker = {.type = answer, .each = each, .context = context};
    if (run_call(cli, path, request, 0, &taker, &outcome) == BW_OK ||
        (taker.stopped && taker.err.code == BW_OK))
        return BW_EXIT_OK;
    return bw_failure(cli, &outcome);
}

json_t *bw_message_tree(const ProtobufCMessage *message)
{
    struct bw_buf text = {0};
    bw_wire_to_json(message, &text);
    json_t *tree = text.failed ? NULL : json_loadb((const char *)text.data, text.len, 0, NULL);
    bw_buf_finish(&text);
    return tree;
}

int bw_server_ask(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *answer, json_t **tree)
{
    const ProtobufCMessage *message = NULL;
    int result = bw_server_call(cli, path, request, answer, &message);
    if (result != BW_EXIT_OK)
        return result;
    *tree = bw_message_tree(message);
    return *tree != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

/* Moves the items of a page over; true when that reached the limit (0: none). */
static bool join_page(json_t *all, const json_t *page, const char *list, uint64_t limit, bool *more)
{
    json_t *into = json_object_get(all, list), *item;
    size_t i;
    json_array_foreach(json_object_get(page, list), i, item)
    {
        if (limit != 0 && json_array_size(into) == limit) {
            *more = true;
            return true;
        }
        json_array_append(into, item);
    }
    return limit != 0 && json_array_size(into) == limit;
}

int bw_server_list(struct bw_cli *cli, const char *path, const ProtobufCMessage *request, uint32_t *page_size,
                   const char **page_token, const ProtobufCMessageDescriptor *answer, const char *list,
                   json_t **tree)
{
    uint64_t limit = bw_args_number(cli->args, "limit", LIMIT_DEFAULT);
    bool more = false, full = false;
    json_t *all = NULL;
    *page_size = limit != 0 && limit < PAGE ? (uint32_t)limit : PAGE;
    do {
        json_t *page = NULL;
        int result = bw_server_ask(cli, path, request, answer, &page);
        if (result != BW_EXIT_OK) {
            json_decref(all);
            return result;
        }
        const char *token = json_string_value(json_object_get(page, "nextPageToken"));
        *page_token = token != NULL && token[0] != '\0' ? bw_arena_strdup(cli->arena, token) : NULL;
        json_object_del(page, "nextPageToken");
        if (all == NULL) {
            all = json_deep_copy(page);
            json_array_clear(json_object_get(all, list));
        }
        full = join_page(all, page, list, limit, &more);
        json_decref(page);
    } while (*page_token != NULL && !full);
    if (more || *page_token != NULL)
        bw_cli_note(cli, "there are more than %llu; --limit 0 shows all", (unsigned long long)limit);
    *tree = all;
    return BW_EXIT_OK;
}
