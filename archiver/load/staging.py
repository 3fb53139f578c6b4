"""Brings archived rows into temporary tables of today's shape, and looks how they meet the live ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archiver.catalog.model import Model
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.staged import Staged
from archiver.mapping.migrate import ARCHIVED
from archiver.mapping.schema_mapping import TableMapping
from archiver.postgres.schema import column_list, identifier
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier, Session
from archiver.records.retained_rows import RetainedRow
from errors import UsageError

_WORDS = ("22", "23", "42")  # SQLSTATE classes of what an expression in a migration can do wrong


def stage_rows(session: Session, mapping: TableMapping, model: Model, archive: Archive) -> Staged:
    """Brings an archived table into a temporary one of today's shape, for as long as the session lives."""
    table, name = mapping.target, f"stage {mapping.target.table}"
    place = Identifier("pg_temp", name)
    session.execute(SQL("DROP TABLE IF EXISTS {}").format(place))
    bring = _as_it_is if mapping.plain else _by_migration
    rows, lost = bring(session, mapping, archive, name)
    return Staged(table=table, shape=mapping.shape, relation=place, rows=rows, links=model.found_by(table), lost=lost)


def misfits(session: Session, mapping: TableMapping, archive: Archive) -> list[str]:
    """What the rows of an archived table say to the doubts about it: each way in which some do not fit."""
    with _in_the_words_of_a_migration(mapping):
        _copy_in_as_text(session, mapping, archive)
        for doubt in mapping.doubts:
            if doubt.function is not None:
                session.execute(doubt.function)
        counts = (SQL("count(*) FILTER (WHERE {})").format(doubt.misfit) for doubt in mapping.doubts)
        query = SQL("SELECT {} FROM ({}) r").format(SQL(", ").join(counts), mapping.rows)
        found = session.row(query, doing=f"looking at the rows of {mapping.source}")
    return [doubt.sentence(rows) for doubt, rows in zip(mapping.doubts, found, strict=True) if rows]


def differing(session: Session, one: Staged) -> list[RetainedRow]:
    """The live rows that say something else than their copies in the archive."""
    return _noted(session, one, one.differing)


def copies(session: Session, one: Staged) -> list[RetainedRow]:
    """The archive's copies, as a live row would say the same today."""
    return _noted(session, one, one.copies)


def _noted(session: Session, one: Staged, query: Composable) -> list[RetainedRow]:
    rows = session.rows(query, doing=f"comparing {one.table}") if one.shape.primary_key else []
    return [RetainedRow(table=str(one.table), key=key, digest=text) for key, text in rows]


def missing(session: Session, one: Staged) -> int:
    """How many rows are not live."""
    query = SQL("SELECT count(*) FROM ({}) missing").format(one.missing)
    return int(session.row(query, doing=f"comparing {one.table}")[0])


def _as_it_is(session: Session, mapping: TableMapping, archive: Archive, name: str) -> tuple[int, dict[str, int]]:
    columns = column_list(mapping.archived)
    session.execute(
        SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
            Identifier(name), columns, identifier(mapping.target.table)
        )
    )
    target = SQL("{} ({})").format(Identifier("pg_temp", name), columns)
    return _copy_in(session, target, mapping, archive), {}


def _by_migration(session: Session, mapping: TableMapping, archive: Archive, name: str) -> tuple[int, dict[str, int]]:
    with _in_the_words_of_a_migration(mapping):
        rows = _copy_in_as_text(session, mapping, archive)
        values = (SQL("{} AS {}").format(value, Identifier(column)) for column, value in mapping.values.items())
        session.execute(
            SQL("CREATE TEMP TABLE {} AS SELECT {} FROM ({}) r").format(
                Identifier(name), SQL(", ").join(values), mapping.rows
            ),
            doing=f"mapping {mapping.source}",
        )
    held = session.row(
        SQL("SELECT {} FROM {}").format(
            SQL(", ").join([SQL("count(*)"), *(SQL("count({})").format(Identifier(name)) for name in mapping.lost)]),
            ARCHIVED,
        )
    )
    session.execute(SQL("DROP TABLE {}").format(ARCHIVED))
    return rows, {name: count for name, count in zip(mapping.lost, held[1:], strict=True) if count}


def _copy_in_as_text(session: Session, mapping: TableMapping, archive: Archive) -> int:
    columns = SQL(", ").join(SQL("{} text").format(Identifier(column.name)) for column in mapping.archived.copied)
    session.execute(
        SQL("DROP TABLE IF EXISTS {}; CREATE TEMP TABLE archived ({})").format(ARCHIVED, columns),
        doing=f"making room for {mapping.source}",
    )
    return _copy_in(session, SQL("{} ({})").format(ARCHIVED, column_list(mapping.archived)), mapping, archive)


def _copy_in(session: Session, target: Composable, mapping: TableMapping, archive: Archive) -> int:
    return session.copy_in(target, archive.open(layout.member(mapping.source)), doing=f"loading {mapping.target}")


@contextmanager
def _in_the_words_of_a_migration(mapping: TableMapping) -> Iterator[None]:
    """An expression that a person wrote may be none, or may not take these rows."""
    try:
        yield
    except DatabaseError as error:
        if error.code[:2] not in _WORDS:
            raise
        raise UsageError(
            f"What the migrations make of {mapping.source} fails. {error}",
            hint=f"Correct their expressions for tables/{mapping.target.table}.",
        ) from error
