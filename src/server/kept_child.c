#include "server/kept_child.h"

#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 10000, STEADY_MS = 30000 };

struct bw_kept_child {
    struct bw_loop *loop;
    struct bw_kept_child_config config;
    struct bw_child *process; /* NULL while away */
    struct bw_timer *timer;
    uint64_t started_ms, backoff_ms;
};

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static enum bw_code make_pairs(int *ours, int *theirs, size_t count, struct bw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        enum bw_code code = bw_child_socketpair(&ours[i], &theirs[i], err);
        if (code != BW_OK) {
            close_all(ours, i);
            close_all(theirs, i);
            return code;
        }
    }
    return BW_OK;
}

static void on_exit_of_child(struct bw_child *process, struct bw_child_exit how, void *context);

static enum bw_code launch(struct bw_kept_child *child, struct bw_error *err)
{
    const struct bw_kept_child_config *config = &child->config;
    int ours[BW_CHILD_MAX_FDS], theirs[BW_CHILD_MAX_FDS];
    enum bw_code code = make_pairs(ours, theirs, config->socket_count, err);
    if (code != BW_OK)
        return code;
    const struct bw_child_config spawned = {
        .program = config->program, .argv = config->argv, .fds = theirs, .fd_count = config->socket_count};
    struct bw_error why;
    child->process = bw_child_spawn(child->loop, &spawned, on_exit_of_child, child, &why);
    close_all(theirs, config->socket_count);
    if (child->process == NULL) {
        close_all(ours, config->socket_count);
        return bw_fail(err, BW_UNAVAILABLE, NULL, "cannot start the %s: %s", config->name, why.show);
    }
    child->started_ms = bw_clock_mono_ms();
    for (size_t i = 0; i < config->socket_count; i++)
        config->attach(config->context, i, ours[i]);
    return BW_OK;
}

static void retry_later(struct bw_kept_child *child)
{
    bw_timer_start(child->timer, child->backoff_ms, 0);
    child->backoff_ms = child->backoff_ms * 2 < BACKOFF_MAX_MS ? child->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void on_exit_of_child(struct bw_child *process, struct bw_child_exit how, void *context)
{
    struct bw_kept_child *child = context;
    bw_child_destroy(process);
    child->process = NULL;
    if (bw_clock_mono_ms() - child->started_ms >= STEADY_MS)
        child->backoff_ms = BACKOFF_MIN_MS;
    bw_log(BW_LOG_ERROR, "child_ended", "child=%s status=%d signal=%d restart_in_ms=%llu", child->config.name,
           how.status, how.signal, (unsigned long long)child->backoff_ms);
    retry_later(child);
}

static void on_retry(void *context)
{
    struct bw_kept_child *child = context;
    struct bw_error err;
    if (launch(child, &err) == BW_OK)
        return;
    bw_log(BW_LOG_ERROR, "child_restart_failed", "child=%s error=\"%s\"", child->config.name, err.show);
    retry_later(child);
}

enum bw_code bw_kept_child_start(struct bw_loop *loop, const struct bw_kept_child_config *config,
                                 struct bw_kept_child **out, struct bw_error *err)
{
    BW_CHECK(config->socket_count > 0 && config->socket_count <= BW_CHILD_MAX_FDS);
    struct bw_kept_child *child = bw_calloc(1, sizeof *child);
    if (child == NULL)
        return bw_fail_memory(err);
    child->loop = loop;
    child->config = *config;
    child->backoff_ms = BACKOFF_MIN_MS;
    child->timer = bw_timer_create(loop, on_retry, child, err);
    enum bw_code code = child->timer != NULL ? launch(child, err) : BW_RESOURCE_EXHAUSTED;
    if (code != BW_OK) {
        bw_kept_child_destroy(child);
        return code;
    }
    *out = child;
    return BW_OK;
}

void bw_kept_child_destroy(struct bw_kept_child *child)
{
    if (child == NULL)
        return;
    bw_timer_destroy(child->timer);
    bw_child_destroy(child->process);
    bw_free(child);
}

void bw_kept_child_replace(struct bw_kept_child *child)
{
    if (child->process != NULL)
        bw_child_kill(child->process, SIGKILL);
}

pid_t bw_kept_child_pid(const struct bw_kept_child *child)
{
    return child->process != NULL ? bw_child_pid(child->process) : 0;
}
