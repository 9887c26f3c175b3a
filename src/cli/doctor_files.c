#include <string.h>

#include "cli/doctor.h"
#include "cli/identity.h"
#include "cli/output.h"
#include "crypto/pem.h"
#include "runtime/clock.h"
#include "runtime/file.h"

/* How long before its end a certificate is worth a word. */
#define SOON_MS (UINT64_C(7) * 24 * 3600 * 1000)

static const char renew[] =
    "have a new one issued: `bailiwick tenant app-credential`, or whoever runs the cell's CA";

static void problem(struct bw_doctor *doctor, const char *check, const char *todo, const char *found)
{
    doctor->files_good = false;
    bw_doctor_tell(doctor, BW_FINDING_PROBLEM, check, todo, "%s", found);
}

static void check_dates(struct bw_doctor *doctor, const struct bw_certificate_facts *facts)
{
    uint64_t now = bw_clock_wall_ms();
    struct bw_buf when = {0};
    bool early = now < facts->not_before_ms;
    bw_time_print(early ? facts->not_before_ms : facts->not_after_ms, &when);
    const char *text = bw_buf_cstr(&when);
    if (early) {
        doctor->files_good = false;
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "validity",
                       "set this machine's clock (`timedatectl`), or wait until then",
                       "the certificate is not valid before %s", text);
    } else if (now >= facts->not_after_ms) {
        doctor->files_good = false;
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "validity", renew, "the certificate has expired at %s",
                       text);
    } else if (facts->not_after_ms - now < SOON_MS) {
        bw_doctor_tell(doctor, BW_FINDING_NOTE, "validity", renew, "the certificate expires soon, at %s",
                       text);
    } else {
        bw_doctor_tell(doctor, BW_FINDING_OK, "validity", NULL, "until %s", text);
    }
    bw_buf_finish(&when);
}

static void check_identity(struct bw_doctor *doctor, const struct bw_certificate_facts *facts)
{
    static const char wanted[] = "use the certificate of an app, admin, operator or support credential";
    if (facts->is_ca) {
        problem(doctor, "identity", wanted, "--cert names a CA's certificate");
        return;
    }
    if (facts->uri_count != 1) {
        doctor->files_good = false;
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "identity", wanted,
                       "the certificate has %u URI names instead of one SPIFFE ID", facts->uri_count);
        return;
    }
    struct bw_identity identity = bw_identity_parse(facts->uri);
    doctor->spiffe_id = bw_arena_strdup(doctor->cli->arena, facts->uri);
    if (!bw_identity_may_call(identity.kind)) {
        doctor->files_good = false;
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "identity", wanted,
                       identity.kind == BW_IDENTITY_OTHER
                           ? "%s is no identity of ours: spiffe://TRUST-DOMAIN/KIND/NAME"
                           : "%s belongs to a relay or replica, which cannot use this program",
                       facts->uri);
        return;
    }
    bw_doctor_tell(doctor, BW_FINDING_OK, "identity", NULL, "%s (%s)", facts->uri,
                   bw_identity_kind_name(identity.kind));
}

static void check_key(struct bw_doctor *doctor, struct bw_view certificate)
{
    const struct bw_settings *s = doctor->cli->settings;
    struct bw_buf key = {0};
    struct bw_error err = {0};
    bool fits = false;
    enum bw_code code = bw_file_read_secret(s->key.value, BW_PEM_MAX, &key, &err);
    if (code == BW_OK)
        code =
            bw_certificate_fits_key(certificate, s->cert.value, bw_buf_view(&key), s->key.value, &fits, &err);
    bw_pem_finish_secret(&key);
    if (code == BW_PERMISSION_DENIED)
        problem(doctor, "key", "make it yours alone: chmod 600", err.show);
    else if (code != BW_OK)
        problem(doctor, "key", "name the private key that the certificate was made for", err.show);
    else if (!fits)
        problem(doctor, "key", "name the private key that the certificate was made for",
                "the key does not belong to the certificate");
    else
        bw_doctor_tell(doctor, BW_FINDING_OK, "key", NULL, "%s belongs to the certificate", s->key.value);
}

static void check_certificate(struct bw_doctor *doctor, struct bw_view ca)
{
    const struct bw_settings *s = doctor->cli->settings;
    struct bw_buf pem = {0};
    struct bw_error err = {0};
    struct bw_certificate_facts facts;
    enum bw_code code = bw_file_read(s->cert.value, BW_PEM_MAX, &pem, &err);
    if (code == BW_OK)
        code = bw_certificate_read(bw_buf_view(&pem), s->cert.value, &facts, &err);
    if (code != BW_OK) {
        problem(doctor, "certificate", "check the path: --cert, BAILIWICK_CERT or the context", err.show);
        bw_buf_finish(&pem);
        return;
    }
    bw_doctor_tell(doctor, BW_FINDING_OK, "certificate", NULL, "%s (from %s)", s->cert.value, s->cert.origin);
    check_dates(doctor, &facts);
    check_identity(doctor, &facts);
    check_key(doctor, bw_buf_view(&pem));
    bool issued = false;
    if (ca.len > 0 &&
        bw_certificate_issued_by(bw_buf_view(&pem), s->cert.value, ca, s->ca.value, &issued, &err) == BW_OK &&
        !issued)
        bw_doctor_tell(doctor, BW_FINDING_NOTE, "issuer",
                       "if the cell refuses you, this certificate is of another cell",
                       "the CA that is trusted for the server did not issue this certificate");
    bw_buf_finish(&pem);
}

void bw_doctor_files(struct bw_doctor *doctor)
{
    const struct bw_settings *s = doctor->cli->settings;
    struct bw_buf ca = {0};
    struct bw_error err = {0};
    struct bw_certificate_facts facts;
    if (s->ca.value == NULL) {
        problem(doctor, "ca", "give --ca FILE: the cell's ca.crt",
                "none is set, so no server can be trusted");
    } else if (bw_file_read(s->ca.value, BW_PEM_MAX, &ca, &err) != BW_OK ||
               bw_certificate_read(bw_buf_view(&ca), s->ca.value, &facts, &err) != BW_OK) {
        problem(doctor, "ca", "check the path: --ca, BAILIWICK_CA or the context", err.show);
    } else if (!facts.is_ca) {
        problem(doctor, "ca", "name the cell's ca.crt", "this is no CA's certificate");
    } else if (facts.not_after_ms <= bw_clock_wall_ms()) {
        problem(doctor, "ca", "ask the cell's operator for the new one", "the CA's certificate has expired");
    } else {
        bw_doctor_tell(doctor, BW_FINDING_OK, "ca", NULL, "%s (%s)", s->ca.value, facts.subject);
    }
    if (s->cert.value == NULL && s->key.value == NULL)
        problem(doctor, "certificate", "give --cert FILE and --key FILE",
                "none is set, so the cell cannot know you");
    else if (s->cert.value == NULL || s->key.value == NULL)
        problem(doctor, "certificate", "give both --cert and --key",
                s->cert.value == NULL ? "there is a key but no certificate"
                                      : "there is a certificate but no key");
    else
        check_certificate(doctor, bw_buf_view(&ca));
    bw_buf_finish(&ca);
}
