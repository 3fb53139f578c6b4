"""One tenant's deletion: the rows that are compared, and what is written of it by one run, or by two."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, Model, TableName, resolve
from archiver.delete import marker, one, row_locks
from archiver.delete.row_locks import DecidedRows, RowLocks
from archiver.format.manifest import Member
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from tests.answering import session
from tests.schemas import database


def model(**shard: Table) -> Model:
    return resolve(
        Catalog(
            tenant=Tenant(noun="company", table="companies", key="id", title="name", shard="shard" if shard else None),
            databases={"master": {"companies": Table(group="company")}, **({"shard": shard} if shard else {})},
            depths={"all": DepthRule(start="companies")},
        )
    )


VISITS, COMPANIES = TableName(SHARD, "visits"), TableName(MASTER, "companies")
MODEL = model(visits=Table(group="visit", found_by=("company_id = master.companies.id",)))
ROWS = SelectedRows(identity=("id",), columns=("id",), rows=[(1,)])
SCHEMAS = {
    MASTER: Schema(tables=database(companies="id").tables, types={}),
    SHARD: Schema(tables=database(visits="id, company_id").tables, types={}),
}
MEMBERS = {
    "master/companies.copy": Member(rows=3, bytes=0, sha256=""),
    "shard/visits.copy": Member(rows=5, bytes=0, sha256=""),
}


def placement(*, has_shard: bool = True) -> Placement:
    sessions = {MASTER: session(where="master"), **({SHARD: session()} if has_shard else {})}
    return Placement(sessions=sessions, schemas=SCHEMAS, shard="shard_1", other_shards=())


@pytest.mark.parametrize(
    ("databases", "tables"), [((SHARD, MASTER), (COMPANIES, VISITS)), ((MASTER,), (COMPANIES,)), ((SHARD,), (VISITS,))]
)
def test_rows_are_compared_in_the_databases_that_have_not_committed(
    monkeypatch: pytest.MonkeyPatch, databases: tuple[str, ...], tables: tuple[TableName, ...]
) -> None:
    compared: list[Any] = []
    monkeypatch.setattr(row_locks, "prove_unchanged", lambda *args: compared.append(args[4]))
    monkeypatch.setattr(row_locks, "prove_shape", lambda placement: None)
    monkeypatch.setattr(row_locks, "decide", lambda *_: SimpleNamespace(to_delete={}))
    monkeypatch.setattr(row_locks, "orphans", lambda placement, name, rows, accepted: {name: 1})
    nothing: Any = None
    locks = RowLocks(
        placement=placement(),
        model=MODEL,
        record=nothing,
        databases=databases,
        snapshots={},
        work=nothing,
        stored=nothing,
        accept_orphans=False,
    )
    assert locks.unchanged(nothing).all_orphans == dict.fromkeys(databases, 1)
    assert compared == [tables]


@pytest.mark.parametrize(
    ("has_shard", "begun", "began", "marked", "visits"),
    [
        (True, None, 0.0, ["keys of the shard", "marker"], 2),
        (True, {"deleted": {"shard.visits": 4}, "staying": []}, None, [], 4),  # by the run that the shard committed
        (False, None, 0.0, [], None),
    ],
)
def test_the_record_says_what_the_shard_deleted_and_what_stayed(
    monkeypatch: pytest.MonkeyPatch, has_shard: bool, begun: Any, began: float | None, marked: list[str], visits: Any
) -> None:
    written: list[str] = []
    seconds: list[float | None] = []

    def archived(master: object, record: Any, retained: Any, took: float | None) -> Any:
        seconds.append(took)
        return record

    answers: dict[str, Any] = {
        "records.shard_keys.unenforced": lambda *_: (),
        "records.shard_keys.remember": lambda *_: written.append("keys of the shard"),
        "records.markers.of_deletion": lambda record, content: content,
        "records.markers.write": lambda *_: written.append("marker"),
        "records.deleted_keys.remember": lambda *_: None,
        "records.id_index.write": lambda *_: None,
        "records.retained_rows.remember": lambda *_: None,
        "records.archive_record.archived": archived,
        "records.audit_log.log": lambda *_: None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(f"archiver.{name}", answer)
    monkeypatch.setattr(marker, "content", lambda *_: {"deleted": {"shard.visits": 2}, "staying": []})
    record: Any = SimpleNamespace(id=7, members=MEMBERS, location="", sha256="", log_details={})
    books = one._Bookkeeping(
        placement=placement(has_shard=has_shard),
        model=MODEL if has_shard else model(),
        record=record,
        stored=cast(Any, SimpleNamespace(bucket=None)),
        began=began,
        begun=begun,
    )
    decided: Any = SimpleNamespace(
        to_delete={COMPANIES: ROWS, VISITS: ROWS},
        selection=SimpleNamespace(by_table={COMPANIES: ROWS}),
        retained={MASTER: []},
    )
    deletion, _ = books.write(DecidedRows(decided=decided, orphans={})).result
    assert written == marked
    expected = {"master.companies": 1} if visits is None else {"master.companies": 1, "shard.visits": visits}
    assert deletion.deleted == expected
    assert deletion.retained == {
        "master.companies": 2,
        **({"shard.visits": 5 - visits} if visits is not None else {}),
    }
    assert [took is None for took in seconds] == [began is None]


@pytest.mark.parametrize(("kind", "where"), [(MASTER, "in master"), (SHARD, "in the shard")])
def test_the_commit_of_a_deletion_says_where_it_is(kind: str, where: str) -> None:
    record: Any = SimpleNamespace(tenant_id=13)
    assert one._transaction(placement(), MODEL, record, kind).doing == f"deleting {where} for company 13"
