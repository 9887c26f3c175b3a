/* Random bytes for a sealer, in draws that are checked: a source that repeats itself is found out before
 * anything is sealed with it. Small pieces come from a pool, since a call to the kernel for each record would
 * cost as much as sealing it. Threads: one at a time. */
#ifndef BW_VAULT_SUPPLY_H
#define BW_VAULT_SUPPLY_H

#include <stddef.h>

#include "vault/sealer.h"

enum { BW_SUPPLY_POOL = 4096, BW_SUPPLY_BLOCK = 32 };

struct bw_supply {
    bw_sealer_random *random;
    void *context;
    uint8_t pool[BW_SUPPLY_POOL];
    size_t left;       /* of the pool, at its end */
    uint8_t print[32]; /* of the last draw */
};

/* random NULL: the kernel's. */
void bw_supply_init(struct bw_supply *supply, bw_sealer_random *random, void *context);
void bw_supply_finish(struct bw_supply *supply);
/* Straight from the source, for keys: n is a multiple of 32, at least 64. INTERNAL (RANDOM_STUCK). */
BW_MUST_USE enum bw_code bw_supply_draw(struct bw_supply *supply, uint8_t *out, size_t n,
                                        struct bw_error *err);
/* One block from the pool. INTERNAL (RANDOM_STUCK). */
BW_MUST_USE enum bw_code bw_supply_block(struct bw_supply *supply, uint8_t out[BW_SUPPLY_BLOCK],
                                         struct bw_error *err);

#endif
