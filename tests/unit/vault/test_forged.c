/* Records that no writer of ours makes, by somebody who has the key. AES-GCM does not commit to its key: who
 * knows two keys can make one ciphertext and tag that open under both, and so show different things to
 * different readers. This makes such a ciphertext inside a record and shows that GCM takes it under both
 * keys, and that the record format does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "crypto/hkdf.h"
#include "vault/record.h"

enum { BLOCK = 16, SALT = 88, COMMITMENT = 120, CIPHERTEXT = 156, AAD = CIPHERTEXT + BW_RECORD_CONTEXT_SIZE };

struct block {
    uint8_t bytes[BLOCK];
};

static struct block xor_of(struct block a, struct block b)
{
    for (size_t i = 0; i < BLOCK; i++)
        a.bytes[i] ^= b.bytes[i];
    return a;
}

/* In GCM's field: bit 0 is the highest bit of the first byte (NIST SP 800-38D, 6.3). */
static struct block times(struct block x, struct block y)
{
    struct block z = {{0}};
    for (size_t bit = 0; bit < 128; bit++) {
        if (x.bytes[bit / 8] >> (7 - bit % 8) & 1)
            z = xor_of(z, y);
        unsigned carry = 0, low = y.bytes[BLOCK - 1] & 1;
        for (size_t i = 0; i < BLOCK; i++) {
            unsigned next = y.bytes[i] & 1;
            y.bytes[i] = (uint8_t)(y.bytes[i] >> 1 | carry << 7);
            carry = next;
        }
        if (low)
            y.bytes[0] ^= 0xe1;
    }
    return z;
}

/* x^(2^128 - 2) */
static struct block inverse(struct block x)
{
    struct block result = {{0x80}}, power = x;
    for (int i = 1; i < 128; i++) {
        power = times(power, power);
        result = times(result, power);
    }
    return result;
}

static struct block encrypt_block(const uint8_t key[BW_GCM_KEY_SIZE], struct block in)
{
    struct block out;
    int n;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    assert_non_null(context);
    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), NULL, key, NULL), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(context, 0), 1);
    assert_int_equal(EVP_EncryptUpdate(context, out.bytes, &n, in.bytes, BLOCK), 1);
    EVP_CIPHER_CTX_free(context);
    return out;
}

/* What a reader derives from a meeting key, written from the format and not from the code. */
struct derived {
    uint8_t gcm[BW_GCM_KEY_SIZE + BW_GCM_NONCE_SIZE], commitment[32];
    struct block h, mask;
};

static struct derived derive(const uint8_t key[BW_RECORD_KEY_SIZE], const uint8_t aad[AAD])
{
    struct derived d;
    uint8_t prk[BW_SHA512_SIZE], place[SALT + BW_RECORD_CONTEXT_SIZE], info[10 + BW_SHA512_SIZE];
    memcpy(place, aad, SALT);
    memcpy(place + SALT, aad + CIPHERTEXT, BW_RECORD_CONTEXT_SIZE);
    bw_hkdf512_extract(bw_view_of(aad + SALT, 32), bw_view_of(key, BW_RECORD_KEY_SIZE), prk);
    bw_sha512(bw_view_of(place, sizeof place), info + 10);
    memcpy(info, "rec/v1 enc", 10);
    bw_hkdf512_expand(prk, bw_view_of(info, sizeof info), d.gcm, sizeof d.gcm);
    memcpy(info, "rec/v1 com", 10);
    bw_hkdf512_expand(prk, bw_view_of(info, sizeof info), d.commitment, sizeof d.commitment);
    struct block counter = {{0}};
    d.h = encrypt_block(d.gcm, counter);
    memcpy(counter.bytes, d.gcm + BW_GCM_KEY_SIZE, BW_GCM_NONCE_SIZE);
    counter.bytes[BLOCK - 1] = 1;
    d.mask = encrypt_block(d.gcm, counter);
    return d;
}

