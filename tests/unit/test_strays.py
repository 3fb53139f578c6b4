"""Stray tables: which may be dropped, and in which order, by values."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from archiver.delete import drop_strays
from archiver.delete.drop_strays import drop
from archiver.delete.empty_feeds import empty_feeds
from archiver.postgres.session import DatabaseError, Session
from archiver.runs.upkeep import drop_unused
from archiver.vacuum import strays
from archiver.vacuum.feeds import Feed
from archiver.vacuum.strays import Stray, Use, Writes, droppable
from errors import CutoverError, RefusedError, UnknownError
from tests.answering import asked, locks, session, unaccounted

NOW = datetime(2014, 9, 6, 22, tzinfo=UTC)
IDLE = timedelta(days=30)
LONG_AGO, YESTERDAY = NOW - timedelta(days=60), NOW - timedelta(days=1)


def stray(table: str, *named_by: str, writes: Writes | None = None) -> Stray:
    return Stray(
        table=table,
        rows=1,
        bytes=1,
        uses=tuple(Use(what=f"the foreign key of {each}", by=each) for each in named_by),
        writes=writes or unwritten(),
        now=NOW,
    )


def unwritten(
    *, counted: int = 0, since: datetime = LONG_AGO, unanalyzed: int = 0, analyzed: datetime | None = None
) -> Writes:
    return Writes(counted=counted, since=since, unanalyzed=unanalyzed, analyzed=analyzed)


@pytest.mark.parametrize(
    ("writes", "since"),
    [
        (unwritten(), LONG_AGO),
        (unwritten(counted=3, analyzed=YESTERDAY), YESTERDAY),  # written, but not since the last ANALYZE
        (unwritten(counted=3, unanalyzed=3, analyzed=YESTERDAY), None),
        (unwritten(unanalyzed=3, analyzed=YESTERDAY), LONG_AGO),
    ],
)
def test_what_the_statistics_say_of_the_last_write(writes: Writes, since: datetime | None) -> None:
    assert writes.none_since == since


@pytest.mark.parametrize(
    ("table", "to_drop", "reasons"),
    [
        (stray("a"), (), []),
        (stray("a", "b"), (), ["the foreign key of b"]),
        (stray("a", "b"), ("b",), []),
        (
            stray("a", writes=unwritten(counted=1, unanalyzed=1)),
            (),
            ["1 row was written since 2014-07-08, at an unknown time"],
        ),
        (
            stray("a", writes=unwritten(counted=1200, unanalyzed=1)),
            (),
            ["1,200 rows were written since 2014-07-08, at an unknown time"],
        ),
        (
            stray("a", writes=unwritten(since=YESTERDAY)),
            (),
            ["it is known to be unwritten only since 2014-09-05 22:00 UTC"],
        ),
    ],
)
def test_a_table_is_refused_for_each_use_and_for_late_writes(
    table: Stray, to_drop: tuple[str, ...], reasons: list[str]
) -> None:
    assert table.refused(to_drop, IDLE) == reasons


def test_a_table_stays_if_one_that_stays_names_it() -> None:
    used = stray("used", writes=unwritten(since=YESTERDAY))
    assert droppable([stray("a", "used"), stray("b", "a"), used, stray("alone")], IDLE) == {"alone"}


def test_only_unused_tables_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[str] = []
    monkeypatch.setattr(drop_strays, "drop", lambda session, stray, idle: dropped.append(stray.table))
    outcomes = drop_unused(cast(Session, None), [stray("a", "view"), stray("b")], IDLE, lambda outcome: None)
    assert dropped == ["b"]
    assert [(outcome.item.table, outcome.error) for outcome in outcomes] == [("b", None)]


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (RefusedError("It is in use by now."), False),
        (DatabaseError("a lock", code="55P03"), False),
        (DatabaseError("the server is gone"), True),
        (UnknownError("the answer to COMMIT was lost"), True),
    ],
)
def test_what_prevents_one_drop_does_not_stop_the_others_unless_the_connection_is_lost(
    monkeypatch: pytest.MonkeyPatch, error: CutoverError, stops: bool
) -> None:
    def fails(session: Session, table: Stray, idle: timedelta) -> None:
        raise error

    monkeypatch.setattr(drop_strays, "drop", fails)
    tables = [stray("a"), stray("b")]
    if stops:
        with pytest.raises(type(error)):
            drop_unused(cast(Session, None), tables, IDLE, lambda outcome: None)
    else:
        outcomes = drop_unused(cast(Session, None), tables, IDLE, lambda outcome: None)
        assert [outcome.error for outcome in outcomes] == [error, error]


def test_a_table_comes_after_those_that_name_it_except_within_a_cycle() -> None:
    found = [stray("a", "b"), stray("b", "c"), stray("c"), stray("d", "e"), stray("e", "d")]
    assert [each.table for each in strays._namers_first(found)] == ["c", "b", "a", "d", "e"]


@pytest.mark.parametrize(
    ("below", "published", "accepted", "sentence"),
    [
        ([], [], False, ""),
        (["the child feeds_2013"], [], False, "Emptying the feeds on shard_1 refused: the child feeds_2013"),
        ([], [("feeds", "crm")], False, "subscribers would lose all their rows too: feeds is in the publication crm"),
        ([], [("feeds", "crm")], True, ""),
    ],
)
def test_feeds_with_children_or_subscribers_are_not_emptied(
    monkeypatch: pytest.MonkeyPatch, below: list[str], published: list[tuple[str, str]], accepted: bool, sentence: str
) -> None:
    unaccounted(monkeypatch)
    monkeypatch.setattr("archiver.delete.empty_feeds.below_any", lambda session, names: below)
    server = session({"reading the publications": published})
    with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
        empty_feeds(server, [Feed(database="master", table="feeds", rows=1, bytes=1)], truncate_published=accepted)
    emptied = ["emptying the feeds", "COMMIT: emptying the feeds"]
    assert [doing for doing in asked(server) if doing in emptied] == ([] if sentence else emptied)
    assert locks(server) == {"locking the feeds": "ACCESS EXCLUSIVE"}


def test_a_table_that_is_in_use_by_now_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    unaccounted(monkeypatch)
    for now, reason in (
        (stray("a"), ""),
        (stray("a", "b"), "the foreign key of b"),
        (replace(stray("a"), rows=3), "it has 3 rows, and had 1 when it was looked at"),
    ):
        monkeypatch.setattr("archiver.delete.drop_strays.read", lambda session, name, now=now: now)
        server = session()
        with pytest.raises(RefusedError, match=f"a is in use by now: {reason}") if reason else nullcontext():
            drop(server, stray("a"), IDLE)
        assert ("dropping a" in asked(server)) is (not reason)
        assert locks(server) == {"locking a": "ACCESS EXCLUSIVE"}
