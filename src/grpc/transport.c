#include "grpc/transport.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "grpc/tls_internal.h"

void bw_transport_finish(struct bw_transport *transport)
{
    bw_tls_close(transport->ssl);
    if (transport->fd >= 0)
        close(transport->fd);
    *transport = (struct bw_transport){.fd = -1};
}

static enum bw_transport_result fail_errno(struct bw_error *err)
{
    (void)bw_fail(err, BW_UNAVAILABLE, NULL, "connection lost: %s", strerror(errno));
    return BW_TRANSPORT_FAILED;
}

static enum bw_transport_result tls_result(struct bw_transport *transport, int rc, struct bw_error *err)
{
    int saved = errno;
    switch (SSL_get_error(transport->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return BW_TRANSPORT_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return BW_TRANSPORT_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return BW_TRANSPORT_END;
    case SSL_ERROR_SYSCALL:
        if (saved != 0 && ERR_peek_error() == 0) {
            errno = saved;
            return fail_errno(err);
        }
        break;
    default:
        break;
    }
    char why[160];
    bw_tls_explain(transport->ssl, why, sizeof why);
    (void)bw_fail(err, BW_UNAVAILABLE, NULL, "%s", why);
    return BW_TRANSPORT_FAILED;
}

enum bw_transport_result bw_transport_handshake(struct bw_transport *transport, struct bw_error *err)
{
    if (transport->ssl == NULL)
        return BW_TRANSPORT_DONE;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(transport->ssl);
    return rc == 1 ? BW_TRANSPORT_DONE : tls_result(transport, rc, err);
}

enum bw_transport_result bw_transport_read(struct bw_transport *transport, uint8_t *data, size_t size,
                                           size_t *got, struct bw_error *err)
{
    if (transport->ssl != NULL) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_read(transport->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
        if (rc <= 0)
            return tls_result(transport, rc, err);
        *got = (size_t)rc;
        return BW_TRANSPORT_DONE;
    }
    for (;;) {
        ssize_t n = recv(transport->fd, data, size, 0);
        if (n > 0) {
            *got = (size_t)n;
            return BW_TRANSPORT_DONE;
        }
        if (n == 0)
            return BW_TRANSPORT_END;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return BW_TRANSPORT_WANT_READ;
        if (errno != EINTR)
            return fail_errno(err);
    }
}

enum bw_transport_result bw_transport_write(struct bw_transport *transport, const uint8_t *data, size_t size,
                                            size_t *put, struct bw_error *err)
{
    if (transport->ssl != NULL) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_write(transport->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
        if (rc <= 0)
            return tls_result(transport, rc, err);
        *put = (size_t)rc;
        return BW_TRANSPORT_DONE;
    }
    for (;;) {
        ssize_t n = send(transport->fd, data, size, MSG_NOSIGNAL);
        if (n >= 0) {
            *put = (size_t)n;
            return BW_TRANSPORT_DONE;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return BW_TRANSPORT_WANT_WRITE;
        if (errno != EINTR)
            return fail_errno(err);
    }
}

bool bw_transport_pending(const struct bw_transport *transport)
{
    return transport->ssl != NULL && SSL_has_pending(transport->ssl);
}

void bw_transport_shut(struct bw_transport *transport)
{
    if (transport->ssl != NULL && SSL_is_init_finished(transport->ssl)) {
        ERR_clear_error();
        SSL_shutdown(transport->ssl);
        ERR_clear_error();
    }
    shutdown(transport->fd, SHUT_WR);
}

bool bw_transport_discard(struct bw_transport *transport)
{
    uint8_t bytes[16384];
    /* Bounded, so that a peer that keeps sending holds up nobody; it is polled again. */
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(transport->fd, bytes, sizeof bytes, 0);
        if (n == 0)
            return true;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (n < 0 && errno != EINTR)
            return true;
    }
    return false;
}
