#include "server/ingest_job.h"

#include <string.h>

#include "base/alloc.h"

/* ---- who takes part ---- */

static void ask_home(struct bw_mail *mail)
{
    struct bw_ingest_ask *ask = (struct bw_ingest_ask *)mail;
    ask->done(ask->context, &ask->roster);
    bw_free(ask->roster.slots);
    bw_free(ask->roster.relays);
    bw_free(ask);
}

static void name_relay(const struct bw_fleet_view *view, uint32_t number, struct bw_ingest_relay *out)
{
    const struct bw_facts *facts = view != NULL ? view->snapshot->facts : NULL;
    size_t index = facts != NULL ? bw_facts_find_number(facts, number) : SIZE_MAX;
    *out = (struct bw_ingest_relay){.number = number};
    if (index == SIZE_MAX)
        return;
    strncpy(out->name, facts->relays[index].name, sizeof out->name - 1);
    if (facts->relays[index].site != NULL)
        strncpy(out->site, facts->relays[index].site, sizeof out->site - 1);
}

static bool copy_roster(const struct bw_meeting *meeting, const struct bw_fleet_view *view,
                        struct bw_ingest_roster *out)
{
    out->slots = bw_calloc(meeting->slot_count + 1, sizeof *out->slots);
    out->relays = bw_calloc(meeting->relay_count + 1, sizeof *out->relays);
    if (out->slots == NULL || out->relays == NULL)
        return false;
    out->tenant = meeting->tenant;
    out->ended = meeting->ended;
    out->policy_revision = meeting->policy_revision;
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        out->slots[out->slot_count++] =
            (struct bw_ingest_slot){.slot = member->slot, .relay = member->relay, .entry = member->entry};
    }
    for (size_t i = 0; i < meeting->relay_count; i++)
        name_relay(view, meeting->relays[i].number, &out->relays[out->relay_count++]);
    return true;
}

/* On the owner's thread. */
static void ask_arrived(struct bw_mail *mail)
{
    struct bw_ingest_ask *ask = (struct bw_ingest_ask *)mail;
    const struct bw_owner *owner = bw_worker_owner(ask->worker);
    const struct bw_meeting *meeting = bw_owner_meeting(owner, &ask->roster.meeting, &ask->roster.loading);
    ask->roster.found = meeting != NULL;
    if (meeting != NULL && !copy_roster(meeting, bw_owner_view(owner), &ask->roster))
        ask->roster.loading = true;
    ask->mail.deliver = ask_home;
    bw_mailbox_post(ask->back, &ask->mail);
}

bool bw_ingest_ask(struct bw_worker *worker, struct bw_mailbox *back, const struct bw_id *meeting,
                   void (*done)(void *context, const struct bw_ingest_roster *roster), void *context)
{
    struct bw_ingest_ask *ask = bw_calloc(1, sizeof *ask);
    if (ask == NULL)
        return false;
    ask->mail.deliver = ask_arrived;
    ask->worker = worker;
    ask->back = back;
    ask->roster.meeting = *meeting;
    ask->done = done;
    ask->context = context;
    bw_mailbox_post(bw_worker_mailbox(worker), &ask->mail);
    return true;
}

/* ---- rows ---- */

static const struct bw_store_meeting_quality *base_of(const struct bw_ingest_write *write,
                                                      const struct bw_id *meeting)
{
    for (size_t i = 0; i < write->base_count; i++) {
        if (bw_id_equal(&write->bases[i].meeting, meeting))
            return &write->bases[i];
    }
    return NULL;
}

/* A meeting that an earlier process knew, too, goes on from what that one has left. */
static enum bw_code write_meetings(struct bw_store_db *db, struct bw_ingest_write *write,
                                   struct bw_error *err)
{
    size_t count = write->meeting_count, first = 0;
    if (count == 0)
        return BW_OK;
    struct bw_id *ids = bw_calloc(count, sizeof *ids);
    struct bw_store_meeting_quality *rows = bw_calloc(count, sizeof *rows);
    enum bw_code code = ids != NULL && rows != NULL ? BW_OK : bw_fail_memory(err);
    for (size_t i = 0; code == BW_OK && i < count; i++) {
        rows[i] = write->meetings[i];
        if (write->first[i])
            ids[first++] = rows[i].meeting;
    }
    if (code == BW_OK && first > 0)
        code = bw_store_meeting_quality_read(db, ids, first, write->bases, &write->base_count, err);
    for (size_t i = 0; code == BW_OK && i < count; i++) {
        const struct bw_store_meeting_quality *base =
            write->first[i] ? base_of(write, &rows[i].meeting) : NULL;
        if (base != NULL)
            bw_ingest_merge(&rows[i], base);
    }
    if (code == BW_OK)
        code = bw_store_meeting_quality_write(db, rows, count, err);
    bw_free(ids);
    bw_free(rows);
    return code;
}

enum bw_code bw_ingest_write_rows(struct bw_store_db *db, struct bw_ingest_write *write, struct bw_error *err)
{
    enum bw_code code = bw_store_keys_write(db, write->keys, write->key_count, err);
    if (code == BW_OK)
        code = bw_store_chunks_write(db, write->chunks, write->chunk_count, err);
    if (code == BW_OK)
        code = bw_store_sketches_write(db, write->sketches, write->sketch_count, err);
    if (code == BW_OK)
        code = write_meetings(db, write, err);
    return code;
}

static void run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct bw_ingest_job *self = (struct bw_ingest_job *)job;
    self->code = bw_ingest_write_rows(db, self->write, &self->error);
}

void bw_ingest_job_init(struct bw_ingest_job *job, struct bw_ingest_write *write, struct bw_mailbox *back,
                        void (*deliver)(struct bw_mail *mail))
{
    *job = (struct bw_ingest_job){.job = {.mail = {.deliver = deliver}, .back = back, .run = run},
                                  .write = write};
}
