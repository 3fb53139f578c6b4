"""All names inside and outside an archive, and the texts by which it is opened without this tool. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

from archiver.catalog.model import TableName
from archiver.format.manifest import Manifest
from archiver.postgres.pins import SETTINGS, script
from archiver.postgres.schema import NAMESPACE, Schema, Table, ddl, load_order, quoted
from inventory.keys import Key

MANIFEST, README, SCHEMA_SQL, RESTORE_SQL = "manifest.json", "README", "schema.sql", "restore.sql"
ENCRYPTED = ".age"  # the suffix of an encrypted archive
SCHEMAS = "schemas/"  # the schemas' prefix in the store
LONGEST_PART, _OF_DIGEST = 48, 16  # characters
UNCOMPARABLE = ("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle")  # types without equality


def tarball(noun: str, year: int | str, tenant_id: Key) -> str:
    """Return the archive's file name: `2013_school_13.tar.gz`; for a month's activity `2014-09_school_13.tar.gz`."""
    return f"{year}_{noun}_{path_part(tenant_id)}.tar.gz"


def path_part(key: Key) -> str:
    """Return a tenant's key as one part of a path, another one for each key.

    What a part cannot hold is percent-encoded; a long one is cut, with a digest: names of files and in a tar are short.
    """
    part = quote(str(key), safe="").replace("~", "%7E")  # so that a tilde is never of the key
    if not part.strip("."):
        return part.replace(".", "%2E") or "~"
    if len(part) <= LONGEST_PART:
        return part
    digest = hashlib.sha256(str(key).encode()).hexdigest()[:_OF_DIGEST]
    return f"{part[: LONGEST_PART - _OF_DIGEST - 1]}~{digest}"


def tarball_of(manifest: Manifest) -> str:
    """Return the file name of a manifest's archive."""
    return tarball(manifest.noun, manifest.month or manifest.year, manifest.tenant_id)


def object_key(noun: str, year: int, tenant_id: Key, extraction: str, *, encrypted: bool) -> str:
    """Return the store's key, unique per extraction: `2013/13/20140815T221500-1f3a/2013_school_13.tar.gz.age`."""
    ending = ENCRYPTED if encrypted else ""
    return f"{tenant_folder(year, tenant_id)}{extraction}/{tarball(noun, year, tenant_id)}{ending}"


def tenant_folder(year: int | str, tenant_id: Key) -> str:
    """Return the prefix in the store of a tenant's archives of a year: `2013/13/`."""
    return f"{year}/{path_part(tenant_id)}/"


def file_name(location: str) -> str:
    """Return the last part of an address in the store: `2013_school_13.tar.gz`."""
    return location.rsplit("/", 1)[-1]


def month_key(month: str, shard: str, extraction: str) -> str:
    """Return the key of a shard's month: `activity/2014-09/shard_1/20141105T031500-1f3a/2014-09_shard_1.tar`."""
    return f"activity/{month}/{shard}/{extraction}/{month}_{shard}.tar"


def is_archive(key: str) -> bool:
    """True if a key of the store has the form of `object_key`, `month_key` or `purge_key`: no schema or journal."""
    return re.fullmatch(r"(\d+/[^/]+|purges/\d+/\d+|activity/[^/]+/[^/]+)/[^/]+/[^/]+", key) is not None


def purge_key(year: int, purge: int, extraction: str, *, encrypted: bool) -> str:
    """Return the key of a purge of legacy users, apart from tenants': `purges/2013/7/…/2013_purge_7.tar.gz`."""
    return f"purges/{object_key('purge', year, purge, extraction, encrypted=encrypted)}"


def schema_key(fingerprint: str) -> str:
    """Return the store's key of a schema: `schemas/144f436b….json`."""
    return f"{SCHEMAS}{fingerprint}.json"


def member(table: TableName) -> str:
    """Return the name of the member that holds a table's rows: `master/schools.copy`."""
    return f"{table.database}/{table.table}.copy"


def table_of(name: str) -> TableName:
    """Return the table of a member's rows."""
    return TableName(*name.removesuffix(".copy").split("/"))


def with_digests(manifest: Manifest) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest with its texts' digests, and all members that are not rows, by name."""
    schemas = tuple(manifest.schemas.items())
    texts = {
        README: _readme(manifest).encode(),
        SCHEMA_SQL: schema_sql(schemas).encode(),
        RESTORE_SQL: restore_sql(schemas).encode(),
    }
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    manifest = replace(manifest, texts=digests)
    return manifest, {**texts, MANIFEST: manifest.to_json()}


