/* Chunks on their way to the database: waiting, sealed, under way, written. */
#include <string.h>

#include "base/alloc.h"
#include "quality/chunk.h"
#include "runtime/random.h"
#include "server/ingest_state.h"

/* ---- waiting ---- */

static void unlink_row(struct bw_ingest_core *core, struct ingest_row *row)
{
    if (row->previous != NULL)
        row->previous->next = row->next;
    else
        core->first_row = row->next;
    if (row->next != NULL)
        row->next->previous = row->previous;
    else
        core->last_row = row->previous;
    HASH_DEL(core->rows, row);
    core->row_bytes -= row->len + sizeof *row;
}

static void drop_row(struct bw_ingest_core *core, struct ingest_row *row)
{
    unlink_row(core, row);
    row->meeting->rows--;
    bw_free(row->bytes);
    bw_free(row);
}

static struct ingest_row_key key_of(const struct ingest_meeting *meeting,
                                    const struct bw_quality_closed *closed)
{
    struct ingest_row_key key;
    memset(&key, 0, sizeof key); /* hashed as bytes */
    key.meeting = meeting;
    key.seq = closed->seq;
    key.stream = closed->key.stream;
    key.slot = closed->key.slot;
    key.source = (uint32_t)closed->key.source;
    return key;
}

static struct ingest_row *new_row(struct ingest_meeting *meeting, const struct ingest_row_key *key)
{
    struct bw_ingest_core *core = meeting->core;
    struct ingest_row *row = bw_calloc(1, sizeof *row);
    if (row == NULL)
        return NULL;
    row->key = *key;
    row->meeting = meeting;
    HASH_ADD(hh, core->rows, key, sizeof row->key, row);
    if (row->hh.tbl == NULL) {
        bw_free(row);
        return NULL;
    }
    row->previous = core->last_row;
    if (core->last_row != NULL)
        core->last_row->next = row;
    else
        core->first_row = row;
    core->last_row = row;
    core->row_bytes += sizeof *row;
    meeting->rows++;
    return row;
}

/* The newest version of a chunk; an older one that still waits is replaced. */
static enum bw_code put_row(struct ingest_meeting *meeting, const struct bw_quality_closed *closed,
                            bool partial, struct bw_error *err)
{
    struct bw_ingest_core *core = meeting->core;
    struct ingest_row_key key = key_of(meeting, closed);
    struct ingest_row *row;
    uint8_t *bytes = bw_malloc(closed->bytes.len);
    if (bytes == NULL)
        return bw_fail_memory(err);
    memcpy(bytes, closed->bytes.data, closed->bytes.len);
    HASH_FIND(hh, core->rows, &key, sizeof key, row);
    if (row == NULL)
        row = new_row(meeting, &key);
    if (row == NULL) {
        bw_free(bytes);
        return bw_fail_memory(err);
    }
    core->row_bytes += closed->bytes.len - row->len;
    bw_free(row->bytes);
    row->bytes = bytes;
    row->len = closed->bytes.len;
    row->from_ms = closed->from_ms;
    row->to_ms = closed->to_ms;
    row->partial = partial;
    while (core->row_bytes > core->config.row_bytes && core->first_row != row) {
        drop_row(core, core->first_row);
        core->counts.rows_dropped++;
    }
    return BW_OK;
}

enum bw_code ingest_row_closed(void *context, const struct bw_quality_closed *closed, struct bw_error *err)
{
    struct ingest_meeting *meeting = context;
    return meeting->core->sealer != NULL ? put_row(meeting, closed, false, err) : BW_OK;
}

static struct ingest_stream *stream_of(struct ingest_meeting *meeting,
                                       const struct bw_quality_stream_key *key)
{
    struct ingest_stream *stream;
    HASH_FIND(hh, meeting->streams, key, sizeof *key, stream);
    if (stream != NULL)
        return stream;
    stream = bw_calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->key = *key;
    HASH_ADD(hh, meeting->streams, key, sizeof stream->key, stream);
    if (stream->hh.tbl == NULL) {
        bw_free(stream);
        return NULL;
    }
    return stream;
}

static enum bw_code flush_open(void *context, const struct bw_quality_closed *open, struct bw_error *err)
{
    struct ingest_meeting *meeting = context;
    struct ingest_stream *stream = stream_of(meeting, &open->key);
    if (stream == NULL)
        return bw_fail_memory(err);
    if (stream->seq == open->seq && stream->windows == open->windows)
        return BW_OK;
    enum bw_code code = put_row(meeting, open, true, err);
    if (code == BW_OK) {
        stream->seq = open->seq;
        stream->windows = open->windows;
    }
    return code;
}

