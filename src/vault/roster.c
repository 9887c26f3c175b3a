#include "vault/roster.h"

#include <string.h>

#include "base/check.h"

/* Numbers are durable. Values of 128 and more may be skipped by who does not know them. */
enum tag {
    TAG_USER = 1,
    TAG_ADDRESS = 2,
    TAG_COUNTRY = 3,
    TAG_REGION = 4,
    TAG_CLIENT_VERSION = 5,
    TAG_TRANSPORT = 6,
    TAG_HOME_TENANT = 7,
    TAG_PLATFORM = 8,
    TAG_SLOT = 9,
    TAG_ASN = 10,
    TAG_JOINED = 11,
    TAG_KIND = 12,
    TAG_SKIPPABLE = 128,
};

enum { COUNTRY_MAX = 6, COUNT_SIZE = 4 };

/* The text fields, by tag. */
struct text_field {
    enum tag tag;
    const char *name;
    size_t max, offset;
};

static const struct text_field text_fields[] = {
    {TAG_USER, "user", BW_ROSTER_USER_MAX, offsetof(struct bw_roster_entry, user)},
    {TAG_COUNTRY, "country", COUNTRY_MAX, offsetof(struct bw_roster_entry, country)},
    {TAG_REGION, "region", BW_ROSTER_NAME_MAX, offsetof(struct bw_roster_entry, region)},
    {TAG_CLIENT_VERSION, "client_version", BW_ROSTER_TEXT_MAX,
     offsetof(struct bw_roster_entry, client_version)},
    {TAG_TRANSPORT, "transport", BW_ROSTER_TEXT_MAX, offsetof(struct bw_roster_entry, transport)},
    {TAG_HOME_TENANT, "home_tenant", BW_ROSTER_NAME_MAX, offsetof(struct bw_roster_entry, home_tenant)},
    {TAG_PLATFORM, "platform", BW_ROSTER_TEXT_MAX, offsetof(struct bw_roster_entry, platform)},
};

static struct bw_view *text_of(struct bw_roster_entry *entry, const struct text_field *field)
{
    return (struct bw_view *)(void *)((uint8_t *)entry + field->offset);
}

static const struct text_field *text_field(unsigned tag)
{
    for (size_t i = 0; i < BW_ARRAY_LEN(text_fields); i++)
        if (text_fields[i].tag == tag)
            return &text_fields[i];
    return NULL;
}

static bool good_text(struct bw_view text, size_t max)
{
    if (text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return true;
}

static bool good_address(struct bw_view address)
{
    return address.len == 0 || address.len == 4 || address.len == 16;
}

static void put(struct bw_buf *out, enum tag tag, struct bw_view value)
{
    if (value.len == 0)
        return;
    bw_buf_append_u8(out, (uint8_t)tag);
    bw_buf_append_u8(out, (uint8_t)value.len);
    bw_buf_append(out, value.data, value.len);
}

static void put_number(struct bw_buf *out, enum tag tag, uint64_t value, unsigned bytes)
{
    uint8_t big_endian[8];
    for (unsigned i = 0; i < bytes; i++)
        big_endian[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    if (value != 0)
        put(out, tag, bw_view_of(big_endian, bytes));
}

enum bw_code bw_roster_entry_encode(const struct bw_roster_entry *entry, struct bw_buf *out,
                                    struct bw_error *err)
{
    struct bw_roster_entry copy = *entry;
    for (size_t i = 0; i < BW_ARRAY_LEN(text_fields); i++) {
        const struct text_field *field = &text_fields[i];
        if (!good_text(*text_of(&copy, field), field->max))
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                           "%s: want at most %zu bytes without control characters", field->name, field->max);
    }
    if (!good_address(entry->address))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "address: want 4 or 16 bytes");
    size_t before = out->len;
    put(out, TAG_USER, entry->user);
    put(out, TAG_ADDRESS, entry->address);
    put(out, TAG_COUNTRY, entry->country);
    put(out, TAG_REGION, entry->region);
    put(out, TAG_CLIENT_VERSION, entry->client_version);
    put(out, TAG_TRANSPORT, entry->transport);
    put(out, TAG_HOME_TENANT, entry->home_tenant);
    put(out, TAG_PLATFORM, entry->platform);
    put_number(out, TAG_SLOT, entry->slot, 4);
    put_number(out, TAG_ASN, entry->asn, 4);
    put_number(out, TAG_JOINED, entry->joined_ms, 8);
    put_number(out, TAG_KIND, entry->kind, 1);
    if (!out->failed)
        return BW_OK;
    out->len = before;
    return bw_fail_memory(err);
}

static enum bw_code broken(struct bw_error *err, const char *what)
{
    return bw_fail(err, BW_DATA_LOSS, "ROSTER_SHAPE", "not a roster this program wrote: %s", what);
}

/* Zero is left out when it is written, so it is not read either: one meaning, one form. */
static bool get_number(struct bw_view value, size_t bytes, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.len; i++)
        number = number << 8 | value.data[i];
    *out = number;
    return value.len == bytes && number != 0;
}

