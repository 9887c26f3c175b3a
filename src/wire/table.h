/* The shape of every message as the build writes it from the .proto files (gen/): what the pre-scan enforces
 * and what the JSON printer names. Fields stand in the order of their numbers, as protobuf-c's own do.
 * Threads: immutable. */
#ifndef BW_WIRE_TABLE_H
#define BW_WIRE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "bailiwick/v1/annotations.pb-c.h"
#include "base/buf.h"

/* Scalar types that no message of ours uses are not here; the generator refuses them. */
enum bw_wire_kind {
    BW_WIRE_BOOL,
    BW_WIRE_INT32,
    BW_WIRE_INT64,
    BW_WIRE_UINT32,
    BW_WIRE_UINT64,
    BW_WIRE_ENUM,
    BW_WIRE_STRING,
    BW_WIRE_BYTES,
    BW_WIRE_MESSAGE,
};

enum bw_wire_flag {
    BW_WIRE_REPEATED = 1 << 0,
    BW_WIRE_MAP = 1 << 1, /* repeated entries of field 1 (key) and 2 (value) */
    BW_WIRE_REQUIRED = 1 << 2,
    BW_WIRE_RANGE = 1 << 3, /* min and max hold */
    BW_WIRE_ONEOF = 1 << 4,
};

/* What bounds the per-message bookkeeping of the scan; the generator refuses a message that exceeds them. */
enum {
    BW_WIRE_MAX_FIELDS = 64,
    BW_WIRE_MAX_NUMBER = 127,
    BW_WIRE_MAX_REPEATED = 16,
    BW_WIRE_MAX_ONEOFS = 32
};

struct bw_wire_enum {
    const char *full_name;
    const int32_t *values; /* ascending */
    const char *const *names;
    size_t count;
};

struct bw_wire_field {
    const char *name, *json_name;
    uint32_t min_len, max_len; /* of strings and bytes */
    uint32_t max_items;        /* of repeated fields */
    int64_t min, max;          /* of numbers, when BW_WIRE_RANGE */
    uint16_t target;           /* index of the message or enum */
    uint8_t number;
    uint8_t kind;    /* enum bw_wire_kind */
    uint8_t flags;   /* enum bw_wire_flag */
    uint8_t grammar; /* Bailiwick__V1__Rule__Grammar */
    uint8_t oneof;   /* index, when BW_WIRE_ONEOF */
    uint8_t repeat;  /* index among the message's repeated fields, when BW_WIRE_REPEATED */
};

struct bw_wire_message {
    const char *full_name;
    const ProtobufCMessageDescriptor *descriptor;
    const struct bw_wire_field *fields;
    const uint8_t *by_number; /* field number to index + 1; 0: no such field */
    uint64_t required;        /* bit per field index */
    uint8_t field_count;
    uint8_t max_number;
};

extern const struct bw_wire_message bw_wire_messages[];
extern const size_t bw_wire_message_count;
extern const struct bw_wire_enum bw_wire_enums[];
extern const size_t bw_wire_enum_count;
extern const uint8_t bw_wire_descriptor_bytes[];
extern const size_t bw_wire_descriptor_len;

/* The table of a message; NULL for one that is not of ours. */
const struct bw_wire_message *bw_wire_table(const ProtobufCMessageDescriptor *descriptor);
/* The name of an enum's value; NULL when it has no such value. */
const char *bw_wire_enum_name(const struct bw_wire_enum *e, int64_t value);

#endif
