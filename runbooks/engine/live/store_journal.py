"""A night's journal in the object store, where every machine reads it and only one can continue it.

Each event is a text of its own, put under its number if that is unused, before the act it names. A run that was taken
over fails at its next put, and stops. The file on this machine is a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from errors import CutoverError, LockedError
from formatting import many
from runbooks.engine.live.background import Turns
from runbooks.engine.model.journal import Event, FileJournal, head_of, read_events, refuse_incomplete
from runbooks.engine.model.ports import ObjectStore
from runbooks.engine.model.redactor import Redactor

T = TypeVar("T")
NIGHTS = "nights/"
HEADS = "heads/"  # of journals: one text a run of the tool, by the number and the digest of its last event
AT_ONCE = 16  # events fetched at a time


class OustedError(LockedError):
    """Another run has taken over the night."""


class ForeignJournalError(CutoverError):
    """The file on this machine does not belong to the journal in the store."""


class StoreJournal(FileJournal):
    """A journal that writes each event to the store first, then to the file."""

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
        local = read_events(path)
        events = read_store_journal(local, object_store, folder)
        _put_back(local, object_store, folder)
        super().__init__(path, now=now, operator=operator, redactor=redactor)
        self._turns = Turns()
        self._object_store = object_store
        self._folder = folder
        self._unsure: Event | None = None  # may be in the store, and is not in the file
        for event in events[len(self._events) :]:
            super()._keep(event)
            self._events.append(event)

    @property
    def object_store(self) -> ObjectStore:
        """The store that the journal is written to."""
        return self._object_store

    @property
    def folder(self) -> str:
        """Its folder there, such as nights/2014-08-15/001."""
        return self._folder

    def _in_turn(self, write: Callable[[], T]) -> T:
        return self._turns.result_of(write)

    def _settle(self) -> None:
        """Store the event of an interrupted write before any other: it may or may not have arrived."""
        if self._unsure:
            event = self._unsure
            self._keep(event)
            self._events.append(event)

    def _keep(self, event: Event) -> None:
        self._unsure = event
        if not self._object_store.put_new(_name(self._folder, event.number), event.to_json()):
            raise self._ousted(event.number)
        super()._keep(event)
        self._unsure = None

    def store_head(self) -> None:
        """Store the number and digest of the last event, so that its loss or change shows; nothing if there is none."""
        if self._events:
            self._object_store.put_new(f"{HEADS}{self._folder}/{len(self._events):06}-{head_of(self._events)}", "")

    def _ousted(self, number: int) -> OustedError:
        text, who = self._object_store.get(_name(self._folder, number)), "another operator"
        with suppress(CutoverError):  # a newer version may have written the event
            other = _event(text)
            who = f"{other.operator} since {other.at:%Y-%m-%d %H:%M:%S %Z}"
        return OustedError(
            f"This run was taken over: {who} continues the night, and this run does nothing more.",
            hint="Jobs already begun keep running on their hosts. See inv cutover.status.",
        )


def current_folder(object_store: ObjectStore, date: str) -> str:
    """Return the folder of the night's newest run in the store; empty if it never began."""
    names = object_store.names(f"{NIGHTS}{date}/")
    return names[-1].rpartition("/")[0] if names else ""


def next_folder(object_store: ObjectStore, date: str) -> str:
    """Return the folder for a new run of the night."""
    number = int(current_folder(object_store, date).rpartition("/")[2] or 0)
    return f"{NIGHTS}{date}/{number + 1:03}"


def read_store_journal(local: Sequence[Event], object_store: ObjectStore, folder: str) -> tuple[Event, ...]:
    """Return the events in the store; `local`, those in this machine's file, are not fetched, and may be lost there.

    Raises ForeignJournalError if the file's events differ from the store's, NewerJournalError if a newer version of
    this tool wrote some of them, CutoverError if an event is missing, or was changed after it was written.
    """
    heads = object_store.names(f"{HEADS}{folder}/") if folder else []  # before the names, which may become more
    names = object_store.names(f"{folder}/") if folder else []
    common = [event for event in local if _name(folder, event.number) in names]
    # Each event has the digest of the one before it: where the last one is the same, all are.
    if local and (not common or object_store.get(_name(folder, common[-1].number)) != common[-1].to_json()):
        raise ForeignJournalError(
            f"This machine's journal has {many(len(local), 'event')} that the store does not have.",
            hint="Is it another store? If that night is over for good, move its journal.jsonl away.",
        )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        texts = list(pool.map(object_store.get, names[len(common) :]))
    events = (*local, *(_event(text) for text in texts))
    refuse_incomplete(events, f"The night's journal in the store, {folder},")
    for head in heads:
        _refuse_other_head(events, head)
    return events


def _put_back(local: Sequence[Event], object_store: ObjectStore, folder: str) -> None:
    """Store events of this machine's file that the store has lost; one that is there is never replaced."""
    names = set(object_store.names(f"{folder}/")) if local else set()
    for event in local:
        if _name(folder, event.number) not in names and not object_store.put_new(
            _name(folder, event.number), event.to_json()
        ):
            raise ForeignJournalError(f"The store has another event {event.number} than this machine's journal.")


def _refuse_other_head(events: Sequence[Event], head: str) -> None:
    """Raise CutoverError if the journal does not have the event that was its last when that head was stored."""
    folder, _, name = head.removeprefix(HEADS).rpartition("/")
    number, _, digest = name.partition("-")
    if head_of(events[: int(number)]) != digest or len(events) < int(number):
        raise CutoverError(
            f"The night's journal in the store, {folder}, is damaged: "
            f"its event {int(number)} is missing or was changed after a run had ended with it.",
            hint="The machine that ran the night has a copy in its journal.jsonl. Does the store keep older versions?",
        )


def _event(text: str | None) -> Event:
    try:
        return Event.from_json(text or "")
    except (ValueError, KeyError, TypeError) as error:
        raise CutoverError(f"The night's journal in the store is damaged: {error}.") from error


def _name(folder: str, number: int) -> str:
    return f"{folder}/{number:06}"
