/* A session's snapshot: everything its relay should hold, of one moment. What the stream takes at once is
 * sent from the feed itself; when it takes no more, the rest is copied as it is at that moment and follows as
 * the stream drains. Nothing else of the feed is sent until the end. */
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "fleet/session_internal.h"

/* Links first, then slots, then keys. */
struct walk {
    struct bw_feed *feed;
    int type;
    const struct bw_feed_entry *next; /* not looked at yet; NULL: this type is through */
};

static struct walk walk_start(struct bw_feed *feed)
{
    return (struct walk){.feed = feed, .type = BW_RESOURCE_PEER_LINK, .next = bw_feed_after(feed, 0)};
}

static const struct bw_feed_entry *walk_on(struct walk *walk)
{
    while (walk->type <= BW_RESOURCE_GRANT_KEY) {
        for (const struct bw_feed_entry *e = walk->next; e != NULL; e = e->newer) {
            if (e->removed || (int)e->type != walk->type)
                continue;
            walk->next = e->newer;
            return e;
        }
        walk->type++;
        walk->next = bw_feed_after(walk->feed, 0);
    }
    return NULL;
}

static bool has_room(const struct bw_session *s)
{
    return s->ports.room == NULL || s->ports.room(s->ports.context);
}

static bool send_chunk(struct bw_session *s, const struct bw_upsert *resources, size_t count, uint64_t now_ms)
{
    struct session_snapshot *snapshot = &s->snapshot;
    struct bw_control_message message = {
        .kind = BW_CONTROL_SNAPSHOT_CHUNK,
        .snapshot_chunk = {
            .id = snapshot->id, .seq = snapshot->chunks, .resources = resources, .count = count}};
    snapshot->chunks++;
    snapshot->sent += count;
    snapshot->moved_ms = now_ms;
    for (size_t i = 0; i < count; i++)
        snapshot->bytes += session_upsert_bytes(&resources[i]);
    return session_send(s, &message);
}

void session_snapshot_drop(struct bw_session *s)
{
    if (s->snapshot.bodies != NULL)
        bw_wipe(s->snapshot.bodies, s->snapshot.body_bytes); /* links have keys */
    bw_free(s->snapshot.bodies);
    bw_free(s->snapshot.rest);
    s->snapshot = (struct session_snapshot){.running = false};
}

/* Bodies are structs (fleet/resource.h): each begins where one may. */
static size_t room_of(const struct bw_feed_entry *e)
{
    const size_t align = _Alignof(max_align_t);
    return (e->body_len + align - 1) / align * align;
}

static bool freeze(struct bw_session *s, struct walk walk)
{
    size_t count = 0, bytes = 0;
    struct walk ahead = walk;
    for (const struct bw_feed_entry *e; (e = walk_on(&ahead)) != NULL; count++)
        bytes += room_of(e);
    struct session_snapshot *snapshot = &s->snapshot;
    snapshot->rest = bw_malloc((count + 1) * sizeof *snapshot->rest);
    snapshot->bodies = bw_malloc(bytes + 1);
    snapshot->body_bytes = bytes;
    if (snapshot->rest == NULL || snapshot->bodies == NULL)
        return false;
    uint8_t *at = snapshot->bodies;
    for (const struct bw_feed_entry *e; (e = walk_on(&walk)) != NULL; at += room_of(e)) {
        struct bw_upsert *kept = &snapshot->rest[snapshot->rest_count++];
        *kept = bw_feed_entry_upsert(e);
        memcpy(at, e->body, e->body_len);
        kept->body = bw_view_of(at, e->body_len);
    }
    return true;
}

static void finish(struct bw_session *s, uint64_t now_ms)
{
    struct session_snapshot *snapshot = &s->snapshot;
    BW_CHECK(snapshot->sent == snapshot->count);
    struct bw_control_message message = {.kind = BW_CONTROL_SNAPSHOT_END,
                                         .snapshot_end = {.id = snapshot->id,
                                                          .nonce = s->next_nonce++,
                                                          .chunks = snapshot->chunks,
                                                          .count = snapshot->count,
                                                          .digest = snapshot->digest}};
    struct session_sent *sent = session_note_sent(s, message.snapshot_end.nonce, snapshot->bytes, now_ms);
    sent->known = true;
    sent->digest = snapshot->digest;
    sent->count = snapshot->count;
    session_snapshot_drop(s);
    (void)session_send(s, &message);
}

static void give_up(struct bw_session *s)
{
    session_snapshot_drop(s);
    struct bw_error why = {0};
    (void)bw_fail_memory(&why);
    bw_session_end(s, &why); /* half a snapshot cannot stand; no-op when the session has ended already */
}

/* What the stream takes of the feed as it is now. */
static bool send_first(struct bw_session *s, uint64_t now_ms)
{
    struct bw_upsert *chunk = bw_malloc(SESSION_CHUNK * sizeof *chunk);
    if (chunk == NULL)
        return false;
    struct walk walk = walk_start(s->feed);
    bool ok = true, through = false;
    while (ok && !through && has_room(s)) {
        size_t count = 0;
        for (const struct bw_feed_entry *e; count < SESSION_CHUNK && (e = walk_on(&walk)) != NULL;)
            chunk[count++] = bw_feed_entry_upsert(e);
        through = s->snapshot.sent + count == s->snapshot.count;
        if (count > 0)
            ok = send_chunk(s, chunk, count, now_ms);
    }
    bw_free(chunk);
    return ok && (through || freeze(s, walk));
}

void session_snapshot_start(struct bw_session *s, uint64_t now_ms)
{
    s->snapshot = (struct session_snapshot){.running = true,
                                            .id = s->next_snapshot++,
                                            .count = bw_feed_live(s->feed),
                                            .digest = bw_feed_digest(s->feed),
                                            .since_ms = now_ms,
                                            .moved_ms = now_ms};
    s->told_group = bw_feed_head(s->feed);
    s->sent_turn = bw_feed_turn(s->feed);
    s->delta_due = s->keys_due = s->resync_wanted = false;
    s->retry_count = 0; /* everything is said again */
    s->snapshots++;
    struct bw_control_message message = {
        .kind = BW_CONTROL_SNAPSHOT_BEGIN,
        .snapshot_begin = {.id = s->snapshot.id, .group = s->told_group, .count = s->snapshot.count}};
    if (!session_send(s, &message) || !send_first(s, now_ms))
        give_up(s);
    else if (s->snapshot.sent == s->snapshot.count)
        finish(s, now_ms);
}

void session_snapshot_go_on(struct bw_session *s, uint64_t now_ms)
{
    struct session_snapshot *snapshot = &s->snapshot;
    while (snapshot->rest_at < snapshot->rest_count && has_room(s)) {
        size_t left = snapshot->rest_count - snapshot->rest_at;
        size_t count = left < SESSION_CHUNK ? left : SESSION_CHUNK;
        if (!send_chunk(s, snapshot->rest + snapshot->rest_at, count, now_ms)) {
            session_snapshot_drop(s);
            return;
        }
        snapshot->rest_at += count;
    }
    if (snapshot->rest_at == snapshot->rest_count)
        finish(s, now_ms);
}
