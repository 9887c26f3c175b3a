-- How the ingest keeps quality. A chunk is written while it is still open, so that a question can be answered within
-- seconds and a crash costs seconds; each later version takes the place of the one before. The role that serves may
-- not read or change these tables itself, so both functions act as their owner, and neither brings back anything of
-- a meeting that was erased.

CREATE INDEX erasure_meeting ON keystore.erasure (meeting);

-- Writes chunks in the order of their keys. An older version than the one that is there changes nothing: to_ms and
-- the length of what is inside only grow.
CREATE FUNCTION bw_quality_chunks(p_ids uuid[], p_tenants uuid[], p_meetings uuid[], p_slots int[],
                                  p_sources smallint[], p_streams uuid[], p_seqs bigint[], p_from bigint[],
                                  p_to bigint[], p_records bytea[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = bailiwick, pg_temp AS $$
    INSERT INTO quality_chunk AS c (id, tenant, meeting, slot, source, stream, seq, from_ms, to_ms, record)
        SELECT n.* FROM unnest(p_ids, p_tenants, p_meetings, p_slots, p_sources, p_streams, p_seqs, p_from, p_to,
                               p_records) AS n(id, tenant, meeting, slot, source, stream, seq, from_ms, to_ms, record)
        WHERE NOT EXISTS (SELECT FROM keystore.erasure e WHERE e.meeting = n.meeting)
        ORDER BY n.meeting, n.slot, n.stream, n.seq
    ON CONFLICT (meeting, slot, stream, seq) DO UPDATE
        SET id = excluded.id, from_ms = excluded.from_ms, to_ms = excluded.to_ms, record = excluded.record
        WHERE c.to_ms < excluded.to_ms
            OR c.to_ms = excluded.to_ms AND length(c.record) <= length(excluded.record);
$$;

-- One row a process and tenant-hour, replaced as the hour fills.
CREATE FUNCTION bw_quality_sketches(p_tenants uuid[], p_hours bigint[], p_ids uuid[], p_records bytea[])
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = bailiwick, pg_temp AS $$
    INSERT INTO quality_sketch (tenant, hour, id, record)
        SELECT n.tenant, timestamptz 'epoch' + n.hour * interval '1 millisecond', n.id, n.record
        FROM unnest(p_tenants, p_hours, p_ids, p_records) AS n(tenant, hour, id, record)
        ORDER BY 1, 2, 3
    ON CONFLICT (tenant, hour, id) DO UPDATE SET record = excluded.record;
$$;

-- p_relay_ends[i] is where the i-th meeting's relays end in p_relays.
CREATE FUNCTION bw_quality_meetings(p_meetings uuid[], p_tenants uuid[], p_from bigint[], p_to bigint[],
                                    p_participants int[], p_classes smallint[], p_reasons smallint[],
                                    p_poor int[], p_windows int[], p_revisions int[], p_relay_ends int[],
                                    p_relays int[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = bailiwick, pg_temp AS $$
    INSERT INTO meeting_quality (meeting, tenant, from_ms, to_ms, participants, worst_class, reason, poor_minutes,
                                 windows, policy_revision, relays)
        SELECT n.meeting, n.tenant, n.from_ms, n.to_ms, n.participants, n.class, n.reason, n.poor, n.windows,
               n.revision, p_relays[coalesce(p_relay_ends[n.at - 1], 0) + 1 : p_relay_ends[n.at]]
        FROM unnest(p_meetings, p_tenants, p_from, p_to, p_participants, p_classes, p_reasons, p_poor, p_windows,
                    p_revisions) WITH ORDINALITY
            AS n(meeting, tenant, from_ms, to_ms, participants, class, reason, poor, windows, revision, at)
        WHERE NOT EXISTS (SELECT FROM keystore.erasure e WHERE e.meeting = n.meeting)
        ORDER BY n.meeting
    ON CONFLICT (meeting) DO UPDATE
        SET from_ms = excluded.from_ms, to_ms = excluded.to_ms, participants = excluded.participants,
            worst_class = excluded.worst_class, reason = excluded.reason, poor_minutes = excluded.poor_minutes,
            windows = excluded.windows, policy_revision = excluded.policy_revision, relays = excluded.relays;
$$;

REVOKE EXECUTE ON FUNCTION bw_quality_chunks(uuid[], uuid[], uuid[], int[], smallint[], uuid[], bigint[], bigint[],
                                             bigint[], bytea[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION bw_quality_sketches(uuid[], bigint[], uuid[], bytea[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION bw_quality_meetings(uuid[], uuid[], bigint[], bigint[], int[], smallint[], smallint[],
                                               int[], int[], int[], int[], int[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bw_quality_chunks(uuid[], uuid[], uuid[], int[], smallint[], uuid[], bigint[], bigint[],
                                            bigint[], bytea[]) TO bailiwick_serve;
GRANT EXECUTE ON FUNCTION bw_quality_sketches(uuid[], bigint[], uuid[], bytea[]) TO bailiwick_serve;
GRANT EXECUTE ON FUNCTION bw_quality_meetings(uuid[], uuid[], bigint[], bigint[], int[], smallint[], smallint[],
                                              int[], int[], int[], int[], int[]) TO bailiwick_serve;
