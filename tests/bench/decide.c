/* What deciding costs, in memory: compiling a policy over a fleet, joining, planning, explaining, and
 * re-checking live meetings. The anchor of joining and checking is an evaluator without bitsets, columns or
 * running sums (string lists and loops over relays and participants), run in turns with ours on the same
 * fleet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "placement/explain.h"
#include "placement/place.h"
#include "policy/compile.h"

enum { ROUNDS = 7, ROUND_MS = 100, RELAYS = 100, REGIONS = 10, PEOPLE = 12, MEETINGS = 1000 };

static const char policy_text[] =
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"
    "entry: { allow: [\"*\"], deny: [KP, RU], unknown: refuse }\n"
    "transit: { allow: [EU, CH, GB], deny: [HU, \"site:s7\"], requireCertifications: [HDS, { anyOf: [C5, "
    "SecNumCloud] }],\n"
    "           operators: { allowJurisdictions: [EU, CH, GB], denyJurisdictions: [US] } }\n"
    "e2ee: { mode: required }\nconnectors: { allow: [] }\n"
    "groups:\n"
    "  - { name: board, match: { members: [\"user:*@board.example\"] }, transit: { allow: [EU, GB] } }\n"
    "  - { name: others, match: { others: true }, transit: { deny: [GB] } }\n";

struct naive_relay {
    const char *country, *law;
    bool hds, c5;
    uint32_t region, load_ppm, room;
};

struct bench {
    struct bw_arena *docs, *arena;
    const struct bw_policy_doc *doc;
    struct bw_source source;
    struct bw_snapshot *snapshot;
    struct bw_constraints *constraints;
    struct bw_place_request request;
    struct bw_open_relay open[2];
    struct bw_participant people[PEOPLE];
    struct bw_request_participant named[PEOPLE];
    struct bw_request_file file;
    uint32_t meetings[MEETINGS][3];
    struct naive_relay naive[RELAYS];
    uint32_t naive_region_us[REGIONS][REGIONS];
    uint32_t naive_where[PEOPLE], naive_count;
    unsigned turn;
    volatile uint64_t sink;
};

static uint64_t random_state = 1;
static uint32_t draw(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Microseconds for one operation. */
static double cost(size_t (*step)(struct bench *bench), struct bench *bench)
{
    double start = now_s(), now;
    size_t done = 0;
    do {
        done += step(bench);
        now = now_s();
    } while (now < start + ROUND_MS * 1e-3);
    return (now - start) * 1e6 / (double)done;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare(const char *name, size_t (*step)(struct bench *bench), const char *anchor,
                    size_t (*anchor_step)(struct bench *bench), struct bench *bench)
{
    double values[ROUNDS], anchors[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        anchors[i] = cost(anchor_step, bench);
        values[i] = cost(step, bench);
    }
    qsort(values, ROUNDS, sizeof *values, by_value);
    qsort(anchors, ROUNDS, sizeof *anchors, by_value);
    double value = values[ROUNDS / 2], anchor_value = anchors[ROUNDS / 2];
    printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"us\", \"better\": \"lower\", \"anchor\": \"%s\", "
           "\"anchor_value\": %.3f, \"ratio\": %.4f}\n",
           name, value, anchor, anchor_value, value / anchor_value);
    fflush(stdout);
}

static size_t read_policy(struct bench *bench)
{
    bw_arena_reset(bench->arena);
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
    const struct bw_policy_doc *doc;
    BW_CHECK(bw_policy_check(&bench->source, &options, bench->arena, &diags, &doc, NULL) == BW_OK);
    bw_diags_finish(&diags);
    return 1;
}

static struct bw_constraints *compiled(struct bench *bench)
{
    const struct bw_compile_input input = {.tenant = bench->doc,
                                           .subject = {.user = "x@acme.example"},
                                           .role = BW_ROLE_HOST,
                                           .facts = bench->snapshot->facts,
                                           .now_ms = 1000};
    struct bw_constraints *constraints;
    BW_CHECK(bw_policy_compile(&input, &constraints, NULL) == BW_OK);
    return constraints;
}

static size_t compile_policy(struct bench *bench)
{
    bw_constraints_release(compiled(bench));
    return 1;
}

static size_t join(struct bench *bench)
{
    struct bw_join answer;
    bw_arena_reset(bench->arena);
    struct bw_participant *joiner = &bench->people[bench->turn++ % PEOPLE];
    BW_CHECK(bw_place_join(&bench->request, joiner, bench->arena, &answer, NULL, NULL) == BW_OK);
    bench->sink += answer.relay;
    return 1;
}

static size_t join_with_trace(struct bench *bench)
{
    struct bw_join answer;
    struct bw_decision_trace trace;
    bw_arena_reset(bench->arena);
    struct bw_participant *joiner = &bench->people[bench->turn++ % PEOPLE];
    BW_CHECK(bw_place_join(&bench->request, joiner, bench->arena, &answer, &trace, NULL) == BW_OK);
    bench->sink += answer.relay + trace.reasons[0];
    return 1;
}

