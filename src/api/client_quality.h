/* What an endpoint measured, as MeetingService.ReportClientState brings it. Inside this room only. */
#ifndef BW_API_CLIENT_QUALITY_H
#define BW_API_CLIENT_QUALITY_H

#include "api/call.h"
#include "api/quality.h"
#include "bailiwick/v1/meeting.pb-c.h"

/* The windows of a report, its path too, without meeting and slot; *out is NULL when it has none. False, and
 * the call has failed with the field's name, when one of them cannot be. */
bool bw_api_client_windows(struct bw_api_call *call, const Bailiwick__V1__ReportClientStateRequest *request,
                           struct bw_api_quality **out);

#endif
