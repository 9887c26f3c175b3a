/* grpc.health.v1.Health: Check and Watch. Open to everybody, since a load balancer has no identity. */
#include <string.h>

#include "base/alloc.h"
#include "grpc/pb.h"
#include "grpc/server_internal.h"

enum { REQUEST_SERVICE = 1, RESPONSE_STATUS = 1, MAX_SERVICE_BYTES = 256 };

struct service {
    UT_hash_handle hh;
    enum bw_grpc_health status;
    char name[];
};

struct watcher {
    struct watcher *previous, *next;
    struct bw_grpc_call *call;
    enum bw_grpc_health told;
    char service[MAX_SERVICE_BYTES + 1];
};

struct bw_health {
    struct bw_grpc_server *server;
    struct service *services;
    struct watcher *watchers;
    struct bw_grpc_method methods[2];
};

static enum bw_grpc_health status_of(const struct bw_health *health, const char *name)
{
    const struct service *service;
    HASH_FIND_STR(health->services, name, service);
    return service ? service->status : BW_GRPC_SERVICE_UNKNOWN;
}

/* HealthCheckResponse; the numbers of enum bw_grpc_health are those of ServingStatus. */
static enum bw_code send_status(struct bw_grpc_call *call, enum bw_grpc_health status)
{
    struct bw_buf out = {0};
    bw_pb_put_varint(&out, RESPONSE_STATUS, (uint64_t)status);
    enum bw_code code = out.failed ? BW_RESOURCE_EXHAUSTED : bw_grpc_send(call, bw_buf_view(&out));
    bw_buf_finish(&out);
    return code;
}

static enum bw_code read_service(struct bw_view message, char name[MAX_SERVICE_BYTES + 1],
                                 struct bw_error *err)
{
    struct bw_pb_field field;
    struct bw_view service = {0};
    bool bad = false;
    while (bw_pb_next(&message, &field, &bad)) {
        if (field.number == REQUEST_SERVICE && field.wire == BW_PB_BYTES)
            service = field.bytes;
    }
    if (bad)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the request is not a HealthCheckRequest");
    if (service.len > MAX_SERVICE_BYTES)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "service names have at most %d bytes",
                       MAX_SERVICE_BYTES);
    if (service.len > 0)
        memcpy(name, service.data, service.len);
    name[service.len] = '\0';
    return BW_OK;
}

static void on_check(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    const struct bw_health *health = context;
    char name[MAX_SERVICE_BYTES + 1];
    struct bw_error err;
    enum bw_code code = read_service(message, name, &err);
    enum bw_grpc_health status = code == BW_OK ? status_of(health, name) : BW_GRPC_HEALTH_UNKNOWN;
    if (code == BW_OK && status == BW_GRPC_SERVICE_UNKNOWN)
        code = bw_fail(&err, BW_NOT_FOUND, NULL, "unknown service");
    if (code == BW_OK && send_status(call, status) != BW_OK)
        code = bw_fail_memory(&err);
    bw_grpc_finish(call, code == BW_OK ? NULL : &err, NULL);
}

static void on_watch(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    struct bw_health *health = context;
    struct bw_error err;
    struct watcher *watcher = bw_calloc(1, sizeof *watcher);
    enum bw_code code = watcher ? read_service(message, watcher->service, &err) : bw_fail_memory(&err);
    if (code != BW_OK) {
        bw_free(watcher);
        bw_grpc_finish(call, &err, NULL);
        return;
    }
    watcher->call = call;
    watcher->told = status_of(health, watcher->service);
    watcher->next = health->watchers;
    if (watcher->next != NULL)
        watcher->next->previous = watcher;
    health->watchers = watcher;
    bw_grpc_call_set_data(call, watcher);
    (void)send_status(call, watcher->told);
}

static void on_watch_ended(struct bw_grpc_call *call, enum bw_code why, void *context)
{
    (void)why;
    struct bw_health *health = context;
    struct watcher *watcher = bw_grpc_call_data(call);
    if (watcher == NULL)
        return;
    if (watcher->previous != NULL)
        watcher->previous->next = watcher->next;
    else
        health->watchers = watcher->next;
    if (watcher->next != NULL)
        watcher->next->previous = watcher->previous;
    bw_free(watcher);
}

static void tell_watchers(struct bw_health *health)
{
    for (struct watcher *watcher = health->watchers; watcher != NULL; watcher = watcher->next) {
        enum bw_grpc_health status = status_of(health, watcher->service);
        /* One that cannot be told now is told with the next change. */
        if (status != watcher->told && send_status(watcher->call, status) == BW_OK)
            watcher->told = status;
    }
}

enum bw_code bw_grpc_health_set(struct bw_grpc_server *server, const char *name, enum bw_grpc_health status,
                                struct bw_error *err)
{
    struct bw_health *health = server->health;
    struct service *service;
    HASH_FIND_STR(health->services, name, service);
    if (service == NULL) {
        size_t len = strlen(name);
        if (len > MAX_SERVICE_BYTES)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "service name %s is too long", name);
        service = bw_calloc(1, sizeof *service + len + 1);
        if (service == NULL)
            return bw_fail_memory(err);
        memcpy(service->name, name, len + 1);
        HASH_ADD_KEYPTR(hh, health->services, service->name, len, service);
        if (service->hh.tbl == NULL) {
            bw_free(service);
            return bw_fail_memory(err);
        }
    }
    service->status = server->draining ? BW_GRPC_NOT_SERVING : status;
    tell_watchers(health);
    return BW_OK;
}

void bw_health_stop(struct bw_health *health)
{
    for (struct service *service = health->services; service != NULL; service = service->hh.next)
        service->status = BW_GRPC_NOT_SERVING;
    tell_watchers(health);
    /* A watch never ends by itself, and the drain waits for calls. */
    struct bw_error err;
    (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "the server is shut down");
    for (struct watcher *watcher = health->watchers; watcher != NULL; watcher = watcher->next)
        bw_grpc_finish(watcher->call, &err, NULL);
}

struct bw_health *bw_health_create(struct bw_grpc_server *server, struct bw_error *err)
{
    struct bw_health *health = bw_calloc(1, sizeof *health);
    if (health == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    health->server = server;
    health->methods[0] = (struct bw_grpc_method){.path = "/grpc.health.v1.Health/Check",
                                                 .max_request_bytes = 1024,
                                                 .message = on_check,
                                                 .context = health};
    health->methods[1] = (struct bw_grpc_method){.path = "/grpc.health.v1.Health/Watch",
                                                 .server_streams = true,
                                                 .max_request_bytes = 1024,
                                                 .message = on_watch,
                                                 .ended = on_watch_ended,
                                                 .context = health};
    server->health = health;
    enum bw_code code = bw_server_add_method(server, &health->methods[0], true, err);
    if (code == BW_OK)
        code = bw_server_add_method(server, &health->methods[1], true, err);
    if (code == BW_OK)
        code = bw_grpc_health_set(server, "", BW_GRPC_SERVING, err);
    if (code == BW_OK)
        return health;
    server->health = NULL;
    bw_health_destroy(health);
    return NULL;
}

void bw_health_destroy(struct bw_health *health)
{
    if (health == NULL)
        return;
    struct service *service, *next;
    HASH_ITER(hh, health->services, service, next)
    {
        HASH_DELETE(hh, health->services, service);
        bw_free(service);
    }
    bw_free(health);
}
