/* Protobuf in and out. The messages are those of proto/bailiwick/v1, as protobuf-c generates them
 * (#include "bailiwick/v1/meeting.pb-c.h"). Nothing else of ours decodes protobuf with protobuf-c, because on
 * its own it accepts too much: unknown fields, duplicates, invalid UTF-8, any depth. So every decode is a
 * strict scan of the bytes first, against the rules that the .proto files state.
 *
 * Threads: everything here is pure but for the arena and buffer it is given. */
#ifndef BW_WIRE_WIRE_H
#define BW_WIRE_WIRE_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

enum {
    /* How deep messages nest. The build checks that no message type of ours can go deeper or holds itself, so
     * deeper input necessarily meets an unknown field. */
    BW_WIRE_MAX_DEPTH = 32,
    /* Fields of one message with all its submessages; each costs memory when it is unpacked. */
    BW_WIRE_MAX_TREE_FIELDS = 10000,
};

/* Refuses bytes that are not exactly a message of this type: unknown fields at any depth, wrong wire types,
 * more than BW_WIRE_MAX_TREE_FIELDS fields, a singular field or a oneof set twice, a required field missing,
 * invalid UTF-8 or NUL in a string, varints that are over-long or not minimal, lengths, list sizes, numbers,
 * enum values and grammars outside their rules.
 * INVALID_ARGUMENT MALFORMED_MESSAGE; err->show is "participants[3].country: 12 bytes, at most 6": the path
 * from the message, and what is wrong, which never quotes text of the message. */
BW_MUST_USE enum bw_code bw_wire_scan(const ProtobufCMessageDescriptor *descriptor, struct bw_view bytes,
                                      struct bw_error *err);

/* Scans, then unpacks into the arena. *out lives as long as the arena and is not freed on its own.
 * As bw_wire_scan; RESOURCE_EXHAUSTED when the arena is full. */
BW_MUST_USE enum bw_code bw_wire_decode(const ProtobufCMessageDescriptor *descriptor, struct bw_view bytes,
                                        struct bw_arena *arena, const ProtobufCMessage **out,
                                        struct bw_error *err);

/* As bw_wire_decode with another cap on fields: for our own decision records and long answers of a server one
 * trusts. */
BW_MUST_USE enum bw_code bw_wire_decode_limited(const ProtobufCMessageDescriptor *descriptor,
                                                struct bw_view bytes, size_t max_fields,
                                                struct bw_arena *arena, const ProtobufCMessage **out,
                                                struct bw_error *err);

/* Appends the serialised message. RESOURCE_EXHAUSTED without memory, which also is the buffer's sticky
 * failure; then nothing was appended. */
enum bw_code bw_wire_encode(const ProtobufCMessage *message, struct bw_buf *buf);

/* Appends the message as JSON, by proto3's mapping (lowerCamelCase names, 64-bit integers as strings, bytes
 * in base64, enums by name) with one choice: scalars and lists are always there, absent messages and oneof
 * members never. Strings that are not UTF-8 get U+FFFD. Out of memory is the buffer's sticky failure. */
void bw_wire_to_json(const ProtobufCMessage *message, struct bw_buf *buf);

/* "bailiwick.v1.Refusal" to its descriptor; NULL when there is none. Linear: for errors' details and tools.
 */
const ProtobufCMessageDescriptor *bw_wire_find(const char *full_name);

/* A serialised google.protobuf.FileDescriptorSet with everything we serve, imports first: for reflection. */
struct bw_view bw_wire_descriptor_set(void);

/* An allocator for protobuf-c over the arena: allocates until the arena is full, frees nothing. */
ProtobufCAllocator bw_wire_allocator(struct bw_arena *arena);

#endif
