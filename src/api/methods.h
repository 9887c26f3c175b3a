/* The one table of all methods: who may call what. A method that the proto files have and this table has not
 * stops the service from starting (bw_api_table_check), and a row without its handler does not link.
 *
 * X(Service, Method, streams, roles, tenant, changes, audit, handler)
 *   streams  NONE, SERVER, CLIENT, BOTH
 *   tenant   where the request names whom it acts for: NO, FIELD (`tenant`), NAME (`name`), LIST (`tenants`)
 *   changes  YES: the request has a request id
 *   audit    NO; YES: one line in the log with who did it and how it ended
 *   handler  bw_api_later: not built yet; NULL: registered by the server itself */
#ifndef BW_API_METHODS_H
#define BW_API_METHODS_H

/* Roles by their short names. */
#define BW_API_APP     BW_CALLER_APP
#define BW_API_ADMIN   BW_CALLER_TENANT_ADMIN
#define BW_API_OPER    BW_CALLER_OPERATOR
#define BW_API_SUPPORT (BW_CALLER_SUPPORT_TIER1 | BW_CALLER_SUPPORT_TIER2 | BW_CALLER_TENANT_ADMIN)
#define BW_API_KEYS    (BW_CALLER_TENANT_ADMIN | BW_CALLER_KEY_ADMIN)
#define BW_API_AUDIT   (BW_CALLER_TENANT_ADMIN | BW_CALLER_AUDITOR)

