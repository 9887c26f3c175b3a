/* Seals who joined, on the loop that commits the joins, in the same transaction: each entry under a key of
 * its meeting, all of a group's entries of one tenant together under a key of the tenant. Nothing here can
 * open what it sealed. Threads: one loop's. */
#ifndef BW_SERVER_ROSTER_SEALER_H
#define BW_SERVER_ROSTER_SEALER_H

#include <stdatomic.h>

#include "control/op.h"
#include "store/writer.h"
#include "vault/scope.h"

struct bw_roster_sealer;

struct bw_roster_sealer_config {
    const char *cell; /* its name */
    const uint8_t *service_public;
    struct bw_capsules *capsules; /* made ahead; NULL: none */
    void *context;
    /* There is no key of today for this tenant: called now and then, not each time. */
    void (*want)(void *context, const struct bw_id *tenant);
    _Atomic uint64_t *sealed, *dropped; /* entries */
};

BW_MUST_USE enum bw_code bw_roster_sealer_create(const struct bw_roster_sealer_config *config,
                                                 struct bw_roster_sealer **out, struct bw_error *err);
/* Wipes. NULL is allowed. */
void bw_roster_sealer_destroy(struct bw_roster_sealer *roster);

/* A scope key from the vault; one that the service has not signed is refused, and logged. */
void bw_roster_sealer_learn(struct bw_roster_sealer *roster, const struct bw_scope_public *scope);
/* Seals who made this JOINED decision, into row->note and row->key, which hold until the next call. What
 * cannot be sealed is left out and counted. */
void bw_roster_sealer_note(struct bw_roster_sealer *roster, const struct bw_decision *decision,
                           const struct bw_op_join *join, struct bw_store_row *row);
/* For the writer that gets these rows. */
struct bw_store_sealing bw_roster_sealer_sealing(struct bw_roster_sealer *roster);
/* The meeting has ended: its key is wiped. */
void bw_roster_sealer_ended(struct bw_roster_sealer *roster, const struct bw_id *tenant,
                            const struct bw_id *meeting);

#endif
