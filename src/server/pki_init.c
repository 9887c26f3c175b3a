#include "server/pki_init.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "server/pki_cert.h"
#include "vault/keyring.h"

enum { SERVER_LIFETIME_S = 397 * BW_PKI_DAY_S, OPERATOR_LIFETIME_S = BW_PKI_LIFETIME_MAX_S, NAMES_MAX = 64 };
enum { PRIVATE_MODE = 0600, PUBLIC_MODE = 0644, DIRECTORY_MODE = 0700, PATH_SIZE = 4096 };

/* One run; a failed step makes the later ones no-ops, and the first error is kept. */
struct run {
    const struct bw_pki_init *init;
    struct bw_buf *report;
    struct bw_error *err;
    enum bw_code code;
    char trust_domain[256];
    char ca_key_path[PATH_SIZE];
    X509 *ca;
    EVP_PKEY *ca_key;
};

static void path_in(struct run *run, const char *name, char path[PATH_SIZE])
{
    int n = snprintf(path, PATH_SIZE, "%s/%s", run->init->directory, name);
    if (n >= PATH_SIZE && run->code == BW_OK)
        run->code = bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "the path of the directory is too long");
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void note(struct run *run, const char *what, const char *path)
{
    bw_buf_printf(run->report, "%s %s\n", what, path);
}

static void create(struct run *run, const char *path, mode_t mode, struct bw_view content)
{
    if (run->code != BW_OK)
        return;
    run->code = bw_file_create(path, mode, content, run->err);
    if (run->code == BW_OK)
        note(run, "made", path);
}

static void read_key(struct run *run, const char *path, EVP_PKEY **out)
{
    struct bw_buf pem = {0};
    if (run->code == BW_OK)
        run->code = bw_file_read_secret(path, BW_PEM_MAX, &pem, run->err);
    if (run->code == BW_OK)
        run->code = bw_pem_read_private_key(bw_buf_view(&pem), path, out, run->err);
    bw_pem_finish_secret(&pem);
}

static void read_certificate(struct run *run, const char *path, X509 **out, struct bw_buf *text)
{
    if (run->code == BW_OK)
        run->code = bw_file_read(path, BW_PEM_MAX, text, run->err);
    if (run->code == BW_OK)
        run->code = bw_pem_read_certificate(bw_buf_view(text), path, out, run->err);
}

/* The key in this file, made if the file is not there. */
static void keep_or_make_key(struct run *run, const char *path, EVP_PKEY **out)
{
    if (exists(path)) {
        read_key(run, path, out);
        if (run->code == BW_OK)
            note(run, "kept", path);
        return;
    }
    struct bw_buf pem = {0};
    if (run->code == BW_OK)
        run->code = bw_key_generate(BW_KEY_P256, out, run->err);
    if (run->code == BW_OK)
        run->code = bw_pem_write_private_key(*out, &pem, run->err);
    create(run, path, PRIVATE_MODE, bw_buf_view(&pem));
    bw_pem_finish_secret(&pem);
}

static void write_certificate(struct run *run, const char *path, X509 *certificate)
{
    struct bw_buf pem = {0};
    if (run->code == BW_OK)
        run->code = bw_pem_write_certificate(certificate, &pem, run->err);
    /* Whoever trusts only the root of your PKI needs what lies between. */
    if (run->code == BW_OK && certificate != run->ca && X509_self_signed(run->ca, 0) != 1)
        run->code = bw_pem_write_certificate(run->ca, &pem, run->err);
    create(run, path, PUBLIC_MODE, bw_buf_view(&pem));
    bw_buf_finish(&pem);
}