static size_t plan(struct bench *bench)
{
    struct bw_plan answer;
    bw_arena_reset(bench->arena);
    struct bw_place_request request = bench->request;
    request.open_count = 0;
    BW_CHECK(bw_place_plan(&request, bench->people, 6, bench->arena, &answer, NULL, NULL) == BW_OK);
    BW_CHECK(answer.placed);
    return 1;
}

static size_t explain(struct bench *bench)
{
    bw_arena_reset(bench->arena);
    struct bw_explanation explanation;
    struct bw_buf out = {0};
    BW_CHECK(bw_explain_request(bench->doc, NULL, bench->snapshot, &bench->file, NULL, 1000, bench->arena,
                                &explanation, NULL) == BW_OK);
    BW_CHECK(bw_explain_json(&explanation, &out, NULL) == BW_OK);
    bw_explanation_finish(&explanation);
    bw_buf_finish(&out);
    return 1;
}

static size_t check(struct bench *bench)
{
    for (size_t i = 0; i < MEETINGS; i++)
        bench->sink += bw_place_check(bench->snapshot, bench->constraints, bench->meetings[i], 3);
    return MEETINGS;
}

/* The anchor: what a policy says, asked again for every relay. */

static bool listed(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

static bool naive_allows(const struct naive_relay *relay)
{
    static const char *const eu[] = {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI",
                                     "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT",
                                     "NL", "PL", "PT", "RO", "SE", "SI", "SK", NULL};
    static const char *const more[] = {"CH", "GB", NULL}, *const denied[] = {"HU", NULL},
                             *const no_law[] = {"US", NULL}, *const group_denied[] = {"GB", NULL};
    bool place = listed(relay->country, eu) || listed(relay->country, more);
    bool law = listed(relay->law, eu) || listed(relay->law, more);
    return place && law && !listed(relay->country, denied) && !listed(relay->law, no_law) &&
           !listed(relay->country, group_denied) && relay->hds && relay->c5;
}

static double naive_score(const struct bench *bench, uint32_t region, uint32_t relay)
{
    uint32_t where[PEOPLE + 1], regions[PEOPLE + 1], n = bench->naive_count + 1;
    double pairs = 0, access = 0, load = 0;
    for (uint32_t i = 0; i < bench->naive_count; i++) {
        where[i] = bench->naive_where[i];
        regions[i] = bench->people[i].region;
    }
    where[n - 1] = relay;
    regions[n - 1] = region;
    uint32_t relays = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool first = true;
        access += bench->naive_region_us[regions[i]][bench->naive[where[i]].region];
        load += bench->naive[where[i]].load_ppm;
        for (uint32_t j = 0; j < i; j++) {
            first = first && where[i] != where[j];
            pairs += bench->naive_region_us[regions[i]][bench->naive[where[i]].region] +
                     bench->naive_region_us[regions[j]][bench->naive[where[j]].region];
            if (where[i] != where[j])
                pairs += bench->naive_region_us[bench->naive[where[i]].region][bench->naive[where[j]].region];
        }
        relays += first;
    }
    return pairs / (n * (n - 1) / 2.0) + access / n / 2 + load / n / 100 + 6000.0 * (relays - 1);
}

static size_t naive_join(struct bench *bench)
{
    uint32_t region = bench->people[bench->turn++ % PEOPLE].region, best = 0;
    double least = 1e18;
    for (uint32_t r = 0; r < RELAYS; r++) {
        if (!naive_allows(&bench->naive[r]) || bench->naive[r].room == 0)
            continue;
        double score = naive_score(bench, region, r);
        if (score < least) {
            least = score;
            best = r;
        }
    }
    bench->sink += best;
    return 1;
}

static size_t naive_plan(struct bench *bench)
{
    for (int i = 0; i < 6; i++)
        naive_join(bench);
    return 1;
}

static size_t naive_check(struct bench *bench)
{
    for (size_t i = 0; i < MEETINGS; i++)
        for (size_t r = 0; r < 3; r++)
            bench->sink += naive_allows(&bench->naive[bench->meetings[i][r]]);
    return MEETINGS;
}

