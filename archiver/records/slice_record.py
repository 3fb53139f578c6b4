"""The record of a tenant's slice of such an archive: where in the object it lies, and which of its rows went."""

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
from archiver.store.bucket import Digests


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One tenant's rows in such an archive: an archive in itself."""

    month: Month
    tenant_id: int  # 0: rows whose parents are gone
    start: int  # where in the object it begins, in bytes
    size: int  # bytes
    sha256: str
    rows: Mapping[str, int]  # by member, where there are any
    # By member: of so many rows, in their order, the deletion was decided. None: it has not begun, or was cut off.
    went: Mapping[str, int] | None
    stayed: Mapping[str, Sequence[str]] | None  # by member: keys of those among them that changed, and stayed live

    @property
    def id(self) -> int:
        """The number of its archive's record."""
        return self.month.id

    @property
    def year(self) -> int:
        """The school year of its month."""
        return self.month.year

    @property
    def deletion_act(self) -> str:
        """What the marker of its deletion is called, in the shard."""
        return f"slice {self.tenant_id} went"

    @property
    def restore_act(self) -> str:
        """What the marker of its way back is called there."""
        return f"slice {self.tenant_id} restored"

    def name(self, noun: str) -> str:
        """The name of its file, as a member of the object."""
        ending = layout.ENCRYPTED if self.month.recipients else ""
        return f"{layout.tarball(noun, self.month.month, self.tenant_id)}{ending}"

    @property
    def deleted_rows(self) -> int:
        """How many of its rows are in the archive only."""
        return sum((self.went or {}).values()) - sum(map(len, (self.stayed or {}).values()))


@dataclass(frozen=True, kw_only=True)
class MonthSummary:
    """An archive, and how much is in it only."""

    month: Month
    tenants: int
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Plain data, times in ISO format."""
        plain = {**asdict(self.month), "state": self.month.state.value, "tenants": self.tenants, "rows": self.rows}
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in plain.items()}


def stored(session: Session, month: Month, digests: Digests, wanted: Sequence[Slice]) -> Month:
    """Writes that the object lies in the store, and where in it each slice begins."""
    with session.transaction(doing="writing the month's record"):
        session.execute(
            "INSERT INTO archiver.month_slices (month_id, tenant_id, start, size, sha256, rows)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb[])",
            (
                month.id,
                *([getattr(one, name) for one in wanted] for name in ("tenant_id", "start", "size", "sha256")),
                [json.dumps(one.rows) for one in wanted],
            ),
            doing="writing the month's record",
        )
        return month_record.advance(
            session, month, ArchiveState.STORED, size=digests.size, md5=digests.md5, sha256=digests.sha256
        )


def deleted(session: Session, one: Slice, rows: Mapping[str, int], stayed: Mapping[str, Sequence[str]]) -> Slice:
    """Writes which rows of a slice went; belongs into the transaction of the log's entry."""
    session.execute(
        "UPDATE archiver.month_slices SET went = %s, stayed = %s WHERE month_id = %s AND tenant_id = %s",
        (json.dumps(rows), json.dumps(stayed), one.id, one.tenant_id),
        doing="writing what went of a month",
    )
    return read(session, "s.month_id = %s AND s.tenant_id = %s", (one.id, one.tenant_id))[0]


def reencrypted(session: Session, one: Slice) -> None:
    """Writes where in its archive's new object a slice lies; belongs into the transaction of the month's record."""
    session.execute(
        "UPDATE archiver.month_slices SET start = %s, size = %s, sha256 = %s WHERE month_id = %s AND tenant_id = %s",
        (one.start, one.size, one.sha256, one.id, one.tenant_id),
        doing="writing where a month's slice lies",
    )


