"""The record of a tenant's slice of a monthly archive: its position in the object, and its deleted rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from archiver.format import layout
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import month_record
from archiver.records.archive_record import ArchiveState
from archiver.records.month_record import Month
from archiver.store.bucket import StoredDigests
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One tenant's rows in a monthly archive: an archive by itself."""

    month: Month
    tenant_id: Key  # 0: orphan rows, whose parents no longer exist
    start: int  # offset in the object, in bytes
    size: int  # bytes
    sha256: str
    rows: Mapping[str, int]  # number of rows by member, without empty members
    # By member: the number of rows, in their order, that the deletion decided on. None: not begun, or interrupted.
    went: Mapping[str, int] | None
    stayed: Mapping[str, Sequence[str]] | None  # by member: keys of those rows that had changed, and stay live

    @property
    def id(self) -> int:
        """The id of the archive's record."""
        return self.month.id

    @property
    def year(self) -> int:
        """The school year of the month."""
        return self.month.year

    @property
    def deletion_act(self) -> str:
        """The act of the marker of its deletion, in the shard."""
        return f"slice {self.tenant_id} went"

    @property
    def restore_act(self) -> str:
        """The act of the marker of its restore, in the shard."""
        return f"slice {self.tenant_id} restored"

    def name(self, noun: str) -> str:
        """Return the name of its file, as a member of the object."""
        ending = layout.ENCRYPTED if self.month.recipients else ""
        return f"{layout.tarball(noun, self.month.month, self.tenant_id)}{ending}"

    @property
    def deleted_rows(self) -> int:
        """The number of its rows that are only in the archive."""
        return sum((self.went or {}).values()) - sum(map(len, (self.stayed or {}).values()))


@dataclass(frozen=True, kw_only=True)
class MonthSummary:
    """A monthly archive, and the number of rows that are only in it."""

    month: Month
    tenants: int
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with times in ISO format."""
        plain = {**asdict(self.month), "state": self.month.state.value, "tenants": self.tenants, "rows": self.rows}
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in plain.items()}


def stored(session: Session, month: Month, digests: StoredDigests, slices: Sequence[Slice]) -> Month:
    """Write that the object is in the store, and the position of each slice in it."""
    with session.transaction(doing="writing the month's record"):
        session.execute(
            "INSERT INTO archiver.month_slices (month_id, tenant_id, start, size, sha256, rows)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb[])",
            (
                month.id,
                *(
                    [getattr(month_slice, name) for month_slice in slices]
                    for name in ("tenant_id", "start", "size", "sha256")
                ),
                [json.dumps(month_slice.rows) for month_slice in slices],
            ),
            doing="writing the month's record",
        )
        return month_record.advance(session, month, ArchiveState.STORED, **vars(digests))


def deleted(
    session: Session, month_slice: Slice, rows: Mapping[str, int], stayed: Mapping[str, Sequence[str]]
) -> Slice:
    """Write the deleted rows of a slice. Call it in the transaction of the log entry."""
    session.execute(
        "UPDATE archiver.month_slices SET went = %s, stayed = %s WHERE month_id = %s AND tenant_id = %s",
        (json.dumps(rows), json.dumps(stayed), month_slice.id, month_slice.tenant_id),
        doing="writing the deleted rows of a month",
    )
    return read(session, "s.month_id = %s AND s.tenant_id = %s", (month_slice.id, month_slice.tenant_id))[0]


def reencrypted(session: Session, month_slice: Slice) -> None:
    """Write a slice's position in the reencrypted object. Call it in the transaction of the month's record."""
    session.execute(
        "UPDATE archiver.month_slices SET start = %s, size = %s, sha256 = %s WHERE month_id = %s AND tenant_id = %s",
        (month_slice.start, month_slice.size, month_slice.sha256, month_slice.id, month_slice.tenant_id),
        doing="writing the position of a month's slice",
    )


def delete(session: Session, month_slice: Slice) -> None:
    """Delete the record of a slice whose rows are live, and the month's record if no slice is left."""
    session.execute(
        "DELETE FROM archiver.month_slices WHERE month_id = %s AND tenant_id = %s",
        (month_slice.id, month_slice.tenant_id),
        doing="writing that a month's rows are live",
    )
    if month_slice.month.state is ArchiveState.ARCHIVED:
        month_record.forget_empty(session, month_slice.month)


