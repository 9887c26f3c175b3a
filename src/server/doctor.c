#include "server/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/certificate.h"
#include "crypto/pem.h"
#include "geo/geo.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "server/pki_cert.h"
#include "store/decisions.h"
#include "store/metadata.h"
#include "store/replicas.h"
#include "vault/keyring.h"

enum { FILE_MAX_BYTES = 1 << 20, CLOCK_OFF_MS = 2000, EXPIRES_SOON_MS = 14 * 86400000 };

struct visit {
    const struct bw_daemon_config *config;
    FILE *out;
    unsigned problems;
};

static void tell(struct visit *visit, const char *verdict, const char *check, const char *format, ...)
    BW_PRINTF(4, 5);

static void tell(struct visit *visit, const char *verdict, const char *check, const char *format, ...)
{
    fprintf(visit->out, "%-8s %-12s ", verdict, check);
    va_list args;
    va_start(args, format);
    vfprintf(visit->out, format, args);
    va_end(args);
    fputc('\n', visit->out);
    visit->problems += strcmp(verdict, "problem") == 0;
}

/* ---- certificates and keys ---- */

static bool read_text(struct visit *visit, const char *check, const char *path, bool secret,
                      struct bw_buf *text)
{
    struct bw_error err;
    enum bw_code code = secret ? bw_file_read_secret(path, FILE_MAX_BYTES, text, &err)
                               : bw_file_read(path, FILE_MAX_BYTES, text, &err);
    if (code != BW_OK)
        tell(visit, "problem", check, "%s", err.show);
    return code == BW_OK;
}

static void check_dates(struct visit *visit, const char *check, const char *path,
                        const struct bw_certificate_facts *facts)
{
    uint64_t now = bw_clock_wall_ms();
    if (now < facts->not_before_ms)
        tell(visit, "problem", check,
             "%s is not valid yet: set this machine's clock (timedatectl), or wait until it is", path);
    else if (now >= facts->not_after_ms)
        tell(visit, "problem", check, "%s has expired: move it away and run `bailiwickd init` again", path);
    else if (facts->not_after_ms - now < EXPIRES_SOON_MS)
        tell(visit, "note", check, "%s expires in %lu days: renew it soon", path,
             (unsigned long)((facts->not_after_ms - now) / 86400000));
}

static void check_identity(struct visit *visit, const struct bw_certificate_facts *facts)
{
    const struct bw_daemon_config *config = visit->config;
    enum bw_pki_kind kind;
    struct bw_view name;
    struct bw_error err;
    if (facts->is_ca)
        tell(visit, "problem", "certificate", "%s is a CA: the server needs a certificate of its own",
             config->certificate);
    else if (facts->uri_count != 1)
        tell(visit, "problem", "certificate",
             "%s has %u URI names and needs exactly one, spiffe://%s/replica/<name>", config->certificate,
             facts->uri_count, config->trust_domain);
    else if (bw_pki_parse_spiffe_id(bw_view_str(facts->uri), config->trust_domain, &kind, &name, &err) !=
             BW_OK)
        tell(visit, "problem", "certificate", "%s: %s: %s (wrong cell, or trustDomain in %s)",
             config->certificate, facts->uri, err.show, config->file);
    else if (kind != BW_PKI_REPLICA)
        tell(visit, "problem", "certificate", "%s is for %s, which is no replica: give the server its own",
             config->certificate, facts->uri);
    else
        tell(visit, "ok", "certificate", "%s", facts->uri);
}

static void check_certificate(struct visit *visit)
{
    const struct bw_daemon_config *config = visit->config;
    if (config->insecure) {
        tell(visit, "note", "certificate", "listen.insecure is set: clear text, for tests on loopback only");
        return;
    }
    struct bw_buf pem = {0}, key = {0}, ca = {0};
    struct bw_certificate_facts facts;
    struct bw_error err;
    bool fits = false, issued = false;
    if (read_text(visit, "certificate", config->certificate, false, &pem) &&
        read_text(visit, "key", config->key, true, &key) && read_text(visit, "ca", config->ca, false, &ca)) {
        if (bw_certificate_read(bw_buf_view(&pem), config->certificate, &facts, &err) != BW_OK ||
            bw_certificate_fits_key(bw_buf_view(&pem), config->certificate, bw_buf_view(&key), config->key,
                                    &fits, &err) != BW_OK ||
            bw_certificate_issued_by(bw_buf_view(&pem), config->certificate, bw_buf_view(&ca), config->ca,
                                     &issued, &err) != BW_OK) {
            tell(visit, "problem", "certificate", "%s", err.show);
        } else {
            check_identity(visit, &facts);
            check_dates(visit, "certificate", config->certificate, &facts);
            if (!fits)
                tell(visit, "problem", "key", "%s does not belong to %s: they must be of one pair",
                     config->key, config->certificate);
            if (!issued)
                tell(visit, "problem", "ca", "%s was not issued by %s: callers will not trust this server",
                     config->certificate, config->ca);
        }
    }
    if (key.data != NULL)
        bw_wipe(key.data, key.cap);
    bw_buf_finish(&pem);
    bw_buf_finish(&key);
    bw_buf_finish(&ca);
}

