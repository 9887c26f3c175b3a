#include "server/signer_main.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/secret.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/signer_core.h"

enum {
    SECURE_HEAP_BYTES = 64 * 1024,
    READ_BYTES = 64 * 1024,
    OUTPUT_MAX = 1024 * 1024, /* a daemon that does not read its answers is cut off */
    USAGE = 2,
};

struct options {
    const char *keys[BW_SIGNER_KEYS_MAX];
    size_t key_count;
    const char *ca_certificate, *ca_key, *trust_domain;
};

struct line {
    int fd; /* -1: closed */
    struct bw_buf in, out;
};

struct signer {
    struct bw_signer_core *core;
    struct line lines[BW_CHILD_MAX_FDS];
    size_t line_count;
};

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"key", required_argument, NULL, 'k'},    {"ca-cert", required_argument, NULL, 'c'},
        {"ca-key", required_argument, NULL, 'p'}, {"trust-domain", required_argument, NULL, 't'},
        {"log-json", no_argument, NULL, 'j'},     {NULL, 0, NULL, 0},
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'k':
            if (options->key_count == BW_SIGNER_KEYS_MAX)
                return false;
            options->keys[options->key_count++] = optarg;
            break;
        case 'c':
            options->ca_certificate = optarg;
            break;
        case 'p':
            options->ca_key = optarg;
            break;
        case 't':
            options->trust_domain = optarg;
            break;
        case 'j':
            bw_log_configure(BW_LOG_INFO, true);
            break;
        default:
            return false;
        }
    }
    bool any_ca = options->ca_certificate || options->ca_key || options->trust_domain;
    bool whole_ca = options->ca_certificate && options->ca_key && options->trust_domain;
    return optind == argc && options->key_count > 0 && any_ca == whole_ca;
}

/* Before any key is read: nobody may attach to this process, and nothing of it reaches a core file. */
static bool harden(void)
{
    const struct rlimit no_core = {0, 0};
    return prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           setrlimit(RLIMIT_CORE, &no_core) == 0 && CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, 32) >= 1;
}

static enum bw_code load_key(struct bw_signer_core *core, const char *path, struct bw_error *err)
{
    struct bw_buf pem = {0};
    uint8_t seed[BW_ED25519_SEED_SIZE];
    enum bw_code code = bw_file_read_secret(path, BW_PEM_MAX, &pem, err);
    if (code == BW_OK)
        code = bw_pem_read_ed25519_seed(bw_buf_view(&pem), path, seed, err);
    bw_pem_finish_secret(&pem);
    if (code == BW_OK)
        code = bw_signer_core_add_key(core, seed, err);
    bw_wipe(seed, sizeof seed);
    return code;
}

static enum bw_code load_ca(struct bw_signer_core *core, const struct options *options, struct bw_error *err)
{
    struct bw_buf pem = {0};
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    enum bw_code code = bw_file_read(options->ca_certificate, BW_PEM_MAX, &pem, err);
    if (code == BW_OK)
        code = bw_pem_read_certificate(bw_buf_view(&pem), options->ca_certificate, &certificate, err);
    bw_buf_finish(&pem);
    if (code == BW_OK)
        code = bw_file_read_secret(options->ca_key, BW_PEM_MAX, &pem, err);
    if (code == BW_OK)
        code = bw_pem_read_private_key(bw_buf_view(&pem), options->ca_key, &key, err);
    bw_pem_finish_secret(&pem);
    if (code != BW_OK) {
        bw_pki_certificate_destroy(certificate);
        return code;
    }
    return bw_signer_core_set_ca(core, certificate, key, options->trust_domain, bw_clock_wall_ms(),
                                 options->ca_certificate, options->ca_key, err);
}

static enum bw_code load(struct bw_signer_core *core, const struct options *options, struct bw_error *err)
{
    for (size_t i = 0; i < options->key_count; i++) {
        enum bw_code code = load_key(core, options->keys[i], err);
        if (code != BW_OK)
            return code;
    }
    return options->ca_key != NULL ? load_ca(core, options, err) : BW_OK;
}

/* OpenSSL loads what it needs at the first use of each algorithm: use them once while files may be opened. */
static bool rehearse(struct bw_signer_core *core)
{
    const struct bw_signer_request root = {.type = BW_SIGNER_SIGN_ROOT, .leaves = 1};
    struct bw_buf out = {0};
    struct bw_view frame;
    struct bw_signer_reply reply;
    size_t taken;
    uint8_t serial[BW_PKI_SERIAL_SIZE] = {0};
    bool ok = bw_signer_core_answer(core, &root, 0, serial, &out) &&
              bw_signer_split(bw_buf_view(&out), &frame, &taken) == BW_SIGNER_WHOLE &&
              bw_signer_decode_reply(frame, &reply) && reply.type == BW_SIGNER_SIGNED;
    bw_buf_finish(&out);
    return ok;
}

