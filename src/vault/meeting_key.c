#include "vault/meeting_key.h"

#include <string.h>

#include "crypto/hkdf.h"

static void write_id(struct bw_writer *w, const struct bw_id *id)
{
    bw_write_bytes(w, id->bytes, sizeof id->bytes);
}

void bw_meeting_key_info(const struct bw_meeting_key_row *row, uint8_t info[BW_MEETING_KEY_INFO_SIZE])
{
    static const char label[] = "bw-meeting-key/v1";
    struct bw_writer w = bw_writer_of(info, BW_MEETING_KEY_INFO_SIZE);
    bw_write_bytes(&w, label, sizeof label - 1);
    write_id(&w, &row->tenant);
    write_id(&w, &row->meeting);
    write_id(&w, &row->key_id);
}

void bw_meeting_entry_key(const uint8_t key[BW_RECORD_KEY_SIZE], const struct bw_id *meeting,
                          uint8_t out[BW_GCM_KEY_SIZE])
{
    static const char label[] = "roster entry/v1";
    uint8_t info[sizeof label - 1 + sizeof meeting->bytes];
    memcpy(info, label, sizeof label - 1);
    memcpy(info + sizeof label - 1, meeting->bytes, sizeof meeting->bytes);
    bw_hkdf256_expand(key, bw_view_of(info, sizeof info), out, BW_GCM_KEY_SIZE);
}

void bw_roster_aad(const struct bw_id *tenant, const struct bw_id *meeting, const struct bw_id *roster_entry,
                   uint8_t aad[BW_ROSTER_AAD_SIZE])
{
    struct bw_writer w = bw_writer_of(aad, BW_ROSTER_AAD_SIZE);
    write_id(&w, tenant);
    write_id(&w, meeting);
    write_id(&w, roster_entry);
}
