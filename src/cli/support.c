/* support why: the reference a refused user was shown. */
#include "bailiwick/v1/policy.pb-c.h"
#include "base/reference.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/server.h"
#include "cli/verbs.h"

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
        result = bw_show_tree(cli, tree);
    } else if (cli->output == BW_OUTPUT_NAME) {
        fprintf(cli->out, "%s\n", reference);
    } else {
        struct bw_buf text = {0};
        const char *message = json_string_value(json_object_get(refusal, "message"));
        bw_text_harmless(&text, message != NULL ? message : "");
        bw_buf_append_str(&text, "\n");
        bw_refusal_print(refusal, &text);
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
    .example = "bailiwick support why 7K2M-04QX-9ZTB-0001 --tenant chu-lyon",
    BW_OPTIONS(option_rows),
    BW_OPERANDS(operands),
    .run = support_why,
};
