#include <string.h>

#include "placement/explain_internal.h"
#include "policy/retention.h"
#include "yaml/scalar.h"

struct page {
    const struct bw_explanation *e;
    const struct bw_source *sources;
    size_t source_count;
    struct bw_buf *out;
};

/* The clause's line of its source without leading blanks; control characters and non-ASCII are shown as '?'.
 */
static void source_line(struct page *page, const struct bw_clause *clause)
{
    for (size_t s = 0; s < page->source_count; s++) {
        const struct bw_source *source = &page->sources[s];
        if (strcmp(source->file, clause->file) != 0)
            continue;
        const char *text = (const char *)source->text.data, *end = text + source->text.len;
        for (uint32_t line = 1; line < clause->line && text < end; line++) {
            const char *next = memchr(text, '\n', (size_t)(end - text));
            text = next == NULL ? end : next + 1;
        }
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (stop == NULL)
            stop = end;
        while (text < stop && *text == ' ')
            text++;
        bw_buf_append_str(page->out, "          | ");
        for (; text < stop; text++) {
            uint8_t byte = (uint8_t)*text;
            if ((byte & 0xc0) != 0x80) /* one mark for a character, not for each of its bytes */
                bw_buf_append_u8(page->out, byte >= ' ' && byte < 127 ? byte : '?');
        }
        bw_buf_append_str(page->out, "\n");
        return;
    }
}

static void level_words(struct page *page, const struct bw_clause *clause)
{
    switch (clause->level) {
    case BW_LEVEL_ORGANISATION:
        bw_buf_append_str(page->out, "the organisation");
        return;
    case BW_LEVEL_GROUP:
        bw_buf_printf(page->out, "group %s", clause->level_name);
        return;
    case BW_LEVEL_USER:
        bw_buf_printf(page->out, "user level %s", clause->level_name);
        return;
    case BW_LEVEL_MEETING:
        bw_buf_append_str(page->out, "the meeting");
        return;
    case BW_LEVEL_PLATFORM:
        bw_buf_append_str(page->out, "the platform");
        return;
    }
}

static void clause_words(struct page *page, const struct bw_clause *clause)
{
    bw_buf_append_str(page->out, "        ");
    if (clause->line != 0)
        bw_buf_printf(page->out, "%s:%u:%u: ", clause->file, clause->line, clause->col);
    bw_buf_append_str(page->out, clause->path != NULL ? clause->path : "");
    if (clause->text != NULL)
        bw_buf_printf(page->out, " %s", clause->text);
    bw_buf_append_str(page->out, " (");
    level_words(page, clause);
    bw_buf_append_str(page->out, ")\n");
    if (clause->line != 0)
        source_line(page, clause);
}

static void reason_words(struct page *page, uint32_t relay, enum bw_reason reason)
{
    bw_buf_printf(page->out, "      %s: %s\n", bw_reason_name(reason), bw_reason_text(reason));
    const struct bw_constraints *constraints = page->e->constraints;
    for (size_t i = 0; i < constraints->cut_count; i++)
        if (constraints->cuts[i].reason == reason && bw_bitset_test(&constraints->cuts[i].nodes, relay))
            clause_words(page, &constraints->cuts[i].clause);
}

static void relay_facts_words(struct page *page, const struct bw_relay_facts *relay)
{
    bw_buf_printf(page->out, "%s, %s", relay->place != NULL ? relay->place : "place unknown",
                  relay->operated_by.name != NULL ? relay->operated_by.name : "operator unknown");
    bw_buf_append_str(page->out, " under ");
    for (size_t i = 0; i < relay->operated_by.jurisdiction_count; i++)
        bw_buf_printf(page->out, "%s%s", i == 0 ? "" : "+", relay->operated_by.jurisdictions[i]);
    if (relay->operated_by.jurisdiction_count == 0)
        bw_buf_append_str(page->out, "unknown law");
}

static bool is_used(const struct bw_plan *plan, uint32_t relay)
{
    for (size_t i = 0; i < plan->relay_count; i++)
        if (plan->relays[i] == relay)
            return true;
    return false;
}

static void relay_words(struct page *page, uint32_t relay)
{
    const struct bw_explanation *e = page->e;
    uint32_t reasons = e->trace.reasons[relay];
    const char *verdict = reasons != 0 ? "refused" : "allowed";
    if (is_used(&e->plan, relay))
        verdict = "chosen";
    bw_buf_printf(page->out, "  %-8s %s (", verdict, bw_explain_relay(e, relay));
    relay_facts_words(page, &e->snapshot->facts->relays[relay]);
    bw_buf_append_str(page->out, ")\n");
    for (unsigned i = 0; i < BW_REASON_COUNT; i++)
        if (reasons & BW_REASON_BIT(i))
            reason_words(page, relay, (enum bw_reason)i);
}

