"""The old farm after the cut-over (12.4): made smaller, by a person, a command or EC2's API."""

from __future__ import annotations

from datetime import timedelta

from runbooks.engine.model.actions import Action, InstanceSize, ProbeOutput, ResizeInstance
from runbooks.engine.model.history import Facts
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds
from runbooks.steps.word_probe import prints

NUMBER = ".4"  # of step 12
LONGEST = timedelta(hours=1)
RUNNING = "running"


def is_known(night: NightContext) -> bool:
    """True if the inventory says how to see the old farm's size; without that, the step stays with a person."""
    aws = night.environment.aws
    return bool(night.warehouse.shrink or (aws and aws.old_farm))


@builds("warehouse.shrink", applies=is_known)
def shrink(night: NightContext, key: str) -> Step:
    """Shrink the old farm, once the names have moved."""
    action = by_api(night)
    task = night.task(
        key, night.old_warehouse, checks=(shrunk(night),), lasts=LONGEST, action=action, pays=owed_after_cut_over(night)
    )
    return Step(
        key=key,
        title="Shrink the old farm",
        mark=Mark.MANUAL,
        tasks=(task,),
        between=True,
        letter=NUMBER,
        settle=timedelta(minutes=10),
        estimate=timedelta(minutes=10),
    )


def owed_after_cut_over(night: NightContext) -> Debt | None:
    """Return what is owed from the cut-over on: the full size costs money, and a stopped farm answers no query."""
    return Debt(what="shrinking the old farm", where=night.old_warehouse.name) if is_known(night) else None


def left_to_a_person(night: NightContext) -> tuple[str, ...]:
    """Return a note if the inventory says nothing of the old farm's size; nothing if it does."""
    if is_known(night):
        return ()
    return (
        "Shrinking the old farm (12.4) stays with you: the inventory has neither warehouse/shrink nor aws/old_farm.",
    )


def by_api(night: NightContext) -> Action | None:
    """Return how EC2 changes the farm's type; None if the inventory names no instance."""
    farm = night.environment.aws.old_farm if night.environment.aws else None
    if farm is None:
        return None
    return ResizeInstance(host=night.old_warehouse.name, instance=farm.instance, type=farm.type, timeout=LONGEST)


def shrunk(night: NightContext) -> Check:
    """Return the check that the old farm has its smaller size and, at EC2, that it runs."""
    aws, by_probe = night.environment.aws, night.warehouse.shrink
    if by_probe:
        host = night.old_warehouse
        return prints(host, night.filled(by_probe.probe, host), "the old farm's size is", by_probe.size)
    assert aws
    assert aws.old_farm
    farm = aws.old_farm

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((kind, state),) = outputs[0].rows
        sentence = f"{farm.instance} is {state} as {kind}"
        return holds(sentence) if (kind, state) == (farm.type, RUNNING) else fails(f"{sentence}, expected {farm.type}")

    return Check(title=f"the old farm runs as {farm.type}", looks=(InstanceSize(instance=farm.instance),), judge=judge)
