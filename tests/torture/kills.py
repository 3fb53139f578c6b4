"""A school struck on its way out and on its way back, at one moment after the other, and judged each time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from tests import oracle
from tests.oracle import Snapshot
from tests.torture import judge, wire
from tests.torture.runs import Act, Ending, run
from tests.torture.wire import Wire
from tests.worlds import World


class Blow(Protocol):
    """A way to break a run off."""

    def moments(self, act: Act) -> Sequence[str]:
        """Do the act unharmed, and return the moments at which it could have been struck."""
        ...

    def strike(self, act: Act, number: int) -> None:
        """Do the act until that moment."""
        ...


@dataclass(frozen=True)
class Kill:
    """SIGKILL before or after a write."""

    world: World

    def moments(self, act: Act) -> Sequence[str]:
        """Before and after each write."""
        ending = run(self.world, act)
        assert ending.moments, ending
        return ending.moments

    def strike(self, act: Act, number: int) -> None:
        """Kill the process."""
        ending = run(self.world, act, die_at=number)
        assert ending.killed, f"{act} was to die at {number}, and ended: {ending}"


@dataclass(frozen=True)
class Cut:
    """The link to PostgreSQL is lost before a statement arrives, or before its answer does."""

    world: World  # its databases are behind the wire
    wire: Wire

    def moments(self, act: Act) -> Sequence[str]:
        """Before and after each statement."""
        self.wire.begin(None)
        ending = run(self.world, act)
        assert ending.moments, ending
        return tuple(self.wire.passed)

    def strike(self, act: Act, number: int) -> None:
        """Cut one link; the process goes on and reports the failure in one sentence."""
        self.wire.begin(number)
        ending = run(self.world, act)
        self.wire.begin(None)
        assert not ending.broke, ending.broke


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One blow, judged."""

    act: Act
    number: int
    moment: str  # before or after which write
    lost: int  # rows
    seconds: float

    def __str__(self) -> str:
        return f"{self.act}, struck at {self.number} ({self.moment}): {self.lost} rows lost, {self.seconds:.1f} s"


@dataclass(kw_only=True)
class Matrix:
    """One school of a world, whole at first and whole after each round."""

    world: World
    blow: Blow
    school: int
    depth: str
    whole: Snapshot = field(init=False)  # with the school live
    out: Snapshot = field(init=False)  # with the school archived
    moments: dict[str, Sequence[str]] = field(init=False)  # by verb

    def __post_init__(self) -> None:
        self.whole = oracle.snapshot(self.world.dsns)
        self.out = oracle.expected_after_archive(self.world.dsns, self.school, self.depth)
        self._whole_run()  # makes the archiver's tables
        self.moments = self._whole_run()

    def round(self, archive_at: int | None, restore_at: int | None) -> Iterator[Tried]:
        """Out and back, struck on either way at a moment or not at all; the school is whole again afterwards."""
        for verb, moment, goal in (("archive", archive_at, self.out), ("restore", restore_at, self.whole)):
            act = self._act(verb)
            if moment is None:
                self._ends(act, run(self.world, act), goal)
            else:
                yield self._struck(act, moment, goal)

    def _struck(self, act: Act, number: int, goal: Snapshot) -> Tried:
        began, acts = time.monotonic(), judge.books(self.world, self.school).acts
        self.blow.strike(act, number)
        lost = judge.lost(self.world, self.whole, oracle.snapshot(self.world.dsns), self.school)
        self._ends(act, run(self.world, act), goal)
        told = judge.books(self.world, self.school).acts - acts
        assert told == {act.verb: 1}, f"the log says {told} of one {act}"
        moment = self.moments[act.verb][number]
        return Tried(act=act, number=number, moment=moment, lost=lost, seconds=time.monotonic() - began)

    def _ends(self, act: Act, ending: Ending, goal: Snapshot) -> None:
        """The state is the goal, and so are the records; a rerun may find that it was there already."""
        assert not ending.broke, ending.broke
        found = oracle.snapshot(self.world.dsns)
        assert found == goal, f"{act}: {ending.refused}\n{oracle.difference(goal, found)}"
        assert not ending.refused or "archived" in ending.refused, ending.refused
        states = [state for state, _ in judge.books(self.world, self.school).records]
        assert states == (["archived"] if act.verb == "archive" else []), states
        assert judge.lost(self.world, self.whole, found, self.school) == 0

    def _whole_run(self) -> dict[str, Sequence[str]]:
        """The moments of both ways, from a run that is let live."""
        return {verb: self.blow.moments(self._act(verb)) for verb in ("archive", "restore")}

    def _act(self, verb: str) -> Act:
        return Act(verb=verb, school=self.school, depth=self.depth)


@contextmanager
def behind_a_wire(world: World) -> Iterator[Cut]:
    """Cut on the links to this world's databases, which all lie on one server."""
    environment = world.environment
    with wire.between(environment.scratch.connection) as (line, keywords):
        databases = {
            name: replace(database, connection={**database.connection, **keywords})
            for name, database in environment.databases.items()
        }
        scratch = replace(environment.scratch, connection={**environment.scratch.connection, **keywords})
        yield Cut(replace(world, environment=replace(environment, databases=databases, scratch=scratch)), line)
