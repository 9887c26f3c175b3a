/* Datagrams from anybody: a relay with one participant must neither crash nor forward any of them, and must
 * not answer with more bytes than it was sent; what parses must be the same when written again. The input is
 * a row of datagrams, each with a 2-byte length; the highest bit of a length says that it comes from the
 * participant's own address. */
#include <string.h>

#include "base/check.h"
#include "relay/core.h"
#include "relay/media_client.h"

static size_t sent_bytes;

static void swallow(void *context, struct bw_outbox *outbox)
{
    (void)context;
    for (size_t i = 0; i < outbox->count; i++)
        sent_bytes += BW_DATAGRAM_HEADER + outbox->items[i].payload.len;
}

static void no_random(void *out, size_t n)
{
    memset(out, 7, n);
}

static void round_trip(struct bw_view bytes)
{
    struct bw_datagram datagram;
    if (!bw_datagram_parse(bytes, &datagram))
        return;
    uint8_t header[BW_DATAGRAM_HEADER];
    bw_datagram_write(header, &datagram, NULL, BW_TO_RELAY);
    BW_CHECK(memcmp(header, bytes.data, BW_DATAGRAM_TAGGED) == 0);
    struct bw_join join;
    uint8_t payload[BW_DATAGRAM_PAYLOAD_MAX];
    if (bw_join_parse(datagram.payload, &join)) {
        BW_CHECK(bw_join_write(&join, payload, sizeof payload) == datagram.payload.len);
        BW_CHECK(memcmp(payload, datagram.payload.data, datagram.payload.len) == 0);
    }
    struct bw_admitted admitted;
    if (bw_admitted_parse(datagram.payload, &admitted)) {
        BW_CHECK(bw_admitted_write(&admitted, payload, sizeof payload) == datagram.payload.len);
        BW_CHECK(memcmp(payload, datagram.payload.data, datagram.payload.len) == 0);
    }
}

static struct bw_relay_core *a_relay(struct bw_outbox *outbox)
{
    struct bw_relay_now now = {.mono_us = 1000000, .wall_ms = 1795255200000};
    struct bw_relay_limits limits = bw_relay_limits_default();
    struct bw_relay_cell_config cell = {.name = "eu", .capacity = 4, .session_secret = {1}};
    struct bw_id stream = {.bytes = {1}}, meeting = {.bytes = {2}};
    struct bw_meeting_slot slot = {.meeting = meeting,
                                   .slot = 1,
                                   .roster_entry = {.bytes = {3}},
                                   .meeting_epoch = 1,
                                   .mode_epoch = 1,
                                   .mode = BW_MODE_E2EE,
                                   .role = BW_ROLE_SPEAKER};
    struct bw_peer_link link = {.meeting = meeting, .meeting_epoch = 1, .peer_number = 2, .link_key = {9}};
    limits.channels = 4;
    memcpy(link.peer_address, "192.0.2.2:3478", 15);
    struct bw_relay_core *core = bw_relay_core_create(&limits, outbox, NULL, no_random, now);
    BW_CHECK(core != NULL && bw_relay_core_add_cell(core, 0, &cell, NULL) == BW_OK);
    bw_relay_core_welcomed(core, 0, 1, &stream);
    bw_relay_core_authority(core, 0, BW_AUTHORITY_FULL, 0);
    BW_CHECK(bw_relay_core_slot(core, 0, &slot, 0, NULL) == BW_OK);
    BW_CHECK(bw_relay_core_link(core, 0, &link, 0, NULL) == BW_OK);
    return core;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bw_outbox outbox;
    outbox = (struct bw_outbox){.flush = swallow};
    struct bw_relay_core *core = a_relay(&outbox);
    struct bw_relay_now now = {.mono_us = 2000000, .wall_ms = 1795255200500};
    struct bw_reader r = bw_reader_of(bw_view_of(data, size));
    while (bw_reader_left(&r) >= 2) {
        uint16_t head = bw_read_u16(&r);
        size_t len = head & 0x7ff;
        struct bw_view bytes = bw_read_bytes(&r, len < bw_reader_left(&r) ? len : bw_reader_left(&r));
        struct bw_address from = {.family = 4, .ip = {192, 0, 2, head >> 15 ? 10 : 66}, .port = 5000};
        sent_bytes = 0;
        bw_relay_core_receive(core, &from, bytes, now);
        bw_outbox_flush(&outbox);
        BW_CHECK(sent_bytes <= bytes.len);
        round_trip(bytes);
    }
    BW_CHECK(bw_relay_core_counters(core)->forwarded == 0);
    BW_CHECK(bw_relay_core_counters(core)->joins == 0);
    bw_relay_core_tick(core, now);
    bw_relay_core_destroy(core);
    return 0;
}
