#include "relay/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/clock.h"

enum {
    BATCH = 64,               /* datagrams a system call */
    ROUNDS = 8,               /* batches a turn of the loop, so that timers and the session get their turn */
    BUFFER_BYTES = 4 << 20,   /* of the kernel, each way: bursts of a fan-out */
    WAITED_MOST_US = 1000000, /* longer is a wall clock that was set */
};

/* Of one time stamp of the kernel. */
#define STAMP_BYTES CMSG_SPACE(sizeof(struct timespec))

struct bw_socket {
    int fd, family;
    struct bw_socket_handlers handlers;
    struct bw_outbox *outbox;
    uv_poll_t poll;
    struct mmsghdr in[BATCH], out[BW_OUTBOX_SIZE];
    struct iovec in_parts[BATCH], out_parts[BW_OUTBOX_SIZE][2];
    struct sockaddr_storage from[BATCH], to[BW_OUTBOX_SIZE];
    _Alignas(struct cmsghdr) uint8_t stamps[BATCH][STAMP_BYTES];
    uint8_t bytes[BATCH][BW_DATAGRAM_MAX + 1]; /* one more: longer ones are seen to be too long */
};

static void flush(void *context, struct bw_outbox *outbox)
{
    struct bw_socket *s = context;
    size_t count = 0, sent = 0;
    uint64_t failed = 0;
    for (size_t i = 0; i < outbox->count; i++) {
        struct bw_outgoing *item = &outbox->items[i];
        socklen_t len = bw_address_to_sockaddr(&item->to, s->family, &s->to[count]);
        if (len == 0) {
            failed++;
            continue;
        }
        s->out_parts[count][0] = (struct iovec){item->header, sizeof item->header};
        s->out_parts[count][1] = (struct iovec){(void *)(uintptr_t)item->payload.data, item->payload.len};
        s->out[count].msg_hdr = (struct msghdr){.msg_name = &s->to[count],
                                                .msg_namelen = len,
                                                .msg_iov = s->out_parts[count],
                                                .msg_iovlen = item->payload.len > 0 ? 2 : 1};
        count++;
    }
    while (sent < count) {
        int n = sendmmsg(s->fd, s->out + sent, (unsigned)(count - sent), MSG_DONTWAIT);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            failed += count - sent;
            break;
        } else if (errno != EINTR) {
            sent++; /* this one cannot go (no route, refused by its host): the others can */
            failed++;
        }
    }
    if (failed > 0)
        s->handlers.send_failed(s->handlers.context, failed);
}

static uint64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The kernel's stamp is of the wall clock: what counts is how long ago that was. */
static uint64_t arrival_us(struct msghdr *message, uint64_t wall_now_us, uint64_t mono_now_us)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        struct timespec at;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&at, CMSG_DATA(c), sizeof at);
        uint64_t at_us = (uint64_t)at.tv_sec * 1000000 + (uint64_t)at.tv_nsec / 1000;
        if (at_us <= wall_now_us && wall_now_us - at_us <= WAITED_MOST_US)
            return mono_now_us - (wall_now_us - at_us);
    }
    return mono_now_us;
}

static bool receive_batch(struct bw_socket *s)
{
    for (size_t i = 0; i < BATCH; i++) {
        s->in_parts[i] = (struct iovec){s->bytes[i], sizeof s->bytes[i]};
        s->in[i].msg_hdr = (struct msghdr){.msg_name = &s->from[i],
                                           .msg_namelen = sizeof s->from[i],
                                           .msg_iov = &s->in_parts[i],
                                           .msg_iovlen = 1,
                                           .msg_control = s->stamps[i],
                                           .msg_controllen = sizeof s->stamps[i]};
    }
    int n = recvmmsg(s->fd, s->in, BATCH, MSG_DONTWAIT, NULL);
    uint64_t wall_now_us = wall_us(), mono_now_us = bw_clock_mono_ns() / 1000;
    for (int i = 0; i < n; i++) {
        struct bw_address from;
        if (!bw_address_from_sockaddr(&s->from[i], &from))
            continue;
        s->handlers.received(s->handlers.context, &from, bw_view_of(s->bytes[i], s->in[i].msg_len),
                             arrival_us(&s->in[i].msg_hdr, wall_now_us, mono_now_us));
    }
    /* Copies refer to the bytes of this batch. */
    bw_outbox_flush(s->outbox);
    return n == BATCH;
}

static void readable(uv_poll_t *poll, int status, int events)
{
    struct bw_socket *s = poll->data;
    (void)status, (void)events; /* an error of the socket shows, and is cleared, when receiving */
    for (int round = 0; round < ROUNDS && receive_batch(s); round++)
        ;
    if (s->handlers.batch_ended != NULL)
        s->handlers.batch_ended(s->handlers.context);
}

static int bound_socket(const struct bw_address *listen, struct bw_error *err)
{
    int family = listen->family == 4 ? AF_INET : AF_INET6;
    struct sockaddr_storage sa;
    socklen_t len = bw_address_to_sockaddr(listen, family, &sa);
    char text[BW_ADDRESS_TEXT];
    int bytes = BUFFER_BYTES, off = 0, on = 1;
    bw_address_format(listen, text);
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "no UDP socket: %s", strerror(errno));
        return -1;
    }
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes,
                     sizeof bytes); /* as much as the system lets us have */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&sa, len) != 0) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "cannot listen on UDP %s: %s", text, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

struct bw_socket *bw_socket_create(struct bw_loop *loop, const struct bw_address *listen,
                                   struct bw_outbox *outbox, const struct bw_socket_handlers *handlers,
                                   struct bw_error *err)
{
    struct bw_socket *s = bw_calloc(1, sizeof *s);
    if (s == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    s->handlers = *handlers;
    s->outbox = outbox;
    s->family = listen->family == 4 ? AF_INET : AF_INET6;
    s->fd = bound_socket(listen, err);
    if (s->fd < 0) {
        bw_free(s);
        return NULL;
    }
    int code = uv_poll_init(bw_loop_uv(loop), &s->poll, s->fd);
    if (code != 0) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "cannot watch the UDP socket: %s", uv_strerror(code));
        close(s->fd);
        bw_free(s);
        return NULL;
    }
    s->poll.data = s;
    outbox->flush = flush;
    outbox->context = s;
    BW_CHECK(uv_poll_start(&s->poll, UV_READABLE, readable) == 0);
    return s;
}

static void closed(uv_handle_t *handle)
{
    struct bw_socket *s = handle->data;
    close(s->fd);
    bw_free(s);
}

void bw_socket_destroy(struct bw_socket *s)
{
    if (s == NULL)
        return;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, closed);
}

struct bw_address bw_socket_address(const struct bw_socket *s)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct bw_address address = {0};
    if (getsockname(s->fd, (struct sockaddr *)&sa, &len) == 0)
        (void)bw_address_from_sockaddr(&sa, &address);
    return address;
}
