#include "cli/policy.h"
#include "cli/verbs.h"
const struct bw_verb bw_verb_policy_apply = {.noun = "policy", .name = "apply"};
const struct bw_verb bw_verb_policy_get = {.noun = "policy", .name = "get"};
const struct bw_verb bw_verb_policy_history = {.noun = "policy", .name = "history"};
const struct bw_verb bw_verb_policy_rollback = {.noun = "policy", .name = "rollback"};
const struct bw_verb bw_verb_tenant_create = {.noun = "tenant", .name = "create"};
const struct bw_verb bw_verb_tenant_list = {.noun = "tenant", .name = "list"};
const struct bw_verb bw_verb_tenant_show = {.noun = "tenant", .name = "show"};
const struct bw_verb bw_verb_tenant_app_credential = {.noun = "tenant", .name = "app-credential"};
const struct bw_verb bw_verb_meeting_create = {.noun = "meeting", .name = "create"};
const struct bw_verb bw_verb_meeting_join = {.noun = "meeting", .name = "join"};
const struct bw_verb bw_verb_meeting_list = {.noun = "meeting", .name = "list"};
const struct bw_verb bw_verb_meeting_show = {.noun = "meeting", .name = "show"};
const struct bw_verb bw_verb_meeting_watch = {.noun = "meeting", .name = "watch"};
const struct bw_verb bw_verb_meeting_end = {.noun = "meeting", .name = "end"};
const struct bw_verb bw_verb_meeting_leave = {.noun = "meeting", .name = "leave"};
const struct bw_verb bw_verb_meeting_renew = {.noun = "meeting", .name = "renew"};
const struct bw_verb bw_verb_meeting_invite = {.noun = "meeting", .name = "invite"};
const struct bw_verb bw_verb_meeting_remove = {.noun = "meeting", .name = "remove"};
const struct bw_verb bw_verb_meeting_mode = {.noun = "meeting", .name = "mode"};
const struct bw_verb bw_verb_meeting_verify_grant = {.noun = "meeting", .name = "verify-grant"};
const struct bw_verb bw_verb_relay_enroll = {.noun = "relay", .name = "enroll"};
const struct bw_verb bw_verb_relay_list = {.noun = "relay", .name = "list"};
const struct bw_verb bw_verb_relay_show = {.noun = "relay", .name = "show"};
const struct bw_verb bw_verb_relay_cordon = {.noun = "relay", .name = "cordon"};
const struct bw_verb bw_verb_relay_uncordon = {.noun = "relay", .name = "uncordon"};
const struct bw_verb bw_verb_relay_drain = {.noun = "relay", .name = "drain"};
const struct bw_verb bw_verb_relay_remove = {.noun = "relay", .name = "remove"};
const struct bw_verb bw_verb_support_why = {.noun = "support", .name = "why"};
const struct bw_verb bw_verb_context_list = {.noun = "context", .name = "list"};
const struct bw_verb bw_verb_context_use = {.noun = "context", .name = "use"};
const struct bw_verb bw_verb_context_set = {.noun = "context", .name = "set"};
const struct bw_verb bw_verb_whoami = {.noun = "whoami", .name = ""};
const struct bw_verb bw_verb_doctor = {.noun = "doctor", .name = ""};
int bw_policy_explain_ask(struct bw_cli *cli)
{
    return bw_cli_say(cli, 2, "give --fleet");
}
