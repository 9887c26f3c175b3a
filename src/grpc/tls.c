#include "grpc/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "base/check.h"
#include "grpc/tls_internal.h"

struct bw_grpc_tls {
    _Atomic unsigned references;
    bool server;
    SSL_CTX *context;
    char *trust_domain, *server_name, *server_spiffe_id;
    bool server_name_is_address;
    pthread_mutex_t lock;
    SSL_SESSION *session; /* client: to resume with; under lock */
};

enum { TICKET_SECONDS = 300 };

static const char session_context[] = "bailiwick-grpc";
static const unsigned char h2_protocol[] = {2, 'h', '2'};

/* ---- creation ---- */

static enum bw_code fail_file(struct bw_error *err, const char *file, const char *what)
{
    unsigned long error = ERR_peek_last_error();
    enum bw_code code = BW_INVALID_ARGUMENT;
    const char *reason = ERR_reason_error_string(error);
    if (ERR_SYSTEM_ERROR(error)) {
        code = BW_FAILED_PRECONDITION;
        reason = strerror(ERR_GET_REASON(error));
    }
    /* "no such file" hides behind a second error in some loaders */
    unsigned long first = ERR_peek_error();
    if (ERR_SYSTEM_ERROR(first)) {
        code = BW_FAILED_PRECONDITION;
        reason = strerror(ERR_GET_REASON(first));
    }
    ERR_clear_error();
    return bw_fail(err, code, NULL, "%s: cannot use it as %s: %s", file, what,
                   reason ? reason : "not valid PEM");
}

static enum bw_code load_own(SSL_CTX *context, const struct bw_grpc_tls_config *config, struct bw_error *err)
{
    if (config->certificate_file == NULL)
        return BW_OK;
    if (config->key_file == NULL)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s: a certificate needs its key file as well",
                       config->certificate_file);
    if (SSL_CTX_use_certificate_chain_file(context, config->certificate_file) != 1)
        return fail_file(err, config->certificate_file, "certificate");
    if (SSL_CTX_use_PrivateKey_file(context, config->key_file, SSL_FILETYPE_PEM) != 1)
        return fail_file(err, config->key_file, "private key of the certificate");
    if (SSL_CTX_check_private_key(context) != 1)
        return fail_file(err, config->key_file, "private key of the certificate");
    return BW_OK;
}

static enum bw_code load_trusted(SSL_CTX *context, const struct bw_grpc_tls_config *config, bool server,
                                 struct bw_error *err)
{
    if (config->ca_file == NULL)
        return BW_OK;
    if (SSL_CTX_load_verify_file(context, config->ca_file) != 1)
        return fail_file(err, config->ca_file, "trusted CA");
    if (server) {
        /* The names tell browsers that none of their certificates is wanted. */
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(config->ca_file);
        if (names == NULL)
            return fail_file(err, config->ca_file, "trusted CA");
        SSL_CTX_set_client_CA_list(context, names);
    }
    if (config->crl_file == NULL)
        return BW_OK;
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (lookup == NULL || X509_load_crl_file(lookup, config->crl_file, X509_FILETYPE_PEM) < 1)
        return fail_file(err, config->crl_file, "revocation list");
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return BW_OK;
}

/* The chain as OpenSSL verifies it, then what it cannot know: our rules for identities. */
static int verify_peer(X509_STORE_CTX *store, void *argument)
{
    struct bw_grpc_tls *tls = argument;
    if (X509_verify_cert(store) != 1)
        return 0;
    if (!tls->server && tls->server_spiffe_id == NULL)
        return 1;
    char id[BW_SPIFFE_ID_MAX_BYTES + 1];
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (bw_identity_of(leaf, tls->trust_domain, id, NULL) != BW_OK ||
        (!tls->server && strcmp(id, tls->server_spiffe_id) != 0)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    return 1;
}

static int select_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                     unsigned in_len, void *argument)
{
    (void)ssl;
    (void)argument;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, h2_protocol, sizeof h2_protocol, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct bw_grpc_tls *tls = SSL_get_app_data(ssl);
    pthread_mutex_lock(&tls->lock);
    SSL_SESSION *old = tls->session;
    tls->session = session;
    pthread_mutex_unlock(&tls->lock);
    SSL_SESSION_free(old);
    return 1; /* the reference is ours */
}

