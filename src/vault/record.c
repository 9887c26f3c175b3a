#include "vault/record.h"

#include <string.h>

#include "base/secret.h"
#include "crypto/hkdf.h"
#include "crypto/hmac.h"

/* Offsets in a record. */
enum {
    AT_RESERVED = 80,
    AT_SALT = 88, /* also how much of the header keys are derived from */
    AT_COMMITMENT = 120,
    AT_LENGTH = 152,
    AT_CIPHERTEXT = 156,
    SALT_SIZE = AT_COMMITMENT - AT_SALT,
    COMMITMENT_SIZE = AT_LENGTH - AT_COMMITMENT,
    VERSION = 1,
    SUITE = 1, /* HKDF-SHA512 and AES-256-GCM */
};

static const uint8_t magic[4] = {'M', 'R', 'E', 'C'};

/* A record's head and its context behind it: the additional data of the one GCM call. */
struct head {
    uint8_t bytes[AT_CIPHERTEXT + BW_RECORD_CONTEXT_SIZE];
};

/* Made for one record; secret. */
struct keys {
    uint8_t gcm[BW_GCM_KEY_SIZE + BW_GCM_NONCE_SIZE];
    uint8_t commitment[COMMITMENT_SIZE];
};

void bw_record_region(const char *cell, uint8_t region[8])
{
    struct bw_sha256 state;
    uint8_t hash[BW_SHA256_SIZE];
    bw_sha256_init(&state);
    bw_sha256_update(&state, "bw-cell/v1", strlen("bw-cell/v1"));
    bw_sha256_update(&state, cell, strlen(cell));
    bw_sha256_final(&state, hash);
    memcpy(region, hash, 8);
}

static bool pad_class_exists(uint16_t pad_class)
{
    return pad_class == 0 || (pad_class >= BW_RECORD_PAD_CLASS_MIN && pad_class <= BW_RECORD_PAD_CLASS_MAX);
}

/* There is always room for the marker, so a full block gets another one. */
static size_t padded(size_t plain, uint16_t pad_class)
{
    return pad_class == 0 ? plain : ((plain >> pad_class) + 1) << pad_class;
}

size_t bw_record_size(size_t plain, uint16_t pad_class)
{
    return padded(plain, pad_class) + BW_RECORD_OVERHEAD;
}

static void write_context(const struct bw_record_context *context, uint8_t *to)
{
    struct bw_writer w = bw_writer_of(to, BW_RECORD_CONTEXT_SIZE);
    bw_write_bytes(&w, context->tenant.bytes, sizeof context->tenant.bytes);
    bw_write_bytes(&w, context->meeting.bytes, sizeof context->meeting.bytes);
    bw_write_bytes(&w, context->row.bytes, sizeof context->row.bytes);
    bw_write_bytes(&w, context->region, sizeof context->region);
    bw_write_bytes(&w, context->scope, sizeof context->scope);
    bw_write_bytes(&w, context->table, sizeof context->table);
    bw_write_bytes(&w, context->column, sizeof context->column);
}

static void write_info(const struct bw_record_info *info, uint8_t *to)
{
    struct bw_writer w = bw_writer_of(to, AT_SALT);
    bw_write_bytes(&w, magic, sizeof magic);
    bw_write_u8(&w, VERSION);
    bw_write_u8(&w, SUITE);
    bw_write_u8(&w, info->type);
    bw_write_u8(&w, info->flags);
    bw_write_bytes(&w, info->meeting_key.bytes, sizeof info->meeting_key.bytes);
    bw_write_bytes(&w, info->participant_key.bytes, sizeof info->participant_key.bytes);
    bw_write_bytes(&w, info->stream.bytes, sizeof info->stream.bytes);
    bw_write_u64(&w, info->chunk_seq);
    bw_write_u64(&w, (uint64_t)info->time_bucket);
    bw_write_u32(&w, info->epoch);
    bw_write_u16(&w, info->schema);
    bw_write_u16(&w, info->pad_class);
    bw_write_u64(&w, 0);
}

static void hash_place(const struct head *head, uint8_t hash[BW_SHA512_SIZE])
{
    struct bw_sha512 state;
    bw_sha512_init(&state);
    bw_sha512_update(&state, head->bytes, AT_SALT);
    bw_sha512_update(&state, head->bytes + AT_CIPHERTEXT, BW_RECORD_CONTEXT_SIZE);
    bw_sha512_final(&state, hash);
}

/* One block of HKDF-Expand, of which `len` bytes are wanted. */
static void expand(const struct bw_hmac512 *prk, const char *label, const uint8_t place[BW_SHA512_SIZE],
                   uint8_t *out, size_t len)
{
    const uint8_t counter = 1;
    uint8_t block[BW_SHA512_SIZE];
    struct bw_sha512 running;
    bw_hmac512_begin(prk, &running);
    bw_sha512_update(&running, label, strlen(label));
    bw_sha512_update(&running, place, BW_SHA512_SIZE);
    bw_sha512_update(&running, &counter, 1);
    bw_hmac512_end(prk, &running, block);
    memcpy(out, block, len);
    bw_wipe(block, sizeof block);
    bw_wipe(&running, sizeof running);
}

