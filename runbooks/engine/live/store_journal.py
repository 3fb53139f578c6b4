"""A night's journal on the shelf, where every machine reads it and only one can go on with it.

Each event is a text of its own, numbered, put only where none is, before the act it names. Whoever was ousted loses
its next put, and stops. The file on this machine is a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from errors import CutoverError, LockedError
from runbooks.engine.model.journal import Event, FileJournal, read_events
from runbooks.engine.model.ports import ObjectStore
from runbooks.engine.model.redactor import Redactor

NIGHTS = "nights/"
AT_ONCE = 16  # events fetched at a time


class OustedError(LockedError):
    """Somebody else went on with the night."""


class ForeignJournalError(CutoverError):
    """The file on this machine does not belong to the journal on the shelf."""


class StoreJournal(FileJournal):
    """Events on the shelf first, then in the file."""

    def __init__(
        self,
        path: Path,
        object_store: ObjectStore,
        folder: str,
        *,
        now: Callable[[], datetime],
        operator: str,
        redactor: Redactor | None = None,
    ) -> None:
        events = read_store_journal(read_events(path), object_store, folder)
        super().__init__(path, now=now, operator=operator, redactor=redactor)
        self._shelf = object_store
        self._folder = folder
        self._unsure: Event | None = None  # may be on the shelf, and is not in the file
        for event in events[len(self._events) :]:
            super()._keep(event)
            self._events.append(event)

    def _settle(self) -> None:
        """What was begun to be kept is kept, before anything follows it: nobody knows how far it came."""
        if self._unsure:
            event = self._unsure
            self._keep(event)
            self._events.append(event)

    def _keep(self, event: Event) -> None:
        self._unsure = event
        if not self._shelf.put_new(_name(self._folder, event.number), event.to_json()):
            raise self._ousted(event.number)
        super()._keep(event)
        self._unsure = None

    def _ousted(self, number: int) -> OustedError:
        text, who = self._shelf.get(_name(self._folder, number)), "somebody"
        with suppress(CutoverError):  # who it is may go on with a version whose words are not known here
            other = _event(text)
            who = f"{other.operator} since {other.at:%Y-%m-%d %H:%M:%S %Z}"
        return OustedError(
            f"This run was taken over: {who} goes on with the night, and nothing more is done from here.",
            hint="What was begun goes on at its hosts. See inv cutover.status.",
        )


def current_folder(object_store: ObjectStore, date: str) -> str:
    """Where the night's newest run lies on the shelf; empty where it never began."""
    names = object_store.names(f"{NIGHTS}{date}/")
    return names[-1].rpartition("/")[0] if names else ""


def next_folder(object_store: ObjectStore, date: str) -> str:
    """Where a new run of the night shall lie."""
    number = int(current_folder(object_store, date).rpartition("/")[2] or 0)
    return f"{NIGHTS}{date}/{number + 1:03}"


def read_store_journal(here: Sequence[Event], object_store: ObjectStore, folder: str) -> tuple[Event, ...]:
    """The events on the shelf; those that this machine has in a file are not fetched again.

    Raises ForeignJournalError where the file holds other events than the shelf, NewerJournalError where a newer version
    of this tool wrote some of these.
    """
    names = object_store.names(f"{folder}/") if folder else []
    if here and (len(names) < len(here) or object_store.get(names[len(here) - 1]) != here[-1].to_json()):
        raise ForeignJournalError(
            f"The journal of this machine has {len(here)} events, and the store does not have them.",
            hint="Is it another store? If that night is over for good, move its journal.jsonl away.",
        )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        texts = list(pool.map(object_store.get, names[len(here) :]))
    events = (*here, *(_event(text) for text in texts))
    if [event.number for event in events] != list(range(1, len(events) + 1)):
        raise CutoverError(f"The night's journal in the store, {folder}, is damaged: an event is missing.")
    return events


def _event(text: str | None) -> Event:
    try:
        return Event.from_json(text or "")
    except (ValueError, KeyError, TypeError) as error:
        raise CutoverError(f"The night's journal in the store is damaged: {error}.") from error


def _name(folder: str, number: int) -> str:
    return f"{folder}/{number:06}"
