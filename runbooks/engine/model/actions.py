"""Effects as data: each describes itself in one line; the executors perform them."""

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
    timeout: timedelta = SOON  # after this its outcome is unknown
    attaches: ClassVar[bool] = False  # True if performing it again under the same name continues it

    @property
    def instruction(self) -> str:
        """The act as an instruction to a person: `$ ` and the command to type."""
        return f"$ {self.command}"

    def __str__(self) -> str:
        return f"on {self.host}: {self.command}"


@dataclass(frozen=True, kw_only=True)
class DetachedJob:
    """A long command on a host, which keeps running when the connection breaks."""

    host: str
    command: str
    timeout: timedelta  # after this it is no longer followed; it is not killed
    tenants_option: str = ""  # by which an irreversible one is sent the digest of the tenants that were typed for
    attaches: ClassVar[bool] = True

    @property
    def instruction(self) -> str:
        """The act as an instruction to a person: `$ ` and the command to type."""
        return f"$ {self.command}"

    def __str__(self) -> str:
        return f"on {self.host}, detached: {self.command}"


@dataclass(frozen=True, kw_only=True)
class TakeSnapshots:
    """Snapshots of all volumes of a host's EC2 instance, taken at one moment."""

    host: str
    instance: str
    tags: Mapping[str, str]
    timeout: timedelta  # after this they are no longer followed; they may still complete
    attaches: ClassVar[bool] = True

    @property
    def instruction(self) -> str:
        """The act as an instruction to a person."""
        return str(self)

    def __str__(self) -> str:
        return f"EC2: take snapshots of every volume of {self.instance}"


@dataclass(frozen=True, kw_only=True)
class MoveNames:
    """CNAME records set in Route 53, all in one change."""

    host: str  # the host of the step's task
    zone: str
    targets: Mapping[str, str]
    ttl: int  # seconds
    timeout: timedelta  # after this the zone is no longer waited for; it may still come into sync
    attaches: ClassVar[bool] = True  # repeating the same change has no effect

    @property
    def instruction(self) -> str:
        """The act as an instruction to a person."""
        return str(self)

    def __str__(self) -> str:
        moves = ", ".join(f"CNAME {name} to {target}" for name, target in self.targets.items())
        return f"Route 53: in zone {self.zone} upsert {moves} (TTL {self.ttl} s)"


@dataclass(frozen=True, kw_only=True)
class ResizeInstance:
    """An EC2 instance stopped, given another type, and started."""

    host: str
    instance: str
    type: str
    timeout: timedelta  # after this it is no longer followed; it may be stopped
    attaches: ClassVar[bool] = True  # what is done is seen, and not done again

    @property
    def instruction(self) -> str:
        """The act as an instruction to a person."""
        return str(self)

    def __str__(self) -> str:
        return f"EC2: stop {self.instance}, make it {self.type}, and start it"


@dataclass(frozen=True, kw_only=True)
class SqlQuery:
    """A read-only statement on a database of the inventory."""

    database: str  # the inventory's name
    name: str  # the question it answers, in a few words
    statement: str
    own_session: bool = False  # True: refused through a pooler that may lend the session to others

    def __str__(self) -> str:
        return f"SQL on {self.database}: {self.name}"


@dataclass(frozen=True, kw_only=True)
class HttpGet:
    """A request for a page; only its status matters."""

    url: str

    def __str__(self) -> str:
        return f"GET {self.url}"


@dataclass(frozen=True, kw_only=True)
class DnsLookup:
    """A lookup of the addresses of some names, all at one moment."""

    names: tuple[str, ...]
    new: tuple[
        str, ...
    ] = ()  # asked only once the first name leads where the second does: a cache remembers a missing one

    def __str__(self) -> str:
        return f"DNS: {', '.join((*self.names, *self.new))}"


@dataclass(frozen=True, kw_only=True)
class StoreTrial:
    """A small text put into the environment's store and fetched again; it stays there."""

    folder: str

    def __str__(self) -> str:
        return f"store: write into {self.folder} and read back"


@dataclass(frozen=True, kw_only=True)
class SnapshotList:
    """A list of the existing snapshots of the volumes of an EC2 instance."""

    instance: str

    def __str__(self) -> str:
        return f"EC2: snapshots of the volumes of {self.instance}"


@dataclass(frozen=True, kw_only=True)
class SnapshotTrial:
    """A dry run at EC2 of taking snapshots of an instance's volumes; it takes none."""

    instance: str

    def __str__(self) -> str:
        return f"EC2: would it take snapshots of {self.instance}?"


@dataclass(frozen=True, kw_only=True)
class InstanceSize:
    """The type and the state of an EC2 instance."""

    instance: str

    def __str__(self) -> str:
        return f"EC2: type and state of {self.instance}"


@dataclass(frozen=True, kw_only=True)
class ResizeTrial:
    """A dry run at EC2 of stopping, changing and starting an instance; it does none of it."""

    instance: str
    type: str

    def __str__(self) -> str:
        return f"EC2: would it make {self.instance} {self.type}?"


@dataclass(frozen=True, kw_only=True)
class ZoneRecords:
    """The records of some names in a hosted zone of Route 53."""

    zone: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"Route 53: {', '.join(self.names)} in zone {self.zone}"


Command = RemoteCommand | DetachedJob
AmazonCall = TakeSnapshots | MoveNames | ResizeInstance
AmazonLook = SnapshotList | SnapshotTrial | InstanceSize | ResizeTrial | ZoneRecords
Action = Command | AmazonCall  # changes the system
Look = RemoteCommand | SqlQuery | HttpGet | DnsLookup | StoreTrial | AmazonLook  # only reads it


@dataclass(frozen=True, kw_only=True)
class ProbeOutput:
    """The output of an effect."""

    code: int = 0  # exit code, HTTP status, or 1 if the store returned another text
    text: str = ""  # standard output, the reason phrase, or the name of the text in the store
    error: str = ""  # standard error
    rows: tuple[tuple[object, ...], ...] = ()  # of SQL; (name, address) of DNS; items that Amazon's API lists
