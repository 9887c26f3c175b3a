/* The ingest without its thread, its database and the owners of meetings: a keyring, a service key and an
 * opener in memory, rosters a test writes down, and rows that are kept as the database would. */
#ifndef BW_TESTS_INGEST_RIG_H
#define BW_TESTS_INGEST_RIG_H

#include "quality/chunk.h"
#include "server/ingest_core.h"
#include "vault/keyring.h"
#include "vault/opener.h"

enum { RIG_ASKS = 4096, RIG_WRITES = 4, RIG_ROWS = 8192, RIG_WINDOW_MS = 10000 };
#define RIG_START_MS (UINT64_C(20000) * BW_SCOPE_DAY_MS + 3600000)

struct ingest_rig_row {
    struct bw_store_chunk chunk;
    uint8_t *record;
    unsigned versions;
};

struct ingest_rig {
    struct bw_provider *provider;
    struct bw_ed25519_signer *service;
    struct bw_scope_public scope;
    struct bw_buf wrapped;
    struct bw_opener *opener;
    struct bw_ingest_core *core;
    struct bw_id tenant;
    uint64_t now_ms;

    struct bw_id asked[RIG_ASKS]; /* not answered yet */
    size_t ask_count;
    unsigned asks, keys_wanted;

    bool database_away; /* writes are not answered */
    /* Takes writes instead of the rig; answers by bw_ingest_core_written itself. NULL: the rig keeps rows. */
    void (*write)(void *context, struct bw_ingest_write *write);
    void *write_context;
    struct bw_ingest_write *writes[RIG_WRITES];
    size_t write_count;
    unsigned writes_done;

    /* What the database holds. */
    struct ingest_rig_row rows[RIG_ROWS];
    size_t row_count;
    struct bw_store_meeting_key keys[RIG_ROWS];
    size_t key_count;
    struct bw_store_meeting_quality summaries[RIG_ROWS];
    size_t summary_count;
    size_t sketch_rows;

    /* Of batches that are back. */
    uint64_t batches, taken, refused, dropped, overloaded;
};

/* config NULL: the default, with a vault and a flush every second. The scope key is not known to the core
 * until ingest_rig_give_key. On the heap: it is large. */
struct ingest_rig *ingest_rig_create(const struct bw_ingest_config *config);
void ingest_rig_destroy(struct ingest_rig *rig);
void ingest_rig_give_key(struct ingest_rig *rig);

struct bw_id ingest_rig_meeting(uint32_t n);
/* Sixteen random-looking bytes for a slot's roster entry. */
struct bw_id ingest_rig_entry(uint32_t slot);
/* Answers every ask: slots 1 to `slots` on relay 1, and one more each on relay 2 when it is a meeting of two.
 */
void ingest_rig_answer(struct ingest_rig *rig, uint32_t slots, bool ended);
void ingest_rig_answer_none(struct ingest_rig *rig);

/* One window of a relay; start counts from RIG_START_MS in windows of RIG_WINDOW_MS. */
struct ingest_rig_window {
    uint32_t meeting, relay, slot, peer, start, received, lost, jitter_us;
};
void ingest_rig_relay(struct ingest_rig *rig, const struct ingest_rig_window *window);
/* Many of one meeting and window: slots 1 to `slots`, all alike, in batches of 256. */
void ingest_rig_everybody(struct ingest_rig *rig, uint32_t meeting, uint32_t slots, uint32_t start,
                          uint32_t lost);
void ingest_rig_client(struct ingest_rig *rig, uint32_t meeting, uint32_t slot, uint32_t start,
                       const struct bw_quality_window *window, const struct bw_id *tenant);

/* Time passes in ticks; the database answers, unless it is away. */
void ingest_rig_wait(struct ingest_rig *rig, uint64_t ms);
/* Answers what is under way. */
void ingest_rig_written(struct ingest_rig *rig, bool done);

/* Opens a row as the vault does; false when it does not open. */
bool ingest_rig_open(struct ingest_rig *rig, const struct ingest_rig_row *row,
                     struct bw_quality_chunk *chunk);
const struct bw_store_meeting_quality *ingest_rig_summary(const struct ingest_rig *rig, uint32_t meeting);

#endif
