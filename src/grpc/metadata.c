#include "grpc/metadata.h"

#include "grpc/headers.h"

static enum bw_code append(struct bw_metadata *metadata, struct bw_arena *arena, struct bw_view name,
                           struct bw_view value)
{
    struct bw_metadata_entry *entry = bw_arena_zalloc(arena, 1, sizeof *entry);
    if (entry == NULL)
        return BW_RESOURCE_EXHAUSTED;
    entry->name = name;
    entry->value = value;
    if (metadata->last != NULL)
        metadata->last->next = entry;
    else
        metadata->first = entry;
    metadata->last = entry;
    return BW_OK;
}

static bool copy(struct bw_arena *arena, struct bw_view bytes, struct bw_view *out)
{
    const char *data = bw_arena_strndup(arena, (const char *)bytes.data, bytes.len);
    *out = bw_view_of(data, bytes.len);
    return data != NULL;
}

static enum bw_code add_binary(struct bw_metadata *metadata, struct bw_arena *arena, struct bw_view name,
                               struct bw_view value)
{
    size_t start = 0;
    for (size_t i = 0; i <= value.len; i++) {
        if (i < value.len && value.data[i] != ',')
            continue;
        struct bw_view part = bw_view_of(value.data + start, i - start), bytes = {0};
        while (part.len > 0 && part.data[0] == ' ') {
            part.data++;
            part.len--;
        }
        enum bw_code code = bw_grpc_base64_decode(part, arena, &bytes);
        if (code == BW_OK)
            code = append(metadata, arena, name, bytes);
        if (code != BW_OK)
            return code;
        start = i + 1;
    }
    return BW_OK;
}

enum bw_code bw_metadata_add(struct bw_metadata *metadata, struct bw_arena *arena, struct bw_view name,
                             struct bw_view value)
{
    struct bw_view kept_name, kept_value;
    if (!copy(arena, name, &kept_name))
        return BW_RESOURCE_EXHAUSTED;
    if (bw_grpc_is_binary(name))
        return add_binary(metadata, arena, kept_name, value);
    if (!copy(arena, value, &kept_value))
        return BW_RESOURCE_EXHAUSTED;
    return append(metadata, arena, kept_name, kept_value);
}

enum bw_code bw_metadata_add_outgoing(struct bw_metadata *metadata, struct bw_arena *arena,
                                      struct bw_view name, struct bw_view value)
{
    bool binary = bw_grpc_is_binary(name);
    if (!bw_grpc_name_allowed(name) || (!binary && !bw_grpc_value_allowed(value)))
        return BW_INVALID_ARGUMENT;
    struct bw_view kept_name, kept_value;
    if (!copy(arena, name, &kept_name))
        return BW_RESOURCE_EXHAUSTED;
    bool kept;
    if (binary) {
        struct bw_buf text = {0};
        bw_grpc_base64_encode(value, &text);
        kept = !text.failed && copy(arena, bw_buf_view(&text), &kept_value);
        bw_buf_finish(&text);
    } else {
        kept = copy(arena, value, &kept_value);
    }
    return kept ? append(metadata, arena, kept_name, kept_value) : BW_RESOURCE_EXHAUSTED;
}

size_t bw_metadata_count(const struct bw_metadata *metadata)
{
    size_t count = 0;
    for (const struct bw_metadata_entry *entry = metadata->first; entry != NULL; entry = entry->next)
        count++;
    return count;
}

const struct bw_metadata_entry *bw_metadata_find(const struct bw_metadata *metadata, struct bw_view name,
                                                 size_t nth)
{
    for (const struct bw_metadata_entry *entry = metadata->first; entry != NULL; entry = entry->next) {
        if (bw_view_equal(entry->name, name) && nth-- == 0)
            return entry;
    }
    return NULL;
}

const struct bw_metadata_entry *bw_metadata_at(const struct bw_metadata *metadata, size_t nth)
{
    const struct bw_metadata_entry *entry = metadata->first;
    while (entry != NULL && nth-- > 0)
        entry = entry->next;
    return entry;
}
