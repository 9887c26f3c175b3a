/* Recovery from the log, reading, watching and counting. */
#include <string.h>

#include "base/alloc.h"
#include "control/owner_state.h"

enum bw_code bw_owner_restore(struct bw_owner *owner, const struct bw_decision *decision,
                              struct bw_error *err)
{
    struct live *live = live_find(owner, &decision->meeting);
    if (live == NULL) {
        live = live_create(owner, &decision->meeting);
        if (live == NULL)
            return bw_fail_memory(err);
    }
    if (live->meeting != NULL)
        return bw_meeting_apply(live->meeting, decision, err);
    if (decision->kind != BW_DECISION_CREATED || decision->seq != 1)
        return bw_fail(err, BW_DATA_LOSS, "DECISION_LOG",
                       "a meeting's decisions do not begin with its creation");
    live->meeting = bw_meeting_create(decision);
    return live->meeting != NULL ? BW_OK : bw_fail_memory(err);
}

void bw_owner_restored(struct bw_owner *owner)
{
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        if (live->meeting == NULL)
            continue;
        for (size_t i = 0; i < live->meeting->slot_count; i++)
            bw_book_adopt(owner->config.book, live->meeting->slots[i]->relay, 1);
        live->recheck = !live->meeting->ended;
    }
}

/* ---- reading and watching ---- */

void bw_owner_each_meeting(struct bw_owner *owner, bw_owner_each *each, void *context)
{
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        if (live->meeting != NULL && !each(context, live->meeting))
            return;
    }
}

void bw_owner_each_committed(struct bw_owner *owner, bw_owner_each_head *each, void *context)
{
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        const struct bw_meeting_head *head = live->known;
        struct bw_meeting_head now;
        if (live->batch != NULL && live->batch->first != NULL) {
            head = live->batch->before;
        } else if (live->meeting != NULL) {
            now = bw_meeting_head_of(live->meeting);
            head = &now;
        }
        if (head != NULL && !each(context, head))
            return;
    }
}

void bw_owner_meeting_effects(const struct bw_meeting *meeting,
                              void (*each)(void *context, const struct bw_effect *effect), void *context)
{
    for (size_t i = 0; i < meeting->relay_count; i++) {
        for (size_t j = 0; j < meeting->relay_count; j++) {
            if (i == j)
                continue;
            const struct bw_effect link = {.kind = BW_EFFECT_LINK,
                                           .relay = meeting->relays[i].number,
                                           .number = meeting->relays[j].number};
            each(context, &link);
        }
    }
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        const struct bw_effect slot = {.kind = BW_EFFECT_SLOT,
                                       .relay = member->relay,
                                       .number = member->slot,
                                       .entry = member->entry,
                                       .role = member->role};
        each(context, &slot);
    }
}

const struct bw_meeting *bw_owner_meeting(const struct bw_owner *owner, const struct bw_id *id, bool *loading)
{
    const struct live *live = live_find(owner, id);
    *loading = live != NULL && (live->loading || live->meeting == NULL);
    return live != NULL && !*loading ? live->meeting : NULL;
}

enum bw_code bw_owner_watch(struct bw_owner *owner, const struct bw_id *meeting, struct bw_watch *watch,
                            struct bw_error *err)
{
    struct live *live = live_find(owner, meeting);
    if (live == NULL)
        return bw_fail(err, BW_NOT_FOUND, "NO_MEETING", "the tenant has no meeting of that id");
    watch->meeting = *meeting;
    watch->previous = NULL;
    watch->next = live->watches;
    if (live->watches != NULL)
        live->watches->previous = watch;
    live->watches = watch;
    live->told_seq = live->meeting != NULL ? live->meeting->seq : 0;
    watch->linked = true;
    return BW_OK;
}

void bw_owner_unwatch(struct bw_owner *owner, struct bw_watch *watch)
{
    if (!watch->linked)
        return;
    struct live *live = live_find(owner, &watch->meeting);
    if (watch->previous != NULL)
        watch->previous->next = watch->next;
    else if (live != NULL)
        live->watches = watch->next;
    if (watch->next != NULL)
        watch->next->previous = watch->previous;
    watch->linked = false;
}

struct bw_owner_counts bw_owner_counts(const struct bw_owner *owner)
{
    struct bw_owner_counts counts = owner->counts;
    counts.waiting = owner->waiting.count;
    for (const struct live *live = owner->lives; live != NULL; live = live->hh.next) {
        if (live->meeting == NULL || live->meeting->ended)
            continue;
        counts.meetings++;
        counts.participants += live->meeting->slot_count;
        counts.in_flight += live->batch != NULL;
    }
    return counts;
}
