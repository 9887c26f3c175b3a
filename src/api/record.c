/* Decision records: struct bw_decision to message bailiwick.v1.Decision and back. The bytes are made once, by
 * whoever commits the decision, on the join path: everything that is not a list is built on the stack, and
 * the lists share one allocation. */
#include <string.h>

#include "api/api.h"
#include "api/numbers.h"
#include "bailiwick/v1/decision.pb-c.h"
#include "base/alloc.h"
#include "wire/wire.h"

enum {
    /* More than the strict decoder's default: a mode change of a large meeting lists everybody's flags. */
    RECORD_FIELDS_MAX = 200000,
    /* List bounds of decision.proto. */
    RELAYS_MAX = 256,
    LINKS_MAX = 512,
    LEVELS_MAX = 256,
    MOVES_MAX = 8192,
    FLAGS_MAX = 8192,
    REJECTIONS_MAX = 500,
};

typedef Bailiwick__V1__Decision message;

static bool has_participant(enum bw_decision_kind kind)
{
    return kind == BW_DECISION_JOINED || kind == BW_DECISION_CONNECTOR_INVITED || kind == BW_DECISION_REFUSED;
}

static bool has_placement(enum bw_decision_kind kind)
{
    return kind == BW_DECISION_JOINED || kind == BW_DECISION_CONNECTOR_INVITED;
}

static bool has_left(enum bw_decision_kind kind)
{
    return kind == BW_DECISION_LEFT || kind == BW_DECISION_CONNECTOR_REMOVED;
}

static bool has_pending(enum bw_decision_kind kind)
{
    return kind == BW_DECISION_MODE_ANNOUNCED || kind == BW_DECISION_CONSENTED;
}

/* ---- encoding ---- */

static const char *text_of(const char *s)
{
    return s != NULL ? s : (const char *)protobuf_c_empty_string;
}

static uint32_t clamp32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static ProtobufCBinaryData bytes_of(const uint8_t *data, size_t len)
{
    static const uint8_t zero[32];
    if (memcmp(data, zero, len) == 0)
        return (ProtobufCBinaryData){0, NULL}; /* absent */
    return (ProtobufCBinaryData){len, (uint8_t *)data};
}

static ProtobufCBinaryData id_of(const struct bw_id *id)
{
    return bytes_of(id->bytes, sizeof id->bytes);
}

/* The lists of one record, in one piece of memory. */
struct lists {
    void *memory;
    Bailiwick__V1__DecisionLink *links, **link_refs;
    Bailiwick__V1__Decision__Move *moves, **move_refs;
    Bailiwick__V1__Decision__Flags *flags, **flag_refs;
    Bailiwick__V1__Decision__Rejection *rejections, **rejection_refs;
};

static bool lists_create(const struct bw_decision *decision, struct lists *lists)
{
    size_t bytes = decision->link_count * (sizeof *lists->links + sizeof *lists->link_refs) +
                   decision->move_count * (sizeof *lists->moves + sizeof *lists->move_refs) +
                   decision->flag_count * (sizeof *lists->flags + sizeof *lists->flag_refs) +
                   decision->rejection_count * (sizeof *lists->rejections + sizeof *lists->rejection_refs);
    *lists = (struct lists){0};
    if (bytes == 0)
        return true;
    char *p = bw_malloc(bytes);
    if (p == NULL)
        return false;
    lists->memory = p;
#define CARVE(member, count)                                                                                 \
    lists->member = (void *)p;                                                                               \
    p += (count) * sizeof *lists->member
    CARVE(links, decision->link_count);
    CARVE(link_refs, decision->link_count);
    CARVE(moves, decision->move_count);
    CARVE(move_refs, decision->move_count);
    CARVE(flags, decision->flag_count);
    CARVE(flag_refs, decision->flag_count);
    CARVE(rejections, decision->rejection_count);
    CARVE(rejection_refs, decision->rejection_count);
#undef CARVE
    return true;
}

static void fill_links(const struct bw_decision *decision, struct lists *lists, message *out)
{
    for (size_t i = 0; i < decision->link_count; i++) {
        Bailiwick__V1__DecisionLink *link = lists->link_refs[i] = &lists->links[i];
        bailiwick__v1__decision_link__init(link);
        link->low = decision->links[i].low;
        link->high = decision->links[i].high;
    }
    out->n_links = decision->link_count;
    out->links = lists->link_refs;
}

