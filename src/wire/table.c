#include "wire/table.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "wire/wire.h"

/* Open addressing by the descriptor's address; filled once. The size is a power of two well above the number
 * of messages, which the fill asserts. */
enum { SLOTS = 1024 };

static const struct bw_wire_message *slots[SLOTS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static size_t slot_of(const ProtobufCMessageDescriptor *descriptor)
{
    uintptr_t address = (uintptr_t)descriptor;
    return (size_t)((address >> 5) * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}

static void fill(void)
{
    BW_CHECK(bw_wire_message_count < SLOTS / 2);
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        const struct bw_wire_message *table = &bw_wire_messages[i];
        BW_CHECK(table->descriptor->n_fields == table->field_count);
        size_t slot = slot_of(table->descriptor);
        while (slots[slot] != NULL)
            slot = (slot + 1) % SLOTS;
        slots[slot] = table;
    }
}

const struct bw_wire_message *bw_wire_table(const ProtobufCMessageDescriptor *descriptor)
{
    pthread_once(&filled, fill);
    size_t slot = slot_of(descriptor);
    while (slots[slot] != NULL && slots[slot]->descriptor != descriptor)
        slot = (slot + 1) % SLOTS;
    return slots[slot];
}

const char *bw_wire_enum_name(const struct bw_wire_enum *e, int64_t value)
{
    if (value >= 0 && (uint64_t)value < e->count && e->values[value] == value)
        return e->names[value];
    for (size_t i = 0; i < e->count; i++)
        if (e->values[i] == value)
            return e->names[i];
    return NULL;
}

const ProtobufCMessageDescriptor *bw_wire_find(const char *full_name)
{
    for (size_t i = 0; i < bw_wire_message_count; i++)
        if (strcmp(bw_wire_messages[i].full_name, full_name) == 0)
            return bw_wire_messages[i].descriptor;
    return NULL;
}

struct bw_view bw_wire_descriptor_set(void)
{
    return bw_view_of(bw_wire_descriptor_bytes, bw_wire_descriptor_len);
}
