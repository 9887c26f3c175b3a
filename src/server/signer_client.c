#include "server/signer_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/mailbox.h"

enum { TIMEOUT_DEFAULT_MS = 2000, PENDING_MAX = 4096, READ_BYTES = 64 * 1024 };

struct pending {
    struct pending *next;
    uint32_t id;
    uint64_t deadline_ms;
    enum bw_signer_type answer; /* the type of reply that fits */
    bw_signer_done *done;
    void *context;
};

/* Lives until libuv has closed its handle, which may be after the client. */
struct connection {
    uv_poll_t watch;
    int fd;
    bool wants_write;
    struct bw_signer_client *client; /* NULL once hung up */
};

struct bw_signer_client {
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_timer *timer;
    struct bw_task flush;
    struct connection *connection; /* NULL: the child is away */
    struct bw_buf in, out;
    struct pending *first, **last; /* in order of deadline, since all wait equally long */
    size_t pending_count;
    uint32_t next_id;
    uint64_t timeout_ms;
};

struct attachment {
    struct bw_mail mail;
    struct bw_signer_client *client;
    int fd;
};

/* Whoever is answered here may ask again at once, so the list is taken off first. */
static void fail_all(struct bw_signer_client *client, enum bw_code code, const char *text)
{
    struct pending *all = client->first;
    client->first = NULL;
    client->last = &client->first;
    client->pending_count = 0;
    bw_timer_stop(client->timer);
    while (all != NULL) {
        struct pending *one = all;
        struct bw_error err;
        all = one->next;
        (void)bw_fail(&err, code, NULL, "%s", text);
        one->done(code, NULL, &err, one->context);
        bw_free(one);
    }
}

static void on_closed(uv_handle_t *handle)
{
    bw_free(handle->data);
}

static void hang_up(struct bw_signer_client *client)
{
    struct connection *connection = client->connection;
    if (connection == NULL)
        return;
    client->connection = NULL;
    connection->client = NULL;
    bw_buf_clear(&client->in);
    bw_buf_clear(&client->out);
    uv_close((uv_handle_t *)&connection->watch, on_closed);
    close(connection->fd);
}

static void lose_child(struct bw_signer_client *client)
{
    hang_up(client);
    fail_all(client, BW_UNAVAILABLE, "the signer is being restarted; try again");
}

static void arm_timer(struct bw_signer_client *client)
{
    if (client->first == NULL) {
        bw_timer_stop(client->timer);
        return;
    }
    uint64_t now_ms = bw_clock_mono_ms();
    bw_timer_start(client->timer,
                   client->first->deadline_ms > now_ms ? client->first->deadline_ms - now_ms : 0, 0);
}

static struct pending *take(struct bw_signer_client *client, uint32_t id)
{
    for (struct pending **at = &client->first; *at != NULL; at = &(*at)->next) {
        struct pending *one = *at;
        if (one->id != id)
            continue;
        *at = one->next;
        if (client->last == &one->next)
            client->last = at;
        client->pending_count--;
        return one;
    }
    return NULL;
}

static void on_timeout(void *context)
{
    struct bw_signer_client *client = context;
    uint64_t now_ms = bw_clock_mono_ms();
    while (client->first != NULL && client->first->deadline_ms <= now_ms) {
        struct pending *one = take(client, client->first->id);
        struct bw_error err;
        enum bw_code code =
            bw_fail(&err, BW_DEADLINE_EXCEEDED, NULL, "the signer did not answer in time; try again");
        one->done(code, NULL, &err, one->context);
        bw_free(one);
    }
    arm_timer(client);
}

/* False when the reply does not fit what was asked: the other end is not the signer we know. */
static bool deliver(struct bw_signer_client *client, const struct bw_signer_reply *reply)
{
    struct pending *one = take(client, reply->id);
    if (one == NULL)
        return true; /* given up already */
    struct bw_error err;
    bool fits = reply->type == one->answer || reply->type == BW_SIGNER_FAILED;
    if (reply->type == one->answer) {
        one->done(BW_OK, reply, NULL, one->context);
    } else {
        enum bw_code code = fits ? reply->code : BW_UNAVAILABLE;
        (void)bw_fail(&err, code, NULL, "%.*s", fits ? (int)reply->text.len : 0,
                      (const char *)reply->text.data);
        one->done(code, NULL, &err, one->context);
    }
    bw_free(one);
    return fits;
}

