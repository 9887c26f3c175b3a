/* meeting verify-grant: what a grant says and whether it holds, without a server. */
#include <string.h>

#include "cli/base64.h"
#include "cli/meeting.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "crypto/pem.h"
#include "e2ee/grant.h"
#include "runtime/clock.h"
#include "yaml/scalar.h"

enum { GRANT_TEXT_MAX = 16384 };

static const struct bw_column columns[] = {
    {"VERIFIED", "verified", BW_CELL_TEXT, NULL, false},
    {"REASON", "reason", BW_CELL_TEXT, NULL, false},
    {"MEANING", "meaning", BW_CELL_TEXT, NULL, false},
    {"ROLE", "role", BW_CELL_TEXT, NULL, false},
    {"MODE", "mode", BW_CELL_TEXT, NULL, false},
    {"TENANT", "tenant", BW_CELL_TEXT, NULL, false},
    {"MEETING", "meeting", BW_CELL_TEXT, NULL, false},
    {"MEETING EPOCH", "meetingEpoch", BW_CELL_TEXT, NULL, false},
    {"MODE EPOCH", "modeEpoch", BW_CELL_TEXT, NULL, false},
    {"ENTRY", "rosterEntry", BW_CELL_TEXT, NULL, false},
    {"SLOT", "slot", BW_CELL_TEXT, NULL, false},
    {"RELAY NUMBER", "relayNumber", BW_CELL_TEXT, NULL, false},
    {"NOT BEFORE", "notBeforeUnixMs", BW_CELL_TIME, NULL, false},
    {"EXPIRES", "expiresUnixMs", BW_CELL_TIME, NULL, false},
    {"GROUP", "group", BW_CELL_TEXT, NULL, false},
    {"KEY", "keyId", BW_CELL_TEXT, NULL, false},
};
static const struct bw_view_table view = {
    .name = "verified", .columns = columns, .count = sizeof columns / sizeof columns[0]};

static const char *role_name(enum bw_role role)
{
    static const char *const names[] = {"none", "speaker", "listener", "connector"};
    return (unsigned)role < sizeof names / sizeof names[0] ? names[role] : "none";
}

static void put_id(json_t *tree, const char *key, const struct bw_id *id)
{
    char text[BW_ID_TEXT_SIZE];
    bw_id_format(id, text);
    json_object_set_new(tree, key, json_string(text));
}

static void describe(const struct bw_grant *grant, json_t *tree)
{
    char key_id[2 * BW_GRANT_KEY_ID_SIZE + 1];
    for (unsigned i = 0; i < BW_GRANT_KEY_ID_SIZE; i++)
        snprintf(key_id + 2 * i, 3, "%02x", grant->key_id[i]);
    json_object_set_new(tree, "role", json_string(role_name(grant->role)));
    json_object_set_new(tree, "mode", json_string(bw_mode_name(grant->mode)));
    put_id(tree, "cell", &grant->cell);
    put_id(tree, "tenant", &grant->tenant);
    put_id(tree, "meeting", &grant->meeting);
    json_object_set_new(tree, "meetingEpoch", json_integer(grant->meeting_epoch));
    json_object_set_new(tree, "modeEpoch", json_integer(grant->mode_epoch));
    put_id(tree, "rosterEntry", &grant->roster_entry);
    json_object_set_new(tree, "slot", json_integer(grant->slot));
    json_object_set_new(tree, "relayNumber", json_integer(grant->relay));
    json_object_set_new(tree, "notBeforeUnixMs", json_integer((json_int_t)grant->not_before_ms));
    json_object_set_new(tree, "expiresUnixMs", json_integer((json_int_t)grant->expires_ms));
    put_id(tree, "stream", &grant->stream);
    json_object_set_new(tree, "group", json_integer((json_int_t)grant->group));
    json_object_set_new(tree, "keyId", json_string(key_id));
}

static int add_keys(struct bw_cli *cli, struct bw_grant_verifier *verifier)
{
    const char **paths;
    size_t count;
    if (!bw_args_list(cli->args, "public-key", cli->arena, &count, &paths))
        return bw_cli_memory(cli);
    for (size_t i = 0; i < count; i++) {
        struct bw_view pem;
        struct bw_error err = {0};
        uint8_t key[BW_ED25519_PUBLIC_SIZE];
        int result = bw_cli_read(cli, paths[i], BW_PEM_MAX, &pem);
        if (result != BW_EXIT_OK)
            return result;
        if (bw_pem_read_ed25519_public(pem, paths[i], key, &err) != BW_OK ||
            bw_grant_verifier_add_key(verifier, key, &err) != BW_OK)
            return bw_cli_say(cli, BW_EXIT_USAGE, "%s", err.show);
    }
    return BW_EXIT_OK;
}

