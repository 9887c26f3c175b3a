/* Checking a live meeting again after its policy, the fleet or a relay's state changed. Who stands on a relay
 * that is gone moves at once. What the policy no longer allows moves too, and who cannot is removed as
 * onPolicyChange says: at once (evict), when the drain is over (drain), or never (keep). */
#include <string.h>

#include "control/owner_state.h"

/* Why members of a relay cannot stay. */
enum verdict { STAYS, GONE, ILLEGAL, UNWELCOME, SHOULD_MOVE }; /* UNWELCOME: anywhere */

static enum verdict judge(const struct draft *draft, uint32_t number)
{
    const struct bw_snapshot *snapshot = draft->owner->view->snapshot;
    size_t index = bw_facts_find_number(snapshot->facts, number);
    if (index == SIZE_MAX || snapshot->live[index].state == BW_RELAY_DEAD)
        return GONE;
    if (!bw_bitset_test(&draft->live->constraints->eligible, index))
        return ILLEGAL;
    if (snapshot->live[index].state == BW_RELAY_DRAINING)
        return SHOULD_MOVE;
    return STAYS;
}

/* Whom the policy no longer lets in from there may not stay either. */
static bool may_enter(const struct draft *draft, const struct bw_participant *participant)
{
    const struct bw_place_request request = {.snapshot = draft->owner->view->snapshot,
                                             .constraints = draft->live->constraints};
    return participant->is_connector || bw_place_door(&request, participant, NULL) == 0;
}

/* Whether the rules of a member's own, as far as they were known when they came, still accept the meeting.
 * Who they are is not kept, so that groups which were made, or apply, only since then do not count; nor do
 * the rules of a guest's organisation. */
static bool accepts(const struct draft *draft, const struct bw_member *member)
{
    const struct live *live = draft->live;
    const struct bw_policy_set *own = owner_policy(draft->owner, &live->meeting->tenant);
    if (member->level_count == 0 || own == NULL)
        return true;
    enum bw_mode mode = live->meeting->mode.mode;
    const struct bw_own_levels levels = {.names = (const char **)member->levels,
                                         .count = member->level_count};
    const struct bw_door door = {
        .meeting = live->constraints,
        .mode = mode == BW_MODE_HOP ? BW_MODE_SET_HOP : BW_MODE_SET_E2EE,
        .with_connectors = mode == BW_MODE_E2EE_CONNECTORS,
    };
    struct bw_error err;
    enum bw_code code = bw_policies_stays(own, &levels, &door, draft->owner->cell_name, draft->now_ms,
                                          draft->batch->arena, &err);
    return code == BW_OK || strcmp(err.reason != NULL ? err.reason : "", "PARTICIPANT_POLICY") != 0;
}

/* A mesh whose links the policy or the fleet forbids is as illegal as a forbidden relay. */
static bool mesh_stands(const struct draft *draft)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_snapshot *snapshot = draft->owner->view->snapshot;
    uint32_t *relays = bw_arena_zalloc(draft->batch->arena, meeting->relay_count + 1, sizeof *relays);
    if (relays == NULL)
        return true;
    for (size_t i = 0; i < meeting->relay_count; i++) {
        size_t index = bw_facts_find_number(snapshot->facts, meeting->relays[i].number);
        if (index == SIZE_MAX)
            return false;
        relays[i] = (uint32_t)index;
    }
    return bw_place_check(snapshot, draft->live->constraints, relays, meeting->relay_count) == 0;
}

struct affected {
    uint32_t *leaving; /* per slot of the meeting */
    struct bw_participant *participants;
    uint32_t *slots; /* of participants */
    enum verdict *verdicts;
    size_t count;
};

/* Whom a look is for: all who cannot stay as they are; or, where the policy keeps those inside, who stands in
 * the way of somebody new, whose media would go through a place that is forbidden now. */
enum look { WHO_CANNOT_STAY, FORBIDDEN_PLACES };

