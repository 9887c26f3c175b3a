/* What of a roster entry a role may see. Nobody sees an address whole, and nobody another person's e-mail.
 * Pure. */
#ifndef BW_SERVER_VAULT_MASK_H
#define BW_SERVER_VAULT_MASK_H

#include "vault/protocol.h"
#include "vault/roster.h"

/* Where the masked values lie. */
struct bw_vault_masked {
    char user[BW_VAULT_USER_MAX + 8];
    uint8_t address[16];
};

/* Changes *entry in place; what it points to then is in *storage. `number` is the entry's place in the
 * meeting, from 1, and `own` the user whose own call is looked at (empty: nobody's). Returns the masked
 * fields as bits of BW_VAULT_MASKED_*. tier 1: "participant 3" and no address; the named user's own entry as
 * tier 2 has it tier 2, tenant admin: "j***@acme.example"; the address's /24 or /48 */
uint32_t bw_vault_mask(struct bw_roster_entry *entry, enum bw_vault_role role, struct bw_view own,
                       uint32_t number, struct bw_vault_masked *storage);

#endif
