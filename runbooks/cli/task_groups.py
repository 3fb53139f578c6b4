"""`inv --list`: the tasks by what a person wants to do, a line each in plain words, and the single steps together."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from invoke.program import Program

# Collections and single tasks; one that is named itself is not listed with its collection.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Night": ("cutover",),
    "Archive": ("archive",),
    "Restore": ("restore",),
    "Months": ("activity", "archive.release"),
    "Shards": ("shards",),
    "Databases": ("databases", "check"),
    "Users": ("users",),
    "Inventory": ("inventory", "doctor", "archive.catalog-draft", "archive.check-catalog"),
    "Lab": ("rehearsal",),
}
STEPS = "Single steps of a night, each with --date"
NARROWEST = 60  # columns: below that, a terminal wraps the lines


def install() -> None:
    """Let `inv --list` list the tasks in groups; with a collection or a depth it lists as Invoke does."""
    of_invoke = Program.list_flat

    def list_flat(self: Program) -> None:
        if self.list_root or self.list_depth:
            of_invoke(self)
            return
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(lines(self.scoped_collection, width)))  # noqa: T201 - in place of Invoke's own print

    Program.list_flat = list_flat  # type: ignore[method-assign]


def lines(namespace: Any, width: int | None) -> Iterator[str]:
    """Yield the list of a namespace's tasks, for a terminal of that width; None: sentences are not shortened."""
    names = [name.replace("_", "-") for name in namespace.task_names]
    column = max(map(len, names)) + 2
    room = None if width is None else max(width, NARROWEST) - column - 2
    for group in GROUPS:
        yield group
        for name in (name for name in names if group_of(name) == group):
            yield f"  {name:{column}}{summary(namespace[name].__doc__ or '', room)}"
        yield ""
    yield STEPS
    yield from _paragraph((name for name in names if not group_of(name)), width or 100)
    yield ""
    yield "inv --help TASK explains a task; docs/tasks.md has all of them."


def group_of(name: str) -> str:
    """Return the group of a task; empty for a single step of a night."""
    collection = name.split(".")[0]
    for words in (name, collection):
        for group, members in GROUPS.items():
            if words in members:
                return group
    return ""


def summary(text: str, room: int | None) -> str:
    """Return what a task does: its first sentence; where the room is short, that up to a colon, a comma or a word."""
    sentence = text.strip().partition("\n")[0].rstrip(".")
    if room is None or len(sentence) <= room:
        return sentence
    for marks in (r"[:;(]|\. ", r","):
        ends = [match.start() for match in re.finditer(marks, sentence) if match.start() <= room]
        if ends:
            return sentence[: ends[0] if marks != r"," else ends[-1]].rstrip()
    return textwrap.shorten(sentence, room, placeholder=" …")


def _paragraph(words: Iterable[str], width: int) -> list[str]:
    text = ", ".join(words)
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
