"""Deferred work of an environment's nights: every task shows it until it is proven to be done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from errors import CutoverError, ExitCode
from inventory.load import ROOT
from inventory.model import Environment
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import alert
from runbooks.engine.live.store_journal import ForeignJournalError, current_folder, read_store_journal
from runbooks.engine.model.deferral import DeferredWork, deferred_work
from runbooks.engine.model.journal import Event, Kind, read_events

MARK = f'"kind": "{Kind.DEFERRED.value}"'.encode()  # in a journal's line


class OverdueError(CutoverError):
    """The task is done, and deferred work of a night is overdue."""

    exit_code = ExitCode.DEBT


@dataclass(frozen=True, kw_only=True)
class DueWork:
    """Deferred work, and the night that deferred it."""

    environment: str
    night: str  # its date
    work: DeferredWork

    def overdue(self, today: date) -> bool:
        """True if its day has passed."""
        return self.work.overdue(today)

    def text(self, today: date) -> str:
        """Return it in a sentence, and the command that does it in a line of its own."""
        work = self.work
        day = f"OVERDUE since {work.until}" if self.overdue(today) else f"due on {work.until}"
        off = f"; still off: {work.pays}" if work.pays else ""
        do = f"inv cutover.step {work.step} --date={self.night} --env={self.environment}"
        return f"{work.title} on {work.host}, of the night {self.night}, is {day} (deferred by {work.by}){off}.\n  {do}"


def home_of(environment: Environment) -> Path:
    """Return the folder of an environment's nights on this machine."""
    return ROOT / Path(environment.state).expanduser() / environment.name


def today_in(environment: Environment) -> date:
    """Return the present day in the environment's time zone."""
    return SystemClock().now().astimezone(environment.zone).date()


def show_due_work(environment: Environment, *, ask_store: bool) -> None:
    """Print on stderr the deferred work of the nights that this machine knows; what is overdue, in red."""
    today = today_in(environment)
    for each in due_work(environment, ask_store=ask_store):
        alert(f"! {each.text(today)}", style="bold red" if each.overdue(today) else "yellow")


def refuse_overdue(environment: Environment, *, ask_store: bool) -> None:
    """Raise OverdueError, for its exit code, if deferred work is overdue."""
    today = today_in(environment)
    if late := [each for each in due_work(environment, ask_store=ask_store) if each.overdue(today)]:
        raise OverdueError("\n".join(each.text(today) for each in late))


def due_work(environment: Environment, *, ask_store: bool) -> tuple[DueWork, ...]:
    """Return the deferred work of the nights that this machine knows, the earliest night first.

    The store, which also knows what other machines have done since, is asked only if this machine's journal has some.
    """
    name = environment.name
    return tuple(
        DueWork(environment=name, night=path.parent.name, work=work)
        for path in sorted(home_of(environment).glob("*/journal.jsonl"))
        for work in deferred_work(_events(environment, path, ask_store=ask_store))
    )


def _events(environment: Environment, path: Path, *, ask_store: bool) -> Sequence[Event]:
    """Return a night's events; none if its journal can't be read: a reminder must not stop a task."""
    events: Sequence[Event] = ()
    with suppress(CutoverError, OSError):
        if MARK in path.read_bytes():
            events = read_events(path)
            if ask_store and deferred_work(events):
                events = _newest(environment, path.parent.name, events)
    return events


def _newest(environment: Environment, night: str, local: Sequence[Event]) -> Sequence[Event]:
    store = EnvironmentStore(environment.store)
    folder = current_folder(store, night)
    try:
        return read_store_journal(local, store, folder)
    except ForeignJournalError:
        return read_store_journal((), store, folder)
