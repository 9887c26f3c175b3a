-- What operators say of a relay when they cordon or drain it is kept, and two who issue one credential at the same
-- time do not overwrite each other.

ALTER TABLE relay ADD COLUMN reason text NOT NULL DEFAULT '' CHECK (octet_length(reason) <= 200);

DROP FUNCTION bw_relay_set_state(text, text, timestamptz);

-- To another state: enrolled (uncordon, or a drain taken back), cordoned, draining (with a deadline), removed.
-- p_reason: why it is cordoned or draining; nothing else has one. The state it already has, said for the same
-- reason, changes nothing. Returns the facts revision in force.
CREATE FUNCTION bw_relay_set_state(p_name text, p_state text, p_deadline timestamptz, p_reason text) RETURNS bigint
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
    IF p_reason <> '' AND p_state NOT IN ('cordoned', 'draining') THEN
        RAISE EXCEPTION 'a cordon or a drain has a reason, nothing else has' USING ERRCODE = 'BW008';
    END IF;
    IF v_relay.state = p_state AND v_relay.drain_deadline IS NOT DISTINCT FROM p_deadline
            AND v_relay.reason = p_reason THEN
        SELECT revision INTO v_revision FROM facts_head;
        RETURN v_revision;
    END IF;
    v_revision := bw_facts_changed();
    UPDATE relay SET state = p_state, drain_deadline = p_deadline, reason = p_reason, facts_revision = v_revision,
        removed = CASE WHEN p_state = 'removed' THEN clock_timestamp() END WHERE number = v_relay.number;
    RETURN v_revision;
END $$;

DROP FUNCTION bw_credential_issue(text, text, uuid[]);

-- p_seen: the tenants of the credential in force that whoever issues has seen and replaces; null: it saw none.
-- Another one that is in force meanwhile is not replaced. The same one again changes nothing.
CREATE FUNCTION bw_credential_issue(p_spiffe_id text, p_role text, p_tenants uuid[], p_seen uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_missing uuid;
    v_held credential;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT u INTO v_missing FROM unnest(p_tenants) u WHERE NOT EXISTS (SELECT FROM tenant WHERE id = u) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no tenant has the id %', v_missing USING ERRCODE = 'BW006';
    END IF;
    SELECT * INTO v_held FROM credential WHERE spiffe_id = p_spiffe_id AND revoked IS NULL;
    IF FOUND THEN
        IF v_held.role = p_role AND v_held.tenants = p_tenants THEN
            RETURN;
        END IF;
        IF p_seen IS NULL OR NOT (v_held.tenants @> p_seen AND v_held.tenants <@ p_seen) THEN
            RAISE EXCEPTION '% is another credential already; choose another name, or look at it first', p_spiffe_id
                USING ERRCODE = 'BW007';
        END IF;
    END IF;
    INSERT INTO credential (spiffe_id, role, tenants) VALUES (p_spiffe_id, p_role, p_tenants)
        ON CONFLICT (spiffe_id) DO UPDATE
        SET role = p_role, tenants = p_tenants, issued = clock_timestamp(), revoked = NULL;
    PERFORM bw_event(5::smallint, NULL);
END $$;
