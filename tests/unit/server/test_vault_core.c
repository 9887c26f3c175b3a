/* What the vault does with a request: keys made ahead, metadata opened for those who may see it, masked and
 * audited, meetings erased, and what it says when the root keys are not the right ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check_alloc.h"
#include "ledger/decision.h"
#include "vault_world.h"

static const char *const users[] = {"jeanne@chu-lyon.example", "karl@acme.example", "x@y.example"};
static const char addresses[] = {(char)198, 51, 100, 77, (char)203, 0, 113, 9, 10, 1, 2, 3};
static struct world world;

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_finish(&world);
    return 0;
}

/* The roster as it left, decoded. */
static size_t opened_people(struct bw_roster_entry *people, uint32_t *masked, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < world.reply_count; i++) {
        struct bw_reader rows = bw_vault_rows(&world.replies[i].reply);
        struct bw_vault_row row;
        while (bw_vault_next_row(&rows, &row)) {
            assert_true(count < max);
            assert_int_equal(bw_roster_entry_decode(row.payload, &people[count], NULL), BW_OK);
            masked[count++] = row.masked;
        }
    }
    return count;
}

static void assert_text(struct bw_view view, const char *text)
{
    if (!bw_view_equal_str(view, text))
        fail_msg("\"%.*s\" is not \"%s\"", (int)view.len, (const char *)view.data, text);
}

static void assert_error(const struct bw_vault_reply *reply, enum bw_code code, const char *reason)
{
    assert_non_null(reply);
    assert_int_equal(reply->type, BW_VAULT_ERROR);
    assert_int_equal(reply->code, code);
    assert_text(reply->reason, reason);
    assert_true(reply->text.len > 0);
    assert_int_equal(world.reply_count, 1); /* and nothing was shown before */
}

static void scope_keys_are_made_once_for_today_and_tomorrow(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    assert_int_equal(world.scope_count, 2);
    assert_int_equal(world.scopes[0].day, bw_scope_day(world.now_ms));
    assert_int_equal(world.scopes[1].day, bw_scope_day(world.now_ms) + 1);
    assert_string_equal(world.scopes[0].root, "root-1");
    world_learn_scopes(&world);
    world_restart(&world);
    world_learn_scopes(&world);
    assert_int_equal(world.scope_count, 2);
    world.now_ms += BW_SCOPE_DAY_MS;
    world_learn_scopes(&world);
    assert_int_equal(world.scope_count, 3);
}

static void a_stored_scope_key_that_is_not_ours_is_not_handed_out(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world.scopes[0].public_key[3] ^= 1;
    struct bw_buf names = {0};
    const struct bw_vault_scope_name name = {.tenant = world.tenant};
    bw_vault_append_scope_name(&name, &names);
    const struct bw_vault_request request = {
        .type = BW_VAULT_ENSURE_SCOPES, .scope_count = 1, .scopes = bw_buf_view(&names)};
    assert_error(world_ask(&world, &request), BW_DATA_LOSS, "SCOPE_KEY_UNSIGNED");
    bw_buf_finish(&names);
}

/* Whoever changes the service key finds today's and tomorrow's keys signed by the one before. */
static void a_key_that_the_keyring_wrapped_is_signed_anew(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    for (size_t i = 0; i < world.scope_count; i++)
        world.scopes[i].signature[5] ^= 1;
    world_learn_scopes(&world); /* verifies */
    assert_int_equal(world.scope_count, 2);
}

static void a_bad_key_of_one_tenant_leaves_the_others_theirs(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world.scopes[1].public_key[3] ^= 1; /* of tomorrow: nothing of this tenant is told */
    struct bw_buf names = {0};
    const struct bw_vault_scope_name bad = {.tenant = world.tenant}, good = {.tenant = world_id(&world)};
    bw_vault_append_scope_name(&bad, &names);
    bw_vault_append_scope_name(&good, &names);
    const struct bw_vault_request request = {
        .type = BW_VAULT_ENSURE_SCOPES, .scope_count = 2, .scopes = bw_buf_view(&names)};
    const struct bw_vault_reply *reply = world_ask(&world, &request);
    assert_int_equal(reply->type, BW_VAULT_SCOPES);
    assert_int_equal(reply->scope_count, 2);
    for (uint32_t i = 0; i < reply->scope_count; i++) {
        struct bw_scope_public scope;
        bw_vault_scope_at(reply, i, &scope);
        assert_true(bw_id_equal(&scope.tenant, &good.tenant));
    }
    bw_buf_finish(&names);
}

