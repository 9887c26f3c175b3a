/* Every verb of the command line; each noun's file defines its own. */
#ifndef BW_CLI_VERBS_H
#define BW_CLI_VERBS_H

#include "cli/args.h"

extern const struct bw_verb bw_verb_policy_init, bw_verb_policy_check, bw_verb_policy_explain,
    bw_verb_policy_apply, bw_verb_policy_get, bw_verb_policy_history, bw_verb_policy_rollback,
    bw_verb_policy_schema;
extern const struct bw_verb bw_verb_tenant_create, bw_verb_tenant_list, bw_verb_tenant_show,
    bw_verb_tenant_app_credential;
extern const struct bw_verb bw_verb_meeting_create, bw_verb_meeting_join, bw_verb_meeting_list,
    bw_verb_meeting_show, bw_verb_meeting_watch, bw_verb_meeting_end, bw_verb_meeting_leave,
    bw_verb_meeting_renew, bw_verb_meeting_invite, bw_verb_meeting_remove, bw_verb_meeting_mode,
    bw_verb_meeting_report_quality, bw_verb_meeting_verify_grant;
extern const struct bw_verb bw_verb_relay_enroll, bw_verb_relay_list, bw_verb_relay_show,
    bw_verb_relay_cordon, bw_verb_relay_uncordon, bw_verb_relay_drain, bw_verb_relay_remove;
extern const struct bw_verb bw_verb_support_why, bw_verb_support_search, bw_verb_support_show,
    bw_verb_support_timeline, bw_verb_support_stats;
extern const struct bw_verb bw_verb_data_erase;
extern const struct bw_verb bw_verb_context_list, bw_verb_context_use, bw_verb_context_set;
extern const struct bw_verb bw_verb_whoami, bw_verb_doctor, bw_verb_completion, bw_verb_version;

#endif
