#include "vault/capsules.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/secret.h"
#include "crypto/secure.h"
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "vault/supply.h"

enum { TENANTS_MAX = 1024, LOOK_S = 30, RETRY_S = 1, NONE = UINT32_MAX };

/* A capsule, or a free place for one. */
struct place {
    struct bw_hpke_capsule capsule; /* secret */
    uint32_t next;
};

/* A tenant that takes capsules. */
struct taker {
    struct bw_id tenant, scope_key;
    uint8_t public_key[BW_X25519_SIZE];
    uint32_t first; /* of its places */
    size_t count, wanted;
    uint64_t taken_ms;
    bool full;                               /* has had that many since `wanted` changed */
    bool hungry;                             /* is in that list: has fewer than it wants */
    struct taker *prev, *next;               /* by when it last took one */
    struct taker *prev_hungry, *next_hungry; /* in turn */
    UT_hash_handle hh;
};

struct bw_capsules {
    struct bw_supply supply; /* of who makes them */
    size_t max, each;        /* of all takers, of one */
    struct bw_thread *thread;
    pthread_mutex_t lock; /* of all below; held for moments */
    pthread_cond_t work;
    bool ending, resting;
    struct place *places; /* in secure memory */
    uint32_t free;
    struct taker *takers; /* by tenant */
    struct taker *by_use; /* the longest unused first */
    struct taker *hungry;
};

enum bw_code bw_capsules_create(const struct bw_capsules_config *config, struct bw_capsules **out,
                                struct bw_error *err)
{
    struct bw_capsules *capsules = bw_calloc(1, sizeof *capsules);
    if (capsules == NULL)
        return bw_fail_memory(err);
    capsules->max = config->max != 0 ? config->max : BW_CAPSULES_MAX;
    capsules->each = capsules->max / BW_CAPSULES_SHARES;
    if (capsules->each < BW_CAPSULES_FIRST)
        capsules->each = BW_CAPSULES_FIRST;
    capsules->places = bw_secure_alloc(capsules->max * sizeof *capsules->places);
    if (capsules->places == NULL) {
        bw_free(capsules);
        return bw_fail_memory(err);
    }
    bw_supply_init(&capsules->supply, config->random, config->random_context);
    for (size_t i = 0; i < capsules->max; i++)
        capsules->places[i].next = i + 1 < capsules->max ? (uint32_t)i + 1 : NONE;
    pthread_condattr_t attributes;
    BW_CHECK(pthread_condattr_init(&attributes) == 0 &&
             pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
             pthread_cond_init(&capsules->work, &attributes) == 0 &&
             pthread_mutex_init(&capsules->lock, NULL) == 0);
    pthread_condattr_destroy(&attributes);
    *out = capsules;
    return BW_OK;
}

/* ---- under the lock ---- */

static struct taker *find(const struct bw_capsules *capsules, const struct bw_id *tenant)
{
    struct taker *found;
    HASH_FIND(hh, capsules->takers, tenant, sizeof *tenant, found);
    return found;
}

static bool same_key(const struct taker *taker, const struct bw_id *id,
                     const uint8_t public_key[BW_X25519_SIZE])
{
    return bw_id_equal(&taker->scope_key, id) &&
           memcmp(taker->public_key, public_key, sizeof taker->public_key) == 0;
}

static void be_hungry(struct bw_capsules *capsules, struct taker *taker, bool hungry)
{
    if (taker->hungry == hungry)
        return;
    taker->hungry = hungry;
    if (hungry)
        DL_APPEND2(capsules->hungry, taker, prev_hungry, next_hungry);
    else
        DL_DELETE2(capsules->hungry, taker, prev_hungry, next_hungry);
}

/* Its first capsule, into *out, and out of memory. */
static void pop(struct bw_capsules *capsules, struct taker *taker, struct bw_hpke_capsule *out)
{
    uint32_t at = taker->first;
    struct place *place = &capsules->places[at];
    taker->first = place->next;
    taker->count--;
    *out = place->capsule;
    bw_wipe(&place->capsule, sizeof place->capsule);
    place->next = capsules->free;
    capsules->free = at;
}

static void empty(struct bw_capsules *capsules, struct taker *taker)
{
    struct bw_hpke_capsule gone = {.fresh = false};
    while (taker->count > 0)
        pop(capsules, taker, &gone);
    bw_wipe(&gone, sizeof gone);
}

