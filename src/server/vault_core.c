/* The core's state, and every request but opening (vault_open.c). */
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "ledger/decision.h"
#include "runtime/log.h"
#include "server/vault_state.h"

enum { ERASE_ATTEMPTS = 3, SWEEP_PIECES = 20, SCOPE_ARENA_BYTES = 64 * 1024 };

/* ---- answers ---- */

bool bw_vault_send(struct bw_vault_core *core)
{
    return core->config.ports.send(core->config.ports.context, &core->out);
}

bool bw_vault_fail(struct bw_vault_core *core, uint32_t id, const struct bw_error *err)
{
    struct bw_vault_reply reply = {
        .type = BW_VAULT_ERROR,
        .id = id,
        .code = err->code,
        .reason = bw_view_str(err->reason != NULL ? err->reason : ""),
        .text = bw_view_of(err->show, strnlen(err->show, BW_VAULT_TEXT_MAX)),
    };
    core->refused++;
    bw_vault_encode_reply(&reply, &core->out);
    return bw_vault_send(core);
}

static bool reply_with(struct bw_vault_core *core, const struct bw_vault_reply *reply)
{
    bw_vault_encode_reply(reply, &core->out);
    return bw_vault_send(core);
}

/* ---- the root keys' state ---- */

const char *bw_vault_state_name(enum bw_provider_state state)
{
    switch (state) {
    case BW_PROVIDER_OK:
        return "ACTIVE";
    case BW_PROVIDER_TRANSIENT:
        return "UNREACHABLE";
    case BW_PROVIDER_DENIED:
        return "DENIED";
    case BW_PROVIDER_DISABLED:
        return "DISABLED";
    case BW_PROVIDER_GONE:
        return "DESTROYED";
    default:
        return "MISCONFIGURED";
    }
}

void bw_vault_note_state(struct bw_vault_core *core, enum bw_provider_state state, const struct bw_error *err)
{
    uint64_t now_ms = bw_vault_now(core);
    if (state != core->state)
        core->since_ms = now_ms;
    core->state = state;
    core->why = state == BW_PROVIDER_OK ? (struct bw_error){.code = BW_OK} : *err;
    core->probed_ms = now_ms;
    bool refused = state == BW_PROVIDER_DENIED || state == BW_PROVIDER_DISABLED || state == BW_PROVIDER_GONE;
    if (refused && core->opener != NULL)
        bw_opener_purge(core->opener);
}

enum bw_code bw_vault_key_unavailable(const struct bw_vault_core *core, struct bw_error *err)
{
    enum bw_code code =
        bw_fail(err, BW_UNAVAILABLE, "KEY_UNAVAILABLE", "the keys of the metadata cannot be used (%s): %s",
                bw_vault_state_name(core->state), core->why.show);
    if (core->state != BW_PROVIDER_TRANSIENT)
        err->code = code = BW_FAILED_PRECONDITION;
    return code;
}

/* Another keyring in the place of ours wraps and unwraps its own keys well: what tells is a key that is
 * stored. */
static enum bw_provider_state check_stored(struct bw_vault_core *core, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    struct bw_store_scope_key newest;
    bw_arena_reset(core->arena);
    enum bw_code code = ports->scope_newest(ports->context, core->arena, &newest, err);
    if (code == BW_NOT_FOUND)
        return BW_PROVIDER_OK;
    if (code != BW_OK)
        return BW_PROVIDER_TRANSIENT;
    struct bw_scope_wrapped wrapped = bw_vault_wrapped(&newest);
    bw_opener_purge(core->opener);
    enum bw_provider_state state = bw_opener_scope(core->opener, &wrapped, bw_vault_now(core), err);
    if (state == BW_PROVIDER_GONE || state == BW_PROVIDER_CORRUPT) {
        char detail[256];
        snprintf(detail, sizeof detail, "%.255s", err->show);
        (void)bw_fail(
            err, BW_FAILED_PRECONDITION, "KEY_UNAVAILABLE",
            "the keyring is not the one that the stored keys were wrapped with (root key \"%s\": %s); put "
            "the right one back",
            newest.root, detail);
        return BW_PROVIDER_CONFIG;
    }
    return state;
}

static enum bw_code create_opener(struct bw_vault_core *core, struct bw_error *err)
{
    const struct bw_opener_config config = {.cell = core->config.cell, .provider = core->provider};
    return bw_opener_create(&config, &core->opener, err);
}

