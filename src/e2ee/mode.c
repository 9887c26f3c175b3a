#include "e2ee/mode.h"

#include <string.h>

#include "base/check.h"

/* When a row applies. Names are those of the reference page. X(NAME, words) */
#define GUARD_MAP(X)                                                                                         \
    X(ALWAYS, "")                                                                                            \
    X(E2EE_FORBIDDEN, "policy forbids e2ee")                                                                 \
    X(REQUIRED, "policy requires e2ee")                                                                      \
    X(REQUIRED_AND_RAISABLE, "policy requires e2ee; no connector, nobody incapable")                         \
    X(ENDPOINTS, "connectorsAsEndpoints, and policy does not require e2ee")                                  \
    X(CONNECTORS_TO_GO, "connectors are present that policy does not admit as endpoints")                    \
    X(LABELLED, "policy labels a mismatch")                                                                  \
    X(INCAPABLE_LABELLED, "policy labels a mismatch and does not prefer e2ee")                               \
    X(PLAIN_TO_GO, "policy refuses a mismatch")                                                              \
    X(PLAIN_AND_CONNECTORS_TO_GO, "policy refuses a mismatch and the connectors")                            \
    X(LOWERABLE, "policy allows lowering with consent")                                                      \
    X(CONSENTED, "a lowering is pending, allowed, and everybody consents")                                   \
    X(LOWERING, "a lowering is pending")                                                                     \
    X(RAISING, "a raise is pending")                                                                         \
    X(RAISED, "a raise is pending; no connector, nobody incapable")                                          \
    X(CONNECTORS, "a connector is present")                                                                  \
    X(NO_CONNECTOR, "the last connector is gone")                                                            \
    X(INCAPABLE, "somebody is incapable")                                                                    \
    X(PLAIN, "somebody is observed without e2ee")                                                            \
    X(CONFIRMED, "everybody is confirmed, no connector")                                                     \
    X(CONFIRMED_WITH_CONNECTORS, "everybody is confirmed, connectors present")

enum guard {
#define X(name, words) GUARD_##name,
    GUARD_MAP(X)
#undef X
};

/* Why a refusal, and what would have to change. X(NAME, reason, words) */
#define REFUSAL_MAP(X)                                                                                       \
    X(NONE, "", "")                                                                                          \
    X(CONNECTOR, "MODE_FORBIDS_CONNECTOR",                                                                   \
      "connectors (phone, SIP, H.323, rooms, recording, live stream, transcription) need plaintext and "     \
      "cannot enter a meeting in this mode; the policy would have to say connectorsAsEndpoints: true and "   \
      "not require end-to-end encryption, or the meeting be lowered to hop with the consent of those "       \
      "present")                                                                                             \
    X(PARTICIPANT, "MODE_FORBIDS_PARTICIPANT",                                                               \
      "this endpoint cannot do the meeting's end-to-end encryption; join with a current client, or the "     \
      "meeting would have to be lowered to hop with the consent of those present, where its policy allows")  \
    X(RAISE_UNDER_WAY, "MODE_FORBIDS_PARTICIPANT",                                                           \
      "the meeting is being raised to end-to-end encryption; join with an endpoint that can do it")          \
    X(RAISE_AND_CONNECTOR, "MODE_FORBIDS_CONNECTOR",                                                         \
      "the meeting is being raised to end-to-end encryption, which removes connectors first; invite it "     \
      "again in a meeting whose mode takes connectors")                                                      \
    X(NOT_LOWERED, "MODE_NOT_LOWERED",                                                                       \
      "the policy does not let this meeting be lowered while it lives; start a meeting in mode hop, or the " \
      "policy would have to say e2ee.mode preferred or optional with downgrade: with-consent")               \
    X(LOWEST, "MODE_NOT_LOWERED", "the meeting is in mode hop, which is the lowest")                         \
    X(NOT_RAISED, "MODE_NOT_RAISED",                                                                         \
      "the policy forbids end-to-end encryption; e2ee.mode would have to be required, preferred or "         \
      "optional")                                                                                            \
    X(INCAPABLE_PRESENT, "MODE_NOT_RAISED",                                                                  \
      "somebody present cannot do end-to-end encryption; they would have to leave or join again with a "     \
      "current client")                                                                                      \
    X(PLAIN_PRESENT, "MODE_NOT_RAISED",                                                                      \
      "somebody present is observed without end-to-end encryption (the flags of the roster say who); they "  \
      "would have to leave or join again")                                                                   \
    X(ENDED, "MEETING_ENDED", "the meeting has ended; create a new one")

