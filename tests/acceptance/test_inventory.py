"""`inv inventory.check` and `inv doctor` at a running rehearsal: a line a look, and what does not hold with a hint."""

from __future__ import annotations

import json

from rehearsal import blueprint
from tests.acceptance.conftest import Lab, Typed
from tests.conftest import ROLE


def test_everything_that_the_inventory_names_is_looked_at(running: Lab, typed: Typed) -> None:
    said = typed("inventory.check")

    assert (said.code, said.err) == (0, ""), said.out
    lines = said.out.splitlines()
    assert all(line.startswith("✓ ") for line in lines[:-1]), said.out
    subjects = {line.split(":")[0].removeprefix("✓ ") for line in lines[:-1]}
    environment = running.endpoints
    assert {"control", "debug", "db-shard-4", "probes/watcher", "probes/backup", "probes/rebuild"} <= subjects
    assert {*environment.databases, "scratch database", "store", "archives", "catalog"} <= subjects
    assert "✓ probes/etl: read on warehouse-old, warehouse-new" in lines
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} looks hold."


def test_a_grant_that_is_missing_is_told_with_the_sql_that_gives_it(running: Lab, typed: Typed) -> None:
    layout = blueprint.load(running.home)
    master = layout.primary(layout.database_on("db-master"))
    master.sql("REVOKE DELETE ON students FROM apangea", dbname="apangea")
    try:
        said = typed("inventory.check", "--json")
    finally:
        master.sql("GRANT DELETE ON students TO apangea", dbname="apangea")

    assert said.code == 10
    [bad] = [each for each in json.loads(said.out)["findings"] if each["stops"]]
    assert bad["subject"] == "master"
    assert bad["found"] == f'{ROLE} needs, in psql in apangea: GRANT DELETE ON "students" TO {ROLE}; -- students'
    assert bad["hint"] == "docs/install.md has every grant."


def test_the_doctor_looks_at_this_machine_and_at_the_debug_host(typed: Typed) -> None:
    said = typed("doctor")

    assert said.code == 0, said
    subjects = [line.split(":")[0].removeprefix("✓ ") for line in said.out.splitlines()]
    assert subjects[:7] == ["version", "name", "keys", "pgpass", "disk", "clock", "store"]
    assert "✓ debug: 7 looks hold there; the same version" in said.out
