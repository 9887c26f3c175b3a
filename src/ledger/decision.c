#include "ledger/decision.h"

#include <string.h>

const char *bw_decision_kind_name(enum bw_decision_kind kind)
{
    static const char *const names[BW_DECISION_KINDS] = {
        [BW_DECISION_CREATED] = "CREATED",
        [BW_DECISION_JOINED] = "JOINED",
        [BW_DECISION_LEFT] = "LEFT",
        [BW_DECISION_MODE_CHANGED] = "MODE_CHANGED",
        [BW_DECISION_MODE_ANNOUNCED] = "MODE_ANNOUNCED",
        [BW_DECISION_CONSENTED] = "CONSENTED",
        [BW_DECISION_MOVED] = "MOVED",
        [BW_DECISION_CONNECTOR_INVITED] = "CONNECTOR_INVITED",
        [BW_DECISION_CONNECTOR_REMOVED] = "CONNECTOR_REMOVED",
        [BW_DECISION_REFUSED] = "REFUSED",
        [BW_DECISION_FLAGS_CHANGED] = "FLAGS_CHANGED",
        [BW_DECISION_ENDED] = "ENDED",
        [BW_DECISION_REBOUND] = "REBOUND",
    };
    if ((unsigned)kind >= BW_DECISION_KINDS || names[kind] == NULL)
        return "UNKNOWN";
    return names[kind];
}

/* ---- copying: one sticky failure for all parts ---- */

struct copier {
    struct bw_arena *arena;
    bool failed;
};

static const void *copy_array(struct copier *copier, const void *items, size_t count, size_t size)
{
    if (items == NULL || count == 0)
        return NULL;
    void *copy = bw_arena_memdup(copier->arena, items, count * size);
    copier->failed = copier->failed || copy == NULL;
    return copy;
}

static const char *copy_text(struct copier *copier, const char *text)
{
    return text == NULL ? NULL : copy_array(copier, text, strlen(text) + 1, 1);
}

struct bw_decision *bw_decision_copy(const struct bw_decision *decision, struct bw_arena *arena)
{
    struct copier copier = {.arena = arena};
    struct bw_decision *copy = bw_arena_memdup(arena, decision, sizeof *decision);
    const char **levels = bw_arena_zalloc(arena, decision->level_count + 1, sizeof *levels);
    struct bw_decision_rejection *rejections =
        bw_arena_zalloc(arena, decision->rejection_count + 1, sizeof *rejections);
    if (copy == NULL || levels == NULL || rejections == NULL)
        return NULL;
    copy->relays = copy_array(&copier, decision->relays, decision->relay_count, sizeof *decision->relays);
    copy->links = copy_array(&copier, decision->links, decision->link_count, sizeof *decision->links);
    copy->override_yaml = copy_text(&copier, decision->override_yaml);
    copy->tenant_name = copy_text(&copier, decision->tenant_name);
    copy->country = copy_text(&copier, decision->country);
    copy->region = copy_text(&copier, decision->region);
    copy->home_tenant = copy_text(&copier, decision->home_tenant);
    copy->clause = copy_text(&copier, decision->clause);
    copy->flags = copy_array(&copier, decision->flags, decision->flag_count, sizeof *decision->flags);
    copy->moves = copy_array(&copier, decision->moves, decision->move_count, sizeof *decision->moves);
    for (size_t i = 0; i < decision->level_count; i++)
        levels[i] = copy_text(&copier, decision->levels[i]);
    for (size_t i = 0; i < decision->rejection_count; i++) {
        rejections[i] = decision->rejections[i];
        rejections[i].clause = copy_text(&copier, decision->rejections[i].clause);
    }
    copy->levels = levels;
    copy->rejections = rejections;
    return copier.failed ? NULL : copy;
}
