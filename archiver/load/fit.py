"""Check that an archive fits today's databases, and map its rows onto them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.manifest import Manifest
from archiver.load.sequences import archived_numbers, too_low
from archiver.load.staging import misfits
from archiver.mapping.schema_mapping import LiveSchema, SchemaMapping, compare
from archiver.postgres.databases import Placement
from archiver.postgres.schema import NAMESPACE, Schema
from archiver.postgres.session import Session
from errors import Problems, RefusedError
from inventory.keys import typed
from inventory.migrations import Changes, Migration, chain

Mappings = Mapping[str, SchemaMapping]  # by database
SHOWN = 12  # digits that tell fingerprints apart


def fitting(placement: Placement, archive: Archive, last: Changes | None = None) -> Mappings:
    """Return the mapping of each database, by the migrations and then by `last`, the operator's own for this archive.

    Raises Problems with everything that prevents it, RefusedError if a sequence would give out archived ids again.
    """
    manifest = archive.manifest
    mappings = mapped(placement, manifest, last)
    refuse(manifest, problems_of(mappings) or rows_that_do_not_fit(placement, mappings, archive))
    for refusal in sequences_too_low(placement, mappings, manifest):
        raise refusal
    return mappings


def mapped(placement: Placement, manifest: Manifest, last: Changes | None = None) -> Mappings:
    """Return the mapping of each database, with its problems."""
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
    """Return the migrations between an archived and a live database, then the operator's own."""
    migrations_found = chain(migrations, database, archived.fingerprint, live.fingerprint)
    return (*migrations_found, last) if last is not None and last.database == database else migrations_found


def today(session: Session, schema: Schema) -> LiveSchema:
    """Return a live database's schema and defaults."""
    rows = session.rows(_DEFAULTS, (NAMESPACE,), doing="reading the defaults")
    return LiveSchema(schema=schema, defaults=frozenset((row[0], row[1]) for row in rows))


def problems_of(mappings: Mappings) -> list[str]:
    """Return the problems that follow from the schemas alone."""
    return [problem for mapping in mappings.values() for problem in mapping.problems]


def rows_that_do_not_fit(placement: Placement, mappings: Mappings, archive: Archive) -> list[str]:
    """Return the problems with the rows, tried in transactions that are rolled back."""
    problems: list[str] = []
    for database, mapping in mappings.items():
        session, doubtful = placement.sessions[database], [table for table in mapping.tables if table.doubts]
        for table in doubtful:
            with session.rolled_back():
                problems += misfits(session, table, archive)
    return problems


def refuse(manifest: Manifest, problems: Iterable[str]) -> None:
    """Raise Problems if there are any, with the migrations that must answer them."""
    listed = list(problems)
    if listed:
        noun, tenant_id = manifest.noun, manifest.tenant_id
        preview = f"inv restore.plan {typed(tenant_id)}"
        begin = ", or ".join(
            f"database: {database}, before: {schema.fingerprint[:SHOWN]}"
            for database, schema in manifest.schemas.items()
        )
        raise Problems(
            f"The archive of {noun} {tenant_id} does not fit today's tables; nothing was changed:",
            listed,
            hint=f"Add it to inventory/migrations/*.yaml ({begin}); {preview} shows the full plan.",
        )


def sequences_too_low(placement: Placement, mappings: Mappings, manifest: Manifest) -> Iterator[RefusedError]:
    """Yield an error for each live sequence that would give out an id again that the manifest names."""
    for database, mapping in mappings.items():
        # Of a sequence that counts down it names the first id and not the last: the rows show that.
        yield from too_low(placement.sessions[database], archived_numbers(mapping, manifest.highest))


_DEFAULTS = """
SELECT c.relname, a.attname
  FROM pg_catalog.pg_attrdef d
  JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
 WHERE n.nspname = %s AND a.attgenerated = ''
"""
