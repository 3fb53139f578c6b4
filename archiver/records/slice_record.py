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
from archiver.records import ledger, month_record
from archiver.records.month_record import Month
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from inventory.keys import Key, key_order, key_text


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
        return f"slice {key_text(self.tenant_id)} went"

    @property
    def restore_act(self) -> str:
        """The act of the marker of its restore, in the shard."""
        return f"slice {key_text(self.tenant_id)} restored"

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
        write(session, month, slices)
        return month_record.advance(session, month, State.STORED, **vars(digests))


def write(session: Session, month: Month, slices: Sequence[Slice]) -> None:
    """Write the position of each slice in a month's object. Call it in the transaction of the month's record."""
    session.execute(
        "INSERT INTO archiver.members (kind, archive_id, key, start, size, sha256, rows)"
        " SELECT %s, %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb[])",
        (
            *(Kind.MONTH.value, month.id, [key_text(month_slice.tenant_id) for month_slice in slices]),
            *([getattr(month_slice, name) for month_slice in slices] for name in ("start", "size", "sha256")),
            [json.dumps(month_slice.rows) for month_slice in slices],
        ),
        doing="writing the month's record",
    )


def deleted(
    session: Session, month_slice: Slice, rows: Mapping[str, int], stayed: Mapping[str, Sequence[str]]
) -> Slice:
    """Write the deleted rows of a slice. Call it in the transaction of the log entry."""
    session.execute(
        f"UPDATE archiver.members SET went = %s, stayed = %s {_ONE}",  # noqa: S608 - this file's own words
        (json.dumps(rows), json.dumps(stayed), *_one(month_slice)),
        doing="writing the deleted rows of a month",
    )
    return _read(session, "s.archive_id = %s AND s.key = %s", _one(month_slice)[1:])[0]


def rewritten(session: Session, month_slice: Slice) -> None:
    """Write a slice's position in an object that was written anew. Call it in the transaction of the month's record."""
    session.execute(
        f"UPDATE archiver.members SET start = %s, size = %s, sha256 = %s {_ONE}",  # noqa: S608 - this file's own words
        (month_slice.start, month_slice.size, month_slice.sha256, *_one(month_slice)),
        doing="writing the position of a month's slice",
    )


def delete(session: Session, month_slice: Slice) -> None:
    """Delete the record of a slice that is live again, or dropped, and the month's record if no slice is left."""
    query = f"DELETE FROM archiver.members {_ONE}"  # noqa: S608 - this file's own words
    session.execute(query, _one(month_slice), doing="deleting the record of a month's slice")
    if month_slice.month.state is State.ARCHIVED:
        month_record.forget_empty(session, month_slice.month)


def summaries(session: Session) -> tuple[MonthSummary, ...]:
    """Return a summary of every monthly archive, the oldest first; empty if nothing was ever archived."""
    if not ready(session):
        return ()
    by_month: dict[int, list[Slice]] = {}
    for month_slice in _read(session, "true", ()):
        by_month.setdefault(month_slice.id, []).append(month_slice)
    return tuple(
        MonthSummary(month=month, tenants=len(own), rows=sum(month_slice.deleted_rows for month_slice in own))
        for month in month_record.every(session)
        if (own := by_month.get(month.id, []))
    )


def of_archive(session: Session, month: Month) -> tuple[Slice, ...]:
    """Return the slices that are still recorded for an archive."""
    return _read(session, "s.archive_id = %s", (month.id,))


def members_with_rows(session: Session) -> dict[int, frozenset[str]]:
    """Return the members that hold rows, by the id of the archive's record; empty if nothing was ever archived."""
    if not ready(session):
        return {}
    query = "SELECT archive_id, array_agg(DISTINCT member) FROM archiver.members, jsonb_object_keys(rows) member"
    rows = session.rows(f"{query} WHERE kind = 'month' GROUP BY 1", doing="reading the members of months")
    return {number: frozenset(members) for number, members in rows}


def pending(session: Session, month: Month) -> tuple[Slice, ...]:
    """Return the slices without a record of their deletion."""
    return _read(session, "s.archive_id = %s AND s.went IS NULL", (month.id,))


def is_pending(session: Session, month_slice: Slice) -> bool:
    """True if a slice is still recorded, without a record of its deletion."""
    return bool(_read(session, "s.archive_id = %s AND s.key = %s AND s.went IS NULL", _one(month_slice)[1:]))


def of_month(session: Session, month: str, tenant_id: Key | None = None) -> tuple[Slice, ...]:
    """Return a month's slices, of all tenants or of one, with rows that may be only in the archive; latest first."""
    condition = "m.key = %s AND m.state IN (%s, %s) AND (%s::text IS NULL OR s.key = %s)"
    key = None if tenant_id is None else key_text(tenant_id)
    return _read(session, condition, (key_text(month), State.DELETING.value, State.ARCHIVED.value, key, key))


def of_tenant(session: Session, tenant_id: Key) -> tuple[Slice, ...]:
    """Return a tenant's slices with deleted rows, the latest first: rows of an earlier one may be below its rows."""
    return _read(session, "s.key = %s AND s.went IS NOT NULL", (key_text(tenant_id),))


def of_year(session: Session, tenant_id: Key, year: int) -> tuple[Slice, ...]:
    """Return a tenant's slices of a school year's months, also without deleted rows; the latest first."""
    return _read(session, "s.key = %s AND m.year = %s", (key_text(tenant_id), year))


def interrupted(session: Session, tenant_id: Key) -> tuple[Slice, ...]:
    """Return a tenant's slices whose deletion was interrupted: rows may be deleted that no record names."""
    condition = "s.key = %s AND s.went IS NULL AND m.state = %s"
    return _read(session, condition, (key_text(tenant_id), State.DELETING.value))


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Slice, ...]:
    """Return the slices that meet a condition over months `m` and slices `s`, the latest archive first."""
    query = (
        f"SELECT s.archive_id, s.key, {', '.join(f's.{name}' for name in _COLUMNS)} FROM archiver.members s"  # noqa: S608 - this file's own words
        f" JOIN archiver.archives m ON (m.kind, m.id) = (s.kind, s.archive_id) WHERE m.kind = %s AND {condition}"
    )
    rows = session.rows(query, (Kind.MONTH.value, *args), doing="reading the months' records")
    by_id = {month.id: month for month in month_record.of_ids(session, [row[0] for row in rows])}
    slices = [_slice(session, by_id[row[0]], row[1], row[2:]) for row in rows]
    return tuple(sorted(slices, key=lambda each: (-each.id, key_order(each.tenant_id))))


def _slice(session: Session, month: Month, key: str, values: Sequence[Any]) -> Slice:
    tenant_id = ledger.key_in(session, Kind.MONTH, month.id, key)
    return Slice(month=month, tenant_id=tenant_id, **dict(zip(_COLUMNS, values, strict=True)))


def _one(month_slice: Slice) -> tuple[str, int, str]:
    return Kind.MONTH.value, month_slice.id, key_text(month_slice.tenant_id)


_ONE = "WHERE kind = %s AND archive_id = %s AND key = %s"
_COLUMNS = [field.name for field in fields(Slice) if field.name not in ("month", "tenant_id")]
