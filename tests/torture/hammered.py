"""A school archived while an application writes to its rows: whole, or refused by name, and nothing is lost."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from errors import CutoverError
from tests import oracle
from tests.oracle import Snapshot
from tests.torture import judge
from tests.torture.writers import Hammer, hammering
from tests.worlds import World


@dataclass(frozen=True, kw_only=True)
class Hammered:
    """One archive under writers, judged."""

    seed: int
    writes: int  # committed
    refused: str  # empty: archived
    lost: int  # rows
    seconds: float

    @property
    def how(self) -> str:
        """The result, in a few words."""
        return f"{self.writes} writes, {'refused: ' + self.refused if self.refused else 'archived'}"


def hammered(world: World, school: int, shard: str, seed: int) -> Hammered:
    """Archive under writers, then without them, and restore: each row that was ever committed exists again."""
    began, before = time.monotonic(), oracle.snapshot(world.dsns)
    _prepare(world)
    with hammering(world, school, shard, seed) as hammer:
        refused = _archive(world, school)
    expected = hammer.after(before)
    lost = _lost(world, expected, school)
    if refused:
        # What a broken deletion left may first be put back, and that is one refusal more.
        again = _archive(world, school)
        lost += _lost(world, expected, school)
        assert not again or not _archive(world, school), again
    kept = judge.books(world, school).kept
    world.restore(school)
    _prove_back(expected, oracle.snapshot(world.dsns), kept, hammer)
    return Hammered(seed=seed, writes=hammer.writes, refused=refused, lost=lost, seconds=time.monotonic() - began)


def _prove_back(expected: Snapshot, found: Snapshot, kept: set[str], hammer: Hammer) -> None:
    """Assert that every row is back. Shared rows that the application deleted since come back, too."""
    assert not judge.gone(expected, found), oracle.difference(_now(expected, found), found)
    for (database, table), rows in judge.gone(found, expected).items():
        kind = "master" if database == "master" else "shard"
        assert f"{kind}.{table}" in kept, (database, table, rows)
        assert rows <= hammer.deleted(database, table), (database, table, rows)


def _prepare(world: World) -> None:
    """The archiver's tables are there before the first who asks for the school's state."""
    with world.archiver():
        pass


def _archive(world: World, school: int) -> str:
    """Return the refusal, one sentence that names the school or a table; empty where it was archived."""
    try:
        world.archive(school)
    except CutoverError as error:
        said = str(error)
        assert f"school {school}" in said.lower() or "master." in said or "shard." in said, said
        return said
    return ""


def _lost(world: World, expected: Snapshot, school: int) -> int:
    live = oracle.snapshot(world.dsns)
    return judge.lost(world, _now(expected, live), live, school)


def _now(expected: Snapshot, found: Snapshot) -> Snapshot:
    """Sequences go on by themselves."""
    return replace(expected, sequences=found.sequences)