static void fill_moves(const struct bw_decision *decision, struct lists *lists, message *out)
{
    for (size_t i = 0; i < decision->move_count; i++) {
        Bailiwick__V1__Decision__Move *move = lists->move_refs[i] = &lists->moves[i];
        bailiwick__v1__decision__move__init(move);
        move->slot = decision->moves[i].slot;
        move->from = decision->moves[i].from;
        move->to = decision->moves[i].to;
    }
    out->n_moves = decision->move_count;
    out->moves = lists->move_refs;
}

static void fill_flags(const struct bw_decision *decision, struct lists *lists, message *out)
{
    for (size_t i = 0; i < decision->flag_count; i++) {
        const struct bw_decision_flags *from = &decision->flags[i];
        Bailiwick__V1__Decision__Flags *flags = lists->flag_refs[i] = &lists->flags[i];
        bailiwick__v1__decision__flags__init(flags);
        flags->slot = from->slot;
        flags->scheme = (Bailiwick__V1__E2eeScheme)from->scheme;
        flags->suite = (Bailiwick__V1__CipherSuite)from->suite;
        flags->epoch = from->epoch;
        flags->capable_mask = from->capable;
        flags->observed = (Bailiwick__V1__ObservedE2ee__State)from->observed;
        flags->observed_scheme = (Bailiwick__V1__E2eeScheme)from->observed_scheme;
        flags->confirmed = from->confirmed;
    }
    out->n_flags = decision->flag_count;
    out->flags = lists->flag_refs;
}

static void fill_refused(const struct bw_decision *decision, struct lists *lists,
                         Bailiwick__V1__Decision__Refused *refused)
{
    for (size_t i = 0; i < decision->rejection_count; i++) {
        const struct bw_decision_rejection *from = &decision->rejections[i];
        Bailiwick__V1__Decision__Rejection *rejection = lists->rejection_refs[i] = &lists->rejections[i];
        bailiwick__v1__decision__rejection__init(rejection);
        rejection->relay = from->relay;
        rejection->reasons = from->reasons;
        rejection->clause = text_of(from->clause);
    }
    refused->reasons = decision->reasons;
    refused->clause = text_of(decision->clause);
    refused->nearest = decision->nearest;
    refused->nearest_reasons = decision->nearest_reasons;
    refused->relays_total = clamp32(decision->rejections_total);
    refused->n_relays = decision->rejection_count;
    refused->relays = lists->rejection_refs;
}

static void fill_participant(const struct bw_decision *decision, Bailiwick__V1__Decision__Participant *out)
{
    out->roster_entry = id_of(&decision->entry);
    out->slot = decision->slot;
    out->relay = decision->relay;
    out->kind = (Bailiwick__V1__ParticipantKind)decision->participant_kind;
    out->n_levels = decision->level_count;
    out->levels = (const char **)decision->levels;
    out->role = (Bailiwick__V1__ParticipantRole)decision->role;
    out->country = text_of(decision->country);
    out->region = text_of(decision->region);
    out->home_tenant = text_of(decision->home_tenant);
}

static void fill_score(const struct bw_decision_score *score, Bailiwick__V1__PlacementScore *out)
{
    out->pair_us = clamp32(score->pair_us);
    out->access_us = clamp32(score->access_us);
    out->load_us = clamp32(score->load_us);
    out->spread_us = clamp32(score->relays_us);
    out->move_us = clamp32(score->moved_us);
    out->total_us = clamp32(score->total_us);
}

static void fill_common(const struct bw_decision *decision, message *out)
{
    out->kind = (Bailiwick__V1__DecisionKind)decision->kind;
    out->meeting = id_of(&decision->meeting);
    out->seq = decision->seq;
    out->tenant = id_of(&decision->tenant);
    out->request = id_of(&decision->request);
    out->fingerprint = bytes_of(decision->fingerprint, sizeof decision->fingerprint);
    out->at_unix_ms = (int64_t)decision->at_ms;
    out->policy_revision = decision->policy_revision;
    out->policy_hash = bytes_of(decision->policy_hash, sizeof decision->policy_hash);
    out->facts_revision = decision->facts_revision;
    out->mode = (Bailiwick__V1__E2eeMode)decision->mode;
    out->mode_epoch = decision->mode_epoch;
    out->meeting_epoch = decision->meeting_epoch;
    out->n_relays = decision->relay_count;
    out->relays = (uint32_t *)decision->relays;
    out->end_reason = (Bailiwick__V1__EndReason)decision->end_reason;
}

