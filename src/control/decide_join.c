/* Deciding who joins: the door, the mode, the flags, the relay; a refusal is a decision too. */
#include <string.h>

#include "control/owner_state.h"

/* What stands in the way of a joiner, before it is said and recorded. */
struct obstacle {
    uint32_t reasons;
    struct bw_clause clause;
    const struct bw_decision_trace *trace; /* NULL: relays were not looked at */
};

static void keep_rejections(struct draft *draft, struct bw_decision *decision,
                            const struct bw_decision_trace *trace)
{
    enum { KEPT_MAX = 500 };
    const struct bw_constraints *constraints = draft->live->constraints;
    struct bw_arena *arena = draft->batch->arena;
    const struct bw_facts *facts = draft->owner->view->snapshot->facts;
    size_t kept = trace->relay_count < KEPT_MAX ? trace->relay_count : KEPT_MAX;
    struct bw_decision_rejection *rejections = bw_arena_zalloc(arena, kept + 1, sizeof *rejections);
    decision->rejections_total = trace->relay_count;
    for (size_t i = 0; rejections != NULL && i < trace->relay_count && decision->rejection_count < kept;
         i++) {
        if (trace->reasons[i] == 0)
            continue;
        struct bw_decision_rejection *rejection = &rejections[decision->rejection_count++];
        rejection->relay = facts->relays[i].number;
        rejection->reasons = trace->reasons[i];
        for (int reason = 0; reason < BW_REASON_COUNT && rejection->clause == NULL; reason++) {
            if (!(trace->reasons[i] & BW_REASON_BIT(reason)))
                continue;
            const struct bw_cut *cut = bw_constraints_decisive(constraints, i, (enum bw_reason)reason);
            if (cut != NULL)
                rejection->clause = bw_clause_text(&cut->clause, arena);
        }
    }
    decision->rejections = rejections;
    if (trace->nearest.relay != BW_NO_RELAY) {
        decision->nearest = facts->relays[trace->nearest.relay].number;
        decision->nearest_reasons = trace->nearest.reasons;
    }
}

static bool fill_participant(struct bw_decision *decision, const struct bw_op *op, struct bw_arena *arena)
{
    const struct bw_op_join *join = &op->join;
    decision->participant_kind = (uint8_t)join->kind;
    decision->role = join->role;
    decision->country = join->country != NULL ? bw_arena_strdup(arena, join->country) : NULL;
    decision->region = join->region != NULL ? bw_arena_strdup(arena, join->region) : NULL;
    decision->home_tenant = join->home_tenant != NULL ? bw_arena_strdup(arena, join->home_tenant) : NULL;
    return (join->country == NULL || decision->country != NULL) &&
           (join->region == NULL || decision->region != NULL) &&
           (join->home_tenant == NULL || decision->home_tenant != NULL);
}

/* Records the refusal; op->error is set already. */
static bool refuse(struct draft *draft, struct bw_op *op, const struct obstacle *obstacle)
{
    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_REFUSED);
    if (decision == NULL || !fill_participant(decision, op, draft->batch->arena)) {
        draft->broken = true;
        return true;
    }
    decision->reasons = obstacle->reasons;
    decision->clause = bw_clause_text(&obstacle->clause, draft->batch->arena);
    if (obstacle->trace != NULL)
        keep_rejections(draft, decision, obstacle->trace);
    draft->owner->counts.refused++;
    draft_add(draft, decision, op);
    return true;
}

/* The relay that onPolicyChange: keep leaves in the meeting though the policy of now forbids it; NULL: none.
 */
static const char *kept_relay(const struct draft *draft)
{
    const struct bw_constraints *constraints = draft->live->constraints;
    const struct bw_meeting *meeting = draft->live->meeting;
    for (size_t i = 0; constraints->on_policy_change == BW_CHANGE_KEEP && i < meeting->relay_count; i++) {
        size_t index = bw_facts_find_number(constraints->facts, meeting->relays[i].number);
        if (index != SIZE_MAX && !bw_bitset_test(&constraints->eligible, index))
            return constraints->facts->relays[index].name;
    }
    return NULL;
}

