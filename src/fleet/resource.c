#include "fleet/resource.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "crypto/hash.h"

static struct bw_resource_id meeting_id(char kind, const struct bw_id *meeting, uint32_t number)
{
    struct bw_resource_id id = {0};
    char uuid[BW_ID_TEXT_SIZE];
    bw_id_format(meeting, uuid);
    int n = snprintf(id.text, sizeof id.text, "%c/%s/%u", kind, uuid, (unsigned)number);
    BW_CHECK(n > 0 && (size_t)n < sizeof id.text);
    return id;
}

struct bw_resource_id bw_resource_id_link(const struct bw_id *meeting, uint32_t peer_number)
{
    return meeting_id('l', meeting, peer_number);
}

struct bw_resource_id bw_resource_id_slot(const struct bw_id *meeting, uint32_t slot)
{
    return meeting_id('s', meeting, slot);
}

struct bw_resource_id bw_resource_id_key(const uint8_t key_id[8])
{
    static const char digits[] = "0123456789abcdef";
    struct bw_resource_id id = {.text = "k/"};
    for (size_t i = 0; i < 8; i++) {
        id.text[2 + 2 * i] = digits[key_id[i] >> 4];
        id.text[3 + 2 * i] = digits[key_id[i] & 15];
    }
    return id;
}

/* Lower-case hex only: one spelling per id. */
static bool parse_key_id(struct bw_view hex, uint8_t key_id[8])
{
    if (hex.len != 16)
        return false;
    for (size_t i = 0; i < 16; i++) {
        uint8_t c = hex.data[i], digit;
        if (c >= '0' && c <= '9')
            digit = (uint8_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint8_t)(c - 'a' + 10);
        else
            return false;
        key_id[i / 2] = (uint8_t)(key_id[i / 2] << 4 | digit);
    }
    return true;
}