static bool find_affected(struct draft *draft, enum look look, struct affected *affected)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_snapshot *snapshot = draft->owner->view->snapshot;
    struct bw_arena *arena = draft->batch->arena;
    size_t n = meeting->slot_count;
    affected->leaving = bw_arena_zalloc(arena, n + 1, sizeof *affected->leaving);
    affected->participants = bw_arena_zalloc(arena, n + 1, sizeof *affected->participants);
    affected->slots = bw_arena_zalloc(arena, n + 1, sizeof *affected->slots);
    affected->verdicts = bw_arena_zalloc(arena, n + 1, sizeof *affected->verdicts);
    if (affected->leaving == NULL || affected->participants == NULL || affected->slots == NULL ||
        affected->verdicts == NULL)
        return false;
    bool mesh_ok = mesh_stands(draft);
    bool keep = draft->live->constraints->on_policy_change == BW_CHANGE_KEEP;
    for (size_t i = 0; i < n; i++) {
        const struct bw_member *member = meeting->slots[i];
        size_t current = bw_facts_find_number(snapshot->facts, member->relay);
        const struct bw_participant participant = {
            .place = member->country[0] != '\0' ? member->country : NULL,
            .region = member_region(snapshot, member->country, member->region),
            .is_connector = member->flags.connector,
            .connector = member->flags.connector ? bw_connector_parse(bw_endpoint_name(member->kind))
                                                 : BW_CONNECTOR_COUNT,
            .current = current == SIZE_MAX ? BW_NO_RELAY : (uint32_t)current,
        };
        enum verdict verdict = judge(draft, member->relay);
        if (verdict != GONE && (!mesh_ok || (look == WHO_CANNOT_STAY && !may_enter(draft, &participant))))
            verdict = ILLEGAL;
        if (look == WHO_CANNOT_STAY && verdict != GONE && !accepts(draft, member))
            verdict = UNWELCOME;
        if (look == FORBIDDEN_PLACES
                ? verdict != ILLEGAL
                : verdict == STAYS || ((verdict == ILLEGAL || verdict == UNWELCOME) && keep))
            continue;
        size_t at = affected->count++;
        affected->leaving[i] = 1;
        affected->slots[at] = member->slot;
        affected->verdicts[at] = verdict;
        affected->participants[at] = participant;
    }
    return true;
}

/* Takes the slots of the book; a participant that gets none stays unplaced. */
static bool move_placed(struct draft *draft, const struct affected *affected, const struct bw_plan *plan,
                        bool *moved)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_facts *facts = draft->owner->view->snapshot->facts;
    struct bw_decision_move *moves = bw_arena_zalloc(draft->batch->arena, affected->count + 1, sizeof *moves);
    struct bw_decision *decision = draft_begin(draft, NULL, BW_DECISION_MOVED);
    bool illegal = false;
    if (moves == NULL || decision == NULL)
        return false;
    for (size_t i = 0; i < affected->count; i++) {
        if (plan->assignments[i] == BW_NO_RELAY || affected->verdicts[i] == UNWELCOME)
            continue;
        uint32_t to = facts->relays[plan->assignments[i]].number;
        const struct bw_member *member = bw_meeting_slot(meeting, affected->slots[i]);
        if (member->relay == to) {
            moved[i] = true;
            continue;
        }
        if (!bw_book_take(draft->owner->config.book, to)) {
            draft->owner->config.ports.escrow_low(draft->owner->config.ports.context, to);
            continue;
        }
        moved[i] = true;
        illegal = illegal || affected->verdicts[i] == ILLEGAL;
        moves[decision->move_count++] =
            (struct bw_decision_move){.slot = member->slot, .from = member->relay, .to = to};
    }
    decision->moves = moves;
    if (decision->move_count == 0)
        return true;
    /* A relay that the policy forbids from now on carries nobody a moment longer. */
    draft->evicting = illegal && draft->live->constraints->on_policy_change == BW_CHANGE_EVICT;
    if (draft_add(draft, decision, NULL))
        return true;
    for (size_t i = 0; i < decision->move_count; i++)
        bw_book_give(draft->owner->config.book, moves[i].to);
    return false;
}

