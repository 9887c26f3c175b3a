/* Windows in, sealed rows out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "ingest_rig.h"
#include "quality/classify.h"

static int setup(void **state)
{
    struct ingest_rig *rig = ingest_rig_create(NULL);
    ingest_rig_give_key(rig);
    *state = rig;
    return 0;
}

static int setup_keyless(void **state)
{
    *state = ingest_rig_create(NULL);
    return 0;
}

static int teardown(void **state)
{
    ingest_rig_destroy(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void say(struct ingest_rig *rig, uint32_t slot, uint32_t start, uint32_t lost)
{
    ingest_rig_relay(rig, &(struct ingest_rig_window){.meeting = 1,
                                                      .relay = 1,
                                                      .slot = slot,
                                                      .start = start,
                                                      .received = 500 - lost,
                                                      .lost = lost,
                                                      .jitter_us = 1500});
}

/* The meeting and its first window are known. */
static void begin(struct ingest_rig *rig)
{
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    say(rig, 1, 0, 0);
    ingest_rig_answer(rig, 3, false);
}

static void what_came_can_be_opened_within_a_flush(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    assert_int_equal(rig->taken, 1);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->row_count, 1);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[0], &chunk));
    assert_int_equal(chunk.count, 1);
    assert_int_equal(chunk.windows[0].values[BW_QUALITY_PACKETS_RECEIVED], 500);
    assert_int_equal(rig->rows[0].chunk.slot, 1);
    assert_int_equal(rig->rows[0].chunk.source, BW_QUALITY_FROM_RELAY);
    enum bw_quality_source source;
    uint32_t relay, number;
    assert_true(bw_api_stream_parts(&rig->rows[0].chunk.stream, &source, &relay, &number));
    assert_int_equal(relay, 1);
    assert_int_equal(number, 0);
    /* The next version takes its place. */
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    say(rig, 1, 1, 10);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->row_count, 1);
    assert_int_equal(rig->rows[0].versions, 2);
    assert_true(ingest_rig_open(rig, &rig->rows[0], &chunk));
    assert_int_equal(chunk.count, 2);
    assert_int_equal(chunk.windows[1].values[BW_QUALITY_PACKETS_LOST], 10);
    /* Nothing new, nothing written. */
    ingest_rig_wait(rig, 5000);
    assert_int_equal(rig->rows[0].versions, 2);
    assert_int_equal(rig->asks, 1);
}

static void five_minutes_are_one_chunk_and_the_next_begins(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    for (uint32_t i = 1; i < 40; i++) {
        ingest_rig_wait(rig, RIG_WINDOW_MS);
        say(rig, 1, i, 0);
    }
    ingest_rig_wait(rig, 2000);
    assert_int_equal(rig->row_count, 2);
    assert_true(rig->rows[1].chunk.seq == rig->rows[0].chunk.seq + 1);
    struct bw_quality_chunk first, second;
    assert_true(ingest_rig_open(rig, &rig->rows[0], &first));
    assert_true(ingest_rig_open(rig, &rig->rows[1], &second));
    assert_int_equal(first.count + second.count, 40);
    assert_true(first.windows[first.count - 1].start_ms < second.windows[0].start_ms);
    assert_int_equal(bw_ingest_core_counts(rig->core).chunks, 1);
    assert_int_equal(rig->key_count, 2); /* of the meeting and, for the hours, of the tenant: each once */
}

static void the_same_window_again_is_taken_and_dropped(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    say(rig, 1, 0, 0);
    say(rig, 1, 0, 499); /* whatever it says now */
    assert_int_equal(rig->taken, 3);
    ingest_rig_wait(rig, 1200);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[0], &chunk));
    assert_int_equal(chunk.count, 1);
    assert_int_equal(chunk.windows[0].values[BW_QUALITY_PACKETS_LOST], 0);
    assert_int_equal(bw_ingest_core_counts(rig->core).doubled, 2);
    assert_int_equal(bw_ingest_core_counts(rig->core).taken, 1);
}

static void late_windows_find_their_place_and_too_late_ones_do_not(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    ingest_rig_wait(rig, 4 * RIG_WINDOW_MS);
    say(rig, 1, 4, 0);
    say(rig, 1, 2, 20);
    ingest_rig_wait(rig, 1200);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[0], &chunk));
    assert_int_equal(chunk.count, 3);
    assert_int_equal(chunk.windows[1].values[BW_QUALITY_PACKETS_LOST], 20);
    ingest_rig_wait(rig, 20 * 60000);
    say(rig, 1, 3, 0); /* twenty minutes late */
    ingest_rig_answer(rig, 3, false);
    assert_int_equal(rig->dropped, 1);
    say(rig, 1, 100000, 0); /* in the future */
    assert_int_equal(rig->refused, 1);
}

