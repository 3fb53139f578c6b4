"""Work sent to the debug host, and an operator who leaves it there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import ExitCode, UnknownError
from inventory.load import load
from runbooks.cli import debug_host as there
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DetachedJob, ProbeOutput


def test_who_waits_for_work_that_is_gone_is_told_how_it_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(jobs: RemoteJobs, job: DetachedJob, name: str, tell: Callable[[str], None]) -> ProbeOutput:
        raise JobLost(f"The job {name} on {job.host} is gone and left no exit status.")

    monkeypatch.setattr(RemoteJobs, "run", gone)

    with pytest.raises(UnknownError, match=r"on debug is gone") as left:
        there.forward(load("staging"), "shards.merge")

    assert left.value.hint == "What it did is settled by the same command again."


def test_ctrl_c_says_that_the_work_on_the_debug_host_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(jobs: RemoteJobs, job: DetachedJob, name: str, tell: Callable[[str], None]) -> ProbeOutput:
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteJobs, "run", interrupted)

    with pytest.raises(there.LeftThere, match=r"does not stop shards\.show on debug") as left:
        there.forward(load("staging"), "shards.show")

    assert left.value.exit_code is ExitCode.INTERRUPTED
    assert "tail -f ~/.cutover/jobs/shards.show." in left.value.hint
