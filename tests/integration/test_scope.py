"""Two checkouts of this tool, on two machines, that differ: the night does not begin, and no row is deleted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from errors import ExitCode, RefusedError
from inventory.figures import Figures
from inventory.load import ROOT
from rehearsal import lab, layout
from rehearsal.layout import Layout
from runbooks.cutover import plan_of
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.model.actions import DetachedJob, RemoteCommand
from runbooks.engine.model.history import Facts, History
from runbooks.engine.run.preflight import examine, refuse
from runbooks.night.live_ports import live_executor
from tests import oracle
from tests.fakes import NIGHT
from tests.labs import Lab, started
from tests.oracle import Snapshot

EXCLUDED = "  2014-08-15: {depth: all, exclude: {schools: [21], customers: []}}"


def replaced(path: str, old: str, new: str) -> Callable[[Path], None]:
    """Return a change of one file of a checkout."""

    def change(checkout: Path) -> None:
        text = (checkout / path).read_text()
        assert old in text
        (checkout / path).write_text(text.replace(old, new))

    return change


NIGHTS = "inventory/rehearsal.yaml"
DIFFERENT = {
    "depth: students there, all here": replaced(NIGHTS, EXCLUDED, EXCLUDED.replace("all", "students")),
    "schools: none there, 21 here": replaced(NIGHTS, EXCLUDED, EXCLUDED.replace("[21]", "[]")),
    "customers: 1 there, none here": replaced(NIGHTS, EXCLUDED, EXCLUDED.replace("customers: []", "customers: [1]")),
    "catalog: ": replaced("inventory/catalog.yaml", "stay: [users, students]", "stay: [users]"),
    "version: ": replaced("archiver/delete/delete.py", "by identity,", "by identity alone,"),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with started(lab.FEWEST_SCHOOLS) as made:
        yield made


@pytest.fixture(scope="module")
def before(running: Lab) -> Snapshot:
    """Every row of every database, which no test of this module may change."""
    return oracle.snapshot(running.endpoints.databases)


@contextmanager
def changed(running: Lab, change: Callable[[Path], None]) -> Iterator[None]:
    """Change the debug host's checkout while the block runs."""
    checkout = Layout(running.home).checkout("debug")
    kept = checkout.with_name("kept")
    shutil.copytree(checkout, kept)
    try:
        change(checkout)
        yield
    finally:
        shutil.rmtree(checkout)
        kept.rename(checkout)


