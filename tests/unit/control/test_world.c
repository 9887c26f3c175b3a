/* The world changes under live meetings: relays die and drain, policies tighten, modes change, replicas
 * restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "scene.h"

static struct scene scene;

static int setup(void **state)
{
    (void)state;
    assert_true(scene_init(&scene, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_finish(&scene);
    return 0;
}

static void well(const struct ask *ask)
{
    if (!ask->done || ask->op.error.code != BW_OK)
        fail_msg("%s: %s", bw_code_name(ask->op.error.code), ask->op.error.show);
}

static void publish_fleet(void)
{
    assert_true(bw_headless_publish_fleet(&scene.world));
    bw_headless_settle(&scene.world);
}

/* The headless policy with one text in place of another. */
static void publish_policy(uint32_t revision, const char *from, const char *to, const char *from2,
                           const char *to2)
{
    char yaml[2048];
    const char *pairs[][2] = {{from, to}, {from2, to2}};
    snprintf(yaml, sizeof yaml, "%s", bw_headless_policy);
    for (size_t i = 0; i < 2; i++) {
        if (pairs[i][0] == NULL)
            continue;
        char *at = strstr(yaml, pairs[i][0]);
        assert_non_null(at);
        char rest[2048];
        snprintf(rest, sizeof rest, "%s", at + strlen(pairs[i][0]));
        snprintf(at, sizeof yaml - (size_t)(at - yaml), "%s%s", pairs[i][1], rest);
    }
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", revision, yaml));
    bw_headless_settle(&scene.world);
}

static unsigned kinds(enum bw_decision_kind kind)
{
    unsigned count = 0;
    for (size_t i = 0; i < scene.world.change_count; i++)
        count += scene.world.changes[i].kind == kind;
    return count;
}

static uint32_t taken_everywhere(void)
{
    uint32_t taken = 0;
    for (uint32_t relay = 1; relay <= BW_HEADLESS_RELAYS; relay++)
        taken += bw_book_taken(scene.world.book, relay);
    return taken;
}

/* ---- relays ---- */

static void who_stood_on_a_dead_relay_is_moved(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE"), *french = scene_join(&scene, &meeting, "FR");
    well(german);
    well(french);
    uint32_t dead = german->op.admission.relay_number;
    scene.world.relays[dead - 1].state = BW_RELAY_DEAD;
    scene.world.relays[dead - 1].connected = false;
    publish_fleet();
    uint32_t now = scene_relay_of(&scene, &meeting, &german->op.admission.entry);
    assert_int_not_equal(now, 0);
    assert_int_not_equal(now, dead);
    assert_int_equal(kinds(BW_DECISION_MOVED), 1);
    assert_int_equal(kinds(BW_DECISION_LEFT), 0);
    assert_int_equal(bw_book_taken(scene.world.book, dead), 0);
    assert_int_equal(taken_everywhere(), 2);

    /* The grant for the new relay comes by renewal. */
    struct ask *renew = scene_ask(&scene, BW_OP_RENEW, &meeting);
    renew->op.leave.entry = german->op.admission.entry;
    well(scene_do(&scene, renew));
    assert_int_equal(renew->op.admission.relay_number, now);
}

static void with_nowhere_to_go_a_dead_relays_people_are_removed(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    well(scene_join(&scene, &meeting, "FR"));
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        scene.world.relays[i].state = BW_RELAY_DEAD;
    publish_fleet();
    for (int i = 0; i < 10; i++)
        bw_headless_pass(&scene.world, 10000);
    assert_int_equal(scene_people(&scene, &meeting), 0);
    assert_int_equal(taken_everywhere(), 0);
}

static void a_drained_relay_empties_and_takes_nobody(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE");
    scene.world.relays[BW_FRA1].state = BW_RELAY_DRAINING;
    publish_fleet();
    assert_int_not_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    struct ask *late = scene_join(&scene, &meeting, "DE");
    well(late);
    assert_int_not_equal(late->op.admission.relay_number, BW_FRA1 + 1);
}

