/* The exposition and its reference page, printed from the tables. That a strict parser takes it is shown by
 * tests/e2e/observability.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "runtime/file.h"
#include "server/metrics_text.h"

static void nothing(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)call, (void)message, (void)context;
}

static const struct bw_grpc_method methods[] = {
    {.path = "/bailiwick.v1.MeetingService/JoinMeeting", .message = nothing},
    {.path = "/bailiwick.v1.RelayService/Session", .message = nothing},
};

struct scrape {
    struct bw_worker_metrics workers[2];
    struct bw_call_metrics calls[2];
    struct bw_hub_metrics hub;
    struct bw_ingest_metrics ingest;
    struct bw_buf text;
};

static struct scrape scrape;

static int setup(void **state)
{
    (void)state;
    memset(&scrape, 0, sizeof scrape);
    for (int i = 0; i < 2; i++) {
        if (!bw_call_metrics_init(&scrape.calls[i], methods, BW_ARRAY_LEN(methods)))
            return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        bw_call_metrics_finish(&scrape.calls[i]);
    bw_buf_finish(&scrape.text);
    return 0;
}

static const char *text(void)
{
    const struct bw_worker_metrics *workers[] = {&scrape.workers[0], &scrape.workers[1]};
    const struct bw_call_metrics *calls[] = {&scrape.calls[0], &scrape.calls[1]};
    struct bw_metrics_source source = {.workers = workers,
                                       .calls = calls,
                                       .worker_count = 2,
                                       .hub = &scrape.hub,
                                       .ingest = &scrape.ingest,
                                       .daemon = {.ready = 1, .workers = 2},
                                       .version = "1.2.3"};
    bw_process_metrics_read(&source.process);
    bw_buf_clear(&scrape.text);
    bw_metrics_text(&source, &scrape.text);
    const char *shown = bw_buf_cstr(&scrape.text);
    assert_non_null(shown);
    return shown;
}

static void shows(const char *line)
{
    char whole[300];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text(), whole) == NULL)
        fail_msg("no line \"%s\" in\n%s", line, text());
}

static void values_are_summed_over_the_workers(void **state)
{
    (void)state;
    atomic_store(&scrape.workers[0].meetings, 3);
    atomic_store(&scrape.workers[1].meetings, 4);
    atomic_store(&scrape.workers[1].decided, 9);
    atomic_store(&scrape.hub.lease_age_ms, 1250);
    shows("# HELP bailiwick_meetings Live meetings.");
    shows("bailiwick_meetings 7");
    shows("bailiwick_decisions_total 9");
    shows("bailiwick_lease_age_seconds 1.250");
    shows("bailiwick_build_info{version=\"1.2.3\"} 1");
    shows("bailiwick_workers 2");
    const char *shown = text();
    assert_string_equal(shown + strlen(shown) - 6, "# EOF\n");
}

static void calls_are_counted_by_method_and_code(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        bw_call_metrics_ended(&methods[0], BW_OK, 1000, &scrape.calls[i % 2]);
    bw_call_metrics_ended(&methods[0], BW_FAILED_PRECONDITION, 1000, &scrape.calls[0]);
    bw_call_metrics_ended(&methods[1], BW_CANCELLED, 1000, &scrape.calls[0]);
    bw_call_metrics_ended(NULL, BW_UNIMPLEMENTED, 1000, &scrape.calls[1]);
    static const struct bw_grpc_method health = {.path = "/grpc.health.v1.Health/Check", .message = nothing};
    bw_call_metrics_ended(&health, BW_OK, 1000, &scrape.calls[1]);
    bw_call_metrics_ended(&methods[0], (enum bw_code)99, 1000, &scrape.calls[0]);
    shows("bailiwick_requests_total{service=\"MeetingService\",method=\"JoinMeeting\",code=\"OK\"} 5");
    shows("bailiwick_requests_total{service=\"MeetingService\",method=\"JoinMeeting\",code=\"FAILED_"
          "PRECONDITION\"} 1");
    shows("bailiwick_requests_total{service=\"MeetingService\",method=\"JoinMeeting\",code=\"UNKNOWN\"} 1");
    shows("bailiwick_requests_total{service=\"RelayService\",method=\"Session\",code=\"CANCELLED\"} 1");
    shows("bailiwick_requests_total{service=\"other\",method=\"other\",code=\"UNIMPLEMENTED\"} 1");
    shows("bailiwick_requests_total{service=\"other\",method=\"other\",code=\"OK\"} 1");
}

static void joins_fall_into_buckets_that_include_their_bound(void **state)
{
    (void)state;
    static const uint64_t took_us[] = {1, 500, 501, 2000, 40000000};
    for (size_t i = 0; i < BW_ARRAY_LEN(took_us); i++)
        bw_call_metrics_ended(&methods[0], BW_OK, took_us[i] * 1000, &scrape.calls[i % 2]);
    bw_call_metrics_ended(&methods[1], BW_OK, 1000, &scrape.calls[0]); /* no join */
    shows("bailiwick_join_seconds_bucket{le=\"0.000500\"} 2");
    shows("bailiwick_join_seconds_bucket{le=\"0.001000\"} 3");
    shows("bailiwick_join_seconds_bucket{le=\"0.002500\"} 4");
    shows("bailiwick_join_seconds_bucket{le=\"30.000000\"} 4");
    shows("bailiwick_join_seconds_bucket{le=\"+Inf\"} 5");
    shows("bailiwick_join_seconds_count 5");
    shows("bailiwick_join_seconds_sum 40.003002");
}

static void the_process_is_measured(void **state)
{
    (void)state;
    struct bw_process_metrics process;
    bw_process_metrics_read(&process);
    assert_true(process.resident_bytes > 100000 && process.resident_bytes <= process.virtual_bytes);
    assert_true(process.open_fds >= 3 && process.open_fds < process.max_fds);
    FILE *more = fopen("/dev/null", "r");
    struct bw_process_metrics after;
    bw_process_metrics_read(&after);
    fclose(more);
    assert_int_equal(after.open_fds, process.open_fds + 1);
    assert_true(process.started_ms > 1600000000000);
}

/* The page is printed from the tables; BW_WRITE_REFERENCE=1 writes it anew. */
static void the_reference_page_is_the_tables(void **state)
{
    (void)state;
    static const char path[] = BW_SOURCE_DIR "/docs/reference/metrics.md";
    struct bw_buf page = {0}, kept = {0};
    struct bw_error err;
    bw_metrics_reference(&page);
    if (getenv("BW_WRITE_REFERENCE") != NULL) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(page.data, 1, page.len, out), page.len);
        fclose(out);
    }
    assert_int_equal(bw_file_read(path, 1 << 20, &kept, &err), BW_OK);
    assert_true(bw_view_equal(bw_buf_view(&page), bw_buf_view(&kept)));
    bw_buf_finish(&page);
    bw_buf_finish(&kept);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(values_are_summed_over_the_workers),
        T(calls_are_counted_by_method_and_code),
        T(joins_fall_into_buckets_that_include_their_bound),
        T(the_process_is_measured),
        T(the_reference_page_is_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
