/* What a session sends of its feed, and what it makes of the answers. */
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "fleet/session_internal.h"

static bool window_open(const struct bw_session *s)
{
    return s->unacked_count < s->window_messages && s->unacked_bytes < s->window_bytes;
}

bool session_can_resume(const struct bw_session *s)
{
    return s->has_resume && bw_id_equal(&s->resume.stream_id, &s->config.stream_id) &&
           s->resume.applied_group >= bw_feed_compaction(s->feed) &&
           s->resume.applied_group <= bw_feed_head(s->feed);
}

struct session_sent *session_note_sent(struct bw_session *s, uint64_t nonce, uint32_t bytes, uint64_t now_ms)
{
    BW_CHECK(s->unacked_count < SESSION_WINDOW_MAX);
    struct session_sent *sent = &s->unacked[s->unacked_count++];
    *sent = (struct session_sent){.nonce = nonce, .group = s->told_group, .at_ms = now_ms, .bytes = bytes};
    s->unacked_bytes += bytes;
    if (s->sent_turn == bw_feed_turn(s->feed) && !s->keys_due) {
        sent->known = true;
        sent->digest = bw_feed_digest(s->feed);
        sent->count = bw_feed_live(s->feed);
    }
    return sent;
}

uint32_t session_upsert_bytes(const struct bw_upsert *upsert)
{
    return (uint32_t)(upsert->body.len + 64);
}

/* ---- deltas ---- */

/* Entries that go into one delta, in the order of their turns. */
struct batch {
    const struct bw_feed_entry *entries[BW_DELTA_UPSERTS];
    size_t count;
    uint32_t bytes;
};

static bool batch_add(struct batch *batch, const struct bw_feed_entry *entry)
{
    if (batch->count == BW_DELTA_UPSERTS || batch->bytes >= SESSION_DELTA_BYTES)
        return false;
    batch->entries[batch->count++] = entry;
    batch->bytes += (uint32_t)(entry->body_len + 64);
    return true;
}

static struct session_retry *retry_of(struct bw_session *s, const struct bw_resource_id *id)
{
    for (size_t i = 0; i < s->retry_count; i++) {
        if (bw_resource_id_equal(&s->retries[i].id, id))
            return &s->retries[i];
    }
    return NULL;
}

/* Brings a batch into the order of types and sends it. */
static bool send_batch(struct bw_session *s, const struct batch *batch, uint64_t to_group, uint64_t now_ms)
{
    struct bw_upsert *upserts = bw_malloc((batch->count + 1) * sizeof *upserts);
    struct bw_removal *removals = bw_malloc((batch->count + 1) * sizeof *removals);
    if (upserts == NULL || removals == NULL) {
        bw_free(upserts);
        bw_free(removals);
        return false; /* tried again at the next tick */
    }
    uint64_t nonce = s->next_nonce++;
    size_t upsert_count = 0, removal_count = 0;
    for (int type = BW_RESOURCE_PEER_LINK; type <= BW_RESOURCE_GRANT_KEY; type++) {
        for (size_t i = 0; i < batch->count; i++) {
            const struct bw_feed_entry *e = batch->entries[i];
            int reversed = BW_RESOURCE_PEER_LINK + BW_RESOURCE_GRANT_KEY - type;
            if (!e->removed && (int)e->type == type)
                upserts[upsert_count++] = bw_feed_entry_upsert(e);
            if (e->removed && (int)e->type == reversed)
                removals[removal_count++] = bw_feed_entry_removal(e);
        }
    }
    if (s->retry_count > 0) {
        for (size_t i = 0; i < batch->count; i++) {
            struct session_retry *retry = retry_of(s, &batch->entries[i]->id);
            if (retry != NULL) {
                retry->nonce = nonce;
                retry->version = batch->entries[i]->version;
            }
        }
    }
    struct bw_control_message message = {.kind = BW_CONTROL_DELTA,
                                         .delta = {.nonce = nonce,
                                                   .from_group = s->told_group,
                                                   .to_group = to_group,
                                                   .upserts = upserts,
                                                   .upsert_count = upsert_count,
                                                   .removals = removals,
                                                   .removal_count = removal_count}};
    s->told_group = to_group;
    s->deltas++;
    (void)session_note_sent(s, nonce, batch->bytes + 64, now_ms);
    bool ok = session_send(s, &message);
    bw_free(upserts);
    bw_free(removals);
    return ok;
}