static void forget(struct bw_capsules *capsules, struct taker *taker)
{
    empty(capsules, taker);
    be_hungry(capsules, taker, false);
    HASH_DEL(capsules->takers, taker);
    DL_DELETE(capsules->by_use, taker);
    bw_free(taker);
}

static struct taker *add(struct bw_capsules *capsules, const struct bw_id *tenant)
{
    if (HASH_COUNT(capsules->takers) >= TENANTS_MAX)
        forget(capsules, capsules->by_use);
    struct taker *taker = bw_calloc(1, sizeof *taker);
    if (taker == NULL)
        return NULL;
    taker->tenant = *tenant;
    taker->wanted = BW_CAPSULES_FIRST;
    HASH_ADD(hh, capsules->takers, tenant, sizeof taker->tenant, taker);
    if (taker->hh.tbl == NULL) {
        bw_free(taker);
        return NULL;
    }
    DL_APPEND(capsules->by_use, taker);
    return taker;
}

/* Forgets those who took none for so long. */
static void forget_idle(struct bw_capsules *capsules, uint64_t mono_ms, uint64_t idle_ms)
{
    while (capsules->by_use != NULL && mono_ms > capsules->by_use->taken_ms &&
           mono_ms - capsules->by_use->taken_ms >= idle_ms)
        forget(capsules, capsules->by_use);
}

/* Whoever is next to get one; NULL: nobody is, or there is no room. */
static struct taker *next_hungry(struct bw_capsules *capsules, uint64_t mono_ms)
{
    forget_idle(capsules, mono_ms, BW_CAPSULES_IDLE_MS);
    if (capsules->hungry != NULL && capsules->free == NONE)
        forget_idle(capsules, mono_ms, BW_CAPSULES_SPARE_MS);
    return capsules->free != NONE ? capsules->hungry : NULL;
}

/* ---- */

/* Serves the taker; whether it should be said to the thread. */
static bool serve(struct bw_capsules *capsules, const struct bw_scope_public *scope, uint64_t mono_ms,
                  struct bw_hpke_capsule *out, bool *got)
{
    struct taker *taker = find(capsules, &scope->tenant);
    if (taker == NULL && (taker = add(capsules, &scope->tenant)) == NULL)
        return false;
    if (!same_key(taker, &scope->id, scope->public_key)) {
        empty(capsules, taker);
        taker->scope_key = scope->id;
        memcpy(taker->public_key, scope->public_key, sizeof taker->public_key);
    } else if (taker->count == 0 && taker->full) {
        taker->wanted = taker->wanted * 2 < capsules->each ? taker->wanted * 2 : capsules->each;
        taker->full = false;
    }
    taker->taken_ms = mono_ms;
    DL_DELETE(capsules->by_use, taker);
    DL_APPEND(capsules->by_use, taker);
    *got = taker->count > 0;
    if (*got)
        pop(capsules, taker, out);
    /* By halves: waking the thread costs as much as some of what it saves. */
    if (taker->count * 2 <= taker->wanted)
        be_hungry(capsules, taker, true);
    if (!capsules->resting || !taker->hungry)
        return false;
    capsules->resting = false;
    return true;
}

bool bw_capsules_take(struct bw_capsules *capsules, const struct bw_scope_public *scope, uint64_t mono_ms,
                      struct bw_hpke_capsule *out)
{
    bool got = false;
    /* Who holds it may have lost its CPU; making one takes less than waiting for that. */
    if (pthread_mutex_trylock(&capsules->lock) != 0)
        return false;
    bool tell = serve(capsules, scope, mono_ms, out, &got);
    pthread_mutex_unlock(&capsules->lock);
    if (tell)
        pthread_cond_signal(&capsules->work);
    return got;
}

/* Puts a capsule where it belongs, if its tenant still seals to that key and there is room; uses it up. */
static void keep(struct bw_capsules *capsules, const struct taker *order, struct bw_hpke_capsule *capsule)
{
    struct taker *taker = find(capsules, &order->tenant);
    uint32_t at = capsules->free;
    if (taker != NULL && same_key(taker, &order->scope_key, order->public_key) && at != NONE) {
        struct place *place = &capsules->places[at];
        capsules->free = place->next;
        place->capsule = *capsule;
        place->next = taker->first;
        taker->first = at;
        taker->count++;
        taker->full = taker->full || taker->count >= taker->wanted;
        bool hungry = taker->hungry && taker->count < taker->wanted;
        be_hungry(capsules, taker, false); /* the next one's turn */
        be_hungry(capsules, taker, hungry);
    }
    bw_wipe(capsule, sizeof *capsule);
}

