"""Archived rows into tables: straight in, or beside live rows by comparison."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from archiver import layout
from archiver.bundle import Archive
from archiver.catalog import Link, Model, TableName
from archiver.postgres import SQL, Composable, Identifier, Session
from archiver.schema import Schema, Table, column_list, identifier, load_order
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What happened to a table's archived rows on their way back."""

    inserted: int = 0
    there: int = 0  # already live and equal
    differing: int = 0  # already live with other content: the live row stayed


def load(session: Session, schema: Schema, table: TableName, archive: Archive) -> int:
    """Streams a member into its table; how many rows."""
    target = SQL("{} ({})").format(identifier(table.table), column_list(schema.tables[table.table]))
    return session.copy_in(target, archive.open(layout.member(table)), doing=f"loading {table}")


def load_database(
    session: Session, database: str, model: Model, archive: Archive, kept: Collection[str]
) -> dict[str, Loaded]:
    """Loads all tables of one database, what a foreign key names before what names it; in the caller's transaction.

    `kept` are tables of which the deletion left rows live.
    """
    schema, sharable = archive.manifest.schemas[database], _sharable(model, archive)
    loaded = {}
    for name in load_order(schema):
        table = TableName(database, name)
        if table in sharable or str(table) in kept:
            loaded[str(table)] = _beside(session, schema, model, table, archive)
        else:
            rows = load(session, schema, table, archive)
            _all_came(table, rows, archive.manifest.members[layout.member(table)].rows)
            loaded[str(table)] = Loaded(inserted=rows)
    return loaded


def _sharable(model: Model, archive: Archive) -> set[TableName]:
    """The tables of which another tenant may have a row too: found in more than one way, or below such a table."""
    sharable: set[TableName] = set()
    for table in model.tables:
        links = model.found_by(table)
        if len(links) > 1 or any(_many(archive, link, sharable) for link in links):
            sharable.add(table)
    return sharable


def _many(archive: Archive, link: Link, sharable: set[TableName]) -> bool:
    """Whether several parents may lead to one row."""
    parent = archive.manifest.schemas[link.parent.database].tables[link.parent.table]
    return link.parent in sharable or parent.primary_key != link.parent_columns


def _beside(session: Session, schema: Schema, model: Model, table: TableName, archive: Archive) -> Loaded:
    """Loads a table beside its live rows: missing rows are inserted, live ones stay and are compared."""
    shape, live = schema.tables[table.table], identifier(table.table)
    columns = column_list(shape)
    session.execute("DROP TABLE IF EXISTS pg_temp.stage")
    session.execute(SQL("CREATE TEMP TABLE stage AS SELECT {} FROM {} WITH NO DATA").format(columns, live))
    stage = SQL("pg_temp.stage ({})").format(columns)
    rows = session.copy_in(stage, archive.open(layout.member(table)), doing=f"loading {table}")
    match = _alike(shape.primary_key) if shape.primary_key else None
    if match:
        _keep(session, table, shape, match)
    differing = _differing(session, table, shape, match) if match else 0
    missing = _missing_by_key(shape, live, match) if match else _missing_copies(shape, live, model.found_by(table))
    wanted = session.row(SQL("SELECT count(*) FROM ({}) missing").format(missing), doing=f"comparing {table}")[0]
    inserted = session.execute(
        SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE {}").format(live, columns, missing), doing=f"loading {table}"
    )
    _all_came(table, inserted, wanted)
    session.execute("DROP TABLE pg_temp.stage")
    return Loaded(inserted=inserted, there=rows - inserted - differing, differing=differing)


def _all_came(table: TableName, inserted: int, wanted: int) -> None:
    """A trigger may swallow a row without a word."""
    if inserted != wanted:
        raise RefusedError(f"Loading {table} refused: {inserted} of {wanted} rows came. Does a trigger take them away?")


def _keep(session: Session, table: TableName, shape: Table, match: Composable) -> None:
    """Waits for whoever is deleting one of these live rows, and lets nobody begin to."""
    query = SQL("SELECT 1 FROM {} l JOIN pg_temp.stage s ON {} ORDER BY {} FOR KEY SHARE OF l").format(
        identifier(table.table), match, SQL(", ").join(SQL("l.{}").format(Identifier(key)) for key in shape.primary_key)
    )
    session.rows(query, doing=f"looking at the live rows of {table}")


def _alike(columns: Iterable[str]) -> Composable:
    """That a live row and a staged one hold the same in these columns."""
    return SQL(" AND ").join(SQL("l.{0} = s.{0}").format(Identifier(name)) for name in columns)


def _differing(session: Session, table: TableName, shape: Table, match: Composable) -> int:
    query = SQL("SELECT count(*) FROM pg_temp.stage s JOIN {} l ON {} WHERE {} <> {}").format(
        identifier(table.table), match, _whole(shape, "s"), _whole(shape, "l")
    )
    return int(session.row(query, doing=f"comparing {table}")[0])


def _missing_by_key(shape: Table, live: Composable, match: Composable) -> Composable:
    query = SQL("SELECT {} FROM pg_temp.stage s WHERE NOT EXISTS (SELECT 1 FROM {} l WHERE {})")
    return query.format(column_list(shape), live, match)


def _missing_copies(shape: Table, live: Composable, links: tuple[Link, ...]) -> Composable:
    """Of rows without a key, as many copies as are missing: the table is a multiset of whole rows."""
    near = SQL(" OR ").join(SQL("({})").format(_alike(link.columns)) for link in links)
    return SQL(
        "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {whole_s}) AS copy FROM pg_temp.stage s) s"
        " WHERE copy > (SELECT count(*) FROM {live} l WHERE ({near}) AND {whole_l} = {whole_s})"
    ).format(columns=column_list(shape), whole_s=_whole(shape, "s"), whole_l=_whole(shape, "l"), live=live, near=near)


def _whole(shape: Table, alias: str) -> Composable:
    """A row as text, over the copied columns: what COPY would say of it."""
    columns = (SQL("{}.{}").format(SQL(alias), Identifier(column.name)) for column in shape.copied)
    return SQL("ROW({})::text").format(SQL(", ").join(columns))
