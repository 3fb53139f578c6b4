"""What archives look like in a terminal: records, the log, proofs, and what a search found; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from archiver.checks.night_progress import NightProgress
from archiver.records.archive_record import Record
from archiver.records.audit_log import Entry
from archiver.records.purge_record import Purge
from archiver.records.retained_rows import RetainedRow
from archiver.runs.reverify import Reverified
from archiver.store.bucket import StoredObject
from formatting import many, plural, size
from runbooks.cli.text.archives import failure, whose

SHOWN = 20  # keys of a table


def record_lines(records: Iterable[Record]) -> Iterator[str]:
    """A table of records."""
    row = "{:>4}  {:>8}  {:<28}  {:<10}  {:<8}  {:>11}  {:>7}  {:<16}  {}"
    yield row.format("year", "school", "name", "state", "depth", "rows", "size", "archived", "proved")
    for record in records:
        name = "".join(character if character.isprintable() else "?" for character in record.tenant_name)[:28]
        state, depth = "partial" if record.partial else record.state.value, record.depth.value
        rows, bytes_ = f"{record.rows:,}", size(record.size or 0)
        dates = (_minute(record.archived_at), _minute(record.proved_at))
        yield row.format(record.year, record.tenant_id, name, state, depth, rows, bytes_, *dates)


def record_text(noun: str, record: Record, groups: Mapping[str, Sequence[str]], entries: int) -> Iterator[str]:
    """A record with all its fields, and its tables by group; `entries` is how many lines of the log are of it."""
    yield f"{noun} {record.tenant_id} {record.tenant_name!r}, customer {record.customer_id} {record.customer_name!r}"
    yield f"year {record.year}, from {record.shard}, depth {record.depth.value}, state {record.state.value}"
    if record.partial:
        yield f"partial: {', '.join(map(str, record.partial))} live again, the rest only here"
    yield f"{record.location}"
    yield f"{size(record.size or 0)} ({record.size} bytes), md5 {record.md5}, sha256 {record.sha256}"
    yield f"encrypted to {' and '.join(record.recipients)}" if record.recipients else "not encrypted"
    extract, restore = _seconds(record.seconds_to_extract), _seconds(record.seconds_to_restore)
    yield f"extracted in {extract}, restored for proof in {restore}"
    yield f"by {record.operator} on {record.host}, started {_second(record.started_at)}"
    archived, proved = _second(record.archived_at), _second(record.proved_at)
    yield f"archived {archived}, last proved {proved}, entries in the log: {entries}"
    yield f"{'rows':>11}  {'left live':>9}  {'size':>7}  table"
    counted = {name.removesuffix(".copy").replace("/", "."): member for name, member in record.members.items()}
    grouped = {table for tables in groups.values() for table in tables}
    for group, tables in {**groups, "not in the catalog any more": sorted(counted.keys() - grouped)}.items():
        there = [table for table in tables if table in counted]
        if there:
            yield f"{'':>31}  {group}:"
        for table in there:
            member = counted[table]
            yield f"{member.rows:>11,}  {record.kept.get(table, 0):>9,}  {size(member.bytes):>7}    {table}"


def retained_lines(left: Iterable[RetainedRow]) -> Iterator[str]:
    """The rows that an archive left live, by their keys: another tenant needs them, or the depth says so."""
    keys: dict[str, list[str]] = {}
    for row in left:
        keys.setdefault(row.table, []).append(row.key.strip("()"))
    if keys:
        yield "left live, for another school's sake or by the depth; an archive that needs one last deletes it:"
    for table, of_table in keys.items():
        more = f" and {len(of_table) - SHOWN} more (--json has all)" if len(of_table) > SHOWN else ""
        yield f"  {table}: {', '.join(of_table[:SHOWN])}{more}"


def unreferenced_line(stored: StoredObject) -> str:
    """An object that no record names."""
    return f"{_second(stored.modified)}  {size(stored.size):>7}  {stored.location}"


def found_lines(
    noun: str, what: str, found: Sequence[Record], unindexed: Sequence[Record], purges: Sequence[Purge] = ()
) -> Iterator[str]:
    """Which archives hold a row, and of which it cannot be said."""
    yield from map(purge_line, purges)
    for record in found:
        yield f"{noun} {record.tenant_id} of {record.year}: {record.state.value}, {record.location}"
    if not found and not purges:
        yield f"No archive holds {what}."
    if unindexed:
        schools = ", ".join(f"{record.tenant_id} of {record.year}" for record in unindexed)
        yield f"Not searched, for want of an index of ids, {noun}: {schools}."
        yield "hint: inv archive.verify writes it."


def purge_line(one: Purge) -> str:
    """A purge in a list."""
    when = f"{one.started_at:%Y-%m-%d %H:%M} UTC by {one.operator}"
    line = f"purge {one.id} of {when}: {one.state.value}, {len(one.ids)} people not seen since {one.before:%Y-%m-%d}"
    line += f" ({', '.join(map(str, one.ids))})"
    line += f", {one.location}" if one.location else ""
    return line + (f"; restored by {one.restored_by}" if one.restored_by else "")


def log_line(noun: str, entry: Entry) -> str:
    """An entry of the log: who did what to which tenant, with counts and digests."""
    who = f"{entry.operator}@{entry.host}"
    details = ", ".join(f"{name} {_said(value)}" for name, value in entry.details.items() if value not in (None, {}))
    return f"{_second(entry.at)}  {who}  {entry.act}  {noun} {entry.tenant_id} of {entry.year}: {details}"


def reverified_line(noun: str, proved: Reverified) -> str:
    """One archive's proof, in a line."""
    who = whose(noun, proved.record)
    if proved.error:
        return failure(who, proved.error)
    return f"{who}: proved, {proved.rows:,} rows, {size(proved.record.size or 0)}, {proved.seconds:.1f} s"


def reverify_summary(outcomes: Sequence[Reverified]) -> str:
    """What the proofs of several archives came to."""
    failed = sum(1 for proved in outcomes if proved.error)
    if not outcomes:
        return "Nothing to do: nothing is archived."
    return f"{len(outcomes) - failed} of {many(len(outcomes), 'archive')} proved" + (
        f"; {failed} FAILED" if failed else ""
    )


def progress_lines(noun: str, found: NightProgress) -> Iterator[str]:
    """How far a night is, in a screen."""
    row = "{:<10}  {:>7}  {:>13}  {:>8}"
    yield f"night {found.night}: {found.begun:,} of {many(found.begun + found.waiting, noun)} begun"
    yield row.format("", f"{plural(noun)}", "rows", "size")
    yield row.format("waiting", f"{found.waiting:,}", "", "")
    for one in found.standings:
        yield row.format(one.state.value, f"{one.tenants:,}", f"{one.rows:,}", size(one.size))
    if found.began:
        yield f"since {_second(found.began)}: {found.verified:,} verified{_rate(found, noun)}"
    yield f"at work: {', '.join(found.at_work) or 'nobody'}"


def _rate(found: NightProgress, noun: str) -> str:
    if found.per_minute is None:
        return ""
    return f", the last at {found.last:%H:%M:%S} UTC, {found.per_minute:,.0f} {plural(noun)} a minute"


def _said(value: object) -> str:
    """A detail of the log; counts by table are summed, however deep they stand."""
    if isinstance(value, dict):
        return f"{_sum(value):,} rows"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _sum(counts: Mapping[str, Any]) -> int:
    return sum(_sum(value) if isinstance(value, dict) else value for value in counts.values())


def _seconds(value: float | None) -> str:
    return f"{value:.2f} s" if value is not None else "-"


def _second(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "-"


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
