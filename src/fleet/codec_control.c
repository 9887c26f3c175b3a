/* What the control plane says. */
#include "bailiwick/v1/relay.pb-c.h"

#include <stdio.h>

#include "base/secret.h"
#include "fleet/codec.h"
#include "fleet/codec_parts.h"
#include "wire/wire.h"

typedef Bailiwick__V1__ControlMessage pb_message;

/* The structs' numbers are the wire's. */
_Static_assert((int)BW_MODE_E2EE == BAILIWICK__V1__E2EE_MODE__E2EE_MODE_E2EE &&
                   (int)BW_MODE_PARTIAL == BAILIWICK__V1__E2EE_MODE__E2EE_MODE_PARTIAL,
               "modes");
_Static_assert((int)BW_ROLE_SPEAKER == BAILIWICK__V1__PARTICIPANT_ROLE__PARTICIPANT_ROLE_SPEAKER &&
                   (int)BW_ROLE_CONNECTOR == BAILIWICK__V1__PARTICIPANT_ROLE__PARTICIPANT_ROLE_CONNECTOR,
               "roles");

/* ---- encoding ---- */

static void put_link(struct codec_out *out, const struct bw_peer_link *link, Bailiwick__V1__Upsert *pb)
{
    Bailiwick__V1__PeerLink *body = codec_alloc(out, 1, sizeof *body);
    if (body == NULL)
        return;
    bailiwick__v1__peer_link__init(body);
    body->meeting = codec_id(&link->meeting);
    body->meeting_epoch = link->meeting_epoch;
    body->peer_number = link->peer_number;
    body->peer = link->peer;
    body->peer_address = link->peer_address;
    body->link_key = codec_bytes(link->link_key, sizeof link->link_key);
    pb->body_case = BAILIWICK__V1__UPSERT__BODY_PEER_LINK;
    pb->peer_link = body;
}

static void put_slot(struct codec_out *out, const struct bw_meeting_slot *slot, Bailiwick__V1__Upsert *pb)
{
    Bailiwick__V1__MeetingSlot *body = codec_alloc(out, 1, sizeof *body);
    if (body == NULL)
        return;
    bailiwick__v1__meeting_slot__init(body);
    body->meeting = codec_id(&slot->meeting);
    body->slot = slot->slot;
    body->roster_entry = codec_id(&slot->roster_entry);
    body->meeting_epoch = slot->meeting_epoch;
    body->mode = (Bailiwick__V1__E2eeMode)slot->mode;
    body->mode_epoch = slot->mode_epoch;
    body->role = (Bailiwick__V1__ParticipantRole)slot->role;
    pb->body_case = BAILIWICK__V1__UPSERT__BODY_MEETING_SLOT;
    pb->meeting_slot = body;
}

static void put_key(struct codec_out *out, const struct bw_grant_key *key, Bailiwick__V1__Upsert *pb)
{
    Bailiwick__V1__GrantKey *body = codec_alloc(out, 1, sizeof *body);
    if (body == NULL)
        return;
    bailiwick__v1__grant_key__init(body);
    body->key_id = codec_bytes(key->key_id, sizeof key->key_id);
    body->public_key = codec_bytes(key->public_key, sizeof key->public_key);
    body->not_before_unix_ms = (int64_t)key->not_before_ms;
    body->not_after_unix_ms = (int64_t)key->not_after_ms;
    pb->body_case = BAILIWICK__V1__UPSERT__BODY_GRANT_KEY;
    pb->grant_key = body;
}

static Bailiwick__V1__Upsert **put_upserts(struct codec_out *out, const struct bw_upsert *upserts,
                                           size_t count)
{
    Bailiwick__V1__Upsert *items = codec_alloc(out, count, sizeof *items);
    Bailiwick__V1__Upsert **list = codec_alloc(out, count, sizeof *list);
    if (out->failed)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        bailiwick__v1__upsert__init(&items[i]);
        items[i].id = upserts[i].id.text;
        items[i].version = upserts[i].version;
        items[i].max_staleness_ms = upserts[i].max_staleness_ms;
        if (upserts[i].type == BW_RESOURCE_PEER_LINK)
            put_link(out, (const struct bw_peer_link *)(const void *)upserts[i].body.data, &items[i]);
        else if (upserts[i].type == BW_RESOURCE_MEETING_SLOT)
            put_slot(out, (const struct bw_meeting_slot *)(const void *)upserts[i].body.data, &items[i]);
        else
            put_key(out, (const struct bw_grant_key *)(const void *)upserts[i].body.data, &items[i]);
        list[i] = &items[i];
    }
    return list;
}

