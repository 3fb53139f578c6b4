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

-- migration 10: one ledger of all archives, whatever their kind, and the keys of tenants as text
LOCK TABLE archiver.records, archiver.months, archiver.month_slices, archiver.purges, archiver.moves;
-- One row for each object in the store or planned. What only some kinds have is empty in the others.
CREATE TABLE archiver.archives (
    kind text NOT NULL,  -- tenant, month, purge, move
    id bigint GENERATED BY DEFAULT AS IDENTITY,  -- of versions before: unique within a kind
    key text NOT NULL,  -- JSON: of a tenant and a move the tenant's key, of a month its name, of a purge its id
    year integer NOT NULL,
    shard text NOT NULL,  -- the database with the rows; of a move the source
    state text NOT NULL,
    location text NOT NULL DEFAULT '',
    fingerprint text NOT NULL DEFAULT '',
    recipients text[] NOT NULL DEFAULT '{}',
    size bigint,
    md5 text,
    sha256 text,
    etag text,
    version_id text,
    members jsonb NOT NULL DEFAULT '{}',  -- rows, bytes and SHA-256, by member of a tarball; not of a month's object
    seconds_to_extract double precision,
    seconds_to_restore double precision,
    seconds_to_delete double precision,
    operator text NOT NULL,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    turn bigint DEFAULT nextval('archiver.turns'),  -- none: a move that master does not name yet, a purge before this
    verified_at timestamptz,
    archived_at timestamptz,
    proved_at timestamptz,
    -- of a tenant
    tenant_name text,
    customer_id bigint,
    customer_name text,
    night date,
    depth text,
    kept jsonb NOT NULL DEFAULT '{}',
    partial jsonb NOT NULL DEFAULT '[]',
    snapshots jsonb NOT NULL DEFAULT '{}',
    reason text,
    -- of a month and a purge
    before timestamptz,
    -- of a purge
    ids bigint[],
    restored_at timestamptz,
    restored_by text,
    -- of a move
    verb text,
    target text,
    offsets jsonb NOT NULL DEFAULT '[]',
    switched_at timestamptz,
    PRIMARY KEY (kind, id),
    CONSTRAINT archives_of_tenants CHECK (kind <> 'tenant' OR num_nulls(tenant_name, depth, turn) = 0),
    CONSTRAINT archives_of_months CHECK (kind <> 'month' OR num_nulls(before, turn) = 0),
    CONSTRAINT archives_of_purges CHECK (kind <> 'purge' OR num_nulls(before, ids) = 0),
    CONSTRAINT archives_of_moves CHECK (kind <> 'move' OR num_nulls(verb, target) = 0)
);
CREATE UNIQUE INDEX archives_once_a_year ON archiver.archives (key, year) WHERE kind = 'tenant';
CREATE INDEX archives_by_key ON archiver.archives (key);
-- The tenants in a month's object: each slice of it is an archive by itself.
CREATE TABLE archiver.members (
    kind text NOT NULL,
    archive_id bigint NOT NULL,
    key text NOT NULL,  -- JSON: the tenant's key
    start bigint NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    rows jsonb NOT NULL,
    went jsonb,
    stayed jsonb,
    PRIMARY KEY (kind, archive_id, key),
    FOREIGN KEY (kind, archive_id) REFERENCES archiver.archives ON DELETE CASCADE
);
CREATE INDEX members_by_key ON archiver.members (key);
INSERT INTO archiver.archives
       (kind, id, key, year, shard, state, location, fingerprint, recipients, size, md5, sha256, etag, version_id, members,
        seconds_to_extract, seconds_to_restore, seconds_to_delete, operator, host, started_at, turn, verified_at, archived_at,
        proved_at, tenant_name, customer_id, customer_name, night, depth, kept, partial, snapshots, reason)
SELECT 'tenant', id, tenant_id::text, year, shard, state, location, fingerprint, recipients, size, md5, sha256, etag, version_id,
        members, seconds_to_extract, seconds_to_restore, seconds_to_delete, operator, host, started_at, turn, verified_at,
        archived_at, proved_at, tenant_name, customer_id, customer_name, night, depth, kept, partial, snapshots, reason
  FROM archiver.records;
INSERT INTO archiver.archives
       (kind, id, key, year, shard, state, location, fingerprint, recipients, size, md5, sha256, etag, version_id,
        seconds_to_restore, operator, host, started_at, turn, verified_at, archived_at, proved_at, before)
