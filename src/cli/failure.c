/* What a failed call says to a person, and to a program. */
#include <string.h>

#include "bailiwick/v1/common.pb-c.h"
#include "cli/diagnose.h"
#include "cli/output.h"
#include "cli/server.h"
#include "policy/reason.h"

static const struct {
    const char *reason, *advice;
} by_reason[] = {
    {"WRONG_CELL", "ask that cell instead: `bailiwick context set` with its endpoint"},
    {"REVISION_CONFLICT",
     "somebody else changed the policy: look with `bailiwick policy history`, take their "
     "change into your file, and apply again with the new --if-revision"},
    {"NO_COMPLIANT_RELAY", "the tenant's policy decides: `bailiwick support why REFERENCE` shows every relay "
                           "with its reasons"},
    {"PARTICIPANT_POLICY", "the joiner's own policy does not accept this meeting; its tenant's admin can see "
                           "the clause with `bailiwick policy explain`"},
    {"MODE_FORBIDS_CONNECTOR", "the meeting is end-to-end encrypted: lower its mode first with `bailiwick "
                               "meeting mode MEETING lower`, if the policy lets it be lowered"},
    {"MODE_FORBIDS_PARTICIPANT", "the endpoint cannot do end-to-end encryption as this meeting requires"},
    {"CONNECTOR_FORBIDDEN", "the policy does not admit this kind of connector"},
    {"CONNECTOR_REQUIRED",
     "the policy lets nobody in before this connector is: `bailiwick meeting invite`, then "
     "join again"},
    {"ENTRY_COUNTRY", "if they should: a tenant admin changes entry.allow or entry.deny in the policy"},
    {"POLICY_WIDENS_PARENT", "a lower level may only narrow: both places are named above"},
    {"NO_POLICY", "the tenant has no policy in force: `bailiwick policy apply -f policy.yaml` makes one"},
    {"UNKNOWN_CALLER", "this certificate is not known to the cell; an operator or a tenant admin issues one "
                       "with `bailiwick tenant app-credential`"},
    {"WRONG_ROLE", "your role may not do this; `bailiwick whoami` shows who you are"},
    {"NOT_YOUR_TENANT", "your credential does not list this tenant; `bailiwick whoami` shows who you are"},
    {"NO_TENANT", "`bailiwick tenant list` (for operators) shows the tenants there are"},
    {"NO_MEETING", "`bailiwick meeting list` shows the live ones"},
    {"NO_CREDENTIAL", "give --cert and --key, or put them into the context"},
    {"SIGNER", "the cell does not hold its CA's key: have the certificate issued by whoever does"},
    {"DATABASE_UNAVAILABLE", "the cell's database does not answer; try again, and tell its operator"},
    {"DATABASE_OLD", "the operator must run `bailiwickd migrate --config FILE`"},
    {"SHUTTING_DOWN", "the replica is going away; try again"},
    {"QUEUE_FULL", "the cell is overloaded; try again in a moment"},
    {"MALFORMED_MESSAGE", "check the value of that option"},
};

static const char *code_advice(enum bw_code code)
{
    switch (code) {
    case BW_UNAUTHENTICATED:
    case BW_PERMISSION_DENIED:
        return "`bailiwick whoami` shows who you are here";
    case BW_UNAVAILABLE:
        return "`bailiwick doctor` finds out what stands in the way";
    case BW_DEADLINE_EXCEEDED:
        return "try again, with a longer --timeout, or see `bailiwick doctor`; a change may still have "
               "happened: "
               "repeat it with the same --request-id";
    case BW_RESOURCE_EXHAUSTED:
        return "try again in a moment";
    case BW_UNIMPLEMENTED:
        return "this cell does not support it yet";
    case BW_ALREADY_EXISTS:
        return "if this was meant as a repetition, everything must be as it was the first time";
    default:
        return NULL;
    }
}

void bw_failure_advice(enum bw_code code, const char *reason, struct bw_buf *out)
{
    for (size_t i = 0; reason != NULL && i < sizeof by_reason / sizeof by_reason[0]; i++) {
        if (strcmp(by_reason[i].reason, reason) == 0) {
            bw_buf_append_str(out, by_reason[i].advice);
            return;
        }
    }
    const char *advice = code_advice(code);
    bw_buf_append_str(out, advice != NULL ? advice : "");
}

