"""The session is the tool's own, whatever settings the database, the role or a person at psql has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from archiver.extract import one
from archiver.postgres.pins import SETTINGS
from archiver.postgres.session import Composable, Session, Source, connect
from archiver.records import archive_record
from archiver.runs.context import fetch
from tests import oracle
from tests.cases.products import Product, goes_and_comes_back, run, schools, set_for_all, standing
from tests.worlds import NewWorld, World, same

THINGS = """
CREATE TABLE things (
    id integer PRIMARY KEY, school_id integer REFERENCES schools, words text[], numbers integer[], price money,
    raw bytea, period interval, share double precision, said text DEFAULT 'a\\b'
);
INSERT INTO things
SELECT n, 1 + n % 2, ARRAY['NULL', NULL, 'a\\b'], ARRAY[n, NULL], (n / 100.0)::numeric::money,
       '\\x00ff5c', make_interval(days => n, secs => -0.5), n / 3::double precision, E'back\\\\slash ''quote'''
  FROM generate_series(1, 4) n;
"""
CARRIED = "things: {group: thing, found_by: [school_id = schools.id]}"
ODD = (
    "array_nulls = off",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "xmlbinary = hex",
    "bytea_output = escape",
    "intervalstyle = sql_standard",
    "datestyle = 'SQL, DMY'",
    "extra_float_digits = 0",
    "gin_fuzzy_search_limit = 1",
    'lc_monetary = "C.UTF-8"',
)
COMMITS = {"off": "local", "local": "local", "on": "on", "remote_write": "remote_write", "remote_apply": "remote_apply"}


def product() -> Product:
    return schools(THINGS, CARRIED)


def set_oddly(world: World) -> None:
    for setting in ODD:
        set_for_all(world, setting)


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
def test_values_come_back_from_a_database_of_odd_settings(
    new_world: NewWorld, tmp_path: Path, *, together: bool
) -> None:
    with standing(new_world, tmp_path, product()) as world:
        set_oddly(world)
        goes_and_comes_back(world, 1, together=together)


def test_values_come_back_into_a_database_whose_settings_changed_meanwhile(new_world: NewWorld, tmp_path: Path) -> None:
    with standing(new_world, tmp_path, product()) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(1)
        set_oddly(world)
        world.restore(1)
        same(before, oracle.snapshot(world.dsns))


def test_psql_restores_the_same_values_in_a_database_of_odd_settings(
    new_world: NewWorld, tmp_path: Path, psql: Path
) -> None:
    with standing(new_world, tmp_path, product()) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(1)
        with world.archiver() as archiver:
            [record] = archive_record.of_tenant(archiver.databases.master, 1)
            path = fetch(archiver.bucket, record, tmp_path / "fetched")
        subprocess.run(["tar", "xzf", path], cwd=tmp_path, check=True)
        set_oddly(world)
        for script in ("schema.sql", "restore.sql"):
            text = (tmp_path / script).read_text()
            assert "SET array_nulls TO 'on';" in text and "SET standard_conforming_strings TO 'on';" in text
        command = [str(psql), "-q", "-d", world.dsns["master"], "-v", "ON_ERROR_STOP=1", "-f", "restore.sql"]
        subprocess.run(command, cwd=tmp_path, check=True)
        same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize(("set_to", "expected"), COMMITS.items(), ids=COMMITS)
def test_a_session_waits_for_the_servers_disk_at_least(new_world: NewWorld, set_to: str, expected: str) -> None:
    with new_world() as world:
        set_for_all(world, f"synchronous_commit = {set_to}")
        session = connect(parse_dsn(world.dsns["master"]), name="test")
        try:
            assert session.row("SHOW synchronous_commit") == (expected,)
        finally:
            session.close()


def test_a_role_that_does_not_wait_does_here(new_world: NewWorld) -> None:
    with new_world() as world:
        [[name, role]] = run(world, "master", "SELECT current_database(), current_user")
        run(world, "master", f'ALTER ROLE {role} IN DATABASE "{name}" SET synchronous_commit = off')
        with world.archiver() as archiver:
            assert archiver.databases.master.row("SHOW synchronous_commit") == ("local",)


@pytest.mark.parametrize(("pinned", "expected"), [(True, "C"), (False, "C.UTF-8")], ids=["today", "yesterday"])
def test_money_is_read_in_the_locale_that_wrote_it(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, pinned: bool, expected: str
) -> None:
    """An archive of a version that pinned no locale was written in the database's, so it is read in that."""
    copy_in, found = Session.copy_in, list[str]()

    def watched(self: Session, target: Composable, source: Source, *, doing: str) -> int:
        found.extend(self.row("SHOW lc_monetary") if "things" in doing else ())
        return copy_in(self, target, source, doing=doing)

    written = {name: value for name, value in SETTINGS.items() if pinned or name != "lc_monetary"}
    with standing(new_world, tmp_path, product()) as world:
        set_for_all(world, 'lc_monetary = "C.UTF-8"')
        before = oracle.snapshot(world.dsns)
        monkeypatch.setattr(one, "SETTINGS", written)
        world.archive(1)
        monkeypatch.setattr(Session, "copy_in", watched)
        world.restore(1)
        same(before, oracle.snapshot(world.dsns))
        assert found and set(found) == {expected}
