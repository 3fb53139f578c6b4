"""Archives as text: records, log entries, verifications, and the results of a search; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from archiver.checks.night_progress import NightProgress
from archiver.records.archive_record import Record
from archiver.records.audit_log import Entry
from archiver.records.purge_record import Purge
from archiver.records.retained_rows import RetainedRow
from archiver.store.bucket import StoredObject
from formatting import many, plural, size
from inventory.catalog import DEFAULT_DEPTH
from runbooks.cli.tables import TextTable

if TYPE_CHECKING:
    pass

SHOWN = 20  # keys of a table


def record_table(noun: str, records: Iterable[Record]) -> TextTable:
    """Return a table of records."""
    columns = ("year", noun, "name", "state", "rows", "size", "archived", "verified")
    return TextTable(columns, [_record_row(record) for record in records], numbers=("year", noun, "rows", "size"))


def _record_row(record: Record) -> tuple[str, ...]:
    name = printable(record.tenant_name)
    state = "partial" if record.partial else record.state.value
    state += f" ({record.depth})" if record.depth != DEFAULT_DEPTH else ""
    figures = f"{record.rows:,}", size(record.size or 0)
    dates = _minute(record.archived_at), _minute(record.proved_at)
    return str(record.year), str(record.tenant_id), name, state, *figures, *dates


def printable(text: str) -> str:
    """Return a text without characters that would change what a terminal shows."""
    return "".join(character if character.isprintable() else "?" for character in text)


def record_text(
    noun: str, record: Record, groups: Mapping[str, Sequence[str]], entries: int
) -> Iterator[str | TextTable]:
    """Yield a record with all its fields, and its tables by group; `entries` is the number of its log entries."""
    customer = f", customer {record.customer_id} {record.customer_name!r}" if record.customer_id is not None else ""
    yield f"{noun} {record.tenant_id} {record.tenant_name!r}{customer}"
    yield f"year {record.year}, from {record.shard}, depth {record.depth}, state {record.state.value}"
    if record.partial:
        yield f"partial: {', '.join(map(str, record.partial))} live again, the rest only in this archive"
    yield f"{record.location}"
    yield f"{size(record.size or 0)} ({record.size} bytes), md5 {record.md5}, sha256 {record.sha256}"
    yield f"encrypted to {' and '.join(record.recipients)}" if record.recipients else "not encrypted"
    extract, restore = _seconds(record.seconds_to_extract), _seconds(record.seconds_to_restore)
    yield f"extracted in {extract}, test-restored in {restore}"
    if record.reason:
        yield f"reason: {printable(record.reason)}"
    yield f"by {record.operator} on {record.host}, started {_second(record.started_at)}"
    archived, verified = _second(record.archived_at), _second(record.proved_at)
    yield f"archived {archived}, last verified {verified}, entries in the log: {entries}"
    yield _member_table(record, groups)


def _member_table(record: Record, groups: Mapping[str, Sequence[str]]) -> TextTable:
    """Return the tables of an archive below their groups, with those last that the catalog has no more."""
    members = {name.removesuffix(".copy").replace("/", "."): member for name, member in record.members.items()}
    grouped = {table for tables in groups.values() for table in tables}
    rows: list[tuple[str, ...]] = []
    for group, tables in {**groups, "no longer in the catalog": sorted(members.keys() - grouped)}.items():
        archived = [table for table in tables if table in members]
        rows += [(f"{group}:", "", "", "")] if archived else []
        for table in archived:
            member = members[table]
            rows.append((f"  {table}", f"{member.rows:,}", f"{record.kept.get(table, 0):,}", size(member.bytes)))
    return TextTable(("table", "rows", "left live", "size"), rows, numbers=("rows", "left live", "size"))


def retained_lines(noun: str, left: Iterable[RetainedRow]) -> Iterator[str]:
    """Yield the rows that an archive left live, by their keys: another tenant needs them, or the depth says so."""
    keys: dict[str, list[str]] = {}
    for row in left:
        keys.setdefault(row.table, []).append(row.key.strip("()"))
    if keys:
        yield f"left live, for another {noun} or by the depth; the last archive that needs a row deletes it:"
    for table, of_table in keys.items():
        more = f" and {len(of_table) - SHOWN} more (--json has all)" if len(of_table) > SHOWN else ""
        yield f"  {table}: {', '.join(of_table[:SHOWN])}{more}"


def unreferenced_table(objects: Iterable[StoredObject]) -> TextTable:
    """Return a table of objects that no record references."""
    rows = [(_second(stored.modified), size(stored.size), stored.location) for stored in objects]
    return TextTable(("stored", "size", "object"), rows, numbers=("size",))


def found_lines(
    noun: str, what: str, holders: Sequence[Record], unindexed: Sequence[Record], purges: Sequence[Purge] = ()
) -> Iterator[str]:
    """Yield the archives that hold a row, and those that could not be searched."""
    yield from map(purge_line, purges)
    for record in holders:
        yield f"{noun} {record.tenant_id} of {record.year}: {record.state.value}, {record.location}"
    if not holders and not purges:
        yield f"No archive holds {what}."
    if unindexed:
        schools = ", ".join(f"{record.tenant_id} of {record.year}" for record in unindexed)
        yield f"Not searched, because the archive has no index of ids, {noun}: {schools}."
        yield "hint: inv archive.verify writes it."


def purge_line(purge: Purge) -> str:
    """Return a purge in a list."""
    when = f"{purge.started_at:%Y-%m-%d %H:%M} UTC by {purge.operator}"
    users = f"{many(len(purge.ids), 'user')} not seen since {purge.before:%Y-%m-%d}"
    line = f"purge {purge.id} of {when}: {purge.state.value}, {users}"
    line += f" ({', '.join(map(str, purge.ids))})"
    line += f", {purge.location}" if purge.location else ""
    return line + (f"; restored by {purge.restored_by}" if purge.restored_by else "")


def log_line(noun: str, entry: Entry) -> str:
    """Return an entry of the log: operator, act, tenant, counts and digests."""
    who = f"{entry.operator}@{entry.host}"
    details = ", ".join(f"{name} {_said(value)}" for name, value in entry.details.items() if value not in (None, {}))
    subject = f"{noun} {entry.tenant_id} of {entry.year}" if entry.year else "the log"
    return f"{_second(entry.at)}  {who}  {entry.act}  {subject}: {details}"


def progress_lines(noun: str, night: NightProgress) -> Iterator[str | TextTable]:
    """Yield the progress of a night, in a screen."""
    yield f"night {night.night}: {night.begun:,} of {many(night.begun + night.waiting, noun)} begun"
    rows = [("waiting", f"{night.waiting:,}", "", "")]
    for standing in night.standings:
        rows.append((standing.state.value, f"{standing.tenants:,}", f"{standing.rows:,}", size(standing.size)))
    yield TextTable(("state", plural(noun), "rows", "size"), rows, numbers=(plural(noun), "rows", "size"))
    if night.began:
        yield f"since {_second(night.began)}: {night.verified:,} verified{_rate(night, noun)}"
    yield f"at work: {', '.join(night.at_work) or 'none'}"


def _rate(night: NightProgress, noun: str) -> str:
    if night.per_minute is None:
        return ""
    return f", the last at {night.last:%H:%M:%S} UTC, {night.per_minute:,.0f} {plural(noun)} a minute"


def _said(value: object) -> str:
    """Return a detail of the log; counts by table are summed at any depth."""
    if isinstance(value, dict):
        return f"{_sum(value):,} rows"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _sum(counts: Mapping[str, Any]) -> int:
    return sum(_sum(value) if isinstance(value, dict) else value for value in counts.values())


def _seconds(value: float | None) -> str:
    return f"{value:.2f} s" if value is not None else "-"


def _second(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "-"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