static void tier_2_and_administrators_see_masked_people(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    static const enum bw_vault_role roles[] = {BW_VAULT_ROLE_TIER2, BW_VAULT_ROLE_TENANT_ADMIN};
    for (size_t i = 0; i < 2; i++) {
        struct bw_roster_entry people[8];
        uint32_t masked[8];
        const struct bw_vault_request request = world_open(&world, BW_VAULT_ROSTER, roles[i], NULL);
        const struct bw_vault_reply *reply = world_ask(&world, &request);
        assert_int_equal(reply->type, BW_VAULT_OPENED);
        assert_true(reply->last);
        assert_false(reply->cut);
        assert_int_equal(reply->id, 5);
        assert_int_equal(opened_people(people, masked, 8), 3);
        assert_text(people[0].user, "j***@chu-lyon.example");
        assert_text(people[1].user, "k***@acme.example");
        assert_text(people[2].user, "***@y.example"); /* one letter would be all of it */
        static const uint8_t prefix[] = {198, 51, 100, 0};
        assert_int_equal(people[0].address.len, 4);
        assert_memory_equal(people[0].address.data, prefix, 4);
        assert_int_equal(people[1].slot, 3);
        assert_int_equal(masked[0], 1u << BW_ROSTER_TAG_USER | 1u << BW_ROSTER_TAG_ADDRESS);
    }
}

static void tier_1_sees_numbers_and_the_one_it_asks_about(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    struct bw_roster_entry people[8] = {0};
    uint32_t masked[8];
    struct bw_vault_request request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TIER1, NULL);
    (void)world_ask(&world, &request);
    assert_int_equal(opened_people(people, masked, 8), 3);
    for (size_t i = 0; i < 3; i++) {
        char number[32];
        snprintf(number, sizeof number, "participant %zu", i + 1);
        assert_text(people[i].user, number);
        assert_int_equal(people[i].address.len, 0);
    }
    request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TIER1, "karl@acme.example");
    (void)world_ask(&world, &request);
    assert_int_equal(opened_people(people, masked, 8), 3);
    assert_text(people[0].user, "participant 1");
    assert_text(people[1].user, "k***@acme.example");
    assert_int_equal(people[0].address.len, 0);
    assert_int_equal(people[1].address.len, 4);
}

static void nothing_readable_leaves_before_the_audit(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    world_seal_chunk(&world, 2, 100);
    static const enum bw_vault_what whats[] = {BW_VAULT_ROSTER, BW_VAULT_CHUNKS};
    for (size_t i = 0; i < 2; i++) {
        const struct bw_vault_request request = world_open(&world, whats[i], BW_VAULT_ROLE_TIER2, NULL);
        world.audits = 0;
        assert_int_equal(world_ask(&world, &request)->type, BW_VAULT_OPENED);
        assert_int_equal(world.audits_at_first_part, 1);
        assert_int_equal(world.audits, 1);
        assert_string_equal(world.last_outcome, "allowed");
        world.audit_fails = true;
        assert_error(world_ask(&world, &request), BW_UNAVAILABLE, "AUDIT_UNAVAILABLE");
        world.audit_fails = false;
    }
}

