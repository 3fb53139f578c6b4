"""A tenant on its way back: what an earlier run left, which months come with it, and what may be live already."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from datetime import date, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import Part
from archiver.load.load import Loaded
from archiver.postgres.tenants import Tenant
from archiver.records.archive_record import Record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.night_tenants import NightTenants
from archiver.records.placement_history import PlacementHistory
from archiver.records.resumable import interrupted_deletion
from archiver.records.state import Kind, State
from archiver.runs import board, drop, pipeline, purge, restore, returning
from errors import Problems, RefusedError, UsageError
from inventory.catalog import DEFAULT_DEPTH
from tests.answering import asked, session, unaccounted

ROOM, OTHER = Part("classroom", 42), Part("classroom", 43)
SCHOOL: Any = SimpleNamespace(noun="school")


def record(**more: Any) -> Record:
    values = {
        "id": 7,
        "tenant_id": 13,
        "year": 2013,
        "shard": "shard_1",
        "state": State.ARCHIVED,
        "turn": 1,
        "kept": {},
        "partial": (),
        "location": "s3://a/13",
        "tarball": "2013_school_13.tar.gz",
        **more,
    }
    return cast(Record, SimpleNamespace(**values))


def placement(shard: str = "shard_1", *, has_shard: bool = True) -> Any:
    return SimpleNamespace(master=session(), shard=shard, shard_session=session() if has_shard else None)


def archiver(*, activity: bool = True) -> Any:
    model = SimpleNamespace(tenant=SCHOOL, catalog=SimpleNamespace(activity=activity), root="master.schools")
    return SimpleNamespace(model=model, databases=SimpleNamespace(master=session(), model=model))


def shows(patch: pytest.MonkeyPatch, *acts: str) -> list[str]:
    """Let the shard have these markers; return those that are deleted."""
    deleted: list[str] = []
    patch.setattr("archiver.records.markers.acts", lambda session, record: set(acts))
    patch.setattr("archiver.records.markers.delete", lambda session, record, act: deleted.append(act))
    patch.setattr("archiver.records.archive_record.restoring", lambda master, record: record)
    return deleted


@pytest.mark.parametrize(
    ("only", "acts", "partial", "refused"),
    [
        (ROOM, (), (), ""),
        (ROOM, ("restored classroom 42",), (), ""),  # this part's own run was cut off
        (ROOM, ("restored classroom 43",), (), "classroom 42 refused: .* rows of classroom 43"),
        (ROOM, ("restored",), (), "restored the shard's rows of all"),
        (ROOM, ("restored classroom 43",), (OTHER,), ""),  # master has it, too
        (None, ("restored classroom 43",), (), ""),
        (ROOM, ("deleted",), (), ""),
    ],
)
def test_a_part_is_refused_while_another_restore_is_half_done(
    monkeypatch: pytest.MonkeyPatch, only: Part | None, acts: tuple[str, ...], partial: Any, refused: str
) -> None:
    deleted = shows(monkeypatch, *acts)
    with pytest.raises(RefusedError, match=refused) if refused else nullcontext():
        restore._begin(placement(), record(partial=partial), only)
    assert deleted == []


def test_a_part_that_was_restored_before_loses_its_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    deleted = shows(monkeypatch, "restored classroom 42")
    restore._begin(placement(), record(partial=(ROOM,)), ROOM)
    restore._begin(placement(has_shard=False), record(partial=(ROOM,)), ROOM)
    assert deleted == ["restored classroom 42"]


@pytest.mark.parametrize(
    ("state", "still"),
    [(State.ARCHIVED, True), (State.RESTORING, True), (State.VERIFIED, False), (None, False)],
)
def test_a_tenant_is_restored_only_while_it_is_archived(
    monkeypatch: pytest.MonkeyPatch, state: State | None, still: bool
) -> None:
    found = [record(state=state)] if state else []
    monkeypatch.setattr("archiver.records.archive_record.of_tenant", lambda *_: found)
    monkeypatch.setattr("archiver.records.move_record.interrupted", lambda *_: ())
    gone = pytest.raises(RefusedError, match=r"School 13 is not archived for 2013 any more\.")
    with nullcontext() if still else gone:
        assert restore._still_archived(archiver(), record()) in found


def test_the_months_come_with_the_archive_of_their_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = {1: None, 2: record(), 3: record(id=8)}
    slices: list[Any] = [SimpleNamespace(id=number, tenant_id=13, month=month_of(number)) for number in parents]
    monkeypatch.setattr("archiver.records.archive_record.of_tenant", lambda *_: [])
    monkeypatch.setattr("archiver.records.slice_record.of_tenant", lambda *_: slices)
    monkeypatch.setattr(returning, "parent_archive", lambda each, every: parents[each.id])
    monkeypatch.setattr(returning, "relocations_of", lambda *_: ())
    monkeypatch.setattr(returning, "placement_history", lambda master: PlacementHistory())
    databases: Any = SimpleNamespace(master=None, model=SimpleNamespace(tenant=SCHOOL, catalog=SimpleNamespace()))
    databases.model.catalog.activity = True
    assert [each.slice for each in returning.returning(databases, record()).months] == slices[:2]
    without = returning.returning(databases, record(), ["2014-02"])
    assert ([each.slice for each in without.months], without.left) == (slices[:1], (slices[1],))
    with pytest.raises(Problems, match="these months do not come with it") as refused:
        returning.returning(databases, record(), ["2014-03", "2014-02", "2013-01"])
    assert refused.value.problems == (
        "--without-month=2013-01: it has 2 months: 2014-01, 2014-02",
        "--without-month=2014-03: it has 2 months: 2014-01, 2014-02",
    )
    databases.model.catalog.activity = False
    assert returning.returning(databases, record()).months == ()


def month_of(number: int) -> Any:
    return SimpleNamespace(month=f"2014-0{number}", shard="shard_1", turn=0)


@pytest.mark.parametrize(
    ("of", "acts", "live", "everywhere"),
    [
        (record(), ("deleted",), False, False),
        (record(), ("deleted",), True, True),  # another archive of the tenant was restored
        (record(kept={"master.schools": 1}), ("deleted",), True, False),  # its own row never went
        (record(partial=(ROOM,)), ("deleted",), False, True),
        (record(), ("deleted", "restored classroom 42"), False, True),
        (record(), (), False, True),  # the shard was set back behind the deletion
        (record(shard="shard_2"), (), False, False),  # the rows come back elsewhere
    ],
)
def test_rows_of_any_table_may_be_live_already(
    monkeypatch: pytest.MonkeyPatch, of: Record, acts: Collection[str], live: bool, everywhere: bool
) -> None:
    shows(monkeypatch, *acts)
    monkeypatch.setattr("archiver.postgres.tenants.unknown", lambda master, table, ids: [] if live else ids)
    found = restore._neighbours(placement(), archiver().model, of, None, cast(Any, None))
    assert found.everywhere is everywhere


@pytest.mark.parametrize(("pending", "back"), [(set[str](), True), ({"restored"}, False)])
def test_a_restore_steps_back_only_if_the_shard_did_not_commit(
    monkeypatch: pytest.MonkeyPatch, pending: set[str], back: bool
) -> None:
    states: list[State] = []
    monkeypatch.setattr(restore, "_pending", lambda *_: pending)
    monkeypatch.setattr(restore, "replace", lambda record, **_: record)
    monkeypatch.setattr("archiver.records.archive_record.step_back", lambda *args: states.append(args[-1]))
    restore._step_back(placement(), record())
    assert states == [State.ARCHIVED] * back


def test_without_a_shard_no_deletion_of_it_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch)
    assert not restore._deletion_was_lost(placement(has_shard=False), record())


def test_the_log_has_the_rows_by_table_and_what_was_lost() -> None:
    assert restore._counted({"a": Loaded(inserted=2, lost={"name": 1})}) == {
        "tables": {"a": {"inserted": 2, "there": 0, "replaced": 0, "differing": 0}},
        "lost": {"a.name": 1},
    }


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        (3, State.ARCHIVED, ""),
        (3, State.RESTORED, "Purge 3 is restored: there are no users to restore"),
        (4, State.ARCHIVED, "There is no purge 4"),
    ],
)
def test_only_a_purge_that_took_place_is_restored(
    monkeypatch: pytest.MonkeyPatch, number: int, state: State, sentence: str
) -> None:
    every: list[Any] = [SimpleNamespace(id=2, state=State.ARCHIVED), SimpleNamespace(id=3, state=state)]
    monkeypatch.setattr("archiver.records.purge_record.every", lambda master: every)
    with pytest.raises(UsageError, match=sentence) if sentence else nullcontext():
        assert purge._purged(archiver(), number) is every[1]


def test_an_archive_that_changed_meanwhile_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: Any = partial(SimpleNamespace, kind=Kind.TENANT, id=7, state=State.ARCHIVED, location="s3://a/13.tar.gz")
    monkeypatch.setattr(drop, "settle", lambda archiver, shards: None)
    for now, still in (([recorded()], True), ([], False), ([recorded(state=State.RESTORING)], False)):
        monkeypatch.setattr("archiver.records.archives.of_kind", lambda *_, now=now: now)
        with nullcontext() if still else pytest.raises(RefusedError, match="changed in the meantime"):
            drop.settle_to_drop(archiver(), recorded(), ["shard_1"])


def test_a_unit_is_taken_only_while_its_run_lives_and_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "held_locks", lambda locks: nullcontext())
    monkeypatch.setattr(board, "holder", lambda master, key: None)
    with pytest.raises(RefusedError, match=r"Its run has ended\."), board.taken(session(), "a run", 1):
        pass
    monkeypatch.setattr(board, "holder", lambda master, key: "a run")
    with pytest.raises(RefusedError, match=r"It is done\."), board.taken(session(), "a run", 1):
        pass


TENANT = Tenant(id=13, name="", shard="shard_1", customer_id=None, customer_name=None)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (record(state=State.VERIFIED), None),
        (record(state=State.DELETING), "resumed"),
        (record(state=State.ARCHIVED), "School 13 is archived already for 2013"),
        (record(state=State.RESTORING), "School 13 is half restored"),
        (record(state=State.DELETING, year=2012), "School 13 is deleting for 2012, by a run that was cut off"),
        (record(state=State.DELETING, shard="shard_2"), "School 13 is deleting for 2013 on shard_2, by a run"),
        (record(state=State.ARCHIVED, year=2012), None),
    ],
)
def test_an_interrupted_deletion_is_finished_and_any_other_run_refused(earlier: Record, expected: str | None) -> None:
    request = ArchiveRequest(year=2013, depth=DEFAULT_DEPTH)
    if expected not in (None, "resumed"):
        with pytest.raises((RefusedError, UsageError), match=expected):
            interrupted_deletion("school", TENANT, [earlier], request)
    else:
        assert interrupted_deletion("school", TENANT, [earlier], request) is (earlier if expected else None)


def test_another_scope_than_the_one_typed_is_refused() -> None:
    scope = NightTenants(noun="school", taken=(13,), excluded=(), unmatched=())
    scope.refuse_others(date(2014, 7, 1), "")
    scope.refuse_others(date(2014, 7, 1), scope.digest)
    with pytest.raises(RefusedError, match="Archiving refused: the date of 2014-07-01 was typed for abc"):
        scope.refuse_others(date(2014, 7, 1), "abc")
    with pytest.raises(UsageError, match="matches nothing"):
        NightTenants(noun="school", taken=(), excluded=(), unmatched=()).refuse_others(date(2014, 7, 1), "")


@pytest.mark.parametrize(
    ("referenced", "now", "sentence"),
    [
        ({}, 1, ""),
        ({7: ["rooms"]}, 1, "users are referenced by now: 7 by rooms"),
        ({}, 2, "rows of users changed since"),
    ],
)
def test_users_that_changed_or_are_needed_by_now_are_not_purged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, referenced: Any, now: int, sentence: str
) -> None:
    acts: list[str] = []
    answers: dict[str, Any] = {
        "pipeline.recheck_acts": lambda *_: None,
        "pipeline._locked": lambda *_: None,
        "purge.watch_of": lambda *_: SimpleNamespace(references=lambda: referenced),
        "pipeline._copied": lambda *_: now,
        "pipeline.prove_shape": lambda *_: None,
        "pipeline.tried_back": lambda *_: nullcontext(),
        "pipeline.delete": lambda *_: acts.append("deleted"),
        "purge.shard_keys.remember_rows": lambda *_: None,
        "purge.purge_record.purged": lambda master, verified: verified,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(f"archiver.runs.{name}", answer)
    unaccounted(monkeypatch)
    master = session()
    model = SimpleNamespace(tables=("users",), written_besides=lambda database: {})
    group: Any = SimpleNamespace(
        placement=SimpleNamespace(master=master, schemas={"master": None}), model=model, ids=[7]
    )
    monkeypatch.setattr("archiver.format.layout.member", lambda table: table)
    verified: Any = SimpleNamespace(members={"users": 1}, id=3)
    at_work: Any = SimpleNamespace(databases=None, bucket=None)
    databases: Any = SimpleNamespace(master=master)
    books = purge.PurgeBooks(databases=databases, group=group, before=datetime.min, year=2013)
    with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
        pipeline._delete(at_work, group, books, verified, tmp_path)
    assert [*acts, *asked(master)] == ([] if sentence else ["deleted", "COMMIT: deleting the users of purge 3"])


@pytest.mark.parametrize("only", [None, ROOM])
def test_a_record_ends_when_everything_is_live(monkeypatch: pytest.MonkeyPatch, only: Part | None) -> None:
    acts: list[str] = []
    for name in (
        "archive_record.delete",
        "archive_record.part_restored",
        "retained_rows.forget",
        "deleted_keys.forget",
    ):
        monkeypatch.setattr(f"archiver.records.{name}", lambda *_, name=name: acts.append(name))
    monkeypatch.setattr("archiver.records.id_index.ids_in", lambda archive: {})
    restore._end(placement(), record(), cast(Any, None), only)
    whole = ["archive_record.delete", "retained_rows.forget"]
    assert acts == (["archive_record.part_restored", "deleted_keys.forget"] if only else whole)


@pytest.mark.parametrize(("only", "act"), [(None, "restore"), (ROOM, "restore part")])
def test_the_log_tells_a_part_from_everything(monkeypatch: pytest.MonkeyPatch, only: Part | None, act: str) -> None:
    acts: list[Any] = []
    monkeypatch.setattr("archiver.records.audit_log.log", lambda *words: acts.append(words[1:]))
    monkeypatch.setattr("archiver.records.audit_log.closing", lambda *_: {})
    left: Any = SimpleNamespace(month=SimpleNamespace(month="2014-05", location="s3://a/2014-05"))
    for months in ([], [left]):
        restore._log(placement(), record(sha256=""), {}, only, months)
    assert [each[0] for each in acts] == [act, act]
    assert [each[2].get("left archived") for each in acts] == [None, ["2014-05 in s3://a/2014-05"]]
