-- The durable heart: one row a decision, written in groups by one function.

-- Append-only. No index but the primary key: each further one costs 15 % of all joins. Meeting ids are UUIDv7,
-- so inserts go to the right edge and "the live meetings" is a range of the key.
CREATE TABLE decision (
    facts_revision  bigint NOT NULL,
    meeting         uuid NOT NULL,
    tenant          uuid NOT NULL,
    request         uuid NOT NULL,
    seq             int NOT NULL CHECK (seq >= 0),
    policy_revision int NOT NULL,
    kind            smallint NOT NULL,
    relays          int[] NOT NULL,             -- whom the row concerns
    record          bytea NOT NULL,             -- opaque here
    PRIMARY KEY (meeting, seq)
);

CREATE FUNCTION bw_decision_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Retention and erasure delete whole rows, and say so in their transaction.
    IF TG_OP = 'DELETE' AND current_setting('bailiwick.erasing', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'rows of decision are never changed' USING ERRCODE = 'BW005';
END $$;
CREATE TRIGGER decision_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decision
    FOR EACH STATEMENT EXECUTE FUNCTION bw_decision_guard();

-- Request ids of calls that have no meeting yet; others find theirs in the meeting's rows. Kept 24 hours.
CREATE TABLE request (
    tenant  uuid NOT NULL,
    method  text NOT NULL,
    key     uuid NOT NULL,
    meeting uuid NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, method, key)
);

-- Commits one group and returns its number. Called alone in an auto-committed statement, so that a client that
-- stops cannot leave a transaction open.
--
--   p_floor      null on a first attempt. When an attempt's outcome is unknown the identical group is sent again
--                with a group number known to be older than that attempt: if the group is in the index after
--                it, its number is returned and nothing is written. That also holds when the writer was fenced
--                or the policy changed in between, so it comes before all checks. If the first attempt is still
--                under way, its keys make this one wait and then fail with unique_violation; sent once more, it
--                is found.
--   p_facts      the facts revision of every row
--   p_tenants, p_revisions   the distinct (tenant, policy revision) pairs of the rows; p_pairs[i] is row i's
--   p_meetings … p_records   one element a row, in the order of (meeting, seq): groups that race for keys must
--                take them in one order or they deadlock
--   p_relay_ends, p_relays   row i concerns p_relays[p_relay_ends[i-1]+1 .. p_relay_ends[i]]
--   p_touched    the distinct relays of all rows, ascending
--   p_created, p_methods     which rows (1-based) also enter their request id into `request`
CREATE FUNCTION bw_group(p_replica uuid, p_epoch bigint, p_writer int, p_token bigint, p_floor bigint,
                         p_facts bigint, p_tenants uuid[], p_revisions int[],
                         p_meetings uuid[], p_seqs int[], p_kinds smallint[], p_pairs int[], p_requests uuid[],
                         p_relay_ends int[], p_relays int[], p_records bytea[], p_touched int[],
                         p_created int[], p_methods text[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_group bigint;
    v_stale text;
    v_facts bigint;
    v_current boolean;
    v_leased boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4771, 1);

    IF p_floor IS NOT NULL THEN
        SELECT group_no INTO v_group FROM group_index
            WHERE group_no > p_floor AND replica = p_replica AND replica_epoch = p_epoch AND writer = p_writer
                AND token = p_token;
        IF FOUND THEN
            RETURN v_group;
        END IF;
    END IF;

    -- All checks in one statement, in one snapshot taken under the lock: what a statement costs counts when groups
    -- are small.
    SELECT r.epoch IS NOT DISTINCT FROM p_epoch AND NOT r.fenced, r.lease_until >= clock_timestamp(), f.revision,
           (SELECT string_agg(p.tenant || '/' || p.revision, ',')
            FROM unnest(p_tenants, p_revisions) AS p (tenant, revision) LEFT JOIN tenant t ON t.id = p.tenant
            WHERE t.policy_revision IS DISTINCT FROM p.revision)
        INTO v_current, v_leased, v_facts, v_stale
        FROM facts_head f LEFT JOIN replica r ON r.id = p_replica;
    IF v_current IS NOT TRUE OR NOT v_leased THEN
        PERFORM bw_replica_check(p_replica, p_epoch); -- which raises the right words
    END IF;
    IF v_stale IS NOT NULL THEN
        RAISE EXCEPTION 'decided under a policy revision that is not current'
            USING ERRCODE = 'BW002', DETAIL = v_stale;
    END IF;
    IF v_facts <> p_facts THEN
        RAISE EXCEPTION 'decided under facts revision %, % is current', p_facts, v_facts
            USING ERRCODE = 'BW003', DETAIL = v_facts::text;
    END IF;

    INSERT INTO decision (facts_revision, meeting, tenant, request, seq, policy_revision, kind, relays, record)
        SELECT p_facts, r.meeting, p_tenants[r.pair], r.request, r.seq, p_revisions[r.pair], r.kind,
               p_relays[r.relay_start + 1 : r.relay_end], r.record
        FROM unnest(p_meetings, p_seqs, p_kinds, p_pairs, p_requests, 0 || p_relay_ends, p_relay_ends, p_records)
            AS r (meeting, seq, kind, pair, request, relay_start, relay_end, record)
        WHERE r.meeting IS NOT NULL;

    IF cardinality(p_created) > 0 THEN
        INSERT INTO request (tenant, method, key, meeting)
            SELECT p_tenants[p_pairs[c.row]], c.method, p_requests[c.row], p_meetings[c.row]
            FROM unnest(p_created, p_methods) AS c (row, method)
            ORDER BY 1, 2, 3;
    END IF;

    v_group := bw_next_group();
    INSERT INTO group_index (group_no, replica, replica_epoch, writer, token, event, relays, meetings, seqs,
                             relay_ends, key_relays)
        VALUES (v_group, p_replica, p_epoch, p_writer, p_token, 0, p_touched, p_meetings, p_seqs, p_relay_ends,
                p_relays);
    RETURN v_group;
END $$;

CREATE FUNCTION bw_requests_purge(p_older_than interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
BEGIN
    DELETE FROM request WHERE at < clock_timestamp() - p_older_than;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
