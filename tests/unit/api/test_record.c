/* Decision records: every field of every kind comes back as it went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/check.h"
#include "check_alloc.h"
#include "e2ee/flags.h"

static struct bw_id id_of(uint8_t n)
{
    struct bw_id id = {{n, 1, 2, 3}};
    return id;
}

static const uint32_t relays[] = {1, 4, 9};
static const struct bw_decision_link links[] = {{1, 4}, {1, 9}, {4, 9}};
static const char *const levels[] = {"group:board", "user:vip"};
static const struct bw_decision_flags flags[] = {
    {.slot = 3,
     .scheme = 1,
     .suite = 5,
     .epoch = 2,
     .capable = 6,
     .observed = 2,
     .observed_scheme = 1,
     .confirmed = true},
    {.slot = 5, .capable = 0},
};
static const struct bw_decision_move moves[] = {{3, 1, 4}, {5, 9, 4}};
static const struct bw_decision_rejection rejections[] = {
    {.relay = 9, .reasons = 1u << 19 | 1, .clause = "policy.yaml:17:26"},
    {.relay = 4, .reasons = 32},
};

/* A decision of this kind with everything that this kind may hold. */
static struct bw_decision full(enum bw_decision_kind kind)
{
    struct bw_decision d = {
        .kind = kind,
        .meeting = id_of(1),
        .tenant = id_of(2),
        .request = id_of(3),
        .seq = 7,
        .at_ms = UINT64_C(1795255200123),
        .policy_revision = 12,
        .policy_hash = {1, 2, 3, 255},
        .facts_revision = UINT64_C(1) << 40,
        .fingerprint = {8, 7, 6, 5, 4, 3, 2, 1},
        .mode = BW_MODE_E2EE_CONNECTORS,
        .mode_epoch = 3,
        .meeting_epoch = 2,
        .relays = relays,
        .relay_count = BW_ARRAY_LEN(relays),
        .links = links,
        .link_count = BW_ARRAY_LEN(links),
    };
    bool joins = kind == BW_DECISION_JOINED || kind == BW_DECISION_CONNECTOR_INVITED;
    if (kind == BW_DECISION_CREATED) {
        d.choice = 2;
        d.cap_per_relay = 80;
        d.levels = levels;
        d.level_count = BW_ARRAY_LEN(levels);
        d.override_yaml = "apiVersion: bailiwick/v1\nkind: MeetingPolicy\n";
        d.tenant_name = "chu-lyon";
    }
    if (joins || kind == BW_DECISION_REFUSED) {
        d.participant_kind = BW_ENDPOINT_WEB;
        d.role = 1;
        d.country = "FR-974";
        d.region = "eu-west";
        d.home_tenant = "acme";
    }
    if (joins) {
        d.entry = id_of(4);
        d.levels = levels;
        d.level_count = BW_ARRAY_LEN(levels);
        d.slot = 7;
        d.relay = 4;
        d.relays_considered = 6;
        d.relays_allowed = 2;
        d.score = (struct bw_decision_score){1, 2, 3, 4, 5, 15};
        d.runner_up = 9;
    }
    if (joins || kind == BW_DECISION_MODE_CHANGED || kind == BW_DECISION_FLAGS_CHANGED) {
        d.flags = flags;
        d.flag_count = joins ? 1 : BW_ARRAY_LEN(flags);
    }
    if (kind == BW_DECISION_LEFT || kind == BW_DECISION_CONNECTOR_REMOVED) {
        d.entry = id_of(4);
        d.slot = 3;
        d.leave_reason = BW_LEAVE_CONNECTION_LOST;
    }
    if (kind == BW_DECISION_MODE_ANNOUNCED || kind == BW_DECISION_CONSENTED) {
        d.pending = BW_MODE_PENDING_LOWER;
        d.slot = 3;
    }
    if (kind == BW_DECISION_MOVED) {
        d.moves = moves;
        d.move_count = BW_ARRAY_LEN(moves);
    }
    if (kind == BW_DECISION_REFUSED) {
        d.reasons = 16;
        d.clause = "policy.yaml:9:3";
        d.rejections = rejections;
        d.rejection_count = BW_ARRAY_LEN(rejections);
        d.rejections_total = 6;
        d.nearest = 9;
        d.nearest_reasons = 1;
    }
    if (kind == BW_DECISION_ENDED)
        d.end_reason = BW_END_EVERYBODY_LEFT;
    return d;
}

static void same_text(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        assert_ptr_equal(a, b);
    else
        assert_string_equal(a, b);
}

