-- Relays, their sessions, and escrow.

CREATE TABLE relay (
    number         int PRIMARY KEY CHECK (number > 0),
    name           text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    spiffe_id      text NOT NULL,
    facts          bytea NOT NULL,              -- an encoded RelayFacts message, opaque here
    capacity       int NOT NULL CHECK (capacity >= 0),
    state          text NOT NULL CHECK (state IN ('enrolled', 'cordoned', 'draining', 'removed')),
    drain_deadline timestamptz,
    facts_revision bigint NOT NULL,             -- of the last change to this row
    request        uuid NOT NULL,
    enrolled       timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed        timestamptz
);
-- A removed relay's name and identity may be enrolled anew, under a new number.
CREATE UNIQUE INDEX relay_name ON relay (name) WHERE state <> 'removed';
CREATE UNIQUE INDEX relay_spiffe_id ON relay (spiffe_id) WHERE state <> 'removed';

-- Which replica speaks with a relay. Apart from `relay`: renewed every few seconds, while facts hardly change.
CREATE TABLE relay_session (
    relay         int PRIMARY KEY REFERENCES relay,
    epoch         bigint NOT NULL,              -- rises with each Hello; never reset
    replica       uuid NOT NULL,
    replica_epoch bigint NOT NULL,
    boot          uuid NOT NULL,
    lease_until   timestamptz NOT NULL,
    opened        timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Blocks of a relay's slots that a replica may spend in memory. The sum over a relay never exceeds its capacity;
-- whoever changes it holds the relay's row.
CREATE TABLE escrow (
    relay   int NOT NULL REFERENCES relay,
    replica uuid NOT NULL,
    epoch   bigint NOT NULL,
    slots   int NOT NULL CHECK (slots > 0),
    PRIMARY KEY (relay, replica, epoch)
) WITH (fillfactor = 50);

CREATE FUNCTION bw_facts_changed() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_revision bigint;
BEGIN
    UPDATE facts_head SET revision = revision + 1 RETURNING revision INTO v_revision;
    PERFORM bw_event(2::smallint, NULL);
    RETURN v_revision;
END $$;

-- Enrols a relay, or (p_replace) gives an enrolled one new facts. Returns its number and the facts revision.
CREATE FUNCTION bw_relay_enroll(p_name text, p_spiffe_id text, p_facts bytea, p_capacity int, p_replace boolean,
                                p_request uuid, OUT o_number int, OUT o_facts_revision bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_relay relay;
    v_spent bigint;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT * INTO v_relay FROM relay WHERE name = p_name AND state <> 'removed' FOR NO KEY UPDATE;
    IF FOUND THEN
        IF v_relay.request = p_request AND v_relay.facts = p_facts AND v_relay.capacity = p_capacity
                AND v_relay.spiffe_id = p_spiffe_id THEN
            o_number := v_relay.number;
            o_facts_revision := v_relay.facts_revision;
            RETURN;
        END IF;
        IF NOT p_replace THEN
            RAISE EXCEPTION 'relay % is enrolled', p_name USING ERRCODE = 'BW007';
        END IF;
        SELECT coalesce(sum(slots), 0) INTO v_spent FROM escrow WHERE relay = v_relay.number;
        IF v_spent > p_capacity THEN
            RAISE EXCEPTION '% slots of relay % are held by replicas; drain it before its capacity falls to %',
                v_spent, p_name, p_capacity USING ERRCODE = 'BW005';
        END IF;
    END IF;
    IF EXISTS (SELECT FROM relay WHERE spiffe_id = p_spiffe_id AND state <> 'removed' AND name <> p_name) THEN
        RAISE EXCEPTION 'another relay is enrolled as %', p_spiffe_id USING ERRCODE = 'BW007';
    END IF;
    o_facts_revision := bw_facts_changed();
    IF v_relay.number IS NOT NULL THEN
        o_number := v_relay.number;
        UPDATE relay SET spiffe_id = p_spiffe_id, facts = p_facts, capacity = p_capacity, request = p_request,
            facts_revision = o_facts_revision WHERE number = o_number;
    ELSE
        SELECT coalesce(max(number), 0) + 1 INTO o_number FROM relay;
        INSERT INTO relay (number, name, spiffe_id, facts, capacity, state, facts_revision, request)
            VALUES (o_number, p_name, p_spiffe_id, p_facts, p_capacity, 'enrolled', o_facts_revision, p_request);
    END IF;
END $$;

-- To another state: enrolled (uncordon, or a drain taken back), cordoned, draining (with a deadline), removed.
-- The state it already has changes nothing. Returns the facts revision in force.
CREATE FUNCTION bw_relay_set_state(p_name text, p_state text, p_deadline timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_relay relay;
    v_revision bigint;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT * INTO v_relay FROM relay WHERE name = p_name AND state <> 'removed' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        IF p_state = 'removed' AND EXISTS (SELECT FROM relay WHERE name = p_name) THEN
            SELECT revision INTO v_revision FROM facts_head;
            RETURN v_revision;
        END IF;
        RAISE EXCEPTION 'no relay named % is enrolled', p_name USING ERRCODE = 'BW006';
    END IF;
    IF (p_state = 'draining') <> (p_deadline IS NOT NULL) THEN
        RAISE EXCEPTION 'a drain has a deadline, nothing else has' USING ERRCODE = 'BW008';
    END IF;
    IF v_relay.state = p_state AND v_relay.drain_deadline IS NOT DISTINCT FROM p_deadline THEN
        SELECT revision INTO v_revision FROM facts_head;
        RETURN v_revision;
    END IF;
    v_revision := bw_facts_changed();
    UPDATE relay SET state = p_state, drain_deadline = p_deadline, facts_revision = v_revision,
        removed = CASE WHEN p_state = 'removed' THEN clock_timestamp() END WHERE number = v_relay.number;
    RETURN v_revision;
END $$;

-- A Hello: the relay's session belongs to this replica from here on, under the epoch returned.
CREATE FUNCTION bw_session_open(p_relay int, p_replica uuid, p_replica_epoch bigint, p_boot uuid,
                                p_lease_ms bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_epoch bigint;
BEGIN
    PERFORM bw_lock_shared();
    PERFORM bw_replica_check(p_replica, p_replica_epoch);
    PERFORM FROM relay WHERE number = p_relay AND state <> 'removed';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'relay number % is not enrolled', p_relay USING ERRCODE = 'BW006';
    END IF;
    INSERT INTO relay_session AS s (relay, epoch, replica, replica_epoch, boot, lease_until)
        VALUES (p_relay, 1, p_replica, p_replica_epoch, p_boot,
                clock_timestamp() + p_lease_ms * interval '1 millisecond')
        ON CONFLICT (relay) DO UPDATE
        SET epoch = s.epoch + 1, replica = p_replica, replica_epoch = p_replica_epoch, boot = p_boot,
            lease_until = excluded.lease_until, opened = clock_timestamp()
        RETURNING epoch INTO v_epoch;
    RETURN v_epoch;
END $$;

-- Extends the leases of this replica's sessions in one statement; p_lease_ms 0 ends them. Returns the relays
-- that were extended: one that is missing has a newer session elsewhere, or is removed.
CREATE FUNCTION bw_session_renew(p_replica uuid, p_replica_epoch bigint, p_relays int[], p_epochs bigint[],
                                 p_lease_ms bigint) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bw_lock_shared();
    PERFORM bw_replica_check(p_replica, p_replica_epoch);
    -- In relay order first: two replicas that renew overlapping sets must not wait for each other.
    PERFORM FROM relay_session WHERE relay = ANY (p_relays) ORDER BY relay FOR NO KEY UPDATE;
    RETURN QUERY UPDATE relay_session s
        SET lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
        FROM unnest(p_relays, p_epochs) AS p (relay, epoch)
        WHERE s.relay = p.relay AND s.epoch = p.epoch AND s.replica = p_replica
            AND s.replica_epoch = p_replica_epoch
            AND EXISTS (SELECT FROM relay r WHERE r.number = s.relay AND r.state <> 'removed')
        RETURNING s.relay;
END $$;

-- Asks for p_want[i] slots of p_relays[i]; returns what was granted, in the same order, at most what is free.
-- A relay that is not plainly enrolled grants nothing.
CREATE FUNCTION bw_escrow_take(p_replica uuid, p_epoch bigint, p_relays int[], p_want int[]) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    v_granted int[] := array_fill(0, ARRAY[coalesce(cardinality(p_relays), 0)]);
    v_grant record;
BEGIN
    PERFORM bw_lock_shared();
    PERFORM bw_replica_check(p_replica, p_epoch);
    IF (SELECT count(DISTINCT u) <> count(*) FROM unnest(p_relays) u) THEN
        RAISE EXCEPTION 'a relay is named twice' USING ERRCODE = 'BW008';
    END IF;
    PERFORM FROM relay WHERE number = ANY (p_relays) ORDER BY number FOR NO KEY UPDATE;
    FOR v_grant IN
        SELECT w.place, w.relay, least(w.want, r.capacity - (SELECT coalesce(sum(e.slots), 0) FROM escrow e
                                                             WHERE e.relay = w.relay))::int AS slots
        FROM unnest(p_relays, p_want) WITH ORDINALITY AS w (relay, want, place)
        JOIN relay r ON r.number = w.relay
        WHERE r.state = 'enrolled'
    LOOP
        CONTINUE WHEN v_grant.slots <= 0;
        INSERT INTO escrow AS e (relay, replica, epoch, slots)
            VALUES (v_grant.relay, p_replica, p_epoch, v_grant.slots)
            ON CONFLICT (relay, replica, epoch) DO UPDATE SET slots = e.slots + excluded.slots;
        v_granted[v_grant.place] := v_grant.slots;
    END LOOP;
    RETURN v_granted;
END $$;

-- Returns slots that this replica holds and has not spent.
CREATE FUNCTION bw_escrow_give(p_replica uuid, p_epoch bigint, p_relays int[], p_slots int[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_give record;
BEGIN
    PERFORM bw_lock_shared();
    PERFORM bw_replica_check(p_replica, p_epoch);
    PERFORM FROM relay WHERE number = ANY (p_relays) ORDER BY number FOR NO KEY UPDATE;
    FOR v_give IN SELECT relay, sum(slots)::int AS slots FROM unnest(p_relays, p_slots) AS g (relay, slots)
                  GROUP BY relay
    LOOP
        DELETE FROM escrow WHERE relay = v_give.relay AND replica = p_replica AND epoch = p_epoch
            AND slots = v_give.slots;
        CONTINUE WHEN FOUND;
        UPDATE escrow SET slots = slots - v_give.slots
            WHERE relay = v_give.relay AND replica = p_replica AND epoch = p_epoch AND slots > v_give.slots
                AND v_give.slots > 0;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'replica % does not hold % slots of relay %', p_replica, v_give.slots, v_give.relay
                USING ERRCODE = 'BW005';
        END IF;
    END LOOP;
END $$;

-- After a replica is fenced and its decisions are counted: the slots its meetings use go to the taker, in one
-- transaction, and (p_release) the rest is free again. Returns what was handed over, in the order of p_relays: less
-- than asked only when the dead replica held less, and then the taker has meetings to move. May be called
-- by several takers in turn, the last one with p_release.
CREATE FUNCTION bw_escrow_adopt(p_dead uuid, p_dead_epoch bigint, p_taker uuid, p_taker_epoch bigint,
                                p_relays int[], p_used int[], p_release boolean) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    v_moved int[] := array_fill(0, ARRAY[coalesce(cardinality(p_relays), 0)]);
    v_used record;
BEGIN
    PERFORM bw_lock_shared();
    PERFORM bw_replica_check(p_taker, p_taker_epoch);
    PERFORM FROM replica WHERE id = p_dead AND (epoch > p_dead_epoch OR (epoch = p_dead_epoch AND fenced));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'replica % is not fenced in epoch %', p_dead, p_dead_epoch USING ERRCODE = 'BW005';
    END IF;
    IF (SELECT count(DISTINCT u) <> count(*) FROM unnest(p_relays) u) THEN
        RAISE EXCEPTION 'a relay is named twice' USING ERRCODE = 'BW008';
    END IF;
    PERFORM FROM relay WHERE number = ANY (p_relays)
        OR number IN (SELECT relay FROM escrow WHERE replica = p_dead AND epoch = p_dead_epoch)
        ORDER BY number FOR NO KEY UPDATE;
    FOR v_used IN
        SELECT u.place, u.relay, e.slots AS held, least(u.used, e.slots) AS slots
        FROM unnest(p_relays, p_used) WITH ORDINALITY AS u (relay, used, place)
        JOIN escrow e ON e.relay = u.relay AND e.replica = p_dead AND e.epoch = p_dead_epoch
        WHERE u.used > 0
    LOOP
        IF v_used.slots = v_used.held THEN
            DELETE FROM escrow WHERE relay = v_used.relay AND replica = p_dead AND epoch = p_dead_epoch;
        ELSE
            UPDATE escrow SET slots = slots - v_used.slots
                WHERE relay = v_used.relay AND replica = p_dead AND epoch = p_dead_epoch;
        END IF;
        INSERT INTO escrow AS e (relay, replica, epoch, slots)
            VALUES (v_used.relay, p_taker, p_taker_epoch, v_used.slots)
            ON CONFLICT (relay, replica, epoch) DO UPDATE SET slots = e.slots + excluded.slots;
        v_moved[v_used.place] := v_used.slots;
    END LOOP;
    IF p_release THEN
        DELETE FROM escrow WHERE replica = p_dead AND epoch = p_dead_epoch;
    END IF;
    RETURN v_moved;
END $$;
