"""The journal: numbered events, each on disk before the act it names, and chained.

Each event carries the SHA-256 of the one before it, so that a later change of the journal shows.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from errors import CutoverError, RefusedError
from inventory.private_folder import private_folder
from runbooks.engine.model.redactor import Redactor

T = TypeVar("T")


class Kind(Enum):
    """The kind of an event."""

    BEGAN = "began"  # a night: run, plan, digest
    RESUMED = "resumed"  # an operator resumed it
    INTENT = "intent"  # a step is about to be done on a host
    READING = "reading"  # rows read from a host before the act
    QUESTION = "question"  # a person is waited for: who, and for what
    BROKEN = "broken"  # what must hold at all times did not, while a step lasted
    ANSWER = "answer"  # an operator's answer
    RESULT = "result"  # a step's outcome on a host, with its proof
    DEFERRED = "deferred"  # a step's work on a host was left to a later day
    ABANDONED = "abandoned"  # an operator abandoned the night; its debts are paid, and nothing else is done
    STOPPED = "stopped"  # the run ended before its end
    ENDED = "ended"  # the run is done


OVER = (Kind.STOPPED, Kind.ENDED)  # after these no run is at work


class UnreadableJournalError(CutoverError):
    """The file of a journal can't be read, such as a colleague's."""


class NewerJournalError(RefusedError):
    """A newer version of this tool wrote the journal, and this version can't read it."""


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
    before: str = ""  # the digest of the event before it; empty if a version without digests wrote it

    def to_json(self) -> str:
        """Return the event as one line of JSON."""
        head = {"number": self.number, "at": self.at.isoformat(), "kind": self.kind.value, "operator": self.operator}
        line = {**head, "step": self.step, "host": self.host, "data": self.data}
        return json.dumps(line | ({"before": self.before} if self.before else {}), ensure_ascii=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of its line, as hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Return the event of one line. Raises ValueError, KeyError or TypeError if the line is not an event.

        Raises NewerJournalError if its kind, or one of its fields, is not known to this version.
        """
        raw = json.loads(line)
        newer = sorted(set(raw) - {field.name for field in fields(cls)})
        if newer:
            raise _newer(raw, f"has the field {newer[0]!r}")
        return cls(**{**raw, "at": datetime.fromisoformat(raw["at"]), "kind": _kind(raw)})


def _kind(raw: Mapping[str, Any]) -> Kind:
    try:
        return Kind(raw["kind"])
    except ValueError:
        raise _newer(raw, f"is of the kind {raw['kind']!r}") from None


def _newer(raw: Mapping[str, Any], what: str) -> NewerJournalError:
    return NewerJournalError(
        f"Reading the night's journal refused: its event {raw['number']}, of {raw['operator']}, {what}, which this "
        "version does not know. A newer version of this tool wrote it.",
        hint="Use that version of the tool for this night.",
    )


def deferral_text(data: Mapping[str, Any]) -> str:
    """Return a deferral as the journal has it, in a few words."""
    return f"deferred to {data['until']} by {data['by']}"


NO_EVENT = hashlib.sha256(b"").hexdigest()  # what the first event carries


def head_of(events: Sequence[Event]) -> str:
    """Return what the next event carries: the digest of the last one."""
    return events[-1].digest if events else NO_EVENT


def refuse_incomplete(events: Sequence[Event], where: str) -> None:
    """Raise CutoverError, which names the first one, if an event is missing or was changed after it was written.

    Events that a version without digests wrote are taken as they are, up to the first that carries one.
    """
    if [event.number for event in events] != list(range(1, len(events) + 1)):
        raise CutoverError(
            f"{where} is damaged: an event is missing.",
            hint="Resume on the machine that ran the night: its journal.jsonl puts back what the store lost. If that "
            "file lacks it, move the file away: the store has the whole night.",
        )
    chained = False
    for previous, event in zip((None, *events), events, strict=False):
        if (event.before or chained) and event.before != (previous.digest if previous else NO_EVENT):
            changed = previous or event
            raise CutoverError(
                f"{where} is damaged: event {changed.number}, of {changed.operator} at {changed.at:%Y-%m-%d %H:%M:%S}, "
                f"is not the one that event {event.number} was written after.",
                hint="It was changed. The machine that ran the night has a copy in its journal.jsonl, and so has the "
                "store: put back the one that is whole.",
            )
        chained = bool(event.before)


class Journal:
    """Events in memory; a subclass that stores them overrides `_keep`."""

    def __init__(self, *, now: Callable[[], datetime], operator: str, redactor: Redactor | None = None) -> None:
        self._now = now
        self._operator = operator
        self._redactor = redactor or Redactor()
        self._events: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._writing = threading.Lock()

    @property
    def events(self) -> tuple[Event, ...]:
        """The events written so far."""
        return tuple(self._events)

    def append(self, kind: Kind, *, step: str = "", host: str = "", **data: Any) -> Event:
        """Write an event; it is stored when this returns."""
        return self._in_turn(lambda: self._write(kind, step, host, data))

    def stop(self, reason: str, code: int, *, since: int, begun: bool) -> None:
        """Write that the run stopped, unless one of the events since then says that it is over.

        `since`: the number of events there were before; `begun`: False if a run without any has nothing to say.
        """

        def write() -> None:
            kinds = {event.kind for event in self._events[since:]}
            if (begun or kinds) and kinds.isdisjoint(OVER):
                self._write(Kind.STOPPED, "", "", {"reason": reason, "code": code})

        self._in_turn(write)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call the listener with each event from now on, once it is stored, before the next one is written."""
        self._listeners.append(listener)

    def _in_turn(self, write: Callable[[], T]) -> T:
        """Return the result of a write, made while no other is."""
        with self._writing:
            return write()

    def _write(self, kind: Kind, step: str, host: str, data: Mapping[str, Any]) -> Event:
        self._settle()
        event = Event(
            number=len(self._events) + 1,
            at=self._now(),
            kind=kind,
            operator=self._operator,
            step=step,
            host=host,
            data=self._redactor.clean(data),
            before=head_of(self._events),
        )
        self._keep(event)
        self._events.append(event)
        for listen in self._listeners:
            listen(event)
        return event

    def _settle(self) -> None:
        """Finish a write that an earlier call left uncertain; in memory there is none."""

    def _keep(self, event: Event) -> None:
        """Store the event permanently, or raise."""


class FileJournal(Journal):
    """Events as lines of a file, each flushed to disk."""

    def __init__(
        self, path: Path, *, now: Callable[[], datetime], operator: str, redactor: Redactor | None = None
    ) -> None:
        super().__init__(now=now, operator=operator, redactor=redactor)
        self._path = path
        private_folder(path.parent)
        self._events.extend(read_events(path))
        _cut_torn_line(path)

    def _keep(self, event: Event) -> None:
        try:
            _write_line(self._path, f"{event.to_json()}\n".encode())
            if event.number == 1:
                _sync_folder(self._path.parent)
        except OSError as error:
            raise CutoverError(f"Writing the journal {self._path} failed: {error.strerror}.") from error


def read_events(path: Path) -> tuple[Event, ...]:
    """Return the events of a journal file; none if there is no file. An incomplete last line is ignored.

    Raises CutoverError if the file is damaged, UnreadableJournalError if it can't be read, NewerJournalError if a newer
    version of this tool wrote it.
    """
    try:
        if not path.exists():
            return ()
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise UnreadableJournalError(f"Reading the journal {path} failed: {error.strerror}.") from error
    try:
        events = tuple(Event.from_json(line.decode()) for line in lines)
    except NewerJournalError as error:
        raise NewerJournalError(f"{error} It lies in {path}.", hint=error.hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CutoverError(f"The journal {path} is damaged: {error}.") from error
    refuse_incomplete(events, f"The journal {path}")
    return events


def _write_line(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    end = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):  # half a line would spoil the next one
            os.ftruncate(descriptor, end)
        raise
    finally:
        os.close(descriptor)


def _cut_torn_line(path: Path) -> None:
    """Remove the incomplete last line that a killed writer left."""
    try:
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    except OSError as error:
        raise CutoverError(f"Writing the journal {path} failed: {error.strerror}.") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