static void same_lists(const struct bw_decision *a, const struct bw_decision *b)
{
    assert_int_equal(a->relay_count, b->relay_count);
    for (size_t i = 0; i < a->relay_count; i++)
        assert_int_equal(a->relays[i], b->relays[i]);
    assert_int_equal(a->link_count, b->link_count);
    for (size_t i = 0; i < a->link_count; i++)
        assert_memory_equal(&a->links[i], &b->links[i], sizeof a->links[i]);
    assert_int_equal(a->level_count, b->level_count);
    for (size_t i = 0; i < a->level_count; i++)
        assert_string_equal(a->levels[i], b->levels[i]);
    assert_int_equal(a->move_count, b->move_count);
    for (size_t i = 0; i < a->move_count; i++)
        assert_memory_equal(&a->moves[i], &b->moves[i], sizeof a->moves[i]);
    assert_int_equal(a->flag_count, b->flag_count);
    for (size_t i = 0; i < a->flag_count; i++) {
        assert_int_equal(a->flags[i].slot, b->flags[i].slot);
        assert_int_equal(a->flags[i].scheme, b->flags[i].scheme);
        assert_int_equal(a->flags[i].suite, b->flags[i].suite);
        assert_int_equal(a->flags[i].epoch, b->flags[i].epoch);
        assert_int_equal(a->flags[i].capable, b->flags[i].capable);
        assert_int_equal(a->flags[i].observed, b->flags[i].observed);
        assert_int_equal(a->flags[i].observed_scheme, b->flags[i].observed_scheme);
        assert_int_equal(a->flags[i].confirmed, b->flags[i].confirmed);
    }
    assert_int_equal(a->rejection_count, b->rejection_count);
    for (size_t i = 0; i < a->rejection_count; i++) {
        assert_int_equal(a->rejections[i].relay, b->rejections[i].relay);
        assert_int_equal(a->rejections[i].reasons, b->rejections[i].reasons);
        same_text(a->rejections[i].clause, b->rejections[i].clause);
    }
}

static void same(const struct bw_decision *a, const struct bw_decision *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(&a->meeting, &b->meeting, sizeof a->meeting);
    assert_memory_equal(&a->tenant, &b->tenant, sizeof a->tenant);
    assert_memory_equal(&a->request, &b->request, sizeof a->request);
    assert_memory_equal(&a->entry, &b->entry, sizeof a->entry);
    assert_memory_equal(a->policy_hash, b->policy_hash, sizeof a->policy_hash);
    assert_memory_equal(a->fingerprint, b->fingerprint, sizeof a->fingerprint);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
#define SAME(field) assert_true(a->field == b->field)
    SAME(seq);
    SAME(at_ms);
    SAME(policy_revision);
    SAME(facts_revision);
    SAME(mode);
    SAME(mode_epoch);
    SAME(meeting_epoch);
    SAME(choice);
    SAME(cap_per_relay);
    SAME(slot);
    SAME(relay);
    SAME(participant_kind);
    SAME(role);
    SAME(leave_reason);
    SAME(pending);
    SAME(reasons);
    SAME(rejections_total);
    SAME(nearest);
    SAME(nearest_reasons);
    SAME(end_reason);
    SAME(relays_considered);
    SAME(relays_allowed);
    SAME(runner_up);
#undef SAME
    same_text(a->override_yaml, b->override_yaml);
    same_text(a->tenant_name, b->tenant_name);
    same_text(a->country, b->country);
    same_text(a->region, b->region);
    same_text(a->home_tenant, b->home_tenant);
    same_text(a->clause, b->clause);
    same_lists(a, b);
}

static void round_trip(const struct bw_decision *decision)
{
    struct bw_buf bytes = {0}, again = {0};
    struct bw_error err = {.code = BW_OK};
    struct bw_arena *arena = bw_arena_create(8 << 20);
    struct bw_decision *back = NULL;
    assert_int_equal(bw_api_record_encode(decision, &bytes, &err), BW_OK);
    enum bw_code code = bw_api_record_decode(bw_buf_view(&bytes), arena, &back, &err);
    if (code != BW_OK)
        fail_msg("%s: %s (%s)", bw_decision_kind_name(decision->kind), err.show, err.log);
    same(decision, back);
    assert_int_equal(bw_api_record_encode(back, &again, &err), BW_OK);
    assert_true(bw_view_equal(bw_buf_view(&bytes), bw_buf_view(&again)));
    bw_buf_finish(&bytes);
    bw_buf_finish(&again);
    bw_arena_destroy(arena);
}

static void every_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int kind = 1; kind < BW_DECISION_KINDS; kind++) {
        struct bw_decision decision = full((enum bw_decision_kind)kind);
        round_trip(&decision);
    }
}

static void what_is_absent_stays_absent(void **state)
{
    (void)state;
    for (int kind = 1; kind < BW_DECISION_KINDS; kind++) {
        struct bw_decision decision = {
            .kind = (enum bw_decision_kind)kind,
            .meeting = id_of(1),
            .tenant = id_of(2),
            .seq = 1,
            .at_ms = 1,
        };
        if (kind == BW_DECISION_JOINED || kind == BW_DECISION_CONNECTOR_INVITED ||
            kind == BW_DECISION_REFUSED) {
            decision.participant_kind = BW_ENDPOINT_PSTN;
            decision.role = 3;
        }
        if (kind == BW_DECISION_LEFT || kind == BW_DECISION_CONNECTOR_REMOVED) {
            decision.entry = id_of(4);
            decision.slot = 2;
        }
        round_trip(&decision);
    }
}

