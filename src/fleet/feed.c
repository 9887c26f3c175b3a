#include "fleet/feed.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"

struct bw_feed {
    struct bw_feed_entry *by_id;
    struct bw_feed_entry *oldest, *newest;
    uint64_t head, compaction, turn;
    uint64_t compacted_turn; /* of the newest tombstone that was forgotten */
    size_t live, tombstones;
    struct bw_digest digest;
};

struct bw_feed *bw_feed_create(uint64_t group)
{
    struct bw_feed *feed = bw_calloc(1, sizeof *feed);
    if (feed == NULL)
        return NULL;
    feed->head = feed->compaction = group;
    return feed;
}

/* A link's body holds its key. */
static void free_body(uint8_t *body, size_t len)
{
    if (body != NULL)
        bw_wipe(body, len);
    bw_free(body);
}

static void entry_destroy(struct bw_feed_entry *entry)
{
    if (entry == NULL)
        return;
    free_body(entry->body, entry->body_len);
    bw_free(entry);
}

void bw_feed_destroy(struct bw_feed *feed)
{
    if (feed == NULL)
        return;
    struct bw_feed_entry *entry = feed->oldest;
    HASH_CLEAR(hh, feed->by_id);
    while (entry != NULL) {
        struct bw_feed_entry *newer = entry->newer;
        entry_destroy(entry);
        entry = newer;
    }
    bw_free(feed);
}

static struct bw_feed_entry *find(const struct bw_feed *feed, const struct bw_resource_id *id)
{
    struct bw_feed_entry *entry;
    HASH_FIND(hh, feed->by_id, id->text, sizeof id->text, entry);
    return entry;
}

static void unlink_entry(struct bw_feed *feed, struct bw_feed_entry *entry)
{
    *(entry->older != NULL ? &entry->older->newer : &feed->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &feed->newest) = entry->older;
    entry->older = entry->newer = NULL;
}

static void link_newest(struct bw_feed *feed, struct bw_feed_entry *entry)
{
    entry->older = feed->newest;
    entry->newer = NULL;
    *(feed->newest != NULL ? &feed->newest->newer : &feed->oldest) = entry;
    feed->newest = entry;
}

/* What a batch needs before anything changes: every allocation happens here, so that a batch that fails has
 * changed nothing. A staged entry is new (not yet in the hash) or carries only a new body for an old one. */
struct staged {
    struct bw_feed_entry *entry; /* the one that changes */
    uint8_t *body;
    size_t body_len;
    bool added;
};

/* The entry of an id, made as an unborn tombstone of version 0 if there is none. */
static struct bw_feed_entry *entry_for(struct bw_feed *feed, const struct bw_resource_id *id, bool *added)
{
    struct bw_feed_entry *entry = find(feed, id);
    *added = entry == NULL;
    if (entry != NULL)
        return entry;
    entry = bw_calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->id = *id;
    entry->removed = true;
    HASH_ADD(hh, feed->by_id, id.text, sizeof entry->id.text, entry);
    if (entry->hh.tbl == NULL) {
        bw_free(entry);
        return NULL;
    }
    return entry;
}

static void unstage(struct bw_feed *feed, struct staged *staged, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        free_body(staged[i].body, staged[i].body_len);
        if (staged[i].added) {
            HASH_DEL(feed->by_id, staged[i].entry);
            entry_destroy(staged[i].entry);
        }
    }
}

static enum bw_code stage(struct bw_feed *feed, const struct bw_upsert *upserts, size_t upsert_count,
                          const struct bw_removal *removals, size_t removal_count, struct staged *staged,
                          size_t *done, struct bw_error *err)
{
    for (size_t i = 0; i < upsert_count + removal_count; i++) {
        struct staged *s = &staged[i];
        const struct bw_resource_id *id = i < upsert_count ? &upserts[i].id : &removals[i - upsert_count].id;
        struct bw_resource_name name;
        bool valid = i < upsert_count ? bw_upsert_valid(&upserts[i], &name) : bw_resource_name_of(id, &name);
        if (!valid)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "resource %.*s does not fit its id",
                           BW_RESOURCE_ID_SIZE, id->text);
        *s = (struct staged){.entry = entry_for(feed, id, &s->added), .added = s->added};
        if (s->entry == NULL)
            return bw_fail_memory(err);
        *done = i + 1;
        if (i < upsert_count) {
            s->body = bw_memdup(upserts[i].body.data, upserts[i].body.len);
            if (s->body == NULL)
                return bw_fail_memory(err);
            s->body_len = upserts[i].body.len;
        }
    }
    return BW_OK;
}

static void forget_state(struct bw_feed *feed, struct bw_feed_entry *entry)
{
    if (entry->turn != 0) {
        unlink_entry(feed, entry);
        if (entry->removed)
            feed->tombstones--;
        else
            feed->live--;
    }
    if (!entry->removed)
        bw_digest_toggle(&feed->digest, &entry->digest);
    free_body(entry->body, entry->body_len);
    entry->body = NULL;
    entry->body_len = 0;
}

static void commit_upsert(struct bw_feed *feed, struct staged *s, const struct bw_upsert *upsert,
                          uint64_t group)
{
    struct bw_feed_entry *entry = s->entry;
    if (entry->turn != 0 && upsert->version <= entry->version) {
        free_body(s->body, upsert->body.len);
        return;
    }
    forget_state(feed, entry);
    entry->type = upsert->type;
    entry->removed = false;
    entry->version = upsert->version;
    entry->max_staleness_ms = upsert->max_staleness_ms;
    entry->body = s->body;
    entry->body_len = upsert->body.len;
    entry->group = group;
    entry->turn = ++feed->turn;
    entry->digest = bw_digest_of(&entry->id, entry->version);
    bw_digest_toggle(&feed->digest, &entry->digest);
    feed->live++;
    link_newest(feed, entry);
}