static void who_may_not_ask_is_refused_and_written_down(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    struct bw_vault_request request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_SYSTEM, NULL);
    assert_error(world_ask(&world, &request), BW_PERMISSION_DENIED, "");
    assert_int_equal(world.audits, 1);
    assert_string_equal(world.last_outcome, "PERMISSION_DENIED");
    request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TIER2, NULL);
    request.caller.grant = world_id(&world);
    assert_error(world_ask(&world, &request), BW_UNIMPLEMENTED, "");
    request.caller.grant = (struct bw_id){{0}};
    request.tenant = world_id(&world);
    assert_error(world_ask(&world, &request), BW_NOT_FOUND, "NO_MEETING");
    request = world_open(&world, BW_VAULT_CHUNKS, BW_VAULT_ROLE_TIER2, NULL);
    request.meeting = (struct bw_id){{0}};
    assert_error(world_ask(&world, &request), BW_INVALID_ARGUMENT, "");
}

static void a_row_in_another_place_does_not_open(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    world_seal_chunk(&world, 2, 100);
    struct bw_vault_request request = world_open(&world, BW_VAULT_CHUNKS, BW_VAULT_ROLE_TIER2, NULL);
    struct bw_id right = world.chunks[0].id;
    world.chunks[0].id = world_id(&world);
    assert_int_equal(world_ask(&world, &request)->code, BW_DATA_LOSS);
    world.chunks[0].id = right;
    assert_int_equal(world_ask(&world, &request)->type, BW_VAULT_OPENED);
    /* A decision that names another's entry. */
    request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TIER2, NULL);
    world.places[1].index = 0;
    assert_int_equal(world_ask(&world, &request)->code, BW_DATA_LOSS);
    assert_text(world.replies[0].reply.reason, "ROSTER_ENTRY_MISSING");
}

static void many_rows_come_in_parts_and_no_more_than_asked_for(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    for (uint32_t i = 0; i < 6; i++)
        world_seal_chunk(&world, i + 2, 400000);
    struct bw_vault_request request = world_open(&world, BW_VAULT_CHUNKS, BW_VAULT_ROLE_TIER1, NULL);
    const struct bw_vault_reply *last = world_ask(&world, &request);
    size_t rows = 0;
    for (size_t i = 0; i < world.reply_count; i++) {
        assert_int_equal(world.replies[i].reply.last, i + 1 == world.reply_count);
        rows += world.replies[i].reply.row_count;
    }
    assert_true(world.reply_count > 1);
    assert_int_equal(rows, 6);
    assert_false(last->cut);
    request.max_rows = 2;
    last = world_ask(&world, &request);
    assert_true(last->last);
    assert_true(last->cut);
    request.max_rows = 1000;
    request.slot = 4;
    last = world_ask(&world, &request);
    assert_int_equal(last->row_count, 1);
    request.slot_to = 6;
    rows = 0;
    (void)world_ask(&world, &request);
    for (size_t i = 0; i < world.reply_count; i++)
        rows += world.replies[i].reply.row_count;
    assert_int_equal(rows, 3);
    world.deaf = true; /* who asked has gone */
    assert_null(world_ask(&world, &request));
    world.deaf = false;
}

static bool try_open(void *context)
{
    const struct bw_vault_request request =
        world_open(&world, *(enum bw_vault_what *)context, BW_VAULT_ROLE_TIER2, NULL);
    return world_try(&world, &request);
}

static void memory_that_is_out_is_said_and_nothing_else_is_lost(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    for (uint32_t i = 0; i < 3; i++)
        world_seal_chunk(&world, i + 2, 100000);
    enum bw_vault_what what = BW_VAULT_ROSTER;
    assert_true(bw_fail_each_allocation(try_open, &what, true) > 0);
    what = BW_VAULT_CHUNKS;
    assert_true(bw_fail_each_allocation(try_open, &what, true) > 0);
    assert_true(try_open(&what));
}

static struct bw_vault_request erasure(void)
{
    struct bw_vault_request request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TENANT_ADMIN, NULL);
    request.type = BW_VAULT_ERASE;
    request.erasure = BW_VAULT_ERASE_MEETING;
    return request;
}

