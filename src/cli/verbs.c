/* The command line's tables: what there is, what comes later, and the options that every command takes. */
#include "cli/verbs.h"

#include "base/check.h"
#include "cli/cli.h"
#include "cli/help.h"

#define LATER(noun_, name_)                                                                                  \
    static const struct bw_verb later_##noun_##_##name_ = {.noun = #noun_, .name = #name_}
#define LATER_NOUN(noun_) static const struct bw_verb later_##noun_ = {.noun = #noun_}

LATER(policy, fmt);
LATER(policy, test);
LATER(policy, diff);
LATER(policy, impact);
LATER(policy, promote);
LATER(support, now);
LATER(support, compare);
LATER(support, export);
LATER(support, grant);
LATER(data, export);
LATER_NOUN(key);
LATER_NOUN(audit);
LATER_NOUN(login);

static const struct bw_verb *const verbs[] = {
    &bw_verb_policy_init,
    &bw_verb_policy_check,
    &bw_verb_policy_explain,
    &bw_verb_policy_apply,
    &bw_verb_policy_get,
    &bw_verb_policy_history,
    &bw_verb_policy_rollback,
    &bw_verb_policy_schema,
    &later_policy_fmt,
    &later_policy_test,
    &later_policy_diff,
    &later_policy_impact,
    &later_policy_promote,
    &bw_verb_tenant_create,
    &bw_verb_tenant_list,
    &bw_verb_tenant_show,
    &bw_verb_tenant_app_credential,
    &bw_verb_meeting_create,
    &bw_verb_meeting_join,
    &bw_verb_meeting_list,
    &bw_verb_meeting_show,
    &bw_verb_meeting_watch,
    &bw_verb_meeting_end,
    &bw_verb_meeting_leave,
    &bw_verb_meeting_renew,
    &bw_verb_meeting_invite,
    &bw_verb_meeting_remove,
    &bw_verb_meeting_mode,
    &bw_verb_meeting_report_quality,
    &bw_verb_meeting_verify_grant,
    &bw_verb_relay_enroll,
    &bw_verb_relay_list,
    &bw_verb_relay_show,
    &bw_verb_relay_cordon,
    &bw_verb_relay_uncordon,
    &bw_verb_relay_drain,
    &bw_verb_relay_remove,
    &bw_verb_support_why,
    &later_support_now,
    &bw_verb_support_search,
    &bw_verb_support_show,
    &bw_verb_support_timeline,
    &bw_verb_support_stats,
    &later_support_compare,
    &later_support_export,
    &later_support_grant,
    &later_data_export,
    &bw_verb_data_erase,
    &later_key,
    &later_audit,
    &later_login,
    &bw_verb_context_list,
    &bw_verb_context_use,
    &bw_verb_context_set,
    &bw_verb_whoami,
    &bw_verb_doctor,
    &bw_verb_completion,
    &bw_verb_version,
};

const char *const bw_output_names[] = {"table", "wide", "json", "yaml", "name", NULL};

static const struct bw_option globals[] = {
    {.name = "context", .type = BW_OPTION_TEXT, .value = "NAME", .help = "a context of the configuration"},
    {.name = "output",
     .letter = 'o',
     .type = BW_OPTION_CHOICE,
     .value = "FORMAT",
     .choices = bw_output_names,
     .help = "how to print the answer"},
    {.name = "endpoint", .type = BW_OPTION_TEXT, .value = "HOST:PORT", .help = "the cell to talk to"},
    {.name = "ca", .type = BW_OPTION_FILE, .value = "FILE", .help = "who may issue the server's certificate"},
    {.name = "cert", .type = BW_OPTION_FILE, .value = "FILE", .help = "your certificate"},
    {.name = "key", .type = BW_OPTION_FILE, .value = "FILE", .help = "its private key"},
    {.name = "server-name",
     .type = BW_OPTION_TEXT,
     .value = "NAME",
     .help = "the name the server's certificate must carry"},
    {.name = "server-spiffe-id",
     .type = BW_OPTION_TEXT,
     .value = "ID",
     .help = "the SPIFFE ID the server must have, instead of a name"},
    {.name = "insecure",
     .type = BW_OPTION_FLAG,
     .help = "clear text, for tests on loopback; any other address is refused"},
    {.name = "timeout",
     .type = BW_OPTION_DURATION,
     .value = "DURATION",
     .max = 3600000,
     .help = "how long a call may take (default 15s)"},
    {.name = "config", .type = BW_OPTION_FILE, .value = "FILE", .help = "another configuration file"},
    {.name = "no-color", .type = BW_OPTION_FLAG, .help = "no colour, also on a terminal"},
    {.name = "help", .letter = 'h', .type = BW_OPTION_FLAG, .help = "this text"},
};

const struct bw_command_line bw_cli_line = {
    .program = "bailiwick",
    .verbs = verbs,
    .verb_count = BW_ARRAY_LEN(verbs),
    .globals = globals,
    .global_count = BW_ARRAY_LEN(globals),
};
