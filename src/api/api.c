#include "api/api.h"

#include "api/api_state.h"
#include "api/relay_quality.h"
#include "base/alloc.h"

static void fill_method(struct bw_api *api, size_t row, struct bw_grpc_method *method)
{
    const struct bw_api_method *from = &bw_api_table[row];
    api->entries[row] = (struct bw_api_entry){.api = api, .row = row};
    *method = (struct bw_grpc_method){
        .path = from->path,
        .client_streams = from->streams == BW_API_STREAMS_CLIENT || from->streams == BW_API_STREAMS_BOTH,
        .server_streams = from->streams == BW_API_STREAMS_SERVER || from->streams == BW_API_STREAMS_BOTH,
        .message = bw_api_message,
        .context = &api->entries[row],
    };
    if (from->handler == bw_api_report_quality) {
        method->opened = bw_api_report_opened;
        method->message = bw_api_report_message;
        method->half_closed = bw_api_report_half_closed;
        method->ended = bw_api_report_ended;
    }
    if (from->handler == bw_api_watch_meeting)
        method->ended = bw_api_watch_ended;
}

static bool fill(struct bw_api *api, const struct bw_api_config *config)
{
    api->config = *config;
    api->cell = bw_strdup(config->cell);
    api->trust_domain = bw_strdup(config->trust_domain);
    api->version = bw_strdup(config->version);
    if (config->insecure_caller != NULL) {
        api->insecure_caller = bw_strdup(config->insecure_caller);
        if (api->insecure_caller == NULL)
            return false;
    }
    api->config.cell = api->cell;
    api->config.trust_domain = api->trust_domain;
    api->config.version = api->version;
    api->config.insecure_caller = api->insecure_caller;
    api->shapes = bw_calloc(bw_api_table_count, sizeof *api->shapes);
    api->entries = bw_calloc(bw_api_table_count, sizeof *api->entries);
    api->methods = bw_calloc(bw_api_table_count, sizeof *api->methods);
    return api->cell != NULL && api->trust_domain != NULL && api->version != NULL && api->shapes != NULL &&
           api->entries != NULL && api->methods != NULL;
}

enum bw_code bw_api_create(const struct bw_api_config *config, struct bw_api **out, struct bw_error *err)
{
    struct bw_api *api = bw_calloc(1, sizeof *api);
    if (api == NULL)
        return bw_fail_memory(err);
    enum bw_code code = fill(api, config) ? bw_api_table_check(api->shapes, err) : bw_fail_memory(err);
    if (code != BW_OK) {
        bw_api_destroy(api);
        return code;
    }
    for (size_t row = 0; row < bw_api_table_count; row++) {
        if (bw_api_table[row].handler != NULL)
            fill_method(api, row, &api->methods[api->method_count++]);
    }
    *out = api;
    return BW_OK;
}

void bw_api_destroy(struct bw_api *api)
{
    if (api == NULL)
        return;
    bw_free(api->cell);
    bw_free(api->trust_domain);
    bw_free(api->version);
    bw_free(api->insecure_caller);
    bw_free(api->shapes);
    bw_free(api->entries);
    bw_free(api->methods);
    bw_buf_finish(&api->scratch);
    bw_api_calls_forget(api);
    bw_free(api);
}

const struct bw_grpc_method *bw_api_methods(const struct bw_api *api, size_t *count)
{
    *count = api->method_count;
    return api->methods;
}
