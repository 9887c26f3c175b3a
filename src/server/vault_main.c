#include "server/vault_main.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/secret.h"
#include "crypto/pem.h"
#include "crypto/secure.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/vault_db.h"
#include "vault/keyring.h"

enum {
    SECURE_HEAP_BYTES = 1 << 20,
    READ_BYTES = 64 * 1024,
    PROBE_MS = 60000,
    PROBE_AGAIN_MS = 3000, /* while something is wrong */
    /* Of a serving process that asks and does not read: it is not there any more, or broken. */
    SEND_WAIT_MS = 30000,
    DESCRIPTORS = 32, /* the socket, the database, a file at a time */
    DECISION_ARENA_BYTES = 16 << 20,
    USAGE = 2,
};

struct vault {
    struct bw_vault_db db; /* first: the ports of the database want it there */
    const struct bw_daemon_config *config;
    struct bw_vault_core *core;
    struct bw_buf in;
    enum bw_provider_state told;
    bool told_any;
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE]; /* of the service key in use */
    bool misfit;                                    /* it was not the pinned one when last looked */
};

/* Before any key is read: nobody may attach to this process, and nothing of it reaches a core file. */
static bool harden(bool *locked)
{
    struct bw_error err;
    const struct rlimit no_core = {0, 0}, files = {DESCRIPTORS, DESCRIPTORS};
    return prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           setrlimit(RLIMIT_CORE, &no_core) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0 &&
           bw_secure_start(SECURE_HEAP_BYTES, locked, &err) == BW_OK;
}

static uint64_t wall_ms(void *context)
{
    (void)context;
    return bw_clock_wall_ms();
}

static void random_bytes(void *context, void *out, size_t n)
{
    (void)context;
    bw_random_bytes(out, n);
}

