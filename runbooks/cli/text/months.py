"""Archives of past months as text; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from archiver.load.load import Loaded
from archiver.records.cutoff import Span
from archiver.records.slice_record import MonthSummary, Slice
from archiver.runs.month_result import Shard
from archiver.runs.monthly_restore import Returned
from formatting import many, size
from runbooks.cli.tables import TextTable
from runbooks.cli.text.archives import counts, failure


def span_line(span: Span, zone: ZoneInfo) -> str:
    """Return the end of the span that is archived."""
    return f"activity that ended by the end of {span.month}: before {span.before.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def shard_line(noun: str, shard: Shard, *, pretend: bool) -> str:
    """Return the outcome of a shard, in a line, with its failures below."""
    verb = "would be archived" if pretend else "archived"
    text = f"{shard.name}: nothing {verb}"
    if rows := shard.deleted.total():
        text = f"{shard.name}: {many(rows, 'row')} of {many(shard.tenants, noun)} {verb}"
        text += f" ({shard.orphan_rows:,} of no {noun})" if shard.orphan_rows else ""
        text += f", {size(shard.size)}, {shard.seconds:.1f} s"
    text += f"; retained because rows below them are: {counts(shard.held_back)}" if shard.held_back else ""
    changed = _tables(shard.changed)
    text += f"; changed or in use, left live: {counts(changed)}" if changed else ""
    text += f"; NOT ARCHIVED (added after verification, still live): {counts(shard.appeared)}" if shard.appeared else ""
    text += f"; {many(shard.on_hold, noun)} on hold: restored and not released, or half moved" if shard.on_hold else ""
    text += "; stopped here, the next run continues" if shard.stopped else ""
    return "\n".join([text, *(failure(shard.name, error) for error in shard.errors)])


def summary(shards: Sequence[Shard], *, pretend: bool) -> str:
    """Return the summary of a run."""
    rows, archives = sum(shard.deleted.total() for shard in shards), sum(shard.archives for shard in shards)
    failed = sum(1 for shard in shards if shard.error)
    verb = "would be archived" if pretend else "archived"
    text = f"{many(rows, 'row')} {verb} in {many(archives, 'archive')}, {size(sum(shard.size for shard in shards))}"
    return text + (f"; {failed} of {many(len(shards), 'shard')} FAILED" if failed else "")


def returned_line(noun: str, month: str, returned: Returned, *, pretend: bool) -> str:
    """Return the outcome of one tenant's month, in a line."""
    who = f"{noun} {returned.tenant_id}" if returned.tenant_id else f"rows of no {noun}"
    if returned.error:
        return failure(who, returned.error)
    verb = "verified, would be restored" if pretend else "restored"
    total = sum(returned.tables.values(), Loaded())
    text = f"{who}: {month} {verb}, {many(total.inserted, 'row')}, {returned.seconds:.1f} s"
    text += f"; {total.there:,} were live already" if total.there else ""
    return text + (f"; {total.differing:,} live rows that differ from the archive stayed" if total.differing else "")


def returned_summary(outcomes: Sequence[Returned], *, pretend: bool) -> str:
    """Return the summary of the restore of a month, and its consequence."""
    failed = sum(1 for outcome in outcomes if outcome.error)
    verb = "would be restored" if pretend else "restored"
    inserted = sum(loaded.inserted for outcome in outcomes for loaded in outcome.tables.values())
    text = f"{many(inserted, 'row')} {verb}"
    text += f"; {failed} FAILED" if failed else ""
    alone = [outcome for outcome in outcomes if outcome.tenant_id and not outcome.error]
    return text + ("; on hold for monthly runs until inv archive.release" if alone and not pretend else "")


def list_table(rows: Sequence[MonthSummary]) -> TextTable:
    """Return a table of the archives of past months."""
    columns = ("month", "shard", "state", "slices", "rows", "size", "archived", "location")
    return TextTable(columns, [_list_row(row) for row in rows], numbers=("slices", "rows", "size"))


def _list_row(row: MonthSummary) -> tuple[str, ...]:
    month = row.month
    when = f"{month.archived_at:%Y-%m-%d %H:%M}" if month.archived_at else "-"
    figures = str(row.tenants), f"{row.rows:,}", size(month.size or 0)
    return month.month, month.shard, month.state.value, *figures, when, month.location


def slice_lines(slices: Sequence[Slice]) -> Iterator[str]:
    """Yield the archived months of one tenant, which are restored with it."""
    if slices:
        yield "archived before, month by month, and restored with it:"
    for part in slices:
        yield f"  {part.month.month}: {part.deleted_rows:,} rows, {size(part.size)}, in {part.month.location}"


def _tables(members: Mapping[str, int]) -> Counter[str]:
    """Return rows by table, without empty tables."""
    return +Counter({name.removesuffix(".copy").replace("/", "."): rows for name, rows in members.items()})
