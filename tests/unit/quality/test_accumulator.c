#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "check_alloc.h"
#include "quality/accumulator.h"
#include "quality/chunk.h"
#include "traces.h"

#define START_MS  INT64_C(1795255200000)
#define WINDOW_MS 10000
#define KEPT      64

/* What comes out of a meeting. */
struct outlet {
    uint32_t chunks, changes, judged, windows, samples;
    size_t bytes;
    struct bw_quality_closed last;
    struct bw_quality_change change[KEPT];
    struct bw_buf stream; /* bytes of slot 1's chunks, one behind the other */
    int64_t to_ms;        /* of slot 1's newest chunk */
    enum bw_code refuse;
};

static enum bw_code take_chunk(void *context, const struct bw_quality_closed *closed, struct bw_error *err)
{
    struct outlet *out = context;
    static struct bw_quality_chunk chunk;
    if (out->refuse != BW_OK)
        return bw_fail(err, out->refuse, NULL, "not now");
    assert_int_equal(bw_quality_chunk_decode(closed->bytes, &chunk, NULL), BW_OK);
    assert_int_equal(chunk.count, closed->windows);
    assert_int_equal(chunk.media, closed->media);
    assert_true(chunk.windows[0].start_ms == closed->from_ms);
    assert_int_equal(bw_quality_chunk_samples(&chunk), closed->samples);
    if (closed->key.slot == 1) {
        assert_true(closed->from_ms >= out->to_ms); /* no window is in two chunks */
        out->to_ms = closed->from_ms + 1;
        bw_buf_append(&out->stream, closed->bytes.data, closed->bytes.len);
    }
    out->chunks++;
    out->windows += closed->windows;
    out->samples += closed->samples;
    out->bytes += closed->bytes.len;
    out->last = *closed;
    return BW_OK;
}

static void take_change(void *context, const struct bw_quality_change *change)
{
    struct outlet *out = context;
    if (out->changes < KEPT)
        out->change[out->changes] = *change;
    out->changes++;
}

static void take_judged(void *context, const struct bw_quality_stream_key *key,
                        const struct bw_quality_window *window, const struct bw_quality_judgement *judgement)
{
    (void)key;
    (void)window;
    (void)judgement;
    ((struct outlet *)context)->judged++;
}

static struct bw_quality_meeting *meeting_of(struct outlet *out, struct bw_quality_limits limits)
{
    struct bw_quality_sink sink = {take_chunk, take_change, take_judged, out};
    struct bw_quality_meeting *meeting = NULL;
    assert_int_equal(bw_quality_meeting_create(&limits, &sink, &meeting, NULL), BW_OK);
    return meeting;
}

static struct bw_quality_stream_key key_of(uint32_t slot)
{
    return (struct bw_quality_stream_key){.slot = slot, .source = BW_QUALITY_FROM_RELAY};
}

static enum bw_quality_fate give(struct bw_quality_meeting *meeting, uint32_t slot,
                                 const struct bw_quality_window *window, int64_t now_ms)
{
    struct bw_quality_stream_key key = key_of(slot);
    enum bw_quality_fate fate = BW_QUALITY_FATES;
    struct bw_error err;
    if (bw_quality_meeting_add(meeting, &key, BW_QUALITY_MEDIA_UNKNOWN, window, now_ms, &fate, NULL, &err) !=
        BW_OK)
        fail_msg("%s", err.show);
    return fate;
}

/* The nth window of a stream, as soon as it is over. */
static int64_t end_of(size_t n)
{
    return START_MS + (int64_t)(n + 1) * WINDOW_MS;
}

static struct bw_quality_window plain(size_t n, int64_t lost)
{
    struct bw_quality_window w = bw_quality_window_of(START_MS + (int64_t)n * WINDOW_MS, WINDOW_MS);
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 1000 - lost);
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, lost);
    return w;
}

