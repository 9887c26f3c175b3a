/* A policy document that came with a call, judged as the command line judges it, and over the fleet of now.
 * Inside this room only. Threads: the worker's. */
#ifndef BW_API_DOCUMENT_H
#define BW_API_DOCUMENT_H

#include "api/call.h"
#include "policy/validate.h"
#include "runtime/clock.h"

struct bw_api_document {
    struct bw_arena *arena; /* its own: a document may need more than a call's */
    struct bw_diags diags;
    const struct bw_policy_doc *doc; /* NULL: diags say what is wrong */
};

/* file_name "": "policy.yaml". False, and the call has failed, when it could not be judged at all. */
bool bw_api_document_read(struct bw_api_call *call, struct bw_view yaml, const char *file_name,
                          struct bw_api_document *document);
void bw_api_document_finish(struct bw_api_document *document);

#endif
