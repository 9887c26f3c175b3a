#include "crypto/hpke.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/hmac.h"

/* RFC 9180, 5.1: what every label of a KEM or of a whole suite begins with. */
static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, 0x20};
static const uint8_t hpke_suite[] = {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x02};
static const char version[] = "HPKE-v1";

#define SUITE(bytes) bw_view_of(bytes, sizeof(bytes))

static void add(struct bw_sha256 *running, struct bw_view bytes)
{
    bw_sha256_update(running, bytes.data, bytes.len);
}

static void labeled_extract(struct bw_view suite, struct bw_view salt, const char *label, struct bw_view ikm,
                            uint8_t prk[BW_SHA256_SIZE])
{
    struct bw_hmac256 hmac;
    struct bw_sha256 running;
    bw_hmac256_init(&hmac, salt);
    bw_hmac256_begin(&hmac, &running);
    add(&running, bw_view_str(version));
    add(&running, suite);
    add(&running, bw_view_str(label));
    add(&running, ikm);
    bw_hmac256_end(&hmac, &running, prk);
    bw_wipe(&running, sizeof running);
    bw_hmac256_finish(&hmac);
}

/* At most one block of output, which is all that this suite asks for. */
static void labeled_expand(struct bw_view suite, const uint8_t prk[BW_SHA256_SIZE], const char *label,
                           struct bw_view info, uint8_t *out, uint8_t len)
{
    struct bw_hmac256 hmac;
    struct bw_sha256 running;
    uint8_t block[BW_SHA256_SIZE];
    const uint8_t length[2] = {0, len}, counter = 1;
    bw_hmac256_init(&hmac, bw_view_of(prk, BW_SHA256_SIZE));
    bw_hmac256_begin(&hmac, &running);
    add(&running, bw_view_of(length, sizeof length));
    add(&running, bw_view_str(version));
    add(&running, suite);
    add(&running, bw_view_str(label));
    add(&running, info);
    add(&running, bw_view_of(&counter, 1));
    bw_hmac256_end(&hmac, &running, block);
    memcpy(out, block, len);
    bw_wipe(block, sizeof block);
    bw_wipe(&running, sizeof running);
    bw_hmac256_finish(&hmac);
}

/* What both sides derive from the agreement; a secret. */
struct schedule {
    uint8_t key[BW_GCM_KEY_SIZE], nonce[BW_GCM_NONCE_SIZE];
};

/* ExtractAndExpand (4.1). */
static void share(const uint8_t dh[BW_X25519_SIZE], const uint8_t enc[BW_X25519_SIZE],
                  const uint8_t recipient_public[BW_X25519_SIZE], uint8_t shared[BW_SHA256_SIZE])
{
    uint8_t prk[BW_SHA256_SIZE], kem_context[2 * BW_X25519_SIZE];
    memcpy(kem_context, enc, BW_X25519_SIZE);
    memcpy(kem_context + BW_X25519_SIZE, recipient_public, BW_X25519_SIZE);
    labeled_extract(SUITE(kem_suite), bw_view_of(NULL, 0), "eae_prk", bw_view_of(dh, BW_X25519_SIZE), prk);
    labeled_expand(SUITE(kem_suite), prk, "shared_secret", bw_view_of(kem_context, sizeof kem_context),
                   shared, BW_SHA256_SIZE);
    bw_wipe(prk, sizeof prk);
}

/* KeySchedule (5.1) for base mode: no pre-shared key. */
static void derive(const uint8_t shared[BW_SHA256_SIZE], struct bw_view info, struct schedule *out)
{
    const struct bw_view none = bw_view_of(NULL, 0);
    uint8_t prk[BW_SHA256_SIZE], context[1 + 2 * BW_SHA256_SIZE] = {0}; /* mode_base */
    labeled_extract(SUITE(hpke_suite), none, "psk_id_hash", none, context + 1);
    labeled_extract(SUITE(hpke_suite), none, "info_hash", info, context + 1 + BW_SHA256_SIZE);
    labeled_extract(SUITE(hpke_suite), bw_view_of(shared, BW_SHA256_SIZE), "secret", none, prk);
    struct bw_view whole = bw_view_of(context, sizeof context);
    labeled_expand(SUITE(hpke_suite), prk, "key", whole, out->key, sizeof out->key);
    labeled_expand(SUITE(hpke_suite), prk, "base_nonce", whole, out->nonce, sizeof out->nonce);
    bw_wipe(prk, sizeof prk);
}

