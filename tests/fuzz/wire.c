/* Decoding of messages: the first byte picks a message type, the rest is its bytes. What is accepted encodes
 * to bytes that are accepted again and encode to themselves, and its JSON is JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "wire/table.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessage *decode(const ProtobufCMessageDescriptor *type, struct bw_view bytes,
                                      struct bw_arena *arena)
{
    const ProtobufCMessage *message = NULL;
    struct bw_error err;
    if (bw_wire_decode(type, bytes, arena, &message, &err) == BW_OK)
        return message;
    BW_CHECK(!message && err.show[0] != '\0');
    return NULL;
}

static void check_message(const ProtobufCMessageDescriptor *type, const ProtobufCMessage *message,
                          struct bw_arena *arena)
{
    struct bw_buf once = {0}, twice = {0}, text = {0};
    BW_CHECK(bw_wire_encode(message, &once) == BW_OK);
    const ProtobufCMessage *again = decode(type, bw_buf_view(&once), arena);
    BW_CHECK(again);
    BW_CHECK(bw_wire_encode(again, &twice) == BW_OK);
    BW_CHECK(bw_view_equal(bw_buf_view(&once), bw_buf_view(&twice)));

    bw_wire_to_json(message, &text);
    json_t *json =
        json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    BW_CHECK(json);
    json_decref(json);
    bw_buf_finish(&once);
    bw_buf_finish(&twice);
    bw_buf_finish(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = bw_wire_messages[data[0] % bw_wire_message_count].descriptor;
    struct bw_arena *arena = bw_arena_create((size_t)64 << 20);
    if (!arena)
        return 0;
    const ProtobufCMessage *message = decode(type, bw_view_of(data + 1, size - 1), arena);
    if (message)
        check_message(type, message, arena);
    bw_arena_destroy(arena);
    return 0;
}
