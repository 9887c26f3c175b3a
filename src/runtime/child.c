#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/check.h"

struct bw_child {
    uv_poll_t watch; /* of pidfd, which becomes readable when the child ends */
    int pidfd;
    pid_t pid;
    bool ended, destroyed, closed; /* freed once destroyed here and closed by libuv, in either order */
    void (*exited)(struct bw_child *child, struct bw_child_exit how, void *context);
    void *context;
};

static void on_closed(uv_handle_t *handle)
{
    struct bw_child *child = handle->data;
    child->closed = true;
    if (child->destroyed)
        bw_free(child);
}

/* The poll handle goes before the descriptor it watches: libuv would otherwise stop watching whatever has got
 * the same number meanwhile. */
static void unwatch(struct bw_child *child)
{
    uv_close((uv_handle_t *)&child->watch, on_closed);
    close(child->pidfd);
}

static void on_ended(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct bw_child *child = handle->data;
    int wait_status;
    pid_t pid = waitpid(child->pid, &wait_status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return;                                /* not yet */
    struct bw_child_exit how = {.status = -1}; /* reaped by somebody else: unknown */
    if (pid == child->pid && WIFSIGNALED(wait_status))
        how = (struct bw_child_exit){.signal = WTERMSIG(wait_status)};
    else if (pid == child->pid)
        how = (struct bw_child_exit){.status = WEXITSTATUS(wait_status)};
    child->ended = true;
    unwatch(child);
    child->exited(child, how, child->context);
}

/* Copies of the descriptors above every target number: dup2 onto 3, 4, … then cannot overwrite one that is
 * still to be copied. */
static bool lift(const int *fds, size_t count, int *lifted)
{
    for (size_t i = 0; i < count; i++) {
        lifted[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, BW_CHILD_FIRST_FD + BW_CHILD_MAX_FDS);
        if (lifted[i] < 0) {
            while (i-- > 0)
                close(lifted[i]);
            return false;
        }
    }
    return true;
}

/* Our environment, and that every symbol is bound when the child starts: binding at the first call saves the
 * registers on the stack, and with them parts of the keys that a child is there to keep. */
static char **environment(void)
{
    static char bind_now[] = "LD_BIND_NOW=1";
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **all = bw_calloc(count + 2, sizeof *all);
    if (all == NULL)
        return NULL;
    memcpy(all, environ, count * sizeof *all);
    all[count] = bind_now;
    return all;
}

static int spawn(const struct bw_child_config *config, const int *lifted, pid_t *pid)
{
    char **env = environment();
    if (env == NULL)
        return ENOMEM;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        bw_free(env);
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        posix_spawn_file_actions_destroy(&actions);
        bw_free(env);
        return rc;
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (size_t i = 0; rc == 0 && i < config->fd_count; i++)
        rc = posix_spawn_file_actions_adddup2(&actions, lifted[i], BW_CHILD_FIRST_FD + (int)i);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, BW_CHILD_FIRST_FD + (int)config->fd_count);
    const char *program = config->program ? config->program : "/proc/self/exe";
    if (rc == 0) {
        /* posix_spawn's argv is not const for historical reasons; it does not write there. */
        union {
            const char *const *given;
            char *const *wanted;
        } argv = {.given = config->argv};
        rc = posix_spawn(pid, program, &actions, &attributes, argv.wanted, env);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    bw_free(env);
    return rc;
}

static void reap_now(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

struct bw_child *bw_child_spawn(struct bw_loop *loop, const struct bw_child_config *config,
                                void (*exited)(struct bw_child *child, struct bw_child_exit how,
                                               void *context),
                                void *context, struct bw_error *err)
{
    BW_CHECK(config->fd_count <= BW_CHILD_MAX_FDS);
    struct bw_child *child = bw_calloc(1, sizeof *child);
    if (child == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    child->exited = exited;
    child->context = context;
    int lifted[BW_CHILD_MAX_FDS];
    if (!lift(config->fds, config->fd_count, lifted)) {
        (void)bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot start a child process: %s", strerror(errno));
        bw_free(child);
        return NULL;
    }
    int rc = spawn(config, lifted, &child->pid);
    for (size_t i = 0; i < config->fd_count; i++)
        close(lifted[i]);
    if (rc != 0) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "cannot start child process %s: %s", config->argv[0],
                      strerror(rc));
        bw_free(child);
        return NULL;
    }
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0 || uv_poll_init(bw_loop_uv(loop), &child->watch, child->pidfd) != 0) {
        (void)bw_fail(err, BW_UNAVAILABLE, NULL, "cannot watch child process %s: %s", config->argv[0],
                      strerror(errno));
        reap_now(child->pid);
        if (child->pidfd >= 0)
            close(child->pidfd);
        bw_free(child);
        return NULL;
    }
    child->watch.data = child;
    uv_poll_start(&child->watch, UV_READABLE, on_ended);
    return child;
}

pid_t bw_child_pid(const struct bw_child *child)
{
    return child->pid;
}

void bw_child_kill(struct bw_child *child, int number)
{
    /* Not reaped yet, so the number still belongs to it. */
    if (!child->ended)
        kill(child->pid, number);
}

void bw_child_destroy(struct bw_child *child)
{
    if (child == NULL)
        return;
    child->destroyed = true;
    if (!child->ended) {
        reap_now(child->pid);
        child->ended = true;
        unwatch(child);
    } else if (child->closed) {
        bw_free(child);
    }
}

enum bw_code bw_child_socketpair(int *ours, int *theirs, struct bw_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot create a socket pair: %s", strerror(errno));
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) {
        enum bw_code code =
            bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot create a socket pair: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return code;
    }
    *ours = pair[0];
    *theirs = pair[1];
    return BW_OK;
}