void bw_vault_core_probe(struct bw_vault_core *core)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    struct bw_error err = {.code = BW_OK};
    enum bw_provider_state state = BW_PROVIDER_OK;
    /* A file that was put in its place meanwhile is taken without a restart. */
    if (core->provider == NULL || core->state != BW_PROVIDER_OK) {
        struct bw_provider *fresh = NULL;
        state = ports->open_provider(ports->context, &fresh, &err);
        if (state == BW_PROVIDER_OK) {
            bw_opener_destroy(core->opener);
            core->opener = NULL;
            bw_provider_destroy(core->provider);
            core->provider = fresh;
            if (create_opener(core, &err) != BW_OK)
                state = BW_PROVIDER_TRANSIENT;
        } else if (state == BW_PROVIDER_GONE) {
            state = BW_PROVIDER_CONFIG; /* of the file it says that it is not there, not that keys were
                                           destroyed */
        }
    }
    if (state == BW_PROVIDER_OK)
        state = bw_provider_probe(core->provider, &err);
    if (state == BW_PROVIDER_OK)
        state = check_stored(core, &err);
    if (core->opener != NULL)
        bw_opener_expire(core->opener, bw_vault_now(core));
    bw_vault_note_state(core, state, &err);
}

enum bw_provider_state bw_vault_core_state(const struct bw_vault_core *core)
{
    return core->state;
}

const char *bw_vault_core_why(const struct bw_vault_core *core)
{
    return core->state == BW_PROVIDER_OK ? "" : core->why.show;
}

const char *bw_vault_core_detail(const struct bw_vault_core *core)
{
    return core->state == BW_PROVIDER_OK ? "" : core->why.log;
}

/* ---- scope keys ---- */

static struct bw_scope_public public_half(const struct bw_store_scope_key *key)
{
    struct bw_scope_public half = {.id = key->id, .tenant = key->tenant, .day = key->day};
    memcpy(half.scope, key->scope, sizeof half.scope);
    memcpy(half.public_key, key->public_key, sizeof half.public_key);
    memcpy(half.signature, key->signature, sizeof half.signature);
    return half;
}

struct bw_scope_wrapped bw_vault_wrapped(const struct bw_store_scope_key *key)
{
    return (struct bw_scope_wrapped){.public_half = public_half(key), .wrapped = key->wrapped};
}

static enum bw_code make_scope(struct bw_vault_core *core, const struct bw_vault_scope_name *name,
                               uint32_t day, struct bw_store_scope_key *out, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    uint8_t id_random[16], private_random[BW_X25519_SIZE];
    struct bw_scope_public half;
    struct bw_buf wrapped = {0};
    ports->random(ports->context, id_random, sizeof id_random);
    ports->random(ports->context, private_random, sizeof private_random);
    enum bw_provider_state state = bw_scope_make(core->provider, core->service, &name->tenant, name->scope,
                                                 day, id_random, private_random, &half, &wrapped, err);
    bw_wipe(private_random, sizeof private_random);
    enum bw_code code = BW_OK;
    if (state != BW_PROVIDER_OK) {
        bw_vault_note_state(core, state, err);
        code = bw_vault_key_unavailable(core, err);
    }
    if (code == BW_OK) {
        struct bw_provider_facts facts;
        bw_provider_describe(core->provider, &facts);
        struct bw_store_scope_key proposed = {
            .id = half.id, .tenant = half.tenant, .day = half.day, .wrapped = bw_buf_view(&wrapped)};
        memcpy(proposed.scope, half.scope, sizeof proposed.scope);
        memcpy(proposed.public_key, half.public_key, sizeof proposed.public_key);
        memcpy(proposed.signature, half.signature, sizeof proposed.signature);
        memcpy(proposed.root, facts.active, sizeof proposed.root);
        code = ports->scope_settle(ports->context, &proposed, core->arena, out, err);
    }
    bw_buf_finish(&wrapped);
    return code;
}

/* A stored key whose signature is not ours: of an earlier service key, or put there by somebody else. Who
 * wrapped the private half had the root keys, so a public half that belongs to it is ours, and is signed
 * anew. */
