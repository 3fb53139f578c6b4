"""Archived rows into tables: straight in, or beside live rows by comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from archiver import layout
from archiver.bundle import Archive
from archiver.catalog import Link, Model, TableName
from archiver.kept import Kept, digest, key_text
from archiver.postgres import SQL, Composable, Identifier, Literal, Session
from archiver.schema import Schema, Table, column_list, identifier, load_order, row_text
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What happened to a table's archived rows on their way back."""

    inserted: int = 0
    there: int = 0  # already live and equal
    replaced: int = 0  # live as an older archive held it: the newer copy took its place
    differing: int = 0  # already live with other content: the live row stayed


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """What is known of live rows beside which an archive is loaded."""

    kept: Collection[str]  # tables of which the deletion left rows live
    older: Callable[[Collection[Kept]], Collection[Kept]]  # which of these came unchanged out of an older archive
    everywhere: bool = False  # rows of any table may be live


def load(session: Session, schema: Schema, table: TableName, archive: Archive) -> int:
    """Streams a member into its table; how many rows."""
    target = SQL("{} ({})").format(identifier(table.table), column_list(schema.tables[table.table]))
    return session.copy_in(target, archive.open(layout.member(table)), doing=f"loading {table}")


def load_database(
    session: Session, database: str, model: Model, archive: Archive, live: Neighbours
) -> dict[str, Loaded]:
    """Loads all tables of one database, what a foreign key names before what names it; in the caller's transaction."""
    schema, sharable = archive.manifest.schemas[database], _sharable(model, archive)
    loaded: dict[str, Loaded] = {}
    for group in load_order(schema):
        tables = [TableName(database, name) for name in group]
        if live.everywhere or len(tables) > 1 or any(table in sharable or str(table) in live.kept for table in tables):
            loaded |= _beside(session, schema, model, tables, archive, live)
        else:
            rows = load(session, schema, tables[0], archive)
            _all_came(tables[0], rows, archive.manifest.members[layout.member(tables[0])].rows)
            loaded[str(tables[0])] = Loaded(inserted=rows)
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


@dataclass(frozen=True, kw_only=True)
class _Staged:
    """A table's archived rows beside the live ones."""

    table: TableName
    shape: Table
    place: Composable  # the temporary table they lie in
    rows: int
    match: Composable  # that a staged row `s` and a live row `l` have one key; never, where there is no key
    links: tuple[Link, ...]  # by which the table's rows are found

    @property
    def live(self) -> Composable:
        """The table itself."""
        return identifier(self.table.table)

    @property
    def missing(self) -> Composable:
        """The query for the rows that are not live."""
        return _missing_by_key(self) if self.shape.primary_key else _missing_copies(self)


def _beside(
    session: Session, schema: Schema, model: Model, tables: Sequence[TableName], archive: Archive, live: Neighbours
) -> dict[str, Loaded]:
    """Loads tables beside their live rows: missing rows are inserted, live ones are compared.

    A live row with other content stays, unless it came unchanged out of an older archive.
    """
    staged = [_stage(session, schema, model, table, archive) for table in tables]
    for one in staged:
        _keep(session, one)
    differing = [_differing(session, one) for one in staged]
    replaced = [
        _replace(session, one, live.older(rows)) if rows else 0 for one, rows in zip(staged, differing, strict=True)
    ]
    inserted = _insert(session, staged)
    session.execute(SQL("DROP TABLE {}").format(SQL(", ").join(one.place for one in staged)))
    return {
        str(one.table): Loaded(
            inserted=came, there=one.rows - came - len(rows), replaced=new, differing=len(rows) - new
        )
        for one, came, rows, new in zip(staged, inserted, differing, replaced, strict=True)
    }


def _stage(session: Session, schema: Schema, model: Model, table: TableName, archive: Archive) -> _Staged:
    shape, place = schema.tables[table.table], Identifier("pg_temp", f"stage {table.table}")
    columns = column_list(shape)
    session.execute(
        SQL(
            "DROP TABLE IF EXISTS {place}; CREATE TEMP TABLE {name} AS SELECT {columns} FROM {live} WITH NO DATA"
        ).format(place=place, name=Identifier(f"stage {table.table}"), columns=columns, live=identifier(table.table))
    )
    target = SQL("{} ({})").format(place, columns)
    rows = session.copy_in(target, archive.open(layout.member(table)), doing=f"loading {table}")
    match = _alike(shape.primary_key) if shape.primary_key else SQL("false")
    return _Staged(table=table, shape=shape, place=place, rows=rows, match=match, links=model.found_by(table))


