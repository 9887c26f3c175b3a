#include "ingest_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/random.h"

#define CELL "eu-1"

/* A fault of the rig itself. */
static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "ingest_rig: %s\n", what);
    abort();
}

/* ---- ports ---- */

static void resolve(void *context, const struct bw_id *meeting)
{
    struct ingest_rig *rig = context;
    must(rig->ask_count < RIG_ASKS, "too many asks");
    rig->asked[rig->ask_count++] = *meeting;
    rig->asks++;
}

static void want_keys(void *context, const struct bw_id *tenant)
{
    struct ingest_rig *rig = context;
    must(bw_id_equal(tenant, &rig->tenant), "another tenant's key");
    rig->keys_wanted++;
}

static bool take_write(void *context, struct bw_ingest_write *write)
{
    struct ingest_rig *rig = context;
    if (rig->write != NULL) {
        rig->write(rig->write_context, write);
        return true;
    }
    must(rig->write_count < RIG_WRITES, "too many writes under way");
    rig->writes[rig->write_count++] = write;
    return true;
}

static void answered(void *context, struct bw_api_quality *batch)
{
    struct ingest_rig *rig = context;
    rig->batches++;
    rig->taken += batch->taken;
    rig->refused += batch->refused;
    rig->dropped += batch->dropped;
    rig->overloaded += batch->overloaded ? 1 : 0;
    must(batch->taken + batch->refused + batch->dropped == batch->count, "a window without an answer");
    bw_free(batch);
}

/* ---- life ---- */

struct ingest_rig *ingest_rig_create(const struct bw_ingest_config *config)
{
    static const uint8_t seed[BW_ED25519_SEED_SIZE] = {42}, everyone[BW_SCOPE_SIZE];
    static const char keyring[] =
        "autumn-2026 00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210 active\n";
    struct ingest_rig *rig = bw_calloc(1, sizeof *rig);
    must(rig != NULL, "memory");
    rig->now_ms = RIG_START_MS;
    memset(rig->tenant.bytes, 0x11, sizeof rig->tenant.bytes);
    must(bw_keyring_parse(bw_view_str(keyring), "keyring", &rig->provider, NULL) == BW_PROVIDER_OK,
         "keyring");
    must(bw_ed25519_signer_create(seed, &rig->service, NULL) == BW_OK, "service key");
    uint8_t random[16 + BW_X25519_SIZE];
    bw_random_bytes(random, sizeof random);
    must(bw_scope_make(rig->provider, rig->service, &rig->tenant, everyone, bw_scope_day(rig->now_ms), random,
                       random + 16, &rig->scope, &rig->wrapped, NULL) == BW_PROVIDER_OK,
         "scope key");
    const struct bw_opener_config opening = {.cell = CELL, .provider = rig->provider};
    must(bw_opener_create(&opening, &rig->opener, NULL) == BW_OK, "opener");
    struct bw_ingest_config used = bw_ingest_config_default();
    if (config != NULL) {
        used = *config;
    } else {
        used.flush_ms = 1000;
        used.seals = true;
    }
    used.cell = CELL;
    bw_ed25519_signer_public(rig->service, used.service_public);
    const struct bw_ingest_ports ports = {.context = rig,
                                          .resolve = resolve,
                                          .want_keys = want_keys,
                                          .write = take_write,
                                          .answered = answered};
    must(bw_ingest_core_create(&used, &ports, &rig->core, NULL) == BW_OK, "core");
    return rig;
}

void ingest_rig_destroy(struct ingest_rig *rig)
{
    ingest_rig_written(rig, false);
    bw_ingest_core_destroy(rig->core);
    bw_opener_destroy(rig->opener);
    bw_buf_finish(&rig->wrapped);
    bw_ed25519_signer_destroy(rig->service);
    bw_provider_destroy(rig->provider);
    for (size_t i = 0; i < rig->row_count; i++)
        bw_free(rig->rows[i].record);
    bw_free(rig);
}

void ingest_rig_give_key(struct ingest_rig *rig)
{
    bw_ingest_core_scope(rig->core, &rig->scope);
}

struct bw_id ingest_rig_meeting(uint32_t n)
{
    struct bw_id id;
    memset(id.bytes, 0x22, sizeof id.bytes);
    memcpy(id.bytes, &n, sizeof n);
    return id;
}

struct bw_id ingest_rig_entry(uint32_t slot)
{
    struct bw_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (uint8_t)((slot + 1) * 2654435761u >> (i % 4 * 8)) ^ (uint8_t)(i * 37);
    return id;
}

/* ---- owners ---- */

static void answer(struct ingest_rig *rig, const struct bw_ingest_roster *roster)
{
    while (rig->ask_count > 0) {
        struct bw_ingest_roster one = *roster;
        one.meeting = rig->asked[--rig->ask_count];
        bw_ingest_core_resolved(rig->core, &one, rig->now_ms);
    }
}

