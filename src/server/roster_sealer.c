#include "server/roster_sealer.h"

#include <arpa/inet.h>
#include <string.h>

#include "api/api.h"
#include "base/alloc.h"
#include "base/secret.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "vault/roster.h"
#include "vault/sealer.h"

enum { PAD_CLASS = 8, WANT_MS = 500 };

struct bw_roster_sealer {
    struct bw_roster_sealer_config config;
    struct bw_sealer *sealer;
    struct bw_roster_body body;
    struct bw_buf plain, note;
    struct bw_store_meeting_key key; /* of the note */
    uint64_t next_want_ms;
};

static struct bw_store_meeting_key key_of(const struct bw_meeting_key_row *row)
{
    struct bw_store_meeting_key key = {
        .id = row->key_id, .tenant = row->tenant, .meeting = row->meeting, .scope_key = row->scope_key};
    memcpy(key.enc, row->enc, sizeof key.enc);
    memcpy(key.sealed, row->sealed, sizeof key.sealed);
    return key;
}

/* New keys come without asking; who has none yet, or only yesterday's, asks all the same. */
static void want_key(struct bw_roster_sealer *roster, const struct bw_id *tenant)
{
    uint64_t now_ms = bw_clock_mono_ms();
    if (now_ms < roster->next_want_ms)
        return;
    roster->next_want_ms = now_ms + WANT_MS;
    roster->config.want(roster->config.context, tenant);
}

static void add_to(_Atomic uint64_t *counter, size_t entries)
{
    atomic_fetch_add_explicit(counter, entries, memory_order_relaxed);
}

/* ---- one participant ---- */

static struct bw_view view_or_none(const char *text)
{
    return text != NULL ? bw_view_str(text) : (struct bw_view){NULL, 0};
}

static struct bw_view address_of(const char *text, uint8_t bytes[16])
{
    if (text == NULL)
        return (struct bw_view){NULL, 0};
    if (inet_pton(AF_INET, text, bytes) == 1)
        return bw_view_of(bytes, 4);
    if (inet_pton(AF_INET6, text, bytes) == 1)
        return bw_view_of(bytes, 16);
    return (struct bw_view){NULL, 0};
}

/* roster->note: meeting, roster entry, sealed entry. */
static enum bw_code make_note(struct bw_roster_sealer *roster, const struct bw_decision *decision,
                              const struct bw_op_join *join, bool *is_new, struct bw_error *err)
{
    const struct bw_sealing_key *key;
    struct bw_meeting_key_row key_row;
    enum bw_code code = bw_sealer_meeting(roster->sealer, &decision->tenant, &decision->meeting,
                                          bw_clock_wall_ms(), &key, &key_row, is_new, err);
    if (code != BW_OK)
        return code;
    if (*is_new)
        roster->key = key_of(&key_row);
    uint8_t address[16];
    const struct bw_roster_entry entry = {
        .user = view_or_none(join->user),
        .address = address_of(join->client_address, address),
        .country = view_or_none(decision->country),
        .region = view_or_none(decision->region),
        .client_version = view_or_none(join->client_version),
        .home_tenant = view_or_none(decision->home_tenant),
        .slot = decision->slot,
        .joined_ms = decision->at_ms,
        .kind = decision->participant_kind,
    };
    bw_buf_clear(&roster->plain);
    bw_buf_clear(&roster->note);
    bw_buf_append(&roster->note, decision->meeting.bytes, sizeof decision->meeting.bytes);
    bw_buf_append(&roster->note, decision->entry.bytes, sizeof decision->entry.bytes);
    code = bw_roster_entry_encode(&entry, &roster->plain, err);
    if (code == BW_OK)
        code = bw_sealer_roster_entry(roster->sealer, key, &decision->entry, bw_buf_view(&roster->plain),
                                      &roster->note, err);
    return code == BW_OK && roster->note.failed ? bw_fail_memory(err) : code;
}

void bw_roster_sealer_note(struct bw_roster_sealer *roster, const struct bw_decision *decision,
                           const struct bw_op_join *join, struct bw_store_row *row)
{
    struct bw_error err;
    bool is_new = false;
    if (make_note(roster, decision, join, &is_new, &err) != BW_OK) {
        add_to(roster->config.dropped, 1);
        if (err.code == BW_NOT_FOUND)
            want_key(roster, &decision->tenant);
        else
            bw_log(BW_LOG_ERROR, "metadata_dropped", "reason=\"%s\"", err.show);
        return;
    }
    row->note = bw_buf_view(&roster->note);
    row->key = is_new ? &roster->key : NULL;
}

/* ---- one group ---- */