/* The tag of a ciphertext of one block. */
static struct block tag_of(const struct derived *d, const uint8_t aad[AAD], struct block ciphertext)
{
    struct block s = {{0}}, part;
    for (size_t at = 0; at < AAD; at += BLOCK) {
        size_t n = AAD - at < BLOCK ? AAD - at : BLOCK;
        part = (struct block){{0}};
        memcpy(part.bytes, aad + at, n);
        s = times(xor_of(s, part), d->h);
    }
    s = times(xor_of(s, ciphertext), d->h);
    part = (struct block){{[6] = AAD * 8 >> 8, [7] = AAD * 8 & 0xff, [15] = BLOCK * 8}};
    s = times(xor_of(s, part), d->h);
    return xor_of(s, d->mask);
}

static enum bw_code gcm_opens(struct bw_gcm *gcm, const struct derived *d, const uint8_t *aad,
                              const struct block *ciphertext, const struct block *tag)
{
    uint8_t plain[BLOCK];
    return bw_gcm_open(gcm, d->gcm, d->gcm + BW_GCM_KEY_SIZE, bw_view_of(aad, AAD),
                       bw_view_of(ciphertext->bytes, BLOCK), tag->bytes, plain, NULL);
}

static void a_ciphertext_for_two_keys_opens_under_one(void **state)
{
    (void)state;
    static const uint8_t key_a[BW_RECORD_KEY_SIZE] = {1}, key_b[BW_RECORD_KEY_SIZE] = {2},
                         thirty_two[32] = {3};
    const struct bw_record_info info = {.type = BW_RECORD_CHUNK, .schema = 1};
    const struct bw_record_context context = {.tenant = {{4}}, .table = "qchk", .column = "body"};
    const uint8_t text[BLOCK] = "sixteen bytes..";
    struct bw_gcm *gcm = NULL;
    struct bw_buf record = {0}, plain = {0};
    struct bw_record_info got;
    struct bw_error err;
    assert_int_equal(bw_gcm_create(&gcm, NULL), BW_OK);
    assert_int_equal(bw_record_seal(gcm, key_a, &info, &context, bw_view_of(text, BLOCK), thirty_two,
                                    thirty_two, &record, NULL),
                     BW_OK);
    uint8_t aad[AAD] = {0};
    memcpy(aad, record.data, CIPHERTEXT);
    aad[CIPHERTEXT] = 4;
    memcpy(aad + CIPHERTEXT + 64, "qchkbody", 8);
    const struct derived a = derive(key_a, aad), b = derive(key_b, aad);
    assert_memory_equal(a.commitment, record.data + COMMITMENT, sizeof a.commitment);

    /* One block c with tag_a(c) = tag_b(c): both are linear in it, with the factor h². */
    const struct block zero = {{0}};
    struct block difference = xor_of(tag_of(&a, aad, zero), tag_of(&b, aad, zero));
    struct block factor = xor_of(times(a.h, a.h), times(b.h, b.h));
    struct block ciphertext = times(difference, inverse(factor)), tag = tag_of(&a, aad, ciphertext);
    assert_int_equal(gcm_opens(gcm, &a, aad, &ciphertext, &tag), BW_OK);
    assert_int_equal(gcm_opens(gcm, &b, aad, &ciphertext, &tag), BW_OK); /* GCM alone is fooled */

    memcpy(record.data + CIPHERTEXT, ciphertext.bytes, BLOCK);
    memcpy(record.data + CIPHERTEXT + BLOCK, tag.bytes, BLOCK);
    assert_int_equal(bw_record_open(gcm, key_a, &context, bw_buf_view(&record), &got, &plain, NULL), BW_OK);
    assert_int_equal(bw_record_open(gcm, key_b, &context, bw_buf_view(&record), &got, &plain, &err),
                     BW_DATA_LOSS);
    assert_string_equal(err.reason, "RECORD_COMMITMENT");
    bw_buf_finish(&record);
    bw_buf_finish(&plain);
    bw_gcm_destroy(gcm);
}

