#include "api/watch_events.h"

#include "api/meeting_copy.h"

struct teller {
    struct bw_api_watcher *watcher;
    const struct bw_change *change;
    const struct bw_fleet_view *view;
    struct bw_arena *arena;
    bw_api_tell *tell;
    void *context;
};

static Bailiwick__V1__WatchMeetingResponse event_of(const struct teller *teller,
                                                    Bailiwick__V1__WatchMeetingResponse__EventCase which)
{
    Bailiwick__V1__WatchMeetingResponse event = BAILIWICK__V1__WATCH_MEETING_RESPONSE__INIT;
    event.decision_seq = teller->change->decision.seq;
    event.at_unix_ms = (int64_t)teller->change->decision.at_ms;
    event.event_case = which;
    return event;
}

static bool say(const struct teller *teller, const Bailiwick__V1__WatchMeetingResponse *event)
{
    return teller->tell(teller->context, event);
}

static struct bw_flags flags_of(const struct bw_decision_flags *from, bool connector)
{
    return (struct bw_flags){
        .connector = connector,
        .capable = from->capable,
        .allocated = {(enum bw_scheme)from->scheme, (enum bw_suite)from->suite, from->epoch},
        .observed = {(enum bw_observed)from->observed, (enum bw_scheme)from->observed_scheme, from->epoch,
                     from->confirmed},
    };
}

/* From the decision, not the roster: later rows of the batch may have changed that already. */
static bool say_joined(const struct teller *teller)
{
    const struct bw_decision *decision = &teller->change->decision;
    struct bw_api_member member = {
        .entry = decision->entry,
        .slot = decision->slot,
        .relay = decision->relay,
        .kind = decision->participant_kind,
        .role = decision->role,
        .joined_ms = decision->at_ms,
        .country = decision->country != NULL ? decision->country : "",
        .region = decision->region != NULL ? decision->region : "",
        .home_tenant = decision->home_tenant != NULL ? decision->home_tenant : "",
    };
    if (decision->flag_count > 0)
        member.flags = flags_of(&decision->flags[0], decision->kind == BW_DECISION_CONNECTOR_INVITED);
    Bailiwick__V1__WatchMeetingResponse__Joined joined = BAILIWICK__V1__WATCH_MEETING_RESPONSE__JOINED__INIT;
    joined.entry = bw_api_roster_entry(&member, teller->view, teller->arena);
    if (joined.entry == NULL)
        return false;
    Bailiwick__V1__WatchMeetingResponse event =
        event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_JOINED);
    event.joined = &joined;
    return say(teller, &event);
}

static bool say_left(const struct teller *teller)
{
    const struct bw_decision *decision = &teller->change->decision;
    Bailiwick__V1__WatchMeetingResponse__Left left = BAILIWICK__V1__WATCH_MEETING_RESPONSE__LEFT__INIT;
    left.roster_entry = bw_api_id_text(&decision->entry, teller->arena);
    left.slot = decision->slot;
    left.reason = (Bailiwick__V1__LeaveReason)decision->leave_reason;
    if (left.roster_entry == NULL)
        return false;
    Bailiwick__V1__WatchMeetingResponse event =
        event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_LEFT);
    event.left = &left;
    return say(teller, &event);
}

static bool say_flags(const struct teller *teller)
{
    const struct bw_decision *decision = &teller->change->decision;
    for (size_t i = 0; i < decision->flag_count; i++) {
        const struct bw_member *member = bw_meeting_slot(teller->change->meeting, decision->flags[i].slot);
        if (member == NULL)
            continue; /* has left in the same batch, which is told too */
        const struct bw_flags now = flags_of(&decision->flags[i], member->flags.connector);
        Bailiwick__V1__WatchMeetingResponse__Flags flags = BAILIWICK__V1__WATCH_MEETING_RESPONSE__FLAGS__INIT;
        flags.roster_entry = bw_api_id_text(&member->entry, teller->arena);
        flags.flags = bw_api_flags(&now, teller->arena);
        if (flags.roster_entry == NULL || flags.flags == NULL)
            return false;
        Bailiwick__V1__WatchMeetingResponse event =
            event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_FLAGS);
        event.flags = &flags;
        if (!say(teller, &event))
            return false;
    }
    return true;
}

static bool say_moves(const struct teller *teller)
{
    const struct bw_decision *decision = &teller->change->decision;
    for (size_t i = 0; i < decision->move_count; i++) {
        const struct bw_decision_move *from = &decision->moves[i];
        const struct bw_member *member = bw_meeting_slot(teller->change->meeting, from->slot);
        if (member == NULL)
            continue;
        Bailiwick__V1__WatchMeetingResponse__Moved moved = BAILIWICK__V1__WATCH_MEETING_RESPONSE__MOVED__INIT;
        moved.roster_entry = bw_api_id_text(&member->entry, teller->arena);
        moved.slot = from->slot;
        moved.relay = bw_api_relay_name(teller->view, from->to);
        moved.meeting_epoch = teller->change->meeting_epoch;
        size_t index =
            teller->view != NULL ? bw_facts_find_number(teller->view->snapshot->facts, from->to) : SIZE_MAX;
        if (index != SIZE_MAX && teller->view->reach[index].connected)
            moved.media_address = teller->view->reach[index].media_address;
        if (moved.roster_entry == NULL)
            return false;
        Bailiwick__V1__WatchMeetingResponse event =
            event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_MOVED);
        event.moved = &moved;
        if (!say(teller, &event))
            return false;
    }
    return true;
}

