/* The ingest's insides, shared by ingest_core.c, ingest_rows.c and ingest_hours.c. For nobody else. */
#ifndef BW_SERVER_INGEST_STATE_H
#define BW_SERVER_INGEST_STATE_H

#include "base/hash.h"
#include "quality/accumulator.h"
#include "quality/hour.h"
#include "server/ingest_core.h"

enum {
    SLOT_RELAYS = 4,        /* the latest a participant was on */
    WRITE_CHUNKS = 512,     /* of one write */
    WRITE_MEETINGS = 512,   /* likewise */
    WRITES_UNDER_WAY = 2,   /* one is being written while the next is sealed */
    ASK_AGAIN_MS = 500,     /* a meeting's owner is not asked more often */
    IDLE_MS = 60000,        /* then the owner is asked whether it has ended */
    ABANDONED_MS = 900000,  /* a meeting of which nothing has come for so long is let go */
    ENDED_GRACE_MS = 30000, /* for the last windows of a meeting that has ended */
    KEY_ASK_MS = 5000,
    SKETCH_MS = 60000, /* a tenant-hour is written that often while it fills */
    HOUR_MS = 3600000,
    HOUR_GRACE_MS = 1200000, /* then an hour gets no more windows */
    PAD_CHUNK = 5,           /* to multiples of 32 bytes */
    PAD_SKETCH = 8,
};

/* One window whose meeting or slot has to be asked for first. */
struct waiting {
    struct waiting *next;
    struct bw_api_quality *batch;
    size_t index;
};

struct ingest_slot {
    uint32_t slot;
    struct bw_id entry;
    uint32_t relays[SLOT_RELAYS];
    size_t relay_count;
    UT_hash_handle hh;
};

/* What of a stream's open chunk has been given to the writer. */
struct ingest_stream {
    struct bw_quality_stream_key key;
    uint64_t seq;
    uint32_t windows;
    UT_hash_handle hh;
};

struct ingest_hour {
    struct ingest_hour *next;
    int64_t start_ms;
    struct bw_id id; /* of its row */
    struct bw_quality_hour *sums;
    bool dirty;
    uint64_t written_ms;
};

struct ingest_tenant {
    struct bw_id id;
    uint64_t keys_asked_ms;
    bool keyless; /* the sealer said so in this tick */
    struct ingest_hour *hours;
    UT_hash_handle hh;
};

struct ingest_meeting {
    struct bw_ingest_core *core;
    struct bw_id id;
    struct ingest_meeting *next, *previous; /* ring, for visits */
    bool known, ended, leaving;             /* leaving: closed; goes when its rows are written */
    bool asking, ask_wanted;
    struct ingest_meeting *next_ask; /* of those that want it */
    uint64_t asked_ms, last_ms;
    struct ingest_tenant *tenant;
    uint32_t policy_revision;
    uint32_t relays[BW_STORE_QUALITY_RELAYS];
    size_t relay_count;
    struct ingest_slot *slots;
    struct waiting *waiting, **waiting_end;
    struct bw_quality_meeting *windows;
    size_t bytes; /* of them */
    bool dirty;   /* since the last flush */
    struct ingest_stream *streams;
    bool summary_due, summary_under_way;
    struct ingest_meeting *next_summary; /* of those due and not under way */
    bool base_known, has_base;
    struct bw_store_meeting_quality base;
    size_t rows; /* chunks that wait or are under way */
    UT_hash_handle hh;
};

struct ingest_row_key {
    const struct ingest_meeting *meeting;
    uint64_t seq;
    struct bw_id stream;
    uint32_t slot;
    uint32_t source;
};

/* A chunk that waits to be sealed and written; a newer version takes its place. */
struct ingest_row {
    struct ingest_row_key key;
    struct ingest_meeting *meeting;
    struct ingest_row *next, *previous;
    int64_t from_ms, to_ms;
    bool partial;
    uint8_t *bytes;
    size_t len;
    UT_hash_handle hh;
};

/* A relay as hours name it. */
struct ingest_relay {
    uint32_t number;
    char name[64], site[64];
    UT_hash_handle hh;
};