enum refusal {
#define X(name, reason, words) REFUSAL_##name,
    REFUSAL_MAP(X)
#undef X
};

static const char *const guard_words[] = {
#define X(name, words) [GUARD_##name] = words,
    GUARD_MAP(X)
#undef X
};

static const struct {
    const char *reason, *words;
} refusals[] = {
#define X(name, reason_name, text) [REFUSAL_##name] = {reason_name, text},
    REFUSAL_MAP(X)
#undef X
};

/* A row's effect: effects in bits 0 to 11, guard in 12 to 19, refusal in 20 to 27. */
enum { GUARD_SHIFT = 12, REFUSAL_SHIFT = 20, EFFECTS_MASK = (1 << GUARD_SHIFT) - 1, FIELD_MASK = 0xff };

#define ANNOUNCE      BW_MODE_ANNOUNCE
#define EVICT         BW_MODE_EVICT_SUBJECT
#define EVICT_PLAIN   BW_MODE_EVICT_PLAIN
#define NO_CONNECTORS BW_MODE_REMOVE_CONNECTORS
#define ASK           BW_MODE_ASK_CONSENT
#define EPOCH         BW_MODE_NEW_EPOCH
#define ADMIT         BW_MODE_ADMIT
#define CANCEL        BW_MODE_CANCEL
#define RAISE         BW_MODE_BEGIN_RAISE
#define STOP          BW_MODE_STOP
#define CHANGE        (ANNOUNCE | EPOCH)

#define GO(from, event, guard, to, effects)                                                                  \
    {                                                                                                        \
        BW_MODE_##from, BW_MODE_##event, BW_MODE_##to, (effects) | GUARD_##guard << GUARD_SHIFT              \
    }
