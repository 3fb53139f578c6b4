"""Numbers, times and lists as a person reads them. Pure; every room may call it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

SHOWN = 10  # of many words, before the rest is only counted


def size(count: int) -> str:
    """Return bytes with a unit: 812 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def plural(noun: str) -> str:
    """Return the plural of an English noun, such as the catalog's for a tenant: schools, companies, branches."""
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def with_article(noun: str) -> str:
    """Return an English noun with its article: a school, an organization."""
    return f"{'an' if noun[:1] in ('a', 'e', 'i', 'o') else 'a'} {noun}"


def many(count: int, noun: str) -> str:
    """Return a number of things: 1 school, 1,300 schools."""
    return f"1 {noun}" if count == 1 else f"{count:,} {plural(noun)}"


def numbered(number: int, total: int, line: str) -> str:
    """Return a line of a run over several, with its place: [ 5/36] school 21: archived."""
    return f"[{number:>{len(str(total))}}/{total}] {line}" if total > 1 else line


def first_few(words: Sequence[str]) -> str:
    """Return the first of many words, and how many more there are: 3, 5, 8, 13, 21 and 7 more."""
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def clock_span(time: timedelta) -> str:
    """Return a span as a clock counts it: 0:07, 12:34, 1:02:03."""
    total = int(time.total_seconds())
    minutes, seconds = divmod(abs(total), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if total < 0 else ""  # where a clock was set back
    return f"{sign}{hours}:{minutes:02}:{seconds:02}" if hours else f"{sign}{minutes}:{seconds:02}"


def span(time: timedelta) -> str:
    """Return a span as a person says it, in seconds where it is short: 42 s, 12 min, 2 h 30 min."""
    seconds = time.total_seconds()
    return f"{seconds:.0f} s" if seconds < 99.5 else in_minutes(time)


def in_minutes(time: timedelta) -> str:
    """Return a span in hours and minutes: 45 min, 2 h 30 min."""
    hours, rest = divmod(round(time.total_seconds() / 60), 60)
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else "") if part
    )


def time_of_day(moment: datetime, now: datetime) -> str:
    """Return a time on the clock, with its day where that is not plain: 06:00, or Sun 06:00."""
    near = abs(moment - now) < timedelta(hours=18)
    return f"{moment:%H:%M}" if near else f"{moment:%a %H:%M}"
