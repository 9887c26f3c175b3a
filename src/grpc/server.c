#include "grpc/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/check.h"
#include "grpc/server_internal.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_EVENT = 32,
    DESCRIPTORS_OUT_RETRY_MS = 100,
    LAST_WORDS_MS = 200,
    FIRST_EXTENSION_TYPE = 0x0a
};

/* A listening socket. It outlives its server for as long as libuv needs the handle. */
struct bw_listener {
    struct bw_grpc_server *server;
    uv_poll_t poll;
    int fd;
};

struct bw_grpc_limits bw_grpc_limits_default(void)
{
    return (struct bw_grpc_limits){
        .max_connections = 20000,
        .max_streams = 256,
        .max_calls = 50000,
        .max_request_bytes = 1 << 20,
        .max_header_bytes = 8192,
        .arena_bytes = 1 << 20,
        .connection_input_bytes = 8 << 20,
        .connection_output_bytes = 8 << 20,
        .call_low_bytes = 64 << 10,
        .resets = 500,
        .resets_per_s = 50,
        .control_frames = 2000,
        .control_frames_per_s = 500,
        .pings = 16,
        .ping_interval_ms = 5000,
        .handshakes = 200,
        .handshakes_per_s = 200,
        .handshake_timeout_ms = 10000,
        .idle_timeout_ms = 600000,
        .write_stall_ms = 30000,
        .keepalive_ms = 60000,
        .keepalive_timeout_ms = 20000,
        .max_age_ms = 0,
        .max_age_grace_ms = 60000,
        .compress_min_bytes = 0,
    };
}

uint64_t bw_server_now_us(const struct bw_grpc_server *server)
{
    return bw_loop_now_ms(server->loop) * 1000;
}

/* ---- methods ---- */

enum bw_code bw_server_add_method(struct bw_grpc_server *server, const struct bw_grpc_method *method,
                                  bool open, struct bw_error *err)
{
    size_t len = strlen(method->path);
    if (len < 4 || method->path[0] != '/' || strchr(method->path + 1, '/') == NULL)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "method path \"%s\" is not /Service/Method",
                       method->path);
    BW_CHECK(method->message != NULL);
    struct bw_method_entry *entry;
    HASH_FIND(hh, server->methods, method->path, len, entry);
    if (entry != NULL)
        return bw_fail(err, BW_ALREADY_EXISTS, NULL, "method %s is in the table twice", method->path);
    entry = bw_calloc(1, sizeof *entry);
    if (entry == NULL)
        return bw_fail_memory(err);
    entry->method = method;
    entry->open = open;
    HASH_ADD_KEYPTR(hh, server->methods, method->path, len, entry);
    if (entry->hh.tbl == NULL) {
        bw_free(entry);
        return bw_fail_memory(err);
    }
    /* A call's arena must take the largest message there is and leave room to work. */
    size_t cap = server->config.limits.arena_bytes + method->max_request_bytes;
    if (server->arena_cap_bytes < cap)
        server->arena_cap_bytes = cap;
    return BW_OK;
}

const struct bw_method_entry *bw_server_find(struct bw_grpc_server *server, struct bw_view path)
{
    struct bw_method_entry *entry;
    if (path.len == 0)
        return NULL;
    HASH_FIND(hh, server->methods, path.data, path.len, entry);
    return entry;
}

static void stay(void *context)
{
    struct bw_grpc_server *server = context;
    server->lives++;
}

static void let_go(void *context)
{
    bw_server_let_go(context);
}

/* ---- listening ---- */

static enum bw_code parse_address(const char *text, uint16_t port, struct sockaddr_storage *address,
                                  socklen_t *address_len, bool *loopback)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(address, &v4, sizeof v4);
        *address_len = sizeof v4;
        *loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
        return BW_OK;
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(address, &v6, sizeof v6);
        *address_len = sizeof v6;
        *loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
        return BW_OK;
    }
    return BW_INVALID_ARGUMENT;
}

static int open_socket(const struct sockaddr_storage *address, socklen_t address_len)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)address, address_len) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    memset(&address, 0, sizeof address);
    socklen_t len = sizeof address;
    BW_CHECK(getsockname(fd, &address.any, &len) == 0);
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void pause_accepting(struct bw_grpc_server *server, uint64_t ms)
{
    uv_poll_stop(&server->listener->poll);
    if (ms > 0)
        bw_timer_start(server->accept_again, ms, 0);
}

static void accept_again(void *context)
{
    struct bw_grpc_server *server = context;
    if (server->listener != NULL)
        uv_poll_start(&server->listener->poll, UV_READABLE, on_acceptable);
}