static bool within_bounds(const struct bw_decision *decision)
{
    return decision->relay_count <= RELAYS_MAX && decision->link_count <= LINKS_MAX &&
           decision->level_count <= LEVELS_MAX && decision->move_count <= MOVES_MAX &&
           decision->flag_count <= FLAGS_MAX && decision->rejection_count <= REJECTIONS_MAX;
}

enum bw_code bw_api_record_encode(const struct bw_decision *decision, struct bw_buf *out,
                                  struct bw_error *err)
{
    if (!within_bounds(decision)) {
        bw_fail(err, BW_RESOURCE_EXHAUSTED, "MEETING_TOO_LARGE",
                "the meeting is too large for one decision of this kind");
        bw_error_log(err, "kind=%s relays=%zu links=%zu moves=%zu flags=%zu",
                     bw_decision_kind_name(decision->kind), decision->relay_count, decision->link_count,
                     decision->move_count, decision->flag_count);
        return BW_RESOURCE_EXHAUSTED;
    }
    struct lists lists;
    if (!lists_create(decision, &lists))
        return bw_fail_memory(err);

    message record;
    Bailiwick__V1__Decision__Created created;
    Bailiwick__V1__Decision__Participant participant;
    Bailiwick__V1__Decision__Left left;
    Bailiwick__V1__Decision__Pending pending;
    Bailiwick__V1__Decision__Refused refused;
    Bailiwick__V1__Decision__Placement placement;
    Bailiwick__V1__PlacementScore score;
    bailiwick__v1__decision__init(&record);
    fill_common(decision, &record);
    fill_links(decision, &lists, &record);
    fill_moves(decision, &lists, &record);
    fill_flags(decision, &lists, &record);
    if (decision->kind == BW_DECISION_CREATED) {
        bailiwick__v1__decision__created__init(&created);
        created.choice = (Bailiwick__V1__ModeChoice)decision->choice;
        created.cap_per_relay = decision->cap_per_relay;
        created.n_levels = decision->level_count;
        created.levels = (const char **)decision->levels;
        created.override_yaml = text_of(decision->override_yaml);
        created.tenant_name = text_of(decision->tenant_name);
        record.created = &created;
    }
    if (has_participant(decision->kind)) {
        bailiwick__v1__decision__participant__init(&participant);
        fill_participant(decision, &participant);
        record.participant = &participant;
    }
    if (has_left(decision->kind)) {
        bailiwick__v1__decision__left__init(&left);
        left.roster_entry = id_of(&decision->entry);
        left.slot = decision->slot;
        left.reason = (Bailiwick__V1__LeaveReason)decision->leave_reason;
        record.left = &left;
    }
    if (has_pending(decision->kind)) {
        bailiwick__v1__decision__pending__init(&pending);
        pending.change = (Bailiwick__V1__Decision__Pending__Change)decision->pending;
        pending.slot = decision->slot;
        record.pending = &pending;
    }
    if (decision->kind == BW_DECISION_REFUSED) {
        bailiwick__v1__decision__refused__init(&refused);
        fill_refused(decision, &lists, &refused);
        record.refused = &refused;
    }
    if (has_placement(decision->kind)) {
        bailiwick__v1__decision__placement__init(&placement);
        bailiwick__v1__placement_score__init(&score);
        fill_score(&decision->score, &score);
        placement.relays_considered = decision->relays_considered;
        placement.relays_allowed = decision->relays_allowed;
        placement.runner_up = decision->runner_up;
        placement.score = &score;
        record.placement = &placement;
    }
    enum bw_code code = bw_wire_encode(&record.base, out);
    bw_free(lists.memory);
    return code == BW_OK ? BW_OK : bw_fail_memory(err);
}

