"""Delete a slice's rows from the live shard in batches, each compared with the stored archive first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, TableName
from archiver.completeness.recheck import recheck
from archiver.delete.delete import delete
from archiver.delete.return_trial import tried_back
from archiver.delete.throttle import Throttle
from archiver.delete.unchanged import prove_shape
from archiver.extract.due import Due
from archiver.extract.month import copy_in_order
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres.account import accounted
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, SelectedRows, among, narrowed, rows_where
from archiver.postgres.session import SQL, Identifier, Session
from archiver.records import audit_log, markers, shard_keys, slice_record
from archiver.records.slice_record import Slice
from archiver.store.bucket import Bucket
from archiver.store.standing import prove_stored


@dataclass(kw_only=True)
class SliceProgress:
    """The progress of a slice's deletion, as its marker records it."""

    deleted: Counter[str] = field(default_factory=Counter)  # by member: rows decided
    stayed: dict[str, list[str]] = field(default_factory=dict)  # by member: keys of the rows that stay live
    appeared: Counter[str] = field(default_factory=Counter)  # by table: rows added after the proof; they stay live


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some row trees of a slice: their rows, and the archive's line for each."""

    rows: Mapping[TableName, SelectedRows]
    trees: Mapping[TableName, list[int]]
    lines: Mapping[TableName, list[bytes]]


def delete_in_batches(
    placement: Placement,
    rules: Rules,
    tenant_slice: Slice,
    due: Due,
    archive: Archive,
    throttle: Throttle,
    progress: SliceProgress,
    bucket: Bucket,
) -> None:
    """Delete the rows that are as the stored archive holds them, until all are decided or the run is to stop.

    A tree stays live as a whole if one of its rows changed, is in use, or has new rows below it. Each batch commits
    together with the marker that records the progress.
    """
    session = placement.sessions[rules.database]
    for batch in _batches(due, archive, throttle.batch):
        throttle.wait(session)
        if throttle.over:
            break
        throttle.deleted(_delete_batch(placement, rules, tenant_slice, batch, progress, bucket))


def close(placement: Placement, rules: Rules, tenant_slice: Slice) -> None:
    """Write into master what was deleted of a slice, as its marker says; give the slice up if nothing was.

    The caller holds the tenant's lock.
    """
    session, master = placement.sessions[rules.database], placement.master
    marker = markers.read(session, tenant_slice.month, tenant_slice.deletion_act)
    with master.transaction(doing=f"recording what was deleted of {tenant_slice.month.month}"):
        if marker is None:
            slice_record.delete(master, tenant_slice)
            return
        done = slice_record.deleted(master, tenant_slice, marker["went"], marker["stayed"])
        if not done.deleted_rows:
            slice_record.delete(master, tenant_slice)
            return
        details = {
            "month": tenant_slice.month.month,
            "shard": tenant_slice.month.shard,
            "deleted": {name: rows - len(marker["stayed"].get(name, ())) for name, rows in marker["went"].items()},
            "kept": {name: len(keys) for name, keys in marker["stayed"].items()},
            "sha256": tenant_slice.sha256,
        }
        audit_log.log(master, "archive activity", done, details)


def _batches(due: Due, archive: Archive, size: int) -> Iterator[Batch]:
    """Yield the slice's rows in batches, with the archive's lines, which are in the same order."""
    positions: Counter[TableName] = Counter()
    sources = {table: archive.open(layout.member(table)) for table, rows in due.rows.items() if rows.rows}
    for sizes in due.batches(size):
        ends = {table: positions[table] + count for table, count in sizes.items()}
        yield Batch(
            rows={
                table: replace(due.rows[table], rows=due.rows[table].rows[positions[table] : end])
                for table, end in ends.items()
            },
            trees={table: list(due.trees[table][positions[table] : end]) for table, end in ends.items()},
            lines={table: _lines(sources[table], count) for table, count in sizes.items()},
        )
        positions.update(sizes)


def _lines(source: IO[bytes], count: int) -> list[bytes]:
    """Read the next lines of a member."""
    return [source.readline() for _ in range(count)]


def _delete_batch(
    placement: Placement, rules: Rules, tenant_slice: Slice, batch: Batch, progress: SliceProgress, bucket: Bucket
) -> int:
    """Delete one batch in one transaction. Return the number of deleted rows."""
    session = placement.sessions[rules.database]
    session.begin()
    try:
        with accounted(session, "Deleting", rules.model.written_besides(rules.database)) as account:
            recheck(placement, rules.model, [rules.database])
            stay = _changed(placement, batch) | _trees_with_new_rows(placement, rules, batch)
            # From here on the locks keep migrations out.
            prove_shape(replace(placement, sessions={rules.database: session}))
            deletable = _without(batch, stay)
            rows = _of_all_tables(placement, rules, deletable)
            with tried_back(placement, rules.model, rules.database, rows, account):
                delete(placement, rules.model, rules.database, rows, account)
        reached = _progress_after(placement, batch, stay, progress)
        _mark(session, tenant_slice, reached)
        shard_keys.remember(
            session, placement.schemas[rules.database], tenant_slice.month, _gone(placement, rules, deletable)
        )
        prove_stored(bucket, tenant_slice.month)
    except BaseException:
        session.rollback()
        raise
    session.commit(doing=f"deleting activity of {tenant_slice.month.month}")
    progress.deleted, progress.stayed = reached.deleted, reached.stayed
    _count_late_rows(placement, rules, deletable, progress)
    return sum(len(rows.rows) for rows in deletable.values())


