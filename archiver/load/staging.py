"""Stage archived rows in temporary tables of today's columns, and compare them with the live rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from archiver.catalog.model import Model
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.rows import Digest
from archiver.load.sent import send
from archiver.load.staged import Staged
from archiver.mapping.migrate import ARCHIVED
from archiver.mapping.schema_mapping import TableMapping
from archiver.postgres.schema import column_list, identifier
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier, Session
from archiver.records.retained_rows import RetainedRow
from errors import RefusedError, UsageError

_EXPRESSION_ERRORS = ("22", "23", "42")  # SQLSTATE classes of errors in a migration's expression


def stage_rows(
    session: Session, tables: Iterable[TableMapping], model: Model, archive: Archive, first: int = 0
) -> dict[str, Staged]:
    """Copy archived tables into temporary ones of today's columns, until the transaction ends. Return them by table.

    Each has a number in its name, from `first` on: PostgreSQL cuts long names, and two that begin alike would be one.
    Raises RefusedError if the server reads a member's text as something else.
    """
    return {
        mapping.target.table: _staged(session, mapping, model, archive, f"stage {number}")
        for number, mapping in enumerate(tables, first)
    }


def _staged(session: Session, mapping: TableMapping, model: Model, archive: Archive, name: str) -> Staged:
    """Copy an archived table into a temporary one of this name."""
    copy = _unchanged if mapping.plain else _migrated
    rows, lost = copy(session, mapping, archive, name)
    return Staged(
        table=mapping.target,
        shape=mapping.shape,
        relation=Identifier("pg_temp", name),
        rows=rows,
        links=model.found_by(mapping.target),
        lost=lost,
    )


def misfits(session: Session, mapping: TableMapping, archive: Archive) -> list[str]:
    """Return the checks of an archived table that some of its rows fail, as text."""
    with _blaming_the_migration(mapping):
        _copy_in_as_text(session, mapping, archive)
        for doubt in mapping.doubts:
            if doubt.function is not None:
                session.execute(doubt.function)
        counts = (SQL("count(*) FILTER (WHERE {})").format(doubt.misfit) for doubt in mapping.doubts)
        query = SQL("SELECT {} FROM ({}) r").format(SQL(", ").join(counts), mapping.rows)
        counts_found = session.row(query, doing=f"checking the rows of {mapping.source}")
    return [doubt.sentence(rows) for doubt, rows in zip(mapping.doubts, counts_found, strict=True) if rows]


def differing(session: Session, staged: Staged) -> list[RetainedRow]:
    """Return the live rows whose archived copies have other content."""
    return _retained(session, staged, staged.differing)


def copies(session: Session, staged: Staged) -> list[RetainedRow]:
    """Return the archive's copies as live rows would be today."""
    return _retained(session, staged, staged.copies)


def _retained(session: Session, staged: Staged, query: Composable) -> list[RetainedRow]:
    """Return key and digest of the query's rows; none of a table without key."""
    rows = session.rows(query, doing=f"comparing {staged.table}") if staged.shape.primary_key else []
    return [RetainedRow(table=str(staged.table), key=key, digest=text) for key, text in rows]


def missing(session: Session, staged: Staged) -> int:
    """Return the number of archived rows that are not live."""
    query = SQL("SELECT count(*) FROM ({}) missing").format(staged.missing)
    return int(session.row(query, doing=f"comparing {staged.table}")[0])


def _unchanged(session: Session, mapping: TableMapping, archive: Archive, name: str) -> tuple[int, dict[str, int]]:
    """Stage a table whose columns are as archived, and read it back. Return the number of rows, and nothing lost."""
    columns, relation = column_list(mapping.archived), Identifier("pg_temp", name)
    session.execute(
        SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            Identifier(name), columns, identifier(mapping.target.table)
        )
    )
    rows = _copy_in(session, SQL("{} ({})").format(relation, columns), mapping, archive)
    digest, doing = Digest(), f"reading {mapping.target} back"
    query = SQL("SELECT {} FROM {}").format(columns, relation)
    if (
        digest.finish(session.copy_out(query, digest, doing=doing))
        != archive.manifest.members[layout.member(mapping.source)]
    ):
        raise RefusedError(
            f"Loading {mapping.target} on {session.where} refused: the server reads values of the archive as others.",
            hint="Was the archive written by another version of PostgreSQL? inv archive.show names it.",
        )
    return rows, {}


def _migrated(session: Session, mapping: TableMapping, archive: Archive, name: str) -> tuple[int, dict[str, int]]:
    """Stage a table through a mapping. Return the number of rows, and of lost values by column."""
    with _blaming_the_migration(mapping):
        rows = _copy_in_as_text(session, mapping, archive)
        values = (SQL("{} AS {}").format(value, Identifier(column)) for column, value in mapping.values.items())
        session.execute(
            SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM ({}) r").format(
                Identifier(name), SQL(", ").join(values), mapping.rows
            ),
            doing=f"mapping {mapping.source}",
        )
    counts = session.row(
        SQL("SELECT {} FROM {}").format(
            SQL(", ").join([SQL("count(*)"), *(SQL("count({})").format(Identifier(name)) for name in mapping.lost)]),
            ARCHIVED,
        )
    )
    session.execute(SQL("DROP TABLE {}").format(ARCHIVED))
    return rows, {name: count for name, count in zip(mapping.lost, counts[1:], strict=True) if count}


def _copy_in_as_text(session: Session, mapping: TableMapping, archive: Archive) -> int:
    """Copy an archived table into a temporary table of text columns."""
    columns = SQL(", ").join(SQL("{} text").format(Identifier(column.name)) for column in mapping.archived.copied)
    session.execute(
        SQL("DROP TABLE IF EXISTS {}; CREATE TEMP TABLE archived ({})").format(ARCHIVED, columns),
        doing=f"creating a temporary table for {mapping.source}",
    )
    return _copy_in(session, SQL("{} ({})").format(ARCHIVED, column_list(mapping.archived)), mapping, archive)


def _copy_in(session: Session, target: Composable, mapping: TableMapping, archive: Archive) -> int:
    """Copy a member into a table. Return the number of rows."""
    return send(session, target, archive, mapping.source, doing=f"loading {mapping.target}")


@contextmanager
def _blaming_the_migration(mapping: TableMapping) -> Iterator[None]:
    """Turn an error of a migration's expression into a UsageError: it may be invalid, or not fit these rows."""
    try:
        yield
    except DatabaseError as error:
        if error.code[:2] not in _EXPRESSION_ERRORS:
            raise
        raise UsageError(
            f"Applying the migrations to {mapping.source} failed. {error}",
            hint=f"Correct their expressions for tables/{mapping.target.table}.",
        ) from error
