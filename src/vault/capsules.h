/* Encapsulations to scope keys, made ahead of the meetings that will need one: a new meeting key then costs a
 * few microseconds where it is needed, not an X25519 agreement. A thread that steps back for others makes
 * them, for the tenants that have used some, more for those that use more; each is given out once. Threads:
 * any; nobody waits here for a piece of work. */
#ifndef BW_VAULT_CAPSULES_H
#define BW_VAULT_CAPSULES_H

#include "crypto/hpke.h"
#include "vault/scope.h"
#include "vault/sealer.h"

enum {
    BW_CAPSULES_MAX = 4096,           /* held at a time, of all tenants */
    BW_CAPSULES_SHARES = 4,           /* one tenant has at most this part of them */
    BW_CAPSULES_FIRST = 16,           /* for a tenant that comes up; doubled whenever that was too few */
    BW_CAPSULES_IDLE_MS = 600 * 1000, /* a tenant that takes none is forgotten after this */
    BW_CAPSULES_SPARE_MS = 10 * 1000, /* the same where there is no room for another */
};

struct bw_capsules_config {
    bw_sealer_random *random; /* NULL: the kernel's; asked in bw_capsules_make alone */
    void *random_context;
    size_t max; /* 0: BW_CAPSULES_MAX */
};

struct bw_capsules;

/* RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_capsules_create(const struct bw_capsules_config *config, struct bw_capsules **out,
                                            struct bw_error *err);
/* Ends the thread and wipes. After everybody who takes. NULL is allowed. */
void bw_capsules_destroy(struct bw_capsules *capsules);
/* Starts the thread. */
BW_MUST_USE enum bw_code bw_capsules_start(struct bw_capsules *capsules, struct bw_error *err);

/* One to this key, which the caller has verified, or false: make it yourself. Another key than last time
 * wipes what was made for the tenant before, and from now on they are made for this one. */
bool bw_capsules_take(struct bw_capsules *capsules, const struct bw_scope_public *scope, uint64_t mono_ms,
                      struct bw_hpke_capsule *out);

enum bw_capsules_work { BW_CAPSULES_MADE, BW_CAPSULES_ENOUGH, BW_CAPSULES_FAILED };
/* A piece of the thread's work, some 60 us: makes one where one is wanted and there is room, in turn. Forgets
 * tenants that take none. */
enum bw_capsules_work bw_capsules_make(struct bw_capsules *capsules, uint64_t mono_ms);
/* How many there are for a tenant now. */
size_t bw_capsules_count(struct bw_capsules *capsules, const struct bw_id *tenant);

#endif
