#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/child.h"
#include "runtime/loop.h"

/* The test program is its own child: `echo` returns what it reads from descriptor 4 on 3, `exit` exits with
 * 7, `fds` exits with the number of open descriptors from 3 on, `wait` waits for a signal, `environment`
 * exits with 1 when it says that everything is to be bound at the start, and 10 more when it has the test's
 * variable. */
static int child_main(const char *role)
{
    if (strcmp(role, "exit") == 0)
        return 7;
    if (strcmp(role, "wait") == 0) {
        for (;;)
            pause();
    }
    if (strcmp(role, "fds") == 0) {
        int open_fds = 0;
        for (int fd = 3; fd < 256; fd++)
            open_fds += fcntl(fd, F_GETFD) >= 0;
        return open_fds;
    }
    if (strcmp(role, "environment") == 0) {
        const char *of_the_test = getenv("BW_TEST_CHILD");
        bool bound = false;
        for (char **variable = environ; *variable != NULL; variable++)
            bound = bound || strcmp(*variable, "LD_BIND_NOW=1") == 0;
        return bound + (of_the_test != NULL && strcmp(of_the_test, "passed on") == 0 ? 10 : 0);
    }
    char byte;
    while (read(4, &byte, 1) == 1) {
        if (write(3, &byte, 1) != 1)
            return 1;
    }
    return 0;
}

struct watch {
    struct bw_loop *loop;
    struct bw_child_exit how;
    bool exited, destroy;
};

static void on_exited(struct bw_child *child, struct bw_child_exit how, void *context)
{
    struct watch *watch = context;
    watch->how = how;
    watch->exited = true;
    if (watch->destroy)
        bw_child_destroy(child);
    bw_loop_stop(watch->loop);
}

static struct bw_child *start(struct watch *watch, const char *role, const int *fds, size_t count)
{
    const char *argv[] = {"child", role, NULL};
    struct bw_child_config config = {.argv = argv, .fds = fds, .fd_count = count};
    struct bw_error err = {0};
    struct bw_child *child = bw_child_spawn(watch->loop, &config, on_exited, watch, &err);
    if (child == NULL)
        fail_msg("%s", err.show);
    return child;
}

static void exit_status_and_signal_are_told_apart(void **state)
{
    (void)state;
    struct watch watch = {.loop = bw_loop_create(NULL), .destroy = true};
    start(&watch, "exit", NULL, 0);
    bw_loop_run(watch.loop);
    assert_int_equal(watch.how.status, 7);
    assert_int_equal(watch.how.signal, 0);
    struct bw_child *child = start(&watch, "wait", NULL, 0);
    assert_true(bw_child_pid(child) > 1);
    bw_child_kill(child, SIGTERM);
    bw_loop_run(watch.loop);
    assert_int_equal(watch.how.signal, SIGTERM);
    bw_loop_destroy(watch.loop);
}

static void child_binds_its_functions_at_its_start(void **state)
{
    (void)state;
    struct watch watch = {.loop = bw_loop_create(NULL), .destroy = true};
    assert_int_equal(setenv("BW_TEST_CHILD", "passed on", 1), 0);
    static const char *const ours[] = {NULL, "", "1"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_int_equal(ours[i] != NULL ? setenv("LD_BIND_NOW", ours[i], 1) : unsetenv("LD_BIND_NOW"), 0);
        start(&watch, "environment", NULL, 0);
        bw_loop_run(watch.loop);
        assert_int_equal(watch.how.status, 11);
    }
    bw_loop_destroy(watch.loop);
}

static void child_speaks_over_the_descriptors_it_is_given(void **state)
{
    (void)state;
    struct watch watch = {.loop = bw_loop_create(NULL)};
    int ours[2], theirs[2];
    assert_int_equal(bw_child_socketpair(&ours[0], &theirs[0], NULL), BW_OK);
    assert_int_equal(bw_child_socketpair(&ours[1], &theirs[1], NULL), BW_OK);
    struct bw_child *child = start(&watch, "echo", theirs, 2);
    close(theirs[0]);
    close(theirs[1]);
    assert_int_equal(write(ours[1], "hello", 5), 5);
    char got[6] = "";
    fcntl(ours[0], F_SETFL, 0);
    for (size_t n = 0; n < 5; n++)
        assert_int_equal(read(ours[0], got + n, 1), 1);
    assert_string_equal(got, "hello");
    close(ours[1]); /* the child ends at the end of its input */
    bw_loop_run(watch.loop);
    assert_true(watch.exited);
    assert_int_equal(watch.how.status, 0);
    close(ours[0]);
    bw_child_destroy(child);
    bw_loop_destroy(watch.loop);
}

static void child_inherits_nothing_else(void **state)
{
    (void)state;
    struct watch watch = {.loop = bw_loop_create(NULL), .destroy = true};
    int leaky = dup(STDIN_FILENO); /* not close-on-exec */
    assert_true(leaky >= 0);
    int ours, theirs;
    assert_int_equal(bw_child_socketpair(&ours, &theirs, NULL), BW_OK);
    start(&watch, "fds", &theirs, 1);
    bw_loop_run(watch.loop);
    assert_int_equal(watch.how.status, 1);
    close(leaky);
    close(ours);
    close(theirs);
    bw_loop_destroy(watch.loop);
}

static void destroying_a_running_child_ends_it(void **state)
{
    (void)state;
    struct watch watch = {.loop = bw_loop_create(NULL)};
    struct bw_child *child = start(&watch, "wait", NULL, 0);
    pid_t pid = bw_child_pid(child);
    bw_child_destroy(child);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_false(watch.exited);
    bw_loop_destroy(watch.loop);
}

static void program_that_does_not_exist_is_an_error(void **state)
{
    (void)state;
    struct bw_loop *loop = bw_loop_create(NULL);
    const char *argv[] = {"nothing", NULL};
    struct bw_child_config config = {.program = "/nonexistent/program", .argv = argv};
    struct bw_error err;
    assert_null(bw_child_spawn(loop, &config, on_exited, NULL, &err));
    assert_int_equal(err.code, BW_UNAVAILABLE);
    bw_loop_destroy(loop);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return child_main(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status_and_signal_are_told_apart),
        cmocka_unit_test(child_binds_its_functions_at_its_start),
        cmocka_unit_test(child_speaks_over_the_descriptors_it_is_given),
        cmocka_unit_test(child_inherits_nothing_else),
        cmocka_unit_test(destroying_a_running_child_ends_it),
        cmocka_unit_test(program_that_does_not_exist_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
