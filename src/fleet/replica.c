#include "fleet/replica.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "fleet/hash.h"

/* A resource that is held, or (in a snapshot that is arriving) staged with its body. */
struct held {
    struct bw_resource_id id;
    struct bw_resource_name name;
    uint64_t version;
    uint32_t max_staleness_ms;
    struct bw_digest digest;
    uint8_t *body; /* staged only */
    size_t body_len;
    UT_hash_handle hh;
};

struct staging {
    bool running;
    struct bw_snapshot_begin begin;
    uint32_t next_seq;
    struct held *by_id;
    struct bw_digest digest;
};

struct bw_replica {
    struct bw_replica_events events;
    struct held *by_id;
    struct bw_digest digest;
    bool started;
    struct bw_id stream_id;
    uint64_t applied;
    struct staging staging;
};

/* Upserts are walked in this order, removals backwards. */
static const enum bw_resource_type type_order[] = {BW_RESOURCE_PEER_LINK, BW_RESOURCE_MEETING_SLOT,
                                                   BW_RESOURCE_GRANT_KEY};

struct bw_replica *bw_replica_create(const struct bw_replica_events *events)
{
    struct bw_replica *replica = bw_calloc(1, sizeof *replica);
    if (replica != NULL)
        replica->events = *events;
    return replica;
}

static void held_destroy(struct held *held)
{
    if (held->body != NULL)
        bw_wipe(held->body, held->body_len); /* a link's body holds its key */
    bw_free(held->body);
    bw_free(held);
}

static void free_all(struct held **by_id)
{
    struct held *held, *next;
    HASH_ITER(hh, *by_id, held, next)
    {
        HASH_DEL(*by_id, held);
        held_destroy(held);
    }
}

void bw_replica_destroy(struct bw_replica *replica)
{
    if (replica == NULL)
        return;
    free_all(&replica->by_id);
    free_all(&replica->staging.by_id);
    bw_free(replica);
}

static struct held *find(struct held *by_id, const struct bw_resource_id *id)
{
    struct held *held;
    HASH_FIND(hh, by_id, id->text, sizeof id->text, held);
    return held;
}

static struct held *add(struct held **by_id, const struct bw_resource_id *id,
                        const struct bw_resource_name *name)
{
    struct held *held = bw_calloc(1, sizeof *held);
    if (held == NULL)
        return NULL;
    held->id = *id;
    held->name = *name;
    HASH_ADD(hh, *by_id, id.text, sizeof held->id.text, held);
    if (held->hh.tbl == NULL) {
        bw_free(held);
        return NULL;
    }
    return held;
}

static void forget(struct bw_replica *replica, struct held *held)
{
    bw_digest_toggle(&replica->digest, &held->digest);
    HASH_DEL(replica->by_id, held);
    bw_free(held);
}

static void note_failure(struct bw_replica_failures *failures, const struct bw_resource_id *id,
                         uint64_t version, enum bw_code code, const char *detail)
{
    if (failures->count == BW_NACK_MAX) {
        failures->more = true;
        return;
    }
    size_t i = failures->count++;
    failures->items[i].id = *id;
    failures->items[i].version = version;
    failures->items[i].code = code;
    snprintf(failures->items[i].detail, sizeof failures->items[i].detail, "%.*s", BW_FLEET_TEXT - 1, detail);
}

/* One resource's new state; on refusal the old one stays and the failure is noted. */
static void put(struct bw_replica *replica, const struct bw_upsert *upsert,
                const struct bw_resource_name *name, struct bw_replica_failures *failures)
{
    struct held *held = find(replica->by_id, &upsert->id);
    bool added = held == NULL;
    struct bw_error err = {0};
    enum bw_code code = BW_OK;
    if (added && HASH_COUNT(replica->by_id) >= BW_REPLICA_MAX)
        code = bw_fail(&err, BW_RESOURCE_EXHAUSTED, NULL, "the relay holds too many resources");
    if (added && code == BW_OK) {
        held = add(&replica->by_id, &upsert->id, name);
        if (held == NULL)
            code = bw_fail_memory(&err);
    }
    if (code == BW_OK) {
        code = replica->events.upsert(replica->events.context, name, upsert, &err);
        if (code != BW_OK && added) {
            HASH_DEL(replica->by_id, held);
            bw_free(held);
        }
    }
    if (code != BW_OK) {
        note_failure(failures, &upsert->id, upsert->version, code, err.show);
        return;
    }
    if (!added)
        bw_digest_toggle(&replica->digest, &held->digest);
    held->version = upsert->version;
    held->max_staleness_ms = upsert->max_staleness_ms;
    held->digest = bw_digest_of(&upsert->id, upsert->version);
    bw_digest_toggle(&replica->digest, &held->digest);
}

