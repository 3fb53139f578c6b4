"""`python -m tests.conductor [go-on] [take-over] [at=MACHINE] [MOMENTS]`: a rehearsed night as a process.

It dies at the moments it is told. At a machine that is given a name, its journal and its locks lie in that one's HOME.

A moment is before an event is kept, between the store and the file, or after: `after intent backups.dump db-master`.
The file MOMENTS holds those that are left, a line each; whoever dies at one takes it out.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

from errors import CutoverError
from inventory.load import load
from runbooks.cutover import rehearse
from runbooks.engine.live.store_journal import StoreJournal
from runbooks.engine.model.journal import Event, FileJournal

WHEN = ("before", "between", "after")
GO_ON, TAKE_OVER, AT = "go-on", "take-over", "at="
STATE = "state"  # in the HOME of a machine that has a name


def moments(events: Iterable[Event]) -> list[str]:
    """The moments of these events, in their order."""
    return [f"{when} {_said(event)}" for event in events for when in WHEN]


def _said(event: Event) -> str:
    return f"{event.kind.value} {event.step} {event.host}".strip()


def _make_mortal(file: Path) -> None:
    in_both, in_the_file = StoreJournal._keep, FileJournal._keep

    def kept(journal: StoreJournal, event: Event) -> None:
        _die_at(file, f"before {_said(event)}")
        in_both(journal, event)
        _die_at(file, f"after {_said(event)}")

    def kept_here(journal: FileJournal, event: Event) -> None:
        _die_at(file, f"between {_said(event)}")
        in_the_file(journal, event)

    FileJournal._keep = kept_here  # type: ignore[method-assign, assignment]
    StoreJournal._keep = kept  # type: ignore[method-assign, assignment]


def _die_at(file: Path, moment: str) -> None:
    left = file.read_text().splitlines()
    if moment in left:
        file.write_text("".join(f"{line}\n" for line in left if line != moment))
        os.kill(os.getpid(), signal.SIGKILL)


def main(words: list[str]) -> None:
    """Conduct the night to its end, its stop or its death, and return the exit code."""
    environment = load("rehearsal")
    for word in words:
        if word.startswith(AT):
            socket.gethostname = partial(str, word.removeprefix(AT))
            environment = replace(environment, state=str(Path.home() / STATE))
        elif word not in (GO_ON, TAKE_OVER):
            _make_mortal(Path(word))
    try:
        rehearse(environment, date(2014, 8, 15), go_on=GO_ON in words, take_over=TAKE_OVER in words)
    except CutoverError as error:
        sys.exit(f"{error.exit_code.value}: {error}\n{error.hint}")


if __name__ == "__main__":
    main(sys.argv[1:])
