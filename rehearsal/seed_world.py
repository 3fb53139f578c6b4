"""The production that a seed creates: rows by database and table, ids as sequences give them out, school-year times."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count, cycle

from rehearsal.seed_values import Row, Value, Values, values

MASTER = "master"
SCHOOL_DAYS = 300  # from the first day of the school year 2013-14
YEAR = 365  # an enrollment of the year before is that many days earlier
_FIRST_DAY = date(2013, 8, 19)
SHARD_IDS = 1_000_000_000  # each shard numbers from a multiple of its own, so that shards can be merged and split again
# Moments that a monthly archiver gets wrong: the last of a month and the first of the next, in UTC and in New York,
# whose clocks are four hours behind in summer and five in winter.
_EDGES = {
    date(2012, 10, 1): "03:59:59.999999",
    date(2012, 11, 1): "04:00:00",
    date(2013, 9, 30): "23:59:59.999999",
    date(2013, 10, 1): "00:00:00",
    date(2013, 11, 1): "04:00:00",
    date(2013, 12, 1): "04:59:59.999999",
    date(2014, 1, 1): "05:00:00",
    date(2014, 4, 1): "03:59:59.999999",
}


@dataclass(kw_only=True)
class Roll:
    """The ids of what is in one school so far."""

    shard: str
    administrators: list[int] = field(default_factory=list)
    teachers: list[int] = field(default_factory=list)
    classrooms: list[int] = field(default_factory=list)
    students: list[int] = field(default_factory=list)


class World:
    """A production that grows row by row; equal seeds grow equal ones."""

    def __init__(self, shards: Sequence[str], seed: int) -> None:
        self.rng = random.Random(seed)
        self.values: Values = values(self.rng)
        self.shards = tuple(shards)
        self.rows: dict[str, dict[str, list[Row]]] = {name: defaultdict(list) for name in (MASTER, *shards)}
        self.rolls: dict[int, Roll] = {}
        self.statuses = cycle(("completed", "completed", "active", "completed", "withdrawn"))
        self.odd = cycle((True, False))
        self.years_ago = cycle((0, 0, 1, 0, 1))  # of enrollments
        self._moments = {day: _moment(day) for day in range(-YEAR, SCHOOL_DAYS)}
        self._ids: dict[str, dict[str, Iterator[int]]] = {
            name: defaultdict(lambda first=index * SHARD_IDS + 1: count(first))  # type: ignore[misc]
            for index, name in enumerate((MASTER, *shards))
        }

    def add(self, database: str, table: str, **columns: Value) -> int:
        """Add a row with the table's next id, or with the id among the columns; return the id."""
        number = self.skip(database, table) if "id" not in columns else columns["id"]
        self.rows[database][table].append({"id": number, **columns})
        return int(number or 0)

    def join(self, database: str, table: str, **columns: Value) -> None:
        """Add a row to a table without id."""
        self.rows[database][table].append(columns)

    def skip(self, database: str, table: str) -> int:
        """Take and return an id that no row will have: its row was deleted long ago."""
        return next(self._ids[database][table])

    def moment(self, day: int) -> str:
        """Return a timestamp on a day of the school year, at most its last; a negative day is in the year before."""
        return self._moments[min(day, SCHOOL_DAYS - 1)]

    def stamps(self) -> dict[str, Value]:
        """Return Rails' two timestamps."""
        day = self.rng.randrange(SCHOOL_DAYS)
        return {"created_at": self.moment(day), "updated_at": self.moment(day + 20)}


def _moment(number: int) -> str:
    day = _FIRST_DAY + timedelta(days=number)
    return f"{day} {_EDGES.get(day, f'{8 + number % 7:02}:{number * 7 % 60:02}:{number * 13 % 60:02}')}"
