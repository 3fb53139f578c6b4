"""A slice's rows out of the live shard, batch by batch, each proved against the stored archive as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, TableName
from archiver.delete.delete import delete
from archiver.delete.throttle import Throttle
from archiver.delete.unchanged import prove_shape
from archiver.extract.due import Due
from archiver.extract.month import copy_in_order
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, SelectedRows, among, rows_where
from archiver.postgres.session import SQL, Identifier, Session
from archiver.records import audit_log, markers, slice_record
from archiver.records.slice_record import Slice


@dataclass(kw_only=True)
class SliceProgress:
    """How far the deletion of a slice is: what its marker holds."""

    deleted: Counter[str] = field(default_factory=Counter)  # rows decided, by member
    stayed: dict[str, list[str]] = field(default_factory=dict)  # keys of those that stay, by member
    appeared: Counter[str] = field(default_factory=Counter)  # rows by table that came after the proof, and stay live


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some trees of a slice: their rows, and what the archive holds of each."""

    rows: Mapping[TableName, SelectedRows]
    trees: Mapping[TableName, list[int]]
    lines: Mapping[TableName, list[bytes]]


def delete_in_batches(
    placement: Placement,
    rules: Rules,
    one: Slice,
    found: Due,
    archive: Archive,
    throttle: Throttle,
    progress: SliceProgress,
) -> None:
    """Deletes what is as the stored archive holds it, until all is decided or the run is to stop.

    What changed, is in use, or has new rows below it stays live with its whole tree. Each batch commits with the marker
    that says how far it is.
    """
    session = placement.sessions[rules.database]
    for batch in _batches(found, archive, throttle.batch):
        throttle.wait(session)
        if throttle.over:
            break
        throttle.deleted(_delete_batch(placement, rules, one, batch, progress))


def close(placement: Placement, rules: Rules, one: Slice) -> None:
    """Writes into master what went of a slice, by its marker; where nothing did, the slice is given up.

    The caller keeps everybody else off the tenant.
    """
    noted, master = markers.read(placement.sessions[rules.database], one.month, one.deletion_act), placement.master
    with master.transaction(doing=f"writing what went of {one.month.month}"):
        if noted is None:
            slice_record.delete(master, one)
            return
        done = slice_record.deleted(master, one, noted["went"], noted["stayed"])
        if not done.deleted_rows:
            slice_record.delete(master, one)
            return
        details = {
            "month": one.month.month,
            "shard": one.month.shard,
            "deleted": {name: rows - len(noted["stayed"].get(name, ())) for name, rows in noted["went"].items()},
            "kept": {name: len(keys) for name, keys in noted["stayed"].items()},
            "sha256": one.sha256,
        }
        audit_log.log(master, "archive activity", done, details)


def _batches(found: Due, archive: Archive, size: int) -> Iterator[Batch]:
    """The slice's rows, batch by batch, beside the archive's, which lie in the same order."""
    places: Counter[TableName] = Counter()
    sources = {table: archive.open(layout.member(table)) for table, rows in found.rows.items() if rows.rows}
    for sizes in found.batches(size):
        ends = {table: places[table] + count for table, count in sizes.items()}
        yield Batch(
            rows={
                table: replace(found.rows[table], rows=found.rows[table].rows[places[table] : end])
                for table, end in ends.items()
            },
            trees={table: list(found.trees[table][places[table] : end]) for table, end in ends.items()},
            lines={table: _lines(sources[table], count) for table, count in sizes.items()},
        )
        places.update(sizes)


def _lines(source: IO[bytes], count: int) -> list[bytes]:
    return [source.readline() for _ in range(count)]


def _delete_batch(placement: Placement, rules: Rules, one: Slice, batch: Batch, progress: SliceProgress) -> int:
    """One batch in one transaction; how many rows went."""
    session = placement.sessions[rules.database]
    session.begin()
    try:
        stay = _changed(placement, batch) | _with_newcomers(placement, rules, batch)
        prove_shape(
            replace(placement, sessions={rules.database: session})
        )  # the locks keep migrations out from here on
        gone = _without(batch, stay)
        delete(placement, rules.model, rules.database, _of_all_tables(placement, rules, gone))
        reached = _after(placement, batch, stay, progress)
        _mark(session, one, reached)
    except BaseException:
        session.rollback()
        raise
    session.commit(doing=f"deleting activity of {one.month.month}")
    progress.deleted, progress.stayed = reached.deleted, reached.stayed
    _look_for_late(placement, rules, gone, progress)
    return sum(len(rows.rows) for rows in gone.values())


def _changed(placement: Placement, batch: Batch) -> set[int]:
    """The trees with a row that is not there as archived, or that somebody is writing to. All others are locked."""
    stay: set[int] = set()
    for table, rows in batch.rows.items():
        locked = _locked(placement, table, rows)
        here = replace(rows, rows=[row for row, key in zip(rows.rows, rows.identities(), strict=True) if key in locked])
        live = _Lines()
        session, shape = placement.sessions[table.database], placement.schemas[table.database].tables[table.table]
        copy_in_order(session, table, shape, here, live)
        now = dict(zip(here.identities(), live.lines, strict=True))
        for key, line, tree in zip(rows.identities(), batch.lines[table], batch.trees[table], strict=True):
            if now.get(key) != line:
                stay.add(tree)
    return stay