static bool refuse_no_relay(struct draft *draft, struct bw_op *op, const struct bw_join *join,
                            const struct bw_decision_trace *trace)
{
    const struct bw_facts *facts = draft->owner->view->snapshot->facts;
    const char *kept = kept_relay(draft);
    const uint32_t personal =
        BW_REASON_BIT(BW_REASON_ENTRY_COUNTRY) | BW_REASON_BIT(BW_REASON_CONNECTOR_FORBIDDEN);
    if (join->refused & BW_REASON_BIT(BW_REASON_ENTRY_COUNTRY))
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "ENTRY_COUNTRY",
                "the policy does not let participants join from %s",
                op->join.country != NULL ? op->join.country : "an unknown country");
    else if (join->refused & BW_REASON_BIT(BW_REASON_CONNECTOR_FORBIDDEN))
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "CONNECTOR_FORBIDDEN",
                "the policy does not allow connectors of kind %s; its connectors.allow would have to list it",
                bw_endpoint_name(op->join.kind));
    else if (kept != NULL)
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY",
                "the meeting is kept on relay %s, which the policy in force forbids (onPolicyChange: keep), "
                "and no "
                "other relay takes all who are there: nobody can be linked to them until they have left",
                kept);
    else if (trace->nearest.relay != BW_NO_RELAY)
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY",
                "no relay of %zu satisfies the policy for this participant; nearest is %s, where %s",
                trace->relay_count, facts->relays[trace->nearest.relay].name,
                bw_reason_text((enum bw_reason)__builtin_ctz(trace->nearest.reasons | 1u << 31)));
    else
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY",
                "no relay is enrolled that could carry this participant");
    const struct obstacle obstacle = {
        .reasons = join->refused, .clause = join->clause, .trace = join->refused & personal ? NULL : trace};
    return refuse(draft, op, &obstacle);
}

/* ---- the relay ---- */

static uint32_t burst_joins(const struct live *live, uint32_t relay)
{
    for (size_t i = 0; i < live->burst_count; i++) {
        if (live->burst[i].relay == relay)
            return live->burst[i].joins;
    }
    return 0;
}

static void burst_note(struct live *live, uint32_t relay)
{
    for (size_t i = 0; i < live->burst_count; i++) {
        if (live->burst[i].relay == relay) {
            live->burst[i].joins++;
            return;
        }
    }
    if (live->burst_count < BW_MEETING_RELAYS_MAX) {
        live->burst[live->burst_count].relay = relay;
        live->burst[live->burst_count++].joins = 1;
    }
}

static void add_hop(struct live *live, uint32_t relay, uint64_t hop_us)
{
    for (size_t i = 0; i < live->hops_count; i++) {
        if (live->hops[i].relay == relay) {
            live->hops[i].sum_us += hop_us;
            return;
        }
    }
    if (live->hops_count < BW_MEETING_RELAYS_MAX) {
        live->hops[live->hops_count].relay = relay;
        live->hops[live->hops_count++].sum_us = hop_us;
    }
}

uint32_t member_region(const struct bw_snapshot *snapshot, const char *country, const char *region)
{
    uint32_t found = region != NULL ? bw_snapshot_region(snapshot, region) : BW_NO_REGION;
    if (found == BW_NO_REGION && country != NULL && country[0] != '\0')
        found = bw_snapshot_region_of_place(snapshot, country);
    return found;
}

/* Sums up first hops over the roster, unless the sums of last time still hold. */
static void sum_hops(struct draft *draft)
{
    struct live *live = draft->live;
    const struct bw_meeting *meeting = live->meeting;
    const struct bw_snapshot *snapshot = draft->owner->view->snapshot;
    if (live->hops_distances == draft->owner->distances && live->hops_seq == meeting->seq)
        return;
    live->hops_distances = draft->owner->distances;
    live->hops_seq = meeting->seq;
    live->hops_count = 0;
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        size_t relay = bw_facts_find_number(snapshot->facts, member->relay);
        if (relay != SIZE_MAX)
            add_hop(live, member->relay,
                    bw_snapshot_hop_us(snapshot, member_region(snapshot, member->country, member->region),
                                       (uint32_t)relay));
    }
}

