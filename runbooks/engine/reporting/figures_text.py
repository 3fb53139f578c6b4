"""The figures of a night as lines of text: alone, beside those of its beginning, and against an earlier night. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from formatting import many, plural, size, span, time_of_day
from inventory.figures import Figures, LeftOut, Share, Written
from runbooks.engine.model.forecast import Forecast
from runbooks.engine.model.history import History

SHOWN = 5  # customers by name, before the rest is only counted
OFF = 0.2  # of an earlier night's figure: a greater difference is asked about


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """The amounts by which two nights are compared."""

    tenants: int
    rows: int
    bytes: int | None  # in the live tables; None: not counted then


def figure_lines(figures: Figures, zone: tzinfo, began: Figures | None = None) -> tuple[str, ...]:
    """Return the figures, with those of the night's beginning wherever they were others."""
    before = began or figures
    return (
        f"{_totals(figures, before)}; counted {figures.counted_at.astimezone(zone):%a %H:%M}.",
        *_customers(figures, before),
        f"Shards: {'; '.join(_shards(figures, before))}.",
        f"Biggest: {'; '.join(f'{_named(each)} with {_amount(each)}' for each in figures.biggest) or 'none'}.",
        _time(figures),
        f"Left out: {'; '.join(_left_out(figures.noun, each) for each in figures.left_out) or 'none'}.",
        *([_written(figures.noun, figures.written, zone)] if figures.written else []),
    )


def compared(figures: Figures, earlier: Amounts, name: str) -> tuple[str, ...]:
    """Return a sentence on the figures of an earlier night, and one for each that differs by more than a fifth."""
    now = amounts(figures)
    then = [many(earlier.tenants, figures.noun), f"{earlier.rows:,} rows"]
    in_bytes = [] if earlier.bytes is None else [size(earlier.bytes)]
    return (f"The night of {name} had {', '.join([*then, *in_bytes])}.", *_off(figures.noun, now, earlier, name))


def end_line(seen: Forecast) -> str:
    """Return the expected end of a night, and the end of its window: done about 02:15, the window ends 06:00."""
    window = f", the window ends {time_of_day(seen.window_end, seen.now)}" if seen.window_end else ""
    return f"The night is done about {time_of_day(seen.done_by, seen.now)}{window or ', and has no window'}"


def amounts(figures: Figures) -> Amounts:
    """Return what the figures are compared by."""
    return Amounts(tenants=figures.tenants, rows=figures.rows, bytes=figures.bytes)


def amounts_of(history: History) -> Amounts | None:
    """Return what a night's figures are compared by: as counted at its beginning, else as archived; None if neither."""
    if history.figures:
        return amounts(history.figures)
    archived = [task.figures for task in history.tasks.values() if {"selected", "rows"} <= task.figures.keys()]
    return Amounts(tenants=archived[0]["selected"], rows=archived[0]["rows"], bytes=None) if archived else None


def _named(each: Share) -> str:
    """Return the name on one line: a customer may be called anything."""
    return " ".join(each.name.split())


def _off(noun: str, now: Amounts, then: Amounts, name: str) -> Iterator[str]:
    pairs = ((plural(noun), now.tenants, then.tenants), ("rows", now.rows, then.rows), ("bytes", now.bytes, then.bytes))
    for what, count, earlier in pairs:
        if count is not None and earlier and abs(count - earlier) > OFF * earlier:
            more = "more" if count > earlier else "fewer"
            yield f"! {abs(count - earlier) / earlier:.0%} {more} {what} than in the night of {name}."


def _totals(figures: Figures, before: Figures) -> str:
    tenants = _both(many(figures.tenants, figures.noun), many(before.tenants, figures.noun))
    customers = _both(many(len(figures.customers), "customer"), many(len(before.customers), "customer"))
    rows, live = (
        _both(f"{figures.rows:,} rows", f"{before.rows:,} rows"),
        _both(size(figures.bytes), size(before.bytes)),
    )
    done = f", {figures.archived:,} of them archived already" if figures.archived else ""
    return f"{tenants}{f' of {customers}' if figures.customers else ''}{done}: about {rows}, {live}"


def _customers(figures: Figures, before: Figures) -> Iterator[str]:
    if not figures.customers:
        return
    yield f"Customers: {_some([f'{_named(each)} with {_share(figures.noun, each)}' for each in figures.customers])}."
    now, then = ([share.name for share in each.customers] for each in (figures, before))
    if added := [name for name in now if name not in then]:
        yield f"Customers that were added since the start: {_some(added)}."
    if removed := [name for name in then if name not in now]:
        yield f"Customers that were removed since the start: {_some(removed)}."


def _shards(figures: Figures, before: Figures) -> Iterator[str]:
    now, then = ({share.name: _share(figures.noun, share) for share in each.shards} for each in (figures, before))
    yield from (f"{name} with {_both(now.get(name, 'none'), then.get(name, 'none'))}" for name in sorted({*now, *then}))


def _share(noun: str, share: Share) -> str:
    return f"{many(share.tenants, noun)}, {_amount(share)}"


def _amount(share: Share) -> str:
    return f"{share.rows:,} rows, {size(share.bytes)}"


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN
    return "; ".join(texts[:SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


def _both(now: str, then: str) -> str:
    return now if now == then else f"{now} ({then} at the start)"


def _time(figures: Figures) -> str:
    if figures.seconds is None:
        return "How long archiving takes is not known here: inv archive.estimate measures it."
    return f"Archiving takes about {span(timedelta(seconds=figures.seconds))}."


def _written(noun: str, written: Written, zone: tzinfo) -> str:
    since = f"{written.since.astimezone(zone):%a %Y-%m-%d %H:%M}"
    backup = f"The oldest backup is of {since}" if written.seen else f"A backup may be as old as {since}"
    what = f"{many(written.rows, 'row')} of {many(written.tenants, noun)}"
    verb = "was" if written.rows == 1 else "were"
    timeless = many(len(written.timeless), "table")
    uncounted = f" (not counting {timeless} without a time column)" if written.timeless else ""
    return f"{backup}: {what} {verb} written since{uncounted}, and could be lost."


def _left_out(noun: str, each: LeftOut) -> str:
    count = f" with {many(each.tenants, noun)}" if each.tenants != 1 else ""
    return f"{each.name}{count}, {each.reason or 'no reason given'}"