static bool get(struct bw_roster_entry *entry, unsigned tag, struct bw_view value)
{
    const struct text_field *field = text_field(tag);
    if (field != NULL) {
        *text_of(entry, field) = value;
        return good_text(value, field->max);
    }
    uint64_t number = 0;
    bool ok = false;
    switch (tag) {
    case TAG_ADDRESS:
        entry->address = value;
        return good_address(value);
    case TAG_SLOT:
        ok = get_number(value, 4, &number);
        entry->slot = (uint32_t)number;
        break;
    case TAG_ASN:
        ok = get_number(value, 4, &number);
        entry->asn = (uint32_t)number;
        break;
    case TAG_JOINED:
        ok = get_number(value, 8, &number);
        entry->joined_ms = number;
        break;
    case TAG_KIND:
        ok = get_number(value, 1, &number);
        entry->kind = (uint8_t)number;
        break;
    default:
        ok = tag >= TAG_SKIPPABLE;
        break;
    }
    return ok;
}

enum bw_code bw_roster_entry_decode(struct bw_view plain, struct bw_roster_entry *entry, struct bw_error *err)
{
    if (plain.len > BW_ROSTER_ENTRY_MAX)
        return broken(err, "an entry is too long");
    struct bw_reader r = bw_reader_of(plain);
    struct bw_roster_entry got = {0};
    unsigned last = 0;
    while (bw_reader_left(&r) > 0 && !r.failed) {
        unsigned tag = bw_read_u8(&r);
        struct bw_view value = bw_read_bytes(&r, bw_read_u8(&r));
        if (r.failed || tag <= last || value.len == 0 || !get(&got, tag, value))
            return broken(err, "a field of an entry");
        last = tag;
    }
    *entry = got;
    return BW_OK;
}

void bw_roster_begin(struct bw_roster_body *body)
{
    bw_buf_clear(&body->bytes);
    body->count = 0;
    bw_buf_append_u32(&body->bytes, 0);
}

void bw_roster_finish(struct bw_roster_body *body)
{
    bw_buf_finish(&body->bytes);
    body->count = 0;
}

enum bw_code bw_roster_add(struct bw_roster_body *body, const struct bw_id *meeting,
                           const struct bw_id *roster_entry, struct bw_view sealed, uint32_t *index,
                           struct bw_error *err)
{
    BW_CHECK(sealed.len >= BW_ROSTER_SEALED_OVERHEAD &&
             sealed.len <= BW_ROSTER_ENTRY_MAX + BW_ROSTER_SEALED_OVERHEAD);
    if (body->count >= BW_ROSTER_ENTRIES_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "a roster record holds at most %d entries",
                       BW_ROSTER_ENTRIES_MAX);
    struct bw_buf *bytes = &body->bytes;
    if (!bw_buf_reserve(bytes, 2 * sizeof meeting->bytes + 2 + sealed.len))
        return bw_fail_memory(err);
    bw_buf_append(bytes, meeting->bytes, sizeof meeting->bytes);
    bw_buf_append(bytes, roster_entry->bytes, sizeof roster_entry->bytes);
    bw_buf_append_u16(bytes, (uint16_t)sealed.len);
    bw_buf_append(bytes, sealed.data, sealed.len);
    *index = body->count++;
    return BW_OK;
}

struct bw_view bw_roster_body(struct bw_roster_body *body)
{
    if (body->bytes.len >= COUNT_SIZE) {
        struct bw_writer w = bw_writer_of(body->bytes.data, COUNT_SIZE);
        bw_write_u32(&w, body->count);
    }
    return bw_buf_view(&body->bytes);
}

enum bw_code bw_roster_read(struct bw_view body, struct bw_roster_reader *reader, struct bw_error *err)
{
    struct bw_roster_reader made = {.reader = bw_reader_of(body)};
    made.count = bw_read_u32(&made.reader);
    if (made.reader.failed || made.count > BW_ROSTER_ENTRIES_MAX)
        return broken(err, "the number of entries");
    *reader = made;
    return BW_OK;
}

enum bw_code bw_roster_next(struct bw_roster_reader *reader, struct bw_roster_item *item,
                            struct bw_error *err)
{
    struct bw_reader *r = &reader->reader;
    if (reader->next == reader->count) {
        if (!bw_reader_done(r))
            return broken(err, "bytes behind the last entry");
        return bw_fail(err, BW_NOT_FOUND, NULL, "there is no further entry");
    }
    struct bw_roster_item got = {.index = reader->next};
    bw_read_copy(r, got.meeting.bytes, sizeof got.meeting.bytes);
    bw_read_copy(r, got.roster_entry.bytes, sizeof got.roster_entry.bytes);
    got.sealed = bw_read_bytes(r, bw_read_u16(r));
    if (r->failed || got.sealed.len < BW_ROSTER_SEALED_OVERHEAD ||
        got.sealed.len > BW_ROSTER_ENTRY_MAX + BW_ROSTER_SEALED_OVERHEAD)
        return broken(err, "an entry is cut short");
    reader->next++;
    *item = got;
    return BW_OK;
}
