#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "check_alloc.h"
#include "crypto/ed25519.h"
#include "crypto/gcm.h"
#include "hex.h"

static struct bw_gcm *make_gcm(void)
{
    struct bw_gcm *gcm = NULL;
    struct bw_error err;
    assert_int_equal(bw_gcm_create(&gcm, &err), BW_OK);
    return gcm;
}

static void check_gcm(struct bw_gcm *gcm, struct bw_view key, struct bw_view nonce, struct bw_view aad,
                      struct bw_view plain, struct bw_view cipher, struct bw_view tag)
{
    uint8_t out[128], made_tag[16];
    assert_int_equal(bw_gcm_seal(gcm, key.data, nonce.data, aad, plain, out, made_tag, NULL), BW_OK);
    assert_memory_equal(out, cipher.data, cipher.len);
    assert_memory_equal(made_tag, tag.data, 16);
    /* Twice in a row, so that the second one finds a context that is set up; and one by one. */
    for (int i = 0; i < 3; i++) {
        memset(out, 0xee, sizeof out);
        memset(made_tag, 0, sizeof made_tag);
        assert_int_equal(bw_gcm_seal_keeping(gcm, key.data, nonce.data, aad, plain, out, made_tag, NULL),
                         BW_OK);
        assert_memory_equal(out, cipher.data, cipher.len);
        assert_memory_equal(made_tag, tag.data, 16);
        if (i == 1)
            bw_gcm_forget(gcm);
    }
    memset(out, 0xee, sizeof out);
    assert_int_equal(bw_gcm_open(gcm, key.data, nonce.data, aad, cipher, tag.data, out, NULL), BW_OK);
    assert_memory_equal(out, plain.data, plain.len);
}

#define P64                                                                                                  \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                                       \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define C64                                                                                                  \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                                       \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
#define K16 "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"

static void gcm_matches_nist_samples(void **state)
{
    (void)state;
    struct bw_gcm *gcm = make_gcm();
    struct bw_view none = bw_view_of(NULL, 0);
    struct bw_view zero = repeated(0, 64);
    check_gcm(gcm, zero, zero, none, none, none, hex("530f8afbc74536b9a963b4f1c4cb738b"));
    check_gcm(gcm, zero, zero, none, bw_view_of(zero.data, 16), hex("cea7403d4d606b6e074ec5d3baf39d18"),
              hex("d0d1c8a799996bf0265b98b5d48ab919"));
    check_gcm(gcm, hex(K16), hex("cafebabefacedbaddecaf888"), none, hex(P64 "1aafd255"), hex(C64 "898015ad"),
              hex("b094dac5d93471bdec1a502270e3cc6c"));
    check_gcm(gcm, hex(K16), hex("cafebabefacedbaddecaf888"), hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
              hex(P64), hex(C64), hex("76fc6ece0f4e1768cddf8853bb2d551b"));
    bw_gcm_destroy(gcm);
}

static void gcm_refuses_every_changed_bit_and_leaves_no_plaintext(void **state)
{
    (void)state;
    struct bw_gcm *gcm = make_gcm();
    struct bw_view key = hex(K16), nonce = hex("cafebabefacedbaddecaf888"), aad = bw_view_str("row 7");
    const char text[] = "who joined, from where";
    uint8_t record[sizeof text + 16], out[sizeof text], zero[sizeof text] = {0};
    assert_int_equal(bw_gcm_seal(gcm, key.data, nonce.data, aad, bw_view_of(text, sizeof text), record,
                                 record + sizeof text, NULL),
                     BW_OK);
    for (size_t bit = 0; bit < sizeof record * 8; bit++) {
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memset(out, 0xee, sizeof out);
        struct bw_error err;
        assert_int_equal(bw_gcm_open(gcm, key.data, nonce.data, aad, bw_view_of(record, sizeof text),
                                     record + sizeof text, out, &err),
                         BW_DATA_LOSS);
        assert_memory_equal(out, zero, sizeof out);
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(bw_gcm_open(gcm, key.data, nonce.data, bw_view_str("row 8"),
                                 bw_view_of(record, sizeof text), record + sizeof text, out, NULL),
                     BW_DATA_LOSS);
    assert_int_equal(bw_gcm_open(gcm, key.data, nonce.data, aad, bw_view_of(record, sizeof text),
                                 record + sizeof text, record, NULL),
                     BW_OK); /* in place */
    assert_memory_equal(record, text, sizeof text);
    bw_gcm_destroy(gcm);
}

static void check_signature(const char *seed, const char *public_key, struct bw_view message,
                            const char *expected)
{
    struct bw_ed25519_signer *signer = NULL;
    struct bw_ed25519_verifier *verifier = NULL;
    uint8_t made_public[32], signature[64];
    assert_int_equal(bw_ed25519_signer_create(hex(seed).data, &signer, NULL), BW_OK);
    bw_ed25519_signer_public(signer, made_public);
    assert_memory_equal(made_public, hex(public_key).data, 32);
    for (int i = 0; i < 2; i++) { /* a signer is kept, so its second signature must be as good */
        assert_int_equal(bw_ed25519_sign(signer, message, signature, NULL), BW_OK);
        assert_memory_equal(signature, hex(expected).data, 64);
    }
    assert_int_equal(bw_ed25519_verifier_create(made_public, &verifier, NULL), BW_OK);
    assert_true(bw_ed25519_verify(verifier, message, signature));
    signature[40] ^= 1;
    assert_false(bw_ed25519_verify(verifier, message, signature));
    assert_int_equal(ERR_peek_error(), 0);
    signature[40] ^= 1;
    assert_true(bw_ed25519_verify(verifier, message, signature));
    bw_ed25519_verifier_destroy(verifier);
    bw_ed25519_signer_destroy(signer);
}

static void ed25519_matches_rfc_8032(void **state)
{
    (void)state;
    check_signature("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", bw_view_of(NULL, 0),
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
    check_signature("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", hex("72"),
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    check_signature("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", hex("af82"),
                    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
    check_signature("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
                    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
                    hex("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"),
                    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
                    "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704");
}

static void a_key_that_is_no_curve_point_verifies_nothing(void **state)
{
    (void)state;
    struct bw_ed25519_verifier *verifier = NULL;
    uint8_t signature[64] = {1};
    if (bw_ed25519_verifier_create(repeated(0xff, 32).data, &verifier, NULL) == BW_OK)
        assert_false(bw_ed25519_verify(verifier, bw_view_str("m"), signature));
    bw_ed25519_verifier_destroy(verifier);
}

static bool create_all(void *context)
{
    (void)context;
    struct bw_gcm *gcm = NULL;
    struct bw_ed25519_signer *signer = NULL;
    struct bw_ed25519_verifier *verifier = NULL;
    uint8_t key[32] = {1}, public_key[32] = {0};
    struct bw_error err;
    bool ok = bw_gcm_create(&gcm, &err) == BW_OK && bw_ed25519_signer_create(key, &signer, &err) == BW_OK;
    if (ok) {
        bw_ed25519_signer_public(signer, public_key);
        ok = bw_ed25519_verifier_create(public_key, &verifier, &err) == BW_OK;
    }
    bw_ed25519_verifier_destroy(verifier);
    bw_ed25519_signer_destroy(signer);
    bw_gcm_destroy(gcm);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(bw_fail_each_allocation(create_all, NULL, true), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcm_matches_nist_samples),
        cmocka_unit_test(gcm_refuses_every_changed_bit_and_leaves_no_plaintext),
        cmocka_unit_test(ed25519_matches_rfc_8032),
        cmocka_unit_test(a_key_that_is_no_curve_point_verifies_nothing),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
