"""Load archived rows into tables: directly, or next to live rows by comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from archiver.catalog.model import Link, Model, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.fit import Mappings
from archiver.load.proof import Proof
from archiver.load.staged import Staged
from archiver.load.staging import copies, differing, stage_rows
from archiver.mapping.schema_mapping import WHOLE, TableMapping
from archiver.postgres.account import Account
from archiver.postgres.counters import Changes
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema, column_list, load_order
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.postgres.triggers import product_names
from archiver.records.retained_rows import RetainedRow, digest, key_text
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The result of loading a table's archived rows."""

    inserted: int = 0
    there: int = 0  # live and equal; a persisted key, like the other fields
    replaced: int = 0  # live as in an older archive: replaced by the newer copy
    differing: int = 0  # live with other content: the live row stays
    # By archived column that today's table lacks, or `*` for complete rows: the number of rows that lost a value.
    lost: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Loaded) -> Loaded:
        """Return the sum of both."""
        return Loaded(
            inserted=self.inserted + other.inserted,
            there=self.there + other.there,
            replaced=self.replaced + other.replaced,
            differing=self.differing + other.differing,
            lost=Counter(self.lost) + Counter(other.lost),
        )


@dataclass(frozen=True, kw_only=True)
class LiveNeighbors:
    """The live rows next to which an archive is loaded."""

    retained: Collection[str]  # archived tables with rows that stayed live when the others were deleted
    # Returns those of these rows that come unchanged from an older archive.
    older: Callable[[Collection[RetainedRow]], Collection[RetainedRow]] = lambda rows: ()
    # Called with an archived table and its rows as migrations changed them.
    mapped: Callable[[TableName, Collection[RetainedRow]], object] = lambda table, rows: None
    everywhere: bool = False  # any table may have live rows of the tenant


@dataclass(frozen=True, kw_only=True)
class IncomingArchive:
    """An archive, its databases, and the mappings onto them."""

    placement: Placement
    model: Model
    archive: Archive
    mappings: Mappings


def load_database(incoming: IncomingArchive, database: str, live: LiveNeighbors, proof: Proof) -> dict[str, Loaded]:
    """Load all tables of one database in the caller's transaction, referenced tables first.

    What is sent is added to the proof, which the caller must prove before the COMMIT, and declared in its account.
    """
    placement, mapping = incoming.placement, incoming.mappings[database]
    shared = sharable(incoming.model, placement.schemas)
    loaded = lost_tables(incoming, database)
    for group in load_order(placement.schemas[database]):
        tables = [mapping.by_target[name] for name in group if name in mapping.by_target]
        staged = stage_rows(proof.session, tables, incoming.model, incoming.archive, proof.tables)
        if len(tables) > 1 or any(_must_be_compared(table, shared, live) for table in tables):
            loaded |= _load_next_to_live(proof, [*staged.values()], tables, live)
        elif tables:
            loaded |= _load_directly(proof, [*staged.values()])
        for table in tables:
            _declare(proof.account, table.target, loaded[str(table.target)])
    return loaded


def _declare(account: Account, table: TableName, loaded: Loaded) -> None:
    """Declare the rows of a table that were loaded."""
    account.declare(table.table, Changes(inserted=loaded.inserted, updated=loaded.replaced))


def lost_tables(incoming: IncomingArchive, database: str) -> dict[str, Loaded]:
    """Return the archived tables of which no row comes back, because a migration says so."""
    lost = incoming.mappings[database].lost
    return {str(table): Loaded(lost={WHOLE: _rows(incoming.archive, table)}) for table in lost}


def _must_be_compared(table: TableMapping, shared: Collection[TableName], live: LiveNeighbors) -> bool:
    """True if the rows must be compared with live ones, or are changed by a mapping."""
    return live.everywhere or not table.plain or table.target in shared or str(table.source) in live.retained


def sharable(model: Model, schemas: Mapping[str, Schema]) -> set[TableName]:
    """Return the tables of which another tenant may have a row too: found in several ways, or below such a table."""
    shared: set[TableName] = set()
    for table in model.tables:
        links = model.found_by(table)
        if len(links) > 1 or any(_has_many_parents(schemas, link, shared) for link in links):
            shared.add(table)
    return shared


def _has_many_parents(schemas: Mapping[str, Schema], link: Link, shared: set[TableName]) -> bool:
    """True if several parents may lead to one row."""
    parent = schemas[link.parent.database].tables[link.parent.table]
    return link.parent in shared or parent.primary_key != link.parent_columns


