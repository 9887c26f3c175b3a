/* The gate: the table against the proto files, and every role against every method. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/gate.h"
#include "base/check.h"
#include "check_alloc.h"
#include "wire/wire.h"

static const struct bw_id ours = {{1}}, theirs = {{2}}, far = {{3}};

static struct bw_callers *some_callers(void)
{
    static const struct bw_caller callers[] = {
        {"spiffe://eu.example/app/portal", BW_CALLER_APP, &ours, 1},
        {"spiffe://eu.example/admin/anna", BW_CALLER_TENANT_ADMIN, &ours, 1},
        {"spiffe://eu.example/operator/ops", BW_CALLER_OPERATOR, NULL, 0},
        {"spiffe://eu.example/support/one", BW_CALLER_SUPPORT_TIER1, &ours, 1},
        {"spiffe://eu.example/support/two", BW_CALLER_SUPPORT_TIER2, &ours, 1},
        {"spiffe://eu.example/admin/aud", BW_CALLER_AUDITOR, &ours, 1},
        {"spiffe://eu.example/admin/keys", BW_CALLER_KEY_ADMIN, &ours, 1},
        {"spiffe://eu.example/app/revoked", 0, &ours, 1},
    };
    static const struct bw_known_tenant tenants[] = {
        {{{2}}, "acme", "eu"}, {{{1}}, "chu-lyon", "eu"}, {{{3}}, "berne", "ch"}};
    static const char *const relays[] = {"spiffe://eu.example/relay/par1"};
    return bw_callers_create(callers, BW_ARRAY_LEN(callers), tenants, BW_ARRAY_LEN(tenants), relays,
                             BW_ARRAY_LEN(relays));
}

static void every_method_of_the_proto_files_has_its_row(void **state)
{
    (void)state;
    struct bw_api_shape shapes[128] = {{0}};
    struct bw_error err = {.code = BW_OK};
    if (bw_api_table_check(shapes, &err) != BW_OK)
        fail_msg("%s", err.show);
    for (size_t i = 0; i < bw_api_table_count; i++) {
        assert_non_null(shapes[i].request);
        assert_non_null(shapes[i].response);
        assert_ptr_equal(bw_api_table_find(bw_api_table[i].path), &bw_api_table[i]);
    }
    assert_null(bw_api_table_find("/bailiwick.v1.MeetingService/Nothing"));
}

/* Straight from google.protobuf.FileDescriptorSet, as reflection serves it: protobuf-c's own descriptors do
 * not say what streams. A method is MethodDescriptorProto {1 name, 2 input, 3 output, 5 client, 6 server}. */
static size_t field_of(const uint8_t *p, const uint8_t *end, uint64_t *number, struct bw_view *bytes,
                       uint64_t *value)
{
    const uint8_t *start = p;
    uint64_t parts[2] = {0, 0};
    for (int part = 0; part < 2; part++) {
        unsigned shift = 0;
        do {
            if (p == end)
                return 0;
            parts[part] |= (uint64_t)(*p & 127) << shift;
            shift += 7;
        } while (*p++ & 128);
    }
    *number = parts[0] >> 3;
    *value = parts[1];
    if ((parts[0] & 7) == 2) {
        if (parts[1] > (uint64_t)(end - p))
            return 0;
        *bytes = bw_view_of(p, (size_t)parts[1]);
        p += parts[1];
    }
    return (size_t)(p - start);
}

static unsigned check_service(struct bw_view service, const char *package)
{
    unsigned methods = 0;
    char name[64] = "";
    for (int pass = 0; pass < 2; pass++) {
        for (size_t at = 0, n; at < service.len; at += n) {
            uint64_t number = 0, value = 0;
            struct bw_view bytes = {NULL, 0};
            n = field_of(service.data + at, service.data + service.len, &number, &bytes, &value);
            assert_true(n > 0);
            if (pass == 0 && number == 1)
                snprintf(name, sizeof name, "%.*s", (int)bytes.len, (const char *)bytes.data);
            if (pass == 0 || number != 2)
                continue;
            char method[64] = "", path[200];
            bool client = false, server = false;
            for (size_t inner = 0, m; inner < bytes.len; inner += m) {
                struct bw_view text = {NULL, 0};
                m = field_of(bytes.data + inner, bytes.data + bytes.len, &number, &text, &value);
                assert_true(m > 0);
                if (number == 1)
                    snprintf(method, sizeof method, "%.*s", (int)text.len, (const char *)text.data);
                client = client || (number == 5 && value);
                server = server || (number == 6 && value);
            }
            snprintf(path, sizeof path, "/%s.%s/%s", package, name, method);
            const struct bw_api_method *row = bw_api_table_find(path);
            if (row == NULL) {
                fail_msg("%s has no row", path);
                return 0;
            }
            assert_int_equal(client,
                             row->streams == BW_API_STREAMS_CLIENT || row->streams == BW_API_STREAMS_BOTH);
            assert_int_equal(server,
                             row->streams == BW_API_STREAMS_SERVER || row->streams == BW_API_STREAMS_BOTH);
            methods++;
        }
    }
    return methods;
}

