"""Under the lock: what is live is what the archive holds, by row version, else by content."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from archiver.catalog.model import Model, TableName
from archiver.extract.one import spooled
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.manifest import Member
from archiver.postgres.databases import Placement
from archiver.postgres.schema import read_schema
from archiver.postgres.selection import Selection
from archiver.records.archive_record import Record
from errors import RefusedError

Stored = Callable[[Record], AbstractContextManager[Archive]]  # fetches a record's archive and opens it


def prove_unchanged(
    placement: Placement,
    model: Model,
    record: Record,
    selection: Selection,
    tables: tuple[TableName, ...],
    work: Path,
    stored: Stored,
) -> None:
    """RefusedError where a tenant's rows are not as archived; it names the tables."""
    changed = []
    for table in tables:
        wanted, rows = record.members[layout.member(table)], selection.by_table[table]
        if len(rows.rows) == wanted.rows and not rows.changed:
            continue
        path = work / "now.copy"
        now = spooled(placement, model, table, selection, record.tenant_id, path)
        if not same_content(record, table, now, path, stored):
            changed.append(difference(table, wanted.rows, now.rows))
    if changed:
        raise refusal(model, record, changed)


def same_content(record: Record, table: TableName, now: Member, path: Path, stored: Stored) -> bool:
    """Whether rows that lie in a file are an archive's: by digest, or of a run over many, which reads rows as they lie,
    line by line against the archive itself."""
    wanted = record.members[layout.member(table)]
    if now == wanted or not record.snapshots or (now.rows, now.bytes) != (wanted.rows, wanted.bytes):
        return now == wanted
    with stored(record) as archive, archive.open(layout.member(table)) as rows, path.open("rb") as live:
        return sorted(rows) == sorted(live)


def difference(table: TableName, archived: int, now: int) -> str:
    """A table whose rows changed, in words."""
    return f"{table} ({archived} rows archived, {now} now)"


def refusal(model: Model, record: Record, changed: list[str]) -> RefusedError:
    """What is said of a tenant whose rows changed."""
    return RefusedError(
        f"Deleting {model.tenant.noun} {record.tenant_id} refused: rows changed since they were archived: "
        f"{', '.join(changed)}.",
        hint="It stays live as it is. Run the same command again: it archives the rows as they are then.",
    )


def prove_shape(placement: Placement) -> None:
    """RefusedError where the tables do not have the shape any more in which their rows were archived."""
    for database, session in placement.sessions.items():
        if read_schema(session, placement.schemas[database].tables) != placement.schemas[database]:
            raise RefusedError(
                f"Deleting refused: a table on {session.where} has another shape than when its rows were archived.",
                hint="Somebody migrates there. Run the same command again when that is over.",
            )
