/* The protocol between the daemon and its vault, rosters and keyring files: what is taken is written again
 * the same. The first byte says which of them the rest is. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "vault/keyring.h"
#include "vault/protocol.h"
#include "vault/roster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The frame's length is written in front of it. */
static void check_same(struct bw_view frame, struct bw_buf *again)
{
    BW_CHECK(!again->failed && bw_view_equal(frame, bw_view_of(again->data + 4, again->len - 4)));
    bw_buf_finish(again);
}

static void check_request(struct bw_view frame)
{
    struct bw_vault_request request;
    struct bw_vault_scope_name name;
    struct bw_buf again = {0};
    if (frame.len > BW_VAULT_FRAME_MAX || !bw_vault_decode_request(frame, &request))
        return;
    for (uint32_t i = 0; i < request.scope_count; i++)
        bw_vault_scope_name_at(&request, i, &name);
    bw_vault_encode_request(&request, &again);
    check_same(frame, &again);
}

static void check_reply(struct bw_view frame)
{
    struct bw_vault_reply reply;
    struct bw_scope_public scope;
    struct bw_vault_row row;
    struct bw_buf again = {0};
    if (frame.len > BW_VAULT_FRAME_MAX || !bw_vault_decode_reply(frame, &reply))
        return;
    for (uint32_t i = 0; i < reply.scope_count; i++)
        bw_vault_scope_at(&reply, i, &scope);
    if (reply.type != BW_VAULT_OPENED) {
        bw_vault_encode_reply(&reply, &again);
    } else {
        struct bw_vault_part part;
        struct bw_reader rows = bw_vault_rows(&reply);
        bw_vault_part_begin(&part, reply.id, (enum bw_vault_what)reply.what, &again);
        while (bw_vault_next_row(&rows, &row))
            BW_CHECK(bw_vault_part_add(&part, &row));
        BW_CHECK(bw_reader_done(&rows) && part.rows == reply.row_count);
        bw_vault_part_end(&part, reply.last, reply.cut);
    }
    check_same(frame, &again);
}

static void check_entry(struct bw_view plain)
{
    struct bw_roster_entry entry;
    struct bw_buf again = {0};
    if (bw_roster_entry_decode(plain, &entry, NULL) != BW_OK)
        return;
    BW_CHECK(bw_roster_entry_encode(&entry, &again, NULL) == BW_OK);
    /* Tags that may be skipped are not written again. */
    BW_CHECK(again.len <= plain.len && (again.len == 0 || memcmp(again.data, plain.data, again.len) == 0));
    bw_buf_finish(&again);
}

static void check_roster(struct bw_view body)
{
    struct bw_roster_reader reader;
    struct bw_roster_item item;
    if (bw_roster_read(body, &reader, NULL) != BW_OK)
        return;
    struct bw_roster_body again = {0};
    bw_roster_begin(&again);
    enum bw_code code;
    uint32_t index;
    while ((code = bw_roster_next(&reader, &item, NULL)) == BW_OK)
        BW_CHECK(bw_roster_add(&again, &item.meeting, &item.roster_entry, item.sealed, &index, NULL) ==
                     BW_OK &&
                 index == item.index);
    if (code == BW_NOT_FOUND)
        BW_CHECK(bw_view_equal(bw_roster_body(&again), body));
    bw_roster_finish(&again);
}

static void check_keyring(struct bw_view text)
{
    struct bw_provider *provider = NULL;
    struct bw_provider_facts facts;
    if (bw_keyring_parse(text, "keyring", &provider, NULL) != BW_PROVIDER_OK)
        return;
    bw_provider_describe(provider, &facts);
    BW_CHECK(facts.keys > 0 && facts.active[0] != '\0');
    BW_CHECK(bw_provider_probe(provider, NULL) == BW_PROVIDER_OK);
    bw_provider_destroy(provider);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct bw_view) = {check_request, check_reply, check_entry, check_roster,
                                                     check_keyring};
    if (size > 0)
        checks[data[0] % BW_ARRAY_LEN(checks)](bw_view_of(data + 1, size - 1));
    return 0;
}