/* A write and what it was made of. */
struct ingest_write {
    struct bw_ingest_write write; /* first: what the port holds */
    struct ingest_meeting **chunk_meetings;
    struct ingest_meeting **meetings;
    size_t partial, sealed_bytes;
};

struct bw_ingest_core {
    struct bw_ingest_config config;
    struct bw_ingest_ports ports;
    struct bw_sealer *sealer; /* NULL: no vault */
    struct ingest_meeting *meetings, *ring;
    struct ingest_meeting *ask_next; /* to be asked for again */
    struct ingest_tenant *tenants;
    struct ingest_relay *relays;
    struct ingest_row *rows, *first_row, *last_row;
    struct ingest_meeting *first_summary, *last_summary;
    size_t row_bytes;
    unsigned writes;
    bool closing;
    uint64_t now_ms;
    /* Of the window that is being added. */
    uint32_t adding_relay;
    uint64_t adding_who;
    struct bw_ingest_counts counts;
};

/* ---- ingest_core.c ---- */
enum fate { FATE_TAKEN, FATE_REFUSED, FATE_DROPPED, FATE_OVERLOADED };
/* Every window that waits for the meeting's owner has this answer. */
void ingest_refuse_waiting(struct ingest_meeting *meeting, enum fate fate);

/* ---- ingest_meeting.c ---- */
/* NULL: memory is out. */
struct ingest_tenant *ingest_tenant_of(struct bw_ingest_core *core, const struct bw_id *id);
/* NULL: not known. */
struct ingest_meeting *ingest_meeting_find(struct bw_ingest_core *core, const struct bw_id *id);
/* NULL: no room. */
struct ingest_meeting *ingest_meeting_create(struct bw_ingest_core *core, const struct bw_id *id);
/* What its owner says. False: memory is out. */
bool ingest_meeting_learn(struct ingest_meeting *meeting, const struct bw_ingest_roster *roster);
void ingest_meeting_let_go(struct ingest_meeting *meeting);
/* Asks the owner, now or, if that was just done, a little later. */
void ingest_ask(struct ingest_meeting *meeting);
void ingest_ask_later(struct ingest_meeting *meeting);
void ingest_ask_again(struct bw_ingest_core *core);
/* Whether this relay carries, or carried, what it says it measured. */
bool ingest_carried(const struct ingest_meeting *meeting, const struct ingest_slot *slot, uint32_t relay,
                    uint32_t peer);

/* ---- ingest_rows.c ---- */
/* The sink of chunks that are complete. */
enum bw_code ingest_row_closed(void *context, const struct bw_quality_closed *closed, struct bw_error *err);
/* Takes what is open now along. */
void ingest_rows_flush(struct ingest_meeting *meeting);
/* What is known of the meeting as a whole has changed. */
void ingest_summary_due(struct ingest_meeting *meeting);
void ingest_rows_finish(struct bw_ingest_core *core);
/* Gives the writer what waits, as far as it may be under way and there are keys. */
void ingest_rows_pump(struct bw_ingest_core *core);
void ingest_write_free(struct ingest_write *write);

/* ---- ingest_hours.c ---- */
void ingest_hours_add(struct ingest_meeting *meeting, const struct bw_quality_window *window,
                      const struct bw_quality_judgement *judgement);
/* Seals the hours that are due into the write, up to `most` rows. */
void ingest_hours_seal(struct bw_ingest_core *core, struct ingest_write *write, size_t most);
/* True when one would be due. */
bool ingest_hours_due(const struct bw_ingest_core *core);
void ingest_hours_forget(struct ingest_tenant *tenant, uint64_t now_ms, bool all);

/* Seals bytes into write->records. NOT_FOUND: no key yet. */
BW_MUST_USE enum bw_code ingest_seal(struct bw_ingest_core *core, struct ingest_write *write,
                                     struct ingest_tenant *tenant, const struct bw_id *meeting,
                                     struct bw_record_info *info, const char *table, struct bw_view bytes,
                                     struct bw_id *row, size_t *offset, size_t *len);

#endif
