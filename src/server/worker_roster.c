/* The worker's roster sealer: what it counts, whom it asks, and who tells it of keys. */
#include "server/roster_sealer.h"
#include "server/vault_keeper.h"
#include "server/worker_state.h"

static void want(void *context, const struct bw_id *tenant)
{
    struct bw_worker *worker = context;
    bw_vault_keeper_want(worker->daemon->vault, tenant);
}

static void learn(void *context, const struct bw_scope_public *scopes, size_t count)
{
    struct bw_worker *worker = context;
    for (size_t i = 0; i < count; i++)
        bw_roster_sealer_learn(worker->roster, &scopes[i]);
}

enum bw_code bw_worker_create_roster(struct bw_worker *worker, struct bw_error *err)
{
    struct bw_vault_keeper *keeper = worker->daemon->vault;
    if (keeper == NULL)
        return BW_OK;
    const struct bw_roster_sealer_config config = {
        .cell = worker->daemon->config->cell,
        .service_public = bw_vault_keeper_service_public(keeper),
        .capsules = bw_vault_keeper_capsules(keeper),
        .context = worker,
        .want = want,
        .sealed = &worker->metrics.metadata_sealed,
        .dropped = &worker->metrics.metadata_dropped,
    };
    enum bw_code code = bw_roster_sealer_create(&config, &worker->roster, err);
    if (code != BW_OK)
        return code;
    const struct bw_vault_listener listener = {
        .mailbox = worker->mailbox, .context = worker, .scopes = learn};
    return bw_vault_keeper_listen(keeper, &listener, err);
}
