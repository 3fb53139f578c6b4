"""Whether an archive fits today's databases, and by which mapping its rows come back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.manifest import Manifest
from archiver.load.staging import misfits
from archiver.mapping.schema_mapping import LiveSchema, SchemaMapping, TableMapping, compare
from archiver.postgres.databases import Placement
from archiver.postgres.schema import NAMESPACE, Schema
from archiver.postgres.session import SQL, Session
from errors import Problems, RefusedError
from inventory.migrations import Changes, Migration, chain

Mappings = Mapping[str, SchemaMapping]  # by database
SHOWN = 12  # digits of a fingerprint that a person needs


def fitting(placement: Placement, archive: Archive, last: Changes | None = None) -> Mappings:
    """The mapping of each database, by the migrations and by `last`, a person's own for this archive.

    Raises Problems with everything that forbids it, RefusedError where ids would be given out twice.
    """
    manifest = archive.manifest
    mappings = mapped(placement, manifest, last)
    refuse(manifest, problems_of(mappings) or rows_that_do_not_fit(placement, mappings, archive))
    for refusal in sequences_too_low(placement, mappings, manifest):
        raise refusal
    return mappings


def mapped(placement: Placement, manifest: Manifest, last: Changes | None = None) -> Mappings:
    """The mapping of each database, whatever its problems."""
    filled = {name for name, member in manifest.members.items() if member.rows}
    return {
        database: compare(
            database,
            archived,
            today(placement.sessions[database], placement.schemas[database]),
            migrations_between(placement.migrations, database, archived, placement.schemas[database], last),
            [table for table in archived.tables if layout.member(TableName(database, table)) in filled],
        )
        for database, archived in manifest.schemas.items()
    }


def migrations_between(
    migrations: Iterable[Migration], database: str, archived: Schema, live: Schema, last: Changes | None = None
) -> tuple[Changes, ...]:
    """The migrations between an archived database and a live one, then a person's own."""
    found = () if archived == live else chain(migrations, database, archived.fingerprint, live.fingerprint)
    return (*found, last) if last is not None and last.database == database else found


def today(session: Session, schema: Schema) -> LiveSchema:
    """A live database as rows come into it."""
    rows = session.rows(_DEFAULTS, (NAMESPACE,), doing="reading the defaults")
    return LiveSchema(schema=schema, defaults=frozenset((row[0], row[1]) for row in rows))


def problems_of(mappings: Mappings) -> list[str]:
    """What the schemas alone forbid."""
    return [problem for mapping in mappings.values() for problem in mapping.problems]


def rows_that_do_not_fit(placement: Placement, mappings: Mappings, archive: Archive) -> list[str]:
    """What the rows forbid: they are looked at in transactions that are rolled back."""
    found: list[str] = []
    for database, mapping in mappings.items():
        session, doubtful = placement.sessions[database], [table for table in mapping.tables if table.doubts]
        for table in doubtful:
            with session.rolled_back():
                found += misfits(session, table, archive)
    return found


def refuse(manifest: Manifest, problems: Iterable[str]) -> None:
    """Raises Problems where there are any, with the migrations in which an answer belongs."""
    told = list(problems)
    if told:
        noun, tenant_id = manifest.noun, manifest.tenant_id
        begin = ", or ".join(
            f"database: {database}, before: {schema.fingerprint[:SHOWN]}"
            for database, schema in manifest.schemas.items()
        )
        raise Problems(
            f"The archive of {noun} {tenant_id} does not fit today's tables; nothing was changed:",
            told,
            hint=f"Say it in inventory/migrations/*.yaml ({begin}); inv restore.plan {tenant_id} shows all of it.",
        )


def sequences_too_low(placement: Placement, mappings: Mappings, manifest: Manifest) -> Iterator[RefusedError]:
    """Each sequence that would give an archived id out a second time, under its name of today."""
    for database, mapping in mappings.items():
        for sequence, highest in _numbered(mapping.tables, manifest):
            query = SQL("SELECT last_value FROM {}").format(SQL(sequence))
            last = placement.sessions[database].row(query, doing=f"reading {sequence}")[0]
            if last < highest:
                stands = f"The sequence {sequence} stands at {last}, below the archived id {highest}"
                yield RefusedError(
                    f"{stands}: it would give ids out twice.", hint=f"SELECT setval('{sequence}', {highest});"
                )


def _numbered(tables: Iterable[TableMapping], manifest: Manifest) -> Iterator[tuple[str, int]]:
    """What numbers today a column that came, and the highest number that did."""
    for table in tables:
        for column in table.shape.columns:
            highest = manifest.highest.get(f"{table.source}.{table.origins[column.name]}")
            if column.sequence is not None and highest is not None:
                yield column.sequence, highest


_DEFAULTS = """
SELECT c.relname, a.attname
  FROM pg_catalog.pg_attrdef d
  JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
 WHERE n.nspname = %s AND a.attgenerated = ''
"""
