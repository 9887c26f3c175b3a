#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

bool scene_init(struct scene *scene, const char *yaml)
{
    *scene = (struct scene){.asks = NULL};
    if (!bw_headless_init(&scene->world))
        return false;
    if (!bw_headless_publish(&scene->world, "chu-lyon", 1, yaml))
        return false;
    bw_headless_settle(&scene->world);
    return true;
}

static void ask_destroy(struct ask *ask)
{
    bw_secret_finish(&ask->op.admission.hop_key);
    bw_buf_finish(&ask->seen);
    bw_arena_destroy(ask->arena);
    bw_free(ask);
}

void scene_finish(struct scene *scene)
{
    bw_headless_finish(&scene->world);
    while (scene->asks != NULL) {
        struct ask *next = scene->asks->next;
        ask_destroy(scene->asks);
        scene->asks = next;
    }
}

void scene_forget(struct scene *scene, struct ask *ask)
{
    struct ask **at = &scene->asks;
    while (*at != ask)
        at = &(*at)->next;
    *at = ask->next;
    ask_destroy(ask);
}

static void done(struct bw_op *op)
{
    struct ask *ask = op->context;
    assert_false(ask->done); /* exactly once */
    ask->done = true;
    if (op->decision != NULL)
        ask->decision = bw_decision_copy(op->decision, ask->arena);
}

/* Everything that a decision can change. */
static void see(struct bw_op *op, const struct bw_meeting *meeting)
{
    struct ask *ask = op->context;
    struct bw_buf *out = &ask->seen;
    ask->found = meeting != NULL;
    if (meeting == NULL)
        return;
    bw_buf_printf(out, "seq %u ended %d/%u policy %u mode %d epoch %u pending %d label %s meeting epoch %u\n",
                  meeting->seq, meeting->ended, meeting->end_reason, meeting->policy_revision,
                  (int)meeting->mode.mode, meeting->mode.epoch, (int)meeting->mode.pending,
                  bw_mode_name(bw_meeting_label(meeting)), meeting->meeting_epoch);
    bw_buf_printf(out, "counts %u %u %u %u scheme %d suite %d connectors %zu\n", meeting->counts.connectors,
                  meeting->counts.incapable, meeting->counts.plain, meeting->counts.unobserved,
                  (int)meeting->e2ee.scheme, (int)meeting->e2ee.suite, meeting->connector_count);
    for (size_t i = 0; i < meeting->relay_count; i++)
        bw_buf_printf(out, "relay %u: %u\n", meeting->relays[i].number, meeting->relays[i].members);
    for (size_t i = 0; i < meeting->slot_count; i++) {
        const struct bw_member *member = meeting->slots[i];
        char entry[BW_ID_TEXT_SIZE];
        bw_id_format(&member->entry, entry);
        bw_buf_printf(out,
                      "slot %u %s on %u kind %d role %u consented %d from %s/%s home %s joined %llu: "
                      "connector %d capable %u allocated %d %d %u observed %d %d %u %d\n",
                      member->slot, entry, member->relay, (int)member->kind, member->role, member->consented,
                      member->country, member->region != NULL ? member->region : "-",
                      member->home_tenant != NULL ? member->home_tenant : "-",
                      (unsigned long long)member->joined_ms, member->flags.connector, member->flags.capable,
                      (int)member->flags.allocated.scheme, (int)member->flags.allocated.suite,
                      member->flags.allocated.epoch, (int)member->flags.observed.state,
                      (int)member->flags.observed.scheme, member->flags.observed.epoch,
                      member->flags.observed.confirmed);
    }
    for (size_t i = 0; i < meeting->level_count; i++)
        bw_buf_printf(out, "level %s\n", meeting->levels[i]);
    bw_buf_printf(out, "requests %u\n", HASH_COUNT(meeting->requests));
}

struct ask *scene_ask(struct scene *scene, enum bw_op_kind kind, const struct bw_id *meeting)
{
    struct ask *ask = bw_calloc(1, sizeof *ask);
    if (ask == NULL)
        return NULL;
    ask->arena = bw_arena_create(1 << 20);
    if (ask->arena == NULL) {
        bw_free(ask);
        return NULL;
    }
    ask->next = scene->asks;
    scene->asks = ask;
    scene->requests++;
    ask->op = (struct bw_op){
        .kind = kind,
        .tenant = scene->world.tenant,
        .meeting = *meeting,
        .request = {{0xee, (uint8_t)(scene->requests >> 8), (uint8_t)scene->requests}},
        .arena = ask->arena,
        .done = done,
        .context = ask,
    };
    memcpy(ask->op.fingerprint, &scene->requests, sizeof scene->requests);
    if (kind == BW_OP_READ)
        ask->op.read = see;
    return ask;
}