static void a_relay_speaks_only_for_whom_it_carries(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig); /* slots 1 to 3 on relay 1, slot 4 on relay 2 */
    struct ingest_rig_window window = {.meeting = 1, .relay = 2, .slot = 1, .received = 500};
    ingest_rig_relay(rig, &window); /* not its participant: the owner is asked again first */
    assert_int_equal(rig->refused, 0);
    ingest_rig_wait(rig, 1200);
    ingest_rig_answer(rig, 3, false);
    assert_int_equal(rig->refused, 1);
    window.peer = 1; /* but it may say how slot 1 comes to it from relay 1 */
    ingest_rig_relay(rig, &window);
    assert_int_equal(rig->taken, 2);
    window.peer = 3; /* a peer that slot 1 is not on */
    ingest_rig_relay(rig, &window);
    window = (struct ingest_rig_window){.meeting = 1, .relay = 9, .slot = 1, .peer = 1, .received = 500};
    ingest_rig_relay(rig, &window); /* a relay that the meeting does not use */
    window = (struct ingest_rig_window){.meeting = 1, .relay = 1, .slot = 77, .received = 500};
    ingest_rig_relay(rig, &window); /* nobody's slot */
    ingest_rig_wait(rig, 2000);
    ingest_rig_answer(rig, 3, false);
    assert_int_equal(rig->refused, 4);
    assert_int_equal(rig->taken, 2);
    /* No such meeting at all. */
    window = (struct ingest_rig_window){.meeting = 5, .relay = 1, .slot = 1, .received = 500};
    ingest_rig_relay(rig, &window);
    ingest_rig_answer_none(rig);
    assert_int_equal(rig->refused, 5);
    assert_int_equal(bw_ingest_core_counts(rig->core).meetings, 1);
}

static void who_moved_is_still_spoken_for_by_the_relay_before(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    /* The roster is now another: slot 1 has gone to relay 2. */
    ingest_rig_relay(rig, &(struct ingest_rig_window){.meeting = 1, .relay = 2, .slot = 1, .received = 500});
    ingest_rig_wait(rig, 1200);
    ingest_rig_answer(rig, 0, false); /* slot 1 on relay 2 */
    assert_int_equal(rig->taken, 2);
    say(rig, 1, 1, 0); /* relay 1's last window of it */
    assert_int_equal(rig->taken, 3);
    assert_int_equal(rig->refused, 0);
}

static void a_bad_stretch_makes_the_meeting_red_with_its_reason(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    for (uint32_t i = 1; i < 12; i++) {
        ingest_rig_wait(rig, RIG_WINDOW_MS);
        say(rig, 1, i, i < 6 ? 0 : 60); /* twelve percent, from the sixth on */
        say(rig, 2, i, 0);
    }
    ingest_rig_wait(rig, 2000);
    const struct bw_store_meeting_quality *summary = ingest_rig_summary(rig, 1);
    assert_non_null(summary);
    assert_int_equal(summary->worst_class, BW_QUALITY_RED);
    assert_int_equal(summary->reason, BW_QUALITY_METRIC_LOSS);
    assert_int_equal(summary->participants, 2);
    assert_int_equal(summary->windows, 23);
    assert_int_equal(summary->poor_minutes, 1);
    assert_int_equal(summary->policy_revision, 3);
    assert_int_equal(summary->relay_count, 2);
    assert_true(bw_ingest_core_counts(rig->core).class_changes > 0);
    assert_true(rig->sketch_rows > 0);
}

static void what_a_client_says_is_kept_beside_it(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    struct bw_quality_window window = bw_quality_window_of(0, 1000);
    bw_quality_put(&window, BW_QUALITY_CONCEALED_SAMPLES, 48000);
    bw_quality_put(&window, BW_QUALITY_TOTAL_SAMPLES_RECEIVED, 480000);
    ingest_rig_client(rig, 1, 2, 0, &window, &rig->tenant);
    assert_int_equal(rig->taken, 2);
    struct bw_id other = {{9}};
    ingest_rig_client(rig, 1, 2, 0, &window, &other); /* of a tenant whose meeting it is not */
    ingest_rig_wait(rig, 1200);
    ingest_rig_answer(rig, 3, false);
    assert_int_equal(rig->refused, 1);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->row_count, 2);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[1], &chunk));
    assert_int_equal(chunk.source, BW_QUALITY_FROM_CLIENT);
    assert_int_equal(chunk.media, BW_QUALITY_MEDIA_AUDIO);
    assert_int_equal(chunk.windows[0].values[BW_QUALITY_CONCEALED_SAMPLES], 48000);
}

