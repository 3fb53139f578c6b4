"""The whole night on a real lab: stopped, killed, cut off and taken over in the middle, and nothing done twice."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from errors import ExitCode
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from tests.conductor import GO_ON, TAKE_OVER
from tests.conftest import Counted
from tests.fakes import SERVERS, night_plan
from tests.nights import Machine, Night, all_moments, started

Process = subprocess.Popen[str]
KEYS = [step.key for step in night_plan().steps]


@pytest.fixture(scope="module")
def night() -> Iterator[Night]:
    with started("db-shard-1", "db-shard-3") as night:
        yield night


def test_a_night_full_of_trouble_ends_done_and_nothing_was_done_twice(night: Night, counted: Counted) -> None:
    killed_thrice_and_stopped_by_a_failing_check(night)
    a_host_that_never_answers(night)
    ssh_server_stopped_in_the_middle_of_a_backup(night)
    laptop = night.machine
    with night.held_up("db-shard-1", "inv", "databases.vacuum"):
        asleep, process = taken_over_in_the_middle_of_archiving(night)
        ssh_server_stopped_in_the_middle_of_a_vacuum(night, process)
    and_started_again(night, process)
    code, out, err = night.conduct_killed(sample(KEYS[9:]))

    assert (code, err) == (0, "")
    assert "16/16 Data warehouse rebuild" in out
    assert "everything is back on" in out
    assert night.spared == []
    assert night.faults() == []
    assert night.jobs("archiving.run") == ["debug.1"]
    for step in ("backups.dump", "backups.transfer", "vacuum.full"):
        assert night.jobs(step) == [f"{host}.1" for host in SERVERS]
    the_laptop_that_wakes_again_stops(night, laptop, asleep)
    counted("kills of a night on a lab", night.kills)


def killed_thrice_and_stopped_by_a_failing_check(night: Night) -> None:
    """A server on which the schedule can't be taken out stops the night at step 4, which says where."""
    program = night.home / "hosts/db-shard-2/bin/auto-backup"
    kept = program.rename(program.with_name("auto-backup.kept"))
    program.write_text(f'#!/bin/sh\n[ "$1" = off ] && exit 0\nexec {kept} "$@"\n')
    program.chmod(0o755)
    code, out, err = night.conduct_killed(sample(KEYS[:3]))
    kept.rename(program)

    assert code == 1
    assert "10: Step 4 of 16, Disable auto-backup, failed" in err
    assert "db-shard-2: failed: auto-backup is enabled, expected disabled" in err
    assert " 5/16" not in out
    assert "auto-backup: db-master, db-shard-1, db-shard-2" in out
    assert night.spared == []


def a_host_that_never_answers(night: Night) -> None:
    """It accepts connections and says nothing: its sisters are done, and the night stops at its step."""
    with night.held_up("db-shard-4", "auto-backup", "off"):
        process = night.begin()
        night.await_act("db-shard-4", "auto-backup off", process)
        night.relays["db-shard-3"].start(silent=True)
    code, _, err = night.ended(process)

    assert code == 1
    assert "12: Step 5 of 16, DB backup, has an unknown outcome" in err
    assert "db-shard-3: unknown: Connecting to db-shard-3" in err
    assert "failed: no greeting of an SSH server within 3 s" in err
    assert outcomes(night, "backups.dump") == dict.fromkeys(SERVERS, Outcome.DONE) | {"db-shard-3": Outcome.UNKNOWN}
    night.relays["db-shard-3"].start()


def ssh_server_stopped_in_the_middle_of_a_backup(night: Night) -> None:
    """The runner dies, too. While the server is down the outcome is unknown; when it is up again it is settled."""
    with night.held_up("db-shard-3", "backup", "dump"):
        process = night.begin()
        night.await_act("db-shard-3", "backup dump", process)
        night.relays["db-shard-3"].stop()
        night.kill(process)
        code, _, err = night.conduct()
        assert code == 1
        assert "12: Step 5 of 16, DB backup, has an unknown outcome" in err
    night.relays["db-shard-3"].start()


def taken_over_in_the_middle_of_archiving(night: Night) -> tuple[Process, Process]:
    """The runner of a laptop that falls asleep, and the one of a colleague who resumes at another machine."""
    with night.held_up("debug", "inv", "archive.all"):
        killed = night.begin()
        night.await_act("debug", "inv archive.all", killed)
        night.kill(killed)  # what it began goes on without it
        asleep = night.begin()
        night.await_intents("archiving.run", 2, asleep)
        asleep.send_signal(signal.SIGSTOP)

        night.machine = night.another_machine("desk")
        refused_while_another_is_at_work(night)
        process = night.begin(GO_ON, TAKE_OVER)
        night.await_intents("archiving.run", 3, process)
    return asleep, process


def refused_while_another_is_at_work(night: Night) -> None:
    """No other run resumes it by mistake, nor begins it afresh."""
    for words in ((GO_ON,), ()):
        _, _, said = night.conduct(*words)
        assert said.startswith(f"{ExitCode.LOCKED.value}: Another run is at work in this environment: ")
        assert f" on {socket.gethostname()}, resuming Cutover of 2014-08-15 in rehearsal" in said
        assert "inv cutover.resume --date=2014-08-15 --env=rehearsal --take-over" in said
    assert not night.events


def ssh_server_stopped_in_the_middle_of_a_vacuum(night: Night, process: Process) -> None:
    """The host is out of sight while it works."""
    night.await_act("db-shard-1", "inv databases.vacuum", process)
    night.relays["db-shard-1"].stop()


def and_started_again(night: Night, process: Process) -> None:
    """The runner goes on as if nothing had happened; it is killed just after."""
    night.relays["db-shard-1"].start()
    night.await_result("db-shard-1", "vacuum.full", process)
    assert "Taken over from" in night.kill(process)
    assert outcomes(night, "vacuum.full")["db-shard-1"] is Outcome.DONE


def the_laptop_that_wakes_again_stops(night: Night, laptop: Machine, asleep: Process) -> None:
    """The colleague has all that it had seen; what it was waiting for is over, and its next word is refused."""
    before = night.events
    assert before[: len(laptop.events)] == laptop.events
    asleep.send_signal(signal.SIGCONT)
    _, _, said = night.ended(asleep)
    assert said.startswith(f"{ExitCode.LOCKED.value}: This run was taken over: "), said
    assert "@desk since" in said
    assert (asleep.returncode, laptop.events[-1].step) == (1, "archiving.run")
    assert night.conduct()[0] == 0
    assert [event.kind for event in night.events[len(before) :]] == [Kind.RESUMED, Kind.ENDED]


def outcomes(night: Night, step: str) -> dict[str, Outcome]:
    """Return the outcomes of a step by server."""
    history = read_history(night.events)
    return {host: history.task_state(step, host).outcome for host in SERVERS}


def sample(steps: list[str]) -> list[str]:
    """A moment of each of some of these steps."""
    chance, moments = random.Random(2014), all_moments()
    return [chance.choice([moment for moment in moments if f" {step} " in moment]) for step in chance.sample(steps, 3)]
