/* A client's connection: finding the server, connecting, staying alive, ending. */
#include "grpc/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/check.h"
#include "grpc/client_internal.h"
#include "grpc/tls_internal.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    KEEPALIVE_TIMEOUT_MS = 10000,
    END_MS = 1000,
    MAX_REPLY_BYTES = 4 << 20,
    MAX_OUTPUT_BYTES = 16 << 20
};

/* A look-up runs on libuv's threads and may outlive the client that wanted it. */
struct bw_resolution {
    uv_getaddrinfo_t request;
    struct bw_grpc_client *client; /* NULL: nobody wants it any more */
};

/* One try with one address. Its link has to wait for libuv before it can be used again, so each try has its
 * own. */
struct bw_client_attempt {
    struct bw_link link;
    struct bw_grpc_client *client;
};

static const uint8_t keepalive_mark[8] = {'k', 'e', 'e', 'p'};

static void try_next(struct bw_grpc_client *client);

static struct bw_client_attempt *attempt_of(struct bw_link *link)
{
    return (struct bw_client_attempt *)(void *)((char *)link - offsetof(struct bw_client_attempt, link));
}

/* ---- life ---- */

static void free_client(struct bw_grpc_client *client)
{
    BW_CHECK(client->calls == NULL);
    if (!client->session_given)
        nghttp2_session_del(client->session);
    if (client->addresses != NULL)
        uv_freeaddrinfo(client->addresses);
    bw_due_timer_finish(&client->due);
    bw_grpc_tls_release(client->config.tls);
    bw_free(client->host);
    bw_free(client->service);
    bw_free(client->authority);
    bw_free(client->user_agent);
    bw_free(client->scratch);
    bw_free(client);
}

static void let_go(void *context)
{
    struct bw_grpc_client *client = context;
    if (--client->lives == 0)
        free_client(client);
}

static void stay(void *context)
{
    struct bw_grpc_client *client = context;
    client->lives++;
}

/* The connection is over for good: every call hears it, then the owner. */
static void end_client(struct bw_grpc_client *client, const struct bw_error *why)
{
    if (client->over)
        return;
    client->over = true;
    client->open = false;
    stay(client);
    bw_loop_undefer(client->loop, &client->settle);
    bw_due_timer_clear(&client->due, &client->life);
    client->done_first = client->done_last = NULL;
    struct bw_error cause = *why;
    while (client->calls != NULL) {
        struct bw_grpc_client_call *call = client->calls;
        call->closed = true;
        call->queued = true; /* told here, not by the task */
        bw_client_call_fail(call, cause.code == BW_OK ? BW_UNAVAILABLE : cause.code, "%s",
                            cause.code == BW_OK ? "the connection is closed" : cause.show);
        if (call->told)
            bw_client_call_free(call);
        else
            bw_client_call_tell(call);
    }
    if (!client->destroyed && client->config.closed != NULL)
        client->config.closed(client, &cause, client->config.context);
    let_go(client);
}

void bw_client_wake(struct bw_grpc_client *client)
{
    if (client->open)
        bw_link_wake(&client->attempt->link);
}

void bw_client_settle_later(struct bw_grpc_client *client)
{
    if (!client->over)
        bw_loop_defer(client->loop, &client->settle);
}

/* What has happened inside the session reaches the owner here, where it may do anything. */
static void settle(void *context)
{
    struct bw_grpc_client *client = context;
    stay(client);
    if (client->tell_connected) {
        client->tell_connected = false;
        if (client->config.connected != NULL)
            client->config.connected(client, client->config.context);
    }
    if (client->tell_going_away && !client->over) {
        client->tell_going_away = false;
        if (client->config.going_away != NULL)
            client->config.going_away(client, client->config.context);
    }
    while (client->done_first != NULL) {
        struct bw_grpc_client_call *call = client->done_first;
        client->done_first = call->next_done;
        if (client->done_first == NULL)
            client->done_last = NULL;
        bw_client_call_tell(call);
    }
    let_go(client);
}

/* ---- times ---- */

