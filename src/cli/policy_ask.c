/* `policy explain` where the cell answers: the request file becomes a message, the answer reads as the
 * offline one does. */
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/policy.pb-c.h"
#include "base/check.h"
#include "cli/output.h"
#include "cli/policy.h"
#include "cli/server.h"
#include "placement/request_file.h"
#include "yaml/field.h"

/* ---- the request file, through its own field table ---- */

/* The file is decoded as the planner decodes it, so it is as strict; values are found by their keys. */
struct map {
    const struct bw_field_table *table;
    const uint8_t *base;
};

static const struct bw_field *field_of(const struct map *map, const char *key)
{
    for (size_t i = 0; i < map->table->count; i++)
        if (strcmp(map->table->fields[i].key, key) == 0)
            return &map->table->fields[i];
    bw_check_failed(key, __FILE__, __LINE__);
}

static const char *text_in(const struct map *map, const char *key)
{
    const struct bw_yaml_text *text = (const void *)(map->base + field_of(map, key)->offset);
    return text->at.line != 0 ? (const char *)text->text.data : NULL;
}

static const struct bw_yaml_number *number_in(const struct map *map, const char *key)
{
    return (const void *)(map->base + field_of(map, key)->offset);
}

static struct map map_in(const struct map *map, const char *key)
{
    const struct bw_field *field = field_of(map, key);
    return (struct map){field->table, map->base + field->offset};
}

static const struct bw_yaml_list *list_in(const struct map *map, const char *key)
{
    return (const void *)(map->base + field_of(map, key)->offset);
}

static struct map item_in(const struct map *map, const char *key, size_t index)
{
    const struct bw_field_table *table = field_of(map, key)->item->table;
    return (struct map){table, (const uint8_t *)list_in(map, key)->items + index * table->size};
}

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static bool fill_host(struct bw_cli *cli, const struct map *file, Bailiwick__V1__Host *host)
{
    struct map map = map_in(file, "host");
    const struct bw_yaml_texts *groups = (const void *)list_in(&map, "groups");
    host->user = text_or_empty(text_in(&map, "user"));
    host->groups = bw_arena_zalloc(cli->arena, groups->count + 1, sizeof *host->groups);
    if (host->groups == NULL)
        return false;
    for (size_t i = 0; i < groups->count; i++)
        host->groups[host->n_groups++] = (const char *)groups->items[i].text.data;
    return true;
}

static bool fill_open(struct bw_cli *cli, const struct map *meeting, Bailiwick__V1__PlacementRequest *request)
{
    size_t count = list_in(meeting, "open")->count;
    Bailiwick__V1__PlacementRequest__OpenRelay *items = bw_arena_zalloc(cli->arena, count + 1, sizeof *items);
    request->open = bw_arena_zalloc(cli->arena, count + 1, sizeof *request->open);
    if (items == NULL || request->open == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct map map = item_in(meeting, "open", i);
        bailiwick__v1__placement_request__open_relay__init(&items[i]);
        items[i].relay = text_or_empty(text_in(&map, "relay"));
        items[i].participants = (uint32_t)number_in(&map, "participants")->value;
        request->open[request->n_open++] = &items[i];
    }
    return true;
}

/* kind names of the file in the order of the enum's numbers, which begin at 1 */
static Bailiwick__V1__ParticipantKind kind_of(const struct map *map)
{
    return (Bailiwick__V1__ParticipantKind)(number_in(map, "kind")->value + 1);
}

static bool fill_participants(struct bw_cli *cli, const struct map *file,
                              Bailiwick__V1__PlacementRequest *request)
{
    size_t count = list_in(file, "participants")->count;
    Bailiwick__V1__PlacementRequest__Participant *items =
        bw_arena_zalloc(cli->arena, count + 1, sizeof *items);
    request->participants = bw_arena_zalloc(cli->arena, count + 1, sizeof *request->participants);
    if (items == NULL || request->participants == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct map map = item_in(file, "participants", i);
        bailiwick__v1__placement_request__participant__init(&items[i]);
        items[i].id = text_or_empty(text_in(&map, "id"));
        items[i].country = text_or_empty(text_in(&map, "country"));
        items[i].region = text_or_empty(text_in(&map, "region"));
        items[i].kind = kind_of(&map);
        request->participants[request->n_participants++] = &items[i];
    }
    return true;
}

