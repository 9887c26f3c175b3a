/* Admissions that nobody has heard of: the caller was gone when the answer came, or got an error in its
 * place. The row has committed, and the same request again still finds it; when nobody asks for as long as a
 * grant would have lived and a while more, the place is given back.
 *
 * What is not marked counts as claimed: an answer that went to a call which was still open, and, after a
 * restart, everybody, since nothing is known of what was delivered before it. */
#include <string.h>

#include "base/alloc.h"
#include "control/owner_state.h"

enum { UNCLAIMED_GRACE_MS = 60000 };

struct unclaimed {
    struct bw_id entry;
    uint64_t due_ms; /* mono */
};

static struct unclaimed *find(const struct live *live, const struct bw_id *entry)
{
    for (size_t i = 0; i < live->unclaimed_count; i++) {
        if (bw_id_equal(&live->unclaimed[i].entry, entry))
            return &live->unclaimed[i];
    }
    return NULL;
}

static void forget(struct live *live, struct unclaimed *unclaimed)
{
    size_t at = (size_t)(unclaimed - live->unclaimed);
    memmove(unclaimed, unclaimed + 1, (--live->unclaimed_count - at) * sizeof *unclaimed);
}

void live_unclaimed(struct bw_owner *owner, struct live *live, const struct bw_id *entry)
{
    if (find(live, entry) != NULL)
        return;
    if (live->unclaimed == NULL || live->unclaimed_count == live->unclaimed_cap) {
        size_t cap = live->unclaimed_cap ? live->unclaimed_cap * 2 : 4;
        struct unclaimed *grown = bw_realloc(live->unclaimed, cap * sizeof *grown);
        if (grown == NULL)
            return; /* it stays until the meeting ends: nobody is removed for want of memory */
        live->unclaimed = grown;
        live->unclaimed_cap = cap;
    }
    live->unclaimed[live->unclaimed_count++] = (struct unclaimed){
        .entry = *entry, .due_ms = owner_mono(owner) + owner->config.grant_life_ms + UNCLAIMED_GRACE_MS};
}

void live_claimed(struct live *live, const struct bw_id *entry)
{
    struct unclaimed *unclaimed = live->unclaimed_count > 0 ? find(live, entry) : NULL;
    if (unclaimed != NULL)
        forget(live, unclaimed);
}

void bw_owner_unclaimed(struct bw_owner *owner, const struct bw_id *meeting, const struct bw_id *entry)
{
    struct live *live = owner->closed ? NULL : live_find(owner, meeting);
    if (live != NULL)
        live_unclaimed(owner, live, entry);
}

bool live_release_due(const struct bw_owner *owner, const struct live *live)
{
    return live->unclaimed_count > 0 && owner_mono(owner) >= live->unclaimed[0].due_ms;
}

/* A mark goes once its entry has: a release that does not commit is decided again. */
void decide_release(struct draft *draft)
{
    struct live *live = draft->live;
    uint64_t now = owner_mono(draft->owner);
    for (size_t i = 0; i < live->unclaimed_count && live->unclaimed[i].due_ms <= now && !draft->broken;) {
        const struct bw_member *member = bw_meeting_member(live->meeting, &live->unclaimed[i].entry);
        if (member == NULL)
            forget(live, &live->unclaimed[i]);
        else if (decide_leave_of(draft, NULL, member, BW_LEAVE_UNCLAIMED))
            i++;
    }
}