static enum bw_code sign_again(struct bw_vault_core *core, const struct bw_store_scope_key *key,
                               struct bw_scope_public *half, struct bw_error *err)
{
    const struct bw_provider_context context = bw_scope_context(half);
    uint8_t private_key[BW_X25519_SIZE] = {0}, public_key[BW_X25519_SIZE];
    enum bw_provider_state state =
        bw_provider_unwrap(core->provider, &context, key->wrapped, private_key, err);
    enum bw_code code = BW_OK;
    if (state == BW_PROVIDER_OK)
        code = bw_x25519_public(private_key, public_key, err);
    bw_wipe(private_key, sizeof private_key);
    if (code != BW_OK)
        return code;
    if (state == BW_PROVIDER_TRANSIENT || state == BW_PROVIDER_DENIED || state == BW_PROVIDER_DISABLED) {
        bw_vault_note_state(core, state, err);
        return bw_vault_key_unavailable(core, err);
    }
    if (state != BW_PROVIDER_OK || memcmp(public_key, half->public_key, sizeof public_key) != 0)
        return bw_fail(
            err, BW_DATA_LOSS, "SCOPE_KEY_UNSIGNED",
            "a stored scope key is not signed by this cell's service key, and was not wrapped by its "
            "keyring: it was put there by somebody else");
    return bw_scope_sign(half, core->service, err);
}

static enum bw_code ensure_scope(struct bw_vault_core *core, const struct bw_vault_scope_name *name,
                                 uint32_t day, struct bw_buf *scopes, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    struct bw_store_scope_key key;
    bw_arena_reset(core->arena);
    enum bw_code code =
        ports->scope_find(ports->context, &name->tenant, name->scope, day, core->arena, &key, err);
    if (code == BW_NOT_FOUND)
        code = make_scope(core, name, day, &key, err);
    if (code != BW_OK)
        return code;
    struct bw_scope_public half = public_half(&key);
    if (bw_scope_verify(&half, core->verifier, err) != BW_OK)
        code = sign_again(core, &key, &half, err);
    if (code != BW_OK)
        return code;
    bw_vault_append_scope(&half, scopes);
    return BW_OK;
}

/* Of one tenant: both days, or none. */
static enum bw_code ensure_tenant(struct bw_vault_core *core, const struct bw_vault_scope_name *name,
                                  struct bw_buf *scopes, uint32_t *count, struct bw_error *err)
{
    uint32_t today = bw_scope_day(bw_vault_now(core));
    size_t before = scopes->len;
    enum bw_code code = ensure_scope(core, name, today, scopes, err);
    if (code == BW_OK)
        code = ensure_scope(core, name, today + 1, scopes, err);
    if (code == BW_OK)
        *count += 2;
    else
        scopes->len = before;
    return code;
}

static bool ensure_scopes(struct bw_vault_core *core, const struct bw_vault_request *request)
{
    struct bw_error err, first = {.code = BW_OK};
    struct bw_buf scopes = {0};
    uint32_t count = 0;
    /* With the wrong root keys nothing may be wrapped that the right ones could not unwrap. */
    enum bw_code code = core->state == BW_PROVIDER_OK ? BW_OK : bw_vault_key_unavailable(core, &err);
    for (uint32_t i = 0; code == BW_OK && i < request->scope_count; i++) {
        struct bw_vault_scope_name name;
        bw_vault_scope_name_at(request, i, &name);
        code = ensure_tenant(core, &name, &scopes, &count, &err);
        if (code != BW_DATA_LOSS)
            continue;
        /* A bad row of one tenant leaves the others their keys. */
        char tenant[BW_ID_TEXT_SIZE];
        bw_id_format(&name.tenant, tenant);
        bw_log(BW_LOG_ERROR, "scope_key_bad", "tenant=%s reason=\"%s\"", tenant, err.show);
        if (first.code == BW_OK)
            first = err;
        code = BW_OK;
    }
    if (code == BW_OK && count == 0 && first.code != BW_OK) {
        err = first;
        code = err.code;
    }
    if (code == BW_OK && scopes.failed)
        code = bw_fail_memory(&err);
    bool heard;
    if (code == BW_OK) {
        const struct bw_vault_reply reply = {
            .type = BW_VAULT_SCOPES, .id = request->id, .scope_count = count, .scopes = bw_buf_view(&scopes)};
        heard = reply_with(core, &reply);
    } else {
        heard = bw_vault_fail(core, request->id, &err);
    }
    bw_buf_finish(&scopes);
    return heard;
}