static void rows_stream_as_the_proto_files_say(void **state)
{
    (void)state;
    struct bw_view set = bw_wire_descriptor_set();
    unsigned methods = 0;
    for (size_t at = 0, n; at < set.len; at += n) {
        uint64_t number = 0, value = 0;
        struct bw_view file = {NULL, 0}, bytes = {NULL, 0};
        n = field_of(set.data + at, set.data + set.len, &number, &file, &value);
        assert_true(n > 0);
        char package[64] = "";
        for (int pass = 0; pass < 2; pass++) {
            for (size_t inner = 0, m; inner < file.len; inner += m) {
                m = field_of(file.data + inner, file.data + file.len, &number, &bytes, &value);
                assert_true(m > 0);
                if (pass == 0 && number == 2)
                    snprintf(package, sizeof package, "%.*s", (int)bytes.len, (const char *)bytes.data);
                if (pass == 1 && number == 6 && strcmp(package, "bailiwick.v1") == 0)
                    methods += check_service(bytes, package);
            }
        }
    }
    assert_int_equal(methods, bw_api_table_count);
}

/* Who may call what, written down a second time, by service: what the interface promises. */
static uint32_t promised(const struct bw_api_method *row)
{
    const char *service = row->service, *name = row->name;
    if (strcmp(service, "MeetingService") == 0)
        return BW_CALLER_APP;
    if (strcmp(name, "GetRefusal") == 0)
        return BW_CALLER_SUPPORT_TIER1 | BW_CALLER_SUPPORT_TIER2 | BW_CALLER_TENANT_ADMIN;
    if (strcmp(service, "PolicyService") == 0)
        return strcmp(name, "ExplainPlacement") == 0 ? BW_CALLER_APP | BW_CALLER_TENANT_ADMIN
                                                     : BW_CALLER_TENANT_ADMIN;
    if (strcmp(service, "RelayService") == 0)
        return BW_CALLER_RELAY;
    if (strcmp(service, "FleetService") == 0)
        return BW_CALLER_OPERATOR;
    if (strcmp(service, "TenantService") == 0)
        return strcmp(name, "CreateTenant") == 0 || strcmp(name, "ListTenants") == 0
                   ? BW_CALLER_OPERATOR
                   : BW_CALLER_OPERATOR | BW_CALLER_TENANT_ADMIN;
    if (strcmp(service, "SupportService") == 0)
        return strcmp(name, "ApproveGrant") == 0
                   ? BW_CALLER_SUPPORT_TIER2 | BW_CALLER_TENANT_ADMIN
                   : BW_CALLER_SUPPORT_TIER1 | BW_CALLER_SUPPORT_TIER2 | BW_CALLER_TENANT_ADMIN;
    if (strcmp(service, "SubjectService") == 0)
        return BW_CALLER_TENANT_ADMIN;
    if (strcmp(service, "KeyService") == 0)
        return BW_CALLER_TENANT_ADMIN | BW_CALLER_KEY_ADMIN;
    return BW_CALLER_TENANT_ADMIN | BW_CALLER_AUDITOR;
}

static void every_role_meets_every_method(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "spiffe://eu.example/app/portal",   "spiffe://eu.example/admin/anna",
        "spiffe://eu.example/operator/ops", "spiffe://eu.example/support/one",
        "spiffe://eu.example/support/two",  "spiffe://eu.example/admin/aud",
        "spiffe://eu.example/admin/keys",   "spiffe://eu.example/relay/par1",
    };
    struct bw_callers *callers = some_callers();
    unsigned allowed = 0, denied = 0;
    for (size_t i = 0; i < bw_api_table_count; i++) {
        for (size_t j = 0; j < BW_ARRAY_LEN(ids); j++) {
            const struct bw_caller *caller = NULL;
            struct bw_error err = {.code = BW_OK};
            enum bw_code code = bw_api_authorise(callers, ids[j], bw_api_table[i].roles, &caller, &err);
            uint32_t role = bw_callers_find(callers, ids[j])->roles;
            if (role & promised(&bw_api_table[i])) {
                assert_int_equal(code, BW_OK);
                assert_string_equal(caller->spiffe_id, ids[j]);
                allowed++;
            } else {
                if (code != BW_PERMISSION_DENIED)
                    fail_msg("%s may call %s", ids[j], bw_api_table[i].path);
                assert_non_null(strstr(err.show, "needs the role"));
                assert_null(caller);
                denied++;
            }
        }
    }
    assert_true(allowed > 60 && denied > 300);
    bw_callers_release(callers);
}

