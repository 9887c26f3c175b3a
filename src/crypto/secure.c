#include "crypto/secure.h"

#include <openssl/crypto.h>

#include "base/alloc.h"
#include "base/secret.h"

enum { SMALLEST = 64 }; /* of the heap's blocks */

enum bw_code bw_secure_start(size_t bytes, bool *locked, struct bw_error *err)
{
    int made = CRYPTO_secure_malloc_init(bytes, SMALLEST);
    if (made == 0)
        return bw_fail(err, BW_INTERNAL, NULL, "cannot set up %zu bytes of secure memory", bytes);
    *locked = made == 1; /* 2: it is there, but mlock or a guard page was refused */
    return BW_OK;
}

void *bw_secure_alloc(size_t bytes)
{
    if (CRYPTO_secure_malloc_initialized())
        return OPENSSL_secure_zalloc(bytes);
    return bw_calloc(1, bytes);
}

void bw_secure_free(void *p, size_t bytes)
{
    if (p == NULL)
        return;
    if (CRYPTO_secure_allocated(p)) {
        OPENSSL_secure_clear_free(p, bytes);
        return;
    }
    bw_wipe(p, bytes);
    bw_free(p);
}