void scene_submit(struct scene *scene, struct ask *ask)
{
    bw_owner_submit(scene->world.owner, &ask->op);
}

struct ask *scene_do(struct scene *scene, struct ask *ask)
{
    scene_submit(scene, ask);
    bw_headless_settle(&scene->world);
    return ask;
}

static struct ask *must(struct ask *ask)
{
    assert_non_null(ask);
    return ask;
}

struct bw_id scene_create(struct scene *scene)
{
    struct bw_id meeting = bw_headless_new_id(&scene->world);
    struct ask *ask = must(scene_ask(scene, BW_OP_CREATE, &meeting));
    ask->op.create = (struct bw_op_create){.tenant_name = "chu-lyon", .user = "dr.x@chu-lyon.example"};
    scene_do(scene, ask);
    if (!ask->done || ask->op.error.code != BW_OK)
        fail_msg("a meeting cannot be created: %s", ask->op.error.show);
    return meeting;
}

struct ask *scene_join(struct scene *scene, const struct bw_id *meeting, const char *country)
{
    struct ask *ask = must(scene_ask(scene, BW_OP_JOIN, meeting));
    ask->declared = BW_SCHEME_BIT(SFRAME);
    ask->op.join = (struct bw_op_join){
        .kind = BW_ENDPOINT_NATIVE, .role = BW_ROLE_SPEAKER, .country = country, .declared = &ask->declared};
    return scene_do(scene, ask);
}

struct ask *scene_invite(struct scene *scene, const struct bw_id *meeting, enum bw_endpoint kind)
{
    struct ask *ask = must(scene_ask(scene, BW_OP_INVITE, meeting));
    ask->op.join = (struct bw_op_join){.kind = kind, .role = BW_ROLE_CONNECTOR, .country = "FR"};
    return scene_do(scene, ask);
}

struct ask *scene_leave(struct scene *scene, const struct bw_id *meeting, const struct bw_id *entry)
{
    struct ask *ask = must(scene_ask(scene, BW_OP_LEAVE, meeting));
    ask->op.leave.entry = *entry;
    return scene_do(scene, ask);
}

struct ask *scene_end(struct scene *scene, const struct bw_id *meeting)
{
    return scene_do(scene, must(scene_ask(scene, BW_OP_END, meeting)));
}

struct ask *scene_mode(struct scene *scene, const struct bw_id *meeting, enum bw_mode_event event,
                       const struct bw_id *entry, uint32_t epoch)
{
    struct ask *ask = must(scene_ask(scene, BW_OP_MODE, meeting));
    ask->op.mode_change = (struct bw_op_mode){.event = event, .epoch = epoch};
    if (entry != NULL)
        ask->op.mode_change.entry = *entry;
    return scene_do(scene, ask);
}

struct ask *scene_observe(struct scene *scene, const struct bw_id *meeting, const struct ask *who,
                          enum bw_observed state)
{
    struct ask *ask = must(scene_ask(scene, BW_OP_OBSERVE, meeting));
    ask->op.observe =
        (struct bw_op_observe){.entry = who->op.admission.entry,
                               .state = state,
                               .scheme = state == BW_OBSERVED_E2EE ? BW_SCHEME_SFRAME : BW_SCHEME_NONE,
                               .mode_epoch = who->op.admission.mode_epoch};
    return scene_do(scene, ask);
}

struct ask *scene_read(struct scene *scene, const struct bw_id *meeting)
{
    return scene_do(scene, must(scene_ask(scene, BW_OP_READ, meeting)));
}

struct look {
    const struct bw_id *meeting, *entry;
    uint32_t relay;
    size_t people;
};

static bool look_at(void *context, const struct bw_meeting *meeting)
{
    struct look *look = context;
    if (!bw_id_equal(&meeting->id, look->meeting))
        return true;
    look->people = meeting->slot_count;
    const struct bw_member *member = look->entry != NULL ? bw_meeting_member(meeting, look->entry) : NULL;
    look->relay = member != NULL ? member->relay : 0;
    return false;
}

uint32_t scene_relay_of(struct scene *scene, const struct bw_id *meeting, const struct bw_id *entry)
{
    struct look look = {.meeting = meeting, .entry = entry};
    bw_owner_each_meeting(scene->world.owner, look_at, &look);
    return look.relay;
}

size_t scene_people(struct scene *scene, const struct bw_id *meeting)
{
    struct look look = {.meeting = meeting};
    bw_owner_each_meeting(scene->world.owner, look_at, &look);
    return look.people;
}
