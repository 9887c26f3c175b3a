/* Tenants, policies, credentials, relays and sessions, and reading the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/reference.h"
#include "fixture.h"
#include "runtime/clock.h"
#include "store/decisions.h"
#include "store/tenants.h"

static int fixture_setup(void **state)
{
    struct bw_fixture *fixture = calloc(1, sizeof *fixture);
    bw_fixture_init(fixture, 20);
    *state = fixture;
    return 0;
}

static int fixture_teardown(void **state)
{
    bw_fixture_finish(*state);
    free(*state);
    return 0;
}

static void a_tenant_is_created_once_a_request(void **state)
{
    struct bw_fixture *fixture = *state;
    struct bw_id id = bw_random_id(&fixture->random), request = bw_random_id(&fixture->random), first = id;
    MUST(bw_store_tenant_create(fixture->db, &id, "acme", "eu", &request, err));
    id = bw_random_id(&fixture->random);
    MUST(bw_store_tenant_create(fixture->db, &id, "acme", "eu", &request, err));
    assert_true(bw_id_equal(&id, &first));
    struct bw_error error;
    assert_int_equal(bw_store_tenant_create(fixture->db, &id, "acme2", "eu", &request, &error),
                     BW_ALREADY_EXISTS);
    request = bw_random_id(&fixture->random);
    assert_int_equal(bw_store_tenant_create(fixture->db, &id, "acme", "eu", &request, &error),
                     BW_ALREADY_EXISTS);
    assert_string_equal(error.show, "tenant acme exists");
    id = bw_random_id(&fixture->random);
    assert_int_equal(bw_store_tenant_create(fixture->db, &id, "Not A Name", "eu", &request, &error),
                     BW_INVALID_ARGUMENT);

    struct bw_store_tenant tenant;
    MUST(bw_store_tenant_by_name(fixture->db, "acme", &tenant, err));
    assert_true(bw_id_equal(&tenant.id, &first));
    assert_string_equal(tenant.cell, "eu");
    assert_int_equal(tenant.policy_revision, 0);
    assert_true(tenant.created_ms > 1700000000000u);
    MUST(bw_store_tenant_by_id(fixture->db, &first, &tenant, err));
    assert_string_equal(tenant.name, "acme");
    assert_int_equal(bw_store_tenant_by_name(fixture->db, "nobody", &tenant, &error), BW_NOT_FOUND);
}

static bool append_tenant(void *context, const struct bw_store_tenant *tenant)
{
    strcat(context, tenant->name);
    strcat(context, " ");
    return strlen(context) < 30;
}

static void tenants_page_by_name(void **state)
{
    struct bw_fixture *fixture = *state;
    (void)bw_fixture_tenant(fixture, "b-two");
    (void)bw_fixture_tenant(fixture, "a-one");
    (void)bw_fixture_tenant(fixture, "d-four");
    char names[100] = "";
    MUST(bw_store_tenants_read(fixture->db, "", 2, append_tenant, names, err));
    assert_string_equal(names, "a-one b-two ");
    names[0] = '\0';
    MUST(bw_store_tenants_read(fixture->db, "b-two", 100, append_tenant, names, err));
    assert_string_equal(names, "chu-lyon d-four ");
}

struct seen_policy {
    unsigned int count;
    uint32_t revisions[8];
    char yaml[64], note[64];
    uint8_t hash[32];
};

static bool see_policy(void *context, const struct bw_store_policy *policy)
{
    struct seen_policy *seen = context;
    seen->revisions[seen->count++] = policy->revision;
    memset(seen->yaml, 0, sizeof seen->yaml);
    if (policy->yaml.len > 0)
        memcpy(seen->yaml, policy->yaml.data, policy->yaml.len);
    snprintf(seen->note, sizeof seen->note, "%s", policy->note);
    memcpy(seen->hash, policy->hash, sizeof seen->hash);
    return true;
}

static void policies_have_revisions_that_never_change(void **state)
{
    struct bw_fixture *fixture = *state;
    struct bw_store_publish what = {.tenant = fixture->tenant,
                                    .request = bw_random_id(&fixture->random),
                                    .yaml = bw_view_str("a: 1\n"),
                                    .hash = {1, 2, 3},
                                    .author = "spiffe://x/admin/a",
                                    .note = "first \xc3\xa9"};
    struct bw_store_published first, again;
    struct bw_error error;
    MUST(bw_store_policy_publish(fixture->db, &what, &first, err));
    assert_int_equal(first.revision, 1);
    MUST(bw_store_policy_publish(fixture->db, &what, &again, err)); /* the same call again */
    assert_int_equal(again.revision, 1);
    assert_int_equal(bw_fixture_number(fixture, "SELECT count(*) FROM policy_revision"), 1);
    what.hash[0] = 9;
    assert_int_equal(bw_store_policy_publish(fixture->db, &what, &again, &error), BW_ALREADY_EXISTS);

    what.request = bw_random_id(&fixture->random);
    what.if_revision_set = true;
    what.if_revision = 0;
    assert_int_equal(bw_store_policy_publish(fixture->db, &what, &again, &error), BW_ABORTED);
    assert_string_equal(error.reason, "REVISION_CONFLICT");
    what.if_revision = 1;
    what.yaml = bw_view_str("a: 2\n");
    MUST(bw_store_policy_publish(fixture->db, &what, &again, err));
    assert_int_equal(again.revision, 2);
    assert_true(again.group > first.group);

    struct seen_policy seen = {0};
    MUST(bw_store_policy_read(fixture->db, &fixture->tenant, 0, see_policy, &seen, err));
    assert_int_equal(seen.revisions[0], 2);
    assert_string_equal(seen.yaml, "a: 2\n");
    MUST(bw_store_policy_read(fixture->db, &fixture->tenant, 1, see_policy, &seen, err));
    assert_string_equal(seen.yaml, "a: 1\n");
    assert_string_equal(seen.note, "first \xc3\xa9");
    assert_int_equal(seen.hash[2], 3);
    assert_int_equal(bw_store_policy_read(fixture->db, &fixture->tenant, 3, see_policy, &seen, &error),
                     BW_NOT_FOUND);
    seen.count = 0;
    MUST(bw_store_policies_read(fixture->db, &fixture->tenant, 0, 10, see_policy, &seen, err));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.revisions[0], 2);
    seen.count = 0;
    MUST(bw_store_policies_read(fixture->db, &fixture->tenant, 2, 10, see_policy, &seen, err));
    assert_int_equal(seen.count, 1);
    seen.count = 0;
    MUST(bw_store_policies_current(fixture->db, see_policy, &seen, err));
    assert_int_equal(seen.count, 1);

    /* Not by us, and not by hand. */
    static const char *const attempts[] = {
        "UPDATE policy_revision SET note = 'x'", "DELETE FROM policy_revision", "TRUNCATE policy_revision",
        "UPDATE decision SET seq = 1",           "DELETE FROM decision",        "TRUNCATE decision"};
    for (size_t i = 0; i < BW_ARRAY_LEN(attempts); i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "DO $$ BEGIN %s; RAISE 'it worked'; EXCEPTION WHEN SQLSTATE 'BW005' THEN NULL; END $$",
                 attempts[i]);
        (void)bw_pg_cluster_sql(fixture->conninfo, sql);
    }
    /* Erasure says what it is. */
    (void)bw_pg_cluster_sql(fixture->conninfo, "SET bailiwick.erasing = on; DELETE FROM decision");
}

