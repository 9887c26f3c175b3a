/* Enrolment facts: message bailiwick.v1.RelayFacts and policy's struct bw_relay_facts, both ways. */
#include "api/facts.h"

#include "api/api.h"
#include "api/numbers.h"
#include "wire/wire.h"

/* X(NAME): connectors that are kinds of participants, too. */
static const struct {
    enum bw_connector connector;
    Bailiwick__V1__ParticipantKind kind;
} connector_kinds[] = {
#define X(name, spelling) {BW_CONNECTOR_##name, BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_##name},
    BW_CONNECTOR_MAP(X)
#undef X
};

enum bw_connector bw_api_connector_of_kind(Bailiwick__V1__ParticipantKind kind)
{
    for (size_t i = 0; i < BW_CONNECTOR_COUNT; i++) {
        if (connector_kinds[i].kind == kind)
            return connector_kinds[i].connector;
    }
    return BW_CONNECTOR_COUNT;
}

static const char *text_or_null(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : NULL;
}

static enum bw_code read_connectors(const Bailiwick__V1__RelayFacts *from, struct bw_relay_facts *facts,
                                    struct bw_error *err)
{
    for (size_t i = 0; i < from->n_connectors; i++) {
        enum bw_connector connector = bw_api_connector_of_kind(from->connectors[i]);
        if (connector == BW_CONNECTOR_COUNT)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                           "facts.connectors[%zu]: not a kind of connector; give PSTN, SIP, H323, ROOM, "
                           "RECORDING, LIVESTREAM, TRANSCRIPTION or APP",
                           i);
        facts->connectors |= BW_CONNECTOR_BIT(connector);
    }
    return BW_OK;
}

enum bw_code bw_api_facts_read(const Bailiwick__V1__RelayFacts *from, uint32_t number, struct bw_arena *arena,
                               struct bw_relay_facts *out, struct bw_error *err)
{
    struct bw_certification *certifications =
        bw_arena_zalloc(arena, from->n_certifications + 1, sizeof *certifications);
    if (certifications == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < from->n_certifications; i++) {
        int64_t expires = from->certifications[i]->expires_unix_ms;
        certifications[i].name = from->certifications[i]->name;
        certifications[i].expires_ms = expires == 0 ? BW_NEVER_MS : (uint64_t)expires;
    }
    struct bw_operator_facts operated_by = {0};
    if (from->operator_ != NULL)
        operated_by = (struct bw_operator_facts){
            .name = text_or_null(from->operator_->name),
            .jurisdictions = from->operator_->jurisdictions,
            .jurisdiction_count = from->operator_->n_jurisdictions,
        };
    struct bw_relay_facts facts = {
        .name = from->name,
        .number = number,
        .site = from->site,
        .region = from->region,
        .place = from->country,
        .operated_by = operated_by,
        .certifications = certifications,
        .certification_count = from->n_certifications,
        /* Who does not say could read: the worse of the two. */
        .media = from->media == BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_OPAQUE ? BW_MEDIA_OPAQUE
                                                                               : BW_MEDIA_PLAINTEXT,
        .cascade = from->cascade,
        .tenants = from->tenants,
        .tenant_count = from->n_tenants,
        .far_leg = (enum bw_far_leg)from->far_leg,
        .stores = from->stores,
        .store_count = from->n_stores,
        .stores_known = true, /* proto: empty is "nowhere" */
        .version = from->version,
    };
    enum bw_code code = read_connectors(from, &facts, err);
    if (code == BW_OK)
        *out = facts;
    return code;
}

enum bw_code bw_api_facts_decode(struct bw_view bytes, uint32_t number, struct bw_arena *arena,
                                 struct bw_relay_facts *out, uint32_t *capacity, struct bw_error *err)
{
    const ProtobufCMessage *decoded = NULL;
    enum bw_code code = bw_wire_decode(&bailiwick__v1__relay_facts__descriptor, bytes, arena, &decoded, err);
    if (code != BW_OK)
        return code;
    const Bailiwick__V1__RelayFacts *from = (const Bailiwick__V1__RelayFacts *)decoded;
    code = bw_api_facts_read(from, number, arena, out, err);
    if (code == BW_OK)
        *capacity = from->capacity;
    return code;
}

/* ---- the other way ---- */

Bailiwick__V1__Operator *bw_api_operator_write(const struct bw_operator_facts *from, struct bw_arena *arena)
{
    Bailiwick__V1__Operator *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__operator__init(out);
    if (from->name != NULL)
        out->name = from->name;
    out->n_jurisdictions = from->jurisdiction_count;
    out->jurisdictions = (const char **)from->jurisdictions;
    return out;
}

Bailiwick__V1__Certification **bw_api_certifications_write(const struct bw_certification *from, size_t count,
                                                           struct bw_arena *arena)
{
    Bailiwick__V1__Certification **refs = bw_arena_zalloc(arena, count + 1, sizeof *refs);
    Bailiwick__V1__Certification *items = bw_arena_zalloc(arena, count + 1, sizeof *items);
    if (refs == NULL || items == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        refs[i] = &items[i];
        bailiwick__v1__certification__init(refs[i]);
        items[i].name = from[i].name;
        items[i].expires_unix_ms = from[i].expires_ms == BW_NEVER_MS ? 0 : (int64_t)from[i].expires_ms;
    }
    return refs;
}

Bailiwick__V1__RelayFacts *bw_api_facts_write(const struct bw_relay_facts *from, uint32_t capacity,
                                              struct bw_arena *arena)
{
    Bailiwick__V1__RelayFacts *out = bw_arena_alloc(arena, sizeof *out);
    Bailiwick__V1__ParticipantKind *kinds = bw_arena_zalloc(arena, BW_CONNECTOR_COUNT, sizeof *kinds);
    if (out == NULL || kinds == NULL)
        return NULL;
    bailiwick__v1__relay_facts__init(out);
    out->name = from->name;
    out->site = from->site != NULL ? from->site : out->site;
    out->region = from->region != NULL ? from->region : out->region;
    out->country = from->place != NULL ? from->place : out->country;
    out->operator_ = bw_api_operator_write(&from->operated_by, arena);
    out->n_certifications = from->certification_count;
    out->certifications = bw_api_certifications_write(from->certifications, from->certification_count, arena);
    if (out->operator_ == NULL || out->certifications == NULL)
        return NULL;
    out->capacity = capacity;
    out->version = from->version;
    out->media = from->media == BW_MEDIA_OPAQUE ? BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_OPAQUE
                                                : BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_PLAINTEXT;
    out->cascade = from->cascade;
    out->n_tenants = from->tenant_count;
    out->tenants = (const char **)from->tenants;
    for (size_t i = 0; i < BW_CONNECTOR_COUNT; i++) {
        if (from->connectors & BW_CONNECTOR_BIT(connector_kinds[i].connector))
            kinds[out->n_connectors++] = connector_kinds[i].kind;
    }
    out->connectors = kinds;
    out->far_leg = (Bailiwick__V1__FarLeg)from->far_leg;
    out->n_stores = from->store_count;
    out->stores = (const char **)from->stores;
    return out;
}