static void participant_words(struct page *page, size_t index)
{
    const struct bw_explanation *e = page->e;
    const struct bw_request_participant *p = &e->request->participants[index];
    bw_buf_printf(page->out, "  %s (%s): ", p->id, p->kind);
    if (e->plan.assignments[index] != BW_NO_RELAY) {
        bw_buf_printf(page->out, "%s", bw_explain_relay(e, e->plan.assignments[index]));
        if (e->allocated != NULL && e->allocated[index] != NULL)
            bw_buf_printf(page->out, ", %s", e->allocated[index]);
        bw_buf_append_str(page->out, "\n");
        return;
    }
    bw_buf_append_str(page->out, "refused\n");
    for (size_t i = 0; i < e->plan.refused_count; i++) {
        const struct bw_refused_participant *refused = &e->plan.refused[i];
        if (refused->participant != index)
            continue;
        bw_buf_append_str(page->out, "     ");
        for (unsigned r = 0; r < BW_REASON_COUNT; r++)
            if (refused->reasons & BW_REASON_BIT(r))
                bw_buf_printf(page->out, " %s", bw_reason_name((enum bw_reason)r));
        bw_buf_append_str(page->out, "\n");
        if (refused->clause.line != 0)
            clause_words(page, &refused->clause);
    }
}

static void nearest_words(struct page *page)
{
    const struct bw_nearest_miss *nearest = &page->e->trace.nearest;
    if (nearest->relay == BW_NO_RELAY)
        return;
    bw_buf_printf(page->out, "Nearest miss: %s. It would do if this were otherwise:\n",
                  bw_explain_relay(page->e, nearest->relay));
    for (unsigned i = 0; i < BW_REASON_COUNT; i++)
        if (nearest->reasons & BW_REASON_BIT(i))
            reason_words(page, nearest->relay, (enum bw_reason)i);
}

/* What a meeting needs, what is lifted for it, and how long it is remembered. */
static void terms_words(struct page *page)
{
    const struct bw_constraints *constraints = page->e->constraints;
    uint32_t missing = bw_explain_missing(page->e);
    for (unsigned kind = 0; kind < BW_CONNECTOR_COUNT; kind++) {
        if (!(missing & BW_CONNECTOR_BIT(kind)))
            continue;
        bw_buf_printf(page->out, "Nobody is let in before a %s connector is in the meeting:\n",
                      bw_connector_name((enum bw_connector)kind));
        struct bw_clause clause;
        if (bw_constraints_required_clause(constraints, (enum bw_connector)kind, &clause))
            clause_words(page, &clause);
    }
    for (size_t i = 0; i < constraints->exception_count; i++) {
        const struct bw_constraints_exception *exception = &constraints->exceptions[i];
        char until[BW_SCALAR_INSTANT_SIZE];
        bw_buf_printf(page->out, "Exception %s lifts a deny until %s: ", exception->id,
                      bw_scalar_instant_text(exception->expires_ms, until));
        for (const char *c = exception->reason; *c != '\0'; c++)
            bw_buf_append_u8(page->out, (uint8_t)(*c >= ' ' && *c < 127 ? *c : '?'));
        bw_buf_append_str(page->out, "\n");
        clause_words(page, &exception->clause);
    }
    struct bw_retention kept = bw_constraints_retention(constraints);
    char quality[BW_RETENTION_TEXT_SIZE], participants[BW_RETENTION_TEXT_SIZE],
        decisions[BW_RETENTION_TEXT_SIZE];
    bw_buf_printf(
        page->out, "Kept: quality %s, participants %s, decisions %s\n",
        bw_retention_text(kept.quality_ms, quality), bw_retention_text(kept.participants_ms, participants),
        kept.decisions_ms == BW_RETENTION_WITHOUT_END_MS ? "without end"
                                                         : bw_retention_text(kept.decisions_ms, decisions));
}

void bw_explain_text(const struct bw_explanation *explanation, const struct bw_source *sources,
                     size_t source_count, struct bw_buf *out)
{
    struct page page = {.e = explanation, .sources = sources, .source_count = source_count, .out = out};
    const struct bw_plan *plan = &explanation->plan;
    size_t total = explanation->request->participant_count;
    if (plan->placed) {
        bw_buf_printf(out, "Placed: %zu of %zu participants on", total - plan->refused_count, total);
        for (size_t i = 0; i < plan->relay_count; i++)
            bw_buf_printf(out, "%s %s", i == 0 ? "" : ",", bw_explain_relay(explanation, plan->relays[i]));
        bw_buf_printf(out, ", mode %s\n", bw_explain_mode(explanation));
    } else {
        bw_buf_append_str(out, "Refused: no relay may and can carry this meeting\n");
    }
    bw_buf_append_str(out, "\nParticipants\n");
    for (size_t i = 0; i < total; i++)
        participant_words(&page, i);
    bw_buf_append_str(out, "\nRelays\n");
    for (uint32_t r = 0; r < explanation->trace.relay_count; r++)
        relay_words(&page, r);
    bw_buf_append_str(out, "\n");
    terms_words(&page);
    if (!plan->placed) {
        nearest_words(&page);
        return;
    }
    const struct bw_score *score = &plan->score;
    bw_buf_printf(out, "Score %.1f ms: pairs %.1f, first hop %.1f (counts half), load %.1f",
                  (double)score->total_us / 1000, (double)score->pair_us / 1000,
                  (double)score->access_us / 1000, (double)score->load_us / 1000);
    if (score->relays_us != 0)
        bw_buf_printf(out, ", further relays %.1f", (double)score->relays_us / 1000);
    if (score->moved_us != 0)
        bw_buf_printf(out, ", moves %.1f", (double)score->moved_us / 1000);
    bw_buf_append_str(out, "\n");
}
