/* Keys and their order are an interface: scripts and the console read them. */
#include <jansson.h>
#include <stdlib.h>

#include "placement/explain_internal.h"
#include "policy/retention.h"

const char *bw_explain_mode(const struct bw_explanation *explanation)
{
    if (explanation->mode_label != NULL)
        return explanation->mode_label;
    if (explanation->mode == BW_MODE_SET_HOP)
        return "hop";
    return explanation->with_connectors ? "e2ee+connectors" : "e2ee";
}

const char *bw_explain_relay(const struct bw_explanation *explanation, uint32_t relay)
{
    return explanation->snapshot->facts->relays[relay].name;
}

static json_t *reasons_json(uint32_t mask)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < BW_REASON_COUNT; i++)
        if (mask & BW_REASON_BIT(i))
            json_array_append_new(array, json_string(bw_reason_name((enum bw_reason)i)));
    return array;
}

static void add_clause(json_t *array, const struct bw_clause *clause)
{
    if (clause->line == 0)
        return;
    json_t *text = json_sprintf("%s:%u:%u", clause->file, clause->line, clause->col);
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (json_equal(json_array_get(array, i), text)) {
            json_decref(text);
            return;
        }
    }
    json_array_append_new(array, text);
}

/* One deciding clause for each reason, or with `all` every clause in the way. */
static json_t *clauses_json(const struct bw_constraints *constraints, uint32_t relay, uint32_t reasons,
                            bool all)
{
    json_t *array = json_array();
    for (unsigned i = 0; !all && i < BW_REASON_COUNT; i++) {
        const struct bw_cut *cut = reasons & BW_REASON_BIT(i)
                                       ? bw_constraints_decisive(constraints, relay, (enum bw_reason)i)
                                       : NULL;
        if (cut != NULL)
            add_clause(array, &cut->clause);
    }
    for (size_t i = 0; all && i < constraints->cut_count; i++)
        if (bw_bitset_test(&constraints->cuts[i].nodes, relay))
            add_clause(array, &constraints->cuts[i].clause);
    return array;
}

static json_t *relay_json(const struct bw_explanation *e, uint32_t relay, uint32_t reasons, bool all)
{
    return json_pack("{s:s, s:o, s:o}", "relay", bw_explain_relay(e, relay), "reasons", reasons_json(reasons),
                     "clauses", clauses_json(e->constraints, relay, reasons, all));
}

static json_t *assignments_json(const struct bw_explanation *e)
{
    json_t *object = json_object();
    for (size_t i = 0; i < e->request->participant_count; i++)
        if (e->plan.assignments[i] != BW_NO_RELAY)
            json_object_set_new(object, e->request->participants[i].id,
                                json_string(bw_explain_relay(e, e->plan.assignments[i])));
    return object;
}

static json_t *legs_json(const struct bw_explanation *e)
{
    json_t *array = json_array();
    for (size_t i = 0; i < e->plan.leg_count; i++)
        json_array_append_new(array, json_pack("[s, s]", bw_explain_relay(e, e->plan.legs[i].a),
                                               bw_explain_relay(e, e->plan.legs[i].b)));
    return array;
}

static json_t *refused_json(const struct bw_explanation *e)
{
    json_t *array = json_array();
    for (size_t i = 0; i < e->plan.refused_count; i++) {
        const struct bw_refused_participant *refused = &e->plan.refused[i];
        json_t *item =
            json_pack("{s:s, s:o}", "participant", e->request->participants[refused->participant].id,
                      "reasons", reasons_json(refused->reasons));
        if (refused->clause.line != 0) {
            json_t *clauses = json_array();
            add_clause(clauses, &refused->clause);
            json_object_set_new(item, "clauses", clauses);
        }
        json_array_append_new(array, item);
    }
    return array;
}

static json_t *rejected_json(const struct bw_explanation *e)
{
    json_t *array = json_array();
    for (uint32_t r = 0; r < e->trace.relay_count; r++)
        if (e->trace.reasons[r] != 0)
            json_array_append_new(array, relay_json(e, r, e->trace.reasons[r], false));
    return array;
}

static json_t *flags_json(const struct bw_explanation *e)
{
    json_t *object = json_object();
    for (size_t i = 0; e->allocated != NULL && i < e->request->participant_count; i++)
        if (e->allocated[i] != NULL && e->plan.assignments[i] != BW_NO_RELAY)
            json_object_set_new(object, e->request->participants[i].id,
                                json_pack("{s:s}", "allocated", e->allocated[i]));
    return object;
}

