/* What the worker hears of the world: fleet views, policies, callers, escrow, certificates. */
#include "base/alloc.h"
#include "runtime/log.h"
#include "server/worker_state.h"

enum news_kind { NEWS_VIEW, NEWS_POLICY, NEWS_CALLERS, NEWS_ESCROW, NEWS_TLS, NEWS_GEO };

struct news {
    struct bw_mail mail;
    struct bw_worker *worker;
    enum news_kind kind;
    union {
        struct bw_fleet_view *view;
        struct bw_policy_set *policy;
        struct bw_callers *callers;
        struct bw_grpc_tls *tls;
        struct bw_geo *geo;
    };
};

static void news_delivered(struct bw_mail *mail)
{
    struct news *news = (struct news *)mail;
    struct bw_worker *worker = news->worker;
    struct bw_error err;
    switch (news->kind) {
    case NEWS_VIEW:
        bw_owner_set_view(worker->owner, news->view);
        bw_fleet_view_release(news->view);
        break;
    case NEWS_POLICY:
        if (bw_owner_set_policy(worker->owner, news->policy, &err) != BW_OK)
            bw_log(BW_LOG_ERROR, "policy_not_taken", "tenant=%s revision=%u reason=\"%s\"",
                   news->policy->name, news->policy->revision, err.show);
        bw_policy_set_release(news->policy);
        break;
    case NEWS_CALLERS:
        bw_callers_release(worker->callers);
        worker->callers = news->callers;
        break;
    case NEWS_ESCROW:
        bw_owner_escrow_changed(worker->owner);
        break;
    case NEWS_TLS:
        bw_grpc_server_set_tls(worker->server, news->tls);
        bw_grpc_tls_release(news->tls);
        break;
    case NEWS_GEO:
        bw_geo_unref(worker->geo);
        worker->geo = news->geo;
        break;
    }
    bw_free(news);
}

static struct news *news_create(struct bw_worker *worker, enum news_kind kind)
{
    struct news *news = bw_calloc(1, sizeof *news);
    if (news == NULL)
        return NULL;
    news->mail.deliver = news_delivered;
    news->worker = worker;
    news->kind = kind;
    return news;
}

bool bw_worker_set_view(struct bw_worker *worker, struct bw_fleet_view *view)
{
    struct news *news = news_create(worker, NEWS_VIEW);
    if (news == NULL)
        return false;
    news->view = bw_fleet_view_retain(view);
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

bool bw_worker_set_policy(struct bw_worker *worker, struct bw_policy_set *set)
{
    struct news *news = news_create(worker, NEWS_POLICY);
    if (news == NULL)
        return false;
    news->policy = bw_policy_set_retain(set);
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

bool bw_worker_set_callers(struct bw_worker *worker, struct bw_callers *callers)
{
    struct news *news = news_create(worker, NEWS_CALLERS);
    if (news == NULL)
        return false;
    news->callers = bw_callers_retain(callers);
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

bool bw_worker_escrow_changed(struct bw_worker *worker)
{
    struct news *news = news_create(worker, NEWS_ESCROW);
    if (news == NULL)
        return false;
    bw_mailbox_post(worker->mailbox, &news->mail);
    return true;
}

void bw_worker_set_tls(struct bw_worker *worker, struct bw_grpc_tls *tls)
{
    struct news *news = news_create(worker, NEWS_TLS);
    if (news == NULL)
        return;
    news->tls = bw_grpc_tls_hold(tls);
    bw_mailbox_post(worker->mailbox, &news->mail);
}

void bw_worker_set_geo(struct bw_worker *worker, struct bw_geo *geo)
{
    struct news *news = news_create(worker, NEWS_GEO);
    if (news == NULL)
        return;
    news->geo = bw_geo_ref(geo);
    bw_mailbox_post(worker->mailbox, &news->mail);
}
