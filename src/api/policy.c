/* PolicyService: documents and their revisions, and refusals by reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/document.h"
#include "api/encode.h"
#include "api/gate.h"
#include "api/record_find.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "crypto/hash.h"

/* A revision that copies an older one says so in its note. */
static const char rollback_note[] = "rollback of ";

static uint32_t enforced_revision(struct bw_api_call *call)
{
    const struct bw_policy_set *set = bw_owner_policy(bw_api_config_of(call)->owner, &call->tenant);
    return set != NULL ? set->revision : 0;
}

static Bailiwick__V1__PolicyRevision *revision_message(const struct bw_desk_policy *from, uint32_t enforced,
                                                       struct bw_arena *arena)
{
    Bailiwick__V1__PolicyRevision *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__policy_revision__init(out);
    out->revision = from->revision;
    out->hash = bw_api_hash_text(from->hash, arena);
    out->state = from->revision == enforced ? BAILIWICK__V1__REVISION_STATE__REVISION_STATE_ENFORCED
                                            : BAILIWICK__V1__REVISION_STATE__REVISION_STATE_SUPERSEDED;
    out->created_unix_ms = (int64_t)from->at_ms;
    out->author = from->author != NULL ? from->author : out->author;
    if (from->note != NULL && strncmp(from->note, rollback_note, sizeof rollback_note - 1) == 0)
        out->rollback_of = (uint32_t)strtoul(from->note + sizeof rollback_note - 1, NULL, 10);
    return out->hash != NULL ? out : NULL;
}

static bool order_failed(struct bw_api_call *call)
{
    if (call->order.error.code == BW_OK)
        return false;
    bw_api_fail(call, &call->order.error, NULL);
    return true;
}

/* ---- CheckPolicy ---- */

