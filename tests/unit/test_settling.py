"""Settle what a database that was set back left: markers to finish, and refusals in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import TableName
from archiver.records.open_markers import Contradiction, Marker, OpenMarker
from archiver.records.state import State
from archiver.runs import settle as module
from archiver.runs.context import Archiver
from archiver.runs.settle import settle
from errors import LockedError, RefusedError

NIGHT = datetime(2014, 7, 1, 22, tzinfo=UTC)


def marker(
    contradiction: Contradiction = Contradiction.UNDONE,
    *,
    shard: str = "shard_1",
    record: int = 7,
    act: str = "deleted",
    minutes: int = 0,
    location: str = "",
) -> OpenMarker:
    at = NIGHT + timedelta(minutes=minutes)
    return OpenMarker(
        marker=Marker(shard=shard, record_id=record, started_at=NIGHT, act=act, at=at),
        contradiction=contradiction,
        location=location,
    )


@dataclass
class Master:
    """Master and the shards as the module sees them, and what was written."""

    moves: Sequence[Any] = ()
    unmarked: Sequence[tuple[str, int]] = ()  # shards that lack the marker of a move
    tenant_shard: str | None = "shard_2"  # the shard that master names for a moved tenant
    found: Any = field(default_factory=dict)  # rows of a moved tenant, by table
    open: Sequence[OpenMarker] = ()
    members: Any = field(default_factory=lambda: {"shard/rooms.copy": 1})
    locked: bool = False  # another run has the tenant
    closed: bool = False  # and has closed the marker
    unnamed: int = 0  # objects that no record names
    written: list[tuple[str, int]] = field(default_factory=list)

    def patch(self, patch: pytest.MonkeyPatch) -> Archiver:
        """Let the module see this; return an archiver of two shards."""
        record = SimpleNamespace(
            id=7,
            tenant_id=13,
            shard="shard_1",
            members=self.members,
            location="s3://a/7",
            state=SimpleNamespace(value="stored"),
        )
        rows = {table: SimpleNamespace(rows=rows) for table, rows in self.found.items()}
        live = None if self.tenant_shard is None else SimpleNamespace(shard=self.tenant_shard)
        for name, answer in {
            "move_record.last_marked": lambda master: self.moves,
            "markers.without": lambda session, moves, act: [
                each.id for each in moves if (session, each.id) in self.unmarked
            ],
            "markers.read": lambda session, record, act: None if self.closed else {},
            "tenants.tenant": lambda master, table, tenant: live,
            "select": lambda *_: SimpleNamespace(by_table=rows),
            "open_markers": lambda master, shards: list(self.open),
            "archive_record.of_ids": lambda master, ids: [record],
            "archive_record.deletion_had_begun": lambda master, record: self.written.append(("tenant", record.id)),
            "month_record.deletion_had_begun": lambda master, number: self.written.append(("month", number)),
            "unnamed_objects": lambda bucket, databases: [
                SimpleNamespace(modified=NIGHT + timedelta(days=day), location=f"s3://a/{day}")
                for day in range(self.unnamed)
            ],
        }.items():
            patch.setattr(f"{module.__name__}.{name}", answer)
        databases = SimpleNamespace(
            master=None,
            shards=("shard_1", "shard_2"),
            session=lambda name: name,
            placement=lambda shard: None,
            tenant_lock=self._lock,
            model=SimpleNamespace(tenant=SimpleNamespace(noun="school")),
        )
        return cast(Archiver, SimpleNamespace(databases=databases, bucket=None))

    @contextmanager
    def _lock(self, *_: object) -> Iterator[None]:
        if self.locked:
            raise LockedError("Another run has it.")
        yield


def moved(
    target: str = "shard_2",
    *,
    source: str = "shard_9",
    state: State = State.MOVED,
    rows: int = 5,
    number: int = 3,
) -> Any:
    return SimpleNamespace(
        id=number,
        tenant_id=13,
        source=source,
        target=target,
        state=state,
        rows={"shard.rooms": rows},
        location="s3://a/13",
    )


def named(count: int) -> list[OpenMarker]:
    """Return open markers that name their archives."""
    return [marker(Contradiction.UNKNOWN, minutes=each, location=f"s3://a/{each}") for each in range(count)]


ROOMS, SCHOOLS = TableName("shard", "rooms"), TableName("master", "schools")


@pytest.mark.parametrize(
    ("master", "refused"),
    [
        (Master(moves=[moved()], unmarked=[("shard_2", 3)]), True),
        (
            Master(moves=[moved()], unmarked=[("shard_2", 3)], found={SCHOOLS: [1]}),
            True,
        ),  # its rows of master are no rows there
        (Master(moves=[moved()], unmarked=[("shard_2", 3)], found={ROOMS: [1]}), False),
        (Master(moves=[moved()]), False),  # the target has the marker
        (
            Master(moves=[moved(), moved(number=4)], unmarked=[("shard_2", 4)], tenant_shard="shard_1"),
            False,
        ),  # moved on since
        (Master(moves=[moved()], unmarked=[("shard_2", 3)], tenant_shard=None), False),  # archived since
        (Master(moves=[moved(rows=0)], unmarked=[("shard_2", 3)]), False),
        (Master(moves=[moved("shard_3")], unmarked=[("shard_2", 3)]), False),  # no shard of the inventory any more
    ],
)
def test_a_shard_set_back_behind_a_move_is_refused(
    monkeypatch: pytest.MonkeyPatch, master: Master, refused: bool
) -> None:
    archiver = master.patch(monkeypatch)
    settle(archiver, ["shard_1"])  # a run on other shards is not concerned
    sentence = "shard_2 holds no row of school 13, which was moved there: it was set back"
    with pytest.raises(RefusedError, match=sentence) if refused else nullcontext():
        settle(archiver, ["shard_2", "shard_3"])


@pytest.mark.parametrize(
    ("master", "refused"),
    [
        (Master(moves=[moved(source="shard_1")], unmarked=[("shard_1", 3)], found={ROOMS: [1]}), True),
        (Master(moves=[moved(source="shard_1")], unmarked=[("shard_1", 3)], found={SCHOOLS: [1]}), False),
        (Master(moves=[moved(source="shard_1")], found={ROOMS: [1]}), False),  # the source has the marker
        (
            Master(
                moves=[moved(source="shard_1", state=State.SWITCHED)],
                unmarked=[("shard_1", 3)],
                found={ROOMS: [1]},
            ),
            False,
        ),  # the move has not emptied it yet
        (
            Master(
                moves=[moved(source="shard_1")], unmarked=[("shard_1", 3)], found={ROOMS: [1]}, tenant_shard="shard_1"
            ),
            False,
        ),  # it came back since
    ],
)
@pytest.mark.parametrize("shard", ["shard_1", "shard_2"])
def test_a_source_set_back_behind_a_move_is_refused(
    monkeypatch: pytest.MonkeyPatch, master: Master, refused: bool, shard: str
) -> None:
    archiver = master.patch(monkeypatch)
    settle(archiver, ["shard_3"])  # a run on other shards is not concerned
    sentence = "shard_1 holds rows of school 13 again, which was moved to shard_2: it was set back"
    with pytest.raises(RefusedError, match=sentence) if refused else nullcontext():
        settle(archiver, [shard])


def test_a_target_set_back_does_not_concern_a_run_on_the_source_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settle(Master(moves=[moved(source="shard_1")], unmarked=[("shard_2", 3)]).patch(monkeypatch), ["shard_1"])


def test_the_marker_of_a_move_is_looked_for_in_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = [moved(), moved("shard_1", number=4)]
    archiver = Master(moves=moves, unmarked=[("shard_1", 3), ("shard_2", 4)]).patch(monkeypatch)
    settle(archiver, ["shard_1", "shard_2"])


def test_a_deletion_that_master_has_forgotten_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    for master, written in (
        (Master(), []),
        (Master(open=[marker()]), [("tenant", 7)]),
        (Master(open=[marker(act="slice 13 went")]), [("month", 7)]),
        (Master(open=[marker()], closed=True), []),
        (Master(open=[marker()], locked=True), []),
        (Master(open=[marker(), marker(Contradiction.UNKNOWN, record=8)]), [("tenant", 7)]),
    ):
        archiver = master.patch(monkeypatch)
        settle(archiver, ["shard_2"])
        assert master.written == written
        settle(archiver, ["shard_2"], pretend=True)
        assert master.written == written


def test_a_record_without_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    archiver = Master(open=[marker()], members={}).patch(monkeypatch)
    with pytest.raises(RefusedError, match="shard_1 shows that the record of s3://a/7 was deleting; in master it is"):
        settle(archiver, ["shard_1"])


@pytest.mark.parametrize(
    ("markers", "unnamed", "sentence"),
    [
        (
            [marker(Contradiction.RESTORED, location="s3://a/7")],
            0,
            "shard_1 was set back: it shows a deletion of 2014-07-01 22:00:00 UTC that was restored since. s3://a/7",
        ),
        (
            [marker(Contradiction.UNKNOWN, minutes=1), marker(Contradiction.RESTORED, location="s3://a/7")],
            0,
            "shard_1 was set back: it shows a deletion of 2014-07-01 22:00:00 UTC, and 1 more that was restored",
        ),
        (
            [marker(Contradiction.UNKNOWN)],
            0,
            "shard_1 shows a deletion of 2014-07-01 22:00:00 UTC that master has no record of: master was set back. "
            "No record names: none. Nothing",
        ),
        ([marker(Contradiction.UNKNOWN)], 5, "No record names: s3://a/4, s3://a/3, s3://a/2, s3://a/1, s3://a/0."),
        ([marker(Contradiction.UNKNOWN)], 7, "s3://a/3, s3://a/2 and 2 more."),
        (named(5), 0, "s3://a/3, s3://a/4 hold the rows"),
        (named(6), 0, "s3://a/3, s3://a/4 and 1 more hold the rows"),
        ([marker(Contradiction.UNKNOWN, act="moved in", location="s3://a/7")], 0, "shows a move of"),
        ([marker(Contradiction.UNKNOWN, act="moved out", location="s3://a/7")], 0, "s3://a/7 holds the rows"),
    ],
)
def test_a_run_on_the_shard_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, markers: list[OpenMarker], unnamed: int, sentence: str
) -> None:
    archiver = Master(open=markers, unnamed=unnamed).patch(monkeypatch)
    with pytest.raises(RefusedError) as refused:
        settle(archiver, ["shard_1"])
    assert sentence in str(refused.value)