static void set_up_fleet(struct bench *bench)
{
    static const char *const countries[] = {"FR", "DE", "BE", "NL", "CH", "IT", "ES", "PL", "AT", "SE"};
    static const struct bw_certification held[] = {{"HDS", BW_NEVER_MS}, {"C5", BW_NEVER_MS}};
    static char names[RELAYS][8], sites[RELAYS][8], region_names[REGIONS][8];
    static const char *laws[RELAYS][1];
    struct bw_relay_facts facts[RELAYS];
    struct bw_relay_live live[RELAYS];
    struct bw_region regions[REGIONS];
    struct bw_rtt rtts[REGIONS * REGIONS];
    struct bw_snapshot_input input = {
        .live = live, .regions = regions, .region_count = REGIONS, .rtts = rtts};
    for (uint32_t g = 0; g < REGIONS; g++) {
        snprintf(region_names[g], sizeof region_names[g], "g%u", (unsigned)g);
        regions[g] = (struct bw_region){.name = region_names[g]};
        for (uint32_t h = 0; h <= g; h++) {
            uint32_t rtt = g == h ? 4000 : 10000 + draw(60000);
            rtts[input.rtt_count++] = (struct bw_rtt){region_names[g], region_names[h], rtt};
            bench->naive_region_us[g][h] = bench->naive_region_us[h][g] = rtt / 2;
        }
    }
    /* All are allowed, so that all hundred are candidates. */
    for (uint32_t i = 0; i < RELAYS; i++) {
        snprintf(names[i], sizeof names[i], "r%03u", (unsigned)i);
        snprintf(sites[i], sizeof sites[i], "s%u", 10 + (unsigned)i % 20);
        struct naive_relay *naive = &bench->naive[i];
        *naive = (struct naive_relay){.country = countries[draw(10)],
                                      .hds = true,
                                      .c5 = true,
                                      .region = draw(REGIONS),
                                      .load_ppm = draw(700000),
                                      .room = 400};
        naive->law = laws[i][0] = naive->country;
        facts[i] = (struct bw_relay_facts){.name = names[i],
                                           .number = i + 1,
                                           .site = sites[i],
                                           .region = region_names[naive->region],
                                           .place = naive->country,
                                           .operated_by = {.jurisdictions = laws[i], .jurisdiction_count = 1},
                                           .certifications = held,
                                           .certification_count = 2,
                                           .cascade = true,
                                           .version = 1};
        live[i] = (struct bw_relay_live){.lease_ok = true, .capacity = 400, .load_ppm = naive->load_ppm};
    }
    BW_CHECK(bw_facts_create(facts, RELAYS, NULL, 0, 1, &input.facts, NULL) == BW_OK);
    BW_CHECK(bw_snapshot_create(&input, &bench->snapshot, NULL) == BW_OK);
    bw_facts_release(input.facts);
}

static void set_up(struct bench *bench)
{
    bench->docs = bw_arena_create(8 << 20);
    bench->arena = bw_arena_create(64 << 20);
    BW_CHECK(bench->docs != NULL && bench->arena != NULL);
    bench->source = (struct bw_source){.file = "policy.yaml", .text = bw_view_str(policy_text)};
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
    BW_CHECK(bw_policy_check(&bench->source, &options, bench->docs, &diags, &bench->doc, NULL) == BW_OK);
    bw_diags_finish(&diags);
    set_up_fleet(bench);
    bench->constraints = compiled(bench);
    BW_CHECK(bw_bitset_count(&bench->constraints->eligible) == RELAYS);
    static char ids[PEOPLE][8];
    for (uint32_t i = 0; i < PEOPLE; i++) {
        snprintf(ids[i], sizeof ids[i], "p%u", (unsigned)i);
        bench->people[i] = (struct bw_participant){
            .id = ids[i], .place = "FR", .region = draw(REGIONS), .current = BW_NO_RELAY};
        bench->named[i] =
            (struct bw_request_participant){.id = ids[i], .kind = "native", .where = bench->people[i]};
    }
    bench->naive_count = 8;
    for (uint32_t i = 0; i < 2; i++)
        bench->open[i] = (struct bw_open_relay){.relay = 17 + 40 * i, .participants = 4};
    for (uint32_t i = 0; i < bench->naive_count; i++) {
        bench->naive_where[i] = bench->open[i % 2].relay;
        bench->open[i % 2].hop_sum_us +=
            bw_snapshot_hop_us(bench->snapshot, bench->people[i].region, bench->open[i % 2].relay);
    }
    bench->request = (struct bw_place_request){.snapshot = bench->snapshot,
                                               .constraints = bench->constraints,
                                               .meeting = {{1, 2, 3}},
                                               .open = bench->open,
                                               .open_count = 2};
    bench->file = (struct bw_request_file){.tenant = "acme",
                                           .host = {.user = "x@acme.example"},
                                           .participants = bench->named,
                                           .where = bench->people,
                                           .participant_count = PEOPLE};
    for (size_t i = 0; i < MEETINGS; i++)
        for (size_t r = 0; r < 3; r++)
            bench->meetings[i][r] = draw(RELAYS);
}

int main(void)
{
    static struct bench bench;
    set_up(&bench);
    compare("policy_compile_100", compile_policy, "reading the document", read_policy, &bench);
    compare("join_100", join, "string lists and pair loops", naive_join, &bench);
    compare("join_100_traced", join_with_trace, "string lists and pair loops", naive_join, &bench);
    compare("plan_6_on_100", plan, "six joins by string lists and pair loops", naive_plan, &bench);
    compare("explain_12_on_100", explain, "reading the document", read_policy, &bench);
    compare("recheck_meeting", check, "string lists for each of its relays", naive_check, &bench);
    bw_constraints_release(bench.constraints);
    bw_snapshot_release(bench.snapshot);
    bw_arena_destroy(bench.arena);
    bw_arena_destroy(bench.docs);
    return 0;
}
