#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/hkdf.h"
#include "crypto/hmac.h"
#include "hex.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *expected)
{
    struct bw_view view = hex(expected);
    assert_int_equal(view.len, len);
    assert_memory_equal(bytes, view.data, len);
}

static void hashes_match_fips_180_samples(void **state)
{
    (void)state;
    uint8_t h256[32], h512[64];
    bw_sha256(bw_view_str("abc"), h256);
    assert_hex(h256, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    bw_sha256(bw_view_of(NULL, 0), h256);
    assert_hex(h256, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    bw_sha256(bw_view_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), h256);
    assert_hex(h256, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    bw_sha512(bw_view_str("abc"), h512);
    assert_hex(h512, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void hashing_in_pieces_equals_hashing_at_once(void **state)
{
    (void)state;
    uint8_t data[300], whole[64], pieces[64];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        struct bw_sha256 s256;
        bw_sha256_init(&s256);
        bw_sha256_update(&s256, data, cut);
        bw_sha256_update(&s256, data + cut, sizeof data - cut);
        bw_sha256_final(&s256, pieces);
        bw_sha256(bw_view_of(data, sizeof data), whole);
        assert_memory_equal(whole, pieces, 32);
        struct bw_sha512 s512;
        bw_sha512_init(&s512);
        bw_sha512_update(&s512, data, cut);
        bw_sha512_update(&s512, data + cut, sizeof data - cut);
        bw_sha512_final(&s512, pieces);
        bw_sha512(bw_view_of(data, sizeof data), whole);
        assert_memory_equal(whole, pieces, 64);
    }
}

static void check_hmac(struct bw_view key, struct bw_view message, const char *mac256, const char *mac512)
{
    uint8_t out[64];
    struct bw_hmac256 h256;
    bw_hmac256_init(&h256, key);
    bw_hmac256(&h256, message, out);
    assert_hex(out, 32, mac256);
    bw_hmac256(&h256, message, out); /* the kept context is untouched by use */
    assert_hex(out, 32, mac256);
    bw_hmac256_finish(&h256);
    struct bw_hmac512 h512;
    bw_hmac512_init(&h512, key);
    bw_hmac512(&h512, message, out);
    bw_hmac512(&h512, message, out);
    assert_hex(out, 64, mac512);
    bw_hmac512_finish(&h512);
}

static void hmac_matches_rfc_4231(void **state)
{
    (void)state;
    check_hmac(repeated(0x0b, 20), bw_view_str("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
               "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
               "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
    check_hmac(bw_view_str("Jefe"), bw_view_str("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    check_hmac(repeated(0xaa, 20), repeated(0xdd, 50),
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
               "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
               "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb");
    check_hmac(hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), repeated(0xcd, 50),
               "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
               "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
               "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd");
    check_hmac(repeated(0xaa, 131), bw_view_str("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
               "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
               "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
    check_hmac(repeated(0xaa, 131),
               bw_view_str("This is a test using a larger than block-size key and a larger than block-size "
                           "data. The key needs to be hashed before being used by the HMAC algorithm."),
               "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
               "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
               "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58");
}

static void finishing_an_hmac_wipes_it(void **state)
{
    (void)state;
    struct bw_hmac256 hmac, zero;
    memset(&zero, 0, sizeof zero);
    bw_hmac256_init(&hmac, bw_view_str("key"));
    assert_memory_not_equal(&hmac, &zero, sizeof zero);
    bw_hmac256_finish(&hmac);
    assert_memory_equal(&hmac, &zero, sizeof zero);
}

static void check_hkdf256(struct bw_view ikm, struct bw_view salt, struct bw_view info, const char *prk,
                          const char *okm)
{
    uint8_t made_prk[32], made[82];
    size_t len = strlen(okm) / 2;
    bw_hkdf256_extract(salt, ikm, made_prk);
    assert_hex(made_prk, 32, prk);
    bw_hkdf256_expand(made_prk, info, made, len);
    assert_hex(made, len, okm);
    memset(made, 0, sizeof made);
    bw_hkdf256(salt, ikm, info, made, len);
    assert_hex(made, len, okm);
}

static void hkdf_matches_rfc_5869(void **state)
{
    (void)state;
    check_hkdf256(repeated(0x0b, 22), hex("000102030405060708090a0b0c"), hex("f0f1f2f3f4f5f6f7f8f9"),
                  "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
                  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    uint8_t counting[256];
    for (size_t i = 0; i < sizeof counting; i++)
        counting[i] = (uint8_t)i;
    check_hkdf256(bw_view_of(counting, 0x50), bw_view_of(counting + 0x60, 0x50),
                  bw_view_of(counting + 0xb0, 0x50),
                  "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
                  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                  "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                  "cc30c58179ec3e87c14c01d5c1f3434f1d87");
    check_hkdf256(repeated(0x0b, 22), bw_view_of(NULL, 0), bw_view_of(NULL, 0),
                  "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
                  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* RFC 5869 has no SHA-512 vectors, so OpenSSL's own HKDF, which shares no code with ours, is the reference.
 */
static void openssl_hkdf(const char *digest, struct bw_view ikm, struct bw_view salt, struct bw_view info,
                         uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)ikm.data, ikm.len),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data, salt.len),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.data, info.len),
        OSSL_PARAM_END,
    };
    assert_int_equal(EVP_KDF_derive(context, out, len, params), 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

static void hkdf_of_any_length_equals_openssl(void **state)
{
    (void)state;
    uint8_t ours[300], theirs[300];
    for (size_t len = 1; len < sizeof ours; len += 13) {
        struct bw_view ikm = repeated((uint8_t)len, 1 + len % 200), salt = repeated(0x5a, 1 + len % 150);
        struct bw_view info = bw_view_str("rec/v1 enc");
        bw_hkdf512(salt, ikm, info, ours, len);
        openssl_hkdf("SHA512", ikm, salt, info, theirs, len);
        assert_memory_equal(ours, theirs, len);
        bw_hkdf256(salt, ikm, info, ours, len);
        openssl_hkdf("SHA256", ikm, salt, info, theirs, len);
        assert_memory_equal(ours, theirs, len);
    }
    uint8_t longest[255 * 32], reference[255 * 32];
    bw_hkdf256(bw_view_str("s"), bw_view_str("k"), bw_view_str("i"), longest, sizeof longest);
    openssl_hkdf("SHA256", bw_view_str("k"), bw_view_str("s"), bw_view_str("i"), reference, sizeof reference);
    assert_memory_equal(longest, reference, sizeof longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_match_fips_180_samples),
        cmocka_unit_test(hashing_in_pieces_equals_hashing_at_once),
        cmocka_unit_test(hmac_matches_rfc_4231),
        cmocka_unit_test(finishing_an_hmac_wipes_it),
        cmocka_unit_test(hkdf_matches_rfc_5869),
        cmocka_unit_test(hkdf_of_any_length_equals_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