static uint64_t hops_on(const struct live *live, uint32_t relay)
{
    for (size_t i = 0; i < live->hops_count; i++) {
        if (live->hops[i].relay == relay)
            return live->hops[i].sum_us;
    }
    return 0;
}

/* Takes those who are about to leave out of the picture. */
static void without_leaving(const struct draft *draft, const uint32_t *leaving, struct bw_open_relay *open,
                            size_t open_count)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_snapshot *snapshot = draft->owner->view->snapshot;
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        for (size_t j = 0; leaving[i] && j < open_count; j++) {
            if (snapshot->facts->relays[open[j].relay].number != member->relay)
                continue;
            open[j].participants--;
            uint64_t hop_us = bw_snapshot_hop_us(
                snapshot, member_region(snapshot, member->country, member->region), open[j].relay);
            open[j].hop_sum_us -= hop_us < open[j].hop_sum_us ? hop_us : open[j].hop_sum_us;
        }
    }
}

enum bw_code place_request(struct draft *draft, struct bw_place_request *request, const uint32_t *leaving,
                           struct bw_error *err)
{
    struct bw_owner *owner = draft->owner;
    struct live *live = draft->live;
    struct bw_arena *arena = draft->batch->arena;
    const struct bw_snapshot *snapshot = owner->view->snapshot;
    const struct bw_meeting *meeting = live->meeting;
    uint32_t *room = bw_arena_zalloc(arena, snapshot->relay_count + 1, sizeof *room);
    uint32_t *load = bw_arena_zalloc(arena, snapshot->relay_count + 1, sizeof *load);
    struct bw_open_relay *open = bw_arena_zalloc(arena, meeting->relay_count + 1, sizeof *open);
    if (room == NULL || load == NULL || open == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < snapshot->relay_count; i++) {
        uint32_t number = snapshot->facts->relays[i].number;
        uint32_t taken = bw_book_taken(owner->config.book, number);
        room[i] = bw_book_room(owner->config.book, number);
        /* Reports lag behind decisions: what was decided here counts at once. */
        uint64_t decided =
            snapshot->live[i].capacity > 0 ? (uint64_t)taken * 1000000 / snapshot->live[i].capacity : 0;
        load[i] = decided > snapshot->live[i].load_ppm ? (uint32_t)decided : snapshot->live[i].load_ppm;
    }
    sum_hops(draft);
    size_t open_count = 0;
    for (size_t i = 0; i < meeting->relay_count; i++) {
        size_t index = bw_facts_find_number(snapshot->facts, meeting->relays[i].number);
        if (index == SIZE_MAX)
            continue;
        struct bw_open_relay *entry = &open[open_count++];
        entry->relay = (uint32_t)index;
        entry->participants = meeting->relays[i].members;
        entry->hop_sum_us = hops_on(live, meeting->relays[i].number);
        entry->recent_joins = burst_joins(live, meeting->relays[i].number);
    }
    if (leaving != NULL)
        without_leaving(draft, leaving, open, open_count);
    size_t staying = 0;
    for (size_t j = 0; j < open_count; j++) {
        if (open[j].participants > 0)
            open[staying++] = open[j];
    }
    *request = (struct bw_place_request){
        .snapshot = owner->view->snapshot,
        .constraints = live->constraints,
        .weights = &owner->config.weights,
        .meeting = meeting->id,
        .mode = meeting->mode.mode == BW_MODE_HOP ? BW_MODE_SET_HOP : BW_MODE_SET_E2EE,
        .cap_per_relay = meeting->cap_per_relay,
        .open = open,
        .open_count = staying,
        .room = room,
        .load_ppm = load,
    };
    return BW_OK;
}

