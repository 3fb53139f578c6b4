"""The only door to Rich: everything the operator sees and answers."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, BinaryIO

from rich.cells import cell_len
from rich.console import Console as Rich
from rich.live import Live
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from errors import AbortedError
from formatting import clock_span, time_of_day
from runbooks.engine.model.debts import detailed, summed
from runbooks.engine.model.forecast import Forecast
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Board, Clock
from runbooks.engine.model.redactor import Redactor
from runbooks.engine.model.step import Debt, HostTask, Mark, Step

PLAIN_WIDTH = 160  # where there is no terminal
UNWRAPPED = 1_000_000  # the width of a file for a row that must stay in one line
INDENT, GAP = 2, 2  # of a table, and between its columns
LONGEST_WORD = 12  # that a narrow column of a table leaves in one piece
NEWS_EVERY = 10.0  # seconds between two lines of progress of a host, where there is no terminal
Cells = tuple[Text, Text, Text, Text]  # outcome, host, sentence, time


@dataclass(frozen=True)
class Look:
    """How an outcome is shown: never by colour alone."""

    word: str
    style: str


LIVE = {
    Outcome.PENDING: Look("  to do  ", "dim"),
    Outcome.RUNNING: Look("> running", "cyan"),
    Outcome.DONE: Look("✓ done   ", "green"),
    Outcome.FAILED: Look("✗ FAILED ", "bold red"),
    Outcome.SKIPPED: Look("- skipped", "magenta"),
    Outcome.UNKNOWN: Look("? UNKNOWN", "bold yellow"),
}
DRY = {**LIVE, Outcome.RUNNING: Look("  would  ", "cyan"), Outcome.DONE: Look("  proof  ", "green")}


class Console:
    """The operator's screen and keyboard. Tests give a `file` to write to and a `read` that answers."""

    def __init__(
        self,
        *,
        clock: Clock,
        file: IO[str] | None = None,
        read: Callable[[str], str] = input,
        looks: Mapping[Outcome, Look] = LIVE,
        redactor: Redactor | None = None,
    ) -> None:
        self._redactor = redactor or Redactor()
        self._rich = Rich(file=file, highlight=False, markup=False, emoji=False)
        if not self._rich.is_terminal:
            self._rich.width = PLAIN_WIDTH
        self._clock = clock
        self._read = read
        self._looks = looks
        # A live table makes sense on a terminal, and only where things take their time.
        self._live = self._rich.is_terminal and looks is LIVE

    @property
    def redrawable(self) -> bool:
        """Whether what stands there can be drawn anew: on a terminal, and in no file."""
        return self._rich.is_terminal

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return self._rich.is_terminal and sys.stdin.isatty()

    def say(self, text: str, *, style: str = "") -> None:
        """A sentence, or lines; what is wrapped keeps its indent, and nothing is where there is no terminal."""
        for line in self._clean(text).split("\n"):
            words = line.lstrip(" ")
            if self._rich.is_terminal:
                self._rich.print(Padding(Text(words, style=style), (0, 0, 0, len(line) - len(words))))
            else:
                self._rich.print(Text(line, style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """A sentence that must not be overlooked."""
        self.say(f"! {text}", style="bold yellow")

    def opening(self, title: str, notes: Sequence[str]) -> None:
        """What is about to begin."""
        self.say(title, style="bold")
        for note in notes:
            self.say(f"  {note}")

    def begin(self, step: Step, total: int, elapsed: timedelta) -> None:
        """A step begins, so long after the night did."""
        style = "cyan" if step.shown_mark is Mark.AUTOMATE else "magenta"
        head = Text.assemble((f"{step.number:>2}/{total} ", "bold"), (step.title, "bold"))
        tail = Text.assemble((step.shown_mark.value, style), (f"  {clock_span(elapsed)}", "dim"))
        room = (self._rich.width if self._rich.is_terminal else 80) - head.cell_len - tail.cell_len - 2
        self._rich.print()
        self._rich.print(head, Text("─" * max(room, 3), style="dim"), tail, soft_wrap=True)

    @contextmanager
    def board(self, step: Step, tasks: Sequence[HostTask]) -> Iterator[Board]:
        """A board for some hosts of a step: a live table on a terminal, else lines."""
        width = max(len(task.host) for task in step.tasks)
        board = _Board([task.host for task in tasks], width, self._clock, self._looks, self._clean)
        if not self._live:
            board.print_row = self._print_row
            yield board
            return
        live = Live(get_renderable=board.table, console=self._rich, transient=True, refresh_per_second=8)
        try:
            with _silent_keyboard(), live:
                yield board
        finally:
            for row in board.ended():
                self._print_row(row)

    def owed(self, debts: Sequence[Debt]) -> None:
        """What is still switched off."""
        self.say(f"      owed: {summed(debts)}", style="yellow" if debts else "dim")

    def clock(self, seen: Forecast | None) -> None:
        """How long it has lasted, when it will be done, and until when turning back still fits."""
        if seen is None:
            return
        self.say(f"      {clock_line(seen)}", style="dim")
        for warning in seen.warnings:
            self.warn(warning)

    def still_off(self, debts: Sequence[Debt]) -> None:
        """What is still switched off, and where: said whenever a run stops."""
        self._rich.print()
        if not debts:
            self.say("Nothing is owed: whatever was switched off is on again.", style="green")
            return
        self.say("Still switched off, or not proven to be on again:", style="bold yellow")
        for line in detailed(debts):
            self.say(f"  {line}", style="yellow")

    def instruct(self, host: str, lines: Sequence[str]) -> None:
        """What a person is to do on a host."""
        self.say(f"  by hand on {host}:", style="bold")
        for line in lines:
            self.say(f"    {line}", style="cyan" if line.startswith("$ ") else "")

    def ask(self, question: str, answers: Mapping[str, str]) -> str:
        """The key of the answer that was chosen; there is no default, and anything else is asked again."""
        offered = "   ".join(f"[{key}] {label}" for key, label in answers.items())
        while True:
            said = self.typed(f"  {question}   {offered}: ").lower()
            for key, label in answers.items():
                if said in (key, label):
                    return key
            self.say(f"  Please answer with one of: {', '.join(answers)}.")

    def typed(self, prompt: str) -> str:
        """What the operator types after the prompt; what was typed before it is thrown away."""
        _flush_type_ahead()
        try:
            return self._read(prompt).strip()
        except EOFError:
            raise AbortedError("The keyboard is gone, so nobody can answer.") from None

    def redraw(self, tell: Callable[[], None]) -> None:
        """What the call prints takes the place of all that stands on the terminal."""
        with self._rich.capture() as drawn:
            tell()
        self._rich.clear()
        self._rich.print(Text.from_ansi(drawn.get()), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
        """Print a table; the columns named in `numbers` are set to the right."""
        print_table(self._rich, columns, [[self._clean(cell) for cell in row] for row in rows], numbers)

    def _clean(self, text: str) -> str:
        return clean(str(self._redactor.clean(text)))

    def _print_row(self, cells: Cells) -> None:
        """One host; a sentence that is wrapped keeps to its column, and none is where there is no terminal."""
        if self._rich.is_terminal:
            self._rich.print(_grid([cells]))
        else:
            *row, time = cells
            told = [*row, Text(f"({time})", "dim")] if time else row
            self._rich.print(Text("  ").join(told), soft_wrap=True)


@dataclass
class _Row:
    outcome: Outcome = Outcome.PENDING
    sentence: str = ""
    since: float = 0.0
    spent: float | None = None  # set when it ended
    told: float | None = None  # when a line of progress was last printed


class _Board:
    """The hosts of a step; workers write to it from their threads, one row each."""

    def __init__(
        self,
        hosts: Sequence[str],
        width: int,
        clock: Clock,
        looks: Mapping[Outcome, Look],
        cleaned: Callable[[str], str],
    ) -> None:
        self._rows = {host: _Row(since=clock.ticks()) for host in hosts}
        self._clock = clock
        self._looks = looks
        self._width = width
        self._cleaned = cleaned
        self.print_row: Callable[[Cells], None] | None = None  # where no live table shows the rows

    def show(self, host: str, outcome: Outcome, sentence: str) -> None:
        """A host's new state."""
        row = self._rows[host]
        row.outcome, row.sentence = outcome, self._cleaned(sentence).strip()
        if outcome not in (Outcome.PENDING, Outcome.RUNNING):
            row.spent = self._clock.ticks() - row.since
        if self.print_row and self._worth_a_line(row):
            row.told = self._clock.ticks()
            self.print_row(self._cells(host, row))

    def table(self) -> RichTable:
        """The hosts as they are now."""
        return _grid([self._cells(host, row) for host, row in self._rows.items()])

    def ended(self) -> list[Cells]:
        """The last word on each host that was touched."""
        return [self._cells(host, row) for host, row in self._rows.items() if row.outcome is not Outcome.PENDING]

    def _cells(self, host: str, row: _Row) -> Cells:
        look = self._looks[row.outcome]
        spent = row.spent if row.spent is not None else self._clock.ticks() - row.since
        time = clock_span(timedelta(seconds=spent)) if spent >= 1 else ""
        name = f"{host:<{self._width}}"
        return Text(f"  {look.word}", look.style), Text(name), Text(row.sentence), Text(time, "dim")

    def _worth_a_line(self, row: _Row) -> bool:
        if row.outcome is Outcome.RUNNING:
            return row.told is None or self._clock.ticks() - row.told >= NEWS_EVERY
        return row.outcome is not Outcome.PENDING


def _grid(rows: Sequence[Cells]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid


def clock_line(seen: Forecast) -> str:
    """A night's clock: 1:23:45 elapsed · done about 04:10 · window ends 06:00 · turn back by 05:20."""
    moments = {"window ends": seen.window_end, "turn back by": seen.turn_back_by}
    if seen.left and not seen.ended:
        moments = {"done about": seen.done_by, **moments}
    told = [f"{word} {time_of_day(moment, seen.now)}" for word, moment in moments.items() if moment]
    return " · ".join([f"{clock_span(seen.elapsed)} elapsed", *told])


def clean(text: str) -> str:
    """Text without control characters, which a host's output may hold; lines stay lines."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


@contextmanager
def _silent_keyboard() -> Iterator[None]:
    """What is typed into a live table is not shown: it would tear the table apart. Ctrl-C works."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, OSError, ValueError):  # no terminal to type at
        yield
        return
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _flush_type_ahead() -> None:
    with suppress(termios.error, OSError, ValueError):  # no terminal: nothing was typed ahead
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


@contextmanager
def raw_output() -> Iterator[BinaryIO]:
    """Standard output for bytes that are an answer, not words: rows, for a file or the next program."""
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Print a line of a task that has no screen of its own, unwrapped even on a narrow terminal."""
    Rich(highlight=False, markup=False, emoji=False).print(Text(clean(text)), soft_wrap=True)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """Print a table of a task that has no screen of its own: it fits a terminal, and a file has each row in a line."""
    rich = Rich(highlight=False, markup=False, emoji=False)
    if not rich.is_terminal:
        rich.width = UNWRAPPED
    print_table(rich, columns, [[clean(cell) for cell in row] for row in rows], numbers)


def print_table(rich: Rich, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]) -> None:
    """Print a table; without Rich's layout, which is slow for ten thousand rows, if nothing has to be wrapped."""
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n"))
        for column in zip(columns, *rows, strict=True)
    ]
    room = rich.width - INDENT - GAP * (len(columns) - 1)
    if sum(widths) <= room and not any("\n" in cell for row in rows for cell in row):
        rights = [column in numbers for column in columns]
        lines = [_row_line(row, widths, rights) for row in (columns, *rows)]
        rich.print(Text(lines[0], style="dim"), soft_wrap=True)
        if rows:
            rich.print(Text("\n".join(lines[1:])), soft_wrap=True)
    else:
        words = [max(map(cell_len, " ".join(column).split()), default=0) for column in zip(columns, *rows, strict=True)]
        least = [
            width if column in numbers else min(word, LONGEST_WORD)
            for column, width, word in zip(columns, widths, words, strict=True)
        ]
        print_wrapped(rich, columns, rows, numbers, _shrunk(widths, least, room))


def _shrunk(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that fit: the widest give first, and words and numbers are cut only if nothing else is left."""
    shrunk, columns = list(widths), range(len(widths))
    for _ in range(sum(widths) - room):
        spare = [column for column in columns if shrunk[column] > least[column]]
        widest = max(spare or columns, key=lambda column: shrunk[column])
        shrunk[widest] = max(shrunk[widest] - 1, 1)
    return shrunk


def _row_line(cells: Sequence[str], widths: Sequence[int], rights: Sequence[bool]) -> str:
    """Return a row as Rich sets it."""
    padded = []
    for cell, width, right in zip(cells, widths, rights, strict=True):
        space = " " * (width - cell_len(cell))
        padded.append(f"{space}{cell}" if right else f"{cell}{space}")
    return (" " * INDENT + (" " * GAP).join(padded)).rstrip()


def print_wrapped(
    rich: Rich,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Collection[str],
    widths: Sequence[int],
) -> None:
    """Print a table by Rich, which wraps the cells to these widths."""
    table = RichTable(box=None, pad_edge=False, header_style="dim", padding=(0, GAP // 2))
    for column, width in zip(columns, widths, strict=True):
        right = column in numbers
        table.add_column(column, justify="right" if right else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with rich.capture() as drawn:
        rich.print(Padding(table, (0, 0, 0, INDENT)))
    # Rich fills every line to the full width, which a file does not need.
    lines = [line.rstrip() for line in drawn.get().splitlines()]
    rich.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)
