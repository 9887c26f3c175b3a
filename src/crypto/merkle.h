/* Merkle trees as RFC 6962 builds them: leaf hash SHA-256(0x00 || data), node hash SHA-256(0x01 || left ||
 * right), so that no node passes for a leaf. One tree is a batch: its leaves are added, it is sealed once,
 * then gives the root and any leaf's path. Threads: one at a time a tree; verification is pure. */
#ifndef BW_CRYPTO_MERKLE_H
#define BW_CRYPTO_MERKLE_H

#include <stdbool.h>

#include "base/status.h"
#include "crypto/hash.h"

enum { BW_MERKLE_PATH_MAX = 32 }; /* hashes in a path: leaf counts are 32-bit */

struct bw_merkle_hash {
    uint8_t bytes[BW_SHA256_SIZE];
};

void bw_merkle_leaf(struct bw_view data, struct bw_merkle_hash *out);
void bw_merkle_node(const struct bw_merkle_hash *left, const struct bw_merkle_hash *right,
                    struct bw_merkle_hash *out);

/* All-zero is a valid empty tree. */
struct bw_merkle {
    struct bw_merkle_hash *hashes; /* the leaves, then after sealing each level above them up to the root */
    uint32_t leaves;
    size_t capacity;
    bool sealed;
};

void bw_merkle_finish(struct bw_merkle *tree);
/* Forgets the leaves, keeps the memory. */
void bw_merkle_clear(struct bw_merkle *tree);
/* The leaf's index is the number of leaves before it. The tree is not sealed (an invariant of ours).
 * RESOURCE_EXHAUSTED, and the tree is as it was. */
BW_MUST_USE enum bw_code bw_merkle_add(struct bw_merkle *tree, const struct bw_merkle_hash *leaf,
                                       struct bw_error *err);
/* Computes all levels and the root; the root of no leaves is SHA-256 of nothing. RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_merkle_seal(struct bw_merkle *tree, struct bw_merkle_hash *root,
                                        struct bw_error *err);
/* Writes the inclusion path of a leaf of a sealed tree, from the leaf up, and returns its length. */
size_t bw_merkle_path(const struct bw_merkle *tree, uint32_t index,
                      struct bw_merkle_hash path[BW_MERKLE_PATH_MAX]);

/* Length of the path of leaf `index` among `leaves`; index < leaves. */
size_t bw_merkle_path_len(uint32_t index, uint32_t leaves);
/* Folds a leaf hash and its path (length * 32 bytes) into the root they prove, RFC 9162 2.1.3.2; false when
 * the path does not have exactly the length that index and leaves ask for. */
bool bw_merkle_root_of(const struct bw_merkle_hash *leaf, uint32_t index, uint32_t leaves,
                       struct bw_view path, struct bw_merkle_hash *root);

#endif