static void ask_escrow(struct bw_owner *owner, uint32_t number)
{
    if (bw_book_room(owner->config.book, number) < owner->config.escrow_low_water)
        owner->config.ports.escrow_low(owner->config.ports.context, number);
}

/* Only for want of slots here: some relay would do, and its capacity is not yet given out to replicas. */
static bool lacks_escrow(struct draft *draft, const struct bw_decision_trace *trace)
{
    bool lacking = false;
    const struct bw_snapshot *snapshot = draft->owner->view->snapshot;
    for (size_t i = 0; i < trace->relay_count; i++) {
        if (trace->reasons[i] != BW_REASON_BIT(BW_REASON_CAPACITY))
            continue;
        uint32_t number = snapshot->facts->relays[i].number;
        if (bw_book_room(draft->owner->config.book, number) == 0) {
            draft->owner->config.ports.escrow_low(draft->owner->config.ports.context, number);
            lacking = true;
        }
    }
    return lacking;
}

/* Whether the op waits for a better day instead of being refused. */
static bool may_wait(struct draft *draft, struct bw_op *op, const struct bw_join *join,
                     const struct bw_decision_trace *trace)
{
    enum { ESCROW_WAIT_MS = 300, ESCROW_TRIES = 3 };
    if (join->refused &
        (BW_REASON_BIT(BW_REASON_ENTRY_COUNTRY) | BW_REASON_BIT(BW_REASON_CONNECTOR_FORBIDDEN)))
        return false;
    struct bw_owner *owner = draft->owner;
    uint64_t now = owner->config.ports.mono_ms(owner->config.ports.context);
    bool first = op->wait_until_ms == 0;
    if (first) {
        uint64_t wait = 0;
        if (lacks_escrow(draft, trace))
            wait = ESCROW_WAIT_MS;
        const struct bw_constraints *constraints = draft->live->constraints;
        if (constraints->on_no_relay == BW_NO_RELAY_WAIT && constraints->wait_ms > wait)
            wait = constraints->wait_ms;
        op->wait_until_ms = now + wait;
    }
    return now < op->wait_until_ms;
}

/* ---- the mode ---- */

static struct bw_mode_counts counted_in(const struct bw_meeting *meeting, const struct bw_flags *flags)
{
    struct bw_mode_counts counts = meeting->counts;
    bw_flags_count_in(&meeting->mode, flags, &counts);
    return counts;
}

/* Asks the mode machine, and allocates the joiner's flags under the mode that then holds. */
static enum bw_code decide_mode_of_joiner(struct draft *draft, const struct bw_op *op,
                                          struct bw_mode_step *step, struct bw_flags *flags,
                                          struct bw_error *err)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    bool connector = op->kind == BW_OP_INVITE;
    *flags = (struct bw_flags){.connector = connector,
                               .capable = bw_endpoint_schemes(op->join.kind, op->join.declared)};
    struct bw_mode_policy policy = mode_policy_of(draft->live->constraints);
    const struct bw_mode_input input = {
        .policy = &policy,
        .counts = counted_in(meeting, flags),
        /* Asked for only by a lowering that waits; counting them looks at everybody. */
        .consents_missing = meeting->mode.pending == BW_MODE_PENDING_LOWER
                                ? bw_meeting_consents_missing(meeting) + !connector
                                : 0,
    };
    enum bw_mode_event event = connector             ? BW_MODE_INVITE_CONNECTOR
                               : flags->capable != 0 ? BW_MODE_JOIN_CAPABLE
                                                     : BW_MODE_JOIN_INCAPABLE;
    enum bw_code code = bw_mode_step(&meeting->mode, event, &input, step, err);
    if (code != BW_OK)
        return code;
    struct bw_flags_meeting common = meeting->e2ee;
    if (step->state.epoch != meeting->mode.epoch)
        common = (struct bw_flags_meeting){0};
    return bw_flags_allocate(&step->state, op->join.kind, connector, flags->capable,
                             suite_of(draft->live->constraints), &common, flags, err);
}

