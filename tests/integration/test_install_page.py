"""The SQL of docs/install.md on a real server: with exactly that role schools are archived, and come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from inventory.load import ROOT
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.conftest import PASSWORD, ROLE
from tests.worlds import NewWorld, World, same

PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
GRANTS, OWNER, SCRATCH, REPLICATION = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ARCHIVER = "archiver"


@pytest.fixture
def installed(new_world: NewWorld, cluster: Cluster) -> Iterator[World]:
    """Databases that the role of the page connects to, with the grants of its first step, and a scratch database."""
    with new_world() as world:
        for number, database in enumerate(world.environment.databases.values()):
            name = database.connection["dbname"]
            script = GRANTS.replace("DATABASE apangea", f"DATABASE {name}")
            cluster.sql(script if number == 0 else script.replace("CREATE ROLE archiver LOGIN;", ""), dbname=name)
        cluster.sql(SCRATCH.replace("CREATE ROLE archiver LOGIN;\n", "").replace("scratch", "installed_scratch"))
        cluster.sql(f"ALTER ROLE {ARCHIVER} PASSWORD '{PASSWORD}'")
        try:
            yield as_archiver(world, cluster)
        finally:
            cluster.sql("DROP DATABASE installed_scratch WITH (FORCE)")
            for database in world.environment.databases.values():
                cluster.sql(f"DROP OWNED BY {ARCHIVER} CASCADE", dbname=database.connection["dbname"])
            cluster.sql(f"DROP OWNED BY {ARCHIVER}; DROP ROLE {ARCHIVER}")


def as_archiver(world: World, cluster: Cluster) -> World:
    databases = {
        name: replace(database, connection={**database.connection, "user": ARCHIVER})
        for name, database in world.environment.databases.items()
    }
    scratch = replace(
        world.environment.scratch, connection=cluster.connection(dbname="installed_scratch", user=ARCHIVER)
    )
    return replace(world, environment=replace(world.environment, databases=databases, scratch=scratch))


def test_the_page_is_of_the_owner_that_the_databases_have() -> None:
    assert f"GRANT {ROLE} TO {ARCHIVER};\n" == OWNER
    assert f"FOR ROLE {ROLE} " in GRANTS


def test_with_the_first_grants_a_school_goes_and_comes_back(installed: World) -> None:
    before = oracle.snapshot(installed.dsns)
    expected = oracle.expected_after_archive(installed.dsns, 13, "all")

    installed.archive(13)
    same(expected, oracle.snapshot(installed.dsns))

    installed.restore(13)
    same(before, oracle.snapshot(installed.dsns))


def test_as_a_member_of_the_owner_a_night_empties_tables(installed: World, cluster: Cluster) -> None:
    cluster.sql(OWNER)
    before = oracle.snapshot(installed.dsns)
    strategies: list[str] = []

    archived = installed.archive_together(*range(1, 100_000), on_strategy=strategies.append)
    assert len(archived) > 10
    assert any(": truncated" in line for line in strategies), strategies

    installed.restore(*(outcome.item for outcome in archived))
    same(before, oracle.snapshot(installed.dsns))
