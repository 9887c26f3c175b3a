#include "server/ingest.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/thread.h"
#include "server/ingest_job.h"

enum {
    INTAKE_WINDOWS = 262144, /* that wait for the ingest to look at them: 60 MiB */
    RETRY_LEAST_MS = 250,
    RETRY_MOST_MS = 5000,
    STOP_MS = 5000,
};

struct write_job {
    struct bw_ingest_job job; /* first: what the desk sends back */
    struct bw_ingest *ingest;
    struct write_job *next; /* of those that are tried again */
};

struct bw_ingest {
    struct bw_daemon *daemon;
    struct bw_vault_keeper *keeper;
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_timer *ticks, *retry;
    struct bw_desk *desk;
    struct bw_ingest_core *core;
    struct bw_thread *thread;
    struct write_job *again; /* after a failure */
    uint64_t retry_ms;
    bool failing;          /* the last write did */
    uint64_t stop_mono_ms; /* 0: not asked to */
    bool stopped;
    struct bw_mail stop_mail;
    struct bw_ingest_metrics metrics;

    pthread_mutex_t lock; /* of the following */
    struct bw_api_quality *first, *last;
    size_t waiting_windows;
    struct bw_mail bell;
    bool rung;
};

const struct bw_ingest_metrics *bw_ingest_metrics(const struct bw_ingest *ingest)
{
    return &ingest->metrics;
}

/* ---- batches ---- */

static void batch_home(struct bw_mail *mail)
{
    struct bw_api_quality *batch = (struct bw_api_quality *)mail;
    batch->done(batch);
}

static void send_home(struct bw_api_quality *batch)
{
    batch->mail.deliver = batch_home;
    bw_mailbox_post(bw_worker_mailbox(batch->port), &batch->mail);
}

static void send_home_dropped(struct bw_ingest *ingest, struct bw_api_quality *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        batch->windows[i].taken = false;
    batch->taken = batch->refused = 0;
    batch->dropped = (uint32_t)batch->count;
    batch->overloaded = true;
    atomic_fetch_add(&ingest->metrics.overrun, batch->count);
    send_home(batch);
}

void bw_ingest_give(struct bw_ingest *ingest, struct bw_worker *worker, struct bw_api_quality *batch)
{
    struct bw_api_quality *dropped = NULL;
    batch->port = worker;
    batch->next = NULL;
    pthread_mutex_lock(&ingest->lock);
    if (ingest->stopped) { /* a call that ended with its worker */
        pthread_mutex_unlock(&ingest->lock);
        send_home_dropped(ingest, batch);
        return;
    }
    if (ingest->last != NULL)
        ingest->last->next = batch;
    else
        ingest->first = batch;
    ingest->last = batch;
    ingest->waiting_windows += batch->count;
    while (ingest->waiting_windows > INTAKE_WINDOWS && ingest->first != batch) {
        struct bw_api_quality *oldest = ingest->first;
        ingest->first = oldest->next;
        ingest->waiting_windows -= oldest->count;
        oldest->next = dropped;
        dropped = oldest;
    }
    if (!ingest->rung)
        bw_mailbox_post(ingest->mailbox, &ingest->bell);
    ingest->rung = true;
    pthread_mutex_unlock(&ingest->lock);
    while (dropped != NULL) {
        struct bw_api_quality *next = dropped->next;
        send_home_dropped(ingest, dropped);
        dropped = next;
    }
}

static struct bw_api_quality *take_all(struct bw_ingest *ingest)
{
    pthread_mutex_lock(&ingest->lock);
    struct bw_api_quality *batch = ingest->first;
    ingest->first = ingest->last = NULL;
    ingest->waiting_windows = 0;
    ingest->rung = false;
    pthread_mutex_unlock(&ingest->lock);
    return batch;
}

static void bell_rang(struct bw_mail *mail)
{
    struct bw_ingest *ingest = (struct bw_ingest *)((char *)mail - offsetof(struct bw_ingest, bell));
    struct bw_api_quality *batch = take_all(ingest);
    while (batch != NULL) {
        struct bw_api_quality *next = batch->next;
        bw_ingest_core_take(ingest->core, batch, bw_clock_wall_ms());
        batch = next;
    }
}

/* ---- ports of the core ---- */

static void resolved(void *context, const struct bw_ingest_roster *roster)
{
    struct bw_ingest *ingest = context;
    bw_ingest_core_resolved(ingest->core, roster, bw_clock_wall_ms());
}

static void port_resolve(void *context, const struct bw_id *meeting)
{
    struct bw_ingest *ingest = context;
    const struct bw_daemon *daemon = ingest->daemon;
    struct bw_worker *owner = daemon->workers[bw_daemon_owner_index(daemon, meeting)];
    if (bw_ingest_ask(owner, ingest->mailbox, meeting, resolved, ingest))
        return;
    const struct bw_ingest_roster again = {.meeting = *meeting, .loading = true};
    bw_ingest_core_resolved(ingest->core, &again, bw_clock_wall_ms());
}

