"""The journal: numbered events, each on disk before the act it names."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from errors import CutoverError, RefusedError
from runbooks.engine.model.redactor import Redactor


class Kind(Enum):
    """What an event says."""

    BEGAN = "began"  # a night: run, plan, digest
    RESUMED = "resumed"  # somebody went on with it
    INTENT = "intent"  # a step is about to be done on a host
    READING = "reading"  # what a host was like before the act
    ANSWER = "answer"  # what a person answered
    RESULT = "result"  # a step's outcome on a host, with its proof
    ABANDONED = "abandoned"  # somebody gave the night up; what is owed is paid, and nothing else is done
    STOPPED = "stopped"  # the run ended before its end
    ENDED = "ended"  # the run is done


OVER = (Kind.STOPPED, Kind.ENDED)  # after these nobody is at work


class NewerJournalError(RefusedError):
    """A newer version of this tool wrote the journal: what it means by it is not known here."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that was about to happen, or happened."""

    number: int  # from 1, without gaps
    at: datetime
    kind: Kind
    operator: str
    step: str = ""
    host: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        head = {"number": self.number, "at": self.at.isoformat(), "kind": self.kind.value, "operator": self.operator}
        return json.dumps({**head, "step": self.step, "host": self.host, "data": self.data}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Event:
        """The event of one line; ValueError, KeyError or TypeError where it is none.

        Raises NewerJournalError where it is of a kind that this version does not know.
        """
        raw = json.loads(line)
        return cls(**{**raw, "at": datetime.fromisoformat(raw["at"]), "kind": _kind(raw)})


def _kind(raw: Mapping[str, Any]) -> Kind:
    try:
        return Kind(raw["kind"])
    except ValueError:
        raise NewerJournalError(
            f"Reading the night's journal refused: its event {raw['number']}, of {raw['operator']}, is of the kind "
            f"{raw['kind']!r}, which this version does not know. A newer version of this tool wrote it.",
            hint="Use that version of the tool for this night.",
        ) from None


class Journal:
    """Events in memory; a store of them overrides `_keep`."""

    def __init__(self, *, now: Callable[[], datetime], operator: str, redactor: Redactor | None = None) -> None:
        self._now = now
        self._operator = operator
        self._redactor = redactor or Redactor()
        self._events: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._writing = threading.Lock()

    @property
    def events(self) -> tuple[Event, ...]:
        """What is written so far."""
        return tuple(self._events)

    def append(self, kind: Kind, *, step: str = "", host: str = "", **data: Any) -> Event:
        """Writes an event; when this returns, it is kept."""
        clean = self._redactor.clean(data)
        with self._writing:
            self._settle()
            number = len(self._events) + 1
            event = Event(
                number=number, at=self._now(), kind=kind, operator=self._operator, step=step, host=host, data=clean
            )
            self._keep(event)
            self._events.append(event)
        for listen in self._listeners:
            listen(event)
        return event

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Has the listener called with each event from now on, once it is kept; from whatever thread wrote it."""
        self._listeners.append(listener)

    def _settle(self) -> None:
        """Finishes what an earlier call left unsure; in memory nothing is."""

    def _keep(self, event: Event) -> None:
        """Stores it for good, or raises."""


class FileJournal(Journal):
    """Events as lines of a file, each flushed to disk."""

    def __init__(
        self, path: Path, *, now: Callable[[], datetime], operator: str, redactor: Redactor | None = None
    ) -> None:
        super().__init__(now=now, operator=operator, redactor=redactor)
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._events.extend(read_events(path))
        _cut_torn_line(path)

    def _keep(self, event: Event) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        end = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            _write_whole(descriptor, f"{event.to_json()}\n".encode())
        except OSError as error:
            with suppress(OSError):  # half a line would spoil the next one
                os.ftruncate(descriptor, end)
            raise CutoverError(f"Writing the journal {self._path} failed: {error.strerror}.") from error
        finally:
            os.close(descriptor)
        if event.number == 1:
            _sync_folder(self._path.parent)


def read_events(path: Path) -> tuple[Event, ...]:
    """The events of a journal's file; none where there is no file. A torn last line was never an event.

    Raises CutoverError where the file is damaged, NewerJournalError where a newer version of this tool wrote it.
    """
    if not path.exists():
        return ()
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        events = tuple(Event.from_json(line.decode()) for line in lines)
    except (ValueError, KeyError, TypeError) as error:
        raise CutoverError(f"The journal {path} is damaged: {error}.") from error
    if [event.number for event in events] != list(range(1, len(events) + 1)):
        raise CutoverError(f"The journal {path} is damaged: an event is missing.")
    return events


def _write_whole(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def _cut_torn_line(path: Path) -> None:
    """A writer that died in the middle of a line left half of it."""
    if path.exists():
        whole = path.read_bytes().rfind(b"\n") + 1
        os.truncate(path, whole)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
