#include "crypto/merkle.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

static const uint8_t leaf_prefix = 0, node_prefix = 1;

void bw_merkle_leaf(struct bw_view data, struct bw_merkle_hash *out)
{
    struct bw_sha256 state;
    bw_sha256_init(&state);
    bw_sha256_update(&state, &leaf_prefix, 1);
    bw_sha256_update(&state, data.data, data.len);
    bw_sha256_final(&state, out->bytes);
}

void bw_merkle_node(const struct bw_merkle_hash *left, const struct bw_merkle_hash *right,
                    struct bw_merkle_hash *out)
{
    struct bw_sha256 state;
    bw_sha256_init(&state);
    bw_sha256_update(&state, &node_prefix, 1);
    bw_sha256_update(&state, left->bytes, sizeof left->bytes);
    bw_sha256_update(&state, right->bytes, sizeof right->bytes);
    bw_sha256_final(&state, out->bytes);
}

void bw_merkle_finish(struct bw_merkle *tree)
{
    bw_free(tree->hashes);
    memset(tree, 0, sizeof *tree);
}

void bw_merkle_clear(struct bw_merkle *tree)
{
    tree->leaves = 0;
    tree->sealed = false;
}

static enum bw_code reserve(struct bw_merkle *tree, size_t hashes, struct bw_error *err)
{
    if (hashes <= tree->capacity)
        return BW_OK;
    size_t capacity = tree->capacity ? tree->capacity : 32;
    while (capacity < hashes)
        capacity *= 2;
    struct bw_merkle_hash *grown = bw_realloc(tree->hashes, capacity * sizeof *grown);
    if (grown == NULL)
        return bw_fail_memory(err);
    tree->hashes = grown;
    tree->capacity = capacity;
    return BW_OK;
}

enum bw_code bw_merkle_add(struct bw_merkle *tree, const struct bw_merkle_hash *leaf, struct bw_error *err)
{
    BW_CHECK(!tree->sealed && tree->leaves < UINT32_MAX);
    enum bw_code code = reserve(tree, (size_t)tree->leaves + 1, err);
    if (code != BW_OK)
        return code;
    tree->hashes[tree->leaves++] = *leaf;
    return BW_OK;
}

static size_t level_above(size_t width)
{
    return width / 2 + width % 2;
}

enum bw_code bw_merkle_seal(struct bw_merkle *tree, struct bw_merkle_hash *root, struct bw_error *err)
{
    BW_CHECK(!tree->sealed);
    if (tree->leaves == 0) {
        bw_sha256(bw_view_of(NULL, 0), root->bytes);
        tree->sealed = true;
        return BW_OK;
    }
    size_t total = tree->leaves;
    for (size_t width = tree->leaves; width > 1; width = level_above(width))
        total += level_above(width);
    enum bw_code code = reserve(tree, total, err);
    if (code != BW_OK)
        return code;
    /* RFC 6962 splits at the largest power of two below n; pairing from the left and carrying a lone last
     * hash up unchanged builds that same tree. */
    struct bw_merkle_hash *level = tree->hashes;
    for (size_t width = tree->leaves; width > 1; width = level_above(width)) {
        struct bw_merkle_hash *above = level + width;
        for (size_t i = 0; i + 1 < width; i += 2)
            bw_merkle_node(&level[i], &level[i + 1], &above[i / 2]);
        if (width % 2 == 1)
            above[width / 2] = level[width - 1];
        level = above;
    }
    *root = *level;
    tree->sealed = true;
    return BW_OK;
}

size_t bw_merkle_path(const struct bw_merkle *tree, uint32_t index,
                      struct bw_merkle_hash path[BW_MERKLE_PATH_MAX])
{
    BW_CHECK(tree->sealed && index < tree->leaves);
    const struct bw_merkle_hash *level = tree->hashes;
    size_t len = 0, at = index;
    for (size_t width = tree->leaves; width > 1; width = level_above(width)) {
        size_t sibling = at ^ 1;
        if (sibling < width)
            path[len++] = level[sibling];
        level += width;
        at /= 2;
    }
    return len;
}

size_t bw_merkle_path_len(uint32_t index, uint32_t leaves)
{
    size_t len = 0, at = index;
    for (size_t width = leaves; width > 1; width = level_above(width)) {
        len += (at ^ 1) < width;
        at /= 2;
    }
    return len;
}

bool bw_merkle_root_of(const struct bw_merkle_hash *leaf, uint32_t index, uint32_t leaves,
                       struct bw_view path, struct bw_merkle_hash *root)
{
    if (index >= leaves || path.len != bw_merkle_path_len(index, leaves) * BW_SHA256_SIZE)
        return false;
    struct bw_merkle_hash at_node = *leaf, sibling;
    struct bw_reader reader = bw_reader_of(path);
    size_t at = index;
    for (size_t width = leaves; width > 1; width = level_above(width)) {
        if ((at ^ 1) < width) {
            bw_read_copy(&reader, sibling.bytes, sizeof sibling.bytes);
            if (at % 2 == 1)
                bw_merkle_node(&sibling, &at_node, &at_node);
            else
                bw_merkle_node(&at_node, &sibling, &at_node);
        }
        at /= 2;
    }
    if (!bw_reader_done(&reader))
        return false;
    *root = at_node;
    return true;
}
