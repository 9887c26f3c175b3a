#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "crypto/hkdf.h"
#include "crypto/hpke.h"
#include "hex.h"

static struct bw_gcm *make_gcm(void)
{
    struct bw_gcm *gcm = NULL;
    assert_int_equal(bw_gcm_create(&gcm, NULL), BW_OK);
    return gcm;
}

static void x25519_matches_rfc_7748(void **state)
{
    (void)state;
    uint8_t out[BW_X25519_SIZE];
    /* section 5.2: one agreement, then the iterated one */
    assert_int_equal(bw_x25519(hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4").data,
                               hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c").data,
                               out, NULL),
                     BW_OK);
    assert_memory_equal(out, hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552").data,
                        sizeof out);
    uint8_t k[BW_X25519_SIZE] = {9}, u[BW_X25519_SIZE] = {9};
    for (int i = 1; i <= 1000; i++) {
        assert_int_equal(bw_x25519(k, u, out, NULL), BW_OK);
        memcpy(u, k, sizeof u);
        memcpy(k, out, sizeof k);
        if (i == 1)
            assert_memory_equal(
                k, hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079").data, sizeof k);
    }
    assert_memory_equal(k, hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51").data,
                        sizeof k);
    /* A public key is the agreement with the base point. */
    const uint8_t base[BW_X25519_SIZE] = {9};
    uint8_t public_key[BW_X25519_SIZE];
    assert_int_equal(bw_x25519_public(k, public_key, NULL), BW_OK);
    assert_int_equal(bw_x25519(k, base, out, NULL), BW_OK);
    assert_memory_equal(public_key, out, sizeof out);
    uint8_t pair_public[BW_X25519_SIZE], pair_shared[BW_X25519_SIZE];
    assert_int_equal(bw_x25519(k, u, out, NULL), BW_OK);
    assert_int_equal(bw_x25519_pair(k, u, pair_public, pair_shared, NULL), BW_OK);
    assert_memory_equal(pair_public, public_key, sizeof pair_public);
    assert_memory_equal(pair_shared, out, sizeof pair_shared);
}

/* RFC 7748, 6.1: what such a peer agrees on would be the same for everybody. */
static void x25519_refuses_points_of_small_order(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t out[BW_X25519_SIZE], enc[BW_X25519_SIZE], sealed[1 + BW_HPKE_OVERHEAD] = {0}, plain[1];
    struct bw_gcm *gcm = make_gcm();
    struct bw_view none = bw_view_of(NULL, 0), private_key = repeated(7, 32);
    for (size_t i = 0; i < BW_ARRAY_LEN(points); i++) {
        struct bw_view point = hex(points[i]);
        struct bw_error err = {0};
        assert_int_equal(bw_x25519(private_key.data, point.data, out, &err), BW_INVALID_ARGUMENT);
        assert_non_null(strstr(err.show, "small order"));
        assert_int_equal(
            bw_hpke_seal(gcm, point.data, private_key.data, none, none, bw_view_str("x"), enc, sealed, NULL),
            BW_INVALID_ARGUMENT);
        assert_int_equal(bw_hpke_open(gcm, private_key.data, point.data, none, none,
                                      bw_view_of(sealed, sizeof sealed), plain, NULL),
                         BW_INVALID_ARGUMENT);
        assert_int_equal(ERR_peek_error(), 0);
    }
    bw_gcm_destroy(gcm);
}

/* RFC 9180, 7.1.3: the ephemeral key of a test vector is derived from its ikmE. */
static void derive_key(struct bw_view ikm, uint8_t out[BW_X25519_SIZE])
{
    static const char prk_label[] = "HPKE-v1KEM\0\x20"
                                    "dkp_prk",
                      sk_label[] = "\0\x20"
                                   "HPKE-v1KEM\0\x20"
                                   "sk";
    uint8_t prk[BW_SHA256_SIZE];
    struct bw_buf labeled = {0};
    bw_buf_append(&labeled, prk_label, sizeof prk_label - 1);
    bw_buf_append(&labeled, ikm.data, ikm.len);
    assert_false(labeled.failed);
    bw_hkdf256_extract(bw_view_of(NULL, 0), bw_buf_view(&labeled), prk);
    bw_hkdf256_expand(prk, bw_view_of(sk_label, sizeof sk_label - 1), out, BW_X25519_SIZE);
    bw_buf_finish(&labeled);
}

/* test-vectors.json of the specification: mode 0, kem_id 32, kdf_id 1, aead_id 2, sequence number 0. */
static const char info_hex[] = "4f6465206f6e2061204772656369616e2055726e", aad_hex[] = "436f756e742d30",
                  seed_hex[] = "2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9",
                  private_hex[] = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
                  public_hex[] = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c",
                  enc_hex[] = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
                  plain_hex[] = "4265617574792069732074727574682c20747275746820626561757479",
                  sealed_hex[] =
                      "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a9"
                      "25cdad859d5b7a";

static void hpke_matches_rfc_9180(void **state)
{
    (void)state;
    struct bw_gcm *gcm = make_gcm();
    uint8_t ephemeral[BW_X25519_SIZE], public_key[BW_X25519_SIZE], enc[BW_X25519_SIZE], sealed[45], plain[29];
    derive_key(hex(seed_hex), ephemeral);
    assert_int_equal(bw_x25519_public(hex(private_hex).data, public_key, NULL), BW_OK);
    assert_memory_equal(public_key, hex(public_hex).data, sizeof public_key);

    assert_int_equal(bw_hpke_seal(gcm, public_key, ephemeral, hex(info_hex), hex(aad_hex), hex(plain_hex),
                                  enc, sealed, NULL),
                     BW_OK);
    assert_memory_equal(enc, hex(enc_hex).data, sizeof enc);
    assert_memory_equal(sealed, hex(sealed_hex).data, sizeof sealed);
    assert_int_equal(bw_hpke_open(gcm, hex(private_hex).data, enc, hex(info_hex), hex(aad_hex),
                                  bw_view_of(sealed, sizeof sealed), plain, NULL),
                     BW_OK);
    assert_memory_equal(plain, hex(plain_hex).data, sizeof plain);
    bw_gcm_destroy(gcm);
}

/* Both halves of it give what the vector has, and the second one works once. */
static void a_capsule_seals_one_message(void **state)
{
    (void)state;
    static const struct bw_hpke_capsule wiped;
    struct bw_gcm *gcm = make_gcm();
    struct bw_hpke_capsule capsule, copy;
    uint8_t ephemeral[BW_X25519_SIZE], enc[BW_X25519_SIZE], sealed[45];
    derive_key(hex(seed_hex), ephemeral);
    assert_int_equal(bw_hpke_encapsulate(hex(public_hex).data, ephemeral, &capsule, NULL), BW_OK);
    assert_true(capsule.fresh);
    assert_memory_equal(capsule.enc, hex(enc_hex).data, sizeof capsule.enc);
    copy = capsule;
    assert_int_equal(
        bw_hpke_seal_with(gcm, &capsule, hex(info_hex), hex(aad_hex), hex(plain_hex), enc, sealed, NULL),
        BW_OK);
    assert_memory_equal(enc, hex(enc_hex).data, sizeof enc);
    assert_memory_equal(sealed, hex(sealed_hex).data, sizeof sealed);
    assert_memory_equal(&capsule, &wiped, sizeof capsule);

    uint8_t untouched[45];
    memcpy(untouched, sealed, sizeof sealed);
    assert_int_equal(
        bw_hpke_seal_with(gcm, &capsule, hex(info_hex), hex(aad_hex), hex(plain_hex), enc, sealed, NULL),
        BW_INVALID_ARGUMENT);
    assert_memory_equal(sealed, untouched, sizeof sealed);
    /* Wiped also when sealing fails. */
    const struct bw_view too_long = bw_view_of(sealed, (size_t)INT_MAX + 1);
    assert_int_equal(
        bw_hpke_seal_with(gcm, &copy, hex(info_hex), too_long, hex(plain_hex), enc, sealed, NULL),
        BW_INVALID_ARGUMENT);
    assert_memory_equal(&copy, &wiped, sizeof copy);

    /* A bad recipient gives none. */
    const uint8_t small_order[BW_X25519_SIZE] = {1};
    assert_int_equal(bw_hpke_encapsulate(small_order, ephemeral, &capsule, NULL), BW_INVALID_ARGUMENT);
    assert_memory_equal(&capsule, &wiped, sizeof capsule);
    bw_gcm_destroy(gcm);
}

static enum bw_code open_with(struct bw_gcm *gcm, struct bw_view key, struct bw_view enc, struct bw_view info,
                              struct bw_view aad, struct bw_view sealed)
{
    static const uint8_t zero[29];
    uint8_t plain[29];
    memset(plain, 0xee, sizeof plain);
    enum bw_code code = bw_hpke_open(gcm, key.data, enc.data, info, aad, sealed, plain, NULL);
    if (code == BW_DATA_LOSS)
        assert_memory_equal(plain, zero, sizeof plain);
    return code;
}

static void hpke_refuses_whatever_differs(void **state)
{
    (void)state;
    struct bw_gcm *gcm = make_gcm();
    uint8_t sealed[45], enc[32], other[32];
    memcpy(sealed, hex(sealed_hex).data, sizeof sealed);
    memcpy(enc, hex(enc_hex).data, sizeof enc);
    memcpy(other, hex(private_hex).data, sizeof other);
    other[5] ^= 1;
    struct bw_view key = hex(private_hex), info = hex(info_hex), aad = hex(aad_hex);
    struct bw_view whole = bw_view_of(sealed, sizeof sealed), capsule = bw_view_of(enc, sizeof enc);
    assert_int_equal(open_with(gcm, key, capsule, info, aad, whole), BW_OK);
    assert_int_equal(open_with(gcm, bw_view_of(other, 32), capsule, info, aad, whole), BW_DATA_LOSS);
    assert_int_equal(open_with(gcm, key, capsule, aad, aad, whole), BW_DATA_LOSS);
    assert_int_equal(open_with(gcm, key, capsule, info, info, whole), BW_DATA_LOSS);
    for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(open_with(gcm, key, capsule, info, aad, whole), BW_DATA_LOSS);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* The top bit of a u-coordinate is ignored by X25519 (RFC 7748, 5), but hashed by HPKE. */
    for (size_t bit = 0; bit < sizeof enc * 8; bit++) {
        enc[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(open_with(gcm, key, capsule, info, aad, whole), BW_DATA_LOSS);
        enc[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < sizeof sealed; len++) {
        uint8_t plain[29];
        enum bw_code code = bw_hpke_open(gcm, key.data, enc, info, aad, bw_view_of(sealed, len), plain, NULL);
        assert_int_equal(code, len < BW_HPKE_OVERHEAD ? BW_INVALID_ARGUMENT : BW_DATA_LOSS);
    }
    assert_int_equal(ERR_peek_error(), 0);
    bw_gcm_destroy(gcm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x25519_matches_rfc_7748),
        cmocka_unit_test(x25519_refuses_points_of_small_order),
        cmocka_unit_test(hpke_matches_rfc_9180),
        cmocka_unit_test(a_capsule_seals_one_message),
        cmocka_unit_test(hpke_refuses_whatever_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
