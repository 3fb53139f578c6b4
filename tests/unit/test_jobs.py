"""Detached jobs, by the real shell scripts run on this machine: begun once, followed to the end, attached to again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from errors import CutoverError, UnknownError
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.job_scripts import BEHIND, CHUNK, news_script, start_script, stop_script
from runbooks.engine.live.jobs import News, RemoteJobs, job_name, read_news
from runbooks.engine.model.actions import DetachedJob, ProbeOutput, RemoteCommand
from runbooks.engine.model.ports import JobState
from runbooks.engine.model.probe_output import last_lines
from tests.fakes import FakeNight

NAME = "run.vacuum.full.db-master.1"


@dataclass
class ThisMachine:
    """Commands run here, with a home of their own; each may fail before or after it took effect."""

    home: Path
    fails: int = 0

    def run(self, command: RemoteCommand) -> ProbeOutput:
        if self.fails:
            self.fails -= 1
            raise UnknownError("The connection was lost.")
        variables = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        ended = subprocess.run(["sh", "-c", command.command], env=variables, capture_output=True, check=False)
        return ProbeOutput(code=ended.returncode, text=ended.stdout.decode(), error=ended.stderr.decode())

    def close(self) -> None:
        """There is no connection."""


class Tearing(SystemClock):
    """A clock at whose first pause the connection is lost, twice or more often."""

    def __init__(self, ssh: ThisMachine, losses: int = 2) -> None:
        super().__init__()
        self._ssh = ssh
        self._losses = losses

    def wait(self, pause: timedelta) -> None:
        self._ssh.fails, self._losses = self._losses, 0
        super().wait(pause)


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[ThisMachine]:
    yield ThisMachine(tmp_path)
    for pid in tmp_path.glob(".cutover/jobs/*/pid"):
        _kill(int(pid.read_text().split()[0]))


@pytest.fixture
def jobs(ssh: ThisMachine) -> RemoteJobs:
    return RemoteJobs(ssh, SystemClock())


def job(command: str, seconds: float = 20) -> DetachedJob:
    return DetachedJob(host="db-master", command=command, timeout=timedelta(seconds=seconds))


def test_a_job_runs_to_its_end_and_its_log_is_reported_line_by_line(jobs: RemoteJobs) -> None:
    told: list[str] = []
    output = jobs.run(job("echo one; echo two >&2; printf three; exit 7"), NAME, told.append)
    assert (output.code, output.text) == (7, "one\ntwo\nthree")
    assert told == ["one", "two", "three"]


def test_the_same_name_attaches_and_another_name_starts_a_new_job(jobs: RemoteJobs, tmp_path: Path) -> None:
    count = job(f"echo x >> {tmp_path}/count")
    for name in (NAME, NAME, "run.vacuum.full.db-master.2"):
        assert jobs.run(count, name, print).code == 0
    assert (tmp_path / "count").read_text() == "x\nx\n"


def test_many_starters_at_once_begin_it_once(ssh: ThisMachine, tmp_path: Path) -> None:
    start = RemoteCommand(host="here", command=start_script(NAME, f"sleep 0.2; echo x >> {tmp_path}/count", {}))
    with ThreadPoolExecutor(8) as pool:
        codes = [output.code for output in pool.map(ssh.run, [start] * 8)]
    assert codes == [0] * 8
    assert RemoteJobs(ssh, SystemClock()).run(job("never run"), NAME, print).code == 0
    assert (tmp_path / "count").read_text() == "x\n"


def test_a_lost_link_is_survived(ssh: ThisMachine, tmp_path: Path) -> None:
    told: list[str] = []
    jobs = RemoteJobs(ssh, Tearing(ssh))
    output = jobs.run(job("sleep 0.5; echo done"), NAME, told.append)
    assert output.text == "done\n"
    assert any("no news from db-master, trying again: The connection was lost." in line for line in told)


def test_a_host_that_stays_silent_leaves_an_unknown_outcome_and_the_job_is_attached_to_later(
    ssh: ThisMachine, tmp_path: Path
) -> None:
    count = job(f"sleep 0.5; echo x >> {tmp_path}/count")
    with pytest.raises(UnknownError, match=r"on db-master is unknown: no news for 0:00:00\.3"):
        RemoteJobs(ssh, Tearing(ssh, 1000), silence=timedelta(seconds=0.3)).run(count, NAME, print)
    ssh.fails = 0
    assert RemoteJobs(ssh, SystemClock()).run(count, NAME, print).code == 0
    assert (tmp_path / "count").read_text() == "x\n"


def test_a_job_that_was_killed_is_lost_and_never_counts_as_done(
    ssh: ThisMachine, jobs: RemoteJobs, tmp_path: Path
) -> None:
    assert ssh.run(RemoteCommand(host="here", command=start_script(NAME, "sleep 60", {}))).code == 0
    pid = int((tmp_path / ".cutover/jobs" / NAME / "pid").read_text().split()[0])
    os.killpg(pid, signal.SIGKILL)
    with pytest.raises(JobLost, match="left no exit status"):
        jobs.run(job("never run"), NAME, print)


def test_a_job_that_takes_too_long_is_left_running(jobs: RemoteJobs, tmp_path: Path) -> None:
    with pytest.raises(UnknownError, match="has not ended") as unknown:
        jobs.run(job("sleep 30", seconds=0.5), NAME, print)
    assert f"Its log there: ~/.cutover/jobs/{NAME}/log" in str(unknown.value)
    assert "inv cutover.attach db-master" in unknown.value.hint
    pid = int((tmp_path / ".cutover/jobs" / NAME / "pid").read_text().split()[0])
    os.kill(pid, 0)


def test_a_job_that_cannot_begin_is_a_failure(ssh: ThisMachine) -> None:
    (ssh.home / ".cutover").write_text("in the way")
    with pytest.raises(CutoverError, match="Starting a job on db-master failed"):
        RemoteJobs(ssh, SystemClock()).run(job("true"), NAME, print)


def test_a_long_log_arrives_complete_and_its_end_is_kept(jobs: RemoteJobs) -> None:
    told: list[str] = []
    output = jobs.run(job("seq 1 60000"), NAME, told.append)
    assert told == [str(number) for number in range(1, 60001)]
    assert len("\n".join(told)) > 4 * CHUNK
    assert output.text.endswith("59999\n60000\n")


def test_of_a_long_log_the_failures_are_kept_with_the_end(jobs: RemoteJobs) -> None:
    """The table that failed, and the reason, stand far above the summary."""
    failures = "\n".join(f"master public.t{number}: FAILED, lock timeout" for number in range(5))
    output = jobs.run(job(f"echo '{failures}'; seq 1 2000; echo 5 FAILED; exit 10"), NAME, print)

    assert last_lines(output.text) == (
        "master public.t0: FAILED, lock timeout / master public.t1: FAILED, lock timeout / "
        "master public.t2: FAILED, lock timeout / 1999 / 2000 / 5 FAILED"
    )


def test_of_a_log_that_is_far_ahead_failures_and_the_end_are_reported(jobs: RemoteJobs) -> None:
    told: list[str] = []
    huge = f"yes row | head -c {2 * BEHIND}"
    output = jobs.run(job(f"{huge}; echo; echo t1: FAILED, lock timeout; {huge}; echo; echo end"), NAME, told.append)

    assert last_lines(output.text).startswith("t1: FAILED, lock timeout / ")
    assert (told[-1], output.text.endswith("row\n\nend\n")) == ("end", True)
    assert any("bytes are left out here" in line for line in told)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (r"1 of 9\r2 of 9\r", ["2 of 9"]),
        (r"one\r\ntwo\r\n", ["one", "two"]),
        (r"t1: FAILED\r2 of 9\rdone\n", ["done"]),
        (r"\r\r\n", []),
    ],
    ids=["progress", "CRLF", "failure", "nothing"],
)
def test_of_a_line_that_is_written_over_its_last_words_are_told(
    jobs: RemoteJobs, log: str, expected: list[str]
) -> None:
    told: list[str] = []
    output = jobs.run(job(f"printf '{log}'"), NAME, told.append)

    assert told == expected
    assert ("FAILED" in output.text) == ("FAILED" in log)


def test_progress_is_told_while_it_lasts(jobs: RemoteJobs, tmp_path: Path) -> None:
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        (tmp_path / "go").touch()

    jobs.run(job("printf '1 of 9\\r'; while [ ! -e go ]; do sleep 0.02; done; echo done"), NAME, tell)

    assert told == ["1 of 9", "done"]


def test_a_job_is_not_stopped_for_good_where_there_is_no_room_to_note_it(ssh: ThisMachine) -> None:
    """It would begin when an interrupted start of it gets through."""
    limited = RemoteCommand(host="here", command=f"trap '' XFSZ; ulimit -f 0; {stop_script(NAME)}")

    output = ssh.run(limited)

    assert (output.code, output.text) == (1, "")
    assert "no room" in output.error


@pytest.mark.parametrize("pid", ["", "\n", "12"], ids=["empty", "blank", "half"])
def test_a_claim_that_was_written_in_part_is_of_no_running_job(ssh: ThisMachine, jobs: RemoteJobs, pid: str) -> None:
    folder = ssh.home / ".cutover/jobs" / NAME
    folder.mkdir(parents=True)
    (folder / "pid").write_text(pid)

    assert jobs.look("here", NAME).state == "lost"
    (folder / "pid").unlink()


def test_a_failed_job_is_reported_with_its_last_lines_and_the_place_of_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_night = FakeNight()
    output = ProbeOutput(code=10, text="begun\nmaster attempts: FAILED, timeout\none\ntwo\nhint: look there\n")
    monkeypatch.setattr(fake_night.jobs, "run", lambda *_: output)

    assert fake_night.executor.act(job("inv x"), NAME, print).sentence == (
        "on db-master, detached: inv x exited 10: master attempts: FAILED, timeout / one / two / hint: look there; "
        f"its log there: ~/.cutover/jobs/{NAME}/log"
    )


@pytest.mark.parametrize(
    "command", ['echo "it\'s" \'$HOME\' "a b"', "echo @name@ @command@ '\\n'", "echo 'é'\necho two"]
)
def test_a_command_arrives_as_it_was_written(jobs: RemoteJobs, command: str) -> None:
    expected = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.decode()
    assert jobs.run(job(command), NAME, lambda line: None).text == expected


def test_a_job_has_its_variables_and_begins_at_home(ssh: ThisMachine) -> None:
    hostile = 'o\'brien; $(x) `y` "z" *'
    jobs = RemoteJobs(ssh, SystemClock(), {"CUTOVER_OPERATOR": hostile})
    assert jobs.run(job('echo "$CUTOVER_OPERATOR"; pwd'), NAME, print).text == f"{hostile}\n{ssh.home}\n"


def test_the_name_contains_run_step_host_and_attempt_and_is_a_file_name() -> None:
    assert (
        job_name("rehearsal-2014-08-15-ab", "vacuum.full", "db 1/x", 2)
        == "rehearsal-2014-08-15-ab.vacuum.full.db_1_x.2"
    )


def test_a_missing_job_is_reported_as_such(ssh: ThisMachine) -> None:
    output = ssh.run(RemoteCommand(host="here", command=news_script("nothing", 0)))
    assert read_news(output.text) == News(state="absent")


@pytest.mark.parametrize(
    "command",
    ["echo begun; sleep 60; true", "trap '' INT TERM; echo begun; sleep 60 & sleep 60"],
    ids=["willing", "stubborn"],
)
def test_a_running_job_is_seen_and_stopped_with_all_its_processes(
    ssh: ThisMachine, jobs: RemoteJobs, command: str
) -> None:
    ssh.run(RemoteCommand(host="here", command=start_script(NAME, command, {})))
    while not (seen := jobs.look("here", NAME)).line:
        assert seen.running
    assert (seen.state, seen.line, seen.pid in session(seen.pid)) == ("running", "begun", True)

    assert not jobs.stop("here", NAME).running
    assert session(seen.pid) == []
    assert not jobs.look("here", NAME).running


def test_a_job_that_ended_is_not_touched_by_a_stop(ssh: ThisMachine, jobs: RemoteJobs) -> None:
    jobs.run(job("echo two words; exit 7"), NAME, print)
    for state in (jobs.look("here", NAME), jobs.stop("here", NAME)):
        assert (state.state, state.code) == ("exited", 7)


def test_a_process_that_only_has_the_pid_of_a_job_is_not_stopped(ssh: ThisMachine, jobs: RemoteJobs) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        folder = ssh.home / ".cutover/jobs" / NAME
        folder.mkdir(parents=True)
        (folder / "pid").write_text(f"{other.pid} 1\n")
        assert jobs.stop("here", NAME).state == "lost"
        assert other.poll() is None
        other.kill()
    (folder / "pid").unlink()  # its number may be another process's by now


def test_a_job_that_was_stopped_before_it_began_never_begins(
    ssh: ThisMachine, jobs: RemoteJobs, tmp_path: Path
) -> None:
    assert jobs.look("here", NAME) == JobState(state="absent")
    assert jobs.stop("here", NAME).state == "lost"
    with pytest.raises(JobLost):
        jobs.run(job(f"echo x >> {tmp_path}/count"), NAME, print)
    assert not (tmp_path / "count").exists()


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(") ")[2].split()[:4]
            found += [int(stat.parent.name)] if int(session) == leader and state != "Z" else []
    return found


def _kill(pid: int) -> None:
    if not pid:  # claimed by a stop
        return
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