static bool fill_request(struct bw_cli *cli, const struct map *file, Bailiwick__V1__PlacementRequest *request)
{
    struct map meeting = map_in(file, "meeting");
    Bailiwick__V1__Host *host = bw_arena_zalloc(cli->arena, 1, sizeof *host);
    if (host == NULL)
        return false;
    bailiwick__v1__host__init(host);
    request->host = host;
    request->cap_per_relay = (uint32_t)number_in(&meeting, "capPerRelay")->value;
    request->at_unix_ms = (int64_t)number_in(file, "at")->value;
    return fill_host(cli, file, host) && fill_open(cli, &meeting, request) &&
           fill_participants(cli, file, request);
}

static int read_request(struct bw_cli *cli, const char *path, Bailiwick__V1__PlacementRequest *request,
                        const char **tenant)
{
    struct bw_source source = {.file = bw_cli_file_name(path)};
    int result = bw_cli_read(cli, path, BW_YAML_MAX_BYTES + 1, &source.text);
    if (result != BW_EXIT_OK)
        return result;
    struct map file = {&bw_request_table, NULL};
    void *memory = bw_arena_zalloc(cli->arena, 1, bw_request_table.size);
    if (memory == NULL)
        return bw_cli_memory(cli);
    struct bw_diags diags;
    struct bw_error err = {0};
    bw_diags_init(&diags);
    enum bw_code code = bw_yaml_load(&source, &bw_request_table, memory, false, cli->arena, &diags, &err);
    if (code != BW_OK && diags.count > 0)
        bw_diags_show(cli, &diags, cli->err);
    else if (code != BW_OK)
        bw_cli_fail(cli, &err);
    bw_diags_finish(&diags);
    if (code != BW_OK)
        return BW_EXIT_USAGE;
    file.base = memory;
    *tenant = text_in(&file, "tenant");
    return fill_request(cli, &file, request) ? BW_EXIT_OK : bw_cli_memory(cli);
}

/* ---- the answer ---- */

static void rename_term(json_t *score, const char *from, const char *to)
{
    json_int_t value = json_integer_value(json_object_get(score, from));
    json_object_del(score, from);
    if (value != 0)
        json_object_set_new(score, to, json_integer(value));
}

/* The few places where the message's JSON is not what the offline answer prints. */
static void as_offline(json_t *explanation)
{
    json_t *legs = json_array(), *leg, *item;
    size_t i;
    json_array_foreach(json_object_get(explanation, "legs"), i, leg) json_array_append_new(
        legs, json_pack("[O, O]", json_object_get(leg, "a"), json_object_get(leg, "b")));
    json_object_set_new(explanation, "legs", legs);
    json_array_foreach(json_object_get(explanation, "refused"), i, item)
    {
        if (json_array_size(json_object_get(item, "clauses")) == 0)
            json_object_del(item, "clauses");
    }
    json_t *score = json_object_get(explanation, "score");
    rename_term(score, "spread_us", "relays_us");
    rename_term(score, "move_us", "moved_us");
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* 64-bit numbers travel as strings. */
static uint64_t number_at(const json_t *object, const char *key)
{
    return strtoull(text_at(object, key), NULL, 10);
}

/* Which decision it is that is explained. */
static void record_words(const json_t *explanation, struct bw_buf *out)
{
    const json_t *record = json_object_get(explanation, "record");
    const json_t *policy = json_object_get(explanation, "policy");
    if (record != NULL) {
        bw_buf_append_str(out, "Decision ");
        bw_text_harmless(out, text_at(record, "reference"));
        bw_buf_append_str(out, " (");
        bw_text_harmless(out, text_at(record, "kind"));
        bw_buf_append_str(out, ") of ");
        bw_time_print(number_at(record, "atUnixMs"), out);
        bw_buf_append_str(out, "\nMeeting ");
        bw_text_harmless(out, text_at(record, "meetingId"));
        json_int_t slot = json_integer_value(json_object_get(record, "slot"));
        if (slot != 0)
            bw_buf_printf(out, ", slot %lld", (long long)slot);
        bw_buf_printf(out, "\nFacts revision %llu", (unsigned long long)number_at(record, "factsRevision"));
        json_int_t considered = json_integer_value(json_object_get(record, "relaysConsidered"));
        if (considered != 0)
            bw_buf_printf(out, "; %lld relays considered, %lld allowed", (long long)considered,
                          (long long)json_integer_value(json_object_get(record, "relaysAllowed")));
        if (text_at(record, "runnerUp")[0] != '\0') {
            bw_buf_append_str(out, ", second best ");
            bw_text_harmless(out, text_at(record, "runnerUp"));
        }
        bw_buf_append_str(out, "\n");
    }
    if (json_object_get(explanation, "basis") != NULL)
        bw_buf_printf(out, "Policy revision %lld\n",
                      (long long)json_integer_value(json_object_get(policy, "revision")));
}

/* What a list of rejected relays rests on. */
static void basis_words(const json_t *explanation, struct bw_buf *out)
{
    const json_t *basis = json_object_get(explanation, "basis");
    const char *rejected = text_at(basis, "rejected");
    bw_buf_append_str(out, "\nRelays that are not allowed");
    if (strcmp(rejected, "recorded") == 0) {
        bw_buf_append_str(out, " (as recorded with the decision)");
    } else if (strcmp(rejected, "none") == 0) {
        bw_buf_append_str(out, ": that policy revision cannot be read any more");
    } else if (strcmp(rejected, "recomputed") == 0) {
        bw_buf_printf(out, " (computed now: policy revision %lld, facts revision %llu%s)",
                      (long long)json_integer_value(json_object_get(basis, "policyRevision")),
                      (unsigned long long)number_at(basis, "factsRevision"),
                      json_is_true(json_object_get(basis, "sameFacts")) ? "" : ", which has changed since");
    }
    bw_buf_append_str(out, "\n");
}

static void terms_words(const json_t *explanation, struct bw_buf *out)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(explanation, "missingConnectors"), i, item)
    {
        bw_buf_append_str(out, "\nNobody is let in before this connector is in the meeting: ");
        bw_text_harmless(out, json_string_value(item));
        bw_buf_append_str(out, "\n");
    }
    json_array_foreach(json_object_get(explanation, "exceptions"), i, item)
    {
        bw_buf_append_str(out, "\nException ");
        bw_text_harmless(out, text_at(item, "id"));
        bw_buf_append_str(out, " lifts a deny until ");
        bw_time_print(number_at(item, "expiresUnixMs"), out);
        bw_buf_append_str(out, ": ");
        bw_text_harmless(out, text_at(item, "reason"));
        bw_buf_append_str(out, " (");
        bw_text_harmless(out, text_at(item, "clause"));
        bw_buf_append_str(out, ")\n");
    }
    const json_t *retention = json_object_get(explanation, "retention");
    if (retention == NULL)
        return;
    const char *decisions = text_at(retention, "decisions");
    bw_buf_append_str(out, "\nKept: quality ");
    bw_text_harmless(out, text_at(retention, "quality"));
    bw_buf_append_str(out, ", participants ");
    bw_text_harmless(out, text_at(retention, "participants"));
    bw_buf_append_str(out, ", decisions ");
    bw_text_harmless(out, decisions[0] != '\0' ? decisions : "without end");
    bw_buf_append_str(out, "\n");
}

