/* What both sides derive from a meeting key. Threads: pure. */
#ifndef BW_VAULT_MEETING_KEY_H
#define BW_VAULT_MEETING_KEY_H

#include "vault/sealer.h"

enum { BW_MEETING_KEY_INFO_SIZE = 65, BW_ROSTER_AAD_SIZE = 48 };

/* The info a meeting key is sealed to its scope key with. */
void bw_meeting_key_info(const struct bw_meeting_key_row *row, uint8_t info[BW_MEETING_KEY_INFO_SIZE]);
/* The key of a meeting's roster entries. */
void bw_meeting_entry_key(const uint8_t key[BW_RECORD_KEY_SIZE], const struct bw_id *meeting,
                          uint8_t out[BW_GCM_KEY_SIZE]);
/* Where a roster entry belongs. */
void bw_roster_aad(const struct bw_id *tenant, const struct bw_id *meeting, const struct bw_id *roster_entry,
                   uint8_t aad[BW_ROSTER_AAD_SIZE]);

#endif
