#include "wire/wire.h"

#include "wire/scan.h"

static void *arena_alloc(void *arena, size_t bytes)
{
    return bw_arena_alloc(arena, bytes);
}

static void arena_free(void *arena, void *p)
{
    (void)arena;
    (void)p; /* goes with the arena */
}

ProtobufCAllocator bw_wire_allocator(struct bw_arena *arena)
{
    return (ProtobufCAllocator){.alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
}

enum bw_code bw_wire_decode_limited(const ProtobufCMessageDescriptor *descriptor, struct bw_view bytes,
                                    size_t max_fields, struct bw_arena *arena, const ProtobufCMessage **out,
                                    struct bw_error *err)
{
    enum bw_code code = bw_wire_scan_limited(descriptor, bytes, max_fields, err);
    if (code != BW_OK)
        return code;
    ProtobufCAllocator allocator = bw_wire_allocator(arena);
    /* protobuf-c reads no byte of an empty message but wants a pointer. */
    const uint8_t *data = bytes.data != NULL ? bytes.data : (const uint8_t *)"";
    const ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, bytes.len, data);
    if (message == NULL) /* what the scan lets pass is well-formed, so only memory can be missing */
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                       "the message needs more memory than one call may use");
    *out = message;
    return BW_OK;
}

enum bw_code bw_wire_decode(const ProtobufCMessageDescriptor *descriptor, struct bw_view bytes,
                            struct bw_arena *arena, const ProtobufCMessage **out, struct bw_error *err)
{
    return bw_wire_decode_limited(descriptor, bytes, BW_WIRE_MAX_TREE_FIELDS, arena, out, err);
}

enum bw_code bw_wire_scan(const ProtobufCMessageDescriptor *descriptor, struct bw_view bytes,
                          struct bw_error *err)
{
    return bw_wire_scan_limited(descriptor, bytes, BW_WIRE_MAX_TREE_FIELDS, err);
}

enum bw_code bw_wire_encode(const ProtobufCMessage *message, struct bw_buf *buf)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (!bw_buf_reserve(buf, len))
        return BW_RESOURCE_EXHAUSTED;
    if (len > 0)
        buf->len += protobuf_c_message_pack(message, buf->data + buf->len);
    return BW_OK;
}
