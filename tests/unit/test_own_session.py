"""A session that is this run's own: the server process, its locks and its snapshots, by what the server answers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest
from psycopg2 import errorcodes, extensions

from archiver.postgres import locks
from archiver.postgres.ownership import Ownership
from archiver.postgres.row_versions import oldest_trusted, trusted
from archiver.postgres.session import DatabaseError, Session
from errors import LockedError, RefusedError
from inventory.model import Pooler
from tests.answering import asked, session

OWN, POOLERS = 77, 5  # the number of the server's process, and one that a pooler gave


class Server:
    """Answers what a session asks about itself."""

    def __init__(
        self, *, claimed: int = 1, taken: bool | None = True, proved: tuple[bool, list[str]] = (True, [])
    ) -> None:
        self.doing: list[str] = []
        self._answers: Mapping[str, Any] = {
            "opening a session": (OWN, "on", ["idle_session_timeout"]),
            "pinning settings": [claimed],
            "taking a lock": [taken],
            "deleting": proved,
        }

    def __call__(self, query: str, args: object, *, doing: str) -> Any:
        self.doing.append(doing)
        return self._answers.get(doing)


def claimed(protocol_pid: int, pooler: Pooler | None = None, **answers: Any) -> tuple[Ownership, Server]:
    server = Server(**answers)
    ownership = Ownership(server, protocol_pid, "shard_1")
    ownership.claim(pooler, {})
    return ownership, server


def test_a_session_without_a_pooler_is_claimed_once() -> None:
    ownership, server = claimed(OWN)
    assert (ownership.looks_only, ownership.in_each_transaction, ownership.require("deleting")) == (False, "", OWN)
    ownership.give_back()
    assert server.doing == ["opening a session", "pinning settings"]


def test_a_poolers_session_pins_in_each_transaction_and_is_given_back() -> None:
    ownership, server = claimed(POOLERS, Pooler.SESSION)
    assert not ownership.looks_only
    assert ownership.in_each_transaction
    ownership.give_back()
    assert server.doing == ["opening a session", "pinning settings", "resetting settings"]


def test_a_session_that_a_pooler_may_lend_only_looks() -> None:
    ownership, server = claimed(POOLERS)
    assert ownership.looks_only
    assert "transaction_read_only" in ownership.in_each_transaction
    with pytest.raises(RefusedError, match="Deleting on shard_1 refused: a connection pooler stands between"):
        ownership.require("deleting")
    ownership.give_back()
    assert server.doing == ["opening a session"]


def test_another_process_that_answers_is_seen() -> None:
    with pytest.raises(DatabaseError, match="another server process answers in it"):
        claimed(OWN, claimed=0)
    ownership, _ = claimed(OWN, taken=None)
    with pytest.raises(DatabaseError, match="Taking a lock on shard_1 refused"):
        ownership.take("cutover", "pg_try_advisory_lock")


@pytest.mark.parametrize("taken", [True, False])
def test_a_lock_that_another_has_is_not_taken(taken: bool) -> None:
    ownership, _ = claimed(OWN, taken=taken)
    assert ownership.take("cutover", "pg_try_advisory_lock") is taken
    assert ownership.locks == (["cutover"] if taken else [])


@pytest.mark.parametrize(
    ("proved", "sentence"),
    [
        ((True, []), ""),
        ((False, []), "another server process answers in it"),
        ((True, ["cutover"]), "it no longer holds the lock 'cutover'"),
        ((False, ["cutover"]), "another server process answers in it"),
    ],
)
def test_nothing_is_committed_in_a_session_that_another_has(proved: tuple[bool, list[str]], sentence: str) -> None:
    ownership, _ = claimed(OWN, proved=proved)
    with pytest.raises(DatabaseError, match=sentence) if sentence else nullcontext():
        ownership.prove("deleting")


class Refused(psycopg2.Error):
    """An error of the server."""

    pgcode = errorcodes.READ_ONLY_SQL_TRANSACTION


def test_a_write_through_a_pooler_that_may_lend_the_session_is_refused() -> None:
    def fail(*_: object) -> None:
        raise Refused

    status = SimpleNamespace(backend_pid=OWN, transaction_status=extensions.TRANSACTION_STATUS_INTRANS, user="kim")
    cursor: Any = nullcontext(SimpleNamespace(execute=fail))
    server = Session(lambda: cast(Any, SimpleNamespace(info=status, closed=0, cursor=lambda: cursor)), "shard_1")
    with pytest.raises(DatabaseError, match=r"Deleting on shard_1 failed: read only sql transaction \(25006\)"):
        server.execute("DELETE", doing="deleting")  # a standby
    server.ownership.looks_only = True
    with pytest.raises(RefusedError, match="Deleting on shard_1 refused: a connection pooler stands between"):
        server.execute("DELETE", doing="deleting")


SINCE = datetime(2014, 7, 1, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("holders", "expected"),
    [
        ([], None),
        ([("cutover 77", SINCE)], "cutover 77 is at work there since 22:00:00 UTC"),
        ([(None, None)], f"{locks._UNSEEN} is at work there"),
    ],
)
def test_who_holds_a_lock_is_told(holders: list[tuple[Any, ...]], expected: str | None) -> None:
    assert locks.holder(session({"asking who holds a lock": holders}), "cutover") == expected


def test_workers_have_some_time_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = session()
    locks.dismiss_workers(gone)
    assert asked(gone) == ["asking who holds a lock"]

    staying = session({"asking who holds a lock": [("a worker", SINCE)]}, where="master")
    moments = iter([0.0, 5.0, 9.9, 10.1])
    clock = SimpleNamespace(monotonic=lambda: next(moments), sleep=lambda seconds: None)
    monkeypatch.setattr("archiver.postgres.locks.time", clock)
    with pytest.raises(LockedError, match=r"master: a worker is at work there .*, for a run that has ended"):
        locks.dismiss_workers(staying)
    assert asked(staying).count("ending a worker's session") == 2


def server(ages: list[tuple[str, int]], *, readable: bool = True) -> Session:
    return session(
        {
            "reading the server's start time": [(readable, "9")],
            "reading the server's id": [("1",)],
            "reading the snapshots": ages,
        }
    )


@pytest.mark.parametrize(
    ("snapshots", "ages", "expected"),
    [
        (["7 1/9"], [("7", 3)], "7"),
        (["7 1/9", "5 1/9"], [("5", 5), ("7", 3)], "5"),
        (["7 1/9"], [("7", -1)], None),  # given after now: the server was set back
        (["7 1/9"], [("7", 0)], "7"),
        (["7 1/8"], [("7", 3)], None),  # by another process
        (["7 1/9", "5"], [("5", 5), ("7", 3)], None),
        ([], [], None),
    ],
)
def test_snapshots_count_only_on_the_process_that_gave_them(
    snapshots: list[str], ages: list[tuple[str, int]], expected: str | None
) -> None:
    assert oldest_trusted(server(ages), snapshots) == expected
    assert oldest_trusted(server(ages, readable=False), snapshots) is None


def test_a_database_whose_snapshot_does_not_count_is_left_out() -> None:
    sessions = {"master": server([("7", 3)]), "shard": server([("7", -1)])}
    assert trusted(sessions, dict.fromkeys(sessions, "7 1/9")) == {"master": "7"}