static void a_candidate_is_promoted_only_forwards(void **state)
{
    struct bw_fixture *fixture = *state;
    struct bw_store_publish what = {.tenant = fixture->tenant,
                                    .request = bw_random_id(&fixture->random),
                                    .yaml = bw_view_str("x"),
                                    .author = "a",
                                    .note = "",
                                    .audit = true};
    struct bw_store_published candidate;
    struct bw_store_tenant tenant;
    struct bw_error error;
    uint64_t group;
    MUST(bw_store_policy_publish(fixture->db, &what, &candidate, err));
    MUST(bw_store_tenant_by_id(fixture->db, &fixture->tenant, &tenant, err));
    assert_int_equal(tenant.policy_revision, 0);
    assert_int_equal(tenant.audit_revision, 1);
    assert_int_equal(bw_fixture_publish(fixture, &fixture->tenant), 2); /* enforced meanwhile */
    assert_int_equal(bw_store_policy_promote(fixture->db, &fixture->tenant, 1, -1, &group, &error),
                     BW_FAILED_PRECONDITION);
    what.request = bw_random_id(&fixture->random);
    MUST(bw_store_policy_publish(fixture->db, &what, &candidate, err));
    assert_int_equal(bw_store_policy_promote(fixture->db, &fixture->tenant, 3, 1, &group, &error),
                     BW_ABORTED);
    MUST(bw_store_policy_promote(fixture->db, &fixture->tenant, 3, 2, &group, err));
    MUST(bw_store_tenant_by_id(fixture->db, &fixture->tenant, &tenant, err));
    assert_int_equal(tenant.policy_revision, 3);
    assert_int_equal(tenant.audit_revision, 0);
    MUST(bw_store_policy_promote(fixture->db, &fixture->tenant, 3, 2, &group,
                                 err)); /* again: nothing changes */
}

