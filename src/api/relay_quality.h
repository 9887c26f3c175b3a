/* The callbacks of RelayService.ReportQuality, for the method that api.c fills in. Inside this room only. */
#ifndef BW_API_RELAY_QUALITY_H
#define BW_API_RELAY_QUALITY_H

#include "grpc/server.h"

void bw_api_report_opened(struct bw_grpc_call *grpc, void *context);
void bw_api_report_message(struct bw_grpc_call *grpc, struct bw_view bytes, void *context);
void bw_api_report_half_closed(struct bw_grpc_call *grpc, void *context);
void bw_api_report_ended(struct bw_grpc_call *grpc, enum bw_code why, void *context);

#endif