static Bailiwick__V1__Welcome *put_welcome(struct codec_out *out, const struct bw_welcome *welcome)
{
    Bailiwick__V1__Welcome *pb = codec_alloc(out, 1, sizeof *pb);
    if (pb == NULL)
        return NULL;
    bailiwick__v1__welcome__init(pb);
    pb->replica = codec_text(out, welcome->replica);
    pb->stream_id = codec_id(&welcome->stream_id);
    pb->head_group = welcome->head_group;
    pb->start = (Bailiwick__V1__Welcome__Start)welcome->mode;
    pb->lease_ms = welcome->lease_ms;
    pb->heartbeat_ms = welcome->heartbeat_ms;
    pb->grace_ms = welcome->grace_ms;
    pb->protocol = welcome->protocol;
    pb->relay = codec_text(out, welcome->relay);
    pb->relay_number = welcome->relay_number;
    pb->cell_id = codec_id(&welcome->cell_id);
    return pb;
}

static Bailiwick__V1__Delta *put_delta(struct codec_out *out, const struct bw_delta *delta)
{
    Bailiwick__V1__Delta *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__Removal *items = codec_alloc(out, delta->removal_count, sizeof *items);
    Bailiwick__V1__Removal **list = codec_alloc(out, delta->removal_count, sizeof *list);
    if (out->failed)
        return NULL;
    bailiwick__v1__delta__init(pb);
    pb->nonce = delta->nonce;
    pb->from_group = delta->from_group;
    pb->to_group = delta->to_group;
    pb->upserts = put_upserts(out, delta->upserts, delta->upsert_count);
    pb->n_upserts = delta->upsert_count;
    for (size_t i = 0; i < delta->removal_count; i++) {
        bailiwick__v1__removal__init(&items[i]);
        items[i].id = delta->removals[i].id.text;
        items[i].version = delta->removals[i].version;
        list[i] = &items[i];
    }
    pb->removed = list;
    pb->n_removed = delta->removal_count;
    return pb;
}

static Bailiwick__V1__ProbePlan *put_plan(struct codec_out *out, const struct bw_control_message *message)
{
    size_t count = message->probe_plan.count;
    Bailiwick__V1__ProbePlan *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__ProbePlan__Target *items = codec_alloc(out, count, sizeof *items);
    Bailiwick__V1__ProbePlan__Target **list = codec_alloc(out, count, sizeof *list);
    if (out->failed)
        return NULL;
    bailiwick__v1__probe_plan__init(pb);
    for (size_t i = 0; i < count; i++) {
        const struct bw_probe_target *target = &message->probe_plan.targets[i];
        bailiwick__v1__probe_plan__target__init(&items[i]);
        items[i].peer_number = target->peer_number;
        items[i].peer = codec_text(out, target->peer);
        items[i].peer_address = codec_text(out, target->address);
        items[i].probe_key = codec_bytes(target->key.data, target->key.len);
        list[i] = &items[i];
    }
    pb->targets = list;
    pb->n_targets = count;
    pb->interval_ms = message->probe_plan.interval_ms;
    pb->packets = message->probe_plan.packets;
    return pb;
}

static Bailiwick__V1__Revoke *put_revoke(struct codec_out *out, const struct bw_revoke *revoke)
{
    Bailiwick__V1__Revoke *pb = codec_alloc(out, 1, sizeof *pb);
    if (pb == NULL)
        return NULL;
    bailiwick__v1__revoke__init(pb);
    pb->meeting = codec_id(&revoke->meeting);
    pb->meeting_epoch = revoke->meeting_epoch;
    pb->slots = (uint32_t *)(uintptr_t)revoke->slots;
    pb->n_slots = revoke->slot_count;
    pb->peer_number = revoke->peer_number;
    pb->reason = codec_text(out, revoke->reason);
    return pb;
}