static void words(const json_t *explanation, struct bw_buf *out)
{
    record_words(explanation, out);
    const char *decision = json_string_value(json_object_get(explanation, "decision"));
    const char *mode = json_string_value(json_object_get(explanation, "mode")), *key;
    bw_buf_append_str(out, decision != NULL && strcmp(decision, "placed") == 0 ? "Placed, mode "
                                                                               : "Refused, mode ");
    bw_text_harmless(out, mode != NULL && mode[0] != '\0' ? mode : "none");
    bw_buf_append_str(out, "\n\nParticipants\n");
    json_t *relay, *item;
    json_object_foreach(json_object_get(explanation, "assignments"), key, relay)
    {
        const json_t *flags = json_object_get(json_object_get(explanation, "flags"), key);
        const char *allocated = json_string_value(json_object_get(flags, "allocated"));
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, key);
        bw_buf_append_str(out, ": ");
        bw_text_harmless(out, json_string_value(relay));
        if (allocated != NULL) {
            bw_buf_append_str(out, ", ");
            bw_text_harmless(out, allocated);
        }
        bw_buf_append_str(out, "\n");
    }
    size_t i;
    json_array_foreach(json_object_get(explanation, "refused"), i, item)
    {
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, json_string_value(json_object_get(item, "participant")));
        bw_buf_append_str(out, ": refused\n");
        bw_reasons_print(item, "      ", out);
    }
    basis_words(explanation, out);
    json_array_foreach(json_object_get(explanation, "rejected"), i, item)
    {
        bw_buf_append_str(out, "  ");
        bw_text_harmless(out, json_string_value(json_object_get(item, "relay")));
        bw_buf_append_str(out, "\n");
        bw_reasons_print(item, "      ", out);
    }
    terms_words(explanation, out);
    const json_t *nearest = json_object_get(explanation, "nearest");
    if (nearest == NULL)
        return;
    bw_buf_append_str(out, "\nNearest miss: ");
    bw_text_harmless(out, json_string_value(json_object_get(nearest, "relay")));
    bw_buf_append_str(out, "\n");
    bw_reasons_print(nearest, "      ", out);
}

