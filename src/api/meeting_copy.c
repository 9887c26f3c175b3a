#include "api/meeting_copy.h"

#include <string.h>

void bw_api_copy_head(const struct bw_meeting_head *head, struct bw_api_meeting_copy *out)
{
    *out = (struct bw_api_meeting_copy){
        .id = head->id,
        .ended = head->ended,
        .end_reason = head->end_reason,
        .created_ms = head->created_ms,
        .ended_ms = head->ended_ms,
        .label = head->label,
        .mode_epoch = head->mode_epoch,
        .meeting_epoch = head->meeting_epoch,
        .participants = head->participants,
        .policy_revision = head->policy_revision,
        .cap_per_relay = head->cap_per_relay,
        .seq = head->seq,
    };
    memcpy(out->policy_hash, head->policy_hash, sizeof out->policy_hash);
}

static const char *copied(const char *text, struct bw_arena *arena)
{
    return text == NULL || text[0] == '\0' ? "" : bw_arena_strdup(arena, text);
}

bool bw_api_copy_member(const struct bw_member *member, struct bw_arena *arena, struct bw_api_member *out)
{
    *out = (struct bw_api_member){
        .entry = member->entry,
        .slot = member->slot,
        .relay = member->relay,
        .kind = (uint8_t)member->kind,
        .role = member->role,
        .flags = member->flags,
        .joined_ms = member->joined_ms,
        .country = copied(member->country, arena),
        .region = copied(member->region, arena),
        .home_tenant = copied(member->home_tenant, arena),
    };
    return out->country != NULL && out->region != NULL && out->home_tenant != NULL;
}

bool bw_api_copy_meeting(const struct bw_meeting *meeting, uint32_t after, size_t limit,
                         struct bw_arena *arena, struct bw_api_meeting_copy *out)
{
    const struct bw_meeting_head head = bw_meeting_head_of(meeting);
    bw_api_copy_head(&head, out);
    size_t first = 0, past = meeting->slot_count;
    while (first < past) { /* the first slot behind `after` */
        size_t middle = first + (past - first) / 2;
        if (meeting->slots[middle]->slot <= after)
            first = middle + 1;
        else
            past = middle;
    }
    size_t count = meeting->slot_count - first;
    out->more = count > limit;
    count = count < limit ? count : limit;
    struct bw_api_member *members = bw_arena_zalloc(arena, count + 1, sizeof *members);
    struct bw_meeting_relay *relays = bw_arena_zalloc(arena, meeting->relay_count + 1, sizeof *relays);
    if (members == NULL || relays == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!bw_api_copy_member(meeting->slots[first + i], arena, &members[i]))
            return false;
    }
    for (size_t i = 0; i < meeting->relay_count; i++)
        relays[i] = meeting->relays[i];
    out->members = members;
    out->member_count = count;
    out->relays = relays;
    out->relay_count = meeting->relay_count;
    return true;
}

/* ---- messages ---- */

static bool add_relays(const struct bw_api_meeting_copy *from, const struct bw_fleet_view *view,
                       struct bw_arena *arena, Bailiwick__V1__Meeting *out)
{
    size_t n = from->relay_count;
    out->relays = bw_arena_zalloc(arena, n + 1, sizeof(void *));
    Bailiwick__V1__MeetingRelay *relays = bw_arena_zalloc(arena, n + 1, sizeof *relays);
    size_t mesh = n * (n - (n > 0)) / 2;
    out->links = bw_arena_zalloc(arena, mesh + 1, sizeof(void *));
    Bailiwick__V1__MeetingLink *links = bw_arena_zalloc(arena, mesh + 1, sizeof *links);
    if (out->relays == NULL || relays == NULL || out->links == NULL || links == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        bailiwick__v1__meeting_relay__init(&relays[i]);
        relays[i].relay = bw_api_relay_name(view, from->relays[i].number);
        relays[i].relay_number = from->relays[i].number;
        relays[i].participants = from->relays[i].members;
        out->relays[out->n_relays++] = &relays[i];
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            Bailiwick__V1__MeetingLink *link = &links[out->n_links];
            bailiwick__v1__meeting_link__init(link);
            link->a = relays[i].relay;
            link->b = relays[j].relay;
            out->links[out->n_links++] = link;
        }
    }
    return true;
}

Bailiwick__V1__Meeting *bw_api_meeting_message(const struct bw_api_meeting_copy *from, const char *tenant,
                                               bool with_relays, const struct bw_fleet_view *view,
                                               struct bw_arena *arena)
{
    Bailiwick__V1__Meeting *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__meeting__init(out);
    out->meeting_id = bw_api_id_text(&from->id, arena);
    out->tenant = tenant;
    out->state = from->ended ? BAILIWICK__V1__MEETING_STATE__MEETING_STATE_ENDED
                             : BAILIWICK__V1__MEETING_STATE__MEETING_STATE_LIVE;
    out->created_unix_ms = (int64_t)from->created_ms;
    out->ended_unix_ms = (int64_t)from->ended_ms;
    out->end_reason = (Bailiwick__V1__EndReason)from->end_reason;
    out->mode = (Bailiwick__V1__E2eeMode)from->label;
    out->mode_epoch = from->mode_epoch;
    out->meeting_epoch = from->meeting_epoch;
    out->participants = from->participants;
    out->policy_revision = from->policy_revision;
    out->policy_hash = bw_api_hash_text(from->policy_hash, arena);
    out->cap_per_relay = from->cap_per_relay;
    out->decision_seq = from->seq;
    if (out->meeting_id == NULL || out->policy_hash == NULL ||
        (with_relays && !add_relays(from, view, arena, out)))
        return NULL;
    return out;
}

/* What is known of the connector behind a roster entry. */
static void add_connector(uint32_t relay, const struct bw_fleet_view *view, Bailiwick__V1__RosterEntry *out)
{
    size_t index = view != NULL ? bw_facts_find_number(view->snapshot->facts, relay) : SIZE_MAX;
    if (index == SIZE_MAX)
        return;
    const struct bw_relay_facts *facts = &view->snapshot->facts->relays[index];
    out->far_leg = (Bailiwick__V1__FarLeg)facts->far_leg;
    out->n_stores = facts->store_count;
    out->stores = (const char **)facts->stores;
}

Bailiwick__V1__RosterEntry *bw_api_roster_entry(const struct bw_api_member *from,
                                                const struct bw_fleet_view *view, struct bw_arena *arena)
{
    Bailiwick__V1__RosterEntry *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__roster_entry__init(out);
    out->roster_entry = bw_api_id_text(&from->entry, arena);
    out->slot = from->slot;
    out->kind = (Bailiwick__V1__ParticipantKind)from->kind;
    out->role = (Bailiwick__V1__ParticipantRole)from->role;
    out->country = from->country;
    out->region = from->region;
    out->relay = bw_api_relay_name(view, from->relay);
    out->flags = bw_api_flags(&from->flags, arena);
    out->joined_unix_ms = (int64_t)from->joined_ms;
    out->home_tenant = from->home_tenant;
    if (from->flags.connector)
        add_connector(from->relay, view, out);
    return out->roster_entry != NULL && out->flags != NULL ? out : NULL;
}

Bailiwick__V1__RosterEntry **bw_api_roster(const struct bw_api_meeting_copy *from,
                                           const struct bw_fleet_view *view, struct bw_arena *arena)
{
    Bailiwick__V1__RosterEntry **list = bw_arena_zalloc(arena, from->member_count + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < from->member_count; i++) {
        list[i] = bw_api_roster_entry(&from->members[i], view, arena);
        if (list[i] == NULL)
            return NULL;
    }
    return list;
}
