/* Building decisions: each is filled from the state, applied to it at once (so that the next one is decided
 * on top), and queued with what it changes at relays. */
#include <string.h>

#include "control/owner_state.h"

struct bw_decision *draft_begin(struct draft *draft, struct bw_op *op, enum bw_decision_kind kind)
{
    struct change *change = bw_arena_zalloc(draft->batch->arena, 1, sizeof *change);
    if (change == NULL) {
        draft->broken = true;
        return NULL;
    }
    change->op = op;
    change->batch = draft->batch;
    struct bw_decision *decision = &change->change.decision;
    const struct bw_meeting *meeting = draft->live->meeting;
    decision->kind = kind;
    decision->at_ms = draft->now_ms;
    if (op != NULL) {
        decision->request = op->request;
        memcpy(decision->fingerprint, op->fingerprint, sizeof decision->fingerprint);
    }
    if (meeting != NULL) {
        decision->meeting = meeting->id;
        decision->tenant = meeting->tenant;
        decision->seq = meeting->seq + 1;
        decision->mode = (uint8_t)meeting->mode.mode;
        decision->mode_epoch = meeting->mode.epoch;
        decision->meeting_epoch = meeting->meeting_epoch;
        decision->pending = (uint8_t)meeting->mode.pending;
    }
    const struct live *live = draft->live;
    if (draft->unruled) {
        /* Leaving and ending rest on no rule. The row names what is in force, without the hash of a set that
         * was obeyed: so the mode is looked at again once there is one. */
        const struct tenant_policy *policy = owner_tenant(draft->owner, &decision->tenant);
        decision->policy_revision = policy != NULL ? policy->set->revision : 0;
        decision->facts_revision = draft->owner->view->snapshot->facts->revision;
        return decision;
    }
    decision->policy_revision = live->constraints_revision;
    if (live->constraints != NULL) {
        memcpy(decision->policy_hash, live->constraints->hash, sizeof decision->policy_hash);
        decision->facts_revision = live->constraints->facts->revision;
    }
    return decision;
}

/* ---- what a decision changes at relays ---- */

struct effects {
    struct bw_effect *items;
    size_t count, cap;
};

static void effect_add(struct effects *effects, struct bw_effect effect)
{
    if (effects->count < effects->cap)
        effects->items[effects->count++] = effect;
}

static void effect_slot(struct effects *effects, const struct bw_member *member, uint32_t relay, bool removed,
                        bool lingers)
{
    effect_add(effects, (struct bw_effect){
                            .kind = BW_EFFECT_SLOT,
                            .removed = removed,
                            .lingers = lingers,
                            .relay = relay,
                            .number = member->slot,
                            .entry = member->entry,
                            .role = member->role,
                        });
}

static void effect_link(struct effects *effects, uint32_t a, uint32_t b, bool removed, bool lingers)
{
    effect_add(effects,
               (struct bw_effect){
                   .kind = BW_EFFECT_LINK, .removed = removed, .lingers = lingers, .relay = a, .number = b});
    effect_add(effects,
               (struct bw_effect){
                   .kind = BW_EFFECT_LINK, .removed = removed, .lingers = lingers, .relay = b, .number = a});
}

