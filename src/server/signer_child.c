#include "server/signer_child.h"

#include "base/alloc.h"
#include "runtime/log.h"
#include "server/kept_child.h"

struct bw_signer_child {
    struct bw_signer_child_config config;
    struct bw_kept_child *kept;
};

/* A client that cannot be reached for lack of memory stays UNAVAILABLE; the others work. */
static void attach(void *context, size_t index, int fd)
{
    struct bw_signer_child *child = context;
    struct bw_error why;
    if (bw_signer_client_attach(child->config.clients[index], fd, &why) != BW_OK)
        bw_log(BW_LOG_ERROR, "signer_attach_failed", "client=%zu error=\"%s\"", index, why.show);
}

enum bw_code bw_signer_child_start(struct bw_loop *loop, const struct bw_signer_child_config *config,
                                   struct bw_signer_child **out, struct bw_error *err)
{
    struct bw_signer_child *child = bw_calloc(1, sizeof *child);
    if (child == NULL)
        return bw_fail_memory(err);
    child->config = *config;
    const struct bw_kept_child_config kept = {.name = "signer",
                                              .program = config->program,
                                              .argv = config->argv,
                                              .socket_count = config->client_count,
                                              .attach = attach,
                                              .context = child};
    enum bw_code code = bw_kept_child_start(loop, &kept, &child->kept, err);
    if (code != BW_OK) {
        bw_free(child);
        return code;
    }
    *out = child;
    return BW_OK;
}

void bw_signer_child_destroy(struct bw_signer_child *child)
{
    if (child == NULL)
        return;
    bw_kept_child_destroy(child->kept);
    bw_free(child);
}

pid_t bw_signer_child_pid(const struct bw_signer_child *child)
{
    return bw_kept_child_pid(child->kept);
}
