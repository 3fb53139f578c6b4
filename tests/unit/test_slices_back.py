"""The deleted rows of a slice come back, and what an earlier run loaded is skipped, by values."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import SHARD, TableName
from archiver.load import load, subset
from archiver.load.row_values import RowValues
from archiver.postgres.schema import Schema
from archiver.runs import monthly_slices, restore, restore_order
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
    for act, forgets in (("restored", True), ("restored classroom 42", False)):
        acts.clear()
        none: Any = None
        assert restore._load_shard(none, (), none, none, act, held) == expected
        assert acts == ([*("loaded", "marked"), *(["forgotten"] if forgets else [])] if content is None else [])


def test_a_key_with_null_has_no_parent() -> None:
    values = RowValues(columns=("a",), rows=[("1",), (None,)])
    assert restore_order._keys(values, ["a"]) == {("1",)}