static enum bw_code encapsulate(struct bw_capsules *capsules, const uint8_t public_key[BW_X25519_SIZE],
                                struct bw_hpke_capsule *capsule)
{
    uint8_t drawn[2 * BW_SUPPLY_BLOCK];
    struct bw_error err;
    enum bw_code code = bw_supply_draw(&capsules->supply, drawn, sizeof drawn, &err);
    if (code == BW_OK)
        code = bw_hpke_encapsulate(public_key, drawn, capsule, &err);
    bw_wipe(drawn, sizeof drawn);
    return code;
}

enum bw_capsules_work bw_capsules_make(struct bw_capsules *capsules, uint64_t mono_ms)
{
    struct taker order;
    struct bw_hpke_capsule capsule;
    pthread_mutex_lock(&capsules->lock);
    const struct taker *taker = next_hungry(capsules, mono_ms);
    if (taker != NULL)
        order = *taker;
    pthread_mutex_unlock(&capsules->lock);
    if (taker == NULL)
        return BW_CAPSULES_ENOUGH;
    if (encapsulate(capsules, order.public_key, &capsule) != BW_OK)
        return BW_CAPSULES_FAILED;
    pthread_mutex_lock(&capsules->lock);
    keep(capsules, &order, &capsule);
    pthread_mutex_unlock(&capsules->lock);
    return BW_CAPSULES_MADE;
}

size_t bw_capsules_count(struct bw_capsules *capsules, const struct bw_id *tenant)
{
    pthread_mutex_lock(&capsules->lock);
    const struct taker *taker = find(capsules, tenant);
    size_t count = taker != NULL ? taker->count : 0;
    pthread_mutex_unlock(&capsules->lock);
    return count;
}

/* ---- the thread ---- */

/* Until there may be work. What cannot be made is left to those who seal, and they say why. */
static void rest(struct bw_capsules *capsules, enum bw_capsules_work last)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += last == BW_CAPSULES_FAILED ? RETRY_S : LOOK_S;
    pthread_mutex_lock(&capsules->lock);
    if (!capsules->ending &&
        (last == BW_CAPSULES_FAILED || next_hungry(capsules, bw_clock_mono_ms()) == NULL)) {
        capsules->resting = last != BW_CAPSULES_FAILED;
        (void)pthread_cond_timedwait(&capsules->work, &capsules->lock, &until);
        capsules->resting = false;
    }
    pthread_mutex_unlock(&capsules->lock);
}

static bool ending(struct bw_capsules *capsules)
{
    pthread_mutex_lock(&capsules->lock);
    bool end = capsules->ending;
    pthread_mutex_unlock(&capsules->lock);
    return end;
}

static void run(void *context)
{
    struct bw_capsules *capsules = context;
    bw_thread_step_back();
    while (!ending(capsules)) {
        enum bw_capsules_work done = bw_capsules_make(capsules, bw_clock_mono_ms());
        if (done != BW_CAPSULES_MADE)
            rest(capsules, done);
    }
}

enum bw_code bw_capsules_start(struct bw_capsules *capsules, struct bw_error *err)
{
    capsules->thread = bw_thread_start(run, capsules, "bw-capsules", err);
    return capsules->thread != NULL ? BW_OK : BW_RESOURCE_EXHAUSTED;
}

void bw_capsules_destroy(struct bw_capsules *capsules)
{
    if (capsules == NULL)
        return;
    pthread_mutex_lock(&capsules->lock);
    capsules->ending = true;
    pthread_mutex_unlock(&capsules->lock);
    pthread_cond_signal(&capsules->work);
    bw_thread_join(capsules->thread);
    while (capsules->by_use != NULL)
        forget(capsules, capsules->by_use);
    pthread_cond_destroy(&capsules->work);
    pthread_mutex_destroy(&capsules->lock);
    bw_secure_free(capsules->places, capsules->max * sizeof *capsules->places);
    bw_supply_finish(&capsules->supply);
    bw_free(capsules);
}