static bool has_number(const uint32_t *numbers, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

/* The links of a meeting are the full mesh of its relays. Moves are made before they are broken: what a move
 * ends may linger, unless the policy evicts. */
static void effect_links(struct effects *effects, const uint32_t *before, size_t before_count,
                         const uint32_t *after, size_t after_count, bool lingers)
{
    for (size_t i = 0; i < after_count; i++) {
        for (size_t j = i + 1; j < after_count; j++) {
            if (!has_number(before, before_count, after[i]) || !has_number(before, before_count, after[j]))
                effect_link(effects, after[i], after[j], false, false);
        }
    }
    for (size_t i = 0; i < before_count; i++) {
        for (size_t j = i + 1; j < before_count; j++) {
            if (!has_number(after, after_count, before[i]) || !has_number(after, after_count, before[j]))
                effect_link(effects, before[i], before[j], true, lingers);
        }
    }
}

static const uint32_t *relay_numbers(const struct bw_meeting *meeting, struct bw_arena *arena)
{
    uint32_t *numbers = bw_arena_zalloc(arena, meeting->relay_count + 1, sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < meeting->relay_count; i++)
        numbers[i] = meeting->relays[i].number;
    return numbers;
}

static const struct bw_decision_link *mesh_of(const uint32_t *relays, size_t count, struct bw_arena *arena,
                                              size_t *links)
{
    *links = count * (count - (count > 0)) / 2;
    struct bw_decision_link *mesh = bw_arena_zalloc(arena, *links + 1, sizeof *mesh);
    size_t n = 0;
    for (size_t i = 0; mesh != NULL && i < count; i++) {
        for (size_t j = i + 1; j < count; j++)
            mesh[n++] = (struct bw_decision_link){relays[i], relays[j]};
    }
    return mesh;
}

/* Removals need the members as they are before the decision is applied. */
static void effects_before(struct effects *effects, const struct bw_meeting *meeting,
                           const struct bw_decision *decision, bool lingers)
{
    if (decision->kind == BW_DECISION_LEFT || decision->kind == BW_DECISION_CONNECTOR_REMOVED) {
        const struct bw_member *member = bw_meeting_slot(meeting, decision->slot);
        if (member != NULL)
            effect_slot(effects, member, member->relay, true, false);
    } else if (decision->kind == BW_DECISION_ENDED) {
        for (size_t i = 0; i < meeting->slot_count; i++)
            effect_slot(effects, meeting->slots[i], meeting->slots[i]->relay, true, false);
    } else if (decision->kind == BW_DECISION_MOVED) {
        for (size_t i = 0; i < decision->move_count; i++) {
            const struct bw_member *member = bw_meeting_slot(meeting, decision->moves[i].slot);
            if (member != NULL)
                effect_slot(effects, member, decision->moves[i].from, true, lingers);
        }
    }
}

static void effects_after(struct effects *effects, const struct bw_meeting *meeting,
                          const struct bw_decision *decision, bool all_slots)
{
    if (all_slots) {
        for (size_t i = 0; i < meeting->slot_count; i++)
            effect_slot(effects, meeting->slots[i], meeting->slots[i]->relay, false, false);
    } else if (decision->kind == BW_DECISION_JOINED || decision->kind == BW_DECISION_CONNECTOR_INVITED) {
        const struct bw_member *member = bw_meeting_slot(meeting, decision->slot);
        if (member != NULL)
            effect_slot(effects, member, member->relay, false, false);
    } else if (decision->kind == BW_DECISION_MOVED) {
        for (size_t i = 0; i < decision->move_count; i++) {
            const struct bw_member *member = bw_meeting_slot(meeting, decision->moves[i].slot);
            if (member != NULL)
                effect_slot(effects, member, member->relay, false, false);
        }
    }
}

/* Slots of the book that a decision takes and, once durable, gives back. */
static bool account(struct change *change, const struct bw_meeting *before_end, struct bw_arena *arena)
{
    const struct bw_decision *decision = &change->change.decision;
    size_t most = decision->move_count + before_end->slot_count + 1;
    uint32_t *takes = bw_arena_zalloc(arena, decision->move_count + 1, sizeof *takes);
    uint32_t *gives = bw_arena_zalloc(
        arena, decision->kind == BW_DECISION_ENDED ? most : decision->move_count + 1, sizeof *gives);
    if (takes == NULL || gives == NULL)
        return false;
    switch (decision->kind) {
    case BW_DECISION_JOINED:
    case BW_DECISION_CONNECTOR_INVITED:
        takes[change->take_count++] = decision->relay;
        break;
    case BW_DECISION_LEFT:
    case BW_DECISION_CONNECTOR_REMOVED: {
        const struct bw_member *member = bw_meeting_slot(before_end, decision->slot);
        if (member != NULL)
            gives[change->give_count++] = member->relay;
        break;
    }
    case BW_DECISION_MOVED:
        for (size_t i = 0; i < decision->move_count; i++) {
            takes[change->take_count++] = decision->moves[i].to;
            gives[change->give_count++] = decision->moves[i].from;
        }
        break;
    case BW_DECISION_ENDED:
        for (size_t i = 0; i < before_end->slot_count; i++)
            gives[change->give_count++] = before_end->slots[i]->relay;
        break;
    default:
        break;
    }
    change->takes = takes;
    change->gives = gives;
    return true;
}

static struct change *change_of(struct bw_decision *decision)
{
    return (struct change *)((char *)decision - offsetof(struct change, change.decision));
}

static bool broken(struct draft *draft)
{
    draft->broken = true;
    return false;
}

/* No decision has more effects than this. A join into a large meeting must not pay for the roster. */
static size_t effects_most(const struct bw_meeting *meeting, const struct bw_decision *decision,
                           bool all_slots)
{
    size_t fresh =
        decision->move_count < BW_MEETING_RELAYS_MAX ? decision->move_count : BW_MEETING_RELAYS_MAX;
    size_t before = meeting->relay_count, after = before + fresh + 1;
    size_t slots = 2 * decision->move_count + 1;
    if (all_slots || decision->kind == BW_DECISION_ENDED)
        slots += meeting->slot_count + 1;
    bool placed = decision->kind == BW_DECISION_JOINED || decision->kind == BW_DECISION_CONNECTOR_INVITED;
    if (placed && bw_meeting_find_relay(meeting, decision->relay) != NULL)
        return slots;
    /* Each pair twice, once for either end. */
    return slots + (placed ? 2 * before : after * after + before * before);
}

static const struct bw_meeting_head *head_copy(const struct bw_meeting *meeting, struct bw_arena *arena)
{
    struct bw_meeting_head *head = bw_arena_alloc(arena, sizeof *head);
    struct bw_meeting_relay *relays = bw_arena_alloc(arena, (meeting->relay_count + 1) * sizeof *relays);
    if (head == NULL || relays == NULL)
        return NULL;
    *head = bw_meeting_head_of(meeting);
    if (meeting->relay_count > 0)
        memcpy(relays, meeting->relays, meeting->relay_count * sizeof *relays);
    head->relays = relays;
    return head;
}

bool draft_add(struct draft *draft, struct bw_decision *decision, struct bw_op *op)
{
    struct change *change = change_of(decision);
    struct bw_arena *arena = draft->batch->arena;
    struct live *live = draft->live;
    if (decision->kind == BW_DECISION_CREATED) {
        live->meeting = bw_meeting_create(decision);
        if (live->meeting == NULL)
            return broken(draft);
    } else {
        struct bw_meeting *meeting = live->meeting;
        size_t relays_before = meeting->relay_count;
        const uint32_t *before = relay_numbers(meeting, arena);
        if (draft->batch->first == NULL && (draft->batch->before = head_copy(meeting, arena)) == NULL)
            return broken(draft);
        bool all_slots = decision->mode != meeting->mode.mode ||
                         decision->mode_epoch != meeting->mode.epoch ||
                         decision->meeting_epoch != meeting->meeting_epoch;
        struct effects effects = {.cap = effects_most(meeting, decision, all_slots)};
        effects.items = bw_arena_zalloc(arena, effects.cap, sizeof *effects.items);
        if (before == NULL || effects.items == NULL || !account(change, meeting, arena))
            return broken(draft);
        bool lingers = decision->kind == BW_DECISION_MOVED && !draft->evicting;
        effects_before(&effects, meeting, decision, lingers);
        struct bw_error err;
        if (bw_meeting_apply(meeting, decision, &err) != BW_OK)
            return broken(draft);
        effects_after(&effects, meeting, decision, all_slots);
        decision->relays = relay_numbers(meeting, arena);
        decision->relay_count = meeting->relay_count;
        if (decision->relays == NULL)
            return broken(draft);
        effect_links(&effects, before, relays_before, decision->relays, decision->relay_count, lingers);
        decision->links = mesh_of(decision->relays, decision->relay_count, arena, &decision->link_count);
        if (decision->links == NULL)
            return broken(draft);
        change->change.effects = effects.items;
        change->change.effect_count = effects.count;
    }
    change->change.mode = live->meeting->mode;
    change->change.meeting_epoch = live->meeting->meeting_epoch;
    change->op = op;
    if (op != NULL)
        op->decision = decision;
    *draft->batch->end = change;
    draft->batch->end = &change->next;
    return true;
}

bool draft_leave(struct draft *draft, struct bw_op *op, const struct bw_member *member, uint8_t reason)
{
    struct bw_decision *decision =
        draft_begin(draft, op, member->flags.connector ? BW_DECISION_CONNECTOR_REMOVED : BW_DECISION_LEFT);
    if (decision == NULL)
        return false;
    decision->entry = member->entry;
    decision->slot = member->slot;
    decision->leave_reason = reason;
    return draft_add(draft, decision, op);
}

struct bw_mode_policy mode_policy_of(const struct bw_constraints *constraints)
{
    return (struct bw_mode_policy){
        .may_e2ee = constraints->modes & BW_MODE_SET_E2EE,
        .may_hop = constraints->modes & BW_MODE_SET_HOP,
        .prefers_e2ee = constraints->prefers_e2ee,
        .connectors_as_endpoints = constraints->connectors_as_endpoints,
        .lowering_with_consent = constraints->downgrade == BW_DOWNGRADE_WITH_CONSENT,
        .mismatch = BW_MODE_MISMATCH_LABEL,
    };
}

enum bw_suite suite_of(const struct bw_constraints *constraints)
{
    /* The strongest that is allowed: numbers of RFC 9605 rise with strength. */
    enum bw_suite allowed[BW_SUITE_COUNT];
    size_t count = 0;
    for (int suite = BW_SUITE_COUNT - 1; suite > BW_SUITE_NONE; suite--) {
        if (constraints->suites & UINT32_C(1) << (suite - 1))
            allowed[count++] = (enum bw_suite)suite;
    }
    return bw_suite_choose(allowed, count);
}

_Static_assert((int)BW_SFRAME_AES_256_GCM_SHA512_128 + 1 == (int)BW_SUITE_AES_256_GCM_SHA512_128 &&
                   (int)BW_SFRAME_SUITE_COUNT + 1 == (int)BW_SUITE_COUNT,
               "policy and e2ee number the suites alike");

/* ---- the mode machine's effects as decisions ---- */

static bool announce(struct draft *draft, struct bw_op *op, const struct bw_mode_state *next,
                     uint32_t subject)
{
    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_MODE_ANNOUNCED);
    if (decision == NULL)
        return false;
    decision->pending = (uint8_t)next->pending;
    decision->slot = subject;
    return draft_add(draft, decision, op);
}

