"""Archives of past months as text; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from archiver.load.load import Loaded
from archiver.records.cutoff import Span
from archiver.records.slice_record import MonthSummary, Slice
from formatting import many, size
from runbooks.cli.outcomes import Words, failure
from runbooks.cli.tables import TextTable
from runbooks.cli.text.archives import counts, restored_besides, restored_verb

if TYPE_CHECKING:
    from archiver.runs.month_result import ShardMonths
    from archiver.runs.monthly import MonthsOutcome
    from archiver.runs.monthly_restore import Returned, TenantOnShard


def span_line(span: Span, zone: ZoneInfo) -> str:
    """Return the end of the span that is archived."""
    return f"activity that ended by the end of {span.month}: before {span.before.astimezone(zone):%Y-%m-%d %H:%M %Z}"


@dataclass(frozen=True, kw_only=True)
class MonthWords(Words["ShardMonths", None]):
    """The words for shards of which past months are archived."""

    tenant: str  # the catalog's noun

    def label(self, item: ShardMonths) -> str:
        """Return the shard's name."""
        return item.name

    def done(self, outcome: MonthsOutcome) -> str:
        """Return the rows of a shard that were archived."""
        shard = outcome.item
        if not (rows := shard.deleted.total()):
            return f"nothing {self.verb}"
        orphans = f" ({shard.orphan_rows:,} of no {self.tenant})" if shard.orphan_rows else ""
        whose = f"{many(rows, 'row')} of {many(shard.tenants, self.tenant)}{orphans}"
        return f"{self.verb}, {whose}, {size(shard.size)}, {outcome.seconds:.1f} s"

    def more(self, outcome: MonthsOutcome) -> Iterator[str]:
        """Yield what stays live, and why."""
        shard = outcome.item
        if shard.held_back:
            yield f"retained because rows below them are: {counts(shard.held_back)}"
        if changed := _tables(shard.changed):
            yield f"changed or in use, left live: {counts(changed)}"
        if shard.appeared:
            yield f"NOT ARCHIVED (added after verification, still live): {counts(shard.appeared)}"
        if shard.on_hold:
            yield f"{many(shard.on_hold, self.tenant)} on hold: restored and not released, or half moved"
        if shard.stopped:
            yield "stopped here, the next run continues"

    def line(self, outcome: MonthsOutcome) -> str:
        """Return what was archived of a shard, with its failures below: one part may fail, and the rest be done."""
        shard = outcome.item
        text = f"{shard.name}: " + "; ".join([self.done(outcome), *self.more(outcome)])
        raised = [outcome.error] if outcome.error and outcome.error not in shard.errors else []
        return "\n".join([text, *(failure(shard.name, error) for error in (*shard.errors, *raised))])

    def summary(self, outcomes: Sequence[MonthsOutcome]) -> str:
        """Return the summary of a run."""
        shards = [outcome.item for outcome in outcomes]
        rows, archives = sum(shard.deleted.total() for shard in shards), sum(shard.archives for shard in shards)
        failed = sum(1 for outcome in outcomes if outcome.error)
        text = f"{many(rows, 'row')} {self.verb} in {many(archives, 'archive')}, "
        text += size(sum(shard.size for shard in shards))
        return text + (f"; {failed} of {many(len(shards), self.noun)} FAILED" if failed else "")


def month_words(noun: str, *, pretend: bool) -> MonthWords:
    """Return the words for shards of which past months are archived."""
    return MonthWords(noun="shard", tenant=noun, verb="would be archived" if pretend else "archived")


@dataclass(frozen=True, kw_only=True)
class MonthRestoreWords(Words["TenantOnShard", Mapping[str, Loaded]]):
    """The words for tenants of which a month is restored."""

    month: str
    pretend: bool

    def label(self, item: TenantOnShard) -> str:
        """Return whose rows are restored."""
        return f"{self.noun} {item.tenant_id}" if item.tenant_id else f"rows of no {self.noun} on {item.shard}"

    def weight(self, item: TenantOnShard) -> int:
        """Return the bytes of a tenant's month."""
        return item.size

    def done(self, outcome: Returned) -> str:
        """Return what was restored."""
        return f"{self.month} {super().done(outcome)}"

    def more(self, outcome: Returned) -> Iterator[str]:
        """Yield what was live."""
        return restored_besides(outcome.result())

    def conclusion(self, done: Sequence[Returned]) -> Iterator[str]:
        """Yield that these tenants are on hold."""
        if not self.pretend and any(outcome.item.tenant_id for outcome in done):
            yield "on hold for monthly runs until inv archive.release"


def month_restore_words(noun: str, month: str, *, pretend: bool) -> MonthRestoreWords:
    """Return the words for tenants of which a month is restored."""
    return MonthRestoreWords(noun=noun, verb=restored_verb(pretend=pretend), month=month, pretend=pretend)


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
