-- What a meeting leaves behind about people and quality: sealed records, the wrapped keys that open them, and the
-- audit of who asked; and the two roles that keep writing and reading apart.
--
--   bailiwick_serve  the network-facing process. It inserts sealed rows and meeting keys, and reads neither.
--   bailiwick_vault  the vault process. It reads them, and deletes them at the end of their retention.
--
-- Both are groups without a login: grant them to the users that `database.conninfo` and `vault.conninfo` name.
-- Every later migration says for its own tables and functions what each of the two may do.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['bailiwick_serve', 'bailiwick_vault'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = v_role);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
        EXCEPTION
            -- Roles belong to the whole cluster of databases: another one's migration may be as far as this one.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'this user may not create the role %; have a superuser run: CREATE ROLE % NOLOGIN',
                    v_role, v_role USING ERRCODE = 'BW005';
        END;
    END LOOP;
END $$;

-- ---- wrapped keys ----

-- A schema of its own, so that it can be moved to a database whose backups expire sooner.
CREATE SCHEMA keystore;

-- One X25519 pair per tenant, scope and UTC day. Whoever comes second takes the first one's.
CREATE TABLE keystore.scope_key (
    id        uuid PRIMARY KEY,
    tenant    uuid NOT NULL,
    scope     bytea NOT NULL CHECK (length(scope) = 8),
    day       int NOT NULL,                     -- days since 1970-01-01
    public    bytea NOT NULL CHECK (length(public) = 32),
    signature bytea NOT NULL CHECK (length(signature) = 64), -- the vault's service key's, over the public half
    root      text NOT NULL,                    -- name of the root key that the private half is wrapped under
    wrapped   bytea NOT NULL,
    made      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, scope, day)
);
CREATE INDEX scope_key_made ON keystore.scope_key (made);

-- Keys that records are sealed under, each sealed to a scope key. meeting is the nil UUID for the keys of roster
-- records, which hold entries of many meetings; each entry in them is sealed under a key of its meeting.
CREATE TABLE keystore.meeting_key (
    key_id    uuid PRIMARY KEY,
    tenant    uuid NOT NULL,
    meeting   uuid NOT NULL,
    scope_key uuid NOT NULL,
    enc       bytea NOT NULL CHECK (length(enc) = 32),
    sealed    bytea NOT NULL CHECK (length(sealed) = 48),
    made      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX meeting_key_meeting ON keystore.meeting_key (tenant, meeting);

-- That a meeting's keys were destroyed, with the vault's signature.
CREATE TABLE keystore.erasure (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  uuid NOT NULL,
    request uuid NOT NULL,
    meeting uuid NOT NULL,
    at_ms   bigint NOT NULL,
    actor   text NOT NULL,                      -- a SPIFFE ID
    keys    int NOT NULL,                       -- how many were destroyed
    receipt bytea NOT NULL,
    UNIQUE (tenant, request)
);
CREATE TRIGGER erasure_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON keystore.erasure
    FOR EACH STATEMENT EXECUTE FUNCTION bw_refuse_change();

-- ---- sealed records ----

-- The people of one group of joins of one tenant. id is a UUIDv7 and tells the time: no index but the key.
CREATE TABLE roster_record (
    tenant uuid NOT NULL,
    id     uuid NOT NULL,
    made   timestamptz NOT NULL DEFAULT clock_timestamp(),
    record bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE quality_chunk (
    id      uuid NOT NULL,                      -- random; part of what the record is bound to
    tenant  uuid NOT NULL,
    meeting uuid NOT NULL,
    slot    int NOT NULL,
    source  smallint NOT NULL CHECK (source IN (0, 1)), -- 0 a relay, 1 the client
    stream  uuid NOT NULL,
    seq     bigint NOT NULL,
    from_ms bigint NOT NULL,
    to_ms   bigint NOT NULL,
    record  bytea NOT NULL,
    PRIMARY KEY (meeting, slot, stream, seq)
);

-- Append-only: readers merge the sketches of an hour.
CREATE TABLE quality_sketch (
    tenant uuid NOT NULL,
    hour   timestamptz NOT NULL,
    id     uuid NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (tenant, hour, id)
);

-- Random bytes do not compress: do not spend time on trying.
ALTER TABLE roster_record ALTER record SET STORAGE EXTERNAL;
ALTER TABLE quality_chunk ALTER record SET STORAGE EXTERNAL;
ALTER TABLE quality_sketch ALTER record SET STORAGE EXTERNAL;

-- Codes only, never an identity, so that a search can filter.
CREATE TABLE meeting_quality (
    meeting         uuid PRIMARY KEY,
    tenant          uuid NOT NULL,
    from_ms         bigint NOT NULL,
    to_ms           bigint NOT NULL,
    participants    int NOT NULL,
    worst_class     smallint NOT NULL,
    reason          smallint NOT NULL,
    poor_minutes    int NOT NULL,
    windows         int NOT NULL,
    policy_revision int NOT NULL,
    relays          int[] NOT NULL
);
CREATE INDEX meeting_quality_time ON meeting_quality (tenant, from_ms);

-- Who asked for what. The vault writes the row before anything readable leaves it.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,                      -- a SPIFFE ID
    role    text NOT NULL,
    tenant  uuid NOT NULL,
    meeting uuid,                               -- null: a range of time
    method  text NOT NULL,
    fields  text NOT NULL,                      -- what was asked for, and how it was masked
    rows    int NOT NULL,                       -- sealed rows that the question touches
    request uuid NOT NULL,
    outcome text NOT NULL                       -- allowed, or why not
);
CREATE INDEX audit_tenant ON audit (tenant, id);
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION bw_refuse_change();

-- ---- a group of decisions with the sealed records that its joins name ----

-- bw_group, and in the same transaction what was sealed for its rows. Sent again after an unknown outcome these are
-- the same rows with the same ids: what is there stays. Keys come in the order of their ids, or groups that share
-- one deadlock. They are inserted before the head row is locked.
CREATE FUNCTION bw_group_sealed(p_replica uuid, p_epoch bigint, p_writer int, p_token bigint, p_floor bigint,
                                p_facts bigint, p_tenants uuid[], p_revisions int[],
                                p_meetings uuid[], p_seqs int[], p_kinds smallint[], p_pairs int[],
                                p_requests uuid[], p_relay_ends int[], p_relays int[], p_records bytea[],
                                p_touched int[], p_created int[], p_methods text[],
                                p_keys uuid[], p_key_tenants uuid[], p_key_meetings uuid[], p_key_scopes uuid[],
                                p_key_encs bytea[], p_key_sealed bytea[],
                                p_rosters uuid[], p_roster_tenants uuid[], p_roster_records bytea[])
RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_keys) > 0 THEN
        INSERT INTO keystore.meeting_key (key_id, tenant, meeting, scope_key, enc, sealed)
            SELECT * FROM unnest(p_keys, p_key_tenants, p_key_meetings, p_key_scopes, p_key_encs, p_key_sealed)
            ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(p_rosters) > 0 THEN
        INSERT INTO roster_record (id, tenant, record)
            SELECT * FROM unnest(p_rosters, p_roster_tenants, p_roster_records)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN bw_group(p_replica, p_epoch, p_writer, p_token, p_floor, p_facts, p_tenants, p_revisions, p_meetings,
                    p_seqs, p_kinds, p_pairs, p_requests, p_relay_ends, p_relays, p_records, p_touched, p_created,
                    p_methods);
