"""Markers that nothing closes, by what a shard's markers and master's records and log say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from archiver.records import open_markers as module
from archiver.records.open_markers import Contradiction, open_markers
from tests.answering import session

NIGHT, LATER = datetime(2014, 7, 1, tzinfo=UTC), datetime(2014, 7, 2, tzinfo=UTC)
EPOCH = datetime.fromtimestamp(0, tz=UTC)  # in the place of a time, in what an older version wrote
LOCATION = "s3://archives/13"


@pytest.fixture(autouse=True)
def with_own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ready", lambda session: True)


def found(
    *,
    act: str = "deleted",
    started_at: datetime = NIGHT,
    content: Sequence[Any] = ({},),
    record: tuple[str | None, str | None] | None = (None, None),
    log: Sequence[tuple[Any, ...]] = (),
) -> list[tuple[Contradiction, str]]:
    """The contradictions of one marker of record 7; `record` has its state in master, and the location of a move."""
    shard = session(
        {
            "looking for open markers": [(7, started_at, act, NIGHT)],
            "reading a marker": [(each,) for each in content],
        }
    )
    master = session(
        {"looking for the records of markers": [(1, *record)] if record else [], "reading the log": log},
        where="master",
    )
    return [(each.contradiction, each.location) for each in open_markers(master, {"shard_1": shard})]


def entry(
    act: str, *, record: int = 7, tenant: int = 13, shard: str = "shard_2", started_at: datetime | None = NIGHT
) -> tuple[Any, ...]:
    times = {"started_at": started_at.isoformat()} if started_at else {}
    return record, str(tenant), act, {"shard": shard, "location": LOCATION, **times}


UNKNOWN = [(Contradiction.UNKNOWN, "")]
RESTORED = [(Contradiction.RESTORED, LOCATION)]


def test_what_master_has_of_its_record_decides() -> None:
    assert found(record=None) == []  # the record has come as far
    assert found(record=("verified", None)) == [(Contradiction.UNDONE, "")]
    assert found(act="moved in", record=("planned", LOCATION)) == [(Contradiction.UNKNOWN, LOCATION)]
    assert found() == UNKNOWN
    assert found(content=()) == found(act="slice 13 went", content=()) == []  # a run has closed it meanwhile


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([entry("restore")], []),  # restored elsewhere, or dropped: the log closes it
        ([entry("drop")], []),
        ([entry("drop", shard="shard_1")], []),
        ([entry("restore", shard="shard_1")], RESTORED),  # this shard does not know of that
        ([entry("restore", record=8)], UNKNOWN),  # another record
        ([entry("restore", started_at=LATER)], UNKNOWN),  # another record with the number of a master set back
        ([entry("restore", started_at=None)], []),  # what an older version wrote has the number alone
        ([entry("restore activity")], UNKNOWN),  # of a month, not of the tenant
    ],
)
def test_the_log_closes_a_deletion(log: list[tuple[Any, ...]], expected: list[Any]) -> None:
    assert found(log=log) == expected


def test_a_marker_of_an_older_version_is_closed_by_its_number_alone() -> None:
    assert found(started_at=EPOCH, log=[entry("restore", started_at=LATER)]) == []


WENT = {"went": {"a": 3, "b": 1}, "stayed": {"a": ["1", "2"], "b": []}}
STAYED = {"went": {"a": 2}, "stayed": {"a": ["1", "2"]}}


@pytest.mark.parametrize(
    ("log", "content", "expected"),
    [
        ([], WENT, UNKNOWN),
        ([], STAYED, []),  # no row of it was deleted
        ([entry("restore activity")], WENT, []),
        ([entry("restore activity", shard="shard_1")], WENT, RESTORED),
        ([entry("restore activity", tenant=14)], WENT, UNKNOWN),  # another tenant's slice of the same month
        ([entry("restore")], WENT, UNKNOWN),
    ],
)
def test_the_log_closes_a_slice_of_a_month(log: list[tuple[Any, ...]], content: Any, expected: list[Any]) -> None:
    assert found(act="slice 13 went", log=log, content=[content]) == expected
