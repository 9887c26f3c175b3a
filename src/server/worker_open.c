/* The port `open`: an opening of the services becomes a question to the vault, and its rows come back. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "server/vault_keeper.h"
#include "server/worker_state.h"
#include "vault/roster.h"

_Static_assert((int)BW_OPENING_ROSTER == (int)BW_VAULT_ROSTER &&
                   (int)BW_OPENING_CHUNKS == (int)BW_VAULT_CHUNKS &&
                   (int)BW_OPENING_SKETCHES == (int)BW_VAULT_SKETCHES &&
                   (int)BW_OPENING_TIER1 == (int)BW_VAULT_ROLE_TIER1 &&
                   (int)BW_OPENING_TIER2 == (int)BW_VAULT_ROLE_TIER2 &&
                   (int)BW_OPENING_TENANT_ADMIN == (int)BW_VAULT_ROLE_TENANT_ADMIN,
               "numbers of the vault's protocol");

struct opening_trip {
    struct bw_vault_call call; /* first */
    struct bw_api_opening *opening;
};

/* A masked address is a network: /24, or /48. */
static void prefix_text(struct bw_view address, char *text, size_t size)
{
    char words[INET6_ADDRSTRLEN];
    text[0] = '\0';
    bool four = address.len == 4;
    if ((four || address.len == 16) &&
        inet_ntop(four ? AF_INET : AF_INET6, address.data, words, sizeof words) != NULL)
        snprintf(text, size, "%s/%d", words, four ? 24 : 48);
}

static enum bw_code give_row(struct bw_api_opening *opening, const struct bw_vault_row *row,
                             struct bw_error *err)
{
    struct bw_opened opened = {.slot = row->slot,
                               .stream = row->stream,
                               .seq = row->seq,
                               .from_ms = row->from_ms,
                               .to_ms = row->to_ms,
                               .payload = row->payload};
    struct bw_opened_person person;
    if (opening->what == BW_OPENING_ROSTER) {
        struct bw_roster_entry entry;
        enum bw_code code = bw_roster_entry_decode(row->payload, &entry, err);
        if (code != BW_OK)
            return code;
        person = (struct bw_opened_person){.user = entry.user, .client_version = entry.client_version};
        /* Whole addresses never leave the vault: nobody is asked for more than a network. */
        if (row->masked & UINT32_C(1) << BW_ROSTER_TAG_ADDRESS)
            prefix_text(entry.address, person.address_prefix, sizeof person.address_prefix);
        opened.person = &person;
        opened.payload = (struct bw_view){NULL, 0};
    }
    return opening->row(opening, &opened);
}

static void replied(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                    const struct bw_error *err, bool last)
{
    struct opening_trip *trip = (struct opening_trip *)call;
    struct bw_api_opening *opening = trip->opening;
    struct bw_error *error = &opening->error;
    if (code != BW_OK) {
        *error = *err;
    } else if (reply->type != BW_VAULT_OPENED) {
        (void)bw_fail(error, BW_INTERNAL, NULL, "the vault gave an answer to another question");
    } else {
        struct bw_reader rows = bw_vault_rows(reply);
        struct bw_vault_row row;
        enum bw_code given = error->code; /* an earlier part may have failed */
        while (given == BW_OK && bw_vault_next_row(&rows, &row))
            given = give_row(opening, &row, error);
        opening->cut = reply->last && reply->cut;
    }
    if (!last)
        return;
    bw_free(trip);
    opening->done(opening);
}

/* NULL: *err says why nothing can be asked. */
static struct bw_vault_client *vault_of(const struct bw_worker *worker, struct bw_error *err)
{
    err->code = BW_OK;
    if (worker->daemon->vault == NULL) {
        (void)bw_fail(
            err, BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE",
            "this cell keeps no metadata (NOT_KEPT): nobody's quality or name is stored; an operator "
            "can change that with `vault:` in the configuration");
        return NULL;
    }
    struct bw_vault_client *vault = bw_vault_keeper_client(worker->daemon->vault);
    if (vault == NULL)
        (void)bw_fail(err, BW_UNAVAILABLE, "SHUTTING_DOWN", "this replica is stopping; ask another one");
    return vault;
}