def delete(session: Session, one: Slice) -> None:
    """Takes a slice out of the record, and the record with the last of them: its rows are live."""
    session.execute(
        "DELETE FROM archiver.month_slices WHERE month_id = %s AND tenant_id = %s",
        (one.id, one.tenant_id),
        doing="writing that a month's rows are live",
    )
    if one.month.state is ArchiveState.ARCHIVED:
        month_record.forget_empty(session, one.month)


def summaries(session: Session) -> tuple[MonthSummary, ...]:
    """Every archive and what is only there, the oldest first; none where nothing was ever archived."""
    if not ready(session):
        return ()
    by_month: dict[int, list[Slice]] = {}
    for one in read(session, "true", ()):
        by_month.setdefault(one.id, []).append(one)
    return tuple(
        MonthSummary(month=month, tenants=len(own), rows=sum(one.deleted_rows for one in own))
        for month in month_record.read(session, "true", ())
        if (own := by_month.get(month.id, []))
    )


def of_archive(session: Session, month: Month) -> tuple[Slice, ...]:
    """All slices that are still in one archive."""
    return read(session, "s.month_id = %s", (month.id,))


def members_with_rows(session: Session) -> dict[int, frozenset[str]]:
    """The members that hold rows, by the number of each archive's record; none where nothing was ever archived."""
    if not ready(session):
        return {}
    query = "SELECT month_id, array_agg(DISTINCT member) FROM archiver.month_slices, jsonb_object_keys(rows) member"
    rows = session.rows(f"{query} GROUP BY 1", doing="reading what months hold")
    return {number: frozenset(members) for number, members in rows}


def pending(session: Session, month: Month) -> tuple[Slice, ...]:
    """The slices of which nobody wrote what went."""
    return read(session, "s.month_id = %s AND s.went IS NULL", (month.id,))


def is_pending(session: Session, one: Slice) -> bool:
    """Whether a slice is still there, and nobody wrote what went of it."""
    found = read(session, "s.month_id = %s AND s.tenant_id = %s AND s.went IS NULL", (one.id, one.tenant_id))
    return bool(found)


def of_month(session: Session, month: str, tenant_id: int | None = None) -> tuple[Slice, ...]:
    """The slices of a month, of all tenants or of one, of which rows may be in the archive only; the latest first."""
    condition = "m.month = %s AND m.state IN (%s, %s) AND (%s IS NULL OR s.tenant_id = %s)"
    return read(
        session, condition, (month, ArchiveState.DELETING.value, ArchiveState.ARCHIVED.value, tenant_id, tenant_id)
    )


def of_tenant(session: Session, tenant_id: int) -> tuple[Slice, ...]:
    """A tenant's slices of which rows went, the latest first: what is in an earlier one may lie below what it holds."""
    return read(session, "s.tenant_id = %s AND s.went IS NOT NULL", (tenant_id,))


def interrupted(session: Session, tenant_id: int) -> tuple[Slice, ...]:
    """A tenant's slices of which rows may have gone, and nobody wrote which."""
    condition = "s.tenant_id = %s AND s.went IS NULL AND m.state = %s"
    return read(session, condition, (tenant_id, ArchiveState.DELETING.value))


def read(session: Session, condition: str, args: Sequence[object]) -> tuple[Slice, ...]:
    """The slices that a condition over months `m` and slices `s` finds, the latest archive first."""
    names = [field.name for field in fields(Slice) if field.name != "month"]
    listed = ", ".join(f"s.{name}" for name in names)
    query = (
        f"SELECT s.month_id, {listed} FROM archiver.month_slices s JOIN archiver.months m ON m.id = s.month_id"  # noqa: S608 - this file's own words
        f" WHERE {condition} ORDER BY m.id DESC, s.tenant_id"
    )
    rows = session.rows(query, args, doing="reading the months' records")
    by_id = {month.id: month for month in month_record.read(session, "id = ANY(%s)", ([row[0] for row in rows],))}
    return tuple(Slice(month=by_id[row[0]], **dict(zip(names, row[1:], strict=True))) for row in rows)
