"""The jobs on the hosts, by the real scripts run on this machine: listed, followed and stopped by an operator."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from errors import AbortedError, CutoverError, UnknownError, UsageError
from rehearsal.waiting import await_condition
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.job_scripts import start_script
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.live.running_jobs import RunningJob, read_jobs
from runbooks.engine.model.actions import DetachedJob, ProbeOutput, RemoteCommand
from runbooks.night import jobs as night_jobs
from runbooks.night.run import Terminal
from tests.fakes import FakeNight, FakePerson, rehearsal
from tests.unit.test_jobs import ThisMachine, session
from tests.unit.test_jobs import ssh as ssh

VACUUM = "rehearsal-2014-08-15-9987f270.vacuum.full.db-shard-3.2"
FORWARDED = "archive.school.1f3a5d7c9b2e"


def begin(machine: ThisMachine, name: str, command: str) -> int:
    """Start a job and return its process, once it has written something."""
    assert machine.run(RemoteCommand(host="here", command=start_script(name, command, {}))).code == 0
    folder = machine.home / ".cutover/jobs" / name
    await_condition(
        lambda: (folder / "log").exists() and (folder / "log").stat().st_size > 0, doing="waiting for a job", seconds=20
    )
    return int((folder / "pid").read_text().split()[0])


@pytest.mark.parametrize(
    ("name", "work", "date", "text"),
    [
        (VACUUM, "vacuum.full", "2014-08-15", "vacuum.full of 2014-08-15"),
        (FORWARDED, "archive.school", "", "archive.school"),
        ("something.else", "something.else", "", "something.else"),
    ],
)
def test_a_jobs_name_says_for_which_step_or_task_it_runs(name: str, work: str, date: str, text: str) -> None:
    job = RunningJob(host="db-shard-3", name=name, pid=1, runs=timedelta())

    assert (job.work, job.date, str(job)) == (work, date, text)


def test_only_running_jobs_are_listed_whatever_a_login_shell_prints_before(ssh: ThisMachine) -> None:
    jobs, command = RemoteJobs(ssh, SystemClock()), r"""printf '1 of 9\r2 of 9'; sleep 60 # it's "quoted" $HOME"""
    assert jobs.running("db-shard-3") == ()
    jobs.run(DetachedJob(host="db-shard-3", command="echo over", timeout=timedelta(seconds=20)), "over.1", print)
    pid = begin(ssh, VACUUM, command)

    [job] = jobs.running("db-shard-3")

    assert (job.name, job.pid, job.line) == (VACUUM, pid, "2 of 9")
    assert job.command == command
    assert timedelta() <= job.runs < timedelta(minutes=1)
    noise = "Welcome!\ncutover-job\ncommand: rm\ncutover-jobs end\n"
    assert read_jobs("here", noise) == ()
    with pytest.raises(CutoverError, match="its answer is incomplete"):
        read_jobs("here", "Welcome!\n")


