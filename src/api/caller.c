#include "api/caller.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"

enum { ARENA_BYTES = 256 << 20 };

struct bw_callers {
    _Atomic unsigned references;
    struct bw_arena *arena;
    struct bw_caller *callers; /* by SPIFFE id */
    size_t caller_count;
    struct bw_known_tenant *tenants; /* by name */
    size_t tenant_count;
    const struct bw_known_tenant **by_id;
};

static int compare_callers(const void *a, const void *b)
{
    return strcmp(((const struct bw_caller *)a)->spiffe_id, ((const struct bw_caller *)b)->spiffe_id);
}

static int compare_tenants(const void *a, const void *b)
{
    return strcmp(((const struct bw_known_tenant *)a)->name, ((const struct bw_known_tenant *)b)->name);
}

static int compare_ids(const void *a, const void *b)
{
    return bw_id_compare(&(*(const struct bw_known_tenant *const *)a)->id,
                         &(*(const struct bw_known_tenant *const *)b)->id);
}

static bool copy_callers(struct bw_callers *into, const struct bw_caller *callers, size_t count,
                         const char *const *relays, size_t relay_count)
{
    struct bw_arena *arena = into->arena;
    into->callers = bw_arena_zalloc(arena, count + relay_count + 1, sizeof *into->callers);
    if (into->callers == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bw_caller *copy = &into->callers[into->caller_count++];
        copy->spiffe_id = bw_arena_strdup(arena, callers[i].spiffe_id);
        copy->roles = callers[i].roles;
        copy->tenant_count = callers[i].tenant_count;
        if (copy->tenant_count > 0)
            copy->tenants =
                bw_arena_memdup(arena, callers[i].tenants, copy->tenant_count * sizeof *copy->tenants);
        if (copy->spiffe_id == NULL || (copy->tenant_count > 0 && copy->tenants == NULL))
            return false;
    }
    for (size_t i = 0; i < relay_count; i++) {
        struct bw_caller *copy = &into->callers[into->caller_count++];
        copy->spiffe_id = bw_arena_strdup(arena, relays[i]);
        copy->roles = BW_CALLER_RELAY;
        if (copy->spiffe_id == NULL)
            return false;
    }
    qsort(into->callers, into->caller_count, sizeof *into->callers, compare_callers);
    return true;
}

static bool copy_tenants(struct bw_callers *into, const struct bw_known_tenant *tenants, size_t count)
{
    struct bw_arena *arena = into->arena;
    into->tenants = bw_arena_zalloc(arena, count + 1, sizeof *into->tenants);
    into->by_id = bw_arena_zalloc(arena, count + 1, sizeof *into->by_id);
    if (into->tenants == NULL || into->by_id == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bw_known_tenant *copy = &into->tenants[i];
        copy->id = tenants[i].id;
        copy->name = bw_arena_strdup(arena, tenants[i].name);
        copy->cell = bw_arena_strdup(arena, tenants[i].cell);
        if (copy->name == NULL || copy->cell == NULL)
            return false;
    }
    into->tenant_count = count;
    qsort(into->tenants, count, sizeof *into->tenants, compare_tenants);
    for (size_t i = 0; i < count; i++)
        into->by_id[i] = &into->tenants[i];
    qsort(into->by_id, count, sizeof *into->by_id, compare_ids);
    return true;
}

struct bw_callers *bw_callers_create(const struct bw_caller *callers, size_t caller_count,
                                     const struct bw_known_tenant *tenants, size_t tenant_count,
                                     const char *const *relays, size_t relay_count)
{
    struct bw_callers *made = bw_calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    atomic_init(&made->references, 1);
    made->arena = bw_arena_create(ARENA_BYTES);
    if (made->arena == NULL || !copy_callers(made, callers, caller_count, relays, relay_count) ||
        !copy_tenants(made, tenants, tenant_count)) {
        bw_callers_release(made);
        return NULL;
    }
    return made;
}

struct bw_callers *bw_callers_retain(struct bw_callers *callers)
{
    atomic_fetch_add_explicit(&callers->references, 1, memory_order_relaxed);
    return callers;
}

void bw_callers_release(struct bw_callers *callers)
{
    if (callers == NULL || atomic_fetch_sub_explicit(&callers->references, 1, memory_order_acq_rel) > 1)
        return;
    bw_arena_destroy(callers->arena);
    bw_free(callers);
}

const struct bw_caller *bw_callers_find(const struct bw_callers *callers, const char *spiffe_id)
{
    const struct bw_caller wanted = {.spiffe_id = spiffe_id};
    if (callers->caller_count == 0)
        return NULL;
    return bsearch(&wanted, callers->callers, callers->caller_count, sizeof wanted, compare_callers);
}

const struct bw_caller *bw_callers_at(const struct bw_callers *callers, size_t n)
{
    return n < callers->caller_count ? &callers->callers[n] : NULL;
}

const struct bw_known_tenant *bw_callers_tenant(const struct bw_callers *callers, const char *name)
{
    const struct bw_known_tenant wanted = {.name = name};
    if (callers->tenant_count == 0)
        return NULL;
    return bsearch(&wanted, callers->tenants, callers->tenant_count, sizeof wanted, compare_tenants);
}

const struct bw_known_tenant *bw_callers_tenant_by_id(const struct bw_callers *callers,
                                                      const struct bw_id *id)
{
    const struct bw_known_tenant wanted = {.id = *id};
    const struct bw_known_tenant *key = &wanted;
    if (callers->tenant_count == 0)
        return NULL;
    const struct bw_known_tenant *const *found =
        bsearch(&key, callers->by_id, callers->tenant_count, sizeof key, compare_ids);
    return found != NULL ? *found : NULL;
}

const struct bw_known_tenant *bw_callers_tenant_at(const struct bw_callers *callers, size_t n)
{
    return n < callers->tenant_count ? &callers->tenants[n] : NULL;
}
