"""Apangea's year in a data directory: made once per scale, then copied for each measurement."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

from bench import servers
from bench.servers import EMPTY, FILLED, MASTER, ROLE, SCRATCH
from bench.year.size import SHARDS, Size, size_at
from rehearsal import postgres_server
from rehearsal.postgres_programs import Programs
from rehearsal.postgres_server import Cluster
from rehearsal.seed import create_schema

SQL = Path(__file__).parent
SHARD_IDS = 1_000_000_000  # each shard's ids start at its own multiple, as in the rehearsal
LOAD = {"fsync": "off", "max_wal_size": "16GB", "wal_level": "minimal", "max_wal_senders": "0"}  # no durability needed


def template(scale: Fraction, home: Path, programs: Programs) -> Cluster:
    """Return the stopped cluster with the year at this scale; make it if there is none of the current SQL."""
    name = f"year-{scale.numerator}-{scale.denominator}"
    cluster = servers.new_cluster(home / f"{name}-{_making(scale)}", programs)
    if not cluster.exists:
        for outdated in home.glob(f"{name}-*"):
            postgres_server.remove(servers.new_cluster(outdated, programs))  # it may be incomplete after a kill
        part = servers.new_cluster(home / f"{name}-part", programs)
        _make(part, size_at(scale))
        part.folder.rename(cluster.folder)
    return cluster


def _making(scale: Fraction) -> str:
    """Return a digest of the size and the SQL that make the year."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(SQL.glob("*.sql"))]
    return hashlib.sha256("".join([str(size_at(scale)), *texts]).encode()).hexdigest()[:8]


def _make(cluster: Cluster, size: Size) -> None:
    servers.create(cluster)
    with servers.running(cluster, LOAD) as started:
        _create_databases(started)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda database: _fill(started, database, size), FILLED[::-1]))
    cluster.programs.serve("pg_resetwal", f"--pgdata={cluster.data}")  # otherwise its WAL would be copied each time


def _create_databases(cluster: Cluster) -> None:
    cluster.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{servers.PASSWORD}'")
    for name in (*FILLED, *EMPTY, SCRATCH):
        cluster.sql(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}")
    create_tables(cluster, MASTER, (*SHARDS, *EMPTY))


def create_tables(cluster: Cluster, master: str, shards: Iterable[str]) -> None:
    """Create Apangea's empty tables in databases."""
    create_schema(servers.dsn(cluster, master), {name: servers.dsn(cluster, name) for name in shards})


def settings(size: Size, database: str) -> str:
    """Return psql's commands that set the variables of a database's script."""
    number = FILLED.index(database)
    variables = {**size.variables(), "shard": number, "shards": len(SHARDS), "base": number * SHARD_IDS}
    return "".join(f"\\set {name} {value}\n" for name, value in variables.items())


def _fill(cluster: Cluster, database: str, size: Size) -> None:
    script = "master.sql" if database == MASTER else "shard.sql"
    rows = "".join((SQL / name).read_text(encoding="utf-8") for name in ("roll.sql", script))
    cluster.sql(settings(size, database) + rows + _SEQUENCES + "VACUUM (ANALYZE, FREEZE);", dbname=database)


# Set every sequence to its table's highest id.
_SEQUENCES = """
SELECT format('SELECT setval(%L, coalesce(max(%I), 1)) FROM %s', pg_get_serial_sequence(c.oid::regclass::text, attname),
              attname, c.oid::regclass)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
   AND pg_get_serial_sequence(c.oid::regclass::text, attname) IS NOT NULL
\\gexec
"""