enum bw_code bw_hpke_encapsulate(const uint8_t recipient_public[BW_X25519_SIZE],
                                 const uint8_t ephemeral[BW_X25519_SIZE], struct bw_hpke_capsule *capsule,
                                 struct bw_error *err)
{
    uint8_t enc[BW_X25519_SIZE], dh[BW_X25519_SIZE];
    enum bw_code code = bw_x25519_pair(ephemeral, recipient_public, enc, dh, err);
    if (code != BW_OK)
        return code;
    memcpy(capsule->enc, enc, sizeof enc);
    share(dh, enc, recipient_public, capsule->shared);
    capsule->fresh = true;
    bw_wipe(dh, sizeof dh);
    return BW_OK;
}

enum bw_code bw_hpke_seal_with(struct bw_gcm *gcm, struct bw_hpke_capsule *capsule, struct bw_view info,
                               struct bw_view aad, struct bw_view plaintext, uint8_t enc[BW_X25519_SIZE],
                               uint8_t *sealed, struct bw_error *err)
{
    if (!capsule->fresh)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "an encapsulation seals one message");
    struct schedule schedule;
    derive(capsule->shared, info, &schedule);
    enum bw_code code =
        bw_gcm_seal(gcm, schedule.key, schedule.nonce, aad, plaintext, sealed, sealed + plaintext.len, err);
    if (code == BW_OK)
        memcpy(enc, capsule->enc, sizeof capsule->enc);
    bw_wipe(capsule, sizeof *capsule);
    bw_wipe(&schedule, sizeof schedule);
    return code;
}

enum bw_code bw_hpke_seal(struct bw_gcm *gcm, const uint8_t recipient_public[BW_X25519_SIZE],
                          const uint8_t ephemeral[BW_X25519_SIZE], struct bw_view info, struct bw_view aad,
                          struct bw_view plaintext, uint8_t enc[BW_X25519_SIZE], uint8_t *sealed,
                          struct bw_error *err)
{
    struct bw_hpke_capsule capsule;
    enum bw_code code = bw_hpke_encapsulate(recipient_public, ephemeral, &capsule, err);
    return code == BW_OK ? bw_hpke_seal_with(gcm, &capsule, info, aad, plaintext, enc, sealed, err) : code;
}

enum bw_code bw_hpke_open(struct bw_gcm *gcm, const uint8_t recipient_private[BW_X25519_SIZE],
                          const uint8_t enc[BW_X25519_SIZE], struct bw_view info, struct bw_view aad,
                          struct bw_view sealed, uint8_t *plaintext, struct bw_error *err)
{
    if (sealed.len < BW_HPKE_OVERHEAD)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "what is sealed has at least %d bytes",
                       BW_HPKE_OVERHEAD);
    uint8_t recipient_public[BW_X25519_SIZE], dh[BW_X25519_SIZE], shared[BW_SHA256_SIZE];
    struct schedule schedule;
    enum bw_code code = bw_x25519_pair(recipient_private, enc, recipient_public, dh, err);
    if (code != BW_OK)
        return code;
    share(dh, enc, recipient_public, shared);
    derive(shared, info, &schedule);
    size_t len = sealed.len - BW_HPKE_OVERHEAD;
    code = bw_gcm_open(gcm, schedule.key, schedule.nonce, aad, bw_view_of(sealed.data, len),
                       sealed.data + len, plaintext, err);
    bw_wipe(dh, sizeof dh);
    bw_wipe(shared, sizeof shared);
    bw_wipe(&schedule, sizeof schedule);
    return code;
}
