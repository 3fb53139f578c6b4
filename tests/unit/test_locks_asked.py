"""The lock that each statement asks for: what the server grants for it is tested on servers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from archiver.catalog.model import MASTER, SHARD, TableName
from archiver.completeness.recheck import lock_carried
from archiver.delete import skip_locked
from archiver.delete.skip_locked import Batch, SkipLocked
from archiver.load import load
from archiver.load.staged import Staged
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import RowLock, SelectedRows, rows_where
from archiver.postgres.session import SQL, Identifier, Session
from archiver.runs import pipeline
from archiver.runs.purge import LegacyGroup
from tests.answering import SCHOOLS, asked, locks, session
from tests.schemas import database

ROOMS = TableName(SHARD, "rooms")
SCHEMA = Schema(tables=database(rooms="id", users="id").tables, types={})
MODEL: Any = SimpleNamespace(
    tenant=SCHOOLS,
    columns=lambda table: (),
    conditions=lambda table: (),
    found_by=lambda table: (),
    of=lambda kind: [ROOMS] if kind == SHARD else [],
)


def placement(server: Session) -> Placement:
    return Placement(
        sessions={MASTER: server, SHARD: server},
        schemas=dict.fromkeys((MASTER, SHARD), SCHEMA),
        shard="shard_1",
        other_shards=(),
    )


def test_a_migration_waits_for_a_load_or_a_deletion_and_the_application_does_not() -> None:
    server = session()
    lock_carried(server, MODEL, MASTER)
    assert asked(server) == []  # no table, no lock
    lock_carried(server, MODEL, SHARD)
    assert locks(server) == {"locking the tables against migrations": "ROW EXCLUSIVE"}


@pytest.mark.parametrize(
    ("lock", "asked_for"), [(None, {}), (RowLock(since={}), {"finding the rows of shard.rooms": "FOR UPDATE"})]
)
def test_rows_are_locked_to_be_deleted_and_not_to_be_read(lock: RowLock | None, asked_for: dict[str, str]) -> None:
    server = session()
    rows_where(placement(server), MODEL, ROOMS, SQL("true"), lock)
    assert locks(server) == asked_for


def test_live_rows_with_an_archived_copy_are_locked_against_deletion() -> None:
    server = session()
    staged = Staged(
        table=ROOMS, shape=SCHEMA.tables["rooms"], relation=Identifier("pg_temp", "stage 0"), rows=1, links=()
    )
    load._lock_live(server, staged)
    assert locks(server) == {"locking the live rows of shard.rooms": "FOR KEY SHARE OF l"}


def test_legacy_users_are_locked_to_be_deleted() -> None:
    server = session({"locking master.users": [(7,)]})
    users = TableName(MASTER, "users")
    rows = pipeline._locked(LegacyGroup(placement=placement(server), model=MODEL, ids=[7]), users)
    assert rows.rows == [(7,)]
    assert locks(server) == {"locking master.users": "FOR UPDATE"}


def test_a_months_rows_that_another_session_has_locked_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skip_locked, "recheck", lambda *_: None)
    server = session({"locking rows of shard.rooms": [(2,)]})
    rows = SelectedRows(identity=("id",), columns=("id",), rows=[(1,), (2,)])
    rules: Any = SimpleNamespace(model=MODEL, database=SHARD)
    batch = Batch(rows={ROOMS: rows}, trees={ROOMS: [1, 2]}, lines={})
    locked = SkipLocked(placement=placement(server), rules=rules, batch=batch).lock()
    assert locked[ROOMS].rows == [(2,)]
    assert locks(server) == {"locking rows of shard.rooms": "FOR UPDATE SKIP LOCKED"}
