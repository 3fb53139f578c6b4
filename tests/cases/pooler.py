"""A connection pooler in transaction mode, as the archiver would see one: a stand-in within the process.

Real ones, such as pgbouncer, are no package of Python. As there, each transaction runs on the server connection that is
next, the server hears nothing of a client's end, and settings at a connection's start are refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, ConnectionInfo
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class, named like a function)
from psycopg2.extensions import cursor as Cursor  # noqa: N812

SIZE = 6  # server connections that a client of one database sees


class Pooler:
    """Hands out links to some databases that are no sessions; all others are connected to as ever."""

    def __init__(self, databases: set[str]) -> None:
        self._databases = databases
        self._really: Callable[..., Connection] = psycopg2.connect
        self._free: dict[str, list[Connection]] = defaultdict(list)
        self._all: list[Connection] = []

    def connect(self, dsn: str | None = None, **words: Any) -> Any:
        """Replace psycopg2.connect."""
        name = words.get("dbname", "")
        if name not in self._databases:
            return self._really(dsn, **words)
        if "options" in words:
            raise psycopg2.OperationalError("unsupported startup parameter in options")
        words.pop("application_name", None)
        return Link(self, name, [self._take(name, words) for _ in range(SIZE)])

    def give_back(self, name: str, servers: list[Connection]) -> None:
        """Keep server connections for the next client, with all that was set and locked on them."""
        for server in servers:
            server.rollback()
        self._free[name] += servers

    def end(self) -> None:
        """End all server connections."""
        for server in self._all:
            server.close()

    def _take(self, name: str, words: dict[str, Any]) -> Connection:
        if self._free[name]:
            return self._free[name].pop(0)
        self._all.append(self._really(**words))
        return self._all[-1]


class Link:
    """A client's link: psycopg2's connection, so far as a session uses one."""

    def __init__(self, pooler: Pooler, name: str, servers: list[Connection]) -> None:
        self._pooler, self._name, self._servers = pooler, name, servers
        self._server, self._transactions = servers[0], 0
        self.closed = 0

    @property
    def autocommit(self) -> bool:
        """True if each statement is a transaction."""
        return self._servers[0].autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        for server in self._servers:
            server.autocommit = value

    @property
    def info(self) -> ConnectionInfo:
        """libpq's information on the current server connection."""
        return self._server.info

    def cursor(self) -> Cursor:
        """A cursor on the server connection that is next, or on that of the transaction that is open."""
        if self.info.transaction_status == TRANSACTION_STATUS_IDLE:
            others = self._servers[1:]  # another client got hold of the first
            self._server = others[self._transactions % len(others)] if self._transactions else self._servers[0]
            self._transactions += 1
        return self._server.cursor()

    def close(self) -> None:
        """End it for the client; the server hears nothing of it."""
        self.closed = 1
        self._pooler.give_back(self._name, self._servers)


@contextmanager
def pooled(*databases: str) -> Iterator[None]:
    """Let all that connects to these databases, by keywords, come to a pooler; it stays up until the block ends."""
    pooler = Pooler({*databases})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg2, "connect", pooler.connect)
        try:
            yield
        finally:
            pooler.end()