END $$;

-- ---- erasing a meeting ----

-- Destroys every key of the meeting and what can no longer be read without them, and keeps the signed receipt. The
-- receipt counts the keys, so it is made first: BW004 when their number is another by now. Returns the receipt that
-- counts: that of the earlier call when the request was made before.
CREATE FUNCTION bw_meeting_erase(p_tenant uuid, p_meeting uuid, p_request uuid, p_actor text, p_at_ms bigint,
                                 p_keys int, p_receipt bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    v_earlier keystore.erasure;
    v_keys int;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_meeting::text, 4773));
    SELECT * INTO v_earlier FROM keystore.erasure WHERE tenant = p_tenant AND request = p_request;
    IF FOUND THEN
        IF v_earlier.meeting <> p_meeting THEN
            RAISE EXCEPTION 'this request id erased another meeting' USING ERRCODE = 'BW007';
        END IF;
        RETURN v_earlier.receipt;
    END IF;
    DELETE FROM keystore.meeting_key WHERE tenant = p_tenant AND meeting = p_meeting;
    GET DIAGNOSTICS v_keys = ROW_COUNT;
    IF v_keys <> p_keys THEN
        RAISE EXCEPTION '% keys, not %', v_keys, p_keys USING ERRCODE = 'BW004', DETAIL = v_keys::text;
    END IF;
    DELETE FROM quality_chunk WHERE meeting = p_meeting AND tenant = p_tenant;
    DELETE FROM meeting_quality WHERE meeting = p_meeting AND tenant = p_tenant;
    INSERT INTO keystore.erasure (tenant, request, meeting, at_ms, actor, keys, receipt)
        VALUES (p_tenant, p_request, p_meeting, p_at_ms, p_actor, p_keys, p_receipt);
    RETURN p_receipt;
END $$;

-- ---- the end of a retention ----