static void make_own_ca(struct run *run)
{
    char path[PATH_SIZE], common_name[128];
    uint8_t serial[BW_PKI_SERIAL_SIZE];
    struct bw_buf text = {0};
    path_in(run, "ca.crt", path);
    path_in(run, "ca.key", run->ca_key_path);
    bool have_certificate = exists(path);
    if (have_certificate && !exists(run->ca_key_path) && run->code == BW_OK)
        run->code =
            bw_fail(run->err, BW_FAILED_PRECONDITION, NULL,
                    "%s is there, but %s is not; give your CA with --ca-cert and --ca-key, or move the "
                    "certificate away to make a new CA",
                    path, run->ca_key_path);
    if (run->code != BW_OK)
        return;
    keep_or_make_key(run, run->ca_key_path, &run->ca_key);
    if (have_certificate) {
        read_certificate(run, path, &run->ca, &text);
        if (run->code == BW_OK)
            note(run, "kept", path);
    } else {
        snprintf(common_name, sizeof common_name, "Bailiwick %s CA", run->init->cell);
        bw_random_bytes(serial, sizeof serial);
        if (run->code == BW_OK)
            run->code =
                bw_pki_create_ca(run->ca_key, common_name, bw_clock_wall_ms(), serial, &run->ca, run->err);
        write_certificate(run, path, run->ca);
    }
    bw_buf_finish(&text);
    if (run->code == BW_OK)
        run->code =
            bw_pki_check_ca(run->ca, run->ca_key, bw_clock_wall_ms(), path, run->ca_key_path, run->err);
}

static void take_your_ca(struct run *run)
{
    const struct bw_pki_init *init = run->init;
    char path[PATH_SIZE];
    struct bw_buf text = {0};
    path_in(run, "ca.crt", path);
    read_certificate(run, init->ca_certificate, &run->ca, &text);
    read_key(run, init->ca_key, &run->ca_key);
    if (run->code == BW_OK)
        run->code = bw_pki_check_ca(run->ca, run->ca_key, bw_clock_wall_ms(), init->ca_certificate,
                                    init->ca_key, run->err);
    if (run->code == BW_OK && realpath(init->ca_key, run->ca_key_path) == NULL)
        run->code = bw_fail(run->err, BW_NOT_FOUND, NULL, "%s: %s", init->ca_key, strerror(errno));
    if (run->code == BW_OK && exists(path))
        note(run, "kept", path);
    else
        create(run, path, PUBLIC_MODE, bw_buf_view(&text));
    bw_buf_finish(&text);
}

static void write_public(struct run *run, const char *file, const uint8_t seed[BW_ED25519_SEED_SIZE])
{
    char path[PATH_SIZE];
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
    struct bw_ed25519_signer *signer = NULL;
    struct bw_buf pem = {0};
    path_in(run, file, path);
    if (exists(path)) {
        note(run, "kept", path);
        return;
    }
    run->code = bw_ed25519_signer_create(seed, &signer, run->err);
    if (run->code == BW_OK) {
        bw_ed25519_signer_public(signer, public_key);
        run->code = bw_pem_write_ed25519_public(public_key, &pem, run->err);
    }
    create(run, path, PUBLIC_MODE, bw_buf_view(&pem));
    bw_buf_finish(&pem);
    bw_ed25519_signer_destroy(signer);
}

static void make_signing_pair(struct run *run, const char *private_file, const char *public_file)
{
    char path[PATH_SIZE];
    uint8_t seed[BW_ED25519_SEED_SIZE];
    struct bw_buf pem = {0};
    path_in(run, private_file, path);
    if (run->code != BW_OK)
        return;
    if (exists(path)) {
        run->code = bw_file_read_secret(path, BW_PEM_MAX, &pem, run->err);
        if (run->code == BW_OK)
            run->code = bw_pem_read_ed25519_seed(bw_buf_view(&pem), path, seed, run->err);
        if (run->code == BW_OK)
            note(run, "kept", path);
    } else {
        bw_random_bytes(seed, sizeof seed);
        run->code = bw_pem_write_ed25519_seed(seed, &pem, run->err);
        create(run, path, PRIVATE_MODE, bw_buf_view(&pem));
    }
    bw_pem_finish_secret(&pem);
    if (run->code == BW_OK)
        write_public(run, public_file, seed);
    bw_wipe(seed, sizeof seed);
}