static void check_signer(struct visit *visit)
{
    struct bw_buf key = {0};
    bool ok = read_text(visit, "signer", visit->config->signer_key, true, &key);
    if (key.data != NULL)
        bw_wipe(key.data, key.cap);
    bw_buf_finish(&key);
    if (ok && visit->config->ca_key != NULL) {
        struct bw_buf ca = {0};
        ok = read_text(visit, "signer", visit->config->ca_key, true, &ca);
        if (ca.data != NULL)
            bw_wipe(ca.data, ca.cap);
        bw_buf_finish(&ca);
    }
    if (ok)
        tell(visit, "ok", "signer",
             visit->config->ca_key != NULL ? "signs grants and issues certificates"
                                           : "signs grants; certificates are issued elsewhere");
}

/* Files alone: whether the keyring is the right one, the vault process finds out with the stored keys. */
static void check_vault(struct visit *visit)
{
    const struct bw_daemon_config *config = visit->config;
    if (config->vault_conninfo == NULL) {
        tell(visit, "note", "vault", "no vault in %s: who takes part is not kept", config->file);
        return;
    }
    struct bw_error err;
    struct bw_provider *provider = NULL;
    struct bw_provider_facts facts;
    struct bw_buf key = {0}, public_key = {0};
    if (bw_keyring_open(config->vault_keyring, &provider, &err) != BW_PROVIDER_OK) {
        tell(visit, "problem", "vault", "%s", err.show);
        return;
    }
    bw_provider_describe(provider, &facts);
    bw_provider_destroy(provider);
    uint8_t seed[BW_ED25519_SEED_SIZE], pinned[BW_ED25519_PUBLIC_SIZE], own[BW_ED25519_PUBLIC_SIZE];
    struct bw_ed25519_signer *signer = NULL;
    if (read_text(visit, "vault", config->vault_service_key, true, &key) &&
        read_text(visit, "vault", config->vault_service_public, false, &public_key)) {
        if (bw_pem_read_ed25519_seed(bw_buf_view(&key), config->vault_service_key, seed, &err) != BW_OK ||
            bw_pem_read_ed25519_public(bw_buf_view(&public_key), config->vault_service_public, pinned,
                                       &err) != BW_OK ||
            bw_ed25519_signer_create(seed, &signer, &err) != BW_OK) {
            tell(visit, "problem", "vault", "%s", err.show);
        } else {
            bw_ed25519_signer_public(signer, own);
            if (memcmp(own, pinned, sizeof own) != 0)
                tell(visit, "problem", "vault", "%s is not the public half of %s: nothing would be sealed",
                     config->vault_service_public, config->vault_service_key);
            else
                tell(visit, "ok", "vault", "%s, %u root keys, \"%s\" active", facts.kind, facts.keys,
                     facts.active);
        }
    }
    bw_wipe(seed, sizeof seed);
    bw_ed25519_signer_destroy(signer);
    bw_pem_finish_secret(&key);
    bw_buf_finish(&public_key);
}

/* ---- the database ---- */

static void check_clock(struct visit *visit, const struct bw_store_heads *heads)
{
    uint64_t now = bw_clock_wall_ms();
    uint64_t off = now > heads->database_ms ? now - heads->database_ms : heads->database_ms - now;
    if (off > CLOCK_OFF_MS)
        tell(visit, "problem", "clock",
             "this machine and the database are %lu ms apart: set both by NTP (timedatectl); grants live two "
             "minutes",
             (unsigned long)off);
    else
        tell(visit, "ok", "clock", "agrees with the database's within %lu ms", (unsigned long)off + 1);
}

static bool other_lease(void *context, const struct bw_store_replica *replica)
{
    uint64_t *longest = context;
    if (!replica->fenced && replica->lease_left_ms > *longest)
        *longest = replica->lease_left_ms;
    return true;
}