static json_t *score_json(const struct bw_score *score)
{
    json_t *object = json_object();
    json_object_set_new(object, "pair_us", json_integer((json_int_t)score->pair_us));
    json_object_set_new(object, "access_us", json_integer((json_int_t)score->access_us));
    json_object_set_new(object, "load_us", json_integer((json_int_t)score->load_us));
    if (score->relays_us != 0)
        json_object_set_new(object, "relays_us", json_integer((json_int_t)score->relays_us));
    if (score->moved_us != 0)
        json_object_set_new(object, "moved_us", json_integer((json_int_t)score->moved_us));
    json_object_set_new(object, "total_us", json_integer((json_int_t)score->total_us));
    return object;
}

static json_t *policy_json(const struct bw_explanation *e)
{
    static const char digits[] = "0123456789abcdef";
    char hash[7 + 64 + 1] = "sha256:";
    for (size_t i = 0; i < sizeof e->constraints->document_hash; i++) {
        hash[7 + 2 * i] = digits[e->constraints->document_hash[i] >> 4];
        hash[8 + 2 * i] = digits[e->constraints->document_hash[i] & 15];
    }
    return json_pack("{s:i, s:s}", "revision", (int)e->policy_revision, "hash", hash);
}

static json_t *retention_json(const struct bw_constraints *constraints)
{
    struct bw_retention kept = bw_constraints_retention(constraints);
    char text[BW_RETENTION_TEXT_SIZE];
    json_t *object = json_object();
    json_object_set_new(object, "quality", json_string(bw_retention_text(kept.quality_ms, text)));
    json_object_set_new(object, "participants", json_string(bw_retention_text(kept.participants_ms, text)));
    /* "": without end */
    json_object_set_new(object, "decisions", json_string(bw_retention_text(kept.decisions_ms, text)));
    return object;
}

static json_t *exceptions_json(const struct bw_constraints *constraints)
{
    json_t *array = json_array();
    for (size_t i = 0; i < constraints->exception_count; i++) {
        const struct bw_constraints_exception *exception = &constraints->exceptions[i];
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:o, s:o}", "id", exception->id, "reason", exception->reason,
                             "expiresUnixMs", json_sprintf("%llu", (unsigned long long)exception->expires_ms),
                             "clause",
                             json_sprintf("%s:%u:%u", exception->clause.file, exception->clause.line,
                                          exception->clause.col)));
    }
    return array;
}

static json_t *missing_json(uint32_t missing)
{
    json_t *array = json_array();
    for (unsigned kind = 0; kind < BW_CONNECTOR_COUNT; kind++)
        if (missing & BW_CONNECTOR_BIT(kind))
            json_array_append_new(array, json_string(bw_connector_name((enum bw_connector)kind)));
    return array;
}

enum bw_code bw_explain_json(const struct bw_explanation *e, struct bw_buf *out, struct bw_error *err)
{
    json_t *root = json_object();
    json_object_set_new(root, "decision", json_string(e->plan.placed ? "placed" : "refused"));
    json_object_set_new(root, "assignments", assignments_json(e));
    json_object_set_new(root, "legs", legs_json(e));
    json_object_set_new(root, "refused", refused_json(e));
    json_object_set_new(root, "rejected", rejected_json(e));
    if (!e->plan.placed)
        json_object_set_new(root, "nearest",
                            e->trace.nearest.relay == BW_NO_RELAY
                                ? json_null()
                                : relay_json(e, e->trace.nearest.relay, e->trace.nearest.reasons, true));
    json_object_set_new(root, "mode", json_string(bw_explain_mode(e)));
    json_object_set_new(root, "flags", flags_json(e));
    json_object_set_new(root, "score", score_json(&e->plan.score));
    json_object_set_new(root, "policy", policy_json(e));
    json_object_set_new(root, "retention", retention_json(e->constraints));
    json_object_set_new(root, "exceptions", exceptions_json(e->constraints));
    json_object_set_new(root, "missingConnectors", missing_json(bw_explain_missing(e)));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    json_decref(root);
    if (text == NULL)
        return bw_fail_memory(err);
    bw_buf_append_str(out, text);
    bw_buf_append_str(out, "\n");
    free(text); /* jansson's own */
    return out->failed ? bw_fail_memory(err) : BW_OK;
}
