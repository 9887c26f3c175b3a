/* Sizes that both directions of the protocol share. Threads: pure. */
#ifndef BW_VAULT_PROTOCOL_PARTS_H
#define BW_VAULT_PROTOCOL_PARTS_H

#include "vault/protocol.h"

enum {
    BW_VAULT_HEAD_SIZE = 4 + 1 + 4, /* length, type, request id */
    BW_VAULT_NAME_SIZE = 16 + BW_SCOPE_SIZE,
    BW_VAULT_SCOPE_SIZE = 16 + 16 + BW_SCOPE_SIZE + 4 + BW_X25519_SIZE + BW_ED25519_SIGNATURE_SIZE,
    BW_VAULT_ROW_SIZE = 3 * 16 + 4 + 1 + 3 * 8 + 4 + 4, /* without the payload */
    BW_VAULT_RECEIPT_SIGNED = 21 + 3 * 16 + 1 + 8 + 4 + 4,
    /* Flags of an OPENED part. */
    BW_VAULT_PART_LAST = 1,
    BW_VAULT_PART_CUT = 2,
};

#endif