def _insert(session: Session, staged: Sequence[_Staged]) -> list[int]:
    """Inserts what is missing, in one statement: tables may name each other in a circle."""
    tables = ", ".join(str(one.table) for one in staged)
    count, insert = SQL("SELECT count(*) FROM ({}) missing"), SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE {}")
    wanted = [session.row(count.format(one.missing), doing=f"comparing {one.table}")[0] for one in staged]
    inserts = [insert.format(one.live, column_list(one.shape), one.missing) for one in staged]
    inserted = session.counts(inserts, doing=f"loading {tables}")
    for one, came, all_of_them in zip(staged, inserted, wanted, strict=True):
        _all_came(one.table, came, all_of_them)
    return inserted


def _all_came(table: TableName, inserted: int, wanted: int) -> None:
    """A trigger may swallow a row without a word."""
    if inserted != wanted:
        raise RefusedError(f"Loading {table} refused: {inserted} of {wanted} rows came. Does a trigger take them away?")


def _keep(session: Session, one: _Staged) -> None:
    """Waits for whoever is deleting one of these live rows, and lets nobody begin to."""
    if not one.shape.primary_key:
        return
    query = SQL("SELECT 1 FROM {} l JOIN {} s ON {} ORDER BY {} FOR KEY SHARE OF l").format(
        one.live, one.place, one.match, SQL(", ").join(Identifier("l", key) for key in one.shape.primary_key)
    )
    session.rows(query, doing=f"looking at the live rows of {one.table}")


def _alike(columns: Iterable[str]) -> Composable:
    """That a live row and a staged one hold the same in these columns."""
    return SQL(" AND ").join(SQL("l.{0} = s.{0}").format(Identifier(name)) for name in columns)


def _differing(session: Session, one: _Staged) -> list[Kept]:
    """The live rows that say something else than their copies in the archive."""
    if not one.shape.primary_key:
        return []
    query = SQL("SELECT {}, {} FROM {} s JOIN {} l ON {} WHERE {} <> {}").format(
        key_text(one.shape, "l"),
        digest(one.shape, "l"),
        one.place,
        one.live,
        one.match,
        _whole(one.shape, "s"),
        _whole(one.shape, "l"),
    )
    rows = session.rows(query, doing=f"comparing {one.table}")
    return [Kept(table=str(one.table), key=key, digest=text) for key, text in rows]


def _replace(session: Session, one: _Staged, older: Collection[Kept]) -> int:
    """Puts the archive's copies in the place of these live rows, where they still are as they were seen."""
    fixed = one.shape.primary_key
    columns = [column.name for column in one.shape.copied if column.name not in fixed and not column.identity]
    if not older or not columns:
        return 0
    query = SQL(
        "UPDATE {live} l SET {values} FROM {place} s, unnest({keys}::text[], {digests}::text[]) o (key, digest)"
        " WHERE {match} AND {key} = o.key AND {digest} = o.digest"
    ).format(
        live=one.live,
        values=SQL(", ").join(SQL("{0} = s.{0}").format(Identifier(name)) for name in columns),
        place=one.place,
        keys=Literal([row.key for row in older]),
        digests=Literal([row.digest for row in older]),
        match=one.match,
        key=key_text(one.shape, "l"),
        digest=digest(one.shape, "l"),
    )
    return session.execute(query, doing=f"replacing older copies in {one.table}")


def _missing_by_key(one: _Staged) -> Composable:
    query = SQL("SELECT {} FROM {} s WHERE NOT EXISTS (SELECT 1 FROM {} l WHERE {})")
    return query.format(column_list(one.shape), one.place, one.live, one.match)


def _missing_copies(one: _Staged) -> Composable:
    """Of rows without a key, as many copies as are missing: the table is a multiset of whole rows."""
    return SQL(
        "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {whole_s}) AS copy FROM {place} s) s"
        " WHERE copy > (SELECT count(*) FROM {live} l WHERE ({near}) AND {whole_l} = {whole_s})"
    ).format(
        columns=column_list(one.shape),
        whole_s=_whole(one.shape, "s"),
        whole_l=_whole(one.shape, "l"),
        place=one.place,
        live=one.live,
        near=SQL(" OR ").join(SQL("({})").format(_alike(link.columns)) for link in one.links),
    )


def _whole(shape: Table, alias: str) -> Composable:
    return row_text((column.name for column in shape.copied), alias)
