"""Amazon's part in the night: the credentials exist, and allow what the steps need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.engine.model.actions import (
    MoveNames,
    ProbeOutput,
    ResizeInstance,
    ResizeTrial,
    SnapshotTrial,
    TakeSnapshots,
    ZoneRecords,
)
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.step import Check, Step, Verdict, fails, holds


def subjects(steps: Sequence[Step]) -> Iterator[Subject]:
    """Yield EC2 and Route 53, if a step uses them."""
    actions = [task.action for step in steps for task in step.tasks]
    trials = (
        *(may_take(action) for action in actions if isinstance(action, TakeSnapshots)),
        *(may_resize(action) for action in actions if isinstance(action, ResizeInstance)),
    )
    if trials:
        yield Subject(name="EC2", preconditions=trials)
    for action in actions:
        if isinstance(action, MoveNames):
            yield Subject(name="Route 53", preconditions=(may_move(action),))


def may_take(action: TakeSnapshots) -> Precondition:
    """Return the check that EC2 would take the snapshots of step 10."""
    host, instance = action.host, action.instance

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        volumes = ", ".join(str(volume) for (volume,) in outputs[0].rows)
        return holds(f"{instance} of {host} has {volumes}, and snapshots of them are allowed")

    title = f"snapshots of {instance} ({host}) would be taken"
    check = Check(title=title, looks=(SnapshotTrial(instance=instance),), judge=judge)
    return Precondition(check=check, advice="The snapshots need ec2:CreateSnapshots and ec2:CreateTags; look at aws.")


def may_resize(action: ResizeInstance) -> Precondition:
    """Return the check that EC2 would stop, change and start the old farm of step 12.4."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((kind, state),) = outputs[0].rows
        return holds(f"{action.instance} of {action.host} is {state} as {kind}, and changing it is allowed")

    title = f"{action.instance} ({action.host}) would become {action.type}"
    check = Check(title=title, looks=(ResizeTrial(instance=action.instance, type=action.type),), judge=judge)
    needed = "ec2:StopInstances, ec2:StartInstances and ec2:ModifyInstanceAttribute"
    return Precondition(check=check, advice=f"Step 12.4 needs {needed}; look at aws/old_farm.")


def may_move(action: MoveNames) -> Precondition:
    """Return the check that the zone of step 12 is visible, has the names, and none of them is of another type."""
    zone, names = action.zone, tuple(action.targets)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        own = outputs[0].text
        for name in names:
            if not f".{name}".endswith(f".{own}"):
                return fails(f"{name} is not in zone {zone}, which is {own}")
        for moved, kind in outputs[0].rows:
            if kind != "CNAME":
                return fails(f"{moved} has a record of type {kind} in zone {zone}, beside which no CNAME can stand")
        return holds(f"zone {zone} is {own}")

    title = f"{' and '.join(names)} can be moved in zone {zone}"
    check = Check(title=title, looks=(ZoneRecords(zone=zone, names=names),), judge=judge)
    return Precondition(
        check=check, advice="Look at aws/zone in the inventory, and at the permissions of the credentials."
    )
