/* What the daemon counts, as one table: name, type, unit and words come from here and nowhere else. Workers
 * and the hub set the values, the HTTP listener reads them. Threads: any; every value is an atomic. */
#ifndef BW_SERVER_METRICS_H
#define BW_SERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(field, OpenMetrics name, type, help) */
#define BW_WORKER_METRIC_MAP(X)                                                                              \
    X(meetings, "bailiwick_meetings", "gauge", "Live meetings.")                                             \
    X(participants, "bailiwick_participants", "gauge", "Participants and connectors in live meetings.")      \
    X(waiting, "bailiwick_requests_waiting", "gauge", "Joins that wait for a relay or for capacity.")        \
    X(decided, "bailiwick_decisions", "counter", "Operations decided, repeated attempts included.")          \
    X(refused, "bailiwick_refusals", "counter",                                                              \
      "Joins and invitations refused by policy or for want of a relay.")                                     \
    X(retried, "bailiwick_retries", "counter", "Operations decided again because their view was stale.")     \
    X(failed, "bailiwick_failures", "counter", "Operations given up.")                                       \
    X(connections, "bailiwick_connections", "gauge", "gRPC connections.")                                    \
    X(calls, "bailiwick_calls", "gauge", "gRPC calls under way.")                                            \
    X(calls_started, "bailiwick_calls_started", "counter", "gRPC calls begun.")                              \
    X(rows_waiting, "bailiwick_rows_waiting", "gauge", "Decisions waiting for the database.")                \
    X(rows_committed, "bailiwick_rows_committed", "counter", "Decisions committed.")                         \
    X(groups_committed, "bailiwick_groups_committed", "counter", "Groups committed.")                        \
    X(groups_resent, "bailiwick_groups_resent", "counter",                                                   \
      "Groups sent again because their outcome was unknown.")                                                \
    X(metadata_sealed, "bailiwick_metadata_sealed", "counter", "Roster entries sealed.")                     \
    X(metadata_dropped, "bailiwick_metadata_dropped", "counter",                                             \
      "Roster entries not kept, because no key to seal them was known.")                                     \
    X(database_lanes, "bailiwick_database_lanes", "gauge", "Writer connections that are up.")

struct bw_worker_metrics {
#define X(field, name, type, help) _Atomic uint64_t field;
    BW_WORKER_METRIC_MAP(X)
#undef X
};

/* Of the hub. */
#define BW_HUB_METRIC_MAP(X)                                                                                 \
    X(relays, "bailiwick_relays", "gauge", "Enrolled relays.")                                               \
    X(relays_serving, "bailiwick_relays_serving", "gauge", "Relays that take new participants.")             \
    X(sessions, "bailiwick_relay_sessions", "gauge", "Open relay sessions.")                                 \
    X(feed_resources, "bailiwick_feed_resources", "gauge", "Slots, links and keys that relays should hold.") \
    X(feed_tombstones, "bailiwick_feed_tombstones", "gauge",                                                 \
      "Removals that are kept for relays that come back.")                                                   \
    X(head_group, "bailiwick_head_group", "counter", "Last group applied to the relays' feeds.")             \
    X(lease_age_ms, "bailiwick_lease_age_milliseconds", "gauge",                                             \
      "Time since this replica's lease was renewed.")

struct bw_hub_metrics {
#define X(field, name, type, help) _Atomic uint64_t field;
    BW_HUB_METRIC_MAP(X)
#undef X
};

#endif
