#include "relay/status.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "base/alloc.h"

enum { BACKLOG = 8, ASK_TIMEOUT_S = 5, ANSWER_MAX = 64 << 20 };

struct bw_status_server {
    uv_pipe_t pipe;
    struct bw_loop *loop;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    void (*render)(void *context, struct bw_buf *out);
    void *context;
};

struct answer {
    uv_pipe_t pipe;
    uv_write_t write;
    struct bw_buf text;
};

static void answer_closed(uv_handle_t *handle)
{
    struct answer *answer = handle->data;
    bw_buf_finish(&answer->text);
    bw_free(answer);
}

static void written(uv_write_t *write, int status)
{
    (void)status; /* who asked and did not wait does not need it */
    struct answer *answer = write->data;
    if (!uv_is_closing((uv_handle_t *)&answer->pipe))
        uv_close((uv_handle_t *)&answer->pipe, answer_closed);
}

static void asked(uv_stream_t *stream, int status)
{
    struct bw_status_server *server = stream->data;
    struct answer *answer = status == 0 ? bw_calloc(1, sizeof *answer) : NULL;
    if (answer == NULL)
        return;
    uv_pipe_init(bw_loop_uv(server->loop), &answer->pipe, 0);
    answer->pipe.data = answer->write.data = answer;
    if (uv_accept(stream, (uv_stream_t *)&answer->pipe) == 0)
        server->render(server->context, &answer->text);
    uv_buf_t buf = uv_buf_init((char *)answer->text.data, (unsigned)answer->text.len);
    if (answer->text.failed || answer->text.len == 0 ||
        uv_write(&answer->write, (uv_stream_t *)&answer->pipe, &buf, 1, written) != 0)
        uv_close((uv_handle_t *)&answer->pipe, answer_closed);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void server_closed(uv_handle_t *handle)
{
    bw_free(handle->data);
}

struct bw_status_server *bw_status_server_create(struct bw_loop *loop, const char *path,
                                                 void (*render)(void *context, struct bw_buf *out),
                                                 void *context, struct bw_error *err)
{
    struct bw_status_server *server = bw_calloc(1, sizeof *server);
    size_t len = strlen(path);
    if (server == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    if (len >= sizeof server->path) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL, "status.socket: %s: the path is too long", path);
        bw_free(server);
        return NULL;
    }
    memcpy(server->path, path, len + 1);
    server->loop = loop;
    server->render = render;
    server->context = context;
    int other = connect_to(path);
    if (other >= 0) {
        close(other);
        (void)bw_fail(err, BW_FAILED_PRECONDITION, NULL, "status.socket: %s: another relay answers there",
                      path);
        bw_free(server);
        return NULL;
    }
    if (errno == ECONNREFUSED)
        unlink(path); /* left behind by one that was killed */
    uv_pipe_init(bw_loop_uv(loop), &server->pipe, 0);
    server->pipe.data = server;
    mode_t before = umask(0177);
    int code = uv_pipe_bind(&server->pipe, path);
    umask(before);
    if (code == 0)
        code = uv_listen((uv_stream_t *)&server->pipe, BACKLOG, asked);
    if (code != 0) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "status.socket: %s: %s", path, uv_strerror(code));
        uv_close((uv_handle_t *)&server->pipe, server_closed);
        return NULL;
    }
    return server;
}

void bw_status_server_destroy(struct bw_status_server *server)
{
    if (server == NULL)
        return;
    unlink(server->path);
    uv_close((uv_handle_t *)&server->pipe, server_closed);
}

enum bw_code bw_status_ask(const char *path, struct bw_buf *out, struct bw_error *err)
{
    int fd = connect_to(path);
    if (fd < 0)
        return bw_fail(err, BW_UNAVAILABLE, NULL, "no relay answers on %s: %s", path, strerror(errno));
    struct timeval timeout = {.tv_sec = ASK_TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0 && out->len < ANSWER_MAX)
        bw_buf_append(out, chunk, (size_t)n);
    int error = errno;
    close(fd);
    if (n < 0)
        return bw_fail(err, BW_UNAVAILABLE, NULL, "the relay on %s does not answer: %s", path,
                       strerror(error));
    return out->failed ? bw_fail_memory(err) : BW_OK;
}