SELECT 'month', id, to_json(month)::text, year, shard, state, location, fingerprint, recipients, size, md5, sha256, etag,
        version_id, seconds_to_restore, operator, host, started_at, turn, verified_at, archived_at, proved_at, before
  FROM archiver.months;
INSERT INTO archiver.members (kind, archive_id, key, start, size, sha256, rows, went, stayed)
SELECT 'month', month_id, tenant_id::text, start, size, sha256, rows, went, stayed FROM archiver.month_slices;
-- A purge is archived once its rows are deleted, as all others are.
INSERT INTO archiver.archives
       (kind, id, key, year, shard, state, location, recipients, size, md5, sha256, etag, version_id, members, operator, host,
        started_at, turn, verified_at, archived_at, proved_at, before, ids, restored_at, restored_by)
SELECT 'purge', id, id::text, year, 'master', CASE state WHEN 'purged' THEN 'archived' ELSE state END, location, recipients,
        size, md5, sha256, etag, version_id, members, operator, host, started_at, NULL, verified_at, purged_at, proved_at,
        before, ids, restored_at, restored_by
  FROM archiver.purges;
INSERT INTO archiver.archives
       (kind, id, key, year, shard, state, location, size, sha256, etag, version_id, members, operator, host, started_at, turn,
        verb, target, offsets, switched_at)
SELECT 'move', id, tenant_id::text, year, source, state, location, size, sha256, etag, version_id, members, operator, host,
        started_at, turn, verb, target, offsets, switched_at
  FROM archiver.moves;
-- Before anything of the old tables is put aside, they are read back out of the new ones, and compared.
CREATE TEMP VIEW before_10 (of, row) AS
    SELECT 'records', to_jsonb(r) FROM archiver.records r
    UNION ALL SELECT 'months', to_jsonb(m) FROM archiver.months m
    UNION ALL SELECT 'month_slices', to_jsonb(s) FROM archiver.month_slices s
    UNION ALL SELECT 'purges', to_jsonb(p) FROM archiver.purges p
    UNION ALL SELECT 'moves', to_jsonb(v) FROM archiver.moves v;
CREATE TEMP VIEW read_back (of, row) AS
    SELECT 'records', to_jsonb(r) FROM (
        SELECT id, key::bigint AS tenant_id, tenant_name, customer_id, customer_name, year, night, shard, depth, state, location,
               fingerprint, size, md5, sha256, members, kept, seconds_to_extract, seconds_to_restore, operator, host, started_at,
               verified_at, archived_at, recipients, proved_at, partial, seconds_to_delete, snapshots, etag, version_id, turn,
               reason
          FROM archiver.archives WHERE kind = 'tenant') r
    UNION ALL SELECT 'months', to_jsonb(m) FROM (
        SELECT id, key::jsonb #>> '{}' AS month, year, before, shard, state, location, fingerprint, recipients, size, md5, sha256,
               seconds_to_restore, operator, host, started_at, verified_at, archived_at, proved_at, etag, version_id, turn
          FROM archiver.archives WHERE kind = 'month') m
    UNION ALL SELECT 'month_slices', to_jsonb(s) FROM (
        SELECT archive_id AS month_id, key::bigint AS tenant_id, start, size, sha256, rows, went, stayed
          FROM archiver.members WHERE kind = 'month') s
    UNION ALL SELECT 'purges', to_jsonb(p) FROM (
        SELECT id, year, before, ids, CASE state WHEN 'archived' THEN 'purged' ELSE state END AS state, location, size, md5,
               sha256, recipients, members, operator, host, started_at, verified_at, archived_at AS purged_at, restored_at,
               restored_by, proved_at, etag, version_id
          FROM archiver.archives WHERE kind = 'purge' AND key = id::text) p
    UNION ALL SELECT 'moves', to_jsonb(v) FROM (
        SELECT id, key::bigint AS tenant_id, year, verb, shard AS source, target, offsets, state, location, size, sha256, members,
               operator, host, started_at, switched_at, etag, version_id, turn
          FROM archiver.archives WHERE kind = 'move') v;
DO $$
DECLARE
    differing text;