void ingest_rig_answer(struct ingest_rig *rig, uint32_t slots, bool ended)
{
    struct bw_ingest_relay relays[2] = {{.number = 1, .name = "par1", .site = "paris"},
                                        {.number = 2, .name = "fra1", .site = "frankfurt"}};
    struct bw_ingest_slot *list = bw_calloc(slots + 1, sizeof *list);
    must(list != NULL, "memory");
    for (uint32_t i = 0; i < slots; i++)
        list[i] = (struct bw_ingest_slot){.slot = i + 1, .relay = 1, .entry = ingest_rig_entry(i + 1)};
    list[slots] =
        (struct bw_ingest_slot){.slot = slots + 1, .relay = 2, .entry = ingest_rig_entry(slots + 1)};
    answer(rig, &(struct bw_ingest_roster){.found = true,
                                           .ended = ended,
                                           .tenant = rig->tenant,
                                           .policy_revision = 3,
                                           .relays = relays,
                                           .relay_count = 2,
                                           .slots = list,
                                           .slot_count = slots + 1});
    bw_free(list);
}

void ingest_rig_answer_none(struct ingest_rig *rig)
{
    answer(rig, &(struct bw_ingest_roster){.found = false});
}

/* ---- windows ---- */

static void put(struct bw_api_quality *batch, const struct ingest_rig_window *from)
{
    struct bw_api_window *to = &batch->windows[batch->count++];
    *to = (struct bw_api_window){
        .meeting = ingest_rig_meeting(from->meeting), .slot = from->slot, .stream = from->peer};
    to->window =
        bw_quality_window_of((int64_t)RIG_START_MS + (int64_t)from->start * RIG_WINDOW_MS, RIG_WINDOW_MS);
    bw_quality_put(&to->window, BW_QUALITY_PACKETS_RECEIVED, from->received);
    bw_quality_put(&to->window, BW_QUALITY_PACKETS_LOST, from->lost);
    bw_quality_put(&to->window, BW_QUALITY_BYTES_RECEIVED, (int64_t)from->received * 120);
    bw_quality_put(&to->window, BW_QUALITY_JITTER, from->jitter_us);
    bw_quality_put(&to->window, BW_QUALITY_ROUND_TRIP_TIME, 30000);
    must(bw_quality_check(&to->window, BW_QUALITY_FROM_RELAY, NULL) == BW_QUALITY_POSSIBLE, "window");
}

void ingest_rig_relay(struct ingest_rig *rig, const struct ingest_rig_window *window)
{
    struct bw_api_quality *batch = bw_api_quality_create(1);
    must(batch != NULL, "memory");
    batch->source = BW_QUALITY_FROM_RELAY;
    batch->relay = window->relay;
    put(batch, window);
    bw_ingest_core_take(rig->core, batch, rig->now_ms);
}

void ingest_rig_everybody(struct ingest_rig *rig, uint32_t meeting, uint32_t slots, uint32_t start,
                          uint32_t lost)
{
    for (uint32_t slot = 1; slot <= slots;) {
        struct bw_api_quality *batch = bw_api_quality_create(256);
        must(batch != NULL, "memory");
        batch->source = BW_QUALITY_FROM_RELAY;
        batch->relay = 1;
        for (; slot <= slots && batch->count < 256; slot++)
            put(batch, &(struct ingest_rig_window){.meeting = meeting,
                                                   .slot = slot,
                                                   .start = start,
                                                   .received = 500 - lost,
                                                   .lost = lost,
                                                   .jitter_us = 2000 + slot % 100});
        bw_ingest_core_take(rig->core, batch, rig->now_ms);
    }
}

void ingest_rig_client(struct ingest_rig *rig, uint32_t meeting, uint32_t slot, uint32_t start,
                       const struct bw_quality_window *window, const struct bw_id *tenant)
{
    struct bw_api_quality *batch = bw_api_quality_create(1);
    must(batch != NULL, "memory");
    batch->source = BW_QUALITY_FROM_CLIENT;
    batch->relay = 1;
    batch->tenant = *tenant;
    batch->count = 1;
    batch->windows[0] = (struct bw_api_window){.meeting = ingest_rig_meeting(meeting),
                                               .slot = slot,
                                               .stream = 7,
                                               .media = BW_QUALITY_MEDIA_AUDIO,
                                               .window = *window};
    batch->windows[0].window.start_ms = (int64_t)RIG_START_MS + (int64_t)start * RIG_WINDOW_MS;
    batch->windows[0].window.length_ms = RIG_WINDOW_MS;
    bw_ingest_core_take(rig->core, batch, rig->now_ms);
}

/* ---- the database ---- */

static void keep_chunk(struct ingest_rig *rig, const struct bw_store_chunk *chunk)
{
    struct ingest_rig_row *row = NULL;
    for (size_t i = 0; i < rig->row_count && row == NULL; i++) {
        const struct bw_store_chunk *held = &rig->rows[i].chunk;
        if (bw_id_equal(&held->meeting, &chunk->meeting) && held->slot == chunk->slot &&
            bw_id_equal(&held->stream, &chunk->stream) && held->seq == chunk->seq)
            row = &rig->rows[i];
    }
    if (row == NULL) {
        must(rig->row_count < RIG_ROWS, "too many rows");
        row = &rig->rows[rig->row_count++];
    }
    must(row->versions == 0 || row->chunk.to_ms <= chunk->to_ms, "an older version after a newer one");
    bw_free(row->record);
    row->record = bw_malloc(chunk->record.len);
    must(row->record != NULL, "memory");
    memcpy(row->record, chunk->record.data, chunk->record.len);
    row->chunk = *chunk;
    row->chunk.record.data = row->record;
    row->versions++;
}