def inv(running: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a task on the operator's machine."""
    environment = {**os.environ, layout.VARIABLE: str(running.home)}
    command = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def compare(running: Lab) -> None:
    """Look at the debug host's scope as preflight does. Raises RefusedError if it is another."""
    plan, clock = plan_of(running.environment, NIGHT), SystemClock()
    [debug] = [subject for subject in plan.preflight if subject.name == "debug"]
    scopes = tuple(each for each in debug.preconditions if "scope" in each.check.title)
    with live_executor(running.environment, clock) as executor:
        facts = Facts(now=clock.now(), history=History())
        refuse(plan, examine([replace(debug, preconditions=scopes)], executor, lambda: facts))


def step_8(running: Lab) -> RemoteCommand:
    """Return what a night sends to the debug host in step 8, without any preflight."""
    [task] = plan_of(running.environment, NIGHT).step("archiving.run").tasks
    assert isinstance(task.action, DetachedJob)
    return RemoteCommand(host=task.host, command=task.action.command)


def test_the_debug_host_has_a_checkout_of_its_own(running: Lab) -> None:
    where = running.say("debug", "cat bin/inv")

    assert f"cd {Layout(running.home).checkout('debug')} " in where


def test_two_equal_checkouts_have_one_scope(running: Lab, before: Snapshot) -> None:
    said = inv(running, "cutover.preflight", f"--date={NIGHT}")

    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    schools = len(before.tables["master"]["schools"])
    shown = " ".join(said.stdout.split())
    assert f"{schools - 1} schools taken in, 1 school excluded (21)" in shown
    assert f"{schools - 1} schools of " in shown


def test_the_plan_counts_just_the_rows_that_leave_by_shard_and_customer(running: Lab, before: Snapshot) -> None:
    said = inv(running, "cutover.plan", f"--date={NIGHT}", "--count")
    figures = Figures.from_json(running.record("debug", f"inv archive.scope --date={NIGHT} --count --json")["figures"])  # type: ignore[arg-type]

    with closing(psycopg2.connect(running.endpoints.databases["master"])) as link, link.cursor() as cursor:
        cursor.execute("SELECT id, shard, customer_id FROM schools WHERE id <> 21")
        schools = cursor.fetchall()
    ids, shards, customers = zip(*schools, strict=True)
    after = oracle.expected_after_archiving(running.endpoints.databases, ids, "all", before)
    leaving = sum(
        before.count(database, table) - after.count(database, table)
        for database, tables in before.tables.items()
        for table in tables
    )
    assert figures.rows == pytest.approx(leaving, rel=0.05)
    assert {share.name: share.tenants for share in figures.shards} == Counter(shards)
    assert {int(re.findall(r"\d+", share.name)[-1]): share.tenants for share in figures.customers} == Counter(
        filter(None, customers)
    )
    assert sum(share.rows for share in figures.shards) == pytest.approx(figures.rows, abs=5)
    assert [each.name for each in figures.left_out] == ["School 21 (21)"]
    assert said.returncode == 0, said.stderr
    assert f"- {len(ids)} schools of {len(figures.customers)} customers: about {figures.rows:,} rows" in said.stdout


@pytest.mark.parametrize("difference", DIFFERENT)
def test_another_checkout_stops_preflight_and_forced_past_it_step_8_refuses(
    difference: str, running: Lab, before: Snapshot
) -> None:
    with changed(running, DIFFERENT[difference]):
        with pytest.raises(RefusedError) as refused:
            compare(running)
        forced = running.fleet.run(step_8(running))

    assert "nothing was done" in str(refused.value)
    assert f"debug: another scope than this machine's: {difference}" in str(refused.value)
    assert forced.code == ExitCode.FAILED
    refusal = "archive.all refused: this host has another scope than the machine that sent it:\n  - "
    assert f"{refusal}{difference.split(':')[0]}: " in forced.error
    assert oracle.snapshot(running.endpoints.databases) == before


def test_a_forwarded_task_is_refused_by_another_version(running: Lab, before: Snapshot) -> None:
    with changed(running, DIFFERENT["version: "]):
        said = inv(running, "archive.school", "13")

    assert said.returncode == ExitCode.FAILED
    assert "version: " in said.stdout
    assert oracle.snapshot(running.endpoints.databases) == before


def test_an_exclusion_that_matches_nothing_and_a_scope_without_a_school_are_found_before_step_1(
    running: Lab, before: Snapshot
) -> None:
    unknown = EXCLUDED.replace("[21]", "[998, 999]").replace("customers: []", "customers: [77]")
    with changed(running, replaced(NIGHTS, EXCLUDED, unknown)):
        said = running.type("debug", f"inv archive.scope --date={NIGHT}")

    assert said.code == ExitCode.USAGE
    for key, number in (("schools", 998), ("schools", 999), ("customers", 77)):
        assert f"nights/2014-08-15/exclude/{key}: expected an id that exists, got {number}" in said.error
    assert oracle.snapshot(running.endpoints.databases) == before


def test_step_8_refuses_other_schools_than_the_date_was_typed_for(running: Lab, before: Snapshot) -> None:
    archiving = step_8(running)

    refused = running.fleet.run(replace(archiving, command=f"{archiving.command} --schools=5c4001ed"))

    assert refused.code == ExitCode.FAILED
    assert "the date of 2014-08-15 was typed for 5c4001ed, and the databases have" in refused.error
    assert oracle.snapshot(running.endpoints.databases) == before
