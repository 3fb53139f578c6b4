"""A run over many schools, killed at one moment after the other, judged each time, run again, and all brought back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests import oracle
from tests.oracle import Snapshot
from tests.torture import judge
from tests.torture.kills import Kill, Tried
from tests.torture.runs import Act, run
from tests.worlds import World


@dataclass(kw_only=True)
class Many:
    """Some schools of a world, whole at first and whole after each round."""

    world: World
    schools: Sequence[int]
    depth: str
    whole: Snapshot = field(init=False)
    out: Snapshot = field(init=False)
    moments: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.whole = oracle.snapshot(self.world.dsns)
        self.out = oracle.expected_after_archiving(self.world.dsns, self.schools, self.depth, self.whole)
        self._ended()  # makes the archiver's tables
        self._back()
        self.moments = self._ended()
        self._back()

    def killed(self, moments: Sequence[int]) -> Iterator[Tried]:
        """Kill it at each of these moments."""
        for number in moments:
            began = time.monotonic()
            Kill(self.world).strike(self._act, number)
            lost = judge.lost_of_many(self.world, self.whole, oracle.snapshot(self.world.dsns), self.schools)
            self._ended()
            self._back()
            moment = self.moments[number]
            yield Tried(act=self._act, number=number, moment=moment, lost=lost, seconds=time.monotonic() - began)

    @property
    def _act(self) -> Act:
        first, *others = self.schools
        return Act(verb="archive", school=first, depth=self.depth, others=tuple(others))

    def _ended(self) -> Sequence[str]:
        """Run it to its end, assert the oracle's rows and a record of each school, and return its moments."""
        ending = run(self.world, self._act)
        assert not ending.broke and not ending.refused, ending
        found = oracle.snapshot(self.world.dsns)
        assert found == self.out, oracle.difference(self.out, found)
        states = [judge.books(self.world, school).records[0][0] for school in self.schools]
        assert set(states) == {"archived"}, states
        return ending.moments

    def _back(self) -> None:
        with self.world.by_one_worker() as worker:
            worker.restore(*self.schools)
        found = oracle.snapshot(self.world.dsns)
        assert found == self.whole, oracle.difference(self.whole, found)
