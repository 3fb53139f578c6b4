"""Constraints that a migration adds and archived rows violate: reported by name before a restore tries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.checks.stored_schemas import check_stored
from archiver.runs.restore_plan import RestorePlan
from errors import CutoverError, RefusedError, UsageError
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests.cases.small_product import OF_SCHOOL, Products, catalog
from tests.worlds import World, sql

# By table: the table with the rows of the one school that has some there, and what comes when it is out.
FORBIDDEN = {
    "emails": (
        "CREATE TABLE emails (id integer PRIMARY KEY, school_id integer REFERENCES schools, held text);"
        "INSERT INTO emails VALUES (1, {0}, NULL)",
        "ALTER TABLE emails ADD CHECK (held IS NOT NULL)",
    ),
    "bookings": (
        "CREATE TABLE bookings (id integer PRIMARY KEY, school_id integer REFERENCES schools, held int4range);"
        "INSERT INTO bookings VALUES (1, {0}, '[1,5)'), (2, {0}, '[2,6)')",
        "ALTER TABLE bookings ADD EXCLUDE USING gist (held WITH &&)",
    ),
    "nicknames": (
        "CREATE TABLE nicknames (id integer PRIMARY KEY, school_id integer REFERENCES schools, held text);"
        "INSERT INTO nicknames VALUES (1, {0}, 'same'), (2, {0}, 'same')",
        "CREATE UNIQUE INDEX ON nicknames (held)",
    ),
    "badges": (
        "CREATE TABLE badges (id integer PRIMARY KEY, school_id integer REFERENCES schools, held text);"
        "INSERT INTO badges VALUES (1, {0}, NULL)",
        "CREATE UNIQUE INDEX ON badges (held) NULLS NOT DISTINCT; INSERT INTO badges VALUES (9, 2, NULL)",
    ),
    "lessons": (
        "CREATE TABLE lessons (id integer, school_id integer REFERENCES schools, held date, PRIMARY KEY (id, held))"
        " PARTITION BY RANGE (held);"
        "CREATE TABLE lessons_2013 PARTITION OF lessons FOR VALUES FROM ('2013-01-01') TO ('2014-01-01');"
        "INSERT INTO lessons VALUES (1, {0}, '2013-02-01')",
        "DROP TABLE lessons_2013",
    ),
}
NUMBERS = {name: number for number, name in enumerate(FORBIDDEN, 11)}  # of the schools


@dataclass(frozen=True, kw_only=True)
class Told:
    """Findings on the archives after the migrations."""

    checked: str  # by archive.check-stored: problems and doubts
    plans: dict[str, RestorePlan]  # by the table that forbids it
    refusals: dict[str, CutoverError]  # of the restore


@pytest.fixture(scope="module")
def told(cluster: Cluster, store_server: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Schools with rows in one table each go out, migrations come, and each is to come back."""
    folder = tmp_path_factory.mktemp("catalogs")
    products = Products(cluster=cluster, store=store_server, folder=folder)
    tables = catalog(**dict.fromkeys(FORBIDDEN, OF_SCHOOL))
    with products.product(script(), tables) as product, product.by_one_worker() as world:
        world.archive(*NUMBERS.values())
        with sql(world, "master") as cursor:
            cursor.execute(";".join(change for _, change in FORBIDDEN.values()))
        yield Told(
            checked=check(world, folder),
            plans={name: world.plan(school) for name, school in NUMBERS.items()},
            refusals={name: refusal(world, school) for name, school in NUMBERS.items()},
        )


def script() -> str:
    schools = "".join(f"INSERT INTO schools VALUES ({school}, 's');" for school in NUMBERS.values())
    return schools + ";".join(text.format(NUMBERS[name]) for name, (text, _) in FORBIDDEN.items())


def check(world: World, folder: Path) -> str:
    with world.archiver() as archiver:
        archiver.databases.forget_schemas()  # as in a command of its own
        return str([(one.problems, one.doubts) for one in check_stored(archiver.databases, archiver.schemas, folder)])


def refusal(world: World, school: int) -> CutoverError:
    with pytest.raises(CutoverError) as caught:
        world.restore(school)
    return caught.value


@pytest.mark.parametrize("table", FORBIDDEN)
def test_a_later_constraint_is_detected_from_the_schemas_alone(told: Told, table: str) -> None:
    assert table in told.checked


@pytest.mark.parametrize("table", FORBIDDEN)
def test_the_plan_names_the_table_whose_constraint_forbids_archived_rows(told: Told, table: str) -> None:
    plan = told.plans[table]

    assert plan.refused
    assert any(table in str(one) for one in (*plan.problems, *plan.comparison.refusals))


@pytest.mark.parametrize("table", FORBIDDEN)
def test_a_restore_that_a_constraint_forbids_is_refused_with_what_to_do(told: Told, table: str) -> None:
    refusal = told.refusals[table]

    assert isinstance(refusal, RefusedError | UsageError)
    assert table in str(refusal)
    assert refusal.hint
