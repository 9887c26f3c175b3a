#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "check_alloc.h"
#include "crypto/merkle.h"
#include "hex.h"

/* The leaves and roots of the reference implementation of RFC 6962. */
static const char *const leaves[] = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
};
static const char *const roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void roots_match_the_reference_tree(void **state)
{
    (void)state;
    struct bw_merkle tree = {0};
    for (size_t n = 0; n <= BW_ARRAY_LEN(leaves); n++) {
        bw_merkle_clear(&tree);
        for (size_t i = 0; i < n; i++) {
            struct bw_merkle_hash leaf;
            bw_merkle_leaf(hex(leaves[i]), &leaf);
            assert_int_equal(bw_merkle_add(&tree, &leaf, NULL), BW_OK);
        }
        struct bw_merkle_hash root;
        assert_int_equal(bw_merkle_seal(&tree, &root, NULL), BW_OK);
        assert_memory_equal(root.bytes, hex(roots[n]).data, 32);
    }
    bw_merkle_finish(&tree);
}

/* RFC 6962 2.1 written down literally: split at the largest power of two below n. */
static void root_by_definition(const struct bw_merkle_hash *hashes, size_t n, struct bw_merkle_hash *root)
{
    if (n == 1) {
        *root = hashes[0];
        return;
    }
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    struct bw_merkle_hash left, right;
    root_by_definition(hashes, k, &left);
    root_by_definition(hashes + k, n - k, &right);
    bw_merkle_node(&left, &right, root);
}

static void numbered_leaf(uint32_t i, struct bw_merkle_hash *leaf)
{
    bw_merkle_leaf(bw_view_of(&i, sizeof i), leaf);
}

static void every_leaf_of_every_tree_proves_its_root(void **state)
{
    (void)state;
    static struct bw_merkle_hash hashes[130];
    struct bw_merkle tree = {0};
    for (uint32_t i = 0; i < BW_ARRAY_LEN(hashes); i++)
        numbered_leaf(i, &hashes[i]);
    for (uint32_t n = 1; n <= BW_ARRAY_LEN(hashes); n++) {
        struct bw_merkle_hash root, expected, proven, path[BW_MERKLE_PATH_MAX];
        bw_merkle_clear(&tree);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(bw_merkle_add(&tree, &hashes[i], NULL), BW_OK);
        assert_int_equal(bw_merkle_seal(&tree, &root, NULL), BW_OK);
        root_by_definition(hashes, n, &expected);
        assert_memory_equal(&root, &expected, sizeof root);
        for (uint32_t i = 0; i < n; i++) {
            size_t len = bw_merkle_path(&tree, i, path);
            assert_int_equal(len, bw_merkle_path_len(i, n));
            struct bw_view bytes = bw_view_of(path, len * sizeof path[0]);
            assert_true(bw_merkle_root_of(&hashes[i], i, n, bytes, &proven));
            assert_memory_equal(&proven, &root, sizeof root);
            /* Another place, or another leaf in this place, proves another root or nothing. */
            uint32_t other = (i + 1) % n;
            if (n > 1) {
                if (bw_merkle_root_of(&hashes[i], other, n, bytes, &proven))
                    assert_memory_not_equal(&proven, &root, sizeof root);
                assert_true(bw_merkle_root_of(&hashes[other], i, n, bytes, &proven));
                assert_memory_not_equal(&proven, &root, sizeof root);
            }
        }
    }
    bw_merkle_finish(&tree);
}

static void paths_of_a_wrong_shape_prove_nothing(void **state)
{
    (void)state;
    struct bw_merkle_hash leaf, root, path[4] = {0};
    numbered_leaf(1, &leaf);
    assert_false(bw_merkle_root_of(&leaf, 0, 0, bw_view_of(path, 0), &root));
    assert_false(bw_merkle_root_of(&leaf, 4, 4, bw_view_of(path, 64), &root));
    assert_false(bw_merkle_root_of(&leaf, 0, 4, bw_view_of(path, 32), &root));
    assert_false(bw_merkle_root_of(&leaf, 0, 4, bw_view_of(path, 96), &root));
    assert_false(bw_merkle_root_of(&leaf, 0, 4, bw_view_of(path, 63), &root));
    assert_true(bw_merkle_root_of(&leaf, 0, 4, bw_view_of(path, 64), &root));
}

static void a_node_is_no_leaf(void **state)
{
    (void)state;
    struct bw_merkle_hash a, b, node, leaf;
    numbered_leaf(1, &a);
    numbered_leaf(2, &b);
    bw_merkle_node(&a, &b, &node);
    uint8_t joined[64];
    memcpy(joined, a.bytes, 32);
    memcpy(joined + 32, b.bytes, 32);
    bw_merkle_leaf(bw_view_of(joined, sizeof joined), &leaf);
    assert_memory_not_equal(&node, &leaf, sizeof node);
}

static bool build_tree(void *context)
{
    (void)context;
    struct bw_merkle tree = {0};
    struct bw_merkle_hash leaf, root;
    bool ok = true;
    for (uint32_t i = 0; ok && i < 100; i++) {
        numbered_leaf(i, &leaf);
        ok = bw_merkle_add(&tree, &leaf, NULL) == BW_OK;
        if (!ok)
            assert_int_equal(tree.leaves, i);
    }
    ok = ok && bw_merkle_seal(&tree, &root, NULL) == BW_OK;
    bw_merkle_finish(&tree);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(build_tree, NULL, true) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_match_the_reference_tree),
        cmocka_unit_test(every_leaf_of_every_tree_proves_its_root),
        cmocka_unit_test(paths_of_a_wrong_shape_prove_nothing),
        cmocka_unit_test(a_node_is_no_leaf),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
