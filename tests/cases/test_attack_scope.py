"""The scope of a night (how deep, and who is left out) from the person who types the date to the step that acts.

The debug host's own inventory, which decides in the end, is out of reach here: what is judged is what is sent to it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import RefusedError, UsageError
from inventory.catalog import DEFAULT_DEPTH
from inventory.model import Environment, Exclusion, Night
from runbooks.engine.model.actions import DetachedJob, ProbeOutput
from runbooks.engine.run.runner import StepFailed
from tests.colleagues import approving, times_typed
from tests.fakes import NIGHT, FakeNight, night_plan, rehearsal

STEP = "archiving.run"


def with_scope(depth: str, *, schools: tuple[int, ...] = (), customers: tuple[int, ...] = ()) -> Environment:
    """The rehearsal, whose night has this scope, and is approved by a second person."""
    environment = rehearsal()
    night = Night(depth=depth, exclude=Exclusion(schools=schools, customers=customers))
    return replace(environment, second_person=True, nights={**environment.nights, NIGHT: night})


CAREFUL = with_scope("students", schools=(21, 22, 23), customers=(1234,))
OTHERS = {
    "another depth": with_scope(DEFAULT_DEPTH, schools=(21, 22, 23), customers=(1234,)),
    "a school more": with_scope("students", schools=(21, 22), customers=(1234,)),
    "a customer more": with_scope("students", schools=(21, 22, 23)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_plan_of_another_scope_is_another_plan(other: str) -> None:
    before, now = night_plan(CAREFUL), night_plan(OTHERS[other])
    assert now.digest != before.digest
    assert now.changed_from(before.lines)


@pytest.mark.parametrize("other", OTHERS)
def test_a_night_resumed_with_another_scope_asks_both_operators_again(other: str) -> None:
    fake_night = FakeNight(plan=night_plan(CAREFUL))
    heard, [command] = approving(fake_night), commands(fake_night)
    fake_night.production.broken[command] = ProbeOutput  # it does nothing, once
    with pytest.raises(StepFailed):
        fake_night.run()
    if (times_typed(fake_night), len(heard)) != (1, 1) or fake_night.production.archived:
        raise RuntimeError("expected a night that stopped at step 8, with the date typed and approved")

    fake_night.production.broken.clear()
    fake_night.plan = night_plan(OTHERS[other])
    try:
        fake_night.run()
    except (RefusedError, UsageError):
        assert not fake_night.production.archived
    else:
        assert (times_typed(fake_night), len(heard)) == (2, 2)


@pytest.mark.parametrize("other", OTHERS)
def test_the_command_sent_to_archive_states_the_scope(other: str) -> None:
    sent = commands(FakeNight(plan=night_plan(CAREFUL)))
    assert len(sent) == 1
    assert commands(FakeNight(plan=night_plan(OTHERS[other]))) != sent


@pytest.mark.parametrize("other", OTHERS)
def test_the_command_sent_to_audit_states_the_scope(other: str) -> None:
    def audit(environment: Environment) -> list[str]:
        [task] = night_plan(environment).step(STEP).tasks
        return [str(look) for check in task.checks for look in check.looks]

    assert audit(CAREFUL) != audit(OTHERS[other])


def commands(fake_night: FakeNight) -> list[str]:
    """Return the commands that step 8 sends to the debug host, as production runs them."""
    actions = [task.action for task in fake_night.plan.step(STEP).tasks]
    return [f"{action.host}: {action.command}" for action in actions if isinstance(action, DetachedJob)]