def _changed(placement: Placement, batch: Batch) -> set[int]:
    """Return the trees with a row that differs from the archive or is locked by another session; lock all others."""
    stay: set[int] = set()
    for table, rows in batch.rows.items():
        locked = _locked(placement, table, rows)
        locked_rows = replace(
            rows, rows=[row for row, key in zip(rows.rows, rows.identities(), strict=True) if key in locked]
        )
        copied = _Lines()
        session, shape = placement.sessions[table.database], placement.schemas[table.database].tables[table.table]
        copy_in_order(session, table, shape, locked_rows, copied)
        live_lines = dict(zip(locked_rows.identities(), copied.lines, strict=True))
        for key, line, tree in zip(rows.identities(), batch.lines[table], batch.trees[table], strict=True):
            if live_lines.get(key) != line:
                stay.add(tree)
    return stay


def _locked(placement: Placement, table: TableName, rows: SelectedRows) -> set[Key]:
    """Lock the rows that exist and are not locked by another session, without waiting. Return their keys."""
    shape = placement.schemas[table.database].tables[table.table]
    names = SQL(", ").join(map(Identifier, rows.identity))
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {} FOR UPDATE SKIP LOCKED").format(
        names, identifier(table.table), among(shape, rows.identity, rows.identities()), names
    )
    keys = placement.sessions[table.database].keys(query, doing=f"locking rows of {table}")
    return {key if len(key) > 1 else key[0] for key in keys}


def _trees_with_new_rows(placement: Placement, rules: Rules, batch: Batch) -> set[int]:
    """Return the trees below which there is a row that is not in this batch."""
    stay: set[int] = set()
    for link in rules.inner:
        parents = batch.rows.get(link.parent)
        if parents is None:
            continue
        key_of, keys = parents.key_of(link.parent_columns), _keys_with_new_children(placement, rules, link, batch.rows)
        stay.update(
            tree for row, tree in zip(parents.rows, batch.trees[link.parent], strict=True) if key_of(row) in keys
        )
    return stay


def _keys_with_new_children(
    placement: Placement, rules: Rules, link: Link, rows: Mapping[TableName, SelectedRows]
) -> set[Key]:
    """Return the keys of parents below which there are rows that are not among these."""
    keys = rows[link.parent].values(link.parent_columns)
    shape = placement.schemas[link.child.database].tables[link.child.table]
    below = rows_where(placement, rules.reachable_model, link.child, among(shape, link.columns, keys))
    batch_identities = set(rows[link.child].identities()) if link.child in rows else set()
    key_in = below.key_in(link)
    return {
        key
        for row, identity in zip(below.rows, below.identities(), strict=True)
        if identity not in batch_identities and (key := key_in(row)) is not None
    }


def _without(batch: Batch, stay: set[int]) -> dict[TableName, SelectedRows]:
    """Return the rows of the trees that do not stay."""
    return {
        table: replace(
            rows, rows=[row for row, tree in zip(rows.rows, batch.trees[table], strict=True) if tree not in stay]
        )
        for table, rows in batch.rows.items()
    }


def _of_all_tables(
    placement: Placement, rules: Rules, deletable: Mapping[TableName, SelectedRows]
) -> dict[TableName, SelectedRows]:
    """Return the rows for every table of the database; empty for a table that loses none."""
    nothing = SelectedRows(identity=(), columns=(), rows=[])
    return {table: deletable.get(table, nothing) for table in rules.model.of(rules.database)}


def _progress_after(placement: Placement, batch: Batch, stay: set[int], progress: SliceProgress) -> SliceProgress:
    """Return the progress once a batch is deleted."""
    decided, stayed = Counter(progress.deleted), {name: list(keys) for name, keys in progress.stayed.items()}
    for table, rows in batch.rows.items():
        decided[layout.member(table)] += len(rows.rows)
        shape = placement.schemas[table.database].tables[table.table]
        key_positions = [[column.name for column in shape.copied].index(name) for name in shape.primary_key]
        for line, tree in zip(batch.lines[table], batch.trees[table], strict=True):
            if tree in stay:
                stayed.setdefault(layout.member(table), []).append(key_in_line(line, key_positions))
    return SliceProgress(deleted=decided, stayed=stayed)


def key_in_line(line: bytes, positions: list[int]) -> str:
    """Return a row's key as the archive writes it."""
    cells = line.rstrip(b"\n").split(b"\t")
    return "\t".join(cells[position].decode() for position in positions)


def _mark(session: Session, tenant_slice: Slice, progress: SliceProgress) -> None:
    """Replace the slice's marker."""
    markers.delete(session, tenant_slice.month, tenant_slice.deletion_act)
    content = {"went": progress.deleted, "stayed": progress.stayed}
    month = tenant_slice.month
    markers.write(session, month, tenant_slice.deletion_act, markers.located(month, content))


def _count_late_rows(
    placement: Placement, rules: Rules, deletable: Mapping[TableName, SelectedRows], progress: SliceProgress
) -> None:
    """Count the rows added after the proof that refer to deleted rows: without a foreign key no lock prevents that."""
    for link, keys in _gone(placement, rules, deletable).items():
        shape = placement.schemas[link.child.database].tables[link.child.table]
        late_rows = rows_where(placement, rules.model, link.child, narrowed(among(shape, link.columns, keys), link))
        progress.appeared.update({str(link.child): len(late_rows.rows)} if late_rows.rows else {})


def _gone(placement: Placement, rules: Rules, deleted: Mapping[TableName, SelectedRows]) -> dict[Link, list[Key]]:
    """Return the keys of deleted rows, by the links that lead to them and that no foreign key enforces."""
    links = shard_keys.unenforced(rules.model, placement.schemas[rules.database], rules.database)
    return {
        link: keys
        for link in links
        if link.parent in deleted and (keys := deleted[link.parent].values(link.parent_columns))
    }


class _Lines:
    """A sink for COPY, which writes one row at a time."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.write = self.lines.append