static bool remove_unplaced(struct draft *draft, const struct affected *affected, const bool *moved)
{
    for (size_t i = 0; i < affected->count; i++) {
        if (moved[i] || affected->verdicts[i] == SHOULD_MOVE)
            continue;
        const struct bw_member *member = bw_meeting_slot(draft->live->meeting, affected->slots[i]);
        uint8_t reason = affected->verdicts[i] == GONE ? BW_LEAVE_CONNECTION_LOST : BW_LEAVE_POLICY;
        if (member != NULL && !draft_leave(draft, NULL, member, reason))
            return false;
    }
    return true;
}

/* How long those without a place may wait for one: who lost their relay as onNoRelay says, who may no longer
 * stay on it as onPolicyChange says. 0: not at all, or nobody is without a place. */
static uint64_t patience_ms(const struct draft *draft, const struct affected *affected, const bool *moved)
{
    const struct bw_constraints *constraints = draft->live->constraints;
    uint64_t wait = constraints->on_no_relay == BW_NO_RELAY_WAIT ? constraints->wait_ms : 0;
    uint64_t drain = constraints->on_policy_change == BW_CHANGE_DRAIN ? constraints->drain_ms : 0;
    uint64_t patience = 0;
    for (size_t i = 0; i < affected->count; i++) {
        uint64_t own = 0;
        if (affected->verdicts[i] == GONE)
            own = wait;
        else if (affected->verdicts[i] != SHOULD_MOVE)
            own = drain;
        if (!moved[i] && own > patience)
            patience = own;
    }
    return patience;
}

/* Whether somebody has no place only because this replica holds too few slots of a relay that has more: they
 * are asked for. Whom that concerns must not lose their meeting over it. */
static bool lacks_escrow(struct draft *draft, size_t unplaced)
{
    const struct bw_owner *owner = draft->owner;
    const struct bw_snapshot *snapshot = owner->view->snapshot;
    bool lacking = false;
    for (size_t i = 0; i < snapshot->relay_count; i++) {
        uint32_t number = snapshot->facts->relays[i].number;
        uint32_t room = bw_book_room(owner->config.book, number);
        if (!bw_bitset_test(&draft->live->constraints->eligible, i) ||
            snapshot->live[i].state != BW_RELAY_SERVING || !snapshot->live[i].lease_ok || room >= unplaced ||
            (uint64_t)room + bw_book_taken(owner->config.book, number) >= snapshot->live[i].capacity)
            continue;
        owner->config.ports.escrow_low(owner->config.ports.context, number);
        lacking = true;
    }
    return lacking;
}

/* How long the next slots may take to come. */
enum { ESCROW_PATIENCE_MS = 3000 };

/* True when those without a place wait for slots that were asked for; each time some come the wait begins
 * anew. */
static bool awaits_escrow(struct draft *draft, const struct affected *affected, const bool *moved)
{
    struct live *live = draft->live;
    size_t unplaced = 0;
    for (size_t i = 0; i < affected->count; i++)
        unplaced += !moved[i] && affected->verdicts[i] != UNWELCOME;
    if (unplaced == 0 || !lacks_escrow(draft, unplaced)) {
        live->starved_until_ms = 0;
        return false;
    }
    uint64_t now = owner_mono(draft->owner);
    if (live->starved_until_ms == 0 || unplaced < affected->count)
        live->starved_until_ms = now + ESCROW_PATIENCE_MS;
    return now < live->starved_until_ms;
}

/* The mode under the policy of now. A relay that came or went changes nothing about it; a last row that rests
 * on no policy may have come before the mode was looked at. */
