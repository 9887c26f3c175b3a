#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "placement/fleet_file.h"

static void must(enum bw_code code, struct bw_diags *diags, const struct bw_error *err)
{
    if (code == BW_OK)
        return;
    struct bw_buf text = {0};
    bw_diags_human(diags, false, &text);
    print_error("%s: %s\n%s", bw_code_name(code), err->show, bw_buf_cstr(&text));
    bw_buf_finish(&text);
    bw_diags_finish(diags);
    fail();
}

static const struct bw_policy_doc *load(struct bw_arena *arena, const char *text,
                                        enum bw_policy_doc_kind kind, const char *file)
{
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = file, .text = bw_view_str(text)};
    const struct bw_policy_options options = {.kind = kind, .accept_later = true};
    const struct bw_policy_doc *doc = NULL;
    struct bw_error err = {0};
    must(bw_policy_check(&source, &options, arena, &diags, &doc, &err), &diags, &err);
    bw_diags_finish(&diags);
    return doc;
}

const struct bw_policy_doc *kit_policy(struct bw_arena *arena, const char *text)
{
    return load(arena, text, BW_POLICY_TENANT, "policy.yaml");
}

const struct bw_policy_doc *kit_meeting_policy(struct bw_arena *arena, const char *text)
{
    return load(arena, text, BW_POLICY_MEETING, "meeting.yaml");
}

struct bw_snapshot *kit_fleet(const char *text)
{
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = "fleet.yaml", .text = bw_view_str(text)};
    struct bw_snapshot *snapshot = NULL;
    struct bw_error err = {0};
    must(bw_fleet_load(&source, &diags, &snapshot, &err), &diags, &err);
    bw_diags_finish(&diags);
    return snapshot;
}

struct bw_request_file kit_request(struct bw_arena *arena, const struct bw_snapshot *snapshot,
                                   const char *text)
{
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = "request.yaml", .text = bw_view_str(text)};
    struct bw_request_file request = {0};
    struct bw_error err = {0};
    must(bw_request_load(&source, snapshot, arena, &diags, &request, &err), &diags, &err);
    bw_diags_finish(&diags);
    return request;
}

struct bw_constraints *kit_compile_input(const struct bw_compile_input *input)
{
    struct bw_constraints *constraints = NULL;
    struct bw_error err = {0};
    if (bw_policy_compile(input, &constraints, &err) != BW_OK) {
        print_error("%s\n", err.show);
        fail();
    }
    return constraints;
}

struct bw_constraints *kit_compile(const struct bw_policy_doc *doc, struct bw_facts *facts, const char *user)
{
    const struct bw_compile_input input = {
        .tenant = doc, .subject = {.user = user}, .role = BW_ROLE_HOST, .facts = facts, .now_ms = KIT_NOW_MS};
    return kit_compile_input(&input);
}

char *kit_file(struct bw_arena *arena, const char *path)
{
    char full[4096];
    snprintf(full, sizeof full, "%s/%s", BW_SOURCE_DIR, path);
    FILE *file = fopen(full, "rb");
    if (file == NULL) {
        print_error("cannot open %s\n", full);
        fail();
        return NULL;
    }
    char *text = bw_arena_zalloc(arena, 1, 300 * 1024);
    assert_non_null(text);
    size_t length = fread(text, 1, 300 * 1024 - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

const char *kit_relays(const struct bw_facts *facts, const struct bw_bitset *set)
{
    static char text[4096];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = bw_bitset_next(set, 0); i < facts->relay_count; i = bw_bitset_next(set, i + 1))
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used == 0 ? "" : " ",
                                 facts->relays[i].name);
    return text;
}

const char *kit_reasons(uint32_t mask)
{
    static char text[1024];
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < BW_REASON_COUNT; i++)
        if (mask & BW_REASON_BIT(i))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used == 0 ? "" : " ",
                                     bw_reason_name((enum bw_reason)i));
    return text;
}

/* splitmix64 */
uint64_t kit_random_u64(struct kit_random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint32_t kit_random_below(struct kit_random *random, uint32_t bound)
{
    return (uint32_t)((kit_random_u64(random) >> 32) * bound >> 32);
}

bool kit_random_chance(struct kit_random *random, uint32_t percent)
{
    return kit_random_below(random, 100) < percent;
}