static void commit_removal(struct bw_feed *feed, struct staged *s, const struct bw_removal *removal,
                           uint64_t group)
{
    struct bw_feed_entry *entry = s->entry;
    if (entry->turn != 0 && removal->version <= entry->version)
        return;
    struct bw_resource_name name = {0};
    BW_CHECK(bw_resource_name_of(&entry->id, &name));
    forget_state(feed, entry);
    entry->type = name.type;
    entry->removed = true;
    entry->version = removal->version;
    entry->max_staleness_ms = 0;
    entry->group = group;
    entry->turn = ++feed->turn;
    feed->tombstones++;
    link_newest(feed, entry);
}

static enum bw_code apply(struct bw_feed *feed, uint64_t group, const struct bw_upsert *upserts,
                          size_t upsert_count, const struct bw_removal *removals, size_t removal_count,
                          struct bw_error *err)
{
    size_t count = upsert_count + removal_count, done = 0;
    if (count == 0)
        return BW_OK;
    struct staged *staged = bw_calloc(count, sizeof *staged);
    if (staged == NULL)
        return bw_fail_memory(err);
    enum bw_code code = stage(feed, upserts, upsert_count, removals, removal_count, staged, &done, err);
    if (code != BW_OK) {
        unstage(feed, staged, done);
        bw_free(staged);
        return code;
    }
    for (size_t i = 0; i < upsert_count; i++)
        commit_upsert(feed, &staged[i], &upserts[i], group);
    for (size_t i = 0; i < removal_count; i++)
        commit_removal(feed, &staged[upsert_count + i], &removals[i], group);
    bw_free(staged);
    return BW_OK;
}

enum bw_code bw_feed_apply(struct bw_feed *feed, uint64_t group, const struct bw_upsert *upserts,
                           size_t upsert_count, const struct bw_removal *removals, size_t removal_count,
                           struct bw_error *err)
{
    if (group <= feed->head)
        return BW_OK;
    enum bw_code code = apply(feed, group, upserts, upsert_count, removals, removal_count, err);
    if (code == BW_OK)
        feed->head = group;
    return code;
}

enum bw_code bw_feed_apply_keys(struct bw_feed *feed, const struct bw_upsert *upserts, size_t upsert_count,
                                const struct bw_removal *removals, size_t removal_count, struct bw_error *err)
{
    return apply(feed, feed->head, upserts, upsert_count, removals, removal_count, err);
}

void bw_feed_advance(struct bw_feed *feed, uint64_t group)
{
    if (group > feed->head)
        feed->head = group;
}

void bw_feed_compact(struct bw_feed *feed, uint64_t group)
{
    if (group > feed->head)
        group = feed->head;
    if (group <= feed->compaction)
        return;
    feed->compaction = group;
    struct bw_feed_entry *newer;
    for (struct bw_feed_entry *e = feed->oldest; e != NULL && e->group <= group; e = newer) {
        newer = e->newer;
        /* Removed keys stay: every resume names them, and they are few. */
        if (!e->removed || e->type == BW_RESOURCE_GRANT_KEY)
            continue;
        feed->compacted_turn = e->turn;
        unlink_entry(feed, e);
        BW_CHECK(feed->by_id != NULL);
        HASH_DEL(feed->by_id, e);
        entry_destroy(e);
        feed->tombstones--;
    }
}

uint64_t bw_feed_head(const struct bw_feed *feed)
{
    return feed->head;
}

uint64_t bw_feed_compaction(const struct bw_feed *feed)
{
    return feed->compaction;
}

bool bw_feed_covers(const struct bw_feed *feed, uint64_t turn)
{
    return turn >= feed->compacted_turn;
}

uint64_t bw_feed_turn(const struct bw_feed *feed)
{
    return feed->turn;
}

size_t bw_feed_live(const struct bw_feed *feed)
{
    return feed->live;
}

size_t bw_feed_tombstones(const struct bw_feed *feed)
{
    return feed->tombstones;
}

struct bw_digest bw_feed_digest(const struct bw_feed *feed)
{
    return feed->digest;
}

const struct bw_feed_entry *bw_feed_find(const struct bw_feed *feed, const struct bw_resource_id *id)
{
    return find(feed, id);
}

/* From the newest end: what a session lacks is a few entries there, whatever the feed's size. */
const struct bw_feed_entry *bw_feed_after(const struct bw_feed *feed, uint64_t turn)
{
    const struct bw_feed_entry *entry = feed->newest, *found = NULL;
    for (; entry != NULL && entry->turn > turn; entry = entry->older)
        found = entry;
    return found;
}

uint64_t bw_feed_turn_of(const struct bw_feed *feed, uint64_t group)
{
    const struct bw_feed_entry *entry = feed->newest;
    while (entry != NULL && entry->group > group)
        entry = entry->older;
    return entry != NULL ? entry->turn : 0;
}

size_t bw_feed_pending(const struct bw_feed *feed, uint64_t turn, size_t limit)
{
    size_t count = 0;
    const struct bw_feed_entry *entry = feed->newest;
    for (; entry != NULL && entry->turn > turn && count < limit; entry = entry->older)
        count++;
    return count;
}

struct bw_upsert bw_feed_entry_upsert(const struct bw_feed_entry *entry)
{
    return (struct bw_upsert){.id = entry->id,
                              .version = entry->version,
                              .type = entry->type,
                              .max_staleness_ms = entry->max_staleness_ms,
                              .body = bw_view_of(entry->body, entry->body_len)};
}

struct bw_removal bw_feed_entry_removal(const struct bw_feed_entry *entry)
{
    return (struct bw_removal){.id = entry->id, .version = entry->version};
}