/* ---- connectors that must be there ---- */

/* Of those the policy requires, the ones that are not on the roster. */
static uint32_t connectors_missing(const struct draft *draft)
{
    uint32_t missing = draft->live->constraints->required_connectors;
    const struct bw_meeting *meeting = draft->live->meeting;
    for (size_t i = 0; missing != 0 && i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        if (member->flags.connector)
            missing &= ~BW_CONNECTOR_BIT(bw_connector_parse(bw_endpoint_name(member->kind)));
    }
    return missing;
}

/* Nobody is let into a meeting that lacks what the policy says every meeting must have. */
static bool refuse_without_connector(struct draft *draft, struct bw_op *op, uint32_t missing)
{
    enum bw_connector kind = (enum bw_connector)__builtin_ctz(missing);
    struct obstacle obstacle = {.reasons = BW_REASON_BIT(BW_REASON_CONNECTOR_REQUIRED)};
    (void)bw_constraints_required_clause(draft->live->constraints, kind, &obstacle.clause);
    bw_fail(&op->error, BW_FAILED_PRECONDITION, "CONNECTOR_REQUIRED",
            "the policy requires a connector of kind %s in every meeting and this one has none; invite it "
            "first (InviteConnector), then join",
            bw_connector_name(kind));
    return refuse(draft, op, &obstacle);
}

/* ---- the whole ---- */

static enum bw_code at_the_door(struct draft *draft, const struct bw_op *op, const struct bw_mode_state *next,
                                struct bw_own_levels *levels, struct bw_clause *clause, struct bw_error *err)
{
    struct bw_owner *owner = draft->owner;
    const struct live *live = draft->live;
    const struct bw_policy_set *own = owner_policy(owner, &live->meeting->tenant);
    if (op->join.home_tenant != NULL) {
        own = NULL;
        struct tenant_policy *entry, *after;
        HASH_ITER(hh, owner->policies, entry, after)
        {
            if (entry->set->doc != NULL && strcmp(entry->set->name, op->join.home_tenant) == 0)
                own = entry->set;
        }
        if (own == NULL)
            return bw_fail(
                err, BW_FAILED_PRECONDITION, "PARTICIPANT_POLICY",
                "the guest's organisation \"%s\" is not known in this cell, and the policy refuses "
                "unverified guests (guests.unverified)",
                op->join.home_tenant);
    }
    const struct bw_door door = {
        .meeting = live->constraints,
        .mode = next->mode == BW_MODE_HOP ? BW_MODE_SET_HOP : BW_MODE_SET_E2EE,
        .with_connectors = next->mode == BW_MODE_E2EE_CONNECTORS,
    };
    return bw_policies_door(own, &op->join, &door, owner->cell_name, draft->now_ms, draft->batch->arena,
                            levels, clause, err);
}

static bool admit(struct draft *draft, struct bw_op *op, const struct bw_mode_step *step,
                  const struct bw_flags *flags, const struct bw_join *join, const struct bw_own_levels *own)
{
    struct bw_owner *owner = draft->owner;
    struct live *live = draft->live;
    const struct bw_facts *facts = owner->view->snapshot->facts;
    uint32_t number = facts->relays[join->relay].number;
    if (!draft_mode_step(draft, NULL, step, 0))
        return true;
    struct bw_decision *decision =
        draft_begin(draft, op, op->kind == BW_OP_INVITE ? BW_DECISION_CONNECTOR_INVITED : BW_DECISION_JOINED);
    struct bw_decision_flags *recorded = bw_arena_zalloc(draft->batch->arena, 1, sizeof *recorded);
    if (decision == NULL || recorded == NULL || !fill_participant(decision, op, draft->batch->arena)) {
        draft->broken = true;
        return true;
    }
    uint8_t random[16];
    owner->config.ports.random(owner->config.ports.context, random, sizeof random);
    decision->entry = bw_id_v4(random);
    decision->slot = decision->seq;
    decision->relay = number;
    decision->levels = own->names;
    decision->level_count = own->count;
    bw_flags_to_decision(flags, decision->slot, recorded);
    decision->flags = recorded;
    decision->flag_count = 1;
    decision->relays_considered = (uint32_t)facts->relay_count;
    decision->relays_allowed = join->allowed;
    decision->score = (struct bw_decision_score){
        .pair_us = join->score.pair_us,
        .access_us = join->score.access_us,
        .load_us = join->score.load_us,
        .relays_us = join->score.relays_us,
        .moved_us = join->score.moved_us,
        .total_us = join->score.total_us,
    };
    if (join->runner_up != BW_NO_RELAY)
        decision->runner_up = facts->relays[join->runner_up].number;
    burst_note(live, number);
    bool known = live->hops_seq == live->meeting->seq;
    if (draft_add(draft, decision, op) && known) {
        add_hop(live, number, join->hop_us);
        live->hops_seq = live->meeting->seq;
    }
    return true;
}

