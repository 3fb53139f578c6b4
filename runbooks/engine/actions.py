"""Effects as data: each can say itself in one line, and none can do anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

SOON = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class RemoteCommand:
    """A short command on a host; the connection is held while it runs."""

    host: str
    command: str
    timeout: timedelta = SOON  # after this nobody knows its outcome

    def __str__(self) -> str:
        return f"on {self.host}: {self.command}"


@dataclass(frozen=True, kw_only=True)
class DetachedJob:
    """A long command on a host, which goes on there whatever becomes of the connection."""

    host: str
    command: str
    timeout: timedelta  # after this we stop following it; it is not killed

    def __str__(self) -> str:
        return f"on {self.host}, detached: {self.command}"


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


Action = RemoteCommand | DetachedJob  # what changes the world
Look = RemoteCommand | SqlQuery | HttpGet | DnsLookup | StoreTrial  # what only looks at it


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an effect saw."""

    code: int = 0  # exit code, HTTP status, or 1 where the store gave another text back
    text: str = ""  # standard output, the reason phrase, or the name of the text in the store
    error: str = ""  # standard error
    rows: tuple[tuple[object, ...], ...] = ()  # of SQL; (name, address) of DNS
