/* Files of kind PlacementRequest: one question to the planner, written down. Threads: pure. */
#ifndef BW_PLACEMENT_REQUEST_FILE_H
#define BW_PLACEMENT_REQUEST_FILE_H

#include "placement/place.h"
#include "policy/chain.h"
#include "yaml/field.h"

/* What a participant is, as e2ee spells it ("native", "pstn"); a connector also has its kind in `where`. */
struct bw_request_participant {
    const char *id;
    const char *kind;
    struct bw_participant where;
};

/* Everything lives in the arena given. */
struct bw_request_file {
    const char *tenant;
    struct bw_policy_subject host;
    struct bw_id meeting; /* from its text, or a fixed one when the file names none */
    uint32_t cap_per_relay;
    const struct bw_open_relay *open;
    size_t open_count;
    const struct bw_request_participant *participants;
    const struct bw_participant *where; /* the same, as the planner takes them */
    size_t participant_count;
    const char *cell; /* NULL: not said */
    bool has_at;
    uint64_t at_ms;
};

/* INVALID_ARGUMENT with everything wrong in diags (also what does not fit the fleet) and the first in err. */
BW_MUST_USE enum bw_code bw_request_load(const struct bw_source *source, const struct bw_snapshot *snapshot,
                                         struct bw_arena *arena, struct bw_diags *diags,
                                         struct bw_request_file *request, struct bw_error *err);

/* For the JSON Schema and the reference pages. */
extern const struct bw_field_table bw_request_table;

#endif