/* The small ones, one field after the other. */
static void put_small(struct codec_out *out, const struct bw_control_message *message, pb_message *pb)
{
    if (message->kind == BW_CONTROL_SNAPSHOT_BEGIN) {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_SNAPSHOT_BEGIN;
        if ((pb->snapshot_begin = codec_alloc(out, 1, sizeof *pb->snapshot_begin)) == NULL)
            return;
        bailiwick__v1__snapshot_begin__init(pb->snapshot_begin);
        pb->snapshot_begin->snapshot_id = message->snapshot_begin.id;
        pb->snapshot_begin->count = message->snapshot_begin.count;
        pb->snapshot_begin->group = message->snapshot_begin.group;
    } else if (message->kind == BW_CONTROL_SNAPSHOT_CHUNK) {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_SNAPSHOT_CHUNK;
        if ((pb->snapshot_chunk = codec_alloc(out, 1, sizeof *pb->snapshot_chunk)) == NULL)
            return;
        bailiwick__v1__snapshot_chunk__init(pb->snapshot_chunk);
        pb->snapshot_chunk->snapshot_id = message->snapshot_chunk.id;
        pb->snapshot_chunk->chunk = message->snapshot_chunk.seq;
        pb->snapshot_chunk->resources =
            put_upserts(out, message->snapshot_chunk.resources, message->snapshot_chunk.count);
        pb->snapshot_chunk->n_resources = message->snapshot_chunk.count;
    } else if (message->kind == BW_CONTROL_SNAPSHOT_END) {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_SNAPSHOT_END;
        if ((pb->snapshot_end = codec_alloc(out, 1, sizeof *pb->snapshot_end)) == NULL)
            return;
        bailiwick__v1__snapshot_end__init(pb->snapshot_end);
        pb->snapshot_end->snapshot_id = message->snapshot_end.id;
        pb->snapshot_end->chunks = message->snapshot_end.chunks;
        pb->snapshot_end->count = message->snapshot_end.count;
        pb->snapshot_end->digest =
            codec_bytes(message->snapshot_end.digest.bytes, sizeof message->snapshot_end.digest.bytes);
        pb->snapshot_end->nonce = message->snapshot_end.nonce;
    } else if (message->kind == BW_CONTROL_LEASE_GRANT) {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_LEASE_GRANT;
        if ((pb->lease_grant = codec_alloc(out, 1, sizeof *pb->lease_grant)) == NULL)
            return;
        bailiwick__v1__lease_grant__init(pb->lease_grant);
        pb->lease_grant->heartbeat = message->lease_grant.heartbeat;
        pb->lease_grant->lease_ms = message->lease_grant.lease_ms;
        pb->lease_grant->events_through = message->lease_grant.events_through;
    } else if (message->kind == BW_CONTROL_BOOKMARK) {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_BOOKMARK;
        if ((pb->bookmark = codec_alloc(out, 1, sizeof *pb->bookmark)) == NULL)
            return;
        bailiwick__v1__bookmark__init(pb->bookmark);
        pb->bookmark->group = message->bookmark.group;
    } else if (message->kind == BW_CONTROL_DRAIN) {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_DRAIN;
        if ((pb->drain = codec_alloc(out, 1, sizeof *pb->drain)) == NULL)
            return;
        bailiwick__v1__drain__init(pb->drain);
        pb->drain->draining = message->drain.draining;
        pb->drain->deadline_ms = message->drain.deadline_ms;
        pb->drain->reason = codec_text(out, message->drain.reason);
    } else {
        pb->body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_GO_AWAY;
        if ((pb->go_away = codec_alloc(out, 1, sizeof *pb->go_away)) == NULL)
            return;
        bailiwick__v1__go_away__init(pb->go_away);
        pb->go_away->reason = codec_text(out, message->go_away.reason);
        pb->go_away->reconnect_in_ms = message->go_away.reconnect_in_ms;
    }
}

