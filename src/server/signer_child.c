#include "server/signer_child.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 10000, STEADY_MS = 30000 };

struct bw_signer_child {
    struct bw_loop *loop;
    struct bw_signer_child_config config;
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

static enum bw_code launch(struct bw_signer_child *child, struct bw_error *err)
{
    const struct bw_signer_child_config *config = &child->config;
    int ours[BW_CHILD_MAX_FDS], theirs[BW_CHILD_MAX_FDS];
    enum bw_code code = make_pairs(ours, theirs, config->client_count, err);
    if (code != BW_OK)
        return code;
    const struct bw_child_config spawned = {
        .program = config->program, .argv = config->argv, .fds = theirs, .fd_count = config->client_count};
    struct bw_error why;
    child->process = bw_child_spawn(child->loop, &spawned, on_exit_of_child, child, &why);
    close_all(theirs, config->client_count);
    if (child->process == NULL) {
        close_all(ours, config->client_count);
        return bw_fail(err, BW_UNAVAILABLE, NULL, "cannot start the signer: %s", why.show);
    }
    child->started_ms = bw_clock_mono_ms();
    /* A client that cannot be reached for lack of memory stays UNAVAILABLE; the others work. */
    for (size_t i = 0; i < config->client_count; i++) {
        if (bw_signer_client_attach(config->clients[i], ours[i], &why) != BW_OK)
            bw_log(BW_LOG_ERROR, "signer_attach_failed", "client=%zu error=\"%s\"", i, why.show);
    }
    return BW_OK;
}

static void retry_later(struct bw_signer_child *child)
{
    bw_timer_start(child->timer, child->backoff_ms, 0);
    child->backoff_ms = child->backoff_ms * 2 < BACKOFF_MAX_MS ? child->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void on_exit_of_child(struct bw_child *process, struct bw_child_exit how, void *context)
{
    struct bw_signer_child *child = context;
    bw_child_destroy(process);
    child->process = NULL;
    if (bw_clock_mono_ms() - child->started_ms >= STEADY_MS)
        child->backoff_ms = BACKOFF_MIN_MS;
    bw_log(BW_LOG_ERROR, "signer_ended", "status=%d signal=%d restart_in_ms=%llu", how.status, how.signal,
           (unsigned long long)child->backoff_ms);
    retry_later(child);
}

static void on_retry(void *context)
{
    struct bw_signer_child *child = context;
    struct bw_error err;
    if (launch(child, &err) == BW_OK)
        return;
    bw_log(BW_LOG_ERROR, "signer_restart_failed", "error=\"%s\"", err.show);
    retry_later(child);
}

enum bw_code bw_signer_child_start(struct bw_loop *loop, const struct bw_signer_child_config *config,
                                   struct bw_signer_child **out, struct bw_error *err)
{
    BW_CHECK(config->client_count > 0 && config->client_count <= BW_CHILD_MAX_FDS);
    struct bw_signer_child *child = bw_calloc(1, sizeof *child);
    if (child == NULL)
        return bw_fail_memory(err);
    child->loop = loop;
    child->config = *config;
    child->backoff_ms = BACKOFF_MIN_MS;
    child->timer = bw_timer_create(loop, on_retry, child, err);
    enum bw_code code = child->timer != NULL ? launch(child, err) : BW_RESOURCE_EXHAUSTED;
    if (code != BW_OK) {
        bw_signer_child_destroy(child);
        return code;
    }
    *out = child;
    return BW_OK;
}

void bw_signer_child_destroy(struct bw_signer_child *child)
{
    if (child == NULL)
        return;
    bw_timer_destroy(child->timer);
    bw_child_destroy(child->process);
    bw_free(child);
}

pid_t bw_signer_child_pid(const struct bw_signer_child *child)
{
    return child->process != NULL ? bw_child_pid(child->process) : 0;
}