/* Appended to a record that is encoded already: its fields have the highest numbers, so that the bytes are
 * those of one encoding. */
void bw_api_record_name_roster(const struct bw_id *roster, uint32_t index, struct bw_buf *record)
{
    message name;
    bailiwick__v1__decision__init(&name);
    name.roster_record = id_of(roster);
    name.roster_index = index;
    if (bw_wire_encode(&name.base, record) != BW_OK)
        record->failed = true;
}

/* ---- decoding ---- */

static const char *text_or_null(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : NULL;
}

/* Lengths are the scan's: exactly `len` or none. */
static void bytes_into(const ProtobufCBinaryData *from, void *into, size_t len)
{
    if (from->len == len)
        memcpy(into, from->data, len);
}

static enum bw_code no_record(struct bw_error *err, const char *why)
{
    bw_fail(err, BW_DATA_LOSS, "DECISION_LOG", "a stored decision cannot be read");
    bw_error_log(err, "%s", why);
    return BW_DATA_LOSS;
}

/* Every kind has the parts it is about, and no others. */
static bool parts_fit(const message *from)
{
    enum bw_decision_kind kind = (enum bw_decision_kind)from->kind;
    return (from->created != NULL) == (kind == BW_DECISION_CREATED) &&
           (from->participant != NULL) == has_participant(kind) && (from->left != NULL) == has_left(kind) &&
           (from->pending != NULL) == has_pending(kind) &&
           (from->refused != NULL) == (kind == BW_DECISION_REFUSED) &&
           (from->placement != NULL) == has_placement(kind) &&
           (from->n_moves == 0 || kind == BW_DECISION_MOVED);
}

static void read_common(const message *from, struct bw_decision *out)
{
    bytes_into(&from->roster_record, out->roster_record.bytes, sizeof out->roster_record.bytes);
    out->roster_index = from->roster_index;
    out->kind = (enum bw_decision_kind)from->kind;
    bytes_into(&from->meeting, out->meeting.bytes, sizeof out->meeting.bytes);
    bytes_into(&from->tenant, out->tenant.bytes, sizeof out->tenant.bytes);
    bytes_into(&from->request, out->request.bytes, sizeof out->request.bytes);
    bytes_into(&from->fingerprint, out->fingerprint, sizeof out->fingerprint);
    bytes_into(&from->policy_hash, out->policy_hash, sizeof out->policy_hash);
    out->seq = from->seq;
    out->at_ms = (uint64_t)from->at_unix_ms;
    out->policy_revision = from->policy_revision;
    out->facts_revision = from->facts_revision;
    out->mode = (uint8_t)from->mode;
    out->mode_epoch = from->mode_epoch;
    out->meeting_epoch = from->meeting_epoch;
    out->relays = from->relays;
    out->relay_count = from->n_relays;
    out->end_reason = (uint8_t)from->end_reason;
}

static void read_parts(const message *from, struct bw_decision *out)
{
    if (from->created != NULL) {
        out->choice = (uint8_t)from->created->choice;
        out->cap_per_relay = from->created->cap_per_relay;
        out->levels = from->created->levels;
        out->level_count = from->created->n_levels;
        out->override_yaml = text_or_null(from->created->override_yaml);
        out->tenant_name = text_or_null(from->created->tenant_name);
    }
    if (from->participant != NULL) {
        const Bailiwick__V1__Decision__Participant *participant = from->participant;
        bytes_into(&participant->roster_entry, out->entry.bytes, sizeof out->entry.bytes);
        out->slot = participant->slot;
        out->relay = participant->relay;
        out->participant_kind = (uint8_t)participant->kind;
        out->levels = participant->levels;
        out->level_count = participant->n_levels;
        out->role = (uint8_t)participant->role;
        out->country = text_or_null(participant->country);
        out->region = text_or_null(participant->region);
        out->home_tenant = text_or_null(participant->home_tenant);
    }
    if (from->left != NULL) {
        bytes_into(&from->left->roster_entry, out->entry.bytes, sizeof out->entry.bytes);
        out->slot = from->left->slot;
        out->leave_reason = (uint8_t)from->left->reason;
    }
    if (from->pending != NULL) {
        out->pending = (uint8_t)from->pending->change;
        out->slot = from->pending->slot;
    }
    if (from->placement != NULL) {
        const Bailiwick__V1__PlacementScore *score = from->placement->score;
        out->relays_considered = from->placement->relays_considered;
        out->relays_allowed = from->placement->relays_allowed;
        out->runner_up = from->placement->runner_up;
        if (score != NULL)
            out->score = (struct bw_decision_score){
                .pair_us = score->pair_us,
                .access_us = score->access_us,
                .load_us = score->load_us,
                .relays_us = score->spread_us,
                .moved_us = score->move_us,
                .total_us = score->total_us,
            };
    }
}

