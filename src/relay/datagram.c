#include "relay/datagram.h"

#include <string.h>

#include "base/check.h"
#include "base/secret.h"

bool bw_datagram_parse(struct bw_view bytes, struct bw_datagram *datagram)
{
    if (bytes.len < BW_DATAGRAM_HEADER || bytes.len > BW_DATAGRAM_MAX)
        return false;
    struct bw_reader r = bw_reader_of(bytes);
    struct bw_datagram d;
    uint8_t version = bw_read_u8(&r);
    uint8_t type = bw_read_u8(&r);
    uint16_t reserved = bw_read_u16(&r);
    if (version != BW_DATAGRAM_VERSION || reserved != 0 || type < BW_DATAGRAM_JOIN ||
        type > BW_DATAGRAM_PROBE_REPLY)
        return false;
    d.type = (enum bw_datagram_type)type;
    d.channel = bw_read_u32(&r);
    d.sender = bw_read_u32(&r);
    d.meeting_epoch = bw_read_u32(&r);
    d.sequence = bw_read_u64(&r);
    d.timestamp_us = bw_read_u32(&r);
    (void)bw_read_bytes(&r, BW_DATAGRAM_TAG_SIZE);
    d.payload = bw_read_bytes(&r, bw_reader_left(&r));
    if (!bw_reader_done(&r))
        return false;
    *datagram = d;
    return true;
}

static void compute_tag(const uint8_t *header, struct bw_view payload, const struct bw_hmac256 *key,
                        enum bw_direction direction, uint8_t tag[BW_SHA256_SIZE])
{
    uint8_t head[1 + BW_DATAGRAM_TAGGED];
    head[0] = (uint8_t)direction;
    memcpy(head + 1, header, BW_DATAGRAM_TAGGED);
    struct bw_sha256 running;
    bw_hmac256_begin(key, &running);
    bw_sha256_update(&running, head, sizeof head);
    if (payload.len > 0)
        bw_sha256_update(&running, payload.data, payload.len);
    bw_hmac256_end(key, &running, tag);
}

bool bw_datagram_verify(struct bw_view bytes, const struct bw_hmac256 *key, enum bw_direction direction)
{
    BW_CHECK(bytes.len >= BW_DATAGRAM_HEADER);
    struct bw_view payload = bw_view_of(bytes.data + BW_DATAGRAM_HEADER, bytes.len - BW_DATAGRAM_HEADER);
    uint8_t tag[BW_SHA256_SIZE];
    compute_tag(bytes.data, payload, key, direction, tag);
    return bw_bytes_equal_ct(tag, bytes.data + BW_DATAGRAM_TAGGED, BW_DATAGRAM_TAG_SIZE);
}

void bw_datagram_write(uint8_t header[BW_DATAGRAM_HEADER], const struct bw_datagram *datagram,
                       const struct bw_hmac256 *key, enum bw_direction direction)
{
    BW_CHECK(datagram->payload.len <= BW_DATAGRAM_PAYLOAD_MAX);
    struct bw_writer w = bw_writer_of(header, BW_DATAGRAM_HEADER);
    bw_write_u8(&w, BW_DATAGRAM_VERSION);
    bw_write_u8(&w, (uint8_t)datagram->type);
    bw_write_u16(&w, 0);
    bw_write_u32(&w, datagram->channel);
    bw_write_u32(&w, datagram->sender);
    bw_write_u32(&w, datagram->meeting_epoch);
    bw_write_u64(&w, datagram->sequence);
    bw_write_u32(&w, datagram->timestamp_us);
    uint8_t tag[BW_SHA256_SIZE] = {0};
    if (key != NULL)
        compute_tag(header, datagram->payload, key, direction, tag);
    bw_write_bytes(&w, tag, BW_DATAGRAM_TAG_SIZE);
    BW_CHECK(!w.failed && bw_writer_len(&w) == BW_DATAGRAM_HEADER);
}

enum bw_direction bw_link_direction(uint32_t from_number, uint32_t to_number)
{
    return from_number < to_number ? BW_LINK_UPWARD : BW_LINK_DOWNWARD;
}