static void port_want_keys(void *context, const struct bw_id *tenant)
{
    const struct bw_ingest *ingest = context;
    bw_vault_keeper_want(ingest->keeper, tenant);
}

static void port_answered(void *context, struct bw_api_quality *batch)
{
    (void)context;
    send_home(batch);
}

/* ---- writing ---- */

static void write_back(struct bw_mail *mail)
{
    struct write_job *job = (struct write_job *)mail;
    struct bw_ingest *ingest = job->ingest;
    bool passing = bw_code_category(job->job.code) == BW_CATEGORY_PASSING;
    if (job->job.code == BW_OK) {
        if (ingest->failing)
            bw_log(BW_LOG_INFO, "quality_written_again", "rows=%zu", job->job.write->chunk_count);
        ingest->failing = false;
        ingest->retry_ms = RETRY_LEAST_MS;
    } else {
        atomic_fetch_add(&ingest->metrics.write_failures, 1);
        if (!ingest->failing || !passing) /* once, until it works again */
            bw_log(BW_LOG_WARN, "quality_not_written", "code=%s reason=\"%s\" detail=\"%s\" again=%s",
                   bw_code_name(job->job.code), job->job.error.show, job->job.error.log,
                   passing ? "true" : "false");
        ingest->failing = true;
    }
    if (passing && !ingest->stopped) {
        job->next = ingest->again;
        ingest->again = job;
        if (!bw_timer_active(ingest->retry)) {
            bw_timer_start(ingest->retry, ingest->retry_ms, 0);
            ingest->retry_ms = ingest->retry_ms * 2 < RETRY_MOST_MS ? ingest->retry_ms * 2 : RETRY_MOST_MS;
        }
        return;
    }
    bw_ingest_core_written(ingest->core, job->job.write, job->job.code == BW_OK, bw_clock_wall_ms());
    bw_free(job);
}

static void post(struct bw_ingest *ingest, struct write_job *job)
{
    bw_ingest_job_init(&job->job, job->job.write, ingest->mailbox, write_back);
    bw_desk_post(ingest->desk, &job->job.job);
}

static void try_again(void *context)
{
    struct bw_ingest *ingest = context;
    struct write_job *job = ingest->again;
    ingest->again = NULL;
    while (job != NULL) {
        struct write_job *next = job->next;
        post(ingest, job);
        job = next;
    }
}

static bool port_write(void *context, struct bw_ingest_write *write)
{
    struct bw_ingest *ingest = context;
    struct write_job *job = ingest->stopped ? NULL : bw_calloc(1, sizeof *job);
    if (job == NULL)
        return false;
    job->ingest = ingest;
    job->job.write = write;
    post(ingest, job);
    return true;
}

/* ---- the loop ---- */

static void publish(struct bw_ingest *ingest)
{
    const struct bw_ingest_counts counts = bw_ingest_core_counts(ingest->core);
    struct bw_ingest_metrics *m = &ingest->metrics;
    atomic_store(&m->taken, counts.taken);
    atomic_store(&m->doubled, counts.doubled);
    atomic_store(&m->late, counts.late);
    atomic_store(&m->refused, counts.refused);
    atomic_store(&m->dropped, counts.dropped);
    atomic_store(&m->class_changes, counts.class_changes);
    atomic_store(&m->chunks, counts.chunks);
    atomic_store(&m->partial_chunks, counts.partial_chunks);
    atomic_store(&m->sealed_bytes, counts.sealed_bytes);
    atomic_store(&m->rows_dropped, counts.rows_dropped);
    atomic_store(&m->rows_waiting, counts.rows_waiting);
    atomic_store(&m->meetings, counts.meetings);
    atomic_store(&m->window_bytes, counts.window_bytes);
    atomic_store(&m->unresolved, counts.waiting);
}

static void tick(void *context)
{
    struct bw_ingest *ingest = context;
    bw_ingest_core_tick(ingest->core, bw_clock_wall_ms());
    publish(ingest);
    if (ingest->stop_mono_ms != 0 &&
        (bw_ingest_core_settled(ingest->core) || bw_clock_mono_ms() >= ingest->stop_mono_ms))
        bw_loop_stop(ingest->loop);
}

static void stop_asked(struct bw_mail *mail)
{
    struct bw_ingest *ingest = (struct bw_ingest *)((char *)mail - offsetof(struct bw_ingest, stop_mail));
    ingest->stop_mono_ms = bw_clock_mono_ms() + STOP_MS;
    bw_ingest_core_close(ingest->core, bw_clock_wall_ms());
}

static void work(void *context)
{
    struct bw_ingest *ingest = context;
    bw_timer_start(ingest->ticks, BW_INGEST_TICK_MS, BW_INGEST_TICK_MS);
    bw_loop_run(ingest->loop);
}

