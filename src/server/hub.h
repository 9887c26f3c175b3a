/* The fleet hub: one thread that holds every relay session of this replica, keeps what each relay should have
 * (its feed), decides who lives, and publishes the fleet as the workers see it.
 *
 * Groups come from the workers as they commit, possibly out of order; the hub applies them in the order of
 * their numbers and fills gaps (policy, facts and other events that carry no slots) from the group index.
 *
 * Threads: the mail functions any; the rest on the main thread before start or after stop. */
#ifndef BW_SERVER_HUB_H
#define BW_SERVER_HUB_H

#include "control/owner.h"
#include "grpc/server.h"
#include "policy/facts.h"
#include "server/hub_ports.h"
#include "server/metrics.h"

struct bw_hub;

BW_MUST_USE enum bw_code bw_hub_create(const struct bw_hub_config *config, const struct bw_hub_ports *ports,
                                       struct bw_hub **out, struct bw_error *err);
/* After stop. NULL is allowed. */
void bw_hub_destroy(struct bw_hub *hub);
/* Tells every relay to open a session elsewhere; no new sessions from now on. Threads: any. */
void bw_hub_say_goodbye(struct bw_hub *hub);
/* Ends the thread. */
void bw_hub_stop(struct bw_hub *hub);
BW_MUST_USE enum bw_code bw_hub_start(struct bw_hub *hub, struct bw_error *err);
/* What start does but for the thread; whoever has none calls bw_hub_turn every 25 ms or so and delivers the
 * hub's mail. */
void bw_hub_begin(struct bw_hub *hub);
void bw_hub_turn(struct bw_hub *hub);

/* ---- before start ---- */
/* The relays as the database has them now; makes the first fleet view. */
BW_MUST_USE enum bw_code bw_hub_load(struct bw_hub *hub, struct bw_store_db *db, struct bw_error *err);
/* The feeds begin at this group, with what live meetings need. */
void bw_hub_begin_at(struct bw_hub *hub, uint64_t group);
BW_MUST_USE enum bw_code bw_hub_restore_meeting(struct bw_hub *hub, const struct bw_meeting *meeting,
                                                struct bw_error *err);
void bw_hub_set_grant_key(struct bw_hub *hub, const uint8_t public_key[BW_ED25519_PUBLIC_SIZE]);

/* ---- mail ---- */
/* What one group changed at relays; the hub copies it. */
struct bw_hub_change {
    struct bw_id meeting;
    uint32_t meeting_epoch, mode_epoch;
    enum bw_mode mode;
    struct bw_effect effect;
};
void bw_hub_group(struct bw_hub *hub, uint64_t number, const struct bw_hub_change *changes, size_t count);
/* A relay's escrow runs low. */
void bw_hub_escrow_low(struct bw_hub *hub, uint32_t relay);
/* The relay is about to have this capacity: unspent slots above it go back to the database as far as there
 * are any, and no more are asked for in the next seconds. Then `then` is posted to `back`. `name` stays valid
 * until then. */
void bw_hub_shrink_relay(struct bw_hub *hub, const char *name, uint32_t capacity, struct bw_mailbox *back,
                         struct bw_mail *then);
/* Enrolment or a relay's state changed in the database: read it again, then publish. `then` (may be NULL) is
 * posted to `back` once every worker has the new view. */
void bw_hub_relays_changed(struct bw_hub *hub, struct bw_mailbox *back, struct bw_mail *then);

/* RelayService.Session, for the worker's method table; context is the worker's hub link. */
struct bw_hub_link {
    struct bw_hub *hub;
    struct bw_mailbox *mailbox, *hub_mailbox; /* the worker's, the hub's */
};
struct bw_mailbox *bw_hub_mailbox(struct bw_hub *hub);
/* Threads: any. */
const struct bw_hub_metrics *bw_hub_metrics(const struct bw_hub *hub);
extern const struct bw_grpc_method bw_hub_session_method;

#endif
