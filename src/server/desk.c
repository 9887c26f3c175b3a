#include "server/desk.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "runtime/thread.h"

struct bw_desk {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct bw_desk_job *first, **end;
    unsigned backlog;
    bool stopping;
    struct bw_store_db *db;
    struct bw_thread *thread;
};

static void work(void *context)
{
    struct bw_desk *desk = context;
    pthread_mutex_lock(&desk->lock);
    for (;;) {
        while (desk->first == NULL && !desk->stopping)
            pthread_cond_wait(&desk->more, &desk->lock);
        struct bw_desk_job *job = desk->first;
        if (job == NULL)
            break;
        desk->first = job->next;
        if (desk->first == NULL)
            desk->end = &desk->first;
        pthread_mutex_unlock(&desk->lock);
        job->run(job, desk->db);
        bw_mailbox_post(job->back, &job->mail);
        pthread_mutex_lock(&desk->lock);
        desk->backlog--;
    }
    pthread_mutex_unlock(&desk->lock);
}

enum bw_code bw_desk_start(const char *conninfo, const char *name, struct bw_desk **out, struct bw_error *err)
{
    struct bw_desk *desk = bw_calloc(1, sizeof *desk);
    if (desk == NULL)
        return bw_fail_memory(err);
    enum bw_code code = bw_store_db_open(conninfo, &desk->db, err);
    if (code != BW_OK) {
        bw_free(desk);
        return code;
    }
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->more, NULL);
    desk->end = &desk->first;
    desk->thread = bw_thread_start(work, desk, name, err);
    if (desk->thread == NULL) {
        code = err != NULL ? err->code : BW_UNAVAILABLE;
        bw_desk_stop(desk);
        return code;
    }
    *out = desk;
    return BW_OK;
}

void bw_desk_stop(struct bw_desk *desk)
{
    if (desk == NULL)
        return;
    pthread_mutex_lock(&desk->lock);
    desk->stopping = true;
    pthread_cond_signal(&desk->more);
    pthread_mutex_unlock(&desk->lock);
    bw_thread_join(desk->thread);
    bw_store_db_close(desk->db);
    pthread_mutex_destroy(&desk->lock);
    pthread_cond_destroy(&desk->more);
    bw_free(desk);
}

void bw_desk_post(struct bw_desk *desk, struct bw_desk_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&desk->lock);
    *desk->end = job;
    desk->end = &job->next;
    desk->backlog++;
    pthread_cond_signal(&desk->more);
    pthread_mutex_unlock(&desk->lock);
}

unsigned bw_desk_backlog(struct bw_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    unsigned backlog = desk->backlog;
    pthread_mutex_unlock(&desk->lock);
    return backlog;
}
