"""A product of a few rows in databases of its own, and the promise that every archived row can be restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
import pytest

from errors import CutoverError
from tests import oracle
from tests.worlds import NewWorld, World, same

EMPTY = "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
SCHOOLS = """
CREATE TABLE schools (id integer PRIMARY KEY, name text);
INSERT INTO schools VALUES (1, 'a'), (2, 'b');
"""


@dataclass(frozen=True, kw_only=True)
class Product:
    """The tables and rows of its databases, and their catalog; further databases are shards."""

    tables: str  # SQL, for master
    catalog: str
    shards: Mapping[str, str] | None = None


NewProduct = Callable[[Product], World]


def schools(tables: str, *carried: str, excluded: str = "") -> Product:
    """Schools 1 and 2 in one database, and these tables; each carried one as a line of the catalog."""
    lines = "".join(f"    {line}\n" for line in ("schools: {group: school}", *carried))
    catalog = (
        "tenant: {noun: school, table: schools, key: id, title: name}\n"
        f"databases:\n  master:\n{lines}"
        "depths: {all: {start: schools}}\n"
    )
    return Product(
        tables=SCHOOLS + tables, catalog=catalog + (f"excluded: {{master: {excluded}}}\n" if excluded else "")
    )


@contextmanager
def standing(new_world: NewWorld, folder: Path, product: Product) -> Iterator[World]:
    """A world in which this product, and nothing else, stands."""
    scripts = {"master": product.tables, **(product.shards or {})}
    catalog = folder / "catalog.yaml"
    catalog.write_text(product.catalog)
    with new_world(tuple(scripts)) as world:
        for database, script in scripts.items():
            run(world, database, EMPTY + script)
        yield replace(world, environment=replace(world.environment, catalog=str(catalog)))


def run(world: World, database: str, script: str) -> list[tuple[object, ...]]:
    """Run a script as a colleague at psql does, and return the rows of its last statement, if it has any."""
    link = psycopg2.connect(world.dsns[database])
    try:
        with link, link.cursor() as cursor:
            cursor.execute(script)
            return cursor.fetchall() if cursor.description else []
    finally:
        link.close()


def set_for_all(world: World, setting: str) -> None:
    """Set a default of master for all new sessions."""
    [[name]] = run(world, "master", "SELECT current_database()")
    run(world, "master", f'ALTER DATABASE "{name}" SET {setting}')


def refused(act: Callable[[], object]) -> bool:
    """True if the tool refuses to do it."""
    try:
        act()
    except CutoverError:
        return True
    return False


def archived(world: World, *tenants: int, together: bool = False) -> bool:
    """True if these are archived, alone or in a set; a refusal must leave all rows as they were."""
    before = oracle.snapshot(world.dsns)
    out = world.archive_together if together else world.archive
    if refused(lambda: out(*tenants)):
        same(before, oracle.snapshot(world.dsns))
        return False
    return True


def bring_back(world: World, *tenants: int) -> None:
    """Restore them; a test fails where that is refused."""
    try:
        world.restore(*tenants)
    except CutoverError as error:
        pytest.fail(f"what went out does not come back: {error}")


def out_and_back(world: World, *tenants: int, together: bool = False) -> None:
    """Assert the promise: either nothing is deleted, or every row of every table comes back as it was."""
    before = oracle.snapshot(world.dsns)
    if archived(world, *tenants, together=together):
        bring_back(world, *tenants)
        same(before, oracle.snapshot(world.dsns))


def goes_and_comes_back(world: World, *tenants: int, together: bool = False) -> None:
    """Assert more: it is deleted indeed, for there is nothing to refuse."""
    before = oracle.snapshot(world.dsns)
    try:
        (world.archive_together if together else world.archive)(*tenants)
    except CutoverError as error:
        pytest.fail(f"what could go is refused: {error}")
    bring_back(world, *tenants)
    same(before, oracle.snapshot(world.dsns))