static bool send_frames(void *context, struct bw_buf *frames)
{
    (void)context;
    while (!frames->failed && frames->len > 0) {
        ssize_t n = send(BW_CHILD_FIRST_FD, frames->data, frames->len, MSG_NOSIGNAL);
        if (n > 0) {
            bw_buf_consume(frames, (size_t)n);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        struct pollfd room = {.fd = BW_CHILD_FIRST_FD, .events = POLLOUT};
        if (n < 0 && errno == EAGAIN && poll(&room, 1, SEND_WAIT_MS) > 0)
            continue;
        return false;
    }
    return !frames->failed;
}

/* What a service key signs that is not the pinned one, nobody would seal with. */
static bool pinned_is(const struct vault *vault, const uint8_t service_public[BW_ED25519_PUBLIC_SIZE])
{
    const char *path = vault->config->vault_service_public;
    uint8_t pinned[BW_ED25519_PUBLIC_SIZE];
    struct bw_buf pem = {0};
    struct bw_error err;
    bool same = bw_file_read(path, BW_PEM_MAX, &pem, &err) == BW_OK &&
                bw_pem_read_ed25519_public(bw_buf_view(&pem), path, pinned, &err) == BW_OK &&
                memcmp(pinned, service_public, sizeof pinned) == 0;
    bw_buf_finish(&pem);
    return same;
}

static enum bw_code read_service_key(const struct vault *vault, uint8_t seed[BW_ED25519_SEED_SIZE],
                                     uint8_t service_public[BW_ED25519_PUBLIC_SIZE], struct bw_error *err)
{
    const char *path = vault->config->vault_service_key;
    struct bw_buf pem = {0};
    enum bw_code code = bw_file_read_secret(path, BW_PEM_MAX, &pem, err);
    if (code == BW_OK)
        code = bw_pem_read_ed25519_seed(bw_buf_view(&pem), path, seed, err);
    if (pem.data != NULL)
        bw_wipe(pem.data, pem.cap);
    bw_buf_finish(&pem);
    struct bw_ed25519_signer *signer = NULL;
    if (code == BW_OK)
        code = bw_ed25519_signer_create(seed, &signer, err);
    if (code == BW_OK)
        bw_ed25519_signer_public(signer, service_public);
    bw_ed25519_signer_destroy(signer);
    return code;
}

/* The key in use stays the one that was read at the start; when the files fit again, another process reads
 * them. */
static bool mended(const struct vault *vault)
{
    uint8_t seed[BW_ED25519_SEED_SIZE], service_public[BW_ED25519_PUBLIC_SIZE];
    struct bw_error err;
    bool fits = vault->misfit && read_service_key(vault, seed, service_public, &err) == BW_OK &&
                pinned_is(vault, service_public);
    bw_wipe(seed, sizeof seed);
    return fits;
}

static enum bw_provider_state open_provider(void *context, struct bw_provider **out, struct bw_error *err)
{
    struct vault *vault = context;
    const struct bw_daemon_config *config = vault->config;
    /* A session of the database goes on as it began, without rights that its user was given meanwhile. */
    bw_store_db_close(vault->db.db);
    vault->db.db = NULL;
    vault->misfit = !pinned_is(vault, vault->service_public);
    if (!vault->misfit)
        return bw_keyring_open(config->vault_keyring, out, err);
    (void)bw_fail(err, BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE",
                  "%s is not the public half of %s: put the right one back", config->vault_service_public,
                  config->vault_service_key);
    return BW_PROVIDER_CONFIG;
}

static enum bw_code create_core(struct vault *vault, struct bw_error *err)
{
    struct bw_vault_core_config core = {.cell = vault->config->cell,
                                        .ports = {.context = vault,
                                                  .wall_ms = wall_ms,
                                                  .random = random_bytes,
                                                  .send = send_frames,
                                                  .open_provider = open_provider}};
    bw_vault_db_ports(&core.ports);
    enum bw_code code = read_service_key(vault, core.service_seed, vault->service_public, err);
    if (code == BW_OK)
        code = bw_vault_core_create(&core, &vault->core, err);
    bw_wipe(core.service_seed, sizeof core.service_seed);
    return code;
}

static void tell_state(struct vault *vault)
{
    enum bw_provider_state state = bw_vault_core_state(vault->core);
    if (vault->told_any && state == vault->told)
        return;
    vault->told = state;
    vault->told_any = true;
    bw_log(state == BW_PROVIDER_OK ? BW_LOG_INFO : BW_LOG_ERROR, "vault_keys",
           "state=%s reason=\"%s\" detail=\"%s\"", bw_vault_state_name(state), bw_vault_core_why(vault->core),
           bw_vault_core_detail(vault->core));
}

/* False: the line is done with. */
static bool answer_all(struct vault *vault)
{
    size_t done = 0;
    for (;;) {
        struct bw_view frame;
        size_t taken;
        struct bw_vault_request request;
        enum bw_vault_split split =
            bw_vault_split(bw_view_of(vault->in.data + done, vault->in.len - done), &frame, &taken);
        if (split == BW_VAULT_MORE)
            break;
        if (split == BW_VAULT_BAD || !bw_vault_decode_request(frame, &request)) {
            bw_log(BW_LOG_ERROR, "vault_line_closed", "why=\"not a request of the vault's protocol\"");
            return false;
        }
        if (!bw_vault_core_answer(vault->core, &request))
            return false;
        done += taken;
    }
    bw_buf_consume(&vault->in, done);
    tell_state(vault);
    return true;
}

static bool read_in(struct vault *vault)
{
    if (!bw_buf_reserve(&vault->in, READ_BYTES))
        return false;
    ssize_t n = recv(BW_CHILD_FIRST_FD, vault->in.data + vault->in.len, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    vault->in.len += (size_t)n;
    return answer_all(vault);
}

static uint64_t next_probe(const struct vault *vault)
{
    bool well = bw_vault_core_state(vault->core) == BW_PROVIDER_OK;
    return bw_clock_mono_ms() + (well ? PROBE_MS : PROBE_AGAIN_MS);
}

static void serve(struct vault *vault)
{
    uint64_t next_probe_ms = next_probe(vault);
    for (;;) {
        uint64_t now_ms = bw_clock_mono_ms();
        if (now_ms >= next_probe_ms) {
            bw_vault_core_probe(vault->core);
            tell_state(vault);
            if (mended(vault))
                return;
            next_probe_ms = next_probe(vault);
            continue;
        }
        struct pollfd line = {.fd = BW_CHILD_FIRST_FD, .events = POLLIN};
        int ready = poll(&line, 1, (int)(next_probe_ms - now_ms));
        if (ready < 0 && errno != EINTR) {
            bw_log(BW_LOG_ERROR, "vault_poll_failed", "error=\"%s\"", strerror(errno));
            return;
        }
        if (ready > 0 && !read_in(vault))
            return;
    }
}

int bw_vault_main(const struct bw_daemon_config *config)
{
    struct vault vault = {.db = {.conninfo = config->vault_conninfo}, .config = config};
    struct stat info;
    struct bw_error err;
    bool locked = false;
    if (config->vault_conninfo == NULL || fstat(BW_CHILD_FIRST_FD, &info) != 0 || !S_ISSOCK(info.st_mode) ||
        fcntl(BW_CHILD_FIRST_FD, F_SETFL, O_NONBLOCK) != 0) {
        bw_log(BW_LOG_ERROR, "vault_cannot_start",
               "error=\"no socket at descriptor 3, or no vault in the configuration; the vault is started by "
               "serve, not by hand\"");
        return USAGE;
    }
    if (!harden(&locked)) {
        bw_log(BW_LOG_ERROR, "vault_cannot_start", "error=\"cannot protect its memory: %s\"",
               strerror(errno));
        return EX_OSERR;
    }
    vault.db.arena = bw_arena_create(DECISION_ARENA_BYTES);
    enum bw_code code = vault.db.arena != NULL ? BW_OK : bw_fail_memory(&err);
    if (code == BW_OK)
        code = create_core(&vault, &err);
    if (code != BW_OK) {
        bw_log(BW_LOG_ERROR, "vault_cannot_start", "error=\"%s\"", err.show);
        bw_vault_db_finish(&vault.db);
        return EX_CONFIG;
    }
    bw_log(BW_LOG_INFO, "vault_ready", "cell=%s keys_locked_in_memory=%s", config->cell,
           locked ? "true" : "false");
    tell_state(&vault);
    serve(&vault);
    bw_vault_core_destroy(vault.core);
    bw_buf_finish(&vault.in);
    bw_vault_db_finish(&vault.db);
    return 0;
}