#define STAY(from, event, guard, effects) GO(from, event, guard, from, effects)
#define NO(from, event, guard, refusal)                                                                      \
    STAY(from, event, guard, BW_MODE_REFUSE | REFUSAL_##refusal << REFUSAL_SHIFT)

static const struct bw_machine_row rows[] = {
    STAY(E2EE, JOIN_CAPABLE, ALWAYS, ADMIT),
    GO(E2EE, JOIN_INCAPABLE, INCAPABLE_LABELLED, PARTIAL, CHANGE | ADMIT),
    NO(E2EE, JOIN_INCAPABLE, ALWAYS, PARTICIPANT),
    GO(E2EE, INVITE_CONNECTOR, ENDPOINTS, E2EE_CONNECTORS, CHANGE | ADMIT),
    NO(E2EE, INVITE_CONNECTOR, ALWAYS, CONNECTOR),
    STAY(E2EE, REMOVE_CONNECTOR, ALWAYS, 0),
    GO(E2EE, OBSERVE_PLAIN, LABELLED, PARTIAL, CHANGE),
    STAY(E2EE, OBSERVE_PLAIN, ALWAYS, EVICT),
    STAY(E2EE, OBSERVE_E2EE, ALWAYS, 0),
    STAY(E2EE, REQUEST_LOWER, LOWERABLE, ANNOUNCE | ASK),
    NO(E2EE, REQUEST_LOWER, ALWAYS, NOT_LOWERED),
    GO(E2EE, CONSENT, CONSENTED, HOP, CHANGE),
    STAY(E2EE, CONSENT, ALWAYS, 0),
    STAY(E2EE, REQUEST_RAISE, LOWERING, ANNOUNCE | CANCEL),
    STAY(E2EE, REQUEST_RAISE, ALWAYS, 0),
    GO(E2EE, POLICY_TIGHTENED, E2EE_FORBIDDEN, ENDED, ANNOUNCE | STOP),
    STAY(E2EE, POLICY_TIGHTENED, LOWERING, ANNOUNCE | CANCEL),
    STAY(E2EE, POLICY_TIGHTENED, ALWAYS, 0),
    STAY(E2EE, POLICY_LOOSENED, ALWAYS, 0),
    GO(E2EE, END, ALWAYS, ENDED, ANNOUNCE | STOP),

    STAY(E2EE_CONNECTORS, JOIN_CAPABLE, ALWAYS, ADMIT),
    GO(E2EE_CONNECTORS, JOIN_INCAPABLE, INCAPABLE_LABELLED, PARTIAL, CHANGE | ADMIT),
    NO(E2EE_CONNECTORS, JOIN_INCAPABLE, ALWAYS, PARTICIPANT),
    STAY(E2EE_CONNECTORS, INVITE_CONNECTOR, ENDPOINTS, ANNOUNCE | ADMIT),
    NO(E2EE_CONNECTORS, INVITE_CONNECTOR, ALWAYS, CONNECTOR),
    GO(E2EE_CONNECTORS, REMOVE_CONNECTOR, NO_CONNECTOR, E2EE, CHANGE),
    STAY(E2EE_CONNECTORS, REMOVE_CONNECTOR, ALWAYS, ANNOUNCE),
    GO(E2EE_CONNECTORS, OBSERVE_PLAIN, LABELLED, PARTIAL, CHANGE),
    STAY(E2EE_CONNECTORS, OBSERVE_PLAIN, ALWAYS, EVICT),
    STAY(E2EE_CONNECTORS, OBSERVE_E2EE, ALWAYS, 0),
    STAY(E2EE_CONNECTORS, REQUEST_LOWER, LOWERABLE, ANNOUNCE | ASK),
    NO(E2EE_CONNECTORS, REQUEST_LOWER, ALWAYS, NOT_LOWERED),
    GO(E2EE_CONNECTORS, CONSENT, CONSENTED, HOP, CHANGE),
    STAY(E2EE_CONNECTORS, CONSENT, ALWAYS, 0),
    STAY(E2EE_CONNECTORS, REQUEST_RAISE, ALWAYS, ANNOUNCE | NO_CONNECTORS | CANCEL),
    GO(E2EE_CONNECTORS, POLICY_TIGHTENED, E2EE_FORBIDDEN, ENDED, ANNOUNCE | STOP),
    STAY(E2EE_CONNECTORS, POLICY_TIGHTENED, CONNECTORS_TO_GO, ANNOUNCE | NO_CONNECTORS | CANCEL),
    STAY(E2EE_CONNECTORS, POLICY_TIGHTENED, LOWERING, ANNOUNCE | CANCEL),
    STAY(E2EE_CONNECTORS, POLICY_TIGHTENED, ALWAYS, 0),
    STAY(E2EE_CONNECTORS, POLICY_LOOSENED, ALWAYS, 0),
    GO(E2EE_CONNECTORS, END, ALWAYS, ENDED, ANNOUNCE | STOP),

    STAY(PARTIAL, JOIN_CAPABLE, ALWAYS, ADMIT),
    STAY(PARTIAL, JOIN_INCAPABLE, LABELLED, ANNOUNCE | ADMIT),
    NO(PARTIAL, JOIN_INCAPABLE, ALWAYS, PARTICIPANT),
    STAY(PARTIAL, INVITE_CONNECTOR, ENDPOINTS, ANNOUNCE | ADMIT),
    NO(PARTIAL, INVITE_CONNECTOR, ALWAYS, CONNECTOR),
    GO(PARTIAL, REMOVE_CONNECTOR, CONFIRMED, E2EE, CHANGE),
    GO(PARTIAL, REMOVE_CONNECTOR, CONFIRMED_WITH_CONNECTORS, E2EE_CONNECTORS, CHANGE),
    STAY(PARTIAL, REMOVE_CONNECTOR, ALWAYS, ANNOUNCE),
    STAY(PARTIAL, OBSERVE_PLAIN, LABELLED, ANNOUNCE),
    STAY(PARTIAL, OBSERVE_PLAIN, ALWAYS, EVICT),
    GO(PARTIAL, OBSERVE_E2EE, CONFIRMED, E2EE, CHANGE),
    GO(PARTIAL, OBSERVE_E2EE, CONFIRMED_WITH_CONNECTORS, E2EE_CONNECTORS, CHANGE),
    STAY(PARTIAL, OBSERVE_E2EE, ALWAYS, 0),
    STAY(PARTIAL, REQUEST_LOWER, LOWERABLE, ANNOUNCE | ASK),
    NO(PARTIAL, REQUEST_LOWER, ALWAYS, NOT_LOWERED),
    GO(PARTIAL, CONSENT, CONSENTED, HOP, CHANGE),
    STAY(PARTIAL, CONSENT, ALWAYS, 0),
    STAY(PARTIAL, REQUEST_RAISE, CONNECTORS, ANNOUNCE | NO_CONNECTORS | CANCEL),
    NO(PARTIAL, REQUEST_RAISE, PLAIN, PLAIN_PRESENT),
    STAY(PARTIAL, REQUEST_RAISE, LOWERING, ANNOUNCE | CANCEL),
    STAY(PARTIAL, REQUEST_RAISE, ALWAYS, 0),
    GO(PARTIAL, POLICY_TIGHTENED, E2EE_FORBIDDEN, ENDED, ANNOUNCE | STOP),
    STAY(PARTIAL, POLICY_TIGHTENED, PLAIN_AND_CONNECTORS_TO_GO,
         ANNOUNCE | EVICT_PLAIN | NO_CONNECTORS | CANCEL),
    STAY(PARTIAL, POLICY_TIGHTENED, PLAIN_TO_GO, ANNOUNCE | EVICT_PLAIN | CANCEL),
    STAY(PARTIAL, POLICY_TIGHTENED, CONNECTORS_TO_GO, ANNOUNCE | NO_CONNECTORS | CANCEL),
    STAY(PARTIAL, POLICY_TIGHTENED, LOWERING, ANNOUNCE | CANCEL),
    STAY(PARTIAL, POLICY_TIGHTENED, ALWAYS, 0),
    STAY(PARTIAL, POLICY_LOOSENED, ALWAYS, 0),
    GO(PARTIAL, END, ALWAYS, ENDED, ANNOUNCE | STOP),

    STAY(HOP, JOIN_CAPABLE, ALWAYS, ADMIT),
    NO(HOP, JOIN_INCAPABLE, REQUIRED, PARTICIPANT),
    NO(HOP, JOIN_INCAPABLE, RAISING, RAISE_UNDER_WAY),
    STAY(HOP, JOIN_INCAPABLE, ALWAYS, ADMIT),
    NO(HOP, INVITE_CONNECTOR, REQUIRED, CONNECTOR),
    NO(HOP, INVITE_CONNECTOR, RAISING, RAISE_AND_CONNECTOR),
    STAY(HOP, INVITE_CONNECTOR, ALWAYS, ADMIT),
    GO(HOP, REMOVE_CONNECTOR, RAISED, E2EE, CHANGE),
    STAY(HOP, REMOVE_CONNECTOR, ALWAYS, 0),
    STAY(HOP, OBSERVE_PLAIN, ALWAYS, 0),
    STAY(HOP, OBSERVE_E2EE, E2EE_FORBIDDEN, EVICT),
    GO(HOP, OBSERVE_E2EE, RAISED, E2EE, CHANGE),
    STAY(HOP, OBSERVE_E2EE, ALWAYS, 0),
    NO(HOP, REQUEST_LOWER, REQUIRED, NOT_LOWERED),
    STAY(HOP, REQUEST_LOWER, RAISING, ANNOUNCE | CANCEL),
    NO(HOP, REQUEST_LOWER, ALWAYS, LOWEST),
    STAY(HOP, CONSENT, ALWAYS, 0),
    NO(HOP, REQUEST_RAISE, E2EE_FORBIDDEN, NOT_RAISED),
    NO(HOP, REQUEST_RAISE, INCAPABLE, INCAPABLE_PRESENT),
    STAY(HOP, REQUEST_RAISE, CONNECTORS, ANNOUNCE | NO_CONNECTORS | RAISE),
    GO(HOP, REQUEST_RAISE, ALWAYS, E2EE, CHANGE),
    GO(HOP, POLICY_TIGHTENED, REQUIRED_AND_RAISABLE, E2EE, CHANGE),
    STAY(HOP, POLICY_TIGHTENED, REQUIRED, ANNOUNCE | EVICT_PLAIN | NO_CONNECTORS | RAISE),
    STAY(HOP, POLICY_TIGHTENED, E2EE_FORBIDDEN, CANCEL),
    STAY(HOP, POLICY_TIGHTENED, ALWAYS, 0),
    STAY(HOP, POLICY_LOOSENED, ALWAYS, 0),
    GO(HOP, END, ALWAYS, ENDED, ANNOUNCE | STOP),

    NO(ENDED, JOIN_CAPABLE, ALWAYS, ENDED),
    NO(ENDED, JOIN_INCAPABLE, ALWAYS, ENDED),
    NO(ENDED, INVITE_CONNECTOR, ALWAYS, ENDED),
    STAY(ENDED, REMOVE_CONNECTOR, ALWAYS, 0),
    STAY(ENDED, OBSERVE_PLAIN, ALWAYS, 0),
    STAY(ENDED, OBSERVE_E2EE, ALWAYS, 0),
    NO(ENDED, REQUEST_LOWER, ALWAYS, ENDED),
    NO(ENDED, CONSENT, ALWAYS, ENDED),
    NO(ENDED, REQUEST_RAISE, ALWAYS, ENDED),
    STAY(ENDED, POLICY_TIGHTENED, ALWAYS, 0),
    STAY(ENDED, POLICY_LOOSENED, ALWAYS, 0),
    STAY(ENDED, END, ALWAYS, 0),
};

static const char *const mode_names[BW_MODE_COUNT] = {
    [BW_MODE_NONE] = "none", [BW_MODE_E2EE] = "e2ee",       [BW_MODE_E2EE_CONNECTORS] = "e2ee+connectors",
    [BW_MODE_HOP] = "hop",   [BW_MODE_PARTIAL] = "partial", [BW_MODE_ENDED] = "ended",
};

static const char *const event_names[BW_MODE_EVENT_COUNT] = {
    [BW_MODE_JOIN_CAPABLE] = "join capable",         [BW_MODE_JOIN_INCAPABLE] = "join incapable",
    [BW_MODE_INVITE_CONNECTOR] = "invite connector", [BW_MODE_REMOVE_CONNECTOR] = "remove connector",
    [BW_MODE_OBSERVE_PLAIN] = "observe plain",       [BW_MODE_OBSERVE_E2EE] = "observe e2ee",
    [BW_MODE_REQUEST_LOWER] = "request lower",       [BW_MODE_CONSENT] = "consent",
    [BW_MODE_REQUEST_RAISE] = "request raise",       [BW_MODE_POLICY_TIGHTENED] = "policy tightened",
    [BW_MODE_POLICY_LOOSENED] = "policy loosened",   [BW_MODE_END] = "end",
};

const struct bw_machine bw_mode_machine = {
    .name = "mode of a meeting",
    .states = mode_names,
    .state_count = BW_MODE_COUNT,
    .events = event_names,
    .event_count = BW_MODE_EVENT_COUNT,
    .rows = rows,
    .row_count = BW_ARRAY_LEN(rows),
};

const char *bw_mode_name(enum bw_mode mode)
{
    return (unsigned)mode < BW_MODE_COUNT ? mode_names[mode] : mode_names[BW_MODE_NONE];
}

const char *bw_mode_event_name(enum bw_mode_event event)
{
    return (unsigned)event < BW_MODE_EVENT_COUNT ? event_names[event] : "none";
}

static enum guard guard_of(const struct bw_machine_row *row)
{
    return (enum guard)(row->effect >> GUARD_SHIFT & FIELD_MASK);
}

static enum refusal refusal_of(const struct bw_machine_row *row)
{
    return (enum refusal)(row->effect >> REFUSAL_SHIFT & FIELD_MASK);
}

uint32_t bw_mode_row_effects(const struct bw_machine_row *row)
{
    return (uint32_t)(row->effect & EFFECTS_MASK);
}

const char *bw_mode_row_guard(const struct bw_machine_row *row)
{
    return guard_words[guard_of(row)];
}

const char *bw_mode_row_refusal(const struct bw_machine_row *row)
{
    return refusals[refusal_of(row)].reason;
}

/* Where end-to-end encryption is required a mismatch is always refused, whatever else the policy says. */
static bool labels_mismatch(const struct bw_mode_policy *policy)
{
    return policy->may_hop && policy->mismatch == BW_MODE_MISMATCH_LABEL;
}

/* "Required never leaves e2ee" outranks connectorsAsEndpoints. */
static bool admits_connectors(const struct bw_mode_policy *policy)
{
    return policy->may_e2ee && policy->may_hop && policy->connectors_as_endpoints;
}

static bool may_be_lowered(const struct bw_mode_policy *policy)
{
    return policy->may_hop && policy->lowering_with_consent;
}

static bool holds(enum guard guard, enum bw_mode_pending pending, const struct bw_mode_input *input)
{
    const struct bw_mode_policy *policy = input->policy;
    const struct bw_mode_counts *counts = &input->counts;
    bool required = !policy->may_hop;
    bool raisable = policy->may_e2ee && counts->connectors == 0 && counts->incapable == 0;
    bool confirmed = counts->plain == 0 && counts->unobserved == 0;
    bool connectors_to_go = counts->connectors > 0 && !admits_connectors(policy);
    switch (guard) {
    case GUARD_ALWAYS:
        return true;
    case GUARD_E2EE_FORBIDDEN:
        return !policy->may_e2ee;
    case GUARD_REQUIRED:
        return required;
    case GUARD_REQUIRED_AND_RAISABLE:
        return required && raisable;
    case GUARD_ENDPOINTS:
        return admits_connectors(policy);
    case GUARD_CONNECTORS_TO_GO:
        return connectors_to_go;
    case GUARD_LABELLED:
        return labels_mismatch(policy);
    case GUARD_INCAPABLE_LABELLED:
        return labels_mismatch(policy) && !policy->prefers_e2ee;
    case GUARD_PLAIN_TO_GO:
        return !labels_mismatch(policy);
    case GUARD_PLAIN_AND_CONNECTORS_TO_GO:
        return !labels_mismatch(policy) && connectors_to_go;
    case GUARD_LOWERABLE:
        return may_be_lowered(policy);
    case GUARD_CONSENTED:
        return pending == BW_MODE_PENDING_LOWER && may_be_lowered(policy) && input->consents_missing == 0;
    case GUARD_LOWERING:
        return pending == BW_MODE_PENDING_LOWER;
    case GUARD_RAISING:
        return pending == BW_MODE_PENDING_RAISE;
    case GUARD_RAISED:
        return pending == BW_MODE_PENDING_RAISE && raisable;
    case GUARD_CONNECTORS:
        return counts->connectors > 0;
    case GUARD_NO_CONNECTOR:
        return counts->connectors == 0;
    case GUARD_INCAPABLE:
        return counts->incapable > 0;
    case GUARD_PLAIN:
        return counts->plain > 0;
    case GUARD_CONFIRMED:
        return confirmed && counts->connectors == 0;
    case GUARD_CONFIRMED_WITH_CONNECTORS:
        return confirmed && counts->connectors > 0;
    }
    return false;
}

static enum bw_mode_pending pending_after(const struct bw_mode_state *state, uint32_t effects,
                                          bool mode_changes)
{
    if (mode_changes || (effects & (BW_MODE_CANCEL | BW_MODE_STOP)))
        return BW_MODE_PENDING_NONE;
    if (effects & BW_MODE_ASK_CONSENT)
        return BW_MODE_PENDING_LOWER;
    if (effects & BW_MODE_BEGIN_RAISE)
        return BW_MODE_PENDING_RAISE;
    return state->pending;
}

enum bw_code bw_mode_step_in(const struct bw_machine *machine, const struct bw_mode_state *state,
                             enum bw_mode_event event, const struct bw_mode_input *input,
                             struct bw_mode_step *step, struct bw_error *err)
{
    const struct bw_machine_row *end = machine->rows + machine->row_count;
    const struct bw_machine_row *row = bw_machine_find(machine, (int)state->mode, (int)event);
    while (row != NULL && row < end &&
           !(row->state == (int)state->mode && row->event == (int)event &&
             holds(guard_of(row), state->pending, input)))
        row++;
    if (row == NULL || row == end)
        return bw_fail(err, BW_INTERNAL, NULL, "no rule for \"%s\" in mode %s", bw_mode_event_name(event),
                       bw_mode_name(state->mode));
    uint32_t effects = bw_mode_row_effects(row);
    if (effects & BW_MODE_REFUSE)
        return bw_fail(err, BW_FAILED_PRECONDITION, refusals[refusal_of(row)].reason, "%s",
                       refusals[refusal_of(row)].words);
    enum bw_mode next = (enum bw_mode)row->next;
    step->state.mode = next;
    step->state.epoch = state->epoch + ((effects & BW_MODE_NEW_EPOCH) != 0);
    step->state.pending = pending_after(state, effects, next != state->mode);
    step->effects = effects;
    return BW_OK;
}

enum bw_code bw_mode_step(const struct bw_mode_state *state, enum bw_mode_event event,
                          const struct bw_mode_input *input, struct bw_mode_step *step, struct bw_error *err)
{
    return bw_mode_step_in(&bw_mode_machine, state, event, input, step, err);
}

enum bw_code bw_mode_create(const struct bw_mode_policy *policy, enum bw_mode_choice choice,
                            bool needs_connector, struct bw_mode_state *state, struct bw_error *err)
{
    static const char reason[] = "MODE_NOT_ALLOWED";
    BW_CHECK(policy->may_e2ee || policy->may_hop);
    if (choice == BW_MODE_CHOICE_E2EE && !policy->may_e2ee)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, reason,
            "the policy forbids end-to-end encryption; create the meeting in mode hop, or e2ee.mode "
            "would have to be required, preferred or optional");
    if (choice == BW_MODE_CHOICE_HOP && !policy->may_hop)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, reason,
            "the policy requires end-to-end encryption; create the meeting in mode e2ee, or e2ee.mode "
            "would have to be preferred, optional or forbidden");
    bool e2ee = policy->may_e2ee && (!policy->may_hop || policy->prefers_e2ee);
    if (choice != BW_MODE_CHOICE_NONE)
        e2ee = choice == BW_MODE_CHOICE_E2EE;
    if (e2ee && needs_connector && !admits_connectors(policy)) {
        if (!policy->may_hop || choice == BW_MODE_CHOICE_E2EE)
            return bw_fail(
                err, BW_FAILED_PRECONDITION, reason,
                "the policy makes a connector take part (such as a recorder), and a connector makes "
                "end-to-end encryption unavailable; %s",
                policy->may_hop ? "create the meeting in mode hop"
                                : "the policy contradicts itself: drop one of the two");
        e2ee = false; /* a preference yields to what the policy requires */
    }
    state->mode = BW_MODE_HOP;
    if (e2ee)
        state->mode = needs_connector ? BW_MODE_E2EE_CONNECTORS : BW_MODE_E2EE;
    state->epoch = 1;
    state->pending = BW_MODE_PENDING_NONE;
    return BW_OK;
}

