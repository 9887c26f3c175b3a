#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "check_alloc.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/mailbox.h"
#include "runtime/random.h"
#include "runtime/signals.h"
#include "runtime/thread.h"

struct trace {
    struct bw_loop *loop;
    struct bw_task tasks[3];
    char order[64];
    int count;
    struct bw_timer *timer;
};

static void note(struct trace *trace, char c)
{
    size_t len = strlen(trace->order);
    if (len + 1 < sizeof trace->order)
        trace->order[len] = c;
}

static void run_a(void *context)
{
    struct trace *trace = context;
    note(trace, 'a');
    bw_loop_defer(trace->loop, &trace->tasks[2]);
}

static void run_b(void *context)
{
    note(context, 'b');
}

static void run_c(void *context)
{
    note(context, 'c');
}

static void deferred_work_runs_once_in_order_and_can_be_taken_back(void **state)
{
    (void)state;
    struct trace trace = {.loop = bw_loop_create(NULL)};
    assert_non_null(trace.loop);
    bw_task_init(&trace.tasks[0], run_a, &trace);
    bw_task_init(&trace.tasks[1], run_b, &trace);
    bw_task_init(&trace.tasks[2], run_c, &trace);
    bw_loop_defer(trace.loop, &trace.tasks[0]);
    bw_loop_defer(trace.loop, &trace.tasks[0]);
    bw_loop_defer(trace.loop, &trace.tasks[1]);
    bw_loop_turn(trace.loop, false);
    assert_string_equal(trace.order, "abc");
    bw_loop_defer(trace.loop, &trace.tasks[1]);
    bw_loop_undefer(trace.loop, &trace.tasks[1]);
    bw_loop_turn(trace.loop, false);
    assert_string_equal(trace.order, "abc");
    bw_loop_destroy(trace.loop);
}

static void run_forever(void *context)
{
    struct trace *trace = context;
    trace->count++;
    bw_loop_defer(trace->loop, &trace->tasks[0]);
}

static void fire_stop(void *context)
{
    struct trace *trace = context;
    bw_loop_stop(trace->loop);
}

static void work_that_defers_itself_does_not_starve_timers(void **state)
{
    (void)state;
    struct trace trace = {.loop = bw_loop_create(NULL)};
    bw_task_init(&trace.tasks[0], run_forever, &trace);
    trace.timer = bw_timer_create(trace.loop, fire_stop, &trace, NULL);
    assert_non_null(trace.timer);
    bw_timer_start(trace.timer, 5, 0);
    bw_loop_defer(trace.loop, &trace.tasks[0]);
    bw_loop_run(trace.loop);
    assert_true(trace.count > 32);
    bw_loop_undefer(trace.loop, &trace.tasks[0]);
    bw_timer_destroy(trace.timer);
    bw_loop_destroy(trace.loop);
}

static void fire_and_destroy(void *context)
{
    struct trace *trace = context;
    trace->count++;
    if (trace->count == 3) {
        bw_timer_destroy(trace->timer);
        bw_loop_stop(trace->loop);
    }
}

static void repeating_timer_may_be_destroyed_from_its_own_function(void **state)
{
    (void)state;
    struct trace trace = {.loop = bw_loop_create(NULL)};
    trace.timer = bw_timer_create(trace.loop, fire_and_destroy, &trace, NULL);
    bw_timer_start(trace.timer, 1, 1);
    assert_true(bw_timer_active(trace.timer));
    bw_loop_run(trace.loop);
    assert_int_equal(trace.count, 3);
    bw_loop_destroy(trace.loop);
}

static void stop_before_run_returns_at_once(void **state)
{
    (void)state;
    struct bw_loop *loop = bw_loop_create(NULL);
    bw_loop_stop(loop);
    bw_loop_run(loop);
    bw_loop_destroy(loop);
}

enum { SENDERS = 4, LETTERS = 20000 };

struct letter {
    struct bw_mail mail;
    struct post *post;
    int sender, number;
};

struct post {
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    int next[SENDERS], received;
    bool in_order;
};

struct sender {
    struct post *post;
    int number;
};

static void deliver(struct bw_mail *mail)
{
    struct letter *letter = (struct letter *)(void *)mail;
    struct post *post = letter->post;
    if (post->next[letter->sender]++ != letter->number)
        post->in_order = false;
    if (++post->received == SENDERS * LETTERS)
        bw_loop_stop(post->loop);
    free(letter);
}

