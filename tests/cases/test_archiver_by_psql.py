"""An archive needs no tool to open: psql alone restores whatever the tool itself archives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from archiver.records import archive_record
from archiver.runs.context import fetch
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases import case
from tests.cases.small_product import Products
from tests.worlds import World, same

OF_SCHOOL = "school_id integer REFERENCES schools"
# What the superuser makes beforehand, and what psql stumbles over.
SCRIPTS = {
    "a key that is checked at the end": (
        "",
        f"CREATE TABLE things (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, {OF_SCHOOL});"
        "INSERT INTO things VALUES (1, 1)",
    ),
    "a key without overlaps": (
        "CREATE EXTENSION btree_gist",
        f"CREATE TABLE things (id integer, {OF_SCHOOL}, r tsrange, PRIMARY KEY (id, r WITHOUT OVERLAPS));"
        "INSERT INTO things VALUES (1, 1, '[2014-01-01,2014-02-01)')",
    ),
    "no key, and a type without equality": (
        "",
        f"CREATE TABLE things ({OF_SCHOOL}, held json[]); INSERT INTO things VALUES (1, ARRAY['{{}}'::json])",
    ),
    "no key, and a domain without equality": (
        "",
        f"CREATE DOMAIN js AS json; CREATE TABLE things ({OF_SCHOOL}, held js); INSERT INTO things VALUES (1, '{{}}')",
    ),
    "a quote in a table's name": (
        "",
        f"""CREATE TABLE "th'ings" (id integer PRIMARY KEY, {OF_SCHOOL}); INSERT INTO "th'ings" VALUES (1, 1)""",
    ),
}


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


@case("archiver 16", "restore.sql fails in psql, though the tool made the archive, proved it and deleted the rows")
@pytest.mark.parametrize(("setup", "script"), SCRIPTS.values(), ids=SCRIPTS)
def test_psql_restores_what_the_tool_archived(
    products: Products, tmp_path: Path, psql: Path, setup: str, script: str
) -> None:
    with products.product(script, setup=setup) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(1)
        assert oracle.snapshot(world.dsns) != before
        unpack(world, tmp_path)

        failed = run(tmp_path, psql, world.dsns["master"], "-v", "database=master", "-f", "restore.sql")

        assert not failed
        same(before, oracle.snapshot(world.dsns))


@case("archiver 16", "schema.sql and restore.sql fail in an empty database, too")
@pytest.mark.parametrize(("setup", "script"), SCRIPTS.values(), ids=SCRIPTS)
def test_psql_shows_what_the_tool_archived_in_an_empty_database(
    products: Products, tmp_path: Path, psql: Path, empty: str, setup: str, script: str
) -> None:
    """Extensions are there beforehand, as in a new database of the product's own."""
    with products.product(script, setup=setup) as world:
        [outcome] = world.archive(1)
        unpack(world, tmp_path)
    products.cluster.sql(setup or "SELECT", dbname=parse_dsn(empty)["dbname"])

    failed = run(tmp_path, psql, empty, "-f", "schema.sql", "-f", "restore.sql")

    assert not failed
    found = oracle.snapshot({"look": empty}).tables["look"]
    assert sum(len(rows) for rows in found.values()) == outcome.rows


def unpack(world: World, folder: Path) -> None:
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, 1)
        tarball = fetch(archiver.bucket, record, folder)
    subprocess.run(["tar", "xzf", tarball], cwd=folder, check=True)


def run(folder: Path, psql: Path, dsn: str, *words: str) -> str:
    """Return psql's error output before it stopped."""
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stderr if done.returncode else ""