/* It is appended when the record is encoded already, and reads as if it had been there all along. */
static void a_join_names_its_roster_record_afterwards(void **state)
{
    (void)state;
    static const uint32_t indexes[] = {0, 1, 4095};
    for (size_t i = 0; i < BW_ARRAY_LEN(indexes); i++) {
        struct bw_decision decision = full(BW_DECISION_JOINED), *back = NULL;
        struct bw_id roster = id_of(9);
        struct bw_buf bytes = {0};
        struct bw_error err = {.code = BW_OK};
        struct bw_arena *arena = bw_arena_create(1 << 20);
        assert_int_equal(bw_api_record_encode(&decision, &bytes, &err), BW_OK);
        bw_api_record_name_roster(&roster, indexes[i], &bytes);
        if (bw_api_record_decode(bw_buf_view(&bytes), arena, &back, &err) != BW_OK)
            fail_msg("%s (%s)", err.show, err.log);
        same(&decision, back);
        assert_true(bw_id_equal(&back->roster_record, &roster));
        assert_int_equal(back->roster_index, indexes[i]);
        bw_buf_finish(&bytes);
        bw_arena_destroy(arena);
    }
}

static void the_largest_mode_change_comes_back(void **state)
{
    (void)state;
    enum { MOST = 8192 };
    static struct bw_decision_flags many[MOST + 1];
    for (uint32_t i = 0; i <= MOST; i++)
        many[i] = (struct bw_decision_flags){.slot = i + 1,
                                             .scheme = 1,
                                             .suite = 5,
                                             .epoch = 900,
                                             .capable = 14,
                                             .observed = 2,
                                             .observed_scheme = 1,
                                             .confirmed = true};
    struct bw_decision decision = full(BW_DECISION_MODE_CHANGED);
    decision.flags = many;
    decision.flag_count = MOST;
    round_trip(&decision);

    /* One more could not be read back, so it is not written. */
    decision.flag_count = MOST + 1;
    struct bw_buf bytes = {0};
    struct bw_error err;
    assert_int_equal(bw_api_record_encode(&decision, &bytes, &err), BW_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "MEETING_TOO_LARGE");
    assert_int_equal(bytes.len, 0);
    bw_buf_finish(&bytes);
}

static void what_is_no_record_is_data_loss(void **state)
{
    (void)state;
    struct bw_decision decision = full(BW_DECISION_JOINED);
    struct bw_buf bytes = {0};
    struct bw_error err;
    assert_int_equal(bw_api_record_encode(&decision, &bytes, &err), BW_OK);
    struct bw_arena *arena = bw_arena_create(1 << 20);
    struct bw_decision *back = NULL;
    for (size_t cut = 0; cut < bytes.len; cut++) {
        enum bw_code code = bw_api_record_decode(bw_view_of(bytes.data, cut), arena, &back, &err);
        if (code == BW_OK) /* a cut between two fields may leave a whole record of less */
            assert_memory_equal(&back->meeting, &decision.meeting, sizeof back->meeting);
        else
            assert_int_equal(code, BW_DATA_LOSS);
        bw_arena_reset(arena);
    }
    assert_int_equal(bw_api_record_decode(bw_view_str("not a record"), arena, &back, &err), BW_DATA_LOSS);
    /* Of one kind with the parts of another. */
    bw_buf_clear(&bytes);
    decision = full(BW_DECISION_REBOUND);
    assert_int_equal(bw_api_record_encode(&decision, &bytes, &err), BW_OK);
    assert_int_equal(bytes.data[0], 8); /* field 1, the kind */
    bytes.data[1] = BW_DECISION_JOINED;
    assert_int_equal(bw_api_record_decode(bw_buf_view(&bytes), arena, &back, &err), BW_DATA_LOSS);
    bw_buf_finish(&bytes);
    bw_arena_destroy(arena);
}

static bool both_ways(void *context)
{
    (void)context;
    struct bw_decision decision = full(BW_DECISION_REFUSED);
    struct bw_buf bytes = {0};
    struct bw_error err;
    struct bw_decision *back = NULL;
    struct bw_arena *arena = bw_arena_create(1 << 20);
    bool ok = arena != NULL && bw_api_record_encode(&decision, &bytes, &err) == BW_OK &&
              bw_api_record_decode(bw_buf_view(&bytes), arena, &back, &err) == BW_OK;
    bw_buf_finish(&bytes);
    bw_arena_destroy(arena);
    return ok;
}

static void a_record_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(both_ways, NULL, true) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was),
        cmocka_unit_test(what_is_absent_stays_absent),
        cmocka_unit_test(a_join_names_its_roster_record_afterwards),
        cmocka_unit_test(the_largest_mode_change_comes_back),
        cmocka_unit_test(what_is_no_record_is_data_loss),
        cmocka_unit_test(a_record_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
