"""Refusals of a deletion whose numbers are others than those verified, and what counts as unchanged."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, TableName
from archiver.delete import returnable, unchanged, unchanged_set
from archiver.delete.delete import delete
from archiver.delete.delete_set import delete_set
from archiver.delete.returnable import orphans_of_set
from archiver.delete.truncate_reload import truncate_reload
from archiver.delete.unchanged import Stored, prove_shape, same_content
from archiver.format.manifest import Member
from archiver.postgres.account import DeletionAccount
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows, Selection
from archiver.postgres.session import SQL, Session
from archiver.records.archive_record import Record
from errors import RefusedError
from tests.answering import SCHOOLS, Answering, session
from tests.schemas import database

SCHEMA = Schema(tables=database(rooms="id", desks="id").tables, types={})


@dataclass(eq=False)
class Counting(Answering):
    """Changes these numbers of rows, by what a statement is for."""

    changes: dict[str, int] = field(default_factory=dict)

    def execute(self, query: object, args: Any = (), *, doing: str = "") -> int:
        """Return the number of rows for what a statement does."""
        self.rows(query, args, doing=doing)
        return self.changes.get(doing, 0)


def account(**changes: int) -> DeletionAccount:
    named = {name.replace("_", " "): rows for name, rows in changes.items()}
    return DeletionAccount(cast(Session, Counting({}, changes=named)), "Deleting", {}, {})


@pytest.mark.parametrize("deleted", [3, 2])
def test_sets_are_deleted_in_the_number_verified(deleted: int) -> None:
    expected = nullcontext() if deleted == 3 else pytest.raises(RefusedError, match="2 rows would be deleted, 3 were")
    with expected:
        delete_set(account(deleting_from_rooms=deleted), SCHEMA, {"rooms": 3}, lambda table, alias: SQL("true"))


@pytest.mark.parametrize("deleted", [3, 4])
def test_rows_are_deleted_in_the_number_verified(deleted: int) -> None:
    books = account(deleting_from_rooms=deleted)
    placement = Placement(sessions={MASTER: books.session}, schemas={MASTER: SCHEMA}, shard=MASTER, other_shards=())
    rows = SelectedRows(identity=("id",), columns=("id",), rows=[(1,), (2,), (3,)])
    to_delete = {TableName(MASTER, "rooms"): rows, TableName(MASTER, "desks"): replace(rows, rows=[])}
    model: Any = SimpleNamespace(of=lambda database: ())
    expected = nullcontext() if deleted == 3 else pytest.raises(RefusedError, match="4 rows would be deleted, 3 were")
    with expected:
        delete(placement, model, MASTER, to_delete, books)


STAY, BACK = "copying the rows of rooms that stay", "reloading rooms"


@pytest.mark.parametrize(
    ("staying", "reloaded", "retained", "refused"),
    [
        (5, 5, {"rooms": 5}, ""),
        (5, 5, None, ""),
        (4, 4, {"rooms": 5}, "Truncating rooms on shard_1 refused: 4 rows would stay, 5 expected"),
        (5, 4, None, "Reloading rooms on shard_1 refused: 4 of 5 rows inserted"),
    ],
)
def test_as_many_rows_come_back_as_stay(
    staying: int, reloaded: int, retained: dict[str, int] | None, refused: str
) -> None:
    books = DeletionAccount(cast(Session, Counting({}, changes={STAY: staying, BACK: reloaded})), "Deleting", {}, {})
    with pytest.raises(RefusedError, match=refused) if refused else nullcontext():
        truncate_reload(books, SCHEMA, ["rooms"], lambda table, alias: SQL("true"), retained)


@pytest.mark.parametrize(
    ("tables", "deciding", "with_parents"),
    [
        (["rooms", "desks"], "rooms", True),
        (["desks"], "rooms", False),  # the parents are deleted from, not emptied
        (["rooms", "desks"], "", False),
    ],
)
def test_rows_stay_with_their_parents_where_those_decide_and_are_set_aside(
    tables: list[str], deciding: str, with_parents: bool
) -> None:
    server = Counting({})
    truncate_reload(
        DeletionAccount(cast(Session, server), "Deleting", {}, {}),
        SCHEMA,
        tables,
        lambda table, alias: SQL("condition"),
        deciding_link=lambda table: (deciding, SQL("same")) if deciding and table == "desks" else None,
    )
    copying = dict(server.texts)["copying the rows of desks that stay"]
    assert ("SQL('same')" in copying, "SQL('condition')" in copying) == (with_parents, not with_parents)


def test_foreign_keys_come_back_with_their_comments() -> None:
    server = Counting(
        {"reading the foreign keys": [("desks", "k", "FOREIGN KEY …", None), ("pens", "l", "FOREIGN KEY …", "Why.")]}
    )
    truncate_reload(
        DeletionAccount(cast(Session, server), "Deleting", {}, {}), SCHEMA, ["rooms"], lambda *_: SQL("true")
    )
    doing = [what for what, _ in server.asked]
    assert doing[doing.index("recreating the foreign key k") :] == [
        "recreating the foreign key k",
        "recreating the foreign key l",
        "",  # its comment
    ]


MEMBER = Member(rows=2, bytes=6, sha256="of the archive")
ROOMS = TableName("shard", "rooms")


@pytest.mark.parametrize(
    ("now", "live", "same"),
    [
        (MEMBER, "a\nb\n", True),
        (replace(MEMBER, sha256="another"), "b\na\n", True),  # a run over many reads them in any order
        (replace(MEMBER, sha256="another"), "b\nc\n", False),
        (replace(MEMBER, rows=3), "a\nb\n", False),
        (replace(MEMBER, bytes=7, sha256="another"), "a\nb\n", False),
    ],
)
def test_rows_are_compared_by_digest_or_line_by_line(tmp_path: Path, now: Member, live: str, same: bool) -> None:
    path = tmp_path / "now.copy"
    path.write_text(live)
    record = cast(Record, SimpleNamespace(members={"shard/rooms.copy": MEMBER}))
    archive = SimpleNamespace(open=lambda member: BytesIO(b"a\nb\n"))
    stored = Stored(bucket=cast(Any, None), open=lambda record: nullcontext(cast(Any, archive)))
    assert same_content(record, ROOMS, now, path, stored) is same


def test_a_definition_that_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    placement = Placement(sessions={MASTER: session()}, schemas={MASTER: SCHEMA}, shard=MASTER, other_shards=())
    monkeypatch.setattr(unchanged, "read_schema", lambda session, tables: SCHEMA)
    prove_shape(placement)
    monkeypatch.setattr(unchanged, "read_schema", lambda session, tables: Schema(tables={}, types={}))
    with pytest.raises(RefusedError, match="a table's definition on shard_1 has changed"):
        prove_shape(placement)


@pytest.mark.parametrize(("rows", "written", "failed"), [(2, 0, False), (1, 0, True), (2, 1, True)])
def test_a_tenant_whose_rows_are_others_fails_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: int, written: int, failed: bool
) -> None:
    monkeypatch.setattr(unchanged_set, "_same_content", lambda *_: False)
    records = [
        cast(Record, SimpleNamespace(tenant_id=tenant, members={"shard/rooms.copy": MEMBER})) for tenant in (13, 14)
    ]
    sets: Any = SimpleNamespace(
        placement=SimpleNamespace(shard="shard_1"), model=SimpleNamespace(tenant=SimpleNamespace(noun="school"))
    )
    now: unchanged_set.Counts = {ROOMS: {13: (rows, written), 14: (2, 0)}}
    found = unchanged_set.changed(sets, now, records, tmp_path, cast(Stored, None))
    assert list(found) == ([13] if failed else [])


@pytest.mark.parametrize(
    ("oldest", "migrated", "written", "expected"),
    [("7", False, 0, {ROOMS: 5}), ("7", False, 1, None), ("7", True, 0, None), (None, False, 0, None)],
)
def test_a_table_that_none_wrote_to_is_proven_by_counting(
    monkeypatch: pytest.MonkeyPatch, oldest: str | None, migrated: bool, written: int, expected: Any
) -> None:
    monkeypatch.setattr("archiver.postgres.row_versions.oldest_trusted", lambda session, snapshots: oldest)
    monkeypatch.setattr(unchanged_set, "migrated_since", lambda session, oldest: bool(int(oldest)) and migrated)
    server = session({"checking shard.rooms for rows written since": [(5, written)]})
    assert unchanged_set.unwritten(server, [ROOMS], []) == expected


@pytest.mark.parametrize(
    ("rows", "written", "same", "refused"),
    [(2, 0, False, False), (1, 0, False, True), (2, 1, False, True), (2, 1, True, False)],
)
def test_rows_are_compared_if_their_number_or_a_version_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, rows: int, written: int, same: bool, refused: bool
) -> None:
    monkeypatch.setattr(unchanged, "spooled", lambda *_: MEMBER)
    monkeypatch.setattr(unchanged, "same_content", lambda *_: same)
    found = SelectedRows(identity=("id",), columns=("id",), rows=[(row,) for row in range(rows)], changed=written)
    record: Any = SimpleNamespace(tenant_id=13, members={"shard/rooms.copy": MEMBER})
    model: Any = SimpleNamespace(tenant=SCHOOLS)
    with (
        pytest.raises(RefusedError, match=r"rows changed since they were archived: shard\.rooms")
        if refused
        else nullcontext()
    ):
        unchanged.prove_unchanged(
            cast(Any, None),
            model,
            record,
            Selection(by_table={ROOMS: found}, values={}),
            (ROOMS,),
            tmp_path,
            cast(Any, None),
        )


def test_rows_that_could_not_come_back_are_not_deleted_unless_accepted() -> None:
    answers: dict[str, Any] = {
        "reading the foreign keys": [("rooms", "k", ["owner_id"], "public", "owners", ["id"])],
        "following k": [(3,)],
    }
    server = Answering(answers)
    placement: Any = SimpleNamespace(
        sessions={SHARD: server}, schemas={SHARD: Schema(tables=database(rooms="id").tables, types={})}
    )
    one, none = (SelectedRows(identity=("id",), columns=("id",), rows=rows) for rows in ([(1,)], []))
    rows = {ROOMS: one, TableName(SHARD, "desks"): none, TableName(MASTER, "schools"): one}
    assert returnable.orphans(placement, SHARD, rows, accepted=True) == {"rooms.k": 3}
    with pytest.raises(RefusedError, match=r"would not take them back: rooms\.k \(3\)"):
        returnable.orphans(placement, SHARD, rows, accepted=False)
    assert [args[1] for doing, args in server.asked if doing == "reading the foreign keys"] == [["rooms"]] * 2


def test_only_tables_that_lose_rows_are_asked_for_rows_that_could_not_come_back() -> None:
    server = Answering({})
    sets: Any = SimpleNamespace(placement=SimpleNamespace(sessions={SHARD: server}))
    desks = TableName(SHARD, "desks")
    model: Any = SimpleNamespace(of=lambda database: [ROOMS, desks])
    assert orphans_of_set(sets, model, SHARD, frozenset({desks})) == {}
    assert [args[1] for _, args in server.asked] == [["desks"]]
