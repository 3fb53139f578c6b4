"""Step 12.4: the old farm is made smaller by a person or by EC2, proven, and owed from the cut-over on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from errors import CutoverError
from inventory.model import Environment
from inventory.platforms import Aws, OldFarm
from platforms import ec2_size
from platforms.progress import State
from runbooks.cutover import plan_of
from runbooks.engine.model.debts import DebtLeft, owed
from runbooks.engine.model.ports import Choice
from runbooks.engine.reporting.plan_markdown import rendered
from tests.fakes import NIGHT, NIGHT_2013, FakeNight, night_plan, rehearsal, rehearsal_night

FARM = OldFarm(instance="i-0f", type="t3.small")


def with_farm(**changes: Any) -> Environment:
    return replace(rehearsal(), warehouse=replace(rehearsal_night().warehouse, shrink=None), **changes)


def test_a_person_shrinks_the_farm_after_the_names_have_moved_and_a_probe_proves_it() -> None:
    fake_night = FakeNight()
    seen: list[str] = []
    fake_night.screen.at_step = lambda key: seen.extend(
        str(debt) for debt in owed(fake_night.journal.events) if key == "warehouse.shrink" and "farm" in debt.what
    )

    fake_night.run()

    acts = fake_night.production.acts
    assert seen == ["shrinking the old farm (warehouse-old)"]
    assert acts.index("warehouse-old: ttmscalr resize:small -f warehouse-old") == len(acts) - 10
    proof = fake_night.context.history().task_state("warehouse.shrink", "warehouse-old").proof
    assert proof == "the old farm's size is small"


def test_a_night_that_skips_it_still_owes_it() -> None:
    fake_night = FakeNight()
    fake_night.person.script["perform warehouse.shrink warehouse-old"] = [Choice.SKIP]

    with pytest.raises(DebtLeft, match="shrinking the old farm"):
        fake_night.run()


def test_ec2_does_and_proves_it_without_a_person() -> None:
    fake_night = FakeNight(plan=night_plan(with_farm(aws=Aws(old_farm=FARM))))

    fake_night.run()

    assert set(fake_night.outcomes().values()) == {"done"}
    assert "EC2: stop i-0f, make it t3.small, and start it" in fake_night.production.acts
    proof = fake_night.context.history().task_state("warehouse.shrink", "warehouse-old").proof
    assert proof == "i-0f is running as t3.small"
    assert not [asked for asked in fake_night.person.asked if "shrink" in asked]


def test_without_a_proof_it_stays_with_a_person_and_the_plan_says_so() -> None:
    environment = with_farm()

    assert "warehouse.shrink" not in [step.key for step in night_plan(environment).steps]
    assert "- Shrinking the old farm (12.4) stays with you" in rendered(night_plan(environment))
    assert "12.4" not in rendered(plan_of(environment, NIGHT_2013, "2013"))
    assert "12.4" in rendered(plan_of(rehearsal(), NIGHT))


@dataclass
class FakeEc2:
    """One instance, as EC2 shows it; each call is recorded."""

    kind: str = "m1.xlarge"
    state: str = "running"
    called: list[str] = field(default_factory=list)

    def describe_instances(self, **asked: Any) -> dict[str, Any]:
        instances = [{"InstanceType": self.kind, "State": {"Name": self.state}}] if self.state else []
        return {"Reservations": [{"Instances": instances}]}

    def stop_instances(self, **asked: Any) -> None:
        self.called.append("stop")
        self.state = "stopping"

    def modify_instance_attribute(self, **asked: Any) -> None:
        self.called.append("modify")
        self.kind = asked["InstanceType"]["Value"]

    def start_instances(self, **asked: Any) -> None:
        self.called.append("start")
        self.state = "pending"


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> FakeEc2:
    fake = FakeEc2()
    monkeypatch.setattr(ec2_size, "client", lambda aws, service: fake)
    return fake


def advanced(ec2: FakeEc2) -> tuple[State, list[str]]:
    """Advance once; return the progress, and what was called for it."""
    ec2.called.clear()
    progress = ec2_size.advance(Aws(), FARM.instance, FARM.type)
    return progress.state, list(ec2.called)


@pytest.mark.parametrize(
    ("kind", "state", "progress", "called"),
    [
        ("m1.xlarge", "running", State.PENDING, ["stop"]),
        ("m1.xlarge", "stopping", State.PENDING, []),
        ("m1.xlarge", "stopped", State.PENDING, ["modify"]),
        ("t3.small", "stopped", State.PENDING, ["start"]),
        ("t3.small", "pending", State.PENDING, []),
        ("t3.small", "running", State.DONE, []),
        ("m1.xlarge", "terminated", State.FAILED, []),
        ("m1.xlarge", "shutting-down", State.FAILED, []),
    ],
)
def test_each_call_does_the_next_thing_whoever_began(
    ec2: FakeEc2, kind: str, state: str, progress: State, called: list[str]
) -> None:
    ec2.kind, ec2.state = kind, state

    assert advanced(ec2) == (progress, called)


def test_an_instance_that_is_not_there_is_said(ec2: FakeEc2) -> None:
    ec2.state = ""

    with pytest.raises(CutoverError, match=r"EC2 has no instance i-0f\."):
        advanced(ec2)