static bool see_credential(void *context, const struct bw_store_credential *credential)
{
    char *text = context;
    sprintf(text + strlen(text), "%s %s %zu %s;", strrchr(credential->spiffe_id, '/') + 1, credential->role,
            credential->tenant_count, credential->revoked_ms != 0 ? "revoked" : "ok");
    return true;
}

static void credentials_are_issued_replaced_and_revoked(void **state)
{
    struct bw_fixture *fixture = *state;
    struct bw_id tenants[2] = {fixture->tenant, bw_fixture_tenant(fixture, "two")};
    struct bw_id nobody = bw_random_id(&fixture->random);
    struct bw_error error;
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", tenants, 2, NULL, 0, err));
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/operator/op", "operator", NULL, 0, NULL, 0, err));
    assert_int_equal(
        bw_store_credential_issue(fixture->db, "spiffe://x/app/z", "app", &nobody, 1, NULL, 0, &error),
        BW_NOT_FOUND);
    assert_int_equal(
        bw_store_credential_issue(fixture->db, "spiffe://x/app/z", "king", NULL, 0, NULL, 0, &error),
        BW_INVALID_ARGUMENT);
    MUST(bw_store_credential_revoke(fixture->db, "spiffe://x/operator/op", err));
    assert_int_equal(bw_store_credential_revoke(fixture->db, "spiffe://x/app/z", &error), BW_NOT_FOUND);
    char text[512] = "";
    MUST(bw_store_credentials_read(fixture->db, see_credential, text, err));
    assert_string_equal(text, "web app 2 ok;op operator 0 revoked;");
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/operator/op", "auditor", tenants, 1, NULL, 0,
                                   err));
    text[0] = '\0';
    MUST(bw_store_credentials_read(fixture->db, see_credential, text, err));
    assert_string_equal(text, "web app 2 ok;op auditor 1 ok;");
}

static void a_credential_is_replaced_only_by_who_has_seen_it(void **state)
{
    struct bw_fixture *fixture = *state;
    struct bw_id one = fixture->tenant, other = bw_fixture_tenant(fixture, "other");
    struct bw_id both[2] = {one, other}, turned[2] = {other, one};
    struct bw_error error;
    /* Two who saw none issue the same name: the second one does not take it. */
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", &one, 1, NULL, 0, err));
    assert_int_equal(
        bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", &other, 1, NULL, 0, &error),
        BW_ALREADY_EXISTS);
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", &one, 1, NULL, 0, err));
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", both, 2, &one, 1, err));
    assert_int_equal(
        bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", &other, 1, &one, 1, &error),
        BW_ALREADY_EXISTS); /* it has changed since */
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", &other, 1, turned, 2, err));
    char text[512] = "";
    MUST(bw_store_credentials_read(fixture->db, see_credential, text, err));
    assert_string_equal(text, "web app 1 ok;");
    /* What is revoked is nobody's. */
    MUST(bw_store_credential_revoke(fixture->db, "spiffe://x/app/web", err));
    MUST(bw_store_credential_issue(fixture->db, "spiffe://x/app/web", "app", both, 2, NULL, 0, err));
}

static bool see_relay(void *context, const struct bw_store_relay *relay)
{
    struct bw_store_relay *seen = context;
    seen[relay->number] = *relay;
    assert_int_equal(relay->facts.len, 5);
    return true;
}