BEGIN
    SELECT string_agg(format('%s of archiver.%s', rows, of), ', ') INTO differing FROM (
        SELECT of, count(*) AS rows FROM (
            (TABLE pg_temp.before_10 EXCEPT ALL TABLE pg_temp.read_back)
            UNION ALL (TABLE pg_temp.read_back EXCEPT ALL TABLE pg_temp.before_10)
        ) either GROUP BY of ORDER BY of
    ) counted;
    IF differing IS NOT NULL THEN
        RAISE EXCEPTION 'the copy differs in %', differing USING ERRCODE = 'AR010';  -- own_schema.py has the sentence
    END IF;
END $$;
DROP VIEW pg_temp.before_10, pg_temp.read_back;
-- No id is given out a second time, whichever table had it: entries of retained rows know an archive by its id alone.
SELECT setval(pg_get_serial_sequence('archiver.archives', 'id'), 1 + greatest(0,
    (SELECT max(id) FROM archiver.archives WHERE kind <> 'purge'),
    pg_sequence_last_value(pg_get_serial_sequence('archiver.records', 'id')::regclass),
    pg_sequence_last_value(pg_get_serial_sequence('archiver.months', 'id')::regclass),
    pg_sequence_last_value(pg_get_serial_sequence('archiver.moves', 'id')::regclass)), false);
-- Operators type the number of a purge, so they are numbered by themselves.
CREATE SEQUENCE archiver.purge_numbers;
SELECT setval('archiver.purge_numbers', 1 + greatest(0,
    (SELECT max(id) FROM archiver.archives WHERE kind = 'purge'),
    pg_sequence_last_value(pg_get_serial_sequence('archiver.purges', 'id')::regclass)), false);
-- The kind is always the same: a foreign key of two columns needs it.
ALTER TABLE archiver.gone DROP CONSTRAINT gone_record_id_fkey,
    ADD COLUMN kind text NOT NULL DEFAULT 'tenant' CHECK (kind = 'tenant'),
    ADD FOREIGN KEY (kind, record_id) REFERENCES archiver.archives ON DELETE CASCADE;
ALTER TABLE archiver.ids DROP CONSTRAINT ids_record_id_fkey,
    ADD COLUMN kind text NOT NULL DEFAULT 'tenant' CHECK (kind = 'tenant'),
    ADD FOREIGN KEY (kind, record_id) REFERENCES archiver.archives ON DELETE CASCADE;
ALTER TABLE archiver.records RENAME TO records_before_10;
ALTER TABLE archiver.months RENAME TO months_before_10;
ALTER TABLE archiver.month_slices RENAME TO month_slices_before_10;
ALTER TABLE archiver.purges RENAME TO purges_before_10;
ALTER TABLE archiver.moves RENAME TO moves_before_10;
CREATE FUNCTION archiver.read_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'archiver.% is read-only: its rows are in archiver.archives', TG_TABLE_NAME; END $$;
CREATE TRIGGER read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON archiver.records_before_10
    FOR EACH STATEMENT EXECUTE FUNCTION archiver.read_only();
CREATE TRIGGER read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON archiver.months_before_10
    FOR EACH STATEMENT EXECUTE FUNCTION archiver.read_only();
CREATE TRIGGER read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON archiver.month_slices_before_10
    FOR EACH STATEMENT EXECUTE FUNCTION archiver.read_only();
CREATE TRIGGER read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON archiver.purges_before_10
    FOR EACH STATEMENT EXECUTE FUNCTION archiver.read_only();
CREATE TRIGGER read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON archiver.moves_before_10
    FOR EACH STATEMENT EXECUTE FUNCTION archiver.read_only();
-- The texts of the log's entries, and so their digests, stay: in JSON a whole number is written as before.
ALTER TABLE archiver.log RENAME COLUMN tenant_id TO key;
ALTER TABLE archiver.log ALTER COLUMN key TYPE text USING key::text;
ALTER TABLE archiver.held RENAME COLUMN tenant_id TO key;
ALTER TABLE archiver.held ALTER COLUMN key TYPE text USING key::text;

-- migration 11: customers by keys of any type, and an index of ids of any type
ALTER TABLE archiver.archives ALTER COLUMN customer_id TYPE text USING customer_id::text;  -- JSON, as all keys are
ALTER TABLE archiver.ids ADD COLUMN keys text[] NOT NULL DEFAULT '{}';  -- in JSON: all but single whole numbers
CREATE INDEX ids_by_key ON archiver.ids USING gin (keys);
