/* Deciding everything but joins and re-checks: creation, leaving, ending, mode changes, observations. */
#include <string.h>

#include "control/owner_state.h"

bool decide_create(struct draft *draft, struct bw_op *op)
{
    struct bw_owner *owner = draft->owner;
    struct live *live = draft->live;
    struct bw_arena *arena = draft->batch->arena;
    struct tenant_policy *policy = owner_tenant(owner, &op->tenant);
    if (policy == NULL) {
        bw_fail(
            &op->error, BW_FAILED_PRECONDITION, "NO_POLICY",
            "tenant \"%s\" has no policy in force; a tenant admin applies one first (bailiwick policy apply)",
            op->create.tenant_name);
        return true;
    }
    const struct bw_policy_set *set = policy->set;
    if (set->doc == NULL) {
        (void)policy_unread(set, &op->error);
        return true;
    }
    const char *const *levels = NULL;
    size_t level_count = 0;
    if (bw_policies_levels(set, &op->create, draft->now_ms, arena, &levels, &level_count, &op->error) !=
        BW_OK)
        return true;
    if (live_constraints_first(owner, live, policy, levels, level_count, op->create.override_yaml,
                               draft->now_ms, &op->error) != BW_OK)
        return true;

    struct bw_mode_policy modes = mode_policy_of(live->constraints);
    struct bw_mode_state mode = {0};
    if (bw_mode_create(&modes, (enum bw_mode_choice)op->create.choice,
                       live->constraints->required_connectors != 0, &mode, &op->error) != BW_OK)
        return true;
    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_CREATED);
    if (decision == NULL)
        return true;
    decision->meeting = op->meeting;
    decision->tenant = op->tenant;
    decision->seq = 1;
    decision->mode = (uint8_t)mode.mode;
    decision->mode_epoch = mode.epoch;
    decision->meeting_epoch = 1;
    decision->choice = op->create.choice;
    decision->cap_per_relay = op->create.cap_per_relay;
    decision->levels = levels;
    decision->level_count = level_count;
    decision->tenant_name = set->name;
    if (op->create.override_yaml != NULL) {
        decision->override_yaml = bw_arena_strdup(arena, op->create.override_yaml);
        draft->broken = decision->override_yaml == NULL;
    }
    if (!draft->broken)
        draft_add(draft, decision, op);
    return true;
}

/* After somebody left: the mode may get better, or a consent is no longer missing. */
static bool after_leave(struct draft *draft, bool connector)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    struct bw_mode_policy policy = mode_policy_of(draft->live->constraints);
    const struct bw_mode_input input = {
        .policy = &policy,
        .counts = meeting->counts,
        .consents_missing = bw_meeting_consents_missing(meeting),
    };
    struct bw_mode_step step;
    struct bw_error err;
    if (bw_mode_leave(&meeting->mode, connector, &input, &step, &err) != BW_OK)
        return true; /* a leave is never refused: the mode just stays */
    return draft_mode_step(draft, NULL, &step, 0);
}

/* Whether the policy requires this connector and no other of its kind is there for those who would go on. */
static bool must_stay(const struct draft *draft, const struct bw_member *connector)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    enum bw_connector kind = bw_connector_parse(bw_endpoint_name(connector->kind));
    if (draft->unruled || kind == BW_CONNECTOR_COUNT ||
        !(draft->live->constraints->required_connectors & BW_CONNECTOR_BIT(kind)))
        return false;
    bool people = false;
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        people = people || !member->flags.connector;
        if (member != connector && member->kind == connector->kind)
            return false;
    }
    return people;
}

bool decide_leave_of(struct draft *draft, struct bw_op *op, const struct bw_member *member, uint8_t reason)
{
    bool connector = member->flags.connector;
    return draft_leave(draft, op, member, reason) && (draft->unruled || after_leave(draft, connector));
}

bool decide_leave(struct draft *draft, struct bw_op *op)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_member *member = bw_meeting_member(meeting, &op->leave.entry);
    if (member == NULL) {
        bw_fail(&op->error, BW_NOT_FOUND, "NO_ROSTER_ENTRY",
                "that roster entry is not in this meeting; it may have left already");
        return true;
    }
    bool connector = member->flags.connector;
    if (connector != (op->kind == BW_OP_REMOVE)) {
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "WRONG_CALL",
                connector ? "that roster entry is a connector: use RemoveConnector"
                          : "that roster entry is a participant: use LeaveMeeting");
        return true;
    }
    if (connector && must_stay(draft, member)) {
        bw_fail(&op->error, BW_FAILED_PRECONDITION, "CONNECTOR_REQUIRED",
                "the policy requires a connector of kind %s while anybody is in the meeting; invite another "
                "one first, or end the meeting",
                bw_endpoint_name(member->kind));
        return true;
    }
    (void)decide_leave_of(draft, op, member, op->leave.reason != 0 ? op->leave.reason : BW_LEAVE_LEFT);
    return true;
}