static uint64_t heard_ms(const struct bw_grpc_client *client)
{
    return client->attempt ? client->attempt->link.heard_ms : client->started_ms;
}

static uint64_t next_life_ms(const struct bw_grpc_client *client)
{
    const struct bw_link *link = client->attempt ? &client->attempt->link : NULL;
    if (link != NULL && (link->state == BW_LINK_ENDING || link->state == BW_LINK_LINGERING))
        return client->end_ms + END_MS;
    if (!client->settled)
        return client->started_ms + client->config.connect_timeout_ms;
    if (client->pinged)
        return client->ping_sent_ms + client->config.keepalive_timeout_ms;
    if (client->config.keepalive_ms > 0)
        return heard_ms(client) + client->config.keepalive_ms;
    return UINT64_MAX;
}

static void schedule(struct bw_grpc_client *client)
{
    uint64_t at = next_life_ms(client);
    if (client->over || at == UINT64_MAX)
        bw_due_timer_clear(&client->due, &client->life);
    else
        bw_due_timer_set(&client->due, &client->life, at);
}

static void give_up(struct bw_grpc_client *client, const char *why)
{
    struct bw_error err;
    (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "%s", why);
    client->address = NULL; /* no further tries */
    if (client->attempt != NULL)
        bw_link_abort(&client->attempt->link, &err);
    else
        end_client(client, &err);
}

static void on_life_due(struct bw_due *due)
{
    struct bw_grpc_client *client =
        (struct bw_grpc_client *)(void *)((char *)due - offsetof(struct bw_grpc_client, life));
    uint64_t now = bw_loop_now_ms(client->loop);
    const struct bw_link *link = client->attempt ? &client->attempt->link : NULL;
    if (link != NULL && (link->state == BW_LINK_ENDING || link->state == BW_LINK_LINGERING)) {
        if (now >= client->end_ms + END_MS)
            give_up(client, "the connection is closed");
        else
            schedule(client);
        return;
    }
    if (!client->settled) {
        if (now >= client->started_ms + client->config.connect_timeout_ms)
            give_up(client, "connecting took too long");
        else
            schedule(client);
        return;
    }
    if (client->pinged && heard_ms(client) > client->ping_sent_ms)
        client->pinged = false;
    if (client->pinged && now >= client->ping_sent_ms + client->config.keepalive_timeout_ms) {
        give_up(client, "the server does not answer pings");
        return;
    }
    if (!client->pinged && client->config.keepalive_ms > 0 &&
        now >= heard_ms(client) + client->config.keepalive_ms) {
        client->pinged = true;
        client->ping_sent_ms = now;
        (void)nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, keepalive_mark);
        bw_client_wake(client);
    }
    schedule(client);
}

/* ---- connecting ---- */

static enum bw_code on_open(struct bw_link *link, nghttp2_session **session, struct bw_error *err)
{
    (void)err;
    struct bw_grpc_client *client = attempt_of(link)->client;
    memcpy(client->peer_spiffe_id, link->peer_spiffe_id, sizeof client->peer_spiffe_id);
    client->open = true;
    client->session_given = true;
    *session = client->session;
    return BW_OK;
}

static void on_waiting(struct bw_link *link)
{
    struct bw_grpc_client *client = attempt_of(link)->client;
    bool ending = link->state == BW_LINK_ENDING || link->state == BW_LINK_LINGERING;
    if (ending && client->end_ms == 0)
        client->end_ms = bw_loop_now_ms(client->loop);
    if (!client->over)
        schedule(client);
}

static void on_closed(struct bw_link *link, const struct bw_error *why)
{
    struct bw_grpc_client *client = attempt_of(link)->client;
    bool was_open = client->open;
    client->open = false;
    if (why->code != BW_OK)
        client->why = *why;
    bool again = !was_open && !client->over && client->address != NULL && client->address->ai_next != NULL;
    if (!again)
        end_client(client, why);
    if (client->session_given)
        client->session = NULL; /* goes with the link */
    client->attempt = NULL;
    bw_link_finish(link);
    if (again) {
        client->address = client->address->ai_next;
        try_next(client);
    }
}

