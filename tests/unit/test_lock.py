"""One run per environment: the second is told which run has it, and a dead holder holds nothing."""

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
from runbooks.engine.live import lock
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console
from runbooks.engine.live.lock import Holder, born, claimant, claimed, holder, machine_lock
from runbooks.night import files as night_files
from runbooks.night import run
from tests.fakes import FakeNight, FakeObjectStore, rehearsal

ABOUT = Holder(who="chris", where="laptop", pid=4711, born="monday 1", what="running the night", since="22:00")
HOLDER = """
import sys, time
from pathlib import Path
from runbooks.engine.live import lock
from runbooks.engine.live.lock import Holder, machine_lock
with machine_lock(Path(sys.argv[1]), Holder(who="kim", where="desk", pid=1, born="", what="running", since="21:00")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_names_its_holder_and_is_released(tmp_path: Path) -> None:
    path = tmp_path / "rehearsal" / "lock"
    assert holder(path) == ""
    with machine_lock(path, ABOUT):
        assert holder(path) == "chris on laptop, running the night, since 22:00 (process 4711)"
        with pytest.raises(LockedError, match="chris on laptop") as locked, machine_lock(path, ABOUT):
            pass
        assert locked.value.exit_code is ExitCode.LOCKED
    assert holder(path) == ""
    with machine_lock(path, ABOUT):
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
    with machine_lock(path, ABOUT):
        pass


def myself(**changes: str | int) -> Holder:
    me = Holder(who="chris", where="laptop", pid=os.getpid(), born=born(os.getpid()), what="running", since="22:00")
    return replace(me, **changes)  # type: ignore[arg-type]


def test_two_machines_do_not_run_in_one_environment() -> None:
    object_store, kim = FakeObjectStore(), myself(who="kim", where="desk")
    with claimed(object_store, myself(), take_over="resume --take-over") as before:
        assert before is None
        assert claimant(object_store, kim).startswith("chris on laptop, running, since 22:00")
        with (
            pytest.raises(LockedError, match="at work in this environment: chris on laptop") as locked,
            claimed(object_store, kim, take_over="resume --take-over"),
        ):
            pass
    assert locked.value.exit_code is ExitCode.LOCKED
    assert "If that machine is gone for good:  resume --take-over" in locked.value.hint
    assert claimant(object_store, kim) == ""
    with claimed(object_store, kim, take_over="") as before:
        assert before is None


def test_the_lock_of_a_dead_holder_on_this_machine_is_taken_over_silently() -> None:
    boot = born(os.getpid()).partition(" ")[0]
    object_store, dead = FakeObjectStore(), myself(born=f"{boot} 17")
    object_store.put_new("lock/00000001", dead.to_json())
    assert claimant(object_store, myself()) == ""
    with claimed(object_store, myself(), take_over="") as before:
        assert before == dead


@pytest.mark.parametrize("unknown", ["another-boot 17", ""])
def test_a_holder_of_another_boot_may_be_another_machine_of_the_same_name(unknown: str) -> None:
    object_store, other = FakeObjectStore(), myself(born=unknown, who="kim")
    object_store.put_new("lock/00000001", other.to_json())
    assert claimant(object_store, myself()).startswith("kim on laptop")
    with pytest.raises(LockedError, match="kim on laptop"), claimed(object_store, myself(), take_over=""):
        pass
    with claimed(object_store, myself(), take_over="", ousting=True) as before:
        assert before == other


def test_a_holder_elsewhere_is_ousted_only_on_demand_and_its_release_does_not_count() -> None:
    object_store = FakeObjectStore()
    laptop = claimed(object_store, myself(), take_over="")
    laptop.__enter__()
    with claimed(object_store, myself(who="kim", where="desk"), take_over="", ousting=True) as before:
        assert before == myself()
        laptop.__exit__(None, None, None)
        assert claimant(object_store, myself()).startswith("kim on desk")
    assert claimant(object_store, myself()) == ""


class RacedStore(FakeObjectStore):
    """An object store in which another run puts a claim while we are still reading."""

    def names(self, start: str) -> list[str]:
        names = super().names(start)
        self.texts.setdefault("lock/00000001", myself(who="kim").to_json())
        return names


def test_one_of_two_runs_that_see_a_free_environment_gets_it() -> None:
    with pytest.raises(LockedError, match="kim on laptop"), claimed(RacedStore(), myself(), take_over=""):
        pass


def test_a_lab_is_not_taken_from_under_a_run(tmp_path: Path) -> None:
    environment = replace(rehearsal(), state=str(tmp_path))
    night_files.refuse_if_at_work(environment)
    with (
        machine_lock(tmp_path / "rehearsal" / "lock", ABOUT),
        pytest.raises(LockedError, match="Another run is active in rehearsal"),
    ):
        night_files.refuse_if_at_work(environment)


def test_without_a_lab_a_rehearsal_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path / "nowhere"))
    environment, fake_night, clock = replace(rehearsal(), state=str(tmp_path)), FakeNight(), SystemClock()
    cast = run.Terminal(clock, Console(clock=clock), fake_night.person)
    with pytest.raises(UsageError, match="The rehearsal is not up"):
        run.run(environment, fake_night.plan, cast)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_journal_is_set_aside_and_kept(tmp_path: Path) -> None:
    files = night_files.Files(replace(rehearsal(), state=str(tmp_path)), "2014-08-15")
    files.set_aside()  # there is none
    files.journal.parent.mkdir(parents=True)
    files.journal.write_text("an earlier night")
    os.utime(files.journal, (0, 0))
    files.set_aside()
    assert not files.journal.exists()
    assert [path.name for path in files.journal.parent.iterdir()] == ["journal-19700101T000000000000.jsonl"]


def test_a_process_that_the_machine_hides_is_not_a_dead_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc shows each user only processes of their own."""
    me, object_store = myself(), FakeObjectStore()
    monkeypatch.setattr(lock, "born", lambda pid: "")
    object_store.put_new("lock/00000001", myself(who="kim").to_json())
    assert claimant(object_store, me).startswith("kim on laptop")
    monkeypatch.setattr(os, "kill", gone)
    assert claimant(object_store, me) == ""


def gone(pid: int, number: int) -> None:
    raise ProcessLookupError


def test_a_note_of_a_version_that_did_not_write_the_namespace_is_not_taken_for_dead() -> None:
    object_store, boot = FakeObjectStore(), born(os.getpid()).partition(" ")[0]
    me = replace(myself(), born=lock.this_process())
    object_store.put_new("lock/00000001", replace(me, born=f"{boot} 17").to_json())
    assert claimant(object_store, me).startswith("chris on laptop")


@pytest.mark.parametrize(
    "note", ['{"pid": "x", "who": 4}', '{"pid": -1}', "null", "\udce9"], ids=["words", "pid", "null", "bytes"]
)
def test_a_note_that_no_version_wrote_is_an_unknown_holder(note: str) -> None:
    object_store = FakeObjectStore()
    object_store.put_new("lock/00000001", note)
    object_store.put_new("lock/README", "put here by hand")
    assert "on an unknown machine, at work, since an unknown time (process 0)" in claimant(object_store, myself())
