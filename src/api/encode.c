#include "api/encode.h"

#include <stdlib.h>
#include <string.h>

#include "base/reference.h"

const char *bw_api_id_text(const struct bw_id *id, struct bw_arena *arena)
{
    char *text = bw_arena_alloc(arena, BW_ID_TEXT_SIZE);
    if (text != NULL)
        bw_id_format(id, text);
    return text;
}

const char *bw_api_hash_text(const uint8_t hash[32], struct bw_arena *arena)
{
    static const char prefix[] = "sha256:";
    static const uint8_t zero[32];
    if (memcmp(hash, zero, sizeof zero) == 0)
        return "";
    char *text = bw_arena_alloc(arena, sizeof prefix + 64);
    if (text == NULL)
        return NULL;
    memcpy(text, prefix, sizeof prefix);
    char *p = text + sizeof prefix - 1;
    for (size_t i = 0; i < 32; i++) {
        *p++ = "0123456789abcdef"[hash[i] >> 4];
        *p++ = "0123456789abcdef"[hash[i] & 15];
    }
    *p = '\0';
    return text;
}

const char *bw_api_reference_text(const struct bw_id *meeting, uint32_t seq, struct bw_arena *arena)
{
    char *text = bw_arena_alloc(arena, BW_REFERENCE_SIZE);
    if (text != NULL)
        bw_reference_format(meeting, seq, text);
    return text;
}

const char *bw_api_relay_name(const struct bw_fleet_view *view, uint32_t number)
{
    if (view == NULL || number == 0)
        return "";
    size_t index = bw_facts_find_number(view->snapshot->facts, number);
    return index != SIZE_MAX ? view->snapshot->facts->relays[index].name : "";
}

bool bw_api_reasons(uint32_t mask, struct bw_arena *arena, size_t *count, Bailiwick__V1__Reason **reasons)
{
    Bailiwick__V1__Reason *list = bw_arena_zalloc(arena, bw_reason_count(mask) + 1, sizeof *list);
    if (list == NULL)
        return false;
    size_t n = 0;
    for (int reason = 0; reason < BW_REASON_COUNT; reason++) {
        if (mask & BW_REASON_BIT(reason))
            list[n++] = (Bailiwick__V1__Reason)(reason + 1);
    }
    *count = n;
    *reasons = list;
    return true;
}

Bailiwick__V1__E2eeFlags *bw_api_flags(const struct bw_flags *flags, struct bw_arena *arena)
{
    Bailiwick__V1__E2eeFlags *out = bw_arena_alloc(arena, sizeof *out);
    Bailiwick__V1__E2eeScheme *capable = bw_arena_zalloc(arena, BW_SCHEME_COUNT, sizeof *capable);
    if (out == NULL || capable == NULL)
        return NULL;
    bailiwick__v1__e2ee_flags__init(out);
    for (int scheme = BW_SCHEME_NONE + 1; scheme < BW_SCHEME_COUNT; scheme++) {
        if (flags->capable & UINT32_C(1) << scheme)
            capable[out->n_capable++] = (Bailiwick__V1__E2eeScheme)scheme;
    }
    out->capable = capable;
    if (flags->allocated.scheme != BW_SCHEME_NONE) {
        Bailiwick__V1__AllocatedE2ee *allocated = bw_arena_alloc(arena, sizeof *allocated);
        if (allocated == NULL)
            return NULL;
        bailiwick__v1__allocated_e2ee__init(allocated);
        allocated->scheme = (Bailiwick__V1__E2eeScheme)flags->allocated.scheme;
        allocated->suite = (Bailiwick__V1__CipherSuite)flags->allocated.suite;
        allocated->epoch = flags->allocated.epoch;
        out->allocated = allocated;
    }
    if (flags->observed.state != BW_OBSERVED_NOTHING) {
        Bailiwick__V1__ObservedE2ee *observed = bw_arena_alloc(arena, sizeof *observed);
        if (observed == NULL)
            return NULL;
        bailiwick__v1__observed_e2ee__init(observed);
        observed->state = (Bailiwick__V1__ObservedE2ee__State)flags->observed.state;
        observed->scheme = (Bailiwick__V1__E2eeScheme)flags->observed.scheme;
        observed->confirmed = flags->observed.confirmed;
        out->observed = observed;
    }
    return out;
}

