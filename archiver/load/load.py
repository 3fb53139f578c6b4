"""Archived rows into tables: straight in, or beside live rows by comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from archiver.catalog.model import Link, Model, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.fit import Mappings
from archiver.load.staged import Staged
from archiver.load.staging import copies, differing, missing, stage_rows
from archiver.mapping.schema_mapping import WHOLE, TableMapping
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema, Table, column_list, identifier, load_order
from archiver.postgres.session import SQL, Identifier, Literal, Session
from archiver.records.retained_rows import RetainedRow, digest, key_text
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What happened to a table's archived rows on their way back."""

    inserted: int = 0
    already_live: int = 0  # already live and equal
    replaced: int = 0  # live as an older archive held it: the newer copy took its place
    differing: int = 0  # already live with other content: the live row stayed
    # Archived column that today's table lacks, or `*` for whole rows: in how many rows something was lost.
    lost: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Loaded) -> Loaded:
        """Of both together."""
        return Loaded(
            inserted=self.inserted + other.inserted,
            already_live=self.already_live + other.already_live,
            replaced=self.replaced + other.replaced,
            differing=self.differing + other.differing,
            lost=Counter(self.lost) + Counter(other.lost),
        )


@dataclass(frozen=True, kw_only=True)
class LiveNeighbors:
    """What is known of live rows beside which an archive is loaded."""

    retained: Collection[str]  # archived tables of which the deletion left rows live
    # Which of these came unchanged out of an older archive.
    older: Callable[[Collection[RetainedRow]], Collection[RetainedRow]] = lambda rows: ()
    # Told what a migration made of an archived table's rows.
    mapped: Callable[[TableName, Collection[RetainedRow]], object] = lambda table, rows: None
    everywhere: bool = False  # rows of any table may be live


@dataclass(frozen=True, kw_only=True)
class IncomingArchive:
    """An archive on its way into its databases."""

    placement: Placement
    model: Model
    archive: Archive
    mappings: Mappings


def load(session: Session, shape: Table, source: TableName, target: str, archive: Archive) -> int:
    """Streams a member into a table that has its columns; how many rows."""
    columns = SQL("{} ({})").format(identifier(target), column_list(shape))
    return session.copy_in(columns, archive.open(layout.member(source)), doing=f"loading {source}")


def load_database(incoming: IncomingArchive, database: str, live: LiveNeighbors) -> dict[str, Loaded]:
    """Loads all tables of one database, what a foreign key names before what names it; in the caller's transaction."""
    placement, mapping = incoming.placement, incoming.mappings[database]
    session, shared = placement.sessions[database], sharable(incoming.model, placement.schemas)
    loaded = lost_tables(incoming, database)
    for group in load_order(placement.schemas[database]):
        tables = [mapping.by_target[name] for name in group if name in mapping.by_target]
        if len(tables) > 1 or any(_beside_live(table, shared, live) for table in tables):
            loaded |= _beside(session, incoming, tables, live)
        elif tables:
            loaded[str(tables[0].target)] = _straight(session, tables[0], incoming.archive)
    return loaded


def lost_tables(incoming: IncomingArchive, database: str) -> dict[str, Loaded]:
    """The archived tables of which no row comes back, because a migration says so."""
    lost = incoming.mappings[database].lost
    return {str(table): Loaded(lost={WHOLE: _rows(incoming.archive, table)}) for table in lost}


def _beside_live(table: TableMapping, shared: Collection[TableName], live: LiveNeighbors) -> bool:
    """Whether the rows must be compared with live ones, or change on their way."""
    return live.everywhere or not table.plain or table.target in shared or str(table.source) in live.retained


def sharable(model: Model, schemas: Mapping[str, Schema]) -> set[TableName]:
    """The tables of which another tenant may have a row too: found in more than one way, or below such a table."""
    found: set[TableName] = set()
    for table in model.tables:
        links = model.found_by(table)
        if len(links) > 1 or any(_many(schemas, link, found) for link in links):
            found.add(table)
    return found


def _many(schemas: Mapping[str, Schema], link: Link, shared: set[TableName]) -> bool:
    """Whether several parents may lead to one row."""
    parent = schemas[link.parent.database].tables[link.parent.table]
    return link.parent in shared or parent.primary_key != link.parent_columns


def _straight(session: Session, table: TableMapping, archive: Archive) -> Loaded:
    rows = load(session, table.archived, table.source, table.target.table, archive)
    _all_came(table.target, rows, _rows(archive, table.source))
    return Loaded(inserted=rows)


def _beside(
    session: Session, incoming: IncomingArchive, tables: Sequence[TableMapping], live: LiveNeighbors
) -> dict[str, Loaded]:
    """Loads tables beside their live rows: missing rows are inserted, live ones are compared.

    A live row with other content stays, unless it came unchanged out of an older archive.
    """
    staged = [stage_rows(session, table, incoming.model, incoming.archive) for table in tables]
    for one in staged:
        _keep(session, one)
    differ = [differing(session, one) for one in staged]
    replaced = [
        _replace(session, one, live.older(rows)) if rows else 0 for one, rows in zip(staged, differ, strict=True)
    ]
    inserted = _insert(session, staged)
    for one, table in zip(staged, tables, strict=True):
        if not table.plain and str(table.source) in live.retained:
            live.mapped(table.source, copies(session, one))
    session.execute(SQL("DROP TABLE {}").format(SQL(", ").join(one.relation for one in staged)))
    return {
        str(one.table): Loaded(
            inserted=came,
            already_live=one.rows - came - len(rows),
            replaced=new,
            differing=len(rows) - new,
            lost=one.lost,
        )
        for one, came, rows, new in zip(staged, inserted, differ, replaced, strict=True)
    }


def _insert(session: Session, staged: Sequence[Staged]) -> list[int]:
    """Inserts what is missing, in one statement: tables may name each other in a circle."""
    tables, insert = ", ".join(str(one.table) for one in staged), SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE {}")
    wanted = [missing(session, one) for one in staged]
    inserts = [insert.format(one.live, column_list(one.shape), one.missing) for one in staged]
    inserted = session.counts(inserts, doing=f"loading {tables}")
    for one, came, all_of_them in zip(staged, inserted, wanted, strict=True):
        _all_came(one.table, came, all_of_them)
    return inserted


def _rows(archive: Archive, table: TableName) -> int:
    return archive.manifest.members[layout.member(table)].rows


def _all_came(table: TableName, inserted: int, wanted: int) -> None:
    """A trigger may swallow a row without a word."""
    if inserted != wanted:
        raise RefusedError(f"Loading {table} refused: {inserted} of {wanted} rows came. Does a trigger take them away?")


def _keep(session: Session, one: Staged) -> None:
    """Waits for whoever is deleting one of these live rows, and lets nobody begin to."""
    session.rows(one.lock_query, doing=f"looking at the live rows of {one.table}")


def _replace(session: Session, one: Staged, older: Collection[RetainedRow]) -> int:
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
        place=one.relation,
        keys=Literal([row.key for row in older]),
        digests=Literal([row.digest for row in older]),
        match=one.match,
        key=key_text(one.shape, "l"),
        digest=digest(one.shape, "l"),
    )
    return session.execute(query, doing=f"replacing older copies in {one.table}")