static void take_out(struct bw_replica *replica, struct held *held)
{
    replica->events.remove(replica->events.context, &held->name);
    forget(replica, held);
}

static enum bw_code check_delta(const struct bw_replica *replica, const struct bw_delta *delta,
                                struct bw_error *err)
{
    struct bw_resource_name name;
    if (!replica->started)
        return bw_fail(err, BW_DATA_LOSS, NULL, "a delta before the first snapshot");
    if (delta->to_group < delta->from_group)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a delta that goes backwards");
    if (delta->from_group > replica->applied)
        return bw_fail(err, BW_DATA_LOSS, NULL, "a delta from group %llu, but only %llu is applied",
                       (unsigned long long)delta->from_group, (unsigned long long)replica->applied);
    for (size_t i = 0; i < delta->upsert_count; i++) {
        if (!bw_upsert_valid(&delta->upserts[i], &name))
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "upsert %zu of a delta does not fit its id", i);
    }
    for (size_t i = 0; i < delta->removal_count; i++) {
        if (!bw_resource_name_of(&delta->removals[i].id, &name))
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "removal %zu of a delta names no resource", i);
    }
    return BW_OK;
}

enum bw_code bw_replica_apply_delta(struct bw_replica *replica, const struct bw_delta *delta,
                                    struct bw_replica_failures *failures, struct bw_error *err)
{
    enum bw_code code = check_delta(replica, delta, err);
    if (code != BW_OK)
        return code;
    failures->count = 0;
    failures->more = false;
    struct bw_resource_name name = {0};
    for (size_t t = 0; t < BW_ARRAY_LEN(type_order); t++) {
        for (size_t i = 0; i < delta->upsert_count; i++) {
            const struct bw_upsert *upsert = &delta->upserts[i];
            if (upsert->type != type_order[t] || !bw_upsert_valid(upsert, &name))
                continue;
            const struct held *held = find(replica->by_id, &upsert->id);
            if (held == NULL || upsert->version > held->version)
                put(replica, upsert, &name, failures);
        }
    }
    for (size_t t = BW_ARRAY_LEN(type_order); t-- > 0;) {
        for (size_t i = 0; i < delta->removal_count; i++) {
            struct held *held = find(replica->by_id, &delta->removals[i].id);
            if (held != NULL && held->name.type == type_order[t] &&
                delta->removals[i].version > held->version)
                take_out(replica, held);
        }
    }
    if (delta->to_group > replica->applied)
        replica->applied = delta->to_group;
    return BW_OK;
}

void bw_replica_snapshot_abort(struct bw_replica *replica)
{
    free_all(&replica->staging.by_id);
    memset(&replica->staging, 0, sizeof replica->staging);
}

bool bw_replica_snapshot_running(const struct bw_replica *replica)
{
    return replica->staging.running;
}

enum bw_code bw_replica_snapshot_begin(struct bw_replica *replica, const struct bw_snapshot_begin *begin,
                                       struct bw_error *err)
{
    bw_replica_snapshot_abort(replica);
    if (begin->count > BW_REPLICA_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "a snapshot of %llu resources is too large",
                       (unsigned long long)begin->count);
    replica->staging.running = true;
    replica->staging.begin = *begin;
    return BW_OK;
}

static enum bw_code stage(struct staging *staging, const struct bw_upsert *upsert, struct bw_error *err)
{
    struct bw_resource_name name = {0};
    if (!bw_upsert_valid(upsert, &name) || find(staging->by_id, &upsert->id) != NULL)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "a snapshot names a resource twice or one that does not fit its id");
    if (HASH_COUNT(staging->by_id) >= staging->begin.count)
        return bw_fail(err, BW_DATA_LOSS, NULL, "a snapshot holds more than it announced");
    struct held *held = add(&staging->by_id, &upsert->id, &name);
    if (held == NULL)
        return bw_fail_memory(err);
    held->version = upsert->version;
    held->max_staleness_ms = upsert->max_staleness_ms;
    held->digest = bw_digest_of(&upsert->id, upsert->version);
    bw_digest_toggle(&staging->digest, &held->digest);
    held->body = bw_memdup(upsert->body.data, upsert->body.len);
    if (held->body == NULL)
        return bw_fail_memory(err);
    held->body_len = upsert->body.len;
    return BW_OK;
}