static void relays_are_enrolled_changed_and_removed(void **state)
{
    struct bw_fixture *fixture = *state;
    uint64_t before = bw_fixture_facts(fixture), revision;
    assert_int_equal(bw_fixture_relay(fixture, "par1", 10), 1);
    assert_int_equal(bw_fixture_relay(fixture, "par2", 20), 2);
    assert_int_equal(bw_fixture_facts(fixture), before + 2);
    struct bw_store_enroll what = {.name = "par1",
                                   .spiffe_id = "spiffe://eu.bailiwick.internal/relay/par1",
                                   .facts = bw_view_str("FACTS"),
                                   .capacity = 15,
                                   .request = bw_random_id(&fixture->random)};
    uint32_t number;
    struct bw_error error;
    assert_int_equal(bw_store_relay_enroll(fixture->db, &what, &number, &revision, &error),
                     BW_ALREADY_EXISTS);
    what.replace = true;
    MUST(bw_store_relay_enroll(fixture->db, &what, &number, &revision, err));
    assert_int_equal(number, 1);
    assert_int_equal(revision, before + 3);
    MUST(bw_store_relay_enroll(fixture->db, &what, &number, &revision, err)); /* the same call again */
    assert_int_equal(bw_fixture_facts(fixture), before + 3);
    what.spiffe_id = "spiffe://eu.bailiwick.internal/relay/par2";
    assert_int_equal(bw_store_relay_enroll(fixture->db, &what, &number, &revision, &error),
                     BW_ALREADY_EXISTS);

    uint64_t deadline = bw_clock_wall_ms() + 60000;
    MUST(bw_store_relay_set_state(fixture->db, "par2", BW_STORE_RELAY_DRAINING, deadline, "new disks",
                                  &revision, err));
    assert_int_equal(revision, before + 4);
    MUST(bw_store_relay_set_state(fixture->db, "par2", BW_STORE_RELAY_DRAINING, deadline, "new disks",
                                  &revision, err));
    assert_int_equal(revision, before + 4);
    assert_int_equal(
        bw_store_relay_set_state(fixture->db, "par9", BW_STORE_RELAY_CORDONED, 0, "", &revision, &error),
        BW_NOT_FOUND);
    struct bw_store_relay seen[4] = {0};
    MUST(bw_store_relays_read(fixture->db, false, see_relay, seen, &revision, err));
    assert_int_equal(revision, before + 4);
    assert_string_equal(seen[1].name, "par1");
    assert_int_equal(seen[1].capacity, 15);
    assert_int_equal(seen[1].session_epoch, 0);
    assert_int_equal(seen[2].state, BW_STORE_RELAY_DRAINING);
    assert_int_equal(seen[2].drain_deadline_ms, deadline);
    assert_string_equal(seen[2].reason, "new disks");
    assert_string_equal(seen[1].reason, "");
    assert_int_equal(seen[2].facts_revision, before + 4);

    /* Removed, then enrolled anew under another number. */
    MUST(bw_store_relay_set_state(fixture->db, "par2", BW_STORE_RELAY_REMOVED, 0, "", &revision, err));
    MUST(bw_store_relay_set_state(fixture->db, "par2", BW_STORE_RELAY_REMOVED, 0, "", &revision, err));
    assert_int_equal(bw_fixture_relay(fixture, "par2", 20), 3);
    memset(seen, 0, sizeof seen);
    MUST(bw_store_relays_read(fixture->db, false, see_relay, seen, &revision, err));
    assert_int_equal(seen[2].number, 0);
    assert_int_equal(seen[3].number, 3);
    MUST(bw_store_relays_read(fixture->db, true, see_relay, seen, &revision, err));
    assert_int_equal(seen[2].state, BW_STORE_RELAY_REMOVED);
}

