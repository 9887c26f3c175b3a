/* Files of kind Fleet: a fleet written down, for tests, for explaining offline and for planning. What such a
 * file does not state: a relay serves, has load 0, room for 500, version 1, opaque media, may cascade and
 * serves all tenants; its place, site, region, operator and certifications are then simply not known.
 * Threads: pure. */
#ifndef BW_PLACEMENT_FLEET_FILE_H
#define BW_PLACEMENT_FLEET_FILE_H

#include "placement/snapshot.h"
#include "yaml/field.h"

/* Reads a fleet into facts and snapshot in one. INVALID_ARGUMENT with everything wrong in diags and the first
 * error in err. *snapshot is the caller's reference. Relays are numbered 1… in the order of their names. */
BW_MUST_USE enum bw_code bw_fleet_load(const struct bw_source *source, struct bw_diags *diags,
                                       struct bw_snapshot **snapshot, struct bw_error *err);

/* For the JSON Schema and the reference pages. */
extern const struct bw_field_table bw_fleet_table;

/* Grammar of a code that policy/territory.h knows; for files of this room. */
extern const struct bw_grammar bw_grammar_place;

#endif
