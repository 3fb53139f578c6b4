"""Deletes what a verified archive holds, and proves it at that moment. Here: DELETE by identity, a tenant at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from archiver import layout, notes, records
from archiver.bundle import Archive
from archiver.catalog import MASTER, SHARD, Link, Model, TableName
from archiver.extract import spooled
from archiver.load import load_database
from archiver.postgres import SQL, Identifier, Session
from archiver.records import Record, State
from archiver.schema import Schema, identifier, load_order, read_schema
from archiver.selection import Key, Lock, Rows, Selection, Values, among, array, holding, select
from archiver.sharing import deletable
from archiver.verify import Verified
from archiver.workplace import Site
from errors import CutoverError, RefusedError

DELETED = "deleted"  # the marker's act

Gone = Mapping[TableName, Rows]


@dataclass(frozen=True, kw_only=True)
class Reclaimed:
    """What a deletion did; deleted and kept together are the manifest's rows."""

    record: Record
    deleted: Mapping[str, int]  # rows by table
    kept: Mapping[str, int]  # rows left live, by table, where there are any
    appeared: Mapping[str, int]  # rows by table, where there are any, that came after the proof and stay live


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A tenant whose stored archive was restored and compared; without the proof nothing is deleted."""

    record: Record
    proof: Verified
    snapshots: Mapping[str, str]  # database: xmin of the snapshot in which the rows were read


class Reclaim(Protocol):
    """A way to give back the space of a set of archived tenants."""

    def reclaim(self, site: Site, model: Model, proven: Sequence[Proven], work: Path) -> list[Reclaimed]: ...


class DeleteRows:
    """Locks and proves every row in both databases, then deletes in the shard, then in master with the record."""

    def reclaim(self, site: Site, model: Model, proven: Sequence[Proven], work: Path) -> list[Reclaimed]:
        """Deletes each tenant's rows, or none: RefusedError names the tables that changed since the extraction."""
        return [_delete_tenant(site, model, tenant, work) for tenant in proven]


def _delete_tenant(site: Site, model: Model, proven: Proven, work: Path) -> Reclaimed:
    record = records.deleting(site.master, proven.record)
    try:
        return _prove_and_delete(site, model, record, proven, work)
    except CutoverError:
        _step_back(site, record)
        raise


def _step_back(site: Site, record: Record) -> None:
    """Where nothing was committed, the tenant is live as before; where that can't be seen, a rerun settles it."""
    with suppress(CutoverError):
        if notes.marked(site.apart, record, DELETED) is None:
            records.step_back(site.master, record, State.VERIFIED)


def _prove_and_delete(site: Site, model: Model, record: Record, proven: Proven, work: Path) -> Reclaimed:
    with _both_open(site):
        selection = select(site, model, record.tenant_id, lock=Lock(since=proven.snapshots))
        _prove_unchanged(site, model, record, selection, model.tables, work)
        _prove_shape(site)
        gone = deletable(model, record.depth, selection, partial(_live, site, selection))
        for database in reversed(site.sessions):
            _delete(site, database, gone)
        if site.apart:
            _commit_shard(site.apart, model, record, selection, gone)
        return _commit_master(site, model, record, selection, gone)


def resume(site: Site, model: Model, record: Record, work: Path) -> Reclaimed | None:
    """Ends a deletion that was cut off after the shard was emptied; None where the shard was not touched."""
    marker = notes.marked(site.apart, record, DELETED)
    if marker is None:
        return None
    found, went = (_noted(site, model, marker[name]) for name in ("found", "gone"))
    with _both_open(site):
        selection = select(site, model, record.tenant_id, lock=Lock(since={}), known=found)
        _prove_unchanged(site, model, record, selection, model.of(MASTER), work)
        gone = deletable(model, record.depth, selection, partial(_live, site, selection), went)
        _delete(site, MASTER, gone)
        return _commit_master(site, model, record, selection, gone)