void ingest_rows_flush(struct ingest_meeting *meeting)
{
    if (meeting->core->sealer == NULL || meeting->windows == NULL)
        return;
    if (bw_quality_meeting_peek(meeting->windows, 0, flush_open, meeting, NULL) != BW_OK)
        meeting->core->counts.rows_late++; /* memory was out: the next flush, or the whole chunk, has it */
}

void ingest_rows_finish(struct bw_ingest_core *core)
{
    while (core->first_row != NULL)
        drop_row(core, core->first_row);
}

/* ---- sealing ---- */

static void want_keys(struct bw_ingest_core *core, struct ingest_tenant *tenant)
{
    if (tenant->keys_asked_ms != 0 && core->now_ms - tenant->keys_asked_ms < KEY_ASK_MS)
        return;
    tenant->keys_asked_ms = core->now_ms;
    core->ports.want_keys(core->ports.context, &tenant->id);
}

static void add_key(struct bw_ingest_write *write, const struct bw_meeting_key_row *row)
{
    if (write->key_count > 0 && bw_id_equal(&write->keys[write->key_count - 1].id, &row->key_id))
        return; /* chunks of a meeting come one after the other */
    struct bw_store_meeting_key *key = &write->keys[write->key_count++];
    *key = (struct bw_store_meeting_key){
        .id = row->key_id, .tenant = row->tenant, .meeting = row->meeting, .scope_key = row->scope_key};
    memcpy(key->enc, row->enc, sizeof key->enc);
    memcpy(key->sealed, row->sealed, sizeof key->sealed);
}

enum bw_code ingest_seal(struct bw_ingest_core *core, struct ingest_write *write,
                         struct ingest_tenant *tenant, const struct bw_id *meeting,
                         struct bw_record_info *info, const char *table, struct bw_view bytes,
                         struct bw_id *row, size_t *offset, size_t *len)
{
    const struct bw_sealing_key *key;
    struct bw_meeting_key_row key_row;
    bool is_new = false;
    if (tenant->keyless)
        return BW_NOT_FOUND;
    /* What is sealed to an older day's key goes on; the vault is asked for today's meanwhile. */
    if (bw_sealer_ready(core->sealer, &tenant->id, core->now_ms) != BW_SEALER_READY)
        want_keys(core, tenant);
    enum bw_code code =
        bw_sealer_meeting(core->sealer, &tenant->id, meeting, core->now_ms, &key, &key_row, &is_new, NULL);
    if (code != BW_OK) {
        tenant->keyless = true;
        return code;
    }
    struct bw_seal_place place = {.row = *row, .column = {'b', 'o', 'd', 'y'}};
    memcpy(place.table, table, sizeof place.table);
    size_t before = write->write.records.len;
    code = bw_sealer_record(core->sealer, key, info, &place, bytes, &write->write.records, NULL);
    if (code != BW_OK)
        return code;
    if (is_new)
        add_key(&write->write, &key_row);
    *offset = before;
    *len = write->write.records.len - before;
    return BW_OK;
}

static bool seal_row(struct bw_ingest_core *core, struct ingest_write *write, const struct ingest_row *row)
{
    struct ingest_meeting *meeting = row->meeting;
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    struct bw_id id = bw_id_v4(random);
    struct bw_record_info info = {.type = BW_RECORD_CHUNK,
                                  .stream = row->key.stream,
                                  .chunk_seq = row->key.seq,
                                  .time_bucket = row->from_ms,
                                  .schema = BW_QUALITY_CHUNK_VERSION,
                                  .pad_class = PAD_CHUNK};
    size_t offset, len;
    if (ingest_seal(core, write, meeting->tenant, &meeting->id, &info, "qchk",
                    bw_view_of(row->bytes, row->len), &id, &offset, &len) != BW_OK)
        return false;
    struct bw_ingest_write *out = &write->write;
    write->chunk_meetings[out->chunk_count] = meeting;
    out->chunks[out->chunk_count++] =
        (struct bw_store_chunk){.id = id,
                                .tenant = meeting->tenant->id,
                                .meeting = meeting->id,
                                .stream = row->key.stream,
                                .slot = row->key.slot,
                                .source = (uint8_t)row->key.source,
                                .seq = row->key.seq,
                                .from_ms = (uint64_t)row->from_ms,
                                .to_ms = (uint64_t)row->to_ms,
                                .record = {.data = (const uint8_t *)offset, .len = len}};
    write->partial += row->partial ? 1 : 0;
    return true;
}

