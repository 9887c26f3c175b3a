/* support why: the reference a refused user was shown. */
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/policy.pb-c.h"
#include "base/check.h"
#include "base/reference.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/server.h"
#include "cli/support.h"
#include "cli/verbs.h"

/* ---- the clauses, as they were written ---- */

/* Line 17 of "…:17:26", without the blanks before it; false when there is none. */
static bool clause_line(const char *clause, const char *yaml, struct bw_view *line)
{
    const char *last = strrchr(clause, ':'), *first = last;
    while (first != NULL && first > clause && first[-1] != ':')
        first--;
    unsigned long wanted = first != NULL ? strtoul(first, NULL, 10) : 0;
    for (unsigned long at = 1; wanted != 0 && at < wanted; at++) {
        yaml = strchr(yaml, '\n');
        if (yaml == NULL)
            return false;
        yaml++;
    }
    yaml += strspn(yaml, " ");
    *line = bw_view_of(yaml, strcspn(yaml, "\n"));
    return wanted != 0 && line->len > 0;
}

struct clauses {
    const char *seen[64];
    size_t count;
};

static void collect(const json_t *item, struct clauses *clauses)
{
    size_t i;
    const json_t *clause;
    json_array_foreach(json_object_get(item, "clauses"), i, clause)
    {
        const char *text = json_string_value(clause);
        bool known = text == NULL;
        for (size_t k = 0; !known && k < clauses->count; k++)
            known = strcmp(clauses->seen[k], text) == 0;
        if (!known && clauses->count < BW_ARRAY_LEN(clauses->seen))
            clauses->seen[clauses->count++] = text;
    }
}

/* Asks for the policy of then. Who may read refusals may read policies; if not, the places are named above.
 */
static void print_clauses(struct bw_cli *cli, const json_t *refusal, const char *tenant, struct bw_buf *out)
{
    struct clauses clauses = {.count = 0};
    collect(refusal, &clauses);
    size_t i;
    const json_t *relay;
    json_array_foreach(json_object_get(refusal, "relays"), i, relay) collect(relay, &clauses);
    json_int_t revision = json_integer_value(json_object_get(refusal, "policyRevision"));
    if (clauses.count == 0 || revision <= 0)
        return;
    Bailiwick__V1__GetPolicyRequest request = BAILIWICK__V1__GET_POLICY_REQUEST__INIT;
    request.tenant = tenant;
    request.which_case = BAILIWICK__V1__GET_POLICY_REQUEST__WHICH_REVISION;
    request.revision = (uint32_t)revision;
    json_t *tree = NULL;
    if (bw_server_ask(cli, BW_METHOD(PolicyService, GetPolicy), &request.base,
                      &bailiwick__v1__get_policy_response__descriptor, &tree) != BW_EXIT_OK)
        return;
    const char *yaml = json_string_value(json_object_get(tree, "yaml"));
    bw_buf_printf(out, "clauses of policy revision %lld\n", (long long)revision);
    for (size_t c = 0; yaml != NULL && c < clauses.count; c++) {
        struct bw_view line;
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, clauses.seen[c]);
        if (clause_line(clauses.seen[c], yaml, &line)) {
            char *copy = bw_arena_strndup(cli->arena, (const char *)line.data, line.len);
            bw_buf_append_str(out, " | ");
            bw_text_harmless(out, copy != NULL ? copy : "");
        }
        bw_buf_append_str(out, "\n");
    }
    json_decref(tree);
}

static int support_why(struct bw_cli *cli)
{
    char *reference = bw_arena_strdup(cli->arena, bw_args_operand(cli->args, 0));
    struct bw_reference parsed;
    if (reference == NULL)
        return bw_cli_memory(cli);
    /* Read over the telephone, it may come with blanks. */
    char *to = reference;
    for (const char *from = reference; *from != '\0'; from++)
        if (*from != ' ')
            *to++ = *from;
    *to = '\0';
    if (!bw_reference_parse(bw_view_str(reference), &parsed))
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "'%.40s' is not a reference: four groups of four such as 7K2M-04QX-9ZTB-0001",
                          reference);
    Bailiwick__V1__GetRefusalRequest request = BAILIWICK__V1__GET_REFUSAL_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.reference = reference;
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(PolicyService, GetRefusal), &request.base,
                               &bailiwick__v1__get_refusal_response__descriptor, &tree);
    if (result != BW_EXIT_OK)
        return result;
    const json_t *refusal = json_object_get(tree, "refusal");
    if (bw_output_is_tree(cli)) {
        struct bw_buf reply = {0};
        bw_support_reply(refusal, &reply);
        const char *words = bw_buf_cstr(&reply);
        json_object_set_new(tree, "reply", json_string(words != NULL ? words : ""));
        bw_buf_finish(&reply);
        result = bw_show_tree(cli, tree);
    } else if (cli->output == BW_OUTPUT_NAME) {
        fprintf(cli->out, "%s\n", reference);
    } else {
        struct bw_buf text = {0};
        const char *message = json_string_value(json_object_get(refusal, "message"));
        bw_text_harmless(&text, message != NULL ? message : "");
        bw_buf_append_str(&text, "\n");
        bw_refusal_print(refusal, &text);
        print_clauses(cli, refusal, request.tenant, &text);
        bw_buf_append_str(&text, "reply to send\n  ");
        bw_support_reply(refusal, &text);
        const char *shown = bw_buf_cstr(&text);
        fputs(shown != NULL ? shown : "", cli->out);
        bw_buf_finish(&text);
    }
    json_decref(tree);
    return result;
}

static const struct bw_operand operands[] = {
    {.name = "REFERENCE", .required = true, .help = "what the refused user was shown; either case"}};
static const struct bw_option option_rows[] = {BW_TENANT_OPTION};

const struct bw_verb bw_verb_support_why = {
    .noun = "support",
    .name = "why",
    .summary = "why somebody was refused, by the reference they were shown",
    .about =
        "Shows the clauses and the relays behind the refusal, as they were recorded, and a reply to send.\n"
        "`bailiwick policy explain --reference` shows the same of somebody who was let in.",
    .example = "bailiwick support why 7K2M-04QX-9ZTB-0001 --tenant chu-lyon",
    BW_OPTIONS(option_rows),
    BW_OPERANDS(operands),
    .run = support_why,
};
