"""The trial of the way back: rows that would come back otherwise are not deleted, by what the server answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, TableName
from archiver.delete import return_trial
from archiver.delete.return_trial import judges_of, tried_back
from archiver.postgres.account import Account
from archiver.postgres.counters import Changes
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows
from archiver.postgres.session import DatabaseError, Session
from errors import CutoverError, RefusedError
from tests.answering import Answering, asked, session
from tests.schemas import database

ROOMS, DESKS, USERS = TableName(SHARD, "rooms"), TableName(SHARD, "desks"), TableName(MASTER, "users")
SCHEMAS = {
    MASTER: Schema(tables=database(users="id").tables, types={}),
    SHARD: Schema(tables=database(rooms="id, name, seen_at", desks="id").tables, types={}),
}
TWO = SelectedRows(identity=("id",), columns=("id",), rows=[(1,), (2,)])
TRYING, COMPARING = "trying the way back of shard.rooms", "comparing shard.rooms"


@dataclass(eq=False)
class Server(Answering):
    """Answers each comparison with the next number of rows that are alike."""

    alike: Iterator[int] = field(default_factory=lambda: iter([0, 2]))

    def rows(self, query: object, args: Any = (), *, doing: str = "") -> Any:
        """Return what a query is answered, or raise it."""
        answer = super().rows(query, args, doing=doing)
        if isinstance(answer, Exception):
            raise answer
        return [("", next(self.alike))] if doing == COMPARING else answer


def model(*, quiet: tuple[str, ...] = (), changed: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(
        triggers_to_disable=lambda table: quiet, changed_by_triggers=lambda table: changed, of=lambda kind: []
    )


def server(alike: tuple[int, ...] = (0, 2), **answers: Any) -> Server:
    found: dict[str, Any] = {
        "reading the triggers": [("rooms", "judge")],
        "copying shard.rooms to try its way back": [(1,), (2,)],
        TRYING: [(1,), (2,)],
    }
    return Server({**found, **answers}, alike=iter(alike))


def tried(patch: pytest.MonkeyPatch, of: Server, accepted: tuple[str, ...] = (), **more: Any) -> list[Any]:
    """Try rows of a shard's rooms; return what was declared in the account."""
    patch.setattr(return_trial, "product_names", lambda session: nullcontext())
    own = cast(Session, of)
    placement = Placement(sessions={SHARD: own}, schemas=SCHEMAS, shard="shard_1", other_shards=())
    account, nothing = Account(own, "Deleting", {}, {}), SelectedRows(identity=(), columns=(), rows=[])
    declared: list[Any] = []
    patch.setattr(Account, "declare", lambda self, table, changes: declared.append((table, changes)))
    with tried_back(placement, model(**more), SHARD, {ROOMS: TWO, DESKS: nothing, USERS: TWO}, account, accepted):
        of.rows("", doing="deleting")
    return declared


def test_the_rows_of_one_database_are_tried_after_their_deletion_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    of = server()
    assert tried(monkeypatch, of) == [("rooms", Changes(inserted=2))]
    assert asked(cast(Session, of)) == [
        "reading the triggers",
        "copying shard.rooms to try its way back",
        "deleting",
        "trying the way back",
        COMPARING,
        TRYING,
        "proving the foreign keys",
        COMPARING,
        "undoing the trial of the way back",
    ]


@pytest.mark.parametrize(
    ("alike", "answers", "sentence"),
    [
        ((0, 2), {TRYING: [(1,)]}, r"rows of shard\.rooms would not come back as they are: 1 would be left out"),
        ((0, 2), {TRYING: [(1,), (2,), (3,)]}, "-1 would be left out"),
        ((0, 1), {}, "some would be changed, left out or doubled. Possible cause: the trigger judge"),
        ((1, 2), {}, "some would be changed"),  # one like it was there before
        ((0, 2), {TRYING: DatabaseError("No.", code="23514")}, r"the server rejects them \(23514\)"),
        ((0, 2), {"proving the foreign keys": DatabaseError("No.", code="23503")}, r"rejects them \(23503\)"),
        ((0, 2), {TRYING: DatabaseError("Wait.", code="40001")}, r"^Wait\.$"),
        ((0, 2), {TRYING: DatabaseError("Gone.", code="57P01")}, r"^Gone\.$"),
    ],
)
def test_rows_that_would_come_back_otherwise_are_not_deleted(
    monkeypatch: pytest.MonkeyPatch, alike: tuple[int, ...], answers: Any, sentence: str
) -> None:
    with pytest.raises(CutoverError, match=sentence) as raised:
        tried(monkeypatch, server(alike, **answers))
    assert isinstance(raised.value, RefusedError) is not sentence.startswith("^")


@pytest.mark.parametrize(("accepted", "quiet"), [(("rooms.k",), ()), ((), ("judge",))])
def test_nothing_is_tried_where_none_judges_or_losses_are_accepted(
    monkeypatch: pytest.MonkeyPatch, accepted: tuple[str, ...], quiet: tuple[str, ...]
) -> None:
    of = server()
    assert tried(monkeypatch, of, accepted, quiet=quiet) == []
    assert asked(cast(Session, of))[-1] == "deleting"


def test_only_triggers_that_fire_judge() -> None:
    answers = session({"reading the triggers": [("rooms", "judge"), ("rooms", "counts"), ("desks", "judge")]})
    quiet: Any = SimpleNamespace(triggers_to_disable=lambda table: ("judge",) if table == DESKS else ())
    assert judges_of(answers, quiet, [ROOMS, DESKS]) == {ROOMS: ["the trigger judge", "the trigger counts"]}
    assert judges_of(answers, quiet, []) == {}


def test_columns_that_triggers_may_set_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    for changed in ((), ("seen_at",)):
        of = server()
        tried(monkeypatch, of, changed=changed)
        [first, second] = [text for doing, text in of.texts if doing == COMPARING]
        assert first == second
        assert ("'name'" in first, "seen_at" in first) == (True, not changed)
