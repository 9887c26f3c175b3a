/* What the signer does with a request, apart from sockets. It signs only the two things it knows: roots of
 * batches of grants, and certificates of its trust domain. Threads: one at a time. */
#ifndef BW_SERVER_SIGNER_CORE_H
#define BW_SERVER_SIGNER_CORE_H

#include "server/pki_cert.h"
#include "server/signer_protocol.h"

struct bw_signer_core;

BW_MUST_USE enum bw_code bw_signer_core_create(struct bw_signer_core **out, struct bw_error *err);
/* NULL is allowed; keys are wiped. */
void bw_signer_core_destroy(struct bw_signer_core *core);
/* The first key added signs. The caller wipes its seed. RESOURCE_EXHAUSTED past BW_SIGNER_KEYS_MAX,
 * ALREADY_EXISTS. */
BW_MUST_USE enum bw_code bw_signer_core_add_key(struct bw_signer_core *core,
                                                const uint8_t seed[BW_ED25519_SEED_SIZE],
                                                struct bw_error *err);
/* Takes both over, also on failure. Codes as bw_pki_check_ca. */
BW_MUST_USE enum bw_code bw_signer_core_set_ca(struct bw_signer_core *core, struct x509_st *ca,
                                               struct evp_pkey_st *ca_key, const char *trust_domain,
                                               uint64_t now_ms, const char *certificate_path,
                                               const char *key_path, struct bw_error *err);
/* Answers a request; the reply frame is appended to *out. False only when memory is out. */
bool bw_signer_core_answer(struct bw_signer_core *core, const struct bw_signer_request *request,
                           uint64_t now_ms, const uint8_t serial[BW_PKI_SERIAL_SIZE], struct bw_buf *out);

#endif
