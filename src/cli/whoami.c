/* whoami: the certificate's own word, and the cell's. */
#include <string.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "cli/verbs.h"

static const struct bw_column columns[] = {
    {"SPIFFE ID", "spiffeId", BW_CELL_TEXT, NULL, false},
    {"KIND", "kind", BW_CELL_TEXT, NULL, false},
    {"NAME", "name", BW_CELL_TEXT, NULL, false},
    {"TRUST DOMAIN", "trustDomain", BW_CELL_TEXT, NULL, false},
    {"CONTEXT", "context", BW_CELL_TEXT, NULL, false},
    {"ENDPOINT", "endpoint", BW_CELL_TEXT, NULL, false},
    {"TENANT", "tenant", BW_CELL_TEXT, NULL, false},
    {"ACCEPTED", "accepted", BW_CELL_TEXT, NULL, false},
    {"TRIED", "tried", BW_CELL_TEXT, NULL, false},
};
static const struct bw_view_table view = {
    .name = "spiffeId", .columns = columns, .count = sizeof columns / sizeof columns[0]};

static void put_view(json_t *tree, const char *key, struct bw_view text)
{
    if (text.len > 0)
        json_object_set_new(tree, key, json_stringn((const char *)text.data, text.len));
}

static void put(json_t *tree, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(tree, key, json_string(text));
}

/* Tries a call; its failure is told as every failed call is, behind what is known. */
static int ask_cell(struct bw_cli *cli, enum bw_identity_kind kind, json_t *tree,
                    struct bw_grpc_outcome *outcome)
{
    const char *what = NULL;
    uint64_t heartbeat_ms = 0;
    switch (bw_probe_call(cli, kind, &what, outcome, &heartbeat_ms)) {
    case BW_PROBE_DONE:
        put(tree, "tried", what);
        json_object_set_new(tree, "accepted", json_boolean(outcome->code == BW_OK));
        return bw_failure_exit(outcome);
    case BW_PROBE_NO_TENANT:
        put(tree, "tried", "nothing: give --tenant NAME to ask the cell");
        return BW_EXIT_OK;
    case BW_PROBE_NONE_BUILT:
        put(tree, "tried", "nothing: no call for this kind of certificate");
        return BW_EXIT_OK;
    }
    return BW_EXIT_INTERNAL;
}

static int whoami(struct bw_cli *cli)
{
    int result = bw_cli_settings(cli);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_error err = {0};
    const char *id = bw_own_spiffe_id(cli, &err);
    if (id == NULL)
        return bw_cli_say(cli, BW_EXIT_AUTH, "%s", err.show);
    struct bw_identity identity = bw_identity_parse(id);
    json_t *tree = json_object();
    put(tree, "spiffeId", id);
    put(tree, "kind", bw_identity_kind_name(identity.kind));
    put_view(tree, "name", identity.name);
    put_view(tree, "trustDomain", identity.trust_domain);
    put(tree, "context", cli->settings->context);
    put(tree, "endpoint", cli->settings->endpoint.value);
    put(tree, "tenant",
        bw_args_given(cli->args, "tenant") ? bw_args_text(cli->args, "tenant") : cli->settings->tenant.value);
    struct bw_grpc_outcome outcome = {0};
    struct bw_grpc_client_config unused;
    /* Says by itself what keeps a connection from being made. */
    result = bw_server_config(cli, &unused);
    if (result == BW_EXIT_OK) {
        bw_grpc_tls_release(unused.tls);
        result = ask_cell(cli, identity.kind, tree, &outcome);
    }
    int shown = bw_show(cli, tree, &view);
    json_decref(tree);
    if (outcome.code != BW_OK) {
        enum bw_output output = cli->output;
        cli->output = BW_OUTPUT_TABLE; /* one tree is enough */
        bw_failure(cli, &outcome);
        cli->output = output;
    }
    return result != BW_EXIT_OK ? result : shown;
}

static const struct bw_option option_rows[] = {BW_TENANT_OPTION};

const struct bw_verb bw_verb_whoami = {
    .noun = "whoami",
    .summary = "who your certificate says you are, and whether the cell knows you",
    .example = "bailiwick whoami --context prod --tenant chu-lyon",
    BW_OPTIONS(option_rows),
    .run = whoami,
};
