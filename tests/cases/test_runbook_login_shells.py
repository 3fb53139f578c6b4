"""Login shells of hosts: their output before the answer, and their treatment of a command quoted for sh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.live.job_scripts import start_script
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DetachedJob, RemoteCommand
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.step import Check
from tests.cases.runbook_shells import CSH, FISH, NOISY, login_shell
from tests.fakes import FakeNight, night_plan, rehearsal, rehearsal_night
from tests.ssh_server import running
from tests.unit.test_preflight import precondition

NAME = "run.vacuum.full.db-master.1"
SILENCE = timedelta(seconds=1.5)


@dataclass(frozen=True)
class Host:
    """A host with such a login shell: under every name that is asked for."""

    home: Path
    fleet: Fleet

    @property
    def jobs(self) -> RemoteJobs:
        """Its jobs, whose silence does not last long."""
        return RemoteJobs(self.fleet, SystemClock(), silence=SILENCE)


@contextmanager
def host(home: Path, program: str) -> Iterator[Host]:
    """A host while the block runs."""
    with running(home, shell=login_shell(home, program)) as (server,):
        names = ("db-master", "debug", "watcher")
        with closing(Fleet(dict.fromkeys(names, server.host), server.ssh)) as fleet:
            yield Host(home, fleet)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host(tmp_path_factory.mktemp("noisy"), NOISY) as found:
        yield found


def job(command: str) -> DetachedJob:
    return DetachedJob(host="db-master", command=command, timeout=timedelta(seconds=20))


def test_a_job_is_followed_to_its_end_whatever_its_host_says_before_the_answer(noisy: Host) -> None:
    output = noisy.jobs.run(job("echo done; exit 7"), NAME, print)

    assert (output.code, output.text) == (7, "done\n")


def test_a_job_is_seen_and_stopped_whatever_its_host_says_before_the_answer(noisy: Host) -> None:
    noisy.fleet.run(RemoteCommand(host="db-master", command=start_script("to be stopped", "sleep 60", {})))

    try:
        assert noisy.jobs.look("db-master", "to be stopped").running
    finally:
        stopped = noisy.jobs.stop("db-master", "to be stopped")
    assert not stopped.running


def watcher_is_stopped(environment: Environment) -> Check:
    """The proof of step 2."""
    return night_plan(environment).step("watcher.stop").tasks[0].checks[0]


@pytest.mark.parametrize("asked", ["name", "clock", "state"])
def test_a_host_is_understood_whatever_it_says_before_the_answer(noisy: Host, tmp_path: Path, asked: str) -> None:
    (tmp_path / "name").write_text("debug\n")
    written = rehearsal()
    probes = replace(rehearsal_night().probes, watcher="echo stopped")
    environment = replace(written, host_name_file=str(tmp_path / "name"), probes=probes)
    checks = {
        "name": precondition("debug", "is the right host", environment).check,
        "clock": precondition("debug", "clock", environment).check,
        "state": watcher_is_stopped(environment),
    }
    world = replace(FakeNight().executor, ssh=noisy.fleet)

    verdict = world.look(checks[asked], Facts(now=datetime.now(UTC), history=History()), expected=True)

    assert verdict.holds, verdict.proof


def test_a_login_shell_that_cuts_quotes_at_newlines_runs_the_job_or_nothing_of_it(tmp_path: Path) -> None:
    count = tmp_path / "count"

    with host(tmp_path, CSH) as found:
        try:
            output = found.jobs.run(job(f"echo one\necho x >> {count}\necho two"), NAME, print)
        except CutoverError:
            assert not count.exists()
        else:
            assert (output.code, output.text, count.read_text()) == (0, "one\ntwo\n", "x\n")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(r"printf '%s\n' 'a\\b'", "a\\\\b\n", id="plain"),
        pytest.param(r"""printf '%s\n' "it's a\\\\b" """, "it's a\\\\b\n", id="with a quote"),
    ],
)
def test_a_login_shell_that_eats_backslashes_runs_the_job_as_written_or_nothing_of_it(
    tmp_path: Path, command: str, expected: str
) -> None:
    with host(tmp_path, FISH) as found:
        try:
            output = found.jobs.run(job(command), NAME, print)
        except CutoverError:
            assert not list(tmp_path.glob(".cutover/jobs/*/log"))
        else:
            assert (output.code, output.text) == (0, expected)