def test_an_attached_operator_sees_the_last_lines_and_then_all_to_the_end(ssh: ThisMachine, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    begin(ssh, VACUUM, f"seq 1 1000; while ! [ -e '{go_on}' ]; do sleep 0.05; done; echo done; exit 3")
    jobs, lines = RemoteJobs(ssh, SystemClock()), list[str]()
    await_condition(lambda: jobs.running("here")[0].line == "1000", doing="waiting for a job", seconds=20)
    [job] = jobs.running("here")

    def on_line(line: str) -> None:
        lines.append(line)
        go_on.touch()

    assert jobs.attach(job, timedelta(seconds=20), on_line).code == 3
    assert lines == [*(str(number) for number in range(981, 1001)), "done"]


def test_a_run_that_follows_a_job_hears_who_stopped_it(ssh: ThisMachine) -> None:
    jobs = RemoteJobs(ssh, SystemClock(), operator="ann@o'brien's laptop")
    heard: list[BaseException] = []

    def follow() -> None:
        try:
            jobs.run(
                DetachedJob(host="here", command="echo begun; sleep 60", timeout=timedelta(seconds=60)), VACUUM, print
            )
        except JobLost as error:
            heard.append(error)

    run = threading.Thread(target=follow)
    run.start()
    await_condition(lambda: bool(jobs.running("here")), doing="waiting for a job", seconds=20)
    assert not jobs.stop("here", VACUUM).running
    run.join(20)

    assert "it last said: begun / ann@o'brien's laptop stops this job, 2" in str(heard[0])


@pytest.fixture
def machine(ssh: ThisMachine, monkeypatch: pytest.MonkeyPatch) -> ThisMachine:
    """The host of every job; `files` sees no run at work."""

    @contextmanager
    def here(*_: object) -> Iterator[RemoteJobs]:
        yield RemoteJobs(ssh, SystemClock(), operator="ann@laptop")

    monkeypatch.setattr(night_jobs, "remote_jobs", here)
    monkeypatch.setattr("runbooks.night.files.at_work", lambda environment: "")
    return ssh


ENVIRONMENT = replace(rehearsal(), overlay=None)


def terminal(*typed: str, present: bool = True) -> tuple[Terminal, io.StringIO]:
    """An operator who types this, and the paper the console writes to."""
    paper, answers = io.StringIO(), list(typed)
    person = FakePerson(FakeNight().ssh, present=present)
    console = Console(clock=SystemClock(), file=paper, read=lambda prompt: answers.pop(0))
    return Terminal(SystemClock(), console, person), paper


def test_an_operator_stops_the_job_that_was_named_and_nothing_of_it_is_left(machine: ThisMachine) -> None:
    """With several jobs there, one must be named; with another word typed, both go on."""
    vacuum, school = (begin(machine, name, "echo begun; sleep 60 & sleep 60") for name in (VACUUM, FORWARDED))
    with pytest.raises(UsageError, match=f"2 jobs are running on db-shard-3: .*{VACUUM}"):
        night_jobs.stop_job(ENVIRONMENT, terminal()[0], "db-shard-3", "")
    with pytest.raises(AbortedError, match="nothing was stopped"):
        night_jobs.stop_job(ENVIRONMENT, terminal("yes")[0], "db-shard-3", "vacuum.full")
    assert session(vacuum) and session(school)
    operator, paper = terminal("db-shard-3")

    night_jobs.stop_job(ENVIRONMENT, operator, "db-shard-3", "vacuum.full")

    assert session(vacuum) == []
    assert session(school)
    assert "vacuum.full of 2014-08-15 on db-shard-3 is stopped: none of its processes is left." in paper.getvalue()
    assert "inv cutover.resume --date=2014-08-15" in paper.getvalue()


def test_a_stop_without_a_terminal_of_no_job_or_on_no_host_is_refused(machine: ThisMachine) -> None:
    with pytest.raises(UsageError, match="there is no terminal"):
        night_jobs.stop_job(ENVIRONMENT, terminal(present=False)[0], "db-shard-3", "")
    with pytest.raises(UsageError, match="No such job is running on db-shard-3; running there: none"):
        night_jobs.stop_job(ENVIRONMENT, terminal()[0], "db-shard-3", "")
    with pytest.raises(UsageError, match=r"host: expected one of .*, got 'db-9'"):
        night_jobs.attach_to(ENVIRONMENT, terminal()[0], "db-9", "")


def test_a_job_that_outlives_its_stop_leaves_the_outcome_unknown(
    machine: ThisMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(machine, VACUUM, "echo begun; sleep 60")
    stuck = ProbeOutput(text="running 0 4711\n")
    monkeypatch.setattr(RemoteJobs, "stop", lambda jobs, host, name: jobs._asked(host, f"printf '{stuck.text}'"))

    with pytest.raises(UnknownError, match="process 4711 is still there"):
        night_jobs.stop_job(ENVIRONMENT, terminal("debug")[0], "debug", "")


class SomeHosts(RemoteJobs):
    """One host has a job, one does not answer, the others have none."""

    def running(self, host: str) -> tuple[RunningJob, ...]:
        if host == "debug":
            raise CutoverError("Connecting to debug failed: timed out.")
        runs = timedelta(minutes=12, seconds=5)
        return (RunningJob(host=host, name=VACUUM, pid=7, runs=runs, line="42 %"),) if host == "db-shard-3" else ()


def test_the_list_names_each_job_and_each_host_that_does_not_answer(
    machine: ThisMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, paper = terminal()
    night_jobs.show_jobs(ENVIRONMENT, operator)
    assert paper.getvalue() == "No job is running on any host.\n"

    @contextmanager
    def some(*_: object) -> Iterator[RemoteJobs]:
        yield SomeHosts(machine, SystemClock())

    monkeypatch.setattr(night_jobs, "remote_jobs", some)
    operator, paper = terminal()
    with pytest.raises(UnknownError, match=r"These hosts did not say .*\n  - Connecting to debug failed"):
        night_jobs.show_jobs(ENVIRONMENT, operator)
    [head, line, hint, _] = paper.getvalue().split("\n")
    assert re.fullmatch(r"db-shard-3: vacuum\.full of 2014-08-15, since \S+ \S+ UTC \(12:05\)", head)
    assert (line, hint) == ("  42 %", "inv cutover.attach HOST follows one, inv cutover.stop HOST ends one.")