def summaries(session: Session) -> tuple[MonthSummary, ...]:
    """Return a summary of every monthly archive, the oldest first; empty if nothing was ever archived."""
    if not ready(session):
        return ()
    by_month: dict[int, list[Slice]] = {}
    for month_slice in read(session, "true", ()):
        by_month.setdefault(month_slice.id, []).append(month_slice)
    return tuple(
        MonthSummary(month=month, tenants=len(own), rows=sum(month_slice.deleted_rows for month_slice in own))
        for month in month_record.read(session, "true", ())
        if (own := by_month.get(month.id, []))
    )


def of_archive(session: Session, month: Month) -> tuple[Slice, ...]:
    """Return the slices that are still recorded for an archive."""
    return read(session, "s.month_id = %s", (month.id,))


def members_with_rows(session: Session) -> dict[int, frozenset[str]]:
    """Return the members that hold rows, by the id of the archive's record; empty if nothing was ever archived."""
    if not ready(session):
        return {}
    query = "SELECT month_id, array_agg(DISTINCT member) FROM archiver.month_slices, jsonb_object_keys(rows) member"
    rows = session.rows(f"{query} GROUP BY 1", doing="reading the members of months")
    return {number: frozenset(members) for number, members in rows}


def pending(session: Session, month: Month) -> tuple[Slice, ...]:
    """Return the slices without a record of their deletion."""
    return read(session, "s.month_id = %s AND s.went IS NULL", (month.id,))


def is_pending(session: Session, month_slice: Slice) -> bool:
    """True if a slice is still recorded, without a record of its deletion."""
    return bool(
        read(
            session, "s.month_id = %s AND s.tenant_id = %s AND s.went IS NULL", (month_slice.id, month_slice.tenant_id)
        )
    )


def of_month(session: Session, month: str, tenant_id: Key | None = None) -> tuple[Slice, ...]:
    """Return a month's slices, of all tenants or of one, with rows that may be only in the archive; latest first."""
    condition = "m.month = %s AND m.state IN (%s, %s) AND (%s IS NULL OR s.tenant_id = %s)"
    return read(
        session, condition, (month, ArchiveState.DELETING.value, ArchiveState.ARCHIVED.value, tenant_id, tenant_id)
    )


def of_tenant(session: Session, tenant_id: Key) -> tuple[Slice, ...]:
    """Return a tenant's slices with deleted rows, the latest first: rows of an earlier one may be below its rows."""
    return read(session, "s.tenant_id = %s AND s.went IS NOT NULL", (tenant_id,))


def interrupted(session: Session, tenant_id: Key) -> tuple[Slice, ...]:
    """Return a tenant's slices whose deletion was interrupted: rows may be deleted that no record names."""
    condition = "s.tenant_id = %s AND s.went IS NULL AND m.state = %s"
    return read(session, condition, (tenant_id, ArchiveState.DELETING.value))


def read(session: Session, condition: str, args: Sequence[object]) -> tuple[Slice, ...]:
    """Return the slices that meet a condition over months `m` and slices `s`, the latest archive first."""
    names = [field.name for field in fields(Slice) if field.name != "month"]
    columns = ", ".join(f"s.{name}" for name in names)
    query = (
        f"SELECT s.month_id, {columns} FROM archiver.month_slices s JOIN archiver.months m ON m.id = s.month_id"  # noqa: S608 - this file's own words
        f" WHERE {condition} ORDER BY m.id DESC, s.tenant_id"
    )
    rows = session.rows(query, args, doing="reading the months' records")
    by_id = {month.id: month for month in month_record.read(session, "id = ANY(%s)", ([row[0] for row in rows],))}
    return tuple(Slice(month=by_id[row[0]], **dict(zip(names, row[1:], strict=True))) for row in rows)
