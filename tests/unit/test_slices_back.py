"""The deleted rows of a slice come back, and what an earlier run loaded is skipped, by values."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import SHARD, TableName
from archiver.delete.throttle import Throttle
from archiver.load import load, subset
from archiver.load.row_values import RowValues
from archiver.postgres.schema import Schema
from archiver.runs import month_object, monthly, monthly_restore, monthly_slices, restore, restore_order
from archiver.runs.returning import ReturningMonth
from archiver.store.bucket import Digests
from errors import DamagedError, RefusedError, UsageError
from tests.answering import SCHOOLS
from tests.schemas import database

ROOMS = TableName(SHARD, "rooms")
LINES = [b"1\ta\n", b"2\tb\n", b"3\tc\n"]


def month_slice(**more: Any) -> Any:
    values = {"went": {"shard/rooms.copy": 2}, "stayed": {"shard/rooms.copy": ["1"]}, "rows": {"shard/rooms.copy": 3}}
    return SimpleNamespace(**(values | {"deleted_rows": 1} | more))


def test_only_the_deleted_rows_of_a_slice_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    schema = Schema(tables=database(rooms="id, name").tables, types={})
    archived: Any = SimpleNamespace(manifest=SimpleNamespace(schemas={SHARD: schema}), open=lambda member: iter(LINES))
    assert monthly_slices._deleted_lines(archived, ROOMS, month_slice()) == {1: LINES[1]}
    smaller: list[Any] = []

    def written(archive: object, rows: Any, work: object) -> Any:
        smaller.append(rows)
        return nullcontext("a part")

    monkeypatch.setattr(subset, "smaller", written)
    with monthly_slices._deleted_part(archived, month_slice(), tmp_path) as part:
        assert part == cast(Any, "a part")
    with monthly_slices._deleted_part(archived, month_slice(deleted_rows=3), tmp_path) as part:
        assert part is archived
    assert smaller == [{ROOMS: {1: LINES[1]}}]


@pytest.mark.parametrize("content", [None, {"shard.rooms": {"inserted": 2}}])
def test_an_archive_that_an_earlier_run_loaded_is_skipped(monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    acts: list[str] = []
    fresh = {"shard.rooms": load.Loaded(inserted=1)}

    def load_database(*_: object) -> Any:
        acts.append("loaded")
        return fresh

    monkeypatch.setattr("archiver.records.markers.read", lambda *_: content)
    monkeypatch.setattr("archiver.records.markers.write", lambda *_: acts.append("marked"))
    monkeypatch.setattr("archiver.records.shard_keys.forget", lambda *_: acts.append("forgotten"))
    monkeypatch.setattr(monthly_slices, "load_database", load_database)
    monkeypatch.setattr(restore, "load_database", load_database)
    held: Any = SimpleNamespace(session=None, account=SimpleNamespace(bookkeeping=nullcontext))
    expected = fresh if content is None else {"shard.rooms": load.Loaded(inserted=2)}
    each: Any = SimpleNamespace(
        database=SHARD,
        slice=SimpleNamespace(month=None, restore_act=""),
        incoming=SimpleNamespace(placement=SimpleNamespace(sessions={SHARD: None})),
    )
    assert monthly_slices.load([each], held) == expected
    assert acts == (["loaded", "marked"] if content is None else [])


@pytest.mark.parametrize(
    ("act", "content", "done", "visits"),
    [
        ("restored", None, ["school", "marked", "forgotten", "months"], 4),
        ("restored", {"shard.rooms": {"inserted": 2}}, ["months"], 4),  # each month has a marker of its own
        ("restored classroom 42", None, ["school", "rows of months", "marked"], 3),
        ("restored classroom 42", {"shard.rooms": {"inserted": 2}}, [], None),
    ],
)
def test_a_part_comes_with_its_rows_of_the_months_and_a_school_with_the_months(
    monkeypatch: pytest.MonkeyPatch, act: str, content: Any, done: list[str], visits: int | None
) -> None:
    acts: list[str] = []

    def loads(what: str, **inserted: int) -> Any:
        def loaded(*_: object) -> Any:
            acts.append(what)
            return {f"shard.{name}": load.Loaded(inserted=rows) for name, rows in inserted.items()}

        return loaded

    monkeypatch.setattr("archiver.records.markers.read", lambda *_: content)
    monkeypatch.setattr("archiver.records.markers.write", lambda *_: acts.append("marked"))
    monkeypatch.setattr("archiver.records.shard_keys.forget", lambda *_: acts.append("forgotten"))
    monkeypatch.setattr(restore, "load_database", loads("school", rooms=2))
    monkeypatch.setattr(monthly_slices, "load", loads("months", visits=4))
    monkeypatch.setattr(monthly_slices, "load_rows", loads("rows of months", visits=3))
    held: Any = SimpleNamespace(session=None, account=SimpleNamespace(bookkeeping=nullcontext))
    nothing: Any = None
    loaded = restore._load_shard(nothing, (), nothing, nothing, act, held)
    assert acts == done
    assert {name: table.inserted for name, table in loaded.items()} == {
        "shard.rooms": 2,
        **({"shard.visits": visits} if visits is not None else {}),
    }


def test_a_months_slices_of_another_shard_are_another_restore(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    slices = [SimpleNamespace(shard=f"shard_{number}", slice=SimpleNamespace(size=number)) for number in (1, 2, 1)]
    monkeypatch.setattr(monthly_restore, "returning_month", lambda *_: slices)
    for name in ("settle", "_refuse_if_away", "settle_tenant", "_refuse_below_archived"):
        monkeypatch.setattr(monthly_restore, name, lambda *_, **__: None)
    restored: list[Any] = []

    def restore_slices(
        archiver: object, activity: object, placement: object, returning: Any, *_: Any, **__: Any
    ) -> Any:
        restored.extend(returning)
        return {}

    monkeypatch.setattr(monthly_restore, "_restore", restore_slices)
    databases = SimpleNamespace(tenant_lock=lambda *_: nullcontext(), placement=lambda shard: None)
    archiver: Any = SimpleNamespace(model=SimpleNamespace(tenant=SCHOOLS), databases=databases, work=tmp_path)
    on_shard = monthly_restore.TenantOnShard(tenant_id=13, shard="shard_1", size=2)
    done = monthly_restore._restore_month(archiver, cast(Any, None), "2014-05", on_shard, pretend=False)
    assert (restored, done.size) == ([slices[0], slices[2]], 2)


def test_a_key_with_null_has_no_parent() -> None:
    values = RowValues(columns=("a",), rows=[("1",), (None,)])
    assert restore_order._keys(values, ["a"]) == {("1",)}


@pytest.mark.parametrize(("size", "sha256", "damaged"), [(5, "hash", False), (4, "hash", True), (5, "another", True)])
def test_a_month_that_is_not_the_one_stored_is_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, size: int, sha256: str, damaged: bool
) -> None:
    def get(key: str, path: Any, *_: object, limit: int) -> Digests:
        path.write_bytes(b"")
        return Digests(size=size, sha256=sha256, md5="")

    monkeypatch.setattr(month_object, "_file", lambda *_: tmp_path / "slice")
    bucket = SimpleNamespace(key=lambda location: location, get=get)
    archiver: Any = SimpleNamespace(bucket=bucket)
    month: Any = SimpleNamespace(location="s3://a/2014-05", size=5, sha256="hash")
    one: Any = SimpleNamespace(month=month, start=0, size=5, sha256="hash")
    with pytest.raises(DamagedError, match="2014-05 is not what was stored") if damaged else nullcontext():
        month_object.fetch_all(archiver, month, [], tmp_path)
    with pytest.raises(DamagedError, match=r"from 0\) is not what was stored") if damaged else nullcontext():
        month_object.fetch(archiver, one, tmp_path)


@pytest.mark.parametrize(
    ("shard", "sentence"), [("shard_1", ""), ("shard_2", "its rows belong to shard_1, and the school")]
)
def test_a_slice_comes_back_only_to_the_shard_of_its_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, shard: str, sentence: str
) -> None:
    renumbered: list[Any] = []
    answers: dict[str, Any] = {
        "month_object.fetch": lambda *_: tmp_path / "slice",
        "month_object.belongs_to": lambda *_: None,
        "bundle.opened": lambda *_: nullcontext(None),
        "_deleted_part": lambda *_: nullcontext(None),
        "renumbered": lambda mapping, *_: renumbered.append(mapping),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(f"{monthly_slices.__name__}.{name}", answer)
    archiver: Any = SimpleNamespace(databases=None, keys=None, model=SimpleNamespace(tenant=SCHOOLS))
    placement: Any = SimpleNamespace(shard=shard, schemas={SHARD: None})
    month: Any = SimpleNamespace(tenant_id=13, month=SimpleNamespace(shard="shard_1", month="2014-05"))
    for mappings in ({SHARD: "of the shard"}, {"master": "of master"}):
        monkeypatch.setattr(monthly_slices, "fitting", lambda *_, mappings=mappings: mappings)
        with (
            pytest.raises(RefusedError, match=sentence) if sentence else nullcontext(),
            monthly_slices.opened(archiver, placement, [ReturningMonth(slice=month, relocations=())], tmp_path) as [
                incoming
            ],
        ):
            assert list(incoming.incoming.mappings) == list(mappings)
    assert renumbered == ([] if sentence else ["of the shard"])


@pytest.mark.parametrize(("tenant", "subject"), [(13, "No activity of 2014-05 of school 13 is"), (None, "2014-05 is")])
def test_a_month_that_is_not_archived_is_named(
    monkeypatch: pytest.MonkeyPatch, tenant: int | None, subject: str
) -> None:
    monkeypatch.setattr("archiver.records.slice_record.of_month", lambda *_: ())
    monkeypatch.setattr(monthly_restore, "rules", lambda model: None)
    monkeypatch.setattr(monthly_restore, "asking_markers", lambda archiver: nullcontext())
    archiver: Any = SimpleNamespace(model=SimpleNamespace(tenant=SCHOOLS), databases=SimpleNamespace(master=None))
    with pytest.raises(UsageError, match=subject):
        monthly_restore.tenants_of_month(archiver, "2014-05", tenant)


@pytest.mark.parametrize("max_lag", [None, 5])
def test_the_standbys_are_asked_before_a_month_begins(monkeypatch: pytest.MonkeyPatch, max_lag: int | None) -> None:
    asked: list[str] = []
    monkeypatch.setattr(monthly, "rules", lambda model: None)
    monkeypatch.setattr(monthly, "prove_makeable", lambda *_: None)
    monkeypatch.setattr("archiver.completeness.completeness.prove_complete", lambda *_: None)
    monkeypatch.setattr(monthly, "lag", asked.append)
    monkeypatch.setattr(monthly, "_shard", lambda run, shard: shard.done)
    monkeypatch.setattr("archiver.postgres.tenants.every", lambda *_: [])
    databases: Any = SimpleNamespace(master=None, shards=("shard_1",), session=lambda name: name)
    archiver: Any = SimpleNamespace(model=SimpleNamespace(tenant=SCHOOLS), databases=databases, scratch=None)
    monthly.archive_activity(archiver, cast(Any, None), Throttle(max_lag=max_lag), lambda shard: None)
    assert asked == (["shard_1"] if max_lag else [])
