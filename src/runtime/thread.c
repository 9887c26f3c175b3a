#include "runtime/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"

struct bw_thread {
    pthread_t id;
    void (*run)(void *context);
    void *context;
    char name[16];
};

static void *thread_main(void *argument)
{
    struct bw_thread *thread = argument;
    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->context);
    return NULL;
}

struct bw_thread *bw_thread_start(void (*run)(void *context), void *context, const char *name,
                                  struct bw_error *err)
{
    struct bw_thread *thread = bw_malloc(sizeof *thread);
    if (thread == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    thread->run = run;
    thread->context = context;
    snprintf(thread->name, sizeof thread->name, "%s", name);
    /* The new thread inherits the mask, so no signal can slip into it before it could block them itself. */
    sigset_t all, before;
    sigfillset(&all);
    BW_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int rc = pthread_create(&thread->id, NULL, thread_main, thread);
    BW_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (rc != 0) {
        (void)bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot start thread %s: %s", name, strerror(rc));
        bw_free(thread);
        return NULL;
    }
    return thread;
}

void bw_thread_join(struct bw_thread *thread)
{
    if (thread == NULL)
        return;
    BW_CHECK(pthread_join(thread->id, NULL) == 0);
    bw_free(thread);
}

void bw_thread_step_back(void)
{
    enum { NICE = 10 };
    /* On Linux this is of the thread alone. A limit that forbids it leaves things as they are. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
}

unsigned bw_thread_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
