/* Tenants, policy revisions, credentials. Threads and common errors: as store/db.h. Strings passed to
 * callbacks live as long as the callback. A callback returns false to stop the reading, which is then OK. */
#ifndef BW_STORE_TENANTS_H
#define BW_STORE_TENANTS_H

#include <stddef.h>

#include "base/buf.h"
#include "store/db.h"

struct bw_store_tenant {
    struct bw_id id;
    char name[BW_STORE_NAME_SIZE];
    char cell[BW_STORE_NAME_SIZE]; /* its at-rest cell: ours, or where its calls belong */
    uint32_t policy_revision;      /* enforced; 0: none yet */
    uint32_t audit_revision;       /* candidate beside it; 0: none */
    uint64_t created_ms;
};

/* *id: the id to give; on success the tenant's, which is an earlier one when this request created it before.
 * ALREADY_EXISTS: the name is taken. */
BW_MUST_USE enum bw_code bw_store_tenant_create(struct bw_store_db *db, struct bw_id *id, const char *name,
                                                const char *cell, const struct bw_id *request,
                                                struct bw_error *err);
/* NOT_FOUND. */
BW_MUST_USE enum bw_code bw_store_tenant_by_id(struct bw_store_db *db, const struct bw_id *id,
                                               struct bw_store_tenant *out, struct bw_error *err);
BW_MUST_USE enum bw_code bw_store_tenant_by_name(struct bw_store_db *db, const char *name,
                                                 struct bw_store_tenant *out, struct bw_error *err);
typedef bool bw_store_on_tenant(void *context, const struct bw_store_tenant *tenant);
/* In the order of names, those after `after` ("" for all), at most `limit`. */
BW_MUST_USE enum bw_code bw_store_tenants_read(struct bw_store_db *db, const char *after, uint32_t limit,
                                               bw_store_on_tenant *each, void *context, struct bw_error *err);

struct bw_store_policy {
    struct bw_id tenant;
    uint32_t revision;
    bool audit; /* stored as a candidate */
    uint64_t at_ms;
    uint8_t hash[32];
    struct bw_view yaml; /* empty where a list leaves it out */
    const char *author, *note;
};

struct bw_store_publish {
    struct bw_id tenant, request;
    struct bw_view yaml;
    uint8_t hash[32];
    const char *author, *note;
    bool if_revision_set; /* fail with ABORTED, reason REVISION_CONFLICT, unless this one is enforced now */
    uint32_t if_revision;
    bool audit; /* store as the candidate, do not enforce */
};

struct bw_store_published {
    uint32_t revision;
    uint64_t group; /* every later group obeys it; live meetings are to be checked from here */
};

/* NOT_FOUND: no such tenant. ALREADY_EXISTS: this request id published something else. */
BW_MUST_USE enum bw_code bw_store_policy_publish(struct bw_store_db *db, const struct bw_store_publish *what,
                                                 struct bw_store_published *out, struct bw_error *err);
/* Enforces the candidate. if_revision < 0: any. FAILED_PRECONDITION: it is not the candidate, or an older
 * one. */
BW_MUST_USE enum bw_code bw_store_policy_promote(struct bw_store_db *db, const struct bw_id *tenant,
                                                 uint32_t revision, int64_t if_revision, uint64_t *group,
                                                 struct bw_error *err);
typedef bool bw_store_on_policy(void *context, const struct bw_store_policy *policy);
/* One revision with its yaml; 0: the enforced one. NOT_FOUND when there is none. */
BW_MUST_USE enum bw_code bw_store_policy_read(struct bw_store_db *db, const struct bw_id *tenant,
                                              uint32_t revision, bw_store_on_policy *each, void *context,
                                              struct bw_error *err);
/* The enforced revision of every tenant, with yaml: what a replica loads when it starts. */
BW_MUST_USE enum bw_code bw_store_policies_current(struct bw_store_db *db, bw_store_on_policy *each,
                                                   void *context, struct bw_error *err);
/* A tenant's revisions, newest first, those before `before` (0: all), at most `limit`, without yaml. */
BW_MUST_USE enum bw_code bw_store_policies_read(struct bw_store_db *db, const struct bw_id *tenant,
                                                uint32_t before, uint32_t limit, bw_store_on_policy *each,
                                                void *context, struct bw_error *err);

struct bw_store_credential {
    const char *spiffe_id;
    const char *role; /* app, operator, tenant-admin, key-admin, auditor, support-tier1, support-tier2 */
    const struct bw_id *tenants;
    size_t tenant_count;
    uint64_t issued_ms, revoked_ms; /* revoked_ms 0: in force */
};

/* Issues, or replaces the one in force whose tenants the caller has `seen` (NULL: it saw none; a set, order
 * does not matter). The same one again changes nothing. NOT_FOUND: a tenant does not exist. ALREADY_EXISTS:
 * another one is in force. */
BW_MUST_USE enum bw_code bw_store_credential_issue(struct bw_store_db *db, const char *spiffe_id,
                                                   const char *role, const struct bw_id *tenants,
                                                   size_t tenant_count, const struct bw_id *seen,
                                                   size_t seen_count, struct bw_error *err);
BW_MUST_USE enum bw_code bw_store_credential_revoke(struct bw_store_db *db, const char *spiffe_id,
                                                    struct bw_error *err);
typedef bool bw_store_on_credential(void *context, const struct bw_store_credential *credential);
/* All of them, revoked ones too, in the order of SPIFFE IDs. */
BW_MUST_USE enum bw_code bw_store_credentials_read(struct bw_store_db *db, bw_store_on_credential *each,
                                                   void *context, struct bw_error *err);

#endif