static void without_keys_rows_wait_and_are_sealed_when_one_comes(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    for (uint32_t i = 1; i < 40; i++) {
        ingest_rig_wait(rig, RIG_WINDOW_MS);
        say(rig, 1, i, 0);
    }
    assert_int_equal(rig->taken, 40); /* nothing is refused meanwhile */
    assert_int_equal(rig->row_count, 0);
    assert_true(rig->keys_wanted > 0);
    assert_true(rig->keys_wanted < 100);         /* and not at each tick */
    assert_non_null(ingest_rig_summary(rig, 1)); /* codes need no key */
    ingest_rig_give_key(rig);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->row_count, 2);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[0], &chunk));
    assert_true(ingest_rig_open(rig, &rig->rows[1], &chunk));
}

static void without_the_database_newer_versions_take_the_place_of_older_ones(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    ingest_rig_wait(rig, 1200);
    rig->database_away = true;
    for (uint32_t i = 1; i < 20; i++) {
        ingest_rig_wait(rig, RIG_WINDOW_MS);
        say(rig, 1, i, 0);
        say(rig, 2, i, 0);
    }
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->taken, 1 + 19 * 2);
    assert_int_equal(rig->write_count, 2); /* no more are under way */
    assert_true(bw_ingest_core_counts(rig->core).rows_waiting <= 2);
    rig->database_away = false;
    ingest_rig_written(rig, true);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->row_count, 2);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[0], &chunk));
    assert_int_equal(chunk.count, 20);
    assert_true(ingest_rig_open(rig, &rig->rows[1], &chunk));
    assert_int_equal(chunk.count, 19);
    assert_int_equal(bw_ingest_core_counts(rig->core).rows_dropped, 0);
    assert_int_equal(ingest_rig_summary(rig, 1)->windows, 39);
}

static void memory_is_bounded_and_the_oldest_rows_go(void **state)
{
    (void)state;
    struct bw_ingest_config config = bw_ingest_config_default();
    config.seals = true;
    config.flush_ms = 1000;
    config.row_bytes = 20000;
    struct ingest_rig *rig = ingest_rig_create(&config);
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    ingest_rig_everybody(rig, 1, 500, 0, 0); /* each stream's chunk is some 200 bytes with its bookkeeping */
    ingest_rig_answer(rig, 500, false);
    ingest_rig_wait(rig, 1200);
    struct bw_ingest_counts counts = bw_ingest_core_counts(rig->core);
    assert_true(counts.rows_dropped > 300);
    assert_true(counts.rows_waiting > 10 && counts.rows_waiting < 200);
    assert_int_equal(counts.rows_dropped + counts.rows_waiting, 500);
    ingest_rig_destroy(rig);

    config = bw_ingest_config_default();
    config.window_bytes = 100000;
    rig = ingest_rig_create(&config);
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    ingest_rig_everybody(rig, 1, 2000, 0, 0);
    ingest_rig_answer(rig, 2000, false);
    assert_true(rig->taken > 50 && rig->taken < 2000);
    assert_int_equal(rig->taken + rig->dropped, 2000);
    assert_true(rig->overloaded > 0); /* so that relays report them again */
    ingest_rig_destroy(rig);
}

static void a_meeting_of_five_thousand_is_one_meeting(void **state)
{
    struct ingest_rig *rig = *state;
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    ingest_rig_everybody(rig, 1, 5000, 0, 0);
    assert_int_equal(rig->asks, 1);
    assert_int_equal(rig->batches, 0);
    ingest_rig_answer(rig, 5000, false);
    assert_int_equal(rig->taken, 5000);
    assert_int_equal(rig->batches, 20);
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    ingest_rig_everybody(rig, 1, 5000, 1, 40);
    ingest_rig_wait(rig, 3000);
    assert_int_equal(rig->taken, 10000);
    assert_int_equal(rig->asks, 1);
    assert_int_equal(rig->row_count, 5000);
    assert_int_equal(ingest_rig_summary(rig, 1)->participants, 5000);
    struct bw_quality_chunk chunk;
    assert_true(ingest_rig_open(rig, &rig->rows[4321], &chunk));
    assert_int_equal(chunk.count, 2);
}