static bool recheck_mode(struct draft *draft)
{
    static const uint8_t none[sizeof draft->live->meeting->policy_hash];
    const struct bw_meeting *meeting = draft->live->meeting;
    if (meeting->policy_revision == draft->live->constraints_revision &&
        memcmp(meeting->policy_hash, none, sizeof none) != 0)
        return true;
    struct bw_mode_policy policy = mode_policy_of(draft->live->constraints);
    const struct bw_mode_input input = {
        .policy = &policy,
        .counts = meeting->counts,
        .consents_missing = bw_meeting_consents_missing(meeting),
    };
    struct bw_mode_step step;
    struct bw_error err;
    if (bw_mode_step(&meeting->mode, BW_MODE_POLICY_TIGHTENED, &input, &step, &err) != BW_OK)
        return true;
    return draft_mode_step(draft, NULL, &step, 0);
}

static bool plan_for(struct draft *draft, const struct affected *affected, struct bw_plan *plan)
{
    struct bw_place_request request;
    struct bw_decision_trace trace;
    struct bw_error err;
    return place_request(draft, &request, affected->leaving, &err) == BW_OK &&
           bw_place_plan(&request, affected->participants, affected->count, draft->batch->arena, plan, &trace,
                         &err) == BW_OK;
}

bool decide_move_kept(struct draft *draft)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    struct affected affected = {0};
    struct bw_plan plan;
    if (draft->live->constraints->on_policy_change != BW_CHANGE_KEEP || meeting->slot_count == 0 ||
        !find_affected(draft, FORBIDDEN_PLACES, &affected) || affected.count == 0 ||
        !plan_for(draft, &affected, &plan))
        return false;
    for (size_t i = 0; i < affected.count; i++) {
        if (plan.assignments[i] == BW_NO_RELAY)
            return false;
    }
    bool *moved = bw_arena_zalloc(draft->batch->arena, affected.count, sizeof *moved);
    return moved != NULL && move_placed(draft, &affected, &plan, moved) && moved[0];
}

/* Those who could stay, but had better not, found no other place: they are looked at again. */
static bool waits_for_a_place(const struct affected *affected, const bool *moved)
{
    for (size_t i = 0; i < affected->count; i++) {
        if (!moved[i] && affected->verdicts[i] == SHOULD_MOVE)
            return true;
    }
    return false;
}

void decide_recheck(struct draft *draft)
{
    struct bw_owner *owner = draft->owner;
    struct live *live = draft->live;
    uint64_t now = owner->config.ports.mono_ms(owner->config.ports.context);
    live->look_again_ms = 0;
    if (live->meeting->slot_count == 0) {
        recheck_mode(draft);
        return;
    }
    struct affected affected = {0};
    if (!find_affected(draft, WHO_CANNOT_STAY, &affected)) {
        live->recheck_at_tick = true; /* nothing was decided yet: the meeting goes on as it is */
        return;
    }
    if (affected.count > 0) {
        struct bw_plan plan;
        bool *moved = bw_arena_zalloc(draft->batch->arena, affected.count, sizeof *moved);
        if (moved == NULL || !plan_for(draft, &affected, &plan) ||
            !move_placed(draft, &affected, &plan, moved)) {
            live->recheck_at_tick = true;
            return;
        }
        if (waits_for_a_place(&affected, moved))
            live->look_again_ms = now + owner->look_again_every_ms;
        bool starved = awaits_escrow(draft, &affected, moved);
        if (starved)
            owner->starved = true;
        uint64_t patience = patience_ms(draft, &affected, moved);
        if (patience > 0 && live->drain_until_ms == 0)
            live->drain_until_ms = now + patience;
        if (starved || (patience > 0 && now < live->drain_until_ms)) {
            live->recheck_at_tick = true;
        } else {
            live->drain_until_ms = 0;
            if (!remove_unplaced(draft, &affected, moved))
                return;
        }
    } else {
        live->drain_until_ms = 0;
    }
    if (!draft->broken)
        recheck_mode(draft);
}