static void an_erased_meeting_cannot_be_opened_and_has_a_receipt(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    struct bw_vault_request request = erasure();
    world.last_kind = BW_DECISION_JOINED;
    assert_error(world_ask(&world, &request), BW_FAILED_PRECONDITION, "MEETING_LIVE");
    world.last_kind = BW_DECISION_ENDED;
    request.caller.role = BW_VAULT_ROLE_TIER2;
    assert_error(world_ask(&world, &request), BW_PERMISSION_DENIED, "");
    request = erasure();
    request.erasure = BW_VAULT_ERASE_TENANT;
    assert_error(world_ask(&world, &request), BW_UNIMPLEMENTED, "");
    request = erasure();
    world.audit_fails = true;
    assert_error(world_ask(&world, &request), BW_UNAVAILABLE, "AUDIT_UNAVAILABLE");
    assert_int_equal(world.key_count, 2);
    world.audit_fails = false;
    /* Opened just before: the vault has its keys in memory. */
    const struct bw_vault_request open = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TIER2, NULL);
    assert_int_equal(world_ask(&world, &open)->type, BW_VAULT_OPENED);

    const struct bw_vault_reply *reply = world_ask(&world, &request);
    assert_int_equal(reply->type, BW_VAULT_RECEIPT);
    struct bw_vault_receipt first = reply->receipt;
    struct bw_ed25519_verifier *service;
    assert_int_equal(bw_ed25519_verifier_create(world.service_public, &service, NULL), BW_OK);
    assert_true(bw_vault_receipt_verify(&first, service));
    assert_true(bw_id_equal(&first.meeting, &world.meeting));
    assert_int_equal(first.meeting_keys, 1);
    first.meeting_keys = 2;
    assert_false(bw_vault_receipt_verify(&first, service));
    bw_ed25519_verifier_destroy(service);

    assert_error(world_ask(&world, &open), BW_NOT_FOUND, "ERASED");
    world_restart(&world);
    assert_error(world_ask(&world, &open), BW_NOT_FOUND, "ERASED");
    /* The same request again; another meeting under it. */
    reply = world_ask(&world, &request);
    assert_int_equal(reply->type, BW_VAULT_RECEIPT);
    assert_true(bw_id_equal(&reply->receipt.id, &first.id));
    request.meeting = world_id(&world);
    assert_error(world_ask(&world, &request), BW_ALREADY_EXISTS, "DUPLICATE_REQUEST");
}

static const struct bw_vault_reply *state_of(void)
{
    const struct bw_vault_request request = {.type = BW_VAULT_STATUS};
    return world_ask(&world, &request);
}

