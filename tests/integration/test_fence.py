"""The application is kept off a school while it is archived by itself, and let in again however that ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from archiver.delete import decide, shared_rows
from errors import CutoverError, RefusedError, UnknownError, UsageError
from inventory.model import Fence
from tests import oracle
from tests.worlds import World, same, school_ids, sql


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that has a file for each fenced school."""
    (tmp_path / "closed").mkdir()
    return tmp_path / "closed"


def fenced(world: World, closed: Path, close: str = "touch {}/{{id}}", open_: str = "rm {}/{{id}}") -> World:
    fence = Fence(close=close.format(closed), open=open_.format(closed))
    return replace(world, environment=replace(world.environment, fence=fence))


@pytest.mark.parametrize("late", [{}, {"master.taggings": 1}])
def test_an_application_that_respects_the_fence_writes_no_late_row(
    world: World, closed: Path, monkeypatch: pytest.MonkeyPatch, late: dict[str, int]
) -> None:
    def busy(*args: object) -> object:
        gone = deletable(*args)  # type: ignore[arg-type]
        if not (closed / "13").exists():
            with sql(world, "master") as cursor:
                cursor.execute("INSERT INTO taggings (taggable_type, taggable_id, tag_id) VALUES ('School', 13, 1)")
        return gone

    deletable = shared_rows.deletable
    monkeypatch.setattr(decide, "deletable", busy)

    [outcome] = (world if late else fenced(world, closed)).archive(13, night=None)

    assert outcome.detail is not None
    assert outcome.detail.appeared == late
    assert list(closed.iterdir()) == []


def test_the_fence_is_opened_where_the_school_stays_live(
    world: World, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        assert [path.name for path in closed.iterdir()] == ["13"]
        raise RefusedError("refused")

    monkeypatch.setattr(decide, "deletable", refused)
    with pytest.raises(RefusedError, match="refused"):
        fenced(world, closed).archive(13, night=None)

    assert list(closed.iterdir()) == []


def test_a_fence_that_does_not_close_stops_the_school_before_anything_is_touched(world: World, closed: Path) -> None:
    before = oracle.snapshot(world.dsns)
    broken = fenced(world, closed, close="touch {}/{{id}}; echo no such farm >&2; exit 3")

    with pytest.raises(RefusedError, match=r"Closing the fence of school 13 failed: exit 3 \(no such farm\)\. Nothing"):
        broken.archive(13, night=None)

    same(before, oracle.snapshot(world.dsns))
    assert list(closed.iterdir()) == []


def test_a_fence_that_a_killed_run_left_closed_is_opened_by_the_same_command(world: World, closed: Path) -> None:
    world.archive(13, night=None)
    (closed / "13").touch()

    with pytest.raises(UsageError, match="School 13 is archived already for 2013"):
        fenced(world, closed).archive(13, night=None)

    assert list(closed.iterdir()) == []


def test_a_fence_that_does_not_open_is_reported_with_the_command(world: World, closed: Path) -> None:
    broken = fenced(world, closed, open_="exit 1 # {{id}}")

    told = r"Opening the fence of school 13 failed: exit 1\. It is still closed; run: exit 1 # 13"
    with pytest.raises(CutoverError, match=told):
        broken.archive(13, night=None)

    assert 13 not in school_ids(world)


def test_a_failure_stays_what_it_was_where_the_fence_does_not_open_either(
    world: World, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise UnknownError("nobody knows.")

    monkeypatch.setattr(decide, "deletable", lost)
    with pytest.raises(UnknownError, match=r"nobody knows\. Opening the fence of school 13 failed: exit 1"):
        fenced(world, closed, open_="exit 1 # {{id}}").archive(13, night=None)


def test_in_a_night_maintenance_mode_is_the_fence(world: World, closed: Path) -> None:
    fenced(world, closed, close="exit 1 # {{id}}").archive(13)
