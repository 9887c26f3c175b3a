/* After use no key is left in the process: every writable mapping is searched for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/secret.h"
#include "crypto/secure.h"
#include "fixture.h"
#include "vault/capsules.h"

/* A sanitizer's shadow is terabytes of writable mappings. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { NEEDLE = 16, NEEDLES = 3 };

/* What is looked for, each bit of it flipped, so that it is not what is found. */
struct needle {
    const char *name;
    uint8_t flipped[NEEDLE];
};

static void remember(struct needle *needle, const char *name, const uint8_t *key)
{
    needle->name = name;
    for (size_t i = 0; i < NEEDLE; i++)
        needle->flipped[i] = (uint8_t)(0xff - key[i]);
}

static size_t count_in(const struct needle *needle, const volatile uint8_t *from, size_t len)
{
    size_t found = 0;
    for (size_t at = 0; at + NEEDLE <= len; at++) {
        size_t same = 0;
        while (same < NEEDLE && (from[at + same] ^ needle->flipped[same]) == 0xff)
            same++;
        found += same == NEEDLE;
    }
    return found;
}

static size_t count_everywhere(const struct needle *needle)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    char line[512];
    size_t found = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && mode[0] == 'r' && mode[1] == 'w')
            found += count_in(needle, (const volatile uint8_t *)from,
                              to - from); // NOLINT(performance-no-int-to-ptr)
    }
    fclose(maps);
    return found;
}

/* Seals and opens with every kind of key; the fixture is used up. */
static void use_keys(struct fixture *f, struct needle *needles, bool finish)
{
    static const struct bw_seal_place place = {.row = {{0x33}}, .table = "qchk", .column = "body"};
    static const struct bw_record_info info = {.type = BW_RECORD_CHUNK};
    static const char text[] = "a plaintext that is nowhere else";
    fixture_init(f);
    struct bw_meeting_key_row row;
    struct bw_record_info got;
    const struct bw_sealing_key *key = fixture_key(f, &f->meeting, &row);
    remember(&needles[0], "the meeting key", f->stream.last);
    remember(&needles[1], "the ephemeral key", f->stream.last + 32);
    bw_wipe(f->stream.last, sizeof f->stream.last);
    /* The active key of FIXTURE_KEYRING: 00 11 22 ... ff. */
    needles[2].name = "the root key";
    for (size_t i = 0; i < NEEDLE; i++)
        needles[2].flipped[i] = (uint8_t)(0xff - 0x11 * i);

    struct bw_buf record = {0}, plain = {0}, entry = {0};
    assert_int_equal(bw_sealer_record(f->sealer, key, &info, &place, bw_view_str(text), &record, NULL),
                     BW_OK);
    assert_int_equal(bw_sealer_roster_entry(f->sealer, key, &f->meeting, bw_view_str(text), &entry, NULL),
                     BW_OK);
    fixture_bring(f, &row);
    struct bw_record_context context = {.tenant = f->tenant, .meeting = f->meeting, .row = place.row};
    memcpy(context.table, place.table, sizeof context.table);
    memcpy(context.column, place.column, sizeof context.column);
    assert_int_equal(
        bw_opener_record(f->opener, &context, bw_buf_view(&record), FIXTURE_NOW, &got, &plain, NULL), BW_OK);
    assert_int_equal(bw_opener_roster_entry(f->opener, &f->tenant, &f->meeting, &f->meeting,
                                            bw_buf_view(&entry), FIXTURE_NOW, &plain, NULL),
                     BW_OK);
    bw_buf_finish(&record);
    bw_buf_finish(&plain);
    bw_buf_finish(&entry);
    if (finish)
        fixture_finish(f);
}

static void no_key_is_left_after_use(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    struct fixture f;
    struct needle needles[NEEDLES];
    use_keys(&f, needles, false);
    /* The search does find: the meeting key is in the sealer and in the opener. */
    assert_true(count_everywhere(&needles[0]) >= 2);
    fixture_finish(&f);
    for (size_t i = 0; i < NEEDLES; i++)
        if (count_everywhere(&needles[i]) != 0)
            fail_msg("%s is still in memory", needles[i].name);
}