static void scopes(void *context, const struct bw_scope_public *list, size_t count)
{
    struct bw_ingest *ingest = context;
    for (size_t i = 0; i < count; i++)
        bw_ingest_core_scope(ingest->core, &list[i]);
}

/* ---- life ---- */

static enum bw_code create_core(struct bw_ingest *ingest, struct bw_error *err)
{
    const struct bw_daemon_config *daemon = ingest->daemon->config;
    struct bw_ingest_config config = bw_ingest_config_default();
    config.cell = daemon->cell;
    config.flush_ms = (uint32_t)daemon->quality_flush_ms;
    if (ingest->keeper != NULL) {
        config.seals = true;
        config.capsules = bw_vault_keeper_capsules(ingest->keeper);
        memcpy(config.service_public, bw_vault_keeper_service_public(ingest->keeper),
               sizeof config.service_public);
    }
    const struct bw_ingest_ports ports = {.context = ingest,
                                          .resolve = port_resolve,
                                          .want_keys = port_want_keys,
                                          .write = port_write,
                                          .answered = port_answered};
    enum bw_code code = bw_ingest_core_create(&config, &ports, &ingest->core, err);
    if (code != BW_OK || ingest->keeper == NULL)
        return code;
    const struct bw_vault_listener listener = {
        .mailbox = ingest->mailbox, .context = ingest, .scopes = scopes};
    return bw_vault_keeper_listen(ingest->keeper, &listener, err);
}

enum bw_code bw_ingest_create(struct bw_daemon *daemon, struct bw_vault_keeper *keeper,
                              struct bw_ingest **out, struct bw_error *err)
{
    struct bw_ingest *ingest = bw_calloc(1, sizeof *ingest);
    if (ingest == NULL)
        return bw_fail_memory(err);
    pthread_mutex_init(&ingest->lock, NULL);
    ingest->daemon = daemon;
    ingest->keeper = keeper;
    ingest->retry_ms = RETRY_LEAST_MS;
    ingest->bell.deliver = bell_rang;
    ingest->stop_mail.deliver = stop_asked;
    enum bw_code code = BW_OK;
    ingest->loop = bw_loop_create(err);
    ingest->mailbox = ingest->loop != NULL ? bw_mailbox_create(ingest->loop, err) : NULL;
    ingest->ticks = ingest->mailbox != NULL ? bw_timer_create(ingest->loop, tick, ingest, err) : NULL;
    ingest->retry = ingest->ticks != NULL ? bw_timer_create(ingest->loop, try_again, ingest, err) : NULL;
    if (ingest->retry == NULL)
        code = err->code;
    if (code == BW_OK)
        code = create_core(ingest, err);
    if (code == BW_OK)
        code = bw_desk_start(daemon->config->conninfo, "bw-ingest-db", &ingest->desk, err);
    if (code != BW_OK) {
        bw_ingest_destroy(ingest);
        return code;
    }
    *out = ingest;
    return BW_OK;
}

enum bw_code bw_ingest_start(struct bw_ingest *ingest, struct bw_error *err)
{
    ingest->thread = bw_thread_start(work, ingest, "bw-ingest", err);
    return ingest->thread != NULL ? BW_OK : err->code;
}

void bw_ingest_stop(struct bw_ingest *ingest)
{
    if (ingest == NULL)
        return;
    if (ingest->thread != NULL) {
        bw_mailbox_post(ingest->mailbox, &ingest->stop_mail);
        bw_thread_join(ingest->thread);
    }
    ingest->thread = NULL;
    struct bw_api_quality *batch = take_all(ingest);
    pthread_mutex_lock(&ingest->lock);
    ingest->stopped = true;
    pthread_mutex_unlock(&ingest->lock);
    while (batch != NULL) {
        struct bw_api_quality *next = batch->next;
        send_home_dropped(ingest, batch);
        batch = next;
    }
    bw_desk_stop(ingest->desk); /* what it has is written, or comes back */
    ingest->desk = NULL;
}

void bw_ingest_destroy(struct bw_ingest *ingest)
{
    if (ingest == NULL)
        return;
    bw_ingest_stop(ingest);
    bw_timer_destroy(ingest->ticks);
    bw_timer_destroy(ingest->retry);
    if (ingest->mailbox != NULL)
        bw_mailbox_destroy(ingest->mailbox); /* writes that came back, and late answers */
    while (ingest->again != NULL) {
        struct write_job *job = ingest->again;
        ingest->again = job->next;
        bw_ingest_core_written(ingest->core, job->job.write, false, bw_clock_wall_ms());
        bw_free(job);
    }
    bw_ingest_core_destroy(ingest->core);
    bw_loop_destroy(ingest->loop);
    pthread_mutex_destroy(&ingest->lock);
    bw_free(ingest);
}