static void an_hour_becomes_twelve_chunks(void **state)
{
    (void)state;
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){.first_seq = 7});
    struct trace trace = trace_of(1, BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, START_MS);
    assert_true(bw_quality_meeting_due_ms(meeting) == INT64_MAX);
    for (size_t n = 0; n < 360; n++) {
        struct bw_quality_window w = trace_next(&trace);
        assert_int_equal(give(meeting, 1, &w, end_of(n)), BW_QUALITY_TAKEN);
        if (n == 0)
            assert_true(bw_quality_meeting_due_ms(meeting) == START_MS + 300000 + 15000);
        assert_int_equal(bw_quality_meeting_tick(meeting, end_of(n), NULL), BW_OK);
        if (n >= 30)
            assert_int_equal(out.chunks, (n - 30) / 30 + (n % 30 >= 1)); /* 15 s of grace */
    }
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_OK);
    assert_int_equal(out.chunks, 12);
    assert_int_equal(out.windows, 360);
    assert_int_equal(out.judged, 360);
    assert_int_equal(out.last.seq, 18);
    assert_int_equal(out.last.windows, 30);
    assert_true(out.last.to_ms == START_MS + 3600000);
    assert_true(bw_quality_meeting_due_ms(meeting) == INT64_MAX);
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_OK);
    assert_int_equal(out.chunks, 12);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

/* Windows up to 14 s late, in any order and doubled, end as the same chunks as in order. */
static void order_of_arrival_leaves_no_trace(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        enum { WINDOWS = 100 };
        struct outlet calm = {0}, wild = {0};
        struct bw_quality_meeting *a = meeting_of(&calm, (struct bw_quality_limits){0});
        struct bw_quality_meeting *b = meeting_of(&wild, (struct bw_quality_limits){0});
        struct trace trace = trace_of(seed, BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, START_MS);
        struct bw_quality_window windows[WINDOWS];
        int64_t at_ms[WINDOWS];
        uint64_t random = seed;
        for (size_t n = 0; n < WINDOWS; n++) {
            windows[n] = trace_next(&trace);
            at_ms[n] = end_of(n) + (n == 0 ? 0 : (int64_t)(trace_random(&random) % 14000));
            assert_int_equal(give(a, 1, &windows[n], end_of(n)), BW_QUALITY_TAKEN);
        }
        for (int64_t now = START_MS; now < end_of(WINDOWS) + 30000; now += 250) {
            assert_int_equal(bw_quality_meeting_tick(b, now, NULL), BW_OK);
            for (size_t n = WINDOWS; n-- > 0;) {
                if (at_ms[n] < now - 250 || at_ms[n] >= now)
                    continue;
                assert_int_equal(give(b, 1, &windows[n], now), BW_QUALITY_TAKEN);
                if (trace_random(&random) % 2 == 0)
                    assert_int_equal(give(b, 1, &windows[n], now), BW_QUALITY_DOUBLED);
            }
        }
        assert_int_equal(bw_quality_meeting_close(a, NULL), BW_OK);
        assert_int_equal(bw_quality_meeting_close(b, NULL), BW_OK);
        assert_true(bw_view_equal(bw_buf_view(&calm.stream), bw_buf_view(&wild.stream)));
        struct bw_quality_summary x, y;
        bw_quality_meeting_summary(a, &x);
        bw_quality_meeting_summary(b, &y);
        assert_int_equal(x.windows, y.windows);
        assert_int_equal(x.poor_windows, y.poor_windows);
        assert_int_equal(x.poor_ms, y.poor_ms);
        assert_int_equal(x.judged_ms, y.judged_ms);
        assert_true(bw_quality_meeting_counts(b)->out_of_order > 0);
        bw_quality_meeting_destroy(a);
        bw_quality_meeting_destroy(b);
        bw_buf_finish(&calm.stream);
        bw_buf_finish(&wild.stream);
    }
}

