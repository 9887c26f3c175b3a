/* How a process that must not go on comes to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/thread.h"
#include "server/daemon.h"

static void break_it(void *context)
{
    for (int i = 0; i < 3; i++)
        bw_daemon_broken(context, "no memory for a group that is committed");
}

static void a_broken_daemon_stops_and_says_why_once(void **state)
{
    (void)state;
    static struct bw_daemon daemon;
    struct bw_error err;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    bw_log_to_fd(ends[1]);
    daemon.main_loop = bw_loop_create(&err);
    assert_non_null(daemon.main_loop);
    struct bw_thread *thread = bw_thread_start(break_it, &daemon, "bw-worker-0", &err);
    assert_non_null(thread);
    bw_loop_run(daemon.main_loop); /* serve goes on from here, to exit status 7 */
    bw_thread_join(thread);
    bw_log_to_fd(STDERR_FILENO);
    assert_true(daemon.broken);
    char text[4096] = "";
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    const char *line = strstr(text, "event=giving_up");
    assert_non_null(line);
    assert_non_null(strstr(line, "no memory for a group that is committed"));
    assert_non_null(strstr(line, "exit status 7"));
    assert_null(strstr(line + 1, "event=giving_up"));
    bw_loop_destroy(daemon.main_loop);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_broken_daemon_stops_and_says_why_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
