#include "control/meeting.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

static void member_destroy(struct bw_member *member)
{
    if (member == NULL)
        return;
    for (size_t i = 0; i < member->level_count; i++)
        bw_free(member->levels[i]);
    bw_free(member->levels);
    bw_free(member->region);
    bw_free(member->home_tenant);
    bw_free(member);
}

void bw_meeting_destroy(struct bw_meeting *meeting)
{
    if (meeting == NULL)
        return;
    struct bw_member *member, *next_member;
    HASH_ITER(hh, meeting->members, member, next_member)
    {
        HASH_DEL(meeting->members, member);
        member_destroy(member);
    }
    struct bw_meeting_request *request, *next_request;
    HASH_ITER(hh, meeting->requests, request, next_request)
    {
        HASH_DEL(meeting->requests, request);
        bw_free(request);
    }
    for (size_t i = 0; meeting->levels != NULL && i < meeting->level_count; i++)
        bw_free(meeting->levels[i]);
    bw_free(meeting->levels);
    bw_free(meeting->override_yaml);
    bw_free(meeting->slots);
    bw_free(meeting->relays);
    bw_free(meeting);
}

/* Room for `more` elements; the array is untouched on failure. */
static bool reserve(void **array, size_t *cap, size_t count, size_t more, size_t element)
{
    if (count + more <= *cap)
        return true;
    size_t grown = *cap ? *cap * 2 : 4;
    while (grown < count + more)
        grown *= 2;
    void *fresh = bw_realloc(*array, grown * element);
    if (fresh == NULL)
        return false;
    *array = fresh;
    *cap = grown;
    return true;
}

static bool remember_request(struct bw_meeting *meeting, const struct bw_decision *decision)
{
    if (bw_id_is_zero(&decision->request) || bw_meeting_find_request(meeting, &decision->request) != NULL)
        return true; /* made by the system, or a retry that was decided again */
    struct bw_meeting_request *request = bw_calloc(1, sizeof *request);
    if (request == NULL)
        return false;
    request->id = decision->request;
    request->kind = decision->kind;
    request->seq = decision->seq;
    memcpy(request->fingerprint, decision->fingerprint, sizeof request->fingerprint);
    struct bw_meeting_request *added = request;
    HASH_ADD(hh, meeting->requests, id, sizeof request->id, added);
    if (request->hh.tbl == NULL) {
        bw_free(request);
        return false;
    }
    return true;
}

static void recount(struct bw_meeting *meeting)
{
    meeting->counts = (struct bw_mode_counts){0};
    for (size_t i = 0; i < meeting->slot_count; i++)
        bw_flags_count_in(&meeting->mode, &meeting->slots[i]->flags, &meeting->counts);
}

static void follow(struct bw_meeting *meeting, const struct bw_decision *decision)
{
    meeting->seq = decision->seq;
    meeting->policy_revision = decision->policy_revision;
    memcpy(meeting->policy_hash, decision->policy_hash, sizeof meeting->policy_hash);
    meeting->meeting_epoch = decision->meeting_epoch;
    meeting->mode.mode = (enum bw_mode)decision->mode;
    /* Observations of an older mode epoch confirm nothing any more. */
    if (meeting->mode.epoch != decision->mode_epoch) {
        meeting->mode.epoch = decision->mode_epoch;
        meeting->mode.pending = BW_MODE_PENDING_NONE;
        for (size_t i = 0; i < meeting->slot_count; i++)
            meeting->slots[i]->consented = false;
        recount(meeting);
    }
}

struct bw_meeting *bw_meeting_create(const struct bw_decision *create)
{
    struct bw_meeting *meeting = bw_calloc(1, sizeof *meeting);
    if (meeting == NULL)
        return NULL;
    meeting->id = create->meeting;
    meeting->tenant = create->tenant;
    meeting->created_ms = create->at_ms;
    meeting->choice = create->choice;
    meeting->cap_per_relay = create->cap_per_relay;
    meeting->levels = bw_calloc(create->level_count, sizeof *meeting->levels);
    bool ok = meeting->levels != NULL;
    for (size_t i = 0; ok && i < create->level_count; i++) {
        meeting->levels[i] = bw_strdup(create->levels[i]);
        ok = meeting->levels[i] != NULL;
        meeting->level_count += ok;
    }
    if (ok && create->override_yaml != NULL) {
        meeting->override_yaml = bw_strdup(create->override_yaml);
        ok = meeting->override_yaml != NULL;
    }
    if (!ok || !remember_request(meeting, create)) {
        bw_meeting_destroy(meeting);
        return NULL;
    }
    follow(meeting, create);
    return meeting;
}

