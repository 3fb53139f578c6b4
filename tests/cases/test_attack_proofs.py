"""Evidence that proves a step or holds an environment, and proved nothing: attacks on the runbook without a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from errors import LockedError
from inventory.load import FOLDER, load_file
from inventory.model import Environment
from inventory.platforms import Aws
from runbooks.cutover import plan_of
from runbooks.engine.live.lock import Holder, claimant, claimed
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts, read_history
from runbooks.engine.model.journal import Journal, Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.run import preflight
from tests.fakes import EVENING, SERVERS, FakeNight, FakeObjectStore, night_plan, rehearsal

NOW = EVENING + timedelta(hours=2)
DONE = (("maintenance.on", "control"), ("archiving.run", "debug"), ("vacuum.full", "db-master"))


def at_ec2() -> Environment:
    return replace(rehearsal(), aws=Aws(instances={"db-master": "i-0"}))


def printed(data: object) -> ProbeOutput:
    return ProbeOutput(text=json.dumps(data))


def backup(stamp: str) -> ProbeOutput:
    return printed({"path": "/b", "sha256": "ab", "finished_at": stamp, "verified": True})


def snapshot(stamp: str) -> ProbeOutput:
    return printed({"id": "s-1", "state": "completed", "finished_at": stamp})


def volume(stamp: str) -> ProbeOutput:
    return ProbeOutput(rows=(("v-1", "s-1", "completed", stamp, ""),))


def analyzed(stamp: str) -> ProbeOutput:
    return ProbeOutput(rows=((96_000_000, "public.users", datetime.fromisoformat(stamp)),))


def rebuild(stamp: str) -> ProbeOutput:
    return printed({"state": "finished", "finished_at": stamp})


STAMPED = {
    "a backup": (rehearsal, "backups.dump", backup),
    "a snapshot": (rehearsal, "snapshots.create", snapshot),
    "a snapshot at EC2": (at_ec2, "snapshots.create", volume),
    "a vacuum": (rehearsal, "vacuum.full", analyzed),
    "a rebuild": (rehearsal, "warehouse.rebuild", rebuild),
}


def proves(kind: str, stamp: datetime) -> bool:
    """True if the newest backup (snapshot, …) of that moment proves its step, at the present moment of the night."""
    environment, key, output = STAMPED[kind]
    journal = Journal(now=lambda: EVENING, operator="tester")
    journal.append(Kind.BEGAN, run="r", digest="d")
    for step, host in DONE:
        journal.append(Kind.RESULT, step=step, host=host, outcome="done", proof="")
    facts = Facts(now=NOW, history=read_history(journal.events))
    check = night_plan(environment()).step(key).tasks[0].checks[0]
    try:
        return check.judge((output(stamp.isoformat(timespec="seconds")),), facts).holds
    except Unreadable:
        return False


@pytest.mark.parametrize("kind", STAMPED)
def test_a_timestamp_of_this_minute_proves_its_step_though_clocks_differ_by_some_seconds(kind: str) -> None:
    assert proves(kind, NOW - timedelta(minutes=1))
    assert proves(kind, NOW + timedelta(seconds=20))


@pytest.mark.parametrize("kind", STAMPED)
def test_a_timestamp_in_the_future_proves_nothing(kind: str) -> None:
    assert not proves(kind, NOW + timedelta(hours=2))


def test_a_night_does_not_archive_on_backups_dated_in_the_future() -> None:
    fake_night = FakeNight()
    fake_night.production.backup = dict.fromkeys(SERVERS, EVENING + timedelta(hours=4))

    def looked_at(key: str) -> None:
        if key == "archiving.run":
            begun.append(sum("backup dump" in act for act in fake_night.production.acts))

    begun: list[int] = []
    fake_night.screen.at_step = looked_at
    fake_night.run()

    assert begun == [len(SERVERS)]


def holder(who: str, boot: str, pid: int) -> Holder:
    return Holder(who=who, where="ubuntu", pid=pid, born=f"{boot} 123456", what="running", since="21:00")


def test_a_machine_of_the_same_name_is_not_this_one() -> None:
    object_store, ann, ben = FakeObjectStore(), holder("ann", "boot-of-anns", 4711), holder("ben", "boot-of-bens", 99)

    with (
        claimed(object_store, ann, take_over="resume --take-over"),
        pytest.raises(LockedError, match="ann on ubuntu"),
        claimed(object_store, ben, take_over="resume --take-over"),
    ):
        pass


def test_an_operator_on_a_machine_of_the_same_name_sees_who_is_at_work() -> None:
    object_store, ann, ben = FakeObjectStore(), holder("ann", "boot-of-anns", 4711), holder("ben", "boot-of-bens", 99)

    with claimed(object_store, ann, take_over="resume --take-over"):
        assert claimant(object_store, ben).startswith("ann on ubuntu")


def plan(recipients: Sequence[str] | None = None) -> Plan:
    """The plan of production's next night, with its own recipients or others."""
    environment = load_file(FOLDER / "production.yaml")
    store = environment.store if recipients is None else replace(environment.store, recipients=tuple(recipients))
    assert environment.production
    return plan_of(replace(environment, store=store), next(iter(environment.nights)))


def test_a_plan_states_whether_archives_are_encrypted() -> None:
    assert plan().digest != plan(()).digest
    assert plan().changed_from(plan(()).lines)


def test_the_prompt_for_the_date_states_whether_archives_are_encrypted() -> None:
    assert plan().step("archiving.run").warning != plan(()).step("archiving.run").warning


def test_preflight_reports_a_production_that_encrypts_nothing() -> None:
    def findings(recipients: Sequence[str]) -> list[str]:
        store = replace(rehearsal().store, recipients=tuple(recipients))
        fake_night = FakeNight(plan=night_plan(replace(rehearsal(), production=True, store=store)))
        found = preflight.examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)
        return [str(one) for one in found if one.stops or one.warns]

    own_recipients = load_file(FOLDER / "production.yaml").store.recipients
    assert own_recipients
    assert set(findings(())) - set(findings(own_recipients))
