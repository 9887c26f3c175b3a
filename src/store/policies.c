/* The policy half of store/tenants.h. */
#include <string.h>

#include "store/pg.h"
#include "store/tenants.h"

static enum bw_code read_published(enum bw_code code, PGresult *result, struct bw_store_published *out,
                                   struct bw_error *err)
{
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_store_published published = {.revision = (uint32_t)bw_pg_get_int4(&row, 0),
                                           .group = (uint64_t)bw_pg_get_int8(&row, 1)};
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = published;
    return BW_OK;
}

enum bw_code bw_store_policy_publish(struct bw_store_db *db, const struct bw_store_publish *what,
                                     struct bw_store_published *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, &what->tenant);
    bw_pg_bytea(&params, what->yaml);
    bw_pg_bytea(&params, bw_view_of(what->hash, sizeof what->hash));
    bw_pg_text(&params, what->author);
    bw_pg_text(&params, what->note);
    if (what->if_revision_set)
        bw_pg_int4(&params, (int32_t)what->if_revision);
    else
        bw_pg_null(&params, BW_PG_INT4);
    bw_pg_bool(&params, what->audit);
    bw_pg_uuid(&params, &what->request);
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query_row(db, BW_PG_CHANGES,
                        "SELECT o_revision, o_group FROM bw_policy_publish($1, $2, $3, $4, $5, $6, $7, $8)",
                        &params, &result, err);
    bw_pg_params_finish(&params);
    return read_published(code, result, out, err);
}

enum bw_code bw_store_policy_promote(struct bw_store_db *db, const struct bw_id *tenant, uint32_t revision,
                                     int64_t if_revision, uint64_t *group, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_int4(&params, (int32_t)revision);
    if (if_revision >= 0)
        bw_pg_int4(&params, (int32_t)if_revision);
    else
        bw_pg_null(&params, BW_PG_INT4);
    PGresult *result = NULL;
    struct bw_store_published published = {0};
    enum bw_code code =
        bw_pg_query_row(db, BW_PG_CHANGES, "SELECT $2, bw_policy_promote($1, $2, $3)", &params, &result, err);
    bw_pg_params_finish(&params);
    code = read_published(code, result, &published, err);
    if (code == BW_OK)
        *group = published.group;
    return code;
}

static enum bw_code each_policy(enum bw_code code, PGresult *result, bw_store_on_policy *each, void *context,
                                struct bw_error *err)
{
    if (code != BW_OK)
        return code;
    for (int i = 0; i < PQntuples(result); i++) {
        struct bw_pg_row row = {.result = result, .row = i};
        struct bw_store_policy policy = {.tenant = bw_pg_get_uuid(&row, 0),
                                         .revision = (uint32_t)bw_pg_get_int4(&row, 1),
                                         .audit = bw_pg_get_bool(&row, 2),
                                         .at_ms = (uint64_t)bw_pg_get_int8(&row, 3),
                                         .author = bw_pg_get_text(&row, 5),
                                         .note = bw_pg_get_text(&row, 6),
                                         .yaml = bw_pg_get_bytes(&row, 7)};
        struct bw_view hash = bw_pg_get_bytes(&row, 4);
        if (row.failed || hash.len != sizeof policy.hash) {
            PQclear(result);
            return bw_pg_fail_shape(err);
        }
        memcpy(policy.hash, hash.data, sizeof policy.hash);
        if (!each(context, &policy))
            break;
    }
    PQclear(result);
    return BW_OK;
}

#define POLICY_COLUMNS                                                                                       \
    "SELECT p.tenant, p.revision, p.audit, (extract(epoch FROM p.at) * 1000)::bigint, p.hash, p.author, "    \
    "p.note"

enum bw_code bw_store_policy_read(struct bw_store_db *db, const struct bw_id *tenant, uint32_t revision,
                                  bw_store_on_policy *each, void *context, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_int4(&params, (int32_t)revision);
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query(db, BW_PG_READS,
                    POLICY_COLUMNS ", p.yaml FROM policy_revision p JOIN tenant t ON t.id = p.tenant"
                                   " WHERE p.tenant = $1"
                                   " AND p.revision = CASE WHEN $2 = 0 THEN t.policy_revision ELSE $2 END",
                    &params, &result, err);
    bw_pg_params_finish(&params);
    if (code == BW_OK && PQntuples(result) == 0) {
        PQclear(result);
        return bw_fail(err, BW_NOT_FOUND, NULL, "the tenant has no such policy revision");
    }
    return each_policy(code, result, each, context, err);
}

enum bw_code bw_store_policies_current(struct bw_store_db *db, bw_store_on_policy *each, void *context,
                                       struct bw_error *err)
{
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS,
                                    POLICY_COLUMNS ", p.yaml FROM policy_revision p JOIN tenant t"
                                                   " ON t.id = p.tenant AND t.policy_revision = p.revision"
                                                   " ORDER BY p.tenant",
                                    NULL, &result, err);
    return each_policy(code, result, each, context, err);
}

enum bw_code bw_store_policies_read(struct bw_store_db *db, const struct bw_id *tenant, uint32_t before,
                                    uint32_t limit, bw_store_on_policy *each, void *context,
                                    struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, tenant);
    bw_pg_int4(&params, (int32_t)before);
    bw_pg_int8(&params, limit);
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(db, BW_PG_READS,
                                    POLICY_COLUMNS ", ''::bytea FROM policy_revision p"
                                                   " WHERE p.tenant = $1 AND ($2 = 0 OR p.revision < $2)"
                                                   " ORDER BY p.revision DESC LIMIT $3",
                                    &params, &result, err);
    bw_pg_params_finish(&params);
    return each_policy(code, result, each, context, err);
}