/* No further file or socket can be opened from here on. */
static bool seal_descriptors(size_t in_use)
{
    const struct rlimit files = {in_use, in_use};
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static size_t find_lines(struct signer *signer)
{
    struct stat info;
    int fd = BW_CHILD_FIRST_FD;
    while (signer->line_count < BW_CHILD_MAX_FDS && fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) {
        if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
            break;
        signer->lines[signer->line_count++].fd = fd++;
    }
    return signer->line_count;
}

static void hang_up(struct line *line, const char *why)
{
    if (why != NULL)
        bw_log(BW_LOG_ERROR, "signer_line_closed", "why=\"%s\"", why);
    close(line->fd);
    line->fd = -1;
    bw_buf_finish(&line->in);
    bw_buf_finish(&line->out);
}

static void answer_all(struct signer *signer, struct line *line)
{
    struct bw_view frame;
    size_t taken, done = 0;
    for (;;) {
        struct bw_view rest = bw_view_of(line->in.data + done, line->in.len - done);
        enum bw_signer_split split = bw_signer_split(rest, &frame, &taken);
        if (split == BW_SIGNER_MORE)
            break;
        struct bw_signer_request request;
        if (split == BW_SIGNER_BAD || !bw_signer_decode_request(frame, &request)) {
            hang_up(line, "not a request of the signer's protocol");
            return;
        }
        uint8_t serial[BW_PKI_SERIAL_SIZE];
        bw_random_bytes(serial, sizeof serial);
        if (!bw_signer_core_answer(signer->core, &request, bw_clock_wall_ms(), serial, &line->out) ||
            line->out.len > OUTPUT_MAX) {
            hang_up(line, "answers pile up");
            return;
        }
        done += taken;
    }
    bw_buf_consume(&line->in, done);
}

static void read_line(struct signer *signer, struct line *line)
{
    if (!bw_buf_reserve(&line->in, READ_BYTES)) {
        hang_up(line, "out of memory");
        return;
    }
    ssize_t n = recv(line->fd, line->in.data + line->in.len, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hang_up(line, NULL); /* the daemon is done with it, or gone */
        return;
    }
    line->in.len += (size_t)n;
    answer_all(signer, line);
}

static void write_line(struct line *line)
{
    ssize_t n = send(line->fd, line->out.data, line->out.len, MSG_NOSIGNAL);
    if (n >= 0)
        bw_buf_consume(&line->out, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        hang_up(line, NULL);
}

static size_t open_lines(const struct signer *signer)
{
    size_t open = 0;
    for (size_t i = 0; i < signer->line_count; i++)
        open += signer->lines[i].fd >= 0;
    return open;
}

static void serve(struct signer *signer)
{
    struct pollfd polled[BW_CHILD_MAX_FDS];
    while (open_lines(signer) > 0) {
        for (size_t i = 0; i < signer->line_count; i++) {
            const struct line *line = &signer->lines[i];
            polled[i].fd = line->fd; /* poll ignores -1 */
            polled[i].events = (short)(POLLIN | (line->out.len > 0 ? POLLOUT : 0));
            polled[i].revents = 0;
        }
        if (poll(polled, signer->line_count, -1) < 0 && errno != EINTR) {
            bw_log(BW_LOG_ERROR, "signer_poll_failed", "error=\"%s\"", strerror(errno));
            return;
        }
        for (size_t i = 0; i < signer->line_count; i++) {
            struct line *line = &signer->lines[i];
            if (line->fd >= 0 && (polled[i].revents & (POLLIN | POLLHUP | POLLERR)))
                read_line(signer, line);
            if (line->fd >= 0 && line->out.len > 0)
                write_line(line);
        }
    }
}

static int run(struct signer *signer, const struct options *options)
{
    struct bw_error err;
    enum bw_code code = bw_signer_core_create(&signer->core, &err);
    if (code == BW_OK)
        code = load(signer->core, options, &err);
    if (code != BW_OK) {
        bw_log(BW_LOG_ERROR, "signer_cannot_start", "error=\"%s\"", err.show);
        return EX_CONFIG;
    }
    if (!rehearse(signer->core) || chdir("/") != 0 ||
        !seal_descriptors(BW_CHILD_FIRST_FD + signer->line_count)) {
        bw_log(BW_LOG_ERROR, "signer_cannot_start", "error=\"cannot give up what it does not need\"");
        return EX_OSERR;
    }
    bw_log(BW_LOG_INFO, "signer_ready", "keys=%zu issues_certificates=%s lines=%zu", options->key_count,
           options->ca_key != NULL ? "true" : "false", signer->line_count);
    serve(signer);
    return 0;
}

int bw_signer_main(int argc, char **argv)
{
    static struct signer signer; /* one a process, and too large for a stack */
    struct options options = {0};
    if (!parse_options(argc, argv, &options)) {
        bw_log(
            BW_LOG_ERROR, "signer_cannot_start",
            "error=\"usage: signer --key FILE... [--ca-cert FILE --ca-key FILE --trust-domain NAME]; it is "
            "started by serve, not by hand\"");
        return USAGE;
    }
    if (find_lines(&signer) == 0) {
        bw_log(BW_LOG_ERROR, "signer_cannot_start",
               "error=\"no socket at descriptor 3; the signer is started by serve, not by hand\"");
        return USAGE;
    }
    if (!harden()) {
        bw_log(BW_LOG_ERROR, "signer_cannot_start", "error=\"cannot protect its memory: %s\"",
               strerror(errno));
        return EX_OSERR;
    }
    int status = run(&signer, &options);
    for (size_t i = 0; i < signer.line_count; i++) {
        if (signer.lines[i].fd >= 0)
            hang_up(&signer.lines[i], NULL);
    }
    bw_signer_core_destroy(signer.core);
    return status;
}
