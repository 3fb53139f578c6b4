"""Members on their way into tables: what is read is what was archived, and values compare as the server compares."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import SHARD, TableName
from archiver.format.manifest import Member
from archiver.load import fit, row_values, sent, staging, subset
from archiver.load.load import IncomingArchive
from archiver.load.relocate import relocated
from archiver.load.sequences import archived_numbers
from archiver.postgres.schema import Schema
from archiver.postgres.session import SQL, DatabaseError, Identifier
from archiver.records.placement_history import Relocation
from archiver.runs import restore_plan
from archiver.verify import verify
from errors import DamagedError, RefusedError, UsageError
from tests.answering import SCHOOLS, Answering, master_of
from tests.schemas import database

ROOMS = TableName(SHARD, "rooms")
TEXT = b"1\ta\n2\tb\n"
MEMBER = Member(rows=2, bytes=len(TEXT), sha256=hashlib.sha256(TEXT).hexdigest())


class Server(Answering):
    """Reads what is copied in, and gives back these bytes."""

    back = TEXT

    def copy_in(self, target: object, source: Any, *, doing: str) -> int:
        """Read all of it; return the number of lines."""
        text = b""
        while data := source.read(4):
            text += data
        return text.count(b"\n")

    def copy_out(self, query: object, sink: Any, *, doing: str) -> int:
        """Write what the table holds, a line at a time."""
        for line in self.back.splitlines(keepends=True):
            sink.write(line)
        return self.back.count(b"\n")


def archive(text: bytes = TEXT) -> Any:
    manifest = SimpleNamespace(members={"shard/rooms.copy": MEMBER}, tenant_id=13)
    return SimpleNamespace(name="a.tar.gz", manifest=manifest, open=lambda member: BytesIO(text))


def mapping(**more: Any) -> Any:
    [shape] = database(rooms="id, name text").tables.values()
    return SimpleNamespace(**({"source": ROOMS, "target": ROOMS, "archived": shape, "doubts": ()} | more))


@pytest.fixture(autouse=True)
def without_money(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sent, verify):
        monkeypatch.setattr(module, "read_as_written", lambda *_: None)


def test_a_member_that_changed_after_it_was_opened_is_not_loaded() -> None:
    server: Any = Server({})
    assert sent.send(server, SQL("rooms"), archive(), ROOMS, doing="") == 2
    with pytest.raises(DamagedError, match=r"the member shard/rooms\.copy changed after it was opened"):
        sent.send(server, SQL("rooms"), archive(TEXT.replace(b"b", b"c")), ROOMS, doing="")


@pytest.mark.parametrize(("back", "refused"), [(TEXT, False), (TEXT.replace(b"b", b"B"), True)])
def test_values_that_the_server_reads_as_others_are_not_loaded(back: bytes, refused: bool) -> None:
    server: Any = Server({})
    server.back = back
    sentence = r"Loading shard\.rooms on shard_1 refused: the server reads values of the archive as others"
    with pytest.raises(RefusedError, match=sentence) if refused else nullcontext():
        assert staging._unchanged(server, mapping(), archive(), "stage 0") == (2, {})


@pytest.mark.parametrize(("back", "refused"), [(b"0\t1\ta\n0\t2\tb\n", False), (b"13\t1\ta\n13\t2\tB\n", True)])
def test_an_archive_that_is_read_back_as_another_is_not_verified(back: bytes, refused: bool) -> None:
    server: Any = Server({})
    server.back = back
    scratch: Any = SimpleNamespace(session=server)
    with pytest.raises(RefusedError, match=r"Verifying shard\.rooms failed") if refused else nullcontext():
        verify.load_scratch([archive()], ROOMS, mapping().archived, SQL("rooms"), scratch)


@pytest.mark.parametrize(("broken", "refused"), [(0, False), (3, True)])
def test_an_archive_with_rows_that_break_a_rule_is_not_verified(
    monkeypatch: pytest.MonkeyPatch, broken: int, refused: bool
) -> None:
    rule = SimpleNamespace(table=ROOMS, rule="each has a school", broken=SQL("broken"))
    monkeypatch.setattr(verify, "row_rules", lambda *_: [rule])
    schema: Any = SimpleNamespace(tables={})
    scratch: Any = SimpleNamespace(
        empty=lambda schema: nullcontext({}), session=Answering({"verifying shard.rooms": [(broken,)]})
    )
    of_one: Any = SimpleNamespace(manifest=SimpleNamespace(schemas={SHARD: schema}))
    sentence = r"Verifying shard\.rooms failed: each has a school \(3\)"
    with pytest.raises(RefusedError, match=sentence) if refused else nullcontext():
        verify._prove([of_one], scratch, cast(Any, None))


@pytest.mark.parametrize(("code", "blamed"), [("22P02", True), ("42703", True), ("57P01", False)])
def test_an_error_of_an_expression_blames_the_migration(code: str, blamed: bool) -> None:
    failed = pytest.raises(UsageError if blamed else DatabaseError, match="failed")
    with failed, staging._blaming_the_migration(mapping()):
        raise DatabaseError("It failed.", code=code)


def test_a_check_of_rows_makes_its_own_function_if_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_copy_in_as_text", lambda *_: 2)
    server = Answering({"checking the rows of shard.rooms": [(1, 0)]})
    doubts = [
        SimpleNamespace(function=function, misfit=SQL("true"), sentence=lambda rows: f"{rows} rows")
        for function in (None, SQL("CREATE FUNCTION"))
    ]
    assert staging.misfits(cast(Any, server), mapping(doubts=doubts, rows=SQL("rows")), archive()) == ["1 rows"]
    assert [doing for doing, _ in server.asked] == ["", "checking the rows of shard.rooms"]


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("numeric(5,2)", "trim_scale"),
        ("integer", "trim_scale"),
        ("integer[]", "SQL('::text')"),
        ("double precision", " + 0)::text"),
        ("text", "SQL('::text')"),
    ],
)
def test_values_are_compared_as_text_without_what_equal_ones_may_differ_in(kind: str, sql: str) -> None:
    [shape] = database(rooms="id").tables.values()
    typed = shape.__class__(**(vars(shape) | {"columns": tuple(_typed(column, kind) for column in shape.columns)}))
    assert sql in repr(row_values._value(Schema(tables={"rooms": typed}, types={}), "rooms", "id", Identifier("id")))


def _typed(column: Any, kind: str) -> Any:
    return column.__class__(**(vars(column) | {"type": kind}))


def test_the_numbers_of_a_manifest_are_those_of_live_columns() -> None:
    of_rooms = mapping(source=TableName(SHARD, "old"), shape=mapping().archived, origins={"id": "number", "name": None})
    found = archived_numbers(cast(Any, SimpleNamespace(tables=(of_rooms,))), {"shard.old.number": 7})
    assert found == {("rooms", "id"): (7, 7)}


def test_only_filled_tables_are_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(fit, "compare", lambda *args: asked.append(args[-1]))
    monkeypatch.setattr(fit, "today", lambda *_: None)
    schema = Schema(tables=database(rooms="id", desks="id").tables, types={})
    members = {"shard/rooms.copy": MEMBER, "shard/desks.copy": Member(rows=0, bytes=0, sha256="")}
    manifest: Any = SimpleNamespace(members=members, schemas={SHARD: schema})
    placement: Any = SimpleNamespace(sessions={SHARD: None}, schemas={SHARD: schema}, migrations=())
    fit.mapped(placement, manifest)
    assert asked == [["rooms"]]


def test_an_archive_whose_ids_would_be_given_out_again_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "mapped", lambda *_: {})
    monkeypatch.setattr(fit, "refuse", lambda *_: None)
    monkeypatch.setattr(fit, "sequences_too_low", lambda *_: [RefusedError("It would give ids twice.")])
    with pytest.raises(RefusedError, match="ids twice"):
        fit.fitting(cast(Any, None), archive())


def test_a_part_is_a_smaller_archive_of_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subset, "rows_of_part", lambda *_: [{}, {}])
    monkeypatch.setattr(subset, "smaller", lambda archive, rows, work: nullcontext(f"smaller {archive} in {work.name}"))
    none: Any = None
    both = [
        IncomingArchive(placement=none, model=none, archive=cast(Any, name), mappings={}) for name in ("year", "month")
    ]
    with subset.only_part(both, cast(Any, "a part"), tmp_path) as parts:
        assert [str(each.archive) for each in parts] == ["smaller year in part-0", "smaller month in part-1"]


def test_a_tenant_that_was_relocated_names_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    schools: Any = SimpleNamespace(shape=SimpleNamespace(type_of=lambda column: "text"))
    mappings: Any = {"master": SimpleNamespace(by_target={"schools": schools}), SHARD: None}
    monkeypatch.setattr("archiver.load.relocate._replaced", lambda mapping, values: values)
    monkeypatch.setattr("archiver.load.relocate.renumbered", lambda *_: "renumbered")
    model: Any = SimpleNamespace(tenant=SCHOOLS, root=SimpleNamespace(table="schools"))
    relocation = Relocation(source="shard_1", target="shard_2", offsets=(), turn=1)
    found: Any = relocated(mappings, model, {SHARD: cast(Any, None)}, (relocation,))
    assert "shard_2" in repr(found["master"]["schools"]["shard"])


@pytest.mark.parametrize(
    ("partial", "live", "kept", "retained"),
    [
        ((), {}, {"shard.rooms": 1}, {"shard.rooms": 1}),
        ((), {13: "shard_1"}, {}, None),  # another archive of the tenant was restored
        ((), {13: "shard_1"}, {"master.schools": 1}, {"master.schools": 1}),  # its own row never went
        (("a part",), {}, {}, None),
    ],
)
def test_a_plan_knows_of_which_tables_rows_are_live(partial: Any, live: Any, kept: Any, retained: Any) -> None:
    model = SimpleNamespace(tenant=SCHOOLS, root="master.schools")
    incoming: Any = SimpleNamespace(model=model, placement=SimpleNamespace(master=_looking(live)))
    record: Any = SimpleNamespace(tenant_id=13, partial=partial, kept=kept)
    assert restore_plan._retained(incoming, record) == retained


def _looking(live: dict[int, str]) -> Any:
    master: Any = master_of(live)
    return Answering({**master.answers, "looking for schools": [(number,) for number in live]})