enum bw_code bw_control_message_encode(const struct bw_control_message *message, struct bw_arena *arena,
                                       struct bw_buf *out, struct bw_error *err)
{
    struct codec_out scratch = {.arena = arena};
    pb_message pb = BAILIWICK__V1__CONTROL_MESSAGE__INIT;
    pb.session_epoch = message->epoch;
    if (message->kind == BW_CONTROL_WELCOME) {
        pb.body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_WELCOME;
        pb.welcome = put_welcome(&scratch, &message->welcome);
    } else if (message->kind == BW_CONTROL_DELTA) {
        pb.body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_DELTA;
        pb.delta = put_delta(&scratch, &message->delta);
    } else if (message->kind == BW_CONTROL_PROBE_PLAN) {
        pb.body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_PROBE_PLAN;
        pb.probe_plan = put_plan(&scratch, message);
    } else if (message->kind == BW_CONTROL_REVOKE) {
        pb.body_case = BAILIWICK__V1__CONTROL_MESSAGE__BODY_REVOKE;
        pb.revoke = put_revoke(&scratch, &message->revoke);
    } else {
        put_small(&scratch, message, &pb);
    }
    if (scratch.failed || bw_wire_encode(&pb.base, out) != BW_OK)
        return bw_fail_memory(err);
    return BW_OK;
}

/* ---- decoding ---- */

static enum bw_code take_link(const Bailiwick__V1__PeerLink *pb, struct bw_arena *arena,
                              struct bw_upsert *upsert, struct bw_error *err)
{
    struct bw_peer_link *link = bw_arena_zalloc(arena, 1, sizeof *link);
    if (link == NULL)
        return bw_fail_memory(err);
    link->meeting = codec_take_id(pb->meeting);
    link->meeting_epoch = pb->meeting_epoch;
    link->peer_number = pb->peer_number;
    snprintf(link->peer, sizeof link->peer, "%s", pb->peer);
    snprintf(link->peer_address, sizeof link->peer_address, "%s", pb->peer_address);
    codec_take(pb->link_key, link->link_key, sizeof link->link_key);
    if (pb->link_key.len > 0)
        bw_wipe(pb->link_key.data, pb->link_key.len);
    upsert->body = bw_view_of(link, sizeof *link);
    return BW_OK;
}

static enum bw_code take_slot(const Bailiwick__V1__MeetingSlot *pb, struct bw_arena *arena,
                              struct bw_upsert *upsert, struct bw_error *err)
{
    struct bw_meeting_slot *slot = bw_arena_zalloc(arena, 1, sizeof *slot);
    if (slot == NULL)
        return bw_fail_memory(err);
    slot->meeting = codec_take_id(pb->meeting);
    slot->slot = pb->slot;
    slot->roster_entry = codec_take_id(pb->roster_entry);
    slot->meeting_epoch = pb->meeting_epoch;
    slot->mode = (enum bw_mode)pb->mode;
    slot->mode_epoch = pb->mode_epoch;
    slot->role = (enum bw_role)pb->role;
    upsert->body = bw_view_of(slot, sizeof *slot);
    return BW_OK;
}

static enum bw_code take_key(const Bailiwick__V1__GrantKey *pb, struct bw_arena *arena,
                             struct bw_upsert *upsert, struct bw_error *err)
{
    struct bw_grant_key *key = bw_arena_zalloc(arena, 1, sizeof *key);
    if (key == NULL)
        return bw_fail_memory(err);
    codec_take(pb->key_id, key->key_id, sizeof key->key_id);
    codec_take(pb->public_key, key->public_key, sizeof key->public_key);
    key->not_before_ms = (uint64_t)pb->not_before_unix_ms;
    key->not_after_ms = (uint64_t)pb->not_after_unix_ms;
    upsert->body = bw_view_of(key, sizeof *key);
    return BW_OK;
}

static enum bw_code take_upsert(const Bailiwick__V1__Upsert *pb, struct bw_arena *arena,
                                struct bw_upsert *upsert, struct bw_error *err)
{
    struct bw_resource_name name = {0};
    enum bw_code code;
    if (!codec_take_resource_id(pb->id, &upsert->id, &name))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "upsert.id: not a resource id");
    upsert->version = pb->version;
    upsert->type = name.type;
    upsert->max_staleness_ms = pb->max_staleness_ms;
    if (pb->body_case == BAILIWICK__V1__UPSERT__BODY_PEER_LINK && name.type == BW_RESOURCE_PEER_LINK)
        code = take_link(pb->peer_link, arena, upsert, err);
    else if (pb->body_case == BAILIWICK__V1__UPSERT__BODY_MEETING_SLOT &&
             name.type == BW_RESOURCE_MEETING_SLOT)
        code = take_slot(pb->meeting_slot, arena, upsert, err);
    else if (pb->body_case == BAILIWICK__V1__UPSERT__BODY_GRANT_KEY && name.type == BW_RESOURCE_GRANT_KEY)
        code = take_key(pb->grant_key, arena, upsert, err);
    else
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "upsert.body: not what its id says");
    return code;
}