struct bw_member *bw_meeting_member(const struct bw_meeting *meeting, const struct bw_id *entry)
{
    struct bw_member *member;
    HASH_FIND(hh, meeting->members, entry, sizeof *entry, member);
    return member;
}

static size_t slot_position(const struct bw_meeting *meeting, uint32_t slot)
{
    size_t low = 0, high = meeting->slot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (meeting->slots[middle]->slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct bw_member *bw_meeting_slot(const struct bw_meeting *meeting, uint32_t slot)
{
    /* Mostly it is who came last. */
    if (meeting->slot_count > 0 && meeting->slots[meeting->slot_count - 1]->slot == slot)
        return meeting->slots[meeting->slot_count - 1];
    size_t at = slot_position(meeting, slot);
    if (at == meeting->slot_count || meeting->slots[at]->slot != slot)
        return NULL;
    return meeting->slots[at];
}

const struct bw_meeting_request *bw_meeting_find_request(const struct bw_meeting *meeting,
                                                         const struct bw_id *id)
{
    struct bw_meeting_request *request;
    HASH_FIND(hh, meeting->requests, id, sizeof *id, request);
    return request;
}

static struct bw_meeting_relay *find_relay(const struct bw_meeting *meeting, uint32_t number)
{
    for (size_t i = 0; i < meeting->relay_count; i++) {
        if (meeting->relays[i].number == number)
            return &meeting->relays[i];
    }
    return NULL;
}

const struct bw_meeting_relay *bw_meeting_find_relay(const struct bw_meeting *meeting, uint32_t number)
{
    return find_relay(meeting, number);
}

/* Room was reserved before. */
static void relay_enter(struct bw_meeting *meeting, uint32_t number)
{
    struct bw_meeting_relay *relay = find_relay(meeting, number);
    if (relay != NULL) {
        relay->members++;
        return;
    }
    size_t at = meeting->relay_count++;
    while (at > 0 && meeting->relays[at - 1].number > number) {
        meeting->relays[at] = meeting->relays[at - 1];
        at--;
    }
    meeting->relays[at] = (struct bw_meeting_relay){.number = number, .members = 1};
}

static void relay_exit(struct bw_meeting *meeting, uint32_t number)
{
    struct bw_meeting_relay *relay = find_relay(meeting, number);
    if (--relay->members > 0)
        return;
    size_t at = (size_t)(relay - meeting->relays);
    memmove(relay, relay + 1, (--meeting->relay_count - at) * sizeof *relay);
}

static enum bw_code unfit(const struct bw_decision *decision, const char *why, struct bw_error *err)
{
    bw_fail(err, BW_DATA_LOSS, "DECISION_LOG", "the decision log does not fit this meeting's state");
    char id[BW_ID_TEXT_SIZE];
    bw_id_format(&decision->meeting, id);
    bw_error_log(err, "meeting=%s seq=%u kind=%s: %s", id, decision->seq,
                 bw_decision_kind_name(decision->kind), why);
    return BW_DATA_LOSS;
}

static void flags_from_decision(const struct bw_decision_flags *from, bool connector, struct bw_flags *flags)
{
    flags->connector = connector;
    flags->capable = from->capable;
    flags->allocated.scheme = (enum bw_scheme)from->scheme;
    flags->allocated.suite = (enum bw_suite)from->suite;
    flags->allocated.epoch = from->epoch;
    flags->observed.state = (enum bw_observed)from->observed;
    flags->observed.scheme = (enum bw_scheme)from->observed_scheme;
    flags->observed.epoch = from->observed ? from->epoch : 0;
    flags->observed.confirmed = from->confirmed;
}

void bw_flags_to_decision(const struct bw_flags *flags, uint32_t slot, struct bw_decision_flags *out)
{
    *out = (struct bw_decision_flags){
        .slot = slot,
        .scheme = (uint8_t)flags->allocated.scheme,
        .suite = (uint8_t)flags->allocated.suite,
        .epoch = flags->allocated.epoch,
        .capable = flags->capable,
        .observed = (uint8_t)flags->observed.state,
        .observed_scheme = (uint8_t)flags->observed.scheme,
        .confirmed = flags->observed.confirmed,
    };
}

static void settle_scheme(struct bw_meeting *meeting, const struct bw_flags *flags)
{
    if (meeting->e2ee.scheme == BW_SCHEME_NONE && flags->allocated.scheme != BW_SCHEME_NONE) {
        meeting->e2ee.scheme = flags->allocated.scheme;
        meeting->e2ee.suite = flags->allocated.suite;
    }
}

static struct bw_member *member_create(const struct bw_decision *join)
{
    struct bw_member *member = bw_calloc(1, sizeof *member);
    if (member == NULL)
        return NULL;
    bool ok = true;
    if (join->region != NULL)
        ok = (member->region = bw_strdup(join->region)) != NULL;
    if (ok && join->home_tenant != NULL)
        ok = (member->home_tenant = bw_strdup(join->home_tenant)) != NULL;
    if (ok && join->level_count > 0)
        ok = (member->levels = bw_calloc(join->level_count, sizeof *member->levels)) != NULL;
    for (size_t i = 0; ok && i < join->level_count; i++) {
        ok = (member->levels[i] = bw_strdup(join->levels[i])) != NULL;
        member->level_count += ok;
    }
    if (!ok) {
        member_destroy(member);
        return NULL;
    }
    member->entry = join->entry;
    member->slot = join->slot;
    member->relay = join->relay;
    member->placed_seq = join->seq;
    member->kind = (enum bw_endpoint)join->participant_kind;
    member->role = join->role;
    member->joined_ms = join->at_ms;
    if (join->country != NULL)
        strncpy(member->country, join->country, sizeof member->country - 1);
    return member;
}

static enum bw_code apply_join(struct bw_meeting *meeting, const struct bw_decision *join,
                               struct bw_error *err)
{
    if (bw_meeting_member(meeting, &join->entry) != NULL)
        return unfit(join, "the roster entry is there already", err);
    if (join->slot != join->seq || join->flag_count != 1)
        return unfit(join, "a joiner's slot is its seq, and it has flags", err);
    struct bw_member *member = member_create(join);
    if (member == NULL)
        return bw_fail_memory(err);
    bool connector = join->kind == BW_DECISION_CONNECTOR_INVITED;
    flags_from_decision(&join->flags[0], connector, &member->flags);
    struct bw_member *added = member;
    HASH_ADD(hh, meeting->members, entry, sizeof member->entry, added);
    if (member->hh.tbl == NULL) {
        member_destroy(member);
        return bw_fail_memory(err);
    }
    /* A join's slot is its seq, so it is always the largest. */
    meeting->slots[meeting->slot_count++] = member;
    meeting->connector_count += connector;
    relay_enter(meeting, join->relay);
    settle_scheme(meeting, &member->flags);
    meeting->mode.mode = (enum bw_mode)join->mode;
    bw_flags_count_in(&meeting->mode, &member->flags, &meeting->counts);
    return BW_OK;
}

static void remove_slot(struct bw_meeting *meeting, uint32_t slot)
{
    size_t at = slot_position(meeting, slot);
    BW_CHECK(meeting->slots != NULL && at < meeting->slot_count);
    struct bw_member *member = meeting->slots[at];
    memmove(&meeting->slots[at], &meeting->slots[at + 1],
            (--meeting->slot_count - at) * sizeof meeting->slots[0]);
    bw_flags_count_out(&meeting->mode, &member->flags, &meeting->counts);
    meeting->connector_count -= member->flags.connector;
    relay_exit(meeting, member->relay);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): inside uthash */
    HASH_DEL(meeting->members, member);
    member_destroy(member);
    /* With nobody left the next to come settles the scheme anew. */
    if (meeting->slot_count == 0)
        meeting->e2ee = (struct bw_flags_meeting){0};
}

static enum bw_code apply_leave(struct bw_meeting *meeting, const struct bw_decision *leave,
                                struct bw_error *err)
{
    if (bw_meeting_slot(meeting, leave->slot) == NULL)
        return unfit(leave, "an unknown slot leaves", err);
    remove_slot(meeting, leave->slot);
    return BW_OK;
}

static enum bw_code apply_move(struct bw_meeting *meeting, const struct bw_decision *move,
                               struct bw_error *err)
{
    for (size_t i = 0; i < move->move_count; i++) {
        struct bw_member *member = bw_meeting_slot(meeting, move->moves[i].slot);
        if (member == NULL || member->relay != move->moves[i].from)
            return unfit(move, "a slot moves that is not where it is said to be", err);
        relay_enter(meeting, move->moves[i].to);
        relay_exit(meeting, move->moves[i].from);
        member->relay = move->moves[i].to;
        member->placed_seq = move->seq;
    }
    return BW_OK;
}

static enum bw_code apply_flags(struct bw_meeting *meeting, const struct bw_decision *decision,
                                struct bw_error *err)
{
    if (meeting->mode.epoch != decision->mode_epoch)
        meeting->e2ee = (struct bw_flags_meeting){0};
    for (size_t i = 0; i < decision->flag_count; i++) {
        struct bw_member *member = bw_meeting_slot(meeting, decision->flags[i].slot);
        if (member == NULL)
            return unfit(decision, "flags of an unknown slot", err);
        flags_from_decision(&decision->flags[i], member->flags.connector, &member->flags);
        settle_scheme(meeting, &member->flags);
    }
    meeting->mode.mode = (enum bw_mode)decision->mode;
    recount(meeting);
    return BW_OK;
}

static enum bw_code apply_pending(struct bw_meeting *meeting, const struct bw_decision *decision,
                                  struct bw_error *err)
{
    if (decision->kind == BW_DECISION_MODE_ANNOUNCED) {
        for (size_t i = 0; i < meeting->slot_count; i++)
            meeting->slots[i]->consented = false;
    }
    meeting->mode.pending = (enum bw_mode_pending)decision->pending;
    if (decision->slot == 0)
        return BW_OK;
    struct bw_member *who = bw_meeting_slot(meeting, decision->slot);
    if (who == NULL)
        return unfit(decision, "an unknown slot speaks of the mode", err);
    who->consented = true;
    return BW_OK;
}

static void apply_end(struct bw_meeting *meeting, const struct bw_decision *end)
{
    while (meeting->slot_count > 0)
        remove_slot(meeting, meeting->slots[meeting->slot_count - 1]->slot);
    meeting->ended = true;
    meeting->ended_ms = end->at_ms;
    meeting->end_reason = end->end_reason;
}

enum bw_code bw_meeting_apply(struct bw_meeting *meeting, const struct bw_decision *decision,
                              struct bw_error *err)
{
    if (decision->seq != meeting->seq + 1)
        return unfit(decision, "not the next seq", err);
    if (meeting->ended)
        return unfit(decision, "the meeting has ended", err);
    if (!reserve((void **)&meeting->slots, &meeting->slot_cap, meeting->slot_count, 1,
                 sizeof *meeting->slots) ||
        !reserve((void **)&meeting->relays, &meeting->relay_cap, meeting->relay_count, 2,
                 sizeof *meeting->relays) ||
        !remember_request(meeting, decision))
        return bw_fail_memory(err);

    enum bw_code code = BW_OK;
    switch (decision->kind) {
    case BW_DECISION_JOINED:
    case BW_DECISION_CONNECTOR_INVITED:
        code = apply_join(meeting, decision, err);
        break;
    case BW_DECISION_LEFT:
    case BW_DECISION_CONNECTOR_REMOVED:
        code = apply_leave(meeting, decision, err);
        break;
    case BW_DECISION_MOVED:
        code = reserve((void **)&meeting->relays, &meeting->relay_cap, meeting->relay_count,
                       decision->move_count + 1, sizeof *meeting->relays)
                   ? apply_move(meeting, decision, err)
                   : bw_fail_memory(err);
        break;
    case BW_DECISION_MODE_CHANGED:
    case BW_DECISION_FLAGS_CHANGED:
        code = apply_flags(meeting, decision, err);
        break;
    case BW_DECISION_MODE_ANNOUNCED:
    case BW_DECISION_CONSENTED:
        code = apply_pending(meeting, decision, err);
        break;
    case BW_DECISION_ENDED:
        apply_end(meeting, decision);
        break;
    case BW_DECISION_REFUSED:
    case BW_DECISION_REBOUND:
        break;
    case BW_DECISION_CREATED:
        code = unfit(decision, "a second creation", err);
        break;
    }
    if (code != BW_OK)
        return code;
    follow(meeting, decision);
    return BW_OK;
}

uint32_t bw_meeting_consents_missing(const struct bw_meeting *meeting)
{
    uint32_t missing = 0;
    for (size_t i = 0; i < meeting->slot_count; i++)
        missing += !meeting->slots[i]->consented && !meeting->slots[i]->flags.connector;
    return missing;
}

enum bw_mode bw_meeting_label(const struct bw_meeting *meeting)
{
    return bw_flags_label(&meeting->mode, &meeting->counts);
}

struct bw_meeting_head bw_meeting_head_of(const struct bw_meeting *meeting)
{
    struct bw_meeting_head head = {
        .id = meeting->id,
        .tenant = meeting->tenant,
        .ended = meeting->ended,
        .end_reason = meeting->end_reason,
        .created_ms = meeting->created_ms,
        .ended_ms = meeting->ended_ms,
        .label = bw_meeting_label(meeting),
        .mode_epoch = meeting->mode.epoch,
        .meeting_epoch = meeting->meeting_epoch,
        .participants = (uint32_t)meeting->slot_count,
        .policy_revision = meeting->policy_revision,
        .cap_per_relay = meeting->cap_per_relay,
        .seq = meeting->seq,
        .relays = meeting->relays,
        .relay_count = meeting->relay_count,
    };
    memcpy(head.policy_hash, meeting->policy_hash, sizeof head.policy_hash);
    return head;
}
