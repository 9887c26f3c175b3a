/* Records of 4 KiB sealed and opened a second, against raw AES-256-GCM of as many bytes with a kept context
 * and key, which is what it would cost to derive no key, commit to nothing and bind nothing to its place.
 * Figure and anchor are measured in turns, so that what the machine does meanwhile hits both. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "report.h"
#include "runtime/random.h"
#include "vault/keyring.h"
#include "vault/record.h"
#include "vault/roster.h"
#include "vault/sealer.h"

enum { ROUNDS = 7, ROUND_MS = 150, STEP = 64, RECORD = 4096, ENTRY = 120, DAY = 20000 };
static const uint64_t NOW_MS = (uint64_t)DAY * BW_SCOPE_DAY_MS;

struct bench {
    uint8_t plain[RECORD], out[RECORD], tag[BW_GCM_TAG_SIZE], raw_key[BW_GCM_KEY_SIZE];
    uint64_t nonce;
    EVP_CIPHER_CTX *raw;
    struct bw_gcm *gcm;
    struct bw_sealer *sealer;
    const struct bw_sealing_key *key;
    struct bw_record_info info;
    struct bw_seal_place place;
    struct bw_record_context context;
    uint8_t record_key[BW_RECORD_KEY_SIZE];
    struct bw_buf sealed, record, opened;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double rate(void (*once)(struct bench *), struct bench *bench)
{
    double start = now_s(), now;
    size_t done = 0;
    do {
        for (int i = 0; i < STEP; i++)
            once(bench);
        done += STEP;
        now = now_s();
    } while (now < start + ROUND_MS * 1e-3);
    return (double)done / (now - start);
}

static void raw_gcm(struct bench *bench)
{
    uint8_t nonce[BW_GCM_NONCE_SIZE] = {0};
    int n;
    bench->nonce++;
    memcpy(nonce, &bench->nonce, sizeof bench->nonce);
    BW_CHECK(EVP_EncryptInit_ex2(bench->raw, NULL, NULL, nonce, NULL) == 1 &&
             EVP_EncryptUpdate(bench->raw, bench->out, &n, bench->plain, RECORD) == 1 &&
             EVP_EncryptFinal_ex(bench->raw, bench->tag, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(bench->raw, EVP_CTRL_AEAD_GET_TAG, BW_GCM_TAG_SIZE, bench->tag) == 1);
}

static void seal(struct bench *bench)
{
    bw_buf_clear(&bench->sealed);
    bench->info.chunk_seq++;
    bench->plain[0]++;
    BW_CHECK(bw_sealer_record(bench->sealer, bench->key, &bench->info, &bench->place,
                              bw_view_of(bench->plain, RECORD), &bench->sealed, NULL) == BW_OK);
}

static void open_record(struct bench *bench)
{
    struct bw_record_info got;
    bw_buf_clear(&bench->opened);
    BW_CHECK(bw_record_open(bench->gcm, bench->record_key, &bench->context, bw_buf_view(&bench->record), &got,
                            &bench->opened, NULL) == BW_OK);
}

static void seal_entry(struct bench *bench)
{
    const struct bw_id entry = {{1}};
    bw_buf_clear(&bench->sealed);
    BW_CHECK(bw_sealer_roster_entry(bench->sealer, bench->key, &entry, bw_view_of(bench->plain, ENTRY),
                                    &bench->sealed, NULL) == BW_OK);
}

static void compare(const char *name, const char *unit, void (*once)(struct bench *), struct bench *bench)
{
    double values[ROUNDS], anchors[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        anchors[i] = rate(raw_gcm, bench);
        values[i] = rate(once, bench);
    }
    bench_print(name, bench_median(values, ROUNDS), unit, "higher",
                "AES-256-GCM of 4 KiB, kept context and key", bench_median(anchors, ROUNDS));
}

static void set_up_sealer(struct bench *bench)
{
    static const uint8_t everyone[BW_SCOPE_SIZE];
    const struct bw_id tenant = {{1}}, meeting = {{2}};
    uint8_t random[48], seed[BW_ED25519_SEED_SIZE], root[BW_PROVIDER_KEY_SIZE];
    struct bw_provider *provider = NULL;
    struct bw_ed25519_signer *service = NULL;
    struct bw_scope_public scope;
    struct bw_buf text = {0}, wrapped = {0};
    struct bw_meeting_key_row row;
    bool is_new;
    bw_random_bytes(random, sizeof random);
    bw_random_bytes(seed, sizeof seed);
    bw_random_bytes(root, sizeof root);
    BW_CHECK(bw_keyring_new("bench", root, &text, NULL) == BW_OK);
    BW_CHECK(bw_keyring_parse(bw_buf_view(&text), "bench", &provider, NULL) == BW_PROVIDER_OK);
    BW_CHECK(bw_ed25519_signer_create(seed, &service, NULL) == BW_OK);
    BW_CHECK(bw_scope_make(provider, service, &tenant, everyone, DAY, random, random + 16, &scope, &wrapped,
                           NULL) == BW_PROVIDER_OK);
    struct bw_sealer_config config = {.cell = "bench"};
    bw_ed25519_signer_public(service, config.service_public);
    BW_CHECK(bw_sealer_create(&config, &bench->sealer, NULL) == BW_OK);
    BW_CHECK(bw_sealer_scope(bench->sealer, &scope, NULL) == BW_OK);
    BW_CHECK(bw_sealer_meeting(bench->sealer, &tenant, &meeting, NOW_MS, &bench->key, &row, &is_new, NULL) ==
             BW_OK);
    bw_buf_finish(&text);
    bw_buf_finish(&wrapped);
    bw_ed25519_signer_destroy(service);
    bw_provider_destroy(provider);
}

static void set_up(struct bench *bench)
{
    bw_random_bytes(bench->plain, sizeof bench->plain);
    bw_random_bytes(bench->raw_key, sizeof bench->raw_key);
    bw_random_bytes(bench->record_key, sizeof bench->record_key);
    bench->info = (struct bw_record_info){.type = BW_RECORD_CHUNK, .schema = 1};
    bench->place = (struct bw_seal_place){.row = {{3}}, .table = "qchk", .column = "body"};
    bench->raw = EVP_CIPHER_CTX_new();
    BW_CHECK(bench->raw != NULL &&
             EVP_EncryptInit_ex2(bench->raw, EVP_aes_256_gcm(), bench->raw_key, NULL, NULL) == 1);
    BW_CHECK(bw_gcm_create(&bench->gcm, NULL) == BW_OK);
    BW_CHECK(bw_record_seal(bench->gcm, bench->record_key, &bench->info, &bench->context,
                            bw_view_of(bench->plain, RECORD), bench->raw_key, bench->raw_key, &bench->record,
                            NULL) == BW_OK);
    set_up_sealer(bench);
}

int main(void)
{
    struct bench bench = {0};
    set_up(&bench);
    compare("seal", "records/s", seal, &bench);
    compare("seal_open", "records/s", open_record, &bench);
    compare("seal_roster_entry", "entries/s", seal_entry, &bench);
    seal(&bench);
    bench_print("seal_overhead", (double)(bench.sealed.len - RECORD), "bytes", "lower",
                "a nonce and a tag, which is what AES-256-GCM alone needs",
                BW_GCM_NONCE_SIZE + BW_GCM_TAG_SIZE);
    bw_buf_finish(&bench.sealed);
    bw_buf_finish(&bench.record);
    bw_buf_finish(&bench.opened);
    bw_sealer_destroy(bench.sealer);
    bw_gcm_destroy(bench.gcm);
    EVP_CIPHER_CTX_free(bench.raw);
    return 0;
}
