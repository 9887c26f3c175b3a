#include "cell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bailiwick/v1/fleet.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "bailiwick/v1/tenant.pb-c.h"
#include "base/alloc.h"
#include "base/check.h"
#include "crypto/csr.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "wire/wire.h"

#define SERVE_LOGIN "bailiwick_bench_serve"
#define VAULT_LOGIN "bailiwick_bench_vault"

enum { DEADLINE_MS = 10000, STARTUP_MS = 20000, RELAY_CAPACITY = 100000, ARENA = 1 << 20 };

static struct bench_cell *running; /* what to take down however the program ends */

/* ---- its end ---- */

/* The end of the daemon's log. */
static void show_log(const struct bench_cell *cell)
{
    enum { TAIL_BYTES = 4096 };
    char path[BENCH_PATH], tail[TAIL_BYTES];
    snprintf(path, sizeof path, "%s/log", cell->directory);
    FILE *log = fopen(path, "re");
    if (log == NULL)
        return;
    if (fseek(log, -TAIL_BYTES, SEEK_END) != 0)
        rewind(log);
    size_t n = fread(tail, 1, sizeof tail, log);
    fwrite(tail, 1, n, stderr);
    fclose(log);
}

static void take_down(void)
{
    struct bench_cell *cell = running;
    running = NULL;
    if (cell == NULL)
        return;
    if (cell->daemon > 0) {
        kill(cell->daemon, SIGTERM);
        (void)waitpid(cell->daemon, NULL, 0);
    }
    bw_pg_cluster_remove(&cell->cluster);
    char command[BENCH_PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", cell->directory);
    if (cell->directory[0] != '\0' && system(command) != 0)
        fprintf(stderr, "%s is left behind\n", cell->directory);
}

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    if (running != NULL)
        show_log(running);
    take_down();
    exit(1);
}

void bench_must(enum bw_code code, const struct bw_error *err)
{
    if (code == BW_OK)
        return;
    if (err->log[0] != '\0')
        fprintf(stderr, "%s\n", err->log);
    die(bw_code_name(code), err->show);
}

/* Signals are blocked everywhere and waited for here, so that taking down is ordinary code. */
static void *wait_for_signal(void *unused)
{
    (void)unused;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    int number;
    if (sigwait(&set, &number) == 0) {
        take_down();
        _exit(1);
    }
    return NULL;
}

static void watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_t thread;
    BW_CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    BW_CHECK(pthread_create(&thread, NULL, wait_for_signal, NULL) == 0);
    pthread_detach(thread);
}

/* ---- the daemon ---- */

static const char *program(void)
{
    static char path[PATH_MAX + 32];
    if (path[0] != '\0')
        return path;
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    BW_CHECK(n > 0);
    self[n] = '\0';
    snprintf(path, sizeof path, "%s/../bailiwickd", dirname(self));
    return path;
}

