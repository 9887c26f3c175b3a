/* What a READ operation takes along from the owner's thread, and the messages made of it on the worker's
 * (relays go by number in a meeting and by name in a message, and the worker has the fleet view). Inside this
 * room only. */
#ifndef BW_API_MEETING_COPY_H
#define BW_API_MEETING_COPY_H

#include "api/encode.h"
#include "control/meeting.h"

/* A roster entry; strings are copies in the arena. */
struct bw_api_member {
    struct bw_id entry;
    uint32_t slot, relay;
    uint8_t kind, role;
    struct bw_flags flags;
    uint64_t joined_ms;
    const char *country, *region, *home_tenant; /* "" where there is none */
};

struct bw_api_meeting_copy {
    struct bw_id id;
    bool ended;
    uint8_t end_reason;
    uint64_t created_ms, ended_ms;
    enum bw_mode label;
    uint32_t mode_epoch, meeting_epoch, participants, policy_revision, cap_per_relay, seq;
    uint8_t policy_hash[32];
    const struct bw_meeting_relay *relays;
    size_t relay_count;
    const struct bw_api_member *members;
    size_t member_count;
    bool more; /* members follow */
};

/* Everything but the roster and the relays; threads: the owner's. */
void bw_api_copy_head(const struct bw_meeting_head *head, struct bw_api_meeting_copy *out);
/* With relays, and with the roster behind slot `after`, at most `limit`. False when the arena is full. */
bool bw_api_copy_meeting(const struct bw_meeting *meeting, uint32_t after, size_t limit,
                         struct bw_arena *arena, struct bw_api_meeting_copy *out);
bool bw_api_copy_member(const struct bw_member *member, struct bw_arena *arena, struct bw_api_member *out);

/* NULL when the arena is full. `with_relays`: lists leave relays and links out. */
Bailiwick__V1__Meeting *bw_api_meeting_message(const struct bw_api_meeting_copy *from, const char *tenant,
                                               bool with_relays, const struct bw_fleet_view *view,
                                               struct bw_arena *arena);
Bailiwick__V1__RosterEntry *bw_api_roster_entry(const struct bw_api_member *from,
                                                const struct bw_fleet_view *view, struct bw_arena *arena);
Bailiwick__V1__RosterEntry **bw_api_roster(const struct bw_api_meeting_copy *from,
                                           const struct bw_fleet_view *view, struct bw_arena *arena);

#endif
