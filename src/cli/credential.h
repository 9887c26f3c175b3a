/* New credentials: the key is made here and never leaves; the cell gets a request and answers a certificate.
 * Threads: one. */
#ifndef BW_CLI_CREDENTIAL_H
#define BW_CLI_CREDENTIAL_H

#include "cli/cli.h"

struct bw_credential {
    const char *key_path, *certificate_path; /* NULL: not asked for */
    struct bw_buf key_pem;                   /* secret; empty when a request was given */
    struct bw_view csr_der;                  /* empty: no certificate is wanted */
};

/* Reads --new-key, --csr and --out. Nothing is written yet, but files that exist already are refused now, so
 * that a certificate is not issued in vain. An exit code; finish in any case. */
int bw_credential_prepare(struct bw_cli *cli, const char *common_name, struct bw_credential *credential);
/* Writes key (0600) and certificate (0644), or prints the certificate without --out. */
int bw_credential_store(struct bw_cli *cli, const struct bw_credential *credential, const char *certificate);
/* Wipes. */
void bw_credential_finish(struct bw_credential *credential);

#endif