static bool read_lists(const message *from, struct bw_arena *arena, struct bw_decision *out)
{
    size_t rejection_count = from->refused != NULL ? from->refused->n_relays : 0;
    struct bw_decision_link *links = bw_arena_zalloc(arena, from->n_links + 1, sizeof *links);
    struct bw_decision_move *moves = bw_arena_zalloc(arena, from->n_moves + 1, sizeof *moves);
    struct bw_decision_flags *flags = bw_arena_zalloc(arena, from->n_flags + 1, sizeof *flags);
    struct bw_decision_rejection *rejections =
        bw_arena_zalloc(arena, rejection_count + 1, sizeof *rejections);
    if (links == NULL || moves == NULL || flags == NULL || rejections == NULL)
        return false;
    for (size_t i = 0; i < from->n_links; i++)
        links[i] = (struct bw_decision_link){from->links[i]->low, from->links[i]->high};
    for (size_t i = 0; i < from->n_moves; i++)
        moves[i] = (struct bw_decision_move){
            .slot = from->moves[i]->slot, .from = from->moves[i]->from, .to = from->moves[i]->to};
    for (size_t i = 0; i < from->n_flags; i++) {
        const Bailiwick__V1__Decision__Flags *each = from->flags[i];
        flags[i] = (struct bw_decision_flags){
            .slot = each->slot,
            .scheme = (uint8_t)each->scheme,
            .suite = (uint8_t)each->suite,
            .epoch = each->epoch,
            .capable = each->capable_mask,
            .observed = (uint8_t)each->observed,
            .observed_scheme = (uint8_t)each->observed_scheme,
            .confirmed = each->confirmed,
        };
    }
    for (size_t i = 0; i < rejection_count; i++) {
        const Bailiwick__V1__Decision__Rejection *each = from->refused->relays[i];
        rejections[i] = (struct bw_decision_rejection){
            .relay = each->relay, .reasons = each->reasons, .clause = text_or_null(each->clause)};
    }
    out->links = links;
    out->link_count = from->n_links;
    out->moves = moves;
    out->move_count = from->n_moves;
    out->flags = flags;
    out->flag_count = from->n_flags;
    if (from->refused != NULL) {
        out->reasons = from->refused->reasons;
        out->clause = text_or_null(from->refused->clause);
        out->nearest = from->refused->nearest;
        out->nearest_reasons = from->refused->nearest_reasons;
        out->rejections_total = from->refused->relays_total;
        out->rejections = rejections;
        out->rejection_count = rejection_count;
    }
    return true;
}

enum bw_code bw_api_record_decode(struct bw_view bytes, struct bw_arena *arena, struct bw_decision **out,
                                  struct bw_error *err)
{
    const ProtobufCMessage *decoded = NULL;
    struct bw_error why;
    enum bw_code code = bw_wire_decode_limited(&bailiwick__v1__decision__descriptor, bytes, RECORD_FIELDS_MAX,
                                               arena, &decoded, &why);
    if (code == BW_INVALID_ARGUMENT)
        return no_record(err, why.show);
    if (code != BW_OK) {
        if (err != NULL)
            *err = why;
        return code;
    }
    const message *from = (const message *)decoded;
    if (!parts_fit(from))
        return no_record(err, "the parts of the record do not fit its kind");
    struct bw_decision *decision = bw_arena_zalloc(arena, 1, sizeof *decision);
    if (decision == NULL || !read_lists(from, arena, decision))
        return bw_fail_memory(err);
    read_common(from, decision);
    read_parts(from, decision);
    *out = decision;
    return BW_OK;
}
