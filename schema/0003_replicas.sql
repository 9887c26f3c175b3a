-- Replicas and their leases. A lease is measured by the database's clock alone.

CREATE TABLE replica (
    id          uuid PRIMARY KEY,
    epoch       bigint NOT NULL,
    endpoint    text NOT NULL,                  -- where other replicas reach it
    lease_until timestamptz NOT NULL,
    fenced      boolean NOT NULL DEFAULT false,
    registered  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Registers (again) and returns the new epoch. Writes under an earlier epoch of this replica fail from here on.
CREATE FUNCTION bw_replica_register(p_id uuid, p_endpoint text, p_lease_ms bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_epoch bigint;
BEGIN
    PERFORM bw_lock_exclusive();
    INSERT INTO replica AS r (id, epoch, endpoint, lease_until)
        VALUES (p_id, 1, p_endpoint, clock_timestamp() + p_lease_ms * interval '1 millisecond')
        ON CONFLICT (id) DO UPDATE
        SET epoch = r.epoch + 1, endpoint = p_endpoint, fenced = false, registered = clock_timestamp(),
            lease_until = excluded.lease_until
        RETURNING epoch INTO v_epoch;
    PERFORM bw_event(3::smallint, p_id);
    RETURN v_epoch;
END $$;

-- Refuses unless (p_id, p_epoch) is current, not fenced, and within its lease.
CREATE FUNCTION bw_replica_check(p_id uuid, p_epoch bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_replica replica;
BEGIN
    SELECT * INTO v_replica FROM replica WHERE id = p_id;
    IF NOT FOUND OR v_replica.epoch <> p_epoch OR v_replica.fenced THEN
        RAISE EXCEPTION 'replica % is fenced in epoch %', p_id, p_epoch
            USING ERRCODE = 'BW001', DETAIL = 'fenced';
    ELSIF v_replica.lease_until < clock_timestamp() THEN
        RAISE EXCEPTION 'the lease of replica % ended at %', p_id, v_replica.lease_until
            USING ERRCODE = 'BW001', DETAIL = 'lease';
    END IF;
END $$;

-- Extends the lease. A lease that has ended but was not fenced may be renewed: nobody has taken over yet.
-- Under the shared side, so that a fencing under way is either before or after.
CREATE FUNCTION bw_replica_renew(p_id uuid, p_epoch bigint, p_lease_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bw_lock_shared();
    UPDATE replica SET lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
        WHERE id = p_id AND epoch = p_epoch AND NOT fenced;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'replica % is fenced in epoch %', p_id, p_epoch
            USING ERRCODE = 'BW001', DETAIL = 'fenced';
    END IF;
END $$;

-- Fences a replica whose lease has ended (or, with p_force, one that is known to be gone, such as oneself on
-- the way out). Returns the last group number: all of its decisions are at or before it. Fencing a fenced
-- replica is no error. Only the epoch named is fenced: a replica that has registered anew is not.
CREATE FUNCTION bw_replica_fence(p_id uuid, p_epoch bigint, p_force boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_replica replica;
    v_group bigint;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT * INTO v_replica FROM replica WHERE id = p_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no replica has the id %', p_id USING ERRCODE = 'BW006';
    END IF;
    IF v_replica.epoch > p_epoch OR (v_replica.epoch = p_epoch AND v_replica.fenced) THEN
        SELECT group_no INTO v_group FROM head;
        RETURN v_group;
    END IF;
    IF v_replica.epoch < p_epoch THEN
        RAISE EXCEPTION 'replica % has not reached epoch %', p_id, p_epoch USING ERRCODE = 'BW008';
    END IF;
    IF NOT p_force AND v_replica.lease_until >= clock_timestamp() THEN
        RAISE EXCEPTION 'replica % holds its lease until %', p_id, v_replica.lease_until USING ERRCODE = 'BW005';
    END IF;
    UPDATE replica SET fenced = true WHERE id = p_id;
    RETURN bw_event(3::smallint, p_id);
END $$;
