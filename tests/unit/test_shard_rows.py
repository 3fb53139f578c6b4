"""A tenant's rows on two shards: which are found through master, which differ, and who holds them after a failure."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import SHARD, TableName, resolve
from archiver.format.manifest import Member
from archiver.postgres.selection import SelectedRows, Selection
from archiver.records.move_record import Route
from archiver.records.state import State
from archiver.reshard import merge_split, settle, shard_rows
from archiver.runs import archive
from errors import RefusedError, UsageError
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from tests.answering import SCHOOLS, asked, master_of, session

MODEL = resolve(
    Catalog(
        tenant=Tenant(noun="school", table="schools", key="id", title="name", shard="shard"),
        databases={
            "master": {
                "schools": Table(group="a"),
                "rooms": Table(group="a", found_by=("school_id = schools.id",)),
                "prizes": Table(group="a", found_by=("visit_id = shard.visits.id",)),
            },
            "shard": {
                "visits": Table(group="b", found_by=("room_id = master.rooms.id",)),
                "steps": Table(group="b", found_by=("visit_id = visits.id",)),
            },
        },
        depths={"all": DepthRule(start="schools")},
    )
)
VISITS, STEPS = TableName(SHARD, "visits"), TableName(SHARD, "steps")
MERGE = Route(verb="merge", source="shard_1", target="shard_2")
SPLIT = Route(verb="split", source="shard_1", target="shard_2")


def test_a_shards_rows_are_found_by_the_links_from_master(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {link: [1] for link in MODEL.links}
    monkeypatch.setattr(shard_rows, "select", lambda *_: Selection(by_table={}, values=values))
    found = shard_rows.shard_rows(cast(Any, None), MODEL, 13)
    assert [str(link) for link in found.link_values] == ["shard.visits.room_id = master.rooms.id"]
    assert [link.child for link in found.model.links] == [VISITS, STEPS]


def test_tables_whose_rows_are_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    same, other = Member(rows=1, bytes=2, sha256="a"), Member(rows=1, bytes=2, sha256="b")
    monkeypatch.setattr(shard_rows, "_content", lambda rows, table, *_: same)
    rows = SelectedRows(identity=("id",), columns=("id",), rows=[(1,), (2,)])
    selection = Selection(by_table={VISITS: rows, STEPS: rows}, values={})
    archived = {"shard/visits.copy": same, "shard/steps.copy": other}
    assert shard_rows.differences(cast(Any, None), selection, archived) == ["shard.steps (1 rows archived, 2 now)"]


def side(*rows: int, changed: bool) -> Any:
    found = SelectedRows(identity=("id",), columns=("id",), rows=[(row,) for row in rows])
    selection = Selection(by_table={VISITS: found}, values={})
    tenant_rows: Any = SimpleNamespace(session="source")
    return settle._Side(tenant_rows=tenant_rows, rows=selection, changed=["visits"] if changed else [])


SAME, NOTHING, OTHERS = side(1, changed=False), side(changed=True), side(1, 2, changed=True)


@pytest.mark.parametrize(
    ("source", "target", "marked", "expected"),
    [
        (SAME, SAME, False, "copy deleted"),
        (SAME, NOTHING, False, "copy deleted"),
        (NOTHING, SAME, False, "named in master"),
        (OTHERS, NOTHING, False, "withdrawn"),  # nothing was loaded, and the rows changed since
        (OTHERS, NOTHING, True, "lost"),  # they were moved out once
        (OTHERS, SAME, False, "lost"),
        (NOTHING, OTHERS, False, "lost"),
        (NOTHING, NOTHING, False, "lost"),
    ],
)
def test_a_move_is_taken_back_while_the_source_holds_the_rows(
    monkeypatch: pytest.MonkeyPatch, source: Any, target: Any, marked: bool, expected: str
) -> None:
    acts: list[str] = []

    rows: Any = SimpleNamespace(session=session())
    sides = iter([source, target])
    answers: dict[str, Any] = {
        "_both": lambda *_: (rows, rows),
        "_side": lambda *_: next(sides),
        "_delete_copy": lambda *_: acts.append("copy deleted"),
        "switch": lambda *_: acts.append("named in master"),
        "accounted": lambda *_: nullcontext(),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(settle, name, answer)
    monkeypatch.setattr("archiver.records.markers.read", lambda *_: {} if marked else None)
    master = SimpleNamespace(transaction=lambda *, doing: nullcontext())
    model = SimpleNamespace(tenant=SCHOOLS, written_besides=lambda database: {})
    archiver: Any = SimpleNamespace(model=model, databases=SimpleNamespace(master=master))
    left: Any = SimpleNamespace(source="shard_1", target="shard_2", tenant_id=13, location="s3://a/13", offsets=())
    with pytest.raises(RefusedError, match="neither holds its rows") if expected == "lost" else nullcontext():
        assert settle._taken_back(archiver, left) is (expected != "named in master")
    assert acts == ([expected] if expected in ("copy deleted", "named in master") else [])


def test_only_links_of_one_column_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = MODEL.links[1], MODEL.links[1].__class__(VISITS, ("a", "b"), STEPS, ("a", "b"))
    written: list[Any] = []
    monkeypatch.setattr("archiver.records.shard_keys.unenforced", lambda model, schema: ())
    monkeypatch.setattr("archiver.records.shard_keys.remember", lambda s, schema, move, values: written.append(values))
    source: Any = SimpleNamespace(
        placement=SimpleNamespace(schemas={SHARD: None}),
        model=MODEL,
        session=None,
        link_values={one: [1], two: [(1, 2)]},
    )
    archiver: Any = SimpleNamespace(databases=SimpleNamespace(schema=lambda name: None))
    settle.remember(archiver, cast(Any, None), source, cast(Any, None))
    assert written == [{}, {one: [1]}]


def databases(**answers: Any) -> Any:
    return SimpleNamespace(
        master=session(answers.get("master")), model=SimpleNamespace(tenant=SCHOOLS), exclusive_lock=nullcontext
    )


@pytest.mark.parametrize(
    ("route", "whole", "written"),
    [
        (MERGE, True, ["writing the alias"]),
        (SPLIT, True, ["ending the alias"]),
        (MERGE, False, []),  # only some schools: archives of the others stay with their shard
        (SPLIT, False, []),
    ],
)
def test_archives_follow_a_merged_shard_until_it_is_split_off(
    monkeypatch: pytest.MonkeyPatch, route: Route, whole: bool, written: list[str]
) -> None:
    reserved: list[Route] = []
    monkeypatch.setattr("archiver.records.archive_record.read_if_any", lambda *_, **__: [])
    monkeypatch.setattr(merge_split, "covered", lambda databases, route: False)
    monkeypatch.setattr(merge_split, "reserved", lambda databases, route: reserved.append(route))
    found = databases()
    model = SimpleNamespace(tenant=SCHOOLS, catalog=SimpleNamespace(activity=()))
    merge_split._begin(cast(Any, SimpleNamespace(databases=found, model=model)), route, complete=whole)
    assert asked(found.master) == ["reading the aliases", *written]
    assert reserved == ([MERGE] if route is MERGE and whole else [])


def test_a_merge_begins_only_where_nothing_is_interrupted_or_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    for state in (State.DELETING, State.RESTORING):

        def interrupted(master: object, *, state: State, of: State = state) -> list[Any]:
            return [SimpleNamespace(tenant_id=13, year=2013)] if state is of else []

        monkeypatch.setattr("archiver.records.archive_record.read_if_any", interrupted)
        with pytest.raises(RefusedError, match=f"School 13 is {state.value} for 2013: a run was interrupted"):
            merge_split._refuse_interrupted(databases())
    with pytest.raises(RefusedError, match="shard_2 was merged into shard_3") as refused:
        merge_split._refuse_merged(databases(master={"reading the aliases": [("shard_3",)]}), MERGE)
    assert refused.value.hint == "To undo that, run: inv shards.split --from=shard_3 --into=shard_2"
    with pytest.raises(UsageError, match="--from: expected a shard of the inventory"):
        merge_split.refuse_invalid_route(MERGE, ["shard_2"])
    with pytest.raises(UsageError, match="--into: expected a shard of the inventory"):
        merge_split.refuse_invalid_route(MERGE, ["shard_1"])
    merge_split.refuse_invalid_route(MERGE, ["shard_1", "shard_2"])


@pytest.mark.parametrize(("shard", "refused"), [("shard_1", False), ("shard_2", True)])
def test_a_tenant_that_moved_meanwhile_is_not_archived(
    monkeypatch: pytest.MonkeyPatch, shard: str, refused: bool
) -> None:
    monkeypatch.setattr("archiver.records.move_record.interrupted", lambda *_: ())
    found: Any = SimpleNamespace(master=master_of({13: shard}), model=SimpleNamespace(tenant=SCHOOLS))
    archiver: Any = SimpleNamespace(databases=found, model=found.model)
    tenant: Any = SimpleNamespace(id=13, shard="shard_1")
    sentence = "School 13 moved from shard_1 to shard_2 in the meantime"
    with pytest.raises(RefusedError, match=sentence) if refused else nullcontext():
        archive._still_there(archiver, tenant)