/* ---- audit ---- */

static const char *const role_names[] = {
    [BW_VAULT_ROLE_TIER1] = "support-tier1",
    [BW_VAULT_ROLE_TIER2] = "support-tier2",
    [BW_VAULT_ROLE_TENANT_ADMIN] = "tenant-admin",
    [BW_VAULT_ROLE_SYSTEM] = "system",
};

enum bw_code bw_vault_audit(struct bw_vault_core *core, const struct bw_vault_request *request,
                            const char *fields, uint64_t rows, const char *outcome, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    const struct bw_vault_caller *caller = &request->caller;
    char actor[BW_VAULT_ACTOR_MAX + 1], method[BW_VAULT_METHOD_MAX + 1];
    BW_CHECK(caller->actor.len < sizeof actor && caller->method.len < sizeof method);
    memcpy(actor, caller->actor.data, caller->actor.len);
    actor[caller->actor.len] = '\0';
    memcpy(method, caller->method.data, caller->method.len);
    method[caller->method.len] = '\0';
    const struct bw_store_audit entry = {
        .actor = actor,
        .role = caller->role < BW_ARRAY_LEN(role_names) && role_names[caller->role] != NULL
                    ? role_names[caller->role]
                    : "unknown",
        .method = method,
        .fields = fields,
        .outcome = outcome,
        .tenant = request->tenant,
        .meeting = request->meeting,
        .request = caller->request,
        .rows = rows < INT32_MAX ? (uint32_t)rows : INT32_MAX,
    };
    struct bw_error why;
    enum bw_code code = ports->audit(ports->context, &entry, &why);
    if (code == BW_OK)
        return BW_OK;
    code = bw_fail(err, BW_UNAVAILABLE, "AUDIT_UNAVAILABLE",
                   "the audit cannot be written, so nothing is shown; try again later");
    bw_error_log(err, "%s %s", why.show, why.log);
    bw_log(BW_LOG_ERROR, "audit_not_written", "method=%s reason=\"%s\" detail=\"%s\"", method, why.show,
           why.log);
    return code;
}

/* ---- erasing ---- */

void bw_vault_receipt_store(const struct bw_vault_receipt *receipt, uint8_t out[BW_VAULT_RECEIPT_SIZE])
{
    struct bw_writer w = bw_writer_of(out, BW_VAULT_RECEIPT_SIZE);
    bw_write_bytes(&w, receipt->id.bytes, sizeof receipt->id.bytes);
    bw_write_bytes(&w, receipt->tenant.bytes, sizeof receipt->tenant.bytes);
    bw_write_bytes(&w, receipt->meeting.bytes, sizeof receipt->meeting.bytes);
    bw_write_u8(&w, receipt->erasure);
    bw_write_u64(&w, receipt->at_ms);
    bw_write_u32(&w, receipt->meeting_keys);
    bw_write_u32(&w, receipt->scope_keys);
    bw_write_bytes(&w, receipt->signature, sizeof receipt->signature);
    BW_CHECK(!w.failed && bw_writer_len(&w) == BW_VAULT_RECEIPT_SIZE);
}

bool bw_vault_receipt_load(struct bw_view stored, struct bw_vault_receipt *receipt)
{
    struct bw_reader r = bw_reader_of(stored);
    struct bw_vault_receipt read = {0};
    bw_read_copy(&r, read.id.bytes, sizeof read.id.bytes);
    bw_read_copy(&r, read.tenant.bytes, sizeof read.tenant.bytes);
    bw_read_copy(&r, read.meeting.bytes, sizeof read.meeting.bytes);
    read.erasure = bw_read_u8(&r);
    read.at_ms = bw_read_u64(&r);
    read.meeting_keys = bw_read_u32(&r);
    read.scope_keys = bw_read_u32(&r);
    bw_read_copy(&r, read.signature, sizeof read.signature);
    if (!bw_reader_done(&r))
        return false;
    *receipt = read;
    return true;
}

static enum bw_code earlier_receipt(struct bw_vault_core *core, const struct bw_vault_request *request,
                                    struct bw_buf *receipt, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    struct bw_id meeting;
    enum bw_code code = ports->erasure_find(ports->context, &request->tenant, &request->caller.request,
                                            &meeting, receipt, err);
    if (code == BW_OK && !bw_id_equal(&meeting, &request->meeting))
        return bw_fail(err, BW_ALREADY_EXISTS, "DUPLICATE_REQUEST", "this request id erased another meeting");
    return code;
}

