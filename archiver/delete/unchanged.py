"""Verify under lock that live rows are as archived: by row version, else by content."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
from archiver.store.bucket import Bucket
from errors import RefusedError


@dataclass(frozen=True)
class Stored:
    """The stored archives of the tenants that are deleted."""

    bucket: Bucket
    open: Callable[[Record], AbstractContextManager[Archive]]  # fetches a record's archive and opens it


def prove_unchanged(
    placement: Placement,
    model: Model,
    record: Record,
    selection: Selection,
    tables: tuple[TableName, ...],
    work: Path,
    stored: Stored,
) -> None:
    """Raise RefusedError with the names of the tables if a tenant's rows are not as archived."""
    changed = []
    for table in tables:
        member, rows = record.members[layout.member(table)], selection.by_table[table]
        if len(rows.rows) == member.rows and not rows.changed:
            continue
        path = work / "now.copy"
        now = spooled(placement, model, table, selection, record.tenant_id, path)
        if not same_content(record, table, now, path, stored):
            changed.append(difference(table, member.rows, now.rows))
    if changed:
        raise refusal(model, record, changed)


def same_content(record: Record, table: TableName, now: Member, path: Path, stored: Stored) -> bool:
    """True if the rows in a file are the archive's.

    Compares digests, then line by line: a run over many tenants reads rows in physical order, and of an adopted archive
    no record says which run made it.
    """
    archived = record.members[layout.member(table)]
    if now == archived or (now.rows, now.bytes) != (archived.rows, archived.bytes):
        return now == archived
    with stored.open(record) as archive, archive.open(layout.member(table)) as rows, path.open("rb") as live:
        return sorted(rows) == sorted(live)


def difference(table: TableName, archived: int, now: int) -> str:
    """Return a table whose rows changed as text, with both counts."""
    return f"{table} ({archived} rows archived, {now} now)"


def refusal(model: Model, record: Record, changed: list[str]) -> RefusedError:
    """Return the error for a tenant whose rows changed."""
    return RefusedError(
        f"Deleting {model.tenant.noun} {record.tenant_id} refused: rows changed since they were archived: "
        f"{', '.join(changed)}.",
        hint="It stays live, unchanged. Run the same command again: it archives the rows as they are then.",
    )


def prove_shape(placement: Placement) -> None:
    """Raise RefusedError if a table's definition has changed since its rows were archived."""
    for database, session in placement.sessions.items():
        if read_schema(session, placement.schemas[database].tables) != placement.schemas[database]:
            raise RefusedError(
                f"Deleting refused: a table's definition on {session.where} has changed since its rows were archived.",
                hint="A migration is running there. Run the same command again when it has finished.",
            )
