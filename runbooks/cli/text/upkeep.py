"""What upkeep looks like in a terminal; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta

from archiver.vacuum import strays
from archiver.vacuum.bloat import Measured
from archiver.vacuum.feeds import Feed
from archiver.vacuum.rewrite import UNDONE, BloatFinding, Fate, RewriteOutcome, Upkeep
from archiver.vacuum.strays import Stray
from formatting import many, size


def found_line(upkeep: Upkeep, found: Sequence[BloatFinding]) -> str:
    """A database before anything is done."""
    every = [one.measured for one in found]
    wanted = [one for one in every if upkeep.wants(one)]
    total, waste = sum(one.bytes for one in every), sum(one.waste for one in wanted)
    return f"{many(len(every), 'table')}, {size(total)}; {len(wanted)} to rewrite, of which {size(waste)} are waste"


def would_line(upkeep: Upkeep, found: BloatFinding) -> str:
    """A table in a dry run."""
    one = found.measured
    if found.error:
        return f"{one.table}: could not be measured: {found.error}"
    if not upkeep.wants(one):
        return f"{one.table}: would be left alone, {_why(one)}"
    return f"{one.table}: would be rewritten, {_waste(one)}; needs {size(one.need)} of free disk"


def outcome_line(outcome: RewriteOutcome) -> str:
    """A table, and what became of it."""
    one = outcome.measured
    match outcome.fate:
        case Fate.REWRITTEN:
            return f"{one.table}: {size(one.bytes)} → {size(outcome.after)}  ({outcome.seconds:.1f} s)"
        case Fate.KEPT | Fate.FOREIGN:
            return f"{one.table}: left alone, {_why(one)}"
        case Fate.NO_ROOM:
            return f"{one.table}: NO ROOM, it needs {size(one.need)} of free disk, and {size(outcome.free)} are free"
        case Fate.WAITING:
            return f"{one.table}: NOT ANALYZED, because not all of its partitions were"
        case Fate.FAILED:
            return f"{one.table}: FAILED, {outcome.error}"


def summary(outcomes: Sequence[RewriteOutcome]) -> str:
    """A database after it."""
    rewritten = [outcome for outcome in outcomes if outcome.fate is Fate.REWRITTEN]
    undone = [outcome for outcome in outcomes if outcome.fate in UNDONE]
    total = sum(outcome.measured.bytes for outcome in outcomes)
    given = sum(outcome.measured.bytes - outcome.after for outcome in rewritten)
    text = f"{size(total)} → {size(total - given)}; {len(rewritten)} of {many(len(outcomes), 'table')} rewritten"
    text += f", {len(outcomes) - len(rewritten) - len(undone)} left alone"
    return text + (f", {len(undone)} FAILED" if undone else "")


def feed_lines(found: Sequence[Feed]) -> Iterator[str]:
    """Tables that are to be emptied."""
    for feed in found:
        yield f"{feed.database} {feed.table}: {feed.rows:,} rows, {size(feed.bytes)}"
    if not found:
        yield "The catalog names no feeds."


def emptied_lines(before: Sequence[Feed], after: Sequence[Feed]) -> Iterator[str]:
    """What emptying the feeds gave back, by database; what was written meanwhile counts against it."""
    for name in dict.fromkeys(feed.database for feed in before):
        was, left = (sum(feed.bytes for feed in feeds if feed.database == name) for feeds in (before, after))
        yield f"{name}: emptied, {size(max(was - left, 0))} given back"


def feeds_json(found: Sequence[Feed]) -> str:
    """The same for a script, with all rows together."""
    return json.dumps({"rows": sum(feed.rows for feed in found), "feeds": [asdict(feed) for feed in found]})


def stray_lines(name: str, found: Sequence[Stray], quiet: timedelta) -> Iterator[str]:
    """A database's strays, and what uses them."""
    going = strays.droppable(found, quiet)
    for stray in found:
        line = f"{name} {stray.table}: {stray.rows:,} rows, {size(stray.bytes)}"
        kind = "sequence" if len(stray.sequences) == 1 else "sequences"
        line += f", and the {kind} {', '.join(stray.sequences)}" if stray.sequences else ""
        yield line + ("; unused" if stray.table in going else "; STAYS:")
        if stray.table not in going:
            yield from (f"    {why}" for why in stray.refused(going, quiet))
    if not found:
        yield f"{name}: no strays"


def _why(one: Measured) -> str:
    """Why a table is left alone."""
    if not one.table.permitted:
        return f"it belongs to {one.table.owner}"
    if not one.table.filled:
        return "it has no rows of its own"
    if not one.table.readable:
        return "nobody knows its waste, as this role may not read it; --all does it"
    return _waste(one)


def _waste(one: Measured) -> str:
    return f"{one.share:.0%} of {size(one.bytes)} is waste"
