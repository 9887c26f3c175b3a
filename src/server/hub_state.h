/* What the hub's files share; nobody else includes this. Everything is the hub thread's. */
#ifndef BW_SERVER_HUB_STATE_H
#define BW_SERVER_HUB_STATE_H

#include "base/hash.h"
#include "fleet/codec.h"
#include "fleet/feed.h"
#include "fleet/session.h"
#include "placement/fleet_file.h"
#include "server/hub.h"

/* A link that a relay should have; told to it once both ends are there. The key's padding is zero. */
struct hub_link {
    struct {
        struct bw_id meeting;
        uint32_t peer;
    } key;
    uint32_t meeting_epoch;
    uint64_t version;
    UT_hash_handle hh;
};

/* An enrolled relay. */
struct hub_relay {
    uint32_t number;
    char name[BW_STORE_NAME_SIZE];
    struct bw_arena *arena; /* of facts */
    struct bw_relay_facts facts;
    uint32_t capacity;
    enum bw_store_relay_state state;
    char reason[BW_STORE_REASON_SIZE]; /* why, as the operator said; "" */
    uint64_t drain_deadline_ms;        /* unix */
    bool leaving;                      /* it said itself, in this session, that it drains */
    bool gone;                         /* removed; kept until its session and feed are closed */

    struct bw_feed *feed;
    struct hub_link *links;
    struct bw_enrolment enrolment;
    struct bw_session *session; /* NULL: none */
    struct bw_stream *stream;
    struct bw_id boot;         /* of the relay's process, as its last fenced Hello said */
    uint64_t events_through;   /* of that process: events up to this id have been acted on */
    uint64_t heartbeat_number; /* to be answered once the lease is renewed; 0: none */
    bool renewing;

    /* Of the last session: what participants need, kept while it may come back. */
    struct bw_relay_reach reach;
    struct bw_relay_reach fresh; /* of a Hello that is being fenced */
    uint64_t fenced_epoch;       /* its Welcome waits for peers (hub_welcome.c); 0: nothing waits */
    uint64_t welcome_by_ms;      /* mono; at the latest */
    uint64_t heard_ms;           /* mono; its last sign of life in a session that was fenced */
    uint64_t held_until_ms;      /* mono; its silence may be our fault: looked at again then */
    bool ever_connected;
    struct bw_relay_load load;
    bool escrow_asked;
    bool escrow_in_doubt;     /* the last answer was lost: slots may have been granted that the book lacks */
    uint64_t frugal_until_ms; /* mono; no further slots until then */
    struct bw_mail
        *shrink_then; /* for shrink_back, once slots above shrink_to are given back; NULL: nobody asks */
    struct bw_mailbox *shrink_back;
    uint32_t shrink_to;
    bool shrink_gave;
    uint32_t granted; /* slots given to the book in all, from the start or by the database */
    enum bw_relay_state published_state;
    bool published_lease;

    UT_hash_handle hh; /* by number */
};

/* A group that waits for those before it. */
struct hub_group {
    uint64_t number;
    struct bw_hub_change *changes;
    size_t count;
    UT_hash_handle hh;
};

/* A removal that waits until its participant has changed over. The key's padding is zero. */
struct hub_linger {
    struct {
        struct bw_id meeting;
        uint32_t relay, number;
        enum bw_effect_kind kind;
    } key;
    struct bw_hub_change change;
    uint64_t version;
    uint64_t at_ms;    /* mono */
    UT_hash_handle hh; /* which keeps the order of arrival: the first is due first */
};

struct bw_hub {
    struct bw_hub_config config;
    struct bw_hub_ports ports;
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_timer *timer;
    struct bw_thread *thread;
    bool stopping; /* says goodbye */
    bool stopped;  /* its thread has ended: nothing is asked of the desk any more */

    struct hub_relay *relays;
    uint64_t facts_revision;
    struct bw_facts *facts;
    bool facts_stale;
    struct bw_fleet_view *view;
    bool view_stale;
    uint64_t view_at_ms;

    uint64_t head;
    struct hub_group *waiting;    /* hash by number */
    struct hub_linger *lingering; /* hash by key */
    struct hub_policy *policies;  /* that could not be read yet */
    bool polling;
    uint64_t poll_at_ms;
    uint64_t renew_at_ms;
    bool renewing, renewing_replica;
    uint64_t replica_renew_at_ms, replica_renewed_ms;

    struct bw_arena *sending, *receiving; /* of the message that is being encoded; decoded */
    bool has_key;
    struct bw_grant_key key;
    struct bw_hub_metrics metrics;
    uint64_t now_ms, started_ms; /* mono; of this turn */
    uint64_t ticked_ms;          /* mono; last turn of the clock */
    uint64_t blind_until_ms;     /* mono; silence of relays says nothing: it was us who were away */
    uint64_t mail_first_ms;      /* mono; what came while we were away is read before sessions are judged */
    uint64_t compact_at_ms;
};

/* hub.c */
/* Sets now_ms: whatever is called from outside begins with it. */
void hub_now(struct bw_hub *hub);
uint64_t hub_wall_ms(const struct bw_hub *hub);
struct hub_relay *hub_find(struct bw_hub *hub, uint32_t number);
struct hub_relay *hub_find_name(struct bw_hub *hub, const char *name);

/* hub_relays.c: the database's relays, facts and the view */
enum bw_code hub_take_relay(struct bw_hub *hub, const struct bw_store_relay *row, struct bw_error *err);
void hub_publish(struct bw_hub *hub, bool now);
void hub_relay_changed(struct bw_hub *hub);

/* hub_escrow.c */
void hub_order_escrow(struct bw_hub *hub, struct hub_relay *relay);
/* Slots that no relay's people need go back to the database. */
void hub_return_escrow(struct bw_hub *hub);

/* hub_liveness.c */
enum bw_relay_state hub_relay_state(struct bw_hub *hub, struct hub_relay *relay, bool *lease_ok);
/* Called each tick: notices that this replica stood still, or that its database is away. */
void hub_notice_absence(struct bw_hub *hub);

/* hub_groups.c: the log, in order, into the feeds */
void hub_groups_drain(struct bw_hub *hub);
void hub_poll(struct bw_hub *hub);
void hub_linger_due(struct bw_hub *hub);
void hub_linger_forget(struct bw_hub *hub);
/* Tombstones that nobody needs any more go. */
void hub_compact(struct bw_hub *hub);
enum bw_code hub_restore_changes(struct bw_hub *hub, struct hub_relay *relay,
                                 const struct bw_hub_change *changes, size_t count, struct bw_error *err);
enum bw_code hub_apply_change(struct bw_hub *hub, struct hub_relay *relay, uint64_t group,
                              const struct bw_hub_change *changes, size_t count, struct bw_error *err);
void hub_refresh_links(struct bw_hub *hub, struct hub_relay *relay);
void hub_forget_links(struct hub_relay *relay);

/* hub_welcome.c */
void hub_welcome(struct bw_hub *hub, struct hub_relay *relay, uint64_t epoch);
void hub_welcome_due(struct bw_hub *hub);

/* hub_policies.c */
/* A revision is in force: it is read back. False when memory is out. */
bool hub_policy_published(struct bw_hub *hub, const struct bw_id *tenant);
void hub_policies_retry(struct bw_hub *hub);
void hub_policies_forget(struct bw_hub *hub);

/* hub_sessions.c */
void hub_session_tick(struct bw_hub *hub);
void hub_session_drop(struct bw_hub *hub, struct hub_relay *relay);
void hub_say_state(struct bw_hub *hub, struct hub_relay *relay);

#endif