static void a_session_is_fenced_by_its_epoch(void **state)
{
    struct bw_fixture *fixture = *state;
    uint32_t relays[] = {bw_fixture_relay(fixture, "par1", 10), bw_fixture_relay(fixture, "par2", 10)};
    struct bw_id boot = bw_random_id(&fixture->random);
    struct bw_store_replica_key other = {.id = bw_random_id(&fixture->random)};
    uint64_t epochs[2], newer, revision;
    MUST(bw_store_replica_register(fixture->db, &other.id, "localhost:2", 60000, &other.epoch, err));
    for (int i = 0; i < 2; i++)
        MUST(bw_store_session_open(fixture->db, &fixture->replica, relays[i], &boot, 10000, &epochs[i], err));
    assert_int_equal(epochs[0], 1);
    bool lost[2] = {true, true};
    MUST(bw_store_sessions_renew(fixture->db, &fixture->replica, relays, epochs, 2, 10000, lost, err));
    assert_false(lost[0] || lost[1]);
    /* The relay says Hello to another replica. */
    MUST(bw_store_session_open(fixture->db, &other, relays[0], &boot, 10000, &newer, err));
    assert_int_equal(newer, 2);
    MUST(bw_store_sessions_renew(fixture->db, &fixture->replica, relays, epochs, 2, 10000, lost, err));
    assert_true(lost[0]);
    assert_false(lost[1]);
    struct bw_store_relay seen[3] = {0};
    MUST(bw_store_relays_read(fixture->db, false, see_relay, seen, &revision, err));
    assert_int_equal(seen[1].session_epoch, 2);
    assert_true(bw_id_equal(&seen[1].session_replica, &other.id));
    assert_true(bw_id_equal(&seen[1].session_boot, &boot));
    assert_in_range(seen[1].session_lease_ms, 1, 10000);
    /* A removed relay has no session, a fenced replica renews none. */
    MUST(bw_store_relay_set_state(fixture->db, "par2", BW_STORE_RELAY_REMOVED, 0, "", &revision, err));
    MUST(bw_store_sessions_renew(fixture->db, &fixture->replica, relays, epochs, 2, 10000, lost, err));
    assert_true(lost[1]);
    struct bw_error error;
    assert_int_equal(
        bw_store_session_open(fixture->db, &fixture->replica, relays[1], &boot, 10000, &newer, &error),
        BW_NOT_FOUND);
    uint64_t group;
    MUST(bw_store_replica_fence(fixture->db, &fixture->replica, true, &group, err));
    assert_int_equal(
        bw_store_sessions_renew(fixture->db, &fixture->replica, relays, epochs, 2, 10000, lost, &error),
        BW_FAILED_PRECONDITION);
}

static bool see_replica(void *context, const struct bw_store_replica *replica)
{
    struct bw_store_replica *seen = context;
    if (bw_id_equal(&seen->key.id, &replica->key.id))
        *seen = *replica;
    return true;
}

static void a_replica_is_fenced_once_its_lease_has_ended(void **state)
{
    struct bw_fixture *fixture = *state;
    struct bw_store_replica seen = {.key = fixture->replica};
    MUST(bw_store_replicas_read(fixture->db, see_replica, &seen, err));
    assert_false(seen.fenced);
    assert_in_range(seen.lease_left_ms, 3500000, 3600000);
    MUST(bw_store_replica_renew(fixture->db, &fixture->replica, 0, err));
    uint64_t group, again;
    MUST(bw_store_replica_fence(fixture->db, &fixture->replica, false, &group, err));
    MUST(bw_store_replica_fence(fixture->db, &fixture->replica, false, &again, err));
    assert_int_equal(again, group);
    MUST(bw_store_replicas_read(fixture->db, see_replica, &seen, err));
    assert_true(seen.fenced);
    assert_int_equal(seen.lease_left_ms, 0);
}

/* ---- reading the log --------------------------------------------------------------------------------- */

enum { MEETINGS = 40 };

struct log_scene {
    struct bw_fixture fixture;
    struct bw_id meetings[MEETINGS];
    uint32_t chain[MEETINGS];
};

/* Meetings a minute apart, each with a chain of one to five rows. */
static void write_log(struct log_scene *scene)
{
    bw_fixture_init(&scene->fixture, 30);
    struct bw_store_writer_config config = bw_fixture_config(&scene->fixture);
    struct bw_bench bench;
    bw_bench_init(&bench, &config);
    static struct bw_waited waited[MEETINGS][5];
    uint64_t facts = bw_fixture_facts(&scene->fixture);
    for (uint32_t i = 0; i < MEETINGS; i++) {
        uint8_t random[10];
        uint64_t word = bw_random_next(&scene->fixture.random);
        memcpy(random, &word, 8);
        random[8] = random[9] = (uint8_t)i;
        scene->meetings[i] = bw_id_v7(1795000000000u + 60000 * i, random);
        scene->chain[i] = 1 + i % 5;
        for (uint32_t seq = 0; seq < scene->chain[i]; seq++) {
            struct bw_store_row row = bw_fixture_row(&scene->fixture, &scene->meetings[i], seq, facts);
            uint32_t relays[] = {i % 3 + 1, 7};
            row.relays = relays;
            row.relay_count = 1 + seq % 2;
            bw_bench_submit(&bench, &row, &waited[i][seq]);
        }
    }
    for (uint32_t i = 0; i < MEETINGS; i++)
        for (uint32_t seq = 0; seq < scene->chain[i]; seq++) {
            bw_bench_wait(&bench, &waited[i][seq]);
            assert_int_equal(waited[i][seq].result.outcome, BW_STORE_COMMITTED);
        }
    bw_bench_finish(&bench, 0);
}