static enum bw_code check_ended(struct bw_vault_core *core, const struct bw_vault_request *request,
                                struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    uint16_t kind = 0;
    enum bw_code code = ports->last_kind(ports->context, &request->tenant, &request->meeting, &kind, err);
    if (code == BW_OK && kind != BW_DECISION_ENDED)
        return bw_fail(err, BW_FAILED_PRECONDITION, "MEETING_LIVE",
                       "the meeting has not ended; end it first, then erase it");
    return code;
}

/* The receipt counts the keys, and is stored with their destruction: when a key came in between, once more.
 */
static enum bw_code destroy_keys(struct bw_vault_core *core, const struct bw_vault_request *request,
                                 struct bw_buf *stored, struct bw_error *err)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    enum bw_code code = BW_ABORTED;
    for (int attempt = 0; attempt < ERASE_ATTEMPTS && code == BW_ABORTED; attempt++) {
        struct bw_buf keys = {0};
        code = ports->keys_list(ports->context, &request->tenant, &request->meeting, &keys, err);
        uint32_t count = (uint32_t)(keys.len / sizeof(struct bw_id));
        bw_buf_finish(&keys);
        if (code != BW_OK)
            return code;
        struct bw_vault_receipt receipt = {.tenant = request->tenant,
                                           .meeting = request->meeting,
                                           .erasure = BW_VAULT_ERASE_MEETING,
                                           .at_ms = bw_vault_now(core),
                                           .meeting_keys = count};
        uint8_t random[16], bytes[BW_VAULT_RECEIPT_SIZE];
        ports->random(ports->context, random, sizeof random);
        receipt.id = bw_id_v4(random);
        code = bw_vault_receipt_sign(&receipt, core->service, err);
        if (code != BW_OK)
            return code;
        bw_vault_receipt_store(&receipt, bytes);
        char actor[BW_VAULT_ACTOR_MAX + 1];
        memcpy(actor, request->caller.actor.data, request->caller.actor.len);
        actor[request->caller.actor.len] = '\0';
        const struct bw_store_erase erase = {.tenant = request->tenant,
                                             .meeting = request->meeting,
                                             .request = request->caller.request,
                                             .actor = actor,
                                             .at_ms = receipt.at_ms,
                                             .keys = count,
                                             .receipt = bw_view_of(bytes, sizeof bytes)};
        code = ports->erase(ports->context, &erase, stored, err);
    }
    return code;
}

static bool erase(struct bw_vault_core *core, const struct bw_vault_request *request)
{
    struct bw_error err;
    struct bw_buf stored = {0};
    struct bw_vault_reply reply = {.type = BW_VAULT_RECEIPT, .id = request->id};
    enum bw_code code = BW_OK;
    if (request->caller.role != BW_VAULT_ROLE_TENANT_ADMIN)
        code = bw_fail(&err, BW_PERMISSION_DENIED, NULL, "only a tenant's administrator may erase");
    else if (request->erasure != BW_VAULT_ERASE_MEETING)
        code = bw_fail(&err, BW_UNIMPLEMENTED, NULL, "erasing a whole tenant is not supported yet");
    if (code == BW_OK) {
        code = earlier_receipt(core, request, &stored, &err);
        if (code == BW_NOT_FOUND) {
            code = check_ended(core, request, &err);
            if (code == BW_OK)
                code = bw_vault_audit(core, request, "keys of the meeting, destroyed", 0, "allowed", &err);
            if (code == BW_OK)
                code = destroy_keys(core, request, &stored, &err);
        }
    }
    if (code == BW_OK && !bw_vault_receipt_load(bw_buf_view(&stored), &reply.receipt))
        code = bw_fail(&err, BW_DATA_LOSS, NULL, "the stored receipt cannot be read");
    if (code == BW_OK && core->opener != NULL)
        bw_opener_forget_meeting(core->opener, &request->tenant, &request->meeting);
    bw_buf_finish(&stored);
    return code == BW_OK ? reply_with(core, &reply) : bw_vault_fail(core, request->id, &err);
}

/* ---- retention and state ---- */

