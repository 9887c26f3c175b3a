#include "store/tenants.h"

#include <string.h>

#include "store/pg.h"

static const char tenant_columns[] = "SELECT id, name, cell, policy_revision, coalesce(audit_revision, 0),"
                                     " (extract(epoch FROM created) * 1000)::bigint FROM tenant ";

enum { QUERY_SIZE = 512 };

static const char *join(char query[QUERY_SIZE], const char *columns, const char *rest)
{
    query[0] = '\0';
    strncat(query, columns, QUERY_SIZE - 1);
    strncat(query, rest, QUERY_SIZE - 1 - strlen(query));
    return query;
}

static struct bw_store_tenant read_tenant(struct bw_pg_row *row)
{
    struct bw_store_tenant tenant = {.id = bw_pg_get_uuid(row, 0),
                                     .policy_revision = (uint32_t)bw_pg_get_int4(row, 3),
                                     .audit_revision = (uint32_t)bw_pg_get_int4(row, 4),
                                     .created_ms = (uint64_t)bw_pg_get_int8(row, 5)};
    bw_pg_copy_text(row, 1, tenant.name, sizeof tenant.name);
    bw_pg_copy_text(row, 2, tenant.cell, sizeof tenant.cell);
    return tenant;
}

enum bw_code bw_store_tenant_create(struct bw_store_db *db, struct bw_id *id, const char *name,
                                    const char *cell, const struct bw_id *request, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, id);
    bw_pg_text(&params, name);
    bw_pg_text(&params, cell);
    bw_pg_uuid(&params, request);
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query_row(db, BW_PG_CHANGES, "SELECT bw_tenant_create($1, $2, $3, $4)", &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result};
    struct bw_id given = bw_pg_get_uuid(&row, 0);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *id = given;
    return BW_OK;
}

/* Takes params over. */
static enum bw_code one_tenant(struct bw_store_db *db, const char *where, struct bw_pg_params *params,
                               struct bw_store_tenant *out, struct bw_error *err)
{
    char query[QUERY_SIZE];
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query(db, BW_PG_READS, join(query, tenant_columns, where), params, &result, err);
    bw_pg_params_finish(params);
    if (code != BW_OK)
        return code;
    if (PQntuples(result) == 0) {
        PQclear(result);
        return bw_fail(err, BW_NOT_FOUND, NULL, "there is no such tenant");
    }
    struct bw_pg_row row = {.result = result};
    struct bw_store_tenant tenant = read_tenant(&row);
    PQclear(result);
    if (row.failed)
        return bw_pg_fail_shape(err);
    *out = tenant;
    return BW_OK;
}

enum bw_code bw_store_tenant_by_id(struct bw_store_db *db, const struct bw_id *id,
                                   struct bw_store_tenant *out, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_uuid(&params, id);
    return one_tenant(db, "WHERE id = $1", &params, out, err);
}

enum bw_code bw_store_tenant_by_name(struct bw_store_db *db, const char *name, struct bw_store_tenant *out,
                                     struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, name);
    return one_tenant(db, "WHERE name = $1", &params, out, err);
}

enum bw_code bw_store_tenants_read(struct bw_store_db *db, const char *after, uint32_t limit,
                                   bw_store_on_tenant *each, void *context, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, after);
    bw_pg_int8(&params, limit);
    char query[QUERY_SIZE];
    PGresult *result = NULL;
    enum bw_code code = bw_pg_query(
        db, BW_PG_READS,
        join(query, tenant_columns, "WHERE name COLLATE \"C\" > $1 ORDER BY name COLLATE \"C\" LIMIT $2"),
        &params, &result, err);
    bw_pg_params_finish(&params);
    if (code != BW_OK)
        return code;
    for (int i = 0; i < PQntuples(result); i++) {
        struct bw_pg_row row = {.result = result, .row = i};
        struct bw_store_tenant tenant = read_tenant(&row);
        if (row.failed) {
            code = bw_pg_fail_shape(err);
            break;
        }
        if (!each(context, &tenant))
            break;
    }
    PQclear(result);
    return code;
}

enum bw_code bw_store_credential_issue(struct bw_store_db *db, const char *spiffe_id, const char *role,
                                       const struct bw_id *tenants, size_t tenant_count,
                                       const struct bw_id *seen, size_t seen_count, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, spiffe_id);
    bw_pg_text(&params, role);
    bw_pg_uuid_array(&params, tenants, tenant_count);
    bw_pg_uuid_array(&params, seen, seen_count);
    bw_pg_bool(&params, seen != NULL);
    enum bw_code code =
        bw_pg_run(db, "SELECT bw_credential_issue($1, $2, $3, CASE WHEN $5 THEN $4 END)", &params, err);
    bw_pg_params_finish(&params);
    return code;
}

enum bw_code bw_store_credential_revoke(struct bw_store_db *db, const char *spiffe_id, struct bw_error *err)
{
    struct bw_pg_params params = {0};
    bw_pg_text(&params, spiffe_id);
    enum bw_code code = bw_pg_run(db, "SELECT bw_credential_revoke($1)", &params, err);
    bw_pg_params_finish(&params);
    return code;
}

enum bw_code bw_store_credentials_read(struct bw_store_db *db, bw_store_on_credential *each, void *context,
                                       struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(64u << 20);
    if (arena == NULL)
        return bw_fail_memory(err);
    PGresult *result = NULL;
    enum bw_code code =
        bw_pg_query(db, BW_PG_READS,
                    "SELECT spiffe_id, role, tenants, (extract(epoch FROM issued) * 1000)::bigint,"
                    " (extract(epoch FROM revoked) * 1000)::bigint FROM credential"
                    " ORDER BY spiffe_id COLLATE \"C\"",
                    NULL, &result, err);
    for (int i = 0; code == BW_OK && i < PQntuples(result); i++) {
        struct bw_pg_row row = {.result = result, .row = i, .arena = arena};
        struct bw_store_credential credential = {.spiffe_id = bw_pg_get_text(&row, 0),
                                                 .role = bw_pg_get_text(&row, 1),
                                                 .issued_ms = (uint64_t)bw_pg_get_int8(&row, 3),
                                                 .revoked_ms = (uint64_t)bw_pg_get_int8(&row, 4)};
        credential.tenants = bw_pg_get_uuid_array(&row, 2, &credential.tenant_count);
        if (row.failed) {
            PQclear(result);
            bw_arena_destroy(arena);
            return bw_pg_fail_shape(err);
        }
        bool more = each(context, &credential);
        bw_arena_reset(arena);
        if (!more)
            break;
    }
    if (code == BW_OK)
        PQclear(result);
    bw_arena_destroy(arena);
    return code;
}
