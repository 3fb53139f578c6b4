"""A dry run provably does nothing: with every way out of the process made to raise, it still succeeds."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import psycopg2
import pytest
from botocore.httpsession import URLLib3Session
from invoke.context import Context

from inventory.platforms import Aws, OldFarm
from runbooks import cutover
from runbooks.cli import due_work
from runbooks.cli import environment as cli_environment
from runbooks.engine.live.executors import DryRunExecutor, NoDryForm
from runbooks.engine.model.history import Facts, read_history
from runbooks.engine.model.step import Check, holds
from tests.fakes import EVENING, SERVERS, night_plan, rehearsal, rehearsal_night, rehearsal_with_own_steps


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, no process, no database, no store; the folder for journals, which must stay empty."""

    def forbidden(*args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("a dry run reached for the world")

    ways_out: list[tuple[Any, str]] = [
        (socket, "socket"),
        (socket, "create_connection"),
        (socket, "getaddrinfo"),
        (subprocess, "Popen"),
        (os, "fork"),
        (os, "forkpty"),
        (os, "posix_spawn"),
        (os, "execve"),
        (os, "system"),
        (psycopg2, "connect"),
        (URLLib3Session, "send"),
    ]
    for holder, name in ways_out:
        monkeypatch.setattr(holder, name, forbidden)
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr(due_work, "ROOT", tmp_path)
    return tmp_path


def test_the_clock_goes_on_by_the_estimates_and_the_end_stays_where_it_is(
    isolated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cutover.run(Context(), date="2014-08-15", dry_run=True)

    shown = capsys.readouterr().out
    assert re.search(r"2/16 .* 2:00\n", shown)
    ends = re.findall(r"elapsed · done about (\d\d):(\d\d)", shown)
    minutes = [60 * int(hours) + int(minutes) for hours, minutes in ends]
    assert len(ends) == 20  # of all steps but the last
    assert (minutes[-1] - minutes[0]) % (24 * 60) <= 1


def test_sixteen_steps_are_shown_with_every_host_command_and_proof(
    isolated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cutover.run(Context(), date="2014-08-15", dry_run=True)

    shown, plan = capsys.readouterr().out, night_plan(rehearsal_with_own_steps())
    for subject in plan.preflight:
        for precondition in subject.preconditions:
            assert f"  {subject.name}: {precondition.check}" in shown
    for step in plan.steps:
        assert f"{step.label:>2}/16 {step.title}" in shown
        for task in step.tasks:
            for line in task.by_hand:
                assert line in shown
            for check in task.needs:
                assert f"{step.title}, {task.host}: {check}" in shown
            for check in task.checks:
                assert task.host in shown
                assert str(check) in shown
    assert "after 2014-08-15 is typed" in shown
    assert "everything is back on" in shown
    assert list(isolated.iterdir()) == []


def test_calls_to_amazon_are_shown_and_not_made(
    isolated: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instances = {host: f"i-0{number}" for number, host in enumerate(SERVERS)}
    farm = OldFarm(instance="i-0f", type="t3.small")
    by_ec2 = replace(rehearsal_night().warehouse, shrink=None)
    environment = replace(rehearsal(), warehouse=by_ec2, aws=Aws(instances=instances, zone="Z1", old_farm=farm))
    monkeypatch.setattr(cli_environment, "load", lambda name: environment)

    cutover.run(Context(), date="2014-08-15", dry_run=True)

    shown = " ".join(capsys.readouterr().out.split())
    for instance in instances.values():
        assert f"EC2: take snapshots of every volume of {instance}" in shown
        assert f"of every volume (EC2: snapshots of the volumes of {instance})" in shown
    assert "CNAME warehouse.ttm.com to warehouse-new.farm.ttm.com, CNAME warehouse-2013.ttm.com to" in shown
    assert "can be moved in zone Z1 (Route 53: warehouse.ttm.com, warehouse-2013.ttm.com in zone Z1)" in shown
    assert "12.4/16 Shrink the old farm" in shown
    assert "EC2: stop i-0f, make it t3.small, and start it" in shown


def test_a_dry_run_does_not_touch_a_live_nights_files(isolated: Path) -> None:
    journal = isolated / ".cutover" / "rehearsal" / "2014-08-15" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("as it was")
    cutover.run(Context(), date="2014-08-15", dry_run=True)
    assert journal.read_text() == "as it was"
    assert [path.name for path in journal.parents[1].iterdir()] == ["2014-08-15"]


def test_an_effect_without_a_dry_form_raises() -> None:
    @dataclass(frozen=True)
    class LaunchRocket:
        site: str

    rocket: Any = LaunchRocket(site="pad 4")
    check = Check(title="it flies", looks=(rocket,), judge=lambda outputs, facts: holds("it flies"))
    facts = Facts(now=EVENING, history=read_history(()))
    with pytest.raises(NoDryForm, match="LaunchRocket has no dry form"):
        DryRunExecutor().act(rocket, "rocket", print)
    with pytest.raises(NoDryForm):
        DryRunExecutor().look(check, facts, expected=True)
    with pytest.raises(NoDryForm):
        DryRunExecutor().read(rocket)
