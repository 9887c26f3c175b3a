/* A meeting owner with everything around it in memory: clock, randomness, a decision log that behaves as the
 * database's does (keys decide, groups commit whole), a signer with a test key, a small fleet. Nothing
 * happens by itself: bw_headless_settle does all that is due, so a test sees every step.
 *
 * Threads: one. Owner: the test. */
#ifndef BW_TESTS_HEADLESS_H
#define BW_TESTS_HEADLESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/owner.h"
#include "crypto/ed25519.h"

/* A relay of the test's fleet; change it and call bw_headless_publish_fleet. */
struct bw_headless_relay {
    const char *name, *country, *region, *jurisdiction;
    uint32_t capacity;
    uint32_t connectors; /* BW_CONNECTOR_BIT */
    enum bw_relay_state state;
    bool lease_ok, connected, absent; /* absent: not enrolled */
    char reason[64];                  /* of its state */
};

enum { BW_HEADLESS_RELAYS = 6, BW_HEADLESS_CHANGES = 512 };

/* Numbers are index + 1. */
enum { BW_PAR1, BW_LYS1, BW_FRA1, BW_ZRH1, BW_LON1, BW_ASH1 };

struct bw_headless_row; /* of the log */

struct bw_headless_change {
    enum bw_decision_kind kind;
    uint32_t seq;
    uint64_t group;
    size_t effects, lingering; /* removals that may wait */
};

struct bw_headless {
    struct bw_owner *owner;
    struct bw_book *book;
    uint64_t wall_ms, mono_ms;
    uint64_t random;
    struct bw_headless_relay relays[BW_HEADLESS_RELAYS];
    uint64_t facts_revision;
    uint32_t policy_revision; /* of the tenant, in force: a row decided under another one does not commit */
    struct bw_id tenant, guest_tenant;
    struct bw_ed25519_signer *signer;
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];

    /* What goes wrong, as long as it is set. */
    unsigned stale_rows;  /* the next n groups do not commit: the view was stale */
    unsigned failed_rows; /* the next n groups fail for good */
    bool signer_away, hold_rows, hold_signer, log_unreadable;

    /* Seen so far. */
    struct bw_headless_change changes[BW_HEADLESS_CHANGES];
    size_t change_count;
    unsigned escrow_asked[BW_HEADLESS_RELAYS];
    unsigned loads;

    /* A test with a loop is told, once until the next settle, that there is something to settle. */
    void (*due)(void *context);
    void *due_context;

    /* Its own. */
    struct bw_headless_row *log, *pending;
    size_t log_count, pending_count;
    uint64_t group;
    bool woken, signing, due_told;
    uint64_t wake_at_ms;
    struct bw_merkle_hash root;
    uint32_t leaves;
    struct bw_id loading[64];
    size_t loading_count;
};

/* Six relays with room for ten each, no policy yet. False when memory is out. */
bool bw_headless_init(struct bw_headless *headless);
void bw_headless_finish(struct bw_headless *headless);

/* A policy for the tenant, "chu-lyon", or the guests', "acme". `yaml` NULL: bw_headless_policy. */
bool bw_headless_publish(struct bw_headless *headless, const char *tenant, uint32_t revision,
                         const char *yaml);
/* EU and CH allowed, e2ee preferred, downgrade with consent, everything else plain. */
extern const char bw_headless_policy[];
bool bw_headless_publish_fleet(struct bw_headless *headless);

/* Turns, commits, loads and signs until nothing is due. */
void bw_headless_settle(struct bw_headless *headless);
/* Lets time pass and the owner tick. */
void bw_headless_pass(struct bw_headless *headless, uint64_t ms);

/* A second owner as after a restart: everything in the log is restored into it. */
bool bw_headless_restart(struct bw_headless *headless);
/* Somebody else (a replica that took this one for dead) adds a row to the meeting behind our back. */
bool bw_headless_intrude(struct bw_headless *headless, const struct bw_id *meeting);
/* Rows of a meeting in the log; 0: none. */
uint32_t bw_headless_rows(const struct bw_headless *headless, const struct bw_id *meeting);
/* The stored record of one decision; empty when there is none. */
struct bw_view bw_headless_record(const struct bw_headless *headless, const struct bw_id *meeting,
                                  uint32_t seq);
/* The nth record of all; empty past the end. */
struct bw_view bw_headless_record_at(const struct bw_headless *headless, size_t n);

struct bw_id bw_headless_new_id(struct bw_headless *headless);

#endif
