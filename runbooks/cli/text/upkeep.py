"""Upkeep of the databases as text; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from archiver.runs.upkeep import VacuumOutcome, undone
from archiver.vacuum import strays
from archiver.vacuum.bloat import Measured
from archiver.vacuum.feeds import Feed
from archiver.vacuum.rewrite import BloatFinding, Fate, Rewrite, Upkeep
from archiver.vacuum.strays import Stray
from formatting import many, size
from runbooks.cli.outcomes import Words


def found_line(upkeep: Upkeep, findings: Sequence[BloatFinding]) -> str:
    """Return a database's size and waste, before anything is done."""
    tables = [finding.measured for finding in findings]
    bloated = [table for table in tables if upkeep.wants(table)]
    total, waste = sum(table.bytes for table in tables), sum(table.waste for table in bloated)
    return f"{many(len(tables), 'table')}, {size(total)}; {len(bloated)} to rewrite, {size(waste)} of them waste"


def would_line(upkeep: Upkeep, finding: BloatFinding) -> str:
    """Return a table of a dry run, in a line."""
    measured = finding.measured
    if finding.error:
        return f"{measured.table}: could not be measured: {finding.error}"
    if not upkeep.wants(measured):
        return f"{measured.table}: would be skipped, {_why(measured)}"
    return f"{measured.table}: would be rewritten, {_waste(measured)}; needs {size(measured.need)} of free disk"


@dataclass(frozen=True, kw_only=True)
class VacuumWords(Words[BloatFinding, Rewrite]):
    """The words for the tables of a database that are rewritten or analyzed."""

    noun: str = "table"
    verb: str = "rewritten"
    upkeep: Upkeep
    database: str

    def label(self, item: BloatFinding) -> str:
        """Return a table with its database."""
        return f"{self.database} {item.measured.table}"

    def weight(self, item: BloatFinding) -> int:
        """Return the bytes to rewrite."""
        return item.measured.bytes if self.upkeep.wants(item.measured) else 0

    def done(self, outcome: VacuumOutcome) -> str:
        """Return what became of a table."""
        measured, rewrite = outcome.item.measured, outcome.result()
        match rewrite.fate:
            case Fate.REWRITTEN:
                return f"{size(rewrite.before)} → {size(rewrite.after)}, {outcome.seconds:.1f} s"
            case Fate.KEPT | Fate.FOREIGN:
                return f"skipped, {_why(measured)}"
            case Fate.NO_ROOM:
                return f"NO ROOM, it needs {size(measured.need)} of free disk, and has {size(rewrite.free)}"
            case Fate.WAITING:
                return "NOT ANALYZED, because not all of its partitions were"

    def summary(self, outcomes: Sequence[VacuumOutcome]) -> str:
        """Return the summary of a database."""
        rewrites = [outcome.detail for outcome in outcomes if outcome.detail]
        rewritten = [rewrite for rewrite in rewrites if rewrite.fate is Fate.REWRITTEN]
        failed = sum(map(undone, outcomes))
        total = sum(outcome.item.measured.bytes for outcome in outcomes)
        given = sum(rewrite.before - rewrite.after for rewrite in rewritten)
        text = f"{self.database}: {size(total)} → {size(total - given)}; {len(rewritten)} of "
        text += f"{many(len(outcomes), self.noun)} {self.verb}, {len(outcomes) - len(rewritten) - failed} skipped"
        return text + (f", {failed} FAILED" if failed else "")


@dataclass(frozen=True, kw_only=True)
class StrayWords(Words[Stray, None]):
    """The words for strays that are dropped."""

    noun: str = "stray"
    verb: str = "dropped"
    database: str

    def label(self, item: Stray) -> str:
        """Return a table with its database."""
        return f"{self.database} {item.table}"


def feed_lines(feeds: Sequence[Feed]) -> Iterator[str]:
    """Yield the tables that are to be emptied."""
    for feed in feeds:
        yield f"{feed.database} {feed.table}: {feed.rows:,} rows, {size(feed.bytes)}"
    if not feeds:
        yield "The catalog names no feeds."


def emptied_lines(before: Sequence[Feed], after: Sequence[Feed]) -> Iterator[str]:
    """Yield the space that emptying the feeds freed, by database; rows written meanwhile count against it."""
    for name in dict.fromkeys(feed.database for feed in before):
        was, left = (sum(feed.bytes for feed in feeds if feed.database == name) for feeds in (before, after))
        yield f"{name}: emptied, {size(max(was - left, 0))} freed"


def feeds_json(feeds: Sequence[Feed]) -> str:
    """Return the feeds for a script, with the sum of all rows."""
    return json.dumps({"rows": sum(feed.rows for feed in feeds), "feeds": [asdict(feed) for feed in feeds]})


def stray_lines(name: str, tables: Sequence[Stray], unwritten: timedelta) -> Iterator[str]:
    """Yield a database's strays, and their users."""
    unused = strays.droppable(tables, unwritten)
    for stray in tables:
        line = f"{name} {stray.table}: {stray.rows:,} rows, {size(stray.bytes)}"
        kind = "sequence" if len(stray.sequences) == 1 else "sequences"
        line += f", and the {kind} {', '.join(stray.sequences)}" if stray.sequences else ""
        yield line + ("; unused" if stray.table in unused else "; STAYS:")
        if stray.table not in unused:
            yield from (f"    {why}" for why in stray.refused(unused, unwritten))
    if not tables:
        yield f"{name}: no strays"


def _why(measured: Measured) -> str:
    """Return the reason why a table is skipped."""
    if not measured.table.permitted:
        return f"it belongs to {measured.table.owner}"
    if not measured.table.filled:
        return "it has no rows of its own"
    if not measured.table.readable:
        return "its waste is unknown, as this role may not read it; --all rewrites it"
    return _waste(measured)


def _waste(measured: Measured) -> str:
    return f"{measured.share:.0%} of {size(measured.bytes)} is waste"
