"""Acts of a day on which months, a school and users are archived, each killed at one moment after the other.

They are an adoption after the ledger was lost, a drop of the school with its months, and a restore of a classroom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

from inventory.catalog import DEFAULT_DEPTH
from tests import oracle
from tests.adoptions import lose_the_ledger
from tests.oracle import Snapshot
from tests.torture import judge
from tests.torture.kills import Kill
from tests.torture.runs import Act, run
from tests.worlds import NewWorld, World

SCHOOL, DAY, DATABASES = 13, date(2014, 9, 5), ("master", "shard_3")
MONTH = Act(verb="archive activity", school=0, depth=DEFAULT_DEPTH, day=DAY)
ARCHIVE = Act(verb="archive", school=SCHOOL, depth=DEFAULT_DEPTH)
PURGE = replace(MONTH, verb="purge")
MONTH_BACK, RESTORE, PURGE_BACK = (
    replace(MONTH, verb="restore activity"),
    replace(ARCHIVE, verb="restore"),
    replace(PURGE, verb="restore purges"),
)


@dataclass(frozen=True, kw_only=True)
class Mended:
    """An act, what it begins with, and what brings all rows back when it has ended."""

    act: Act
    back: tuple[Act, ...]
    ready: Callable[[World], object] = lambda world: None

    def __str__(self) -> str:
        return self.act.verb.replace(" ", "-")

    def moments(self, new_world: NewWorld) -> tuple[str, ...]:
        """Return the moments at which it can be struck."""
        with self._out(new_world) as (world, _):
            return tuple(Kill(world).moments(self.act))

    def killed(self, new_world: NewWorld, number: int) -> int:
        """Kill it at a moment, run it again and all back; return the number of rows that are not live then."""
        with self._out(new_world) as (world, goal):
            Kill(world).strike(self.act, number)
            for each in (self.act, *self.back):
                ending = run(world, each)
                assert not ending.broke, ending.broke
                assert not ending.refused or "archived" in ending.refused, ending.refused
            return sum(rows.total() for rows in judge.gone(goal, oracle.snapshot(world.dsns)).values())

    @contextmanager
    def _out(self, new_world: NewWorld) -> Iterator[tuple[World, Snapshot]]:
        """Yield a world in which all is archived, and the rows that are live once the act has ended and all is back."""
        with new_world(DATABASES) as world:
            goal = oracle.snapshot(world.dsns)
            if self.act == DROP:
                goal = oracle.expected_after_archive(world.dsns, SCHOOL, DEFAULT_DEPTH, goal)
            for each in (PURGE, MONTH, ARCHIVE):
                ending = run(world, each)
                assert ending.moments, ending
            self.ready(world)
            yield world, goal


DROP, ADOPT, PART = (replace(ARCHIVE, verb=verb) for verb in ("drop", "adopt", "restore classroom"))
OTHERS_BACK = (MONTH_BACK, PURGE_BACK)
ACTS = (
    Mended(act=ADOPT, back=(RESTORE, *OTHERS_BACK), ready=lose_the_ledger),
    Mended(act=DROP, back=OTHERS_BACK),
    Mended(act=PART, back=(RESTORE, *OTHERS_BACK)),
)