static void another_keyring_is_misconfigured_and_opens_and_wraps_nothing(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world_seal_roster(&world, users, addresses, 3);
    assert_int_equal(state_of()->state, BW_PROVIDER_OK);
    char right[sizeof world.keyring];
    memcpy(right, world.keyring, sizeof right);
    char *digit = strstr(world.keyring, "root-1 ");
    assert_non_null(digit);
    digit += strlen("root-1 ");
    *digit = *digit == '0' ? '1' : '0';
    world_restart(&world);
    const struct bw_vault_reply *reply = state_of();
    assert_string_equal(bw_vault_state_name(reply->state), "MISCONFIGURED");
    assert_true(reply->text.len > 0);
    const struct bw_vault_request open = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TIER2, NULL);
    assert_error(world_ask(&world, &open), BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE");
    struct bw_buf names = {0};
    const struct bw_vault_scope_name name = {.tenant = world_id(&world)};
    bw_vault_append_scope_name(&name, &names);
    const struct bw_vault_request ensure = {
        .type = BW_VAULT_ENSURE_SCOPES, .scope_count = 1, .scopes = bw_buf_view(&names)};
    assert_error(world_ask(&world, &ensure), BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE");
    assert_int_equal(world.scope_count, 2);
    /* Put back, it is found without a restart. */
    memcpy(world.keyring, right, sizeof right);
    bw_vault_core_probe(world.core);
    assert_int_equal(world_ask(&world, &open)->type, BW_VAULT_OPENED);
    assert_int_equal(world_ask(&world, &ensure)->type, BW_VAULT_SCOPES);
    bw_buf_finish(&names);
}

static void a_missing_keyring_is_said_and_found_when_it_comes(void **state)
{
    (void)state;
    char right[sizeof world.keyring];
    memcpy(right, world.keyring, sizeof right);
    world.keyring[0] = '\0';
    world_restart(&world);
    const struct bw_vault_reply *reply = state_of();
    assert_string_equal(bw_vault_state_name(reply->state), "MISCONFIGURED");
    assert_text(reply->text, "vault.keyring: there is no such file");
    assert_int_equal(reply->since_ms, world.now_ms);
    memcpy(world.keyring, right, sizeof right);
    world.now_ms += 60000;
    bw_vault_core_probe(world.core);
    reply = state_of();
    assert_string_equal(bw_vault_state_name(reply->state), "ACTIVE");
    assert_int_equal(reply->since_ms, world.now_ms);
    assert_text(reply->active, "root-1");
}

static void a_keyring_that_may_not_be_read_is_denied(void **state)
{
    (void)state;
    world_learn_scopes(&world);
    world.denied = true;
    world_restart(&world); /* before anything could be opened */
    assert_string_equal(bw_vault_state_name(state_of()->state), "DENIED");
    const struct bw_vault_request open = world_open(&world, BW_VAULT_CHUNKS, BW_VAULT_ROLE_TIER2, NULL);
    assert_error(world_ask(&world, &open), BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE");
    world.denied = false;
    bw_vault_core_probe(world.core);
    assert_string_equal(bw_vault_state_name(state_of()->state), "ACTIVE");
}

static void a_retention_ends_for_the_daemon_alone_and_never_in_the_future(void **state)
{
    (void)state;
    struct bw_vault_request request = world_open(&world, BW_VAULT_ROSTER, BW_VAULT_ROLE_TENANT_ADMIN, NULL);
    request.type = BW_VAULT_SWEEP;
    request.before_ms = world.now_ms - 1000;
    request.quality_before_ms = world.now_ms - 2000;
    assert_error(world_ask(&world, &request), BW_PERMISSION_DENIED, "");
    request.caller.role = BW_VAULT_ROLE_SYSTEM;
    const struct bw_vault_reply *reply = world_ask(&world, &request);
    assert_int_equal(reply->type, BW_VAULT_SWEPT);
    assert_int_equal(reply->records, 6);
    assert_int_equal(reply->meeting_keys, 4);
    assert_int_equal(world.swept_participants_ms, world.now_ms - 1000);
    assert_int_equal(world.swept_quality_ms, world.now_ms - 2000);
    request.quality_before_ms = world.now_ms + 1;
    assert_error(world_ask(&world, &request), BW_INVALID_ARGUMENT, "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(scope_keys_are_made_once_for_today_and_tomorrow),
        CASE(a_stored_scope_key_that_is_not_ours_is_not_handed_out),
        CASE(a_key_that_the_keyring_wrapped_is_signed_anew),
        CASE(a_bad_key_of_one_tenant_leaves_the_others_theirs),
        CASE(tier_2_and_administrators_see_masked_people),
        CASE(tier_1_sees_numbers_and_the_one_it_asks_about),
        CASE(nothing_readable_leaves_before_the_audit),
        CASE(who_may_not_ask_is_refused_and_written_down),
        CASE(a_row_in_another_place_does_not_open),
        CASE(many_rows_come_in_parts_and_no_more_than_asked_for),
        CASE(memory_that_is_out_is_said_and_nothing_else_is_lost),
        CASE(an_erased_meeting_cannot_be_opened_and_has_a_receipt),
        CASE(another_keyring_is_misconfigured_and_opens_and_wraps_nothing),
        CASE(a_missing_keyring_is_said_and_found_when_it_comes),
        CASE(a_keyring_that_may_not_be_read_is_denied),
        CASE(a_retention_ends_for_the_daemon_alone_and_never_in_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
