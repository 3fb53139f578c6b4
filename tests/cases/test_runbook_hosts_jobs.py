"""Jobs whose host has no room for their end, and jobs that say a great deal; by the real scripts, on this machine."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from errors import CutoverError
from rehearsal.waiting import await_condition
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.job_scripts import start_script
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DetachedJob, ProbeOutput, RemoteCommand
from tests.unit.test_jobs import NAME, ThisMachine

SILENCE = timedelta(seconds=0.5)  # of a host, after which a job is of unknown outcome: ten minutes in a night
ROUND_TRIPS = 60  # a host on the other side of the ocean answers a hundred short commands in ten seconds
HUGE = 27  # million bytes of log
LINE = 200  # characters of a line that is told in an error, and as much for the sentence around it


class Strict(ThisMachine):
    """Commands whose write to a full disk fails, as it does for every program, and does not kill them."""

    def run(self, command: RemoteCommand) -> ProbeOutput:
        return super().run(RemoteCommand(host=command.host, command=f"trap '' XFSZ; {command.command}"))


@dataclass
class Counting(ThisMachine):
    """Commands of which a test has only so many."""

    left: int = ROUND_TRIPS

    def run(self, command: RemoteCommand) -> ProbeOutput:
        self.left -= 1
        if self.left < 0:
            pytest.fail(f"more than {ROUND_TRIPS} round trips")
        return super().run(command)


def job(command: str) -> DetachedJob:
    return DetachedJob(host="db-master", command=command, timeout=timedelta(seconds=30))


@pytest.fixture
def full(tmp_path: Path) -> RemoteJobs:
    """A host whose disk became full while a job ran there, which has ended since."""
    ssh = Strict(tmp_path)
    waiting = "echo begun; while [ ! -e go ]; do sleep 0.02; done"
    ssh.run(RemoteCommand(host="db-master", command=start_script(NAME, waiting, {})))
    pid = int((tmp_path / ".cutover/jobs" / NAME / "pid").read_text().split()[0])
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0))  # of the one that writes down how the job ended
    (tmp_path / "go").touch()
    jobs = RemoteJobs(ssh, SystemClock(), silence=SILENCE)
    await_condition(lambda: _is_gone(pid), doing="Waiting for the end of a job", seconds=20)
    return jobs


def _is_gone(pid: int) -> bool:
    """True if a process has ended, reaped or not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_job_whose_end_could_not_be_written_is_lost_at_once(full: RemoteJobs) -> None:
    told: list[str] = []
    try:
        output = full.run(job("never run"), NAME, told.append)
    except CutoverError as error:
        assert isinstance(error, JobLost), f"{error}: {told}"
    else:
        assert output.code != 0


def test_a_job_whose_end_could_not_be_written_is_inspected_and_stopped(full: RemoteJobs) -> None:
    for ask in (full.look, full.stop):
        try:
            state = ask("db-master", NAME)
        except CutoverError as error:
            pytest.fail(str(error))
        assert not state.running
        assert state.line in ("", "begun")


class Babbling(ThisMachine):
    """A host that answers every question with a line of a log."""

    def run(self, command: RemoteCommand) -> ProbeOutput:
        return ProbeOutput(text="exited 0 " + "row after row " * 400)


def test_an_unusable_answer_is_reported_up_to_the_length_of_a_line(tmp_path: Path) -> None:
    for ask in (RemoteJobs(Babbling(tmp_path), SystemClock()).look, RemoteJobs(Babbling(tmp_path), SystemClock()).stop):
        with pytest.raises(CutoverError, match="db-master") as told:
            ask("db-master", NAME)
        assert len(str(told.value)) <= 2 * LINE


def test_the_end_of_a_huge_log_is_reported_soon_after_the_job_has_ended(tmp_path: Path) -> None:
    """Only the end of a log is kept, so what is far behind may be left out."""
    line = "row after row after row, and so on to the end of it"
    command = f"yes '{line}' | head -c {HUGE}000000; echo; echo the end"
    output = RemoteJobs(Counting(tmp_path), SystemClock()).run(job(command), NAME, lambda line: None)
    assert (output.code, output.text.splitlines()[-1]) == (0, "the end")


def test_progress_that_overwrites_its_own_line_is_reported(tmp_path: Path) -> None:
    told: list[str] = []
    command = "printf '10 %%\\r20 %%\\r'; printf '30 %%\\r'; echo; echo done"
    RemoteJobs(ThisMachine(tmp_path), SystemClock()).run(job(command), NAME, told.append)
    assert [line.strip() for line in told if line.strip()][-2:] == ["30 %", "done"]