static pid_t spawn(const struct bench_cell *cell, const char *file, const char *const *argv)
{
    char log[BENCH_PATH];
    snprintf(log, sizeof log, "%s/log", cell->directory);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid;
    int code = posix_spawnp(&pid, file, &actions, &attributes, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (code != 0)
        die(file, strerror(code));
    return pid;
}

pid_t bench_cell_spawn(const struct bench_cell *cell, const char *const *argv)
{
    return spawn(cell, argv[0], argv);
}

static pid_t start(const struct bench_cell *cell, const char *const *argv)
{
    return spawn(cell, program(), argv);
}

static void run(const struct bench_cell *cell, const char *const *argv)
{
    int status;
    if (waitpid(start(cell, argv), &status, 0) < 0 || status != 0)
        die(argv[1], "bailiwickd failed");
}

unsigned bench_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BW_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
             getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void write_file(const struct bench_cell *cell, const char *name, const char *text)
{
    char path[BENCH_PATH];
    struct bw_error err;
    snprintf(path, sizeof path, "%s/%s", cell->directory, name);
    bench_must(bw_file_create(path, 0600, bw_view_str(text), &err), &err);
}

static const char topology[] =
    "apiVersion: bailiwick/v1\n"
    "kind: Fleet\n"
    "cells: [{ name: eu, country: FR, operator: { name: Exemple Cloud, jurisdictions: [FR] } }]\n"
    "regions:\n"
    "  - { name: west, lat: 48.9, lon: 2.4, countries: [FR] }\n"
    "  - { name: central, lat: 50.1, lon: 8.7, countries: [DE] }\n"
    "  - { name: north, lat: 52.4, lon: 4.9, countries: [NL] }\n"
    "  - { name: south, lat: 40.4, lon: -3.7, countries: [ES] }\n"
    "  - { name: east, lat: 52.2, lon: 21.0, countries: [PL] }\n"
    "rttMs: { same: 4, default: 30 }\n";

static const char policy[] = "apiVersion: bailiwick/v1\n"
                             "kind: TenantPolicy\n"
                             "tenant: " BENCH_TENANT "\n"
                             "residency: { atRest: eu }\n"
                             "entry: { allow: [EU], unknown: refuse }\n"
                             "transit: { allow: [EU], operators: { allowJurisdictions: [EU] } }\n"
                             "e2ee: { mode: required }\n"
                             "connectors: { allow: [] }\n";

/* Two users of the database, as in a real cell: the one that faces the network cannot read wrapped keys.
 * Roles are the whole cluster's, which may be older than this program. */
static void make_database_users(const struct bench_cell *cell)
{
    (void)bw_pg_cluster_sql(cell->conninfo,
                            "DO $$ BEGIN"
                            "  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '" SERVE_LOGIN "') THEN"
                            "    CREATE ROLE " SERVE_LOGIN " LOGIN IN ROLE bailiwick_serve;"
                            "    CREATE ROLE " VAULT_LOGIN " LOGIN IN ROLE bailiwick_vault;"
                            "  END IF; END $$");
}

static void configure(struct bench_cell *cell, unsigned workers)
{
    char text[4096], vault[1024] = "";
    unsigned port = bench_free_port();
    cell->http_port = bench_free_port();
    snprintf(cell->endpoint, sizeof cell->endpoint, "127.0.0.1:%u", port);
    /* Of two users in a conninfo the last one counts. */
    if (cell->vault)
        snprintf(vault, sizeof vault,
                 "vault:\n"
                 "  conninfo: \"%s user=" VAULT_LOGIN "\"\n"
                 "  keyring: keys/vault.keyring\n"
                 "  serviceKey: keys/vault.key\n"
                 "  servicePublicKey: keys/vault.pub\n",
                 cell->conninfo);
    snprintf(text, sizeof text,
             "apiVersion: bailiwick/v1\n"
             "kind: DaemonConfig\n"
             "cell: eu\n"
             "operators: [bench]\n"
             "topology: fleet.yaml\n"
             "listen:\n"
             "  address: 127.0.0.1\n"
             "  port: %u\n"
             "  endpoint: \"127.0.0.1:%u\"\n"
             "  tls: { certificate: keys/server.crt, key: keys/server.key, ca: keys/ca.crt }\n"
             "http: { address: 127.0.0.1, port: %u }\n"
             "database: { conninfo: \"%s user=" SERVE_LOGIN "\", schema: \"" BW_SOURCE_DIR "/schema\" }\n"
             "%s"
             "signer: { key: keys/signer.key, caCertificate: keys/ca.crt, caKey: keys/ca.key }\n"
             "limits: { workers: %u, escrowBlock: 10000 }\n",
             port, port, cell->http_port, cell->conninfo, vault, workers);
    write_file(cell, "bench.yaml", text);
    write_file(cell, "fleet.yaml", topology);
}

/* ---- calls ---- */

struct reply {
    const ProtobufCMessageDescriptor *descriptor;
    struct bw_arena *arena;
    const ProtobufCMessage *message;
    struct bw_error error;
};

static bool on_reply(struct bw_view bytes, void *context)
{
    struct reply *reply = context;
    void *copy = bw_arena_memdup(reply->arena, bytes.data, bytes.len);
    return copy != NULL && bw_wire_decode(reply->descriptor, bw_view_of(copy, bytes.len), reply->arena,
                                          &reply->message, &reply->error) == BW_OK;
}

const ProtobufCMessage *bench_cell_call(struct bw_grpc_sync *sync, const char *path,
                                        const ProtobufCMessage *request,
                                        const ProtobufCMessageDescriptor *descriptor, struct bw_arena *arena)
{
    struct bw_buf bytes = {0};
    struct bw_grpc_outcome outcome;
    struct reply reply = {.descriptor = descriptor, .arena = arena};
    BW_CHECK(bw_wire_encode(request, &bytes) == BW_OK);
    (void)bw_grpc_sync_call(sync, path, DEADLINE_MS, NULL, 0, bw_buf_view(&bytes), arena, on_reply, &reply,
                            &outcome);
    bw_buf_finish(&bytes);
    if (outcome.code != BW_OK)
        die(path, outcome.message);
    if (reply.message == NULL)
        die(path, reply.error.show);
    return reply.message;
}

static char *new_request_id(struct bw_arena *arena)
{
    char text[BW_ID_TEXT_SIZE];
    struct bw_id id = bench_new_id();
    bw_id_format(&id, text);
    return bw_arena_strdup(arena, text);
}

static struct bw_grpc_tls *credential(const struct bench_cell *cell, const char *name)
{
    char certificate[BENCH_PATH], key[BENCH_PATH], ca[BENCH_PATH];
    snprintf(certificate, sizeof certificate, "%s/keys/%s.crt", cell->directory, name);
    snprintf(key, sizeof key, "%s/keys/%s.key", cell->directory, name);
    snprintf(ca, sizeof ca, "%s/keys/ca.crt", cell->directory);
    const struct bw_grpc_tls_config config = {
        .certificate_file = certificate, .key_file = key, .ca_file = ca, .server_name = "localhost"};
    struct bw_error err;
    struct bw_grpc_tls *tls = bw_grpc_tls_create_client(&config, &err);
    if (tls == NULL)
        bench_must(err.code, &err);
    return tls;
}

struct bw_grpc_sync *bench_cell_dial(const struct bench_cell *cell, struct bw_grpc_tls *tls)
{
    const struct bw_grpc_client_config config = {.target = cell->endpoint, .tls = tls};
    struct bw_error err;
    struct bw_grpc_sync *sync = bw_grpc_sync_open(&config, &err);
    if (sync == NULL)
        bench_must(err.code, &err);
    return sync;
}

/* A key in keys/<name>.key, and the request for its certificate as DER. */
static ProtobufCBinaryData new_key(const struct bench_cell *cell, const char *name, struct bw_arena *arena)
{
    struct bw_buf key = {0}, pem = {0};
    struct bw_error err;
    char file[128];
    bench_must(bw_csr_create_with_key(BW_KEY_P256, name, &key, &pem, &err), &err);
    snprintf(file, sizeof file, "keys/%s.key", name);
    write_file(cell, file, bw_buf_cstr(&key));
    X509_REQ *request = NULL;
    bench_must(bw_pem_read_request(bw_buf_view(&pem), name, &request, &err), &err);
    unsigned char *der = NULL;
    int length = i2d_X509_REQ(request, &der);
    BW_CHECK(length > 0);
    ProtobufCBinaryData data = {.len = (size_t)length, .data = bw_arena_memdup(arena, der, (size_t)length)};
    OPENSSL_free(der);
    X509_REQ_free(request);
    bw_buf_finish(&pem);
    bw_pem_finish_secret(&key);
    return data;
}

static struct bw_grpc_tls *keep(const struct bench_cell *cell, const char *name, const char *pem)
{
    char file[128];
    snprintf(file, sizeof file, "keys/%s.crt", name);
    write_file(cell, file, pem);
    return credential(cell, name);
}

static struct bw_grpc_tls *issue(const struct bench_cell *cell, struct bw_grpc_sync *sync, const char *name,
                                 Bailiwick__V1__Role role, struct bw_arena *arena)
{
    char *tenant = bw_arena_strdup(arena, BENCH_TENANT);
    Bailiwick__V1__IssueAppCredentialRequest request = BAILIWICK__V1__ISSUE_APP_CREDENTIAL_REQUEST__INIT;
    request.request_id = new_request_id(arena);
    request.tenants = (const char **)&tenant;
    request.n_tenants = 1;
    request.name = bw_arena_strdup(arena, name);
    request.role = role;
    request.csr_der = new_key(cell, name, arena);
    const ProtobufCMessage *reply =
        bench_cell_call(sync, "/bailiwick.v1.TenantService/IssueAppCredential", &request.base,
                        &bailiwick__v1__issue_app_credential_response__descriptor, arena);
    return keep(cell, name, ((const Bailiwick__V1__IssueAppCredentialResponse *)reply)->certificate_pem);
}

static void create_tenant(struct bw_grpc_sync *sync, struct bw_arena *arena)
{
    Bailiwick__V1__CreateTenantRequest request = BAILIWICK__V1__CREATE_TENANT_REQUEST__INIT;
    request.request_id = new_request_id(arena);
    request.name = bw_arena_strdup(arena, BENCH_TENANT);
    (void)bench_cell_call(sync, "/bailiwick.v1.TenantService/CreateTenant", &request.base,
                          &bailiwick__v1__create_tenant_response__descriptor, arena);
}

static void apply_policy(struct bw_grpc_sync *sync, struct bw_arena *arena)
{
    Bailiwick__V1__ApplyPolicyRequest request = BAILIWICK__V1__APPLY_POLICY_REQUEST__INIT;
    request.tenant = bw_arena_strdup(arena, BENCH_TENANT);
    request.request_id = new_request_id(arena);
    request.yaml = bw_arena_strdup(arena, policy);
    request.file_name = bw_arena_strdup(arena, "policy.yaml");
    const Bailiwick__V1__ApplyPolicyResponse *reply =
        (const Bailiwick__V1__ApplyPolicyResponse *)bench_cell_call(
            sync, "/bailiwick.v1.PolicyService/ApplyPolicy", &request.base,
            &bailiwick__v1__apply_policy_response__descriptor, arena);
    if (!reply->applied)
        die("the policy was not applied",
            reply->n_diagnostics > 0 ? reply->diagnostics[0]->message : "it has no errors");
}

static struct bw_grpc_tls *enrol(const struct bench_cell *cell, struct bw_grpc_sync *sync, unsigned number,
                                 struct bw_arena *arena)
{
    static const char *const regions[] = {"west", "central", "north", "south", "east"};
    char *country = bw_arena_strdup(arena, bench_country(number));
    char *name = bw_arena_printf(arena, "relay-%u", number);
    Bailiwick__V1__Operator operator= BAILIWICK__V1__OPERATOR__INIT;
    operator.name = bw_arena_printf(arena, "Operator %u", number % 5);
    operator.jurisdictions =(const char **) & country;
    operator.n_jurisdictions = 1;
    Bailiwick__V1__RelayFacts facts = BAILIWICK__V1__RELAY_FACTS__INIT;
    facts.name = name;
    facts.site = bw_arena_printf(arena, "site-%u", number);
    facts.region = bw_arena_strdup(arena, regions[number % 5]);
    facts.country = country;
    facts.operator_ = &operator;
    facts.capacity = RELAY_CAPACITY;
    facts.media = BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_OPAQUE;
    facts.cascade = true;
    Bailiwick__V1__EnrollRelayRequest request = BAILIWICK__V1__ENROLL_RELAY_REQUEST__INIT;
    request.request_id = new_request_id(arena);
    request.facts = &facts;
    request.csr_der = new_key(cell, name, arena);
    const ProtobufCMessage *reply =
        bench_cell_call(sync, "/bailiwick.v1.FleetService/EnrollRelay", &request.base,
                        &bailiwick__v1__enroll_relay_response__descriptor, arena);
    return keep(cell, name, ((const Bailiwick__V1__EnrollRelayResponse *)reply)->certificate_pem);
}

/* ---- the whole ---- */

static void wait_until_up(struct bench_cell *cell, struct bw_grpc_tls *tls)
{
    Bailiwick__V1__ListTenantsRequest request = BAILIWICK__V1__LIST_TENANTS_REQUEST__INIT;
    struct bw_buf bytes = {0};
    BW_CHECK(bw_wire_encode(&request.base, &bytes) == BW_OK);
    const struct bw_grpc_client_config config = {.target = cell->endpoint, .tls = tls};
    uint64_t end = bw_clock_mono_ms() + STARTUP_MS;
    for (;;) {
        struct bw_grpc_outcome outcome;
        struct bw_view reply;
        struct bw_arena *arena = bw_arena_create(ARENA);
        enum bw_code code =
            bw_grpc_client_unary_sync(&config, "/bailiwick.v1.TenantService/ListTenants", 1000, NULL, 0,
                                      bw_buf_view(&bytes), arena, &reply, &outcome);
        if (code != BW_OK && bw_clock_mono_ms() > end)
            die("the daemon does not answer", outcome.message);
        bw_arena_destroy(arena);
        if (code == BW_OK)
            break;
        if (waitpid(cell->daemon, NULL, WNOHANG) != 0) {
            cell->daemon = 0;
            die("bailiwickd serve", "it has ended");
        }
        usleep(50000);
    }
    bw_buf_finish(&bytes);
}

void bench_cell_start(struct bench_cell *cell, unsigned workers, enum bench_metadata metadata)
{
    *cell = (struct bench_cell){.vault = metadata == BENCH_METADATA_SEALED};
    bw_log_configure(BW_LOG_ERROR, false);
    watch_signals();
    const char *parent = getenv("TMPDIR");
    snprintf(cell->directory, sizeof cell->directory, "%s/bw-cell-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(cell->directory) == NULL)
        die(cell->directory, strerror(errno));
    running = cell;
    setenv("BW_PG_OPTIONS", "track_commit_timestamp = on", 0);
    bw_pg_cluster_start(&cell->cluster);
    bw_pg_cluster_database(&cell->cluster, cell->conninfo);

    char keys[BENCH_PATH], config[BENCH_PATH];
    snprintf(keys, sizeof keys, "%s/keys", cell->directory);
    snprintf(config, sizeof config, "%s/bench.yaml", cell->directory);
    run(cell, (const char *const[]){"bailiwickd", "init", "--dir", keys, "--cell", "eu", "--operator",
                                    "bench", NULL});
    configure(cell, workers);
    run(cell, (const char *const[]){"bailiwickd", "migrate", "--config", config, "--conninfo", cell->conninfo,
                                    NULL});
    make_database_users(cell);
    cell->daemon = start(cell, (const char *const[]){"bailiwickd", "serve", "--config", config, NULL});

    struct bw_arena *arena = bw_arena_create(16 * ARENA);
    BW_CHECK(arena != NULL);
    struct bw_grpc_tls *operator= credential(cell, "operator");
    wait_until_up(cell, operator);
    struct bw_grpc_sync *sync = bench_cell_dial(cell, operator);
    create_tenant(sync, arena);
    struct bw_grpc_tls *admin = issue(cell, sync, "admin", BAILIWICK__V1__ROLE__ROLE_TENANT_ADMIN, arena);
    cell->app = issue(cell, sync, "app", BAILIWICK__V1__ROLE__ROLE_APP, arena);
    cell->support = issue(cell, sync, "support", BAILIWICK__V1__ROLE__ROLE_SUPPORT_TIER2, arena);
    for (unsigned i = 0; i < BENCH_RELAYS; i++)
        cell->relays[i] = enrol(cell, sync, i, arena);
    bw_grpc_sync_close(sync);
    sync = bench_cell_dial(cell, admin);
    apply_policy(sync, arena);
    bw_grpc_sync_close(sync);
    cell->sync = bench_cell_dial(cell, cell->app);
    bw_grpc_tls_release(operator);
    bw_grpc_tls_release(admin);
    bw_arena_destroy(arena);
}

void bench_cell_stop(struct bench_cell *cell)
{
    bw_grpc_sync_close(cell->sync);
    for (unsigned i = 0; i < BENCH_RELAYS; i++)
        bw_grpc_tls_release(cell->relays[i]);
    bw_grpc_tls_release(cell->app);
    bw_grpc_tls_release(cell->support);
    if (getenv("BW_BENCH_LOG") != NULL)
        show_log(cell);
    take_down();
}

/* ---- */

const char *bench_country(unsigned n)
{
    static const char *const countries[] = {"FR", "DE", "NL", "ES", "PL"};
    return countries[n % BW_ARRAY_LEN(countries)];
}

struct bw_id bench_new_id(void)
{
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    return bw_id_v4(random);
}

double bench_cpu_s(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    unsigned long user = 0, kernel = 0;
    if (rest == NULL ||
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        return 0;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

double bench_cell_cpu_s(const struct bench_cell *cell)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)cell->daemon, (int)cell->daemon);
    double sum = bench_cpu_s(cell->daemon);
    FILE *file = fopen(path, "re");
    int child;
    while (file != NULL && fscanf(file, "%d", &child) == 1)
        sum += bench_cpu_s(child);
    if (file != NULL)
        fclose(file);
    return sum;
}