static int show_relays(struct bw_cli *cli, const json_t *explanation)
{
    const char *key, *last = NULL;
    json_t *relay;
    json_object_foreach(json_object_get(explanation, "assignments"), key, relay)
    {
        const char *name = json_string_value(relay);
        if (last == NULL || strcmp(last, name) != 0)
            fprintf(cli->out, "%s\n", name);
        last = name;
    }
    return BW_EXIT_OK;
}

static int show(struct bw_cli *cli, const json_t *tree)
{
    struct bw_buf text = {0};
    json_t *explanation = json_object_get(tree, "explanation");
    if (explanation == NULL) {
        bw_policy_answer_print(json_object_get(tree, "diagnostics"), &text);
        const char *found = bw_buf_cstr(&text);
        fputs(found != NULL ? found : "", cli->err);
        bw_buf_finish(&text);
        return bw_output_is_tree(cli) && bw_show_tree(cli, tree) != BW_EXIT_OK ? BW_EXIT_INTERNAL
                                                                               : BW_EXIT_NO;
    }
    as_offline(explanation);
    int result = BW_EXIT_OK;
    if (bw_output_is_tree(cli)) {
        result = bw_show_tree(cli, explanation);
    } else if (cli->output == BW_OUTPUT_NAME) {
        result = show_relays(cli, explanation);
    } else {
        words(explanation, &text);
        const char *shown = bw_buf_cstr(&text);
        fputs(shown != NULL ? shown : "", cli->out);
        bw_buf_finish(&text);
    }
    const char *decision = json_string_value(json_object_get(explanation, "decision"));
    if (result == BW_EXIT_OK && decision != NULL && strcmp(decision, "refused") == 0)
        return BW_EXIT_NO;
    return result;
}

/* ---- asking ---- */

static int fill_subject(struct bw_cli *cli, Bailiwick__V1__ExplainPlacementRequest *request,
                        Bailiwick__V1__PlacementRequest *placement)
{
    const char *file = bw_args_text(cli->args, "request"), *meeting = bw_args_text(cli->args, "meeting");
    const char *reference = bw_args_text(cli->args, "reference");
    if ((file != NULL) + (meeting != NULL) + (reference != NULL) != 1)
        return bw_cli_say(
            cli, BW_EXIT_USAGE,
            "what is to be explained? Give one of --request FILE, --meeting UUID, --reference REF; "
            "with --fleet FILE no server is needed");
    if (bw_args_given(cli->args, "slot") && meeting == NULL)
        return bw_cli_say(cli, BW_EXIT_USAGE, "--slot names a participant of a meeting: give --meeting too");
    if (bw_args_given(cli->args, "file") && file == NULL)
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "--file goes with --request: what was decided was decided under its own policy");
    if (file != NULL) {
        request->subject_case = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REQUEST;
        request->request = placement;
        return read_request(cli, file, placement, &request->tenant);
    }
    request->subject_case = meeting != NULL ? BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_MEETING_ID
                                            : BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REFERENCE;
    if (meeting != NULL)
        request->meeting_id = meeting;
    else
        request->reference = reference;
    request->slot = (uint32_t)bw_args_number(cli->args, "slot", 0);
    request->tenant = bw_cli_tenant(cli);
    return request->tenant != NULL ? BW_EXIT_OK : BW_EXIT_USAGE;
}

int bw_policy_explain_ask(struct bw_cli *cli)
{
    Bailiwick__V1__ExplainPlacementRequest request = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__INIT;
    Bailiwick__V1__PlacementRequest placement = BAILIWICK__V1__PLACEMENT_REQUEST__INIT;
    Bailiwick__V1__PolicyVersion version = BAILIWICK__V1__POLICY_VERSION__INIT;
    const char *policy = bw_args_text(cli->args, "file");
    if (bw_args_given(cli->args, "override"))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--override goes with --fleet");
    int result = fill_subject(cli, &request, &placement);
    if (result == BW_EXIT_OK && policy != NULL) {
        struct bw_view text;
        result = bw_cli_read(cli, policy, BW_YAML_MAX_BYTES + 1, &text);
        if (result == BW_EXIT_OK) {
            version.which_case = BAILIWICK__V1__POLICY_VERSION__WHICH_YAML;
            version.yaml = (const char *)text.data;
            request.policy = &version;
        }
    }
    json_t *tree = NULL;
    if (result == BW_EXIT_OK)
        result = bw_server_ask(cli, BW_METHOD(PolicyService, ExplainPlacement), &request.base,
                               &bailiwick__v1__explain_placement_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = show(cli, tree);
    json_decref(tree);
    return result;
}
