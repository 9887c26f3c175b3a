/* Policies as the group index announces them. A publication gives its revision to the workers itself; but its
 * answer can be lost on the way from the database, and a tenant whose workers decide under an older revision
 * than the database's gets nothing decided any more. So each one that the index shows is read back. */
#include "base/alloc.h"
#include "runtime/log.h"
#include "server/hub_state.h"

enum { RETRY_MS = 1000 };

struct hub_policy {
    struct bw_desk_job job;
    struct bw_hub *hub;
    struct bw_id tenant;
    struct bw_error error;
    uint64_t retry_at_ms;
    struct hub_policy *next; /* while it waits to be tried again */
};

static void read_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct hub_policy *policy = (struct hub_policy *)job;
    policy->error.code = BW_OK;
    policy->error.code =
        policy->hub->ports.read_policy(policy->hub->ports.context, db, &policy->tenant, &policy->error);
}

static void read_done(struct bw_mail *mail)
{
    struct hub_policy *policy = (struct hub_policy *)mail;
    struct bw_hub *hub = policy->hub;
    if (policy->error.code == BW_OK || hub->stopped) {
        bw_free(policy);
        return;
    }
    bw_log(BW_LOG_WARN, "policy_not_read", "reason=\"%s\" detail=\"%s\" retry_in_ms=%d", policy->error.show,
           policy->error.log, (int)RETRY_MS);
    policy->retry_at_ms = hub->now_ms + RETRY_MS;
    policy->next = hub->policies;
    hub->policies = policy;
}

static void read_policy(struct hub_policy *policy)
{
    policy->job.run = read_run;
    policy->job.mail.deliver = read_done;
    policy->job.back = policy->hub->mailbox;
    policy->hub->ports.ask_slow(policy->hub->ports.context, &policy->job);
}

bool hub_policy_published(struct bw_hub *hub, const struct bw_id *tenant)
{
    struct hub_policy *policy = bw_calloc(1, sizeof *policy);
    if (policy == NULL)
        return false;
    policy->hub = hub;
    policy->tenant = *tenant;
    read_policy(policy);
    return true;
}

void hub_policies_retry(struct bw_hub *hub)
{
    struct hub_policy **at = &hub->policies;
    while (*at != NULL) {
        struct hub_policy *policy = *at;
        if (policy->retry_at_ms > hub->now_ms) {
            at = &policy->next;
            continue;
        }
        *at = policy->next;
        read_policy(policy);
    }
}

void hub_policies_forget(struct bw_hub *hub)
{
    while (hub->policies != NULL) {
        struct hub_policy *policy = hub->policies;
        hub->policies = policy->next;
        bw_free(policy);
    }
}
