/* What the services need of the worker: operations travel to their meeting's owner and back, orders to the
 * desk, certificate requests to the signer. */
#include <string.h>

#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "server/ingest.h"
#include "server/orders.h"
#include "server/worker_state.h"

/* ---- operations ---- */

struct op_trip {
    struct bw_mail mail;
    struct bw_op *op;
    struct bw_worker *home, *owner;
    void (*done)(struct bw_op *op);
    void *context;
};

static void op_home(struct bw_mail *mail)
{
    struct op_trip *trip = (struct op_trip *)mail;
    struct bw_op *op = trip->op;
    bw_free(trip);
    op->done(op);
}

static void op_decided(struct bw_op *op)
{
    struct op_trip *trip = op->context;
    op->done = trip->done;
    op->context = trip->context;
    /* The row lies in the owner's batch, which is gone when this returns. */
    if (op->decision != NULL) {
        op->decision = bw_decision_copy(op->decision, op->arena);
        if (op->decision == NULL)
            bw_fail_memory(&op->error);
    }
    trip->mail.deliver = op_home;
    bw_mailbox_post(trip->home->mailbox, &trip->mail);
}

static void op_arrived(struct bw_mail *mail)
{
    struct op_trip *trip = (struct op_trip *)mail;
    bw_owner_submit(trip->owner->owner, trip->op);
}

static void submit(void *context, struct bw_op *op)
{
    struct bw_worker *worker = context;
    struct bw_daemon *daemon = worker->daemon;
    struct bw_worker *owner = daemon->workers[bw_daemon_owner_index(daemon, &op->meeting)];
    if (owner == worker) {
        bw_owner_submit(worker->owner, op);
        return;
    }
    struct op_trip *trip = bw_calloc(1, sizeof *trip);
    if (trip == NULL) {
        bw_fail_memory(&op->error);
        op->done(op);
        return;
    }
    trip->mail.deliver = op_arrived;
    trip->op = op;
    trip->home = worker;
    trip->owner = owner;
    trip->done = op->done;
    trip->context = op->context;
    op->done = op_decided;
    op->context = trip;
    bw_mailbox_post(owner->mailbox, &trip->mail);
}

static struct bw_id new_meeting(void *context)
{
    struct bw_worker *worker = context;
    struct bw_id id;
    do {
        uint8_t random[10];
        bw_random_bytes(random, sizeof random);
        id = bw_id_v7(bw_clock_wall_ms(), random);
    } while (bw_daemon_owner_index(worker->daemon, &id) != worker->index);
    return id;
}

/* ---- tasks ---- */

static void run_task(struct bw_worker *worker, struct bw_api_task *task)
{
    task->worker = worker;
    bw_mailbox_post(worker->mailbox, &task->mail);
}

static void task_arrived(struct bw_mail *mail)
{
    struct bw_api_task *task = (struct bw_api_task *)mail;
    struct bw_worker *worker = task->worker;
    task->run(task, worker->owner);
}

static void run_here(void *context, struct bw_api_task *task)
{
    task->mail.deliver = task_arrived;
    run_task(context, task);
}

static void run_at_owner(void *context, const struct bw_id *meeting, struct bw_api_task *task)
{
    struct bw_worker *worker = context;
    task->mail.deliver = task_arrived;
    run_task(worker->daemon->workers[bw_daemon_owner_index(worker->daemon, meeting)], task);
}

/* A sweep goes from owner to owner, then home. */
static void sweep_home(struct bw_api_task *task, struct bw_owner *owner)
{
    (void)owner;
    struct bw_api_sweep *sweep = (struct bw_api_sweep *)task;
    sweep->done(sweep);
}

static void sweep_visit(struct bw_api_task *task, struct bw_owner *owner)
{
    struct bw_api_sweep *sweep = (struct bw_api_sweep *)task;
    struct bw_worker *here = task->worker;
    struct bw_daemon *daemon = here->daemon;
    sweep->visit(sweep, owner);
    if (++sweep->at < daemon->worker_count) {
        run_task(daemon->workers[sweep->at], task);
        return;
    }
    task->run = sweep_home;
    run_task(sweep->home, task);
}

static void each_owner(void *context, struct bw_api_sweep *sweep)
{
    struct bw_worker *worker = context;
    sweep->at = 0;
    sweep->home = worker;
    sweep->task.run = sweep_visit;
    sweep->task.mail.deliver = task_arrived;
    run_task(worker->daemon->workers[0], &sweep->task);
}

/* ---- certificates ---- */

struct certify_trip {
    void (*done)(void *context, const struct bw_error *error, struct bw_view pem);
    void *context;
};

static void certified(enum bw_code code, const struct bw_signer_reply *reply, const struct bw_error *err,
                      void *context)
{
    struct certify_trip *trip = context;
    static const struct bw_error fine;
    trip->done(trip->context, code == BW_OK ? &fine : err,
               code == BW_OK ? reply->certificate : (struct bw_view){0});
    bw_free(trip);
}

static void certify(void *context, struct bw_view csr, const char *spiffe_id, uint32_t lifetime_s,
                    void (*done)(void *done_context, const struct bw_error *error, struct bw_view pem),
                    void *done_context)
{
    struct bw_worker *worker = context;
    struct certify_trip *trip = bw_malloc(sizeof *trip);
    struct bw_error err;
    if (trip != NULL)
        *trip = (struct certify_trip){.done = done, .context = done_context};
    if (trip == NULL)
        bw_fail_memory(&err);
    else if (bw_signer_client_issue(worker->signer, csr, bw_view_str(spiffe_id), lifetime_s, certified, trip,
                                    &err) == BW_OK)
        return;
    bw_free(trip);
    done(done_context, &err, (struct bw_view){0});
}

static const struct bw_callers *callers(void *context)
{
    const struct bw_worker *worker = context;
    return worker->callers;
}

static void country_of(void *context, const char *address, char country[3])
{
    const struct bw_worker *worker = context;
    country[0] = '\0';
    if (worker->geo == NULL)
        return;
    struct bw_geo_country found = bw_geo_country(worker->geo, address);
    memcpy(country, found.code, sizeof found.code);
}

static void desk(void *context, struct bw_desk_order *order)
{
    bw_orders_post(context, order);
}

static void quality(void *context, struct bw_api_quality *batch)
{
    struct bw_worker *worker = context;
    bw_ingest_give(worker->daemon->ingest, worker, batch);
}

struct bw_api_ports bw_worker_api_ports(struct bw_worker *worker)
{
    return (struct bw_api_ports){
        .context = worker,
        .submit = submit,
        .new_meeting = new_meeting,
        .desk = desk,
        .run_here = run_here,
        .run_at_owner = run_at_owner,
        .each_owner = each_owner,
        .certify = certify,
        .callers = callers,
        .country_of = country_of,
        .quality = quality,
        .open = bw_worker_open,
        .erase = bw_worker_erase,
    };
}
