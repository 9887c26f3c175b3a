/* Grant tokens: what parses is, encoded again, the same body; and no bytes convince a verifier without keys.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "e2ee/grant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_grant grant;
    struct bw_view token = bw_view_of(data, size);
    if (bw_grant_parse(token, &grant) != BW_GRANT_OK)
        return 0;
    uint8_t body[BW_GRANT_BODY_SIZE];
    BW_CHECK(size >= sizeof body && size <= BW_GRANT_TOKEN_MAX);
    BW_CHECK(bw_grant_encode(&grant, body, NULL) == BW_OK);
    BW_CHECK(memcmp(body, data, sizeof body) == 0);

    struct bw_grant_verifier *verifier = NULL;
    if (bw_grant_verifier_create(4, &verifier, NULL) != BW_OK)
        return 0;
    const struct bw_grant_expect expect = {.cell = grant.cell, .now_ms = grant.not_before_ms};
    struct bw_grant unused;
    BW_CHECK(bw_grant_verify(verifier, token, &expect, &unused, NULL) != BW_GRANT_OK);
    bw_grant_verifier_destroy(verifier);
    return 0;
}
