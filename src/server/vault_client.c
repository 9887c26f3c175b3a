#include "server/vault_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/thread.h"

enum { READ_BYTES = 64 * 1024, WAIT_MS = 30000, ID_AT = 5 };

struct bw_vault_client {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct bw_vault_call *first, **end; /* waiting */
    int fresh;                          /* a socket not taken into use yet; -1: none */
    bool stopping;
    struct bw_thread *thread;
    /* the thread's */
    int fd; /* -1: the child is away; changed under the lock */
    struct bw_buf in;
    uint32_t next_id;
};

/* ---- replies, on their way home ---- */

struct part {
    struct bw_mail mail;
    struct bw_vault_call *call;
    struct bw_buf frame;
};

static void part_home(struct bw_mail *mail)
{
    struct part *part = (struct part *)mail;
    struct bw_vault_reply reply;
    bool decoded = bw_vault_decode_reply(bw_buf_view(&part->frame), &reply);
    BW_CHECK(decoded); /* the line looked */
    struct bw_buf frame = part->frame;
    struct bw_vault_call *call = part->call;
    bool last = reply.type != BW_VAULT_OPENED || reply.last;
    bw_free(part);
    call->replied(call, BW_OK, &reply, NULL, last);
    /* What was opened does not lie about in the heap. */
    explicit_bzero(frame.data, frame.cap);
    bw_buf_finish(&frame);
}

static void error_home(struct bw_mail *mail)
{
    struct bw_vault_call *call =
        (struct bw_vault_call *)((char *)mail - offsetof(struct bw_vault_call, last_mail));
    const struct bw_error err = call->error;
    call->replied(call, err.code, NULL, &err, true);
}

static void end_call(struct bw_vault_call *call)
{
    bw_buf_finish(&call->request);
    call->last_mail.deliver = error_home;
    bw_mailbox_post(call->back, &call->last_mail);
}

static void fail_call(struct bw_vault_call *call, enum bw_code code, const char *reason, const char *text)
{
    (void)bw_fail(&call->error, code, reason, "%s", text);
    end_call(call);
}

/* A reason is a literal: those that the vault gives. */
static const char *reason_of(struct bw_view reason)
{
    static const char *const known[] = {"KEY_UNAVAILABLE",    "ERASED",
                                        "AUDIT_UNAVAILABLE",  "MEETING_LIVE",
                                        "NO_MEETING",         "DUPLICATE_REQUEST",
                                        "SCOPE_KEY_UNSIGNED", "ROSTER_ENTRY_MISSING"};
    for (size_t i = 0; i < BW_ARRAY_LEN(known); i++)
        if (bw_view_equal_str(reason, known[i]))
            return known[i];
    return NULL;
}

/* ---- the line ---- */

static void hang_up(struct bw_vault_client *client)
{
    pthread_mutex_lock(&client->lock);
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    pthread_mutex_unlock(&client->lock);
    bw_buf_clear(&client->in);
}

/* The socket of a new child, if there is one. */
static void take_fresh(struct bw_vault_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool fresh = client->fresh >= 0 && !client->stopping;
    if (fresh) {
        if (client->fd >= 0)
            close(client->fd);
        client->fd = client->fresh;
        client->fresh = -1;
    }
    pthread_mutex_unlock(&client->lock);
    if (fresh)
        bw_buf_clear(&client->in);
}

/* Until the socket can be read or written. BW_OK, DEADLINE_EXCEEDED, UNAVAILABLE. */
static enum bw_code wait_for(const struct bw_vault_client *client, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = bw_clock_mono_ms();
        if (now_ms >= deadline_ms)
            return BW_DEADLINE_EXCEEDED;
        struct pollfd line = {.fd = client->fd, .events = events};
        int ready =
            poll(&line, 1, (int)(deadline_ms - now_ms < INT32_MAX ? deadline_ms - now_ms : INT32_MAX));
        if (ready > 0)
            return BW_OK;
        if (ready < 0 && errno != EINTR)
            return BW_UNAVAILABLE;
    }
}

