"""The log on a real server: chained whoever writes at once, and held against the heads that are in the store."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from archiver.checks.log_proof import chain_of
from archiver.postgres.own_schema import prepare
from archiver.postgres.session import Session, connect, parse_dsn
from archiver.records import audit_log
from archiver.records.log_heads import Head, head_of, head_stored
from archiver.store.bucket import Bucket
from inventory.model import Store
from runbooks.cli import call
from tests.fakes import rehearsal
from tests.inside import Said, inv_inside


@dataclass(frozen=True)
class Told:
    """The subject of an entry."""

    id: int
    tenant_id: int = 13
    year: int = 2013


@dataclass(frozen=True)
class Log:
    """A master with a log, and the store of its heads."""

    dsn: str
    session: Session
    bucket: Bucket
    inv: Callable[..., Said]

    def run(self, *acts: str) -> None:
        """A run of the tool that writes these acts, each in a transaction, and ends."""
        with head_stored(self.bucket, self.session):
            for number, act in enumerate(acts, start=1):
                with self.session.transaction():
                    audit_log.log(self.session, act, Told(number), {"rows": number})

    def tamper(self, statement: str) -> None:
        """The owner of the log, who switches the trigger off."""
        trigger = "ALTER TABLE archiver.log {} TRIGGER append_only;"
        self.session.execute(f"{trigger.format('DISABLE')} {statement}; {trigger.format('ENABLE ALWAYS')}")


@pytest.fixture
def log(
    empty: str,
    store_server: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Log]:
    store = replace(store_server, prefix=parse_dsn(empty)["dbname"])
    written = rehearsal()
    databases = {"master": replace(written.databases["master"], connection=parse_dsn(empty))}
    environment = replace(written, databases=databases, store=store, overlay=None)
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: environment)
    with contextlib.closing(connect(parse_dsn(empty), name="test")) as session:
        prepare(session)
        yield Log(empty, session, Bucket(store), lambda *words: inv_inside(capsys, *words))


def test_many_writers_at_once_make_one_chain(log: Log) -> None:
    def write(number: int) -> None:
        with contextlib.closing(connect(parse_dsn(log.dsn), name=f"writer {number}")) as session:
            for _ in range(10):
                with session.transaction():
                    audit_log.log_all(session, "archive", [Told(number), Told(number)], [{}, {"rows": number}])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))

    chain = chain_of(log.session)
    assert (chain.problem, chain.entries) == ("", 120)
    assert log.session.rows("SELECT max(id) FROM archiver.log") == [(120,)]


def test_each_run_that_writes_leaves_its_head_in_the_store_also_if_it_fails(log: Log) -> None:
    heads: list[Head | None] = []
    log.run("archive", "restore")
    heads.append(head_of(log.session))
    log.run()
    with contextlib.suppress(ZeroDivisionError), head_stored(log.bucket, log.session):
        audit_log.log(log.session, "drop", Told(3), {})
        raise ZeroDivisionError
    heads.append(head_of(log.session))

    assert sorted(log.bucket.keys("log/")) == [head.key for head in heads if head]
    assert "3 entries of the log, 2 heads of it in the store" in log.inv("archive.log", "--verify").out


def test_an_end_that_was_cut_off_is_told_apart_from_a_master_that_was_set_back(log: Log) -> None:
    log.run("archive", "restore")
    log.run("drop")
    newest = head_of(log.session)
    assert newest
    log.tamper("DELETE FROM archiver.log WHERE id = 3")

    said = log.inv("archive.log", "--verify")
    assert said.code == 10
    assert "it ends with entry 2, and the store knows entry 3, although master was not set back" in said.err
    assert log.inv("archive.log").code == 0, "the log by itself holds"

    then = json.loads(log.bucket.text(newest.key) or "")
    log.bucket.delete(newest.key)
    log.bucket.put_text(newest.key, json.dumps({**then, "position": then["position"] + 2**40}))
    said = log.inv("archive.log", "--verify")
    assert "it ends with entry 2, and the store knows entry 3: master is older than the store's head" in said.err


def test_a_log_that_was_written_anew_is_found_by_the_heads(log: Log) -> None:
    log.run("archive")
    log.tamper("DELETE FROM archiver.log")
    log.run("restore")

    said = log.inv("archive.log", "--verify")
    assert "entry 1 is not the one that the store knows, although master was not set back" in said.err


def test_an_operator_accepts_the_log_as_it_is_and_a_later_change_is_found(log: Log) -> None:
    log.run("archive", "restore", "drop")
    log.tamper("UPDATE archiver.log SET operator = 'ben' WHERE id = 2; DELETE FROM archiver.log WHERE id = 3")
    assert log.inv("archive.log", "--verify").code == 10

    said = log.inv("archive.accept-log", "the drill of August")
    assert "entry 2 (restore, tenant 13 of 2013, by ben@" in said.out

    assert "3 entries of the log, 2 heads of it in the store" in log.inv("archive.log", "--verify").out
    assert "reason the drill of August" in log.inv("archive.log").out
    assert log.inv("archive.accept-log", "once more").code == 10
    log.tamper("UPDATE archiver.log SET operator = 'joe' WHERE id = 1")
    assert "entry 1 (archive, tenant 13 of 2013, by joe@" in log.inv("archive.log", "--verify").err


def test_an_empty_log_is_whole(log: Log) -> None:
    log.session.execute("DROP SCHEMA archiver CASCADE")

    assert "0 entries of the log, 0 heads of it in the store, 0 journals" in log.inv("archive.log", "--verify").out
