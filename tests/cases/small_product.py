"""A tiny product in fresh databases: a few tables beside two schools, and a short catalog."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from archiver.completeness import completeness
from archiver.completeness.completeness import Findings
from archiver.completeness.draft import draft
from archiver.completeness.draft_yaml import draft_text
from archiver.runs.setup import read_environment
from archiver.store.bucket import Bucket
from errors import CutoverError, RefusedError, UsageError
from inventory.model import Environment, Store
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.conftest import ROLE
from tests.worlds import World, environment, same, sql

COUNTER = itertools.count(1)
SCHOOLS = "CREATE TABLE schools (id integer PRIMARY KEY, name text); INSERT INTO schools VALUES (1, 'a'), (2, 'b');"
OF_SCHOOL = "found_by: [school_id = schools.id]"


@dataclass(frozen=True, kw_only=True)
class Products:
    """The databases that products are made in."""

    cluster: Cluster
    store: Store
    folder: Path  # for their catalogs

    @contextmanager
    def product(self, script: str, catalog: str = "", *, setup: str = "") -> Iterator[World]:
        """Schools and what the script makes, in one database of its own.

        The catalog is drafted where none is given. The superuser runs the setup beforehand, in the scratch database
        too, so that an extension lies in both.
        """
        name = f"small_{next(COUNTER)}"
        with self._databases(name, f"{name}_scratch", setup=setup) as (live, scratch):
            self.cluster.sql(f"SET ROLE {ROLE}; {SCHOOLS} {script}", dbname=name)
            store = replace(self.store, prefix=f"tests/{name}")
            written = environment({"master": live}, scratch, store)
            dsns = {"master": self.cluster.dsn(dbname=name, user=ROLE)}
            yield World(self._with_catalog(written, catalog, name), dsns, tried=store.endpoint)

    @contextmanager
    def _databases(self, *names: str, setup: str) -> Iterator[list[dict[str, str]]]:
        """Make databases, and drop them also where a test fails: all tests of faults do."""
        try:
            for name in names:
                self.cluster.sql(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}")
                self.cluster.sql(setup or "SELECT", dbname=name)
            yield [self.cluster.connection(dbname=name, user=ROLE) for name in names]
        finally:
            self.cluster.sql("".join(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);\n" for name in names))

    def _with_catalog(self, written: Environment, catalog: str, name: str) -> Environment:
        path = self.folder / f"{name}.yaml"
        path.write_text(catalog or draft_text(draft(read_environment(written), "schools")), encoding="utf-8")
        return replace(written, catalog=str(path))


def catalog(*, tenant: str = "", rest: str = "", **tables: str) -> str:
    """A catalog of schools and these tables, each with its YAML, such as `found_by: [school_id = schools.id]`."""
    lines = "".join(f"    {name}: {{group: school, {settings}}}\n" for name, settings in tables.items())
    return (
        f"tenant: {{noun: school, table: schools, key: id, title: name{tenant}}}\n"
        f"databases:\n  master:\n    schools: {{group: school}}\n{lines}"
        f"depths: {{all: {{start: schools}}}}\n{rest}"
    )


def findings(world: World) -> Findings:
    """Return the findings of `inv archive.check-catalog`."""
    with world.archiver() as archiver:
        return completeness.compare(archiver.databases)


def count(world: World, rows: str) -> int:
    """Return the number of rows of `table WHERE …`."""
    with sql(world, "master") as cursor:
        cursor.execute(f"SELECT count(*) FROM {rows}")
        return int(cursor.fetchall()[0][0])


def carried(world: World, going: str) -> None:
    """Archive school 1 with these rows, given as `table WHERE …`, and restore it as it was."""
    before = oracle.snapshot(world.dsns)
    assert count(world, going) > 0
    world.archive(1)
    assert count(world, going) == 0, f"left behind: {going}"
    world.restore(1)
    same(before, oracle.snapshot(world.dsns))


def carried_or_named(world: World, table: str, *, going: str = "") -> None:
    """Assert that school 1 is archived and restored, or that an early error names the table that forbids it."""
    told = findings(world).problems
    if any(table in problem for problem in told):
        return
    assert not told
    before = oracle.snapshot(world.dsns)
    try:
        carried(world, going or f"{table} WHERE school_id = 1")
    except (RefusedError, UsageError) as error:
        assert table in str(error)
        assert oracle.snapshot(world.dsns) == before
        assert not [*Bucket(world.environment.store).keys()], "it was read, packed and stored all the same"
    except CutoverError as error:
        pytest.fail(f"check-catalog was content, and then: {error}")