static void check_contents(struct visit *visit, struct bw_store_db *db)
{
    struct bw_store_cell cell;
    struct bw_store_heads heads;
    struct bw_store_durability durability;
    struct bw_error err;
    enum bw_code code = bw_store_cell_read(db, &cell, &err);
    if (code == BW_NOT_FOUND)
        tell(visit, "problem", "cell", "the database is not yet named: run `bailiwickd migrate --config %s`",
             visit->config->file);
    else if (code != BW_OK)
        tell(visit, "problem", "cell", "%s", err.show);
    else if (strcmp(cell.name, visit->config->cell) != 0)
        tell(visit, "problem", "cell",
             "the database belongs to cell \"%s\" and %s says \"%s\": no cell may open another's database; "
             "correct "
             "cell or database.conninfo",
             cell.name, visit->config->file, visit->config->cell);
    else
        tell(visit, "ok", "cell", "%s", cell.name);

    if (bw_store_heads_read(db, &heads, &err) == BW_OK)
        check_clock(visit, &heads);
    if (bw_store_durability_check(db, true, &durability, &err) != BW_OK)
        tell(visit, "problem", "durability", "%s", err.show);
    else
        tell(visit,
             durability.safe                        ? "ok"
             : visit->config->allow_unsafe_standbys ? "note"
                                                    : "problem",
             "durability", "%s", durability.text);
    bool readable = false;
    if (visit->config->vault_conninfo != NULL && bw_store_keys_readable(db, &readable, &err) == BW_OK &&
        readable)
        tell(visit, "problem", "roles",
             "the user of database.conninfo could read the vault's keys: let it be a member of "
             "bailiwick_serve and "
             "nothing else");
    uint64_t lease = 0;
    if (bw_store_replicas_read(db, other_lease, &lease, &err) == BW_OK && lease > 0)
        tell(visit, "note", "replica",
             "a replica holds a lease for %lu ms more: it serves, or stopped just now", (unsigned long)lease);
}

/* The vault's own user, which alone may read keys. */
static void check_vault_database(struct visit *visit)
{
    struct bw_store_db *db = NULL;
    struct bw_error err;
    bool readable = false;
    if (visit->config->vault_conninfo == NULL)
        return;
    enum bw_code code = bw_store_db_open(visit->config->vault_conninfo, &db, &err);
    if (code == BW_OK)
        code = bw_store_keys_readable(db, &readable, &err);
    bw_store_db_close(db);
    if (code != BW_OK)
        tell(visit, "problem", "roles", "vault.conninfo in %s: %s", visit->config->file, err.show);
    else if (!readable)
        tell(visit, "problem", "roles",
             "the user of vault.conninfo may not read keys: have the owner of the database run GRANT "
             "bailiwick_vault TO that user");
}

static void check_database(struct visit *visit)
{
    struct bw_store_db *db = NULL;
    struct bw_error err;
    if (bw_store_db_open(visit->config->conninfo, &db, &err) != BW_OK) {
        tell(visit, "problem", "database", "%s; start PostgreSQL, or correct database.conninfo in %s",
             err.show, visit->config->file);
        return;
    }
    tell(visit, "ok", "database", "answers");
    if (bw_store_schema_check(db, &err) != BW_OK) {
        tell(visit, "problem", "schema", "%s", err.show);
    } else {
        tell(visit, "ok", "schema", "version %d", BW_STORE_SCHEMA_VERSION);
        check_contents(visit, db);
        check_vault_database(visit);
    }
    bw_store_db_close(db);
}

static void check_geo(struct visit *visit)
{
    struct bw_geo *geo = NULL;
    struct bw_error err;
    if (visit->config->geo_database == NULL)
        tell(visit, "note", "geo",
             "no geoDatabase: addresses are of unknown country, and policy says what that may do");
    else if (bw_geo_open(visit->config->geo_database, &geo, &err) != BW_OK)
        tell(visit, "problem", "geo", "%s", err.show);
    else
        tell(visit, "ok", "geo", "%s", bw_geo_type(geo));
    bw_geo_unref(geo);
}

int bw_doctor(const struct bw_daemon_config *config, FILE *out)
{
    struct visit visit = {.config = config, .out = out};
    tell(&visit, "ok", "config", "%s", config->file);
    check_certificate(&visit);
    check_signer(&visit);
    check_vault(&visit);
    check_geo(&visit);
    check_database(&visit);
    if (visit.problems == 0)
        fputs("no problem found\n", out);
    else
        fprintf(out, "%u to mend\n", visit.problems);
    return visit.problems > 0;
}
