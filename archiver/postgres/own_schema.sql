-- The archiver's own tables, in schema `archiver` of every database, as numbered migrations.
--
-- A migration runs once, in one transaction. It is never changed after a version of this tool with it was in use: a
-- change of the tables is a new migration with the next number. archiver.version holds the number of the last one.
-- Only the first may run over existing tables: versions without migration numbers left them in any of their states.

-- migration 1: the tables of versions without migration numbers, and archiver.version
CREATE SCHEMA IF NOT EXISTS archiver;
CREATE TABLE archiver.version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number integer NOT NULL,
    tool text NOT NULL,
    at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS archiver.records (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL,
    tenant_name text NOT NULL,
    customer_id bigint,
    customer_name text,
    year integer NOT NULL,
    night date,
    shard text NOT NULL,
    depth text NOT NULL,
    state text NOT NULL,
    location text NOT NULL,
    fingerprint text NOT NULL DEFAULT '',
    size bigint,
    md5 text,
    sha256 text,
    members jsonb NOT NULL DEFAULT '{}',
    kept jsonb NOT NULL DEFAULT '{}',
    seconds_to_extract double precision,
    seconds_to_restore double precision,
    operator text NOT NULL,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    archived_at timestamptz,
    UNIQUE (tenant_id, year)
);
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS recipients text[] NOT NULL DEFAULT '{}';
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS proved_at timestamptz;
UPDATE archiver.records SET proved_at = verified_at WHERE proved_at IS NULL AND verified_at IS NOT NULL;
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS partial jsonb NOT NULL DEFAULT '[]';
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS seconds_to_delete double precision;
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS snapshots jsonb NOT NULL DEFAULT '{}';
CREATE TABLE IF NOT EXISTS archiver.markers (
    record_id bigint NOT NULL,
    act text NOT NULL,
    content jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (record_id, act)
);
ALTER TABLE archiver.markers ADD COLUMN IF NOT EXISTS started_at timestamptz NOT NULL DEFAULT 'epoch';
ALTER TABLE archiver.markers DROP CONSTRAINT IF EXISTS markers_pkey,
    ADD CONSTRAINT markers_pkey PRIMARY KEY (record_id, act, started_at);
