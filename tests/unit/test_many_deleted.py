"""A night's set of tenants: how their rows are proved, what is deleted with which tenant, and what the log says."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, TableName, resolve
from archiver.delete import bookkeeping, interrupted, many, marker, one, table_locks, unchanged_set
from archiver.delete.strategy import JoinedTables
from archiver.delete.table_locks import LockedTables, TableLocks, VerifiedSet
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.records.state import State
from errors import CutoverError
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from tests.answering import asked, session
from tests.schemas import database

MODEL = resolve(
    Catalog(
        tenant=Tenant(noun="company", table="companies", key="id", title="name", shard="shard"),
        databases={
            "master": {
                "companies": Table(group="company"),
                "notes": Table(group="company", found_by=("company_id = companies.id",)),
                "prizes": Table(group="prize", found_by=("visit_id = shard.visits.id",)),
                "medals": Table(group="prize", found_by=("(visit_id, place) = shard.visits.(id, place)",)),
            },
            "shard": {"visits": Table(group="visit", found_by=("company_id = master.companies.id",))},
        },
        depths={"all": DepthRule(start="companies")},
    )
)
VISITS, COMPANIES, NOTES = TableName(SHARD, "visits"), TableName(MASTER, "companies"), TableName(MASTER, "notes")
TO_PRIZES, TO_MEDALS = (next(each for each in MODEL.links if each.child.table == name) for name in ("prizes", "medals"))
SCHEMAS = {
    MASTER: Schema(
        tables=database(
            companies="id", notes="id, company_id", prizes="id, visit_id", medals="id, visit_id, place"
        ).tables,
        types={},
    ),
    SHARD: Schema(tables=database(visits="id, company_id").tables, types={}),
}
WORK: Any = SimpleNamespace(model=MODEL, depth="all", folder=None, stored=None)
ERROR = CutoverError("Rows changed.")


def record(tenant: int) -> Any:
    return SimpleNamespace(tenant_id=tenant, id=tenant + 100, sha256="", log_details={})


@pytest.mark.parametrize(
    ("unwritten", "counted"),
    [({SHARD, MASTER}, False), ({SHARD}, True), ({MASTER}, True), (set[str](), True)],
)
def test_a_set_is_proved_by_counting_only_if_none_wrote_to_either_database(
    monkeypatch: pytest.MonkeyPatch, unwritten: set[str], counted: bool
) -> None:
    sizes = {VISITS: 5}
    answers: dict[str, Any] = {
        "unwritten": lambda session, tables, records: sizes if session in unwritten else None,
        "archived": lambda *_: "as archived",
        "counted": lambda *_: "as counted",
        "changed": lambda *_: {2: ERROR},
    }
    for name, answer in answers.items():
        monkeypatch.setattr(unchanged_set, name, answer)
    placement: Any = SimpleNamespace(sessions={MASTER: MASTER, SHARD: SHARD})
    locks = many._ShardTables(work=WORK, placement=placement, database=SHARD, records=[])
    found: Any = locks._compared(cast(Any, None))
    assert found == (("as counted", {2: ERROR}, None) if counted else ("as archived", {}, sizes))


def test_rows_of_master_go_only_with_the_tenants_that_did_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[Any] = []

    def deletion_set(sets: object, depth: str, deleted_keys: Any, records: Any) -> Any:
        keys.append((deleted_keys[TO_PRIZES], records))
        return SimpleNamespace(materialize=lambda table: None)

    monkeypatch.setattr(many, "DeletionSet", deletion_set)
    monkeypatch.setattr(bookkeeping, "bookkeeping_of", lambda *_: SimpleNamespace(deleted=lambda table: {1: 3}))
    monkeypatch.setattr(unchanged_set, "counted", lambda *_: {})
    monkeypatch.setattr(unchanged_set, "changed", lambda *_: {2: ERROR})
    verified = VerifiedSet(records=[record(1)], failed={2: ERROR}, orphans={})
    monkeypatch.setattr(TableLocks, "verified", lambda self, sets, changed: verified)
    content = {str(TO_PRIZES): [7], str(TO_MEDALS): []}
    of_master = many._MasterTables(
        work=WORK,
        placement=cast(Any, None),
        database=MASTER,
        records=[],
        shard_markers={1: {"gone": content}, 2: {"gone": {**content, str(TO_PRIZES): [8]}}},
        began=0.0,
    )
    rows = of_master.unchanged(LockedTables(groups=[], sets=cast(Any, None)))
    assert keys == [([(1, 7)], [101])]
    assert rows.by_table == {str(table): {1: 3} for table in MODEL.of(MASTER)}


def test_the_log_names_orphan_rows_of_the_tenants_that_had_them() -> None:
    deletion = many.BulkDeletion(deleted={1: {"a": 1}, 2: {"a": 2}}, retained={1: {}, 2: {"b": 3}}, failed={})
    first, second = many._details([record(1), record(2)], deletion, {2: {"rooms.k": 3}})
    assert first == {"deleted": {"a": 1}, "kept": {}, "sha256": ""}
    assert second == {"deleted": {"a": 2}, "kept": {"b": 3}, "sha256": "", "orphans": {"rooms.k": 3}}


@pytest.mark.parametrize("known", [True, False])
def test_tables_are_emptied_parents_first_and_others_deleted_from(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    done: list[Any] = []
    for name in ("triggers_disabled", "product_names"):
        monkeypatch.setattr(table_locks, name, lambda *_: nullcontext())
    monkeypatch.setattr(table_locks, "delete_set", lambda account, schema, rows, condition: done.append(rows))
    monkeypatch.setattr(
        table_locks, "truncate_reload", lambda account, schema, names, condition, left, link: done.append((names, left))
    )
    groups = [
        JoinedTables(tables=("notes", "companies"), to_delete=9, rows=9, obstacles=()),
        JoinedTables(tables=("prizes", "medals"), to_delete=1, rows=9, obstacles=()),
    ]
    placement: Any = SimpleNamespace(sessions={MASTER: session()}, schemas={MASTER: None})
    locks = TableLocks(work=WORK, placement=placement, database=MASTER, records=[])
    numbers = {"notes": 5, "companies": 4, "prizes": 1, "medals": 0}
    sizes = {NOTES: 6, COMPANIES: 4} if known else None
    deletion_set: Any = SimpleNamespace(model=MODEL)
    locks.delete_rows(deletion_set, LockedTables(groups=groups, sets=cast(Any, None)), numbers, cast(Any, None), sizes)
    assert done == [
        {"prizes": 1},
        (["companies", "notes"], {"companies": 0, "notes": 1} if known else None),
    ]
    groups[:] = groups[1:]
    locks.delete_rows(deletion_set, LockedTables(groups=groups, sets=cast(Any, None)), numbers, cast(Any, None), sizes)
    assert done[2:] == [{"prizes": 1}]


@pytest.mark.parametrize(
    ("link", "values", "read", "keys"),
    [(TO_PRIZES, [7, 8], [(7,), (8,)], [7, 8]), (TO_MEDALS, [[7, 1], [8, 2]], [(7, 1), (8, 2)], [(7, 1), (8, 2)])],
)
def test_a_markers_keys_come_back_as_those_of_its_link(link: Any, values: Any, read: Any, keys: Any) -> None:
    master = session({"reading the marker": read})
    placement = Placement(sessions={MASTER: master}, schemas=SCHEMAS, shard=MASTER, other_shards=())
    assert interrupted.typed(placement, link, values) == keys


@pytest.mark.parametrize(("own", "other", "keys"), [([101], [102], {7}), ([101, 102], [], set())])
def test_the_keys_of_other_interrupted_deletions_count_as_live(own: Any, other: Any, keys: Any) -> None:
    master = session({"finding interrupted deletions": [(101,), (102,)], "reading the marker": [(7,)]})
    shard = session({"reading the markers": [([7],), (None,)]})
    placement = Placement(sessions={MASTER: master, SHARD: shard}, schemas=SCHEMAS, shard="shard_1", other_shards=())
    assert interrupted.referenced_by_interrupted(placement, TO_PRIZES, own) == keys
    assert [args[1] for doing, args in cast(Any, shard).asked] == ([other] if other else [])


@pytest.mark.parametrize(
    ("acts", "has_shard", "finished"),
    [
        ({"deleted"}, True, True),
        (set[str](), True, False),
        ({"deleted", "restored"}, True, False),  # master was set back, and has its rows, too
        ({"deleted"}, False, False),
    ],
)
def test_a_deletion_that_the_shard_committed_is_finished_in_master(
    monkeypatch: pytest.MonkeyPatch, acts: set[str], has_shard: bool, finished: bool
) -> None:
    databases: list[Any] = []
    deletion = one.Deletion(record=record(1), deleted={}, retained={}, appeared={})

    def delete_and_commit(operation: str, locks: Any, transactions: Any, write: Any) -> Any:
        databases.append((locks.databases, [each.doing for each in transactions]))
        return deletion, None

    monkeypatch.setattr("archiver.records.markers.acts", lambda *_: acts)
    monkeypatch.setattr("archiver.records.markers.read", lambda *_: {"found": {}, "gone": {}})
    monkeypatch.setattr(marker, "keys", lambda *_: {})
    monkeypatch.setattr(one, "delete_and_commit", delete_and_commit)
    monkeypatch.setattr(one, "appeared", lambda *_: {"master.prizes": 1})
    monkeypatch.setattr(one, "appeared_in_shard", lambda *_: {"shard.visits": 2})
    sessions = {MASTER: session(), **({SHARD: session()} if has_shard else {})}
    placement = Placement(sessions=sessions, schemas=SCHEMAS, shard="shard_1", other_shards=())
    of: Any = SimpleNamespace(tenant_id=1, snapshots={}, state=State.DELETING)
    found = one.resume(placement, MODEL, of, cast(Any, None), cast(Any, None))
    assert databases == [([MASTER], ["deleting in master for company 1"])] * finished
    assert (found and found.appeared) == ({"master.prizes": 1, "shard.visits": 2} if finished else None)
    assert asked(sessions[MASTER]) == []
