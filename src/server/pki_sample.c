#include "server/pki_init.h"

/* Every key is explained in the reference of the configuration; this is a start that serves as it stands. */
static const char before[] =
    "# Configuration of bailiwickd. Paths are relative to this file; `bailiwickd check-config` checks it.\n"
    "apiVersion: bailiwick/v1\n"
    "kind: DaemonConfig\n";

static const char vault[] =
    "\n\n"
    "vault: # only the vault process reads these keys and connects as this user; back the keyring up\n"
    "  conninfo: \"host=/run/postgresql dbname=bailiwick user=bailiwick_vault_login\"\n"
    "  keyring: vault.keyring\n"
    "  serviceKey: vault.key\n"
    "  servicePublicKey: vault.pub\n";

static const char after[] = "\n"
                            "# http: { address: 127.0.0.1, port: 9443 } # /healthz, /readyz and /metrics\n"
                            "# log: { level: info, format: json }\n";

/* A double-quoted YAML scalar. */
static void append_quoted(struct bw_buf *out, const char *text)
{
    bw_buf_append_u8(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            bw_buf_append_u8(out, '\\');
        bw_buf_append_u8(out, (uint8_t)*text);
    }
    bw_buf_append_u8(out, '"');
}

void bw_pki_sample_config(const struct bw_pki_init *init, const char *trust_domain, const char *ca_key,
                          struct bw_buf *out)
{
    const char *host = init->dns_count > 0 ? init->dns[0] : "localhost";
    bw_buf_append_str(out, before);
    const char *operator_name = init->operator_name != NULL ? init->operator_name : "operator-1";
    bw_buf_printf(out, "cell: \"%s\"\ntrustDomain: \"%s\"\n", init->cell, trust_domain);
    bw_buf_printf(out, "operators: [\"%s\"] # whose certificates administer this cell\n\n", operator_name);
    bw_buf_printf(out,
                  "listen:\n"
                  "  address: \"::\"\n"
                  "  port: 7443\n"
                  "  endpoint: \"%s:7443\" # how callers and other replicas reach this one\n"
                  "  tls: { certificate: server.crt, key: server.key, ca: ca.crt }\n",
                  host);
    bw_buf_append_str(out, "\n"
                           "database:\n"
                           "  conninfo: \"host=/run/postgresql dbname=bailiwick user=bailiwick_serve_login\" "
                           "# passwords belong into a passfile\n");
    bw_buf_append_str(out,
                      "\n"
                      "signer: # only the signer process reads these keys\n"
                      "  key: signer.key\n"
                      "  caCertificate: ca.crt # without this pair your CA issues certificates elsewhere\n"
                      "  caKey: ");
    append_quoted(out, ca_key);
    bw_buf_append_str(out, vault);
    bw_buf_append_str(out, after);
}
