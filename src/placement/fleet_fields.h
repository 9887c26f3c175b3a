/* What a Fleet file says, as decoded. Inside this room only. */
#ifndef BW_PLACEMENT_FLEET_FIELDS_H
#define BW_PLACEMENT_FLEET_FIELDS_H

#include "placement/fleet_file.h"

struct bw_fleet_operator {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_yaml_texts jurisdictions;
};
struct bw_fleet_certification {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_yaml_number expires;
};
BW_YAML_LIST(bw_fleet_certifications, struct bw_fleet_certification);

struct bw_fleet_cell {
    struct bw_pos at;
    struct bw_yaml_text name, country;
    struct bw_fleet_operator operated_by;
    struct bw_fleet_certifications certifications;
};
BW_YAML_LIST(bw_fleet_cells, struct bw_fleet_cell);

struct bw_fleet_region {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_yaml_decimal lat, lon;
    struct bw_yaml_texts countries;
};
BW_YAML_LIST(bw_fleet_regions, struct bw_fleet_region);

/* Lists of short lists: [a, b] and [a, b, 12]. */
BW_YAML_LIST(bw_fleet_tuples, struct bw_yaml_texts);

struct bw_fleet_rtt {
    struct bw_pos at;
    struct bw_yaml_decimal same, fallback;
    struct bw_fleet_tuples pairs;
};
struct bw_fleet_legs {
    struct bw_pos at;
    struct bw_fleet_tuples deny;
};

struct bw_fleet_relay {
    struct bw_pos at;
    struct bw_yaml_text id, site, region, country;
    struct bw_fleet_operator operated_by;
    struct bw_fleet_certifications certifications;
    struct bw_yaml_number capacity;
    struct bw_yaml_decimal load;
    struct bw_yaml_number state, version, media, cascade;
    struct bw_yaml_texts tenants;
    struct bw_yaml_numbers connectors;
    struct bw_yaml_number far_leg;
    struct bw_yaml_texts stores;
};
BW_YAML_LIST(bw_fleet_relays, struct bw_fleet_relay);

struct bw_fleet_file {
    struct bw_pos at;
    struct bw_yaml_number api_version, kind;
    struct bw_fleet_cells cells;
    struct bw_fleet_regions regions;
    struct bw_fleet_rtt rtt;
    struct bw_fleet_legs legs;
    struct bw_fleet_relays relays;
};

#endif