static void keep_summary(struct ingest_rig *rig, const struct bw_store_meeting_quality *summary)
{
    size_t i = 0;
    while (i < rig->summary_count && !bw_id_equal(&rig->summaries[i].meeting, &summary->meeting))
        i++;
    must(i < RIG_ROWS, "too many summaries");
    rig->summary_count += i == rig->summary_count ? 1 : 0;
    rig->summaries[i] = *summary;
}

static void keep(struct ingest_rig *rig, struct bw_ingest_write *write)
{
    for (size_t i = 0; i < write->key_count && rig->key_count < RIG_ROWS; i++)
        rig->keys[rig->key_count++] = write->keys[i];
    for (size_t i = 0; i < write->chunk_count; i++)
        keep_chunk(rig, &write->chunks[i]);
    rig->sketch_rows += write->sketch_count;
    for (size_t i = 0; i < write->meeting_count; i++) {
        struct bw_store_meeting_quality row = write->meetings[i];
        for (size_t k = 0; write->first[i] && k < rig->summary_count; k++) {
            if (!bw_id_equal(&rig->summaries[k].meeting, &row.meeting))
                continue;
            write->bases[write->base_count++] = rig->summaries[k];
            bw_ingest_merge(&row, &rig->summaries[k]);
        }
        keep_summary(rig, &row);
    }
}

void ingest_rig_written(struct ingest_rig *rig, bool done)
{
    while (rig->write_count > 0) {
        struct bw_ingest_write *write = rig->writes[0];
        memmove(rig->writes, rig->writes + 1, --rig->write_count * sizeof rig->writes[0]);
        if (done)
            keep(rig, write);
        rig->writes_done += done ? 1 : 0;
        bw_ingest_core_written(rig->core, write, done, rig->now_ms);
        if (!done)
            return; /* the core may have made another of it at once */
    }
}

void ingest_rig_wait(struct ingest_rig *rig, uint64_t ms)
{
    for (uint64_t waited = 0; waited < ms; waited += BW_INGEST_TICK_MS) {
        rig->now_ms += BW_INGEST_TICK_MS;
        bw_ingest_core_tick(rig->core, rig->now_ms);
        if (!rig->database_away)
            ingest_rig_written(rig, true);
    }
}

/* ---- the vault ---- */

bool ingest_rig_open(struct ingest_rig *rig, const struct ingest_rig_row *row, struct bw_quality_chunk *chunk)
{
    struct bw_record_info info;
    struct bw_buf plain = {0};
    const struct bw_scope_wrapped scope = {rig->scope, bw_buf_view(&rig->wrapped)};
    if (bw_record_peek(row->chunk.record, &info, NULL) != BW_OK ||
        bw_opener_scope(rig->opener, &scope, rig->now_ms, NULL) != BW_PROVIDER_OK)
        return false;
    for (size_t i = 0; i < rig->key_count; i++) {
        const struct bw_store_meeting_key *held = &rig->keys[i];
        if (!bw_id_equal(&held->id, &info.meeting_key))
            continue;
        struct bw_meeting_key_row key = {.key_id = held->id,
                                         .tenant = held->tenant,
                                         .meeting = held->meeting,
                                         .scope_key = held->scope_key};
        memcpy(key.enc, held->enc, sizeof key.enc);
        memcpy(key.sealed, held->sealed, sizeof key.sealed);
        if (bw_opener_meeting_key(rig->opener, &key, rig->now_ms, NULL) != BW_OK)
            return false;
    }
    const struct bw_record_context context = {.tenant = row->chunk.tenant,
                                              .meeting = row->chunk.meeting,
                                              .row = row->chunk.id,
                                              .table = {'q', 'c', 'h', 'k'},
                                              .column = {'b', 'o', 'd', 'y'}};
    bool open = bw_opener_record(rig->opener, &context, row->chunk.record, rig->now_ms, &info, &plain,
                                 NULL) == BW_OK &&
                info.type == BW_RECORD_CHUNK && info.chunk_seq == row->chunk.seq &&
                bw_id_equal(&info.stream, &row->chunk.stream) &&
                bw_quality_chunk_decode(bw_buf_view(&plain), chunk, NULL) == BW_OK;
    bw_buf_finish(&plain);
    return open;
}

const struct bw_store_meeting_quality *ingest_rig_summary(const struct ingest_rig *rig, uint32_t meeting)
{
    struct bw_id id = ingest_rig_meeting(meeting);
    for (size_t i = 0; i < rig->summary_count; i++) {
        if (bw_id_equal(&rig->summaries[i].meeting, &id))
            return &rig->summaries[i];
    }
    return NULL;
}