/* ---- summaries ---- */

void bw_ingest_merge(struct bw_store_meeting_quality *into, const struct bw_store_meeting_quality *base)
{
    if (into->from_ms == 0 || (base->from_ms != 0 && base->from_ms < into->from_ms))
        into->from_ms = base->from_ms;
    if (base->to_ms > into->to_ms)
        into->to_ms = base->to_ms;
    if (base->participants > into->participants)
        into->participants = base->participants;
    enum bw_quality_class mine = (enum bw_quality_class)into->worst_class,
                          theirs = (enum bw_quality_class)base->worst_class;
    if (mine == 0 || (theirs != 0 && mine != theirs && bw_quality_worse(mine, theirs) == theirs)) {
        into->worst_class = base->worst_class;
        into->reason = base->reason;
    }
    into->poor_minutes += base->poor_minutes;
    into->windows += base->windows;
    if (base->policy_revision > into->policy_revision)
        into->policy_revision = base->policy_revision;
    for (size_t i = 0; i < base->relay_count; i++) {
        bool there = false;
        for (size_t k = 0; k < into->relay_count; k++)
            there = there || into->relays[k] == base->relays[i];
        if (!there && into->relay_count < BW_STORE_QUALITY_RELAYS)
            into->relays[into->relay_count++] = base->relays[i];
    }
}

void ingest_summary_due(struct ingest_meeting *meeting)
{
    struct bw_ingest_core *core = meeting->core;
    if (meeting->summary_due || meeting->windows == NULL)
        return;
    meeting->summary_due = true;
    /* Two of one meeting do not pass each other: the first also tells what an earlier process had. */
    if (meeting->summary_under_way)
        return;
    meeting->next_summary = NULL;
    if (core->first_summary == NULL)
        core->first_summary = meeting;
    else
        core->last_summary->next_summary = meeting;
    core->last_summary = meeting;
}

static void take_summary(struct ingest_write *write, struct ingest_meeting *meeting)
{
    struct bw_quality_summary summary;
    bw_quality_meeting_summary(meeting->windows, &summary);
    struct bw_ingest_write *out = &write->write;
    struct bw_store_meeting_quality *row = &out->meetings[out->meeting_count];
    *row = (struct bw_store_meeting_quality){
        .meeting = meeting->id,
        .tenant = meeting->tenant->id,
        .from_ms = (uint64_t)summary.from_ms,
        .to_ms = (uint64_t)summary.to_ms,
        .participants = summary.participants,
        .poor_minutes = summary.poor_minutes,
        .windows = summary.windows < UINT32_MAX ? (uint32_t)summary.windows : UINT32_MAX,
        .policy_revision = meeting->policy_revision,
        .worst_class = (uint8_t)summary.worst_class,
        .reason = (uint8_t)summary.reason,
        .relay_count = meeting->relay_count};
    memcpy(row->relays, meeting->relays, meeting->relay_count * sizeof row->relays[0]);
    if (meeting->has_base)
        bw_ingest_merge(row, &meeting->base);
    write->meetings[out->meeting_count] = meeting;
    out->first[out->meeting_count++] = !meeting->base_known;
    meeting->summary_due = false;
    meeting->summary_under_way = true;
}

/* ---- writes ---- */

void ingest_write_free(struct ingest_write *write)
{
    if (write == NULL)
        return;
    bw_buf_finish(&write->write.records);
    bw_free(write->write.keys);
    bw_free(write->write.chunks);
    bw_free(write->write.sketches);
    bw_free(write->write.meetings);
    bw_free(write->write.first);
    bw_free(write->write.bases);
    bw_free(write->chunk_meetings);
    bw_free(write->meetings);
    bw_free(write);
}

static struct ingest_write *new_write(void)
{
    struct ingest_write *write = bw_calloc(1, sizeof *write);
    if (write == NULL)
        return NULL;
    struct bw_ingest_write *out = &write->write;
    out->keys = bw_calloc(2 * WRITE_CHUNKS, sizeof *out->keys);
    out->chunks = bw_calloc(WRITE_CHUNKS, sizeof *out->chunks);
    out->sketches = bw_calloc(WRITE_CHUNKS, sizeof *out->sketches);
    out->meetings = bw_calloc(WRITE_MEETINGS, sizeof *out->meetings);
    out->first = bw_calloc(WRITE_MEETINGS, sizeof *out->first);
    out->bases = bw_calloc(WRITE_MEETINGS, sizeof *out->bases);
    write->chunk_meetings = bw_calloc(WRITE_CHUNKS, sizeof *write->chunk_meetings);
    write->meetings = bw_calloc(WRITE_MEETINGS, sizeof *write->meetings);
    if (out->keys == NULL || out->chunks == NULL || out->sketches == NULL || out->meetings == NULL ||
        out->first == NULL || out->bases == NULL || write->chunk_meetings == NULL ||
        write->meetings == NULL) {
        ingest_write_free(write);
        return NULL;
    }
    return write;
}