CREATE TABLE IF NOT EXISTS archiver.gone (
    record_id bigint NOT NULL REFERENCES archiver.records ON DELETE CASCADE,
    table_name text NOT NULL,
    ids bigint[] NOT NULL,
    PRIMARY KEY (record_id, table_name)
);
CREATE TABLE IF NOT EXISTS archiver.kept (
    record_id bigint NOT NULL,
    table_name text NOT NULL,
    key text NOT NULL,
    digest text NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, key, record_id)
);
CREATE INDEX IF NOT EXISTS kept_by_record ON archiver.kept (record_id);
CREATE TABLE IF NOT EXISTS archiver.ids (
    record_id bigint NOT NULL REFERENCES archiver.records ON DELETE CASCADE,
    table_name text NOT NULL,
    ids bigint[] NOT NULL,
    PRIMARY KEY (record_id, table_name)
);
CREATE INDEX IF NOT EXISTS ids_by_id ON archiver.ids USING gin (ids);
CREATE TABLE IF NOT EXISTS archiver.months (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month text NOT NULL,
    year integer NOT NULL,
    before timestamptz NOT NULL,
    shard text NOT NULL,
    state text NOT NULL,
    location text NOT NULL,
    fingerprint text NOT NULL,
    recipients text[] NOT NULL,
    size bigint,
    md5 text,
    sha256 text,
    seconds_to_restore double precision,
    operator text NOT NULL,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    archived_at timestamptz
);
ALTER TABLE archiver.months ADD COLUMN IF NOT EXISTS proved_at timestamptz;
CREATE TABLE IF NOT EXISTS archiver.month_slices (
    month_id bigint NOT NULL REFERENCES archiver.months ON DELETE CASCADE,
    tenant_id bigint NOT NULL,
    start bigint NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    rows jsonb NOT NULL,
    went jsonb,
    stayed jsonb,
    PRIMARY KEY (month_id, tenant_id)
);
CREATE INDEX IF NOT EXISTS month_slices_by_tenant ON archiver.month_slices (tenant_id);
CREATE TABLE IF NOT EXISTS archiver.held (
    tenant_id bigint PRIMARY KEY,
    operator text NOT NULL,
    host text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS archiver.units (
    run text NOT NULL,
    number integer NOT NULL,
    unit jsonb NOT NULL,
    takes integer NOT NULL DEFAULT 0,
    worker text,
    taken_at timestamptz,
    ended jsonb,
    ended_at timestamptz,
    PRIMARY KEY (run, number)
);
CREATE TABLE IF NOT EXISTS archiver.purges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    year integer NOT NULL,
    before timestamptz NOT NULL,
    ids bigint[] NOT NULL,
    state text NOT NULL,
    location text NOT NULL DEFAULT '',
    size bigint,
    md5 text,
    sha256 text,
    recipients text[] NOT NULL,
    members jsonb NOT NULL DEFAULT '{}',
    operator text NOT NULL,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    purged_at timestamptz,
    restored_at timestamptz,
    restored_by text
);
ALTER TABLE archiver.purges ADD COLUMN IF NOT EXISTS proved_at timestamptz;
CREATE TABLE IF NOT EXISTS archiver.moves (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL,
    year integer NOT NULL,
    verb text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    offsets jsonb NOT NULL DEFAULT '[]',
    state text NOT NULL,
    location text NOT NULL,
    size bigint,
    sha256 text,
    members jsonb NOT NULL DEFAULT '{}',
    operator text NOT NULL,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    switched_at timestamptz
);
CREATE INDEX IF NOT EXISTS moves_by_tenant ON archiver.moves (tenant_id);
CREATE TABLE IF NOT EXISTS archiver.regions (
    source text NOT NULL,
    target text NOT NULL,
    above bigint NOT NULL,
    upto bigint NOT NULL,
    plus bigint NOT NULL,
    PRIMARY KEY (source, target, above)
);
CREATE TABLE IF NOT EXISTS archiver.aliases (
    shard text PRIMARY KEY,
    lies_in text NOT NULL,
    since timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS archiver.log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    operator text NOT NULL,
    host text NOT NULL,
    act text NOT NULL,
    tenant_id bigint NOT NULL,
    year integer NOT NULL,
    record_id bigint NOT NULL,
    details jsonb NOT NULL
);
CREATE OR REPLACE FUNCTION archiver.append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'archiver.log is append-only'; END $$;
DROP TRIGGER IF EXISTS append_only ON archiver.log;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON archiver.log
    FOR EACH STATEMENT EXECUTE FUNCTION archiver.append_only();

-- migration 2: what the store called each object when it was put
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS etag text, ADD COLUMN IF NOT EXISTS version_id text;
ALTER TABLE archiver.months ADD COLUMN IF NOT EXISTS etag text, ADD COLUMN IF NOT EXISTS version_id text;
ALTER TABLE archiver.moves ADD COLUMN IF NOT EXISTS etag text, ADD COLUMN IF NOT EXISTS version_id text;
ALTER TABLE archiver.purges ADD COLUMN IF NOT EXISTS etag text, ADD COLUMN IF NOT EXISTS version_id text;

-- migration 3: on a shard, the keys of deleted rows to which other rows may refer without a foreign key
CREATE TABLE IF NOT EXISTS archiver.shard_gone (
    record_id bigint NOT NULL,
    started_at timestamptz NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    ids bigint[] NOT NULL,
    PRIMARY KEY (record_id, started_at, table_name, column_name)
);

-- migration 4: turns, by which archives, months, moves and merges are told as earlier or later than one another
CREATE SEQUENCE IF NOT EXISTS archiver.turns;
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS turn bigint;
ALTER TABLE archiver.months ADD COLUMN IF NOT EXISTS turn bigint;
ALTER TABLE archiver.moves ADD COLUMN IF NOT EXISTS turn bigint;
ALTER TABLE archiver.aliases ADD COLUMN IF NOT EXISTS turn bigint;
-- What versions before wrote has turns up to 0, by the clock: nothing else is known of it.
CREATE TEMP TABLE in_order ON COMMIT DROP AS
    SELECT kind, id, shard, row_number() OVER (ORDER BY at, kind, id) - count(*) OVER () AS turn FROM (
        SELECT 1 AS kind, id, NULL AS shard, switched_at AS at FROM archiver.moves WHERE switched_at IS NOT NULL
        UNION ALL SELECT 2, NULL, shard, since FROM archiver.aliases
        UNION ALL SELECT 3, id, NULL, started_at FROM archiver.records
        UNION ALL SELECT 4, id, NULL, started_at FROM archiver.months
    ) acts;
