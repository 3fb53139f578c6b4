"""Delete a slice's rows from the live shard in batches, each compared with the stored archive first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, TableName
from archiver.delete.commit import Recorded, Transaction, delete_and_commit
from archiver.delete.skip_locked import Batch, DecidedBatch, SkipLocked
from archiver.delete.throttle import Throttle
from archiver.extract.due import Due
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres.databases import Placement
from archiver.postgres.selection import Key, SelectedRows, among, narrowed, rows_where
from archiver.postgres.session import Session
from archiver.records import audit_log, markers, shard_keys, slice_record
from archiver.records.slice_record import Slice
from archiver.store.bucket import Bucket


@dataclass(kw_only=True)
class SliceProgress:
    """The progress of a slice's deletion, as its marker records it."""

    deleted: Counter[str] = field(default_factory=Counter)  # by member: rows decided
    stayed: dict[str, list[str]] = field(default_factory=dict)  # by member: keys of the rows that stay live
    appeared: Counter[str] = field(default_factory=Counter)  # by table: rows added after the proof; they stay live


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
    session, month = placement.sessions[rules.database], tenant_slice.month

    def record(decided: DecidedBatch) -> Recorded[tuple[DecidedBatch, SliceProgress]]:
        reached = _progress_after(placement, batch, decided.stay, progress)
        _mark(session, tenant_slice, reached)
        shard_keys.remember(session, placement.schemas[rules.database], month, _gone(placement, rules, decided.rows))
        return Recorded(result=(decided, reached), bucket=bucket, archives=[month])

    transaction = Transaction(
        session=session,
        doing=f"deleting activity of {month.month}",
        written_besides=rules.model.written_besides(rules.database),
    )
    locks = SkipLocked(placement=placement, rules=rules, batch=batch)
    decided, reached = delete_and_commit("Deleting", locks, [transaction], record)
    progress.deleted, progress.stayed = reached.deleted, reached.stayed
    _count_late_rows(placement, rules, decided.rows, progress)
    return sum(len(rows.rows) for rows in decided.rows.values())


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