def put_back(site: Site, model: Model, record: Record, archive: Archive) -> None:
    """Undoes the emptying of the shard: in one transaction its rows come back and the marker goes."""
    shard = site.sessions[SHARD]
    with shard.transaction(doing=f"putting back {model.tenant.noun} {record.tenant_id} in the shard"):
        load_database(shard, SHARD, model, archive, record.kept)
        notes.unmark(shard, record, DELETED)
    records.step_back(site.master, record, State.VERIFIED)


@contextmanager
def _both_open(site: Site) -> Iterator[None]:
    """A transaction in each database of a site; whatever is still open at the end is rolled back."""
    with ExitStack() as transactions:
        for session in site.sessions.values():
            transactions.enter_context(session.rolled_back())
        yield


def _prove_unchanged(
    site: Site, model: Model, record: Record, selection: Selection, tables: tuple[TableName, ...], work: Path
) -> None:
    """Under the lock: each table's rows are as archived, by row version, else by content."""
    changed = []
    for table in tables:
        wanted, rows = record.members[layout.member(table)], selection.found[table]
        if len(rows.rows) == wanted.rows and not rows.changed:
            continue
        now = spooled(site, model, table, selection, record.tenant_id, work / "now.copy")
        if now != wanted:
            changed.append(f"{table} ({wanted.rows} rows archived, {now.rows} now)")
    if changed:
        raise RefusedError(
            f"Deleting {model.tenant.noun} {record.tenant_id} refused: rows changed since they were archived: "
            f"{', '.join(changed)}.",
            hint="It stays live as it is. Run the same command again: it archives the rows as they are then.",
        )


def _prove_shape(site: Site) -> None:
    """Under the lock: the tables still have the shape in which their rows were archived."""
    for database, session in site.sessions.items():
        if read_schema(session, site.schemas[database].tables) != site.schemas[database]:
            raise RefusedError(
                f"Deleting refused: a table on {session.where} has another shape than when its rows were archived.",
                hint="Somebody migrates there. Run the same command again when that is over.",
            )


def _live(site: Site, selection: Selection, link: Link, keys: set[Key]) -> set[Key]:
    """Which of a link's keys some live row outside the tenant names: in its own databases, and from master on every
    other shard, where a key of master may be named as well."""
    own = site.sessions[link.parent.database]
    elsewhere = site.other_shards if link.child.database != link.parent.database == SHARD else ()
    named: set[Key] = set()
    for session in (own, *elsewhere):
        query = _naming(site, link, keys, selection.found.get(link.parent) if session is own else None)
        rows = session.rows(query, doing=f"looking who needs {link.child}")
        named |= {row if len(row) > 1 else row[0] for row in rows}
    return named


def _naming(site: Site, link: Link, keys: set[Key], own: Rows | None) -> Any:
    child = site.schemas[link.child.database].tables[link.child.table]
    query = SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(
        SQL(", ").join(map(Identifier, link.parent_columns)),
        identifier(link.parent.table),
        holding(link.parent_columns, child, link.columns, keys),
    )
    if own is None or not own.rows:
        return query
    parent = site.schemas[link.parent.database].tables[link.parent.table]
    return SQL("{} AND NOT ({})").format(query, among(parent, own.identity, own.identities()))


def _crossing(model: Model) -> list[Link]:
    """The links by which master's rows are found through the shard's."""
    return [link for link in model.links if link.child.database == MASTER and link.parent.database == SHARD]


def _noted(site: Site, model: Model, noted: Mapping[str, list[Any]]) -> Values:
    """The keys of crossing links as a marker holds them, each again of its column's type."""
    crossing = {str(link): link for link in _crossing(model)}
    keys: dict[Link, list[Key]] = {}
    for name, values in noted.items():
        link = crossing[name]
        shape = site.schemas[MASTER].tables[link.child.table]
        listed = [value if isinstance(value, list) else [value] for value in values]
        arrays = SQL(", ").join(
            array(shape, column, [value[place] for value in listed]) for place, column in enumerate(link.columns)
        )
        rows = site.master.rows(SQL("SELECT * FROM unnest({})").format(arrays), doing="reading the marker")
        keys[link] = [row if len(row) > 1 else row[0] for row in rows]
    return keys