bool decide_end(struct draft *draft, struct bw_op *op, uint8_t reason)
{
    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_ENDED);
    if (decision == NULL)
        return true;
    decision->end_reason = reason;
    decision->mode = BW_MODE_ENDED;
    draft_add(draft, decision, op);
    return true;
}

/* Consents are rows of their own; the step that may follow is decided on top. */
static bool consent(struct draft *draft, struct bw_op *op, const struct bw_member *member)
{
    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_CONSENTED);
    if (decision == NULL)
        return false;
    decision->slot = member->slot;
    return draft_add(draft, decision, op);
}

bool decide_mode(struct draft *draft, struct bw_op *op)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_member *member = NULL;
    if (!bw_id_is_zero(&op->mode_change.entry)) {
        member = bw_meeting_member(meeting, &op->mode_change.entry);
        if (member == NULL) {
            bw_fail(&op->error, BW_NOT_FOUND, "NO_ROSTER_ENTRY", "that roster entry is not in this meeting");
            return true;
        }
    }
    struct bw_op *own = op;
    if (op->mode_change.event == BW_MODE_CONSENT) {
        if (meeting->mode.pending != BW_MODE_PENDING_LOWER ||
            op->mode_change.epoch != meeting->mode.epoch + 1) {
            bw_fail(&op->error, BW_FAILED_PRECONDITION, "NOTHING_ANNOUNCED",
                    "no lowering to mode epoch %u is announced; the mode epoch is %u", op->mode_change.epoch,
                    meeting->mode.epoch);
            return true;
        }
        if (member == NULL || member->flags.connector) {
            bw_fail(&op->error, BW_INVALID_ARGUMENT, NULL, "a consent names the participant who gives it");
            return true;
        }
        if (!consent(draft, op, member))
            return true;
        own = NULL;
    }
    struct bw_mode_policy policy = mode_policy_of(draft->live->constraints);
    const struct bw_mode_input input = {
        .policy = &policy,
        .counts = meeting->counts,
        .consents_missing = bw_meeting_consents_missing(meeting),
    };
    struct bw_mode_step step;
    if (bw_mode_step(&meeting->mode, op->mode_change.event, &input, &step, &op->error) == BW_OK)
        draft_mode_step(draft, own, &step, member != NULL ? member->slot : 0);
    return true;
}

bool decide_observe(struct draft *draft, struct bw_op *op)
{
    const struct bw_meeting *meeting = draft->live->meeting;
    const struct bw_member *member = bw_meeting_member(meeting, &op->observe.entry);
    if (member == NULL) {
        bw_fail(&op->error, BW_NOT_FOUND, "NO_ROSTER_ENTRY", "that roster entry is not in this meeting");
        return true;
    }
    if (op->observe.state == BW_OBSERVED_NOTHING || op->observe.mode_epoch != meeting->mode.epoch)
        return true; /* nothing new, or of another mode epoch: says nothing about this one */
    struct bw_flags flags = member->flags;
    flags.observed.state = op->observe.state;
    flags.observed.scheme = op->observe.scheme;
    flags.observed.epoch = op->observe.mode_epoch;
    flags.observed.confirmed = true;
    const struct bw_flags_observed *known = &member->flags.observed;
    if (known->state == flags.observed.state && known->scheme == flags.observed.scheme &&
        known->epoch == flags.observed.epoch && known->confirmed)
        return true;
    uint32_t slot = member->slot;

    struct bw_decision *decision = draft_begin(draft, op, BW_DECISION_FLAGS_CHANGED);
    struct bw_decision_flags *recorded = bw_arena_zalloc(draft->batch->arena, 1, sizeof *recorded);
    if (decision == NULL || recorded == NULL) {
        draft->broken = true;
        return true;
    }
    bw_flags_to_decision(&flags, slot, recorded);
    decision->flags = recorded;
    decision->flag_count = 1;
    if (!draft_add(draft, decision, op))
        return true;

    struct bw_mode_policy policy = mode_policy_of(draft->live->constraints);
    const struct bw_mode_input input = {
        .policy = &policy,
        .counts = meeting->counts,
        .consents_missing = bw_meeting_consents_missing(meeting),
    };
    struct bw_mode_step step;
    struct bw_error ignored; /* what is seen is seen: a refusal changes nothing */
    enum bw_mode_event event =
        op->observe.state == BW_OBSERVED_PLAIN ? BW_MODE_OBSERVE_PLAIN : BW_MODE_OBSERVE_E2EE;
    if (bw_mode_step(&meeting->mode, event, &input, &step, &ignored) == BW_OK)
        draft_mode_step(draft, NULL, &step, slot);
    return true;
}