def _load_directly(proof: Proof, staged: Sequence[Staged]) -> dict[str, Loaded]:
    """Load tables of which no archived row can be live."""
    before = [proof.before(staged_table) for staged_table in staged]
    inserted = _insert(proof.session, staged, [staged_table.everything for staged_table in staged])
    for expected, rows in zip(before, inserted, strict=True):
        proof.expect(expected, rows)
    return {str(staged_table.table): Loaded(inserted=staged_table.rows) for staged_table in staged}


def _load_next_to_live(
    proof: Proof, staged: Sequence[Staged], tables: Sequence[TableMapping], live: LiveNeighbors
) -> dict[str, Loaded]:
    """Load tables next to their live rows: insert missing rows, compare live ones.

    A live row with other content stays, unless it comes unchanged from an older archive.
    """
    session = proof.session
    for staged_table in staged:
        _lock_live(session, staged_table)
    differ = [differing(session, staged_table) for staged_table in staged]
    older = [live.older(rows) if rows else () for rows in differ]
    replaced = [_replace(session, staged_table, rows) for staged_table, rows in zip(staged, older, strict=True)]
    before = [proof.before(staged_table) for staged_table in staged]
    inserted = _insert(session, staged, [staged_table.missing for staged_table in staged])
    for expected, new_rows, rows, from_older in zip(before, inserted, differ, older, strict=True):
        proof.expect(expected, new_rows, {row.key for row in rows} - {row.key for row in from_older})
    for staged_table, table in zip(staged, tables, strict=True):
        if not table.plain and str(table.source) in live.retained:
            live.mapped(table.source, copies(session, staged_table))
    return {
        str(staged_table.table): Loaded(
            inserted=new_rows,
            there=staged_table.rows - new_rows - len(rows),
            replaced=new,
            differing=len(rows) - new,
            lost=staged_table.lost,
        )
        for staged_table, new_rows, rows, new in zip(staged, inserted, differ, replaced, strict=True)
    }


def _insert(session: Session, staged: Sequence[Staged], rows: Sequence[Composable]) -> list[int]:
    """Insert the rows of these queries in one statement: tables may refer to each other in a cycle."""
    tables = ", ".join(str(staged_table.table) for staged_table in staged)
    counts = (SQL("(SELECT count(*) FROM ({}) r)").format(query) for query in rows)
    expected = session.row(SQL("SELECT {}").format(SQL(", ").join(counts)), doing=f"counting {tables}")
    inserts = [
        SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE {}").format(
            staged_table.live, column_list(staged_table.shape), query
        )
        for staged_table, query in zip(staged, rows, strict=True)
    ]
    with product_names(session):
        inserted = session.counts(inserts, doing=f"loading {tables}")
    for staged_table, count, complete in zip(staged, inserted, expected, strict=True):
        _refuse_missing(staged_table.table, count, complete)
    return inserted


def _rows(archive: Archive, table: TableName) -> int:
    """Return the number of archived rows of a table."""
    return archive.manifest.members[layout.member(table)].rows


def _refuse_missing(table: TableName, inserted: int, expected: int) -> None:
    """Raise RefusedError if rows are missing: a trigger may drop them silently."""
    if inserted != expected:
        raise RefusedError(
            f"Loading {table} refused: {inserted} of {expected} rows inserted. Does a trigger drop them?"
        )


def _lock_live(session: Session, staged_table: Staged) -> None:
    """Wait for sessions that are deleting one of these live rows, and block new ones."""
    session.rows(staged_table.lock_query, doing=f"locking the live rows of {staged_table.table}")


def _replace(session: Session, staged_table: Staged, older: Collection[RetainedRow]) -> int:
    """Replace these live rows with the archive's copies, if they are still as they were read."""
    fixed = staged_table.shape.primary_key
    columns = [column.name for column in staged_table.shape.copied if column.name not in fixed and not column.identity]
    if not older or not columns:
        return 0
    query = SQL(
        "UPDATE {live} l SET {values} FROM {relation} s, unnest({keys}::text[], {digests}::text[]) o (key, digest)"
        " WHERE {match} AND {key} = o.key AND {digest} = o.digest"
    ).format(
        live=staged_table.live,
        values=SQL(", ").join(SQL("{0} = s.{0}").format(Identifier(name)) for name in columns),
        relation=staged_table.relation,
        keys=Literal([row.key for row in older]),
        digests=Literal([row.digest for row in older]),
        match=staged_table.match,
        key=key_text(staged_table.shape, "l"),
        digest=digest(staged_table.shape, "l"),
    )
    with product_names(session):
        return session.execute(query, doing=f"replacing older copies in {staged_table.table}")