static void take_connection(struct bw_grpc_server *server, int fd, const struct sockaddr *address)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct bw_error err;
    if (bw_connection_accept(server, fd, address, &err) != BW_OK)
        bw_log(BW_LOG_WARN, "grpc_connection_refused", "why=\"%s\"", err.show);
    else
        server->counts.accepted++;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct bw_listener *listener = poll->data;
    struct bw_grpc_server *server = listener->server;
    for (int i = 0; i < ACCEPTS_PER_EVENT && server->listener != NULL; i++) {
        if (server->counts.connections >= server->config.limits.max_connections) {
            pause_accepting(server, 0); /* bw_server_less wakes it */
            return;
        }
        uint64_t now_us = bw_server_now_us(server);
        uint64_t wait_us = server->config.tls ? bw_bucket_wait_us(&server->handshakes, now_us) : 0;
        if (wait_us > 0) {
            pause_accepting(server, wait_us / 1000 + 1);
            return;
        }
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                bw_log(BW_LOG_ERROR, "grpc_accept_failed", "why=\"%s\"", strerror(errno));
                pause_accepting(server, DESCRIPTORS_OUT_RETRY_MS);
                return;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            continue; /* that connection is gone already */
        }
        if (server->config.tls != NULL)
            (void)bw_bucket_take(&server->handshakes, now_us);
        take_connection(server, fd, (const struct sockaddr *)&address);
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    bw_free(handle->data);
}

static void stop_listening(struct bw_grpc_server *server)
{
    struct bw_listener *listener = server->listener;
    if (listener == NULL)
        return;
    server->listener = NULL;
    bw_timer_stop(server->accept_again);
    uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
    close(listener->fd);
}

static enum bw_code start_listening(struct bw_grpc_server *server, const struct bw_grpc_server_config *config,
                                    struct bw_error *err)
{
    struct sockaddr_storage address;
    socklen_t address_len = 0;
    bool loopback = false;
    if (parse_address(config->address, config->port, &address, &address_len, &loopback) != BW_OK)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "listen address \"%s\" is no numeric IPv4 or IPv6 address", config->address);
    if (config->tls == NULL && !loopback)
        return bw_fail(
            err, BW_INVALID_ARGUMENT, NULL,
            "listen address %s is reachable from elsewhere: configure TLS, or listen on 127.0.0.1 or ::1",
            config->address);
    struct bw_listener *listener = bw_calloc(1, sizeof *listener);
    if (listener == NULL)
        return bw_fail_memory(err);
    listener->server = server;
    listener->fd = open_socket(&address, address_len);
    if (listener->fd < 0) {
        bw_free(listener);
        return bw_fail(err, BW_UNAVAILABLE, NULL, "cannot listen on %s port %u: %s", config->address,
                       config->port, strerror(errno));
    }
    server->port = bound_port(listener->fd);
    int rc = uv_poll_init(bw_loop_uv(server->loop), &listener->poll, listener->fd);
    if (rc != 0) {
        close(listener->fd);
        bw_free(listener);
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot watch the listening socket: %s",
                       uv_strerror(rc));
    }
    listener->poll.data = listener;
    server->listener = listener;
    uv_poll_start(&listener->poll, UV_READABLE, on_acceptable);
    return BW_OK;
}

/* ---- drain ---- */

static void finish_drain(struct bw_grpc_server *server)
{
    void (*drained)(void *context) = server->drained;
    server->drained = NULL;
    bw_timer_stop(server->drain_timer);
    if (drained != NULL)
        drained(server->drained_context);
}

void bw_server_less(struct bw_grpc_server *server)
{
    if (server->destroyed)
        return;
    if (server->drained != NULL && server->counts.connections == 0 && server->counts.calls == 0)
        bw_timer_start(server->drain_timer, 0, 0);
    if (server->listener != NULL && !bw_timer_active(server->accept_again) &&
        !uv_is_active((uv_handle_t *)&server->listener->poll))
        accept_again(server);
}

static void on_drain_timer(void *context)
{
    struct bw_grpc_server *server = context;
    bool said = server->drain_over;
    server->drain_over = true;
    struct bw_connection *next;
    for (struct bw_connection *connection = server->connections; connection != NULL; connection = next) {
        next = connection->next;
        if (said)
            bw_connection_drop(connection, BW_UNAVAILABLE, "the server is shut down");
        else
            bw_connection_shut(connection);
    }
    if (said || server->counts.connections == 0)
        finish_drain(server);
    else
        bw_timer_start(server->drain_timer, LAST_WORDS_MS, 0);
}

/* ---- life ---- */

static enum bw_code make_http2(struct bw_grpc_server *server, struct bw_error *err)
{
    const struct bw_grpc_limits *limits = &server->config.limits;
    if (nghttp2_session_callbacks_new(&server->callbacks) != 0 || nghttp2_option_new(&server->options) != 0)
        return bw_fail_memory(err);
    bw_connection_set_callbacks(server->callbacks);
    nghttp2_option *options = server->options;
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_settings(options, 32);
    nghttp2_option_set_max_outbound_ack(options, 512);
    nghttp2_option_set_max_continuations(options, 8);
    /* Unknown frames are ignored without a word to us, unless they are ours to ignore: then they are counted.
     */
    for (unsigned type = FIRST_EXTENSION_TYPE; type <= 0xff; type++)
        nghttp2_option_set_user_recv_extension_type(options, (uint8_t)type);
    /* A second net below our own bucket, which sees resets in both directions. */
    nghttp2_option_set_stream_reset_rate_limit(options, limits->resets ? limits->resets * 2 : 1000,
                                               limits->resets_per_s ? limits->resets_per_s * 2 : 33);
    return BW_OK;
}