static enum bw_code seal_notes(struct bw_roster_sealer *roster, const struct bw_id *tenant,
                               const struct bw_view *notes, size_t notes_count, struct bw_store_roster *out,
                               struct bw_error *err)
{
    uint64_t now_ms = bw_clock_wall_ms();
    const struct bw_id none = {{0}};
    const struct bw_sealing_key *key;
    struct bw_meeting_key_row key_row;
    bool is_new;
    enum bw_code code =
        bw_sealer_meeting(roster->sealer, tenant, &none, now_ms, &key, &key_row, &is_new, err);
    if (code != BW_OK)
        return code;
    bw_roster_begin(&roster->body);
    for (size_t i = 0; code == BW_OK && i < notes_count; i++) {
        struct bw_reader note = bw_reader_of(notes[i]);
        struct bw_id meeting, entry;
        uint32_t index;
        bw_read_copy(&note, meeting.bytes, sizeof meeting.bytes);
        bw_read_copy(&note, entry.bytes, sizeof entry.bytes);
        struct bw_view sealed = bw_read_bytes(&note, bw_reader_left(&note));
        code = bw_roster_add(&roster->body, &meeting, &entry, sealed, &index, err);
    }
    if (code != BW_OK)
        return code;
    uint8_t random[10];
    bw_random_bytes(random, sizeof random);
    struct bw_seal_place place = {.row = bw_id_v7(now_ms, random)};
    memcpy(place.table, "rost", sizeof place.table);
    memcpy(place.column, "body", sizeof place.column);
    const struct bw_record_info info = {.type = BW_RECORD_ROSTER,
                                        .schema = BW_ROSTER_SCHEMA,
                                        .time_bucket = (int64_t)now_ms,
                                        .pad_class = PAD_CLASS};
    code = bw_sealer_record(roster->sealer, key, &info, &place, bw_roster_body(&roster->body), &out->record,
                            err);
    if (code != BW_OK)
        return code;
    out->id = place.row;
    if (is_new)
        out->key = key_of(&key_row);
    if (bw_sealer_ready(roster->sealer, tenant, now_ms) != BW_SEALER_READY)
        want_key(roster, tenant);
    return BW_OK;
}

static bool seal(void *context, const struct bw_id *tenant, const struct bw_view *notes, size_t notes_count,
                 struct bw_store_roster *out)
{
    struct bw_roster_sealer *roster = context;
    struct bw_error err;
    if (seal_notes(roster, tenant, notes, notes_count, out, &err) == BW_OK) {
        add_to(roster->config.sealed, notes_count);
        return true;
    }
    bw_buf_finish(&out->record);
    add_to(roster->config.dropped, notes_count);
    bw_log(BW_LOG_ERROR, "metadata_dropped", "entries=%zu reason=\"%s\"", notes_count, err.show);
    return false;
}

static void name(void *context, const struct bw_id *roster, uint32_t index, struct bw_buf *record)
{
    (void)context;
    bw_api_record_name_roster(roster, index, record);
}

static void stored(void *context, const struct bw_store_meeting_key *key)
{
    struct bw_roster_sealer *roster = context;
    bw_sealer_stored(roster->sealer, &key->tenant, &key->meeting, &key->id);
}

struct bw_store_sealing bw_roster_sealer_sealing(struct bw_roster_sealer *roster)
{
    return (struct bw_store_sealing){.context = roster, .seal = seal, .name = name, .stored = stored};
}

/* ---- life ---- */

void bw_roster_sealer_ended(struct bw_roster_sealer *roster, const struct bw_id *tenant,
                            const struct bw_id *meeting)
{
    bw_sealer_forget(roster->sealer, tenant, meeting);
}

void bw_roster_sealer_learn(struct bw_roster_sealer *roster, const struct bw_scope_public *scope)
{
    struct bw_error err;
    if (bw_sealer_scope(roster->sealer, scope, &err) != BW_OK)
        bw_log(BW_LOG_ERROR, "scope_key_refused", "reason=\"%s\"", err.show);
}

enum bw_code bw_roster_sealer_create(const struct bw_roster_sealer_config *config,
                                     struct bw_roster_sealer **out, struct bw_error *err)
{
    struct bw_roster_sealer *roster = bw_calloc(1, sizeof *roster);
    if (roster == NULL)
        return bw_fail_memory(err);
    roster->config = *config;
    struct bw_sealer_config sealer = {.cell = config->cell, .capsules = config->capsules};
    memcpy(sealer.service_public, config->service_public, sizeof sealer.service_public);
    enum bw_code code = bw_sealer_create(&sealer, &roster->sealer, err);
    if (code != BW_OK) {
        bw_roster_sealer_destroy(roster);
        return code;
    }
    *out = roster;
    return BW_OK;
}

void bw_roster_sealer_destroy(struct bw_roster_sealer *roster)
{
    if (roster == NULL)
        return;
    bw_sealer_destroy(roster->sealer);
    bw_roster_finish(&roster->body);
    if (roster->plain.data != NULL)
        bw_wipe(roster->plain.data, roster->plain.cap);
    bw_buf_finish(&roster->plain);
    bw_buf_finish(&roster->note);
    bw_free(roster);
}
