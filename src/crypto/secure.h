/* Memory for long-lived keys. After bw_secure_start it comes from OpenSSL's secure heap: locked where the
 * system allows it, guarded on both sides, kept out of core dumps. Without it (in tools and tests) it is
 * ordinary memory. Either way it is wiped when freed. Threads: any; bw_secure_start before there are others.
 */
#ifndef BW_CRYPTO_SECURE_H
#define BW_CRYPTO_SECURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Sets the heap up, once in a process. OpenSSL keeps its own private keys there too. bytes: a power of two;
 * each key takes 64. *locked: whether the system locked it into memory (RLIMIT_MEMLOCK). INTERNAL. */
BW_MUST_USE enum bw_code bw_secure_start(size_t bytes, bool *locked, struct bw_error *err);
/* Zeroed; NULL when there is no room. */
void *bw_secure_alloc(size_t bytes);
/* NULL is allowed; bytes as given to bw_secure_alloc. */
void bw_secure_free(void *p, size_t bytes);

#endif