enum bw_code bw_replica_snapshot_chunk(struct bw_replica *replica, const struct bw_snapshot_chunk *chunk,
                                       struct bw_error *err)
{
    struct staging *staging = &replica->staging;
    if (!staging->running || chunk->id != staging->begin.id || chunk->seq != staging->next_seq) {
        bw_replica_snapshot_abort(replica);
        return bw_fail(err, BW_DATA_LOSS, NULL, "a snapshot chunk that does not follow the last one");
    }
    staging->next_seq++;
    for (size_t i = 0; i < chunk->count; i++) {
        enum bw_code code = stage(staging, &chunk->resources[i], err);
        if (code != BW_OK) {
            bw_replica_snapshot_abort(replica);
            return code;
        }
    }
    return BW_OK;
}

static void apply_staged_upserts(struct bw_replica *replica, enum bw_resource_type type,
                                 struct bw_replica_failures *failures)
{
    struct held *staged, *next;
    HASH_ITER(hh, replica->staging.by_id, staged, next)
    {
        if (staged->name.type != type)
            continue;
        struct held *held = find(replica->by_id, &staged->id);
        if (held != NULL && held->version == staged->version)
            continue;
        struct bw_upsert upsert = {.id = staged->id,
                                   .version = staged->version,
                                   .type = type,
                                   .max_staleness_ms = staged->max_staleness_ms,
                                   .body = bw_view_of(staged->body, staged->body_len)};
        put(replica, &upsert, &staged->name, failures);
    }
}

static void remove_unstaged(struct bw_replica *replica, enum bw_resource_type type)
{
    struct held *held, *next;
    HASH_ITER(hh, replica->by_id, held, next)
    {
        if (held->name.type == type && find(replica->staging.by_id, &held->id) == NULL)
            take_out(replica, held);
    }
}

enum bw_code bw_replica_snapshot_end(struct bw_replica *replica, const struct bw_snapshot_end *end,
                                     const struct bw_id *stream_id, struct bw_replica_failures *failures,
                                     struct bw_error *err)
{
    struct staging *staging = &replica->staging;
    bool whole = staging->running && end->id == staging->begin.id && end->chunks == staging->next_seq &&
                 end->count == staging->begin.count && HASH_COUNT(staging->by_id) == end->count &&
                 bw_digest_equal(&end->digest, &staging->digest);
    if (!whole) {
        bw_replica_snapshot_abort(replica);
        return bw_fail(err, BW_DATA_LOSS, NULL, "a snapshot is incomplete or its digest does not fit");
    }
    failures->count = 0;
    failures->more = false;
    for (size_t t = 0; t < BW_ARRAY_LEN(type_order); t++)
        apply_staged_upserts(replica, type_order[t], failures);
    for (size_t t = BW_ARRAY_LEN(type_order); t-- > 0;)
        remove_unstaged(replica, type_order[t]);
    replica->applied = staging->begin.group;
    replica->stream_id = *stream_id;
    replica->started = true;
    bw_replica_snapshot_abort(replica);
    return BW_OK;
}

void bw_replica_bookmark(struct bw_replica *replica, uint64_t group)
{
    if (replica->started && group > replica->applied)
        replica->applied = group;
}

bool bw_replica_point(const struct bw_replica *replica, struct bw_resume_point *point)
{
    if (!replica->started)
        return false;
    *point = (struct bw_resume_point){.stream_id = replica->stream_id,
                                      .applied_group = replica->applied,
                                      .digest = replica->digest,
                                      .count = HASH_COUNT(replica->by_id)};
    return true;
}

uint64_t bw_replica_applied(const struct bw_replica *replica)
{
    return replica->applied;
}

struct bw_digest bw_replica_digest(const struct bw_replica *replica)
{
    return replica->digest;
}

size_t bw_replica_count(const struct bw_replica *replica)
{
    return HASH_COUNT(replica->by_id);
}

uint64_t bw_replica_version(const struct bw_replica *replica, const struct bw_resource_id *id)
{
    const struct held *held = find(replica->by_id, id);
    return held != NULL ? held->version : 0;
}