static void on_released(struct bw_link *link)
{
    struct bw_client_attempt *attempt = attempt_of(link);
    struct bw_grpc_client *client = attempt->client;
    bw_free(attempt);
    let_go(client);
}

static const struct bw_link_owner link_owner = {
    .open = on_open, .waiting = on_waiting, .closed = on_closed, .released = on_released};

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static enum bw_code start_attempt(struct bw_grpc_client *client, struct bw_error *err)
{
    const struct addrinfo *address = client->address;
    if (client->config.tls == NULL && !is_loopback(address->ai_addr))
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL,
                       "%s is not this machine: clear text is for loopback only", client->config.target);
    struct bw_client_attempt *attempt = bw_calloc(1, sizeof *attempt);
    if (attempt == NULL)
        return bw_fail_memory(err);
    attempt->client = client;
    struct bw_transport transport = {
        .fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (transport.fd < 0) {
        bw_free(attempt);
        return bw_fail(err, BW_UNAVAILABLE, NULL, "cannot open a socket: %s", strerror(errno));
    }
    int on = 1;
    setsockopt(transport.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (client->config.tls != NULL)
        transport.ssl = bw_tls_open(client->config.tls, transport.fd);
    enum bw_code code = BW_OK;
    if (client->config.tls != NULL && transport.ssl == NULL)
        code = bw_fail_memory(err);
    else if (connect(transport.fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)
        code = bw_fail(err, BW_UNAVAILABLE, NULL, "cannot connect to %s: %s", client->config.target,
                       strerror(errno));
    if (code != BW_OK) {
        bw_transport_finish(&transport);
        bw_free(attempt);
        return code;
    }
    code = bw_link_init(&attempt->link, client->loop, &link_owner, client->scratch, transport, true, err);
    if (code != BW_OK) {
        bw_free(attempt);
        return code;
    }
    client->attempt = attempt;
    client->lives++;
    return BW_OK;
}

static void try_next(struct bw_grpc_client *client)
{
    for (;;) {
        struct bw_error err;
        if (start_attempt(client, &err) == BW_OK)
            return;
        client->why = err;
        if (client->address->ai_next == NULL)
            break;
        client->address = client->address->ai_next;
    }
    end_client(client, &client->why);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct bw_resolution *resolution = request->data;
    struct bw_grpc_client *client = resolution->client;
    bw_free(resolution);
    if (client == NULL || client->over) {
        uv_freeaddrinfo(addresses);
        if (client != NULL)
            client->resolution = NULL;
        return;
    }
    client->resolution = NULL;
    if (status != 0) {
        struct bw_error err;
        (void)bw_fail(&err, BW_UNAVAILABLE, NULL, "cannot find %s: %s", client->config.target,
                      uv_strerror(status));
        end_client(client, &err);
        return;
    }
    client->addresses = client->address = addresses;
    try_next(client);
}

static enum bw_code resolve(struct bw_grpc_client *client, struct bw_error *err)
{
    struct bw_resolution *resolution = bw_calloc(1, sizeof *resolution);
    if (resolution == NULL)
        return bw_fail_memory(err);
    resolution->client = client;
    resolution->request.data = resolution;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int rc = uv_getaddrinfo(bw_loop_uv(client->loop), &resolution->request, on_resolved, client->host,
                            client->service, &hints);
    if (rc != 0) {
        bw_free(resolution);
        return bw_fail(err, BW_UNAVAILABLE, NULL, "cannot look up %s: %s", client->config.target,
                       uv_strerror(rc));
    }
    client->resolution = resolution;
    return BW_OK;
}

/* ---- creation ---- */

/* host:port, with an IPv6 address in brackets. */
static enum bw_code split_target(struct bw_grpc_client *client, const char *target, struct bw_error *err)
{
    const char *colon = strrchr(target, ':');
    size_t host_len = colon ? (size_t)(colon - target) : 0;
    const char *host = target;
    if (host_len > 2 && target[0] == '[' && target[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    } else if (memchr(target, ':', host_len) != NULL) {
        host_len = 0;
    }
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (host_len == 0 || digits == 0 || digits > 5 || colon[1 + digits] != '\0')
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "\"%s\" is not host:port", target);
    client->host = bw_memdup(host, host_len + 1);
    client->service = bw_strdup(colon + 1);
    client->authority = bw_strdup(target);
    if (client->host == NULL || client->service == NULL || client->authority == NULL)
        return bw_fail_memory(err);
    client->host[host_len] = '\0';
    return BW_OK;
}

static void set_defaults(struct bw_grpc_client_config *config)
{
    if (config->connect_timeout_ms == 0)
        config->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (config->keepalive_timeout_ms == 0)
        config->keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS;
    if (config->max_reply_bytes == 0)
        config->max_reply_bytes = MAX_REPLY_BYTES;
    if (config->max_output_bytes == 0)
        config->max_output_bytes = MAX_OUTPUT_BYTES;
}

static enum bw_code build(struct bw_grpc_client *client, const struct bw_grpc_client_config *config,
                          struct bw_error *err)
{
    if (config->tls == NULL && !config->h2c)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a client needs TLS, or clear text asked for by name");
    enum bw_code code = split_target(client, config->target, err);
    if (code != BW_OK)
        return code;
    client->config.target = client->authority;
    client->user_agent = bw_strdup(config->user_agent ? config->user_agent : "bailiwick");
    client->scratch = bw_malloc(sizeof *client->scratch);
    if (client->user_agent == NULL || client->scratch == NULL)
        return bw_fail_memory(err);
    code = bw_due_timer_init(&client->due, client->loop, stay, let_go, client, err);
    if (code == BW_OK)
        code = bw_due_reserve(&client->due.heap, err);
    if (code == BW_OK)
        code = bw_client_session_create(client, err);
    if (code == BW_OK)
        code = resolve(client, err);
    return code;
}

struct bw_grpc_client *bw_grpc_client_create(struct bw_loop *loop, const struct bw_grpc_client_config *config,
                                             struct bw_error *err)
{
    struct bw_grpc_client *client = bw_calloc(1, sizeof *client);
    if (client == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    client->loop = loop;
    client->config = *config;
    if (config->tls != NULL)
        bw_grpc_tls_hold(config->tls);
    set_defaults(&client->config);
    client->lives = 1;
    client->life.fire = on_life_due;
    client->started_ms = bw_loop_now_ms(loop);
    bw_task_init(&client->settle, settle, client);
    if (build(client, config, err) != BW_OK) {
        bw_grpc_client_destroy(client);
        return NULL;
    }
    schedule(client);
    return client;
}

void bw_grpc_client_destroy(struct bw_grpc_client *client)
{
    if (client == NULL)
        return;
    BW_CHECK(!client->in_callback && !client->destroyed);
    client->destroyed = true;
    struct bw_error err;
    (void)bw_fail(&err, BW_CANCELLED, NULL, "the client is shut down");
    client->address = NULL;
    if (client->resolution != NULL)
        client->resolution->client = NULL;
    stay(client);
    if (client->attempt != NULL)
        bw_link_abort(&client->attempt->link, &err);
    end_client(client, &err);
    bw_loop_undefer(client->loop, &client->settle);
    bw_due_timer_stop(&client->due);
    let_go(client);
    let_go(client);
}

void bw_grpc_client_close(struct bw_grpc_client *client)
{
    if (client->over)
        return;
    client->leaving = true;
    if (!client->open) {
        if (client->calls == NULL)
            give_up(client, "the connection is closed");
        return;
    }
    (void)nghttp2_submit_goaway(client->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    bw_client_wake(client);
}

bool bw_grpc_client_usable(const struct bw_grpc_client *client)
{
    return client->open && client->settled && !client->leaving;
}

const char *bw_grpc_client_peer_spiffe_id(const struct bw_grpc_client *client)
{
    return client->peer_spiffe_id[0] ? client->peer_spiffe_id : NULL;
}