static void set_common(SSL_CTX *context, const struct bw_grpc_tls_config *config)
{
    SSL_CTX_set_min_proto_version(context,
                                  config->minimum == BW_GRPC_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* TLS 1.2: only what RFC 9113 9.2.2 leaves. */
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_ciphersuites(context,
                             "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
    /* One read of the socket takes what is there rather than one record header, then its body. */
    SSL_CTX_set_read_ahead(context, 1);
}

static struct bw_grpc_tls *create(const struct bw_grpc_tls_config *config, bool server, struct bw_error *err)
{
    struct bw_grpc_tls *tls = bw_calloc(1, sizeof *tls);
    if (tls == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    atomic_init(&tls->references, 1);
    tls->server = server;
    pthread_mutex_init(&tls->lock, NULL);
    tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    bool copied = tls->context != NULL;
    if (config->trust_domain != NULL)
        copied &= (tls->trust_domain = bw_strdup(config->trust_domain)) != NULL;
    if (config->server_name != NULL)
        copied &= (tls->server_name = bw_strdup(config->server_name)) != NULL;
    if (config->server_spiffe_id != NULL)
        copied &= (tls->server_spiffe_id = bw_strdup(config->server_spiffe_id)) != NULL;
    enum bw_code code = copied ? BW_OK : bw_fail_memory(err);
    if (code == BW_OK) {
        set_common(tls->context, config);
        SSL_CTX_set_cert_verify_callback(tls->context, verify_peer, tls);
        code = load_own(tls->context, config, err);
    }
    if (code == BW_OK)
        code = load_trusted(tls->context, config, server, err);
    if (code != BW_OK) {
        bw_grpc_tls_release(tls);
        return NULL;
    }
    return tls;
}

struct bw_grpc_tls *bw_grpc_tls_create_server(const struct bw_grpc_tls_config *config, struct bw_error *err)
{
    if (config->certificate_file == NULL) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a TLS server needs a certificate file");
        return NULL;
    }
    if (config->require_client_certificate && config->ca_file == NULL) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                      "requiring client certificates needs a CA file to check them");
        return NULL;
    }
    struct bw_grpc_tls *tls = create(config, true, err);
    if (tls == NULL)
        return NULL;
    int mode = SSL_VERIFY_NONE;
    if (config->ca_file != NULL)
        mode = SSL_VERIFY_PEER | (config->require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(tls->context, mode, NULL);
    SSL_CTX_set_alpn_select_cb(tls->context, select_h2, NULL);
    /* Stateless tickets: nothing kept here, and all workers that share this context accept them. */
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(tls->context, (const unsigned char *)session_context,
                                   sizeof session_context - 1);
    SSL_CTX_set_num_tickets(tls->context, 1);
    SSL_CTX_set_timeout(tls->context, TICKET_SECONDS);
    return tls;
}

struct bw_grpc_tls *bw_grpc_tls_create_client(const struct bw_grpc_tls_config *config, struct bw_error *err)
{
    if (config->ca_file == NULL) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                      "a TLS client needs a CA file to check the server with");
        return NULL;
    }
    if (config->server_name == NULL && config->server_spiffe_id == NULL) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                      "a TLS client needs the server's name or SPIFFE id to check");
        return NULL;
    }
    if (config->server_spiffe_id != NULL && !bw_spiffe_id_valid(bw_view_str(config->server_spiffe_id))) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                      "server SPIFFE id \"%s\" is not of the form spiffe://domain/path",
                      config->server_spiffe_id);
        return NULL;
    }
    struct bw_grpc_tls *tls = create(config, false, err);
    if (tls == NULL)
        return NULL;
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_alpn_protos(tls->context, h2_protocol, sizeof h2_protocol) != 0) {
        bw_grpc_tls_release(tls);
        (void)bw_fail_memory(err);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->context, keep_session);
    if (tls->server_name != NULL) {
        ASN1_OCTET_STRING *address = a2i_IPADDRESS(tls->server_name);
        tls->server_name_is_address = address != NULL;
        ASN1_OCTET_STRING_free(address);
    }
    ERR_clear_error();
    return tls;
}

struct bw_grpc_tls *bw_grpc_tls_hold(struct bw_grpc_tls *tls)
{
    atomic_fetch_add_explicit(&tls->references, 1, memory_order_relaxed);
    return tls;
}