def _commit_shard(shard: Session, model: Model, record: Record, selection: Selection, gone: Gone) -> None:
    """Commits the shard's deletion, with a marker that says so and holds what master's rows are found by."""
    marker = {
        "found": {str(link): selection.found[link.parent].values(link.parent_columns) for link in _crossing(model)},
        "gone": {str(link): gone[link.parent].values(link.parent_columns) for link in _crossing(model)},
        "deleted": {str(table): len(gone[table].rows) for table in model.of(SHARD)},
    }
    notes.mark(shard, record, DELETED, marker)
    shard.commit(doing=f"deleting in the shard for {model.tenant.noun} {record.tenant_id}")


def _commit_master(site: Site, model: Model, record: Record, selection: Selection, gone: Gone) -> Reclaimed:
    """Commits master's deletion, together with the record's last state and the log."""
    master, marker = site.master, notes.marked(site.apart, record, DELETED) or {"deleted": {}}
    deleted = {**{str(table): len(gone[table].rows) for table in model.of(MASTER)}, **marker["deleted"]}
    kept = {
        str(table): rows
        for table in model.tables
        if (rows := record.members[layout.member(table)].rows - deleted[str(table)])
    }
    notes.remember_gone(master, record, _keys(site, gone))
    record = records.archived(master, record, kept)
    notes.log(master, "archive", record, {"deleted": deleted, "kept": kept, "sha256": record.sha256})
    master.commit(doing=f"deleting in master for {model.tenant.noun} {record.tenant_id}")
    appeared = _appeared(site, model, record, selection, kept)
    return Reclaimed(record=record, deleted=deleted, kept=kept, appeared=appeared)


def _appeared(
    site: Site, model: Model, record: Record, selection: Selection, kept: Mapping[str, int]
) -> dict[str, int]:
    """Rows that came after the proof and name the tenant's: without a foreign key no lock keeps them out."""
    now = select(site, model, record.tenant_id, known=selection.values)
    more = {str(table): len(rows.rows) - kept.get(str(table), 0) for table, rows in now.found.items()}
    return {table: rows for table, rows in more.items() if rows > 0}


def _delete(site: Site, database: str, gone: Gone) -> None:
    """Deletes by identity, what names another row before what it names; whatever forbids it says so before a commit."""
    schema, session = site.schemas[database], site.sessions[database]
    for group in reversed(load_order(schema)):
        rows = {name: found for name in group if (found := gone[TableName(database, name)]).rows}
        if rows:
            _delete_together(session, schema, rows)
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")


def _delete_together(session: Session, schema: Schema, rows: Mapping[str, Rows]) -> None:
    """One statement, which looks at foreign keys when it ends: tables may name each other in a circle."""
    delete, tables = SQL("DELETE FROM {} WHERE {}"), ", ".join(rows)
    counts = session.counts(
        [
            delete.format(identifier(name), among(schema.tables[name], found.identity, found.identities()))
            for name, found in rows.items()
        ],
        doing=f"deleting from {tables}",
    )
    if counts != [len(found.rows) for found in rows.values()]:
        proved = sum(len(found.rows) for found in rows.values())
        raise RefusedError(
            f"Deleting from {tables} on {session.where} refused: {sum(counts)} rows went, {proved} were proved."
        )


def _keys(site: Site, gone: Gone) -> dict[str, list[int]]:
    """The whole-number keys of master's deleted rows, by table."""
    return {
        table.table: [row[0] for row in rows.rows]
        for table, rows in gone.items()
        if table.database == MASTER and rows.rows and len(rows.identity) == 1 and isinstance(rows.rows[0][0], int)
    }
