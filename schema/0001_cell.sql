-- The cell, the lock that orders everything, and the group index.
--
-- Every table and function lives in the schema "bailiwick"; the store sets search_path on each connection.
--
-- One advisory lock orders decisions against changes of what they must obey. A group of decisions takes its
-- shared side; a change of policy, of a relay's facts or state, and the fencing of a replica take the
-- exclusive side. Each statement of these functions takes a new snapshot (they are VOLATILE and run under READ
-- COMMITTED), so what was committed before the lock was granted is seen after it.
--
-- Errors that the store tells apart (SQLSTATE class BW):
--   BW001 fenced               the replica's epoch is not current or fenced (DETAIL fenced: for good), or its lease
--                              has ended (DETAIL lease: until it is renewed)
--   BW002 stale policy         DETAIL lists what is stale as tenant/revision, comma-separated
--   BW003 stale facts          DETAIL holds the current facts revision
--   BW004 revision conflict    DETAIL holds the tenant's current revision
--   BW005 not allowed now      a state or an amount in the way; MESSAGE says which and what to do
--   BW006 not found            MESSAGE says what
--   BW007 already exists       MESSAGE says what
--   BW008 invalid              an argument that breaks the function's rules

CREATE TABLE cell (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    name        text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    -- Part of the stream id: a database initialised anew is another stream, whatever its system identifier.
    incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
    created     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row, updated by every group: the fill factor leaves room for heap-only updates on its page.
CREATE TABLE head (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    group_no  bigint NOT NULL,   -- the last group number given out
    compacted bigint NOT NULL    -- index rows up to here may be gone: a resume from before needs a snapshot
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
INSERT INTO head (group_no, compacted) VALUES (0, 0);

-- What relay-facing state a decision was taken under: every change to a relay's facts or state raises it.
CREATE TABLE facts_head (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO facts_head (revision) VALUES (1);

-- One row a group, in commit order without gaps. Polled by the sessions of other replicas, and read by the
-- sequencer, checkpoints and recovery. Changes of policy and fleet take a number too, so that one stream tells
-- every reader what happened and in which order.
--   event: 0 decisions, 1 policy (subject: tenant), 2 facts (subject: null), 3 replica (subject: the fenced or
--          registered replica), 4 tenant (subject: tenant), 5 credential
-- Key i of a decisions row is (meetings[i], seqs[i]) and concerns
-- key_relays[relay_ends[i-1]+1 .. relay_ends[i]] (relay_ends[0] read as 0).
CREATE TABLE group_index (
    group_no      bigint PRIMARY KEY,
    replica_epoch bigint,
    token         bigint,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    replica       uuid,
    subject       uuid,
    writer        int,
    event         smallint NOT NULL,
    relays        int[],
    meetings      uuid[],
    seqs          int[],
    relay_ends    int[],
    key_relays    int[]
);
-- Random ids do not compress: do not spend time on trying.
ALTER TABLE group_index ALTER meetings SET STORAGE EXTERNAL, ALTER seqs SET STORAGE EXTERNAL,
    ALTER relay_ends SET STORAGE EXTERNAL, ALTER key_relays SET STORAGE EXTERNAL, ALTER relays SET STORAGE EXTERNAL;

CREATE FUNCTION bw_lock_shared() RETURNS void LANGUAGE sql AS
    $$ SELECT pg_advisory_xact_lock_shared(4771, 1) $$;
CREATE FUNCTION bw_lock_exclusive() RETURNS void LANGUAGE sql AS
    $$ SELECT pg_advisory_xact_lock(4771, 1) $$;

-- The next group number. The head row stays locked until commit, so numbers rise in commit order: take it last.
CREATE FUNCTION bw_next_group() RETURNS bigint LANGUAGE sql AS
    $$ UPDATE head SET group_no = group_no + 1 RETURNING group_no $$;

CREATE FUNCTION bw_event(p_event smallint, p_subject uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_group bigint := bw_next_group();
BEGIN
    INSERT INTO group_index (group_no, event, subject) VALUES (v_group, p_event, p_subject);
    RETURN v_group;
END $$;

-- Names the cell once; a second call with the same name changes nothing.
CREATE FUNCTION bw_cell_init(p_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_name text;
BEGIN
    PERFORM bw_lock_exclusive();
    SELECT name INTO v_name FROM cell;
    IF v_name IS NULL THEN
        INSERT INTO cell (name) VALUES (p_name);
    ELSIF v_name <> p_name THEN
        RAISE EXCEPTION 'this database belongs to cell %, not %', v_name, p_name USING ERRCODE = 'BW007';
    END IF;
END $$;

-- Forgets index rows up to p_upto (never past the head). Returns the new compaction point.
CREATE FUNCTION bw_groups_compact(p_upto bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_upto bigint;
BEGIN
    SELECT greatest(compacted, least(p_upto, group_no)) INTO v_upto FROM head;
    DELETE FROM group_index WHERE group_no <= v_upto;
    -- The head row last: groups wait for it. A reader sees the point and the deletion together or neither.
    UPDATE head SET compacted = greatest(compacted, v_upto);
    RETURN v_upto;
END $$;

-- Refuses a change of rows that are written once.
CREATE FUNCTION bw_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'BW005';
END $$;
