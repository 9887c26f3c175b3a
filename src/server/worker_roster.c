/* Who joined: sealed on the worker that commits the join, in the same transaction. Each entry is sealed under
 * a key of its meeting, all of a group's entries of one tenant together under a key of the tenant; nothing
 * here can open what it sealed once its meetings are over. */
#include <arpa/inet.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/vault_keeper.h"
#include "server/worker_state.h"
#include "vault/roster.h"
#include "vault/sealer.h"

enum { PAD_CLASS = 8, WANT_MS = 500 };

struct bw_worker_roster {
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

/* New scope keys come without asking; a worker that has none yet, or only yesterday's, asks all the same. */
static void want_key(struct bw_worker *worker, const struct bw_id *tenant)
{
    struct bw_worker_roster *roster = worker->roster;
    uint64_t now_ms = bw_clock_mono_ms();
    if (now_ms < roster->next_want_ms)
        return;
    roster->next_want_ms = now_ms + WANT_MS;
    bw_vault_keeper_want(worker->daemon->vault, tenant);
}

static void dropped(struct bw_worker *worker, size_t count)
{
    atomic_fetch_add_explicit(&worker->metrics.metadata_dropped, count, memory_order_relaxed);
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
static enum bw_code make_note(struct bw_worker *worker, const struct bw_row *row, bool *is_new,
                              struct bw_error *err)
{
    struct bw_worker_roster *roster = worker->roster;
    const struct bw_decision *decision = row->decision;
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
        .user = view_or_none(row->join->user),
        .address = address_of(row->join->client_address, address),
        .country = view_or_none(decision->country),
        .region = view_or_none(decision->region),
        .client_version = view_or_none(row->join->client_version),
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

void bw_worker_note(struct bw_worker *worker, const struct bw_row *row, struct bw_store_row *stored)
{
    struct bw_worker_roster *roster = worker->roster;
    struct bw_error err;
    bool is_new = false;
    if (roster == NULL || row->join == NULL)
        return;
    if (make_note(worker, row, &is_new, &err) != BW_OK) {
        dropped(worker, 1);
        if (err.code == BW_NOT_FOUND)
            want_key(worker, &row->decision->tenant);
        else
            bw_log(BW_LOG_ERROR, "metadata_dropped", "reason=\"%s\"", err.show);
        return;
    }
    stored->note = bw_buf_view(&roster->note);
    stored->key = is_new ? &roster->key : NULL;
}

/* ---- one group ---- */

static enum bw_code seal_notes(struct bw_worker *worker, const struct bw_id *tenant,
                               const struct bw_view *notes, size_t count, struct bw_store_roster *out,
                               struct bw_error *err)
{
    struct bw_worker_roster *roster = worker->roster;
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
    for (size_t i = 0; code == BW_OK && i < count; i++) {
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
        want_key(worker, tenant);
    return BW_OK;
}

static bool seal(void *context, const struct bw_id *tenant, const struct bw_view *notes, size_t count,
                 struct bw_store_roster *out)
{
    struct bw_worker *worker = context;
    struct bw_error err;
    if (seal_notes(worker, tenant, notes, count, out, &err) == BW_OK) {
        atomic_fetch_add_explicit(&worker->metrics.metadata_sealed, count, memory_order_relaxed);
        return true;
    }
    bw_buf_finish(&out->record);
    dropped(worker, count);
    bw_log(BW_LOG_ERROR, "metadata_dropped", "entries=%zu reason=\"%s\"", count, err.show);
    return false;
}

static void name(void *context, const struct bw_id *roster, uint32_t index, struct bw_buf *record)
{
    (void)context;
    bw_api_record_name_roster(roster, index, record);
}

static void stored(void *context, const struct bw_store_meeting_key *key)
{
    struct bw_worker *worker = context;
    bw_sealer_stored(worker->roster->sealer, &key->tenant, &key->meeting, &key->id);
}

struct bw_store_sealing bw_worker_sealing(struct bw_worker *worker)
{
    if (worker->roster == NULL)
        return (struct bw_store_sealing){.seal = NULL};
    return (struct bw_store_sealing){.context = worker, .seal = seal, .name = name, .stored = stored};
}

/* ---- life ---- */

void bw_worker_roster_ended(struct bw_worker *worker, const struct bw_decision *decision)
{
    if (worker->roster != NULL)
        bw_sealer_forget(worker->roster->sealer, &decision->tenant, &decision->meeting);
}

static void learn(void *context, const struct bw_scope_public *scopes, size_t count)
{
    struct bw_worker *worker = context;
    struct bw_error err;
    for (size_t i = 0; i < count; i++)
        if (bw_sealer_scope(worker->roster->sealer, &scopes[i], &err) != BW_OK)
            bw_log(BW_LOG_ERROR, "scope_key_refused", "reason=\"%s\"", err.show);
}

enum bw_code bw_worker_create_roster(struct bw_worker *worker, struct bw_error *err)
{
    struct bw_vault_keeper *keeper = worker->daemon->vault;
    if (keeper == NULL)
        return BW_OK;
    worker->roster = bw_calloc(1, sizeof *worker->roster);
    if (worker->roster == NULL)
        return bw_fail_memory(err);
    struct bw_sealer_config config = {.cell = worker->daemon->config->cell};
    memcpy(config.service_public, bw_vault_keeper_service_public(keeper), sizeof config.service_public);
    enum bw_code code = bw_sealer_create(&config, &worker->roster->sealer, err);
    if (code != BW_OK)
        return code;
    const struct bw_vault_listener listener = {
        .mailbox = worker->mailbox, .context = worker, .scopes = learn};
    return bw_vault_keeper_listen(keeper, &listener, err);
}

void bw_worker_destroy_roster(struct bw_worker *worker)
{
    if (worker->roster == NULL)
        return;
    bw_sealer_destroy(worker->roster->sealer);
    bw_roster_finish(&worker->roster->body);
    bw_buf_finish(&worker->roster->plain);
    bw_buf_finish(&worker->roster->note);
    bw_free(worker->roster);
}
