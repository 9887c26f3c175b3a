/* Damaged messages: whatever passes the scan can be unpacked, packed and printed, and packs to the same bytes
 * ever after. Seeded, so that a failure can be repeated; BW_SEED and BW_MUTATIONS override. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "sample.h"
#include "wire/wire.h"

enum { MUTATIONS = 200000, MUTATIONS_PER_SAMPLE = 20, ARENA_BYTES = 8 << 20 };

static uint64_t setting(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : standard;
}

static void flip(uint8_t *data, size_t len, uint64_t *state)
{
    data[sample_random(state) % len] ^= (uint8_t)(1U << sample_random(state) % 8);
}

static void overwrite(uint8_t *data, size_t len, uint64_t *state)
{
    static const uint8_t interesting[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xc0, 0x0a, 0x08};
    data[sample_random(state) % len] = interesting[sample_random(state) % sizeof interesting];
}

static void swap_ranges(uint8_t *data, size_t len, uint64_t *state)
{
    size_t n = 1 + sample_random(state) % (len < 16 ? len : 16);
    size_t from = sample_random(state) % (len - n + 1), to = sample_random(state) % (len - n + 1);
    memmove(data + to, data + from, n);
}

/* Returns a damaged copy of exactly its size, so that a sanitizer sees one byte too many. */
static uint8_t *mutate(const struct bw_buf *sample, size_t *len, uint64_t *state)
{
    size_t n = sample->len;
    uint8_t *copy = malloc(n + 16);
    assert_non_null(copy);
    memcpy(copy, sample->data, n);
    for (uint64_t times = 1 + sample_random(state) % 3; times > 0; times--) {
        switch (sample_random(state) % 5) {
        case 0:
            flip(copy, n, state);
            break;
        case 1:
            overwrite(copy, n, state);
            break;
        case 2:
            swap_ranges(copy, n, state);
            break;
        case 3:
            n = 1 + sample_random(state) % n;
            break;
        default: /* something more at the end */
            if (n < sample->len + 16)
                copy[n++] = (uint8_t)sample_random(state);
        }
    }
    uint8_t *exact = malloc(n);
    assert_non_null(exact);
    memcpy(exact, copy, n);
    free(copy);
    *len = n;
    return exact;
}

/* Whether it was accepted. */
static bool try(const struct bw_wire_message *table, const uint8_t *data, size_t len)
{
    struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
    struct bw_buf once = {0}, again = {0};
    struct bw_error err = {0};
    const ProtobufCMessage *message = NULL, *second = NULL;
    enum bw_code code = bw_wire_decode(table->descriptor, bw_view_of(data, len), arena, &message, &err);
    if (code == BW_OK) {
        assert_int_equal(bw_wire_encode(message, &once), BW_OK);
        if (bw_wire_decode(table->descriptor, bw_buf_view(&once), arena, &second, &err) != BW_OK)
            fail_msg("%s: what was accepted is refused when it is written again: %s", table->full_name,
                     err.show);
        assert_int_equal(bw_wire_encode(second, &again), BW_OK);
        assert_true(bw_view_equal(bw_buf_view(&once), bw_buf_view(&again)));
        bw_buf_clear(&again);
        bw_wire_to_json(second, &again);
        assert_false(again.failed);
    } else {
        assert_int_equal(code, BW_INVALID_ARGUMENT);
        assert_int_equal(bw_arena_used(arena), 0);
        assert_true(err.show[0] != '\0');
    }
    bw_buf_finish(&once);
    bw_buf_finish(&again);
    bw_arena_destroy(arena);
    return code == BW_OK;
}

static void damaged_messages_are_refused_or_mean_one_thing(void **state)
{
    (void)state;
    uint64_t seed = setting("BW_SEED", 20261121), start = seed;
    uint64_t mutations = setting("BW_MUTATIONS", MUTATIONS), accepted = 0, done = 0;
    while (done < mutations) {
        const struct bw_wire_message *table = &bw_wire_messages[sample_random(&seed) % bw_wire_message_count];
        struct bw_buf sample = {0};
        sample_message(table, &seed, &sample);
        for (int i = 0; sample.len > 0 && i < MUTATIONS_PER_SAMPLE && done < mutations; i++, done++) {
            size_t len;
            uint8_t *data = mutate(&sample, &len, &seed);
            accepted += try(table, data, len);
            free(data);
        }
        bw_buf_finish(&sample);
    }
    print_message("seed %llu: %llu mutations, %llu accepted\n", (unsigned long long)start,
                  (unsigned long long)done, (unsigned long long)accepted);
    /* both outcomes are really exercised */
    assert_true(accepted > done / 100 && accepted < done * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(damaged_messages_are_refused_or_mean_one_thing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