/* ---- a refusal ---- */

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

void bw_reasons_print(const json_t *item, const char *indent, struct bw_buf *out)
{
    const json_t *clauses = json_object_get(item, "clauses");
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(item, "reasons"), i, reason)
    {
        const char *name = json_string_value(reason);
        enum bw_reason known = name != NULL ? bw_reason_parse(name) : BW_REASON_COUNT;
        bw_buf_printf(out, "%s%s", indent, name != NULL ? name : "?");
        if (known != BW_REASON_COUNT)
            bw_buf_printf(out, ": %s", bw_reason_text(known));
        bw_buf_append_str(out, "\n");
    }
    json_array_foreach(clauses, i, reason)
    {
        bw_buf_printf(out, "%s  see ", indent);
        bw_text_harmless(out, json_string_value(reason) != NULL ? json_string_value(reason) : "");
        bw_buf_append_str(out, "\n");
    }
}

void bw_refusal_print(const json_t *refusal, struct bw_buf *out)
{
    bw_buf_append_str(out, "reference  ");
    bw_text_harmless(out, text_at(refusal, "reference"));
    bw_buf_append_str(out, "\n");
    static const struct bw_column rows[] = {
        {"meeting", "meetingId", BW_CELL_TEXT, NULL, false},
        {"at", "atUnixMs", BW_CELL_TIME, NULL, false},
        {"country", "country", BW_CELL_TEXT, NULL, false},
        {"region", "region", BW_CELL_TEXT, NULL, false},
        {"kind", "kind", BW_CELL_ENUM, "PARTICIPANT_KIND_", false},
        {"policy", "policyRevision", BW_CELL_TEXT, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bw_buf_printf(out, "%-11s", rows[i].title);
        bw_cell_text(refusal, &rows[i], out);
        bw_buf_append_str(out, "\n");
    }
    bw_reasons_print(refusal, "  ", out);
    const json_t *relays = json_object_get(refusal, "relays");
    if (json_array_size(relays) > 0)
        bw_buf_append_str(out, "relays\n");
    size_t i;
    const json_t *relay;
    json_array_foreach(relays, i, relay)
    {
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, text_at(relay, "relay"));
        bw_buf_append_str(out, "\n");
        bw_reasons_print(relay, "      ", out);
    }
    json_int_t total = json_integer_value(json_object_get(refusal, "relaysTotal"));
    if ((size_t)total > json_array_size(relays))
        bw_buf_printf(out, "  and %zu more\n", (size_t)total - json_array_size(relays));
    const json_t *nearest = json_object_get(refusal, "nearest");
    if (nearest == NULL)
        return;
    bw_buf_append_str(out, "nearest miss: ");
    bw_text_harmless(out, text_at(nearest, "relay"));
    bw_buf_append_str(out, "; what stands in the way: ");
    bw_text_harmless(out, text_at(nearest, "change"));
    bw_buf_append_str(out, "\n");
}

/* ---- the whole ---- */

static json_t *refusal_of(struct bw_cli *cli, const struct bw_grpc_details *details)
{
    static const char type[] = "type.googleapis.com/bailiwick.v1.Refusal";
    const ProtobufCMessage *message;
    if (details == NULL || details->any_type_url == NULL || strcmp(details->any_type_url, type) != 0)
        return NULL;
    if (bw_wire_decode(&bailiwick__v1__refusal__descriptor, details->any_value, cli->arena, &message, NULL) !=
        BW_OK)
        return NULL;
    return bw_message_tree(message);
}