def _locked(placement: Placement, table: TableName, rows: SelectedRows) -> set[Key]:
    """Locks the rows that are there and that nobody else has locked: the product waits for us, we for nobody."""
    shape = placement.schemas[table.database].tables[table.table]
    names = SQL(", ").join(map(Identifier, rows.identity))
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {} FOR UPDATE SKIP LOCKED").format(
        names, identifier(table.table), among(shape, rows.identity, rows.identities()), names
    )
    found = placement.sessions[table.database].keys(query, doing=f"locking rows of {table}")
    return {row if len(row) > 1 else row[0] for row in found}


def _with_newcomers(placement: Placement, rules: Rules, batch: Batch) -> set[int]:
    """The trees below which there is a row that is not of this batch."""
    stay: set[int] = set()
    for link in rules.inner:
        parents = batch.rows.get(link.parent)
        if parents is None:
            continue
        key_of, strange = parents.key_of(link.parent_columns), _strange(placement, rules, link, batch.rows)
        stay.update(
            tree for row, tree in zip(parents.rows, batch.trees[link.parent], strict=True) if key_of(row) in strange
        )
    return stay


def _strange(placement: Placement, rules: Rules, link: Link, rows: Mapping[TableName, SelectedRows]) -> set[Key]:
    """The keys of parents below which there are rows that are not among these."""
    keys = rows[link.parent].values(link.parent_columns)
    shape = placement.schemas[link.child.database].tables[link.child.table]
    below = rows_where(placement, rules.reachable_model, link.child, among(shape, link.columns, keys))
    known = set(rows[link.child].identities()) if link.child in rows else set()
    key_in = below.key_in(link)
    return {
        key
        for row, identity in zip(below.rows, below.identities(), strict=True)
        if identity not in known and (key := key_in(row)) is not None
    }


def _without(batch: Batch, stay: set[int]) -> dict[TableName, SelectedRows]:
    return {
        table: replace(
            rows, rows=[row for row, tree in zip(rows.rows, batch.trees[table], strict=True) if tree not in stay]
        )
        for table, rows in batch.rows.items()
    }


def _of_all_tables(
    placement: Placement, rules: Rules, gone: Mapping[TableName, SelectedRows]
) -> dict[TableName, SelectedRows]:
    """The same with all other tables of the database, of which nothing goes."""
    nothing = SelectedRows(identity=(), columns=(), rows=[])
    return {table: gone.get(table, nothing) for table in rules.model.of(rules.database)}


def _after(placement: Placement, batch: Batch, stay: set[int], progress: SliceProgress) -> SliceProgress:
    """How far the deletion is when a batch has gone."""
    went, stayed = Counter(progress.deleted), {name: list(keys) for name, keys in progress.stayed.items()}
    for table, rows in batch.rows.items():
        went[layout.member(table)] += len(rows.rows)
        shape = placement.schemas[table.database].tables[table.table]
        places = [[column.name for column in shape.copied].index(name) for name in shape.primary_key]
        for line, tree in zip(batch.lines[table], batch.trees[table], strict=True):
            if tree in stay:
                stayed.setdefault(layout.member(table), []).append(key_in_line(line, places))
    return SliceProgress(deleted=went, stayed=stayed)


def key_in_line(line: bytes, places: list[int]) -> str:
    """A row's key as the archive writes it."""
    cells = line.rstrip(b"\n").split(b"\t")
    return "\t".join(cells[place].decode() for place in places)


def _mark(session: Session, one: Slice, progress: SliceProgress) -> None:
    markers.delete(session, one.month, one.deletion_act)
    markers.write(session, one.month, one.deletion_act, {"went": progress.deleted, "stayed": progress.stayed})


def _look_for_late(
    placement: Placement, rules: Rules, gone: Mapping[TableName, SelectedRows], progress: SliceProgress
) -> None:
    """Rows that came after the proof and name what went: without a foreign key no lock keeps them out."""
    for link in rules.inner:
        if gone.get(link.parent) and gone[link.parent].rows and not _enforced(placement, link):
            shape = placement.schemas[link.child.database].tables[link.child.table]
            keys = gone[link.parent].values(link.parent_columns)
            late = rows_where(placement, rules.reachable_model, link.child, among(shape, link.columns, keys))
            progress.appeared.update({str(link.child): len(late.rows)} if late.rows else {})


def _enforced(placement: Placement, link: Link) -> bool:
    """Whether a foreign key says the same as a link."""
    pairs = {*zip(link.columns, link.parent_columns, strict=True)}
    return any(
        key.target == link.parent.table and {*zip(key.columns, key.target_columns, strict=True)} == pairs
        for key in placement.schemas[link.child.database].tables[link.child.table].foreign_keys
    )


class _Lines:
    """A sink for COPY, which gives one row at a time."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.write = self.lines.append
