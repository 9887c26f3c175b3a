#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "runtime/log.h"

static int pipe_fds[2];
static char line[8192];

static int setup(void **state)
{
    (void)state;
    if (pipe(pipe_fds) != 0)
        return -1;
    bw_log_to_fd(pipe_fds[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bw_log_to_fd(STDERR_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

/* What follows the event's name. */
static const char *logged(void)
{
    ssize_t n = read(pipe_fds[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    const char *at = strstr(line, "event");
    assert_non_null(at);
    return at;
}

static void text_line_carries_the_fields_in_order(void **state)
{
    (void)state;
    bw_log_configure(BW_LOG_INFO, false);
    bw_log(BW_LOG_INFO, "call_done", "method=%s code=%d ms=%.1f note=\"%s\"", "Join", 7, 1.25, "two words");
    assert_string_equal(logged(), "event=call_done method=Join code=7 ms=1.2 note=\"two words\"\n");
}

static void json_line_keeps_numbers_and_strings_apart(void **state)
{
    (void)state;
    bw_log_configure(BW_LOG_INFO, true);
    bw_log(BW_LOG_WARN, "x", "a=%d b=%s c=%llu d=true e=\"%d\" f=%zu", -3, "4", 18446744073709551615ULL, 5,
           (size_t)6);
    assert_string_equal(
        logged(),
        "event\":\"x\",\"a\":-3,\"b\":\"4\",\"c\":18446744073709551615,\"d\":true,\"e\":\"5\",\"f\":6}\n");
    assert_int_equal(line[0], '{');
}

static void inserted_text_cannot_start_another_field_or_line(void **state)
{
    (void)state;
    bw_log_configure(BW_LOG_INFO, false);
    bw_log(BW_LOG_INFO, "x", "a=%s b=\"%s\"", "1 level=error", "\" c=1\nevent=forged");
    assert_string_equal(logged(), "event=x a=\"1 level=error\" b=\"\\\" c=1\\u000aevent=forged\"\n");
    bw_log_configure(BW_LOG_INFO, true);
    bw_log(BW_LOG_INFO, "x", "a=%s", "\",\"event\":\"forged\\");
    assert_string_equal(logged(), "event\":\"x\",\"a\":\"\\\",\\\"event\\\":\\\"forged\\\\\"}\n");
}

static void all_conversions_take_their_own_argument(void **state)
{
    (void)state;
    bw_log_configure(BW_LOG_INFO, false);
    bw_log(BW_LOG_INFO, "x", "a=%.*s b=%5.2f c=%c d=%#x e=%ld f=%% g=%hhu h=%*d", 2, "abc", 1.5, 'q', 255U,
           -9L, (unsigned char)200, 3, 7);
    assert_string_equal(logged(), "event=x a=ab b=\" 1.50\" c=q d=0xff e=-9 f=% g=200 h=\"  7\"\n");
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    bw_log_configure(BW_LOG_WARN, false);
    assert_false(bw_log_enabled(BW_LOG_INFO));
    bw_log(BW_LOG_INFO, "dropped", "a=1");
    bw_log(BW_LOG_ERROR, "kept", "a=1");
    assert_string_equal(logged(), "event=kept a=1\n");
}

static void long_values_are_cut_and_json_stays_whole(void **state)
{
    (void)state;
    char big[6000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    bw_log_configure(BW_LOG_INFO, true);
    bw_log(BW_LOG_INFO, "x", "a=%s b=%s c=%s d=%s", big, big, big, big);
    const char *text = logged();
    size_t len = strlen(text);
    assert_string_equal(text + len - 3, "\"}\n");
    assert_true(strlen(line) <= 4096);
}

static void level_names_parse(void **state)
{
    (void)state;
    enum bw_log_level level = BW_LOG_INFO;
    assert_true(bw_log_level_parse("error", &level));
    assert_int_equal(level, BW_LOG_ERROR);
    assert_false(bw_log_level_parse("loud", &level));
    assert_int_equal(level, BW_LOG_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_line_carries_the_fields_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(json_line_keeps_numbers_and_strings_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(inserted_text_cannot_start_another_field_or_line, setup, teardown),
        cmocka_unit_test_setup_teardown(all_conversions_take_their_own_argument, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_below_the_level_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(long_values_are_cut_and_json_stays_whole, setup, teardown),
        cmocka_unit_test(level_names_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