struct cursor {
    const struct log_scene *scene;
    uint32_t meeting, seq, rows, stop_after;
};

static bool expect_next(void *context, const struct bw_store_decision *decision)
{
    struct cursor *cursor = context;
    assert_true(bw_id_equal(&decision->meeting, &cursor->scene->meetings[cursor->meeting]));
    assert_int_equal(decision->seq, cursor->seq);
    assert_int_equal(decision->relays[0], cursor->meeting % 3 + 1);
    cursor->rows++;
    if (++cursor->seq == cursor->scene->chain[cursor->meeting]) {
        cursor->meeting++;
        cursor->seq = 0;
    }
    return cursor->rows != cursor->stop_after;
}

static void live_meetings_are_read_by_time_in_chunks_of_any_size(void **state)
{
    (void)state;
    struct log_scene scene;
    write_log(&scene);
    static const uint32_t chunks[] = {1, 2, 7, 24, 1000, 0};
    for (size_t i = 0; i < BW_ARRAY_LEN(chunks); i++) {
        struct cursor cursor = {.scene = &scene, .meeting = 32};
        MUST(bw_store_decisions_since(scene.fixture.db, 1795000000000u + 60000 * 32, chunks[i], expect_next,
                                      &cursor, err));
        assert_int_equal(cursor.meeting, MEETINGS);
        assert_int_equal(cursor.rows, 27); /* the chains of 32 to 39: 3+4+5+1+2+3+4+5 */
    }
    struct cursor stopped = {.scene = &scene, .stop_after = 4};
    MUST(bw_store_decisions_since(scene.fixture.db, 0, 3, expect_next, &stopped, err));
    assert_int_equal(stopped.rows, 4);
    struct cursor one = {.scene = &scene, .meeting = 14, .seq = 2};
    MUST(bw_store_decisions_of(scene.fixture.db, &scene.meetings[14], 2, expect_next, &one, err));
    assert_int_equal(one.rows, 3);
    bw_fixture_finish(&scene.fixture);
}

static bool see_key(void *context, const struct bw_store_decision *decision)
{
    struct bw_store_key *next = *(struct bw_store_key **)context;
    assert_true(bw_id_equal(&decision->meeting, &next->meeting));
    assert_int_equal(decision->seq, next->seq);
    (*(struct bw_store_key **)context)++;
    return true;
}

static void rows_are_found_by_key_and_by_reference(void **state)
{
    (void)state;
    struct log_scene scene;
    write_log(&scene);
    struct bw_store_key keys[] = {{scene.meetings[30], 0}, {scene.meetings[4], 4}, {scene.meetings[9], 2}};
    struct bw_store_key *at = keys;
    MUST(bw_store_decisions_by_key(scene.fixture.db, keys, 3, see_key, &at, err));
    assert_ptr_equal(at, keys + 3);
    struct bw_store_key missing = {scene.meetings[30], 9};
    at = &missing;
    MUST(bw_store_decisions_by_key(scene.fixture.db, &missing, 1, see_key, &at, err));
    assert_ptr_equal(at, &missing);

    char reference[BW_REFERENCE_SIZE];
    bw_reference_format(&scene.meetings[9], 2, reference);
    at = &keys[2];
    MUST(bw_store_decisions_by_reference(scene.fixture.db, bw_view_str(reference), see_key, &at, err));
    assert_ptr_equal(at, keys + 3);
    bw_reference_format(&scene.meetings[9], 77, reference);
    at = &missing;
    MUST(bw_store_decisions_by_reference(scene.fixture.db, bw_view_str(reference), see_key, &at, err));
    assert_ptr_equal(at, &missing);
    struct bw_error error;
    assert_int_equal(
        bw_store_decisions_by_reference(scene.fixture.db, bw_view_str("what?"), see_key, &at, &error),
        BW_INVALID_ARGUMENT);
    bw_fixture_finish(&scene.fixture);
}

struct tally {
    const struct log_scene *scene;
    unsigned int decisions, keys, events[6];
    uint64_t last;
};

