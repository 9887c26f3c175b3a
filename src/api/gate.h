/* The gate every call passes: is the method in the table, may this caller call it, may it act for that tenant
 * here. Inside this room only. */
#ifndef BW_API_GATE_H
#define BW_API_GATE_H

#include <protobuf-c/protobuf-c.h>

#include "api/call.h"
#include "api/methods.h"

extern const struct bw_api_method bw_api_table[];
extern const size_t bw_api_table_count;

/* What the proto files say of a row. */
struct bw_api_shape {
    const ProtobufCMessageDescriptor *request, *response;
    size_t tenant_offset, request_id_offset; /* of fields, where the row says that there is one */
};

/* Finds the shape of every row (shapes: bw_api_table_count of them; may be NULL). INTERNAL when a method of
 * the proto files has no row, or a row has no method, or says something else about its request than that. */
BW_MUST_USE enum bw_code bw_api_table_check(struct bw_api_shape *shapes, struct bw_error *err);

/* The row of a path; NULL. */
const struct bw_api_method *bw_api_table_find(const char *path);

/* May this caller call it? OK with *caller; UNAUTHENTICATED, PERMISSION_DENIED. spiffe_id NULL: nobody. */
BW_MUST_USE enum bw_code bw_api_authorise(const struct bw_callers *callers, const char *spiffe_id,
                                          uint32_t roles, const struct bw_caller **caller,
                                          struct bw_error *err);
/* May it act for this tenant? OK with *tenant (known, of whatever cell). What is not the caller's is
 * PERMISSION_DENIED whether it exists or not; operators hear NOT_FOUND. */
BW_MUST_USE enum bw_code bw_api_bind(const struct bw_callers *callers, const struct bw_caller *caller,
                                     const char *name, const struct bw_known_tenant **tenant,
                                     struct bw_error *err);

/* One handler for each row; they live in the services' files. */

void bw_api_create_meeting(struct bw_api_call *call);
void bw_api_join_meeting(struct bw_api_call *call);
void bw_api_leave_meeting(struct bw_api_call *call);
void bw_api_end_meeting(struct bw_api_call *call);
void bw_api_get_meeting(struct bw_api_call *call);
void bw_api_list_meetings(struct bw_api_call *call);
void bw_api_invite_connector(struct bw_api_call *call);
void bw_api_remove_connector(struct bw_api_call *call);
void bw_api_change_mode(struct bw_api_call *call);
void bw_api_report_client_state(struct bw_api_call *call);
void bw_api_renew_grant(struct bw_api_call *call);
void bw_api_watch_meeting(struct bw_api_call *call);
void bw_api_check_policy(struct bw_api_call *call);
void bw_api_apply_policy(struct bw_api_call *call);
void bw_api_get_policy(struct bw_api_call *call);
void bw_api_list_policy_revisions(struct bw_api_call *call);
void bw_api_rollback_policy(struct bw_api_call *call);
void bw_api_explain_placement(struct bw_api_call *call);
void bw_api_get_fleet_facts(struct bw_api_call *call);
void bw_api_get_refusal(struct bw_api_call *call);
void bw_api_report_quality(struct bw_api_call *call);
void bw_api_enroll_relay(struct bw_api_call *call);
void bw_api_list_relays(struct bw_api_call *call);
void bw_api_get_relay(struct bw_api_call *call);
void bw_api_cordon_relay(struct bw_api_call *call);
void bw_api_uncordon_relay(struct bw_api_call *call);
void bw_api_drain_relay(struct bw_api_call *call);
void bw_api_remove_relay(struct bw_api_call *call);
void bw_api_create_tenant(struct bw_api_call *call);
void bw_api_list_tenants(struct bw_api_call *call);
void bw_api_get_tenant(struct bw_api_call *call);
void bw_api_issue_app_credential(struct bw_api_call *call);
void bw_api_erase_meeting(struct bw_api_call *call);
void bw_api_search_meetings(struct bw_api_call *call);
void bw_api_get_timeline(struct bw_api_call *call);
void bw_api_get_stream_series(struct bw_api_call *call);
void bw_api_get_quality_stats(struct bw_api_call *call);
/* Authorised, and answered that it is not built yet. */
void bw_api_later(struct bw_api_call *call);

#endif
