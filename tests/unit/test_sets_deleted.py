"""Many tenants deleted as one set, and one tenant beside live rows: which rows count, and what is locked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, Link, TableName, resolve
from archiver.delete import late_rows, many, marker, one, referenced, table_locks
from archiver.delete.commit import Recorded, Transaction, delete_and_commit
from archiver.delete.strategy import JoinedTables
from archiver.delete.table_locks import BulkWork, TableLocks
from archiver.delete.unchanged_set import Counts
from archiver.format.manifest import Member
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows, Selection
from archiver.postgres.session import SQL
from archiver.records import resumable
from archiver.records.archive_record import Record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.state import State
from errors import CutoverError
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Table, Tenant
from inventory.keys import Parts
from tests.answering import Answering, asked, locks, session, unaccounted
from tests.schemas import database

MODEL = resolve(
    Catalog(
        tenant=Tenant(noun="company", table="companies", key="id", title="name", shard="shard"),
        databases={
            "master": {
                "companies": Table(group="company"),
                "prizes": Table(group="prize", found_by=("visit_id = shard.visits.id",)),
                "notes": Table(group="prize", found_by=("company_id = companies.id",)),
            },
            "shard": {
                "visits": Table(group="visit", found_by=("company_id = master.companies.id",)),
                "steps": Table(group="visit", found_by=("visit_id = visits.id",)),
            },
        },
        depths={"all": DepthRule(start="companies", stay=("notes",))},
    )
)
COMPANIES, PRIZES, NOTES = (TableName(MASTER, name) for name in ("companies", "prizes", "notes"))
VISITS = TableName(SHARD, "visits")
TO_PRIZES = next(link for link in MODEL.links if link.child == PRIZES)
SCHEMAS = {
    MASTER: Schema(tables=database(companies="id", prizes="id, visit_id", notes="id, company_id").tables, types={}),
    SHARD: Schema(tables=database(visits="id, company_id").tables, types={}),
}


def record(tenant: int, **more: Any) -> Record:
    location = f"s3://a/{tenant}"
    values: dict[str, Any] = {"tenant_id": tenant, "id": tenant, "customer_id": None, "location": location, **more}
    return cast(Record, SimpleNamespace(**values))


def test_only_the_links_from_a_shard_to_master_cross() -> None:
    assert marker.crossing(MODEL) == [TO_PRIZES]


def test_a_tenant_whose_object_is_gone_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    error = CutoverError("It is gone.")
    monkeypatch.setattr(table_locks, "missing_objects", lambda bucket, records: {"s3://a/2": error})
    for name in ("prove_shape", "orphans_of_set"):
        monkeypatch.setattr(table_locks, name, lambda *_: {})
    left_out: list[int] = []
    work: Any = SimpleNamespace(stored=SimpleNamespace(bucket=None), model=MODEL, depth="all", accept_orphans=False)
    placement: Any = SimpleNamespace(sessions={MASTER: None})
    locks = TableLocks(work=work, placement=placement, database=MASTER, records=[record(1), record(2), record(3)])
    verified = locks.verified(cast(Any, SimpleNamespace(leave_out=left_out.extend)), {3: error})
    assert (verified.failed, left_out) == ({3: error, 2: error}, [3, 2])
    assert [each.tenant_id for each in verified.records] == [1]


def test_nothing_is_committed_while_an_object_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    unaccounted(monkeypatch)
    acts: list[str] = []
    shard, master = session(), session(where="master")
    found = iter([{}, {"s3://a/1": CutoverError("It is gone.")}])
    monkeypatch.setattr("archiver.delete.commit.missing_objects", lambda bucket, archives: next(found))
    locking: Any = SimpleNamespace(
        lock=lambda: acts.append("lock"),
        unchanged=lambda found: acts.append("compare"),
        delete=lambda rows, accounts: acts.append(f"delete in {len(accounts)}"),
    )

    def books(rows: object) -> Recorded[None]:
        acts.append("record")
        return Recorded(result=None, bucket=cast(Any, "the bucket"), archives=[record(1)])

    transactions = [Transaction(session=each, doing=each.where) for each in (shard, master)]
    with pytest.raises(CutoverError, match="It is gone"):
        delete_and_commit("Deleting", locking, transactions, books)
    assert acts == ["lock", "compare", "delete in 2", "record"]
    assert (asked(shard), asked(master)) == (["COMMIT: shard_1"], [])


@pytest.mark.parametrize(
    ("rows", "keys"),
    [
        ([(1, 10), (1, 11), (2, None)], {1: [10, 11]}),
        ([(1, 10, 20), (1, 11, None)], {1: [(10, 20)]}),  # of several columns
    ],
)
def test_the_keys_of_the_shard_are_kept_by_tenant(rows: list[tuple[Any, ...]], keys: Any) -> None:
    sessions = {SHARD: session({"reading the keys of shard.visits": rows})}
    sets: Any = SimpleNamespace(
        of=lambda table: SQL("rows"), placement=SimpleNamespace(sessions=sessions), tenant_ids=range(9)
    )
    assert many._values(sets, TO_PRIZES) == keys


def test_rows_are_summed_of_the_tenants_that_go_and_of_tables_that_go_whole() -> None:
    counts: Counts = {
        VISITS: {1: (5, 0), 2: (7, 0)},
        COMPANIES: {1: (1, 0)},
        TableName(SHARD, "shared"): {1: (3, 0)},
    }
    sets: Any = SimpleNamespace(all_rows_go=lambda table: table.table != "shared")
    assert many._sums(counts, SHARD, [record(1)], sets) == {"visits": 5}
    assert many._sums(counts, MASTER, [record(1)], sets) == {"companies": 1}


@pytest.mark.parametrize(("emptied", "mode"), [(True, "ACCESS EXCLUSIVE"), (False, "SHARE ROW EXCLUSIVE")])
def test_tables_with_rows_to_delete_are_locked_against_writes(
    monkeypatch: pytest.MonkeyPatch, emptied: bool, mode: str
) -> None:
    asked: dict[str, int] = {}

    def groups(session: object, schema: object, rows: dict[str, int], **_: object) -> list[JoinedTables]:
        asked.update(rows)
        return [JoinedTables(tables=tuple(rows), to_delete=2 if emptied else 1, rows=3, obstacles=())]

    monkeypatch.setattr(table_locks, "groups", groups)
    master, lines = Answering({}, where="master"), list[str]()
    placement = Placement(sessions={MASTER: cast(Any, master)}, schemas=SCHEMAS, shard=MASTER, other_shards=())
    work = BulkWork(
        databases=cast(Any, SimpleNamespace(model=MODEL, truncate_published=False)),
        depth=DEFAULT_DEPTH,
        folder=cast(Any, None),
        stored=cast(Any, None),
        on_strategy=lines.append,
    )
    sizes = {"master/companies.copy": 1, "master/prizes.copy": 0, "master/notes.copy": 9, "shard/visits.copy": 4}
    members = {name: Member(rows=rows, bytes=0, sha256="") for name, rows in sizes.items()}
    of_master = [record(1, members=members)]
    TableLocks(work=work, placement=placement, database=MASTER, records=of_master)._locked()
    assert asked == {"companies": 1}  # notes stay, and there are no prizes
    assert locks(cast(Any, master)) == {"locking companies": mode}
    assert lines[0].startswith("master: companies: ")


def test_the_rows_of_other_shards_and_of_interrupted_runs_keep_a_row_of_master(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = "finding references to master.prizes"
    own = Answering({reading: [(1,)]})
    other = Answering({reading: [(2,)], "finding references to master.notes": [(6, 7)]})
    placement = Placement(
        sessions={MASTER: session(), SHARD: cast(Any, own)},
        schemas=SCHEMAS,
        shard="shard_1",
        other_shards=(cast(Any, other),),
    )
    monkeypatch.setattr(referenced, "referenced_by_interrupted", lambda *_: {3, 9})
    visits = SelectedRows(identity=("id",), columns=("id",), rows=[(1,)])
    selection = Selection(by_table={VISITS: visits}, values={})
    found = referenced.externally_referenced(placement, record(1), selection, TO_PRIZES, {1, 2, 3})
    assert found == {1, 2, 3}
    assert "AND NOT" in dict(own.texts)[reading]  # the tenant's own rows do not count
    assert "AND NOT" not in dict(other.texts)[reading]

    inside = Link(NOTES, ("company_id",), COMPANIES, ("id",))
    master = session({"finding references to master.notes": [(4, 5)]})
    at_master = Placement(sessions={MASTER: master}, schemas=SCHEMAS, shard=MASTER, other_shards=(cast(Any, other),))
    nothing = Selection(by_table={}, values={})
    assert referenced.externally_referenced(at_master, record(1), nothing, inside, {1}) == {(4, 5)}  # no other shard


def test_rows_that_came_late_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = SelectedRows(identity=("id",), columns=("id", "visit_id", "company_id"), rows=[(1, 8, 9)])
    empty = SelectedRows(identity=("id",), columns=("id", "visit_id", "company_id"), rows=[])
    now = Selection(by_table={COMPANIES: empty, NOTES: rows, VISITS: rows}, values={})
    monkeypatch.setattr(late_rows, "select", lambda *_, **__: now)
    monkeypatch.setattr(late_rows, "externally_referenced", lambda *_: {1, 2})
    placement = Placement(sessions={}, schemas=SCHEMAS, shard="shard_1", other_shards=())
    decided: Any = SimpleNamespace(
        selection=Selection(by_table={}, values={}), to_delete=dict.fromkeys(MODEL.tables, empty) | {PRIZES: rows}
    )
    kept = record(1, kept={"master.notes": 1})
    assert late_rows.appeared(placement, MODEL, kept, decided) == {"shard.visits": 1}
    several = SCHEMAS | {SHARD: Schema(tables=database(visits="company_id: id, company_id").tables, types={})}
    placement = Placement(sessions={}, schemas=several, shard="shard_1", other_shards=())
    assert late_rows.appeared(placement, MODEL, kept, decided) == {"shard.visits": 3}  # two of them outside
    unknown = SCHEMAS | {SHARD: Schema(tables={}, types={})}
    placement = Placement(sessions={}, schemas=unknown, shard="shard_1", other_shards=())
    assert late_rows.appeared(placement, MODEL, kept, decided) == {"shard.visits": 3}


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        ({}, True),
        ({"state": State.STORED}, False),
        ({"year": 2013}, False),
        ({"night": None}, False),
        ({"depth": "students"}, False),
        ({"snapshots": {}}, False),  # of a run on one
    ],
)
def test_what_this_nights_run_has_verified_is_not_archived_again(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], ready: bool
) -> None:
    night = date(2014, 7, 1)
    values = {
        "year": 2014,
        "night": night,
        "depth": DEFAULT_DEPTH,
        "state": State.VERIFIED,
        "snapshots": {"a": "1"},
    }
    earlier = record(1, **(values | found))
    monkeypatch.setattr("archiver.records.archive_record.of_tenants", lambda *_: [earlier])
    request = ArchiveRequest(year=2014, depth=DEFAULT_DEPTH, night=night)
    assert resumable.ready(session(), [1], request) == ([earlier] if ready else [])


@pytest.mark.parametrize(
    ("acts", "live"),
    [(set(), True), ({"deleted"}, False), ({"deleted", "restored"}, True), ({"deleted", "restored a 4"}, False)],
)
def test_a_record_steps_back_only_if_the_shard_did_not_commit(
    monkeypatch: pytest.MonkeyPatch, acts: set[str], live: bool
) -> None:
    states: list[State] = []
    monkeypatch.setattr("archiver.records.markers.acts", lambda *_: acts)
    monkeypatch.setattr("archiver.records.archive_record.step_back", lambda *args: states.append(args[-1]))
    placement: Any = SimpleNamespace(master=None, shard_session="the shard")
    deleting = record(1, state=State.DELETING)
    one._step_back(placement, deleting, State.VERIFIED)
    assert states == ([State.VERIFIED] if live else [])
    if live:
        assert one.resume(placement, MODEL, deleting, cast(Any, None), cast(Any, None)) is None


def test_the_index_has_the_keys_of_master_that_are_read_alike_everywhere() -> None:
    def rows(*keys: Any, identity: tuple[str, ...] = ("id",)) -> SelectedRows:
        as_rows = [key if isinstance(key, tuple) else (key,) for key in keys]
        return SelectedRows(identity=identity, columns=identity, rows=as_rows)

    types = {"prizes": "character varying(20)", "moments": "timestamp with time zone"}
    tables = {
        name: replace(shape, columns=tuple(replace(each, type=types.get(name, "integer")) for each in shape.columns))
        for name, shape in database(
            companies="id", prizes="id", notes="id, company_id", moments="id", empty="id"
        ).tables.items()
    }
    tables["notes"] = replace(tables["notes"], primary_key=("id", "company_id"))
    schema = Schema(tables=tables, types={})

    found = {
        COMPANIES: rows(1, 2),
        VISITS: rows(3),
        PRIZES: rows("a word"),
        NOTES: rows((4, 7), identity=("id", "company_id")),
        TableName(MASTER, "empty"): rows(),
        TableName(MASTER, "moments"): rows("2014-08-15 22:15:00+00"),
    }
    assert one._keys(schema, found) == {"companies": [1, 2], "prizes": ["a word"], "notes": [Parts((4, 7))]}
