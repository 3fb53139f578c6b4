"""One run per environment: the second says who has it, and a dead holder holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from errors import ExitCode, LockedError, UsageError
from inventory.load import ROOT
from runbooks import night
from runbooks.engine.clock import SystemClock
from runbooks.engine.console import Console
from runbooks.engine.lock import held, holder
from tests.fakes import Theatre, rehearsal

ABOUT = {"who": "chris", "where": "laptop", "pid": "4711", "what": "running the night", "since": "22:00"}
HOLDER = """
import sys, time
from pathlib import Path
from runbooks.engine.lock import held
with held(Path(sys.argv[1]), {"who": "kim", "where": "desk", "pid": "1", "what": "running", "since": "21:00"}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_says_who_holds_it_and_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "rehearsal" / "lock"
    assert holder(path) == ""
    with held(path, ABOUT):
        assert holder(path) == "chris on laptop, running the night, since 22:00 (process 4711)"
        with pytest.raises(LockedError, match="chris on laptop") as locked, held(path, {}):
            pass
        assert locked.value.exit_code is ExitCode.LOCKED
    assert holder(path) == ""
    with held(path, ABOUT):
        pass


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder(path).startswith("kim on desk")
        process.send_signal(signal.SIGKILL)
    assert holder(path) == ""
    with held(path, ABOUT):
        pass


def test_a_lab_is_not_taken_from_under_a_run(tmp_path: Path) -> None:
    environment = replace(rehearsal(), state=str(tmp_path))
    night.refuse_if_at_work(environment)
    with (
        held(tmp_path / "rehearsal" / "lock", ABOUT),
        pytest.raises(LockedError, match="Somebody is at work in rehearsal"),
    ):
        night.refuse_if_at_work(environment)


def test_without_a_lab_a_rehearsal_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path / "nowhere"))
    environment, theatre, clock = replace(rehearsal(), state=str(tmp_path)), Theatre(), SystemClock()
    cast = night.Cast(clock, Console(clock=clock), theatre.person)
    with pytest.raises(UsageError, match="The rehearsal is not up"):
        night.run(environment, theatre.plan, cast)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_journal_is_set_aside_and_kept(tmp_path: Path) -> None:
    files = night.Files(replace(rehearsal(), state=str(tmp_path)), "2014-08-15")
    files.set_aside()  # there is none
    files.journal.parent.mkdir(parents=True)
    files.journal.write_text("an earlier night")
    os.utime(files.journal, (0, 0))
    files.set_aside()
    assert not files.journal.exists()
    assert [path.name for path in files.journal.parent.iterdir()] == ["journal-19700101T000000000000.jsonl"]
