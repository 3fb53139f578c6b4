"""Proof that the server's session is this run's own: a pooler between may lend it to others.

A pooler gives a client a process number of its own, so the number that the connection was told is not the server's.
A pooler that hands the server's on is found by the server process that a session claimed, and by a token set there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from archiver.postgres.database_error import DatabaseError
from archiver.postgres.pins import IDLE, LOOKING, SETTINGS, pinned, script
from errors import RefusedError
from inventory.model import Pooler

_TOKEN = "cutover.session"  # the custom setting that a session's own server process has
_LOST = "08003"  # the SQLSTATE of a connection that does not exist: a caller treats it as one that broke


class Ask(Protocol):
    """Runs a query in the session; returns its first row."""

    def __call__(self, query: str, args: Sequence[object], *, doing: str) -> Any: ...


class Ownership:
    """A session's part of the server: the process it claimed, the settings it pinned, the locks it took.

    A session that a pooler may lend to others claims nothing: it sets nothing but for a transaction, and only looks.
    """

    def __init__(self, ask: Ask, protocol_pid: int, where: str) -> None:
        self._ask = ask
        self._protocol_pid = protocol_pid  # the number of the server's process, by the protocol
        self._where = where
        self._pid: int | None = None
        self._token = secrets.token_hex(16)
        self._names: list[str] = []  # of what was set for the session
        self.looks_only = False  # True if a pooler may lend the session to others
        self.in_each_transaction = ""  # SQL that pins the settings again, through a pooler
        self.locks: list[str] = []  # the keys of the advisory locks that the session holds

    def claim(self, pooler: Pooler | None, settings: Mapping[str, str]) -> None:
        """Pin the settings, and claim the server's process unless a pooler may lend it to others.

        Raise DatabaseError if another process answers already.
        """
        pid, commits, idle = self._ask(_LOOK, (list(IDLE),), doing="opening a session")
        pins = {**pinned(commits), **settings}
        if pid != self._protocol_pid:
            self.in_each_transaction = script(SETTINGS if pooler else {**pins, **LOOKING}, local=True)
        self.looks_only = pid != self._protocol_pid and not pooler
        if self.looks_only:
            return
        pins |= {**dict.fromkeys(idle, "0"), _TOKEN: self._token}
        [count] = self._ask(_CLAIM, (list(pins), list(pins.values()), pid), doing="pinning settings")
        if not count:
            raise self._lost("opening a session")
        self._pid, self._names = pid, list(pins)

    def require(self, doing: str) -> int:
        """Return the number of the server's process; raise RefusedError if a pooler may lend it to others."""
        if self._pid is None:
            raise self.refusal(doing)
        return self._pid

    def prove(self, doing: str) -> None:
        """Raise DatabaseError unless the process that answers is the one claimed, and holds every lock taken."""
        args = (self.require(doing), _TOKEN, self._token, self.locks)
        own, missing = self._ask(_PROVE, args, doing=doing)
        if missing or not own:
            raise self._lost(doing, missing if own else ())

    def take(self, key: str, function: str) -> bool:
        """Take an advisory lock by that function; return False if another session has it.

        It is taken in the process claimed, never in another that a pooler lent: DatabaseError if that one answers.
        """
        doing = "taking a lock"
        [taken] = self._ask(_LOCK.format(function=function), (self.require(doing), key), doing=doing)
        if taken is None:
            raise self._lost(doing)
        if taken:
            self.locks.append(key)
        return bool(taken)

    def release(self, key: str, function: str) -> None:
        """Release an advisory lock by that function."""
        self.locks.remove(key)
        doing = "releasing a lock"
        self._ask(_LOCK.format(function=function), (self.require(doing), key), doing=doing)

    def give_back(self) -> None:
        """Reset what was set on a pooler's connection: a pooler need not do so."""
        if self._pid is not None and self.in_each_transaction:
            self._ask(_GIVE_BACK, (self._names, self._pid), doing="resetting settings")

    def refusal(self, doing: str) -> RefusedError:
        """Return the refusal to change anything in a session that a pooler may lend to others."""
        return RefusedError(
            f"{doing[:1].upper()}{doing[1:]} on {self._where} refused: a connection pooler stands between, which may "
            "lend the session to others.",
            hint="Connect to the server itself. If the pooler keeps a server connection for each client until the "
            "client leaves (pool_mode = session), set `pooler: session` for this database in the inventory.",
        )

    def _lost(self, doing: str, keys: Sequence[str] = ()) -> DatabaseError:
        what = f"it no longer holds the lock {keys[0]!r}" if keys else "another server process answers in it"
        return DatabaseError(
            f"{doing[:1].upper()}{doing[1:]} on {self._where} refused: the session is not this run's own: {what}.",
            code=_LOST,
            hint="Is there a pooler in transaction mode? Connect to the server itself.",
        )


_LOOK = """
SELECT pg_backend_pid(), current_setting('synchronous_commit'),
       ARRAY(SELECT name FROM pg_settings WHERE name = ANY(%s))
"""
# Set only in the process that was seen before: through a pooler, another may answer by now.
_CLAIM = """
SELECT count(set_config(w.name, w.value, false)) FROM unnest(%s::text[], %s::text[]) w (name, value)
 WHERE pg_backend_pid() = %s
"""
_GIVE_BACK = """
SELECT count(set_config(w.name, coalesce(s.reset_val, ''), false))
  FROM unnest(%s::text[]) w (name) LEFT JOIN pg_settings s ON lower(s.name) = w.name
 WHERE pg_backend_pid() = %s
"""
_PROVE = """
SELECT pg_backend_pid() = %s AND current_setting(%s, true) = %s,
       ARRAY(SELECT key FROM unnest(%s::text[]) key
              WHERE hashtextextended(key, 0) NOT IN (
                    SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_locks l
                     WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
                       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())))
"""
_LOCK = "SELECT CASE WHEN pg_backend_pid() = %s THEN {function}(hashtextextended(%s, 0)) END"