UPDATE archiver.moves m SET turn = t.turn FROM pg_temp.in_order t WHERE t.kind = 1 AND t.id = m.id AND m.turn IS NULL;
UPDATE archiver.aliases a SET turn = t.turn FROM pg_temp.in_order t WHERE t.kind = 2 AND t.shard = a.shard AND a.turn IS NULL;
UPDATE archiver.records r SET turn = t.turn FROM pg_temp.in_order t WHERE t.kind = 3 AND t.id = r.id AND r.turn IS NULL;
UPDATE archiver.months m SET turn = t.turn FROM pg_temp.in_order t WHERE t.kind = 4 AND t.id = m.id AND m.turn IS NULL;
ALTER TABLE archiver.records ALTER COLUMN turn SET DEFAULT nextval('archiver.turns'), ALTER COLUMN turn SET NOT NULL;
ALTER TABLE archiver.months ALTER COLUMN turn SET DEFAULT nextval('archiver.turns'), ALTER COLUMN turn SET NOT NULL;
ALTER TABLE archiver.aliases ALTER COLUMN turn SET DEFAULT nextval('archiver.turns'), ALTER COLUMN turn SET NOT NULL;

-- migration 5: the same of keys that are not whole numbers, as text; and of what months and moves delete
ALTER TABLE archiver.shard_gone ADD COLUMN IF NOT EXISTS keys text[], ALTER COLUMN ids DROP NOT NULL;

-- migration 6: why a tenant was archived, with the ticket
ALTER TABLE archiver.records ADD COLUMN IF NOT EXISTS reason text;

-- migration 7: no statistics of arrays of keys, which a vacuum would read in full
ALTER TABLE archiver.shard_gone ALTER COLUMN ids SET STATISTICS 0, ALTER COLUMN keys SET STATISTICS 0;

-- migration 8: each entry of the log carries the digest of the one before it, and its own; ids get no gaps from here on
ALTER TABLE archiver.log DISABLE TRIGGER append_only;
ALTER TABLE archiver.log ALTER COLUMN id DROP IDENTITY IF EXISTS;
ALTER TABLE archiver.log ADD COLUMN IF NOT EXISTS before text, ADD COLUMN IF NOT EXISTS sha256 text;
-- The entries of versions before get theirs now, and are held from here on. The text is that of records/log_chain.py.
CREATE TEMP TABLE in_log (number bigint PRIMARY KEY, id bigint NOT NULL, text text NOT NULL) ON COMMIT DROP;
INSERT INTO pg_temp.in_log
SELECT row_number() OVER (ORDER BY id), id,
       jsonb_build_array(id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), operator, host, act,
                         tenant_id::text, year, record_id, details)::text
  FROM archiver.log;
WITH RECURSIVE chain AS (
    SELECT 0::bigint AS number, NULL::bigint AS id, NULL::text AS before, encode(sha256(''), 'hex') AS sha256
    UNION ALL
    SELECT i.number, i.id, c.sha256, encode(sha256(convert_to(c.sha256 || i.text, 'UTF8')), 'hex')
      FROM chain c JOIN pg_temp.in_log i ON i.number = c.number + 1
)
UPDATE archiver.log l SET before = c.before, sha256 = c.sha256 FROM chain c WHERE c.id = l.id;
ALTER TABLE archiver.log ALTER COLUMN before SET NOT NULL, ALTER COLUMN sha256 SET NOT NULL;
ALTER TABLE archiver.log ENABLE ALWAYS TRIGGER append_only;

-- migration 9: what kept bad rows out of the product's tables besides their checks, by turns
CREATE TABLE IF NOT EXISTS archiver.guards (
    name text NOT NULL,  -- of the database in the inventory
    turn bigint NOT NULL DEFAULT nextval('archiver.turns'),
    tables jsonb NOT NULL,
    PRIMARY KEY (name, turn)
);
