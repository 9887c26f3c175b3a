/* What the daemon counts, as one table: name, type, unit and words come from here and nowhere else. Workers
 * and the hub set the values, the HTTP listener reads them. Threads: any; every value is an atomic. */
#ifndef BW_SERVER_METRICS_H
#define BW_SERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(field, OpenMetrics name, type, help). Types: gauge, counter; gauge_ms and counter_ms are kept in
 * milliseconds and shown in seconds. */
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
    X(connections_accepted, "bailiwick_connections_accepted", "counter", "gRPC connections accepted.")       \
    X(handshake_failures, "bailiwick_handshake_failures", "counter",                                         \
      "Connections that failed before their first call: mostly refused certificates.")                       \
    X(connections_punished, "bailiwick_connections_punished", "counter",                                     \
      "Connections ended because they misbehaved, such as by floods of resets or pings.")                    \
    X(signer_lines, "bailiwick_signer_lines", "gauge",                                                       \
      "Workers whose line to the signer is up; fewer than there are workers: joins get no grants.")          \
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
    X(relay_deaths, "bailiwick_relay_deaths", "counter",                                                     \
      "Times that a relay was declared dead; its participants are moved.")                                   \
    X(sessions, "bailiwick_relay_sessions", "gauge", "Open relay sessions.")                                 \
    X(sessions_opened, "bailiwick_relay_sessions_opened", "counter", "Relay sessions that were fenced.")     \
    X(feed_resources, "bailiwick_feed_resources", "gauge", "Slots, links and keys that relays should hold.") \
    X(feed_tombstones, "bailiwick_feed_tombstones", "gauge",                                                 \
      "Removals that are kept for relays that come back.")                                                   \
    X(head_group, "bailiwick_head_group", "counter", "Last group applied to the relays' feeds.")             \
    X(lease_age_ms, "bailiwick_lease_age_seconds", "gauge_ms", "Time since this replica's lease was renewed.")

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

/* Of the process as a whole, looked at when somebody scrapes. */
#define BW_DAEMON_METRIC_MAP(X)                                                                              \
    X(ready, "bailiwick_ready", "gauge", "1 when /readyz says ok.")                                          \
    X(workers, "bailiwick_workers", "gauge", "Worker threads.")                                              \
    X(metadata_active, "bailiwick_metadata_active", "gauge",                                                 \
      "1: who takes part is sealed, and can be opened by the vault; 0: look at /healthz.")

struct bw_daemon_metrics {
#define X(field, name, type, help) uint64_t field;
    BW_DAEMON_METRIC_MAP(X)
#undef X
};

/* Of struct bw_process_metrics, under the names that every process's metrics have. */
#define BW_PROCESS_METRIC_MAP(X)                                                                             \
    X(cpu_ms, "process_cpu_seconds", "counter_ms", "User and system CPU time of this process.")              \
    X(started_ms, "process_start_time_seconds", "gauge_ms", "When the process began, since the epoch.")      \
    X(resident_bytes, "process_resident_memory_bytes", "gauge", "Memory in use.")                            \
    X(virtual_bytes, "process_virtual_memory_bytes", "gauge", "Address space in use.")                       \
    X(open_fds, "process_open_fds", "gauge", "Open file descriptors.")                                       \
    X(max_fds, "process_max_fds", "gauge", "How many it may open.")

/* X(function that prints the samples, name, type, labels, help): of calls (call_metrics.h). */
#define BW_METRIC_REQUESTS "bailiwick_requests"
#define BW_METRIC_JOINS    "bailiwick_join_seconds"
#define BW_CALL_METRIC_MAP(X)                                                                                \
    X(print_requests, BW_METRIC_REQUESTS, "counter", "service, method, code",                                \
      "Calls that have ended, by gRPC code; CANCELLED: the caller went away first. `other` is health, "      \
      "reflection and what is no method.")                                                                   \
    X(print_joins, BW_METRIC_JOINS, "histogram", "le",                                                       \
      "How long JoinMeeting took from its headers to its answer, refusals included.")

#define BW_METRIC_BUILD_HELP "The version that runs."

#endif
