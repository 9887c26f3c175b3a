-- Tenants, their policy revisions, and the credentials of those who call.

CREATE TABLE tenant (
    id              uuid PRIMARY KEY,
    name            text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    cell            text NOT NULL,              -- the at-rest cell; this one, or where to go instead
    policy_revision int NOT NULL DEFAULT 0,     -- the one enforced; 0: none yet
    audit_revision  int,                        -- a candidate that runs beside it
    request         uuid NOT NULL UNIQUE,       -- of the call that created it: the same call again finds it
    created         timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE policy_revision (
    tenant   uuid NOT NULL REFERENCES tenant,
    revision int NOT NULL CHECK (revision > 0),
    yaml     bytea NOT NULL,                    -- exactly the bytes that were applied
    hash     bytea NOT NULL CHECK (length(hash) = 32),
    author   text NOT NULL,                     -- a SPIFFE ID
    note     text NOT NULL,
    request  uuid NOT NULL,
    audit    boolean NOT NULL,                  -- stored as a candidate, not enforced by this call
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, revision),
    UNIQUE (tenant, request)
);
CREATE TRIGGER policy_revision_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_revision
    FOR EACH STATEMENT EXECUTE FUNCTION bw_refuse_change();

CREATE TABLE credential (
    spiffe_id text PRIMARY KEY,
    role      text NOT NULL CHECK (role IN ('app', 'operator', 'tenant-admin', 'key-admin', 'auditor',
                                            'support-tier1', 'support-tier2')),
    tenants   uuid[] NOT NULL,                  -- whom it may act for; empty for an operator
    issued    timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked   timestamptz
);

-- Returns the tenant's id: p_id, or the earlier one when this request already created it.
CREATE FUNCTION bw_tenant_create(p_id uuid, p_name text, p_cell text, p_request uuid)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v_found tenant;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT * INTO v_found FROM tenant WHERE request = p_request;
    IF FOUND THEN
        IF v_found.name <> p_name OR v_found.cell <> p_cell THEN
            RAISE EXCEPTION 'this request id already created tenant %', v_found.name USING ERRCODE = 'BW007';
        END IF;
        RETURN v_found.id;
    END IF;
    IF EXISTS (SELECT FROM tenant WHERE name = p_name) THEN
        RAISE EXCEPTION 'tenant % exists', p_name USING ERRCODE = 'BW007';
    END IF;
    INSERT INTO tenant (id, name, cell, request) VALUES (p_id, p_name, p_cell, p_request);
    PERFORM bw_event(4::smallint, p_id);
    RETURN p_id;
END $$;

-- Stores a revision and, unless p_audit, enforces it: once this commits, no group with an older revision of the
-- tenant does. p_if_revision (null: any) must be the enforced revision. Returns the revision and the group
-- number from which live meetings are to be checked against it. The same request again returns the same.
CREATE FUNCTION bw_policy_publish(p_tenant uuid, p_yaml bytea, p_hash bytea, p_author text, p_note text,
                                  p_if_revision int, p_audit boolean, p_request uuid,
                                  OUT o_revision int, OUT o_group bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_current int;
    v_earlier policy_revision;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT policy_revision INTO v_current FROM tenant WHERE id = p_tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant has the id %', p_tenant USING ERRCODE = 'BW006';
    END IF;
    SELECT * INTO v_earlier FROM policy_revision WHERE tenant = p_tenant AND request = p_request;
    IF FOUND THEN
        IF v_earlier.hash <> p_hash OR v_earlier.audit <> p_audit THEN
            RAISE EXCEPTION 'this request id already published revision %', v_earlier.revision
                USING ERRCODE = 'BW007';
        END IF;
        o_revision := v_earlier.revision;
        SELECT group_no INTO o_group FROM head;
        RETURN;
    END IF;
    IF p_if_revision IS NOT NULL AND p_if_revision <> v_current THEN
        RAISE EXCEPTION 'revision % is enforced, not %', v_current, p_if_revision
            USING ERRCODE = 'BW004', DETAIL = v_current::text;
    END IF;
    SELECT coalesce(max(revision), 0) + 1 INTO o_revision FROM policy_revision WHERE tenant = p_tenant;
    INSERT INTO policy_revision (tenant, revision, yaml, hash, author, note, request, audit)
        VALUES (p_tenant, o_revision, p_yaml, p_hash, p_author, p_note, p_request, p_audit);
    IF p_audit THEN
        UPDATE tenant SET audit_revision = o_revision WHERE id = p_tenant;
    ELSE
        UPDATE tenant SET policy_revision = o_revision WHERE id = p_tenant;
    END IF;
    o_group := bw_event(1::smallint, p_tenant);
END $$;

-- Enforces the tenant's candidate. A candidate older than what is enforced meanwhile is refused: rows of one
-- tenant never go back to an earlier revision number.
CREATE FUNCTION bw_policy_promote(p_tenant uuid, p_revision int, p_if_revision int, OUT o_group bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_tenant tenant;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT * INTO v_tenant FROM tenant WHERE id = p_tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant has the id %', p_tenant USING ERRCODE = 'BW006';
    END IF;
    IF v_tenant.policy_revision = p_revision THEN
        SELECT group_no INTO o_group FROM head;
        RETURN;
    END IF;
    IF p_if_revision IS NOT NULL AND p_if_revision <> v_tenant.policy_revision THEN
        RAISE EXCEPTION 'revision % is enforced, not %', v_tenant.policy_revision, p_if_revision
            USING ERRCODE = 'BW004', DETAIL = v_tenant.policy_revision::text;
    END IF;
    IF v_tenant.audit_revision IS DISTINCT FROM p_revision THEN
        RAISE EXCEPTION 'revision % is not the candidate in audit', p_revision USING ERRCODE = 'BW005';
    END IF;
    IF p_revision < v_tenant.policy_revision THEN
        RAISE EXCEPTION 'revision % is older than the enforced %; apply it anew', p_revision,
            v_tenant.policy_revision USING ERRCODE = 'BW005';
    END IF;
    UPDATE tenant SET policy_revision = p_revision, audit_revision = NULL WHERE id = p_tenant;
    o_group := bw_event(1::smallint, p_tenant);
END $$;

CREATE FUNCTION bw_credential_issue(p_spiffe_id text, p_role text, p_tenants uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_missing uuid;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT u INTO v_missing FROM unnest(p_tenants) u WHERE NOT EXISTS (SELECT FROM tenant WHERE id = u) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no tenant has the id %', v_missing USING ERRCODE = 'BW006';
    END IF;
    IF EXISTS (SELECT FROM credential WHERE spiffe_id = p_spiffe_id AND role = p_role AND tenants = p_tenants
               AND revoked IS NULL) THEN
        RETURN;
    END IF;
    INSERT INTO credential (spiffe_id, role, tenants) VALUES (p_spiffe_id, p_role, p_tenants)
        ON CONFLICT (spiffe_id) DO UPDATE
        SET role = p_role, tenants = p_tenants, issued = clock_timestamp(), revoked = NULL;
    PERFORM bw_event(5::smallint, NULL);
END $$;

CREATE FUNCTION bw_credential_revoke(p_spiffe_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bw_lock_exclusive();
    UPDATE credential SET revoked = coalesce(revoked, clock_timestamp()) WHERE spiffe_id = p_spiffe_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no credential for %', p_spiffe_id USING ERRCODE = 'BW006';
    END IF;
    PERFORM bw_event(5::smallint, NULL);
END $$;