static json_t *as_tree(const struct bw_grpc_outcome *outcome, json_t *refusal)
{
    const struct bw_grpc_details *details = outcome->details;
    json_t *error = json_pack("{s:s, s:s}", "code", bw_code_name(outcome->code), "message", outcome->message);
    if (details != NULL && details->reason != NULL)
        json_object_set_new(error, "reason", json_string(details->reason));
    if (details != NULL && details->metadata_count > 0) {
        json_t *metadata = json_object();
        for (size_t i = 0; i < details->metadata_count; i++)
            json_object_set_new(metadata, details->metadata[i].name, json_string(details->metadata[i].value));
        json_object_set_new(error, "metadata", metadata);
    }
    if (details != NULL && details->violation_count > 0) {
        json_t *violations = json_array();
        for (size_t i = 0; i < details->violation_count; i++)
            json_array_append_new(violations, json_pack("{s:s, s:s}", "field", details->violations[i].field,
                                                        "description", details->violations[i].description));
        json_object_set_new(error, "violations", violations);
    }
    if (details != NULL && details->retry_after_ms != 0)
        json_object_set_new(error, "retryAfterMs", json_integer((json_int_t)details->retry_after_ms));
    if (refusal != NULL)
        json_object_set(error, "refusal", refusal);
    return json_pack("{s:o}", "error", error);
}

static void in_words(const struct bw_grpc_outcome *outcome, const json_t *refusal, struct bw_buf *out)
{
    const struct bw_grpc_details *details = outcome->details;
    const char *reason = details != NULL ? details->reason : NULL;
    bw_buf_append_str(out, "bailiwick: ");
    bw_text_harmless(out, outcome->message[0] != '\0' ? outcome->message : "the call failed");
    bw_buf_printf(out, " (%s", bw_code_name(outcome->code));
    if (reason != NULL) {
        bw_buf_append_str(out, ", ");
        bw_text_harmless(out, reason);
    }
    bw_buf_append_str(out, ")\n");
    for (size_t i = 0; details != NULL && i < details->violation_count; i++) {
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, details->violations[i].field);
        bw_buf_append_str(out, ": ");
        bw_text_harmless(out, details->violations[i].description);
        bw_buf_append_str(out, "\n");
    }
    for (size_t i = 0; details != NULL && refusal == NULL && i < details->metadata_count; i++) {
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, details->metadata[i].name);
        bw_buf_append_str(out, " ");
        bw_text_harmless(out, details->metadata[i].value);
        bw_buf_append_str(out, "\n");
    }
    if (refusal != NULL)
        bw_refusal_print(refusal, out);
    size_t before = out->len;
    bw_buf_append_str(out, "what to do: ");
    size_t start = out->len;
    const char *todo =
        outcome->code == BW_UNAVAILABLE && reason == NULL ? bw_diagnose(outcome->message).todo : NULL;
    if (todo != NULL)
        bw_buf_printf(out, "%s; `bailiwick doctor` looks closer", todo);
    else
        bw_failure_advice(outcome->code, reason, out);
    /* A conflict is to be looked at, not tried again. */
    bool passing = outcome->code == BW_UNAVAILABLE || outcome->code == BW_RESOURCE_EXHAUSTED;
    if (passing && details != NULL && details->retry_after_ms != 0)
        bw_buf_printf(out, "%stry again in %llu ms", out->len > start ? "; " : "",
                      (unsigned long long)details->retry_after_ms);
    if (out->len == start)
        out->len = before;
    else
        bw_buf_append_str(out, "\n");
}

int bw_failure_exit(const struct bw_grpc_outcome *outcome)
{
    const char *reason = outcome->details != NULL ? outcome->details->reason : NULL;
    if (outcome->code == BW_UNAVAILABLE && reason == NULL && bw_diagnose(outcome->message).identity)
        return BW_EXIT_AUTH;
    /* No server had a say: what was asked for cannot be (clear text to a far host, a port that is no cell's).
     */
    if (outcome->code == BW_FAILED_PRECONDITION && outcome->details == NULL)
        return BW_EXIT_USAGE;
    return (int)bw_exit_of(outcome->code, reason);
}

int bw_failure(struct bw_cli *cli, const struct bw_grpc_outcome *outcome)
{
    json_t *refusal = refusal_of(cli, outcome->details);
    struct bw_buf text = {0};
    in_words(outcome, refusal, &text);
    const char *shown = bw_buf_cstr(&text);
    fputs(shown != NULL ? shown : "bailiwick: out of memory\n", cli->err);
    bw_buf_finish(&text);
    if (bw_output_is_tree(cli)) {
        json_t *tree = as_tree(outcome, refusal);
        if (tree != NULL)
            bw_show_tree(cli, tree);
        json_decref(tree);
    }
    json_decref(refusal);
    return bw_failure_exit(outcome);
}
