"""The account of a transaction, by what the server counted before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from archiver.postgres.account import accounted, refuse_uncounted
from archiver.postgres.counters import Changes
from archiver.postgres.session import DatabaseError, Session
from errors import RefusedError
from tests.answering import Answering

COUNTERS = "reading the counters of all tables"
VISITS = "the trigger that counts visits may write there"


@dataclass(eq=False)
class Counting(Answering):
    """Answers with other counters each time that they are read."""

    counted: tuple[Any, ...] = ()  # by reading: the counters by table

    def rows(self, query: object, args: Any = (), *, doing: str = "") -> Any:
        """Return the next counters, or another answer."""
        if doing != COUNTERS:
            return super().rows(query, args, doing=doing)
        now, *rest = self.counted
        self.counted = (*rest, now)
        if isinstance(now, Exception):
            raise now
        return [(oid, 1, "public", name, *changes) for oid, (name, changes) in enumerate(now.items())]


def server(*counted: object, counts: str = "on") -> Session:
    answers = {"asking what the server counts": [(counts, "apangea")]}
    return cast(Session, Counting(answers, counted=counted))


def change(counted: tuple[int, int, int], declared: Changes, *, table: str = "visits") -> None:
    """A transaction that declares changes of users, and in which another table counts these."""
    before = {"users": (0, 0, 0), table: (5, 5, 5)}
    after = {
        "users": (declared.inserted, declared.updated, declared.deleted),
        table: tuple(map(sum, zip((5, 5, 5), counted, strict=True))),
    }
    with accounted(server(before, after), "Deleting", {"users": {"visits"}}) as account:
        account.declare("users", declared)


DELETED = Changes(deleted=2)


@pytest.mark.parametrize(
    ("counted", "declared", "table"),
    [
        ((0, 0, 0), DELETED, "visits"),
        ((2, 1, 0), DELETED, "visits"),  # the trigger of users may insert and update
        ((0, 0, 0), DELETED, "rooms"),
    ],
)
def test_what_was_declared_and_what_a_trigger_may_write_is_accepted(
    counted: tuple[int, int, int], declared: Changes, table: str
) -> None:
    change(counted, declared, table=table)


@pytest.mark.parametrize(
    ("counted", "declared", "table"),
    [
        ((0, 0, 1), DELETED, "visits"),  # it may not delete
        ((-1, 0, 0), DELETED, "visits"),
        ((0, -1, 0), DELETED, "visits"),
        ((1, 0, 0), DELETED, "rooms"),  # nor write to another table
        ((1, 0, 0), Changes(), "visits"),  # nor fire where no row changed
    ],
)
def test_any_other_change_is_refused(counted: tuple[int, int, int], declared: Changes, table: str) -> None:
    with pytest.raises(RefusedError, match=rf"Deleting on shard_1 refused: .*: {table} \("):
        change(counted, declared, table=table)


def test_a_server_that_does_not_count_or_does_not_show_it_is_refused_at_the_beginning() -> None:
    refuse_uncounted(server({}), "Deleting")
    with pytest.raises(RefusedError, match="track_counts is off"):
        refuse_uncounted(server({}, counts="off"), "Deleting")
    with pytest.raises(RefusedError, match="may not read the server's counters") as refused:
        refuse_uncounted(server(DatabaseError("permission denied", code="42501")), "Deleting")
    assert refused.value.hint.endswith("TO apangea;")
    with pytest.raises(DatabaseError, match="gone"):
        refuse_uncounted(server(DatabaseError("gone", code="57P01")), "Deleting")
