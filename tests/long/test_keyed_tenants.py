"""Schools with a uuid, a text, or the year and an id as their key."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from archiver.catalog.model import Part
from archiver.checks.integrity import check_integrity
from archiver.completeness import completeness
from archiver.delete import strategy
from archiver.estimate import sizes
from archiver.extract.many import extract_many
from archiver.extract.one import extract_one
from archiver.format.rows import CopyRows
from archiver.kinds import registry
from archiver.postgres import tenants
from archiver.postgres.tenants import TenantFilter
from archiver.records import archive_record, audit_log, holds, id_index, resolve
from archiver.records.tenant_lists import exclusion, inclusion
from archiver.runs import one_by_one, setup
from archiver.runs.reverify import reverify
from errors import ExitCode, LockedError, Problems, RefusedError, UsageError
from inventory.keys import key_order, listed, typed
from inventory.model import Fence
from runbooks.cli import call
from tests import oracle
from tests.cases.keyed import KEYED, Keyed
from tests.cases.products import run, standing
from tests.inside import inv_inside
from tests.months import archive_months, restore_months
from tests.worlds import NewWorld, World, drop, same

YEAR = 2013


@pytest.fixture(params=list(KEYED.values()), ids=list(KEYED))
def keyed(request: pytest.FixtureRequest) -> Keyed:
    """The products, one after the other."""
    of_kind: Keyed = request.param
    return of_kind


@pytest.fixture
def world(new_world: NewWorld, tmp_path: Path, keyed: Keyed) -> Iterator[World]:
    """Databases in which such a product stands."""
    with standing(new_world, tmp_path, keyed.product) as world:
        yield world


def test_a_typed_word_is_the_key_of_its_school(world: World, keyed: Keyed) -> None:
    with setup.databases_of(world.environment, "test") as databases:
        live = tenants.every(databases.master, databases.model.tenant)
        assert [each.id for each in live] == sorted(keyed.keys, key=key_order)
        for number, key in enumerate(keyed.keys, start=1):
            [word] = shlex.split(typed(key))
            assert databases.key_typed(word) == key
            found = tenants.tenant(databases.master, databases.model.tenant, key)
            assert found is not None and (found.id, found.name) == (key, f"school {number}")
        assert tenants.unknown(databases.master, databases.model.tenant, keyed.keys) == []


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("uuid", "abc"),
        ("uuid", "13"),
        ("year and id", "0042"),
        ("year and id", "2013-a-b"),
        ("year and id", "x-0042"),
        ("year and id", "99999999-0042"),
        ("two numbers", "2013-"),
        ("two numbers", '["2013"]'),
    ],
)
def test_a_word_that_is_no_key_is_refused_with_an_example(
    new_world: NewWorld, tmp_path: Path, kind: str, word: str
) -> None:
    of_kind = KEYED[kind]
    with (
        standing(new_world, tmp_path, of_kind.product) as world,
        setup.databases_of(world.environment, "t") as databases,
    ):
        with pytest.raises(UsageError, match=r"^school: expected ") as refused:
            databases.key_typed(word)
        names = " and ".join(name for name, _ in of_kind.columns)
        assert str(refused.value) == f"school: expected {names} of a school, got {word!r}."
        assert refused.value.hint == f"Example: {typed(min(of_kind.keys, key=key_order))}"


def test_many_are_read_in_a_pass_as_each_is_read_alone(world: World, tmp_path: Path) -> None:
    with setup.databases_of(world.environment, "test") as databases, (tmp_path / "rows").open("w+b") as file:
        placement, model = databases.placement("shard_1"), databases.model
        live = tenants.every(databases.master, model.tenant)
        for together in extract_many(placement, model, live, YEAR, file, 1 << 20):
            folder = tmp_path / str(live.index(together.tenant))
            folder.mkdir()
            alone = extract_one(placement, model, together.tenant, YEAR, folder)
            assert {name: _lines(rows) for name, rows in together.rows.items()} == {
                name: _lines(rows) for name, rows in alone.rows.items()
            }
            assert {name: member.rows for name, member in alone.manifest.members.items()} == {
                "master/schools.copy": 1,
                "master/rooms.copy": 2,
                "master/memberships.copy": 2,
                "master/users.copy": 2,
                "master/desks.copy": 1,
                "master/stickers.copy": 1,
                "shard/visits.copy": 2,
                "shard/notes.copy": 4,
            }


def test_the_catalog_is_complete_and_the_rows_are_whole(world: World, keyed: Keyed) -> None:
    with setup.databases_of(world.environment, "test") as databases:
        completeness.prove_complete(databases)
        [shared] = check_integrity(databases)
        assert (str(shared.table), shared.rows, shared.refused) == ("master.users", 1, "")
        found = sizes.read(databases).tenants
        assert {each.tenant.id for each in found} == set(keyed.keys)


@pytest.mark.parametrize("kind", ["two numbers"])
def test_a_school_in_no_year_is_refused_by_its_name(new_world: NewWorld, tmp_path: Path, kind: str) -> None:
    with standing(new_world, tmp_path, KEYED[kind].product) as world:
        run(
            world,
            "master",
            "ALTER TABLE schools DROP CONSTRAINT schools_pkey CASCADE; ALTER TABLE schools ADD UNIQUE (syear, id);"
            "ALTER TABLE schools ALTER COLUMN syear DROP NOT NULL; INSERT INTO schools VALUES (NULL, 8, 'lost')",
        )
        with setup.databases_of(world.environment, "test") as databases:
            problems = completeness.compare(databases).problems
            assert any("tenant/key: master.schools.syear may be NULL" in problem for problem in problems), problems
            with pytest.raises(UsageError, match="expected syear and id of a school, got '8'"):
                databases.key_typed("8")
            with pytest.raises(RefusedError, match="The school 'lost' has no syear: no command can name it"):
                tenants.every(databases.master, databases.model.tenant)


def test_each_is_archived_alone_and_comes_back_as_it_was(world: World, keyed: Keyed) -> None:
    before = oracle.snapshot(world.dsns)
    for number, key in enumerate(keyed.keys, start=1):
        world.archive(key)
        assert _left(world) == _without(keyed, {number}), key
        world.restore(key)
        same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("emptied", [False, True], ids=["by DELETE", "truncated and reloaded"])
def test_many_are_deleted_as_a_set_and_come_back_as_they_were(
    world: World, keyed: Keyed, monkeypatch: pytest.MonkeyPatch, *, emptied: bool
) -> None:
    monkeypatch.setattr(one_by_one, "FEW", 1000)
    before, strategies = oracle.snapshot(world.dsns), list[str]()
    monkeypatch.setattr(strategy, "MOST", 0.0 if emptied else 2.0)
    going = keyed.keys[1:]

    outcomes = world.archive_together(*going, on_strategy=strategies.append)

    assert [each.item for each in outcomes if each.error] == []
    assert any("truncat" in said for said in strategies) is emptied, strategies
    assert _left(world) == _without(keyed, {keyed.keys.index(key) + 1 for key in going})
    world.restore(*going)
    same(before, oracle.snapshot(world.dsns))


def test_a_month_of_each_goes_and_comes_back(world: World, keyed: Keyed) -> None:
    before = oracle.snapshot(world.dsns)
    shards = archive_months(world, date(2014, 6, 5))
    assert sum(shard.tenants for shard in shards) == len(keyed.keys)
    assert run(world, "shard_1", "SELECT count(*) FROM visits") == [(len(keyed.keys),)]
    for key in keyed.keys:
        restore_months(world, "2014-04", key)
    same(before, oracle.snapshot(world.dsns))
    with world.archiver() as archiver:
        assert sorted(holds.release(archiver.databases.master), key=key_order) == sorted(keyed.keys, key=key_order)


def test_a_school_is_archived_with_its_month_and_both_come_back(world: World, keyed: Keyed) -> None:
    before = oracle.snapshot(world.dsns)
    archive_months(world, date(2014, 6, 5))
    world.archive(keyed.keys[1])
    world.restore(keyed.keys[1])
    restore_months(world, "2014-04")
    same(before, oracle.snapshot(world.dsns))


def test_an_archive_is_shown_logged_and_dropped_by_its_key(world: World, keyed: Keyed) -> None:
    world.archive(*keyed.keys[:2])
    with world.archiver() as archiver:
        master = archiver.databases.master
        record = resolve.one_to_show(archiver.databases, keyed.keys[0], YEAR)
        assert [entry.tenant_id for entry in audit_log.entries(master, keyed.keys[0])] == [keyed.keys[0]]
        assert not drop(archiver, record).unreferenced
        with pytest.raises(UsageError, match="is not archived") as refused:
            resolve.one_to_show(archiver.databases, keyed.keys[0], YEAR)
        assert str(keyed.keys[0]) in str(refused.value)
        assert resolve.one_to_show(archiver.databases, keyed.keys[1], YEAR).tenant_id == keyed.keys[1]


def test_the_archives_of_a_school_are_found_by_its_key(world: World, keyed: Keyed) -> None:
    world.archive(*keyed.keys[:2])
    with world.archiver() as archiver:
        table = resolve.table_with_ids(archiver.databases, "school")
        for key, number in ((keyed.keys[0], 1), (keyed.keys[-1], 1 if len(keyed.keys) == 2 else 0)):
            found = resolve.holders(archiver.databases, table, key)
            assert [record.tenant_id for record in found] == [key] * number
        [of_room] = resolve.holders(archiver.databases, resolve.table_with_ids(archiver.databases, "room"), 21)
        assert of_room.tenant_id == keyed.keys[1]
        assert resolve.holders(archiver.databases, "desks", keyed.keys[0]) == ()


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in sets"])
def test_a_row_with_any_key_is_found_by_it(
    world: World, keyed: Keyed, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    monkeypatch.setattr(one_by_one, "FEW", 1000)
    act = world.archive_together if together else world.archive
    act(*keyed.keys)
    with world.archiver() as archiver:
        databases, master = archiver.databases, archiver.databases.master
        assert resolve.table_with_ids(databases, "desk") == "desks"
        for number, key in enumerate(keyed.keys, start=1):
            [word] = shlex.split(typed(keyed.desk(number)))
            desk = databases.row_typed("desk", "desks", word)
            assert desk == keyed.desk(number)
            assert [record.tenant_id for record in resolve.holders(databases, "desks", desk)] == [key]
        written = _index(world)
        master.execute("DELETE FROM archiver.ids WHERE table_name = 'desks'")
        assert {record.tenant_id for record in id_index.missing(master, "desks")} == {*keyed.keys}
        records = registry.openable(master, YEAR)
        assert [each.error for each in reverify(archiver, records, lambda outcome: None)] == [None] * len(records)
        assert id_index.missing(master, "desks") == ()
    assert _index(world) == written


def _index(world: World) -> list[tuple[object, ...]]:
    """Return the index of ids, whatever the order within a table."""
    query = "SELECT record_id, table_name, unnest(ids::text[] || keys) FROM archiver.ids ORDER BY 1, 2, 3"
    return run(world, "master", query)


@pytest.mark.parametrize("noun", ["desk", "user"])
def test_a_part_with_any_key_comes_back_alone_and_then_the_rest(world: World, keyed: Keyed, noun: str) -> None:
    before, each = oracle.snapshot(world.dsns), len(keyed.keys)
    world.archive(*keyed.keys)
    for number, key in enumerate(keyed.keys, start=1):
        world.restore(key, only=Part(noun, keyed.desk(number) if noun == "desk" else number))
    counts = ", ".join(f"(SELECT count(*) FROM {name})" for name in ("schools", "desks", "stickers", "memberships"))
    assert run(world, "master", f"SELECT {counts}") == [(each, each, each, 0) if noun == "desk" else (each, 0, 0, each)]
    assert run(world, "master", "SELECT count(*) FROM rooms") == [(0,)]
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, keyed.keys[0])
        assert record.partial == (Part(noun, keyed.desk(1) if noun == "desk" else 1),)
    world.restore(*keyed.keys)
    same(before, oracle.snapshot(world.dsns))


def test_the_schools_of_a_customer_are_archived_listed_and_restored_by_any_key(world: World, keyed: Keyed) -> None:
    before, chosen = oracle.snapshot(world.dsns), keyed.customers[1]
    owned = {key: keyed.customer_of(number) for number, key in enumerate(keyed.keys, start=1)}
    world.archive(*keyed.keys)
    with world.archiver() as archiver:
        databases, master = archiver.databases, archiver.databases.master
        for customer in {each for each in owned.values() if each is not None}:
            [word] = shlex.split(typed(customer))
            assert databases.customer_typed(word) == customer
            records = resolve.customers_to_restore(databases, customer, YEAR)
            assert {each.tenant_id for each in records} == {key for key, of_it in owned.items() if of_it == customer}
            world.restore(*[each.tenant_id for each in records])
        assert [each.customer_id for each in archive_record.of_year(master, YEAR)] == [None]
    world.restore(keyed.keys[-1])
    same(before, oracle.snapshot(world.dsns))

    with world.archiver() as archiver:
        databases, word = archiver.databases, f"customer {listed(chosen)}"
        live = {each.id for each in resolve.customers_to_archive(databases, chosen, YEAR)}
        assert live == {key for key, of_it in owned.items() if of_it == chosen}
        without = TenantFilter(exclude=exclusion([(1, word)], "list.txt"))
        assert {each.id for each in resolve.all_to_archive(databases, YEAR, without)} == {*keyed.keys} - live
        only = TenantFilter(only=inclusion([(1, f"{word}: closed")], "list.txt"))
        if live:
            assert {each.id for each in resolve.all_to_archive(databases, YEAR, only)} == live
        with pytest.raises(Problems, match="which does not exist"):
            unknown = TenantFilter(exclude=exclusion([(1, 'customer "no, one"')], "list.txt"))
            resolve.all_to_archive(databases, YEAR, unknown)


def test_schools_move_to_another_shard_and_back(world: World, keyed: Keyed, tmp_path: Path) -> None:
    before, told = oracle.snapshot(world.dsns), tmp_path / "told"
    fence = Fence(close=f"printf 'closed:%s;' {{id}} >> {told}", open=f"printf 'open:%s;' {{id}} >> {told}")
    world = replace(world, environment=replace(world.environment, fence=fence))
    world.move_all("merge", "shard_1", "shard_2", only=keyed.keys[:1])
    assert told.read_text() == f"closed:{keyed.keys[0]};open:{keyed.keys[0]};"
    moved = run(world, "master", "SELECT name FROM schools WHERE shard = 'shard_2'")
    assert moved == [("school 1",)]
    world.archive(keyed.keys[0])
    world.restore(keyed.keys[0])
    assert run(world, "shard_2", "SELECT count(*) FROM notes") == [(4,)]
    world.move_all("split", "shard_2", "shard_1", only=keyed.keys[:1])
    same(before, oracle.snapshot(world.dsns))


def test_two_operators_do_not_work_on_one_school_and_do_on_two(world: World, keyed: Keyed) -> None:
    with (
        world.archiver("archive.school one") as first,
        world.archiver("archive.school other") as other,
        first.databases.tenant_lock(keyed.keys[0], "shard_1"),
    ):
        with other.databases.tenant_lock(keyed.keys[1], "shard_1"):
            pass
        lock = other.databases.tenant_lock(keyed.keys[0], "shard_1")
        with pytest.raises(LockedError, match=r"archive\.school one"), lock:
            pass


def test_a_list_leaves_schools_out_by_the_words_for_their_keys(world: World, keyed: Keyed) -> None:
    lines = [(number, listed(key)) for number, key in enumerate(keyed.keys[1:], start=1)]
    chosen = TenantFilter(exclude=exclusion(lines, "list.txt"))
    with world.archiver() as archiver:
        live = resolve.all_to_archive(archiver.databases, YEAR, chosen)
        assert [each.id for each in live] == [keyed.keys[0]]
        other = TenantFilter(exclude=exclusion([(1, "2013-9999")], "list.txt"))
        with pytest.raises(Problems) as refused:
            resolve.all_to_archive(archiver.databases, YEAR, other)
        assert refused.value.problems == ("The exclusion names school 2013-9999, which does not exist.",)


def _left(world: World) -> dict[str, set[object]]:
    """Return the live rows: the schools' names, and the ids of the others' rows."""
    read = {
        "schools": ("master", "SELECT name FROM schools"),
        "rooms": ("master", "SELECT id FROM rooms"),
        "users": ("master", "SELECT id FROM users"),
        "visits": ("shard_1", "SELECT id FROM visits"),
        "notes": ("shard_1", "SELECT id FROM notes"),
    }
    return {name: {row[0] for row in run(world, database, query)} for name, (database, query) in read.items()}


def _without(keyed: Keyed, gone: set[int]) -> dict[str, set[object]]:
    """Return the rows that are live without these schools, by their numbers; the user of all stays to the last."""
    live = [number for number in range(1, len(keyed.keys) + 1) if number not in gone]
    visits = [number * 10 + day for number in live for day in (1, 6)]
    return {
        "schools": {f"school {number}" for number in live},
        "rooms": {number * 10 + room for number in live for room in (1, 2)},
        "users": {0, *live} if live else set(),
        "visits": {*visits},
        "notes": {visit * 10 + place for visit in visits for place in (1, 2)},
    }


def _lines(rows: CopyRows) -> list[bytes]:
    return sorted(b"".join(rows.chunks()).splitlines())


def test_an_operator_types_the_year_and_the_id(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with standing(new_world, tmp_path, KEYED["year and id"].product) as world:
        monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: world.environment)
        inv = partial(inv_inside, capsys)

        wrong = inv("archive.school", "0042", "--here")
        assert (wrong.code, wrong.out) == (ExitCode.USAGE, "")
        assert "school: expected syear and id of a school, got '0042'.\nhint: Example: 2012-0042" in wrong.err

        for word in ("2013-0042", '["2013","a-b"]'):
            out = inv("archive.school", word, "--here", "--date=2013-09-01")
            assert (out.code, out.err) == (ExitCode.DONE, ""), out
        assert run(world, "master", "SELECT syear, id FROM schools ORDER BY 1, 2") == [(2012, "0042"), (2013, "42")]
        [listed_json] = inv("archive.list", "--json", "--name=school 2").out.splitlines()
        assert json.loads(listed_json)["tenant_id"] == [2013, "0042"]
        again = inv("archive.school", '["2013","a-b"]', "--here", "--date=2013-09-01")
        assert again.code == ExitCode.USAGE
        assert """inv restore.school '[2013,"a-b"]' brings it back""" in again.err
        assert "school 2013-0042 of 2013: archived" in inv("archive.find", "school", "2013-0042").out
        assert inv("restore.school", "2013-0042", "--here").code == ExitCode.DONE
        assert inv("restore.school", '[2013,"a-b"]', "--here").code == ExitCode.DONE
