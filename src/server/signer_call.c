#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "runtime/clock.h"
#include "server/signer_client.h"

/* Waits until the socket can be read or written; false when the time is up. */
static bool wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = bw_clock_mono_ms();
        if (now_ms >= deadline_ms)
            return false;
        struct pollfd polled = {.fd = fd, .events = events};
        int n = poll(&polled, 1, (int)(deadline_ms - now_ms));
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static enum bw_code fail_away(struct bw_error *err)
{
    return bw_fail(err, BW_UNAVAILABLE, NULL, "the signer is away; look in the log for why it ended");
}

static enum bw_code send_all(int fd, struct bw_buf *out, uint64_t deadline_ms, struct bw_error *err)
{
    while (out->len > 0) {
        if (!wait_for(fd, POLLOUT, deadline_ms))
            return bw_fail(err, BW_DEADLINE_EXCEEDED, NULL, "the signer did not take the request in time");
        ssize_t n = send(fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            bw_buf_consume(out, (size_t)n);
        else if (errno != EAGAIN && errno != EINTR)
            return fail_away(err);
    }
    return BW_OK;
}

static enum bw_code receive(int fd, struct bw_buf *storage, struct bw_view *frame, uint64_t deadline_ms,
                            struct bw_error *err)
{
    enum { CHUNK = 4096 };
    size_t taken;
    for (;;) {
        enum bw_signer_split split = bw_signer_split(bw_buf_view(storage), frame, &taken);
        if (split == BW_SIGNER_WHOLE && taken == storage->len)
            return BW_OK;
        if (split != BW_SIGNER_MORE)
            return bw_fail(err, BW_INTERNAL, NULL, "the signer's answer is malformed");
        if (!wait_for(fd, POLLIN, deadline_ms))
            return bw_fail(err, BW_DEADLINE_EXCEEDED, NULL, "the signer did not answer in time");
        if (!bw_buf_reserve(storage, CHUNK))
            return bw_fail_memory(err);
        ssize_t n = recv(fd, storage->data + storage->len, CHUNK, MSG_DONTWAIT);
        if (n > 0)
            storage->len += (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return fail_away(err);
    }
}

enum bw_code bw_signer_call(int fd, const struct bw_signer_request *request, int timeout_ms,
                            struct bw_buf *storage, struct bw_signer_reply *reply, struct bw_error *err)
{
    uint64_t deadline_ms = bw_clock_mono_ms() + (uint64_t)timeout_ms;
    struct bw_view frame;
    struct bw_signer_reply got;
    bw_buf_clear(storage);
    bw_signer_encode_request(request, storage);
    if (storage->failed)
        return bw_fail_memory(err);
    enum bw_code code = send_all(fd, storage, deadline_ms, err);
    if (code == BW_OK)
        code = receive(fd, storage, &frame, deadline_ms, err);
    if (code != BW_OK)
        return code;
    if (!bw_signer_decode_reply(frame, &got) || got.id != request->id ||
        (got.type != BW_SIGNER_FAILED && got.type != (enum bw_signer_type)(request->type | 0x80)))
        return bw_fail(err, BW_INTERNAL, NULL, "the signer's answer is malformed");
    if (got.type == BW_SIGNER_FAILED)
        return bw_fail(err, got.code, NULL, "%.*s", (int)got.text.len, (const char *)got.text.data);
    *reply = got;
    return BW_OK;
}