static enum bw_code build(struct bw_grpc_server *server, const struct bw_grpc_server_config *config,
                          const struct bw_grpc_method *methods, size_t method_count, struct bw_error *err)
{
    server->address = bw_strdup(config->address);
    server->scratch = bw_malloc(sizeof *server->scratch);
    if (server->address == NULL || server->scratch == NULL)
        return bw_fail_memory(err);
    server->config.address = server->address;
    server->arena_cap_bytes = config->limits.arena_bytes + config->limits.max_request_bytes;
    enum bw_code code = make_http2(server, err);
    for (size_t i = 0; code == BW_OK && i < method_count; i++)
        code = bw_server_add_method(server, &methods[i], false, err);
    if (code != BW_OK)
        return code;
    code = bw_due_timer_init(&server->due, server->loop, stay, let_go, server, err);
    if (code != BW_OK)
        return code;
    server->accept_again = bw_timer_create(server->loop, accept_again, server, err);
    server->drain_timer =
        server->accept_again ? bw_timer_create(server->loop, on_drain_timer, server, err) : NULL;
    if (server->drain_timer == NULL)
        return BW_RESOURCE_EXHAUSTED;
    server->health = bw_health_create(server, err);
    if (server->health == NULL)
        return BW_RESOURCE_EXHAUSTED;
    if (config->descriptor_set.len > 0) {
        server->reflection = bw_reflection_create(server, config->descriptor_set, err);
        if (server->reflection == NULL)
            return BW_INVALID_ARGUMENT;
    }
    return start_listening(server, config, err);
}

struct bw_grpc_server *bw_grpc_server_create(struct bw_loop *loop, const struct bw_grpc_server_config *config,
                                             const struct bw_grpc_method *methods, size_t method_count,
                                             struct bw_error *err)
{
    struct bw_grpc_server *server = bw_calloc(1, sizeof *server);
    if (server == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    server->loop = loop;
    server->config = *config;
    if (server->config.tls != NULL)
        bw_grpc_tls_hold(server->config.tls);
    server->lives = 1;
    const struct bw_grpc_limits *limits = &server->config.limits;
    bw_bucket_init(&server->handshakes, limits->handshakes, bw_bucket_interval(limits->handshakes_per_s),
                   bw_server_now_us(server));
    if (build(server, config, methods, method_count, err) != BW_OK) {
        bw_grpc_server_destroy(server);
        return NULL;
    }
    return server;
}

static void free_server(struct bw_grpc_server *server)
{
    bw_call_free_all(server);
    bw_reflection_destroy(server->reflection);
    bw_health_destroy(server->health);
    struct bw_method_entry *entry, *next;
    HASH_ITER(hh, server->methods, entry, next)
    {
        HASH_DELETE(hh, server->methods, entry);
        bw_free(entry);
    }
    nghttp2_option_del(server->options);
    nghttp2_session_callbacks_del(server->callbacks);
    bw_due_timer_finish(&server->due);
    bw_free(server->scratch);
    bw_free(server->address);
    bw_grpc_tls_release(server->config.tls);
    bw_free(server);
}

void bw_server_let_go(struct bw_grpc_server *server)
{
    if (--server->lives == 0)
        free_server(server);
}

void bw_grpc_server_destroy(struct bw_grpc_server *server)
{
    if (server == NULL || server->destroyed)
        return;
    stop_listening(server);
    server->drained = NULL;
    struct bw_connection *next;
    for (struct bw_connection *connection = server->connections; connection != NULL; connection = next) {
        next = connection->next;
        bw_connection_drop(connection, BW_CANCELLED, "the server is shut down");
    }
    server->destroyed = true;
    bw_due_timer_stop(&server->due);
    bw_timer_destroy(server->accept_again);
    bw_timer_destroy(server->drain_timer);
    server->accept_again = server->drain_timer = NULL;
    bw_server_let_go(server);
}

uint16_t bw_grpc_server_port(const struct bw_grpc_server *server)
{
    return server->port;
}

struct bw_grpc_server_counts bw_grpc_server_counts(const struct bw_grpc_server *server)
{
    return server->counts;
}

void bw_grpc_server_set_tls(struct bw_grpc_server *server, struct bw_grpc_tls *tls)
{
    BW_CHECK(tls != NULL && server->config.tls != NULL);
    struct bw_grpc_tls *old = server->config.tls;
    server->config.tls = bw_grpc_tls_hold(tls);
    bw_grpc_tls_release(old);
}

void bw_grpc_server_drain(struct bw_grpc_server *server, uint64_t deadline_ms, void (*done)(void *context),
                          void *context)
{
    stop_listening(server);
    server->draining = true;
    server->drained = done;
    server->drained_context = context;
    bw_health_stop(server->health);
    struct bw_connection *next;
    for (struct bw_connection *connection = server->connections; connection != NULL; connection = next) {
        next = connection->next;
        bw_connection_leave(connection);
    }
    bool idle = server->counts.connections == 0 && server->counts.calls == 0;
    bw_timer_start(server->drain_timer, idle ? 0 : deadline_ms, 0);
}