static enum bw_code take_upserts(Bailiwick__V1__Upsert *const *pbs, size_t count, struct bw_arena *arena,
                                 const struct bw_upsert **upserts, struct bw_error *err)
{
    struct bw_upsert *list = bw_arena_zalloc(arena, count + 1, sizeof *list);
    if (list == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        enum bw_code code = take_upsert(pbs[i], arena, &list[i], err);
        if (code != BW_OK)
            return code;
    }
    *upserts = list;
    return BW_OK;
}

static enum bw_code take_delta(const Bailiwick__V1__Delta *pb, struct bw_arena *arena, struct bw_delta *delta,
                               struct bw_error *err)
{
    struct bw_removal *removals = bw_arena_zalloc(arena, pb->n_removed + 1, sizeof *removals);
    if (removals == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < pb->n_removed; i++) {
        struct bw_resource_name name;
        if (!codec_take_resource_id(pb->removed[i]->id, &removals[i].id, &name))
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "delta.removed[%zu].id: not a resource id", i);
        removals[i].version = pb->removed[i]->version;
    }
    delta->nonce = pb->nonce;
    delta->from_group = pb->from_group;
    delta->to_group = pb->to_group;
    delta->upsert_count = pb->n_upserts;
    delta->removals = removals;
    delta->removal_count = pb->n_removed;
    return take_upserts(pb->upserts, pb->n_upserts, arena, &delta->upserts, err);
}

static enum bw_code take_plan(const Bailiwick__V1__ProbePlan *pb, struct bw_arena *arena,
                              struct bw_control_message *message, struct bw_error *err)
{
    struct bw_probe_target *targets = bw_arena_zalloc(arena, pb->n_targets + 1, sizeof *targets);
    if (targets == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < pb->n_targets; i++)
        targets[i] = (struct bw_probe_target){
            .peer_number = pb->targets[i]->peer_number,
            .peer = codec_view(pb->targets[i]->peer),
            .address = codec_view(pb->targets[i]->peer_address),
            .key = bw_view_of(pb->targets[i]->probe_key.data, pb->targets[i]->probe_key.len)};
    message->probe_plan.targets = targets;
    message->probe_plan.count = pb->n_targets;
    message->probe_plan.interval_ms = pb->interval_ms;
    message->probe_plan.packets = pb->packets;
    return BW_OK;
}

static void take_welcome(const Bailiwick__V1__Welcome *pb, struct bw_welcome *welcome)
{
    *welcome = (struct bw_welcome){.replica = codec_view(pb->replica),
                                   .stream_id = codec_take_id(pb->stream_id),
                                   .head_group = pb->head_group,
                                   .mode = (enum bw_welcome_mode)pb->start,
                                   .lease_ms = pb->lease_ms,
                                   .heartbeat_ms = pb->heartbeat_ms,
                                   .grace_ms = pb->grace_ms,
                                   .protocol = pb->protocol,
                                   .relay = codec_view(pb->relay),
                                   .relay_number = pb->relay_number,
                                   .cell_id = codec_take_id(pb->cell_id)};
}