-- The smallest UUIDv7 of a moment: every id made before it is smaller.
CREATE FUNCTION bw_uuid_at(p_ms bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT (lpad(to_hex(greatest(p_ms, 0)), 12, '0') || '00000000000000000000')::uuid $$;

-- Deletes what a tenant's retention has ended for: the keys of the roster, too, but no key that a record which stays
-- still needs. Times are unix milliseconds; what is from before them goes, at most 20,000 rows of each table at a time.
CREATE FUNCTION bw_metadata_sweep(p_tenant uuid, p_quality_ms bigint, p_participants_ms bigint,
                                  OUT o_chunks bigint, OUT o_sketches bigint, OUT o_rosters bigint,
                                  OUT o_keys bigint, OUT o_scopes bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_last_ms bigint := least(p_quality_ms, p_participants_ms);
    v_last timestamptz := timestamptz 'epoch' + v_last_ms * interval '1 millisecond';
BEGIN
    DELETE FROM quality_chunk WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM quality_chunk
        WHERE meeting < bw_uuid_at(p_quality_ms) AND tenant = p_tenant AND to_ms < p_quality_ms LIMIT 20000));
    GET DIAGNOSTICS o_chunks = ROW_COUNT;
    DELETE FROM quality_sketch WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM quality_sketch WHERE tenant = p_tenant
            AND hour < timestamptz 'epoch' + (p_quality_ms - 3600000) * interval '1 millisecond' LIMIT 20000));
    GET DIAGNOSTICS o_sketches = ROW_COUNT;
    DELETE FROM meeting_quality WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM meeting_quality WHERE tenant = p_tenant AND to_ms < p_quality_ms LIMIT 20000));
    DELETE FROM roster_record WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM roster_record WHERE tenant = p_tenant AND id < bw_uuid_at(p_participants_ms) LIMIT 20000));
    GET DIAGNOSTICS o_rosters = ROW_COUNT;
    -- A meeting's key serves its roster and its quality: it goes with the last of them, and never while the
    -- meeting lives. Keys of roster records (nil meeting) are in use for a day.
    DELETE FROM keystore.meeting_key WHERE ctid = ANY (ARRAY(
        SELECT k.ctid FROM keystore.meeting_key k
        WHERE k.tenant = p_tenant
            AND k.made < v_last - CASE WHEN k.meeting = '00000000-0000-0000-0000-000000000000'
                                       THEN interval '2 days' ELSE interval '0' END
            AND NOT EXISTS (SELECT FROM quality_chunk c WHERE c.meeting = k.meeting)
            AND coalesce((SELECT d.kind = 12 FROM decision d WHERE d.meeting = k.meeting
                          ORDER BY d.seq DESC LIMIT 1), true)
        LIMIT 20000));
    GET DIAGNOSTICS o_keys = ROW_COUNT;
    DELETE FROM keystore.scope_key s WHERE s.tenant = p_tenant AND s.made < v_last - interval '2 days'
        AND NOT EXISTS (SELECT FROM keystore.meeting_key k WHERE k.tenant = p_tenant AND k.scope_key = s.id);
    GET DIAGNOSTICS o_scopes = ROW_COUNT;
END $$;

-- ---- who may do what ----

REVOKE ALL ON SCHEMA keystore FROM PUBLIC;
GRANT USAGE ON SCHEMA bailiwick TO bailiwick_serve, bailiwick_vault;
GRANT USAGE ON SCHEMA keystore TO bailiwick_serve, bailiwick_vault;

GRANT SELECT ON schema_migration, cell TO bailiwick_serve, bailiwick_vault;
GRANT INSERT ON cell TO bailiwick_serve;
GRANT SELECT, INSERT, UPDATE, DELETE ON head, facts_head, group_index, tenant, credential, replica, request, relay,
    relay_session, escrow TO bailiwick_serve;
GRANT SELECT, INSERT ON policy_revision, decision TO bailiwick_serve;

GRANT INSERT ON keystore.meeting_key, roster_record, quality_chunk, quality_sketch TO bailiwick_serve;
GRANT SELECT, INSERT, UPDATE ON meeting_quality TO bailiwick_serve;

GRANT SELECT ON tenant, decision TO bailiwick_vault;
GRANT SELECT, INSERT, DELETE ON keystore.scope_key TO bailiwick_vault;
GRANT SELECT, DELETE ON keystore.meeting_key TO bailiwick_vault;
GRANT SELECT, INSERT ON keystore.erasure, audit TO bailiwick_vault;
GRANT SELECT, DELETE ON roster_record, quality_chunk, quality_sketch, meeting_quality TO bailiwick_vault;

REVOKE EXECUTE ON FUNCTION bw_metadata_sweep(uuid, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bw_metadata_sweep(uuid, bigint, bigint) TO bailiwick_vault;
REVOKE EXECUTE ON FUNCTION bw_meeting_erase(uuid, uuid, uuid, text, bigint, int, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bw_meeting_erase(uuid, uuid, uuid, text, bigint, int, bytea) TO bailiwick_vault;