/* A new mode or epoch: everybody's flags are allocated anew. */
static bool change_mode(struct draft *draft, struct bw_op *op, const struct bw_mode_state *next)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_MODE_CHANGED);
    struct bw_decision_flags *flags =
        bw_arena_zalloc(draft->batch->arena, meeting->slot_count + 1, sizeof *flags);
    if (decision == NULL || flags == NULL)
        return broken(draft);
    decision->mode = (uint8_t)next->mode;
    decision->mode_epoch = next->epoch;
    decision->pending = (uint8_t)next->pending;
    struct bw_flags_meeting common = {0};
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        struct bw_flags fresh = {0};
        struct bw_error err;
        /* Whoever the new mode cannot take has been removed before; one that is left without an allocation is
         * shown as such by the label. */
        if (bw_flags_allocate(next, member->kind, member->flags.connector, member->flags.capable,
                              suite_of(draft->live->constraints), &common, &fresh, &err) != BW_OK)
            fresh = (struct bw_flags){.connector = member->flags.connector, .capable = member->flags.capable};
        bw_flags_to_decision(&fresh, member->slot, &flags[i]);
    }
    decision->flags = flags;
    decision->flag_count = meeting->slot_count;
    return draft_add(draft, decision, op);
}

static bool evict_plain(struct draft *draft)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    for (size_t i = meeting->slot_count; i-- > 0;) {
        const struct bw_member *member = meeting->slots[i];
        bool plain = !member->flags.connector &&
                     (member->flags.capable == 0 || member->flags.observed.state == BW_OBSERVED_PLAIN);
        if (plain && !draft_leave(draft, NULL, member, BW_LEAVE_MODE))
            return false;
    }
    return true;
}

