/* Grants: those of a tick are signed together, and while one tick is at the signer the next one collects. */
#include <string.h>

#include "control/owner_state.h"

/* Clocks of relays may be a little behind ours. */
enum { GRANT_BACKDATE_MS = 5000 };

void admission_fill(struct bw_owner *owner, struct bw_op *op, const struct bw_meeting *meeting,
                    const struct bw_member *member)
{
    struct bw_admission *admission = &op->admission;
    admission->entry = member->entry;
    admission->slot = member->slot;
    admission->relay_number = member->relay;
    admission->mode = bw_meeting_label(meeting);
    admission->mode_epoch = meeting->mode.epoch;
    admission->meeting_epoch = meeting->meeting_epoch;
    admission->flags = member->flags;
    const struct bw_fleet_view *view = owner->view;
    size_t index = view != NULL ? bw_facts_find_number(view->snapshot->facts, member->relay) : SIZE_MAX;
    if (index == SIZE_MAX || !view->reach[index].connected) {
        bw_fail(
            &op->error, BW_UNAVAILABLE, "RELAY_AWAY",
            "the participant's relay is not connected just now; it is replaced if it stays away, so renew "
            "the grant in a moment");
        return;
    }
    const struct bw_relay_facts *facts = &view->snapshot->facts->relays[index];
    admission->relay = bw_arena_strdup(op->arena, facts->name);
    admission->media_address = bw_arena_strdup(op->arena, view->reach[index].media_address);
    bool ok = admission->relay != NULL && admission->media_address != NULL;
    if (member->flags.connector) {
        admission->far_leg = facts->far_leg;
        const char **stores = bw_arena_zalloc(op->arena, facts->store_count + 1, sizeof *stores);
        ok = ok && stores != NULL;
        for (size_t i = 0; ok && i < facts->store_count; i++)
            ok = (stores[i] = bw_arena_strdup(op->arena, facts->stores[i])) != NULL;
        admission->stores = stores;
        admission->store_count = ok ? facts->store_count : 0;
    }
    if (!ok)
        bw_fail_memory(&op->error);
}

static struct bw_grant grant_of(const struct bw_owner *owner, const struct live *live,
                                const struct bw_member *member)
{
    uint64_t now = owner->config.ports.wall_ms(owner->config.ports.context);
    struct bw_grant grant = {
        .role = (enum bw_role)member->role,
        .mode = live->meeting->mode.mode,
        .cell = owner->cell_id,
        .tenant = live->meeting->tenant,
        .meeting = live->meeting->id,
        .meeting_epoch = live->meeting->meeting_epoch,
        .mode_epoch = live->meeting->mode.epoch,
        .roster_entry = member->entry,
        .slot = member->slot,
        .relay = member->relay,
        .not_before_ms = now - GRANT_BACKDATE_MS,
        .expires_ms = now - GRANT_BACKDATE_MS + owner->config.grant_life_ms,
        .stream = owner->config.stream,
        .group = live->last_group,
    };
    memcpy(grant.key_id, owner->key_id, sizeof grant.key_id);
    return grant;
}

void grants_collect(struct bw_owner *owner, const struct live *live, const struct bw_member *member,
                    struct bw_op *op)
{
    struct bw_grant grant = grant_of(owner, live, member);
    if (!owner->has_key) {
        bw_fail(&op->error, BW_UNAVAILABLE, "SIGNER_AWAY",
                "the signer is not available; the participant is admitted: repeat the request for the grant");
    } else if (bw_grant_batch_add(owner->grants, &grant, &op->grant_index, &op->error) == BW_OK) {
        op->admission.grant_expires_ms = grant.expires_ms;
        op->admission.mode_epoch = grant.mode_epoch;
        op_queue_push(&owner->granted, op);
        owner_wake(owner);
        return;
    }
    op_finish(owner, op);
}

static void fail_all(struct bw_owner *owner, struct op_queue *queue, const struct bw_error *error)
{
    struct bw_op *op;
    while ((op = op_queue_pop(queue)) != NULL) {
        op->error = *error;
        op_finish(owner, op);
    }
}

void grants_flush(struct bw_owner *owner)
{
    if (owner->at_signer.first != NULL || owner->granted.first == NULL)
        return;
    struct bw_merkle_hash root;
    struct bw_error err;
    enum bw_code code = bw_grant_batch_seal(owner->grants, &root, &err);
    if (code == BW_OK) {
        uint32_t leaves = bw_grant_batch_count(owner->grants);
        struct bw_grant_batch *sealed = owner->grants;
        owner->grants = owner->signing;
        owner->signing = sealed;
        bw_grant_batch_clear(owner->grants);
        struct bw_op *op;
        while ((op = op_queue_pop(&owner->granted)) != NULL)
            op_queue_push(&owner->at_signer, op);
        code = owner->config.ports.sign(owner->config.ports.context, &root, leaves, &err);
        if (code != BW_OK)
            fail_all(owner, &owner->at_signer, &err);
    } else {
        bw_grant_batch_clear(owner->grants);
        fail_all(owner, &owner->granted, &err);
    }
}

static enum bw_code complete(struct bw_owner *owner, struct bw_op *op,
                             const uint8_t signature[BW_ED25519_SIGNATURE_SIZE], struct bw_error *err)
{
    const struct bw_fleet_view *view = owner->view;
    size_t index = bw_facts_find_number(view->snapshot->facts, op->admission.relay_number);
    if (index == SIZE_MAX || !view->reach[index].connected)
        return bw_fail(err, BW_UNAVAILABLE, "RELAY_AWAY",
                       "the participant's relay went away in this moment; repeat the request");
    struct bw_buf *token = &owner->scratch;
    bw_buf_clear(token);
    enum bw_code code = bw_grant_batch_token(owner->signing, op->grant_index, signature, token, err);
    if (code == BW_OK) {
        void *bytes = bw_arena_memdup(op->arena, token->data, token->len);
        op->admission.grant = bw_view_of(bytes, token->len);
        if (bytes == NULL)
            code = bw_fail_memory(err);
    }
    if (code != BW_OK)
        return code;
    uint8_t body_hash[BW_SHA256_SIZE];
    bw_grant_batch_body_hash(owner->signing, op->grant_index, body_hash);
    bw_grant_hop_key(view->reach[index].session_secret.bytes, body_hash, &op->admission.hop_key);
    return BW_OK;
}

void bw_owner_signed(struct bw_owner *owner, enum bw_code code, const struct bw_error *error,
                     const uint8_t signature[BW_ED25519_SIGNATURE_SIZE])
{
    if (code != BW_OK) {
        fail_all(owner, &owner->at_signer, error);
    } else {
        struct op_queue done = owner->at_signer;
        op_queue_init(&owner->at_signer);
        struct bw_op *op = done.first;
        while (op != NULL) {
            struct bw_op *next = op->next;
            op->next = NULL;
            (void)complete(owner, op, signature, &op->error);
            op_finish(owner, op);
            op = next;
        }
    }
    grants_flush(owner);
}
