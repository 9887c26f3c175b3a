#include "control/fleet_view.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"

struct bw_fleet_view *bw_fleet_view_create(struct bw_snapshot *snapshot, const struct bw_relay_reach *reach)
{
    struct bw_fleet_view *view = bw_calloc(1, sizeof *view);
    struct bw_relay_reach *copy = bw_calloc(snapshot->relay_count, sizeof *copy);
    if (view == NULL || copy == NULL) {
        bw_free(view);
        bw_free(copy);
        return NULL;
    }
    if (snapshot->relay_count > 0)
        memcpy(copy, reach, snapshot->relay_count * sizeof *copy);
    atomic_init(&view->references, 1);
    view->snapshot = snapshot;
    view->reach = copy;
    return view;
}

struct bw_fleet_view *bw_fleet_view_retain(struct bw_fleet_view *view)
{
    atomic_fetch_add_explicit(&view->references, 1, memory_order_relaxed);
    return view;
}

void bw_fleet_view_release(struct bw_fleet_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->references, 1, memory_order_acq_rel) > 1)
        return;
    bw_wipe(view->reach, view->snapshot->relay_count * sizeof *view->reach);
    bw_free(view->reach);
    bw_snapshot_release(view->snapshot);
    bw_free(view);
}