static bool say_mode(const struct teller *teller, enum bw_mode label, uint32_t epoch, const char *cause)
{
    Bailiwick__V1__WatchMeetingResponse__Mode mode = BAILIWICK__V1__WATCH_MEETING_RESPONSE__MODE__INIT;
    mode.mode = (Bailiwick__V1__E2eeMode)label;
    mode.mode_epoch = epoch;
    mode.cause = cause;
    Bailiwick__V1__WatchMeetingResponse event =
        event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_MODE);
    event.mode = &mode;
    teller->watcher->label = label;
    teller->watcher->epoch = epoch;
    return say(teller, &event);
}

static bool say_announcement(const struct teller *teller)
{
    const struct bw_change *change = teller->change;
    Bailiwick__V1__WatchMeetingResponse__Announcement announcement =
        BAILIWICK__V1__WATCH_MEETING_RESPONSE__ANNOUNCEMENT__INIT;
    switch (change->mode.pending) {
    case BW_MODE_PENDING_LOWER:
        announcement.mode = BAILIWICK__V1__E2EE_MODE__E2EE_MODE_HOP;
        announcement.cause = change->decision.kind == BW_DECISION_CONSENTED
                                 ? "a participant consents to the announced lowering"
                                 : "a lowering was asked for; it takes effect when everyone present consents";
        break;
    case BW_MODE_PENDING_RAISE:
        announcement.mode = BAILIWICK__V1__E2EE_MODE__E2EE_MODE_E2EE;
        announcement.cause = "a raise was asked for; it takes effect when the connectors are gone";
        break;
    case BW_MODE_PENDING_NONE:
        announcement.mode = (Bailiwick__V1__E2eeMode)bw_meeting_label(change->meeting);
        announcement.cause = "what was announced is off";
        break;
    }
    if (change->mode.pending != BW_MODE_PENDING_NONE)
        announcement.pending_mode_epoch = change->mode.epoch + 1;
    if (change->mode.pending == BW_MODE_PENDING_LOWER &&
        change->meeting->mode.pending == BW_MODE_PENDING_LOWER)
        announcement.consents_missing = bw_meeting_consents_missing(change->meeting);
    Bailiwick__V1__WatchMeetingResponse event =
        event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_ANNOUNCEMENT);
    event.announcement = &announcement;
    return say(teller, &event);
}

static bool say_ended(const struct teller *teller)
{
    Bailiwick__V1__WatchMeetingResponse__Ended ended = BAILIWICK__V1__WATCH_MEETING_RESPONSE__ENDED__INIT;
    ended.reason = (Bailiwick__V1__EndReason)teller->change->decision.end_reason;
    Bailiwick__V1__WatchMeetingResponse event =
        event_of(teller, BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_ENDED);
    event.ended = &ended;
    return say(teller, &event);
}

static bool say_decision(const struct teller *teller)
{
    switch (teller->change->decision.kind) {
    case BW_DECISION_JOINED:
    case BW_DECISION_CONNECTOR_INVITED:
        return say_joined(teller);
    case BW_DECISION_LEFT:
    case BW_DECISION_CONNECTOR_REMOVED:
        return say_left(teller);
    case BW_DECISION_FLAGS_CHANGED:
    case BW_DECISION_MODE_CHANGED:
        return say_flags(teller);
    case BW_DECISION_MODE_ANNOUNCED:
    case BW_DECISION_CONSENTED:
        return say_announcement(teller);
    case BW_DECISION_MOVED:
        return say_moves(teller);
    case BW_DECISION_ENDED:
        return say_ended(teller);
    case BW_DECISION_CREATED:
    case BW_DECISION_REFUSED:
    case BW_DECISION_REBOUND:
        return true;
    }
    return true;
}

static const char *cause_of(const struct teller *teller, enum bw_mode label)
{
    bool better = bw_mode_strength(label) > bw_mode_strength(teller->watcher->label);
    switch (teller->change->decision.kind) {
    case BW_DECISION_JOINED:
        return "a participant came who is not confirmed to use end-to-end encryption yet";
    case BW_DECISION_CONNECTOR_INVITED:
        return "a connector came";
    case BW_DECISION_LEFT:
        return "a participant left";
    case BW_DECISION_CONNECTOR_REMOVED:
        return "a connector left";
    case BW_DECISION_FLAGS_CHANGED:
        return better ? "everyone is confirmed to use the end-to-end encryption allocated"
                      : "a participant is observed without the end-to-end encryption allocated";
    default:
        return better ? "the mode was raised" : "the mode was changed";
    }
}

/* The label, which never claims more than is true. In the middle of a batch the roster of that moment is not
 * there any more, so a mode that does not last is not claimed as end-to-end encryption. */
static bool say_mode_if_changed(const struct teller *teller)
{
    const struct bw_change *change = teller->change;
    const struct bw_meeting *meeting = change->meeting;
    if (meeting->ended)
        return true; /* said as the end */
    bool last = change->decision.seq == meeting->seq;
    if (!last && change->decision.kind != BW_DECISION_MODE_CHANGED)
        return true;
    enum bw_mode label = bw_meeting_label(meeting);
    if (change->mode.epoch != meeting->mode.epoch)
        label = change->mode.mode == BW_MODE_HOP ? BW_MODE_HOP : BW_MODE_PARTIAL;
    if (label == teller->watcher->label && change->mode.epoch == teller->watcher->epoch)
        return true;
    return say_mode(teller, label, change->mode.epoch, cause_of(teller, label));
}

bool bw_api_watch_events(struct bw_api_watcher *watcher, const struct bw_change *change,
                         const struct bw_fleet_view *view, struct bw_arena *arena, bw_api_tell *tell,
                         void *context)
{
    const struct teller teller = {watcher, change, view, arena, tell, context};
    /* Everyone hears of a mode before what it means for each. */
    if (change->decision.kind == BW_DECISION_MODE_CHANGED)
        return say_mode_if_changed(&teller) && say_decision(&teller);
    return say_decision(&teller) && say_mode_if_changed(&teller);
}
