"""The time up to which activity is archived: the end of the month before last. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from errors import UsageError


@dataclass(frozen=True, order=True)
class MonthName:
    """A calendar month: `2014-09`."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    def before(self, months: int) -> MonthName:
        """Return the month that is this many months earlier."""
        year, month = divmod(self.year * 12 + self.month - 1 - months, 12)
        return MonthName(year, month + 1)


@dataclass(frozen=True, kw_only=True)
class Span:
    """All time up to the end of a month."""

    month: MonthName  # the last month
    year: int  # the school year of that month
    before: datetime  # the first moment after it

    def end_for(self, column_type: str) -> str:
        """Return the end that values of a column's type are compared with, for a session in UTC.

        A day of the calendar has no zone: it belongs to the month that it names. A timestamp without a zone is UTC.
        """
        if column_type == "date":
            following = self.month.before(-1)
            return f"{following.year:04}-{following.month:02}-01"
        return f"{self.before:%Y-%m-%d %H:%M:%S}"


def month_due(day: date) -> MonthName:
    """Return the month before the last one: on any day of November, September."""
    return MonthName(day.year, day.month).before(2)


def end_of(month: MonthName, zone: ZoneInfo) -> datetime:
    """Return the midnight after a month's last day in a time zone, as UTC."""
    following = month.before(-1)
    return datetime(following.year, following.month, 1, tzinfo=zone).astimezone(UTC)


def parse_month(text: str, label: str = "--month") -> MonthName:
    """Return a month written YYYY-MM; raise UsageError for anything else."""
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text, re.ASCII)
    if not match:
        got = repr(text) if text else "nothing"
        raise UsageError(f"{label}: expected a month written YYYY-MM, got {got}.", hint=f"Example: {label}=2014-09")
    return MonthName(int(match[1]), int(match[2]))