Bailiwick__V1__Admission *bw_api_admission(const struct bw_op *op, const struct bw_id *meeting, uint32_t seq,
                                           struct bw_arena *arena)
{
    const struct bw_admission *from = &op->admission;
    Bailiwick__V1__Admission *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__admission__init(out);
    out->roster_entry = bw_api_id_text(&from->entry, arena);
    out->slot = from->slot;
    out->relay = from->relay;
    out->relay_number = from->relay_number;
    out->media_address = from->media_address;
    out->grant = (ProtobufCBinaryData){from->grant.len, (uint8_t *)from->grant.data};
    /* Borrowed, not copied: a secret has no place in an arena. */
    out->hop_key = (ProtobufCBinaryData){from->hop_key.len, (uint8_t *)from->hop_key.bytes};
    out->grant_expires_unix_ms = (int64_t)from->grant_expires_ms;
    out->mode = (Bailiwick__V1__E2eeMode)from->mode;
    out->mode_epoch = from->mode_epoch;
    out->meeting_epoch = from->meeting_epoch;
    out->flags = bw_api_flags(&from->flags, arena);
    out->reference = bw_api_reference_text(meeting, seq, arena);
    return out->roster_entry != NULL && out->flags != NULL && out->reference != NULL ? out : NULL;
}

static uint32_t clamp32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

Bailiwick__V1__DecisionSummary *bw_api_summary(const struct bw_decision *decision,
                                               const struct bw_fleet_view *view, struct bw_arena *arena)
{
    Bailiwick__V1__DecisionSummary *out = bw_arena_alloc(arena, sizeof *out);
    Bailiwick__V1__PlacementScore *score = bw_arena_alloc(arena, sizeof *score);
    if (out == NULL || score == NULL)
        return NULL;
    bailiwick__v1__decision_summary__init(out);
    bailiwick__v1__placement_score__init(score);
    score->pair_us = clamp32(decision->score.pair_us);
    score->access_us = clamp32(decision->score.access_us);
    score->load_us = clamp32(decision->score.load_us);
    score->spread_us = clamp32(decision->score.relays_us);
    score->move_us = clamp32(decision->score.moved_us);
    score->total_us = clamp32(decision->score.total_us);
    out->relays_considered = decision->relays_considered;
    out->relays_allowed = decision->relays_allowed;
    out->score = score;
    out->runner_up = bw_api_relay_name(view, decision->runner_up);
    out->policy_revision = decision->policy_revision;
    out->policy_hash = bw_api_hash_text(decision->policy_hash, arena);
    out->facts_revision = decision->facts_revision;
    return out->policy_hash != NULL ? out : NULL;
}

/* ---- diagnostics ---- */

static Bailiwick__V1__SourcePosition *position(const struct bw_diag_place *place, struct bw_arena *arena)
{
    Bailiwick__V1__SourcePosition *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__source_position__init(out);
    out->file = bw_arena_strdup(arena, place->file != NULL ? place->file : "");
    out->line = place->at.line;
    out->column = place->at.col;
    return out->file != NULL ? out : NULL;
}

static const char *cut_text(const char *text, size_t most, struct bw_arena *arena)
{
    size_t len = text != NULL ? strlen(text) : 0;
    return bw_arena_strndup(arena, text != NULL ? text : "", len < most ? len : most);
}

static Bailiwick__V1__Diagnostic *diagnostic(const struct bw_diag *from, struct bw_arena *arena)
{
    static const Bailiwick__V1__Severity severities[] = {
        [BW_DIAG_ERROR] = BAILIWICK__V1__SEVERITY__SEVERITY_ERROR,
        [BW_DIAG_WARNING] = BAILIWICK__V1__SEVERITY__SEVERITY_WARNING,
        [BW_DIAG_NOTE] = BAILIWICK__V1__SEVERITY__SEVERITY_INFO,
    };
    Bailiwick__V1__Diagnostic *out = bw_arena_alloc(arena, sizeof *out);
    char *code = bw_arena_alloc(arena, BW_DIAG_CODE_TEXT_SIZE);
    if (out == NULL || code == NULL)
        return NULL;
    bailiwick__v1__diagnostic__init(out);
    out->code = bw_diag_code_text(from->code, code);
    out->severity = severities[from->severity];
    out->position = position(&from->where, arena);
    out->message = cut_text(from->where.message, 1000, arena); /* bounds of policy.proto */
    out->fix_it = cut_text(from->fix_text, 1000, arena);
    if (from->related.file != NULL) {
        Bailiwick__V1__SourcePosition **related = bw_arena_zalloc(arena, 1, sizeof(void *));
        if (related == NULL || (related[0] = position(&from->related, arena)) == NULL)
            return NULL;
        out->related = related;
        out->n_related = 1;
    }
    return out->position != NULL && out->message != NULL && out->fix_it != NULL ? out : NULL;
}

Bailiwick__V1__Diagnostic **bw_api_diagnostics(const struct bw_diags *diags, struct bw_arena *arena,
                                               size_t *count)
{
    Bailiwick__V1__Diagnostic **list = bw_arena_zalloc(arena, diags->count + 1, sizeof(void *));
    for (size_t i = 0; list != NULL && i < diags->count; i++) {
        list[i] = diagnostic(&diags->items[i], arena);
        if (list[i] == NULL)
            return NULL;
    }
    *count = diags->count;
    return list;
}