bool decide_join(struct draft *draft, struct bw_op *op)
{
    struct bw_owner *owner = draft->owner;
    struct bw_arena *arena = draft->batch->arena;
    struct obstacle obstacle = {0};
    struct bw_own_levels own = {.count = 0};

    uint32_t missing = op->kind == BW_OP_JOIN ? connectors_missing(draft) : 0;
    if (missing != 0)
        return refuse_without_connector(draft, op, missing);
    struct bw_mode_step step;
    struct bw_flags flags;
    if (decide_mode_of_joiner(draft, op, &step, &flags, &op->error) != BW_OK) {
        obstacle.reasons = BW_REASON_BIT(op->kind == BW_OP_INVITE ? BW_REASON_CONNECTOR_FORBIDDEN
                                                                  : BW_REASON_PARTICIPANT_POLICY);
        return refuse(draft, op, &obstacle);
    }
    if (op->kind == BW_OP_JOIN &&
        at_the_door(draft, op, &step.state, &own, &obstacle.clause, &op->error) != BW_OK) {
        if (op->error.code != BW_FAILED_PRECONDITION)
            return true;
        obstacle.reasons = BW_REASON_BIT(BW_REASON_PARTICIPANT_POLICY);
        return refuse(draft, op, &obstacle);
    }

    struct bw_place_request request;
    const struct bw_participant joiner = {
        .place = op->join.country,
        .region = member_region(owner->view->snapshot, op->join.country, op->join.region),
        .is_connector = op->kind == BW_OP_INVITE,
        .connector = op->kind == BW_OP_INVITE ? bw_connector_parse(bw_endpoint_name(op->join.kind))
                                              : BW_CONNECTOR_COUNT,
        .current = BW_NO_RELAY,
    };
    struct bw_join join;
    bool moved_kept = false;
    for (;;) {
        if (place_request(draft, &request, NULL, &op->error) != BW_OK ||
            bw_place_join(&request, &joiner, arena, &join, NULL, &op->error) != BW_OK)
            return true;
        if (!join.placed) {
            if (moved_kept || !decide_move_kept(draft))
                break;
            moved_kept = true;
            continue;
        }
        uint32_t number = owner->view->snapshot->facts->relays[join.relay].number;
        ask_escrow(owner, number);
        /* Another worker may have taken the last slot since the book was read: look again. */
        if (!bw_book_take(owner->config.book, number))
            continue;
        bool settled = admit(draft, op, &step, &flags, &join, &own);
        if (draft->broken)
            bw_book_give(owner->config.book, number);
        return settled;
    }
    if (draft->broken)
        return true;
    /* Only a refusal has to say what was wrong with each relay. */
    struct bw_decision_trace trace;
    if (bw_place_join(&request, &joiner, arena, &join, &trace, &op->error) != BW_OK)
        return true;
    if (may_wait(draft, op, &join, &trace))
        return false;
    return refuse_no_relay(draft, op, &join, &trace);
}
