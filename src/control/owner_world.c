/* The world changes: another fleet view, another policy, more escrow, time. What that concerns is looked at
 * again.
 */
#include <string.h>

#include "base/alloc.h"
#include "control/owner_state.h"

/* Meetings with people on a draining relay who found no other place are looked at again so often, and so many
 * of them in a tick, which comes once a second. */
enum { LOOK_AGAIN_MS = 5000, LOOKS_A_TICK = 50 };

static void retry_waiting(struct bw_owner *owner)
{
    struct op_queue again = owner->waiting;
    if (again.first == NULL)
        return;
    op_queue_init(&owner->waiting);
    struct bw_op *op = again.first;
    while (op != NULL) {
        struct bw_op *next = op->next;
        bw_owner_submit(owner, op);
        op = next;
    }
}

static void recheck_all(struct bw_owner *owner, const struct bw_id *tenant)
{
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        if (live->meeting == NULL || live->meeting->ended ||
            (tenant != NULL && !bw_id_equal(tenant, &live->meeting->tenant)))
            continue;
        live->recheck = true;
        live_make_ready(owner, live);
    }
}

/* Whether a meeting could care: a relay it may stand on got another state, or the facts changed. */
static bool fleet_changed(const struct bw_fleet_view *before, const struct bw_fleet_view *after)
{
    if (before == NULL)
        return true;
    const struct bw_snapshot *x = before->snapshot, *y = after->snapshot;
    if (x->facts != y->facts || x->relay_count != y->relay_count)
        return true;
    for (size_t i = 0; i < x->relay_count; i++) {
        if (x->live[i].state != y->live[i].state)
            return true;
    }
    return false;
}

static bool same_regions(const struct bw_region *x, const struct bw_region *y)
{
    if (strcmp(x->name, y->name) != 0 || x->country_count != y->country_count)
        return false;
    for (size_t i = 0; i < x->country_count; i++) {
        if (strcmp(x->countries[i], y->countries[i]) != 0)
            return false;
    }
    return true;
}

/* Is every first hop in both as long? (Loads and states, which change all the time, do not matter to it.) */
static bool same_distances(const struct bw_snapshot *x, const struct bw_snapshot *y)
{
    size_t n = x->region_count;
    if (x->facts != y->facts || n != y->region_count || x->unknown_us != y->unknown_us ||
        x->relay_count != y->relay_count ||
        memcmp(x->relay_region, y->relay_region, x->relay_count * sizeof *x->relay_region) != 0 ||
        memcmp(x->region_us, y->region_us, n * n * sizeof *x->region_us) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!same_regions(&x->regions[i], &y->regions[i]))
            return false;
    }
    return true;
}

void bw_owner_set_view(struct bw_owner *owner, struct bw_fleet_view *view)
{
    struct bw_fleet_view *before = owner->view;
    owner->view = bw_fleet_view_retain(view);
    if (before == NULL || !same_distances(before->snapshot, view->snapshot))
        owner->distances++;
    if (fleet_changed(before, view))
        recheck_all(owner, NULL);
    bw_fleet_view_release(before);
    retry_waiting(owner);
}

enum bw_code bw_owner_set_policy(struct bw_owner *owner, struct bw_policy_set *set, struct bw_error *err)
{
    struct tenant_policy *policy;
    HASH_FIND(hh, owner->policies, &set->tenant, sizeof set->tenant, policy);
    if (policy != NULL) {
        bool read_at_last = policy->set->doc == NULL && set->doc != NULL;
        if (set->revision < policy->set->revision ||
            (set->revision == policy->set->revision && !read_at_last))
            return BW_OK; /* a late message, or one that comes twice */
        kept_forget(policy);
        bw_policy_set_release(policy->set);
        policy->set = bw_policy_set_retain(set);
    } else {
        policy = bw_calloc(1, sizeof *policy);
        if (policy == NULL)
            return bw_fail_memory(err);
        policy->tenant = set->tenant;
        policy->set = bw_policy_set_retain(set);
        struct tenant_policy *added = policy;
        HASH_ADD(hh, owner->policies, tenant, sizeof policy->tenant, added);
        if (policy->hh.tbl == NULL) {
            bw_policy_set_release(policy->set);
            bw_free(policy);
            return bw_fail_memory(err);
        }
    }
    recheck_all(owner, &set->tenant);
    retry_waiting(owner);
    return BW_OK;
}