static bool sweep(struct bw_vault_core *core, const struct bw_vault_request *request)
{
    const struct bw_vault_ports *ports = &core->config.ports;
    struct bw_error err;
    struct bw_store_swept swept = {.more = true};
    uint64_t now_ms = bw_vault_now(core);
    enum bw_code code = BW_OK;
    if (request->caller.role != BW_VAULT_ROLE_SYSTEM)
        code = bw_fail(&err, BW_PERMISSION_DENIED, NULL, "only the daemon ends a retention");
    else if (request->before_ms > now_ms || request->quality_before_ms > now_ms)
        code = bw_fail(&err, BW_INVALID_ARGUMENT, NULL, "a retention cannot end in the future");
    struct bw_vault_reply reply = {.type = BW_VAULT_SWEPT, .id = request->id};
    /* Piece by piece, so that no statement of the database takes too long; a long backlog takes several
     * sweeps. */
    for (int piece = 0; code == BW_OK && swept.more && piece < SWEEP_PIECES; piece++) {
        code = ports->sweep(ports->context, &request->tenant, request->quality_before_ms, request->before_ms,
                            &swept, &err);
        if (code != BW_OK)
            break;
        reply.records += swept.chunks + swept.sketches + swept.rosters;
        reply.meeting_keys += swept.keys;
        reply.scope_keys += swept.scopes;
    }
    if (code != BW_OK)
        return bw_vault_fail(core, request->id, &err);
    return reply_with(core, &reply);
}

static bool status(struct bw_vault_core *core, const struct bw_vault_request *request)
{
    struct bw_provider_facts facts = {.kind = "none"};
    if (core->provider != NULL)
        bw_provider_describe(core->provider, &facts);
    const struct bw_vault_reply reply = {
        .type = BW_VAULT_STATE,
        .id = request->id,
        .state = core->state,
        .kind = bw_view_str(facts.kind),
        .active = bw_view_str(facts.active),
        .since_ms = core->since_ms,
        .probed_ms = core->probed_ms,
        .opened = core->opened,
        .refused = core->refused,
        .text = bw_view_of(core->why.show,
                           core->state == BW_PROVIDER_OK ? 0 : strnlen(core->why.show, BW_VAULT_TEXT_MAX)),
    };
    return reply_with(core, &reply);
}

bool bw_vault_core_answer(struct bw_vault_core *core, const struct bw_vault_request *request)
{
    bw_buf_clear(&core->out);
    switch (request->type) {
    case BW_VAULT_ENSURE_SCOPES:
        return ensure_scopes(core, request);
    case BW_VAULT_OPEN:
        return bw_vault_open(core, request);
    case BW_VAULT_ERASE:
        return erase(core, request);
    case BW_VAULT_SWEEP:
        return sweep(core, request);
    default:
        return status(core, request);
    }
}

/* ---- life ---- */

enum bw_code bw_vault_core_create(const struct bw_vault_core_config *config, struct bw_vault_core **out,
                                  struct bw_error *err)
{
    struct bw_vault_core *core = bw_calloc(1, sizeof *core);
    if (core == NULL)
        return bw_fail_memory(err);
    core->config.ports = config->ports;
    core->config.cell = config->cell;
    core->since_ms = bw_vault_now(core);
    core->state = BW_PROVIDER_TRANSIENT;
    core->arena = bw_arena_create(SCOPE_ARENA_BYTES);
    enum bw_code code = core->arena != NULL ? BW_OK : bw_fail_memory(err);
    if (code == BW_OK)
        code = bw_ed25519_signer_create(config->service_seed, &core->service, err);
    if (code == BW_OK) {
        uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
        bw_ed25519_signer_public(core->service, public_key);
        code = bw_ed25519_verifier_create(public_key, &core->verifier, err);
    }
    if (code != BW_OK) {
        bw_vault_core_destroy(core);
        return code;
    }
    bw_vault_core_probe(core);
    *out = core;
    return BW_OK;
}

void bw_vault_core_destroy(struct bw_vault_core *core)
{
    if (core == NULL)
        return;
    bw_opener_destroy(core->opener);
    bw_provider_destroy(core->provider);
    bw_ed25519_verifier_destroy(core->verifier);
    bw_ed25519_signer_destroy(core->service);
    bw_arena_destroy(core->arena);
    bw_vault_plain_clear(&core->plain);
    bw_buf_finish(&core->plain);
    bw_buf_finish(&core->out);
    bw_buf_finish(&core->record);
    bw_free(core);
}