static void a_drain_with_no_other_relay_moves_nobody(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE");
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        if (i != BW_FRA1)
            scene.world.relays[i].state = BW_RELAY_CORDONED;
    }
    scene.world.relays[BW_FRA1].state = BW_RELAY_DRAINING;
    publish_fleet();
    for (int i = 0; i < 5; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
}

static void a_silent_relay_keeps_its_people_but_gets_no_more(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE");
    scene.world.relays[BW_FRA1].lease_ok = false;
    publish_fleet();
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    struct ask *late = scene_join(&scene, &meeting, "DE");
    well(late);
    assert_int_not_equal(late->op.admission.relay_number, BW_FRA1 + 1);
}

/* ---- policies ---- */

/* Two on German and French relays; then only FR is allowed. */
static struct bw_id two_countries(struct ask **german, struct ask **french)
{
    struct bw_id meeting = scene_create(&scene);
    *german = scene_join(&scene, &meeting, "DE");
    well(*german);
    *french = scene_join(&scene, &meeting, "FR");
    well(*french);
    assert_int_equal((*german)->op.admission.relay_number, BW_FRA1 + 1);
    return meeting;
}

static void a_tightened_policy_moves_what_it_no_longer_allows(void **state)
{
    (void)state;
    struct ask *german, *french;
    struct bw_id meeting = two_countries(&german, &french);
    publish_policy(2, "allow: [EU, CH]\n", "allow: [FR]\n", NULL, NULL);
    uint32_t now = scene_relay_of(&scene, &meeting, &german->op.admission.entry);
    assert_true(now == BW_PAR1 + 1 || now == BW_LYS1 + 1);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    assert_int_equal(taken_everywhere(), 2);
    /* A later row obeys the new revision. */
    struct ask *join = scene_join(&scene, &meeting, "DE");
    well(join);
    assert_int_equal(join->decision->policy_revision, 2);
    assert_true(join->op.admission.relay_number <= BW_LYS1 + 1);
}

static void cordon_french(void)
{
    scene.world.relays[BW_PAR1].state = scene.world.relays[BW_LYS1].state = BW_RELAY_CORDONED;
    publish_fleet();
}

static void evict_removes_at_once_whom_no_relay_takes(void **state)
{
    (void)state;
    struct ask *german, *french;
    struct bw_id meeting = two_countries(&german, &french);
    cordon_french();
    publish_policy(2, "allow: [EU, CH]\n", "allow: [FR]\n", NULL, NULL);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), 0);
    bw_headless_pass(&scene.world, 1000);
    for (uint32_t relay = BW_FRA1 + 1; relay <= BW_HEADLESS_RELAYS; relay++)
        assert_int_equal(bw_book_taken(scene.world.book, relay), 0);
}

static void drain_gives_time_before_it_removes(void **state)
{
    (void)state;
    struct ask *german, *french;
    struct bw_id meeting = two_countries(&german, &french);
    cordon_french();
    publish_policy(2, "allow: [EU, CH]\n", "allow: [FR]\n", "onPolicyChange: evict",
                   "onPolicyChange: { drain: 20s }");
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    for (int i = 0; i < 15; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    for (int i = 0; i < 10; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), 0);
}

static void a_place_that_comes_free_during_a_drain_is_taken(void **state)
{
    (void)state;
    struct ask *german, *french;
    struct bw_id meeting = two_countries(&german, &french);
    cordon_french();
    publish_policy(2, "allow: [EU, CH]\n", "allow: [FR]\n", "onPolicyChange: evict",
                   "onPolicyChange: { drain: 20s }");
    for (int i = 0; i < 5; i++)
        bw_headless_pass(&scene.world, 1000);
    scene.world.relays[BW_LYS1].state = BW_RELAY_SERVING;
    publish_fleet();
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_LYS1 + 1);
    for (int i = 0; i < 30; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_LYS1 + 1);
}