void bw_owner_set_signing_key(struct bw_owner *owner, const uint8_t key_id[BW_GRANT_KEY_ID_SIZE])
{
    memcpy(owner->key_id, key_id, sizeof owner->key_id);
    owner->has_key = true;
    owner_wake(owner);
}

void bw_owner_escrow_changed(struct bw_owner *owner)
{
    struct live *live, *next;
    if (owner->starved) {
        owner->starved = false;
        HASH_ITER(hh, owner->lives, live, next)
        {
            if (live->meeting == NULL || live->starved_until_ms == 0)
                continue;
            live->recheck = true;
            live_make_ready(owner, live);
        }
    }
    retry_waiting(owner);
}

/* Nobody is in for long enough, or it is older than a meeting may be. */
static bool is_over(const struct bw_owner *owner, struct live *live, uint64_t now, uint64_t wall,
                    uint8_t *reason)
{
    if (live->meeting->slot_count > 0)
        live->empty_since_ms = 0;
    else if (live->empty_since_ms == 0)
        live->empty_since_ms = now;
    if (wall >= live->meeting->created_ms + owner->config.meeting_max_age_ms) {
        *reason = BW_END_ABANDONED;
        return true;
    }
    *reason = BW_END_EVERYBODY_LEFT;
    return live->empty_since_ms != 0 && now - live->empty_since_ms >= owner->config.empty_meeting_ms;
}

static void end_if_over(struct bw_owner *owner, struct live *live, uint64_t now, uint64_t wall)
{
    uint8_t reason;
    if (!is_over(owner, live, now, wall, &reason) || live->batch != NULL || live->loading ||
        owner->view == NULL)
        return;
    struct batch *batch = batch_create(owner, live);
    if (batch == NULL)
        return;
    struct draft draft = {.owner = owner,
                          .live = live,
                          .batch = batch,
                          .now_ms = owner->config.ports.wall_ms(owner->config.ports.context)};
    struct bw_error err;
    draft.unruled = live_constraints(owner, live, draft.now_ms, &err) != BW_OK;
    decide_end(&draft, NULL, reason);
    batch_close(&draft);
}

void bw_owner_tick(struct bw_owner *owner)
{
    uint64_t now = owner_mono(owner), wall = owner->config.ports.wall_ms(owner->config.ports.context);
    retry_waiting(owner);
    size_t stuck = 0, looks = 0;
    struct live *live, *next;
    HASH_ITER(hh, owner->lives, live, next)
    {
        if (live->meeting == NULL) {
            /* One that could not be read back is still a meeting: it is read again until the database
             * answers. */
            if (!live->unread && live->queue.first == NULL && live->batch == NULL && !live->loading &&
                !live->ready)
                live_forget(owner, live);
            else
                live_make_ready(owner, live);
            continue;
        }
        if (live->meeting->ended) {
            if (wall > live->meeting->ended_ms + owner->config.ended_kept_ms && live->queue.first == NULL &&
                live->batch == NULL && !live->ready && !live->loading)
                live_forget(owner, live);
            else if (live->queue.first != NULL)
                live_make_ready(owner, live);
            continue;
        }
        if (live->recheck_at_tick || (live->constraints != NULL && wall >= live->constraints->valid_until_ms))
            live->recheck = true;
        live->recheck_at_tick = false;
        if (live->look_again_ms != 0) {
            stuck++;
            if (now >= live->look_again_ms && looks < LOOKS_A_TICK) {
                looks++;
                live->recheck = true;
            }
        }
        if (live->recheck || live->queue.first != NULL || live_release_due(owner, live))
            live_make_ready(owner, live);
        if (now - live->burst_start_ms >= owner->config.burst_window_ms) {
            live->burst_start_ms = now;
            live->burst_count = 0;
        }
        end_if_over(owner, live, now, wall);
    }
    /* Each has its turn, however many there are. */
    uint64_t round_ms = (stuck + LOOKS_A_TICK - 1) / LOOKS_A_TICK * 1000;
    owner->look_again_every_ms = round_ms > LOOK_AGAIN_MS ? round_ms : LOOK_AGAIN_MS;
}