static bool remove_connectors(struct draft *draft)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    for (size_t i = meeting->slot_count; i-- > 0;) {
        if (meeting->slots[i]->flags.connector && !draft_leave(draft, NULL, meeting->slots[i], BW_LEAVE_MODE))
            return false;
    }
    return true;
}

bool draft_mode_step(struct draft *draft, struct bw_op *op, const struct bw_mode_step *step, uint32_t subject)
{
    struct live *live = draft->live;
    const struct bw_meeting *meeting = live->meeting;
    if (step->effects & BW_MODE_STOP)
        return decide_end(draft, op, BW_END_MODE_UNAVAILABLE) && !draft->broken;
    if (step->effects & BW_MODE_EVICT_SUBJECT) {
        const struct bw_member *member = bw_meeting_slot(meeting, subject);
        if (member != NULL && !draft_leave(draft, NULL, member, BW_LEAVE_MODE))
            return false;
    }
    if ((step->effects & BW_MODE_EVICT_PLAIN) && !evict_plain(draft))
        return false;
    if ((step->effects & (BW_MODE_ASK_CONSENT | BW_MODE_BEGIN_RAISE | BW_MODE_CANCEL)) &&
        step->state.pending != meeting->mode.pending && !announce(draft, op, &step->state, subject))
        return false;
    bool removing = (step->effects & BW_MODE_REMOVE_CONNECTORS) && meeting->connector_count > 0;
    if (removing && !remove_connectors(draft))
        return false;
    bool changes = step->state.mode != meeting->mode.mode || step->state.epoch != meeting->mode.epoch;
    if (changes && !change_mode(draft, op, &step->state))
        return false;
    if (!removing)
        return true;
    /* The connectors are gone now: what waited for that goes on. */
    struct bw_mode_policy policy = mode_policy_of(live->constraints);
    const struct bw_mode_input input = {.policy = &policy,
                                        .counts = meeting->counts,
                                        .consents_missing = bw_meeting_consents_missing(meeting)};
    struct bw_mode_step after;
    struct bw_error err;
    if (bw_mode_step(&meeting->mode, BW_MODE_REMOVE_CONNECTOR, &input, &after, &err) != BW_OK ||
        (after.effects & BW_MODE_REMOVE_CONNECTORS))
        return true;
    return draft_mode_step(draft, op, &after, 0);
}
