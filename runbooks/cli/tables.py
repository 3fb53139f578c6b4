"""Tables in the output of tasks: data here, and one look for all of them, the console's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runbooks.engine.live.console import say, show_table


@dataclass(frozen=True)
class TextTable:
    """A table as text: its columns, those with numbers, and its rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()  # columns that are set to the right


def show(parts: Iterable[str | TextTable]) -> None:
    """Print lines and tables in their order."""
    for part in parts:
        if isinstance(part, TextTable):
            show_table(part.columns, part.rows, numbers=part.numbers)
        else:
            say(part)