/* Capsules made ahead: each goes out of the pool as it is used, the others with their scope key. */
static void no_capsule_is_left_after_use(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    struct fixture f;
    fixture_init(&f);
    struct stream stream = {.next = 700000};
    const struct bw_capsules_config config = {.random = stream_fill, .random_context = &stream};
    struct bw_capsules *capsules = NULL;
    struct bw_hpke_capsule capsule;
    struct needle used, wiped;
    assert_int_equal(bw_capsules_create(&config, &capsules, NULL), BW_OK);
    assert_false(bw_capsules_take(capsules, &f.scope, 1, &capsule));
    struct needle *const needles[] = {&wiped, &used}; /* the last one made is the first to be taken */
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(bw_capsules_make(capsules, 1), BW_CAPSULES_MADE);
        assert_int_equal(bw_hpke_encapsulate(f.scope.public_key, stream.last, &capsule, NULL), BW_OK);
        remember(needles[i], "the shared secret", capsule.shared);
        bw_wipe(&capsule, sizeof capsule);
        bw_wipe(stream.last, sizeof stream.last);
        assert_int_equal(count_everywhere(needles[i]), 1);
    }
    struct bw_gcm *gcm = NULL;
    uint8_t enc[BW_X25519_SIZE], sealed[1 + BW_HPKE_OVERHEAD];
    const struct bw_view none = bw_view_of(NULL, 0);
    assert_int_equal(bw_gcm_create(&gcm, NULL), BW_OK);
    assert_true(bw_capsules_take(capsules, &f.scope, 1, &capsule));
    assert_int_equal(count_everywhere(&used), 1); /* handed out, not copied */
    assert_int_equal(bw_hpke_seal_with(gcm, &capsule, none, none, bw_view_str("x"), enc, sealed, NULL),
                     BW_OK);
    assert_int_equal(count_everywhere(&used), 0);
    assert_int_equal(count_everywhere(&wiped), 1);
    f.scope.id = id_of(0x66);
    assert_false(bw_capsules_take(capsules, &f.scope, 1, &capsule));
    assert_int_equal(count_everywhere(&wiped), 0);
    bw_gcm_destroy(gcm);
    bw_capsules_destroy(capsules);
    fixture_finish(&f);
}

/* Last: it changes where keys lie for the rest of the process. */
static void no_key_is_left_in_secure_memory_either(void **state)
{
    (void)state;
    bool locked = false;
    assert_int_equal(bw_secure_start(1 << 16, &locked, NULL), BW_OK);
    uint8_t *p = bw_secure_alloc(32);
    assert_non_null(p);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(p[i], 0);
    bw_secure_free(p, 32);
    bw_secure_free(NULL, 32);
    assert_null(bw_secure_alloc(1 << 20)); /* more than there is: no fall back to ordinary memory */
    struct fixture f;
    struct needle needles[NEEDLES];
    use_keys(&f, needles, true);
    if (SANITIZED)
        skip();
    for (size_t i = 0; i < NEEDLES; i++)
        if (count_everywhere(&needles[i]) != 0)
            fail_msg("%s is still in memory", needles[i].name);
}

/* The dynamic linker puts vector registers on the stack when it looks a function up at its first call, and
 * with them whatever a copy of a key left there. A process that handles keys looks all of them up at its
 * start. */
static void restart_with_everything_bound(char **argv)
{
    if (getenv("LD_BIND_NOW") != NULL)
        return;
    if (setenv("LD_BIND_NOW", "1", 1) == 0)
        execv("/proc/self/exe", argv);
    perror("cannot restart");
    exit(1);
}

int main(int argc, char **argv)
{
    (void)argc;
    restart_with_everything_bound(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_is_left_after_use),
        cmocka_unit_test(no_capsule_is_left_after_use),
        cmocka_unit_test(no_key_is_left_in_secure_memory_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