static void late_early_and_impossible_windows_are_counted_and_dropped(void **state)
{
    (void)state;
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    for (size_t n = 0; n < 32; n++) {
        struct bw_quality_window w = plain(n, 0);
        assert_int_equal(give(meeting, 1, &w, end_of(n)), BW_QUALITY_TAKEN);
    }
    struct bw_quality_window again = plain(31, 0), closed = plain(5, 0), before = plain(0, 0),
                             bad = plain(33, 0);
    assert_int_equal(give(meeting, 1, &again, end_of(32)), BW_QUALITY_DOUBLED);
    assert_int_equal(out.chunks, 1);
    assert_int_equal(give(meeting, 1, &closed, end_of(32)), BW_QUALITY_LATE);
    before.start_ms -= 600000; /* another stream, but too old for any */
    assert_int_equal(give(meeting, 2, &before, end_of(0) + 1), BW_QUALITY_LATE);
    struct bw_quality_window ahead = plain(40, 0);
    assert_int_equal(give(meeting, 1, &ahead, end_of(40) - 30001), BW_QUALITY_AHEAD);
    assert_int_equal(give(meeting, 1, &ahead, end_of(40) - 30000), BW_QUALITY_TAKEN);
    bw_quality_put(&bad, BW_QUALITY_JITTER, -1);
    struct bw_quality_stream_key key = key_of(1);
    struct bw_quality_finding finding;
    enum bw_quality_fate fate;
    assert_int_equal(bw_quality_meeting_add(meeting, &key, BW_QUALITY_MEDIA_UNKNOWN, &bad, end_of(33), &fate,
                                            &finding, NULL),
                     BW_OK);
    assert_int_equal(fate, BW_QUALITY_IMPOSSIBLE);
    assert_int_equal(finding.field, BW_QUALITY_JITTER);
    const struct bw_quality_counts *counts = bw_quality_meeting_counts(meeting);
    assert_int_equal(counts->fates[BW_QUALITY_TAKEN], 33);
    assert_int_equal(counts->fates[BW_QUALITY_DOUBLED], 1);
    assert_int_equal(counts->fates[BW_QUALITY_LATE], 2);
    assert_int_equal(counts->fates[BW_QUALITY_AHEAD], 1);
    assert_int_equal(counts->fates[BW_QUALITY_IMPOSSIBLE], 1);
    assert_int_equal(counts->faults[BW_QUALITY_FAULT_NEGATIVE], 1);
    struct bw_quality_summary summary;
    bw_quality_meeting_summary(meeting, &summary);
    assert_int_equal(summary.windows, 33); /* what was dropped is in no figure */
    assert_int_equal(summary.participants, 1);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

/* A hole at the end of five minutes stays a hole once they are closed; what follows it is not touched. */
static void closed_minutes_stay_closed(void **state)
{
    (void)state;
    for (int followed = 0; followed < 2; followed++) {
        struct outlet out = {0};
        struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
        for (size_t n = 0; n < 28; n++) {
            struct bw_quality_window w = plain(n, 0);
            assert_int_equal(give(meeting, 1, &w, end_of(n)), BW_QUALITY_TAKEN);
        }
        struct bw_quality_window late = plain(28, 0), next = plain(30, 0);
        if (followed)
            assert_int_equal(give(meeting, 1, &next, end_of(30)), BW_QUALITY_TAKEN);
        assert_int_equal(bw_quality_meeting_tick(meeting, START_MS + 314999, NULL), BW_OK);
        assert_int_equal(out.chunks, 0);
        assert_int_equal(bw_quality_meeting_tick(meeting, START_MS + 315000, NULL), BW_OK);
        assert_int_equal(out.windows, 28);
        assert_int_equal(give(meeting, 1, &late, START_MS + 315000), BW_QUALITY_LATE);
        assert_int_equal(give(meeting, 1, &next, START_MS + 315000),
                         followed ? BW_QUALITY_DOUBLED : BW_QUALITY_TAKEN);
        bw_quality_meeting_destroy(meeting);
        bw_buf_finish(&out.stream);
    }
}

/* A client that was offline sends nine minutes at once, newest first. */
static void a_backlog_is_taken_whole(void **state)
{
    (void)state;
    enum { WINDOWS = 54 };
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    int64_t now = end_of(WINDOWS);
    for (size_t n = WINDOWS; n-- > 0;) {
        struct bw_quality_window w = plain(n, (int64_t)n);
        assert_int_equal(give(meeting, 1, &w, now++), BW_QUALITY_TAKEN);
    }
    assert_int_equal(out.chunks, 0);
    assert_int_equal(bw_quality_meeting_tick(meeting, now + 60000, NULL), BW_OK);
    assert_int_equal(out.chunks, 0);
    assert_int_equal(bw_quality_meeting_tick(meeting, now + 75000, NULL), BW_OK);
    assert_int_equal(out.chunks, 2);
    assert_int_equal(out.windows, WINDOWS);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

static void short_windows_fill_a_chunk_before_its_time(void **state)
{
    (void)state;
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    for (int64_t n = 0; n < 300; n++) {
        struct bw_quality_window w = bw_quality_window_of(START_MS + n * 1000, 1000);
        bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 100);
        assert_int_equal(give(meeting, 1, &w, START_MS + n * 1000 + 1000), BW_QUALITY_TAKEN);
    }
    assert_int_equal(out.chunks, 4);
    assert_int_equal(out.last.windows, BW_QUALITY_CHUNK_WINDOWS);
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_OK);
    assert_int_equal(out.windows, 300);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

static void changes_of_class_come_with_their_reason(void **state)
{
    (void)state;
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    /* six good, five with 8 % loss, ten good, three with 3 % */
    for (size_t n = 0; n < 24; n++) {
        struct bw_quality_window w = plain(n, n < 6 ? 0 : n < 11 ? 80 : n < 21 ? 0 : 30);
        give(meeting, 1, &w, end_of(n));
    }
    static const struct {
        size_t window;
        enum bw_quality_class from, to;
        enum bw_quality_metric reason;
    } expected[] = {
        {2, BW_QUALITY_GREY, BW_QUALITY_GREEN, BW_QUALITY_NO_METRIC},
        {8, BW_QUALITY_GREEN, BW_QUALITY_RED, BW_QUALITY_METRIC_LOSS},
        {13, BW_QUALITY_RED, BW_QUALITY_GREEN, BW_QUALITY_NO_METRIC},
        {23, BW_QUALITY_GREEN, BW_QUALITY_AMBER, BW_QUALITY_METRIC_LOSS},
    };
    assert_int_equal(out.changes, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(out.change[i].at_ms == end_of(expected[i].window));
        assert_int_equal(out.change[i].from, expected[i].from);
        assert_int_equal(out.change[i].to, expected[i].to);
        assert_int_equal(out.change[i].reason, expected[i].reason);
        assert_int_equal(out.change[i].key.slot, 1);
    }
    struct bw_quality_summary summary;
    bw_quality_meeting_summary(meeting, &summary);
    assert_int_equal(summary.worst_class, BW_QUALITY_RED);
    assert_int_equal(summary.reason, BW_QUALITY_METRIC_LOSS);
    assert_int_equal(summary.poor_windows, 5);
    assert_int_equal(summary.poor_ms, 50000);
    assert_int_equal(summary.poor_minutes, 1);
    assert_int_equal(summary.judged_windows, 24);
    assert_true(summary.from_ms == START_MS && summary.to_ms == end_of(23));
    assert_int_equal(summary.teams_good, 1);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

static void a_participant_seen_twice_is_poor_once(void **state)
{
    (void)state;
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    for (size_t n = 0; n < 12; n++)
        for (unsigned source = 0; source < 2; source++) {
            struct bw_quality_stream_key key = {.slot = 5, .source = source, .stream = {{(uint8_t)source}}};
            struct bw_quality_window w = plain(n, 100);
            enum bw_quality_fate fate;
            w.start_ms += source * 3000; /* clocks differ */
            assert_int_equal(bw_quality_meeting_add(meeting, &key, BW_QUALITY_MEDIA_UNKNOWN, &w, end_of(n),
                                                    &fate, NULL, NULL),
                             BW_OK);
            assert_int_equal(fate, BW_QUALITY_TAKEN);
        }
    struct bw_quality_summary summary;
    bw_quality_meeting_summary(meeting, &summary);
    assert_int_equal(summary.participants, 1);
    assert_int_equal(summary.poor_windows, 24);
    assert_int_equal(summary.poor_ms, 120000);
    assert_int_equal(summary.poor_minutes, 2);
    bw_quality_meeting_destroy(meeting);
}

static void a_chunk_that_was_not_taken_is_offered_again(void **state)
{
    (void)state;
    struct outlet out = {.refuse = BW_UNAVAILABLE};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    for (size_t n = 0; n < 31; n++) {
        struct bw_quality_window w = plain(n, 0);
        give(meeting, 1, &w, end_of(n));
    }
    struct bw_quality_window next = plain(31, 0);
    struct bw_quality_stream_key key = key_of(1);
    enum bw_quality_fate fate;
    assert_int_equal(bw_quality_meeting_tick(meeting, end_of(32), NULL), BW_UNAVAILABLE);
    assert_int_equal(
        bw_quality_meeting_add(meeting, &key, BW_QUALITY_MEDIA_UNKNOWN, &next, end_of(32), &fate, NULL, NULL),
        BW_UNAVAILABLE);
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_UNAVAILABLE);
    out.refuse = BW_OK;
    assert_int_equal(bw_quality_meeting_tick(meeting, end_of(32), NULL), BW_OK);
    assert_int_equal(out.windows, 30);
    assert_int_equal(give(meeting, 1, &next, end_of(32)), BW_QUALITY_TAKEN);
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_OK);
    assert_int_equal(out.windows, 32);
    assert_int_equal(out.last.seq, 1);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

static void open_windows_can_be_seen_and_stay_open(void **state)
{
    (void)state;
    struct outlet out = {0}, seen = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    for (uint32_t slot = 1; slot <= 3; slot++)
        for (size_t n = 0; n < 54; n++) {
            struct bw_quality_window w = plain(n, 0);
            give(meeting, slot, &w, end_of(53));
        }
    assert_int_equal(bw_quality_meeting_peek(meeting, 1, take_chunk, &seen, NULL), BW_OK);
    assert_int_equal(seen.chunks, 2);
    assert_int_equal(seen.windows, 54);
    assert_int_equal(seen.last.seq, 1);
    assert_int_equal(bw_quality_meeting_peek(meeting, 0, take_chunk, &out, NULL), BW_OK);
    assert_int_equal(out.windows, 3 * 54);
    struct bw_quality_window again = plain(3, 0);
    assert_int_equal(give(meeting, 1, &again, end_of(53)), BW_QUALITY_DOUBLED);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
    bw_buf_finish(&seen.stream);
}

static void streams_and_memory_are_bounded(void **state)
{
    (void)state;
    struct outlet out = {0};
    struct bw_quality_meeting *meeting =
        meeting_of(&out, (struct bw_quality_limits){.streams = 5, .streams_per_slot = 2});
    struct bw_quality_window w = plain(0, 0);
    static const enum bw_quality_fate expected[9] = {[2] = BW_QUALITY_CROWDED,
                                                     [5] = BW_QUALITY_CROWDED,
                                                     [7] = BW_QUALITY_CROWDED,
                                                     [8] = BW_QUALITY_CROWDED};
    for (uint32_t i = 0; i < 9; i++) {
        struct bw_quality_stream_key key = {.slot = i / 3, .stream = {{(uint8_t)i}}};
        enum bw_quality_fate fate;
        assert_int_equal(
            bw_quality_meeting_add(meeting, &key, BW_QUALITY_MEDIA_UNKNOWN, &w, end_of(0), &fate, NULL, NULL),
            BW_OK);
        assert_int_equal(fate, expected[i]);
    }
    bw_quality_meeting_destroy(meeting);

    size_t bytes = 100000;
    meeting = meeting_of(&out, (struct bw_quality_limits){.bytes = bytes});
    for (size_t n = 0; n < 60; n++)
        for (uint32_t slot = 1; slot <= 100; slot++) {
            struct bw_quality_window next = plain(n, 0);
            give(meeting, slot, &next, end_of(n));
            assert_true(bw_quality_meeting_bytes(meeting) <= bytes);
        }
    const struct bw_quality_counts *counts = bw_quality_meeting_counts(meeting);
    assert_true(counts->fates[BW_QUALITY_CROWDED] > 0 && counts->fates[BW_QUALITY_TAKEN] > 500);
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_OK);
    assert_int_equal(out.windows, counts->fates[BW_QUALITY_TAKEN]);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

static void five_thousand_participants_fit(void **state)
{
    (void)state;
    enum { PEOPLE = 5000, WINDOWS = 33 };
    struct outlet out = {0};
    struct bw_quality_meeting *meeting = meeting_of(&out, (struct bw_quality_limits){0});
    struct trace *traces = bw_calloc(PEOPLE, sizeof *traces);
    assert_non_null(traces);
    size_t most = 0;
    for (uint32_t i = 0; i < PEOPLE; i++)
        traces[i] = trace_of(i, BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, START_MS + i % 10000);
    for (size_t n = 0; n < WINDOWS; n++) {
        for (uint32_t i = 0; i < PEOPLE; i++) {
            struct bw_quality_window w = trace_next(&traces[i]);
            assert_int_equal(give(meeting, i + 1, &w, end_of(n) + i % 10000), BW_QUALITY_TAKEN);
        }
        assert_int_equal(bw_quality_meeting_tick(meeting, end_of(n) + 9999, NULL), BW_OK);
        if (bw_quality_meeting_bytes(meeting) > most)
            most = bw_quality_meeting_bytes(meeting);
    }
    assert_int_equal(out.chunks, PEOPLE);
    assert_int_equal(bw_quality_meeting_close(meeting, NULL), BW_OK);
    assert_int_equal(out.windows, PEOPLE * WINDOWS);
    struct bw_quality_summary summary;
    bw_quality_meeting_summary(meeting, &summary);
    assert_int_equal(summary.participants, PEOPLE);
    assert_int_equal(summary.windows, PEOPLE * WINDOWS);
    assert_true(most < (size_t)PEOPLE * 3000);
    assert_true(bw_quality_meeting_bytes(meeting) < (size_t)PEOPLE * 400); /* nothing is open any more */
    print_message("%d participants: %zu bytes each at most\n", PEOPLE, most / PEOPLE);
    bw_free(traces);
    bw_quality_meeting_destroy(meeting);
    bw_buf_finish(&out.stream);
}

static bool a_small_meeting(void *context)
{
    (void)context;
    struct outlet out = {0};
    struct bw_quality_sink sink = {take_chunk, take_change, take_judged, &out};
    struct bw_quality_limits limits = {0};
    struct bw_quality_meeting *meeting = NULL;
    bool passed = bw_quality_meeting_create(&limits, &sink, &meeting, NULL) == BW_OK;
    uint32_t taken = 0;
    for (size_t n = 0; n < 34 && passed; n++)
        for (uint32_t slot = 2; slot < 5 && passed; slot++) {
            struct bw_quality_stream_key key = key_of(slot);
            struct bw_quality_window w = plain(n, 0);
            enum bw_quality_fate fate;
            passed = bw_quality_meeting_add(meeting, &key, BW_QUALITY_MEDIA_UNKNOWN, &w, end_of(n), &fate,
                                            NULL, NULL) == BW_OK;
            taken += passed;
        }
    if (meeting != NULL) {
        assert_int_equal(out.judged, taken); /* a window that was not taken is nowhere */
        passed = bw_quality_meeting_close(meeting, NULL) == BW_OK && passed;
        if (!passed && bw_quality_meeting_close(meeting, NULL) == BW_OK)
            assert_int_equal(out.windows, taken);
    }
    bw_quality_meeting_destroy(meeting);
    return passed;
}

static void no_memory_is_an_error_and_loses_nothing_taken(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(a_small_meeting, NULL, true) > 15);
}