void bw_grpc_tls_release(struct bw_grpc_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_SESSION_free(tls->session);
    SSL_CTX_free(tls->context);
    pthread_mutex_destroy(&tls->lock);
    bw_free(tls->trust_domain);
    bw_free(tls->server_name);
    bw_free(tls->server_spiffe_id);
    bw_free(tls);
}

/* ---- connections ---- */

static bool prepare_client(struct bw_grpc_tls *tls, SSL *ssl)
{
    SSL_set_connect_state(ssl);
    if (tls->server_name != NULL && tls->server_name_is_address) {
        if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), tls->server_name) != 1)
            return false;
    } else if (tls->server_name != NULL) {
        if (SSL_set1_host(ssl, tls->server_name) != 1 || SSL_set_tlsext_host_name(ssl, tls->server_name) != 1)
            return false;
    }
    pthread_mutex_lock(&tls->lock);
    /* Tickets are for one use (RFC 8446 C.4). */
    SSL_SESSION *session = tls->session;
    tls->session = NULL;
    pthread_mutex_unlock(&tls->lock);
    if (session != NULL)
        SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
    return true;
}

SSL *bw_tls_open(struct bw_grpc_tls *tls, int fd)
{
    SSL *ssl = SSL_new(tls->context);
    if (ssl == NULL)
        return NULL;
    bool ready = SSL_set_fd(ssl, fd) == 1 && SSL_set_app_data(ssl, tls) == 1;
    if (ready && tls->server)
        SSL_set_accept_state(ssl);
    else if (ready)
        ready = prepare_client(tls, ssl);
    if (!ready) {
        SSL_free(ssl);
        return NULL;
    }
    bw_grpc_tls_hold(tls);
    return ssl;
}

void bw_tls_close(SSL *ssl)
{
    if (ssl == NULL)
        return;
    struct bw_grpc_tls *tls = SSL_get_app_data(ssl);
    SSL_free(ssl);
    bw_grpc_tls_release(tls);
}

enum bw_code bw_tls_check_peer(SSL *ssl, char spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1], struct bw_error *err)
{
    const struct bw_grpc_tls *tls = SSL_get_app_data(ssl);
    const unsigned char *protocol;
    unsigned protocol_len;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_len);
    if (protocol_len != 2 || memcmp(protocol, "h2", 2) != 0)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "the peer does not offer HTTP/2 (ALPN h2)");
    spiffe_id[0] = '\0';
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL)
        return tls->server ? BW_OK : bw_fail(err, BW_UNAUTHENTICATED, NULL, "the server has no certificate");
    /* A resumed session is not verified again, and its certificate may have run out meanwhile. */
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return bw_fail(err, BW_UNAUTHENTICATED, NULL, "the peer's certificate has expired");
    char id[BW_SPIFFE_ID_MAX_BYTES + 1];
    enum bw_code code = bw_identity_of(certificate, tls->trust_domain, id, err);
    if (code == BW_OK)
        memcpy(spiffe_id, id, sizeof id);
    /* A server found by its DNS name need not have a SPIFFE id. */
    bool required = tls->server || tls->server_spiffe_id != NULL;
    return required ? code : BW_OK;
}

/* What the peer said of our certificate when it refused the handshake; NULL when it spoke of something else.
 */
static const char *refused_certificate(unsigned long error)
{
    switch (ERR_GET_REASON(error)) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "our certificate was not issued by an authority that it trusts";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "our certificate has expired or is not valid yet";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return "our certificate has been revoked";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "it wants a certificate and we gave none";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return "it does not accept our certificate";
    default:
        return NULL;
    }
}

void bw_tls_explain(SSL *ssl, char *text, size_t size)
{
    unsigned long error = ERR_peek_error();
    long verify = SSL_get_verify_result(ssl);
    if (verify == X509_V_ERR_APPLICATION_VERIFICATION)
        snprintf(text, size, "the peer's certificate does not carry the identity it must");
    else if (verify != X509_V_OK)
        snprintf(text, size, "the peer's certificate is refused: %s", X509_verify_cert_error_string(verify));
    else if (error != 0 && ERR_GET_LIB(error) == ERR_LIB_SSL && refused_certificate(error) != NULL)
        snprintf(text, size, "the peer refused us: %s", refused_certificate(error));
    else if (error != 0 && ERR_reason_error_string(error) != NULL)
        snprintf(text, size, "TLS: %s", ERR_reason_error_string(error));
    else
        snprintf(text, size, "TLS: connection lost");
    ERR_clear_error();
}