static bool tally_group(void *context, const struct bw_store_group *group)
{
    struct tally *tally = context;
    tally->events[group->event]++;
    tally->last = group->number;
    if (group->event != BW_STORE_EVENT_DECISIONS)
        return true;
    tally->decisions++;
    uint32_t from = 0;
    for (size_t i = 0; i < group->key_count; i++) {
        assert_int_equal(group->relay_ends[i] - from, 1 + group->seqs[i] % 2);
        uint32_t minute = (uint32_t)((bw_id_time_ms(&group->meetings[i]) - 1795000000000u) / 60000);
        assert_int_equal(group->key_relays[from], minute % 3 + 1);
        from = group->relay_ends[i];
    }
    tally->keys += (unsigned int)group->key_count;
    for (size_t i = 1; i < group->relay_count; i++)
        assert_true(group->relays[i] > group->relays[i - 1]);
    assert_true(group->relay_count > 0);
    return true;
}

static void the_group_index_tells_what_changed_and_for_whom(void **state)
{
    (void)state;
    struct log_scene scene;
    write_log(&scene);
    (void)bw_fixture_publish(&scene.fixture, &scene.fixture.tenant);
    (void)bw_fixture_relay(&scene.fixture, "par1", 1);
    struct tally tally = {.scene = &scene};
    struct bw_store_heads heads;
    MUST(bw_store_groups_read(scene.fixture.db, 0, 1000, NULL, tally_group, &tally, &heads, err));
    assert_int_equal(tally.keys, 120);
    assert_int_equal(tally.events[BW_STORE_EVENT_POLICY], 1);
    assert_int_equal(tally.events[BW_STORE_EVENT_FACTS], 1);
    assert_int_equal(tally.events[BW_STORE_EVENT_TENANT], 1);
    assert_int_equal(tally.events[BW_STORE_EVENT_REPLICA], 1);
    assert_int_equal(tally.last, heads.group);
    assert_int_equal(heads.facts_revision, bw_fixture_facts(&scene.fixture));

    /* One's own keys may be left out; a limit cuts; nothing new is nothing. */
    struct tally own = {.scene = &scene}, none = {.scene = &scene}, two = {.scene = &scene};
    MUST(bw_store_groups_read(scene.fixture.db, 0, 1000, &scene.fixture.replica.id, tally_group, &own, &heads,
                              err));
    assert_int_equal(own.keys, 0);
    assert_int_equal(own.decisions, tally.decisions);
    MUST(bw_store_groups_read(scene.fixture.db, heads.group, 1000, NULL, tally_group, &none, &heads, err));
    assert_int_equal(none.last, 0);
    MUST(bw_store_groups_read(scene.fixture.db, 0, 2, NULL, tally_group, &two, &heads, err));
    assert_int_equal(two.last, 2);

    /* Compacted: a reader from before is told to reload, one from the point on goes on. */
    MUST(bw_store_groups_compact(scene.fixture.db, 2, err));
    struct tally late = {.scene = &scene}, fresh = {.scene = &scene};
    MUST(bw_store_groups_read(scene.fixture.db, 1, 1000, NULL, tally_group, &late, &heads, err));
    assert_int_equal(late.last, 0);
    assert_int_equal(heads.compacted, 2);
    MUST(bw_store_groups_read(scene.fixture.db, 2, 1000, NULL, tally_group, &fresh, &heads, err));
    assert_int_equal(fresh.last, heads.group);
    MUST(bw_store_groups_compact(scene.fixture.db, 1000000, err)); /* never past the head */
    MUST(bw_store_heads_read(scene.fixture.db, &heads, err));
    assert_int_equal(heads.compacted, heads.group);
    bw_fixture_finish(&scene.fixture);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_tenant_is_created_once_a_request),
        FIXTURE_TEST(tenants_page_by_name),
        FIXTURE_TEST(policies_have_revisions_that_never_change),
        FIXTURE_TEST(a_candidate_is_promoted_only_forwards),
        FIXTURE_TEST(credentials_are_issued_replaced_and_revoked),
        FIXTURE_TEST(a_credential_is_replaced_only_by_who_has_seen_it),
        FIXTURE_TEST(relays_are_enrolled_changed_and_removed),
        FIXTURE_TEST(a_session_is_fenced_by_its_epoch),
        FIXTURE_TEST(a_replica_is_fenced_once_its_lease_has_ended),
        cmocka_unit_test(live_meetings_are_read_by_time_in_chunks_of_any_size),
        cmocka_unit_test(rows_are_found_by_key_and_by_reference),
        cmocka_unit_test(the_group_index_tells_what_changed_and_for_whom),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
