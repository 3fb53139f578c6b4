"""One school from shard to shard and back, killed at one moment after the other, and judged each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from inventory.catalog import DEFAULT_DEPTH
from inventory.model import Fence
from tests import oracle, oracle_moved
from tests.oracle import Snapshot
from tests.torture.kills import Blow
from tests.torture.runs import Act, run
from tests.worlds import NewWorld, World, sql

HERE, THERE, SCHOOL = "shard_3", "shard_1", 13
MERGE = Act(verb="merge", school=SCHOOL, depth=DEFAULT_DEPTH, shards=(HERE, THERE))
SPLIT = Act(verb="split", school=SCHOOL, depth=DEFAULT_DEPTH, shards=(THERE, HERE))


@dataclass
class Moved:
    """A school alone on its shard, to another one and back."""

    world: World
    blow: Blow
    whole: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.whole = oracle.snapshot(self.world.dsns)

    def both(self) -> tuple[Sequence[str], Sequence[str]]:
        """The moments of a merge and of the split that undoes it."""
        for act in (MERGE, SPLIT):  # makes the archiver's tables
            self.moments(act)
        self.forget()
        return self.moments(MERGE), self.moments(SPLIT)

    def moments(self, act: Act) -> Sequence[str]:
        """Do it unharmed, and return the moments at which it could have been struck."""
        moments = self.blow.moments(act)
        self.judge(act)
        return moments

    def strike(self, act: Act, number: int) -> None:
        """Break it off there, judge, and do it again."""
        logged = self.logged()
        self.blow.strike(act, number)
        self.judge_half_way(f"{act}, struck at {number}")
        ending = run(self.world, act)
        assert not ending.broke, ending.broke
        assert not ending.refused, ending.refused
        self.judge(act)
        assert self.logged() == logged + 1

    def judge_half_way(self, told: str) -> None:
        """Assert that all of the school lies where master says."""
        shard, plus = self.lies(), 0
        if shard == THERE:
            plus = self.last_plus()
        rows = oracle_moved.rows_of(self.world, oracle.snapshot(self.world.dsns), shard, SCHOOL)
        expected = oracle_moved.rows_of(self.world, self.whole, HERE, SCHOOL)
        for table, lines in expected.items():
            assert rows[table] == sorted(oracle_moved.added(table, line, plus) for line in lines), f"{told}: {table}"

    def judge(self, act: Act) -> None:
        """Every row of every table is where it should be."""
        found, expected = oracle.snapshot(self.world.dsns), self.whole
        if act.verb == "merge":
            expected = oracle_moved.after_merging(self.world, self.whole, HERE, THERE)
        told = oracle.difference(replace(expected, sequences=found.sequences), found)
        assert found.tables == expected.tables, f"{act}: {told}"

    def lies(self) -> str:
        """The shard that master names."""
        return str(self._one(f"SELECT shard FROM schools WHERE id = {SCHOOL}"))

    def last_plus(self) -> int:
        """Return the number that the last move into the other shard added."""
        merged = "kind = 'move' AND verb = 'merge' ORDER BY id DESC LIMIT 1"
        return int(self._one(f"SELECT (offsets -> 0 ->> 2)::bigint FROM archiver.archives WHERE {merged}"))

    def logged(self) -> int:
        """Return the number of moves in the log."""
        return int(self._one("SELECT count(*) FROM archiver.log WHERE act = 'move'"))

    def forget(self) -> None:
        """Forget the moves, so that the next merge finds new numbers for the ids."""
        with sql(self.world, "master") as cursor:
            cursor.execute("DELETE FROM archiver.regions")

    def _one(self, query: str) -> str | int:
        with sql(self.world, "master") as cursor:
            cursor.execute(query)
            value: str | int = cursor.fetchall()[0][0]
            return value


@contextmanager
def alone(new_world: NewWorld, template: str) -> Iterator[World]:
    """A world in which the other schools of the shard have moved away, and left their rows behind."""
    with new_world(template=template) as world:
        with sql(world, "master") as cursor:
            cursor.execute("UPDATE schools SET shard = 'shard_2' WHERE shard = %s AND id <> %s", (HERE, SCHOOL))
        fence = Fence(close="true {id}", open="true {id}")
        yield replace(world, environment=replace(world.environment, fence=fence))