static void summaries_of_two_processes_merge(void **state)
{
    (void)state;
    struct bw_quality_summary a = {0}, b = {.from_ms = 10000,
                                            .to_ms = 90000,
                                            .participants = 3,
                                            .worst_class = BW_QUALITY_AMBER,
                                            .windows = 8,
                                            .poor_ms = 50000};
    b.reasons[0][BW_QUALITY_METRIC_JITTER] = 5;
    bw_quality_summary_merge(&a, &b);
    assert_int_equal(a.participants, 3);
    struct bw_quality_summary c = b;
    c.from_ms = 90000;
    c.to_ms = 200000;
    c.participants = 2;
    c.worst_class = BW_QUALITY_RED;
    c.reasons[1][BW_QUALITY_METRIC_LOSS] = 3;
    c.reasons[1][BW_QUALITY_METRIC_R] = 4;
    bw_quality_summary_merge(&a, &c);
    assert_true(a.from_ms == 10000 && a.to_ms == 200000);
    assert_int_equal(a.participants, 3);
    assert_int_equal(a.worst_class, BW_QUALITY_RED);
    assert_int_equal(a.reason, BW_QUALITY_METRIC_R);
    assert_int_equal(a.poor_minutes, 2);
    assert_int_equal(a.windows, 16);
}