static void strangers_are_told_apart_from_the_unauthenticated(void **state)
{
    (void)state;
    struct bw_callers *callers = some_callers();
    const struct bw_caller *caller;
    struct bw_error err;
    assert_int_equal(bw_api_authorise(callers, NULL, BW_CALLER_ANY, &caller, &err), BW_UNAUTHENTICATED);
    assert_int_equal(
        bw_api_authorise(callers, "spiffe://eu.example/app/nobody", BW_CALLER_ANY, &caller, &err),
        BW_PERMISSION_DENIED);
    assert_string_equal(err.reason, "UNKNOWN_CALLER");
    assert_int_equal(
        bw_api_authorise(callers, "spiffe://eu.example/app/revoked", BW_CALLER_ANY, &caller, &err),
        BW_PERMISSION_DENIED);
    assert_int_equal(
        bw_api_authorise(callers, "spiffe://eu.example/app/portal", BW_CALLER_OPERATOR, &caller, &err),
        BW_PERMISSION_DENIED);
    assert_non_null(strstr(err.show, "operator"));
    bw_callers_release(callers);
}

static void nobody_learns_of_tenants_that_are_not_theirs(void **state)
{
    (void)state;
    struct bw_callers *callers = some_callers();
    const struct bw_caller *app = bw_callers_find(callers, "spiffe://eu.example/app/portal");
    const struct bw_caller *ops = bw_callers_find(callers, "spiffe://eu.example/operator/ops");
    const struct bw_known_tenant *tenant = NULL;
    struct bw_error known, unknown, err;
    assert_int_equal(bw_api_bind(callers, app, "chu-lyon", &tenant, &err), BW_OK);
    assert_true(bw_id_equal(&tenant->id, &ours));
    assert_int_equal(bw_api_bind(callers, app, "acme", &tenant, &known), BW_PERMISSION_DENIED);
    assert_int_equal(bw_api_bind(callers, app, "void", &tenant, &unknown), BW_PERMISSION_DENIED);
    /* Word for word the same but for the name they asked about. */
    char *name = strstr(known.show, "acme");
    assert_non_null(name);
    memcpy(name, "void", 4);
    assert_string_equal(known.show, unknown.show);
    assert_string_equal(known.reason, unknown.reason);

    assert_int_equal(bw_api_bind(callers, ops, "acme", &tenant, &err), BW_OK);
    assert_true(bw_id_equal(&tenant->id, &theirs));
    assert_int_equal(bw_api_bind(callers, ops, "void", &tenant, &err), BW_NOT_FOUND);
    bw_callers_release(callers);
}

static void callers_are_found_by_id_name_and_place(void **state)
{
    (void)state;
    struct bw_callers *callers = some_callers();
    assert_string_equal(bw_callers_tenant_by_id(callers, &far)->name, "berne");
    const struct bw_id none = {{9}};
    assert_null(bw_callers_tenant_by_id(callers, &none));
    assert_string_equal(bw_callers_tenant_at(callers, 0)->name, "acme");
    assert_string_equal(bw_callers_tenant_at(callers, 2)->name, "chu-lyon");
    assert_null(bw_callers_tenant_at(callers, 3));
    size_t count = 0;
    while (bw_callers_at(callers, count) != NULL)
        count++;
    assert_int_equal(count, 9);
    assert_int_equal(bw_callers_find(callers, "spiffe://eu.example/relay/par1")->roles, BW_CALLER_RELAY);
    bw_callers_release(bw_callers_retain(callers));
    bw_callers_release(callers);

    struct bw_callers *empty = bw_callers_create(NULL, 0, NULL, 0, NULL, 0);
    assert_null(bw_callers_find(empty, "spiffe://eu.example/app/portal"));
    assert_null(bw_callers_tenant(empty, "acme"));
    assert_null(bw_callers_tenant_by_id(empty, &ours));
    bw_callers_release(empty);
}

static bool make_callers(void *context)
{
    (void)context;
    struct bw_callers *callers = some_callers();
    bw_callers_release(callers);
    return callers != NULL;
}

static void callers_survive_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(make_callers, NULL, true) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_of_the_proto_files_has_its_row),
        cmocka_unit_test(rows_stream_as_the_proto_files_say),
        cmocka_unit_test(every_role_meets_every_method),
        cmocka_unit_test(strangers_are_told_apart_from_the_unauthenticated),
        cmocka_unit_test(nobody_learns_of_tenants_that_are_not_theirs),
        cmocka_unit_test(callers_are_found_by_id_name_and_place),
        cmocka_unit_test(callers_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
