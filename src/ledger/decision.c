#include "ledger/decision.h"

const char *bw_decision_kind_name(enum bw_decision_kind kind)
{
    static const char *const names[BW_DECISION_KINDS] = {
        [BW_DECISION_CREATED] = "CREATED",
        [BW_DECISION_JOINED] = "JOINED",
        [BW_DECISION_LEFT] = "LEFT",
        [BW_DECISION_MODE_CHANGED] = "MODE_CHANGED",
        [BW_DECISION_MODE_ANNOUNCED] = "MODE_ANNOUNCED",
        [BW_DECISION_CONSENTED] = "CONSENTED",
        [BW_DECISION_MOVED] = "MOVED",
        [BW_DECISION_CONNECTOR_INVITED] = "CONNECTOR_INVITED",
        [BW_DECISION_CONNECTOR_REMOVED] = "CONNECTOR_REMOVED",
        [BW_DECISION_REFUSED] = "REFUSED",
        [BW_DECISION_FLAGS_CHANGED] = "FLAGS_CHANGED",
        [BW_DECISION_ENDED] = "ENDED",
        [BW_DECISION_REBOUND] = "REBOUND",
    };
    if ((unsigned)kind >= BW_DECISION_KINDS || names[kind] == NULL)
        return "UNKNOWN";
    return names[kind];
}