static void keep_lets_a_meeting_end_as_it_began(void **state)
{
    (void)state;
    struct ask *german, *french;
    struct bw_id meeting = two_countries(&german, &french);
    publish_policy(2, "allow: [EU, CH]\n", "allow: [FR]\n", "onPolicyChange: evict", "onPolicyChange: keep");
    for (int i = 0; i < 5; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    /* Who comes new obeys the new one. */
    struct ask *join = scene_join(&scene, &meeting, "DE");
    if (join->op.error.code == BW_OK)
        assert_true(join->op.admission.relay_number <= BW_LYS1 + 1);
}

static void a_policy_that_only_loosens_moves_nobody(void **state)
{
    (void)state;
    struct ask *german, *french;
    two_countries(&german, &french);
    uint64_t before = scene.world.group;
    publish_policy(2, "allow: [EU, CH]\n", "allow: [EU, CH, GB]\n", NULL, NULL);
    bw_headless_pass(&scene.world, 1000);
    assert_int_equal(kinds(BW_DECISION_MOVED), 0);
    assert_int_equal(scene.world.group, before);
}

/* ---- modes ---- */

static void a_lowering_waits_for_the_last_consent(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *one = scene_join(&scene, &meeting, "FR"), *two = scene_join(&scene, &meeting, "FR");
    struct ask *lower = scene_mode(&scene, &meeting, BW_MODE_REQUEST_LOWER, NULL, 0);
    well(lower);
    assert_int_equal(lower->op.mode.pending, BW_MODE_PENDING_LOWER);
    assert_int_equal(lower->op.consents_missing, 2);
    struct ask *first = scene_mode(&scene, &meeting, BW_MODE_CONSENT, &one->op.admission.entry, 2);
    well(first);
    assert_int_equal(first->op.mode.mode, BW_MODE_E2EE);
    assert_int_equal(first->op.consents_missing, 1);
    /* A consent to another epoch is no consent. */
    struct ask *wrong = scene_mode(&scene, &meeting, BW_MODE_CONSENT, &two->op.admission.entry, 3);
    assert_int_equal(wrong->op.error.code, BW_FAILED_PRECONDITION);
    /* The one who has not consented leaves: nobody's consent is missing any more. */
    well(scene_leave(&scene, &meeting, &two->op.admission.entry));
    struct ask *now = scene_read(&scene, &meeting);
    assert_non_null(strstr(bw_buf_cstr(&now->seen), "mode 3 epoch 2 pending 0 label hop"));
}

static void somebody_who_cannot_encrypt_makes_it_partial_or_stays_out(void **state)
{
    (void)state;
    publish_policy(2, "mode: preferred, downgrade: with-consent", "mode: optional", NULL, NULL);
    struct bw_id meeting = bw_headless_new_id(&scene.world);
    struct ask *create = scene_ask(&scene, BW_OP_CREATE, &meeting);
    create->op.create = (struct bw_op_create){
        .tenant_name = "chu-lyon", .user = "a@b.example", .choice = BW_MODE_CHOICE_E2EE};
    well(scene_do(&scene, create));
    well(scene_join(&scene, &meeting, "FR"));
    struct ask *old = scene_ask(&scene, BW_OP_JOIN, &meeting);
    old->declared = 0;
    old->op.join = (struct bw_op_join){
        .kind = BW_ENDPOINT_WEB, .role = BW_ROLE_SPEAKER, .country = "FR", .declared = &old->declared};
    well(scene_do(&scene, old));
    assert_int_equal(old->op.label, BW_MODE_PARTIAL);
    assert_int_equal(old->op.admission.flags.allocated.scheme, BW_SCHEME_NONE);
    assert_int_equal(old->op.mode.epoch, 2); /* announced as a new epoch */

    publish_policy(3, "mode: preferred, downgrade: with-consent", "mode: required", NULL, NULL);
    assert_int_equal(scene_relay_of(&scene, &meeting, &old->op.admission.entry), 0);
    assert_int_equal(scene_people(&scene, &meeting), 1);
    struct ask *again = scene_ask(&scene, BW_OP_JOIN, &meeting);
    again->op.join = old->op.join;
    again->op.join.declared = &old->declared;
    scene_do(&scene, again);
    assert_int_equal(again->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(again->op.error.reason, "MODE_FORBIDS_PARTICIPANT");
    assert_int_equal(again->decision->kind, BW_DECISION_REFUSED);
}

static void an_observation_of_the_present_epoch_confirms(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *one = scene_join(&scene, &meeting, "FR"), *two = scene_join(&scene, &meeting, "FR");
    assert_int_equal(scene_observe(&scene, &meeting, one, BW_OBSERVED_E2EE)->op.label, BW_MODE_PARTIAL);
    assert_int_equal(scene_observe(&scene, &meeting, two, BW_OBSERVED_E2EE)->op.label, BW_MODE_E2EE);
    uint64_t before = scene.world.group;
    /* Said again: nothing new, no row. */
    assert_int_equal(scene_observe(&scene, &meeting, two, BW_OBSERVED_E2EE)->op.label, BW_MODE_E2EE);
    assert_int_equal(scene.world.group, before);
    /* Seen plain: the label says so at once. */
    struct ask *plain = scene_observe(&scene, &meeting, two, BW_OBSERVED_PLAIN);
    assert_int_equal(plain->op.label, BW_MODE_PARTIAL);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    /* What was confirmed in the old epoch confirms nothing in the new one. */
    struct ask *now = scene_read(&scene, &meeting);
    assert_int_equal(now->op.label, BW_MODE_PARTIAL);
    assert_int_equal(now->op.mode.epoch, 2);
}

static void a_connector_enters_only_where_the_mode_lets_it(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *phone = scene_invite(&scene, &meeting, BW_ENDPOINT_PSTN);
    assert_int_equal(phone->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(phone->op.error.reason, "MODE_FORBIDS_CONNECTOR");
    struct ask *one = scene_join(&scene, &meeting, "FR");
    well(scene_mode(&scene, &meeting, BW_MODE_REQUEST_LOWER, NULL, 0));
    well(scene_mode(&scene, &meeting, BW_MODE_CONSENT, &one->op.admission.entry, 2));
    phone = scene_invite(&scene, &meeting, BW_ENDPOINT_PSTN);
    well(phone);
    assert_true(phone->op.admission.relay_number <= BW_LYS1 + 1); /* those that offer it */
    struct ask *sip = scene_invite(&scene, &meeting, BW_ENDPOINT_SIP);
    assert_int_equal(sip->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(sip->op.error.reason, "CONNECTOR_FORBIDDEN");
    /* A raise removes it first. */
    struct ask *raise = scene_mode(&scene, &meeting, BW_MODE_REQUEST_RAISE, NULL, 0);
    well(raise);
    assert_int_equal(scene_relay_of(&scene, &meeting, &phone->op.admission.entry), 0);
    assert_int_equal(raise->op.mode.mode, BW_MODE_E2EE);
    assert_int_equal(kinds(BW_DECISION_CONNECTOR_REMOVED), 1);
    /* Leaving by the wrong call is refused. */
    struct ask *wrong = scene_ask(&scene, BW_OP_REMOVE, &meeting);
    wrong->op.leave.entry = one->op.admission.entry;
    assert_int_equal(scene_do(&scene, wrong)->op.error.code, BW_FAILED_PRECONDITION);
}

static void a_guest_of_an_unknown_organisation_is_refused(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *guest = scene_ask(&scene, BW_OP_JOIN, &meeting);
    guest->declared = BW_SCHEME_BIT(SFRAME);
    guest->op.join = (struct bw_op_join){.kind = BW_ENDPOINT_NATIVE,
                                         .role = BW_ROLE_SPEAKER,
                                         .country = "FR",
                                         .declared = &guest->declared,
                                         .home_tenant = "acme"};
    scene_do(&scene, guest);
    assert_int_equal(guest->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(guest->op.error.reason, "PARTICIPANT_POLICY");

    /* Known, and content with where the meeting goes. */
    char theirs[1024];
    snprintf(theirs, sizeof theirs, "%s", bw_headless_policy);
    char *name = strstr(theirs, "chu-lyon");
    memcpy(name, "acme\n   ", 4);
    memmove(name + 4, name + 8, strlen(name + 8) + 1);
    assert_true(bw_headless_publish(&scene.world, "acme", 1, theirs));
    struct ask *known = scene_ask(&scene, BW_OP_JOIN, &meeting);
    known->op.join = guest->op.join;
    well(scene_do(&scene, known));
    /* Theirs narrows: this meeting is no longer inside it. */
    char *allow = strstr(theirs, "allow: [EU, CH]\n");
    memcpy(allow, "allow: [FR]    \n", 16);
    assert_true(bw_headless_publish(&scene.world, "acme", 2, theirs));
    struct ask *late = scene_ask(&scene, BW_OP_JOIN, &meeting);
    late->op.join = guest->op.join;
    scene_do(&scene, late);
    assert_int_equal(late->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(late->op.error.reason, "PARTICIPANT_POLICY");
    assert_non_null(late->decision->clause);
}

/* ---- watching, restarting ---- */

struct seen {
    struct bw_watch watch;
    uint32_t seqs[64];
    size_t count;
    bool over;
};

static void changed(struct bw_watch *watch, const struct bw_change *change)
{
    struct seen *seen = (struct seen *)watch;
    assert_true(seen->count < 64);
    seen->seqs[seen->count++] = change->decision.seq;
}

static void watch_over(struct bw_watch *watch)
{
    ((struct seen *)watch)->over = true;
}

static void watchers_see_every_row_once_and_in_order(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct seen a = {.watch = {.changed = changed, .ended = watch_over}}, b = a;
    struct bw_error err;
    assert_int_equal(bw_owner_watch(scene.world.owner, &meeting, &a.watch, &err), BW_OK);
    struct ask *one = scene_join(&scene, &meeting, "FR");
    assert_int_equal(bw_owner_watch(scene.world.owner, &meeting, &b.watch, &err), BW_OK);
    scene_join(&scene, &meeting, "DE");
    scene_mode(&scene, &meeting, BW_MODE_REQUEST_LOWER, NULL, 0);
    scene_mode(&scene, &meeting, BW_MODE_CONSENT, &one->op.admission.entry, 2);
    scene_leave(&scene, &meeting, &one->op.admission.entry);
    bw_owner_unwatch(scene.world.owner, &b.watch);
    scene_end(&scene, &meeting);
    uint32_t rows = bw_headless_rows(&scene.world, &meeting);
    assert_int_equal(a.count, rows - 1); /* all but the creation */
    for (size_t i = 0; i < a.count; i++)
        assert_int_equal(a.seqs[i], i + 2);
    assert_true(b.count < a.count);
    for (size_t i = 0; i < b.count; i++)
        assert_int_equal(b.seqs[i], i + 3);
    assert_false(a.over);
    const struct bw_id none = {{9}};
    assert_int_equal(bw_owner_watch(scene.world.owner, &none, &b.watch, &err), BW_NOT_FOUND);
    bw_headless_pass(&scene.world, 61000); /* the meeting is forgotten */
    assert_true(a.over);
    assert_false(b.over);
}

static void what_is_restored_equals_what_was_live(void **state)
{
    (void)state;
    struct bw_id meetings[4];
    /* Something of everything. */
    for (size_t i = 0; i < 4; i++)
        meetings[i] = scene_create(&scene);
    struct ask *one = scene_join(&scene, &meetings[0], "FR"), *two = scene_join(&scene, &meetings[0], "DE");
    scene_join(&scene, &meetings[0], "KP");
    scene_observe(&scene, &meetings[0], one, BW_OBSERVED_E2EE);
    scene_mode(&scene, &meetings[0], BW_MODE_REQUEST_LOWER, NULL, 0);
    scene_mode(&scene, &meetings[0], BW_MODE_CONSENT, &two->op.admission.entry, 2);

    struct ask *host = scene_join(&scene, &meetings[1], "CH");
    scene_mode(&scene, &meetings[1], BW_MODE_REQUEST_LOWER, &host->op.admission.entry, 0);
    scene_mode(&scene, &meetings[1], BW_MODE_CONSENT, &host->op.admission.entry, 2);
    scene_invite(&scene, &meetings[1], BW_ENDPOINT_PSTN);
    scene_leave(&scene, &meetings[1], &scene_join(&scene, &meetings[1], "FR")->op.admission.entry);

    struct ask *seen = scene_join(&scene, &meetings[2], "FR");
    scene_join(&scene, &meetings[2], "BE");
    scene_observe(&scene, &meetings[2], seen, BW_OBSERVED_E2EE);
    scene_observe(&scene, &meetings[2], seen, BW_OBSERVED_PLAIN);
    scene_join(&scene, &meetings[3], "FR");
    scene_end(&scene, &meetings[3]);
    scene.world.relays[BW_FRA1].state = BW_RELAY_DEAD;
    publish_fleet();

    char *before[4];
    uint32_t taken[BW_HEADLESS_RELAYS];
    for (size_t i = 0; i < 4; i++) {
        struct ask *read = scene_read(&scene, &meetings[i]);
        assert_true(read->found);
        before[i] = strdup(bw_buf_cstr(&read->seen));
    }
    for (uint32_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        taken[i] = bw_book_taken(scene.world.book, i + 1);
    size_t rows = scene.world.log_count;

    assert_true(bw_headless_restart(&scene.world));
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 1, NULL));
    bw_headless_settle(&scene.world);
    for (uint32_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        assert_int_equal(bw_book_taken(scene.world.book, i + 1), taken[i]);
    for (size_t i = 0; i < 4; i++) {
        struct ask *read = scene_read(&scene, &meetings[i]);
        assert_true(read->found);
        assert_string_equal(bw_buf_cstr(&read->seen), before[i]);
        free(before[i]);
    }
    assert_int_equal(scene.world.log_count, rows); /* a restart decides nothing */

    /* And life goes on: a retry from before gets its old answer. */
    struct ask *again = scene_ask(&scene, BW_OP_JOIN, &meetings[0]);
    again->op.request = one->op.request;
    memcpy(again->op.fingerprint, one->op.fingerprint, sizeof again->op.fingerprint);
    again->op.join = one->op.join;
    well(scene_do(&scene, again));
    assert_true(bw_id_equal(&again->op.admission.entry, &one->op.admission.entry));
}

static void a_tenant_without_a_policy_gets_nowhere(void **state)
{
    (void)state;
    struct bw_id meeting = bw_headless_new_id(&scene.world);
    struct ask *create = scene_ask(&scene, BW_OP_CREATE, &meeting);
    create->op.tenant = scene.world.guest_tenant;
    create->op.create = (struct bw_op_create){.tenant_name = "acme", .user = "a@acme.example"};
    scene_do(&scene, create);
    assert_int_equal(create->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(create->op.error.reason, "NO_POLICY");
    assert_int_equal(scene.world.log_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_stood_on_a_dead_relay_is_moved),
        TEST(with_nowhere_to_go_a_dead_relays_people_are_removed),
        TEST(a_drained_relay_empties_and_takes_nobody),
        TEST(a_drain_with_no_other_relay_moves_nobody),
        TEST(a_silent_relay_keeps_its_people_but_gets_no_more),
        TEST(a_tightened_policy_moves_what_it_no_longer_allows),
        TEST(evict_removes_at_once_whom_no_relay_takes),
        TEST(drain_gives_time_before_it_removes),
        TEST(a_place_that_comes_free_during_a_drain_is_taken),
        TEST(keep_lets_a_meeting_end_as_it_began),
        TEST(a_policy_that_only_loosens_moves_nobody),
        TEST(a_lowering_waits_for_the_last_consent),
        TEST(somebody_who_cannot_encrypt_makes_it_partial_or_stays_out),
        TEST(an_observation_of_the_present_epoch_confirms),
        TEST(a_connector_enters_only_where_the_mode_lets_it),
        TEST(a_guest_of_an_unknown_organisation_is_refused),
        TEST(watchers_see_every_row_once_and_in_order),
        TEST(what_is_restored_equals_what_was_live),
        TEST(a_tenant_without_a_policy_gets_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