void bw_worker_open(void *context, struct bw_api_opening *opening)
{
    struct bw_worker *worker = context;
    opening->cut = false;
    struct bw_vault_client *vault = vault_of(worker, &opening->error);
    struct opening_trip *trip = vault != NULL ? bw_calloc(1, sizeof *trip) : NULL;
    if (vault != NULL && trip == NULL)
        (void)bw_fail_memory(&opening->error);
    if (trip == NULL) {
        opening->done(opening);
        return;
    }
    trip->opening = opening;
    trip->call.back = worker->mailbox;
    trip->call.replied = replied;
    const struct bw_vault_request request = {
        .type = BW_VAULT_OPEN,
        .caller = {.actor = bw_view_str(opening->actor),
                   .method = bw_view_str(opening->method),
                   .user = bw_view_str(opening->own_user != NULL ? opening->own_user : ""),
                   .request = opening->request,
                   .role = (uint8_t)opening->role},
        .tenant = opening->tenant,
        .meeting = opening->meeting,
        .what = (uint8_t)opening->what,
        .slot = opening->slot_from,
        .slot_to = opening->slot_to,
        .from_ms = opening->from_ms,
        .to_ms = opening->to_ms,
        .max_rows = opening->max_rows,
    };
    bw_vault_encode_request(&request, &trip->call.request);
    bw_vault_client_ask(vault, &trip->call);
}

/* ---- erasing ---- */

struct erasure_trip {
    struct bw_vault_call call; /* first */
    struct bw_api_erasure *erasure;
};

static void erased(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                   const struct bw_error *err, bool last)
{
    struct erasure_trip *trip = (struct erasure_trip *)call;
    struct bw_api_erasure *erasure = trip->erasure;
    if (code != BW_OK) {
        erasure->error = *err;
    } else if (reply->type != BW_VAULT_RECEIPT) {
        (void)bw_fail(&erasure->error, BW_INTERNAL, NULL, "the vault gave an answer to another question");
    } else {
        const struct bw_vault_receipt *receipt = &reply->receipt;
        erasure->receipt = receipt->id;
        erasure->at_ms = receipt->at_ms;
        erasure->meeting_keys = receipt->meeting_keys;
        erasure->scope_keys = receipt->scope_keys;
        memcpy(erasure->signature, receipt->signature, sizeof erasure->signature);
    }
    if (!last)
        return;
    bw_free(trip);
    erasure->done(erasure);
}

_Static_assert(sizeof((struct bw_api_erasure){0}.signature) == BW_ED25519_SIGNATURE_SIZE, "a receipt's");

void bw_worker_erase(void *context, struct bw_api_erasure *erasure)
{
    struct bw_worker *worker = context;
    struct bw_vault_client *vault = vault_of(worker, &erasure->error);
    struct erasure_trip *trip = vault != NULL ? bw_calloc(1, sizeof *trip) : NULL;
    if (vault != NULL && trip == NULL)
        (void)bw_fail_memory(&erasure->error);
    if (trip == NULL) {
        erasure->done(erasure);
        return;
    }
    trip->erasure = erasure;
    trip->call.back = worker->mailbox;
    trip->call.replied = erased;
    const struct bw_vault_request request = {
        .type = BW_VAULT_ERASE,
        .caller = {.actor = bw_view_str(erasure->actor),
                   .method = bw_view_str(erasure->method),
                   .request = erasure->request,
                   .role = BW_VAULT_ROLE_TENANT_ADMIN}, /* the gate lets nobody else in */
        .tenant = erasure->tenant,
        .meeting = erasure->meeting,
        .erasure = BW_VAULT_ERASE_MEETING,
    };
    bw_vault_encode_request(&request, &trip->call.request);
    bw_vault_client_ask(vault, &trip->call);
}