static enum bw_code send_request(struct bw_vault_client *client, struct bw_buf *request, uint64_t deadline_ms)
{
    while (request->len > 0) {
        ssize_t n = send(client->fd, request->data, request->len, MSG_NOSIGNAL);
        if (n > 0) {
            bw_buf_consume(request, (size_t)n);
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return BW_UNAVAILABLE;
        enum bw_code code = wait_for(client, POLLOUT, deadline_ms);
        if (code != BW_OK)
            return code;
    }
    return BW_OK;
}

static enum bw_code receive(struct bw_vault_client *client, uint64_t deadline_ms)
{
    if (!bw_buf_reserve(&client->in, READ_BYTES))
        return BW_RESOURCE_EXHAUSTED;
    for (;;) {
        ssize_t n = recv(client->fd, client->in.data + client->in.len, READ_BYTES, 0);
        if (n > 0) {
            client->in.len += (size_t)n;
            return BW_OK;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return BW_UNAVAILABLE;
        enum bw_code code = wait_for(client, POLLIN, deadline_ms);
        if (code != BW_OK)
            return code;
    }
}

/* Sends home what has come for this call. *last: it was the last. */
static enum bw_code deliver(struct bw_vault_client *client, struct bw_vault_call *call, uint32_t id,
                            bool *last)
{
    struct bw_view frame;
    size_t taken;
    struct bw_vault_reply reply;
    for (;;) {
        enum bw_vault_split split = bw_vault_split(bw_buf_view(&client->in), &frame, &taken);
        if (split == BW_VAULT_MORE)
            return BW_OK;
        if (split == BW_VAULT_BAD || !bw_vault_decode_reply(frame, &reply) || reply.id != id)
            return BW_UNAVAILABLE; /* the other end is not the vault we know */
        if (reply.type == BW_VAULT_ERROR) {
            (void)bw_fail(&call->error, reply.code, reason_of(reply.reason), "%.*s", (int)reply.text.len,
                          (const char *)reply.text.data);
            bw_buf_consume(&client->in, taken);
            *last = true;
            end_call(call);
            return BW_OK;
        }
        *last = reply.type != BW_VAULT_OPENED || reply.last;
        struct part *part = bw_calloc(1, sizeof *part);
        if (part == NULL)
            return BW_RESOURCE_EXHAUSTED;
        bw_buf_append(&part->frame, frame.data, frame.len);
        if (part->frame.failed) {
            bw_free(part);
            return BW_RESOURCE_EXHAUSTED;
        }
        explicit_bzero(client->in.data, taken);
        bw_buf_consume(&client->in, taken);
        part->call = call;
        part->mail.deliver = part_home;
        if (*last)
            bw_buf_finish(&call->request);
        bw_mailbox_post(call->back, &part->mail);
        if (*last)
            return BW_OK;
    }
}

static void exchange(struct bw_vault_client *client, struct bw_vault_call *call)
{
    uint64_t deadline_ms = call->deadline_mono_ms;
    if (call->request.failed || call->request.len < ID_AT + 4) {
        fail_call(call, BW_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return;
    }
    uint32_t id = ++client->next_id;
    struct bw_writer w = bw_writer_of(call->request.data + ID_AT, 4);
    bw_write_u32(&w, id);
    enum bw_code code = bw_clock_mono_ms() < deadline_ms ? BW_OK : BW_DEADLINE_EXCEEDED;
    bool asked = false, last = false;
    if (code == BW_OK && client->fd < 0)
        code = BW_UNAVAILABLE;
    if (code == BW_OK) {
        asked = true;
        code = send_request(client, &call->request, deadline_ms);
    }
    while (code == BW_OK && !last) {
        code = receive(client, deadline_ms);
        if (code == BW_OK)
            code = deliver(client, call, id, &last);
    }
    if (code == BW_OK)
        return;
    /* An answer that comes too late would be taken for the next one's: the vault is started anew. */
    if (asked)
        hang_up(client);
    if (code == BW_DEADLINE_EXCEEDED)
        fail_call(call, code, NULL, "the vault did not answer in time; try again");
    else if (code == BW_RESOURCE_EXHAUSTED)
        fail_call(call, code, NULL, "out of memory");
    else
        fail_call(call, BW_UNAVAILABLE, "VAULT_AWAY", "the vault is being restarted; try again");
}

static void work(void *context)
{
    struct bw_vault_client *client = context;
    for (;;) {
        pthread_mutex_lock(&client->lock);
        while (client->first == NULL && !client->stopping)
            pthread_cond_wait(&client->more, &client->lock);
        struct bw_vault_call *call = client->first;
        bool stopping = client->stopping;
        if (call != NULL) {
            client->first = call->next;
            if (client->first == NULL)
                client->end = &client->first;
        }
        pthread_mutex_unlock(&client->lock);
        if (call == NULL)
            return;
        if (stopping) {
            fail_call(call, BW_CANCELLED, NULL, "this replica is stopping");
            continue;
        }
        take_fresh(client);
        exchange(client, call);
    }
}

/* ---- for everybody ---- */

void bw_vault_client_ask(struct bw_vault_client *client, struct bw_vault_call *call)
{
    call->next = NULL;
    if (call->deadline_mono_ms == 0)
        call->deadline_mono_ms = bw_clock_mono_ms() + WAIT_MS;
    pthread_mutex_lock(&client->lock);
    *client->end = call;
    client->end = &call->next;
    pthread_cond_signal(&client->more);
    pthread_mutex_unlock(&client->lock);
}

void bw_vault_client_attach(struct bw_vault_client *client, int fd)
{
    pthread_mutex_lock(&client->lock);
    if (client->fresh >= 0)
        close(client->fresh);
    client->fresh = fd;
    pthread_mutex_unlock(&client->lock);
}

bool bw_vault_client_lost(struct bw_vault_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool lost = client->fd < 0 && client->fresh < 0;
    pthread_mutex_unlock(&client->lock);
    return lost;
}

enum bw_code bw_vault_client_create(struct bw_vault_client **out, struct bw_error *err)
{
    struct bw_vault_client *client = bw_calloc(1, sizeof *client);
    if (client == NULL)
        return bw_fail_memory(err);
    client->fd = client->fresh = -1;
    client->end = &client->first;
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->more, NULL);
    client->thread = bw_thread_start(work, client, "bw-vault", err);
    if (client->thread == NULL) {
        pthread_mutex_destroy(&client->lock);
        pthread_cond_destroy(&client->more);
        bw_free(client);
        return BW_RESOURCE_EXHAUSTED;
    }
    *out = client;
    return BW_OK;
}

void bw_vault_client_destroy(struct bw_vault_client *client)
{
    if (client == NULL)
        return;
    pthread_mutex_lock(&client->lock);
    client->stopping = true;
    if (client->fd >= 0)
        shutdown(client->fd, SHUT_RDWR); /* wakes who waits for an answer */
    pthread_cond_signal(&client->more);
    pthread_mutex_unlock(&client->lock);
    bw_thread_join(client->thread);
    if (client->fd >= 0)
        close(client->fd);
    if (client->fresh >= 0)
        close(client->fresh);
    pthread_mutex_destroy(&client->lock);
    pthread_cond_destroy(&client->more);
    bw_buf_finish(&client->in);
    bw_free(client);
}
