/* Who calls: what a certificate's SPIFFE id may do, from the credentials in the database. Immutable, counted,
 * swapped whole. Threads: any. */
#ifndef BW_API_CALLER_H
#define BW_API_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/status.h"

enum bw_role_bit {
    BW_CALLER_APP = 1 << 0,
    BW_CALLER_TENANT_ADMIN = 1 << 1,
    BW_CALLER_OPERATOR = 1 << 2,
    BW_CALLER_RELAY = 1 << 3,
    BW_CALLER_SUPPORT_TIER1 = 1 << 4,
    BW_CALLER_SUPPORT_TIER2 = 1 << 5,
    BW_CALLER_AUDITOR = 1 << 6,
    BW_CALLER_KEY_ADMIN = 1 << 7,
    BW_CALLER_ANY = (1 << 8) - 1,
};

struct bw_caller {
    const char *spiffe_id;
    uint32_t roles;              /* enum bw_role_bit */
    const struct bw_id *tenants; /* whom it may act for; operators: all */
    size_t tenant_count;
};

/* A tenant as callers name it. */
struct bw_known_tenant {
    struct bw_id id;
    const char *name;
    const char *cell; /* its at-rest cell */
};

struct bw_callers;

/* Copies everything. `relays` are SPIFFE ids of enrolled relays. NULL when memory is out. */
struct bw_callers *bw_callers_create(const struct bw_caller *callers, size_t caller_count,
                                     const struct bw_known_tenant *tenants, size_t tenant_count,
                                     const char *const *relays, size_t relay_count);
struct bw_callers *bw_callers_retain(struct bw_callers *callers);
/* NULL is allowed. */
void bw_callers_release(struct bw_callers *callers);

/* NULL: not known here. */
const struct bw_caller *bw_callers_find(const struct bw_callers *callers, const char *spiffe_id);
/* The nth caller in the order of SPIFFE ids, relays too; NULL past the end. */
const struct bw_caller *bw_callers_at(const struct bw_callers *callers, size_t n);
const struct bw_known_tenant *bw_callers_tenant(const struct bw_callers *callers, const char *name);
const struct bw_known_tenant *bw_callers_tenant_by_id(const struct bw_callers *callers,
                                                      const struct bw_id *id);
/* The nth tenant in the order of names; NULL past the end. */
const struct bw_known_tenant *bw_callers_tenant_at(const struct bw_callers *callers, size_t n);

#endif