/* clang-format off */
#define BW_API_METHODS(X)                                                                                    \
    X(MeetingService, CreateMeeting, NONE, BW_API_APP, FIELD, YES, NO, bw_api_create_meeting)                \
    X(MeetingService, JoinMeeting, NONE, BW_API_APP, FIELD, YES, NO, bw_api_join_meeting)                    \
    X(MeetingService, LeaveMeeting, NONE, BW_API_APP, FIELD, YES, NO, bw_api_leave_meeting)                  \
    X(MeetingService, EndMeeting, NONE, BW_API_APP, FIELD, YES, NO, bw_api_end_meeting)                      \
    X(MeetingService, GetMeeting, NONE, BW_API_APP, FIELD, NO, NO, bw_api_get_meeting)                       \
    X(MeetingService, ListMeetings, NONE, BW_API_APP, FIELD, NO, NO, bw_api_list_meetings)                   \
    X(MeetingService, InviteConnector, NONE, BW_API_APP, FIELD, YES, NO, bw_api_invite_connector)            \
    X(MeetingService, RemoveConnector, NONE, BW_API_APP, FIELD, YES, NO, bw_api_remove_connector)            \
    X(MeetingService, ChangeMode, NONE, BW_API_APP, FIELD, YES, NO, bw_api_change_mode)                      \
    X(MeetingService, ReportClientState, NONE, BW_API_APP, FIELD, YES, NO, bw_api_report_client_state)       \
    X(MeetingService, RenewGrant, NONE, BW_API_APP, FIELD, YES, NO, bw_api_renew_grant)                      \
    X(MeetingService, WatchMeeting, SERVER, BW_API_APP, FIELD, NO, NO, bw_api_watch_meeting)                 \
    X(PolicyService, CheckPolicy, NONE, BW_API_ADMIN, FIELD, NO, NO, bw_api_check_policy)                    \
    X(PolicyService, ApplyPolicy, NONE, BW_API_ADMIN, FIELD, YES, YES, bw_api_apply_policy)                  \
    X(PolicyService, PromotePolicy, NONE, BW_API_ADMIN, FIELD, YES, YES, bw_api_later)                       \
    X(PolicyService, GetPolicy, NONE, BW_API_ADMIN, FIELD, NO, NO, bw_api_get_policy)                        \
    X(PolicyService, ListPolicyRevisions, NONE, BW_API_ADMIN, FIELD, NO, NO, bw_api_list_policy_revisions)   \
    X(PolicyService, RollbackPolicy, NONE, BW_API_ADMIN, FIELD, YES, YES, bw_api_rollback_policy)            \
    X(PolicyService, DiffPolicy, NONE, BW_API_ADMIN, FIELD, NO, NO, bw_api_later)                            \
    X(PolicyService, AnalyzeImpact, NONE, BW_API_ADMIN, FIELD, NO, NO, bw_api_later)                         \
    X(PolicyService, ExplainPlacement, NONE, BW_API_ADMIN | BW_API_APP, FIELD, NO, NO,                       \
      bw_api_explain_placement)                                                                              \
    X(PolicyService, GetFleetFacts, NONE, BW_API_ADMIN, FIELD, NO, NO, bw_api_get_fleet_facts)               \
    X(PolicyService, GetRefusal, NONE, BW_API_SUPPORT, FIELD, NO, NO, bw_api_get_refusal)                    \
    X(RelayService, Session, BOTH, BW_CALLER_RELAY, NO, NO, NO, NULL)                                        \
    X(RelayService, ReportQuality, CLIENT, BW_CALLER_RELAY, NO, NO, NO, bw_api_report_quality)               \
    X(FleetService, EnrollRelay, NONE, BW_API_OPER, NO, YES, YES, bw_api_enroll_relay)                       \
    X(FleetService, ListRelays, NONE, BW_API_OPER, NO, NO, NO, bw_api_list_relays)                           \
    X(FleetService, GetRelay, NONE, BW_API_OPER, NO, NO, NO, bw_api_get_relay)                               \
    X(FleetService, CordonRelay, NONE, BW_API_OPER, NO, YES, YES, bw_api_cordon_relay)                       \
    X(FleetService, UncordonRelay, NONE, BW_API_OPER, NO, YES, YES, bw_api_uncordon_relay)                   \
    X(FleetService, DrainRelay, NONE, BW_API_OPER, NO, YES, YES, bw_api_drain_relay)                         \
    X(FleetService, RemoveRelay, NONE, BW_API_OPER, NO, YES, YES, bw_api_remove_relay)                       \
    X(TenantService, CreateTenant, NONE, BW_API_OPER, NO, YES, YES, bw_api_create_tenant)                    \
    X(TenantService, ListTenants, NONE, BW_API_OPER, NO, NO, NO, bw_api_list_tenants)                        \
    X(TenantService, GetTenant, NONE, BW_API_OPER | BW_API_ADMIN, NAME, NO, NO, bw_api_get_tenant)           \
    X(TenantService, IssueAppCredential, NONE, BW_API_OPER | BW_API_ADMIN, LIST, YES, YES,                   \
      bw_api_issue_app_credential)                                                                           \
    X(TenantService, SetRoles, NONE, BW_API_OPER | BW_API_ADMIN, FIELD, YES, YES, bw_api_later)              \
    X(SupportService, SearchMeetings, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_search_meetings)          \
    X(SupportService, GetMeetingTimeline, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_get_timeline)         \
    X(SupportService, GetStreamSeries, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_get_stream_series)       \
    X(SupportService, GetIncidents, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_later)                      \
    X(SupportService, GetQualityStats, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_get_quality_stats)       \
    X(SupportService, CompareQuality, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_later)                    \
    X(SupportService, ExportTicket, SERVER, BW_API_SUPPORT, FIELD, NO, YES, bw_api_later)                    \
    X(SupportService, RequestGrant, NONE, BW_API_SUPPORT, FIELD, YES, YES, bw_api_later)                     \
    X(SupportService, ApproveGrant, NONE, BW_API_ADMIN | BW_CALLER_SUPPORT_TIER2, FIELD, YES, YES,           \
      bw_api_later)                                                                                          \
    X(SupportService, ListGrants, NONE, BW_API_SUPPORT, FIELD, NO, YES, bw_api_later)                        \
    X(SubjectService, ExportSubject, SERVER, BW_API_ADMIN, FIELD, YES, YES, bw_api_later)                    \
    X(SubjectService, EraseSubject, NONE, BW_API_ADMIN, FIELD, YES, YES, bw_api_later)                       \
    X(SubjectService, EraseMeeting, NONE, BW_API_ADMIN, FIELD, YES, YES, bw_api_erase_meeting)               \
    X(KeyService, RegisterKey, NONE, BW_API_KEYS, FIELD, YES, YES, bw_api_later)                             \
    X(KeyService, ListKeys, NONE, BW_API_KEYS, FIELD, NO, NO, bw_api_later)                                  \
    X(KeyService, GetKeyStatus, NONE, BW_API_KEYS, FIELD, NO, NO, bw_api_later)                              \
    X(KeyService, RotateKey, NONE, BW_API_KEYS, FIELD, YES, YES, bw_api_later)                               \
    X(KeyService, RewrapTenant, SERVER, BW_API_KEYS, FIELD, YES, YES, bw_api_later)                          \
    X(KeyService, Shred, NONE, BW_API_KEYS, FIELD, YES, YES, bw_api_later)                                   \
    X(LedgerService, GetCheckpoint, NONE, BW_API_AUDIT, FIELD, NO, NO, bw_api_later)                         \
    X(LedgerService, GetTile, NONE, BW_API_AUDIT, FIELD, NO, NO, bw_api_later)                               \
    X(LedgerService, GetProof, NONE, BW_API_AUDIT, FIELD, NO, NO, bw_api_later)                              \
    X(LedgerService, ExportBundle, SERVER, BW_API_AUDIT, FIELD, NO, YES, bw_api_later)                       \
    X(LedgerService, TailDecisions, SERVER, BW_API_AUDIT, FIELD, NO, YES, bw_api_later)
/* clang-format on */

#endif
