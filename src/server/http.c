#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "server/hub.h"
#include "server/ingest.h"
#include "server/metrics_text.h"
#include "server/vault_keeper.h"
#include "server/worker.h"

struct bw_http {
    struct bw_daemon *daemon;
    struct MHD_Daemon *listener;
};

/* ---- /readyz ---- */

/* NULL: ready. Otherwise why not. */
static const char *why_not_ready(const struct bw_daemon *daemon)
{
    if (atomic_load(&daemon->fenced))
        return "fenced: another process took over";
    if (atomic_load(&daemon->broken))
        return "broken: memory was out, stopping";
    if (!atomic_load(&daemon->serving))
        return "starting or stopping";
    if (atomic_load(&bw_hub_metrics(daemon->hub)->lease_age_ms) >= daemon->config->lease_ms)
        return "this replica's lease in the database has ended";
    uint64_t lanes = 0;
    for (unsigned i = 0; i < daemon->worker_count; i++)
        lanes += atomic_load(&bw_worker_metrics(daemon->workers[i])->database_lanes);
    return lanes == 0 ? "no connection to the database" : NULL;
}

/* ---- /metrics ---- */

/* False when memory is out. */
static bool metrics(const struct bw_daemon *daemon, struct bw_buf *out)
{
    const struct bw_worker_metrics **workers = bw_calloc(daemon->worker_count, sizeof *workers);
    const struct bw_call_metrics **calls = bw_calloc(daemon->worker_count, sizeof *calls);
    for (unsigned i = 0; workers != NULL && calls != NULL && i < daemon->worker_count; i++) {
        workers[i] = bw_worker_metrics(daemon->workers[i]);
        calls[i] = bw_worker_call_metrics(daemon->workers[i]);
    }
    struct bw_metrics_source source = {
        .workers = workers,
        .calls = calls,
        .worker_count = daemon->worker_count,
        .hub = bw_hub_metrics(daemon->hub),
        .ingest = bw_ingest_metrics(daemon->ingest),
        .daemon.ready = why_not_ready(daemon) == NULL,
        .daemon.workers = daemon->worker_count,
        .daemon.metadata_active = bw_vault_keeper_health(daemon->vault) == BW_VAULT_ACTIVE,
        .version = BW_VERSION,
    };
    bw_process_metrics_read(&source.process);
    bool ok = workers != NULL && calls != NULL;
    if (ok)
        bw_metrics_text(&source, out);
    bw_free(workers);
    bw_free(calls);
    return ok && !out->failed;
}

/* ---- the listener ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct bw_view body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, (void *)body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* NOLINTBEGIN(readability-non-const-parameter): libmicrohttpd's signature */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data, size_t *data_size,
                              void **request)
/* NOLINTEND(readability-non-const-parameter) */
{
    (void)version, (void)data, (void)data_size, (void)request;
    static const char text[] = "text/plain; charset=utf-8";
    struct bw_http *http = context;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, text, bw_view_str("only GET\n"));
    if (strcmp(url, "/healthz") == 0) {
        char health[64];
        /* Without its metadata a meeting is as safe as with it: told, and no reason to end the process. */
        snprintf(health, sizeof health, "ok\nmetadata: %s\n",
                 bw_vault_health_name(bw_vault_keeper_health(http->daemon->vault)));
        return answer(connection, MHD_HTTP_OK, text, bw_view_str(health));
    }
    if (strcmp(url, "/readyz") == 0) {
        const char *why = why_not_ready(http->daemon);
        return why == NULL ? answer(connection, MHD_HTTP_OK, text, bw_view_str("ok\n"))
                           : answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, text, bw_view_str(why));
    }
    if (strcmp(url, "/metrics") == 0) {
        struct bw_buf body = {0};
        enum MHD_Result result =
            !metrics(http->daemon, &body)
                ? MHD_NO
                : answer(connection, MHD_HTTP_OK,
                         "application/openmetrics-text; version=1.0.0; charset=utf-8", bw_buf_view(&body));
        bw_buf_finish(&body);
        return result;
    }
    return answer(connection, MHD_HTTP_NOT_FOUND, text, bw_view_str("/healthz, /readyz or /metrics\n"));
}

enum bw_code bw_http_create(struct bw_daemon *daemon, struct bw_http **out, struct bw_error *err)
{
    const struct bw_daemon_config *config = daemon->config;
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD;
    if (inet_pton(AF_INET, config->http_address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(config->http_port);
    } else if (inet_pton(AF_INET6, config->http_address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(config->http_port);
        flags |= MHD_USE_IPv6;
    } else {
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "http.address \"%s\" is not a numeric address",
                       config->http_address);
    }
    struct bw_http *http = bw_calloc(1, sizeof *http);
    if (http == NULL)
        return bw_fail_memory(err);
    http->daemon = daemon;
    http->listener = MHD_start_daemon(
        flags, config->http_port, NULL, NULL, handle, http, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_CONNECTION_LIMIT, 64u, MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    if (http->listener == NULL) {
        bw_free(http);
        return bw_fail(err, BW_UNAVAILABLE, NULL, "http: cannot listen on %s port %u: %s",
                       config->http_address, config->http_port, strerror(errno));
    }
    *out = http;
    return BW_OK;
}

void bw_http_destroy(struct bw_http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->listener);
    bw_free(http);
}
