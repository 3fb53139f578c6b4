"""The proofs of a deletion take a fixed number of statements a transaction, however many schools and rows it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date

import pytest

from archiver.postgres.session import Session
from archiver.store.bucket import Bucket
from tests.cases.attack_world import DATABASES, HERE, given, rows
from tests.months import archive_months
from tests.worlds import NewWorld, World

COUNTERS, CATALOGUE, LOCKS = (
    "reading the counters of all tables",
    "reading the catalogue",
    "locking the tables against migrations",
)
EACH = 2  # databases that a school's deletion changes: its shard and master


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The number of statements of each proof so far, and of objects looked at."""
    counts: Counter[str] = Counter()

    def counting(cls: type, name: str, what: Callable[..., str]) -> None:
        original = getattr(cls, name)

        def counted(self: object, *args: object, **words: object) -> object:
            counts[what(*args, **words)] += 1
            return original(self, *args, **words)

        monkeypatch.setattr(cls, name, counted)

    for method in ("rows", "execute"):
        counting(Session, method, lambda *_, doing="", **__: doing)
    counting(Bucket, "object", lambda *_, **__: "object")
    return counts


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    """Master and one shard, and one worker for all acts."""
    with new_world(DATABASES) as world, world.by_one_worker() as worker:
        yield worker


def proofs(asked: Counter[str], act: Callable[[], object]) -> dict[str, int]:
    """Run an act, and return the number of statements of each proof."""
    asked.clear()
    act()
    return {what: asked[what] for what in (COUNTERS, CATALOGUE, LOCKS)}


def schools(world: World) -> list[int]:
    """The schools of the shard, those with the fewest students first."""
    query = f"""
        SELECT s.id FROM schools s LEFT JOIN classrooms c ON c.school_id = s.id
          LEFT JOIN classroom_students t ON t.classroom_id = c.id
         WHERE s.shard = '{HERE}' GROUP BY s.id ORDER BY count(t.classroom_id), s.id"""
    return [row[0] for row in rows(world, "master", query)]


def test_a_large_school_is_proved_by_as_many_statements_as_a_small_one(world: World, asked: Counter[str]) -> None:
    first, small, *_, large = schools(world)
    world.archive(first)

    small_ones = proofs(asked, lambda: world.archive(small))
    large_ones = proofs(asked, lambda: world.archive(large))

    assert small_ones == large_ones
    assert small_ones[LOCKS] == EACH
    assert small_ones[COUNTERS] <= 3 * EACH
    assert asked["object"] <= EACH


def test_a_set_is_proved_by_as_many_statements_whatever_its_size(world: World, asked: Counter[str]) -> None:
    first, one, *several = schools(world)
    given(len(several) > 3, "several schools")
    world.archive_together(first)

    of_one = proofs(asked, lambda: world.archive_together(one))
    of_several = proofs(asked, lambda: world.archive_together(*several))

    assert of_one == of_several
    assert of_several[LOCKS] == EACH
    assert asked["object"] <= 2 * EACH * len(several)


def test_a_batch_of_a_month_is_proved_by_a_handful_of_statements(world: World, asked: Counter[str]) -> None:
    found = proofs(asked, lambda: archive_months(world, date(2014, 3, 5)))

    batches = found[LOCKS]
    assert batches > 1
    assert found[COUNTERS] <= 3 * batches
    assert found[CATALOGUE] <= len(DATABASES) + batches
    assert asked["object"] == batches
