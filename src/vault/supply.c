#include "vault/supply.h"

#include <string.h>

#include "base/check.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "runtime/random.h"

static void from_kernel(void *context, void *out, size_t n)
{
    (void)context;
    bw_random_bytes(out, n);
}

void bw_supply_init(struct bw_supply *supply, bw_sealer_random *random, void *context)
{
    *supply = (struct bw_supply){.random = random != NULL ? random : from_kernel, .context = context};
}

void bw_supply_finish(struct bw_supply *supply)
{
    bw_wipe(supply, sizeof *supply);
}

/* No two blocks next to each other are equal, and the first is not that of the draw before. With a working
 * source the odds of either are 2^-256. */
static bool repeats(const struct bw_supply *supply, const uint8_t *drawn, size_t n,
                    uint8_t print[BW_SHA256_SIZE])
{
    for (size_t at = BW_SUPPLY_BLOCK; at < n; at += BW_SUPPLY_BLOCK)
        if (memcmp(drawn + at, drawn + at - BW_SUPPLY_BLOCK, BW_SUPPLY_BLOCK) == 0)
            return true;
    bw_sha256(bw_view_of(drawn, BW_SUPPLY_BLOCK), print);
    return memcmp(print, supply->print, BW_SHA256_SIZE) == 0;
}

enum bw_code bw_supply_draw(struct bw_supply *supply, uint8_t *out, size_t n, struct bw_error *err)
{
    BW_CHECK(n >= 2 * BW_SUPPLY_BLOCK && n % BW_SUPPLY_BLOCK == 0);
    uint8_t print[BW_SHA256_SIZE];
    supply->random(supply->context, out, n);
    if (repeats(supply, out, n, print)) {
        bw_wipe(out, n);
        return bw_fail(err, BW_INTERNAL, "RANDOM_STUCK",
                       "the random source repeats itself; nothing is sealed until it works again");
    }
    memcpy(supply->print, print, sizeof print);
    return BW_OK;
}

enum bw_code bw_supply_block(struct bw_supply *supply, uint8_t out[BW_SUPPLY_BLOCK], struct bw_error *err)
{
    if (supply->left == 0) {
        enum bw_code code = bw_supply_draw(supply, supply->pool, sizeof supply->pool, err);
        if (code != BW_OK)
            return code;
        supply->left = sizeof supply->pool;
    }
    uint8_t *next = supply->pool + sizeof supply->pool - supply->left;
    memcpy(out, next, BW_SUPPLY_BLOCK);
    bw_wipe(next, BW_SUPPLY_BLOCK);
    supply->left -= BW_SUPPLY_BLOCK;
    return BW_OK;
}
