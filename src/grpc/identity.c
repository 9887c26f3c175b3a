#include "grpc/identity.h"

#include <string.h>

#include <openssl/x509v3.h>

static const char scheme[] = "spiffe://";

static bool domain_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool path_character(uint8_t c)
{
    return domain_character(c) || (c >= 'A' && c <= 'Z');
}

static bool segment_valid(struct bw_view segment)
{
    return segment.len > 0 && !bw_view_equal_str(segment, ".") && !bw_view_equal_str(segment, "..");
}

bool bw_spiffe_id_valid(struct bw_view id)
{
    size_t at = sizeof scheme - 1;
    if (id.len > BW_SPIFFE_ID_MAX_BYTES || id.len <= at || memcmp(id.data, scheme, at) != 0)
        return false;
    size_t start = at;
    while (at < id.len && domain_character(id.data[at]))
        at++;
    if (at == start || at == id.len || id.data[at] != '/')
        return false;
    start = ++at;
    for (; at <= id.len; at++) {
        if (at < id.len && id.data[at] != '/') {
            if (!path_character(id.data[at]))
                return false;
            continue;
        }
        if (!segment_valid(bw_view_of(id.data + start, at - start)))
            return false;
        start = at + 1;
    }
    return true;
}

static bool in_trust_domain(struct bw_view id, const char *trust_domain)
{
    size_t at = sizeof scheme - 1, len = strlen(trust_domain);
    return id.len > at + len && memcmp(id.data + at, trust_domain, len) == 0 && id.data[at + len] == '/';
}

/* The one URI among the names; UNAUTHENTICATED when there is none or more than one. */
static enum bw_code single_uri(const GENERAL_NAMES *names, struct bw_view *uri, struct bw_error *err)
{
    int uris = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        uris++;
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        *uri = bw_view_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    }
    if (uris != 1)
        return bw_fail(err, BW_UNAUTHENTICATED, NULL, "certificate has %d URI names instead of one SPIFFE id",
                       uris);
    return BW_OK;
}

static enum bw_code check_leaf(X509 *certificate, struct bw_error *err)
{
    uint32_t flags = X509_get_extension_flags(certificate);
    if (flags & EXFLAG_INVALID)
        return bw_fail(err, BW_UNAUTHENTICATED, NULL, "certificate has malformed extensions");
    if (flags & EXFLAG_CA)
        return bw_fail(err, BW_UNAUTHENTICATED, NULL, "certificate belongs to a CA, not to a peer");
    if ((flags & EXFLAG_KUSAGE) && (X509_get_key_usage(certificate) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)))
        return bw_fail(err, BW_UNAUTHENTICATED, NULL,
                       "certificate may sign certificates, so it is no peer's");
    return BW_OK;
}

enum bw_code bw_identity_of(X509 *certificate, const char *trust_domain,
                            char spiffe_id[BW_SPIFFE_ID_MAX_BYTES + 1], struct bw_error *err)
{
    enum bw_code code = check_leaf(certificate, err);
    if (code != BW_OK)
        return code;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct bw_view uri = {0};
    code = single_uri(names, &uri, err);
    if (code == BW_OK && !bw_spiffe_id_valid(uri))
        code = bw_fail(err, BW_UNAUTHENTICATED, NULL, "the URI name of the certificate is no SPIFFE id");
    if (code == BW_OK && trust_domain != NULL && !in_trust_domain(uri, trust_domain))
        code = bw_fail(err, BW_UNAUTHENTICATED, NULL, "certificate is not of trust domain %s", trust_domain);
    if (code == BW_OK) {
        memcpy(spiffe_id, uri.data, uri.len);
        spiffe_id[uri.len] = '\0';
    }
    GENERAL_NAMES_free(names);
    return code;
}
