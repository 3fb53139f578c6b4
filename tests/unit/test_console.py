"""The operator's view and answers: plain lines in a pipe, no default answers, type-ahead thrown away."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from rich.console import Console as Rich

from errors import AbortedError
from formatting import clock_span
from runbooks.engine.live.console import Console, clean, print_table, print_wrapped, say_wrapped, show_table
from runbooks.engine.live.operators import Operator
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.step import Debt
from tests.fakes import FakeClock, FakeNight, night_plan


class Script:
    """An operator who types what is written, and keeps what was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self._answers:
            raise EOFError
        return self._answers.pop(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def paper() -> io.StringIO:
    return io.StringIO()


def operator(paper: io.StringIO, clock: FakeClock, *answers: str) -> tuple[Operator, Script]:
    script = Script(*answers)
    return Operator(Console(clock=clock, file=paper, read=script)), script


def test_a_step_is_shown_in_plain_lines_without_a_terminal(paper: io.StringIO, clock: FakeClock) -> None:
    console, step = Console(clock=clock, file=paper), night_plan().step("backups.disable")
    console.begin(step, 16, timedelta(seconds=131))
    with console.board(step, step.tasks) as board:
        board.show("db-master", Outcome.PENDING, "looking")
        board.show("db-master", Outcome.RUNNING, "$ auto-backup off")
        board.show("db-master", Outcome.RUNNING, "a line of progress too soon after the last")
        clock.wait(timedelta(seconds=11))
        board.show("db-master", Outcome.RUNNING, "still at it")
        board.show("db-master", Outcome.DONE, "auto-backup is disabled")
        board.show("db-shard-1", Outcome.FAILED, "auto-backup is enabled, " + "a long reason " * 20)
    console.owed([Debt(what="auto-backup", where="db-master")])

    lines = paper.getvalue().splitlines()
    assert lines[1].startswith(" 4/16 Disable auto-backup ───")
    assert lines[1].endswith("── MANUAL  2:11")
    assert len(lines[1]) == 80
    assert lines[2:5] == [
        "  > running  db-master   $ auto-backup off",
        "  > running  db-master   still at it  (0:11)",
        "  ✓ done     db-master   auto-backup is disabled  (0:11)",
    ]
    assert lines[5].startswith("  ✗ FAILED   db-shard-1  auto-backup is enabled, a long reason")
    assert lines[6] == "      still off: auto-backup"


def test_there_is_no_default_answer(paper: io.StringIO, clock: FakeClock) -> None:
    person, script = operator(paper, clock, "", "yes", "D")
    step = night_plan().step("watcher.stop")
    assert person.perform(step, step.tasks[0], "") is Choice.DONE
    assert len(script.prompts) == 3
    assert script.prompts[0] == "  watcher:   [d] done   [s] skip   [a] abort: "
    assert paper.getvalue().count("Please answer with one of: d, s, a.") == 2
    assert "$ system-watcher stop" in paper.getvalue()


def test_a_required_step_offers_no_skip(paper: io.StringIO, clock: FakeClock) -> None:
    person, script = operator(paper, clock, "s", "abort")
    step = night_plan().step("backups.dump")
    assert person.perform(step, step.tasks[0], "") is Choice.ABORT
    assert "skip" not in script.prompts[0]


def test_a_failure_shows_the_exact_command_and_offers_four_choices(paper: io.StringIO, clock: FakeClock) -> None:
    person, script = operator(paper, clock, "r")
    step = night_plan().step("vacuum.full")
    assert person.choose(step, step.tasks[2], Outcome.FAILED, "no space left") is Choice.RETRY
    assert "! db-shard-2: failed. no space left" in paper.getvalue()
    assert "inv databases.vacuum --env=rehearsal --database=shard_2   (on db-shard-2)" in paper.getvalue()
    assert script.prompts == ["  db-shard-2:   [r] retry   [h] by hand   [s] skip   [a] abort: "]


def test_the_point_of_no_return_requires_the_date(paper: io.StringIO, clock: FakeClock) -> None:
    step = night_plan().step("archiving.run")
    person, script = operator(paper, clock, "yes", "2014-08-16", "2014-08-15")
    assert person.confirm(step, step.warning, "2014-08-15")
    assert len(script.prompts) == 3
    assert "left out: schools 21" in paper.getvalue()
    assert not operator(paper, clock, "abort")[0].confirm(step, (), "2014-08-15")


def test_a_skip_requires_a_reason(paper: io.StringIO, clock: FakeClock) -> None:
    person, _ = operator(paper, clock, "", "  ", "Jim does it tomorrow")
    step = night_plan().step("watcher.stop")
    assert person.reason(step, step.tasks[0]) == "Jim does it tomorrow"


def test_a_closed_keyboard_aborts(paper: io.StringIO, clock: FakeClock) -> None:
    person, _ = operator(paper, clock)
    step = night_plan().step("watcher.stop")
    with pytest.raises(AbortedError, match="keyboard is gone"):
        person.perform(step, step.tasks[0], "")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal for the keyboard; the other end of it, to type at."""
    far, near = pty.openpty()
    with os.fdopen(near) as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        yield far
    os.close(far)


def test_input_typed_before_a_prompt_does_not_answer_it(terminal: int, paper: io.StringIO, clock: FakeClock) -> None:
    def read(prompt: str) -> str:
        os.write(terminal, b"typed after\n")
        return sys.stdin.readline()

    os.write(terminal, b"typed before\n")
    assert Console(clock=clock, file=paper, read=read).typed("? ") == "typed after"


def test_output_of_a_host_cannot_move_the_cursor() -> None:
    assert clean("a\x1b[2Jb\rc\td\ne") == "a [2Jb c d\ne"


def test_times_are_shown_as_on_a_clock() -> None:
    assert [clock_span(timedelta(seconds=count)) for count in (0, 7, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]


def test_the_console_shows_a_whole_night(paper: io.StringIO) -> None:
    fake_night = FakeNight()
    fake_night.screen = Console(clock=fake_night.clock, file=paper)  # type: ignore[assignment]  # the real screen
    fake_night.run()
    told = paper.getvalue()
    assert all(f"{step.label:>2}/16 {step.title}" in told for step in fake_night.plan.steps)
    assert told.endswith("      everything is back on\n      1:14 elapsed\n")


COLUMNS = ("state", "schools", "note")
ROWS = [
    ("archived", "13,300", "a note of some words, and more of them than a narrow terminal has room for"),
    ("é", "1", ""),
]


def test_a_table_in_a_file_has_each_row_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(COLUMNS, ROWS, numbers=("schools",))

    assert capsys.readouterr().out.splitlines() == [
        "  state     schools  note",
        f"  archived   13,300  {ROWS[0][2]}",
        "  é               1",
    ]


def test_a_table_of_ten_thousand_rows_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(COLUMNS, ROWS * 5000, numbers=("schools",))

    assert len(capsys.readouterr().out.splitlines()) == 10_001


LONG = "[2/3] school 13: archived, 4,711 rows; the object is s3://a-bucket/a/long/location.tar.gz\n  hint: none"


def test_a_result_is_wrapped_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "32")
    say_wrapped(LONG)
    assert capsys.readouterr().out.splitlines() == [
        "[2/3] school 13: archived, 4,711",
        "    rows; the object is",
        "    s3://a-bucket/a/long/location.tar.gz",
        "  hint: none",
    ]


def test_a_result_in_a_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_wrapped(LONG)
    assert capsys.readouterr().out == f"{LONG}\n"


def test_a_table_that_is_too_wide_for_the_terminal_is_wrapped_in_its_column(paper: io.StringIO) -> None:
    narrow = Rich(file=paper, width=60, force_terminal=True, color_system=None)
    print_table(narrow, COLUMNS, ROWS, ("schools",))

    assert paper.getvalue().splitlines() == [
        "  state     schools  note",
        "  archived   13,300  a note of some words, and more of them",
        "                     than a narrow terminal has room for",
        "  é               1",
    ]


def test_a_table_that_fits_looks_as_rich_sets_it(paper: io.StringIO) -> None:
    wide, again = (Rich(file=file, width=120, color_system=None) for file in (paper, io.StringIO()))
    print_table(wide, COLUMNS, ROWS, ("schools",))
    print_wrapped(again, COLUMNS, ROWS, ("schools",), (8, 7, 80))

    assert isinstance(again.file, io.StringIO)
    assert paper.getvalue() == again.file.getvalue()


def test_a_narrow_table_breaks_lines_between_words_before_it_breaks_words(paper: io.StringIO) -> None:
    narrow = Rich(file=paper, width=45, force_terminal=True, color_system=None)
    when = "2014-08-15 22:10"
    print_table(
        narrow, ("name", "rows", "when", "where"), [("Lincoln Elementary", "1,234", when, "s3://" + "x" * 9)], ("rows",)
    )

    assert paper.getvalue().splitlines() == [
        "  name         rows  when        where",
        "  Lincoln     1,234  2014-08-15  s3://xxxxxxx",
        "  Elementary         22:10       xx",
    ]