enum bw_code bw_mode_leave(const struct bw_mode_state *state, bool connector,
                           const struct bw_mode_input *input, struct bw_mode_step *step, struct bw_error *err)
{
    struct bw_mode_step first = {.effects = 0}, second = {.effects = 0};
    enum bw_mode_event event = connector ? BW_MODE_REMOVE_CONNECTOR : BW_MODE_OBSERVE_E2EE;
    enum bw_code code = bw_mode_step(state, event, input, &first, err);
    if (code != BW_OK)
        return code;
    if (first.state.pending == BW_MODE_PENDING_LOWER) {
        code = bw_mode_step(&first.state, BW_MODE_CONSENT, input, &second, err);
        if (code != BW_OK)
            return code;
        first.state = second.state;
        first.effects |= second.effects;
    }
    *step = first;
    return BW_OK;
}

int bw_mode_strength(enum bw_mode mode)
{
    switch (mode) {
    case BW_MODE_E2EE:
        return 3;
    case BW_MODE_E2EE_CONNECTORS:
        return 2;
    case BW_MODE_PARTIAL:
        return 1;
    case BW_MODE_HOP:
    case BW_MODE_ENDED:
    case BW_MODE_NONE:
    case BW_MODE_COUNT:
        break;
    }
    return 0;
}
