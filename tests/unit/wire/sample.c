#include "sample.h"

#include <string.h>

#include "base/check.h"

uint64_t sample_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void put_varint(struct bw_buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        bw_buf_append_u8(out, (uint8_t)(value | 0x80));
    bw_buf_append_u8(out, (uint8_t)value);
}

void put_tag(struct bw_buf *out, unsigned number, unsigned wire_type)
{
    put_varint(out, (uint64_t)number << 3 | wire_type);
}

void put_number(struct bw_buf *out, unsigned number, uint64_t value)
{
    put_tag(out, number, 0);
    put_varint(out, value);
}

void put_bytes(struct bw_buf *out, unsigned number, const void *data, size_t len)
{
    put_tag(out, number, 2);
    put_varint(out, len);
    bw_buf_append(out, data, len);
}

void put_string(struct bw_buf *out, unsigned number, const char *text)
{
    put_bytes(out, number, text, strlen(text));
}

static const char *string_of(Bailiwick__V1__Rule__Grammar grammar, uint64_t *state)
{
    static const char *const samples[][3] = {
        [BAILIWICK__V1__RULE__GRAMMAR__ANY] = {"x", "été", "a b"},
        [BAILIWICK__V1__RULE__GRAMMAR__NAME] = {"par1", "chu-lyon", "0"},
        [BAILIWICK__V1__RULE__GRAMMAR__UUID] = {"0192f3a0-1111-7222-8333-444455556666",
                                                "0192F3A0-1111-7222-8333-44445555666F",
                                                "00000000-0000-0000-0000-000000000001"},
        [BAILIWICK__V1__RULE__GRAMMAR__USER] = {"a@b.example", "dr.x@board.chu-lyon.example", "ü@b.example"},
        [BAILIWICK__V1__RULE__GRAMMAR__COUNTRY] = {"FR", "FR-75", "GB-ENG"},
        [BAILIWICK__V1__RULE__GRAMMAR__HOST_PORT] = {"192.0.2.1:3478", "[2001:db8::1]:1", "r.example:65535"},
        [BAILIWICK__V1__RULE__GRAMMAR__TEXT] = {"l'été", "two words", "policy.yaml:17:26"},
        [BAILIWICK__V1__RULE__GRAMMAR__LINES] = {"a: b\n", "\t", "# é\r\n"},
        [BAILIWICK__V1__RULE__GRAMMAR__TOKEN] = {"BW-P012", "l/0/1", "e2ee"},
        [BAILIWICK__V1__RULE__GRAMMAR__SPIFFE] = {"spiffe://eu.bailiwick.internal/relay/par1", "spiffe://a/b",
                                                  "spiffe://a/B.c/d"},
        [BAILIWICK__V1__RULE__GRAMMAR__SEMVER] = {"1.2.3", "0.0.1-rc.1+build.7", "1.0.0-a"},
        [BAILIWICK__V1__RULE__GRAMMAR__BASE64URL] = {"AA_-", "a", "Zm9v"},
        [BAILIWICK__V1__RULE__GRAMMAR__ADDRESS] = {"192.0.2.1", "2001:db8::1", "::1"},
        [BAILIWICK__V1__RULE__GRAMMAR__PREFIX] = {"192.0.2.0/24", "2001:db8::/32", "192.0.2.1"},
    };
    return samples[grammar][sample_random(state) % 3];
}

static uint64_t number_of(const struct bw_wire_field *field, uint64_t *state)
{
    uint64_t r = sample_random(state);
    if (field->kind == BW_WIRE_BOOL)
        return 1;
    if (field->kind == BW_WIRE_ENUM) {
        const struct bw_wire_enum *e = &bw_wire_enums[field->target];
        return (uint64_t)e->values[1 + r % (e->count - 1)];
    }
    if ((field->flags & BW_WIRE_RANGE) != 0) {
        int64_t low = field->min > 1 ? field->min : 1;
        int64_t high = field->max < 1 << 20 ? field->max : 1 << 20;
        if (high < low)
            high = field->max;
        return (uint64_t)(low + (int64_t)(r % (uint64_t)(high - low + 1)));
    }
    r >>= sample_random(state) % 64;
    if (field->kind == BW_WIRE_INT32 || field->kind == BW_WIRE_UINT32)
        r &= INT32_MAX;
    return r != 0 ? r : 1;
}

static void sample_text(const struct bw_wire_field *field, uint64_t *state, struct bw_buf *out)
{
    if (field->kind == BW_WIRE_STRING) {
        const char *text = string_of((Bailiwick__V1__Rule__Grammar)field->grammar, state);
        size_t len = strlen(text);
        if (len > field->max_len) /* only where the grammar allows a piece */
            len = field->max_len;
        put_bytes(out, field->number, text, len);
        return;
    }
    uint8_t bytes[80];
    size_t len = field->min_len > 0 ? field->min_len : 1 + sample_random(state) % 24;
    BW_CHECK(len <= sizeof bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)sample_random(state);
    put_bytes(out, field->number, bytes, len);
}

static void sample_one(const struct bw_wire_field *field, uint64_t *state, struct bw_buf *out)
{
    if (field->kind < BW_WIRE_STRING) {
        put_number(out, field->number, number_of(field, state));
    } else if (field->kind == BW_WIRE_MESSAGE) {
        struct bw_buf inner = {0};
        sample_message(&bw_wire_messages[field->target], state, &inner);
        put_bytes(out, field->number, inner.data, inner.len);
        bw_buf_finish(&inner);
    } else {
        sample_text(field, state, out);
    }
}

static void sample_repeated(const struct bw_wire_field *field, uint64_t *state, struct bw_buf *out)
{
    size_t count = 1 + sample_random(state) % 3;
    if (count > field->max_items)
        count = field->max_items;
    if (field->kind >= BW_WIRE_STRING) {
        while (count-- > 0)
            sample_one(field, state, out);
        return;
    }
    struct bw_buf packed = {0};
    while (count-- > 0)
        put_varint(&packed, number_of(field, state));
    put_bytes(out, field->number, packed.data, packed.len);
    bw_buf_finish(&packed);
}

void sample_message(const struct bw_wire_message *table, uint64_t *state, struct bw_buf *out)
{
    uint32_t oneofs = 0;
    for (size_t i = 0; i < table->field_count; i++) {
        const struct bw_wire_field *field = &table->fields[i];
        bool in_oneof = (field->flags & BW_WIRE_ONEOF) != 0;
        if (in_oneof && (oneofs & (1U << field->oneof)) != 0)
            continue;
        /* Both fields of a map's entry are there, as protobuf writes them. */
        bool entry = strstr(table->full_name, "Entry") != NULL && table->required == 1;
        if ((field->flags & BW_WIRE_REQUIRED) == 0 && !entry && sample_random(state) % 8 < 3)
            continue;
        if (in_oneof)
            oneofs |= 1U << field->oneof;
        if ((field->flags & BW_WIRE_REPEATED) != 0)
            sample_repeated(field, state, out);
        else
            sample_one(field, state, out);
    }
}
