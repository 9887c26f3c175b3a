/* The strict reader: any bytes give a tree or an error, never both missing; what is reported can be printed,
 * in ASCII alone; caps hold. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "yaml/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t depth_of(const struct bw_yaml_node *node)
{
    size_t deepest = 0;
    for (size_t i = 0; i < node->count; i++) {
        size_t depth = depth_of(node->kind == BW_YAML_LIST ? node->items[i] : node->entries[i].value);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static void check_ascii(const struct bw_buf *text)
{
    for (size_t i = 0; i < text->len; i++)
        BW_CHECK(text->data[i] < 0x80);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_arena *arena = bw_arena_create((size_t)16 << 20);
    if (!arena)
        return 0;
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = "fuzz.yaml", .text = bw_view_of(data, size)};
    struct bw_yaml_stats stats = {0};
    const struct bw_yaml_node *root = bw_yaml_read(&source, arena, &diags, &stats);
    BW_CHECK(root || !bw_diags_ok(&diags));
    BW_CHECK(size <= BW_YAML_MAX_BYTES || !bw_diags_ok(&diags));
    BW_CHECK(stats.max_depth <= BW_YAML_MAX_DEPTH + 1 && stats.events <= BW_YAML_MAX_EVENTS + 1);
    if (root && bw_diags_ok(&diags))
        BW_CHECK(depth_of(root) <= BW_YAML_MAX_DEPTH + 1);

    struct bw_buf out = {0};
    bw_diags_sort(&diags);
    bw_diags_human(&diags, false, &out);
    check_ascii(&out);
    bw_buf_clear(&out);
    bw_diags_json(&diags, &out);
    check_ascii(&out);
    bw_buf_finish(&out);
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
    return 0;
}