/* The changes after what was sent, as many as fit. Between groups the relay has applied all of the last one;
 * inside a group it has applied all but that one. */
static bool send_next_delta(struct bw_session *s, uint64_t now_ms)
{
    struct batch batch = {.count = 0};
    uint64_t to_group = bw_feed_head(s->feed), turn_before = s->sent_turn;
    bool keys_before = s->keys_due;
    if (s->keys_due) {
        for (const struct bw_feed_entry *e = bw_feed_after(s->feed, 0); e != NULL && e->turn <= s->sent_turn;
             e = e->newer) {
            if (e->type == BW_RESOURCE_GRANT_KEY)
                (void)batch_add(&batch, e);
        }
    }
    const struct bw_feed_entry *next = bw_feed_after(s->feed, s->sent_turn), *last = NULL;
    while (next != NULL && batch_add(&batch, next)) {
        last = next;
        next = next->newer;
    }
    if (next != NULL) {
        uint64_t reached = last == NULL                 ? s->told_group
                           : next->group == last->group ? last->group - 1
                                                        : last->group;
        to_group = reached > s->told_group ? reached : s->told_group;
    }
    if (last != NULL)
        s->sent_turn = last->turn;
    s->keys_due = false;
    if (send_batch(s, &batch, to_group, now_ms)) {
        s->delta_due = false;
        return true;
    }
    s->sent_turn = turn_before;
    s->keys_due = keys_before;
    return false;
}

/* Resources that failed and whose time has come. */
static void send_retries(struct bw_session *s, uint64_t now_ms)
{
    struct batch batch = {.count = 0};
    for (size_t i = 0; i < s->retry_count;) {
        struct session_retry *retry = &s->retries[i];
        const struct bw_feed_entry *e = bw_feed_find(s->feed, &retry->id);
        if (e == NULL) { /* removed and compacted since: the digest will tell */
            *retry = s->retries[--s->retry_count];
            continue;
        }
        if (retry->nonce == 0 && now_ms >= retry->due_ms)
            (void)batch_add(&batch, e);
        i++;
    }
    if (batch.count > 0)
        (void)send_batch(s, &batch, s->told_group, now_ms);
}

/* More than half of what the relay should hold has changed, or a removal it missed is forgotten. */
static bool snapshot_needed(const struct bw_session *s, uint64_t now_ms)
{
    if (s->resync_wanted && now_ms >= s->resync_at_ms)
        return true;
    if (!bw_feed_covers(s->feed, s->sent_turn))
        return true;
    size_t half = bw_feed_live(s->feed) / 2;
    size_t bound = half > SESSION_SNAPSHOT_MIN_PENDING ? half : SESSION_SNAPSHOT_MIN_PENDING;
    return bw_feed_pending(s->feed, s->sent_turn, bound + 1) > bound;
}

void session_stream_start(struct bw_session *s, uint64_t now_ms)
{
    s->bookmark_at_ms = now_ms;
    if (s->by_snapshot) {
        s->resync_wanted = true;
        s->resync_at_ms = now_ms;
    } else {
        s->told_group = s->acked_group = s->resume.applied_group;
        s->sent_turn = bw_feed_turn_of(s->feed, s->resume.applied_group);
        s->delta_due = s->keys_due = true;
    }
    session_stream_pump(s, now_ms);
}

void session_stream_pump(struct bw_session *s, uint64_t now_ms)
{
    if (s->state == BW_SESSION_LIVE && s->snapshot.running)
        session_snapshot_go_on(s, now_ms);
    while (!s->snapshot.running && s->state == BW_SESSION_LIVE && window_open(s)) {
        bool pending = s->delta_due || s->sent_turn != bw_feed_turn(s->feed);
        if (snapshot_needed(s, now_ms))
            session_snapshot_start(s, now_ms);
        else if (!pending || !send_next_delta(s, now_ms))
            break;
    }
    if (s->snapshot.running)
        return;
    if (s->state == BW_SESSION_LIVE && s->retry_count > 0 && window_open(s))
        send_retries(s, now_ms);
    uint64_t head = bw_feed_head(s->feed);
    if (s->state == BW_SESSION_LIVE && s->sent_turn == bw_feed_turn(s->feed) && head > s->told_group &&
        s->snapshots + s->deltas > 0 && now_ms - s->bookmark_at_ms >= s->config.timing.bookmark_ms) {
        s->bookmark_at_ms = now_ms;
        s->told_group = head;
        struct bw_control_message message = {.kind = BW_CONTROL_BOOKMARK, .bookmark = {.group = head}};
        (void)session_send(s, &message);
    }
}

