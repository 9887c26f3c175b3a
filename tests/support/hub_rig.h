/* The fleet hub with everything around it in memory: a clock, a database that holds relays, leases, escrow
 * and the group index, and relays that are the relay's own half of a session (fleet/client_state.h) on
 * streams that lead nowhere. Nothing happens by itself: hub_rig_pass lets time go by and everything do what
 * is due.
 *
 * Threads: one. Owner: the test. */
#ifndef BW_TESTS_HUB_RIG_H
#define BW_TESTS_HUB_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fleet/client_state.h"
#include "server/hub.h"

enum { HUB_RIG_RELAYS = 8, HUB_RIG_HELD = 4096, HUB_RIG_GROUPS = 8192 };

struct hub_rig;

/* A relay: its row in the database, and the process with its replica. */
struct hub_rig_relay {
    struct hub_rig *rig;
    char name[16];
    uint32_t number; /* index + 1 */
    /* the database's */
    bool enrolled;
    enum bw_store_relay_state state;
    uint64_t epoch;
    uint32_t escrow;
    /* the process */
    struct bw_client_state *client; /* NULL: not running */
    struct bw_stream *stream;       /* NULL: not connected */
    bool cut;                       /* what is sent either way does not arrive */
    uint8_t boot;                   /* of the next process */
    uint64_t participants;
    uint64_t held[HUB_RIG_HELD]; /* versions of slots by number; 0: not there */
    uint64_t links[HUB_RIG_RELAYS + 1];
    unsigned slots_removed, links_removed;
    unsigned lost; /* sessions that ended */
    enum bw_code lost_code;
    const char *lost_reason; /* NULL: none */
    bool told_to_drain;
    uint64_t events_acked;
};

struct hub_rig_group {
    enum bw_store_event event;
    bool ours;
    struct bw_id subject;
};

struct hub_rig_packet;

struct hub_rig {
    struct bw_hub *hub;
    struct bw_book *book;
    uint64_t mono_ms, wall_ms;
    uint64_t lease_ms; /* the replica's, of the next start */
    uint64_t random;
    struct hub_rig_relay relays[HUB_RIG_RELAYS];
    struct bw_id meeting;

    /* The database. */
    struct hub_rig_group groups[HUB_RIG_GROUPS + 1]; /* by number */
    uint64_t head, facts_revision;
    bool away;        /* every question fails */
    bool held;        /* questions wait */
    bool lost_answer; /* the next escrow is granted, but nobody hears of it */
    bool replica_taken_over;
    bool real_streams;   /* what the hub sends goes to the streams' own calls; the test has brought those */
    size_t most_waiting; /* bytes on one of them */
    unsigned policy_reads, policy_failures; /* the next n reads of a policy fail */

    /* What the hub said. */
    struct bw_fleet_view *view; /* the newest */
    bool ever_dead[HUB_RIG_RELAYS];
    unsigned views, fenced, broken;

    /* Its own. */
    struct bw_desk_job *jobs, **jobs_end;
    struct hub_rig_packet *packets, **packets_end;
    struct bw_arena *arena;
};

/* `relays` relays enrolled in one region, and the hub begun at group 0. False when memory is out. */
bool hub_rig_init(struct hub_rig *rig, unsigned relays);
void hub_rig_finish(struct hub_rig *rig);

/* The relay's process starts, and is killed (nobody is told but by its stream, which ends). */
bool hub_rig_relay_start(struct hub_rig *rig, unsigned index);
void hub_rig_relay_kill(struct hub_rig *rig, unsigned index);

/* Time goes by in steps of 25 ms; everybody does what is due. */
void hub_rig_pass(struct hub_rig *rig, uint64_t ms);
/* Time goes by, but the daemon does not run. */
void hub_rig_pause(struct hub_rig *rig, uint64_t ms);
/* What can happen without time passing. */
void hub_rig_settle(struct hub_rig *rig);

/* The daemon starts anew: what it remembers is gone, the database and the relays are as they were. `restored`
 * (may be NULL) is a meeting it reads back. */
bool hub_rig_restart(struct hub_rig *rig, const struct bw_meeting *restored);

/* A group of decisions commits and its worker tells the hub. */
uint64_t hub_rig_commit(struct hub_rig *rig, const struct bw_hub_change *changes, size_t count);
/* The same in two steps, for what arrives late, out of order or never. */
uint64_t hub_rig_commit_quietly(struct hub_rig *rig);
/* Something else commits: facts, a policy. */
uint64_t hub_rig_event(struct hub_rig *rig, enum bw_store_event event);
/* An operator changes a relay's state. */
void hub_rig_set_state(struct hub_rig *rig, unsigned relay, enum bw_store_relay_state state);

/* Changes as the owner of the rig's meeting makes them; relay is an index. */
struct bw_hub_change hub_rig_join(const struct hub_rig *rig, unsigned relay, uint32_t slot);
struct bw_hub_change hub_rig_leave(const struct hub_rig *rig, unsigned relay, uint32_t slot, bool lingers);
struct bw_hub_change hub_rig_link(const struct hub_rig *rig, unsigned relay, unsigned peer);

/* As the workers see it. */
enum bw_relay_state hub_rig_state(const struct hub_rig *rig, unsigned relay);
bool hub_rig_placeable(const struct hub_rig *rig, unsigned relay);
struct bw_client_status hub_rig_client(const struct hub_rig *rig, unsigned relay);

#endif