static bool parse_number(struct bw_view text, uint32_t *number)
{
    if (text.len == 0 || text.len > 10 || (text.len > 1 && text.data[0] == '0'))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool parse_meeting_and_number(struct bw_view text, struct bw_resource_name *name)
{
    enum { UUID_CHARS = BW_ID_TEXT_SIZE - 1 };
    if (text.len < UUID_CHARS + 2 || text.data[UUID_CHARS] != '/')
        return false;
    for (size_t i = 0; i < UUID_CHARS; i++) {
        if (text.data[i] >= 'A' && text.data[i] <= 'F')
            return false; /* one spelling per id */
    }
    return bw_id_parse(bw_view_of(text.data, UUID_CHARS), &name->meeting) &&
           parse_number(bw_view_of(text.data + UUID_CHARS + 1, text.len - UUID_CHARS - 1), &name->number);
}

bool bw_resource_id_parse(struct bw_view text, struct bw_resource_id *id, struct bw_resource_name *name)
{
    if (text.len < 3 || text.len >= BW_RESOURCE_ID_SIZE || text.data[1] != '/')
        return false;
    struct bw_view rest = bw_view_of(text.data + 2, text.len - 2);
    struct bw_resource_name parsed = {0};
    bool ok = false;
    if (text.data[0] == 'l') {
        parsed.type = BW_RESOURCE_PEER_LINK;
        ok = parse_meeting_and_number(rest, &parsed);
    } else if (text.data[0] == 's') {
        parsed.type = BW_RESOURCE_MEETING_SLOT;
        ok = parse_meeting_and_number(rest, &parsed);
    } else if (text.data[0] == 'k') {
        parsed.type = BW_RESOURCE_GRANT_KEY;
        ok = parse_key_id(rest, parsed.key_id);
    }
    if (!ok)
        return false;
    *name = parsed;
    memset(id, 0, sizeof *id);
    memcpy(id->text, text.data, text.len);
    return true;
}

bool bw_resource_id_equal(const struct bw_resource_id *a, const struct bw_resource_id *b)
{
    return memcmp(a->text, b->text, sizeof a->text) == 0;
}

size_t bw_resource_body_size(enum bw_resource_type type)
{
    switch (type) {
    case BW_RESOURCE_PEER_LINK:
        return sizeof(struct bw_peer_link);
    case BW_RESOURCE_MEETING_SLOT:
        return sizeof(struct bw_meeting_slot);
    case BW_RESOURCE_GRANT_KEY:
        return sizeof(struct bw_grant_key);
    }
    return 0;
}

struct bw_upsert bw_upsert_link(const struct bw_peer_link *link, uint64_t version, uint32_t max_staleness_ms)
{
    return (struct bw_upsert){.id = bw_resource_id_link(&link->meeting, link->peer_number),
                              .version = version,
                              .type = BW_RESOURCE_PEER_LINK,
                              .max_staleness_ms = max_staleness_ms,
                              .body = bw_view_of(link, sizeof *link)};
}

struct bw_upsert bw_upsert_slot(const struct bw_meeting_slot *slot, uint64_t version,
                                uint32_t max_staleness_ms)
{
    return (struct bw_upsert){.id = bw_resource_id_slot(&slot->meeting, slot->slot),
                              .version = version,
                              .type = BW_RESOURCE_MEETING_SLOT,
                              .max_staleness_ms = max_staleness_ms,
                              .body = bw_view_of(slot, sizeof *slot)};
}

struct bw_upsert bw_upsert_key(const struct bw_grant_key *key, uint64_t version)
{
    return (struct bw_upsert){.id = bw_resource_id_key(key->key_id),
                              .version = version,
                              .type = BW_RESOURCE_GRANT_KEY,
                              .body = bw_view_of(key, sizeof *key)};
}

bool bw_resource_name_of(const struct bw_resource_id *id, struct bw_resource_name *name)
{
    struct bw_resource_id parsed;
    struct bw_resource_name found;
    size_t len = strnlen(id->text, sizeof id->text);
    if (!bw_resource_id_parse(bw_view_of(id->text, len), &parsed, &found) ||
        !bw_resource_id_equal(&parsed, id))
        return false;
    *name = found;
    return true;
}

static bool body_names(const struct bw_upsert *upsert, const struct bw_resource_name *name)
{
    struct bw_peer_link link;
    struct bw_meeting_slot slot;
    struct bw_grant_key key;
    switch (name->type) {
    case BW_RESOURCE_PEER_LINK:
        memcpy(&link, upsert->body.data, sizeof link);
        return link.peer_number == name->number && bw_id_equal(&link.meeting, &name->meeting);
    case BW_RESOURCE_MEETING_SLOT:
        memcpy(&slot, upsert->body.data, sizeof slot);
        return slot.slot == name->number && bw_id_equal(&slot.meeting, &name->meeting);
    case BW_RESOURCE_GRANT_KEY:
        memcpy(&key, upsert->body.data, sizeof key);
        return memcmp(key.key_id, name->key_id, sizeof key.key_id) == 0;
    }
    return false;
}

bool bw_upsert_valid(const struct bw_upsert *upsert, struct bw_resource_name *name)
{
    struct bw_resource_name found;
    if (!bw_resource_name_of(&upsert->id, &found) || found.type != upsert->type || upsert->version == 0 ||
        upsert->body.len != bw_resource_body_size(upsert->type) || !body_names(upsert, &found))
        return false;
    *name = found;
    return true;
}

struct bw_digest bw_digest_of(const struct bw_resource_id *id, uint64_t version)
{
    uint8_t bytes[BW_RESOURCE_ID_SIZE + 1 + 8];
    struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
    bw_write_bytes(&w, id->text, strnlen(id->text, sizeof id->text));
    bw_write_u8(&w, 0);
    bw_write_u64(&w, version);
    BW_CHECK(!w.failed);
    struct bw_digest digest;
    bw_sha256(bw_view_of(bytes, bw_writer_len(&w)), digest.bytes);
    return digest;
}

void bw_digest_toggle(struct bw_digest *set, const struct bw_digest *one)
{
    for (size_t i = 0; i < sizeof set->bytes; i++)
        set->bytes[i] ^= one->bytes[i];
}

bool bw_digest_equal(const struct bw_digest *a, const struct bw_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