static void derive(const uint8_t key[BW_RECORD_KEY_SIZE], const struct head *head, struct keys *keys)
{
    uint8_t place[BW_SHA512_SIZE], prk[BW_SHA512_SIZE];
    struct bw_hmac512 hmac;
    hash_place(head, place);
    bw_hkdf512_extract(bw_view_of(head->bytes + AT_SALT, SALT_SIZE), bw_view_of(key, BW_RECORD_KEY_SIZE),
                       prk);
    bw_hmac512_init(&hmac, bw_view_of(prk, sizeof prk));
    expand(&hmac, "rec/v1 enc", place, keys->gcm, sizeof keys->gcm);
    expand(&hmac, "rec/v1 com", place, keys->commitment, sizeof keys->commitment);
    bw_hmac512_finish(&hmac);
    bw_wipe(prk, sizeof prk);
}

/* Randomness alone would do. The hedge keeps salts of different records apart even if it repeats itself. */
static void make_salt(const struct head *head, struct bw_view plaintext,
                      const uint8_t hedge[BW_RECORD_HEDGE_SIZE], const uint8_t random[BW_RECORD_RANDOM_SIZE],
                      uint8_t salt[SALT_SIZE])
{
    uint8_t digest[BW_SHA512_SIZE];
    struct bw_hmac256 hmac;
    struct bw_sha256 running;
    bw_sha512(plaintext, digest);
    bw_hmac256_init(&hmac, bw_view_of(hedge, BW_RECORD_HEDGE_SIZE));
    bw_hmac256_begin(&hmac, &running);
    bw_sha256_update(&running, random, BW_RECORD_RANDOM_SIZE);
    bw_sha256_update(&running, head->bytes, AT_SALT);
    bw_sha256_update(&running, head->bytes + AT_CIPHERTEXT, BW_RECORD_CONTEXT_SIZE);
    bw_sha256_update(&running, digest, sizeof digest);
    bw_hmac256_end(&hmac, &running, salt);
    bw_hmac256_finish(&hmac);
    bw_wipe(digest, sizeof digest);
}

enum bw_code bw_record_seal(struct bw_gcm *gcm, const uint8_t key[BW_RECORD_KEY_SIZE],
                            const struct bw_record_info *info, const struct bw_record_context *context,
                            struct bw_view plaintext, const uint8_t hedge[BW_RECORD_HEDGE_SIZE],
                            const uint8_t random[BW_RECORD_RANDOM_SIZE], struct bw_buf *out,
                            struct bw_error *err)
{
    if (plaintext.len > BW_RECORD_PLAIN_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a record holds at most %d bytes",
                       BW_RECORD_PLAIN_MAX);
    if (!pad_class_exists(info->pad_class) || info->flags != 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "there is no padding class %u, or flag %#x",
                       (unsigned)info->pad_class, (unsigned)info->flags);
    size_t len = padded(plaintext.len, info->pad_class);
    if (!bw_buf_reserve(out, len + BW_RECORD_OVERHEAD))
        return bw_fail_memory(err);

    struct head head;
    struct keys keys;
    write_info(info, head.bytes);
    write_context(context, head.bytes + AT_CIPHERTEXT);
    make_salt(&head, plaintext, hedge, random, head.bytes + AT_SALT);
    derive(key, &head, &keys);
    struct bw_writer w = bw_writer_of(head.bytes + AT_COMMITMENT, AT_CIPHERTEXT - AT_COMMITMENT);
    bw_write_bytes(&w, keys.commitment, COMMITMENT_SIZE);
    bw_write_u32(&w, (uint32_t)len);

    uint8_t *record = out->data + out->len, *body = record + AT_CIPHERTEXT;
    memcpy(record, head.bytes, AT_CIPHERTEXT);
    if (plaintext.len > 0)
        memcpy(body, plaintext.data, plaintext.len);
    if (len > plaintext.len) {
        body[plaintext.len] = 0x80;
        memset(body + plaintext.len + 1, 0, len - plaintext.len - 1);
    }
    enum bw_code code =
        bw_gcm_seal(gcm, keys.gcm, keys.gcm + BW_GCM_KEY_SIZE, bw_view_of(head.bytes, sizeof head.bytes),
                    bw_view_of(body, len), body, body + len, err);
    if (code == BW_OK)
        out->len += len + BW_RECORD_OVERHEAD;
    else
        bw_wipe(record, len + BW_RECORD_OVERHEAD);
    bw_wipe(&keys, sizeof keys);
    return code;
}

static enum bw_code broken(struct bw_error *err, const char *what)
{
    return bw_fail(err, BW_DATA_LOSS, "RECORD_SHAPE", "not a sealed record: %s", what);
}