static enum bw_code take_body(const pb_message *pb, struct bw_arena *arena, struct bw_control_message *m,
                              struct bw_error *err)
{
    switch (pb->body_case) {
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_WELCOME:
        m->kind = BW_CONTROL_WELCOME;
        take_welcome(pb->welcome, &m->welcome);
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_SNAPSHOT_BEGIN:
        m->kind = BW_CONTROL_SNAPSHOT_BEGIN;
        m->snapshot_begin = (struct bw_snapshot_begin){.id = pb->snapshot_begin->snapshot_id,
                                                       .group = pb->snapshot_begin->group,
                                                       .count = pb->snapshot_begin->count};
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_SNAPSHOT_CHUNK:
        m->kind = BW_CONTROL_SNAPSHOT_CHUNK;
        m->snapshot_chunk.id = pb->snapshot_chunk->snapshot_id;
        m->snapshot_chunk.seq = pb->snapshot_chunk->chunk;
        m->snapshot_chunk.count = pb->snapshot_chunk->n_resources;
        return take_upserts(pb->snapshot_chunk->resources, pb->snapshot_chunk->n_resources, arena,
                            &m->snapshot_chunk.resources, err);
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_SNAPSHOT_END:
        m->kind = BW_CONTROL_SNAPSHOT_END;
        m->snapshot_end.id = pb->snapshot_end->snapshot_id;
        m->snapshot_end.nonce = pb->snapshot_end->nonce;
        m->snapshot_end.chunks = pb->snapshot_end->chunks;
        m->snapshot_end.count = pb->snapshot_end->count;
        codec_take(pb->snapshot_end->digest, m->snapshot_end.digest.bytes,
                   sizeof m->snapshot_end.digest.bytes);
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_DELTA:
        m->kind = BW_CONTROL_DELTA;
        return take_delta(pb->delta, arena, &m->delta, err);
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_LEASE_GRANT:
        m->kind = BW_CONTROL_LEASE_GRANT;
        m->lease_grant.heartbeat = pb->lease_grant->heartbeat;
        m->lease_grant.lease_ms = pb->lease_grant->lease_ms;
        m->lease_grant.events_through = pb->lease_grant->events_through;
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_BOOKMARK:
        m->kind = BW_CONTROL_BOOKMARK;
        m->bookmark.group = pb->bookmark->group;
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_REVOKE:
        m->kind = BW_CONTROL_REVOKE;
        m->revoke = (struct bw_revoke){.meeting = codec_take_id(pb->revoke->meeting),
                                       .meeting_epoch = pb->revoke->meeting_epoch,
                                       .slots = pb->revoke->slots,
                                       .slot_count = pb->revoke->n_slots,
                                       .peer_number = pb->revoke->peer_number,
                                       .reason = codec_view(pb->revoke->reason)};
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_DRAIN:
        m->kind = BW_CONTROL_DRAIN;
        m->drain.draining = pb->drain->draining;
        m->drain.deadline_ms = pb->drain->deadline_ms;
        m->drain.reason = codec_view(pb->drain->reason);
        return BW_OK;
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_PROBE_PLAN:
        m->kind = BW_CONTROL_PROBE_PLAN;
        return take_plan(pb->probe_plan, arena, m, err);
    case BAILIWICK__V1__CONTROL_MESSAGE__BODY_GO_AWAY:
        m->kind = BW_CONTROL_GO_AWAY;
        m->go_away.reason = codec_view(pb->go_away->reason);
        m->go_away.reconnect_in_ms = pb->go_away->reconnect_in_ms;
        return BW_OK;
    default:
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a session message without a body");
    }
}

enum bw_code bw_control_message_decode(struct bw_view bytes, struct bw_arena *arena,
                                       struct bw_control_message *message, struct bw_error *err)
{
    const ProtobufCMessage *decoded;
    enum bw_code code =
        bw_wire_decode(&bailiwick__v1__control_message__descriptor, bytes, arena, &decoded, err);
    if (code != BW_OK)
        return code;
    const pb_message *pb = (const pb_message *)decoded;
    struct bw_control_message m;
    memset(&m, 0, sizeof m);
    m.epoch = pb->session_epoch;
    code = take_body(pb, arena, &m, err);
    if (code == BW_OK)
        *message = m;
    return code;
}

static void wipe_links(const struct bw_upsert *upserts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (upserts[i].type == BW_RESOURCE_PEER_LINK)
            bw_wipe((uint8_t *)(uintptr_t)upserts[i].body.data, upserts[i].body.len);
    }
}

void bw_control_message_wipe(struct bw_control_message *message)
{
    if (message->kind == BW_CONTROL_DELTA)
        wipe_links(message->delta.upserts, message->delta.upsert_count);
    else if (message->kind == BW_CONTROL_SNAPSHOT_CHUNK)
        wipe_links(message->snapshot_chunk.resources, message->snapshot_chunk.count);
    else if (message->kind == BW_CONTROL_PROBE_PLAN)
        for (size_t i = 0; i < message->probe_plan.count; i++) {
            struct bw_view key = message->probe_plan.targets[i].key;
            if (key.len > 0)
                bw_wipe((uint8_t *)(uintptr_t)key.data, key.len);
        }
}
