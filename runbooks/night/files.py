"""Where a night is kept, on this machine and in the store, and who is at work on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from archiver.postgres.operator import host, operator
from errors import CutoverError, LockedError
from inventory.load import ROOT, refuse_if_down
from inventory.model import Environment
from runbooks.engine.live.console import say
from runbooks.engine.live.lock import Holder, born, claimant, holder
from runbooks.engine.live.store_journal import (
    ForeignJournalError,
    StoreJournal,
    current_folder,
    next_folder,
    read_store_journal,
)
from runbooks.engine.model.journal import Event, NewerJournalError, read_events
from runbooks.engine.model.ports import Clock, ObjectStore
from runbooks.engine.model.redactor import redactor_for
from runbooks.night.live_ports import EnvironmentStore


@dataclass(frozen=True)
class Files:
    """Where a night is kept, such as .cutover/rehearsal/2014-08-15/journal.jsonl."""

    environment: Environment
    date: str

    @property
    def home(self) -> Path:
        """The environment's folder."""
        return ROOT / Path(self.environment.state).expanduser() / self.environment.name

    @property
    def journal(self) -> Path:
        """The night's journal."""
        return self.home / self.date / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held by whoever is at work in the environment."""
        return self.home / "lock"

    def set_aside(self) -> None:
        """Renames the journal of an earlier run, so that a new one can begin; it is kept."""
        if self.journal.exists():
            stamp = datetime.fromtimestamp(self.journal.stat().st_mtime, UTC)
            self.journal.rename(self.journal.with_name(f"journal-{stamp:%Y%m%dT%H%M%S%f}.jsonl"))


def open_journal(
    environment: Environment, date: str, object_store: ObjectStore, clock: Clock, *, afresh: bool
) -> StoreJournal:
    """The night's journal; the file of an earlier one is set aside where this one begins afresh."""
    files = Files(environment, date)
    folder = current_folder(object_store, date)
    if afresh:
        files.set_aside()
    if afresh or not folder:
        folder = next_folder(object_store, date)
    who, redactor = me(), redactor_for(environment)
    opened = partial(StoreJournal, files.journal, object_store, folder, now=clock.now, operator=who, redactor=redactor)
    try:
        return opened()
    except ForeignJournalError:
        if environment.overlay is None:
            raise
        files.set_aside()  # of a lab that is gone, and its store with it
        return opened()


def events_of(environment: Environment, date: str) -> tuple[Event, ...]:
    """The night's journal so far, for whoever only reads it; empty where it has not begun.

    It is the store's; where that can't be read, what this machine has of it. Raises NewerJournalError where a newer
    version of this tool wrote either.
    """
    path = Files(environment, date).journal
    try:
        return newer(object_store_of(environment), date, read_events(path))
    except NewerJournalError:
        raise
    except CutoverError as error:
        say(f"! What other machines know of this night can't be seen: {error}")
        return read_events(path)


def newer(object_store: ObjectStore, date: str, known: Sequence[Event]) -> tuple[Event, ...]:
    """The night's journal in the store, beyond what is known of it; CutoverError where it can't be read."""
    folder = current_folder(object_store, date)
    try:
        return read_store_journal(known, object_store, folder)
    except ForeignJournalError:
        return read_store_journal((), object_store, folder)


def at_work(environment: Environment) -> str:
    """Who is at work in the environment, on whatever machine; empty where nobody is, as far as can be seen."""
    here = holder(Files(environment, "").lock)
    with suppress(CutoverError):
        return here or claimant(object_store_of(environment), myself("looking"))
    return here


def refuse_if_at_work(environment: Environment) -> None:
    """LockedError where somebody on this machine is at work in the environment."""
    if who := holder(Files(environment, "").lock):
        raise LockedError(f"Somebody is at work in {environment.name}: {who}.", hint="Wait until it has ended.")


def object_store_of(environment: Environment) -> ObjectStore:
    """What every machine that works on the environment sees; UsageError where it must be started first."""
    refuse_if_down(environment)
    return EnvironmentStore(environment.store)


def me() -> str:
    """Who works here, as the journal says it."""
    return f"{operator()}@{host()}"


def myself(what: str) -> Holder:
    """This process, as others are told of it."""
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Holder(who=operator(), where=host(), pid=os.getpid(), born=born(os.getpid()), what=what, since=since)