static enum bw_code unknown(struct bw_error *err, const char *what, unsigned value)
{
    return bw_fail(err, BW_UNIMPLEMENTED, "RECORD_VERSION",
                   "a sealed record of %s %u, which this program does not know; a newer one wrote it", what,
                   value);
}

enum bw_code bw_record_peek(struct bw_view record, struct bw_record_info *info, struct bw_error *err)
{
    struct bw_reader r = bw_reader_of(record);
    struct bw_record_info got = {0};
    if (!bw_view_equal(bw_read_bytes(&r, sizeof magic), bw_view_of(magic, sizeof magic)))
        return broken(err, "it does not begin with MREC");
    uint8_t version = bw_read_u8(&r), suite = bw_read_u8(&r);
    got.type = bw_read_u8(&r);
    got.flags = bw_read_u8(&r);
    bw_read_copy(&r, got.meeting_key.bytes, sizeof got.meeting_key.bytes);
    bw_read_copy(&r, got.participant_key.bytes, sizeof got.participant_key.bytes);
    bw_read_copy(&r, got.stream.bytes, sizeof got.stream.bytes);
    got.chunk_seq = bw_read_u64(&r);
    got.time_bucket = (int64_t)bw_read_u64(&r);
    got.epoch = bw_read_u32(&r);
    got.schema = bw_read_u16(&r);
    got.pad_class = bw_read_u16(&r);
    uint64_t reserved = bw_read_u64(&r);
    bw_read_bytes(&r, SALT_SIZE + COMMITMENT_SIZE);
    uint32_t len = bw_read_u32(&r);
    if (r.failed)
        return broken(err, "it is cut short");
    if (version != VERSION)
        return unknown(err, "version", version);
    if (suite != SUITE)
        return unknown(err, "suite", suite);
    if (got.flags != 0)
        return unknown(err, "flags", got.flags);
    if (!pad_class_exists(got.pad_class))
        return unknown(err, "padding class", got.pad_class);
    if (reserved != 0)
        return broken(err, "reserved bytes are not zero");
    bw_read_bytes(&r, len);
    bw_read_bytes(&r, BW_GCM_TAG_SIZE);
    if (!bw_reader_done(&r))
        return broken(err, "it is not as long as it says");
    if (len > padded(BW_RECORD_PLAIN_MAX, got.pad_class) ||
        (got.pad_class != 0 && (len == 0 || len % (1u << got.pad_class) != 0)))
        return broken(err, "its length does not fit its padding class");
    *info = got;
    return BW_OK;
}

/* The length without padding: before the marker in the last block. False without one. */
static bool unpad(const uint8_t *plain, size_t padded_len, uint16_t pad_class, size_t *len)
{
    if (pad_class == 0) {
        *len = padded_len;
        return true;
    }
    size_t least = padded_len - ((size_t)1 << pad_class), at = padded_len - 1;
    while (at > least && plain[at] == 0)
        at--;
    *len = at;
    return plain[at] == 0x80;
}

enum bw_code bw_record_open(struct bw_gcm *gcm, const uint8_t key[BW_RECORD_KEY_SIZE],
                            const struct bw_record_context *context, struct bw_view record,
                            struct bw_record_info *info, struct bw_buf *plaintext, struct bw_error *err)
{
    struct bw_record_info got;
    enum bw_code code = bw_record_peek(record, &got, err);
    if (code != BW_OK)
        return code;
    size_t len = record.len - BW_RECORD_OVERHEAD;
    if (!bw_buf_reserve(plaintext, len))
        return bw_fail_memory(err);

    struct head head;
    struct keys keys;
    memcpy(head.bytes, record.data, AT_CIPHERTEXT);
    write_context(context, head.bytes + AT_CIPHERTEXT);
    derive(key, &head, &keys);
    if (!bw_bytes_equal_ct(keys.commitment, record.data + AT_COMMITMENT, COMMITMENT_SIZE)) {
        bw_wipe(&keys, sizeof keys);
        return bw_fail(err, BW_DATA_LOSS, "RECORD_COMMITMENT",
                       "the record was sealed under another key, or for another place than it lies in");
    }
    uint8_t *plain = plaintext->data + plaintext->len;
    struct bw_view ciphertext = bw_view_of(record.data + AT_CIPHERTEXT, len);
    code = bw_gcm_open(gcm, keys.gcm, keys.gcm + BW_GCM_KEY_SIZE, bw_view_of(head.bytes, sizeof head.bytes),
                       ciphertext, ciphertext.data + len, plain, err);
    bw_wipe(&keys, sizeof keys);
    if (code == BW_DATA_LOSS)
        return bw_fail(err, BW_DATA_LOSS, "RECORD_TAG", "the record's bytes were changed");
    if (code != BW_OK)
        return code;
    size_t plain_len;
    if (!unpad(plain, len, got.pad_class, &plain_len)) {
        bw_wipe(plain, len);
        return broken(err, "its padding is not as it should be");
    }
    plaintext->len += plain_len;
    *info = got;
    return BW_OK;
}
