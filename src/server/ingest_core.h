/* Ingest without threads, sockets or a database: windows of quality in, sealed rows out. It asks the owners
 * of meetings who may speak for whom, keeps an accumulator for each meeting, seals what has come, still open
 * chunks too, and gives it to a writer; without the writer or the vault's keys it goes on, within bounds, and
 * counts what it must forget.
 *
 * What a row of an open chunk says is overtaken by the next version of the same row: a question can be
 * answered `flush_ms` after a window came, and a crash costs no more than that.
 *
 * Owner: whoever created it. Threads: one. Time is an argument: unix milliseconds. */
#ifndef BW_SERVER_INGEST_CORE_H
#define BW_SERVER_INGEST_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/quality.h"
#include "base/status.h"
#include "store/quality.h"
#include "vault/sealer.h"

struct bw_ingest_core;

struct bw_ingest_config {
    const char *cell;
    bool seals; /* false: there is no vault; windows are judged and summed up, and go no further */
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE];
    struct bw_capsules *capsules; /* made ahead; NULL: none */
    uint32_t flush_ms;
    size_t meetings;     /* at a time */
    size_t waiting;      /* windows whose meeting's owner has yet to answer */
    size_t window_bytes; /* of all meetings' open windows */
    size_t row_bytes;    /* of chunks that wait for a key or for the database */
};

/* 10 s, 200,000 meetings, 256 MiB, 64 MiB; no vault. */
struct bw_ingest_config bw_ingest_config_default(void);

/* ---- who takes part, as the meeting's owner says ---- */

struct bw_ingest_slot {
    uint32_t slot, relay;
    struct bw_id entry;
};
struct bw_ingest_relay {
    uint32_t number;
    char name[64], site[64];
};
struct bw_ingest_roster {
    struct bw_id meeting;
    bool found, ended;
    bool loading; /* not known now: ask again */
    struct bw_id tenant;
    uint32_t policy_revision;
    struct bw_ingest_relay *relays;
    size_t relay_count;
    struct bw_ingest_slot *slots;
    size_t slot_count;
};

/* ---- what goes to the database, in this order ---- */

struct bw_ingest_write {
    struct bw_store_meeting_key *keys;
    struct bw_store_chunk *chunks;
    struct bw_store_sketch *sketches;
    struct bw_store_meeting_quality *meetings; /* as this process alone knows them */
    bool *first; /* likewise: read what an earlier process has left, and merge */
    size_t key_count, chunk_count, sketch_count, meeting_count;
    struct bw_buf records; /* what the chunks' and sketches' views point into */
    /* The answer: what was found of those that are first. */
    struct bw_store_meeting_quality *bases;
    size_t base_count;
    void *owner; /* the writer's */
};

/* A summary of one process, and what an earlier one had. */
void bw_ingest_merge(struct bw_store_meeting_quality *into, const struct bw_store_meeting_quality *base);

struct bw_ingest_ports {
    void *context;
    /* Answered by bw_ingest_core_resolved, later. */
    void (*resolve)(void *context, const struct bw_id *meeting);
    /* The sealer has no usable key of this tenant; answered by bw_ingest_core_scope, maybe. */
    void (*want_keys)(void *context, const struct bw_id *tenant);
    /* Writes all of it, again and again if need be; answered by bw_ingest_core_written, later. False: it
     * cannot, for want of memory, and the write stays the core's. */
    bool (*write)(void *context, struct bw_ingest_write *write);
    /* Every window of the batch has its answer; the batch is the port's. */
    void (*answered)(void *context, struct bw_api_quality *batch);
};

/* INVALID_ARGUMENT (service key), RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_ingest_core_create(const struct bw_ingest_config *config,
                                               const struct bw_ingest_ports *ports,
                                               struct bw_ingest_core **out, struct bw_error *err);
/* Batches still here are answered as dropped; what is not written is gone. NULL is allowed. */
void bw_ingest_core_destroy(struct bw_ingest_core *core);

void bw_ingest_core_take(struct bw_ingest_core *core, struct bw_api_quality *batch, uint64_t now_ms);
void bw_ingest_core_resolved(struct bw_ingest_core *core, const struct bw_ingest_roster *roster,
                             uint64_t now_ms);
/* A key that is not signed by the vault is not taken, and logged. */
void bw_ingest_core_scope(struct bw_ingest_core *core, const struct bw_scope_public *scope);
/* done false: it was given up. The write is the core's again. */
void bw_ingest_core_written(struct bw_ingest_core *core, struct bw_ingest_write *write, bool done,
                            uint64_t now_ms);
/* Every BW_INGEST_TICK_MS. */
enum { BW_INGEST_TICK_MS = 100 };
void bw_ingest_core_tick(struct bw_ingest_core *core, uint64_t now_ms);
/* Everything that is open goes to the writer, as far as there are keys; tick on until bw_ingest_core_settled.
 * Batches that still come are answered as dropped. */
void bw_ingest_core_close(struct bw_ingest_core *core, uint64_t now_ms);
/* Nothing waits that could be written. */
bool bw_ingest_core_settled(const struct bw_ingest_core *core);

struct bw_ingest_counts {
    uint64_t taken, doubled, late, refused, dropped;
    uint64_t class_changes;
    uint64_t chunks, partial_chunks, sealed_bytes; /* written */
    uint64_t rows_dropped;                         /* chunks forgotten for want of a key or of the database */
    uint64_t rows_late;                            /* flushes put off for want of memory */
    size_t meetings, window_bytes, rows_waiting, waiting; /* waiting: windows whose meeting is being asked */
};
struct bw_ingest_counts bw_ingest_core_counts(const struct bw_ingest_core *core);

#endif