static int read_grant(struct bw_cli *cli, struct bw_buf *token)
{
    const char *given = bw_args_text(cli->args, "grant");
    struct bw_view text = bw_view_str(given);
    if (strcmp(given, "-") == 0) {
        int result = bw_cli_read(cli, "-", GRANT_TEXT_MAX, &text);
        if (result != BW_EXIT_OK)
            return result;
    }
    return bw_base64_decode(text, token) ? BW_EXIT_OK
                                         : bw_cli_say(cli, BW_EXIT_USAGE, "--grant: this is no base64");
}

static int fill_expect(struct bw_cli *cli, struct bw_grant_expect *expect)
{
    const char *at = bw_args_text(cli->args, "at");
    expect->now_ms = bw_clock_wall_ms();
    if (at != NULL && !bw_scalar_instant(bw_view_str(at), &expect->now_ms))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--at: '%.40s' is not an instant such as 2026-11-21T10:00:00Z",
                          at);
    expect->relay = (uint32_t)bw_args_number(cli->args, "relay-number", 0);
    expect->skew_ms = bw_args_number(cli->args, "skew", 0);
    return BW_EXIT_OK;
}

static int judge(struct bw_cli *cli, struct bw_grant_verifier *verifier, struct bw_view token)
{
    struct bw_grant_expect expect = {0};
    int result = fill_expect(cli, &expect);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_grant grant;
    enum bw_grant_refusal refusal = bw_grant_parse(token, &grant);
    json_t *tree = json_object();
    bool readable = refusal == BW_GRANT_OK;
    if (readable) {
        const char *cell = bw_args_text(cli->args, "cell");
        expect.cell = cell != NULL ? bw_grant_cell_id(bw_view_str(cell)) : grant.cell;
        struct bw_grant verified;
        refusal = bw_grant_verify(verifier, token, &expect, &verified, NULL);
    }
    json_object_set_new(tree, "verified", json_boolean(refusal == BW_GRANT_OK));
    if (refusal != BW_GRANT_OK) {
        json_object_set_new(tree, "reason", json_string(bw_grant_refusal_name(refusal)));
        json_object_set_new(tree, "meaning", json_string(bw_grant_refusal_text(refusal)));
    }
    if (readable)
        describe(&grant, tree);
    result = bw_show(cli, tree, &view);
    json_decref(tree);
    if (result == BW_EXIT_OK && refusal != BW_GRANT_OK)
        return bw_cli_say(cli, BW_EXIT_NO, "not verified: %s", bw_grant_refusal_text(refusal));
    return result;
}

static int meeting_verify_grant(struct bw_cli *cli)
{
    struct bw_grant_verifier *verifier = NULL;
    struct bw_error err = {0};
    if (bw_grant_verifier_create(0, &verifier, &err) != BW_OK)
        return bw_cli_fail(cli, &err);
    struct bw_buf token = {0};
    int result = add_keys(cli, verifier);
    if (result == BW_EXIT_OK)
        result = read_grant(cli, &token);
    if (result == BW_EXIT_OK)
        result = judge(cli, verifier, bw_buf_view(&token));
    bw_buf_finish(&token);
    bw_grant_verifier_destroy(verifier);
    return result;
}

static const struct bw_option option_rows[] = {
    {.name = "grant",
     .type = BW_OPTION_TEXT,
     .flags = BW_OPTION_REQUIRED,
     .value = "BASE64|-",
     .help = "the grant, as `meeting join` prints it"},
    {.name = "public-key",
     .type = BW_OPTION_LIST,
     .flags = BW_OPTION_REQUIRED | BW_OPTION_WHOLE,
     .value = "FILE",
     .help = "the cell's signer.pub; may be repeated while keys change over"},
    {.name = "cell", .type = BW_OPTION_TEXT, .value = "NAME", .help = "it must be of this cell"},
    {.name = "relay-number", .type = BW_OPTION_UINT, .value = "N", .help = "it must be for this relay"},
    {.name = "at",
     .type = BW_OPTION_TEXT,
     .value = "INSTANT",
     .help = "judge as of this moment (default: now)"},
    {.name = "skew",
     .type = BW_OPTION_DURATION,
     .value = "DURATION",
     .max = 3600000,
     .help = "how far clocks may differ (default 0s)"},
};

const struct bw_verb bw_verb_meeting_verify_grant = {
    .noun = "meeting",
    .name = "verify-grant",
    .summary = "what a grant says and whether it holds, without a server",
    .about = "Exit status 1 when it does not hold, with the reason.",
    .example = "bailiwick meeting verify-grant --grant QldHMQE… --public-key signer.pub --cell eu",
    BW_OPTIONS(option_rows),
    .run = meeting_verify_grant,
};