static void fill_chunks(struct bw_ingest_core *core, struct ingest_write *write)
{
    for (struct ingest_row *row = core->first_row, *next; row != NULL; row = next) {
        next = row->next;
        if (write->write.chunk_count == WRITE_CHUNKS)
            return;
        if (row->meeting->tenant->keyless || !seal_row(core, write, row))
            continue;
        unlink_row(core, row); /* the meeting counts it until it is written */
        bw_free(row->bytes);
        bw_free(row);
    }
}

static void fill_summaries(struct bw_ingest_core *core, struct ingest_write *write)
{
    while (core->first_summary != NULL && write->write.meeting_count < WRITE_MEETINGS) {
        struct ingest_meeting *meeting = core->first_summary;
        core->first_summary = meeting->next_summary;
        take_summary(write, meeting);
    }
}

/* The buffer has moved while it grew. */
static void point_into_records(struct bw_ingest_write *write)
{
    for (size_t i = 0; i < write->chunk_count; i++)
        write->chunks[i].record.data = write->records.data + (size_t)write->chunks[i].record.data;
    for (size_t i = 0; i < write->sketch_count; i++)
        write->sketches[i].record.data = write->records.data + (size_t)write->sketches[i].record.data;
}

static void conclude(struct bw_ingest_core *core, struct ingest_write *write, bool done)
{
    const struct bw_ingest_write *given = &write->write;
    for (size_t i = 0; i < given->key_count && done; i++)
        bw_sealer_stored(core->sealer, &given->keys[i].tenant, &given->keys[i].meeting, &given->keys[i].id);
    for (size_t i = 0; i < given->chunk_count; i++)
        write->chunk_meetings[i]->rows--;
    for (size_t i = 0; i < given->meeting_count; i++) {
        struct ingest_meeting *meeting = write->meetings[i];
        bool again = meeting->summary_due || !done;
        meeting->summary_under_way = meeting->summary_due = false;
        if (again)
            ingest_summary_due(meeting);
        if (!done || !given->first[i])
            continue;
        meeting->base_known = true;
        for (size_t k = 0; k < given->base_count; k++) {
            if (bw_id_equal(&given->bases[k].meeting, &meeting->id)) {
                meeting->base = given->bases[k];
                meeting->has_base = true;
            }
        }
    }
    if (done) {
        core->counts.chunks += given->chunk_count - write->partial;
        core->counts.partial_chunks += write->partial;
        core->counts.sealed_bytes += write->sealed_bytes;
    } else {
        core->counts.rows_dropped += given->chunk_count;
    }
    ingest_write_free(write);
}

static bool pump_one(struct bw_ingest_core *core)
{
    struct ingest_write *write = new_write();
    if (write == NULL)
        return false;
    fill_summaries(core, write);
    if (core->sealer != NULL) {
        fill_chunks(core, write);
        ingest_hours_seal(core, write, 64);
    }
    struct bw_ingest_write *out = &write->write;
    if (out->chunk_count + out->sketch_count + out->meeting_count == 0) {
        ingest_write_free(write);
        return false;
    }
    point_into_records(out);
    write->sealed_bytes = out->records.len;
    if (!core->ports.write(core->ports.context, out)) {
        conclude(core, write, false);
        return false;
    }
    core->writes++;
    return true;
}

static bool anything(const struct bw_ingest_core *core)
{
    return core->first_summary != NULL || core->first_row != NULL ||
           (core->sealer != NULL && ingest_hours_due(core));
}

void ingest_rows_pump(struct bw_ingest_core *core)
{
    while (core->writes < WRITES_UNDER_WAY && anything(core)) {
        if (!pump_one(core))
            return; /* what waits has no key */
    }
}

void bw_ingest_core_written(struct bw_ingest_core *core, struct bw_ingest_write *write, bool done,
                            uint64_t now_ms)
{
    core->now_ms = now_ms;
    core->writes--;
    conclude(core, (struct ingest_write *)write, done);
    ingest_rows_pump(core);
}
