#include "cli/meeting.h"

const char *const bw_kind_names[] = {"native", "web",       "mobile",     "room",          "pstn", "sip",
                                     "h323",   "recording", "livestream", "transcription", "app",  NULL};
const char *const bw_scheme_names[] = {"sframe-mls", "sframe", "insertable-streams", NULL};

static const struct bw_column admission_columns[] = {
    {"ENTRY", "rosterEntry", BW_CELL_TEXT, NULL, false},
    {"SLOT", "slot", BW_CELL_TEXT, NULL, false},
    {"RELAY", "relay", BW_CELL_TEXT, NULL, false},
    {"ADDRESS", "mediaAddress", BW_CELL_TEXT, NULL, false},
    {"MODE", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
    {"MODE EPOCH", "modeEpoch", BW_CELL_TEXT, NULL, false},
    {"ENCRYPTION", "flags.allocated.scheme", BW_CELL_ENUM, "E2EE_SCHEME_", false},
    {"REFERENCE", "reference", BW_CELL_TEXT, NULL, false},
    {"GRANT UNTIL", "grantExpiresUnixMs", BW_CELL_TIME, NULL, false},
    {"GRANT", "grant", BW_CELL_TEXT, NULL, false},
    {"HOP KEY", "hopKey", BW_CELL_TEXT, NULL, false},
};
const struct bw_view_table bw_admission_view = {
    .object = "admission",
    .name = "rosterEntry",
    .columns = admission_columns,
    .count = sizeof admission_columns / sizeof admission_columns[0],
};

static const struct bw_column meeting_columns[] = {
    {"MEETING", "meetingId", BW_CELL_TEXT, NULL, false},
    {"TENANT", "tenant", BW_CELL_TEXT, NULL, false},
    {"STATE", "state", BW_CELL_ENUM, "MEETING_STATE_", false},
    {"MODE", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
    {"MODE EPOCH", "modeEpoch", BW_CELL_TEXT, NULL, false},
    {"MEETING EPOCH", "meetingEpoch", BW_CELL_TEXT, NULL, false},
    {"PARTICIPANTS", "participants", BW_CELL_TEXT, NULL, false},
    {"CREATED", "createdUnixMs", BW_CELL_TIME, NULL, false},
    {"ENDED", "endedUnixMs", BW_CELL_TIME, NULL, false},
    {"END REASON", "endReason", BW_CELL_ENUM, "END_REASON_", false},
    {"POLICY", "policyRevision", BW_CELL_TEXT, NULL, false},
};
const struct bw_view_table bw_meeting_view = {
    .object = "meeting",
    .name = "meetingId",
    .columns = meeting_columns,
    .count = sizeof meeting_columns / sizeof meeting_columns[0],
};

const struct bw_column bw_roster_columns[] = {
    {"SLOT", "slot", BW_CELL_TEXT, NULL, false},
    {"ENTRY", "rosterEntry", BW_CELL_TEXT, NULL, false},
    {"KIND", "kind", BW_CELL_ENUM, "PARTICIPANT_KIND_", false},
    {"COUNTRY", "country", BW_CELL_TEXT, NULL, false},
    {"RELAY", "relay", BW_CELL_TEXT, NULL, false},
    {"ALLOCATED", "flags.allocated.scheme", BW_CELL_ENUM, "E2EE_SCHEME_", false},
    {"OBSERVED", "flags.observed.state", BW_CELL_ENUM, "STATE_", false},
    {"JOINED", "joinedUnixMs", BW_CELL_TIME, NULL, true},
    {"ROLE", "role", BW_CELL_ENUM, "PARTICIPANT_ROLE_", true},
    {"REGION", "region", BW_CELL_TEXT, NULL, true},
    {"CAPABLE", "flags.capable", BW_CELL_LIST, "E2EE_SCHEME_", true},
    {"HOME TENANT", "homeTenant", BW_CELL_TEXT, NULL, true},
    {"FAR LEG", "farLeg", BW_CELL_ENUM, "FAR_LEG_", true},
    {"STORES", "stores", BW_CELL_LIST, NULL, true},
};
const size_t bw_roster_column_count = sizeof bw_roster_columns / sizeof bw_roster_columns[0];
