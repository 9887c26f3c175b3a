#include "runtime/signals.h"

#include <stddef.h>

#include <uv.h>

#include "base/alloc.h"

struct bw_signal {
    uv_signal_t uv;
    void (*caught)(int number, void *context);
    void *context;
};

static void on_closed(uv_handle_t *handle)
{
    bw_free(handle->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct bw_signal *watch = handle->data;
    watch->caught(number, watch->context);
}

struct bw_signal *bw_signal_watch(struct bw_loop *loop, int number, void (*caught)(int number, void *context),
                                  void *context, struct bw_error *err)
{
    struct bw_signal *watch = bw_malloc(sizeof *watch);
    if (watch == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    watch->caught = caught;
    watch->context = context;
    int rc = uv_signal_init(bw_loop_uv(loop), &watch->uv);
    if (rc != 0) {
        (void)bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot watch signal %d: %s", number,
                      uv_strerror(rc));
        bw_free(watch);
        return NULL;
    }
    watch->uv.data = watch;
    rc = uv_signal_start(&watch->uv, on_signal, number);
    if (rc != 0) {
        (void)bw_fail(err, BW_INVALID_ARGUMENT, NULL, "cannot watch signal %d: %s", number, uv_strerror(rc));
        uv_close((uv_handle_t *)&watch->uv, on_closed);
        return NULL;
    }
    return watch;
}

void bw_signal_destroy(struct bw_signal *watch)
{
    if (watch != NULL)
        uv_close((uv_handle_t *)&watch->uv, on_closed);
}
