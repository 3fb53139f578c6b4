"""Schools with a uuid, a text, or the year and an id as their key."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.checks.integrity import check_integrity
from archiver.completeness import completeness
from archiver.estimate import sizes
from archiver.extract.many import extract_many
from archiver.extract.one import extract_one
from archiver.format.rows import CopyRows
from archiver.postgres import tenants
from archiver.runs import setup
from errors import UsageError
from inventory.keys import key_order, typed
from tests.cases.keyed import KEYED, Keyed
from tests.cases.products import run, standing
from tests.worlds import NewWorld, World

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
            "ALTER TABLE memberships DROP CONSTRAINT memberships_school_syear_school_id_fkey;"
            "ALTER TABLE rooms DROP CONSTRAINT rooms_school_syear_school_id_fkey;"
            "ALTER TABLE schools DROP CONSTRAINT schools_pkey; ALTER TABLE schools ADD UNIQUE (syear, id);"
            "ALTER TABLE schools ALTER COLUMN syear DROP NOT NULL; INSERT INTO schools VALUES (NULL, 8, 'lost')",
        )
        with setup.databases_of(world.environment, "test") as databases:
            problems = completeness.compare(databases).problems
            assert any("tenant/key: master.schools.syear may be NULL" in problem for problem in problems), problems
            with pytest.raises(UsageError, match="expected syear and id of a school, got '8'"):
                databases.key_typed("8")
            with pytest.raises(Exception, match="The school 'lost' has no syear: no command can name it"):
                tenants.every(databases.master, databases.model.tenant)


def _lines(rows: CopyRows) -> list[bytes]:
    return sorted(b"".join(rows.chunks()).splitlines())