Schemas = tuple[tuple[str, Schema], ...]  # by database


@lru_cache(maxsize=4)  # the same for all archives of one shape
def schema_sql(schemas: Schemas) -> str:
    """Return a psql script that creates empty tables."""
    return _script(
        "Creates the tables, empty, as they were when these rows were extracted.",
        ((database, (f"{line};" for line in ddl(schema))) for database, schema in schemas),
    )


@lru_cache(maxsize=4)
def restore_sql(schemas: Schemas) -> str:
    """Return a psql script that loads the missing rows; rows referenced by foreign keys are loaded first."""
    parts = (
        (database, (line for group in load_order(schema) for line in _load(database, schema, group)))
        for database, schema in schemas
    )
    return _script("Loads the rows that are missing. Run it in the folder where the archive was unpacked.", parts)


def _load(database: str, schema: Schema, group: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines for one group. Tables in a foreign-key cycle take one statement: keys are checked at its end."""
    inserts = []
    for number, name in enumerate(group):
        table, target = schema.tables[name], f"{NAMESPACE}.{quoted(name)}"
        columns = ", ".join(quoted(column.name) for column in table.copied)
        source = f"({columns}) FROM '{member(TableName(database, name))}'"
        if not table.primary_key and any(column.type in UNCOMPARABLE for column in table.columns):
            yield f"\\copy {target} {source}"
            return
        yield f"CREATE TEMP TABLE stage_{number} AS SELECT {columns} FROM {target} WITH NO DATA;"
        yield f"\\copy pg_temp.stage_{number} {source}"
        inserts.append(_insert(target, columns, table, f"pg_temp.stage_{number}"))
    before = ", ".join(f"part_{number} AS ({text} RETURNING 1)" for number, text in enumerate(inserts[:-1]))
    yield f"{f'WITH {before} ' if before else ''}{inserts[-1]};"
    yield f"DROP TABLE {', '.join(f'pg_temp.stage_{number}' for number in range(len(group)))};"


def _insert(target: str, columns: str, table: Table, source: str) -> str:
    insert = f"INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {source}"
    if table.primary_key:
        return f"{insert} ON CONFLICT ({', '.join(map(quoted, table.primary_key))}) DO NOTHING"
    return f"{insert} EXCEPT ALL SELECT {columns} FROM {target}"


def _script(purpose: str, parts: Iterable[tuple[str, Iterable[str]]]) -> str:
    lines = [
        f"-- {purpose}",
        "-- psql -v ON_ERROR_STOP=1 -v database=master (or shard); without -v database: both, into one database.",
        "\\if :{?database} \\else \\set database both \\endif",
        script(SETTINGS),
        "BEGIN;",
    ]
    for database, statements in parts:
        lines += [
            f"SELECT :'database' IN ('{database}', 'both') AS wanted \\gset",
            "\\if :wanted",
            *statements,
            "\\endif",
        ]
    return "\n".join([*lines, "COMMIT;", ""])


def _readme(manifest: Manifest) -> str:
    rows = "\n".join(f"  {count.rows:>9}  {path}" for path, count in sorted(manifest.members.items()))
    back = "\n".join(
        f"  psql -d {name.upper():<6} -v ON_ERROR_STOP=1 -v database={name:<6} -f restore.sql"
        for name in sorted(manifest.schemas, reverse=True)
    )
    apart = f" and {manifest.shard} (here: shard)" if len(manifest.schemas) > 1 else ""
    return f"""{_title(manifest)}

To open this archive you need only tar and PostgreSQL's psql (server {manifest.server_versions}).

  tar xzf {tarball_of(manifest)}                        into an empty folder; then, in that folder:
  sha256sum …                           each .copy file's SHA-256 is in manifest.json

To inspect it in a new database:

  createdb look
  psql -d look -v ON_ERROR_STOP=1 -f schema.sql -f restore.sql

To restore it where the tables exist, in this order; rows that already exist stay unchanged:

{back}

The rows came from master{apart}. Each .copy file is COPY text format, UTF-8,
timestamps in UTC, with the columns named in restore.sql; generated columns are omitted. A row that was shared with
another {manifest.noun} is in the archives of both.

     rows  member
{rows}
"""


def _title(manifest: Manifest) -> str:
    noun, key = manifest.noun, manifest.tenant_id
    if manifest.month is None:
        return f"{noun.capitalize()} {key}, year {manifest.year}: all its rows."
    owner = f"{noun.capitalize()} {key}" if key != 0 else f"Rows of no {noun}"
    return f"{owner}: activity that ended by the end of {manifest.month}, archived while the {noun} stayed live."