static void send_letters(void *context)
{
    struct sender *sender = context;
    for (int i = 0; i < LETTERS; i++) {
        struct letter *letter = malloc(sizeof *letter);
        BW_CHECK(letter != NULL);
        *letter = (struct letter){
            .mail = {.deliver = deliver}, .post = sender->post, .sender = sender->number, .number = i};
        bw_mailbox_post(sender->post->mailbox, &letter->mail);
    }
}

static void letters_of_several_threads_arrive_all_and_in_order(void **state)
{
    (void)state;
    struct post post = {.loop = bw_loop_create(NULL), .in_order = true};
    post.mailbox = bw_mailbox_create(post.loop, NULL);
    assert_non_null(post.mailbox);
    struct sender senders[SENDERS];
    struct bw_thread *threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.post = &post, .number = i};
        threads[i] = bw_thread_start(send_letters, &senders[i], "sender", NULL);
        assert_non_null(threads[i]);
    }
    bw_loop_run(post.loop);
    for (int i = 0; i < SENDERS; i++)
        bw_thread_join(threads[i]);
    assert_int_equal(post.received, SENDERS * LETTERS);
    assert_true(post.in_order);
    bw_mailbox_destroy(post.mailbox);
    bw_loop_destroy(post.loop);
}

static void destroying_a_mailbox_delivers_what_is_left(void **state)
{
    (void)state;
    struct post post = {.loop = bw_loop_create(NULL), .in_order = true};
    post.mailbox = bw_mailbox_create(post.loop, NULL);
    struct sender sender = {.post = &post};
    send_letters(&sender);
    bw_mailbox_destroy(post.mailbox);
    assert_int_equal(post.received, LETTERS);
    bw_loop_destroy(post.loop);
}

static int caught_signal;

static void on_usr1(int number, void *context)
{
    caught_signal = number;
    bw_loop_stop(context);
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct bw_loop *loop = bw_loop_create(NULL);
    struct bw_signal *watch = bw_signal_watch(loop, SIGUSR1, on_usr1, loop, NULL);
    assert_non_null(watch);
    kill(getpid(), SIGUSR1);
    bw_loop_run(loop);
    assert_int_equal(caught_signal, SIGUSR1);
    bw_signal_destroy(watch);
    struct bw_error err;
    assert_null(bw_signal_watch(loop, SIGKILL, on_usr1, loop, &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
    bw_loop_destroy(loop);
}

static bool build_everything(void *context)
{
    (void)context;
    struct bw_error err;
    struct bw_loop *loop = bw_loop_create(&err);
    if (loop == NULL)
        return false;
    struct bw_mailbox *mailbox = bw_mailbox_create(loop, &err);
    struct bw_timer *timer = mailbox ? bw_timer_create(loop, fire_stop, NULL, &err) : NULL;
    bool passed = timer != NULL;
    bw_timer_destroy(timer);
    bw_mailbox_destroy(mailbox);
    bw_loop_destroy(loop);
    return passed;
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    assert_int_equal(bw_fail_each_allocation(build_everything, NULL, true), 3);
}

static void clocks_and_random_numbers_move(void **state)
{
    (void)state;
    uint64_t before = bw_clock_mono_ns();
    assert_true(bw_clock_mono_ns() >= before);
    assert_true(bw_clock_mono_ms() > 0);
    assert_true(bw_clock_wall_ms() > 1700000000000ULL);
    assert_true(bw_random_u64() != bw_random_u64());
    int seen[5] = {0};
    for (int i = 0; i < 1000; i++)
        seen[bw_random_below(5)]++;
    for (int i = 0; i < 5; i++)
        assert_in_range(seen[i], 100, 320);
    assert_true(bw_thread_cpus() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred_work_runs_once_in_order_and_can_be_taken_back),
        cmocka_unit_test(work_that_defers_itself_does_not_starve_timers),
        cmocka_unit_test(repeating_timer_may_be_destroyed_from_its_own_function),
        cmocka_unit_test(stop_before_run_returns_at_once),
        cmocka_unit_test(letters_of_several_threads_arrive_all_and_in_order),
        cmocka_unit_test(destroying_a_mailbox_delivers_what_is_left),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(clocks_and_random_numbers_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
