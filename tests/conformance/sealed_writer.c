/* Writes what a cell would keep of one meeting, with keys and randomness of this run, as JSON on stdout: for
 * readers that share no code with us. Everything that PostgreSQL and the keyring would hold is there, and
 * what was sealed, to compare with; no key in between is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/random.h"
#include "vault/keyring.h"
#include "vault/roster.h"
#include "vault/sealer.h"

enum { DAY = 20778, CHUNK_SIZE = 3000 };
#define CELL "eu-1"
static const uint64_t NOW_MS = (uint64_t)DAY * BW_SCOPE_DAY_MS + 7200000;

struct writer {
    struct bw_provider *provider;
    struct bw_ed25519_signer *service;
    struct bw_scope_public scope;
    struct bw_buf wrapped;
    struct bw_sealer *sealer;
    struct bw_id tenant, meeting;
};

static struct bw_id new_id(void)
{
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    return bw_id_v4(random);
}

static void put_hex(const char *name, const void *bytes, size_t len, const char *end)
{
    printf("\"%s\": \"", name);
    for (size_t i = 0; i < len; i++)
        printf("%02x", ((const uint8_t *)bytes)[i]);
    printf("\"%s", end);
}

static void put_id(const char *name, const struct bw_id *id, const char *end)
{
    put_hex(name, id->bytes, sizeof id->bytes, end);
}

static void put_scope(const struct writer *w)
{
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE];
    bw_ed25519_signer_public(w->service, service_public);
    put_hex("service_public", service_public, sizeof service_public, ",\n");
    printf("\"scope_key\": {");
    put_id("id", &w->scope.id, ", ");
    put_id("tenant", &w->scope.tenant, ", ");
    put_hex("scope", w->scope.scope, sizeof w->scope.scope, ", ");
    printf("\"day\": %u, ", (unsigned)w->scope.day);
    put_hex("public", w->scope.public_key, sizeof w->scope.public_key, ", ");
    put_hex("signature", w->scope.signature, sizeof w->scope.signature, ", ");
    put_hex("wrapped", w->wrapped.data, w->wrapped.len, "},\n");
}

static const struct bw_sealing_key *new_key(struct writer *w, const struct bw_id *meeting, const char *end)
{
    const struct bw_sealing_key *key = NULL;
    struct bw_meeting_key_row row;
    bool is_new = false;
    BW_CHECK(bw_sealer_meeting(w->sealer, &w->tenant, meeting, NOW_MS, &key, &row, &is_new, NULL) == BW_OK);
    BW_CHECK(is_new);
    printf("  {");
    put_id("key_id", &row.key_id, ", ");
    put_id("tenant", &row.tenant, ", ");
    put_id("meeting", &row.meeting, ", ");
    put_id("scope_key", &row.scope_key, ", ");
    put_hex("enc", row.enc, sizeof row.enc, ", ");
    put_hex("sealed", row.sealed, sizeof row.sealed, "}");
    printf("%s", end);
    return key;
}

static void put_record(struct writer *w, const struct bw_sealing_key *key, const char *table,
                       const struct bw_record_info *info, const struct bw_id *meeting, struct bw_view plain,
                       bool show, const char *end)
{
    struct bw_seal_place place = {.row = new_id(), .column = "body"};
    struct bw_buf record = {0};
    memcpy(place.table, table, sizeof place.table);
    BW_CHECK(bw_sealer_record(w->sealer, key, info, &place, plain, &record, NULL) == BW_OK);
    printf("  {");
    put_id("tenant", &w->tenant, ", ");
    put_id("meeting", meeting, ", ");
    put_id("row", &place.row, ", ");
    printf("\"table\": \"%s\", \"column\": \"body\", ", table);
    if (show)
        put_hex("plain", plain.data, plain.len, ", ");
    put_hex("record", record.data, record.len, "}");
    printf("%s", end);
    bw_buf_finish(&record);
}

static void put_roster(struct writer *w, const struct bw_sealing_key *key, const struct bw_sealing_key *own)
{
    static const uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 9};
    const struct bw_id none = {0}, entry_id = new_id();
    const struct bw_roster_entry entry = {.user = bw_view_str("somebody@uni.example"),
                                          .address = bw_view_of(address, sizeof address),
                                          .country = bw_view_str("FR"),
                                          .region = bw_view_str("ara"),
                                          .client_version = bw_view_str("web 12.4.1"),
                                          .transport = bw_view_str("udp"),
                                          .home_tenant = bw_view_str("acme"),
                                          .platform = bw_view_str("Linux"),
                                          .slot = 2,
                                          .asn = 64500,
                                          .joined_ms = NOW_MS,
                                          .kind = 1};
    struct bw_roster_body body = {0};
    struct bw_buf plain = {0}, sealed = {0};
    uint32_t index;
    bw_roster_begin(&body);
    BW_CHECK(bw_roster_entry_encode(&entry, &plain, NULL) == BW_OK);
    BW_CHECK(bw_sealer_roster_entry(w->sealer, key, &entry_id, bw_buf_view(&plain), &sealed, NULL) == BW_OK);
    BW_CHECK(bw_roster_add(&body, &w->meeting, &entry_id, bw_buf_view(&sealed), &index, NULL) == BW_OK);
    const struct bw_record_info info = {
        .type = BW_RECORD_ROSTER, .schema = BW_ROSTER_SCHEMA, .pad_class = 9, .time_bucket = (int64_t)NOW_MS};
    put_record(w, own, "rost", &info, &none, bw_roster_body(&body), false, ",\n");
    bw_roster_finish(&body);
    bw_buf_finish(&plain);
    bw_buf_finish(&sealed);
}

static void set_up(struct writer *w)
{
    static const uint8_t everyone[BW_SCOPE_SIZE];
    uint8_t root[BW_PROVIDER_KEY_SIZE], seed[BW_ED25519_SEED_SIZE], id[16], private_key[BW_X25519_SIZE];
    struct bw_buf keyring = {0};
    bw_random_bytes(root, sizeof root);
    bw_random_bytes(seed, sizeof seed);
    bw_random_bytes(id, sizeof id);
    bw_random_bytes(private_key, sizeof private_key);
    w->tenant = new_id();
    w->meeting = new_id();
    BW_CHECK(bw_keyring_new("root-2026", root, &keyring, NULL) == BW_OK);
    BW_CHECK(bw_keyring_parse(bw_buf_view(&keyring), "keyring", &w->provider, NULL) == BW_PROVIDER_OK);
    BW_CHECK(bw_ed25519_signer_create(seed, &w->service, NULL) == BW_OK);
    BW_CHECK(bw_scope_make(w->provider, w->service, &w->tenant, everyone, DAY, id, private_key, &w->scope,
                           &w->wrapped, NULL) == BW_PROVIDER_OK);
    struct bw_sealer_config config = {.cell = CELL};
    bw_ed25519_signer_public(w->service, config.service_public);
    BW_CHECK(bw_sealer_create(&config, &w->sealer, NULL) == BW_OK);
    BW_CHECK(bw_sealer_scope(w->sealer, &w->scope, NULL) == BW_OK);
    put_hex("keyring", keyring.data, keyring.len, ",\n");
    bw_buf_finish(&keyring);
}

int main(void)
{
    struct writer w = {0};
    const struct bw_id none = {0};
    uint8_t chunk[CHUNK_SIZE];
    bw_random_bytes(chunk, sizeof chunk);
    printf("{\"cell\": \"%s\",\n", CELL);
    set_up(&w);
    put_scope(&w);
    printf("\"meeting_keys\": [\n");
    const struct bw_sealing_key *key = new_key(&w, &w.meeting, ",\n"), *own = new_key(&w, &none, "],\n");
    printf("\"records\": [\n");
    put_roster(&w, key, own);
    struct bw_record_info info = {.type = BW_RECORD_CHUNK,
                                  .stream = new_id(),
                                  .chunk_seq = 41,
                                  .time_bucket = -1,
                                  .epoch = 7,
                                  .schema = 1};
    static const uint16_t classes[] = {0, 5, 10, 16};
    for (size_t i = 0; i < BW_ARRAY_LEN(classes); i++) {
        info.pad_class = classes[i];
        put_record(&w, key, "qchk", &info, &w.meeting, bw_view_of(chunk, sizeof chunk), true, ",\n");
    }
    info = (struct bw_record_info){.type = BW_RECORD_SKETCH, .schema = 1, .pad_class = 6};
    put_record(&w, own, "qskt", &info, &none, bw_view_of(NULL, 0), true, "]}\n");
    bw_sealer_destroy(w.sealer);
    bw_provider_destroy(w.provider);
    bw_ed25519_signer_destroy(w.service);
    bw_buf_finish(&w.wrapped);
    return 0;
}
