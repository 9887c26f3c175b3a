#include "raw.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/clock.h"

void raw_connect(struct raw *raw, struct rig *rig)
{
    memset(raw, 0, sizeof *raw);
    raw->rig = rig;
    assert_int_equal(nghttp2_hd_deflate_new(&raw->deflater, 4096), 0);
    assert_int_equal(nghttp2_hd_inflate_new(&raw->inflater), 0);
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(bw_grpc_server_port(rig->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(raw->fd, (const struct sockaddr *)&address, sizeof address), 0);
}

void raw_open(struct raw *raw, struct rig *rig)
{
    raw_connect(raw, rig);
    bw_buf_append_str(&raw->out, NGHTTP2_CLIENT_MAGIC);
    raw_frame(raw, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

void raw_close(struct raw *raw)
{
    close(raw->fd);
    bw_buf_finish(&raw->out);
    bw_buf_finish(&raw->in);
    nghttp2_hd_deflate_del(raw->deflater);
    nghttp2_hd_inflate_del(raw->inflater);
}

void raw_frame(struct raw *raw, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    bw_buf_append_u8(&raw->out, (uint8_t)(len >> 16));
    bw_buf_append_u16(&raw->out, (uint16_t)len);
    bw_buf_append_u8(&raw->out, type);
    bw_buf_append_u8(&raw->out, flags);
    bw_buf_append_u32(&raw->out, stream);
    bw_buf_append(&raw->out, payload, len);
}

static nghttp2_nv field(const char *name, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } n = {.in = name}, v = {.in = value};
    return (nghttp2_nv){n.out, v.out, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

void raw_headers(struct raw *raw, uint32_t stream, const char *path, uint8_t flags, const char *const *extra)
{
    nghttp2_nv nv[64];
    size_t n = 0;
    bool typed = false;
    nv[n++] = field(":method", "POST");
    nv[n++] = field(":scheme", "http");
    nv[n++] = field(":path", path);
    nv[n++] = field(":authority", "localhost");
    for (; extra != NULL && extra[0] != NULL; extra += 2) {
        nv[n++] = field(extra[0], extra[1]);
        typed |= strcmp(extra[0], "content-type") == 0;
    }
    if (!typed)
        nv[n++] = field("content-type", "application/grpc");
    uint8_t block[32768];
    ssize_t len = nghttp2_hd_deflate_hd(raw->deflater, block, sizeof block, nv, n);
    assert_true(len > 0);
    raw_frame(raw, NGHTTP2_HEADERS, flags, stream, block, (size_t)len);
}

void raw_message(struct raw *raw, uint32_t stream, const char *message, uint8_t flags)
{
    uint8_t framed[1024] = {0};
    size_t len = strlen(message);
    framed[3] = (uint8_t)(len >> 8);
    framed[4] = (uint8_t)len;
    memcpy(framed + 5, message, len);
    raw_frame(raw, NGHTTP2_DATA, flags, stream, framed, len + 5);
}

void raw_reset(struct raw *raw, uint32_t stream)
{
    raw_frame(raw, NGHTTP2_RST_STREAM, 0, stream, "\0\0\0\x08", 4);
}

static void inflate_headers(struct raw *raw, struct bw_view block)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(raw->inflater, &nv, &flags, block.data, block.len, 1);
        assert_true(used >= 0);
        block.data += used;
        block.len -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            size_t at = strlen(raw->text);
            snprintf(raw->text + at, sizeof raw->text - at, "%s: %s\n", (const char *)nv.name,
                     (const char *)nv.value);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(raw->inflater);
            return;
        }
    }
}

static void take_frame(struct raw *raw, uint8_t type, uint8_t flags, struct bw_view payload)
{
    struct bw_reader r = bw_reader_of(payload);
    switch (type) {
    case NGHTTP2_HEADERS:
        raw->headers++;
        inflate_headers(raw, payload);
        break;
    case NGHTTP2_DATA:
        raw->data_bytes += (unsigned)payload.len;
        break;
    case NGHTTP2_RST_STREAM:
        raw->resets++;
        raw->last_reset = bw_read_u32(&r);
        break;
    case NGHTTP2_PING:
        raw->ping_acks += (flags & NGHTTP2_FLAG_ACK) != 0;
        break;
    case NGHTTP2_SETTINGS:
        raw->settings_acks += (flags & NGHTTP2_FLAG_ACK) != 0;
        break;
    case NGHTTP2_GOAWAY:
        raw->goaway = true;
        (void)bw_read_u32(&r);
        raw->goaway_error = bw_read_u32(&r);
        snprintf(raw->goaway_text, sizeof raw->goaway_text, "%.*s", (int)bw_reader_left(&r),
                 (const char *)r.p);
        break;
    default:
        break;
    }
}

static void receive(struct raw *raw)
{
    uint8_t bytes[65536];
    ssize_t n;
    while (!raw->closed && (n = recv(raw->fd, bytes, sizeof bytes, MSG_DONTWAIT)) != -1) {
        if (n == 0)
            raw->closed = true;
        bw_buf_append(&raw->in, bytes, (size_t)n);
    }
    if (!raw->closed && errno != EAGAIN)
        raw->closed = true;
    size_t at = 0;
    while (raw->in.len - at >= 9) {
        const uint8_t *head = raw->in.data + at;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (raw->in.len - at < 9 + len)
            break;
        take_frame(raw, head[3], head[4], bw_view_of(head + 9, len));
        at += 9 + len;
    }
    bw_buf_consume(&raw->in, at);
}

static void send_all(struct raw *raw, bool read_too)
{
    size_t at = 0;
    uint64_t until = bw_clock_mono_ms() + 10000;
    while (at < raw->out.len && !raw->closed && bw_clock_mono_ms() < until) {
        ssize_t n = send(raw->fd, raw->out.data + at, raw->out.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        at += n > 0 ? (size_t)n : 0;
        rig_turn(raw->rig);
        if (read_too)
            receive(raw);
    }
    bw_buf_clear(&raw->out);
}

void raw_flush(struct raw *raw)
{
    send_all(raw, true);
}

void raw_flush_deaf(struct raw *raw)
{
    send_all(raw, false);
}

void raw_until(struct raw *raw, const bool *flag)
{
    raw_flush(raw);
    uint64_t until = bw_clock_mono_ms() + 10000;
    while (!*flag && bw_clock_mono_ms() < until) {
        rig_turn(raw->rig);
        receive(raw);
    }
    assert_true(*flag);
}

void raw_until_count(struct raw *raw, const unsigned *count, unsigned n)
{
    raw_flush(raw);
    uint64_t until = bw_clock_mono_ms() + 10000;
    while (*count < n && bw_clock_mono_ms() < until) {
        rig_turn(raw->rig);
        receive(raw);
    }
    assert_true(*count >= n);
}

void raw_read_ms(struct raw *raw, uint64_t ms)
{
    raw_flush(raw);
    uint64_t until = bw_clock_mono_ms() + ms;
    while (bw_clock_mono_ms() < until) {
        rig_turn(raw->rig);
        receive(raw);
    }
}
