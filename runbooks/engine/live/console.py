"""The only door to Rich: everything the operator reads and answers."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from runbooks.engine.live.board import BoardRow, OutcomeStyle, StepBoard
from runbooks.engine.live.keyboard import any_byte_is_read, flush_type_ahead, shown_again, silent_keyboard
from runbooks.engine.model.debts import detailed, summed
from runbooks.engine.model.forecast import Forecast
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Board, Clock
from runbooks.engine.model.redactor import Redactor
from runbooks.engine.model.step import Debt, HostTask, Mark, Step

PLAIN_WIDTH = 160  # characters, without a terminal
UNWRAPPED = 1_000_000  # characters: the width of a file, for a row that must stay on one line
INDENT, GAP = 2, 2  # characters, of a table and between its columns
LONGEST_WORD = 12  # characters that a narrow column of a table keeps in one piece

LIVE = {
    Outcome.PENDING: OutcomeStyle("  to do  ", "dim"),
    Outcome.RUNNING: OutcomeStyle("> running", "cyan"),
    Outcome.DONE: OutcomeStyle("✓ done   ", "green"),
    Outcome.FAILED: OutcomeStyle("✗ FAILED ", "bold red"),
    Outcome.SKIPPED: OutcomeStyle("- skipped", "magenta"),
    Outcome.DEFERRED: OutcomeStyle("» later  ", "magenta"),
    Outcome.UNKNOWN: OutcomeStyle("? UNKNOWN", "bold yellow"),
}
DRY = {**LIVE, Outcome.RUNNING: OutcomeStyle("  would  ", "cyan"), Outcome.DONE: OutcomeStyle("  proof  ", "green")}


class Console:
    """The operator's screen and keyboard. Tests pass a `file` to write to and a `read` that answers."""

    def __init__(
        self,
        *,
        clock: Clock,
        file: IO[str] | None = None,
        read: Callable[[str], str] = input,
        styles: Mapping[Outcome, OutcomeStyle] = LIVE,
        redactor: Redactor | None = None,
    ) -> None:
        self._redactor = redactor or Redactor()
        self._rich = Rich(file=file, highlight=False, markup=False, emoji=False)
        if not self._rich.is_terminal:
            self._rich.width = PLAIN_WIDTH
        self._clock = clock
        self._read = read
        self._styles = styles
        # A live table makes sense on a terminal, and not in a dry run, where nothing takes time.
        self._live = self._rich.is_terminal and styles is LIVE

    @property
    def redrawable(self) -> bool:
        """True on a terminal, where the output can be redrawn."""
        return self._rich.is_terminal

    @property
    def interactive(self) -> bool:
        """True if a person can be asked."""
        return self._rich.is_terminal and sys.stdin.isatty()

    def say(self, text: str, *, style: str = "") -> None:
        """Print a sentence or lines; a terminal wraps them and keeps their indent, a file does not wrap."""
        for line in self._clean(text).split("\n"):
            words = line.lstrip(" ")
            if self._rich.is_terminal:
                self._rich.print(Padding(Text(words, style=style), (0, 0, 0, len(line) - len(words))))
            else:
                self._rich.print(Text(line, style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.say(f"! {text}", style="bold yellow")

    def opening(self, title: str, notes: Sequence[str]) -> None:
        """Print a title and notes on what is about to begin."""
        self.say(title, style="bold")
        for note in notes:
            self.say(f"  {note}")

    def begin(self, step: Step, total: int, elapsed: timedelta) -> None:
        """Print that a step begins; `elapsed` is the time since the night began."""
        style = "cyan" if step.shown_mark is Mark.AUTOMATE else "magenta"
        head = Text.assemble((f"{step.label:>2}/{total} ", "bold"), (step.title, "bold"))
        tail = Text.assemble((step.shown_mark.value, style), (f"  {clock_span(elapsed)}", "dim"))
        room = (self._rich.width if self._rich.is_terminal else 80) - head.cell_len - tail.cell_len - 2
        self._rich.print()
        self._rich.print(head, Text("─" * max(room, 3), style="dim"), tail, soft_wrap=True)

    @contextmanager
    def board(self, step: Step, tasks: Sequence[HostTask]) -> Iterator[Board]:
        """Yield a board for some hosts of a step: a live table on a terminal, otherwise lines."""
        width = max(len(task.host) for task in step.tasks)
        board = StepBoard([task.host for task in tasks], width, self._clock, self._styles, self._clean)
        if not self._live:
            board.print_row = self._print_row
            yield board
            return
        live = Live(
            get_renderable=lambda: _grid(board.rows()), console=self._rich, transient=True, refresh_per_second=8
        )
        try:
            with silent_keyboard(), live:
                yield board
        finally:
            for row in board.ended():
                self._print_row(row)

    def owed(self, debts: Sequence[Debt]) -> None:
        """Print in one line what is still off."""
        line = f"still off: {summed(debts)}" if debts else "everything is back on"
        self.say(f"      {line}", style="yellow" if debts else "dim")

    def clock(self, seen: Forecast | None) -> None:
        """Print the time elapsed, the expected end, and the latest time to turn back; nothing before a night."""
        if seen is None:
            return
        self.say(f"      {clock_line(seen)}", style="dim")
        for warning in seen.warnings:
            self.warn(warning)

    def still_off(self, debts: Sequence[Debt]) -> None:
        """Print what is still off, and where; called whenever a run stops."""
        self._rich.print()
        if not debts:
            self.say("Everything is back on.", style="green")
            return
        self.say("Still off, or not verified to be back on:", style="bold yellow")
        for line in detailed(debts):
            self.say(f"  {line}", style="yellow")

    def instruct(self, host: str, lines: Sequence[str]) -> None:
        """Print what a person must do on a host."""
        self.say(f"  by hand on {host}:", style="bold")
        for line in lines:
            self.say(f"    {line}", style="cyan" if line.startswith("$ ") else "")

    def ask(self, question: str, answers: Mapping[str, str]) -> str:
        """Return the key of the chosen answer; there is no default, and anything else is asked again."""
        offered = "   ".join(f"[{key}] {label}" for key, label in answers.items())
        while True:
            typed = self.typed(f"  {question}   {offered}: ").lower()
            for key, label in answers.items():
                if typed in (key, label):
                    return key
            self.say(f"  Please answer with one of: {', '.join(answers)}.")

    def typed(self, prompt: str) -> str:
        """Return what the operator types after the prompt; what was typed before it is discarded."""
        flush_type_ahead()
        any_byte_is_read()
        try:
            with shown_again(prompt):
                return self._read(prompt).strip()
        except EOFError:
            raise AbortedError("The keyboard is gone, so no answer can be given.") from None

    def redraw(self, draw: Callable[[], None]) -> None:
        """Replace the terminal's contents with what the call prints."""
        with self._rich.capture() as drawn:
            draw()
        self._rich.clear()
        self._rich.print(Text.from_ansi(drawn.get()), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
        """Print a table; the columns named in `numbers` are set to the right."""
        print_table(self._rich, columns, [[self._clean(cell) for cell in row] for row in rows], numbers)

    def _clean(self, text: str) -> str:
        return clean(str(self._redactor.clean(text)))

    def _print_row(self, row: BoardRow) -> None:
        """Print one host; a long sentence wraps within its column on a terminal, and not at all without one."""
        if self._rich.is_terminal:
            self._rich.print(_grid([row]))
        else:
            *cells, time = _cells(row)
            line = [*cells, Text(f"({time})", "dim")] if time else cells
            self._rich.print(Text("  ").join(line), soft_wrap=True)


def _cells(row: BoardRow) -> tuple[Text, Text, Text, Text]:
    style = row.style
    return Text(f"  {style.word}", style.style), Text(row.host), Text(row.sentence), Text(row.time, "dim")


def _grid(rows: Sequence[BoardRow]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*_cells(row))
    return grid


def clock_line(seen: Forecast) -> str:
    """Return a night's clock: 1:23:45 elapsed · done about 04:10 · window ends 06:00 · turn back by 05:20."""
    moments = {"window ends": seen.window_end, "turn back by": seen.turn_back_by}
    if seen.left and not seen.ended:
        moments = {"done about": seen.done_by, **moments}
    times = [f"{word} {time_of_day(moment, seen.now)}" for word, moment in moments.items() if moment]
    return " · ".join([f"{clock_span(seen.elapsed)} elapsed", *times])


def clean(text: str) -> str:
    """Return a text without control characters, which a host's output may contain; line breaks stay."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


@contextmanager
def raw_output() -> Iterator[BinaryIO]:
    """Yield standard output for bytes, such as rows for a file or another program."""
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Print a line of a task without a console of its own; it is never wrapped."""
    Rich(highlight=False, markup=False, emoji=False).print(Text(clean(text)), soft_wrap=True)


def say_wrapped(text: str, *, style: str = "") -> None:
    """Print lines of a task; a terminal wraps each between words and indents the rest, a file has it on one line."""
    rich = Rich(highlight=False, markup=False, emoji=False)
    lines = clean(text).split("\n")
    rich.print(
        Text("\n".join(_wrapped(line, rich.width) if rich.is_terminal else line for line in lines), style=style),
        soft_wrap=True,
    )


def _wrapped(line: str, width: int) -> str:
    """Return a line wrapped to a width; a long word, such as a location, stays in one piece."""
    indent = " " * (len(line) - len(line.lstrip()) + 2 * INDENT)
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def alert(text: str, *, style: str) -> None:
    """Print lines on stderr, where no program reads a task's output; a terminal wraps them between words."""
    rich = Rich(stderr=True, highlight=False, markup=False, emoji=False)
    rich.print(Text(clean(text), style=style), soft_wrap=not rich.is_terminal)


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
