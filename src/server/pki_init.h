/* `bailiwickd init`: lays out the folder of a new cell. Every file that is there already is kept, whatever is
 * missing is made, so an interrupted run is finished by running it again, and a certificate is renewed by
 * moving it away first. Blocking; for the command line. */
#ifndef BW_SERVER_PKI_INIT_H
#define BW_SERVER_PKI_INIT_H

#include "base/buf.h"
#include "base/status.h"

struct bw_pki_init {
    const char *directory;     /* made with mode 0700 when it does not exist */
    const char *cell;          /* [a-z0-9][a-z0-9-]{0,62} */
    const char *trust_domain;  /* NULL: <cell>.bailiwick.internal */
    const char *replica;       /* NULL: replica-1 */
    const char *operator_name; /* NULL: operator-1 */
    /* Names of the server's certificate besides localhost, 127.0.0.1 and ::1. */
    const char *const *dns;
    size_t dns_count;
    const char *const *ips;
    size_t ip_count;
    /* Your own CA, both or neither; NULL: the cell gets one of its own (ECDSA P-256, ten years). The key
     * stays where it is. */
    const char *ca_certificate, *ca_key;
};

/* Makes ca.crt, ca.key, signer.key, signer.pub, vault.key, vault.pub, vault.keyring, server.key, server.crt,
 * operator.key, operator.crt and bailiwickd.yaml; private keys with mode 0600, all on disk when it returns.
 * Appends to *report a line per file, "made" or "kept"; also after a failure, for what was done until then.
 * INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED, NOT_FOUND, INTERNAL, RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_pki_init(const struct bw_pki_init *init, struct bw_buf *report,
                                     struct bw_error *err);

/* The verb: argv[0] is "init". Report on stdout, errors on stderr. Exit code: 0, 1 failed, 2 usage. */
int bw_pki_init_main(int argc, char **argv);

/* The bailiwickd.yaml that init writes; ca_key is the path of the CA's key as the file should name it. */
void bw_pki_sample_config(const struct bw_pki_init *init, const char *trust_domain, const char *ca_key,
                          struct bw_buf *out);

#endif