static void an_owner_that_is_not_ready_is_asked_again(void **state)
{
    struct ingest_rig *rig = *state;
    ingest_rig_wait(rig, RIG_WINDOW_MS);
    say(rig, 1, 0, 0);
    const struct bw_ingest_roster loading = {.meeting = rig->asked[--rig->ask_count], .loading = true};
    bw_ingest_core_resolved(rig->core, &loading, rig->now_ms);
    ingest_rig_wait(rig, 300);
    assert_int_equal(rig->ask_count, 0); /* not at once */
    ingest_rig_wait(rig, 400);
    assert_int_equal(rig->ask_count, 1);
    assert_int_equal(rig->batches, 0);
    ingest_rig_answer(rig, 1, false);
    assert_int_equal(rig->taken, 1);
    /* And no more windows wait for owners than there is room for. */
    struct bw_ingest_config config = bw_ingest_config_default();
    config.waiting = 100;
    struct ingest_rig *small = ingest_rig_create(&config);
    ingest_rig_wait(small, RIG_WINDOW_MS);
    ingest_rig_everybody(small, 1, 512, 0, 0);
    assert_int_equal(bw_ingest_core_counts(small->core).waiting, 100);
    assert_int_equal(small->batches, 1); /* the second batch has its answers, the first waits with some */
    assert_int_equal(small->dropped, 256);
    ingest_rig_answer(small, 512, false);
    assert_int_equal(small->taken, 100);
    assert_int_equal(small->dropped, 412);
    ingest_rig_destroy(small);
}

static void an_ended_meeting_is_closed_and_forgotten(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    ingest_rig_wait(rig, 70000); /* quiet: is it still there? */
    assert_int_equal(rig->asks, 2);
    ingest_rig_answer(rig, 3, true);
    ingest_rig_wait(rig, 5000);
    assert_int_equal(bw_ingest_core_counts(rig->core).meetings, 0);
    assert_int_equal(bw_ingest_core_counts(rig->core).window_bytes, 0);
    assert_int_equal(bw_ingest_core_counts(rig->core).chunks, 1); /* closed, not left open */
    /* A process that knows it later goes on from what is there. */
    say(rig, 2, 5, 0);
    ingest_rig_answer(rig, 3, true);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(ingest_rig_summary(rig, 1)->windows, 2);
    assert_int_equal(rig->row_count, 2);
    assert_true(rig->rows[1].chunk.seq > rig->rows[0].chunk.seq);
}

static void the_end_writes_what_is_open(void **state)
{
    struct ingest_rig *rig = *state;
    begin(rig);
    say(rig, 2, 0, 0);
    bw_ingest_core_close(rig->core, rig->now_ms);
    assert_false(bw_ingest_core_settled(rig->core));
    for (unsigned i = 0; i < 20 && !bw_ingest_core_settled(rig->core); i++)
        ingest_rig_wait(rig, 100);
    assert_true(bw_ingest_core_settled(rig->core));
    assert_int_equal(rig->row_count, 2);
    assert_non_null(ingest_rig_summary(rig, 1));
    say(rig, 3, 0, 0); /* too late: answered all the same */
    assert_int_equal(rig->overloaded, 1);
}

static void without_a_vault_only_codes_are_kept(void **state)
{
    (void)state;
    struct bw_ingest_config config = bw_ingest_config_default();
    config.flush_ms = 1000;
    struct ingest_rig *rig = ingest_rig_create(&config);
    begin(rig);
    ingest_rig_wait(rig, 1200);
    assert_int_equal(rig->row_count, 0);
    assert_int_equal(rig->sketch_rows, 0);
    assert_int_equal(rig->keys_wanted, 0);
    assert_int_equal(ingest_rig_summary(rig, 1)->windows, 1);
    bw_ingest_core_close(rig->core, rig->now_ms);
    ingest_rig_wait(rig, 300);
    assert_true(bw_ingest_core_settled(rig->core));
    ingest_rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_came_can_be_opened_within_a_flush),
        TEST(five_minutes_are_one_chunk_and_the_next_begins),
        TEST(the_same_window_again_is_taken_and_dropped),
        TEST(late_windows_find_their_place_and_too_late_ones_do_not),
        TEST(a_relay_speaks_only_for_whom_it_carries),
        TEST(who_moved_is_still_spoken_for_by_the_relay_before),
        TEST(a_bad_stretch_makes_the_meeting_red_with_its_reason),
        TEST(what_a_client_says_is_kept_beside_it),
        cmocka_unit_test_setup_teardown(without_keys_rows_wait_and_are_sealed_when_one_comes, setup_keyless,
                                        teardown),
        TEST(without_the_database_newer_versions_take_the_place_of_older_ones),
        cmocka_unit_test(memory_is_bounded_and_the_oldest_rows_go),
        TEST(a_meeting_of_five_thousand_is_one_meeting),
        TEST(an_owner_that_is_not_ready_is_asked_again),
        TEST(an_ended_meeting_is_closed_and_forgotten),
        TEST(the_end_writes_what_is_open),
        cmocka_unit_test(without_a_vault_only_codes_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
