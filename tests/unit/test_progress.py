"""One progress for every run over many items: what is done, at which speed, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from invoke.exceptions import Exit

from archiver.runs.each import Outcome
from archiver.runs.progress import Progress, Tally, remaining
from errors import CutoverError, ExitCode, RefusedError
from runbooks.cli.outcomes import Results, Words, progress_line

SOME = Progress(
    what="schools",
    done=12,
    total=36,
    rows=6144,
    size=3_200_000,
    elapsed=timedelta(seconds=12),
    left=timedelta(seconds=83),
)


@pytest.mark.parametrize(
    ("seconds", "done", "total", "left"),
    [(60, 1, 4, 180), (60, 4, 4, 0), (60, 5, 4, 0), (90, 300, 400, 30), (60, 0, 4, None), (0, 0, 0, None)],
)
def test_the_rest_takes_as_long_as_what_was_done(seconds: int, done: int, total: int, left: int | None) -> None:
    expected = None if left is None else timedelta(seconds=left)
    assert remaining(timedelta(seconds=seconds), done, total) == expected


def test_a_heavy_item_counts_for_as_many_light_ones_in_the_time_that_is_left() -> None:
    light, weighed = Tally(what="archives", total=3), Tally(what="archives", total=3, weight=1000)
    for tally in (light, weighed):
        tally.count(rows=70, size=500, weight=800)

    minute = timedelta(minutes=1)
    assert light.progress(minute).left == timedelta(minutes=2)
    assert weighed.progress(minute).left == timedelta(seconds=15)
    assert (weighed.done, weighed.rows, weighed.size) == (1, 70, 500)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (SOME, "12 of 36 schools: 6,144 rows, 3.2 MB, 512 rows/s, 1:23 left"),
        (replace(SOME, what="verified", rows=0), "12 of 36 verified: 3.2 MB, 267 kB/s, 1:23 left"),
        (replace(SOME, rows=0, size=0), "12 of 36 schools: 1:23 left"),
        (replace(SOME, done=0, rows=0, size=0, left=None), "0 of 36 schools: just begun"),
        (
            replace(SOME, size=0, elapsed=timedelta(seconds=0.1)),
            "12 of 36 schools: 6,144 rows, 6,144 rows/s, 1:23 left",
        ),
    ],
)
def test_the_progress_is_one_line(progress: Progress, line: str) -> None:
    assert progress_line(progress) == line


def test_the_progress_of_a_large_night_fits_a_terminal() -> None:
    large = Progress(
        what="verified",
        done=1234,
        total=1300,
        rows=123_456_789,
        size=8_100_000_000,
        elapsed=timedelta(seconds=1100),
        left=timedelta(hours=1, minutes=23, seconds=45),
    )
    assert progress_line(large) == "1,234 of 1,300 verified: 123,456,789 rows, 8.1 GB, 112,233 rows/s, 1:23:45 left"
    assert len(progress_line(large)) <= 80


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class ByLength(Words[str, None]):
    """Words for items that weigh as much as their name is long."""

    def weight(self, item: str) -> int:
        return len(item)


def results(clock: Callable[[], float], *items: str, alone: bool = False) -> Results[str, None]:
    return Results(ByLength(noun="thing", verb="made"), len(items), items=items, alone=alone, clock=clock)


def outcome(item: str, error: CutoverError | None = None) -> Outcome[str, None]:
    return Outcome(item=item, seconds=0.5, rows=0 if error else 100, error=error)


def test_progress_is_printed_every_ten_seconds_and_not_after_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    printer = results(clock, "a", "b", "ccc", "ddd")
    for seconds, item in ((4, "a"), (6, "b"), (9, "ccc"), (30, "ddd")):
        clock.now += seconds
        printer.show(outcome(item))

    assert capsys.readouterr().out.splitlines() == [
        "[1/4] thing a: made, 100 rows, 0.5 s",
        "[2/4] thing b: made, 100 rows, 0.5 s",
        "2 of 4 things: 200 rows, 20 rows/s, 0:30 left",
        "[3/4] thing ccc: made, 100 rows, 0.5 s",
        "[4/4] thing ddd: made, 100 rows, 0.5 s",
    ]


def test_a_run_that_tells_its_progress_is_not_counted_twice(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    printer = results(clock, "a", "b")
    for seconds in (10, 3, 7):
        clock.now += seconds
        printer.show_progress(SOME)
    clock.now += 60
    printer.show(outcome("a"))

    assert capsys.readouterr().out.splitlines() == [
        "12 of 36 schools: 6,144 rows, 3.2 MB, 512 rows/s, 1:23 left",
        "12 of 36 schools: 6,144 rows, 3.2 MB, 512 rows/s, 1:23 left",
        "[1/2] thing a: made, 100 rows, 0.5 s",
    ]


def test_a_failure_is_counted_and_decides_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    printer = results(Clock(), "a", "b")
    outcomes = [outcome("a"), outcome("b", RefusedError("It is in use.", hint="Wait."))]
    for each in outcomes:
        printer.show(each)
    with pytest.raises(Exit) as left:
        printer.settle(outcomes)

    assert left.value.code == ExitCode.FAILED
    assert capsys.readouterr().out.splitlines() == [
        "[1/2] thing a: made, 100 rows, 0.5 s",
        "[2/2] thing b: FAILED. It is in use.",
        "    hint: Wait.",
        "1 of 2 things made: 100 rows; 1 FAILED",
    ]


def test_the_failure_of_an_item_that_is_alone_is_the_tasks_own(capsys: pytest.CaptureFixture[str]) -> None:
    printer = results(Clock(), "a", alone=True)
    failed = outcome("a", RefusedError("It is in use."))
    printer.show(failed)
    with pytest.raises(RefusedError, match="in use"):
        printer.settle([failed])
    printer.show(outcome("a"))
    printer.settle([outcome("a")])

    assert capsys.readouterr().out.splitlines() == ["thing a: made, 100 rows, 0.5 s"]
