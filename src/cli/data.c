/* data erase: the end of what is kept about a meeting. */
#include "bailiwick/v1/subject.pb-c.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/server.h"
#include "cli/verbs.h"

static const struct bw_column receipt_columns[] = {
    {"RECEIPT", "receiptId", BW_CELL_TEXT, NULL, false},
    {"MEETING", "meetingId", BW_CELL_TEXT, NULL, false},
    {"ERASED", "erasedUnixMs", BW_CELL_TIME, NULL, false},
    {"KEYS DESTROYED", "keysDestroyed", BW_CELL_TEXT, NULL, false},
    {"SIGNATURE", "signature", BW_CELL_TEXT, NULL, false},
};
static const struct bw_view_table receipt_view = {
    .object = "receipt",
    .name = "receiptId",
    .columns = receipt_columns,
    .count = sizeof receipt_columns / sizeof receipt_columns[0],
};

static int data_erase(struct bw_cli *cli)
{
    Bailiwick__V1__EraseMeetingRequest request = BAILIWICK__V1__ERASE_MEETING_REQUEST__INIT;
    if (bw_args_given(cli->args, "subject"))
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "erasing one person is not supported yet; --meeting erases a meeting");
    if (!bw_args_given(cli->args, "meeting"))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--meeting MEETING is missing: what is to be erased?");
    request.request_id = bw_cli_request_id(cli);
    request.tenant = request.request_id != NULL ? bw_cli_tenant(cli) : NULL;
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_text(cli->args, "meeting");
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(SubjectService, EraseMeeting), &request.base,
                               &bailiwick__v1__erase_meeting_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &receipt_view);
    json_decref(tree);
    return result;
}

static const struct bw_option option_rows[] = {
    BW_TENANT_OPTION,
    {.name = "meeting", .type = BW_OPTION_TEXT, .value = "MEETING", .help = "an ended meeting's id"},
    {.name = "subject", .type = BW_OPTION_TEXT, .value = "USER", .help = "one person (not supported yet)"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_data_erase = {
    .noun = "data",
    .name = "erase",
    .summary = "make what is kept about a meeting unreadable, for good",
    .about =
        "Destroys the keys of an ended meeting: who took part and how it was can no longer be read by\n"
        "anybody, wherever copies lie. How it was routed stays: it names nobody. The receipt is signed by\n"
        "the cell; the same request id gets the same one again. A tenant's admins only.",
    .example = "bailiwick data erase --meeting 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e",
    BW_OPTIONS(option_rows),
    .run = data_erase,
};
