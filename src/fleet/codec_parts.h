/* Small steps both halves of the codec take. For codec_*.c alone. */
#ifndef BW_FLEET_CODEC_PARTS_H
#define BW_FLEET_CODEC_PARTS_H

#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"
#include "fleet/resource.h"

/* An encoder's arena with a sticky failure, so that a message is built straight down and checked once. */
struct codec_out {
    struct bw_arena *arena;
    bool failed;
};

static inline void *codec_alloc(struct codec_out *out, size_t count, size_t bytes)
{
    void *p = bw_arena_zalloc(out->arena, count > 0 ? count : 1, bytes);
    if (p == NULL)
        out->failed = true;
    return p;
}

/* protobuf-c's empty string for an empty view: the field is then absent on the wire. */
static inline const char *codec_text(struct codec_out *out, struct bw_view text)
{
    const char *copy = bw_arena_strndup(out->arena, (const char *)text.data, text.len);
    if (copy == NULL)
        out->failed = true;
    return copy;
}

/* Borrowed: protobuf-c only reads when it packs. */
static inline ProtobufCBinaryData codec_bytes(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

static inline ProtobufCBinaryData codec_id(const struct bw_id *id)
{
    return codec_bytes(id->bytes, sizeof id->bytes);
}

/* The scan has checked lengths; an absent field is empty and reads as zeroes. */
static inline void codec_take(ProtobufCBinaryData data, void *out, size_t len)
{
    memset(out, 0, len);
    if (data.len == len)
        memcpy(out, data.data, len);
}

static inline struct bw_id codec_take_id(ProtobufCBinaryData data)
{
    struct bw_id id;
    codec_take(data, id.bytes, sizeof id.bytes);
    return id;
}

static inline struct bw_view codec_view(const char *text)
{
    return text != NULL ? bw_view_str(text) : bw_view_of(NULL, 0);
}

/* False when it is no resource id. */
static inline bool codec_take_resource_id(const char *text, struct bw_resource_id *id,
                                          struct bw_resource_name *name)
{
    return bw_resource_id_parse(codec_view(text), id, name);
}

#endif
