"""Effects as data: each can say itself in one line, and none can do anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

SOON = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class RemoteCommand:
    """A short command on a host; the connection is held while it runs."""

    host: str
    command: str
    timeout: timedelta = SOON  # after this nobody knows its outcome
    attaches: ClassVar[bool] = False  # whether performing it again, under the same name, goes on with what was begun

    @property
    def shown(self) -> str:
        """As a person types it."""
        return f"$ {self.command}"

    def __str__(self) -> str:
        return f"on {self.host}: {self.command}"


@dataclass(frozen=True, kw_only=True)
class DetachedJob:
    """A long command on a host, which goes on there whatever becomes of the connection."""

    host: str
    command: str
    timeout: timedelta  # after this we stop following it; it is not killed
    attaches: ClassVar[bool] = True

    @property
    def shown(self) -> str:
        """As a person types it."""
        return f"$ {self.command}"

    def __str__(self) -> str:
        return f"on {self.host}, detached: {self.command}"


@dataclass(frozen=True, kw_only=True)
class TakeSnapshots:
    """Snapshots of all volumes of a host's EC2 instance, taken at one moment."""

    host: str
    instance: str
    tags: Mapping[str, str]
    timeout: timedelta  # after this we stop following them; they may be completed all the same
    attaches: ClassVar[bool] = True

    @property
    def shown(self) -> str:
        """As a person does it."""
        return str(self)

    def __str__(self) -> str:
        return f"EC2: take snapshots of every volume of {self.instance}"


@dataclass(frozen=True, kw_only=True)
class MoveNames:
    """DNS names pointed at other names by Route 53, all in one change."""

    host: str  # for which the step does it
    zone: str
    targets: Mapping[str, str]
    ttl: int  # seconds
    timeout: timedelta  # after this we stop waiting for the zone; it may come into sync all the same
    attaches: ClassVar[bool] = True  # the same change, made again, changes nothing

    @property
    def shown(self) -> str:
        """As a person does it."""
        return str(self)

    def __str__(self) -> str:
        moves = ", ".join(f"CNAME {name} to {target}" for name, target in self.targets.items())
        return f"Route 53: in zone {self.zone} upsert {moves} (TTL {self.ttl} s)"


@dataclass(frozen=True, kw_only=True)
class SqlQuery:
    """A read-only statement on a database of the inventory."""

    database: str  # the inventory's name
    name: str  # what the statement asks, in a few words
    statement: str

    def __str__(self) -> str:
        return f"SQL on {self.database}: {self.name}"


@dataclass(frozen=True, kw_only=True)
class HttpGet:
    """A request for a page, of which only the status matters."""

    url: str

    def __str__(self) -> str:
        return f"GET {self.url}"


@dataclass(frozen=True, kw_only=True)
class DnsLookup:
    """The addresses of some names, asked at one moment."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"DNS: {', '.join(self.names)}"


@dataclass(frozen=True, kw_only=True)
class StoreTrial:
    """A small text put into the environment's store and fetched again; it stays there, and is in nobody's way."""

    folder: str

    def __str__(self) -> str:
        return f"store: write into {self.folder} and read back"


@dataclass(frozen=True, kw_only=True)
class SnapshotList:
    """The snapshots that there are of the volumes of an EC2 instance."""

    instance: str

    def __str__(self) -> str:
        return f"EC2: snapshots of the volumes of {self.instance}"


@dataclass(frozen=True, kw_only=True)
class SnapshotTrial:
    """EC2 asked whether it would take snapshots of an instance's volumes; it takes none."""

    instance: str

    def __str__(self) -> str:
        return f"EC2: would it take snapshots of {self.instance}?"


@dataclass(frozen=True, kw_only=True)
class ZoneRecords:
    """The records that some names have in a hosted zone of Route 53."""

    zone: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"Route 53: {', '.join(self.names)} in zone {self.zone}"


Command = RemoteCommand | DetachedJob
AmazonCall = TakeSnapshots | MoveNames
AmazonLook = SnapshotList | SnapshotTrial | ZoneRecords
Action = Command | AmazonCall  # what changes the world
Look = RemoteCommand | SqlQuery | HttpGet | DnsLookup | StoreTrial | AmazonLook  # what only looks at it


@dataclass(frozen=True, kw_only=True)
class ProbeOutput:
    """What an effect saw."""

    code: int = 0  # exit code, HTTP status, or 1 where the store gave another text back
    text: str = ""  # standard output, the reason phrase, or the name of the text in the store
    error: str = ""  # standard error
    rows: tuple[tuple[object, ...], ...] = ()  # of SQL; (name, address) of DNS; what Amazon's API lists
