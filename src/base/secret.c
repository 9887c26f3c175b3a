#include "base/secret.h"

#include <string.h>

#include "base/check.h"

void bw_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}

void bw_secret_set(struct bw_secret *secret, const void *bytes, size_t len)
{
    BW_CHECK(len <= BW_SECRET_MAX);
    bw_secret_finish(secret);
    memcpy(secret->bytes, bytes, len);
    secret->len = len;
}

void bw_secret_finish(struct bw_secret *secret)
{
    bw_wipe(secret, sizeof *secret);
}

bool bw_bytes_equal_ct(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= x[i] ^ y[i];
    return difference == 0;
}

bool bw_secret_equal(const struct bw_secret *a, const struct bw_secret *b)
{
    return a->len == b->len && bw_bytes_equal_ct(a->bytes, b->bytes, a->len);
}