/* Seals `padded` as it is under a header with one byte set: every key and tag is right. */
static enum bw_code open_forged(size_t at, uint8_t value, struct bw_view padded, struct bw_error *err)
{
    static const uint8_t key[BW_RECORD_KEY_SIZE] = {1}, thirty_two[32] = {3};
    const struct bw_record_info info = {.type = BW_RECORD_CHUNK, .pad_class = 5};
    const struct bw_record_context context = {.tenant = {{4}}, .table = "qchk", .column = "body"};
    struct bw_gcm *gcm = NULL;
    struct bw_buf record = {0}, plain = {0};
    struct bw_record_info got;
    assert_int_equal(bw_gcm_create(&gcm, NULL), BW_OK);
    assert_int_equal(bw_record_seal(gcm, key, &info, &context, bw_view_of(padded.data, padded.len - 1),
                                    thirty_two, thirty_two, &record, NULL),
                     BW_OK);
    assert_int_equal(record.len, BW_RECORD_OVERHEAD + padded.len);
    record.data[at] = value;
    uint8_t aad[AAD] = {0};
    memcpy(aad, record.data, CIPHERTEXT);
    aad[CIPHERTEXT] = 4;
    memcpy(aad + CIPHERTEXT + 64, "qchkbody", 8);
    const struct derived d = derive(key, aad);
    memcpy(aad + COMMITMENT, d.commitment, sizeof d.commitment);
    memcpy(record.data + COMMITMENT, d.commitment, sizeof d.commitment);
    assert_int_equal(bw_gcm_seal(gcm, d.gcm, d.gcm + BW_GCM_KEY_SIZE, bw_view_of(aad, sizeof aad), padded,
                                 record.data + CIPHERTEXT, record.data + CIPHERTEXT + padded.len, NULL),
                     BW_OK);
    enum bw_code code = bw_record_open(gcm, key, &context, bw_buf_view(&record), &got, &plain, err);
    if (code == BW_OK)
        assert_true(plain.len < padded.len);
    else
        assert_int_equal(plain.len, 0);
    bw_buf_finish(&record);
    bw_buf_finish(&plain);
    bw_gcm_destroy(gcm);
    return code;
}

static void padding_that_no_writer_makes_is_refused(void **state)
{
    (void)state;
    enum { EPOCH = 72, PAD = 64 };
    uint8_t padded[PAD] = {0};
    struct bw_error err;
    const struct bw_view view = bw_view_of(padded, sizeof padded);
    padded[PAD - 1] = 0x80;
    assert_int_equal(open_forged(EPOCH, 0, view, &err), BW_OK);
    padded[PAD - 1] = 0x81;
    assert_int_equal(open_forged(EPOCH, 0, view, &err), BW_DATA_LOSS);
    assert_string_equal(err.reason, "RECORD_SHAPE");
    padded[PAD - 1] = 0; /* no marker at all */
    assert_int_equal(open_forged(EPOCH, 0, view, &err), BW_DATA_LOSS);
    padded[PAD - 32] = 0x80; /* the first place of the last block */
    assert_int_equal(open_forged(EPOCH, 0, view, &err), BW_OK);
    padded[PAD - 32] = 0;
    padded[PAD - 33] = 0x80; /* a block more than it takes */
    assert_int_equal(open_forged(EPOCH, 0, view, &err), BW_DATA_LOSS);
}

static void reserved_bytes_must_be_zero(void **state)
{
    (void)state;
    uint8_t padded[32] = {[31] = 0x80};
    struct bw_error err;
    for (size_t at = 80; at < 88; at++) {
        assert_int_equal(open_forged(at, 1, bw_view_of(padded, sizeof padded), &err), BW_DATA_LOSS);
        assert_string_equal(err.reason, "RECORD_SHAPE");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ciphertext_for_two_keys_opens_under_one),
        cmocka_unit_test(padding_that_no_writer_makes_is_refused),
        cmocka_unit_test(reserved_bytes_must_be_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