/* ---- answers ---- */

static uint64_t backoff_ms(uint32_t attempts)
{
    uint64_t wait = SESSION_BACKOFF_MIN_MS;
    for (uint32_t i = 1; i < attempts && wait < SESSION_BACKOFF_MAX_MS; i++)
        wait *= 2;
    return wait < SESSION_BACKOFF_MAX_MS ? wait : SESSION_BACKOFF_MAX_MS;
}

static void want_resync(struct bw_session *s, uint64_t now_ms)
{
    if (s->resync_wanted)
        return;
    s->resync_wanted = true;
    s->resync_at_ms = now_ms + (s->snapshots == 0 ? 0 : s->resync_backoff_ms);
    if (s->resync_backoff_ms < SESSION_BACKOFF_MAX_MS)
        s->resync_backoff_ms *= 2;
}

static void note_failure(struct bw_session *s, const struct bw_nack_item *item, uint64_t now_ms)
{
    const struct bw_feed_entry *entry = bw_feed_find(s->feed, &item->id);
    if (entry == NULL || entry->version != item->version)
        return; /* superseded: the newer state has its own answer */
    struct session_retry *retry = retry_of(s, &item->id);
    if (retry == NULL) {
        if (s->retry_count == SESSION_RETRIES_MAX) {
            want_resync(s, now_ms);
            return;
        }
        retry = &s->retries[s->retry_count++];
        *retry = (struct session_retry){.id = item->id};
    }
    retry->version = item->version;
    retry->attempts++;
    retry->nonce = 0;
    retry->due_ms = now_ms + backoff_ms(retry->attempts);
}

void session_stream_ack(struct bw_session *s, uint64_t nonce, const struct bw_nack_item *failures,
                        size_t failure_count, uint64_t now_ms)
{
    size_t done = 0;
    while (done < s->unacked_count && s->unacked[done].nonce <= nonce) {
        const struct session_sent *sent = &s->unacked[done++];
        s->unacked_bytes -= sent->bytes;
        s->acked = true;
        s->acked_group = sent->group;
        s->expected_known = sent->known;
        s->expected_digest = sent->digest;
        s->expected_count = sent->count;
    }
    memmove(s->unacked, s->unacked + done, (s->unacked_count - done) * sizeof s->unacked[0]);
    s->unacked_count -= done;
    for (size_t i = 0; i < failure_count; i++)
        note_failure(s, &failures[i], now_ms);
    /* Attempts that were answered and did not fail again have succeeded. */
    for (size_t i = 0; i < s->retry_count;) {
        if (s->retries[i].nonce != 0 && s->retries[i].nonce <= nonce)
            s->retries[i] = s->retries[--s->retry_count];
        else
            i++;
    }
}

void session_stream_check(struct bw_session *s, const struct bw_heartbeat *heartbeat, uint64_t now_ms)
{
    if (!s->expected_known || s->retry_count > 0 || s->snapshot.running)
        return;
    /* A later group than the last acknowledged one can only be a bookmark's, or of something on its way. An
     * earlier one means that the relay has fallen back. */
    if (heartbeat->applied_group > s->acked_group && s->unacked_count > 0)
        return;
    if (heartbeat->count == s->expected_count && bw_digest_equal(&heartbeat->digest, &s->expected_digest)) {
        s->resync_backoff_ms = SESSION_BACKOFF_MIN_MS;
        return;
    }
    want_resync(s, now_ms);
    session_stream_pump(s, now_ms);
}

uint64_t session_stream_next_ms(const struct bw_session *s)
{
    uint64_t next = s->bookmark_at_ms + s->config.timing.bookmark_ms;
    if (s->snapshot.running) /* whoever can say that the stream takes more may fail to */
        return s->snapshot.moved_ms + SESSION_SNAPSHOT_LOOK_MS;
    if (bw_feed_head(s->feed) <= s->told_group)
        next = UINT64_MAX;
    if (s->resync_wanted && s->resync_at_ms < next)
        next = s->resync_at_ms;
    for (size_t i = 0; i < s->retry_count; i++) {
        if (s->retries[i].nonce == 0 && s->retries[i].due_ms < next)
            next = s->retries[i].due_ms;
    }
    return next;
}