void bw_api_check_policy(struct bw_api_call *call)
{
    const Bailiwick__V1__CheckPolicyRequest *request =
        (const Bailiwick__V1__CheckPolicyRequest *)call->request;
    struct bw_api_document document;
    if (!bw_api_document_read(call, bw_view_str(request->yaml), request->file_name, &document))
        return;
    Bailiwick__V1__CheckPolicyResponse response = BAILIWICK__V1__CHECK_POLICY_RESPONSE__INIT;
    response.valid = document.doc != NULL;
    response.errors = (uint32_t)document.diags.errors;
    response.warnings = (uint32_t)document.diags.warnings;
    response.diagnostics = bw_api_diagnostics(&document.diags, document.arena, &response.n_diagnostics);
    if (response.diagnostics == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
    bw_api_document_finish(&document);
}

/* ---- ApplyPolicy, RollbackPolicy ---- */

struct applying {
    struct bw_api_document document;
    struct bw_desk_policy revision; /* as it will be told */
};

static void applied(struct bw_api_call *call)
{
    struct applying *applying = call->state;
    struct bw_api_document document = applying->document; /* outlives the call's arena */
    if (call->order.error.code != BW_OK) {
        bw_api_document_finish(&document);
        bw_api_fail(call, &call->order.error, NULL);
        return;
    }
    applying->revision.revision = call->order.policy_publish.revision;
    Bailiwick__V1__ApplyPolicyResponse response = BAILIWICK__V1__APPLY_POLICY_RESPONSE__INIT;
    response.applied = true;
    response.revision = revision_message(&applying->revision, applying->revision.revision, call->arena);
    response.diagnostics = bw_api_diagnostics(&document.diags, document.arena, &response.n_diagnostics);
    if (response.revision == NULL || response.diagnostics == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
    bw_api_document_finish(&document);
}

/* Gives the order to publish; the document is checked. */
static void publish(struct bw_api_call *call, struct bw_view yaml, const char *note, bool conditional,
                    uint32_t if_revision, struct bw_desk_policy *told, bw_api_handler *next)
{
    bw_sha256(yaml, told->hash);
    told->at_ms = bw_clock_wall_ms();
    told->author = call->caller;
    told->note = note;
    call->order.policy_publish.tenant = call->tenant;
    call->order.policy_publish.tenant_name = call->tenant_name;
    call->order.policy_publish.yaml = yaml;
    memcpy(call->order.policy_publish.hash, told->hash, sizeof told->hash);
    call->order.policy_publish.author = call->caller;
    call->order.policy_publish.note = note;
    call->order.policy_publish.if_revision_set = conditional;
    call->order.policy_publish.if_revision = if_revision;
    bw_api_order(call, BW_DESK_POLICY_PUBLISH, next);
}

/* Nothing is applied: the diagnostics say why, or it was a dry run. */
static void apply_not(struct bw_api_call *call, struct bw_api_document document, const uint8_t hash[32])
{
    Bailiwick__V1__ApplyPolicyResponse response = BAILIWICK__V1__APPLY_POLICY_RESPONSE__INIT;
    response.diagnostics = bw_api_diagnostics(&document.diags, document.arena, &response.n_diagnostics);
    bool ok = response.diagnostics != NULL;
    if (ok && document.doc != NULL) { /* what it would be, without a number of its own */
        Bailiwick__V1__PolicyRevision *revision = bw_arena_alloc(call->arena, sizeof *revision);
        ok = revision != NULL;
        if (ok) {
            bailiwick__v1__policy_revision__init(revision);
            revision->hash = bw_api_hash_text(hash, call->arena);
            revision->author = call->caller;
            ok = revision->hash != NULL;
            response.revision = revision;
        }
    }
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
    bw_api_document_finish(&document);
}

void bw_api_apply_policy(struct bw_api_call *call)
{
    const Bailiwick__V1__ApplyPolicyRequest *request =
        (const Bailiwick__V1__ApplyPolicyRequest *)call->request;
    if (request->audit) {
        bw_api_fail_later(call, "applying a candidate beside the enforced revision (audit) is not supported "
                                "yet; check it with a dry run");
        return;
    }
    struct applying *applying = bw_arena_zalloc(call->arena, 1, sizeof *applying);
    if (applying == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    struct bw_view yaml = bw_view_str(request->yaml);
    if (!bw_api_document_read(call, yaml, request->file_name, &applying->document))
        return;
    bool conditional = request->condition_case == BAILIWICK__V1__APPLY_POLICY_REQUEST__CONDITION_IF_REVISION;
    if (applying->document.doc == NULL || request->dry_run) {
        uint8_t hash[BW_SHA256_SIZE];
        bw_sha256(yaml, hash);
        apply_not(call, applying->document, hash);
        return;
    }
    call->state = applying;
    publish(call, yaml, "", conditional, request->if_revision, &applying->revision, applied);
}

static void rolled_back(struct bw_api_call *call)
{
    struct bw_desk_policy *told = call->state;
    if (order_failed(call))
        return;
    told->revision = call->order.policy_publish.revision;
    Bailiwick__V1__RollbackPolicyResponse response = BAILIWICK__V1__ROLLBACK_POLICY_RESPONSE__INIT;
    response.revision = revision_message(told, told->revision, call->arena);
    if (response.revision == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

static void rollback_found(struct bw_api_call *call)
{
    const Bailiwick__V1__RollbackPolicyRequest *request =
        (const Bailiwick__V1__RollbackPolicyRequest *)call->request;
    if (order_failed(call))
        return;
    struct bw_view yaml = call->order.policy_get.result.yaml;
    struct bw_api_document document;
    if (!bw_api_document_read(call, yaml, "", &document))
        return;
    bool stands = document.doc != NULL;
    struct bw_error err = {.code = BW_OK};
    if (!stands && bw_diags_status(&document.diags, &err) != BW_OK)
        err.code = BW_FAILED_PRECONDITION;
    bw_api_document_finish(&document);
    if (!stands) {
        bw_error_log(&err, "rollback");
        struct bw_error told;
        (void)bw_fail(&told, BW_FAILED_PRECONDITION, "REVISION_NO_LONGER_VALID",
                      "revision %u cannot be enforced today: %.300s", request->to_revision, err.show);
        bw_api_fail(call, &told, NULL);
        return;
    }
    struct bw_desk_policy *told = bw_arena_zalloc(call->arena, 1, sizeof *told);
    char *note = bw_arena_printf(call->arena, "%s%u", rollback_note, request->to_revision);
    if (told == NULL || note == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    call->state = told;
    publish(call, yaml, note,
            request->condition_case == BAILIWICK__V1__ROLLBACK_POLICY_REQUEST__CONDITION_IF_REVISION,
            request->if_revision, told, rolled_back);
}

void bw_api_rollback_policy(struct bw_api_call *call)
{
    const Bailiwick__V1__RollbackPolicyRequest *request =
        (const Bailiwick__V1__RollbackPolicyRequest *)call->request;
    call->order.policy_get.tenant = call->tenant;
    call->order.policy_get.revision = request->to_revision;
    bw_api_order(call, BW_DESK_POLICY_GET, rollback_found);
}

/* ---- GetPolicy, ListPolicyRevisions ---- */

static bool add_retention(const char *level, struct bw_retention kept, struct bw_arena *arena,
                          Bailiwick__V1__GetPolicyResponse *response)
{
    Bailiwick__V1__EffectiveRetention *item = bw_arena_alloc(arena, sizeof *item);
    if (item == NULL || level == NULL)
        return false;
    bailiwick__v1__effective_retention__init(item);
    item->level = level;
    item->quality_ms = kept.quality_ms;
    item->participants_ms = kept.participants_ms;
    item->decisions_ms = kept.decisions_ms != BW_RETENTION_WITHOUT_END_MS ? kept.decisions_ms : 0;
    response->retention[response->n_retention++] = item;
    return true;
}

/* What counts for the organisation and for each level that says something of its own. */
static bool fill_retention(const struct bw_policy_doc *doc, struct bw_arena *arena,
                           Bailiwick__V1__GetPolicyResponse *response)
{
    response->retention =
        bw_arena_zalloc(arena, doc->groups.count + doc->users.count + 1, sizeof *response->retention);
    if (response->retention == NULL ||
        !add_retention("", bw_policy_retention_of(doc, NULL, 0, NULL, 0), arena, response))
        return false;
    for (size_t i = 0; i < doc->groups.count + doc->users.count; i++) {
        bool group = i < doc->groups.count;
        const struct bw_policy_group *level =
            group ? &doc->groups.items[i] : &doc->users.items[i - doc->groups.count];
        if (level->sections.residency.retention.at.line == 0)
            continue;
        const char *name = (const char *)level->name.text.data;
        struct bw_retention kept = group ? bw_policy_retention_of(doc, &name, 1, NULL, 0)
                                         : bw_policy_retention_of(doc, NULL, 0, &name, 1);
        if (!add_retention(bw_arena_printf(arena, "%s:%s", group ? "group" : "user", name), kept, arena,
                           response))
            return false;
    }
    return true;
}

static void got(struct bw_api_call *call)
{
    if (order_failed(call))
        return;
    const struct bw_desk_policy *found = &call->order.policy_get.result;
    Bailiwick__V1__GetPolicyResponse response = BAILIWICK__V1__GET_POLICY_RESPONSE__INIT;
    uint32_t enforced = call->order.policy_get.revision == 0 ? found->revision : enforced_revision(call);
    response.revision = revision_message(found, enforced, call->arena);
    response.yaml = bw_arena_strndup(call->arena, (const char *)found->yaml.data, found->yaml.len);
    struct bw_policy_set *set = NULL;
    struct bw_error unread;
    bool ok = response.revision != NULL && response.yaml != NULL;
    /* A revision that this program no longer reads is still shown. */
    if (ok && bw_policy_set_create(&call->tenant, call->tenant_name, found->revision, found->yaml, &set,
                                   &unread) == BW_OK)
        ok = fill_retention(set->doc, call->arena, &response);
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
    bw_policy_set_release(set);
}

void bw_api_get_policy(struct bw_api_call *call)
{
    const Bailiwick__V1__GetPolicyRequest *request = (const Bailiwick__V1__GetPolicyRequest *)call->request;
    bool asked = request->which_case == BAILIWICK__V1__GET_POLICY_REQUEST__WHICH_REVISION;
    if (asked && request->revision == 0) {
        bw_api_fail_field(call, "revision", "revisions count from 1; leave it out for the enforced one");
        return;
    }
    call->order.policy_get.tenant = call->tenant;
    call->order.policy_get.revision = asked ? request->revision : 0;
    bw_api_order(call, BW_DESK_POLICY_GET, got);
}

static void revisions_listed(struct bw_api_call *call)
{
    const Bailiwick__V1__ListPolicyRevisionsRequest *request =
        (const Bailiwick__V1__ListPolicyRevisionsRequest *)call->request;
    if (order_failed(call))
        return;
    size_t count = call->order.policies_list.count, size = bw_api_page_size(request->page_size);
    size_t n = count < size ? count : size;
    Bailiwick__V1__ListPolicyRevisionsResponse response = BAILIWICK__V1__LIST_POLICY_REVISIONS_RESPONSE__INIT;
    response.revisions = bw_arena_zalloc(call->arena, n + 1, sizeof(void *));
    bool ok = response.revisions != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        response.revisions[i] =
            revision_message(&call->order.policies_list.results[i], enforced_revision(call), call->arena);
        ok = response.revisions[i] != NULL;
    }
    response.n_revisions = n;
    if (ok && count > n) {
        char position[16];
        snprintf(position, sizeof position, "%u", call->order.policies_list.results[n - 1].revision);
        response.next_page_token = bw_api_page_token(call, position);
        ok = response.next_page_token != NULL;
    }
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
}

void bw_api_list_policy_revisions(struct bw_api_call *call)
{
    const Bailiwick__V1__ListPolicyRevisionsRequest *request =
        (const Bailiwick__V1__ListPolicyRevisionsRequest *)call->request;
    const char *position;
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    call->order.policies_list.tenant = call->tenant;
    call->order.policies_list.before = (uint32_t)strtoul(position, NULL, 10);
    call->order.policies_list.limit = bw_api_page_size(request->page_size) + 1;
    bw_api_order(call, BW_DESK_POLICIES_LIST, revisions_listed);
}

/* ---- GetRefusal ---- */

static void refusal_found(struct bw_api_call *call, const struct bw_decision *decision,
                          const struct bw_error *error)
{
    if (decision == NULL && error->code != BW_NOT_FOUND && error->code != BW_INVALID_ARGUMENT) {
        bw_api_fail(call, error, NULL);
        return;
    }
    /* Another tenant's reference is as good as none. */
    if (decision == NULL || decision->kind != BW_DECISION_REFUSED ||
        !bw_id_equal(&decision->tenant, &call->tenant)) {
        struct bw_error err;
        (void)bw_fail(&err, BW_NOT_FOUND, "NO_REFUSAL",
                      "the tenant has no refusal of that reference; check it letter by letter, or it is "
                      "older than decisions are kept");
        bw_api_fail(call, &err, NULL);
        return;
    }
    Bailiwick__V1__GetRefusalResponse response = BAILIWICK__V1__GET_REFUSAL_RESPONSE__INIT;
    response.refusal =
        bw_api_refusal(decision, call->tenant_name, NULL, bw_api_view_of(call), SIZE_MAX, call->arena);
    if (response.refusal == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

void bw_api_get_refusal(struct bw_api_call *call)
{
    const Bailiwick__V1__GetRefusalRequest *request = (const Bailiwick__V1__GetRefusalRequest *)call->request;
    bw_api_find_reference(call, request->reference, refusal_found);
}