/* A callback may lead to the connection being replaced, so each frame looks again. */
static bool deliver_all(struct bw_signer_client *client, const struct connection *connection)
{
    size_t done = 0;
    while (client->connection == connection) {
        struct bw_view frame;
        size_t taken;
        struct bw_signer_reply reply;
        enum bw_signer_split split =
            bw_signer_split(bw_view_of(client->in.data + done, client->in.len - done), &frame, &taken);
        if (split == BW_SIGNER_MORE)
            break;
        if (split == BW_SIGNER_BAD || !bw_signer_decode_reply(frame, &reply))
            return false;
        done += taken;
        if (!deliver(client, &reply))
            return false;
    }
    if (client->connection == connection)
        bw_buf_consume(&client->in, done);
    arm_timer(client);
    return true;
}

static void watch(struct connection *connection);

static bool flush_out(struct bw_signer_client *client)
{
    struct connection *connection = client->connection;
    while (client->out.len > 0) {
        ssize_t n = send(connection->fd, client->out.data, client->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        bw_buf_consume(&client->out, (size_t)n);
    }
    bool wants_write = client->out.len > 0;
    if (wants_write != connection->wants_write) {
        connection->wants_write = wants_write;
        watch(connection);
    }
    return true;
}

static bool read_in(struct bw_signer_client *client)
{
    struct connection *connection = client->connection;
    if (!bw_buf_reserve(&client->in, READ_BYTES))
        return false;
    ssize_t n = recv(connection->fd, client->in.data + client->in.len, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    client->in.len += (size_t)n;
    return deliver_all(client, connection);
}

static void on_event(uv_poll_t *handle, int status, int events)
{
    struct connection *connection = handle->data;
    struct bw_signer_client *client = connection->client;
    if (client == NULL)
        return;
    bool ok = status == 0;
    if (ok && (events & UV_READABLE))
        ok = read_in(client);
    if (client->connection != connection)
        return;
    if (ok && (events & UV_WRITABLE))
        ok = flush_out(client);
    if (!ok)
        lose_child(client);
}

static void watch(struct connection *connection)
{
    uv_poll_start(&connection->watch, UV_READABLE | (connection->wants_write ? UV_WRITABLE : 0), on_event);
}

static void on_flush(void *context)
{
    struct bw_signer_client *client = context;
    if (client->connection != NULL && !flush_out(client))
        lose_child(client);
}

static void on_attach(struct bw_mail *mail)
{
    struct attachment *attachment = (struct attachment *)mail;
    struct bw_signer_client *client = attachment->client;
    int fd = attachment->fd;
    bw_free(attachment);
    if (client->connection != NULL)
        lose_child(client);
    struct connection *connection = bw_calloc(1, sizeof *connection);
    if (connection == NULL || uv_poll_init(bw_loop_uv(client->loop), &connection->watch, fd) != 0) {
        bw_free(connection);
        close(fd); /* the child sees a socket end; the line stays UNAVAILABLE until the next child */
        return;
    }
    connection->watch.data = connection;
    connection->fd = fd;
    connection->client = client;
    client->connection = connection;
    watch(connection);
}

enum bw_code bw_signer_client_create(struct bw_loop *loop, uint64_t timeout_ms, struct bw_signer_client **out,
                                     struct bw_error *err)
{
    struct bw_signer_client *client = bw_calloc(1, sizeof *client);
    if (client == NULL)
        return bw_fail_memory(err);
    client->loop = loop;
    client->timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS;
    client->last = &client->first;
    bw_task_init(&client->flush, on_flush, client);
    client->mailbox = bw_mailbox_create(loop, err);
    if (client->mailbox != NULL)
        client->timer = bw_timer_create(loop, on_timeout, client, err);
    if (client->timer == NULL) {
        enum bw_code code = err != NULL ? err->code : BW_RESOURCE_EXHAUSTED;
        bw_mailbox_destroy(client->mailbox);
        bw_free(client);
        return code;
    }
    *out = client;
    return BW_OK;
}

void bw_signer_client_destroy(struct bw_signer_client *client)
{
    if (client == NULL)
        return;
    bw_mailbox_destroy(client->mailbox); /* takes in what was attached and not yet seen */
    hang_up(client);
    fail_all(client, BW_CANCELLED, "the daemon is stopping");
    bw_loop_undefer(client->loop, &client->flush);
    bw_timer_destroy(client->timer);
    bw_buf_finish(&client->in);
    bw_buf_finish(&client->out);
    bw_free(client);
}

enum bw_code bw_signer_client_attach(struct bw_signer_client *client, int fd, struct bw_error *err)
{
    struct attachment *attachment = bw_calloc(1, sizeof *attachment);
    if (attachment == NULL) {
        close(fd);
        return bw_fail_memory(err);
    }
    attachment->mail.deliver = on_attach;
    attachment->client = client;
    attachment->fd = fd;
    bw_mailbox_post(client->mailbox, &attachment->mail);
    return BW_OK;
}

bool bw_signer_client_connected(const struct bw_signer_client *client)
{
    return client->connection != NULL;
}

static enum bw_code ask(struct bw_signer_client *client, struct bw_signer_request *request,
                        bw_signer_done *done, void *context, struct bw_error *err)
{
    if (client->connection == NULL)
        return bw_fail(err, BW_UNAVAILABLE, NULL, "the signer is being restarted; try again");
    if (client->pending_count == PENDING_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "too many requests wait for the signer; try again");
    struct pending *one = bw_calloc(1, sizeof *one);
    if (one == NULL)
        return bw_fail_memory(err);
    size_t before = client->out.len;
    request->id = client->next_id++;
    bw_signer_encode_request(request, &client->out);
    if (client->out.failed) {
        /* Frames before this one are whole and must still go out. */
        client->out.failed = false;
        client->out.len = before;
        bw_free(one);
        return bw_fail_memory(err);
    }
    one->id = request->id;
    one->deadline_ms = bw_clock_mono_ms() + client->timeout_ms;
    one->answer = (enum bw_signer_type)(request->type | 0x80);
    one->done = done;
    one->context = context;
    *client->last = one;
    client->last = &one->next;
    if (client->pending_count++ == 0)
        arm_timer(client);
    bw_loop_defer(client->loop, &client->flush);
    return BW_OK;
}

enum bw_code bw_signer_client_sign_root(struct bw_signer_client *client, const struct bw_merkle_hash *root,
                                        uint32_t leaves, bw_signer_done *done, void *context,
                                        struct bw_error *err)
{
    struct bw_signer_request request = {.type = BW_SIGNER_SIGN_ROOT, .root = *root, .leaves = leaves};
    return ask(client, &request, done, context, err);
}

enum bw_code bw_signer_client_public_keys(struct bw_signer_client *client, bw_signer_done *done,
                                          void *context, struct bw_error *err)
{
    struct bw_signer_request request = {.type = BW_SIGNER_PUBLIC_KEYS};
    return ask(client, &request, done, context, err);
}

enum bw_code bw_signer_client_issue(struct bw_signer_client *client, struct bw_view csr,
                                    struct bw_view spiffe_id, uint32_t lifetime_s, bw_signer_done *done,
                                    void *context, struct bw_error *err)
{
    struct bw_signer_request request = {
        .type = BW_SIGNER_ISSUE_CERT, .csr = csr, .spiffe_id = spiffe_id, .lifetime_s = lifetime_s};
    if (csr.len > BW_SIGNER_CSR_MAX || spiffe_id.len > BW_SIGNER_SPIFFE_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "a certificate request has at most %d bytes, a SPIFFE ID at most %d",
                       BW_SIGNER_CSR_MAX, BW_SIGNER_SPIFFE_MAX);
    return ask(client, &request, done, context, err);
}