static void cells_are_counted_once_however_late(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        enum { CELLS = 200 };
        struct bw_quality_lane lane = {0};
        bool judged[CELLS] = {0}, poor[CELLS] = {0};
        uint32_t judged_count = 0, poor_count = 0;
        uint64_t random = seed;
        for (size_t i = 0; i < 600; i++) {
            size_t newest = 10 + i / 4;
            size_t cell = newest - trace_random(&random) % 10;
            bool red = trace_random(&random) % 4 == 0, grey = trace_random(&random) % 4 == 0;
            struct bw_quality_window w =
                bw_quality_window_of(START_MS + (int64_t)cell * BW_QUALITY_CELL_MS, 10000);
            bw_quality_lane_add(&lane, &w, grey ? BW_QUALITY_GREY : red ? BW_QUALITY_RED : BW_QUALITY_GREEN);
            judged[cell] |= !grey;
            poor[cell] |= !grey && red;
        }
        for (size_t cell = 0; cell < CELLS; cell++) {
            judged_count += judged[cell];
            poor_count += poor[cell];
        }
        assert_int_equal(lane.judged, judged_count);
        assert_int_equal(lane.poor, poor_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_becomes_twelve_chunks),
        cmocka_unit_test(order_of_arrival_leaves_no_trace),
        cmocka_unit_test(late_early_and_impossible_windows_are_counted_and_dropped),
        cmocka_unit_test(closed_minutes_stay_closed),
        cmocka_unit_test(a_backlog_is_taken_whole),
        cmocka_unit_test(short_windows_fill_a_chunk_before_its_time),
        cmocka_unit_test(changes_of_class_come_with_their_reason),
        cmocka_unit_test(a_participant_seen_twice_is_poor_once),
        cmocka_unit_test(a_chunk_that_was_not_taken_is_offered_again),
        cmocka_unit_test(open_windows_can_be_seen_and_stay_open),
        cmocka_unit_test(streams_and_memory_are_bounded),
        cmocka_unit_test(five_thousand_participants_fit),
        cmocka_unit_test(no_memory_is_an_error_and_loses_nothing_taken),
        cmocka_unit_test(summaries_of_two_processes_merge),
        cmocka_unit_test(cells_are_counted_once_however_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
