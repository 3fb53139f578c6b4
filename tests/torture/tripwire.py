"""Every write of a run, counted and named; at a chosen one the process kills itself. Only for a process of its own."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.sql import Composable

from archiver.format import bundle, encryption
from archiver.format.rows import Spool
from archiver.postgres.session import Session
from archiver.store.bucket import Bucket

WRITING = re.compile(r"\b(FOR UPDATE|FOR SHARE|INSERT|UPDATE|DELETE|\w*advisory\w*)\b")
Name = Callable[..., str]  # what a call writes, from its arguments; empty where it only reads


@dataclass
class Tripwire:
    """The moments before and after each write of this process, in order."""

    stop: int | str | None  # the moment at which to die, or its name; none: only count
    pause: int | None = None  # the moment at which to wait
    wait: Callable[[], None] = lambda: None
    passed: list[str] = field(default_factory=list)
    lasting: list[tuple[int, str]] = field(default_factory=list)  # of commits: the moment before, and the database

    def set_up(self) -> None:
        """Wrap what writes: SQL, the store, and files in the work folder."""
        self._wrap(Session, "execute", _statement)
        self._wrap(Session, "rows", _locking)
        self._wrap(Session, "copy_in", _copy)
        self._wrap(Bucket, "put", lambda _, key, *__: f"put {key.rsplit('/', 1)[-1]}")
        self._wrap(Bucket, "delete", lambda _, key: f"delete {key.rsplit('/', 1)[-1]}")
        self._wrap(Bucket, "get", lambda *_, **__: "file fetched")
        self._wrap(Spool, "finish", lambda spool, _: f"file {spool.path.name}")
        self._wrap(bundle, "write", lambda path, *_: f"file {path.name}")
        self._wrap(encryption, "encrypt", lambda path, *_: f"file {path.name} encrypted")
        self._wrap(encryption, "decrypt", lambda path, *_: f"file {path.name} decrypted")

    def _wrap(self, owner: Any, method: str, name: Name) -> None:
        original = getattr(owner, method)

        def wrapped(*args: Any, **words: Any) -> Any:
            write = name(*args, **words)
            if not write:
                return original(*args, **words)
            number = len(self.passed)
            self._pass(f"before {write}")
            result = original(*args, **words)
            if isinstance(args[0], Session) and _lasts(args[0], write):
                self.lasting.append((number, _database(args[0])))
            self._pass(f"after {write}")
            return result

        setattr(owner, method, wrapped)

    def _pass(self, moment: str) -> None:
        self.passed.append(moment)
        if self.stop in (len(self.passed) - 1, moment):
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.passed) - 1 == self.pause:
            self.wait()


def _lasts(session: Session, write: str) -> bool:
    """True if a statement was a COMMIT, or a write outside a transaction; locks are gone with their session."""
    idle = session._link.info.transaction_status == TRANSACTION_STATUS_IDLE
    return idle and "advisory" not in write and "ROLLBACK" not in write


def _statement(session: Session, query: str | Composable, *_: object, doing: str = "") -> str:
    text = _text(session, query)
    return "" if text.startswith("SET ") else f"{_database(session)}: {_head(text)}{doing and f' ({doing})'}"


def _locking(session: Session, query: str | Composable, *_: object, doing: str = "") -> str:
    text = _text(session, query)
    found = WRITING.search(text)
    return f"{_database(session)}: {found[1]}{doing and f' ({doing})'}" if found else ""


def _copy(session: Session, *_: object, doing: str) -> str:
    return f"{_database(session)}: COPY ({doing})"


def _text(session: Session, query: str | Composable) -> str:
    return query if isinstance(query, str) else query.as_string(session._link)


def _head(text: str) -> str:
    return " ".join(text.split()[:3]).partition(" (")[0]


def _database(session: Session) -> str:
    return session.where.partition("@")[0].partition("_")[2]