/* One root key, named after the year, which is all that a name has to tell. */
static void make_keyring(struct run *run)
{
    char path[PATH_SIZE], name[32];
    path_in(run, "vault.keyring", path);
    if (run->code != BW_OK)
        return;
    if (exists(path)) {
        note(run, "kept", path);
        return;
    }
    uint8_t key[BW_PROVIDER_KEY_SIZE];
    struct bw_buf text = {0};
    time_t now = (time_t)(bw_clock_wall_ms() / 1000);
    struct tm utc;
    gmtime_r(&now, &utc);
    snprintf(name, sizeof name, "root-%d", utc.tm_year + 1900);
    bw_random_bytes(key, sizeof key);
    run->code = bw_keyring_new(name, key, &text, run->err);
    create(run, path, PRIVATE_MODE, bw_buf_view(&text));
    bw_wipe(key, sizeof key);
    bw_pem_finish_secret(&text);
}

/* NAME.key and NAME.crt. */
static void make_credential(struct run *run, const char *name, struct bw_pki_profile *profile)
{
    char key_path[PATH_SIZE], certificate_path[PATH_SIZE], file[64];
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    snprintf(file, sizeof file, "%s.key", name);
    path_in(run, file, key_path);
    snprintf(file, sizeof file, "%s.crt", name);
    path_in(run, file, certificate_path);
    if (run->code != BW_OK)
        return;
    if (exists(certificate_path) && !exists(key_path)) {
        run->code = bw_fail(run->err, BW_FAILED_PRECONDITION, NULL,
                            "%s is there, but %s is not; move the certificate away to make both anew",
                            certificate_path, key_path);
        return;
    }
    keep_or_make_key(run, key_path, &key);
    if (run->code == BW_OK && exists(certificate_path)) {
        note(run, "kept", certificate_path);
    } else if (run->code == BW_OK) {
        profile->now_ms = bw_clock_wall_ms();
        bw_random_bytes(profile->serial, sizeof profile->serial);
        run->code = bw_pki_issue(run->ca, run->ca_key, key, profile, &certificate, run->err);
        write_certificate(run, certificate_path, certificate);
    }
    bw_pki_certificate_destroy(certificate);
    bw_key_destroy(key);
}

static const char *replica_of(const struct bw_pki_init *init)
{
    return init->replica != NULL ? init->replica : "replica-1";
}

static const char *operator_of(const struct bw_pki_init *init)
{
    return init->operator_name != NULL ? init->operator_name : "operator-1";
}

static void make_server_credential(struct run *run)
{
    const struct bw_pki_init *init = run->init;
    const char *dns[NAMES_MAX + 1], *ips[NAMES_MAX + 2];
    char spiffe_id[512];
    struct bw_pki_profile profile = {.common_name = replica_of(init),
                                     .spiffe_id = spiffe_id,
                                     .server = true,
                                     .lifetime_s = SERVER_LIFETIME_S};
    snprintf(spiffe_id, sizeof spiffe_id, "spiffe://%s/replica/%s", run->trust_domain, replica_of(init));
    for (size_t i = 0; i < init->dns_count; i++)
        dns[profile.dns_count++] = init->dns[i];
    dns[profile.dns_count++] = "localhost";
    for (size_t i = 0; i < init->ip_count; i++)
        ips[profile.ip_count++] = init->ips[i];
    ips[profile.ip_count++] = "127.0.0.1";
    ips[profile.ip_count++] = "::1";
    profile.dns = dns;
    profile.ips = ips;
    make_credential(run, "server", &profile);
}

static void make_operator_credential(struct run *run)
{
    char spiffe_id[512];
    struct bw_pki_profile profile = {
        .common_name = operator_of(run->init), .spiffe_id = spiffe_id, .lifetime_s = OPERATOR_LIFETIME_S};
    snprintf(spiffe_id, sizeof spiffe_id, "spiffe://%s/operator/%s", run->trust_domain,
             operator_of(run->init));
    make_credential(run, "operator", &profile);
}

