"""The files of a night on this machine and in the store, and the run that is active in an environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from archiver.postgres.operator import host, operator
from errors import CutoverError, LockedError, UnknownError
from inventory.load import refuse_if_down
from inventory.model import Environment
from runbooks.cli.due_work import home_of
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.live.console import say
from runbooks.engine.live.lock import Holder, claimant, holder, this_process
from runbooks.engine.live.prompt_store import PromptStore
from runbooks.engine.live.store_journal import (
    ForeignJournalError,
    StoreJournal,
    current_folder,
    next_folder,
    read_store_journal,
)
from runbooks.engine.model.journal import Event, NewerJournalError, UnreadableJournalError, read_events
from runbooks.engine.model.ports import Clock, ObjectStore
from runbooks.engine.model.redactor import redactor_for


@dataclass(frozen=True)
class Files:
    """The paths of a night's files, such as .cutover/rehearsal/2014-08-15/journal.jsonl."""

    environment: Environment
    date: str

    @property
    def home(self) -> Path:
        """The environment's folder."""
        return home_of(self.environment)

    @property
    def journal(self) -> Path:
        """The night's journal."""
        return self.home / self.date / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """The file lock of the run that is active in the environment."""
        return self.home / "lock"

    def set_aside(self) -> None:
        """Rename the journal of an earlier run, so that a new one can begin; nothing is deleted."""
        if self.journal.exists():
            stamp = datetime.fromtimestamp(self.journal.stat().st_mtime, UTC)
            self.journal.rename(self.journal.with_name(f"journal-{stamp:%Y%m%dT%H%M%S%f}.jsonl"))


def open_journal(
    environment: Environment, date: str, object_store: ObjectStore, clock: Clock, *, afresh: bool
) -> StoreJournal:
    """Open the night's journal; with `afresh`, set the file of an earlier run aside first."""
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
        files.set_aside()  # the lab it was written in no longer exists, nor does that lab's store
        return opened()


def events_of(environment: Environment, date: str) -> tuple[Event, ...]:
    """Return the night's journal so far, for reading only; empty if the night has not begun.

    It is read from the store, or from this machine if the store fails. Raises NewerJournalError if a newer version
    of this tool wrote either, UnknownError if the store fails and this machine has none: it may have begun elsewhere.
    """
    local_events = _on_this_machine(Files(environment, date).journal)
    try:
        return newer(readable_store(environment, say), date, local_events)
    except NewerJournalError:
        raise
    except CutoverError as error:
        if not local_events:
            message = f"The night of {date} may have begun or not: the store has its journal. {error}"
            raise UnknownError(message, hint=error.hint) from error
        say(f"! Reading the store failed, so events written on other machines are missing: {error}")
        return local_events


def _on_this_machine(path: Path) -> tuple[Event, ...]:
    try:
        return read_events(path)
    except UnreadableJournalError as error:  # a colleague's: the store has the same
        say(f"! {error}")
        return ()


def newer(object_store: ObjectStore, date: str, local_events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the night's journal from the store, as it continues the local events; CutoverError if reading fails."""
    folder = current_folder(object_store, date)
    try:
        return read_store_journal(local_events, object_store, folder)
    except ForeignJournalError:
        return read_store_journal((), object_store, folder)


def at_work(environment: Environment) -> str:
    """Return who runs something in the environment, on any machine; empty if no active run is seen."""
    with suppress(CutoverError):  # a colleague's lock can't be looked at, but the store names its holder too
        if local := holder(Files(environment, "").lock):
            return local
    with suppress(CutoverError):
        return claimant(object_store_of(environment), myself("looking"))
    return ""


def refuse_if_at_work(environment: Environment) -> None:
    """Raise LockedError if a run is active in the environment on this machine."""
    if who := holder(Files(environment, "").lock):
        raise LockedError(f"Another run is active in {environment.name}: {who}.", hint="Wait until it has ended.")


def object_store_of(environment: Environment) -> ObjectStore:
    """Return the store that all machines share; UsageError if the environment must be started first."""
    refuse_if_down(environment)
    return EnvironmentStore(environment.store)


def readable_store(environment: Environment, warn: Callable[[str], None]) -> ObjectStore:
    """Return that store for who only reads, and is told while it does not answer."""
    return PromptStore(object_store_of(environment), lambda text: warn(f"! {text}"))


def me() -> str:
    """Return operator and host, as the journal names them."""
    return f"{operator()}@{host()}"


def myself(what: str) -> Holder:
    """Return this process, as other operators see it."""
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Holder(who=operator(), where=host(), pid=os.getpid(), born=this_process(), what=what, since=since)
