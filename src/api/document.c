#include "api/document.h"

enum { DOCUMENT_ARENA_BYTES = 64 << 20 };

void bw_api_document_finish(struct bw_api_document *document)
{
    bw_diags_finish(&document->diags);
    bw_arena_destroy(document->arena);
}

bool bw_api_document_read(struct bw_api_call *call, struct bw_view yaml, const char *file_name,
                          struct bw_api_document *document)
{
    *document = (struct bw_api_document){.arena = bw_arena_create(DOCUMENT_ARENA_BYTES)};
    if (document->arena == NULL) {
        bw_api_fail_memory(call);
        return false;
    }
    bw_diags_init(&document->diags);
    const struct bw_fleet_view *view = bw_api_view_of(call);
    struct bw_policy_today today = {.cell = bw_api_config_of(call)->cell, .now_ms = bw_clock_wall_ms()};
    if (view != NULL)
        today.facts = view->snapshot->facts;
    const struct bw_source source = {.file = file_name[0] != '\0' ? file_name : "policy.yaml", .text = yaml};
    const struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
    struct bw_error err;
    enum bw_code code = bw_policy_validate(&source, &options, view != NULL ? &today : NULL, document->arena,
                                           &document->diags, &document->doc, &err);
    if (code != BW_OK && code != BW_INVALID_ARGUMENT) {
        bw_api_fail(call, &err, NULL);
        bw_api_document_finish(document);
        return false;
    }
    if (code != BW_OK)
        document->doc = NULL;
    const struct bw_policy_doc *doc = document->doc;
    if (doc != NULL && !bw_view_equal_str(doc->tenant.text, call->tenant_name)) {
        bw_diag_add(&document->diags, &source, BW_P_REQUEST_MISMATCH, doc->tenant.at,
                    "the document is another tenant's; this call is for %s", call->tenant_name);
        document->doc = NULL;
    }
    return true;
}
