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

/* Of the ingest. */
#define BW_INGEST_METRIC_MAP(X)                                                                              \
    X(taken, "bailiwick_quality_windows_taken", "counter", "Windows of quality taken.")                      \
    X(doubled, "bailiwick_quality_windows_doubled", "counter", "Windows that had been taken before.")        \
    X(late, "bailiwick_quality_windows_late", "counter", "Windows that came after their chunk was closed.")  \
    X(refused, "bailiwick_quality_windows_refused", "counter",                                               \
      "Windows of a slot that their relay does not carry, or from the future.")                              \
    X(dropped, "bailiwick_quality_windows_dropped", "counter",                                               \
      "Windows for which there was no room in memory; relays report them again.")                            \
    X(overrun, "bailiwick_quality_windows_overrun", "counter",                                               \
      "Windows dropped because more came in than could be looked at; relays report them again.")             \
    X(class_changes, "bailiwick_quality_class_changes", "counter", "Changes of a stream's quality class.")   \
    X(chunks, "bailiwick_quality_chunks", "counter", "Complete chunks written.")                             \
    X(partial_chunks, "bailiwick_quality_partial_chunks", "counter", "Versions of open chunks written.")     \
    X(sealed_bytes, "bailiwick_quality_sealed_bytes", "counter", "Bytes of sealed records written.")         \
    X(rows_dropped, "bailiwick_quality_chunks_dropped", "counter",                                           \
      "Chunks forgotten because neither a key nor the database could be had for too long.")                  \
    X(write_failures, "bailiwick_quality_write_failures", "counter", "Writes of quality that failed.")       \
    X(rows_waiting, "bailiwick_quality_chunks_waiting", "gauge",                                             \
      "Chunks that wait for a key or for the database.")                                                     \
    X(meetings, "bailiwick_quality_meetings", "gauge", "Meetings whose quality is in memory.")               \
    X(window_bytes, "bailiwick_quality_window_bytes", "gauge", "Memory that open windows take.")             \
    X(unresolved, "bailiwick_quality_windows_unresolved", "gauge",                                           \
      "Windows that wait for the owner of their meeting.")

struct bw_ingest_metrics {
#define X(field, name, type, help) _Atomic uint64_t field;
    BW_INGEST_METRIC_MAP(X)
#undef X
};

#endif
