"""Heads of the log in the store: after each run, the number and digest of the last entry, as one text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from archiver.postgres.database_error import DatabaseError
from archiver.postgres.session import Session
from archiver.store.bucket import Bucket
from errors import CutoverError

PREFIX = "log/"  # of their keys
_KEY = re.compile(rf"{PREFIX}(\d+)-([0-9a-f]{{64}})")


@dataclass(frozen=True, order=True)
class Head:
    """The last entry of the log at some time."""

    id: int
    sha256: str

    @property
    def key(self) -> str:
        """Its key in the store: `log/000000000213-1f3a….`"""
        return f"{PREFIX}{self.id:012}-{self.sha256}"


def head_of(master: Session) -> Head | None:
    """Return the head of the log now; None if it has no entry."""
    row = master.row("SELECT id, sha256 FROM archiver.log ORDER BY id DESC LIMIT 1", doing="reading the log's head")
    return Head(*row) if row else None


def store_head(bucket: Bucket, master: Session) -> None:
    """Store the head of the log as it is now. Raise StorageError if the store fails."""
    if head := head_of(master):
        server, position = _server(master)
        bucket.put_text(head.key, json.dumps({"server": server, "position": position}))


@contextmanager
def head_stored(bucket: Bucket, master: Session) -> Iterator[None]:
    """Store the head at the end of the block if the block appended to the log; also if it raises, if that works.

    Raise StorageError if only the store fails.
    """
    before = head_of(master)
    try:
        yield
    except BaseException:
        with suppress(CutoverError):  # the block's own error is the one to show; the next run stores the head
            _store_later(bucket, master, before)
        raise
    with suppress(DatabaseError):  # master is gone, after all was done: the next run stores the head
        _store_later(bucket, master, before)


def _store_later(bucket: Bucket, master: Session, before: Head | None) -> None:
    if head_of(master) != before:
        store_head(bucket, master)


def stored_heads(bucket: Bucket) -> list[Head]:
    """Return all heads in the store, the oldest first."""
    matches = (_KEY.fullmatch(key) for key in bucket.keys(PREFIX))
    return sorted(Head(int(match[1]), match[2]) for match in matches if match)


def set_back(bucket: Bucket, master: Session, head: Head) -> bool | None:
    """True if master was set back to a time before that head, as far as the server tells; None if it does not tell.

    A promoted standby has another timeline, a restored server another identifier; on the same ones the position in the
    write-ahead log only grows.
    """
    text = bucket.text(head.key)
    try:
        then = json.loads(text or "")
        server, position = str(then["server"]), int(then["position"])
    except (ValueError, KeyError, TypeError):
        return None
    now, reached = _server(master)
    if not server or not now:
        return None
    return server != now or reached < position


def _server(master: Session) -> tuple[str, int]:
    """Return the server as text, empty if it can't be told, and its position in the write-ahead log in bytes."""
    [readable] = master.row(_READABLE, doing="reading the server's position")
    if not readable:
        return "", 0
    server, position = master.row(_SERVER, doing="reading the server's position")
    return str(server), int(position)


_READABLE = """
SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AND NOT pg_is_in_recovery()
"""
_SERVER = """
SELECT concat_ws('/', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8)),
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')
  FROM pg_control_system()
"""