static void make_config(struct run *run)
{
    char path[PATH_SIZE];
    struct bw_buf text = {0};
    path_in(run, "bailiwickd.yaml", path);
    if (run->code != BW_OK)
        return;
    if (exists(path)) {
        note(run, "kept", path);
        return;
    }
    bw_pki_sample_config(run->init, run->trust_domain,
                         run->init->ca_key != NULL ? run->ca_key_path : "ca.key", &text);
    if (text.failed)
        run->code = bw_fail_memory(run->err);
    create(run, path, PRIVATE_MODE, bw_buf_view(&text));
    bw_buf_finish(&text);
}

static bool is_dns_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 253)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == len;
}

static enum bw_code check(struct run *run)
{
    const struct bw_pki_init *init = run->init;
    const struct {
        const char *value, *option;
    } names[] = {{init->cell, "--cell"}, {replica_of(init), "--replica"}, {operator_of(init), "--operator"}};
    for (size_t i = 0; i < BW_ARRAY_LEN(names); i++) {
        if (!bw_pki_is_name(bw_view_str(names[i].value)))
            return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL,
                           "%s \"%s\": a name has 1 to 63 characters a-z, 0-9, - and does not begin with -",
                           names[i].option, names[i].value);
    }
    if (init->trust_domain != NULL)
        snprintf(run->trust_domain, sizeof run->trust_domain, "%s", init->trust_domain);
    else
        snprintf(run->trust_domain, sizeof run->trust_domain, "%s.bailiwick.internal", init->cell);
    if (!bw_pki_is_trust_domain(bw_view_str(init->trust_domain ? init->trust_domain : run->trust_domain)))
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL,
                       "--trust-domain \"%s\": 1 to 253 characters a-z, 0-9, dot and dash",
                       init->trust_domain);
    if ((init->ca_certificate == NULL) != (init->ca_key == NULL))
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL,
                       "--ca-cert and --ca-key go together: give both or neither");
    if (init->dns_count > NAMES_MAX || init->ip_count > NAMES_MAX)
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "at most %d --dns and %d --ip", NAMES_MAX,
                       NAMES_MAX);
    for (size_t i = 0; i < init->dns_count; i++) {
        if (!is_dns_name(init->dns[i]))
            return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "--dns \"%s\": not a host name",
                           init->dns[i]);
    }
    return BW_OK;
}

static enum bw_code make_directory(struct run *run)
{
    const char *directory = run->init->directory;
    struct stat info;
    if (mkdir(directory, DIRECTORY_MODE) == 0) {
        note(run, "made", directory);
        return BW_OK;
    }
    if (errno != EEXIST)
        return bw_fail(run->err, errno == ENOENT ? BW_NOT_FOUND : BW_PERMISSION_DENIED, NULL,
                       "%s: cannot make this directory: %s", directory, strerror(errno));
    if (stat(directory, &info) != 0 || !S_ISDIR(info.st_mode))
        return bw_fail(run->err, BW_INVALID_ARGUMENT, NULL, "%s: exists and is not a directory", directory);
    return BW_OK;
}

enum bw_code bw_pki_init(const struct bw_pki_init *init, struct bw_buf *report, struct bw_error *err)
{
    struct run *run = bw_calloc(1, sizeof *run);
    if (run == NULL)
        return bw_fail_memory(err);
    run->init = init;
    run->report = report;
    run->err = err;
    run->code = check(run);
    if (run->code == BW_OK)
        run->code = make_directory(run);
    if (run->code == BW_OK && init->ca_certificate != NULL)
        take_your_ca(run);
    else if (run->code == BW_OK)
        make_own_ca(run);
    make_signing_pair(run, "signer.key", "signer.pub");
    if (run->code == BW_OK)
        make_signing_pair(run, "vault.key", "vault.pub");
    if (run->code == BW_OK)
        make_keyring(run);
    if (run->code == BW_OK)
        make_server_credential(run);
    if (run->code == BW_OK)
        make_operator_credential(run);
    make_config(run);
    enum bw_code code = run->code;
    if (code == BW_OK && report->failed)
        code = bw_fail_memory(err);
    bw_pki_certificate_destroy(run->ca);
    bw_key_destroy(run->ca_key);
    bw_free(run);
    return code;
}
